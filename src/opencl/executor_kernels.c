// The kernels of a plan's launches: made for each shape of step, with their arguments.
#include "opencl/executor.h"

#include "base/log.h"
#include "opencl/layout.h"
#include "quant/format.h"

#include <stdlib.h>

// Work-items of a launch for each compute unit; of those that only wait for memory.
enum { ITEMS_A_UNIT = 512, LIGHT_ITEMS_A_UNIT = 2048 };

static int set_argument(struct xn_executor *e, const struct xn_cl_made *k, cl_uint i, size_t size, const void *value,
                        struct xn_error *err) {
    cl_int code = e->device->cl->SetKernelArg(k->kernel, i, size, value);
    if (code == CL_SUCCESS) return XN_OK;
    return xn_cl_fail(err, code, "%s: argument %u of kernel %s", e->device->info.name, i,
                      xn_cl_kernel_name(k->key.kernel));
}

// What is not there yet (the step) comes with the first run.
int xn_cl_set_arguments(struct xn_executor *e, const struct xn_cl_made *k, struct xn_error *err) {
    for (cl_uint i = 0; i < XN_CL_MEMORIES; i++)
        XN_TRY(set_argument(e, k, i, sizeof(cl_mem), &e->memory[i], err));
    for (cl_uint i = 0; i < XN_CL_HEAPS; i++)
        XN_TRY(set_argument(e, k, XN_CL_MEMORIES + i, sizeof(cl_mem), &e->device->heaps[i].buffer, err));
    return XN_OK;
}

int xn_cl_set_walk(struct xn_executor *e, const struct xn_cl_made *k, cl_uint op, cl_uint n, struct xn_error *err) {
    enum { OP = XN_CL_MEMORIES + XN_CL_HEAPS };
    XN_TRY(set_argument(e, k, OP, sizeof op, &op, err));
    XN_TRY(set_argument(e, k, OP + 1, sizeof n, &n, err));
    return set_argument(e, k, OP + 2, sizeof e->barrier_base, &e->barrier_base, err);
}

int xn_cl_set_op(struct xn_executor *e, const struct xn_cl_made *k, cl_uint op, struct xn_error *err) {
    if (k->key.kernel == XN_CL_KERNEL_WALK) return xn_cl_set_walk(e, k, op, 1, err);
    return set_argument(e, k, XN_CL_MEMORIES + XN_CL_HEAPS, sizeof op, &op, err);
}

static bool has_single(const struct xn_executor *e) {
    return xn_cl_has_single(e->device->dialect) || e->walker[XN_CL_ONE] != XN_CL_NONE;
}

static uint32_t groups_of(const struct xn_cl_device *d, uint32_t group, uint32_t items) {
    return d->info.units * (group < items ? items / group : 1);
}

// Groups that are resident at once where a compute unit is an engine of so many threads, each as wide as the smallest
// sub-group; 0: unknown.
static uint32_t resident_groups(const struct xn_cl_device *d, uint32_t group, uint32_t threads) {
    uint32_t width = UINT32_MAX, all;
    for (uint32_t i = 0; i < d->info.n_sub_groups; i++)
        if (d->info.sub_group[i] < width) width = d->info.sub_group[i];
    if (!threads || width > ITEMS_A_UNIT / threads) return 0;
    all = d->info.units * width * threads / group;
    return all ? all : 1;
}

// Tiles that more groups than are resident would share are cut into more parts than needed. With the most registers for
// each there are half as many threads of an engine.
static uint32_t groups_of_tiles(const struct xn_cl_device *d, enum xn_cl_dialect dialect, uint32_t group) {
    uint32_t of_unit = xn_cl_matrix_groups(dialect), all = resident_groups(d, group, xn_cl_unit_threads(dialect) / 2);
    if (of_unit) return d->info.units * of_unit;
    return all ? all : groups_of(d, group, ITEMS_A_UNIT);
}

struct xn_cl_tiles xn_cl_tiles_of(const struct xn_cl_device *d) {
    struct xn_cl_tiles t = {
        .cuts = xn_cl_can_walk_tiles(d->dialect) && !d->dp4a, .halves = d->dialect != XN_CL_PLAIN, .rounds = d->f16};
    for (int plain = 0; plain < 2; plain++) { // the device's own kernels may be refused
        enum xn_cl_dialect dialect = plain ? XN_CL_PLAIN : d->dialect;
        uint64_t groups = groups_of_tiles(d, dialect, xn_cl_matrix_group(d, dialect));
        uint64_t partial = 2 * groups * xn_cl_tile_size(dialect);
        if (partial > t.partial) t.partial = partial;
        if (groups > t.counters) t.counters = groups;
    }
    return t;
}

// Groups of a launch. Each group of a product of few rows stages all activations, so there are no more than are
// resident, where that is known.
static uint32_t groups_for(const struct xn_executor *e, const struct xn_cl_program_key *key, uint32_t group) {
    const struct xn_cl_device *d = e->device;
    unsigned needs = xn_cl_kernel_needs(key->kernel);
    uint32_t all = key->shape == XN_CL_MANY ? 0 : resident_groups(d, group, xn_cl_unit_threads(d->dialect));
    if (needs & XN_CL_LIGHT) return groups_of(d, group, LIGHT_ITEMS_A_UNIT);
    if (needs & XN_CL_MATRIX) return groups_of_tiles(d, d->dialect, group);
    return all ? all : groups_of(d, group, ITEMS_A_UNIT);
}

// The index of a kernel that is made at most once.
static int make_kernel(struct xn_executor *e, const struct xn_cl_program_key *key, uint32_t *index,
                       struct xn_error *err) {
    for (*index = 0; *index < e->n_kernels; ++*index)
        if (xn_cl_program_key_same(&e->kernels[*index].key, key)) return XN_OK;
    if (XN_GROW(e->kernels, e->kernels_capacity, e->n_kernels + 1) != 0)
        return xn_fail(err, XN_ERR_NOMEM, "no memory for kernels");
    struct xn_cl_made *made = &e->kernels[*index];
    *made = (struct xn_cl_made){.key = *key};
    XN_TRY(xn_cl_kernel_make(e->device, key, &made->kernel, &made->group, err));
    made->groups = groups_for(e, key, made->group);
    e->n_kernels++;
    return XN_OK;
}

void xn_cl_free_kernels(struct xn_executor *e) {
    for (size_t i = 0; i < e->n_kernels && !e->device->lost; i++)
        e->device->cl->ReleaseKernel(e->kernels[i].kernel);
    e->n_kernels = 0;
}

// Whether batches of a shape are possible.
static bool wants(const struct xn_executor *e, enum xn_cl_shape shape) {
    if (shape == XN_CL_MANY) return e->view.limits.rows > XN_CL_STREAM_TOKENS;
    if (shape == XN_CL_FEW && has_single(e) && e->view.limits.rows < 2) return false;
    return e->walker[shape] == XN_CL_NONE && (shape != XN_CL_ONE || has_single(e));
}

// How many of the launches there are kernels for; each may take its compiler seconds.
static int tell(struct xn_executor *e, size_t done, size_t total, struct xn_error *err) {
    if (!xn_progress_report(e->device->progress, "building kernels", done, total)) return XN_OK;
    return xn_fail(err, XN_ERR_CANCELLED, "building of kernels was cancelled");
}

static int make_all(struct xn_executor *e, struct xn_error *err) {
    const struct xn_cl_lowered *l = &e->lowered;
    for (int shape = 0; shape < XN_CL_SHAPES; shape++) {
        if (!wants(e, (enum xn_cl_shape)shape)) continue;
        for (size_t i = 0; i < l->n; i++) {
            XN_TRY(tell(e, (size_t)shape * l->n + i, XN_CL_SHAPES * l->n, err));
            if (!(l->launches[i].shapes >> shape & 1)) continue;
            struct xn_cl_program_key key = l->launches[i].key;
            key.shape = (enum xn_cl_shape)shape;
            int status = make_kernel(e, &key, &e->kernel_of[shape][i], err);
            // A compiler that is interrupted may call that a failure: LLVM's takes its half-written files away.
            struct xn_error cancelled;
            if (status != XN_OK && tell(e, i, XN_CL_SHAPES * l->n, &cancelled) != XN_OK) {
                *err = cancelled;
                return XN_ERR_CANCELLED;
            }
            XN_TRY(status);
        }
    }
    return tell(e, XN_CL_SHAPES * l->n, XN_CL_SHAPES * l->n, err);
}

// Kernels of the matrix layer pass values on as their dialect has them. So when the driver rejects one, all are made
// anew in the plain one.
int xn_cl_make_kernels(struct xn_executor *e, struct xn_error *err) {
    size_t n = e->lowered.n + 1;
    e->events = xn_alloc_zero(n, sizeof(cl_event));
    bool enough = e->events != NULL;
    for (int shape = 0; shape < XN_CL_SHAPES; shape++)
        enough = (e->kernel_of[shape] = xn_alloc(n, sizeof *e->kernel_of[shape])) && enough;
    if (!enough) return xn_fail(err, XN_ERR_NOMEM, "no memory for launches");
    bool plain = e->device->programs.plain_matrix;
    XN_TRY(make_all(e, err));
    if (plain == e->device->programs.plain_matrix) return XN_OK;
    xn_cl_free_kernels(e);
    return make_all(e, err);
}

// The formats of the operations that a walk of few rows has.
static uint64_t walked_formats(const struct xn_executor *e) {
    uint64_t formats = 0;
    for (size_t i = 0; i < e->lowered.n; i++)
        if (e->lowered.launches[i].shapes >> XN_CL_FEW & 1) formats |= e->lowered.launches[i].key.formats;
    return formats;
}

bool xn_cl_walks_tiles(const struct xn_executor *e) {
    uint64_t formats = walked_formats(e);
    if (!xn_cl_can_walk_tiles(e->device->dialect) || e->device->dp4a) return false;
    for (size_t i = 0; i < e->lowered.n; i++) {
        enum xn_cl_kernel kernel = e->lowered.launches[i].key.kernel;
        if (kernel == XN_CL_KERNEL_EXPERT_GATE || kernel == XN_CL_KERNEL_EXPERT_ADD) return false;
    }
    for (uint32_t type = 0; type < XN_TYPE_COUNT; type++)
        if (formats >> type & 1 && xn_cl_layout_has_codes(type)) return true;
    return false;
}

// The kernels that walk a plan, and run any part of it: there are no others for few rows then. (What
// CL_KERNEL_WORK_GROUP_SIZE says is no help: with NVIDIA it is 256 for kernels that run in groups of 1,024. A launch
// that is refused tells.)
int xn_cl_make_walkers(struct xn_executor *e, struct xn_error *err) {
    const struct xn_cl_lowered *l = &e->lowered;
    struct xn_cl_program_key key = {
        .kernel = XN_CL_KERNEL_WALK, .cache_type = e->view.limits.cache_type, .formats = walked_formats(e)};
    for (int shape = 0; shape < XN_CL_SHAPES; shape++)
        e->walker[shape] = XN_CL_NONE;
    if (!xn_cl_can_walk(e->device->dialect)) return XN_OK;
    for (size_t i = 0; i < l->n; i++) {
        const struct xn_cl_program_key *k = &l->launches[i].key;
        if (!xn_cl_is_walked(&l->launches[i], (struct xn_cl_step_shape){.rows = XN_CL_FEW, .candidates = true}))
            continue;
        key.few_sizes |= k->few_sizes;
        key.walked |= 1u << k->kernel;
    }
    for (int shape = XN_CL_FEW; shape <= XN_CL_ONE; shape++) {
        key.shape = (enum xn_cl_shape)shape;
        key.tiles = shape == XN_CL_FEW && xn_cl_walks_tiles(e);
        if (shape == XN_CL_FEW && e->view.limits.rows < 2) continue;
        XN_TRY(tell(e, (size_t)shape - XN_CL_FEW, 2, err));
        if (make_kernel(e, &key, &e->walker[shape], err) != XN_OK) {
            xn_log(XN_LOG_WARNING, "%s; steps are launched operation by operation", err->message);
            e->walker[XN_CL_FEW] = e->walker[XN_CL_ONE] = XN_CL_NONE;
            return XN_OK;
        }
        e->kernels[e->walker[shape]].groups = e->device->info.units;
    }
    e->walks = e->device->way <= XN_OPENCL_BY_WALK;
    return XN_OK;
}

static bool is_wanted(const struct xn_cl_launch *l, struct xn_cl_step_shape shape) {
    enum xn_cl_kernel kernel = l->key.kernel;
    if (kernel == XN_CL_KERNEL_SUMS) return shape.candidates && shape.sums;
    return shape.candidates || (kernel != XN_CL_KERNEL_TOPS && kernel != XN_CL_KERNEL_CANDIDATES);
}
// What the walk's head and search do themselves.
static bool stands_alone(const struct xn_cl_launch *l) {
    return l->key.kernel == XN_CL_KERNEL_TOPS || l->key.kernel == XN_CL_KERNEL_SUMS;
}

bool xn_cl_is_walked(const struct xn_cl_launch *l, struct xn_cl_step_shape shape) {
    return l->shapes >> XN_CL_FEW & 1 && is_wanted(l, shape) && !stands_alone(l);
}

const struct xn_cl_made *xn_cl_kernel_of(const struct xn_executor *e, size_t i, struct xn_cl_step_shape shape) {
    const struct xn_cl_launch *l = &e->lowered.launches[i];
    enum xn_cl_shape of = l->kind == XN_OP_HEAD ? shape.outputs : shape.rows;
    if (of == XN_CL_SHAPES || !(l->shapes >> of & 1) || !is_wanted(l, shape)) return NULL;
    if (e->walker[of] == XN_CL_NONE) return &e->kernels[e->kernel_of[of][i]];
    return stands_alone(l) ? NULL : &e->kernels[e->walker[of]];
}

static enum xn_cl_shape shape_of(const struct xn_executor *e, uint32_t rows) {
    if (rows == 0) return XN_CL_SHAPES;
    if (rows > XN_CL_STREAM_TOKENS) return XN_CL_MANY;
    return rows == 1 && has_single(e) ? XN_CL_ONE : XN_CL_FEW;
}

struct xn_cl_step_shape xn_cl_step_shape_of(const struct xn_executor *e, const struct xn_batch *batch) {
    bool candidates = xn_cl_tells_candidates(e, batch);
    return (struct xn_cl_step_shape){shape_of(e, batch->n_rows), shape_of(e, batch->n_outputs), candidates,
                                     candidates && batch->sums};
}
