// attend for few rows on NVIDIA's GPUs: a unit of the work, and the operation. A warp finds its own tiles and goes through
// them without a barrier; what does not depend on this step is asked for before the wait for other groups. Then what the
// warps have is joined, and what groups have of a long context.

// --- the step's own positions, of a cache in blocks ---

#if defined(XN_WALK) && defined(XN_CACHE_BLOCKS)
#define XN_FEW_STORES
// A warp makes a lane's value each a block of the cache.
static inline void xn_few_store_block(float x, global uchar *codes, global half *scale_at) {
    uint lane = xn_lane(), bits = as_uint(x) & 0x7fffffff;
    uint most = xn_warp_most(bits > 0x7f800000 ? 0 : bits); // of numbers
#ifdef XN_CACHE_Q8_0
    float scale = as_float(most) / 127, inverse = scale != 0 ? 1 / scale : 0;
    ((global char *)codes)[lane] = (char)xn_code(x, inverse, -127, 127);
#else
    uint first = 31 - xn_warp_most(bits == most ? 31 - lane : 0);
    float scale = most ? xn_shuffle(x, first) / -8 : 0, inverse = scale != 0 ? 1 / scale : 0;
    uint word = (uint)((int)xn_code(x, inverse, -8, 7) + 8) << (lane % 8 / 2 * 4 + lane % 2 * 16);
#pragma unroll
    for (uint mask = 1; mask < 8; mask *= 2)
        word |= as_uint(xn_shuffle_xor(as_float(word), mask));
    if (lane % 8 == 0) ((global uint *)codes)[lane / 8] = word;
#endif
    if (lane == 0) vstore_half_rte(scale, 0, scale_at);
}

// Puts into the cache what a unit sees of this step: heads that project left in scratch. Other groups may do so too, and
// write the same; so nobody waits for it but this group, where it is true.
static inline bool xn_few_store(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                                local const struct xn_unit_of_attention *u) {
    uint position = xn_position_of_row(e, u->row), from = max(u->begin, e->spans[u->row].y), at = xn_warp();
    uint n = u->end > from ? u->end - from : 0, row0 = u->row - (position - from);
#pragma unroll 1
    for (uint i = 0; i < d->n_stored; i++) {
        XN_D const struct xn_cl_stored *s = &d->stored[i];
        XN_D const struct xn_cl_cache *c = s->values ? &d->values : &d->keys;
        uint blocks = s->head_size / XN_CACHE_BLOCK, of_row = c->size / XN_CACHE_BLOCK, codes = of_row * XN_BLOCK_BYTES;
#pragma unroll 1
        for (; at < n * blocks; at += XN_WARPS) {
            uint r = at / blocks, block = at - r * blocks, row = row0 + r;
            uint in_page = e->tokens[row].w, to = s->cache_at / XN_CACHE_BLOCK + block;
            float x = e->act[s->in + (ulong)row * s->in_stride + u->g * s->head_stride + XN_CACHE_BLOCK * block + xn_lane()];
            global uchar *head = xn_page(e, c, e->tokens[row].z) + (ulong)(u->g * e->page_size) * (codes + 2 * of_row);
            xn_few_store_block(x, head + in_page * codes + to * XN_BLOCK_BYTES,
                               (global half *)(head + e->page_size * codes) + in_page * of_row + to);
        }
        at -= n * blocks;
    }
    return n && d->n_stored;
}
#endif

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
static inline global float *xn_few_part(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                                        local const struct xn_few_job *j, uint h) {
    ulong states = ((ulong)j->rows * d->heads * d->splits * 2 + 3) & ~3ul;
    return e->act + d->partial + states + (ulong)(j->u.row * d->heads + h) * d->splits * d->value_size;
}

// What the warps have, made one: results, or a part's sums.
XN_INLINE void xn_few_join(const struct xn_env *e, XN_D const struct xn_cl_attend *d, local const struct xn_few_job *j,
                           struct xn_few_state state, float (*sums)[4], local float *scratch) {
    local const struct xn_unit_of_attention *u = &j->u;
    uint lid = get_local_id(0), lane = xn_lane(), warp = xn_warp(), g = lane / 4, t = lane % 4;
    uint warps = XN_WARPS / j->chunks; // of a chunk
    local float *mosts = scratch + XN_AT_FEW_MOST, *all = scratch + XN_AT_FEW_SUM;
    local float *room = scratch + XN_AT_FEW_QUERY; // when queries and scales are done with
    state.sum += xn_shuffle_xor(state.sum, 1);
    state.sum += xn_shuffle_xor(state.sum, 2);
    if (t == 0) { // those of further chunks went through the same tiles
        mosts[g * XN_FEW_PLACES + warp] = warp < warps ? state.most : -INFINITY;
        all[g * XN_FEW_PLACES + warp] = warp < warps ? state.sum : 0;
    }
#if XN_WARPS < 4
    if (lid < 32 && lid % 4 >= XN_WARPS) mosts[lid] = -INFINITY, all[lid] = 0;
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
    xn_few_scale(factor, sums);
#pragma unroll
    for (uint i = 0; i < 4; i++)
        ((local float4 *)room)[(warp * 4 + i) * 32 + lane] = (float4)(sums[i][0], sums[i][1], sums[i][2], sums[i][3]);
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll 1
    for (uint i = lid; i < 512 * j->chunks; i += XN_GROUP) {
        uint l = i / 4 % 32, head = l % 4 * 2 + i % 2, chunk = i / 512, value = j->value0 + 64 * chunk;
        local const float *from = room + chunk * warps * 512 + i % 512;
        float x = 0;
        value += xn_few_value(i / 128 % 4, l / 4, i / 2 % 2);
#pragma unroll
        for (uint w = 0; w < XN_WARPS; w++)
            if (w < warps) x += from[w * 512];
        if (head >= u->heads || value >= d->value_size) continue;
        if (u->splits == 1)
            xn_few_put(e, d, u, head, value, x);
        else
            xn_few_part(e, d, j, u->first_head + head)[u->split * d->value_size + value] = x;
    }
}

// Joins the parts of a unit, by the whole group. A work-item takes four values of a head, of every second part.
#define XN_FEW_PARTS_AHEAD 8
static inline void xn_few_join_parts(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                                     local const struct xn_few_job *j, local float *scratch) {
    local const struct xn_unit_of_attention *u = &j->u;
    uint values = min(64 * j->chunks, d->value_size - j->value0);
    local float *factors = scratch + XN_AT_FEW_QUERY; // of heads and parts; zero behind the last part
    local float4 *halves = (local float4 *)(factors + XN_CL_TOGETHER * XN_CL_SPLITS);
    uint lid = get_local_id(0), half_of = lid / (XN_GROUP / 2), own = lid % (XN_GROUP / 2), a_head = values / 4;
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
        global const float *part = xn_few_part(e, d, j, u->first_head + h) + j->value0 + x;
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
            uint at = 4 * i0 + k, head = at / values;
            xn_few_put(e, d, u, head, j->value0 + at - head * values, x0[0] + x0[2 * XN_GROUP]);
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
                           const struct xn_few_wait *w, local float *scratch, const uint key_chunks) {
    local const struct xn_unit_of_attention *u = &j->u;
    local uint *query = (local uint *)(scratch + XN_AT_FEW_QUERY), *scales = query;
#ifdef XN_CACHE_BLOCKS
    scales += 256 * key_chunks + xn_warp() * 2 * XN_FEW_SCALES(key_chunks);
#endif
    local const uint *value_scales = scales + XN_FEW_SCALES(key_chunks);
    struct xn_few_state state = {-INFINITY, 0, XN_FEW_LEAST_UNIT};
    float sums[4][4];
#pragma unroll
    for (uint i = 0; i < 4; i++)
        sums[i][0] = sums[i][1] = sums[i][2] = sums[i][3] = 0;
    // What is read of a tile is asked for one after the other, each a phase of the tile before: so some is always on its way,
    // in the registers of what was read before. Where the first tile lies is known before the wait, and it is asked for.
    const uint steps = key_chunks / 2, held = steps < 2 ? steps : 2;
    const uint early_at = XN_AT_FEW_QUERY + XN_FEW_EARLY_AT(key_chunks);
    const bool room = early_at + 4 * XN_FEW_EARLY * XN_WARPS <= XN_SCRATCH; // for values in local memory
    local uint4 *early = (local uint4 *)(scratch + early_at) + xn_warp() * XN_FEW_EARLY;
    struct xn_few_keys keys;
    struct xn_few_values values;
    struct xn_few_scales scale_words;
    struct xn_few_tile tile;
    // Where there are two chunks of values each half of the warps takes one, of the same tiles: so a warp needs few registers,
    // and reads keys that are in the first cache.
    uint stride = XN_WARPS / j->chunks * XN_FEW_POSITIONS, chunk = xn_warp() * XN_FEW_POSITIONS / stride;
    uint next = u->begin / XN_FEW_POSITIONS * XN_FEW_POSITIONS + xn_warp() * XN_FEW_POSITIONS - chunk * stride, first = 0;
    chunk += j->value0 / 64;
    bool begun = false;
#pragma unroll 1
    for (;;) {
        float p[4];
        uint end = min(u->end - first, (uint)XN_FEW_POSITIONS), page = 0, in_page = 0;
        bool more = next < u->end, asked = false;
        if (more) { // its number is there when it is used
            uint page_size = xn_few_page_size(e), which = next / page_size;
            page = xn_few_pages(e, u->row)[which];
            in_page = next - which * page_size;
        }
        if (begun) {
            xn_few_put_scales(d, &scale_words, end - 1, key_chunks, scales, &state);
            struct xn_few_products products;
            xn_few_no_scores(&products);
            xn_warp_together();
#pragma unroll
            for (uint step = 0; step < steps; step++) {
                xn_few_add_scores(d, &keys, step, query, scales, &products);
                if (step + held < steps)
                    xn_few_read_keys(d, tile.key, step + held, &keys);
                xn_warp_together();
            }
            xn_few_scores(&products, p);
        }
        struct xn_row value = tile.value;
        if (more) tile = xn_few_tile_of(e, d, u->g, page, in_page);
        if (begun) {
            if (more) {
#pragma unroll
                for (uint step = 0; step < held; step++)
                    xn_few_read_keys(d, tile.key, step, &keys);
            }
            xn_warp_together();
            float factor = xn_few_soften(d, u->begin > first ? u->begin - first : 0, end, p, &state);
            xn_few_scale(factor, sums);
            xn_few_take_values(d, value, end - 1, chunk, room, early, &values);
            xn_few_add_values(d, &values, chunk, value_scales, p, sums);
        } else {
            // Of what steps before have left all is read now; what this one brings, after the wait.
            bool old = next + XN_FEW_POSITIONS <= xn_few_past(e, u->row);
            if (more && old) {
#pragma unroll
                for (uint step = 0; step < held; step++)
                    xn_few_read_keys(d, tile.key, step, &keys);
                xn_few_ask_values(d, tile.value, XN_FEW_POSITIONS - 1, chunk, room, early, &values);
                asked = true;
            }
            xn_warp_together();
            if (more) xn_few_ask(d, &tile, !old, !old || !room);
            if (u->splits == 1) xn_few_ask_ahead(e, d, u, next, stride);
            if (!xn_few_await(w)) return false;
            if (u->end == 0) return true;
#ifdef XN_FEW_STORES
            if (xn_few_store(e, d, u)) barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
#endif
            if (more && !old) {
#pragma unroll
                for (uint step = 0; step < held; step++)
                    xn_few_read_keys(d, tile.key, step, &keys);
            }
            xn_warp_together();
            xn_few_queries(e, d, u, key_chunks, query);
            barrier(CLK_LOCAL_MEM_FENCE);
            begun = true;
        }
        if (!more) break;
        first = next;
        next += stride;
        if (!asked)
            xn_few_ask_values(d, tile.value, min(u->end - first, (uint)XN_FEW_POSITIONS) - 1, chunk, room, early, &values);
        xn_few_read_scales(d, &tile, key_chunks, &scale_words);
        xn_warp_together();
    }
    xn_few_join(e, d, j, state, sums, scratch);
    if (u->splits > 1 && xn_arrive(e->counters + (u->row * d->heads + u->first_head) * XN_CL_VALUE_SHARES +
                                       j->value0 / (64 * XN_FEW_VALUE_CHUNKS),
                                   u->splits, (local uint *)(scratch + XN_AT_ATTEND_FLAG)))
        xn_few_join_parts(e, d, j, scratch);
    return true;
}

static inline bool xn_few_run(const struct xn_env *e, XN_D const struct xn_cl_attend *d, local const struct xn_few_job *j,
                              const struct xn_few_wait *w, local float *scratch) {
#define XN_SIZE(number, keys, values)                                                                                  \
    if (d->few == number) return xn_few_unit(e, d, j, w, scratch, keys);
    XN_FEW_SIZES(XN_SIZE)
#undef XN_SIZE
    return true;
}

// The whole operation, after a wait; false: that was given up.
static inline bool xn_few_attend(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint group, uint groups,
                                 struct xn_few_wait w, local float *scratch) {
    local struct xn_few_job *j = (local struct xn_few_job *)(scratch + XN_AT_FEW_JOB);
    local struct xn_few_cut *cut = (local struct xn_few_cut *)(scratch + XN_AT_FEW_CUT);
    xn_few_cut_of(e, d, groups, cut);
    uint u = group;
#pragma unroll 1
    do {
        xn_few_take(e, d, cut, u, j);
        if (!xn_few_run(e, d, j, &w, scratch)) return false;
        w.barriers = 0;
        u += groups;
        if (u < cut->units) barrier(CLK_LOCAL_MEM_FENCE); // this job is done with
    } while (u < cut->units);
    return true;
}

#ifndef XN_WALK
// A row and a set of heads, whose context is one part.
static inline void xn_few_whole(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint row, uint pair,
                                local float *scratch) {
    local struct xn_few_job *j = (local struct xn_few_job *)(scratch + XN_AT_FEW_JOB);
    local struct xn_few_cut *cut = (local struct xn_few_cut *)(scratch + XN_AT_FEW_CUT);
    struct xn_few_wait nobody = {0, 0, 0};
    xn_few_put_cut(d, 0, XN_WHOLE, 0, XN_FEW_VALUE_CHUNKS, cut);
#pragma unroll 1
    for (uint share = 0; share < cut->shares; share++) {
        barrier(CLK_LOCAL_MEM_FENCE);
        xn_few_job_of(e, d, cut, row, pair, 0, 1, share, true, j);
        xn_few_run(e, d, j, &nobody, scratch);
    }
}
#endif
