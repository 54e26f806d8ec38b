// Expressions and calls.
#include "text/jinja/ast.h"

#include <string.h>

struct jv xn_jinja_lookup(struct jinja *j, struct jv name) {
    struct jv v;
    for (struct jscope *s = j->scope; s; s = s->parent) {
        if (xn_jinja_get(j, &s->vars, name, &v)) return v;
        if (!xn_jinja_step(j, 1)) return j_error;
    }
    const struct jrow *row = xn_jinja_global(name.s->p, name.s->n);
    if (row) return (struct jv){.type = J_FUNCTION, .row = row};
    return xn_jinja_undefined(j, name, NULL);
}

// Arguments

static bool put_kw(struct jinja *j, struct jcall *call, struct jv name, struct jv v) {
    if (!call->kw) call->kw = xn_jinja_dict(j, J_DICT);
    struct jv old;
    if (call->kw && xn_jinja_get(j, call->kw, name, &old)) {
        xn_jinja_fail(j, "got multiple values for keyword argument '%s'", xn_jinja_cstring(j, name));
        return false;
    }
    return xn_jinja_set(j, call->kw, name, v);
}

static bool eval_args(struct jinja *j, const struct jargs *args, struct jcall *call) {
    *call = (struct jcall){0};
    if (!args) return true;
    struct jlist *pos = xn_jinja_list(j, J_LIST);
    for (const struct jnode *n = args->pos; n && !j->failed; n = n->next)
        xn_jinja_push(j, pos, xn_jinja_eval(j, n));
    for (const struct jnode *n = args->kw, *name = args->names; n && !j->failed; n = n->next, name = name->next) {
        struct jv v = xn_jinja_eval(j, n);
        if (j->failed || !put_kw(j, call, name->value, v)) return false;
    }
    if (args->star && !j->failed) {
        struct jlist *more = xn_jinja_iterate(j, xn_jinja_eval(j, args->star));
        for (size_t i = 0; more && i < more->n; i++)
            xn_jinja_push(j, pos, more->v[i]);
    }
    if (args->star_star && !j->failed) {
        struct jv more = xn_jinja_eval(j, args->star_star);
        if (j->failed) return false;
        if (more.type != J_DICT) {
            xn_jinja_fail(j, "argument after ** must be a mapping, not %s", xn_jinja_type_name(more));
            return false;
        }
        for (size_t i = 0; i < more.d->n; i++) {
            if (more.d->v[i].key.type != J_STRING) {
                xn_jinja_fail(j, "keywords must be strings");
                return false;
            }
            if (!put_kw(j, call, more.d->v[i].key, more.d->v[i].value)) return false;
        }
    }
    if (j->failed) return false;
    call->pos = pos->v;
    call->n_pos = pos->n;
    return true;
}

// Puts positional and named arguments where the row's parameters are.
static bool bind(struct jinja *j, const struct jrow *row, struct jcall *call) {
    const char *names[J_MAX_PARAMS] = {0};
    size_t length[J_MAX_PARAMS] = {0}, n = 0;
    bool star = false;
    for (const char *p = row->params; *p;) {
        size_t size = strcspn(p, " ");
        if (*p == '*') {
            star = true;
        } else {
            names[n] = p;
            length[n++] = size;
        }
        p += size + (p[size] == ' ');
    }
    for (size_t i = 0; i < J_MAX_PARAMS; i++)
        call->a[i] = i < n && i < call->n_pos ? call->pos[i] : j_absent;
    if (call->n_pos > n && !star) {
        xn_jinja_fail(j, "%s() takes at most %zu arguments (%zu given)", row->name, n, call->n_pos);
        return false;
    }
    for (size_t k = 0; call->kw && !star && k < call->kw->n; k++) {
        const struct jstr *key = call->kw->v[k].key.s;
        size_t i = 0;
        while (i < n && !(key->n == length[i] && memcmp(key->p, names[i], key->n) == 0))
            i++;
        if (i == n || call->a[i].type != J_ABSENT) {
            xn_jinja_fail(j,
                          i == n ? "%s() got an unexpected keyword argument '%s'"
                                 : "%s() got multiple values for argument '%s'",
                          row->name, xn_jinja_cstring(j, call->kw->v[k].key));
            return false;
        }
        call->a[i] = call->kw->v[k].value;
    }
    for (size_t i = 0; i < row->required; i++)
        if (call->a[i].type == J_ABSENT) {
            xn_jinja_fail(j, "%s() misses its argument '%.*s'", row->name, (int)length[i], names[i]);
            return false;
        }
    return true;
}

struct jv xn_jinja_call_row(struct jinja *j, const struct jrow *row, struct jv self, struct jcall *call) {
    if (!xn_jinja_step(j, 1) || !xn_jinja_enter(j)) return j_error;
    struct jv v = bind(j, row, call) ? row->function(j, self, call) : j_error;
    j->depth--;
    return j->failed ? j_error : v;
}

// Macros

static struct jv find_kw(struct jinja *j, struct jcall *call, struct jv name) {
    struct jv v;
    return call->kw && xn_jinja_get(j, call->kw, name, &v) ? v : j_absent;
}

static bool is_param(const struct jnode *m, const struct jstr *name) {
    for (const struct jnode *p = m->a; p; p = p->next)
        if (p->value.s->n == name->n && memcmp(p->value.s->p, name->p, name->n) == 0) return true;
    return false;
}

static bool set_text(struct jinja *j, struct jscope *scope, const char *name, struct jv v) {
    struct jv key = xn_jinja_borrow(j, name, strlen(name));
    return key.type == J_STRING && xn_jinja_set(j, &scope->vars, key, v);
}

// Binds the arguments of a call in the macro's scope, as jinja2.runtime.Macro does.
static bool bind_macro(struct jinja *j, const struct jnode *m, struct jscope *scope, struct jcall *call) {
    size_t n_params = 0, n_defaults = 0, i = 0;
    for (const struct jnode *p = m->a; p; p = p->next)
        n_params++;
    for (const struct jnode *d = m->b; d; d = d->next)
        n_defaults++;
    const struct jnode *d = m->b;
    for (const struct jnode *p = m->a; p && !j->failed; p = p->next, i++) {
        struct jv v = i < call->n_pos ? call->pos[i] : find_kw(j, call, p->value);
        const struct jnode *fallback = i >= n_params - n_defaults ? d : NULL;
        if (fallback) d = d->next;
        if (v.type == J_ABSENT && fallback) v = xn_jinja_eval(j, fallback);
        if (v.type == J_ABSENT)
            v = xn_jinja_undefined_hint(j, "parameter '%.200s' was not provided", xn_jinja_cstring(j, p->value));
        if (!xn_jinja_set(j, &scope->vars, p->value, v)) return false;
    }
    if (j->failed) return false;
    struct jstr caller_name = {.o = {.type = J_STRING}, .p = "caller", .n = 6};
    if ((m->uses & JM_CALLER) && !is_param(m, &caller_name)) {
        struct jv caller = find_kw(j, call, (struct jv){.type = J_STRING, .s = &caller_name});
        if (caller.type == J_ABSENT || caller.type == J_NONE) caller = xn_jinja_undefined_hint(j, "No caller defined");
        if (!set_text(j, scope, "caller", caller)) return false;
    }
    struct jdict *rest = xn_jinja_dict(j, J_DICT);
    for (size_t k = 0; call->kw && k < call->kw->n && !j->failed; k++) {
        struct jentry *e = &call->kw->v[k];
        bool positional = false;
        size_t at = 0;
        for (const struct jnode *p = m->a; p && at < call->n_pos; p = p->next, at++)
            positional |= xn_jinja_equal(j, p->value, e->key);
        bool used = (is_param(m, e->key.s) && !positional) ||
                    ((m->uses & JM_CALLER) && j_text_is(e->key, "caller") && !is_param(m, e->key.s));
        if (!used) xn_jinja_set(j, rest, e->key, e->value);
    }
    if (j->failed) return false;
    if (m->uses & JM_KWARGS) {
        if (!set_text(j, scope, "kwargs", xn_jinja_value(j, rest))) return false;
    } else if (rest->n) {
        xn_jinja_fail(j, "macro '%s' takes no keyword argument '%s'", xn_jinja_cstring(j, m->value),
                      xn_jinja_cstring(j, rest->v[0].key));
        return false;
    }
    if (m->uses & JM_VARARGS) {
        struct jlist *more = xn_jinja_list(j, J_TUPLE);
        for (size_t k = n_params; k < call->n_pos; k++)
            xn_jinja_push(j, more, call->pos[k]);
        return set_text(j, scope, "varargs", xn_jinja_value(j, more));
    }
    if (call->n_pos > n_params) {
        xn_jinja_fail(j, "macro takes not more than %zu argument(s)", n_params);
        return false;
    }
    return true;
}

static struct jv call_macro(struct jinja *j, const struct jmacro *m, struct jcall *call) {
    struct jscope *scope = xn_jinja_scope(j, m->scope), *outside = j->scope;
    if (!scope) return j_error;
    j->scope = scope;
    int line = j->line;
    struct jv v = bind_macro(j, m->node, scope, call) ? xn_jinja_capture(j, m->node->body) : j_error;
    j->scope = outside;
    if (!j->failed) j->line = line;
    return v;
}

struct jv xn_jinja_call(struct jinja *j, struct jv callee, struct jcall *call) {
    if (j->failed || !xn_jinja_step(j, 1) || !xn_jinja_enter(j)) return j_error;
    struct jv v = j_error;
    switch (callee.type) {
    case J_FUNCTION:
        v = xn_jinja_call_row(j, callee.row, j_absent, call);
        break;
    case J_METHOD:
        v = xn_jinja_call_row(j, callee.method->row, callee.method->self, call);
        break;
    case J_MACRO:
        v = call_macro(j, callee.macro, call);
        break;
    case J_LOOP: {
        if (!callee.loop->node->flag) {
            xn_jinja_fail(j, "The loop must have the 'recursive' marker to be called recursively.");
            break;
        }
        if (call->n_pos != 1 || call->kw) {
            xn_jinja_fail(j, "loop() takes one argument");
            break;
        }
        struct jstr *outside = j->out, *out = xn_jinja_build(j);
        struct jscope *scope = j->scope;
        if (!out) break;
        j->out = out;
        j->scope = callee.loop->outer;
        xn_jinja_loop_over(j, callee.loop->node, call->pos[0], callee.loop->depth0 + 1);
        j->out = outside;
        j->scope = scope;
        out->markup = j->autoescape;
        v = xn_jinja_value(j, out);
        break;
    }
    case J_JOINER:
        v = callee.cycler->at++ ? callee.cycler->items->v[0] : xn_jinja_borrow(j, "", 0);
        break;
    case J_UNDEFINED:
        xn_jinja_undefined_error(j, callee);
        break;
    default:
        xn_jinja_fail(j, "'%s' object is not callable", xn_jinja_type_name(callee));
    }
    j->depth--;
    return j->failed ? j_error : v;
}

struct jv xn_jinja_eval_call(struct jinja *j, const struct jnode *n, struct jv caller) {
    struct jv callee = xn_jinja_eval(j, n->a);
    struct jcall call;
    if (j->failed || !eval_args(j, n->args, &call)) return j_error;
    if (caller.type != J_ABSENT) {
        struct jv name = xn_jinja_borrow(j, "caller", 6);
        if (j->failed || !put_kw(j, &call, name, caller)) return j_error;
    }
    j->line = n->line;
    return xn_jinja_call(j, callee, &call);
}

static struct jv eval_filter(struct jinja *j, const struct jnode *n) {
    struct jv self = n->a ? xn_jinja_eval(j, n->a) : j->filter_input;
    struct jcall call;
    if (j->failed || !eval_args(j, n->args, &call)) return j_error;
    j->line = n->line;
    const struct jrow *row = xn_jinja_filter(n->value.s->p, n->value.s->n);
    if (!row) return xn_jinja_fail(j, "No filter named '%.*s'.", (int)(n->value.s->n & 0xff), n->value.s->p);
    return xn_jinja_call_row(j, row, self, &call);
}

static struct jv eval_test(struct jinja *j, const struct jnode *n) {
    struct jv self = xn_jinja_eval(j, n->a);
    struct jcall call;
    if (j->failed || !eval_args(j, n->args, &call)) return j_error;
    j->line = n->line;
    const struct jrow *row = xn_jinja_test(n->value.s->p, n->value.s->n);
    if (!row) return xn_jinja_fail(j, "No test named '%.*s'.", (int)(n->value.s->n & 0xff), n->value.s->p);
    return xn_jinja_call_row(j, row, self, &call);
}

// Operators

static struct jv eval_items(struct jinja *j, const struct jnode *first, enum jtype type) {
    struct jlist *list = xn_jinja_list(j, type);
    for (; first && !j->failed; first = first->next) {
        struct jv v = j_absent;
        if (first->kind == JN_SLICE) return xn_jinja_fail(j, "a slice cannot be part of a tuple of indices");
        v = xn_jinja_eval(j, first);
        xn_jinja_push(j, list, v);
    }
    return xn_jinja_value(j, list);
}

static struct jv eval_dict(struct jinja *j, const struct jnode *n) {
    struct jdict *d = xn_jinja_dict(j, J_DICT);
    for (const struct jnode *i = n->a; i && !j->failed; i = i->next->next) {
        struct jv key = xn_jinja_eval(j, i);
        if (!j->failed) xn_jinja_set(j, d, key, xn_jinja_eval(j, i->next));
    }
    return xn_jinja_value(j, d);
}

static struct jv eval_concat(struct jinja *j, const struct jnode *n) {
    struct jv list = eval_items(j, n->a, J_LIST);
    struct jstr *b = xn_jinja_build(j);
    if (j->failed) return j_error;
    for (size_t i = 0; j->autoescape && i < list.l->n; i++)
        b->markup |= list.l->v[i].type == J_STRING && list.l->v[i].s->markup;
    for (size_t i = 0; i < list.l->n && !j->failed; i++)
        if (b->markup)
            xn_jinja_put_escaped(j, b, list.l->v[i]);
        else
            xn_jinja_put_value(j, b, list.l->v[i]);
    return xn_jinja_value(j, b);
}

static bool compare(struct jinja *j, int op, struct jv a, struct jv b) {
    switch (op) {
    case JO_EQ:
        return xn_jinja_equal(j, a, b);
    case JO_NE:
        return !xn_jinja_equal(j, a, b);
    case JO_LT:
        return xn_jinja_order(j, a, b, "<") == J_LESS;
    case JO_LE: {
        enum jorder o = xn_jinja_order(j, a, b, "<=");
        return o == J_LESS || o == J_SAME;
    }
    case JO_GT:
        return xn_jinja_order(j, a, b, ">") == J_GREATER;
    case JO_GE: {
        enum jorder o = xn_jinja_order(j, a, b, ">=");
        return o == J_GREATER || o == J_SAME;
    }
    case JO_IN:
        return xn_jinja_contains(j, b, a);
    default:
        return !xn_jinja_contains(j, b, a);
    }
}

static struct jv eval_compare(struct jinja *j, const struct jnode *n) {
    struct jv left = xn_jinja_eval(j, n->a);
    bool holds = true;
    for (const struct jnode *o = n->b; o && holds && !j->failed; o = o->next) {
        struct jv right = xn_jinja_eval(j, o->a);
        if (j->failed) break;
        holds = compare(j, o->op, left, right);
        left = right;
    }
    return j->failed ? j_error : j_bool(holds);
}

static struct jv eval_item(struct jinja *j, const struct jnode *n) {
    struct jv v = xn_jinja_eval(j, n->a);
    if (j->failed) return j_error;
    if (n->b->kind != JN_SLICE) {
        struct jv index = xn_jinja_eval(j, n->b);
        return j->failed ? j_error : xn_jinja_getitem(j, v, index);
    }
    const struct jnode *parts[] = {n->b->a, n->b->b, n->b->c};
    struct jv at[3];
    for (int i = 0; i < 3; i++) {
        at[i] = parts[i] ? xn_jinja_eval(j, parts[i]) : j_none;
        if (j->failed) return j_error;
    }
    return xn_jinja_slice(j, v, at[0], at[1], at[2]);
}

static struct jv eval_condition(struct jinja *j, const struct jnode *n) {
    struct jv test = xn_jinja_eval(j, n->a);
    if (j->failed) return j_error;
    if (xn_jinja_truth(test)) return xn_jinja_eval(j, n->b);
    if (n->c) return xn_jinja_eval(j, n->c);
    return xn_jinja_undefined_hint(
        j, "the inline if-expression on line %d evaluated to false and no else section was defined.", n->line);
}

static struct jv eval_composite(struct jinja *j, const struct jnode *n) {
    struct jv a, b;
    switch ((enum jkind)n->kind) {
    case JN_TUPLE:
        return eval_items(j, n->a, J_TUPLE);
    case JN_LIST:
        return eval_items(j, n->a, J_LIST);
    case JN_DICT:
        return eval_dict(j, n);
    case JN_COND:
        return eval_condition(j, n);
    case JN_OR:
        a = xn_jinja_eval(j, n->a);
        return j->failed || xn_jinja_truth(a) ? a : xn_jinja_eval(j, n->b);
    case JN_AND:
        a = xn_jinja_eval(j, n->a);
        return j->failed || !xn_jinja_truth(a) ? a : xn_jinja_eval(j, n->b);
    case JN_NOT:
        a = xn_jinja_eval(j, n->a);
        return j->failed ? a : j_bool(!xn_jinja_truth(a));
    case JN_NEGATE:
    case JN_PLUS:
        a = xn_jinja_eval(j, n->a);
        return j->failed ? a : xn_jinja_negate(j, a, n->kind == JN_NEGATE);
    case JN_BINARY:
        a = xn_jinja_eval(j, n->a);
        if (j->failed) return a;
        b = xn_jinja_eval(j, n->b);
        j->line = n->line;
        return j->failed ? b : xn_jinja_binary(j, n->op, a, b);
    case JN_CONCAT:
        return eval_concat(j, n);
    case JN_COMPARE:
        return eval_compare(j, n);
    case JN_ATTR:
        a = xn_jinja_eval(j, n->a);
        j->line = n->line;
        return j->failed ? a : xn_jinja_getattr(j, a, n->value);
    case JN_ITEM:
        return eval_item(j, n);
    case JN_CALL:
        return xn_jinja_eval_call(j, n, j_absent);
    case JN_FILTER:
        return eval_filter(j, n);
    case JN_TEST:
        return eval_test(j, n);
    default:
        return xn_jinja_fail(j, "this is no expression");
    }
}

struct jv xn_jinja_eval(struct jinja *j, const struct jnode *n) {
    if (!xn_jinja_step(j, 1)) return j_error;
    if (n->kind == JN_CONST) return n->value;
    j->line = n->line;
    j->evaluating++;
    struct jv v = j_error;
    if (n->kind == JN_NAME) {
        v = xn_jinja_lookup(j, n->value);
    } else if (xn_jinja_enter(j)) {
        v = eval_composite(j, n);
        j->depth--;
    }
    j->evaluating--;
    return j->failed ? j_error : v;
}
