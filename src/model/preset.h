// Presets: the mixtures of block formats that published GGUF files come in ("Q4_K_M", ...), as llama.cpp's quantizer
// mixes them when it has no importance matrix: https://github.com/ggml-org/llama.cpp/blob/master/src/llama-quant.cpp
#pragma once

#include "quant/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What a matrix does in its model, as far as presets care.
enum xn_role {
    XN_ROLE_EMBEDDING,
    XN_ROLE_OUTPUT, // the head
    XN_ROLE_Q,
    XN_ROLE_K,
    XN_ROLE_V, // and fused q, k, v
    XN_ROLE_ATTENTION_OUT,
    XN_ROLE_GATE,
    XN_ROLE_UP, // and fused gate, up
    XN_ROLE_DOWN,
    XN_ROLE_OTHER,
    XN_ROLE_KEPT,  // never quantized, but a matrix: in the format that its model is published in, BF16 or a float
                   // preset's
    XN_ROLE_PLAIN, // never quantized: norms, biases, routers, convolutions; float32 in every preset
};

// Where a rule applies. Layers count from 0 to n - 1.
enum xn_preset_when {
    XN_WHEN_ALWAYS,
    XN_WHEN_MORE_BITS,   // the first eighth of the layers, the last eighth, and every third between them
    XN_WHEN_EIGHTH,      // the first eighth
    XN_WHEN_SIXTEENTH,   // the first sixteenth
    XN_WHEN_FIRST_TWO,   // layers 0 and 1
    XN_WHEN_FIRST_FOUR,  // layers 0 to 3
    XN_WHEN_GROUPED,     // four or more query heads a key head
    XN_WHEN_STACKED,     // the experts' matrices
    XN_WHEN_EIGHT,       // a model of eight experts
    XN_WHEN_EIGHT_EARLY, // as XN_WHEN_EIGHT and XN_WHEN_MORE_BITS
};

struct xn_preset_rule {
    enum xn_role role;
    enum xn_preset_when when;
    enum xn_type type;
};
enum { XN_PRESET_RULES = 8 };

struct xn_preset {
    const char *name;
    uint32_t file_type;  // general.file_type
    enum xn_type type;   // of every matrix that no rule names
    enum xn_type output; // of the head, and of an embedding that is the head too
    struct xn_preset_rule
        rules[XN_PRESET_RULES]; // the first that fits counts; ends with one whose role is XN_ROLE_PLAIN
};

size_t xn_preset_count(void);
const struct xn_preset *xn_preset_at(size_t i);
const struct xn_preset *xn_preset_find(const char *name); // ignoring case; NULL: unknown

// One matrix, and of its model what the rules ask about. Where the quantizer counts matrices of a role rather than
// layers, layer and layers are those counts.
struct xn_preset_case {
    enum xn_role role;
    uint32_t layer, layers;
    uint32_t heads_per_key; // query heads a key head
    uint32_t experts;       // of the model; 0: none
    bool stacked;           // the matrices of all experts in one tensor
    bool tied;              // the embedding is the head
    uint64_t row;           // values a row
};
// The format of a matrix under a preset. Rows that are no multiple of the format's block get the format with smaller
// blocks that llama.cpp falls back to, else F16.
enum xn_type xn_preset_type(const struct xn_preset *preset, const struct xn_preset_case *matrix);
