// Recurrent mixers: a convolution, and what comes behind it.
#include "opencl/lower_parts.h"

static void add_convolve(struct xn_cl_lowering *l, const struct xn_op *op, uint32_t shapes,
                         const struct xn_cl_convolve *d) {
    xn_cl_add_op(l, op->kind, XN_CL_KERNEL_CONVOLVE, shapes, d, sizeof *d);
}
static struct xn_cl_convolve convolve_of(struct xn_cl_lowering *l, uint32_t channels, uint32_t taps, uint32_t state,
                                         const float *conv, const float *bias) {
    return (struct xn_cl_convolve){.in = buffer(l, XN_BUF_Q),
                                   .in_stride = stride(l, XN_BUF_Q),
                                   .out = scratch(l),
                                   .out_stride = channels,
                                   .channels = channels,
                                   .taps = taps,
                                   .conv = vector(l, conv, (uint64_t)channels * taps),
                                   .bias = vector(l, bias, channels),
                                   .states = states(l, state)};
}

static void add_scan(struct xn_cl_lowering *l, const struct xn_op *op, enum xn_cl_kernel kernel, uint32_t shapes,
                     const struct xn_cl_scan *d) {
    xn_cl_add_op(l, op->kind, kernel, shapes, d, sizeof *d);
}

// Few rows are one operation, which convolves as well; of many, a convolution goes before.
static void add_scans(struct xn_cl_lowering *l, const struct xn_op *op, struct xn_cl_scan d,
                      const struct xn_cl_convolve *c) {
    uint32_t many = 1u << XN_CL_MANY;
    d.in = c->in;
    d.in_stride = c->in_stride;
    d.channels = c->channels;
    d.taps = c->taps;
    d.conv = c->conv;
    d.bias = c->bias;
    d.states = c->states;
    d.parts = d.key_size <= XN_CL_SCAN_KEYS / 2 ? 4 : 8;
    d.set_keys = d.key_heads / d.sets * d.key_size;
    d.set_heads = d.heads / d.sets;
    d.set_parts = d.norm_parts / d.sets;
    add_scan(l, op, XN_CL_KERNEL_SCAN_STEP, XN_CL_FEW_OR_ONE, &d);
    if (l->limits->rows <= XN_CL_STREAM_TOKENS) return;
    add_convolve(l, op, many, c);
    d.in = c->out;
    d.in_stride = c->out_stride;
    d.factors = scratch(l) + (uint32_t)(((uint64_t)l->limits->rows * c->channels + 3) / 4 * 4);
    add_scan(l, op, XN_CL_KERNEL_SCAN_PREPARE, many, &d);
    add_scan(l, op, XN_CL_KERNEL_SCAN, many, &d);
    add_scan(l, op, XN_CL_KERNEL_SCAN_NORM, many, &d);
}

// Of more keys than work-items hold.
static void add_delta_net(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_convolve *c) {
    const struct xn_op_delta_net *n = &op->delta_net;
    add_convolve(l, op, XN_CL_BOTH, c);
    struct xn_cl_delta_net d = {.in = scratch(l),
                                .in_stride = c->channels,
                                .z = buffer(l, XN_BUF_Z),
                                .z_stride = stride(l, XN_BUF_Z),
                                .beta = buffer(l, XN_BUF_BETA),
                                .beta_stride = stride(l, XN_BUF_BETA),
                                .alpha = buffer(l, XN_BUF_ALPHA),
                                .alpha_stride = stride(l, XN_BUF_ALPHA),
                                .out = buffer(l, n->out),
                                .out_stride = stride(l, n->out),
                                .key_heads = n->key_heads,
                                .value_heads = n->value_heads,
                                .key_size = n->key_size,
                                .value_size = n->value_size,
                                .decay_rate = vector(l, n->decay_rate, n->value_heads),
                                .dt_bias = vector(l, n->dt_bias, n->value_heads),
                                .heads_tiled = n->heads_tiled,
                                .norm = norm(l, &n->norm, n->value_size),
                                .states = c->states};
    xn_cl_add_op(l, op->kind, XN_CL_KERNEL_DELTA_NET, XN_CL_BOTH, &d, sizeof d);
}

void xn_cl_lower_delta_net(struct xn_cl_lowering *l, const struct xn_op *op) {
    const struct xn_op_delta_net *n = &op->delta_net;
    uint32_t keys = n->key_heads * n->key_size;
    struct xn_cl_convolve c =
        convolve_of(l, 2 * keys + n->value_heads * n->value_size, n->kernel, n->state, n->conv, n->conv_bias);
    if (n->key_size > XN_CL_SCAN_KEYS) {
        add_delta_net(l, op, &c);
        return;
    }
    struct xn_cl_scan d = {.keys = keys,
                           .queries = 0,
                           .values = 2 * keys,
                           .z = buffer(l, XN_BUF_Z),
                           .z_stride = stride(l, XN_BUF_Z),
                           .alpha = buffer(l, XN_BUF_ALPHA),
                           .alpha_stride = stride(l, XN_BUF_ALPHA),
                           .beta = buffer(l, XN_BUF_BETA),
                           .beta_stride = stride(l, XN_BUF_BETA),
                           .out = buffer(l, n->out),
                           .out_stride = stride(l, n->out),
                           .key_heads = n->key_heads,
                           .heads = n->value_heads,
                           .key_size = n->key_size,
                           .value_size = n->value_size,
                           .heads_tiled = n->heads_tiled,
                           .delta = true,
                           .decay_rate = vector(l, n->decay_rate, n->value_heads),
                           .dt_bias = vector(l, n->dt_bias, n->value_heads),
                           .skip = XN_CL_NONE,
                           .norm = norm(l, &n->norm, n->value_size),
                           .norm_parts = n->value_heads,
                           .norm_size = n->value_size,
                           .norm_shared = true,
                           .norm_before_gate = true,
                           .sets = n->key_heads};
    add_scans(l, op, d, &c);
}

// Of more states than work-items hold.
static void add_state_space(struct xn_cl_lowering *l, const struct xn_op *op, const struct xn_cl_convolve *c,
                            const struct xn_cl_scan *scan) {
    const struct xn_op_state_space *s = &op->state_space;
    add_convolve(l, op, XN_CL_BOTH, c);
    struct xn_cl_state_space d = {.in = scratch(l),
                                  .in_stride = c->channels,
                                  .dt = scan->alpha,
                                  .dt_stride = scan->alpha_stride,
                                  .out = scan->out,
                                  .out_stride = scan->out_stride,
                                  .heads = s->heads,
                                  .head_size = s->head_size,
                                  .groups = s->groups,
                                  .state_size = s->state_size,
                                  .decay_rate = scan->decay_rate,
                                  .dt_bias = scan->dt_bias,
                                  .skip = scan->skip,
                                  .dt_min = s->dt_min,
                                  .dt_max = s->dt_max,
                                  .states = c->states};
    xn_cl_add_op(l, op->kind, XN_CL_KERNEL_STATE_SPACE, XN_CL_BOTH, &d, sizeof d);
    add_scan(l, op, XN_CL_KERNEL_SCAN_NORM, XN_CL_BOTH, scan);
}

void xn_cl_lower_state_space(struct xn_cl_lowering *l, const struct xn_op *op) {
    const struct xn_op_state_space *s = &op->state_space;
    uint32_t inner = s->heads * s->head_size, keys = s->groups * s->state_size;
    struct xn_cl_convolve c = convolve_of(l, inner + 2 * keys, s->kernel, s->state, s->conv, s->conv_bias);
    // Without a norm, what is gated together does not matter.
    uint32_t parts = s->norm.kind == XN_NORM_NONE ? s->groups : s->norm_groups ? s->norm_groups : 1;
    struct xn_cl_scan d = {.keys = inner,
                           .queries = inner + keys,
                           .values = 0,
                           .z = buffer(l, XN_BUF_Z),
                           .z_stride = stride(l, XN_BUF_Z),
                           .alpha = buffer(l, XN_BUF_ALPHA),
                           .alpha_stride = stride(l, XN_BUF_ALPHA),
                           .out = buffer(l, s->out),
                           .out_stride = stride(l, s->out),
                           .key_heads = s->groups,
                           .heads = s->heads,
                           .key_size = s->state_size,
                           .value_size = s->head_size,
                           .decay_rate = vector(l, s->decay_rate, s->heads),
                           .dt_bias = vector(l, s->dt_bias, s->heads),
                           .skip = vector(l, s->skip, s->heads),
                           .dt_min = s->dt_min,
                           .dt_max = s->dt_max,
                           .norm = norm(l, &s->norm, inner),
                           .norm_parts = parts,
                           .norm_size = inner / parts,
                           .norm_before_gate = s->norm_before_gate,
                           .sets = parts % s->groups ? 1 : s->groups};
    if (s->state_size > XN_CL_SCAN_KEYS)
        add_state_space(l, op, &c, &d);
    else
        add_scans(l, op, d, &c);
}

void xn_cl_lower_short_conv(struct xn_cl_lowering *l, const struct xn_op *op) {
    const struct xn_op_short_conv *s = &op->short_conv;
    struct xn_cl_convolve c = convolve_of(l, s->channels, s->kernel, s->state, s->conv, s->conv_bias);
    c.out = buffer(l, s->out);
    c.out_stride = stride(l, s->out);
    c.gated = true;
    add_convolve(l, op, XN_CL_BOTH, &c);
}
