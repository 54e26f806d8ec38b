// attend for few rows on NVIDIA's GPUs: a unit of the work, and the operation. A warp finds its own tiles and goes through
// them without a barrier; what does not depend on this step is asked for before the wait for other groups. Then what the
// warps have is joined, and what groups have of a long context.

// --- a unit ---

// All heads' values of one position of the result, finished: x is value `value` of head `head` of the unit's.
static inline void xn_few_put(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                              local const struct xn_unit_of_attention *u, uint head, uint value, float x) {
    uint h = u->first_head + head;
    if (d->output_gate)
        x *= xn_sigmoid(e->act[d->in + (ulong)u->row * d->in_stride + h * d->head_stride + d->head_size + value]);
    e->act[d->out + (ulong)u->row * d->out_stride + h * d->value_size + value] = x;
}

// What sums of head h are multiplied by to become results, if the largest score and the sum of weights are these.
static inline float xn_few_inverse(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint h, float most,
                                   float sum) {
    if (d->sinks == XN_CL_NONE) return 1.0f / sum;
    float sink = e->vec[d->sinks + h] * XN_LOG2_E, larger = fmax(most, sink), factor = xn_exp2(most - larger);
    return factor / (sum * factor + xn_exp2(sink - larger));
}

// Of parts of contexts: largest scores and sums of weights, then sums of values.
static inline global float *xn_few_part_state(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint row,
                                              uint h) {
    return e->act + d->partial + (ulong)(row * d->heads + h) * d->splits * 2;
}
static inline global float *xn_few_part(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint row, uint h) {
    ulong states = ((ulong)xn_rows(e) * d->heads * d->splits * 2 + 3) & ~3ul;
    return e->act + d->partial + states + (ulong)(row * d->heads + h) * d->splits * d->value_size;
}

// What the warps have, made one: results, or a part's sums.
XN_INLINE void xn_few_join(const struct xn_env *e, XN_D const struct xn_cl_attend *d, local const struct xn_few_job *j,
                           const uint chunks, struct xn_few_state state, float (*sums)[4], local float *scratch) {
    local const struct xn_unit_of_attention *u = &j->u;
    uint lid = get_local_id(0), lane = xn_lane(), warp = xn_warp(), g = lane / 4, t = lane % 4;
    local float *mosts = scratch + XN_AT_FEW_MOST, *all = scratch + XN_AT_FEW_SUM;
    local float *room = scratch + XN_AT_FEW_QUERY; // when queries and scales are done with
    state.sum += xn_shuffle_xor(state.sum, 1);
    state.sum += xn_shuffle_xor(state.sum, 2);
    if (t == 0) {
        mosts[g * XN_FEW_PLACES + warp] = state.most;
        all[g * XN_FEW_PLACES + warp] = state.sum;
    }
#if XN_WARPS < 4
    if (lid < 32 && lid % 4 >= XN_WARPS) mosts[lid / 4 * 4 + lid % 4] = -INFINITY, all[lid / 4 * 4 + lid % 4] = 0;
#endif
    barrier(CLK_LOCAL_MEM_FENCE);
    float m[XN_FEW_PLACES / 4], most = -INFINITY, sum = 0;
#pragma unroll
    for (uint i = 0; i < XN_FEW_PLACES / 4; i++)
        most = fmax(most, m[i] = mosts[g * XN_FEW_PLACES + t + 4 * i]);
    most = fmax(most, xn_shuffle_xor(most, 1));
    most = fmax(most, xn_shuffle_xor(most, 2));
#pragma unroll
    for (uint i = 0; i < XN_FEW_PLACES / 4; i++)
        sum += all[g * XN_FEW_PLACES + t + 4 * i] * xn_exp2(m[i] - most);
    sum += xn_shuffle_xor(sum, 1);
    sum += xn_shuffle_xor(sum, 2);
    float factor = xn_exp2(state.most - most) * state.unit;
    if (u->splits == 1) {
        factor *= xn_few_inverse(e, d, u->first_head + min(g, u->heads - 1), most, sum);
    } else if (warp == 0 && t == 0 && g < u->heads) {
        global float *to = xn_few_part_state(e, d, u->row, u->first_head + g) + 2 * u->split;
        to[0] = most;
        to[1] = sum;
    }
    xn_few_scale(chunks, factor, sums);
#pragma unroll
    for (uint c = 0; c < chunks; c++) {
        if (c >= j->chunks) continue;
        if (c) barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
        for (uint i = 0; i < 4; i++)
            ((local float4 *)room)[(warp * 4 + i) * 32 + lane] =
                (float4)(sums[4 * c + i][0], sums[4 * c + i][1], sums[4 * c + i][2], sums[4 * c + i][3]);
        barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
        for (uint i = lid; i < 512; i += XN_GROUP) {
            uint l = i / 4 % 32, head = l % 4 * 2 + i % 2, value = j->value0 + 64 * c + xn_few_value(i / 128, l / 4, i / 2 % 2);
            float x = 0;
#pragma unroll
            for (uint w = 0; w < XN_WARPS; w++)
                x += room[w * 512 + i];
            if (head >= u->heads || value >= d->value_size) continue;
            if (u->splits == 1)
                xn_few_put(e, d, u, head, value, x);
            else
                xn_few_part(e, d, u->row, u->first_head + head)[u->split * d->value_size + value] = x;
        }
    }
}

// Joins the parts of a unit, by the whole group. A work-item takes four values of a head, of every second part.
#define XN_FEW_PARTS_AHEAD 8
static inline void xn_few_join_parts(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                                     local const struct xn_unit_of_attention *u, local float *scratch) {
    local float *factors = scratch + XN_AT_FEW_QUERY; // of heads and parts; zero behind the last part
    local float4 *halves = (local float4 *)(factors + XN_CL_TOGETHER * XN_CL_SPLITS);
    uint lid = get_local_id(0), half_of = lid / (XN_GROUP / 2), own = lid % (XN_GROUP / 2), a_head = d->value_size / 4;
#pragma unroll 1
    for (uint h = xn_warp(); h < u->heads; h += XN_WARPS) {
        global const float2 *states =
            (global const float2 *)xn_few_part_state(e, d, u->row, u->first_head + h);
        float2 state[XN_CL_SPLITS / XN_LANES];
        float most = -INFINITY, sum = 0;
#pragma unroll
        for (uint i = 0; i < XN_CL_SPLITS / XN_LANES; i++) {
            uint s = i * XN_LANES + xn_lane();
            state[i] = s < u->splits ? states[s] : (float2)(-INFINITY, 0);
            most = fmax(most, state[i].x);
        }
        most = xn_warp_max(most);
#pragma unroll
        for (uint i = 0; i < XN_CL_SPLITS / XN_LANES; i++)
            sum += state[i].y * xn_exp2(state[i].x - most);
        float inverse = xn_few_inverse(e, d, u->first_head + h, most, xn_warp_sum(sum, 0));
#pragma unroll
        for (uint i = 0; i < XN_CL_SPLITS / XN_LANES; i++)
            factors[h * XN_CL_SPLITS + i * XN_LANES + xn_lane()] = xn_exp2(state[i].x - most) * inverse;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
    for (uint i0 = 0; i0 < u->heads * a_head; i0 += XN_GROUP / 2) {
        uint i = min(i0 + own, u->heads * a_head - 1), h = i / a_head, x = 4 * (i - h * a_head);
        global const float *part = xn_few_part(e, d, u->row, u->first_head + h) + x;
        float4 sum = 0;
#pragma unroll 1
        for (uint s0 = half_of; s0 < u->splits; s0 += 2 * XN_FEW_PARTS_AHEAD) {
            float4 y[XN_FEW_PARTS_AHEAD];
#pragma unroll
            for (uint k = 0; k < XN_FEW_PARTS_AHEAD; k++)
                y[k] = *(global const float4 *)(part + min(s0 + 2 * k, u->splits - 1) * d->value_size);
            xn_warp_together();
#pragma unroll
            for (uint k = 0; k < XN_FEW_PARTS_AHEAD; k++)
                sum += y[k] * factors[h * XN_CL_SPLITS + s0 + 2 * k];
        }
        halves[lid] = sum;
        barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
        for (uint k = lid; k < min(2u * XN_GROUP, 4 * (u->heads * a_head - i0)); k += XN_GROUP) {
            local const float *x0 = (local const float *)halves + k;
            uint at = 4 * i0 + k, head = at / d->value_size;
            xn_few_put(e, d, u, head, at - head * d->value_size, x0[0] + x0[2 * XN_GROUP]);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

// Who a unit waits for, once: the operation before (barriers 0: for nobody but this group). False: that was given up.
struct xn_few_wait {
    volatile global uint *barriers;
    uint target;
    local uint *flag;
};
static inline bool xn_few_await(const struct xn_few_wait *w) {
#ifdef XN_WALK
    if (w->barriers) return xn_all_wait(w->barriers, w->target, w->flag);
#endif
    barrier(CLK_LOCAL_MEM_FENCE); // for what it had in local memory
    return true;
}

// A unit, of which there may be no positions: then the group only waits.
XN_INLINE bool xn_few_unit(const struct xn_env *e, XN_D const struct xn_cl_attend *d, local const struct xn_few_job *j,
                           const struct xn_few_wait *w, local float *scratch, const uint key_chunks,
                           const uint value_chunks) {
    local const struct xn_unit_of_attention *u = &j->u;
    const uint n = value_chunks < XN_FEW_VALUES_AHEAD ? value_chunks : XN_FEW_VALUES_AHEAD;
    local uint *query = (local uint *)(scratch + XN_AT_FEW_QUERY), *scales = query;
#ifdef XN_CACHE_BLOCKS
    scales += 256 * key_chunks + xn_warp() * 2 * XN_FEW_SCALES(key_chunks);
#endif
    local const uint *value_scales = scales + XN_FEW_SCALES(key_chunks);
    struct xn_few_state state = {-INFINITY, 0, XN_FEW_LEAST_UNIT};
    float sums[4 * XN_FEW_VALUE_CHUNKS][4];
#pragma unroll
    for (uint i = 0; i < 4 * value_chunks; i++)
        sums[i][0] = sums[i][1] = sums[i][2] = sums[i][3] = 0;
    // The tile at hand, and the next one, whose first there is before the wait.
    struct xn_few_tile tile;
    uint next = u->begin / XN_FEW_POSITIONS * XN_FEW_POSITIONS + xn_warp() * XN_FEW_POSITIONS, first = 0;
    bool begun = false;
#pragma unroll 1
    for (;;) {
        struct xn_few_tile at = tile;
        uint end = min(u->end - first, (uint)XN_FEW_POSITIONS), page = 0, in_page = 0;
        float p[4] = {0, 0, 0, 0};
        bool more = next < u->end;
        if (more) { // its number is there when it is used
            uint page_size = xn_few_page_size(e), which = next / page_size;
            page = xn_few_pages(e, u->row)[which];
            in_page = next - which * page_size;
        }
        // Between the reads of keys and their products there is nothing: with more the compiler has no registers for them, and
        // waits for each to put it elsewhere.
        if (begun) {
            struct xn_few_keys keys = xn_few_read_keys(d, at.key, 0);
            xn_few_read_scales(d, at, end - 1, key_chunks, scales, &state);
            xn_warp_together(); // all reads are on their way
            xn_few_add_scores(d, &keys, 0, key_chunks, query, scales, p);
#pragma unroll
            for (uint c = XN_FEW_KEYS_AHEAD; c < key_chunks; c += XN_FEW_KEYS_AHEAD) {
                keys = xn_few_read_keys(d, at.key, c);
                xn_warp_together();
                xn_few_add_scores(d, &keys, c, key_chunks, query, scales, p);
            }
        }
        if (more) {
            tile = xn_few_tile_of(e, d, u->g, page, in_page);
            xn_few_ask(d, &tile);
        }
        if (begun) {
            struct xn_few_values values = xn_few_read_values(d, at.value, end - 1, j->value0 / 64, j->chunks, n);
            xn_warp_together();
            float factor = xn_few_soften(d, u->begin > first ? u->begin - first : 0, end, p, &state);
            xn_few_scale(value_chunks, factor, sums);
            xn_few_add_values(d, &values, j->value0 / 64, j->chunks, n, value_scales, p, sums);
#pragma unroll
            for (uint c = n; c < value_chunks; c += n) {
                if (c >= j->chunks) continue;
                values = xn_few_read_values(d, at.value, end - 1, j->value0 / 64 + c, j->chunks - c, n);
                xn_warp_together();
                xn_few_add_values(d, &values, j->value0 / 64 + c, j->chunks - c, n, value_scales, p, sums + 4 * c);
            }
        } else {
            if (!xn_few_await(w)) return false;
            if (u->end == 0) return true;
            xn_few_queries(e, d, u, key_chunks, query);
            barrier(CLK_LOCAL_MEM_FENCE);
            begun = true;
        }
        if (!more) break;
        first = next;
        next += XN_WARPS * XN_FEW_POSITIONS;
    }
    xn_few_join(e, d, j, value_chunks, state, sums, scratch);
    if (u->splits > 1 && xn_arrive(e->counters + u->row * d->heads + u->first_head, u->splits,
                                   (local uint *)(scratch + XN_AT_ATTEND_FLAG)))
        xn_few_join_parts(e, d, u, scratch);
    return true;
}

static inline bool xn_few_run(const struct xn_env *e, XN_D const struct xn_cl_attend *d, local const struct xn_few_job *j,
                              const struct xn_few_wait *w, local float *scratch) {
#define XN_SIZE(number, keys, values)                                                                                  \
    if (d->few == number) return xn_few_unit(e, d, j, w, scratch, keys, values);
    XN_FEW_SIZES(XN_SIZE)
#undef XN_SIZE
    return true;
}

// The whole operation, after a wait; false: that was given up.
static inline bool xn_few_attend(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint group, uint groups,
                                 struct xn_few_wait w, local float *scratch) {
    local struct xn_few_job *j = (local struct xn_few_job *)(scratch + XN_AT_FEW_JOB);
    struct xn_few_cut cut = xn_few_cut_of(e, d, groups);
    uint u = group;
#pragma unroll 1
    do {
        xn_few_take(e, d, &cut, u, j);
        if (!xn_few_run(e, d, j, &w, scratch)) return false;
        w.barriers = 0;
        u += groups;
        if (u < cut.units) barrier(CLK_LOCAL_MEM_FENCE); // this job is done with
    } while (u < cut.units);
    return true;
}

#ifndef XN_WALK
// A row and a set of heads, whose context is one part.
static inline void xn_few_whole(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint row, uint pair,
                                local float *scratch) {
    struct xn_few_wait nobody = {0, 0, 0};
    local struct xn_few_job *j = (local struct xn_few_job *)(scratch + XN_AT_FEW_JOB);
    barrier(CLK_LOCAL_MEM_FENCE);
    xn_few_job_of(e, d, row, pair, 0, 1, 0, 0, (d->value_size + 63) / 64, true, j);
    xn_few_run(e, d, j, &nobody, scratch);
}
#endif
