/* From a checked tensor's description to the places of one expert's rows and scales. */
#include "pack.h"

int clmoe__is_on_host(const clmoe_tensor *tensor) { return tensor->host != NULL || tensor->host_list != NULL; }

clmoe__place clmoe__place_plus(clmoe__place place, uint64_t bytes) {
    if (place.host != NULL) {
        place.host += bytes;
    } else {
        place.buffer.offset += bytes;
    }
    return place;
}

clmoe__place clmoe__expert_place(const void *host, const void *const *host_list, const clmoe_buffer *buffer,
                                 const clmoe_buffer *buffer_list, uint32_t expert, uint64_t stride) {
    clmoe__place place = {NULL, {0}};
    if (host_list != NULL) {
        place.host = host_list[expert];
    } else if (buffer_list != NULL) {
        place.buffer = buffer_list[expert];
    } else {
        place.host = host;
        if (host == NULL) place.buffer = *buffer;
        place = clmoe__place_plus(place, expert * stride);
    }
    return place;
}

clmoe__pack_source clmoe__pack_source_of(const clmoe__matrix_part *part, const clmoe_tensor *tensor, uint32_t features,
                                         uint32_t expert) {
    const int out_in = tensor->layout == CLMOE_OUT_IN;
    const uint32_t bits = clmoe__format_bits(tensor->format);
    const uint64_t row = tensor->row_stride != 0 ? tensor->row_stride : out_in ? features : part->stored_rows;
    const uint64_t rows = out_in ? part->stored_rows : features;
    const uint64_t stride = tensor->expert_stride != 0 ? tensor->expert_stride : rows * row;
    const uint64_t first = (uint64_t)part->row_begin * (out_in ? row : 1);
    clmoe__pack_source source = {
        clmoe__expert_place(tensor->host, tensor->host_list, &tensor->buffer, tensor->buffer_list, expert,
                            clmoe__format_span(tensor->format, stride)),
        bits, out_in ? row * part->row_step : part->row_step, out_in ? 1 : row};
    source.at = clmoe__place_plus(source.at, clmoe__format_span(tensor->format, first));
    return source;
}

clmoe__pack_scales clmoe__pack_scales_of(const clmoe__matrix_part *part, const clmoe_tensor *tensor, uint32_t features,
                                         uint32_t expert) {
    const clmoe_scales *s = tensor->scales;
    clmoe__pack_scales scales = {{NULL, {0}}, 0, CLMOE_FORMAT_NONE, 1, 1, 1};
    if (s == NULL) return scales;
    scales.format = s->format;
    scales.block_rows = s->block_rows;
    scales.block_columns = s->block_columns;
    scales.columns = (uint32_t)clmoe__div_up(features, s->block_columns);
    scales.bytes =
        clmoe__div_up(part->stored_rows, s->block_rows) * scales.columns * (clmoe__format_bits(s->format) / 8);
    scales.at = clmoe__expert_place(s->host, s->host_list, &s->buffer, s->buffer_list, expert, scales.bytes);
    return scales;
}

clmoe_status clmoe__pack_staging(clmoe__packer *packer, clmoe__block *block, uint64_t bytes, clmoe_error *error) {
    if (block->bytes >= bytes && block->mem != NULL) return CLMOE_OK;
    clmoe__pool_free(packer->context, block, NULL);
    return clmoe__pool_alloc(packer->context, bytes, block, error);
}
