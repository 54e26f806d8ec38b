// What the builder refuses, on models of a few values: every tensor in turn missing and misshapen, and configurations
// that lie.
#include "model/families/families.h"
#include "tiny_reading.h"

#include <math.h>

static json_t *llama_with(const char *key, const char *value) {
    return config_with(tiny_llama_config, key, value);
}

static void test_llama(void **state) {
    (void)state;
    struct reading r;
    read_tiny(&r, llama_with(NULL, NULL), tiny_llama, TINY_LLAMA);
    if (r.status) fail_msg("%s", r.err.message);
    const struct xn_recipe *m = &r.recipe;
    assert_string_equal(m->family, "llama");
    assert_int_equal(strncmp(m->name, "xenon-recipe-", 13), 0);
    assert_int_equal(m->hidden, 8);
    assert_int_equal(m->vocab, 10);
    assert_int_equal(m->n_layers, 2);
    assert_int_equal(m->context, 64);
    assert_true(m->embedding_scale == 1 && m->logit_scale == 1 && m->logit_soft_cap == 0);
    assert_int_equal(m->embedding.rows, 10);
    assert_int_equal(m->embedding.cols, 8);
    assert_ptr_not_equal(m->head.data[0], m->embedding.data[0]);
    for (int i = 0; i < 8; i++)
        assert_true(m->final_norm.weight[i] == 3 + (float)i / 64);
    for (int l = 0; l < 2; l++) {
        const struct xn_layer *layer = &m->layers[l];
        assert_int_equal(layer->mixer.kind, XN_MIXER_ATTENTION);
        const struct xn_attention *a = &layer->mixer.attention;
        assert_int_equal(a->heads, 2);
        assert_int_equal(a->kv_heads, 1);
        assert_int_equal(a->head_size, 4);
        assert_int_equal(a->k.rows, 4);
        assert_int_equal(a->window, 0);
        assert_true(a->scale == 0.5f);
        assert_null(a->q_bias);
        assert_int_equal(a->rope.kind, XN_ROPE_HALVES);
        assert_int_equal(a->rope.dims, 4);
        assert_true(a->rope.frequency[0] == 1 && fabsf(a->rope.frequency[1] - 0.01f) < 1e-8f);
        assert_true(layer->mixer.norm.epsilon == 0.001f && layer->ffn.norm.weight[1] == 2 + 1.0f / 64);
        assert_int_equal(layer->mixer.post_norm.kind, XN_NORM_NONE);
        assert_int_equal(layer->ffn.kind, XN_FFN_DENSE);
        assert_int_equal(layer->ffn.dense.down.cols, 12);
        assert_true(layer->residual_scale == 1);
    }
    // 10 x 8 twice; a layer 8 x 8 twice, 4 x 8 twice, 12 x 8 three times
    struct xn_recipe_sizes s = xn_recipe_sizes(m);
    assert_int_equal(s.parameters, 160 + 2 * 480);
    assert_int_equal(s.bytes, 4 * s.parameters);
    assert_int_equal(s.active_parameters, 8 + 80 + 2 * 480);
    assert_int_equal(s.active_bytes, 4 * s.active_parameters);
    end_reading(&r);
}

static void test_tied(void **state) {
    (void)state;
    struct reading r;
    read_tiny(&r, llama_with("tie_word_embeddings", "true"), tiny_llama, TINY_LLAMA); // although there is a head
    assert_int_equal(r.status, XN_OK);
    assert_ptr_equal(r.recipe.head.data[0], r.recipe.embedding.data[0]);
    assert_int_equal(xn_recipe_sizes(&r.recipe).parameters, 80 + 2 * 480);
    assert_int_equal(xn_recipe_sizes(&r.recipe).active_parameters, 8 + 80 + 2 * 480);
    end_reading(&r);
    read_tiny(&r, llama_with(NULL, NULL), tiny_llama, TINY_LLAMA - 1); // nothing said, and no head
    assert_int_equal(r.status, XN_OK);
    assert_ptr_equal(r.recipe.head.data[0], r.recipe.embedding.data[0]);
    end_reading(&r);
    read_tiny(&r, llama_with("tie_word_embeddings", "false"), tiny_llama, TINY_LLAMA - 1);
    expect_failure(&r, XN_ERR_FORMAT, "lm_head.weight", "an own head that is missing");
}

static void test_each_tensor(void **state) {
    (void)state;
    for (size_t i = 0; i < TINY_LLAMA - 1; i++) {
        struct tiny_tensor tensors[TINY_LLAMA];
        struct reading r;
        memcpy(tensors, tiny_llama, sizeof tensors);
        memmove(tensors + i, tensors + i + 1, (TINY_LLAMA - 1 - i) * sizeof *tensors);
        read_tiny(&r, llama_with(NULL, NULL), tensors, TINY_LLAMA - 1);
        expect_failure(&r, XN_ERR_FORMAT, tiny_llama[i].name, "missing");
        for (int d = 0; d < 2; d++) {
            memcpy(tensors, tiny_llama, sizeof tensors);
            tensors[i].shape[d]++;
            if (tensors[i].n_dims == 1 && d == 1) tensors[i].n_dims = 2;
            read_tiny(&r, llama_with(NULL, NULL), tensors, TINY_LLAMA);
            if (tensors[i].n_dims == 2 && tiny_llama[i].n_dims == 1) { // [n, 1] is no vector of n
                expect_failure(&r, XN_ERR_FORMAT, tiny_llama[i].name, "shape");
                continue;
            }
            expect_failure(&r, XN_ERR_FORMAT, tiny_llama[i].name, "shape");
        }
    }
}

static void test_configurations(void **state) {
    (void)state;
    static const struct {
        const char *key, *value; // value NULL: the key is removed
        int status;
        const char *part;
    } cases[] = {
        {"num_attention_heads", "0", XN_ERR_FORMAT, "num_attention_heads is 0"},
        {"num_attention_heads", "-2", XN_ERR_FORMAT, "num_attention_heads is -2"},
        {"num_attention_heads", "1025", XN_ERR_FORMAT, "from 1 to 1024"},
        {"num_attention_heads", "2.5", XN_ERR_FORMAT, "expected an integer"},
        {"num_attention_heads", "\"2\"", XN_ERR_FORMAT, "num_attention_heads is a string"},
        {"num_attention_heads", "true", XN_ERR_FORMAT, "num_attention_heads is a boolean"},
        {"num_attention_heads", "[2]", XN_ERR_FORMAT, "num_attention_heads has 1 elements and no number at 1"},
        {"num_attention_heads", "[2, null]", XN_ERR_FORMAT, "num_attention_heads has 2 elements and no number at 1"},
        {"num_attention_heads", "[2, 1.5]", XN_ERR_FORMAT, "num_attention_heads is 1.5"},
        {"num_attention_heads", "[0, 0]", XN_ERR_FORMAT, "num_attention_heads"},
        {"num_key_value_heads", "[1, 0]", XN_ERR_FORMAT, "layer 1 has 2 heads"},
        {"intermediate_size", "[12, 13]", XN_ERR_FORMAT, "model.layers.1.mlp.gate_proj.weight"},
        {"hidden_size", "[8]", XN_ERR_FORMAT, "hidden_size is an array"},
        {"num_attention_heads", "3", XN_ERR_FORMAT, "not a multiple"},
        {"num_attention_heads", "4", XN_ERR_FORMAT, "model.layers.0.self_attn.k_proj.weight"},
        {"num_key_value_heads", "9223372036854775807", XN_ERR_FORMAT, "num_key_value_heads"},
        {"num_key_value_heads", "2", XN_ERR_FORMAT, "k_proj.weight"},
        {"num_key_value_heads", "3", XN_ERR_FORMAT, "a multiple of its 3"},
        {"num_hidden_layers", NULL, XN_ERR_FORMAT, "num_hidden_layers is missing"},
        {"num_hidden_layers", "1000000", XN_ERR_FORMAT, "num_hidden_layers is 1000000"},
        {"num_hidden_layers", "3", XN_ERR_FORMAT, "model.layers.2.input_layernorm.weight"},
        {"hidden_size", "1e300", XN_ERR_FORMAT, "hidden_size"},
        {"hidden_size", "16", XN_ERR_FORMAT, "shape [10, 8], expected [10, 16]"},
        {"vocab_size", "11", XN_ERR_FORMAT, "shape [10, 8], expected [11, 8]"},
        {"intermediate_size", NULL, XN_ERR_FORMAT, "intermediate_size is missing"},
        {"rms_norm_eps", "-1", XN_ERR_FORMAT, "rms_norm_eps"},
        {"rms_norm_eps", "null", XN_ERR_FORMAT, "epsilon"},
        {"max_position_embeddings", "0", XN_ERR_FORMAT, "max_position_embeddings"},
        {"head_dim", "5", XN_ERR_FORMAT, "the rope rotates 5 values"},
        {"head_dim", "65536", XN_ERR_FORMAT, "q_proj.weight"},
        {"rope_theta", "1", XN_ERR_FORMAT, "rope_theta"},
        {"rope_theta", "\"10000\"", XN_ERR_FORMAT, "rope_theta is a string"},
        {"partial_rotary_factor", "1.5", XN_ERR_FORMAT, "partial_rotary_factor"},
        {"partial_rotary_factor", "0.25", XN_ERR_FORMAT, "the rope rotates 1 values"},
        {"rope_scaling", "{\"rope_type\": \"spiral\"}", XN_ERR_UNSUPPORTED, "'spiral'"},
        {"rope_scaling", "{\"type\": \"linear\"}", XN_ERR_FORMAT, "factor is missing"},
        {"rope_scaling", "{\"type\": \"linear\", \"factor\": -1}", XN_ERR_FORMAT, "factor is -1"},
        {"rope_scaling", "{\"type\": \"longrope\", \"short_factor\": [1], \"original_max_position_embeddings\": 64}",
         XN_ERR_FORMAT, "short_factor has 1 numbers, expected 2"},
        {"rope_scaling", "{\"type\": \"longrope\", \"short_factor\": [1, 2], \"long_factor\": [1, \"x\"]}",
         XN_ERR_FORMAT, "long_factor[1]"},
        {"rope_scaling", "{\"type\": \"longrope\", \"short_factor\": [1, 2]}", XN_ERR_FORMAT, "long_factor has 0"},
        {"rope_scaling", "{\"type\": \"dynamic\"}", XN_ERR_FORMAT, "a dynamic rope of 4 values with a factor of 0"},
        {"rope_scaling", "{\"type\": \"dynamic\", \"factor\": 0.5}", XN_ERR_FORMAT, "with a factor of 0.5"},
        {"rope_parameters", "{\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 0}", XN_ERR_FORMAT,
         "low_freq_factor"},
        {"hidden_act", "\"mish\"", XN_ERR_UNSUPPORTED, "mish"},
        {"attention_bias", "true", XN_ERR_FORMAT, "self_attn.q_proj.bias"},
        {"mlp_bias", "true", XN_ERR_FORMAT, "mlp.gate_proj.bias"},
        {"mlp_bias", "\"yes\"", XN_ERR_FORMAT, "mlp_bias is a string"},
        {"quantization_config", "{\"quant_method\": \"fp8\"}", XN_ERR_UNSUPPORTED, "quantization_config"},
        {"model_type", "\"lama\"", XN_ERR_UNSUPPORTED, "the nearest is llama; known: llama, mistral"},
        {"model_type", "\"whisper\"", XN_ERR_UNSUPPORTED,
         "'whisper', a family that is not known; the nearest is phi3; known: llama"},
        {"model_type", NULL, XN_ERR_FORMAT, "model_type is missing"},
        {"model_type", "7", XN_ERR_FORMAT, "model_type is missing"},
        {"model_type", "\"qwen3\"", XN_ERR_FORMAT, "q_proj.weight"}, // its heads are 128 wide where nothing is said
        {"text_config", "{\"model_type\": \"llama\"}", XN_ERR_FORMAT, "is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct reading r;
        char what[160];
        snprintf(what, sizeof what, "%s: %s", cases[i].key, cases[i].value ? cases[i].value : "(removed)");
        read_tiny(&r, llama_with(cases[i].key, cases[i].value), tiny_llama, TINY_LLAMA);
        expect_failure(&r, cases[i].status, cases[i].part, what);
    }
}

static const struct xn_rope *first_rope(const struct reading *r) {
    if (r->status) fail_msg("%s", r->err.message);
    return &r->recipe.layers[0].mixer.attention.rope;
}

// Ropes that follow the sequence's length, and one that does not.
static void test_following_ropes(void **state) {
    (void)state;
    struct reading r;
    read_tiny(&r,
              llama_with("rope_scaling", "{\"type\": \"longrope\", \"short_factor\": [1, 2], \"long_factor\": [4, 10], "
                                         "\"original_max_position_embeddings\": 32}"),
              tiny_llama, TINY_LLAMA);
    const struct xn_rope *rope = first_rope(&r);
    assert_int_equal(rope->original, 32);
    assert_true(rope->frequency[0] == 1 && fabsf(rope->frequency[1] - 0.005f) < 1e-8f);
    assert_true(rope->long_frequency[0] == 0.25f && fabsf(rope->long_frequency[1] - 0.001f) < 1e-9f);
    assert_true(fabsf(rope->magnitude - sqrtf(1 + logf(2) / logf(32))) < 1e-6f); // 64 positions from 32
    end_reading(&r);
    read_tiny(&r, llama_with("rope_parameters", "{\"rope_type\": \"dynamic\", \"factor\": 3, \"rope_theta\": 100}"),
              tiny_llama, TINY_LLAMA);
    rope = first_rope(&r);
    assert_int_equal(rope->original, 64);
    assert_null(rope->long_frequency);
    assert_true(rope->theta == 100 && rope->growth == 3 && fabsf(rope->frequency[1] - 0.1f) < 1e-7f);
    end_reading(&r);
    read_tiny(&r, llama_with("rope_scaling", "{\"type\": \"linear\", \"factor\": 2}"), tiny_llama, TINY_LLAMA);
    assert_int_equal(first_rope(&r)->original, 0);
    end_reading(&r);
}

// The message about an unknown family names all that are known, whole, and the nearest to what was asked for.
static void test_unknown_families(void **state) {
    (void)state;
    static const struct xn_family *const families[] = {
#define X(name) &xn_family_##name,
        XN_FAMILY_LIST(X)
#undef X
    };
    enum { N = sizeof families / sizeof *families };
    for (int i = 0; i < N; i++) {
        struct reading r;
        char type[80], nearest[80], part[80];
        snprintf(type, sizeof type, "\"%sx\"", families[i]->name);
        snprintf(nearest, sizeof nearest, "the nearest is %s; known: %s, ", families[i]->name, families[0]->name);
        read_tiny(&r, llama_with("model_type", type), tiny_llama, TINY_LLAMA);
        assert_int_equal(r.status, XN_ERR_UNSUPPORTED);
        if (!strstr(r.err.message, nearest)) fail_msg("%s: %s", type, r.err.message);
        for (int j = 1; j < N; j++) {
            snprintf(part, sizeof part, j + 1 < N ? ", %s, " : ", %s", families[j]->name);
            if (!strstr(r.err.message, part)) fail_msg("no%s in '%s'", part, r.err.message);
        }
        end_reading(&r);
    }
}

static void test_layer_types(void **state) {
    (void)state;
    struct reading r;
    json_t *config = llama_with("layer_types", "[\"full_attention\"]");
    json_object_set_new(config, "model_type", json_string("qwen2"));
    struct tiny_tensor tensors[TINY_LLAMA + 6];
    size_t n = 0;
    for (; n < TINY_LLAMA; n++)
        tensors[n] = tiny_llama[n];
    static const char *const biases[] = {
        "model.layers.0.self_attn.q_proj.bias", "model.layers.0.self_attn.k_proj.bias",
        "model.layers.0.self_attn.v_proj.bias", "model.layers.1.self_attn.q_proj.bias",
        "model.layers.1.self_attn.k_proj.bias", "model.layers.1.self_attn.v_proj.bias"};
    for (int i = 0; i < 6; i++)
        tensors[n++] = (struct tiny_tensor){biases[i], 1, {i % 3 == 0 ? 8 : 4}, (float)i};
    read_tiny(&r, json_deep_copy(config), tensors, n);
    expect_failure(&r, XN_ERR_FORMAT, "layer_types[1] is 'missing'", "a list that is too short");
    json_object_set_new(config, "layer_types", parse("[\"sliding_attention\", \"full_attention\"]"));
    json_object_set_new(config, "use_sliding_window", json_true());
    json_object_set_new(config, "sliding_window", json_integer(7));
    read_tiny(&r, config, tensors, n);
    if (r.status) fail_msg("%s", r.err.message);
    assert_int_equal(r.recipe.layers[0].mixer.attention.window, 7);
    assert_int_equal(r.recipe.layers[1].mixer.attention.window, 0);
    assert_true(r.recipe.layers[1].mixer.attention.k_bias[2] == 4 + 2.0f / 64);
    end_reading(&r);
}

// Row slices and stacks: q, k, v and gate, up in one matrix (phi3), experts in one tensor (mixtral).
static void test_slices(void **state) {
    (void)state;
    static const struct tiny_tensor phi3[] = {
        {"model.embed_tokens.weight", 2, {10, 8}, 0},
        {"model.layers.0.input_layernorm.weight", 1, {8}, 0},
        {"model.layers.0.self_attn.qkv_proj.weight", 2, {16, 8}, 0},
        {"model.layers.0.self_attn.o_proj.weight", 2, {8, 8}, 0},
        {"model.layers.0.post_attention_layernorm.weight", 1, {8}, 0},
        {"model.layers.0.mlp.gate_up_proj.weight", 2, {24, 8}, 0},
        {"model.layers.0.mlp.down_proj.weight", 2, {8, 12}, 0},
        {"model.norm.weight", 1, {8}, 0},
    };
    struct reading r;
    json_t *config = llama_with("model_type", "\"phi3\"");
    json_object_set_new(config, "num_hidden_layers", json_integer(1));
    json_object_set_new(config, "sliding_window", json_integer(5));
    read_tiny(&r, config, phi3, sizeof phi3 / sizeof *phi3);
    if (r.status) fail_msg("%s", r.err.message);
    const struct xn_attention *a = &r.recipe.layers[0].mixer.attention;
    const struct xn_dense *f = &r.recipe.layers[0].ffn.dense;
    const char *qkv = a->q.data[0], *gate_up = f->gate.data[0];
    assert_int_equal(a->q.rows, 8);
    assert_int_equal(a->v.rows, 4);
    assert_ptr_equal(a->k.data[0], qkv + 8 * 32);
    assert_ptr_equal(a->v.data[0], qkv + 12 * 32);
    assert_ptr_equal(f->up.data[0], gate_up + 12 * 32);
    assert_int_equal(a->window, 5);
    end_reading(&r);
}

static void test_experts(void **state) {
    (void)state;
    static const struct tiny_tensor mixtral[] = {
        {"model.embed_tokens.weight", 2, {10, 8}, 0},
        {"model.layers.0.input_layernorm.weight", 1, {8}, 0},
        {"model.layers.0.self_attn.q_proj.weight", 2, {8, 8}, 0},
        {"model.layers.0.self_attn.k_proj.weight", 2, {4, 8}, 0},
        {"model.layers.0.self_attn.v_proj.weight", 2, {4, 8}, 0},
        {"model.layers.0.self_attn.o_proj.weight", 2, {8, 8}, 0},
        {"model.layers.0.post_attention_layernorm.weight", 1, {8}, 0},
        {"model.layers.0.mlp.gate.weight", 2, {3, 8}, 0},
        {"model.layers.0.mlp.experts.gate_up_proj", 3, {3, 24, 8}, 0},
        {"model.layers.0.mlp.experts.down_proj", 3, {3, 8, 12}, 0},
        {"model.norm.weight", 1, {8}, 0},
    };
    enum { N = sizeof mixtral / sizeof *mixtral };
    struct reading r;
    json_t *config = llama_with("model_type", "\"mixtral\"");
    json_object_set_new(config, "num_hidden_layers", json_integer(1));
    json_object_set_new(config, "num_local_experts", json_integer(3));
    read_tiny(&r, json_deep_copy(config), mixtral, N);
    if (r.status) fail_msg("%s", r.err.message);
    const struct xn_experts *e = &r.recipe.layers[0].ffn.experts;
    assert_int_equal(r.recipe.layers[0].ffn.kind, XN_FFN_EXPERTS);
    assert_int_equal(e->gate.count, 3);
    assert_int_equal(e->used, 2);
    assert_true(e->normalize && e->scale == 1);
    for (int i = 0; i < 3; i++) {
        const char *base = e->gate.data[0];
        assert_ptr_equal(e->gate.data[i], base + i * 24 * 32);
        assert_ptr_equal(e->up.data[i], base + i * 24 * 32 + 12 * 32);
        assert_ptr_equal(e->down.data[i], (const char *)e->down.data[0] + i * 8 * 48);
    }
    struct xn_recipe_sizes s = xn_recipe_sizes(&r.recipe);
    assert_int_equal(s.parameters, 80 + 192 + 24 + 3 * 288);
    assert_int_equal(s.active_parameters, 8 + 80 + 192 + 24 + 2 * 288);
    end_reading(&r);
    json_object_set_new(config, "num_experts_per_tok", json_integer(4));
    read_tiny(&r, json_deep_copy(config), mixtral, N);
    expect_failure(&r, XN_ERR_FORMAT, "4 experts a token", "more than there are");
    json_object_set_new(config, "num_experts_per_tok", json_integer(1));
    json_object_set_new(config, "num_local_experts", json_integer(2));
    read_tiny(&r, config, mixtral, N);
    expect_failure(&r, XN_ERR_FORMAT, "mlp.gate.weight", "a router of another count");
}

// A wrapper's configuration lies within, and its tensors have another prefix.
static void test_wrapper(void **state) {
    (void)state;
    static const char *const prefixes[] = {"model.language_model.", "language_model.model."};
    for (int p = 0; p < 2; p++) {
        struct tiny_tensor tensors[TINY_LLAMA];
        char names[TINY_LLAMA][96];
        for (size_t i = 0; i < TINY_LLAMA; i++) {
            const char *rest = strncmp(tiny_llama[i].name, "model.", 6) == 0 ? tiny_llama[i].name + 6 : NULL;
            tensors[i] = tiny_llama[i];
            snprintf(names[i], sizeof names[i], "%s%s",
                     rest ? prefixes[p]
                     : p  ? "language_model."
                          : "",
                     rest ? rest : tiny_llama[i].name);
            tensors[i].name = names[i];
        }
        struct reading r;
        json_t *config = json_pack("{s:s, s:b, s:o}", "model_type", "some_vision", "tie_word_embeddings", 0,
                                   "text_config", llama_with(NULL, NULL));
        read_tiny(&r, config, tensors, TINY_LLAMA);
        if (r.status) fail_msg("%s: %s", prefixes[p], r.err.message);
        assert_ptr_not_equal(r.recipe.head.data[0], r.recipe.embedding.data[0]);
        end_reading(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama),           cmocka_unit_test(test_tied),
        cmocka_unit_test(test_each_tensor),     cmocka_unit_test(test_configurations),
        cmocka_unit_test(test_following_ropes), cmocka_unit_test(test_unknown_families),
        cmocka_unit_test(test_layer_types),     cmocka_unit_test(test_slices),
        cmocka_unit_test(test_experts),         cmocka_unit_test(test_wrapper),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
