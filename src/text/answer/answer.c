#include "text/answer/internal.h"

#include "base/memory.h"
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>

// ---- what is given

static void append(struct xn_answer *a, struct xn_text *to, const char *text, size_t n) {
    if (a->status == XN_OK && n && xn_text_append(to, text, n))
        a->status = xn_fail(a->err, XN_ERR_NOMEM, "no memory for an answer");
}

static void give(struct xn_answer *a, const struct xn_answer_piece *piece) {
    if (a->status == XN_OK) a->status = a->sink(a->user, piece, a->err);
}

static void flush(struct xn_answer *a) {
    if (a->out.size == 0) return;
    const uint32_t index = a->n_calls ? a->n_calls - 1 : 0;
    give(a, &(struct xn_answer_piece){.kind = a->out_kind, .index = index, .text = a->out.data, .size = a->out.size});
    a->out.size = 0;
}

void xn_answer_put(struct xn_answer *a, enum xn_answer_kind kind, const char *text, size_t n) {
    if (n == 0) return;
    if (kind != a->out_kind) flush(a);
    a->out_kind = kind;
    append(a, &a->out, text, n);
    if (kind == XN_ANSWER_CONTENT) a->content = true;
}

// Letters and digits that no other call of this answer has.
static void make_id(struct xn_answer *a) {
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const bool is_short = a->notation && a->notation->short_ids;
    a->n_id = 0;
    if (!is_short) {
        memcpy(a->id, "call_", 5);
        a->n_id = 5;
    }
    uint64_t bits = 0;
    for (uint32_t i = 0, n = is_short ? 9 : 24; i < n; i++) {
        if (i % 8 == 0) { // splitmix64
            bits = a->random += 0x9e3779b97f4a7c15u;
            bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
            bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
            bits ^= bits >> 31;
        }
        a->id[a->n_id++] = letters[(bits & 0xff) * 62 >> 8];
        bits >>= 8;
    }
    a->id[a->n_id] = 0;
}

void xn_answer_call(struct xn_answer *a) {
    flush(a);
    if (a->n_id == 0) make_id(a);
    a->n_calls++;
    a->open = a->called = true;
    a->holding = false;
    a->held.size = a->blanks.size = 0;
    give(a, &(struct xn_answer_piece){.kind = XN_ANSWER_CALL, .index = a->n_calls - 1, .id = a->id, .name = a->name});
    a->n_name = a->n_id = 0;
}

void xn_answer_call_end(struct xn_answer *a) {
    if (!a->open) return;
    flush(a);
    a->open = false;
    a->holding = true;
    give(a, &(struct xn_answer_piece){.kind = XN_ANSWER_CALL_END, .index = a->n_calls - 1});
}

// ---- what machines share

bool xn_answer_append(char *to, uint32_t *n, char c) {
    if (*n + 1 >= XN_ANSWER_NAME || c == 0) return false;
    to[(*n)++] = c;
    to[*n] = 0;
    return true;
}

bool xn_answer_value(struct xn_answer *a, const char *text, size_t n) {
    if (a->value.size + n > XN_ANSWER_HELD) return false;
    append(a, &a->value, text, n);
    return true;
}

const json_t *xn_answer_tool(const json_t *tools, const char *name) {
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *function = json_object_get(json_array_get(tools, i), "function");
        const char *own = json_string_value(json_object_get(function, "name"));
        if (own && strcmp(own, name) == 0) return function;
    }
    return NULL;
}

int xn_marker_take(struct xn_marker *m, const char *const *markers, char c, char *free, size_t *n_free) {
    *n_free = 0;
    m->bytes[m->n++] = c;
    while (m->n) {
        bool begun = false;
        for (int i = 0; markers[i]; i++) {
            if (strncmp(markers[i], m->bytes, m->n) != 0) continue;
            if (markers[i][m->n] == 0) {
                m->n = 0;
                return i;
            }
            begun = true;
        }
        if (begun && m->n < XN_ANSWER_MARKER) break;
        free[(*n_free)++] = m->bytes[0];
        memmove(m->bytes, m->bytes + 1, --m->n);
    }
    return -1;
}

// ---- outside of calls

// What may come next, and what it is: the reasoning's marker first, then the notation's.
static int markers(const struct xn_answer *a, const char *out[XN_ANSWER_MARKERS], int *first_opener, int *first_drop) {
    int n = 0;
    const struct xn_answer_style *style = &a->options.style;
    if (a->where == XN_IN_REASONING) {
        out[n++] = style->think_close;
        *first_opener = *first_drop = n;
        out[n] = NULL;
        return n;
    }
    // <think> is plain text: in the midst of content it is spoken of. Special tokens are not.
    if (a->options.reasoning && style->think_open && (!a->content || style->think_open[1] == '|')) {
        out[n++] = style->think_open;
    }
    *first_opener = n;
    if (a->notation && !(a->notation->at_start && (a->content || a->called)))
        for (int i = 0; a->notation->openers[i]; i++)
            out[n++] = a->notation->openers[i];
    *first_drop = n;
    for (int i = 0; a->notation && a->notation->drops[i]; i++)
        out[n++] = a->notation->drops[i];
    out[n] = NULL;
    return n;
}

// Text that is no marker: blanks are held back, for a marker may follow.
static void plain(struct xn_answer *a, const char *text, size_t n) {
    const enum xn_answer_kind kind = a->where == XN_IN_REASONING ? XN_ANSWER_REASONING : XN_ANSWER_CONTENT;
    for (size_t i = 0; i < n; i++) {
        if (xn_answer_blank(text[i])) {
            if (!a->drop_blanks) append(a, &a->blanks, text + i, 1);
            continue;
        }
        a->drop_blanks = false;
        xn_answer_put(a, kind, a->blanks.data, a->blanks.size);
        a->blanks.size = 0;
        xn_answer_put(a, kind, text + i, 1);
    }
}

static void take(struct xn_answer *a, char c);

static void outside(struct xn_answer *a, char c) {
    const char *all[XN_ANSWER_MARKERS];
    char free[XN_ANSWER_MARKER];
    size_t n_free;
    int first_opener, first_drop;
    const bool reasoning = a->where == XN_IN_REASONING;
    if (markers(a, all, &first_opener, &first_drop) == 0) {
        plain(a, &c, 1);
        return;
    }
    const int found = xn_marker_take(&a->marker, all, c, free, &n_free);
    plain(a, free, n_free);
    // What was freed may have been content, after which some markers are none any more: their beginning is content.
    if (found < 0 && n_free && !reasoning && a->marker.n) {
        const struct xn_marker again = a->marker;
        a->marker.n = 0;
        for (uint32_t i = 0; i < again.n; i++)
            take(a, again.bytes[i]);
        return;
    }
    if (found < 0 || found >= first_drop) return;
    if (found >= first_opener) {
        a->holding = true;
        a->held.size = a->value.size = 0;
        a->n_name = a->n_id = 0;
        append(a, &a->held, all[found], strlen(all[found]));
        a->where = XN_IN_CALLS;
        a->table = a->notation->table;
        a->notation->begin(a, (unsigned)(found - first_opener));
    } else {
        a->blanks.size = 0;
        a->drop_blanks = true;
        a->where = reasoning ? XN_IN_CONTENT : XN_IN_REASONING;
    }
}

// ---- inside of calls

// Back to content, which what is held belongs to where it was no call.
static void leave(struct xn_answer *a, bool was_call) {
    xn_answer_call_end(a);
    a->where = XN_IN_CONTENT;
    a->holding = false;
    a->drop_blanks = a->called;
    if (!was_call) {
        // The opener is no blank, so blanks before it are content with it.
        if (a->blanks.size && a->held.size) xn_answer_put(a, XN_ANSWER_CONTENT, a->blanks.data, a->blanks.size);
        a->blanks.size = 0;
        plain(a, a->held.data, a->held.size);
    }
    a->held.size = 0;
}

static void inside(struct xn_answer *a, char c) {
    const uint32_t calls = a->n_calls;
    const bool open = a->open, holding = a->holding;
    const enum xn_verdict verdict = a->notation->take(a, c);
    if (verdict == XN_GOING || verdict == XN_DONE) {
        // Not the byte that began or ended a call.
        if (holding && a->holding && !open && a->n_calls == calls) append(a, &a->held, &c, 1);
        if (verdict == XN_DONE || a->held.size > XN_ANSWER_HELD) leave(a, verdict == XN_DONE);
        return;
    }
    leave(a, verdict == XN_DONE_BEFORE);
    outside(a, c);
}

static void take(struct xn_answer *a, char c) {
    if (a->where == XN_IN_CALLS)
        inside(a, c);
    else
        outside(a, c);
}

// ---- the whole

int xn_answer_new(const struct xn_answer_options *options, struct xn_answer **out, struct xn_error *err) {
    *out = NULL;
    struct xn_answer *a = xn_alloc_zero(1, sizeof *a);
    if (!a) return xn_fail(err, XN_ERR_NOMEM, "no memory for an answer");
    a->options = *options;
    a->random = options->seed;
    if (!options->style.think_open || !options->style.think_close) a->options.reasoning = false;
    // A template without tools may have had them described by other means: then in the best known notation.
    const bool other = options->style.format == XN_ANSWER_PLAIN;
    const struct xn_notation *notation = xn_notations[other ? XN_ANSWER_HERMES : options->style.format];
    if (notation && (options->tools || notation->own)) a->notation = notation;
    if (a->options.reasoning && options->thinking) {
        a->where = XN_IN_REASONING;
        a->drop_blanks = true;
    }
    if (a->notation && a->notation->own) {
        a->where = XN_IN_CALLS;
        a->holding = true;
        a->notation->begin(a, 0);
    }
    *out = a;
    return XN_OK;
}

void xn_answer_free(struct xn_answer *a) {
    if (!a) return;
    free(a->blanks.data);
    free(a->held.data);
    free(a->value.data);
    free(a->out.data);
    free(a);
}

int xn_answer_feed(struct xn_answer *a, const char *text, size_t size, xn_answer_sink *sink, void *user,
                   struct xn_error *err) {
    a->sink = sink;
    a->user = user;
    a->err = err;
    for (size_t i = 0; a->status == XN_OK && i < size; i++)
        take(a, text[i]);
    flush(a);
    return a->status;
}

int xn_answer_end(struct xn_answer *a, xn_answer_sink *sink, void *user, struct xn_error *err) {
    a->sink = sink;
    a->user = user;
    a->err = err;
    if (a->where == XN_IN_CALLS) {
        if (a->notation->end) a->notation->end(a);
        leave(a, false);
    }
    // Of a marker that is not complete.
    const struct xn_marker rest = a->marker;
    a->marker.n = 0;
    plain(a, rest.bytes, rest.n);
    const bool reasoning = a->where == XN_IN_REASONING;
    if (!(a->called && !reasoning))
        xn_answer_put(a, reasoning ? XN_ANSWER_REASONING : XN_ANSWER_CONTENT, a->blanks.data, a->blanks.size);
    a->blanks.size = 0;
    flush(a);
    return a->status;
}
