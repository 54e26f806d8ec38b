// attend: softmax attention over the paged cache in one pass (https://arxiv.org/abs/2205.14135), with a running maximum
// and sum. For a row that is a span of its own (the next token of a sequence) the cache streams by in its own type; for
// pieces of prompts chunks of positions are widened to float32 once for all query heads of a group and several rows.
//
// A row's result is the same, bit for bit, whatever other rows a batch has: the positions of a row alone are taken in
// parts by their number, whether threads share them or not, and chunks begin at multiples of their size.
#include "cpu/ops/attend.h"

#include <math.h>
#include <string.h>

enum {
    CHUNK = XN_CPU_CHUNK,
    PARTS = 16,       // the most that a row's positions are taken in
    PART_LEAST = 128, // positions of a part
    SPLIT_ROWS = 8,   // rows of a batch up to which threads share them
};

// Rows that one piece of work takes.
static uint32_t rows_of(const struct xn_op_attend *a) {
    uint32_t rows = XN_CPU_QUERIES / xn_cpu_group_of(a);
    return rows ? rows : 1;
}
static uint32_t value_pad(const struct xn_op_attend *a) {
    return xn_cpu_round_up(a->value_size, XN_CPU_PAD);
}

// A part's result of a query: its values, maximum and sum.
static size_t part_floats(const struct xn_op_attend *a) {
    return (size_t)value_pad(a) + 2;
}

// Scratch of a thread: M queries, C positions.
struct work {
    float *q;     // M x size, times scale
    float *k;     // C x size
    float *kt;    // size x C
    float *v;     // C x value_pad
    float *s;     // M x C
    float *o;     // M x value_pad
    float *max;   // M
    float *sum;   // M
    float *whole; // of a row's queries: what its parts so far have come to (part_floats each)
    float *part;  // and one part
};

size_t xn_cpu_attend_work(const struct xn_cpu_kernels *kernels, const struct xn_op_attend *a) {
    size_t m = (size_t)rows_of(a) * xn_cpu_group_of(a), on_tiles = xn_cpu_attend_tiles_work(kernels, a);
    size_t floats = m * a->head_size + 2 * (size_t)CHUNK * a->head_size + (size_t)CHUNK * value_pad(a) + m * CHUNK +
                    m * value_pad(a) + 2 * m + 2 * xn_cpu_group_of(a) * part_floats(a) + 10 * XN_CPU_PAD;
    return floats > on_tiles ? floats : on_tiles;
}

static struct work lay_out(const struct xn_op_attend *a, float *p) {
    size_t m = (size_t)rows_of(a) * xn_cpu_group_of(a);
    struct work w;
    w.q = xn_cpu_take(&p, m * a->head_size);
    w.k = xn_cpu_take(&p, (size_t)CHUNK * a->head_size);
    w.kt = xn_cpu_take(&p, (size_t)CHUNK * a->head_size);
    w.v = xn_cpu_take(&p, (size_t)CHUNK * value_pad(a));
    w.s = xn_cpu_take(&p, m * CHUNK);
    w.o = xn_cpu_take(&p, m * value_pad(a));
    w.max = xn_cpu_take(&p, m);
    w.sum = xn_cpu_take(&p, m);
    w.whole = xn_cpu_take(&p, xn_cpu_group_of(a) * part_floats(a));
    w.part = xn_cpu_take(&p, xn_cpu_group_of(a) * part_floats(a));
    return w;
}

// Positions from `from` on, at most n, that lie in one page, one after the other.
static uint32_t run_at(const struct xn_host_memory *m, uint32_t from, uint32_t n) {
    uint32_t run = m->limits.page_size - from % m->limits.page_size;
    return run < n ? run : n;
}

void xn_cpu_gather(const struct xn_executor *e, const struct xn_op_attend *a, const struct xn_span *span,
                   const void *cache, uint32_t size, uint32_t head, uint32_t from, uint32_t n, float *out, size_t ld) {
    const struct xn_host_memory *m = &e->memory;
    while (n) {
        uint32_t run = run_at(m, from, n);
        size_t at = xn_host_cache_index(m, a->kv_heads, size, span->pages, head, from);
        size_t rows = ld == size ? 1 : run, values = ld == size ? (size_t)run * size : size;
        for (size_t i = 0; i < rows; i++) {
            if (m->limits.cache_type == XN_F16)
                e->kernels->widen((const uint16_t *)cache + at + i * size, out + i * ld, values);
            else
                memcpy(out + i * ld, (const float *)cache + at + i * size, values * sizeof *out);
        }
        from += run;
        n -= run;
        out += run * ld;
    }
}

// Takes a chunk's scores of one query, of which [low, high) count, into its running softmax.
static void soften(const struct xn_executor *e, const struct xn_op_attend *a, struct work *w, uint32_t query,
                   uint32_t low, uint32_t high) {
    float *s = w->s + (size_t)query * CHUNK;
    for (uint32_t j = 0; j < low; j++)
        s[j] = 0;
    for (uint32_t j = high; j < CHUNK; j++)
        s[j] = 0;
    if (low >= high) return;
    if (a->soft_cap != 0) e->kernels->soft_cap(s + low, a->soft_cap, high - low);
    float chunk_max = e->kernels->maximum(s + low, high - low);
    if (chunk_max > w->max[query]) {
        float factor = expf(w->max[query] - chunk_max);
        float *o = w->o + (size_t)query * value_pad(a);
        e->kernels->blend(o, factor, o, 0, value_pad(a));
        w->sum[query] *= factor;
        w->max[query] = chunk_max;
    }
    w->sum[query] += e->kernels->exp_sum(s + low, w->max[query], high - low);
}

// Scores of a chunk's positions that do not count become zero.
static void soften_all(const struct xn_executor *e, const struct xn_op_attend *a, const struct xn_cpu_queries *t,
                       struct work *w, uint32_t from, uint32_t n) {
    uint32_t group = xn_cpu_group_of(a);
    for (uint32_t q = 0; q < t->rows * group; q++) {
        uint32_t position = xn_cpu_position_of(t, q / group), first = xn_cpu_first_of(a, position);
        uint32_t low = first > from ? first - from : 0, high = position + 1 > from ? position + 1 - from : 0;
        soften(e, a, w, q, low < n ? low : n, high < n ? high : n);
    }
}

// A row of `size` values of a head in the cache.
static const char *row_at(const struct xn_executor *e, const struct xn_op_attend *a, const struct xn_cpu_queries *t,
                          const void *cache, uint32_t size, uint32_t position) {
    size_t i = xn_host_cache_index(&e->memory, a->kv_heads, size, t->span->pages, t->head, position);
    return (const char *)cache + i * (e->memory.limits.cache_type == XN_F16 ? 2 : 4);
}

// A few queries: keys and values stream by as the cache has them, each called while the others are worked on.
static void stream_chunk(const struct xn_executor *e, const struct xn_op_attend *a, const struct xn_cpu_queries *t,
                         struct work *w, uint32_t from, uint32_t n) {
    const struct xn_host_cache *cache = &e->memory.cache[a->cache];
    const void *values = a->values_in_keys ? cache->keys : cache->values;
    uint32_t type = e->memory.limits.cache_type, queries = t->rows * xn_cpu_group_of(a), run;
    uint32_t key_size = a->head_size, value_size = a->values_in_keys ? a->head_size : a->value_size; // of rows
    size_t value_bytes = type == XN_F16 ? 2 : 4;
    for (uint32_t at = 0; at < n; at += run) {
        run = run_at(&e->memory, from + at, n - at);
        const char *ahead = a->values_in_keys ? NULL : row_at(e, a, t, values, value_size, from + at);
        e->kernels->scores[type](row_at(e, a, t, cache->keys, key_size, from + at), key_size * value_bytes, run, w->q,
                                 key_size, queries, key_size, ahead, w->s + at, CHUNK);
    }
    soften_all(e, a, t, w, from, n);
    for (uint32_t at = 0; at < n; at += run) {
        run = run_at(&e->memory, from + at, n - at);
        uint32_t next = from + CHUNK + at;
        const char *ahead = next < t->end ? row_at(e, a, t, cache->keys, key_size, next) : NULL;
        e->kernels->mix[type](row_at(e, a, t, values, value_size, from + at), value_size * value_bytes, run, w->s + at,
                              CHUNK, queries, a->value_size, ahead, w->o, value_pad(a));
    }
}

static void attend_chunk(const struct xn_executor *e, const struct xn_op_attend *a, const struct xn_cpu_queries *t,
                         struct work *w, uint32_t from, uint32_t n) {
    const struct xn_host_cache *cache = &e->memory.cache[a->cache];
    uint32_t queries = t->rows * xn_cpu_group_of(a), size = a->head_size, pad = value_pad(a);
    xn_cpu_gather(e, a, t->span, cache->keys, size, t->head, from, n, w->k, size);
    if (pad != a->value_size) memset(w->v, 0, (size_t)CHUNK * pad * sizeof *w->v); // padding columns of values
    const float *v = w->v;
    size_t v_ld = pad;
    if (!a->values_in_keys) {
        xn_cpu_gather(e, a, t->span, cache->values, a->value_size, t->head, from, n, w->v, pad);
    } else if (pad <= size) { // columns beyond the values give results that nobody reads
        v = w->k;
        v_ld = size;
    } else {
        for (uint32_t j = 0; j < n; j++)
            memcpy(w->v + (size_t)j * pad, w->k + (size_t)j * size, a->value_size * sizeof *w->v);
    }
    uint32_t wide = xn_cpu_round_up(n, XN_CPU_PAD);
    for (uint32_t j = 0; j < wide; j += XN_CPU_PAD) {
        const float *rows[XN_CPU_PAD];
        uint32_t count = n - j < XN_CPU_PAD ? n - j : XN_CPU_PAD;
        for (uint32_t i = 0; i < count; i++)
            rows[i] = w->k + (size_t)(j + i) * size;
        e->kernels->transpose(rows, count, size, w->kt + j, CHUNK);
    }
    e->kernels->gemm(queries, wide, size, w->q, size, w->kt, CHUNK, w->s, CHUNK, false);
    soften_all(e, a, t, w, from, n);
    e->kernels->gemm(queries, pad, n, w->s, CHUNK, v, v_ld, w->o, pad, true);
}

void xn_cpu_finish_query(const struct xn_executor *e, const struct xn_op_attend *a, uint32_t row, uint32_t head,
                         const float *o, float max, float sum) {
    float scale = 1;
    if (a->sinks) {
        float all = a->sinks[head] > max ? a->sinks[head] : max;
        scale = expf(max - all);
        sum = sum * scale + expf(a->sinks[head] - all);
    }
    scale /= sum;
    float *out = xn_host_row(&e->memory, a->out, row) + (size_t)head * a->value_size;
    for (uint32_t i = 0; i < a->value_size; i++)
        out[i] = o[i] * scale;
    if (!a->output_gate) return;
    const float *q = xn_host_row(&e->memory, a->in, row) + (size_t)head * a->head_stride;
    e->kernels->sigmoid_gate(out, q + a->head_size, a->value_size);
}

static void attend_tile(const struct xn_executor *e, const struct xn_op_attend *a, const struct xn_cpu_queries *t,
                        struct work *w) {
    uint32_t group = xn_cpu_group_of(a), queries = t->rows * group;
    for (uint32_t q = 0; q < queries; q++) {
        const float *from =
            xn_host_row(&e->memory, a->in, t->row + q / group) + (size_t)(t->head * group + q % group) * a->head_stride;
        float *to = w->q + (size_t)q * a->head_size;
        for (uint32_t i = 0; i < a->head_size; i++)
            to[i] = a->scale * from[i];
        w->max[q] = -INFINITY;
        w->sum[q] = 0;
    }
    memset(w->o, 0, (size_t)queries * value_pad(a) * sizeof *w->o);
    bool streams = t->span->n_rows == 1 && e->kernels->scores[e->memory.limits.cache_type];
    for (uint32_t from = t->begin; from < t->end; from += CHUNK) {
        uint32_t n = t->end - from < CHUNK ? t->end - from : CHUNK;
        (streams ? stream_chunk : attend_chunk)(e, a, t, w, from, n);
    }
}

// Rows of a span that one piece of work takes.
static uint32_t step_of(const struct xn_executor *e, const struct xn_op_attend *a, const struct xn_span *span) {
    uint32_t rows = xn_cpu_attend_tiles_rows(e->kernels, a, span->n_rows);
    return rows ? rows : rows_of(a);
}

static uint32_t tiles_of(const struct xn_executor *e, const struct xn_op_attend *a) {
    uint32_t n = 0;
    for (uint32_t s = 0; s < e->batch->n_spans; s++) {
        uint32_t step = step_of(e, a, &e->batch->spans[s]);
        n += (e->batch->spans[s].n_rows + step - 1) / step;
    }
    return n * a->kv_heads;
}

// Tile i: heads innermost, later rows first, since they have the most positions.
static struct xn_cpu_queries tile_at(const struct xn_executor *e, const struct xn_op_attend *a, uint32_t i) {
    uint32_t head = i % a->kv_heads, part = i / a->kv_heads, step;
    const struct xn_span *span = e->batch->spans;
    for (;; span++) {
        step = step_of(e, a, span);
        uint32_t parts = (span->n_rows + step - 1) / step;
        if (part < parts) {
            part = parts - 1 - part;
            break;
        }
        part -= parts;
    }
    uint32_t first = part * step, rows = span->n_rows - first < step ? span->n_rows - first : step;
    struct xn_cpu_queries t = {.span = span, .head = head, .row = span->first_row + first, .rows = rows};
    t.begin = xn_cpu_first_of(a, span->past + first);
    if (span->n_rows > 1) t.begin = t.begin / CHUNK * CHUNK;
    t.end = span->past + first + rows;
    return t;
}

// --- parts of a row's positions ---

// How many a span has: by its positions alone.
static uint32_t parts_of(const struct xn_op_attend *a, const struct xn_span *span) {
    if (span->n_rows > 1) return 1;
    uint32_t parts = (span->past + 1 - xn_cpu_first_of(a, span->past)) / PART_LEAST;
    return parts < 1 ? 1 : parts < PARTS ? parts : PARTS;
}

// The most of a batch's spans, where threads share them because there are too few tiles for all; otherwise 1.
static uint32_t shares_of(const struct xn_executor *e, const struct xn_op_attend *a, uint32_t tiles) {
    if (e->threads == 1 || e->batch->n_rows > SPLIT_ROWS || tiles >= 2 * e->threads) return 1;
    uint32_t most = 1;
    for (uint32_t s = 0; s < e->batch->n_spans; s++) {
        uint32_t parts = parts_of(a, &e->batch->spans[s]);
        if (parts > most) most = parts;
    }
    return most;
}

// Floats of results that threads share: of each row, head and part.
size_t xn_cpu_attend_partial(const struct xn_op_attend *a, uint32_t rows, uint32_t threads) {
    if (threads == 1) return 0;
    return (size_t)(rows < SPLIT_ROWS ? rows : SPLIT_ROWS) * a->heads * PARTS * part_floats(a);
}

static float *partial_of(const struct xn_executor *e, const struct xn_op_attend *a, uint32_t row, uint32_t head,
                         uint32_t part) {
    return e->partial + (((size_t)row * a->heads + head) * PARTS + part) * part_floats(a);
}

// Adds a part's result to those before it.
static void add_part(const struct xn_executor *e, uint32_t pad, float *whole, const float *part, bool first) {
    if (first) {
        memcpy(whole, part, (pad + 2) * sizeof *whole);
        return;
    }
    if (part[pad + 1] == 0) return; // no positions
    float max = fmaxf(whole[pad], part[pad]), keep = expf(whole[pad] - max), take = expf(part[pad] - max);
    e->kernels->blend(whole, keep, part, take, pad);
    whole[pad] = max;
    whole[pad + 1] = keep * whole[pad + 1] + take * part[pad + 1];
}

// Attends part `part` of `parts` of a row's positions; what comes out goes to to[j * step], for each query j.
static void attend_part(const struct xn_executor *e, const struct xn_op_attend *a, const struct xn_cpu_queries *row,
                        uint32_t part, uint32_t parts, struct work *w, float *to, size_t step) {
    struct xn_cpu_queries t = *row;
    uint32_t chunks = (t.end - t.begin + CHUNK - 1) / CHUNK, first, last, pad = value_pad(a);
    xn_cpu_share(chunks, part, parts, &first, &last);
    uint32_t begin = t.begin + first * CHUNK, end = t.begin + last * CHUNK;
    t.begin = begin;
    if (end < t.end) t.end = end;
    attend_tile(e, a, &t, w);
    for (uint32_t q = 0; q < xn_cpu_group_of(a); q++, to += step) {
        memcpy(to, w->o + (size_t)q * pad, pad * sizeof *to);
        to[pad] = w->max[q];
        to[pad + 1] = w->sum[q];
    }
}

// All parts of a row, one after the other.
static void attend_row(const struct xn_executor *e, const struct xn_op_attend *a, const struct xn_cpu_queries *t,
                       uint32_t parts, struct work *w) {
    uint32_t group = xn_cpu_group_of(a), pad = value_pad(a);
    for (uint32_t part = 0; part < parts; part++) {
        attend_part(e, a, t, part, parts, w, part ? w->part : w->whole, part_floats(a));
        for (uint32_t q = 0; part && q < group; q++)
            add_part(e, pad, w->whole + q * part_floats(a), w->part + q * part_floats(a), false);
    }
    for (uint32_t q = 0; q < group; q++) {
        const float *o = w->whole + q * part_floats(a);
        xn_cpu_finish_query(e, a, t->row, t->head * group + q, o, o[pad], o[pad + 1]);
    }
}

// The rows whose parts threads have shared.
static void join(const struct xn_executor *e, const struct xn_op_attend *a, uint32_t thread, struct work *w) {
    uint32_t pad = value_pad(a), item = xn_pool_next(e->pool, thread);
    for (uint32_t s = 0, at = 0; s < e->batch->n_spans; s++) {
        const struct xn_span *span = &e->batch->spans[s];
        uint32_t parts = parts_of(a, span);
        for (uint32_t head = 0; parts > 1 && head < a->heads; head++) {
            if (at++ != item) continue;
            item = xn_pool_next(e->pool, thread);
            for (uint32_t part = 0; part < parts; part++)
                add_part(e, pad, w->whole, partial_of(e, a, span->first_row, head, part), part == 0);
            xn_cpu_finish_query(e, a, span->first_row, head, w->whole, w->whole[pad], w->whole[pad + 1]);
        }
    }
}

void xn_cpu_op_attend(struct xn_executor *e, uint32_t thread, const struct xn_op *op) {
    const struct xn_op_attend *a = &op->attend;
    struct work w = lay_out(a, e->thread[thread].work);
    uint32_t tiles = tiles_of(e, a), shares = shares_of(e, a, tiles), group = xn_cpu_group_of(a), pad = value_pad(a);
    for (uint32_t i; (i = xn_pool_take(e->pool, thread, tiles * shares)) != UINT32_MAX;) {
        struct xn_cpu_queries t = tile_at(e, a, i / shares);
        uint32_t share = i % shares, parts = parts_of(a, t.span);
        if (share >= parts) continue;
        if (parts > 1 && shares > 1) {
            float *to = partial_of(e, a, t.row, t.head * group, share);
            attend_part(e, a, &t, share, parts, &w, to, PARTS * part_floats(a));
        } else if (parts > 1) {
            attend_row(e, a, &t, parts, &w);
        } else if (xn_cpu_attend_tiles_rows(e->kernels, a, t.span->n_rows)) {
            xn_cpu_attend_tiles(e, a, &t, e->thread[thread].work);
        } else {
            attend_tile(e, a, &t, &w);
            for (uint32_t q = 0; q < t.rows * group; q++)
                xn_cpu_finish_query(e, a, t.row + q / group, t.head * group + q % group, w.o + (size_t)q * pad,
                                    w.max[q], w.sum[q]);
        }
    }
    if (shares == 1) return;
    xn_pool_end_phase(e->pool, thread);
    join(e, a, thread, &w);
}
