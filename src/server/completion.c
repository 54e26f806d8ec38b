#include "server/completion/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

uint64_t xn_random_seed(void) {
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed) seed = (uint64_t)time(NULL);
    return seed >> 1; // what JSON's integers hold
}

void xn_completion_request_init(struct xn_completion_request *r, const struct xn_served *served) {
    *r = (struct xn_completion_request){.most = -1, .logprobs = -1};
    r->sampling.sampling = served->sampling;
    r->sampling.sampling.dry_breakers = &served->breakers;
    if (r->sampling.sampling.seed == 0) r->sampling.sampling.seed = xn_random_seed();
}

void xn_completion_request_free(struct xn_completion_request *r) {
    json_decref(r->messages);
    json_decref(r->tools);
    json_decref(r->template_arguments);
    json_decref(r->schema);
    free(r->prompt);
    free(r->ids.data);
    xn_sampling_held_free(&r->sampling);
    for (size_t i = 0; i < r->n_stops; i++)
        free(r->stops[i]);
    free(r->stops);
    free(r->tool);
    free(r->grammar);
    *r = (struct xn_completion_request){0};
}

static void destroy(struct xn_completion *c) {
    for (uint32_t i = 0; i < c->n; i++)
        xn_answer_run_end(&c->runs[i]);
    xn_grammar_drop(c->grammar);
    xn_dry_breakers_free(&c->breakers);
    for (size_t i = 0; i < c->n_stops; i++)
        free(c->stops[i]);
    free(c->stops);
    json_decref(c->tools);
    xn_prompt_free(&c->prompt);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

void xn_completion_release(struct xn_completion *c) {
    if (!c) return;
    pthread_mutex_lock(&c->lock);
    bool last = --c->holds == 0;
    pthread_mutex_unlock(&c->lock);
    if (last) destroy(c);
}

// With the lock held: xn_serving takes its own lock inside, and gives events with none.
static void cancel_locked(struct xn_completion *c) {
    if (c->cancelled || c->done) return;
    c->cancelled = true;
    for (uint32_t i = 0; i < c->n; i++)
        if (c->runs[i].id) xn_serving_cancel(c->serving, c->runs[i].id - 1);
}

void xn_completion_cancel(struct xn_completion *c) {
    pthread_mutex_lock(&c->lock);
    cancel_locked(c);
    pthread_mutex_unlock(&c->lock);
}

// Also of answers that still wait for a slot, which have no events yet.
static void cancel_gone(void *completion) {
    xn_completion_cancel(completion);
}

int xn_completion_tell(struct xn_completion *c, const struct xn_completion_event *event) {
    int enough = c->event(c->user, event);
    if (enough) xn_completion_cancel(c);
    return enough;
}

void xn_completion_failed(struct xn_completion *c, const struct xn_error *error) {
    pthread_mutex_lock(&c->lock);
    if (!c->failed) {
        c->failed = true;
        c->error = error ? *error : (struct xn_error){.status = XN_ERR_DEVICE, .message = "the engine failed"};
        cancel_locked(c);
    }
    pthread_mutex_unlock(&c->lock);
}

void xn_completion_cut(struct xn_completion *c) {
    struct xn_error err;
    pthread_mutex_lock(&c->lock);
    bool ours = c->cancelled;
    pthread_mutex_unlock(&c->lock);
    if (ours) return;
    xn_fail(&err, XN_ERR_CANCELLED, "the server is shutting down");
    xn_completion_failed(c, &err);
}

// Of all answers: the prompt once, as the one that had it first.
static struct xn_serving_counts sum(const struct xn_completion *c, uint32_t *reasoning) {
    struct xn_serving_counts total = c->runs[0].counts;
    *reasoning = c->runs[0].reasoning;
    for (uint32_t i = 1; i < c->n; i++) {
        const struct xn_serving_counts *one = &c->runs[i].counts;
        total.generated += one->generated;
        if (one->first > 0 && (total.first <= 0 || one->first < total.first)) total.first = one->first;
        if (one->last > total.last) total.last = one->last;
        *reasoning += c->runs[i].reasoning;
    }
    return total;
}

void xn_completion_left(struct xn_completion *c, uint32_t answers) {
    pthread_mutex_lock(&c->lock);
    c->left -= answers;
    bool last = c->left == 0;
    if (last) c->done = true; // from here on nobody asks the serving for anything
    pthread_mutex_unlock(&c->lock);
    if (!last) return;
    if (c->exchange) xn_exchange_off_gone(c->exchange, c);
    struct xn_completion_event event = {.kind = XN_COMPLETION_DONE};
    event.usage = sum(c, &event.reasoning);
    if (c->failed) event.error = &c->error;
    c->event(c->user, &event);
    xn_completion_release(c);
}

// ---- start

static bool any_strict(const json_t *tools) {
    size_t i;
    const json_t *tool;
    json_array_foreach(tools, i, tool) {
        if (json_is_true(json_object_get(json_object_get(tool, "function"), "strict"))) return true;
    }
    return false;
}

static int compile(struct xn_completion *c, const struct xn_served *served, const struct xn_completion_request *r,
                   struct xn_error *err) {
    static const enum xn_answer_content contents[] = {
        [XN_FORMAT_TEXT] = XN_ANSWER_ANY,
        [XN_FORMAT_JSON] = XN_ANSWER_JSON,
        [XN_FORMAT_SCHEMA] = XN_ANSWER_SCHEMA,
        [XN_FORMAT_GBNF] = XN_ANSWER_GBNF,
    };
    struct xn_answer_rules rules = {
        .thinking = c->prompt.thinking,
        .tools = c->tools,
        .required = r->tool_choice == XN_TOOLS_REQUIRED || r->tool_choice == XN_TOOLS_NAMED,
        .only = r->tool_choice == XN_TOOLS_NAMED ? r->tool : NULL,
        .parallel = !r->one_call,
        .content = contents[r->format],
        .schema = r->schema,
        .gbnf = r->grammar,
        .gbnf_size = r->grammar ? strlen(r->grammar) : 0,
    };
    if (r->messages) rules.style = served->style; // a text has neither reasoning nor calls
    // What the model is free to do needs no grammar, unless a tool's arguments are to fit in any case.
    if (!rules.required && rules.content == XN_ANSWER_ANY && !any_strict(c->tools)) return XN_OK;
    return xn_grammar_take(&rules, &c->grammar, err);
}

static int copy_stops(struct xn_completion *c, const struct xn_completion_request *r, struct xn_error *err) {
    if (r->n_stops == 0) return XN_OK;
    c->stops = xn_alloc_zero(r->n_stops, sizeof *c->stops);
    if (!c->stops) return xn_fail(err, XN_ERR_NOMEM, "out of memory for stop strings");
    for (; c->n_stops < r->n_stops; c->n_stops++)
        if (!(c->stops[c->n_stops] = xn_strdup(r->stops[c->n_stops])))
            return xn_fail(err, XN_ERR_NOMEM, "out of memory for stop strings");
    return XN_OK;
}

static int copy_breakers(struct xn_completion *c, const struct xn_dry_breakers *from, struct xn_error *err) {
    struct xn_dry_breakers *to = &c->breakers;
    if (XN_GROW(to->items, to->capacity, from->n) || XN_GROW(to->tails.data, to->tails.capacity, from->tails.n))
        return xn_fail(err, XN_ERR_NOMEM, "out of memory for dry_sequence_breakers");
    if (from->n) memcpy(to->items, from->items, from->n * sizeof *to->items);
    if (from->tails.n) memcpy(to->tails.data, from->tails.data, from->tails.n * sizeof *to->tails.data);
    to->n = from->n;
    to->tails.n = from->tails.n;
    return XN_OK;
}

static int prepare(struct xn_completion *c, struct xn_served *served, const struct xn_completion_request *r,
                   struct xn_error *err) {
    if (!served->model->tokenizer)
        return xn_fail(err, XN_ERR_UNSUPPORTED, "the model has no tokenizer to read and write text with");
    XN_TRY(xn_sampling_check(&r->sampling.sampling, (int32_t)served->model->recipe.vocab, err));
    XN_TRY(xn_prompt_make(served, r, &c->prompt, err));
    // In words that clients look for, so that they shorten the conversation.
    if (!r->shift && served->context && c->prompt.ids.n > served->context)
        return xn_fail(err, XN_ERR_ARGUMENT,
                       "%s: the prompt is too long: %zu tokens, and this model's maximum context length is %u tokens",
                       r->messages ? "messages" : "prompt", c->prompt.ids.n, served->context);
    if (r->messages && json_array_size(r->tools) && r->tool_choice != XN_TOOLS_NONE) c->tools = json_incref(r->tools);
    XN_TRY(compile(c, served, r, err));
    XN_TRY(copy_stops(c, r, err));
    if (r->sampling.sampling.dry_breakers == &r->sampling.breakers)
        XN_TRY(copy_breakers(c, &r->sampling.breakers, err));
    for (uint32_t i = 0; i < c->n; i++) {
        struct xn_answer_run_options options = {
            .served = served, .request = r, .prompt = &c->prompt, .stops = c->stops, .tools = c->tools};
        c->runs[i].completion = c;
        c->runs[i].choice = i;
        XN_TRY(xn_answer_run_begin(&c->runs[i], &options, err));
    }
    return XN_OK;
}

static int submit(struct xn_completion *c, uint32_t i, const struct xn_served *served,
                  const struct xn_completion_request *r, struct xn_error *err) {
    struct xn_sampling sampling = r->sampling.sampling;
    sampling.seed += i;
    if (c->breakers.n || sampling.dry_breakers == &r->sampling.breakers) sampling.dry_breakers = &c->breakers;
    struct xn_serving_request request = {
        .ids = c->prompt.ids.data,
        .n_ids = (uint32_t)c->prompt.ids.n,
        .sampling = &sampling,
        .grammar = xn_grammar_of(c->grammar),
        .tokenizer = served->model->tokenizer,
        .most = r->most,
        .ignore_end = r->ignore_end,
        .shift = r->shift,
        .no_cache = r->no_cache,
        .logprobs = r->logprobs,
        .priority = r->priority,
        .owner = r->owner,
        .event = xn_answer_run_event,
        .user = &c->runs[i],
    };
    uint64_t id;
    uint32_t retry;
    int status = xn_serving_submit(c->serving, &request, &id, &retry, err);
    if (retry && c->exchange) xn_reply_retry(c->exchange, retry);
    XN_TRY(status);
    pthread_mutex_lock(&c->lock);
    // Where everything has ended already, the answer of this id has too.
    if (!c->done) {
        c->runs[i].id = id + 1;
        if (c->cancelled) xn_serving_cancel(c->serving, id);
    }
    pthread_mutex_unlock(&c->lock);
    return XN_OK;
}

int xn_completion_start(struct xn_served *served, const struct xn_completion_request *request,
                        int (*event)(void *user, const struct xn_completion_event *event), void *user,
                        struct xn_completion **out, struct xn_error *err) {
    *out = NULL;
    uint32_t n = request->n ? request->n : 1;
    if (n > XN_COMPLETION_ANSWERS)
        return xn_fail(err, XN_ERR_ARGUMENT, "n: %u answers, expected at most %d", n, XN_COMPLETION_ANSWERS);
    struct xn_completion *c = xn_alloc_zero(1, sizeof *c + n * sizeof *c->runs);
    if (!c) return xn_fail(err, XN_ERR_NOMEM, "out of memory for a completion");
    pthread_mutex_init(&c->lock, NULL);
    c->holds = 1;
    c->n = c->left = n;
    c->serving = served->serving;
    c->metrics = served->metrics;
    c->model = served->name;
    c->event = event;
    c->user = user;
    int status = prepare(c, served, request, err);
    if (status != XN_OK) {
        destroy(c);
        return status;
    }
    *out = c;
    c->exchange = request->exchange;
    if (c->exchange) xn_exchange_on_gone(c->exchange, cancel_gone, c);
    c->holds += 2; // until DONE, and until this is through: the caller may let go of *out at once
    uint32_t given = 0;
    struct xn_error later;
    while (given < n && status == XN_OK) {
        status = submit(c, given, served, request, &later);
        given += status == XN_OK;
    }
    if (given == 0) {
        if (c->exchange) xn_exchange_off_gone(c->exchange, c);
        *out = NULL;
        destroy(c);
        if (err) *err = later;
        return status;
    }
    if (given < n) {
        xn_completion_failed(c, &later);
        xn_completion_left(c, n - given);
    }
    xn_completion_release(c);
    return XN_OK;
}
