// Attributes, items and slices, as a sandboxed environment looks them up.
#include "text/jinja/ast.h"
#include "text/jinja/unicode.h"

#include <string.h>

static struct jv undefined_of(struct jinja *j, struct jv v, struct jv name) {
    return xn_jinja_undefined(j, name, v.type == J_GENERATOR ? "generator" : xn_jinja_type_name(v));
}

static struct jv unsafe(struct jinja *j, struct jv v, struct jv name) {
    return xn_jinja_undefined_hint(j, "access to attribute '%s' of '%s' object is unsafe.", xn_jinja_cstring(j, name),
                                   xn_jinja_type_name(v));
}

static struct jv macro_attr(struct jinja *j, const struct jmacro *m, struct jv name) {
    if (j_text_is(name, "name")) return m->node->value;
    if (j_text_is(name, "catch_kwargs")) return j_bool(m->node->uses & JM_KWARGS);
    if (j_text_is(name, "catch_varargs")) return j_bool(m->node->uses & JM_VARARGS);
    if (j_text_is(name, "caller")) return j_bool(m->node->uses & JM_CALLER);
    if (!j_text_is(name, "arguments")) return j_absent;
    struct jlist *names = xn_jinja_list(j, J_TUPLE);
    for (const struct jnode *p = m->node->a; p; p = p->next)
        xn_jinja_push(j, names, p->value);
    return xn_jinja_value(j, names);
}

// What getattr of Python finds; J_ABSENT: nothing.
static struct jv attribute(struct jinja *j, struct jv v, struct jv name) {
    const char *p = name.s->p;
    size_t n = name.s->n;
    struct jv found = j_absent;
    if (n > 4 && memcmp(p, "__", 2) == 0 && memcmp(p + n - 2, "__", 2) == 0 &&
        (v.type != J_DICT || !xn_jinja_get(j, v.d, name, &found)))
        return unsafe(j, v, name); // whatever Python keeps under such names
    if (xn_jinja_is_mutator(v, p, n)) return unsafe(j, v, name);
    const struct jrow *row = xn_jinja_method(v, p, n);
    if (row) {
        struct jmethod *m = xn_jinja_new(j, J_METHOD, sizeof *m);
        if (m) {
            m->self = v;
            m->row = row;
        }
        return xn_jinja_value(j, m);
    }
    switch (v.type) {
    case J_NAMESPACE:
        return xn_jinja_get(j, v.d, name, &found) ? found : j->failed ? j_error : j_absent;
    case J_LOOP:
        return xn_jinja_loop_attr(j, v.loop, name);
    case J_MACRO:
        return macro_attr(j, v.macro, name);
    case J_TUPLE:
        if (v.l->group && j_text_is(name, "grouper")) return v.l->v[0];
        if (v.l->group && j_text_is(name, "list")) return v.l->v[1];
        return j_absent;
    case J_CYCLER:
        return j_text_is(name, "current") ? v.cycler->items->v[v.cycler->at] : j_absent;
    default:
        return j_absent;
    }
}

struct jv xn_jinja_getattr(struct jinja *j, struct jv v, struct jv name) {
    if (j->failed) return j_error;
    if (v.type == J_UNDEFINED) return xn_jinja_undefined_error(j, v);
    struct jv found = attribute(j, v, name);
    if (found.type != J_ABSENT || j->failed) return found;
    if (v.type == J_DICT && xn_jinja_get(j, v.d, name, &found)) return found;
    return undefined_of(j, v, name);
}

static bool hashable(struct jv v) {
    return v.type != J_LIST && v.type != J_DICT && v.type != J_KEYS && v.type != J_ITEMS;
}

static struct jv char_at(struct jinja *j, struct jstr *s, size_t i) {
    size_t at = xn_jinja_offset(s, i);
    const char *p = s->p + at;
    if (!xn_jinja_step(j, at / 256)) return j_error;
    xn_jinja_next(&p);
    return xn_jinja_markup(j, xn_jinja_string(j, s->p + at, (size_t)(p - s->p) - at), s->markup);
}

static struct jv item_at(struct jinja *j, struct jv v, int64_t i, struct jv index) {
    int64_t n;
    xn_jinja_length(v, &n);
    if (i < 0) i += n;
    if (i < 0 || i >= n) return undefined_of(j, v, index);
    if (v.type == J_STRING) return char_at(j, v.s, (size_t)i);
    if (v.type == J_RANGE) return j_int(v.range->start + i * v.range->step);
    return v.l->v[i];
}

static bool is_sequence(struct jv v) {
    return v.type == J_STRING || v.type == J_LIST || v.type == J_TUPLE || v.type == J_RANGE;
}

struct jv xn_jinja_getitem(struct jinja *j, struct jv v, struct jv index) {
    if (j->failed) return j_error;
    if (v.type == J_UNDEFINED) return xn_jinja_undefined_error(j, v);
    struct jv found;
    if (v.type == J_DICT && hashable(index)) {
        if (xn_jinja_get(j, v.d, index, &found)) return found;
        if (j->failed) return j_error;
    }
    if (is_sequence(v) && (index.type == J_INT || index.type == J_BOOL))
        return item_at(j, v, index.type == J_BOOL ? index.b : index.i, index);
    if (index.type == J_STRING) {
        found = attribute(j, v, index);
        if (found.type != J_ABSENT || j->failed) return found;
    }
    return undefined_of(j, v, index);
}

// The part of a slice that is given, clamped as Python clamps it.
static int64_t bound(struct jv v, int64_t n, int64_t step, int64_t fallback) {
    if (v.type == J_NONE) return fallback;
    int64_t i = v.type == J_BOOL ? v.b : v.i, low = step < 0 ? -1 : 0, high = step < 0 ? n - 1 : n;
    if (i < 0) i = i < -n ? low : i + n;
    return i < low ? low : i > high ? high : i;
}

static struct jv slice_string(struct jinja *j, struct jstr *s, int64_t start, int64_t step, int64_t count) {
    struct jstr *b = xn_jinja_build(j);
    if (!b) return j_error;
    b->markup = s->markup;
    if (!xn_jinja_step(j, s->n / 256)) return j_error;
    if (step == 1 && count > 0) {
        size_t from = xn_jinja_offset(s, (size_t)start), to = xn_jinja_offset(s, (size_t)(start + count));
        xn_jinja_put(j, b, s->p + from, to - from);
        return xn_jinja_value(j, b);
    }
    const char *p = s->p + (count > 0 ? xn_jinja_offset(s, (size_t)start) : 0);
    for (int64_t i = 0; i < count && xn_jinja_step(j, 1); i++) {
        const char *after = p;
        xn_jinja_next(&after);
        xn_jinja_put(j, b, p, (size_t)(after - p));
        for (int64_t k = 0; i + 1 < count && k < (step < 0 ? -step : step); k++)
            if (step < 0)
                p = xn_jinja_back(p);
            else
                xn_jinja_next(&p);
    }
    return xn_jinja_value(j, b);
}

struct jv xn_jinja_slice(struct jinja *j, struct jv v, struct jv start, struct jv stop, struct jv step) {
    if (v.type == J_UNDEFINED) return xn_jinja_undefined_error(j, v);
    struct jv parts[] = {start, stop, step};
    if (!is_sequence(v)) {
        if (v.type == J_DICT) return xn_jinja_fail(j, "unhashable type: 'slice'");
        return xn_jinja_fail(j, "'%s' object is not subscriptable", xn_jinja_type_name(v));
    }
    for (int i = 0; i < 3; i++)
        if (parts[i].type != J_NONE && parts[i].type != J_INT && parts[i].type != J_BOOL)
            return xn_jinja_fail(j, "slice indices must be integers or None or have an __index__ method");
    int64_t n, by = step.type == J_NONE ? 1 : step.type == J_BOOL ? step.b : step.i;
    if (by == 0) return xn_jinja_fail(j, "slice step cannot be zero");
    if (by == INT64_MIN) by++;
    xn_jinja_length(v, &n);
    int64_t from = bound(start, n, by, by < 0 ? n - 1 : 0), to = bound(stop, n, by, by < 0 ? -1 : n), count = 0;
    if (by > 0 && from < to) count = (to - from - 1) / by + 1;
    if (by < 0 && to < from) count = (from - to - 1) / -by + 1;
    if (v.type == J_STRING) return slice_string(j, v.s, from, by, count);
    if (v.type == J_RANGE) {
        struct jrange *r = xn_jinja_new(j, J_RANGE, sizeof *r);
        int64_t scaled;
        if (!r) return j_error;
        r->start = v.range->start + from * v.range->step;
        r->n = count;
        if (__builtin_mul_overflow(v.range->step, by, &scaled)) scaled = by;
        r->step = scaled;
        r->stop = (int64_t)((uint64_t)v.range->start + (uint64_t)to * (uint64_t)v.range->step); // for printing only
        return xn_jinja_value(j, r);
    }
    struct jlist *l = xn_jinja_list(j, v.type);
    for (int64_t i = 0; i < count && !j->failed; i++)
        xn_jinja_push(j, l, v.l->v[from + i * by]);
    return xn_jinja_value(j, l);
}
