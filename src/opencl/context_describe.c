/* The text of clmoe_context_describe. Calls no OpenCL function: everything was read when the context was created. */
#include <stdarg.h>
#include <stdio.h>

#include "cache.h"

/* The caller's text, and how long it would be if it all fitted. */
typedef struct description {
    char *text;
    size_t capacity, length;
} description;

static void line(description *d, const char *format, ...) CLMOE__PRINTF(2, 3);

static void line(description *d, const char *format, ...) {
    const size_t room = d->length < d->capacity ? d->capacity - d->length : 0;
    va_list arguments;
    va_start(arguments, format);
    const int added = vsnprintf(room > 0 ? d->text + d->length : NULL, room, format, arguments);
    va_end(arguments);
    d->length += added > 0 ? (size_t)added : 0;
}

static void describe_device(description *d, const clmoe__device *device) {
    line(d, "device: %s\n", device->name);
    line(d, "platform: %s, %s\n", device->platform, device->vendor);
    line(d, "version: %s, driver %s\n", device->device_version, device->driver_version);
    line(d, "kind: %s%s%s\n", device->is_cpu ? "cpu" : device->is_gpu ? "gpu" : "accelerator",
         device->is_this_host ? ", this host's own" : "", device->is_sub_device ? ", a sub-device" : "");
    line(d, "compute units: %u\n", device->compute_units);
    line(d, "vector width: %u floats\n", device->vector_width);
    line(d, "work-group: at most %u work-items\n", device->max_work_group_size);
    line(d, "local memory: %llu bytes, %s\n", (unsigned long long)device->local_bytes,
         device->local_is_dedicated ? "dedicated" : "in global memory");
    line(d, "global memory: %llu bytes%s\n", (unsigned long long)device->global_bytes,
         device->host_unified ? ", shared with the host" : "");
    line(d, "largest buffer: %llu bytes\n", (unsigned long long)device->max_alloc_bytes);
    line(d, "largest workspace: %llu bytes\n", (unsigned long long)device->max_workspace_bytes);
    line(d, "fp16: %s\n", device->fp16 ? "yes" : "no");
    line(d, "integer dot products: %s\n", device->integer_dot ? "yes" : "no");
    if (device->is_this_host) {
        line(d, "cpu features:%s%s%s%s%s%s\n", device->avx2_fma ? " avx2_fma" : "", device->avx_vnni ? " avx_vnni" : "",
             device->avx512f ? " avx512f" : "", device->avx512_bf16 ? " avx512_bf16" : "",
             device->avx512_vnni ? " avx512_vnni" : "", device->avx512_vbmi ? " avx512_vbmi" : "");
    }
}

clmoe_status clmoe_context_describe(const clmoe_context *context, char *text, size_t capacity, size_t *length,
                                    clmoe_error *error) {
    REQUIRE(context != NULL, error, "context", "context is NULL");
    REQUIRE(text != NULL || capacity == 0, error, "text", "text is NULL with a capacity of %zu", capacity);
    description d = {text, capacity, 0};
    describe_device(&d, &context->device);
    line(&d, "kernels: %s\n", context->kernel_dir != NULL ? context->kernel_dir : "embedded");
    if (context->disable[0] != '\0') line(&d, "disabled: %s\n", context->disable);
    const size_t left = d.length < capacity ? capacity - d.length : 0;
    d.length += clmoe__cache_describe(context, left > 0 ? text + d.length : NULL, left);
    const size_t rest = d.length < capacity ? capacity - d.length : 0;
    d.length += clmoe__tuning_part.describe(context, rest > 0 ? text + d.length : NULL, rest);
    if (context->describe_verdicts != NULL) {
        const size_t room = d.length < capacity ? capacity - d.length : 0;
        d.length += context->describe_verdicts(context, room > 0 ? text + d.length : NULL, room);
    }
    if (length != NULL) *length = d.length;
    return CLMOE_OK;
}
