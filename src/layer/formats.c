/* The table of storage formats. */
#include "formats.h"

#include "os/size.h"

/* format, name, values and bytes of a source block, super_blocks, sub_k, code_bits, halves, sub_bytes, quantises,
 * code_offset, minimum, bytes_k, e4m3 */
static const clmoe__format_info formats[] = {
    {CLMOE_F32, "f32", 1, 4, 0, 0, 0, 0, 0, 0},
    {CLMOE_F16, "f16", 1, 2, 0, 0, 0, 0, 0, 0},
    {CLMOE_BF16, "bf16", 1, 2, 0, 0, 0, 0, 0, 0},
    {CLMOE_F8_E4M3, "e4m3", 1, 1, 0, 0, 0, 0, 0, 0},
    {CLMOE_F4_E2M1, "e2m1", 2, 1, 0, 0, 0, 0, 0, 0},
    {CLMOE_F8_E8M0, "e8m0", 1, 1, 0, 0, 0, 0, 0, 0},
    {CLMOE_Q8_0, "q8_0", 32, 34, 1, 32, 8, 1, 0, 1, 128, 0},
    {CLMOE_Q4_0, "q4_0", 32, 18, 1, 32, 4, 1, 0, 1, 8, 0},
    {CLMOE_Q4_1, "q4_1", 32, 20, 1, 32, 4, 2, 0, 1, 0, 1},
    {CLMOE_Q5_0, "q5_0", 32, 22, 1, 32, 5, 1, 0, 1, 16, 0},
    {CLMOE_Q5_1, "q5_1", 32, 24, 1, 32, 5, 2, 0, 1, 0, 1},
    {CLMOE_Q4_K, "q4_K", 256, 144, 1, 32, 4, 2, 2, 1, 0, 1},
    {CLMOE_Q5_K, "q5_K", 256, 176, 1, 32, 5, 2, 2, 0, 0, 1},
    {CLMOE_Q6_K, "q6_K", 256, 210, 1, 16, 6, 1, 1, 1, 32, 0},
    {CLMOE_IQ4_NL, "iq4_nl", 32, 18, 1, 32, 4, 1, 0, 0, 128, 0},
    {CLMOE_MXFP4, "mxfp4", 32, 17, 2, 32, 4, 0, 1, 1, 12, 0},
    {CLMOE_NVFP4, "nvfp4", 64, 36, 1, 16, 4, 0, 1, 0, 12, 0},
    {CLMOE_Q2_K, "q2_K", 256, 84, 0, 16, 2, 2, 2, 0},
    {CLMOE_Q3_K, "q3_K", 256, 110, 0, 16, 3, 1, 1, 0},
    {CLMOE_IQ4_XS, "iq4_xs", 256, 136, 0, 32, 4, 1, 1, 0},
    {CLMOE_TQ1_0, "tq1_0", 256, 54, 0, 32, 2, 1, 0, 0},
    {CLMOE_TQ2_0, "tq2_0", 256, 66, 0, 32, 2, 1, 0, 0},
    {CLMOE_U4_G32, "u4_g32", 32, 19, 2, 32, 4, 1, 1, 0, 0, 1, 32},
    {CLMOE_U4_G64, "u4_g64", 64, 35, 2, 32, 4, 1, 1, 0, 0, 1, 64},
    {CLMOE_U4_G128, "u4_g128", 128, 67, 1, 32, 4, 2, 0, 0, 0, 1},
    {CLMOE_U4_G256, "u4_g256", 256, 131, 1, 32, 4, 2, 0, 0, 0, 1},
    {CLMOE_S4_G32, "s4_g32", 32, 18, 1, 32, 4, 1, 0, 0, 8, 0},
    {CLMOE_S4_G64, "s4_g64", 64, 34, 1, 32, 4, 1, 0, 0, 8, 0},
    {CLMOE_S4_G128, "s4_g128", 128, 66, 1, 32, 4, 1, 0, 0, 8, 0},
    {CLMOE_S4_G256, "s4_g256", 256, 130, 1, 32, 4, 1, 0, 0, 8, 0},
    {CLMOE_U8_G32, "u8_g32", 32, 35, 2, 32, 8, 1, 1, 0, 0, 1, 32},
    {CLMOE_U8_G64, "u8_g64", 64, 67, 2, 32, 8, 1, 1, 0, 0, 1, 64},
    {CLMOE_U8_G128, "u8_g128", 128, 131, 1, 32, 8, 2, 0, 0, 0, 1},
    {CLMOE_U8_G256, "u8_g256", 256, 259, 1, 32, 8, 2, 0, 0, 0, 1},
    {CLMOE_S8_G32, "s8_g32", 32, 34, 1, 32, 8, 1, 0, 0, 128, 0},
    {CLMOE_S8_G64, "s8_g64", 64, 66, 1, 32, 8, 1, 0, 0, 128, 0},
    {CLMOE_S8_G128, "s8_g128", 128, 130, 1, 32, 8, 1, 0, 0, 128, 0},
    {CLMOE_S8_G256, "s8_g256", 256, 258, 1, 32, 8, 1, 0, 0, 128, 0},
    {CLMOE_F8_B128, "f8_b128", 128, 130, 1, 32, 8, 1, 0, 0, 0, 0, 0, 1},
};

const clmoe__format_info *clmoe__format_find(uint32_t format) {
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (formats[i].format == format) return &formats[i];
    return NULL;
}

const char *clmoe__format_name(uint32_t format) {
    const clmoe__format_info *info = clmoe__format_find(format);
    return info != NULL ? info->name : "unknown";
}

int clmoe__format_is_wide(uint32_t format) { return format >= CLMOE_F32 && format <= CLMOE_BF16; }

int clmoe__format_is_block(uint32_t format) { return clmoe__format_values(format) > 2; }

int clmoe__format_is_kept_block(uint32_t format) {
    const clmoe__format_info *info = clmoe__format_find(format);
    return info != NULL && info->super_blocks != 0;
}

int clmoe__format_is_e4m3(uint32_t format) {
    const clmoe__format_info *info = clmoe__format_find(format);
    return info != NULL && info->e4m3;
}

int clmoe__format_converts(uint32_t source, uint32_t kept) {
    if (source == kept || clmoe__format_is_wide(kept)) return 1;
    if (clmoe__format_is_e4m3(kept)) return source == CLMOE_F8_E4M3;
    return clmoe__format_is_wide(source) && clmoe__format_find(kept)->quantises;
}

uint32_t clmoe__format_bytes(uint32_t format) { return format == CLMOE_F32 ? 4 : 2; }

uint32_t clmoe__format_bits(uint32_t format) {
    const clmoe__format_info *info = clmoe__format_find(format);
    return info != NULL && info->values <= 2 ? 8u * info->bytes / info->values : 0;
}

uint32_t clmoe__format_values(uint32_t format) {
    const clmoe__format_info *info = clmoe__format_find(format);
    return info != NULL ? info->values : 1;
}

uint64_t clmoe__format_span(uint32_t format, uint64_t elements) {
    const clmoe__format_info *info = clmoe__format_find(format);
    return info != NULL ? clmoe__mul(clmoe__div_up(elements, info->values), info->bytes) : 0;
}

/* Narrow formats have few significant bits, and bf16 has the range of their scales. Block formats that are not kept
 * have the significant bits of a product of an f16 and a small integer, about f16's own, and none has a scale beyond
 * its range. */
uint32_t clmoe__kept_format(uint32_t source) {
    if (clmoe__format_is_wide(source) || clmoe__format_is_kept_block(source)) return source;
    return clmoe__format_is_block(source) ? CLMOE_F16 : CLMOE_BF16;
}

uint32_t clmoe__super_values(uint32_t format) {
    const clmoe__format_info *info = clmoe__format_find(format);
    return info->super_blocks != 0 ? (uint32_t)info->super_blocks * info->values : info->values;
}

uint32_t clmoe__super_bytes(uint32_t format) {
    const clmoe__format_info *info = clmoe__format_find(format);
    const uint32_t values = clmoe__super_values(format);
    const uint32_t low = info->code_bits == 8 ? 32 : 16;
    const uint32_t high = info->code_bits == 5 ? 4 : info->code_bits == 6 ? 8 : 0;
    const uint32_t bytes_k = info->bytes_k != 0 ? info->bytes_k : info->sub_k;
    return 2u * info->super_blocks * info->halves + values / bytes_k * info->sub_bytes + values / 32 * (low + high);
}
