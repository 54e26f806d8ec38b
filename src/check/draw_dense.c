// Drawing embed, project, project_add, add, gate, head and heads.
#include "check/draw.h"
#include "device/cache.h"
#include "quant/format.h"

#include <stdio.h>

static const char *format_name(uint32_t type) {
    return xn_format_of(type)->name;
}

// The stream's width, and whether the plan has it: operations that do not touch X have a narrow one.
static void set_hidden(struct draw *d, uint32_t hidden) {
    d->c->plan.hidden = d->c->plan.width[XN_BUF_X] = hidden;
}

void draw_embed(struct draw *d) {
    struct xn_check_case *c = d->c;
    struct xn_op_embed *e = &d->op->embed;
    uint32_t type = draw_type(d), hidden = draw_columns(d, type);
    set_hidden(d, hidden);
    c->plan.width[XN_BUF_INPUTS] = hidden;
    c->plan.vocab = draw_outputs(d, 50, 0);
    draw_batch(d, 40, 10);
    *e = (struct xn_op_embed){.to = draw_coin(d) ? XN_BUF_INPUTS : XN_BUF_X,
                              .scale = draw_coin(d) ? 1.5f : 1,
                              .keep = draw_coin(d) ? 0.6f : 0};
    draw_weights(d, &e->table, type, c->plan.vocab, hidden, 1);
    c->rounds = false; // nothing is multiplied
    c->exact = 1e-5;
    DRAW_WHAT(d, "embed %s hidden %u vocab %u rows %u", format_name(type), hidden, c->plan.vocab, c->batch.n_rows);
}

// Heads of a size, together as many rows as wished at the most.
static void draw_heads_of(struct draw *d, uint32_t *heads, uint32_t *size) {
    uint32_t wished = d->c->wish.outputs;
    *size = wished ? DRAW_OF(d, 128, 3, 43, 129) : DRAW_OF(d, 128, 1, 3, 32, 64, 80, 96, 128);
    *heads = wished ? (wished / *size ? wished / *size : 1) : 1 + draw_below(d, 6);
}

// Part i of queries, keys and values.
static void draw_part(struct draw *d, struct xn_part *part, int i, uint32_t type, uint32_t hidden) {
    uint32_t size = part->head_size, rows = part->heads * part->head_stride;
    part->scale = draw_coin(d) ? 0.7f : 1;
    draw_weights(d, &part->weights, type, rows, hidden, 1);
    part->bias = draw_maybe(d, rows, 0, 1);
    part->is_query = i == 0;
    part->exact = draw_coin(d);
    part->target = i == 0 ? XN_TO_BUFFER : i == 1 ? XN_TO_KEYS : XN_TO_VALUES;
    part->buffer = i == 0 ? XN_BUF_Q : XN_BUF_NONE;
    part->rope.magnitude = 1;
    if (i == 2) return;
    part->norm_whole = part->head_stride == size && draw_coin(d);
    part->norm = draw_norm(d, part->norm_whole ? part->heads * size : size);
    if (size < 3) part->norm.kind = XN_NORM_NONE; // a sign, which a rounding may turn
    if (size < 16)
        part->norm.epsilon = 0.1f; // few values may be small together, and their norm would magnify a rounding
    part->rope = draw_rope(d, size, i == 0);
    if (part->rope.kind != XN_ROPE_NONE) part->rope_at = draw_choice(d, size - part->rope.dims + 1);
}

// As many values as the blocks of a cache that hold n.
static uint32_t whole_blocks(uint32_t n) {
    return (n + XN_CACHE_BLOCK - 1) / XN_CACHE_BLOCK * XN_CACHE_BLOCK;
}

void draw_project(struct draw *d) {
    struct xn_check_case *c = d->c;
    struct xn_op_project *p = &d->op->project;
    draw_batch(d, DRAW_OF(d, 1, 1, 5, 30), 20);
    uint32_t type = draw_type(d), hidden = draw_columns(d, type), heads, size;
    draw_heads_of(d, &heads, &size);
    bool blocks = xn_cache_type_blocks(c->limits.cache_type);
    if (blocks) size = whole_blocks(size);
    uint32_t kv_heads = DRAW_OF(d, heads > 4 ? heads / 4 : 1, 1, 2, 3);
    heads = draw_outputs_of(d, heads, size * c->batch.n_rows);
    kv_heads = draw_outputs_of(d, kv_heads, size * c->batch.n_rows);
    uint32_t value_size = draw_coin(d) ? DRAW_OF(d, size, 16, 40) : size, gated = draw_coin(d);
    enum xn_buffer in = draw_coin(d) ? XN_BUF_Z : XN_BUF_X;
    set_hidden(d, hidden);
    c->plan.width[XN_BUF_Z] = hidden + draw_choice(d, 5);
    c->plan.width[XN_BUF_Q] = heads * size * (1 + gated);
    uint32_t key_at = draw_coin(d) ? DRAW_OF(d, 0, 1, 16, 30) : 0; // the part is the end of a wider key
    if (blocks) {
        value_size = whole_blocks(value_size);
        key_at = whole_blocks(key_at);
    }
    c->cache = (struct xn_cache_layer){kv_heads, size + key_at, value_size};
    c->plan.n_cache = 1;
    *p = (struct xn_op_project){.in = in, .norm = draw_norm(d, hidden), .n_parts = 3};
    for (int i = 0; i < 3; i++) {
        struct xn_part *part = &p->part[i];
        part->heads = i == 0 ? heads : kv_heads;
        part->head_size = i == 2 ? value_size : size;
        part->head_stride = i == 0 ? size * (1 + gated) : part->head_size;
        part->cache_at = i == 1 ? key_at : 0;
        draw_part(d, part, i, type, hidden);
    }
    DRAW_WHAT(d, "project %s hidden %u heads %u/%u size %u%s rows %u", format_name(type), hidden, heads, kv_heads, size,
              gated ? " gated" : "", c->batch.n_rows);
}

void draw_add(struct draw *d) {
    struct xn_check_case *c = d->c;
    draw_batch(d, DRAW_OF(d, 1, 1, 9, 40), 10);
    uint32_t hidden = draw_outputs(d, 1 + draw_below(d, 200), c->batch.n_rows);
    set_hidden(d, hidden);
    c->plan.width[XN_BUF_LATENT] = hidden + draw_choice(d, 5);
    d->op->add = (struct xn_op_add){.in = XN_BUF_LATENT, .sum = draw_sum(d, hidden)};
    DRAW_WHAT(d, "add hidden %u rows %u norm %d", hidden, c->batch.n_rows, d->op->add.sum.norm.kind);
}

void draw_project_add(struct draw *d) {
    struct xn_check_case *c = d->c;
    struct xn_op_project_add *p = &d->op->project_add;
    draw_batch(d, DRAW_OF(d, 1, 1, 9, 40), 10);
    uint32_t type = draw_type(d), hidden = draw_outputs(d, 1 + draw_below(d, 200), c->batch.n_rows);
    uint32_t cols = draw_columns(d, type);
    set_hidden(d, hidden);
    c->plan.width[XN_BUF_MIX] = cols + draw_choice(d, 5);
    c->plan.width[XN_BUF_GATE] = 1;
    *p = (struct xn_op_project_add){.in = XN_BUF_MIX,
                                    .bias = draw_maybe(d, hidden, 0, 1),
                                    .row_scale = draw_coin(d) ? XN_BUF_GATE : XN_BUF_NONE,
                                    .sum = draw_sum(d, hidden)};
    draw_weights(d, &p->weights, type, hidden, cols, 1);
    DRAW_WHAT(d, "project_add %s hidden %u columns %u rows %u norm %d", format_name(type), hidden, cols,
              c->batch.n_rows, p->sum.norm.kind);
}

void draw_gate(struct draw *d) {
    struct xn_check_case *c = d->c;
    struct xn_op_gate *g = &d->op->gate;
    draw_batch(d, DRAW_OF(d, 1, 1, 9, 40), 10);
    uint32_t type = draw_type(d), hidden = draw_columns(d, type);
    uint32_t size = draw_outputs(d, 1 + draw_below(d, 300), c->batch.n_rows);
    set_hidden(d, hidden);
    c->plan.width[XN_BUF_HIDDEN] = size + draw_choice(d, 3);
    c->plan.width[XN_BUF_INPUTS] = size + 7;
    *g = (struct xn_op_gate){.norm = draw_norm(d, hidden),
                             .gate_bias = draw_maybe(d, size, 0, 1),
                             .up_bias = draw_maybe(d, size, 0, 1),
                             .glu = draw_glu(d),
                             .times = draw_coin(d) ? XN_BUF_INPUTS : XN_BUF_NONE,
                             .times_at = draw_choice(d, 8)};
    if (draw_choice(d, 3) != 1) draw_weights(d, &g->gate, type, size, hidden, 1);
    draw_weights(d, &g->up, type, size, hidden, 1);
    c->magnify = g->glu.activation == XN_ACT_RELU2 ? 3 : 2; // a product of two products, or of three
    DRAW_WHAT(d, "gate %s hidden %u size %u rows %u activation %d%s", format_name(type), hidden, size, c->batch.n_rows,
              g->glu.activation, g->gate ? "" : " plain");
}

void draw_head(struct draw *d) {
    struct xn_check_case *c = d->c;
    struct xn_op_head *h = &d->op->head;
    uint32_t type = draw_type(d), hidden = draw_columns(d, type);
    set_hidden(d, hidden);
    c->plan.vocab = draw_outputs(d, 1 + draw_below(d, 500), 0);
    draw_batch(d, DRAW_OF(d, 1, 1, 9, 40, 600), 10);
    bool may_be_few = !c->wish.plain && (!c->wish.rows || c->wish.rows > 100);
    if (may_be_few && c->batch.n_outputs > 8 && draw_coin(d)) { // few of many rows, as a prompt's last
        uint32_t few = 1 + draw_below(d, 8);
        c->batch.outputs += c->batch.n_outputs - few;
        c->batch.n_outputs = few;
    }
    c->plan.vocab = draw_outputs(d, c->plan.vocab, c->batch.n_outputs);
    *h = (struct xn_op_head){.norm = draw_norm(d, hidden), .scale = 0.5f, .soft_cap = draw_coin(d) ? 30 : 0};
    draw_weights(d, &h->weights, type, c->plan.vocab, hidden, 1);
    DRAW_WHAT(d, "head %s hidden %u vocab %u rows %u of %u", format_name(type), hidden, c->plan.vocab,
              c->batch.n_outputs, c->batch.n_rows);
}

void draw_heads(struct draw *d) {
    struct xn_check_case *c = d->c;
    struct xn_op_heads *h = &d->op->heads;
    uint32_t type = draw_type(d), cols = draw_columns(d, type);
    draw_batch(d, DRAW_OF(d, 1, 1, 1, 9, 60), 10);
    uint32_t rows = draw_outputs(d, DRAW_OF(d, 1, 1, 5, 64, 1 + draw_below(d, 300)), c->batch.n_rows);
    uint32_t heads = d->c->wish.plain ? 8 : 1 + draw_below(d, 6), tail = draw_coin(d) ? DRAW_OF(d, 0, 1, 16, 33) : 0;
    h->in = draw_coin(d) ? XN_BUF_LATENT : XN_BUF_Q;
    h->out = draw_coin(d) ? XN_BUF_MIX : XN_BUF_ABSORBED;
    h->tail = tail;
    draw_weights(d, &h->weights, type, rows, cols, heads);
    set_hidden(d, 8);
    c->plan.width[h->in] = heads * (cols + tail) + draw_choice(d, 5);
    c->plan.width[h->out] = heads * (rows + tail) + draw_choice(d, 5);
    DRAW_WHAT(d, "heads %s heads %u of %u x %u tail %u rows %u", format_name(type), heads, rows, cols, tail,
              c->batch.n_rows);
}
