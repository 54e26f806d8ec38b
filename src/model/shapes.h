// Shapes: the sizes of published models, as data, for models of random weights (model/synth.h). Sources: the
// config.json files of the models' own repositories.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum xn_shape_flags {
    XN_SHAPE_TIED = 1 << 0,       // the embedding is the head
    XN_SHAPE_QKV_BIAS = 1 << 1,   // biases of q, k and v
    XN_SHAPE_QK_NORM = 1 << 2,    // norms of q and k heads
    XN_SHAPE_POST_NORMS = 1 << 3, // norms after mixer and feed-forward besides those before
    XN_SHAPE_FUSED = 1 << 4,      // q, k, v in one matrix; gate and up in one
    XN_SHAPE_HYBRID = 1 << 5,     // gated delta nets, and gated attention at every `interval`th layer
    XN_SHAPE_HIDDEN = 1 << 6,     // tiny, for tests; not listed
};

struct xn_shape {
    const char *name;   // "qwen3-4b"
    const char *title;  // general.name
    const char *family; // general.architecture
    uint32_t flags;
    uint32_t layers, hidden, heads, kv_heads, head_size, ffn, vocab, context;
    float rope_base, epsilon;
    uint32_t rope_size;                             // of a head's values, how many are rotated
    uint32_t experts, used, expert_ffn, shared_ffn; // 0: a dense model; shared_ffn 0: no shared expert
    // hybrids: delta-net key and value heads of `state` values each, taps of the convolution
    uint32_t interval, key_heads, value_heads, state, taps;
    uint32_t window;     // sliding window of the layers that have one; 0: none
    float rope_factor;   // of Llama 3's frequency scaling; 0: none
    float linear_factor; // of linear rope scaling; 0: none
};

size_t xn_shape_count(void); // the hidden ones too
const struct xn_shape *xn_shape_at(size_t i);
const struct xn_shape *xn_shape_find(const char *name); // ignoring case; NULL: unknown
