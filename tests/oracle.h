/* A whole layer computed in double precision, in straight loops that share no code with src/. Weights are plain double
 * arrays that hold values already rounded to the storage type; routes are given, so that tests can feed the device's
 * own choice (oracle_select.h judges the choice itself). */
#ifndef CLMOE_TESTS_ORACLE_H
#define CLMOE_TESTS_ORACLE_H

#include <clmoe/clmoe.h>

/* What activations are rounded to before a matrix product: nothing; bf16; bytes, with one scale for 128 neighbours. */
enum oracle_rounding { ORACLE_EXACT, ORACLE_BF16, ORACLE_INT8 };

/* One set of feed-forward experts in canonical arrangement. NULL biases are absent. */
typedef struct oracle_ffn {
    uint32_t experts, hidden, intermediate; /* intermediate 0: absent */
    double *gate;                           /* [experts, I, H]; NULL where not gated */
    double *up;                             /* [experts, I, H] */
    double *down;                           /* [experts, H, I] */
    double *gate_bias, *up_bias;            /* [experts, I] */
    double *down_bias;                      /* [experts, H] */
    clmoe_activation activation;
    int up_rounds, down_rounds; /* enum oracle_rounding, of their inputs */
} oracle_ffn;

typedef struct oracle_layer {
    uint32_t hidden, classes, slots;
    uint32_t num_experts, zero_experts; /* classes behind these two add nothing */
    uint32_t first_expert;              /* experts.experts of them from here on are held */
    int weight_on_input;
    int leave_shared; /* 1: neither shared experts nor zero experts nor output bias */
    int latent_in_rounds, latent_out_rounds;
    double y_slack; /* error of a routed expert's y as it is stored, in units of what magnitudes are multiplied by; 0:
                     * none */
    double routed_scale, shared_scale;
    oracle_ffn experts, shared; /* experts.hidden is the latent size where there is a latent space */
    double *latent_in;   /* [L, H]; NULL: the experts see x */
    double *latent_out;  /* [H, L] */
    double *router;      /* [classes, H] */
    double *router_bias; /* [classes] */
    double *shared_gate; /* [H] */
    double *output_bias; /* [H] */
} oracle_layer;

/* logits[T, classes] from input[T, H]; magnitude (may be NULL) receives the sums of the terms' absolute values. */
void oracle_logits(const oracle_layer *layer, const double *input, uint32_t tokens, double *logits, double *magnitude);

/* One expert on one row: y[H] from x[H]. magnitude[H] receives what errors of the result are relative to: the sums of
 * the terms' absolute values, carried through the activation by its slope. */
void oracle_ffn_row(const oracle_ffn *ffn, uint32_t expert, const double *x, double *y, double *magnitude);

/* One matrix on one row: y[rows] from x[columns], rounded as the product takes it (enum oracle_rounding); magnitude as
 * above. */
void oracle_product(const double *matrix, uint32_t rows, uint32_t columns, int rounds, const double *x, double *y,
                    double *magnitude);

/* out[T, H] from x[T, H] and routes [T, slots]. before: what out held, [T, H], if it is accumulated to; else NULL.
 * An index outside 0..classes-1 is an unused slot. magnitude[T, H] as above. */
void oracle_forward(const oracle_layer *layer, const double *x, uint32_t tokens, const int32_t *index,
                    const float *weight, const double *before, double *out, double *magnitude);

double oracle_activation(const clmoe_activation *activation, double gate, double up);

/* The error allowed in a result stored as `format`, whose longest sum has `terms` terms accumulated in f32:
 *   f32 sums:  2^-24 of the magnitude, times 8 for the roundings besides the sum and 2 sqrt(terms) for the sum's own;
 *   int8:      nothing more: what a value on the border of two bytes does is in the magnitude;
 *   bf16:      each of the terms may be off by 2^-8 (rounding to the other neighbour), and such errors average out;
 *   storage:   half a unit in the last place of the value. */
double oracle_relative(uint32_t terms, int bf16); /* the part that the magnitude is multiplied by */
double oracle_tolerance(double value, double magnitude, uint32_t terms, int bf16, uint32_t format);

#endif
