// The causal depthwise convolution before a recurrent mixer, whose last rows the sequence's state slot keeps.
#pragma once

#include "cpu/executor.h"

struct xn_cpu_convolution {
    const float *rows; // its input: row r of the batch begins at r * ld
    size_t ld;
    uint32_t state; // state layer; its slots begin with the kernel - 1 last rows of the input
    uint32_t channels, kernel;
    const float *taps; // [tap][channel], oldest tap first
    const float *bias; // [channel] or NULL
    bool silu;         // of the result
};

// out[i] = convolution of channel first + i at a row of the batch, i < n. The windows must still be those of before the
// batch.
void xn_cpu_convolve(const struct xn_executor *e, const struct xn_cpu_convolution *c, uint32_t row, uint32_t first,
                     uint32_t n, float *out);

// The span's last kernel - 1 rows of channels [first, first + n) become its window.
void xn_cpu_keep_window(const struct xn_executor *e, const struct xn_cpu_convolution *c, const struct xn_span *span,
                        uint32_t first, uint32_t n);

// The taps [channel][tap] as [tap][channel].
void xn_cpu_turn_taps(const float *conv, uint32_t channels, uint32_t kernel, float *taps);
