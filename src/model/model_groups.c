/* Matrices of experts in groups of integers, as GPTQ, AWQ and compressed-tensors (pack-quantized) checkpoints have
 * them: beside each other under a module's name, codes, scales and zero points. Calls model_scheme.c and
 * the checkpoint.
 *
 *                        codes                             scales                zero points
 *   gptq                 qweight [K / w, N] I32            scales [G, N]         qzeros [G, N / w] I32
 *   awq                  qweight [K, N / w] I32            scales [G, N]         qzeros [G, N / w] I32
 *   compressed-tensors   weight_packed [N, K / w] I32      weight_scale [N, G]   weight_zero_point [ceil(N / w), G]
 *                        I32, or none
 *
 * N is out, K in, w the codes in a word, G the groups of a row. Where a module has a plain weight instead, it was left
 * out of quantising, whichever way the configuration says so. */
#include <stdio.h>
#include <string.h>

#include "model_scheme.h"
#include "os/size.h"

/* The pattern of a module: that of its weight without the last word. 0: it is named otherwise. */
static int module_of(const char *pattern, char module[CLMOE__NAME_ROOM]) {
    static const char end[] = "weight";
    const size_t length = pattern != NULL ? strlen(pattern) : 0;
    if (length <= sizeof end || length >= CLMOE__NAME_ROOM || strcmp(pattern + length - (sizeof end - 1), end) != 0)
        return 0;
    (void)snprintf(module, CLMOE__NAME_ROOM, "%.*s", (int)(length - (sizeof end - 1)), pattern);
    return 1;
}

int clmoe__groups_there(const clmoe__builder *b, const clmoe__form *form, const char *pattern) {
    char module[CLMOE__NAME_ROOM];
    if (form->storage != CLMOE__ONE_EACH || !module_of(pattern, module) || clmoe__build_find(b, pattern, "") != NULL)
        return 0;
    for (size_t i = 0; clmoe__method_at(i) != NULL; i++)
        if (clmoe__build_find(b, module, clmoe__method_at(i)->codes) != NULL) return 1;
    return 0;
}

/* One matrix at work. */
typedef struct job {
    clmoe__builder *b;
    const clmoe__matrix_files *m;
    clmoe__scheme scheme;
    char module[CLMOE__NAME_ROOM];
    uint64_t groups, word_codes; /* G, w */
    clmoe__group_files *out;
} job;

static clmoe_status wrong_tensor(const job *j, const clmoe__file_tensor *t, const char *what) {
    return clmoe__fail(j->b->error, CLMOE_UNSUPPORTED, t->name, "%s: tensor %.150s %s", clmoe__path_end(t->file),
                       t->name, what);
}

/* Bits and groups of a module from the shapes of the first expert's tensors. */
static clmoe_status guess(job *j) {
    const clmoe__method *how = j->scheme.method;
    const clmoe__file_tensor *codes = clmoe__build_find(j->b, j->module, how->codes);
    const clmoe__file_tensor *scales = clmoe__build_find(j->b, j->module, how->scales);
    const uint64_t k = j->m->columns, n = j->m->rows;
    uint64_t all = 0, groups = 0;
    if (codes != NULL && codes->rank == 2) all = clmoe__mul(codes->shape[0], codes->shape[1]);
    if (scales != NULL && scales->rank == 2) groups = scales->shape[how->order == CLMOE_CODES_ROWS];
    j->scheme.bits = all == clmoe__mul(n, k) / 4 ? 8 : 4; /* if it is neither, the shape will be found wrong */
    j->scheme.group_size = groups > 1 && k % groups == 0 ? (uint32_t)(k / groups) : 0;
    j->scheme.has_zeros = clmoe__build_find(j->b, j->module, how->zeros) != NULL;
    if (j->scheme.group_size % 32 != 0) return wrong_tensor(j, scales, "has groups that are no multiple of 32");
    return CLMOE_OK;
}

/* The largest block of which groups and rows are multiples. */
static clmoe_status choose_format(job *j) {
    const clmoe__matrix_files *m = j->m;
    const uint64_t size = j->scheme.group_size != 0 ? j->scheme.group_size : m->columns;
    uint32_t place = 3;
    char name[CLMOE__NAME_ROOM];
    while (place > 0 && (size % (32u << place) != 0 || m->columns % (32u << place) != 0)) place--;
    clmoe__tensor_name(name, j->b->prefix, j->module, j->scheme.method->codes, j->b->layer, 0);
    if (m->columns % 32 != 0)
        return clmoe__fail(
            j->b->error, CLMOE_UNSUPPORTED, name, "%s: tensor %.150s has rows of %llu, expected a multiple of 32",
            clmoe__path_end(clmoe__checkpoint_path(j->b->model->checkpoint)), name, (unsigned long long)m->columns);
    j->groups = clmoe__div_up(m->columns, size);
    j->word_codes = 32 / j->scheme.bits;
    m->tensor->format = (j->scheme.bits == 4 ? (uint32_t)CLMOE_U4_G32 : (uint32_t)CLMOE_U8_G32) + place;
    const int shares = m->rows % j->word_codes != 0 && j->scheme.method->order != CLMOE_CODES_ROWS;
    if (!shares) return CLMOE_OK;
    return clmoe__fail(j->b->error, CLMOE_UNSUPPORTED, name,
                       "%s: tensor %.150s has %llu columns, expected a multiple of %llu",
                       clmoe__path_end(clmoe__checkpoint_path(j->b->model->checkpoint)), name,
                       (unsigned long long)m->rows, (unsigned long long)j->word_codes);
}

/* Group number i / group_size for every k, which says nothing new; anything else is another order of k. */
static clmoe_status check_order(const job *j, const clmoe__file_tensor *t) {
    const uint64_t size = j->scheme.group_size != 0 ? j->scheme.group_size : j->m->columns;
    char what[160];
    for (uint64_t k = 0; k < j->m->columns; k++) {
        int32_t group;
        memcpy(&group, t->data + 4 * k, sizeof group);
        if (group == (int32_t)(k / size)) continue;
        (void)snprintf(what, sizeof what,
                       "is %d at [%llu], expected %llu: groups that are not neighbours (desc_act) are not supported",
                       (int)group, (unsigned long long)k, (unsigned long long)(k / size));
        return wrong_tensor(j, t, what);
    }
    return CLMOE_OK;
}

/* The tensor of which k is in which group, where it is there. */
static clmoe_status take_order(const job *j, uint32_t e) {
    const char *end = j->scheme.method->group_of;
    char name[CLMOE__NAME_ROOM];
    const clmoe__file_tensor *found;
    const clmoe__expected expected = {CLMOE__WORDS, 1, {j->m->columns}, 0};
    if (end == NULL) return CLMOE_OK;
    clmoe__tensor_name(name, j->b->prefix, j->module, end, j->b->layer, e);
    if (!j->scheme.has_order && clmoe__checkpoint_find(j->b->model->checkpoint, name) == NULL) return CLMOE_OK;
    TRY(clmoe__build_get(j->b, j->module, end, e, &expected, &found));
    return j->b->scan ? check_order(j, found) : CLMOE_OK;
}

static clmoe_status take_shape(const job *j, uint32_t e) {
    const char *end = j->scheme.method->shape;
    char what[128];
    int64_t shape[2];
    const clmoe__file_tensor *found;
    const clmoe__expected expected = {CLMOE__LONGS, 1, {2}, 0};
    if (end == NULL) return CLMOE_OK;
    TRY(clmoe__build_get(j->b, j->module, end, e, &expected, &found));
    memcpy(shape, found->data, sizeof shape);
    if (shape[0] == (int64_t)j->m->rows && shape[1] == (int64_t)j->m->columns) return CLMOE_OK;
    (void)snprintf(what, sizeof what, "says [%lld, %lld], expected [%llu, %llu]", (long long)shape[0],
                   (long long)shape[1], (unsigned long long)j->m->rows, (unsigned long long)j->m->columns);
    return clmoe__fail(j->b->error, CLMOE_INVALID_FILE, found->name, "%s: tensor %.150s %s",
                       clmoe__path_end(found->file), found->name, what);
}

/* Are all zero points in the middle? Then there is no need of them. */
static int all_in_the_middle(const job *j, const clmoe__file_tensor *t) {
    const uint32_t middle = j->scheme.bits == 4 ? 0x88888888u : 0x80808080u,
                   ones = j->scheme.bits == 4 ? 0x11111111u : 0x01010101u;
    const uint32_t wanted = j->scheme.zeros_less_1 ? middle - ones : middle;
    for (uint64_t i = 0; i < t->bytes; i += sizeof wanted)
        if (memcmp(t->data + i, &wanted, sizeof wanted) != 0) return 0;
    return 1;
}

/* f16 holds them: finite, and not so large as to become infinite there. */
static clmoe_status check_scales(const job *j, const clmoe__file_tensor *t) {
    TRY(clmoe__tensor_finite(t, 0, j->b->error));
    const uint32_t size = t->dtype->bits / 8;
    for (uint64_t i = 0; t->dtype->format != CLMOE_F16 && i < t->bytes; i += size) {
        uint32_t bits = 0;
        float value;
        memcpy((unsigned char *)&bits + (4 - size), t->data + i, size); /* a bf16 is the upper half of an f32 */
        memcpy(&value, &bits, sizeof value);
        if (value > -65520.0f && value < 65520.0f) continue;
        return clmoe__fail(j->b->error, CLMOE_INVALID_FILE, t->name,
                           "%s: tensor %.150s has a scale of %g, expected less than 65520", clmoe__path_end(t->file),
                           t->name, (double)value);
    }
    return CLMOE_OK;
}

enum { CODES, SCALES, ZEROS, PARTS };

/* What expert e's tensors must be. */
static void expect(const job *j, clmoe__expected expected[PARTS]) {
    const uint64_t n = j->m->rows, k = j->m->columns, w = j->word_codes, g = j->groups;
    const clmoe__expected gptq[PARTS] = {
        {CLMOE__WORDS, 2, {k / w, n}, 0}, {CLMOE__PLAIN_FORMATS, 2, {g, n}, 0}, {CLMOE__WORDS, 2, {g, n / w}, 0}};
    const clmoe__expected rows[PARTS] = {{CLMOE__WORDS, 2, {n, k / w}, 0},
                                         {CLMOE__PLAIN_FORMATS, 2, {n, g}, 0},
                                         {CLMOE__WORDS, 2, {clmoe__div_up(n, w), g}, 0}};
    memcpy(expected, j->scheme.method->order == CLMOE_CODES_ROWS ? rows : gptq, sizeof gptq);
    if (j->scheme.method->order == CLMOE_CODES_AWQ) expected[CODES] = (clmoe__expected){CLMOE__WORDS, 2, {k, n / w}, 0};
}

/* The tensors of expert e, checked. */
static clmoe_status take_expert(job *j, uint32_t e, const clmoe__file_tensor *found[PARTS]) {
    const clmoe__method *how = j->scheme.method;
    const char *const ends[PARTS] = {how->codes, how->scales, how->zeros};
    clmoe__expected expected[PARTS];
    expect(j, expected);
    for (int i = 0; i < (j->scheme.has_zeros ? PARTS : ZEROS); i++)
        TRY(clmoe__build_get(j->b, j->module, ends[i], e, &expected[i], &found[i]));
    TRY(take_shape(j, e));
    TRY(take_order(j, e));
    const uint32_t format = found[SCALES]->dtype->format;
    if (e == 0) j->out->groups.scale_format = format;
    if (format == j->out->groups.scale_format) return CLMOE_OK;
    return clmoe__fail(j->b->error, CLMOE_INVALID_FILE, found[SCALES]->name,
                       "%s: tensor %.150s holds %s, unlike that of expert 0", clmoe__path_end(found[SCALES]->file),
                       found[SCALES]->name, found[SCALES]->dtype->name);
}

/* All experts; `local` of them from `first` on are pointed at. */
static clmoe_status take_experts(job *j, const void **lists[PARTS]) {
    clmoe__builder *b = j->b;
    const uint32_t first = j->m->shared ? 0 : b->first, local = j->m->shared ? 1 : b->local;
    const clmoe__file_tensor *found[PARTS] = {NULL, NULL, NULL};
    uint64_t bytes = 0;
    j->out->is_symmetric = b->scan || !j->scheme.has_zeros || j->scheme.is_symmetric;
    for (uint32_t e = 0; e < j->m->experts; e++) {
        TRY(take_expert(j, e, found));
        if (e < first || e - first >= local) continue;
        if (b->scan) TRY(check_scales(j, found[SCALES]));
        if (b->scan && found[ZEROS] != NULL && j->out->is_symmetric)
            j->out->is_symmetric = all_in_the_middle(j, found[ZEROS]);
        for (int i = 0; i < PARTS; i++) lists[i][e - first] = found[i] != NULL ? found[i]->data : NULL;
    }
    for (int i = 0; i < PARTS; i++) bytes += found[i] != NULL ? found[i]->bytes : 0;
    clmoe__build_source(b, j->m->name, bytes, local, (uint64_t)local * (found[ZEROS] != NULL ? PARTS : ZEROS));
    return CLMOE_OK;
}

clmoe_status clmoe__build_groups(clmoe__builder *b, const clmoe__matrix_files *m) {
    job j = {.b = b, .m = m, .out = &b->out->groups[b->out->num_groups++]};
    const void **lists[PARTS];
    TRY(clmoe__scheme_read(b, &j.scheme));
    (void)module_of(m->pattern, j.module);
    if (j.scheme.by_shape) TRY(guess(&j));
    TRY(choose_format(&j));
    for (int i = 0; i < PARTS; i++) lists[i] = clmoe__new_list(b);
    j.out->groups = (clmoe_groups){.order = j.scheme.method->order,
                                   .group_size = j.scheme.group_size,
                                   .zeros_less_1 = (uint32_t)j.scheme.zeros_less_1};
    TRY(take_experts(&j, lists));
    m->tensor->layout = CLMOE_OUT_IN;
    m->tensor->host_list = lists[CODES];
    m->tensor->groups = &j.out->groups;
    j.out->groups.scales.host_list = lists[SCALES];
    if (j.scheme.has_zeros) j.out->groups.zeros.host_list = lists[ZEROS];
    return CLMOE_OK;
}

/* ------------------------------------------------------------------------------------- without zero points */

static clmoe__group_files *files_of(clmoe__builder *b, const clmoe_tensor *tensor) {
    for (uint32_t i = 0; i < b->out->num_groups; i++)
        if (tensor->groups == &b->out->groups[i].groups) return &b->out->groups[i];
    return NULL;
}

static void make_symmetric(clmoe_tensor *tensor, clmoe__group_files *files) {
    tensor->format += CLMOE_S4_G32 - CLMOE_U4_G32;
    files->groups.zeros.host_list = NULL;
    files->groups.zeros_less_1 = 0;
}

void clmoe__settle_groups(clmoe__builder *b, clmoe_tensor *one, clmoe_tensor *other) {
    clmoe__group_files *first = files_of(b, one), *second = other != NULL ? files_of(b, other) : NULL;
    if (first == NULL || !first->is_symmetric || (second != NULL && !second->is_symmetric)) return;
    make_symmetric(one, first);
    if (second != NULL) make_symmetric(other, second);
}

void clmoe__groups_name(uint32_t format, char name[16]) {
    const uint32_t number = format - CLMOE_U4_G32;
    (void)snprintf(name, 16, "%c%u_g%u", number / 4 % 2 == 0 ? 'u' : 's', number < 8 ? 4u : 8u, 32u << number % 4);
}
