// Fields that several endpoints of OpenAI's API have.
#include "server/openai/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_STOPS = 16, LONGEST_STOP = 256, MOST_PRIORITY = 1000 };

int xn_openai_set_string(char **to, const char *text, struct xn_error *err) {
    free(*to);
    *to = xn_strdup(text);
    return *to ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "out of memory for a request");
}

int xn_openai_argument(struct xn_completion_request *r, const char *name, json_t *value, struct xn_error *err) {
    if (!r->template_arguments) r->template_arguments = json_object();
    if (json_object_set_new(r->template_arguments, name, value))
        return xn_fail(err, XN_ERR_NOMEM, "out of memory for a request");
    return XN_OK;
}

int xn_openai_effort(struct xn_completion_request *r, const char *effort, const char *name, struct xn_error *err) {
    static const char *const words[] = {"none", "minimal", "low", "medium", "high", "xhigh", "max"};
    size_t i = 0;
    while (i < sizeof words / sizeof *words && strcmp(words[i], effort) != 0)
        i++;
    if (i == sizeof words / sizeof *words)
        return xn_fail(err, XN_ERR_ARGUMENT, "%s: \"%.32s\" is no effort; expected none, minimal, low, medium or high",
                       name, effort);
    if (i == 0) return xn_openai_argument(r, "enable_thinking", json_false(), err);
    return xn_openai_argument(r, "reasoning_effort", json_string(effort), err);
}

int xn_openai_read_most(const json_t *body, const char *const *names, size_t n, int64_t *most, struct xn_error *err) {
    for (size_t i = 0; i < n; i++) {
        const json_t *found = json_object_get(body, names[i]);
        if (!found || json_is_null(found)) continue;
        XN_TRY(xn_field_int(body, names[i], -1, INT32_MAX, most, err));
        if (*most == 0) return xn_fail(err, XN_ERR_ARGUMENT, "%s: 0 is out of range, expected at least 1", names[i]);
        return XN_OK;
    }
    return XN_OK;
}

int xn_openai_read_format(const json_t *format, const char *name, const json_t *holder, struct xn_completion_request *r,
                          struct xn_error *err) {
    const char *type = json_string_value(json_object_get(format, "type"));
    if (!type) return xn_fail(err, XN_ERR_ARGUMENT, "%s.type: expected text, json_object or json_schema", name);
    if (strcmp(type, "text") == 0) return XN_OK;
    json_t *schema = json_object_get(holder, "schema");
    if (strcmp(type, "json_object") == 0) {
        // llama-server takes a schema here as well.
        schema = json_object_get(format, "schema");
        r->format = XN_FORMAT_JSON;
        if (!json_is_object(schema)) return XN_OK;
    } else if (strcmp(type, "json_schema") != 0) {
        return xn_fail(err, XN_ERR_ARGUMENT, "%s.type: \"%.32s\" is none, expected text, json_object or json_schema",
                       name, type);
    } else if (!json_is_object(schema)) {
        return xn_fail(err, XN_ERR_ARGUMENT, "%s: no schema, which json_schema needs", name);
    }
    r->format = XN_FORMAT_SCHEMA;
    json_decref(r->schema);
    r->schema = json_incref(schema);
    return XN_OK;
}

int xn_openai_read_stream(const json_t *body, bool *stream, bool *usage, struct xn_error *err) {
    json_t *options = NULL;
    XN_TRY(xn_field_bool(body, "stream", stream, err));
    XN_TRY(xn_field_object(body, "stream_options", &options, err));
    if (options && xn_field_bool(options, "include_usage", usage, err) != XN_OK)
        return xn_error_context(err, XN_ERR_ARGUMENT, "stream_options");
    return XN_OK;
}

// What llama-server takes at the top: a schema, or a grammar.
static int read_grammar(const json_t *body, struct xn_completion_request *r, struct xn_error *err) {
    json_t *format = NULL, *schema = NULL;
    const char *grammar = NULL;
    XN_TRY(xn_field_object(body, "response_format", &format, err));
    XN_TRY(xn_field_object(body, "json_schema", &schema, err));
    XN_TRY(xn_field_string(body, "grammar", &grammar, err));
    if (format)
        XN_TRY(xn_openai_read_format(format, "response_format", json_object_get(format, "json_schema"), r, err));
    int given = (r->format != XN_FORMAT_TEXT) + (schema != NULL) + (grammar && *grammar);
    if (given > 1)
        return xn_fail(err, XN_ERR_ARGUMENT,
                       "response_format: only one of response_format, json_schema and grammar "
                       "can be followed");
    if (schema) {
        r->format = XN_FORMAT_SCHEMA;
        r->schema = json_incref(schema);
    }
    if (grammar && *grammar) {
        r->format = XN_FORMAT_GBNF;
        XN_TRY(xn_openai_set_string(&r->grammar, grammar, err));
    }
    return XN_OK;
}

static int read_stops(const json_t *body, struct xn_completion_request *r, struct xn_error *err) {
    XN_TRY(xn_field_strings(body, "stop", MOST_STOPS, &r->stops, &r->n_stops, err));
    for (size_t i = 0; i < r->n_stops; i++)
        if (strlen(r->stops[i]) > LONGEST_STOP)
            return xn_fail(err, XN_ERR_ARGUMENT, "stop: a string of %zu bytes, expected at most %d",
                           strlen(r->stops[i]), LONGEST_STOP);
    return XN_OK;
}

int xn_openai_read_common(const json_t *body, const struct xn_call *call, struct xn_completion_request *r,
                          struct xn_error *err) {
    const struct xn_tokenizer *tokenizer = call->served->model->tokenizer;
    XN_TRY(xn_sampling_read_json(&r->sampling, body, false, tokenizer, err));
    if (!r->sampling.sampling.dry_breakers) r->sampling.sampling.dry_breakers = &call->served->breakers;
    double repetition = r->sampling.sampling.repeat_penalty; // as vLLM calls it
    XN_TRY(xn_field_number(body, "repetition_penalty", 0, 1e6, &repetition, err));
    r->sampling.sampling.repeat_penalty = (float)repetition;
    XN_TRY(xn_sampling_check(&r->sampling.sampling, (int32_t)call->served->model->recipe.vocab, err));
    XN_TRY(read_stops(body, r, err));
    XN_TRY(read_grammar(body, r, err));
    int64_t n = 1, priority = 0;
    bool cache = true;
    XN_TRY(xn_field_int(body, "n", 1, XN_COMPLETION_ANSWERS, &n, err));
    XN_TRY(xn_field_int(body, "priority", -MOST_PRIORITY, MOST_PRIORITY, &priority, err));
    XN_TRY(xn_field_bool(body, "cache_prompt", &cache, err));
    XN_TRY(xn_field_bool(body, "ignore_eos", &r->ignore_end, err));
    XN_TRY(xn_field_bool(body, "context_shift", &r->shift, err));
    r->n = (uint32_t)n;
    r->priority = -(int)priority; // a lower number comes first, as vLLM has it
    r->no_cache = !cache;
    r->owner = xn_exchange_owner(call->x);
    return XN_OK;
}
