/* A context with kernels of the tests' own; see bed.h. Calls the runs of src/opencl, OpenCL and CMocka. */
#include "bed.h"

#include <stdio.h>
#include <unistd.h>

static const char mix_cl[] = "/* A comment that shows how to include:\n"
                             "#include \"mix.cl\"\n"
                             "*/\n"
                             "#include \"parts/step.clh\"\n"
                             "#if 0\n"
                             "#include \"parts/step.clh\"\n"
                             "#endif\n"
                             "__kernel void add(__global int *y, ulong y0, uint n, float value) {\n"
                             "    const uint i = (uint)get_global_id(0);\n"
                             "    if (i < n) y[y0 + i] = step(y[y0 + i], 1, (int)value);\n"
                             "}\n"
                             "__kernel void scale(__global int *y, ulong y0, uint n, __global const int *absent) {\n"
                             "    const uint i = (uint)get_global_id(0);\n"
                             "    if (i < n && absent == 0) y[y0 + i] = step(y[y0 + i], FACTOR, 0);\n"
                             "}\n"
                             "#ifdef BROKEN\n"
                             "int broken(void) { return undeclared_thing; }\n" /* line 17 */
                             "#endif\n"
                             "#ifdef BIG_LOCAL\n"
                             "__kernel void big(__global int *y) {\n"
                             "    __local int room[6000];\n"
                             "    room[get_local_id(0)] = y[0]; barrier(CLK_LOCAL_MEM_FENCE); y[0] = room[0];\n"
                             "}\n"
                             "#endif\n";
static const char step_clh[] = "#ifndef STEP\n#define STEP\n"
                               "inline int step(int y, int factor, int value) { return y * factor + value; }\n"
                               "#ifdef BROKEN_PART\nint part(void) { return undeclared_part; }\n#endif\n" /* line 5 */
                               "#endif\n";

char bed_folder[64];

void bed_write_file(const char *name, const char *text) {
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", bed_folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

int bed_make_folder(void **state) {
    (void)state;
    char command[160];
    (void)snprintf(bed_folder, sizeof bed_folder, "/tmp/clmoe-test-XXXXXX");
    if (mkdtemp(bed_folder) == NULL) return -1;
    (void)snprintf(command, sizeof command, "mkdir %s/parts", bed_folder);
    if (system(command) != 0) return -1;
    bed_write_file("mix.cl", mix_cl);
    bed_write_file("parts/step.clh", step_clh);
    bed_write_file("cycle.cl", "#include \"cycle.clh\"\n");
    bed_write_file("cycle.clh", "  #  include \"cycle.cl\"\n");
    bed_write_file("lost.cl", "\n#include \"nowhere.clh\"\n");
    bed_write_file("open.cl", "__kernel void open(__global int *y) { y[0] = 1; } // no newline at the end");
    return 0;
}

int bed_remove_folder(void **state) {
    (void)state;
    char command[160];
    (void)snprintf(command, sizeof command, "rm -r %s", bed_folder);
    return system(command);
}

clmoe__kernel bed_kernel(clmoe_context *context, const char *name) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe__options options = {{0}, 0};
    clmoe__kernel kernel;
    clmoe__options_add(&options, "-DFACTOR=%d", 3);
    OK(clmoe__kernel_create(context, "mix.cl", name, &options, name, &kernel, &error));
    return kernel;
}

/* y on the device, BED_N zeroes. */
test_buffer bed_buffer(bed *b) {
    static const int zeroes[BED_N];
    return test_buffer_new(&b->device, sizeof zeroes, zeroes);
}

clmoe_context_desc bed_defaults(void) {
    clmoe_context_desc desc;
    memset(&desc, 0xee, sizeof desc);
    clmoe_context_desc_default(&desc, sizeof desc);
    return desc;
}

bed bed_open(const clmoe_context_desc *desc) {
    clmoe_context_desc full = {.struct_size = sizeof full};
    if (desc != NULL) full = *desc;
    full.kernel_dir = bed_folder;
    bed b = {.device = test_open(&full)};
    b.add = bed_kernel(b.device.context, "add");
    b.scale = bed_kernel(b.device.context, "scale");
    b.y = bed_buffer(&b);
    return b;
}

void bed_close(bed *b) {
    test_buffer_free(&b->device, &b->y);
    clmoe__kernel_destroy(b->device.context, &b->add);
    clmoe__kernel_destroy(b->device.context, &b->scale);
    test_close(&b->device);
}

void bed_expect(bed *b, const test_buffer *y, int wanted) {
    int values[BED_N];
    test_buffer_read(&b->device, y, values);
    for (unsigned i = 0; i < BED_N; i++) assert_int_equal(values[i], wanted);
}

cl_command_queue new_queue(const bed *b, cl_command_queue_properties properties) {
    cl_int code = CL_SUCCESS;
    cl_command_queue queue = clCreateCommandQueue(b->device.cl, b->device.id, properties, &code);
    assert_int_equal(code, CL_SUCCESS);
    return queue;
}

cl_event new_user_event(const bed *b) {
    cl_int code = CL_SUCCESS;
    cl_event event = clCreateUserEvent(b->device.cl, &code);
    assert_int_equal(code, CL_SUCCESS);
    return event;
}

int is_complete(cl_event event) {
    cl_int status = CL_QUEUED;
    assert_int_equal(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL),
                     CL_SUCCESS);
    return status <= CL_COMPLETE;
}

void wait_and_release(cl_event event) {
    assert_non_null(event);
    assert_int_equal(clWaitForEvents(1, &event), CL_SUCCESS);
    assert_int_equal(clReleaseEvent(event), CL_SUCCESS);
}

const size_t bed_local = 4, bed_global = BED_N;

void launch_add(clmoe__run *run, bed *b, const clmoe_buffer *y, float value) {
    clmoe__run_kernel(run, &b->add);
    clmoe__run_buffer(run, y, sizeof(int));
    clmoe__run_u32(run, BED_N);
    clmoe__run_f32(run, value);
    clmoe__run_launch(run, 1, &bed_global, &bed_local);
}

void launch_scale(clmoe__run *run, bed *b, const clmoe_buffer *y) {
    clmoe__run_kernel(run, &b->scale);
    clmoe__run_buffer(run, y, sizeof(int));
    clmoe__run_u32(run, BED_N);
    clmoe__run_mem(run, NULL);
    clmoe__run_launch(run, 1, &bed_global, &bed_local);
}

clmoe_status mix(bed *b, clmoe_workspace *w, cl_command_queue queue, const test_buffer *y, int value, cl_uint n_wait,
                 const cl_event *wait, cl_event *done, clmoe_error *error) {
    clmoe__run run;
    TRY(clmoe__run_begin(&run, b->device.context, w, queue, n_wait, wait, error));
    for (int i = 0; i < BED_STEPS; i++) {
        launch_add(&run, b, &y->at, (float)value);
        launch_scale(&run, b, &y->at);
    }
    return clmoe__run_end(&run, done);
}

int mixed(int y, int value) {
    for (int i = 0; i < BED_STEPS; i++) y = (int)(((unsigned)y + (unsigned)value) * 3u); /* wraps, as on the device */
    return y;
}
