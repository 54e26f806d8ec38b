// What the files of this folder share.
#pragma once

#include "base/memory.h"
#include "device/effects.h"
#include "device/host.h"
#include "device/split/split.h"

// Which member runs what, of one plan. Weights that were packed by it hold it.
struct xn_split_matrix {
    struct xn_matrix matrix;
    uint32_t members; // bit m: member m needs it
};
struct xn_split_placement {
    uint32_t references;
    uint32_t n_ops;
    uint8_t *member; // [n_ops]
    struct xn_split_matrix *matrices;
    size_t n_matrices, capacity;
    uint32_t used; // bit m: member m runs something
};
void xn_split_placement_drop(struct xn_split_placement *placement); // a reference; accepts NULL

struct xn_split_device {
    struct xn_device device;
    struct xn_split_member member[XN_SPLIT_MEMBERS];
    uint32_t n_members;
    int spill, layers;
    bool experts, few;
    struct xn_split_placement *placement; // the last
    uint64_t budget[XN_SPLIT_MEMBERS];    // bytes, as they were when it was decided
    uint64_t packed[XN_SPLIT_MEMBERS];    // bytes since it was decided
    uint32_t piece_rows;                  // rows that members compute at once at the least; of tests: fewer
    uint64_t random;                      // of tests: not 0: operations are dealt out at random, by it
    int failed;                           // the member that had no memory for a matrix; -1: none
};

// A matrix on the members that need it. The first member makes it what plans point to.
struct xn_split_weights {
    struct xn_weights weights; // matrix alone
    struct xn_split_placement *placement;
    struct xn_weights *on[XN_SPLIT_MEMBERS]; // NULL: not there
};

// Bytes that a matrix takes on a device.
uint64_t xn_split_packed_bytes(const struct xn_device *device, const struct xn_matrix *matrix);

// --- deciding (place.c) ---

// As `place` of device.h.
int xn_split_place(struct xn_split_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                   const uint64_t *packed, struct xn_error *err);
// Which options would fit, with limits as they are now: what an error may advise.
void xn_split_advise(const struct xn_split_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                     char *advice, size_t size);

// --- cutting (stages.c) ---

// Rows of a kind that a member needs of another before a stage.
struct xn_split_move {
    uint8_t from, to;
    int rows;
};
// Operations of one member that run in one go.
struct xn_split_stage {
    uint8_t member;
    uint32_t first, n; // of the member's plan
    uint32_t first_move, n_moves;
};
// Where a layer of the cache or a state went.
struct xn_split_home {
    uint8_t member;
    uint32_t index; // in the member's plan
};
struct xn_split_cut {
    struct xn_plan plan[XN_SPLIT_MEMBERS]; // of each member; n_ops 0: it has nothing to do
    struct xn_split_stage *stages;
    size_t n_stages;
    struct xn_split_move *moves;
    size_t n_moves;
    struct xn_split_home *cache, *states; // of each of the whole plan's layers
    int head;                             // the member that computes logits; -1: none does
    struct xn_arena arena;                // of all of it
};
// Cuts a plan by `member` of each operation. An operation whose cache is on another member goes there. weights: those
// that the plan names are ours, and each member's plan gets its own of them; else they stay as they are. On failure
// *out is empty.
int xn_split_cut_plan(const struct xn_plan *plan, const uint8_t *member, uint32_t n_members, bool weights,
                      struct xn_split_cut *out, struct xn_error *err);
void xn_split_cut_free(struct xn_split_cut *cut);
// The limits of a member: one that computes no logits needs no room for them.
struct xn_limits xn_split_limits(const struct xn_split_cut *cut, uint32_t member, const struct xn_limits *limits);
// Moves operations to where their cache or state is: that of the first that names it.
int xn_split_follow_caches(const struct xn_plan *plan, uint8_t *member, struct xn_error *err);

// --- running (executor.c) ---

struct xn_executor {
    struct xn_split_device *device;
    const struct xn_plan *plan; // the whole one
    struct xn_split_cut cut;
    struct xn_limits limits; // cache type resolved
    struct xn_executor *on[XN_SPLIT_MEMBERS];
    void *rows;     // on their way: limits.rows of the widest that move
    char *piece;    // a page or a state of one member
    bool gathered;  // the last step's logits are these
    float *logits;  // of a step in pieces
    void **carried; // [moves]: rows of all pieces, on their way
};

static inline const struct xn_device_table *xn_split_table(const struct xn_executor *e, uint32_t member) {
    return e->device->member[member].device->table;
}
int xn_split_read_rows(struct xn_executor *e, const struct xn_split_move *move, uint32_t n, void *out,
                       struct xn_error *err);
int xn_split_write_rows(struct xn_executor *e, const struct xn_split_move *move, uint32_t n, const void *in,
                        struct xn_error *err);
// batch NULL: that of the member's stage before.
int xn_split_run_stage(struct xn_executor *e, const struct xn_split_stage *stage, const struct xn_batch *batch,
                       struct xn_error *err);

// --- members at work at once (pipeline.c) ---

// Whether a batch is worth it, and the stages allow it.
bool xn_split_pipes(const struct xn_executor *e, const struct xn_batch *batch);
int xn_split_run_pipeline(struct xn_executor *e, const struct xn_batch *batch, struct xn_error *err);
void xn_split_pipeline_free(struct xn_executor *e);

// As the functions of device.h.

int xn_split_prepare(struct xn_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                     struct xn_executor **out, struct xn_error *err);
void xn_split_release(struct xn_device *device, struct xn_executor *e);
void xn_split_memory(const struct xn_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                     uint64_t *cache_bytes, uint64_t *activation_bytes);
int xn_split_run(struct xn_executor *e, const struct xn_batch *batch, struct xn_error *err);
const float *xn_split_logits(struct xn_executor *e);
bool xn_split_candidates(struct xn_executor *e, uint32_t output, struct xn_row_candidates *out);
int xn_split_read_logits(struct xn_executor *e, uint32_t output, struct xn_error *err);
int xn_split_read_final_rows(struct xn_executor *e, int rows, uint32_t n, void *out, struct xn_error *err);
int xn_split_copy_page(struct xn_executor *e, uint32_t from, uint32_t to, struct xn_error *err);
int xn_split_copy_state(struct xn_executor *e, uint32_t from, uint32_t to, struct xn_error *err);
int xn_split_clear_state(struct xn_executor *e, uint32_t slot, struct xn_error *err);
uint32_t xn_split_cache_type(const struct xn_executor *e);
int xn_split_read_page(struct xn_executor *e, uint32_t page, uint32_t n, void *out, struct xn_error *err);
int xn_split_write_page(struct xn_executor *e, uint32_t page, uint32_t n, const void *in, struct xn_error *err);
int xn_split_read_state(struct xn_executor *e, uint32_t slot, float *out, struct xn_error *err);
int xn_split_write_state(struct xn_executor *e, uint32_t slot, const float *in, struct xn_error *err);
void xn_split_times(struct xn_executor *e, double seconds[XN_OP_KINDS]);
void xn_split_tell_apart(struct xn_executor *e, bool apart);
uint32_t xn_split_launches(const struct xn_executor *e, const char **how);
