// The rope that a source describes: rope_parameters (transformers 5), rope_theta with rope_scaling (before), or GGUF's
// rope.*.
#include "model/builder.h"
#include "model/rope.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    enum xn_rope_scaling scaling;
} scalings[] = {
    {"default", XN_SCALING_DEFAULT},
    {"none", XN_SCALING_DEFAULT},
    {"mrope", XN_SCALING_DEFAULT}, // its three positions of an image are one and the same in text
    {"dynamic", XN_SCALING_DYNAMIC},
    {"linear", XN_SCALING_LINEAR},
    {"llama3", XN_SCALING_LLAMA3},
    {"yarn", XN_SCALING_YARN},
    {"longrope", XN_SCALING_LONGROPE},
    {"su", XN_SCALING_LONGROPE},
    {"proportional", XN_SCALING_PROPORTIONAL},
};

static enum xn_rope_scaling scaling_named(struct xn_builder *b, const char *name) {
    for (size_t i = 0; i < sizeof scalings / sizeof *scalings; i++)
        if (strcmp(name, scalings[i].name) == 0) return scalings[i].scaling;
    xn_build_fail(b, XN_ERR_UNSUPPORTED,
                  "%s: rope type '%.64s' is not supported; known: default, dynamic, linear, llama3, yarn, longrope, "
                  "proportional",
                  b->config_path, name);
    return XN_SCALING_DEFAULT;
}

static const json_t *object_in(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_object(value) && json_object_size(value) ? value : NULL;
}

// Where a folder says what: the parameters of this kind of layer, and the older rope_scaling, which wins over them.
struct places {
    const json_t *scaling, *params;
    bool by_layer_type; // params is one entry of several
};
static struct places find_places(const struct xn_builder *b, const char *layer_type) {
    struct places p = {.scaling = object_in(b->config, "rope_scaling"),
                       .params = object_in(b->config, "rope_parameters")};
    const json_t *full = json_object_get(p.params, "full_attention"),
                 *sliding = json_object_get(p.params, "sliding_attention");
    p.by_layer_type = full || sliding;
    if (p.by_layer_type) p.params = object_in(p.params, layer_type ? layer_type : "full_attention");
    if (layer_type && strcmp(layer_type, "sliding_attention") == 0)
        p.scaling = NULL; // it stretches full attention alone
    return p;
}

static bool find(struct xn_builder *b, const struct places *p, enum xn_param param, double *value) {
    return xn_param_find_in(b, p->scaling, param, value) || xn_param_find_in(b, p->params, param, value);
}

static double real(struct xn_builder *b, const struct places *p, enum xn_param param, double fallback) {
    double value;
    return find(b, p, param, &value) ? value : fallback;
}

static const char *type_name(const struct places *p) {
    static const char *const keys[] = {"rope_type", "type"};
    const json_t *objects[] = {p->scaling, p->params};
    for (int o = 0; o < 2; o++)
        for (int k = 0; k < 2; k++) {
            const char *name = json_string_value(json_object_get(objects[o], keys[k]));
            if (name) return name;
        }
    return "default";
}

static const float *json_factors(struct xn_builder *b, const struct places *p, const char *key, uint32_t n) {
    const json_t *list = json_object_get(p->scaling, key);
    if (!list) list = json_object_get(p->params, key);
    if (!json_is_array(list) || json_array_size(list) != n) {
        xn_build_fail(b, XN_ERR_FORMAT, "%s: the rope's %s has %zu numbers, expected %u", b->config_path, key,
                      json_is_array(list) ? json_array_size(list) : (size_t)0, n);
        return NULL;
    }
    float *factors = xn_build_alloc(b, n, sizeof *factors);
    for (uint32_t i = 0; factors && i < n; i++) {
        factors[i] = (float)json_number_value(json_array_get(list, i));
        if (!(factors[i] > 0)) {
            xn_build_fail(b, XN_ERR_FORMAT, "%s: the rope's %s[%u] is not a positive number", b->config_path, key, i);
            return NULL;
        }
    }
    return factors;
}

// What becomes of a rope: its first set of frequencies, and how others follow the sequence's length.
struct reading {
    struct xn_rope_params params;
    const float *long_divisors; // LongRoPE's, beyond params.original positions; NULL: none
    double extra;               // a factor of the magnitude
    double query_beta;
};

static void check_dims(struct xn_builder *b, uint32_t dims, uint32_t head_size) {
    if (dims >= 2 && dims % 2 == 0 && dims <= head_size) return;
    xn_build_fail(b, XN_ERR_FORMAT, "%s: the rope rotates %u values of a head, expected an even number from 2 to %u",
                  b->config_path, dims, head_size);
}

static void read_folder(struct xn_builder *b, uint32_t head_size, const char *layer_type, struct reading *out) {
    struct xn_rope_params *r = &out->params;
    struct places p = find_places(b, layer_type);
    bool local = layer_type && strcmp(layer_type, "sliding_attention") == 0;
    double top, context = b->recipe->context;
    r->theta = real(b, &p, XN_P_ROPE_THETA, xn_param_real(b, local ? XN_P_ROPE_LOCAL_THETA : XN_P_ROPE_THETA, 10000));
    r->share = real(b, &p, XN_P_ROPE_PARTIAL, xn_param_real(b, XN_P_ROPE_PARTIAL, 1));
    r->scaling = scaling_named(b, type_name(&p));
    r->dims = r->scaling == XN_SCALING_PROPORTIONAL ? head_size : (uint32_t)(head_size * r->share);
    check_dims(b, r->dims, head_size);
    bool has_factors = json_object_get(p.scaling, "long_factor") || json_object_get(p.params, "long_factor");
    if (has_factors && r->scaling == XN_SCALING_YARN) r->scaling = XN_SCALING_LONGROPE; // as early Phi-3 called it
    r->original = real(b, &p, XN_P_ROPE_ORIGINAL, context);
    if (!p.by_layer_type && xn_param_find(b, XN_P_ROPE_ORIGINAL, &top)) r->original = top; // Phi-3 has it outside
    r->magnitude = real(b, &p, XN_P_ROPE_ATTENTION, 0);
    switch (r->scaling) {
    case XN_SCALING_LINEAR:
    case XN_SCALING_LLAMA3:
        r->factor = real(b, &p, XN_P_ROPE_FACTOR, 0);
        r->low = real(b, &p, XN_P_ROPE_LOW, 1);
        r->high = real(b, &p, XN_P_ROPE_HIGH, 4);
        if (r->factor <= 0) xn_build_fail(b, XN_ERR_FORMAT, "%s: the rope's factor is missing", b->config_path);
        r->magnitude = 0;
        break;
    case XN_SCALING_YARN:
        r->beta_fast = real(b, &p, XN_P_ROPE_FAST, 0);
        r->beta_slow = real(b, &p, XN_P_ROPE_SLOW, 0);
        r->mscale = real(b, &p, XN_P_ROPE_MSCALE, 0);
        r->mscale_all_dim = real(b, &p, XN_P_ROPE_MSCALE_ALL, 0);
        // The reference looks for it beside the kinds of layers where each has an entry of its own, and finds none.
        r->truncate = p.by_layer_type || real(b, &p, XN_P_ROPE_TRUNCATE, 1) != 0;
        r->factor = real(b, &p, XN_P_ROPE_FACTOR, context / r->original);
        break;
    case XN_SCALING_LONGROPE:
        r->factor = real(b, &p, XN_P_ROPE_FACTOR, context / r->original);
        r->divisors = json_factors(b, &p, "short_factor", r->dims / 2);
        out->long_divisors = json_factors(b, &p, "long_factor", r->dims / 2);
        break;
    case XN_SCALING_DYNAMIC:
        r->factor = real(b, &p, XN_P_ROPE_FACTOR, 0);
        r->original = context;
        r->magnitude = 0;
        break;
    case XN_SCALING_PROPORTIONAL:
        r->factor = real(b, &p, XN_P_ROPE_FACTOR, 1);
        r->magnitude = 0;
        break;
    default:
        r->magnitude = 0;
    }
    out->query_beta = real(b, &p, XN_P_ROPE_BETA, 0);
}

// A vector of factors, all positive; NULL where the role is absent.
static const float *gguf_factors(struct xn_builder *b, enum xn_tensor_role role, uint32_t n) {
    if (!xn_tensor_find(b, role, XN_NO_LAYER)) return NULL;
    const float *factors = xn_read_vector(b, role, XN_NO_LAYER, n, 0);
    for (uint32_t i = 0; factors && i < n; i++)
        if (!(factors[i] > 0)) {
            xn_build_fail(b, XN_ERR_FORMAT, "%s: a rope factor at %u is %g, expected a positive number", b->config_path,
                          i, factors[i]);
            return NULL;
        }
    return factors;
}

static void read_gguf(struct xn_builder *b, uint32_t head_size, const char *layer_type, struct reading *out) {
    struct xn_rope_params *r = &out->params;
    bool local = layer_type && strcmp(layer_type, "sliding_attention") == 0;
    out->query_beta = xn_param_real(b, XN_P_ROPE_BETA, 0);
    r->dims = xn_param_u32_or(b, XN_P_ROPE_DIMS, head_size);
    if (local) r->dims = xn_param_u32_or(b, XN_P_ROPE_WINDOW_DIMS, r->dims);
    check_dims(b, r->dims, head_size);
    r->theta = xn_param_real(b, local ? XN_P_ROPE_LOCAL_THETA : XN_P_ROPE_THETA, 10000);
    if (local) return;
    const char *type = xn_param_string(b, NULL, "rope.scaling.type");
    r->scaling = scaling_named(b, type ? type : "linear");
    r->original = xn_param_real(b, XN_P_ROPE_ORIGINAL, b->recipe->context);
    r->factor = xn_param_real(b, XN_P_ROPE_FACTOR, xn_param_real(b, XN_P_ROPE_SCALE_LINEAR, 1));
    if (r->factor == 0) r->factor = 1; // how old files say that there is none
    out->extra = xn_param_real(b, XN_P_ROPE_MAGNITUDE, 1);
    if (r->scaling == XN_SCALING_YARN) {
        r->beta_fast = xn_param_real(b, XN_P_ROPE_FAST, 0);
        r->beta_slow = xn_param_real(b, XN_P_ROPE_SLOW, 0);
        r->magnitude = xn_param_real(b, XN_P_ROPE_ATTENTION, 0);
        r->truncate = !b->family->yarn_unrounded;
        r->mscale_all_dim = xn_param_real(b, XN_P_ROPE_MSCALE_ALL, 0);
        r->mscale = r->mscale_all_dim > 0 ? 1 : 0; // the file has no room for another
    } else if (r->scaling == XN_SCALING_LONGROPE) {
        r->magnitude = 1; // extra holds it
    }
    r->divisors = gguf_factors(b, XN_T_ROPE_FREQS, r->dims / 2);
    if (r->divisors) return;
    r->divisors = gguf_factors(b, XN_T_ROPE_SHORT, r->dims / 2);
    out->long_divisors = gguf_factors(b, XN_T_ROPE_LONG, r->dims / 2);
    if (r->divisors && out->long_divisors) return;
    // One of them alone is for every length.
    if (!r->divisors) r->divisors = out->long_divisors;
    out->long_divisors = NULL;
    if (r->scaling == XN_SCALING_LONGROPE && !r->divisors)
        xn_build_fail(b, XN_ERR_FORMAT,
                      "%s: %s.rope.scaling.type is longrope, but rope_factors_short.weight is missing", b->config_path,
                      b->arch);
}

static const float *frequencies(struct xn_builder *b, const struct xn_rope_params *params, float *magnitude) {
    float *frequency = xn_build_alloc(b, params->dims / 2, sizeof *frequency);
    struct xn_error error;
    if (frequency && xn_rope_frequencies(params, frequency, magnitude, &error))
        xn_build_fail(b, error.status, "%s: %s", b->config_path, error.message);
    return frequency;
}

void xn_read_rope(struct xn_builder *b, uint32_t head_size, const char *layer_type, struct xn_rope *out) {
    if (b->status) return;
    struct reading r = {{.scaling = XN_SCALING_DEFAULT, .factor = 1, .original = 1, .low = 1, .high = 4}, .extra = 1};
    if (b->config)
        read_folder(b, head_size, layer_type, &r);
    else
        read_gguf(b, head_size, layer_type, &r);
    struct xn_rope_params *p = &r.params;
    if (p->beta_fast == 0) p->beta_fast = 32;
    if (p->beta_slow == 0) p->beta_slow = 1;
    if (p->scaling == XN_SCALING_DYNAMIC && (p->factor < 1 || p->dims < 4))
        xn_build_fail(b, XN_ERR_FORMAT, "%s: a dynamic rope of %u values with a factor of %g, expected 4 and 1 or more",
                      b->config_path, p->dims, p->factor);
    if (b->status) return;
    float magnitude = 1;
    *out = (struct xn_rope){
        .kind = b->config ? b->family->hf_rope : b->family->gguf_rope,
        .dims = p->dims,
        .frequency = frequencies(b, p, &magnitude),
        .query_beta = (float)r.query_beta,
        .query_period = r.query_beta > 0 ? (uint32_t)p->original : 0,
    };
    out->magnitude = magnitude * (float)r.extra;
    if (r.long_divisors) {
        p->divisors = r.long_divisors;
        out->long_frequency = frequencies(b, p, &magnitude);
    } else if (p->scaling == XN_SCALING_DYNAMIC) {
        out->theta = (float)p->theta;
        out->growth = (float)p->factor;
    }
    if (r.long_divisors || p->scaling == XN_SCALING_DYNAMIC) out->original = (uint32_t)p->original;
}

float xn_read_rope_score_scale(struct xn_builder *b) {
    double all, factor;
    if (b->status) return 1;
    if (b->config) {
        struct places p = find_places(b, NULL);
        if (strcmp(type_name(&p), "default") == 0) return 1;
        all = 0.1 * real(b, &p, XN_P_ROPE_MSCALE_ALL, 0);
        factor = real(b, &p, XN_P_ROPE_FACTOR, 1);
    } else {
        all = xn_param_real(b, XN_P_ROPE_MSCALE_ALL, 0);
        factor = xn_param_real(b, XN_P_ROPE_FACTOR, 1);
    }
    double mscale = factor > 1 ? 1 + all * log(factor) : 1;
    return (float)(mscale * mscale);
}
