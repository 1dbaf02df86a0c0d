/* Packing with any strides on any device. Host sources pass through one staging buffer in slabs: whole panels of an
 * expert's outputs, or runs of k where the source has k as its rows; device sources are read in place. */
#include "pack.h"

#define STAGING_USUAL (16u << 20)
#define PIECE_LANES   32 /* of a wide panel; no other panel has more */
#define K_RUN         64 /* of cl/pack_weights.cl */

/* What does not change while a part is packed. */
typedef struct any_job {
    clmoe__packer *packer;
    clmoe__private_run private_run;
    clmoe__kernel kernel;
    const clmoe__matrix_part *part;
    const clmoe__block *shards; /* of the target */
    uint64_t panels_per_shard;
    uint32_t panels, outs, features;
    const char *name;
    clmoe__pack_scales scales; /* of the expert at work, on the device */
} any_job;

/* Launches the kernel for outs [out_begin, out_end) and k [k_begin, k_end), which start at `from`, shard by shard. */
static void launch_piece(any_job *job, uint32_t group, const clmoe_buffer *from, const clmoe__pack_source *source,
                         uint32_t out_begin, uint32_t out_end, uint32_t k_begin, uint32_t k_end) {
    clmoe__run *run = &job->private_run.run;
    const clmoe__matrix_part *part = job->part;
    const uint32_t lanes = part->lane_count;
    for (uint32_t out = out_begin; out < out_end;) {
        const uint32_t lane = out % lanes; /* not 0 in a wide panel only, which is alone */
        const uint64_t index = (uint64_t)group * job->panels + out / lanes;
        const uint64_t shard = index / job->panels_per_shard, place = index % job->panels_per_shard;
        const uint64_t room = (job->panels_per_shard - place) * lanes - lane;
        const uint32_t outs = (uint32_t)clmoe__min(clmoe__min(out_end - out, room), 65535ull * lanes);
        const size_t local_size = job->packer->context->device.is_cpu ? 1 : 16;
        const size_t local[2] = {local_size, 1};
        const size_t global[2] = {(size_t)clmoe__div_up(outs, lanes) * local_size,
                                  (size_t)clmoe__div_up(k_end - k_begin, K_RUN)};
        clmoe__run_kernel(run, &job->kernel);
        clmoe_buffer piece = *from;
        piece.offset += (out - out_begin) * source->out_stride * source->bits / 8;
        clmoe__run_buffer(run, &piece, source->bits < 8 ? 1 : source->bits / 8);
        clmoe__run_u64(run, source->out_stride);
        clmoe__run_u64(run, source->k_stride);
        clmoe__run_mem(run, job->shards[shard].mem);
        clmoe__run_u64(run, place);
        clmoe__run_u32(run, outs);
        clmoe__run_u32(run, k_begin);
        clmoe__run_u32(run, k_end);
        clmoe__run_u32(run, job->features);
        const uint32_t to_edge = lanes - lane; /* what is past the matrix's last column becomes 0 */
        clmoe__run_u32(run, part->lane_begin + lane);
        clmoe__run_u32(run, outs < to_edge && out + outs < job->outs ? outs : to_edge);
        clmoe__run_buffer(run, &job->scales.at.buffer, 1);
        clmoe__run_u32(run, part->row_begin + out * part->row_step);
        clmoe__run_u32(run, part->row_step);
        clmoe__run_u32(run, job->scales.block_rows);
        clmoe__run_u32(run, job->scales.block_columns);
        clmoe__run_u32(run, job->scales.columns);
        clmoe__run_launch(run, 2, global, local);
        out += outs;
    }
}

/* Copies the smallest host range that holds the piece to the staging buffer and packs it from there. */
static void pack_host_piece(any_job *job, uint32_t group, const clmoe__pack_source *source, uint32_t out_begin,
                            uint32_t out_end, uint32_t k_begin, uint32_t k_end) {
    const uint64_t first = out_begin * source->out_stride + k_begin * source->k_stride;
    const uint64_t last = (out_end - 1) * source->out_stride + (k_end - 1) * source->k_stride;
    const clmoe_buffer staging = clmoe_cl_mem(job->packer->staging.mem, 0);
    clmoe__run_write(&job->private_run.run, &staging, source->at.host + first * source->bits / 8,
                     clmoe__div_up((last - first + 1) * source->bits, 8));
    launch_piece(job, group, &staging, source, out_begin, out_end, k_begin, k_end);
}

/* How many lines (outs or k) of `stride` elements fit in the staging buffer, in whole `step`s; grows it to hold one
 * step. */
static clmoe_status slab_lines(any_job *job, uint64_t stride, uint32_t step, uint32_t bits, uint32_t *lines,
                               clmoe_error *error) {
    clmoe__packer *packer = job->packer;
    const uint64_t line_bytes = clmoe__mul(stride, bits) / 8, needed = clmoe__mul(line_bytes, step);
    if (needed > CLMOE__STAGING_LIMIT)
        return clmoe__fail(error, CLMOE_UNSUPPORTED, job->name,
                           "row_stride is %llu elements: %u rows exceed %u MiB of staging", (unsigned long long)stride,
                           step, CLMOE__STAGING_LIMIT >> 20);
    const uint64_t wanted = clmoe__min(clmoe__max(STAGING_USUAL, needed), packer->context->device.max_alloc_bytes);
    TRY(clmoe__pack_staging(packer, &packer->staging, wanted, error));
    const uint64_t fit = packer->staging.bytes / line_bytes / step * step;
    if (fit == 0)
        return clmoe__fail(error, CLMOE_OUT_OF_DEVICE_MEMORY, job->name, "no room for %llu bytes of staging",
                           (unsigned long long)needed);
    *lines = (uint32_t)clmoe__min(fit, UINT32_MAX / 2 / step * step);
    return CLMOE_OK;
}

/* Sets the expert's scales, brought to the device where they are on the host. */
static clmoe_status take_scales(any_job *job, const clmoe_tensor *tensor, uint32_t group, clmoe_error *error) {
    job->scales = clmoe__pack_scales_of(job->part, tensor, job->features, group);
    const unsigned char *host = job->scales.at.host;
    if (host == NULL) return CLMOE_OK;
    TRY(clmoe__pack_staging(job->packer, &job->packer->scales, job->scales.bytes, error));
    job->scales.at = (clmoe__place){NULL, clmoe_cl_mem(job->packer->scales.mem, 0)};
    clmoe__run_write(&job->private_run.run, &job->scales.at.buffer, host, job->scales.bytes);
    return job->private_run.run.status;
}

static clmoe_status pack_expert(any_job *job, uint32_t group, const clmoe_tensor *tensor, clmoe_error *error) {
    const clmoe__pack_source source = clmoe__pack_source_of(job->part, tensor, job->features, group);
    TRY(take_scales(job, tensor, group, error));
    if (source.at.host == NULL) {
        launch_piece(job, group, &source.at.buffer, &source, 0, job->outs, 0, job->features);
        return CLMOE_OK;
    }
    uint32_t lines;
    if (tensor->layout == CLMOE_OUT_IN) {
        const uint32_t step = (uint32_t)clmoe__min(job->part->lane_count, PIECE_LANES);
        TRY(slab_lines(job, source.out_stride, step, source.bits, &lines, error));
        for (uint32_t out = 0; out < job->outs; out += lines)
            pack_host_piece(job, group, &source, out, (uint32_t)clmoe__min((uint64_t)out + lines, job->outs), 0,
                            job->features);
    } else {
        TRY(slab_lines(job, source.k_stride, K_RUN, source.bits, &lines, error));
        for (uint32_t k = 0; k < job->features; k += lines)
            pack_host_piece(job, group, &source, 0, job->outs, k,
                            (uint32_t)clmoe__min((uint64_t)k + lines, job->features));
    }
    return CLMOE_OK;
}

static void release(const any_job *job, uint32_t group) {
    const clmoe__packer *packer = job->packer;
    if (job->part->last_reader && packer->released != NULL) packer->released(packer->released_user, job->name, group);
}

/* Every expert in turn; host sources may be freed one by one, device sources when all is done. */
static clmoe_status pack_experts(any_job *job, const clmoe_tensor *tensor, uint32_t groups, clmoe_error *error) {
    const int on_host = clmoe__is_on_host(tensor);
    clmoe__run *run = &job->private_run.run;
    TRY(clmoe__private_run_begin(&job->private_run, job->packer->context, error));
    for (uint32_t g = 0; g < groups && run->status == CLMOE_OK; g++) {
        const clmoe_status status = pack_expert(job, g, tensor, error);
        if (status != CLMOE_OK) clmoe__run_fail(run, status);
        if (on_host && run->status == CLMOE_OK) release(job, g);
    }
    const clmoe_status status = clmoe__private_run_end(&job->private_run);
    for (uint32_t g = 0; status == CLMOE_OK && !on_host && g < groups; g++) release(job, g);
    return status;
}

clmoe_status clmoe__pack_any(clmoe__packer *packer, const clmoe__matrix *matrix, const clmoe__matrix_part *part,
                             int is_bias, clmoe_error *error) {
    any_job job = {.packer = packer, .part = part, .panels = matrix->panels, .outs = matrix->out_features};
    clmoe_tensor tensor = is_bias ? *part->bias : *part->tensor;
    job.name = is_bias ? part->bias_name : part->name;
    job.shards = is_bias ? &matrix->bias : matrix->shards;
    job.panels_per_shard = is_bias ? UINT64_MAX : matrix->panels_per_shard;
    job.features = is_bias ? 1 : matrix->in_features;
    if (is_bias) { /* [rows] is a matrix [rows, 1] */
        if (tensor.layout == CLMOE_OUT_IN || tensor.row_stride == 0) tensor.row_stride = 1;
        tensor.layout = CLMOE_OUT_IN;
    }
    clmoe__options options = {{0}, 0};
    clmoe__options_add(
        &options, " -DSOURCE_FORMAT=%u -DSCALE_FORMAT=%u -DWEIGHT_FORMAT=%u -DARITHMETIC=%u -DPANEL_LANES=%u",
        tensor.format, tensor.scales != NULL ? tensor.scales->format : 0, is_bias ? CLMOE_F32 : matrix->format,
        is_bias ? CLMOE_ARITHMETIC_F32 : matrix->arithmetic, matrix->lanes);
    if (part->is_rest) clmoe__options_add(&options, " -DREST=1");
    TRY(clmoe__kernel_create(packer->context, "pack_weights.cl", "pack_weights", &options, "pack", &job.kernel, error));
    const clmoe_status status = pack_experts(&job, &tensor, matrix->groups, error);
    clmoe__kernel_destroy(packer->context, &job.kernel);
    return status;
}
