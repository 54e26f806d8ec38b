#include "model/shapes.h"

#include <strings.h>

// What all sizes of a family share.
#define QWEN2(...) .family = "qwen2", .rope_base = 1e6f, .epsilon = 1e-6f, .context = 32768, __VA_ARGS__
#define QWEN3(...)                                                                                                     \
    .rope_base = 1e6f, .epsilon = 1e-6f, .context = 40960, .head_size = 128, .rope_size = 128, .vocab = 151936,        \
    __VA_ARGS__
#define QWEN35(...)                                                                                                    \
    .rope_base = 1e7f, .epsilon = 1e-6f, .context = 262144, .head_size = 256, .rope_size = 64, .vocab = 248320,        \
    .interval = 4, .key_heads = 16, .state = 128, .taps = 4, __VA_ARGS__
#define LLAMA(...) .family = "llama", .epsilon = 1e-5f, __VA_ARGS__
#define HEADS(q, kv) .heads = (q), .kv_heads = (kv)
#define HEAD_SIZE(n) .head_size = (n), .rope_size = (n)
#define SIZES(l, h, f) .layers = (l), .hidden = (h), .ffn = (f)
#define MOE(n, u, f, s) .experts = (n), .used = (u), .expert_ffn = (f), .shared_ffn = (s)

enum {
    QWEN2_FLAGS = XN_SHAPE_QKV_BIAS,
    QWEN3_FLAGS = XN_SHAPE_QK_NORM,
    QWEN35_FLAGS = XN_SHAPE_QK_NORM | XN_SHAPE_HYBRID,
    GEMMA3_FLAGS = XN_SHAPE_TIED | XN_SHAPE_QK_NORM | XN_SHAPE_POST_NORMS,
};

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
    {"gemma-3-4b", "Gemma 3 4B", .family = "gemma3", .flags = GEMMA3_FLAGS, SIZES(34, 2560, 10240), HEADS(8, 4), HEAD_SIZE(256), .vocab = 262208, .context = 131072, .rope_base = 1e6f, .epsilon = 1e-6f, .window = 1024, .linear_factor = 8},
    {"phi-4", "Phi 4", .family = "phi3", .flags = XN_SHAPE_FUSED, SIZES(40, 5120, 17920), HEADS(40, 10), HEAD_SIZE(128), .vocab = 100352, .context = 16384, .rope_base = 2.5e5f, .epsilon = 1e-5f},
    // For tests: one small model of each kind, whose rows are multiples of 256 where the families above have such.
    {"tiny-qwen2", "Tiny Qwen2", QWEN2(.flags = QWEN2_FLAGS | XN_SHAPE_TIED | XN_SHAPE_HIDDEN, SIZES(2, 224, 608), HEADS(7, 1), HEAD_SIZE(32), .vocab = 1024)},
    {"tiny-qwen3", "Tiny Qwen3", .family = "qwen3", .flags = QWEN3_FLAGS | XN_SHAPE_HIDDEN, SIZES(8, 256, 512), HEADS(8, 2), HEAD_SIZE(32), .vocab = 1024, .context = 4096, .rope_base = 1e6f, .epsilon = 1e-6f},
    {"tiny-qwen3-moe", "Tiny Qwen3 MoE", .family = "qwen3moe", .flags = QWEN3_FLAGS | XN_SHAPE_HIDDEN, SIZES(8, 256, 512), HEADS(8, 2), HEAD_SIZE(32), .vocab = 1024, .context = 4096, .rope_base = 1e6f, .epsilon = 1e-6f, MOE(8, 2, 256, 0)},
    {"tiny-qwen3.5", "Tiny Qwen3.5", .family = "qwen35", .flags = QWEN35_FLAGS | XN_SHAPE_TIED | XN_SHAPE_HIDDEN, SIZES(8, 256, 512), HEADS(4, 2), .head_size = 64, .rope_size = 16, .vocab = 1024, .context = 4096, .rope_base = 1e7f, .epsilon = 1e-6f, .interval = 4, .key_heads = 4, .value_heads = 8, .state = 32, .taps = 4},
    {"tiny-qwen3.5-moe", "Tiny Qwen3.5 MoE", .family = "qwen35moe", .flags = QWEN35_FLAGS | XN_SHAPE_HIDDEN, SIZES(4, 256, 0), HEADS(4, 2), .head_size = 64, .rope_size = 16, .vocab = 1024, .context = 4096, .rope_base = 1e7f, .epsilon = 1e-6f, .interval = 4, .key_heads = 4, .value_heads = 8, .state = 32, .taps = 4, MOE(16, 4, 256, 256)},
    {"tiny-llama", "Tiny Llama", LLAMA(.flags = XN_SHAPE_HIDDEN, SIZES(8, 256, 768), HEADS(8, 2), HEAD_SIZE(32), .vocab = 1024, .context = 8192, .rope_base = 5e5f, .rope_factor = 8)},
    {"tiny-gemma3", "Tiny Gemma 3", .family = "gemma3", .flags = GEMMA3_FLAGS | XN_SHAPE_HIDDEN, SIZES(8, 256, 512), HEADS(4, 2), HEAD_SIZE(64), .vocab = 1024, .context = 4096, .rope_base = 1e6f, .epsilon = 1e-6f, .window = 64, .linear_factor = 8},
    {"tiny-phi3", "Tiny Phi 3", .family = "phi3", .flags = XN_SHAPE_FUSED | XN_SHAPE_HIDDEN, SIZES(4, 256, 512), HEADS(8, 2), HEAD_SIZE(32), .vocab = 1024, .context = 4096, .rope_base = 1e4f, .epsilon = 1e-5f},
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
