// Regular expressions of schemas (ECMAScript's, what of them is regular): alternatives, groups, classes, repetitions,
// and anchors at the two ends of an alternative. Look-arounds, references back and \b are errors that give their place.
#include "base/memory.h"
#include "text/grammar/schema.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PATTERN = 10000, MAX_RANGES = 250, MAX_GROUPS = 64 };

struct pattern {
    struct xn_schema *s;
    const struct xn_where *w;
    const char *start, *p, *end;
    int depth;
};
struct set {
    struct xn_range ranges[MAX_RANGES];
    size_t n;
    bool negated;
};

static int complain(const struct pattern *x, const char *what) {
    return xn_schema_fail(x->s, XN_ERR_UNSUPPORTED, x->w, "at byte %zu: %s", (size_t)(x->p - x->start), what);
}

static bool at(const struct pattern *x, char c) {
    return x->p < x->end && *x->p == c;
}

static bool add(struct set *set, uint32_t first, uint32_t last) {
    if (set->n == MAX_RANGES) return false;
    set->ranges[set->n++] = (struct xn_range){first, last};
    return true;
}

// \d \w \s and their opposites; false: none of them, or no room.
static bool add_named(struct set *set, char name) {
    static const struct xn_range digit[] = {{'0', '9'}}, word[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
    static const struct xn_range space[] = {{9, 13},          {' ', ' '},       {0xa0, 0xa0},     {0x1680, 0x1680},
                                            {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f},
                                            {0x3000, 0x3000}, {0xfeff, 0xfeff}};
    const char kind = name | 0x20;
    const struct xn_range *of = kind == 'd' ? digit : kind == 'w' ? word : space;
    const size_t n = kind == 'd' ? 1 : kind == 'w' ? 4 : 10;
    bool good = true;
    if (name == kind) {
        for (size_t i = 0; i < n; i++)
            good = good && add(set, of[i].first, of[i].last);
        return good;
    }
    uint32_t next = 0;
    for (size_t i = 0; i < n; i++) {
        good = good && add(set, next, of[i].first - 1);
        next = of[i].last + 1;
    }
    return good && add(set, next, XN_LAST_CHARACTER);
}

static int hex(struct pattern *x, int digits, uint32_t *c) {
    return xn_form_hex(&x->p, x->end, digits, c) ? XN_OK : complain(x, "expected hexadecimal digits");
}

// After a backslash: one character, or *named, the letter of a class.
static int escape(struct pattern *x, bool in_class, uint32_t *c, char *named) {
    *named = 0;
    if (x->p == x->end) return complain(x, "an escape is not complete");
    const char sign = *x->p++;
    switch (sign) {
    case 'd':
    case 'D':
    case 'w':
    case 'W':
    case 's':
    case 'S':
        *named = sign;
        return XN_OK;
    case 'n':
        *c = '\n';
        return XN_OK;
    case 'r':
        *c = '\r';
        return XN_OK;
    case 't':
        *c = '\t';
        return XN_OK;
    case 'f':
        *c = '\f';
        return XN_OK;
    case 'v':
        *c = '\v';
        return XN_OK;
    case 'x':
        return hex(x, 2, c);
    case 'u':
        return hex(x, 4, c);
    case 'b':
        if (in_class) {
            *c = '\b';
            return XN_OK;
        }
        // fall through
    default:
        if ((sign >= '0' && sign <= '9') || (sign >= 'a' && sign <= 'z') || (sign >= 'A' && sign <= 'Z') ||
            sign & 0x80) {
            x->p--;
            return complain(x, "this escape is not supported");
        }
        *c = (unsigned char)sign;
        return XN_OK;
    }
}

static int character(struct pattern *x, bool in_class, uint32_t *c, char *named) {
    *named = 0;
    if (at(x, '\\')) {
        x->p++;
        return escape(x, in_class, c, named);
    }
    const size_t n = xn_form_character(x->p, (size_t)(x->end - x->p), c);
    if (n == 0) return complain(x, "not UTF-8");
    x->p += n;
    return XN_OK;
}

static int class(struct pattern *x, struct set *set) {
    x->p++;
    set->negated = at(x, '^');
    x->p += set->negated;
    while (!at(x, ']')) {
        uint32_t first, last;
        char named, ends;
        if (x->p == x->end) return complain(x, "a class is not closed");
        XN_TRY(character(x, true, &first, &named));
        if (named) {
            if (!add_named(set, named)) return complain(x, "a class has too many ranges");
            continue;
        }
        last = first;
        if (x->end - x->p >= 2 && *x->p == '-' && x->p[1] != ']') {
            x->p++;
            XN_TRY(character(x, true, &last, &ends));
            if (ends || last < first) return complain(x, "a range that ends before it starts");
        }
        if (!add(set, first, last)) return complain(x, "a class has too many ranges");
    }
    x->p++;
    return XN_OK;
}

static int alternatives(struct pattern *x, uint32_t *node);

static int group(struct pattern *x, uint32_t *node) {
    if (++x->depth > MAX_GROUPS) return complain(x, "groups nest too deep");
    x->p++;
    if (at(x, '?')) {
        x->p++;
        if (at(x, ':')) {
            x->p++;
        } else if (x->end - x->p >= 2 && *x->p == '<' && x->p[1] != '=' && x->p[1] != '!') {
            while (x->p < x->end && *x->p != '>')
                x->p++;
            x->p += x->p < x->end;
        } else {
            return complain(x, "look-arounds are not supported");
        }
    }
    XN_TRY(alternatives(x, node));
    if (!at(x, ')')) return complain(x, "a group is not closed");
    x->p++;
    x->depth--;
    return XN_OK;
}

static int number(struct pattern *x, uint32_t *value) {
    const char *start = x->p;
    for (*value = 0; x->p < x->end && *x->p >= '0' && *x->p <= '9'; x->p++) {
        *value = 10 * *value + (uint32_t)(*x->p - '0');
        if (*value > XN_FORM_REPEAT) return complain(x, "too many repetitions");
    }
    return x->p > start ? XN_OK : complain(x, "expected a number of repetitions");
}

static int repetition(struct pattern *x, uint32_t *node) {
    uint32_t least = 0, most = XN_FORM_UNBOUNDED;
    if (at(x, '{')) {
        x->p++;
        XN_TRY(number(x, &least));
        most = least;
        if (at(x, ',')) {
            x->p++;
            most = XN_FORM_UNBOUNDED;
            if (!at(x, '}')) XN_TRY(number(x, &most));
        }
        if (!at(x, '}')) return complain(x, "expected '}'");
        if (most < least) return complain(x, "fewer repetitions at most than at least");
    } else if (at(x, '*') || at(x, '+') || at(x, '?')) {
        least = *x->p == '+';
        if (*x->p == '?') most = 1;
    } else {
        return XN_OK;
    }
    x->p++;
    if (at(x, '?')) x->p++; // lazy: the same texts
    if (at(x, '*') || at(x, '+') || at(x, '{') || at(x, '?')) return complain(x, "nothing to repeat");
    *node = xn_form_times(x->s->form, *node, least, most);
    return XN_OK;
}

static int item(struct pattern *x, uint32_t *node) {
    struct set set = {.n = 0};
    if (at(x, '(')) {
        XN_TRY(group(x, node));
        return repetition(x, node);
    }
    if (at(x, '^') || at(x, '$')) return complain(x, "an anchor that isn't at an end of the pattern");
    if (at(x, '*') || at(x, '+') || at(x, '?') || at(x, '{')) return complain(x, "nothing to repeat");
    if (at(x, '[')) {
        XN_TRY(class(x, &set));
    } else if (at(x, '.')) {
        x->p++;
        set.negated = true;
        add(&set, '\n', '\n');
        add(&set, '\r', '\r');
        add(&set, 0x2028, 0x2029);
    } else {
        uint32_t c = 0;
        char named;
        XN_TRY(character(x, false, &c, &named));
        if (named)
            add_named(&set, named);
        else
            add(&set, c, c);
    }
    *node = xn_json_characters(x->s, set.ranges, set.n, set.negated);
    return repetition(x, node);
}

// One alternative; at the top its anchors are looked at, and what is open at an end may go on there.
static int sequence(struct pattern *x, uint32_t *node) {
    struct xn_form *f = x->s->form;
    uint32_t *items = NULL;
    size_t n = 0, capacity = 0;
    const bool top = x->depth == 0, open = top && !at(x, '^');
    int status = XN_OK;
    bool closed = false;
    if (top && !open) x->p++;
    while (status == XN_OK && x->p < x->end && *x->p != '|' && *x->p != ')') {
        if (top && *x->p == '$' && (x->p + 1 == x->end || x->p[1] == '|')) {
            x->p++;
            closed = true;
            break;
        }
        if (XN_GROW(items, capacity, n + 1))
            status = xn_fail(x->s->err, XN_ERR_NOMEM, "no memory for a pattern");
        else
            status = item(x, &items[n++]);
    }
    if (status == XN_OK) {
        *node = xn_form_list(f, XN_FORM_SEQUENCE, items, n);
        const uint32_t any = xn_form_times(f, xn_json_character(x->s), 0, XN_FORM_UNBOUNDED);
        if (open) *node = XN_FORM_SEQUENCE_OF(f, any, *node);
        if (top && !closed) *node = XN_FORM_SEQUENCE_OF(f, *node, any);
    }
    free(items);
    return status;
}

static int alternatives(struct pattern *x, uint32_t *node) {
    uint32_t *items = NULL;
    size_t n = 0, capacity = 0;
    int status = XN_OK;
    do {
        x->p += n > 0;
        if (XN_GROW(items, capacity, n + 1))
            status = xn_fail(x->s->err, XN_ERR_NOMEM, "no memory for a pattern");
        else
            status = sequence(x, &items[n++]);
    } while (status == XN_OK && at(x, '|'));
    if (status == XN_OK) *node = xn_form_list(x->s->form, XN_FORM_CHOICE, items, n);
    free(items);
    return status;
}

int xn_schema_pattern(struct xn_schema *s, const struct xn_where *w, const char *pattern, uint32_t *node) {
    const size_t n = strlen(pattern);
    if (n > MAX_PATTERN) return xn_schema_fail(s, XN_ERR_LIMIT, w, "more than %d bytes", MAX_PATTERN);
    struct pattern x = {.s = s, .w = w, .start = pattern, .p = pattern, .end = pattern + n};
    XN_TRY(alternatives(&x, node));
    if (x.p < x.end) return complain(&x, "')' without '('");
    return XN_OK;
}
