#include "format/source.h"

#include "base/file.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_CONFIG = 64 << 20, // bytes of any of a folder's JSON files
    MAX_TEMPLATE = 16 << 20,
};

static bool ends_with(const char *s, const char *ending) {
    size_t n = strlen(s), m = strlen(ending);
    return n >= m && strcmp(s + n - m, ending) == 0;
}

static int no_memory(const char *path, struct xn_error *err) {
    return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", path);
}

// The path of `name` in the folder where such a file is; *out stays NULL where not.
static int find_file(const char *folder, const char *name, char **out, struct xn_error *err) {
    *out = NULL;
    char *path = xn_path_join(folder, name);
    if (!path) return no_memory(folder, err);
    if (xn_file_exists(path))
        *out = path;
    else
        free(path);
    return XN_OK;
}

// A JSON file of the folder, which must hold an object; *out stays NULL where the file is absent.
static int read_object(const char *folder, const char *name, json_t **out, struct xn_error *err) {
    char *path;
    XN_TRY(find_file(folder, name, &path, err));
    if (!path) return XN_OK;
    int status = xn_json_file(path, MAX_CONFIG, out, err);
    if (status == XN_OK && !json_is_object(*out)) status = xn_fail(err, XN_ERR_FORMAT, "%s: no JSON object", path);
    free(path);
    return status;
}

// A string of `file`, which must hold no NUL.
static int take_template(const char *file, const char *text, size_t size, char **out, struct xn_error *err) {
    if (memchr(text, 0, size)) return xn_fail(err, XN_ERR_FORMAT, "%s: a NUL byte in the chat template", file);
    *out = xn_strndup(text, size);
    return *out ? XN_OK : no_memory(file, err);
}

// The chat template that a JSON file gives under "chat_template": a string, or a list of {"name", "template"} of which
// the one named "default" counts, else the first.
static int template_of_json(const char *file, const json_t *object, char **out, struct xn_error *err) {
    const json_t *found = json_object_get(object, "chat_template");
    if (!found || json_is_null(found)) return XN_OK;
    if (json_is_array(found)) {
        const json_t *chosen = NULL;
        for (size_t i = 0; i < json_array_size(found); i++) {
            const json_t *entry = json_array_get(found, i);
            const char *name = json_string_value(json_object_get(entry, "name"));
            if (!name || !json_is_string(json_object_get(entry, "template")))
                return xn_fail(err, XN_ERR_FORMAT, "%s: chat_template: entry %zu has no name and template", file, i);
            if (!chosen || strcmp(name, "default") == 0) chosen = json_object_get(entry, "template");
        }
        if (!chosen) return XN_OK;
        found = chosen;
    }
    if (!json_is_string(found))
        return xn_fail(err, XN_ERR_FORMAT, "%s: chat_template: neither a string nor a list of templates", file);
    return take_template(file, json_string_value(found), json_string_length(found), out, err);
}

// A chat template of its own file counts before that of the tokenizer's configuration.
static int read_template(struct xn_source *s, const char *folder, struct xn_error *err) {
    char *path;
    XN_TRY(find_file(folder, "chat_template.jinja", &path, err));
    if (path) {
        char *text;
        size_t size;
        int status = xn_read_file(path, MAX_TEMPLATE, &text, &size, err);
        if (status == XN_OK) {
            status = take_template(path, text, size, &s->chat_template, err);
            free(text);
        }
        free(path);
        return status;
    }
    json_t *object = NULL;
    int status = read_object(folder, "chat_template.json", &object, err);
    if (status == XN_OK && object) status = template_of_json("chat_template.json", object, &s->chat_template, err);
    json_decref(object);
    if (status != XN_OK || s->chat_template || !s->tokenizer_config) return status;
    return template_of_json("tokenizer_config.json", s->tokenizer_config, &s->chat_template, err);
}

// Looks for files with an ending in a folder: how many, and the name of the first in the order of names.
static int find_ending(const char *folder, const char *ending, size_t *n, char **name, struct xn_error *err) {
    *n = 0;
    *name = NULL;
    DIR *dir = opendir(folder);
    if (!dir) return xn_fail_errno(err, errno, "%s", folder);
    int status = XN_OK;
    for (const struct dirent *entry; status == XN_OK && (entry = readdir(dir));) {
        if (!ends_with(entry->d_name, ending)) continue;
        ++*n;
        if (*name && strcmp(entry->d_name, *name) > 0) continue;
        free(*name);
        *name = xn_strdup(entry->d_name);
        if (!*name) status = no_memory(folder, err);
    }
    closedir(dir);
    if (status != XN_OK) free(*name);
    return status;
}

// Whether an index file names `file` as a shard.
static int names_shard(const char *index, const char *file, bool *out, struct xn_error *err) {
    json_t *object;
    *out = false;
    XN_TRY(xn_json_file(index, MAX_CONFIG, &object, err));
    const char *name;
    json_t *value;
    json_object_foreach(json_object_get(object, "weight_map"), name, value) {
        if (json_is_string(value) && strcmp(json_string_value(value), file) == 0) {
            *out = true;
            break;
        }
    }
    json_decref(object);
    return XN_OK;
}

// The weights of a folder: those that `asked` names (or the index whose shard it is), else model.safetensors, else the
// index, else the only .safetensors.
static int find_weights(const char *folder, const char *asked, char **out, struct xn_error *err) {
    char *index;
    XN_TRY(find_file(folder, "model.safetensors.index.json", &index, err));
    if (asked) {
        bool shard = false;
        const char *slash = strrchr(asked, '/');
        int status = XN_OK;
        if (index) status = names_shard(index, slash ? slash + 1 : asked, &shard, err);
        *out = shard ? index : xn_strdup(asked);
        if (!shard) free(index);
        return status != XN_OK || *out ? status : no_memory(folder, err);
    }
    int status = find_file(folder, "model.safetensors", out, err);
    if (status != XN_OK || *out || index) {
        if (status == XN_OK && !*out)
            *out = index;
        else
            free(index);
        return status;
    }
    size_t n;
    char *name;
    XN_TRY(find_ending(folder, ".safetensors", &n, &name, err));
    if (n == 1) *out = xn_path_join(folder, name);
    free(name);
    if (n == 1) return *out ? XN_OK : no_memory(folder, err);
    return xn_fail(err, XN_ERR_FORMAT,
                   "%s: %zu .safetensors files, one, model.safetensors or model.safetensors.index.json expected",
                   folder, n);
}

static int open_folder(struct xn_source *s, const char *folder, const char *weights, struct xn_error *err) {
    XN_TRY(read_object(folder, "config.json", &s->config, err));
    if (!s->config) {
        size_t n;
        char *name;
        XN_TRY(find_ending(folder, ".gguf", &n, &name, err));
        int status = n ? xn_fail(err, XN_ERR_FORMAT, "%s: no config.json in this folder; it has %s: name that file",
                                 folder, name)
                       : xn_fail(err, XN_ERR_FORMAT, "%s: no config.json and no .gguf in this folder", folder);
        free(name);
        return status;
    }
    XN_TRY(read_object(folder, "tokenizer_config.json", &s->tokenizer_config, err));
    XN_TRY(read_object(folder, "generation_config.json", &s->generation_config, err));
    XN_TRY(find_file(folder, "tokenizer.json", &s->tokenizer_path, err));
    int status = read_template(s, folder, err);
    if (status != XN_OK) return xn_error_context(err, status, "%s", folder);
    char *path;
    XN_TRY(find_weights(folder, weights, &path, err));
    status = xn_safetensors_open(path, &s->st, err);
    free(path);
    return status;
}

static int open_gguf(struct xn_source *s, const char *path, struct xn_error *err) {
    XN_TRY(xn_gguf_open(path, &s->gguf, err));
    const struct xn_gguf_value *value = xn_gguf_find(s->gguf, "tokenizer.chat_template");
    if (!value) return XN_OK;
    if (value->kind != XN_GGUF_STRING || value->is_array)
        return xn_fail(err, XN_ERR_FORMAT, "%s: key 'tokenizer.chat_template': no string", path);
    return take_template(path, value->strings[0].data, value->strings[0].size, &s->chat_template, err);
}

// A .safetensors file (or its index) stands for the folder that it lies in.
static int open_weights(struct xn_source *s, const char *path, struct xn_error *err) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? xn_strndup(path, (size_t)(slash - path) + (slash == path)) : xn_strdup(".");
    if (!folder) return no_memory(path, err);
    int status = open_folder(s, folder, path, err);
    free(folder);
    return status;
}

int xn_source_open(const char *path, struct xn_source **out, struct xn_error *err) {
    *out = NULL;
    struct xn_source *s = xn_alloc_zero(1, sizeof *s);
    if (!s || !(s->path = xn_strdup(path))) {
        xn_source_close(s);
        return no_memory(path, err);
    }
    int status;
    if (xn_is_directory(path))
        status = open_folder(s, path, NULL, err);
    else if (ends_with(path, ".safetensors") || ends_with(path, ".safetensors.index.json"))
        status = open_weights(s, path, err);
    else
        status = open_gguf(s, path, err);
    if (status != XN_OK) {
        xn_source_close(s);
        return status;
    }
    *out = s;
    return XN_OK;
}

void xn_source_relax(const struct xn_source *source) {
    if (source->gguf) xn_gguf_relax(source->gguf);
    if (source->st) xn_safetensors_relax(source->st);
}

void xn_source_close(struct xn_source *source) {
    if (!source) return;
    xn_gguf_close(source->gguf);
    xn_safetensors_close(source->st);
    json_decref(source->config);
    json_decref(source->tokenizer_config);
    json_decref(source->generation_config);
    free(source->tokenizer_path);
    free(source->chat_template);
    free(source->path);
    free(source);
}

size_t xn_source_n_tensors(const struct xn_source *source) {
    return source->gguf ? xn_gguf_n_tensors(source->gguf) : xn_safetensors_n_tensors(source->st);
}

const struct xn_tensor *xn_source_tensor_at(const struct xn_source *source, size_t i) {
    return source->gguf ? xn_gguf_tensor_at(source->gguf, i) : xn_safetensors_tensor_at(source->st, i);
}

const struct xn_tensor *xn_source_tensor(const struct xn_source *source, const char *name) {
    return source->gguf ? xn_gguf_tensor(source->gguf, name) : xn_safetensors_tensor(source->st, name);
}

int xn_source_require(const struct xn_source *source, const char *name, const struct xn_tensor **out,
                      struct xn_error *err) {
    if (source->st) return xn_safetensors_require(source->st, name, out, err);
    *out = xn_gguf_tensor(source->gguf, name);
    return *out ? XN_OK : xn_fail(err, XN_ERR_FORMAT, "%s: no tensor '%s'", xn_gguf_path(source->gguf), name);
}
