/* Kernel programs: keeps those that were made (program_make.h) in the context, and finds their kernels. Calls
 * clCreateKernel and what goes with it, through the table.
 *
 * The context's mutex guards the list and the reference counts; each program's own mutex is held while it is built, so
 * that two requests for one program build it once, while other programs and running forwards go on. */
#include "program.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "binary.h"
#include "program_make.h"

#define UNUSED_MAX 32 /* built programs that are kept although no kernel refers to them */

/* A kernel that was asked for. The same name gets the same id, so workspaces share its cl_kernel among layers. */
typedef struct known_kernel {
    const char *name; /* static storage */
    uint64_t id;
} known_kernel;

struct clmoe__program {
    clmoe__program *next;
    int64_t references; /* clmoe__kernels, and requests under way */
    char *file, *options;
    clmoe__key key; /* in the cache */
    int is_unsaved; /* built from source with a key, and not yet in the cache */
    int is_launched;
    clmoe__mutex *mutex; /* guards what follows */
    cl_program opencl;   /* NULL until built */
    known_kernel *kernels;
    size_t kernel_count;
};

void clmoe__options_add(clmoe__options *options, const char *format, ...) {
    size_t length = strlen(options->text);
    const size_t room = sizeof options->text - length;
    if (length > 0 && options->text[length - 1] != ' ' && format[0] != ' ' && room > 1) options->text[length++] = ' ';
    va_list arguments;
    va_start(arguments, format);
    const int added = vsnprintf(options->text + length, sizeof options->text - length, format, arguments);
    va_end(arguments);
    if (added < 0 || (size_t)added >= sizeof options->text - length) options->overflow = 1;
}

void clmoe__options_float(clmoe__options *options, const char *name, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    clmoe__options_add(options, "-D%s=as_float(0x%08xu)", name, bits);
}

static void free_program(clmoe_context *context, clmoe__program *program) {
    if (program->opencl != NULL) (void)context->cl.clReleaseProgram(program->opencl);
    if (program->mutex != NULL) clmoe__mutex_destroy(program->mutex);
    free(program->kernels);
    free(program->options);
    free(program->file);
    free(program);
}

static clmoe__program *new_program(const char *file, const char *options) {
    clmoe__program *program = calloc(1, sizeof *program);
    if (program == NULL) return NULL;
    program->file = malloc(strlen(file) + 1);
    program->options = malloc(strlen(options) + 1);
    program->mutex = clmoe__mutex_create();
    if (program->file == NULL || program->options == NULL || program->mutex == NULL) {
        if (program->mutex != NULL) clmoe__mutex_destroy(program->mutex);
        free(program->options);
        free(program->file);
        free(program);
        return NULL;
    }
    memcpy(program->file, file, strlen(file) + 1);
    memcpy(program->options, options, strlen(options) + 1);
    return program;
}

/* The list's program for (file, options) with one more reference, not necessarily built; moved to the list's front, so
 * that its end is what was not wanted for longest. NULL: no memory. */
static clmoe__program *acquire(clmoe_context *context, const char *file, const char *options) {
    clmoe__mutex_lock(context->mutex);
    clmoe__program **link = &context->programs;
    while (*link != NULL && (strcmp((*link)->file, file) != 0 || strcmp((*link)->options, options) != 0)) {
        link = &(*link)->next;
    }
    clmoe__program *program = *link;
    if (program != NULL) {
        *link = program->next;
    } else {
        program = new_program(file, options);
    }
    if (program != NULL) {
        program->references++;
        program->next = context->programs;
        context->programs = program;
    }
    clmoe__mutex_unlock(context->mutex);
    return program;
}

/* Unlinks what nobody refers to and is not worth keeping: never built, or beyond the first UNUSED_MAX. */
static clmoe__program *unlink_surplus(clmoe_context *context) {
    clmoe__program *surplus = NULL;
    size_t unused = 0;
    for (clmoe__program **link = &context->programs; *link != NULL;) {
        clmoe__program *program = *link;
        if (program->references == 0 && (program->opencl == NULL || ++unused > UNUSED_MAX)) {
            *link = program->next;
            program->next = surplus;
            surplus = program;
        } else {
            link = &program->next;
        }
    }
    return surplus;
}

static void release(clmoe_context *context, clmoe__program *program) {
    clmoe__program *surplus = NULL;
    clmoe__mutex_lock(context->mutex);
    if (--program->references == 0) surplus = unlink_surplus(context);
    clmoe__mutex_unlock(context->mutex);
    while (surplus != NULL) {
        clmoe__program *next = surplus->next;
        free_program(context, surplus);
        surplus = next;
    }
}

/* With the program's mutex locked. `kernel` is the one that is wanted. */
static clmoe_status build_once(clmoe_context *context, clmoe__program *program, const char *kernel,
                               clmoe_error *error) {
    if (program->opencl != NULL) return CLMOE_OK;
    clmoe__made made;
    TRY(clmoe__program_make(context, program->file, program->options, kernel, &made, error));
    clmoe__mutex_lock(context->mutex); /* others look at it */
    program->opencl = made.opencl;
    program->key = made.key;
    program->is_unsaved = made.is_unsaved;
    clmoe__mutex_unlock(context->mutex);
    return CLMOE_OK;
}

/* The kernel is there and its local memory fits in what the context allows. */
static clmoe_status check_kernel(clmoe_context *context, const clmoe__program *program, const char *name,
                                 clmoe_error *error) {
    const clmoe__cl *cl = &context->cl;
    cl_int code = CL_SUCCESS;
    cl_kernel kernel = cl->clCreateKernel(program->opencl, name, &code);
    if (kernel == NULL && code == CL_INVALID_KERNEL_NAME) {
        return clmoe__fail(error, CLMOE_BUILD_FAILED, NULL, "cl/%s has no kernel \"%s\" with options \"%.200s\"",
                           program->file, name, program->options);
    }
    if (kernel == NULL) return clmoe__fail_cl(error, code, "clCreateKernel");
    cl_ulong local = 0;
    code =
        cl->clGetKernelWorkGroupInfo(kernel, context->device.id, CL_KERNEL_LOCAL_MEM_SIZE, sizeof local, &local, NULL);
    (void)cl->clReleaseKernel(kernel);
    if (code != CL_SUCCESS) return clmoe__fail_cl(error, code, "clGetKernelWorkGroupInfo");
    if (local > context->device.local_bytes) {
        return clmoe__fail(error, CLMOE_UNSUPPORTED, NULL,
                           "kernel \"%s\" of cl/%s needs %llu bytes of local memory, the limit is %llu", name,
                           program->file, (unsigned long long)local, (unsigned long long)context->device.local_bytes);
    }
    return CLMOE_OK;
}

/* The id of a kernel, checked when it is first asked for. With the program's mutex locked. */
static clmoe_status find_kernel(clmoe_context *context, clmoe__program *program, const char *name, uint64_t *id,
                                clmoe_error *error) {
    for (size_t i = 0; i < program->kernel_count; i++) {
        if (strcmp(program->kernels[i].name, name) == 0) {
            *id = program->kernels[i].id;
            return CLMOE_OK;
        }
    }
    TRY(check_kernel(context, program, name, error));
    *id = (uint64_t)clmoe__counter_add(&context->next_id, 1);
    clmoe__mutex_lock(context->mutex); /* program_launched looks at them */
    known_kernel *grown = realloc(program->kernels, (program->kernel_count + 1) * sizeof *grown);
    if (grown != NULL) {
        program->kernels = grown;
        grown[program->kernel_count].name = name;
        grown[program->kernel_count].id = *id;
        program->kernel_count++;
    }
    clmoe__mutex_unlock(context->mutex);
    if (grown == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for kernel \"%s\"", name);
    return CLMOE_OK;
}

clmoe_status clmoe__kernel_create(clmoe_context *context, const char *file, const char *name,
                                  const clmoe__options *options, const char *stage, clmoe__kernel *kernel,
                                  clmoe_error *error) {
    kernel->program = NULL;
    if (options != NULL && options->overflow) {
        return clmoe__fail(error, CLMOE_UNSUPPORTED, NULL, "the build options of cl/%s exceed %zu characters", file,
                           sizeof options->text - 1);
    }
    clmoe__program *program = acquire(context, file, options != NULL ? options->text : "");
    if (program == NULL) return clmoe__fail(error, CLMOE_OUT_OF_HOST_MEMORY, NULL, "no memory for cl/%s", file);
    uint64_t id = 0;
    clmoe__mutex_lock(program->mutex);
    clmoe_status status = build_once(context, program, name, error);
    if (status == CLMOE_OK) status = find_kernel(context, program, name, &id, error);
    clmoe__mutex_unlock(program->mutex);
    if (status != CLMOE_OK) {
        release(context, program);
        return status;
    }
    kernel->program = program;
    kernel->id = id;
    kernel->name = name;
    kernel->stage = stage;
    return CLMOE_OK;
}

cl_kernel clmoe__kernel_instance(clmoe_context *context, const clmoe__kernel *kernel, cl_int *code) {
    return context->cl.clCreateKernel(kernel->program->opencl, kernel->name, code);
}

void clmoe__kernel_destroy(clmoe_context *context, clmoe__kernel *kernel) {
    if (kernel->program != NULL) release(context, kernel->program);
    kernel->program = NULL;
}

void clmoe__programs_destroy(clmoe_context *context) {
    while (context->programs != NULL) {
        clmoe__program *program = context->programs;
        context->programs = program->next;
        free_program(context, program);
    }
}

/* ---------------------------------------------------------------------------------------------- the cache */

static int has_id(const clmoe__program *program, uint64_t id) {
    for (size_t i = 0; i < program->kernel_count; i++)
        if (program->kernels[i].id == id) return 1;
    return 0;
}

void clmoe__program_launched(clmoe_context *context, uint64_t id) {
    clmoe__mutex_lock(context->mutex);
    for (clmoe__program *program = context->programs; program != NULL; program = program->next)
        if (program->is_unsaved && !program->is_launched) program->is_launched = has_id(program, id);
    clmoe__mutex_unlock(context->mutex);
}

/* A program that is to be saved, with one more reference, and from here on regarded as saved; NULL: no more. */
static clmoe__program *take_unsaved(clmoe_context *context) {
    clmoe__mutex_lock(context->mutex);
    clmoe__program *program = context->programs;
    while (program != NULL && !(program->is_unsaved && program->is_launched)) program = program->next;
    if (program != NULL) {
        program->is_unsaved = 0;
        program->references++;
    }
    clmoe__mutex_unlock(context->mutex);
    return program;
}

void clmoe__programs_save(clmoe_context *context) {
    clmoe__program *program;
    while ((program = take_unsaved(context)) != NULL) {
        size_t bytes = 0;
        cl_int code = CL_SUCCESS;
        unsigned char *binary = clmoe__binary_take(context, program->opencl, &bytes, &code);
        if (binary != NULL) clmoe__cache_put(context, CLMOE__ENTRY_PROGRAM, &program->key, binary, bytes);
        else clmoe__cache_untaken(context, program->file, code);
        free(binary);
        release(context, program);
    }
}
