// A step: the next token of everyone who generates, then pieces of prompts.
#include "engine/context_internal.h"
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

// Lets prefixes go until so many pages are free. False: there are not so many.
static bool make_room(struct xn_serving *s, uint32_t pages) {
    while (xn_context_pages(s->context).free < pages && xn_prefix_evict(&s->prefixes, UINT32_MAX))
        ;
    return xn_context_pages(s->context).free >= pages;
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
        if (!t || !t->sampler || missing(s, t) != 1) continue;
        while (s->order[i] && !make_room(s, *taken + pages_taken(s, t, 1)))
            xn_serving_preempt(s, last_of(s));
        if (!s->order[i]) continue;
        *taken += pages_taken(s, t, 1);
        t->rows = 1;
        streams++;
    }
    return streams;
}

// A row of a prompt by itself is rounded as a next token is, and what a prompt comes to would depend on how it was cut:
// pieces have two rows or more, where there is room.
enum { LEAST_PIECE = 2 };

// Rows of the next piece of a prompt, at most `rows`. Where there are states, a piece ends where another text branches
// off, and shortly before the prompt's end: a conversation's next turn often differs from there on.
static uint32_t piece_of(const struct xn_serving *s, const struct xn_task *t, uint32_t rows) {
    uint32_t want = missing(s, t), length = xn_task_length(s, t);
    if (rows < want) want = rows;
    if (s->model->plan.n_states == 0) return missing(s, t) - want == 1 && want > LEAST_PIECE ? want - 1 : want;
    if (want == missing(s, t) && want > 4 * XN_PROMPT_TAIL) want -= XN_PROMPT_TAIL;
    uint32_t branch = xn_serving_next_branch(s, t, length);
    return branch - length < want ? branch - length : want;
}

static bool wants_rows(const struct xn_task *t) {
    return t && t->rows == 0;
}

// The prompt that comes first: every other step the shortest rest, so that a short one need not wait until a long one
// is done, and between them the one that began first, so that a long one is done as well.
static struct xn_task *first_prompt(const struct xn_serving *s) {
    struct xn_task *best = NULL;
    for (uint32_t i = 0; i < s->n_order; i++) {
        struct xn_task *t = s->order[i];
        if (!wants_rows(t)) continue;
        if (!best)
            best = t;
        else if (s->counters.steps % 2 && t->request.priority == best->request.priority &&
                 missing(s, t) < missing(s, best))
            best = t;
    }
    return best;
}

static uint32_t take_piece(struct xn_serving *s, struct xn_task *t, uint32_t rows, uint32_t *taken) {
    uint32_t want = piece_of(s, t, rows);
    make_room(s, *taken + pages_taken(s, t, want));
    t->rows = rows_with_pages(s, t, want, *taken);
    *taken += pages_taken(s, t, t->rows);
    return t->rows;
}

// Rows for pieces of prompts.
static uint32_t take_prompts(struct xn_serving *s, uint32_t rows, uint32_t *taken) {
    struct xn_task *first = rows ? first_prompt(s) : NULL;
    uint32_t all = first ? take_piece(s, first, rows, taken) : 0;
    for (uint32_t i = 0; i < s->n_order && all + LEAST_PIECE <= rows; i++)
        if (wants_rows(s->order[i]) && s->order[i] != first) all += take_piece(s, s->order[i], rows - all, taken);
    return all;
}

// What is wanted of the logits after a task's text.
static enum xn_feed_logits logits_of(const struct xn_task *t) {
    if (!t->sampler) return XN_NO_LOGITS;
    if (!xn_serving_wants_candidates(t)) return XN_ALL_LOGITS;
    return t->request.logprobs >= 0 || xn_sampler_needs_sum(t->sampler) ? XN_BEST_LOGITS_AND_SUM : XN_BEST_LOGITS;
}

static void feed(struct xn_serving *s, struct xn_task *t) {
    uint32_t length = xn_task_length(s, t);
    for (uint32_t i = 0; i < t->rows; i++)
        s->feeds[s->n_feeds++] =
            (struct xn_feed){.sequence = t->sequence,
                             .token = t->tokens.data[length + i],
                             .logits = length + i + 1 == t->tokens.n ? logits_of(t) : XN_NO_LOGITS};
    t->feed = s->n_feeds - 1;
}

// Embeddings first: the rows that are read back are then the first ones.
static void feed_all(struct xn_serving *s) {
    bool embeds = false;
    s->n_feeds = 0;
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < s->n_order; i++) {
            struct xn_task *t = s->order[i];
            if (!t || t->rows == 0 || (t->vector == NULL) != (pass == 1)) continue;
            embeds |= t->vector != NULL;
            feed(s, t);
        }
    xn_eval_keep_hidden(s->context, embeds);
}

static void fail_all(struct xn_serving *s, const struct xn_error *err) {
    for (uint32_t i = 0; i < s->n_order; i++)
        if (s->order[i] && s->order[i]->rows) xn_task_finish(s, s->order[i], XN_SERVING_ERROR, -1, err);
}

// A step wanted more pages than were counted, to compute a sequence anew whose ropes have changed: makes room for
// another try. False: there is none to be made.
static bool make_more_room(struct xn_serving *s) {
    if (xn_prefix_evict(&s->prefixes, UINT32_MAX)) return true;
    if (s->n_running < 2) return false;
    xn_serving_preempt(s, last_of(s));
    return true;
}

// Tells of a piece of a prompt. False: the task has ended.
static bool report(struct xn_serving *s, struct xn_task *t) {
    uint32_t length = xn_task_length(s, t);
    struct xn_serving_event event = {.kind = XN_SERVING_PROMPT, .token = -1};
    if (t->counts.done >= t->counts.prompt) return true;
    t->counts.done = length < t->counts.prompt ? length : t->counts.prompt;
    if (xn_task_emit(s, t, &event) == 0) return true;
    xn_task_finish(s, t, XN_SERVING_CALLER, -1, NULL);
    return false;
}

// What a step has computed goes to its tasks. Rows are read before anything changes the context.
static void advance(struct xn_serving *s) {
    for (uint32_t i = 0; i < s->n_order; i++) {
        struct xn_task *t = s->order[i];
        if (!t || t->rows == 0) continue;
        t->chooses = t->sampler && xn_task_length(s, t) == t->tokens.n;
        if (t->chooses) xn_serving_take_row(s, t);
        if (t->vector) xn_embedding_take(s, t);
    }
    for (uint32_t i = 0; i < s->n_order; i++) {
        struct xn_task *t = s->order[i];
        if (!t || t->rows == 0 || !report(s, t)) continue;
        if (t->vector)
            xn_embedding_finish(s, t);
        else if (t->chooses)
            xn_serving_choose(s, t);
    }
}

// The masks of the tokens that are chosen behind this step.
static int begin_masks(struct xn_serving *s, struct xn_error *err) {
    size_t n = 0;
    for (uint32_t i = 0; i < s->n_order; i++)
        n += s->order[i] && s->order[i]->grammar;
    if (n == 0) return XN_OK;
    XN_TRY(xn_masks_prepare(&s->grammars, n, err));
    for (uint32_t i = 0; i < s->n_order; i++) {
        struct xn_task *t = s->order[i];
        if (!t || !t->grammar || t->rows == 0 || t->rows < missing(s, t)) continue;
        s->grammars.jobs[s->grammars.n_jobs++] = (struct xn_mask_job){
            .masks = t->grammar->masks, .state = t->state, .mask = t->mask, .err = &t->mask_failed};
    }
    xn_masks_begin(&s->grammars);
    return XN_OK;
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
    feed_all(s);
    struct xn_error err;
    double before = xn_serving_now();
    int status = begin_masks(s, &err);
    if (status == XN_OK) status = xn_eval(s->context, s->feeds, s->n_feeds, &err);
    xn_masks_end(&s->grammars);
    double seconds = xn_serving_now() - before;
    if (status == XN_ERR_LIMIT && make_more_room(s)) return;
    if (status != XN_OK) {
        fail_all(s, &err);
        return;
    }
    xn_budget_learn(&s->budget, streams, prompts, seconds);
    s->counters.steps++;
    s->counters.step_seconds += seconds;
    *(prompts ? &s->counters.prompt_seconds : &s->counters.generate_seconds) += seconds;
    s->counters.prompt_tokens += prompts;
    advance(s);
}
