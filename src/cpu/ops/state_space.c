// state_space: convolution, then the recurrence of each head, then gate and norm of the rows; few rows step by step,
// prompts in chunks.
//
// A chunk of C rows in the dual form (https://arxiv.org/abs/2405.21060, section 6): with t_r the time step of row r,
// L_r the sum of decay_rate * t up to it, and S the state (state_size x head_size) before the chunk,
//   y_r = e^L_r C_r S + sum_{s<=r} e^(L_r - L_s) (C_r . B_s) t_s x_s
//   S   = e^L_C S + sum_s e^(L_C - L_s) B_s^T (t_s x_s)
// so that almost everything is matrix products, of which C B^T serves all heads of a group.
#include "cpu/ops/convolution.h"
#include "cpu/ops/product.h"

#include <math.h>
#include <string.h>

enum {
    CHUNK = XN_CPU_CHUNK,
    CHUNKED_LEAST = 12, // rows from which chunks pay
    BAND = 24,          // rows of a triangular product taken at once: a multiple of every gemm's rows
    PIECES = 4,         // pieces of work for each thread, so that none waits long for the last one
    STRETCH = 512,      // channels that the convolution takes at once
};

struct work {
    float *bt;     // states x C: B of the chunk, transposed
    float *cb;     // C x C: C B^T
    float *scores; // C x C: of one head, with decays
    float *x, *y;  // C x head_size
};

size_t xn_cpu_state_space_work(const struct xn_op_state_space *s) {
    return (size_t)s->state_size * CHUNK + 2 * CHUNK * CHUNK + 2 * (size_t)CHUNK * s->head_size;
}

static struct work lay_out(const struct xn_op_state_space *s, float *p) {
    struct work w;
    w.bt = p;
    w.cb = w.bt + (size_t)s->state_size * CHUNK;
    w.scores = w.cb + CHUNK * CHUNK;
    w.x = w.scores + CHUNK * CHUNK;
    w.y = w.x + (size_t)CHUNK * s->head_size;
    return w;
}

static uint32_t inner_of(const struct xn_op_state_space *s) {
    return s->heads * s->head_size;
}
uint32_t xn_cpu_state_space_channels(const struct xn_op_state_space *s) {
    return inner_of(s) + 2 * s->groups * s->state_size;
}

// --- the recurrence ---

// A piece of work: of a span, `heads` heads of a group, and of each the columns [column, column + columns).
struct piece {
    const struct xn_op_state_space *s;
    const struct xn_span *span;
    uint32_t head, heads, group, column, columns;
};

// Rows of the convolution's result.
static const float *convolved(const struct xn_executor *e, const struct piece *p, uint32_t row) {
    return e->scratch + (size_t)row * xn_cpu_state_space_channels(p->s);
}
static const float *b_of(const struct xn_executor *e, const struct piece *p, uint32_t row) {
    return convolved(e, p, row) + inner_of(p->s) + (size_t)p->group * p->s->state_size;
}
static const float *c_of(const struct xn_executor *e, const struct piece *p, uint32_t row) {
    return b_of(e, p, row) + (size_t)p->s->groups * p->s->state_size;
}
// Column `column` of a head's x, and where its y goes.
static const float *x_of(const struct xn_executor *e, const struct piece *p, uint32_t head, uint32_t row) {
    return convolved(e, p, row) + (size_t)head * p->s->head_size + p->column;
}
static float *y_of(const struct xn_executor *e, const struct piece *p, uint32_t head, uint32_t row) {
    return xn_host_row(&e->memory, p->s->out, row) + (size_t)head * p->s->head_size + p->column;
}
static float *state_of(const struct xn_executor *e, const struct piece *p, uint32_t head) {
    const struct xn_op_state_space *s = p->s;
    return xn_host_state(&e->memory, s->state, p->span->slot) + e->memory.plan->states[s->state].conv_size +
           (size_t)head * s->state_size * s->head_size + p->column;
}

static float time_step(const struct xn_executor *e, const struct xn_op_state_space *s, uint32_t head, uint32_t row) {
    float x = xn_host_row(&e->memory, XN_BUF_ALPHA, row)[head] + s->dt_bias[head];
    return fminf(fmaxf(x > 20 ? x : log1pf(expf(x)), s->dt_min), s->dt_max);
}

static void steps(const struct xn_executor *e, const struct piece *p, uint32_t from, uint32_t n) {
    const struct xn_op_state_space *s = p->s;
    for (uint32_t h = p->head; h < p->head + p->heads; h++)
        for (uint32_t row = from; row < from + n; row++) {
            float time = time_step(e, s, h, row);
            e->kernels->state_step(state_of(e, p, h), s->head_size, s->state_size, p->columns,
                                   expf(s->decay_rate[h] * time), time, s->skip[h], x_of(e, p, h, row), b_of(e, p, row),
                                   c_of(e, p, row), y_of(e, p, h, row));
        }
}

// What the heads of a group share: B^T and C B^T up to the diagonal.
static void share(const struct xn_executor *e, const struct piece *p, const struct work *w, uint32_t from, uint32_t n) {
    uint32_t states = p->s->state_size, channels = xn_cpu_state_space_channels(p->s);
    for (uint32_t j = 0; j < n; j += XN_CPU_PAD) {
        const float *rows[XN_CPU_PAD];
        uint32_t count = n - j < XN_CPU_PAD ? n - j : XN_CPU_PAD;
        for (uint32_t i = 0; i < count; i++)
            rows[i] = b_of(e, p, from + j + i);
        e->kernels->transpose(rows, count, states, w->bt + j, CHUNK);
    }
    for (uint32_t r = 0; r < n; r += BAND) {
        uint32_t rows = n - r < BAND ? n - r : BAND;
        e->kernels->gemm(rows, xn_cpu_round_up(r + rows, XN_CPU_PAD), states, c_of(e, p, from + r), channels, w->bt,
                         CHUNK, w->cb + (size_t)r * CHUNK, CHUNK, false);
    }
}

// scores[s] = cb[s] e^(total[r] - total[s]) up to the diagonal; zeros up to the width of the band.
static void decayed_scores(const struct xn_executor *e, const double *total, uint32_t r, const float *cb, float *scores,
                           uint32_t wide) {
    e->kernels->decays(total, total[r], scores, r + 1);
    for (uint32_t s = 0; s <= r; s++)
        scores[s] *= cb[s];
    for (uint32_t s = r + 1; s < wide; s++)
        scores[s] = 0;
}

static void chunk_of_head(const struct xn_executor *e, const struct piece *p, const struct work *w, uint32_t head,
                          uint32_t from, uint32_t n) {
    const struct xn_op_state_space *s = p->s;
    const struct xn_cpu_kernels *kernels = e->kernels;
    uint32_t width = p->columns;
    float *state = state_of(e, p, head);
    double total[CHUNK], sum = 0;
    for (uint32_t r = 0; r < n; r++) {
        float time = time_step(e, s, head, from + r);
        total[r] = sum += (double)s->decay_rate[head] * time;
        xn_cpu_place(w->x + (size_t)r * width, x_of(e, p, head, from + r), time, width);
    }
    kernels->gemm(n, width, s->state_size, c_of(e, p, from), xn_cpu_state_space_channels(s), state, s->head_size, w->y,
                  width, false);
    for (uint32_t r = 0; r < n; r += BAND) {
        uint32_t rows = n - r < BAND ? n - r : BAND;
        for (uint32_t i = r; i < r + rows; i++) {
            kernels->blend(w->y + (size_t)i * width, expf((float)total[i]), x_of(e, p, head, from + i), s->skip[head],
                           width);
            decayed_scores(e, total, i, w->cb + (size_t)i * CHUNK, w->scores + (size_t)i * CHUNK, r + rows);
        }
        kernels->gemm(rows, width, r + rows, w->scores + (size_t)r * CHUNK, CHUNK, w->x, width,
                      w->y + (size_t)r * width, width, true);
    }
    for (uint32_t r = 0; r < n; r++) {
        float *x = w->x + (size_t)r * width;
        memcpy(y_of(e, p, head, from + r), w->y + (size_t)r * width, width * sizeof *x);
        kernels->blend(x, expf((float)(sum - total[r])), x, 0, width);
    }
    float decay = expf((float)sum);
    for (uint32_t i = 0; i < s->state_size; i++)
        kernels->blend(state + (size_t)i * s->head_size, decay, state + (size_t)i * s->head_size, 0, width);
    kernels->gemm(s->state_size, width, n, w->bt, CHUNK, w->x, width, state, s->head_size, true);
}

static void run(const struct xn_executor *e, const struct piece *p, const struct work *w) {
    bool whole = p->columns % XN_CPU_PAD == 0; // as the products of matrices want it
    for (uint32_t at = 0; at < p->span->n_rows; at += CHUNK) {
        uint32_t n = p->span->n_rows - at < CHUNK ? p->span->n_rows - at : CHUNK, from = p->span->first_row + at;
        if (!whole || n < CHUNKED_LEAST) {
            steps(e, p, from, n);
            continue;
        }
        share(e, p, w, from, n);
        for (uint32_t h = p->head; h < p->head + p->heads; h++)
            chunk_of_head(e, p, w, h, from, n);
    }
}

// --- pieces ---

// How the heads of a span are cut: each group into `parts` pieces of at most `heads` heads, each head into `slices` of
// at most `columns` columns. Columns are cut only where heads are fewer than threads.
struct cut {
    uint32_t heads, parts, columns, slices;
};

static struct cut cut_of(const struct xn_executor *e, const struct xn_op_state_space *s) {
    uint32_t in_group = s->heads / s->groups, all = e->batch->n_spans * s->heads, wanted = PIECES * e->threads;
    struct cut c = {.heads = all / wanted};
    if (c.heads < 1) c.heads = 1;
    if (c.heads > in_group) c.heads = in_group;
    c.parts = (in_group + c.heads - 1) / c.heads;
    c.columns = xn_cpu_slice_columns(e, all, s->head_size, &c.slices);
    return c;
}

static struct piece piece_at(const struct xn_executor *e, const struct xn_op_state_space *s, const struct cut *c,
                             uint32_t i) {
    uint32_t slice = i % c->slices, part = i / c->slices % c->parts, group = i / c->slices / c->parts % s->groups;
    uint32_t in_group = s->heads / s->groups, first = part * c->heads, column = slice * c->columns;
    return (struct piece){.s = s,
                          .span = &e->batch->spans[i / c->slices / c->parts / s->groups],
                          .head = group * in_group + first,
                          .heads = in_group - first < c->heads ? in_group - first : c->heads,
                          .group = group,
                          .column = column,
                          .columns = s->head_size - column < c->columns ? s->head_size - column : c->columns};
}

// Gate and norm of part `part` of a row's results.
static void finish(const struct xn_executor *e, const struct xn_op_state_space *s, uint32_t row, uint32_t part) {
    uint32_t size = inner_of(s) / s->norm_groups, at = part * size;
    float *y = xn_host_row(&e->memory, s->out, row) + at;
    const float *z = xn_host_row(&e->memory, XN_BUF_Z, row) + at;
    struct xn_norm norm = s->norm;
    if (norm.weight) norm.weight += at;
    if (norm.bias) norm.bias += at;
    if (!s->norm_before_gate) e->kernels->activate(XN_ACT_SILU, z, y, y, size);
    if (norm.kind != XN_NORM_NONE) e->kernels->norm(&norm, y, y, size);
    if (s->norm_before_gate) e->kernels->activate(XN_ACT_SILU, z, y, y, size);
}

void xn_cpu_op_state_space(struct xn_executor *e, uint32_t thread, const struct xn_op *op) {
    const struct xn_op_state_space *s = &op->state_space;
    const struct xn_batch *batch = e->batch;
    uint32_t channels = xn_cpu_state_space_channels(s), begin, end;
    struct xn_cpu_convolution conv = {.rows = e->memory.buffer[XN_BUF_Q],
                                      .ld = e->memory.plan->width[XN_BUF_Q],
                                      .state = s->state,
                                      .channels = channels,
                                      .kernel = s->kernel,
                                      .taps = e->conv[op - e->memory.plan->ops],
                                      .bias = s->conv_bias,
                                      .silu = true};
    uint32_t stretches = (channels + STRETCH - 1) / STRETCH;
    while (xn_cpu_next_share(e, thread, batch->n_rows * stretches, &begin, &end))
        for (uint32_t i = begin; i < end; i++) {
            uint32_t row = i / stretches, first = i % stretches * STRETCH;
            xn_cpu_convolve(e, &conv, row, first, channels - first < STRETCH ? channels - first : STRETCH,
                            e->scratch + (size_t)row * channels + first);
        }
    xn_pool_end_phase(e->pool, thread);
    for (uint32_t i; (i = xn_pool_take(e->pool, thread, batch->n_spans)) != UINT32_MAX;)
        xn_cpu_keep_window(e, &conv, &batch->spans[i], 0, channels);

    struct work w = lay_out(s, e->thread[thread].work);
    struct cut cut = cut_of(e, s);
    for (uint32_t i; (i = xn_pool_next(e->pool, thread)) < batch->n_spans * s->groups * cut.parts * cut.slices;) {
        struct piece p = piece_at(e, s, &cut, i);
        run(e, &p, &w);
    }
    xn_pool_end_phase(e->pool, thread);
    while (xn_cpu_next_share(e, thread, batch->n_rows * s->norm_groups, &begin, &end))
        for (uint32_t i = begin; i < end; i++)
            finish(e, s, i / s->norm_groups, i % s->norm_groups);
}
