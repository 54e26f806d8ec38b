// The recipe: a model as data. A family file (families/*.c) reads a source's metadata and tensors and fills one in;
// from there on no code knows the family's name.
//
//   model        = embedding, layers[], final norm, head
//   layer        = norm, mixer, (post norm), residual add, norm, feed-forward, (post norm), residual add
//   mixer        = attention | gated delta net
//   feed-forward = dense (gated or plain) | experts
//
// Matrices point into the mapped files, in their own block format; vectors (norms, biases, convolutions) are float32
// copies in the recipe's arena, with what a container stores differently (gemma's 1 + w, -exp(A_log)) already applied.
#pragma once

#include "base/error.h"
#include "base/memory.h"
#include "format/source.h"

#include <stdbool.h>
#include <stdint.h>

// A matrix of `rows` outputs by `cols` inputs: rows are contiguous, each cols values in the format `type`. Experts:
// `count` matrices of one shape. rows = 0: absent.
struct xn_matrix {
    const char *name; // of the tensor, for messages
    uint32_t type;    // enum xn_type
    uint32_t rows, cols, count;
    const void *const *data; // count pointers into the mapping, any alignment
};

enum xn_norm_kind { XN_NORM_NONE, XN_NORM_RMS, XN_NORM_LAYER };
// y = x / rms(x) * weight, or (x - mean) / std * weight + bias. weight and bias may be NULL (1 and 0).
struct xn_norm {
    enum xn_norm_kind kind;
    float epsilon;
    const float *weight, *bias;
};

enum xn_activation { XN_ACT_SILU, XN_ACT_GELU, XN_ACT_GELU_TANH, XN_ACT_RELU, XN_ACT_RELU2, XN_ACTIVATIONS };

enum xn_rope_kind {
    XN_ROPE_NONE,
    XN_ROPE_HALVES, // value i pairs with i + dims/2 (GPT-NeoX; Hugging Face weights)
    XN_ROPE_PAIRS,  // value 2i pairs with 2i + 1 (GPT-J; llama.cpp's permuted llama weights; glm4)
};
// Rotary position embedding of the first `dims` values of a head: angle of pair i at position p is p * frequency[i].
// Every scaling (linear, llama3, yarn, ...) is already in the frequencies; magnitude multiplies cos and sin (yarn's
// attention factor).
struct xn_rope {
    enum xn_rope_kind kind;
    uint32_t dims;
    const float *frequency; // dims / 2
    float magnitude;        // 1 if unused
    // Llama-4 attention temperature, on queries alone: q *= 1 + query_beta * ln(1 + floor(p / query_period)); beta 0:
    // none
    float query_beta;
    uint32_t query_period;
};

struct xn_attention {
    struct xn_matrix q, k, v, o;
    const float *q_bias, *k_bias, *v_bias, *o_bias; // NULL: none
    uint32_t heads, kv_heads;                       // heads is a multiple of kv_heads
    uint32_t head_size;                             // of q and k
    uint32_t value_size;                            // of v
    struct xn_norm q_norm, k_norm;
    bool norm_whole; // q/k norm over all heads together (olmo2), not head by head
    struct xn_rope rope;
    float scale;        // of q.k, before the soft cap
    float soft_cap;     // cap * tanh(score / cap); 0: none
    uint32_t window;    // a query sees itself and the window - 1 positions before it; 0: all
    const float *sinks; // one logit a head that takes part in the softmax and adds nothing; NULL: none
    bool output_gate;   // q has 2 * head_size rows a head: the query, then a gate; output *= sigmoid(gate)
};

// Gated delta net (https://arxiv.org/abs/2412.06464) as Qwen3-Next and Qwen3.5 have it.
struct xn_delta_net {
    struct xn_matrix qkv;         // rows: key_heads * key_size (q), the same (k), value_heads * value_size (v)
    struct xn_matrix z;           // output gate: value_heads * value_size
    struct xn_matrix beta, alpha; // value_heads each
    struct xn_matrix out;
    uint32_t key_heads, value_heads, key_size, value_size;
    uint32_t kernel;         // taps of the causal depthwise convolution over q, k, v
    const float *conv;       // [channel][tap], oldest tap first
    const float *conv_bias;  // [channel] or NULL
    const float *decay_rate; // -exp(A_log), [value_heads]
    const float *dt_bias;    // [value_heads]
    struct xn_norm norm;     // over each value head, before the silu(z) gate
    bool heads_tiled; // value head h uses key head h % key_heads (llama.cpp's order), not h / (value_heads / key_heads)
};

struct xn_dense {
    struct xn_matrix gate, up, down; // gate absent: plain, act(up)
    const float *gate_bias, *up_bias, *down_bias;
    enum xn_activation activation;
};

enum xn_router_score { XN_ROUTER_SOFTMAX, XN_ROUTER_SIGMOID };
struct xn_experts {
    struct xn_matrix router;
    const float *router_bias;    // added to the logits; NULL: none
    const float *selection_bias; // added to the scores for choosing alone (DeepSeek-V3); NULL: none
    enum xn_router_score score;
    uint32_t used;                   // experts a token
    uint32_t groups, groups_used;    // group-limited routing; 0 or 1: none
    bool normalize;                  // divide the chosen scores by their sum
    float scale;                     // of the routed sum
    struct xn_matrix gate, up, down; // count = number of experts
    enum xn_activation activation;
    struct xn_dense shared;         // an expert for every token; up.rows = 0: none
    struct xn_matrix shared_router; // 1 row: shared output *= sigmoid(row . x); rows = 0: none
};

enum xn_mixer_kind { XN_MIXER_NONE, XN_MIXER_ATTENTION, XN_MIXER_DELTA_NET };
enum xn_ffn_kind { XN_FFN_NONE, XN_FFN_DENSE, XN_FFN_EXPERTS };

struct xn_layer {
    struct xn_norm mixer_norm, mixer_post_norm; // kind NONE where the family has none
    enum xn_mixer_kind mixer_kind;
    union {
        struct xn_attention attention;
        struct xn_delta_net delta_net;
    };
    struct xn_norm ffn_norm, ffn_post_norm;
    enum xn_ffn_kind ffn_kind;
    union {
        struct xn_dense dense;
        struct xn_experts experts;
    };
    float residual_scale; // of what mixer and feed-forward add (1 but for granite)
};

struct xn_recipe {
    const char *family; // for a person only
    char *name;         // the model's own name (in the arena), or NULL
    uint32_t hidden, vocab, n_layers;
    uint32_t context;           // positions that it was trained for
    struct xn_matrix embedding; // vocab x hidden
    float embedding_scale;
    struct xn_layer *layers;
    struct xn_norm final_norm;
    struct xn_matrix head; // vocab x hidden; of a tied model the same data as the embedding
    float logit_scale;     // multiplies the logits
    float logit_soft_cap;  // 0: none
    struct xn_arena arena; // owns vectors, pointers and names
};

// Fills a recipe from a source: finds the family by config.json's model_type (or architectures) or by
// general.architecture, reads it, and checks every tensor's shape against what the family says. The source must outlive
// the recipe (matrices point into it). An unknown family is an error that lists the known ones.
int xn_recipe_read(const struct xn_source *source, struct xn_recipe *recipe, struct xn_error *err);
void xn_recipe_free(struct xn_recipe *recipe);

// Sums over the recipe's matrices: parameters, bytes in the files, and those read for one token (experts: those used;
// of the embedding one row). A tied head counts once.
struct xn_recipe_sizes {
    uint64_t parameters, bytes, active_parameters, active_bytes;
};
struct xn_recipe_sizes xn_recipe_sizes(const struct xn_recipe *recipe);
