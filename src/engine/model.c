#include "engine/model.h"

#include "device/host.h"
#include "engine/context.h"
#include "engine/plan.h"
#include "model/matrix.h"

#include <stdlib.h>
#include <string.h>

// What the packing of a model's matrices needs: the model, and how far it is.
struct packing {
    struct xn_model *model;
    const struct xn_progress *progress;
    uint64_t done, total;
    // Matrices packed so far, to give the same weights to the same data (a tied head).
    struct xn_matrix *packed;
    size_t packed_capacity;
    uint64_t since; // bytes packed since pages were let go
};

static uint64_t matrix_bytes(const struct xn_matrix *m) {
    const struct xn_format *f = xn_format_of(m->type);
    size_t bytes = 0;
    if (!f || !xn_format_bytes(f, (uint64_t)m->rows * m->cols, &bytes)) return 0;
    return (uint64_t)bytes * m->count;
}

// Touches the mapped pages, so that reading the disk is part of loading and shows as such; `left` is what the matrix
// still counts for.
static int touch_range(struct packing *p, const unsigned char *data, uint64_t bytes, uint64_t *left,
                       struct xn_error *err) {
    enum { STEP = 4096, REPORT = 16 << 20 };
    volatile unsigned char sink = 0;
    for (uint64_t at = 0; at < bytes; at += REPORT) {
        uint64_t end = bytes - at < REPORT ? bytes : at + REPORT, counted = end - at < *left ? end - at : *left;
        for (uint64_t o = at; o < end; o += STEP)
            sink ^= data[o];
        p->done += counted;
        *left -= counted;
        if (xn_progress_report(p->progress, "loading", p->done, p->total))
            return xn_fail(err, XN_ERR_CANCELLED, "loading was cancelled");
    }
    (void)sink;
    return XN_OK;
}

static int touch(struct packing *p, const struct xn_matrix *m, struct xn_error *err) {
    uint64_t left = matrix_bytes(m); // where another matrix takes rows of the same tensor, less than is touched
    size_t scales, bytes = xn_matrix_stored_bytes(m, &scales);
    for (uint32_t i = 0; i < m->count; i++) {
        XN_TRY(touch_range(p, m->data[i], bytes, &left, err));
        if (scales) XN_TRY(touch_range(p, m->scales[i], scales, &left, err));
    }
    return XN_OK;
}

// What a device copied need not stay in memory twice.
static void relax(struct packing *p, uint64_t bytes) {
    enum { EVERY = 64 << 20 };
    p->since += bytes;
    if (p->since < EVERY || !p->model->source) return;
    p->since = 0;
    xn_source_relax(p->model->source);
}

static int pack_matrix(void *user, const struct xn_matrix *matrix, struct xn_weights **out, struct xn_error *err) {
    struct packing *p = user;
    struct xn_model *model = p->model;
    for (size_t i = 0; i < model->n_weights; i++)
        if (xn_matrix_same(&p->packed[i], matrix)) {
            *out = model->weights[i];
            return XN_OK;
        }
    if (XN_GROW(model->weights, model->weights_capacity, model->n_weights + 1) != 0 ||
        XN_GROW(p->packed, p->packed_capacity, model->n_weights + 1) != 0)
        return xn_fail(err, XN_ERR_NOMEM, "no memory for the list of weights");
    XN_TRY(touch(p, matrix, err));
    XN_TRY(model->device->table->pack(model->device, matrix, out, err));
    relax(p, matrix_bytes(matrix));
    p->packed[model->n_weights] = *matrix;
    model->weights[model->n_weights++] = *out;
    return XN_OK;
}

static void unpack_all(struct xn_model *model) {
    for (size_t i = 0; i < model->n_weights; i++)
        model->device->table->unpack(model->device, model->weights[i]);
    model->n_weights = 0;
}

static int pack_all(struct xn_model *model, const struct xn_progress *progress, uint64_t *packed,
                    struct xn_error *err) {
    struct packing p = {.model = model, .progress = progress, .total = xn_recipe_sizes(&model->recipe).bytes};
    if (model->device->table->expect) model->device->table->expect(model->device, p.total);
    int status = xn_plan_build(&model->recipe, pack_matrix, &p, &model->arena, &model->plan, err);
    if (model->source) xn_source_relax(model->source);
    for (size_t i = 0; i < model->n_weights; i++)
        *packed += matrix_bytes(&p.packed[i]);
    free(p.packed);
    return status;
}

// --- placing ---

// Matrices that a plan is told of before any is packed.
struct telling {
    struct xn_arena *arena;
    struct xn_weights **told;
    size_t n, capacity;
};

static int tell_matrix(void *user, const struct xn_matrix *matrix, struct xn_weights **out, struct xn_error *err) {
    struct telling *t = user;
    for (size_t i = 0; i < t->n; i++)
        if (xn_matrix_same(&t->told[i]->matrix, matrix)) {
            *out = t->told[i];
            return XN_OK;
        }
    *out = xn_arena_alloc(t->arena, 1, sizeof **out);
    if (!*out || XN_GROW(t->told, t->capacity, t->n + 1) != 0)
        return xn_fail(err, XN_ERR_NOMEM, "no memory for the list of weights");
    t->told[t->n++] = *out;
    return xn_host_describe_weights(matrix, *out, err);
}

// Lets the device, which may be made of several, say which one runs the model. Again where that one had no memory.
static int place(struct xn_model *model, struct xn_device *device, const struct xn_context_options *expected,
                 const uint64_t *packed, struct xn_error *err) {
    static const struct xn_context_options defaults;
    struct xn_arena arena = {0};
    struct telling t = {.arena = &arena};
    struct xn_plan plan;
    int status = xn_plan_build(&model->recipe, tell_matrix, &t, &arena, &plan, err);
    if (status == XN_OK) {
        struct xn_context_options o = xn_context_chosen(&model->recipe, &plan, expected ? expected : &defaults);
        struct xn_limits limits = xn_context_limits(&plan, &o);
        status = device->table->place(device, &plan, &limits, packed, &model->device, err);
    }
    free(t.told);
    xn_arena_free(&arena);
    return status;
}

static int build_plan(struct xn_model *model, const struct xn_context_options *expected,
                      const struct xn_progress *progress, struct xn_error *err) {
    struct xn_device *device = model->device;
    uint64_t packed = 0;
    if (!device->table->place) return pack_all(model, progress, &packed, err);
    XN_TRY(place(model, device, expected, NULL, err));
    for (;;) {
        struct xn_error first;
        packed = 0;
        int status = pack_all(model, progress, &packed, &first);
        if (status == XN_OK) return XN_OK;
        unpack_all(model);
        xn_arena_free(&model->arena);
        if (err) *err = first;
        if (status != XN_ERR_NOMEM) return status;
        status = place(model, device, expected, &packed, err);
        if (status != XN_OK) return xn_error_context(err, status, "%.400s", first.message);
    }
}

// A model without a usable tokenizer or template still runs on token ids.
static void open_text(struct xn_model *model) {
    struct xn_error err;
    if (xn_tokenizer_from_source(model->source, &model->tokenizer, &err) != XN_OK) {
        model->tokenizer = NULL;
        xn_log(XN_LOG_WARNING, "no tokenizer: %s", err.message);
    }
    const char *chat = model->source->chat_template;
    if (chat && xn_template_parse(chat, strlen(chat), "chat template", &model->chat, &err) != XN_OK) {
        model->chat = NULL;
        xn_log(XN_LOG_WARNING, "no chat template: %s", err.message);
    }
}

int xn_model_open(const char *path, struct xn_device *device, const struct xn_context_options *expected,
                  const struct xn_progress *progress, struct xn_model **out, struct xn_error *err) {
    struct xn_model *model = xn_alloc_zero(1, sizeof *model);
    if (!model) return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", path);
    model->device = device;
    int status = xn_source_open(path, &model->source, err);
    if (status == XN_OK) status = xn_recipe_read(model->source, &model->recipe, err);
    if (status == XN_OK) {
        status = build_plan(model, expected, progress, err);
        if (status != XN_OK) status = xn_error_context(err, status, "%s", path);
    }
    if (status != XN_OK) {
        xn_model_close(model);
        return status;
    }
    open_text(model);
    *out = model;
    return XN_OK;
}

int xn_model_from_recipe(struct xn_recipe *recipe, struct xn_device *device, struct xn_model **out,
                         struct xn_error *err) {
    struct xn_model *model = xn_alloc_zero(1, sizeof *model);
    if (!model) {
        xn_recipe_free(recipe);
        return xn_fail(err, XN_ERR_NOMEM, "no memory for a model");
    }
    model->device = device;
    model->recipe = *recipe;
    *recipe = (struct xn_recipe){0};
    int status = build_plan(model, NULL, NULL, err);
    if (status != XN_OK)
        xn_model_close(model);
    else
        *out = model;
    return status;
}

void xn_model_close(struct xn_model *model) {
    if (!model) return;
    unpack_all(model);
    free(model->weights);
    xn_arena_free(&model->arena);
    xn_template_free(model->chat);
    xn_tokenizer_free(model->tokenizer);
    xn_recipe_free(&model->recipe);
    xn_source_close(model->source);
    free(model);
}
