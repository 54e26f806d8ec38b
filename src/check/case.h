// One operation with everything that it reads and writes, drawn at random: a plan, weights, a batch of several
// sequences over permuted cache pages, and the memory before the step. What a case is follows from its wish alone, so a
// wish repeats it. The tests of a device and `xenon check` draw their cases here.
#pragma once

#include "base/memory.h"
#include "device/host.h"

// Blocks of random bits of every format, scales of ordinary size, of which matrices are strung together.
struct xn_check_blocks;
int xn_check_blocks_make(uint64_t seed, struct xn_check_blocks **out, struct xn_error *err);
void xn_check_blocks_free(struct xn_check_blocks *blocks); // accepts NULL

struct xn_check_wish {
    enum xn_op_kind kind;
    uint32_t type;       // of the weights, and in attention of the cache; XN_TYPE_COUNT: drawn
    uint32_t cache_type; // of what else uses a cache; 0: drawn
    uint32_t rows;       // of the batch; 0: drawn
    uint32_t columns;    // of the matrices, a multiple of the format's block; 0: drawn
    uint32_t outputs;    // rows of the matrices (of a project's first, at the most); 0: drawn
    // To measure: one sequence, typical sizes, and no feature that most models lack.
    bool plain;
    uint32_t past;   // plain: positions in the cache before the rows
    uint32_t copies; // of the operation in the plan, each with weights of its own; 0: one
    uint64_t seed;
};

// A matrix, and where in its struct xn_op the weights made of it belong.
struct xn_check_matrix {
    struct xn_matrix matrix;
    size_t slot;
};

struct xn_check_case {
    struct xn_check_wish wish;
    char what[256]; // its sizes, for a person
    struct xn_plan plan;
    struct xn_cache_layer cache;
    struct xn_state_layer states;
    struct xn_limits limits;
    struct xn_batch batch;
    struct xn_host_memory before;     // of the step
    struct xn_host_memory after;      // as the plain-C operations leave it; empty until xn_check_case_expect
    struct xn_check_matrix *matrices; // operation by operation
    uint32_t n_matrices;
    bool *tied; // route: [limits.rows], rows whose choice a rounding may change; NULL: none
    // What an operation's result may be off by, relative: exact with float32 arithmetic; where it multiplies weights
    // (rounds), `magnify` times what the device's rounding of activations costs a product as well.
    double exact, magnify;
    bool rounds;
    bool recurrent; // a recurrence, which may magnify what any rounding of its inputs did
    struct xn_arena arena;
};

// Draws a case. Errors: no memory, a wish of columns that the format can't have.
int xn_check_case_make(const struct xn_check_wish *wish, const struct xn_check_blocks *blocks,
                       struct xn_check_case **out, struct xn_error *err);
void xn_check_case_free(struct xn_check_case *c); // accepts NULL
// Computes `after`.
int xn_check_case_expect(struct xn_check_case *c, struct xn_error *err);

// Recurrences: raises `exact` to what noise of 2^-15 in what the operation reads changes in the plain-C result, if that
// is more (*raised), up to 1e-3: long memories whose terms cancel, or norms of small vectors. Costs a run of the
// plain-C operation, so only a result that is off asks for it.
int xn_check_case_allow_unsteady(struct xn_check_case *c, bool *raised, struct xn_error *err);

// Packs the matrices for a device and points the plan's operations to them, until the next bind.
struct xn_check_weights {
    struct xn_device *device;
    struct xn_weights **packed; // [n]
    uint32_t n;
};
int xn_check_bind(struct xn_check_case *c, struct xn_device *device, struct xn_check_weights *out,
                  struct xn_error *err); // on failure *out is empty
void xn_check_unbind(struct xn_check_weights *weights);

// What one operation of the case must read from memory and compute at the least; 0 where that is not simply said.
struct xn_check_cost {
    double bytes, flops;
};
struct xn_check_cost xn_check_case_cost(const struct xn_check_case *c);
