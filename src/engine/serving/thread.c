// The serving thread.
#include "engine/serving/internal.h"

#include <string.h>

// Waits until there is something to do, and takes what was submitted. False: it is time to stop.
static bool take_inbox(struct xn_serving *s) {
    pthread_mutex_lock(&s->mutex);
    while (!s->stop && !s->woken && !s->inbox.first && s->n_running == 0 && s->queue.n == 0)
        pthread_cond_wait(&s->wake, &s->mutex);
    s->woken = false;
    while (s->inbox.first) {
        struct xn_task *t = xn_task_queue_take(&s->inbox, &s->inbox.first);
        struct xn_owner *owner = xn_owner_of(s, t->request.owner);
        if (owner) owner->tasks++;
        xn_task_queue_push(&s->queue, t);
    }
    bool stop = s->stop;
    pthread_mutex_unlock(&s->mutex);
    return !stop;
}

// Ends what was cancelled, or all.
static void drop_cancelled(struct xn_serving *s, bool all) {
    for (struct xn_task **at = &s->queue.first; *at;)
        if (all || atomic_load(&(*at)->cancelled))
            xn_task_finish(s, xn_task_queue_take(&s->queue, at), XN_SERVING_CANCELLED, -1, NULL);
        else
            at = &(*at)->next;
    for (uint32_t i = 0; i < s->slots; i++)
        if (s->running[i] && (all || atomic_load(&s->running[i]->cancelled)))
            xn_task_finish(s, s->running[i], XN_SERVING_CANCELLED, -1, NULL);
}

static void publish(struct xn_serving *s) {
    struct xn_context_pages pages = xn_context_pages(s->context);
    struct xn_serving_state *c = &s->counters;
    c->slots = s->slots;
    c->running = s->n_running;
    c->pages = pages.pages;
    c->pages_used = pages.pages - pages.free;
    c->context = s->limit;
    c->ram_used = s->prefixes.saved_bytes;
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->slots; i++)
        if (s->running[i]) {
            s->sequences[n] = s->running[i]->sequence;
            s->positions[n++] = UINT32_MAX;
        }
    c->pages_cached = c->pages_used - xn_context_pages_of(s->context, s->sequences, s->positions, n);
    pthread_mutex_lock(&s->mutex);
    c->requests = s->state.requests;
    s->state = *c;
    for (uint32_t i = 0; i < s->slots; i++) {
        const struct xn_task *t = s->running[i];
        s->slot_states[i] = t ? (struct xn_serving_slot){.busy = true,
                                                         .id = t->id,
                                                         .length = xn_task_length(s, t),
                                                         .prompt = t->counts.prompt,
                                                         .done = t->counts.done,
                                                         .generated = t->counts.generated}
                              : (struct xn_serving_slot){0};
    }
    pthread_mutex_unlock(&s->mutex);
}

void *xn_serving_thread(void *serving) {
    struct xn_serving *s = serving;
    while (take_inbox(s)) {
        drop_cancelled(s, false);
        xn_serving_admit(s);
        if (s->n_running) xn_serving_step(s);
        publish(s);
    }
    drop_cancelled(s, true);
    publish(s);
    return NULL;
}
