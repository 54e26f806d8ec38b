// The methods of strings, lists, dictionaries and the rest.
#include "text/jinja/ast.h"
#include "text/jinja/unicode.h"

#include <math.h>
#include <string.h>

#define METHOD(name) static struct jv name(struct jinja *j, struct jv v, struct jcall *call)

// Arguments

static bool is_string(struct jinja *j, struct jv v, const char *method) {
    if (v.type == J_STRING || j->failed) return !j->failed;
    if (v.type == J_UNDEFINED)
        xn_jinja_undefined_error(j, v);
    else
        xn_jinja_fail(j, "%s() takes a string, not %s", method, xn_jinja_type_name(v));
    return false;
}

static bool integer(struct jinja *j, struct jv v, int64_t fallback, int64_t *out) {
    *out = v.type == J_INT ? v.i : v.type == J_BOOL ? v.b : fallback;
    if (v.type == J_INT || v.type == J_BOOL || v.type == J_ABSENT || v.type == J_NONE) return true;
    xn_jinja_fail(j, "'%s' object cannot be interpreted as an integer", xn_jinja_type_name(v));
    return false;
}

// The result of a method of a string is markup where the string is.
static struct jv same_kind(struct jinja *j, struct jv v, struct jv result) {
    return v.s->markup ? xn_jinja_markup(j, result, true) : result;
}

static struct jv part(struct jinja *j, struct jv v, const char *from, const char *to) {
    return same_kind(j, v, xn_jinja_string(j, from, (size_t)(to - from)));
}

// Case

static void put_case(struct jinja *j, struct jstr *b, uint32_t c, enum jcase to) {
    uint32_t mapped[4];
    size_t n = xn_jinja_map_case(c, to, mapped);
    for (size_t i = 0; i < n; i++)
        xn_jinja_put_char(j, b, mapped[i]);
}

// A capital sigma at the end of a word has a lower case of its own.
static bool final_sigma(const struct jstr *s, const char *at, const char *after) {
    const char *end = s->p + s->n;
    bool before = false;
    while (at > s->p) {
        const char *q = at = xn_jinja_back(at);
        uint32_t c = xn_jinja_next(&q);
        if (xn_jinja_is_case_ignorable(c)) continue;
        before = xn_jinja_is_cased(c);
        break;
    }
    while (after < end) {
        uint32_t c = xn_jinja_next(&after);
        if (xn_jinja_is_case_ignorable(c)) continue;
        return before && !xn_jinja_is_cased(c);
    }
    return before;
}

static void put_lower(struct jinja *j, struct jstr *b, const struct jstr *s, const char *at, const char *after,
                      uint32_t c) {
    if (c == 0x3a3)
        xn_jinja_put_char(j, b, final_sigma(s, at, after) ? 0x3c2 : 0x3c3);
    else
        put_case(j, b, c, J_LOWER);
}

enum change { CHANGE_UPPER, CHANGE_LOWER, CHANGE_FOLD, CHANGE_TITLE, CHANGE_CAPITALIZE, CHANGE_SWAP };

static struct jv change_case(struct jinja *j, struct jv v, enum change how) {
    struct jstr *b = xn_jinja_build(j);
    bool inside = false; // a word (title), or past the first character (capitalize)
    for (const char *p = v.s->p, *end = p + v.s->n; p < end && !j->failed;) {
        const char *at = p;
        uint32_t c = xn_jinja_next(&p);
        bool lower = how == CHANGE_LOWER || (how == CHANGE_SWAP && xn_jinja_is_upper(c)) ||
                     ((how == CHANGE_TITLE || how == CHANGE_CAPITALIZE) && inside);
        if (lower)
            put_lower(j, b, v.s, at, p, c);
        else if (how == CHANGE_FOLD)
            put_case(j, b, c, J_FOLD);
        else if (how == CHANGE_SWAP && !xn_jinja_is_lower(c))
            xn_jinja_put_char(j, b, c);
        else
            put_case(j, b, c, how == CHANGE_TITLE || how == CHANGE_CAPITALIZE ? J_TITLE : J_UPPER);
        inside = how == CHANGE_CAPITALIZE || xn_jinja_is_cased(c);
    }
    return same_kind(j, v, xn_jinja_value(j, b));
}

METHOD(str_upper) {
    (void)call;
    return change_case(j, v, CHANGE_UPPER);
}
METHOD(str_lower) {
    (void)call;
    return change_case(j, v, CHANGE_LOWER);
}
METHOD(str_casefold) {
    (void)call;
    return change_case(j, v, CHANGE_FOLD);
}
METHOD(str_title) {
    (void)call;
    return change_case(j, v, CHANGE_TITLE);
}
METHOD(str_capitalize) {
    (void)call;
    return change_case(j, v, CHANGE_CAPITALIZE);
}
METHOD(str_swapcase) {
    (void)call;
    return change_case(j, v, CHANGE_SWAP);
}

// Stripping

enum { LEFT = 1, RIGHT = 2 };

static bool stripped(uint32_t c, struct jv chars) {
    if (chars.type != J_STRING) return xn_jinja_is_space(c);
    for (const char *p = chars.s->p, *end = p + chars.s->n; p < end;)
        if (xn_jinja_next(&p) == c) return true;
    return false;
}

static struct jv strip(struct jinja *j, struct jv v, struct jv chars, int sides, const char *method) {
    if (chars.type != J_ABSENT && chars.type != J_NONE && !is_string(j, chars, method)) return j_error;
    const char *p = v.s->p, *end = p + v.s->n;
    size_t cost = chars.type == J_STRING ? chars.s->n / 16 : 0;
    while ((sides & LEFT) && p < end && xn_jinja_step(j, cost)) {
        const char *q = p;
        if (!stripped(xn_jinja_next(&q), chars)) break;
        p = q;
    }
    while ((sides & RIGHT) && end > p && xn_jinja_step(j, cost)) {
        const char *q = xn_jinja_back(end), *r = q;
        if (!stripped(xn_jinja_next(&r), chars)) break;
        end = q;
    }
    return part(j, v, p, end);
}

METHOD(str_strip) {
    return strip(j, v, call->a[0], LEFT | RIGHT, "strip");
}
METHOD(str_lstrip) {
    return strip(j, v, call->a[0], LEFT, "lstrip");
}
METHOD(str_rstrip) {
    return strip(j, v, call->a[0], RIGHT, "rstrip");
}

static bool has_prefix(const struct jstr *s, const struct jstr *prefix) {
    return prefix->n <= s->n && memcmp(s->p, prefix->p, prefix->n) == 0;
}
static bool has_suffix(const struct jstr *s, const struct jstr *suffix) {
    return suffix->n <= s->n && memcmp(s->p + s->n - suffix->n, suffix->p, suffix->n) == 0;
}

METHOD(str_removeprefix) {
    if (!is_string(j, call->a[0], "removeprefix")) return j_error;
    return has_prefix(v.s, call->a[0].s) ? part(j, v, v.s->p + call->a[0].s->n, v.s->p + v.s->n) : v;
}
METHOD(str_removesuffix) {
    if (!is_string(j, call->a[0], "removesuffix")) return j_error;
    return has_suffix(v.s, call->a[0].s) ? part(j, v, v.s->p, v.s->p + v.s->n - call->a[0].s->n) : v;
}

// Searching

// The part of v between the code points start and end (a[1], a[2]) as Python clamps them; false: failed, or the part is
// empty because start is behind the end (*behind).
static bool window(struct jinja *j, struct jv v, struct jcall *call, const char **from, const char **to, int64_t *start,
                   bool *behind) {
    int64_t n = (int64_t)xn_jinja_chars(v.s), end;
    if (!integer(j, call->a[1], 0, start) || !integer(j, call->a[2], n, &end)) return false;
    if (*start < 0) *start = *start < -n ? 0 : *start + n;
    if (end < 0) end = end < -n ? 0 : end + n;
    if (end > n) end = n;
    *behind = *start > end;
    if (*behind) return true;
    if (!xn_jinja_step(j, v.s->n / 256)) return false;
    *from = v.s->p + xn_jinja_offset(v.s, (size_t)*start);
    *to = v.s->p + xn_jinja_offset(v.s, (size_t)end);
    return true;
}

static struct jv matches(struct jinja *j, struct jv v, struct jcall *call,
                         bool (*test)(const struct jstr *, const struct jstr *), const char *method) {
    const char *from, *to;
    int64_t start;
    bool behind;
    if (!window(j, v, call, &from, &to, &start, &behind)) return j_error;
    if (call->a[0].type != J_TUPLE && !is_string(j, call->a[0], method)) return j_error;
    if (behind) return j_bool(false);
    struct jstr s = {.p = from, .n = (size_t)(to - from)};
    if (call->a[0].type == J_STRING) return j_bool(test(&s, call->a[0].s));
    const struct jlist *any = call->a[0].l;
    for (size_t i = 0; i < any->n; i++) {
        if (!is_string(j, any->v[i], method)) return j_error;
        if (test(&s, any->v[i].s)) return j_bool(true);
    }
    return j_bool(false);
}
METHOD(str_startswith) {
    return matches(j, v, call, has_prefix, "startswith");
}
METHOD(str_endswith) {
    return matches(j, v, call, has_suffix, "endswith");
}

static const char *find_first(const char *from, const char *to, const struct jstr *what) {
    return memmem(from, (size_t)(to - from), what->p, what->n);
}
static const char *find_last(const char *from, const char *to, const struct jstr *what) {
    if ((size_t)(to - from) < what->n) return NULL;
    for (const char *p = to - what->n;; p--) {
        if (memcmp(p, what->p, what->n) == 0) return p;
        if (p == from) return NULL;
    }
}

// The index of a[0] in code points; -1: it is not there.
static struct jv find(struct jinja *j, struct jv v, struct jcall *call, bool last, const char *method) {
    const char *from, *to;
    int64_t start;
    bool behind;
    if (!is_string(j, call->a[0], method) || !window(j, v, call, &from, &to, &start, &behind)) return j_error;
    if (!xn_jinja_step(j, last ? v.s->n / 16 : v.s->n / 64)) return j_error;
    const char *found = behind ? NULL : last ? find_last(from, to, call->a[0].s) : find_first(from, to, call->a[0].s);
    if (!found) return j_int(-1);
    for (const char *p = from; p < found; p++)
        start += ((unsigned char)*p & 0xc0) != 0x80;
    return j_int(start);
}
METHOD(str_find) {
    return find(j, v, call, false, "find");
}
METHOD(str_rfind) {
    return find(j, v, call, true, "rfind");
}
static struct jv must_find(struct jinja *j, struct jv at) {
    return at.type == J_INT && at.i < 0 ? xn_jinja_fail(j, "substring not found") : at;
}
METHOD(str_index) {
    return must_find(j, find(j, v, call, false, "index"));
}
METHOD(str_rindex) {
    return must_find(j, find(j, v, call, true, "rindex"));
}
METHOD(str_count) {
    const char *from, *to;
    int64_t start, n = 0;
    bool behind;
    if (!is_string(j, call->a[0], "count") || !window(j, v, call, &from, &to, &start, &behind)) return j_error;
    if (behind || !xn_jinja_step(j, v.s->n / 64)) return j_int(0);
    const struct jstr *what = call->a[0].s;
    if (!what->n) {
        for (const char *p = from; p < to; p++)
            n += ((unsigned char)*p & 0xc0) != 0x80;
        return j_int(n + 1);
    }
    for (const char *p; (p = find_first(from, to, what)); from = p + what->n)
        n++;
    return j_int(n);
}

METHOD(str_replace) { // old new count
    struct jv old = call->a[0], new = call->a[1];
    int64_t most;
    if (!is_string(j, old, "replace") || !is_string(j, new, "replace") || !integer(j, call->a[2], -1, &most))
        return j_error;
    if (v.s->markup) new = xn_jinja_escape(j, new);
    struct jstr *b = xn_jinja_build(j);
    const char *p = v.s->p, *end = p + v.s->n;
    if (j->failed || !xn_jinja_step(j, v.s->n / 64)) return j_error;
    for (int64_t n = 0; (most < 0 || n < most) && xn_jinja_step(j, 1); n++) {
        if (!old.s->n) { // between all characters
            xn_jinja_put_str(j, b, new.s);
            if (p == end) break;
            const char *start = p;
            xn_jinja_next(&p);
            xn_jinja_put(j, b, start, (size_t)(p - start));
            continue;
        }
        const char *found = find_first(p, end, old.s);
        if (!found) break;
        xn_jinja_put(j, b, p, (size_t)(found - p));
        xn_jinja_put_str(j, b, new.s);
        p = found + old.s->n;
    }
    xn_jinja_put(j, b, p, (size_t)(end - p));
    return same_kind(j, v, xn_jinja_value(j, b));
}

// Splitting and joining

static void split_space(struct jinja *j, struct jv v, int64_t most, struct jlist *out) {
    const char *p = v.s->p, *end = p + v.s->n;
    while (xn_jinja_step(j, 1)) {
        while (p < end) {
            const char *q = p;
            if (!xn_jinja_is_space(xn_jinja_next(&q))) break;
            p = q;
        }
        if (p == end) return;
        const char *start = p;
        if (most >= 0 && (int64_t)out->n >= most) {
            p = end; // the rest, without white space at its end only where it was split off before
            xn_jinja_push(j, out, part(j, v, start, end));
            return;
        }
        while (p < end) {
            const char *q = p;
            if (xn_jinja_is_space(xn_jinja_next(&q))) break;
            p = q;
        }
        xn_jinja_push(j, out, part(j, v, start, p));
    }
}

static void split_space_back(struct jinja *j, struct jv v, int64_t most, struct jlist *out) {
    const char *start = v.s->p, *end = start + v.s->n;
    while (xn_jinja_step(j, 1)) {
        while (end > start) {
            const char *q = xn_jinja_back(end), *r = q;
            if (!xn_jinja_is_space(xn_jinja_next(&r))) break;
            end = q;
        }
        if (end == start) return;
        const char *p = end;
        if (most >= 0 && (int64_t)out->n >= most) {
            xn_jinja_push(j, out, part(j, v, start, end));
            return;
        }
        while (p > start) {
            const char *q = xn_jinja_back(p), *r = q;
            if (xn_jinja_is_space(xn_jinja_next(&r))) break;
            p = q;
        }
        xn_jinja_push(j, out, part(j, v, p, end));
        end = p;
    }
}

static struct jv split(struct jinja *j, struct jv v, struct jcall *call, bool back) { // sep maxsplit
    struct jv separator = call->a[0];
    int64_t most;
    struct jlist *out = xn_jinja_list(j, J_LIST);
    if (!integer(j, call->a[1], -1, &most) || !out) return j_error;
    bool space = separator.type == J_ABSENT || separator.type == J_NONE;
    if (space) {
        if (back)
            split_space_back(j, v, most, out);
        else
            split_space(j, v, most, out);
    } else {
        if (!is_string(j, separator, back ? "rsplit" : "split")) return j_error;
        if (!separator.s->n) return xn_jinja_fail(j, "empty separator");
        const char *p = v.s->p, *end = p + v.s->n, *found;
        if (!xn_jinja_step(j, back ? v.s->n / 16 : v.s->n / 64)) return j_error;
        while ((most < 0 || (int64_t)out->n < most) && !j->failed &&
               (found = back ? find_last(p, end, separator.s) : find_first(p, end, separator.s))) {
            xn_jinja_push(j, out, back ? part(j, v, found + separator.s->n, end) : part(j, v, p, found));
            if (back)
                end = found;
            else
                p = found + separator.s->n;
        }
        xn_jinja_push(j, out, part(j, v, p, end));
    }
    for (size_t i = 0, k = out->n; back && i + 1 < k; i++) {
        struct jv swap = out->v[i];
        out->v[i] = out->v[--k];
        out->v[k] = swap;
    }
    return xn_jinja_value(j, out);
}
METHOD(str_split) {
    return split(j, v, call, false);
}
METHOD(str_rsplit) {
    return split(j, v, call, true);
}

static struct jv partition(struct jinja *j, struct jv v, struct jcall *call, bool last) {
    if (!is_string(j, call->a[0], "partition")) return j_error;
    const struct jstr *what = call->a[0].s;
    if (!what->n) return xn_jinja_fail(j, "empty separator");
    const char *start = v.s->p, *end = start + v.s->n;
    if (!xn_jinja_step(j, v.s->n / 16)) return j_error;
    const char *found = last ? find_last(start, end, what) : find_first(start, end, what);
    struct jlist *out = xn_jinja_list(j, J_TUPLE);
    const char *cuts[4] = {start, found, found ? found + what->n : NULL, end};
    if (!found) cuts[1] = cuts[2] = last ? start : end;
    for (int i = 0; i < 3; i++)
        xn_jinja_push(j, out, part(j, v, cuts[i], cuts[i + 1]));
    return xn_jinja_value(j, out);
}
METHOD(str_partition) {
    return partition(j, v, call, false);
}
METHOD(str_rpartition) {
    return partition(j, v, call, true);
}

METHOD(str_splitlines) { // keepends
    struct jlist *out = xn_jinja_list(j, J_LIST);
    bool keep = xn_jinja_truth(call->a[0]);
    for (const char *p = v.s->p, *end = p + v.s->n; p < end && !j->failed;) {
        const char *start = p, *stop = p;
        while (p < end) {
            uint32_t c = xn_jinja_next(&p);
            if (xn_jinja_is_line_end(c)) {
                if (c == '\r' && p < end && *p == '\n') p++;
                break;
            }
            stop = p;
        }
        xn_jinja_push(j, out, part(j, v, start, keep ? p : stop));
    }
    return xn_jinja_value(j, out);
}

METHOD(str_join) {
    struct jlist *items = xn_jinja_iterate(j, call->a[0]);
    struct jstr *b = xn_jinja_build(j);
    for (size_t i = 0; items && i < items->n && xn_jinja_step(j, 1); i++) {
        if (i) xn_jinja_put_str(j, b, v.s);
        if (v.s->markup) {
            xn_jinja_put_escaped(j, b, items->v[i]);
        } else if (items->v[i].type != J_STRING) {
            if (items->v[i].type == J_UNDEFINED)
                return xn_jinja_fail(j, "sequence item %zu: expected str instance, Undefined found", i);
            return xn_jinja_fail(j, "sequence item %zu: expected str instance, %s found", i,
                                 xn_jinja_type_name(items->v[i]));
        } else {
            xn_jinja_put_str(j, b, items->v[i].s);
        }
    }
    if (b) b->markup = v.s->markup;
    return xn_jinja_value(j, b);
}

// Padding

static struct jv pad(struct jinja *j, struct jv v, struct jcall *call, int sides) { // width fillchar
    int64_t width, have = (int64_t)xn_jinja_chars(v.s);
    if (!integer(j, call->a[0], 0, &width)) return j_error;
    uint32_t fill = ' ';
    if (call->a[1].type != J_ABSENT) {
        if (!is_string(j, call->a[1], "padding")) return j_error;
        if (xn_jinja_chars(call->a[1].s) != 1)
            return xn_jinja_fail(j, "The fill character must be exactly one character long");
        const char *p = call->a[1].s->p;
        fill = xn_jinja_next(&p);
    }
    if (width <= have) return v;
    int64_t missing = width - have;
    int64_t left = sides == LEFT ? missing : sides == RIGHT ? 0 : missing / 2 + (missing & width & 1);
    struct jstr *b = xn_jinja_build(j);
    xn_jinja_put_fill(j, b, fill, left);
    xn_jinja_put_str(j, b, v.s);
    xn_jinja_put_fill(j, b, fill, missing - left);
    return same_kind(j, v, xn_jinja_value(j, b));
}
METHOD(str_center) {
    return pad(j, v, call, LEFT | RIGHT);
}
METHOD(str_ljust) {
    return pad(j, v, call, RIGHT);
}
METHOD(str_rjust) {
    return pad(j, v, call, LEFT);
}
METHOD(str_zfill) {
    int64_t width;
    if (!integer(j, call->a[0], 0, &width)) return j_error;
    struct jstr *b = xn_jinja_build(j);
    size_t sign = v.s->n && (v.s->p[0] == '-' || v.s->p[0] == '+');
    xn_jinja_put(j, b, v.s->p, sign);
    xn_jinja_put_fill(j, b, '0', width - (int64_t)xn_jinja_chars(v.s));
    xn_jinja_put(j, b, v.s->p + sign, v.s->n - sign);
    return same_kind(j, v, xn_jinja_value(j, b));
}
METHOD(str_expandtabs) {
    int64_t size, column = 0;
    if (!integer(j, call->a[0], 8, &size)) return j_error;
    struct jstr *b = xn_jinja_build(j);
    for (const char *p = v.s->p, *end = p + v.s->n; p < end && !j->failed;) {
        uint32_t c = xn_jinja_next(&p);
        if (c == '\t') {
            int64_t n = size > 0 ? size - column % size : 0;
            xn_jinja_put_fill(j, b, ' ', n);
            column += n;
        } else {
            xn_jinja_put_char(j, b, c);
            column = c == '\n' || c == '\r' ? 0 : column + 1;
        }
    }
    return same_kind(j, v, xn_jinja_value(j, b));
}

// What a string consists of

static struct jv all(struct jv v, bool (*is)(uint32_t), bool empty) {
    for (const char *p = v.s->p, *end = p + v.s->n; p < end;)
        if (!is(xn_jinja_next(&p))) return j_bool(false);
    return j_bool(v.s->n ? true : empty);
}
static bool alnum(uint32_t c) {
    return xn_jinja_is_alpha(c) || xn_jinja_is_numeric(c);
}
static bool ascii(uint32_t c) {
    return c < 0x80;
}
#define STR_IS(name, is, empty)                                                                                        \
    METHOD(name) {                                                                                                     \
        (void)j;                                                                                                       \
        (void)call;                                                                                                    \
        return all(v, is, empty);                                                                                      \
    }
STR_IS(str_isalnum, alnum, false)
STR_IS(str_isalpha, xn_jinja_is_alpha, false)
STR_IS(str_isascii, ascii, true)
STR_IS(str_isdecimal, xn_jinja_is_decimal, false)
STR_IS(str_isdigit, xn_jinja_is_digit, false)
STR_IS(str_isnumeric, xn_jinja_is_numeric, false)
STR_IS(str_isprintable, xn_jinja_is_printable, true)
STR_IS(str_isspace, xn_jinja_is_space, false)
METHOD(str_isidentifier) {
    (void)j;
    (void)call;
    const char *p = v.s->p;
    if (!v.s->n || xn_jinja_is_numeric(xn_jinja_next(&p))) return j_bool(false);
    return all(v, xn_jinja_is_word, false);
}
METHOD(str_islower) {
    struct jcall none = *call;
    return xn_jinja_call_row(j, xn_jinja_test("lower", 5), v, &none);
}
METHOD(str_isupper) {
    struct jcall none = *call;
    return xn_jinja_call_row(j, xn_jinja_test("upper", 5), v, &none);
}
METHOD(str_istitle) {
    (void)j;
    (void)call;
    bool inside = false, any = false;
    for (const char *p = v.s->p, *end = p + v.s->n; p < end;) {
        uint32_t c = xn_jinja_next(&p);
        bool capital = xn_jinja_is_upper(c) || xn_jinja_is_title(c), small = xn_jinja_is_lower(c);
        if ((capital && inside) || (small && !inside)) return j_bool(false);
        inside = capital || small;
        any |= inside;
    }
    return j_bool(any);
}

METHOD(str_format) {
    return xn_jinja_format(j, v, call);
}
METHOD(str_format_map) {
    if (call->a[0].type != J_DICT) return xn_jinja_fail(j, "format_map() takes a mapping");
    struct jcall named = {.kw = call->a[0].d};
    return xn_jinja_format(j, v, &named);
}

// Lists, dictionaries, ranges

METHOD(seq_count) {
    struct jlist *items = xn_jinja_iterate(j, v);
    int64_t n = 0;
    for (size_t i = 0; items && i < items->n && xn_jinja_step(j, 1); i++)
        n += xn_jinja_equal(j, items->v[i], call->a[0]);
    return j_int(n);
}
METHOD(seq_index) { // value start stop
    struct jlist *items = xn_jinja_iterate(j, v);
    int64_t n = items ? (int64_t)items->n : 0, start, stop;
    if (!integer(j, call->a[1], 0, &start) || !integer(j, call->a[2], n, &stop)) return j_error;
    if (start < 0) start = start < -n ? 0 : start + n;
    if (stop < 0) stop = stop < -n ? 0 : stop + n;
    for (int64_t i = start; i < stop && i < n && xn_jinja_step(j, 1); i++)
        if (xn_jinja_equal(j, items->v[i], call->a[0])) return j_int(i);
    if (j->failed) return j_error;
    struct jv what = xn_jinja_repr(j, call->a[0]);
    return j->failed ? j_error
                     : xn_jinja_fail(j, "%.200s is not in %s", xn_jinja_cstring(j, what), xn_jinja_type_name(v));
}
METHOD(list_copy) {
    (void)call;
    struct jlist *copy = xn_jinja_list(j, J_LIST);
    for (size_t i = 0; i < v.l->n; i++)
        xn_jinja_push(j, copy, v.l->v[i]);
    return xn_jinja_value(j, copy);
}
METHOD(dict_get) {
    struct jv found;
    if (xn_jinja_get(j, v.d, call->a[0], &found)) return found;
    return call->a[1].type == J_ABSENT ? j_none : call->a[1];
}
static struct jv view(struct jinja *j, struct jv v, enum jtype type) {
    struct jlist *l = xn_jinja_list(j, type);
    for (size_t i = 0; i < v.d->n && !j->failed; i++) {
        const struct jentry *e = &v.d->v[i];
        xn_jinja_push(j, l, type == J_KEYS ? e->key : type == J_VALUES ? e->value : xn_jinja_pair(j, e->key, e->value));
    }
    return xn_jinja_value(j, l);
}
METHOD(dict_keys) {
    (void)call;
    return view(j, v, J_KEYS);
}
METHOD(dict_values) {
    (void)call;
    return view(j, v, J_VALUES);
}
METHOD(dict_items) {
    (void)call;
    return view(j, v, J_ITEMS);
}
METHOD(dict_copy) {
    (void)call;
    struct jdict *copy = xn_jinja_dict(j, J_DICT);
    for (size_t i = 0; i < v.d->n && !j->failed; i++)
        xn_jinja_set(j, copy, v.d->v[i].key, v.d->v[i].value);
    return xn_jinja_value(j, copy);
}

METHOD(cycler_next) {
    (void)j;
    (void)call;
    struct jv item = v.cycler->items->v[v.cycler->at];
    v.cycler->at = (v.cycler->at + 1) % v.cycler->items->n;
    return item;
}
METHOD(cycler_reset) {
    (void)j;
    (void)call;
    v.cycler->at = 0;
    return j_none;
}

METHOD(float_is_integer) {
    (void)j;
    (void)call;
    return j_bool(isfinite(v.f) && v.f == floor(v.f));
}
METHOD(int_bit_length) {
    (void)j;
    (void)call;
    int64_t i = v.type == J_BOOL ? v.b : v.i;
    uint64_t size = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    return j_int(size ? 64 - __builtin_clzll(size) : 0);
}

static const struct jrow str_methods[] = {
    {"capitalize", str_capitalize, "", 0},
    {"casefold", str_casefold, "", 0},
    {"center", str_center, "width fillchar", 1},
    {"count", str_count, "sub start end", 1},
    {"endswith", str_endswith, "suffix start end", 1},
    {"expandtabs", str_expandtabs, "tabsize", 0},
    {"find", str_find, "sub start end", 1},
    {"format", str_format, "*", 0},
    {"format_map", str_format_map, "mapping", 1},
    {"index", str_index, "sub start end", 1},
    {"isalnum", str_isalnum, "", 0},
    {"isalpha", str_isalpha, "", 0},
    {"isascii", str_isascii, "", 0},
    {"isdecimal", str_isdecimal, "", 0},
    {"isdigit", str_isdigit, "", 0},
    {"isidentifier", str_isidentifier, "", 0},
    {"islower", str_islower, "", 0},
    {"isnumeric", str_isnumeric, "", 0},
    {"isprintable", str_isprintable, "", 0},
    {"isspace", str_isspace, "", 0},
    {"istitle", str_istitle, "", 0},
    {"isupper", str_isupper, "", 0},
    {"join", str_join, "iterable", 1},
    {"ljust", str_ljust, "width fillchar", 1},
    {"lower", str_lower, "", 0},
    {"lstrip", str_lstrip, "chars", 0},
    {"partition", str_partition, "sep", 1},
    {"removeprefix", str_removeprefix, "prefix", 1},
    {"removesuffix", str_removesuffix, "suffix", 1},
    {"replace", str_replace, "old new count", 2},
    {"rfind", str_rfind, "sub start end", 1},
    {"rindex", str_rindex, "sub start end", 1},
    {"rjust", str_rjust, "width fillchar", 1},
    {"rpartition", str_rpartition, "sep", 1},
    {"rsplit", str_rsplit, "sep maxsplit", 0},
    {"rstrip", str_rstrip, "chars", 0},
    {"split", str_split, "sep maxsplit", 0},
    {"splitlines", str_splitlines, "keepends", 0},
    {"startswith", str_startswith, "prefix start end", 1},
    {"strip", str_strip, "chars", 0},
    {"swapcase", str_swapcase, "", 0},
    {"title", str_title, "", 0},
    {"upper", str_upper, "", 0},
    {"zfill", str_zfill, "width", 1},
    {0},
};
static const struct jrow list_methods[] = {
    {"copy", list_copy, "", 0}, {"count", seq_count, "value", 1}, {"index", seq_index, "value start stop", 1}, {0}};
static const struct jrow tuple_methods[] = {
    {"count", seq_count, "value", 1}, {"index", seq_index, "value start stop", 1}, {0}};
static const struct jrow dict_methods[] = {
    {"copy", dict_copy, "", 0}, {"get", dict_get, "key default", 1}, {"items", dict_items, "", 0},
    {"keys", dict_keys, "", 0}, {"values", dict_values, "", 0},      {0},
};
static const struct jrow cycler_methods[] = {{"next", cycler_next, "", 0}, {"reset", cycler_reset, "", 0}, {0}};
static const struct jrow int_methods[] = {{"bit_length", int_bit_length, "", 0}, {0}};
static const struct jrow float_methods[] = {{"is_integer", float_is_integer, "", 0}, {0}};

const struct jrow *xn_jinja_method(struct jv self, const char *name, size_t n) {
    static const struct jrow *const tables[] = {
        [J_STRING] = str_methods,  [J_LIST] = list_methods, [J_TUPLE] = tuple_methods,
        [J_RANGE] = tuple_methods, [J_DICT] = dict_methods, [J_CYCLER] = cycler_methods,
        [J_INT] = int_methods,     [J_BOOL] = int_methods,  [J_FLOAT] = float_methods,
    };
    if (self.type >= sizeof tables / sizeof *tables || !tables[self.type]) return NULL;
    return xn_jinja_find(tables[self.type], name, n);
}

bool xn_jinja_is_mutator(struct jv self, const char *name, size_t n) {
    static const struct {
        enum jtype type;
        const char *name;
    } mutators[] = {
        {J_LIST, "append"},  {J_LIST, "clear"},      {J_LIST, "extend"}, {J_LIST, "insert"}, {J_LIST, "pop"},
        {J_LIST, "remove"},  {J_LIST, "reverse"},    {J_LIST, "sort"},   {J_DICT, "clear"},  {J_DICT, "pop"},
        {J_DICT, "popitem"}, {J_DICT, "setdefault"}, {J_DICT, "update"},
    };
    for (size_t i = 0; i < sizeof mutators / sizeof *mutators; i++)
        if (self.type == mutators[i].type && strlen(mutators[i].name) == n && memcmp(mutators[i].name, name, n) == 0)
            return true;
    return false;
}
