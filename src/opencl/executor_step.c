// A step: its batch is sent, its operations walked, enqueued or launched, and their times collected.
#include "opencl/executor.h"

#include "base/log.h"
#include "opencl/recorded.h"

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
static int launch_walk(struct xn_executor *e, size_t first, size_t end, struct xn_cl_step_shape shape, cl_uint *n,
                       struct xn_error *err) {
    struct xn_cl_device *d = e->device;
    const struct xn_cl_launch *l = e->lowered.launches;
    const struct xn_cl_made *k = &e->kernels[e->walker[shape.rows]];
    cl_uint from = 0, ops = 0;
    for (size_t i = first; i < end; i++)
        if (xn_cl_is_walked(&l[i], shape) && ops++ == 0) from = l[i].op;
    *n = ops != 0;
    if (!ops) return XN_OK;
    size_t local = k->group, global = local * k->groups;
    XN_TRY(xn_cl_set_walk(e, k, from, ops, err));
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
    struct xn_cl_step_shape shape = xn_cl_step_shape_of(e, batch);
    uint32_t n;
    if (is_new) e->launched = 0;
    e->way = XN_OPENCL_BY_WALK;
    if (can_walk(e, batch->n_rows)) {
        if (launch_walk(e, first, end, shape, &n, err) == XN_OK) {
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
    bool head = false;
    for (size_t i = first; i < end; i++)
        head |= e->lowered.launches[i].kind == XN_OP_HEAD;
    XN_TRY(run_kernels(e, batch, is_new, first, end, err));
    return head ? xn_cl_read_results(e, batch, err) : XN_OK;
}

// Waits for launches [first, end), as long as a batch of so many rows may take.
static int wait_for(struct xn_executor *e, size_t first, size_t end, uint32_t rows, cl_int *failed,
                    struct xn_error *err) {
    struct xn_cl_device *d = e->device;
    enum { ROWS = 128 };
    cl_event last = e->together;
    double seconds = d->timeout * ((rows + ROWS - 1) / ROWS);
    for (size_t i = end; i > first && !last; i--)
        last = e->events[i - 1];
    *failed = CL_SUCCESS;
    if (seconds == 0 || xn_cl_wait(d, last, seconds, failed)) return XN_OK;
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
    cl_int failed;
    XN_TRY(wait_for(e, from, to, batch->n_rows, &failed, status == XN_OK ? err : NULL));
    cl_int code = d->cl->Finish(d->queue);
    if (code == CL_SUCCESS) code = failed;
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
