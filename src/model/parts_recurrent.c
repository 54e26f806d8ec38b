// The parts of recurrent families: Mamba-2 and the gated short convolution.
#include "model/builder.h"

#include <math.h>
#include <string.h>

const float *xn_read_decay_rate(struct xn_builder *b, enum xn_tensor_role role, int layer, uint32_t heads) {
    const float *stored = xn_read_values(b, role, layer, heads);
    if (!b->config || !stored) return stored;
    float *rate = xn_build_alloc(b, heads, sizeof *rate);
    for (uint32_t i = 0; rate && i < heads; i++)
        rate[i] = -expf(stored[i]);
    return rate;
}

void xn_check_silu(struct xn_builder *b, const char *key) {
    const char *name = xn_param_string(b, key, NULL);
    if (name && strcmp(name, "silu") != 0 && strcmp(name, "swish") != 0)
        xn_build_fail(b, XN_ERR_UNSUPPORTED, "%s: %s is '%.64s', expected silu in a recurrent mixer", b->config_path,
                      key, name);
}

static uint32_t u32_or_none(struct xn_builder *b, enum xn_param param) {
    return xn_param_u32_or(b, param, 0);
}

// heads * head_size, which a source may also say as one number or as a multiple of the residual stream's width.
static void read_inner(struct xn_builder *b, const struct xn_decoder *d, struct xn_state_space *s) {
    s->heads = xn_param_u32(b, XN_P_SSM_HEADS);
    uint64_t said = u32_or_none(b, XN_P_SSM_INNER), expand = u32_or_none(b, XN_P_SSM_EXPAND);
    if (!said) said = expand * d->hidden;
    const char *text = xn_param_string(b, "mamba_d_head", NULL);
    bool automatic = text && strcmp(text, "auto") == 0;
    s->head_size = automatic ? 0 : u32_or_none(b, XN_P_SSM_HEAD_SIZE);
    if (!s->head_size && said % s->heads == 0) s->head_size = (uint32_t)(said / s->heads);
    uint64_t inner = (uint64_t)s->heads * s->head_size;
    if (b->status) return;
    if (inner == 0 || (said && inner != said) || inner > 1 << 20)
        xn_build_fail(b, XN_ERR_FORMAT,
                      "%s: a state-space mixer of %u heads of %u values in a row of %llu, expected heads that fill it "
                      "and at most %u values",
                      b->config_path, s->heads, s->head_size, (unsigned long long)said, 1 << 20);
}

static void read_time_limit(struct xn_builder *b, struct xn_state_space *s) {
    static const char key[] = "time_step_limit";
    s->dt_min = 0;
    s->dt_max = INFINITY;
    const json_t *limit = b->config ? json_object_get(b->config, key) : NULL;
    if (!limit || json_is_null(limit)) return;
    double low, high;
    if (json_array_size(limit) != 2 || !xn_json_float(json_array_get(limit, 0), &low) ||
        !xn_json_float(json_array_get(limit, 1), &high) || isnan(low) || isnan(high)) {
        xn_build_fail(b, XN_ERR_FORMAT, "%s: %s is not a list of two numbers", b->config_path, key);
        return;
    }
    s->dt_min = (float)low;
    s->dt_max = (float)high;
}

void xn_read_state_space(struct xn_builder *b, const struct xn_decoder *d, int layer, bool norm, struct xn_mixer *out) {
    static const struct xn_bias in_bias = {XN_BIAS_FLAG, XN_P_SSM_BIAS}, out_bias = {XN_BIAS_FLAG, XN_P_SSM_OUT_BIAS},
                                conv_bias = {XN_BIAS_FLAG, XN_P_SSM_CONV_BIAS};
    struct xn_state_space *s = &out->state_space;
    out->kind = XN_MIXER_STATE_SPACE;
    *s = (struct xn_state_space){
        .groups = xn_param_u32(b, XN_P_SSM_GROUPS),
        .state_size = xn_param_u32(b, XN_P_SSM_STATE),
        .kernel = xn_param_u32(b, XN_P_SSM_KERNEL),
        .norm_groups = 1,
    };
    read_inner(b, d, s);
    read_time_limit(b, s);
    if (b->status) return;
    if (s->heads % s->groups) {
        xn_build_fail(b, XN_ERR_FORMAT, "%s: %u heads of a state-space mixer are not a multiple of its %u groups",
                      b->config_path, s->heads, s->groups);
        return;
    }
    uint32_t inner = s->heads * s->head_size, channels = inner + 2 * s->groups * s->state_size;
    xn_read_slices(b, XN_T_SSM_IN, layer, 3, (const uint64_t[]){inner, channels, s->heads}, d->hidden,
                   (struct xn_matrix *const[]){&s->z, &s->xbc, &s->dt});
    s->z_bias = xn_read_bias(b, &in_bias, XN_T_SSM_IN, layer, (uint64_t)inner + channels + s->heads);
    if (s->z_bias) {
        s->xbc_bias = s->z_bias + inner;
        s->dt_proj_bias = s->xbc_bias + channels;
    }
    xn_read_matrix(b, XN_T_SSM_OUT, layer, d->hidden, inner, &s->out);
    s->out_bias = xn_read_bias(b, &out_bias, XN_T_SSM_OUT, layer, d->hidden);
    s->conv = xn_read_conv(b, XN_T_SSM_CONV, layer, channels, s->kernel);
    s->conv_bias = xn_read_bias(b, &conv_bias, XN_T_SSM_CONV, layer, channels);
    s->decay_rate = xn_read_decay_rate(b, XN_T_SSM_DECAY, layer, s->heads);
    s->dt_bias = xn_read_vector(b, XN_T_SSM_DT_BIAS, layer, s->heads, 0);
    s->skip = xn_read_values(b, XN_T_SSM_SKIP, layer, s->heads);
    if (norm) s->norm = (struct xn_norm){XN_NORM_RMS, d->epsilon, xn_read_values(b, XN_T_SSM_NORM, layer, inner), NULL};
}

bool xn_layer_is_recurrent(struct xn_builder *b, uint32_t i, bool fallback) {
    if (!b->config) return xn_param_layer(b, XN_P_KV_HEADS, i, 1) == 0;
    return xn_layer_type(b, i, fallback ? XN_LAYER_LINEAR : XN_LAYER_FULL) == XN_LAYER_LINEAR;
}

void xn_read_short_conv(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_mixer *out) {
    static const struct xn_bias bias = {XN_BIAS_FLAG, XN_P_SHORT_BIAS};
    struct xn_short_conv *s = &out->short_conv;
    out->kind = XN_MIXER_SHORT_CONV;
    *s = (struct xn_short_conv){.channels = d->hidden, .kernel = xn_param_u32(b, XN_P_SHORT_KERNEL)};
    xn_read_matrix(b, XN_T_SHORT_IN, layer, 3 * (uint64_t)d->hidden, d->hidden, &s->in);
    s->in_bias = xn_read_bias(b, &bias, XN_T_SHORT_IN, layer, 3 * (uint64_t)d->hidden);
    xn_read_matrix(b, XN_T_SHORT_OUT, layer, d->hidden, d->hidden, &s->out);
    s->out_bias = xn_read_bias(b, &bias, XN_T_SHORT_OUT, layer, d->hidden);
    s->conv = xn_read_conv(b, XN_T_SHORT_CONV, layer, d->hidden, s->kernel);
    s->conv_bias = xn_read_bias(b, &bias, XN_T_SHORT_CONV, layer, d->hidden);
}
