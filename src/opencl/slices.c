#include "opencl/slices.h"

#include "opencl/layout.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct xn_cl_slice) == XN_CL_SLICE_BYTES && XN_CL_SLICE_BYTES % 16 == 0, "kernels/shared.h");
_Static_assert(XN_CL_SLICE_BYTES + XN_CL_SLICE_ROWS * 8 <= XN_CL_SLICE_MOST, "kernels/shared.h");
_Static_assert(XN_CL_SLICE_BYTES + XN_CL_SLICE_RESULTS * 24 <= XN_CL_SLICE_MOST, "kernels/shared.h");
_Static_assert(XN_CL_SLICE_BYTES + XN_CL_SLICE_ROWS_FEW * 24 <= XN_CL_SLICE_MOST_FEW, "kernels/shared.h");

_Static_assert(XN_CL_SLICE_RANGES <= XN_CL_WALK_GROUP / 32, "kernels/stream.cl: a warp for each");

enum { FEW, ONE, SHAPES, WARPS = XN_CL_WALK_GROUP / 32 };

// An operation as it is cut.
struct cut {
    struct xn_cl_lowered *lowered;
    uint32_t page_size;
    uint32_t kernel;
    const void *op;
    uint32_t results, times; // for each of so many heads
    uint32_t rows_each;      // rows of weights for a result
    uint32_t most;           // results of a slice
    uint32_t all, blocks;    // chosen: results of a full slice, blocks of them of a head
    uint32_t cuts, units;    // chosen: slices of a block of results, of which each has so many units of a row
    uint32_t stride;         // bytes
    bool lists;              // results of `project` follow
    bool tiles;              // formats with codes are multiplied in tiles, by all warps
};

// What result v's row of weights is; of a gate's two the gate's where `gate`.
struct row {
    const struct xn_cl_weights *w;
    uint32_t row;
};

// A row of `project`: where heads are rotated without being normed first, rows that are rotated together are
// neighbours, so that whoever has one has both.
struct part_row {
    const struct xn_cl_part *p;
    uint32_t part, row, head, i;
    uint32_t pair; // that is rotated, or XN_CL_NONE
};
static struct part_row part_row(const struct xn_cl_project *d, uint32_t v) {
    struct part_row r = {.p = d->part, .pair = XN_CL_NONE};
    while (v >= r.p->weights.rows) {
        v -= r.p->weights.rows;
        r.p++;
        r.part++;
    }
    const struct xn_cl_rope *rope = &r.p->rope;
    r.head = v / r.p->head_stride;
    r.i = v % r.p->head_stride;
    if (r.p->finish == XN_CL_FINISH_PAIRS && r.i >= r.p->rope_at && r.i - r.p->rope_at < rope->dims) {
        r.pair = (r.i - r.p->rope_at) / 2;
        if (rope->kind == XN_ROPE_HALVES) r.i = r.p->rope_at + r.pair + (r.i - r.p->rope_at) % 2 * (rope->dims / 2);
    }
    r.row = r.head * r.p->head_stride + r.i;
    return r;
}

static struct row row_of(const struct cut *c, uint32_t head, uint32_t v, bool gate) {
    switch (c->kernel) {
    case XN_CL_KERNEL_PROJECT: {
        struct part_row r = part_row(c->op, v);
        return (struct row){&r.p->weights, r.row};
    }
    case XN_CL_KERNEL_PROJECT_ADD:
        return (struct row){&((const struct xn_cl_project_add *)c->op)->weights, v};
    case XN_CL_KERNEL_GATE: {
        const struct xn_cl_gate *d = c->op;
        return (struct row){gate ? &d->gate : &d->up, v};
    }
    case XN_CL_KERNEL_HEAD:
        return (struct row){&((const struct xn_cl_head *)c->op)->weights, v};
    case XN_CL_KERNEL_HEADS: {
        const struct xn_cl_heads *d = c->op;
        return (struct row){&d->weights, head * d->weights.rows + v};
    }
    default: {
        const struct xn_cl_route *d = c->op;
        bool shared = v >= d->router.rows;
        return (struct row){shared ? &d->shared : &d->router, shared ? v - d->router.rows : v};
    }
    }
}

// The operation without its cut; results 0: it has no products, or its experts are known too late.
static struct cut cut_of(struct xn_cl_lowered *l, const uint8_t *op, uint32_t kernel, bool one, bool tiles) {
    uint32_t rows = one || tiles ? XN_CL_SLICE_ROWS : XN_CL_SLICE_ROWS_FEW;
    struct cut c = {
        .lowered = l, .kernel = kernel, .op = op, .times = 1, .rows_each = 1, .most = rows, .tiles = tiles && !one};
    switch (kernel) {
    case XN_CL_KERNEL_PROJECT: {
        const struct xn_cl_project *d = c.op;
        for (uint32_t i = 0; i < d->n_parts; i++)
            c.results += d->part[i].weights.rows;
        c.most = one || tiles ? XN_CL_SLICE_RESULTS : rows;
        c.lists = true;
        break;
    }
    case XN_CL_KERNEL_PROJECT_ADD:
        c.results = ((const struct xn_cl_project_add *)c.op)->weights.rows;
        break;
    case XN_CL_KERNEL_GATE: {
        const struct xn_cl_gate *d = c.op;
        c.results = d->up.rows;
        c.rows_each = d->gate.rows ? 2 : 1;
        c.most = rows / 2;
        break;
    }
    case XN_CL_KERNEL_HEAD:
        c.results = ((const struct xn_cl_head *)c.op)->weights.rows;
        break;
    case XN_CL_KERNEL_HEADS: {
        const struct xn_cl_heads *d = c.op;
        c.results = d->weights.rows;
        c.times = d->heads;
        break;
    }
    case XN_CL_KERNEL_ROUTE: {
        const struct xn_cl_route *d = c.op;
        c.results = d->router.rows + d->shared.rows;
        break;
    }
    default:
        break;
    }
    return c;
}

// What a step of up to 8 rows takes of an operation whose groups have so many rows of weights and units of these, in
// clock cycles: activations are staged in chunks if they must be, and a warp takes blocks of 8 units of 16 rows.
// Measured on an H200.
static uint64_t cost_of(uint32_t rows, uint32_t units) {
    enum { ROOM = 7680, TILE = 128, UNIT = 80, CHUNK = 64, STAGE = 70, STEP = 3900, TURN = 2500 };
    uint64_t tiles = (rows + 15) / 16, left = ROOM > tiles * TILE ? ROOM - tiles * TILE : UNIT * 8;
    uint64_t room = left / UNIT / 8 * 8, chunk = units <= room ? units : room < CHUNK ? room : CHUNK;
    uint64_t chunks = (units + chunk - 1) / chunk;
    chunk = (units + chunks - 1) / chunks;
    return chunks * (TURN + chunk * STAGE + (tiles * ((chunk + 7) / 8) + WARPS - 1) / WARPS * STEP);
}
// Long rows of weights, of which each group has few, make all groups stage all activations: so units of a row may be
// dealt out to several groups as well, whose sums are added up. That takes memory, and time.
static void choose_cuts(struct cut *c, uint32_t groups) {
    enum { JOIN = 4000 };
    const struct xn_cl_project_add *d = c->op;
    if (c->kernel != XN_CL_KERNEL_PROJECT_ADD || !c->tiles || d->in.norm.kind != XN_NORM_NONE ||
        d->sum.norm.kind != XN_NORM_NONE || !xn_cl_layout_has_codes(d->weights.type) || c->blocks > groups)
        return;
    uint64_t least = cost_of(c->all, d->weights.units);
    for (uint32_t cuts = 2; cuts <= XN_CL_SLICE_CUTS && cuts <= groups; cuts++) {
        uint32_t most = groups / cuts, all = ((c->results + most - 1) / most + 15) / 16 * 16;
        uint32_t units = ((d->weights.units + cuts - 1) / cuts + 7) / 8 * 8;
        if (all > c->most || (d->weights.units + units - 1) / units != cuts) continue;
        uint64_t cost = cost_of(all, units) + JOIN;
        if (cost >= least) continue;
        least = cost;
        c->all = all;
        c->blocks = (c->results + all - 1) / all;
        c->cuts = cuts;
        c->units = units;
    }
}

// Results of a slice, of `most` at the most, so that all groups have one slice if possible, or several of one size;
// even, so that pairs stay together.
static uint32_t slice_of(uint64_t results, uint32_t groups, uint32_t most) {
    uint64_t each = (results + groups - 1) / groups, n = (each + most - 1) / most;
    if (n > 1) each = (each + n - 1) / n;
    each += each % 2;
    return each < 2 ? 2 : each > most ? most : (uint32_t)each;
}
static void choose_size(struct cut *c, uint32_t groups) {
    c->all = slice_of((uint64_t)c->results * c->times, groups, c->most);
    c->blocks = (c->results + c->all - 1) / c->all;
    c->cuts = 1;
    choose_cuts(c, groups);
    uint32_t rows = c->all * c->rows_each;
    c->stride = (uint32_t)sizeof(struct xn_cl_slice) + (rows + rows % 2) * (uint32_t)sizeof(struct xn_cl_slice_row);
    if (c->lists) c->stride += c->all * (uint32_t)sizeof(struct xn_cl_slice_result);
}

// Rows are taken by twos. Where there are fewer twos than warps, several warps share each. A unit without codes
// (`floats`) has several times the bytes.
static uint32_t shares_of(uint32_t rows, uint32_t units, bool floats) {
    uint32_t pairs = (rows + 1) / 2, wanted = units / (floats ? 8 : 24);
    if (pairs > WARPS / 2 || wanted <= 1) return 1;
    if (pairs <= WARPS / 8 && wanted > 7) return 8;
    if (pairs <= WARPS / 4 && wanted > 3) return 4;
    return pairs <= WARPS / 3 && wanted > 2 ? 3 : 2;
}

static bool has_codes(const struct xn_cl_slice *s) {
    for (uint32_t i = 0; i < s->segments; i++)
        if (xn_cl_layout_has_codes(s->segment[i].type)) return true;
    return false;
}

static void put_input(const struct cut *c, uint32_t head, struct xn_cl_slice *s) {
    const struct xn_cl_input *in = c->op; // most operations begin with it
    if (c->kernel == XN_CL_KERNEL_HEADS) {
        const struct xn_cl_heads *d = c->op;
        s->at = d->in + head * (d->cols + d->tail);
        s->stride = d->in_stride;
        s->k = d->cols;
        s->norm = (struct xn_cl_norm){.weight = XN_CL_NONE, .bias = XN_CL_NONE};
        return;
    }
    s->at = in->at;
    s->stride = in->stride;
    s->k = in->k;
    s->norm = in->norm;
    s->outputs = c->kernel == XN_CL_KERNEL_HEAD;
}

// Row r of a slice.
static int put_row(const struct cut *c, struct xn_cl_slice *s, uint32_t *pieces, uint32_t r, struct row row,
                   struct xn_error *err) {
    const struct xn_cl_weights *w = row.w;
    uint32_t which = row.row / w->piece, before = which * w->piece, place = w->place + which, i = 0;
    struct xn_cl_slice_row *rows = (struct xn_cl_slice_row *)(s + 1);
    while (i < *pieces && (s->piece[i].offset != c->lowered->places[place].offset ||
                           s->piece[i].heap != c->lowered->places[place].heap))
        i++;
    if (i == XN_CL_SLICE_PIECES)
        return xn_fail(err, XN_ERR_UNSUPPORTED, "%u rows of weights in more than %d pieces of memory", s->rows,
                       XN_CL_SLICE_PIECES);
    if (i == *pieces) {
        uint32_t rows_of = w->all_rows - before < w->piece ? w->all_rows - before : w->piece;
        s->piece[(*pieces)++] = (struct xn_cl_slice_piece){.offset = c->lowered->places[place].offset,
                                                           .heap = c->lowered->places[place].heap,
                                                           .units = rows_of * w->units};
    }
    rows[r] = (struct xn_cl_slice_row){.first = (row.row - before) * w->units, .piece = i};
    if (!s->segments || s->segment[s->segments - 1].type != w->type) s->segments++;
    struct xn_cl_segment *segment = &s->segment[s->segments - 1];
    segment->type = w->type;
    segment->end = r + 1;
    s->units = w->units;
    return XN_OK;
}

// Asks for what rows [row0, row0 + n) of a piece take of each plane, `left` bytes at the most.
static void put_ranges(const struct cut *c, struct xn_cl_slice *s, const struct xn_cl_weights *w, uint32_t row0,
                       uint32_t n, uint64_t *left) {
    uint32_t which = row0 / w->piece, before = which * w->piece;
    uint64_t all = w->all_rows - before < w->piece ? w->all_rows - before : w->piece;
    const struct xn_cl_place *place = &c->lowered->places[w->place + which];
    uint64_t plane = place->offset;
    for (uint32_t p = 0; p < XN_CL_PLANES_MOST && w->plane[p] && s->ranges < XN_CL_SLICE_RANGES; p++) {
        uint64_t bytes = (uint64_t)n * w->plane[p];
        if (bytes > *left) bytes = *left;
        if (!bytes) return;
        *left -= bytes;
        s->range[s->ranges++] =
            (struct xn_cl_slice_range){plane + (uint64_t)(row0 - before) * w->plane[p], place->heap, (uint32_t)bytes};
        plane += (all * w->plane[p] + 15) / 16 * 16;
    }
}

static int by_place(const void *a, const void *b) {
    const struct row *x = a, *y = b;
    if (x->w != y->w) return x->w < y->w ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}
// What a slice's rows take of memory, as far as it is asked for ahead.
static void put_all_ranges(const struct cut *c, struct xn_cl_slice *s, struct row *rows) {
    uint64_t left = XN_CL_SLICE_AHEAD;
    qsort(rows, s->rows, sizeof *rows, by_place);
    for (uint32_t r = 0, n; r < s->rows; r += n) {
        const struct xn_cl_weights *w = rows[r].w;
        for (n = 1; r + n < s->rows && rows[r + n].w == w && rows[r + n].row == rows[r].row + n; n++)
            if (rows[r + n].row % w->piece == 0) break;
        put_ranges(c, s, w, rows[r].row, n, &left);
    }
    while ((uint32_t)1 << s->range_bits < s->ranges)
        s->range_bits++;
}

static struct xn_cl_slice_result result_of(const struct cut *c, uint32_t v) {
    struct part_row at = part_row(c->op, v);
    const struct xn_cl_part *p = at.p;
    struct xn_cl_slice_result r = {.to = p->out + at.row, .rotation = XN_CL_NONE, .part = at.part};
    bool inside = at.i < p->head_size;
    if (p->bias != XN_CL_NONE) r.bias = c->lowered->vec[p->bias + at.row];
    if (at.pair != XN_CL_NONE) r.rotation = p->rope.turn + 2 * at.pair;
    if (p->finish == XN_CL_FINISH_PAIRS && inside && p->rope.query_beta != 0) r.part |= XN_CL_RESULT_TEMPERED;
    if (p->target == XN_CL_TO_CACHE && p->finish != XN_CL_FINISH_HEADS) {
        r.to = at.head * c->page_size * p->cache.size + p->cache_at + at.i;
        r.part |= inside ? XN_CL_RESULT_CACHE : XN_CL_RESULT_NOWHERE;
    }
    return r;
}

// Makes of a slice that with one part of its rows' units.
static void put_cut(const struct cut *c, uint32_t cut, struct xn_cl_slice *s) {
    struct xn_cl_slice_row *rows = (struct xn_cl_slice_row *)(s + 1);
    uint32_t before = cut * c->units, left = s->k - before * XN_CL_UNIT;
    for (uint32_t r = 0; r < s->rows; r++)
        rows[r].first += before;
    s->units = s->units - before < c->units ? s->units - before : c->units;
    s->at += before * XN_CL_UNIT;
    s->k = left < s->units * XN_CL_UNIT ? left : s->units * XN_CL_UNIT;
    s->cut = cut;
    s->cuts = c->cuts;
}

// Slice u, into zeros.
static int put_slice(const struct cut *c, uint32_t u, uint32_t groups, uint8_t *to, struct xn_error *err) {
    struct xn_cl_slice *s = (struct xn_cl_slice *)to;
    uint32_t cut = u % c->cuts, head, pieces = 0;
    u /= c->cuts;
    head = u / c->blocks;
    s->of = head;
    s->first = u % c->blocks * c->all;
    s->results = c->results - s->first < c->all ? c->results - s->first : c->all;
    s->rows = s->results * c->rows_each;
    s->all = c->all;
    s->blocks = c->blocks;
    s->apart = c->times > 1 && (u < groups || (u - groups) / c->blocks != head);
    put_input(c, head, s);
    struct row rows[XN_CL_SLICE_ROWS];
    for (uint32_t r = 0; r < s->rows; r++) {
        bool gate = r + s->results < s->rows;
        uint32_t v = s->first + (gate ? r : r - (s->rows - s->results));
        rows[r] = row_of(c, head, v, gate);
        XN_TRY(put_row(c, s, &pieces, r, rows[r], err));
    }
    if (c->cuts > 1)
        put_cut(c, cut, s);
    else
        put_all_ranges(c, s, rows);
    s->shares = c->tiles && has_codes(s) ? 1 : shares_of(s->rows, s->units, !has_codes(s));
    struct xn_cl_slice_result *results =
        (struct xn_cl_slice_result *)(to + sizeof *s + (s->rows + s->rows % 2) * sizeof(struct xn_cl_slice_row));
    for (uint32_t r = 0; c->lists && r < s->results; r++)
        results[r] = result_of(c, s->first + r);
    return XN_OK;
}

static struct xn_cl_op_tail *tail_of(struct xn_cl_lowered *l, size_t i) {
    return (struct xn_cl_op_tail *)(l->ops + i * XN_CL_OP_BYTES + XN_CL_OP_TAIL);
}

static int cut_op(struct xn_cl_lowered *l, size_t i, bool one, bool tiles, uint32_t groups, uint32_t page_size,
                  struct xn_error *err) {
    struct cut c = cut_of(l, l->ops + i * XN_CL_OP_BYTES, tail_of(l, i)->number, one, tiles);
    if (!c.results) return XN_OK;
    c.page_size = page_size;
    choose_size(&c, groups);
    uint64_t n = (uint64_t)c.blocks * c.times * c.cuts, blocks = (n * c.stride + XN_CL_OP_BYTES - 1) / XN_CL_OP_BYTES;
    uint64_t place = l->ops_bytes / 16;
    if (n > UINT32_MAX || place > UINT32_MAX)
        return xn_fail(err, XN_ERR_LIMIT, "%llu slices of an operation", (unsigned long long)n);
    if (xn_grow((void **)&l->ops, &l->ops_capacity, l->ops_bytes / XN_CL_OP_BYTES + blocks, XN_CL_OP_BYTES) != 0)
        return xn_fail(err, XN_ERR_NOMEM, "no memory for %llu slices of an operation", (unsigned long long)n);
    memset(l->ops + l->ops_bytes, 0, blocks * XN_CL_OP_BYTES);
    c.op = l->ops + i * XN_CL_OP_BYTES;
    for (uint32_t u = 0; u < n; u++)
        XN_TRY(put_slice(&c, u, groups, l->ops + l->ops_bytes + (uint64_t)u * c.stride, err));
    tail_of(l, i)->own[one ? ONE : FEW] =
        (struct xn_cl_slices){.place = (uint32_t)place, .stride = c.stride / 16, .n = (uint32_t)n};
    l->ops_bytes += blocks * XN_CL_OP_BYTES;
    return XN_OK;
}

// Of experts' slices the kernel knows how many rows they have, not which: those of one token, then of n of several. The
// activations of as many experts as there is room for stand in local memory at once (kernels/stream_memory.cl).
static void cut_experts(uint32_t results, uint32_t used, const struct xn_cl_weights *down, uint32_t groups,
                        struct xn_cl_expert_cut cut[XN_CL_EXPERT_CUTS]) {
    for (uint32_t n = 0; n < XN_CL_EXPERT_CUTS; n++) {
        uint32_t rows = n ? XN_CL_SLICE_ROWS_FEW : XN_CL_SLICE_ROWS, tokens = n ? n : 1, each = rows / 2;
        if (down) each = rows / (used < rows / 2 ? used : rows / 2) / 2 * 2;
        cut[n].all = slice_of((uint64_t)results * tokens, groups, each);
        cut[n].blocks = (results + cut[n].all - 1) / cut[n].all;
        cut[n].passes = 1;
        cut[n].experts = used;
        if (!down) continue;
        uint32_t floats = n ? XN_CL_STREAM_FLOATS_FEW : XN_CL_STREAM_FLOATS_ONE;
        uint32_t room = floats / (xn_cl_layout_has_codes(down->type) ? 11 : 32) / down->units;
        uint32_t most = rows / cut[n].all < room ? rows / cut[n].all : room;
        if (most < used) cut[n].experts = most ? most : 1;
        cut[n].passes = (used + cut[n].experts - 1) / cut[n].experts;
    }
}
// Their matrices may have so many pieces, and a token so many of them.
static int take_experts(struct xn_cl_lowered *l, size_t i, uint32_t groups, struct xn_error *err) {
    void *op = l->ops + i * XN_CL_OP_BYTES;
    const struct xn_cl_weights *w[2] = {0}, *down = NULL;
    struct xn_cl_expert_cut *cut = NULL;
    uint32_t used = 1, results = 0, kernel = tail_of(l, i)->number;
    if (kernel == XN_CL_KERNEL_EXPERT_GATE) {
        struct xn_cl_expert_gate *d = op;
        w[0] = &d->up;
        w[1] = &d->gate;
        used = d->used;
        results = used * d->size;
        cut = d->cut;
    } else if (kernel == XN_CL_KERNEL_EXPERT_ADD) {
        struct xn_cl_expert_add *d = op;
        w[0] = &d->down;
        used = d->used;
        results = d->down.rows;
        down = &d->down;
        cut = d->cut;
    } else if (kernel == XN_CL_KERNEL_ROUTE) {
        used = ((const struct xn_cl_route *)op)->choice.used;
    }
    if (used == 0 || used > XN_CL_SLICE_ROWS_FEW)
        return xn_fail(err, XN_ERR_UNSUPPORTED, "%u experts for a token; 1 to %d expected", used, XN_CL_SLICE_ROWS_FEW);
    if (cut) cut_experts(results, used, down, groups, cut);
    for (int j = 0; j < 2 && w[j]; j++)
        if (w[j]->rows && (w[j]->all_rows + (uint64_t)w[j]->piece - 1) / w[j]->piece > XN_CL_SLICE_PIECES / 2)
            return xn_fail(err, XN_ERR_UNSUPPORTED, "experts of a layer in more than %d pieces of memory",
                           XN_CL_SLICE_PIECES / 2);
    return XN_OK;
}

int xn_cl_cut_slices(struct xn_cl_lowered *l, uint32_t groups, uint32_t page_size, bool few, bool tiles,
                     struct xn_error *err) {
    for (size_t i = 0; i < l->n_ops; i++) {
        XN_TRY(take_experts(l, i, groups, err));
        XN_TRY(cut_op(l, i, true, false, groups, page_size, err));
        if (few) XN_TRY(cut_op(l, i, false, tiles, groups, page_size, err));
    }
    for (size_t i = 0; i + 1 < l->n_ops; i++)
        memcpy(tail_of(l, i)->following, tail_of(l, i + 1)->own, sizeof tail_of(l, i)->following);
    return XN_OK;
}
