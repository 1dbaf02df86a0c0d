/* Router logits for `clmoe-bench balance`, drawn or read; see balance.h. Calls the C library and Jansson. */
#define _GNU_SOURCE
#include <jansson.h>
#include <clmoe/clmoe.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance.h"
#include "common/tool.h"

#define MAX_HEADER ((uint64_t)100 << 20) /* what safetensors allows itself */

/* ------------------------------------------------------------------------------------------------- drawing */

/* Each expert's ln p, ranks shuffled. */
static void log_shares(const model *m, double exponent, random_state *random, double *share) {
    for (uint32_t e = 0; e < m->num_experts; e++) share[e] = -exponent * log((double)e + 1);
    for (uint32_t e = m->num_experts; e > 1; e--) {
        const uint32_t other = (uint32_t)(random_next(random) % e);
        const double moved = share[e - 1];
        share[e - 1] = share[other];
        share[other] = moved;
    }
}

int logits_random(const model *m, double exponent, size_t rows, uint64_t seed, logit_set *set) {
    const size_t experts = m->num_experts;
    random_state random = {seed * 3 + 7};
    double *share = malloc(experts * sizeof *share);
    *set = (logit_set){.zipf = exponent, .rows = rows, .logits = malloc(rows * experts * sizeof(float))};
    snprintf(set->name, sizeof set->name, exponent > 0 ? "zipf %g" : "uniform", exponent);
    if (share == NULL || set->logits == NULL) {
        free(share);
        return complain("out of host memory for the logits");
    }
    log_shares(m, exponent, &random, share);
    for (size_t i = 0; i < rows * experts; i++) {
        const double uniform = ((double)(random_next(&random) >> 11) + 0.5) * 0x1p-53;
        set->logits[i] = (float)(share[i % experts] - log(-log(uniform)));
    }
    free(share);
    return 0;
}

/* ------------------------------------------------------------------------------------------------- reading */

/* The whole file. NULL after a complaint. */
static unsigned char *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    unsigned char *bytes = NULL;
    long length = -1;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0) length = ftell(file);
    if (length >= 0 && fseek(file, 0, SEEK_SET) == 0) bytes = malloc((size_t)length + 1);
    if (bytes != NULL && fread(bytes, 1, (size_t)length, file) != (size_t)length) {
        free(bytes);
        bytes = NULL;
    }
    if (bytes == NULL) complain("--logits: %s: %s", path, errno != 0 ? strerror(errno) : "cannot be read");
    if (file != NULL) fclose(file);
    *size = (size_t)(length >= 0 ? length : 0);
    return bytes;
}

static uint32_t dtype_format(const char *name) {
    static const struct {
        const char *name;
        uint32_t format;
    } known[] = {{"F32", CLMOE_F32}, {"F16", CLMOE_F16}, {"BF16", CLMOE_BF16}};
    for (size_t i = 0; name != NULL && i < COUNT_OF(known); i++)
        if (strcmp(known[i].name, name) == 0) return known[i].format;
    return CLMOE_FORMAT_NONE;
}

/* Where the numbers are. */
typedef struct found {
    uint32_t format;
    size_t rows;
    const unsigned char *data;
} found;

static double number_at(const json_t *list, size_t i) {
    const json_t *item = json_array_get(list, i);
    return json_is_number(item) ? json_number_value(item) : -1;
}

/* The name of the tensor "logits", else of the only one. NULL if there is neither. */
static const char *find_tensor(json_t *header) {
    const char *name, *only = NULL;
    const json_t *item;
    size_t tensors = 0;
    json_object_foreach(header, name, item) {
        if (strcmp(name, "__metadata__") == 0) continue;
        if (strcmp(name, "logits") == 0) return name;
        only = name;
        tensors++;
    }
    return tensors == 1 ? only : NULL;
}

static int find_in(const char *path, json_t *header, const unsigned char *data, size_t size, uint32_t experts,
                   found *at) {
    const char *name = find_tensor(header);
    const json_t *tensor = json_object_get(header, name);
    if (tensor == NULL) return complain("--logits: %s has no tensor named logits, and not exactly one", path);
    const json_t *shape = json_object_get(tensor, "shape");
    const json_t *offsets = json_object_get(tensor, "data_offsets");
    const char *dtype = json_string_value(json_object_get(tensor, "dtype"));
    const double rows = number_at(shape, 0), width = number_at(shape, 1), begin = number_at(offsets, 0),
                 end = number_at(offsets, 1);
    at->format = dtype_format(dtype);
    if (at->format == CLMOE_FORMAT_NONE)
        return complain("--logits: %s, tensor %s: dtype is %s, expected F32, F16 or BF16", path, name,
                        dtype != NULL ? dtype : "missing");
    if (json_array_size(shape) != 2 || rows < 1 || rows > 1e12 || width < (double)experts || width > (double)experts)
        return complain("--logits: %s, tensor %s: shape is [%.0f, %.0f], expected [rows, %u]", path, name,
                        rows, width, experts);
    const double bytes = rows * experts * (double)format_bytes(at->format);
    if (begin < 0 || end > (double)size || end - begin < bytes || end - begin > bytes)
        return complain("--logits: %s, tensor %s: data_offsets are %.0f, %.0f, expected %.0f bytes within %zu", path,
                        name, begin, end, bytes, size);
    at->rows = (size_t)rows;
    at->data = data + (size_t)begin;
    return 0;
}

static int find_safetensors(const char *path, const unsigned char *bytes, size_t size, uint32_t experts, found *at) {
    uint64_t length = 0;
    for (size_t i = 0; size >= 8 && i < 8; i++) length |= (uint64_t)bytes[i] << (8 * i);
    if (length == 0 || length > MAX_HEADER || length > size - 8)
        return complain("--logits: %s is no safetensors file: its header would be %llu bytes of %zu", path,
                        (unsigned long long)length, size);
    json_error_t error;
    json_t *header = json_loadb((const char *)bytes + 8, (size_t)length, JSON_REJECT_DUPLICATES, &error);
    if (header == NULL)
        return complain("--logits: %s is no safetensors file: its header, line %d: %s", path, error.line, error.text);
    const int failed = find_in(path, header, bytes + 8 + length, size - 8 - (size_t)length, experts, at);
    json_decref(header);
    return failed;
}

static int find_bare(const char *path, const unsigned char *bytes, size_t size, uint32_t experts, found *at) {
    const size_t row = (size_t)experts * sizeof(float);
    if (size == 0 || size % row != 0)
        return complain("--logits: %s has %zu bytes, expected a multiple of %zu: rows of %u f32 numbers", path, size,
                        row, experts);
    *at = (found){CLMOE_F32, size / row, bytes};
    return 0;
}

static int copy_numbers(const char *path, const found *at, uint32_t experts, logit_set *set) {
    double row[1024];
    set->rows = at->rows;
    set->logits = malloc(at->rows * experts * sizeof *set->logits);
    if (set->logits == NULL) return complain("out of host memory for the logits");
    for (size_t i = 0; i < at->rows; i++) {
        float aligned[1024];
        const size_t bytes = experts * format_bytes(at->format);
        memcpy(aligned, at->data + i * bytes, bytes);
        format_load_run(aligned, at->format, 0, experts, row);
        for (uint32_t e = 0; e < experts; e++) {
            if (!isfinite(row[e]))
                return complain("--logits: %s: row %zu, expert %u is %g, expected a finite number", path, i, e, row[e]);
            set->logits[i * experts + e] = (float)row[e];
        }
    }
    return 0;
}

int logits_read(const char *path, uint32_t num_experts, logit_set *set) {
    static const char ending[] = ".safetensors";
    const size_t length = strlen(path), tail = sizeof ending - 1;
    found at = {0};
    size_t size = 0;
    errno = 0;
    *set = (logit_set){.name = "given", .zipf = -1};
    unsigned char *bytes = read_file(path, &size);
    if (bytes == NULL) return 2;
    const int is_safetensors = length > tail && strcmp(path + length - tail, ending) == 0;
    const int failed = (is_safetensors ? find_safetensors : find_bare)(path, bytes, size, num_experts, &at) ||
                       copy_numbers(path, &at, num_experts, set);
    free(bytes);
    return failed ? 2 : 0;
}
