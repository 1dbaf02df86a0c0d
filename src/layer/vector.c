/* Small f32 vectors on the device, made from a caller's tensor: biases, scales, gates. The conversion runs on the host.
 * May call src/opencl and src/os. */
#include <stdlib.h>
#include <string.h>

#include "opencl/private_run.h"
#include "stages.h"

static float f32_from_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float f32_from_f16(uint16_t half) {
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    const uint32_t exponent = (half >> 10) & 31u, mantissa = half & 0x3ffu;
    if (exponent == 31u) return f32_from_bits(sign | 0x7f800000u | mantissa << 13);
    if (exponent != 0u) return f32_from_bits(sign | (exponent + 112u) << 23 | mantissa << 13);
    const float magnitude = (float)mantissa * 0x1p-24f; /* subnormal or zero */
    return sign != 0u ? -magnitude : magnitude;
}

/* Element `index` of memory that need not be aligned. */
static float element(const unsigned char *memory, uint32_t format, uint64_t index) {
    uint32_t wide;
    uint16_t narrow;
    if (format == CLMOE_F32) {
        memcpy(&wide, memory + index * 4, sizeof wide);
        return f32_from_bits(wide);
    }
    memcpy(&narrow, memory + index * 2, sizeof narrow);
    return format == CLMOE_F16 ? f32_from_f16(narrow) : f32_from_bits((uint32_t)narrow << 16);
}

/* Elements from one value to the next: apart only in a column that is told to have a stride. */
static uint64_t element_step(const clmoe_tensor *tensor) {
    return tensor->layout == CLMOE_IN_OUT && tensor->row_stride != 0 ? tensor->row_stride : 1;
}

/* The source as bytes: the caller's memory, or *copy (to be freed) read from the device. */
static const void *source_bytes(clmoe__run *run, const clmoe_tensor *tensor, uint64_t bytes, void **copy) {
    if (tensor->host != NULL) return tensor->host;
    if (tensor->host_list != NULL) return tensor->host_list[0];
    *copy = malloc((size_t)bytes);
    if (*copy == NULL) {
        clmoe__run_fail(run, clmoe__fail(run->error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for %llu bytes",
                                         (unsigned long long)bytes));
        return NULL;
    }
    clmoe__run_read(run, *copy, tensor->buffer_list != NULL ? tensor->buffer_list : &tensor->buffer, bytes);
    return *copy;
}

static void fill(clmoe__run *run, const clmoe_tensor *tensor, uint64_t count, float *values, cl_mem mem) {
    const uint64_t step = element_step(tensor), size = clmoe__format_bytes(tensor->format);
    void *copy = NULL;
    const unsigned char *source = source_bytes(run, tensor, ((count - 1) * step + 1) * size, &copy);
    if (run->status == CLMOE_OK) {
        for (uint64_t i = 0; i < count; i++) values[i] = element(source, tensor->format, i * step);
        const clmoe_buffer to = clmoe_cl_mem(mem, 0);
        clmoe__run_write(run, &to, values, count * sizeof *values);
    }
    free(copy);
}

clmoe_status clmoe__vector_create(clmoe_context *context, const clmoe_tensor *tensor, uint64_t count, const char *name,
                                  clmoe__vector *vector, clmoe_error *error) {
    vector->block = (clmoe__block){0};
    TRY(clmoe__tensor_check(context, tensor, 1, 1, count, 0, name, error));
    if (!clmoe__tensor_present(tensor)) return CLMOE_OK;
    float *values = count <= SIZE_MAX / sizeof *values ? malloc((size_t)count * sizeof *values) : NULL;
    if (values == NULL) {
        return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, name, "no memory for the %llu values of %s",
                           (unsigned long long)count, name);
    }
    clmoe__private_run private_run;
    clmoe_status status = clmoe__pool_alloc(context, count * sizeof *values, &vector->block, error);
    if (status == CLMOE_OK) status = clmoe__private_run_begin(&private_run, context, error);
    if (status == CLMOE_OK) {
        fill(&private_run.run, tensor, count, values, vector->block.mem);
        status = clmoe__private_run_end(&private_run);
    }
    free(values);
    if (status != CLMOE_OK) clmoe__vector_destroy(context, vector);
    return status;
}

void clmoe__vector_destroy(clmoe_context *context, clmoe__vector *vector) {
    /* Dropped, not pooled: enqueued work may still read it, and nobody knows until when. */
    if (vector->block.mem != NULL) clmoe__pool_drop(context, &vector->block);
}
