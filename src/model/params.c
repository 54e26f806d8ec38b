// Hyper-parameters: one answer from config.json, GGUF metadata and the family's defaults.
#include "model/builder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum kind { INT, REAL, FLAG };
struct param {
    const char *hf, *gguf;
    enum kind kind;
    double low, high;
};
static const struct param common[XN_PARAMS] = {
#define X(name, hf, gguf, kind, low, high) [XN_P_##name] = {hf, gguf, kind, low, high},
    XN_PARAM_LIST(X)
#undef X
};

// The row of a parameter, with what the family calls it.
static struct param param_of(const struct xn_builder *b, enum xn_param param) {
    struct param p = common[param];
    for (const struct xn_param_name *n = b->family->params; n && n->param != XN_PARAMS; n++) {
        if (n->param == param && n->hf) p.hf = n->hf;
        if (n->param == param && n->gguf) p.gguf = n->gguf;
    }
    return p;
}

static bool family_default(const struct xn_builder *b, enum xn_param param, double *value) {
    if (!b->config || !b->family->defaults) return false;
    for (const struct xn_param_default *d = b->family->defaults; d->param != XN_PARAMS; d++)
        if (d->param == param) {
            *value = d->value;
            return true;
        }
    return false;
}

// The value of the first of "a|b" that is there.
static const struct xn_gguf_value *gguf_value(const struct xn_builder *b, const char *keys) {
    while (*keys) {
        char full[128];
        size_t length = strcspn(keys, "|");
        int n = snprintf(full, sizeof full, "%s.%.*s", b->arch, (int)length, keys);
        const struct xn_gguf_value *v = n < (int)sizeof full ? xn_gguf_find(b->source->gguf, full) : NULL;
        if (v) return v;
        keys += length + (keys[length] == '|');
    }
    return NULL;
}

// The value of the first of "a|b" that is there; *found names it.
static const json_t *json_first(const json_t *object, const char *keys, char *found, size_t size) {
    while (*keys) {
        size_t n = strcspn(keys, "|");
        snprintf(found, size, "%.*s", (int)n, keys);
        const json_t *value = json_object_get(object, found);
        if (value) return value;
        keys += n + (keys[n] == '|');
    }
    return NULL;
}

static void check_from(struct xn_builder *b, const struct param *p, const char *key, double low, double *value) {
    static const char *const kinds[] = {[INT] = "an integer", [REAL] = "a number", [FLAG] = "true or false"};
    bool fits = *value >= low && *value <= p->high && (p->kind == REAL || *value == floor(*value));
    if (fits) return;
    xn_build_fail(b, XN_ERR_FORMAT, "%s: %s%s%s is %.10g, expected %s from %.10g to %.10g", b->config_path,
                  b->config ? "" : b->arch, b->config ? "" : ".", key, *value, kinds[p->kind], low, p->high);
    *value = fmax(low, 1);
}

static void check(struct xn_builder *b, const struct param *p, const char *key, double *value) {
    check_from(b, p, key, p->low, value);
}

static bool from_gguf(struct xn_builder *b, const struct param *p, double *value) {
    const struct xn_gguf_value *v = *p->gguf ? gguf_value(b, p->gguf) : NULL;
    if (!v) return false;
    double first = 0;
    for (uint64_t i = 0; i < v->n; i++) {
        double x;
        if (!xn_gguf_float(v, i, &x)) {
            xn_build_fail(b, XN_ERR_FORMAT, "%s: %s is not a number", b->config_path, v->key);
            return false;
        }
        if (i && x != first) {
            xn_build_fail(b, XN_ERR_UNSUPPORTED,
                          "%s: %s differs between layers (%g, then %g), which %s does not expect", b->config_path,
                          v->key, first, x, b->family->name);
            return false;
        }
        first = x;
    }
    if (v->n == 0) return false;
    *value = first;
    check(b, p, v->key + strlen(b->arch) + 1, value);
    return true;
}

// Element i of the array that a source may have in a number's place, 0 allowed; *n: how many there are, 0: no array.
static double array_element(struct xn_builder *b, const struct param *p, uint64_t i, uint64_t *n) {
    char key[64];
    const json_t *array = b->config ? json_first(b->config, p->hf, key, sizeof key) : NULL;
    const struct xn_gguf_value *v = !b->config && *p->gguf ? gguf_value(b, p->gguf) : NULL;
    double value = 0;
    *n = json_is_array(array) ? json_array_size(array) : v && v->is_array ? v->n : 0;
    if (*n == 0) return 0;
    if (v) snprintf(key, sizeof key, "%s", p->gguf);
    bool number = i < *n && (v ? xn_gguf_float(v, i, &value) : json_is_number(json_array_get(array, i)));
    if (!number) {
        xn_build_fail(b, XN_ERR_FORMAT, "%s: %s%s%s has %llu elements and no number at %llu", b->config_path,
                      v ? b->arch : "", v ? "." : "", key, (unsigned long long)*n, (unsigned long long)i);
        return 0;
    }
    if (array) value = json_number_value(json_array_get(array, i));
    check_from(b, p, key, 0, &value);
    return value;
}

// 1: *value is set; 0: absent; -1: null, or not a number (which fails).
static int from_json(struct xn_builder *b, const json_t *object, const struct param *p, double *value) {
    char key[64];
    const json_t *v = json_first(object, p->hf, key, sizeof key);
    if (!v) return 0;
    if (json_is_null(v)) return -1;
    bool is_flag = json_is_boolean(v);
    if (is_flag ? p->kind != FLAG : !json_is_number(v)) {
        xn_build_fail(b, XN_ERR_FORMAT, "%s: %s is %s, expected a number", b->config_path, key,
                      json_is_string(v) ? "a string"
                      : is_flag         ? "a boolean"
                                        : "an array or object");
        return -1;
    }
    *value = is_flag ? json_is_true(v) : json_number_value(v);
    check(b, p, key, value);
    return 1;
}

bool xn_param_find(struct xn_builder *b, enum xn_param param, double *value) {
    if (b->status) return false;
    struct param p = param_of(b, param);
    if (!b->config) return from_gguf(b, &p, value) && !b->status;
    int found = from_json(b, b->config, &p, value);
    if (found == 0) return family_default(b, param, value);
    return found > 0 && !b->status;
}

bool xn_param_find_in(struct xn_builder *b, const json_t *object, enum xn_param param, double *value) {
    if (b->status || !object) return false;
    struct param p = param_of(b, param);
    return from_json(b, object, &p, value) > 0 && !b->status;
}

double xn_param_real(struct xn_builder *b, enum xn_param param, double fallback) {
    double value;
    return xn_param_find(b, param, &value) ? value : fallback;
}

uint32_t xn_param_u32(struct xn_builder *b, enum xn_param param) {
    double value;
    if (xn_param_find(b, param, &value)) return (uint32_t)value;
    struct param p = param_of(b, param);
    if (b->config)
        xn_build_fail(b, XN_ERR_FORMAT, "%s: %s is missing", b->config_path, p.hf);
    else
        xn_build_fail(b, XN_ERR_FORMAT, "%s: %s.%s is missing", b->config_path, b->arch, p.gguf);
    return 1;
}

uint32_t xn_param_u32_or(struct xn_builder *b, enum xn_param param, uint32_t fallback) {
    double value;
    return xn_param_find(b, param, &value) ? (uint32_t)value : fallback;
}

uint32_t xn_param_layer(struct xn_builder *b, enum xn_param param, uint32_t layer, uint32_t fallback) {
    uint64_t n;
    struct param p = param_of(b, param);
    double element = b->status ? 0 : array_element(b, &p, layer, &n);
    if (b->status) return fallback;
    return n ? (uint32_t)element : xn_param_u32_or(b, param, fallback);
}

uint32_t xn_param_most(struct xn_builder *b, enum xn_param param, uint32_t fallback) {
    uint64_t n = 0;
    struct param p = param_of(b, param);
    double most = b->status ? 0 : array_element(b, &p, 0, &n);
    for (uint64_t i = 1; i < n && !b->status; i++)
        most = fmax(most, array_element(b, &p, i, &n));
    if (b->status) return fallback;
    if (n == 0) return xn_param_u32_or(b, param, fallback);
    return most > 0 ? (uint32_t)most : fallback;
}

bool xn_param_flag(struct xn_builder *b, enum xn_param param, bool fallback) {
    double value;
    return xn_param_find(b, param, &value) ? value != 0 : fallback;
}

const char *xn_param_string(struct xn_builder *b, const char *hf_key, const char *gguf_key) {
    if (b->status) return NULL;
    if (b->config) return hf_key ? json_string_value(json_object_get(b->config, hf_key)) : NULL;
    const struct xn_gguf_value *v = gguf_key ? gguf_value(b, gguf_key) : NULL;
    if (!v || v->kind != XN_GGUF_STRING || v->n != 1) return NULL;
    char *copy = xn_build_alloc(b, v->strings[0].size + 1, 1);
    if (copy && v->strings[0].size) memcpy(copy, v->strings[0].data, v->strings[0].size);
    return copy;
}

bool xn_param_element(struct xn_builder *b, const char *hf_key, const char *gguf_key, uint32_t i, int64_t *value) {
    if (b->status) return false;
    if (!b->config) {
        const struct xn_gguf_value *v = gguf_key ? gguf_value(b, gguf_key) : NULL;
        if (!v || !v->is_array) return false;
        if (xn_gguf_int(v, i, value)) return true;
        xn_build_fail(b, XN_ERR_FORMAT, "%s: %s has no integer at %u", b->config_path, v->key, i);
        return false;
    }
    const json_t *array = hf_key ? json_object_get(b->config, hf_key) : NULL;
    if (!array || json_is_null(array)) return false;
    const json_t *element = json_array_get(array, i);
    if (!json_is_integer(element) && !json_is_boolean(element)) {
        xn_build_fail(b, XN_ERR_FORMAT, "%s: %s has no integer at %u", b->config_path, hf_key, i);
        return false;
    }
    *value = json_is_boolean(element) ? json_is_true(element) : json_integer_value(element);
    return true;
}

void xn_param_factors(struct xn_builder *b, const char *hf_key, uint32_t n, float *out) {
    const json_t *array = b->config ? json_object_get(b->config, hf_key) : NULL;
    bool given = array && !json_is_null(array), fits = json_array_size(array) == n;
    for (uint32_t i = 0; i < n; i++) {
        double value = 1;
        if (given) fits = fits && xn_json_float(json_array_get(array, i), &value) && value > 1e-9 && value < 1e6;
        out[i] = (float)value;
    }
    if (given && !fits)
        xn_build_fail(b, XN_ERR_FORMAT, "%s: %s is not a list of %u positive numbers", b->config_path, hf_key, n);
}

bool xn_param_lists(struct xn_builder *b, const char *hf_key, uint32_t i) {
    if (!b->config) return false;
    size_t at;
    json_t *element;
    json_array_foreach(json_object_get(b->config, hf_key), at, element) {
        if (json_is_integer(element) && json_integer_value(element) == (json_int_t)i) return true;
    }
    return false;
}

static const struct {
    const char *name;
    enum xn_activation activation;
} activations[] = {
    {"silu", XN_ACT_SILU},          {"swish", XN_ACT_SILU},
    {"gelu", XN_ACT_GELU},          {"gelu_pytorch_tanh", XN_ACT_GELU_TANH},
    {"gelu_new", XN_ACT_GELU_TANH}, {"quick_gelu", XN_ACT_GELU_QUICK},
    {"relu", XN_ACT_RELU},          {"relu2", XN_ACT_RELU2},
};

enum xn_activation xn_param_activation(struct xn_builder *b) {
    const char *key = b->family->activation_key ? b->family->activation_key : "hidden_act";
    const char *name = xn_param_string(b, key, NULL);
    if (!name) return b->family->activation;
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++)
        if (strcmp(name, activations[i].name) == 0) return activations[i].activation;
    xn_build_fail(b, XN_ERR_UNSUPPORTED, "%s: %s is '%.64s', which is not supported", b->config_path, key, name);
    return b->family->activation;
}

static const struct {
    const char *name;
    enum xn_layer_type type;
} layer_types[] = {
    {"full_attention", XN_LAYER_FULL},     {"attention", XN_LAYER_FULL}, {"sliding_attention", XN_LAYER_SLIDING},
    {"linear_attention", XN_LAYER_LINEAR}, {"mamba", XN_LAYER_LINEAR},   {"conv", XN_LAYER_LINEAR},
};

enum xn_layer_type xn_layer_type(struct xn_builder *b, uint32_t i, enum xn_layer_type fallback) {
    const char *key = "layer_types";
    const json_t *list = b->config ? json_object_get(b->config, key) : NULL;
    if (!list && b->config) list = json_object_get(b->config, key = "layers_block_type");
    if (!list || json_is_null(list)) return fallback;
    const char *name = json_string_value(json_array_get(list, i));
    for (size_t t = 0; name && t < sizeof layer_types / sizeof *layer_types; t++)
        if (strcmp(name, layer_types[t].name) == 0) return layer_types[t].type;
    xn_build_fail(b, XN_ERR_FORMAT,
                  "%s: %s[%u] is '%.64s', expected full_attention, sliding_attention, linear_attention, mamba or conv",
                  b->config_path, key, i, name ? name : "missing");
    return fallback;
}
