// Synthetic models: GGUF files of a published shape with random weights, in the mixture of formats of a preset, which
// any engine that reads GGUF can load. For measuring speed, and for tests, without gigabytes of downloads.
//
// Weights are normal with variance 1 / row length (those that add to the residual stream smaller still), norms are near
// 1, so activations and logits stay finite and the logits differ from token to token. The tokenizer is a byte-level BPE
// of the published size whose merges are made up. The same seed gives the same file.
#pragma once

#include "base/error.h"
#include "base/log.h"
#include "model/preset.h"
#include "model/shapes.h"

struct xn_synth_options {
    uint32_t layers; // 0: all; fewer cut the model
    uint64_t seed;
};

// What a tensor's values are.
enum xn_synth_fill {
    XN_FILL_NORMAL,     // normal, of standard deviation `deviation`
    XN_FILL_NORM,       // 1 and a little
    XN_FILL_BIAS,       // a little
    XN_FILL_DECAY,      // -exp(A_log): in (-16, -1)
    XN_FILL_TIME_STEP,  // dt_bias: softplus of it is in (0.001, 0.1)
    XN_FILL_ROPE_FACTOR // divisors of the rope frequencies: Llama 3's, or 1 and then "never" (gemma4)
};

struct xn_synth_tensor {
    char name[64];
    enum xn_role role;
    enum xn_synth_fill fill;
    float deviation;
    uint32_t type; // enum xn_type
    uint32_t n_dims;
    uint64_t dims[3]; // the row length first
    uint64_t bytes;
};

// The tensors of a shape under a preset, in the order of the file, into *out (n of them; free()).
int xn_synth_tensors(const struct xn_shape *shape, const struct xn_preset *preset, uint32_t layers,
                     struct xn_synth_tensor **out, size_t *n, struct xn_error *err);
// The metadata of a shape but for its tokenizer (synth_metadata.c).
struct xn_gguf_writer;
int xn_synth_add_metadata(struct xn_gguf_writer *writer, const struct xn_shape *shape, const struct xn_preset *preset,
                          uint32_t layers, struct xn_error *err);
// The made-up vocabulary and the rest of tokenizer.*, of `vocab` (at least 260) tokens.
int xn_synth_add_tokenizer(struct xn_gguf_writer *writer, uint32_t vocab, struct xn_error *err);
// Bytes of all tensors, and their number of values.
void xn_synth_sizes(const struct xn_synth_tensor *tensors, size_t n, uint64_t *bytes, uint64_t *parameters);

// Writes the file; it appears under `path` when it is complete. Memory stays within some tens of MB whatever the size.
// Progress: "writing", bytes.
int xn_synth_write(const struct xn_shape *shape, const struct xn_preset *preset, const struct xn_synth_options *options,
                   const char *path, const struct xn_progress *progress, struct xn_error *err);
