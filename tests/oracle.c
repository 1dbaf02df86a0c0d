/* The double-precision layer of oracle.h. Calls nothing but libm and the storage formats of support.h. */
#include "oracle.h"

#include <math.h>
#include <stdlib.h>

#include "support.h"

static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }
static double cap(double x, double limit) { return limit > 0 ? limit * tanh(x / limit) : x; }
static double clamp(double x, double limit) { return x > limit ? limit : x < -limit ? -limit : x; }

static double bf16(double x) {
    uint16_t bits;
    test_store(&bits, CLMOE_BF16, 0, (double)(float)x);
    return test_load(&bits, CLMOE_BF16, 0);
}

static double act(const clmoe_activation *a, double x) {
    switch (a->kind) {
    case CLMOE_SILU:
        if (a->gate_softcap > 0) return cap(x, (double)a->gate_softcap) * sigmoid((double)a->alpha * x);
        return x * sigmoid((double)a->alpha * x);
    case CLMOE_GELU: return 0.5 * x * erfc(-x * 0.7071067811865476);
    case CLMOE_GELU_TANH: return 0.5 * x * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    case CLMOE_RELU: return x > 0 ? x : 0;
    case CLMOE_RELU2: return x > 0 ? x * x : 0;
    case CLMOE_IDENTITY: return x;
    default: fail_msg("activation kind %u", a->kind); return 0;
    }
}

/* h of one gate and one up value. Not gated: the activation of `up`, with the limit on it as on a gate. */
double oracle_activation(const clmoe_activation *a, double gate, double up) {
    const double limit = (double)a->limit;
    double g = a->gated ? gate : up;
    if (limit > 0 && a->limit_position == CLMOE_LIMIT_BEFORE && g > limit) g = limit;
    double h = act(a, g);
    if (limit > 0 && a->limit_position == CLMOE_LIMIT_AFTER && h > limit) h = limit;
    if (!a->gated) return h;
    double u = limit > 0 ? clamp(up, limit) : up;
    u = cap(u, (double)a->up_softcap);
    return h * (u + (double)a->up_offset);
}

/* How far h moves at most when gate and up move by dg and du: by trying the four corners, which bounds the slope of
 * every activation here well enough for small steps. */
static double moved(const clmoe_activation *a, double gate, double up, double dg, double du) {
    const double middle = oracle_activation(a, gate, up), step = 0x1p-20;
    double most = 0;
    for (int corner = 0; corner < 4; corner++) {
        const double g = gate + (corner & 1 ? dg : -dg) * step, u = up + (corner & 2 ? du : -du) * step;
        most = fmax(most, fabs(oracle_activation(a, g, u) - middle));
    }
    return most / step;
}

/* x_magnitude[n]: what the errors of x are relative to; NULL: x itself. */
static double dot(const double *row, const double *x, const double *x_magnitude, uint32_t n, double bias,
                  double *magnitude) {
    double sum = bias, absolute = fabs(bias);
    for (uint32_t k = 0; k < n; k++) {
        sum += row[k] * x[k];
        absolute += fabs(row[k] * (x_magnitude != NULL ? x_magnitude[k] : x[k]));
    }
    *magnitude = absolute;
    return sum;
}

/* The roundings of f32 sums of up to so many terms and of what is around them, relative to their magnitude. */
static double f32_error(uint32_t terms) { return 0x1p-24 * (8 + 2 * sqrt((double)terms)); }

/* The bytes of 128 neighbours, and their scale, computed in f32 as the library does; all of them tiny are zeros. A
 * value whose error `slack * error` reaches the border of two bytes may be another step, or more of them, in the
 * library: so much more slack. */
static void round_run(uint32_t n, double error, double *value, double *slack) {
    float most = 0;
    double widest = 0;
    for (uint32_t k = 0; k < n; k++) {
        most = fmaxf(most, fabsf((float)value[k]));
        widest = fmax(widest, slack[k]);
    }
    if (most < 0x1p-119f) {
        memset(value, 0, n * sizeof *value);
        return;
    }
    const float step = most * (1.0f / 127.0f), inverse = 127.0f / most;
    for (uint32_t k = 0; k < n; k++) {
        const float scaled = (float)value[k] * inverse, byte = rintf(scaled);
        const double reach = error * (slack[k] + widest * fabs(value[k]) / (double)most) / (double)step;
        const double border = 0.5 - fabs((double)scaled - (double)byte);
        const double steps = reach > border ? 1 + floor(reach - border) : 0;
        value[k] = (double)step * (double)byte;
        slack[k] = fabs(value[k]) * (1 + widest / (double)most) + steps * (double)step / error;
    }
}

/* x as a product takes it. x_slack[n]: what the errors of x are relative to; NULL: x itself. May work in place. */
static void round_input(int rounds, uint32_t n, double error, const double *x, const double *x_slack, double *value,
                        double *slack) {
    for (uint32_t k = 0; k < n; k++) {
        slack[k] = fabs(x_slack != NULL ? x_slack[k] : x[k]);
        value[k] = rounds == ORACLE_BF16 ? bf16(x[k]) : x[k];
    }
    for (uint32_t k = 0; k < n && rounds == ORACLE_INT8; k += 128)
        round_run(n - k < 128 ? n - k : 128, error, value + k, slack + k);
}

/* oracle_ffn_row for an x whose errors are relative to x_magnitude[H], as in dot. */
static void ffn_row(const oracle_ffn *f, uint32_t expert, double error, const double *x, const double *x_magnitude,
                    double *y, double *magnitude) {
    const uint32_t H = f->hidden, I = f->intermediate;
    double *h = calloc(2 * ((size_t)I + H), sizeof *h), *slack = h + I, *in = slack + I, *in_slack = in + H;
    round_input(f->up_rounds, H, error, x, x_magnitude, in, in_slack);
    for (uint32_t i = 0; i < I; i++) {
        const size_t row = (size_t)expert * I + i;
        double g = 0, dg = 0, du = 0;
        const double u = dot(f->up + row * H, in, in_slack, H, f->up_bias != NULL ? f->up_bias[row] : 0, &du);
        if (f->activation.gated)
            g = dot(f->gate + row * H, in, in_slack, H, f->gate_bias != NULL ? f->gate_bias[row] : 0, &dg);
        h[i] = oracle_activation(&f->activation, g, u);
        slack[i] = fabs(h[i]) + moved(&f->activation, g, u, dg, du);
    }
    round_input(f->down_rounds, I, error, h, slack, h, slack);
    for (uint32_t j = 0; j < H; j++) {
        const size_t row = (size_t)expert * H + j;
        y[j] = dot(f->down + row * I, h, slack, I, f->down_bias != NULL ? f->down_bias[row] : 0, &magnitude[j]);
    }
    free(h);
}

static double ffn_error(const oracle_ffn *f) {
    return f32_error(f->hidden > f->intermediate ? f->hidden : f->intermediate);
}

void oracle_ffn_row(const oracle_ffn *f, uint32_t expert, const double *x, double *y, double *magnitude) {
    ffn_row(f, expert, ffn_error(f), x, NULL, y, magnitude);
}

void oracle_logits(const oracle_layer *layer, const double *input, uint32_t tokens, double *logits, double *magnitude) {
    for (uint32_t t = 0; t < tokens; t++) {
        for (uint32_t c = 0; c < layer->classes; c++) {
            const size_t at = (size_t)t * layer->classes + c;
            double absolute;
            logits[at] = dot(layer->router + (size_t)c * layer->hidden, input + (size_t)t * layer->hidden, NULL,
                             layer->hidden, layer->router_bias != NULL ? layer->router_bias[c] : 0, &absolute);
            if (magnitude != NULL) magnitude[at] = absolute;
        }
    }
}

/* Values, and what their errors are relative to; NULL: the values themselves. */
typedef struct judged {
    double *value, *magnitude;
} judged;

static void project(const double *matrix, uint32_t rows, uint32_t columns, int rounds, double error, const judged *x,
                    const judged *y) {
    double *in = calloc((size_t)2 * columns, sizeof *in), *slack = in + columns;
    round_input(rounds, columns, error, x->value, x->magnitude, in, slack);
    for (uint32_t r = 0; r < rows; r++)
        y->value[r] = dot(matrix + (size_t)r * columns, in, slack, columns, 0, &y->magnitude[r]);
    free(in);
}

void oracle_product(const double *matrix, uint32_t rows, uint32_t columns, int rounds, const double *x, double *y,
                    double *magnitude) {
    double *copy = calloc(columns, sizeof *copy);
    memcpy(copy, x, columns * sizeof *copy);
    const judged in = {copy, NULL}, out = {y, magnitude};
    project(matrix, rows, columns, rounds, f32_error(columns), &in, &out);
    free(copy);
}

static double routed_error(const oracle_layer *layer) {
    const double wide = f32_error(layer->hidden), ffn = ffn_error(&layer->experts);
    return wide > ffn ? wide : ffn;
}

/* Adds one slot's part to sum; x is what the experts see, `row` and `y` are scratch of its size. */
static void add_slot(const oracle_layer *layer, const judged *x, int32_t class, double weight, const judged *row,
                     const judged *y, const judged *sum) {
    const uint32_t n = layer->experts.hidden;
    if (class < 0 || (uint32_t)class >= layer->num_experts + layer->zero_experts) return;
    if ((uint32_t)class >= layer->num_experts) {
        for (uint32_t j = 0; j < n && !layer->leave_shared; j++) {
            sum->value[j] += weight * x->value[j];
            sum->magnitude[j] += fabs(weight * x->value[j]);
        }
        return;
    }
    if ((uint32_t)class < layer->first_expert) return;
    const uint32_t expert = (uint32_t)class - layer->first_expert;
    if (expert >= layer->experts.experts) return;
    const double before = layer->weight_on_input ? weight : 1, after = layer->weight_on_input ? 1 : weight;
    for (uint32_t j = 0; j < n; j++) {
        row->value[j] = before * x->value[j];
        row->magnitude[j] = fabs(before * (x->magnitude != NULL ? x->magnitude[j] : x->value[j]));
    }
    ffn_row(&layer->experts, expert, routed_error(layer), row->value, row->magnitude, y->value, y->magnitude);
    for (uint32_t j = 0; j < n; j++) {
        sum->value[j] += after * y->value[j];
        sum->magnitude[j] += fabs(after) * (y->magnitude[j] + layer->y_slack * fabs(y->value[j]));
    }
}

/* The routed experts' part of one token: sum[H], from x[H]. `scratch` has eight times max(H, L) places. */
static void routed(const oracle_layer *layer, double *x, const int32_t *index, const float *weight, double *scratch,
                   const judged *sum) {
    const uint32_t H = layer->hidden, L = layer->experts.hidden, n = H > L ? H : L;
    const judged in = {x, NULL}, z = {scratch, scratch + n}, row = {scratch + 2 * n, scratch + 3 * n};
    const judged y = {scratch + 4 * n, scratch + 5 * n}, inner = {scratch + 6 * n, scratch + 7 * n};
    const int latent = layer->latent_in != NULL;
    const judged *to = latent ? &inner : sum;
    if (latent) project(layer->latent_in, L, H, layer->latent_in_rounds, routed_error(layer), &in, &z);
    for (uint32_t j = 0; j < L; j++) to->value[j] = to->magnitude[j] = 0;
    for (uint32_t s = 0; s < layer->slots; s++)
        add_slot(layer, latent ? &z : &in, index[s], (double)weight[s], &row, &y, to);
    if (latent) project(layer->latent_out, H, L, layer->latent_out_rounds, routed_error(layer), &inner, sum);
}

static void add_shared(const oracle_layer *layer, const double *x, double *y, double *out, double *magnitude) {
    const uint32_t H = layer->hidden;
    double factor = layer->shared_scale, absolute = 0, *shared_magnitude = y + H;
    if (layer->shared_gate != NULL) factor *= sigmoid(dot(layer->shared_gate, x, NULL, H, 0, &absolute));
    oracle_ffn_row(&layer->shared, 0, x, y, shared_magnitude);
    for (uint32_t j = 0; j < H; j++) {
        out[j] += factor * y[j];
        magnitude[j] += fabs(factor) * (shared_magnitude[j] + absolute * fabs(y[j]));
    }
}

void oracle_forward(const oracle_layer *layer, const double *x, uint32_t tokens, const int32_t *index,
                    const float *weight, const double *before, double *out, double *magnitude) {
    const uint32_t H = layer->hidden, L = layer->experts.hidden, n = H > L ? H : L;
    double *scratch = calloc((size_t)11 * n, sizeof *scratch), *in = scratch + (size_t)10 * n;
    const judged sum = {scratch + (size_t)8 * n, scratch + (size_t)9 * n};
    for (uint32_t t = 0; t < tokens; t++) {
        const size_t at = (size_t)t * H, slot = (size_t)t * layer->slots;
        memcpy(in, x + at, H * sizeof *in);
        routed(layer, in, index + slot, weight + slot, scratch, &sum);
        for (uint32_t j = 0; j < H; j++) {
            double rest = before != NULL ? before[at + j] : 0;
            if (layer->output_bias != NULL && !layer->leave_shared) rest += layer->output_bias[j];
            out[at + j] = rest + layer->routed_scale * sum.value[j];
            magnitude[at + j] = fabs(rest) + fabs(layer->routed_scale) * sum.magnitude[j];
        }
        if (layer->shared.intermediate > 0 && !layer->leave_shared)
            add_shared(layer, in, scratch, out + at, magnitude + at);
    }
    free(scratch);
}

double oracle_relative(uint32_t terms, int rounds_bf16) {
    return f32_error(terms) + (rounds_bf16 ? 0x1p-8 * fmin(1, 6 / sqrt((double)terms)) : 0);
}

double oracle_tolerance(double value, double magnitude, uint32_t terms, int rounds_bf16, uint32_t format) {
    const double relative = oracle_relative(terms, rounds_bf16);
    const double last_place = format == CLMOE_F32 ? 0x1p-24 : format == CLMOE_F16 ? 0x1p-11 : 0x1p-8;
    const double smallest = format == CLMOE_F16 ? 0x1p-24 : 0x1p-126;
    return relative * magnitude + last_place * fabs(value) + smallest;
}
