// For tests: a recipe read from a folder or file, and what a failure to read one must look like.
#pragma once

#include "model/recipe.h"
#include "tiny_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

// The recipe holds something where status is XN_OK; the source is open in any case, until end_reading.
struct reading {
    struct xn_source *source;
    struct xn_recipe recipe;
    struct xn_error err;
    int status;
};

static inline void read_path(struct reading *r, const char *path) {
    r->err.message[0] = 0;
    if (xn_source_open(path, &r->source, &r->err)) fail_msg("%s", r->err.message);
    r->status = xn_recipe_read(r->source, &r->recipe, &r->err);
}

static inline void end_reading(struct reading *r) {
    xn_recipe_free(&r->recipe);
    xn_source_close(r->source);
}

// Reads a folder of config (a reference is taken over) and tensors.
static inline void read_tiny(struct reading *r, json_t *config, const struct tiny_tensor *tensors, size_t n) {
    const char *folder = tiny_folder(config, tensors, n);
    json_decref(config);
    read_path(r, folder);
    tiny_remove(folder);
}

static inline json_t *parse(const char *text) {
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    return value;
}

// A configuration with one key changed (value NULL: left out; key NULL: none).
static inline json_t *config_with(const char *text, const char *key, const char *value) {
    json_t *config = parse(text);
    if (key && value)
        json_object_set_new(config, key, parse(value));
    else if (key)
        json_object_del(config, key);
    return config;
}

// A failure of this status, whose one line names `part`; nothing is left in the recipe. Ends the reading.
static inline void expect_failure(struct reading *r, int status, const char *part, const char *what) {
    if (r->status != status) fail_msg("%s: status %d, expected %d (%s)", what, r->status, status, r->err.message);
    if (!strstr(r->err.message, part)) fail_msg("%s: '%s' does not name '%s'", what, r->err.message, part);
    assert_null(strchr(r->err.message, '\n'));
    assert_null(r->recipe.layers);
    end_reading(r);
}
