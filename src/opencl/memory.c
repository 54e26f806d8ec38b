// Cache and states between steps, and all memory of an executor for those who hold it to plain C.
#include "base/memory.h"
#include "device/cache.h"
#include "opencl/blocks.h"
#include "opencl/check.h"
#include "opencl/executor.h"

#include <stdlib.h>

static int done(const struct xn_executor *e, cl_int code, const char *what, struct xn_error *err) {
    if (code == CL_SUCCESS) return XN_OK;
    return xn_cl_fail(err, code, "%s: %s", e->device->info.name, what);
}

static int finish(struct xn_executor *e, const char *what, struct xn_error *err) {
    return done(e, e->device->cl->Finish(e->device->queue), what, err);
}

static int check_index(const char *what, uint32_t i, uint32_t n, struct xn_error *err) {
    return i < n ? XN_OK : xn_fail(err, XN_ERR_ARGUMENT, "%s %u: there are %u", what, i, n);
}

// Copies bytes from or to host memory, which must stand until the queue is finished. The two pointers: one is NULL.
static int move_bytes(struct xn_executor *e, const struct xn_cl_array *array, uint32_t unit, uint64_t at, size_t bytes,
                      void *out, const void *in, const char *what, struct xn_error *err) {
    const struct xn_cl_device *d = e->device;
    size_t offset;
    if (bytes == 0) return XN_OK;
    cl_mem buffer = xn_cl_array_at(d, array, unit, at, &offset);
    if (out)
        return done(e, d->cl->EnqueueReadBuffer(d->queue, buffer, CL_FALSE, offset, bytes, out, 0, NULL, NULL), what,
                    err);
    return done(e, d->cl->EnqueueWriteBuffer(d->queue, buffer, CL_FALSE, offset, bytes, in, 0, NULL, NULL), what, err);
}

static int copy_unit(struct xn_executor *e, const struct xn_cl_array *a, uint32_t from, uint32_t to, const char *what,
                     struct xn_error *err) {
    const struct xn_cl_device *d = e->device;
    size_t source, target;
    if (a->units == 0 || from == to) return XN_OK;
    cl_mem in = xn_cl_array_at(d, a, from, 0, &source), out = xn_cl_array_at(d, a, to, 0, &target);
    return done(e, d->cl->EnqueueCopyBuffer(d->queue, in, out, source, target, a->unit_bytes, 0, NULL, NULL), what,
                err);
}

int xn_cl_copy_page(struct xn_executor *e, uint32_t from, uint32_t to, struct xn_error *err) {
    XN_TRY(xn_cl_ready(e->device, err));
    XN_TRY(check_index("cache page", from, e->view.limits.pages, err));
    XN_TRY(check_index("cache page", to, e->view.limits.pages, err));
    for (uint32_t i = 0; i < 2 * e->view.plan->n_cache; i++)
        XN_TRY(copy_unit(e, &e->cache[i], from, to, "copying a page", err));
    return XN_OK;
}

int xn_cl_copy_state(struct xn_executor *e, uint32_t from, uint32_t to, struct xn_error *err) {
    XN_TRY(xn_cl_ready(e->device, err));
    XN_TRY(check_index("state slot", from, e->view.limits.slots, err));
    XN_TRY(check_index("state slot", to, e->view.limits.slots, err));
    for (uint32_t i = 0; i < e->view.plan->n_states; i++)
        XN_TRY(copy_unit(e, &e->states[i], from, to, "copying a state", err));
    return XN_OK;
}

int xn_cl_clear_state(struct xn_executor *e, uint32_t slot, struct xn_error *err) {
    const struct xn_cl_device *d = e->device;
    static const cl_uint zero = 0;
    XN_TRY(xn_cl_ready(e->device, err));
    XN_TRY(check_index("state slot", slot, e->view.limits.slots, err));
    for (uint32_t i = 0; i < e->view.plan->n_states; i++) {
        size_t offset;
        if (e->states[i].units == 0) continue;
        cl_mem buffer = xn_cl_array_at(d, &e->states[i], slot, 0, &offset);
        XN_TRY(done(e,
                    d->cl->EnqueueFillBuffer(d->queue, buffer, &zero, sizeof zero, offset, e->states[i].unit_bytes, 0,
                                             NULL, NULL),
                    "clearing a state", err));
    }
    return XN_OK;
}

// The first n positions of a head in a page; out of the device or into it. Blocks are whole in host memory (scale,
// codes) and apart on the device, so they are moved at once.
struct xn_cl_head_of_page {
    const struct xn_cl_array *array;
    uint32_t page, head, size;
};
static int move_head(struct xn_executor *e, const struct xn_cl_head_of_page *h, uint32_t n, char *out, const char *in,
                     struct xn_error *err) {
    uint32_t type = e->view.limits.cache_type, page_size = e->view.limits.page_size;
    size_t vector = xn_cache_bytes(type, h->size), codes = vector - h->size / XN_CACHE_BLOCK * 2;
    uint64_t head = (uint64_t)h->head * page_size * vector;
    if (!xn_cache_type_blocks(type))
        return move_bytes(e, h->array, h->page, head, n * vector, out, in, "moving a page", err);
    char *apart = xn_alloc(n, vector);
    if (!apart) return xn_fail(err, XN_ERR_NOMEM, "no memory for a page of %u positions", n);
    if (in) xn_cl_blocks_split(type, n, h->size, in, apart);
    const char *from = in ? apart : NULL;
    char *to = in ? NULL : apart;
    int status = move_bytes(e, h->array, h->page, head, n * codes, to, from, "moving a page", err);
    if (status == XN_OK)
        status = move_bytes(e, h->array, h->page, head + page_size * codes, n * (vector - codes),
                            to ? to + n * codes : NULL, from ? from + n * codes : NULL, "moving a page", err);
    int finished = finish(e, "moving a page", status == XN_OK ? err : NULL);
    if (status == XN_OK) status = finished;
    if (status == XN_OK && out) xn_cl_blocks_join(type, n, h->size, apart, out);
    free(apart);
    return status;
}

// The first n positions of each head of a page, layer by layer; out of the device or into it.
static int move_page(struct xn_executor *e, uint32_t page, uint32_t n, char *out, const char *in,
                     struct xn_error *err) {
    const struct xn_plan *plan = e->view.plan;
    const struct xn_limits *limits = &e->view.limits;
    size_t at = 0;
    XN_TRY(xn_cl_ready(e->device, err));
    XN_TRY(check_index("cache page", page, limits->pages, err));
    if (n > limits->page_size)
        return xn_fail(err, XN_ERR_ARGUMENT, "%u positions of a page: there are %u", n, limits->page_size);
    int status = XN_OK;
    for (uint32_t i = 0; i < 2 * plan->n_cache && status == XN_OK; i++) {
        const struct xn_cache_layer *c = &plan->cache[i / 2];
        uint32_t size = i % 2 ? c->value_size : c->key_size;
        size_t moved = n * xn_cache_bytes(limits->cache_type, size);
        for (uint32_t h = 0; h < c->kv_heads && status == XN_OK; h++, at += moved)
            status = move_head(e, &(struct xn_cl_head_of_page){&e->cache[i], page, h, size}, n, out ? out + at : NULL,
                               in ? in + at : NULL, err);
    }
    int finished = finish(e, "moving a page", status == XN_OK ? err : NULL);
    return status == XN_OK ? finished : status;
}

int xn_cl_read_page(struct xn_executor *e, uint32_t page, uint32_t n, void *out, struct xn_error *err) {
    return move_page(e, page, n, out, NULL, err);
}

int xn_cl_write_page(struct xn_executor *e, uint32_t page, uint32_t n, const void *in, struct xn_error *err) {
    return move_page(e, page, n, NULL, in, err);
}

static int move_state(struct xn_executor *e, uint32_t slot, float *out, const float *in, struct xn_error *err) {
    size_t at = 0;
    XN_TRY(xn_cl_ready(e->device, err));
    XN_TRY(check_index("state slot", slot, e->view.limits.slots, err));
    int status = XN_OK;
    for (uint32_t i = 0; i < e->view.plan->n_states && status == XN_OK; i++) {
        status = move_bytes(e, &e->states[i], slot, 0, e->states[i].unit_bytes, out ? out + at : NULL,
                            in ? in + at : NULL, "moving a state", err);
        at += e->states[i].unit_bytes / sizeof(float);
    }
    int finished = finish(e, "moving a state", status == XN_OK ? err : NULL);
    return status == XN_OK ? finished : status;
}

int xn_cl_read_state(struct xn_executor *e, uint32_t slot, float *out, struct xn_error *err) {
    return move_state(e, slot, out, NULL, err);
}

int xn_cl_write_state(struct xn_executor *e, uint32_t slot, const float *in, struct xn_error *err) {
    return move_state(e, slot, NULL, in, err);
}

// --- rows between parts of a step ---

static int find_rows(const struct xn_executor *e, int rows, uint32_t n, size_t *at, size_t *bytes,
                     struct xn_error *err) {
    const struct xn_cl_map *map = &e->lowered.map;
    uint32_t width = xn_rows_width(e->view.plan, rows);
    XN_TRY(xn_cl_ready(e->device, err));
    if (width == 0 || n > e->view.limits.rows)
        return xn_fail(err, XN_ERR_ARGUMENT, "%u rows of kind %d: there are %u of %u values", n, rows,
                       width ? e->view.limits.rows : 0, width);
    *at = 4 * (size_t)(rows == XN_ROWS_IDS ? map->ids : rows == XN_ROWS_WEIGHTS ? map->weights : map->buffer[rows]);
    *bytes = 4 * (size_t)n * width;
    return XN_OK;
}

int xn_cl_read_rows(struct xn_executor *e, int rows, uint32_t n, void *out, struct xn_error *err) {
    const struct xn_cl_device *d = e->device;
    size_t at = 0, bytes = 0;
    XN_TRY(find_rows(e, rows, n, &at, &bytes, err));
    if (bytes == 0) return XN_OK;
    return done(e, d->cl->EnqueueReadBuffer(d->queue, e->memory[XN_CL_ACT], CL_TRUE, at, bytes, out, 0, NULL, NULL),
                "reading rows", err);
}

int xn_cl_write_rows(struct xn_executor *e, int rows, uint32_t n, const void *in, struct xn_error *err) {
    const struct xn_cl_device *d = e->device;
    size_t at = 0, bytes = 0;
    XN_TRY(find_rows(e, rows, n, &at, &bytes, err));
    if (bytes == 0) return XN_OK;
    return done(e, d->cl->EnqueueWriteBuffer(d->queue, e->memory[XN_CL_ACT], CL_TRUE, at, bytes, in, 0, NULL, NULL),
                "writing rows", err);
}

// --- all of it ---

static int move_values(struct xn_executor *e, cl_mem buffer, uint64_t at, uint64_t n, void *host, bool out,
                       struct xn_error *err) {
    const struct xn_cl_device *d = e->device;
    if (n == 0) return XN_OK;
    cl_int code = out ? d->cl->EnqueueReadBuffer(d->queue, buffer, CL_TRUE, at * 4, n * 4, host, 0, NULL, NULL)
                      : d->cl->EnqueueWriteBuffer(d->queue, buffer, CL_TRUE, at * 4, n * 4, host, 0, NULL, NULL);
    return done(e, code, "moving activations", err);
}

static int move_array(struct xn_executor *e, const struct xn_cl_array *a, char *host, bool out, struct xn_error *err) {
    for (uint32_t i = 0; i < a->units; i++, host += a->unit_bytes)
        XN_TRY(move_bytes(e, a, i, 0, a->unit_bytes, out ? host : NULL, out ? NULL : host, "moving memory", err));
    return finish(e, "moving memory", err);
}

// All pages of a layer's keys or values, page by page as they lie in host memory.
static int move_cache(struct xn_executor *e, uint32_t i, char *host, bool out, struct xn_error *err) {
    const struct xn_cache_layer *c = &e->view.plan->cache[i / 2];
    const struct xn_limits *limits = &e->view.limits;
    uint32_t size = i % 2 ? c->value_size : c->key_size;
    if (!xn_cache_type_blocks(limits->cache_type)) return move_array(e, &e->cache[i], host, out, err);
    size_t head = limits->page_size * xn_cache_bytes(limits->cache_type, size);
    for (uint32_t page = 0; page < limits->pages && size; page++)
        for (uint32_t h = 0; h < c->kv_heads; h++, host += head)
            XN_TRY(move_head(e, &(struct xn_cl_head_of_page){&e->cache[i], page, h, size}, limits->page_size,
                             out ? host : NULL, out ? NULL : host, err));
    return XN_OK;
}

static int move_all(struct xn_executor *e, const struct xn_host_memory *m, bool out, struct xn_error *err) {
    const struct xn_plan *plan = e->view.plan;
    const struct xn_cl_map *map = &e->lowered.map;
    uint64_t rows = e->view.limits.rows, routed = rows * plan->route_width;
    cl_mem act = e->memory[XN_CL_ACT];
    XN_TRY(xn_cl_ready(e->device, err));
    for (int b = 0; b < XN_BUFFERS; b++)
        XN_TRY(move_values(e, act, map->buffer[b], rows * plan->width[b], m->buffer[b], out, err));
    XN_TRY(move_values(e, act, map->ids, routed, m->expert_ids, out, err));
    XN_TRY(move_values(e, act, map->weights, routed, m->expert_weights, out, err));
    for (uint32_t i = 0; i < plan->n_cache; i++) {
        XN_TRY(move_cache(e, 2 * i, m->cache[i].keys, out, err));
        XN_TRY(move_cache(e, 2 * i + 1, m->cache[i].values, out, err));
    }
    for (uint32_t i = 0; i < plan->n_states; i++)
        XN_TRY(move_array(e, &e->states[i], (char *)m->states[i], out, err));
    return move_values(e, e->memory[XN_CL_LOGITS], 0, (uint64_t)e->view.limits.outputs * plan->vocab, m->logits, out,
                       err);
}

int xn_opencl_write(struct xn_executor *e, const struct xn_host_memory *from, struct xn_error *err) {
    return move_all(e, from, false, err);
}

int xn_opencl_read(struct xn_executor *e, struct xn_host_memory *to, struct xn_error *err) {
    return move_all(e, to, true, err);
}
