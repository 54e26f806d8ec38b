// The recipe: a model as data. A family file (families/*.c) reads a source's metadata and tensors and fills one in;
// from there on no code knows the family's name.
//
//   model        = embedding, (per-layer inputs), layers[], final norm, head
//   layer        = mixer, (a second one beside it), feed-forward, (per-layer input): each adds to the residual stream
//   mixer        = norm, attention | latent attention | gated delta net | Mamba-2 | short convolution, (post norm)
//   feed-forward = norm, dense (gated or plain) | experts, (post norm)
//
// Matrices point into the mapped files, in their own block format; vectors (norms, biases, convolutions) are float32
// copies in the recipe's arena, with what a container stores differently (gemma's 1 + w, -exp(A_log)) already applied.
#pragma once

#include "base/error.h"
#include "base/memory.h"
#include "format/source.h"

#include <stdbool.h>
#include <stdint.h>

enum xn_layout {
    XN_LAYOUT_ROWS,    // each row's cols values stand together, in the format `type`
    XN_LAYOUT_COLUMNS, // transposed: cols stored rows of stored_rows values each
    XN_LAYOUT_MXFP4, // as gpt-oss was released: 16 bytes a block of 32 values (value 2i in the low half of byte i), the
                     // blocks' E8M0 scales apart; type is XN_MXFP4
};
// A matrix of `rows` outputs by `cols` inputs. Experts: `count` matrices of one shape. rows = 0: absent. What a
// container stores in another order is described here, and put in order by the device that packs it (model/matrix.h).
struct xn_matrix {
    const char *name; // of the tensor, for messages
    uint32_t type;    // enum xn_type
    uint32_t rows, cols, count;
    const void *const *data; // count pointers into the mapping, any alignment
    enum xn_layout layout;
    uint32_t stored_rows;      // of the stored matrix; 0: rows
    const uint32_t *gather;    // row i is stored row gather[i] (< stored_rows); NULL: stored row i
    const void *const *scales; // MXFP4: count pointers to stored_rows x cols / 32 bytes
};

enum xn_norm_kind { XN_NORM_NONE, XN_NORM_RMS, XN_NORM_LAYER };
// y = x / rms(x) * weight, or (x - mean) / std * weight + bias. weight and bias may be NULL (1 and 0).
struct xn_norm {
    enum xn_norm_kind kind;
    float epsilon;
    const float *weight, *bias;
};

enum xn_activation {
    XN_ACT_SILU,
    XN_ACT_GELU,
    XN_ACT_GELU_TANH,
    XN_ACT_GELU_QUICK, // x sigmoid(1.702 x)
    XN_ACT_RELU,
    XN_ACT_RELU2,
    XN_ACTIVATIONS
};
// What becomes of the products of a feed-forward's gate and up matrices:
//   g = min(gate_scale * gate, limit),  u = clamp(up, -limit, limit)       (limit 0: no limits)
//   act(g) * (u + up_offset), or act(u) without a gate matrix
struct xn_glu {
    enum xn_activation activation;
    float gate_scale; // 0: 1
    float limit, up_offset;
};

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
    // Where the frequencies follow the length of the sequence, all of which turns by one set: `frequency` up to
    // `original` positions, beyond them long_frequency (LongRoPE), or those that model/rope.h makes of theta and growth
    // for that length (dynamic NTK).
    uint32_t original;           // 0: `frequency` is for every length
    const float *long_frequency; // dims / 2, or NULL: dynamic
    float theta, growth;         // dynamic: the base, and the factor by which the context may be stretched
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
    struct xn_norm q_norm, k_norm, v_norm;
    bool norm_whole;   // q/k norm over all heads together (olmo2), not head by head
    bool shares_cache; // k and v are absent: keys and values are those of layer cache_layer, an earlier attention
    uint32_t cache_layer;
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

// Multi-head latent attention (https://arxiv.org/abs/2412.19437, section 2.1.1): keys and values of all heads are
// products of one latent vector a position, which alone is cached, with the one rotated key that the heads share.
// Computed in the absorbed form: queries go into the latent space, results come out of it.
struct xn_latent_attention {
    struct xn_matrix q_a;    // q_rank x hidden; rows = 0: q reads the hidden state itself
    const float *q_a_bias;   // NULL: none; likewise below
    struct xn_norm q_a_norm; // over q_rank
    struct xn_matrix q;      // heads * (nope_size + rope_size) rows: of each head first the part without rope
    const float *q_bias;
    struct xn_matrix latent; // rank x hidden
    const float *latent_bias;
    struct xn_norm latent_norm; // over rank
    struct xn_matrix k_rope;    // rope_size x hidden
    const float *k_rope_bias;
    struct xn_matrix k_absorb; // count = heads: rank x nope_size, latent query of a head's own
    struct xn_matrix v_expand; // count = heads: value_size x rank
    struct xn_matrix o;
    const float *o_bias;
    uint32_t heads, q_rank, rank, nope_size, rope_size, value_size;
    struct xn_rope rope; // of rope_size values
    float scale;
};

// Mamba-2 (https://arxiv.org/abs/2405.21060), a head's state of head_size x state_size.
struct xn_state_space {
    struct xn_matrix z;   // gate: heads * head_size
    struct xn_matrix xbc; // heads * head_size (x), groups * state_size (B), the same (C)
    struct xn_matrix dt;  // heads
    struct xn_matrix out;
    const float *z_bias, *xbc_bias, *dt_proj_bias, *out_bias; // of the products; NULL: none
    float z_scale, xbc_scale, dt_scale;                       // of the products with their biases; 0: 1
    uint32_t heads, head_size, groups, state_size;            // heads is a multiple of groups
    uint32_t kernel;                                          // taps of the convolution over x, B, C
    const float *conv;                                        // [channel][tap], oldest tap first
    const float *conv_bias;                                   // [channel] or NULL
    const float *decay_rate;                                  // -exp(A_log), [heads]
    const float *dt_bias;                                     // [heads]
    const float *skip;                                        // D, [heads]
    float dt_min, dt_max; // the time step is kept between them (0 and INFINITY: free)
    struct xn_norm norm;  // of each of norm_groups equal parts of a row; kind NONE: the gate alone
    uint32_t norm_groups;
    bool norm_before_gate; // norm(y) * silu(z), not norm(y * silu(z))
};

// Gated short convolution of LFM2: out(c * conv(b * x)), with b, c, x = in(n).
struct xn_short_conv {
    struct xn_matrix in; // 3 * channels rows: b, c, x
    struct xn_matrix out;
    const float *in_bias, *out_bias; // NULL: none
    uint32_t channels, kernel;
    const float *conv;      // [channel][tap], oldest tap first
    const float *conv_bias; // [channel] or NULL
};

struct xn_dense {
    struct xn_matrix gate, up, down; // gate absent: plain, act(up)
    const float *gate_bias, *up_bias, *down_bias;
    struct xn_glu glu;
    float down_scale; // of the result; 0: 1
};

enum xn_router_score { XN_ROUTER_SOFTMAX, XN_ROUTER_SIGMOID };
struct xn_experts {
    struct xn_matrix router;
    const float *router_bias;    // added to the logits; NULL: none
    const float *selection_bias; // added to the scores for choosing alone (DeepSeek-V3); NULL: none
    enum xn_router_score score;
    uint32_t used;                // experts a token
    uint32_t groups, groups_used; // group-limited routing; 0 or 1: none
    uint32_t group_best;          // a group's rank is the sum of its so many best scores (2: DeepSeek-V3, 1: V2)
    bool normalize;               // divide the chosen scores by their sum, to which sum_epsilon is added
    float sum_epsilon;
    float scale;                     // of the routed sum
    const float *expert_scale;       // [expert], a factor of its routing weight after normalizing; NULL: none
    struct xn_matrix gate, up, down; // count = number of experts
    const float *gate_bias, *up_bias, *down_bias; // [expert][row]; NULL: none
    struct xn_glu glu;
    struct xn_matrix latent_in,
        latent_out; // the experts work between these two, on latent_in.rows values; rows = 0: none
    const float *latent_in_bias, *latent_out_bias; // NULL: none
    struct xn_dense shared;                        // an expert for every token; up.rows = 0: none
    struct xn_matrix shared_router;                // 1 row: shared output *= sigmoid(row . x); rows = 0: none
    // Norms where they differ from the feed-forward's one (kind NONE: that one): of the router's input, of the
    // experts'.
    struct xn_norm router_norm, expert_norm;
    struct xn_norm expert_post_norm, shared_post_norm; // of the routed sum, of the shared expert's result; NONE: none
};

enum xn_mixer_kind {
    XN_MIXER_NONE,
    XN_MIXER_ATTENTION,
    XN_MIXER_LATENT,
    XN_MIXER_DELTA_NET,
    XN_MIXER_STATE_SPACE,
    XN_MIXER_SHORT_CONV
};
struct xn_mixer {
    struct xn_norm norm, post_norm; // kind NONE where the family has none
    enum xn_mixer_kind kind;
    float scale; // of what it adds, besides the layer's residual_scale; 0: 1
    union {
        struct xn_attention attention;
        struct xn_latent_attention latent;
        struct xn_delta_net delta_net;
        struct xn_state_space state_space;
        struct xn_short_conv short_conv;
    };
};

enum xn_ffn_kind { XN_FFN_NONE, XN_FFN_DENSE, XN_FFN_EXPERTS };
struct xn_ffn {
    struct xn_norm norm, post_norm;
    enum xn_ffn_kind kind;
    union {
        struct xn_dense dense;
        struct xn_experts experts;
    };
};

// The layer's share of the per-layer inputs P (below) is added after the feed-forward (Gemma 3n and 4):
// X += norm(projection (act(gate X) * P))
struct xn_layer_input {
    struct xn_matrix gate;       // size x hidden; rows = 0: none
    struct xn_matrix projection; // hidden x size
    struct xn_norm norm;
    enum xn_activation activation;
};

struct xn_layer {
    struct xn_mixer mixer;
    struct xn_mixer *beside; // a second mixer that reads the same input (Falcon-H1); NULL: none
    struct xn_ffn ffn;
    struct xn_layer_input input;
    float residual_scale; // of what mixers and feed-forward add (1 but for granite)
    float output_scale;   // of the residual stream behind the layer (Gemma 4's layer scalar); 0: 1
};

// Inputs of `size` values for each layer, from the token and its embedding X:
// P = sum_scale * (norm(projection_scale * projection X) + table_scale * table[token]), the norm layer by layer
struct xn_layer_inputs {
    uint32_t size;               // of one layer's; 0: none
    struct xn_matrix table;      // vocab x (layers * size)
    struct xn_matrix projection; // layers * size x hidden
    struct xn_norm norm;         // of size values
    float projection_scale, table_scale, sum_scale;
};

struct xn_recipe {
    const char *family; // for a person only
    char *name;         // the model's own name (in the arena), or NULL
    uint32_t hidden, vocab, n_layers;
    uint32_t context;           // positions that it was trained for
    struct xn_matrix embedding; // vocab x hidden
    float embedding_scale;
    struct xn_layer_inputs layer_inputs;
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
