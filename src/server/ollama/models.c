// Which models there are: /api/tags, /api/ps, /api/show; /api/version; and /api/pull of what is there already.
#include "server/ollama/internal.h"

#include "base/memory.h"
#include "format/source.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// The release whose API this follows: some clients ask for a recent one.
static const char api_version[] = "0.13.0";

static void format_time(char text[XN_OLLAMA_TIME], time_t seconds, long nanoseconds) {
    struct tm utc;
    char day[24] = "1970-01-01T00:00:00";
    if (gmtime_r(&seconds, &utc)) strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text, XN_OLLAMA_TIME, "%s.%06uZ", day, (unsigned)nanoseconds / 1000 % 1000000);
}

void xn_ollama_time(char text[XN_OLLAMA_TIME], double seconds_from_now) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    format_time(text, now.tv_sec + (time_t)seconds_from_now, now.tv_nsec);
}

void xn_ollama_time_of(char text[XN_OLLAMA_TIME], int64_t seconds) {
    format_time(text, (time_t)seconds, 0);
}

// Stands for a digest of the file, which would have to be read for it: names one file of one size and time.
static void digest_of(const struct xn_model_entry *entry, char text[65]) {
    uint64_t h = 0xcbf29ce484222325u ^ entry->size * 0x9e3779b97f4a7c15u ^ (uint64_t)entry->created;
    for (const char *p = entry->path; *p; p++)
        h = (h ^ (unsigned char)*p) * 0x100000001b3u;
    for (int i = 0; i < 4; i++) {
        snprintf(text + 16 * i, 17, "%016llx", (unsigned long long)h);
        h = (h ^ (h >> 31)) * 0xbf58476d1ce4e5b9u;
    }
}

// --- what the file says

static char *metadata_text(const struct xn_source *source, const char *key) {
    const struct xn_gguf_value *value = source->gguf ? xn_gguf_find(source->gguf, key) : NULL;
    if (!value || value->kind != XN_GGUF_STRING || value->is_array) return NULL;
    return xn_strndup(value->strings[0].data, value->strings[0].size);
}

static uint64_t count_parameters(const struct xn_source *source) {
    uint64_t sum = 0;
    for (size_t i = 0; i < xn_source_n_tensors(source); i++) {
        const struct xn_tensor *tensor = xn_source_tensor_at(source, i);
        uint64_t n = 1;
        for (uint32_t k = 0; k < tensor->n_dims; k++)
            n *= tensor->dims[k];
        sum += n;
    }
    return sum;
}

// The names of general.file_type, as llama.cpp numbers them.
static const char *file_type(const struct xn_source *source) {
    static const char *const names[] = {
        [0] = "F32",     [1] = "F16",     [2] = "Q4_0",     [3] = "Q4_1",    [7] = "Q8_0",     [8] = "Q5_0",
        [9] = "Q5_1",    [10] = "Q2_K",   [11] = "Q3_K_S",  [12] = "Q3_K_M", [13] = "Q3_K_L",  [14] = "Q4_K_S",
        [15] = "Q4_K_M", [16] = "Q5_K_S", [17] = "Q5_K_M",  [18] = "Q6_K",   [19] = "IQ2_XXS", [20] = "IQ2_XS",
        [21] = "Q2_K_S", [22] = "IQ3_XS", [23] = "IQ3_XXS", [24] = "IQ1_S",  [25] = "IQ4_NL",  [26] = "IQ3_S",
        [27] = "IQ3_M",  [28] = "IQ2_S",  [29] = "IQ2_M",   [30] = "IQ4_XS", [31] = "IQ1_M",   [32] = "BF16",
        [36] = "TQ1_0",  [37] = "TQ2_0",  [38] = "MXFP4"};
    const struct xn_gguf_value *value = source->gguf ? xn_gguf_find(source->gguf, "general.file_type") : NULL;
    int64_t type;
    if (value && xn_gguf_int(value, 0, &type) && type >= 0 && type < (int64_t)(sizeof names / sizeof *names) &&
        names[type])
        return names[type];
    return source->st ? "BF16" : "unknown";
}

static json_t *details_of(const struct xn_source *source) {
    char *family = metadata_text(source, "general.architecture"), size[24];
    const char *named = family ? family : json_string_value(json_object_get(source->config, "model_type"));
    double millions = (double)count_parameters(source) / 1e6;
    snprintf(size, sizeof size, "%.*f%s", millions >= 1000 ? 1 : 2, millions >= 1000 ? millions / 1000 : millions,
             millions >= 1000 ? "B" : "M");
    if (!named) named = "unknown";
    json_t *details = json_pack("{s:s, s:s, s:s, s:[s], s:s, s:s}", "parent_model", "", "format",
                                source->gguf ? "gguf" : "safetensors", "family", named, "families", named,
                                "parameter_size", size, "quantization_level", file_type(source));
    free(family);
    return details;
}

static json_t *value_of(const struct xn_gguf_value *value) {
    int64_t whole;
    double real;
    if (value->is_array) return json_null(); // as Ollama leaves them out
    if (value->kind == XN_GGUF_STRING) return xn_json_text(value->strings[0].data, value->strings[0].size);
    if (value->kind == XN_GGUF_BOOL && xn_gguf_int(value, 0, &whole)) return json_boolean(whole);
    if (value->kind == XN_GGUF_F32 || value->kind == XN_GGUF_F64)
        return xn_gguf_float(value, 0, &real) && isfinite(real) ? json_real(real) : json_null();
    return xn_gguf_int(value, 0, &whole) ? json_integer(whole) : json_null();
}

static json_t *info_of(const struct xn_source *source) {
    json_t *info = json_object();
    for (size_t i = 0; source->gguf && i < xn_gguf_n_values(source->gguf); i++) {
        const struct xn_gguf_value *value = xn_gguf_value_at(source->gguf, i);
        if (strcmp(value->key, "tokenizer.chat_template") != 0) json_object_set_new(info, value->key, value_of(value));
    }
    // A folder's configuration by the names that a GGUF file would have.
    const char *family = json_string_value(json_object_get(source->config, "model_type"));
    if (family) {
        char key[160];
        json_object_set_new(info, "general.architecture", json_string(family));
        json_t *context = json_object_get(source->config, "max_position_embeddings"),
               *width = json_object_get(source->config, "hidden_size");
        snprintf(key, sizeof key, "%.100s.context_length", family);
        if (context) json_object_set(info, key, context);
        snprintf(key, sizeof key, "%.100s.embedding_length", family);
        if (width) json_object_set(info, key, width);
    }
    json_object_set_new(info, "general.parameter_count", json_integer((json_int_t)count_parameters(source)));
    return info;
}

static json_t *capabilities_of(const struct xn_source *source) {
    struct xn_answer_style style = xn_answer_detect(source->chat_template);
    json_t *list = json_pack("[s]", "completion");
    if (style.format != XN_ANSWER_PLAIN) json_array_append_new(list, json_string("tools"));
    if (style.think_open) json_array_append_new(list, json_string("thinking"));
    json_array_append_new(list, json_string("embedding"));
    return list;
}

// A model's source: the loaded one's, or opened for this (only its metadata is read).
struct looked {
    struct xn_models *models;
    struct xn_served *served;
    struct xn_source *opened;
    const struct xn_source *source; // NULL: can't be read
};
static struct looked look(struct xn_models *models, size_t i, const struct xn_model_entry *entry) {
    struct looked l = {.models = models, .served = xn_served_peek(models, i)};
    if (l.served) l.source = l.served->model->source;
    if (!l.source && xn_source_open(entry->path, &l.opened, NULL) == XN_OK) l.source = l.opened;
    return l;
}
static void look_away(struct looked *l) {
    xn_source_close(l->opened);
    xn_served_release(l->models, l->served);
}

// --- the endpoints

static json_t *listed(struct xn_models *models, size_t i, const struct xn_model_entry *entry) {
    char digest[65], time[XN_OLLAMA_TIME];
    struct looked l = look(models, i, entry);
    digest_of(entry, digest);
    xn_ollama_time_of(time, entry->created);
    json_t *model = json_pack("{s:s, s:s, s:s, s:I, s:s, s:o}", "name", entry->names[0], "model", entry->names[0],
                              "modified_at", time, "size", (json_int_t)entry->size, "digest", digest, "details",
                              l.source ? details_of(l.source) : json_object());
    look_away(&l);
    return model;
}

int xn_ollama_tags(void *server, struct xn_exchange *x, struct xn_error *err) {
    struct xn_models *models = ((struct xn_server *)server)->models;
    json_t *list = json_array();
    for (size_t i = 0; i < xn_models_count(models); i++) {
        struct xn_model_entry entry;
        xn_models_entry(models, i, &entry);
        json_array_append_new(list, listed(models, i, &entry));
    }
    return xn_reply_json(x, 200, json_pack("{s:o}", "models", list), err);
}

int xn_ollama_ps(void *server, struct xn_exchange *x, struct xn_error *err) {
    struct xn_models *models = ((struct xn_server *)server)->models;
    json_t *list = json_array();
    for (size_t i = 0; i < xn_models_count(models); i++) {
        struct xn_model_entry entry;
        struct xn_served *served = xn_served_peek(models, i);
        if (!served) continue;
        xn_models_entry(models, i, &entry);
        char until[XN_OLLAMA_TIME];
        xn_ollama_time(until, entry.expires >= 0 ? entry.expires : 100.0 * 365 * 86400);
        json_t *model = listed(models, i, &entry);
        json_object_set_new(model, "expires_at", json_string(until));
        json_object_set_new(model, "size_vram", json_integer((json_int_t)entry.size));
        json_object_set_new(model, "context_length", json_integer(served->context));
        json_array_append_new(list, model);
        xn_served_release(models, served);
    }
    return xn_reply_json(x, 200, json_pack("{s:o}", "models", list), err);
}

// The number of the model that the body names.
static int named(struct xn_models *models, struct xn_exchange *x, size_t *i, struct xn_error *err) {
    json_t *body;
    const char *name = NULL;
    XN_TRY(xn_exchange_json(x, &body, err));
    int status = xn_field_string(body, "model", &name, err);
    if (status == XN_OK && !name) status = xn_field_string(body, "name", &name, err);
    *i = status == XN_OK ? xn_models_find(models, name) : SIZE_MAX;
    if (status == XN_OK && *i == SIZE_MAX)
        status = xn_fail(err, XN_ERR_MISSING, "model \"%.128s\" not found", name ? name : "");
    json_decref(body);
    return status;
}

int xn_ollama_show(void *server, struct xn_exchange *x, struct xn_error *err) {
    struct xn_models *models = ((struct xn_server *)server)->models;
    struct xn_model_entry entry;
    size_t i;
    XN_TRY(named(models, x, &i, err));
    xn_models_entry(models, i, &entry);
    struct looked l = look(models, i, &entry);
    if (!l.source) {
        look_away(&l);
        return xn_fail(err, XN_ERR_IO, "the file of model \"%s\" can't be read", entry.names[0]);
    }
    char time[XN_OLLAMA_TIME];
    xn_ollama_time_of(time, entry.created);
    char *license = metadata_text(l.source, "general.license");
    const char *template = l.source->chat_template ? l.source->chat_template : "";
    json_t *shown = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:s}", "license", license ? license : "",
                              "modelfile", "", "parameters", "", "template", xn_json_text(template, strlen(template)),
                              "details", details_of(l.source), "model_info", info_of(l.source), "capabilities",
                              capabilities_of(l.source), "modified_at", time);
    free(license);
    look_away(&l);
    return xn_reply_json(x, 200, shown, err);
}

int xn_ollama_version(void *server, struct xn_exchange *x, struct xn_error *err) {
    (void)server;
    return xn_reply_json(x, 200, json_pack("{s:s}", "version", api_version), err);
}

int xn_ollama_pull(void *server, struct xn_exchange *x, struct xn_error *err) {
    struct xn_models *models = ((struct xn_server *)server)->models;
    size_t i;
    XN_TRY(named(models, x, &i, err));
    static const char done[] = "{\"status\":\"success\"}\n";
    return xn_reply(x, 200, "application/x-ndjson", done, sizeof done - 1, err);
}
