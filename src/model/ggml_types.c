/* How GGUF files store elements: the types of ggml by their number. Those without a clmoe_format are read and listed,
 * but nobody here decodes them. A new type is a new row. Calls nothing. */
#include "gguf.h"

/* clang-format off */
#define PLAIN(name, bits, format)          {name, bits, format, 0, 0}
#define BLOCKS(name, values, bytes)        {name, 0, CLMOE_FORMAT_NONE, values, bytes}
#define FORMAT(name, values, bytes, which) {name, 0, which, values, bytes}

static const clmoe__dtype types[] = {
    [0] = PLAIN("f32", 32, CLMOE_F32),
    [1] = PLAIN("f16", 16, CLMOE_F16),
    [2] = FORMAT("q4_0", 32, 18, CLMOE_Q4_0),
    [3] = FORMAT("q4_1", 32, 20, CLMOE_Q4_1),
    [6] = FORMAT("q5_0", 32, 22, CLMOE_Q5_0),
    [7] = FORMAT("q5_1", 32, 24, CLMOE_Q5_1),
    [8] = FORMAT("q8_0", 32, 34, CLMOE_Q8_0),
    [9] = BLOCKS("q8_1", 32, 36),
    [10] = FORMAT("q2_K", 256, 84, CLMOE_Q2_K),
    [11] = FORMAT("q3_K", 256, 110, CLMOE_Q3_K),
    [12] = FORMAT("q4_K", 256, 144, CLMOE_Q4_K),
    [13] = FORMAT("q5_K", 256, 176, CLMOE_Q5_K),
    [14] = FORMAT("q6_K", 256, 210, CLMOE_Q6_K),
    [15] = BLOCKS("q8_K", 256, 292),
    [16] = BLOCKS("iq2_xxs", 256, 66),
    [17] = BLOCKS("iq2_xs", 256, 74),
    [18] = BLOCKS("iq3_xxs", 256, 98),
    [19] = BLOCKS("iq1_s", 256, 50),
    [20] = FORMAT("iq4_nl", 32, 18, CLMOE_IQ4_NL),
    [21] = BLOCKS("iq3_s", 256, 110),
    [22] = BLOCKS("iq2_s", 256, 82),
    [23] = FORMAT("iq4_xs", 256, 136, CLMOE_IQ4_XS),
    [24] = PLAIN("i8", 8, CLMOE_FORMAT_NONE),
    [25] = PLAIN("i16", 16, CLMOE_FORMAT_NONE),
    [26] = PLAIN("i32", 32, CLMOE_FORMAT_NONE),
    [27] = PLAIN("i64", 64, CLMOE_FORMAT_NONE),
    [28] = PLAIN("f64", 64, CLMOE_FORMAT_NONE),
    [29] = BLOCKS("iq1_m", 256, 56),
    [30] = PLAIN("bf16", 16, CLMOE_BF16),
    [34] = FORMAT("tq1_0", 256, 54, CLMOE_TQ1_0),
    [35] = FORMAT("tq2_0", 256, 66, CLMOE_TQ2_0),
    [39] = FORMAT("mxfp4", 32, 17, CLMOE_MXFP4),
    [40] = FORMAT("nvfp4", 64, 36, CLMOE_NVFP4),
    [41] = BLOCKS("q1_0", 128, 18),
    [42] = BLOCKS("q2_0", 64, 18),
};
/* clang-format on */

const clmoe__dtype *clmoe__ggml_type(uint32_t number) {
    return number < sizeof types / sizeof *types && types[number].name != NULL ? &types[number] : NULL;
}
