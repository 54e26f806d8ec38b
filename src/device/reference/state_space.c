// state_space in plain C: the recurrent form, one position after the other.
#include "device/reference/math.h"

#include <math.h>
#include <stdlib.h>

// One step of a head: state[state_size][head_size], y[head_size].
static void step(const struct xn_op_state_space *s, float *state, const float *x, const float *b, const float *c,
                 float decay, float time, float skip, float *y) {
    uint32_t size = s->head_size;
    for (uint32_t j = 0; j < size; j++) {
        double sum = (double)skip * x[j];
        for (uint32_t i = 0; i < s->state_size; i++) {
            float *at = &state[(size_t)i * size + j];
            *at = decay * *at + time * x[j] * b[i];
            sum += (double)*at * c[i];
        }
        y[j] = (float)sum;
    }
}

static void gate(const float *z, float *y, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        y[i] *= xn_activate(XN_ACT_SILU, z[i]);
}

static void norm_parts(const struct xn_op_state_space *s, float *y, uint32_t n) {
    uint32_t size = n / s->norm_groups;
    for (uint32_t at = 0; at < n; at += size) {
        struct xn_norm part = s->norm;
        if (part.weight) part.weight += at;
        if (part.bias) part.bias += at;
        xn_ref_norm(&part, y + at, y + at, size);
    }
}

static void row(struct xn_host_memory *m, const struct xn_op_state_space *s, float *state, uint32_t r, float *c) {
    uint32_t inner = s->heads * s->head_size, keys = s->groups * s->state_size, channels = inner + 2 * keys;
    float *recurrent = state + m->plan->states[s->state].conv_size;
    xn_ref_convolve(s->conv, s->conv_bias, s->kernel, channels, state, xn_host_row(m, XN_BUF_Q, r), c);
    for (uint32_t i = 0; i < channels; i++)
        c[i] = xn_activate(XN_ACT_SILU, c[i]);
    float *out = xn_host_row(m, s->out, r);
    const float *dt = xn_host_row(m, XN_BUF_ALPHA, r), *z = xn_host_row(m, XN_BUF_Z, r);
    for (uint32_t h = 0; h < s->heads; h++) {
        uint32_t group = h / (s->heads / s->groups);
        float time = fminf(fmaxf(xn_softplus(dt[h] + s->dt_bias[h]), s->dt_min), s->dt_max);
        step(s, recurrent + (size_t)h * s->state_size * s->head_size, c + (size_t)h * s->head_size,
             c + inner + (size_t)group * s->state_size, c + inner + keys + (size_t)group * s->state_size,
             expf(s->decay_rate[h] * time), time, s->skip[h], out + (size_t)h * s->head_size);
    }
    if (!s->norm_before_gate) gate(z, out, inner);
    if (s->norm.kind != XN_NORM_NONE) norm_parts(s, out, inner);
    if (s->norm_before_gate) gate(z, out, inner);
}

int xn_ref_state_space(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op,
                       struct xn_error *err) {
    const struct xn_op_state_space *s = &op->state_space;
    float *c;
    XN_TRY(xn_ref_scratch((size_t)s->heads * s->head_size + 2 * (size_t)s->groups * s->state_size, &c, err));
    for (uint32_t i = 0; i < batch->n_spans; i++) {
        const struct xn_span *span = &batch->spans[i];
        for (uint32_t r = 0; r < span->n_rows; r++)
            row(m, s, xn_host_state(m, s->state, span->slot), span->first_row + r, c);
    }
    free(c);
    return XN_OK;
}
