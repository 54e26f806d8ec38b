#include "server/llama/internal.h"

#include <math.h>

// A float as a person wrote it: 0.7 and not 0.699999988.
static json_t *real(float x) {
    return json_real(round((double)x * 1e6) / 1e6);
}

json_t *xn_llama_params(const struct xn_sampling *s) {
    static const char *const names[] = {
#define X(name, text, other) text,
        XN_SAMPLER_LIST(X)
#undef X
    };
    json_t *samplers = json_array();
    for (size_t i = 0; i < (s->order.given ? s->order.n : sizeof names / sizeof *names); i++)
        json_array_append_new(samplers, json_string(names[s->order.given ? s->order.kinds[i] : i]));
    const struct {
        const char *name;
        float value;
    } reals[] = {{"temperature", s->temperature},
                 {"dynatemp_range", s->dynatemp_range},
                 {"dynatemp_exponent", s->dynatemp_exponent},
                 {"top_p", s->top_p},
                 {"min_p", s->min_p},
                 {"top_n_sigma", s->top_n_sigma},
                 {"xtc_probability", s->xtc_probability},
                 {"xtc_threshold", s->xtc_threshold},
                 {"typical_p", s->typ_p},
                 {"repeat_penalty", s->repeat_penalty},
                 {"presence_penalty", s->presence_penalty},
                 {"frequency_penalty", s->frequency_penalty},
                 {"dry_multiplier", s->dry_multiplier},
                 {"dry_base", s->dry_base},
                 {"mirostat_tau", s->mirostat_tau},
                 {"mirostat_eta", s->mirostat_eta}};
    json_t *params =
        json_pack("{s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:o}", "seed", (json_int_t)s->seed, "top_k", s->top_k,
                  "repeat_last_n", s->repeat_last, "dry_allowed_length", s->dry_allowed_length, "dry_penalty_last_n",
                  s->dry_penalty_last, "mirostat", s->mirostat, "min_keep", s->min_keep, "samplers", samplers);
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        json_object_set_new(params, reals[i].name, real(reals[i].value));
    return params;
}
