// A plan on the processor: its memory, scratch and team, and what the drivers of operations (ops/*.c) share. A driver
// is called by every thread of the team at once; between two operations stands a barrier.
#pragma once

#include "base/memory.h"
#include "base/thread_pool.h"
#include "cpu/kernels.h"
#include "cpu/store.h"
#include "device/host.h"

struct xn_cpu_device {
    struct xn_device device;
    struct xn_cpu_kernels kernels;
    struct xn_pool *pool;
    char name[64];
    struct xn_cpu_store *store; // weights in large pages; NULL: they stay where they are
    bool measures;              // crossovers
    char *crossover_path;       // where crossovers are kept; NULL: nowhere
    bool crossed[XN_CPU_TYPES]; // those known
};

// The processor behind a device, or NULL if it is another kind.
struct xn_cpu_device *xn_cpu_device_of(struct xn_device *device);

enum {
    XN_CPU_BLOCK = 192,    // the most rows of weights in a block of work: whole strips and tiles of every kernel
    XN_CPU_DEPTH = 256,    // columns that are decoded at once to floats: a multiple of every format's block
    XN_CPU_DEPTH16 = 2048, // likewise to bfloat16, at the most: a multiple of XN_CPU_DEPTH
    XN_CPU_CHUNK = 64,     // positions that attention and recurrent mixers take at once: a multiple of XN_CPU_PAD
    XN_CPU_MAX_TAPS = 64,  // of a convolution
    XN_CPU_QUERIES = 64    // query heads (times rows) that attention takes at once
};

// What belongs to one thread.
struct xn_cpu_thread {
    float *decoded; // a row of weights, or a part of a block's columns: XN_CPU_BLOCK x XN_CPU_DEPTH
    float *tile;    // result of a tiled product: rows x XN_CPU_BLOCK
    float *out[2];  // results of products: rows x XN_CPU_BLOCK
    float *work;    // of attention, recurrent mixers and products by heads
};

// cos and sin (times magnitude) of each row of the batch, for one rope that the plan uses: dims / 2 of each a row.
struct xn_cpu_rope {
    const struct xn_rope *rope;
    float *table; // limits.rows x dims
};

// Rows that chose the same expert: entries [first, first + n) of `chosen`.
struct xn_cpu_group {
    uint32_t expert, first, n;
    uint32_t panel; // first row of its panels, where it has some
};

struct xn_executor {
    struct xn_cpu_device *device;
    const struct xn_cpu_kernels *kernels;
    struct xn_pool *pool;
    uint32_t threads;
    bool rough; // all of the plan's products round activations, so attention may
    struct xn_host_memory memory;
    const struct xn_batch *batch; // of the step
    bool begins;                  // the step is at its first part
    uint32_t first, end;          // operations of the part
    int status;                   // of the step: what thread 0 met
    struct xn_error *error;

    uint32_t *row_span; // [limits.rows]: span of each row
    struct xn_cpu_rope *ropes;
    uint32_t n_ropes;
    uint32_t *part_rope; // [n_ops x XN_MAX_PARTS]: index into ropes
    float **conv;        // [n_ops]: taps of a convolution as [tap][channel]

    float *values;              // normalised inputs
    int8_t *integers;           // inputs as integers: xn_cpu_integer_row
    float *rounded;             // inputs of a few rows, rounded to bfloat16
    void *panel[XN_TILE_KINDS]; // inputs side by side
    void *handed;               // what `gate` leaves for the next product: panels
    float *scratch;             // results that wait for a norm or for the cache
    float *partial;             // of attention split over positions
    struct xn_cpu_group *groups;
    uint32_t n_groups;
    uint32_t *chosen;       // [rows x used]: row * used + j, by expert
    uint32_t *chosen_row;   // the same divided by `used`
    uint32_t *expert_first; // [n_experts + 1]

    struct xn_cpu_thread *thread;
    struct xn_arena arena; // owns all of it but the host memory
    double seconds[XN_OP_KINDS];
};

// Bytes of the scratch that an executor allocates.
uint64_t xn_cpu_scratch_bytes(const struct xn_cpu_device *device, const struct xn_plan *plan,
                              const struct xn_limits *limits);
int xn_cpu_executor_create(struct xn_cpu_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                           struct xn_executor **out, struct xn_error *err);
void xn_cpu_executor_free(struct xn_executor *e);
int xn_cpu_executor_run(struct xn_executor *e, const struct xn_batch *batch, struct xn_error *err);
int xn_cpu_executor_run_part(struct xn_executor *e, const struct xn_batch *batch, uint32_t first, uint32_t n,
                             struct xn_error *err);

// Drivers.
typedef void xn_cpu_op(struct xn_executor *e, uint32_t thread, const struct xn_op *op);
extern xn_cpu_op *const xn_cpu_ops[XN_OP_KINDS]; // NULL: the plain-C operation
xn_cpu_op xn_cpu_op_embed, xn_cpu_op_project, xn_cpu_op_attend, xn_cpu_op_delta_net, xn_cpu_op_state_space,
    xn_cpu_op_short_conv, xn_cpu_op_heads, xn_cpu_op_project_add, xn_cpu_op_add, xn_cpu_op_gate, xn_cpu_op_route,
    xn_cpu_op_expert_gate, xn_cpu_op_expert_add, xn_cpu_op_head;

// Floats of `work` that an operation wants of each thread.
size_t xn_cpu_attend_work(const struct xn_cpu_kernels *kernels, const struct xn_op_attend *attend);
// Whether all products of the plan round activations.
bool xn_cpu_is_rough(const struct xn_cpu_kernels *kernels, const struct xn_plan *plan);
// Floats of partial results that attention in a batch of at most `rows` rows wants.
size_t xn_cpu_attend_partial(const struct xn_op_attend *attend, uint32_t rows, uint32_t threads);
size_t xn_cpu_delta_net_work(const struct xn_op_delta_net *delta);
uint32_t xn_cpu_delta_net_channels(const struct xn_op_delta_net *delta);
size_t xn_cpu_state_space_work(const struct xn_op_state_space *space);
uint32_t xn_cpu_state_space_channels(const struct xn_op_state_space *space);
size_t xn_cpu_heads_work(const struct xn_cpu_kernels *kernels, const struct xn_plan *plan,
                         const struct xn_op_heads *heads, uint32_t rows);

// The share [*begin, *end) of n things that falls to a thread.
static inline void xn_cpu_share(uint32_t n, uint32_t thread, uint32_t threads, uint32_t *begin, uint32_t *end) {
    *begin = (uint32_t)((uint64_t)n * thread / threads);
    *end = (uint32_t)((uint64_t)n * (thread + 1) / threads);
}

// The next of the shares of n things, one a thread, as items of xn_pool_take; false: there is none. So what one thread
// is late for others do.
static inline bool xn_cpu_next_share(const struct xn_executor *e, uint32_t thread, uint32_t n, uint32_t *begin,
                                     uint32_t *end) {
    uint32_t share = xn_pool_take(e->pool, thread, e->threads);
    if (share == UINT32_MAX) return false;
    xn_cpu_share(n, share, e->threads, begin, end);
    return true;
}

// How the columns of `heads` heads' states are cut into slices (of so many columns each, but for the last), so that
// every thread has one: into one where heads are no fewer than threads.
static inline uint32_t xn_cpu_slice_columns(const struct xn_executor *e, uint32_t heads, uint32_t columns,
                                            uint32_t *slices) {
    uint32_t wanted = (e->threads + heads - 1) / heads, each = columns;
    if (wanted > 1) each = ((columns + wanted - 1) / wanted + XN_CPU_PAD - 1) / XN_CPU_PAD * XN_CPU_PAD;
    *slices = (columns + each - 1) / each;
    return each;
}

// Row i of the inputs as integers, rows of k values: its integers, scales, sums; then its lanes, narrow and wide.
static inline size_t xn_cpu_integer_bytes(uint32_t k) {
    size_t padded = ((size_t)k + XN_CPU_SUPER - 1) / XN_CPU_SUPER * XN_CPU_SUPER;
    return padded + padded / 16 * 2 * sizeof(float) +
           padded / XN_CPU_SUPER * (sizeof(struct xn_cpu_lanes) + sizeof(struct xn_cpu_wide));
}
static inline struct xn_cpu_row xn_cpu_integer_row(const struct xn_executor *e, uint32_t k, uint32_t i) {
    size_t padded = ((size_t)k + XN_CPU_SUPER - 1) / XN_CPU_SUPER * XN_CPU_SUPER;
    int8_t *q = e->integers + i * xn_cpu_integer_bytes(k);
    float *scale = (float *)(void *)(q + padded);
    struct xn_cpu_lanes *lanes = (struct xn_cpu_lanes *)(void *)(scale + padded / 8);
    return (struct xn_cpu_row){q, scale, scale + padded / 16, lanes,
                               (struct xn_cpu_wide *)(void *)(lanes + padded / XN_CPU_SUPER)};
}

static inline uint32_t xn_cpu_round_up(uint32_t n, uint32_t to) {
    return (n + to - 1) / to * to;
}
