// Who gets a slot next: the highest priority; among equals the owner with the fewest running, then the one whose turn
// was longest ago; of an owner, the oldest.
#include "engine/serving/internal.h"

#include <string.h>

// Tokens that a text should be able to grow by before a slot is worth it.
enum { ROOM = 64, ROOM_AGAIN = 256 };

struct xn_owner *xn_owner_of(struct xn_serving *s, uint64_t id) {
    enum { MANY = 1024 };
    for (size_t i = 0; i < s->n_owners; i++)
        if (s->owners[i].owner == id) return &s->owners[i];
    if (s->n_owners >= MANY) { // those that have nothing here any more
        size_t kept = 0;
        for (size_t i = 0; i < s->n_owners; i++)
            if (s->owners[i].tasks) s->owners[kept++] = s->owners[i];
        s->n_owners = kept;
    }
    if (XN_GROW(s->owners, s->owners_capacity, s->n_owners + 1)) return NULL;
    // Whoever comes stands behind those that wait already.
    s->owners[s->n_owners] = (struct xn_owner){.owner = id, .turn = s->turns};
    return &s->owners[s->n_owners++];
}

// Whether a goes before b, which was submitted earlier.
static bool goes_before(struct xn_serving *s, const struct xn_task *a, const struct xn_task *b) {
    if (a->request.priority != b->request.priority) return a->request.priority > b->request.priority;
    if (a->request.owner == b->request.owner) return a->id < b->id;
    const struct xn_owner *x = xn_owner_of(s, a->request.owner);
    struct xn_owner first = x ? *x : (struct xn_owner){0}; // the second call may move it
    const struct xn_owner *y = xn_owner_of(s, b->request.owner);
    struct xn_owner second = y ? *y : (struct xn_owner){0};
    if (first.running != second.running) return first.running < second.running;
    if (first.turn != second.turn) return first.turn < second.turn;
    return a->id < b->id;
}

// --- prefixes ---

static bool may_share(const struct xn_task *t) {
    return !t->request.no_cache && (t->request.pooling == XN_POOL_NONE || t->request.pooling == XN_POOL_LAST);
}

// How many of a text's tokens may be taken from elsewhere. Two are left to be evaluated, since a row by itself is
// rounded as a next token is (cpu/ops/attend.c), and prompts are to be the same whether they were cached or not.
static uint32_t takeable(const struct xn_task *t) {
    return t->tokens.n > 2 ? (uint32_t)t->tokens.n - 2 : 0;
}

// Where the beginning of a text may come from.
static struct xn_prefix find_prefix(const struct xn_serving *s, const struct xn_task *t) {
    struct xn_prefix best = {0};
    uint32_t n = takeable(t);
    if (!may_share(t)) return best;
    best = xn_prefix_find(&s->prefixes, t->tokens.data, n);
    for (uint32_t i = 0; i < s->slots; i++) {
        const struct xn_task *r = s->running[i];
        if (!r || r->request.no_cache) continue;
        uint32_t reach = xn_prefix_reach(s->context, r->sequence, t->tokens.data, n);
        if (reach > best.reach)
            best = (struct xn_prefix){.source = XN_PREFIX_RUNNING, .sequence = r->sequence, .reach = reach};
    }
    return best;
}

static uint32_t common_of(const struct xn_task *running, const struct xn_task *t) {
    if (running->request.no_cache || !may_share(t)) return 0;
    return xn_common_prefix(running->tokens.data, running->tokens.n, t->tokens.data, takeable(t));
}

// Whether another computes what this text begins with, beyond what there is already: it is then computed once.
static bool is_being_computed(const struct xn_serving *s, const struct xn_task *t, uint32_t reach) {
    for (uint32_t i = 0; i < s->slots; i++) {
        const struct xn_task *r = s->running[i];
        if (!r || r->request.priority < t->request.priority) continue;
        uint32_t common = common_of(r, t);
        if (common >= reach + XN_PREFIX_LEAST && xn_task_length(s, r) < common) return true;
    }
    return false;
}

uint32_t xn_serving_next_branch(const struct xn_serving *s, const struct xn_task *t, uint32_t length) {
    uint32_t next = UINT32_MAX, seen = 0;
    for (const struct xn_task *q = s->queue.first; q && seen < s->slots; q = q->next, seen++) {
        uint32_t common = common_of(t, q);
        if (common >= XN_PREFIX_LEAST && common > length && common < next) next = common;
    }
    return next;
}

// --- who is next ---

// Those whose beginning is being computed wait for it. Where many do, those behind them wait with them: finding out is
// not free.
static struct xn_task **choose(struct xn_serving *s, struct xn_prefix *prefix) {
    enum { LOOK_AT = 32 };
    struct xn_task **best = NULL;
    uint32_t looked = 0;
    for (struct xn_task **at = &s->queue.first; *at && looked < LOOK_AT; at = &(*at)->next) {
        if (best && !goes_before(s, *at, *best)) continue;
        looked++;
        struct xn_prefix found = find_prefix(s, *at);
        if (is_being_computed(s, *at, found.reach)) continue;
        best = at;
        *prefix = found;
    }
    return best;
}

static uint32_t pages_for(const struct xn_serving *s, uint64_t positions) {
    uint32_t each = xn_context_pages(s->context).positions;
    return (uint32_t)((positions + each - 1) / each);
}

// Pages that running tasks hold, with those that a prefix shares, and those that their texts will yet take.
static uint32_t pages_spoken_for(struct xn_serving *s, const struct xn_prefix *prefix) {
    uint32_t n = 0, to_come = 0, each = xn_context_pages(s->context).positions;
    for (uint32_t i = 0; i < s->slots; i++) {
        const struct xn_task *t = s->running[i];
        if (!t) continue;
        uint32_t alone, has = xn_sequence_pages(s->context, t->sequence, &alone), wants = pages_for(s, t->tokens.n + 1);
        s->sequences[n] = t->sequence;
        s->positions[n++] = UINT32_MAX;
        to_come += wants > has ? wants - has : 0;
    }
    if (prefix->source == XN_PREFIX_KEPT || prefix->source == XN_PREFIX_RUNNING) {
        s->sequences[n] = prefix->sequence;
        s->positions[n++] = prefix->reach / each * each;
    }
    return xn_context_pages_of(s->context, s->sequences, s->positions, n) + to_come;
}

// All but what running tasks hold can be had: what is kept gives way.
static bool fits(struct xn_serving *s, const struct xn_task *t, const struct xn_prefix *prefix) {
    if (s->n_running == 0) return true; // all there is
    uint64_t room = t->started ? ROOM_AGAIN : ROOM, most = s->limit;
    if (t->request.most >= 0 && (uint64_t)t->request.most < room && !t->started) room = (uint64_t)t->request.most;
    uint64_t length = t->tokens.n + room < most ? t->tokens.n + room : most;
    uint64_t shared = prefix->source == XN_PREFIX_SAVED ? 0 : prefix->reach / xn_context_pages(s->context).positions;
    if (length < prefix->length) length = prefix->length;
    return pages_for(s, length) + (uint64_t)pages_spoken_for(s, prefix) <= xn_context_pages(s->context).pages + shared;
}

// --- slots ---

static int begin_sequence(struct xn_serving *s, struct xn_task *t, const struct xn_prefix *prefix,
                          struct xn_error *err) {
    uint32_t reach = prefix->reach;
    if (!xn_prefix_take(&s->prefixes, prefix, &t->sequence)) {
        reach = 0;
        XN_TRY(xn_sequence_new(s->context, &t->sequence, err));
    }
    if (!t->started) {
        t->counts.cached = t->counts.done = reach;
        s->counters.cached_tokens += reach;
    }
    if (t->grammar && !t->state) XN_TRY(xn_grammar_state_new(xn_masks_automaton(t->grammar->masks), &t->state, err));
    if (s->model->plan.n_following_ropes)
        XN_TRY(xn_sequence_expect(s->context, t->sequence, (uint32_t)t->tokens.n, false, err));
    return XN_OK;
}

static void mark_started(struct xn_serving *s, struct xn_task *t) {
    pthread_mutex_lock(&s->mutex);
    s->waiting--;
    t->started = true;
    pthread_mutex_unlock(&s->mutex);
    t->counts.queued = xn_serving_now() - t->submitted;
}

static void start(struct xn_serving *s, struct xn_task *t, uint32_t slot, const struct xn_prefix *prefix) {
    struct xn_error err;
    bool first = !t->started;
    int status = begin_sequence(s, t, prefix, &err);
    s->running[slot] = t;
    s->n_running++;
    t->turn = ++s->turns;
    struct xn_owner *owner = xn_owner_of(s, t->request.owner);
    if (owner) {
        owner->running++;
        owner->turn = t->turn;
    }
    if (first) mark_started(s, t);
    if (status != XN_OK) {
        xn_task_finish(s, t, XN_SERVING_ERROR, -1, &err);
        return;
    }
    struct xn_serving_event event = {.kind = XN_SERVING_PROMPT, .token = -1};
    if (first && xn_task_emit(s, t, &event)) xn_task_finish(s, t, XN_SERVING_CALLER, -1, NULL);
}

void xn_serving_admit(struct xn_serving *s) {
    for (uint32_t slot = 0; slot < s->slots && s->queue.n; slot++) {
        if (s->running[slot]) continue;
        struct xn_prefix prefix;
        struct xn_task **at = choose(s, &prefix);
        if (!at || !fits(s, *at, &prefix)) return;
        start(s, xn_task_queue_take(&s->queue, at), slot, &prefix);
    }
}

void xn_serving_preempt(struct xn_serving *s, struct xn_task *t) {
    if (t->request.no_cache)
        xn_sequence_free(s->context, t->sequence);
    else
        xn_prefix_drop(&s->prefixes, t->sequence);
    t->sequence = XN_SERVING_NO_SEQUENCE;
    for (uint32_t i = 0; i < s->slots; i++)
        if (s->running[i] == t) s->running[i] = NULL;
    for (uint32_t i = 0; i < s->n_order; i++)
        if (s->order[i] == t) s->order[i] = NULL;
    s->n_running--;
    struct xn_owner *owner = xn_owner_of(s, t->request.owner);
    if (owner && owner->running) owner->running--;
    xn_task_queue_push(&s->queue, t);
}
