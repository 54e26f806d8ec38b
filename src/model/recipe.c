// Finds a source's family and lets it fill the recipe.
#include "model/recipe.h"
#include "model/families/families.h"

#include <stdio.h>
#include <string.h>

static const struct xn_family *const families[] = {
#define X(name) &xn_family_##name,
    XN_FAMILY_LIST(X)
#undef X
};
enum { FAMILIES = sizeof families / sizeof *families };

void xn_build_fail(struct xn_builder *b, int status, const char *format, ...) {
    if (b->status) return;
    char message[sizeof b->err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    b->status = xn_fail(b->err, status, "%s", message);
}

void *xn_build_alloc(struct xn_builder *b, size_t n, size_t size) {
    if (b->status) return NULL;
    void *memory = xn_arena_alloc(&b->recipe->arena, n, size);
    if (!memory) xn_build_fail(b, XN_ERR_NOMEM, "%s: out of memory reading the model's description", b->config_path);
    return memory;
}

static bool listed(const char *const *names, const char *name) {
    for (; *names; names++)
        if (strcmp(*names, name) == 0) return true;
    return false;
}

static const struct xn_family *family_named(const char *name, bool folder) {
    for (int i = 0; name && i < FAMILIES; i++)
        if (listed(folder ? families[i]->hf : families[i]->gguf, name)) return families[i];
    return NULL;
}

// Levenshtein distance; names longer than the row count as far away.
static size_t edit_distance(const char *a, const char *b) {
    enum { MOST = 64 };
    size_t row[MOST + 1], na = strlen(a), nb = strlen(b);
    if (nb > MOST || na > MOST) return SIZE_MAX;
    for (size_t j = 0; j <= nb; j++)
        row[j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t above = row[j], best = diagonal + (a[i - 1] != b[j - 1]);
            if (above + 1 < best) best = above + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = above;
            row[j] = best;
        }
    }
    return row[nb];
}

// The least distance of a family's names, in either container, from one.
static size_t family_distance(const struct xn_family *family, const char *name) {
    size_t best = edit_distance(name, family->name);
    const char *const *const lists[] = {family->hf, family->gguf};
    for (int l = 0; l < 2; l++)
        for (const char *const *other = lists[l]; *other; other++) {
            size_t distance = edit_distance(name, *other);
            if (distance < best) best = distance;
        }
    return best;
}

// All families' names, with commas between them.
static const char *known_families(struct xn_builder *b) {
    size_t size = 1, at = 0;
    for (int i = 0; i < FAMILIES; i++)
        size += strlen(families[i]->name) + 2;
    char *known = xn_build_alloc(b, size, 1);
    for (int i = 0; known && i < FAMILIES; i++)
        at += (size_t)snprintf(known + at, size - at, "%s%s", i ? ", " : "", families[i]->name);
    return known;
}

static void unknown_family(struct xn_builder *b, const char *key, const char *name) {
    const char *nearest = families[0]->name, *known = known_families(b);
    size_t best = SIZE_MAX;
    for (int i = 0; i < FAMILIES; i++) {
        size_t distance = family_distance(families[i], name);
        if (distance < best) {
            best = distance;
            nearest = families[i]->name;
        }
    }
    xn_build_fail(b, XN_ERR_UNSUPPORTED, "%s: %s is '%.64s', a family that is not known; the nearest is %s; known: %s",
                  b->config_path, key, name, nearest, known);
}

static void check_quantization(struct xn_builder *b, const json_t *quantization) {
    if (!json_is_object(quantization) || b->status) return;
    const char *method = json_string_value(json_object_get(quantization, "quant_method"));
    if (method && strcmp(method, "mxfp4") == 0 && b->family->mxfp4) return;
    xn_build_fail(
        b, XN_ERR_UNSUPPORTED,
        "%s: quantization_config is set (%.64s); of folders of %s, weights in bfloat16, float16%s are supported",
        b->config_path, method ? method : "without a quant_method", b->family->name,
        b->family->mxfp4 ? ", float32 and experts in mxfp4" : " and float32");
}

// The family by the language model's own type, then the wrapper's, then the class names.
static void identify_folder(struct xn_builder *b) {
    const json_t *root = b->source->config, *text = json_object_get(root, "text_config");
    b->config = json_is_object(text) ? text : root;
    const json_t *objects[] = {b->config, root};
    const char *type = NULL;
    for (int o = 0; o < 2 && !b->family; o++) {
        const char *name = json_string_value(json_object_get(objects[o], "model_type"));
        if (!type) type = name;
        b->family = family_named(name, true);
    }
    size_t i;
    json_t *element;
    for (int o = 0; o < 2 && !b->family; o++) {
        json_array_foreach(json_object_get(objects[o], "architectures"), i, element) {
            const char *name = json_string_value(element);
            if (!type) type = name;
            if (!b->family) b->family = family_named(name, true);
        }
    }
    if (!type)
        xn_build_fail(b, XN_ERR_FORMAT, "%s: model_type is missing", b->config_path);
    else if (!b->family)
        unknown_family(b, "model_type", type);
    for (int o = 0; o < 2; o++)
        check_quantization(b, json_object_get(objects[o], "quantization_config"));
}

static void identify_gguf(struct xn_builder *b) {
    static const char key[] = "general.architecture";
    const struct xn_gguf_value *v = xn_gguf_find(b->source->gguf, key);
    if (!v || v->kind != XN_GGUF_STRING || v->n != 1 || v->strings[0].size >= sizeof b->arch) {
        xn_build_fail(b, XN_ERR_FORMAT, "%s: %s is missing or not a name", b->config_path, key);
        return;
    }
    if (v->strings[0].size) memcpy(b->arch, v->strings[0].data, v->strings[0].size);
    b->family = family_named(b->arch, false);
    if (!b->family) unknown_family(b, key, b->arch);
}

// What the folder's tensor names begin with: plain models, then the wrappers that put a language model beside other
// parts.
static void find_prefix(struct xn_builder *b) {
    static const char *const prefixes[] = {"model.",
                                           "model.language_model.",
                                           "language_model.model.",
                                           "model.text_model.",
                                           "language_model.",
                                           "backbone.",
                                           "model.backbone.",
                                           ""};
    static const enum xn_tensor_role signs[] = {XN_T_EMBEDDING, XN_T_FINAL_NORM};
    for (int s = 0; b->config && s < 2; s++)
        for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
            snprintf(b->prefix, sizeof b->prefix, "%s", prefixes[i]);
            if (xn_tensor_find(b, signs[s], XN_NO_LAYER)) return;
        }
    if (b->config) snprintf(b->prefix, sizeof b->prefix, "%s", prefixes[0]); // for the message of what is missing
}

static void read_name(struct xn_builder *b) {
    struct xn_recipe *r = b->recipe;
    if (b->config) { // a folder's own name
        const char *path = b->source->path;
        size_t end = strlen(path);
        while (end && path[end - 1] == '/')
            end--;
        size_t begin = end;
        while (begin && path[begin - 1] != '/')
            begin--;
        if (begin < end && (r->name = xn_build_alloc(b, end - begin + 1, 1)))
            memcpy(r->name, path + begin, end - begin);
        return;
    }
    const struct xn_gguf_value *v = xn_gguf_find(b->source->gguf, "general.name");
    if (!v || v->kind != XN_GGUF_STRING || v->n != 1 || v->strings[0].size == 0) return;
    if ((r->name = xn_build_alloc(b, v->strings[0].size + 1, 1)))
        memcpy(r->name, v->strings[0].data, v->strings[0].size);
}

int xn_recipe_read(const struct xn_source *source, struct xn_recipe *recipe, struct xn_error *err) {
    *recipe = (struct xn_recipe){0};
    struct xn_builder b = {.source = source, .recipe = recipe, .err = err};
    snprintf(b.config_path, sizeof b.config_path, "%s%s", source->path, source->gguf ? "" : "/config.json");
    if (source->gguf)
        identify_gguf(&b);
    else
        identify_folder(&b);
    if (!b.status) {
        recipe->family = b.family->name;
        find_prefix(&b);
        read_name(&b);
        b.family->read(&b);
    }
    if (b.status) xn_recipe_free(recipe);
    return b.status;
}

void xn_recipe_free(struct xn_recipe *recipe) {
    xn_arena_free(&recipe->arena);
    *recipe = (struct xn_recipe){0};
}
