// A plan on the device: its memory, and all of it made and let go.
#include "opencl/executor.h"

#include "device/cache.h"
#include "opencl/recorded.h"
#include "opencl/slices.h"

#include <stdlib.h>

static int take_cache(struct xn_executor *e, struct xn_error *err) {
    const struct xn_plan *plan = e->view.plan;
    const struct xn_limits *limits = &e->view.limits;
    e->cache = xn_alloc_zero(2 * (size_t)plan->n_cache + 1, sizeof *e->cache);
    e->states = xn_alloc_zero((size_t)plan->n_states + 1, sizeof *e->states);
    uint64_t bytes, activations;
    xn_host_memory_size(plan, limits, &bytes, &activations);
    e->device->expected = bytes;
    if (!e->cache || !e->states) return xn_fail(err, XN_ERR_NOMEM, "no memory for a cache");
    for (uint32_t i = 0; i < 2 * plan->n_cache; i++) {
        const struct xn_cache_layer *c = &plan->cache[i / 2];
        uint64_t page = (uint64_t)limits->page_size * c->kv_heads, size = i % 2 ? c->value_size : c->key_size;
        uint64_t bytes_each = xn_cache_bytes(limits->cache_type, size);
        if (page > UINT32_MAX || page * bytes_each > UINT32_MAX)
            return xn_fail(err, XN_ERR_LIMIT, "cache: pages of %u positions by %u heads of %llu values are too large",
                           limits->page_size, c->kv_heads, (unsigned long long)size);
        XN_TRY(xn_cl_array_take(e->device, limits->pages, page * bytes_each, "cache", &e->cache[i], err));
    }
    for (uint32_t i = 0; i < plan->n_states; i++) {
        uint64_t size = (uint64_t)plan->states[i].conv_size + plan->states[i].recurrent_size;
        if (size > UINT32_MAX) return xn_fail(err, XN_ERR_LIMIT, "states of %llu values", (unsigned long long)size);
        XN_TRY(xn_cl_array_take(e->device, limits->slots, size * sizeof(float), "states", &e->states[i], err));
    }
    return XN_OK;
}

static int take_buffer(struct xn_executor *e, enum xn_cl_memory which, uint64_t size, const char *what,
                       const void *from, struct xn_error *err) {
    struct xn_cl_device *d = e->device;
    cl_int code = CL_SUCCESS;
    static const cl_uint zero = 0;
    if (size == 0) size = sizeof zero;
    XN_TRY(xn_cl_buffer(d, size, what, &e->memory[which], err));
    e->size[which] = size;
    if (from)
        code = d->cl->EnqueueWriteBuffer(d->queue, e->memory[which], CL_TRUE, 0, size, from, 0, NULL, NULL);
    else
        code = d->cl->EnqueueFillBuffer(d->queue, e->memory[which], &zero, sizeof zero, 0, size, 0, NULL, NULL);
    return code == CL_SUCCESS ? XN_OK : xn_cl_fail(err, code, "%s: writing %s", d->info.name, what);
}

static int take_pinned(struct xn_executor *e, size_t bytes, struct xn_error *err) {
    const struct xn_cl_device *d = e->device;
    cl_int code;
    e->pinned = d->cl->CreateBuffer(d->context, CL_MEM_READ_WRITE | CL_MEM_ALLOC_HOST_PTR, bytes, NULL, &code);
    if (e->pinned)
        e->logits = d->cl->EnqueueMapBuffer(d->queue, e->pinned, CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, 0, bytes, 0, NULL,
                                            NULL, &code);
    return e->logits ? XN_OK : xn_cl_fail(err, code, "%.1f MB of the host for logits", (double)bytes * 1e-6);
}

static int take_buffers(struct xn_executor *e, struct xn_error *err) {
    const struct xn_cl_lowered *l = &e->lowered;
    uint64_t logits = l->map.logits;
    XN_TRY(take_buffer(e, XN_CL_OPS, l->ops_bytes, "operations", l->ops, err));
    XN_TRY(take_buffer(e, XN_CL_PLACES, l->n_places * sizeof *l->places, "places", l->places, err));
    XN_TRY(take_buffer(e, XN_CL_VEC, l->n_vec * sizeof *l->vec, "vectors", l->vec, err));
    XN_TRY(take_buffer(e, XN_CL_ACT, l->map.size * 4, "activations", NULL, err));
    XN_TRY(take_buffer(e, XN_CL_COUNTERS, l->map.counters * 4, "counters", NULL, err));
    XN_TRY(take_buffer(e, XN_CL_LOGITS, logits * 4, "logits", NULL, err));
    e->memory[XN_CL_GRIDS] = e->device->grids;
    return take_pinned(e, (size_t)(logits ? logits : 1) * sizeof *e->logits, err);
}

int xn_cl_executor_create(struct xn_cl_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                          struct xn_executor **out, struct xn_error *err) {
    *out = NULL;
    struct xn_executor *e = xn_alloc_zero(1, sizeof *e);
    if (!e) return xn_fail(err, XN_ERR_NOMEM, "no memory for an executor");
    e->device = device;
    e->view = (struct xn_host_memory){.plan = plan, .limits = *limits};
    struct xn_cl_tiles tiles = xn_cl_tiles_of(device);
    int status = take_cache(e, err);
    if (status == XN_OK) status = xn_cl_lower(plan, limits, e->cache, e->states, &tiles, &e->lowered, err);
    if (status == XN_OK && xn_cl_can_walk(device->dialect))
        status = xn_cl_cut_slices(&e->lowered, device->info.units, limits->page_size, limits->rows > 1,
                                  xn_cl_walks_tiles(e), err);
    if (status == XN_OK) xn_cl_place_runs(&e->lowered);
    if (status == XN_OK) status = take_buffers(e, err);
    if (status == XN_OK) status = xn_cl_make_walkers(e, err);
    if (status == XN_OK) status = xn_cl_make_kernels(e, err);
    if (status != XN_OK)
        xn_cl_executor_free(e);
    else
        *out = e;
    return status;
}

void xn_cl_executor_free(struct xn_executor *e) {
    if (!e) return;
    struct xn_cl_device *d = e->device;
    if (!d->lost) d->cl->Finish(d->queue);
    xn_cl_recorded_drop(e);
    free(e->recorded);
    xn_cl_free_kernels(e);
    for (uint32_t i = 0; e->cache && i < 2 * e->view.plan->n_cache; i++)
        xn_cl_array_give(d, &e->cache[i]);
    for (uint32_t i = 0; e->states && i < e->view.plan->n_states; i++)
        xn_cl_array_give(d, &e->states[i]);
    for (int i = 0; i < XN_CL_MEMORIES; i++)
        if (i != XN_CL_GRIDS) xn_cl_buffer_free(d, e->memory[i], e->size[i]);
    xn_cl_lowered_free(&e->lowered);
    free(e->cache);
    free(e->states);
    free(e->kernels);
    for (int i = 0; i < XN_CL_SHAPES; i++)
        free(e->kernel_of[i]);
    free(e->events);
    if (d->lost) {
        xn_cl_abandon(e->step);
        free(e);
        return;
    }
    free(e->step);
    if (e->logits) d->cl->EnqueueUnmapMemObject(d->queue, e->pinned, e->logits, 0, NULL, NULL);
    if (e->pinned) d->cl->ReleaseMemObject(e->pinned);
    free(e);
}
