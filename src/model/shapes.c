#include "model/shapes.h"

#include <string.h>
#include <strings.h>

// What all sizes of a family share.
#define QWEN2(...) .family = "qwen2", .rope_base = 1e6f, .epsilon = 1e-6f, .context = 32768, __VA_ARGS__
#define QWEN3(...)                                                                                                     \
    .rope_base = 1e6f, .epsilon = 1e-6f, .context = 40960, .head_size = 128, .rope_size = 128, .vocab = 151936,        \
    __VA_ARGS__
#define QWEN35(...)                                                                                                    \
    .rope_base = 1e7f, .epsilon = 1e-6f, .context = 262144, .head_size = 256, .rope_size = 64, .vocab = 248320,        \
    .pattern = "DDDA", .key_heads = 16, .state = 128, .taps = 4, __VA_ARGS__
#define LLAMA(...) .family = "llama", .epsilon = 1e-5f, __VA_ARGS__
#define MAMBA2(...)                                                                                                    \
    .family = "mamba2", .pattern = "M", .context = 1 << 20, .epsilon = 1e-5f, .taps = 4,                               \
    KEYS(NUMBER("feed_forward_length", 0)), __VA_ARGS__
#define NEMOTRON(...) .context = 1 << 20, .epsilon = 1e-5f, .taps = 4, __VA_ARGS__
#define FALCON_H1(...)                                                                                                 \
    .family = "falcon-h1", .pattern = "H", .rope_base = 1e11f, .epsilon = 1e-5f, .taps = 4, __VA_ARGS__
#define GRANITE_H(...)                                                                                                 \
    .family = "granitehybrid", .context = 1 << 20, .epsilon = 1e-5f, .rope_base = 1e4f, .taps = 4, __VA_ARGS__
#define LFM2(...) .context = 128000, .epsilon = 1e-5f, .rope_base = 1e6f, .conv_taps = 3, __VA_ARGS__
#define DEEPSEEK(...)                                                                                                  \
    .family = "deepseek2", .pattern = "L", .epsilon = 1e-6f, .rope_base = 1e4f, .kv_heads = 1, __VA_ARGS__
#define HEADS(q, kv) .heads = (q), .kv_heads = (kv)
#define HEAD_SIZE(n) .head_size = (n), .rope_size = (n)
#define SIZES(l, h, f) .layers = (l), .hidden = (h), .ffn = (f)
#define MOE(n, u, f, s) .experts = (n), .used = (u), .expert_ffn = (f), .shared_ffn = (s)
#define SSM(h, size, g, s) .ssm_heads = (h), .ssm_size = (size), .ssm_groups = (g), .ssm_state = (s)
#define LATENT(q, r, nope, rope, v)                                                                                    \
    .q_rank = (q), .rank = (r), .nope_size = (nope), .rope_size = (rope), .value_size = (v)

#define KEYS(...)                                                                                                      \
    .keys = (const struct xn_shape_key[]) {                                                                            \
        __VA_ARGS__, {                                                                                                 \
            0                                                                                                          \
        }                                                                                                              \
    }
#define NUMBER(key, value)                                                                                             \
    { key, XN_SHAPE_NUMBER, value, NULL }
#define REAL(key, value)                                                                                               \
    { key, XN_SHAPE_REAL, value, NULL }
#define FLAG(key, value)                                                                                               \
    { key, XN_SHAPE_FLAG, value, NULL }
#define TEXT(key, value)                                                                                               \
    { key, XN_SHAPE_TEXT, 0, value }
#define YARN(factor, original, ...)                                                                                    \
    TEXT("rope.scaling.type", "yarn"), REAL("rope.scaling.factor", factor),                                            \
        NUMBER("rope.scaling.original_context_length", original)
#define GRANITE_KEYS(attention, logit)                                                                                 \
    REAL("attention.scale", attention), REAL("embedding_scale", 12), REAL("residual_scale", 0.22),                     \
        REAL("logit_scale", logit)
// A window of 0 tells Phi-4 from its elders.
#define PHI_KEYS(context)                                                                                              \
    KEYS(NUMBER("rope.scaling.original_context_length", context), NUMBER("attention.sliding_window", 0))
#define LINEAR_KEYS KEYS(TEXT("rope.scaling.type", "linear"), REAL("rope.scaling.factor", 8))
#define GROUP_KEYS(groups, used) NUMBER("expert_group_count", groups), NUMBER("expert_group_used_count", used)
#define SCORE_KEYS(function, scale, normalize)                                                                         \
    NUMBER("expert_gating_func", function), REAL("expert_weights_scale", scale), FLAG("expert_weights_norm", normalize)
#define NO_ROPE FLAG("rope.scaling.finetuned", 0)
#define NEMOTRON_KEYS NO_ROPE, REAL("attention.layer_norm_epsilon", 1e-5)
#define GPT_OSS_KEYS YARN(32, 4096), REAL("rope.scaling.yarn_beta_fast", 32), REAL("rope.scaling.yarn_beta_slow", 1)

enum {
    QWEN2_FLAGS = XN_SHAPE_QKV_BIAS,
    QWEN2_MOE_FLAGS = XN_SHAPE_QKV_BIAS | XN_SHAPE_SHARED_GATE,
    QWEN3_FLAGS = XN_SHAPE_QK_NORM,
    QWEN3_NEXT_FLAGS =
        XN_SHAPE_QK_NORM | XN_SHAPE_GATED | XN_SHAPE_POST_NAMED | XN_SHAPE_SHARED_GATE | XN_SHAPE_FUSED_BA,
    QWEN35_FLAGS = XN_SHAPE_QK_NORM | XN_SHAPE_GATED | XN_SHAPE_POST_NAMED | XN_SHAPE_SHARED_GATE | XN_SHAPE_SECTIONS,
    GEMMA2_FLAGS = XN_SHAPE_TIED | XN_SHAPE_POST_NORMS,
    GEMMA3_FLAGS = XN_SHAPE_TIED | XN_SHAPE_QK_NORM | XN_SHAPE_POST_NORMS,
    GEMMA4_FLAGS = GEMMA3_FLAGS | XN_SHAPE_GEMMA4,
    PHI3_FLAGS = XN_SHAPE_FUSED_QKV | XN_SHAPE_FUSED_UP,
    GLM4_FLAGS = XN_SHAPE_QKV_BIAS | XN_SHAPE_FUSED_UP | XN_SHAPE_POST_NORMS,
    GLM4_MOE_FLAGS = XN_SHAPE_QKV_BIAS | XN_SHAPE_POST_NAMED | XN_SHAPE_PROBS_BIAS,
    OLMO2_FLAGS = XN_SHAPE_NO_PRE_NORM | XN_SHAPE_POST_NORMS | XN_SHAPE_QK_NORM | XN_SHAPE_NORM_WHOLE,
    SEED_FLAGS = XN_SHAPE_QKV_BIAS | XN_SHAPE_POST_NAMED,
    GPT_OSS_FLAGS = XN_SHAPE_QKV_BIAS | XN_SHAPE_OUT_BIAS | XN_SHAPE_SINKS | XN_SHAPE_POST_NAMED | XN_SHAPE_MOE_BIAS,
    MAMBA2_FLAGS = XN_SHAPE_TIED | XN_SHAPE_ALONE | XN_SHAPE_SSM_NORM,
    NEMOTRON_FLAGS = XN_SHAPE_ALONE | XN_SHAPE_SSM_NORM | XN_SHAPE_UNGATED | XN_SHAPE_KV_ARRAY | XN_SHAPE_FFN_ARRAY,
    NEMOTRON_MOE_FLAGS = NEMOTRON_FLAGS | XN_SHAPE_PROBS_BIAS,
    GRANITE_H_FLAGS = XN_SHAPE_TIED | XN_SHAPE_SSM_NORM | XN_SHAPE_KV_ARRAY,
    LFM2_FLAGS = XN_SHAPE_TIED | XN_SHAPE_QK_NORM | XN_SHAPE_EMBED_NORM | XN_SHAPE_KV_ARRAY,
    LFM2_MOE_FLAGS = LFM2_FLAGS | XN_SHAPE_PROBS_BIAS,
};

#define TINY .vocab = 1024, .context = 4096

// clang-format off
static const struct xn_shape shapes[] = {
    {"qwen2.5-0.5b", "Qwen2.5 0.5B", QWEN2(.flags = QWEN2_FLAGS | XN_SHAPE_TIED, SIZES(24, 896, 4864), HEADS(14, 2), HEAD_SIZE(64), .vocab = 151936)},
    {"qwen2.5-1.5b", "Qwen2.5 1.5B", QWEN2(.flags = QWEN2_FLAGS | XN_SHAPE_TIED, SIZES(28, 1536, 8960), HEADS(12, 2), HEAD_SIZE(128), .vocab = 151936)},
    {"qwen2.5-3b", "Qwen2.5 3B", QWEN2(.flags = QWEN2_FLAGS | XN_SHAPE_TIED, SIZES(36, 2048, 11008), HEADS(16, 2), HEAD_SIZE(128), .vocab = 151936)},
    {"qwen2.5-7b", "Qwen2.5 7B", QWEN2(.flags = QWEN2_FLAGS, SIZES(28, 3584, 18944), HEADS(28, 4), HEAD_SIZE(128), .vocab = 152064)},
    {"qwen2.5-14b", "Qwen2.5 14B", QWEN2(.flags = QWEN2_FLAGS, SIZES(48, 5120, 13824), HEADS(40, 8), HEAD_SIZE(128), .vocab = 152064)},
    {"qwen2.5-32b", "Qwen2.5 32B", QWEN2(.flags = QWEN2_FLAGS, SIZES(64, 5120, 27648), HEADS(40, 8), HEAD_SIZE(128), .vocab = 152064)},
    {"qwen3-0.6b", "Qwen3 0.6B", QWEN3(.family = "qwen3", .flags = QWEN3_FLAGS | XN_SHAPE_TIED, SIZES(28, 1024, 3072), HEADS(16, 8))},
    {"qwen3-1.7b", "Qwen3 1.7B", QWEN3(.family = "qwen3", .flags = QWEN3_FLAGS | XN_SHAPE_TIED, SIZES(28, 2048, 6144), HEADS(16, 8))},
    {"qwen3-4b", "Qwen3 4B", QWEN3(.family = "qwen3", .flags = QWEN3_FLAGS | XN_SHAPE_TIED, SIZES(36, 2560, 9728), HEADS(32, 8))},
    {"qwen3-8b", "Qwen3 8B", QWEN3(.family = "qwen3", .flags = QWEN3_FLAGS, SIZES(36, 4096, 12288), HEADS(32, 8))},
    {"qwen3-14b", "Qwen3 14B", QWEN3(.family = "qwen3", .flags = QWEN3_FLAGS, SIZES(40, 5120, 17408), HEADS(40, 8))},
    {"qwen3-32b", "Qwen3 32B", QWEN3(.family = "qwen3", .flags = QWEN3_FLAGS, SIZES(64, 5120, 25600), HEADS(64, 8))},
    {"qwen3-30b-a3b", "Qwen3 30B A3B", QWEN3(.family = "qwen3moe", .flags = QWEN3_FLAGS, SIZES(48, 2048, 6144), HEADS(32, 4), MOE(128, 8, 768, 0))},
    {"qwen3.5-0.8b", "Qwen3.5 0.8B", QWEN35(.family = "qwen35", .flags = QWEN35_FLAGS | XN_SHAPE_TIED, SIZES(24, 1024, 3584), HEADS(8, 2), .value_heads = 16)},
    {"qwen3.5-2b", "Qwen3.5 2B", QWEN35(.family = "qwen35", .flags = QWEN35_FLAGS | XN_SHAPE_TIED, SIZES(24, 2048, 6144), HEADS(8, 2), .value_heads = 16)},
    {"qwen3.5-4b", "Qwen3.5 4B", QWEN35(.family = "qwen35", .flags = QWEN35_FLAGS | XN_SHAPE_TIED, SIZES(32, 2560, 9216), HEADS(16, 4), .value_heads = 32)},
    {"qwen3.5-9b", "Qwen3.5 9B", QWEN35(.family = "qwen35", .flags = QWEN35_FLAGS, SIZES(32, 4096, 12288), HEADS(16, 4), .value_heads = 32)},
    {"qwen3.5-27b", "Qwen3.5 27B", QWEN35(.family = "qwen35", .flags = QWEN35_FLAGS, SIZES(64, 5120, 17408), HEADS(24, 4), .value_heads = 48)},
    {"qwen3.5-35b-a3b", "Qwen3.5 35B A3B", QWEN35(.family = "qwen35moe", .flags = QWEN35_FLAGS, SIZES(40, 2048, 0), HEADS(16, 2), .value_heads = 32, MOE(256, 8, 512, 512))},
    {"qwen3.5-122b-a10b", "Qwen3.5 122B A10B", QWEN35(.family = "qwen35moe", .flags = QWEN35_FLAGS, SIZES(48, 3072, 0), HEADS(32, 2), .value_heads = 64, MOE(256, 8, 1024, 1024))},
    {"llama-3.1-8b", "Llama 3.1 8B", LLAMA(.flags = 0, SIZES(32, 4096, 14336), HEADS(32, 8), HEAD_SIZE(128), .vocab = 128256, .context = 131072, .rope_base = 5e5f, .rope_factor = 8)},
    {"llama-3.2-1b", "Llama 3.2 1B", LLAMA(.flags = XN_SHAPE_TIED, SIZES(16, 2048, 8192), HEADS(32, 8), HEAD_SIZE(64), .vocab = 128256, .context = 131072, .rope_base = 5e5f, .rope_factor = 32)},
    {"llama-3.2-3b", "Llama 3.2 3B", LLAMA(.flags = XN_SHAPE_TIED, SIZES(28, 3072, 8192), HEADS(24, 8), HEAD_SIZE(128), .vocab = 128256, .context = 131072, .rope_base = 5e5f, .rope_factor = 32)},
    {"mistral-7b", "Mistral 7B v0.3", LLAMA(.flags = 0, SIZES(32, 4096, 14336), HEADS(32, 8), HEAD_SIZE(128), .vocab = 32768, .context = 32768, .rope_base = 1e6f)},
    {"tinyllama", "TinyLlama 1.1B", LLAMA(.flags = 0, SIZES(22, 2048, 5632), HEADS(32, 4), HEAD_SIZE(64), .vocab = 32000, .context = 2048, .rope_base = 1e4f)},
    {"gemma-3-4b", "Gemma 3 4B", .family = "gemma3", .flags = GEMMA3_FLAGS, SIZES(34, 2560, 10240), HEADS(8, 4), HEAD_SIZE(256), .vocab = 262208, .context = 131072, .rope_base = 1e6f, .epsilon = 1e-6f, .window = 1024, .local_base = 1e4f, LINEAR_KEYS},
    {"phi-4", "Phi 4", .family = "phi3", .flags = PHI3_FLAGS, SIZES(40, 5120, 17920), HEADS(40, 10), HEAD_SIZE(128), .vocab = 100352, .context = 16384, .rope_base = 2.5e5f, .epsilon = 1e-5f, PHI_KEYS(16384)},
    {"qwen1.5-moe-a2.7b", "Qwen1.5 MoE A2.7B", .family = "qwen2moe", .flags = QWEN2_MOE_FLAGS, SIZES(24, 2048, 5632), HEADS(16, 16), HEAD_SIZE(128), .vocab = 151936, .context = 8192, .rope_base = 1e6f, .epsilon = 1e-6f, MOE(60, 4, 1408, 5632)},
    {"qwen3-next-80b-a3b", "Qwen3 Next 80B A3B", .family = "qwen3next", .flags = QWEN3_NEXT_FLAGS, .pattern = "DDDA", SIZES(48, 2048, 5120), HEADS(16, 2), .head_size = 256, .rope_size = 64, .vocab = 151936, .context = 262144, .rope_base = 1e7f, .epsilon = 1e-6f, .key_heads = 16, .value_heads = 32, .state = 128, .taps = 4, MOE(512, 10, 512, 512)},
    {"mixtral-8x7b", "Mixtral 8x7B v0.1", LLAMA(.flags = 0, SIZES(32, 4096, 14336), HEADS(32, 8), HEAD_SIZE(128), .vocab = 32000, .context = 32768, .rope_base = 1e6f, MOE(8, 2, 14336, 0))},
    {"gemma-2-2b", "Gemma 2 2B", .family = "gemma2", .flags = GEMMA2_FLAGS, SIZES(26, 2304, 9216), HEADS(8, 4), HEAD_SIZE(256), .vocab = 256000, .context = 8192, .rope_base = 1e4f, .epsilon = 1e-6f, .window = 4096, KEYS(REAL("attn_logit_softcapping", 50), REAL("final_logit_softcapping", 30))},
    {"glm-4-9b", "GLM 4 9B 0414", .family = "glm4", .flags = GLM4_FLAGS, SIZES(40, 4096, 13696), HEADS(32, 2), .head_size = 128, .rope_size = 64, .vocab = 151552, .context = 32768, .rope_base = 1e4f, .epsilon = 1e-5f},
    {"glm-4.5-air", "GLM 4.5 Air", .family = "glm4moe", .flags = GLM4_MOE_FLAGS, SIZES(46, 4096, 10944), HEADS(96, 8), .head_size = 128, .rope_size = 64, .vocab = 151552, .context = 131072, .rope_base = 1e6f, .epsilon = 1e-5f, MOE(128, 8, 1408, 1408), .shared_count = 1, .dense_layers = 1, KEYS(GROUP_KEYS(1, 1), SCORE_KEYS(2, 1, 1))},
    {"granite-3.3-2b", "Granite 3.3 2B", .family = "granite", .flags = XN_SHAPE_TIED, SIZES(40, 2048, 8192), HEADS(32, 8), HEAD_SIZE(64), .vocab = 49159, .context = 131072, .rope_base = 1e7f, .epsilon = 1e-5f, KEYS(GRANITE_KEYS(0.015625, 8))},
    {"granite-4.0-h-micro", "Granite 4.0 H Micro", GRANITE_H(.flags = GRANITE_H_FLAGS, .pattern = "MMMMMAMMMM", SIZES(40, 2048, 8192), HEADS(32, 8), HEAD_SIZE(64), .vocab = 100352, SSM(64, 64, 1, 128), KEYS(NO_ROPE, GRANITE_KEYS(0.015625, 8)))},
    {"granite-4.0-h-tiny", "Granite 4.0 H Tiny", GRANITE_H(.flags = GRANITE_H_FLAGS, .pattern = "MMMMMAMMMM", SIZES(40, 1536, 512), HEADS(12, 4), HEAD_SIZE(128), .vocab = 100352, SSM(48, 64, 1, 128), MOE(64, 6, 512, 1024), KEYS(NO_ROPE, GRANITE_KEYS(0.0078125, 6)))},
    {"olmo-2-7b", "OLMo 2 7B 1124", .family = "olmo2", .flags = OLMO2_FLAGS, SIZES(32, 4096, 11008), HEADS(32, 32), HEAD_SIZE(128), .vocab = 100352, .context = 4096, .rope_base = 5e5f, .epsilon = 1e-6f},
    {"seed-oss-36b", "Seed OSS 36B", .family = "seed_oss", .flags = SEED_FLAGS, SIZES(64, 5120, 27648), HEADS(80, 8), HEAD_SIZE(128), .vocab = 155136, .context = 524288, .rope_base = 1e7f, .epsilon = 1e-6f},
    {"smollm3-3b", "SmolLM3 3B", .family = "smollm3", .flags = XN_SHAPE_TIED, SIZES(36, 2048, 11008), HEADS(16, 4), HEAD_SIZE(128), .vocab = 128256, .context = 65536, .rope_base = 5e6f, .epsilon = 1e-6f},
    {"gpt-oss-20b", "GPT OSS 20B", .family = "gpt-oss", .flags = GPT_OSS_FLAGS, SIZES(24, 2880, 2880), HEADS(64, 8), HEAD_SIZE(64), .vocab = 201088, .context = 131072, .rope_base = 1.5e5f, .epsilon = 1e-5f, .window = 128, MOE(32, 4, 2880, 0), KEYS(GPT_OSS_KEYS)},
    {"deepseek-v2-lite", "DeepSeek V2 Lite", DEEPSEEK(.flags = 0, SIZES(27, 2048, 10944), .heads = 16, LATENT(0, 512, 128, 64, 128), .vocab = 102400, .context = 163840, MOE(64, 6, 1408, 2816), .shared_count = 2, .dense_layers = 1, KEYS(YARN(40, 4096), REAL("rope.scaling.yarn_log_multiplier", 0.0707), SCORE_KEYS(1, 1, 0)))},
    {"deepseek-v3", "DeepSeek V3", DEEPSEEK(.flags = XN_SHAPE_PROBS_BIAS, SIZES(61, 7168, 18432), .heads = 128, LATENT(1536, 512, 128, 64, 128), .vocab = 129280, .context = 163840, MOE(256, 8, 2048, 2048), .shared_count = 1, .dense_layers = 3, KEYS(YARN(40, 4096), REAL("rope.scaling.yarn_log_multiplier", 0.1), GROUP_KEYS(8, 4), SCORE_KEYS(2, 2.5, 1)))},
    {"mamba2-1.3b", "Mamba 2 1.3B", MAMBA2(.flags = MAMBA2_FLAGS, SIZES(48, 2048, 0), .vocab = 50288, SSM(64, 64, 1, 128))},
    {"nemotron-h-8b", "Nemotron H 8B", NEMOTRON(.family = "nemotron_h", .flags = NEMOTRON_FLAGS, .pattern = "MFMFMFMAFMFMFMFMFMAFMFMFMFMFMAFMFMFMFMFMAFMFMFMFMFMF", SIZES(52, 4096, 21504), HEADS(32, 8), HEAD_SIZE(128), .vocab = 131072, SSM(128, 64, 8, 128), KEYS(NEMOTRON_KEYS))},
    {"nemotron-3-nano-30b-a3b", "Nemotron 3 Nano 30B A3B", NEMOTRON(.family = "nemotron_h_moe", .flags = NEMOTRON_MOE_FLAGS, .pattern = "MEMEMAEMEMEMAEMEMEMAEMEMEMAEMEMEMAEMEMEMEMAEMEMEMEME", SIZES(52, 2688, 1856), HEADS(32, 2), HEAD_SIZE(128), .vocab = 131072, SSM(64, 64, 8, 128), MOE(128, 6, 1856, 3712), .shared_count = 1, KEYS(NEMOTRON_KEYS, NUMBER("expert_shared_feed_forward_length", 3712), GROUP_KEYS(1, 1), SCORE_KEYS(2, 2.5, 1)))},
    {"falcon-h1-0.5b", "Falcon H1 0.5B", FALCON_H1(.flags = XN_SHAPE_FFN_BARE, SIZES(36, 1024, 2048), HEADS(8, 2), HEAD_SIZE(64), .vocab = 32784, .context = 16384, SSM(24, 64, 1, 128))},
    {"falcon-h1-7b", "Falcon H1 7B", FALCON_H1(.flags = XN_SHAPE_FFN_BARE, SIZES(44, 3072, 12288), HEADS(12, 2), HEAD_SIZE(128), .vocab = 130049, .context = 262144, SSM(24, 128, 1, 256))},
    {"lfm2-1.2b", "LFM2 1.2B", LFM2(.family = "lfm2", .flags = LFM2_FLAGS, .pattern = "CCACCACCACACACAC", SIZES(16, 2048, 8192), HEADS(32, 8), .head_size = 64, .vocab = 65536)},
    {"lfm2-8b-a1b", "LFM2 8B A1B", LFM2(.family = "lfm2moe", .flags = LFM2_MOE_FLAGS, .pattern = "CCACCCACCCACCCACCCACCACC", SIZES(24, 2048, 7168), HEADS(32, 8), .head_size = 64, .vocab = 65536, MOE(32, 4, 1792, 0), .dense_layers = 2, KEYS(NUMBER("expert_gating_func", 2)))},
    // For tests: one small model of each kind, whose rows are multiples of 256 where the families above have such.
    {"tiny-qwen2", "Tiny Qwen2", QWEN2(.flags = QWEN2_FLAGS | XN_SHAPE_TIED | XN_SHAPE_HIDDEN, SIZES(2, 224, 608), HEADS(7, 1), HEAD_SIZE(32), .vocab = 1024)},
    {"tiny-qwen3", "Tiny Qwen3", .family = "qwen3", .flags = QWEN3_FLAGS | XN_SHAPE_HIDDEN, SIZES(8, 256, 512), HEADS(8, 2), HEAD_SIZE(32), .vocab = 1024, .context = 4096, .rope_base = 1e6f, .epsilon = 1e-6f},
    {"tiny-qwen3-moe", "Tiny Qwen3 MoE", .family = "qwen3moe", .flags = QWEN3_FLAGS | XN_SHAPE_HIDDEN, SIZES(8, 256, 512), HEADS(8, 2), HEAD_SIZE(32), .vocab = 1024, .context = 4096, .rope_base = 1e6f, .epsilon = 1e-6f, MOE(8, 2, 256, 0)},
    {"tiny-qwen3.5", "Tiny Qwen3.5", .family = "qwen35", .flags = QWEN35_FLAGS | XN_SHAPE_TIED | XN_SHAPE_HIDDEN, SIZES(8, 256, 512), HEADS(4, 2), .head_size = 64, .rope_size = 16, .vocab = 1024, .context = 4096, .rope_base = 1e7f, .epsilon = 1e-6f, .pattern = "DDDA", .key_heads = 4, .value_heads = 8, .state = 32, .taps = 4},
    {"tiny-qwen3.5-moe", "Tiny Qwen3.5 MoE", .family = "qwen35moe", .flags = QWEN35_FLAGS | XN_SHAPE_HIDDEN, SIZES(4, 256, 0), HEADS(4, 2), .head_size = 64, .rope_size = 16, .vocab = 1024, .context = 4096, .rope_base = 1e7f, .epsilon = 1e-6f, .pattern = "DDDA", .key_heads = 4, .value_heads = 8, .state = 32, .taps = 4, MOE(16, 4, 256, 256)},
    {"tiny-llama", "Tiny Llama", LLAMA(.flags = XN_SHAPE_HIDDEN, SIZES(8, 256, 768), HEADS(8, 2), HEAD_SIZE(32), .vocab = 1024, .context = 8192, .rope_base = 5e5f, .rope_factor = 8)},
    {"tiny-gemma3", "Tiny Gemma 3", .family = "gemma3", .flags = GEMMA3_FLAGS | XN_SHAPE_HIDDEN, SIZES(8, 256, 512), HEADS(4, 2), HEAD_SIZE(64), .vocab = 1024, .context = 4096, .rope_base = 1e6f, .epsilon = 1e-6f, .window = 64, .local_base = 1e4f, LINEAR_KEYS},
    {"tiny-phi3", "Tiny Phi 3", .family = "phi3", .flags = PHI3_FLAGS | XN_SHAPE_HIDDEN, SIZES(4, 256, 512), HEADS(8, 2), HEAD_SIZE(32), .vocab = 1024, .context = 4096, .rope_base = 1e4f, .epsilon = 1e-5f, PHI_KEYS(4096)},
    {"tiny-qwen2-moe", "Tiny Qwen2 MoE", .family = "qwen2moe", .flags = QWEN2_MOE_FLAGS | XN_SHAPE_HIDDEN, SIZES(4, 256, 512), HEADS(8, 4), HEAD_SIZE(32), TINY, .rope_base = 1e6f, .epsilon = 1e-6f, MOE(12, 4, 128, 256)},
    {"tiny-qwen3-next", "Tiny Qwen3 Next", .family = "qwen3next", .flags = QWEN3_NEXT_FLAGS | XN_SHAPE_HIDDEN, .pattern = "DDDA", SIZES(4, 256, 512), HEADS(4, 2), .head_size = 64, .rope_size = 16, TINY, .rope_base = 1e7f, .epsilon = 1e-6f, .key_heads = 4, .value_heads = 8, .state = 32, .taps = 4, MOE(16, 4, 256, 256)},
    {"tiny-mixtral", "Tiny Mixtral", LLAMA(.flags = XN_SHAPE_HIDDEN, SIZES(4, 256, 256), HEADS(8, 2), HEAD_SIZE(32), TINY, .rope_base = 1e6f, MOE(8, 2, 256, 0))},
    {"tiny-gemma2", "Tiny Gemma 2", .family = "gemma2", .flags = GEMMA2_FLAGS | XN_SHAPE_HIDDEN, SIZES(4, 256, 512), HEADS(4, 2), HEAD_SIZE(64), TINY, .rope_base = 1e4f, .epsilon = 1e-6f, .window = 16, KEYS(REAL("attn_logit_softcapping", 50), REAL("final_logit_softcapping", 30))},
    {"tiny-gemma4", "Tiny Gemma 4", .family = "gemma4", .flags = GEMMA4_FLAGS | XN_SHAPE_HIDDEN, .pattern = "SSSA", SIZES(8, 256, 512), HEADS(4, 2), HEAD_SIZE(64), .local_head_size = 32, .shared_layers = 4, .input_size = 32, TINY, .rope_base = 1e6f, .local_base = 1e4f, .epsilon = 1e-6f, .window = 16, KEYS(REAL("final_logit_softcapping", 30))},
    {"tiny-gemma4-moe", "Tiny Gemma 4 MoE", .family = "gemma4", .flags = GEMMA4_FLAGS | XN_SHAPE_HIDDEN, .pattern = "SA", SIZES(4, 256, 512), HEADS(4, 2), HEAD_SIZE(64), .local_head_size = 32, TINY, .rope_base = 1e6f, .local_base = 1e4f, .epsilon = 1e-6f, .window = 16, MOE(8, 2, 128, 0), KEYS(REAL("final_logit_softcapping", 30))},
    {"tiny-glm4", "Tiny GLM 4", .family = "glm4", .flags = GLM4_FLAGS | XN_SHAPE_HIDDEN, SIZES(4, 256, 512), HEADS(8, 2), .head_size = 32, .rope_size = 16, TINY, .rope_base = 1e4f, .epsilon = 1e-5f},
    {"tiny-glm4-moe", "Tiny GLM 4 MoE", .family = "glm4moe", .flags = GLM4_MOE_FLAGS | XN_SHAPE_HIDDEN, SIZES(3, 256, 512), HEADS(8, 2), .head_size = 32, .rope_size = 16, TINY, .rope_base = 1e6f, .epsilon = 1e-5f, MOE(8, 2, 128, 128), .shared_count = 1, .dense_layers = 1, KEYS(GROUP_KEYS(1, 1), SCORE_KEYS(2, 1.5, 1))},
    {"tiny-granite", "Tiny Granite", .family = "granite", .flags = XN_SHAPE_TIED | XN_SHAPE_HIDDEN, SIZES(4, 256, 512), HEADS(8, 2), HEAD_SIZE(32), TINY, .rope_base = 1e7f, .epsilon = 1e-5f, KEYS(GRANITE_KEYS(0.03, 8))},
    {"tiny-granite-moe", "Tiny Granite MoE", .family = "granitemoe", .flags = XN_SHAPE_TIED | XN_SHAPE_HIDDEN, SIZES(4, 256, 128), HEADS(8, 2), HEAD_SIZE(32), TINY, .rope_base = 1e4f, .epsilon = 1e-5f, MOE(16, 4, 128, 0), KEYS(GRANITE_KEYS(0.03, 6))},
    {"tiny-granite-hybrid", "Tiny Granite Hybrid", GRANITE_H(.flags = GRANITE_H_FLAGS | XN_SHAPE_HIDDEN, .pattern = "MMAM", SIZES(4, 256, 512), HEADS(8, 2), HEAD_SIZE(32), .vocab = 1024, SSM(8, 64, 1, 32), KEYS(NO_ROPE, GRANITE_KEYS(0.03, 8)))},
    {"tiny-granite-hybrid-moe", "Tiny Granite Hybrid MoE", GRANITE_H(.flags = GRANITE_H_FLAGS | XN_SHAPE_HIDDEN, .pattern = "MMAM", SIZES(4, 256, 128), HEADS(8, 2), HEAD_SIZE(32), .vocab = 1024, SSM(8, 64, 1, 32), MOE(16, 4, 128, 256), KEYS(NO_ROPE, GRANITE_KEYS(0.03, 6)))},
    {"tiny-ministral3", "Tiny Ministral 3", .family = "mistral3", .flags = XN_SHAPE_HIDDEN, SIZES(4, 256, 512), HEADS(8, 2), HEAD_SIZE(32), TINY, .rope_base = 1e6f, .epsilon = 1e-5f, KEYS(YARN(16, 256), REAL("rope.scaling.yarn_beta_fast", 32), REAL("rope.scaling.yarn_beta_slow", 1), REAL("rope.scaling.yarn_log_multiplier", 1), REAL("attention.temperature_scale", 0.1))},
    {"tiny-olmo2", "Tiny OLMo 2", .family = "olmo2", .flags = OLMO2_FLAGS | XN_SHAPE_HIDDEN, SIZES(4, 256, 512), HEADS(8, 2), HEAD_SIZE(32), TINY, .rope_base = 5e5f, .epsilon = 1e-6f},
    {"tiny-seed-oss", "Tiny Seed OSS", .family = "seed_oss", .flags = SEED_FLAGS | XN_SHAPE_HIDDEN, SIZES(4, 256, 512), HEADS(8, 2), HEAD_SIZE(32), TINY, .rope_base = 1e7f, .epsilon = 1e-6f},
    {"tiny-smollm3", "Tiny SmolLM3", .family = "smollm3", .flags = XN_SHAPE_TIED | XN_SHAPE_HIDDEN, SIZES(8, 256, 512), HEADS(8, 2), HEAD_SIZE(32), TINY, .rope_base = 5e6f, .epsilon = 1e-6f},
    {"tiny-gpt-oss", "Tiny GPT OSS", .family = "gpt-oss", .flags = GPT_OSS_FLAGS | XN_SHAPE_HIDDEN, SIZES(4, 256, 128), HEADS(8, 2), HEAD_SIZE(32), TINY, .rope_base = 1.5e5f, .epsilon = 1e-5f, .window = 16, MOE(8, 2, 128, 0), KEYS(GPT_OSS_KEYS)},
    {"tiny-deepseek-v2", "Tiny DeepSeek V2", DEEPSEEK(.flags = XN_SHAPE_HIDDEN, SIZES(3, 256, 512), .heads = 8, LATENT(0, 64, 32, 16, 32), TINY, MOE(8, 2, 128, 256), .shared_count = 2, .dense_layers = 1, KEYS(YARN(40, 4096), REAL("rope.scaling.yarn_log_multiplier", 0.0707), SCORE_KEYS(1, 1, 0)))},
    {"tiny-deepseek-v3", "Tiny DeepSeek V3", DEEPSEEK(.flags = XN_SHAPE_PROBS_BIAS | XN_SHAPE_HIDDEN, SIZES(3, 256, 512), .heads = 8, LATENT(96, 64, 32, 16, 32), TINY, MOE(8, 2, 128, 128), .shared_count = 1, .dense_layers = 1, KEYS(GROUP_KEYS(2, 1), SCORE_KEYS(2, 2.5, 1)))},
    {"tiny-mamba2", "Tiny Mamba 2", MAMBA2(SIZES(4, 256, 0), .vocab = 1024, SSM(8, 64, 2, 32), .flags = MAMBA2_FLAGS | XN_SHAPE_HIDDEN)},
    {"tiny-nemotron-h", "Tiny Nemotron H", NEMOTRON(.family = "nemotron_h", .flags = NEMOTRON_FLAGS | XN_SHAPE_HIDDEN, .pattern = "MFMAF", SIZES(5, 256, 512), HEADS(8, 2), HEAD_SIZE(32), .vocab = 1024, SSM(8, 64, 2, 32), KEYS(NEMOTRON_KEYS))},
    {"tiny-nemotron-h-moe", "Tiny Nemotron H MoE", NEMOTRON(.family = "nemotron_h_moe", .flags = NEMOTRON_MOE_FLAGS | XN_SHAPE_HIDDEN, .pattern = "MEMAE", SIZES(5, 256, 128), HEADS(8, 2), HEAD_SIZE(32), .vocab = 1024, SSM(8, 64, 2, 32), MOE(8, 2, 128, 256), .shared_count = 1, KEYS(NEMOTRON_KEYS, NUMBER("expert_shared_feed_forward_length", 256), GROUP_KEYS(1, 1), SCORE_KEYS(2, 2.5, 1)))},
    {"tiny-nemotron-h-latent", "Tiny Nemotron H Latent MoE", NEMOTRON(.family = "nemotron_h_moe", .flags = NEMOTRON_MOE_FLAGS | XN_SHAPE_HIDDEN, .pattern = "MEAE", SIZES(4, 256, 128), HEADS(8, 2), HEAD_SIZE(32), .vocab = 1024, SSM(8, 64, 2, 32), MOE(8, 2, 128, 256), .shared_count = 1, .expert_hidden = 128, KEYS(NEMOTRON_KEYS, NUMBER("expert_shared_feed_forward_length", 256), GROUP_KEYS(1, 1), SCORE_KEYS(2, 2.5, 1)))},
    {"tiny-falcon-h1", "Tiny Falcon H1", FALCON_H1(SIZES(3, 256, 512), HEADS(8, 2), HEAD_SIZE(32), .vocab = 1024, .context = 4096, SSM(8, 64, 1, 32), .flags = XN_SHAPE_FFN_BARE | XN_SHAPE_HIDDEN)},
    {"tiny-lfm2", "Tiny LFM2", LFM2(.family = "lfm2", .flags = LFM2_FLAGS | XN_SHAPE_HIDDEN, .pattern = "CCAC", SIZES(4, 256, 512), HEADS(8, 2), .head_size = 32, .vocab = 1024)},
    {"tiny-lfm2-moe", "Tiny LFM2 MoE", LFM2(.family = "lfm2moe", .flags = LFM2_MOE_FLAGS | XN_SHAPE_HIDDEN, .pattern = "CCAC", SIZES(4, 256, 512), HEADS(8, 2), .head_size = 32, .vocab = 1024, MOE(8, 2, 128, 0), .dense_layers = 1, KEYS(NUMBER("expert_gating_func", 2)))},
};
// clang-format on

size_t xn_shape_count(void) {
    return sizeof shapes / sizeof *shapes;
}

const struct xn_shape *xn_shape_at(size_t i) {
    return i < xn_shape_count() ? &shapes[i] : NULL;
}

const struct xn_shape *xn_shape_find(const char *name) {
    for (size_t i = 0; i < xn_shape_count(); i++)
        if (strcasecmp(shapes[i].name, name) == 0) return &shapes[i];
    return NULL;
}

char xn_shape_layer(const struct xn_shape *shape, uint32_t layer) {
    const char *pattern = shape->pattern ? shape->pattern : "A";
    return pattern[layer % strlen(pattern)];
}

bool xn_shape_attends(char layer) {
    return layer == XN_SHAPE_ATTENTION || layer == XN_SHAPE_LOCAL || layer == XN_SHAPE_BOTH;
}

bool xn_shape_uses(const struct xn_shape *shape, char layer) {
    return strchr(shape->pattern ? shape->pattern : "A", layer) != NULL;
}

bool xn_shape_shares(const struct xn_shape *shape, uint32_t layer, uint32_t layers) {
    return layers == shape->layers && layer + shape->shared_layers >= layers;
}

bool xn_shape_has_experts(const struct xn_shape *shape, uint32_t layer) {
    char kind = xn_shape_layer(shape, layer);
    if (shape->flags & XN_SHAPE_ALONE) return kind == XN_SHAPE_EXPERTS;
    return shape->experts > 0 && layer >= shape->dense_layers;
}
