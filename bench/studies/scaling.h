/* What `clmoe-bench scaling` measures. */
#ifndef CLMOE_BENCH_SCALING_H
#define CLMOE_BENCH_SCALING_H

#include "common/args.h"
#include "layer/layer_report.h"

typedef struct scaling_result {
    layer_result row; /* row.shape points to `shape` */
    model shape;
    scaling_axis axis;
    uint32_t value;         /* on the axis */
    uint32_t compute_units; /* that the device has, or its part */
    double work, time;      /* operations and median, over those of the first value of the axis */
} scaling_result;

const char *scaling_axis_name(scaling_axis axis); /* "tokens", "experts", "top_k", "compute_units" */
void print_scaling_heading(void);
void print_scaling_row(const scaling_result *result);
int write_scaling_json(const char *path, const session *s, const peaks *limits, const scaling_result *results,
                       size_t count);

/* A part of a device with so many compute units, and a context of its own. device_part_close in all cases. */
typedef struct device_part {
    cl_context context;
    cl_device_id device;
} device_part;

/* 0; 1 and why[] where the device cannot be divided like this. */
int device_part_open(cl_device_id whole, uint32_t units, device_part *part, char *why, size_t capacity);
void device_part_close(device_part *part);

#endif
