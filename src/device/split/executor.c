// A split plan at work: an executor on each member, and the rows that go between them.
#include "device/split/internal.h"

#include <stdlib.h>
#include <string.h>

// The placement by which a plan's weights were packed; NULL: they were not, or by another device.
static const struct xn_split_placement *placement_of(const struct xn_plan *plan) {
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        struct xn_effects e;
        xn_op_effects(plan, &plan->ops[i], &e);
        if (e.n_weights == 0) continue;
        const struct xn_split_placement *p = ((const struct xn_split_weights *)*e.weights[0])->placement;
        return p && p->n_ops == plan->n_ops ? p : NULL;
    }
    return NULL;
}

static int cut(const struct xn_split_device *d, const struct xn_plan *plan, struct xn_split_cut *out,
               struct xn_error *err) {
    const struct xn_split_placement *p = placement_of(plan);
    if (p) return xn_split_cut_plan(plan, p->member, d->n_members, true, out, err);
    *out = (struct xn_split_cut){.head = -1};
    return xn_fail(err, XN_ERR_ARGUMENT, "a split device: the plan is none of those that were placed");
}

// By the last placement: the plan may be one of which nothing is packed.
void xn_split_memory(const struct xn_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                     uint64_t *cache_bytes, uint64_t *activation_bytes) {
    const struct xn_split_device *d = (const struct xn_split_device *)device;
    const struct xn_split_placement *p = d->placement;
    struct xn_split_cut c;
    *cache_bytes = *activation_bytes = 0;
    if (!p || p->n_ops != plan->n_ops) return;
    if (xn_split_cut_plan(plan, p->member, d->n_members, false, &c, NULL) != XN_OK) return;
    for (uint32_t m = 0; m < d->n_members; m++) {
        uint64_t cache, activations;
        struct xn_limits l = xn_split_limits(&c, m, limits);
        if (c.plan[m].n_ops == 0) continue;
        d->member[m].device->table->memory(d->member[m].device, &c.plan[m], &l, &cache, &activations);
        *cache_bytes += cache;
        *activation_bytes += activations;
    }
    xn_split_cut_free(&c);
}

// --- life ---

// Bytes of a state slot of a plan.
static size_t state_bytes(const struct xn_plan *plan) {
    size_t values = 0;
    for (uint32_t i = 0; i < plan->n_states; i++)
        values += (size_t)plan->states[i].conv_size + plan->states[i].recurrent_size;
    return values * sizeof(float);
}

static size_t page_bytes(const struct xn_plan *plan, uint32_t cache_type, uint32_t n) {
    size_t bytes = 0;
    for (uint32_t i = 0; i < plan->n_cache; i++)
        bytes += xn_cache_layer_bytes(&plan->cache[i], cache_type, n);
    return bytes;
}

// What does not fit: where, how much was wanted, and what would help.
static int explain(const struct xn_executor *e, uint32_t m, const struct xn_limits *limits, int status,
                   struct xn_error *err) {
    const struct xn_split_device *d = e->device;
    struct xn_device_info info;
    uint64_t cache, activations;
    d->member[m].device->table->describe(d->member[m].device, &info);
    d->member[m].device->table->memory(d->member[m].device, &e->cut.plan[m], limits, &cache, &activations);
    struct xn_split_device less = *d; // it has less than it said
    char advice[128];
    if (d->packed[m] + info.free_memory < less.budget[m]) less.budget[m] = d->packed[m] + info.free_memory;
    xn_split_advise(&less, e->plan, &e->limits, advice, sizeof advice);
    char why[sizeof err->message] = "";
    if (err) memcpy(why, err->message, sizeof why);
    return xn_fail(
        err, status,
        "%s: no memory for a cache of %.2f GB and %.2f GB of activations beside weights of %.2f GB (%.2f GB of "
        "%.2f GB are free): %s (%.300s)",
        d->member[m].name, (double)cache / 1e9, (double)activations / 1e9, (double)d->packed[m] / 1e9,
        (double)info.free_memory / 1e9, (double)info.memory / 1e9, advice, why);
}

static int prepare_members(struct xn_executor *e, struct xn_error *err) {
    struct xn_split_device *d = e->device;
    for (uint32_t m = 0; m < d->n_members; m++) {
        if (e->cut.plan[m].n_ops == 0) continue;
        struct xn_device *device = d->member[m].device;
        struct xn_limits l = xn_split_limits(&e->cut, m, &e->limits);
        int status = device->table->prepare(device, &e->cut.plan[m], &l, &e->on[m], err);
        if (status == XN_ERR_NOMEM) return explain(e, m, &l, status, err);
        if (status != XN_OK) return xn_error_context(err, status, "%s", d->member[m].name);
        // All have one type: the first one's choice where the caller has none.
        e->limits.cache_type = device->table->cache_type(e->on[m]);
    }
    return XN_OK;
}

static int allocate(struct xn_executor *e, struct xn_error *err) {
    uint32_t widest = 0;
    for (size_t i = 0; i < e->cut.n_moves; i++) {
        uint32_t width = xn_rows_width(e->plan, e->cut.moves[i].rows);
        if (width > widest) widest = width;
    }
    size_t page = page_bytes(e->plan, e->limits.cache_type, e->limits.page_size), state = state_bytes(e->plan);
    e->rows = xn_alloc_aligned_raw((size_t)e->limits.rows * widest, 4);
    e->piece = xn_alloc_aligned_raw(page > state ? page : state, 1);
    return e->rows && e->piece ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "no memory for rows between devices");
}

int xn_split_prepare(struct xn_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                     struct xn_executor **out, struct xn_error *err) {
    *out = NULL;
    struct xn_executor *e = xn_alloc_zero(1, sizeof *e);
    if (!e) return xn_fail(err, XN_ERR_NOMEM, "no memory for an executor");
    e->device = (struct xn_split_device *)device;
    e->plan = plan;
    e->limits = *limits;
    int status = cut(e->device, plan, &e->cut, err);
    if (status == XN_OK) status = prepare_members(e, err);
    if (status == XN_OK) status = allocate(e, err);
    if (status != XN_OK)
        xn_split_release(device, e);
    else
        *out = e;
    return status;
}

void xn_split_release(struct xn_device *device, struct xn_executor *e) {
    struct xn_split_device *d = (struct xn_split_device *)device;
    if (!e) return;
    for (uint32_t m = 0; m < d->n_members; m++)
        if (e->on[m]) xn_split_table(e, m)->release(d->member[m].device, e->on[m]);
    xn_split_pipeline_free(e);
    xn_split_cut_free(&e->cut);
    free(e->rows);
    free(e->piece);
    free(e);
}

// --- a step ---

int xn_split_read_rows(struct xn_executor *e, const struct xn_split_move *move, uint32_t n, void *out,
                       struct xn_error *err) {
    int status = xn_split_table(e, move->from)->read_rows(e->on[move->from], move->rows, n, out, err);
    return status == XN_OK ? XN_OK : xn_error_context(err, status, "%s", e->device->member[move->from].name);
}

int xn_split_write_rows(struct xn_executor *e, const struct xn_split_move *move, uint32_t n, const void *in,
                        struct xn_error *err) {
    int status = xn_split_table(e, move->to)->write_rows(e->on[move->to], move->rows, n, in, err);
    return status == XN_OK ? XN_OK : xn_error_context(err, status, "%s", e->device->member[move->to].name);
}

static int move(struct xn_executor *e, const struct xn_split_move *move, uint32_t n, struct xn_error *err) {
    XN_TRY(xn_split_read_rows(e, move, n, e->rows, err));
    return xn_split_write_rows(e, move, n, e->rows, err);
}

int xn_split_run_stage(struct xn_executor *e, const struct xn_split_stage *s, const struct xn_batch *batch,
                       struct xn_error *err) {
    int status = xn_split_table(e, s->member)->run_part(e->on[s->member], batch, s->first, s->n, err);
    return status == XN_OK ? XN_OK : xn_error_context(err, status, "%s", e->device->member[s->member].name);
}

int xn_split_run(struct xn_executor *e, const struct xn_batch *batch, struct xn_error *err) {
    const struct xn_split_cut *c = &e->cut;
    struct xn_batch without = *batch; // for members that compute no logits
    uint32_t begun = 0;
    without.n_outputs = 0;
    e->gathered = false;
    // In pieces, rows of one are overwritten by the next.
    if (!batch->keep_rows && xn_split_pipes(e, batch)) return xn_split_run_pipeline(e, batch, err);
    for (size_t i = 0; i < c->n_stages; i++) {
        const struct xn_split_stage *s = &c->stages[i];
        const struct xn_batch *theirs = begun >> s->member & 1 ? NULL : s->member == c->head ? batch : &without;
        for (uint32_t j = 0; j < s->n_moves; j++)
            XN_TRY(move(e, &c->moves[s->first_move + j], batch->n_rows, err));
        XN_TRY(xn_split_run_stage(e, s, theirs, err));
        begun |= 1u << s->member;
    }
    return XN_OK;
}

const float *xn_split_logits(struct xn_executor *e) {
    if (e->gathered) return e->logits;
    return e->cut.head < 0 ? NULL : xn_split_table(e, (uint32_t)e->cut.head)->logits(e->on[e->cut.head]);
}

bool xn_split_candidates(struct xn_executor *e, uint32_t output, struct xn_row_candidates *out) {
    if (e->gathered || e->cut.head < 0 || !xn_split_table(e, (uint32_t)e->cut.head)->candidates) return false;
    return xn_split_table(e, (uint32_t)e->cut.head)->candidates(e->on[e->cut.head], output, out);
}

// Members that tell no best tokens give all logits, as do steps in pieces.
int xn_split_read_logits(struct xn_executor *e, uint32_t output, struct xn_error *err) {
    if (e->gathered || e->cut.head < 0 || !xn_split_table(e, (uint32_t)e->cut.head)->candidates) return XN_OK;
    int status = xn_split_table(e, (uint32_t)e->cut.head)->read_logits(e->on[e->cut.head], output, err);
    return status == XN_OK ? XN_OK : xn_error_context(err, status, "%s", e->device->member[e->cut.head].name);
}

// X alone, where its last reader has it.
int xn_split_read_final_rows(struct xn_executor *e, int rows, uint32_t n, void *out, struct xn_error *err) {
    struct xn_split_move from = {.from = (uint8_t)e->cut.head, .rows = rows};
    if (e->cut.head < 0 || rows != XN_BUF_X)
        return xn_fail(err, XN_ERR_ARGUMENT, "rows of kind %d are on no one device", rows);
    return xn_split_read_rows(e, &from, n, out, err);
}

void xn_split_times(struct xn_executor *e, double seconds[XN_OP_KINDS]) {
    memset(seconds, 0, XN_OP_KINDS * sizeof *seconds);
    for (uint32_t m = 0; m < e->device->n_members; m++) {
        double own[XN_OP_KINDS];
        if (!e->on[m]) continue;
        xn_split_table(e, m)->times(e->on[m], own);
        for (int i = 0; i < XN_OP_KINDS; i++)
            seconds[i] += own[i];
    }
}

void xn_split_tell_apart(struct xn_executor *e, bool apart) {
    for (uint32_t m = 0; m < e->device->n_members; m++)
        if (e->on[m] && xn_split_table(e, m)->tell_apart) xn_split_table(e, m)->tell_apart(e->on[m], apart);
}

// Of all members that launch, and the way of the last of them whose is not the best.
uint32_t xn_split_launches(const struct xn_executor *e, const char **how) {
    uint32_t sum = 0;
    *how = NULL;
    for (uint32_t m = 0; m < e->device->n_members; m++) {
        const char *one;
        if (!e->on[m] || !xn_split_table(e, m)->launches) continue;
        sum += xn_split_table(e, m)->launches(e->on[m], &one);
        if (!*how || strcmp(*how, "walk") == 0) *how = one;
    }
    return sum;
}

// --- cache and states ---

// On each member that has some of the plan's `count` (n_cache or n_states).
#define EACH(e, m, count)                                                                                              \
    for (uint32_t m = 0; m < (e)->device->n_members; m++)                                                              \
        if ((e)->on[m] && (e)->cut.plan[m].count)

int xn_split_copy_page(struct xn_executor *e, uint32_t from, uint32_t to, struct xn_error *err) {
    EACH(e, m, n_cache) XN_TRY(xn_split_table(e, m)->copy_page(e->on[m], from, to, err));
    return XN_OK;
}

int xn_split_copy_state(struct xn_executor *e, uint32_t from, uint32_t to, struct xn_error *err) {
    EACH(e, m, n_states) XN_TRY(xn_split_table(e, m)->copy_state(e->on[m], from, to, err));
    return XN_OK;
}

int xn_split_clear_state(struct xn_executor *e, uint32_t slot, struct xn_error *err) {
    EACH(e, m, n_states) XN_TRY(xn_split_table(e, m)->clear_state(e->on[m], slot, err));
    return XN_OK;
}

uint32_t xn_split_cache_type(const struct xn_executor *e) {
    return e->limits.cache_type;
}

// Bytes of layer i of the whole plan, as pages (n positions each) or states have it.
static size_t layer_bytes(const struct xn_executor *e, bool states, uint32_t i, uint32_t n) {
    if (!states) return xn_cache_layer_bytes(&e->plan->cache[i], e->limits.cache_type, n);
    return ((size_t)e->plan->states[i].conv_size + e->plan->states[i].recurrent_size) * sizeof(float);
}

// Copies the layers that are member m's between its own piece, in which its layers follow each other, and the whole.
static void spread(struct xn_executor *e, uint32_t m, bool states, uint32_t n, char *whole, bool out) {
    const struct xn_split_home *home = states ? e->cut.states : e->cut.cache;
    uint32_t layers = states ? e->plan->n_states : e->plan->n_cache,
             own = states ? e->cut.plan[m].n_states : e->cut.plan[m].n_cache;
    char *piece = e->piece;
    for (uint32_t index = 0; index < own; index++) { // in the member's order
        char *at = whole;
        for (uint32_t i = 0; i < layers; i++) {
            size_t bytes = layer_bytes(e, states, i, n);
            if (home[i].member == m && home[i].index == index) {
                if (bytes) memcpy(out ? at : piece, out ? piece : at, bytes);
                piece += bytes;
                break;
            }
            at += bytes;
        }
    }
}

static int check_page(const struct xn_executor *e, uint32_t n, struct xn_error *err) {
    if (n <= e->limits.page_size) return XN_OK;
    return xn_fail(err, XN_ERR_ARGUMENT, "%u positions of a page: there are %u", n, e->limits.page_size);
}

int xn_split_read_page(struct xn_executor *e, uint32_t page, uint32_t n, void *out, struct xn_error *err) {
    XN_TRY(check_page(e, n, err));
    EACH(e, m, n_cache) {
        XN_TRY(xn_split_table(e, m)->read_page(e->on[m], page, n, e->piece, err));
        spread(e, m, false, n, out, true);
    }
    return XN_OK;
}

int xn_split_write_page(struct xn_executor *e, uint32_t page, uint32_t n, const void *in, struct xn_error *err) {
    XN_TRY(check_page(e, n, err));
    EACH(e, m, n_cache) {
        spread(e, m, false, n, (char *)in, false); // which only reads there
        XN_TRY(xn_split_table(e, m)->write_page(e->on[m], page, n, e->piece, err));
    }
    return XN_OK;
}

int xn_split_read_state(struct xn_executor *e, uint32_t slot, float *out, struct xn_error *err) {
    EACH(e, m, n_states) {
        XN_TRY(xn_split_table(e, m)->read_state(e->on[m], slot, (float *)(void *)e->piece, err));
        spread(e, m, true, 0, (char *)out, true);
    }
    return XN_OK;
}

int xn_split_write_state(struct xn_executor *e, uint32_t slot, const float *in, struct xn_error *err) {
    EACH(e, m, n_states) {
        spread(e, m, true, 0, (char *)in, false);
        XN_TRY(xn_split_table(e, m)->write_state(e->on[m], slot, (float *)(void *)e->piece, err));
    }
    return XN_OK;
}
