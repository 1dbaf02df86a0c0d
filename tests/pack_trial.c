/* The trial of pack_trial.h: reads packed shards back and compares them. */
#include "pack_trial.h"

#include <math.h>

#include "layer/pack.h"

/* What the panel must hold of an element. */
typedef struct wanted {
    uint32_t bits;
    uint32_t or_bits; /* allowed as well */
    int is_nan, is_subnormal;
} wanted;

/* Of column `lane` of panel `panel`: the row of tensor *tensor, or -1. */
static int64_t row_of(const pack_trial *t, const pack_sources *s, uint32_t lanes, uint32_t panel, uint32_t lane,
                      uint32_t *tensor) {
    const uint32_t half = lane / lanes;
    const uint64_t out = t->gated ? (uint64_t)panel * lanes + lane % lanes : (uint64_t)panel * 2 * lanes + lane;
    *tensor = s->count == 2 ? half : 0;
    if (out >= t->out_features) return -1;
    if (!t->gated || s->count == 2) return (int64_t)out;
    return (int64_t)(t->gate_up == CLMOE_GATE_UP_INTERLEAVED ? 2 * out + half : out + (uint64_t)half * t->out_features);
}

static int keeps_subnormals(const test_device *device) {
    cl_device_fp_config config = 0;
    assert_int_equal(clGetDeviceInfo(device->id, CL_DEVICE_SINGLE_FP_CONFIG, sizeof config, &config, NULL), CL_SUCCESS);
    return (config & CL_FP_DENORM) != 0;
}

static wanted wanted_of(const pack_trial *t, const pack_sources *s, int keeps, uint32_t tensor, uint32_t group,
                        uint64_t row, uint64_t k) {
    const uint64_t at = pack_element(t, s, group, row, k);
    wanted w = {0};
    if (t->source_format == t->format) {
        const uint32_t size = pack_bits(t->format) / 8;
        memcpy(&w.bits, s->data[tensor] + at * size, size);
        w.or_bits = w.bits;
        return w;
    }
    float value = (float)pack_decode(s->data[tensor], t->source_format, at);
    int may_flush = 0;
    if (t->scale_format != 0) {
        const uint64_t place = pack_scale(t, s, group, row, k);
        const double scale = pack_decode(s->data[PACK_TENSORS + tensor], t->scale_format, place);
        value = (float)((double)value * scale); /* exact in double: rounded once */
        w.is_subnormal = fpclassify(value) == FP_SUBNORMAL;
        may_flush = !keeps && t->scale_format != CLMOE_F8_E8M0 &&
                    (w.is_subnormal || fpclassify((float)scale) == FP_SUBNORMAL);
    }
    test_store(&w.bits, t->format, 0, (double)value);
    w.or_bits = w.bits;
    w.is_nan = isnan(value);
    if (may_flush) w.or_bits = 0;
    if (may_flush) test_store(&w.or_bits, t->format, 0, signbit(value) ? -0.0 : 0.0);
    return w;
}

static uint8_t *read_matrix(test_device *device, const clmoe__matrix *matrix) {
    const uint64_t total = (uint64_t)matrix->groups * matrix->panels;
    uint8_t *packed = malloc(total * matrix->panel_bytes);
    assert_non_null(packed);
    for (uint32_t i = 0; i < matrix->shard_count; i++) {
        const uint64_t first = i * matrix->panels_per_shard, rest = total - first;
        const uint64_t panels = rest < matrix->panels_per_shard ? rest : matrix->panels_per_shard;
        const cl_int code = clEnqueueReadBuffer(device->queue, matrix->shards[i].mem, CL_TRUE, 0,
                                                panels * matrix->panel_bytes, packed + first * matrix->panel_bytes, 0,
                                                NULL, NULL);
        assert_int_equal(code, CL_SUCCESS);
    }
    return packed;
}

static int is_nan(uint32_t bits, uint32_t format) {
    if (format == CLMOE_F32) return (bits & 0x7fffffffu) > 0x7f800000u;
    return (bits & 0x7fffu) > (format == CLMOE_F16 ? 0x7c00u : 0x7f80u);
}

/* Compares column `lane` of a packed panel. Returns the number of subnormal products. */
static uint64_t compare_column(const pack_trial *t, const pack_sources *s, const clmoe__matrix *matrix, int keeps,
                               const uint8_t *panel, uint32_t g, uint32_t p, uint32_t lane) {
    const uint32_t size = pack_bits(t->format) / 8, kp = t->arithmetic == CLMOE_ARITHMETIC_BF16 ? 2 : 1;
    const uint64_t padded = (t->in_features + kp - 1) / kp * kp, columns = 2ull * matrix->lanes;
    uint64_t subnormals = 0;
    uint32_t tensor;
    const int64_t row = row_of(t, s, matrix->lanes, p, lane, &tensor);
    for (uint64_t k = 0; k < padded; k++) {
        uint32_t got = 0;
        wanted w = {0};
        memcpy(&got, panel + ((k / kp * columns + lane) * kp + k % kp) * size, size);
        if (row >= 0 && k < t->in_features) w = wanted_of(t, s, keeps, tensor, g, (uint64_t)row, k);
        subnormals += (uint64_t)w.is_subnormal;
        if (w.is_nan ? is_nan(got, t->format) : got == w.bits || got == w.or_bits) continue;
        fail_msg("format %u to %u, arithmetic %u, scales %u, %u lanes, %u x %u: group %u panel %u lane %u (row %lld) k "
                 "%llu is %x, expected %x",
                 t->source_format, t->format, t->arithmetic, t->scale_format, matrix->lanes, t->out_features,
                 t->in_features, g, p, lane, (long long)row, (unsigned long long)k, got, w.bits);
    }
    return subnormals;
}

/* Of CLMOE_F8_B128: the source's codes, zeros behind the last k, and the scale of the column and its neighbour, to
 * which both of the source must be equal. Supers of 128 k: a scale for each pair of columns, then [32][columns] of four
 * codes. */
static void compare_codes(const pack_trial *t, const pack_sources *s, const clmoe__matrix *matrix, const uint8_t *panel,
                          uint32_t g, uint32_t p, uint32_t lane) {
    const uint64_t columns = 2ull * matrix->lanes, super_bytes = columns * 130, supers = (t->in_features + 127) / 128;
    uint32_t tensor;
    const int64_t row = row_of(t, s, matrix->lanes, p, lane, &tensor);
    const int pair_exists = row_of(t, s, matrix->lanes, p, lane / 2 * 2, &tensor) >= 0;
    assert_int_equal(matrix->panel_bytes, supers * super_bytes);
    for (uint64_t k = 0; k < supers * 128; k++) {
        const uint8_t *super = panel + k / 128 * super_bytes;
        const int exists = row >= 0 && k < t->in_features;
        const uint8_t got = super[columns * 2 + (k % 128 / 4 * columns + lane) * 4 + k % 4];
        const uint8_t code = exists ? s->data[tensor][pack_element(t, s, g, (uint64_t)row, k)] : 0;
        float scale, scale_wanted = pair_exists ? 1.0f : 0.0f;
        memcpy(&scale, super + lane / 2 * 4, sizeof scale);
        if (exists && t->scale_format != 0)
            scale_wanted = (float)pack_decode(s->data[PACK_TENSORS + tensor], t->scale_format,
                                              pack_scale(t, s, g, (uint64_t)row, k));
        const int no_scale = row < 0 && pair_exists; /* its neighbour's */
        if (got != code || (!no_scale && k < t->in_features && memcmp(&scale, &scale_wanted, 4) != 0 &&
                              !(isnan(scale) && isnan(scale_wanted))))
            fail_msg("f8_b128, scales %u of %u x %u, %u lanes, %u x %u, gate_up %u: group %u panel %u lane %u (row "
                     "%lld) k %llu has "
                     "code %x and scale %.9g, expected %x and %.9g",
                     t->scale_format, t->block_rows, t->block_columns, matrix->lanes, t->out_features, t->in_features,
                     t->gate_up, g, p, lane, (long long)row, (unsigned long long)k, got, (double)scale, code,
                     (double)scale_wanted);
    }
}

static uint64_t compare(test_device *device, const pack_trial *t, const pack_sources *s, const clmoe__matrix *matrix) {
    uint8_t *packed = read_matrix(device, matrix);
    const int keeps = keeps_subnormals(device);
    uint64_t subnormals = 0;
    for (uint32_t i = 0; i < t->groups * matrix->panels; i++)
        for (uint32_t lane = 0; lane < 2 * matrix->lanes; lane++)
            if (t->format == CLMOE_F8_B128)
                compare_codes(t, s, matrix, packed + i * matrix->panel_bytes, i / matrix->panels, i % matrix->panels,
                              lane);
            else
                subnormals += compare_column(t, s, matrix, keeps, packed + i * matrix->panel_bytes, i / matrix->panels,
                                             i % matrix->panels, lane);
    free(packed);
    return subnormals;
}

int pack_trial_run(test_device *device, const pack_trial *t, enum pack_way way, uint64_t *subnormals) {
    static const clmoe__matrix_names names = {"gate", "gate_bias", "up", "up_bias"};
    static const clmoe_tensor absent;
    clmoe_context *context = device->context;
    clmoe_error error = {.struct_size = sizeof error};
    pack_sources s;
    pack_sources_create(device, t, &s);
    clmoe__packer packer = {.context = context};
    clmoe__matrix matrix = {.groups = t->groups,
                            .in_features = t->in_features,
                            .out_features = t->out_features,
                            .gated = (int)t->gated,
                            .format = t->format,
                            .arithmetic = t->arithmetic,
                            .lanes = t->lanes != 0 ? t->lanes : context->device.vector_width};
    clmoe__matrix_part parts[2];
    const clmoe_tensor *gate = s.count == 2 ? &s.tensors[0] : &absent, *up = &s.tensors[s.count - 1];
    OK(clmoe__projection_check(context, t->groups, t->in_features, t->out_features, (int)t->gated, t->gate_up, gate, up,
                               &absent, &absent, &names, &error));
    if (t->format == CLMOE_F8_B128) OK(clmoe__e4m3_check(&matrix, t->gate_up, gate, up, "matrix", &error));
    OK(clmoe__matrix_create(context, &matrix, 0, &error));
    const uint32_t count = clmoe__matrix_parts(&matrix, t->gate_up, gate, up, &absent, &absent, &names, parts);
    const int fits = way != PACK_ROWS || clmoe__pack_rows_fits(context, &matrix, parts, count);
    for (uint32_t i = 0; i < count && way == PACK_ANY; i++) OK(clmoe__pack_any(&packer, &matrix, &parts[i], 0, &error));
    if (way == PACK_ROWS && fits) OK(clmoe__pack_rows(&packer, &matrix, parts, count, &error));
    if (way == PACK_CHOSEN) OK(clmoe__pack(&packer, &matrix, parts, count, &error));
    const uint64_t found = fits ? compare(device, t, &s, &matrix) : 0;
    if (subnormals != NULL) *subnormals += found;
    clmoe__packer_destroy(&packer);
    clmoe__matrix_destroy(context, &matrix);
    pack_sources_free(device, &s);
    return fits;
}
