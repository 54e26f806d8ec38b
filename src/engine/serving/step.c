// A step: the next token of everyone who generates, then pieces of prompts.
#include "engine/serving/internal.h"

#include <stdlib.h>

static uint32_t missing(const struct xn_serving *s, const struct xn_task *t) {
    return (uint32_t)t->tokens.n - xn_task_length(s, t);
}

static int by_importance(const void *a, const void *b) {
    const struct xn_task *x = *(struct xn_task *const *)a, *y = *(struct xn_task *const *)b;
    if (x->request.priority != y->request.priority) return x->request.priority > y->request.priority ? -1 : 1;
    return x->turn < y->turn ? -1 : x->turn > y->turn;
}

static void order(struct xn_serving *s) {
    s->n_order = 0;
    for (uint32_t i = 0; i < s->slots; i++)
        if (s->running[i]) {
            s->running[i]->rows = 0;
            s->order[s->n_order++] = s->running[i];
        }
    qsort(s->order, s->n_order, sizeof *s->order, by_importance);
}

// Rows that a task could evaluate with the pages that it has and those that are free beyond `taken`.
static uint32_t rows_with_pages(struct xn_serving *s, const struct xn_task *t, uint32_t rows, uint32_t taken) {
    struct xn_context_pages pages = xn_context_pages(s->context);
    uint32_t length = xn_task_length(s, t), alone, has = xn_sequence_pages(s->context, t->sequence, &alone);
    uint64_t end = ((uint64_t)has + pages.free - taken) * pages.positions;
    return end <= length ? 0 : rows < end - length ? rows : (uint32_t)(end - length);
}

static uint32_t pages_taken(struct xn_serving *s, const struct xn_task *t, uint32_t rows) {
    uint32_t each = xn_context_pages(s->context).positions;
    uint32_t alone, has = xn_sequence_pages(s->context, t->sequence, &alone);
    uint32_t wants = (xn_task_length(s, t) + rows + each - 1) / each;
    return wants > has ? wants - has : 0;
}

// The least important one that runs.
static struct xn_task *last_of(struct xn_serving *s) {
    for (uint32_t i = s->n_order; i-- > 0;)
        if (s->order[i]) return s->order[i];
    return NULL;
}

// Rows for the next tokens; the pages that they take in *taken. Where pages lack, the least important tasks give
// theirs.
static uint32_t take_next_tokens(struct xn_serving *s, uint32_t *taken) {
    uint32_t streams = 0;
    for (uint32_t i = 0; i < s->n_order; i++) {
        struct xn_task *t = s->order[i];
        if (!t || missing(s, t) != 1) continue;
        while (s->order[i] && rows_with_pages(s, t, 1, *taken) == 0)
            xn_serving_preempt(s, last_of(s));
        if (!s->order[i]) continue;
        *taken += pages_taken(s, t, 1);
        t->rows = 1;
        streams++;
    }
    return streams;
}

// Rows for pieces of prompts.
static uint32_t take_prompts(struct xn_serving *s, uint32_t rows, uint32_t *taken) {
    uint32_t all = 0;
    for (uint32_t i = 0; i < s->n_order && all < rows; i++) {
        struct xn_task *t = s->order[i];
        if (!t || t->rows) continue;
        uint32_t want = missing(s, t) < rows - all ? missing(s, t) : rows - all;
        t->rows = rows_with_pages(s, t, want, *taken);
        *taken += pages_taken(s, t, t->rows);
        all += t->rows;
    }
    return all;
}

static void feed(struct xn_serving *s, struct xn_task *t) {
    uint32_t length = xn_task_length(s, t);
    for (uint32_t i = 0; i < t->rows; i++)
        s->feeds[s->n_feeds++] = (struct xn_feed){.sequence = t->sequence,
                                                  .token = t->tokens.data[length + i],
                                                  .logits = length + i + 1 == t->tokens.n && t->sampler};
    t->feed = s->n_feeds - 1;
}

static void fail_all(struct xn_serving *s, const struct xn_error *err) {
    for (uint32_t i = 0; i < s->n_order; i++)
        if (s->order[i] && s->order[i]->rows) xn_task_finish(s, s->order[i], XN_SERVING_ERROR, -1, err);
}

// Told of a piece of its prompt; or, with all evaluated, its next token is chosen.
static void advance(struct xn_serving *s, struct xn_task *t) {
    uint32_t length = xn_task_length(s, t);
    if (t->counts.done < t->counts.prompt) {
        struct xn_serving_event event = {.kind = XN_SERVING_PROMPT, .token = -1};
        t->counts.done = length < t->counts.prompt ? length : t->counts.prompt;
        if (xn_task_emit(s, t, &event)) {
            xn_task_finish(s, t, XN_SERVING_CALLER, -1, NULL);
            return;
        }
    }
    if (length == t->tokens.n) xn_serving_choose(s, t, xn_eval_logits(s->context, t->feed));
}

void xn_serving_step(struct xn_serving *s) {
    uint32_t taken = 0, batch = s->options.context.batch;
    order(s);
    uint32_t streams = take_next_tokens(s, &taken), room = batch - streams;
    if (streams) room = xn_budget_rows(&s->budget, streams, room);
    uint32_t prompts = take_prompts(s, room, &taken);
    if (streams + prompts == 0) { // prompts that have no pages left for any
        struct xn_task *last = last_of(s);
        if (last) xn_serving_preempt(s, last);
        return;
    }
    s->n_feeds = 0;
    for (uint32_t i = 0; i < s->n_order; i++)
        if (s->order[i] && s->order[i]->rows) feed(s, s->order[i]);
    struct xn_error err;
    double before = xn_serving_now();
    int status = xn_eval(s->context, s->feeds, s->n_feeds, &err);
    double seconds = xn_serving_now() - before;
    if (status != XN_OK) {
        fail_all(s, &err);
        return;
    }
    xn_budget_learn(&s->budget, streams, prompts, prompts == room, seconds);
    s->counters.steps++;
    s->counters.step_seconds += seconds;
    *(prompts ? &s->counters.prompt_seconds : &s->counters.generate_seconds) += seconds;
    s->counters.prompt_tokens += prompts;
    for (uint32_t i = 0; i < s->n_order; i++)
        if (s->order[i] && s->order[i]->rows) advance(s, s->order[i]);
}
