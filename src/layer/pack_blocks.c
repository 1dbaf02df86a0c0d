/* Packing tensors in block formats: pieces of whole panels of one part, on any device. Host memory is read where it lies where
 * the device can (host_view.h), else through the staging buffer. */
#include "opencl/host_view.h"
#include "pack.h"

#define PIECE_BYTES   (16u << 20) /* of source in a launch */
#define PENDING_BYTES (48u << 20) /* of source enqueued before it is waited for */

typedef struct blocks_job {
    clmoe__packer *packer;
    clmoe__private_run private_run;
    clmoe__kernel kernel;
    const clmoe__matrix *matrix;
    const clmoe__matrix_part *part;
    uint64_t row_bytes, row_width; /* from a row to the part's next; of a row */
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
    const uint32_t values = clmoe__super_values(job->part->tensor->format);
    const uint64_t supers = clmoe__div_up(matrix->in_features, values);
    const uint32_t run_supers = supers_of_group(job, panels, supers);
    const size_t items = job->packer->context->device.is_cpu ? 1 : 16;
    const size_t local[2] = {items, 1}, global[2] = {panels * items, (size_t)clmoe__div_up(supers, run_supers)};
    clmoe__run *run = &job->private_run.run;
    clmoe__run_kernel(run, &job->kernel);
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
    if (packer->staging.bytes < bytes) clmoe__run_wait(&job->private_run.run); /* the smaller one is still read */
    TRY(clmoe__pack_staging(packer, &packer->staging, bytes, error));
    *at = (clmoe__place){NULL, clmoe_cl_mem(packer->staging.mem, 0)};
    clmoe__run_write(&job->private_run.run, &at->buffer, host, bytes);
    return job->private_run.run.status;
}

/* Panels [p, p + panels) of an expert, all in one shard. */
static clmoe_status pack_piece(blocks_job *job, uint32_t group, clmoe__place at, uint32_t p, uint32_t panels,
                               clmoe_error *error) {
    const clmoe__matrix *matrix = job->matrix;
    const uint64_t first = (uint64_t)p * job->part->lane_count;
    const uint64_t outs = clmoe__min((uint64_t)panels * job->part->lane_count, matrix->out_features - first);
    cl_mem view = NULL;
    at = clmoe__place_plus(at, first * job->row_bytes);
    if (at.host != NULL) TRY(bring(job, &at, (outs - 1) * job->row_bytes + job->row_width, &view, error));
    launch(job, &at.buffer, (uint64_t)group * matrix->panels + p, panels, (uint32_t)outs);
    clmoe__host_view_release(job->packer->context, view);
    return job->private_run.run.status;
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

static clmoe_status pack_expert(blocks_job *job, uint32_t group, clmoe_error *error) {
    const clmoe__matrix *matrix = job->matrix;
    const clmoe__place at = clmoe__pack_source_of(job->part, job->part->tensor, matrix->in_features, group).at;
    const uint64_t limit = clmoe__min(PIECE_BYTES, job->packer->context->device.max_alloc_bytes);
    const uint64_t fit = clmoe__max(limit / (job->part->lane_count * job->row_bytes), 1);
    for (uint32_t p = 0; p < matrix->panels;) {
        const uint64_t place = ((uint64_t)group * matrix->panels + p) % matrix->panels_per_shard;
        const uint64_t room = clmoe__min(matrix->panels_per_shard - place, 65535);
        const uint32_t panels = (uint32_t)clmoe__min(clmoe__min(matrix->panels - p, fit), room);
        TRY(pack_piece(job, group, at, p, panels, error));
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

clmoe_status clmoe__pack_blocks(clmoe__packer *packer, const clmoe__matrix *matrix, const clmoe__matrix_part *part,
                                clmoe_error *error) {
    blocks_job job = {.packer = packer, .matrix = matrix, .part = part};
    const clmoe_tensor *tensor = part->tensor;
    const clmoe__pack_source source = clmoe__pack_source_of(part, tensor, matrix->in_features, 0);
    job.row_bytes = clmoe__format_span(tensor->format, source.out_stride);
    job.row_width = clmoe__format_span(tensor->format, matrix->in_features);
    clmoe__options options = {{0}, 0};
    clmoe__options_add(&options, " -DSOURCE_FORMAT=%u -DWEIGHT_FORMAT=%u -DARITHMETIC=%u -DPANEL_LANES=%u -DLANES=%u",
                       tensor->format, matrix->format, matrix->arithmetic, matrix->lanes,
                       packer->context->device.is_cpu ? matrix->lanes : 1);
    TRY(clmoe__kernel_create(packer->context, "pack_blocks.cl", "pack_blocks", &options, "pack", &job.kernel, error));
    const clmoe_status status = pack_experts(&job, error);
    clmoe__kernel_destroy(packer->context, &job.kernel);
    return status;
}
