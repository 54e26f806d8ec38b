// The families: one row a family, in the file of its kind. A new one is a file here and a line in this list.
#pragma once

#include "model/builder.h"

#define XN_FAMILY_LIST(X)                                                                                              \
    X(llama)                                                                                                           \
    X(mistral)                                                                                                         \
    X(ministral3)                                                                                                      \
    X(mixtral)                                                                                                         \
    X(qwen2)                                                                                                           \
    X(qwen2_moe)                                                                                                       \
    X(qwen3)                                                                                                           \
    X(qwen3_moe)                                                                                                       \
    X(qwen3_5)                                                                                                         \
    X(qwen3_5_moe)                                                                                                     \
    X(qwen3_next)                                                                                                      \
    X(gemma2)                                                                                                          \
    X(gemma3)                                                                                                          \
    X(gemma4)                                                                                                          \
    X(gemma4_unified)                                                                                                  \
    X(phi3)                                                                                                            \
    X(smollm3)                                                                                                         \
    X(olmo2)                                                                                                           \
    X(mamba2)                                                                                                          \
    X(lfm2)                                                                                                            \
    X(lfm2_moe)                                                                                                        \
    X(nemotron_h)                                                                                                      \
    X(falcon_h1)                                                                                                       \
    X(granite)                                                                                                         \
    X(granitemoe)                                                                                                      \
    X(granitemoehybrid)                                                                                                \
    X(glm4)                                                                                                            \
    X(glm4_moe)                                                                                                        \
    X(gpt_oss)                                                                                                         \
    X(deepseek_v2)                                                                                                     \
    X(deepseek_v3)                                                                                                     \
    X(seed_oss)

#define X(name) extern const struct xn_family xn_family_##name;
XN_FAMILY_LIST(X)
#undef X

// The names of a state-space mixer that is the layer's only one.
#define XN_MIXER_STATE_SPACE_TENSORS                                                                                   \
    {XN_T_SSM_IN, "mixer.in_proj.weight", NULL}, {XN_T_SSM_CONV, "mixer.conv1d.weight", NULL},                         \
        {XN_T_SSM_DECAY, "mixer.A_log", NULL}, {XN_T_SSM_SKIP, "mixer.D", NULL},                                       \
        {XN_T_SSM_DT_BIAS, "mixer.dt_bias", NULL}, {XN_T_SSM_NORM, "mixer.norm.weight", NULL}, {                       \
        XN_T_SSM_OUT, "mixer.out_proj.weight", NULL                                                                    \
    }

// The names of LFM2's parts.
#define XN_SHORT_CONV_TENSORS                                                                                          \
    {XN_T_FINAL_NORM, "embedding_norm.weight", "token_embd_norm.weight|output_norm.weight"},                           \
        {XN_T_MIXER_NORM, "operator_norm.weight", NULL}, {XN_T_FFN_NORM, "ffn_norm.weight", NULL},                     \
        {XN_T_O, "self_attn.out_proj.weight", NULL}, {XN_T_Q_NORM, "self_attn.q_layernorm.weight", NULL},              \
        {XN_T_K_NORM, "self_attn.k_layernorm.weight", NULL}, {XN_T_GATE, "feed_forward.w1.weight", NULL},              \
        {XN_T_UP, "feed_forward.w3.weight", NULL}, {                                                                   \
        XN_T_DOWN, "feed_forward.w2.weight", NULL                                                                      \
    }
