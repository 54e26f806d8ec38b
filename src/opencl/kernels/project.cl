// project: a norm and up to four products, of which the heads may be normed, rotated and stored into the cache. Who
// completes a head finishes it.

// Cosine and sine of a pair of a row, times the rope's magnitude.
#ifdef XN_WALK
static inline float2 xn_turn_of(const struct xn_env *e, XN_D const struct xn_cl_rope *rope, uint row, uint pair) {
    return *(global const float2 *)(e->step + xn_rotations(e, row) + rope->turn + 2 * pair);
}
#else
static inline float xn_frequency(const struct xn_env *e, XN_D const struct xn_cl_rope *rope, uint span, uint i) {
    global const struct xn_cl_step *step = xn_step_of(e);
    if (rope->dynamic != XN_CL_NONE)
        return as_float(e->step[step->frequencies + (rope->dynamic * step->n_spans + span) * step->frequencies_stride + i]);
    if (rope->long_frequency != XN_CL_NONE && xn_span_at(e, span)->rope_length > rope->original)
        return e->vec[rope->long_frequency + i];
    return e->vec[rope->frequency + i];
}
static inline float2 xn_turn_of(const struct xn_env *e, XN_D const struct xn_cl_rope *rope, uint row, uint pair) {
    uint position = xn_position_of_row(e, row);
    float angle = (float)position * xn_frequency(e, rope, xn_span_of_row(e, row), pair);
    return (float2)(cos(angle) * rope->magnitude, sin(angle) * rope->magnitude);
}
#endif

static inline float xn_temperature(XN_D const struct xn_cl_part *p, uint position) {
    if (!p->is_query || p->rope.query_beta == 0) return 1;
    return 1.0f + p->rope.query_beta * log(1.0f + floor((float)position / (float)p->rope.query_period));
}

// Norm, rotation and store of heads [first, first + n) of a row, whose raw values stand in the activations; by the whole
// group. The norm is that of each head, or of all as one.
static inline void xn_finish_heads(const struct xn_env *e, XN_D const struct xn_cl_part *p, uint row, uint first,
                                   uint n, local float *red) {
    global const struct xn_cl_step *step = xn_step_of(e);
    global float *y = e->act + p->out + (ulong)row * p->out_stride;
    uint position = xn_position_of_row(e, row), span = xn_span_of_row(e, row), lid = get_local_id(0);
    uint half_dims = p->rope.dims / 2;
    float temperature = xn_temperature(p, position);
    uint normed = p->norm.kind == XN_NORM_NONE || n == 0 ? 0 : p->norm_whole ? 1 : n;
    uint size = p->norm_whole ? p->heads * p->head_size : p->head_size;
    if (!normed) size = 0;
    XN_EACH(h, first, first + normed) {
        global float *x = y + (ulong)h * p->head_stride;
        struct xn_moments m = xn_moments_of(&p->norm, x, size, red);
        for (uint i = lid; i < size; i += XN_GROUP)
            x[i] = xn_normed(e, &p->norm, m, x[i], i);
    }
    XN_NEXT(h, first + normed, 1);
    barrier(CLK_GLOBAL_MEM_FENCE);
    for (uint i = lid; i < n * half_dims; i += XN_GROUP) { // none without a rope
        uint pair = i % half_dims;
        global float *x = y + (ulong)(first + i / half_dims) * p->head_stride + p->rope_at;
        float2 turn = xn_turn_of(e, &p->rope, row, pair);
        uint a = p->rope.kind == 1 ? pair : 2 * pair, b = p->rope.kind == 1 ? pair + half_dims : 2 * pair + 1;
        float xa = x[a], xb = x[b];
        x[a] = xa * turn.x - xb * turn.y;
        x[b] = xa * turn.y + xb * turn.x;
    }
    barrier(CLK_GLOBAL_MEM_FENCE);
    for (uint i = lid; i < n * p->head_size; i += XN_GROUP) {
        uint h = first + i / p->head_size, j = i % p->head_size;
        global float *x = y + (ulong)h * p->head_stride + j;
        if (p->target == XN_CL_TO_CACHE)
            xn_cache_store(*x * temperature, xn_cached(e, &p->cache, xn_span_at(e, span), h, position), p->cache_at + j);
        else if (temperature != 1)
            *x *= temperature;
    }
    barrier(CLK_GLOBAL_MEM_FENCE | CLK_LOCAL_MEM_FENCE);
}

#if defined(XN_OP_PROJECT) && !defined(XN_WALK)
// Counters that the heads of a part need for each tile of tokens.
static inline uint xn_part_counters(XN_D const struct xn_cl_part *p) {
    return !p->finish ? 0 : p->norm_whole ? 1 : p->heads;
}

// Stores a block of results, and finishes the heads that it completes.
static inline void xn_store_part(const struct xn_env *e, XN_D const struct xn_cl_part *p, const struct xn_operand *o,
                                 const struct xn_cut *cut, uint block, uint counter, local float *scratch) {
    local const float *y = scratch + XN_AT_Y;
    global const struct xn_cl_step *step = xn_step_of(e);
    uint row0 = block * cut->rows, n = p->weights.rows - row0 < cut->rows ? p->weights.rows - row0 : cut->rows;
    for (uint i = get_local_id(0); i < o->n * n; i += XN_GROUP) {
        uint t = i / n, r = row0 + i % n, row = o->first + t;
        float x = y[t * XN_Y_STRIDE + i % n];
        if (p->bias != XN_CL_NONE) x += e->vec[p->bias + r];
        x *= p->scale;
        if (p->target == XN_CL_TO_CACHE && !p->finish) {
            uint h = r / p->head_stride, j = r % p->head_stride;
            global const struct xn_cl_span *span = xn_span_at(e, xn_span_of_row(e, row));
            if (j < p->head_size)
                xn_cache_store(x, xn_cached(e, &p->cache, span, h, e->step[step->positions + row]), p->cache_at + j);
        } else {
            e->act[p->out + (ulong)row * p->out_stride + r] = x;
        }
    }
    local uint *flag = (local uint *)(scratch + XN_AT_FLAG);
    uint first = p->norm_whole ? 0 : row0 / p->head_stride, end = p->norm_whole ? 1 : (row0 + n - 1) / p->head_stride + 1;
    if (!p->finish) end = first;
    XN_EACH(h, first, end) {
        uint begin = h * p->head_stride, last = begin + p->head_stride - 1, expected = 1;
        if (p->finish) expected = p->norm_whole ? xn_blocks(cut, p->weights.rows) : last / cut->rows - begin / cut->rows + 1;
        bool complete = xn_arrive(e->counters + counter + h, expected, flag);
        uint tokens = complete && p->finish ? o->n : 0, heads = !tokens ? 0 : p->norm_whole ? p->heads : 1;
        XN_EACH(t, 0, tokens) {
            xn_finish_heads(e, p, o->first + t, h, heads, scratch + XN_AT_RED);
        }
        XN_NEXT(t, tokens, 1);
    }
    XN_NEXT(h, end, 1);
}

static inline uint xn_part_blocks(XN_D const struct xn_cl_project *d, const struct xn_cut *cut) {
    uint blocks = 0;
    for (uint i = 0; i < d->n_parts; i++)
        blocks += xn_blocks(cut, d->part[i].weights.rows);
    return blocks;
}
// One block for each group, if that is possible: no block is of two parts.
static inline struct xn_cut xn_cut_of_parts(XN_D const struct xn_cl_project *d, uint n, uint groups) {
    uint rows = 0;
    for (uint i = 0; i < d->n_parts; i++)
        rows += d->part[i].weights.rows;
    struct xn_cut cut = xn_cut_of(n, rows, groups);
    while (xn_part_blocks(d, &cut) > groups && cut.rows < XN_MOST_ROWS)
        cut.rows++;
    return cut;
}

static inline void xn_op_project(const struct xn_env *e, XN_D const struct xn_cl_project *d, uint group, uint groups,
                                 local float *scratch) {
    uint n = xn_rows(e), counters = 0, tile = XN_CL_NONE;
    struct xn_cut cut = xn_cut_of_parts(d, n, groups);
    struct xn_operand o = xn_operand_of(&d->in, XN_CL_NONE);
    uint blocks = xn_part_blocks(d, &cut);
    for (uint i = 0; i < d->n_parts; i++)
        counters += xn_part_counters(&d->part[i]);
    uint units = cut.tiles * blocks;
    if (group >= units) return;
    XN_EACH(u, group, units) {
        uint block = u % blocks, part = 0, counter = u / blocks * counters;
        while (block >= xn_blocks(&cut, d->part[part].weights.rows)) {
            block -= xn_blocks(&cut, d->part[part].weights.rows);
            counter += xn_part_counters(&d->part[part++]);
        }
        o.first = u / blocks * cut.tokens;
        o.n = n - o.first < cut.tokens ? n - o.first : cut.tokens;
        xn_operand_moments(e, &o, u / blocks == tile, scratch);
        tile = u / blocks;
        xn_product(e, &d->part[part].weights, 0, block * cut.rows,
                   min(cut.rows, d->part[part].weights.rows - block * cut.rows), &o, scratch, scratch + XN_AT_Y);
        xn_store_part(e, &d->part[part], &o, &cut, block, counter, scratch);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    XN_NEXT(u, units, groups);
}
XN_OP_KERNEL(project)
#endif
