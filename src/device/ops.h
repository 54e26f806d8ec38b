// The fused operations: what a device does. Each has its shapes and mathematics here, a plain-C version in reference/,
// and a kernel on each device that is held to it.
//
// Activations are float32 rows in numbered buffers, one row a row of the batch: B[r] is row r of buffer B, and a
// buffer's width is fixed by the plan. X is the residual stream (hidden wide). A step runs the plan's operations in
// order; each sees all that the ones before it wrote.
#pragma once

#include "model/recipe.h"

enum xn_buffer {
    XN_BUF_X,       // residual stream: hidden
    XN_BUF_Q,       // attention: queries (with gates between them); delta net: q, k, v before the convolution
    XN_BUF_Z,       // delta net: output gate
    XN_BUF_BETA,    // delta net
    XN_BUF_ALPHA,   // delta net
    XN_BUF_MIX,     // what a mixer computed, before its output product
    XN_BUF_HIDDEN,  // of a dense feed-forward, or of the shared expert
    XN_BUF_EXPERTS, // of the chosen experts: used * expert size, in the order of the routing
    XN_BUF_GATE,    // 1 wide: the shared expert's gate
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
    XN_OP_PROJECT_ADD,
    XN_OP_GATE,
    XN_OP_ROUTE,
    XN_OP_EXPERT_GATE,
    XN_OP_EXPERT_ADD,
    XN_OP_HEAD,
    XN_OP_KINDS,
};

// X[r] = scale * table[token r]
struct xn_op_embed {
    const struct xn_weights *table;
    float scale;
};

enum xn_part_target {
    XN_TO_BUFFER,
    XN_TO_KEYS,   // of cache layer `cache`, at the row's position
    XN_TO_VALUES, // likewise
};
// One product of a `project`: y = W n + bias. y is then taken as heads of head_stride values of which the first
// head_size are normalised (each head alone, or all heads as one vector if norm_whole) and rotated at the row's
// position.
struct xn_part {
    const struct xn_weights *weights;
    const float *bias;
    uint32_t heads, head_size, head_stride; // heads * head_stride = rows of W
    struct xn_norm norm;
    bool norm_whole;
    bool is_query; // the rope's query temperature applies
    struct xn_rope rope;
    enum xn_part_target target;
    enum xn_buffer buffer; // TO_BUFFER: row r of it begins with y
};
enum { XN_MAX_PARTS = 4 };
// n = norm(X[r]); then each part.
struct xn_op_project {
    struct xn_norm norm;
    uint32_t n_parts;
    struct xn_part part[XN_MAX_PARTS];
    uint32_t cache; // cache layer of TO_KEYS and TO_VALUES
};

// For each row r at position p of its sequence, head h, kv head g = h / (heads / kv_heads):
//   s_j = soft_cap(scale * q_h . k_g[j]) for j in (p - window, p]      (window 0: j in [0, p])
//   MIX[r][h] = sum_j softmax(s, and the sink as one more logit)_j v_g[j]
//   output_gate: times sigmoid(gate), the gate being the head_size values behind the query in Q
struct xn_op_attend {
    uint32_t cache;
    uint32_t heads, kv_heads, head_size, value_size;
    uint32_t head_stride; // of Q: head_size, or twice that with gates
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
//   MIX[r][h] = norm(o) * silu(Z[r][h])
struct xn_op_delta_net {
    uint32_t state; // state layer
    uint32_t key_heads, value_heads, key_size, value_size, kernel;
    const float *conv, *conv_bias, *decay_rate, *dt_bias;
    struct xn_norm norm;
    bool heads_tiled;
};

// X[r] += scale * norm(row_scale[r] * (W in[r] + bias)), where row_scale is a 1-wide buffer or NONE
struct xn_op_project_add {
    enum xn_buffer in;
    const struct xn_weights *weights;
    const float *bias;
    enum xn_buffer row_scale;
    struct xn_norm norm;
    float scale;
};

// n = norm(X[r]); HIDDEN[r] = act(Wg n + bg) * (Wu n + bu), or act(Wu n + bu) without a gate matrix (gate NULL)
struct xn_op_gate {
    struct xn_norm norm;
    const struct xn_weights *gate, *up;
    const float *gate_bias, *up_bias;
    enum xn_activation activation;
};

// n = norm(X[r]); t = W n + bias; scores s = softmax(t) or sigmoid(t); the `used` best of s + selection_bias (ties: the
// lower index first), within the groups_used best groups (a group's rank: sum of its two best s + selection_bias) when
// groups > 1; weights w = s of the chosen, divided by their sum (normalize; + 1e-20 for sigmoid), times scale. Written
// to the step's routing: ids and weights of row r, best first. shared_router: GATE[r] = sigmoid(row . n).
struct xn_op_route {
    struct xn_norm norm;
    const struct xn_weights *router;
    const float *bias, *selection_bias;
    enum xn_router_score score;
    uint32_t experts, used, groups, groups_used;
    bool normalize;
    float scale;
    const struct xn_weights *shared_router; // NULL: none
};

// As `gate` with the matrices of each chosen expert: EXPERTS[r][j * size ...] for j in [0, used)
struct xn_op_expert_gate {
    struct xn_norm norm;
    const struct xn_weights *gate, *up; // gate NULL: plain
    enum xn_activation activation;
    uint32_t used, size; // size: hidden values of an expert
};

// X[r] += scale * sum_j w_j (W_down of expert j) EXPERTS[r][j]
struct xn_op_expert_add {
    const struct xn_weights *down;
    uint32_t used, size;
    float scale;
};

// For each output row o of the batch: logits[o] = soft_cap(scale * W norm(X[row]))
struct xn_op_head {
    struct xn_norm norm;
    const struct xn_weights *weights;
    float scale, soft_cap;
};

struct xn_op {
    enum xn_op_kind kind;
    int layer; // -1 outside layers
    union {
        struct xn_op_embed embed;
        struct xn_op_project project;
        struct xn_op_attend attend;
        struct xn_op_delta_net delta_net;
        struct xn_op_project_add project_add;
        struct xn_op_gate gate;
        struct xn_op_route route;
        struct xn_op_expert_gate expert_gate;
        struct xn_op_expert_add expert_add;
        struct xn_op_head head;
    };
};

// The constant list of operations of a step, and the memory that they need.
struct xn_cache_layer {
    uint32_t kv_heads, key_size, value_size;
};
struct xn_state_layer {
    uint32_t conv_size;      // floats: (kernel - 1) * channels, oldest row first
    uint32_t recurrent_size; // floats: value_heads * key_size * value_size, [head][key][value]
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
};

const char *xn_op_name(enum xn_op_kind kind); // "project_add"
