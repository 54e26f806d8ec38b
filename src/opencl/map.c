// The memory of a step.
#include "opencl/lower.h"
#include "opencl/many.h"

#include "device/cache.h"

static void most(uint64_t *size, uint64_t wanted) {
    if (wanted > *size) *size = wanted;
}

static uint64_t round_up(uint64_t n) {
    return (n + 31) / 32 * 32; // 128 bytes
}

uint32_t xn_cl_attend_together(const struct xn_op_attend *a) {
    uint64_t each = (uint64_t)a->head_size + a->value_size, fit = XN_CL_HEAD_FLOATS / each;
    uint32_t queries = a->heads / a->kv_heads;
    if (fit > XN_CL_TOGETHER) fit = XN_CL_TOGETHER;
    return fit < queries ? (uint32_t)fit : queries;
}

uint32_t xn_cl_attend_splits(const struct xn_op_attend *a) {
    uint64_t together = xn_cl_attend_together(a), queries = a->heads / a->kv_heads;
    if (together == 0) return 1;
    uint64_t units = (queries + together - 1) / together * a->kv_heads;
    return units >= XN_CL_SPLIT_UNITS                  ? 1
           : XN_CL_SPLIT_UNITS / units >= XN_CL_SPLITS ? XN_CL_SPLITS
                                                       : (uint32_t)(XN_CL_SPLIT_UNITS / units);
}

uint32_t xn_cl_attend_few(const struct xn_op_attend *a, const struct xn_limits *limits) {
    bool reads = limits->cache_type == XN_F16 || xn_cache_type_blocks(limits->cache_type);
    if (!reads || limits->page_size % XN_CL_FEW_POSITIONS) return 0;
    if (a->head_size % 8 || a->value_size % 8) return 0; // 16 bytes a lane
#define X(number, keys, values)                                                                                        \
    if (a->head_size <= 32 * (keys) && a->value_size <= 64 * (values)) return number;
    XN_CL_FEW_SIZES(X)
#undef X
    return 0;
}

// What the convolution gives, and what the recurrence of many rows needs beside.
static uint64_t scan_scratch(uint64_t rows, uint64_t channels, uint64_t heads) {
    return (rows * channels + 3) / 4 * 4 + rows * heads * XN_CL_SCAN_FACTORS;
}

// Of one operation: 32-bit values of scratch, and counters.
static void needs_of(const struct xn_op *op, uint64_t rows, bool cuts, uint64_t *scratch, uint64_t *counters) {
    uint64_t split_rows = rows < XN_CL_SPLIT_ROWS ? rows : XN_CL_SPLIT_ROWS, cached = 0, heads = 0;
    uint64_t tiles = rows / XN_CL_TILE_TOKENS + 1;
    uint64_t few_rows = rows < XN_CL_STREAM_TOKENS ? rows : XN_CL_STREAM_TOKENS;
    switch (op->kind) {
    case XN_OP_PROJECT:
        for (uint32_t i = 0; i < op->project.n_parts; i++) {
            const struct xn_part *p = &op->project.part[i];
            heads += p->heads;
            if (p->target != XN_TO_BUFFER) cached += (uint64_t)p->heads * p->head_stride;
        }
        most(scratch, rows * cached);
        most(counters, tiles * heads);
        break;
    case XN_OP_PROJECT_ADD:
        if (op->project_add.sum.norm.kind != XN_NORM_NONE) most(scratch, rows * op->project_add.weights->matrix.rows);
        if (cuts)
            most(scratch, (rows < XN_CL_STREAM_TOKENS ? rows : XN_CL_STREAM_TOKENS) * XN_CL_SLICE_CUTS *
                              ((uint64_t)op->project_add.weights->matrix.rows + XN_CL_SLICE_ROWS));
        most(counters, tiles);
        break;
    case XN_OP_ROUTE:
        most(scratch, rows * op->route.experts);
        most(counters, tiles);
        break;
    case XN_OP_EXPERT_ADD:
        if (op->expert_add.sum.norm.kind != XN_NORM_NONE) most(scratch, rows * op->expert_add.down->matrix.rows);
        most(counters, rows);
        break;
    case XN_OP_ATTEND:
        most(scratch,
             split_rows * op->attend.heads * xn_cl_attend_splits(&op->attend) * ((uint64_t)op->attend.value_size + 2) +
                 4);
        most(counters, split_rows * op->attend.heads);
        break;
    case XN_OP_DELTA_NET: {
        const struct xn_op_delta_net *d = &op->delta_net;
        uint64_t channels = 2 * (uint64_t)d->key_heads * d->key_size + (uint64_t)d->value_heads * d->value_size;
        most(scratch, scan_scratch(rows, channels, d->value_heads));
        most(counters, few_rows * d->key_heads);
        break;
    }
    case XN_OP_STATE_SPACE: {
        const struct xn_op_state_space *s = &op->state_space;
        uint64_t channels = (uint64_t)s->heads * s->head_size + 2 * (uint64_t)s->groups * s->state_size;
        most(scratch, scan_scratch(rows, channels, s->heads));
        most(counters, few_rows * s->groups);
        break;
    }
    default:
        break;
    }
}

// The best tokens are those of a step's logits, so the head is its last operation.
static bool has_candidates(const struct xn_plan *plan, const struct xn_limits *limits) {
    return plan->n_ops && plan->ops[plan->n_ops - 1].kind == XN_OP_HEAD && plan->vocab && limits->outputs;
}

// The highest logits of runs: in a walk, whose slices have two rows of weights at the least, a run may be as short.
static uint64_t tops_of(uint64_t vocab, uint64_t outputs) {
    uint64_t walked = outputs < XN_CL_STREAM_TOKENS ? outputs : XN_CL_STREAM_TOKENS, size = 0;
    most(&size, walked * (vocab / 2 + 1));
    most(&size, outputs * (vocab / XN_CL_TOP_RUN + 1));
    return size;
}

static void map_logits(const struct xn_plan *plan, const struct xn_limits *limits, struct xn_cl_map *map) {
    uint64_t vocab = plan->vocab, outputs = limits->outputs;
    map->logits = outputs * vocab;
    if (!has_candidates(plan, limits)) return;
    map->candidates = map->logits;
    map->row_sums = (vocab + XN_CL_SUM_CHUNK - 1) / XN_CL_SUM_CHUNK * XN_CL_SUM_LANES;
    map->sums = map->candidates + outputs * XN_CL_CANDIDATES_ROW;
    map->logits = map->sums + outputs * map->row_sums;
}

void xn_cl_map_of(const struct xn_plan *plan, const struct xn_limits *limits, const struct xn_cl_tiles *tiles,
                  struct xn_cl_map *map) {
    uint64_t at = 0, rows = limits->rows, scratch = 0;
    *map = (struct xn_cl_map){.counters = tiles->counters};
    for (int b = 0; b < XN_BUFFERS; b++) {
        map->buffer[b] = at;
        at += round_up(rows * plan->width[b]);
    }
    map->ids = at;
    at += round_up(rows * plan->route_width);
    map->weights = at;
    at += round_up(rows * plan->route_width);
    map->pairs = at;
    at += round_up(rows * plan->route_width);
    map->offsets = at;
    at += plan->route_width ? round_up(XN_CL_MAX_EXPERTS + 1) : 0;
    map->scratch = at;
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        needs_of(&plan->ops[i], rows, tiles->cuts, &scratch, &map->counters);
        most(&scratch, xn_cl_many_of(&plan->ops[i], plan->hidden, rows, limits->outputs, tiles->partial).size);
    }
    map_logits(plan, limits, map);
    if (map->candidates) most(&scratch, tops_of(plan->vocab, limits->outputs));
    map->size = at + round_up(scratch);
    map->barrier = round_up(map->counters);
    map->counters = map->barrier + XN_CL_BARRIER_VALUES;
}
