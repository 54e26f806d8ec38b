// short_conv: each thread has some of the channels, of all rows.
#include "cpu/ops/convolution.h"

static void multiply(float *out, const float *a, const float *b, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        out[i] = a[i] * b[i];
}

void xn_cpu_op_short_conv(struct xn_executor *e, uint32_t thread, const struct xn_op *op) {
    const struct xn_op_short_conv *s = &op->short_conv;
    const struct xn_batch *batch = e->batch;
    uint32_t begin, end, n = s->channels;
    struct xn_cpu_convolution conv = {.rows = e->scratch,
                                      .ld = n,
                                      .state = s->state,
                                      .channels = n,
                                      .kernel = s->kernel,
                                      .taps = e->conv[op - e->memory.plan->ops],
                                      .bias = s->conv_bias};
    while (xn_cpu_next_share(e, thread, (n + XN_CPU_PAD - 1) / XN_CPU_PAD, &begin, &end)) {
        begin *= XN_CPU_PAD;
        end = end * XN_CPU_PAD < n ? end * XN_CPU_PAD : n;
        if (begin >= end) continue;
        for (uint32_t r = 0; r < batch->n_rows; r++) {
            const float *b = xn_host_row(&e->memory, XN_BUF_Q, r) + begin, *c = b + n, *x = c + n;
            float *out = xn_host_row(&e->memory, s->out, r) + begin;
            multiply(e->scratch + (size_t)r * n + begin, b, x, end - begin);
            xn_cpu_convolve(e, &conv, r, begin, end - begin, out);
            multiply(out, out, c, end - begin);
        }
        for (uint32_t i = 0; i < batch->n_spans; i++)
            xn_cpu_keep_window(e, &conv, &batch->spans[i], begin, end - begin);
    }
}
