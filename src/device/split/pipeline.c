// A large batch in pieces: while a member computes its layers of one, the member before it computes the next. Each
// stage has a thread; the first runs on the caller's.
#include "device/split/internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { PIECES_A_STAGE = 2 }; // at the most: more fill the pipeline better, and each is computed less well

struct pipeline {
    struct xn_executor *e;
    const struct xn_batch *batch;
    uint32_t n_pieces;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t *done; // [stages]: pieces that it has computed, and whose rows for others it has brought out
    bool failed;
};

// A stage's thread.
struct stage {
    struct pipeline *p;
    uint32_t index;
    pthread_t thread;
    struct xn_batch batch; // of the piece at hand
    struct xn_span *spans; // likewise
    uint32_t *outputs;
    uint32_t first_output; // in the whole batch
    int status;
    struct xn_error err;
};

// Rows [first, first + n) of piece `piece`.
static uint32_t piece_begin(const struct pipeline *p, uint32_t piece) {
    return (uint32_t)((uint64_t)p->batch->n_rows * piece / p->n_pieces);
}

static uint32_t pieces_of(const struct xn_executor *e, const struct xn_batch *batch) {
    uint32_t most = (uint32_t)e->cut.n_stages * PIECES_A_STAGE, n = batch->n_rows / e->device->piece_rows;
    return n < most ? n : most;
}

bool xn_split_pipes(const struct xn_executor *e, const struct xn_batch *batch) {
    uint32_t members = 0;
    for (size_t i = 0; i < e->cut.n_stages; i++) {
        // A member's rows are those of one piece: no other stage of its may need them later.
        if (members >> e->cut.stages[i].member & 1) return false;
        members |= 1u << e->cut.stages[i].member;
    }
    return e->cut.n_stages > 1 && pieces_of(e, batch) > 1;
}

static void fill_piece(struct stage *s, uint32_t piece) {
    const struct pipeline *p = s->p;
    const struct xn_batch *whole = p->batch;
    uint32_t begin = piece_begin(p, piece), end = piece_begin(p, piece + 1);
    s->batch = (struct xn_batch){.n_rows = end - begin,
                                 .tokens = whole->tokens + begin,
                                 .positions = whole->positions + begin,
                                 .spans = s->spans,
                                 .outputs = s->outputs};
    for (uint32_t i = 0; i < whole->n_spans; i++) {
        struct xn_span span = whole->spans[i];
        uint32_t first = span.first_row > begin ? span.first_row : begin, last = span.first_row + span.n_rows;
        if (last > end) last = end;
        if (first >= last) continue;
        span.past += first - span.first_row;
        span.n_rows = last - first;
        span.first_row = first - begin;
        s->spans[s->batch.n_spans++] = span;
    }
    s->first_output = 0;
    // Only one of the members computes logits.
    uint32_t n_outputs = p->e->cut.stages[s->index].member == p->e->cut.head ? whole->n_outputs : 0;
    for (uint32_t i = 0; i < n_outputs; i++) {
        if (whole->outputs[i] < begin) s->first_output++;
        if (whole->outputs[i] >= begin && whole->outputs[i] < end)
            s->outputs[s->batch.n_outputs++] = whole->outputs[i] - begin;
    }
}

// Where the rows of a piece stand on their way.
static char *carried_at(const struct pipeline *p, size_t move, uint32_t piece) {
    size_t width = xn_rows_width(p->e->plan, p->e->cut.moves[move].rows);
    return (char *)p->e->carried[move] + piece_begin(p, piece) * width * 4;
}

static int run_piece(struct stage *s, uint32_t piece) {
    struct pipeline *p = s->p;
    struct xn_executor *e = p->e;
    const struct xn_split_stage *stage = &e->cut.stages[s->index];
    fill_piece(s, piece);
    uint32_t n = s->batch.n_rows;
    for (uint32_t j = stage->first_move; j < stage->first_move + stage->n_moves; j++)
        XN_TRY(xn_split_write_rows(e, &e->cut.moves[j], n, carried_at(p, j, piece), &s->err));
    XN_TRY(xn_split_run_stage(e, stage, &s->batch, &s->err));
    for (size_t j = stage->first_move + stage->n_moves; j < e->cut.n_moves; j++) // those of later stages
        if (e->cut.moves[j].from == stage->member)
            XN_TRY(xn_split_read_rows(e, &e->cut.moves[j], n, carried_at(p, j, piece), &s->err));
    size_t vocab = e->plan->vocab;
    if (s->batch.n_outputs)
        memcpy(e->logits + s->first_output * vocab, xn_split_table(e, stage->member)->logits(e->on[stage->member]),
               s->batch.n_outputs * vocab * sizeof *e->logits);
    return XN_OK;
}

// Whether the piece may begin: the stages before have done with it, and none has failed.
static bool await(struct stage *s, uint32_t piece) {
    struct pipeline *p = s->p;
    pthread_mutex_lock(&p->lock);
    while (!p->failed && s->index > 0 && p->done[s->index - 1] <= piece)
        pthread_cond_wait(&p->changed, &p->lock);
    bool failed = p->failed;
    pthread_mutex_unlock(&p->lock);
    return !failed;
}

static void *run_stage(void *user) {
    struct stage *s = user;
    struct pipeline *p = s->p;
    for (uint32_t piece = 0; piece < p->n_pieces && await(s, piece); piece++) {
        s->status = run_piece(s, piece);
        pthread_mutex_lock(&p->lock);
        p->done[s->index]++;
        p->failed |= s->status != XN_OK;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
    }
    return NULL;
}

// Room for rows and logits, once.
static int make_room(struct xn_executor *e, struct xn_error *err) {
    bool ok = true;
    if (!e->logits) e->logits = xn_alloc_aligned_raw((size_t)e->limits.outputs * e->plan->vocab, sizeof *e->logits);
    if (!e->carried) e->carried = xn_alloc_zero(e->cut.n_moves + 1, sizeof *e->carried);
    for (size_t j = 0; e->carried && j < e->cut.n_moves; j++) {
        size_t width = xn_rows_width(e->plan, e->cut.moves[j].rows);
        if (!e->carried[j]) e->carried[j] = xn_alloc_aligned_raw(e->limits.rows * width, 4);
        ok &= e->carried[j] != NULL;
    }
    return ok && e->logits && e->carried ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "no memory for rows between devices");
}

void xn_split_pipeline_free(struct xn_executor *e) {
    for (size_t j = 0; e->carried && j < e->cut.n_moves; j++)
        free(e->carried[j]);
    free(e->carried);
    free(e->logits);
}

static int run_stages(struct pipeline *p, struct stage *stages, uint32_t n, struct xn_error *err) {
    int status = XN_OK;
    uint32_t started = 1;
    for (; started < n; started++)
        if (pthread_create(&stages[started].thread, NULL, run_stage, &stages[started]) != 0) break;
    if (started < n) { // those that run wait for the first, and stop
        status = xn_fail(err, XN_ERR_NOMEM, "no thread for one of %u devices", n);
        pthread_mutex_lock(&p->lock);
        p->failed = true;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
    } else {
        run_stage(&stages[0]);
    }
    for (uint32_t i = 1; i < started; i++)
        pthread_join(stages[i].thread, NULL);
    for (uint32_t i = 0; i < n && status == XN_OK; i++)
        if (stages[i].status != XN_OK) {
            status = stages[i].status;
            if (err) *err = stages[i].err;
        }
    return status;
}

int xn_split_run_pipeline(struct xn_executor *e, const struct xn_batch *batch, struct xn_error *err) {
    uint32_t n = (uint32_t)e->cut.n_stages;
    struct xn_arena arena = {0};
    struct pipeline p = {.e = e, .batch = batch, .n_pieces = pieces_of(e, batch)};
    XN_TRY(make_room(e, err));
    struct stage *stages = xn_arena_alloc(&arena, n, sizeof *stages);
    bool ok = stages && (p.done = xn_arena_alloc(&arena, n, sizeof *p.done));
    for (uint32_t i = 0; i < n && ok; i++) {
        stages[i] = (struct stage){.p = &p, .index = i};
        stages[i].spans = xn_arena_alloc(&arena, batch->n_spans, sizeof *stages[i].spans);
        stages[i].outputs = xn_arena_alloc(&arena, batch->n_outputs, sizeof *stages[i].outputs);
        ok = stages[i].spans && stages[i].outputs;
    }
    int status = ok ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "no memory for a step in pieces");
    if (status == XN_OK) {
        pthread_mutex_init(&p.lock, NULL);
        pthread_cond_init(&p.changed, NULL);
        status = run_stages(&p, stages, n, err);
        pthread_cond_destroy(&p.changed);
        pthread_mutex_destroy(&p.lock);
    }
    e->gathered = status == XN_OK;
    xn_arena_free(&arena);
    return status;
}
