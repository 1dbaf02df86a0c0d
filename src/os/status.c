/* The library's version and the names of its statuses. Calls nothing. */
#include <clmoe/clmoe.h>

#define TEXT_(value) #value
#define TEXT(value)  TEXT_(value)

uint32_t clmoe_version(void) {
    return CLMOE_VERSION_MAJOR * 1000000u + CLMOE_VERSION_MINOR * 1000u + CLMOE_VERSION_PATCH;
}

const char *clmoe_version_string(void) {
    return TEXT(CLMOE_VERSION_MAJOR) "." TEXT(CLMOE_VERSION_MINOR) "." TEXT(CLMOE_VERSION_PATCH);
}

const char *clmoe_status_name(clmoe_status status) {
    switch (status) {
#define NAME(name, value, text) \
    case name: return #name;
        CLMOE_STATUS_LIST(NAME)
#undef NAME
    }
    return "unknown status";
}

const char *clmoe_status_text(clmoe_status status) {
    switch (status) {
#define SENTENCE(name, value, text) \
    case name: return text;
        CLMOE_STATUS_LIST(SENTENCE)
#undef SENTENCE
    }
    return "unknown status";
}
