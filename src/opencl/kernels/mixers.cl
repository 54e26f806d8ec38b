// The recurrences of delta nets and state spaces of any size, the state in memory: for those with more keys than scan.cl
// takes. A convolution stands before them, and scan_norm behind state_space.

#ifdef XN_OP_DELTA_NET
#if XN_GROUP + 2 * XN_CL_MAX_KEY > XN_CL_SCRATCH
#error "delta nets need more local memory than operations get"
#endif
// Scales n values of a row into local memory so that their length is `length`.
static inline void xn_unit_length(global const float *x, uint n, float length, local float *out, local float *red) {
    float squares = 0;
    for (uint i = get_local_id(0); i < n; i += XN_GROUP)
        squares += x[i] * x[i];
    float factor = length / sqrt(xn_group_sum(squares, red) + 1e-6f);
    for (uint i = get_local_id(0); i < n; i += XN_GROUP)
        out[i] = x[i] * factor;
}

// A group takes a value head of a span, a work-item columns of its state.
static inline void xn_op_delta_net(const struct xn_env *e, XN_D const struct xn_cl_delta_net *d, uint group,
                                   uint groups, local float *scratch) {
    uint lid = get_local_id(0), keys = d->key_heads * d->key_size;
    local float *red = scratch, *q = scratch + XN_GROUP, *k = q + d->key_size;
    uint units = xn_step_of(e)->n_spans * d->value_heads;
    if (group >= units) return;
    XN_EACH(u, group, units) {
        global const struct xn_cl_span *span = xn_span_at(e, u / d->value_heads);
        uint h = u % d->value_heads;
        uint kh = d->heads_tiled ? h % d->key_heads : h / (d->value_heads / d->key_heads);
        global float *state = xn_slot(e, &d->states, span->slot) + d->states.conv_floats +
                              (ulong)h * d->key_size * d->value_size;
        XN_EACH(r, 0, span->n_rows) {
            ulong row = span->first_row + r;
            global const float *in = e->act + d->in + row * d->in_stride;
            global const float *v = in + 2 * keys + h * d->value_size;
            global const float *z = e->act + d->z + row * d->z_stride + h * d->value_size;
            global float *out = e->act + d->out + row * d->out_stride + h * d->value_size;
            xn_unit_length(in + kh * d->key_size, d->key_size, 1.0f / sqrt((float)d->key_size), q, red);
            xn_unit_length(in + keys + kh * d->key_size, d->key_size, 1, k, red);
            barrier(CLK_LOCAL_MEM_FENCE);
            float alpha = e->act[d->alpha + row * d->alpha_stride + h] + e->vec[d->dt_bias + h];
            float decay = exp(e->vec[d->decay_rate + h] * xn_softplus(alpha));
            float beta = xn_sigmoid(e->act[d->beta + row * d->beta_stride + h]);
            for (uint j = lid; j < d->value_size; j += XN_GROUP) {
                float seen = 0, sum = 0;
                for (uint i = 0; i < d->key_size; i++)
                    seen += decay * state[(ulong)i * d->value_size + j] * k[i];
                float delta = beta * (v[j] - seen);
                for (uint i = 0; i < d->key_size; i++) {
                    float s = decay * state[(ulong)i * d->value_size + j] + k[i] * delta;
                    state[(ulong)i * d->value_size + j] = s;
                    sum += s * q[i];
                }
                out[j] = sum;
            }
            barrier(CLK_GLOBAL_MEM_FENCE | CLK_LOCAL_MEM_FENCE);
            struct xn_moments m = xn_moments_of(&d->norm, out, d->value_size, red);
            for (uint j = lid; j < d->value_size; j += XN_GROUP)
                out[j] = (d->norm.kind == XN_NORM_NONE ? out[j] : xn_normed(e, &d->norm, m, out[j], j)) *
                         xn_activate(0, z[j]);
            barrier(CLK_GLOBAL_MEM_FENCE | CLK_LOCAL_MEM_FENCE);
        }
        XN_NEXT(r, span->n_rows, 1);
    }
    XN_NEXT(u, units, groups);
}
XN_OP_KERNEL(delta_net)
#endif

#ifdef XN_OP_STATE_SPACE
// A work-item takes a value of a head of a span. The result is y, before gate and norm.
static inline void xn_op_state_space(const struct xn_env *e, XN_D const struct xn_cl_state_space *d, uint group,
                                     uint groups, local float *scratch) {
    uint inner = d->heads * d->head_size, keys = d->groups * d->state_size;
    for (uint u = group * XN_GROUP + get_local_id(0); u < xn_step_of(e)->n_spans * inner; u += groups * XN_GROUP) {
        global const struct xn_cl_span *span = xn_span_at(e, u / inner);
        uint h = u % inner / d->head_size, j = u % d->head_size, g = h / (d->heads / d->groups);
        global float *state = xn_slot(e, &d->states, span->slot) + d->states.conv_floats +
                              (ulong)h * d->state_size * d->head_size + j;
        for (uint r = 0; r < span->n_rows; r++) {
            ulong row = span->first_row + r;
            global const float *in = e->act + d->in + row * d->in_stride;
            global const float *b = in + inner + g * d->state_size, *c = b + keys;
            float dt = xn_softplus(e->act[d->dt + row * d->dt_stride + h] + e->vec[d->dt_bias + h]);
            float time = fmin(fmax(dt, d->dt_min), d->dt_max), decay = exp(e->vec[d->decay_rate + h] * time);
            float x = in[h * d->head_size + j], sum = e->vec[d->skip + h] * x;
            for (uint i = 0; i < d->state_size; i++) {
                float s = decay * state[(ulong)i * d->head_size] + time * x * b[i];
                state[(ulong)i * d->head_size] = s;
                sum += s * c[i];
            }
            e->act[d->out + row * d->out_stride + h * d->head_size + j] = sum;
        }
    }
}
XN_OP_KERNEL(state_space)
#endif
