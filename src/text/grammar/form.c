#include "text/grammar/form.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_RULES = 1 << 17, FIRST_SURROGATE = 0xd800, LAST_SURROGATE = 0xdfff };

void xn_form_init(struct xn_form *f) {
    *f = (struct xn_form){0};
    xn_form_list(f, XN_FORM_EMPTY, NULL, 0);
}

void xn_form_free(struct xn_form *f) {
    for (size_t i = 0; i < f->n_rules; i++)
        free(f->rules[i].name);
    free(f->nodes);
    free(f->ranges);
    free(f->children);
    free(f->bytes);
    free(f->rules);
    free(f->slots);
    *f = (struct xn_form){0};
}

int xn_form_check(const struct xn_form *f, struct xn_error *err) {
    if (f->status == XN_ERR_LIMIT)
        return xn_fail(err, XN_ERR_LIMIT, "the grammar is too large: it may have %d nodes and %d rules", XN_FORM_NODES,
                       MAX_RULES);
    if (f->status != XN_OK) return xn_fail(err, f->status, "no memory for the grammar");
    return XN_OK;
}

static uint32_t failed(struct xn_form *f, enum xn_status status) {
    if (f->status == XN_OK) f->status = status;
    return 0;
}

static uint32_t add(struct xn_form *f, struct xn_form_node node) {
    if (f->status != XN_OK) return 0;
    if (f->n_nodes >= XN_FORM_NODES) return failed(f, XN_ERR_LIMIT);
    if (XN_GROW(f->nodes, f->nodes_capacity, f->n_nodes + 1)) return failed(f, XN_ERR_NOMEM);
    f->nodes[f->n_nodes] = node;
    return (uint32_t)f->n_nodes++;
}

uint32_t xn_form_text(struct xn_form *f, const char *bytes, size_t n) {
    if (n == 0) return 0;
    if (n > 4 * (size_t)XN_FORM_NODES - f->n_bytes) return failed(f, XN_ERR_LIMIT);
    if (XN_GROW(f->bytes, f->bytes_capacity, f->n_bytes + n)) return failed(f, XN_ERR_NOMEM);
    memcpy(f->bytes + f->n_bytes, bytes, n);
    f->n_bytes += n;
    return add(f, (struct xn_form_node){.kind = XN_FORM_TEXT, .first = (uint32_t)(f->n_bytes - n), .n = (uint32_t)n});
}

static int by_first(const void *a, const void *b) {
    const struct xn_range *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

static void add_range(struct xn_form *f, uint32_t first, uint32_t last) {
    if (first > last) return;
    if (first < FIRST_SURROGATE && last >= FIRST_SURROGATE) { // around the surrogates
        add_range(f, first, FIRST_SURROGATE - 1);
        first = FIRST_SURROGATE;
    }
    if (first >= FIRST_SURROGATE && first <= LAST_SURROGATE) first = LAST_SURROGATE + 1;
    if (first > last) return;
    if (f->n_ranges >= 4 * (size_t)XN_FORM_NODES) {
        failed(f, XN_ERR_LIMIT);
        return;
    }
    if (XN_GROW(f->ranges, f->ranges_capacity, f->n_ranges + 1)) {
        failed(f, XN_ERR_NOMEM);
        return;
    }
    f->ranges[f->n_ranges++] = (struct xn_range){first, last};
}

uint32_t xn_form_set(struct xn_form *f, const struct xn_range *ranges, size_t n, bool negated) {
    struct xn_range *sorted = xn_alloc(n + 1, sizeof *sorted);
    if (!sorted) return failed(f, XN_ERR_NOMEM);
    if (n) memcpy(sorted, ranges, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_first);
    const size_t before = f->n_ranges;
    uint32_t next = 0; // the first character after what was looked at
    for (size_t i = 0; i < n;) {
        uint32_t first = sorted[i].first, last = sorted[i].last;
        for (i++; i < n && sorted[i].first <= last + 1; i++)
            if (sorted[i].last > last) last = sorted[i].last;
        if (!negated)
            add_range(f, first, last);
        else if (first > next)
            add_range(f, next, first - 1);
        next = last + 1;
    }
    if (negated && next <= XN_LAST_CHARACTER) add_range(f, next, XN_LAST_CHARACTER);
    free(sorted);
    return add(f, (struct xn_form_node){
                      .kind = XN_FORM_SET, .first = (uint32_t)before, .n = (uint32_t)(f->n_ranges - before)});
}

uint32_t xn_form_list(struct xn_form *f, enum xn_form_kind kind, const uint32_t *children, size_t n) {
    if (n == 1) return children[0];
    if (n > 4 * (size_t)XN_FORM_NODES - f->n_children) return failed(f, XN_ERR_LIMIT);
    if (XN_GROW(f->children, f->children_capacity, f->n_children + n + 1)) return failed(f, XN_ERR_NOMEM);
    if (n) memcpy(f->children + f->n_children, children, n * sizeof *children);
    f->n_children += n;
    return add(f, (struct xn_form_node){.kind = kind, .first = (uint32_t)(f->n_children - n), .n = (uint32_t)n});
}

uint32_t xn_form_times(struct xn_form *f, uint32_t child, uint32_t least, uint32_t most) {
    if (least == 1 && most == 1) return child;
    return add(f, (struct xn_form_node){.kind = XN_FORM_TIMES, .first = child, .least = least, .most = most});
}

static size_t slot_of(const struct xn_form *f, const char *name, size_t n) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        hash = (hash ^ (unsigned char)name[i]) * 0x100000001b3u;
    size_t at = (hash ^ hash >> 32) & (f->n_slots - 1);
    while (f->slots[at]) {
        const char *other = f->rules[f->slots[at] - 1].name;
        if (strlen(other) == n && memcmp(other, name, n) == 0) break;
        at = (at + 1) & (f->n_slots - 1);
    }
    return at;
}

static int more_slots(struct xn_form *f) {
    if (2 * (f->n_rules + 1) <= f->n_slots) return 0;
    size_t n = f->n_slots ? 2 * f->n_slots : 64;
    uint32_t *slots = xn_alloc_zero(n, sizeof *slots);
    if (!slots) return -1;
    free(f->slots);
    f->slots = slots;
    f->n_slots = n;
    for (size_t i = 0; i < f->n_rules; i++)
        f->slots[slot_of(f, f->rules[i].name, strlen(f->rules[i].name))] = (uint32_t)i + 1;
    return 0;
}

uint32_t xn_form_rule(struct xn_form *f, const char *name, size_t n) {
    if (f->status != XN_OK) return 0;
    if (more_slots(f)) return failed(f, XN_ERR_NOMEM);
    size_t at = slot_of(f, name, n);
    if (f->slots[at]) return f->slots[at] - 1;
    if (f->n_rules >= MAX_RULES) return failed(f, XN_ERR_LIMIT);
    char *copy = xn_strndup(name, n);
    if (!copy || XN_GROW(f->rules, f->rules_capacity, f->n_rules + 1)) {
        free(copy);
        return failed(f, XN_ERR_NOMEM);
    }
    f->rules[f->n_rules] = (struct xn_form_rule){.name = copy};
    f->slots[at] = (uint32_t)f->n_rules + 1;
    return (uint32_t)f->n_rules++;
}

uint32_t xn_form_call(struct xn_form *f, uint32_t rule) {
    return add(f, (struct xn_form_node){.kind = XN_FORM_RULE, .first = rule});
}

void xn_form_define(struct xn_form *f, uint32_t rule, uint32_t body) {
    if (f->status != XN_OK) return;
    f->rules[rule].body = body;
    f->rules[rule].defined = true;
}

size_t xn_form_utf8(uint32_t c, char out[4]) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    const size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((0xf00 >> n & 0xff) | c);
    return n;
}

size_t xn_form_character(const char *s, size_t n, uint32_t *c) {
    const unsigned char *u = (const unsigned char *)s;
    if (u[0] < 0x80) {
        *c = u[0];
        return 1;
    }
    const size_t length = u[0] >= 0xf0 ? 4 : u[0] >= 0xe0 ? 3 : 2;
    if (u[0] < 0xc2 || u[0] > 0xf4 || length > n) return 0;
    uint32_t value = u[0] & (0xff >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((u[i] & 0xc0) != 0x80) return 0;
        value = value << 6 | (u[i] & 0x3f);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (value < least[length] || value > XN_LAST_CHARACTER) return 0;
    if (value >= FIRST_SURROGATE && value <= LAST_SURROGATE) return 0;
    *c = value;
    return length;
}

bool xn_form_hex(const char **p, const char *end, int digits, uint32_t *c) {
    static const char all[] = "0123456789abcdefABCDEF";
    *c = 0;
    for (; digits; digits--, ++*p) {
        const char *digit = *p < end && **p ? strchr(all, **p) : NULL;
        if (!digit) return false;
        *c = *c << 4 | (uint32_t)(digit - all < 16 ? digit - all : digit - all - 6);
    }
    return true;
}
