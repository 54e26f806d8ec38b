// xenon info: what a model is made of, and the memory that it needs.
#include "api/select.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "device/host.h"
#include "engine/context.h"
#include "engine/plan.h"
#include "model/recipe.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// ORDER as in the enums of model/recipe.h.
static const char *const mixer_names[] = {"none",    "attention",        "latent attention", "gated delta net",
                                          "Mamba-2", "short convolution"};
static const char *const ffn_names[] = {"none", "dense", "experts"};
static const char *const rope_names[] = {"none", "halves", "pairs"};
static const char *const activation_names[] = {"silu", "gelu", "gelu_tanh", "gelu_quick", "relu", "relu2"};
static const char *const router_names[] = {"softmax", "sigmoid"};
#define NAME(names, i) ((size_t)(i) < sizeof(names) / sizeof *(names) ? (names)[i] : "other")

// --- layers: one JSON object of each half; layers of equal objects are shown together ---

static void put_int(json_t *o, const char *key, uint64_t value) {
    if (value) json_object_set_new(o, key, json_integer((json_int_t)value));
}

static void put_yes(json_t *o, const char *key, bool value) {
    if (value) json_object_set_new(o, key, json_true());
}

static void describe_attention(json_t *o, const struct xn_attention *a) {
    put_int(o, "heads", a->heads);
    put_int(o, "kv_heads", a->kv_heads);
    put_int(o, "head_size", a->head_size);
    if (a->value_size != a->head_size) put_int(o, "value_size", a->value_size);
    put_int(o, "window", a->window);
    json_object_set_new(o, "rope", json_string(NAME(rope_names, a->rope.kind)));
    put_int(o, "rope_dims", a->rope.kind == XN_ROPE_NONE ? 0 : a->rope.dims);
    put_yes(o, "qk_norm", a->q_norm.kind != XN_NORM_NONE);
    put_yes(o, "bias", a->q_bias != NULL);
    put_yes(o, "sinks", a->sinks != NULL);
    put_yes(o, "output_gate", a->output_gate);
    put_yes(o, "shares_cache", a->shares_cache);
    if (a->soft_cap > 0) json_object_set_new(o, "soft_cap", xn_json_number(a->soft_cap));
}

static void describe_delta_net(json_t *o, const struct xn_delta_net *d) {
    put_int(o, "key_heads", d->key_heads);
    put_int(o, "value_heads", d->value_heads);
    put_int(o, "key_size", d->key_size);
    put_int(o, "value_size", d->value_size);
    put_int(o, "kernel", d->kernel);
}

static void describe_latent(json_t *o, const struct xn_latent_attention *a) {
    put_int(o, "heads", a->heads);
    put_int(o, "rank", a->rank);
    put_int(o, "query_rank", a->q_rank);
    put_int(o, "nope_size", a->nope_size);
    put_int(o, "rope_dims", a->rope_size);
    put_int(o, "value_size", a->value_size);
}

static void describe_state_space(json_t *o, const struct xn_state_space *s) {
    put_int(o, "heads", s->heads);
    put_int(o, "head_size", s->head_size);
    put_int(o, "groups", s->groups);
    put_int(o, "state_size", s->state_size);
    put_int(o, "kernel", s->kernel);
}

static void describe_short_conv(json_t *o, const struct xn_short_conv *s) {
    put_int(o, "channels", s->channels);
    put_int(o, "kernel", s->kernel);
}

static json_t *describe_one_mixer(const struct xn_mixer *mixer) {
    json_t *o = json_pack("{s:s}", "kind", NAME(mixer_names, mixer->kind));
    switch (mixer->kind) {
    case XN_MIXER_ATTENTION:
        describe_attention(o, &mixer->attention);
        break;
    case XN_MIXER_LATENT:
        describe_latent(o, &mixer->latent);
        break;
    case XN_MIXER_DELTA_NET:
        describe_delta_net(o, &mixer->delta_net);
        break;
    case XN_MIXER_STATE_SPACE:
        describe_state_space(o, &mixer->state_space);
        break;
    case XN_MIXER_SHORT_CONV:
        describe_short_conv(o, &mixer->short_conv);
        break;
    case XN_MIXER_NONE:
        break;
    }
    return o;
}

static json_t *describe_mixer(const struct xn_layer *layer) {
    json_t *o = describe_one_mixer(&layer->mixer);
    if (layer->beside) json_object_set_new(o, "beside", describe_one_mixer(layer->beside));
    return o;
}

static json_t *describe_ffn(const struct xn_layer *layer) {
    json_t *o = json_pack("{s:s}", "kind", NAME(ffn_names, layer->ffn.kind));
    if (layer->ffn.kind == XN_FFN_DENSE) {
        put_int(o, "size", layer->ffn.dense.up.rows);
        put_yes(o, "gated", layer->ffn.dense.gate.rows != 0);
        json_object_set_new(o, "activation", json_string(NAME(activation_names, layer->ffn.dense.glu.activation)));
    }
    if (layer->ffn.kind == XN_FFN_EXPERTS) {
        const struct xn_experts *e = &layer->ffn.experts;
        put_int(o, "experts", e->up.count);
        put_int(o, "used", e->used);
        put_int(o, "size", e->up.rows);
        put_int(o, "shared_size", e->shared.up.rows);
        put_int(o, "latent_size", e->latent_in.rows);
        json_object_set_new(o, "router", json_string(NAME(router_names, e->score)));
        json_object_set_new(o, "activation", json_string(NAME(activation_names, e->glu.activation)));
    }
    return o;
}

// Array of {"layers": how many, ...description}, in the order of first appearance.
static json_t *group_layers(const struct xn_recipe *recipe, json_t *describe(const struct xn_layer *)) {
    json_t *groups = json_array();
    for (uint32_t i = 0; i < recipe->n_layers; i++) {
        json_t *description = describe(&recipe->layers[i]), *group;
        size_t at;
        json_array_foreach(groups, at, group) {
            if (!json_equal(json_object_get(group, "is"), description)) continue;
            json_object_set_new(group, "layers",
                                json_integer(json_integer_value(json_object_get(group, "layers")) + 1));
            break;
        }
        if (at == json_array_size(groups))
            json_array_append_new(groups, json_pack("{s:i s:O}", "layers", 1, "is", description));
        json_decref(description);
    }
    return groups;
}

static void print_values(const json_t *is) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)is, key, value) {
        if (strcmp(key, "kind") == 0) continue;
        printf(", %s", key);
        if (json_is_integer(value)) printf(" %" JSON_INTEGER_FORMAT, json_integer_value(value));
        if (json_is_real(value)) printf(" %g", json_real_value(value));
        if (json_is_string(value)) printf(" %s", json_string_value(value));
        if (!json_is_object(value)) continue;
        printf(" %s", json_string_value(json_object_get(value, "kind"))); // a mixer beside the first
        print_values(value);
    }
}

static void print_groups(const char *title, const json_t *groups) {
    size_t i;
    json_t *group;
    json_array_foreach(groups, i, group) {
        const json_t *is = json_object_get(group, "is");
        printf("%-12s %" JSON_INTEGER_FORMAT " x %s", i ? "" : title,
               json_integer_value(json_object_get(group, "layers")), json_string_value(json_object_get(is, "kind")));
        print_values(is);
        putchar('\n');
    }
}

// --- tensors ---

static const char *type_name(uint32_t type) {
    const struct xn_format *format = xn_format_of(type);
    return format ? format->name : "unknown";
}

// {"Q4_K": {"tensors": n, "bytes": n}, ...}
static json_t *count_formats(const struct xn_source *source) {
    json_t *formats = json_object();
    for (size_t i = 0; i < xn_source_n_tensors(source); i++) {
        const struct xn_tensor *t = xn_source_tensor_at(source, i);
        json_t *row = json_object_get(formats, type_name(t->type));
        json_int_t n = json_integer_value(json_object_get(row, "tensors")),
                   bytes = json_integer_value(json_object_get(row, "bytes"));
        json_object_set_new(formats, type_name(t->type),
                            json_pack("{s:I s:I}", "tensors", n + 1, "bytes", bytes + (json_int_t)t->bytes));
    }
    return formats;
}

// Bytes of the distinct files that hold the tensors (those of a file stand together).
static uint64_t file_bytes(const struct xn_source *source) {
    uint64_t bytes = 0;
    const char *last = "";
    for (size_t i = 0; i < xn_source_n_tensors(source); i++) {
        const char *file = xn_source_tensor_at(source, i)->file;
        struct stat st;
        if (strcmp(file, last) != 0 && stat(file, &st) == 0) bytes += (uint64_t)st.st_size;
        last = file;
    }
    return bytes;
}

static json_t *list_tensors(const struct xn_source *source) {
    json_t *list = json_array();
    for (size_t i = 0; i < xn_source_n_tensors(source); i++) {
        const struct xn_tensor *t = xn_source_tensor_at(source, i);
        json_t *dims = json_array();
        for (uint32_t d = 0; d < t->n_dims; d++)
            json_array_append_new(dims, json_integer((json_int_t)t->dims[d]));
        json_array_append_new(list, json_pack("{s:o s:s s:o s:I s:o s:I}", "name", xn_json_word(t->name), "type",
                                              type_name(t->type), "dims", dims, "bytes", (json_int_t)t->bytes, "file",
                                              xn_json_word(t->file), "offset", (json_int_t)t->offset));
    }
    return list;
}

static void print_tensors(const struct xn_source *source) {
    puts("\ntensors");
    for (size_t i = 0; i < xn_source_n_tensors(source); i++) {
        const struct xn_tensor *t = xn_source_tensor_at(source, i);
        char dims[96], name[256];
        int n = 0;
        for (uint32_t d = 0; d < t->n_dims && n >= 0 && (size_t)n < sizeof dims; d++)
            n += snprintf(dims + n, sizeof dims - (size_t)n, "%s%" PRIu64, d ? " x " : "", t->dims[d]);
        printf("  %-8s %14zu  %-24s %s\n", type_name(t->type), t->bytes, t->n_dims ? dims : "scalar",
               xn_printable(t->name, name, sizeof name));
    }
}

// --- memory by context ---

// Of its weights a plan's memory depends on the shapes alone: nothing is packed.
static int pack_shape(void *user, const struct xn_matrix *matrix, struct xn_weights **out, struct xn_error *err) {
    *out = xn_arena_alloc(user, 1, sizeof **out);
    if (!*out) return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", matrix->name);
    return xn_host_describe_weights(matrix, *out, err);
}

// The device that would run the plan in a context of the default size: of several, perhaps one.
static int place(const struct xn_recipe *recipe, const struct xn_plan *plan, uint32_t cache_type,
                 struct xn_device *device, struct xn_device **use, struct xn_error *err) {
    *use = device;
    if (!device->table->place) return XN_OK;
    struct xn_context_options o =
        xn_context_chosen(recipe, plan, &(struct xn_context_options){.cache_type = cache_type});
    struct xn_limits limits = xn_context_limits(plan, &o);
    return device->table->place(device, plan, &limits, NULL, use, err);
}

// Array of {"context", "cache_bytes", "activation_bytes", "total_bytes"} for one sequence and batches of 512.
static int memory_table(const struct xn_recipe *recipe, const struct xn_model_options *options, uint64_t weights,
                        json_t **out, struct xn_error *err) {
    enum { PAGE = 64, BATCH = 512, FIRST = 2048 };
    struct xn_device *device, *use;
    struct xn_arena arena = {0};
    struct xn_plan plan = {0};
    XN_TRY(xn_loaded_device(options, &device, err));
    int status = xn_plan_build(recipe, pack_shape, &arena, &arena, &plan, err);
    if (status == XN_OK) status = place(recipe, &plan, xn_cache_type(options), device, &use, err);
    *out = json_array();
    uint64_t longest = recipe->context ? recipe->context : FIRST;
    for (uint64_t context = FIRST < longest ? FIRST : longest; status == XN_OK;) {
        struct xn_limits limits = {.rows = BATCH,
                                   .outputs = 1,
                                   .page_size = PAGE,
                                   .pages = (uint32_t)((context + PAGE - 1) / PAGE),
                                   .slots = 1 + xn_checkpoints_chosen(&plan, 0),
                                   .cache_type = xn_cache_type(options)};
        uint64_t cache = 0, activations = 0;
        use->table->memory(use, &plan, &limits, &cache, &activations);
        json_array_append_new(*out, json_pack("{s:I s:I s:I s:I}", "context", (json_int_t)context, "cache_bytes",
                                              (json_int_t)cache, "activation_bytes", (json_int_t)activations,
                                              "total_bytes", (json_int_t)(weights + cache + activations)));
        if (context == longest) break;
        context = context * 4 < longest ? context * 4 : longest;
    }
    xn_arena_free(&arena);
    device->table->free(device);
    return status;
}

static void print_memory(const json_t *table) {
    size_t i;
    json_t *row;
    printf("memory       %10s %12s %12s %12s\n", "context", "cache", "activations", "with weights");
    json_array_foreach(table, i, row) {
        printf("             %10" JSON_INTEGER_FORMAT " %9.1f MB %9.1f MB %9.1f MB\n",
               json_integer_value(json_object_get(row, "context")),
               (double)json_integer_value(json_object_get(row, "cache_bytes")) / 1e6,
               (double)json_integer_value(json_object_get(row, "activation_bytes")) / 1e6,
               (double)json_integer_value(json_object_get(row, "total_bytes")) / 1e6);
    }
}

// --- everything ---

static const char *count_text(char text[32], uint64_t n) {
    if (n >= 1000000000)
        snprintf(text, 32, "%.2f B", (double)n / 1e9);
    else
        snprintf(text, 32, "%.2f M", (double)n / 1e6);
    return text;
}

static void print_text(const struct xn_source *source, const struct xn_recipe *r, const struct xn_recipe_sizes *sizes,
                       const json_t *mixers, const json_t *ffns, const json_t *formats, const json_t *memory) {
    char a[32], b[32], name[256];
    const char *key;
    json_t *value;
    printf("model        %s (%s)\n", xn_printable(r->name ? r->name : source->path, name, sizeof name), r->family);
    printf("file         %s, %.1f MB\n", source->path, (double)file_bytes(source) / 1e6);
    printf("parameters   %s, %s active\n", count_text(a, sizes->parameters), count_text(b, sizes->active_parameters));
    printf("weights      %.1f MB, %.1f MB read for one token\n", (double)sizes->bytes / 1e6,
           (double)sizes->active_bytes / 1e6);
    printf("hidden       %u\nvocabulary   %u\ncontext      %u\nlayers       %u\n", r->hidden, r->vocab, r->context,
           r->n_layers);
    print_groups("mixers", mixers);
    print_groups("feed-forward", ffns);
    printf("chat         %s\n", source->chat_template ? "template" : "no template");
    const char *title = "formats";
    json_object_foreach((json_t *)formats, key, value) {
        printf("%-12s %-8s %4" JSON_INTEGER_FORMAT " tensors, %.1f MB\n", title, key,
               json_integer_value(json_object_get(value, "tensors")),
               (double)json_integer_value(json_object_get(value, "bytes")) / 1e6);
        title = "";
    }
    print_memory(memory);
}

static int show(const char *path, const struct xn_model_options *options, bool json, bool tensors,
                struct xn_error *err) {
    struct xn_source *source = NULL;
    struct xn_recipe r = {0};
    json_t *memory = NULL;
    XN_TRY(xn_source_open(path, &source, err));
    int status = xn_recipe_read(source, &r, err);
    if (status != XN_OK) {
        xn_source_close(source);
        return status;
    }
    struct xn_recipe_sizes sizes = xn_recipe_sizes(&r);
    status = memory_table(&r, options, sizes.bytes, &memory, err);
    json_t *mixers = group_layers(&r, describe_mixer), *ffns = group_layers(&r, describe_ffn),
           *formats = count_formats(source);
    if (status == XN_OK && json) {
        json_t *o = json_pack("{s:s s:s s:s s:I s:I s:I s:I s:I s:I s:I s:I s:I s:O s:O s:b s:O s:O}", "path", path,
                              "name", r.name ? r.name : "", "family", r.family, "file_bytes",
                              (json_int_t)file_bytes(source), "parameters", (json_int_t)sizes.parameters,
                              "active_parameters", (json_int_t)sizes.active_parameters, "bytes",
                              (json_int_t)sizes.bytes, "active_bytes", (json_int_t)sizes.active_bytes, "hidden",
                              (json_int_t)r.hidden, "vocab", (json_int_t)r.vocab, "context", (json_int_t)r.context,
                              "n_layers", (json_int_t)r.n_layers, "mixers", mixers, "feed_forward", ffns,
                              "chat_template", source->chat_template != NULL, "formats", formats, "memory", memory);
        if (tensors) json_object_set_new(o, "tensors", list_tensors(source));
        xn_cli_print_json(o);
    } else if (status == XN_OK) {
        print_text(source, &r, &sizes, mixers, ffns, formats, memory);
        if (tensors) print_tensors(source);
    }
    json_decref(mixers);
    json_decref(ffns);
    json_decref(formats);
    json_decref(memory);
    xn_recipe_free(&r);
    xn_source_close(source);
    return status;
}

int xn_command_info(int argc, char **argv) {
    struct xn_model_options model_options = XN_MODEL_DEFAULTS;
    bool json = false, tensors = false;
    const struct xn_option options[] = {
        {0, "tensors", XN_OPTION_FLAG, &tensors, NULL, "list every tensor", 0, 0, NULL},
        XN_JSON_OPTION(json),
        XN_MODEL_OPTIONS(model_options, "auto"),
        XN_OPTIONS_END,
    };
    const struct xn_usage usage = {
        .command = "info",
        .synopsis = "MODEL [options]",
        .about = "Says what a model is made of: its family and sizes, layers by kind, tensors by format, and the "
                 "memory that it\n"
                 "needs by length of the context (one sequence, batches of 512).",
        .options = options,
        .min_arguments = 1,
        .max_arguments = 1,
        .examples = "  xenon info model.gguf\n  xenon info qwen3/ --tensors\n  xenon info model.gguf --json",
    };
    size_t n;
    int exit_status = xn_options(&usage, argc, argv, &n);
    if (exit_status >= 0) return exit_status;
    struct xn_error err;
    return show(argv[1], &model_options, json, tensors, &err) == XN_OK ? XN_EXIT_OK : xn_cli_fail(&err);
}
