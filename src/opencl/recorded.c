#include "opencl/recorded.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>

// Parts of steps that are kept for one executor. There is one for each stage of a split model and each shape of step,
// so a thousand is more than models have; what comes beyond is launched.
enum { MOST = 1024 };

static size_t count(const struct xn_executor *e, size_t first, size_t end, struct xn_cl_step_shape shape) {
    size_t n = 0;
    for (size_t i = first; i < end; i++)
        n += xn_cl_kernel_of(e, i, shape) != NULL;
    return n;
}

static int refuse(const struct xn_executor *e, cl_int code, const char *what, struct xn_error *err) {
    return xn_cl_fail(err, code, "%s: %s a command buffer", e->device->info.name, what);
}

// A command is to have the arguments that its kernel has now. PoCL 3.1 takes those that the kernel has when the buffer
// runs: so each command gets a kernel of its own. The queue is in order, and so are commands, without sync points; it
// is named only where there are several (cl_khr_command_buffer_multi_device).
static int record_one(struct xn_executor *e, struct xn_cl_recorded *r, size_t i, struct xn_error *err) {
    struct xn_cl_made own = *xn_cl_kernel_of(e, i, r->shape);
    uint32_t group;
    XN_TRY(xn_cl_kernel_make(e->device, &own.key, &own.kernel, &group, err));
    r->kernels[r->n++] = own.kernel;
    XN_TRY(xn_cl_set_arguments(e, &own, err));
    XN_TRY(xn_cl_set_op(e, &own, e->lowered.launches[i].op, err));
    size_t local = own.group, global = local * own.groups;
    cl_int code = e->device->recording.NDRangeKernel(r->buffer, NULL, NULL, own.kernel, 1, NULL, &global, &local, 0,
                                                     NULL, NULL, NULL);
    return code == CL_SUCCESS ? XN_OK : refuse(e, code, "recording", err);
}

static int record(struct xn_executor *e, struct xn_cl_recorded *r, size_t n, struct xn_error *err) {
    struct xn_cl_device *d = e->device;
    cl_int code;
    if (!(r->kernels = xn_alloc(n, sizeof *r->kernels)))
        return xn_fail(err, XN_ERR_NOMEM, "no memory for a command buffer");
    r->buffer = d->recording.Create(1, &d->queue, NULL, &code);
    if (!r->buffer) return refuse(e, code, "making", err);
    for (size_t i = r->first; i < r->end; i++)
        if (xn_cl_kernel_of(e, i, r->shape)) XN_TRY(record_one(e, r, i, err));
    code = d->recording.Finalize(r->buffer);
    return code == CL_SUCCESS ? XN_OK : refuse(e, code, "completing", err);
}

static void forget(struct xn_executor *e, struct xn_cl_recorded *r) {
    bool lost = e->device->lost;
    if (r->buffer && !lost) e->device->recording.Release(r->buffer);
    for (uint32_t i = 0; i < r->n && !lost; i++)
        e->device->cl->ReleaseKernel(r->kernels[i]);
    free(r->kernels);
}

// That of earlier steps, else a new one, else (there are too many) NULL.
static int find(struct xn_executor *e, size_t first, size_t end, struct xn_cl_step_shape shape,
                struct xn_cl_recorded **out, struct xn_error *err) {
    for (size_t i = 0; i < e->n_recorded; i++) {
        struct xn_cl_recorded *r = &e->recorded[i];
        *out = r;
        if (r->first == first && r->end == end && r->shape.rows == shape.rows && r->shape.outputs == shape.outputs &&
            r->shape.candidates == shape.candidates && r->shape.sums == shape.sums)
            return XN_OK;
    }
    *out = NULL;
    if (e->n_recorded == MOST) return XN_OK;
    if (XN_GROW(e->recorded, e->recorded_capacity, e->n_recorded + 1) != 0)
        return xn_fail(err, XN_ERR_NOMEM, "no memory for command buffers");
    *out = &e->recorded[e->n_recorded];
    **out = (struct xn_cl_recorded){.first = first, .end = end, .shape = shape};
    int status = record(e, *out, count(e, first, end, shape), err);
    if (status == XN_OK)
        e->n_recorded++;
    else
        forget(e, *out);
    return status;
}

bool xn_cl_recorded_run(struct xn_executor *e, size_t first, size_t end, struct xn_cl_step_shape shape, cl_event *event,
                        uint32_t *n) {
    struct xn_cl_device *d = e->device;
    struct xn_cl_recorded *r;
    struct xn_error err;
    if (d->way > XN_OPENCL_BY_BUFFER || !d->recording.Create) return false;
    if (count(e, first, end, shape) < 2) return false; // a launch is one command as well
    int status = find(e, first, end, shape, &r, &err);
    if (status == XN_OK && !r) return false;
    if (status == XN_OK) {
        cl_int code = d->recording.Enqueue(1, &d->queue, r->buffer, 0, NULL, event);
        if (code != CL_SUCCESS) status = refuse(e, code, "enqueueing", &err);
    }
    if (status == XN_OK) {
        *n = r->n;
        return true;
    }
    *event = NULL;
    xn_log(XN_LOG_WARNING, "%s; kernels are launched one by one", err.message);
    d->way = XN_OPENCL_BY_LAUNCHES;
    xn_cl_recorded_drop(e);
    return false;
}

void xn_cl_recorded_drop(struct xn_executor *e) {
    while (e->n_recorded)
        forget(e, &e->recorded[--e->n_recorded]);
}
