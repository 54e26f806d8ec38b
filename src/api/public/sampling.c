// The public API: samplers and log-probabilities.
#include "api/public/internal.h"

#include "api/constraint.h"
#include "api/sampling.h"
#include "base/memory.h"

#include <stddef.h>
#include <stdlib.h>

struct xenon_sampler {
    struct xn_sampler *sampler;
    struct xn_constraint *constraint; // NULL: none
    struct xn_sampling_held held;     // what the sampler uses
};

void xenon_sampling_defaults(xenon_sampling *sampling) {
    struct xn_sampling s = xn_sampling_default();
    *sampling = (xenon_sampling){.temperature = s.temperature,
                                 .top_k = s.top_k,
                                 .top_p = s.top_p,
                                 .min_p = s.min_p,
                                 .repeat_penalty = s.repeat_penalty,
                                 .repeat_last = s.repeat_last,
                                 .seed = s.seed};
}

static int create_sampler(const xenon_model *model, const struct xn_sampling *sampling, xenon_sampler **out,
                          xenon_error *error) {
    struct xn_error err;
    xenon_sampler *sampler = xn_alloc_zero(1, sizeof *sampler);
    if (!sampler) return xn_api_refuse(error, XN_ERR_NOMEM, "out of memory for a sampler");
    int status = xn_sampler_new(sampling, (int32_t)model->model->recipe.vocab, &sampler->sampler, &err);
    if (status == XN_OK)
        *out = sampler;
    else
        free(sampler);
    return xn_api_give(status, &err, error);
}

int xenon_sampler_create(const xenon_model *model, const xenon_sampling *sampling, xenon_sampler **out,
                         xenon_error *error) {
    struct xn_sampling inner = xn_sampling_default();
    *out = NULL;
    if (sampling) {
        inner.temperature = sampling->temperature;
        inner.top_k = sampling->top_k;
        inner.top_p = sampling->top_p;
        inner.min_p = sampling->min_p;
        inner.repeat_penalty = sampling->repeat_penalty;
        inner.repeat_last = sampling->repeat_last;
        inner.seed = sampling->seed;
    }
    return create_sampler(model, &inner, out, error);
}

// Takes "grammar" and "json_schema" out of the settings and makes the constraint of them.
static int take_constraint(const xenon_model *model, json_t *settings, xenon_sampler *sampler, struct xn_error *err) {
    const json_t *gbnf = json_object_get(settings, "grammar"), *schema = json_object_get(settings, "json_schema");
    struct xn_grammar *grammar;
    if (json_is_null(gbnf)) gbnf = NULL;
    if (json_is_null(schema)) schema = NULL;
    if (gbnf && !json_is_string(gbnf)) return xn_fail(err, XN_ERR_ARGUMENT, "grammar: expected a text");
    if (gbnf && schema) return xn_fail(err, XN_ERR_ARGUMENT, "only one of grammar and json_schema");
    XN_TRY(xn_constraint_grammar(json_string_value(gbnf), schema, &grammar, err));
    if (grammar)
        XN_TRY(xn_constraint_new(grammar, model->model->tokenizer, (int32_t)model->model->recipe.vocab,
                                 &sampler->constraint, err));
    json_object_del(settings, "grammar");
    json_object_del(settings, "json_schema");
    return XN_OK;
}

int xenon_sampler_create_json(const xenon_model *model, const char *settings, xenon_sampler **out, xenon_error *error) {
    struct xn_error err;
    json_error_t json_error;
    *out = NULL;
    json_t *object = json_loads(settings, JSON_REJECT_DUPLICATES, &json_error);
    if (!object) return xn_api_refuse(error, XN_ERR_ARGUMENT, json_error.text);
    xenon_sampler *sampler = xn_alloc_zero(1, sizeof *sampler);
    int status = sampler ? XN_OK : xn_fail(&err, XN_ERR_NOMEM, "out of memory for a sampler");
    if (status == XN_OK) status = take_constraint(model, object, sampler, &err);
    if (status == XN_OK) {
        sampler->held.sampling = xn_sampling_default();
        status = xn_sampling_read_json(&sampler->held, object, true, model->model->tokenizer, &err);
    }
    if (status == XN_OK)
        status = xn_sampler_new(&sampler->held.sampling, (int32_t)model->model->recipe.vocab, &sampler->sampler, &err);
    json_decref(object);
    if (status == XN_OK)
        *out = sampler;
    else
        xenon_sampler_free(&sampler);
    return xn_api_give(status, &err, error);
}

void xenon_sampler_free(xenon_sampler **sampler) {
    if (!*sampler) return;
    xn_sampler_free((*sampler)->sampler);
    xn_constraint_free((*sampler)->constraint);
    xn_sampling_held_free(&(*sampler)->held);
    free(*sampler);
    *sampler = NULL;
}

int32_t xenon_sampler_choose(xenon_sampler *sampler, const float *logits) {
    if (!logits) return -1;
    int32_t id;
    if (!sampler->constraint)
        id = xn_sampler_choose(sampler->sampler, logits);
    else if (xn_constraint_choose(sampler->constraint, sampler->sampler, logits, &id, NULL) != XN_OK || id < 0)
        return -1;
    xn_sampler_accept(sampler->sampler, id);
    return id;
}

_Static_assert(sizeof(xenon_logprob) == sizeof(struct xn_token_logprob) &&
                   offsetof(xenon_logprob, logprob) == offsetof(struct xn_token_logprob, logprob),
               "the same struct under two names");

int32_t xenon_logprobs(const xenon_model *model, const float *logits, int32_t id, float *chosen, xenon_logprob *top,
                       int32_t n) {
    if (!logits) return 0;
    return xn_logprobs(logits, (int32_t)model->model->recipe.vocab, id, chosen, (struct xn_token_logprob *)top, n);
}

void xenon_sampler_accept(xenon_sampler *sampler, int32_t id) {
    xn_sampler_accept(sampler->sampler, id);
}
