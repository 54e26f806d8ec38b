// The models of `xenon serve` and their names.
#include "base/file.h"
#include "base/memory.h"
#include "cli/serve.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct named {
    char *path;
    const char **names; // the first is `own`
    char *own;
    size_t n, capacity;
};
struct list {
    struct named *items;
    size_t n, capacity;
};

static void free_list(struct list *list) {
    for (size_t i = 0; i < list->n; i++) {
        free(list->items[i].path);
        free(list->items[i].own);
        free(list->items[i].names);
    }
    free(list->items);
}

// "/models/qwen3-4b.gguf" is called "qwen3-4b", of a split file the common part; a folder is called as it is.
static char *name_of(const char *path) {
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t begin = n;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    if (n - begin > 5 && strncmp(path + n - 5, ".gguf", 5) == 0) {
        n -= 5;
        if (n - begin > 15 && strncmp(path + n - 15, "-00001-of-", 10) == 0) n -= 15;
    }
    return xn_strndup(path + begin, n - begin);
}

static int add_name(struct named *model, const char *name, struct xn_error *err) {
    if (XN_GROW(model->names, model->capacity, model->n + 1)) return xn_fail(err, XN_ERR_NOMEM, "no memory for names");
    model->names[model->n++] = name;
    return XN_OK;
}

static int add_model(struct list *list, const char *name, size_t name_size, const char *path, struct xn_error *err) {
    if (XN_GROW(list->items, list->capacity, list->n + 1)) return xn_fail(err, XN_ERR_NOMEM, "no memory for models");
    struct named *model = &list->items[list->n++];
    *model = (struct named){.path = xn_strdup(path), .own = name ? xn_strndup(name, name_size) : name_of(path)};
    if (!model->path || !model->own) return xn_fail(err, XN_ERR_NOMEM, "no memory for models");
    if (!*model->own) return xn_fail(err, XN_ERR_ARGUMENT, "model \"%s\" has no name; write NAME=PATH", path);
    return add_name(model, model->own, err);
}

static int add_argument(struct list *list, const char *text, struct xn_error *err) {
    const char *equal = strchr(text, '=');
    bool named = equal && equal > text && !memchr(text, '/', (size_t)(equal - text)) && !xn_file_exists(text) &&
                 !xn_is_directory(text);
    return add_model(list, named ? text : NULL, named ? (size_t)(equal - text) : 0, named ? equal + 1 : text, err);
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n > m && strcmp(text + n - m, end) == 0;
}

static bool is_model(const char *folder, const char *name) {
    char *path = xn_path_join(folder, name), *config = path ? xn_path_join(path, "config.json") : NULL;
    const char *part = strstr(name, "-of-");
    bool is = path && (xn_is_directory(path) ? config && xn_file_exists(config)
                                             : ends_with(name, ".gguf") &&
                                                   !(part && part - name > 5 && strncmp(part - 6, "-00001", 6) != 0));
    free(config);
    free(path);
    return is && name[0] != '.';
}

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int add_folder(struct list *list, const char *folder, struct xn_error *err) {
    struct dirent **entries;
    int n = scandir(folder, &entries, NULL, by_name), status = XN_OK;
    if (n < 0) return xn_fail_errno(err, errno, "option --models-dir: %s", folder);
    for (int i = 0; i < n; i++) {
        char *path =
            status == XN_OK && is_model(folder, entries[i]->d_name) ? xn_path_join(folder, entries[i]->d_name) : NULL;
        if (path) status = add_model(list, NULL, 0, path, err);
        free(path);
        free(entries[i]);
    }
    free(entries);
    return status;
}

static int add_alias(struct list *list, const char *text, struct xn_error *err) {
    const char *equal = strchr(text, '=');
    if (!equal) return add_name(&list->items[0], text, err);
    for (size_t i = 0; i < list->n; i++)
        if (strcmp(list->items[i].own, equal + 1) == 0) {
            char *alias = strchr(text, '='); // an argument of the program, which it may write to
            *alias = 0;
            return add_name(&list->items[i], text, err);
        }
    return xn_fail(err, XN_ERR_ARGUMENT, "option --alias: \"%s\": no model is called \"%s\"", text, equal + 1);
}

static int collect(const struct xn_serve_options *o, char **arguments, size_t n, struct list *list,
                   struct xn_error *err) {
    for (size_t i = 0; i < n; i++)
        XN_TRY(add_argument(list, arguments[i], err));
    for (size_t i = 0; i < o->models.n; i++)
        XN_TRY(add_argument(list, o->models.items[i], err));
    if (o->models_folder) XN_TRY(add_folder(list, o->models_folder, err));
    if (!list->n && o->models_folder)
        return xn_fail(err, XN_ERR_ARGUMENT, "no model in %s: expected *.gguf, or folders with a config.json",
                       o->models_folder);
    if (!list->n) {
        char *found = xn_default_model();
        if (!found) return xn_fail(err, XN_ERR_ARGUMENT, "no model named, and no default model found");
        int status = add_model(list, NULL, 0, found, err);
        free(found);
        XN_TRY(status);
    }
    for (size_t i = 0; i < o->aliases.n; i++)
        XN_TRY(add_alias(list, o->aliases.items[i], err));
    return XN_OK;
}

int xn_serve_models(const struct xn_serve_options *o, char **arguments, size_t n, struct xn_models *models,
                    struct xn_error *err) {
    struct list list = {0};
    int status = collect(o, arguments, n, &list, err);
    for (size_t i = 0; i < list.n && status == XN_OK; i++)
        status = xn_models_add(models, list.items[i].path, list.items[i].names, list.items[i].n, err);
    free_list(&list);
    return status;
}
