// The gated delta net of Qwen3-Next and Qwen3.5.
#include "model/builder.h"

#include <math.h>

static const float *decay_rate(struct xn_builder *b, int layer, uint32_t heads) {
    const float *stored = xn_read_vector(b, XN_T_DELTA_DECAY, layer, heads, 0);
    if (!b->config || !stored) return stored;
    float *rate = xn_build_alloc(b, heads, sizeof *rate);
    for (uint32_t i = 0; rate && i < heads; i++)
        rate[i] = -expf(stored[i]);
    return rate;
}

static uint32_t value_size(struct xn_builder *b, uint32_t heads) {
    if (b->config) return xn_param_u32(b, XN_P_DELTA_VALUE_SIZE);
    uint32_t inner = xn_param_u32(b, XN_P_DELTA_INNER);
    if (inner % heads)
        xn_build_fail(b, XN_ERR_FORMAT, "%s: %s.ssm.inner_size %u is not a multiple of the %u value heads",
                      b->config_path, b->arch, inner, heads);
    return inner / heads;
}

// A tensor whose rows stand key head by key head: `period` rows each, of which this takes `n` from row `at`. Returns
// where the next slice goes.
static uint32_t *slice(uint32_t *gather, uint32_t heads, uint32_t period, uint32_t at, uint32_t n) {
    for (uint32_t h = 0; h < heads; h++)
        for (uint32_t i = 0; i < n; i++)
            *gather++ = h * period + at + i;
    return gather;
}

// Each key head's q, k, and the v and z of its value heads together.
static void read_qkvz(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_delta_net *n) {
    uint32_t values = n->value_heads / n->key_heads * n->value_size, period = 2 * n->key_size + 2 * values;
    uint32_t rows = n->key_heads * period;
    uint32_t *qkv = xn_build_alloc(b, rows, sizeof *qkv), *z = qkv;
    if (!qkv) return;
    z = slice(z, n->key_heads, period, 0, n->key_size);
    z = slice(z, n->key_heads, period, n->key_size, n->key_size);
    z = slice(z, n->key_heads, period, 2 * n->key_size, values);
    slice(z, n->key_heads, period, 2 * n->key_size + values, values);
    xn_read_gather(b, XN_T_DELTA_QKVZ, layer, rows, (uint32_t)(z - qkv), d->hidden, qkv, &n->qkv);
    xn_read_gather(b, XN_T_DELTA_QKVZ, layer, rows, n->key_heads * values, d->hidden, z, &n->z);
}

// Each key head's betas and alphas together.
static void read_ba(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_delta_net *n) {
    uint32_t ratio = n->value_heads / n->key_heads, rows = 2 * n->value_heads;
    uint32_t *beta = xn_build_alloc(b, rows, sizeof *beta);
    if (!beta) return;
    uint32_t *alpha = slice(beta, n->key_heads, 2 * ratio, 0, ratio);
    slice(alpha, n->key_heads, 2 * ratio, ratio, ratio);
    xn_read_gather(b, XN_T_DELTA_BA, layer, rows, n->value_heads, d->hidden, beta, &n->beta);
    xn_read_gather(b, XN_T_DELTA_BA, layer, rows, n->value_heads, d->hidden, alpha, &n->alpha);
}

static void read_products(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_delta_net *n) {
    uint32_t keys = n->key_heads * n->key_size, values = n->value_heads * n->value_size; // each at most 2^22
    if (xn_tensor_find(b, XN_T_DELTA_QKVZ, layer)) {
        read_qkvz(b, d, layer, n);
    } else {
        xn_read_matrix(b, XN_T_DELTA_QKV, layer, 2 * keys + values, d->hidden, &n->qkv);
        xn_read_matrix(b, XN_T_DELTA_Z, layer, values, d->hidden, &n->z);
    }
    if (xn_tensor_find(b, XN_T_DELTA_BA, layer)) {
        read_ba(b, d, layer, n);
    } else {
        xn_read_matrix(b, XN_T_DELTA_BETA, layer, n->value_heads, d->hidden, &n->beta);
        xn_read_matrix(b, XN_T_DELTA_ALPHA, layer, n->value_heads, d->hidden, &n->alpha);
    }
    xn_read_matrix(b, XN_T_DELTA_OUT, layer, d->hidden, values, &n->out);
    n->conv = xn_read_conv(b, XN_T_DELTA_CONV, layer, 2 * keys + values, n->kernel);
}

void xn_read_delta_net(struct xn_builder *b, const struct xn_decoder *d, int layer, bool tiled, struct xn_layer *out) {
    struct xn_delta_net *n = &out->mixer.delta_net;
    out->mixer.kind = XN_MIXER_DELTA_NET;
    *n = (struct xn_delta_net){
        .key_heads = xn_param_u32(b, XN_P_DELTA_KEY_HEADS),
        .value_heads = xn_param_u32(b, XN_P_DELTA_VALUE_HEADS),
        .key_size = xn_param_u32(b, XN_P_DELTA_KEY_SIZE),
        .kernel = xn_param_u32(b, XN_P_DELTA_KERNEL),
        .heads_tiled = tiled,
    };
    n->value_size = value_size(b, n->value_heads);
    if (n->value_heads % n->key_heads)
        xn_build_fail(b, XN_ERR_FORMAT, "%s: %u value heads of a delta net are not a multiple of its %u key heads",
                      b->config_path, n->value_heads, n->key_heads);
    read_products(b, d, layer, n);
    n->decay_rate = decay_rate(b, layer, n->value_heads);
    n->dt_bias = xn_read_vector(b, XN_T_DELTA_DT_BIAS, layer, n->value_heads, 0);
    n->norm =
        (struct xn_norm){XN_NORM_RMS, d->epsilon, xn_read_vector(b, XN_T_DELTA_NORM, layer, n->value_size, 0), NULL};
}

bool xn_layer_is_linear(struct xn_builder *b, uint32_t i) {
    int64_t recurrent;
    if (xn_param_element(b, NULL, "attention.recurrent_layers", i, &recurrent)) return recurrent != 0;
    bool linear = (i + 1) % xn_param_u32_or(b, XN_P_FULL_INTERVAL, 4) != 0;
    return xn_layer_type(b, i, linear ? XN_LAYER_LINEAR : XN_LAYER_FULL) == XN_LAYER_LINEAR;
}
