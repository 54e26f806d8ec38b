#include "quant/format.h"

#include "quant/families.h"

#include <strings.h>

// Sizes are those of ggml's blocks; a type that only stores numbers has no codec.
static const struct xn_format formats[XN_TYPE_COUNT] = {
    [XN_F32] = {"F32", 1, 4, xn_f32_decode, xn_f32_encode},
    [XN_F16] = {"F16", 1, 2, xn_f16_decode, xn_f16_encode},
    [XN_Q4_0] = {"Q4_0", 32, 18, xn_q4_0_decode, xn_q4_0_encode},
    [XN_Q4_1] = {"Q4_1", 32, 20, xn_q4_1_decode, xn_q4_1_encode},
    [XN_Q5_0] = {"Q5_0", 32, 22, xn_q5_0_decode, xn_q5_0_encode},
    [XN_Q5_1] = {"Q5_1", 32, 24, xn_q5_1_decode, xn_q5_1_encode},
    [XN_Q8_0] = {"Q8_0", 32, 34, xn_q8_0_decode, xn_q8_0_encode},
    [XN_Q2_K] = {"Q2_K", 256, 84, xn_q2_k_decode, xn_q2_k_encode},
    [XN_Q3_K] = {"Q3_K", 256, 110, xn_q3_k_decode, xn_q3_k_encode},
    [XN_Q4_K] = {"Q4_K", 256, 144, xn_q4_k_decode, xn_q4_k_encode},
    [XN_Q5_K] = {"Q5_K", 256, 176, xn_q5_k_decode, xn_q5_k_encode},
    [XN_Q6_K] = {"Q6_K", 256, 210, xn_q6_k_decode, xn_q6_k_encode},
    [XN_IQ2_XXS] = {"IQ2_XXS", 256, 66, xn_iq2_xxs_decode, xn_iq2_xxs_encode},
    [XN_IQ2_XS] = {"IQ2_XS", 256, 74, xn_iq2_xs_decode, xn_iq2_xs_encode},
    [XN_IQ3_XXS] = {"IQ3_XXS", 256, 98, xn_iq3_xxs_decode, xn_iq3_xxs_encode},
    [XN_IQ1_S] = {"IQ1_S", 256, 50, xn_iq1_s_decode, xn_iq1_s_encode},
    [XN_IQ4_NL] = {"IQ4_NL", 32, 18, xn_iq4_nl_decode, xn_iq4_nl_encode},
    [XN_IQ3_S] = {"IQ3_S", 256, 110, xn_iq3_s_decode, xn_iq3_s_encode},
    [XN_IQ2_S] = {"IQ2_S", 256, 82, xn_iq2_s_decode, xn_iq2_s_encode},
    [XN_IQ4_XS] = {"IQ4_XS", 256, 136, xn_iq4_xs_decode, xn_iq4_xs_encode},
    [XN_I8] = {"I8", 1, 1, NULL, NULL},
    [XN_I16] = {"I16", 1, 2, NULL, NULL},
    [XN_I32] = {"I32", 1, 4, NULL, NULL},
    [XN_I64] = {"I64", 1, 8, NULL, NULL},
    [XN_F64] = {"F64", 1, 8, xn_f64_decode, xn_f64_encode},
    [XN_IQ1_M] = {"IQ1_M", 256, 56, xn_iq1_m_decode, xn_iq1_m_encode},
    [XN_BF16] = {"BF16", 1, 2, xn_bf16_decode, xn_bf16_encode},
    [XN_TQ1_0] = {"TQ1_0", 256, 54, xn_tq1_0_decode, xn_tq1_0_encode},
    [XN_TQ2_0] = {"TQ2_0", 256, 66, xn_tq2_0_decode, xn_tq2_0_encode},
    [XN_MXFP4] = {"MXFP4", 32, 17, xn_mxfp4_decode, xn_mxfp4_encode},
    [XN_NVFP4] = {"NVFP4", 64, 36, xn_nvfp4_decode, xn_nvfp4_encode},
};

const struct xn_format *xn_format_of(uint32_t type) {
    return type < XN_TYPE_COUNT && formats[type].name ? &formats[type] : NULL;
}

int xn_type_from_name(const char *name) {
    for (int type = 0; type < XN_TYPE_COUNT; type++)
        if (formats[type].name && strcasecmp(formats[type].name, name) == 0) return type;
    return -1;
}

bool xn_format_bytes(const struct xn_format *format, uint64_t n, size_t *bytes) {
    if (n % format->block_values) return false;
    return !__builtin_mul_overflow(n / format->block_values, format->block_bytes, bytes);
}
