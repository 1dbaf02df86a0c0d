/* Fills the table of OpenCL entry points: from the caller's symbol function, the loader this build is linked to, or a
 * loader opened at run time. Calls no OpenCL function itself. */
#include "cl_table.h"

#include <string.h>

#include "os/error.h"
#include "os/os.h"

_Static_assert(sizeof(void *) == sizeof(void (*)(void)), "entry points are stored as they are found, as pointers");

typedef void *(*symbol_function)(void *user, const char *name);

/* Every entry of the table from one symbol function. Function pointers are copied as bytes: C has no cast for them. */
static clmoe_status fill(clmoe__cl *cl, symbol_function get_symbol, void *user, const char *origin,
                         clmoe_error *error) {
    void *symbol = NULL;
#define FILL(name)                                                                                                  \
    symbol = get_symbol(user, #name);                                                                               \
    if (symbol == NULL) return clmoe__fail(error, CLMOE_NO_OPENCL, "get_symbol", "%s has no %s", origin, #name);    \
    memcpy(&cl->name, &symbol, sizeof symbol);
    CLMOE__CL_LIST(FILL)
#undef FILL
    return CLMOE_OK;
}

#ifdef CLMOE_LINK_OPENCL

static clmoe_status load(clmoe__cl *cl, clmoe_error *error) {
    (void)error;
#define LINK(name) cl->name = &name;
    CLMOE__CL_LIST(LINK)
#undef LINK
    return CLMOE_OK;
}

#else

static void *library_symbol(void *library, const char *name) { return clmoe__os_library_symbol(library, name); }

/* The library stays open for the life of the process: drivers keep threads that outlive any context. */
static clmoe_status load(clmoe__cl *cl, clmoe_error *error) {
    static const char *const names[] = {
        "libOpenCL.so.1",
        "libOpenCL.so",
        "OpenCL.dll",
        "/System/Library/Frameworks/OpenCL.framework/OpenCL",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void *library = clmoe__os_library_open(names[i]);
        if (library != NULL) return fill(cl, library_symbol, library, names[i], error);
    }
    return clmoe__fail(error, CLMOE_NO_OPENCL, NULL,
                       "no OpenCL loader found (libOpenCL.so.1, OpenCL.dll or the OpenCL framework)");
}

#endif

clmoe_status clmoe__cl_load(clmoe__cl *cl, const clmoe_context_desc *desc, clmoe_error *error) {
    if (desc->get_symbol != NULL) return fill(cl, desc->get_symbol, desc->get_symbol_user, "desc.get_symbol", error);
    return load(cl, error);
}
