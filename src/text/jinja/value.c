#include "text/jinja/value.h"

#include "base/memory.h"
#include "text/jinja/unicode.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct jv xn_jinja_fail(struct jinja *j, const char *format, ...) {
    if (j->failed) return j_error;
    j->failed = true;
    char message[sizeof j->err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    xn_fail(j->err, XN_ERR_TEMPLATE, "%s:%d: %s", j->name, j->line, message);
    return j_error;
}

struct jv xn_jinja_no_memory(struct jinja *j) {
    if (!j->failed) xn_fail(j->err, XN_ERR_NOMEM, "%s:%d: out of memory", j->name, j->line);
    j->failed = true;
    return j_error;
}

bool xn_jinja_step(struct jinja *j, size_t n) {
    if (j->failed) return false;
    if (n > j->limits.steps - j->steps) {
        xn_jinja_fail(j, "the template takes more than %llu steps", (unsigned long long)j->limits.steps);
        return false;
    }
    j->steps += n;
    return true;
}

bool xn_jinja_enter(struct jinja *j) {
    if (j->depth >= j->limits.depth) {
        xn_jinja_fail(j, "calls and expressions nest deeper than %u (endless recursion?)", (unsigned)j->limits.depth);
        return false;
    }
    j->depth++;
    return true;
}

// Objects

// Work goes with memory: bytes that are written are counted as steps too.
enum { BYTES_A_STEP = 256 };

static bool count_bytes(struct jinja *j, struct jo *o, size_t more) {
    if (!xn_jinja_step(j, more / BYTES_A_STEP)) return false;
    if (more > j->limits.memory || j->bytes > j->limits.memory - more) {
        xn_jinja_fail(j, "the template's values take more than %zu bytes", j->limits.memory);
        return false;
    }
    j->bytes += more;
    o->bytes += more;
    return true;
}

void *xn_jinja_new(struct jinja *j, enum jtype type, size_t size) {
    if (!xn_jinja_step(j, 1)) return NULL;
    struct jo *o = xn_alloc_zero(1, size);
    if (!o) {
        xn_jinja_no_memory(j);
        return NULL;
    }
    o->type = (uint8_t)type;
    o->next = j->objects;
    j->objects = o;
    return count_bytes(j, o, size) ? o : NULL;
}

bool xn_jinja_hold(struct jinja *j, void *object) {
    if (j->failed) return false;
    if (XN_GROW(j->held, j->held_capacity, j->n_held + 1)) {
        xn_jinja_no_memory(j);
        return false;
    }
    j->held[j->n_held++] = object;
    return true;
}

struct jv xn_jinja_value(struct jinja *j, void *object) {
    if (j->failed || !object) return j_error;
    struct jo *o = object;
    return (struct jv){.type = o->type, .o = o};
}

static void free_object(struct jo *o) {
    switch (o->type) {
    case J_STRING:
        free(((struct jstr *)o)->own);
        break;
    case J_LIST:
    case J_TUPLE:
    case J_KEYS:
    case J_VALUES:
    case J_ITEMS:
    case J_GENERATOR:
        free(((struct jlist *)o)->v);
        break;
    case J_DICT:
    case J_NAMESPACE:
    case J_SCOPE:
        free(((struct jdict *)o)->v);
        free(((struct jdict *)o)->index);
        break;
    default:
        break;
    }
    free(o);
}

void xn_jinja_free_all(struct jinja *j) {
    while (j->objects) {
        struct jo *o = j->objects;
        j->objects = o->next;
        free_object(o);
    }
    free(j->held);
}

// Marking: what is found is put on a list through the objects themselves, so that depth costs no stack.
static void found(struct jo **gray, void *object) {
    struct jo *o = object;
    if (!o || o->marked || o->bytes == 0) return;
    o->marked = 1;
    o->gray = *gray;
    *gray = o;
}

static void found_value(struct jo **gray, struct jv v) {
    switch (v.type) {
    case J_ABSENT:
    case J_ERROR:
    case J_NONE:
    case J_BOOL:
    case J_INT:
    case J_FLOAT:
    case J_FUNCTION:
        return;
    default:
        found(gray, v.o);
    }
}

static void mark_children(struct jo **gray, struct jo *o) {
    switch (o->type) {
    case J_LIST:
    case J_TUPLE:
    case J_KEYS:
    case J_VALUES:
    case J_ITEMS:
    case J_GENERATOR: {
        struct jlist *l = (struct jlist *)o;
        for (size_t i = 0; i < l->n; i++)
            found_value(gray, l->v[i]);
        break;
    }
    case J_SCOPE:
        found(gray, ((struct jscope *)o)->parent); // fallthrough to its variables
        __attribute__((fallthrough));
    case J_DICT:
    case J_NAMESPACE: {
        struct jdict *d = (struct jdict *)o;
        for (size_t i = 0; i < d->n; i++) {
            found_value(gray, d->v[i].key);
            found_value(gray, d->v[i].value);
        }
        break;
    }
    case J_UNDEFINED:
        found_value(gray, ((struct jundefined *)o)->name);
        found(gray, ((struct jundefined *)o)->hint);
        break;
    case J_METHOD:
        found_value(gray, ((struct jmethod *)o)->self);
        break;
    case J_MACRO:
        found(gray, ((struct jmacro *)o)->scope);
        break;
    case J_CYCLER:
    case J_JOINER:
        found(gray, ((struct jcycler *)o)->items);
        break;
    case J_LOOP: {
        struct jloop *l = (struct jloop *)o;
        found(gray, l->outer);
        found(gray, l->source);
        found(gray, l->items);
        found_value(gray, l->last_changed);
        break;
    }
    default:
        break;
    }
}

void xn_jinja_collect(struct jinja *j) {
    if (j->evaluating || j->bytes < j->collect_at || j->failed) return;
    struct jo *gray = NULL;
    found(&gray, j->scope);
    found(&gray, j->root);
    found(&gray, j->out);
    for (size_t i = 0; i < j->n_held; i++)
        found(&gray, j->held[i]);
    while (gray) {
        struct jo *o = gray;
        gray = o->gray;
        mark_children(&gray, o);
    }
    struct jo **link = &j->objects;
    while (*link) {
        struct jo *o = *link;
        if (o->marked) {
            o->marked = 0;
            link = &o->next;
        } else {
            *link = o->next;
            j->bytes -= o->bytes;
            free_object(o);
        }
    }
    enum { LEAST = 4 << 20 };
    j->collect_at = j->bytes + (j->bytes > LEAST ? j->bytes : LEAST);
}

// Strings

static struct jstr *new_string(struct jinja *j) {
    struct jstr *s = xn_jinja_new(j, J_STRING, sizeof *s);
    if (!s) return NULL;
    s->p = "";
    s->chars = SIZE_MAX;
    return s;
}

struct jstr *xn_jinja_build(struct jinja *j) {
    return new_string(j);
}

void xn_jinja_put(struct jinja *j, struct jstr *b, const char *p, size_t n) {
    if (j->failed || !b || !n) return;
    if (n > b->capacity - b->n) {
        size_t want, next = b->capacity ? b->capacity : 32;
        if (xn_add_overflow(b->n, n, &want) || want > SIZE_MAX / 4) {
            xn_jinja_no_memory(j);
            return;
        }
        while (next < want)
            next *= 2;
        if (b->output) {
            if (want > j->limits.output) {
                xn_jinja_fail(j, "the output is longer than %zu bytes", j->limits.output);
                return;
            }
            if (!xn_jinja_step(j, (next - b->capacity) / BYTES_A_STEP)) return;
        } else if (!count_bytes(j, &b->o, next - b->capacity)) {
            return;
        }
        char *grown = xn_realloc(b->own, next + 1, 1);
        if (!grown) {
            xn_jinja_no_memory(j);
            return;
        }
        b->own = grown;
        b->p = grown;
        b->capacity = next;
    }
    memcpy(b->own + b->n, p, n);
    b->n += n;
    b->own[b->n] = 0;
}

void xn_jinja_puts(struct jinja *j, struct jstr *b, const char *p) {
    xn_jinja_put(j, b, p, strlen(p));
}

void xn_jinja_put_char(struct jinja *j, struct jstr *b, uint32_t c) {
    char bytes[4];
    xn_jinja_put(j, b, bytes, xn_utf8_encode(c, bytes));
}

void xn_jinja_put_str(struct jinja *j, struct jstr *b, const struct jstr *s) {
    xn_jinja_put(j, b, s->p, s->n);
}

void xn_jinja_put_fill(struct jinja *j, struct jstr *b, uint32_t c, int64_t n) {
    char run[256];
    size_t one = xn_utf8_encode(c, run), filled = one;
    while (filled + one <= sizeof run) {
        memcpy(run + filled, run, one);
        filled += one;
    }
    int64_t whole = (int64_t)(filled / one);
    for (; n > 0 && !j->failed; n -= whole)
        xn_jinja_put(j, b, run, (size_t)(n < whole ? n : whole) * one);
}

struct jv xn_jinja_string(struct jinja *j, const char *p, size_t n) {
    struct jstr *s = new_string(j);
    xn_jinja_put(j, s, p, n);
    return xn_jinja_value(j, s);
}

struct jv xn_jinja_text(struct jinja *j, const char *p) {
    return xn_jinja_string(j, p, strlen(p));
}

struct jv xn_jinja_borrow(struct jinja *j, const char *p, size_t n) {
    struct jstr *s = new_string(j);
    if (!s) return j_error;
    s->p = p;
    s->n = n;
    return xn_jinja_value(j, s);
}

struct jv xn_jinja_markup(struct jinja *j, struct jv string, bool markup) {
    if (string.type != J_STRING || string.s->markup == markup) return string;
    struct jv copy = xn_jinja_string(j, string.s->p, string.s->n);
    if (copy.type == J_STRING) copy.s->markup = markup;
    return copy;
}

size_t xn_jinja_chars(struct jstr *s) {
    if (s->chars != SIZE_MAX) return s->chars;
    size_t chars = 0;
    for (size_t i = 0; i < s->n; i++)
        chars += ((unsigned char)s->p[i] & 0xc0) != 0x80;
    s->chars = chars;
    return chars;
}

size_t xn_jinja_offset(struct jstr *s, size_t chars) {
    if (xn_jinja_chars(s) == s->n) return chars;
    const char *p = s->p;
    while (chars--)
        xn_jinja_next(&p);
    return (size_t)(p - s->p);
}

// Borrowed text need not end with a NUL.
const char *xn_jinja_cstring(struct jinja *j, struct jv string) {
    if (string.s->own) return string.s->own;
    struct jv copy = xn_jinja_string(j, string.s->p, string.s->n);
    return copy.type == J_STRING && copy.s->own ? copy.s->own : "";
}

// Lists

struct jlist *xn_jinja_list(struct jinja *j, enum jtype type) {
    return xn_jinja_new(j, type, sizeof(struct jlist));
}

void xn_jinja_push(struct jinja *j, struct jlist *list, struct jv v) {
    if (j->failed || !list || v.type == J_ERROR) return;
    if (list->n == list->capacity) {
        size_t next = list->capacity ? list->capacity * 2 : 4;
        if (!count_bytes(j, &list->o, (next - list->capacity) * sizeof *list->v)) return;
        struct jv *grown = xn_realloc(list->v, next, sizeof *grown);
        if (!grown) {
            xn_jinja_no_memory(j);
            return;
        }
        list->v = grown;
        list->capacity = next;
    }
    list->v[list->n++] = v;
}

struct jv xn_jinja_pair(struct jinja *j, struct jv a, struct jv b) {
    struct jlist *l = xn_jinja_list(j, J_TUPLE);
    xn_jinja_push(j, l, a);
    xn_jinja_push(j, l, b);
    return xn_jinja_value(j, l);
}

// Dictionaries

uint64_t xn_jinja_hash_text(const char *p, size_t n) {
    uint64_t h = 0xcbf29ce484222325u; // FNV-1a
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 0x100000001b3u;
    h ^= h >> 29;
    return h ? h : 1;
}

static uint64_t hash_number(double f) {
    uint64_t bits;
    if (f == 0) f = 0; // -0.0
    memcpy(&bits, &f, sizeof bits);
    bits *= 0x9e3779b97f4a7c15u;
    return bits ^ bits >> 32;
}

bool xn_jinja_hash(struct jinja *j, struct jv key, uint64_t *hash) {
    switch (key.type) {
    case J_STRING:
        if (!key.s->hash) {
            if (!xn_jinja_step(j, key.s->n / BYTES_A_STEP)) return false;
            key.s->hash = xn_jinja_hash_text(key.s->p, key.s->n);
        }
        *hash = key.s->hash;
        return true;
    case J_BOOL:
        *hash = hash_number(key.b);
        return true;
    case J_INT: // equal numbers hash alike, so an integer hashes as the float nearest to it
        *hash = hash_number((double)key.i);
        return true;
    case J_FLOAT:
        *hash = hash_number(key.f);
        return true;
    case J_TUPLE: {
        uint64_t h = 0x345678;
        if (!xn_jinja_enter(j)) return false;
        for (size_t i = 0; i < key.l->n; i++) {
            uint64_t item;
            if (!xn_jinja_step(j, 1) || !xn_jinja_hash(j, key.l->v[i], &item)) return false;
            h = (h ^ item) * 0x100000001b3u;
        }
        j->depth--;
        *hash = h;
        return true;
    }
    case J_NONE:
    case J_UNDEFINED:
        *hash = (uint64_t)key.type * 0x9e3779b97f4a7c15u;
        return true;
    case J_LIST:
    case J_DICT:
    case J_KEYS:
    case J_ITEMS:
        xn_jinja_fail(j, "unhashable type: '%s'", xn_jinja_type_name(key));
        return false;
    case J_ERROR:
        return false;
    default:
        *hash = (uint64_t)(uintptr_t)key.o >> 4;
        return true;
    }
}

struct jdict *xn_jinja_dict(struct jinja *j, enum jtype type) {
    return xn_jinja_new(j, type, sizeof(struct jdict));
}

struct jscope *xn_jinja_scope(struct jinja *j, struct jscope *parent) {
    struct jscope *s = xn_jinja_new(j, J_SCOPE, sizeof *s);
    if (s) s->parent = parent;
    return s;
}

static bool same_key(struct jinja *j, const struct jentry *e, struct jv key, uint64_t hash) {
    if (e->hash != hash) return false;
    if (e->key.type == J_STRING && key.type == J_STRING)
        return e->key.s->n == key.s->n && (e->key.s->p == key.s->p || memcmp(e->key.s->p, key.s->p, key.s->n) == 0);
    return xn_jinja_equal(j, e->key, key);
}

static bool find(struct jinja *j, const struct jdict *d, struct jv key, uint64_t hash, size_t *at) {
    if (!d->n_index) {
        for (size_t i = 0; i < d->n; i++)
            if (same_key(j, &d->v[i], key, hash)) {
                *at = i;
                return true;
            }
        return false;
    }
    size_t mask = d->n_index - 1, probes = 0;
    for (size_t i = hash & mask; d->index[i]; i = (i + 1) & mask) {
        if (same_key(j, &d->v[d->index[i] - 1], key, hash)) {
            *at = d->index[i] - 1;
            return true;
        }
        if (++probes % 16 == 0 && !xn_jinja_step(j, 1)) return false; // keys chosen to collide
    }
    return false;
}

enum { SMALL_DICT = 8 };

static bool index_entries(struct jinja *j, struct jdict *d) {
    if (d->n < SMALL_DICT || d->n * 2 < d->n_index) return true;
    size_t next = d->n_index ? d->n_index * 4 : SMALL_DICT * 4;
    if (next > UINT32_MAX) return !xn_jinja_fail(j, "a dictionary is too large").b;
    if (!count_bytes(j, &d->o, (next - d->n_index) * sizeof *d->index)) return false;
    uint32_t *index = xn_alloc_zero(next, sizeof *index);
    if (!index) {
        xn_jinja_no_memory(j);
        return false;
    }
    for (size_t e = 0; e < d->n; e++) {
        size_t i = d->v[e].hash & (next - 1);
        while (index[i])
            i = (i + 1) & (next - 1);
        index[i] = (uint32_t)e + 1;
    }
    free(d->index);
    d->index = index;
    d->n_index = next;
    return true;
}

bool xn_jinja_set(struct jinja *j, struct jdict *d, struct jv key, struct jv value) {
    uint64_t hash;
    size_t at;
    if (!d || value.type == J_ERROR || j->failed || !xn_jinja_hash(j, key, &hash)) return false;
    if (find(j, d, key, hash, &at)) {
        d->v[at].value = value;
        return true;
    }
    if (j->failed || !index_entries(j, d)) return false;
    if (d->n == d->capacity) {
        size_t next = d->capacity ? d->capacity * 2 : 4;
        if (!count_bytes(j, &d->o, (next - d->capacity) * sizeof *d->v)) return false;
        struct jentry *grown = xn_realloc(d->v, next, sizeof *grown);
        if (!grown) {
            xn_jinja_no_memory(j);
            return false;
        }
        d->v = grown;
        d->capacity = next;
    }
    if (d->n_index) {
        size_t i = hash & (d->n_index - 1), probes = 0;
        while (d->index[i]) {
            i = (i + 1) & (d->n_index - 1);
            if (++probes % 16 == 0 && !xn_jinja_step(j, 1)) return false;
        }
        d->index[i] = (uint32_t)d->n + 1;
    }
    d->v[d->n++] = (struct jentry){.key = key, .value = value, .hash = hash};
    return true;
}

bool xn_jinja_get(struct jinja *j, struct jdict *d, struct jv key, struct jv *value) {
    uint64_t hash;
    size_t at;
    if (!xn_jinja_hash(j, key, &hash) || !find(j, d, key, hash, &at) || j->failed) return false;
    *value = d->v[at].value;
    return true;
}

bool xn_jinja_get_text(struct jinja *j, struct jdict *d, const char *key, struct jv *value) {
    struct jstr s = {.o = {.type = J_STRING}, .p = key, .n = strlen(key)};
    return xn_jinja_get(j, d, (struct jv){.type = J_STRING, .s = &s}, value);
}

void xn_jinja_clear(struct jdict *d) {
    d->n = 0;
    if (d->n_index) memset(d->index, 0, d->n_index * sizeof *d->index);
}

// Undefined

struct jv xn_jinja_undefined(struct jinja *j, struct jv name, const char *owner) {
    struct jundefined *u = xn_jinja_new(j, J_UNDEFINED, sizeof *u);
    if (u) {
        u->name = name;
        u->owner = owner;
    }
    return xn_jinja_value(j, u);
}

struct jv xn_jinja_undefined_hint(struct jinja *j, const char *format, ...) {
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    struct jundefined *u = xn_jinja_new(j, J_UNDEFINED, sizeof *u);
    struct jv hint = xn_jinja_text(j, message);
    if (!u || hint.type == J_ERROR) return j_error;
    u->hint = hint.s;
    return xn_jinja_value(j, u);
}

struct jv xn_jinja_undefined_error(struct jinja *j, struct jv v) {
    if (v.type != J_UNDEFINED) return j_error;
    const struct jundefined *u = v.u;
    if (u->hint) return xn_jinja_fail(j, "%s", xn_jinja_cstring(j, (struct jv){.type = J_STRING, .s = u->hint}));
    struct jv name = u->name.type == J_STRING ? u->name : xn_jinja_repr(j, u->name);
    if (name.type != J_STRING) return j_error;
    const char *text = xn_jinja_cstring(j, name);
    if (!u->owner) return xn_jinja_fail(j, "'%s' is undefined", text);
    bool none = strcmp(u->owner, "NoneType") == 0;
    const char *owner = none ? "None" : u->owner, *object = none ? "" : " object";
    if (u->name.type != J_STRING) return xn_jinja_fail(j, "%s%s has no element %s", owner, object, text);
    return xn_jinja_fail(j, "'%s%s' has no attribute '%s'", owner, object, text);
}

const char *xn_jinja_type_name(struct jv v) {
    static const char *const names[] = {
#define X(name, python) [J_##name] = python,
        XN_JINJA_TYPES(X)
#undef X
    };
    if (v.type == J_GENERATOR && v.l->name) return v.l->name;
    if (v.type == J_STRING && v.s->markup) return "Markup";
    return names[v.type];
}
