/* See model_files.h. */
#include "model_files.h"

#include "block_weights.h"

#include <math.h>
#include <stdio.h>

#define MX 32

layer_case *model_case(test_device *device, const model_row *row, uint32_t source, uint64_t stream) {
    const row_names *n = &row->names;
    case_options o = case_default(row->hidden, row->intermediate, row->experts, row->top_k);
    clmoe_weights_desc unused;
    o.stream = stream;
    o.latent = row->latent;
    o.shared_intermediate = row->shared;
    o.format = CLMOE_F32;
    o.source_format = source == CLMOE_F8_E4M3 ? CLMOE_F32 : source;
    o.arithmetic = CLMOE_ARITHMETIC_F32;
    o.layer = model_row_desc(row);
    o.with = (n->up_bias != NULL ? CASE_UP_BIAS : 0u) | (n->down_bias != NULL ? CASE_DOWN_BIAS : 0u) |
             (n->router_bias != NULL ? CASE_ROUTER_BIAS : 0u) | (n->select_bias != NULL ? CASE_SELECT_BIAS : 0u) |
             (n->expert_scale != NULL ? CASE_EXPERT_SCALE : 0u) | (n->output_bias != NULL ? CASE_OUTPUT_BIAS : 0u) |
             (n->shared_gate != NULL ? CASE_SHARED_GATE : 0u);
    return case_describe(device, &o, &unused);
}

/* --------------------------------------------------------------------------------------------------- names */

static char *full_name(const model_row *row, const char *pattern, const char *suffix, unsigned expert) {
    char *name = calloc(1, 256);
    size_t used = 0;
    const char *parts[] = {row->names.prefix, pattern, suffix};
    assert_non_null(name);
    for (int p = 0; p < 3; p++) {
        for (const char *c = parts[p]; *c != '\0'; c++) {
            if (*c == '#')
                used += (size_t)snprintf(name + used, 256 - used, "%u", model_row_layer(row));
            else if (*c == '*')
                used += (size_t)snprintf(name + used, 256 - used, "%u", expert);
            else
                name[used++] = *c;
        }
    }
    return name;
}

/* Takes over `name` and `data`. */
static void add(model_files *f, char *name, const char *dtype, uint32_t rank, const uint64_t *shape, void *data,
                uint64_t bytes) {
    f->tensors = realloc(f->tensors, (f->count + 1) * sizeof *f->tensors);
    assert_true(f->tensors != NULL && data != NULL);
    clmoe__out_tensor *t = &f->tensors[f->count++];
    *t = (clmoe__out_tensor){.name = name, .dtype = dtype, .rank = rank, .data = data};
    memcpy(t->shape, shape, rank * sizeof *shape);
    f->bytes += bytes;
}

/* --------------------------------------------------------------------------------------------------- plain */

static const char *dtype_name(uint32_t format) {
    return format == CLMOE_F32 ? "F32" : format == CLMOE_F16 ? "F16" : format == CLMOE_BF16 ? "BF16" : "F8_E4M3";
}

static void add_plain(model_files *f, char *name, uint32_t format, uint32_t rank, const uint64_t *shape,
                      const double *values, size_t count) {
    unsigned char *data = calloc(count + 1, test_format_bytes(format));
    for (size_t i = 0; i < count; i++) test_store(data, format, i, values[i]);
    add(f, name, dtype_name(format), rank, shape, data, count * test_format_bytes(format));
}

static void add_vector(model_files *f, const char *pattern, uint32_t format, const double *values, uint64_t count,
                       int wide) {
    const uint64_t shape[2] = {wide ? 1 : count, count};
    if (pattern != NULL)
        add_plain(f, full_name(f->row, pattern, "", 0), format, wide ? 2 : 1, shape, values, (size_t)count);
}

/* --------------------------------------------------------------------------------------------------- narrow */

/* OCP's E4M3, from its definition: sign, four bits of exponent with bias 7, three of mantissa. */
static double e4m3(unsigned code) {
    const unsigned exponent = code >> 3 & 15, mantissa = code & 7;
    const double size = exponent != 0 ? ldexp(8 + mantissa, (int)exponent - 10) : ldexp(mantissa, -9);
    return code & 128 ? -size : size;
}

/* Random codes and scales; `values` becomes what they stand for. */
static void add_fp8(model_files *f, const char *pattern, unsigned expert, uint64_t rows, uint64_t columns,
                    double *values) {
    test_random random = test_random_new(rows * 1000 + columns * 10 + expert);
    const uint64_t down = f->row->names.fp8[0], width = f->row->names.fp8[1], across = (columns + width - 1) / width;
    const uint64_t shape[2] = {rows, columns}, blocks[2] = {(rows + down - 1) / down, across};
    unsigned char *codes = malloc(rows * columns);
    float *scales = malloc(blocks[0] * across * sizeof *scales);
    for (uint64_t i = 0; i < blocks[0] * across; i++) scales[i] = (float)(1 + test_random_below(&random, 15)) / 1024;
    for (uint64_t i = 0; i < rows * columns; i++) {
        codes[i] = (unsigned char)(test_random_below(&random, 2) * 128 + test_random_below(&random, 96)); /* up to 15 */
        values[i] = e4m3(codes[i]) * (double)scales[i / columns / down * across + i % columns / width];
    }
    add(f, full_name(f->row, pattern, "", expert), "F8_E4M3", 2, shape, codes, rows * columns);
    add(f, full_name(f->row, pattern, "_scale_inv", expert), "F32", 2, blocks, scales,
        blocks[0] * across * sizeof *scales);
}

/* Random codes and powers of two; `values` [experts, rows, columns] becomes what they stand for. */
static void add_mxfp4(model_files *f, const char *pattern, uint64_t experts, uint64_t rows, uint64_t columns,
                      double *values) {
    static const double codes[8] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    test_random random = test_random_new(rows + columns);
    const uint64_t count = experts * rows * columns, shape[4] = {experts, rows, columns / MX, MX / 2};
    unsigned char *packed = calloc(1, count / 2), *powers = malloc(count / MX);
    for (uint64_t i = 0; i < count; i++) {
        if (i % MX == 0) powers[i / MX] = (unsigned char)(122 + test_random_below(&random, 4));
        const unsigned code = test_random_below(&random, 16);
        packed[i / 2] |= (unsigned char)(i % 2 != 0 ? code << 4 : code);
        values[i] = ldexp(code & 8 ? -codes[code & 7] : codes[code & 7], powers[i / MX] - 127);
    }
    add(f, full_name(f->row, pattern, "_blocks", 0), "U8", 4, shape, packed, count / 2);
    add(f, full_name(f->row, pattern, "_scales", 0), "U8", 3, shape, powers, count / MX);
}

/* ------------------------------------------------------------------------------------------------- groups */

/* "...gate_proj.weight" is "...gate_proj." and an end. */
static char *module_name(const model_files *f, const char *pattern, const char *end, unsigned expert) {
    char module[128];
    (void)snprintf(module, sizeof module, "%.*s", (int)(strlen(pattern) - strlen("weight")), pattern);
    return full_name(f->row, module, end, expert);
}

static void add_zeros(model_files *f, const group_checkpoint *g, const char *pattern, unsigned expert,
                      const uint64_t shape[2], group_parts *parts) {
    const int by_rows = g->layout.order == CLMOE_CODES_ROWS;
    const uint32_t four = g->layout.zeros_less_1 ? 0x77777777u : 0x88888888u,
                   eight = g->layout.zeros_less_1 ? 0x7f7f7f7fu : 0x80808080u;
    uint32_t *zeros = parts->zeros;
    parts->zeros = NULL;
    if (zeros == NULL && by_rows) return;
    if (zeros == NULL) { /* all in the middle */
        zeros = calloc(shape[0] * shape[1], 4);
        assert_non_null(zeros);
        for (uint64_t i = 0; i < shape[0] * shape[1]; i++)
            zeros[i] = group_bits(block_format_of(g->format)) == 4 ? four : eight;
    }
    add(f, module_name(f, pattern, by_rows ? "weight_zero_point" : "qzeros", expert), "I32", 2, shape, zeros,
        shape[0] * shape[1] * 4);
}

/* The tensors that say nothing of values. `bytes` are those the library counts. */
static void add_notes(model_files *f, const group_checkpoint *g, const char *pattern, unsigned expert, uint64_t rows,
                      uint64_t columns) {
    const int by_rows = g->layout.order == CLMOE_CODES_ROWS;
    const uint64_t two = 2, size = g->layout.group_size != 0 ? g->layout.group_size : columns;
    if (by_rows) {
        int64_t *shape = calloc(2, sizeof *shape);
        assert_non_null(shape);
        shape[0] = (int64_t)rows, shape[1] = (int64_t)columns;
        add(f, module_name(f, pattern, "weight_shape", expert), "I64", 1, &two, shape, 0);
    }
    if (!g->group_of) return;
    int32_t *group = calloc(columns, sizeof *group);
    assert_non_null(group);
    for (uint64_t k = 0; k < columns; k++) group[k] = (int32_t)(k / size);
    add(f, module_name(f, pattern, by_rows ? "weight_g_idx" : "g_idx", expert), "I32", 1, &columns, group, 0);
}

/* Random blocks taken apart; `values` [rows, columns] becomes what they stand for. */
static void add_groups(model_files *f, const group_checkpoint *g, const char *pattern, unsigned expert, uint64_t rows,
                       uint64_t columns, double *values) {
    const block_format *b = block_format_of(g->format);
    const int by_rows = g->layout.order == CLMOE_CODES_ROWS, awq = g->layout.order == CLMOE_CODES_AWQ;
    const uint64_t w = 32 / group_bits(b), size = g->layout.group_size != 0 ? g->layout.group_size : columns;
    const uint64_t count = rows * columns, groups = (columns + size - 1) / size;
    const uint64_t codes[2] = {by_rows ? rows
                               : awq   ? columns
                                       : columns / w,
                               by_rows ? columns / w
                               : awq   ? rows / w
                                       : rows};
    const uint64_t scales[2] = {by_rows ? rows : groups, by_rows ? groups : rows};
    const uint64_t zeros[2] = {by_rows ? (rows + w - 1) / w : groups, by_rows ? groups : rows / w};
    static const char *const dtypes[] = {"", "F32", "F16", "BF16"};
    test_random random = test_random_new(rows * 1000 + columns * 10 + expert);
    uint8_t *blocks = malloc(count / b->values * b->bytes);
    assert_non_null(blocks);
    block_tame_many(b, blocks, count, 1 / sqrt((double)columns), &random);
    group_share(b, blocks, rows, columns, &g->layout);
    block_decode_many(b, blocks, count, values);
    group_parts parts = group_take_apart(b, blocks, rows, columns, &g->layout);
    add(f, module_name(f, pattern, by_rows ? "weight_packed" : "qweight", expert), "I32", 2, codes, parts.codes,
        parts.codes_bytes);
    add(f, module_name(f, pattern, by_rows ? "weight_scale" : "scales", expert), dtypes[g->layout.scale_format], 2,
        scales, parts.scales, parts.scales_bytes);
    parts.codes = NULL, parts.scales = NULL;
    add_zeros(f, g, pattern, expert, zeros, &parts);
    add_notes(f, g, pattern, expert, rows, columns);
    group_parts_free(&parts);
    free(blocks);
}

/* ------------------------------------------------------------------------------------------------- matrices */

/* [rows, columns] to [columns, rows], a matrix at a time. */
static double *turned(const double *values, uint64_t experts, uint64_t rows, uint64_t columns) {
    double *to = malloc(experts * rows * columns * sizeof *to);
    for (uint64_t i = 0; i < experts * rows * columns; i++) {
        const uint64_t e = i / (rows * columns), r = i / columns % rows, c = i % columns;
        to[(e * columns + c) * rows + r] = values[i];
    }
    return to;
}

/* The matrices [experts, rows, columns] of one projection. */
static void add_matrix(model_files *f, const char *pattern, int store, int turn, uint32_t format, uint64_t experts,
                       uint64_t rows, uint64_t columns, double *values) {
    const uint64_t each = rows * columns, r = turn ? columns : rows, c = turn ? rows : columns;
    double *to = turn ? turned(values, experts, rows, columns) : values;
    const uint64_t one[2] = {r, c}, fused[3] = {experts, r, c}, stacked[2] = {experts * r, c};
    if (pattern == NULL) {
        /* gate and up lie together, or there is no gate */
    } else if (store == ROW_MXFP4) {
        add_mxfp4(f, pattern, experts, rows, columns, values);
    } else if (store == ROW_EACH) {
        for (unsigned e = 0; e < experts; e++) {
            const group_checkpoint *g = f->row->names.groups;
            if (g != NULL && !(g->plain_down && strstr(pattern, "down") != NULL))
                add_groups(f, g, pattern, e, rows, columns, values + e * each);
            else if (format == CLMOE_F8_E4M3)
                add_fp8(f, pattern, e, rows, columns, values + e * each);
            else
                add_plain(f, full_name(f->row, pattern, "", e), format, 2, one, to + e * each, (size_t)each);
        }
    } else {
        add_plain(f, full_name(f->row, pattern, "", 0), format, store == ROW_FUSED ? 3 : 2,
                  store == ROW_FUSED ? fused : stacked, to, (size_t)(experts * each));
    }
    if (turn) free(to);
}

/* Rows of gate and up in one tensor [2I, width]: all of gate first, or in turns. back: from there to the two. */
static void together(double *both, double *gate, double *up, uint64_t experts, uint64_t I, uint64_t width, int turns,
                     int back) {
    for (uint64_t e = 0; e < experts; e++) {
        for (uint64_t i = 0; i < I; i++) {
            double *g = both + (e * 2 * I + (turns ? 2 * i : i)) * width,
                   *u = both + (e * 2 * I + (turns ? 2 * i + 1 : I + i)) * width;
            double *from_g = gate + (e * I + i) * width, *from_u = up + (e * I + i) * width;
            memcpy(back ? from_g : g, back ? g : from_g, width * sizeof *g);
            memcpy(back ? from_u : u, back ? u : from_u, width * sizeof *u);
        }
    }
}

static void add_ffn(model_files *f, oracle_ffn *ffn, const char *gate, const char *up, const char *down, int store,
                    uint32_t format) {
    const row_names *n = &f->row->names;
    const uint64_t E = ffn->experts, I = ffn->intermediate, H = ffn->hidden;
    if (gate == NULL && ffn->gate != NULL) {
        double *both = malloc(E * 2 * I * H * sizeof *both);
        const int turns = n->gate_up == CLMOE_GATE_UP_INTERLEAVED;
        together(both, ffn->gate, ffn->up, E, I, H, turns, 0);
        add_matrix(f, up, store, n->up_turned, format, E, 2 * I, H, both);
        together(both, ffn->gate, ffn->up, E, I, H, turns, 1); /* narrow formats changed the numbers */
        free(both);
    } else {
        add_matrix(f, gate, store, n->up_turned, format, E, I, H, ffn->gate);
        add_matrix(f, up, store, n->up_turned, format, E, I, H, ffn->up);
    }
    add_matrix(f, down, store, n->down_turned, format, E, H, I, ffn->down);
}

static void add_biases(model_files *f, oracle_ffn *ffn, uint32_t format) {
    const row_names *n = &f->row->names;
    const uint64_t E = ffn->experts, I = ffn->intermediate, up[2] = {E, 2 * I}, down[2] = {E, ffn->hidden};
    if (n->up_bias == NULL) return;
    double *both = malloc(E * 2 * I * sizeof *both);
    together(both, ffn->gate_bias, ffn->up_bias, E, I, 1, n->gate_up == CLMOE_GATE_UP_INTERLEAVED, 0);
    add_plain(f, full_name(f->row, n->up_bias, "", 0), format, 2, up, both, (size_t)(E * 2 * I));
    add_plain(f, full_name(f->row, n->down_bias, "", 0), format, 2, down, ffn->down_bias, (size_t)(E * ffn->hidden));
    free(both);
}

model_files model_files_new(const model_row *row, layer_case *c, uint32_t source) {
    const row_names *n = &row->names;
    model_files f = {.folder = test_folder_new(), .row = row};
    oracle_layer *o = &c->oracle;
    const uint32_t plain = source == CLMOE_F8_E4M3 ? CLMOE_F32 : source;
    const uint64_t H = row->hidden, L = row->latent, router[2] = {o->classes, H}, in[2] = {L, H}, out[2] = {H, L};
    add_plain(&f, full_name(row, n->router, "", 0), plain, 2, router, o->router, (size_t)(o->classes * H));
    add_vector(&f, n->router_bias, plain, o->router_bias, o->classes, 0);
    add_vector(&f, n->select_bias, plain, c->select_bias, o->classes, n->wide_select_bias);
    add_vector(&f, n->expert_scale, plain, c->expert_scale, o->classes, 0);
    add_vector(&f, n->output_bias, plain, o->output_bias, H, 0);
    add_vector(&f, n->shared_gate, plain, o->shared_gate, H, 1);
    if (L != 0) {
        add_plain(&f, full_name(row, n->latent_in, "", 0), plain, 2, in, o->latent_in, (size_t)(L * H));
        add_plain(&f, full_name(row, n->latent_out, "", 0), plain, 2, out, o->latent_out, (size_t)(H * L));
    }
    add_ffn(&f, &o->experts, n->gate, n->up, n->down, n->store, source);
    add_biases(&f, &o->experts, plain);
    /* the shared experts are one: no numbering, no turning, gate rows first */
    model_row straight = *row;
    straight.names.up_turned = straight.names.down_turned = 0;
    straight.names.gate_up = CLMOE_GATE_UP_CONCATENATED;
    if (n->groups != NULL && !n->groups->shared) straight.names.groups = NULL;
    f.row = &straight;
    if (row->shared != 0) add_ffn(&f, &o->shared, n->shared_gate_proj, n->shared_up, n->shared_down, ROW_EACH, source);
    f.row = row;
    return f;
}

/* ----------------------------------------------------------------------------------------------------- files */

clmoe__out_tensor *model_files_find(const model_files *files, const char *name) {
    for (uint32_t i = 0; i < files->count; i++)
        if (strcmp(files->tensors[i].name, name) == 0) return &files->tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static void free_tensor(clmoe__out_tensor *t) {
    free((void *)(uintptr_t)t->name);
    free((void *)(uintptr_t)t->data);
}

void model_files_drop(model_files *files, const char *name) {
    clmoe__out_tensor *t = model_files_find(files, name);
    free_tensor(t);
    *t = files->tensors[--files->count];
}

/* One space more behind the header. */
static void shift(const char *path) {
    size_t bytes = 0;
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    bytes = (size_t)ftell(file);
    rewind(file);
    unsigned char *data = malloc(bytes);
    assert_int_equal(fread(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
    const size_t header = data[0] + 256u * data[1] + 65536u * data[2];
    data[0]++; /* the length is a multiple of 8 */
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, 8 + header, file), 8 + header);
    assert_int_equal(fputc(' ', file), ' ');
    assert_int_equal(fwrite(data + 8 + header, 1, bytes - 8 - header, file), bytes - 8 - header);
    assert_int_equal(fclose(file), 0);
    free(data);
}

void model_files_write(const model_files *files) {
    clmoe_error error = {.struct_size = sizeof error};
    char *config = model_row_config(files->row);
    (void)test_file(&files->folder, "config.json", config, strlen(config));
    free(config);
    OK(clmoe__safetensors_write(test_path(&files->folder, "model.safetensors"), files->tensors, files->count, &error));
    shift(test_path(&files->folder, "model.safetensors"));
}

void model_files_free(model_files *files) {
    for (uint32_t i = 0; i < files->count; i++) free_tensor(&files->tensors[i]);
    free(files->tensors);
    test_folder_free(&files->folder);
    *files = (model_files){0};
}
