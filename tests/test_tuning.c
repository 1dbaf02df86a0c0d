/* Rows of tuning in use: files that are wrong are ignored and say why, rows take their place in the order of precedence
 * and are seen in what is built. */
#include <stdio.h>

#include "files.h"
#include "layer_case.h"

#define HEADER       "clmoe tuning 1\n"
#define CPU_NUMBERS  "group_tiles=1 prefetch_bytes=4096 prefetch_bytes_tall=8192 next_panel_bytes=393216"
#define LINE         "\"a device\" \"1.0\" portable/fma f32 f32 k64,n128 tile_rows=6 " CPU_NUMBERS
#define COUNT(array) (sizeof(array) / sizeof *(array))

static clmoe_error error = {.struct_size = sizeof error};

/* --------------------------------------------------------------------------------------------- reading a file */

typedef struct opened {
    test_device device;
    char log[8192], described[16384];
} opened;

static void keep_line(void *user, const char *line) {
    opened *o = user;
    const size_t used = strlen(o->log);
    snprintf(o->log + used, sizeof o->log - used, "%s\n", line);
}

static opened *open_with(const char *path) {
    opened *o = calloc(1, sizeof *o);
    assert_non_null(o);
    clmoe_context_desc desc;
    clmoe_context_desc_default(&desc, sizeof desc);
    desc.tuning = path;
    desc.log = keep_line;
    desc.log_user = o;
    o->device = test_open(&desc);
    OK(clmoe_context_describe(o->device.context, o->described, sizeof o->described, NULL, &error));
    return o;
}

static void close_it(opened *o) {
    test_close(&o->device);
    free(o);
}

static void has(const char *text, const char *part) {
    if (strstr(text, part) == NULL) fail_msg("\"%s\" is not in:\n%s", part, text);
}

/* A row: a key with these numbers. */
static const char *row_for(const char *key, const char *numbers) {
    static char texts[8][1024];
    static size_t next;
    char *text = texts[next++ % 8];
    snprintf(text, sizeof texts[0], "%s %s", key, numbers);
    return text;
}

static void test_files(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    static char large[(1 << 20) + 2];
    memset(large, '#', sizeof large);
    const struct {
        const char *text;
        size_t bytes;
        const char *why; /* of a note; NULL: none */
    } files[] = {
        {HEADER LINE "\n", sizeof(HEADER LINE "\n") - 1, NULL},
        {HEADER "\r\n# " LINE "\r\n \t\r\n", sizeof(HEADER "\r\n# " LINE "\r\n \t\r\n") - 1, NULL},
        {HEADER LINE, sizeof(HEADER LINE) - 1, "line 2 is ignored: has no end, it may be cut short"},
        {HEADER "nonsense\n", sizeof(HEADER "nonsense\n") - 1, "line 2 is ignored: the device is missing"},
        {"clmoe tuning 2\n" LINE "\n", sizeof("clmoe tuning 2\n" LINE "\n") - 1,
         "the file is ignored: its first line is not \"clmoe tuning 1\""},
        {"clmoe tuning 1", 14, "the file is ignored: its first line"},
        {LINE "\n", sizeof(LINE "\n") - 1, "the file is ignored: its first line"},
        {HEADER "\0\n\xff\xfe\n", sizeof(HEADER "\0\n\xff\xfe\n") - 1, "line 2 is ignored: has a control character"},
        {large, sizeof large, "the file is ignored: it is larger than 1 MiB"},
    };
    for (size_t i = 0; i < COUNT(files); i++) {
        opened *o = open_with(test_file(&folder, "rows", files[i].text, files[i].bytes));
        has(o->described, "/rows, ");
        if (files[i].why != NULL) {
            has(o->described, files[i].why);
            has(o->log, files[i].why);
        } else {
            has(o->described, "0 ignored");
            assert_null(strstr(o->log, "tuning"));
        }
        if (i == 0) has(o->described, "1 lines for other devices or drivers");
        assert_null(strstr(o->described, "row of the file"));
        close_it(o);
    }
    opened *o = open_with(folder.path);
    has(o->described, "the file is ignored: it is no file");
    close_it(o);
    o = open_with(test_path(&folder, "missing"));
    has(o->described, "missing, 0 lines for other devices or drivers, 0 ignored\n");
    close_it(o);
    test_folder_free(&folder);
}

/* Where the file is looked for, and the switch. */
static void test_places(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    const char *path = test_file(&folder, "rows", HEADER, strlen(HEADER));
    char own[512];
    assert_int_equal(setenv("CLMOE_TUNING", path, 1), 0);
    opened *o = open_with(NULL);
    assert_string_equal(clmoe_context_tuning_path(o->device.context), path);
    close_it(o);
    o = open_with("off");
    assert_null(clmoe_context_tuning_path(o->device.context));
    has(o->described, "tuning: no file, switched off\n");
    FAILS(clmoe_context_save_tuning(o->device.context, NULL, LINE, &error), CLMOE_INVALID_ARGUMENT, "switched off");
    close_it(o);
    assert_int_equal(setenv("CLMOE_TUNING", "off", 1), 0);
    o = open_with(NULL);
    has(o->described, "switched off");
    close_it(o);
    o = open_with(path);
    assert_string_equal(clmoe_context_tuning_path(o->device.context), path);
    close_it(o);
    assert_int_equal(unsetenv("CLMOE_TUNING"), 0);
    assert_int_equal(setenv("XDG_CONFIG_HOME", folder.path, 1), 0);
    o = open_with(NULL);
    snprintf(own, sizeof own, "%s/clmoe/tuning", folder.path);
    assert_string_equal(clmoe_context_tuning_path(o->device.context), own);
    close_it(o);
    assert_int_equal(unsetenv("XDG_CONFIG_HOME"), 0);
    assert_int_equal(setenv("CLMOE_TUNING", "off", 1), 0);
    test_folder_free(&folder);
}

/* ------------------------------------------------------------------------------------------- which row counts */

static clmoe_tuning tuning_of(const clmoe_layer *layer, uint32_t i) {
    clmoe_tuning gemm;
    clmoe_tuning_default(&gemm, sizeof gemm);
    OK(clmoe_layer_tuning(layer, i, &gemm, &error));
    return gemm;
}

static uint32_t number_of(const clmoe_tuning *gemm, const char *name) {
    for (uint32_t i = 0; i < gemm->count; i++)
        if (strcmp(gemm->numbers[i].name, name) == 0) return gemm->numbers[i].value;
    fail_msg("%s has no number %s", gemm->key, name);
    return 0;
}

static int is_cpu_macro(const clmoe_tuning *gemm) {
    return strstr(gemm->key, " cpu/") != NULL || strstr(gemm->key, " portable/") != NULL;
}

/* A layer with the rows in force, whose up-projection must have these prefetch_bytes from there; its description shows
 * it. */
static void expect(opened *o, layer_case *c, uint32_t prefetch_bytes, const char *from) {
    clmoe_layer *layer = NULL;
    char text[8192], wanted[320];
    OK(clmoe_layer_create(o->device.context, c->weights, &c->options.layer, &layer, &error));
    const clmoe_tuning up = tuning_of(layer, 0);
    if (strncmp(up.from, from, strlen(from)) != 0) fail_msg("the row is from \"%s\", expected \"%s\"", up.from, from);
    assert_int_equal(number_of(&up, "prefetch_bytes"), prefetch_bytes);
    OK(clmoe_layer_describe(layer, text, sizeof text, NULL, &error));
    snprintf(wanted, sizeof wanted, "prefetch_bytes=%u ", prefetch_bytes);
    has(text, wanted);
    snprintf(wanted, sizeof wanted, "(%s)\n", up.from);
    has(text, wanted);
    clmoe_layer_destroy(layer);
}

#define NUMBERS(rows, prefetch) \
    "tile_rows=" #rows " group_tiles=1 prefetch_bytes=" #prefetch " prefetch_bytes_tall=8192 next_panel_bytes=393216"

/* A key for matrices of any size. */
static const char *any_size(const char *key) {
    static char text[400];
    snprintf(text, sizeof text, "%.*s any", (int)(strrchr(key, ' ') - key), key);
    return text;
}

static layer_case *small_case(opened *o) {
    case_options options = case_default(80, 48, 4, 2);
    return case_new(&o->device, &options);
}

static void test_precedence(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    opened *o = open_with("off");
    layer_case *c = small_case(o);
    const clmoe_tuning up = tuning_of(c->layer, 0), down = tuning_of(c->layer, 1);
    case_free(c);
    close_it(o);
    has(up.key, " f32 f32 k128,n128");
    has(down.key, " f32 f32 k64,n128");
    assert_string_equal(up.from, "shipped");
    if (!is_cpu_macro(&up)) {
        test_folder_free(&folder);
        skip(); /* other numbers there */
    }
    const uint32_t shipped = number_of(&up, "prefetch_bytes");

    char text[8192];
    snprintf(text, sizeof text, HEADER "%s\n%s\n%s\n", row_for(up.key, NUMBERS(4, 11)),
             row_for(any_size(up.key), NUMBERS(4, 12)), row_for(down.key, NUMBERS(6, 13)));
    o = open_with(test_file(&folder, "rows", text, strlen(text)));
    has(o->described, "tuning, row of the file: ");
    c = small_case(o);
    expect(o, c, 11, "the user's file, line 2");
    const clmoe_tuning logits = tuning_of(c->layer, 2);
    assert_string_equal(logits.from, "the user's file, line 3");
    assert_int_equal(number_of(&logits, "prefetch_bytes"), 12);
    OK(clmoe_context_tune(o->device.context, row_for(any_size(up.key), NUMBERS(4, 14)), &error));
    expect(o, c, 14, "set by the program");
    OK(clmoe_context_tune(o->device.context, row_for(up.key, NUMBERS(4, 15)), &error));
    expect(o, c, 15, "set by the program");
    OK(clmoe_context_tune(o->device.context, row_for(up.key, NUMBERS(4, 16)), &error));
    expect(o, c, 16, "set by the program");
    OK(clmoe_context_tune(o->device.context, NULL, &error));
    expect(o, c, 11, "the user's file, line 2");
    case_free(c);
    close_it(o);

    /* numbers that lines may have, but kernels not: the same reasons as for shipped rows */
    snprintf(text, sizeof text, HEADER "%s\n", row_for(up.key, NUMBERS(5, 11)));
    o = open_with(test_file(&folder, "rows", text, strlen(text)));
    c = small_case(o);
    expect(o, c, shipped, "shipped; the row of the user's file, line 2: tile_rows is 5, expected 1, 4, 6 or 14");
    has(o->log, "tile_rows is 5, expected 1, 4, 6 or 14");
    case_free(c);
    close_it(o);
    test_folder_free(&folder);
}

/* The numbers are what is built: plans get the tuned tile_rows, of two GEMMs the smaller. */
static void test_built(void **state) {
    (void)state;
    opened *o = open_with("off");
    layer_case *c = small_case(o);
    const clmoe_tuning up = tuning_of(c->layer, 0);
    if (!is_cpu_macro(&up)) {
        case_free(c);
        close_it(o);
        skip();
    }
    OK(clmoe_context_tune(o->device.context, row_for(up.key, NUMBERS(4, 64)), &error));
    clmoe_layer *layer = NULL;
    char text[8192];
    OK(clmoe_layer_create(o->device.context, c->weights, &c->options.layer, &layer, &error));
    OK(clmoe_layer_describe(layer, text, sizeof text, NULL, &error));
    has(text, "tiles of 4 rows");
    const clmoe_tuning down = tuning_of(layer, 1);
    assert_string_equal(down.from, "shipped");
    assert_int_equal(number_of(&down, "tile_rows"), 4);
    clmoe_layer_destroy(layer);
    case_free(c);
    close_it(o);
}

static void test_arguments(void **state) {
    (void)state;
    opened *o = open_with("off");
    clmoe_context *context = o->device.context;
    layer_case *c = small_case(o);
    clmoe_tuning t = tuning_of(c->layer, 0);
    FAILS(clmoe_layer_tuning(NULL, 0, &t, &error), CLMOE_INVALID_ARGUMENT, "layer");
    FAILS(clmoe_layer_tuning(c->layer, 0, NULL, &error), CLMOE_INVALID_ARGUMENT, "tuning");
    FAILS(clmoe_layer_tuning(c->layer, 3, &t, &error), CLMOE_INVALID_ARGUMENT, "i is 3, expected 0..2");
    FAILS(clmoe_context_tune(NULL, LINE, &error), CLMOE_INVALID_ARGUMENT, "context");
    FAILS(clmoe_context_tune(context, "nonsense", &error), CLMOE_INVALID_ARGUMENT, "the device is missing");
    FAILS(clmoe_context_tune(context, LINE, &error), CLMOE_INVALID_ARGUMENT, "is for \"a device\", not for");
    FAILS(clmoe_context_tune(context, "\"*\" \"0*\" portable/fma f32 f32 any " NUMBERS(6, 64), &error),
          CLMOE_INVALID_ARGUMENT, "is for driver \"0*\"");
    FAILS(clmoe_context_tune(context, "\"*\" \"*\" portable/fma f32 f32 any " NUMBERS(7, 64), &error),
          CLMOE_UNSUPPORTED, "tile_rows is 7, expected 1, 4, 6 or 14");
    FAILS(clmoe_context_tune(context,
                             "\"*\" \"*\" portable/fma f32 f32 any tile_rows=6 group_tiles=2 prefetch_bytes=0 "
                             "prefetch_bytes_tall=0 next_panel_bytes=0",
                             &error),
          CLMOE_UNSUPPORTED, "group_tiles is 2, expected 1");
    FAILS(clmoe_context_tune(
              context,
              "\"*\" \"*\" gpu/tile f32 f32 any tile_rows=64 tile_columns=100 tile_k=16 lanes=4 item_rows=4 "
              "row_vector=4 buffers=2 few_rows=8 few_columns=64 few_k=32 few_lanes=4 few_item_rows=1 "
              "few_row_vector=1 few_buffers=1 few_split=1 mean_rows=64",
              &error),
          CLMOE_UNSUPPORTED, "tile: columns must be whole panels");
    FAILS(clmoe_context_tune(
              context,
              "\"*\" \"*\" emulated/mma bf16 bf16 any tile_rows=32 warps_down=2 warps_across=2 panels_each=1 "
              "k_run=48 stages=2",
              &error),
          CLMOE_UNSUPPORTED, "k_run must be 16, 32 or 64");
    FAILS(clmoe_context_save_tuning(NULL, "x", LINE, &error), CLMOE_INVALID_ARGUMENT, "context");
    FAILS(clmoe_context_save_tuning(context, "x", NULL, &error), CLMOE_INVALID_ARGUMENT, "row");
    FAILS(
        clmoe_context_save_tuning(context, "/dev/null/x", row_for(any_size(t.key), "tile_rows=6 " CPU_NUMBERS), &error),
        CLMOE_INVALID_FILE, "cannot be locked");
    assert_null(clmoe_context_tuning_path(NULL));
    case_free(c);
    close_it(o);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files), cmocka_unit_test(test_places),    cmocka_unit_test(test_precedence),
        cmocka_unit_test(test_built), cmocka_unit_test(test_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
