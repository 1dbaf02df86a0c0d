/* GGUF files that are whole and lie about the model: metadata and tensors. Each is refused with CLMOE_INVALID_FILE and
 * one message that names the file and the key or tensor. No OpenCL device. */
#include <math.h>
#include <stdio.h>

#include "gguf_hostile.h"
#include "model/gguf.h"
#include "model/model_layer.h"
#include "support.h"

/* ------------------------------------------------------------------------------------------------ metadata */

/* A key of a value that is wrong, in place of the right one. */
static void wrong_values(void **state) {
    (void)state;
    static const struct {
        const char *key;
        uint32_t type;
        uint64_t bits;
        uint32_t bytes;
        const char *what;
    } rows[] = {
        {"general.architecture", GGUF_U32, 1, 4, "expected string"},
        {"general.alignment", GGUF_U32, 0, 4, "multiple of 8"},
        {"general.alignment", GGUF_U32, 1, 4, "multiple of 8"},
        {"general.alignment", GGUF_U32, 33, 4, "multiple of 8"},
        {"general.alignment", GGUF_U32, 12, 4, "multiple of 8"},
        {"general.alignment", GGUF_U64, 32, 8, "expected uint32"},
        {"general.alignment", GGUF_F32, 0x42000000, 4, "expected uint32"},
        {"split.count", GGUF_F32, 0x3f800000, 4, "expected an integer"},
        {"split.count", GGUF_I16, 0xffff, 2, "negative"},
        {"split.count", GGUF_U32, 65536, 4, "expected 0..65535"},
        {"split.count", GGUF_U16, 2, 2, "00001-of-00002"},
        {"split.no", GGUF_U16, 1, 2, "expected 0..0"},
        {"olmoe.block_count", GGUF_U32, 0, 4, "expected"},
        {"olmoe.block_count", GGUF_U32, UINT32_MAX, 4, "expected"},
        {"olmoe.block_count", GGUF_U64, UINT64_MAX, 8, "expected"},
        {"olmoe.block_count", GGUF_I32, 0xffffffff, 4, "is -1"},
        {"olmoe.block_count", GGUF_F32, 0x3f800000, 4, "expected"},
        {"olmoe.block_count", GGUF_BOOL, 1, 1, "is true"},
        {"olmoe.block_count", GGUF_BOOL, 2, 1, "bool of 2"},
        {"olmoe.block_count", GGUF_U32, 2, 4, NULL}, /* more layers than tensors */
        {"olmoe.embedding_length", GGUF_U32, 0, 4, "expected"},
        {"olmoe.embedding_length", GGUF_U32, 16, 4, NULL},
        {"olmoe.expert_count", GGUF_U32, 0, 4, "expected"},
        {"olmoe.expert_count", GGUF_U32, 3, 4, NULL},
        {"olmoe.expert_count", GGUF_U32, 1u << 20, 4, "expected"},
        {"olmoe.expert_used_count", GGUF_U32, 0, 4, "expected"},
        {"olmoe.expert_used_count", GGUF_U32, 3, 4, "expected 1..2"},
        {"olmoe.expert_used_count", GGUF_F32, 0x7fc00000, 4, "\"nan\""},
        {"olmoe.feed_forward_length", GGUF_F64, 0x7ff0000000000000, 8, "\"inf\""},
        {"olmoe.feed_forward_length", GGUF_U32, 5, 4, NULL},
        {"olmoe.expert_group_count", GGUF_U32, 3, 4, "divisor"},
        {"olmoe.expert_group_count", GGUF_F32, 0x40000000, 4, "expected"},
        {"olmoe.nextn_predict_layers", GGUF_U32, 1, 4, "is 1, expected"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gguf_file f = gguf_small_without(rows[i].key);
        gguf_key(&f, rows[i].key, rows[i].type);
        gguf_put(&f.keys, rows[i].bits, rows[i].bytes);
        gguf_refused(f, rows[i].what != NULL ? rows[i].key : "blk.", rows[i].what);
    }
}

static void missing_keys(void **state) {
    (void)state;
    static const char *const keys[] = {"general.architecture",      "olmoe.block_count",  "olmoe.embedding_length",
                                       "olmoe.feed_forward_length", "olmoe.expert_count", "olmoe.expert_used_count"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        gguf_refused(gguf_small_without(keys[i]), keys[i], "missing");
}

static void wrong_keys(void **state) {
    (void)state;
    static const uint32_t types[] = {13, 255, UINT32_MAX};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        gguf_file f = gguf_small();
        gguf_key(&f, "olmoe.strange", types[i]);
        gguf_put(&f.keys, 0, 8);
        gguf_refused(f, "olmoe.strange", "type");
    }
    gguf_file f = gguf_small();
    gguf_u32(&f, "olmoe.expert_count", 2);
    gguf_refused(f, "olmoe.expert_count", "twice");
    f = gguf_small();
    gguf_u32(&f, "olmoe.expert_count.more", 2);
    gguf_refused(f, "olmoe.expert_count", NULL);
    f = gguf_small_without("general.architecture");
    gguf_text(&f, "general.architecture", "");
    gguf_refused(f, "general.architecture", "1..60");
    /* Nested without end: it is not kept, and nobody recurses. */
    f = gguf_small();
    char *deep = malloc(60001);
    for (int i = 0; i < 60000; i++) deep[i] = "olmoe."[i % 6];
    deep[60000] = '\0';
    gguf_u32(&f, deep, 1);
    free(deep);
    gguf_accepted(f);
}

/* ------------------------------------------------------------------------------------------------- tensors */

static void shapes(void **state) {
    (void)state;
    static const struct {
        uint32_t rank;
        uint64_t sizes[5];
        uint32_t type;
        const char *what;
    } rows[] = {
        {0, {1}, GGUF_TYPE_F32, "0 dimensions"},
        {5, {1, 1, 1, 1, 1}, GGUF_TYPE_F32, "5 dimensions"},
        {UINT32_MAX, {1}, GGUF_TYPE_F32, "dimensions"},
        {2, {0, 4}, GGUF_TYPE_F32, "expected 1.."},
        {2, {4, 0}, GGUF_TYPE_F32, "expected 1.."},
        {1, {UINT64_MAX}, GGUF_TYPE_F32, "expected 1.."},
        {1, {(uint64_t)1 << 63}, GGUF_TYPE_F32, "expected 1.."},
        {1, {(uint64_t)1 << 62}, GGUF_TYPE_F32, "64 bits"},
        {2, {(uint64_t)1 << 32, (uint64_t)1 << 32}, GGUF_TYPE_F32, "64 bits"},
        {4, {1u << 16, 1u << 16, 1u << 16, 1u << 16}, GGUF_TYPE_F16, "64 bits"},
        {4, {1u << 20, 1u << 20, 1u << 20, 1u << 10}, GGUF_TYPE_Q8_0, "64 bits"},
        {1, {33}, GGUF_TYPE_Q8_0, "whole blocks"},
        {2, {128, 2}, GGUF_TYPE_Q4_K, "whole blocks"},
        {1, {4}, 4, "type 4"},
        {1, {4}, 31, "type 31"},
        {1, {4}, 43, "type 43"},
        {1, {4}, UINT32_MAX, "type 4294967295"},
        {1, {1u << 20}, GGUF_TYPE_F32, "cut short"},
        {1, {(uint64_t)1 << 40}, GGUF_TYPE_I32, "cut short"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gguf_file f = gguf_small();
        uint64_t sizes[5];
        memcpy(sizes, rows[i].sizes, sizeof sizes);
        gguf_info(&f, "x.weight", rows[i].type, rows[i].rank <= 5 ? rows[i].rank : 1, sizes, 0);
        if (rows[i].rank > 5) memset(f.infos.at + f.infos.count - 24, 255, 4); /* rank, one size, type, offset */
        gguf_refused(f, "x.weight", rows[i].what);
    }
}

static void offsets(void **state) {
    (void)state;
    static const uint64_t one[1] = {8};
    static const struct {
        uint64_t offset;
        const char *what;
    } rows[] = {
        {1, "expected a multiple of 32"},
        {16, "expected a multiple of 32"},
        {UINT64_MAX, "expected a multiple of 32"},
        {0, "within the data of tensor blk.0.ffn_gate_inp.weight"},
        {32, "within the data of tensor blk.0.ffn_gate_inp.weight"},
        {288, "within the data of tensor blk.0.ffn_gate_exps.weight"},
        {832, "cut short"},
        {(uint64_t)1 << 40, "cut short"},
        {UINT64_MAX - 31, "cut short"},
        {(uint64_t)1 << 63, "cut short"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        gguf_file f = gguf_small();
        gguf_info(&f, "zzz", GGUF_TYPE_F32, 1, one, rows[i].offset);
        gguf_refused(f, i == 3 ? NULL : "zzz", rows[i].what);
    }
    /* An alignment beyond the end of the file. */
    gguf_file f = gguf_small();
    gguf_u32(&f, "general.alignment", UINT32_MAX - 7);
    gguf_refused(f, "blk.0.", NULL);
}

static void twice_and_missing(void **state) {
    (void)state;
    static const uint64_t one[1] = {8};
    static const char *const names[] = {"blk.0.ffn_gate_inp.weight", "blk.0.ffn_gate_exps.weight",
                                        "blk.0.ffn_up_exps.weight", "blk.0.ffn_down_exps.weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        float numbers[8] = {0};
        gguf_file f = gguf_small();
        gguf_tensor(&f, names[i], GGUF_TYPE_F32, 1, one, numbers, sizeof numbers);
        gguf_refused(f, names[i], "twice");
        gguf_refused(gguf_small_without(names[i]), names[i], "missing");
        f = gguf_small_without(names[i]);
        gguf_tensor(&f, names[i], GGUF_TYPE_F32, 1, one, numbers, sizeof numbers);
        gguf_refused(f, names[i], "expected [");
        f = gguf_small_without(names[i]);
        gguf_tensor(&f, names[i], GGUF_TYPE_I32, 1, one, numbers, sizeof numbers);
        gguf_refused(f, names[i], NULL);
    }
}

/* Formats beyond this library, and a factor of up without that of gate: listed, and refused by name when weights are
 * asked for. */
static void unknown_blocks(void **state) {
    (void)state;
    static const uint64_t up[3] = {256, 4, 2}, down[3] = {4, 256, 2}, router[2] = {256, 2}, scale[1] = {2};
    static const char data[16384];
    for (int scaled = 0; scaled < 2; scaled++) {
        test_folder folder = test_folder_new();
        clmoe_error error = {.struct_size = sizeof error};
        clmoe_model *model = NULL;
        gguf_file f = gguf_new();
        const uint32_t type = scaled ? GGUF_TYPE_F32 : GGUF_TYPE_IQ2_XXS;
        gguf_text(&f, "general.architecture", "olmoe");
        gguf_u32(&f, "olmoe.block_count", 1);
        gguf_u32(&f, "olmoe.embedding_length", 256);
        gguf_u32(&f, "olmoe.feed_forward_length", 4);
        gguf_u32(&f, "olmoe.expert_count", 2);
        gguf_u32(&f, "olmoe.expert_used_count", 1);
        gguf_tensor(&f, "blk.0.ffn_gate_inp.weight", GGUF_TYPE_F32, 2, router, data, 2048);
        gguf_tensor(&f, "blk.0.ffn_gate_exps.weight", type, 3, up, data, scaled ? 8192 : 8 * 66);
        gguf_tensor(&f, "blk.0.ffn_up_exps.weight", type, 3, up, data, scaled ? 8192 : 8 * 66);
        gguf_tensor(&f, "blk.0.ffn_down_exps.weight", GGUF_TYPE_F32, 3, down, data, 8192);
        if (scaled) gguf_tensor(&f, "blk.0.ffn_up_exps.scale", GGUF_TYPE_F32, 1, scale, data, 8);
        OK(clmoe_model_open(gguf_write(&f, &folder, GGUF_NAME), &model, &error));
        clmoe_model_layer layer = {.struct_size = sizeof layer};
        if (scaled) {
            test_fails(clmoe_model_get_layer(model, 0, &layer, &error), &error, CLMOE_INVALID_FILE,
                       "blk.0.ffn_gate_exps.scale");
        } else {
            OK(clmoe_model_get_layer(model, 0, &layer, &error));
            assert_string_equal(layer.formats, "iq2_xxs, f32");
        }
        clmoe__layer_config c;
        clmoe__layer_weights weights;
        OK(clmoe__config_layer(&model->config, 0, &c, &error));
        test_fails(clmoe__layer_weights_create(model, 0, &c, 0, 2, 1, &weights, &error), &error,
                   scaled ? CLMOE_INVALID_FILE : CLMOE_UNSUPPORTED,
                   scaled ? "blk.0.ffn_gate_exps.scale" : "blk.0.ffn_gate_exps.weight");
        clmoe_model_destroy(model);
        gguf_free(&f);
        test_folder_free(&folder);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_values),
        cmocka_unit_test(missing_keys),
        cmocka_unit_test(wrong_keys),
        cmocka_unit_test(shapes),
        cmocka_unit_test(offsets),
        cmocka_unit_test(twice_and_missing),
        cmocka_unit_test(unknown_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
