/* The valid tokens of one pass, where only the device knows how many there are in all. One work-item. */
#include "common.clh"

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void token_count(__global const int *count, ulong count_offset,
                                                                         __global int *pass, ulong pass_offset,
                                                                         uint first_token, uint tokens) {
    if (tokens == 0) return;
    const int rest = count[count_offset] - (int)first_token;
    pass[pass_offset] = clamp(rest, 0, (int)tokens);
}
