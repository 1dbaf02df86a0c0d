/* Dispatch: groups the used slots of index[T, slots] by expert with a stable counting sort, and writes the plan that
 * <clmoe/clmoe_stages.h> describes. Integer work only, no atomics: equal input gives an equal plan, bit by bit.
 *
 * The used slots (valid tokens times slots) are cut into `chunks` nearly equal pieces. scratch is [chunks + 1][stride]:
 *
 *   dispatch_count    group c: scratch[c][class] = slots of chunk c that name the class
 *   dispatch_scan     one group: scratch[c][class] = the same of all chunks before c, scratch[chunks][class] = of all;
 *                     from it counts, offsets, the active experts, the tiles, the header and load
 *   dispatch_scatter  group c: gives each of its slots the next place of its class, in slot order
 *   dispatch_all      one group does all three, for chunks = 1
 *
 * A group has ITEMS work-items: 1 on CPUs, where a loop is fastest; more on GPUs, where they take ITEMS slots at a time
 * and find each slot's rank among those of its class by comparing with the others.
 */
#include "common.clh"

#ifndef ITEMS
#define ITEMS 1 /* work-items in a group, 1..256 */
#endif

/* Every kernel has these arguments. The names ending in _at are places in the plan, from clmoe_plan_layout. */
#define DISPATCH_ARGUMENTS                                                                                        \
    __global const int *index, ulong index_offset, __global const int *token_count, ulong token_count_offset,     \
        __global int *plan, ulong plan_offset, __global int *load, ulong load_offset, uint load_accumulate,       \
        uint tokens, uint slots, uint classes, uint first_expert, uint local_experts, uint tile_rows,             \
        uint max_rows, uint chunks, uint stride, ulong count_at, ulong offset_at, ulong active_at, ulong tiles_at, \
        ulong row_slot_at, ulong slot_row_at, ulong scratch_at

typedef struct job {
    __global const int *index;
    __global uint *plan, *count, *offset, *active, *tiles, *row_slot, *scratch;
    __global int *slot_row, *load; /* load may be NULL */
    uint accumulate, tokens /* valid ones */, slots, classes, first, experts, tile_rows, max_rows, chunks, stride;
} job;

/* No plan, no work: the launch that makes the driver compile has no buffers. */
#define DISPATCH_JOB(d)                                                          \
    if (plan == 0) return;                                                       \
    __global uint *const base = (__global uint *)(plan + plan_offset);           \
    const job d = {.index = index + index_offset,                                \
                   .plan = base,                                                 \
                   .count = base + count_at,                                     \
                   .offset = base + offset_at,                                   \
                   .active = base + active_at,                                   \
                   .tiles = base + tiles_at,                                     \
                   .row_slot = base + row_slot_at,                               \
                   .slot_row = plan + plan_offset + slot_row_at,                 \
                   .scratch = base + scratch_at,                                 \
                   .load = load == 0 ? load : load + load_offset,                \
                   .accumulate = load_accumulate,                                \
                   .tokens = valid_tokens(tokens, token_count, token_count_offset), \
                   .slots = slots,                                               \
                   .classes = classes,                                           \
                   .first = first_expert,                                        \
                   .experts = local_experts,                                     \
                   .tile_rows = tile_rows,                                       \
                   .max_rows = max_rows,                                         \
                   .chunks = chunks,                                             \
                   .stride = stride}

#if ITEMS > 1
#define SYNC() barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)
#define ITEM ((uint)get_local_id(0))
#else
#define SYNC()
#define ITEM 0u
#endif

/* The first slot of a chunk; of the chunk behind the last, the number of used slots. */
static inline uint chunk_begin(const job *d, uint chunk) {
    return (uint)((ulong)d->tokens * d->slots * chunk / d->chunks);
}

/* How many slots before this one made the same choice: its counter, which is then raised. A choice that is no class has
 * no counter and gives 0. All work-items of the group call it together, each with the slot behind its left
 * neighbour's. */
static inline uint take_place(uint choice, uint classes, __global uint *counters, __local uint *shared) {
#if ITEMS > 1
    shared[ITEM] = choice;
    SYNC(); /* also: what the round before wrote to the counters */
    uint rank = 0, later = 0;
    for (uint i = 0; i < ITEMS; i++) {
        const uint same = shared[i] == choice;
        if (i < ITEM) rank += same;
        if (i > ITEM) later += same;
    }
    const uint place = choice < classes ? counters[choice] + rank : 0u;
    SYNC();
    if (choice < classes && later == 0u) counters[choice] = place + 1u;
    return place;
#else
    return choice < classes ? counters[choice]++ : 0u;
#endif
}

static inline void count_chunk(const job *d, uint chunk, __local uint *shared) {
    __global uint *const counters = d->scratch + (ulong)chunk * d->stride;
    for (uint c = ITEM; c < d->classes; c += ITEMS) counters[c] = 0u;
    SYNC();
    const uint end = chunk_begin(d, chunk + 1u);
    for (uint s = chunk_begin(d, chunk); s < end; s += ITEMS) {
        const uint slot = s + ITEM;
        const uint choice = slot < end ? (uint)d->index[slot] : UINT_MAX;
        (void)take_place(choice, d->classes, counters, shared);
    }
}

/* ------------------------------------------------------------------------------------------------- scan */

typedef struct totals {
    uint rows, active, tiles;
} totals;

/* Per class: the sums over the chunks before each chunk, the sum over all, and load. Work-items share out the classes. */
static inline void scan_chunks(const job *d) {
    __global uint *const total = d->scratch + (ulong)d->chunks * d->stride;
    for (uint c = ITEM; c < d->classes; c += ITEMS) total[c] = 0u;
    for (uint chunk = 0; chunk < d->chunks; chunk++) {
        __global uint *const counters = d->scratch + (ulong)chunk * d->stride;
        for (uint c = ITEM; c < d->classes; c += ITEMS) {
            const uint n = counters[c], before = total[c];
            counters[c] = before;
            total[c] = before + n;
        }
    }
    if (d->load == 0) return;
    if (d->accumulate) {
        for (uint c = ITEM; c < d->classes; c += ITEMS) d->load[c] += (int)total[c];
    } else {
        for (uint c = ITEM; c < d->classes; c += ITEMS) d->load[c] = (int)total[c];
    }
}

/* Rows of an expert that fit under max_rows, if it starts at row `start` of all. */
static inline uint rows_kept(const job *d, uint start, uint rows) {
    return min(start + rows, d->max_rows) - min(start, d->max_rows);
}

/* Tile i of t covers rows [rows * i / t, rows * (i + 1) / t): walked without a division a tile. */
static inline void write_tiles(__global uint *tile, uint expert, uint start, uint rows, uint t) {
    const uint whole = rows / t, rest = rows % t;
    uint from = 0, carry = 0;
    for (uint i = 0; i < t; i++, tile += 4) {
        uint height = whole;
        carry += rest;
        if (carry >= t) {
            carry -= t;
            height++;
        }
        tile[0] = expert;
        tile[1] = start + from;
        tile[2] = height;
        tile[3] = 0u;
        from += height;
    }
}

/* Experts begin..end-1, whose first row, active expert and tile have these numbers; returns the next ones. */
static inline totals scan_experts(const job *d, uint begin, uint end, totals at) {
    __global const uint *const total = d->scratch + (ulong)d->chunks * d->stride + d->first;
    for (uint e = begin; e < end; e++) {
        const uint all = total[e];
        const uint kept = rows_kept(d, at.rows, all);
        const uint start = min(at.rows, d->max_rows);
        d->count[e] = kept;
        d->offset[e] = start;
        at.rows += all;
        if (kept == 0u) continue;
        const uint t = (kept - 1u) / d->tile_rows + 1u;
        d->active[at.active++] = e;
        write_tiles(d->tiles + (ulong)at.tiles * 4u, e, start, kept, t);
        at.tiles += t;
    }
    return at;
}

#if ITEMS > 1
/* What all experts before begin take. shared holds 3 values a work-item. */
static inline totals scan_before(const job *d, uint begin, uint end, __local uint *shared) {
    __global const uint *const total = d->scratch + (ulong)d->chunks * d->stride + d->first;
    totals own = {0u, 0u, 0u}, before = {0u, 0u, 0u};
    for (uint e = begin; e < end; e++) own.rows += total[e];
    shared[ITEM] = own.rows;
    SYNC();
    for (uint i = 0; i < ITEM; i++) before.rows += shared[i];
    uint row = before.rows;
    for (uint e = begin; e < end; e++) {
        const uint kept = rows_kept(d, row, total[e]);
        row += total[e];
        own.active += kept != 0u;
        own.tiles += kept == 0u ? 0u : (kept - 1u) / d->tile_rows + 1u;
    }
    shared[ITEMS + ITEM] = own.active;
    shared[2 * ITEMS + ITEM] = own.tiles;
    SYNC();
    for (uint i = 0; i < ITEM; i++) {
        before.active += shared[ITEMS + i];
        before.tiles += shared[2 * ITEMS + i];
    }
    return before;
}
#endif

static inline void scan(const job *d, __local uint *shared) {
    scan_chunks(d);
#if ITEMS > 1
    SYNC();
    const uint run = (d->experts + ITEMS - 1u) / ITEMS;
    const uint begin = min(ITEM * run, d->experts), end = min(begin + run, d->experts);
    const totals before = scan_before(d, begin, end, shared);
#else
    const uint begin = 0u, end = d->experts;
    const totals before = {0u, 0u, 0u};
#endif
    const totals after = scan_experts(d, begin, end, before);
    if (ITEM != ITEMS - 1u) return; /* the last one has seen everything */
    const uint rows = min(after.rows, d->max_rows);
    d->offset[d->experts] = rows;
    d->plan[0] = rows;
    d->plan[1] = after.active;
    d->plan[2] = after.tiles;
    d->plan[3] = d->tokens;
    for (uint i = 4; i < 16; i++) d->plan[i] = 0u;
}

/* ---------------------------------------------------------------------------------------------- scatter */

static inline void scatter_chunk(const job *d, uint chunk, __local uint *shared) {
    __global uint *const counters = d->scratch + (ulong)chunk * d->stride;
    const uint end = chunk_begin(d, chunk + 1u);
    for (uint s = chunk_begin(d, chunk); s < end; s += ITEMS) {
        const uint slot = s + ITEM;
        const uint choice = slot < end ? (uint)d->index[slot] : UINT_MAX;
        const uint place = take_place(choice, d->classes, counters, shared);
        if (slot >= end) continue;
        const uint expert = choice - d->first; /* wraps to a large number before the first */
        int row = -1;
        if (expert < d->experts) {
            const uint at = d->offset[expert] + place;
            if (at < d->max_rows) {
                row = (int)at;
                d->row_slot[at] = slot;
            }
        }
        d->slot_row[slot] = row;
    }
}

/* ---------------------------------------------------------------------------------------------- kernels */

__kernel void dispatch_count(DISPATCH_ARGUMENTS) {
    __local uint shared[3 * ITEMS];
    DISPATCH_JOB(d);
    count_chunk(&d, (uint)get_group_id(0), shared);
}

__kernel void dispatch_scan(DISPATCH_ARGUMENTS) {
    __local uint shared[3 * ITEMS];
    DISPATCH_JOB(d);
    scan(&d, shared);
}

__kernel void dispatch_scatter(DISPATCH_ARGUMENTS) {
    __local uint shared[3 * ITEMS];
    DISPATCH_JOB(d);
    scatter_chunk(&d, (uint)get_group_id(0), shared);
}

__kernel void dispatch_all(DISPATCH_ARGUMENTS) {
    __local uint shared[3 * ITEMS];
    DISPATCH_JOB(d);
    count_chunk(&d, 0u, shared);
    SYNC();
    scan(&d, shared);
    SYNC();
    scatter_chunk(&d, 0u, shared);
}
