// Recurrent families: those of ../shared/models with the mixers that their configurations say, folder and GGUF alike;
// and on models of a few values every tensor in turn missing and misshapen, and configurations that lie.
#include "tiny_reading.h"

#include <math.h>

// --- ../shared/models ---

// Of each layer its mixers and feed-forward: M Mamba-2, C short convolution, A attention with a rope, N without; d
// dense, e experts.
struct expected {
    const char *family, *layers;
    uint32_t context;
    uint32_t norm_groups; // of a gated norm; 0: none
    float dt_min;
    uint32_t experts, used;
};
static const struct expected expected[] = {
    {.family = "mamba2", .layers = "M M M ", .context = 1 << 20, .norm_groups = 1},
    {.family = "falcon_h1", .layers = "AMd AMd AMd ", .context = 4096},
    {.family = "granitemoehybrid",
     .layers = "Me Me Ne Me ",
     .context = 4096,
     .norm_groups = 1,
     .experts = 8,
     .used = 2},
    {.family = "nemotron_h", .layers = "M d M N d ", .context = 4096, .norm_groups = 2, .dt_min = 1e-3f},
    {.family = "lfm2_moe", .layers = "Cd Ce Ae Ce ", .context = 4096, .experts = 8, .used = 2},
    {.family = "lfm2", .layers = "Cd Cd Ad Cd ", .context = 4096},
};

static char mixer_letter(const struct expected *e, const struct xn_mixer *mixer) {
    if (mixer->kind == XN_MIXER_SHORT_CONV) {
        assert_int_equal(mixer->short_conv.channels, 128);
        assert_int_equal(mixer->short_conv.kernel, 3);
        return 'C';
    }
    if (mixer->kind == XN_MIXER_STATE_SPACE) {
        const struct xn_state_space *s = &mixer->state_space;
        assert_int_equal(s->heads, 8);
        assert_int_equal(s->head_size, 32);
        assert_int_equal(s->state_size, 32);
        assert_int_equal(s->kernel, 4);
        assert_int_equal(s->z.rows + s->xbc.rows + s->dt.rows, 2 * 256 + 2 * s->groups * 32 + 8);
        assert_int_equal(s->norm.kind, e->norm_groups ? XN_NORM_RMS : XN_NORM_NONE);
        if (e->norm_groups) assert_int_equal(s->norm_groups, e->norm_groups);
        assert_true(s->dt_min == e->dt_min && isinf(s->dt_max));
        for (uint32_t h = 0; h < s->heads; h++)
            assert_true(s->decay_rate[h] < 0);
        return 'M';
    }
    assert_int_equal(mixer->kind, XN_MIXER_ATTENTION);
    assert_int_equal(mixer->attention.heads, 4);
    assert_int_equal(mixer->attention.kv_heads, 2);
    return mixer->attention.rope.kind == XN_ROPE_NONE ? 'N' : 'A';
}

static void check_recipe(const struct expected *e, const struct xn_recipe *m) {
    char layers[64] = "", *at = layers;
    for (uint32_t i = 0; i < m->n_layers; i++) {
        const struct xn_layer *layer = &m->layers[i];
        if (layer->mixer.kind != XN_MIXER_NONE) *at++ = mixer_letter(e, &layer->mixer);
        if (layer->beside) *at++ = mixer_letter(e, layer->beside);
        if (layer->ffn.kind != XN_FFN_NONE) *at++ = layer->ffn.kind == XN_FFN_DENSE ? 'd' : 'e';
        *at++ = ' ';
        if (layer->ffn.kind != XN_FFN_EXPERTS) continue;
        assert_int_equal(layer->ffn.experts.up.count, e->experts);
        assert_int_equal(layer->ffn.experts.used, e->used);
    }
    *at = 0;
    assert_string_equal(layers, e->layers);
}

static void same_vector(const char *what, const float *a, const float *b, size_t n) {
    assert_int_equal(a == NULL, b == NULL);
    for (size_t i = 0; a && i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= 1e-6f * (1 + fabsf(a[i]))))
            fail_msg("%s[%zu] is %.9g and %.9g", what, i, a[i], b[i]);
}

static void same_mixer(const struct xn_mixer *a, const struct xn_mixer *b) {
    assert_int_equal(a->kind, b->kind);
    same_vector("mixer norm", a->norm.weight, b->norm.weight, 128);
    if (a->kind == XN_MIXER_STATE_SPACE) {
        const struct xn_state_space *x = &a->state_space, *y = &b->state_space;
        same_vector("convolution", x->conv, y->conv, (size_t)x->xbc.rows * x->kernel);
        same_vector("its bias", x->conv_bias, y->conv_bias, x->xbc.rows);
        same_vector("decay", x->decay_rate, y->decay_rate, x->heads);
        same_vector("dt bias", x->dt_bias, y->dt_bias, x->heads);
        same_vector("skip", x->skip, y->skip, x->heads);
        same_vector("gated norm", x->norm.weight, y->norm.weight, x->z.rows);
    } else if (a->kind == XN_MIXER_SHORT_CONV) {
        same_vector("convolution", a->short_conv.conv, b->short_conv.conv, 3 * 128);
    } else {
        same_vector("k norm", a->attention.k_norm.weight, b->attention.k_norm.weight, 32);
    }
}

static void same_recipe(const struct xn_recipe *a, const struct xn_recipe *b) {
    same_vector("final norm", a->final_norm.weight, b->final_norm.weight, a->hidden);
    for (uint32_t i = 0; i < a->n_layers; i++) {
        same_mixer(&a->layers[i].mixer, &b->layers[i].mixer);
        if (a->layers[i].beside) same_mixer(a->layers[i].beside, b->layers[i].beside);
        same_vector("ffn norm", a->layers[i].ffn.norm.weight, b->layers[i].ffn.norm.weight, a->hidden);
    }
    assert_int_equal(xn_recipe_sizes(a).parameters, xn_recipe_sizes(b).parameters);
    assert_int_equal(xn_recipe_sizes(a).active_parameters, xn_recipe_sizes(b).active_parameters);
}

static void test_families(void **state) {
    (void)state;
    char path[640];
    const char *shared = getenv("XENON_SHARED");
    snprintf(path, sizeof path, "%s/models", shared ? shared : "../shared");
    if (access(path, R_OK)) skip();
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const struct expected *e = &expected[i];
        struct reading folder, gguf;
        snprintf(path, sizeof path, "%s/models/%s", shared ? shared : "../shared", e->family);
        read_path(&folder, path);
        if (folder.status) fail_msg("%s", folder.err.message);
        assert_string_equal(folder.recipe.family, e->family);
        assert_int_equal(folder.recipe.context, e->context);
        check_recipe(e, &folder.recipe);
        snprintf(path, sizeof path, "%s/models/%s/model.gguf", shared ? shared : "../shared", e->family);
        if (access(path, R_OK) == 0) {
            read_path(&gguf, path);
            if (gguf.status) fail_msg("%s", gguf.err.message);
            check_recipe(e, &gguf.recipe);
            same_recipe(&folder.recipe, &gguf.recipe);
            end_reading(&gguf);
        }
        end_reading(&folder);
    }
}

// --- models of a few values: hidden 8, 10 tokens ---

// 2 heads of 4 values, 1 group, 2 values of state, 3 taps
static const struct tiny_tensor tiny_mamba2[] = {
    {"backbone.embeddings.weight", 2, {10, 8}, 0},
    {"backbone.layers.0.norm.weight", 1, {8}, 1},
    {"backbone.layers.0.mixer.in_proj.weight", 2, {22, 8}, 0},
    {"backbone.layers.0.mixer.in_proj.bias", 1, {22}, 0},
    {"backbone.layers.0.mixer.conv1d.weight", 3, {12, 1, 3}, 0},
    {"backbone.layers.0.mixer.conv1d.bias", 1, {12}, 5},
    {"backbone.layers.0.mixer.A_log", 1, {2}, 0},
    {"backbone.layers.0.mixer.D", 1, {2}, 6},
    {"backbone.layers.0.mixer.dt_bias", 1, {2}, 7},
    {"backbone.layers.0.mixer.norm.weight", 1, {8}, 8},
    {"backbone.layers.0.mixer.out_proj.weight", 2, {8, 8}, 0},
    {"backbone.layers.0.mixer.out_proj.bias", 1, {8}, 9},
    {"backbone.norm_f.weight", 1, {8}, 0},
};
static const char tiny_mamba2_config[] =
    "{\"model_type\": \"mamba2\", \"hidden_size\": 8, \"num_heads\": 2, \"head_dim\": 4, \"expand\": 1, \"n_groups\": "
    "1, \"state_size\": 2, \"conv_kernel\": 3, \"use_bias\": true, \"vocab_size\": 10, \"num_hidden_layers\": 1}";

// 2 heads of 4 values, 1 of keys and values; the second layer attends; 12 values in the feed-forward, of 18
static const struct tiny_tensor tiny_lfm2[] = {
    {"model.embed_tokens.weight", 2, {10, 8}, 0},
    {"model.layers.0.operator_norm.weight", 1, {8}, 1},
    {"model.layers.0.conv.in_proj.weight", 2, {24, 8}, 0},
    {"model.layers.0.conv.in_proj.bias", 1, {24}, 2},
    {"model.layers.0.conv.conv.weight", 3, {8, 1, 3}, 0},
    {"model.layers.0.conv.conv.bias", 1, {8}, 3},
    {"model.layers.0.conv.out_proj.weight", 2, {8, 8}, 0},
    {"model.layers.0.conv.out_proj.bias", 1, {8}, 4},
    {"model.layers.0.ffn_norm.weight", 1, {8}, 0},
    {"model.layers.0.feed_forward.w1.weight", 2, {12, 8}, 0},
    {"model.layers.0.feed_forward.w3.weight", 2, {12, 8}, 0},
    {"model.layers.0.feed_forward.w2.weight", 2, {8, 12}, 0},
    {"model.layers.1.operator_norm.weight", 1, {8}, 1},
    {"model.layers.1.self_attn.q_proj.weight", 2, {8, 8}, 0},
    {"model.layers.1.self_attn.k_proj.weight", 2, {4, 8}, 0},
    {"model.layers.1.self_attn.v_proj.weight", 2, {4, 8}, 0},
    {"model.layers.1.self_attn.out_proj.weight", 2, {8, 8}, 0},
    {"model.layers.1.self_attn.q_layernorm.weight", 1, {4}, 0},
    {"model.layers.1.self_attn.k_layernorm.weight", 1, {4}, 0},
    {"model.layers.1.ffn_norm.weight", 1, {8}, 0},
    {"model.layers.1.feed_forward.w1.weight", 2, {12, 8}, 0},
    {"model.layers.1.feed_forward.w3.weight", 2, {12, 8}, 0},
    {"model.layers.1.feed_forward.w2.weight", 2, {8, 12}, 0},
    {"model.embedding_norm.weight", 1, {8}, 0},
};
static const char tiny_lfm2_config[] =
    "{\"model_type\": \"lfm2\", \"hidden_size\": 8, \"num_attention_heads\": 2, \"num_key_value_heads\": 1, "
    "\"block_ff_dim\": 18, \"block_multiple_of\": 6, \"full_attn_idxs\": [1], \"conv_bias\": true, \"norm_eps\": 0.25, "
    "\"rms_norm_eps\": 0.5, \"vocab_size\": 10, \"num_hidden_layers\": 2}";

// 2 heads of 4 values, 1 of keys and values; 2 state-space heads of 4 in 2 groups, 1 value of state, 2 taps
static const struct tiny_tensor tiny_falcon_h1[] = {
    {"model.embed_tokens.weight", 2, {10, 8}, 0},
    {"model.layers.0.input_layernorm.weight", 1, {8}, 1},
    {"model.layers.0.self_attn.q_proj.weight", 2, {8, 8}, 0},
    {"model.layers.0.self_attn.k_proj.weight", 2, {4, 8}, 0},
    {"model.layers.0.self_attn.v_proj.weight", 2, {4, 8}, 0},
    {"model.layers.0.self_attn.o_proj.weight", 2, {8, 8}, 0},
    {"model.layers.0.mamba.in_proj.weight", 2, {22, 8}, 0},
    {"model.layers.0.mamba.conv1d.weight", 3, {12, 1, 2}, 1},
    {"model.layers.0.mamba.conv1d.bias", 1, {12}, 0},
    {"model.layers.0.mamba.A_log", 1, {2}, 0},
    {"model.layers.0.mamba.D", 1, {2}, 0},
    {"model.layers.0.mamba.dt_bias", 1, {2}, 0},
    {"model.layers.0.mamba.norm.weight", 1, {8}, 0},
    {"model.layers.0.mamba.out_proj.weight", 2, {8, 8}, 0},
    {"model.layers.0.mamba.out_proj.bias", 1, {8}, 0},
    {"model.layers.0.pre_ff_layernorm.weight", 1, {8}, 0},
    {"model.layers.0.feed_forward.gate_proj.weight", 2, {12, 8}, 0},
    {"model.layers.0.feed_forward.up_proj.weight", 2, {12, 8}, 0},
    {"model.layers.0.feed_forward.down_proj.weight", 2, {8, 12}, 0},
    {"model.final_layernorm.weight", 1, {8}, 0},
};
static const char tiny_falcon_h1_config[] =
    "{\"model_type\": \"falcon_h1\", \"hidden_size\": 8, \"num_attention_heads\": 2, \"num_key_value_heads\": 1, "
    "\"intermediate_size\": 12, \"mamba_d_ssm\": null, \"mamba_expand\": 1, \"mamba_n_heads\": 2, "
    "\"mamba_d_head\": \"auto\", \"mamba_n_groups\": 2, \"mamba_d_state\": 1, \"mamba_d_conv\": 2, "
    "\"mamba_rms_norm\": true, \"projectors_bias\": true, \"vocab_size\": 10, \"num_hidden_layers\": 1, "
    "\"embedding_multiplier\": 2, \"lm_head_multiplier\": 3, \"attention_in_multiplier\": 4, "
    "\"attention_out_multiplier\": 5, \"key_multiplier\": 6, \"ssm_in_multiplier\": 7, \"ssm_out_multiplier\": 8, "
    "\"mlp_multipliers\": [9, 10], \"ssm_multipliers\": [11, 12, 13, 14, 15]}";

// 2 heads of 4 values, 1 of keys and values, of which the second layer's; 1 state-space head of 8; 3 experts of 4
// values, a shared one of 6
#define TINY_GRANITE_FFN(i)                                                                                            \
    {"model.layers." #i ".post_attention_layernorm.weight", 1, {8}, 0},                                                \
        {"model.layers." #i ".block_sparse_moe.router.layer.weight", 2, {3, 8}, 0},                                    \
        {"model.layers." #i ".block_sparse_moe.input_linear.weight", 3, {3, 8, 8}, 0},                                 \
        {"model.layers." #i ".block_sparse_moe.output_linear.weight", 3, {3, 8, 4}, 0},                                \
        {"model.layers." #i ".shared_mlp.input_linear.weight", 2, {12, 8}, 0}, {                                       \
        "model.layers." #i ".shared_mlp.output_linear.weight", 2, {8, 6}, 0                                            \
    }
static const struct tiny_tensor tiny_granite[] = {
    {"model.embed_tokens.weight", 2, {10, 8}, 0},
    {"model.layers.0.input_layernorm.weight", 1, {8}, 1},
    {"model.layers.0.mamba.in_proj.weight", 2, {21, 8}, 0},
    {"model.layers.0.mamba.conv1d.weight", 3, {12, 1, 2}, 1},
    {"model.layers.0.mamba.conv1d.bias", 1, {12}, 0},
    {"model.layers.0.mamba.A_log", 1, {1}, 0},
    {"model.layers.0.mamba.D", 1, {1}, 0},
    {"model.layers.0.mamba.dt_bias", 1, {1}, 0},
    {"model.layers.0.mamba.norm.weight", 1, {8}, 0},
    {"model.layers.0.mamba.out_proj.weight", 2, {8, 8}, 0},
    TINY_GRANITE_FFN(0),
    {"model.layers.1.input_layernorm.weight", 1, {8}, 1},
    {"model.layers.1.self_attn.q_proj.weight", 2, {8, 8}, 0},
    {"model.layers.1.self_attn.k_proj.weight", 2, {4, 8}, 0},
    {"model.layers.1.self_attn.v_proj.weight", 2, {4, 8}, 0},
    {"model.layers.1.self_attn.o_proj.weight", 2, {8, 8}, 0},
    TINY_GRANITE_FFN(1),
    {"model.norm.weight", 1, {8}, 0},
};
static const char tiny_granite_config[] =
    "{\"model_type\": \"granitemoehybrid\", \"hidden_size\": 8, \"num_attention_heads\": 2, \"num_key_value_heads\": "
    "1, \"intermediate_size\": 4, \"mamba_expand\": 1, \"mamba_n_heads\": 1, \"mamba_n_groups\": 1, "
    "\"mamba_d_state\": 2, \"mamba_d_conv\": 2, \"num_local_experts\": 3, \"shared_intermediate_size\": 6, "
    "\"layers_block_type\": [\"mamba\", \"attention\"], \"attention_multiplier\": 2, \"embedding_multiplier\": 3, "
    "\"logits_scaling\": 4, \"residual_multiplier\": 5, \"vocab_size\": 10, \"num_hidden_layers\": 2}";

// 1 state-space head of 8 values, 2 heads of 4 that attend, 6 values in the feed-forward; 4 experts of 3 values in a
// latent space of 5, a shared one of 7
static const struct tiny_tensor tiny_nemotron_h[] = {
    {"backbone.embeddings.weight", 2, {10, 8}, 0},
    {"backbone.layers.0.norm.weight", 1, {8}, 1},
    {"backbone.layers.0.mixer.in_proj.weight", 2, {21, 8}, 0},
    {"backbone.layers.0.mixer.conv1d.weight", 3, {12, 1, 2}, 1},
    {"backbone.layers.0.mixer.conv1d.bias", 1, {12}, 0},
    {"backbone.layers.0.mixer.A_log", 1, {1}, 0},
    {"backbone.layers.0.mixer.D", 1, {1}, 0},
    {"backbone.layers.0.mixer.dt_bias", 1, {1}, 0},
    {"backbone.layers.0.mixer.norm.weight", 1, {8}, 0},
    {"backbone.layers.0.mixer.out_proj.weight", 2, {8, 8}, 0},
    {"backbone.layers.1.norm.weight", 1, {8}, 2},
    {"backbone.layers.1.mixer.q_proj.weight", 2, {8, 8}, 0},
    {"backbone.layers.1.mixer.k_proj.weight", 2, {4, 8}, 0},
    {"backbone.layers.1.mixer.v_proj.weight", 2, {4, 8}, 0},
    {"backbone.layers.1.mixer.o_proj.weight", 2, {8, 8}, 0},
    {"backbone.layers.2.norm.weight", 1, {8}, 3},
    {"backbone.layers.2.mixer.up_proj.weight", 2, {6, 8}, 0},
    {"backbone.layers.2.mixer.up_proj.bias", 1, {6}, 4},
    {"backbone.layers.2.mixer.down_proj.weight", 2, {8, 6}, 0},
    {"backbone.layers.2.mixer.down_proj.bias", 1, {8}, 5},
    {"backbone.layers.3.norm.weight", 1, {8}, 0},
    {"backbone.layers.3.mixer.gate.weight", 2, {4, 8}, 0},
    {"backbone.layers.3.mixer.gate.e_score_correction_bias", 1, {4}, 6},
    {"backbone.layers.3.mixer.fc1_latent_proj.weight", 2, {5, 8}, 0},
    {"backbone.layers.3.mixer.fc1_latent_proj.bias", 1, {5}, 7},
    {"backbone.layers.3.mixer.fc2_latent_proj.weight", 2, {8, 5}, 0},
    {"backbone.layers.3.mixer.fc2_latent_proj.bias", 1, {8}, 8},
    {"backbone.layers.3.mixer.experts.0.up_proj.weight", 2, {3, 5}, 0},
    {"backbone.layers.3.mixer.experts.1.up_proj.weight", 2, {3, 5}, 0},
    {"backbone.layers.3.mixer.experts.2.up_proj.weight", 2, {3, 5}, 0},
    {"backbone.layers.3.mixer.experts.3.up_proj.weight", 2, {3, 5}, 0},
    {"backbone.layers.3.mixer.experts.0.down_proj.weight", 2, {5, 3}, 0},
    {"backbone.layers.3.mixer.experts.1.down_proj.weight", 2, {5, 3}, 0},
    {"backbone.layers.3.mixer.experts.2.down_proj.weight", 2, {5, 3}, 0},
    {"backbone.layers.3.mixer.experts.3.down_proj.weight", 2, {5, 3}, 0},
    {"backbone.layers.3.mixer.shared_experts.up_proj.weight", 2, {7, 8}, 0},
    {"backbone.layers.3.mixer.shared_experts.up_proj.bias", 1, {7}, 0},
    {"backbone.layers.3.mixer.shared_experts.down_proj.weight", 2, {8, 7}, 0},
    {"backbone.layers.3.mixer.shared_experts.down_proj.bias", 1, {8}, 0},
    {"backbone.norm_f.weight", 1, {8}, 0},
    {"lm_head.weight", 2, {10, 8}, 0},
};
static const char tiny_nemotron_h_config[] =
    "{\"model_type\": \"nemotron_h\", \"hidden_size\": 8, \"num_attention_heads\": 2, \"num_key_value_heads\": 1, "
    "\"head_dim\": 4, \"intermediate_size\": 6, \"mlp_bias\": true, \"hybrid_override_pattern\": \"M*-E\", "
    "\"num_hidden_layers\": 52, \"mamba_num_heads\": 1, \"mamba_head_dim\": 8, \"n_groups\": 1, "
    "\"ssm_state_size\": 2, \"conv_kernel\": 2, \"time_step_min\": 0.5, \"time_step_limit\": [1, 2], "
    "\"n_routed_experts\": 4, \"num_experts_per_tok\": 2, \"n_group\": 2, \"moe_intermediate_size\": 3, "
    "\"moe_latent_size\": 5, \"moe_shared_expert_intermediate_size\": 7, \"n_shared_experts\": 3, "
    "\"routed_scaling_factor\": 2.5, \"attention_bias\": true, \"tie_word_embeddings\": true, \"vocab_size\": 10}";

struct tiny {
    const char *config;
    const struct tiny_tensor *tensors;
    size_t n;
};
enum { MAMBA2, LFM2, FALCON_H1, GRANITE, NEMOTRON_H, TINY };
static const struct tiny tiny[TINY] = {
    [MAMBA2] = {tiny_mamba2_config, tiny_mamba2, sizeof tiny_mamba2 / sizeof *tiny_mamba2},
    [LFM2] = {tiny_lfm2_config, tiny_lfm2, sizeof tiny_lfm2 / sizeof *tiny_lfm2},
    [FALCON_H1] = {tiny_falcon_h1_config, tiny_falcon_h1, sizeof tiny_falcon_h1 / sizeof *tiny_falcon_h1},
    [GRANITE] = {tiny_granite_config, tiny_granite, sizeof tiny_granite / sizeof *tiny_granite},
    [NEMOTRON_H] = {tiny_nemotron_h_config, tiny_nemotron_h, sizeof tiny_nemotron_h / sizeof *tiny_nemotron_h},
};

// Reads it with these tensors and one key changed (value NULL: removed; key NULL: none).
static void read_changed(struct reading *r, const struct tiny *model, const struct tiny_tensor *tensors, size_t n,
                         const char *key, const char *value) {
    read_tiny(r, config_with(model->config, key, value), tensors, n);
}

static void read_whole(struct reading *r, int model, const char *key, const char *value) {
    read_changed(r, &tiny[model], tiny[model].tensors, tiny[model].n, key, value);
    if (r->status) fail_msg("%s", r->err.message);
}

static void test_each_tensor(void **state) {
    (void)state;
    for (int m = 0; m < TINY; m++)
        for (size_t i = 0; i < tiny[m].n; i++) {
            if (strcmp(tiny[m].tensors[i].name, "lm_head.weight") == 0) continue; // it may be tied
            struct tiny_tensor tensors[64];
            struct reading r;
            size_t size = tiny[m].n * sizeof *tensors;
            assert_true(size < sizeof tensors);
            memcpy(tensors, tiny[m].tensors, size);
            memmove(tensors + i, tensors + i + 1, (tiny[m].n - 1 - i) * sizeof *tensors);
            read_changed(&r, &tiny[m], tensors, tiny[m].n - 1, NULL, NULL);
            // without gate and up in one matrix, the usual two are looked for
            bool one = strstr(tiny[m].tensors[i].name, "shared_mlp.input_linear");
            expect_failure(&r, XN_ERR_FORMAT, one ? "mlp.gate_proj.weight" : tiny[m].tensors[i].name, "missing");
            for (uint32_t d = 0; d < tiny[m].tensors[i].n_dims; d++) {
                memcpy(tensors, tiny[m].tensors, size);
                tensors[i].shape[d]++;
                read_changed(&r, &tiny[m], tensors, tiny[m].n, NULL, NULL);
                expect_failure(&r, XN_ERR_FORMAT, tiny[m].tensors[i].name, "shape");
            }
        }
}

static void test_configurations(void **state) {
    (void)state;
    static const struct {
        int model;
        const char *key, *value;
        int status;
        const char *part;
    } cases[] = {
        {MAMBA2, "num_heads", "3", XN_ERR_FORMAT, "3 heads of 4 values in a row of 8"},
        {MAMBA2, "num_heads", "0", XN_ERR_FORMAT, "num_heads is 0"},
        {MAMBA2, "head_dim", "8", XN_ERR_FORMAT, "2 heads of 8 values in a row of 8"},
        {MAMBA2, "expand", "2", XN_ERR_FORMAT, "in a row of 16"},
        {MAMBA2, "n_groups", "3", XN_ERR_FORMAT, "not a multiple of its 3 groups"},
        {MAMBA2, "n_groups", "2", XN_ERR_FORMAT, "in_proj.weight"},
        {MAMBA2, "state_size", "3", XN_ERR_FORMAT, "in_proj.weight"},
        {MAMBA2, "state_size", "100000", XN_ERR_FORMAT, "state_size is 100000"},
        {MAMBA2, "conv_kernel", "4", XN_ERR_FORMAT, "conv1d.weight"},
        {MAMBA2, "conv_kernel", "\"4\"", XN_ERR_FORMAT, "conv_kernel is a string"},
        {MAMBA2, "hidden_act", "\"gelu\"", XN_ERR_UNSUPPORTED, "hidden_act is 'gelu', expected silu"},
        {MAMBA2, "layer_norm_epsilon", "-1", XN_ERR_FORMAT, "layer_norm_epsilon"},
        {MAMBA2, "time_step_limit", "[0.1]", XN_ERR_FORMAT, "time_step_limit"},
        {MAMBA2, "time_step_limit", "0.1", XN_ERR_FORMAT, "time_step_limit"},
        {MAMBA2, "time_step_limit", "[0, \"Infinity\"]", XN_ERR_FORMAT, "time_step_limit"},
        {MAMBA2, "time_step_limit", "[0, {\"__float__\": \"NaN\"}]", XN_ERR_FORMAT, "time_step_limit"},
        {MAMBA2, "tie_word_embeddings", "false", XN_ERR_FORMAT, "lm_head.weight"},
        {LFM2, "layer_types", "[\"conv\"]", XN_ERR_FORMAT, "layer_types[1] is 'missing'"},
        {LFM2, "layer_types", "[\"conv\", \"convolution\"]", XN_ERR_FORMAT, "'convolution'"},
        {LFM2, "layer_types", "[\"conv\", \"conv\"]", XN_ERR_FORMAT, "layers.1.conv.in_proj.weight"},
        {LFM2, "full_attn_idxs", NULL, XN_ERR_FORMAT, "layers.0.self_attn.q_proj.weight"},
        {LFM2, "conv_L_cache", "4", XN_ERR_FORMAT, "conv.conv.weight"},
        {LFM2, "block_auto_adjust_ff_dim", "false", XN_ERR_FORMAT, "expected [18, 8]"},
        {LFM2, "block_ffn_dim_multiplier", "1.5", XN_ERR_FORMAT, "expected [18, 8]"},
        {LFM2, "block_multiple_of", "0", XN_ERR_FORMAT, "block_multiple_of is 0"},
        {LFM2, "block_multiple_of", "7", XN_ERR_FORMAT, "expected [14, 8]"},
        {LFM2, "tie_embedding", "false", XN_ERR_FORMAT, "lm_head.weight"},
        {FALCON_H1, "mamba_d_ssm", "12", XN_ERR_FORMAT, "expected [30, 8]"}, // "auto" heads of 6
        {FALCON_H1, "mamba_d_ssm", "9", XN_ERR_FORMAT, "in a row of 9"},
        {FALCON_H1, "mamba_d_ssm", NULL, XN_ERR_FORMAT, "mamba.in_proj.weight"}, // 1024 where nothing is said
        {FALCON_H1, "mamba_d_head", "\"some\"", XN_ERR_FORMAT, "mamba_d_head is a string"},
        {FALCON_H1, "mamba_d_head", "8", XN_ERR_FORMAT, "2 heads of 8 values in a row of 8"},
        {FALCON_H1, "mamba_proj_bias", "true", XN_ERR_FORMAT, "mamba.in_proj.bias"},
        {FALCON_H1, "attention_bias", "true", XN_ERR_FORMAT, "self_attn.q_proj.bias"},
        {FALCON_H1, "key_multiplier", "0", XN_ERR_FORMAT, "key_multiplier is 0"},
        {FALCON_H1, "mlp_multipliers", "[1]", XN_ERR_FORMAT, "mlp_multipliers is not a list of 2"},
        {FALCON_H1, "mlp_multipliers", "[1, 0]", XN_ERR_FORMAT, "mlp_multipliers is not a list of 2"},
        {FALCON_H1, "ssm_multipliers", "[1, 1, 1, 1, \"1\"]", XN_ERR_FORMAT, "ssm_multipliers"},
        {FALCON_H1, "ssm_multipliers", "1", XN_ERR_FORMAT, "ssm_multipliers"},
        {GRANITE, "num_experts_per_tok", "4", XN_ERR_FORMAT, "4 experts a token, expected at most the 3"},
        {GRANITE, "mamba_n_heads", "3", XN_ERR_FORMAT, "3 heads of 0 values in a row of 8"},
        {GRANITE, "layers_block_type", "[\"mamba\", \"moe\"]", XN_ERR_FORMAT, "layers_block_type[1] is 'moe'"},
        {GRANITE, "layers_block_type", "null", XN_ERR_FORMAT, "layers.1.mamba.in_proj.weight"}, // all are recurrent
        {GRANITE, "intermediate_size", "5", XN_ERR_FORMAT, "input_linear.weight"},
        {GRANITE, "shared_intermediate_size", NULL, XN_ERR_FORMAT, "shared_mlp.input_linear.weight"}, // 1024 then
        {GRANITE, "attention_bias", "true", XN_ERR_FORMAT, "layers.1.self_attn.q_proj.bias"},
        {GRANITE, "hidden_act", "\"gelu\"", XN_ERR_UNSUPPORTED, "expected silu"},
        {NEMOTRON_H, "hybrid_override_pattern", NULL, XN_ERR_FORMAT, "lists 0 layers"},
        {NEMOTRON_H, "hybrid_override_pattern", "\"\"", XN_ERR_FORMAT, "lists 0 layers"},
        {NEMOTRON_H, "hybrid_override_pattern", "\"M*-X\"", XN_ERR_FORMAT, "layer 3 is 'X'"},
        {NEMOTRON_H, "hybrid_override_pattern", "\"M*-EM\"", XN_ERR_FORMAT, "layers.4.norm.weight"},
        {NEMOTRON_H, "layers_block_type", "[\"mamba\", 3]", XN_ERR_FORMAT, "layer 1 is 'no name'"},
        {NEMOTRON_H, "layers_block_type", "[\"conv\"]", XN_ERR_FORMAT, "layer 0 is 'conv'"},
        {NEMOTRON_H, "mamba_hidden_act", "\"relu\"", XN_ERR_UNSUPPORTED, "mamba_hidden_act is 'relu'"},
        {NEMOTRON_H, "mlp_hidden_act", "\"tanh\"", XN_ERR_UNSUPPORTED, "mlp_hidden_act is 'tanh'"},
        {NEMOTRON_H, "use_bias", "true", XN_ERR_FORMAT, "in_proj.bias"},
        {NEMOTRON_H, "n_group", "3", XN_ERR_FORMAT, "from 1 of 3 groups"},
        {NEMOTRON_H, "num_experts_per_tok", "3", XN_ERR_FORMAT, "3 experts a token from 1 of 2 groups"},
        {NEMOTRON_H, "moe_latent_size", "null", XN_ERR_FORMAT, "experts.0.up_proj.weight"},
        {NEMOTRON_H, "time_step_min", "-1", XN_ERR_FORMAT, "time_step_min is -1"},
        {FALCON_H1, "hidden_act", "\"gelu\"", XN_ERR_UNSUPPORTED, "expected silu"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct tiny *model = &tiny[cases[i].model];
        struct reading r;
        char what[160];
        snprintf(what, sizeof what, "%s: %s", cases[i].key, cases[i].value ? cases[i].value : "(removed)");
        read_changed(&r, model, model->tensors, model->n, cases[i].key, cases[i].value);
        expect_failure(&r, cases[i].status, cases[i].part, what);
    }
}

static void test_mamba2(void **state) {
    (void)state;
    struct reading r;
    read_whole(&r, MAMBA2, NULL, NULL);
    const struct xn_mixer *mixer = &r.recipe.layers[0].mixer;
    const struct xn_state_space *s = &mixer->state_space;
    assert_int_equal(mixer->kind, XN_MIXER_STATE_SPACE);
    assert_int_equal(r.recipe.layers[0].ffn.kind, XN_FFN_NONE);
    assert_true(mixer->norm.epsilon == 1e-5f && mixer->norm.weight[1] == 1 + 1.0f / 64);
    assert_true(s->dt_min == 0 && isinf(s->dt_max));
    assert_int_equal(s->z.rows, 8);
    assert_int_equal(s->xbc.rows, 12);
    assert_int_equal(s->dt.rows, 2);
    assert_ptr_equal((const float *)s->z.data[0] + 8 * 8, s->xbc.data[0]);
    assert_ptr_equal((const float *)s->xbc.data[0] + 12 * 8, s->dt.data[0]);
    assert_true(s->z_bias[1] == 1.0f / 64 && s->xbc_bias[0] == 8.0f / 64 && s->dt_proj_bias[1] == 21.0f / 64);
    assert_true(s->decay_rate[0] == -1 && fabsf(s->decay_rate[1] + expf(1.0f / 64)) < 1e-6f);
    assert_true(s->conv[4] == 4.0f / 64 && s->conv_bias[0] == 5 && s->skip[0] == 6 && s->dt_bias[0] == 7);
    assert_true(s->norm.weight[0] == 8 && s->norm.epsilon == 1e-5f && s->out_bias[0] == 9 && !s->norm_before_gate);
    end_reading(&r);
    read_whole(&r, MAMBA2, "time_step_limit", "[0.25, {\"__float__\": \"Infinity\"}]");
    assert_true(r.recipe.layers[0].mixer.state_space.dt_min == 0.25f);
    assert_true(isinf(r.recipe.layers[0].mixer.state_space.dt_max));
    end_reading(&r);
    read_whole(&r, MAMBA2, "time_step_limit", "[0, 0.5]");
    assert_true(r.recipe.layers[0].mixer.state_space.dt_max == 0.5f);
    end_reading(&r);
    read_whole(&r, MAMBA2, "use_conv_bias", "false");
    assert_null(r.recipe.layers[0].mixer.state_space.conv_bias);
    end_reading(&r);
}

static void test_lfm2(void **state) {
    (void)state;
    struct reading r;
    read_whole(&r, LFM2, NULL, NULL);
    const struct xn_layer *first = &r.recipe.layers[0], *second = &r.recipe.layers[1];
    assert_int_equal(first->mixer.kind, XN_MIXER_SHORT_CONV);
    assert_true(first->mixer.short_conv.in_bias[0] == 2 && first->mixer.short_conv.conv_bias[0] == 3 &&
                first->mixer.short_conv.out_bias[0] == 4);
    assert_int_equal(first->mixer.short_conv.in.rows, 24);
    assert_int_equal(first->ffn.dense.up.rows, 12);
    assert_int_equal(second->mixer.kind, XN_MIXER_ATTENTION);
    assert_true(second->mixer.norm.epsilon == 0.25f && second->mixer.attention.q_norm.epsilon == 0.25f);
    assert_true(fabsf(second->mixer.attention.rope.frequency[1] - 1e-3f) < 1e-8f); // a base of 10^6
    end_reading(&r);
    read_whole(&r, LFM2, "layer_types", "[\"conv\", \"full_attention\"]");
    assert_int_equal(r.recipe.layers[0].mixer.kind, XN_MIXER_SHORT_CONV);
    end_reading(&r);
}

static void test_falcon_h1(void **state) {
    (void)state;
    struct reading r;
    read_whole(&r, FALCON_H1, NULL, NULL);
    const struct xn_layer *layer = &r.recipe.layers[0];
    const struct xn_state_space *s = &layer->beside->state_space;
    assert_true(r.recipe.embedding_scale == 2 && r.recipe.logit_scale == 3);
    assert_int_equal(layer->mixer.kind, XN_MIXER_ATTENTION);
    assert_true(layer->mixer.norm.weight[1] == 4 * (1 + 1.0f / 64) && layer->mixer.scale == 5);
    assert_true(layer->mixer.attention.scale == 0.5f * 6);
    assert_int_equal(layer->beside->kind, XN_MIXER_STATE_SPACE);
    assert_true(layer->beside->norm.weight[1] == 7 * (1 + 1.0f / 64) && layer->beside->scale == 8);
    assert_true(layer->ffn.dense.glu.gate_scale == 9 && layer->ffn.dense.down_scale == 10);
    assert_true(s->z_scale == 11 && s->dt_scale == 15 && s->xbc_scale == 0);
    assert_int_equal(s->head_size, 4);
    for (int i = 0; i < 24; i++) // 8 channels of x, 2 of B, 2 of C, with 2 taps each
        assert_true(s->conv[i] == (i < 16 ? 12.0f : i < 20 ? 13.0f : 14.0f) * (1 + (float)i / 64));
    assert_true(s->norm.kind == XN_NORM_RMS && s->norm_groups == 2 && s->norm_before_gate);
    end_reading(&r);
    read_whole(&r, FALCON_H1, "mamba_norm_before_gate", "false");
    assert_false(r.recipe.layers[0].beside->state_space.norm_before_gate);
    end_reading(&r);
    read_whole(&r, FALCON_H1, "mamba_rms_norm", NULL);
    assert_int_equal(r.recipe.layers[0].beside->state_space.norm.kind, XN_NORM_NONE);
    end_reading(&r);
}

static void test_granite(void **state) {
    (void)state;
    struct reading r;
    read_whole(&r, GRANITE, NULL, NULL);
    const struct xn_layer *first = &r.recipe.layers[0], *second = &r.recipe.layers[1];
    assert_true(r.recipe.embedding_scale == 3 && r.recipe.logit_scale == 0.25f);
    assert_true(first->residual_scale == 5 && second->residual_scale == 5);
    assert_int_equal(first->mixer.kind, XN_MIXER_STATE_SPACE);
    assert_int_equal(first->mixer.state_space.head_size, 8);
    assert_int_equal(second->mixer.kind, XN_MIXER_ATTENTION);
    assert_int_equal(second->mixer.attention.rope.kind, XN_ROPE_NONE);
    assert_true(second->mixer.attention.scale == 2);
    const struct xn_experts *e = &first->ffn.experts;
    assert_int_equal(e->gate.count, 3);
    assert_int_equal(e->shared.gate.rows, 6);
    assert_int_equal(e->shared_router.rows, 0);
    assert_true(e->normalize && e->scale == 1 && e->score == XN_ROUTER_SOFTMAX);
    assert_ptr_equal((const float *)e->shared.gate.data[0] + 6 * 8, e->shared.up.data[0]);
    end_reading(&r);
    read_whole(&r, GRANITE, "position_embedding_type", "\"rope\"");
    assert_int_equal(r.recipe.layers[1].mixer.attention.rope.kind, XN_ROPE_HALVES);
    end_reading(&r);
    read_whole(&r, GRANITE, "num_local_experts", "0"); // the shared expert alone
    assert_int_equal(r.recipe.layers[0].ffn.kind, XN_FFN_DENSE);
    assert_int_equal(r.recipe.layers[1].ffn.dense.up.rows, 6);
    end_reading(&r);
}

static void test_nemotron_h(void **state) {
    (void)state;
    struct reading r;
    read_whole(&r, NEMOTRON_H, NULL, NULL);
    const struct xn_layer *layers = r.recipe.layers;
    assert_int_equal(r.recipe.n_layers, 4);
    assert_ptr_not_equal(r.recipe.head.data[0], r.recipe.embedding.data[0]);
    assert_int_equal(layers[0].mixer.kind, XN_MIXER_STATE_SPACE);
    assert_int_equal(layers[0].ffn.kind, XN_FFN_NONE);
    assert_true(layers[0].mixer.norm.weight[0] == 1 && layers[0].mixer.norm.epsilon == 1e-5f);
    const struct xn_state_space *s = &layers[0].mixer.state_space;
    assert_true(s->norm_groups == s->groups && s->dt_min == 0.5f && isinf(s->dt_max));
    assert_int_equal(layers[1].mixer.kind, XN_MIXER_ATTENTION);
    assert_int_equal(layers[1].mixer.attention.rope.kind, XN_ROPE_NONE);
    assert_null(layers[1].mixer.attention.q_bias);
    assert_int_equal(layers[2].mixer.kind, XN_MIXER_NONE);
    assert_true(layers[2].ffn.norm.weight[0] == 3);
    const struct xn_dense *f = &layers[2].ffn.dense;
    assert_true(f->gate.rows == 0 && f->glu.activation == XN_ACT_RELU2 && f->up_bias[0] == 4 && f->down_bias[0] == 5);
    const struct xn_experts *e = &layers[3].ffn.experts;
    assert_int_equal(layers[3].ffn.kind, XN_FFN_EXPERTS);
    assert_true(e->score == XN_ROUTER_SIGMOID && e->normalize && e->scale == 2.5f && e->selection_bias[0] == 6);
    assert_true(e->groups == 2 && e->groups_used == 1 && e->group_best == 2 && e->sum_epsilon == 1e-20f);
    assert_true(e->gate.rows == 0 && e->up.count == 4 && e->up.cols == 5 && e->down.rows == 5);
    assert_true(e->latent_in_bias[0] == 7 && e->latent_out_bias[0] == 8);
    assert_true(e->shared.up.rows == 7 && e->shared.gate.rows == 0 && e->shared_router.rows == 0);
    end_reading(&r);
    read_whole(&r, NEMOTRON_H, "layers_block_type", "[\"linear_attention\", \"attention\", \"mlp\"]"); // wins
    assert_int_equal(r.recipe.n_layers, 3);
    end_reading(&r);
}

// --- GGUF as llama.cpp writes it: -exp(A_log), and vectors in the shapes that it multiplies by ---

static int produce_index(void *user, uint64_t offset, void *out, size_t size, struct xn_error *err) {
    (void)user, (void)err;
    for (size_t i = 0; i < size / 4; i++)
        ((float *)out)[i] = (float)(offset / 4 + i) - 2;
    return XN_OK;
}

static void read_gguf(struct reading *r, uint64_t norm_groups) {
    static const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {
        {"mamba2.block_count", 1},         {"mamba2.context_length", 64},      {"mamba2.embedding_length", 8},
        {"mamba2.feed_forward_length", 0}, {"mamba2.attention.head_count", 0}, {"mamba2.ssm.conv_kernel", 3},
        {"mamba2.ssm.inner_size", 8},      {"mamba2.ssm.state_size", 1},       {"mamba2.ssm.time_step_rank", 4},
        {"mamba2.ssm.group_count", 2},
    };
    const struct {
        const char *name;
        uint32_t n_dims;
        uint64_t dims[2]; // innermost first
    } tensors[] = {
        {"token_embd.weight", 2, {8, 10}},
        {"blk.0.attn_norm.weight", 1, {8}},
        {"blk.0.ssm_in.weight", 2, {8, 24}},
        {"blk.0.ssm_conv1d.weight", 2, {3, 12}},
        {"blk.0.ssm_conv1d.bias", 1, {12}},
        {"blk.0.ssm_dt.bias", 1, {4}},
        {"blk.0.ssm_a", 2, {1, 4}},
        {"blk.0.ssm_d", 2, {1, 4}},
        {"blk.0.ssm_norm.weight", 2, {4, norm_groups}},
        {"blk.0.ssm_out.weight", 2, {8, 8}},
        {"output_norm.weight", 1, {8}},
    };
    char folder[] = "/tmp/xenon-recipe-XXXXXX", path[64];
    struct xn_gguf_writer *w;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/model.gguf", folder);
    assert_int_equal(xn_gguf_writer_new(&w, NULL), XN_OK);
    assert_int_equal(xn_gguf_add_string(w, "general.architecture", "mamba2", NULL), XN_OK);
    assert_int_equal(xn_gguf_add_f32(w, "mamba2.attention.layer_norm_rms_epsilon", 0.25f, NULL), XN_OK);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_int_equal(xn_gguf_add_u32(w, numbers[i].key, numbers[i].value, NULL), XN_OK);
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        assert_int_equal(xn_gguf_add_tensor(w, tensors[i].name, XN_F32, tensors[i].n_dims, tensors[i].dims,
                                            produce_index, NULL, NULL),
                         XN_OK);
    assert_int_equal(xn_gguf_write(w, path, NULL, NULL), XN_OK);
    xn_gguf_writer_free(w);
    read_path(r, path);
    tiny_remove(folder);
}

static void test_gguf(void **state) {
    (void)state;
    struct reading r;
    read_gguf(&r, 2);
    if (r.status) fail_msg("%s", r.err.message);
    const struct xn_state_space *s = &r.recipe.layers[0].mixer.state_space;
    assert_int_equal(r.recipe.context, 64);
    assert_true(s->heads == 4 && s->head_size == 2 && s->groups == 2 && s->state_size == 1 && s->kernel == 3);
    assert_true(s->z.rows == 8 && s->xbc.rows == 12 && s->dt.rows == 4 && !s->z_bias && !s->out_bias);
    assert_true(s->decay_rate[0] == -2 && s->decay_rate[3] == 1 && s->skip[3] == 1 && s->dt_bias[3] == 1);
    assert_true(s->conv_bias[11] == 9 && s->norm.weight[7] == 5 && s->norm_groups == 1 && s->norm.epsilon == 0.25f);
    assert_true(s->dt_min == 0 && isinf(s->dt_max));
    end_reading(&r);
    read_gguf(&r, 3);
    expect_failure(&r, XN_ERR_FORMAT, "blk.0.ssm_norm.weight", "a norm of 12 values");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families), cmocka_unit_test(test_each_tensor), cmocka_unit_test(test_configurations),
        cmocka_unit_test(test_mamba2),   cmocka_unit_test(test_lfm2),        cmocka_unit_test(test_falcon_h1),
        cmocka_unit_test(test_granite),  cmocka_unit_test(test_nemotron_h),  cmocka_unit_test(test_gguf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
