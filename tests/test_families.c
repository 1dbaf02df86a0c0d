/* Every family's row: a config.json must give the sizes, the layers and the rule that model_rows.c says, and a key of a
 * wrong type or out of its range must be refused by name. No device is needed. */
#include <stdio.h>

#include "files.h"
#include "model/config.h"
#include "model_rows.h"
#include "support.h"

#define FILE_NAME "config.json"

static clmoe_status open_text(const char *text, clmoe__config *config, clmoe_error *error) {
    json_t *root = NULL;
    const clmoe_status status = clmoe__json_parse(text, strlen(text), FILE_NAME, &root, error);
    return status == CLMOE_OK ? clmoe__config_create(root, FILE_NAME, config, error) : status;
}

static void layers_text(const clmoe__config *config, char *text, size_t room) {
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < config->num_moe_layers && used < room; i++)
        used += (size_t)snprintf(text + used, room - used, "%s%u", i != 0 ? " " : "", config->moe_layers[i]);
}

#define SAME(field)                                                                                              \
    do {                                                                                                         \
        if (memcmp(&got.field, &want.field, sizeof got.field) != 0)                                              \
            fail_msg(#field " is %g, expected %g", (double)got.field, (double)want.field);                       \
    } while (0)

static void same_activation(clmoe_activation got, clmoe_activation want) {
    SAME(kind);
    SAME(gated);
    SAME(alpha);
    SAME(up_offset);
    SAME(limit);
    SAME(limit_position);
    SAME(gate_softcap);
    SAME(up_softcap);
}

static void same_desc(const clmoe_layer_desc *a, const clmoe_layer_desc *b, int shared) {
    clmoe_routing got = a->routing, want = b->routing;
    SAME(num_experts);
    SAME(top_k);
    SAME(method);
    SAME(score);
    SAME(score_position);
    SAME(bias_on);
    SAME(logit_scale);
    SAME(logit_softcap);
    SAME(n_group);
    SAME(topk_group);
    SAME(group_score);
    SAME(group_mask);
    SAME(normalize);
    SAME(norm_eps);
    SAME(norm_floor);
    SAME(norm_p);
    SAME(scale);
    SAME(weight_on);
    SAME(zero_experts);
    SAME(sparsemixer_eps);
    assert_memory_equal(&got, &want, sizeof got);
    same_activation(a->activation, b->activation);
    if (shared) same_activation(a->shared_activation, b->shared_activation);
    if (a->routed_scale > b->routed_scale || a->routed_scale < b->routed_scale || a->shared_scale > b->shared_scale ||
        a->shared_scale < b->shared_scale)
        fail_msg("routed_scale %g, shared_scale %g", (double)a->routed_scale, (double)a->shared_scale);
    assert_int_equal(a->first_expert, 0);
    assert_int_equal(a->local_experts, 0);
}

static void test_row(void **state) {
    const model_row *row = *state;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe__config config;
    char *text = model_row_config(row), layers[256];
    OK(open_text(text, &config, &error));
    assert_int_equal(config.num_layers, row->layers);
    layers_text(&config, layers, sizeof layers);
    assert_string_equal(layers, row->moe);
    if (config.num_moe_layers != 0) {
        const clmoe_layer_desc wanted = model_row_desc(row);
        clmoe__layer_config layer;
        OK(clmoe__config_layer(&config, model_row_layer(row), &layer, &error));
        assert_int_equal(layer.hidden_size, row->hidden);
        assert_int_equal(layer.intermediate_size, row->intermediate);
        assert_int_equal(layer.shared_intermediate_size, row->shared);
        assert_int_equal(layer.latent_size, row->latent);
        if (row->names.prefix != NULL) assert_int_equal(layer.has_select_bias, row->names.select_bias != NULL);
        assert_int_equal(layer.desc.router_input, wanted.router_input);
        same_desc(&layer.desc, &wanted, row->shared != 0);
    }
    clmoe__config_destroy(&config);
    free(text);
}

/* ------------------------------------------------------------------------------------------- wrong values */

/* Keys that a model cannot do without; null in their place is an error. */
static int required(const char *key) {
    static const char *const keys[] = {"model_type",       "hidden_size",         "d_model",
             "num_hidden_layers",
                                       "n_layers",         "num_layers",          "num_experts",
                                            "num_local_experts",
                                       "n_routed_experts", "moe_num_experts",     "moe_topk",         "moe_k",
                                       "moe_top_k",        "num_experts_per_tok", "intermediate_size",
                                       "moe_intermediate_size",
                                       "ffn_hidden_size",  "layers_block_type",   "expert_ffn_hidden_size"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(keys[i], key) == 0) return 1;
    return 0;
}

/* Keys that stand in a row to show that they are not read there. */
static int unused(const model_row *row, const char *key) {
    static const char *const pairs[][2] = {{"llama4_text", "intermediate_size_mlp"},
                                           {"deepseek_v2 defaults", "n_group"},
                                           {"deepseek_v2 defaults", "topk_group"},
                                           {"deepseek_v3 fp8", "quant_method"}, /* these two: where tensors need them */
                                           {"deepseek_v3 fp8", "weight_block_size"},
                                           {"deepseek_v3 fp8 kept", "quant_method"},
                                           {"deepseek_v3 fp8 kept", "weight_block_size"},
                                           {"step3p5 types", "moe_layers_enum"},
                                           {"granitemoehybrid dense", "hidden_size"},
                                           {"granitemoehybrid dense", "shared_intermediate_size"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (strcmp(pairs[i][0], row->name) == 0 && strcmp(pairs[i][1], key) == 0) return 1;
    return 0;
}

/* The document with `value` (taken over) in the place of object[key] must be refused, and the error names the key. If
 * it may pass, it may also be another key that is wrong now. */
static void refused(json_t *root, json_t *object, const char *key, json_t *value, int may_pass) {
    clmoe_error error = {.struct_size = sizeof error};
    clmoe__config config;
    json_t *old = json_incref(json_object_get(object, key));
    assert_int_equal(json_object_set_new(object, key, value), 0);
    char *text = json_dumps(root, 0);
    const clmoe_status status = open_text(text, &config, &error);
    if (status == CLMOE_OK) {
        clmoe__config_destroy(&config);
        if (!may_pass) fail_msg("accepted: %s", text);
    } else {
        if (status != CLMOE_INVALID_FILE && !(status == CLMOE_UNSUPPORTED && strcmp(key, "model_type") == 0))
            fail_msg("%s: %s: %s", text, clmoe_status_name(status), error.message);
        if (!may_pass && (strstr(error.argument, key) == NULL || strstr(error.message, key) == NULL ||
        strstr(error.message, FILE_NAME) == NULL))
            fail_msg("%s: the error does not name %s: \"%s\" %s", text, key, error.argument, error.message);
    }
    free(text);
    json_object_set_new(object, key, old);
}

static void refuse_elements(const model_row *row, json_t *root, json_t *object, const char *key) {
    json_t *list = json_object_get(object, key);
    for (size_t i = 0; i < json_array_size(list) && i < row->layers; i++) { /* what is behind is not read */
        json_t *wrong[] = {json_string("x"), json_integer(-7), json_integer(1000000000000000), json_object(),
        json_array()};
        for (size_t w = 0; w < sizeof wrong / sizeof *wrong; w++) {
            json_t *copy = json_deep_copy(list);
            json_array_set_new(copy, i, wrong[w]);
            /* any word may stand for a layer without experts */
            refused(root, object, key, copy, w == 0 && strcmp(key, "layers_block_type") == 0);
        }
    }
}

static void refuse_values(const model_row *row, json_t *root, json_t *object) {
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(object, next, key, value) {
        if (json_is_object(value)) {
            if (strcmp(key, "text_config") == 0) refused(root, object, key, json_integer(3), 0);
            refuse_values(row, root, value);
            continue;
        }
        /* beside text_config, the outer keys do not count */
        if (unused(row, key) || (object == root && json_object_get(root, "text_config") != NULL)) continue;
        const int words = strcmp(key, "moe_layers_enum") == 0;
        refused(root, object, key, json_string("x"), 0);
        refused(root, object, key, json_integer(-7), 0);
        refused(root, object, key, json_integer(1000000000000000), 0);
        refused(root, object, key, json_object(), 0);
        if (!json_is_array(value) && !words) refused(root, object, key, json_array(), 0);
        if (json_is_integer(value)) refused(root, object, key, json_real(2.5), json_is_number(value) && strstr(key,
        "factor") != NULL);
        if (!json_is_boolean(value)) refused(root, object, key, json_true(), 0);
        /* the outer model_type stands in for that of the text part */
        refused(root, object, key, json_null(), !required(key) || (object != root && strcmp(key, "model_type") == 0));
        if (json_is_array(value)) refuse_elements(row, root, object, key);
    }
}

static void test_wrong_values(void **state) {
    const model_row *row = *state;
    clmoe_error error = {.struct_size = sizeof error};
    char *text = model_row_config(row);
    json_t *root = NULL;
    OK(clmoe__json_parse(text, strlen(text), FILE_NAME, &root, &error));
    refuse_values(row, root, root);
    json_decref(root);
    free(text);
}

/* ------------------------------------------------------------------------------------------ single things */

typedef struct wrong_config {
    const char *config;
    clmoe_status status;
    const char *argument, *message; /* parts of them */
} wrong_config;

#define V3(keys)                                                                                                   \
    "{'model_type': 'deepseek_v3', 'hidden_size': 40, 'num_hidden_layers': 4, 'num_experts_per_tok': 4,"         \
    "'moe_intermediate_size': 24, 'first_k_dense_replace': 1, " keys "}"
#define MIXTRAL(keys)                                                                                               \
    "{'model_type': 'mixtral', 'hidden_size': 40, 'num_hidden_layers': 2, 'num_local_experts': 8, " keys "}"

static const wrong_config wrongs[] = {
    {"{'model_type': 'llama'}", CLMOE_UNSUPPORTED, "model_type", "\"llama\""},
    {"{'model_type': 'mixtral2'}", CLMOE_UNSUPPORTED, "model_type", "\"mixtral2\""},
    {"{'model_type': 'mixtra'}", CLMOE_UNSUPPORTED, "model_type", "\"mixtra\""},
    {"{'model_type': 'x', 'text_config': {'model_type': 'qwen2'}}", CLMOE_UNSUPPORTED, "text_config.model_type",
     "\"qwen2\""},
    {"{'hidden_size': 40}", CLMOE_INVALID_FILE, "model_type", "missing"},
    {"{'model_type': 7}", CLMOE_INVALID_FILE, "model_type", "7"},
    {MIXTRAL("'num_experts_per_tok': 9, 'intermediate_size': 24"), CLMOE_INVALID_FILE, "num_experts_per_tok",
     "is 9, expected 1..8"},
    {MIXTRAL("'num_experts_per_tok': 2, 'intermediate_size': 1048577"), CLMOE_INVALID_FILE, "intermediate_size",
     "1048577"},
    {MIXTRAL("'num_experts_per_tok': 0, 'intermediate_size': 24"), CLMOE_INVALID_FILE, "num_experts_per_tok", "is 0"},
    {MIXTRAL("'num_experts_per_tok': 2, 'intermediate_size': 24, 'hidden_act': 'mish'"), CLMOE_INVALID_FILE,
     "hidden_act", "silu"},
    {V3("'n_routed_experts': 16, 'n_group': 3, 'topk_group': 1"), CLMOE_INVALID_FILE, "n_group", "a divisor of 16"},
    {V3("'n_routed_experts': 16, 'n_group': 4, 'topk_group': 5"), CLMOE_INVALID_FILE, "topk_group",
     "is 5, expected 1..4"},
    {V3("'n_routed_experts': 16, 'n_group': 8, 'topk_group': 1"), CLMOE_INVALID_FILE, "topk_group",
     "is 1, expected 2..8"},
    {V3("'n_routed_experts': 16, 'n_group': 16, 'topk_group': 8"), CLMOE_INVALID_FILE, "group_score", "one expert"},
    {V3("'n_routed_experts': 16, 'n_shared_experts': 1000, 'moe_intermediate_size': 1048576"), CLMOE_INVALID_FILE,
     "moe_intermediate_size", "twice"},
    {V3("'n_routed_experts': 16, 'scoring_func': 'softmax'"), CLMOE_INVALID_FILE, "scoring_func", "\"sigmoid\""},
    {"{'model_type': 'deepseek_v2', 'hidden_size': 40, 'num_hidden_layers': 1, 'num_experts_per_tok': 2,"
     "'n_routed_experts': 8,"
     "'moe_intermediate_size': 1048576, 'n_shared_experts': 2}",
     CLMOE_INVALID_FILE, "n_shared_experts", "2 of 1048576 each"},
    {"{'model_type': 'deepseek_v2', 'hidden_size': 40, 'num_hidden_layers': 1, 'num_experts_per_tok': 2,"
     "'n_routed_experts': 8,"
     "'moe_intermediate_size': 24, 'topk_method': 'noaux_tc'}",
     CLMOE_INVALID_FILE, "topk_method", "\"greedy\" or \"group_limited_greedy\""},
    {"{'model_type': 'phimoe', 'hidden_size': 40, 'num_hidden_layers': 1, 'num_local_experts': 8,"
     "'num_experts_per_tok': 3,"
     "'intermediate_size': 24}",
     CLMOE_INVALID_FILE, "routing.top_k", "expected 2"},
    {"{'model_type': 'longcat_flash', 'hidden_size': 40, 'num_layers': 1, 'n_routed_experts': 800, 'moe_topk': 3,"
     "'zero_expert_num': 300, 'expert_ffn_hidden_size': 24}",
     CLMOE_INVALID_FILE, "moe_topk", "800 experts and 300 identities"},
    {"{'model_type': 'laguna', 'hidden_size': 40, 'num_hidden_layers': 2, 'num_experts': 8, 'num_experts_per_tok': 3,"
     "'moe_intermediate_size': 24, 'moe_apply_router_weight_on_input': true}",
     CLMOE_UNSUPPORTED, "moe_apply_router_weight_on_input", "true"},
    {"{'model_type': 'mellum', 'hidden_size': 40, 'num_hidden_layers': 2, 'num_experts': 8, 'num_experts_per_tok': 3,"
     "'moe_intermediate_size': 24, 'mlp_layer_types': ['sparse']}",
     CLMOE_INVALID_FILE, "mlp_layer_types", "a list of 1"},
    {"{'model_type': 'nemotron_h', 'hidden_size': 40, 'n_routed_experts': 8, 'num_experts_per_tok': 3,"
     "'moe_intermediate_size': 24, 'hybrid_override_pattern': 'MEx'}",
     CLMOE_INVALID_FILE, "hybrid_override_pattern", "MEx"},
    {"{'model_type': 'nemotron_h', 'hidden_size': 40}", CLMOE_INVALID_FILE, "layers_block_type", "missing"},
    {"{'model_type': 'hunyuan_v1_moe', 'hidden_size': 40, 'num_hidden_layers': 3, 'num_experts': 8, 'moe_topk': [1, 2],"
     "'intermediate_size': 24}",
     CLMOE_INVALID_FILE, "moe_topk", "missing"},
    {"{'model_type': 'step3p5', 'hidden_size': 40, 'num_hidden_layers': 4, 'n_routed_experts': 8,"
     "'num_experts_per_tok': 3,"
     "'moe_intermediate_size': 24, 'swiglu_limits': [1, 2]}",
     CLMOE_INVALID_FILE, "swiglu_limits", "a list of 2"},
};

static void test_wrong_configs(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        clmoe_error error = {.struct_size = sizeof error};
        clmoe__config config;
        const model_row row = {.config = wrongs[i].config};
        char *text = model_row_config(&row);
        const clmoe_status status = open_text(text, &config, &error);
        if (strcmp(wrongs[i].message, "twice") == 0) {
            assert_int_equal(status, CLMOE_INVALID_FILE); /* a key that stands there twice */
        } else if (status != wrongs[i].status || strstr(error.argument, wrongs[i].argument) == NULL ||
                   strstr(error.message, wrongs[i].message) == NULL) {
            fail_msg("%s: %s, \"%s\": %s", text, clmoe_status_name(status), error.argument, error.message);
        }
        free(text);
    }
}

/* Every model_type is known, its name comes once, and each has a row in model_rows.c. */
static void test_names(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe__config config;
    uint32_t count = 0;
    const char *name;
    for (; (name = clmoe_model_type_name(count)) != NULL; count++) {
        char quoted[80];
        int there = 0;
        assert_non_null(clmoe__family_find(name));
        for (uint32_t k = 0; k < count; k++) assert_string_not_equal(name, clmoe_model_type_name(k));
        (void)snprintf(quoted, sizeof quoted, "'model_type': '%s'", name);
        for (unsigned r = 0; r < model_row_count; r++) there = there || strstr(model_rows[r].config, quoted) != NULL;
        if (!there) fail_msg("%s has no row in model_rows.c", name);
    }
    FAILS(open_text("{\"model_type\": \"nothing\"}", &config, &error), CLMOE_UNSUPPORTED, "nothing");
    for (uint32_t i = 0; i < count; i++)
        if (strstr(error.log, clmoe_model_type_name(i)) == NULL) fail_msg("the log lacks %s", clmoe_model_type_name(i));
}

int main(void) {
    struct CMUnitTest *tests = calloc(2 * (size_t)model_row_count + 2, sizeof *tests);
    size_t count = 0;
    for (unsigned i = 0; i < model_row_count; i++) {
        void *row = (void *)(uintptr_t)&model_rows[i];
        tests[count++] = (struct CMUnitTest){model_rows[i].name, test_row, NULL, NULL, row};
        tests[count++] = (struct CMUnitTest){model_rows[i].name, test_wrong_values, NULL, NULL, row};
    }
    tests[count++] = (struct CMUnitTest){"wrong configs", test_wrong_configs, NULL, NULL, NULL};
    tests[count++] = (struct CMUnitTest){"names", test_names, NULL, NULL, NULL};
    const int failed = _cmocka_run_group_tests("families", tests, count, NULL, NULL);
    free(tests);
    return failed;
}
