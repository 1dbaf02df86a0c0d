/* Packing from and to block formats: pieces of whole panels of one part, on any device. Host memory is read where it
 * lies where the device can (host_view.h), else through the staging buffer. Rows without blocks are quantised first,
 * and groups in tensors of their own made blocks (regroup.c), to a buffer of blocks that is packed then. */
#include "groups.h"
#include "opencl/host_view.h"

#define PIECE_BYTES   (16u << 20) /* of source in a launch */
#define PENDING_BYTES (48u << 20) /* of source enqueued before it is waited for */

typedef struct blocks_job {
    clmoe__packer *packer;
    clmoe__private_run private_run;
    clmoe__kernel pack, quantize; /* the second where the source has no blocks */
    clmoe__regroup regroup;       /* where it has groups in tensors of their own */
    const clmoe__matrix *matrix;
    const clmoe__matrix_part *part;
    uint32_t block_format;
    int quantizes, regroups;
    uint64_t row_bytes, row_width; /* of blocks: from a row to the part's next; of a row */
    uint64_t pending;              /* bytes of source enqueued and not waited for */
    uint32_t released;             /* experts the caller was told of */
} blocks_job;

/* Work-groups take whole rows where panels alone keep the device busy. */
static uint32_t supers_of_group(const blocks_job *job, uint32_t panels, uint64_t supers) {
    const uint64_t runs = clmoe__div_up(4ull * job->packer->context->device.compute_units, panels);
    return (uint32_t)clmoe__max(clmoe__div_up(supers, runs), 1);
}

static void launch(blocks_job *job, const clmoe_buffer *from, uint64_t index, uint32_t panels, uint32_t outs) {
    const clmoe__matrix *matrix = job->matrix;
    const uint32_t values = clmoe__super_values(job->block_format);
    const uint64_t supers = clmoe__div_up(matrix->in_features, values);
    const uint32_t run_supers = supers_of_group(job, panels, supers);
    const size_t items = job->packer->context->device.is_cpu ? 1 : 16;
    const size_t local[2] = {items, 1}, global[2] = {panels * items, (size_t)clmoe__div_up(supers, run_supers)};
    clmoe__run *run = &job->private_run.run;
    clmoe__run_kernel(run, &job->pack);
    clmoe__run_buffer(run, from, 1);
    clmoe__run_u64(run, job->row_bytes);
    clmoe__run_mem(run, matrix->shards[index / matrix->panels_per_shard].mem);
    clmoe__run_u64(run, index % matrix->panels_per_shard);
    clmoe__run_u32(run, outs);
    clmoe__run_u32(run, matrix->in_features);
    clmoe__run_u32(run, run_supers);
    clmoe__run_u32(run, job->part->lane_begin);
    clmoe__run_u32(run, job->part->lane_count);
    clmoe__run_launch(run, 2, global, local);
}

/* Brings host memory to the device: by a view (to be released by the caller), else by a copy in the staging buffer. */
static clmoe_status bring(blocks_job *job, clmoe__place *at, uint64_t bytes, cl_mem *view, clmoe_error *error) {
    clmoe__packer *packer = job->packer;
    const unsigned char *host = at->host;
    *view = clmoe__host_view(packer->context, host, bytes);
    job->pending += bytes;
    if (*view != NULL) {
        *at = (clmoe__place){NULL, clmoe_cl_mem(*view, 0)};
        return CLMOE_OK;
    }
    if (bytes > CLMOE__STAGING_LIMIT - PIECE_BYTES)
        return clmoe__fail(error, CLMOE_UNSUPPORTED, job->part->name,
                           "%s: %llu bytes of one piece exceed the staging of %u MiB", job->part->name,
                           (unsigned long long)bytes, (CLMOE__STAGING_LIMIT - PIECE_BYTES) >> 20);
    if (packer->staging.bytes < bytes) clmoe__run_wait(&job->private_run.run); /* the smaller one is still read */
    TRY(clmoe__pack_staging(packer, &packer->staging, bytes, error));
    *at = (clmoe__place){NULL, clmoe_cl_mem(packer->staging.mem, 0)};
    clmoe__run_write(&job->private_run.run, &at->buffer, host, bytes);
    return job->private_run.run.status;
}

/* Bytes from the first of `outs` neighbouring columns to behind the last of them. */
static uint64_t reach(const blocks_job *job, const clmoe__pack_source *source, uint64_t outs) {
    if (!job->quantizes) return (outs - 1) * job->row_bytes + job->row_width;
    const uint64_t last = (outs - 1) * source->out_stride + (job->matrix->in_features - 1) * source->k_stride;
    return (last + 1) * (source->bits / 8);
}

/* Rows at *at to blocks in a buffer of their own, where *at is then. */
static clmoe_status quantize(blocks_job *job, const clmoe__pack_source *source, clmoe_buffer *at, uint64_t outs,
                             clmoe_error *error) {
    clmoe__run *run = &job->private_run.run;
    const uint64_t bytes = outs * job->row_width;
    if (job->packer->blocks.bytes < bytes) clmoe__run_wait(run); /* the smaller one is still read */
    TRY(clmoe__pack_staging(job->packer, &job->packer->blocks, bytes, error));
    const clmoe_buffer blocks = clmoe_cl_mem(job->packer->blocks.mem, 0);
    const size_t items = job->packer->context->device.is_cpu ? 1 : 16;
    const size_t local[1] = {items}, global[1] = {(size_t)outs * items};
    clmoe__run_kernel(run, &job->quantize);
    clmoe__run_buffer(run, at, 1);
    clmoe__run_u64(run, source->out_stride);
    clmoe__run_u64(run, source->k_stride);
    clmoe__run_buffer(run, &blocks, 1);
    clmoe__run_u32(run, job->matrix->in_features);
    clmoe__run_launch(run, 1, global, local);
    *at = blocks;
    return CLMOE_OK;
}

/* Panels [p, p + panels) of an expert, all in one shard. */
static clmoe_status pack_piece(blocks_job *job, uint32_t group, const clmoe__pack_source *source, uint32_t p,
                               uint32_t panels, clmoe_error *error) {
    const clmoe__matrix *matrix = job->matrix;
    const uint64_t first = (uint64_t)p * job->part->lane_count;
    const uint64_t outs = clmoe__min((uint64_t)panels * job->part->lane_count, matrix->out_features - first);
    if (job->regroups) {
        clmoe_buffer blocks;
        TRY(clmoe__regroup_piece(&job->regroup, &job->private_run.run, group, first, outs, &blocks, error));
        job->pending += outs * job->row_width;
        launch(job, &blocks, (uint64_t)group * matrix->panels + p, panels, (uint32_t)outs);
        return job->private_run.run.status;
    }
    const uint64_t ahead = job->quantizes ? first * source->out_stride * (source->bits / 8) : first * job->row_bytes;
    clmoe__place at = clmoe__place_plus(source->at, ahead);
    clmoe_status status = CLMOE_OK;
    cl_mem view = NULL;
    if (at.host != NULL) TRY(bring(job, &at, reach(job, source, outs), &view, error));
    if (job->quantizes) status = quantize(job, source, &at.buffer, outs, error);
    if (status == CLMOE_OK) launch(job, &at.buffer, (uint64_t)group * matrix->panels + p, panels, (uint32_t)outs);
    if (source->k_stride != 1) clmoe__run_wait(&job->private_run.run); /* pieces overlap, and views must not */
    clmoe__host_view_release(job->packer->context, view);
    return status == CLMOE_OK ? job->private_run.run.status : status;
}

/* Waits for what is enqueued and tells the caller which experts' memory may be freed: all below `done`. */
static void settle(blocks_job *job, uint32_t done) {
    const clmoe__packer *packer = job->packer;
    clmoe__run_wait(&job->private_run.run);
    job->pending = 0;
    if (job->private_run.run.status != CLMOE_OK || !job->part->last_reader || packer->released == NULL) return;
    for (; job->released < done; job->released++)
        packer->released(packer->released_user, job->part->name, job->released);
}

/* How many panels a piece may have: of their rows, gaps included, PIECE_BYTES, and of work-groups of the quantiser
 * 65535. Rows that are k lie all over the expert's matrix, so that a piece of any size reaches over all of it. */
static uint64_t panels_that_fit(const blocks_job *job, const clmoe__pack_source *source) {
    const uint64_t limit = clmoe__min(PIECE_BYTES, job->packer->context->device.max_alloc_bytes);
    const uint64_t row = job->quantizes ? source->out_stride * (source->bits / 8) : job->row_bytes;
    const uint64_t fit = limit / (job->part->lane_count * clmoe__max(row, job->row_width));
    return clmoe__max(1, job->quantizes ? clmoe__min(fit, 65535 / job->part->lane_count) : fit);
}

static clmoe_status pack_expert(blocks_job *job, uint32_t group, clmoe_error *error) {
    const clmoe__matrix *matrix = job->matrix;
    const clmoe__pack_source source = clmoe__pack_source_of(job->part, job->part->tensor, matrix->in_features, group);
    const uint64_t fit = panels_that_fit(job, &source);
    for (uint32_t p = 0; p < matrix->panels;) {
        const uint64_t place = ((uint64_t)group * matrix->panels + p) % matrix->panels_per_shard;
        const uint64_t room = clmoe__min(matrix->panels_per_shard - place, 65535);
        const uint32_t panels = (uint32_t)clmoe__min(clmoe__min(matrix->panels - p, fit), room);
        TRY(pack_piece(job, group, &source, p, panels, error));
        if (job->pending >= PENDING_BYTES) settle(job, group);
        p += panels;
    }
    return CLMOE_OK;
}

static clmoe_status pack_experts(blocks_job *job, clmoe_error *error) {
    const uint32_t groups = job->matrix->groups;
    clmoe__run *run = &job->private_run.run;
    TRY(clmoe__private_run_begin(&job->private_run, job->packer->context, error));
    for (uint32_t g = 0; g < groups && run->status == CLMOE_OK; g++) {
        const clmoe_status status = pack_expert(job, g, error);
        if (status != CLMOE_OK) clmoe__run_fail(run, status);
    }
    settle(job, groups);
    return clmoe__private_run_end(&job->private_run);
}

static clmoe_status create_kernels(blocks_job *job, clmoe_error *error) {
    clmoe_context *context = job->packer->context;
    const clmoe__matrix *matrix = job->matrix;
    clmoe__options options = {{0}, 0};
    clmoe__options_add(&options, " -DSOURCE_FORMAT=%u -DWEIGHT_FORMAT=%u -DARITHMETIC=%u -DPANEL_LANES=%u -DLANES=%u",
                       job->block_format, matrix->format, matrix->arithmetic, matrix->lanes,
                       context->device.is_cpu ? matrix->lanes : 1);
    TRY(clmoe__kernel_create(context, "pack_blocks.cl", "pack_blocks", &options, "pack", &job->pack, error));
    if (job->regroups)
        TRY(clmoe__regroup_create(job->packer, job->part, matrix->in_features, &job->regroup, error));
    if (!job->quantizes) return CLMOE_OK;
    clmoe__options formats = {{0}, 0};
    clmoe__options_add(&formats, " -DSOURCE_FORMAT=%u -DBLOCK_FORMAT=%u", job->part->tensor->format, job->block_format);
    return clmoe__kernel_create(context, "quantize.cl", "quantize", &formats, "quantize", &job->quantize, error);
}

clmoe_status clmoe__pack_blocks(clmoe__packer *packer, const clmoe__matrix *matrix, const clmoe__matrix_part *part,
                                clmoe_error *error) {
    blocks_job job = {.packer = packer, .matrix = matrix, .part = part};
    const uint32_t format = part->tensor->format;
    job.quantizes = !clmoe__format_is_block(format);
    job.regroups = part->tensor->groups != NULL;
    job.regroup.packer = packer;
    job.block_format = job.quantizes ? matrix->format : format;
    job.row_width = clmoe__format_span(job.block_format, matrix->in_features);
    job.row_bytes = job.row_width;
    if (!job.quantizes && !job.regroups)
        job.row_bytes =
            clmoe__format_span(format, clmoe__pack_source_of(part, part->tensor, matrix->in_features, 0).out_stride);
    clmoe_status status = create_kernels(&job, error);
    if (status == CLMOE_OK) status = pack_experts(&job, error);
    clmoe__kernel_destroy(packer->context, &job.pack);
    clmoe__kernel_destroy(packer->context, &job.quantize);
    clmoe__regroup_destroy(&job.regroup);
    return status;
}
