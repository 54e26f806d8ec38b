// route: the router's product, and for each row the choice of its experts by the group that completes its scores.

// Local memory of the choice.
#define XN_AT_SCORE 0
#define XN_AT_CHOICE XN_CL_MAX_EXPERTS
#define XN_AT_RANK (2 * XN_CL_MAX_EXPERTS)
#define XN_AT_BEST (3 * XN_CL_MAX_EXPERTS) // weights of those chosen
#ifndef XN_AT_RED
#define XN_AT_RED (4 * XN_CL_MAX_EXPERTS)
#endif

// Takes the groups of experts that are not among the best out of the choice. Of equal groups the later one goes.
static inline void xn_limit_groups(XN_D const struct xn_cl_choice *d, uint experts, local float *choice,
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

// An expert's place is how many are before it, counted by 2^bits work-items for each, as many as there are (up to a warp).
static inline uint xn_place_bits(uint experts) {
    uint bits = 0;
    while (bits < 5 && experts << (bits + 1) <= XN_GROUP)
        bits++;
    return bits;
}
// The share of work-item x of them of those before expert i.
static inline uint xn_count_before(local const float *choice, uint experts, uint i, uint x, uint bits) {
    float own = choice[i];
    uint before = 0;
#pragma unroll 8
    for (uint k = x & ((1u << bits) - 1); k < experts; k += 1u << bits)
        before += choice[k] > own || (choice[k] == own && k < i);
    return before;
}

// Chooses a row's experts: ids, the best first, to local memory (XN_CHOSEN), and their weights (XN_CHOSEN_WEIGHTS). Of equal
// ones the first is better. really: or do nothing, together with the others.
#ifdef XN_WALK
// All groups choose at once here, and all wait for it. So each warp finds the highest logit and the sum for itself, without a
// barrier. (One warp alone, with a round for each expert that is taken, took 10,000 cycles.)
#define XN_CHOSEN(scratch) ((local uint *)(scratch) + XN_AT_BEST)
#define XN_CHOSEN_WEIGHTS(scratch) ((scratch) + XN_AT_BEST + XN_CL_SLICE_ROWS_FEW) // a token has no more experts
static inline void xn_choose_ids(const struct xn_env *e, XN_D const struct xn_cl_choice *d, uint row, local float *scratch) {
    local float *score = scratch + XN_AT_SCORE, *power = scratch + XN_AT_CHOICE, *choice = scratch + XN_AT_RANK;
    local uint *chosen = XN_CHOSEN(scratch);
    global const float *logits = e->act + d->scratch + (ulong)row * d->experts;
    uint lid = get_local_id(0), experts = d->experts, used = d->used;
    float most = -INFINITY, sum = 0;
#pragma unroll 1
    for (uint i = lid; i < experts; i += XN_GROUP)
        score[i] = logits[i];
    if (lid < used) chosen[lid] = 0; // also where scores are not numbers
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 4
    for (uint i = xn_lane(); i < experts; i += XN_LANES)
        most = fmax(most, score[i]);
    most = xn_warp_max(most);
#pragma unroll 1
    for (uint i = lid; i < experts; i += XN_GROUP)
        power[i] = exp(score[i] - most);
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 4
    for (uint i = xn_lane(); i < experts; i += XN_LANES)
        sum += power[i];
    sum = xn_warp_sum(sum, 0);
#pragma unroll 1
    for (uint i = lid; i < experts; i += XN_GROUP) {
        float x = d->sigmoid ? xn_sigmoid(score[i]) : power[i] / sum;
        score[i] = x;
        choice[i] = x + (d->selection_bias != XN_CL_NONE ? e->vec[d->selection_bias + i] : 0);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (d->groups > 1) xn_limit_groups(d, experts, choice, power);
    uint bits = xn_place_bits(experts);
#pragma unroll 1
    for (uint x0 = 0; x0 < experts << bits; x0 += XN_GROUP) {
        uint x = x0 + lid, i = min(x >> bits, experts - 1);
        float before = (float)xn_count_before(choice, experts, i, x, bits);
        for (uint mask = 1; mask < 1u << bits; mask *= 2)
            before += xn_shuffle_xor(before, mask);
        if (x < experts << bits && before < (float)used && choice[i] == choice[i]) chosen[(uint)before] = i;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}
// The weights of those, by a warp.
static inline void xn_weigh(const struct xn_env *e, XN_D const struct xn_cl_choice *d, local float *scratch) {
    local const float *score = scratch + XN_AT_SCORE;
    local const uint *chosen = XN_CHOSEN(scratch);
    float sum = 0;
#pragma unroll 1
    for (uint j = xn_lane(); j < d->used; j += XN_LANES)
        sum += score[chosen[j]];
    sum = xn_warp_sum(sum, 0);
    float factor = d->scale / (d->normalize ? sum + d->sum_epsilon : 1.0f);
#pragma unroll 1
    for (uint j = xn_lane(); j < d->used; j += XN_LANES) {
        uint i = chosen[j];
        float scale = d->expert_scale != XN_CL_NONE ? e->vec[d->expert_scale + i] : 1.0f;
        XN_CHOSEN_WEIGHTS(scratch)[j] = score[i] * scale * factor;
    }
}
#else
#define XN_CHOSEN(scratch) ((local uint *)(scratch) + XN_AT_RANK)
#define XN_CHOSEN_WEIGHTS(scratch) ((scratch) + XN_AT_BEST)
// Scores of a row, of its logits.
static inline void xn_scores(XN_D const struct xn_cl_choice *d, uint experts, global const float *logits,
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

static inline void xn_choose(const struct xn_env *e, XN_D const struct xn_cl_choice *d, uint row, bool really,
                             local float *scratch) {
    local float *score = scratch + XN_AT_SCORE, *choice = scratch + XN_AT_CHOICE, *best = scratch + XN_AT_BEST;
    local float *red = scratch + XN_AT_RED;
    local uint *chosen = XN_CHOSEN(scratch), *place = (local uint *)best;
    uint lid = get_local_id(0), experts = really ? d->experts : 0, used = really ? d->used : 0;
    xn_scores(d, experts, e->act + d->scratch + (ulong)row * d->experts, score, red);
    for (uint i = lid; i < experts; i += XN_GROUP) {
        choice[i] = score[i] + (d->selection_bias != XN_CL_NONE ? e->vec[d->selection_bias + i] : 0);
        place[i] = 0;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    xn_limit_groups(d, experts, choice, scratch + XN_AT_RANK);
    for (uint j = lid; j < used; j += XN_GROUP)
        chosen[j] = 0; // also where scores are not numbers
    uint bits = xn_place_bits(d->experts);
    for (uint x = lid; x < experts << bits; x += XN_GROUP) {
        uint before = xn_count_before(choice, experts, x >> bits, x, bits);
        if (before) atomic_add(place + (x >> bits), before);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = lid; i < experts; i += XN_GROUP)
        if (place[i] < used && choice[i] == choice[i]) chosen[place[i]] = i;
    barrier(CLK_LOCAL_MEM_FENCE);
    float sum = 0;
#pragma unroll 8
    for (uint j = 0; j < used; j++)
        sum += score[chosen[j]];
    float factor = d->scale / (d->normalize ? sum + d->sum_epsilon : 1.0f);
    for (uint j = lid; j < used; j += XN_GROUP) {
        uint i = chosen[j];
        best[j] = score[i] * (d->expert_scale != XN_CL_NONE ? e->vec[d->expert_scale + i] : 1.0f) * factor;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}
#endif
// The choice, to where other groups and operations find it, by `workers` work-items.
static inline void xn_publish(const struct xn_env *e, XN_D const struct xn_cl_choice *d, uint row, uint worker, uint workers,
                              bool really, local float *scratch) {
    for (uint j = worker; j < (really ? d->used : 0); j += workers) {
        ((global uint *)e->act)[d->ids + row * d->width + j] = XN_CHOSEN(scratch)[j];
        e->act[d->chosen_weights + row * d->width + j] = XN_CHOSEN_WEIGHTS(scratch)[j];
    }
}
#ifdef XN_WALK
// Both, by the group's last warp; what it reads of local memory must stay until a barrier.
static inline void xn_weigh_and_publish(const struct xn_env *e, XN_D const struct xn_cl_choice *d, uint row,
                                        local float *scratch) {
    if (xn_warp() + 1 < XN_WARPS) return;
    xn_weigh(e, d, scratch);
    xn_warp_together();
    xn_publish(e, d, row, xn_lane(), XN_LANES, true, scratch);
}
#endif

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
                e->act[d->choice.scratch + (ulong)row * d->choice.experts + r] =
                    x + (d->bias != XN_CL_NONE ? e->vec[d->bias + r] : 0);
        }
        uint complete = xn_arrive(e->counters + tile, blocks, (local uint *)(scratch + XN_AT_FLAG)) ? o.n : 0;
        XN_EACH(t, 0, complete) {
            xn_choose(e, &d->choice, o.first + t, complete != 0, scratch);
            xn_publish(e, &d->choice, o.first + t, get_local_id(0), XN_GROUP, complete != 0, scratch);
            barrier(CLK_LOCAL_MEM_FENCE);
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
        xn_choose(e, &d->choice, row, true, scratch);
        xn_publish(e, &d->choice, row, get_local_id(0), XN_GROUP, true, scratch);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    XN_NEXT(row, n, groups);
}
#define xn_cl_choose xn_cl_route
XN_OP_KERNEL(choose)
#endif
