// attend in plain OpenCL C: the group takes a tile of the context at a time, a work-item a position.

#define XN_POSITIONS 64 // of a tile
// Local memory behind what all bodies have there, in floats: addresses of values, weights, queries and then sums.
#define XN_AT_ADDRESS XN_AT_BODY
#define XN_AT_P (XN_AT_ADDRESS + 4 * XN_POSITIONS)
#define XN_AT_QUERY (XN_AT_P + XN_CL_TOGETHER * XN_POSITIONS)
#if XN_AT_QUERY + XN_CL_HEAD_FLOATS > XN_CL_SCRATCH
#error "attention needs more local memory than operations get"
#endif

// Scores of a tile of the context for all heads of the unit: a work-item takes a position.
static inline void xn_score_tile(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                                 const struct xn_unit_of_attention *u, global const struct xn_cl_span *span, uint j0,
                                 uint n, local float *scratch) {
    local const float *q = scratch + XN_AT_QUERY;
    for (uint i = get_local_id(0); i < n; i += XN_GROUP) {
        float s[XN_CL_TOGETHER];
        struct xn_row k = xn_row_at(e, &d->keys, span, u->g, j0 + i);
        struct xn_row v = xn_row_at(e, &d->values, span, u->g, j0 + i);
        for (uint h = 0; h < XN_CL_TOGETHER; h++)
            s[h] = 0;
        for (uint x = 0; x < d->head_size; x++) {
            float key = xn_row_load(k, x);
            for (uint h = 0; h < XN_CL_TOGETHER; h++)
                if (h < u->heads) s[h] += q[h * d->head_size + x] * key;
        }
        for (uint h = 0; h < u->heads; h++) {
            float x = s[h] * d->scale;
            scratch[XN_AT_P + h * XN_POSITIONS + i] = d->soft_cap != 0 ? d->soft_cap * tanh(x / d->soft_cap) : x;
        }
        ((local struct xn_row *)(scratch + XN_AT_ADDRESS))[i] = v;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

// Maxima and sums with the tile; scores become weights.
static inline void xn_soften_tile(const struct xn_unit_of_attention *u, uint n, local float *scratch) {
    for (uint h = get_local_id(0); h < u->heads; h += XN_GROUP) {
        local float *p = scratch + XN_AT_P + h * XN_POSITIONS, *state = scratch + XN_AT_MOST + 3 * h;
        float most = state[0], sum = 0;
        for (uint i = 0; i < n; i++)
            most = fmax(most, p[i]);
        for (uint i = 0; i < n; i++)
            sum += p[i] = exp(p[i] - most);
        state[2] = exp(state[0] - most); // of nothing before: exp(-inf)
        state[1] = state[1] * state[2] + sum;
        state[0] = most;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

static inline void xn_add_values(XN_D const struct xn_cl_attend *d, const struct xn_unit_of_attention *u, uint n,
                                 local float *scratch) {
    local float *acc = scratch + XN_AT_QUERY + u->heads * d->head_size;
    for (uint i = get_local_id(0); i < u->heads * d->value_size; i += XN_GROUP) {
        uint h = i / d->value_size, x = i % d->value_size;
        local const float *p = scratch + XN_AT_P + h * XN_POSITIONS;
        float sum = acc[i] * scratch[XN_AT_MOST + 3 * h + 2];
        for (uint j = 0; j < n; j++)
            sum += p[j] * xn_row_load(((local const struct xn_row *)(scratch + XN_AT_ADDRESS))[j], x);
        acc[i] = sum;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

// Of a unit: the sums of its heads x value_size values, unscaled, at what is returned; their maxima and sums of weights
// at XN_AT_MOST.
static inline local float *xn_plain_unit(const struct xn_env *e, XN_D const struct xn_cl_attend *d,
                                         const struct xn_unit_of_attention *u, local float *scratch) {
    global const struct xn_cl_span *span = xn_span_at(e, xn_span_of_row(e, u->row));
    local float *q = scratch + XN_AT_QUERY, *acc = q + u->heads * d->head_size;
    global const float *in = e->act + d->in + (ulong)u->row * d->in_stride + u->first_head * d->head_stride;
    uint lid = get_local_id(0);
    for (uint i = lid; i < u->heads * d->head_size; i += XN_GROUP)
        q[i] = in[i / d->head_size * d->head_stride + i % d->head_size];
    for (uint i = lid; i < u->heads * d->value_size; i += XN_GROUP)
        acc[i] = 0;
    for (uint h = lid; h < u->heads; h += XN_GROUP) {
        scratch[XN_AT_MOST + 3 * h] = -INFINITY;
        scratch[XN_AT_MOST + 3 * h + 1] = 0;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    XN_EACH(j, u->begin, u->end) {
        uint n = u->end - j < XN_POSITIONS ? u->end - j : XN_POSITIONS;
        xn_score_tile(e, d, u, span, j, n, scratch);
        xn_soften_tile(u, n, scratch);
        xn_add_values(d, u, n, scratch);
    }
    XN_NEXT(j, u->end, XN_POSITIONS);
    return acc;
}
