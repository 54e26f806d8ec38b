// The batch of a step as kernels read it (struct xn_cl_step).
#include "opencl/executor.h"

#include "model/rope.h"

#include <math.h>
#include <string.h>

enum { HEAD = sizeof(struct xn_cl_step) / 4, SPAN = sizeof(struct xn_cl_span) / 4 };

static uint64_t pages_of(const struct xn_executor *e, const struct xn_span *s) {
    uint32_t size = e->view.limits.page_size;
    return e->view.plan->n_cache ? ((uint64_t)s->past + s->n_rows + size - 1) / size : 0;
}

static void fill_rows(uint32_t *to, const struct xn_batch *b, const struct xn_cl_step *head) {
    memcpy(to + head->tokens, b->tokens, b->n_rows * sizeof *to);
    memcpy(to + head->positions, b->positions, b->n_rows * sizeof *to);
    if (b->n_outputs) memcpy(to + head->outputs, b->outputs, b->n_outputs * sizeof *to);
    for (uint32_t s = 0; s < b->n_spans; s++)
        for (uint32_t r = 0; r < b->spans[s].n_rows; r++)
            to[head->row_span + b->spans[s].first_row + r] = s;
}

static void fill_spans(const struct xn_executor *e, uint32_t *to, const struct xn_batch *b,
                       const struct xn_cl_step *head, uint32_t pages) {
    for (uint32_t i = 0; i < b->n_spans; i++) {
        const struct xn_span *s = &b->spans[i];
        uint32_t n = (uint32_t)pages_of(e, s);
        struct xn_cl_span span = {s->first_row, s->n_rows, s->past, s->slot, pages, s->rope_length};
        memcpy(to + head->spans + (size_t)i * SPAN, &span, sizeof span);
        if (n) memcpy(to + pages, s->pages, n * sizeof *to);
        pages += n;
    }
}

static void fill_frequencies(const struct xn_executor *e, uint32_t *to, const struct xn_batch *b,
                             const struct xn_cl_step *head) {
    const struct xn_cl_lowered *l = &e->lowered;
    float *at = (float *)(to + head->frequencies);
    for (size_t d = 0; d < l->n_dynamic; d++)
        for (uint32_t s = 0; s < b->n_spans; s++, at += head->frequencies_stride) {
            const float *set = xn_rope_at(l->dynamic[d], b->spans[s].rope_length, at);
            if (set != at) memcpy(at, set, l->dynamic[d]->dims / 2 * sizeof *at);
        }
}

// Cosines and sines for each of the plan's ropes, [row][rope][pair][2].
static void fill_rotations(const struct xn_executor *e, uint32_t *to, const struct xn_batch *b,
                           const struct xn_cl_step *head) {
    const struct xn_cl_lowered *l = &e->lowered;
    for (uint32_t i = 0; i < b->n_spans; i++)
        for (size_t turn = 0; turn < l->n_turns; turn++) {
            const struct xn_rope *rope = l->turns[turn];
            const float *frequency = xn_rope_at(rope, b->spans[i].rope_length, l->turn_frequencies);
            for (uint32_t r = 0; r < b->spans[i].n_rows; r++) {
                uint32_t row = b->spans[i].first_row + r;
                float *at =
                    (float *)(to + head->rotations + (size_t)row * head->rotations_stride) + 2 * turn * l->longest_turn;
                for (uint32_t p = 0; p < rope->dims / 2; p++) {
                    float angle = (float)b->positions[row] * frequency[p];
                    at[2 * p] = cosf(angle) * rope->magnitude;
                    at[2 * p + 1] = sinf(angle) * rope->magnitude;
                }
            }
        }
}

int xn_cl_step_fill(struct xn_executor *e, const struct xn_batch *b, struct xn_error *err) {
    const struct xn_cl_lowered *l = &e->lowered;
    uint64_t n_pages = 0, n_frequencies = (uint64_t)l->n_dynamic * b->n_spans * l->longest_dynamic;
    for (uint32_t i = 0; i < b->n_spans; i++)
        n_pages += pages_of(e, &b->spans[i]);
    struct xn_cl_step head = {.n_rows = b->n_rows,
                              .n_spans = b->n_spans,
                              .n_outputs = b->n_outputs,
                              .page_size = e->view.limits.page_size,
                              .frequencies_stride = l->longest_dynamic,
                              .barrier = (uint32_t)l->map.barrier,
                              .rotations = HEAD,
                              .sums = b->sums};
    if (b->n_rows <= XN_CL_STREAM_TOKENS && e->walker[XN_CL_ONE] != XN_CL_NONE)
        head.rotations_stride = 2 * (uint32_t)l->n_turns * l->longest_turn;
    head.tokens = head.rotations + b->n_rows * head.rotations_stride;
    head.positions = head.tokens + b->n_rows;
    head.row_span = head.positions + b->n_rows;
    head.outputs = head.row_span + b->n_rows;
    head.spans = head.outputs + b->n_outputs;
    uint64_t pages = (uint64_t)head.spans + (uint64_t)b->n_spans * SPAN, frequencies = pages + n_pages;
    head.frequencies = (uint32_t)frequencies;
    if (frequencies + n_frequencies > UINT32_MAX)
        return xn_fail(err, XN_ERR_LIMIT, "batch: %u sequences with %llu pages are too many", b->n_spans,
                       (unsigned long long)n_pages);
    if (XN_GROW(e->step, e->step_capacity, frequencies + n_frequencies) != 0)
        return xn_fail(err, XN_ERR_NOMEM, "no memory for a batch of %u rows", b->n_rows);
    memcpy(e->step, &head, sizeof head);
    fill_rows(e->step, b, &head);
    fill_spans(e, e->step, b, &head, (uint32_t)pages);
    fill_frequencies(e, e->step, b, &head);
    if (head.rotations_stride) fill_rotations(e, e->step, b, &head);
    e->step_size = frequencies + n_frequencies;
    return XN_OK;
}
