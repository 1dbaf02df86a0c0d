/* The sources of a trial of packing: tensors and scales in host memory or on the device, and what their numbers are.
 * Host memory is sealed: read-only, its last byte before a page that may not be touched, aligned to nothing. */
#ifndef CLMOE_TESTS_PACK_SOURCES_H
#define CLMOE_TESTS_PACK_SOURCES_H

#include "support.h"

enum pack_source { PACK_HOST, PACK_HOST_LIST, PACK_BUFFER, PACK_BUFFER_LIST };

typedef struct pack_trial {
    uint32_t groups, in_features, out_features, gated, gate_up;
    uint32_t format, arithmetic; /* of the packed matrix */
    uint32_t lanes;              /* 0: the device's */
    uint32_t source_format, layout, source;
    uint32_t gap;                                     /* elements between rows and experts; even with CLMOE_F4_E2M1 */
    uint32_t scale_format, block_rows, block_columns; /* format 0: no scales */
    uint32_t scale_source, second_scale_source;       /* of up (the only tensor) and of gate */
    uint64_t stream;                                  /* of random numbers */
    /* NULL: random. Else byte `i` of a tensor's elements or scales, for tests that want certain codes. */
    uint8_t (*code)(uint64_t i);
    uint8_t (*scale_code)(uint64_t i);
} pack_trial;

/* The tensors of a trial: gate and up, or up alone. */
#define PACK_TENSORS 2
typedef struct pack_sources {
    uint32_t count;
    clmoe_tensor tensors[PACK_TENSORS];
    clmoe_scales scales[PACK_TENSORS];
    uint64_t rows, stride, expert_elements;            /* of a tensor */
    uint64_t scale_columns, scale_count;               /* of an expert */
    uint8_t *data[2 * PACK_TENSORS];                   /* copies: elements of each tensor, then scales of each */
    struct pack_sealed *seals;
    test_buffer *buffers;
    uint32_t seal_count, buffer_count;
    const void **hosts[2 * PACK_TENSORS];
    clmoe_buffer *lists[2 * PACK_TENSORS];
} pack_sources;

/* Fills *s, which must stay where it is: its tensors point to its scales. */
void pack_sources_create(test_device *device, const pack_trial *trial, pack_sources *s);
void pack_sources_free(test_device *device, pack_sources *s);

uint32_t pack_bits(uint32_t format); /* of an element */
/* Element `i` of an array by the definition of its format; E2M1: two a byte. */
double pack_decode(const uint8_t *bytes, uint32_t format, uint64_t i);
/* Where element (row, k) of an expert is, and its scale. */
uint64_t pack_element(const pack_trial *trial, const pack_sources *s, uint32_t group, uint64_t row, uint64_t k);
uint64_t pack_scale(const pack_trial *trial, const pack_sources *s, uint32_t group, uint64_t row, uint64_t k);

#endif
