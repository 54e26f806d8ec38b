#include "cpu/ops/convolution.h"

#include <string.h>

void xn_cpu_turn_taps(const float *conv, uint32_t channels, uint32_t kernel, float *taps) {
    for (uint32_t c = 0; c < channels; c++)
        for (uint32_t t = 0; t < kernel; t++)
            taps[(size_t)t * channels + c] = conv[(size_t)c * kernel + t];
}

void xn_cpu_convolve(const struct xn_executor *e, const struct xn_cpu_convolution *c, uint32_t row, uint32_t first,
                     uint32_t n, float *out) {
    const struct xn_span *span = &e->batch->spans[e->row_span[row]];
    const float *window = xn_host_state(&e->memory, c->state, span->slot);
    const float *rows[XN_CPU_MAX_TAPS];
    uint32_t i = row - span->first_row; // taps reach rows i - kernel + 1 .. i, those below 0 in the window
    for (uint32_t t = 0; t < c->kernel; t++) {
        uint32_t back = c->kernel - 1 - t;
        rows[t] = first + (i >= back ? c->rows + (row - back) * c->ld
                                     : window + (size_t)(c->kernel - 1 - (back - i)) * c->channels);
    }
    e->kernels->conv(rows, c->kernel, c->taps + first, c->channels, c->bias ? c->bias + first : NULL, c->silu, out, n);
}

void xn_cpu_keep_window(const struct xn_executor *e, const struct xn_cpu_convolution *c, const struct xn_span *span,
                        uint32_t first, uint32_t n) {
    uint32_t keep = c->kernel - 1, fresh = span->n_rows < keep ? span->n_rows : keep;
    float *window = xn_host_state(&e->memory, c->state, span->slot) + first;
    const float *rows = c->rows + (size_t)(span->first_row + span->n_rows - fresh) * c->ld + first;
    for (uint32_t i = 0; i < keep - fresh; i++)
        memcpy(window + (size_t)i * c->channels, window + (size_t)(i + fresh) * c->channels, n * sizeof *window);
    for (uint32_t i = 0; i < fresh; i++)
        memcpy(window + (size_t)(keep - fresh + i) * c->channels, rows + i * c->ld, n * sizeof *window);
}
