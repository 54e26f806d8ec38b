// What a device does, as a table of functions: describe itself, pack matrices, prepare a plan with its memory, run a
// step, copy cache pages and states. The engine holds a `struct xn_device *` and knows nothing else of processors or
// GPUs.
#pragma once

#include "base/error.h"
#include "base/log.h"
#include "device/candidates.h"
#include "device/ops.h"

#include <stdbool.h>
#include <stdint.h>

// Rows of one sequence in a batch: n_rows rows from first_row, at positions past .. past + n_rows - 1.
struct xn_span {
    uint32_t first_row, n_rows;
    uint32_t past;        // positions already in the cache
    const int32_t *pages; // page i holds positions [i * page_size, (i + 1) * page_size)
    uint32_t slot;        // state slot
    uint32_t rope_length; // positions that ropes which follow the sequence's length are set for (xn_rope_at)
};

// One step: rows of any mix of sequences and phases. Spans cover the rows in order, without gaps; a sequence has at
// most one.
struct xn_batch {
    uint32_t n_rows;
    const int32_t *tokens;    // [n_rows], each in [0, vocab)
    const int32_t *positions; // [n_rows]
    uint32_t n_spans;
    const struct xn_span *spans;
    uint32_t n_outputs;
    const uint32_t *outputs; // rows whose logits are wanted, ascending
    bool keep_rows;          // afterwards X is read (read_rows), as the head finds it
    // Outputs whose logits come to the host; NULL: all. Of the others the best tokens are wanted instead, of a device
    // that tells them (`candidates`); one that does not gives all logits.
    const bool *whole; // [n_outputs]
    bool sums;         // with their sums
};

// Memory and sizes that a prepared plan may use.
struct xn_limits {
    uint32_t rows;       // the most of a batch
    uint32_t outputs;    // the most of a batch
    uint32_t page_size;  // positions a page
    uint32_t pages;      // of the whole cache
    uint32_t slots;      // of states
    uint32_t cache_type; // one of device/cache.h that the device knows; XN_TYPE_COUNT: the device's choice
};

struct xn_device_info {
    char name[128];       // of the hardware
    char backend[64];     // "CPU avx512", "reference", ...
    uint32_t threads;     // 0: not that kind of device
    uint64_t memory;      // bytes
    uint64_t free_memory; // of them, as far as is known
};

// Rows that operations leave each other: those of a buffer (its number, enum xn_buffer; float32, as wide as the plan
// says), and the routing's (route_width wide; ids are int32).
enum { XN_ROWS_IDS = XN_BUFFERS, XN_ROWS_WEIGHTS, XN_ROWS };

struct xn_device;   // begins with `const struct xn_device_table *table`
struct xn_executor; // a plan ready to run, with its activations, cache and states

struct xn_device_table {
    void (*describe)(const struct xn_device *device, struct xn_device_info *info);
    void (*free)(struct xn_device *device); // after its weights and executors

    // Of a device made of others: decides which of them runs each operation of a plan, before matrices are packed. The
    // weights that the plan names are only told of (xn_host_describe_weights); `limits`: those that contexts are
    // expected to have. *use: the device on which the model is then packed and run: this one or, where one of the
    // others does everything, that one. packed: NULL; called again when packing on *use failed for want of memory and
    // all weights were unpacked, the bytes of them that there had been: decides otherwise, or fails. The plan is not
    // kept. NULL: the device is one.
    int (*place)(struct xn_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                 const uint64_t *packed, struct xn_device **use, struct xn_error *err);
    // Bytes that pack would take of the device's own memory. NULL: as many as the file's.
    uint64_t (*packed_bytes)(const struct xn_device *device, const struct xn_matrix *matrix);
    // Says that matrices of about so many bytes are about to be packed, so that memory for them is taken in few pieces,
    // and no more than that. NULL: of no use to this device.
    void (*expect)(struct xn_device *device, uint64_t bytes);
    // Makes the device itself ready for packing and what follows, which is done then at the latest: for whoever would
    // rather do without a device that fails at it. NULL: nothing is to be done.
    int (*ready)(struct xn_device *device, struct xn_error *err);
    // Makes a matrix ready for this device's kernels. The matrix's data may be used in place: it must outlive the
    // weights.
    int (*pack)(struct xn_device *device, const struct xn_matrix *matrix, struct xn_weights **out,
                struct xn_error *err);
    void (*unpack)(struct xn_device *device, struct xn_weights *weights); // frees; accepts NULL

    // Whom `prepare` tells of what takes long (the building of kernels), from now on; `progress` outlives the device.
    // NULL: nothing takes long here.
    void (*watch)(struct xn_device *device, const struct xn_progress *progress);
    // Allocates a plan's memory. The plan (and all it points to) must outlive the executor.
    int (*prepare)(struct xn_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                   struct xn_executor **out, struct xn_error *err);
    void (*release)(struct xn_device *device, struct xn_executor *executor); // accepts NULL
    // Bytes that prepare would allocate for cache and states / for activations. The plan's weights may be only told of.
    void (*memory)(const struct xn_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                   uint64_t *cache_bytes, uint64_t *activation_bytes);

    // Runs all operations for the batch and waits. Afterwards logits() holds n_outputs rows of vocab float32, until the
    // next run.
    int (*run)(struct xn_executor *executor, const struct xn_batch *batch, struct xn_error *err);
    const float *(*logits)(struct xn_executor *executor);
    // After a step with outputs that were not whole: the best tokens of one of its outputs. False: the device did not
    // find them this time (too many logits are equal, the step was cut), and all logits tell. NULL: it tells none ever.
    bool (*candidates)(struct xn_executor *executor, uint32_t output, struct xn_row_candidates *out);
    // Makes logits() hold the row of an output that was not whole, until the next step that has outputs. NULL where
    // `candidates` is.
    int (*read_logits)(struct xn_executor *executor, uint32_t output, struct xn_error *err);

    // A part of a step, for a device made of others: operations [first, first + n) of the plan, and what they read of
    // earlier parts is in the rows. The first of a part is marked in the plan (xn_op.apart). batch NULL: that of the
    // part before, which must still stand. Logits are there after the part that has the head. NULL: only whole steps.
    int (*run_part)(struct xn_executor *executor, const struct xn_batch *batch, uint32_t first, uint32_t n,
                    struct xn_error *err);
    // The first n rows of a kind (XN_ROWS_...), whole, from and to host memory, between parts. Every device reads X
    // after a step whose batch keeps rows: what the head's norm is taken of.
    int (*read_rows)(struct xn_executor *executor, int rows, uint32_t n, void *out, struct xn_error *err);
    int (*write_rows)(struct xn_executor *executor, int rows, uint32_t n, const void *in, struct xn_error *err);

    // Cache and states between steps.
    int (*copy_page)(struct xn_executor *executor, uint32_t from, uint32_t to, struct xn_error *err);
    int (*copy_state)(struct xn_executor *executor, uint32_t from, uint32_t to, struct xn_error *err);
    int (*clear_state)(struct xn_executor *executor, uint32_t slot, struct xn_error *err); // to zeros: a new sequence

    // The same to and from host memory, for what is saved. A page's first n positions are, layer by layer of the plan's
    // cache, the keys [kv_heads][n][key_size] and then the values [kv_heads][n][value_size], in the type of the cache
    // (device/cache.h); a slot is, state by state of the plan, its conv_size + recurrent_size float32 values.
    uint32_t (*cache_type)(const struct xn_executor *executor);
    int (*read_page)(struct xn_executor *executor, uint32_t page, uint32_t n, void *out, struct xn_error *err);
    int (*write_page)(struct xn_executor *executor, uint32_t page, uint32_t n, const void *in, struct xn_error *err);
    int (*read_state)(struct xn_executor *executor, uint32_t slot, float *out, struct xn_error *err);
    int (*write_state)(struct xn_executor *executor, uint32_t slot, const float *in, struct xn_error *err);

    // How many kernels the last run launched, and in which way: "walk" (one kernel goes through all operations),
    // "command buffer" (one after the other, recorded once and enqueued as one command) or "launches" (one after the
    // other). NULL: not that kind of device.
    uint32_t (*launches)(const struct xn_executor *executor, const char **how);

    // Seconds spent in each kind of operation since the last call (then reset).
    void (*times)(struct xn_executor *executor, double seconds[XN_OP_KINDS]);
    // Whether steps from now on are run so that the kinds of operations can be told apart, which may take longer. NULL:
    // they always are.
    void (*tell_apart)(struct xn_executor *executor, bool apart);
};

struct xn_device {
    const struct xn_device_table *table;
};

// The plain-C device: one thread, every operation as ops.h writes it, float32 cache. The truth that others are held to.
int xn_reference_device_open(struct xn_device **out, struct xn_error *err);
