// Fields of Ollama's requests.
#include "server/ollama/internal.h"
#include "server/openai/internal.h" // options are named as llama-server names them, and read as there

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// A duration as Go writes it: numbers with units behind each other.
static bool read_duration(const char *text, double *seconds) {
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"ns", 1e-9}, {"us", 1e-6}, {"µs", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}};
    bool negative = *text == '-';
    double sum = 0;
    if (*text == '-' || *text == '+') text++;
    if (!*text) return false;
    while (*text) {
        char *end;
        if (!isdigit((unsigned char)*text) && *text != '.') return false;
        double value = strtod(text, &end);
        if (end == text || !isfinite(value)) return false;
        const char *unit = end;
        while (*end && !isdigit((unsigned char)*end) && *end != '.')
            end++;
        size_t n = (size_t)(end - unit), i = 0;
        while (i < sizeof units / sizeof *units && (strlen(units[i].name) != n || strncmp(units[i].name, unit, n) != 0))
            i++;
        if (i == sizeof units / sizeof *units && n) return false;
        sum += value * (n ? units[i].seconds : 1); // a number alone: seconds
        text = end;
    }
    *seconds = negative ? -sum : sum;
    return isfinite(sum);
}

int xn_ollama_keep_alive(const json_t *body, struct xn_ollama_options *o, struct xn_error *err) {
    const json_t *value = json_object_get(body, "keep_alive");
    if (!value || json_is_null(value)) return XN_OK;
    if (json_is_number(value) && isfinite(json_number_value(value)))
        o->keep_alive = json_number_value(value);
    else if (!json_is_string(value) || !read_duration(json_string_value(value), &o->keep_alive))
        return xn_fail(err, XN_ERR_ARGUMENT, "keep_alive: expected seconds, or a duration as \"5m\" (-1: for ever)");
    o->keep = true;
    o->unload = o->keep_alive == 0;
    return XN_OK;
}

// Thinking on, off, or of some effort: variables of the template.
static int read_think(const json_t *body, struct xn_completion_request *r, struct xn_error *err) {
    const json_t *think = json_object_get(body, "think");
    if (!think || json_is_null(think)) return XN_OK;
    if (json_is_boolean(think)) return xn_openai_argument(r, "enable_thinking", json_boolean(json_is_true(think)), err);
    if (!json_is_string(think))
        return xn_fail(err, XN_ERR_ARGUMENT, "think: expected true, false, or \"low\", \"medium\", \"high\"");
    XN_TRY(xn_openai_argument(r, "enable_thinking", json_true(), err));
    return xn_openai_effort(r, json_string_value(think), "think", err);
}

// "json", or a schema.
static int read_format(const json_t *body, struct xn_completion_request *r, struct xn_error *err) {
    json_t *format = json_object_get(body, "format");
    if (!format || json_is_null(format) || (json_is_string(format) && !json_string_length(format))) return XN_OK;
    if (json_is_string(format) && strcmp(json_string_value(format), "json") == 0) {
        r->format = XN_FORMAT_JSON;
        return XN_OK;
    }
    if (!json_is_object(format)) return xn_fail(err, XN_ERR_ARGUMENT, "format: expected \"json\" or a JSON schema");
    r->format = XN_FORMAT_SCHEMA;
    r->schema = json_incref(format);
    return XN_OK;
}

int xn_ollama_read(const json_t *body, const struct xn_call *call, struct xn_completion_request *r,
                   struct xn_ollama_options *o, struct xn_error *err) {
    json_t *options = NULL, *none = json_object();
    o->stream = true;
    int status = none ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "out of memory for a request");
    if (status == XN_OK) status = xn_field_bool(body, "stream", &o->stream, err);
    if (status == XN_OK) status = xn_ollama_keep_alive(body, o, err);
    if (status == XN_OK) status = xn_field_object(body, "options", &options, err);
    if (!options) options = none;
    if (status == XN_OK) status = xn_openai_read_common(options, call, r, err);
    if (status == XN_OK) status = xn_field_int(options, "num_predict", -2, INT32_MAX, &r->most, err);
    if (status == XN_OK) status = read_format(body, r, err);
    if (status == XN_OK) status = read_think(body, r, err);
    r->n = 1;
    json_decref(none);
    return status;
}
