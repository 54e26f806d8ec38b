#include "opencl/executor.h"

#include "base/log.h"
#include "device/cache.h"
#include "opencl/recorded.h"

#include <stdlib.h>
#include <string.h>

// Work-items of a launch for each compute unit; of those that only wait for memory.
enum { ITEMS_A_UNIT = 512, LIGHT_ITEMS_A_UNIT = 2048, ENGINE_THREADS = 8 };

// --- memory ---

static int take_cache(struct xn_executor *e, struct xn_error *err) {
    const struct xn_plan *plan = e->view.plan;
    const struct xn_limits *limits = &e->view.limits;
    e->cache = xn_alloc_zero(2 * (size_t)plan->n_cache + 1, sizeof *e->cache);
    e->states = xn_alloc_zero((size_t)plan->n_states + 1, sizeof *e->states);
    uint64_t bytes, activations;
    xn_host_memory_size(plan, limits, &bytes, &activations);
    e->device->expected = bytes;
    if (!e->cache || !e->states) return xn_fail(err, XN_ERR_NOMEM, "no memory for a cache");
    for (uint32_t i = 0; i < 2 * plan->n_cache; i++) {
        const struct xn_cache_layer *c = &plan->cache[i / 2];
        uint64_t page = (uint64_t)limits->page_size * c->kv_heads, size = i % 2 ? c->value_size : c->key_size;
        uint64_t bytes_each = xn_cache_bytes(limits->cache_type, size);
        if (page > UINT32_MAX || page * bytes_each > UINT32_MAX)
            return xn_fail(err, XN_ERR_LIMIT, "cache: pages of %u positions by %u heads of %llu values are too large",
                           limits->page_size, c->kv_heads, (unsigned long long)size);
        XN_TRY(xn_cl_array_take(e->device, limits->pages, page * bytes_each, "cache", &e->cache[i], err));
    }
    for (uint32_t i = 0; i < plan->n_states; i++) {
        uint64_t size = (uint64_t)plan->states[i].conv_size + plan->states[i].recurrent_size;
        if (size > UINT32_MAX) return xn_fail(err, XN_ERR_LIMIT, "states of %llu values", (unsigned long long)size);
        XN_TRY(xn_cl_array_take(e->device, limits->slots, size * sizeof(float), "states", &e->states[i], err));
    }
    return XN_OK;
}

static int take_buffer(struct xn_executor *e, enum xn_cl_memory which, uint64_t size, const char *what,
                       const void *from, struct xn_error *err) {
    struct xn_cl_device *d = e->device;
    cl_int code = CL_SUCCESS;
    static const cl_uint zero = 0;
    if (size == 0) size = sizeof zero;
    XN_TRY(xn_cl_buffer(d, size, what, &e->memory[which], err));
    e->size[which] = size;
    if (from)
        code = d->cl->EnqueueWriteBuffer(d->queue, e->memory[which], CL_TRUE, 0, size, from, 0, NULL, NULL);
    else
        code = d->cl->EnqueueFillBuffer(d->queue, e->memory[which], &zero, sizeof zero, 0, size, 0, NULL, NULL);
    return code == CL_SUCCESS ? XN_OK : xn_cl_fail(err, code, "%s: writing %s", d->info.name, what);
}

static int take_pinned(struct xn_executor *e, size_t bytes, struct xn_error *err) {
    const struct xn_cl_device *d = e->device;
    cl_int code;
    e->pinned = d->cl->CreateBuffer(d->context, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR, bytes, NULL, &code);
    if (e->pinned)
        e->logits = d->cl->EnqueueMapBuffer(d->queue, e->pinned, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0, bytes, 0, NULL,
                                            NULL, &code);
    return e->logits ? XN_OK : xn_cl_fail(err, code, "%.1f MB of the host for logits", (double)bytes * 1e-6);
}

static int take_buffers(struct xn_executor *e, struct xn_error *err) {
    const struct xn_cl_lowered *l = &e->lowered;
    uint64_t logits = (uint64_t)e->view.limits.outputs * e->view.plan->vocab;
    XN_TRY(take_buffer(e, XN_CL_OPS, (l->n_ops + l->n_many_ops) * XN_CL_OP_BYTES, "operations", l->ops, err));
    XN_TRY(take_buffer(e, XN_CL_PLACES, l->n_places * sizeof *l->places, "places", l->places, err));
    XN_TRY(take_buffer(e, XN_CL_VEC, l->n_vec * sizeof *l->vec, "vectors", l->vec, err));
    XN_TRY(take_buffer(e, XN_CL_ACT, l->map.size * 4, "activations", NULL, err));
    XN_TRY(take_buffer(e, XN_CL_COUNTERS, l->map.counters * 4, "counters", NULL, err));
    XN_TRY(take_buffer(e, XN_CL_LOGITS, logits * 4, "logits", NULL, err));
    e->memory[XN_CL_GRIDS] = e->device->grids;
    return take_pinned(e, (size_t)(logits ? logits : 1) * sizeof *e->logits, err);
}

// --- kernels ---

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

// Of a walk: n operations from this one on, whose barrier has counted so far.
static int set_walk(struct xn_executor *e, const struct xn_cl_made *k, cl_uint op, cl_uint n, struct xn_error *err) {
    enum { OP = XN_CL_MEMORIES + XN_CL_HEAPS };
    XN_TRY(set_argument(e, k, OP, sizeof op, &op, err));
    XN_TRY(set_argument(e, k, OP + 1, sizeof n, &n, err));
    return set_argument(e, k, OP + 2, sizeof e->barrier_base, &e->barrier_base, err);
}

int xn_cl_set_op(struct xn_executor *e, const struct xn_cl_made *k, cl_uint op, struct xn_error *err) {
    if (k->key.kernel == XN_CL_KERNEL_WALK) return set_walk(e, k, op, 1, err);
    return set_argument(e, k, XN_CL_MEMORIES + XN_CL_HEAPS, sizeof op, &op, err);
}

static bool has_single(const struct xn_executor *e) {
    return xn_cl_has_single(e->device->dialect) || e->walker[XN_CL_ONE] != XN_CL_NONE;
}

static uint32_t groups_of(const struct xn_cl_device *d, uint32_t group, uint32_t items) {
    return d->info.units * (group < items ? items / group : 1);
}

// Groups that are resident at once on Intel's GPUs, where what drivers call a compute unit is an engine of so many
// threads as wide as the smallest sub-group; 0: the device is not of that kind.
static uint32_t resident_groups(const struct xn_cl_device *d, enum xn_cl_dialect dialect, uint32_t group,
                                uint32_t threads) {
    uint32_t width = UINT32_MAX, all;
    for (uint32_t i = 0; i < d->info.n_sub_groups; i++)
        if (d->info.sub_group[i] < width) width = d->info.sub_group[i];
    if (dialect != XN_CL_INTEL || width > ITEMS_A_UNIT / ENGINE_THREADS) return 0;
    all = d->info.units * width * threads / group;
    return all ? all : 1;
}

// Tiles that more groups than are resident would share are cut into more parts than needed. With the most registers for
// each there are half as many threads of Intel's engines.
static uint32_t groups_of_tiles(const struct xn_cl_device *d, enum xn_cl_dialect dialect, uint32_t group) {
    uint32_t of_unit = xn_cl_matrix_groups(dialect), all = resident_groups(d, dialect, group, ENGINE_THREADS / 2);
    if (of_unit) return d->info.units * of_unit;
    return all ? all : groups_of(d, group, ITEMS_A_UNIT);
}

struct xn_cl_tiles xn_cl_tiles_of(const struct xn_cl_device *d) {
    struct xn_cl_tiles t = {.halves = d->dialect != XN_CL_PLAIN};
    for (int plain = 0; plain < 2; plain++) { // the device's own kernels may be refused
        enum xn_cl_dialect dialect = plain ? XN_CL_PLAIN : d->dialect;
        uint64_t groups = groups_of_tiles(d, dialect, xn_cl_matrix_group(d, dialect));
        uint64_t partial = 2 * groups * xn_cl_tile_size(dialect);
        if (partial > t.partial) t.partial = partial;
        if (groups > t.counters) t.counters = groups;
    }
    return t;
}

// Groups of a launch. Each group of a product of few rows stages all activations, so on Intel's GPUs there are no more
// than are resident.
static uint32_t groups_for(const struct xn_executor *e, const struct xn_cl_program_key *key, uint32_t group) {
    const struct xn_cl_device *d = e->device;
    unsigned needs = xn_cl_kernel_needs(key->kernel);
    uint32_t all = key->shape == XN_CL_MANY ? 0 : resident_groups(d, d->dialect, group, ENGINE_THREADS);
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

static void free_kernels(struct xn_executor *e) {
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
static int make_kernels(struct xn_executor *e, struct xn_error *err) {
    size_t n = e->lowered.n + 1;
    e->events = xn_alloc_zero(n, sizeof(cl_event));
    bool enough = e->events != NULL;
    for (int shape = 0; shape < XN_CL_SHAPES; shape++)
        enough = (e->kernel_of[shape] = xn_alloc(n, sizeof *e->kernel_of[shape])) && enough;
    if (!enough) return xn_fail(err, XN_ERR_NOMEM, "no memory for launches");
    bool plain = e->device->programs.plain_matrix;
    XN_TRY(make_all(e, err));
    if (plain == e->device->programs.plain_matrix) return XN_OK;
    free_kernels(e);
    return make_all(e, err);
}

// The kernels that walk a plan, and run any part of it: there are no others for few rows then. (What
// CL_KERNEL_WORK_GROUP_SIZE says is no help: with NVIDIA it is 256 for kernels that run in groups of 1,024. A launch
// that is refused tells.)
static int make_walkers(struct xn_executor *e, struct xn_error *err) {
    const struct xn_cl_lowered *l = &e->lowered;
    struct xn_cl_program_key key = {.kernel = XN_CL_KERNEL_WALK, .cache_type = e->view.limits.cache_type};
    for (int shape = 0; shape < XN_CL_SHAPES; shape++)
        e->walker[shape] = XN_CL_NONE;
    if (!xn_cl_can_walk(e->device->dialect)) return XN_OK;
    for (size_t i = 0; i < l->n; i++) {
        const struct xn_cl_program_key *k = &l->launches[i].key;
        if (!(l->launches[i].shapes >> XN_CL_FEW & 1)) continue;
        key.formats |= k->formats;
        key.few_sizes |= k->few_sizes;
        key.walked |= 1u << k->kernel;
    }
    for (int shape = XN_CL_FEW; shape <= XN_CL_ONE; shape++) {
        key.shape = (enum xn_cl_shape)shape;
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

int xn_cl_executor_create(struct xn_cl_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                          struct xn_executor **out, struct xn_error *err) {
    *out = NULL;
    struct xn_executor *e = xn_alloc_zero(1, sizeof *e);
    if (!e) return xn_fail(err, XN_ERR_NOMEM, "no memory for an executor");
    e->device = device;
    e->view = (struct xn_host_memory){.plan = plan, .limits = *limits};
    struct xn_cl_tiles tiles = xn_cl_tiles_of(device);
    int status = take_cache(e, err);
    if (status == XN_OK) status = xn_cl_lower(plan, limits, e->cache, e->states, &tiles, &e->lowered, err);
    if (status == XN_OK) status = take_buffers(e, err);
    if (status == XN_OK) status = make_walkers(e, err);
    if (status == XN_OK) status = make_kernels(e, err);
    if (status != XN_OK)
        xn_cl_executor_free(e);
    else
        *out = e;
    return status;
}

void xn_cl_executor_free(struct xn_executor *e) {
    if (!e) return;
    struct xn_cl_device *d = e->device;
    if (!d->lost) d->cl->Finish(d->queue);
    xn_cl_recorded_drop(e);
    free(e->recorded);
    free_kernels(e);
    for (uint32_t i = 0; e->cache && i < 2 * e->view.plan->n_cache; i++)
        xn_cl_array_give(d, &e->cache[i]);
    for (uint32_t i = 0; e->states && i < e->view.plan->n_states; i++)
        xn_cl_array_give(d, &e->states[i]);
    for (int i = 0; i < XN_CL_MEMORIES; i++)
        if (i != XN_CL_GRIDS) xn_cl_buffer_free(d, e->memory[i], e->size[i]);
    xn_cl_lowered_free(&e->lowered);
    free(e->cache);
    free(e->states);
    free(e->kernels);
    for (int i = 0; i < XN_CL_SHAPES; i++)
        free(e->kernel_of[i]);
    free(e->events);
    if (d->lost) {
        xn_cl_abandon(e->step);
        free(e);
        return;
    }
    free(e->step);
    if (e->logits) d->cl->EnqueueUnmapMemObject(d->queue, e->pinned, e->logits, 0, NULL, NULL);
    if (e->pinned) d->cl->ReleaseMemObject(e->pinned);
    free(e);
}

// --- a step ---

// Sends the batch. Its buffer grows with the pages of the longest batch; then every kernel is told, and what was
// recorded is no more true.
static int send_step(struct xn_executor *e, struct xn_error *err) {
    struct xn_cl_device *d = e->device;
    uint64_t bytes = e->step_size * sizeof *e->step;
    if (bytes > e->size[XN_CL_STEP]) {
        xn_cl_recorded_drop(e);
        xn_cl_buffer_free(d, e->memory[XN_CL_STEP], e->size[XN_CL_STEP]);
        e->memory[XN_CL_STEP] = NULL;
        e->size[XN_CL_STEP] = 0;
        XN_TRY(xn_cl_buffer(d, 2 * bytes, "batch", &e->memory[XN_CL_STEP], err));
        e->size[XN_CL_STEP] = 2 * bytes;
        for (size_t i = 0; i < e->n_kernels; i++)
            XN_TRY(xn_cl_set_arguments(e, &e->kernels[i], err));
    }
    cl_int code =
        d->cl->EnqueueWriteBuffer(d->queue, e->memory[XN_CL_STEP], CL_FALSE, 0, bytes, e->step, 0, NULL, NULL);
    return code == CL_SUCCESS ? XN_OK : xn_cl_fail(err, code, "%s: sending a batch", d->info.name);
}

static enum xn_cl_shape shape_of(const struct xn_executor *e, uint32_t rows) {
    if (rows == 0) return XN_CL_SHAPES;
    if (rows > XN_CL_STREAM_TOKENS) return XN_CL_MANY;
    return rows == 1 && has_single(e) ? XN_CL_ONE : XN_CL_FEW;
}

const struct xn_cl_made *xn_cl_kernel_of(const struct xn_executor *e, size_t i, struct xn_cl_step_shape shape) {
    const struct xn_cl_launch *l = &e->lowered.launches[i];
    enum xn_cl_shape of = l->kind == XN_OP_HEAD ? shape.outputs : shape.rows;
    if (of == XN_CL_SHAPES || !(l->shapes >> of & 1)) return NULL;
    return &e->kernels[e->walker[of] != XN_CL_NONE ? e->walker[of] : e->kernel_of[of][i]];
}

static int launch(struct xn_executor *e, size_t i, struct xn_cl_step_shape shape, struct xn_error *err) {
    struct xn_cl_device *d = e->device;
    const struct xn_cl_made *k = xn_cl_kernel_of(e, i, shape);
    if (!k) return XN_OK;
    size_t local = k->group, global = local * k->groups;
    XN_TRY(xn_cl_set_op(e, k, e->lowered.launches[i].op, err));
    cl_int code = d->cl->EnqueueNDRangeKernel(d->queue, k->kernel, 1, NULL, &global, &local, 0, NULL, &e->events[i]);
    if (code == CL_SUCCESS) {
        e->launched++;
        return XN_OK;
    }
    e->events[i] = NULL;
    return xn_cl_fail(err, code, "%s: kernel %s, %u groups of %zu", d->info.name, xn_cl_kernel_name(k->key.kernel),
                      k->groups, local);
}

// Seconds that a launch took, whose event is let go; 0: unknown.
static double time_of(const struct xn_executor *e, cl_event *event) {
    const struct xn_cl_api *cl = e->device->cl;
    cl_ulong begin, end;
    double seconds = 0;
    if (!*event) return 0;
    if (cl->GetEventProfilingInfo(*event, CL_PROFILING_COMMAND_START, sizeof begin, &begin, NULL) == CL_SUCCESS &&
        cl->GetEventProfilingInfo(*event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL) == CL_SUCCESS)
        seconds = (double)(end - begin) * 1e-9;
    cl->ReleaseEvent(*event);
    *event = NULL;
    return seconds;
}

// Whether the whole plan is operations of one kind.
static bool is_of_one_kind(const struct xn_executor *e) {
    const struct xn_cl_lowered *l = &e->lowered;
    for (size_t i = 1; i < l->n; i++)
        if (l->launches[i].kind != l->launches[0].kind) return false;
    return l->n > 0;
}

// Adds up what launches [first, end) took. The share of each operation in a walk is not known, unless there is one kind
// alone, and what drivers say of a command buffer need not be the time of what is in it (PoCL 3.1: of nothing).
static void collect_times(struct xn_executor *e, size_t first, size_t end) {
    const struct xn_cl_launch *launches = e->lowered.launches;
    for (size_t i = first; i < end; i++)
        e->seconds[launches[i].kind] += time_of(e, &e->events[i]);
    double together = time_of(e, &e->together);
    e->walk_seconds = e->way == XN_OPENCL_BY_WALK ? together : 0;
    if (e->walk_seconds > 0 && is_of_one_kind(e)) e->seconds[launches[0].kind] += together;
}

// A walk whose groups waited in vain for each other says so; that takes seconds, so that only long ones are asked.
static int check_walk(struct xn_executor *e, struct xn_error *err) {
    const struct xn_cl_device *d = e->device;
    cl_uint failed = 0;
    if (e->walk_seconds < 1) return XN_OK;
    cl_int code = d->cl->EnqueueReadBuffer(d->queue, e->memory[XN_CL_COUNTERS], CL_TRUE,
                                           4 * (e->lowered.map.barrier + XN_CL_BARRIER_FAILED), sizeof failed, &failed,
                                           0, NULL, NULL);
    if (code == CL_SUCCESS && !failed) return XN_OK;
    e->walks = false;
    return xn_fail(err, XN_ERR_DEVICE,
                   "%s: groups of a kernel that need each other did not run at once; other programs may hold the "
                   "device. Further steps are launched operation by operation",
                   d->info.name);
}

// Launches [first, end) of the plan as one, where they are for few rows: their descriptors follow each other. Sets *n
// to how many kernels that were (0: there is nothing to do).
static int launch_walk(struct xn_executor *e, size_t first, size_t end, uint32_t rows, cl_uint *n,
                       struct xn_error *err) {
    struct xn_cl_device *d = e->device;
    const struct xn_cl_launch *l = e->lowered.launches;
    const struct xn_cl_made *k = &e->kernels[e->walker[rows > 1 ? XN_CL_FEW : XN_CL_ONE]];
    cl_uint from = 0, ops = 0;
    for (size_t i = first; i < end; i++)
        if (l[i].shapes >> XN_CL_FEW & 1 && ops++ == 0) from = l[i].op;
    *n = ops != 0;
    if (!ops) return XN_OK;
    size_t local = k->group, global = local * k->groups;
    XN_TRY(set_walk(e, k, from, ops, err));
    cl_int code = d->cl->EnqueueNDRangeKernel(d->queue, k->kernel, 1, NULL, &global, &local, 0, NULL, &e->together);
    if (code != CL_SUCCESS) {
        e->together = NULL;
        return xn_cl_fail(err, code, "%s: kernel walk, %u groups of %zu", d->info.name, k->groups, local);
    }
    e->barrier_base += k->groups * (ops - 1);
    return XN_OK;
}
static bool can_walk(const struct xn_executor *e, uint32_t rows) {
    return rows <= XN_CL_STREAM_TOKENS && e->walks && (!e->apart || is_of_one_kind(e));
}

// Launches [first, end) of the step that was sent, just now where it is new. All of them in one walk where that is
// possible.
static int run_kernels(struct xn_executor *e, const struct xn_batch *batch, bool is_new, size_t first, size_t end,
                       struct xn_error *err) {
    struct xn_cl_step_shape shape = {shape_of(e, batch->n_rows), shape_of(e, batch->n_outputs)};
    uint32_t n;
    if (is_new) e->launched = 0;
    e->way = XN_OPENCL_BY_WALK;
    if (can_walk(e, batch->n_rows)) {
        if (launch_walk(e, first, end, batch->n_rows, &n, err) == XN_OK) {
            e->launched += n;
            return XN_OK;
        }
        xn_log(XN_LOG_WARNING, "%s; steps are launched operation by operation", err->message);
        e->walks = false;
    }
    e->way = XN_OPENCL_BY_BUFFER;
    if (!e->apart && xn_cl_recorded_run(e, first, end, shape, &e->together, &n)) {
        e->launched += n;
        return XN_OK;
    }
    e->way = XN_OPENCL_BY_LAUNCHES;
    for (size_t i = first; i < end; i++)
        XN_TRY(launch(e, i, shape, err));
    return XN_OK;
}

// What the launches compute of logits comes to the host.
static int run_launches(struct xn_executor *e, const struct xn_batch *batch, bool is_new, size_t first, size_t end,
                        struct xn_error *err) {
    struct xn_cl_device *d = e->device;
    bool head = false;
    for (size_t i = first; i < end; i++)
        head |= e->lowered.launches[i].kind == XN_OP_HEAD;
    XN_TRY(run_kernels(e, batch, is_new, first, end, err));
    size_t bytes = head ? (size_t)batch->n_outputs * e->view.plan->vocab * sizeof *e->logits : 0;
    cl_int code = CL_SUCCESS;
    if (bytes)
        code =
            d->cl->EnqueueReadBuffer(d->queue, e->memory[XN_CL_LOGITS], CL_FALSE, 0, bytes, e->logits, 0, NULL, NULL);
    if (code != CL_SUCCESS) return xn_cl_fail(err, code, "%s: reading logits", d->info.name);
    return XN_OK;
}

// Waits for launches [first, end), as long as a batch of so many rows may take.
static int wait_for(struct xn_executor *e, size_t first, size_t end, uint32_t rows, struct xn_error *err) {
    struct xn_cl_device *d = e->device;
    enum { ROWS = 128 };
    cl_event last = e->together;
    double seconds = d->timeout * ((rows + ROWS - 1) / ROWS);
    for (size_t i = end; i > first && !last; i--)
        last = e->events[i - 1];
    if (seconds == 0 || xn_cl_wait(d, last, seconds)) return XN_OK;
    return xn_fail(err, XN_ERR_DEVICE,
                   "%s: a step of %u rows did not end within %.0f s: the device or its driver hangs, or is slow "
                   "(--gpu-timeout). It is not used any more",
                   d->info.name, rows, seconds);
}

// A batch that is new is checked and sent first.
static int run_ops(struct xn_executor *e, const struct xn_batch *batch, bool is_new, uint32_t first, uint32_t n,
                   struct xn_error *err) {
    struct xn_cl_device *d = e->device;
    size_t from = e->lowered.first_launch[first], to = e->lowered.first_launch[first + n];
    XN_TRY(xn_cl_ready(d, err));
    if (is_new) {
        XN_TRY(xn_host_check_batch(&e->view, batch, err));
        XN_TRY(xn_cl_step_fill(e, batch, err));
    }
    int status = is_new ? send_step(e, err) : XN_OK;
    if (status == XN_OK) status = run_launches(e, batch, is_new, from, to, err);
    // Also after a failure: nothing may still read the step or write the logits.
    XN_TRY(wait_for(e, from, to, batch->n_rows, status == XN_OK ? err : NULL));
    cl_int code = d->cl->Finish(d->queue);
    collect_times(e, from, to);
    XN_TRY(status);
    if (code == CL_SUCCESS) XN_TRY(check_walk(e, err));
    if (code != CL_SUCCESS && e->way == XN_OPENCL_BY_BUFFER) d->way = XN_OPENCL_BY_LAUNCHES; // perhaps that does better
    return code == CL_SUCCESS ? XN_OK : xn_cl_fail(err, code, "%s: a step of %u rows", d->info.name, batch->n_rows);
}

int xn_cl_executor_run(struct xn_executor *e, const struct xn_batch *batch, struct xn_error *err) {
    return run_ops(e, batch, true, 0, e->view.plan->n_ops, err);
}

int xn_cl_executor_run_part(struct xn_executor *e, const struct xn_batch *batch, uint32_t first, uint32_t n,
                            struct xn_error *err) {
    if (batch) e->batch = batch;
    XN_TRY(xn_host_check_part(e->view.plan, e->batch, first, n, err));
    return run_ops(e, e->batch, batch != NULL, first, n, err);
}
