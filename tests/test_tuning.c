/* Files and rows of tuning: lines that are wrong are ignored and say why, rows take their place in the order of
 * precedence and are seen in what is built, and files are replaced whole whoever else writes. */
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "layer/tuning.h"
#include "layer_case.h"

#define HEADER       "clmoe tuning 1\n"
#define CPU_NUMBERS  "group_tiles=1 prefetch_bytes=4096 prefetch_bytes_tall=8192 next_panel_bytes=393216"
#define LINE         "\"a device\" \"1.0\" portable/fma f32 f32 k64,n128 tile_rows=6 " CPU_NUMBERS
#define COUNT(array) (sizeof(array) / sizeof *(array))

static clmoe_error error = {.struct_size = sizeof error};

/* ------------------------------------------------------------------------------------------------------ lines */

static void test_line(void **state) {
    (void)state;
    static const char *const good[] = {
        LINE,
        ("\"*\" \"*\" cpu/fma bf16 f32 any tile_rows=14 " CPU_NUMBERS),
        "\"x\" \"y\" matrix/mma q4_0 bf16 k65536,n64 tile_rows=128 warps_down=2 warps_across=2 panels_each=2 k_run=16 "
        "stages=5",
    };
    clmoe__tuning_row row, again;
    char reason[320], text[CLMOE__TUNING_LINE];
    for (size_t i = 0; i < COUNT(good); i++) {
        if (clmoe__tuning_parse(good[i], strlen(good[i]), &row, reason, sizeof reason) != NULL)
            fail_msg("%s: %s", good[i], reason);
        assert_int_equal(clmoe__tuning_print(&row, 0, text, sizeof text), strlen(good[i]));
        assert_string_equal(text, good[i]);
    }
    const char spaced[] = "\t\"a device\"  \"1.0\" portable/fma f32 f32\tk64,n128 " CPU_NUMBERS " tile_rows=6  ";
    assert_null(clmoe__tuning_parse(LINE, strlen(LINE), &row, reason, sizeof reason));
    assert_null(clmoe__tuning_parse(spaced, strlen(spaced), &again, reason, sizeof reason));
    assert_memory_equal(&row, &again, sizeof row);
}

static void test_hostile_lines(void **state) {
    (void)state;
    static const struct {
        const char *line, *why;
    } wrong[] = {
        {"", "the device is missing"},
        {"device \"1.0\" cpu/fma f32 f32 any", "the device is missing"},
        {"\"a device", "no closing quote"},
        {"\"\" \"1\"", "the device has 0 bytes"},
        {"\"a\"\"b\" cpu/fma f32 f32 any", "behind its closing quote"},
        {"\"a\" cpu/fma f32 f32 any", "the driver is missing"},
        {"\"a\" \"b\"", "'' is no variant"},
        {"\"a\" \"b\" cpu/fm f32 f32 any", "'cpu/fm' is no variant"},
        {"\"a\" \"b\" cpu/fma f33 f32 any", "'f33' is no format"},
        {"\"a\" \"b\" cpu/fma q2_K f32 any", "'q2_K' is no format that weights are kept in"},
        {"\"a\" \"b\" cpu/fma f32 auto any", "'auto' is no arithmetic"},
        {"\"a\" \"b\" cpu/fma q4_0 int8 any", "cpu/fma has no int8 arithmetic"},
        {"\"a\" \"b\" cpu/fma f32 bf16 any tile_rows=6 " CPU_NUMBERS, "f32 weights have no bf16 arithmetic"},
        {"\"a\" \"b\" cpu/fma f32 f32 k64", "'k64' is no class"},
        {"\"a\" \"b\" cpu/fma f32 f32 k65,n64", "is no class"},
        {"\"a\" \"b\" cpu/fma f32 f32 k32,n64", "is no class"},
        {"\"a\" \"b\" cpu/fma f32 f32 k64,n0131072", "is no class"},
        {"\"a\" \"b\" cpu/fma f32 f32 k64,n", "is no class"},
        {"\"a\" \"b\" cpu/fma f32 f32 any", "tile_rows is missing"},
        {"\"a\" \"b\" cpu/fma f32 f32 any tile_rows=6 tile_rows=6", "tile_rows is there twice"},
        {"\"a\" \"b\" cpu/fma f32 f32 any tile_rows", "'tile_rows' is no NAME=VALUE"},
        {"\"a\" \"b\" cpu/fma f32 f32 any tile_rows=", "tile_rows is '', expected 1 to 64"},
        {"\"a\" \"b\" cpu/fma f32 f32 any tile_rows=-6", "tile_rows is '-6'"},
        {"\"a\" \"b\" cpu/fma f32 f32 any tile_rows=0", "tile_rows is '0'"},
        {"\"a\" \"b\" cpu/fma f32 f32 any tile_rows=06", "tile_rows is '06'"},
        {"\"a\" \"b\" cpu/fma f32 f32 any tile_rows=6x", "tile_rows is '6x'"},
        {"\"a\" \"b\" cpu/fma f32 f32 any tile_rows=4294967302", "tile_rows is '4294967302'"},
        {"\"a\" \"b\" cpu/fma f32 f32 any tile_rows=18446744073709551622", "tile_rows is '18446744073709551622'"},
        {"\"a\" \"b\" cpu/fma f32 f32 any tile_k=16", "cpu/fma has no number 'tile_k'"},
        {"\"a\" \"b\" cpu/fma f32 f32 any =16", "cpu/fma has no number ''"},
        {"\"a\x01\" \"b\"", "control character"},
        {LINE " x=1", "no number 'x'"},
    };
    clmoe__tuning_row row;
    char reason[320], longest[CLMOE__TUNING_LINE + 2];
    for (size_t i = 0; i < COUNT(wrong); i++) {
        const char *why = clmoe__tuning_parse(wrong[i].line, strlen(wrong[i].line), &row, reason, sizeof reason);
        if (why == NULL || strstr(why, wrong[i].why) == NULL)
            fail_msg("%s: \"%s\", expected \"%s\"", wrong[i].line, why != NULL ? why : "accepted", wrong[i].why);
    }
    memset(longest, ' ', sizeof longest);
    assert_non_null(
        strstr(clmoe__tuning_parse(longest, CLMOE__TUNING_LINE + 1, &row, reason, sizeof reason), "longer than"));
    longest[0] = '"';
    memset(longest + 1, 'x', 200);
    longest[201] = '"';
    assert_non_null(
        strstr(clmoe__tuning_parse(longest, 300, &row, reason, sizeof reason), "has 200 bytes, expected 1 to 131"));
}

/* Any bytes give a reason or a row that says the same when it is printed; no line may be read past its end. */
static void test_random_lines(void **state) {
    (void)state;
    test_random random = test_random_new(1);
    uint32_t accepted = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        const size_t length = i % 4 == 0 ? test_random_below(&random, sizeof LINE) : strlen(LINE);
        char *line = malloc(length + 1), reason[320], text[CLMOE__TUNING_LINE];
        clmoe__tuning_row row, again;
        assert_non_null(line);
        memcpy(line, LINE, length);
        for (uint32_t n = test_random_below(&random, 3); n > 0 && length > 0; n--)
            line[test_random_below(&random, (uint32_t)length)] = (char)test_random_below(&random, 256);
        char *exact = realloc(line, length > 0 ? length : 1); /* for AddressSanitizer */
        assert_non_null(exact);
        if (clmoe__tuning_parse(exact, length, &row, reason, sizeof reason) == NULL) {
            const int printed = clmoe__tuning_print(&row, 0, text, sizeof text);
            assert_null(clmoe__tuning_parse(text, (size_t)printed, &again, reason, sizeof reason));
            assert_memory_equal(&row, &again, sizeof row);
            accepted++;
        }
        free(exact);
    }
    assert_true(accepted > 1000);
}

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
              "few_row_vector=1 few_buffers=1 mean_rows=64",
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

/* ------------------------------------------------------------------------------------------- writing the file */

static char *read_all(const char *path) {
    char *text = clmoe__os_file_read(path, NULL);
    assert_non_null(text);
    return text;
}

static clmoe__tuning_row parsed(const char *line) {
    clmoe__tuning_row row;
    char reason[320];
    if (clmoe__tuning_parse(line, strlen(line), &row, reason, sizeof reason) != NULL) fail_msg("%s: %s", line, reason);
    return row;
}

static void test_save(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    const clmoe__tuning_row row = parsed(LINE),
                            other = parsed("\"b\" \"1.0\" portable/fma f32 f32 k64,n128 tile_rows=4 " CPU_NUMBERS);
    const char *path = test_path(&folder, "new");
    char *text;
    OK(clmoe__tuning_save(path, &row, &error));
    text = read_all(path);
    assert_string_equal(text, HEADER LINE "\n");
    free(text);
    OK(clmoe__tuning_save(path, &other, &error));
    OK(clmoe__tuning_save(path, &row, &error));
    text = read_all(path);
    assert_string_equal(text,
                        HEADER "\"b\" \"1.0\" portable/fma f32 f32 k64,n128 tile_rows=4 " CPU_NUMBERS "\n" LINE "\n");
    free(text);
    assert_int_equal(test_folder_count(&folder), 2); /* and its lock */

    /* what is not this row stays, damaged lines too; a line without an end must not become one with */
    static const char old[] = HEADER "# mine\n\nnonsense\n" LINE "\n\"b\" \"1.0\" portable/fma f32 f32 any tile_rows=1";
    path = test_file(&folder, "old", old, strlen(old));
    OK(clmoe__tuning_save(path, &row, &error));
    text = read_all(path);
    assert_string_equal(
        text, HEADER "# mine\n\nnonsense\n# cut short: \"b\" \"1.0\" portable/fma f32 f32 any tile_rows=1\n" LINE "\n");
    free(text);

    /* another program's file is none of ours */
    path = test_file(&folder, "foreign", "import os\n", 10);
    FAILS(clmoe__tuning_save(path, &row, &error), CLMOE_INVALID_FILE, "is left as it is");
    text = read_all(path);
    assert_string_equal(text, "import os\n");
    free(text);
    FAILS(clmoe__tuning_save(folder.path, &row, &error), CLMOE_INVALID_FILE, "is no file");
    test_folder_free(&folder);
    char lock[300];
    snprintf(lock, sizeof lock, "%s.lock", folder.path);
    (void)remove(lock);
}

/* A folder that is not there is made; a file that cannot be replaced stays. */
static void test_save_places(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    const clmoe__tuning_row row = parsed(LINE);
    char below[512];
    snprintf(below, sizeof below, "%s/clmoe/tuning", folder.path);
    OK(clmoe__tuning_save(below, &row, &error));
    char *text = read_all(below);
    assert_string_equal(text, HEADER LINE "\n");
    free(text);
    assert_int_equal(remove(below), 0);
    snprintf(below, sizeof below, "%s/clmoe/tuning.lock", folder.path);
    assert_int_equal(remove(below), 0);
    snprintf(below, sizeof below, "%s/clmoe", folder.path);
    assert_int_equal(remove(below), 0);
    test_folder_free(&folder);
}

enum { WRITERS = 4, ROWS_EACH = 12 };

static void write_rows(const char *path, int writer) {
    for (int i = 0; i < ROWS_EACH; i++) {
        clmoe__tuning_row row = parsed(LINE);
        snprintf(row.device, sizeof row.device, "device %d.%d", writer, i);
        if (clmoe__tuning_save(path, &row, NULL) != CLMOE_OK) _exit(1);
    }
    _exit(0);
}

/* Processes that add rows at the same time lose none of each other's; a reader sees whole files only. */
static void test_writers(void **state) {
    (void)state;
    test_folder folder = test_folder_new();
    const char *path = test_path(&folder, "rows");
    pid_t writers[WRITERS];
    for (int w = 0; w < WRITERS; w++) {
        writers[w] = fork();
        assert_true(writers[w] >= 0);
        if (writers[w] == 0) write_rows(path, w);
    }
    for (int left = WRITERS; left > 0;) {
        int status = 0;
        size_t bytes = 0;
        char *text = clmoe__os_file_read(path, &bytes);
        if (text != NULL && (strncmp(text, HEADER, strlen(HEADER)) != 0 || text[bytes - 1] != '\n'))
            fail_msg("a part: %s", text);
        free(text);
        const pid_t ended = waitpid(-1, &status, WNOHANG);
        if (ended <= 0) continue;
        assert_int_equal(status, 0);
        left--;
    }
    char *text = read_all(path), name[64];
    for (int w = 0; w < WRITERS; w++)
        for (int i = 0; i < ROWS_EACH; i++) {
            snprintf(name, sizeof name, "\"device %d.%d\"", w, i);
            has(text, name);
        }
    free(text);
    test_folder_free(&folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),       cmocka_unit_test(test_hostile_lines), cmocka_unit_test(test_random_lines),
        cmocka_unit_test(test_writers),    cmocka_unit_test(test_files),         cmocka_unit_test(test_places),
        cmocka_unit_test(test_precedence), cmocka_unit_test(test_built),         cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_save),       cmocka_unit_test(test_save_places)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
