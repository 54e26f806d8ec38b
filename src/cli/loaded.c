// Device and model of a command, and the search for the default model.
#include "api/select.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "engine/model.h"
#include "quant/format.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// $XENON_DEFAULT_MODEL, then relative to the folder of the program: a build folder in the source tree, or PREFIX/bin.
static const char *const default_places[] = {
    "../models/xenon-default-q8_0.gguf",
    "models/xenon-default-q8_0.gguf",
    "../share/xenon/models/xenon-default-q8_0.gguf",
};

static void print_log(void *user, enum xn_log_level level, const char *text) {
    const bool *verbose = user;
    if (level == XN_LOG_ERROR || level == XN_LOG_WARNING)
        xn_cli_error("%s%s", level == XN_LOG_WARNING ? "warning: " : "", text);
    else if (*verbose)
        xn_cli_note("%s", text);
}

static bool chose_gpu;

bool xn_loaded_chose_gpu(void) {
    return chose_gpu;
}

static bool chooses(const struct xn_model_options *o) {
    const char *level = getenv("XENON_CPU");
    return !o->device && !o->processor && !(level && *level);
}

struct xn_device_choice xn_loaded_choice(const struct xn_model_options *o) {
    return (struct xn_device_choice){.devices = chooses(o) ? "auto" : o->device,
                                     .threads = (int)o->threads,
                                     .split = o->split,
                                     .layers = (int)o->gpu_layers,
                                     .cpu_experts = o->cpu_moe,
                                     .gpu_memory = o->gpu_memory * 1e9,
                                     .gpu_timeout = o->gpu_timeout};
}

int xn_loaded_device(const struct xn_model_options *o, struct xn_device **out, struct xn_error *err) {
    bool choose = chooses(o);
    struct xn_device_choice choice = xn_loaded_choice(o);
    XN_TRY(xn_devices_choose(&choice, out, err));
    chose_gpu = choose && (*out)->table->place; // the processor alone is made of no others
    return XN_OK;
}

// Where nobody named a device and there was a choice.
static void tell_choice(const struct xn_model_options *o, const struct xn_loaded *loaded) {
    struct xn_device_info info;
    char name[sizeof info.name];
    if (!chose_gpu || o->quiet || !isatty(STDERR_FILENO)) return;
    loaded->model->device->table->describe(loaded->model->device, &info);
    xn_cli_note("on %s (%s); --device names another", info.backend, xn_printable(info.name, name, sizeof name));
}

void xn_loaded_log(const struct xn_model_options *options) {
    static bool verbose; // outlives the call: the sink is process-wide
    verbose = options->verbose;
    xn_log_set_sink(print_log, &verbose);
}

int xn_loaded_open(const char *path, const struct xn_model_options *options, const struct xn_context_options *expected,
                   struct xn_loaded *loaded, struct xn_error *err) {
    *loaded = (struct xn_loaded){0};
    xn_loaded_log(options);
    XN_TRY(xn_loaded_device(options, &loaded->device, err));
    if (loaded->device->table->watch) loaded->device->table->watch(loaded->device, xn_progress_line());
    int status = xn_model_open(path, loaded->device, expected, xn_progress_line(), &loaded->model, err);
    xn_progress_clear();
    if (status != XN_OK)
        xn_loaded_close(loaded);
    else
        tell_choice(options, loaded);
    return status;
}

void xn_loaded_close(struct xn_loaded *loaded) {
    xn_model_close(loaded->model);
    if (loaded->device) loaded->device->table->free(loaded->device);
    *loaded = (struct xn_loaded){0};
}

uint32_t xn_cache_type(const struct xn_model_options *options) {
    if (!options->cache_type) return XN_TYPE_COUNT;
    return (uint32_t)xn_type_from_name(options->cache_type); // one of the option's choices
}

char *xn_default_model(void) {
    const char *named = getenv("XENON_DEFAULT_MODEL");
    if (named && *named) return xn_strdup(named);
    char program[4096];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n <= 0) return NULL;
    program[n] = 0;
    const char *folder = dirname(program);
    for (size_t i = 0; i < sizeof default_places / sizeof *default_places; i++) {
        char *path = xn_path_join(folder, default_places[i]);
        if (path && xn_file_exists(path)) return path;
        free(path);
    }
    return NULL;
}
