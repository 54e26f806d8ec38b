// Experts: routers, routed and shared experts.
#include "model/builder.h"

static void read_routed(struct xn_builder *b, const struct xn_decoder *d, int layer, uint32_t inner, bool normalize,
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
    if (xn_tensor_find(b, XN_T_EXPERTS_GATE_UP, layer)) {
        xn_read_experts_pair(b, XN_T_EXPERTS_GATE_UP, layer, count, inner, d->hidden, &e->gate, &e->up);
    } else {
        xn_read_experts(b, XN_T_EXPERTS_GATE, XN_T_EXPERT_GATE, layer, count, inner, d->hidden, &e->gate);
        xn_read_experts(b, XN_T_EXPERTS_UP, XN_T_EXPERT_UP, layer, count, inner, d->hidden, &e->up);
    }
    xn_read_experts(b, XN_T_EXPERTS_DOWN, XN_T_EXPERT_DOWN, layer, count, d->hidden, inner, &e->down);
}

static void read_shared(struct xn_builder *b, const struct xn_decoder *d, int layer, uint32_t inner,
                        struct xn_dense *out) {
    const struct xn_bias *bias = &b->family->ffn_bias;
    out->glu.activation = d->activation;
    xn_read_matrix(b, XN_T_SHARED_GATE, layer, inner, d->hidden, &out->gate);
    xn_read_matrix(b, XN_T_SHARED_UP, layer, inner, d->hidden, &out->up);
    xn_read_matrix(b, XN_T_SHARED_DOWN, layer, d->hidden, inner, &out->down);
    out->gate_bias = xn_read_bias(b, bias, XN_T_SHARED_GATE, layer, inner);
    out->up_bias = xn_read_bias(b, bias, XN_T_SHARED_UP, layer, inner);
    out->down_bias = xn_read_bias(b, bias, XN_T_SHARED_DOWN, layer, d->hidden);
}

void xn_read_moe(struct xn_builder *b, const struct xn_decoder *d, int layer, uint32_t inner, uint32_t shared_inner,
                 bool normalize, struct xn_layer *out) {
    read_routed(b, d, layer, inner, normalize, out);
    if (shared_inner == 0) return;
    read_shared(b, d, layer, shared_inner, &out->ffn.experts.shared);
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
    if (e->score == XN_ROUTER_SIGMOID)
        e->selection_bias = xn_read_vector(b, XN_T_SELECTION_BIAS, layer, e->router.rows, 0);
    read_groups(b, e);
    if (shared) read_shared(b, d, layer, shared * inner, &e->shared);
}
