// A plan on an OpenCL device: its memory there, its launches, and the batch of a step.
#pragma once

#include "opencl/lower.h"

enum xn_cl_memory { // buffers of a step, in the order of the kernels' arguments
    XN_CL_OPS,
    XN_CL_STEP,
    XN_CL_PLACES,
    XN_CL_ACT,
    XN_CL_VEC,
    XN_CL_GRIDS, // the device's
    XN_CL_LOGITS,
    XN_CL_COUNTERS,
    XN_CL_MEMORIES,
};

struct xn_cl_made { // a kernel with its arguments set
    struct xn_cl_program_key key;
    cl_kernel kernel;
    uint32_t group, groups; // work-items of a group, groups of a launch
};

// By what the launches of steps differ: the shape that their rows ask of kernels, and those whose logits are wanted
// (XN_CL_SHAPES: none are), and what of logits.
struct xn_cl_step_shape {
    enum xn_cl_shape rows, outputs;
    bool candidates, sums; // the best tokens are wanted, with their sums
};

struct xn_executor {
    struct xn_cl_device *device;
    struct xn_host_memory view; // plan and limits alone: there is nothing in host memory
    struct xn_cl_lowered lowered;
    struct xn_cl_array *cache, *states; // keys and values of each layer [2 * n_cache]; [n_states]
    cl_mem memory[XN_CL_MEMORIES];
    uint64_t size[XN_CL_MEMORIES]; // bytes
    struct xn_cl_made *kernels;
    size_t n_kernels, kernels_capacity;
    uint32_t *kernel_of[XN_CL_SHAPES]; // [launches]: index into kernels
    cl_event *events;                  // [launches]
    struct xn_cl_recorded *recorded;   // recorded.h
    size_t n_recorded, recorded_capacity;
    const struct xn_batch *batch; // of the part before
    // The kernels that run any part of a step of few rows, XN_CL_NONE: there is none; whether in one launch; and what
    // the device-wide barrier has counted.
    uint32_t walker[XN_CL_SHAPES];
    bool walks;
    cl_uint barrier_base;
    cl_event together; // of launches that are one command
    bool apart;        // kinds of operations are to be told apart: there are none of those
    uint32_t *step;    // the batch as the device gets it
    size_t step_size, step_capacity;
    cl_mem pinned;                             // memory of the host that the device copies to at full speed, in which
    float *logits;                             // are, and what is told of them, as in the device's buffer
    uint32_t n_told;                           // outputs of which the best tokens are there,
    bool told_sums;                            // and their sums
    uint32_t launched;                         // kernels of the last step,
    enum xn_opencl_way way;                    // and how
    double seconds[XN_OP_KINDS], walk_seconds; // walk_seconds: of the last step
};

int xn_cl_executor_create(struct xn_cl_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                          struct xn_executor **out, struct xn_error *err);
struct xn_cl_tiles xn_cl_tiles_of(const struct xn_cl_device *device);
void xn_cl_executor_free(struct xn_executor *e); // accepts NULL
int xn_cl_executor_run(struct xn_executor *e, const struct xn_batch *batch, struct xn_error *err);
int xn_cl_executor_run_part(struct xn_executor *e, const struct xn_batch *batch, uint32_t first, uint32_t n,
                            struct xn_error *err);

// --- kernels (executor_kernels.c) ---

// Whether its walk of a few rows has products on the matrix unit: where any format has codes, and there are no experts.
// Other walks are as they were.
bool xn_cl_walks_tiles(const struct xn_executor *e);
// Makes the kernels that walk the plan, where the device can, and then those of all launches for which these are not.
int xn_cl_make_walkers(struct xn_executor *e, struct xn_error *err);
int xn_cl_make_kernels(struct xn_executor *e, struct xn_error *err);
void xn_cl_free_kernels(struct xn_executor *e); // the kernels, not their lists
struct xn_cl_step_shape xn_cl_step_shape_of(const struct xn_executor *e, const struct xn_batch *batch);
// The kernel of launch i in a step of such a shape; NULL: there it is none.
const struct xn_cl_made *xn_cl_kernel_of(const struct xn_executor *e, size_t i, struct xn_cl_step_shape shape);
// Whether a launch is one of the operations of a walk of few rows.
bool xn_cl_is_walked(const struct xn_cl_launch *launch, struct xn_cl_step_shape shape);
// Sets a kernel's arguments but for the operation, and the operation; of a walk n operations from this one on, whose
// barrier has counted so far.
int xn_cl_set_arguments(struct xn_executor *e, const struct xn_cl_made *kernel, struct xn_error *err);
int xn_cl_set_op(struct xn_executor *e, const struct xn_cl_made *kernel, cl_uint op, struct xn_error *err);
int xn_cl_set_walk(struct xn_executor *e, const struct xn_cl_made *kernel, cl_uint op, cl_uint n, struct xn_error *err);

// --- what comes of logits (candidates.c) ---

// Whether a step of this batch finds the best tokens of its outputs.
bool xn_cl_tells_candidates(const struct xn_executor *e, const struct xn_batch *batch);
// Tells the search for them how the head's slices lie, once those are cut.
void xn_cl_place_runs(struct xn_cl_lowered *lowered);
// Enqueues what a batch wants of the logits that its step computes.
int xn_cl_read_results(struct xn_executor *e, const struct xn_batch *batch, struct xn_error *err);
// As the functions of device.h.
bool xn_cl_candidates(struct xn_executor *e, uint32_t output, struct xn_row_candidates *out);
int xn_cl_read_logits(struct xn_executor *e, uint32_t output, struct xn_error *err);

// --- a step (step.c) ---

// Fills e->step with a checked batch.
int xn_cl_step_fill(struct xn_executor *e, const struct xn_batch *batch, struct xn_error *err);

// --- memory between steps (memory.c) ---

// As the functions of device.h.
int xn_cl_read_rows(struct xn_executor *e, int rows, uint32_t n, void *out, struct xn_error *err);
int xn_cl_write_rows(struct xn_executor *e, int rows, uint32_t n, const void *in, struct xn_error *err);
int xn_cl_copy_page(struct xn_executor *e, uint32_t from, uint32_t to, struct xn_error *err);
int xn_cl_copy_state(struct xn_executor *e, uint32_t from, uint32_t to, struct xn_error *err);
int xn_cl_clear_state(struct xn_executor *e, uint32_t slot, struct xn_error *err);
int xn_cl_read_page(struct xn_executor *e, uint32_t page, uint32_t n, void *out, struct xn_error *err);
int xn_cl_write_page(struct xn_executor *e, uint32_t page, uint32_t n, const void *in, struct xn_error *err);
int xn_cl_read_state(struct xn_executor *e, uint32_t slot, float *out, struct xn_error *err);
int xn_cl_write_state(struct xn_executor *e, uint32_t slot, const float *in, struct xn_error *err);
