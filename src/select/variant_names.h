/* Lists of variants by name, as CLMOE_DISABLE and CLMOE_PREFER hold them. */
#ifndef CLMOE_SELECT_VARIANT_NAMES_H
#define CLMOE_SELECT_VARIANT_NAMES_H

/* Whether the variant's name ("cpu/fma"), its part before '/' or the part behind stands in the comma separated list. */
int clmoe__variant_listed(const char *list, const char *name);

#endif
