#include "cpu/avx2/simd.h"

// This level takes 256 values in their own order. Scales are those of blocks of 32, and behind them stand the blocks'
// sums.
static inline void order_lanes(int8_t *q, float *scale, float *sum) {
    static const int blocks[8] = {0, 1, 4, 5, 2, 3, 6, 7};
    float both[16];
    (void)q;
    for (int i = 0; i < 8; i++) {
        both[i] = scale[2 * blocks[i]];
        both[8 + i] = sum[2 * blocks[i]] + sum[2 * blocks[i] + 1];
    }
    memcpy(scale, both, sizeof both);
}

#include "cpu/template/quantize.h"
