/* The search: from the shipped setting, one number after another takes each value worth trying, and what is faster
 * stays, until no single change helps; then changes of two or three numbers, by chance. */
#include <stdlib.h>
#include <string.h>

#include "common/tool.h"
#include "progress.h"
#include "tune.h"

#define ROUNDS    11 /* of a comparison; the interval of the median needs 6 */
#define MAX_TRIED 4096
#define MAX_DRAWS 1000 /* settings drawn in vain before it is said that there are no more */

typedef struct search {
    tuner *t;
    tune_layers best;
    tune_setting *seen;
    size_t seen_count;
    double longest; /* seconds that a candidate took */
} search;

static int has_seen(search *s, const tune_setting *setting) {
    for (size_t i = 0; i < s->seen_count; i++)
        if (memcmp(&s->seen[i], setting, sizeof *setting) == 0) return 1;
    return 0;
}

static int time_is_over(const search *s) {
    return s->seen_count == MAX_TRIED || now_seconds() + s->longest > s->t->ends;
}

/* The setting of the GEMMs that are faster, in *next; together: both or none. 0: there is nothing new. */
static int take_faster(const search *s, const tune_setting *candidate, int together,
                       const tune_ratio ratios[TUNE_TIMES], tune_setting *next) {
    const int all = tune_is_faster(&ratios[TUNE_BOTH]) || tune_is_faster(&ratios[TUNE_CPU]);
    int better = 0;
    *next = s->best.setting;
    for (size_t g = 0; g < TUNE_GEMMS; g++) {
        if (!all && (together || !tune_is_faster(&ratios[g]))) continue;
        memcpy(next->values[g], candidate->values[g], sizeof next->values[g]);
        better = 1;
    }
    return better;
}

static void show(const search *s) {
    const tuner *t = s->t;
    const double left = t->ends - now_seconds();
    progress("%s %s: %u rows tried, %u impossible, %.0f s left", t->host->shape->name, format_name(t->host->format),
             t->tried, t->impossible, left > 0 ? left : 0);
}

/* *improved 1: it became the best, at least in part. 0, or 1 after a complaint. */
static int try_setting(search *s, const tune_setting *setting, int of_plan, int *improved) {
    tuner *t = s->t;
    tune_layers candidate, next = {0};
    tune_ratio ratios[TUNE_TIMES];
    tune_setting faster;
    const double begin = now_seconds();
    if (has_seen(s, setting)) return 0;
    s->seen[s->seen_count++] = *setting;
    show(s);
    const int refused = tune_layers_make(t, setting, &candidate);
    t->impossible += refused == 1;
    t->wrong += refused == 2;
    if (refused) return refused == 3;
    int failed = tune_compare(t, &s->best, &candidate, ROUNDS, t->ends, ratios);
    t->tried++;
    if (!failed && take_faster(s, setting, of_plan || tune_is_one_row(t), ratios, &faster)) {
        failed = tune_layers_make(t, &faster, &next) != 0;
        if (!failed) {
            tune_layers_free(&s->best);
            s->best = next;
            *improved = 1;
        }
    }
    tune_layers_free(&candidate);
    const double took = now_seconds() - begin;
    s->longest = took > s->longest ? took : s->longest;
    return failed;
}

static int one_by_one(search *s, int *improved) {
    const clmoe_tuning *gemm = &s->t->gemms[0];
    for (uint32_t i = 0; i < gemm->count; i++) {
        for (uint32_t v = 0; v < gemm->numbers[i].try_count && !time_is_over(s); v++) {
            tune_setting setting = s->best.setting;
            for (size_t g = 0; g < TUNE_GEMMS; g++) setting.values[g][i] = gemm->numbers[i].tries[v];
            if (try_setting(s, &setting, (int)gemm->numbers[i].of_plan, improved)) return 1;
        }
    }
    return 0;
}

/* Two or three numbers of both GEMMs. */
static int by_chance(search *s, random_state *random) {
    const clmoe_tuning *gemm = &s->t->gemms[0];
    for (uint32_t draw = 0; draw < MAX_DRAWS && !time_is_over(s); draw++) {
        tune_setting setting = s->best.setting;
        int of_plan = 0, improved = 0;
        for (uint64_t n = 2 + random_next(random) % 2; n > 0; n--) {
            const uint32_t i = (uint32_t)(random_next(random) % gemm->count);
            const uint32_t v = (uint32_t)(random_next(random) % gemm->numbers[i].try_count);
            for (size_t g = 0; g < TUNE_GEMMS; g++) setting.values[g][i] = gemm->numbers[i].tries[v];
            of_plan |= (int)gemm->numbers[i].of_plan;
        }
        if (try_setting(s, &setting, of_plan, &improved)) return 1;
        if (improved) draw = 0;
    }
    return 0;
}

int tune_search(tuner *t, tune_setting *best) {
    search s = {.t = t, .seen = calloc(MAX_TRIED, sizeof *s.seen)};
    random_state random = {t->args->seed};
    tune_shipped(t, best);
    if (s.seen == NULL) return complain("out of host memory");
    s.seen[s.seen_count++] = *best;
    int failed = tune_layers_make(t, best, &s.best) != 0, improved = 1;
    while (!failed && improved && !time_is_over(&s)) {
        improved = 0;
        failed = one_by_one(&s, &improved);
    }
    if (!failed) failed = by_chance(&s, &random);
    *best = s.best.setting;
    tune_layers_free(&s.best);
    free(s.seen);
    return failed;
}
