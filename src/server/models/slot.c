// One model of the registry: brought up and taken down.
#include "base/file.h"
#include "server/models/internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void add(const struct stat *s, struct xn_slot *slot) {
    slot->size += (uint64_t)s->st_size;
    if (s->st_mtime > slot->created) slot->created = s->st_mtime;
}

int xn_slot_measure(const char *path, struct xn_slot *slot, struct xn_error *err) {
    struct stat s;
    if (stat(path, &s)) return xn_fail_errno(err, errno, "model %s", path);
    if (!S_ISDIR(s.st_mode)) {
        add(&s, slot);
        return XN_OK;
    }
    DIR *folder = opendir(path);
    if (!folder) return xn_fail_errno(err, errno, "model %s", path);
    for (struct dirent *entry; (entry = readdir(folder));) {
        char *file = xn_path_join(path, entry->d_name);
        if (file && stat(file, &s) == 0 && S_ISREG(s.st_mode)) add(&s, slot);
        free(file);
    }
    closedir(folder);
    return XN_OK;
}

static int spell_breakers(struct xn_served *served, const struct xn_models_options *o, struct xn_error *err) {
    const struct xn_tokenizer *tokenizer = served->model->tokenizer;
    if (!o->n_breakers && !o->no_breakers) XN_TRY(xn_dry_breakers_usual(&served->breakers, tokenizer, err));
    for (size_t i = 0; i < o->n_breakers; i++)
        XN_TRY(xn_dry_breakers_spell(&served->breakers, tokenizer, o->breakers[i], err));
    xn_dry_breakers_sort(&served->breakers);
    return XN_OK;
}

static int open_model(struct xn_slot *slot, const struct xn_models_options *o, struct xn_error *err) {
    struct xn_served *served = &slot->served;
    XN_TRY(xn_devices_choose(&o->choice, &slot->device, err));
    XN_TRY(xn_model_open(slot->path, slot->device, &o->serving.context, &o->progress, &served->model, err));
    if (!served->model->tokenizer)
        return xn_fail(err, XN_ERR_UNSUPPORTED, "the model has no tokenizer that can be used, so it can't be served");
    XN_TRY(spell_breakers(served, o, err));
    struct xn_serving_options serving = o->serving;
    // Whole pages may hold a little more than was asked for.
    if (!serving.most) serving.most = serving.context.context;
    uint32_t trained = served->model->recipe.context;
    if (o->trained && trained && (!serving.most || trained < serving.most)) serving.most = trained;
    return xn_serving_create(served->model, &serving, &served->serving, err);
}

int xn_slot_load(struct xn_slot *slot, const struct xn_models_options *o, struct xn_error *err) {
    struct xn_served *served = &slot->served;
    struct xn_serving_state state;
    *served = (struct xn_served){.name = slot->names[0],
                                 .path = slot->path,
                                 .created = slot->created,
                                 .sampling = o->sampling,
                                 .metrics = o->metrics};
    int status = open_model(slot, o, err);
    if (status != XN_OK) {
        xn_slot_unload(slot, NULL);
        // Whoever asked for it has done nothing wrong.
        if (status == XN_ERR_ARGUMENT || status == XN_ERR_FORMAT || status == XN_ERR_TEMPLATE || status == XN_ERR_LIMIT)
            err->status = XN_ERR_IO;
        return xn_error_context(err, err->status, "model \"%s\"", slot->names[0]);
    }
    served->chat_template = served->model->source ? served->model->source->chat_template : NULL;
    served->style = xn_answer_detect(served->chat_template);
    xn_serving_state(served->serving, &state, NULL, 0);
    served->context = state.context;
    return XN_OK;
}

void xn_slot_unload(struct xn_slot *slot, struct xn_serving_state *last) {
    struct xn_served *served = &slot->served;
    if (last) xn_serving_state(served->serving, last, NULL, 0);
    xn_serving_free(served->serving);
    xn_dry_breakers_free(&served->breakers);
    xn_model_close(served->model);
    if (slot->device) slot->device->table->free(slot->device);
    slot->device = NULL;
    *served = (struct xn_served){0};
}

void xn_slot_empty(struct xn_slot *slot) {
    for (size_t k = 0; k < slot->n_names; k++)
        free(slot->names[k]);
    free(slot->names);
    free(slot->path);
}
