/* Sources of pack_sources.h. The decoders follow the definitions of the formats (OCP 8-bit floating point, OCP
 * microscaling formats) in double precision, and share nothing with the kernels. */
#include "pack_sources.h"

#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

/* ----------------------------------------------------------------------------------------------- formats */

uint32_t pack_bits(uint32_t format) {
    switch (format) {
        case CLMOE_F32: return 32;
        case CLMOE_F16:
        case CLMOE_BF16: return 16;
        case CLMOE_F4_E2M1: return 4;
        default: return 8;
    }
}

/* Sign, exponent (biased by `bias`, no code of it is special), mantissa. */
static double small_float(uint32_t code, uint32_t exponent_bits, uint32_t mantissa_bits, int bias) {
    const uint32_t mantissa = code & ((1u << mantissa_bits) - 1u);
    const int exponent = (int)(code >> mantissa_bits & ((1u << exponent_bits) - 1u));
    const double sign = (code >> (exponent_bits + mantissa_bits) & 1u) != 0 ? -1 : 1, one = 1u << mantissa_bits;
    if (exponent == 0) return sign * ldexp(mantissa / one, 1 - bias);
    return sign * ldexp(1 + mantissa / one, exponent - bias);
}

double pack_decode(const uint8_t *bytes, uint32_t format, uint64_t i) {
    union { /* aligned, which the source is not */
        uint32_t word;
        uint8_t bytes[4];
    } element = {0};
    switch (format) {
        case CLMOE_F4_E2M1: return small_float((uint32_t)bytes[i / 2] >> i % 2 * 4 & 15u, 2, 1, 1);
        case CLMOE_F8_E4M3: return (bytes[i] & 0x7fu) == 0x7fu ? (double)NAN : small_float(bytes[i], 4, 3, 7);
        case CLMOE_F8_E8M0: return bytes[i] == 255 ? (double)NAN : ldexp(1, bytes[i] - 127);
        default: break;
    }
    const uint32_t size = pack_bits(format) / 8;
    memcpy(element.bytes, bytes + i * size, size);
    return test_load(element.bytes, format, 0);
}

uint64_t pack_element(const pack_trial *t, const pack_sources *s, uint32_t group, uint64_t row, uint64_t k) {
    return group * s->expert_elements + (t->layout == CLMOE_OUT_IN ? row * s->stride + k : k * s->stride + row);
}

uint64_t pack_scale(const pack_trial *t, const pack_sources *s, uint32_t group, uint64_t row, uint64_t k) {
    return group * s->scale_count + row / t->block_rows * s->scale_columns + k / t->block_columns;
}

/* ------------------------------------------------------------------------------------------------ memory */

typedef struct pack_sealed {
    uint8_t *map;
    size_t bytes; /* of the mapping */
} pack_sealed;

static const uint8_t *seal(pack_sources *s, const uint8_t *bytes, size_t count) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), usable = (count + page - 1) / page * page;
    pack_sealed *sealed = &s->seals[s->seal_count++];
    sealed->bytes = usable + page;
    sealed->map = mmap(NULL, sealed->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(sealed->map != MAP_FAILED);
    memcpy(sealed->map + usable - count, bytes, count);
    assert_int_equal(mprotect(sealed->map, usable, PROT_READ), 0);
    assert_int_equal(mprotect(sealed->map + usable, page, PROT_NONE), 0);
    return sealed->map + usable - count;
}

static clmoe_buffer upload(test_device *device, pack_sources *s, const uint8_t *bytes, size_t count) {
    s->buffers[s->buffer_count] = test_buffer_new(device, count, bytes);
    return s->buffers[s->buffer_count++].at;
}

/* What a tensor and its scales have in common: one of these is set. */
typedef struct sources {
    const void *host;
    const void *const *host_list;
    clmoe_buffer buffer;
    const clmoe_buffer *buffer_list;
} sources;

/* Puts array `slot` of s->data where `kind` says: `bytes` an expert; of the last only the first `last` are there. */
static sources place(test_device *device, pack_sources *s, uint32_t slot, uint32_t groups, uint64_t bytes,
                     uint64_t last, uint32_t kind) {
    const uint8_t *data = s->data[slot];
    const uint64_t all = (groups - 1) * bytes + last;
    sources out = {0};
    if (kind == PACK_HOST) out.host = seal(s, data, all);
    if (kind == PACK_BUFFER) out.buffer = upload(device, s, data, all);
    if (kind == PACK_HOST_LIST) {
        s->hosts[slot] = calloc(groups, sizeof *s->hosts[slot]);
        assert_non_null(s->hosts[slot]);
        for (uint32_t g = 0; g < groups; g++) s->hosts[slot][g] = seal(s, data + g * bytes, last);
        out.host_list = s->hosts[slot];
    }
    if (kind == PACK_BUFFER_LIST) {
        s->lists[slot] = calloc(groups, sizeof *s->lists[slot]);
        assert_non_null(s->lists[slot]);
        for (uint32_t g = 0; g < groups; g++) s->lists[slot][g] = upload(device, s, data + g * bytes, last);
        out.buffer_list = s->lists[slot];
    }
    return out;
}

/* `count` elements: the codes asked for, else random bits; most of 16 and 32 bits are ordinary numbers. */
static uint8_t *make_numbers(uint32_t format, uint64_t count, uint8_t (*code)(uint64_t i), test_random *random) {
    const uint32_t size = pack_bits(format) / 8; /* 0 of E2M1 */
    const uint64_t bytes = (count * pack_bits(format) + 7) / 8;
    uint8_t *data = malloc(bytes);
    assert_non_null(data);
    for (uint64_t i = 0; i < bytes; i++) data[i] = code != NULL ? code(i) : (uint8_t)test_random_u64(random);
    for (uint64_t i = 0; i < count && code == NULL && size > 1; i++) {
        uint32_t value = 0;
        test_store(&value, format, 0, test_random_normal(random));
        if (test_random_below(random, 16) != 0) memcpy(data + i * size, &value, size);
    }
    return data;
}

static void make_tensor(test_device *device, const pack_trial *t, pack_sources *s, uint32_t i, test_random *random) {
    const int out_in = t->layout == CLMOE_OUT_IN;
    const uint64_t count = out_in ? s->rows : t->in_features, width = out_in ? t->in_features : s->rows;
    const uint32_t bits = pack_bits(t->source_format);
    s->stride = width + t->gap;
    s->expert_elements = count * s->stride + t->gap;
    s->data[i] = make_numbers(t->source_format, s->expert_elements * t->groups, t->code, random);
    const sources from = place(device, s, i, t->groups, s->expert_elements * bits / 8,
                               ((count - 1) * s->stride + width) * bits / 8, t->source);
    s->tensors[i] = (clmoe_tensor){.format = t->source_format,
                                   .layout = t->layout,
                                   .row_stride = t->gap != 0 ? s->stride : 0,
                                   .expert_stride = t->gap != 0 ? s->expert_elements : 0,
                                   .host = from.host,
                                   .host_list = from.host_list,
                                   .buffer = from.buffer,
                                   .buffer_list = from.buffer_list};
}

static void make_scales(test_device *device, const pack_trial *t, pack_sources *s, uint32_t i, test_random *random) {
    const uint32_t slot = PACK_TENSORS + i;
    const uint32_t kind = i + 1 == s->count ? t->scale_source : t->second_scale_source;
    s->scale_columns = (t->in_features + t->block_columns - 1) / t->block_columns;
    s->scale_count = (s->rows + t->block_rows - 1) / t->block_rows * s->scale_columns;
    s->data[slot] = make_numbers(t->scale_format, s->scale_count * t->groups, t->scale_code, random);
    const uint64_t bytes = s->scale_count * pack_bits(t->scale_format) / 8;
    const sources from = place(device, s, slot, t->groups, bytes, bytes, kind);
    s->scales[i] = (clmoe_scales){.format = t->scale_format,
                                  .block_rows = t->block_rows,
                                  .block_columns = t->block_columns,
                                  .host = from.host,
                                  .host_list = from.host_list,
                                  .buffer = from.buffer,
                                  .buffer_list = from.buffer_list};
    s->tensors[i].scales = &s->scales[i];
}

void pack_sources_create(test_device *device, const pack_trial *t, pack_sources *s) {
    const int separate = t->gated && t->gate_up == CLMOE_GATE_UP_SEPARATE;
    test_random random = test_random_new(t->stream);
    *s = (pack_sources){.count = separate ? 2 : 1};
    s->rows = t->gated && !separate ? 2ull * t->out_features : t->out_features;
    s->seals = calloc(2ull * PACK_TENSORS * t->groups, sizeof *s->seals);
    s->buffers = calloc(2ull * PACK_TENSORS * t->groups, sizeof *s->buffers);
    assert_true(s->seals != NULL && s->buffers != NULL);
    for (uint32_t i = 0; i < s->count; i++) {
        make_tensor(device, t, s, i, &random);
        if (t->scale_format != 0) make_scales(device, t, s, i, &random);
    }
}

void pack_sources_free(test_device *device, pack_sources *s) {
    for (uint32_t i = 0; i < s->seal_count; i++) assert_int_equal(munmap(s->seals[i].map, s->seals[i].bytes), 0);
    for (uint32_t i = 0; i < s->buffer_count; i++) test_buffer_free(device, &s->buffers[i]);
    for (uint32_t i = 0; i < 2 * PACK_TENSORS; i++) {
        free(s->data[i]);
        free((void *)s->hosts[i]);
        free(s->lists[i]);
    }
    free(s->seals);
    free(s->buffers);
}
