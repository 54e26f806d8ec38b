// The values of a template while it renders, with Python's types, and the memory that they live in.
//
// A value is 16 bytes: a type and either the thing itself or a pointer to an object. Objects belong to the renderer
// (struct jinja), are counted against its memory limit, and are collected by mark and sweep. A collection runs only
// between statements while no expression is being evaluated, so C code that evaluates never has to protect the values
// it holds; statements that hold values while their body runs (a loop its items, a block its buffer) push them on
// `held`.
//
// Failure is sticky: the first xn_jinja_fail records its message and sets `failed`; functions that return a value
// return one of type J_ERROR then, functions that append do nothing, and loops look at `failed`.
#pragma once

#include "text/template.h"

#include <stdbool.h>

// name in Python, whether messages call it "NAME object" (Python's own types)
#define XN_JINJA_TYPES(X)                                                                                              \
    X(ABSENT, "absent")       /* an argument that was not given */                                                     \
    X(ERROR, "error")         /* the evaluation failed */                                                              \
    X(UNDEFINED, "Undefined") /* struct jundefined */                                                                  \
    X(NONE, "NoneType")                                                                                                \
    X(BOOL, "bool")                                                                                                    \
    X(INT, "int")                                                                                                      \
    X(FLOAT, "float")                                                                                                  \
    X(STRING, "str")     /* struct jstr */                                                                             \
    X(LIST, "list")      /* struct jlist */                                                                            \
    X(TUPLE, "tuple")    /* struct jlist */                                                                            \
    X(DICT, "dict")      /* struct jdict */                                                                            \
    X(KEYS, "dict_keys") /* views of a dictionary: struct jlist, made when asked for */                                \
    X(VALUES, "dict_values")                                                                                           \
    X(ITEMS, "dict_items")                                                                                             \
    X(GENERATOR, "generator")               /* struct jlist: its items can be taken once */                            \
    X(RANGE, "range")                       /* struct jrange */                                                        \
    X(NAMESPACE, "jinja2.utils.Namespace")  /* struct jdict */                                                         \
    X(FUNCTION, "function")                 /* a row of the table of globals */                                        \
    X(METHOD, "builtin_function_or_method") /* struct jmethod */                                                       \
    X(MACRO, "jinja2.runtime.Macro")        /* struct jmacro */                                                        \
    X(LOOP, "jinja2.runtime.LoopContext")   /* struct jloop */                                                         \
    X(CYCLER, "jinja2.utils.Cycler")        /* struct jcycler */                                                       \
    X(JOINER, "jinja2.utils.Joiner")        /* struct jcycler */                                                       \
    X(SCOPE, "scope")                       /* struct jscope; never seen by a template */

enum jtype {
#define X(name, python) J_##name,
    XN_JINJA_TYPES(X)
#undef X
};

struct jinja;
struct jnode;
struct jrow;

struct jv {
    enum jtype type;
    union {
        bool b;
        int64_t i;
        double f;
        struct jo *o;
        struct jstr *s;
        struct jlist *l;
        struct jdict *d;
        struct jrange *range;
        struct jundefined *u;
        struct jmethod *method;
        struct jmacro *macro;
        struct jloop *loop;
        struct jcycler *cycler;
        const struct jrow *row;
    };
};

// The head of every object. Objects of the parsed template are constant and shared by threads: `bytes` is 0 and they
// are never marked.
struct jo {
    struct jo *next, *gray;
    size_t bytes;
    uint8_t type, marked;
};

struct jstr {
    struct jo o;
    const char *p; // UTF-8, may hold NUL
    char *own;     // p, where this object frees it
    size_t n, capacity;
    size_t chars;  // SIZE_MAX: not counted yet
    uint64_t hash; // 0: not computed yet
    bool markup;   // marked safe
    bool output;   // counted against the limit of output instead of memory
};

struct jlist {
    struct jo o;
    struct jv *v;
    size_t n, capacity;
    size_t taken;     // of a generator
    const char *name; // of a generator: what Python would call its type
    bool group;       // a tuple of groupby, with attributes grouper and list
};

// Insertion-ordered; entries are never removed.
struct jentry {
    struct jv key, value;
    uint64_t hash;
};
struct jdict {
    struct jo o;
    struct jentry *v;
    size_t n, capacity;
    uint32_t
        *index; // open addressing over n + 1 (0: free); n_index is a power of two, or 0 while the dictionary is small
    size_t n_index;
};

struct jscope {
    struct jdict vars; // o.type is J_SCOPE
    struct jscope *parent;
};

struct jrange {
    struct jo o;
    int64_t start, stop, step, n;
};

// What is undefined: `name` of a thing of type `owner` (NULL: a variable), or `hint`, the whole message.
struct jundefined {
    struct jo o;
    struct jv name;
    const char *owner;
    struct jstr *hint;
};

struct jmethod {
    struct jo o;
    struct jv self;
    const struct jrow *row;
};

struct jmacro {
    struct jo o;
    const struct jnode *node;
    struct jscope *scope; // where it was defined
};

struct jcycler {
    struct jo o;
    struct jlist *items; // of a joiner: its separator
    size_t at;
};

struct jloop {
    struct jo o;
    const struct jnode *node;
    struct jscope *outer; // where the filter of the loop is evaluated
    struct jlist *source; // what is iterated over; grown from when pulled, filtered, into items
    struct jlist *items;  // those that passed the filter so far
    size_t pulled;        // of source
    int64_t index0;       // of the current item
    uint32_t depth0;
    struct jv last_changed; // what `changed` saw last; J_ABSENT at first
};

struct jinja {
    const char *name; // of the template
    struct xn_template_limits limits;
    struct xn_error *err;
    bool failed;
    int line;
    int64_t now;
    uint64_t steps;
    uint32_t depth;      // of calls, expressions and statements
    uint32_t evaluating; // expressions; no collection while it is not 0
    bool autoescape;
    size_t bytes, collect_at;
    struct jo *objects;
    struct jstr *out; // where output goes
    struct jscope *scope, *root;
    struct jo **held;
    size_t n_held, held_capacity;
    uint64_t random;        // state of the filter `random`
    struct jv filter_input; // what the innermost filter of a filter block takes
};

// The arguments of a call: positional ones, and named ones (NULL: none). For a row of a table also bound to its
// parameters: a[i] is J_ABSENT where not given.
enum { J_MAX_PARAMS = 8 };
struct jcall {
    struct jv *pos;
    size_t n_pos;
    struct jdict *kw;
    struct jv a[J_MAX_PARAMS];
};
typedef struct jv jfunction(struct jinja *j, struct jv self, struct jcall *call);

// A row of the tables of filters, tests, methods and globals.
struct jrow {
    const char *name;
    jfunction *function;
    const char *params; // names separated by spaces; a final "*" leaves further and named arguments to the function
    unsigned required;
};

static const struct jv j_error = {.type = J_ERROR}, j_none = {.type = J_NONE}, j_absent = {.type = J_ABSENT};
static inline struct jv j_bool(bool b) {
    return (struct jv){.type = J_BOOL, .b = b};
}
static inline struct jv j_int(int64_t i) {
    return (struct jv){.type = J_INT, .i = i};
}
static inline struct jv j_float(double f) {
    return (struct jv){.type = J_FLOAT, .f = f};
}

// value.c: memory, strings, lists, dictionaries

// Records a failure at the current line, unless one was recorded before. The result is j_error.
struct jv xn_jinja_fail(struct jinja *j, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct jv xn_jinja_no_memory(struct jinja *j);
// Counts work; fails and returns false past the limit.
bool xn_jinja_step(struct jinja *j, size_t n);
// Deeper by one, false (failed) past the limit; each true is answered by j->depth--.
bool xn_jinja_enter(struct jinja *j);

void *xn_jinja_new(struct jinja *j, enum jtype type, size_t size); // zeroed; NULL: failed
bool xn_jinja_hold(struct jinja *j, void *object);                 // answered by j->n_held--
void xn_jinja_collect(struct jinja *j);                            // where it is due
void xn_jinja_free_all(struct jinja *j);

// An object as a value; j_error when the evaluation has failed (object may be NULL then).
struct jv xn_jinja_value(struct jinja *j, void *object);

struct jv xn_jinja_string(struct jinja *j, const char *p, size_t n);       // a copy
struct jv xn_jinja_text(struct jinja *j, const char *p);                   // a copy of a C string
struct jv xn_jinja_borrow(struct jinja *j, const char *p, size_t n);       // p must live as long as j
struct jv xn_jinja_markup(struct jinja *j, struct jv string, bool markup); // the same text with this mark
// A string that is being built: put, then xn_jinja_value.
struct jstr *xn_jinja_build(struct jinja *j);
void xn_jinja_put(struct jinja *j, struct jstr *b, const char *p, size_t n);
void xn_jinja_puts(struct jinja *j, struct jstr *b, const char *p);
void xn_jinja_put_char(struct jinja *j, struct jstr *b, uint32_t c);
void xn_jinja_put_str(struct jinja *j, struct jstr *b, const struct jstr *s);
void xn_jinja_put_fill(struct jinja *j, struct jstr *b, uint32_t c, int64_t n); // nothing for n < 0
size_t xn_jinja_chars(struct jstr *s);                                          // its length in code points
size_t xn_jinja_offset(struct jstr *s, size_t chars); // the byte at which code point `chars` starts

const char *xn_jinja_cstring(struct jinja *j, struct jv string); // NUL-terminated, for messages

struct jlist *xn_jinja_list(struct jinja *j, enum jtype type);
void xn_jinja_push(struct jinja *j, struct jlist *list, struct jv v); // v may be J_ERROR: then nothing
struct jv xn_jinja_pair(struct jinja *j, struct jv a, struct jv b);   // a tuple

struct jdict *xn_jinja_dict(struct jinja *j, enum jtype type);
bool xn_jinja_hash(struct jinja *j, struct jv key, uint64_t *hash); // false: failed, it cannot be a key
uint64_t xn_jinja_hash_text(const char *p, size_t n);
bool xn_jinja_set(struct jinja *j, struct jdict *d, struct jv key, struct jv value);
bool xn_jinja_get(struct jinja *j, struct jdict *d, struct jv key, struct jv *value); // false: no such key, or failed
bool xn_jinja_get_text(struct jinja *j, struct jdict *d, const char *key, struct jv *value);
void xn_jinja_clear(struct jdict *d);
struct jscope *xn_jinja_scope(struct jinja *j, struct jscope *parent);

struct jv xn_jinja_undefined(struct jinja *j, struct jv name, const char *owner);
struct jv xn_jinja_undefined_hint(struct jinja *j, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct jv xn_jinja_undefined_error(struct jinja *j, struct jv v); // fails with the message of what is undefined

const char *xn_jinja_type_name(struct jv v); // as Python's type(v).__name__
static inline bool j_text_is(struct jv v, const char *text) {
    size_t n = __builtin_strlen(text);
    return v.type == J_STRING && v.s->n == n && __builtin_memcmp(v.s->p, text, n) == 0;
}

// operators.c: Python's semantics

bool xn_jinja_truth(struct jv v);
bool xn_jinja_equal(struct jinja *j, struct jv a, struct jv b);
// How a and b are ordered; failed where Python cannot compare them (`op` is for the message).
enum jorder { J_LESS, J_SAME, J_GREATER, J_UNORDERED /* NaN */ };
enum jorder xn_jinja_order(struct jinja *j, struct jv a, struct jv b, const char *op);
bool xn_jinja_contains(struct jinja *j, struct jv container, struct jv item);
struct jv xn_jinja_binary(struct jinja *j, int op, struct jv a, struct jv b); // op: enum jop of ast.h
struct jv xn_jinja_negate(struct jinja *j, struct jv a, bool negative);
struct jv xn_jinja_getattr(struct jinja *j, struct jv v, struct jv name);  // v.name
struct jv xn_jinja_getitem(struct jinja *j, struct jv v, struct jv index); // v[index]
struct jv xn_jinja_slice(struct jinja *j, struct jv v, struct jv start, struct jv stop, struct jv step);
// The items of what can be iterated over, as a list (the list itself where it is one: not to be changed). NULL: failed.
struct jlist *xn_jinja_iterate(struct jinja *j, struct jv v);
bool xn_jinja_is_iterable(struct jv v);
bool xn_jinja_length(struct jv v, int64_t *n);                                                  // false: it has none
bool xn_jinja_sort(struct jinja *j, struct jv *items, struct jv *keys, size_t n, bool reverse); // stable, by keys

// format.c, print.c, json.c: text from values

void xn_jinja_float_repr(double f, char out[40]);                        // shortest that reads back the same
void xn_jinja_put_repr(struct jinja *j, struct jstr *b, struct jv v);    // Python's repr
void xn_jinja_put_value(struct jinja *j, struct jstr *b, struct jv v);   // Python's str
void xn_jinja_put_escaped(struct jinja *j, struct jstr *b, struct jv v); // for HTML, unless it is markup
struct jv xn_jinja_str(struct jinja *j, struct jv v);                    // soft_str: a string stays what it is
struct jv xn_jinja_repr(struct jinja *j, struct jv v);
struct jv xn_jinja_escape(struct jinja *j, struct jv v);                          // markup
struct jv xn_jinja_percent(struct jinja *j, struct jv format, struct jv args);    // format % args
struct jv xn_jinja_format(struct jinja *j, struct jv format, struct jcall *call); // str.format
jfunction xn_jinja_tojson;                                                        // a row of the filters
struct jv xn_jinja_from_json(struct jinja *j, const json_t *json);
bool xn_jinja_parse_int(const char *p, size_t n, int base, int64_t *out); // as Python's int(text, base)
bool xn_jinja_parse_float(const char *p, size_t n, double *out);          // as Python's float(text)

// filters.c, tests.c, methods.c, globals.c: tables; NULL: no such row
const struct jrow *xn_jinja_filter(const char *name, size_t n);
const struct jrow *xn_jinja_test(const char *name, size_t n);
const struct jrow *xn_jinja_method(struct jv self, const char *name, size_t n);
bool xn_jinja_is_mutator(struct jv self, const char *name, size_t n); // a method that the sandbox forbids
const struct jrow *xn_jinja_global(const char *name, size_t n);
extern const struct jrow xn_jinja_text_filters[]; // ends with a row without a name
const struct jrow *xn_jinja_find(const struct jrow *rows, const char *name, size_t n);

// eval.c
struct jv xn_jinja_eval(struct jinja *j, const struct jnode *n);
struct jv xn_jinja_call(struct jinja *j, struct jv callee, struct jcall *call);
struct jv xn_jinja_call_row(struct jinja *j, const struct jrow *row, struct jv self, struct jcall *call);
struct jv xn_jinja_lookup(struct jinja *j, struct jv name);
struct jv xn_jinja_eval_call(struct jinja *j, const struct jnode *n,
                             struct jv caller); // caller: of a call block, or J_ABSENT
// loop.c
struct jv xn_jinja_loop_over(struct jinja *j, const struct jnode *n, struct jv iterable,
                             uint32_t depth0);                                     // J_ERROR or J_NONE
struct jv xn_jinja_loop_attr(struct jinja *j, struct jloop *loop, struct jv name); // J_ABSENT: it has none of this name
// statements.c
bool xn_jinja_assign(struct jinja *j, const struct jnode *target, struct jv v);
enum jflow { J_NEXT, J_BREAK, J_CONTINUE };
enum jflow xn_jinja_run(struct jinja *j, const struct jnode *first);   // look at j->failed after it
struct jv xn_jinja_capture(struct jinja *j, const struct jnode *body); // its output as a string
