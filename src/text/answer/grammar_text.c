// Pieces of forms: markers, and free text without them.
#include "text/answer/grammar.h"

#include <string.h>

uint32_t xn_build_text(struct xn_grammar_build *b, const char *text) {
    return xn_form_text(&b->form, text ? text : "", text ? strlen(text) : 0);
}

uint32_t xn_build_maybe(struct xn_grammar_build *b, uint32_t node) {
    return xn_form_times(&b->form, node, 0, 1);
}

uint32_t xn_build_repeat(struct xn_grammar_build *b, uint32_t node, uint32_t least, uint32_t most) {
    return xn_form_times(&b->form, node, least, most);
}

uint32_t xn_build_lines(struct xn_grammar_build *b, uint32_t most) {
    return xn_form_times(&b->form, XN_FORM_LITERAL(&b->form, "\n"), 0, most);
}

uint32_t xn_build_rule(struct xn_grammar_build *b, const char *name, uint32_t body) {
    char unique[64];
    snprintf(unique, sizeof unique, "(%s %zu)", name, b->form.n_rules);
    const uint32_t rule = xn_form_rule(&b->form, unique, strlen(unique));
    xn_form_define(&b->form, rule, body);
    return xn_form_call(&b->form, rule);
}

// The length of what may be a special token at p: <|...|>, <...> without blanks or quotes, [CAPITALS].
static size_t token_length(const char *p) {
    if (*p == '<') {
        const size_t n = 1 + strcspn(p + 1, "<> \n\"=");
        return p[n] == '>' ? n + 1 : 0;
    }
    if (*p == '[') {
        const size_t n = 1 + strspn(p + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_/");
        return n > 1 && p[n] == ']' ? n + 1 : 0;
    }
    return 0;
}

uint32_t xn_build_marker(struct xn_grammar_build *b, const char *text) {
    struct xn_form *f = &b->form;
    uint32_t parts[16];
    size_t n = 0;
    for (const char *p = text; *p && n < 15;) {
        size_t size = token_length(p);
        if (size && size < XN_ANSWER_MARKER) {
            char special[XN_ANSWER_MARKER + 1] = {(char)XN_TOKEN_SPECIAL};
            memcpy(special + 1, p, size);
            parts[n++] = XN_FORM_CHOICE_OF(f, xn_form_text(f, p, size), xn_form_text(f, special, size + 1));
        } else {
            size = 1;
            while (p[size] && !token_length(p + size))
                size++;
            parts[n++] = xn_form_text(f, p, size);
        }
        p += size;
    }
    return xn_form_list(f, XN_FORM_SEQUENCE, parts, n);
}

uint32_t xn_build_any_text(struct xn_grammar_build *b) {
    return xn_form_times(&b->form, xn_form_set(&b->form, NULL, 0, true), 0, XN_FORM_UNBOUNDED);
}

// The markers that have the same first `at` bytes, after those: how a text may go on without becoming one of them.
struct branch {
    const char *const *markers;
    size_t at;
    const char *prefix; // a marker with those bytes
    uint32_t first;     // the character that all begin with
};

static bool in_branch(const struct branch *t, const char *marker) {
    return strncmp(marker, t->prefix, t->at) == 0;
}

// The characters that come next in the branch, each once.
static size_t next_characters(const struct branch *t, struct xn_range *out, const char **with, size_t most) {
    size_t n = 0;
    for (size_t i = 0; t->markers[i] && n < most; i++) {
        if (!in_branch(t, t->markers[i]) || !t->markers[i][t->at]) continue;
        uint32_t c = 0;
        xn_form_character(t->markers[i] + t->at, strlen(t->markers[i] + t->at), &c);
        size_t k = 0;
        while (k < n && out[k].first != c)
            k++;
        if (k < n) continue;
        with[n] = t->markers[i];
        out[n++] = (struct xn_range){c, c};
    }
    return n;
}

static bool complete(const struct branch *t) {
    for (size_t i = 0; t->markers[i]; i++)
        if (in_branch(t, t->markers[i]) && !t->markers[i][t->at]) return true;
    return false;
}

// From a place within the markers: *leaves: to what is no marker's beginning; *parts: anywhere short of a marker.
static void walk(struct xn_grammar_build *b, const struct branch *t, uint32_t *leaves, uint32_t *parts) {
    struct xn_form *f = &b->form;
    struct xn_range next[XN_ANSWER_MARKERS + 1];
    const char *with[XN_ANSWER_MARKERS];
    uint32_t leave[XN_ANSWER_MARKERS + 1], part[XN_ANSWER_MARKERS + 1];
    const size_t n = next_characters(t, next, with, XN_ANSWER_MARKERS);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        char bytes[4];
        const size_t size = xn_form_utf8(next[i].first, bytes);
        const struct branch deeper = {t->markers, t->at + size, with[i], t->first};
        if (complete(&deeper)) continue; // that would be a marker
        const uint32_t c = xn_form_text(f, bytes, size);
        uint32_t l, p;
        walk(b, &deeper, &l, &p);
        leave[k] = XN_FORM_SEQUENCE_OF(f, c, l);
        part[k++] = XN_FORM_SEQUENCE_OF(f, c, p);
    }
    next[n] = (struct xn_range){t->first, t->first};
    leave[k] = xn_form_set(f, next, n + 1, true);
    part[k++] = 0;
    *leaves = xn_form_list(f, XN_FORM_CHOICE, leave, k);
    *parts = xn_form_list(f, XN_FORM_CHOICE, part, k);
}

uint32_t xn_build_text_without(struct xn_grammar_build *b, const char *const *markers) {
    struct xn_form *f = &b->form;
    if (!markers[0]) return xn_build_any_text(b);
    uint32_t c = 0;
    const size_t size = xn_form_character(markers[0], strlen(markers[0]), &c);
    for (size_t i = 0; markers[i]; i++) // else they can't be kept apart so simply: any text
        if (strncmp(markers[i], markers[0], size) != 0 || strchr(markers[i] + size, markers[0][0]))
            return xn_build_any_text(b);
    const struct branch begun = {markers, size, markers[0], c};
    uint32_t leaves, parts;
    walk(b, &begun, &leaves, &parts);
    // Beginnings of markers, each cut short by the next; then something else, or nothing.
    const uint32_t first = xn_form_text(f, markers[0], size), other = xn_form_set(f, &(struct xn_range){c, c}, 1, true);
    const uint32_t begin = xn_form_times(f, XN_FORM_SEQUENCE_OF(f, first, parts), 0, XN_FORM_UNBOUNDED);
    const uint32_t astray = XN_FORM_SEQUENCE_OF(f, begin, first, leaves);
    return XN_FORM_SEQUENCE_OF(f, xn_form_times(f, XN_FORM_CHOICE_OF(f, other, astray), 0, XN_FORM_UNBOUNDED), begin);
}

bool xn_build_listed(struct xn_grammar_build *b, const json_t *schema,
                     uint32_t (*write)(struct xn_grammar_build *b, const char *text), uint32_t *node) {
    const json_t *list = json_object_get(schema, "enum");
    const size_t n = json_array_size(list);
    if (n == 0 || n > XN_GRAMMAR_TOOLS) return false;
    uint32_t choices[XN_GRAMMAR_TOOLS];
    for (size_t i = 0; i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text) return false;
        choices[i] = write(b, text);
    }
    *node = xn_form_list(&b->form, XN_FORM_CHOICE, choices, n);
    return true;
}

bool xn_build_is_required(const json_t *schema, const char *key) {
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(schema, "required"), i, one) {
        if (json_is_string(one) && strcmp(json_string_value(one), key) == 0) return true;
    }
    return false;
}
