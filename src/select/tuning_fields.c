/* The tables of numbers, one for each macro-kernel. A parameter that a kernel learns to take is a row here. */
#include "tuning_fields.h"

#include <string.h>

#define NONE      UINT32_MAX
#define OF(field) offsetof(clmoe__gemm_choice, field)

static const clmoe__tuning_field cpu_fields[] = {
    {"tile_rows", OF(tile_rows), 1, 64, 1, {4, 6, 8, 14, 16, 24, 32, 48}},
    {"group_tiles", OF(cpu.group_tiles), 1, 32, 0, {1, 2, 4, 8, 16, NONE}},
    {"prefetch_bytes", OF(cpu.prefetch_bytes), 0, 1u << 20, 0, {0, 1024, 2048, 4096, 8192, 16384, 32768, NONE}},
    {"prefetch_bytes_tall",
     OF(cpu.prefetch_bytes_tall),
     0,
     1u << 20,
     0,
     {0, 1024, 2048, 4096, 8192, 16384, 32768, NONE}},
    {"next_panel_bytes", OF(cpu.next_panel_bytes), 0, 1u << 26, 0, {0, 131072, 262144, 393216, 786432, 1572864, NONE}},
};

static const clmoe__tuning_field gpu_fields[] = {
    {"tile_rows", OF(shape.tile.rows), 1, 1024, 1, {16, 32, 64, 128, NONE}},
    {"tile_columns", OF(shape.tile.columns), 8, 1024, 0, {32, 64, 128, 256, NONE}},
    {"tile_k", OF(shape.tile.k), 4, 1024, 0, {8, 16, 32, 64, 128, NONE}},
    {"lanes", OF(shape.tile.lanes), 4, 8, 0, {4, 8, NONE}},
    {"item_rows", OF(shape.tile.item_rows), 1, 64, 0, {1, 2, 4, 8, 16, NONE}},
    {"row_vector", OF(shape.tile.row_vector), 1, 4, 0, {1, 2, 4, NONE}},
    {"buffers", OF(shape.tile.buffers), 1, 2, 0, {1, 2, NONE}},
    {"few_rows", OF(shape.few.rows), 1, 1024, 0, {4, 8, 16, NONE}},
    {"few_columns", OF(shape.few.columns), 8, 1024, 0, {32, 64, 128, NONE}},
    {"few_k", OF(shape.few.k), 4, 1024, 0, {16, 32, 64, 128, NONE}},
    {"few_lanes", OF(shape.few.lanes), 4, 8, 0, {4, 8, NONE}},
    {"few_item_rows", OF(shape.few.item_rows), 1, 64, 0, {1, 2, 4, NONE}},
    {"few_row_vector", OF(shape.few.row_vector), 1, 4, 0, {1, 2, 4, NONE}},
    {"few_buffers", OF(shape.few.buffers), 1, 2, 0, {1, 2, NONE}},
    {"few_split", OF(shape.few.split), 1, 8, 0, {1, 2, 4, NONE}},
    {"mean_rows", OF(shape.mean_rows), 1, 65535, 0, {16, 32, 64, 128, 256, NONE}},
};

static const clmoe__tuning_field matrix_fields[] = {
    {"tile_rows", OF(matrix.tile_rows), 16, 256, 1, {32, 64, 128, 256, NONE}},
    {"warps_down", OF(matrix.warps_down), 1, 8, 0, {1, 2, 4, NONE}},
    {"warps_across", OF(matrix.warps_across), 1, 8, 0, {1, 2, 4, NONE}},
    {"panels_each", OF(matrix.panels_each), 1, 4, 0, {1, 2, 4, NONE}},
    {"k_run", OF(matrix.k_run), 16, 64, 0, {16, 32, 64, NONE}},
    {"stages", OF(matrix.stages), 2, 8, 0, {2, 3, 4, 5, 6, NONE}},
};

static const clmoe__tuning_field clblast_fields[] = {
    {"tile_rows", OF(tile_rows), 1, 1024, 1, {16, 32, 64, NONE}},
    {"own_percent", OF(own_percent), 1, 1000, 0, {100, NONE}}, /* measured, not tried */
};

static const struct {
    const clmoe__tuning_field *fields;
    uint32_t count;
} macros[] = {
    [CLMOE__MACRO_CPU] = {cpu_fields, sizeof cpu_fields / sizeof *cpu_fields},
    [CLMOE__MACRO_GPU] = {gpu_fields, sizeof gpu_fields / sizeof *gpu_fields},
    [CLMOE__MACRO_MATRIX] = {matrix_fields, sizeof matrix_fields / sizeof *matrix_fields},
    [CLMOE__MACRO_CLBLAST] = {clblast_fields, sizeof clblast_fields / sizeof *clblast_fields},
};

const clmoe__tuning_field *clmoe__tuning_field_at(clmoe__macro macro, uint32_t i) {
    return i < macros[macro].count ? &macros[macro].fields[i] : NULL;
}

uint32_t clmoe__tuning_get(const clmoe__gemm_choice *choice, const clmoe__tuning_field *field) {
    uint32_t value;
    memcpy(&value, (const char *)choice + field->offset, sizeof value);
    return value;
}

/* The rows of a plan's tiles are the choice's whatever the macro-kernel. */
void clmoe__tuning_set(clmoe__gemm_choice *choice, const clmoe__tuning_field *field, uint32_t value) {
    memcpy((char *)choice + field->offset, &value, sizeof value);
    if (field->of_plan) choice->tile_rows = value;
}

int clmoe__choice_fits(const clmoe_context *context, const clmoe__gemm_choice *choice, int is_block,
                       uint32_t arithmetic, char *reason, size_t capacity) {
    const clmoe__device *device = &context->device;
    switch (choice->variant->macro) {
        case CLMOE__MACRO_CPU:
            return clmoe__cpu_shape_fits(choice->tile_rows, &choice->cpu, arithmetic, is_block, reason, capacity);
        case CLMOE__MACRO_CLBLAST: return 1;
        case CLMOE__MACRO_GPU:
            return clmoe__gpu_shape_fits(&choice->shape, device, choice->lanes, arithmetic, reason, capacity);
        default: return clmoe__matrix_shape_fits(&choice->matrix, device, reason, capacity);
    }
}

uint32_t clmoe__size_class(uint64_t size) {
    uint32_t class = 64;
    while (class < size && class < 65536) class *= 2;
    return class;
}
