// Recurrent mixers: a convolution, and what comes behind it.
#include "opencl/lower_parts.h"

static void add_convolve(struct xn_cl_lowering *l, const struct xn_op *op, struct xn_cl_convolve d, const float *conv,
                         const float *bias) {
    d.conv = vector(l, conv, (uint64_t)d.channels * d.taps);
    d.bias = vector(l, bias, d.channels);
    d.in = buffer(l, XN_BUF_Q);
    d.in_stride = stride(l, XN_BUF_Q);
    xn_cl_add_op(l, op->kind, XN_CL_KERNEL_CONVOLVE, XN_CL_BOTH, &d, sizeof d);
}

void xn_cl_lower_delta_net(struct xn_cl_lowering *l, const struct xn_op *op) {
    const struct xn_op_delta_net *n = &op->delta_net;
    uint32_t channels = 2 * n->key_heads * n->key_size + n->value_heads * n->value_size;
    struct xn_cl_convolve c = {.out = scratch(l),
                               .out_stride = channels,
                               .channels = channels,
                               .taps = n->kernel,
                               .states = states(l, n->state)};
    add_convolve(l, op, c, n->conv, n->conv_bias);
    struct xn_cl_delta_net d = {.in = scratch(l),
                                .in_stride = channels,
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
                                .states = c.states};
    xn_cl_add_op(l, op->kind, XN_CL_KERNEL_DELTA_NET, XN_CL_BOTH, &d, sizeof d);
}

void xn_cl_lower_state_space(struct xn_cl_lowering *l, const struct xn_op *op) {
    const struct xn_op_state_space *s = &op->state_space;
    uint32_t inner = s->heads * s->head_size, channels = inner + 2 * s->groups * s->state_size;
    struct xn_cl_convolve c = {.out = scratch(l),
                               .out_stride = channels,
                               .channels = channels,
                               .taps = s->kernel,
                               .states = states(l, s->state)};
    add_convolve(l, op, c, s->conv, s->conv_bias);
    struct xn_cl_state_space d = {.in = scratch(l),
                                  .in_stride = channels,
                                  .z = buffer(l, XN_BUF_Z),
                                  .z_stride = stride(l, XN_BUF_Z),
                                  .dt = buffer(l, XN_BUF_ALPHA),
                                  .dt_stride = stride(l, XN_BUF_ALPHA),
                                  .out = buffer(l, s->out),
                                  .out_stride = stride(l, s->out),
                                  .heads = s->heads,
                                  .head_size = s->head_size,
                                  .groups = s->groups,
                                  .state_size = s->state_size,
                                  .decay_rate = vector(l, s->decay_rate, s->heads),
                                  .dt_bias = vector(l, s->dt_bias, s->heads),
                                  .skip = vector(l, s->skip, s->heads),
                                  .dt_min = s->dt_min,
                                  .dt_max = s->dt_max,
                                  .norm = norm(l, &s->norm, inner),
                                  .norm_groups = s->norm_groups ? s->norm_groups : 1,
                                  .norm_before_gate = s->norm_before_gate,
                                  .states = c.states};
    xn_cl_add_op(l, op->kind, XN_CL_KERNEL_STATE_SPACE, XN_CL_BOTH, &d, sizeof d);
    xn_cl_add_op(l, op->kind, XN_CL_KERNEL_STATE_SPACE_NORM, XN_CL_BOTH, &d, sizeof d);
}

void xn_cl_lower_short_conv(struct xn_cl_lowering *l, const struct xn_op *op) {
    const struct xn_op_short_conv *s = &op->short_conv;
    struct xn_cl_convolve c = {.out = buffer(l, s->out),
                               .out_stride = stride(l, s->out),
                               .channels = s->channels,
                               .taps = s->kernel,
                               .gated = true,
                               .states = states(l, s->state)};
    add_convolve(l, op, c, s->conv, s->conv_bias);
}
