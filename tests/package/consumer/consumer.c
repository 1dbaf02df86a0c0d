/* The smallest program that links the library; compiled as C and as C++. */
#include <clmoe/clmoe.h>
#include <clmoe/clmoe_stages.h>
#include <stdio.h>

int main(void) {
    clmoe_routing routing;
    clmoe_routing_default(&routing, sizeof routing);
    printf("clmoe %s, %s\n", clmoe_version_string(), clmoe_status_name(CLMOE_OK));
    return clmoe_version() == CLMOE_VERSION_MAJOR * 1000000u + CLMOE_VERSION_MINOR * 1000u + CLMOE_VERSION_PATCH ? 0
                                                                                                                 : 1;
}
