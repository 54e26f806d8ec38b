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
#include <string.h>

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

// A piece of work: the columns [column, column + columns) of a value head of a span.
struct piece {
    const struct xn_op_delta_net *d;
    const float *q, *k, *v; // of the span's first row; rows are `ld` apart
    size_t ld;
    float *state;
    uint32_t first_row, index, column, columns;
};

static float log_decay(const struct xn_executor *e, const struct piece *p, uint32_t row) {
    float x = xn_host_row(&e->memory, XN_BUF_ALPHA, row)[p->index] + p->d->dt_bias[p->index];
    return p->d->decay_rate[p->index] * (x > 20 ? x : log1pf(expf(x)));
}
static float beta_of(const struct xn_executor *e, const struct piece *p, uint32_t row) {
    return 1.0f / (1.0f + expf(-xn_host_row(&e->memory, XN_BUF_BETA, row)[p->index]));
}
static float *out_of(const struct xn_executor *e, const struct piece *p, uint32_t row) {
    return xn_host_row(&e->memory, p->d->out, row) + (size_t)p->index * p->d->value_size + p->column;
}

static void steps(const struct xn_executor *e, const struct piece *p, uint32_t from, uint32_t n) {
    const struct xn_op_delta_net *d = p->d;
    for (uint32_t i = from; i < from + n; i++) {
        uint32_t row = p->first_row + i;
        e->kernels->delta_step(p->state, d->value_size, d->key_size, p->columns, p->q + i * p->ld, p->k + i * p->ld,
                               p->v + i * p->ld, expf(log_decay(e, p, row)), beta_of(e, p, row), out_of(e, p, row));
    }
}

// Row t of both products of the chunk: kk[s] times -b_t e^(G_t - G_s) for s < t, qk[s] times e^(G_t - G_s) for s <= t;
// beyond them zeros.
static void apply_decays(const struct xn_executor *e, const double *total, uint32_t n, uint32_t t, float beta,
                         float *kk, float *qk) {
    float decays[CHUNK];
    e->kernels->decays(total, total[t], decays, t + 1);
    for (uint32_t s = 0; s <= t; s++) {
        kk[s] *= -beta * decays[s];
        qk[s] *= decays[s];
    }
    for (uint32_t s = t + 1; s < n; s++)
        kk[s] = qk[s] = 0;
}

static void chunk(const struct xn_executor *e, const struct piece *p, const struct work *w, uint32_t from, uint32_t n) {
    const struct xn_cpu_kernels *kernels = e->kernels;
    uint32_t keys = p->d->key_size, values = p->d->value_size, width = p->columns,
             wide = xn_cpu_round_up(n, XN_CPU_PAD);
    const float *q = p->q + from * p->ld, *k = p->k + from * p->ld, *v = p->v + from * p->ld;
    double total[CHUNK], sum = 0;
    for (uint32_t t = 0; t < n; t++) {
        total[t] = sum += log_decay(e, p, p->first_row + from + t);
        w->decay[t] = expf((float)sum);
        w->beta[t] = beta_of(e, p, p->first_row + from + t);
    }
    for (uint32_t j = 0; j < wide; j += XN_CPU_PAD) {
        const float *rows[XN_CPU_PAD];
        uint32_t count = n - j < XN_CPU_PAD ? n - j : XN_CPU_PAD;
        for (uint32_t i = 0; i < count; i++)
            rows[i] = k + (j + i) * p->ld;
        kernels->transpose(rows, count, keys, w->kt + j, CHUNK);
    }
    kernels->gemm(n, wide, keys, k, p->ld, w->kt, CHUNK, w->kk, CHUNK, false);
    kernels->gemm(n, wide, keys, q, p->ld, w->kt, CHUNK, w->qk, CHUNK, false);
    kernels->gemm(n, width, keys, k, p->ld, p->state, values, w->d, width, false);
    kernels->gemm(n, width, keys, q, p->ld, p->state, values, w->o, width, false);

    // The system's right side in d, its matrix (negated) in kk; what the rows of d give to o in qk.
    for (uint32_t t = 0; t < n; t++) {
        float *d = w->d + (size_t)t * width, *o = w->o + (size_t)t * width;
        kernels->blend(d, -w->beta[t] * w->decay[t], v + t * p->ld, w->beta[t], width);
        kernels->blend(o, w->decay[t], o, 0, width);
        apply_decays(e, total, n, t, w->beta[t], w->kk + (size_t)t * CHUNK, w->qk + (size_t)t * CHUNK);
    }
    for (uint32_t b = 0; b < n; b += SOLVE) {
        uint32_t rows = n - b < SOLVE ? n - b : SOLVE;
        float *d = w->d + (size_t)b * width;
        const float *a = w->kk + (size_t)b * CHUNK;
        if (b) kernels->gemm(rows, width, b, a, CHUNK, w->d, width, d, width, true);
        for (uint32_t t = 1; t < rows; t++)
            for (uint32_t s = 0; s < t; s++)
                kernels->blend(d + (size_t)t * width, 1, d + (size_t)s * width, a[(size_t)t * CHUNK + b + s], width);
    }
    kernels->gemm(n, width, n, w->qk, CHUNK, w->d, width, w->o, width, true);

    for (uint32_t t = 0; t < n; t++) {
        float *d = w->d + (size_t)t * width;
        memcpy(out_of(e, p, p->first_row + from + t), w->o + (size_t)t * width, width * sizeof *d);
        kernels->blend(d, expf((float)(sum - total[t])), d, 0, width);
    }
    for (uint32_t i = 0; i < keys; i++) {
        float *state = p->state + (size_t)i * values;
        kernels->blend(state, w->decay[n - 1], state, 0, width);
    }
    kernels->gemm(keys, width, n, w->kt, CHUNK, w->d, width, p->state, values, true);
}

// Piece i of those that cut each value head of each span into slices of `columns` columns.
static struct piece piece_at(const struct xn_executor *e, const struct xn_op_delta_net *d, uint32_t columns,
                             uint32_t slices, uint32_t i) {
    const struct xn_span *span = &e->batch->spans[i / slices / d->value_heads];
    uint32_t channels = xn_cpu_delta_net_channels(d), index = i / slices % d->value_heads,
             column = i % slices * columns;
    uint32_t key_head = d->heads_tiled ? index % d->key_heads : index / (d->value_heads / d->key_heads);
    const float *row = e->scratch + (size_t)span->first_row * channels;
    struct piece p = {.d = d, .ld = channels, .first_row = span->first_row, .index = index, .column = column};
    p.columns = d->value_size - column < columns ? d->value_size - column : columns;
    p.q = row + (size_t)key_head * d->key_size;
    p.k = p.q + key_channels(d);
    p.v = row + 2 * key_channels(d) + (size_t)index * d->value_size + column;
    p.state = xn_host_state(&e->memory, d->state, span->slot) + e->memory.plan->states[d->state].conv_size +
              (size_t)index * d->key_size * d->value_size + column;
    return p;
}

// Norm and gate of a head's result.
static void finish(const struct xn_executor *e, const struct xn_op_delta_net *d, uint32_t row, uint32_t index) {
    uint32_t size = d->value_size;
    float *out = xn_host_row(&e->memory, d->out, row) + (size_t)index * size;
    const float *z = xn_host_row(&e->memory, XN_BUF_Z, row) + (size_t)index * size;
    e->kernels->norm(&d->norm, out, out, size);
    e->kernels->activate(XN_ACT_SILU, z, out, out, size);
}

void xn_cpu_op_delta_net(struct xn_executor *e, uint32_t thread, const struct xn_op *op) {
    const struct xn_op_delta_net *d = &op->delta_net;
    const struct xn_batch *batch = e->batch;
    struct xn_cpu_convolution conv = convolution_of(e, op);
    uint32_t units = 2 * d->key_heads + d->value_heads, begin, end;
    while (xn_cpu_next_share(e, thread, batch->n_rows * units, &begin, &end))
        for (uint32_t u = begin; u < end; u++)
            convolve(e, d, &conv, u / units, u % units);
    xn_pool_end_phase(e->pool, thread);
    for (uint32_t s; (s = xn_pool_take(e->pool, thread, batch->n_spans)) != UINT32_MAX;)
        xn_cpu_keep_window(e, &conv, &batch->spans[s], 0, conv.channels);

    struct work w = lay_out(d, e->thread[thread].work);
    uint32_t slices, heads = batch->n_spans * d->value_heads,
                     columns = xn_cpu_slice_columns(e, heads, d->value_size, &slices);
    for (uint32_t i; (i = xn_pool_next(e->pool, thread)) < heads * slices;) {
        struct piece p = piece_at(e, d, columns, slices, i);
        bool whole = p.columns % XN_CPU_PAD == 0; // as the products of matrices want it
        uint32_t rows = batch->spans[i / slices / d->value_heads].n_rows;
        for (uint32_t from = 0; from < rows; from += CHUNK) {
            uint32_t n = rows - from < CHUNK ? rows - from : CHUNK;
            if (whole && n >= CHUNKED_LEAST)
                chunk(e, &p, &w, from, n);
            else
                steps(e, &p, from, n);
        }
    }
    xn_pool_end_phase(e->pool, thread);
    while (xn_cpu_next_share(e, thread, batch->n_rows * d->value_heads, &begin, &end))
        for (uint32_t i = begin; i < end; i++)
            finish(e, d, i / d->value_heads, i % d->value_heads);
}
