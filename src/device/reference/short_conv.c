// short_conv in plain C.
#include "device/reference/math.h"

#include <stdlib.h>

int xn_ref_short_conv(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op,
                      struct xn_error *err) {
    const struct xn_op_short_conv *s = &op->short_conv;
    uint32_t n = s->channels;
    float *bx;
    XN_TRY(xn_ref_scratch(n, &bx, err));
    for (uint32_t i = 0; i < batch->n_spans; i++) {
        const struct xn_span *span = &batch->spans[i];
        float *window = xn_host_state(m, s->state, span->slot);
        for (uint32_t r = span->first_row; r < span->first_row + span->n_rows; r++) {
            const float *b = xn_host_row(m, XN_BUF_Q, r), *c = b + n, *x = c + n;
            float *out = xn_host_row(m, s->out, r);
            for (uint32_t j = 0; j < n; j++)
                bx[j] = b[j] * x[j];
            xn_ref_convolve(s->conv, s->conv_bias, s->kernel, n, window, bx, out);
            for (uint32_t j = 0; j < n; j++)
                out[j] *= c[j];
        }
    }
    free(bx);
    return XN_OK;
}
