/* Checks of the buffers a caller passes. Calls clGetMemObjectInfo of the table. */
#include "os/size.h"
#include "run.h"

/* What OpenCL says about a handle. */
static clmoe_status read_mem(const clmoe_context *context, cl_mem mem, const char *name, uint64_t *size,
                             clmoe_error *error) {
    const clmoe__cl *cl = &context->cl;
    cl_mem_object_type type = 0;
    cl_context opencl = NULL;
    size_t bytes = 0;
    cl_int code = cl->clGetMemObjectInfo(mem, CL_MEM_TYPE, sizeof type, &type, NULL);
    if (code == CL_SUCCESS) code = cl->clGetMemObjectInfo(mem, CL_MEM_CONTEXT, sizeof opencl, &opencl, NULL);
    if (code == CL_SUCCESS) code = cl->clGetMemObjectInfo(mem, CL_MEM_SIZE, sizeof bytes, &bytes, NULL);
    REQUIRE(code != CL_INVALID_MEM_OBJECT, error, name, "%s.handle is not a cl_mem", name);
    if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clGetMemObjectInfo");
    REQUIRE(type == CL_MEM_OBJECT_BUFFER, error, name, "%s is a cl_mem of type 0x%x, expected a buffer", name,
            (unsigned)type);
    REQUIRE(opencl == context->opencl, error, name, "%s belongs to another cl_context than the context's", name);
    *size = bytes;
    return CLMOE_OK;
}

clmoe_status clmoe__buffer_check(const clmoe_context *context, const clmoe_buffer *buffer, uint64_t bytes,
                                 size_t element_size, int required, const char *name, clmoe_error *error) {
    uint64_t size = 0;
    if (buffer->kind == CLMOE_BUFFER_NONE) {
        REQUIRE(!required, error, name, "%s is absent, expected a buffer of %llu bytes", name,
                (unsigned long long)bytes);
        return CLMOE_OK;
    }
    REQUIRE(buffer->kind == CLMOE_BUFFER_CL_MEM, error, name, "%s.kind is %u, expected %d (CLMOE_BUFFER_CL_MEM)", name,
            buffer->kind, (int)CLMOE_BUFFER_CL_MEM);
    REQUIRE(buffer->reserved == 0, error, name, "%s.reserved is %u, expected 0", name, buffer->reserved);
    REQUIRE(buffer->handle != NULL, error, name, "%s.handle is NULL", name);
    REQUIRE(buffer->offset % element_size == 0, error, name, "%s.offset is %llu, expected a multiple of %zu", name,
            (unsigned long long)buffer->offset, element_size);
    TRY(read_mem(context, (cl_mem)buffer->handle, name, &size, error));
    REQUIRE(clmoe__add(buffer->offset, bytes) <= size, error, name,
            "%s needs %llu bytes from offset %llu on, but its cl_mem has %llu", name, (unsigned long long)bytes,
            (unsigned long long)buffer->offset, (unsigned long long)size);
    return CLMOE_OK;
}
