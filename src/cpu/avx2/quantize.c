#include "cpu/avx2/int.h"
#include "cpu/kernels.h"

// This level takes 256 values in their own order, and once more in lanes. Scales are those of blocks of 32, and behind
// them stand the blocks' sums.
static inline void order_lanes(int8_t *q, float *scale, float *sum, const int16_t *total, struct xn_cpu_lanes *lanes,
                               struct xn_cpu_wide *wide) {
    static const int blocks[8] = XN_CPU_BLOCK_ORDER;
    float both[16];
    for (int i = 0; i < 8; i++) {
        both[i] = scale[2 * blocks[i]];
        both[8 + i] = sum[2 * blocks[i]] + sum[2 * blocks[i] + 1];
    }
    memcpy(scale, both, sizeof both);
    if (!lanes) return;
    memcpy(lanes->total, total, sizeof lanes->total);
    vf dwords[8]; // transposing only moves bits, whatever they mean
    for (int i = 0; i < 8; i++) {
        dwords[i] = v_load((const float *)(const void *)(q + 32 * i));
        lanes->scale[blocks[i]] = both[i];
        lanes->sum[blocks[i]] = both[8 + i];
    }
    v_transpose(dwords);
    for (int i = 0; i < 8; i++) {
        v_store((float *)(void *)(lanes->q + 32 * i), dwords[i]);
        if (!wide) continue;
        vi q = i_load(lanes->q + 32 * i);
        i_store(wide->even[i], i_even(q));
        i_store(wide->odd[i], i_odd(q));
    }
}

#include "cpu/template/quantize.h"
