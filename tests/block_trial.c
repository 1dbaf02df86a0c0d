/* Sources, packing and the comparison of block_trial.h. */
#include "block_trial.h"

#include <sys/mman.h>
#include <unistd.h>

#define TENSORS 2 /* gate and up */

typedef struct block_tensor {
    const block_format *format;
    uint64_t rows, row_bytes, expert_bytes, bytes; /* from row to row, expert to expert; in all */
    uint8_t *data; /* at the end of a mapping, with a page behind it that may not be touched */
    uint8_t *map;
    size_t map_bytes;
    const void **hosts;
    clmoe_buffer *lists;
    test_buffer *buffers;
    uint32_t buffer_count;
    clmoe_tensor described;
    struct group_tensor *apart; /* NULL: the source is blocks */
} block_tensor;

/* Codes, scales and zero points of all experts, each in another kind of memory. */
enum { PARTS = 3 };
typedef struct group_tensor {
    clmoe_groups groups;
    uint8_t *data[PARTS];       /* all experts, one behind the other */
    const void **hosts[PARTS];
    clmoe_buffer *lists[PARTS];
    test_buffer *buffers;
    uint32_t buffer_count;
} group_tensor;

void block_random(const block_format *f, uint8_t *block, test_random *random) {
    for (uint32_t i = 0; i < f->bytes; i++) block[i] = (uint8_t)test_random_u64(random);
    for (uint32_t i = 0; i < 2 && f->half_at[i] != UINT32_MAX; i++) {
        uint8_t *high = block + f->half_at[i] + 1; /* exponents 0 to 15: subnormals as well, and no product is
                                                    * infinite */
        *high = (uint8_t)(*high & 0xbf);
    }
}

/* Where `bytes` of every expert lie: as the description says. */
static void place(test_device *device, const block_trial *t, block_tensor *s, uint64_t last) {
    clmoe_tensor *d = &s->described;
    s->buffers = calloc(t->groups, sizeof *s->buffers);
    s->lists = calloc(t->groups, sizeof *s->lists);
    s->hosts = calloc(t->groups, sizeof *s->hosts);
    assert_true(s->buffers != NULL && s->lists != NULL && s->hosts != NULL);
    for (uint32_t g = 0; g < t->groups; g++) s->hosts[g] = s->data + g * s->expert_bytes;
    if (t->from == BLOCK_HOST) d->host = s->data;
    if (t->from == BLOCK_HOST_LIST) d->host_list = s->hosts;
    if (t->from == BLOCK_BUFFER) {
        s->buffers[s->buffer_count++] = test_buffer_new(device, (t->groups - 1) * s->expert_bytes + last, s->data);
        d->buffer = s->buffers[0].at;
    }
    for (uint32_t g = 0; t->from == BLOCK_BUFFER_LIST && g < t->groups; g++) {
        s->buffers[s->buffer_count++] = test_buffer_new(device, last, s->hosts[g]);
        s->lists[g] = s->buffers[g].at;
        d->buffer_list = s->lists;
    }
}

static clmoe_pieces pieces_of(test_device *device, const block_trial *t, group_tensor *a, int part, size_t bytes) {
    const enum block_source from = (enum block_source)((t->from + (uint32_t)part) % BLOCK_SOURCES);
    clmoe_pieces pieces = {.host = from == BLOCK_HOST ? a->data[part] : NULL};
    a->hosts[part] = calloc(t->groups, sizeof *a->hosts[part]);
    a->lists[part] = calloc(t->groups, sizeof *a->lists[part]);
    assert_true(a->hosts[part] != NULL && a->lists[part] != NULL);
    for (uint32_t g = 0; g < t->groups; g++) {
        a->hosts[part][g] = a->data[part] + g * bytes;
        if (from != BLOCK_BUFFER_LIST) continue;
        a->buffers[a->buffer_count++] = test_buffer_new(device, bytes, a->hosts[part][g]);
        a->lists[part][g] = a->buffers[a->buffer_count - 1].at;
    }
    if (from == BLOCK_HOST_LIST) pieces.host_list = a->hosts[part];
    if (from == BLOCK_BUFFER_LIST) pieces.buffer_list = a->lists[part];
    if (from != BLOCK_BUFFER) return pieces;
    a->buffers[a->buffer_count++] = test_buffer_new(device, t->groups * bytes, a->data[part]);
    pieces.buffer = a->buffers[a->buffer_count - 1].at;
    return pieces;
}

/* Describes the blocks of *s as tensors of their own. */
static void take_apart(test_device *device, const block_trial *t, block_tensor *s) {
    const block_format *f = s->format;
    group_tensor *a = s->apart = calloc(1, sizeof *a);
    assert_non_null(a);
    a->buffers = calloc((size_t)PARTS * t->groups, sizeof *a->buffers);
    assert_non_null(a->buffers);
    size_t bytes[PARTS] = {0};
    for (uint32_t g = 0; g < t->groups; g++) {
        uint8_t *blocks = s->data + g * s->expert_bytes;
        group_share(f, blocks, s->rows, t->in_features, t->layout);
        group_parts p = group_take_apart(f, blocks, s->rows, t->in_features, t->layout);
        const void *data[PARTS] = {p.codes, p.scales, p.zeros};
        const size_t sizes[PARTS] = {p.codes_bytes, p.scales_bytes, p.zeros_bytes};
        for (int i = 0; i < PARTS; i++) {
            bytes[i] = sizes[i];
            a->data[i] = realloc(a->data[i], (g + 1) * sizes[i] + 1);
            assert_non_null(a->data[i]);
            if (sizes[i] != 0) memcpy(a->data[i] + g * sizes[i], data[i], sizes[i]);
        }
        group_parts_free(&p);
    }
    const clmoe_pieces codes = pieces_of(device, t, a, 0, bytes[0]);
    a->groups = (clmoe_groups){.order = t->layout->order, .group_size = t->layout->group_size,
                               .scale_format = t->layout->scale_format, .zeros_less_1 = t->layout->zeros_less_1,
                               .scales = pieces_of(device, t, a, 1, bytes[1])};
    if (bytes[2] != 0) a->groups.zeros = pieces_of(device, t, a, 2, bytes[2]);
    s->described = (clmoe_tensor){.format = f->format,
                                  .host = codes.host,
                                  .host_list = codes.host_list,
                                  .buffer = codes.buffer,
                                  .buffer_list = codes.buffer_list,
                                  .groups = &a->groups};
}

static void apart_free(test_device *device, group_tensor *a) {
    if (a == NULL) return;
    for (uint32_t i = 0; i < a->buffer_count; i++) test_buffer_free(device, &a->buffers[i]);
    for (int i = 0; i < PARTS; i++) {
        free(a->data[i]);
        free((void *)a->hosts[i]);
        free(a->lists[i]);
    }
    free(a->buffers);
    free(a);
}

static block_tensor tensor_new(test_device *device, const block_trial *t, const block_format *f, uint64_t rows,
                               uint64_t stream) {
    block_tensor s = {.format = f, .rows = rows};
    const uint64_t row_values = t->in_features + (uint64_t)t->gap * f->values;
    const uint64_t expert_values = rows * row_values + (uint64_t)t->gap * f->values;
    test_random random = test_random_new(stream);
    s.row_bytes = row_values / f->values * f->bytes;
    s.expert_bytes = expert_values / f->values * f->bytes;
    s.bytes = t->groups * s.expert_bytes;
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    s.map_bytes = (s.bytes + page - 1) / page * page + page;
    s.map = mmap(NULL, s.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(s.map != MAP_FAILED);
    assert_int_equal(mprotect(s.map + s.map_bytes - page, page, PROT_NONE), 0);
    s.data = s.map + s.map_bytes - page - s.bytes;
    for (uint64_t at = 0; at < s.bytes; at += f->bytes) block_random(f, s.data + at, &random);
    if (t->blocks != NULL) memcpy(s.data, t->blocks, s.bytes);
    s.described = (clmoe_tensor){.format = f->format};
    if (t->gap != 0) s.described.row_stride = row_values;
    if (t->gap != 0) s.described.expert_stride = expert_values;
    if (t->layout != NULL) take_apart(device, t, &s);
    else place(device, t, &s, (rows - 1) * s.row_bytes + t->in_features / f->values * f->bytes);
    return s;
}

static void tensor_free(test_device *device, block_tensor *s) {
    for (uint32_t i = 0; i < s->buffer_count; i++) test_buffer_free(device, &s->buffers[i]);
    apart_free(device, s->apart);
    free(s->buffers);
    free(s->lists);
    free((void *)s->hosts);
    if (s->map != NULL) assert_int_equal(munmap(s->map, s->map_bytes), 0);
}

/* ------------------------------------------------------------------------------------------- comparison */

/* The row of tensor *tensor (0 gate, 1 up) that goes to column `column` of panel `panel`, or -1. */
static int64_t row_of(const block_trial *t, uint32_t lanes, uint32_t panel, uint32_t column, uint32_t *tensor) {
    const uint64_t out = t->gated ? (uint64_t)panel * lanes + column % lanes : (uint64_t)panel * 2 * lanes + column;
    const uint32_t half = column / lanes;
    *tensor = 1;
    if (out >= t->out_features) return -1;
    if (!t->gated) return (int64_t)out;
    if (t->gate_up == CLMOE_GATE_UP_SEPARATE) {
        *tensor = half;
        return (int64_t)out;
    }
    if (t->gate_up == CLMOE_GATE_UP_INTERLEAVED) return (int64_t)(2 * out + half);
    return (int64_t)(out + half * t->out_features);
}

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* A value of a plain panel as the library has it, and as the oracle's rounds to. */
static uint32_t plain_bits(const block_trial *t, const uint8_t *panel, uint32_t columns, uint64_t k, uint32_t column) {
    const uint32_t kp = t->arithmetic == CLMOE_ARITHMETIC_BF16 ? 2 : 1;
    const size_t size = test_format_bytes(t->format);
    uint32_t bits = 0;
    memcpy(&bits, panel + ((k / kp * columns + column) * kp + k % kp) * size, size);
    return bits;
}

static uint32_t rounded(uint32_t format, float value) {
    uint32_t bits = 0;
    test_store(&bits, format, 0, (double)value);
    return bits;
}

static void compare_column(const block_trial *t, const block_tensor *tensors, const uint8_t *panel, uint32_t lanes,
                           uint32_t group, uint32_t p, uint32_t column) {
    uint32_t which;
    const int64_t row = row_of(t, lanes, p, column, &which);
    const block_tensor *s = &tensors[which];
    const block_format *kept = block_format_of(t->format);
    float values[256];
    for (uint64_t k = 0; k < t->in_features; k++) {
        const block_format *f = s->format;
        if (row >= 0 && k % f->values == 0)
            f->decode(s->data + group * s->expert_bytes + (uint64_t)row * s->row_bytes + k / f->values * f->bytes,
                      values);
        const float value = row >= 0 ? values[k % f->values] : 0.0f;
        uint32_t got, wanted;
        if (kept != NULL) {
            got = bits_of(block_packed_at(kept, panel, 2 * lanes, k, column).value), wanted = bits_of(value);
            if (row < 0) continue; /* zero bytes: compare_padding */
        } else {
            got = plain_bits(t, panel, 2 * lanes, k, column), wanted = rounded(t->format, value);
        }
        if (got != wanted)
            fail_msg(
                "%s -> %u arithmetic %u, %u lanes, [%u, %u] gated %u %u: group %u panel %u column %u (row %lld) k %llu "
                "is %x, expected %x",
                f->name, t->format, t->arithmetic, lanes, t->out_features, t->in_features, t->gated, t->gate_up, group,
                p, column, (long long)row, (unsigned long long)k, got, wanted);
    }
}

/* What is beyond the edge of columns or k is zero bytes. */
static void compare_padding(const block_trial *t, const block_format *kept, const uint8_t *panel, uint32_t lanes,
                            uint32_t p) {
    const uint32_t columns = 2 * lanes, values = kept->super_blocks * kept->values;
    const uint64_t padded = (t->in_features + values - 1) / values * values;
    for (uint32_t column = 0; column < columns; column++) {
        uint32_t which;
        const int absent = row_of(t, lanes, p, column, &which) < 0;
        for (uint64_t k = absent ? 0 : t->in_features; k < padded; k++) {
            const block_packed zero = block_packed_at(kept, panel, columns, k, column);
            assert_int_equal(zero.halves[0] | zero.halves[1] | zero.sub_bytes[0] | zero.sub_bytes[1], 0);
            assert_int_equal(zero.code, 0);
        }
    }
}

uint8_t *block_matrix_read(test_device *device, const clmoe__matrix *matrix) {
    const uint64_t total = (uint64_t)matrix->groups * matrix->panels;
    uint8_t *packed = malloc(total * matrix->panel_bytes);
    assert_non_null(packed);
    for (uint32_t i = 0; i < matrix->shard_count; i++) {
        const uint64_t first = i * matrix->panels_per_shard;
        const uint64_t panels = total - first < matrix->panels_per_shard ? total - first : matrix->panels_per_shard;
        assert_int_equal(clEnqueueReadBuffer(device->queue, matrix->shards[i].mem, CL_TRUE, 0,
                                             panels * matrix->panel_bytes, packed + first * matrix->panel_bytes, 0,
                                             NULL, NULL),
                         CL_SUCCESS);
    }
    return packed;
}

static void compare(test_device *device, const block_trial *t, const block_tensor *tensors,
                    const clmoe__matrix *matrix) {
    const block_format *kept = block_format_of(t->format);
    uint8_t *packed = block_matrix_read(device, matrix);
    if (kept != NULL)
        assert_int_equal(matrix->panel_bytes, block_panel_bytes(kept, 2 * matrix->lanes, t->in_features));
    for (uint32_t g = 0; g < t->groups; g++)
        for (uint32_t p = 0; p < matrix->panels; p++) {
            const uint8_t *panel = packed + ((uint64_t)g * matrix->panels + p) * matrix->panel_bytes;
            for (uint32_t column = 0; column < 2 * matrix->lanes; column++)
                compare_column(t, tensors, panel, matrix->lanes, g, p, column);
            if (kept != NULL) compare_padding(t, kept, panel, matrix->lanes, p);
        }
    free(packed);
}

void block_trial_run(test_device *device, const block_trial *t) {
    static const clmoe__matrix_names names = {"gate", "gate_bias", "up", "up_bias"};
    static const clmoe_tensor absent;
    clmoe_context *context = device->context;
    clmoe_error error = {.struct_size = sizeof error};
    const int separate = t->gated && t->gate_up == CLMOE_GATE_UP_SEPARATE;
    block_tensor tensors[TENSORS] = {{0}};
    const block_format *gate_format = t->gate_source != NULL ? t->gate_source : t->source;
    if (separate) tensors[0] = tensor_new(device, t, gate_format, t->out_features, t->stream + 1);
    tensors[1] =
        tensor_new(device, t, t->source, t->gated && !separate ? 2ull * t->out_features : t->out_features, t->stream);
    const clmoe_tensor *gate = separate ? &tensors[0].described : &absent, *up = &tensors[1].described;
    clmoe__packer packer = {.context = context};
    clmoe__matrix matrix = {.groups = t->groups, .in_features = t->in_features, .out_features = t->out_features,
                            .gated = (int)t->gated, .format = t->format, .arithmetic = t->arithmetic,
                            .lanes = context->device.vector_width};
    OK(clmoe__projection_check(context, t->groups, t->in_features, t->out_features, (int)t->gated, t->gate_up, gate, up,
                               &absent, &absent, &names, &error));
    OK(clmoe__projection_create(&packer, &matrix, t->gate_up, gate, up, &absent, &absent, &names, &error));
    compare(device, t, tensors, &matrix);
    clmoe__packer_destroy(&packer);
    clmoe__matrix_destroy(context, &matrix);
    for (int i = 0; i < TENSORS; i++) tensor_free(device, &tensors[i]);
}
