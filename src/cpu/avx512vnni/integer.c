// Products of integer formats with VNNI: four products of bytes and their sum in one instruction.
#include "cpu/avx2/unpack.h"

#define DOT_NAME(name) xn_cpu_dot_##name##_avx512vnni
#define IN_PLACE 1 // products take any byte
#define HAS_MINIMUM(is_signed) true

// The instruction takes unsigned weights: signed ones are moved up by 128, which becomes a minimum.
#define prepare_weights(w, is_signed)                                                                                  \
    do {                                                                                                               \
        if (is_signed) {                                                                                               \
            for (int j = 0; j < 4; j++)                                                                                \
                (w)->q[j] = _mm512_xor_si512((w)->q[j], _mm512_set1_epi8((char)0x80));                                 \
            (w)->minimum = _mm512_mul_ps((w)->scale, _mm512_set1_ps(128));                                             \
        }                                                                                                              \
    } while (0)

INLINE __m512i dot_bytes(__m512i sum, __m512i w, __m512i x, const bool is_signed) {
    (void)is_signed;
    return _mm512_dpbusd_epi32(sum, w, x);
}

#include "cpu/avx512/dot.h"
