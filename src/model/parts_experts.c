// Experts: routers, routed and shared experts.
#include "model/builder.h"

// What the experts read and write where that is not the residual stream.
static uint32_t read_latent(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_experts *e) {
    const struct xn_bias *bias = &b->family->ffn_bias;
    uint32_t size = xn_param_u32_or(b, XN_P_EXPERT_LATENT, 0);
    if (size == 0) return d->hidden;
    xn_read_matrix(b, XN_T_LATENT_IN, layer, size, d->hidden, &e->latent_in);
    xn_read_matrix(b, XN_T_LATENT_OUT, layer, d->hidden, size, &e->latent_out);
    e->latent_in_bias = xn_read_bias(b, bias, XN_T_LATENT_IN, layer, size);
    e->latent_out_bias = xn_read_bias(b, bias, XN_T_LATENT_OUT, layer, d->hidden);
    return size;
}

static void read_router(struct xn_builder *b, const struct xn_decoder *d, int layer, bool normalize,
                        struct xn_layer *out) {
    struct xn_experts *e = &out->ffn.experts;
    uint32_t count = xn_param_u32(b, XN_P_EXPERTS);
    out->ffn.kind = XN_FFN_EXPERTS;
    *e = (struct xn_experts){
        .score = XN_ROUTER_SOFTMAX,
        .used = xn_param_u32(b, XN_P_EXPERTS_USED),
        .normalize = normalize,
        .scale = 1,
        .glu.activation = d->activation,
        .group_best = 2,
    };
    if (e->used > count)
        xn_build_fail(b, XN_ERR_FORMAT, "%s: %u experts a token, expected at most the %u that there are",
                      b->config_path, e->used, count);
    xn_read_matrix(b, XN_T_ROUTER, layer, count, d->hidden, &e->router);
}

static void read_routed(struct xn_builder *b, const struct xn_decoder *d, int layer, uint32_t inner, bool normalize,
                        struct xn_layer *out) {
    struct xn_experts *e = &out->ffn.experts;
    read_router(b, d, layer, normalize, out);
    uint32_t count = e->router.rows, width = read_latent(b, d, layer, e);
    if (b->family->no_gate) {
        xn_read_experts(b, XN_T_EXPERTS_UP, XN_T_EXPERT_UP, layer, count, inner, width, &e->up);
    } else if (xn_tensor_find(b, XN_T_EXPERTS_GATE_UP, layer)) {
        xn_read_experts_pair(b, XN_T_EXPERTS_GATE_UP, layer, count, inner, width, &e->gate, &e->up);
    } else {
        xn_read_experts(b, XN_T_EXPERTS_GATE, XN_T_EXPERT_GATE, layer, count, inner, width, &e->gate);
        xn_read_experts(b, XN_T_EXPERTS_UP, XN_T_EXPERT_UP, layer, count, inner, width, &e->up);
    }
    xn_read_experts(b, XN_T_EXPERTS_DOWN, XN_T_EXPERT_DOWN, layer, count, width, inner, &e->down);
}

void xn_read_shared_expert(struct xn_builder *b, const struct xn_decoder *d, int layer, uint32_t inner,
                           struct xn_dense *out) {
    const struct xn_bias *bias = &b->family->ffn_bias;
    out->glu.activation = d->activation;
    if (!b->family->no_gate) {
        xn_read_matrix(b, XN_T_SHARED_GATE, layer, inner, d->hidden, &out->gate);
        out->gate_bias = xn_read_bias(b, bias, XN_T_SHARED_GATE, layer, inner);
    }
    xn_read_matrix(b, XN_T_SHARED_UP, layer, inner, d->hidden, &out->up);
    xn_read_matrix(b, XN_T_SHARED_DOWN, layer, d->hidden, inner, &out->down);
    out->up_bias = xn_read_bias(b, bias, XN_T_SHARED_UP, layer, inner);
    out->down_bias = xn_read_bias(b, bias, XN_T_SHARED_DOWN, layer, d->hidden);
}

void xn_read_moe(struct xn_builder *b, const struct xn_decoder *d, int layer, uint32_t inner, uint32_t shared_inner,
                 bool normalize, struct xn_layer *out) {
    read_routed(b, d, layer, inner, normalize, out);
    if (shared_inner == 0) return;
    xn_read_shared_expert(b, d, layer, shared_inner, &out->ffn.experts.shared);
    xn_read_matrix(b, XN_T_SHARED_ROUTER, layer, 1, d->hidden, &out->ffn.experts.shared_router);
}

void xn_read_sparse_ffn(struct xn_builder *b, const struct xn_decoder *d, int layer, uint32_t shared_inner,
                        bool normalize, struct xn_layer *out) {
    uint32_t i = (uint32_t)layer;
    bool experts = xn_tensor_find(b, XN_T_ROUTER, layer) != NULL;
    if (b->config)
        experts = xn_param_u32_or(b, XN_P_EXPERTS, 0) && (i + 1) % xn_param_u32_or(b, XN_P_SPARSE_STEP, 1) == 0 &&
                  !xn_param_lists(b, "mlp_only_layers", i);
    if (experts)
        xn_read_moe(b, d, layer, xn_param_u32(b, XN_P_EXPERT_INNER), shared_inner, normalize, out);
    else
        xn_read_dense(b, d, layer, out);
}

// GGUF says how scores are made, but for old files: those are DeepSeek's, whose third version has a bias for choosing.
static enum xn_router_score score_of(struct xn_builder *b, int layer, enum xn_router_score usual) {
    enum { SOFTMAX = 1, SIGMOID = 2 };
    if (b->config) return usual;
    uint32_t function = xn_param_u32_or(b, XN_P_ROUTER_SCORE, 0);
    if (function > SIGMOID)
        xn_build_fail(b, XN_ERR_UNSUPPORTED, "%s: %s.expert_gating_func is %u, expected 1 (softmax) or 2 (sigmoid)",
                      b->config_path, b->arch, function);
    if (function) return function == SOFTMAX ? XN_ROUTER_SOFTMAX : XN_ROUTER_SIGMOID;
    return xn_tensor_find(b, XN_T_SELECTION_BIAS, layer) ? XN_ROUTER_SIGMOID : usual;
}

// Every chosen expert must lie in a chosen group.
static void read_groups(struct xn_builder *b, struct xn_experts *e) {
    uint32_t count = e->router.rows;
    e->groups = xn_param_u32_or(b, XN_P_GROUPS, 1);
    e->groups_used = xn_param_u32_or(b, XN_P_GROUPS_USED, e->groups);
    e->group_best = e->score == XN_ROUTER_SIGMOID ? 2 : 1;
    if (b->status || e->groups <= 1) return;
    if (count % e->groups || e->groups_used > e->groups || e->used > count / e->groups * e->groups_used)
        xn_build_fail(b, XN_ERR_FORMAT,
                      "%s: %u experts a token from %u of %u groups, expected equal groups of the %u experts and enough "
                      "of them",
                      b->config_path, e->used, e->groups_used, e->groups, count);
}

void xn_read_grouped_moe(struct xn_builder *b, const struct xn_decoder *d, int layer, enum xn_router_score usual,
                         struct xn_layer *out) {
    struct xn_experts *e = &out->ffn.experts;
    uint32_t inner = xn_param_u32(b, XN_P_EXPERT_INNER), shared = xn_param_u32_or(b, XN_P_SHARED_COUNT, 0);
    read_routed(b, d, layer, inner, xn_param_flag(b, XN_P_NORMALIZE, false), out);
    e->score = score_of(b, layer, usual);
    e->scale = (float)xn_param_real(b, XN_P_ROUTED_SCALE, 1);
    bool sigmoid = e->score == XN_ROUTER_SIGMOID;
    if (sigmoid) e->sum_epsilon = 1e-20f;
    if (sigmoid && (b->config ? xn_param_flag(b, XN_P_SELECTION_BIAS, true)
                              : xn_tensor_find(b, XN_T_SELECTION_BIAS, layer) != NULL))
        e->selection_bias = xn_read_vector(b, XN_T_SELECTION_BIAS, layer, e->router.rows, 0);
    read_groups(b, e);
    if (shared) xn_read_shared_expert(b, d, layer, shared * inner, &e->shared);
}

// Every other of the stored rows, from `first` on.
static const uint32_t *alternate(struct xn_builder *b, uint32_t first, uint32_t rows) {
    uint32_t *gather = xn_build_alloc(b, rows, sizeof *gather);
    for (uint32_t i = 0; gather && i < rows; i++)
        gather[i] = 2 * i + first;
    return gather;
}

static void read_pairs(struct xn_builder *b, const struct xn_decoder *d, int layer, uint32_t inner,
                       struct xn_experts *e) {
    uint32_t count = e->router.rows;
    bool packed = xn_tensor_find(b, XN_T_EXPERTS_GATE_UP_BLOCKS, layer) != NULL;
    e->gate = e->up = e->down = (struct xn_matrix){.layout = packed ? XN_LAYOUT_MXFP4 : XN_LAYOUT_COLUMNS};
    e->gate.stored_rows = e->up.stored_rows = 2 * inner;
    e->gate.gather = alternate(b, 0, inner);
    e->up.gather = alternate(b, 1, inner);
    enum xn_tensor_role both = packed ? XN_T_EXPERTS_GATE_UP_BLOCKS : XN_T_EXPERTS_GATE_UP,
                        down = packed ? XN_T_EXPERTS_DOWN_BLOCKS : XN_T_EXPERTS_DOWN;
    xn_read_experts_ordered(b, both, XN_T_EXPERTS_GATE_UP_SCALES, layer, count, inner, d->hidden, &e->gate);
    xn_read_experts_ordered(b, both, XN_T_EXPERTS_GATE_UP_SCALES, layer, count, inner, d->hidden, &e->up);
    xn_read_experts_ordered(b, down, XN_T_EXPERTS_DOWN_SCALES, layer, count, d->hidden, inner, &e->down);

    const float *bias = xn_read_expert_vectors(b, XN_T_EXPERTS_GATE_UP_BIAS, layer, count, 2 * inner);
    float *gate = xn_build_alloc(b, (size_t)count * inner, sizeof *gate),
          *up = xn_build_alloc(b, (size_t)count * inner, sizeof *up);
    for (size_t i = 0; bias && gate && up && i < (size_t)count * inner; i++) {
        gate[i] = bias[2 * i];
        up[i] = bias[2 * i + 1];
    }
    e->gate_bias = gate;
    e->up_bias = up;
}

void xn_read_paired_moe(struct xn_builder *b, const struct xn_decoder *d, int layer, uint32_t inner,
                        struct xn_layer *out) {
    static const struct xn_bias always = {.rule = XN_BIAS_ALWAYS};
    struct xn_experts *e = &out->ffn.experts;
    if (b->config) {
        read_router(b, d, layer, true, out);
        read_pairs(b, d, layer, inner, e);
    } else {
        read_routed(b, d, layer, inner, true, out);
        e->gate_bias = xn_read_expert_vectors(b, XN_T_EXPERTS_GATE_BIAS, layer, e->router.rows, inner);
        e->up_bias = xn_read_expert_vectors(b, XN_T_EXPERTS_UP_BIAS, layer, e->router.rows, inner);
    }
    e->down_bias = xn_read_expert_vectors(b, XN_T_EXPERTS_DOWN_BIAS, layer, e->router.rows, d->hidden);
    e->router_bias = xn_read_bias(b, &always, XN_T_ROUTER, layer, e->router.rows);
}
