/* The matrices of experts: one tensor each or all in one, in fp8 with scales or in mxfp4; groups of integers are
 * model_groups.c's. Calls checkpoint and json. */
#include <stdio.h>

#include "json.h"
#include "model_layer.h"
#include "os/size.h"

#define MATRIX_FORMATS (CLMOE__PLAIN_FORMATS | CLMOE__BIT(CLMOE_F8_E4M3) | BLOCK_FORMATS)
#define BLOCK_FORMATS  ((CLMOE__BIT(CLMOE_TQ2_0 + 1) - 1) & ~(CLMOE__BIT(CLMOE_Q8_0) - 1))
#define SCALE_FORMATS  (CLMOE__PLAIN_FORMATS | CLMOE__BIT(CLMOE_F8_E8M0))
#define MX_BLOCK       32u /* elements that share a scale in mxfp4 */

const void **clmoe__new_list(clmoe__builder *b) { return b->out->lists + (size_t)b->out->num_lists++ * b->local; }

/* ------------------------------------------------------------------------------------------------ scales */

const char *const clmoe__quantization_keys[] = {"quantization_config", "text_config.quantization_config", NULL};

/* Rows and columns of the blocks that share a factor in fp8. */
static clmoe_status block_size(const clmoe__builder *b, uint32_t block[2]) {
    const clmoe__config *config = &b->model->config;
    block[0] = block[1] = 128;
    for (const char *const *key = clmoe__quantization_keys; *key != NULL; key++) {
        char full[80];
        const json_t *list = NULL;
        (void)snprintf(full, sizeof full, "%s.weight_block_size", *key);
        TRY(clmoe__json_array(config->root, full, config->path, &list, NULL, b->error));
        if (list == NULL) continue;
        if (json_array_size(list) != 2)
            return clmoe__json_wrong(list, full, config->path, "two integers, rows and columns of a block", b->error);
        for (size_t i = 0; i < 2; i++) {
            int found;
            TRY(clmoe__json_u32_at(list, i, full, config->path, 1, 1u << 20, &block[i], &found, b->error));
            if (!found) return clmoe__json_wrong(list, full, config->path, "two integers, not null", b->error);
        }
        return CLMOE_OK;
    }
    return CLMOE_OK;
}

static clmoe_status check_scales(const clmoe__builder *b, const clmoe__file_tensor *tensor) {
    if (!b->scan) return CLMOE_OK;
    return clmoe__tensor_finite(tensor, tensor->dtype->format == CLMOE_F8_E8M0, b->error);
}

/* NAME_scale_inv beside a matrix in fp8, one factor a block. */
static clmoe_status fp8_scales(clmoe__builder *b, const clmoe__matrix_files *m) {
    clmoe_scales *scales = &b->out->scales[b->out->num_scales++];
    uint32_t block[2];
    TRY(block_size(b, block));
    const uint64_t rows = clmoe__div_up(m->rows, block[0]), columns = clmoe__div_up(m->columns, block[1]);
    const int fused = m->form->storage == CLMOE__FUSED;
    const clmoe__expected one = {SCALE_FORMATS, 2, {rows, columns}, 0};
    const clmoe__expected all = {SCALE_FORMATS, 3, {m->experts, rows, columns}, 0};
    const clmoe__file_tensor *found = NULL;
    const void **list = NULL;
    uint32_t format = CLMOE_FORMAT_NONE;
    for (uint32_t e = 0; e < (fused ? 1 : m->experts); e++) {
        TRY(clmoe__build_get(b, m->pattern, "_scale_inv", e, fused ? &all : &one, &found));
        if (e == 0) format = found->dtype->format;
        if (found->dtype->format != format)
            return clmoe__fail(b->error, CLMOE_INVALID_FILE, found->name,
                               "%s: tensor %.150s holds %s, unlike that of expert 0", clmoe__path_end(found->file),
                               found->name, found->dtype->name);
        if (fused || m->shared || (e >= b->first && e - b->first < b->local)) TRY(check_scales(b, found));
        if (fused || m->shared) continue;
        if (e == 0) list = clmoe__new_list(b);
        if (e >= b->first && e - b->first < b->local) list[e - b->first] = found->data;
    }
    const uint64_t bytes = fused ? found->bytes / m->experts : found->bytes;
    *scales = (clmoe_scales){.format = format, .block_rows = block[0], .block_columns = block[1]};
    if (list != NULL)
        scales->host_list = list;
    else
        scales->host = found->data + (fused ? b->first * bytes : 0);
    m->tensor->scales = scales;
    clmoe__build_source(b, m->name, bytes, m->shared ? 1 : b->local, fused || m->shared ? 1 : b->local);
    return CLMOE_OK;
}

/* ---------------------------------------------------------------------------------------------- matrices */

const char *clmoe__form_suffix(const clmoe__form *form) { return form->storage == CLMOE__MXFP4 ? "_blocks" : ""; }

static uint64_t matrix_formats(const clmoe__matrix_files *m) {
    return m->layout == CLMOE_OUT_IN && m->form->storage != CLMOE__STACKED ? MATRIX_FORMATS : CLMOE__PLAIN_FORMATS;
}

clmoe__expected clmoe__matrix_shape(const clmoe__matrix_files *m) {
    const uint64_t stored = m->layout == CLMOE_OUT_IN ? m->rows : m->columns;
    const uint64_t width = m->layout == CLMOE_OUT_IN ? m->columns : m->rows;
    clmoe__expected one = {matrix_formats(m), 2, {stored, width}, 0};
    clmoe__expected fused = {matrix_formats(m), 3, {m->experts, stored, width}, 0};
    clmoe__expected stacked = {matrix_formats(m), 2, {m->experts * stored, width}, 0};
    clmoe__expected blocks = {0, 4, {m->experts, m->rows, m->columns / MX_BLOCK, MX_BLOCK / 2}, 0};
    switch (m->form->storage) {
        case CLMOE__FUSED: return fused;
        case CLMOE__STACKED: return stacked;
        case CLMOE__MXFP4: return blocks;
        case CLMOE__ONE_EACH: break;
    }
    return one;
}

/* For a list alone, any format will do. */
static clmoe__expected wanted_shape(const clmoe__builder *b, const clmoe__matrix_files *m) {
    clmoe__expected expected = clmoe__matrix_shape(m);
    if (!b->scan && matrix_formats(m) == MATRIX_FORMATS) expected.formats = CLMOE__ANY_FORMAT;
    return expected;
}

/* A tensor for each expert, all of one dtype; or the single one of the shared experts. */
static clmoe_status one_each(clmoe__builder *b, const clmoe__matrix_files *m) {
    const clmoe__expected expected = wanted_shape(b, m);
    const clmoe__file_tensor *found = NULL;
    const void **list = m->shared ? NULL : clmoe__new_list(b);
    for (uint32_t e = 0; e < m->experts; e++) {
        TRY(clmoe__build_get(b, m->pattern, "", e, &expected, &found));
        if (e == 0) m->tensor->format = found->dtype->format;
        if (found->dtype->format != m->tensor->format)
            return clmoe__fail(b->error, CLMOE_INVALID_FILE, found->name,
                               "%s: tensor %.150s holds %s, unlike that of expert 0", clmoe__path_end(found->file),
                               found->name, found->dtype->name);
        if (list != NULL && e >= b->first && e - b->first < b->local) list[e - b->first] = found->data;
    }
    if (list != NULL)
        m->tensor->host_list = list;
    else
        m->tensor->host = found->data;
    const uint32_t count = list != NULL ? b->local : 1;
    clmoe__build_source(b, m->name, found->bytes, count, count);
    return CLMOE_OK;
}

static clmoe_status mxfp4(clmoe__builder *b, const clmoe__matrix_files *m) {
    if (m->columns % MX_BLOCK != 0)
        return clmoe__fail(b->error, CLMOE_INVALID_FILE, m->pattern,
                           "%s: %s is mxfp4, whose rows of %llu are no multiple of %u",
                           clmoe__path_end(clmoe__checkpoint_path(b->model->checkpoint)), m->pattern,
                           (unsigned long long)m->columns, MX_BLOCK);
    const clmoe__expected shape = clmoe__matrix_shape(m),
                          powers = {0, 3, {m->experts, m->rows, m->columns / MX_BLOCK}, 0};
    const clmoe__file_tensor *blocks, *scales;
    TRY(clmoe__build_get(b, m->pattern, "_blocks", 0, &shape, &blocks));
    TRY(clmoe__build_get(b, m->pattern, "_scales", 0, &powers, &scales));
    if (b->scan) TRY(clmoe__tensor_finite(scales, 1, b->error));
    const uint64_t block_bytes = blocks->bytes / m->experts, scale_bytes = scales->bytes / m->experts;
    clmoe_scales *to = &b->out->scales[b->out->num_scales++];
    *to = (clmoe_scales){.format = CLMOE_F8_E8M0, .block_rows = 1, .block_columns = MX_BLOCK};
    to->host = scales->data + b->first * scale_bytes;
    m->tensor->format = CLMOE_F4_E2M1;
    m->tensor->host = blocks->data + b->first * block_bytes;
    m->tensor->scales = to;
    clmoe__build_source(b, m->name, block_bytes + scale_bytes, b->local, 2);
    return CLMOE_OK;
}

clmoe_status clmoe__build_matrix(clmoe__builder *b, const clmoe__matrix_files *m) {
    m->tensor->layout = m->layout;
    if (clmoe__groups_there(b, m->form, m->pattern)) return clmoe__build_groups(b, m);
    if (m->form->storage == CLMOE__MXFP4) return mxfp4(b, m);
    if (m->form->storage == CLMOE__ONE_EACH) {
        TRY(one_each(b, m));
    } else {
        const clmoe__expected expected = wanted_shape(b, m);
        const clmoe__file_tensor *found;
        TRY(clmoe__build_get(b, m->pattern, "", 0, &expected, &found));
        const uint64_t bytes = found->bytes / m->experts;
        m->tensor->format = found->dtype->format;
        m->tensor->host = found->data + b->first * bytes;
        clmoe__build_source(b, m->name, bytes, b->local, 1);
    }
    return m->tensor->format == CLMOE_F8_E4M3 ? fp8_scales(b, m) : CLMOE_OK;
}
