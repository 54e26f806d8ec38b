// Chat templates: parsing and rendering, over the interpreter in jinja/.
#include "text/template.h"

#include "text/jinja/ast.h"
#include "text/jinja/unicode.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SOURCE = 8 << 20 };

static const struct xn_template_limits defaults = {
    .steps = 10u * 1000 * 1000, .depth = 1500, .memory = (size_t)256 << 20, .output = (size_t)64 << 20};

// Numbers are read and written with a decimal point whatever the locale of the process.
static locale_t use_c_locale(locale_t *before) {
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (c) *before = uselocale(c);
    return c;
}

static void leave_c_locale(locale_t c, locale_t before) {
    uselocale(before);
    freelocale(c);
}

// Every kind of line end becomes a line feed; one at the end of the source goes.
static size_t normalise_lines(char *to, const char *from, size_t n) {
    size_t out = 0;
    for (size_t i = 0; i < n; i++) {
        bool carriage = from[i] == '\r';
        to[out++] = carriage ? '\n' : from[i];
        if (carriage && i + 1 < n && from[i + 1] == '\n') i++;
    }
    if (out && to[out - 1] == '\n') out--;
    to[out] = 0;
    return out;
}

int xn_template_parse(const char *source, size_t size, const char *name, struct xn_template **out,
                      struct xn_error *err) {
    *out = NULL;
    if (!name) name = "template";
    if (size > MOST_SOURCE)
        return xn_fail(err, XN_ERR_TEMPLATE, "%s: %zu bytes; a template has at most %d", name, size, (int)MOST_SOURCE);
    if (xn_utf8_valid_prefix(source, size) != size) return xn_fail(err, XN_ERR_TEMPLATE, "%s: not valid UTF-8", name);
    struct xn_template *t = xn_alloc_zero(1, sizeof *t);
    if (!t) return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", name);
    t->name = xn_strdup(name);
    t->source = xn_alloc(size + 1, 1);
    locale_t before, c = use_c_locale(&before);
    int status = XN_OK;
    if (!t->name || !t->source || !c)
        status = xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", name);
    else
        status = xn_jinja_parse(t, normalise_lines(t->source, source, size), err);
    if (c) leave_c_locale(c, before);
    if (status != XN_OK) {
        xn_template_free(t);
        return status;
    }
    *out = t;
    return XN_OK;
}

void xn_template_free(struct xn_template *t) {
    if (!t) return;
    xn_arena_free(&t->arena);
    free(t->name);
    free(t->source);
    free(t);
}

static void render(struct jinja *j, const struct xn_template *t, const json_t *variables) {
    j->root = j->scope = xn_jinja_scope(j, NULL);
    j->out = xn_jinja_build(j);
    if (!j->out) return;
    j->out->output = true;
    j->evaluating = 1; // no collection while variables are made
    const char *key;
    size_t n;
    json_t *item;
    json_object_keylen_foreach((json_t *)variables, key, n, item) {
        struct jv name = xn_jinja_borrow(j, key, n), v = j->failed ? j_error : xn_jinja_from_json(j, item);
        if (j->failed || !xn_jinja_set(j, &j->root->vars, name, v)) return;
    }
    j->evaluating = 0;
    xn_jinja_run(j, t->first);
}

int xn_template_render(const struct xn_template *t, const json_t *variables, int64_t now,
                       const struct xn_template_limits *limits, char **out, size_t *size, struct xn_error *err) {
    struct xn_error ignored;
    struct jinja j = {.name = t->name, .err = err ? err : &ignored, .line = 1, .now = now, .limits = defaults};
    j.collect_at = (size_t)4 << 20;
    j.random = (uint64_t)now;
    *out = NULL;
    *size = 0;
    if (limits) {
        if (limits->steps) j.limits.steps = limits->steps;
        if (limits->depth) j.limits.depth = limits->depth;
        if (limits->memory) j.limits.memory = limits->memory;
        if (limits->output) j.limits.output = limits->output;
    }
    j.filter_input = j_none;
    if (variables && !json_is_object(variables))
        return xn_fail(err, XN_ERR_ARGUMENT, "%s: the variables of a template are an object", t->name);
    locale_t before, c = use_c_locale(&before);
    if (!c) return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", t->name);
    j.err->status = XN_OK;
    render(&j, t, variables);
    if (!j.failed) {
        *size = j.out->n;
        *out = j.out->own ? j.out->own : xn_strndup("", 0);
        j.out->own = NULL;
        if (!*out) xn_jinja_no_memory(&j);
    }
    xn_jinja_free_all(&j);
    leave_c_locale(c, before);
    return j.failed ? (int)j.err->status : XN_OK;
}
