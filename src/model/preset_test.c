// Presets against what llama.cpp's quantizer chose (its dry run over models of these shapes).
#include "model/preset.h"
#include "model/synth.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct xn_synth_tensor *tensors;
static size_t n_tensors;

static void read_shape(const char *shape, const char *preset) {
    struct xn_error err;
    free(tensors);
    tensors = NULL;
    assert_non_null(xn_shape_find(shape));
    assert_non_null(xn_preset_find(preset));
    assert_int_equal(xn_synth_tensors(xn_shape_find(shape), xn_preset_find(preset), 0, &tensors, &n_tensors, &err),
                     XN_OK);
}

static const struct xn_synth_tensor *find(const char *name) {
    for (size_t i = 0; i < n_tensors; i++)
        if (strcmp(tensors[i].name, name) == 0) return &tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static const char *type_of(const char *name) {
    return xn_format_of(find(name)->type)->name;
}

static void a_dense_model(void **state) {
    (void)state;
    read_shape("qwen3-4b", "Q4_K_M"); // 36 layers, tied
    assert_string_equal(type_of("token_embd.weight"), "Q6_K");
    assert_string_equal(type_of("output_norm.weight"), "F32");
    assert_string_equal(type_of("blk.0.attn_q.weight"), "Q4_K");
    assert_string_equal(type_of("blk.0.attn_q_norm.weight"), "F32");
    // more bits: the first 36/8 = 4 layers, those from 7 * 36/8 = 31 on, and every third from 6 on
    const unsigned more[] = {0, 1, 2, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 31, 32, 33, 34, 35};
    for (unsigned layer = 0, next = 0; layer < 36; layer++) {
        char name[64];
        bool is_more = next < sizeof more / sizeof *more && more[next] == layer;
        next += is_more;
        snprintf(name, sizeof name, "blk.%u.attn_v.weight", layer);
        assert_string_equal(type_of(name), is_more ? "Q6_K" : "Q4_K");
        snprintf(name, sizeof name, "blk.%u.ffn_down.weight", layer);
        assert_string_equal(type_of(name), is_more ? "Q6_K" : "Q4_K");
    }
    read_shape("qwen3-8b", "Q4_K_M"); // untied
    assert_string_equal(type_of("token_embd.weight"), "Q4_K");
    assert_string_equal(type_of("output.weight"), "Q6_K");
    read_shape("qwen3-8b", "Q8_0");
    assert_string_equal(type_of("output.weight"), "Q8_0");
    read_shape("qwen3-8b", "BF16");
    assert_string_equal(type_of("output.weight"), "BF16");
    assert_string_equal(type_of("blk.3.attn_norm.weight"), "F32");
    read_shape("qwen3-8b", "Q2_K"); // 4 query heads a key head
    assert_string_equal(type_of("blk.9.attn_v.weight"), "Q4_K");
    assert_string_equal(type_of("blk.9.ffn_down.weight"), "Q3_K");
    assert_string_equal(type_of("blk.9.attn_output.weight"), "Q3_K");
    assert_string_equal(type_of("blk.9.ffn_up.weight"), "Q2_K");
}

static void rows_that_are_no_multiple_of_256(void **state) {
    (void)state;
    read_shape("qwen2.5-0.5b", "Q4_K_M"); // hidden 896, feed-forward 4864 = 19 * 256
    assert_string_equal(type_of("token_embd.weight"), "Q8_0");
    assert_string_equal(type_of("blk.5.attn_q.weight"), "Q5_0");
    assert_string_equal(type_of("blk.0.attn_v.weight"), "Q8_0");
    assert_string_equal(type_of("blk.0.ffn_down.weight"), "Q6_K");
    read_shape("qwen2.5-0.5b", "Q2_K");
    assert_string_equal(type_of("blk.5.attn_q.weight"), "Q4_0");
    read_shape("qwen2.5-0.5b", "IQ4_XS");
    assert_string_equal(type_of("blk.5.attn_q.weight"), "IQ4_NL");
    struct xn_preset_case odd = {.role = XN_ROLE_Q, .layers = 4, .heads_per_key = 1, .row = 40};
    assert_int_equal(xn_preset_type(xn_preset_find("Q4_K_M"), &odd), XN_F16);
}

static void experts_and_hybrids(void **state) {
    (void)state;
    read_shape("qwen3.5-35b-a3b", "Q4_K_M");
    assert_string_equal(type_of("blk.0.ffn_gate_inp.weight"), "F32");
    assert_string_equal(type_of("blk.0.ffn_gate_exps.weight"), "Q4_K");
    assert_string_equal(type_of("blk.0.ffn_down_exps.weight"), "Q6_K");
    assert_string_equal(type_of("blk.0.ffn_down_shexp.weight"), "Q6_K");
    assert_string_equal(type_of("blk.0.attn_qkv.weight"), "Q6_K"); // layer 0 is a delta net
    assert_string_equal(type_of("blk.0.attn_gate.weight"), "Q4_K");
    assert_string_equal(type_of("blk.0.ssm_conv1d.weight"), "F32");
    assert_string_equal(type_of("blk.0.ssm_out.weight"), "Q4_K");
    assert_string_equal(type_of("blk.3.attn_v.weight"), "Q6_K");
    assert_int_equal(find("blk.7.ffn_up_exps.weight")->n_dims, 3);
    read_shape("tiny-qwen3-moe", "Q4_K_M"); // eight experts: the rules made for Mixtral
    assert_string_equal(type_of("blk.0.attn_v.weight"), "Q8_0");
    assert_string_equal(type_of("blk.0.attn_k.weight"), "Q8_0");
    assert_string_equal(type_of("blk.0.attn_output.weight"), "Q5_K");
    // Matrices of values are counted, not layers: of these six the third and the last.
    read_shape("lfm2-1.2b", "Q4_K_M");
    const struct {
        const char *name, *type;
    } lfm2[] = {{"blk.2.attn_v.weight", "Q4_K"},
                {"blk.5.attn_v.weight", "Q4_K"},
                {"blk.8.attn_v.weight", "Q6_K"},
                {"blk.10.attn_v.weight", "Q4_K"},
                {"blk.12.attn_v.weight", "Q4_K"},
                {"blk.14.attn_v.weight", "Q6_K"},
                {"blk.0.shortconv.in_proj.weight", "Q4_K"},
                {"blk.0.shortconv.conv.weight", "F32"},
                {"blk.0.ffn_down.weight", "Q6_K"},
                {"blk.3.ffn_down.weight", "Q4_K"}};
    for (size_t i = 0; i < sizeof lfm2 / sizeof *lfm2; i++)
        assert_string_equal(type_of(lfm2[i].name), lfm2[i].type);
    read_shape("gpt-oss-20b", "MXFP4_MOE");
    assert_string_equal(type_of("blk.0.ffn_down_exps.weight"), "MXFP4");
    assert_string_equal(type_of("blk.0.ffn_down_exps.bias"), "F32");
    assert_string_equal(type_of("blk.0.attn_output.weight"), "Q8_0");
    read_shape("deepseek-v2-lite", "Q4_K_M");
    assert_string_equal(type_of("blk.1.attn_k_b.weight"), "Q5_0"); // rows of 128
    assert_string_equal(type_of("blk.1.attn_v_b.weight"), "Q4_K");
    assert_string_equal(type_of("blk.0.ffn_down.weight"), "Q8_0"); // rows of 10,944
    read_shape("tiny-gemma4", "Q4_K_M");
    assert_string_equal(type_of("per_layer_token_embd.weight"), "Q6_K");
    assert_string_equal(type_of("per_layer_model_proj.weight"), "BF16");
    read_shape("qwen3-30b-a3b", "MXFP4_MOE");
    assert_string_equal(type_of("blk.0.ffn_up_exps.weight"), "MXFP4");
    assert_string_equal(type_of("blk.0.attn_q.weight"), "Q8_0");
}

static void parameters_are_the_published_ones(void **state) {
    (void)state;
    const struct {
        const char *shape;
        double billions;
    } published[] = {
        // of the language model, in billions
        {"qwen2.5-0.5b", 0.494},      {"qwen2.5-7b", 7.616},
        {"qwen2.5-14b", 14.77},       {"qwen2.5-32b", 32.76},
        {"qwen3-0.6b", 0.596},        {"qwen3-4b", 4.022},
        {"qwen3-8b", 8.191},          {"qwen3-32b", 32.76},
        {"qwen3-30b-a3b", 30.53},     {"qwen3.5-27b", 26.9},
        {"qwen3.5-35b-a3b", 34.66},   {"qwen3.5-122b-a10b", 122.1},
        {"llama-3.1-8b", 8.030},      {"llama-3.2-1b", 1.236},
        {"mistral-7b", 7.248},        {"tinyllama", 1.100},
        {"gemma-3-4b", 3.880},        {"phi-4", 14.66},
        {"qwen1.5-moe-a2.7b", 14.32}, {"qwen3-next-80b-a3b", 79.67},
        {"mixtral-8x7b", 46.70},      {"gemma-2-2b", 2.614},
        {"glm-4-9b", 9.40},           {"glm-4.5-air", 106.85},
        {"granite-3.3-2b", 2.534},    {"granite-4.0-h-micro", 3.19},
        {"granite-4.0-h-tiny", 6.94}, {"olmo-2-7b", 7.30},
        {"seed-oss-36b", 36.15},      {"smollm3-3b", 3.075},
        {"gpt-oss-20b", 20.91},       {"deepseek-v2-lite", 15.71},
        {"deepseek-v3", 671.0},       {"mamba2-1.3b", 1.344},
        {"nemotron-h-8b", 8.10},      {"nemotron-3-nano-30b-a3b", 31.58},
        {"falcon-h1-0.5b", 0.521},    {"falcon-h1-7b", 7.59},
        {"lfm2-1.2b", 1.170},         {"lfm2-8b-a1b", 8.34},
    };
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        uint64_t bytes, parameters;
        read_shape(published[i].shape, "Q4_K_M");
        xn_synth_sizes(tensors, n_tensors, &bytes, &parameters);
        double billions = (double)parameters / 1e9, off = billions / published[i].billions - 1;
        if (off > 0.005 || off < -0.005)
            fail_msg("%s: %.3f, not %.3f", published[i].shape, billions, published[i].billions);
        assert_true(bytes > parameters / 2 && bytes < parameters);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dense_model),
        cmocka_unit_test(rows_that_are_no_multiple_of_256),
        cmocka_unit_test(experts_and_hybrids),
        cmocka_unit_test(parameters_are_the_published_ones),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(tensors);
    return failed;
}
