// What a step computes of logits: which of it comes to the host, and what the host makes of it.
#include "opencl/executor.h"

#include <string.h>

bool xn_cl_tells_candidates(const struct xn_executor *e, const struct xn_batch *batch) {
    return batch->whole && batch->n_outputs && e->lowered.map.candidates && !e->device->all_logits;
}

void xn_cl_place_runs(struct xn_cl_lowered *l) {
    for (size_t i = 1; i < l->n_ops; i++) {
        uint8_t *op = l->ops + i * XN_CL_OP_BYTES;
        const struct xn_cl_op_tail *tail = (const struct xn_cl_op_tail *)(op + XN_CL_OP_TAIL);
        const struct xn_cl_op_tail *head = (const struct xn_cl_op_tail *)(op - XN_CL_OP_BYTES + XN_CL_OP_TAIL);
        struct xn_cl_candidates *d = (struct xn_cl_candidates *)op;
        if (tail->number != XN_CL_KERNEL_CANDIDATES) continue;
        for (int shape = 0; shape < 2; shape++)
            if (head->own[shape].n) {
                uint64_t place = (uint64_t)head->own[shape].place * 16;
                uint32_t all = ((const struct xn_cl_slice *)(l->ops + place))->all;
                d->slice[shape] = all;
                d->runs[shape] = head->own[shape].n * ((all + XN_CL_TOP_RUN - 1) / XN_CL_TOP_RUN);
            }
    }
}

// Values [first, first + n) of the logits' buffer, to the same place on the host.
static int read_values(struct xn_executor *e, uint64_t first, uint64_t n, bool wait, struct xn_error *err) {
    const struct xn_cl_device *d = e->device;
    cl_int code =
        d->cl->EnqueueReadBuffer(d->queue, e->memory[XN_CL_LOGITS], wait ? CL_TRUE : CL_FALSE,
                                 first * sizeof *e->logits, n * sizeof *e->logits, e->logits + first, 0, NULL, NULL);
    return code == CL_SUCCESS ? XN_OK : xn_cl_fail(err, code, "%s: reading logits", d->info.name);
}

int xn_cl_read_results(struct xn_executor *e, const struct xn_batch *batch, struct xn_error *err) {
    const struct xn_cl_map *map = &e->lowered.map;
    uint64_t vocab = e->view.plan->vocab, n = batch->n_outputs;
    if (n == 0) return XN_OK; // what there is of earlier steps stays
    e->n_told = 0;
    e->told_sums = batch->sums;
    if (!xn_cl_tells_candidates(e, batch)) return read_values(e, 0, n * vocab, false, err);
    for (uint64_t i = 0, end; i < n; i = end + 1) { // whole rows that follow each other, together
        for (end = i; end < n && batch->whole[end]; end++)
            ;
        if (end > i) XN_TRY(read_values(e, i * vocab, (end - i) * vocab, false, err));
    }
    XN_TRY(read_values(e, map->candidates, n * XN_CL_CANDIDATES_ROW, false, err));
    if (batch->sums) XN_TRY(read_values(e, map->sums, n * map->row_sums, false, err));
    e->n_told = batch->n_outputs;
    return XN_OK;
}

// The sum over a row's chunks of what their lanes add up to.
static double sum_of(const float *lanes, uint64_t n) {
    double all = 0;
    for (uint64_t i = 0; i < n; i += XN_CL_SUM_LANES) {
        double sum = 0;
        for (int lane = 0; lane < XN_CL_SUM_LANES; lane++)
            sum += (double)lanes[i + lane];
        all += sum;
    }
    return all;
}

bool xn_cl_candidates(struct xn_executor *e, uint32_t output, struct xn_row_candidates *out) {
    const struct xn_cl_map *map = &e->lowered.map;
    if (output >= e->n_told) return false;
    const float *row = e->logits + map->candidates + (uint64_t)output * XN_CL_CANDIDATES_ROW;
    const float *lanes = e->logits + map->sums + output * map->row_sums;
    uint32_t n;
    memcpy(&n, row, sizeof n);
    if (n > XN_CL_CANDIDATES) return false;
    *out = (struct xn_row_candidates){.items = (const struct xn_row_candidate *)(const void *)(row + 4), .n = n};
    if (e->told_sums) out->sum = sum_of(lanes, map->row_sums);
    return true;
}

int xn_cl_read_logits(struct xn_executor *e, uint32_t output, struct xn_error *err) {
    uint64_t vocab = e->view.plan->vocab;
    if (output >= e->view.limits.outputs)
        return xn_fail(err, XN_ERR_ARGUMENT, "logits of output %u of %u", output, e->view.limits.outputs);
    if (e->n_told == 0) return XN_OK; // they came with the step
    XN_TRY(xn_cl_ready(e->device, err));
    return read_values(e, output * vocab, vocab, true, err);
}
