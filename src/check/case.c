// Making cases, and binding them to a device's weights.
#include "check/case.h"

#include "check/blocks.h"
#include "check/draw.h"
#include "check/memory.h"
#include "device/reference/reference.h"
#include "quant/format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MATRICES = 4 }; // of an operation, at the most

static draw_op *const draw_ops[XN_OP_KINDS] = {
    [XN_OP_EMBED] = draw_embed,
    [XN_OP_PROJECT] = draw_project,
    [XN_OP_ATTEND] = draw_attend,
    [XN_OP_DELTA_NET] = draw_delta_net,
    [XN_OP_STATE_SPACE] = draw_state_space,
    [XN_OP_SHORT_CONV] = draw_short_conv,
    [XN_OP_HEADS] = draw_heads,
    [XN_OP_PROJECT_ADD] = draw_project_add,
    [XN_OP_GATE] = draw_gate,
    [XN_OP_ROUTE] = draw_route,
    [XN_OP_EXPERT_GATE] = draw_expert_gate,
    [XN_OP_EXPERT_ADD] = draw_expert_add,
    [XN_OP_ADD] = draw_add,
    [XN_OP_HEAD] = draw_head,
};

static int check_wish(const struct xn_check_wish *wish, struct xn_error *err) {
    if ((unsigned)wish->kind >= XN_OP_KINDS)
        return xn_fail(err, XN_ERR_ARGUMENT, "check: operation %d, below %d expected", (int)wish->kind, XN_OP_KINDS);
    if (wish->type == XN_TYPE_COUNT) return XN_OK;
    const struct xn_format *f = xn_format_of(wish->type);
    if (!f || !f->decode) return xn_fail(err, XN_ERR_ARGUMENT, "check: type %u holds no weights", wish->type);
    if (wish->columns % f->block_values)
        return xn_fail(err, XN_ERR_ARGUMENT, "check: %u columns of %s, a multiple of %u expected", wish->columns,
                       f->name, f->block_values);
    return XN_OK;
}

// The operation, and copies of it with other weights.
static void draw_plan(struct draw *d) {
    struct xn_check_case *c = d->c;
    uint32_t copies = c->wish.copies ? c->wish.copies : 1;
    c->plan.n_ops = copies;
    c->plan.ops = draw_alloc(d, copies, sizeof *c->plan.ops);
    c->matrices = draw_alloc(d, (size_t)copies * MATRICES, sizeof *c->matrices);
    if (d->no_memory) return;
    d->op = c->plan.ops;
    d->op->kind = c->wish.kind;
    d->op->layer = -1;
    draw_ops[c->wish.kind](d);
    c->plan.sensitive = draw_coin(d);
    uint32_t n = c->n_matrices;
    for (uint32_t i = 1; i < copies; i++) {
        d->op = &c->plan.ops[i];
        *d->op = *c->plan.ops;
        for (uint32_t j = 0; j < n && !d->no_memory; j++) {
            const struct xn_check_matrix *m = &c->matrices[j];
            draw_weights(d, (const struct xn_weights **)(void *)((char *)d->op + m->slot), m->matrix.type,
                         m->matrix.rows, m->matrix.cols, m->matrix.count);
        }
    }
}

int xn_check_case_make(const struct xn_check_wish *wish, const struct xn_check_blocks *blocks,
                       struct xn_check_case **out, struct xn_error *err) {
    *out = NULL;
    XN_TRY(check_wish(wish, err));
    struct xn_check_case *c = xn_alloc_zero(1, sizeof *c);
    if (!c) return xn_fail(err, XN_ERR_NOMEM, "no memory for a case");
    *c = (struct xn_check_case){.wish = *wish, .exact = 2e-5, .magnify = 1};
    c->plan.vocab = 50;
    c->plan.cache = &c->cache;
    c->plan.states = &c->states;
    struct draw draw = {.c = c, .blocks = blocks, .state = xn_check_mix(wish->seed, wish->kind)};
    draw_plan(&draw);
    int status = draw.no_memory ? xn_fail(err, XN_ERR_NOMEM, "no memory for a case of %s", xn_op_name(wish->kind))
                                : xn_host_memory_init(&c->before, &c->plan, &c->limits, err);
    if (status == XN_OK) {
        draw_memory(&draw);
        *out = c;
    } else {
        xn_check_case_free(c);
    }
    return status;
}

void xn_check_case_free(struct xn_check_case *c) {
    if (!c) return;
    if (c->before.plan) xn_host_memory_free(&c->before);
    if (c->after.plan) xn_host_memory_free(&c->after);
    xn_arena_free(&c->arena);
    free(c);
}

static int run_reference(const struct xn_check_case *c, struct xn_host_memory *memory, struct xn_error *err) {
    for (uint32_t i = 0; i < c->plan.n_ops; i++)
        XN_TRY(xn_reference_ops[c->wish.kind](memory, &c->batch, &c->plan.ops[i], err));
    return XN_OK;
}

// Moves values by up to `amount` of their size, at random.
static void move_values(float *values, size_t n, double amount, uint64_t *state) {
    for (size_t i = 0; i < n; i++)
        values[i] *= 1 + (float)amount * xn_check_uniform(state);
}

// Which rows choose other experts where X is off by a little: there the choice is right either way.
static int find_ties(struct xn_check_case *c, struct xn_error *err) {
    enum { TRIES = 3 };
    struct xn_host_memory moved;
    XN_TRY(xn_host_memory_init(&moved, &c->plan, &c->limits, err));
    uint64_t state = xn_check_mix(c->wish.seed, XN_OP_KINDS);
    int status = XN_OK;
    size_t used = c->plan.route_width, n = (size_t)c->limits.rows * c->plan.hidden;
    c->tied = xn_arena_alloc(&c->arena, c->limits.rows, sizeof *c->tied);
    if (!c->tied) status = xn_fail(err, XN_ERR_NOMEM, "no memory for a case of route");
    for (int i = 0; i < TRIES && status == XN_OK; i++) {
        xn_check_memory_copy(&moved, &c->before);
        move_values(moved.buffer[XN_BUF_X], n, 1e-5, &state);
        status = run_reference(c, &moved, err);
        for (size_t r = 0; r < c->limits.rows && status == XN_OK; r++)
            if (memcmp(moved.expert_ids + r * used, c->after.expert_ids + r * used, used * 4) != 0) c->tied[r] = true;
    }
    xn_host_memory_free(&moved);
    return status;
}

int xn_check_case_allow_unsteady(struct xn_check_case *c, bool *raised, struct xn_error *err) {
    *raised = false;
    if (!c->recurrent) return XN_OK;
    static const double noise = 0x1p-15; // what two or three products, one of the other, of bfloat16 pairs are off by
    static const double most = 1e-3;     // whatever a case magnifies: a wrong kernel is off by more
    struct xn_host_memory moved;
    struct xn_check_result result;
    XN_TRY(xn_host_memory_init(&moved, &c->plan, &c->limits, err));
    xn_check_memory_copy(&moved, &c->before);
    uint64_t state = xn_check_mix(c->wish.seed, XN_OP_KINDS);
    for (int b = 0; b < XN_BUFFERS; b++)
        move_values(moved.buffer[b], (size_t)c->limits.rows * c->plan.width[b], noise, &state);
    int status = run_reference(c, &moved, err);
    if (status == XN_OK) {
        xn_check_memory_compare(c, &moved, 0, &result);
        *raised = isfinite(result.error) && result.error > c->exact;
        if (*raised) c->exact = fmin(result.error, most);
    }
    xn_host_memory_free(&moved);
    return status;
}

int xn_check_case_expect(struct xn_check_case *c, struct xn_error *err) {
    struct xn_device *device; // for the way in which the plain-C operations hold weights
    struct xn_check_weights weights;
    XN_TRY(xn_host_memory_init(&c->after, &c->plan, &c->limits, err));
    xn_check_memory_copy(&c->after, &c->before);
    XN_TRY(xn_reference_device_open(&device, err));
    int status = xn_check_bind(c, device, &weights, err);
    if (status == XN_OK) {
        status = run_reference(c, &c->after, err);
        if (status == XN_OK && c->wish.kind == XN_OP_ROUTE) status = find_ties(c, err);
        xn_check_unbind(&weights);
    }
    device->table->free(device);
    return status;
}

int xn_check_bind(struct xn_check_case *c, struct xn_device *device, struct xn_check_weights *out,
                  struct xn_error *err) {
    *out = (struct xn_check_weights){.device = device,
                                     .packed = xn_alloc_zero(c->n_matrices ? c->n_matrices : 1, sizeof *out->packed)};
    int status = out->packed ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "no memory for weights");
    uint32_t an_op = c->n_matrices / c->plan.n_ops;
    for (; status == XN_OK && out->n < c->n_matrices; out->n++) {
        const struct xn_check_matrix *m = &c->matrices[out->n];
        status = device->table->pack(device, &m->matrix, &out->packed[out->n], err);
        if (status != XN_OK) break;
        const struct xn_weights **slot = (void *)((char *)&c->plan.ops[out->n / an_op] + m->slot);
        *slot = out->packed[out->n];
    }
    if (status != XN_OK) xn_check_unbind(out);
    return status;
}

void xn_check_unbind(struct xn_check_weights *weights) {
    for (uint32_t i = 0; i < weights->n; i++)
        weights->device->table->unpack(weights->device, weights->packed[i]);
    free(weights->packed);
    *weights = (struct xn_check_weights){0};
}
