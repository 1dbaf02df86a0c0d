/* src/model/json.c and json_get.c: JSON within limits, typed reads that name file, key, value and range. No OpenCL
 * device. */
#include "files.h"
#include "support.h"

#include "model/json.h"

#define FILE_NAME "config.json"

static json_t *parse(const char *text) {
    clmoe_error error = {0};
    json_t *root = NULL;
    OK(clmoe__json_parse(text, strlen(text), "folder/" FILE_NAME, &root, &error));
    assert_non_null(root);
    return root;
}

static void refuse_bytes(const char *text, size_t bytes, const char *what, const char *more) {
    clmoe_error error = {0};
    json_t *root = (json_t *)&error;
    const clmoe_status status = clmoe__json_parse(text, bytes, "folder/" FILE_NAME, &root, &error);
    test_refused(status, &error, "folder/" FILE_NAME, what, more);
    assert_null(root);
    assert_int_equal(clmoe__json_parse(text, bytes, FILE_NAME, &root, NULL), CLMOE_INVALID_FILE);
}

static void refuse(const char *text, const char *what, const char *more) {
    refuse_bytes(text, strlen(text), what, more);
}

static void malformed_texts(void **state) {
    (void)state;
    refuse("", "line 1", NULL);
    refuse(" \n ", "line 2", NULL);
    refuse("{\"a\": 1", "line 1", "'}' expected");
    refuse("{\"a\": 1}\n x", "line 2, column 2", "end of file expected");
    refuse("{\"a\": 1}{}", "line 1", "end of file expected");
    refuse("{\"a\": 1,\n \"b\": 2, \"a\": 3}", "line 2", "duplicate object key near '\"a\"'");
    refuse("{\"a\": {\"b\": 1, \"b\": 1}}", "duplicate object key", "\"b\"");
    refuse("{\"a\": tru}", "'tru'", NULL);
    refuse("{\"a\": 01}", "line 1", NULL);
    refuse("{'a': 1}", "line 1", NULL);
    refuse("{\"a\": \"\xff\"}", "unable to decode byte 0xff", NULL);
    refuse("{\"a\": \"\\ud800\"}", "line 1", NULL);
    refuse("{\"a\": \"\\u0000\"}", "\\u0000", NULL);
    refuse("{\"a\": 123456789012345678901234567890}", "too big integer", NULL);
    refuse("{\"a\": 1e999}", "real number overflow", NULL);
    refuse("{\"a\": \"\n\"}", "line 1", NULL);
    refuse("[1, 2]", "a list of 2", "expected an object");
    refuse("\"text\"", "\"text\"", "expected an object");
    refuse("null", "null", "expected an object");
    refuse_bytes("{}\0", 3, "line 1", NULL);
    refuse_bytes("{\"a\": 1}", 4, "line 1", NULL);
}

/* Control characters of a file do not reach a terminal. */
static void messages_are_printable(void **state) {
    (void)state;
    clmoe_error error = {0};
    json_t *const root = parse("{\"a\": \"\\u001b[2J\\n\\u007f\"}");
    uint32_t value = 0;
    test_refused(clmoe__json_u32(root, "a", FILE_NAME, 0, 1, &value, NULL, &error), &error, FILE_NAME,
                 "a is \"?[2J??\"", NULL);
    json_decref(root);
}

/* `depth` lists in an object. */
static char *nested(size_t depth, int close) {
    char *const text = malloc(2 * depth + 16);
    assert_non_null(text);
    size_t used = (size_t)sprintf(text, "{\"[[\\\"\": ");
    memset(text + used, '[', depth);
    used += depth;
    if (close) memset(text + used, ']', depth), used += depth;
    text[used] = '\0';
    if (close) strcat(text, "}");
    return text;
}

static void nesting_ends_at_64(void **state) {
    (void)state;
    static const size_t bad[] = {64, 65, 1000, 1000000};
    char *text = nested(63, 1);
    json_decref(parse(text));
    free(text);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; ++i) {
        for (int close = 0; close <= 1; ++close) {
            text = nested(bad[i], close);
            refuse(text, "nested deeper than 64", "line 1, column 73");
            free(text);
        }
    }
    json_decref(parse("{\"a\": [[], [], [{}, {}]], \"b\": "
                      "\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"}"));
}

static void words_that_are_not_finite(void **state) {
    (void)state;
    json_t *root = parse("{\"a\": NaN, \"b\":[NaN,-Infinity,Infinity,1],\"c\":-Infinity}");
    assert_true(json_is_null(json_object_get(root, "a")));
    assert_true(json_is_null(json_object_get(root, "c")));
    const json_t *const list = json_object_get(root, "b");
    assert_int_equal(json_array_size(list), 4);
    for (size_t i = 0; i < 3; ++i) assert_true(json_is_null(json_array_get(list, i)));
    assert_int_equal(json_integer_value(json_array_get(list, 3)), 1);
    json_decref(root);
    root = parse("{\"NaN\": \"NaN, \\\"NaN, Infinity \\\\\", \"b\": NaN}");
    assert_string_equal(json_string_value(json_object_get(root, "NaN")), "NaN, \"NaN, Infinity \\");
    json_decref(root);
    refuse("{\"a\": NaNs}", "line 1", NULL);
    refuse("{\"a\": 1NaN}", "line 1", NULL);
    refuse("{\"a\": -NaN}", "line 1", NULL);
    refuse("{\"a\": Infinit", "line 1", NULL);
    refuse("NaN", "null", "expected an object");
}

static void files(void **state) {
    (void)state;
    clmoe_error error = {0};
    json_t *root = NULL;
    test_folder folder = test_folder_new();
    const char *const path = test_file(&folder, FILE_NAME, "{\"a\": 7}", 8);
    OK(clmoe__json_read(path, &root, &error));
    assert_int_equal(json_integer_value(json_object_get(root, "a")), 7);
    json_decref(root);
    test_refused(clmoe__json_read(test_path(&folder, "none.json"), &root, &error), &error, "none.json",
                 "does not exist", NULL);
    assert_null(root);
    test_refused(clmoe__json_read(test_path(&folder, FILE_NAME "/x.json"), &root, &error), &error, "x.json",
                 "a part of the path is not a folder", NULL);
    test_refused(clmoe__json_read(folder.path, &root, &error), &error, folder.path, "is a folder", NULL);
    test_refused(clmoe__json_read("/dev/null", &root, &error), &error, "/dev/null", "is not a file but a device", NULL);
    test_refused(clmoe__json_read(test_file(&folder, "empty.json", "", 0), &root, &error), &error, "empty.json",
                 "is empty", NULL);
    test_refused(clmoe__json_read(test_file(&folder, "cut.json", "{\"a\": 7", 7), &root, &error), &error, "cut.json",
                 "line 1", "expected near end of file");
    test_folder_free(&folder);
}

#define U32(key, low, high)     clmoe__json_u32(root, key, FILE_NAME, low, high, &number, &found, &error)
#define DOUBLE(key, low, high)  clmoe__json_double(root, key, FILE_NAME, low, high, &real, &found, &error)
#define WRONG(call, what, more) test_refused((call), &error, FILE_NAME ": " what, "expected", more)

static void numbers(void **state) {
    (void)state;
    clmoe_error error = {0};
    json_t *const root = parse("{\"e\": 8, \"big\": 4294967295, \"huge\": 4294967296, \"minus\": -1, \"real\": 8.0, "
                               "\"half\": 0.5, \"text\": \"8\","
                               "\"yes\": true, \"none\": null, \"list\": [1, 2, 3], \"in\": {\"k\": 3, \"none\": null, "
                               "\"deep\": {\"k\": 4}}}");
    uint32_t number = 99;
    double real = 99;
    int found = -1;
    OK(U32("absent", 0, 1));
    assert_int_equal(found, 0);
    OK(U32("none", 0, 1));
    assert_int_equal(found, 0);
    assert_int_equal(number, 99);
    OK(U32("e", 8, 8));
    assert_int_equal(found, 1);
    assert_int_equal(number, 8);
    OK(U32("big", 0, UINT32_MAX));
    assert_int_equal(number, UINT32_MAX);
    WRONG(U32("huge", 0, UINT32_MAX), "huge is 4294967296", "an integer in 0..4294967295");
    assert_string_equal(error.argument, "huge");
    WRONG(U32("minus", 0, 7), "minus is -1", "an integer in 0..7");
    WRONG(U32("e", 0, 7), "e is 8", "an integer in 0..7");
    WRONG(U32("e", 9, 10), "e is 8", "an integer in 9..10");
    WRONG(U32("real", 0, 9), "real is 8.0", NULL);
    WRONG(U32("text", 0, 9), "text is \"8\"", NULL);
    WRONG(U32("yes", 0, 9), "yes is true", NULL);
    WRONG(U32("list", 0, 9), "list is a list of 3", NULL);
    WRONG(U32("in", 0, 9), "in is an object", NULL);
    OK(DOUBLE("e", 0, 8));
    assert_true(found == 1 && real == 8);
    OK(DOUBLE("half", 0.5, 0.5));
    assert_true(real == 0.5);
    OK(DOUBLE("none", 0, 1));
    assert_true(found == 0 && real == 0.5);
    WRONG(DOUBLE("half", 1, 2), "half is 0.5", "a number in 1..2");
    WRONG(DOUBLE("half", 0, 0.25), "half is 0.5", "a number in 0..0.25");
    WRONG(DOUBLE("text", 0, 9), "text is \"8\"", NULL);
    json_decref(root);
}

static void paths(void **state) {
    (void)state;
    clmoe_error error = {0};
    json_t *const root = parse("{\"e\": 8, \"none\": null, \"in\": {\"k\": 3, \"none\": null, \"deep\": {\"k\": 4}}}");
    uint32_t number = 99;
    int found = -1;
    OK(U32("in.k", 0, 9));
    assert_int_equal(number, 3);
    OK(U32("in.deep.k", 0, 9));
    assert_int_equal(number, 4);
    static const char *const absent[] = {"in.x", "in.none", "in.none.k", "none.k", "x.y.z", "in.deep.", "", "."};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; ++i) {
        OK(U32(absent[i], 0, 9));
        assert_int_equal(found, 0);
        assert_null(clmoe__json_get(root, absent[i]));
    }
    assert_int_equal(number, 4);
    WRONG(U32("in.k.z", 0, 9), "in.k is 3", "an object");
    WRONG(U32("e.k", 0, 9), "e is 8", "an object");
    WRONG(U32("in.deep.k", 5, 9), "in.deep.k is 4", "5..9");
    assert_null(clmoe__json_get(root, "e.k"));
    assert_int_equal(json_integer_value(clmoe__json_get(root, "in.deep.k")), 4);
    OK(clmoe__json_u32(NULL, "e", FILE_NAME, 0, 9, &number, &found, &error));
    assert_int_equal(found, 0);
    json_decref(root);
}

static void other_types(void **state) {
    (void)state;
    clmoe_error error = {0};
    json_t *const root = parse(
        "{\"yes\": true, \"no\": false, \"one\": 1, \"text\": \"silu\", \"list\": [1, 2.5, \"x\", null], \"in\": {}}");
    int flag = 9, found = -1;
    const char *text = NULL;
    const json_t *value = NULL;
    OK(clmoe__json_bool(root, "yes", FILE_NAME, &flag, &found, &error));
    assert_true(flag == 1 && found == 1);
    OK(clmoe__json_bool(root, "no", FILE_NAME, &flag, NULL, &error));
    assert_int_equal(flag, 0);
    WRONG(clmoe__json_bool(root, "one", FILE_NAME, &flag, &found, &error), "one is 1", "true or false");
    OK(clmoe__json_string(root, "text", FILE_NAME, &text, &found, &error));
    assert_string_equal(text, "silu");
    WRONG(clmoe__json_string(root, "one", FILE_NAME, &text, &found, &error), "one is 1", "a string");
    WRONG(clmoe__json_object(root, "list", FILE_NAME, &value, &found, &error), "list is a list of 4", "an object");
    WRONG(clmoe__json_array(root, "in", FILE_NAME, &value, &found, &error), "in is an empty object", "a list");
    OK(clmoe__json_object(root, "in", FILE_NAME, &value, &found, &error));
    assert_ptr_equal(value, json_object_get(root, "in"));
    OK(clmoe__json_array(root, "list", FILE_NAME, &value, &found, &error));
    uint32_t number = 0;
    double real = 0;
    OK(clmoe__json_u32_at(value, 0, "list", FILE_NAME, 0, 9, &number, &found, &error));
    assert_int_equal(number, 1);
    OK(clmoe__json_double_at(value, 1, "list", FILE_NAME, 0, 9, &real, &found, &error));
    assert_true(real == 2.5);
    OK(clmoe__json_string_at(value, 2, "list", FILE_NAME, &text, &found, &error));
    assert_string_equal(text, "x");
    for (size_t i = 3; i <= 4; ++i) {
        OK(clmoe__json_u32_at(value, i, "list", FILE_NAME, 0, 9, &number, &found, &error));
        assert_int_equal(found, 0);
    }
    WRONG(clmoe__json_u32_at(value, 1, "list", FILE_NAME, 0, 9, &number, &found, &error), "list[1] is 2.5", "0..9");
    WRONG(clmoe__json_string_at(value, 0, "list", FILE_NAME, &text, &found, &error), "list[0] is 1", "a string");
    WRONG(clmoe__json_double_at(value, 2, "list", FILE_NAME, 0, 9, &real, &found, &error), "list[2] is \"x\"", "0..9");
    WRONG(clmoe__json_missing("top_k", FILE_NAME, "an integer", &error), "top_k is missing", "an integer");
    json_decref(root);
}

/* The end of a long path and of a long name is what a message keeps. */
static void long_names(void **state) {
    (void)state;
    clmoe_error error = {0};
    char path[3000], key[2000], text[2100];
    uint32_t number = 0;
    memset(path, 'p', sizeof path);
    (void)strcpy(path + sizeof path - 13, "/config.json");
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    (void)snprintf(text, sizeof text, "{\"%s\": -5}", key);
    json_t *const root = parse(text);
    test_refused(clmoe__json_u32(root, key, path, 0, 7, &number, NULL, &error), &error, "p/config.json: kkk",
                 " is -5, expected", "an integer in 0..7");
    json_decref(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_texts),
        cmocka_unit_test(messages_are_printable),
        cmocka_unit_test(nesting_ends_at_64),
        cmocka_unit_test(words_that_are_not_finite),
        cmocka_unit_test(files),
        cmocka_unit_test(numbers),
        cmocka_unit_test(paths),
        cmocka_unit_test(other_types),
        cmocka_unit_test(long_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
