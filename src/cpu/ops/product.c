#include "cpu/ops/product.h"

#include <math.h>
#include <string.h>

enum { FEW_DECODED = 12 }; // rows of weights for integer panels that are decoded at once: whole strips of every kernel

static uint32_t min_u32(uint32_t a, uint32_t b) {
    return a < b ? a : b;
}

void xn_cpu_glu(const struct xn_executor *e, const struct xn_glu *glu, float *gate, float *up, float *out, uint32_t n) {
    if (gate && glu->gate_scale != 0 && glu->gate_scale != 1)
        for (uint32_t i = 0; i < n; i++)
            gate[i] *= glu->gate_scale;
    if (gate && glu->limit != 0)
        for (uint32_t i = 0; i < n; i++) {
            gate[i] = fminf(gate[i], glu->limit);
            up[i] = fmaxf(-glu->limit, fminf(up[i], glu->limit));
        }
    if (gate && glu->up_offset != 0)
        for (uint32_t i = 0; i < n; i++)
            up[i] += glu->up_offset;
    e->kernels->activate(glu->activation, gate ? gate : up, gate ? up : NULL, out, n);
}

// Adds what products of these weights (NULL: none) want.
static void need(const struct xn_cpu_kernels *kernels, const struct xn_plan *plan, const struct xn_weights *w,
                 bool exact, struct xn_cpu_needs *needs) {
    if (!w) return;
    needs->stream = min_u32(needs->stream, kernels->type[w->kernel_type].stream);
    needs->integers |= !exact && kernels->dot[w->kernel_type];
    needs->rounded |= xn_cpu_rounds(kernels, plan, w, exact);
    needs->tile[xn_cpu_tile_of(kernels, plan, w, exact)] = true;
}

void xn_cpu_op_needs(const struct xn_cpu_kernels *kernels, const struct xn_plan *plan, const struct xn_op *op,
                     struct xn_cpu_needs *needs) {
    *needs = (struct xn_cpu_needs){.stream = XN_CPU_STREAM_ROWS};
    switch (op->kind) {
    case XN_OP_PROJECT:
        for (uint32_t i = 0; i < op->project.n_parts; i++)
            need(kernels, plan, op->project.part[i].weights, op->project.part[i].exact, needs);
        break;
    case XN_OP_PROJECT_ADD:
        need(kernels, plan, op->project_add.weights, false, needs);
        break;
    case XN_OP_GATE:
        need(kernels, plan, op->gate.up, false, needs);
        need(kernels, plan, op->gate.gate, false, needs);
        break;
    case XN_OP_ROUTE:
        need(kernels, plan, op->route.router, true, needs);
        break;
    case XN_OP_EXPERT_GATE:
        need(kernels, plan, op->expert_gate.up, false, needs);
        need(kernels, plan, op->expert_gate.gate, false, needs);
        break;
    case XN_OP_EXPERT_ADD:
        need(kernels, plan, op->expert_add.down, false, needs);
        break;
    case XN_OP_HEADS:
        need(kernels, plan, op->heads.weights, true, needs);
        break;
    case XN_OP_HEAD:
        need(kernels, plan, op->head.weights, false, needs);
        break;
    default:
        break;
    }
}

void xn_cpu_panel_fill(const struct xn_executor *e, enum xn_cpu_tile tile, const float *values, size_t ld,
                       const uint32_t *list, uint32_t n, uint32_t k, uint32_t group, void *panels) {
    const struct xn_cpu_kernels *kernels = e->kernels;
    const float *rows[XN_CPU_PAD];
    uint32_t first = group * XN_CPU_PAD, count = min_u32(n - first, XN_CPU_PAD), half = group % 2;
    for (uint32_t i = 0; i < count; i++)
        rows[i] = values + (list ? list[first + i] : first + i) * ld;
    void *panel = (char *)panels + first / XN_CPU_PANEL * xn_cpu_panel_bytes(tile, k);
    if (tile == XN_TILE_BF16 || tile == XN_TILE_SPLIT)
        kernels->pack16(rows, count, k, half, xn_cpu_terms16(tile), panel);
    else if (tile == XN_TILE_INT8)
        kernels->pack8(rows, count, k, half, panel);
    else
        kernels->transpose(rows, count, k, (float *)panel + half * XN_CPU_PAD, XN_CPU_PANEL);
}

// To the nearest bfloat16 (ties to even).
static void round_halves(const float *x, uint32_t n, float *out) {
    for (uint32_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u; // a NaN may become an infinity: as wrong as before
        memcpy(out + i, &bits, sizeof bits);
    }
}

void xn_cpu_operand_prepare(struct xn_executor *e, uint32_t thread, const struct xn_cpu_source *s,
                            const struct xn_norm *norm, const struct xn_cpu_needs *needs, struct xn_cpu_operand *out) {
    // Rows of a list are copied, so that row i is row i in every shape.
    bool streams = s->n <= needs->stream, copies = norm->kind != XN_NORM_NONE || s->list;
    bool integers = needs->integers && streams, rounded = needs->rounded && streams;
    *out = (struct xn_cpu_operand){.n = s->n,
                                   .k = s->k,
                                   .values = copies ? e->values : s->rows,
                                   .ld = copies ? s->k : s->ld,
                                   .integers = integers,
                                   .rounded = rounded ? e->rounded : NULL,
                                   .tiled = !streams};
    for (int tile = 0; tile < XN_TILE_KINDS && !streams; tile++)
        if (needs->tile[tile]) out->panel[tile] = e->panel[tile];
    if (!copies && !integers && !rounded && streams) return;
    uint32_t per_group = streams ? 1 : XN_CPU_PAD, groups = (s->n + per_group - 1) / per_group;
    for (uint32_t g; (g = xn_pool_next(e->pool, thread)) < groups;) {
        for (uint32_t i = g * per_group; i < min_u32(s->n, (g + 1) * per_group); i++) {
            const float *from = s->rows + (s->list ? s->list[i] : i) * s->ld;
            float *to = e->values + (size_t)i * s->k;
            if (copies) e->kernels->norm(norm, from, to, s->k);
            if (integers) {
                struct xn_cpu_row row = xn_cpu_integer_row(e, s->k, i);
                if (s->n == 1) row.wide = NULL;
                e->kernels->quantize(copies ? to : from, s->k, &row);
            }
            if (rounded) round_halves(copies ? to : from, s->k, e->rounded + (size_t)i * s->k);
        }
        for (int tile = 0; tile < XN_TILE_KINDS; tile++)
            if (out->panel[tile])
                xn_cpu_panel_fill(e, (enum xn_cpu_tile)tile, out->values, out->ld, NULL, s->n, s->k, g, e->panel[tile]);
    }
    xn_pool_end_phase(e->pool, thread);
}

// Blocks of a product with panels: so large that the rows of x, which come by once a block, cost little; equally many
// for each thread, and at least two, so that none waits long for the last one.
static uint32_t tiled_rows(uint32_t threads, uint32_t rows) {
    enum { STEP = 96 }; // whole strips and tiles of every kernel, and blocks of columns of the next product
    uint32_t share = (rows + threads - 1) / threads, blocks = (share + XN_CPU_BLOCK - 1) / XN_CPU_BLOCK;
    if (blocks < 2) blocks = 2;
    uint32_t each = xn_cpu_round_up((share + blocks - 1) / blocks, STEP);
    return min_u32(each, XN_CPU_BLOCK);
}

uint32_t xn_cpu_block_rows(const struct xn_executor *e, const struct xn_cpu_operand *x, const struct xn_weights *w) {
    enum { STREAM_BYTES = 48 * 1024, ONE_PASS = 8, MOST = 96, LEAST = 4 };
    uint32_t rows = MOST, share = w->matrix.rows / e->threads;
    if (x->tiled && x->n <= XN_CPU_PANEL &&
        xn_cpu_tile_of(e->kernels, e->memory.plan, w, x->exact) == XN_TILE_INT8) // rows are decoded as they follow
        return min_u32(MOST, xn_cpu_round_up(share / 8 + 1, FEW_DECODED));
    if (x->tiled) return tiled_rows(e->threads, w->matrix.rows);
    if (x->n > ONE_PASS) { // a block that stays in the caches while further rows of x come by
        size_t fit = STREAM_BYTES / (w->row_bytes ? w->row_bytes : 1);
        if (fit < rows) rows = fit < LEAST ? LEAST : (uint32_t)fit;
    }
    // Enough blocks that no thread waits long for the last one.
    if (share / 6 < rows) rows = share / 6;
    return rows < LEAST ? LEAST : rows;
}

static void stream(const struct xn_executor *e, struct xn_cpu_thread *t, const struct xn_cpu_operand *x,
                   const struct xn_weights *w, uint32_t index, uint32_t first, uint32_t count, float *out) {
    const struct xn_cpu_kernels *k = e->kernels;
    uint32_t type = w->kernel_type;
    const void *weights = xn_weights_row(w, index, first);
    if (x->integers && !x->exact && k->dot[type]) {
        struct xn_cpu_row rows[XN_CPU_STREAM_ROWS];
        for (uint32_t i = 0; i < x->n; i++)
            rows[i] = xn_cpu_integer_row(e, x->k, x->list ? x->list[i] : i);
        k->dot[type](weights, w->row_bytes, count, rows, x->n, x->k, out, XN_CPU_BLOCK);
        return;
    }
    const float *rows[XN_CPU_STREAM_ROWS];
    bool rounded = x->rounded && xn_cpu_rounds(k, e->memory.plan, w, x->exact);
    for (uint32_t i = 0; i < x->n; i++) {
        size_t row = x->list ? x->list[i] : i;
        rows[i] = rounded ? x->rounded + row * x->k : x->values + row * x->ld;
    }
    if (k->stream[type]) {
        k->stream[type](weights, w->row_bytes, count, rows, x->n, x->k, out, XN_CPU_BLOCK);
        return;
    }
    for (uint32_t r = 0; r < count; r++) {
        k->decode[type](xn_weights_row(w, index, first + r), t->decoded, x->k);
        k->stream[XN_F32](t->decoded, 0, 1, rows, x->n, x->k, out + r, XN_CPU_BLOCK);
    }
}

// A block of weights with all rows of x: its results are [panel][`span` rows][XN_CPU_PANEL].
struct block {
    const struct xn_executor *e;
    struct xn_cpu_thread *t;
    const struct xn_cpu_operand *x;
    const struct xn_weights *w;
    uint32_t index, first, count, span;
    enum xn_cpu_tile tile;
};

// The columns from `at` on of row r of the block.
static const void *columns(const struct block *b, uint32_t r, uint32_t at) {
    const struct xn_format *f = b->w->format;
    return (const char *)xn_weights_row(b->w, b->index, b->first + r) + (size_t)at / f->block_values * f->block_bytes;
}

static size_t bytes_of(const struct block *b, uint32_t columns) {
    return (size_t)columns / b->w->format->block_values * b->w->format->block_bytes;
}

// Asks for bytes; behind the last part perhaps more than there are, which is no fault.
static void ask(const char *from, size_t bytes) {
    enum { LINE = 64 };
    for (const char *end = from + bytes; from < end; from += LINE)
        __builtin_prefetch(from);
}

// While a part of `depth` columns of row r is decoded: asks for what is decoded some kilobytes later, rows further down
// or at the top of the next part. The processor does not see that coming, and where rows of activations are few,
// waiting for memory takes a quarter of the time.
static void ask_ahead(const struct block *b, uint32_t r, uint32_t at, uint32_t depth) {
    enum { AHEAD = 4096 };
    size_t bytes = bytes_of(b, depth);
    uint32_t row = r + 1 + (uint32_t)(AHEAD / (bytes ? bytes : 1));
    while (row >= b->count) {
        row -= b->count;
        at += depth;
    }
    if (at < b->x->k) ask(columns(b, row, at), bytes);
}

static void tiled_float(const struct block *b) {
    const struct xn_cpu_kernels *kernels = b->e->kernels;
    uint32_t k = b->x->k, type = b->w->kernel_type;
    const float *panels = b->x->panel[XN_TILE_FLOAT];
    for (uint32_t at = 0; at < k; at += XN_CPU_DEPTH) {
        uint32_t depth = min_u32(XN_CPU_DEPTH, k - at);
        for (uint32_t r = 0; r < b->count; r++) {
            ask_ahead(b, r, at, XN_CPU_DEPTH);
            kernels->decode[type](columns(b, r, at), b->t->decoded + r * XN_CPU_DEPTH, depth);
        }
        for (uint32_t p = 0; p < xn_cpu_panels(b->x->n); p++)
            kernels->gemm(b->count, min_u32(XN_CPU_PANEL, xn_cpu_round_up(b->x->n - p * XN_CPU_PANEL, XN_CPU_PAD)),
                          depth, b->t->decoded, XN_CPU_DEPTH, panels + ((size_t)p * k + at) * XN_CPU_PANEL,
                          XN_CPU_PANEL, b->t->tile + (size_t)p * b->span * XN_CPU_PANEL, XN_CPU_PANEL, at != 0);
    }
}

// A block's columns [at, at + depth) as tiles of bfloat16, the rows beyond its last as zeros.
static void decode_halves(const struct block *b, uint32_t at, uint32_t depth, uint32_t step, uint32_t terms,
                          uint16_t *out) {
    enum { TILE = XN_CPU_TILE_ROWS * XN_CPU_TILE_COLS };
    uint32_t type = b->w->kernel_type, blocks = xn_cpu_blocks16(depth);
    for (uint32_t r = 0; r < b->span; r++) {
        uint16_t *to =
            out + (size_t)(r / XN_CPU_TILE_ROWS) * blocks * terms * TILE + r % XN_CPU_TILE_ROWS * XN_CPU_TILE_COLS;
        if (r < b->count) {
            ask_ahead(b, r, at, step);
            b->e->kernels->decode16[type](columns(b, r, at), depth, terms, to);
            continue;
        }
        for (uint32_t j = 0; j < blocks * terms; j++)
            memset(to + (size_t)j * TILE, 0, XN_CPU_TILE_COLS * sizeof *to);
    }
}

// A product of bfloat16 (of two matrices of one shape, side by side): blocks are decoded into the second cache, as many
// of their columns as leave room for what passes by. Results are loaded and stored again for each part, which costs a
// third of the speed where parts are 512 columns, and little from 1,536 on. With the last part a panel's results are
// complete, and are handed on while they are in the first cache.
static void tiled_halves(const struct block *b, uint32_t n, xn_cpu_panel_fn *done, void *context) {
    const struct xn_cpu_kernels *kernels = b->e->kernels;
    uint32_t k = b->x->k, terms = xn_cpu_terms16(b->tile), w_terms[2], most = 0, span = 0;
    for (uint32_t i = 0; i < n; i++) {
        w_terms[i] = terms == 1 ? 1 : kernels->type[b[i].w->kernel_type].terms;
        if (w_terms[i] > most) most = w_terms[i];
        span += b[i].span;
    }
    size_t stride = xn_cpu_panel_bytes(b->tile, k) / sizeof(uint16_t);
    uint32_t parts = (k * most + XN_CPU_DEPTH16 - 1) / XN_CPU_DEPTH16;
    uint32_t step = xn_cpu_round_up((k + parts - 1) / parts, XN_CPU_DEPTH);
    for (uint32_t at = 0; at < k; at += step) {
        uint32_t depth = min_u32(step, k - at), blocks = xn_cpu_blocks16(depth);
        const uint16_t *x = (const uint16_t *)b->x->panel[b->tile] + (size_t)at * XN_CPU_PANEL * terms;
        uint16_t *decoded[2] = {(uint16_t *)(void *)b->t->decoded};
        for (uint32_t i = 0; i < n; i++) {
            decode_halves(b + i, at, depth, step, w_terms[i], decoded[i]);
            if (i + 1 < n) decoded[i + 1] = decoded[i] + (size_t)b[i].span * blocks * w_terms[i] * XN_CPU_TILE_COLS;
        }
        for (uint32_t p = 0; p < xn_cpu_panels(b->x->n); p++) {
            float *c = b->t->tile + (step < k ? (size_t)p * span * XN_CPU_PANEL : 0), *to = c;
            for (uint32_t i = 0; i < n; i++, to += (size_t)b[i - 1].span * XN_CPU_PANEL)
                kernels->gemm16(b[i].span, blocks, w_terms[i], terms, decoded[i], x + p * stride, stride,
                                min_u32(XN_CPU_PANEL, b->x->n - p * XN_CPU_PANEL), to, 0, at != 0);
            if (at + step >= k) done(context, p, c);
        }
    }
}

// A product of integers. Where the panels fit the second cache beside what is decoded, rows of weights are decoded a
// few at a time, as they follow each other in memory; otherwise all rows of the block, a chunk of columns at a time, so
// that panels pass by once for each.
static void tiled_int8(const struct block *b) {
    enum { PANELS_BYTES = 384 * 1024 };
    const struct xn_cpu_kernels *kernels = b->e->kernels;
    uint32_t k = b->x->k, type = b->w->kernel_type, n = b->x->n, chunks = xn_cpu_chunks(k);
    xn_cpu_gemm8_fn *gemm = xn_cpu_in_lanes(type) ? kernels->gemm8_lanes : kernels->gemm8;
    bool few = xn_cpu_panels(n) * xn_cpu_panel_bytes(XN_TILE_INT8, k) <= PANELS_BYTES;
    struct xn_cpu_row8 *decoded = (struct xn_cpu_row8 *)(void *)b->t->decoded;
    const uint32_t room = XN_CPU_BLOCK * XN_CPU_DEPTH * sizeof(float) / sizeof *decoded;
    uint32_t height = few ? min_u32(FEW_DECODED, b->count) : b->count,
             depth = few ? min_u32(room / FEW_DECODED, chunks) : 1;
    const struct xn_cpu_chunk *x = b->x->panel[XN_TILE_INT8];
    const size_t row_bytes = b->w->row_bytes, chunk_bytes = bytes_of(b, XN_CPU_SUPER);
    const char *weights = columns(b, 0, 0), *end = weights + (b->count - 1) * row_bytes + bytes_of(b, k);
    for (uint32_t first = 0; first < b->count; first += height)
        for (uint32_t part = 0; part < chunks; part += depth) {
            uint32_t rows = min_u32(height, b->count - first), last = min_u32(part + depth, chunks);
            for (uint32_t r = 0; r < rows; r++) {
                const char *from = weights + (first + r) * row_bytes + part * chunk_bytes;
                for (uint32_t chunk = part; chunk < last; chunk++, from += chunk_bytes) {
                    uint32_t at = chunk * XN_CPU_SUPER;
                    if (few)
                        ask(from + height * row_bytes, chunk_bytes);
                    else
                        ask_ahead(b, r, at, XN_CPU_SUPER);
                    kernels->unpack8[type](from, min_u32(XN_CPU_SUPER, k - at), (size_t)(end - from),
                                           decoded + (size_t)(chunk - part) * height + r);
                }
            }
            for (uint32_t chunk = part; chunk < last; chunk++)
                gemm(rows, decoded + (size_t)(chunk - part) * height, kernels->type[type].group,
                     kernels->type[type].most, min_u32(XN_CPU_SUPER, k - chunk * XN_CPU_SUPER), x + chunk, chunks, n,
                     b->t->tile + (size_t)first * XN_CPU_PANEL, (size_t)b->span * XN_CPU_PANEL, chunk != 0);
        }
}

// Where results of a block go, as rows: columns of a panel's results are rows of the whole's.
struct rows_of_block {
    const struct block *b;
    float *out;
};

static void panel_to_rows(void *context, uint32_t panel, float *c) {
    const struct rows_of_block *to = context;
    const struct block *b = to->b;
    const float *rows[XN_CPU_PAD];
    uint32_t first = panel * XN_CPU_PANEL;
    for (uint32_t r = 0; r < b->count; r += XN_CPU_PAD) {
        uint32_t n = min_u32(XN_CPU_PAD, b->count - r);
        for (uint32_t i = 0; i < n; i++)
            rows[i] = c + (size_t)(r + i) * XN_CPU_PANEL;
        b->e->kernels->transpose(rows, n, min_u32(XN_CPU_PANEL, b->x->n - first),
                                 to->out + (size_t)first * XN_CPU_BLOCK + r, XN_CPU_BLOCK);
    }
}

static bool is_halves(enum xn_cpu_tile tile) {
    return tile == XN_TILE_BF16 || tile == XN_TILE_SPLIT;
}

void xn_cpu_product(const struct xn_executor *e, struct xn_cpu_thread *t, const struct xn_cpu_operand *x,
                    const struct xn_weights *w, uint32_t index, uint32_t first, uint32_t count, float *out) {
    if (!x->tiled) {
        stream(e, t, x, w, index, first, count, out);
        return;
    }
    enum xn_cpu_tile tile = xn_cpu_tile_of(e->kernels, e->memory.plan, w, x->exact);
    struct block b = {e, t, x, w, index, first, count, count, tile};
    struct rows_of_block to = {&b, out};
    if (is_halves(tile)) { // tiles have whole rows
        b.span = xn_cpu_round_up(count, XN_CPU_TILE_ROWS);
        tiled_halves(&b, 1, panel_to_rows, &to);
        return;
    }
    if (tile == XN_TILE_INT8)
        tiled_int8(&b);
    else
        tiled_float(&b);
    for (uint32_t p = 0; p < xn_cpu_panels(x->n); p++)
        panel_to_rows(&to, p, t->tile + (size_t)p * b.span * XN_CPU_PANEL);
}

bool xn_cpu_is_paired(const struct xn_executor *e, const struct xn_cpu_operand *x, const struct xn_weights *first,
                      const struct xn_weights *second) {
    enum xn_cpu_tile tile = xn_cpu_tile_of(e->kernels, e->memory.plan, first, x->exact);
    return x->tiled && is_halves(tile) &&
           (!second || xn_cpu_tile_of(e->kernels, e->memory.plan, second, x->exact) == tile);
}

void xn_cpu_product_pair(const struct xn_executor *e, struct xn_cpu_thread *t, const struct xn_cpu_operand *x,
                         const struct xn_weights *const w[2], uint32_t index, uint32_t first, uint32_t count,
                         xn_cpu_panel_fn *done, void *context) {
    enum xn_cpu_tile tile = xn_cpu_tile_of(e->kernels, e->memory.plan, w[0], x->exact);
    uint32_t span = xn_cpu_round_up(count, XN_CPU_TILE_ROWS);
    struct block b[2] = {{e, t, x, w[0], index, first, count, span, tile},
                         {e, t, x, w[1], index, first, count, span, tile}};
    tiled_halves(b, w[1] ? 2 : 1, done, context);
}
