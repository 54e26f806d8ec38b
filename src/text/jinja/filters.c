// Filters on values and sequences, and the table of all. Those on text are in text_filters.c.
#include "text/jinja/ast.h"
#include "text/jinja/unicode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILTER(name) static struct jv name(struct jinja *j, struct jv v, struct jcall *call)

static struct jv generator(struct jinja *j, struct jlist *l, const char *name) {
    if (l) l->name = name;
    return xn_jinja_value(j, l);
}

static bool given(struct jv v) {
    return v.type != J_ABSENT && v.type != J_NONE;
}

static bool integer(struct jinja *j, struct jv v, int64_t fallback, int64_t *out) {
    *out = v.type == J_INT ? v.i : v.type == J_BOOL ? v.b : fallback;
    if (v.type == J_INT || v.type == J_BOOL || v.type == J_ABSENT) return true;
    if (v.type == J_UNDEFINED)
        xn_jinja_undefined_error(j, v);
    else
        xn_jinja_fail(j, "'%s' object cannot be interpreted as an integer", xn_jinja_type_name(v));
    return false;
}

// Attributes by path: "a.b.0"; several separated by commas for sort.

static struct jv follow(struct jinja *j, struct jv item, struct jv path, struct jv fallback) {
    if (path.type != J_STRING) {
        if (path.type == J_NONE || path.type == J_ABSENT) return item;
        item = xn_jinja_getitem(j, item, path);
        return item.type == J_UNDEFINED && given(fallback) ? fallback : item;
    }
    const char *p = path.s->p, *end = p + path.s->n;
    while (!j->failed) {
        const char *dot = memchr(p, '.', (size_t)(end - p));
        size_t n = (size_t)((dot ? dot : end) - p);
        int64_t index;
        bool digits = n > 0;
        for (size_t i = 0; i < n; i++)
            digits &= p[i] >= '0' && p[i] <= '9';
        struct jv part = digits && xn_jinja_parse_int(p, n, 10, &index) ? j_int(index) : xn_jinja_string(j, p, n);
        item = xn_jinja_getitem(j, item, part);
        if (item.type == J_UNDEFINED && given(fallback)) item = fallback;
        if (!dot) return item;
        p = dot + 1;
    }
    return j_error;
}

static struct jv fold_case(struct jinja *j, struct jv v, bool case_sensitive) {
    if (case_sensitive || v.type != J_STRING) return v;
    struct jcall none = {0};
    const struct jrow *lower = xn_jinja_method(v, "lower", 5);
    return xn_jinja_call_row(j, lower, v, &none);
}

static struct jv sort_key(struct jinja *j, struct jv item, struct jv path, bool case_sensitive) {
    if (path.type != J_STRING || !memchr(path.s->p, ',', path.s->n))
        return fold_case(j, follow(j, item, path, j_absent), case_sensitive);
    struct jlist *key = xn_jinja_list(j, J_LIST);
    const char *p = path.s->p, *end = p + path.s->n;
    while (!j->failed) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        struct jv part = xn_jinja_string(j, p, (size_t)((comma ? comma : end) - p));
        if (j->failed) break;
        xn_jinja_push(j, key, fold_case(j, follow(j, item, part, j_absent), case_sensitive));
        if (!comma) break;
        p = comma + 1;
    }
    return xn_jinja_value(j, key);
}

// A new list of items, sorted by what their path leads to; *keys in the same order.
static struct jlist *sorted(struct jinja *j, struct jv v, struct jv path, struct jv fallback, bool case_sensitive,
                            bool reverse, struct jlist **keys) {
    struct jlist *items = xn_jinja_iterate(j, v), *copy = xn_jinja_list(j, J_LIST);
    *keys = xn_jinja_list(j, J_LIST);
    for (size_t i = 0; items && i < items->n && !j->failed; i++) {
        struct jv key = given(fallback) ? fold_case(j, follow(j, items->v[i], path, fallback), case_sensitive)
                                        : sort_key(j, items->v[i], path, case_sensitive);
        xn_jinja_push(j, copy, items->v[i]);
        xn_jinja_push(j, *keys, key);
    }
    if (j->failed || !xn_jinja_sort(j, copy->v, (*keys)->v, copy->n, reverse)) return NULL;
    return copy;
}

FILTER(do_sort) { // reverse case_sensitive attribute
    struct jlist *keys;
    return xn_jinja_value(
        j, sorted(j, v, call->a[2], j_absent, xn_jinja_truth(call->a[1]), xn_jinja_truth(call->a[0]), &keys));
}

FILTER(do_dictsort) { // case_sensitive by reverse
    if (v.type == J_UNDEFINED) return xn_jinja_undefined_error(j, v);
    if (v.type != J_DICT) return xn_jinja_fail(j, "'%s' object has no attribute 'items'", xn_jinja_type_name(v));
    bool by_value = j_text_is(call->a[1], "value");
    if (call->a[1].type != J_ABSENT && !by_value && !j_text_is(call->a[1], "key"))
        return xn_jinja_fail(j, "You can only sort by either \"key\" or \"value\"");
    struct jlist *items = xn_jinja_list(j, J_LIST), *keys = xn_jinja_list(j, J_LIST);
    for (size_t i = 0; i < v.d->n && !j->failed; i++) {
        xn_jinja_push(j, items, xn_jinja_pair(j, v.d->v[i].key, v.d->v[i].value));
        xn_jinja_push(j, keys, fold_case(j, by_value ? v.d->v[i].value : v.d->v[i].key, xn_jinja_truth(call->a[0])));
    }
    if (j->failed || !xn_jinja_sort(j, items->v, keys->v, items->n, xn_jinja_truth(call->a[2]))) return j_error;
    return xn_jinja_value(j, items);
}

FILTER(do_groupby) { // attribute default case_sensitive
    struct jlist *keys, *out = xn_jinja_list(j, J_LIST);
    bool case_sensitive = xn_jinja_truth(call->a[2]);
    struct jlist *items = sorted(j, v, call->a[0], call->a[1], case_sensitive, false, &keys);
    for (size_t i = 0; items && i < items->n && !j->failed;) {
        struct jlist *group = xn_jinja_list(j, J_LIST), *pair = xn_jinja_list(j, J_TUPLE);
        size_t start = i;
        while (i < items->n && xn_jinja_equal(j, keys->v[i], keys->v[start]) && !j->failed)
            xn_jinja_push(j, group, items->v[i++]);
        if (i == start) { // a key that does not equal itself (NaN) is a group alone
            xn_jinja_push(j, group, items->v[i++]);
        }
        xn_jinja_push(j, pair, case_sensitive ? keys->v[start] : follow(j, items->v[start], call->a[0], call->a[1]));
        xn_jinja_push(j, pair, xn_jinja_value(j, group));
        if (pair) pair->group = true;
        xn_jinja_push(j, out, xn_jinja_value(j, pair));
    }
    return xn_jinja_value(j, out);
}

FILTER(do_unique) { // case_sensitive attribute
    struct jlist *items = xn_jinja_iterate(j, v), *out = xn_jinja_list(j, J_GENERATOR);
    struct jdict *seen = xn_jinja_dict(j, J_DICT);
    for (size_t i = 0; items && i < items->n && !j->failed; i++) {
        struct jv key = fold_case(j, follow(j, items->v[i], call->a[1], j_absent), xn_jinja_truth(call->a[0])), old;
        if (j->failed || xn_jinja_get(j, seen, key, &old)) continue;
        xn_jinja_set(j, seen, key, j_none);
        xn_jinja_push(j, out, items->v[i]);
    }
    return xn_jinja_value(j, out);
}

static struct jv extreme(struct jinja *j, struct jv v, struct jcall *call, bool largest) { // case_sensitive attribute
    struct jlist *items = xn_jinja_iterate(j, v);
    if (!items) return j_error;
    if (!items->n) return xn_jinja_undefined_hint(j, "No aggregated item, sequence was empty.");
    struct jv best = items->v[0], best_key = j_absent;
    for (size_t i = 0; i < items->n && xn_jinja_step(j, 1); i++) {
        struct jv key = fold_case(j, follow(j, items->v[i], call->a[1], j_absent), xn_jinja_truth(call->a[0]));
        if (j->failed) return j_error;
        bool better = i == 0 || (largest ? xn_jinja_order(j, key, best_key, ">") == J_GREATER
                                         : xn_jinja_order(j, key, best_key, "<") == J_LESS);
        if (better) {
            best = items->v[i];
            best_key = key;
        }
    }
    return best;
}
FILTER(do_min) {
    return extreme(j, v, call, false);
}
FILTER(do_max) {
    return extreme(j, v, call, true);
}

FILTER(do_sum) { // attribute start
    struct jlist *items = xn_jinja_iterate(j, v);
    struct jv sum = call->a[1].type == J_ABSENT ? j_int(0) : call->a[1];
    if (sum.type == J_STRING) return xn_jinja_fail(j, "sum() can't sum strings [use ''.join(seq) instead]");
    for (size_t i = 0; items && i < items->n && xn_jinja_step(j, 1); i++) {
        struct jv item = follow(j, items->v[i], call->a[0], j_absent);
        if (!j->failed) sum = xn_jinja_binary(j, JO_ADD, sum, item);
    }
    return sum;
}

FILTER(do_first) {
    (void)call;
    if (v.type == J_GENERATOR && v.l->taken < v.l->n) return v.l->v[v.l->taken++];
    struct jlist *items = xn_jinja_iterate(j, v);
    if (!items) return j_error;
    return items->n ? items->v[0] : xn_jinja_undefined_hint(j, "No first item, sequence was empty.");
}

static bool reversible(struct jv v) {
    return xn_jinja_is_iterable(v) && v.type != J_GENERATOR && v.type != J_LOOP;
}

FILTER(do_last) {
    (void)call;
    if (!reversible(v)) return xn_jinja_fail(j, "'%s' object is not reversible", xn_jinja_type_name(v));
    struct jlist *items = xn_jinja_iterate(j, v);
    if (!items) return j_error;
    return items->n ? items->v[items->n - 1] : xn_jinja_undefined_hint(j, "No last item, sequence was empty.");
}

FILTER(do_random) { // any item will do; a fixed generator keeps a rendering repeatable
    (void)call;
    struct jlist *items = xn_jinja_iterate(j, v);
    if (!items) return j_error;
    if (!items->n) return xn_jinja_undefined_hint(j, "No random item, sequence was empty.");
    j->random = j->random * 6364136223846793005u + 1442695040888963407u;
    return items->v[(j->random >> 33) % items->n];
}

FILTER(do_length) {
    (void)call;
    int64_t n;
    if (xn_jinja_length(v, &n)) return j_int(n);
    if (v.type == J_LOOP) return xn_jinja_getattr(j, v, xn_jinja_text(j, "length"));
    return xn_jinja_fail(j, "object of type '%s' has no len()", xn_jinja_type_name(v));
}

FILTER(do_list) {
    (void)call;
    struct jlist *items = xn_jinja_iterate(j, v), *copy = xn_jinja_list(j, J_LIST);
    for (size_t i = 0; items && i < items->n; i++)
        xn_jinja_push(j, copy, items->v[i]);
    return xn_jinja_value(j, copy);
}

FILTER(do_items) {
    (void)call;
    struct jlist *out = xn_jinja_list(j, J_GENERATOR);
    if (v.type != J_UNDEFINED && v.type != J_DICT) return xn_jinja_fail(j, "Can only get item pairs from a mapping.");
    for (size_t i = 0; v.type == J_DICT && i < v.d->n && !j->failed; i++)
        xn_jinja_push(j, out, xn_jinja_pair(j, v.d->v[i].key, v.d->v[i].value));
    return xn_jinja_value(j, out);
}

FILTER(do_reverse) {
    (void)call;
    if (v.type == J_STRING) return xn_jinja_markup(j, xn_jinja_slice(j, v, j_none, j_none, j_int(-1)), v.s->markup);
    if (!xn_jinja_is_iterable(v)) return xn_jinja_fail(j, "argument must be iterable");
    bool list = !reversible(v);
    static const char *const names[] = {[J_UNDEFINED] = "reversed",
                                        [J_LIST] = "list_reverseiterator",
                                        [J_TUPLE] = "reversed",
                                        [J_DICT] = "dict_reversekeyiterator",
                                        [J_RANGE] = "range_iterator",
                                        [J_KEYS] = "dict_reversekeyiterator",
                                        [J_VALUES] = "dict_reversevalueiterator",
                                        [J_ITEMS] = "dict_reverseitemiterator"};
    struct jlist *items = xn_jinja_iterate(j, v), *out = xn_jinja_list(j, list ? J_LIST : J_GENERATOR);
    for (size_t i = items ? items->n : 0; i-- > 0;)
        xn_jinja_push(j, out, items->v[i]);
    return generator(j, out, list ? NULL : names[v.type]);
}

FILTER(do_batch) { // linecount fill_with
    int64_t size;
    struct jlist *items = xn_jinja_iterate(j, v), *out = xn_jinja_list(j, J_GENERATOR), *line = NULL;
    if (!integer(j, call->a[0], 0, &size)) return j_error;
    for (size_t i = 0; items && i < items->n && !j->failed; i++) {
        if (!line || (int64_t)line->n == size) {
            line = xn_jinja_list(j, J_LIST);
            xn_jinja_push(j, out, xn_jinja_value(j, line));
        }
        xn_jinja_push(j, line, items->v[i]);
    }
    while (line && given(call->a[1]) && (int64_t)line->n < size && !j->failed)
        xn_jinja_push(j, line, call->a[1]);
    return xn_jinja_value(j, out);
}

FILTER(do_slice) { // slices fill_with
    int64_t slices;
    struct jlist *items = xn_jinja_iterate(j, v), *out = xn_jinja_list(j, J_GENERATOR);
    if (!items || !integer(j, call->a[0], 0, &slices)) return j_error;
    if (slices == 0) return xn_jinja_fail(j, "integer division or modulo by zero");
    int64_t each = (int64_t)items->n / slices, extra = (int64_t)items->n % slices;
    size_t at = 0;
    for (int64_t s = 0; s < slices && !j->failed; s++) {
        struct jlist *part = xn_jinja_list(j, J_LIST);
        for (int64_t i = 0; i < each + (s < extra) && !j->failed; i++)
            xn_jinja_push(j, part, items->v[at++]);
        if (given(call->a[1]) && s >= extra) xn_jinja_push(j, part, call->a[1]);
        xn_jinja_push(j, out, xn_jinja_value(j, part));
    }
    return xn_jinja_value(j, out);
}

// map, select, reject and their relatives

static bool row_name(struct jinja *j, struct jv name, const struct jrow *(*find)(const char *, size_t),
                     const char *what, const struct jrow **row) {
    *row = name.type == J_STRING ? find(name.s->p, name.s->n) : NULL;
    if (!*row)
        xn_jinja_fail(j, "No %s named '%.100s'.", what,
                      name.type == J_STRING ? xn_jinja_cstring(j, name) : xn_jinja_type_name(name));
    return *row != NULL;
}

static bool nothing_to_do(struct jv v) {
    return !xn_jinja_truth(v) && v.type != J_GENERATOR;
}

FILTER(do_map) {
    struct jlist *out = xn_jinja_list(j, J_GENERATOR);
    if (nothing_to_do(v)) return xn_jinja_value(j, out);
    struct jv path, fallback = j_absent;
    bool by_attribute = !call->n_pos && call->kw && xn_jinja_get_text(j, call->kw, "attribute", &path);
    const struct jrow *filter = NULL;
    struct jcall rest = {.kw = call->kw};
    if (by_attribute) {
        bool has_default = xn_jinja_get_text(j, call->kw, "default", &fallback);
        if (call->kw->n > 1u + has_default) return xn_jinja_fail(j, "map() got an unexpected keyword argument");
    } else {
        if (!call->n_pos) return xn_jinja_fail(j, "map requires a filter argument");
        if (!row_name(j, call->pos[0], xn_jinja_filter, "filter", &filter)) return j_error;
        rest.pos = call->pos + 1;
        rest.n_pos = call->n_pos - 1;
    }
    struct jlist *items = xn_jinja_iterate(j, v);
    for (size_t i = 0; items && i < items->n && !j->failed; i++) {
        struct jcall each = rest;
        xn_jinja_push(j, out,
                      by_attribute ? follow(j, items->v[i], path, fallback)
                                   : xn_jinja_call_row(j, filter, items->v[i], &each));
    }
    return xn_jinja_value(j, out);
}

static struct jv choose(struct jinja *j, struct jv v, struct jcall *call, bool wanted, bool by_attribute) {
    struct jlist *out = xn_jinja_list(j, J_GENERATOR);
    if (nothing_to_do(v)) return xn_jinja_value(j, out);
    size_t skip = by_attribute;
    if (call->n_pos < skip) return xn_jinja_fail(j, "Missing parameter for attribute name");
    const struct jrow *test = NULL;
    struct jcall rest = {.kw = call->kw};
    if (call->n_pos > skip) {
        if (!row_name(j, call->pos[skip], xn_jinja_test, "test", &test)) return j_error;
        rest.pos = call->pos + skip + 1;
        rest.n_pos = call->n_pos - skip - 1;
    }
    struct jlist *items = xn_jinja_iterate(j, v);
    for (size_t i = 0; items && i < items->n && xn_jinja_step(j, 1); i++) {
        struct jcall each = rest;
        struct jv item = by_attribute ? follow(j, items->v[i], call->pos[0], j_absent) : items->v[i];
        if (test && !j->failed) item = xn_jinja_call_row(j, test, item, &each);
        if (!j->failed && xn_jinja_truth(item) == wanted) xn_jinja_push(j, out, items->v[i]);
    }
    return xn_jinja_value(j, out);
}
FILTER(do_select) {
    return choose(j, v, call, true, false);
}
FILTER(do_reject) {
    return choose(j, v, call, false, false);
}
FILTER(do_selectattr) {
    return choose(j, v, call, true, true);
}
FILTER(do_rejectattr) {
    return choose(j, v, call, false, true);
}

FILTER(do_attr) {
    struct jv name = call->a[0];
    if (v.type == J_UNDEFINED) return xn_jinja_undefined_error(j, v);
    if (name.type != J_STRING)
        return xn_jinja_fail(j, "attribute name must be string, not '%s'", xn_jinja_type_name(name));
    struct jv found = v.type == J_DICT ? j_absent : xn_jinja_getattr(j, v, name);
    // Attributes only, not the items of a dictionary.
    if (v.type == J_DICT && (xn_jinja_method(v, name.s->p, name.s->n) || xn_jinja_is_mutator(v, name.s->p, name.s->n)))
        found = xn_jinja_getattr(j, v, name);
    return found.type == J_ABSENT ? xn_jinja_undefined(j, name, xn_jinja_type_name(v)) : found;
}

FILTER(do_default) { // default_value boolean
    if (v.type != J_UNDEFINED && !(xn_jinja_truth(call->a[1]) && !xn_jinja_truth(v))) return v;
    return call->a[0].type == J_ABSENT ? xn_jinja_borrow(j, "", 0) : call->a[0];
}

// Numbers

FILTER(do_abs) {
    (void)call;
    if (v.type == J_FLOAT) return j_float(fabs(v.f));
    bool negative = v.type == J_INT && v.i < 0;
    if (v.type != J_INT && v.type != J_BOOL && v.type != J_UNDEFINED)
        return xn_jinja_fail(j, "bad operand type for abs(): '%s'", xn_jinja_type_name(v));
    return xn_jinja_negate(j, v, negative);
}

static bool to_float(struct jv v, double *f) {
    if (v.type == J_STRING) return xn_jinja_parse_float(v.s->p, v.s->n, f);
    if (v.type != J_INT && v.type != J_BOOL && v.type != J_FLOAT) return false;
    *f = v.type == J_FLOAT ? v.f : v.type == J_INT ? (double)v.i : v.b;
    return true;
}

FILTER(do_float) { // default
    double f;
    if (v.type == J_UNDEFINED) return xn_jinja_undefined_error(j, v);
    if (to_float(v, &f)) return j_float(f);
    return call->a[0].type == J_ABSENT ? j_float(0) : call->a[0];
}

FILTER(do_int) { // default base
    int64_t i, base;
    double f;
    if (v.type == J_UNDEFINED) return xn_jinja_undefined_error(j, v);
    if (!integer(j, call->a[1], 10, &base)) return j_error;
    if (v.type == J_BOOL) return j_int(v.b);
    if (v.type == J_INT) return v;
    if (v.type == J_STRING && base >= 0 && base <= 36 && base != 1 && xn_jinja_parse_int(v.s->p, v.s->n, (int)base, &i))
        return j_int(i);
    if (to_float(v, &f) && isfinite(f)) {
        if (f >= 9223372036854775808.0 || f < -9223372036854775808.0)
            return xn_jinja_fail(j, "an integer does not fit 64 bits");
        return j_int((int64_t)f);
    }
    return call->a[0].type == J_ABSENT ? j_int(0) : call->a[0];
}

static double round_decimals(double f, int64_t precision) {
    if (!isfinite(f) || precision > 323) return f;
    if (precision < -308) return copysign(0, f);
    char text[400];
    if (precision >= 0) { // printf rounds the exact value half to even, as Python does
        snprintf(text, sizeof text, "%.*f", (int)(precision > 60 ? 60 : precision), f);
        return strtod(text, NULL);
    }
    double scale = pow(10, (double)-precision), scaled = nearbyint(f / scale) * scale;
    return scaled;
}

FILTER(do_round) { // precision method
    int64_t precision;
    if (v.type == J_UNDEFINED) return xn_jinja_undefined_error(j, v);
    if (!integer(j, call->a[0], 0, &precision)) return j_error;
    struct jv method = call->a[1];
    bool common = method.type == J_ABSENT || j_text_is(method, "common"), up = j_text_is(method, "ceil");
    if (!common && !up && !j_text_is(method, "floor")) return xn_jinja_fail(j, "method must be common, ceil or floor");
    if (v.type != J_INT && v.type != J_BOOL && v.type != J_FLOAT)
        return xn_jinja_fail(j, "type %s doesn't define __round__ method", xn_jinja_type_name(v));
    if (common && v.type == J_FLOAT) return j_float(round_decimals(v.f, precision));
    if (common) {
        int64_t i = v.type == J_BOOL ? v.b : v.i, scale = 1;
        if (precision >= 0) return j_int(i);
        for (; precision < 0; precision++)
            if (__builtin_mul_overflow(scale, (int64_t)10, &scale)) return j_int(0);
        int64_t low = i % scale; // towards zero
        int64_t size = low < 0 ? -low : low, base = i - low;
        bool away = size > scale - size || (size == scale - size && (base / scale) % 2 != 0);
        if (away && __builtin_add_overflow(base, i < 0 ? -scale : scale, &base))
            return xn_jinja_fail(j, "an integer does not fit 64 bits");
        return j_int(base);
    }
    double f, scale = pow(10, (double)precision);
    to_float(v, &f);
    double whole = up ? ceil(f * scale) : floor(f * scale);
    if (!isfinite(whole)) return xn_jinja_fail(j, "cannot convert float infinity to integer");
    return j_float(whole / scale);
}

static const struct jrow filters[] = {
    {"abs", do_abs, "", 0},
    {"attr", do_attr, "name", 1},
    {"batch", do_batch, "linecount fill_with", 1},
    {"count", do_length, "", 0},
    {"d", do_default, "default_value boolean", 0},
    {"default", do_default, "default_value boolean", 0},
    {"dictsort", do_dictsort, "case_sensitive by reverse", 0},
    {"first", do_first, "", 0},
    {"float", do_float, "default", 0},
    {"groupby", do_groupby, "attribute default case_sensitive", 1},
    {"int", do_int, "default base", 0},
    {"items", do_items, "", 0},
    {"last", do_last, "", 0},
    {"length", do_length, "", 0},
    {"list", do_list, "", 0},
    {"map", do_map, "*", 0},
    {"max", do_max, "case_sensitive attribute", 0},
    {"min", do_min, "case_sensitive attribute", 0},
    {"random", do_random, "", 0},
    {"reject", do_reject, "*", 0},
    {"rejectattr", do_rejectattr, "*", 0},
    {"reverse", do_reverse, "", 0},
    {"round", do_round, "precision method", 0},
    {"select", do_select, "*", 0},
    {"selectattr", do_selectattr, "*", 0},
    {"slice", do_slice, "slices fill_with", 1},
    {"sort", do_sort, "reverse case_sensitive attribute", 0},
    {"sum", do_sum, "attribute start", 0},
    {"tojson", xn_jinja_tojson, "ensure_ascii indent separators sort_keys", 0},
    {"unique", do_unique, "case_sensitive attribute", 0},
    {0},
};

const struct jrow *xn_jinja_filter(const char *name, size_t n) {
    const struct jrow *row = xn_jinja_find(filters, name, n);
    return row ? row : xn_jinja_find(xn_jinja_text_filters, name, n);
}
