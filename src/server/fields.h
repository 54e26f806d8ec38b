// Fields of a JSON request: read with strict checks of type and range. Each message begins with the field's name and
// ": ", from which the forms of errors take it (xn_field_named).
//
// A field that is absent or null leaves *value as it is. What is handed out is borrowed from `object`.
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The body of a request: an object. XN_ERR_FORMAT says where it is no JSON.
int xn_body_parse(const char *body, size_t size, json_t **out, struct xn_error *err);

int xn_field_bool(const json_t *object, const char *name, bool *value, struct xn_error *err);
// From least to most. A number like 3.0 counts as whole, as clients send them.
int xn_field_int(const json_t *object, const char *name, int64_t least, int64_t most, int64_t *value,
                 struct xn_error *err);
int xn_field_number(const json_t *object, const char *name, double least, double most, double *value,
                    struct xn_error *err);
int xn_field_string(const json_t *object, const char *name, const char **value, struct xn_error *err);
int xn_field_array(const json_t *object, const char *name, json_t **value, struct xn_error *err);
int xn_field_object(const json_t *object, const char *name, json_t **value, struct xn_error *err);
// A text or an array of up to `most` texts, of which empty ones are dropped: copied to *strings (xn_strings_free).
int xn_field_strings(const json_t *object, const char *name, size_t most, char ***strings, size_t *n,
                     struct xn_error *err);
void xn_strings_free(char **strings, size_t n); // accepts NULL
// "a string", "an array", ... for messages.
const char *xn_json_kind(const json_t *value);

// The field's name that a message begins with ("messages[2].content: ..."), copied into name; false: with none.
bool xn_field_named(const char *message, char name[96]);
