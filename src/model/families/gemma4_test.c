// Gemma 4 on a model of a few values: layers of both kinds, with caches of their own and shared ones, per-layer inputs
// and experts; every tensor in turn missing and misshapen, and options that the family does not have.
#include "tiny_reading.h"

#include <math.h>

// Hidden 8, 2 heads of 4 with 2 of keys and values; in full layers 2 of 6 with 1, whose keys are the values. Layers:
// sliding, full, and the same two again, which share caches and have a feed-forward of twice 12.
static const char usual[] =
    "{\"model_type\": \"gemma4_text\", \"hidden_size\": 8, \"num_attention_heads\": 2, \"num_key_value_heads\": 2, "
    "\"head_dim\": 4, \"intermediate_size\": 12, \"vocab_size\": 10, \"num_hidden_layers\": 4, "
    "\"max_position_embeddings\": 64, \"sliding_window\": 5, \"attention_k_eq_v\": true, "
    "\"num_kv_shared_layers\": 2, \"use_double_wide_mlp\": true, \"hidden_size_per_layer_input\": 3, "
    "\"vocab_size_per_layer_input\": 10, \"enable_moe_block\": true, \"num_experts\": 2, \"top_k_experts\": 1, "
    "\"moe_intermediate_size\": 5, \"final_logit_softcapping\": 30.0, "
    "\"layer_types\": [\"sliding_attention\", \"full_attention\", \"sliding_attention\", \"sliding_attention\"], "
    "\"per_layer_config\": {\"1\": {\"head_dim\": 6, \"num_key_value_heads\": 1}, "
    "\"3\": {\"head_dim\": 6, \"num_key_value_heads\": 1}}, "
    "\"rope_parameters\": {\"full_attention\": {\"rope_type\": \"proportional\", \"rope_theta\": 100.0, "
    "\"partial_rotary_factor\": 0.4, \"factor\": 2.0}, \"sliding_attention\": {\"rope_type\": \"default\", "
    "\"rope_theta\": 10000.0}}}";

#define L(i, name) "model.layers." #i "." name
#define LAYER(i, head, inner)                                                                                          \
    {L(i, "input_layernorm.weight"), 1, {8}, 1}, {L(i, "post_attention_layernorm.weight"), 1, {8}, 1},                 \
        {L(i, "pre_feedforward_layernorm.weight"), 1, {8}, 1}, {L(i, "post_feedforward_layernorm.weight"), 1, {8}, 1}, \
        {L(i, "pre_feedforward_layernorm_2.weight"), 1, {8}, 2},                                                       \
        {L(i, "post_feedforward_layernorm_1.weight"), 1, {8}, 3},                                                      \
        {L(i, "post_feedforward_layernorm_2.weight"), 1, {8}, 4},                                                      \
        {L(i, "post_per_layer_input_norm.weight"), 1, {8}, 5}, {L(i, "layer_scalar"), 1, {1}, 0.75f},                  \
        {L(i, "self_attn.q_proj.weight"), 2, {2 * (head), 8}, 0},                                                      \
        {L(i, "self_attn.o_proj.weight"), 2, {8, 2 * (head)}, 0}, {L(i, "self_attn.q_norm.weight"), 1, {head}, 1},     \
        {L(i, "mlp.gate_proj.weight"), 2, {inner, 8}, 0}, {L(i, "mlp.up_proj.weight"), 2, {inner, 8}, 0},              \
        {L(i, "mlp.down_proj.weight"), 2, {8, inner}, 0}, {L(i, "per_layer_input_gate.weight"), 2, {3, 8}, 0},         \
        {L(i, "per_layer_projection.weight"), 2, {8, 3}, 0}, {L(i, "router.proj.weight"), 2, {2, 8}, 0},               \
        {L(i, "router.scale"), 1, {8}, 1}, {L(i, "router.per_expert_scale"), 1, {2}, 2},                               \
        {L(i, "experts.gate_up_proj"), 3, {2, 10, 8}, 0}, {                                                            \
        L(i, "experts.down_proj"), 3, {2, 8, 5}, 0                                                                     \
    }
#define KEYS(i, rows, head)                                                                                            \
    {L(i, "self_attn.k_proj.weight"), 2, {rows, 8}, 0}, {                                                              \
        L(i, "self_attn.k_norm.weight"), 1, {head}, 1                                                                  \
    }
static const struct tiny_tensor tensors[] = {
    LAYER(0, 4, 12),
    KEYS(0, 8, 4),
    {L(0, "self_attn.v_proj.weight"), 2, {8, 8}, 0},
    LAYER(1, 6, 12),
    KEYS(1, 6, 6),
    LAYER(2, 4, 24),
    LAYER(3, 6, 24),
    {"model.embed_tokens.weight", 2, {10, 8}, 0},
    {"model.embed_tokens_per_layer.weight", 2, {10, 12}, 0},
    {"model.per_layer_model_projection.weight", 2, {12, 8}, 0},
    {"model.per_layer_projection_norm.weight", 1, {3}, 1},
    {"model.norm.weight", 1, {8}, 3},
};
enum { TENSORS = sizeof tensors / sizeof *tensors };

// The usual model with one key of its configuration changed (value NULL: left out), and these tensors.
static void read_with(struct reading *r, const char *key, const char *value, const struct tiny_tensor *list, size_t n) {
    read_tiny(r, config_with(usual, key, value), list, n);
}

static void check_layer(const struct xn_recipe *m, uint32_t i, bool sliding, bool shares) {
    const struct xn_layer *layer = &m->layers[i];
    const struct xn_attention *a = &layer->mixer.attention;
    const struct xn_experts *e = &layer->ffn.experts;
    uint32_t head = sliding ? 4 : 6;
    assert_int_equal(a->head_size, head);
    assert_int_equal(a->value_size, head);
    assert_int_equal(a->kv_heads, sliding ? 2 : 1);
    assert_int_equal(a->window, sliding ? 5 : 0);
    assert_true(a->scale == 1 && layer->output_scale == 0.75f);
    assert_int_equal(a->shares_cache, shares);
    assert_int_equal(a->cache_layer, shares ? i - 2 : 0);
    assert_int_equal(a->k.rows, shares ? 0 : 2 * 4 - (sliding ? 0 : 2));
    assert_int_equal(a->v.rows, a->k.rows);
    assert_int_equal(a->v.data == a->k.data, shares || !sliding);
    if (!shares) assert_true(a->v_norm.kind == XN_NORM_RMS && !a->v_norm.weight);
    assert_int_equal(layer->ffn.kind, XN_FFN_EXPERTS);
    assert_int_equal(e->shared.up.rows, shares ? 24 : 12);
    assert_int_equal(e->gate.rows, 5);
    assert_true(fabsf(e->router_norm.weight[0] - 1 / sqrtf(8)) < 1e-6f); // scale / sqrt(hidden)
    assert_true(e->expert_scale[1] == 2 + 1.0f / 64);
    assert_true(e->expert_norm.weight[0] == 2 && e->shared_post_norm.weight[0] == 3);
    assert_true(e->expert_post_norm.weight[0] == 4 && e->normalize);
    assert_int_equal(layer->input.gate.rows, 3);
    assert_true(layer->input.norm.weight[0] == 5);
}

static void test_layers(void **state) {
    (void)state;
    struct reading r;
    read_with(&r, NULL, NULL, tensors, TENSORS);
    if (r.status) fail_msg("%s", r.err.message);
    const struct xn_recipe *m = &r.recipe;
    for (uint32_t i = 0; i < 4; i++) // the last sees everything whatever layer_types says
        check_layer(m, i, i % 2 == 0, i >= 2);
    assert_true(fabsf(m->embedding_scale - sqrtf(8)) < 1e-6f && m->logit_soft_cap == 30);
    assert_int_equal(m->layer_inputs.size, 3);
    assert_int_equal(m->layer_inputs.table.cols, 12);
    // 0.4 of 3 pairs: the first alone turns, at half its speed
    const struct xn_rope *rope = &m->layers[1].mixer.attention.rope;
    assert_int_equal(rope->dims, 6);
    assert_true(rope->frequency[0] == 0.5f && rope->frequency[1] == 0 && rope->frequency[2] == 0);
    assert_int_equal(m->layers[0].mixer.attention.rope.dims, 4);
    assert_true(fabsf(m->layers[0].mixer.attention.rope.frequency[1] - 0.01f) < 1e-8f);
    end_reading(&r);
}

// The keys that say the full layers' heads in place of per_layer_config.
static void test_without_exceptions(void **state) {
    (void)state;
    struct reading r;
    read_with(&r, "per_layer_config", NULL, tensors, TENSORS);
    assert_int_equal(r.status, XN_ERR_FORMAT); // 512 values a head
    assert_non_null(strstr(r.err.message, "expected [1024, 8]"));
    end_reading(&r);
}

// Gemma 4 unified is read the same way.
static void test_unified(void **state) {
    (void)state;
    struct reading r;
    read_with(&r, "model_type", "\"gemma4_unified_text\"", tensors, TENSORS);
    if (r.status) fail_msg("%s", r.err.message);
    assert_string_equal(r.recipe.family, "gemma4_unified");
    check_layer(&r.recipe, 3, false, true);
    end_reading(&r);
}

static void test_tensors(void **state) {
    (void)state;
    struct tiny_tensor changed[TENSORS];
    for (size_t i = 0; i < TENSORS; i++) {
        struct reading r;
        memcpy(changed, tensors, sizeof changed);
        changed[i].shape[changed[i].n_dims - 1]++;
        read_with(&r, NULL, NULL, changed, TENSORS);
        if (r.status != XN_ERR_FORMAT || !strstr(r.err.message, tensors[i].name))
            fail_msg("%s: %d %s", tensors[i].name, r.status, r.err.message);
        end_reading(&r);
        if (strstr(tensors[i].name, "layer_scalar")) continue; // 1 where it is missing
        memcpy(changed, tensors, sizeof changed);
        memmove(changed + i, changed + i + 1, (TENSORS - 1 - i) * sizeof *changed);
        read_with(&r, NULL, NULL, changed, TENSORS - 1);
        if (r.status != XN_ERR_FORMAT || !strstr(r.err.message, tensors[i].name))
            fail_msg("%s: %d %s", tensors[i].name, r.status, r.err.message);
        end_reading(&r);
    }
}

static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *key, *value, *part;
    } cases[] = {
        {"use_bidirectional_attention", "\"all\"", "use_bidirectional_attention"},
        {"use_bidirectional_attention", "true", "use_bidirectional_attention"},
        {"rope_parameters", NULL, "rope_parameters is missing"},
        {"num_kv_shared_layers", "4", "none is left"},
        {"num_kv_shared_layers", "3", "layer 1 shares a cache"}, // no full layer before the shared ones
        {"sliding_window", "0", "0 positions"},
        {"vocab_size_per_layer_input", "9", "vocab_size_per_layer_input"},
        {"per_layer_config", "{\"1\": {\"intermediate_size\": 6}}", "sets intermediate_size"},
        {"per_layer_config", "{\"1\": {\"head_dim\": 0}}", "head_dim is 0"},
        {"layer_types", "[\"linear_attention\"]", "linear_attention"},
        {"top_k_experts", "3", "3 experts a token"},
        {"moe_intermediate_size", NULL, "moe_intermediate_size is missing"},
        {"hidden_size_per_layer_input", "-1", "hidden_size_per_layer_input is -1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reading r;
        read_with(&r, cases[i].key, cases[i].value, tensors, TENSORS);
        if (r.status == XN_OK || !strstr(r.err.message, cases[i].part))
            fail_msg("%s: %d '%s', expected '%s'", cases[i].key, r.status, r.err.message, cases[i].part);
        end_reading(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),  cmocka_unit_test(test_without_exceptions),
        cmocka_unit_test(test_unified), cmocka_unit_test(test_tensors),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
