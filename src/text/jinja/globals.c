// The functions that every template can call.
#include "text/jinja/ast.h"

#include <string.h>
#include <time.h>

const struct jrow *xn_jinja_find(const struct jrow *rows, const char *name, size_t n) {
    for (; rows->name; rows++)
        if (strlen(rows->name) == n && memcmp(rows->name, name, n) == 0) return rows;
    return NULL;
}

static bool int_argument(struct jinja *j, struct jv v, int64_t *out) {
    if (v.type == J_INT || v.type == J_BOOL) {
        *out = v.type == J_BOOL ? v.b : v.i;
        return true;
    }
    if (v.type == J_UNDEFINED)
        xn_jinja_undefined_error(j, v);
    else
        xn_jinja_fail(j, "'%s' object cannot be interpreted as an integer", xn_jinja_type_name(v));
    return false;
}

static struct jv range(struct jinja *j, struct jv self, struct jcall *call) {
    (void)self;
    enum { MOST = 100000 }; // as the sandbox of Jinja
    int64_t first, stop, start = 0, step = 1;
    if (!int_argument(j, call->a[0], &first)) return j_error;
    stop = first;
    if (call->a[1].type != J_ABSENT) {
        start = first;
        if (!int_argument(j, call->a[1], &stop)) return j_error;
    }
    if (call->a[2].type != J_ABSENT && !int_argument(j, call->a[2], &step)) return j_error;
    if (step == 0) return xn_jinja_fail(j, "range() arg 3 must not be zero");
    uint64_t n = 0, by = step < 0 ? 0 - (uint64_t)step : (uint64_t)step;
    if (step > 0 && stop > start) n = ((uint64_t)stop - (uint64_t)start - 1) / by + 1;
    if (step < 0 && stop < start) n = ((uint64_t)start - (uint64_t)stop - 1) / by + 1;
    if (n > MOST) return xn_jinja_fail(j, "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).", MOST);
    struct jrange *r = xn_jinja_new(j, J_RANGE, sizeof *r);
    if (r) {
        r->start = start;
        r->stop = stop;
        r->step = step;
        r->n = (int64_t)n;
    }
    return xn_jinja_value(j, r);
}

// dict(mapping or pairs, **more), and namespace likewise
static struct jv make_dict(struct jinja *j, struct jcall *call, enum jtype type) {
    struct jdict *d = xn_jinja_dict(j, type);
    if (call->n_pos > 1) return xn_jinja_fail(j, "dict expected at most 1 argument, got %zu", call->n_pos);
    if (call->n_pos && call->pos[0].type == J_DICT) {
        const struct jdict *from = call->pos[0].d;
        for (size_t i = 0; i < from->n && !j->failed; i++)
            xn_jinja_set(j, d, from->v[i].key, from->v[i].value);
    } else if (call->n_pos) {
        struct jlist *pairs = xn_jinja_iterate(j, call->pos[0]);
        for (size_t i = 0; pairs && i < pairs->n && !j->failed; i++) {
            struct jlist *pair = xn_jinja_iterate(j, pairs->v[i]);
            if (pair && pair->n != 2)
                return xn_jinja_fail(j, "dictionary update sequence element #%zu has length %zu; 2 is required", i,
                                     pair->n);
            if (pair) xn_jinja_set(j, d, pair->v[0], pair->v[1]);
        }
    }
    for (size_t i = 0; call->kw && i < call->kw->n && !j->failed; i++)
        xn_jinja_set(j, d, call->kw->v[i].key, call->kw->v[i].value);
    return xn_jinja_value(j, d);
}

static struct jv dict(struct jinja *j, struct jv self, struct jcall *call) {
    (void)self;
    return make_dict(j, call, J_DICT);
}

static struct jv namespace(struct jinja *j, struct jv self, struct jcall *call) {
    (void)self;
    return make_dict(j, call, J_NAMESPACE);
}

static struct jv cycler(struct jinja *j, struct jv self, struct jcall *call) {
    (void)self;
    if (!call->n_pos || call->kw) return xn_jinja_fail(j, "at least one item has to be provided");
    struct jcycler *c = xn_jinja_new(j, J_CYCLER, sizeof *c);
    struct jlist *items = xn_jinja_list(j, J_TUPLE);
    for (size_t i = 0; i < call->n_pos; i++)
        xn_jinja_push(j, items, call->pos[i]);
    if (c) c->items = items;
    return xn_jinja_value(j, c);
}

static struct jv joiner(struct jinja *j, struct jv self, struct jcall *call) {
    (void)self;
    struct jcycler *c = xn_jinja_new(j, J_JOINER, sizeof *c);
    struct jlist *items = xn_jinja_list(j, J_TUPLE);
    xn_jinja_push(j, items, call->a[0].type == J_ABSENT ? xn_jinja_text(j, ", ") : call->a[0]);
    if (c) c->items = items;
    return xn_jinja_value(j, c);
}

// The message alone: it is the template's own.
static struct jv raise_exception(struct jinja *j, struct jv self, struct jcall *call) {
    (void)self;
    struct jv message = xn_jinja_str(j, call->a[0]);
    if (j->failed) return j_error;
    const char *text = xn_jinja_cstring(j, message);
    if (j->failed) return j_error;
    j->failed = true;
    xn_fail(j->err, XN_ERR_TEMPLATE, "%s", text);
    return j_error;
}

static struct jv strftime_now(struct jinja *j, struct jv self, struct jcall *call) {
    (void)self;
    if (call->a[0].type != J_STRING)
        return xn_jinja_fail(j, "strftime() argument 1 must be str, not %s", xn_jinja_type_name(call->a[0]));
    time_t now = (time_t)j->now;
    struct tm tm;
    if (!gmtime_r(&now, &tm)) return xn_jinja_fail(j, "the time is out of range");
    struct jstr *b = xn_jinja_build(j);
    const char *format = xn_jinja_cstring(j, call->a[0]);
    // One directive at a time, so that the buffer need not grow with the format.
    while (*format && !j->failed) {
        char text[256];
        if (*format != '%' || !format[1]) {
            size_t n = *format == '%' ? 1 : strcspn(format, "%");
            xn_jinja_put(j, b, format, n);
            format += n;
            continue;
        }
        size_t n = 1 + strspn(format + 1, "-_0^#");
        char one[16] = "";
        if (n + 1 >= sizeof one) return xn_jinja_fail(j, "invalid format of a time");
        if (format[n] == 'f') { // microseconds are Python's own
            xn_jinja_puts(j, b, "000000");
        } else if (format[n] && strchr("zZ", format[n])) {
            // Python's times without a zone have none to name
        } else {
            if (format[n])
                memcpy(one, format, n + 1);
            else
                memcpy(one, format, n);
            xn_jinja_put(j, b, text, strftime(text, sizeof text, one, &tm));
        }
        format += n + (format[n] != 0);
    }
    return xn_jinja_value(j, b);
}

static const struct jrow globals[] = {
    {"cycler", cycler, "*", 0},
    {"dict", dict, "*", 0},
    {"joiner", joiner, "sep", 0},
    {"namespace", namespace, "*", 0},
    {"raise_exception", raise_exception, "message", 1},
    {"range", range, "start stop step", 1},
    {"strftime_now", strftime_now, "format", 1},
    {0},
};

const struct jrow *xn_jinja_global(const char *name, size_t n) {
    return xn_jinja_find(globals, name, n);
}
