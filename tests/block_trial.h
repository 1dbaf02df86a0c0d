/* One matrix packed from sources in block formats, and compared with what the definitions of formats and panels say,
 * value by value and bit for bit. */
#ifndef CLMOE_TESTS_BLOCK_TRIAL_H
#define CLMOE_TESTS_BLOCK_TRIAL_H

#include "group_parts.h"
#include "layer/matrix.h"
#include "support.h"

enum block_source { BLOCK_HOST, BLOCK_HOST_LIST, BLOCK_BUFFER, BLOCK_BUFFER_LIST, BLOCK_SOURCES };

typedef struct block_trial {
    const block_format *source, *gate_source; /* of gate where it is a tensor of its own; NULL: as source */
    uint32_t format, arithmetic;              /* of the panels: source's own, or CLMOE_F32, F16, BF16 */
    uint32_t groups, in_features, out_features;
    uint32_t gated, gate_up; /* clmoe_gate_up */
    uint32_t gap;            /* blocks between rows and between experts */
    enum block_source from;
    const uint8_t *blocks; /* of `up`, in place of random ones: one group, no gap */
    const group_layout *layout; /* of formats of groups: the source is taken apart so; no gap. NULL: it is blocks */
    uint64_t stream;       /* of random numbers */
} block_trial;

void block_trial_run(test_device *device, const block_trial *trial);
/* A block of random codes and scales, whose f16 fields are finite. */
void block_random(const block_format *f, uint8_t *block, test_random *random);

/* The bytes of all panels, to be freed. */
uint8_t *block_matrix_read(test_device *device, const clmoe__matrix *matrix);

#endif
