// The registry: one slot a model, one lock for all. A model is loaded by whoever asks first, outside of the lock;
// dropped by the keeper (a thread of its own, as the last holder may be a thread of that very model), or by who needs
// its room.
#include "server/models.h"

#include "base/memory.h"
#include "server/models/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

double xn_models_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int wait_until(struct xn_models *m, double until) {
    struct timespec t = {(time_t)until, (long)((until - floor(until)) * 1e9)};
    return pthread_cond_timedwait(&m->changed, &m->lock, &t);
}

static void tell(struct xn_models *m, const struct xn_slot *slot, const char *what, double seconds) {
    if (m->options.told) m->options.told(m->options.user, slot->names[0], what, seconds);
}

// --- names

// "Name" is "name" and "name:latest".
static bool same_name(const char *one, const char *other, size_t n) {
    return strlen(one) == n && strncasecmp(one, other, n) == 0;
}

size_t xn_models_find(const struct xn_models *m, const char *name) {
    if (!m->n) return SIZE_MAX;
    if (!name || !*name) return 0;
    size_t n = strlen(name);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < m->n; i++)
            for (size_t k = 0; k < m->slots[i].n_names; k++)
                if (same_name(m->slots[i].names[k], name, n)) return i;
        if (n <= 7 || strcasecmp(name + n - 7, ":latest") != 0) break;
        n -= 7;
    }
    return m->n == 1 ? 0 : SIZE_MAX;
}

int xn_models_add(struct xn_models *m, const char *path, const char *const *names, size_t n, struct xn_error *err) {
    for (size_t i = 0; i < m->n; i++)
        for (size_t k = 0; k < m->slots[i].n_names; k++)
            for (size_t j = 0; j < n; j++)
                if (same_name(m->slots[i].names[k], names[j], strlen(names[j])))
                    return xn_fail(err, XN_ERR_ARGUMENT, "two models are called \"%s\"; give one another name",
                                   names[j]);
    struct xn_slot slot = {.keep = NAN};
    XN_TRY(xn_slot_measure(path, &slot, err));
    slot.names = xn_alloc_zero(n, sizeof *slot.names);
    slot.path = xn_strdup(path);
    bool failed = !slot.names || !slot.path;
    for (size_t k = 0; k < n && slot.names; k++, slot.n_names++)
        failed |= !(slot.names[k] = xn_strdup(names[k]));
    pthread_mutex_lock(&m->lock); // the keeper looks at them already
    failed = failed || XN_GROW(m->slots, m->capacity, m->n + 1);
    if (!failed) m->slots[m->n++] = slot;
    pthread_mutex_unlock(&m->lock);
    if (!failed) return XN_OK;
    xn_slot_empty(&slot);
    return xn_fail(err, XN_ERR_NOMEM, "no memory for the names of models");
}

// --- room

static bool has_room(const struct xn_models *m, const struct xn_slot *wanted) {
    uint32_t loaded = 0;
    uint64_t bytes = wanted->size;
    for (size_t i = 0; i < m->n; i++) {
        const struct xn_slot *slot = &m->slots[i];
        if (slot == wanted || (slot->state != XN_MODEL_LOADED && slot->state != XN_MODEL_LOADING)) continue;
        loaded++;
        bytes += slot->size;
    }
    if (!loaded) return true; // one alone may be larger than the bound
    return (!m->options.most || loaded < m->options.most) && (!m->options.bytes || bytes <= m->options.bytes);
}

// The one of those that nobody holds that was asked for the longest ago.
static struct xn_slot *oldest_free(struct xn_models *m) {
    struct xn_slot *oldest = NULL;
    for (size_t i = 0; i < m->n; i++) {
        struct xn_slot *slot = &m->slots[i];
        if (slot->state == XN_MODEL_LOADED && !slot->holders && (!oldest || slot->used < oldest->used)) oldest = slot;
    }
    return oldest;
}

static void add_counts(struct xn_serving_state *to, const struct xn_serving_state *one) {
    to->requests += one->requests;
    to->finished += one->finished;
    to->cancelled += one->cancelled;
    to->failed += one->failed;
    to->prompt_tokens += one->prompt_tokens;
    to->cached_tokens += one->cached_tokens;
    to->generated_tokens += one->generated_tokens;
    to->steps += one->steps;
    to->step_seconds += one->step_seconds;
    to->prompt_seconds += one->prompt_seconds;
    to->generate_seconds += one->generate_seconds;
}

// With the lock held, which is let go meanwhile. Nobody holds the slot's model.
static void drop(struct xn_models *m, struct xn_slot *slot) {
    slot->state = XN_MODEL_LOADING; // whoever wants it waits
    slot->leaving = false;
    slot->keep = NAN;
    pthread_mutex_unlock(&m->lock);
    double begin = xn_models_now();
    struct xn_serving_state last;
    xn_slot_unload(slot, &last);
    tell(m, slot, "unloaded", xn_models_now() - begin);
    pthread_mutex_lock(&m->lock);
    add_counts(&slot->past, &last);
    slot->state = XN_MODEL_UNLOADED;
    pthread_cond_broadcast(&m->changed);
}

// --- loading

static void load(struct xn_models *m, struct xn_slot *slot) {
    slot->state = XN_MODEL_LOADING;
    pthread_mutex_unlock(&m->lock);
    double begin = xn_models_now();
    struct xn_error err;
    int status = xn_slot_load(slot, &m->options, &err);
    tell(m, slot, status == XN_OK ? "loaded" : err.message, xn_models_now() - begin);
    pthread_mutex_lock(&m->lock);
    slot->state = status == XN_OK ? XN_MODEL_LOADED : XN_MODEL_FAILED;
    slot->used = xn_models_now();
    slot->error = err;
    pthread_cond_broadcast(&m->changed);
}

// With the lock held. A model that fails for want of memory gets that of others, as long as there are any.
static int bring(struct xn_models *m, struct xn_slot *slot, double until, struct xn_error *err) {
    bool waited = false;
    for (;;) {
        struct xn_slot *oldest = oldest_free(m);
        if (m->closing) return xn_fail(err, XN_ERR_CANCELLED, "the server ends");
        if (slot->state == XN_MODEL_LOADED) return XN_OK;
        if (slot->state == XN_MODEL_LOADING) {
            waited = true; // what that comes to is the answer here too
            pthread_cond_wait(&m->changed, &m->lock);
        } else if (slot->state == XN_MODEL_FAILED && waited) {
            *err = slot->error;
            return err->status;
        } else if (has_room(m, slot)) {
            load(m, slot);
            waited = true;
            bool memory = slot->state == XN_MODEL_FAILED && slot->error.status == XN_ERR_NOMEM;
            if (memory && (oldest = oldest_free(m))) {
                drop(m, oldest);
                waited = false;
            }
        } else if (oldest) {
            drop(m, oldest);
        } else if (wait_until(m, until) && xn_models_now() >= until) {
            return xn_fail(err, XN_ERR_LIMIT, "model \"%s\" has to wait until another one is not in use any more",
                           slot->names[0]);
        }
    }
}

static struct xn_served *hold(struct xn_slot *slot) {
    slot->holders++;
    slot->busy = true;
    slot->used = xn_models_now();
    return &slot->served;
}

int xn_served_acquire(struct xn_models *m, const char *name, struct xn_served **out, struct xn_error *err) {
    size_t i = xn_models_find(m, name);
    *out = NULL;
    if (i == SIZE_MAX) return xn_fail(err, XN_ERR_MISSING, "model \"%.128s\" not found", name ? name : "");
    struct xn_error none;
    if (!err) err = &none;
    pthread_mutex_lock(&m->lock);
    int status = bring(m, &m->slots[i], xn_models_now() + m->options.wait, err);
    if (status == XN_OK) *out = hold(&m->slots[i]);
    pthread_mutex_unlock(&m->lock);
    return status;
}

static struct xn_slot *slot_of(struct xn_served *served) {
    return (struct xn_slot *)((char *)served - offsetof(struct xn_slot, served));
}

void xn_served_release(struct xn_models *m, struct xn_served *served) {
    if (!served) return;
    pthread_mutex_lock(&m->lock);
    struct xn_slot *slot = slot_of(served);
    if (--slot->holders == 0 && slot->busy) {
        slot->busy = false;
        slot->used = xn_models_now();
    }
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

struct xn_served *xn_served_hold(struct xn_models *m, struct xn_served *served) {
    pthread_mutex_lock(&m->lock);
    hold(slot_of(served));
    pthread_mutex_unlock(&m->lock);
    return served;
}

void xn_served_keep(struct xn_models *m, struct xn_served *served, double seconds) {
    pthread_mutex_lock(&m->lock);
    slot_of(served)->keep = seconds;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

struct xn_served *xn_served_peek(struct xn_models *m, size_t i) {
    pthread_mutex_lock(&m->lock);
    struct xn_slot *slot = &m->slots[i];
    bool there = slot->state == XN_MODEL_LOADED;
    if (there) slot->holders++; // looking is no use of it
    pthread_mutex_unlock(&m->lock);
    return there ? &slot->served : NULL;
}

// --- what is told

// Seconds that a loaded model stays without a request; < 0: for ever.
static double stays(const struct xn_models *m, const struct xn_slot *slot) {
    if (!isnan(slot->keep)) return slot->keep;
    return m->options.idle > 0 ? m->options.idle : -1;
}

size_t xn_models_count(const struct xn_models *m) {
    return m->n;
}

void xn_models_entry(struct xn_models *m, size_t i, struct xn_model_entry *entry) {
    pthread_mutex_lock(&m->lock);
    const struct xn_slot *slot = &m->slots[i];
    double stay = stays(m, slot), left = slot->used + stay - xn_models_now();
    *entry = (struct xn_model_entry){.path = slot->path,
                                     .names = (const char *const *)slot->names,
                                     .n_names = slot->n_names,
                                     .size = slot->size,
                                     .created = slot->created,
                                     .state = slot->state,
                                     .holders = slot->holders,
                                     .past = slot->past,
                                     .expires = slot->state != XN_MODEL_LOADED || stay < 0 ? -1
                                                : left > 0                                 ? left
                                                                                           : 0};
    pthread_mutex_unlock(&m->lock);
}

void xn_models_unload(struct xn_models *m, size_t i) {
    pthread_mutex_lock(&m->lock);
    if (m->slots[i].state == XN_MODEL_LOADED) m->slots[i].leaving = true;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
}

// --- the keeper

static void *keep(void *user) {
    struct xn_models *m = user;
    pthread_setname_np(pthread_self(), "xenon-models");
    pthread_mutex_lock(&m->lock);
    while (!m->closing) {
        double now = xn_models_now(), next = now + 3600;
        struct xn_slot *due = NULL;
        for (size_t i = 0; i < m->n && !due; i++) {
            struct xn_slot *slot = &m->slots[i];
            if (slot->state != XN_MODEL_LOADED || slot->holders) continue;
            double stay = stays(m, slot);
            if (slot->leaving || (stay >= 0 && slot->used + stay <= now))
                due = slot;
            else if (stay >= 0 && slot->used + stay < next)
                next = slot->used + stay;
        }
        if (due)
            drop(m, due);
        else
            wait_until(m, next);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

int xn_models_create(const struct xn_models_options *options, struct xn_models **out, struct xn_error *err) {
    struct xn_models *m = xn_alloc_zero(1, sizeof *m);
    *out = NULL;
    if (!m) return xn_fail(err, XN_ERR_NOMEM, "no memory for the models' list");
    m->options = *options;
    if (m->options.wait <= 0) m->options.wait = 30;
    pthread_mutex_init(&m->lock, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&m->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    int failed = pthread_create(&m->keeper, NULL, keep, m);
    if (failed) {
        pthread_cond_destroy(&m->changed);
        pthread_mutex_destroy(&m->lock);
        free(m);
        return xn_fail_errno(err, failed, "no thread that keeps the models");
    }
    *out = m;
    return XN_OK;
}

void xn_models_free(struct xn_models *m) {
    if (!m) return;
    pthread_mutex_lock(&m->lock);
    m->closing = true;
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
    pthread_join(m->keeper, NULL);
    for (size_t i = 0; i < m->n; i++) {
        if (m->slots[i].state == XN_MODEL_LOADED) xn_slot_unload(&m->slots[i], NULL);
        xn_slot_empty(&m->slots[i]);
    }
    free(m->slots);
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->lock);
    free(m);
}
