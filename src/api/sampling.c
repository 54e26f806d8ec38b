#include "api/sampling.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

void xn_sampling_held_free(struct xn_sampling_held *h) {
    free(h->bias);
    xn_dry_breakers_free(&h->breakers);
    *h = (struct xn_sampling_held){0};
}

int xn_sampling_held_bias(struct xn_sampling_held *h, int32_t id, float bias, struct xn_error *err) {
    if (XN_GROW(h->bias, h->bias_capacity, h->n_bias + 1))
        return xn_fail(err, XN_ERR_NOMEM, "no memory for logit_bias");
    h->bias[h->n_bias++] = (struct xn_logit_bias){id, bias};
    h->sampling.logit_bias = h->bias;
    h->sampling.n_logit_bias = h->n_bias;
    return XN_OK;
}

int xn_sampling_held_breakers(struct xn_sampling_held *h, const struct xn_tokenizer *tokenizer,
                              const char *const *texts, size_t n, struct xn_error *err) {
    h->sampling.dry_breakers = NULL;
    xn_dry_breakers_free(&h->breakers);
    if (!(h->sampling.dry_multiplier > 0) || !tokenizer) return XN_OK;
    if (!texts) XN_TRY(xn_dry_breakers_usual(&h->breakers, tokenizer, err));
    for (size_t i = 0; i < n && texts; i++)
        XN_TRY(xn_dry_breakers_spell(&h->breakers, tokenizer, texts[i], err));
    xn_dry_breakers_sort(&h->breakers);
    h->sampling.dry_breakers = &h->breakers;
    return XN_OK;
}

struct field {
    const char *name;
    enum { NUMBER, WHOLE } kind;
    size_t at;
};
static const struct field fields[] = {
    {"temperature", NUMBER, offsetof(struct xn_sampling, temperature)},
    {"dynatemp_range", NUMBER, offsetof(struct xn_sampling, dynatemp_range)},
    {"dynatemp_exponent", NUMBER, offsetof(struct xn_sampling, dynatemp_exponent)},
    {"top_k", WHOLE, offsetof(struct xn_sampling, top_k)},
    {"top_p", NUMBER, offsetof(struct xn_sampling, top_p)},
    {"min_p", NUMBER, offsetof(struct xn_sampling, min_p)},
    {"typical_p", NUMBER, offsetof(struct xn_sampling, typ_p)},
    {"typ_p", NUMBER, offsetof(struct xn_sampling, typ_p)},
    {"top_n_sigma", NUMBER, offsetof(struct xn_sampling, top_n_sigma)},
    {"xtc_probability", NUMBER, offsetof(struct xn_sampling, xtc_probability)},
    {"xtc_threshold", NUMBER, offsetof(struct xn_sampling, xtc_threshold)},
    {"repeat_last_n", WHOLE, offsetof(struct xn_sampling, repeat_last)},
    {"repeat_penalty", NUMBER, offsetof(struct xn_sampling, repeat_penalty)},
    {"frequency_penalty", NUMBER, offsetof(struct xn_sampling, frequency_penalty)},
    {"presence_penalty", NUMBER, offsetof(struct xn_sampling, presence_penalty)},
    {"dry_multiplier", NUMBER, offsetof(struct xn_sampling, dry_multiplier)},
    {"dry_base", NUMBER, offsetof(struct xn_sampling, dry_base)},
    {"dry_allowed_length", WHOLE, offsetof(struct xn_sampling, dry_allowed_length)},
    {"dry_penalty_last_n", WHOLE, offsetof(struct xn_sampling, dry_penalty_last)},
    {"mirostat", WHOLE, offsetof(struct xn_sampling, mirostat)},
    {"mirostat_tau", NUMBER, offsetof(struct xn_sampling, mirostat_tau)},
    {"mirostat_eta", NUMBER, offsetof(struct xn_sampling, mirostat_eta)},
    {"min_keep", WHOLE, offsetof(struct xn_sampling, min_keep)},
};
static const char *const others[] = {"seed", "samplers", "logit_bias", "dry_sequence_breakers"};

static int read_field(struct xn_sampling *s, const struct field *f, const json_t *value, struct xn_error *err) {
    void *at = (char *)s + f->at;
    if (json_is_null(value)) return XN_OK; // as if it were not there
    if (f->kind == NUMBER) {
        if (!json_is_number(value)) return xn_fail(err, XN_ERR_ARGUMENT, "%s: expected a number", f->name);
        *(float *)at = (float)json_number_value(value);
        return XN_OK;
    }
    json_int_t whole = json_is_integer(value) ? json_integer_value(value) : INT64_MIN;
    if (whole < INT32_MIN || whole > INT32_MAX)
        return xn_fail(err, XN_ERR_ARGUMENT, "%s: expected a whole number of 32 bits", f->name);
    *(int32_t *)at = (int32_t)whole;
    return XN_OK;
}

static int read_seed(struct xn_sampling *s, const json_t *value, struct xn_error *err) {
    if (!value || json_is_null(value)) return XN_OK;
    if (!json_is_integer(value)) return xn_fail(err, XN_ERR_ARGUMENT, "seed: expected a whole number (-1: a new one)");
    s->seed = (uint64_t)json_integer_value(value);
    if (json_integer_value(value) == -1 && getrandom(&s->seed, sizeof s->seed, 0) != sizeof s->seed)
        s->seed = (uint64_t)time(NULL);
    return XN_OK;
}

// ["top_k", "temperature"], or "top_k;temperature"
static int read_samplers(struct xn_sampling *s, const json_t *value, struct xn_error *err) {
    if (!value || json_is_null(value)) return XN_OK;
    if (json_is_string(value)) return xn_sampler_order_parse(json_string_value(value), &s->order, err);
    if (!json_is_array(value))
        return xn_fail(err, XN_ERR_ARGUMENT, "samplers: expected an array of names, or names with ';' between them");
    struct xn_sampler_order order = {.given = true}, one;
    size_t i;
    json_t *name;
    json_array_foreach(value, i, name) {
        if (!json_is_string(name) || !json_string_length(name))
            return xn_fail(err, XN_ERR_ARGUMENT, "samplers: item %zu is no name", i);
        XN_TRY(xn_sampler_order_parse(json_string_value(name), &one, err));
        if (one.n != 1 || order.n == XN_SAMPLERS_MOST)
            return xn_fail(err, XN_ERR_ARGUMENT, "samplers: expected one name an item, at most %d", XN_SAMPLERS_MOST);
        order.kinds[order.n++] = one.kinds[0];
    }
    s->order = order;
    return XN_OK;
}

// `what`: an id, an id as text (of OpenAI's object), or a text, of which each token is meant.
static int add_bias(struct xn_sampling_held *h, const json_t *what, const char *key, const json_t *value,
                    const struct xn_tokenizer *tokenizer, struct xn_error *err) {
    float bias = json_is_false(value) ? -INFINITY : (float)json_number_value(value);
    if (!json_is_false(value) && !json_is_number(value))
        return xn_fail(err, XN_ERR_ARGUMENT, "logit_bias: expected a number, or false for \"never\"");
    if (json_is_integer(what)) {
        json_int_t id = json_integer_value(what);
        if (id < 0 || id > INT32_MAX)
            return xn_fail(err, XN_ERR_ARGUMENT, "logit_bias: token %lld is none", (long long)id);
        return xn_sampling_held_bias(h, (int32_t)id, bias, err);
    }
    const char *text = key ? key : json_string_value(what);
    if (!text) return xn_fail(err, XN_ERR_ARGUMENT, "logit_bias: expected a token's id or a text");
    if (key && *key && strspn(key, "0123456789") == strlen(key)) {
        unsigned long long id = strtoull(key, NULL, 10);
        if (id > INT32_MAX) return xn_fail(err, XN_ERR_ARGUMENT, "logit_bias: token %s is none", key);
        return xn_sampling_held_bias(h, (int32_t)id, bias, err);
    }
    if (!tokenizer) return xn_fail(err, XN_ERR_ARGUMENT, "logit_bias: a text, but the model has no tokenizer");
    struct xn_ids ids = {0};
    int status = xn_tokenize(tokenizer, text, strlen(text), 0, &ids, err);
    for (size_t i = 0; i < ids.n && status == XN_OK; i++)
        status = xn_sampling_held_bias(h, ids.data[i], bias, err);
    free(ids.data);
    return status;
}

// [[id or text, bias], ...], or OpenAI's {"id": bias}
static int read_bias(struct xn_sampling_held *h, json_t *value, const struct xn_tokenizer *tokenizer,
                     struct xn_error *err) {
    if (!value || json_is_null(value)) return XN_OK;
    size_t i;
    const char *key;
    json_t *item;
    if (json_is_object(value)) {
        json_object_foreach(value, key, item) XN_TRY(add_bias(h, NULL, key, item, tokenizer, err));
        return XN_OK;
    }
    if (!json_is_array(value)) return xn_fail(err, XN_ERR_ARGUMENT, "logit_bias: expected an array or an object");
    json_array_foreach(value, i, item) {
        if (json_array_size(item) != 2)
            return xn_fail(err, XN_ERR_ARGUMENT, "logit_bias: item %zu is no [token, bias]", i);
        XN_TRY(add_bias(h, json_array_get(item, 0), NULL, json_array_get(item, 1), tokenizer, err));
    }
    return XN_OK;
}

static int read_breakers(struct xn_sampling_held *h, const json_t *value, const struct xn_tokenizer *tokenizer,
                         struct xn_error *err) {
    if (!value || json_is_null(value)) {
        bool given = h->sampling.dry_breakers && h->sampling.dry_breakers != &h->breakers; // by the caller: they stay
        return given ? XN_OK : xn_sampling_held_breakers(h, tokenizer, NULL, 0, err);
    }
    size_t n = json_array_size(value), i;
    if (!json_is_array(value))
        return xn_fail(err, XN_ERR_ARGUMENT, "dry_sequence_breakers: expected an array of texts");
    const char **texts = xn_alloc_zero(n + 1, sizeof *texts);
    int status = texts ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "no memory for %zu dry_sequence_breakers", n);
    for (i = 0; i < n && status == XN_OK; i++)
        if (!(texts[i] = json_string_value(json_array_get(value, i))))
            status = xn_fail(err, XN_ERR_ARGUMENT, "dry_sequence_breakers: item %zu is no text", i);
    if (status == XN_OK) status = xn_sampling_held_breakers(h, tokenizer, texts, n, err);
    free(texts);
    return status;
}

static bool is_known(const char *key) {
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(fields[i].name, key) == 0) return true;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(others[i], key) == 0) return true;
    return false;
}

int xn_sampling_read_json(struct xn_sampling_held *h, const json_t *object, bool strict,
                          const struct xn_tokenizer *tokenizer, struct xn_error *err) {
    const char *key;
    json_t *value;
    if (!json_is_object(object)) return xn_fail(err, XN_ERR_ARGUMENT, "sampling: expected a JSON object");
    if (strict)
        json_object_foreach((json_t *)object, key, value) if (!is_known(key)) return xn_fail(
            err, XN_ERR_ARGUMENT, "sampling: \"%.64s\" is no setting", key);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const json_t *found = json_object_get(object, fields[i].name);
        if (found) XN_TRY(read_field(&h->sampling, &fields[i], found, err));
    }
    XN_TRY(read_seed(&h->sampling, json_object_get(object, "seed"), err));
    XN_TRY(read_samplers(&h->sampling, json_object_get(object, "samplers"), err));
    XN_TRY(read_bias(h, json_object_get(object, "logit_bias"), tokenizer, err));
    return read_breakers(h, json_object_get(object, "dry_sequence_breakers"), tokenizer, err);
}
