// The builder: what a family file reads its recipe with. It answers from config.json or from GGUF metadata under one
// name for each hyper-parameter and each tensor, checks every value and every shape, and remembers the first failure:
// after one, every call does nothing and returns a harmless value, so that a family file reads top to bottom and only
// the end asks for `status`.
//
// Loops over layers should end when status is set. Everything that is read goes into the recipe's arena.
#pragma once

#include "model/recipe.h"

#include <stdarg.h>

// Hyper-parameters: name here, key(s) of config.json ("a|b": the first that is there; "": none), key of GGUF behind
// "ARCH." ("": none), kind, smallest and largest value of an integer, a real number or a flag.
#define XN_PARAM_LIST(X)                                                                                               \
    X(LAYERS, "num_hidden_layers", "block_count", INT, 1, 1024)                                                        \
    X(HIDDEN, "hidden_size", "embedding_length", INT, 1, 1 << 20)                                                      \
    X(VOCAB, "vocab_size", "vocab_size", INT, 1, 1 << 26)                                                              \
    X(CONTEXT, "max_position_embeddings", "context_length", INT, 1, INT32_MAX)                                         \
    X(HEADS, "num_attention_heads", "attention.head_count", INT, 1, 1024)                                              \
    X(KV_HEADS, "num_key_value_heads", "attention.head_count_kv", INT, 1, 1024)                                        \
    X(HEAD_SIZE, "head_dim", "attention.key_length", INT, 1, 1 << 16)                                                  \
    X(VALUE_SIZE, "", "attention.value_length", INT, 1, 1 << 16)                                                       \
    X(FULL_HEAD_SIZE, "global_head_dim", "", INT, 1, 1 << 16)                                                          \
    X(FULL_KV_HEADS, "num_global_key_value_heads", "", INT, 1, 1024)                                                   \
    X(WINDOW_HEAD_SIZE, "", "attention.key_length_swa", INT, 1, 1 << 16)                                               \
    X(WINDOW_VALUE_SIZE, "", "attention.value_length_swa", INT, 1, 1 << 16)                                            \
    X(SHARED_CACHES, "num_kv_shared_layers", "attention.shared_kv_layers", INT, 0, 1023)                               \
    X(VALUES_ARE_KEYS, "attention_k_eq_v", "", FLAG, 0, 1)                                                             \
    X(LAYER_INPUT, "hidden_size_per_layer_input", "embedding_length_per_layer_input", INT, 0, 1 << 16)                 \
    X(LAYER_INPUT_VOCAB, "vocab_size_per_layer_input", "", INT, 1, 1 << 26)                                            \
    X(DOUBLE_INNER, "use_double_wide_mlp", "", FLAG, 0, 1)                                                             \
    X(EXPERT_BLOCK, "enable_moe_block", "", FLAG, 0, 1)                                                                \
    X(INNER, "intermediate_size", "feed_forward_length", INT, 1, 1 << 20)                                              \
    X(FFN_ADJUST, "block_auto_adjust_ff_dim", "", FLAG, 0, 1)                                                          \
    X(FFN_FACTOR, "block_ffn_dim_multiplier", "", REAL, 0, 1e3)                                                        \
    X(FFN_MULTIPLE, "block_multiple_of", "", INT, 1, 1 << 20)                                                          \
    X(EPSILON, "rms_norm_eps", "attention.layer_norm_rms_epsilon", REAL, 0, 1)                                         \
    X(WINDOW, "sliding_window", "attention.sliding_window", INT, 0, INT32_MAX)                                         \
    X(USE_WINDOW, "use_sliding_window", "", FLAG, 0, 1)                                                                \
    X(CAUSAL, "", "attention.causal", FLAG, 0, 1)                                                                      \
    X(BIDIRECTIONAL, "use_bidirectional_attention", "", FLAG, 0, 1)                                                    \
    X(WINDOW_PATTERN, "sliding_window_pattern", "attention.sliding_window_pattern", INT, 0, 1024)                      \
    X(WINDOW_LAYERS, "max_window_layers", "", INT, 0, INT32_MAX)                                                       \
    X(FULL_INTERVAL, "full_attention_interval", "full_attention_interval", INT, 1, 1024)                               \
    X(NO_ROPE_INTERVAL, "no_rope_layer_interval", "", INT, 1, 1024)                                                    \
    X(EXTRA_LAYERS, "", "nextn_predict_layers", INT, 0, 1023)                                                          \
    X(ATTENTION_BIAS, "attention_bias", "", FLAG, 0, 1)                                                                \
    X(QKV_BIAS, "qkv_bias", "", FLAG, 0, 1)                                                                            \
    X(OUT_BIAS, "attention_out_bias", "", FLAG, 0, 1)                                                                  \
    X(MLP_BIAS, "mlp_bias", "", FLAG, 0, 1)                                                                            \
    X(QUERY_SCALAR, "query_pre_attn_scalar", "", REAL, 1e-6, 1 << 20)                                                  \
    X(SOFT_CAP, "attn_logit_softcapping", "attn_logit_softcapping", REAL, 0, 1e6)                                      \
    X(FINAL_SOFT_CAP, "final_logit_softcapping", "final_logit_softcapping", REAL, 0, 1e6)                              \
    X(ATTENTION_SCALE, "attention_multiplier", "attention.scale", REAL, 1e-9, 1e6)                                     \
    X(EMBEDDING_SCALE, "embedding_multiplier", "embedding_scale", REAL, 1e-9, 1e6)                                     \
    X(RESIDUAL_SCALE, "residual_multiplier", "residual_scale", REAL, 1e-9, 1e6)                                        \
    X(LOGIT_SCALE, "logits_scaling", "logit_scale", REAL, 1e-9, 1e6)                                                   \
    X(EXPERTS, "num_experts|num_local_experts|n_routed_experts", "expert_count", INT, 0, 4096)                         \
    X(EXPERTS_USED, "num_experts_per_tok|top_k_experts", "expert_used_count", INT, 1, 4096)                            \
    X(EXPERT_INNER, "moe_intermediate_size", "expert_feed_forward_length", INT, 1, 1 << 20)                            \
    X(SHARED_INNER, "shared_expert_intermediate_size", "expert_shared_feed_forward_length", INT, 0, 1 << 20)           \
    X(NORMALIZE, "norm_topk_prob", "expert_weights_norm", FLAG, 0, 1)                                                  \
    X(SHARED_COUNT, "n_shared_experts", "expert_shared_count", INT, 0, 1024)                                           \
    X(DENSE_LEAD, "first_k_dense_replace", "leading_dense_block_count", INT, 0, INT32_MAX)                             \
    X(ROUTED_SCALE, "routed_scaling_factor", "expert_weights_scale", REAL, 0, 1e6)                                     \
    X(SELECTION_BIAS, "use_expert_bias", "", FLAG, 0, 1)                                                               \
    X(EXPERT_LATENT, "moe_latent_size", "moe_latent_size", INT, 1, 1 << 20)                                            \
    X(ROUTER_SCORE, "", "expert_gating_func", INT, 0, 64)                                                              \
    X(GROUPS, "n_group", "expert_group_count", INT, 0, 4096)                                                           \
    X(GROUPS_USED, "topk_group", "expert_group_used_count", INT, 0, 4096)                                              \
    X(HEAD_NORMS, "use_qk_norm", "", FLAG, 0, 1)                                                                       \
    X(GLU_LIMIT, "swiglu_limit", "", REAL, 0, 1e6)                                                                     \
    X(SPARSE_STEP, "decoder_sparse_step", "", INT, 1, 1024)                                                            \
    X(Q_RANK, "q_lora_rank", "attention.q_lora_rank", INT, 0, 1 << 20)                                                 \
    X(LATENT_RANK, "kv_lora_rank", "attention.kv_lora_rank", INT, 1, 1 << 20)                                          \
    X(NOPE_SIZE, "qk_nope_head_dim", "", INT, 1, 1 << 16)                                                              \
    X(LATENT_KEY_SIZE, "", "attention.key_length_mla", INT, 1, 1 << 16)                                                \
    X(LATENT_VALUE_SIZE, "v_head_dim", "attention.value_length_mla", INT, 1, 1 << 16)                                  \
    X(ROPE_INTERLEAVE, "rope_interleave", "", FLAG, 0, 1)                                                              \
    X(EXPERT_INTERVAL, "moe_layer_freq", "", INT, 1, 1024)                                                             \
    X(DELTA_KERNEL, "linear_conv_kernel_dim", "ssm.conv_kernel", INT, 1, 64)                                           \
    X(DELTA_KEY_SIZE, "linear_key_head_dim", "ssm.state_size", INT, 1, 4096)                                           \
    X(DELTA_VALUE_SIZE, "linear_value_head_dim", "", INT, 1, 4096)                                                     \
    X(DELTA_INNER, "", "ssm.inner_size", INT, 1, 1 << 20)                                                              \
    X(DELTA_KEY_HEADS, "linear_num_key_heads", "ssm.group_count", INT, 1, 1024)                                        \
    X(DELTA_VALUE_HEADS, "linear_num_value_heads", "ssm.time_step_rank", INT, 1, 1024)                                 \
    X(SSM_HEADS, "mamba_n_heads", "ssm.time_step_rank", INT, 1, 1 << 14)                                               \
    X(SSM_HEAD_SIZE, "mamba_d_head", "", INT, 1, 1 << 14)                                                              \
    X(SSM_INNER, "mamba_d_ssm", "ssm.inner_size", INT, 1, 1 << 20)                                                     \
    X(SSM_EXPAND, "mamba_expand", "", INT, 1, 1 << 10)                                                                 \
    X(SSM_GROUPS, "mamba_n_groups", "ssm.group_count", INT, 1, 1 << 10)                                                \
    X(SSM_STATE, "mamba_d_state", "ssm.state_size", INT, 1, 1 << 10)                                                   \
    X(SSM_KERNEL, "mamba_d_conv", "ssm.conv_kernel", INT, 1, 64)                                                       \
    X(SSM_BIAS, "mamba_proj_bias", "", FLAG, 0, 1)                                                                     \
    X(SSM_OUT_BIAS, "mamba_proj_bias", "", FLAG, 0, 1)                                                                 \
    X(SSM_CONV_BIAS, "mamba_conv_bias", "", FLAG, 0, 1)                                                                \
    X(SSM_NORM, "mamba_rms_norm", "", FLAG, 0, 1)                                                                      \
    X(SSM_NORM_FIRST, "mamba_norm_before_gate", "", FLAG, 0, 1)                                                        \
    X(SSM_TIME_MIN, "", "", REAL, 0, 1e6)                                                                              \
    X(FACTOR_HEAD, "lm_head_multiplier", "", REAL, 1e-9, 1e6)                                                          \
    X(FACTOR_KEY, "key_multiplier", "", REAL, 1e-9, 1e6)                                                               \
    X(FACTOR_ATTENTION_IN, "attention_in_multiplier", "", REAL, 1e-9, 1e6)                                             \
    X(FACTOR_ATTENTION_OUT, "attention_out_multiplier", "", REAL, 1e-9, 1e6)                                           \
    X(FACTOR_SSM_IN, "ssm_in_multiplier", "", REAL, 1e-9, 1e6)                                                         \
    X(FACTOR_SSM_OUT, "ssm_out_multiplier", "", REAL, 1e-9, 1e6)                                                       \
    X(SHORT_KERNEL, "conv_L_cache", "shortconv.l_cache", INT, 1, 64)                                                   \
    X(SHORT_BIAS, "conv_bias", "", FLAG, 0, 1)                                                                         \
    X(ROPE_THETA, "rope_theta", "rope.freq_base", REAL, 1.0001, 1e15)                                                  \
    X(ROPE_LOCAL_THETA, "rope_local_base_freq", "rope.freq_base_swa", REAL, 1.0001, 1e15)                              \
    X(ROPE_DIMS, "", "rope.dimension_count", INT, 2, 1 << 16)                                                          \
    X(ROPE_WINDOW_DIMS, "", "rope.dimension_count_swa", INT, 2, 1 << 16)                                               \
    X(ROPE_FINETUNED, "", "rope.scaling.finetuned", FLAG, 0, 1)                                                        \
    X(ROPE_PARTIAL, "partial_rotary_factor", "", REAL, 1e-6, 1)                                                        \
    X(ROPE_FACTOR, "factor", "rope.scaling.factor", REAL, 0, 1e6)                                                      \
    X(ROPE_SCALE_LINEAR, "", "rope.scale_linear", REAL, 0, 1e6)                                                        \
    X(ROPE_LOW, "low_freq_factor", "", REAL, 1e-6, 1e6)                                                                \
    X(ROPE_HIGH, "high_freq_factor", "", REAL, 1e-6, 1e6)                                                              \
    X(ROPE_ORIGINAL, "original_max_position_embeddings", "rope.scaling.original_context_length", INT, 1, INT32_MAX)    \
    X(ROPE_FAST, "beta_fast", "rope.scaling.yarn_beta_fast", REAL, 0, 1e6)                                             \
    X(ROPE_SLOW, "beta_slow", "rope.scaling.yarn_beta_slow", REAL, 0, 1e6)                                             \
    X(ROPE_MSCALE, "mscale", "", REAL, 0, 1e3)                                                                         \
    X(ROPE_MSCALE_ALL, "mscale_all_dim", "rope.scaling.yarn_log_multiplier", REAL, 0, 1e3)                             \
    X(ROPE_ATTENTION, "attention_factor", "rope.scaling.yarn_attn_factor", REAL, 0, 1e3)                               \
    X(ROPE_MAGNITUDE, "", "rope.scaling.attn_factor", REAL, 0, 1e3)                                                    \
    X(ROPE_TRUNCATE, "truncate", "", FLAG, 0, 1)                                                                       \
    X(ROPE_BETA, "llama_4_scaling_beta", "attention.temperature_scale", REAL, 0, 1e3)

enum xn_param {
#define X(name, hf, gguf, kind, low, high) XN_P_##name,
    XN_PARAM_LIST(X)
#undef X
        XN_PARAMS,
};

// Tensors: name here, then the name in a Hugging Face folder and in GGUF, behind "layers.N." and "blk.N." where it
// belongs to a layer. "a|b": the first that is there. The bias of "x.weight" is "x.bias". A family's row replaces what
// it calls differently.
#define XN_TENSOR_LIST(X)                                                                                              \
    X(EMBEDDING, "embed_tokens.weight", "token_embd.weight")                                                           \
    X(FINAL_NORM, "norm.weight", "output_norm.weight")                                                                 \
    X(HEAD, "/lm_head.weight|/language_model.lm_head.weight", "output.weight")                                         \
    X(ROPE_FREQS, "", "rope_freqs.weight")                                                                             \
    X(ROPE_LONG, "", "rope_factors_long.weight")                                                                       \
    X(ROPE_SHORT, "", "rope_factors_short.weight")                                                                     \
    X(MIXER_NORM, "input_layernorm.weight", "attn_norm.weight")                                                        \
    X(MIXER_POST_NORM, "", "post_attention_norm.weight")                                                               \
    X(FFN_NORM, "post_attention_layernorm.weight", "ffn_norm.weight")                                                  \
    X(FFN_POST_NORM, "", "post_ffw_norm.weight")                                                                       \
    X(QKV, "self_attn.qkv_proj.weight", "attn_qkv.weight")                                                             \
    X(Q, "self_attn.q_proj.weight", "attn_q.weight")                                                                   \
    X(K, "self_attn.k_proj.weight", "attn_k.weight")                                                                   \
    X(V, "self_attn.v_proj.weight", "attn_v.weight")                                                                   \
    X(O, "self_attn.o_proj.weight", "attn_output.weight")                                                              \
    X(SINKS, "self_attn.sinks", "attn_sinks.weight")                                                                   \
    X(Q_NORM, "self_attn.q_norm.weight", "attn_q_norm.weight")                                                         \
    X(K_NORM, "self_attn.k_norm.weight", "attn_k_norm.weight")                                                         \
    X(LAYER_SCALE, "layer_scalar", "layer_output_scale.weight")                                                        \
    X(INPUTS_TABLE, "embed_tokens_per_layer.weight", "per_layer_token_embd.weight")                                    \
    X(INPUTS_PROJECTION, "per_layer_model_projection.weight", "per_layer_model_proj.weight")                           \
    X(INPUTS_NORM, "per_layer_projection_norm.weight", "per_layer_proj_norm.weight")                                   \
    X(INPUT_GATE, "per_layer_input_gate.weight", "inp_gate.weight")                                                    \
    X(INPUT_PROJECTION, "per_layer_projection.weight", "proj.weight")                                                  \
    X(INPUT_NORM, "post_per_layer_input_norm.weight", "post_norm.weight")                                              \
    X(GATE_UP, "mlp.gate_up_proj.weight", "ffn_up.weight")                                                             \
    X(GATE, "mlp.gate_proj.weight", "ffn_gate.weight")                                                                 \
    X(UP, "mlp.up_proj.weight", "ffn_up.weight")                                                                       \
    X(DOWN, "mlp.down_proj.weight", "ffn_down.weight")                                                                 \
    X(ROUTER, "mlp.gate.weight", "ffn_gate_inp.weight")                                                                \
    X(SELECTION_BIAS, "mlp.gate.e_score_correction_bias", "exp_probs_b.bias")                                          \
    X(ROUTER_SCALE, "", "")                                                                                            \
    X(EXPERT_SCALE, "", "")                                                                                            \
    X(EXPERT_NORM, "", "")                                                                                             \
    X(EXPERT_POST_NORM, "", "")                                                                                        \
    X(SHARED_POST_NORM, "", "")                                                                                        \
    X(EXPERTS_GATE_UP, "mlp.experts.gate_up_proj", "ffn_gate_up_exps.weight")                                          \
    X(EXPERTS_GATE, "", "ffn_gate_exps.weight")                                                                        \
    X(EXPERTS_UP, "", "ffn_up_exps.weight")                                                                            \
    X(EXPERTS_DOWN, "mlp.experts.down_proj", "ffn_down_exps.weight")                                                   \
    X(EXPERTS_GATE_UP_BIAS, "mlp.experts.gate_up_proj_bias", "")                                                       \
    X(EXPERTS_GATE_UP_BLOCKS, "mlp.experts.gate_up_proj_blocks", "")                                                   \
    X(EXPERTS_GATE_UP_SCALES, "mlp.experts.gate_up_proj_scales", "")                                                   \
    X(EXPERTS_GATE_BIAS, "", "ffn_gate_exps.bias")                                                                     \
    X(EXPERTS_UP_BIAS, "", "ffn_up_exps.bias")                                                                         \
    X(EXPERTS_DOWN_BIAS, "mlp.experts.down_proj_bias", "ffn_down_exps.bias")                                           \
    X(EXPERTS_DOWN_BLOCKS, "mlp.experts.down_proj_blocks", "")                                                         \
    X(EXPERTS_DOWN_SCALES, "mlp.experts.down_proj_scales", "")                                                         \
    X(EXPERT_GATE, "mlp.experts.%u.gate_proj.weight", "ffn_gate.%u.weight")                                            \
    X(EXPERT_UP, "mlp.experts.%u.up_proj.weight", "ffn_up.%u.weight")                                                  \
    X(EXPERT_DOWN, "mlp.experts.%u.down_proj.weight", "ffn_down.%u.weight")                                            \
    X(SHARED_GATE, "mlp.shared_expert.gate_proj.weight", "ffn_gate_shexp.weight")                                      \
    X(SHARED_UP, "mlp.shared_expert.up_proj.weight", "ffn_up_shexp.weight")                                            \
    X(SHARED_DOWN, "mlp.shared_expert.down_proj.weight", "ffn_down_shexp.weight")                                      \
    X(LATENT_IN, "mlp.fc1_latent_proj.weight", "ffn_latent_down.weight")                                               \
    X(LATENT_OUT, "mlp.fc2_latent_proj.weight", "ffn_latent_up.weight")                                                \
    X(SHARED_ROUTER, "mlp.shared_expert_gate.weight", "ffn_gate_inp_shexp.weight")                                     \
    X(Q_A, "self_attn.q_a_proj.weight", "attn_q_a.weight")                                                             \
    X(Q_A_NORM, "self_attn.q_a_layernorm.weight", "attn_q_a_norm.weight")                                              \
    X(Q_B, "self_attn.q_b_proj.weight", "attn_q_b.weight")                                                             \
    X(KV_A, "self_attn.kv_a_proj_with_mqa.weight", "attn_kv_a_mqa.weight")                                             \
    X(KV_A_NORM, "self_attn.kv_a_layernorm.weight", "attn_kv_a_norm.weight")                                           \
    X(KV_B, "self_attn.kv_b_proj.weight", "attn_kv_b.weight")                                                          \
    X(K_B, "", "attn_k_b.weight")                                                                                      \
    X(V_B, "", "attn_v_b.weight")                                                                                      \
    X(DELTA_QKVZ, "linear_attn.in_proj_qkvz.weight", "ssm_in.weight")                                                  \
    X(DELTA_QKV, "linear_attn.in_proj_qkv.weight", "attn_qkv.weight")                                                  \
    X(DELTA_Z, "linear_attn.in_proj_z.weight", "attn_gate.weight")                                                     \
    X(DELTA_BA, "linear_attn.in_proj_ba.weight", "ssm_ba.weight")                                                      \
    X(DELTA_BETA, "linear_attn.in_proj_b.weight", "ssm_beta.weight")                                                   \
    X(DELTA_ALPHA, "linear_attn.in_proj_a.weight", "ssm_alpha.weight")                                                 \
    X(DELTA_CONV, "linear_attn.conv1d.weight", "ssm_conv1d.weight")                                                    \
    X(DELTA_DECAY, "linear_attn.A_log", "ssm_a")                                                                       \
    X(DELTA_DT_BIAS, "linear_attn.dt_bias", "ssm_dt.bias")                                                             \
    X(DELTA_NORM, "linear_attn.norm.weight", "ssm_norm.weight")                                                        \
    X(DELTA_OUT, "linear_attn.out_proj.weight", "ssm_out.weight")                                                      \
    X(SSM_IN, "mamba.in_proj.weight", "ssm_in.weight")                                                                 \
    X(SSM_CONV, "mamba.conv1d.weight", "ssm_conv1d.weight")                                                            \
    X(SSM_DECAY, "mamba.A_log", "ssm_a")                                                                               \
    X(SSM_SKIP, "mamba.D", "ssm_d")                                                                                    \
    X(SSM_DT_BIAS, "mamba.dt_bias", "ssm_dt.bias")                                                                     \
    X(SSM_NORM, "mamba.norm.weight", "ssm_norm.weight")                                                                \
    X(SSM_OUT, "mamba.out_proj.weight", "ssm_out.weight")                                                              \
    X(SHORT_IN, "conv.in_proj.weight", "shortconv.in_proj.weight")                                                     \
    X(SHORT_CONV, "conv.conv.weight", "shortconv.conv.weight")                                                         \
    X(SHORT_OUT, "conv.out_proj.weight", "shortconv.out_proj.weight")

enum xn_tensor_role {
#define X(name, hf, gguf) XN_T_##name,
    XN_TENSOR_LIST(X)
#undef X
        XN_TENSOR_ROLES,
};

// What a key that config.json leaves out means in this family (the defaults of its configuration class). GGUF has none.
struct xn_param_default {
    enum xn_param param;
    double value;
};
struct xn_tensor_name {
    enum xn_tensor_role role;
    const char *hf, *gguf; // NULL: as the common table says
};
struct xn_param_name {
    enum xn_param param;
    const char *hf, *gguf; // likewise
};

// Whether q, k, v (or o, or the feed-forward) have biases in a folder: never, always, or as a flag of config.json says.
// In GGUF a bias is there or it is not.
enum xn_bias_rule { XN_BIAS_NEVER, XN_BIAS_ALWAYS, XN_BIAS_FLAG };
struct xn_bias {
    enum xn_bias_rule rule;
    enum xn_param flag;
};

struct xn_builder;
// A row of the table of families. Lists end with NULL (names) or with param, role = the count (defaults, tensors,
// params).
struct xn_family {
    const char *name;
    const char *const *hf;   // model_type and architectures of config.json
    const char *const *gguf; // general.architecture
    const struct xn_param_default *defaults;
    const struct xn_tensor_name *tensors;
    const struct xn_param_name *params; // what this family calls differently
    struct xn_bias qkv_bias, o_bias, ffn_bias;
    enum xn_rope_kind hf_rope, gguf_rope; // the pairs that a rotation takes, by container
    enum xn_activation activation;        // where config.json names none; GGUF never does
    const char *activation_key;           // of config.json; NULL: hidden_act
    bool mxfp4;                           // folders may have experts in MXFP4 (quantization_config)
    bool yarn_unrounded; // yarn's ramp has no whole bounds, which a folder says (truncate) and GGUF does not
    bool no_gate;        // feed-forwards and experts are act(up)
    float norm_offset;   // what a folder's norm weights lack (1 where w stands for 1 + w); GGUF has it added
    void (*read)(struct xn_builder *b);
};
#define XN_NO_DEFAULT                                                                                                  \
    { XN_PARAMS, 0 }
#define XN_NO_TENSOR                                                                                                   \
    { XN_TENSOR_ROLES, NULL, NULL }
#define XN_NO_PARAM                                                                                                    \
    { XN_PARAMS, NULL, NULL }

struct xn_builder {
    const struct xn_source *source;
    const struct xn_family *family;
    struct xn_recipe *recipe;
    const json_t *config; // of the language model (text_config of a wrapper); NULL for GGUF
    char config_path[512];
    char arch[64];   // GGUF: what keys begin with
    char prefix[64]; // folder: what tensor names begin with ("model.", "model.language_model.", ...)
    uint32_t layers; // where a family counts them itself; 0: num_hidden_layers
    struct xn_error *err;
    int status;
};

// Records the first failure; later ones are dropped.
void xn_build_fail(struct xn_builder *b, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));
// Memory of the recipe's arena, zeroed; NULL (and a failure) without memory.
void *xn_build_alloc(struct xn_builder *b, size_t n, size_t size);

// --- hyper-parameters (params.c) ---

// True where the source gives a value (an explicit null is none) or the family has a default; *value is within the
// row's bounds.
bool xn_param_find(struct xn_builder *b, enum xn_param param, double *value);
// As xn_param_find, from another object of the configuration than its top level (rope_parameters), without defaults.
bool xn_param_find_in(struct xn_builder *b, const json_t *object, enum xn_param param, double *value);
double xn_param_real(struct xn_builder *b, enum xn_param param, double fallback);
uint32_t xn_param_u32(struct xn_builder *b, enum xn_param param);                       // fails where there is none
uint32_t xn_param_u32_or(struct xn_builder *b, enum xn_param param, uint32_t fallback); // integers alone
// An integer that may differ between layers: element `layer` of an array under either container's key (where 0 is
// allowed: the layer has nothing of the kind), else as xn_param_u32_or.
uint32_t xn_param_layer(struct xn_builder *b, enum xn_param param, uint32_t layer, uint32_t fallback);
// The largest element of such an array (all 0: the fallback), else as xn_param_u32_or.
uint32_t xn_param_most(struct xn_builder *b, enum xn_param param, uint32_t fallback);
bool xn_param_flag(struct xn_builder *b, enum xn_param param, bool fallback);
// A GGUF string, or a string of config.json; NULL where absent. Lives as long as the builder's recipe.
const char *xn_param_string(struct xn_builder *b, const char *hf_key, const char *gguf_key);
// Element i of an array of integers or booleans under either key; false where absent or null. GGUF: also of a lone
// number's key.
bool xn_param_element(struct xn_builder *b, const char *hf_key, const char *gguf_key, uint32_t i, int64_t *value);
// The n positive numbers of the array `hf_key` of config.json, all 1 where it is absent or null; *out has room for
// them.
void xn_param_factors(struct xn_builder *b, const char *hf_key, uint32_t n, float *out);
// Whether i is listed in the array `hf_key` of config.json.
bool xn_param_lists(struct xn_builder *b, const char *hf_key, uint32_t i);
enum xn_activation xn_param_activation(struct xn_builder *b);

enum xn_layer_type { XN_LAYER_FULL, XN_LAYER_SLIDING, XN_LAYER_LINEAR };
// Layer i by the list layer_types (or layers_block_type), else `fallback`. Linear: recurrent, of whatever kind.
enum xn_layer_type xn_layer_type(struct xn_builder *b, uint32_t i, enum xn_layer_type fallback);

// --- tensors (tensors.c) ---

enum { XN_NO_LAYER = -1 };
// The tensor of a role, or NULL where it is absent.
const struct xn_tensor *xn_tensor_find(struct xn_builder *b, enum xn_tensor_role role, int layer);
// A matrix of rows x cols; a role that is absent is a failure.
void xn_read_matrix(struct xn_builder *b, enum xn_tensor_role role, int layer, uint64_t rows, uint64_t cols,
                    struct xn_matrix *out);
// Consecutive row slices of one tensor: out[i] has rows[i] rows, and together they are the tensor.
void xn_read_slices(struct xn_builder *b, enum xn_tensor_role role, int layer, uint32_t n, const uint64_t *rows,
                    uint64_t cols, struct xn_matrix *const *out);
// A matrix whose row i is row gather[i] of a tensor of stored_rows x cols; `gather` lives in the recipe's arena.
void xn_read_gather(struct xn_builder *b, enum xn_tensor_role role, int layer, uint64_t stored_rows, uint32_t rows,
                    uint64_t cols, const uint32_t *gather, struct xn_matrix *out);
// A vector of n values as float32, each with `add` added.
const float *xn_read_vector(struct xn_builder *b, enum xn_tensor_role role, int layer, uint64_t n, float add);
// The same of a tensor in any shape, which llama.cpp gives vectors that it multiplies by groups.
const float *xn_read_values(struct xn_builder *b, enum xn_tensor_role role, int layer, uint64_t n);
// The bias that belongs to a role's weight, by the rule; NULL where there is none.
const float *xn_read_bias(struct xn_builder *b, const struct xn_bias *bias, enum xn_tensor_role role, int layer,
                          uint64_t n);
// A depthwise convolution of `channels` with `taps` each ([C, 1, K] of a folder, [C, K] of GGUF), as [channel][tap].
const float *xn_read_conv(struct xn_builder *b, enum xn_tensor_role role, int layer, uint32_t channels, uint32_t taps);
// Experts' matrices, count of rows x cols: from one fused tensor, else from one tensor an expert.
void xn_read_experts(struct xn_builder *b, enum xn_tensor_role fused, enum xn_tensor_role single, int layer,
                     uint32_t count, uint64_t rows, uint64_t cols, struct xn_matrix *out);
// The same of a tensor that stacks gate over up: count of 2 * rows x cols.
void xn_read_experts_pair(struct xn_builder *b, enum xn_tensor_role fused, int layer, uint32_t count, uint64_t rows,
                          uint64_t cols, struct xn_matrix *first, struct xn_matrix *second);

// Experts of one tensor where each is stored in another order: out->layout COLUMNS or MXFP4 (whose blocks and scales
// are two roles), with the stored rows and their gather that *out already has. count of rows x cols.
void xn_read_experts_ordered(struct xn_builder *b, enum xn_tensor_role role, enum xn_tensor_role scales, int layer,
                             uint32_t count, uint32_t rows, uint32_t cols, struct xn_matrix *out);
// A tensor that has `first` and then `second` rows for each of `heads`, as two matrices a head: *transposed is cols x
// first, *plain second x cols.
void xn_read_head_pairs(struct xn_builder *b, enum xn_tensor_role role, int layer, uint32_t heads, uint32_t first,
                        uint32_t second, uint32_t cols, struct xn_matrix *transposed, struct xn_matrix *plain);
// A vector of n values for each of `count` experts, as [expert][value].
const float *xn_read_expert_vectors(struct xn_builder *b, enum xn_tensor_role role, int layer, uint32_t count,
                                    uint32_t n);

// --- parts of a recipe (parts.c, parts_*.c) ---

// What the layers of a transformer decoder have in common.
struct xn_decoder {
    uint32_t layers, hidden, heads, kv_heads, head_size, value_size;
    float epsilon;
    enum xn_activation activation;
    struct xn_rope rope;
};
// Reads the sizes of layers and rows, embedding, final norm and head, and allocates the recipe's layers, all scales 1.
void xn_read_trunk(struct xn_builder *b, struct xn_decoder *d);
// The trunk, the sizes of attention without its rope.
void xn_read_decoder_without_rope(struct xn_builder *b, struct xn_decoder *d);
// The whole decoder.
void xn_read_decoder(struct xn_builder *b, struct xn_decoder *d);
// An RMS norm of n values.
void xn_read_norm(struct xn_builder *b, enum xn_tensor_role role, int layer, uint64_t n, float epsilon,
                  struct xn_norm *out);
// Norms before mixer and feed-forward, of hidden size.
void xn_read_layer_norms(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_layer *out);
// q, k, v (separate or fused), o, and their biases; scale 1/sqrt(head_size), the decoder's rope. gated: q has a gate a
// head.
void xn_read_attention(struct xn_builder *b, const struct xn_decoder *d, int layer, bool gated, struct xn_layer *out);
enum xn_attention_parts {
    XN_READ_GATE = 1,         // q has a gate a head
    XN_READ_NO_VALUES = 2,    // the key's product, before its norm and rope, is the value too
    XN_SHARE_KEYS_VALUES = 4, // of an earlier layer's cache, which the caller names: neither k nor v is there
};
// The same with heads and sizes as `d` says them, whatever the source says of the layer; parts: any of
// xn_attention_parts.
void xn_read_attention_of(struct xn_builder *b, const struct xn_decoder *d, int layer, unsigned parts,
                          struct xn_layer *out);
// Norms over each head of q and k.
void xn_read_head_norms(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_attention *out);
// A gated feed-forward of the layer's intermediate_size (gate and up separate or fused).
void xn_read_dense(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_layer *out);
// Layer `layer`'s intermediate_size; fails where it has none.
uint32_t xn_param_inner(struct xn_builder *b, uint32_t layer);
// The same of `inner` values, into any dense feed-forward (a shared expert that has the dense one's names).
void xn_read_dense_of(struct xn_builder *b, const struct xn_decoder *d, int layer, uint64_t inner,
                      struct xn_dense *out);
// Softmax router, `inner` values an expert, and the shared expert where `shared_inner` is not 0.
void xn_read_moe(struct xn_builder *b, const struct xn_decoder *d, int layer, uint32_t inner, uint32_t shared_inner,
                 bool normalize, struct xn_layer *out);
// Experts with biases, and a router with one that weighs the chosen by a softmax over them; a folder's gate and up rows
// alternate, transposed or in MXFP4.
void xn_read_paired_moe(struct xn_builder *b, const struct xn_decoder *d, int layer, uint32_t inner,
                        struct xn_layer *out);
// xn_read_moe on the layers that have experts, a dense feed-forward on the others: a folder says which by
// decoder_sparse_step and mlp_only_layers, in GGUF the others have no router.
void xn_read_sparse_ffn(struct xn_builder *b, const struct xn_decoder *d, int layer, uint32_t shared_inner,
                        bool normalize, struct xn_layer *out);
// Experts as DeepSeek has them: scores by `usual` (GGUF may say otherwise), for a sigmoid with a bias for choosing,
// within groups; a scale; shared experts that are one of n_shared_experts times the size.
void xn_read_grouped_moe(struct xn_builder *b, const struct xn_decoder *d, int layer, enum xn_router_score usual,
                         struct xn_layer *out);
// Latent attention with the decoder's rope. (parts_latent.c)
void xn_read_latent_attention(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_layer *out);
// The shared expert of `inner` values, by the roles SHARED_*.
void xn_read_shared_expert(struct xn_builder *b, const struct xn_decoder *d, int layer, uint32_t inner,
                           struct xn_dense *out);
// A gated delta net, its products apart or q, k, v, z (and beta, alpha) in one tensor each, key head by key head.
// tiled: value heads stand as xn_delta_net.heads_tiled says.
void xn_read_delta_net(struct xn_builder *b, const struct xn_decoder *d, int layer, bool tiled, struct xn_layer *out);
// Whether layer i is a delta net: by the list of either container, else all but each full_attention_interval-th.
bool xn_layer_is_linear(struct xn_builder *b, uint32_t i);
// The rope of `head_size` values that the source describes; layer_type: the entry of a rope_parameters with one entry a
// kind of layer ("full_attention"), also used where there is only one.
// (The rope's code is rope_read.c.)
void xn_read_rope(struct xn_builder *b, uint32_t head_size, const char *layer_type, struct xn_rope *out);

// --- recurrent parts of a recipe (parts_recurrent.c) ---

// The factor of the state's decay, [heads]: a folder keeps the logarithm of its negative (A_log), GGUF itself.
const float *xn_read_decay_rate(struct xn_builder *b, enum xn_tensor_role role, int layer, uint32_t heads);
// Fails unless the activation that config.json names under `key` is SiLU, the one that recurrent mixers have.
void xn_check_silu(struct xn_builder *b, const char *key);
// A Mamba-2 mixer: sizes, matrices, biases by the flags SSM_*_BIAS, time steps by time_step_limit (GGUF keeps none:
// free), and with `norm` a gated norm of the whole row (norm_groups 1, behind the gate).
void xn_read_state_space(struct xn_builder *b, const struct xn_decoder *d, int layer, bool norm, struct xn_mixer *out);
// Whether layer i is recurrent: in GGUF where it has no key and value heads, in a folder by its type, else `fallback`.
bool xn_layer_is_recurrent(struct xn_builder *b, uint32_t i, bool fallback);
// A gated short convolution of the residual stream's width, biases by the flag SHORT_BIAS.
void xn_read_short_conv(struct xn_builder *b, const struct xn_decoder *d, int layer, struct xn_mixer *out);
// What DeepSeek's attention multiplies its scores by where the rope is stretched: (0.1 mscale_all_dim ln(factor) +
// 1)^2, of which its GGUF files hold 0.1 mscale_all_dim. 1 where nothing is said.
float xn_read_rope_score_scale(struct xn_builder *b);
