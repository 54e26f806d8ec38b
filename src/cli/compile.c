// xenon compile: kernels for Intel GPUs, built ahead of time into the folder in which a device looks for them.
#include "base/file.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/ocloc.h"
#include "cli/progress.h"
#include "engine/plan.h"
#include "model/recipe.h"
#include "opencl/ahead.h"
#include "quant/format.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { MOST_TARGETS = 16 };

struct compile {
    const char *targets, *formats, *kernels, *cache_type, *output;
    bool json, list;
    char *folder;
    const struct xn_opencl_target *target[MOST_TARGETS];
    size_t n_targets;
    struct xn_opencl_program *programs; // of all models and formats, each once
    size_t n, capacity;
    json_t *rows;
    uint64_t bytes;
};

// --- what is asked for ---

// The next of the words that commas separate, copied; NULL behind the last.
static char *next_word(const char **list) {
    if (!*list || !**list) return NULL;
    size_t n = strcspn(*list, ",");
    char *word = xn_strndup(*list, n);
    *list += n + ((*list)[n] == ',');
    return word;
}

static int unknown_target(const char *name, struct xn_error *err) {
    char all[256] = "";
    size_t at = 0;
    for (size_t i = 0; xn_opencl_target_at(i) && at < sizeof all; i++)
        at += (size_t)snprintf(all + at, sizeof all - at, "%s%s", i ? ", " : "", xn_opencl_target_at(i)->name);
    return xn_fail(err, XN_ERR_ARGUMENT, "--target: found \"%s\", expected some of %s", name, all);
}

static int read_targets(struct compile *c, struct xn_error *err) {
    if (!c->targets) return xn_fail(err, XN_ERR_ARGUMENT, "compile: no --target (xenon compile --list shows them)");
    int status = XN_OK;
    for (char *word; status == XN_OK && (word = next_word(&c->targets)); free(word)) {
        const struct xn_opencl_target *t = xn_opencl_target_named(word);
        size_t i = 0;
        while (i < c->n_targets && c->target[i] != t)
            i++;
        if (!t)
            status = unknown_target(word, err);
        else if (i == c->n_targets && i < MOST_TARGETS)
            c->target[c->n_targets++] = t;
    }
    if (status == XN_OK && c->n_targets == 0) status = unknown_target("", err);
    return status;
}

static bool same_program(const struct xn_opencl_program *a, const struct xn_opencl_program *b) {
    return a->id == b->id && a->shape_id == b->shape_id && a->formats == b->formats && a->cache_type == b->cache_type &&
           a->few_sizes == b->few_sizes;
}

// Whether one of the words that commas separate is this one.
static bool has_word(const char *list, const char *word) {
    size_t n = strlen(word);
    for (; *list; list += strcspn(list, ",") + (list[strcspn(list, ",")] == ','))
        if (strcspn(list, ",") == n && strncmp(list, word, n) == 0) return true;
    return false;
}

// Adds what is not there yet of the kernels wanted, and frees the list.
static int add_programs(struct compile *c, struct xn_opencl_program *list, size_t n, struct xn_error *err) {
    int status = XN_GROW(c->programs, c->capacity, c->n + n) == 0 ? XN_OK : XN_ERR_NOMEM;
    for (size_t i = 0, j; i < n && status == XN_OK; i++) {
        if (c->kernels && !has_word(c->kernels, list[i].kernel)) continue;
        for (j = 0; j < c->n && !same_program(&c->programs[j], &list[i]);)
            j++;
        if (j == c->n) c->programs[c->n++] = list[i];
    }
    free(list);
    return status == XN_OK ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "no memory for a list of programs");
}

static int add_formats(struct compile *c, struct xn_error *err) {
    uint64_t formats = 0, cache = c->cache_type ? (uint64_t)1 << xn_type_from_name(c->cache_type)
                                                : (uint64_t)1 << XN_F16 | (uint64_t)1 << XN_F32;
    const char *list = c->formats;
    int status = XN_OK;
    for (char *word; status == XN_OK && (word = next_word(&list)); free(word)) {
        int type = xn_type_from_name(word);
        if (type < 0 || !xn_format_of((uint32_t)type)->decode)
            status = xn_fail(err, XN_ERR_ARGUMENT, "--formats: no format \"%s\" of weights", word);
        else
            formats |= (uint64_t)1 << type;
    }
    struct xn_opencl_program *programs;
    size_t n;
    if (status == XN_OK) status = xn_opencl_programs_of_formats(formats, cache, &programs, &n, err);
    return status == XN_OK ? add_programs(c, programs, n, err) : status;
}

// Of a model its metadata suffice: no weights are read.
static int add_model(struct compile *c, const char *path, struct xn_error *err) {
    struct xn_source *source = NULL;
    struct xn_recipe recipe = {0};
    struct xn_arena arena = {0};
    struct xn_plan plan = {0};
    struct xn_opencl_program *programs;
    size_t n;
    XN_TRY(xn_source_open(path, &source, err));
    int status = xn_recipe_read(source, &recipe, err);
    bool read = status == XN_OK;
    if (read) status = xn_plan_build(&recipe, xn_opencl_pack_shape, &arena, &arena, &plan, err);
    if (status == XN_OK) {
        struct xn_limits limits = {.rows = 512,
                                   .outputs = 1,
                                   .page_size = 64,
                                   .pages = 1,
                                   .slots = 1,
                                   .cache_type =
                                       c->cache_type ? (uint32_t)xn_type_from_name(c->cache_type) : XN_TYPE_COUNT};
        status = xn_opencl_programs_of_plan(&plan, &limits, &programs, &n, err);
        if (status == XN_OK) status = add_programs(c, programs, n, err);
    }
    if (status != XN_OK) xn_error_context(err, status, "%s", path);
    xn_arena_free(&arena);
    if (read) xn_recipe_free(&recipe);
    xn_source_close(source);
    return status;
}

// --- compiling ---

// "Q4_K, Q6_K", or "" for a program without weights.
static void put_formats(char *text, size_t size, uint64_t formats) {
    size_t at = 0;
    *text = 0;
    for (uint32_t type = 0; type < XN_TYPE_COUNT && at < size; type++)
        if (formats >> type & 1)
            at += (size_t)snprintf(text + at, size - at, "%s%s", at ? ", " : "", xn_format_of(type)->name);
}

static void show(struct compile *c, const struct xn_opencl_program *p, const struct xn_opencl_target *t,
                 const char *path, size_t size, double seconds) {
    const char *cache = p->cache_type == XN_TYPE_COUNT ? NULL : xn_format_of(p->cache_type)->name;
    char formats[512];
    c->bytes += size;
    if (c->json) {
        json_t *names = json_array();
        for (uint32_t type = 0; type < XN_TYPE_COUNT; type++)
            if (p->formats >> type & 1) json_array_append_new(names, json_string(xn_format_of(type)->name));
        json_array_append_new(c->rows,
                              json_pack("{s:s, s:s, s:s*, s:o, s:s*, s:o, s:I, s:f}", "target", t->name, "kernel",
                                        p->kernel, "shape", p->shape, "formats", names, "cache", cache, "file",
                                        xn_json_word(path), "bytes", (json_int_t)size, "seconds", seconds));
        return;
    }
    put_formats(formats, sizeof formats, p->formats);
    xn_progress_clear();
    printf("%-8s %-17s %-23s %-4s %8.1f KB %6.1f s  %s\n", t->name, p->kernel, p->shape ? p->shape : "",
           cache ? cache : "", (double)size / 1e3, seconds, formats);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compile_one(struct compile *c, struct xn_ocloc *ocloc, const struct xn_opencl_program *p,
                       const struct xn_opencl_target *t, struct xn_error *err) {
    char *source = NULL, *binary = NULL, *path = NULL, options[XN_OPENCL_OPTIONS];
    size_t size = 0;
    double begun = now();
    int status = xn_opencl_program_source(p, t, &source, options, err);
    if (status == XN_OK) {
        status = xn_ocloc_compile(ocloc, source, t->name, options, &binary, &size, err);
        if (status != XN_OK && status != XN_ERR_CANCELLED) xn_error_context(err, status, "kernel %s", p->kernel);
    }
    if (status == XN_OK) status = xn_opencl_program_keep(p, t, c->folder, binary, size, &path, err);
    if (status == XN_OK) show(c, p, t, path, size, now() - begun);
    free(source);
    free(binary);
    free(path);
    return status;
}

static int make_folder(const char *path, struct xn_error *err) {
    if (mkdir(path, 0777) == 0 || (errno == EEXIST && xn_is_directory(path))) return XN_OK;
    return xn_fail(err, XN_ERR_IO, "%s: no folder for kernels: %s", path, strerror(errno));
}

static int compile_for(struct compile *c, struct xn_ocloc *ocloc, size_t target, struct xn_error *err) {
    const struct xn_opencl_target *t = c->target[target];
    char *below = xn_path_join(c->folder, t->name);
    int status = below ? make_folder(below, err) : xn_fail(err, XN_ERR_NOMEM, "no memory for a folder's name");
    free(below);
    for (size_t i = 0; i < c->n && status == XN_OK; i++) {
        if (xn_progress_report(xn_progress_line(), "building kernels", target * c->n + i, c->n_targets * c->n))
            return xn_fail(err, XN_ERR_CANCELLED, "compiling was cancelled");
        status = compile_one(c, ocloc, &c->programs[i], t, err);
    }
    return status;
}

static int compile_all(struct compile *c, struct xn_error *err) {
    struct xn_ocloc ocloc;
    c->folder = c->output ? xn_strdup(c->output) : xn_user_path("XDG_CACHE_HOME", ".cache", "opencl/");
    if (!c->folder) return xn_fail(err, XN_ERR_ARGUMENT, "compile: no home folder and no -o to write to");
    XN_TRY(xn_ocloc_open(&ocloc, err));
    xn_interrupt_catch();
    c->rows = c->json ? json_array() : NULL;
    int status = c->output ? make_folder(c->folder, err) : XN_OK;
    for (size_t i = 0; i < c->n_targets && status == XN_OK; i++)
        status = compile_for(c, &ocloc, i, err);
    xn_progress_clear();
    xn_ocloc_close(&ocloc);
    if (status == XN_OK && c->json)
        xn_cli_print_json(json_pack("{s:o, s:o}", "folder", xn_json_word(c->folder), "programs", json_incref(c->rows)));
    else if (status == XN_OK)
        printf("%zu programs, %.1f MB, in %s\n", c->n * c->n_targets, (double)c->bytes / 1e6, c->folder);
    return status;
}

static void list_targets(bool json) {
    json_t *rows = json ? json_array() : NULL;
    for (size_t i = 0; xn_opencl_target_at(i); i++) {
        const struct xn_opencl_target *t = xn_opencl_target_at(i);
        if (json)
            json_array_append_new(rows, json_pack("{s:s, s:s, s:i, s:i}", "target", t->name, "devices", t->about,
                                                  "architecture", (int)t->architecture, "release", (int)t->release));
        else
            printf("%-8s %2u.%-2u  %s\n", t->name, t->architecture, t->release, t->about);
    }
    if (json) xn_cli_print_json(rows);
}

static int run(struct compile *c, char **models, size_t n_models, struct xn_error *err) {
    if (c->list) {
        list_targets(c->json);
        return XN_OK;
    }
    XN_TRY(read_targets(c, err));
    if (n_models == 0 && !c->formats)
        return xn_fail(err, XN_ERR_ARGUMENT, "compile: neither a MODEL nor --formats says for which formats");
    if (c->formats) XN_TRY(add_formats(c, err));
    for (size_t i = 0; i < n_models; i++)
        XN_TRY(add_model(c, models[i], err));
    if (c->n == 0) return xn_fail(err, XN_ERR_ARGUMENT, "compile: no kernel \"%s\"", c->kernels ? c->kernels : "");
    return compile_all(c, err);
}

int xn_command_compile(int argc, char **argv) {
    struct compile c = {0};
    const struct xn_option options[] = {
        {0, "target", XN_OPTION_STRING, &c.targets, "NAME,...", "GPUs to build for, as --list shows them", 0, 0, NULL},
        {'o', "output", XN_OPTION_STRING, &c.output, "DIR",
         "folder to write to (where this user's devices look: ~/.cache/xenon/opencl)", 0, 0, NULL},
        {0, "formats", XN_OPTION_STRING, &c.formats, "NAME,...",
         "formats of weights: for each, each two of them, and all together", 0, 0, NULL},
        {0, "kernels", XN_OPTION_STRING, &c.kernels, "NAME,...", "only these kernels", 0, 0, NULL},
        {0, "cache-type", XN_OPTION_CHOICE, &c.cache_type, "TYPE",
         "of keys and values (the model's; of --formats: f32 and f16)", 0, 0, "f32 f16 bf16 q8_0 q4_0"},
        {0, "list", XN_OPTION_FLAG, &c.list, NULL, "list the targets", 0, 0, NULL},
        XN_JSON_OPTION(c.json),
        XN_OPTIONS_END,
    };
    const struct xn_usage usage = {
        .command = "compile",
        .synopsis = "--target NAME,... [MODEL...] [options]",
        .about =
            "Builds kernels ahead of time with Intel's offline compiler (ocloc, found in PATH), on any machine: those "
            "that the\n"
            "MODELs need, or all for some formats of weights. A device takes them from where it keeps what it builds "
            "itself\n"
            "(~/.cache/xenon/opencl) and from the folder that XENON_KERNELS names; one whose driver does not accept "
            "them\n"
            "builds its own.",
        .options = options,
        .min_arguments = 0,
        .max_arguments = SIZE_MAX,
        .examples = "  xenon compile --target acm-g10 qwen3-4b-q4_k_m.gguf\n"
                    "  xenon compile --target acm-g10,bmg-g21 --formats Q4_K,Q6_K,F32 -o kernels\n"
                    "  XENON_KERNELS=kernels xenon run --device gpu0 qwen3-4b-q4_k_m.gguf \"Hello\"",
    };
    size_t n;
    int exit_status = xn_options(&usage, argc, argv, &n);
    if (exit_status >= 0) return exit_status;
    struct xn_error err;
    int status = run(&c, argv + 1, n, &err);
    json_decref(c.rows);
    free(c.programs);
    free(c.folder);
    return status == XN_OK ? XN_EXIT_OK : xn_cli_fail(&err);
}
