// What a tool's schema says of a parameter's type, and values that were written as plain text made JSON by it.
#include "text/answer/internal.h"

#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>

static unsigned of_name(const char *type) {
    if (!type) return 0;
    return strcmp(type, "string") == 0 ? XN_PARAM_STRING : strcmp(type, "null") == 0 ? XN_PARAM_NULL : XN_PARAM_OTHER;
}

static unsigned of_value(const json_t *value) {
    return json_is_string(value) ? XN_PARAM_STRING : json_is_null(value) ? XN_PARAM_NULL : XN_PARAM_OTHER;
}

static const json_t *referred(const json_t *root, const char *ref) {
    const json_t *at = root;
    if (!ref || strncmp(ref, "#/", 2) != 0) return NULL;
    for (ref += 2; at;) {
        const size_t n = strcspn(ref, "/");
        char key[XN_ANSWER_NAME];
        if (n >= sizeof key) return NULL;
        memcpy(key, ref, n);
        key[n] = 0;
        at = json_object_get(at, key);
        if (ref[n] == 0) return at;
        ref += n + 1;
    }
    return NULL;
}

// 0 where something in it may be anything.
static unsigned of_schema(const json_t *root, const json_t *schema, unsigned depth) {
    if (!json_is_object(schema) || depth > 8) return 0;
    unsigned types = 0;
    size_t i;
    const json_t *one, *type = json_object_get(schema, "type");
    if (json_is_string(type)) {
        types = of_name(json_string_value(type));
    } else if (json_is_array(type)) {
        json_array_foreach(type, i, one) types |= of_name(json_string_value(one));
    } else if (json_is_array(json_object_get(schema, "enum"))) {
        json_array_foreach(json_object_get(schema, "enum"), i, one) types |= of_value(one);
    } else if (json_object_get(schema, "const")) {
        types = of_value(json_object_get(schema, "const"));
    } else if (json_object_get(schema, "$ref")) {
        types = of_schema(root, referred(root, json_string_value(json_object_get(schema, "$ref"))), depth + 1);
    } else {
        static const char *const lists[] = {"anyOf", "oneOf", "allOf"};
        for (int k = 0; k < 3; k++)
            json_array_foreach(json_object_get(schema, lists[k]), i, one) {
                const unsigned more = of_schema(root, one, depth + 1);
                if (!more && k < 2) return 0;
                types |= more;
            }
    }
    if (types && json_is_true(json_object_get(schema, "nullable"))) types |= XN_PARAM_NULL;
    return types;
}

unsigned xn_param_types(const json_t *tools, const char *tool, const char *key) {
    const json_t *root = json_object_get(xn_answer_tool(tools, tool), "parameters");
    return of_schema(root, json_object_get(json_object_get(root, "properties"), key), 0);
}

// Whether the text is one value of JSON that the types allow. Strings are written without quotes where a string may be.
static bool is_json(const char *text, size_t n, unsigned types) {
    json_t *value = json_loadb(text, n, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, NULL);
    if (!value) return false;
    const unsigned type = of_value(value);
    json_decref(value);
    if (types == 0) return true;
    if (type == XN_PARAM_NULL) return (types & XN_PARAM_NULL) || !(types & XN_PARAM_STRING);
    return type == XN_PARAM_OTHER && (types & XN_PARAM_OTHER);
}

static int quote(struct xn_text *out, const char *text, size_t n) {
    int failed = xn_text_append(out, "\"", 1);
    for (size_t i = 0; i < n; i++) {
        char bytes[8];
        failed |= xn_text_append(out, bytes, xn_json_escape(text[i], bytes));
    }
    return failed | xn_text_append(out, "\"", 1);
}

char *xn_param_json(const char *text, size_t n, unsigned types, size_t *size) {
    struct xn_text out = {0};
    const char *start = text;
    size_t length = n;
    while (length && xn_answer_blank(*start)) {
        start++;
        length--;
    }
    while (length && xn_answer_blank(start[length - 1]))
        length--;
    int failed;
    const bool other = types != XN_PARAM_STRING && length > 0;
    if (other && is_json(start, length, types)) {
        failed = xn_text_append(&out, start, length);
    } else if (other && strchr("TFN[{(", *start) && xn_literal_python(start, length, &out) && out.data[0] != '"' &&
               is_json(out.data, out.size, types)) {
        failed = 0;
    } else {
        out.size = 0;
        failed = quote(&out, text, n);
    }
    if (failed) {
        free(out.data);
        return NULL;
    }
    *size = out.size;
    return out.data;
}
