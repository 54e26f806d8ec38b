// Running a case on a device.
#include "check/device.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

// A case on a device, ready to run.
struct stage {
    struct xn_check_weights weights;
    struct xn_executor *executor;
};

static int set_up(struct xn_check_case *c, const struct xn_check_device *d, struct stage *s, struct xn_error *err) {
    *s = (struct stage){0};
    XN_TRY(xn_check_bind(c, d->device, &s->weights, err));
    int status = d->device->table->prepare(d->device, &c->plan, &c->limits, &s->executor, err);
    if (status == XN_OK) {
        if (d->device->table->tell_apart) d->device->table->tell_apart(s->executor, true); // times are wanted
        status = d->write(s->executor, &c->before, err);
        if (status != XN_OK) d->device->table->release(d->device, s->executor);
    }
    if (status != XN_OK) xn_check_unbind(&s->weights);
    return status;
}

static void take_down(const struct xn_check_device *d, struct stage *s) {
    d->device->table->release(d->device, s->executor);
    xn_check_unbind(&s->weights);
}

// Only the case's kind of operation may have taken time, and where there is something to compute it did.
static void check_times(const struct xn_check_case *c, const struct xn_check_device *d, struct xn_executor *e,
                        struct xn_check_result *r) {
    double seconds[XN_OP_KINDS];
    bool some = c->wish.kind != XN_OP_HEAD || c->batch.n_outputs;
    d->device->table->times(e, seconds);
    r->seconds = seconds[c->wish.kind];
    for (int kind = 0; kind < XN_OP_KINDS && !r->problem[0]; kind++)
        if (kind == (int)c->wish.kind ? some && seconds[kind] <= 0 : seconds[kind] != 0)
            snprintf(r->problem, sizeof r->problem, "%g seconds are counted for %s", seconds[kind],
                     xn_op_name((enum xn_op_kind)kind));
}

static void fail_result(struct xn_check_result *r, const struct xn_error *err) {
    *r = (struct xn_check_result){.error = INFINITY};
    snprintf(r->problem, sizeof r->problem, "%.190s", err->message);
}

static int compare(struct xn_check_case *c, const struct xn_check_device *d, const struct xn_host_memory *got,
                   struct xn_check_result *r, struct xn_error *err) {
    double rounding = d->rounding(d, c);
    bool raised = false;
    xn_check_memory_compare(c, got, rounding, r);
    if (r->error > r->tolerance) XN_TRY(xn_check_case_allow_unsteady(c, &raised, err));
    if (raised) xn_check_memory_compare(c, got, rounding, r);
    return XN_OK;
}

int xn_check_case_run(struct xn_check_case *c, const struct xn_check_device *d, struct xn_check_result *r,
                      struct xn_error *err) {
    struct xn_host_memory got;
    struct stage s;
    struct xn_error failure;
    XN_TRY(xn_host_memory_init(&got, &c->plan, &c->limits, err));
    int status = set_up(c, d, &s, &failure);
    if (status == XN_OK) {
        status = d->device->table->run(s.executor, &c->batch, &failure);
        if (status == XN_OK) status = d->read(s.executor, &got, &failure);
        if (status == XN_OK) {
            status = compare(c, d, &got, r, &failure);
            check_times(c, d, s.executor, r);
        }
        take_down(d, &s);
    }
    if (status != XN_OK) fail_result(r, &failure);
    xn_host_memory_free(&got);
    return XN_OK;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int xn_check_case_time(struct xn_check_case *c, const struct xn_check_device *d, double enough, double *seconds,
                       struct xn_error *err) {
    enum { STEPS = 5 };
    static const double short_step = 2e-4;
    const struct xn_device_table *table = d->device->table;
    struct stage s;
    double by_kind[XN_OP_KINDS], begun = 0;
    XN_TRY(set_up(c, d, &s, err));
    int status = XN_OK;
    *seconds = INFINITY;
    begun = now();
    for (int i = 0; i <= STEPS && status == XN_OK; i++) {
        double start = now();
        status = table->run(s.executor, &c->batch, err);
        if (status != XN_OK) break;
        // A short step is mostly the waking of threads, of which the device's own times are free. Those of a long one
        // may be short by what a thread that another program held up did not see.
        double took = now() - start;
        table->times(s.executor, by_kind);
        if (took < short_step) took = by_kind[c->wish.kind];
        took /= c->plan.n_ops;
        if (i > 0 || now() - begun > enough) *seconds = fmin(*seconds, took); // a step so slow that warmth is nothing
        if (now() - begun > enough) break;
    }
    take_down(d, &s);
    return status;
}
