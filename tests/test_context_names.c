/* Names of variants and folders that a context is given, in its description and the environment: what there is not is
 * refused when the context is created. */
#include "bed.h"

#include <stdio.h>

#include "select/gemm_variants.h"

static const char *const variables[] = {"CLMOE_DISABLE", "CLMOE_PREFER"};
static const char *const fields[] = {"disable", "prefer"};

static void set_list(clmoe_context_desc *desc, int field, const char *list) {
    if (field == 0) desc->disable = list;
    else desc->prefer = list;
}

static void unknown_names_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *list, *wrong;
    } cases[] = {{"avx512_bf17", "\"avx512_bf17\""}, {"cpu,slow", "\"slow\""}, {"cpu, gpu", "\" gpu\""},
                 {"cpu/", "\"cpu/\""},               {"cpu/tile", "\"cpu/tile\""}, {"CPU", "\"CPU\""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int field = 0; field < 2; field++) {
            clmoe_error error = {.struct_size = sizeof error};
            clmoe_context *context = NULL;
            clmoe_context_desc desc = bed_defaults();
            set_list(&desc, field, cases[i].list);
            FAILS(clmoe_context_create(&desc, &context, &error), CLMOE_INVALID_ARGUMENT, cases[i].wrong);
            assert_null(context);
            assert_string_equal(error.argument, fields[field]);
            assert_int_equal(setenv(variables[field], cases[i].list, 1), 0);
            FAILS(clmoe_context_create(NULL, &context, &error), CLMOE_INVALID_ARGUMENT, cases[i].wrong);
            assert_string_equal(error.argument, variables[field]);
            assert_int_equal(unsetenv(variables[field]), 0);
        }
    }
}

/* The message says which names there are, to the last. */
static void the_refusal_lists_the_names(void **state) {
    (void)state;
    clmoe_error error = {.struct_size = sizeof error};
    clmoe_context *context = NULL;
    clmoe_context_desc desc = bed_defaults();
    const clmoe__gemm_variant *variant;
    desc.disable = "a name that is as long as names may be and then some more, which the message does not need";
    FAILS(clmoe_context_create(&desc, &context, &error), CLMOE_INVALID_ARGUMENT, "is no variant");
    for (uint32_t i = 0; (variant = clmoe__gemm_variant_at(i)) != NULL; i++) {
        char group[32];
        const char *behind = strchr(variant->name, '/') + 1;
        (void)snprintf(group, sizeof group, "%.*s", (int)(behind - variant->name), variant->name);
        const char *at = strstr(error.message, group);
        assert_non_null(at);
        assert_non_null(strstr(at, behind));
    }
}

static void every_known_name_is_taken(void **state) {
    (void)state;
    const clmoe__gemm_variant *variant;
    for (uint32_t i = 0; (variant = clmoe__gemm_variant_at(i)) != NULL; i++) {
        char list[128];
        const char *behind = strchr(variant->name, '/') + 1;
        clmoe_context_desc desc = bed_defaults();
        (void)snprintf(list, sizeof list, ",%s,%s,,%.*s,", variant->name, behind, (int)(behind - variant->name - 1),
                       variant->name);
        set_list(&desc, (int)(i % 2), list);
        test_device device = test_open(&desc);
        test_close(&device);
    }
}

static void a_kernel_folder_exists(void **state) {
    (void)state;
    static const char *const wrong[] = {"/nowhere at all", "/dev/null"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        clmoe_error error = {.struct_size = sizeof error};
        clmoe_context *context = NULL;
        clmoe_context_desc desc = bed_defaults();
        desc.kernel_dir = wrong[i];
        FAILS(clmoe_context_create(&desc, &context, &error), CLMOE_INVALID_ARGUMENT, wrong[i]);
        assert_string_equal(error.argument, "kernel_dir");
        assert_int_equal(setenv("CLMOE_KERNEL_DIR", wrong[i], 1), 0);
        FAILS(clmoe_context_create(NULL, &context, &error), CLMOE_INVALID_ARGUMENT, wrong[i]);
        assert_string_equal(error.argument, "CLMOE_KERNEL_DIR");
        desc.kernel_dir = bed_folder; /* goes before the variable */
        test_device device = test_open(&desc);
        test_close(&device);
        assert_int_equal(unsetenv("CLMOE_KERNEL_DIR"), 0);
    }
}

int main(void) {
    for (int i = 0; i < 2; i++) (void)unsetenv(variables[i]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_names_are_refused),
        cmocka_unit_test(the_refusal_lists_the_names),
        cmocka_unit_test(every_known_name_is_taken),
        cmocka_unit_test(a_kernel_folder_exists),
    };
    return cmocka_run_group_tests(tests, bed_make_folder, bed_remove_folder);
}
