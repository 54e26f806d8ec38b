// Python's operators on the values of a template.
#include "text/jinja/ast.h"
#include "text/jinja/unicode.h"

#include <math.h>
#include <string.h>

static bool is_number(struct jv v) {
    return v.type == J_INT || v.type == J_FLOAT || v.type == J_BOOL;
}
static bool is_int(struct jv v) {
    return v.type == J_INT || v.type == J_BOOL;
}
static int64_t int_of(struct jv v) {
    return v.type == J_BOOL ? v.b : v.i;
}
static double float_of(struct jv v) {
    return v.type == J_FLOAT ? v.f : (double)int_of(v);
}
static bool is_list(struct jv v) {
    return v.type == J_LIST || v.type == J_TUPLE;
}

bool xn_jinja_truth(struct jv v) {
    switch (v.type) {
    case J_ABSENT:
    case J_ERROR:
    case J_UNDEFINED:
    case J_NONE:
        return false;
    case J_BOOL:
        return v.b;
    case J_INT:
        return v.i != 0;
    case J_FLOAT:
        return v.f != 0;
    case J_STRING:
        return v.s->n != 0;
    case J_LIST:
    case J_TUPLE:
    case J_KEYS:
    case J_VALUES:
    case J_ITEMS:
        return v.l->n != 0;
    case J_DICT:
        return v.d->n != 0;
    case J_RANGE:
        return v.range->n != 0;
    default:
        return true;
    }
}

// Comparison

// An integer and a float are compared exactly: a long double holds both.
static enum jorder order_numbers(struct jv a, struct jv b) {
    if (is_int(a) && is_int(b)) {
        int64_t x = int_of(a), y = int_of(b);
        return x < y ? J_LESS : x > y ? J_GREATER : J_SAME;
    }
    long double x = a.type == J_FLOAT ? (long double)a.f : (long double)int_of(a);
    long double y = b.type == J_FLOAT ? (long double)b.f : (long double)int_of(b);
    return x < y ? J_LESS : x > y ? J_GREATER : x == y ? J_SAME : J_UNORDERED;
}

static enum jorder order_strings(struct jinja *j, const struct jstr *a, const struct jstr *b) {
    size_t n = a->n < b->n ? a->n : b->n;
    xn_jinja_step(j, n / 256);
    int order = n ? memcmp(a->p, b->p, n) : 0; // in UTF-8 bytes are ordered as code points are
    if (order) return order < 0 ? J_LESS : J_GREATER;
    return a->n < b->n ? J_LESS : a->n > b->n ? J_GREATER : J_SAME;
}

static bool equal_dicts(struct jinja *j, struct jdict *a, struct jdict *b) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++) {
        struct jv other;
        if (!xn_jinja_get(j, b, a->v[i].key, &other) || !xn_jinja_equal(j, a->v[i].value, other)) return false;
    }
    return true;
}

static bool equal_items(struct jinja *j, const struct jlist *a, const struct jlist *b) {
    if (a->n != b->n) return false;
    for (size_t i = 0; i < a->n; i++)
        if (!xn_jinja_equal(j, a->v[i], b->v[i])) return false;
    return true;
}

bool xn_jinja_equal(struct jinja *j, struct jv a, struct jv b) {
    if (is_number(a) && is_number(b)) return order_numbers(a, b) == J_SAME;
    if (a.type != b.type) return false;
    switch (a.type) {
    case J_NONE:
    case J_UNDEFINED:
        return true;
    case J_STRING:
        return a.s->n == b.s->n && order_strings(j, a.s, b.s) == J_SAME;
    case J_RANGE:
        return a.range->n == b.range->n && (a.range->n == 0 || (a.range->start == b.range->start &&
                                                                (a.range->n == 1 || a.range->step == b.range->step)));
    case J_FUNCTION:
        return a.row == b.row;
    case J_LIST:
    case J_TUPLE:
    case J_DICT: {
        if (a.o == b.o) return true;
        if (!xn_jinja_step(j, 1) || !xn_jinja_enter(j)) return false;
        bool same = a.type == J_DICT ? equal_dicts(j, a.d, b.d) : equal_items(j, a.l, b.l);
        j->depth--;
        return same && !j->failed;
    }
    default:
        return a.o == b.o;
    }
}

enum jorder xn_jinja_order(struct jinja *j, struct jv a, struct jv b, const char *op) {
    if (is_number(a) && is_number(b)) return order_numbers(a, b);
    if (a.type == J_STRING && b.type == J_STRING) return order_strings(j, a.s, b.s);
    if (is_list(a) && a.type == b.type) {
        if (!xn_jinja_step(j, 1) || !xn_jinja_enter(j)) return J_UNORDERED;
        size_t i = 0, n = a.l->n < b.l->n ? a.l->n : b.l->n;
        while (i < n && xn_jinja_equal(j, a.l->v[i], b.l->v[i]) && !j->failed)
            i++;
        enum jorder o = i < n             ? xn_jinja_order(j, a.l->v[i], b.l->v[i], op)
                        : a.l->n < b.l->n ? J_LESS
                        : a.l->n > b.l->n ? J_GREATER
                                          : J_SAME;
        j->depth--;
        return o;
    }
    if (a.type == J_UNDEFINED || b.type == J_UNDEFINED)
        xn_jinja_undefined_error(j, a.type == J_UNDEFINED ? a : b);
    else
        xn_jinja_fail(j, "'%s' not supported between instances of '%s' and '%s'", op, xn_jinja_type_name(a),
                      xn_jinja_type_name(b));
    return J_UNORDERED;
}

bool xn_jinja_contains(struct jinja *j, struct jv container, struct jv item) {
    struct jv v;
    switch (container.type) {
    case J_STRING:
        if (item.type == J_UNDEFINED) {
            xn_jinja_fail(j, "'in <string>' requires string as left operand, not Undefined");
            return false;
        }
        if (item.type != J_STRING) {
            xn_jinja_fail(j, "'in <string>' requires string as left operand, not %s", xn_jinja_type_name(item));
            return false;
        }
        xn_jinja_step(j, container.s->n / 256);
        return memmem(container.s->p, container.s->n, item.s->p, item.s->n) != NULL;
    case J_DICT:
        return xn_jinja_get(j, container.d, item, &v);
    case J_RANGE:
    case J_LIST:
    case J_TUPLE:
    case J_KEYS:
    case J_VALUES:
    case J_ITEMS:
    case J_GENERATOR: {
        struct jlist *items = xn_jinja_iterate(j, container);
        for (size_t i = 0; items && i < items->n && xn_jinja_step(j, 1); i++)
            if (xn_jinja_equal(j, items->v[i], item)) return true;
        return false;
    }
    case J_UNDEFINED:
        return false;
    default:
        xn_jinja_fail(j, "argument of type '%s' is not iterable", xn_jinja_type_name(container));
        return false;
    }
}

// A stable merge sort of items[from, to) by keys, through temporary lists.
static bool merge_sort(struct jinja *j, struct jv *items, struct jv *keys, struct jv *spare, size_t n, bool reverse) {
    if (n < 2) return true;
    size_t half = n / 2;
    if (!merge_sort(j, items, keys, spare, half, reverse) ||
        !merge_sort(j, items + half, keys + half, spare, n - half, reverse))
        return false;
    size_t a = 0, b = half, out = 0;
    while (a < half || b < n) {
        bool right = a == half;
        if (a < half && b < n) {
            if (!xn_jinja_step(j, 1)) return false;
            right = reverse ? xn_jinja_order(j, keys[a], keys[b], "<") == J_LESS
                            : xn_jinja_order(j, keys[b], keys[a], "<") == J_LESS;
            if (j->failed) return false;
        }
        size_t from = right ? b++ : a++;
        spare[out++] = items[from];
        spare[out++] = keys[from];
    }
    for (size_t i = 0; i < n; i++) {
        items[i] = spare[2 * i];
        keys[i] = spare[2 * i + 1];
    }
    return true;
}

bool xn_jinja_sort(struct jinja *j, struct jv *items, struct jv *keys, size_t n, bool reverse) {
    struct jlist *spare = xn_jinja_list(j, J_LIST);
    for (size_t i = 0; i < 2 * n && !j->failed; i++)
        xn_jinja_push(j, spare, j_none);
    return !j->failed && merge_sort(j, items, keys, spare ? spare->v : NULL, n, reverse);
}

// Arithmetic

static const char *const op_names[] = {[JO_ADD] = "+",       [JO_SUB] = "-", [JO_MUL] = "*",          [JO_DIV] = "/",
                                       [JO_FLOORDIV] = "//", [JO_MOD] = "%", [JO_POW] = "** or pow()"};

static struct jv overflow(struct jinja *j, int op) {
    return xn_jinja_fail(j, "the result of integer '%s' does not fit 64 bits", op == JO_POW ? "**" : op_names[op]);
}

static struct jv int_power(struct jinja *j, int64_t base, int64_t exponent) {
    int64_t result = 1;
    while (exponent) {
        if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) return overflow(j, JO_POW);
        exponent >>= 1;
        if (exponent && __builtin_mul_overflow(base, base, &base)) return overflow(j, JO_POW);
    }
    return j_int(result);
}

static struct jv float_power(struct jinja *j, double x, double y) {
    if (x == 0 && y < 0) return xn_jinja_fail(j, "0.0 cannot be raised to a negative power");
    if (x < 0 && isfinite(x) && isfinite(y) && y != floor(y))
        return xn_jinja_fail(j, "a fractional power of a negative number is complex");
    double z = pow(x, y);
    if (isinf(z) && isfinite(x) && isfinite(y)) return xn_jinja_fail(j, "(34, 'Numerical result out of range')");
    return j_float(z);
}

static struct jv arithmetic_ints(struct jinja *j, int op, int64_t a, int64_t b) {
    int64_t r = 0;
    switch (op) {
    case JO_ADD:
        return __builtin_add_overflow(a, b, &r) ? overflow(j, op) : j_int(r);
    case JO_SUB:
        return __builtin_sub_overflow(a, b, &r) ? overflow(j, op) : j_int(r);
    case JO_MUL:
        return __builtin_mul_overflow(a, b, &r) ? overflow(j, op) : j_int(r);
    case JO_DIV:
        if (b == 0) return xn_jinja_fail(j, "division by zero");
        return j_float((double)((long double)a / (long double)b));
    case JO_FLOORDIV:
    case JO_MOD: {
        if (b == 0) return xn_jinja_fail(j, "integer division or modulo by zero");
        if (b == -1) { // INT64_MIN / -1 traps
            if (op == JO_MOD) return j_int(0);
            return __builtin_sub_overflow((int64_t)0, a, &r) ? overflow(j, op) : j_int(r);
        }
        int64_t q = a / b, m = a % b;
        if (m && (m < 0) != (b < 0)) { // towards minus infinity
            q--;
            m += b;
        }
        return j_int(op == JO_MOD ? m : q);
    }
    default:
        return b < 0 ? float_power(j, (double)a, (double)b) : int_power(j, a, b);
    }
}

static struct jv arithmetic_floats(struct jinja *j, int op, double a, double b) {
    switch (op) {
    case JO_ADD:
        return j_float(a + b);
    case JO_SUB:
        return j_float(a - b);
    case JO_MUL:
        return j_float(a * b);
    case JO_DIV:
        if (b == 0) return xn_jinja_fail(j, "float division by zero");
        return j_float(a / b);
    case JO_FLOORDIV:
    case JO_MOD: {
        if (b == 0) return xn_jinja_fail(j, op == JO_MOD ? "float modulo" : "float floor division by zero");
        double m = fmod(a, b), q = (a - m) / b;
        if (m != 0) {
            if ((b < 0) != (m < 0)) {
                m += b;
                q -= 1;
            }
        } else {
            m = copysign(0, b);
        }
        if (op == JO_MOD) return j_float(m);
        if (q == 0) return j_float(copysign(0, a / b));
        double whole = floor(q);
        return j_float(q - whole > 0.5 ? whole + 1 : whole);
    }
    default:
        return float_power(j, a, b);
    }
}

static struct jv repeat(struct jinja *j, struct jv sequence, int64_t times) {
    if (sequence.type == J_STRING) {
        struct jstr *b = xn_jinja_build(j);
        for (int64_t i = 0; sequence.s->n && i < times && xn_jinja_step(j, 1); i++)
            xn_jinja_put_str(j, b, sequence.s);
        if (b) b->markup = sequence.s->markup;
        return xn_jinja_value(j, b);
    }
    struct jlist *l = xn_jinja_list(j, sequence.type);
    for (int64_t i = 0; sequence.l->n && i < times && xn_jinja_step(j, 1); i++)
        for (size_t k = 0; k < sequence.l->n && !j->failed; k++)
            xn_jinja_push(j, l, sequence.l->v[k]);
    return xn_jinja_value(j, l);
}

static struct jv concatenate(struct jinja *j, struct jv a, struct jv b) {
    if (a.type == J_STRING) {
        struct jstr *s = xn_jinja_build(j);
        if (!s) return j_error;
        s->markup = a.s->markup || b.s->markup; // markup takes what is not markup in escaped
        if (s->markup) {
            xn_jinja_put_escaped(j, s, a);
            xn_jinja_put_escaped(j, s, b);
        } else {
            xn_jinja_put_str(j, s, a.s);
            xn_jinja_put_str(j, s, b.s);
        }
        return xn_jinja_value(j, s);
    }
    struct jlist *l = xn_jinja_list(j, a.type);
    for (size_t i = 0; i < a.l->n; i++)
        xn_jinja_push(j, l, a.l->v[i]);
    for (size_t i = 0; i < b.l->n; i++)
        xn_jinja_push(j, l, b.l->v[i]);
    return xn_jinja_value(j, l);
}

struct jv xn_jinja_binary(struct jinja *j, int op, struct jv a, struct jv b) {
    if (is_number(a) && is_number(b)) {
        if (a.type == J_FLOAT || b.type == J_FLOAT) return arithmetic_floats(j, op, float_of(a), float_of(b));
        return arithmetic_ints(j, op, int_of(a), int_of(b));
    }
    if (op == JO_MOD && a.type == J_STRING) return xn_jinja_percent(j, a, b);
    if (a.type == J_UNDEFINED || b.type == J_UNDEFINED)
        return xn_jinja_undefined_error(j, a.type == J_UNDEFINED ? a : b);
    bool sequence = a.type == J_STRING || is_list(a);
    if (op == JO_ADD && sequence) {
        if (a.type == b.type) return concatenate(j, a, b);
        return xn_jinja_fail(j, "can only concatenate %s (not \"%s\") to %s", xn_jinja_type_name(a),
                             xn_jinja_type_name(b), xn_jinja_type_name(a));
    }
    if (op == JO_MUL) {
        bool right = b.type == J_STRING || is_list(b);
        if (sequence && is_int(b)) return repeat(j, a, int_of(b));
        if (right && is_int(a)) return repeat(j, b, int_of(a));
        if (sequence || right)
            return xn_jinja_fail(j, "can't multiply sequence by non-int of type '%s'",
                                 xn_jinja_type_name(sequence ? b : a));
    }
    return xn_jinja_fail(j, "unsupported operand type(s) for %s: '%s' and '%s'", op_names[op], xn_jinja_type_name(a),
                         xn_jinja_type_name(b));
}

struct jv xn_jinja_negate(struct jinja *j, struct jv a, bool negative) {
    if (a.type == J_FLOAT) return j_float(negative ? -a.f : a.f);
    if (is_int(a)) {
        int64_t r = int_of(a);
        if (negative && __builtin_sub_overflow((int64_t)0, r, &r)) return overflow(j, JO_SUB);
        return j_int(r);
    }
    if (a.type == J_UNDEFINED) return xn_jinja_undefined_error(j, a);
    return xn_jinja_fail(j, "bad operand type for unary %c: '%s'", negative ? '-' : '+', xn_jinja_type_name(a));
}

// Iteration

bool xn_jinja_is_iterable(struct jv v) {
    switch (v.type) {
    case J_UNDEFINED:
    case J_STRING:
    case J_LIST:
    case J_TUPLE:
    case J_DICT:
    case J_KEYS:
    case J_VALUES:
    case J_ITEMS:
    case J_GENERATOR:
    case J_RANGE:
    case J_LOOP:
        return true;
    default:
        return false;
    }
}

struct jlist *xn_jinja_iterate(struct jinja *j, struct jv v) {
    if (j->failed) return NULL;
    struct jlist *l;
    switch (v.type) {
    case J_LIST:
    case J_TUPLE:
    case J_KEYS:
    case J_VALUES:
    case J_ITEMS:
        return v.l;
    case J_GENERATOR:
        l = v.l;
        if (v.l->taken) {
            l = xn_jinja_list(j, J_LIST);
            for (size_t i = v.l->taken; i < v.l->n; i++)
                xn_jinja_push(j, l, v.l->v[i]);
        }
        v.l->taken = v.l->n;
        return j->failed ? NULL : l;
    case J_UNDEFINED:
        return xn_jinja_list(j, J_LIST);
    case J_STRING: {
        l = xn_jinja_list(j, J_LIST);
        for (const char *p = v.s->p, *end = p + v.s->n; p < end && !j->failed;) {
            const char *start = p;
            xn_jinja_next(&p);
            xn_jinja_push(j, l, xn_jinja_string(j, start, (size_t)(p - start)));
        }
        return j->failed ? NULL : l;
    }
    case J_DICT:
        l = xn_jinja_list(j, J_LIST);
        for (size_t i = 0; i < v.d->n; i++)
            xn_jinja_push(j, l, v.d->v[i].key);
        return j->failed ? NULL : l;
    case J_RANGE:
        l = xn_jinja_list(j, J_LIST);
        for (int64_t i = 0; i < v.range->n && !j->failed; i++)
            xn_jinja_push(j, l, j_int(v.range->start + i * v.range->step));
        return j->failed ? NULL : l;
    default:
        xn_jinja_fail(j, "'%s' object is not iterable", xn_jinja_type_name(v));
        return NULL;
    }
}

bool xn_jinja_length(struct jv v, int64_t *n) {
    switch (v.type) {
    case J_UNDEFINED:
        *n = 0;
        return true;
    case J_STRING:
        *n = (int64_t)xn_jinja_chars(v.s);
        return true;
    case J_LIST:
    case J_TUPLE:
    case J_KEYS:
    case J_VALUES:
    case J_ITEMS:
        *n = (int64_t)v.l->n;
        return true;
    case J_DICT:
        *n = (int64_t)v.d->n;
        return true;
    case J_RANGE:
        *n = v.range->n;
        return true;
    default:
        return false;
    }
}
