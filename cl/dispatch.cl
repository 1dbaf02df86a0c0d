/* Dispatch: groups the used slots of index[T, slots] by expert with a stable counting sort, and writes the plan that
 * <clmoe/clmoe_stages.h> describes. Integer work only, and no atomics but such as give the same in any order: equal
 * input gives an equal plan, bit by bit.
 *
 * The used slots (valid tokens times slots) are cut into `chunks` nearly equal pieces. scratch is [chunks + 1][stride]:
 *
 *   dispatch_count    group c: scratch[c][class] = slots of chunk c that name the class
 *   dispatch_scan     one group: scratch[c][class] = the same of all chunks before c, scratch[chunks][class] = of all;
 *                     from it counts, offsets, the active experts, the tiles, the header and load
 *   dispatch_scatter  group c: gives each of its slots the next place of its class, in slot order
 *   dispatch_all      one group does all three, for chunks = 1
 *
 * A group has ITEMS work-items: 1 on CPUs, where a loop is fastest; more on GPUs, where they take ITEMS slots at a
 * time, set a bit each in a mask of their class, and find their rank there by counting the bits before their own.
 */
#include "dispatch.clh"

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void dispatch_count(DISPATCH_ARGUMENTS) {
    __local uint shared[SHARED];
    DISPATCH_JOB(d);
    count_chunk(&d, (uint)get_group_id(0), shared);
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void dispatch_scan(DISPATCH_ARGUMENTS) {
    __local uint shared[SHARED];
    DISPATCH_JOB(d);
    scan(&d, shared);
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void dispatch_scatter(DISPATCH_ARGUMENTS) {
    __local uint shared[SHARED];
    DISPATCH_JOB(d);
    scatter_chunk(&d, (uint)get_group_id(0), shared);
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void dispatch_all(DISPATCH_ARGUMENTS) {
    __local uint shared[SHARED];
    DISPATCH_JOB(d);
    dispatch_slots(&d, shared);
}
