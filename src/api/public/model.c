// The public API (include/xenon/xenon.h) over engine, text and device selection: version, log, errors, models.
#include "api/public/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

// The statuses of the API are those of the library.
#define X(name, value, text) _Static_assert((int)XENON_ERR_##name == (int)XN_ERR_##name, #name);
XN_STATUS_LIST(X)
#undef X

int xn_api_give(int status, const struct xn_error *from, xenon_error *to) {
    if (status != XN_OK && to) {
        to->status = status;
        memcpy(to->message, from->message, sizeof to->message);
        to->message[sizeof to->message - 1] = 0;
    }
    return status;
}
_Static_assert(sizeof((xenon_error *)0)->message == sizeof((struct xn_error *)0)->message, "messages are of one size");

int xn_api_refuse(xenon_error *to, int status, const char *message) {
    if (to) {
        to->status = status;
        memset(to->message, 0, sizeof to->message);
        strncpy(to->message, message, sizeof to->message - 1);
    }
    return status;
}

int xn_api_need_tokenizer(const xenon_model *model, xenon_error *error) {
    return model->model->tokenizer ? XN_OK : xn_api_refuse(error, XN_ERR_UNSUPPORTED, "the model has no tokenizer");
}

const char *xenon_version(void) {
    return XENON_VERSION_STRING;
}

// --- log ---

static struct {
    void (*sink)(void *user, int level, const char *line);
    void *user;
} log_to;

static void pass_log(void *user, enum xn_log_level level, const char *line) {
    (void)user;
    log_to.sink(log_to.user, (int)level, line);
}

void xenon_set_log(void (*sink)(void *user, int level, const char *line), void *user) {
    log_to.sink = sink;
    log_to.user = user;
    xn_log_set_sink(sink ? pass_log : NULL, NULL);
}

void xenon_free(void *memory) {
    free(memory);
}

// --- models ---

int xenon_model_open(const char *path, const xenon_model_options *options, xenon_model **out, xenon_error *error) {
    static const xenon_model_options none;
    const xenon_model_options *o = options ? options : &none;
    struct xn_error err;
    struct xn_progress progress = {.report = o->progress, .user = o->progress_user};
    *out = NULL;
    if (!path) return xn_api_refuse(error, XN_ERR_ARGUMENT, "path: found NULL");
    if (o->threads < 0 || o->threads > 1024)
        return xn_api_refuse(error, XN_ERR_ARGUMENT, "threads: out of range, expected 0 to 1024");
    xenon_model *m = xn_alloc_zero(1, sizeof *m);
    if (!m) return xn_api_refuse(error, XN_ERR_NOMEM, "out of memory for a model");
    pthread_mutex_init(&m->busy, NULL);
    struct xn_device_choice choice = {.devices = o->device,
                                      .threads = o->threads,
                                      .split = o->split,
                                      .layers = o->gpu_layers > 0   ? o->gpu_layers
                                                : o->gpu_layers < 0 ? 0
                                                                    : -1,
                                      .cpu_experts = o->cpu_experts,
                                      .gpu_memory = o->gpu_memory};
    int status = xn_devices_choose(&choice, &m->device, &err);
    if (status == XN_OK) status = xn_model_open(path, m->device, NULL, &progress, &m->model, &err);
    if (status == XN_OK)
        *out = m;
    else
        xenon_model_close(&m);
    return xn_api_give(status, &err, error);
}

void xenon_model_close(xenon_model **model) {
    xenon_model *m = *model;
    if (!m) return;
    xn_model_close(m->model);
    if (m->device) m->device->table->free(m->device);
    pthread_mutex_destroy(&m->busy);
    free(m);
    *model = NULL;
}

void xenon_model_get_info(const xenon_model *model, xenon_model_info *info) {
    const struct xn_recipe *r = &model->model->recipe;
    struct xn_recipe_sizes sizes = xn_recipe_sizes(r);
    *info = (xenon_model_info){
        .family = r->family,
        .name = r->name ? r->name : "",
        .vocab = r->vocab,
        .layers = r->n_layers,
        .hidden = r->hidden,
        .context = r->context,
        .parameters = sizes.parameters,
        .active_parameters = sizes.active_parameters,
        .bytes = sizes.bytes,
        .has_tokenizer = model->model->tokenizer != NULL,
        .has_chat_template = model->model->chat != NULL,
    };
}
