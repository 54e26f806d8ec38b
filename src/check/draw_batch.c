// Drawing a batch, and the memory before a step.
#include "check/draw.h"
#include "device/cache.h"

// Rows of each of one to four sequences: drawn, or together as many as wished.
static uint32_t draw_rows(struct draw *d, uint32_t max_rows, uint32_t rows[4]) {
    uint32_t wished = d->c->wish.rows, spans = 1 + draw_choice(d, 4);
    if (!wished) {
        for (uint32_t s = 0; s < spans; s++)
            rows[s] = max_rows == 1 ? 1 : DRAW_OF(d, 1, 1, 1, 2, 1 + draw_below(d, max_rows), max_rows);
        return spans;
    }
    if (spans > wished) spans = wished;
    for (uint32_t s = 0; s < spans; s++) {
        uint32_t left = wished - (spans - 1 - s); // the others have one at the least
        rows[s] = s + 1 == spans ? wished : 1 + draw_below(d, left);
        wished -= rows[s];
    }
    return spans;
}

static uint32_t pages_of(const struct draw *d, const struct xn_span *span) {
    return (span->past + span->n_rows + d->c->limits.page_size - 1) / d->c->limits.page_size;
}

// The numbers below n in any order.
static int32_t *draw_order(struct draw *d, uint32_t n) {
    int32_t *order = draw_alloc(d, n, sizeof *order);
    for (uint32_t i = 0; order && i < n; i++) {
        uint32_t j = draw_below(d, i + 1);
        order[i] = order[j];
        order[j] = (int32_t)i;
    }
    return order;
}

void draw_batch(struct draw *d, uint32_t max_rows, uint32_t max_past) {
    struct xn_batch *b = &d->c->batch;
    const struct xn_check_wish *wish = &d->c->wish;
    uint32_t rows[4], n_spans = draw_rows(d, max_rows, rows), total_pages = 0;
    struct xn_limits *limits = &d->c->limits;
    struct xn_span *span = draw_alloc(d, n_spans, sizeof *span);
    if (!span) return;
    limits->page_size = DRAW_OF(d, 64, 4, 16, 32, 48, 64);
    for (uint32_t s = 0; s < n_spans; s++) {
        uint32_t past = wish->plain ? wish->past : draw_coin(d) ? 0 : draw_below(d, max_past + 1);
        span[s] = (struct xn_span){b->n_rows, rows[s], past, NULL, s, draw_choice(d, 100)};
        b->n_rows += rows[s];
        total_pages += pages_of(d, &span[s]);
    }
    limits->pages = total_pages + draw_choice(d, 4);
    int32_t *pages = draw_order(d, limits->pages);
    int32_t *tokens = draw_alloc(d, b->n_rows, sizeof *tokens),
            *positions = draw_alloc(d, b->n_rows, sizeof *positions);
    uint32_t *outputs = draw_alloc(d, b->n_rows, sizeof *outputs);
    if (d->no_memory) return;
    for (uint32_t s = 0, row = 0; s < n_spans; s++) {
        span[s].pages = pages;
        pages += pages_of(d, &span[s]);
        for (uint32_t r = 0; r < span[s].n_rows; r++, row++) {
            tokens[row] = (int32_t)draw_below(d, d->c->plan.vocab);
            positions[row] = (int32_t)(span[s].past + r);
            if (wish->rows || draw_below(d, 2)) outputs[b->n_outputs++] = row;
        }
    }
    b->tokens = tokens;
    b->positions = positions;
    b->n_spans = n_spans;
    b->spans = span;
    b->outputs = outputs;
    limits->rows = b->n_rows + draw_choice(d, 3);
    limits->outputs = b->n_outputs + 1;
    limits->slots = n_spans + 1;
    limits->cache_type = DRAW_OF(d, XN_F16, XN_F16, XN_F16, XN_F32);
    if (wish->cache_type) limits->cache_type = wish->cache_type;
    if (wish->kind == XN_OP_ATTEND && wish->type != XN_TYPE_COUNT) limits->cache_type = wish->type;
}

static void draw_floats(struct draw *d, float *to, size_t n, float spread) {
    for (size_t i = 0; i < n; i++)
        to[i] = spread * draw_uniform(d);
}

static void draw_cache(struct draw *d, void *to, size_t n) {
    if (d->c->limits.cache_type == XN_F32) {
        draw_floats(d, to, n, 1);
        return;
    }
    float values[XN_CACHE_BLOCK];
    for (size_t i = 0; i < n; i += XN_CACHE_BLOCK) {
        size_t some = n - i < XN_CACHE_BLOCK ? n - i : XN_CACHE_BLOCK;
        draw_floats(d, values, some, 1);
        xn_cache_store(d->c->limits.cache_type, to, i, values, some);
    }
}

void draw_memory(struct draw *d) {
    const struct xn_check_case *c = d->c;
    const struct xn_host_memory *m = &c->before;
    const struct xn_plan *plan = &c->plan;
    for (int b = 0; b < XN_BUFFERS; b++)
        draw_floats(d, m->buffer[b], (size_t)c->limits.rows * plan->width[b], 1);
    for (uint32_t i = 0; i < plan->n_cache; i++) {
        size_t heads = (size_t)c->limits.pages * c->limits.page_size * plan->cache[i].kv_heads;
        draw_cache(d, m->cache[i].keys, heads * plan->cache[i].key_size);
        draw_cache(d, m->cache[i].values, heads * plan->cache[i].value_size);
    }
    for (uint32_t i = 0; i < plan->n_states; i++)
        draw_floats(d, m->states[i],
                    c->limits.slots * ((size_t)plan->states[i].conv_size + plan->states[i].recurrent_size), 0.3f);
    size_t used = plan->route_width;
    for (size_t i = 0; i < c->limits.rows * used; i++) {
        m->expert_weights[i] = draw_uniform(d);
        // Distinct experts of a row, as routing gives.
        uint32_t j = (uint32_t)(i % used), first = j ? (uint32_t)m->expert_ids[i - j] : draw_below(d, plan->n_experts);
        m->expert_ids[i] = (int32_t)((first + j) % plan->n_experts);
    }
    draw_floats(d, m->logits, (size_t)c->limits.outputs * plan->vocab, 1);
}
