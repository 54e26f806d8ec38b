#include "engine/serving/grammars.h"

#include "base/memory.h"

#include <stdlib.h>

void xn_grammars_init(struct xn_grammars *g) {
    *g = (struct xn_grammars){.tree = NULL};
    pthread_mutex_init(&g->mutex, NULL);
    pthread_mutex_init(&g->turn, NULL);
    pthread_cond_init(&g->changed, NULL);
}

static void use_free(struct xn_grammar_use *use) {
    if (!use) return;
    xn_masks_free(use->masks);
    xn_grammar_free(use->grammar);
    free(use);
}

void xn_grammars_free(struct xn_grammars *g) {
    if (g->has_thread) {
        pthread_mutex_lock(&g->turn);
        g->stop = true;
        pthread_cond_broadcast(&g->changed);
        pthread_mutex_unlock(&g->turn);
        pthread_join(g->thread, NULL);
    }
    for (size_t i = 0; i < g->n_uses; i++)
        use_free(g->uses[i]);
    free(g->uses);
    free(g->jobs);
    xn_token_tree_free(g->tree);
    pthread_mutex_destroy(&g->mutex);
    pthread_mutex_destroy(&g->turn);
    pthread_cond_destroy(&g->changed);
}

// --- one set of masks a grammar ---

static struct xn_grammar_use *find(struct xn_grammars *g, const struct xn_grammar *grammar) {
    for (size_t i = 0; i < g->n_uses; i++)
        if (xn_grammar_same(g->uses[i]->grammar, grammar)) {
            g->uses[i]->users++;
            g->uses[i]->used = ++g->clock;
            return g->uses[i];
        }
    return NULL;
}

// Of those without users, the ones past the limit.
static void drop_old(struct xn_grammars *g) {
    for (;;) {
        size_t idle = 0, oldest = g->n_uses;
        for (size_t i = 0; i < g->n_uses; i++) {
            if (g->uses[i]->users) continue;
            idle++;
            if (oldest == g->n_uses || g->uses[i]->used < g->uses[oldest]->used) oldest = i;
        }
        if (idle <= XN_GRAMMARS_MOST) return;
        use_free(g->uses[oldest]);
        g->uses[oldest] = g->uses[--g->n_uses];
    }
}

static int find_tree(struct xn_grammars *g, const struct xn_tokenizer *tokenizer, struct xn_error *err) {
    if (g->tree && g->tokenizer != tokenizer)
        return xn_fail(err, XN_ERR_ARGUMENT, "grammars of one model have one tokenizer");
    if (g->tree) return XN_OK;
    g->tokenizer = tokenizer;
    return xn_token_tree_of(tokenizer, &g->tree, err);
}

static int use_new(const struct xn_grammars *g, const struct xn_grammar *grammar, struct xn_grammar_use **out,
                   struct xn_error *err) {
    static const double warm_seconds = 0.1; // on the caller's thread, so that the first tokens need not wait
    struct xn_grammar_use *use = *out = xn_alloc_zero(1, sizeof *use);
    if (!use) return xn_fail(err, XN_ERR_NOMEM, "no memory for a grammar");
    int status = xn_grammar_copy(grammar, &use->grammar, err);
    if (status == XN_OK) status = xn_masks_new(use->grammar, g->tree, &use->masks, err);
    if (status == XN_OK) status = xn_masks_warm(use->masks, warm_seconds, err);
    use->users = 1;
    if (status == XN_OK) return XN_OK;
    use_free(use);
    *out = NULL;
    return status;
}

int xn_grammar_use(struct xn_grammars *g, const struct xn_grammar *grammar, const struct xn_tokenizer *tokenizer,
                   struct xn_grammar_use **out, struct xn_error *err) {
    pthread_mutex_lock(&g->mutex);
    int status = find_tree(g, tokenizer, err);
    *out = status == XN_OK ? find(g, grammar) : NULL;
    pthread_mutex_unlock(&g->mutex);
    if (status != XN_OK || *out) return status;
    struct xn_grammar_use *made;
    XN_TRY(use_new(g, grammar, &made, err));
    pthread_mutex_lock(&g->mutex);
    *out = find(g, grammar); // another may have been quicker
    if (!*out && XN_GROW(g->uses, g->capacity, g->n_uses + 1)) {
        status = xn_fail(err, XN_ERR_NOMEM, "no memory for a grammar");
    } else if (!*out) {
        made->used = ++g->clock;
        *out = g->uses[g->n_uses++] = made;
        made = NULL;
    }
    pthread_mutex_unlock(&g->mutex);
    use_free(made);
    return status;
}

void xn_grammar_leave(struct xn_grammars *g, struct xn_grammar_use *use) {
    if (!use) return;
    pthread_mutex_lock(&g->mutex);
    use->users--;
    drop_old(g);
    pthread_mutex_unlock(&g->mutex);
}

// --- the mask thread ---

static void *mask_thread(void *grammars) {
    struct xn_grammars *g = grammars;
    pthread_mutex_lock(&g->turn);
    for (;;) {
        while (!g->busy && !g->stop)
            pthread_cond_wait(&g->changed, &g->turn);
        if (g->stop) break;
        pthread_mutex_unlock(&g->turn);
        for (size_t i = 0; i < g->n_jobs; i++) {
            struct xn_mask_job *j = &g->jobs[i];
            if (xn_mask(j->masks, j->state, j->mask, j->err) == XN_OK) j->err->status = XN_OK;
        }
        pthread_mutex_lock(&g->turn);
        g->busy = false;
        pthread_cond_broadcast(&g->changed);
    }
    pthread_mutex_unlock(&g->turn);
    return NULL;
}

int xn_masks_prepare(struct xn_grammars *g, size_t n_jobs, struct xn_error *err) {
    g->n_jobs = 0;
    if (XN_GROW(g->jobs, g->jobs_capacity, n_jobs))
        return xn_fail(err, XN_ERR_NOMEM, "no memory for the masks of a step");
    if (n_jobs && !g->has_thread) {
        if (pthread_create(&g->thread, NULL, mask_thread, g)) return xn_fail(err, XN_ERR_NOMEM, "no thread for masks");
        g->has_thread = true;
    }
    return XN_OK;
}

void xn_masks_begin(struct xn_grammars *g) {
    if (g->n_jobs == 0) return;
    pthread_mutex_lock(&g->turn);
    g->busy = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->turn);
}

void xn_masks_end(struct xn_grammars *g) {
    if (g->n_jobs == 0) return;
    pthread_mutex_lock(&g->turn);
    while (g->busy)
        pthread_cond_wait(&g->changed, &g->turn);
    pthread_mutex_unlock(&g->turn);
    g->n_jobs = 0;
}
