/* What `clmoe-bench balance` measures: a layer under router logits of several kinds. */
#ifndef CLMOE_BENCH_BALANCE_H
#define CLMOE_BENCH_BALANCE_H

#include "common/args.h"
#include "layer/layer_report.h"

/* Router logits that lead to a distribution of experts. */
typedef struct logit_set {
    char name[24]; /* "uniform", "zipf 1.2", "given" */
    double zipf;   /* exponent; 0 = uniform; -1 = given in a file */
    float *logits; /* [rows, E] */
    size_t rows;
} logit_set;

typedef struct balance_result {
    layer_result row; /* row.loads: counts of the timed forwards, to be freed */
    char distribution[24];
    double zipf;          /* as in the set */
    double entropy;       /* of the counts, in nats; ln E = perfectly even */
    double max_over_mean; /* of the counts; row.max_over_mean is that of a forward */
    uint64_t total;
    double idle_experts; /* of a forward, mean */
    double slowdown;     /* median over that of the uniform row; 0: that one was not run */
} balance_result;

/* Logits whose top_k follow p(e) ~ 1 / rank(e)^exponent: ln p plus Gumbel noise, whose k largest are k draws without
 * putting back. Ranks are dealt to experts by the seed. 0, or 1 after a complaint. logits to be freed. */
int logits_random(const model *shape, double exponent, size_t rows, uint64_t seed, logit_set *set);
/* From a file: safetensors with a tensor [rows, num_experts] of f32, f16 or bf16 (the one named logits, else the
 * only one), or, where the name does not end in .safetensors, bare f32 numbers. 0; 2 after a complaint about the
 * file. Likewise. */
int logits_read(const char *path, uint32_t num_experts, logit_set *set);

/* Entropy, largest over mean and total of counts. */
void balance_statistics(balance_result *result);

void print_balance_heading(void);
void print_balance_row(const balance_result *result);
/* Loads in ten bars: experts by falling load. */
void print_balance_loads(const balance_result *result);
int write_balance_json(const char *path, const session *s, const peaks *limits, const balance_result *results,
                       size_t count);

#endif
