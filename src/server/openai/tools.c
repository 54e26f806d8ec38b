// Tools and the choice of them.
#include "server/openai/internal.h"

#include <string.h>

enum { MOST_TOOLS = 1024, LONGEST_NAME = 256 };

// The function of a tool, checked. `flat`: its fields stand in the tool itself.
static int check_tool(const json_t *tool, size_t i, bool flat, const json_t **function, struct xn_error *err) {
    if (!json_is_object(tool))
        return xn_fail(err, XN_ERR_ARGUMENT, "tools[%zu]: expected an object, found %s", i, xn_json_kind(tool));
    const char *type = json_string_value(json_object_get(tool, "type"));
    if (!type || strcmp(type, "function") != 0)
        return xn_fail(err, XN_ERR_ARGUMENT, "tools[%zu].type: only \"function\" is supported, found \"%.64s\"", i,
                       type ? type : "");
    *function = flat ? tool : json_object_get(tool, "function");
    if (!json_is_object(*function))
        return xn_fail(err, XN_ERR_ARGUMENT, "tools[%zu].function: expected an object, found %s", i,
                       xn_json_kind(*function));
    const json_t *name = json_object_get(*function, "name"), *parameters = json_object_get(*function, "parameters");
    if (!json_is_string(name) || !json_string_length(name) || json_string_length(name) > LONGEST_NAME)
        return xn_fail(err, XN_ERR_ARGUMENT, "tools[%zu]: no name of 1 to %d bytes", i, LONGEST_NAME);
    if (parameters && !json_is_null(parameters) && !json_is_object(parameters))
        return xn_fail(err, XN_ERR_ARGUMENT, "tools[%zu]: parameters: expected a schema (an object), found %s", i,
                       xn_json_kind(parameters));
    return XN_OK;
}

// {"type": "function", "function": {...}} with what templates and grammars look at.
static json_t *tool_of(const json_t *function) {
    static const char *const keys[] = {"name", "description", "parameters", "strict"};
    json_t *inner = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        json_t *value = json_object_get(function, keys[i]);
        if (value && !json_is_null(value) && json_object_set(inner, keys[i], value)) {
            json_decref(inner);
            return NULL;
        }
    }
    return json_pack("{s:s, s:o}", "type", "function", "function", inner);
}

static int read_tools(const json_t *body, bool flat, struct xn_completion_request *r, struct xn_error *err) {
    json_t *tools = NULL;
    XN_TRY(xn_field_array(body, "tools", &tools, err));
    if (json_array_size(tools) == 0) return XN_OK;
    if (json_array_size(tools) > MOST_TOOLS)
        return xn_fail(err, XN_ERR_ARGUMENT, "tools: %zu of them, expected at most %d", json_array_size(tools),
                       MOST_TOOLS);
    r->tools = json_array();
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *function = NULL;
        XN_TRY(check_tool(json_array_get(tools, i), i, flat, &function, err));
        if (json_array_append_new(r->tools, tool_of(function)))
            return xn_fail(err, XN_ERR_NOMEM, "out of memory for tools");
    }
    return XN_OK;
}

static bool has_tool(const json_t *tools, const char *name) {
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *function = json_object_get(json_array_get(tools, i), "function");
        if (strcmp(json_string_value(json_object_get(function, "name")), name) == 0) return true;
    }
    return false;
}

static int read_choice(const json_t *body, bool flat, struct xn_completion_request *r, struct xn_error *err) {
    const json_t *choice = json_object_get(body, "tool_choice");
    if (!choice || json_is_null(choice)) return XN_OK;
    const char *word = json_string_value(choice);
    if (word && strcmp(word, "auto") == 0) return XN_OK;
    if (word && strcmp(word, "none") == 0) {
        r->tool_choice = XN_TOOLS_NONE;
        return XN_OK;
    }
    const char *type = json_string_value(json_object_get(choice, "type")),
               *name = json_string_value(json_object_get(flat ? choice : json_object_get(choice, "function"), "name"));
    bool required = word && strcmp(word, "required") == 0;
    if (!required && !(type && strcmp(type, "function") == 0 && name))
        return xn_fail(err, XN_ERR_ARGUMENT,
                       "tool_choice: expected \"none\", \"auto\", \"required\" or an object that names a function");
    if (!r->tools) return xn_fail(err, XN_ERR_ARGUMENT, "tool_choice: a call is required, but there are no tools");
    r->tool_choice = required ? XN_TOOLS_REQUIRED : XN_TOOLS_NAMED;
    if (required) return XN_OK;
    if (!has_tool(r->tools, name))
        return xn_fail(err, XN_ERR_ARGUMENT, "tool_choice: \"%.64s\" is none of the tools", name);
    return xn_openai_set_string(&r->tool, name, err);
}

int xn_openai_read_tools(const json_t *body, bool flat, struct xn_completion_request *r, struct xn_error *err) {
    bool parallel = true;
    XN_TRY(read_tools(body, flat, r, err));
    XN_TRY(read_choice(body, flat, r, err));
    XN_TRY(xn_field_bool(body, "parallel_tool_calls", &parallel, err));
    r->one_call = !parallel || r->tool_choice == XN_TOOLS_NAMED;
    return XN_OK;
}
