/* GGUF files that lie about what holds them together: header, counts, strings, arrays, and cut anywhere. Each is
 * refused with CLMOE_INVALID_FILE and one message that names the file and the key or tensor. No OpenCL device. */
#include <stdio.h>

#include "gguf_hostile.h"
#include "model/gguf.h"
#include "support.h"

/* -------------------------------------------------------------------------------------------------- header */

static void headers(void **state) {
    (void)state;
    static const uint32_t versions[] = {0, 1, 4, 0x03000000, UINT32_MAX};
    gguf_accepted(gguf_small());
    for (size_t i = 0; i < 4; i++) {
        gguf_file f = gguf_small();
        f.magic[i] ^= 1;
        gguf_refused(f, "expected GGUF", NULL);
    }
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        gguf_file f = gguf_small();
        f.version = versions[i];
        gguf_refused(f, "version", "expected 2 or 3");
    }
}

static void counts(void **state) {
    (void)state;
    static const uint64_t lies[] = {1u << 20,          (1u << 20) + 1,    UINT32_MAX,
                                    (uint64_t)1 << 40, (uint64_t)1 << 63, UINT64_MAX};
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
        gguf_file f = gguf_small();
        f.num_keys = lies[i];
        gguf_refused(f, "keys follow", NULL);
        f = gguf_small();
        f.num_tensors = lies[i];
        gguf_refused(f, "the list of tensors", NULL);
    }
    /* One more or less than there are: what follows is read as something else. */
    for (int i = -1; i <= 1; i += 2) {
        gguf_file f = gguf_small();
        f.num_keys += (uint64_t)i;
        gguf_refused(f, NULL, NULL);
    }
    gguf_file f = gguf_small();
    f.num_tensors--;
    gguf_refused(f, "blk.0.ffn_down_exps.weight", "missing");
}

/* No byte of what stands before the data can be spared, nor any of the data. */
static void cut_anywhere(void **state) {
    (void)state;
    gguf_file f = gguf_small();
    gguf_bytes image = gguf_image(&f);
    clmoe__gguf gguf;
    for (size_t keep = 0; keep < image.count; keep++) {
        clmoe_error error = {.struct_size = sizeof error};
        unsigned char *exact = malloc(keep + 1); /* so that a sanitizer sees a byte too far */
        memcpy(exact, image.at, keep);
        exact = realloc(exact, keep != 0 ? keep : 1);
        test_refused(clmoe__gguf_parse(exact, keep, "a/" GGUF_NAME, &gguf, &error), &error, GGUF_NAME,
                     "is it cut short?", NULL);
        assert_null(gguf.tensors);
        free(exact);
    }
    gguf_refused_cut(f, 1, "is it cut short?", NULL);
    gguf_refused_cut(gguf_small(), image.count - 1, "blk.0.ffn_down_exps.weight", "cut short");
    free(image.at);
}

/* ------------------------------------------------------------------------------------------------- strings */

static void strings(void **state) {
    (void)state;
    static const uint64_t lengths[] = {1u << 30, (uint64_t)1 << 32, (uint64_t)1 << 63, UINT64_MAX - 7, UINT64_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        gguf_file f = gguf_small();
        gguf_put(&f.keys, lengths[i], 8); /* of a key's name */
        f.num_keys++;
        gguf_refused(f, "key 6", "cut short");
        f = gguf_small();
        gguf_key(&f, "olmoe.text", GGUF_STRING);
        gguf_put(&f.keys, lengths[i], 8);
        gguf_refused(f, "olmoe.text", "cut short");
        f = gguf_small();
        gguf_put(&f.infos, lengths[i], 8); /* of a tensor's name */
        f.num_tensors++;
        gguf_refused(f, "tensor 4", "cut short");
    }
    static const uint64_t one[1] = {1};
    gguf_file f = gguf_small();
    gguf_text(&f, "", "no name");
    gguf_refused(f, "name of 0 bytes", NULL);
    f = gguf_small();
    gguf_key(&f, "olmoe.zero", GGUF_STRING);
    gguf_put(&f.keys, 3, 8);
    gguf_put(&f.keys, 'a' | 'b' << 16, 3);
    gguf_refused(f, "olmoe.zero", "no text");
    f = gguf_small();
    gguf_text(&f, "olmoe.bytes", "\xff\xfe");
    gguf_refused(f, "olmoe.bytes", "no text");
    f = gguf_small();
    gguf_info(&f, "", GGUF_TYPE_F32, 1, one, 0);
    gguf_refused(f, "name of 0 bytes", NULL);
    char large[300];
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    f = gguf_small();
    gguf_info(&f, large, GGUF_TYPE_F32, 1, one, 0);
    gguf_refused(f, "name of 299 bytes", NULL);
}

static void arrays(void **state) {
    (void)state;
    static const uint64_t lengths[] = {1u << 30, (uint64_t)1 << 60, (uint64_t)1 << 61, (uint64_t)1 << 63, UINT64_MAX};
    static const uint32_t types[] = {GGUF_U8, GGUF_F32, GGUF_U64, GGUF_STRING, GGUF_BOOL};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
            gguf_file f = gguf_small();
            gguf_key(&f, "tokenizer.list", GGUF_ARRAY);
            gguf_put(&f.keys, types[t], 4);
            gguf_put(&f.keys, lengths[i], 8);
            gguf_refused(f, "tokenizer.list", "cut short");
        }
    }
    gguf_file f = gguf_small();
    gguf_key(&f, "olmoe.nested", GGUF_ARRAY);
    gguf_put(&f.keys, GGUF_ARRAY, 4);
    gguf_put(&f.keys, 1, 8);
    gguf_put(&f.keys, GGUF_U8, 4);
    gguf_put(&f.keys, 0, 8);
    gguf_refused(f, "olmoe.nested", "array of arrays");
    f = gguf_small();
    gguf_key(&f, "olmoe.strange", GGUF_ARRAY);
    gguf_put(&f.keys, 13, 4);
    gguf_put(&f.keys, 0, 8);
    gguf_refused(f, "olmoe.strange", "type 13");
    f = gguf_small();
    gguf_key(&f, "olmoe.flags", GGUF_ARRAY);
    gguf_put(&f.keys, GGUF_BOOL, 4);
    gguf_put(&f.keys, 2, 8);
    gguf_put(&f.keys, 0x201, 2);
    gguf_refused(f, "olmoe.flags", "bool of 2");
}

/* Every byte of the header changed in turn: refused or read, but never anything else. */
static void every_byte(void **state) {
    (void)state;
    static const unsigned char changes[] = {0x01, 0x80, 0xff};
    gguf_file f = gguf_small();
    gguf_bytes image = gguf_image(&f);
    const size_t header = 24 + f.keys.count + f.infos.count;
    unsigned char *exact = malloc(image.count);
    for (size_t at = 0; at < header; at++) {
        for (size_t i = 0; i < sizeof changes; i++) {
            clmoe_error error = {.struct_size = sizeof error};
            clmoe__gguf gguf;
            memcpy(exact, image.at, image.count);
            exact[at] ^= changes[i];
            const clmoe_status status = clmoe__gguf_parse(exact, image.count, "a/" GGUF_NAME, &gguf, &error);
            if (status != CLMOE_OK) test_refused(status, &error, GGUF_NAME, NULL, NULL);
            clmoe__gguf_free(&gguf);
        }
    }
    free(exact);
    free(image.at);
    gguf_free(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers),
        cmocka_unit_test(counts),
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(strings),
        cmocka_unit_test(arrays),
        cmocka_unit_test(every_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
