// Loops, and the variable `loop`.
#include "text/jinja/ast.h"

// The next item that passes the filter of the loop, appended to loop->items; false: none, or failed.
static bool pull(struct jinja *j, struct jloop *loop) {
    while (loop->pulled < loop->source->n && xn_jinja_step(j, 1)) {
        struct jv item = loop->source->v[loop->pulled++];
        if (loop->node->c) {
            struct jscope *outside = j->scope, *scope = xn_jinja_scope(j, loop->outer);
            j->scope = scope;
            j->evaluating++;
            bool passes = scope && xn_jinja_assign(j, loop->node->a, item);
            if (passes) passes = xn_jinja_truth(xn_jinja_eval(j, loop->node->c));
            j->evaluating--;
            j->scope = outside;
            if (j->failed) return false;
            if (!passes) continue;
        }
        xn_jinja_push(j, loop->items, item);
        return !j->failed;
    }
    return false;
}

// Item i, pulled where it was not yet.
static bool item_at(struct jinja *j, struct jloop *loop, size_t i) {
    while (loop->items->n <= i)
        if (!pull(j, loop)) return false;
    return true;
}

static int64_t length(struct jinja *j, struct jloop *loop) {
    while (pull(j, loop))
        ;
    return (int64_t)loop->items->n;
}

static struct jv index_(struct jinja *j, struct jloop *l) {
    (void)j;
    return j_int(l->index0 + 1);
}
static struct jv index0(struct jinja *j, struct jloop *l) {
    (void)j;
    return j_int(l->index0);
}
static struct jv revindex(struct jinja *j, struct jloop *l) {
    return j_int(length(j, l) - l->index0);
}
static struct jv revindex0(struct jinja *j, struct jloop *l) {
    return j_int(length(j, l) - l->index0 - 1);
}
static struct jv first(struct jinja *j, struct jloop *l) {
    (void)j;
    return j_bool(l->index0 == 0);
}
static struct jv last(struct jinja *j, struct jloop *l) {
    return j_bool(!item_at(j, l, (size_t)l->index0 + 1));
}
static struct jv length_(struct jinja *j, struct jloop *l) {
    return j_int(length(j, l));
}
static struct jv depth(struct jinja *j, struct jloop *l) {
    (void)j;
    return j_int((int64_t)l->depth0 + 1);
}
static struct jv depth0(struct jinja *j, struct jloop *l) {
    (void)j;
    return j_int(l->depth0);
}
static struct jv previtem(struct jinja *j, struct jloop *l) {
    if (l->index0 == 0) return xn_jinja_undefined_hint(j, "there is no previous item");
    return l->items->v[l->index0 - 1];
}
static struct jv nextitem(struct jinja *j, struct jloop *l) {
    if (!item_at(j, l, (size_t)l->index0 + 1)) return xn_jinja_undefined_hint(j, "there is no next item");
    return l->items->v[l->index0 + 1];
}

static struct jv cycle(struct jinja *j, struct jv self, struct jcall *call) {
    if (!call->n_pos) return xn_jinja_fail(j, "no items for cycling given");
    return call->pos[(size_t)self.loop->index0 % call->n_pos];
}

static struct jv changed(struct jinja *j, struct jv self, struct jcall *call) {
    struct jlist *now = xn_jinja_list(j, J_TUPLE);
    for (size_t i = 0; i < call->n_pos; i++)
        xn_jinja_push(j, now, call->pos[i]);
    struct jv v = xn_jinja_value(j, now), *before = &self.loop->last_changed;
    if (j->failed) return j_error;
    if (before->type == J_TUPLE && xn_jinja_equal(j, *before, v)) return j_bool(false);
    *before = v;
    return j_bool(true);
}

struct jv xn_jinja_loop_attr(struct jinja *j, struct jloop *loop, struct jv name) {
    static const struct {
        const char *name;
        struct jv (*get)(struct jinja *j, struct jloop *l);
    } attributes[] = {
        {"index", index_},  {"index0", index0},     {"revindex", revindex}, {"revindex0", revindex0},
        {"first", first},   {"last", last},         {"length", length_},    {"depth", depth},
        {"depth0", depth0}, {"previtem", previtem}, {"nextitem", nextitem},
    };
    static const struct jrow methods[] = {{"cycle", cycle, "*", 0}, {"changed", changed, "*", 0}, {0}};
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++)
        if (j_text_is(name, attributes[i].name)) return attributes[i].get(j, loop);
    const struct jrow *row = xn_jinja_find(methods, name.s->p, name.s->n);
    if (!row) return j_absent;
    struct jmethod *m = xn_jinja_new(j, J_METHOD, sizeof *m);
    if (m) {
        m->row = row;
        m->self = (struct jv){.type = J_LOOP, .loop = loop};
    }
    return xn_jinja_value(j, m);
}

static struct jloop *new_loop(struct jinja *j, const struct jnode *n, struct jv iterable, uint32_t depth0) {
    struct jlist *source = xn_jinja_iterate(j, iterable);
    struct jloop *loop = source ? xn_jinja_new(j, J_LOOP, sizeof *loop) : NULL;
    if (!loop) return NULL;
    loop->node = n;
    loop->outer = j->scope;
    loop->depth0 = depth0;
    loop->last_changed = j_absent;
    loop->source = source;
    // Nothing changes a list, so one that is not filtered is its own list of items.
    loop->items = n->c ? xn_jinja_list(j, J_LIST) : source;
    loop->pulled = n->c ? 0 : source->n;
    return loop;
}

struct jv xn_jinja_loop_over(struct jinja *j, const struct jnode *n, struct jv iterable, uint32_t depth0) {
    j->evaluating++; // until what is new is held
    struct jloop *loop = new_loop(j, n, iterable, depth0);
    struct jv name = xn_jinja_borrow(j, "loop", 4);
    bool held = name.type == J_STRING && xn_jinja_hold(j, loop) && xn_jinja_hold(j, name.o);
    j->evaluating--;
    if (!held) return j_error;
    struct jscope *outside = j->scope;
    enum jflow flow = J_NEXT;
    bool any = false;
    for (size_t i = 0; flow != J_BREAK && xn_jinja_step(j, 1) && item_at(j, loop, i); i++) {
        any = true;
        loop->index0 = (int64_t)i;
        j->scope = xn_jinja_scope(j, outside); // a macro may keep it, so each turn has its own
        if (!j->scope || !xn_jinja_assign(j, n->a, loop->items->v[i]) ||
            !xn_jinja_set(j, &j->scope->vars, name, xn_jinja_value(j, loop)))
            break;
        flow = xn_jinja_run(j, n->body);
    }
    j->scope = outside;
    if (!any && n->otherwise && !j->failed) {
        j->scope = xn_jinja_scope(j, outside);
        if (j->scope) xn_jinja_run(j, n->otherwise);
        j->scope = outside;
    }
    j->n_held -= 2;
    return j->failed ? j_error : j_none;
}
