// Statements.
#include "text/jinja/ast.h"

static bool unpack(struct jinja *j, const struct jnode *target, struct jv v) {
    size_t expected = 0, i = 0;
    for (const struct jnode *t = target->a; t; t = t->next)
        expected++;
    if (!xn_jinja_is_iterable(v)) {
        xn_jinja_fail(j, "cannot unpack non-iterable %s object", xn_jinja_type_name(v));
        return false;
    }
    struct jlist *items = xn_jinja_iterate(j, v);
    if (!items) return false;
    if (items->n < expected) {
        xn_jinja_fail(j, "not enough values to unpack (expected %zu, got %zu)", expected, items->n);
        return false;
    }
    if (items->n > expected) {
        xn_jinja_fail(j, "too many values to unpack (expected %zu)", expected);
        return false;
    }
    for (const struct jnode *t = target->a; t; t = t->next)
        if (!xn_jinja_assign(j, t, items->v[i++])) return false;
    return true;
}

bool xn_jinja_assign(struct jinja *j, const struct jnode *target, struct jv v) {
    if (j->failed || v.type == J_ERROR) return false;
    if (target->kind == JN_NAME) return xn_jinja_set(j, &j->scope->vars, target->value, v);
    if (target->kind != JN_NSREF) return unpack(j, target, v);
    struct jv space = xn_jinja_lookup(j, target->value);
    if (j->failed) return false;
    if (space.type != J_NAMESPACE) {
        xn_jinja_fail(j, "cannot assign attribute on non-namespace object");
        return false;
    }
    return xn_jinja_set(j, space.d, target->b->value, v);
}

struct jv xn_jinja_capture(struct jinja *j, const struct jnode *body) {
    struct jstr *outside = j->out, *out = xn_jinja_build(j);
    if (!out || !xn_jinja_hold(j, outside)) return j_error;
    j->out = out;
    xn_jinja_run(j, body);
    j->out = outside;
    j->n_held--;
    out->markup = j->autoescape;
    return xn_jinja_value(j, out);
}

// Runs a body with variables of its own, seen over those of `parent`.
static enum jflow run_scoped(struct jinja *j, const struct jnode *body, struct jscope *parent) {
    struct jscope *outside = j->scope;
    if (!xn_jinja_hold(j, outside)) return J_NEXT;
    j->scope = xn_jinja_scope(j, parent);
    enum jflow flow = j->scope ? xn_jinja_run(j, body) : J_NEXT;
    j->scope = outside;
    j->n_held--;
    return flow;
}

static struct jv capture_scoped(struct jinja *j, const struct jnode *body) {
    struct jscope *outside = j->scope;
    j->scope = xn_jinja_scope(j, outside);
    struct jv v = j->scope ? xn_jinja_capture(j, body) : j_error;
    j->scope = outside;
    return v;
}

static void print(struct jinja *j, struct jv v) {
    if (j->failed) return;
    if (j->autoescape)
        xn_jinja_put_escaped(j, j->out, v);
    else
        xn_jinja_put_value(j, j->out, v);
}

static enum jflow run_if(struct jinja *j, const struct jnode *n) {
    while (n && !j->failed) {
        struct jv test = xn_jinja_eval(j, n->a);
        if (j->failed) break;
        if (xn_jinja_truth(test)) return xn_jinja_run(j, n->b);
        if (!n->c) break;
        if (n->c->kind != JN_IF || !n->c->flag) return xn_jinja_run(j, n->c);
        n = n->c;
    }
    return J_NEXT;
}

static void run_set_block(struct jinja *j, const struct jnode *n) {
    struct jv v = capture_scoped(j, n->body);
    if (n->b && !j->failed) {
        struct jv outside = j->filter_input;
        j->filter_input = v;
        v = xn_jinja_eval(j, n->b);
        j->filter_input = outside;
    }
    xn_jinja_assign(j, n->a, v);
}

static void run_filter_block(struct jinja *j, const struct jnode *n) {
    struct jv v = capture_scoped(j, n->body), outside = j->filter_input;
    if (j->failed) return;
    j->filter_input = v;
    v = xn_jinja_eval(j, n->a);
    j->filter_input = outside;
    print(j, v);
}

static struct jv new_macro(struct jinja *j, const struct jnode *n) {
    struct jmacro *m = xn_jinja_new(j, J_MACRO, sizeof *m);
    if (m) {
        m->node = n;
        m->scope = j->scope;
    }
    return xn_jinja_value(j, m);
}

static void run_call_block(struct jinja *j, const struct jnode *n) {
    j->evaluating++;
    struct jv caller = new_macro(j, n->b);
    struct jv v = j->failed ? j_error : xn_jinja_eval_call(j, n->a, caller);
    j->evaluating--;
    print(j, v);
}

static enum jflow run_with(struct jinja *j, const struct jnode *n) {
    struct jscope *outside = j->scope, *inside = xn_jinja_scope(j, outside);
    j->evaluating++;
    for (const struct jnode *t = n->a, *v = n->b; t && !j->failed; t = t->next, v = v->next) {
        struct jv value = xn_jinja_eval(j, v); // outside: a value does not see the targets before it
        j->scope = inside;
        xn_jinja_assign(j, t, value);
        j->scope = outside;
    }
    j->evaluating--;
    if (j->failed) return J_NEXT;
    j->scope = inside;
    enum jflow flow = xn_jinja_run(j, n->body);
    j->scope = outside;
    return flow;
}

static enum jflow run_autoescape(struct jinja *j, const struct jnode *n) {
    struct jv on = xn_jinja_eval(j, n->a);
    if (j->failed) return J_NEXT;
    bool before = j->autoescape;
    j->autoescape = xn_jinja_truth(on);
    enum jflow flow = run_scoped(j, n->body, j->scope);
    j->autoescape = before;
    return flow;
}

static enum jflow run_one(struct jinja *j, const struct jnode *n) {
    switch ((enum jkind)n->kind) {
    case JN_TEXT:
        xn_jinja_put_str(j, j->out, n->value.s);
        return J_NEXT;
    case JN_PRINT:
        for (const struct jnode *i = n->a; i && !j->failed; i = i->next)
            print(j, xn_jinja_eval(j, i));
        return J_NEXT;
    case JN_IF:
        return run_if(j, n);
    case JN_FOR: {
        j->evaluating++;
        struct jv iterable = xn_jinja_eval(j, n->b);
        j->evaluating--;
        if (!j->failed) xn_jinja_loop_over(j, n, iterable, 0);
        return J_NEXT;
    }
    case JN_SET:
        xn_jinja_assign(j, n->a, xn_jinja_eval(j, n->b));
        return J_NEXT;
    case JN_SETBLOCK:
        run_set_block(j, n);
        return J_NEXT;
    case JN_MACRO: {
        struct jv m = new_macro(j, n);
        if (!j->failed) xn_jinja_set(j, &j->scope->vars, n->value, m);
        return J_NEXT;
    }
    case JN_CALLBLOCK:
        run_call_block(j, n);
        return J_NEXT;
    case JN_FILTERBLOCK:
        run_filter_block(j, n);
        return J_NEXT;
    case JN_WITH:
        return run_with(j, n);
    case JN_SCOPE:
        return run_scoped(j, n->body, j->scope);
    case JN_BLOCK:
        return run_scoped(j, n->body, n->flag ? j->scope : j->root);
    case JN_AUTOESCAPE:
        return run_autoescape(j, n);
    case JN_DO:
        xn_jinja_eval(j, n->a);
        return J_NEXT;
    case JN_BREAK:
        return J_BREAK;
    case JN_CONTINUE:
        return J_CONTINUE;
    default:
        xn_jinja_fail(j, "this is no statement");
        return J_NEXT;
    }
}

enum jflow xn_jinja_run(struct jinja *j, const struct jnode *n) {
    enum jflow flow = J_NEXT;
    if (j->failed || !xn_jinja_enter(j)) return flow;
    for (; n && flow == J_NEXT && !j->failed; n = n->next) {
        if (!xn_jinja_step(j, 1)) break;
        j->line = n->line;
        xn_jinja_collect(j);
        flow = run_one(j, n);
    }
    j->depth--;
    return flow;
}
