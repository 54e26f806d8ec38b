// The fused operations: what a device does. Each has its shapes and mathematics here, a plain-C version in reference/,
// and a kernel on each device that is held to it.
//
// Activations are float32 rows in numbered buffers, one row a row of the batch: B[r] is row r of buffer B, and a
// buffer's width is fixed by the plan. X is the residual stream (hidden wide). A step runs the plan's operations in
// order; each sees all that the ones before it wrote.
#pragma once

#include "model/recipe.h"

enum xn_buffer {
    XN_BUF_X,        // residual stream: hidden
    XN_BUF_Q,        // attention: queries (with gates between them); others: what goes through the convolution
    XN_BUF_Z,        // delta net and Mamba-2: output gate; latent attention: compressed queries
    XN_BUF_BETA,     // delta net
    XN_BUF_ALPHA,    // delta net: alpha; Mamba-2: time steps
    XN_BUF_MIX,      // what a mixer computed, before its output product
    XN_BUF_BESIDE,   // what a second mixer computed
    XN_BUF_ABSORBED, // latent attention: queries in the latent space, each with its rotated part
    XN_BUF_LATENT,   // latent attention: results in the latent space; experts with a latent space: their input
    XN_BUF_SUM,      // a sum of results that waits for a norm or a product: hidden, or the experts' latent size
    XN_BUF_INPUTS,   // per-layer inputs: layers * size
    XN_BUF_HIDDEN,   // of a dense feed-forward, or of the shared expert
    XN_BUF_EXPERTS,  // of the chosen experts: used * expert size, in the order of the routing
    XN_BUF_GATE,     // 1 wide: the shared expert's gate
    XN_BUFFERS,
    XN_BUF_NONE = -1,
};

// A matrix as a device holds it (packed, uploaded, or just pointed to): made by the device's `pack`.
struct xn_weights;

enum xn_op_kind {
    XN_OP_EMBED,
    XN_OP_PROJECT,
    XN_OP_ATTEND,
    XN_OP_DELTA_NET,
    XN_OP_STATE_SPACE,
    XN_OP_SHORT_CONV,
    XN_OP_HEADS,
    XN_OP_PROJECT_ADD,
    XN_OP_GATE,
    XN_OP_ROUTE,
    XN_OP_EXPERT_GATE,
    XN_OP_EXPERT_ADD,
    XN_OP_ADD,
    XN_OP_HEAD,
    XN_OP_KINDS,
};

// TO[r] = keep * TO[r] + scale * table[token r], as many values as a row of the table has (keep 0: whatever TO was)
struct xn_op_embed {
    const struct xn_weights *table;
    enum xn_buffer to;
    float scale, keep;
};

enum xn_part_target {
    XN_TO_BUFFER,
    XN_TO_KEYS,   // of cache layer `cache`, at the row's position
    XN_TO_VALUES, // likewise
};
// One product of a `project`: y = scale * (W n + bias). y is then taken as heads of head_stride values of which the
// first head_size are normalised (each head alone, or all heads as one vector if norm_whole), and the rope's dims from
// value rope_at on rotated at the row's position.
struct xn_part {
    const struct xn_weights *weights;
    const float *bias;
    float scale;
    uint32_t heads, head_size, head_stride; // heads * head_stride = rows of W
    uint32_t rope_at;
    struct xn_norm norm;
    bool norm_whole;
    bool is_query; // the rope's query temperature applies
    bool exact;    // what follows multiplies a rounding of the inputs (decays of a state), so they take none
    struct xn_rope rope;
    enum xn_part_target target;
    enum xn_buffer buffer; // TO_BUFFER: row r of it begins with y
    uint32_t cache_at;     // TO_KEYS, TO_VALUES: where in the cached head its head_size values begin
};
enum { XN_MAX_PARTS = 4 };
// n = norm(IN[r]), of as many values as the parts' matrices have columns; then each part.
struct xn_op_project {
    enum xn_buffer in;
    struct xn_norm norm;
    uint32_t n_parts;
    struct xn_part part[XN_MAX_PARTS];
    uint32_t cache; // cache layer of TO_KEYS and TO_VALUES
};

// For each row r at position p of its sequence, head h, kv head g = h / (heads / kv_heads):
//   s_j = soft_cap(scale * q_h . k_g[j]) for j in (p - window, p]      (window 0: j in [0, p])
//   OUT[r][h] = sum_j softmax(s, and the sink as one more logit)_j v_g[j]
//   output_gate: times sigmoid(gate), the gate being the value_size values behind the query in IN
// The queries q_h are in IN. values_in_keys: the cache has no values; v_g[j] is the first value_size values of k_g[j].
struct xn_op_attend {
    enum xn_buffer in, out;
    uint32_t cache;
    uint32_t heads, kv_heads, head_size, value_size;
    bool values_in_keys;
    uint32_t head_stride; // of IN: head_size, or twice that with gates
    float scale, soft_cap;
    uint32_t window;
    const float *sinks;
    bool output_gate;
};

// Gated delta rule with its convolution, gate and norm. From Q (q, k, v), Z, BETA, ALPHA; for each sequence in order of
// position, with the state S (key_size x value_size a value head) and the last kernel - 1 rows of Q in the sequence's
// state slot:
//   c = silu(conv(Q));  q, k: divided by their L2 norm, sqrt(sum + 1e-6), for each key head; q also by sqrt(key_size)
//   g = exp(decay_rate * softplus(ALPHA + dt_bias)),  b = sigmoid(BETA)          for each value head
//   S = g S;  d = b (v - S^T k);  S = S + k d^T;  o = S^T q
//   OUT[r][h] = norm(o) * silu(Z[r][h])
struct xn_op_delta_net {
    enum xn_buffer out;
    uint32_t state; // state layer
    uint32_t key_heads, value_heads, key_size, value_size, kernel;
    const float *conv, *conv_bias, *decay_rate, *dt_bias;
    struct xn_norm norm;
    bool heads_tiled;
};

// Mamba-2 with its convolution, gate and norm. From Q (x, B, C), Z, ALPHA (time steps); for each sequence in order of
// position, with the state S (head_size x state_size a head) and the last kernel - 1 rows of Q in the state slot, for
// each head h, whose B and C are those of group h / (heads / groups):
//   x, B, C = silu(conv(Q));  t = clamp(softplus(ALPHA + dt_bias), dt_min, dt_max)
//   S = exp(decay_rate * t) S + t x B^T;  y = S C + skip x
//   OUT[r] = norm(y * silu(Z[r])), or norm(y) * silu(Z[r]) with norm_before_gate; the norm of each of norm_groups equal
//   parts of the row alone, with weights for the whole row
struct xn_op_state_space {
    enum xn_buffer out;
    uint32_t state; // state layer
    uint32_t heads, head_size, groups, state_size, kernel;
    const float *conv, *conv_bias, *decay_rate, *dt_bias, *skip;
    float dt_min, dt_max;
    struct xn_norm norm;
    uint32_t norm_groups;
    bool norm_before_gate;
};

// From Q (b, c, x, each of `channels`), with the last kernel - 1 rows of b * x in the state slot:
//   OUT[r] = c * (conv(b * x) + conv_bias)
struct xn_op_short_conv {
    enum xn_buffer out;
    uint32_t state; // state layer
    uint32_t channels, kernel;
    const float *conv, *conv_bias;
};

// For each head h (matrix h of the weights): OUT[r][h] = (W_h IN[r][h][0 .. cols), IN[r][h][cols .. cols + tail));
// heads are cols + tail values apart in IN, rows + tail in OUT.
struct xn_op_heads {
    enum xn_buffer in, out;
    const struct xn_weights *weights;
    uint32_t tail;
};

// How a result y of a row joins a buffer: TO[r] = after * ((set ? 0 : TO[r]) + scale * norm(y))
struct xn_sum {
    enum xn_buffer to; // X or SUM
    bool set;
    struct xn_norm norm;
    float scale, after;
};

// y = row_scale[r] * (W IN[r] + bias), where row_scale is a 1-wide buffer or NONE
struct xn_op_project_add {
    enum xn_buffer in;
    const struct xn_weights *weights;
    const float *bias;
    enum xn_buffer row_scale;
    struct xn_sum sum;
};

// y = IN[r]
struct xn_op_add {
    enum xn_buffer in;
    struct xn_sum sum;
};

// n = norm(X[r]); HIDDEN[r] = glu(Wg n + bg, Wu n + bu), or glu(Wu n + bu) without a gate matrix (gate NULL); times
// TIMES[r][times_at ...] unless that is NONE. (struct xn_glu says what glu is.)
struct xn_op_gate {
    struct xn_norm norm;
    const struct xn_weights *gate, *up;
    const float *gate_bias, *up_bias;
    struct xn_glu glu;
    enum xn_buffer times;
    uint32_t times_at;
};

// n = norm(X[r]); t = W n + bias; scores s = softmax(t) or sigmoid(t); the `used` best of s + selection_bias (ties: the
// lower index first), within the groups_used best groups (a group's rank: sum of its group_best best s +
// selection_bias) when groups > 1; weights w = s of the chosen, divided by their sum + sum_epsilon (normalize),
// times scale and expert_scale. Written to the step's routing: ids and weights of row r, best first. shared_router:
// GATE[r] = sigmoid(row . n).
struct xn_op_route {
    struct xn_norm norm;
    const struct xn_weights *router;
    const float *bias, *selection_bias;
    enum xn_router_score score;
    uint32_t experts, used, groups, groups_used, group_best;
    bool normalize;
    float sum_epsilon, scale;
    const float *expert_scale;              // NULL: none
    const struct xn_weights *shared_router; // NULL: none
};

// As `gate` with the matrices and biases ([expert][row]) of each chosen expert, n = norm(IN[r]): EXPERTS[r][j * size
// ...] for j in [0, used)
struct xn_op_expert_gate {
    enum xn_buffer in;
    struct xn_norm norm;
    const struct xn_weights *gate, *up; // gate NULL: plain
    const float *gate_bias, *up_bias;
    struct xn_glu glu;
    uint32_t used, size; // size: hidden values of an expert
};

// y = sum_j w_j (W_down of expert j EXPERTS[r][j] + bias of expert j)
struct xn_op_expert_add {
    const struct xn_weights *down;
    const float *bias;
    uint32_t used, size;
    struct xn_sum sum;
};

// For each output row o of the batch: logits[o] = soft_cap(scale * W norm(X[row]))
struct xn_op_head {
    struct xn_norm norm;
    const struct xn_weights *weights;
    float scale, soft_cap;
};

struct xn_op {
    enum xn_op_kind kind;
    int layer;  // -1 outside layers
    bool apart; // others may have run between the operation before it and this one: nothing but the rows carries over
    union {
        struct xn_op_embed embed;
        struct xn_op_project project;
        struct xn_op_attend attend;
        struct xn_op_delta_net delta_net;
        struct xn_op_state_space state_space;
        struct xn_op_short_conv short_conv;
        struct xn_op_heads heads;
        struct xn_op_project_add project_add;
        struct xn_op_add add;
        struct xn_op_gate gate;
        struct xn_op_route route;
        struct xn_op_expert_gate expert_gate;
        struct xn_op_expert_add expert_add;
        struct xn_op_head head;
    };
};

// The constant list of operations of a step, and the memory that they need.
struct xn_cache_layer {
    uint32_t kv_heads, key_size, value_size; // value_size 0: no values
};
struct xn_state_layer {
    uint32_t conv_size;      // floats: (kernel - 1) * channels, oldest row first
    uint32_t recurrent_size; // floats: [head][key][value] of a delta net, [head][state][head_size] of Mamba-2
};
struct xn_plan {
    struct xn_op *ops;
    uint32_t n_ops;
    uint32_t width[XN_BUFFERS]; // floats a row; 0: not used
    uint32_t hidden, vocab;
    uint32_t route_width; // experts used a row, the most of any layer; 0: no routing
    uint32_t n_experts;   // the most of any layer
    struct xn_cache_layer *cache;
    uint32_t n_cache;
    struct xn_state_layer *states;
    uint32_t n_states;
    const struct xn_rope **following_ropes; // the different ones that follow the sequence's length
    uint32_t n_following_ropes;
    bool sensitive;     // a rounding may change much: what routers choose, what states remember, scores that spread far
    float score_spread; // standard deviation of attention scores, of the widest attention whose norms tell it; 0: none
};

const char *xn_op_name(enum xn_op_kind kind); // "project_add"
