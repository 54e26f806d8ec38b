// A run of `xenon check`: cases group by group, drawn and computed in plain C by all cores, then on each device.
#include "check/check.h"

#include "base/thread_pool.h"
#include "check/limits.h"
#include "check/list.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_CASES = 64, TIMING_COST = 8 }; // of a group; what a measurement counts in the progress

struct run {
    const struct xn_check_device *devices;
    uint32_t n;
    const struct xn_check_options *options;
    struct xn_check_report *report;
    struct xn_check_blocks *blocks;
    struct xn_pool *pool;
    struct group *groups;
    uint32_t n_groups;
    uint64_t done, total; // of the progress
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int advance(struct run *r, uint64_t by, struct xn_error *err) {
    r->done += by;
    if (xn_progress_report(r->options->progress, "checking", r->done, r->total))
        return xn_fail(err, XN_ERR_CANCELLED, "cancelled");
    return XN_OK;
}

// The cases of one group, being made by all threads.
struct batch {
    const struct run *run;
    const struct group *group;
    uint32_t n;
    struct xn_check_case *cases[MOST_CASES];
    atomic_int status; // the first failure
    struct xn_error error;
};

static void make_cases(void *user, uint32_t thread, uint32_t threads) {
    (void)threads;
    struct batch *b = user;
    for (uint32_t i; (i = xn_pool_next(b->run->pool, thread)) < b->n;) {
        struct xn_check_wish wish = xn_check_group_wish(b->group, b->run->options->seed, b->n - 1 - i); // large first
        struct xn_error err;
        int status = xn_check_case_make(&wish, b->run->blocks, &b->cases[b->n - 1 - i], &err), none = XN_OK;
        if (status == XN_OK) status = xn_check_case_expect(b->cases[b->n - 1 - i], &err);
        if (status != XN_OK && atomic_compare_exchange_strong(&b->status, &none, status)) b->error = err;
    }
}

static void note_failure(struct xn_check_report *report, uint32_t device, const struct xn_check_case *c,
                         const struct xn_check_result *result) {
    report->wrong++;
    if (report->n_failures == XN_CHECK_FAILURES) return;
    struct xn_check_failure *f = &report->failures[report->n_failures++];
    *f = (struct xn_check_failure){.device = device, .kind = c->wish.kind, .type = c->wish.type};
    snprintf(f->what, sizeof f->what, "%s", c->what);
    snprintf(f->problem, sizeof f->problem, "%s", result->problem);
}

static int run_case(struct run *r, struct xn_check_case *c, uint32_t device, struct xn_check_row *row,
                    struct xn_error *err) {
    struct xn_check_result result;
    XN_TRY(xn_check_case_run(c, &r->devices[device], &result, err));
    row->cases++;
    r->report->cases++;
    bool wrong = result.problem[0] != 0;
    if (row->cases == 1 || result.error / result.tolerance > row->error / row->tolerance) {
        row->error = result.error;
        row->tolerance = result.tolerance;
    }
    row->wrong += wrong;
    if (wrong) note_failure(r->report, device, c, &result);
    return XN_OK;
}

static int run_group(struct run *r, uint32_t g, struct xn_error *err) {
    struct batch b = {.run = r, .group = &r->groups[g], .n = r->groups[g].n_rows * r->groups[g].trials};
    int status = b.n <= MOST_CASES ? XN_OK : xn_fail(err, XN_ERR_LIMIT, "check: %u cases of a group", b.n);
    if (status == XN_OK) {
        xn_pool_run(r->pool, make_cases, &b);
        status = atomic_load(&b.status);
        if (status != XN_OK && err) *err = b.error;
    }
    for (uint32_t i = 0; i < b.n && status == XN_OK; i++)
        for (uint32_t d = 0; d < r->n && status == XN_OK; d++) {
            status = run_case(r, b.cases[i], d, &r->report->rows[d * r->n_groups + g], err);
            if (status == XN_OK) status = advance(r, 1, err);
        }
    for (uint32_t i = 0; i < b.n && i < MOST_CASES; i++)
        xn_check_case_free(b.cases[i]);
    return status;
}

static int time_groups(struct run *r, struct xn_error *err) {
    struct xn_check_report *report = r->report;
    XN_TRY(xn_check_measure_limits(r->devices, r->n, report, err));
    for (uint32_t g = 0; g < r->n_groups; g++) {
        if (g == r->n_groups / 2 && !r->options->quick) XN_TRY(xn_check_measure_limits(r->devices, r->n, report, err));
        if (!r->groups[g].timed) continue;
        XN_TRY(xn_check_time_group(r->devices, r->n, &r->groups[g], r->blocks, report, &report->rows[g], r->n_groups,
                                   err));
        XN_TRY(advance(r, (uint64_t)TIMING_COST * r->n, err));
    }
    XN_TRY(xn_check_measure_limits(r->devices, r->n, report, err));
    xn_check_set_shares(report);
    return XN_OK;
}

static int run_groups(struct run *r, struct xn_error *err) {
    for (uint32_t g = 0; g < r->n_groups; g++)
        XN_TRY(run_group(r, g, err));
    return r->options->errors_only ? XN_OK : time_groups(r, err);
}

// Keeps the groups that every device has.
static int keep_taken(struct run *r, struct xn_error *err) {
    uint32_t n = 0;
    for (uint32_t g = 0; g < r->n_groups; g++) {
        bool taken = true;
        for (uint32_t d = 0; d < r->n; d++)
            taken = taken && (!r->devices[d].takes || r->devices[d].takes(r->groups[g].kind, r->groups[g].type));
        if (taken) r->groups[n++] = r->groups[g];
    }
    r->n_groups = n;
    if (n) return XN_OK;
    return xn_fail(err, XN_ERR_UNSUPPORTED, "check: %s has no such operation in this format", r->devices[0].name);
}

static int prepare(struct run *r, struct xn_error *err) {
    struct xn_check_report *report = r->report;
    bool ops[XN_OP_KINDS] = {false}, types[XN_TYPE_COUNT + 1] = {false};
    XN_TRY(xn_check_list(r->options, &r->groups, &r->n_groups, err));
    XN_TRY(keep_taken(r, err));
    XN_TRY(xn_check_blocks_make(r->options->seed, &r->blocks, err));
    XN_TRY(xn_pool_create(r->options->threads, &r->pool, err));
    report->peaks = xn_alloc_zero(r->n, sizeof *report->peaks);
    report->rows = xn_alloc_zero((size_t)r->n * r->n_groups, sizeof *report->rows);
    if (!report->peaks || !report->rows) return xn_fail(err, XN_ERR_NOMEM, "no memory for a report");
    report->n_rows = (size_t)r->n * r->n_groups;
    report->n_devices = r->n;
    for (size_t i = 0; i < report->n_rows; i++) {
        const struct group *g = &r->groups[i % r->n_groups];
        report->rows[i] =
            (struct xn_check_row){.device = (uint32_t)(i / r->n_groups), .kind = g->kind, .type = g->type};
        r->total += (uint64_t)g->n_rows * g->trials + (g->timed ? TIMING_COST : 0);
        report->n_ops += !ops[g->kind];
        report->n_formats += g->type != XN_TYPE_COUNT && !types[g->type];
        ops[g->kind] = types[g->type] = true;
    }
    return XN_OK;
}

int xn_check_run(const struct xn_check_device *devices, uint32_t n, const struct xn_check_options *options,
                 struct xn_check_report *report, struct xn_error *err) {
    *report = (struct xn_check_report){0};
    if (n == 0) return xn_fail(err, XN_ERR_ARGUMENT, "check: no device");
    struct run r = {.devices = devices, .n = n, .options = options, .report = report};
    double begun = now();
    int status = prepare(&r, err);
    if (status == XN_OK) status = run_groups(&r, err);
    report->seconds = now() - begun;
    xn_pool_free(r.pool);
    xn_check_blocks_free(r.blocks);
    free(r.groups);
    return status;
}

void xn_check_report_free(struct xn_check_report *report) {
    free(report->rows);
    free(report->peaks);
    *report = (struct xn_check_report){0};
}
