// route: the router's product, and for each row the choice of its experts by the group that completes its scores.

// Local memory of the choice.
#define XN_AT_SCORE 0
#define XN_AT_CHOICE XN_CL_MAX_EXPERTS
#define XN_AT_RANK (2 * XN_CL_MAX_EXPERTS)
#define XN_AT_BEST (3 * XN_CL_MAX_EXPERTS) // weights of those chosen
#ifndef XN_AT_RED
#define XN_AT_RED (4 * XN_CL_MAX_EXPERTS)
#endif

// Scores of a row, of its logits.
static inline void xn_scores(XN_D const struct xn_cl_route *d, uint experts, global const float *logits,
                             local float *score, local float *red) {
    uint lid = get_local_id(0);
    float most = -INFINITY, sum = 0;
    for (uint i = lid; i < experts; i += XN_GROUP)
        most = fmax(most, logits[i]);
    most = xn_group_max(most, red);
    for (uint i = lid; i < experts; i += XN_GROUP)
        sum += score[i] = exp(logits[i] - most);
    sum = xn_group_sum(sum, red);
    for (uint i = lid; i < experts; i += XN_GROUP)
        score[i] = d->sigmoid ? xn_sigmoid(logits[i]) : score[i] / sum;
    barrier(CLK_LOCAL_MEM_FENCE);
}

// Takes the groups of experts that are not among the best out of the choice. Of equal groups the later one goes.
static inline void xn_limit_groups(XN_D const struct xn_cl_route *d, uint experts, local float *choice,
                                   local float *rank) {
    uint groups = experts && d->groups > 1 ? d->groups : 0, size = groups ? experts / groups : 1;
    for (uint g = get_local_id(0); g < groups; g += XN_GROUP) {
        float first = -INFINITY, second = -INFINITY;
        for (uint i = g * size; i < (g + 1) * size; i++) {
            if (choice[i] > first) {
                second = first;
                first = choice[i];
            } else if (choice[i] > second) {
                second = choice[i];
            }
        }
        rank[g] = size > 1 && d->group_best > 1 ? first + second : first;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = get_local_id(0); i < (groups ? experts : 0); i += XN_GROUP) {
        uint g = i / size, better = 0;
        for (uint h = 0; h < groups; h++)
            better += rank[h] > rank[g] || (rank[h] == rank[g] && h < g);
        if (better >= d->groups_used) choice[i] = -INFINITY;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

// really: or do nothing, together with the others.
static inline void xn_choose(const struct xn_env *e, XN_D const struct xn_cl_route *d, uint row, bool really,
                             local float *scratch) {
    local float *score = scratch + XN_AT_SCORE, *choice = scratch + XN_AT_CHOICE, *best = scratch + XN_AT_BEST;
    local float *red = scratch + XN_AT_RED;
    uint lid = get_local_id(0), experts = really ? d->experts : 0;
    float sum = 0;
    xn_scores(d, experts, e->act + d->scratch + (ulong)row * d->experts, score, red);
    for (uint i = lid; i < experts; i += XN_GROUP)
        choice[i] = score[i] + (d->selection_bias != XN_CL_NONE ? e->vec[d->selection_bias + i] : 0);
    barrier(CLK_LOCAL_MEM_FENCE);
    xn_limit_groups(d, experts, choice, scratch + XN_AT_RANK);
    global uint *ids = (global uint *)e->act + d->ids + row * d->width;
    // The best ones, of equal ones the first: an expert's place among all says whether it is one of them.
    local uint *chosen = (local uint *)(scratch + XN_AT_RANK);
    for (uint j = lid; j < (really ? d->used : 0); j += XN_GROUP)
        chosen[j] = 0; // also where scores are not numbers
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = lid; i < experts; i += XN_GROUP) {
        float own = choice[i];
        uint place = 0;
        for (uint k = 0; k < experts; k++)
            place += choice[k] > own || (choice[k] == own && k < i);
        if (place < d->used) chosen[place] = i;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint j = 0; j < (really ? d->used : 0); j++)
        sum += score[chosen[j]];
    for (uint j = lid; j < (really ? d->used : 0); j += XN_GROUP) {
        uint i = chosen[j];
        ids[j] = i;
        best[j] = score[i] * (d->expert_scale != XN_CL_NONE ? e->vec[d->expert_scale + i] : 1.0f);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    float factor = d->scale / (d->normalize ? sum + d->sum_epsilon : 1.0f);
    for (uint j = lid; j < (really ? d->used : 0); j += XN_GROUP)
        e->act[d->chosen_weights + row * d->width + j] = best[j] * factor;
    barrier(CLK_LOCAL_MEM_FENCE);
}

#if defined(XN_OP_ROUTE) && !defined(XN_WALK)
static inline void xn_op_route(const struct xn_env *e, XN_D const struct xn_cl_route *d, uint group, uint groups,
                               local float *scratch) {
    uint n = xn_rows(e);
    struct xn_cut cut = xn_cut_of(n, d->router.rows + d->shared.rows, groups);
    struct xn_operand o = xn_operand_of(&d->in, XN_CL_NONE);
    uint of_router = xn_blocks(&cut, d->router.rows), blocks = of_router + xn_blocks(&cut, d->shared.rows);
    local const float *y = scratch + XN_AT_Y;
    uint units = cut.tiles * blocks;
    if (group >= units) return;
    XN_EACH(u, group, units) {
        uint tile = u / blocks, block = u % blocks;
        bool shared = block >= of_router;
        XN_D const struct xn_cl_weights *w = shared ? &d->shared : &d->router;
        uint row0 = (shared ? block - of_router : block) * cut.rows;
        uint m = w->rows - row0 < cut.rows ? w->rows - row0 : cut.rows;
        o.first = tile * cut.tokens;
        o.n = n - o.first < cut.tokens ? n - o.first : cut.tokens;
        xn_operand_moments(e, &o, false, scratch);
        xn_product(e, w, 0, row0, m, &o, scratch, scratch + XN_AT_Y);
        for (uint i = get_local_id(0); i < o.n * m; i += XN_GROUP) {
            uint row = o.first + i / m, r = row0 + i % m;
            float x = y[i / m * XN_Y_STRIDE + i % m];
            if (shared)
                e->act[d->gate + (ulong)row * d->gate_stride] = xn_sigmoid(x);
            else
                e->act[d->scratch + (ulong)row * d->experts + r] = x + (d->bias != XN_CL_NONE ? e->vec[d->bias + r] : 0);
        }
        uint complete = xn_arrive(e->counters + tile, blocks, (local uint *)(scratch + XN_AT_FLAG)) ? o.n : 0;
        XN_EACH(t, 0, complete) {
            xn_choose(e, d, o.first + t, complete != 0, scratch);
        }
        XN_NEXT(t, complete, 1);
    }
    XN_NEXT(u, units, groups);
}
XN_OP_KERNEL(route)
#endif

// For many rows, whose scores are there.
#ifdef XN_OP_CHOOSE
static inline void xn_op_choose(const struct xn_env *e, XN_D const struct xn_cl_route *d, uint group, uint groups,
                                local float *scratch) {
    uint n = xn_rows(e);
    if (group >= n) return;
    XN_EACH(row, group, n) {
        if (d->shared.rows && get_local_id(0) == 0) {
            global float *gate = e->act + d->gate + (ulong)row * d->gate_stride;
            *gate = xn_sigmoid(*gate);
        }
        xn_choose(e, d, row, true, scratch);
    }
    XN_NEXT(row, n, groups);
}
#define xn_cl_choose xn_cl_route
XN_OP_KERNEL(choose)
#endif
