// Ropes that follow the length of a sequence: which length they are set for, and what is computed anew when that
// changes. All of this is nothing to a model that has none of them.
#include "engine/context_internal.h"

#include "model/rope.h"

int xn_sequence_expect(struct xn_context *c, uint32_t id, uint32_t length, bool exact, struct xn_error *err) {
    struct xn_sequence *s = xn_sequence_find(c, id);
    if (!s) return xn_no_sequence(c, id, err);
    s->expected = length;
    s->exact = exact;
    return XN_OK;
}

// The length that ropes are to be set for in a step that ends at `length`.
static uint32_t wanted_length(const struct xn_context *c, const struct xn_sequence *s, uint32_t length) {
    const struct xn_plan *plan = &c->model->plan;
    bool expected = s->expected >= length;
    uint32_t end = expected ? s->expected : length, ahead = end;
    if (expected && s->exact) return end;
    for (uint32_t i = 0; i < plan->n_following_ropes; i++) {
        uint32_t a = xn_rope_ahead(plan->following_ropes[i], end);
        if (a > ahead) ahead = a;
    }
    return ahead;
}

static bool same_sets(const struct xn_plan *plan, uint32_t a, uint32_t b) {
    for (uint32_t i = 0; i < plan->n_following_ropes; i++)
        if (xn_rope_set(plan->following_ropes[i], a) != xn_rope_set(plan->following_ropes[i], b)) return false;
    return true;
}

bool xn_sequence_ropes_fit(const struct xn_context *c, uint32_t id, uint32_t length) {
    const struct xn_sequence *s = xn_sequence_find(c, id), expected = {.expected = length};
    return s && same_sets(&c->model->plan, s->rope_length, wanted_length(c, &expected, length));
}

int xn_sequence_set_ropes(struct xn_context *c, uint32_t id, uint32_t length, struct xn_error *err) {
    struct xn_sequence *s = &c->sequences[id];
    if (c->model->plan.n_following_ropes == 0) return XN_OK;
    uint32_t before = s->rope_length, wanted = wanted_length(c, s, length);
    s->rope_length = wanted;
    if (s->length == 0 || same_sets(&c->model->plan, before, wanted)) return XN_OK;
    int status = xn_sequence_rewrite(c, id, err);
    if (status != XN_OK && !s->stale) s->rope_length = before; // nothing was done
    return status;
}
