/* One tensor of a checkpoint: its name, its shape and dtype against what they should be, its numbers. Calls the
 * checkpoint. */
#include <stdio.h>
#include <string.h>

#include "model_layer.h"

void clmoe__tensor_name(char name[CLMOE__NAME_ROOM], const char *prefix, const char *pattern, const char *suffix,
                        uint32_t layer, uint32_t expert) {
    size_t used = 0;
    const char *parts[] = {prefix, pattern, suffix};
    for (size_t p = 0; p < 3; p++) {
        for (const char *c = parts[p]; *c != '\0' && used + 12 < CLMOE__NAME_ROOM; c++) {
            if (*c == '#' || *c == '*')
                used += (size_t)snprintf(name + used, CLMOE__NAME_ROOM - used, "%u", *c == '#' ? layer : expert);
            else
                name[used++] = *c;
        }
    }
    name[used] = '\0';
}

/* ------------------------------------------------------------------------------------------ shape and dtype */

static void shape_text(char text[128], const uint64_t *shape, uint32_t rank) {
    size_t used = (size_t)snprintf(text, 128, "[");
    for (uint32_t i = 0; i < rank && used < 100; i++)
        used += (size_t)snprintf(text + used, 128 - used, "%s%llu", i != 0 ? ", " : "", (unsigned long long)shape[i]);
    (void)snprintf(text + used, 128 - used, "]");
}

static void formats_text(char text[80], uint64_t formats) {
    static const struct {
        uint32_t format;
        const char *name;
    } names[] = {{CLMOE_F32, "F32"},
                 {CLMOE_F16, "F16"},
                 {CLMOE_BF16, "BF16"},
                 {CLMOE_F8_E4M3, "F8_E4M3"},
                 {CLMOE_F8_E8M0, "F8_E8M0"}};
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (formats >> names[i].format & 1)
            used += (size_t)snprintf(text + used, 80 - used, "%s%s", used != 0 ? ", " : "", names[i].name);
    if (formats == 0) (void)snprintf(text, 80, "U8");
    if (formats == CLMOE__WORDS || formats == CLMOE__LONGS) {
        (void)snprintf(text, 80, formats == CLMOE__WORDS ? "I32" : "I64");
        return;
    }
    if (formats >> CLMOE_Q8_0 != 0) (void)snprintf(text + used, 80 - used, " or a block format");
}

int clmoe__tensor_fits(const clmoe__file_tensor *tensor, const clmoe__expected *expected) {
    uint32_t skip = 0, unwritten = 0;
    while (expected->vector && skip + 1 < tensor->rank && tensor->shape[skip] == 1) skip++;
    const uint32_t rank = tensor->rank - skip;
    while (expected->rank - unwritten > rank && expected->shape[unwritten] == 1) unwritten++;
    if (rank != expected->rank - unwritten) return 0;
    return memcmp(tensor->shape + skip, expected->shape + unwritten, rank * sizeof *expected->shape) == 0;
}

static int has_format(const clmoe__file_tensor *tensor, uint64_t formats) {
    if (formats == CLMOE__ANY_FORMAT) return 1;
    if (formats == 0) return strcmp(tensor->dtype->name, "U8") == 0;
    if (formats == CLMOE__WORDS) return strcmp(tensor->dtype->name, "I32") == 0;
    if (formats == CLMOE__LONGS) return strcmp(tensor->dtype->name, "I64") == 0;
    return tensor->dtype->format != CLMOE_FORMAT_NONE && (formats >> tensor->dtype->format & 1) != 0;
}

clmoe_status clmoe__tensor_get(const clmoe__checkpoint *checkpoint, const char *name, const clmoe__expected *expected,
                               const clmoe__file_tensor **tensor, clmoe_error *error) {
    char wanted[128], found[128], formats[80];
    shape_text(wanted, expected->shape, expected->rank);
    const clmoe__file_tensor *t = *tensor = clmoe__checkpoint_find(checkpoint, name);
    if (t == NULL)
        return clmoe__fail(error, CLMOE_INVALID_FILE, name, "%s: tensor %.150s %s is missing",
                           clmoe__path_end(clmoe__checkpoint_path(checkpoint)), name, wanted);
    if (!clmoe__tensor_fits(t, expected)) {
        shape_text(found, t->shape, t->rank);
        return clmoe__fail(error, CLMOE_INVALID_FILE, name, "%s: tensor %.150s is %s, expected %s",
                           clmoe__path_end(t->file), name, found, wanted);
    }
    if (!has_format(t, expected->formats) && t->dtype->block_values != 0 && t->dtype->format == CLMOE_FORMAT_NONE)
        return clmoe__fail(error, CLMOE_UNSUPPORTED, name,
                           "%s: tensor %.150s holds %s, which is not known how to decode",
                           clmoe__path_end(t->file), name, t->dtype->name);
    if (!has_format(t, expected->formats)) {
        formats_text(formats, expected->formats);
        return clmoe__fail(error, CLMOE_INVALID_FILE, name, "%s: tensor %.150s holds %s, expected %s",
                           clmoe__path_end(t->file), name, t->dtype->name, formats);
    }
    return CLMOE_OK;
}

/* ------------------------------------------------------------------------------------------------- numbers */

/* The first element that is not finite, or `count`. An exponent of ones is infinity or NaN in all three formats. */
static uint64_t first_infinite(const unsigned char *data, uint32_t format, uint64_t count) {
    uint32_t wide;
    uint16_t narrow;
    const uint16_t ones = format == CLMOE_F16 ? 0x7c00 : 0x7f80;
    uint64_t i = 0;
    if (format == CLMOE_F32) {
        for (; i < count; i++) {
            memcpy(&wide, data + 4 * i, sizeof wide);
            if ((wide & 0x7f800000u) == 0x7f800000u) break;
        }
    } else {
        for (; i < count; i++) {
            memcpy(&narrow, data + 2 * i, sizeof narrow);
            if ((narrow & ones) == ones) break;
        }
    }
    return i;
}

clmoe_status clmoe__tensor_finite(const clmoe__file_tensor *tensor, int e8m0, clmoe_error *error) {
    uint64_t bad, count = tensor->bytes * 8 / tensor->dtype->bits, place[CLMOE__MAX_RANK];
    if (e8m0) {
        const unsigned char *nan = count != 0 ? memchr(tensor->data, 255, (size_t)count) : NULL;
        bad = nan != NULL ? (uint64_t)(nan - tensor->data) : count;
    } else {
        bad = first_infinite(tensor->data, tensor->dtype->format, count);
    }
    if (bad == count) return CLMOE_OK;
    for (uint32_t i = tensor->rank; i-- > 0;) {
        place[i] = bad % tensor->shape[i];
        bad /= tensor->shape[i];
    }
    char where[128];
    shape_text(where, place, tensor->rank);
    return clmoe__fail(error, CLMOE_INVALID_FILE, tensor->name, "%s: tensor %.150s is not finite at %s",
                       clmoe__path_end(tensor->file), tensor->name, where);
}
