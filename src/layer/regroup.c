/* From codes, scales and zero points in tensors of their own to blocks, by cl/regroup.cl. Scales and zero points of an
 * expert are brought to the device whole; codes in slices, of k where columns are neighbours in memory, of rows where k
 * are. */
#include "groups.h"
#include "opencl/host_view.h"

#define SLICE_BYTES (16u << 20)
#define OUT_RUN     64 /* of cl/regroup.cl */

clmoe__group_sizes clmoe__groups_sizes(const clmoe_tensor *tensor, uint64_t rows, uint64_t columns) {
    const clmoe_groups *g = tensor->groups;
    const clmoe__format_info *info = clmoe__format_find(tensor->format);
    const uint64_t bits = info->code_bits, size = g->group_size != 0 ? g->group_size : columns;
    const uint64_t groups = clmoe__div_up(columns, size), words = clmoe__div_up(rows * bits, 32);
    return (clmoe__group_sizes){
        .group_size = (uint32_t)size,
        .groups = (uint32_t)groups,
        .word_codes = (uint32_t)(32 / bits),
        .codes = clmoe__mul(rows, columns) / 8 * bits,
        .scales = clmoe__mul(rows, groups) * (clmoe__format_bits(g->scale_format) / 8),
        .zeros = info->minimum ? clmoe__mul(words, groups) * 4 : 0,
    };
}

/* ------------------------------------------------------------------------------------------------ pieces */

static clmoe__place place_of(const clmoe_pieces *p, uint32_t expert, uint64_t bytes) {
    return clmoe__expert_place(p->host, p->host_list, &p->buffer, p->buffer_list, expert, bytes);
}

/* What one piece reads, on the device; views are of host memory that is read where it lies. */
typedef struct readings {
    clmoe_buffer codes, scales, zeros;
    cl_mem views[3];
    int view_count;
} readings;

/* A view of host memory, if the device can have one. */
static int view(clmoe__regroup *r, const clmoe__place *at, uint64_t bytes, readings *read, clmoe_buffer *to) {
    cl_mem made = clmoe__host_view(r->packer->context, at->host, bytes);
    if (made == NULL) return 0;
    read->views[read->view_count++] = made;
    *to = clmoe_cl_mem(made, 0);
    return 1;
}

/* Scales, and zero points behind them in the one staging buffer. */
static clmoe_status bring_fields(clmoe__regroup *r, clmoe__run *run, uint32_t expert, readings *read,
                                 clmoe_error *error) {
    const clmoe_groups *g = r->part->tensor->groups;
    const clmoe__place scales = place_of(&g->scales, expert, r->sizes.scales);
    const clmoe__place zeros = place_of(&g->zeros, expert, r->sizes.zeros);
    const uint64_t behind = clmoe__round_up(r->sizes.scales, 256);
    int copy_scales = 0, copy_zeros = 0;
    read->scales = scales.buffer;
    if (scales.host != NULL) copy_scales = !view(r, &scales, r->sizes.scales, read, &read->scales);
    read->zeros = read->scales; /* without zero points nobody reads them */
    if (r->sizes.zeros != 0) read->zeros = zeros.buffer;
    if (r->sizes.zeros != 0 && zeros.host != NULL) copy_zeros = !view(r, &zeros, r->sizes.zeros, read, &read->zeros);
    if (!copy_scales && !copy_zeros) return CLMOE_OK;
    if (behind + r->sizes.zeros > SLICE_BYTES)
        return clmoe__fail(error, CLMOE_UNSUPPORTED, r->part->name,
                           "%s: %llu bytes of an expert's scales exceed %u MiB", r->part->name,
                           (unsigned long long)(behind + r->sizes.zeros), SLICE_BYTES >> 20);
    clmoe__run_wait(run); /* the launch before still reads them */
    TRY(clmoe__pack_staging(r->packer, &r->packer->scales, behind + r->sizes.zeros, error));
    if (copy_scales) read->scales = clmoe_cl_mem(r->packer->scales.mem, 0);
    if (copy_scales) clmoe__run_write(run, &read->scales, scales.host, r->sizes.scales);
    if (copy_zeros) read->zeros = clmoe_cl_mem(r->packer->scales.mem, behind);
    if (copy_zeros) clmoe__run_write(run, &read->zeros, zeros.host, r->sizes.zeros);
    if (copy_scales && !copy_zeros && r->sizes.zeros == 0) read->zeros = read->scales;
    return run->status;
}

/* The rectangle of one launch: rows of blocks [0, outs) are stored rows first + i * step, k [k_begin, k_end); its codes
 * begin with those of row_begin and k_begin. */
typedef struct slice {
    uint64_t first, outs;
    uint32_t step, row_begin, k_begin, k_end;
} slice;

static void launch(clmoe__regroup *r, clmoe__run *run, const readings *read, const slice *s) {
    const uint32_t values = clmoe__format_values(r->part->tensor->format);
    const size_t items = r->packer->context->device.is_cpu ? 1 : 16;
    const size_t local[2] = {items, 1};
    const size_t global[2] = {(size_t)clmoe__div_up(s->outs, OUT_RUN) * items, (s->k_end - s->k_begin) / values};
    const clmoe_buffer blocks = clmoe_cl_mem(r->packer->blocks.mem, 0);
    clmoe__run_kernel(run, &r->kernel);
    clmoe__run_buffer(run, &read->codes, 1);
    clmoe__run_buffer(run, &read->scales, 1);
    clmoe__run_buffer(run, &read->zeros, 1);
    clmoe__run_buffer(run, &blocks, 1);
    clmoe__run_u32(run, r->part->stored_rows);
    clmoe__run_u32(run, r->features);
    clmoe__run_u32(run, r->sizes.group_size);
    clmoe__run_u32(run, s->row_begin);
    clmoe__run_u32(run, (uint32_t)s->first);
    clmoe__run_u32(run, s->step);
    clmoe__run_u32(run, (uint32_t)s->outs);
    clmoe__run_u32(run, s->k_begin);
    clmoe__run_launch(run, 2, global, local);
}

/* Where the slice's codes begin in the expert's, and how many bytes they span. */
static uint64_t codes_begin(const clmoe__regroup *r, const slice *s) {
    const uint64_t row = r->part->tensor->groups->order == CLMOE_CODES_ROWS ? r->features : r->part->stored_rows;
    return (s->row_begin + s->k_begin) * row / r->sizes.word_codes * 4; /* one of the two is 0 */
}
static uint64_t codes_span(const clmoe__regroup *r, const slice *s) {
    const int by_rows = r->part->tensor->groups->order == CLMOE_CODES_ROWS;
    const uint64_t lines = by_rows ? s->first + (s->outs - 1) * s->step + 1 - s->row_begin : s->k_end - s->k_begin;
    return lines * (by_rows ? r->features : r->part->stored_rows) / r->sizes.word_codes * 4;
}

/* The slice's codes to the staging buffer, and the launch that reads them there. */
static clmoe_status staged(clmoe__regroup *r, clmoe__run *run, const unsigned char *host, readings *read,
                           const slice *s, clmoe_error *error) {
    const uint64_t bytes = codes_span(r, s);
    if (bytes > 2 * SLICE_BYTES)
        return clmoe__fail(error, CLMOE_UNSUPPORTED, r->part->name,
                           "%s: %llu bytes of one piece exceed the staging of %u MiB", r->part->name,
                           (unsigned long long)bytes, 2 * SLICE_BYTES >> 20);
    clmoe__run_wait(run); /* the launch before still reads it */
    TRY(clmoe__pack_staging(r->packer, &r->packer->staging, bytes, error));
    read->codes = clmoe_cl_mem(r->packer->staging.mem, 0);
    clmoe__run_write(run, &read->codes, host + codes_begin(r, s), bytes);
    launch(r, run, read, s);
    return run->status;
}

/* Brings the codes and launches: at once where the device reads them in place, else slice by slice. */
static clmoe_status bring_codes(clmoe__regroup *r, clmoe__run *run, uint32_t expert, readings *read, slice s,
                                clmoe_error *error) {
    const clmoe_tensor *t = r->part->tensor;
    const int by_rows = t->groups->order == CLMOE_CODES_ROWS;
    const clmoe_pieces pieces = {t->host, t->host_list, t->buffer, t->buffer_list};
    const clmoe__place at = place_of(&pieces, expert, r->sizes.codes);
    const uint32_t values = clmoe__format_values(t->format);
    read->codes = at.buffer;
    if (at.host == NULL || view(r, &at, r->sizes.codes, read, &read->codes)) {
        launch(r, run, read, &s);
        return run->status;
    }
    if (by_rows) s.row_begin = (uint32_t)s.first;
    const uint64_t block = codes_span(r, &s) * values / r->features; /* by k: bytes of a block's k */
    const uint64_t blocks = by_rows ? UINT32_MAX / values : clmoe__max(SLICE_BYTES / block, 1);
    for (const uint32_t end = s.k_end; s.k_begin < end; s.k_begin = s.k_end) {
        s.k_end = (uint32_t)clmoe__min(end, s.k_begin + blocks * values);
        TRY(staged(r, run, at.host, read, &s, error));
    }
    return CLMOE_OK;
}

clmoe_status clmoe__regroup_piece(clmoe__regroup *r, clmoe__run *run, uint32_t expert, uint64_t first, uint64_t outs,
                                  clmoe_buffer *at, clmoe_error *error) {
    const uint64_t bytes = outs * clmoe__format_span(r->part->tensor->format, r->features);
    const slice all = {.first = r->part->row_begin + first * r->part->row_step,
                       .outs = outs,
                       .step = r->part->row_step,
                       .k_end = r->features};
    readings read = {.view_count = 0};
    if (r->packer->blocks.bytes < bytes) clmoe__run_wait(run); /* the smaller one is still read */
    TRY(clmoe__pack_staging(r->packer, &r->packer->blocks, bytes, error));
    clmoe_status status = bring_fields(r, run, expert, &read, error);
    if (status == CLMOE_OK) status = bring_codes(r, run, expert, &read, all, error);
    if (read.view_count != 0) clmoe__run_wait(run); /* pieces read the same memory, and views must not overlap */
    for (int i = 0; i < read.view_count; i++) clmoe__host_view_release(r->packer->context, read.views[i]);
    *at = clmoe_cl_mem(r->packer->blocks.mem, 0);
    return status;
}

/* ------------------------------------------------------------------------------------------------ create */

clmoe_status clmoe__regroup_create(clmoe__packer *packer, const clmoe__matrix_part *part, uint32_t features,
                                   clmoe__regroup *r, clmoe_error *error) {
    const clmoe_groups *g = part->tensor->groups;
    *r = (clmoe__regroup){.packer = packer, .part = part, .features = features};
    r->sizes = clmoe__groups_sizes(part->tensor, part->stored_rows, features);
    clmoe__options options = {{0}, 0};
    clmoe__options_add(&options, " -DBLOCK_FORMAT=%u -DCODE_ORDER=%u -DSCALE_FORMAT=%u -DZEROS_LESS_1=%u",
                       part->tensor->format, g->order, g->scale_format, g->zeros_less_1);
    return clmoe__kernel_create(packer->context, "regroup.cl", "regroup", &options, "regroup", &r->kernel, error);
}

void clmoe__regroup_destroy(clmoe__regroup *r) { clmoe__kernel_destroy(r->packer->context, &r->kernel); }
