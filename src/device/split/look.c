// What a plan is made of and how large it is on each member, before it is decided where it goes.
#include "device/split/deciding.h"

#include "quant/format.h"

uint64_t xn_split_packed_bytes(const struct xn_device *device, const struct xn_matrix *matrix) {
    const struct xn_format *f = xn_format_of(matrix->type);
    size_t bytes = 0;
    if (device->table->packed_bytes) return device->table->packed_bytes(device, matrix);
    if (!f || !xn_format_bytes(f, (uint64_t)matrix->rows * matrix->cols, &bytes)) return 0;
    return (uint64_t)bytes * matrix->count;
}

static int find_units(struct deciding *w) {
    const struct xn_plan *plan = w->plan;
    int last = -1, with_experts = -1;
    for (uint32_t i = 0; i < plan->n_ops; i++)
        if (plan->ops[i].layer > last) last = plan->ops[i].layer;
    w->layers = (uint32_t)(last + 1);
    w->n_units = w->layers + 2;
    w->unit = xn_arena_alloc(&w->arena, plan->n_ops, sizeof *w->unit);
    w->expert_layer = xn_arena_alloc(&w->arena, plan->n_ops, sizeof *w->expert_layer);
    w->of_unit = xn_arena_alloc(&w->arena, w->n_units, sizeof *w->of_unit);
    if (!w->unit || !w->expert_layer || !w->of_unit) return -1;
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        const struct xn_op *op = &plan->ops[i];
        bool experts = op->kind == XN_OP_EXPERT_GATE || op->kind == XN_OP_EXPERT_ADD;
        w->unit[i] = op->layer >= 0 ? (uint32_t)op->layer + 1 : w->effects[i].logits ? w->n_units - 1 : 0;
        if (experts && op->layer != with_experts) w->expert_layers++;
        if (experts) with_experts = op->layer;
        w->expert_layer[i] = experts ? w->expert_layers - 1 : UINT32_MAX;
    }
    return 0;
}

static int find_weights(struct deciding *w) {
    const struct xn_plan *plan = w->plan;
    uint32_t members = w->d->n_members;
    w->weights = xn_arena_alloc(&w->arena, (size_t)plan->n_ops * XN_MAX_WEIGHTS, sizeof *w->weights);
    w->weights_of = xn_arena_alloc(&w->arena, plan->n_ops, sizeof *w->weights_of);
    if (!w->weights || !w->weights_of) return -1;
    for (uint32_t i = 0; i < plan->n_ops; i++)
        for (uint32_t j = 0; j < w->effects[i].n_weights; j++) {
            const struct xn_weights *one = *w->effects[i].weights[j];
            uint32_t k = 0;
            while (k < w->n_weights && w->weights[k] != one)
                k++;
            w->weights[k] = one;
            if (k == w->n_weights) w->n_weights++;
            w->weights_of[i][j] = k;
        }
    w->seen = xn_arena_alloc(&w->arena, w->n_weights, sizeof *w->seen);
    w->weight_bytes = xn_arena_alloc(&w->arena, (size_t)w->n_weights * members, sizeof *w->weight_bytes);
    if (!w->seen || !w->weight_bytes) return -1;
    for (uint32_t k = 0; k < w->n_weights; k++)
        for (uint32_t m = 0; m < members; m++)
            w->weight_bytes[(size_t)k * members + m] =
                xn_split_packed_bytes(w->d->member[m].device, &w->weights[k]->matrix);
    return 0;
}

// Cache, states and activations, as each member would have them of the whole plan.
static int find_memory(struct deciding *w, const struct xn_limits *limits) {
    const struct xn_plan *plan = w->plan;
    uint32_t members = w->d->n_members;
    w->cache_bytes = xn_arena_alloc(&w->arena, (size_t)plan->n_cache * members, sizeof *w->cache_bytes);
    w->state_bytes = xn_arena_alloc(&w->arena, (size_t)plan->n_states * members, sizeof *w->state_bytes);
    if (!w->cache_bytes || !w->state_bytes) return -1;
    for (uint32_t m = 0; m < members; m++) {
        const struct xn_device *device = w->d->member[m].device;
        uint64_t all, states = 0, as_f16 = 0;
        device->table->memory(device, plan, limits, &all, &w->activations[m]);
        for (uint32_t i = 0; i < plan->n_states; i++) {
            uint64_t bytes =
                4 * (uint64_t)limits->slots * ((uint64_t)plan->states[i].conv_size + plan->states[i].recurrent_size);
            w->state_bytes[(size_t)i * members + m] = bytes;
            states += bytes;
        }
        for (uint32_t i = 0; i < plan->n_cache; i++)
            as_f16 += (uint64_t)limits->pages * xn_cache_layer_bytes(&plan->cache[i], XN_F16, limits->page_size);
        double each = as_f16 && all > states ? (double)(all - states) / (double)as_f16 : 0;
        for (uint32_t i = 0; i < plan->n_cache; i++)
            w->cache_bytes[(size_t)i * members + m] =
                (uint64_t)(each * (double)limits->pages *
                           (double)xn_cache_layer_bytes(&plan->cache[i], XN_F16, limits->page_size));
    }
    return 0;
}

int xn_split_look(struct deciding *w, const struct xn_split_device *d, const struct xn_plan *plan,
                  const struct xn_limits *limits, struct xn_error *err) {
    *w = (struct deciding){.d = d, .plan = plan};
    w->effects = xn_arena_alloc(&w->arena, plan->n_ops, sizeof *w->effects);
    w->member = xn_arena_alloc(&w->arena, plan->n_ops, sizeof *w->member);
    bool ok = w->effects && w->member;
    for (uint32_t i = 0; i < plan->n_ops && ok; i++)
        xn_op_effects(plan, &plan->ops[i], &w->effects[i]);
    if (ok && find_units(w) == 0 && find_weights(w) == 0 && find_memory(w, limits) == 0) return XN_OK;
    xn_arena_free(&w->arena);
    return xn_fail(err, XN_ERR_NOMEM, "no memory to split a plan");
}
