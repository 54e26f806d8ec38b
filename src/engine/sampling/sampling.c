// The settings: defaults, ranges, and the order of the samplers as text.
#include "engine/sampling/sampling.h"

#include <math.h>
#include <string.h>

struct xn_sampling xn_sampling_default(void) {
    return (struct xn_sampling){
        .temperature = 0.7f,
        .dynatemp_exponent = 1,
        .top_k = 40,
        .top_p = 0.95f,
        .min_p = 0.05f,
        .typ_p = 1,
        .top_n_sigma = -1,
        .xtc_threshold = 0.1f,
        .repeat_penalty = 1,
        .repeat_last = 64,
        .dry_base = 1.75f,
        .dry_allowed_length = 2,
        .dry_penalty_last = -1,
        .mirostat_tau = 5,
        .mirostat_eta = 0.1f,
    };
}

static const char *const names[][2] = {
#define X(name, text, other) {text, other},
    XN_SAMPLER_LIST(X)
#undef X
};

// Equal but for '-' where the name has '_'.
static bool is_named(const char *word, size_t n, const char *name) {
    if (n == 0 || strlen(name) != n) return false;
    for (size_t i = 0; i < n; i++)
        if ((word[i] == '-' ? '_' : word[i]) != name[i]) return false;
    return true;
}

int xn_sampler_order_parse(const char *text, struct xn_sampler_order *order, struct xn_error *err) {
    struct xn_sampler_order read = {.given = true};
    const char *at = text;
    while (*at) {
        size_t n = strcspn(at, ";");
        int kind = 0;
        while (kind < XN_SAMPLER_KINDS && !is_named(at, n, names[kind][0]) && !is_named(at, n, names[kind][1]))
            kind++;
        if (kind == XN_SAMPLER_KINDS)
            return xn_fail(err, XN_ERR_ARGUMENT,
                           "samplers: \"%.*s\" is none of: penalties, dry, top_n_sigma, top_k, typ_p, top_p, min_p, "
                           "xtc, temperature (with ';' between them)",
                           n < 64 ? (int)n : 64, at);
        if (read.n == XN_SAMPLERS_MOST)
            return xn_fail(err, XN_ERR_ARGUMENT, "samplers: more than %d", XN_SAMPLERS_MOST);
        read.kinds[read.n++] = (uint8_t)kind;
        at += n;
        if (*at == ';') at++;
    }
    *order = read;
    return XN_OK;
}

static int check_bias(const struct xn_sampling *o, int32_t vocab, struct xn_error *err) {
    for (size_t i = 0; i < o->n_logit_bias; i++) {
        const struct xn_logit_bias *b = &o->logit_bias[i];
        if (b->id < 0 || b->id >= vocab)
            return xn_fail(err, XN_ERR_ARGUMENT, "logit_bias: token %d, expected 0 to %d", b->id, vocab - 1);
        if (isnan(b->bias) || b->bias == INFINITY)
            return xn_fail(err, XN_ERR_ARGUMENT, "logit_bias of token %d: %g, expected a finite number or -inf", b->id,
                           (double)b->bias);
    }
    return XN_OK;
}

int xn_sampling_check(const struct xn_sampling *o, int32_t vocab, struct xn_error *err) {
    const struct {
        const char *name;
        float value, least, most;
    } numbers[] = {
        {"temperature", o->temperature, -INFINITY, 1e6f},
        {"dynatemp_range", o->dynatemp_range, -INFINITY, 1e6f},
        {"dynatemp_exponent", o->dynatemp_exponent, 0, 1e6f},
        {"top_p", o->top_p, -INFINITY, INFINITY},
        {"min_p", o->min_p, -INFINITY, INFINITY},
        {"typ_p", o->typ_p, -INFINITY, INFINITY},
        {"top_n_sigma", o->top_n_sigma, -INFINITY, 1e6f},
        {"xtc_probability", o->xtc_probability, -INFINITY, INFINITY},
        {"xtc_threshold", o->xtc_threshold, 0, INFINITY},
        {"repeat_penalty", o->repeat_penalty, 1e-6f, 1e6f},
        {"frequency_penalty", o->frequency_penalty, -1e6f, 1e6f},
        {"presence_penalty", o->presence_penalty, -1e6f, 1e6f},
        {"dry_multiplier", o->dry_multiplier, 0, 1e6f},
        {"dry_base", o->dry_base, 0, 1e6f},
        {"mirostat_tau", o->mirostat_tau, 0, 1e6f},
        {"mirostat_eta", o->mirostat_eta, 0, 1e6f},
    };
    if (vocab <= 0) return xn_fail(err, XN_ERR_ARGUMENT, "sampler: a vocabulary of %d", vocab);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!(numbers[i].value >= numbers[i].least && numbers[i].value <= numbers[i].most))
            return xn_fail(err, XN_ERR_ARGUMENT, "%s: %g, expected %g to %g", numbers[i].name, (double)numbers[i].value,
                           (double)numbers[i].least, (double)numbers[i].most);
    if (o->mirostat < 0 || o->mirostat > 2)
        return xn_fail(err, XN_ERR_ARGUMENT, "mirostat: %d, expected 0, 1 or 2", o->mirostat);
    if (o->dry_allowed_length < 0)
        return xn_fail(err, XN_ERR_ARGUMENT, "dry_allowed_length: %d, expected 0 or more", o->dry_allowed_length);
    if (o->order.n > XN_SAMPLERS_MOST)
        return xn_fail(err, XN_ERR_ARGUMENT, "samplers: %d of them, expected at most %d", o->order.n, XN_SAMPLERS_MOST);
    for (int i = 0; i < o->order.n; i++)
        if (o->order.kinds[i] >= XN_SAMPLER_KINDS)
            return xn_fail(err, XN_ERR_ARGUMENT, "samplers: kind %d is unknown", o->order.kinds[i]);
    return check_bias(o, vocab, err);
}
