// delta_net in plain C: the recurrent form, one position after the other.
#include "device/reference/math.h"

#include <math.h>
#include <stdlib.h>

static void unit_length(float *x, uint32_t n, float scale) {
    double squares = 0;
    for (uint32_t i = 0; i < n; i++)
        squares += (double)x[i] * x[i];
    float f = (float)(1.0 / sqrt(squares + 1e-6)) * scale;
    for (uint32_t i = 0; i < n; i++)
        x[i] *= f;
}

// One step of the gated delta rule: state[key][value], out[value].
static void delta_rule(const struct xn_op_delta_net *d, float *state, const float *q, const float *k, const float *v,
                       float decay, float beta, float *out) {
    uint32_t nk = d->key_size, nv = d->value_size;
    for (size_t i = 0; i < (size_t)nk * nv; i++)
        state[i] *= decay;
    for (uint32_t j = 0; j < nv; j++) {
        double seen = 0;
        for (uint32_t i = 0; i < nk; i++)
            seen += (double)state[(size_t)i * nv + j] * k[i];
        float delta = beta * (v[j] - (float)seen);
        double sum = 0;
        for (uint32_t i = 0; i < nk; i++) {
            state[(size_t)i * nv + j] += k[i] * delta;
            sum += (double)state[(size_t)i * nv + j] * q[i];
        }
        out[j] = (float)sum;
    }
}

static void delta_net_row(struct xn_host_memory *m, const struct xn_op_delta_net *d, float *state, uint32_t r,
                          float *c) {
    uint32_t keys = d->key_heads * d->key_size, channels = 2 * keys + d->value_heads * d->value_size;
    float *window = state, *recurrent = state + m->plan->states[d->state].conv_size;
    xn_ref_convolve(d->conv, d->conv_bias, d->kernel, channels, window, xn_host_row(m, XN_BUF_Q, r), c);
    for (uint32_t i = 0; i < channels; i++)
        c[i] = xn_activate(XN_ACT_SILU, c[i]);
    float *q = c, *k = c + keys, *v = k + keys;
    for (uint32_t h = 0; h < d->key_heads; h++) {
        unit_length(q + (size_t)h * d->key_size, d->key_size, 1.0f / sqrtf((float)d->key_size));
        unit_length(k + (size_t)h * d->key_size, d->key_size, 1.0f);
    }
    for (uint32_t h = 0; h < d->value_heads; h++) {
        uint32_t kh = d->heads_tiled ? h % d->key_heads : h / (d->value_heads / d->key_heads);
        float decay = expf(d->decay_rate[h] * xn_softplus(xn_host_row(m, XN_BUF_ALPHA, r)[h] + d->dt_bias[h]));
        float beta = xn_sigmoid(xn_host_row(m, XN_BUF_BETA, r)[h]);
        float *out = xn_host_row(m, d->out, r) + (size_t)h * d->value_size;
        const float *z = xn_host_row(m, XN_BUF_Z, r) + (size_t)h * d->value_size;
        delta_rule(d, recurrent + (size_t)h * d->key_size * d->value_size, q + (size_t)kh * d->key_size,
                   k + (size_t)kh * d->key_size, v + (size_t)h * d->value_size, decay, beta, out);
        xn_ref_norm(&d->norm, out, out, d->value_size);
        for (uint32_t i = 0; i < d->value_size; i++)
            out[i] *= xn_activate(XN_ACT_SILU, z[i]);
    }
}

int xn_ref_delta_net(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op,
                     struct xn_error *err) {
    const struct xn_op_delta_net *d = &op->delta_net;
    size_t channels = 2 * (size_t)d->key_heads * d->key_size + (size_t)d->value_heads * d->value_size;
    float *c;
    XN_TRY(xn_ref_scratch(channels, &c, err));
    for (uint32_t s = 0; s < batch->n_spans; s++) {
        const struct xn_span *span = &batch->spans[s];
        for (uint32_t i = 0; i < span->n_rows; i++)
            delta_net_row(m, d, xn_host_state(m, d->state, span->slot), span->first_row + i, c);
    }
    free(c);
    return XN_OK;
}
