// What other threads call.
#include "engine/context_internal.h"
#include "engine/serving/internal.h"

#include <stdlib.h>
#include <string.h>

// --- made and freed ---

static int allocate(struct xn_serving *s, struct xn_error *err) {
    uint32_t slots = s->slots, batch = s->options.context.batch;
    s->slot_states = xn_alloc_zero(slots, sizeof *s->slot_states);
    s->running = xn_alloc_zero(slots, sizeof *s->running);
    s->order = xn_alloc(slots, sizeof *s->order);
    s->feeds = xn_alloc(batch, sizeof *s->feeds);
    s->sequences = xn_alloc((size_t)slots + 1, sizeof *s->sequences);
    s->positions = xn_alloc((size_t)slots + 1, sizeof *s->positions);
    s->logits = xn_alloc(s->model->recipe.vocab, sizeof *s->logits);
    if (!s->slot_states || !s->running || !s->order || !s->feeds || !s->sequences || !s->positions || !s->logits)
        return xn_fail(err, XN_ERR_NOMEM, "no memory for serving %u requests at once", slots);
    return XN_OK;
}

// Sequences to keep beside those that run. They have no pages of their own; the states of recurrent models are bounded.
static uint32_t kept_most(const struct xn_plan *plan, uint32_t pages) {
    enum { MOST = 64, LEAST = 2, STATES_BUDGET = 512 << 20 };
    uint64_t bytes = 1;
    for (uint32_t i = 0; i < plan->n_states; i++)
        bytes += 4 * ((uint64_t)plan->states[i].conv_size + plan->states[i].recurrent_size);
    uint64_t most = STATES_BUDGET / bytes;
    most = most > MOST ? MOST : most < LEAST ? LEAST : most;
    return most < pages ? (uint32_t)most : pages - 1;
}

// A context counts a page that may be partly empty for each of its sequences: with more sequences it gets fewer
// positions, so that the pages are as many as were asked for.
static struct xn_context_options with_kept(struct xn_context_options o, uint32_t kept) {
    o.context = (xn_pages_for(o.context) - kept) * XN_PAGE_SIZE;
    o.sequences += kept;
    return o;
}

// Where states of so many do not fit a device, fewer are kept.
static int create_context(struct xn_serving *s, uint32_t *kept, struct xn_error *err) {
    const struct xn_plan *plan = &s->model->plan;
    for (*kept = kept_most(plan, xn_pages_for(s->options.context.context));; *kept /= 4) {
        struct xn_context_options o = with_kept(s->options.context, *kept);
        int status = xn_context_create(s->model, &o, &s->context, err);
        if (status != XN_ERR_NOMEM || *kept == 0 || plan->n_states == 0) return status;
    }
}

static int make(struct xn_serving *s, struct xn_error *err) {
    struct xn_context_options *o = &s->options.context;
    uint32_t kept;
    *o = xn_context_chosen(&s->model->recipe, &s->model->plan, o);
    s->slots = o->sequences;
    if (o->checkpoints == 0) o->checkpoints = -1;
    XN_TRY(create_context(s, &kept, err));
    *o = *xn_context_options(s->context);
    // Where ropes follow the length of a sequence, keys are not the beginning of every longer one's.
    uint64_t ram = s->model->plan.n_following_ropes ? 0 : s->options.cache_ram;
    XN_TRY(xn_prefixes_init(&s->prefixes, s->context, kept, ram, err));
    struct xn_context_pages pages = xn_context_pages(s->context);
    uint64_t positions = (uint64_t)pages.pages * pages.positions;
    s->limit = s->options.most && s->options.most < positions ? s->options.most : (uint32_t)positions;
    if (s->options.queue == 0) s->options.queue = 256;
    XN_TRY(allocate(s, err));
    xn_budget_init(&s->budget);
    s->state = (struct xn_serving_state){.slots = s->slots, .pages = pages.pages, .context = s->limit};
    if (pthread_create(&s->thread, NULL, xn_serving_thread, s))
        return xn_fail(err, XN_ERR_NOMEM, "no thread for serving");
    s->has_thread = true;
    return XN_OK;
}

int xn_serving_create(struct xn_model *model, const struct xn_serving_options *options, struct xn_serving **out,
                      struct xn_error *err) {
    struct xn_serving *s = xn_alloc_zero(1, sizeof *s);
    *out = NULL;
    if (!s) return xn_fail(err, XN_ERR_NOMEM, "no memory for serving");
    s->model = model;
    s->options = *options;
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->wake, NULL);
    xn_grammars_init(&s->grammars);
    int status = make(s, err);
    if (status == XN_OK)
        *out = s;
    else
        xn_serving_free(s);
    return status;
}

void xn_serving_free(struct xn_serving *s) {
    if (!s) return;
    if (s->has_thread) {
        pthread_mutex_lock(&s->mutex);
        s->stop = true;
        pthread_cond_signal(&s->wake);
        pthread_mutex_unlock(&s->mutex);
        pthread_join(s->thread, NULL);
    }
    xn_prefixes_free(&s->prefixes);
    xn_context_free(s->context);
    pthread_mutex_destroy(&s->mutex);
    pthread_cond_destroy(&s->wake);
    xn_grammars_free(&s->grammars);
    free(s->tasks);
    free(s->slot_states);
    free(s->running);
    free(s->order);
    free(s->owners);
    free(s->feeds);
    free(s->sequences);
    free(s->positions);
    free(s->logits);
    free(s->top);
    free(s);
}

// --- requests ---

static int check(const struct xn_serving *s, const struct xn_serving_request *r, struct xn_error *err) {
    uint32_t vocab = s->model->recipe.vocab;
    if (!r->ids || r->n_ids == 0)
        return xn_fail(err, XN_ERR_ARGUMENT, "the prompt is empty: at least one token expected");
    for (uint32_t i = 0; i < r->n_ids; i++)
        if (r->ids[i] < 0 || (uint32_t)r->ids[i] >= vocab)
            return xn_fail(err, XN_ERR_ARGUMENT, "token %d of the prompt is %d: the vocabulary has %u", i, r->ids[i],
                           vocab);
    if (r->n_ids > s->limit && (!r->shift || r->pooling != XN_POOL_NONE))
        // Clients know these words, OpenAI's and Anthropic's, and cut their conversations when they see them.
        return xn_fail(err, XN_ERR_ARGUMENT,
                       "the prompt is too long: %u tokens, and the context of a request has room for %u", r->n_ids,
                       s->limit);
    if (r->grammar && !r->tokenizer) return xn_fail(err, XN_ERR_ARGUMENT, "a grammar needs the model's tokenizer");
    return XN_OK;
}

static int add_grammar(struct xn_serving *s, struct xn_task *t, struct xn_error *err) {
    if (!t->request.grammar) return XN_OK;
    XN_TRY(xn_grammar_use(&s->grammars, t->request.grammar, t->request.tokenizer, &t->grammar, err));
    t->mask = xn_alloc(xn_mask_words(t->grammar->masks), sizeof *t->mask);
    return t->mask ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "no memory for a mask");
}

static int fill(struct xn_serving *s, struct xn_task *t, struct xn_error *err) {
    struct xn_serving_request *r = &t->request;
    t->sequence = XN_SERVING_NO_SEQUENCE;
    t->counts.prompt = r->n_ids;
    t->submitted = xn_serving_now();
    t->tokens.data = xn_alloc(r->n_ids, sizeof *t->tokens.data);
    if (!t->tokens.data) return xn_fail(err, XN_ERR_NOMEM, "no memory for a prompt of %u tokens", r->n_ids);
    memcpy(t->tokens.data, r->ids, r->n_ids * sizeof *r->ids);
    t->tokens.n = t->tokens.capacity = r->n_ids;
    if (r->pooling == XN_POOL_NONE) {
        struct xn_sampling defaults = xn_sampling_default();
        XN_TRY(
            xn_sampler_new(r->sampling ? r->sampling : &defaults, (int32_t)s->model->recipe.vocab, &t->sampler, err));
        for (uint32_t i = 0; i < r->n_ids; i++)
            xn_sampler_accept(t->sampler, r->ids[i]);
        XN_TRY(add_grammar(s, t, err));
    } else {
        XN_TRY(xn_embedding_begin(s, t, err));
    }
    xn_serving_shift(&t->tokens, r->keep, s->limit);
    t->counts.prompt = (uint32_t)t->tokens.n;
    r->ids = NULL;
    r->sampling = NULL;
    r->grammar = NULL;
    return XN_OK;
}

// With the mutex held.
static int check_queue(const struct xn_serving *s, uint32_t *retry, struct xn_error *err) {
    bool full = s->waiting >= s->options.queue;
    *retry = full ? xn_pace_wait(&s->pace, xn_serving_now(), s->waiting, s->slots) : 0;
    if (full) return xn_fail(err, XN_ERR_LIMIT, "%u requests wait already, and no more may", s->waiting);
    return s->stop ? xn_fail(err, XN_ERR_CANCELLED, "the server ends") : XN_OK;
}

static int hand_over(struct xn_serving *s, struct xn_task *t, uint64_t *id, uint32_t *retry, struct xn_error *err) {
    pthread_mutex_lock(&s->mutex);
    int status = check_queue(s, retry, err);
    if (status == XN_OK && XN_GROW(s->tasks, s->tasks_capacity, s->n_tasks + 1))
        status = xn_fail(err, XN_ERR_NOMEM, "no memory for a request");
    if (status == XN_OK) {
        *id = t->id = ++s->next_id;
        s->tasks[s->n_tasks++] = t;
        if (s->waiting++ == 0) xn_pace_form(&s->pace, xn_serving_now());
        s->state.requests++;
        xn_task_queue_push(&s->inbox, t);
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->mutex);
    return status;
}

int xn_serving_submit(struct xn_serving *s, const struct xn_serving_request *request, uint64_t *id, uint32_t *retry,
                      struct xn_error *err) {
    // First, so that a full queue costs nothing.
    pthread_mutex_lock(&s->mutex);
    int status = check_queue(s, retry, err);
    pthread_mutex_unlock(&s->mutex);
    XN_TRY(status);
    XN_TRY(check(s, request, err));
    struct xn_task *t = xn_alloc_zero(1, sizeof *t);
    if (!t) return xn_fail(err, XN_ERR_NOMEM, "no memory for a request");
    t->request = *request;
    status = fill(s, t, err);
    if (status == XN_OK) status = hand_over(s, t, id, retry, err);
    if (status != XN_OK) xn_task_free(s, t);
    return status;
}

void xn_serving_cancel(struct xn_serving *s, uint64_t id) {
    pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; i < s->n_tasks; i++)
        if (s->tasks[i]->id == id) {
            atomic_store(&s->tasks[i]->cancelled, true);
            s->woken = true;
            pthread_cond_signal(&s->wake);
        }
    pthread_mutex_unlock(&s->mutex);
}

void xn_serving_state(struct xn_serving *s, struct xn_serving_state *state, struct xn_serving_slot *slots,
                      uint32_t n_slots) {
    pthread_mutex_lock(&s->mutex);
    *state = s->state;
    state->waiting = s->waiting;
    for (uint32_t i = 0; i < n_slots; i++)
        slots[i] = i < s->slots ? s->slot_states[i] : (struct xn_serving_slot){0};
    pthread_mutex_unlock(&s->mutex);
}
