// delta_net: convolution, then the gated delta rule of each value head; few rows step by step, prompts in chunks.
//
// A chunk of C rows (https://arxiv.org/abs/2406.06484, with the decays of https://arxiv.org/abs/2412.06464) in the WY
// form: with G_t the sum of the log decays up to row t, and S the state before the chunk,
//   d_t = b_t (v_t - e^G_t S^T k_t - sum_{s<t} e^(G_t - G_s) (k_t . k_s) d_s)        a triangular system for all d
//   o_t = e^G_t S^T q_t + sum_{s<=t} e^(G_t - G_s) (q_t . k_s) d_s
//   S   = e^G_C S + sum_t e^(G_C - G_t) k_t d_t^T
// so that almost everything is matrix products.
#include "cpu/ops/convolution.h"

#include <math.h>

enum {
    CHUNK = XN_CPU_CHUNK,
    CHUNKED_LEAST = 12, // rows from which chunks pay
    SOLVE = 8,          // rows of the triangular system solved one by one
};

struct work {
    float *kt;           // keys x C, transposed
    float *kk, *qk;      // C x C
    float *d, *o;        // C x values
    float *beta, *decay; // C: b_t, e^G_t
};

size_t xn_cpu_delta_net_work(const struct xn_op_delta_net *d) {
    return (size_t)d->key_size * CHUNK + 2 * CHUNK * CHUNK + 2 * (size_t)CHUNK * d->value_size + 2 * CHUNK;
}

static struct work lay_out(const struct xn_op_delta_net *d, float *p) {
    struct work w;
    w.kt = p;
    w.kk = w.kt + (size_t)d->key_size * CHUNK;
    w.qk = w.kk + CHUNK * CHUNK;
    w.d = w.qk + CHUNK * CHUNK;
    w.o = w.d + (size_t)CHUNK * d->value_size;
    w.beta = w.o + (size_t)CHUNK * d->value_size;
    w.decay = w.beta + CHUNK;
    return w;
}

static uint32_t key_channels(const struct xn_op_delta_net *d) {
    return d->key_heads * d->key_size;
}
uint32_t xn_cpu_delta_net_channels(const struct xn_op_delta_net *d) {
    return 2 * key_channels(d) + d->value_heads * d->value_size;
}

// --- convolution ---

static struct xn_cpu_convolution convolution_of(const struct xn_executor *e, const struct xn_op *op) {
    const struct xn_op_delta_net *d = &op->delta_net;
    return (struct xn_cpu_convolution){.rows = e->memory.buffer[XN_BUF_Q],
                                       .ld = e->memory.plan->width[XN_BUF_Q],
                                       .state = d->state,
                                       .channels = xn_cpu_delta_net_channels(d),
                                       .kernel = d->kernel,
                                       .taps = e->conv[op - e->memory.plan->ops],
                                       .bias = d->conv_bias,
                                       .silu = true};
}

// The unit of work: a head of q, k or v of one row, into the scratch; heads of q and k get unit length.
static void convolve(const struct xn_executor *e, const struct xn_op_delta_net *d, const struct xn_cpu_convolution *c,
                     uint32_t row, uint32_t unit) {
    uint32_t heads = 2 * d->key_heads;
    bool is_value = unit >= heads;
    uint32_t size = is_value ? d->value_size : d->key_size;
    uint32_t first = is_value ? 2 * key_channels(d) + (unit - heads) * size : unit * size;
    float *out = e->scratch + (size_t)row * c->channels + first;
    xn_cpu_convolve(e, c, row, first, size, out);
    if (is_value) return;
    float squares;
    e->kernels->dots(out, size, 1, out, size, &squares, 1);
    float scale = 1 / sqrtf(squares + 1e-6f);
    if (unit < d->key_heads) scale /= sqrtf((float)d->key_size);
    e->kernels->blend(out, scale, out, 0, size);
}

// --- the rule ---

struct head {
    const struct xn_op_delta_net *d;
    const float *q, *k, *v; // of the span's first row; rows are `ld` apart
    size_t ld;
    float *state;
    uint32_t first_row, index;
};

static float log_decay(const struct xn_executor *e, const struct head *h, uint32_t row) {
    float x = xn_host_row(&e->memory, XN_BUF_ALPHA, row)[h->index] + h->d->dt_bias[h->index];
    return h->d->decay_rate[h->index] * (x > 20 ? x : log1pf(expf(x)));
}
static float beta_of(const struct xn_executor *e, const struct head *h, uint32_t row) {
    return 1.0f / (1.0f + expf(-xn_host_row(&e->memory, XN_BUF_BETA, row)[h->index]));
}

// Norm and gate of a row's result, into MIX.
static void finish(const struct xn_executor *e, const struct head *h, uint32_t row, const float *o) {
    uint32_t size = h->d->value_size;
    float *out = xn_host_row(&e->memory, h->d->out, row) + (size_t)h->index * size;
    const float *z = xn_host_row(&e->memory, XN_BUF_Z, row) + (size_t)h->index * size;
    e->kernels->norm(&h->d->norm, o, out, size);
    e->kernels->activate(XN_ACT_SILU, z, out, out, size);
}

static void steps(const struct xn_executor *e, const struct head *h, const struct work *w, uint32_t from, uint32_t n) {
    const struct xn_op_delta_net *d = h->d;
    for (uint32_t i = from; i < from + n; i++) {
        uint32_t row = h->first_row + i;
        e->kernels->delta_step(h->state, d->value_size, d->key_size, d->value_size, h->q + i * h->ld, h->k + i * h->ld,
                               h->v + i * h->ld, expf(log_decay(e, h, row)), beta_of(e, h, row), w->o);
        finish(e, h, row, w->o);
    }
}

// row[s] times e^(G_t - G_s) for s <= t; beyond them zeros.
static void apply_decays(const struct xn_executor *e, const double *total, uint32_t n, uint32_t t, float *decays,
                         float *row) {
    for (uint32_t s = 0; s <= t; s++)
        decays[s] = (float)(total[t] - total[s]);
    e->kernels->exp_sum(decays, 0, t + 1);
    for (uint32_t s = 0; s <= t; s++)
        row[s] *= decays[s];
    for (uint32_t s = t + 1; s < n; s++)
        row[s] = 0;
}

static void chunk(const struct xn_executor *e, const struct head *h, const struct work *w, uint32_t from, uint32_t n) {
    const struct xn_cpu_kernels *kernels = e->kernels;
    uint32_t keys = h->d->key_size, values = h->d->value_size, wide = xn_cpu_round_up(n, XN_CPU_PAD);
    const float *q = h->q + from * h->ld, *k = h->k + from * h->ld, *v = h->v + from * h->ld;
    double total[CHUNK], sum = 0;
    for (uint32_t t = 0; t < n; t++) {
        total[t] = sum += log_decay(e, h, h->first_row + from + t);
        w->decay[t] = expf((float)sum);
        w->beta[t] = beta_of(e, h, h->first_row + from + t);
    }
    for (uint32_t j = 0; j < wide; j += XN_CPU_PAD) {
        const float *rows[XN_CPU_PAD];
        uint32_t count = n - j < XN_CPU_PAD ? n - j : XN_CPU_PAD;
        for (uint32_t i = 0; i < count; i++)
            rows[i] = k + (j + i) * h->ld;
        kernels->transpose(rows, count, keys, w->kt + j, CHUNK);
    }
    kernels->gemm(n, wide, keys, k, h->ld, w->kt, CHUNK, w->kk, CHUNK, false);
    kernels->gemm(n, wide, keys, q, h->ld, w->kt, CHUNK, w->qk, CHUNK, false);
    kernels->gemm(n, values, keys, k, h->ld, h->state, values, w->d, values, false);
    kernels->gemm(n, values, keys, q, h->ld, h->state, values, w->o, values, false);

    // The system's right side in d, its matrix (negated) in kk; what the rows of d give to o in qk.
    float decays[CHUNK];
    for (uint32_t t = 0; t < n; t++) {
        kernels->blend(w->d + (size_t)t * values, -w->beta[t] * w->decay[t], v + t * h->ld, w->beta[t], values);
        kernels->blend(w->o + (size_t)t * values, w->decay[t], w->o + (size_t)t * values, 0, values);
        apply_decays(e, total, n, t, decays, w->kk + (size_t)t * CHUNK);
        for (uint32_t s = 0; s < t; s++)
            w->kk[(size_t)t * CHUNK + s] *= -w->beta[t];
        apply_decays(e, total, n, t, decays, w->qk + (size_t)t * CHUNK);
    }
    for (uint32_t b = 0; b < n; b += SOLVE) {
        uint32_t rows = n - b < SOLVE ? n - b : SOLVE;
        float *d = w->d + (size_t)b * values;
        const float *a = w->kk + (size_t)b * CHUNK;
        if (b) kernels->gemm(rows, values, b, a, CHUNK, w->d, values, d, values, true);
        for (uint32_t t = 1; t < rows; t++)
            for (uint32_t s = 0; s < t; s++)
                kernels->blend(d + (size_t)t * values, 1, d + (size_t)s * values, a[(size_t)t * CHUNK + b + s], values);
    }
    kernels->gemm(n, values, n, w->qk, CHUNK, w->d, values, w->o, values, true);

    for (uint32_t s = 0; s < n; s++)
        decays[s] = (float)(total[n - 1] - total[s]);
    kernels->exp_sum(decays, 0, n);
    for (uint32_t i = 0; i < keys; i++)
        for (uint32_t s = 0; s < n; s++)
            w->kt[(size_t)i * CHUNK + s] *= decays[s];
    kernels->blend(h->state, w->decay[n - 1], h->state, 0, (size_t)keys * values);
    kernels->gemm(keys, values, n, w->kt, CHUNK, w->d, values, h->state, values, true);
    for (uint32_t t = 0; t < n; t++)
        finish(e, h, h->first_row + from + t, w->o + (size_t)t * values);
}

void xn_cpu_op_delta_net(struct xn_executor *e, uint32_t thread, const struct xn_op *op) {
    const struct xn_op_delta_net *d = &op->delta_net;
    const struct xn_batch *batch = e->batch;
    struct xn_cpu_convolution conv = convolution_of(e, op);
    uint32_t channels = conv.channels, units = 2 * d->key_heads + d->value_heads, begin, end;
    xn_cpu_share(batch->n_rows * units, thread, e->threads, &begin, &end);
    for (uint32_t u = begin; u < end; u++)
        convolve(e, d, &conv, u / units, u % units);
    xn_pool_barrier(e->pool);
    for (uint32_t s = thread; s < batch->n_spans; s += e->threads)
        xn_cpu_keep_window(e, &conv, &batch->spans[s], 0, channels);

    struct work w = lay_out(d, e->thread[thread].work);
    bool whole = d->value_size % XN_CPU_PAD == 0; // as the products of matrices want it
    for (uint32_t i; (i = xn_pool_next(e->pool)) < batch->n_spans * d->value_heads;) {
        const struct xn_span *span = &batch->spans[i / d->value_heads];
        uint32_t index = i % d->value_heads;
        uint32_t key_head = d->heads_tiled ? index % d->key_heads : index / (d->value_heads / d->key_heads);
        const float *row = e->scratch + (size_t)span->first_row * channels;
        struct head h = {.d = d, .ld = channels, .first_row = span->first_row, .index = index};
        h.q = row + (size_t)key_head * d->key_size;
        h.k = h.q + key_channels(d);
        h.v = row + 2 * key_channels(d) + (size_t)index * d->value_size;
        h.state = xn_host_state(&e->memory, d->state, span->slot) + e->memory.plan->states[d->state].conv_size +
                  (size_t)index * d->key_size * d->value_size;
        for (uint32_t from = 0; from < span->n_rows; from += CHUNK) {
            uint32_t n = span->n_rows - from < CHUNK ? span->n_rows - from : CHUNK;
            if (whole && n >= CHUNKED_LEAST)
                chunk(e, &h, &w, from, n);
            else
                steps(e, &h, &w, from, n);
        }
    }
}
