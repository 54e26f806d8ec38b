// Compiled grammars, kept by what they were made from: agents send the same tools and schemas with every request.
#include "server/completion/internal.h"

#include "base/memory.h"
#include "text/grammar/compile.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_KEPT = 32, MOST_BYTES = 128 << 20 };

struct xn_kept_grammar {
    char *key;
    struct xn_grammar *grammar;
    size_t size;
    uint32_t holds; // one of the list's, as long as it is in there
    uint64_t used;
};

static struct {
    pthread_mutex_t lock;
    struct xn_kept_grammar *kept[MOST_KEPT];
    size_t n, bytes;
    uint64_t clock;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

// With the lock held.
static void drop_locked(struct xn_kept_grammar *kept) {
    if (--kept->holds) return;
    xn_grammar_free(kept->grammar);
    free(kept->key);
    free(kept);
}

// What the rules say, as one text. NULL without memory.
static char *key_of(const struct xn_answer_rules *r) {
    json_t *key = json_pack("[i, s?, s?, b, O?, b, s?, b, i, O?]", (int)r->style.format, r->style.think_open,
                            r->style.think_close, r->thinking, (json_t *)r->tools, r->required, r->only, r->parallel,
                            (int)r->content, r->content == XN_ANSWER_SCHEMA ? (json_t *)r->schema : NULL);
    char *text = key ? json_dumps(key, JSON_COMPACT) : NULL;
    json_decref(key);
    if (!text || r->content != XN_ANSWER_GBNF) return text;
    char *joined = xn_format("%s%.*s", text, (int)r->gbnf_size, r->gbnf);
    free(text);
    return joined;
}

// The kept grammar of this key, held once more, or NULL.
static struct xn_kept_grammar *find_locked(const char *key) {
    for (size_t i = 0; i < all.n; i++)
        if (strcmp(all.kept[i]->key, key) == 0) {
            all.kept[i]->used = ++all.clock;
            all.kept[i]->holds++;
            return all.kept[i];
        }
    return NULL;
}

// Takes the one that was not used for the longest out of the list.
static void forget_locked(void) {
    size_t at = 0;
    for (size_t i = 1; i < all.n; i++)
        if (all.kept[i]->used < all.kept[at]->used) at = i;
    all.bytes -= all.kept[at]->size;
    drop_locked(all.kept[at]);
    all.kept[at] = all.kept[--all.n];
}

static void keep_locked(struct xn_kept_grammar *made) {
    if (made->size > MOST_BYTES) return;
    while (all.n == MOST_KEPT || (all.n && all.bytes + made->size > MOST_BYTES))
        forget_locked();
    made->used = ++all.clock;
    made->holds++;
    all.bytes += made->size;
    all.kept[all.n++] = made;
}

static int make(const struct xn_answer_rules *rules, char *key, struct xn_kept_grammar **out, struct xn_error *err) {
    struct xn_grammar *grammar = NULL;
    int status = xn_answer_grammar(rules, &grammar, err);
    if (status != XN_OK && status != XN_ERR_NOMEM) {
        // A limit of grammars is no overload of the server: the client has asked for what can't be done.
        if (err) err->status = XN_ERR_ARGUMENT;
        status = XN_ERR_ARGUMENT;
    }
    struct xn_kept_grammar *made = status == XN_OK && grammar ? xn_alloc_zero(1, sizeof *made) : NULL;
    if (!made) {
        free(key);
        xn_grammar_free(grammar);
        return grammar ? xn_fail(err, XN_ERR_NOMEM, "out of memory for a grammar") : status;
    }
    *made = (struct xn_kept_grammar){.key = key, .grammar = grammar, .holds = 1};
    made->size = strlen(key) + (grammar->n_states + 1) * sizeof *grammar->states +
                 grammar->n_edges * sizeof *grammar->edges + grammar->n_rules * sizeof *grammar->rule_start;
    *out = made;
    return XN_OK;
}

int xn_grammar_take(const struct xn_answer_rules *rules, struct xn_kept_grammar **out, struct xn_error *err) {
    *out = NULL;
    char *key = key_of(rules);
    if (!key) return xn_fail(err, XN_ERR_NOMEM, "out of memory for a grammar");
    pthread_mutex_lock(&all.lock);
    *out = find_locked(key);
    pthread_mutex_unlock(&all.lock);
    if (*out) {
        free(key);
        return XN_OK;
    }
    // Compiled without the lock; two that ask for the same at once both compile, and one of the results is kept.
    XN_TRY(make(rules, key, out, err));
    if (!*out) return XN_OK;
    pthread_mutex_lock(&all.lock);
    struct xn_kept_grammar *other = find_locked((*out)->key);
    if (other) {
        drop_locked(*out);
        *out = other;
    } else {
        keep_locked(*out);
    }
    pthread_mutex_unlock(&all.lock);
    return XN_OK;
}

struct xn_kept_grammar *xn_grammar_hold(struct xn_kept_grammar *kept) {
    if (!kept) return NULL;
    pthread_mutex_lock(&all.lock);
    kept->holds++;
    pthread_mutex_unlock(&all.lock);
    return kept;
}

void xn_grammar_drop(struct xn_kept_grammar *kept) {
    if (!kept) return;
    pthread_mutex_lock(&all.lock);
    drop_locked(kept);
    pthread_mutex_unlock(&all.lock);
}

const struct xn_grammar *xn_grammar_of(const struct xn_kept_grammar *kept) {
    return kept ? kept->grammar : NULL;
}

void xn_completion_forget_grammars(void) {
    pthread_mutex_lock(&all.lock);
    while (all.n)
        forget_locked();
    pthread_mutex_unlock(&all.lock);
}
