/* Rows of tuning as text: lines that are wrong say why, and files are replaced whole whoever else writes. No device is
 * opened. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "layer/tuning.h"
#include "support.h"

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
            if (strstr(text, name) == NULL) fail_msg("%s is not in:\n%s", name, text);
        }
    free(text);
    test_folder_free(&folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line), cmocka_unit_test(test_hostile_lines), cmocka_unit_test(test_random_lines),
        cmocka_unit_test(test_save), cmocka_unit_test(test_save_places),   cmocka_unit_test(test_writers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
