/* See cache_bed.h. Calls private runs of src/opencl, and CMocka. */
#include "cache_bed.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "opencl/private_run.h"

/* The lines about the cache, and those that tell where a program came from. */
static void take_line(void *user, const char *line) {
    cache_use *use = user;
    if (strncmp(line, "cache:", 6) != 0 && strncmp(line, "built ", 6) != 0 && strncmp(line, "loaded ", 7) != 0) return;
    const size_t used = strlen(use->log);
    (void)snprintf(use->log + used, sizeof use->log - used, "%s\n", line);
}

clmoe_context_desc cache_desc(const char *folder) {
    clmoe_context_desc desc;
    clmoe_context_desc_default(&desc, sizeof desc);
    desc.kernel_dir = bed_folder;
    desc.cache = CLMOE_CACHE_ALWAYS;
    desc.cache_dir = folder;
    return desc;
}

/* y = y * factor, BED_N times 1. */
static void use_kernel(test_device *device, int factor) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe__options options = {{0}, 0};
    clmoe__kernel kernel;
    clmoe__private_run private_run;
    static int ones[BED_N], values[BED_N];
    for (unsigned i = 0; i < BED_N; i++) ones[i] = 1;
    test_buffer y = test_buffer_new(device, sizeof ones, ones);
    clmoe__options_add(&options, "-DFACTOR=%d", factor);
    OK(clmoe__kernel_create(device->context, "mix.cl", "scale", &options, "scale", &kernel, &error));
    OK(clmoe__private_run_begin(&private_run, device->context, &error));
    clmoe__run *run = &private_run.run;
    clmoe__run_kernel(run, &kernel);
    clmoe__run_buffer(run, &y.at, sizeof(int));
    clmoe__run_u32(run, BED_N);
    clmoe__run_mem(run, NULL);
    clmoe__run_launch(run, 1, &bed_global, &bed_local);
    OK(clmoe__private_run_end(&private_run));
    test_buffer_read(device, &y, values);
    for (unsigned i = 0; i < BED_N; i++) assert_int_equal(values[i], factor);
    test_buffer_free(device, &y);
    clmoe__kernel_destroy(device->context, &kernel);
}

cache_use cache_use_once(const clmoe_context_desc *desc, const char *const *packs, int factor, const char *pack_path) {
    static cache_use use;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_context_desc full = *desc;
    memset(&use, 0, sizeof use);
    full.log = take_line;
    full.log_user = &use;
    test_device device = test_open(&full);
    for (; packs != NULL && *packs != NULL; packs++) OK(clmoe_context_add_pack(device.context, *packs, &error));
    use_kernel(&device, factor);
    if (pack_path != NULL) OK(clmoe_context_write_pack(device.context, pack_path, &error));
    use.stats.struct_size = sizeof use.stats;
    OK(clmoe_context_cache(device.context, &use.stats, &error));
    OK(clmoe_context_describe(device.context, use.described, sizeof use.described, NULL, &error));
    test_close(&device);
    return use;
}

size_t cache_read_file(const char *path, unsigned char *bytes, size_t capacity) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    const size_t count = fread(bytes, 1, capacity, file);
    assert_true(count < capacity);
    (void)fclose(file);
    return count;
}

static int is_hidden(const struct dirent *entry) { return entry->d_name[0] != '.'; }

const char *cache_entry(const test_folder *folder, size_t i, size_t count) {
    struct dirent **list = NULL;
    const int found = scandir(folder->path, &list, is_hidden, alphasort);
    assert_int_equal(found, count);
    const char *path = test_path(folder, list[i]->d_name);
    for (int n = 0; n < found; n++) free(list[n]);
    free(list);
    return path;
}

uint64_t cache_folder_bytes(const test_folder *folder) {
    struct dirent **list = NULL;
    uint64_t bytes = 0;
    const int found = scandir(folder->path, &list, is_hidden, alphasort);
    for (int n = 0; n < found; n++) {
        struct stat status;
        if (stat(test_path(folder, list[n]->d_name), &status) == 0) bytes += (uint64_t)status.st_size;
        free(list[n]);
    }
    free(list);
    return bytes;
}

void cache_expect(const cache_use *use, uint64_t hits, uint64_t misses, uint64_t stores, uint64_t rejected) {
    const clmoe_cache_stats *s = &use->stats;
    if (s->hits != hits || s->misses != misses || s->stores != stores || s->rejected != rejected || s->failures != 0)
        fail_msg("hits %d, misses %d, stores %d, rejected %d, failures %d; log: %s", (int)s->hits, (int)s->misses,
                 (int)s->stores, (int)s->rejected, (int)s->failures, use->log);
}
