// POST /v1/messages: the request.
#include "server/anthropic/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_STOPS = 16, LONGEST_STOP = 256, MOST_TOOLS = 1024, LONGEST_NAME = 256 };

static int argument(struct xn_completion_request *r, const char *name, json_t *value, struct xn_error *err) {
    if (!r->template_arguments) r->template_arguments = json_object();
    if (json_object_set_new(r->template_arguments, name, value))
        return xn_fail(err, XN_ERR_NOMEM, "out of memory for a request");
    return XN_OK;
}

static int read_tool(const json_t *tool, size_t i, json_t *tools, struct xn_error *err) {
    const char *type = json_string_value(json_object_get(tool, "type"));
    json_t *name = json_object_get(tool, "name"), *schema = json_object_get(tool, "input_schema"),
           *description = json_object_get(tool, "description");
    if (type && strcmp(type, "custom") != 0)
        return xn_fail(err, XN_ERR_ARGUMENT,
                       "tools[%zu].type: \"%.48s\" is not supported: tools run at the client, as custom ones", i, type);
    if (!json_is_string(name) || !json_string_length(name) || json_string_length(name) > LONGEST_NAME)
        return xn_fail(err, XN_ERR_ARGUMENT, "tools[%zu].name: expected 1 to %d bytes", i, LONGEST_NAME);
    if (!json_is_object(schema))
        return xn_fail(err, XN_ERR_ARGUMENT, "tools[%zu].input_schema: expected an object, found %s", i,
                       xn_json_kind(schema));
    json_t *function = json_pack("{s:O}", "name", name);
    if (json_is_string(description)) json_object_set(function, "description", description);
    json_object_set(function, "parameters", schema);
    if (json_array_append_new(tools, json_pack("{s:s, s:o}", "type", "function", "function", function)))
        return xn_fail(err, XN_ERR_NOMEM, "out of memory for tools");
    return XN_OK;
}

static int read_choice(const json_t *choice, struct xn_completion_request *r, struct xn_error *err) {
    const char *type = json_string_value(json_object_get(choice, "type")),
               *name = json_string_value(json_object_get(choice, "name"));
    bool any = type && strcmp(type, "any") == 0, tool = type && strcmp(type, "tool") == 0;
    if (type && strcmp(type, "none") == 0) {
        r->tool_choice = XN_TOOLS_NONE;
        return XN_OK;
    }
    if (!any && !tool && !(type && strcmp(type, "auto") == 0))
        return xn_fail(err, XN_ERR_ARGUMENT, "tool_choice: type: expected auto, any, tool or none");
    if (xn_field_bool(choice, "disable_parallel_tool_use", &r->one_call, err) != XN_OK)
        return xn_error_context(err, XN_ERR_ARGUMENT, "tool_choice");
    if ((any || tool) && !r->tools)
        return xn_fail(err, XN_ERR_ARGUMENT, "tool_choice: a call is required, but there are no tools");
    if (any) r->tool_choice = XN_TOOLS_REQUIRED;
    if (!tool) return XN_OK;
    for (size_t i = 0; i < json_array_size(r->tools) && name; i++) {
        const json_t *function = json_object_get(json_array_get(r->tools, i), "function");
        if (strcmp(json_string_value(json_object_get(function, "name")), name) != 0) continue;
        r->tool_choice = XN_TOOLS_NAMED;
        r->one_call = true;
        r->tool = xn_strdup(name);
        return r->tool ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "out of memory for a request");
    }
    return xn_fail(err, XN_ERR_ARGUMENT, "tool_choice: \"%.64s\" is none of the tools", name ? name : "");
}

static int read_tools(const json_t *body, struct xn_completion_request *r, struct xn_error *err) {
    json_t *tools = NULL, *choice = NULL;
    XN_TRY(xn_field_array(body, "tools", &tools, err));
    XN_TRY(xn_field_object(body, "tool_choice", &choice, err));
    if (json_array_size(tools) > MOST_TOOLS)
        return xn_fail(err, XN_ERR_ARGUMENT, "tools: %zu of them, expected at most %d", json_array_size(tools),
                       MOST_TOOLS);
    if (json_array_size(tools)) r->tools = json_array();
    for (size_t i = 0; i < json_array_size(tools); i++)
        XN_TRY(read_tool(json_array_get(tools, i), i, r->tools, err));
    return choice ? read_choice(choice, r, err) : XN_OK;
}

// Reasoning is what is asked for: without, models that can are told not to.
static int read_thinking(const json_t *body, struct xn_completion_request *r, struct xn_anthropic_options *o,
                         struct xn_error *err) {
    json_t *thinking = NULL;
    XN_TRY(xn_field_object(body, "thinking", &thinking, err));
    const char *type = json_string_value(json_object_get(thinking, "type"));
    o->thinking = type && (strcmp(type, "enabled") == 0 || strcmp(type, "adaptive") == 0);
    if (thinking && !o->thinking && !(type && strcmp(type, "disabled") == 0))
        return xn_fail(err, XN_ERR_ARGUMENT, "thinking.type: \"%.32s\" is none, expected enabled, adaptive or disabled",
                       type ? type : "");
    return argument(r, "enable_thinking", json_boolean(o->thinking), err);
}

// output_config: effort, and a schema.
static int read_output(const json_t *body, struct xn_completion_request *r, struct xn_error *err) {
    json_t *config = NULL, *format = NULL;
    const char *effort = NULL;
    XN_TRY(xn_field_object(body, "output_config", &config, err));
    XN_TRY(xn_field_object(body, "output_format", &format, err)); // its name in betas
    if (config) {
        XN_TRY(xn_field_string(config, "effort", &effort, err));
        XN_TRY(xn_field_object(config, "format", &format, err));
    }
    if (effort) XN_TRY(argument(r, "reasoning_effort", json_string(effort), err));
    if (!format) return XN_OK;
    const char *type = json_string_value(json_object_get(format, "type"));
    json_t *schema = json_object_get(format, "schema");
    if (!type || strcmp(type, "json_schema") != 0 || !json_is_object(schema))
        return xn_fail(err, XN_ERR_ARGUMENT, "output_config.format: expected a json_schema with its schema");
    r->format = XN_FORMAT_SCHEMA;
    r->schema = json_incref(schema);
    return XN_OK;
}

static int read_sampling(const json_t *body, const struct xn_call *call, struct xn_completion_request *r,
                         struct xn_error *err) {
    struct xn_sampling *s = &r->sampling.sampling;
    double temperature = s->temperature, top_p = s->top_p;
    int64_t top_k = s->top_k, seed = -1;
    XN_TRY(xn_field_number(body, "temperature", 0, 2, &temperature, err));
    XN_TRY(xn_field_number(body, "top_p", 0, 1, &top_p, err));
    XN_TRY(xn_field_int(body, "top_k", 0, INT32_MAX, &top_k, err));
    XN_TRY(xn_field_int(body, "seed", -1, INT64_MAX, &seed, err)); // not of the API, but useful
    s->temperature = (float)temperature;
    s->top_p = (float)top_p;
    s->top_k = (int32_t)top_k;
    if (seed >= 0) s->seed = (uint64_t)seed;
    r->owner = xn_exchange_owner(call->x);
    XN_TRY(xn_field_strings(body, "stop_sequences", MOST_STOPS, &r->stops, &r->n_stops, err));
    for (size_t i = 0; i < r->n_stops; i++)
        if (strlen(r->stops[i]) > LONGEST_STOP)
            return xn_fail(err, XN_ERR_ARGUMENT, "stop_sequences: a string of %zu bytes, expected at most %d",
                           strlen(r->stops[i]), LONGEST_STOP);
    return xn_sampling_check(s, (int32_t)call->served->model->recipe.vocab, err);
}

int xn_anthropic_read(const json_t *body, const struct xn_call *call, bool counting, struct xn_completion_request *r,
                      struct xn_anthropic_options *o, struct xn_error *err) {
    int64_t most = 0;
    XN_TRY(xn_anthropic_messages(body, r, err));
    XN_TRY(xn_field_bool(body, "stream", &o->stream, err));
    XN_TRY(read_tools(body, r, err));
    XN_TRY(read_thinking(body, r, o, err));
    XN_TRY(read_output(body, r, err));
    XN_TRY(read_sampling(body, call, r, err));
    XN_TRY(xn_field_int(body, "max_tokens", 1, INT32_MAX, &most, err));
    if (most == 0 && !counting) return xn_fail(err, XN_ERR_ARGUMENT, "max_tokens: missing");
    r->most = most ? most : -1;
    return XN_OK;
}
