// Cutting a plan into stages: which operation runs when, and what moves between members.
#include "device/split/internal.h"

#include <stdlib.h>
#include <string.h>

// What operations meet in: rows, layers of the cache, states. The first XN_ROWS are rows.
struct cutting {
    const struct xn_plan *plan;
    const uint8_t *member;
    uint32_t n_members, n_resources;
    struct xn_effects *effects;  // of each operation
    uint32_t *order;             // operations in the order in which they run
    uint32_t (*needed)[XN_ROWS]; // values of each row that are needed later, behind operation order[i]
    struct xn_arena arena;       // of the cutting alone
    struct xn_split_cut *out;
};

static int no_memory(struct xn_error *err) {
    return xn_fail(err, XN_ERR_NOMEM, "no memory to split a plan");
}

// --- order ---

struct edge {
    uint32_t to;
    struct edge *next;
};
struct graph {
    struct edge **after;   // of each operation
    uint32_t *waits_for;   // operations that must run before it
    int64_t *writer;       // of each resource: the last that wrote; -1: none
    struct edge **readers; // since then
};

static int add_edge(struct cutting *c, struct graph *g, int64_t from, uint32_t to) {
    if (from < 0 || from == to) return 0;
    struct edge *e = xn_arena_alloc(&c->arena, 1, sizeof *e);
    if (!e) return -1;
    *e = (struct edge){to, g->after[from]};
    g->after[from] = e;
    g->waits_for[to]++;
    return 0;
}

static int uses(struct cutting *c, struct graph *g, uint32_t op, uint32_t resource, bool reads, bool writes) {
    if (!reads && !writes) return 0;
    if (add_edge(c, g, g->writer[resource], op)) return -1;
    if (!writes) {
        struct edge *e = xn_arena_alloc(&c->arena, 1, sizeof *e);
        if (!e) return -1;
        *e = (struct edge){op, g->readers[resource]};
        g->readers[resource] = e;
        return 0;
    }
    for (struct edge *e = g->readers[resource]; e; e = e->next)
        if (add_edge(c, g, e->to, op)) return -1;
    g->readers[resource] = NULL;
    g->writer[resource] = op;
    return 0;
}

static int find_edges(struct cutting *c, struct graph *g) {
    uint32_t n = c->plan->n_ops;
    g->after = xn_arena_alloc(&c->arena, n, sizeof(void *));
    g->waits_for = xn_arena_alloc(&c->arena, n, sizeof *g->waits_for);
    g->writer = xn_arena_alloc(&c->arena, c->n_resources, sizeof *g->writer);
    g->readers = xn_arena_alloc(&c->arena, c->n_resources, sizeof(void *));
    if (!g->after || !g->waits_for || !g->writer || !g->readers) return -1;
    for (uint32_t r = 0; r < c->n_resources; r++)
        g->writer[r] = -1;
    for (uint32_t i = 0; i < n; i++) {
        const struct xn_effects *e = &c->effects[i];
        for (uint32_t r = 0; r < XN_ROWS; r++)
            if (uses(c, g, i, r, e->reads[r] > 0, e->writes[r] > 0)) return -1;
        if (e->cache >= 0 && uses(c, g, i, XN_ROWS + (uint32_t)e->cache, true, true)) return -1;
        if (e->state >= 0 && uses(c, g, i, XN_ROWS + c->plan->n_cache + (uint32_t)e->state, true, true)) return -1;
    }
    return 0;
}

// Operations stay with a member as long as one of its is ready, so that there are few changes: the products of a shared
// expert run before what goes to another member's experts, not between.
static int find_order(struct cutting *c) {
    uint32_t n = c->plan->n_ops, begin = 0;
    struct graph g;
    bool *done = xn_arena_alloc(&c->arena, n, sizeof *done);
    if (!done || find_edges(c, &g)) return -1;
    int current = -1;
    for (uint32_t placed = 0; placed < n; placed++) {
        uint32_t next = UINT32_MAX;
        while (begin < n && done[begin])
            begin++;
        for (uint32_t i = begin; i < n; i++) {
            if (done[i] || g.waits_for[i]) continue;
            if (next == UINT32_MAX) next = i;
            if (c->member[i] != current) continue;
            next = i;
            break;
        }
        done[next] = true;
        current = c->member[next];
        c->order[placed] = next;
        for (struct edge *e = g.after[next]; e; e = e->next)
            g.waits_for[e->to]--;
    }
    return 0;
}

// --- moves ---

// Which values of each row are needed behind each operation.
static void find_needs(struct cutting *c) {
    uint32_t live[XN_ROWS] = {0};
    for (uint32_t i = c->plan->n_ops; i-- > 0;) {
        const struct xn_effects *e = &c->effects[c->order[i]];
        memcpy(c->needed[i], live, sizeof live);
        for (int r = 0; r < XN_ROWS; r++) {
            if (e->writes[r] && e->writes[r] >= live[r]) live[r] = 0;
            if (e->reads[r] > live[r]) live[r] = e->reads[r];
        }
    }
}

static void mark_stages(struct cutting *c) {
    struct xn_split_cut *out = c->out;
    uint32_t valid[XN_ROWS] = {0}, taken[XN_SPLIT_MEMBERS] = {0};
    for (uint32_t i = 0; i < c->plan->n_ops; i++) {
        uint32_t op = c->order[i];
        uint8_t m = c->member[op];
        const struct xn_effects *e = &c->effects[op];
        struct xn_split_stage *s = out->n_stages ? &out->stages[out->n_stages - 1] : NULL;
        if (!s || s->member != m) {
            s = &out->stages[out->n_stages++];
            *s = (struct xn_split_stage){.member = m, .first = taken[m], .first_move = (uint32_t)out->n_moves};
        }
        taken[m]++;
        s->n++;
        for (int r = 0; r < XN_ROWS; r++) {
            // What is written and shorter than what is needed later leaves the rest as it was.
            bool needs = e->reads[r] || (e->writes[r] && e->writes[r] < c->needed[i][r]);
            if (needs && valid[r] && !(valid[r] >> m & 1)) {
                uint8_t from = (uint8_t)__builtin_ctz(valid[r]);
                out->moves[out->n_moves++] = (struct xn_split_move){.from = from, .to = m, .rows = r};
                s->n_moves++;
                valid[r] |= 1u << m;
            }
            if (e->writes[r]) valid[r] = 1u << m;
        }
    }
}

// --- plans of members ---

static struct xn_split_home take_layer(struct xn_split_home *homes, uint32_t i, uint8_t member, uint32_t *n,
                                       bool *known) {
    *known = homes[i].index != UINT32_MAX;
    if (!*known) homes[i] = (struct xn_split_home){member, (*n)++};
    return homes[i];
}

static void set_cache(struct xn_op *op, uint32_t cache) {
    if (op->kind == XN_OP_PROJECT) op->project.cache = cache;
    if (op->kind == XN_OP_ATTEND) op->attend.cache = cache;
}

static void set_state(struct xn_op *op, uint32_t state) {
    if (op->kind == XN_OP_DELTA_NET) op->delta_net.state = state;
    if (op->kind == XN_OP_STATE_SPACE) op->state_space.state = state;
    if (op->kind == XN_OP_SHORT_CONV) op->short_conv.state = state;
}

static void add_op(struct cutting *c, uint32_t index, bool apart, bool weights) {
    struct xn_split_cut *out = c->out;
    const struct xn_effects *e = &c->effects[index];
    uint8_t m = c->member[index];
    struct xn_plan *p = &out->plan[m];
    struct xn_op *op = &p->ops[p->n_ops++];
    bool known;
    *op = c->plan->ops[index];
    op->apart = apart;
    for (int b = 0; b < XN_BUFFERS; b++)
        if (e->reads[b] || e->writes[b]) p->width[b] = c->plan->width[b];
    if (e->reads[XN_ROWS_IDS] || e->writes[XN_ROWS_IDS]) {
        p->route_width = c->plan->route_width;
        p->n_experts = c->plan->n_experts;
    }
    if (e->cache >= 0) {
        struct xn_split_home home = take_layer(out->cache, (uint32_t)e->cache, m, &p->n_cache, &known);
        if (!known) p->cache[home.index] = c->plan->cache[e->cache];
        set_cache(op, home.index);
    }
    if (e->state >= 0) {
        struct xn_split_home home = take_layer(out->states, (uint32_t)e->state, m, &p->n_states, &known);
        if (!known) p->states[home.index] = c->plan->states[e->state];
        set_state(op, home.index);
    }
    if (e->logits) out->head = m;
    if (!weights) return;
    struct xn_effects own;
    xn_op_effects(c->plan, op, &own);
    for (uint32_t i = 0; i < own.n_weights; i++)
        *own.weights[i] = ((const struct xn_split_weights *)*own.weights[i])->on[m];
}

static int make_plans(struct cutting *c, bool weights) {
    struct xn_split_cut *out = c->out;
    const struct xn_plan *plan = c->plan;
    for (uint32_t m = 0; m < c->n_members; m++) {
        struct xn_plan *p = &out->plan[m];
        *p = (struct xn_plan){.hidden = plan->hidden,
                              .vocab = plan->vocab,
                              .sensitive = plan->sensitive,
                              .score_spread = plan->score_spread};
        uint32_t n = 0;
        for (uint32_t i = 0; i < plan->n_ops; i++)
            n += c->member[i] == m;
        p->ops = xn_arena_alloc(&out->arena, n, sizeof *p->ops);
        p->cache = xn_arena_alloc(&out->arena, plan->n_cache, sizeof *p->cache);
        p->states = xn_arena_alloc(&out->arena, plan->n_states, sizeof *p->states);
        if (!p->ops || !p->cache || !p->states) return -1;
    }
    for (uint32_t i = 0; i < plan->n_cache; i++)
        out->cache[i].index = UINT32_MAX;
    for (uint32_t i = 0; i < plan->n_states; i++)
        out->states[i].index = UINT32_MAX;
    for (uint32_t i = 0; i < plan->n_ops; i++)
        add_op(c, c->order[i], i == 0 || c->member[c->order[i]] != c->member[c->order[i - 1]], weights);
    return 0;
}

static int cut_plan(struct cutting *c, bool weights) {
    const struct xn_plan *plan = c->plan;
    struct xn_split_cut *out = c->out;
    uint32_t n = plan->n_ops;
    c->effects = xn_arena_alloc(&c->arena, n, sizeof *c->effects);
    c->order = xn_arena_alloc(&c->arena, n, sizeof *c->order);
    c->needed = xn_arena_alloc(&c->arena, n, sizeof *c->needed);
    out->stages = xn_arena_alloc(&out->arena, n, sizeof *out->stages);
    out->moves = xn_arena_alloc(&out->arena, (size_t)n * XN_ROWS, sizeof *out->moves);
    out->cache = xn_arena_alloc(&out->arena, plan->n_cache, sizeof *out->cache);
    out->states = xn_arena_alloc(&out->arena, plan->n_states, sizeof *out->states);
    if (!c->effects || !c->order || !c->needed || !out->stages || !out->moves || !out->cache || !out->states) return -1;
    for (uint32_t i = 0; i < n; i++)
        xn_op_effects(plan, &plan->ops[i], &c->effects[i]);
    if (find_order(c)) return -1;
    find_needs(c);
    mark_stages(c);
    return make_plans(c, weights);
}

int xn_split_follow_caches(const struct xn_plan *plan, uint8_t *member, struct xn_error *err) {
    size_t n = (size_t)plan->n_cache + plan->n_states;
    int *home = xn_alloc(n + 1, sizeof *home);
    if (!home) return no_memory(err);
    memset(home, 0xff, (n + 1) * sizeof *home);
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        struct xn_effects e;
        xn_op_effects(plan, &plan->ops[i], &e);
        int *at = e.cache >= 0 ? &home[e.cache] : e.state >= 0 ? &home[plan->n_cache + (uint32_t)e.state] : NULL;
        if (at && *at >= 0)
            member[i] = (uint8_t)*at;
        else if (at)
            *at = member[i];
    }
    free(home);
    return XN_OK;
}

int xn_split_cut_plan(const struct xn_plan *plan, const uint8_t *member, uint32_t n_members, bool weights,
                      struct xn_split_cut *out, struct xn_error *err) {
    *out = (struct xn_split_cut){.head = -1};
    struct cutting c = {.plan = plan,
                        .member = member,
                        .n_members = n_members,
                        .n_resources = XN_ROWS + plan->n_cache + plan->n_states,
                        .out = out};
    int failed = cut_plan(&c, weights);
    xn_arena_free(&c.arena);
    if (!failed) return XN_OK;
    xn_split_cut_free(out);
    return no_memory(err);
}

void xn_split_cut_free(struct xn_split_cut *cut) {
    xn_arena_free(&cut->arena);
    *cut = (struct xn_split_cut){.head = -1};
}

struct xn_limits xn_split_limits(const struct xn_split_cut *cut, uint32_t member, const struct xn_limits *limits) {
    struct xn_limits l = *limits;
    if ((int)member != cut->head) l.outputs = 0;
    return l;
}
