// The tests of `is`.
#include "text/jinja/ast.h"
#include "text/jinja/unicode.h"

#include <string.h>

#define TEST(name) static struct jv name(struct jinja *j, struct jv v, struct jcall *call)
#define UNUSED ((void)j, (void)v, (void)call)

TEST(is_boolean) {
    UNUSED;
    return j_bool(v.type == J_BOOL);
}
TEST(is_callable) {
    UNUSED;
    return j_bool(v.type == J_FUNCTION || v.type == J_METHOD || v.type == J_MACRO || v.type == J_LOOP ||
                  v.type == J_JOINER || v.type == J_UNDEFINED);
}
TEST(is_defined) {
    UNUSED;
    return j_bool(v.type != J_UNDEFINED);
}
TEST(is_undefined) {
    UNUSED;
    return j_bool(v.type == J_UNDEFINED);
}
static struct jv remainder_is(struct jinja *j, struct jv v, struct jv by, int64_t r) {
    struct jv m = xn_jinja_binary(j, JO_MOD, v, by);
    return j->failed ? j_error : j_bool(xn_jinja_equal(j, m, j_int(r)));
}
TEST(is_divisibleby) {
    return remainder_is(j, v, call->a[0], 0);
}
TEST(is_even) {
    (void)call;
    return remainder_is(j, v, j_int(2), 0);
}
TEST(is_odd) {
    (void)call;
    return remainder_is(j, v, j_int(2), 1);
}
TEST(is_eq) {
    return j_bool(xn_jinja_equal(j, v, call->a[0]));
}
TEST(is_ne) {
    return j_bool(!xn_jinja_equal(j, v, call->a[0]));
}
TEST(is_lt) {
    return j_bool(xn_jinja_order(j, v, call->a[0], "<") == J_LESS);
}
TEST(is_le) {
    enum jorder o = xn_jinja_order(j, v, call->a[0], "<=");
    return j_bool(o == J_LESS || o == J_SAME);
}
TEST(is_gt) {
    return j_bool(xn_jinja_order(j, v, call->a[0], ">") == J_GREATER);
}
TEST(is_ge) {
    enum jorder o = xn_jinja_order(j, v, call->a[0], ">=");
    return j_bool(o == J_GREATER || o == J_SAME);
}
TEST(is_in) {
    return j_bool(xn_jinja_contains(j, call->a[0], v));
}
TEST(is_escaped) {
    UNUSED;
    return j_bool(v.type == J_STRING && v.s->markup);
}
TEST(is_none) {
    UNUSED;
    return j_bool(v.type == J_NONE);
}
TEST(is_true) {
    UNUSED;
    return j_bool(v.type == J_BOOL && v.b);
}
TEST(is_false) {
    UNUSED;
    return j_bool(v.type == J_BOOL && !v.b);
}
TEST(is_integer) {
    UNUSED;
    return j_bool(v.type == J_INT);
}
TEST(is_float) {
    UNUSED;
    return j_bool(v.type == J_FLOAT);
}
TEST(is_number) {
    UNUSED;
    return j_bool(v.type == J_INT || v.type == J_FLOAT || v.type == J_BOOL);
}
TEST(is_string) {
    UNUSED;
    return j_bool(v.type == J_STRING);
}
TEST(is_mapping) {
    UNUSED;
    return j_bool(v.type == J_DICT);
}
TEST(is_sequence) { // what has a length and __getitem__
    UNUSED;
    return j_bool(v.type == J_STRING || v.type == J_LIST || v.type == J_TUPLE || v.type == J_DICT ||
                  v.type == J_RANGE || v.type == J_UNDEFINED);
}
TEST(is_iterable) {
    UNUSED;
    return j_bool(xn_jinja_is_iterable(v));
}
TEST(is_sameas) {
    (void)j;
    struct jv w = call->a[0];
    if (v.type != w.type) return j_bool(false);
    switch (v.type) {
    case J_NONE:
        return j_bool(true);
    case J_BOOL:
        return j_bool(v.b == w.b);
    case J_INT: // Python keeps one object of each small integer
        return j_bool(v.i == w.i);
    case J_FLOAT:
        return j_bool(v.f == w.f);
    case J_FUNCTION:
        return j_bool(v.row == w.row);
    case J_STRING:
        return j_bool(v.s == w.s || (v.s->n == w.s->n && memcmp(v.s->p, w.s->p, v.s->n) == 0));
    default:
        return j_bool(v.o == w.o);
    }
}
// str.isupper and str.islower of the text
static struct jv cased(struct jinja *j, struct jv v, bool (*wanted)(uint32_t), bool (*other)(uint32_t)) {
    v = xn_jinja_str(j, v);
    if (j->failed) return j_error;
    bool any = false;
    for (const char *p = v.s->p, *end = p + v.s->n; p < end;) {
        uint32_t c = xn_jinja_next(&p);
        if (other(c) || xn_jinja_is_title(c)) return j_bool(false);
        any |= wanted(c);
    }
    return j_bool(any);
}
TEST(is_upper) {
    (void)call;
    return cased(j, v, xn_jinja_is_upper, xn_jinja_is_lower);
}
TEST(is_lower) {
    (void)call;
    return cased(j, v, xn_jinja_is_lower, xn_jinja_is_upper);
}
static bool a_name(struct jinja *j, struct jv v) {
    if (v.type == J_STRING || j->failed) return !j->failed;
    xn_jinja_fail(j, "a name must be a string, not %s", xn_jinja_type_name(v));
    return false;
}
TEST(is_filter) {
    (void)call;
    return a_name(j, v) ? j_bool(xn_jinja_filter(v.s->p, v.s->n) != NULL) : j_error;
}
TEST(is_test) {
    (void)call;
    return a_name(j, v) ? j_bool(xn_jinja_test(v.s->p, v.s->n) != NULL) : j_error;
}

static const struct jrow tests[] = {
    {"!=", is_ne, "other", 1},
    {"<", is_lt, "other", 1},
    {"<=", is_le, "other", 1},
    {"==", is_eq, "other", 1},
    {">", is_gt, "other", 1},
    {">=", is_ge, "other", 1},
    {"boolean", is_boolean, "", 0},
    {"callable", is_callable, "", 0},
    {"defined", is_defined, "", 0},
    {"divisibleby", is_divisibleby, "num", 1},
    {"eq", is_eq, "other", 1},
    {"equalto", is_eq, "other", 1},
    {"escaped", is_escaped, "", 0},
    {"even", is_even, "", 0},
    {"false", is_false, "", 0},
    {"filter", is_filter, "", 0},
    {"float", is_float, "", 0},
    {"ge", is_ge, "other", 1},
    {"greaterthan", is_gt, "other", 1},
    {"gt", is_gt, "other", 1},
    {"in", is_in, "seq", 1},
    {"integer", is_integer, "", 0},
    {"iterable", is_iterable, "", 0},
    {"le", is_le, "other", 1},
    {"lessthan", is_lt, "other", 1},
    {"lower", is_lower, "", 0},
    {"lt", is_lt, "other", 1},
    {"mapping", is_mapping, "", 0},
    {"ne", is_ne, "other", 1},
    {"none", is_none, "", 0},
    {"number", is_number, "", 0},
    {"odd", is_odd, "", 0},
    {"sameas", is_sameas, "other", 1},
    {"sequence", is_sequence, "", 0},
    {"string", is_string, "", 0},
    {"test", is_test, "", 0},
    {"true", is_true, "", 0},
    {"undefined", is_undefined, "", 0},
    {"upper", is_upper, "", 0},
    {0},
};

const struct jrow *xn_jinja_test(const char *name, size_t n) {
    return xn_jinja_find(tests, name, n);
}
