#include "opencl/internal.h"

#include <math.h>
#include <time.h>

enum { PASSES = 6, GROUPS_A_UNIT = 16, LAUNCHES = 200 };

// Seconds of one pass over the buffer.
static int pass(struct xn_cl_device *d, cl_kernel kernel, size_t global, double *seconds, struct xn_error *err) {
    size_t local = XN_CL_GROUP;
    cl_event event;
    cl_ulong begin = 0, end = 0;
    cl_int code = d->cl->EnqueueNDRangeKernel(d->queue, kernel, 1, NULL, &global, &local, 0, NULL, &event);
    if (code != CL_SUCCESS) return xn_cl_fail(err, code, "%s: measuring", d->info.name);
    code = d->cl->Finish(d->queue);
    if (code == CL_SUCCESS)
        code = d->cl->GetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof begin, &begin, NULL);
    if (code == CL_SUCCESS)
        code = d->cl->GetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
    d->cl->ReleaseEvent(event);
    if (code != CL_SUCCESS) return xn_cl_fail(err, code, "%s: measuring", d->info.name);
    if (end <= begin) return xn_fail(err, XN_ERR_DEVICE, "%s: a kernel that took no time", d->info.name);
    *seconds = (double)(end - begin) * 1e-9;
    return XN_OK;
}

static int measure(struct xn_cl_device *d, cl_kernel kernel, cl_mem data, cl_mem out, uint64_t bytes, size_t global,
                   double *rate, struct xn_error *err) {
    cl_ulong n = bytes / 16;
    static const cl_uint zero = 0;
    double best = INFINITY;
    cl_int code = d->cl->SetKernelArg(kernel, 0, sizeof data, &data);
    if (code == CL_SUCCESS) code = d->cl->SetKernelArg(kernel, 1, sizeof n, &n);
    if (code == CL_SUCCESS) code = d->cl->SetKernelArg(kernel, 2, sizeof out, &out);
    // Memory that nothing was written to may not be there at all.
    if (code == CL_SUCCESS)
        code = d->cl->EnqueueFillBuffer(d->queue, data, &zero, sizeof zero, 0, bytes, 0, NULL, NULL);
    if (code != CL_SUCCESS) return xn_cl_fail(err, code, "%s: measuring", d->info.name);
    for (int i = 0; i < PASSES; i++) {
        double seconds = 0;
        XN_TRY(pass(d, kernel, global, &seconds, err));
        if (i > 0) best = fmin(best, seconds);
    }
    *rate = (double)bytes / best;
    return XN_OK;
}

int xn_opencl_measure_bandwidth(struct xn_device *device, double *rate, struct xn_error *err) {
    struct xn_cl_device *d = xn_cl_device_of(device);
    if (!d) return xn_fail(err, XN_ERR_UNSUPPORTED, "the bandwidth of a device that is none of OpenCL's");
    XN_TRY(xn_cl_ready(d, err));
    uint64_t bytes = 1u << 30;
    if (bytes > d->info.memory / 8) bytes = d->info.memory / 8;
    if (bytes > d->max_allocation) bytes = d->max_allocation;
    bytes = bytes / 4096 * 4096;
    size_t global = (size_t)d->info.units * GROUPS_A_UNIT * XN_CL_GROUP;
    cl_mem data = NULL, out = NULL;
    cl_kernel kernel = NULL;
    uint32_t group;
    int status = xn_cl_buffer(d, bytes, "memory to measure", &data, err);
    if (status == XN_OK) status = xn_cl_buffer(d, global * 4, "memory to measure", &out, err);
    if (status == XN_OK)
        status = xn_cl_kernel_make(d, &(struct xn_cl_program_key){.kernel = XN_CL_KERNEL_READ}, &kernel, &group, err);
    if (status == XN_OK) status = measure(d, kernel, data, out, bytes, global, rate, err);
    if (kernel) d->cl->ReleaseKernel(kernel);
    xn_cl_buffer_free(d, out, global * 4);
    xn_cl_buffer_free(d, data, bytes);
    return status;
}

// --- launches ---

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// Seconds of `n` launches of one group, the last of `together` waited for.
static int launch(struct xn_cl_device *d, cl_kernel kernel, size_t group, int n, int together, double *seconds,
                  struct xn_error *err) {
    cl_int code = d->cl->Finish(d->queue);
    double begun = now();
    for (int i = 1; i <= n && code == CL_SUCCESS; i++) {
        code = d->cl->EnqueueNDRangeKernel(d->queue, kernel, 1, NULL, &group, &group, 0, NULL, NULL);
        if (code == CL_SUCCESS && i % together == 0) code = d->cl->Finish(d->queue);
    }
    *seconds = (now() - begun) / n;
    return code == CL_SUCCESS ? XN_OK : xn_cl_fail(err, code, "%s: measuring launches", d->info.name);
}

int xn_opencl_measure_launch(struct xn_device *device, double *queued, double *alone, struct xn_error *err) {
    struct xn_cl_device *d = xn_cl_device_of(device);
    if (!d) return xn_fail(err, XN_ERR_UNSUPPORTED, "launches of a device that is none of OpenCL's");
    XN_TRY(xn_cl_ready(d, err));
    cl_mem memory = NULL;
    cl_kernel kernel = NULL;
    uint32_t group = XN_CL_GROUP;
    static const cl_ulong nothing = 0;
    *queued = *alone = INFINITY;
    int status = xn_cl_buffer(d, 4096 * 4, "memory to measure", &memory, err);
    if (status == XN_OK)
        status = xn_cl_kernel_make(d, &(struct xn_cl_program_key){.kernel = XN_CL_KERNEL_READ}, &kernel, &group, err);
    if (status == XN_OK) {
        cl_int code = d->cl->SetKernelArg(kernel, 0, sizeof memory, &memory);
        if (code == CL_SUCCESS) code = d->cl->SetKernelArg(kernel, 1, sizeof nothing, &nothing);
        if (code == CL_SUCCESS) code = d->cl->SetKernelArg(kernel, 2, sizeof memory, &memory);
        if (code != CL_SUCCESS) status = xn_cl_fail(err, code, "%s: measuring launches", d->info.name);
    }
    for (int i = 0; i < PASSES && status == XN_OK; i++) {
        double many, one = 0;
        status = launch(d, kernel, group, LAUNCHES, LAUNCHES, &many, err);
        if (status == XN_OK) status = launch(d, kernel, group, LAUNCHES / 10, 1, &one, err);
        if (status != XN_OK || i == 0) continue; // the first warms up
        *queued = fmin(*queued, many);
        *alone = fmin(*alone, one);
    }
    if (kernel) d->cl->ReleaseKernel(kernel);
    xn_cl_buffer_free(d, memory, 4096 * 4);
    return status;
}
