// Deciding which member runs what: a few ways to deal a plan out, from the fastest on, until one fits the memory.
#include "device/split/deciding.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What a way leaves to the spill member.
struct way {
    bool front, tail; // what is before the layers, and the head
    uint32_t experts; // of so many layers with experts, the first
    uint32_t layers;  // the first
};

// What a member would hold.
struct load {
    uint64_t weights, cache, activations;
};

static uint64_t total(const struct load *l) {
    return l->weights + l->cache + l->activations;
}

// --- dealing out ---

// What each member holds, the way at hand.
static void weigh(struct deciding *w, struct load load[XN_SPLIT_MEMBERS]) {
    uint32_t members = w->d->n_members;
    memset(load, 0, XN_SPLIT_MEMBERS * sizeof *load);
    memset(w->seen, 0, w->n_weights * sizeof *w->seen);
    for (uint32_t i = 0; i < w->plan->n_ops; i++) {
        uint32_t m = w->member[i];
        load[m].activations = w->activations[m];
        for (uint32_t j = 0; j < w->effects[i].n_weights; j++) {
            uint32_t k = w->weights_of[i][j];
            if (w->seen[k] >> m & 1) continue;
            w->seen[k] |= 1u << m;
            load[m].weights += w->weight_bytes[(size_t)k * members + m];
        }
        // Each state has one operation, and each layer of the cache one that writes it, and those that attend.
        if (w->effects[i].state >= 0) load[m].cache += w->state_bytes[(size_t)w->effects[i].state * members + m];
        if (w->effects[i].cache >= 0 && w->plan->ops[i].kind == XN_OP_PROJECT)
            load[m].cache += w->cache_bytes[(size_t)w->effects[i].cache * members + m];
    }
}

// Gives each operation to the member of its unit, or to the spill member.
static int assign(struct deciding *w, const struct way *way, struct xn_error *err) {
    for (uint32_t i = 0; i < w->plan->n_ops; i++) {
        uint32_t u = w->unit[i];
        bool spills = u == 0 ? way->front : u == w->n_units - 1 ? way->tail : u <= way->layers;
        if (w->expert_layer[i] != UINT32_MAX && w->expert_layer[i] < way->experts) spills = true;
        w->member[i] = spills ? (uint8_t)w->d->spill : w->of_unit[u];
    }
    return xn_split_follow_caches(w->plan, w->member, err);
}

static bool fits(struct deciding *w) {
    struct load load[XN_SPLIT_MEMBERS];
    weigh(w, load);
    for (uint32_t m = 0; m < w->d->n_members; m++)
        if ((int)m != w->d->spill && total(&load[m]) > w->d->budget[m]) return false;
    return true;
}

// Bytes of what a way leaves of each unit, as the members beside the spill member have it.
static void weigh_units(const struct deciding *w, const struct way *way, double *weight) {
    uint32_t members = w->d->n_members, m = w->d->spill == 0 && members > 1 ? 1 : 0;
    memset(weight, 0, w->n_units * sizeof *weight);
    for (uint32_t i = 0; i < w->plan->n_ops; i++) {
        const struct xn_effects *e = &w->effects[i];
        if (w->expert_layer[i] != UINT32_MAX && w->expert_layer[i] < way->experts) continue;
        for (uint32_t j = 0; j < e->n_weights; j++)
            weight[w->unit[i]] += (double)w->weight_bytes[(size_t)w->weights_of[i][j] * members + m];
        if (e->state >= 0) weight[w->unit[i]] += (double)w->state_bytes[(size_t)e->state * members + m];
        if (e->cache >= 0 && w->plan->ops[i].kind == XN_OP_PROJECT)
            weight[w->unit[i]] += (double)w->cache_bytes[(size_t)e->cache * members + m];
    }
}

// The members beside the spill member; all where there is none.
static uint32_t others(const struct xn_split_device *d, uint8_t list[XN_SPLIT_MEMBERS]) {
    uint32_t n = 0;
    for (uint32_t m = 0; m < d->n_members; m++)
        if ((int)m != d->spill) list[n++] = (uint8_t)m;
    return n;
}

// Whether the user said how to deal layers out among the others.
static bool has_shares(const struct xn_split_device *d) {
    for (uint32_t m = 0; m < d->n_members; m++)
        if ((int)m != d->spill && d->member[m].share >= 0) return true;
    return false;
}

// Deals units out so that each member gets its part of their weight: by the shares, of the number of layers, else by
// memory.
static void deal_by_parts(struct deciding *w, const struct way *way, const double *weight) {
    const struct xn_split_device *d = w->d;
    uint8_t list[XN_SPLIT_MEMBERS];
    uint32_t n = others(d, list), first = way->front ? way->layers + 1 : 0,
             end = way->tail ? w->n_units - 1 : w->n_units;
    bool shares = has_shares(d);
    double parts = 0, sum = 0, before = 0, at = 0;
    for (uint32_t k = 0; k < n; k++)
        parts += shares ? fmax(d->member[list[k]].share, 0) : (double)d->budget[list[k]];
    for (uint32_t u = first; u < end; u++)
        sum += !shares ? weight[u] : u > 0 && u + 1 < w->n_units ? 1 : 0;
    uint32_t k = 0;
    for (uint32_t u = first; u < end; u++) {
        double own = !shares ? weight[u] : u > 0 && u + 1 < w->n_units ? 1 : 0, middle = at + own / 2;
        at += own;
        while (k + 1 < n) {
            double part = shares ? fmax(d->member[list[k]].share, 0) : (double)d->budget[list[k]];
            if (middle * parts <= (before + part) * sum) break;
            before += part;
            k++;
        }
        w->of_unit[u] = list[k];
    }
    // Shares are of layers: what is before them and behind them goes with the first and the last.
    if (shares && first == 0 && w->layers) w->of_unit[0] = w->of_unit[1];
    if (shares && way->layers < w->layers) w->of_unit[w->n_units - 1] = w->of_unit[w->n_units - 2];
}

// Fills one member after the other.
static void deal_by_filling(struct deciding *w, const struct way *way, const double *weight) {
    uint8_t list[XN_SPLIT_MEMBERS];
    uint32_t n = others(w->d, list), first = way->front ? way->layers + 1 : 0, k = 0;
    double used = 0;
    for (uint32_t u = first; u < w->n_units; u++) {
        uint64_t budget = w->d->budget[list[k]], fixed = w->activations[list[k]];
        double left = budget > fixed ? (double)(budget - fixed) : 0;
        if (used + weight[u] > left && k + 1 < n && !(way->tail && u + 1 == w->n_units)) {
            k++;
            used = 0;
        }
        used += weight[u];
        w->of_unit[u] = list[k];
    }
}

static int try_way(struct deciding *w, const struct way *way, bool *found, struct xn_error *err) {
    uint8_t list[XN_SPLIT_MEMBERS];
    double *weight = xn_alloc(w->n_units, sizeof *weight);
    if (!weight) return xn_fail(err, XN_ERR_NOMEM, "no memory to split a plan");
    others(w->d, list);
    memset(w->of_unit, list[0], w->n_units);
    weigh_units(w, way, weight);
    deal_by_parts(w, way, weight);
    int status = assign(w, way, err);
    *found = status == XN_OK && fits(w);
    if (status == XN_OK && !*found && !has_shares(w->d)) {
        deal_by_filling(w, way, weight);
        status = assign(w, way, err);
        *found = status == XN_OK && fits(w);
    }
    free(weight);
    return status;
}

// One of the others alone, the largest first.
static int try_alone(struct deciding *w, bool *found, struct xn_error *err) {
    const struct xn_split_device *d = w->d;
    uint8_t list[XN_SPLIT_MEMBERS];
    uint32_t n = others(d, list);
    *found = false;
    for (uint32_t tried = 0; tried < n && !*found; tried++) {
        uint32_t best = tried;
        for (uint32_t k = tried + 1; k < n; k++)
            if (d->budget[list[k]] > d->budget[list[best]]) best = k;
        uint8_t m = list[best];
        memmove(&list[tried + 1], &list[tried], best - tried);
        list[tried] = m;
        memset(w->of_unit, m, w->n_units);
        XN_TRY(assign(w, &(struct way){0}, err));
        *found = fits(w);
    }
    return XN_OK;
}

// The layers that the user leaves to the spill member; -1: as many as need be.
static int64_t spilled_layers(const struct deciding *w) {
    const struct xn_split_device *d = w->d;
    if (d->layers >= 0) return d->layers < (int64_t)w->layers ? (int64_t)w->layers - d->layers : 0;
    if (d->spill < 0 || d->member[d->spill].share < 0) return -1;
    double parts = 0;
    for (uint32_t m = 0; m < d->n_members; m++)
        parts += fmax(d->member[m].share, 0);
    return parts > 0 ? (int64_t)llround(w->layers * d->member[d->spill].share / parts) : -1;
}

// The first way that fits, from the fastest on; false: none does, and the way at hand is the last.
static int decide(struct deciding *w, struct way *way, bool *found, struct xn_error *err) {
    const struct xn_split_device *d = w->d;
    int64_t fixed = spilled_layers(w);
    uint32_t least = d->experts ? w->expert_layers : 0, most = fixed >= 0 ? least : w->expert_layers;
    *way = (struct way){.experts = least};
    *found = false;
    if (d->spill < 0) return try_way(w, way, found, err);
    if (d->few && fixed < 0 && least == 0) {
        XN_TRY(try_alone(w, found, err));
        if (*found) return XN_OK;
    }
    if (fixed <= 0) {
        // Tables that are only looked up in, then experts: both cost little on a slower device.
        for (uint32_t e = least; e <= most; e++)
            for (int front = 0; front < 2; front++) {
                *way = (struct way){.front = front, .experts = e};
                XN_TRY(try_way(w, way, found, err));
                if (*found || (fixed == 0 && front)) return XN_OK;
            }
    }
    uint32_t first = fixed > 0 ? (uint32_t)fixed : 1, last = fixed >= 0 ? (uint32_t)fixed : w->layers;
    for (uint32_t s = first; s <= last; s++) {
        *way = (struct way){.front = true, .experts = most, .layers = s, .tail = fixed >= 0 && s == w->layers};
        XN_TRY(try_way(w, way, found, err));
        if (*found) return XN_OK;
    }
    if (fixed >= 0) return XN_OK;
    *way = (struct way){.front = true, .tail = true, .experts = most, .layers = w->layers};
    return try_way(w, way, found, err);
}

void xn_split_advise(const struct xn_split_device *d, const struct xn_plan *plan, const struct xn_limits *limits,
                     char *advice, size_t size) {
    struct xn_split_device any = *d;
    struct deciding w;
    struct way way;
    struct xn_error err;
    bool found;
    snprintf(advice, size, "a shorter context, smaller batches or more devices would need less");
    if (d->spill < 0) return;
    any.layers = -1;
    any.member[d->spill].share = -1;
    if (xn_split_look(&w, &any, plan, limits, &err) != XN_OK) return;
    if (decide(&w, &way, &found, &err) == XN_OK && found)
        snprintf(advice, size, "-ngl %u%s would fit", w.layers - way.layers,
                 way.experts > 0 && !d->experts ? " with --cpu-moe" : "");
    xn_arena_free(&w.arena);
}

// --- what was decided ---

static int no_room(struct deciding *w, const struct xn_limits *limits, struct xn_error *err) {
    const struct xn_split_device *d = w->d;
    struct load load[XN_SPLIT_MEMBERS];
    uint32_t worst = 0;
    uint64_t most = 0;
    weigh(w, load);
    for (uint32_t m = 0; m < d->n_members; m++) {
        uint64_t over = total(&load[m]) > d->budget[m] ? total(&load[m]) - d->budget[m] : 0;
        if ((int)m == d->spill || over <= most) continue;
        worst = m;
        most = over;
    }
    char advice[128];
    const struct load *l = &load[worst];
    xn_split_advise(d, w->plan, limits, advice, sizeof advice);
    return xn_fail(err, XN_ERR_NOMEM,
                   "%s: %.3f GB are needed (weights %.3f, cache %.3f, activations %.3f), %.3f GB are there: %s",
                   d->member[worst].name, (double)total(l) / 1e9, (double)l->weights / 1e9, (double)l->cache / 1e9,
                   (double)l->activations / 1e9, (double)d->budget[worst] / 1e9, advice);
}

static void tell(struct deciding *w) {
    const struct xn_split_device *d = w->d;
    struct load load[XN_SPLIT_MEMBERS];
    weigh(w, load);
    for (uint32_t m = 0; m < d->n_members; m++) {
        int first = -1, last = -1, layers = 0, experts = 0, counted = -1;
        bool any = false, head = false;
        for (uint32_t i = 0; i < w->plan->n_ops; i++) {
            if (w->member[i] != m) continue;
            int layer = w->plan->ops[i].layer;
            bool is_expert = w->expert_layer[i] != UINT32_MAX;
            any = true;
            head |= w->effects[i].logits;
            experts += is_expert && w->plan->ops[i].kind == XN_OP_EXPERT_ADD;
            if (layer < 0 || is_expert) continue;
            if (first < 0) first = layer;
            last = layer;
            layers += layer != counted;
            counted = layer;
        }
        if (!any) continue;
        char what[96] = "no layers";
        if (layers) snprintf(what, sizeof what, "%d layer%s (%d to %d)", layers, layers > 1 ? "s" : "", first, last);
        char with[64] = "";
        if (experts) snprintf(with, sizeof with, ", experts of %d", experts);
        xn_log(XN_LOG_INFO, "%s: %s%s%s; %.3f GB of weights, %.3f GB of cache, %.3f GB of activations",
               d->member[m].name, what, with, head ? ", head" : "", (double)load[m].weights / 1e9,
               (double)load[m].cache / 1e9, (double)load[m].activations / 1e9);
        struct xn_device_info info;
        d->member[m].device->table->describe(d->member[m].device, &info);
        if ((int)m == d->spill && info.free_memory && load[m].weights > info.free_memory)
            xn_log(XN_LOG_WARNING,
                   "%s: %.1f GB of weights stay there, and %.1f GB are free: the rest is read from disk "
                   "at every step",
                   d->member[m].name, (double)load[m].weights / 1e9, (double)info.free_memory / 1e9);
    }
}

static void find_budgets(struct xn_split_device *d) {
    for (uint32_t m = 0; m < d->n_members; m++) {
        struct xn_device_info info;
        d->member[m].device->table->describe(d->member[m].device, &info);
        // Some is left for the driver, for kernels, and for the ends of buffers.
        uint64_t left = info.free_memory / 8 < (uint64_t)256 << 20 ? info.free_memory / 8 : (uint64_t)256 << 20;
        if (info.free_memory / 20 > left) left = info.free_memory / 20;
        d->budget[m] = info.free_memory - left;
        if (d->member[m].most_memory) d->budget[m] = d->member[m].most_memory;
    }
}

// The decision as a placement, which becomes the device's.
static int keep(struct xn_split_device *d, const struct deciding *w, struct xn_error *err) {
    struct xn_split_placement *p = xn_alloc_zero(1, sizeof *p);
    if (p) {
        p->references = 1;
        p->n_ops = w->plan->n_ops;
        p->member = xn_alloc(p->n_ops + 1, sizeof *p->member);
        p->matrices = xn_alloc_zero((size_t)w->n_weights + 1, sizeof *p->matrices);
    }
    if (!p || !p->member || !p->matrices) {
        xn_split_placement_drop(p);
        return xn_fail(err, XN_ERR_NOMEM, "no memory to split a plan");
    }
    uint64_t bytes[XN_SPLIT_MEMBERS] = {0};
    memcpy(p->member, w->member, p->n_ops * sizeof *p->member);
    p->n_matrices = w->n_weights;
    for (uint32_t k = 0; k < w->n_weights; k++)
        p->matrices[k].matrix = w->weights[k]->matrix;
    for (uint32_t i = 0; i < p->n_ops; i++) {
        p->used |= 1u << p->member[i];
        for (uint32_t j = 0; j < w->effects[i].n_weights; j++) {
            uint32_t k = w->weights_of[i][j];
            if (!(p->matrices[k].members >> p->member[i] & 1))
                bytes[p->member[i]] += w->weight_bytes[(size_t)k * d->n_members + p->member[i]];
            p->matrices[k].members |= 1u << p->member[i];
        }
    }
    bool alone = (p->used & (p->used - 1)) == 0; // then the member is used without us, and told by whoever packs
    for (uint32_t m = 0; m < d->n_members && !alone; m++)
        if (bytes[m] && d->member[m].device->table->expect)
            d->member[m].device->table->expect(d->member[m].device, bytes[m]);
    xn_split_placement_drop(d->placement);
    d->placement = p;
    return XN_OK;
}

// Makes the members that are used ready. *without: one that can't be, where another way may do without it.
static int make_ready(struct xn_split_device *d, const struct deciding *w, bool *without, struct xn_error *err) {
    struct xn_error why;
    uint32_t used = 0;
    *without = false;
    for (uint32_t i = 0; i < w->plan->n_ops; i++)
        used |= 1u << w->member[i];
    for (uint32_t m = 0; m < d->n_members; m++) {
        struct xn_device *device = d->member[m].device;
        if (!(used >> m & 1) || !device->table->ready) continue;
        int status = device->table->ready(device, &why);
        if (status == XN_OK) continue;
        if (!d->few || (int)m == d->spill) return xn_fail(err, status, "%s: %.700s", d->member[m].name, why.message);
        xn_log(XN_LOG_WARNING, "%s is left out: %s", d->member[m].name, why.message);
        d->budget[m] = 0;
        *without = true;
    }
    return XN_OK;
}

static int deal_at_random(struct deciding *w, uint64_t *state, struct xn_error *err) {
    for (uint32_t i = 0; i < w->plan->n_ops; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u; // Knuth's MMIX generator
        w->member[i] = (uint8_t)((*state >> 33) % w->d->n_members);
    }
    return xn_split_follow_caches(w->plan, w->member, err);
}

// Packing failed: the member had less memory than it said.
static int learn(struct xn_split_device *d, uint64_t packed, struct xn_error *err) {
    uint32_t used = d->placement ? d->placement->used : 0;
    if (used && (used & (used - 1)) == 0) { // it packed without us
        d->failed = __builtin_ctz(used);
        d->packed[d->failed] = packed;
    }
    int m = d->failed;
    if (m < 0 || m == d->spill || d->packed[m] >= d->budget[m])
        return xn_fail(err, XN_ERR_NOMEM, "%s: no memory for its part of the model", m < 0 ? "?" : d->member[m].name);
    xn_log(XN_LOG_WARNING, "%s has memory for %.2f GB, less than it said", d->member[m].name,
           (double)d->packed[m] / 1e9);
    d->budget[m] = d->packed[m];
    return XN_OK;
}

int xn_split_place(struct xn_split_device *d, const struct xn_plan *plan, const struct xn_limits *limits,
                   const uint64_t *packed, struct xn_error *err) {
    struct deciding w;
    struct way way;
    bool found = false;
    if (packed)
        XN_TRY(learn(d, *packed, err));
    else
        find_budgets(d);
    d->failed = -1;
    memset(d->packed, 0, sizeof d->packed);
    XN_TRY(xn_split_look(&w, d, plan, limits, err));
    int status = XN_OK;
    for (bool again = true; again && status == XN_OK;) {
        status = decide(&w, &way, &found, err);
        if (status == XN_OK && !found) status = no_room(&w, limits, err);
        if (status == XN_OK && d->random) status = deal_at_random(&w, &d->random, err);
        if (status == XN_OK) status = make_ready(d, &w, &again, err);
    }
    if (status == XN_OK) status = keep(d, &w, err);
    if (status == XN_OK) tell(&w);
    xn_arena_free(&w.arena);
    return status;
}
