// Shapes: the sizes of published models, as data, for models of random weights (model/synth.h). Sources: the
// config.json files of the models' own repositories.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum xn_shape_flags {
    XN_SHAPE_TIED = 1 << 0,         // the embedding is the head
    XN_SHAPE_QKV_BIAS = 1 << 1,     // biases of q, k and v
    XN_SHAPE_OUT_BIAS = 1 << 2,     // of attention's output product
    XN_SHAPE_QK_NORM = 1 << 3,      // norms of q and k heads
    XN_SHAPE_NORM_WHOLE = 1 << 4,   // those norms over all heads together
    XN_SHAPE_SINKS = 1 << 5,        // one logit a head
    XN_SHAPE_GATED = 1 << 6,        // a gate behind each head's query
    XN_SHAPE_FUSED_QKV = 1 << 7,    // q, k, v in one matrix
    XN_SHAPE_FUSED_UP = 1 << 8,     // gate and up in one matrix
    XN_SHAPE_UNGATED = 1 << 9,      // feed-forwards and experts have no gate
    XN_SHAPE_NO_PRE_NORM = 1 << 10, // no norms before mixer and feed-forward
    XN_SHAPE_POST_NORMS = 1 << 11,  // norms after mixer and feed-forward
    XN_SHAPE_POST_NAMED = 1 << 12,  // the norm before the feed-forward goes by the name post_attention_norm
    XN_SHAPE_FFN_BARE = 1 << 13,    // ... by the name ffn_norm, without ".weight" (falcon-h1)
    XN_SHAPE_EMBED_NORM = 1 << 14,  // the last norm goes by the name token_embd_norm (lfm2)
    XN_SHAPE_ALONE = 1 << 15,       // a layer is a mixer or a feed-forward, not both
    XN_SHAPE_KV_ARRAY = 1 << 16,    // head_count_kv is written layer by layer, 0 where there is no attention
    XN_SHAPE_FFN_ARRAY = 1 << 17,   // feed_forward_length likewise
    XN_SHAPE_SECTIONS = 1 << 18,    // rope.dimension_sections are written
    XN_SHAPE_FUSED_BA = 1 << 19,    // of delta nets beta and alpha in one matrix, key head by key head (qwen3next)
    XN_SHAPE_SSM_NORM = 1 << 20,    // Mamba-2 norms its result
    XN_SHAPE_SHARED_GATE = 1 << 21, // the shared expert has a gate
    XN_SHAPE_PROBS_BIAS = 1 << 22,  // a bias for choosing experts
    XN_SHAPE_MOE_BIAS = 1 << 23,    // biases of router and experts
    XN_SHAPE_GEMMA4 = 1 << 24,      // what its layers have besides: an output scale, experts beside a dense part
    XN_SHAPE_HIDDEN = 1 << 25,      // tiny, for tests; not listed
};

// A layer's kind: a letter of xn_shape.pattern.
enum xn_shape_layer {
    XN_SHAPE_ATTENTION = 'A',
    XN_SHAPE_LOCAL = 'S',     // attention in a window, with heads of local_head_size
    XN_SHAPE_LATENT = 'L',    // multi-head latent attention
    XN_SHAPE_DELTA_NET = 'D', // gated delta net
    XN_SHAPE_MAMBA = 'M',     // Mamba-2
    XN_SHAPE_BOTH = 'H',      // attention and Mamba-2 beside each other
    XN_SHAPE_CONV = 'C',      // short convolution
    XN_SHAPE_FFN = 'F',       // a dense feed-forward alone
    XN_SHAPE_EXPERTS = 'E',   // experts alone
};

// Metadata that is nothing but a key and its value.
enum xn_shape_key_kind { XN_SHAPE_NUMBER, XN_SHAPE_REAL, XN_SHAPE_FLAG, XN_SHAPE_TEXT };
struct xn_shape_key {
    const char *key; // behind "FAMILY."; NULL ends a list
    enum xn_shape_key_kind kind;
    double value;
    const char *text;
};

struct xn_shape {
    const char *name;   // "qwen3-4b"
    const char *title;  // general.name
    const char *family; // general.architecture
    uint32_t flags;
    const char *pattern; // kinds of the layers, repeated as often as it takes; NULL: attention alone
    uint32_t layers, hidden, heads, kv_heads, head_size, ffn, vocab, context;
    float rope_base, epsilon;
    uint32_t rope_size; // of a head's values, how many are rotated
    // experts: 0: a dense model; shared_ffn 0: no shared expert; shared_count: experts that it is made of, where that
    // is what a file says; dense_layers: the first layers, which have none; expert_hidden: of their latent space, or 0
    uint32_t experts, used, expert_ffn, shared_ffn, shared_count, dense_layers, expert_hidden;
    uint32_t key_heads, value_heads, state, taps; // delta nets: heads of `state` values each, taps of the convolution
    uint32_t ssm_heads, ssm_size, ssm_groups, ssm_state; // Mamba-2 (and taps)
    uint32_t q_rank, rank, nope_size, value_size;        // latent attention (and rope_size)
    uint32_t conv_taps;                                  // short convolution
    uint32_t local_head_size, shared_layers, input_size; // gemma4: the last shared_layers share caches
    uint32_t window;                                     // sliding window of the layers that have one; 0: none
    float local_base;                                    // rope base of those layers; 0: the same
    float rope_factor;                                   // of Llama 3's frequency scaling; 0: none
    const struct xn_shape_key *keys;                     // further metadata; NULL: none
};

size_t xn_shape_count(void); // the hidden ones too
const struct xn_shape *xn_shape_at(size_t i);
const struct xn_shape *xn_shape_find(const char *name); // ignoring case; NULL: unknown

char xn_shape_layer(const struct xn_shape *shape, uint32_t layer); // its letter
bool xn_shape_attends(char layer);                                 // whether its tensors are those of an attention
bool xn_shape_uses(const struct xn_shape *shape, char layer);      // whether any layer is of this kind
// Whether the layer reads an earlier one's cache, in a model of so many layers (one that is cut shares none).
bool xn_shape_shares(const struct xn_shape *shape, uint32_t layer, uint32_t layers);
// Whether the layer's feed-forward is one of experts.
bool xn_shape_has_experts(const struct xn_shape *shape, uint32_t layer);
