/* Packing rows along k on CPUs: pieces of whole panels, both halves of a panel in one launch. Host memory is read where
 * it lies where the device can (host_view.h), else through the staging buffer.
 *
 *     piece    panels [p, p + n) of one expert, in one shard
 *     half     the source rows that go to the first or to the second `lanes` columns of those panels: gate and up, or
 *              in a matrix without gate the lower and the upper half of each 2 * lanes neighbours
 */
#include "opencl/host_view.h"
#include "pack.h"
#include "select/gemm_variants.h"

#define PIECE_BYTES   (16u << 20) /* of source in a launch */
#define PENDING_BYTES (48u << 20) /* of source enqueued before it is waited for */
#define RUN_BYTES     (128u << 10) /* of source for a work-group, about */
#define K_STEP        128         /* work-groups begin at its multiples */

/* Bytes that kernels are to read. */
typedef struct range {
    clmoe__place at;
    uint64_t bytes; /* 0: none */
} range;

/* What a launch reads of one half. */
typedef struct half_piece {
    range data;          /* from its first row in the piece to behind its last */
    uint32_t rows;       /* there are in the expert, from the first on */
    uint32_t stored_row; /* number of the first in its tensor */
} half_piece;

typedef struct rows_job {
    clmoe__packer *packer;
    const clmoe__matrix *matrix;
    const clmoe__matrix_part *parts;
    uint32_t count; /* of parts */
    clmoe__private_run private_run;
    clmoe__kernel kernel, touch;
    uint32_t panel_rows; /* of a half, from one panel's first row to the next one's */
    uint32_t released;   /* experts the caller was told of */
    int on_host;
    uint64_t row_bytes, row_width; /* from a row of a half to its next; of a row */
    uint64_t panel_stride;         /* bytes of a half's rows in a panel, gaps included */
    uint64_t pending;              /* bytes of source enqueued and not waited for */
} rows_job;

static const clmoe__matrix_part *half_part(const rows_job *job, uint32_t h) {
    return &job->parts[job->count == 1 ? 0 : h];
}

/* ------------------------------------------------------------------------------------------------ which */

static int scales_agree(const clmoe_scales *a, const clmoe_scales *b, uint32_t lanes) {
    if (a == NULL || b == NULL) return a == b;
    if ((a->host != NULL || a->host_list != NULL) != (b->host != NULL || b->host_list != NULL)) return 0;
    /* A vector of k has one scale. */
    return a->format == b->format && a->block_rows == b->block_rows && a->block_columns == b->block_columns &&
           a->block_columns % lanes == 0;
}

int clmoe__pack_rows_fits(const clmoe_context *context, const clmoe__matrix *matrix, const clmoe__matrix_part *parts,
                          uint32_t count) {
    if (!context->device.is_cpu || matrix->lanes != clmoe__panel_lanes(context) || matrix->in_parts) return 0;
    const clmoe_tensor *first = parts[0].tensor, *last = parts[count - 1].tensor;
    if (clmoe__format_is_block(matrix->format) && !clmoe__format_is_e4m3(matrix->format))
        return 0; /* as the next: pack_blocks.c */
    if (clmoe__format_is_block(first->format) || clmoe__format_is_block(last->format)) return 0;
    return first->layout == CLMOE_OUT_IN && last->layout == CLMOE_OUT_IN && first->format == last->format &&
           first->row_stride == last->row_stride && clmoe__is_on_host(first) == clmoe__is_on_host(last) &&
           scales_agree(first->scales, last->scales, matrix->lanes);
}

/* ----------------------------------------------------------------------------------------------- pieces */

/* Half `h` of `panels` panels from panel `p` on, of expert `group`. */
static half_piece half_of(const rows_job *job, uint32_t h, uint32_t group, uint32_t p, uint32_t panels) {
    const clmoe__matrix *matrix = job->matrix;
    const clmoe__matrix_part *part = half_part(job, h);
    const uint64_t first = (uint64_t)p * job->panel_rows + (job->count == 1 ? h * matrix->lanes : 0);
    const uint64_t reach = (uint64_t)(panels - 1) * job->panel_rows + matrix->lanes;
    half_piece half = {{{NULL, {0}}, 0}, 0, 0};
    half.data.at = clmoe__pack_source_of(part, part->tensor, matrix->in_features, group).at;
    if (first >= matrix->out_features) return half;
    half.rows = (uint32_t)(matrix->out_features - first);
    half.stored_row = part->row_begin + (uint32_t)first * part->row_step;
    half.data.at = clmoe__place_plus(half.data.at, first * job->row_bytes);
    half.data.bytes = (clmoe__min(half.rows, reach) - 1) * job->row_bytes + job->row_width;
    return half;
}

/* Makes one range of two that overlap or touch, as halves of one tensor may. Returns whether it did. */
static int join(const range in[2], range *both) {
    const uintptr_t a = (uintptr_t)in[0].at.host, b = (uintptr_t)in[1].at.host;
    *both = in[0];
    if (in[1].bytes == 0) return 1;
    if (a + in[0].bytes < b || b + in[1].bytes < a) return 0;
    both->at.host = a < b ? in[0].at.host : in[1].at.host;
    both->bytes = clmoe__max(a + in[0].bytes, b + in[1].bytes) - (uintptr_t)both->at.host;
    return 1;
}

/* Brings two host ranges to the device: by views (to be released by the caller), else by copies in *staging. */
static clmoe_status bring(rows_job *job, range both[2], clmoe__block *staging, cl_mem views[2], clmoe_error *error) {
    clmoe_context *context = job->packer->context;
    range from[2] = {both[0], both[1]};
    const uint32_t count = join(both, &from[0]) ? 1 : 2;
    const uint64_t second = clmoe__round_up(from[0].bytes, 64);
    int viewed = 1;
    for (uint32_t i = 0; i < count; i++) {
        views[i] = clmoe__host_view(context, from[i].at.host, from[i].bytes);
        viewed &= views[i] != NULL;
    }
    if (!viewed) {
        const uint64_t needed = count == 1 ? from[0].bytes : clmoe__add(second, from[1].bytes);
        const uint64_t limit = clmoe__min(CLMOE__STAGING_LIMIT, context->device.max_alloc_bytes);
        if (needed > limit)
            return clmoe__fail(error, CLMOE_UNSUPPORTED, job->parts[0].name,
                               "%s: row_stride is %llu elements: the rows of one panel and what lies between them are "
                               "%llu bytes, at most %llu can be staged",
                               job->parts[0].name, (unsigned long long)job->parts[0].tensor->row_stride,
                               (unsigned long long)needed, (unsigned long long)limit);
        if (staging->bytes < needed) clmoe__run_wait(&job->private_run.run); /* the smaller one is still read */
        TRY(clmoe__pack_staging(job->packer, staging, needed, error));
    }
    for (uint32_t i = 0; i < count; i++) {
        from[i].at.buffer = viewed ? clmoe_cl_mem(views[i], 0) : clmoe_cl_mem(staging->mem, i * second);
        if (!viewed) clmoe__run_write(&job->private_run.run, &from[i].at.buffer, from[i].at.host, from[i].bytes);
    }
    for (uint32_t h = 0; h < 2; h++) {
        const range *source = &from[count == 1 ? 0 : h];
        const uint64_t ahead = both[h].bytes != 0 ? (uint64_t)(both[h].at.host - source->at.host) : 0;
        both[h].at = (clmoe__place){NULL, source->at.buffer};
        both[h].at.buffer.offset += ahead;
    }
    return job->private_run.run.status;
}

static void release_views(rows_job *job, cl_mem views[2]) {
    for (int i = 0; i < 2; i++) clmoe__host_view_release(job->packer->context, views[i]);
}

/* ---------------------------------------------------------------------------------------------- packing */

/* Of the features, what a work-group takes: no more than the cache holds of the next panel beside it, and less where
 * panels alone do not keep the device busy. */
static uint32_t k_run(const rows_job *job, uint32_t panels) {
    const uint32_t features = job->matrix->in_features;
    const uint64_t busy = clmoe__div_up(4ull * job->packer->context->device.compute_units, panels);
    const uint64_t small = clmoe__div_up(2 * job->matrix->lanes * job->row_width, RUN_BYTES);
    return (uint32_t)clmoe__round_up(clmoe__div_up(features, clmoe__max(busy, small)), K_STEP);
}

static void launch(rows_job *job, const half_piece halves[2], const range scales[2], uint64_t index, uint32_t panels) {
    const clmoe__matrix *matrix = job->matrix;
    const clmoe_scales *described = job->parts[0].tensor->scales;
    clmoe__run *run = &job->private_run.run;
    const uint32_t k = k_run(job, panels);
    const size_t local[2] = {1, 1}, global[2] = {panels, (size_t)clmoe__div_up(matrix->in_features, k)};
    clmoe__run_kernel(run, &job->kernel);
    for (int h = 0; h < 2; h++) clmoe__run_buffer(run, &halves[h].data.at.buffer, 1);
    clmoe__run_u64(run, job->row_bytes);
    clmoe__run_u32(run, job->panel_rows);
    for (int h = 0; h < 2; h++) clmoe__run_u32(run, halves[h].rows);
    clmoe__run_mem(run, matrix->shards[index / matrix->panels_per_shard].mem);
    clmoe__run_u64(run, index % matrix->panels_per_shard);
    clmoe__run_u32(run, matrix->in_features);
    clmoe__run_u32(run, k);
    for (int h = 0; h < 2; h++) clmoe__run_buffer(run, &scales[h].at.buffer, 1);
    for (int h = 0; h < 2; h++) clmoe__run_u32(run, halves[h].stored_row);
    clmoe__run_u32(run, job->parts[0].row_step);
    clmoe__run_u32(run, described != NULL ? described->block_rows : 1);
    clmoe__run_u32(run, described != NULL ? described->block_columns : 1);
    clmoe__run_u32(run, described != NULL ? (uint32_t)clmoe__div_up(matrix->in_features, described->block_columns) : 1);
    clmoe__run_launch(run, 2, global, local);
}

static clmoe_status pack_piece(rows_job *job, uint32_t group, uint32_t p, uint32_t panels, const range scales[2],
                               clmoe_error *error) {
    half_piece halves[2] = {half_of(job, 0, group, p, panels), half_of(job, 1, group, p, panels)};
    cl_mem views[2] = {NULL, NULL};
    clmoe_status status = CLMOE_OK;
    if (job->on_host) {
        range data[2] = {halves[0].data, halves[1].data};
        job->pending += data[0].bytes + data[1].bytes;
        status = bring(job, data, &job->packer->staging, views, error);
        for (int h = 0; h < 2; h++) halves[h].data = data[h];
    }
    if (status == CLMOE_OK) launch(job, halves, scales, (uint64_t)group * job->matrix->panels + p, panels);
    release_views(job, views);
    return status == CLMOE_OK ? job->private_run.run.status : status;
}

/* Waits for what is enqueued and tells the caller which experts' host memory may be freed: all below `done`. */
static void settle(rows_job *job, uint32_t done) {
    const clmoe__packer *packer = job->packer;
    clmoe__run_wait(&job->private_run.run);
    job->pending = 0;
    if (job->private_run.run.status != CLMOE_OK) return;
    for (; job->released < done; job->released++) {
        for (uint32_t i = 0; i < job->count && packer->released != NULL; i++)
            if (job->parts[i].last_reader) packer->released(packer->released_user, job->parts[i].name, job->released);
    }
}

static clmoe_status pack_expert(rows_job *job, uint32_t group, clmoe_error *error) {
    const clmoe__matrix *matrix = job->matrix;
    /* Half of a buffer's limit: the second half of what is staged begins at a multiple of 64. */
    const uint64_t bytes = clmoe__min(PIECE_BYTES, job->packer->context->device.max_alloc_bytes / 2);
    const uint64_t fit = clmoe__max(bytes / (2 * job->panel_stride), 1);
    range scales[2] = {{{NULL, {0}}, 0}};
    cl_mem views[2] = {NULL, NULL};
    clmoe_status status = CLMOE_OK;
    for (uint32_t h = 0; h < 2; h++) {
        const clmoe__matrix_part *part = half_part(job, h);
        const clmoe__pack_scales s = clmoe__pack_scales_of(part, part->tensor, matrix->in_features, group);
        scales[h] = (range){s.at, s.bytes};
    }
    if (scales[0].at.host != NULL) status = bring(job, scales, &job->packer->scales, views, error);
    for (uint32_t p = 0; p < matrix->panels && status == CLMOE_OK;) {
        const uint64_t index = (uint64_t)group * matrix->panels + p;
        const uint64_t room = matrix->panels_per_shard - index % matrix->panels_per_shard;
        const uint32_t n = (uint32_t)clmoe__min(clmoe__min(matrix->panels - p, fit), clmoe__min(room, 65535));
        status = pack_piece(job, group, p, n, scales, error);
        if (job->pending >= PENDING_BYTES && job->packer->released != NULL) settle(job, group);
        p += n;
    }
    release_views(job, views);
    return status;
}

static clmoe_status pack_experts(rows_job *job, clmoe_error *error) {
    const uint32_t groups = job->matrix->groups;
    clmoe__run *run = &job->private_run.run;
    TRY(clmoe__private_run_begin(&job->private_run, job->packer->context, error));
    clmoe__touch_shards(run, &job->touch, job->matrix);
    for (uint32_t g = 0; g < groups && run->status == CLMOE_OK; g++) {
        const clmoe_status status = pack_expert(job, g, error);
        if (status != CLMOE_OK) clmoe__run_fail(run, status);
    }
    settle(job, groups);
    return clmoe__private_run_end(&job->private_run);
}

clmoe_status clmoe__pack_rows(clmoe__packer *packer, const clmoe__matrix *matrix, const clmoe__matrix_part *parts,
                              uint32_t count, clmoe_error *error) {
    rows_job job = {.packer = packer, .matrix = matrix, .parts = parts, .count = count};
    const clmoe_tensor *tensor = parts[0].tensor;
    const clmoe__pack_source source = clmoe__pack_source_of(&parts[0], tensor, matrix->in_features, 0);
    job.on_host = clmoe__is_on_host(tensor);
    job.panel_rows = count == 1 ? 2 * matrix->lanes : matrix->lanes;
    job.row_bytes = source.out_stride * source.bits / 8;
    job.row_width = (uint64_t)matrix->in_features * source.bits / 8;
    job.panel_stride = matrix->lanes * job.row_bytes;
    clmoe__options options = {{0}, 0};
    clmoe__options_add(&options,
                       " -DSOURCE_FORMAT=%u -DSCALE_FORMAT=%u -DWEIGHT_FORMAT=%u -DARITHMETIC=%u -DPANEL_LANES=%u"
                       " -DPREFETCH=%d",
                       tensor->format, tensor->scales != NULL ? tensor->scales->format : 0, matrix->format,
                       matrix->arithmetic, matrix->lanes, clmoe__prefetch_kind(&packer->context->device));
    TRY(clmoe__kernel_create(packer->context, "pack_rows.cl", "pack_rows", &options, "pack", &job.kernel, error));
    clmoe_status status =
        clmoe__kernel_create(packer->context, "pack_rows.cl", "touch_pages", &options, "pack", &job.touch, error);
    if (status == CLMOE_OK) status = pack_experts(&job, error);
    clmoe__kernel_destroy(packer->context, &job.touch);
    clmoe__kernel_destroy(packer->context, &job.kernel);
    return status;
}
