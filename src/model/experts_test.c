// Families with experts and latent attention, on models of a few values: what they become in a recipe, every tensor in
// turn missing and misshapen, and configurations that lie.
#include "tiny_reading.h"

#include <math.h>

// One layer behind an embedding of 8 values; heads of 4 (2 of queries, 1 of keys) where there is an attention.
#define AROUND                                                                                                         \
    {"model.embed_tokens.weight", 2, {10, 8}, 0}, {"model.norm.weight", 1, {8}, 0}, {                                  \
        "lm_head.weight", 2, {10, 8}, 0                                                                                \
    }
#define L "model.layers.0."
#define NORMS                                                                                                          \
    {L "input_layernorm.weight", 1, {8}, 0}, {                                                                         \
        L "post_attention_layernorm.weight", 1, {8}, 0                                                                 \
    }
#define ATTENTION                                                                                                      \
    {L "self_attn.q_proj.weight", 2, {8, 8}, 0}, {L "self_attn.k_proj.weight", 2, {4, 8}, 0},                          \
        {L "self_attn.v_proj.weight", 2, {4, 8}, 0}, {                                                                 \
        L "self_attn.o_proj.weight", 2, {8, 8}, 0                                                                      \
    }
#define EXPERT(i)                                                                                                      \
    {L "mlp.experts." #i ".gate_proj.weight", 2, {6, 8}, 0}, {L "mlp.experts." #i ".up_proj.weight", 2, {6, 8}, 0}, {  \
        L "mlp.experts." #i ".down_proj.weight", 2, {8, 6}, 0                                                          \
    }
#define GROUPED                                                                                                        \
    {L "mlp.gate.weight", 2, {4, 8}, 0}, {L "mlp.gate.e_score_correction_bias", 1, {4}, 0.5f}, EXPERT(0), EXPERT(1),   \
        EXPERT(2), EXPERT(3), {L "mlp.shared_experts.gate_proj.weight", 2, {12, 8}, 0},                                \
        {L "mlp.shared_experts.up_proj.weight", 2, {12, 8}, 0}, {                                                      \
        L "mlp.shared_experts.down_proj.weight", 2, {8, 12}, 0                                                         \
    }
#define SIZES                                                                                                          \
    "\"hidden_size\": 8, \"num_attention_heads\": 2, \"num_hidden_layers\": 1, \"vocab_size\": 10, "                   \
    "\"intermediate_size\": 6, \"max_position_embeddings\": 64, \"rope_theta\": 10000.0, \"tie_word_embeddings\": "    \
    "false"
#define ROUTING                                                                                                        \
    "\"n_routed_experts\": 4, \"num_experts_per_tok\": 2, \"moe_intermediate_size\": 6, \"n_shared_experts\": 2, "     \
    "\"first_k_dense_replace\": 0, \"n_group\": 2, \"topk_group\": 1, \"routed_scaling_factor\": 2.5"

static const char glm_config[] = "{\"model_type\": \"glm4_moe\", " SIZES ", " ROUTING
                                 ", \"num_key_value_heads\": 1, \"use_qk_norm\": true, \"head_dim\": 4}";
static const struct tiny_tensor glm[] = {AROUND,
                                         NORMS,
                                         ATTENTION,
                                         GROUPED,
                                         {L "self_attn.q_norm.weight", 1, {4}, 0},
                                         {L "self_attn.k_norm.weight", 1, {4}, 0}};

// 3 values of a head without rope, 4 with; values of 5; latent vectors of 6, queries of 7.
static const char latent_config[] =
    "{\"model_type\": \"deepseek_v3\", " SIZES ", " ROUTING
    ", \"q_lora_rank\": 7, \"kv_lora_rank\": 6, \"qk_nope_head_dim\": 3, \"qk_rope_head_dim\": 4, \"v_head_dim\": 5, "
    "\"attention_bias\": true}";
static const struct tiny_tensor latent[] = {AROUND,
                                            NORMS,
                                            GROUPED,
                                            {L "self_attn.q_a_proj.weight", 2, {7, 8}, 0},
                                            {L "self_attn.q_a_proj.bias", 1, {7}, 0},
                                            {L "self_attn.q_a_layernorm.weight", 1, {7}, 0},
                                            {L "self_attn.q_b_proj.weight", 2, {14, 7}, 0},
                                            {L "self_attn.kv_a_proj_with_mqa.weight", 2, {10, 8}, 0},
                                            {L "self_attn.kv_a_proj_with_mqa.bias", 1, {10}, 0},
                                            {L "self_attn.kv_a_layernorm.weight", 1, {6}, 0},
                                            {L "self_attn.kv_b_proj.weight", 2, {16, 6}, 0},
                                            {L "self_attn.o_proj.weight", 2, {8, 10}, 0},
                                            {L "self_attn.o_proj.bias", 1, {8}, 0}};

#define PAIRED                                                                                                         \
    {L "mlp.router.weight", 2, {3, 8}, 0}, {L "mlp.router.bias", 1, {3}, 1}, {L "self_attn.sinks", 1, {2}, 2},         \
        {L "mlp.experts.gate_up_proj_bias", 2, {3, 12}, 0}, {                                                          \
        L "mlp.experts.down_proj_bias", 2, {3, 8}, 3                                                                   \
    }
#define PAIRED_CONFIG                                                                                                  \
    "{\"model_type\": \"gpt_oss\", " SIZES ", \"num_key_value_heads\": 1, \"num_local_experts\": 3, \"head_dim\": 4, " \
    "\"num_experts_per_tok\": 2, \"attention_bias\": false, \"rope_parameters\": {\"rope_type\": \"default\"}"
static const char paired_config[] = PAIRED_CONFIG "}";
static const struct tiny_tensor paired[] = {AROUND,
                                            NORMS,
                                            ATTENTION,
                                            PAIRED,
                                            {L "mlp.experts.gate_up_proj", 3, {3, 8, 12}, 0},
                                            {L "mlp.experts.down_proj", 3, {3, 6, 8}, 0}};
// The same with 32 values where blocks lie along them.
static const char packed_config[] = PAIRED_CONFIG ", \"quantization_config\": {\"quant_method\": \"mxfp4\"}, "
                                                  "\"hidden_size\": 32, \"intermediate_size\": 32}";
static const struct tiny_tensor packed[] = {{"model.embed_tokens.weight", 2, {10, 32}, 0},
                                            {"model.norm.weight", 1, {32}, 0},
                                            {"lm_head.weight", 2, {10, 32}, 0},
                                            {L "input_layernorm.weight", 1, {32}, 0},
                                            {L "post_attention_layernorm.weight", 1, {32}, 0},
                                            {L "self_attn.q_proj.weight", 2, {8, 32}, 0},
                                            {L "self_attn.k_proj.weight", 2, {4, 32}, 0},
                                            {L "self_attn.v_proj.weight", 2, {4, 32}, 0},
                                            {L "self_attn.o_proj.weight", 2, {32, 8}, 0},
                                            {L "self_attn.sinks", 1, {2}, 2},
                                            {L "mlp.router.weight", 2, {3, 32}, 0},
                                            {L "mlp.router.bias", 1, {3}, 1},
                                            {L "mlp.experts.gate_up_proj_bias", 2, {3, 64}, 0},
                                            {L "mlp.experts.down_proj_bias", 2, {3, 32}, 3},
                                            {L "mlp.experts.gate_up_proj_blocks", 4, {3, 64, 1, 16}, TINY_BYTES + 7},
                                            {L "mlp.experts.gate_up_proj_scales", 3, {3, 64, 1}, TINY_BYTES + 60},
                                            {L "mlp.experts.down_proj_blocks", 4, {3, 32, 1, 16}, TINY_BYTES + 9},
                                            {L "mlp.experts.down_proj_scales", 3, {3, 32, 1}, TINY_BYTES + 70}};

// A delta net of 2 key heads of 3 values and 4 value heads of 2.
static const char delta_config[] =
    "{\"model_type\": \"qwen3_next\", " SIZES
    ", \"num_key_value_heads\": 1, \"num_experts\": 4, \"num_experts_per_tok\": 2, \"moe_intermediate_size\": 6, "
    "\"shared_expert_intermediate_size\": 12, \"layer_types\": [\"linear_attention\"], \"linear_num_key_heads\": 2, "
    "\"linear_num_value_heads\": 4, \"linear_key_head_dim\": 3, \"linear_value_head_dim\": 2, "
    "\"linear_conv_kernel_dim\": 2, \"head_dim\": 8}";
static const struct tiny_tensor delta[] = {AROUND,
                                           NORMS,
                                           EXPERT(0),
                                           EXPERT(1),
                                           EXPERT(2),
                                           EXPERT(3),
                                           {L "mlp.gate.weight", 2, {4, 8}, 0},
                                           {L "mlp.shared_expert.gate_proj.weight", 2, {12, 8}, 0},
                                           {L "mlp.shared_expert.up_proj.weight", 2, {12, 8}, 0},
                                           {L "mlp.shared_expert.down_proj.weight", 2, {8, 12}, 0},
                                           {L "mlp.shared_expert_gate.weight", 2, {1, 8}, 0},
                                           {L "linear_attn.in_proj_qkvz.weight", 2, {28, 8}, 0},
                                           {L "linear_attn.in_proj_ba.weight", 2, {8, 8}, 0},
                                           {L "linear_attn.conv1d.weight", 3, {20, 1, 2}, 0},
                                           {L "linear_attn.A_log", 1, {4}, 0},
                                           {L "linear_attn.dt_bias", 1, {4}, 0},
                                           {L "linear_attn.norm.weight", 1, {2}, 0},
                                           {L "linear_attn.out_proj.weight", 2, {8, 8}, 0}};

#define COUNT(array) (sizeof(array) / sizeof *(array))
static const struct model {
    const char *config;
    const struct tiny_tensor *tensors;
    size_t n;
} models[] = {
    {glm_config, glm, COUNT(glm)},          {latent_config, latent, COUNT(latent)},
    {paired_config, paired, COUNT(paired)}, {packed_config, packed, COUNT(packed)},
    {delta_config, delta, COUNT(delta)},
};

static const struct xn_layer *read_model(struct reading *r, const struct model *m) {
    read_tiny(r, parse(m->config), m->tensors, m->n);
    if (r->status) fail_msg("%s", r->err.message);
    assert_int_equal(r->recipe.n_layers, 1);
    return r->recipe.layers;
}

// A tensor that is there in another form is looked for by its usual name.
static bool named(const char *message, const char *name) {
    static const struct {
        const char *name, *usual;
    } forms[] = {{"gate_up_proj_blocks", "gate_up_proj"}, {"in_proj_qkvz", "in_proj_qkv"}, {"in_proj_ba", "in_proj_b"}};
    if (strstr(message, name)) return true;
    for (size_t i = 0; i < COUNT(forms); i++)
        if (strstr(name, forms[i].name) && strstr(message, forms[i].usual)) return true;
    return false;
}

static void test_each_tensor(void **state) {
    (void)state;
    for (size_t m = 0; m < COUNT(models); m++)
        for (size_t i = 0; i < models[m].n; i++) {
            struct tiny_tensor tensors[64];
            struct reading r;
            size_t n = models[m].n;
            const char *name = models[m].tensors[i].name;
            for (int d = -1; d < (int)models[m].tensors[i].n_dims; d++) {
                memcpy(tensors, models[m].tensors, n * sizeof *tensors);
                if (d < 0) // missing
                    memmove(tensors + i, tensors + i + 1, (n - 1 - i) * sizeof *tensors);
                else
                    tensors[i].shape[d]++;
                read_tiny(&r, parse(models[m].config), tensors, n - (d < 0));
                if (r.status != XN_ERR_FORMAT || !named(r.err.message, name))
                    fail_msg("%s, %d: status %d, '%s'", name, d, r.status, r.err.message);
                end_reading(&r);
            }
        }
}

static void test_grouped(void **state) {
    (void)state;
    struct reading r;
    const struct xn_layer *layer = read_model(&r, &models[0]);
    const struct xn_experts *e = &layer->ffn.experts;
    assert_int_equal(e->score, XN_ROUTER_SIGMOID);
    assert_int_equal(e->groups, 2);
    assert_int_equal(e->groups_used, 1);
    assert_int_equal(e->group_best, 2);
    assert_true(e->normalize && e->scale == 2.5f && e->selection_bias[2] == 0.5f + 2.0f / 64);
    assert_int_equal(e->gate.count, 4);
    assert_int_equal(e->shared.up.rows, 12); // two experts' size
    assert_int_equal(e->shared_router.rows, 0);
    assert_int_equal(layer->mixer.attention.q_norm.kind, XN_NORM_RMS);
    assert_int_equal(layer->mixer.attention.rope.dims, 2); // half a head where nothing is said
    end_reading(&r);
    read_tiny(&r, config_with(glm_config, "use_qk_norm", "false"), glm, COUNT(glm));
    assert_int_equal(r.status, XN_OK);
    assert_int_equal(r.recipe.layers[0].mixer.attention.q_norm.kind, XN_NORM_NONE);
    end_reading(&r);
    read_tiny(&r, config_with(glm_config, "n_shared_experts", "0"), glm, COUNT(glm));
    assert_int_equal(r.status, XN_OK);
    assert_int_equal(r.recipe.layers[0].ffn.experts.shared.up.rows, 0);
    end_reading(&r);
    read_tiny(&r, config_with(glm_config, "n_group", "null"), glm, COUNT(glm));
    assert_int_equal(r.status, XN_OK);
    assert_int_equal(r.recipe.layers[0].ffn.experts.groups, 1);
    end_reading(&r);
}

static void test_latent(void **state) {
    (void)state;
    struct reading r;
    const struct xn_latent_attention *a = &read_model(&r, &models[1])->mixer.latent;
    assert_int_equal(r.recipe.layers[0].mixer.kind, XN_MIXER_LATENT);
    assert_int_equal(a->heads, 2);
    assert_int_equal(a->q_rank, 7);
    assert_int_equal(a->rank, 6);
    assert_int_equal(a->nope_size, 3);
    assert_int_equal(a->rope_size, 4);
    assert_int_equal(a->value_size, 5);
    assert_int_equal(a->rope.kind, XN_ROPE_PAIRS);
    assert_true(a->q_a_norm.epsilon == 1e-6f && a->latent_norm.epsilon == 1e-6f);
    assert_ptr_equal(a->k_rope.data[0], (const char *)a->latent.data[0] + 6 * 8 * 4);
    assert_true(a->k_rope_bias == a->latent_bias + 6);
    // A head's rows of kv_b_proj: 3 of keys, which are columns of what queries are multiplied with, then 5 of values.
    const char *kv_b = a->k_absorb.data[0];
    assert_int_equal(a->k_absorb.layout, XN_LAYOUT_COLUMNS);
    assert_int_equal(a->k_absorb.rows, 6);
    assert_int_equal(a->k_absorb.cols, 3);
    assert_ptr_equal(a->k_absorb.data[1], kv_b + 8 * 6 * 4);
    assert_int_equal(a->v_expand.layout, XN_LAYOUT_ROWS);
    assert_int_equal(a->v_expand.rows, 5);
    assert_int_equal(a->v_expand.cols, 6);
    assert_ptr_equal(a->v_expand.data[0], kv_b + 3 * 6 * 4);
    assert_ptr_equal(a->v_expand.data[1], kv_b + 11 * 6 * 4);
    assert_true(fabsf(a->scale - 1 / sqrtf(7)) < 1e-7f);
    end_reading(&r);

    json_t *config = config_with(latent_config, "rope_interleave", "false");
    json_object_set_new(config, "rope_scaling",
                        parse("{\"type\": \"yarn\", \"factor\": 4, \"original_max_position_embeddings\": 16, "
                              "\"mscale\": 0.5, \"mscale_all_dim\": 0.5}"));
    read_tiny(&r, config, latent, COUNT(latent));
    if (r.status) fail_msg("%s", r.err.message);
    a = &r.recipe.layers[0].mixer.latent;
    double mscale = 1 + 0.05 * log(4);
    assert_true(fabs(a->scale - mscale * mscale / sqrt(7)) < 1e-6);
    assert_int_equal(a->rope.kind, XN_ROPE_HALVES);
    assert_true(fabsf(a->rope.magnitude - 1) < 1e-6f);
    end_reading(&r);
}

// DeepSeek V2 on the same values, with a query that is not compressed.
static void test_softmax_groups(void **state) {
    (void)state;
    static const struct {
        const char *method;
        uint32_t groups;
    } cases[] = {{NULL, 1}, {"\"greedy\"", 1}, {"\"group_limited_greedy\"", 2}};
    struct tiny_tensor tensors[COUNT(latent) + 1];
    memcpy(tensors, latent, sizeof latent);
    tensors[COUNT(latent)] = (struct tiny_tensor){L "self_attn.q_proj.weight", 2, {14, 8}, 0};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct reading r;
        json_t *config = config_with(latent_config, "topk_method", cases[i].method);
        json_object_set_new(config, "model_type", json_string("deepseek_v2"));
        json_object_set_new(config, "q_lora_rank", json_null());
        json_object_set_new(config, "norm_topk_prob", json_true());
        read_tiny(&r, config, tensors, COUNT(tensors));
        if (r.status) fail_msg("%s", r.err.message);
        const struct xn_experts *e = &r.recipe.layers[0].ffn.experts;
        assert_int_equal(e->score, XN_ROUTER_SOFTMAX);
        assert_int_equal(e->groups, cases[i].groups);
        assert_int_equal(e->group_best, 1);
        assert_false(e->normalize);
        assert_null(e->selection_bias);
        assert_int_equal(r.recipe.layers[0].mixer.latent.q_a.rows, 0);
        assert_int_equal(r.recipe.layers[0].mixer.latent.q.cols, 8);
        end_reading(&r);
    }
    struct reading r;
    json_t *config = config_with(latent_config, "topk_method", "\"best_of_all\"");
    json_object_set_new(config, "model_type", json_string("deepseek_v2"));
    read_tiny(&r, config, tensors, COUNT(tensors));
    expect_failure(&r, XN_ERR_UNSUPPORTED, "topk_method is 'best_of_all'", "a method that is not known");
}

static void check_paired(const struct xn_experts *e, uint32_t inner) {
    assert_int_equal(e->gate.rows, inner);
    assert_int_equal(e->gate.stored_rows, 2 * inner);
    assert_ptr_equal(e->gate.data[0], e->up.data[0]);
    for (uint32_t i = 0; i < inner; i++) {
        assert_int_equal(e->gate.gather[i], 2 * i);
        assert_int_equal(e->up.gather[i], 2 * i + 1);
        assert_true(e->gate_bias[inner + i] == (float)(2 * inner + 2 * i) / 64);
        assert_true(e->up_bias[i] == (float)(2 * i + 1) / 64);
    }
    assert_true(e->router_bias[1] == 1 + 1.0f / 64 && e->down_bias[2] == 3 + 2.0f / 64);
    assert_true(e->normalize && e->glu.limit == 7 && e->glu.up_offset == 1);
    assert_int_equal(e->glu.activation, XN_ACT_GELU_QUICK);
}

static void test_paired(void **state) {
    (void)state;
    struct reading r;
    const struct xn_layer *layer = read_model(&r, &models[2]);
    const struct xn_experts *e = &layer->ffn.experts;
    check_paired(e, 6);
    assert_int_equal(e->gate.layout, XN_LAYOUT_COLUMNS);
    assert_int_equal(e->down.layout, XN_LAYOUT_COLUMNS);
    assert_int_equal(e->down.rows, 8);
    assert_int_equal(e->down.cols, 6);
    assert_ptr_equal(e->gate.data[2], (const char *)e->gate.data[0] + 2 * 8 * 12 * 4);
    assert_int_equal(layer->mixer.attention.window, 128); // the first of each two layers
    assert_true(layer->mixer.attention.sinks[1] == 2 + 1.0f / 64);
    end_reading(&r);

    e = &read_model(&r, &models[3])->ffn.experts;
    check_paired(e, 32);
    assert_int_equal(e->gate.layout, XN_LAYOUT_MXFP4);
    assert_int_equal(e->gate.type, XN_MXFP4);
    assert_int_equal(e->gate.cols, 32);
    assert_ptr_equal(e->gate.data[1], (const char *)e->gate.data[0] + 64 * 16);
    assert_ptr_equal(e->gate.scales[1], (const char *)e->gate.scales[0] + 64);
    assert_int_equal(((const unsigned char *)e->down.data[0])[3], 12);
    assert_int_equal(((const unsigned char *)e->down.scales[0])[3], 73);
    end_reading(&r);
}

static void test_interleaved(void **state) {
    (void)state;
    struct reading r;
    const struct xn_delta_net *n = &read_model(&r, &models[4])->mixer.delta_net;
    // A key head: 3 rows of q, 3 of k, 2 x 2 of v, 2 x 2 of z; 2 of beta, 2 of alpha.
    static const uint32_t qkv[] = {0, 1, 2, 14, 15, 16, 3, 4, 5, 17, 18, 19, 6, 7, 8, 9, 20, 21, 22, 23},
                          z[] = {10, 11, 12, 13, 24, 25, 26, 27}, beta[] = {0, 1, 4, 5}, alpha[] = {2, 3, 6, 7};
    assert_int_equal(n->qkv.rows, COUNT(qkv));
    assert_int_equal(n->qkv.stored_rows, 28);
    assert_int_equal(n->z.rows, COUNT(z));
    assert_memory_equal(n->qkv.gather, qkv, sizeof qkv);
    assert_memory_equal(n->z.gather, z, sizeof z);
    assert_memory_equal(n->beta.gather, beta, sizeof beta);
    assert_memory_equal(n->alpha.gather, alpha, sizeof alpha);
    assert_false(n->heads_tiled);
    assert_true(n->norm.weight[1] == 1.0f / 64); // as it is; the layer's norms lack 1
    assert_true(r.recipe.layers[0].mixer.norm.weight[1] == 1 + 1.0f / 64);
    assert_true(r.recipe.layers[0].ffn.experts.normalize);
    end_reading(&r);
}

static void test_configurations(void **state) {
    (void)state;
    static const struct {
        int model;
        const char *key, *value;
        int status;
        const char *part;
    } cases[] = {
        {0, "n_group", "3", XN_ERR_FORMAT, "equal groups of the 4 experts"},
        {0, "topk_group", "3", XN_ERR_FORMAT, "2 experts a token from 3 of 2 groups"},
        {0, "topk_group", "0", XN_ERR_FORMAT, "from 0 of 2 groups"},
        {0, "num_experts_per_tok", "3", XN_ERR_FORMAT, "3 experts a token from 1 of 2 groups"},
        {0, "num_experts_per_tok", "5", XN_ERR_FORMAT, "5 experts a token"},
        {0, "n_routed_experts", "5", XN_ERR_FORMAT, "mlp.gate.weight"},
        {0, "n_shared_experts", "1", XN_ERR_FORMAT, "mlp.shared_experts.gate_proj.weight"},
        {0, "n_shared_experts", "-1", XN_ERR_FORMAT, "n_shared_experts is -1"},
        {0, "first_k_dense_replace", "1", XN_ERR_FORMAT, "mlp.gate_proj.weight"},
        {0, "routed_scaling_factor", "\"2\"", XN_ERR_FORMAT, "routed_scaling_factor is a string"},
        {1, "kv_lora_rank", "0", XN_ERR_FORMAT, "kv_lora_rank is 0"},
        {1, "kv_lora_rank", "7", XN_ERR_FORMAT, "kv_a_proj_with_mqa"},
        {1, "q_lora_rank", "null", XN_ERR_FORMAT, "self_attn.q_proj.weight"},
        {1, "qk_nope_head_dim", "4", XN_ERR_FORMAT, "q_b_proj"},
        {1, "qk_rope_head_dim", "3", XN_ERR_FORMAT, "the rope rotates 3 values"},
        {1, "partial_rotary_factor", "0.5", XN_ERR_UNSUPPORTED, "the rope rotates 2 of 4 values"},
        {1, "v_head_dim", "6", XN_ERR_FORMAT, "kv_b_proj"},
        {1, "moe_layer_freq", "2", XN_ERR_UNSUPPORTED, "moe_layer_freq is 2"},
        {1, "quantization_config", "{\"quant_method\": \"fp8\"}", XN_ERR_UNSUPPORTED,
         "quantization_config is set (fp8)"},
        {2, "swiglu_limit", "5", XN_ERR_UNSUPPORTED, "swiglu_limit is 5"},
        {2, "rope_parameters", NULL, XN_ERR_FORMAT, "rope_parameters"},
        {2, "sliding_window", "null", XN_ERR_FORMAT, "sliding_window is missing"},
        {2, "quantization_config", "{\"quant_method\": \"gptq\"}", XN_ERR_UNSUPPORTED, "gptq"},
        {3, "hidden_size", "33", XN_ERR_FORMAT, "model.embed_tokens.weight"},
        {3, "intermediate_size", "31", XN_ERR_FORMAT, "gate_up_proj_blocks"},
        {4, "linear_num_key_heads", "3", XN_ERR_FORMAT, "not a multiple"},
        {4, "linear_num_key_heads", "4", XN_ERR_FORMAT, "in_proj_qkvz"},
        {4, "linear_value_head_dim", "3", XN_ERR_FORMAT, "in_proj_qkvz"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct model *m = &models[cases[i].model];
        struct reading r;
        char what[160];
        snprintf(what, sizeof what, "%s: %s", cases[i].key, cases[i].value ? cases[i].value : "(removed)");
        read_tiny(&r, config_with(m->config, cases[i].key, cases[i].value), m->tensors, m->n);
        expect_failure(&r, cases[i].status, cases[i].part, what);
    }
}

// --- GGUF: DeepSeek's architecture, whose metadata leave things to tensors ---

static int produce_zeros(void *user, uint64_t offset, void *out, size_t size, struct xn_error *err) {
    (void)user, (void)offset, (void)err;
    memset(out, 0, size);
    return XN_OK;
}

struct gguf_entry {
    const char *key;
    double number;
    bool real;
};
struct gguf_tensor {
    const char *name;
    uint32_t n_dims;
    uint64_t dims[3]; // innermost first
};
static const struct gguf_entry gguf_entries[] = {
    {"block_count", 1, false},
    {"context_length", 64, false},
    {"embedding_length", 8, false},
    {"feed_forward_length", 6, false},
    {"attention.head_count", 2, false},
    {"attention.head_count_kv", 1, false},
    {"attention.layer_norm_rms_epsilon", 1e-3, true},
    {"attention.kv_lora_rank", 6, false},
    {"attention.key_length", 10, false},
    {"attention.value_length", 6, false},
    {"attention.key_length_mla", 7, false},
    {"attention.value_length_mla", 5, false},
    {"rope.dimension_count", 4, false},
    {"expert_count", 4, false},
    {"expert_used_count", 2, false},
    {"expert_group_count", 2, false},
    {"expert_group_used_count", 1, false},
    {"expert_feed_forward_length", 6, false},
    {"expert_shared_count", 1, false},
    {"expert_weights_scale", 2.5, true},
};
#define B "blk.0."
static const struct gguf_tensor gguf_tensors[] = {
    {"token_embd.weight", 2, {8, 10}},      {"output_norm.weight", 1, {8}},
    {B "attn_norm.weight", 1, {8}},         {B "ffn_norm.weight", 1, {8}},
    {B "attn_q.weight", 2, {8, 14}},        {B "attn_kv_a_mqa.weight", 2, {8, 10}},
    {B "attn_kv_a_norm.weight", 1, {6}},    {B "attn_output.weight", 2, {10, 8}},
    {B "ffn_gate_inp.weight", 2, {8, 4}},   {B "ffn_gate_exps.weight", 3, {8, 6, 4}},
    {B "ffn_up_exps.weight", 3, {8, 6, 4}}, {B "ffn_down_exps.weight", 3, {6, 8, 4}},
    {B "ffn_gate_shexp.weight", 2, {8, 6}}, {B "ffn_up_shexp.weight", 2, {8, 6}},
    {B "ffn_down_shexp.weight", 2, {6, 8}},
};
static const struct gguf_tensor absorbed[] = {{B "attn_k_b.weight", 3, {3, 6, 2}}, {B "attn_v_b.weight", 3, {6, 5, 2}}},
                                old_form[] = {{B "attn_kv_b.weight", 2, {6, 16}}},
                                bias[] = {{B "exp_probs_b.bias", 1, {4}}};

static void add_tensors(struct xn_gguf_writer *w, const struct gguf_tensor *tensors, size_t n) {
    for (size_t i = 0; i < n; i++)
        assert_int_equal(xn_gguf_add_tensor(w, tensors[i].name, XN_F32, tensors[i].n_dims, tensors[i].dims,
                                            produce_zeros, NULL, NULL),
                         XN_OK);
}

// Reads the file with further entries (a key that is there already is replaced, or left out with a negative number) and
// the tensors of the second product and of the bias for choosing.
static void read_gguf(struct reading *r, const struct gguf_entry *changes, size_t n, bool is_absorbed, bool biased) {
    char folder[] = "/tmp/xenon-experts-XXXXXX", path[64], key[80];
    struct xn_gguf_writer *w;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/model.gguf", folder);
    assert_int_equal(xn_gguf_writer_new(&w, NULL), XN_OK);
    assert_int_equal(xn_gguf_add_string(w, "general.architecture", "deepseek2", NULL), XN_OK);
    for (size_t i = 0; i < COUNT(gguf_entries) + n; i++) {
        const struct gguf_entry *e = i < n ? &changes[i] : &gguf_entries[i - n];
        bool replaced = false;
        for (size_t j = 0; i >= n && j < n; j++)
            replaced |= strcmp(changes[j].key, e->key) == 0;
        if (replaced || e->number < 0) continue;
        snprintf(key, sizeof key, "deepseek2.%s", e->key);
        assert_int_equal(e->real ? xn_gguf_add_f32(w, key, (float)e->number, NULL)
                                 : xn_gguf_add_u32(w, key, (uint32_t)e->number, NULL),
                         XN_OK);
    }
    bool yarn = n && strcmp(changes[0].key, "rope.scaling.factor") == 0;
    if (yarn) assert_int_equal(xn_gguf_add_string(w, "deepseek2.rope.scaling.type", "yarn", NULL), XN_OK);
    add_tensors(w, gguf_tensors, COUNT(gguf_tensors));
    if (is_absorbed)
        add_tensors(w, absorbed, COUNT(absorbed));
    else
        add_tensors(w, old_form, COUNT(old_form));
    if (biased) add_tensors(w, bias, COUNT(bias));
    assert_int_equal(xn_gguf_write(w, path, NULL, NULL), XN_OK);
    xn_gguf_writer_free(w);
    r->err.message[0] = 0;
    if (xn_source_open(path, &r->source, &r->err)) fail_msg("%s", r->err.message);
    r->status = xn_recipe_read(r->source, &r->recipe, &r->err);
    tiny_remove(folder);
}

static void test_gguf_routers(void **state) {
    (void)state;
    static const struct {
        double function; // -1: not said
        bool biased;
        enum xn_router_score score;
        uint32_t best;
    } cases[] = {{-1, false, XN_ROUTER_SOFTMAX, 1},
                 {-1, true, XN_ROUTER_SIGMOID, 2},
                 {1, true, XN_ROUTER_SOFTMAX, 1},
                 {2, true, XN_ROUTER_SIGMOID, 2}};
    struct reading r;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct gguf_entry entry = {"expert_gating_func", cases[i].function, false};
        read_gguf(&r, &entry, 1, true, cases[i].biased);
        if (r.status) fail_msg("%s", r.err.message);
        const struct xn_experts *e = &r.recipe.layers[0].ffn.experts;
        assert_int_equal(e->score, cases[i].score);
        assert_int_equal(e->group_best, cases[i].best);
        assert_int_equal(e->selection_bias != NULL, cases[i].score == XN_ROUTER_SIGMOID);
        assert_false(e->normalize); // the file says where it is true
        assert_true(e->scale == 2.5f);
        end_reading(&r);
    }
    read_gguf(&r, &(struct gguf_entry){"expert_gating_func", 3, false}, 1, true, true);
    expect_failure(&r, XN_ERR_UNSUPPORTED, "expert_gating_func is 3", "a softmax of the chosen");
    read_gguf(&r, &(struct gguf_entry){"expert_gating_func", 2, false}, 1, true, false);
    if (r.status) fail_msg("%s", r.err.message); // choosing by the scores alone
    assert_int_equal(r.recipe.layers[0].ffn.experts.score, XN_ROUTER_SIGMOID);
    assert_null(r.recipe.layers[0].ffn.experts.selection_bias);
    end_reading(&r);
}

static void test_gguf_latent(void **state) {
    (void)state;
    // Before keys and values were absorbed, their sizes were those of a head.
    static const struct gguf_entry old[] = {{"attention.key_length", 7, false},
                                            {"attention.value_length", 5, false},
                                            {"attention.head_count_kv", 2, false},
                                            {"attention.key_length_mla", -1, false},
                                            {"attention.value_length_mla", -1, false}};
    struct reading r;
    for (int form = 0; form < 2; form++) {
        read_gguf(&r, old, form ? 0 : COUNT(old), form == 1, false);
        if (r.status) fail_msg("%s", r.err.message);
        const struct xn_latent_attention *a = &r.recipe.layers[0].mixer.latent;
        assert_int_equal(a->nope_size, 3);
        assert_int_equal(a->rope_size, 4);
        assert_int_equal(a->value_size, 5);
        assert_int_equal(a->k_absorb.layout, form ? XN_LAYOUT_ROWS : XN_LAYOUT_COLUMNS);
        assert_int_equal(a->k_absorb.rows, 6);
        assert_int_equal(a->k_absorb.cols, 3);
        assert_int_equal(a->v_expand.rows, 5);
        assert_int_equal(a->rope.kind, XN_ROPE_PAIRS);
        end_reading(&r);
    }
    // A tenth of mscale_all_dim; cos and sin are not scaled.
    static const struct gguf_entry yarn[] = {{"rope.scaling.factor", 4, true},
                                             {"rope.scaling.original_context_length", 16, false},
                                             {"rope.scaling.yarn_log_multiplier", 0.0707, true}};
    read_gguf(&r, yarn, COUNT(yarn), true, false);
    if (r.status) fail_msg("%s", r.err.message);
    const struct xn_latent_attention *a = &r.recipe.layers[0].mixer.latent;
    double mscale = 1 + 0.0707 * log(4);
    assert_true(fabs(a->scale - mscale * mscale / sqrt(7)) < 1e-6);
    assert_true(a->rope.magnitude == 1);
    end_reading(&r);
    read_gguf(&r, &(struct gguf_entry){"attention.key_length_mla", 4, false}, 1, true, false);
    expect_failure(&r, XN_ERR_FORMAT, "keys of 4 values, expected more than the 4 that rotate", "no part without rope");
    read_gguf(&r, &(struct gguf_entry){"attention.temperature_scale", 0.1, true}, 1, true, false);
    expect_failure(&r, XN_ERR_UNSUPPORTED, "temperature_scale", "a temperature");
    read_gguf(&r, &(struct gguf_entry){"attention.value_length_mla", 6, false}, 1, true, false);
    expect_failure(&r, XN_ERR_FORMAT, "attn_v_b.weight", "values of another size");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_tensor),    cmocka_unit_test(test_grouped),      cmocka_unit_test(test_latent),
        cmocka_unit_test(test_softmax_groups), cmocka_unit_test(test_paired),       cmocka_unit_test(test_interleaved),
        cmocka_unit_test(test_configurations), cmocka_unit_test(test_gguf_routers), cmocka_unit_test(test_gguf_latent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
