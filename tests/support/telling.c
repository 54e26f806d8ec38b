#include "telling.h"

#include "base/memory.h"
#include "engine/sampling/candidates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct xn_device_table table;
static const struct xn_device_table *plain;
static struct test_telling *telling;
static float *rows; // of the last step with outputs, as the device has them
static size_t rows_capacity;
static bool *hidden;
static size_t hidden_capacity;
static uint32_t n_outputs, asked;
static bool tells, summed;
static struct xn_row_candidate *best;
static size_t best_capacity;

static float *logits_of(struct xn_executor *e, uint32_t output) {
    return (float *)(uintptr_t)plain->logits(e) + (size_t)output * telling->vocab;
}

static int take_rows(struct xn_executor *e, const struct xn_batch *batch, struct xn_error *err) {
    size_t vocab = telling->vocab;
    if (batch->n_outputs == 0) return XN_OK;
    n_outputs = batch->n_outputs;
    tells = batch->whole != NULL;
    summed = batch->sums;
    telling->sums += summed;
    if (XN_GROW(rows, rows_capacity, n_outputs * vocab) || XN_GROW(hidden, hidden_capacity, n_outputs) ||
        XN_GROW(best, best_capacity, n_outputs * vocab))
        return xn_fail(err, XN_ERR_NOMEM, "no memory");
    memcpy(rows, plain->logits(e), n_outputs * vocab * sizeof *rows);
    for (uint32_t o = 0; o < n_outputs; o++) {
        hidden[o] = tells && !batch->whole[o];
        for (size_t i = 0; i < vocab && hidden[o]; i++)
            logits_of(e, o)[i] = NAN;
    }
    return XN_OK;
}

static int run(struct xn_executor *e, const struct xn_batch *batch, struct xn_error *err) {
    XN_TRY(plain->run(e, batch, err));
    return take_rows(e, batch, err);
}

// The last part has the head; what is taken before is nothing yet.
static int run_part(struct xn_executor *e, const struct xn_batch *batch, uint32_t first, uint32_t n,
                    struct xn_error *err) {
    static const struct xn_batch *before;
    if (batch) before = batch;
    XN_TRY(plain->run_part(e, batch, first, n, err));
    return take_rows(e, before, err);
}

static int by_logit(const void *a, const void *b) {
    const struct xn_row_candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static bool candidates(struct xn_executor *e, uint32_t output, struct xn_row_candidates *out) {
    (void)e;
    if (!tells || output >= n_outputs) return false;
    if (telling->forgets && ++asked % telling->forgets == 0) return false;
    const float *x = rows + (size_t)output * telling->vocab;
    struct xn_row_candidate *items = best + (size_t)output * telling->vocab;
    uint32_t n = 0;
    for (uint32_t i = 0; i < telling->vocab; i++)
        if (x[i] > -INFINITY) items[n++] = (struct xn_row_candidate){(int32_t)i, x[i]};
    qsort(items, n, sizeof *items, by_logit);
    *out = (struct xn_row_candidates){.items = items, .n = n < XN_ROW_CANDIDATES ? n : XN_ROW_CANDIDATES};
    if (summed && n) out->sum = xn_sum_exp(x, (int32_t)telling->vocab, items[0].logit);
    telling->told++;
    return true;
}

static int read_logits(struct xn_executor *e, uint32_t output, struct xn_error *err) {
    size_t vocab = telling->vocab;
    if (telling->fails || output >= n_outputs) return xn_fail(err, XN_ERR_DEVICE, "reading logits fails");
    telling->fetched++;
    memcpy(logits_of(e, output), rows + output * vocab, vocab * sizeof *rows);
    return XN_OK;
}

void test_tell(struct xn_device *device, struct test_telling *of) {
    plain = device->table;
    table = *plain;
    table.run = run;
    table.run_part = run_part;
    table.candidates = candidates;
    table.read_logits = read_logits;
    telling = of;
    asked = 0;
    device->table = &table;
}

void test_telling_end(void) {
    free(rows);
    free(hidden);
    free(best);
    rows = NULL;
    hidden = NULL;
    best = NULL;
    rows_capacity = hidden_capacity = best_capacity = 0;
}
