// Mamba 2: state-space mixers alone. Neither container says how long a context it was trained for.
#include "model/families/families.h"

static void read(struct xn_builder *b) {
    struct xn_decoder d;
    xn_read_trunk(b, &d);
    xn_check_silu(b, "hidden_act");
    for (uint32_t i = 0; i < d.layers && !b->status; i++) {
        struct xn_mixer *mixer = &b->recipe->layers[i].mixer;
        xn_read_norm(b, XN_T_MIXER_NORM, (int)i, d.hidden, d.epsilon, &mixer->norm);
        xn_read_state_space(b, &d, (int)i, true, mixer);
    }
}

const struct xn_family xn_family_mamba2 = {
    .name = "mamba2",
    .hf = (const char *const[]){"mamba2", "Mamba2ForCausalLM", NULL},
    .gguf = (const char *const[]){"mamba2", NULL},
    .defaults = (const struct xn_param_default[]){{XN_P_EPSILON, 1e-5},
                                                  {XN_P_CONTEXT, 1 << 20},
                                                  {XN_P_SSM_HEADS, 128},
                                                  {XN_P_SSM_HEAD_SIZE, 64},
                                                  {XN_P_SSM_EXPAND, 2},
                                                  {XN_P_SSM_GROUPS, 8},
                                                  {XN_P_SSM_STATE, 128},
                                                  {XN_P_SSM_KERNEL, 4},
                                                  {XN_P_SSM_CONV_BIAS, 1},
                                                  XN_NO_DEFAULT},
    .tensors = (const struct xn_tensor_name[]){{XN_T_EMBEDDING, "embeddings.weight|embedding.weight", NULL},
                                               {XN_T_FINAL_NORM, "norm_f.weight", NULL},
                                               {XN_T_HEAD, "/lm_head.weight|/model.lm_head.weight", NULL},
                                               {XN_T_MIXER_NORM, "norm.weight", NULL},
                                               XN_MIXER_STATE_SPACE_TENSORS,
                                               XN_NO_TENSOR},
    .params = (const struct xn_param_name[]){{XN_P_EPSILON, "layer_norm_epsilon", NULL},
                                             {XN_P_SSM_HEADS, "num_heads", NULL},
                                             {XN_P_SSM_HEAD_SIZE, "head_dim", NULL},
                                             {XN_P_SSM_INNER, "", NULL},
                                             {XN_P_SSM_EXPAND, "expand", NULL},
                                             {XN_P_SSM_GROUPS, "n_groups", NULL},
                                             {XN_P_SSM_STATE, "state_size", NULL},
                                             {XN_P_SSM_KERNEL, "conv_kernel", NULL},
                                             {XN_P_SSM_BIAS, "use_bias", NULL},
                                             {XN_P_SSM_OUT_BIAS, "use_bias", NULL},
                                             {XN_P_SSM_CONV_BIAS, "use_conv_bias", NULL},
                                             XN_NO_PARAM},
    .activation = XN_ACT_SILU,
    .read = read,
};
