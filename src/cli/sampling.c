#include "cli/sampling.h"

#include "base/memory.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

// A default as a person writes it: 0.7f is 0.699999988 as a double.
static double decimal(float x) {
    return round((double)x * 1e6) / 1e6;
}

struct xn_sampling_options xn_sampling_options_default(void) {
    struct xn_sampling s = xn_sampling_default();
    return (struct xn_sampling_options){
        .temperature = decimal(s.temperature),
        .dynatemp_range = decimal(s.dynatemp_range),
        .dynatemp_exponent = decimal(s.dynatemp_exponent),
        .top_p = decimal(s.top_p),
        .min_p = decimal(s.min_p),
        .typ_p = decimal(s.typ_p),
        .top_n_sigma = decimal(s.top_n_sigma),
        .xtc_probability = decimal(s.xtc_probability),
        .xtc_threshold = decimal(s.xtc_threshold),
        .repeat_penalty = decimal(s.repeat_penalty),
        .frequency_penalty = decimal(s.frequency_penalty),
        .presence_penalty = decimal(s.presence_penalty),
        .dry_multiplier = decimal(s.dry_multiplier),
        .dry_base = decimal(s.dry_base),
        .mirostat_tau = decimal(s.mirostat_tau),
        .mirostat_eta = decimal(s.mirostat_eta),
        .top_k = s.top_k,
        .repeat_last = s.repeat_last,
        .dry_allowed_length = s.dry_allowed_length,
        .dry_penalty_last = s.dry_penalty_last,
        .mirostat = s.mirostat,
        .min_keep = s.min_keep,
        .seed = -1,
    };
}

void xn_sampling_options_free(struct xn_sampling_options *o) {
    free(o->logit_bias.items);
    free(o->breakers.items);
    o->logit_bias = o->breakers = (struct xn_strings){0};
}

// "15043+1.5", "15043-inf"
static int read_bias(const char *text, struct xn_logit_bias *bias, struct xn_error *err) {
    char *sign, *end = NULL;
    errno = 0;
    long id = strtol(text, &sign, 10);
    double value = 0;
    bool good = sign != text && id >= 0 && id <= INT32_MAX && errno == 0 && (*sign == '+' || *sign == '-') &&
                sign[1] != '+' && sign[1] != '-' && sign[1] != ' ';
    if (good) value = strtod(sign, &end);
    if (!good || end == sign || *end || isnan(value) || value == INFINITY || value > 1e30)
        return xn_fail(err, XN_ERR_ARGUMENT,
                       "option --logit-bias: \"%s\": expected a token's id and a number with its sign, as 15043+1.5, "
                       "15043-2 or 15043-inf",
                       text);
    *bias = (struct xn_logit_bias){(int32_t)id, value < -1e30 ? -INFINITY : (float)value};
    return XN_OK;
}

static int32_t whole(int64_t x) {
    return x > INT32_MAX ? INT32_MAX : (int32_t)x;
}

int xn_sampling_options_read(const struct xn_sampling_options *o, struct xn_sampling_held *held, struct xn_error *err) {
    struct xn_sampling *s = &held->sampling;
    *s = (struct xn_sampling){
        .temperature = (float)o->temperature,
        .dynatemp_range = (float)o->dynatemp_range,
        .dynatemp_exponent = (float)o->dynatemp_exponent,
        .top_k = whole(o->top_k),
        .top_p = (float)o->top_p,
        .min_p = (float)o->min_p,
        .typ_p = (float)o->typ_p,
        .top_n_sigma = (float)o->top_n_sigma,
        .xtc_probability = (float)o->xtc_probability,
        .xtc_threshold = (float)o->xtc_threshold,
        .repeat_penalty = (float)o->repeat_penalty,
        .frequency_penalty = (float)o->frequency_penalty,
        .presence_penalty = (float)o->presence_penalty,
        .repeat_last = whole(o->repeat_last),
        .dry_multiplier = (float)o->dry_multiplier,
        .dry_base = (float)o->dry_base,
        .dry_allowed_length = whole(o->dry_allowed_length),
        .dry_penalty_last = whole(o->dry_penalty_last),
        .mirostat = (int)o->mirostat,
        .mirostat_tau = (float)o->mirostat_tau,
        .mirostat_eta = (float)o->mirostat_eta,
        .min_keep = whole(o->min_keep),
        .seed = (uint64_t)o->seed,
    };
    if (o->seed < 0 && getrandom(&s->seed, sizeof s->seed, 0) != sizeof s->seed) s->seed = (uint64_t)time(NULL);
    if (o->samplers && xn_sampler_order_parse(o->samplers, &s->order, err) != XN_OK)
        return xn_error_context(err, XN_ERR_ARGUMENT, "option --samplers");
    for (size_t i = 0; i < o->logit_bias.n; i++) {
        struct xn_logit_bias b = {0};
        XN_TRY(read_bias(o->logit_bias.items[i], &b, err));
        XN_TRY(xn_sampling_held_bias(held, b.id, b.bias, err));
    }
    return XN_OK;
}

int xn_sampling_options_spell(const struct xn_sampling_options *o, const struct xn_tokenizer *tokenizer,
                              struct xn_sampling_held *held, struct xn_error *err) {
    const struct xn_strings *texts = &o->breakers;
    bool none = texts->n == 1 && strcmp(texts->items[0], "none") == 0;
    return xn_sampling_held_breakers(held, tokenizer, texts->items, none ? 0 : texts->n, err);
}
