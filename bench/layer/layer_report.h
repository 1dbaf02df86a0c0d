/* What the tool prints and writes: the table on stdout, JSON in a file. */
#ifndef CLMOE_BENCH_LAYER_REPORT_H
#define CLMOE_BENCH_LAYER_REPORT_H

#include "common/session.h"
#include "device/roofline.h"
#include "host_layer.h"

#define MAX_STAGES 24

/* One row of `layer`. Times of a stage are device time a forward, medians, taken in a pass of its own. */
typedef struct layer_result {
    const model *shape;
    uint32_t format, tokens;
    uint32_t arithmetic; /* clmoe_arithmetic that the device chose, or was told */
    uint32_t y_format;   /* clmoe_format in which the experts' outputs wait to be added up */
    uint64_t weight_bytes, source_bytes; /* of the layer: as packed on the device, and in a file */
    uint64_t seed;
    uint64_t *loads; /* NULL, or the caller's [E], zeroed: receives the sums of the timed forwards' loads */
    double active_experts; /* distinct experts a forward hit, mean */
    double max_over_mean;  /* of the experts' loads, mean over forwards */
    double *samples_ms;    /* [sample_count], in the order taken */
    size_t sample_count;
    double low_ms, high_ms; /* 95% confidence interval of the median (timing.h) */
    double others_cpus;     /* CPUs that other processes kept busy meanwhile, -1 = not known */
    double median_ms, p95_ms, tokens_per_s, gflops, weight_gbps, roofline_ms, roofline_share, host_us;
    uint32_t launches;
    double max_rel_error, tolerance;
    double nmse; /* of the checked tokens' outputs against double precision on the decoded weights */
    uint32_t copies;  /* of the weights, taking turns */
    double cpu_share; /* CPU time over wall time and compute units while it was timed; 1 on other devices */
    int busy;         /* timing.h: others had much of the machine, or times spread */
    int unsteady;     /* other work disturbed it: compare_with_limits() says when */
    peak_kind peak;
    double peak_gflops, read_gbps; /* what this row is compared with */
    size_t stage_count;
    struct {
        char name[24];
        double us;
    } stages[MAX_STAGES];
} layer_result;

/* Weight bytes packed over those of a source. */
double packed_ratio(const layer_result *row);

/* One row of `load`. */
typedef struct load_result {
    const model *shape;
    uint32_t format;
    uint64_t source_bytes, packed_bytes;
    double first_s;    /* of the first load, which also sets up the device's kernels */
    double *samples_s; /* [sample_count] of the later ones, in the order taken */
    size_t sample_count;
    double median_s, cpu_s; /* medians; cpu_s is CPU time of all threads */
    double gbps;        /* bytes read and written over the median */
    double read_gbps;   /* of the read probe, median of launches between the loads */
    double share;       /* gbps over read_gbps */
    double extra_bytes; /* of host memory at the worst moment of a load, beyond the packed weights */
    double max_rel_error;
} load_result;

void print_load_heading(void);
void print_load_row(const load_result *row);

void print_peaks(const session *s, const peaks *limits);
void print_layer_heading(void);
void print_layer_row(const layer_result *row);
/* Explains the mark of unsteady rows, if there are any. */
void print_unsteady(const layer_result *rows, size_t count);
/* Rows' stages side by side, in microseconds. */
void print_stages(const layer_result *rows, size_t count);

/* Write the whole file or nothing (a temporary file beside it, renamed). 0, or 1 after a complaint. */
int write_layer_json(const char *path, const session *s, const peaks *limits, const layer_result *rows, size_t count);
int write_load_json(const char *path, const session *s, const peaks *limits, const load_result *rows, size_t count);
int write_roofline_json(const char *path, const session *s, const peaks *limits);

#endif
