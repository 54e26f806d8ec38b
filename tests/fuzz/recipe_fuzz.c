// Reading a recipe: a configuration of the input's making over a fixed small list of tensors.
// Nothing may crash, leak, or come back half built.
#include "model/builder.h"
#include "model/families/families.h"
#include "tiny_model.h"

#include <stdlib.h>

// Keys that are no hyper-parameter of the common list, or that are worth meeting more often.
static const char *const keys[] = {
    "model_type",
    "hidden_size",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "intermediate_size",
    "vocab_size",
    "num_hidden_layers",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
    "partial_rotary_factor",
    "sliding_window",
    "use_sliding_window",
    "layer_types",
    "rope_scaling",
    "rope_parameters",
    "tie_word_embeddings",
    "attention_bias",
    "mlp_bias",
    "num_experts",
    "num_experts_per_tok",
    "moe_intermediate_size",
    "shared_expert_intermediate_size",
    "hidden_act",
    "text_config",
    "linear_num_key_heads",
    "linear_num_value_heads",
    "linear_key_head_dim",
    "linear_value_head_dim",
    "linear_conv_kernel_dim",
    "query_pre_attn_scalar",
    "full_attention_interval",
    "no_rope_layers",
    "mlp_only_layers",
    "decoder_sparse_step",
    "original_max_position_embeddings",
    "factor",
    "rope_type",
    "low_freq_factor",
    "high_freq_factor",
    "long_factor",
    "short_factor",
    "beta_fast",
    "beta_slow",
    "mscale",
    "mscale_all_dim",
    "attention_factor",
    "llama_4_scaling_beta",
    "truncate",
    "logits_scaling",
    "embedding_multiplier",
    "attention_multiplier",
    "residual_multiplier",
    "quantization_config",
    "full_attention",
    "sliding_attention",
    "sliding_window_pattern",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "hybrid_override_pattern",
    "layers_block_type",
    "full_attn_idxs",
    "time_step_limit",
    "ssm_multipliers",
    "mlp_multipliers",
    "per_layer_config",
    "head_dim",
    "topk_method",
    "rope_interleave",
    "quant_method",
    "architectures",
};
// All hyper-parameters: "a|b" of several names.
static const char *const params[] = {
#define X(name, hf, ...) hf,
    XN_PARAM_LIST(X)
#undef X
};
static const char *const words[] = {
    "linear",
    "llama3",
    "yarn",
    "longrope",
    "su",
    "dynamic",
    "default",
    "full_attention",
    "sliding_attention",
    "linear_attention",
    "silu",
    "gelu_pytorch_tanh",
    "nothing",
    "",
    "proportional",
    "conv",
    "mamba",
    "moe",
    "mlp",
    "attention",
    "M-M*",
    "ME*E",
    "greedy",
    "group_limited_greedy",
    "noaux_tc",
    "mxfp4",
    "relu2",
    "nope",
};
enum {
    KEYS = sizeof keys / sizeof *keys,
    PARAMS = sizeof params / sizeof *params,
    WORDS = sizeof words / sizeof *words,
};

struct input {
    const uint8_t *data;
    size_t left;
};
static uint8_t next(struct input *in) {
    if (!in->left) return 0;
    in->left--;
    return *in->data++;
}

// A key, in a buffer that the next call writes over.
static const char *draw_key(struct input *in) {
    static char key[64];
    uint8_t choice = next(in);
    if (choice & 1) return keys[choice / 2 % KEYS];
    const char *names = params[next(in) % PARAMS];
    const char *second = strchr(names, '|');
    if (second && choice & 2) names = second + 1;
    snprintf(key, sizeof key, "%.*s", (int)strcspn(names, "|"), names);
    return key;
}

static const char *family(uint8_t choice) {
    static const char *const names[] = {
#define X(name) #name,
        XN_FAMILY_LIST(X)
#undef X
    };
    return names[choice % (sizeof names / sizeof *names)];
}

static json_t *value(struct input *in, int depth) {
    uint8_t kind = next(in) % 12;
    switch (kind) {
    case 0:
        return json_null();
    case 1:
        return json_boolean(next(in) & 1);
    case 2:
        return json_string(words[next(in) % WORDS]);
    case 3:
        return json_real((next(in) - 100) * 0.25);
    case 4:
        return json_real(1e30 * next(in));
    case 5:
        return json_integer(-(json_int_t)next(in));
    case 6:
        return json_integer((json_int_t)((uint64_t)next(in) << next(in) % 60));
    case 7:
    case 8: {
        json_t *list = json_array();
        for (int n = next(in) % 5; n > 0 && depth < 3; n--)
            json_array_append_new(list, value(in, depth + 1));
        return list;
    }
    case 9: {
        json_t *object = json_object();
        for (int n = next(in) % 8; n > 0 && depth < 3; n--) {
            char key[64];
            snprintf(key, sizeof key, "%s", draw_key(in));
            json_object_set_new(object, key, value(in, depth + 1));
        }
        return object;
    }
    default:
        return json_integer(next(in) % 24);
    }
}

// Whether a tensor of this name has one dimension.
static bool is_vector(const char *name) {
    static const char *const parts[] = {"norm", "bias", "A_log", "mamba.D", "sinks", "scalar"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(name, parts[i])) return true;
    return false;
}

// Every name of a layer's tensor that the families have in common, of shape 8 x 8 or 8, and some whose shape is another
// or that a family has for itself: enough that reading goes far.
static struct xn_safetensors *tensors(void) {
    static struct xn_safetensors *opened;
    if (opened) return opened;
    static const char *const common[] = {
#define X(name, hf, ...) hf,
        XN_TENSOR_LIST(X)
#undef X
    };
    static const char *const own[] = {"pre_feedforward_layernorm.weight",
                                      "post_feedforward_layernorm.weight",
                                      "post_self_attn_layernorm.weight",
                                      "post_mlp_layernorm.weight",
                                      "self_attn.q_proj.bias",
                                      "self_attn.k_proj.bias",
                                      "self_attn.v_proj.bias",
                                      "self_attn.o_proj.bias",
                                      "mixer.q_proj.weight",
                                      "mixer.k_proj.weight",
                                      "mixer.v_proj.weight",
                                      "mixer.o_proj.weight",
                                      "mixer.up_proj.weight",
                                      "mixer.down_proj.weight",
                                      "mixer.out_proj.weight",
                                      "mixer.A_log",
                                      "mixer.norm.weight",
                                      "norm.weight",
                                      "operator_norm.weight",
                                      "ffn_norm.weight",
                                      "feed_forward.w1.weight",
                                      "feed_forward.w2.weight",
                                      "feed_forward.w3.weight",
                                      "feed_forward.gate.weight",
                                      "self_attn.out_proj.weight",
                                      "feed_forward.gate_proj.weight",
                                      "feed_forward.up_proj.weight",
                                      "feed_forward.down_proj.weight",
                                      "pre_ff_layernorm.weight"};
    static const struct tiny_tensor others[] = {
        {"model.embed_tokens.weight", 2, {8, 8}, 0},
        {"model.norm.weight", 1, {8}, 0},
        {"model.layers.0.self_attn.qkv_proj.weight", 2, {24, 8}, 0},
        {"model.layers.0.mlp.gate_up_proj.weight", 2, {16, 8}, 0},
        {"model.layers.0.self_attn.q_norm.weight", 1, {4}, 0},
        {"model.layers.0.self_attn.k_norm.weight", 1, {4}, 0},
        {"model.layers.0.mlp.experts.gate_up_proj", 3, {8, 16, 8}, 0},
        {"model.layers.0.mlp.experts.down_proj", 3, {8, 8, 8}, 0},
        {"model.layers.0.mlp.shared_expert_gate.weight", 2, {1, 8}, 0},
        {"model.layers.0.linear_attn.in_proj_qkv.weight", 2, {24, 8}, 0},
        {"model.layers.0.linear_attn.conv1d.weight", 3, {24, 1, 4}, 0},
        {"model.layers.0.linear_attn.norm.weight", 1, {1}, 0},
        {"model.layers.0.conv.in_proj.weight", 2, {24, 8}, 0},
        {"model.layers.0.conv.conv.weight", 3, {8, 1, 3}, 0},
        {"model.embedding_norm.weight", 1, {8}, 0},
    };
    enum {
        COMMON = sizeof common / sizeof *common,
        OWN = sizeof own / sizeof *own,
        O = sizeof others / sizeof *others
    };
    static struct tiny_tensor all[COMMON + OWN + O];
    static char names[COMMON + OWN][96];
    size_t n = 0;
    memcpy(all, others, sizeof others);
    n = O;
    for (int i = 0; i < COMMON + OWN; i++) {
        const char *name = i < COMMON ? common[i] : own[i - COMMON];
        if (!*name || *name == '/' || strchr(name, '%') || strchr(name, '|')) continue;
        snprintf(names[i], sizeof names[i], "model.layers.0.%s", name);
        bool taken = false; // with a shape of its own
        for (size_t j = 0; j < n; j++)
            taken |= strcmp(all[j].name, names[i]) == 0;
        if (!taken) all[n++] = (struct tiny_tensor){names[i], is_vector(name) ? 1 : 2, {8, 8}, 0};
    }
    char folder[] = "/tmp/xenon-fuzz-XXXXXX", path[64];
    if (!mkdtemp(folder)) abort();
    tiny_write_safetensors(folder, all, n);
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    if (xn_safetensors_open(path, &opened, NULL)) abort();
    tiny_remove(folder);
    return opened;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct input in = {data, size};
    json_t *config = json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i}", "model_type", family(next(&in)), "hidden_size", 8,
                               "num_attention_heads", 2, "num_hidden_layers", 1, "intermediate_size", 8, "vocab_size",
                               8, "head_dim", 4);
    while (in.left) {
        char key[64];
        snprintf(key, sizeof key, "%s", draw_key(&in));
        json_object_set_new(config, key, value(&in, 0));
    }
    struct xn_source source = {.path = "fuzz", .st = tensors(), .config = config};
    struct xn_recipe recipe;
    struct xn_error err;
    if (xn_recipe_read(&source, &recipe, &err) == XN_OK) {
        if (!recipe.layers || !recipe.family || !recipe.head.rows) abort();
        (void)xn_recipe_sizes(&recipe);
    } else if (recipe.layers || recipe.arena.blocks) {
        abort();
    }
    xn_recipe_free(&recipe);
    json_decref(config);
    return 0;
}
