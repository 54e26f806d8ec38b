#include "server/fields.h"

#include "base/memory.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *xn_json_kind(const json_t *value) {
    if (!value) return "nothing";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    default:
        return "null";
    }
}

int xn_body_parse(const char *body, size_t size, json_t **out, struct xn_error *err) {
    json_error_t where;
    *out = json_loadb(size ? body : "", size, JSON_DECODE_ANY, &where);
    if (!*out)
        return xn_fail(err, XN_ERR_FORMAT, "the body is no JSON: line %d, column %d: %.200s", where.line, where.column,
                       where.text);
    if (json_is_object(*out)) return XN_OK;
    int status = xn_fail(err, XN_ERR_FORMAT, "the body is %s, expected a JSON object", xn_json_kind(*out));
    json_decref(*out);
    *out = NULL;
    return status;
}

// The field, or NULL where it is absent or null.
static json_t *present(const json_t *object, const char *name) {
    json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

static int wrong(const char *name, const char *expected, const json_t *value, struct xn_error *err) {
    return xn_fail(err, XN_ERR_ARGUMENT, "%s: expected %s, found %s", name, expected, xn_json_kind(value));
}

int xn_field_bool(const json_t *object, const char *name, bool *value, struct xn_error *err) {
    const json_t *found = present(object, name);
    if (!found) return XN_OK;
    if (!json_is_boolean(found)) return wrong(name, "a boolean", found, err);
    *value = json_is_true(found);
    return XN_OK;
}

int xn_field_int(const json_t *object, const char *name, int64_t least, int64_t most, int64_t *value,
                 struct xn_error *err) {
    const json_t *found = present(object, name);
    if (!found) return XN_OK;
    double real = json_number_value(found);
    bool whole = json_is_real(found) && real == floor(real) && fabs(real) < 9e15;
    if (!json_is_integer(found) && !whole) return wrong(name, "an integer", found, err);
    int64_t n = whole ? (int64_t)real : json_integer_value(found);
    if (n < least || n > most)
        return xn_fail(err, XN_ERR_ARGUMENT, "%s: %lld is out of range, expected %lld to %lld", name, (long long)n,
                       (long long)least, (long long)most);
    *value = n;
    return XN_OK;
}

int xn_field_number(const json_t *object, const char *name, double least, double most, double *value,
                    struct xn_error *err) {
    const json_t *found = present(object, name);
    if (!found) return XN_OK;
    if (!json_is_number(found)) return wrong(name, "a number", found, err);
    double real = json_number_value(found);
    if (!(real >= least && real <= most))
        return xn_fail(err, XN_ERR_ARGUMENT, "%s: %g is out of range, expected %g to %g", name, real, least, most);
    *value = real;
    return XN_OK;
}

int xn_field_string(const json_t *object, const char *name, const char **value, struct xn_error *err) {
    const json_t *found = present(object, name);
    if (!found) return XN_OK;
    if (!json_is_string(found)) return wrong(name, "a string", found, err);
    *value = json_string_value(found);
    return XN_OK;
}

int xn_field_array(const json_t *object, const char *name, json_t **value, struct xn_error *err) {
    json_t *found = present(object, name);
    if (!found) return XN_OK;
    if (!json_is_array(found)) return wrong(name, "an array", found, err);
    *value = found;
    return XN_OK;
}

int xn_field_object(const json_t *object, const char *name, json_t **value, struct xn_error *err) {
    json_t *found = present(object, name);
    if (!found) return XN_OK;
    if (!json_is_object(found)) return wrong(name, "an object", found, err);
    *value = found;
    return XN_OK;
}

void xn_strings_free(char **strings, size_t n) {
    for (size_t i = 0; i < n; i++)
        free(strings[i]);
    free(strings);
}

int xn_field_strings(const json_t *object, const char *name, size_t most, char ***strings, size_t *n,
                     struct xn_error *err) {
    const json_t *found = present(object, name);
    if (!found) return XN_OK;
    if (!json_is_string(found) && !json_is_array(found))
        return wrong(name, "a string or an array of strings", found, err);
    size_t count = json_is_array(found) ? json_array_size(found) : 1, kept = 0;
    if (count > most) return xn_fail(err, XN_ERR_ARGUMENT, "%s: %zu strings, expected at most %zu", name, count, most);
    char **list = xn_alloc_zero(count + 1, sizeof *list);
    if (!list) return xn_fail(err, XN_ERR_NOMEM, "out of memory for %s", name);
    int status = XN_OK;
    for (size_t i = 0; i < count && status == XN_OK; i++) {
        const json_t *item = json_is_array(found) ? json_array_get(found, i) : found;
        if (!json_is_string(item))
            status = xn_fail(err, XN_ERR_ARGUMENT, "%s[%zu]: expected a string, found %s", name, i, xn_json_kind(item));
        else if (json_string_length(item) && !(list[kept++] = xn_strdup(json_string_value(item))))
            status = xn_fail(err, XN_ERR_NOMEM, "out of memory for %s", name);
    }
    if (status != XN_OK) {
        xn_strings_free(list, kept);
        return status;
    }
    xn_strings_free(*strings, *n);
    *strings = list;
    *n = kept;
    return XN_OK;
}

bool xn_field_named(const char *message, char name[96]) {
    size_t n = 0;
    if (!islower((unsigned char)message[0])) return false;
    while (isalnum((unsigned char)message[n]) || (message[n] && strchr("_.[]-", message[n])))
        n++;
    if (n >= 96 || message[n] != ':' || message[n + 1] != ' ') return false;
    memcpy(name, message, n);
    name[n] = 0;
    return true;
}
