// The plain-C device.
#include "device/reference/reference.h"
#include "device/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

xn_reference_op *const xn_reference_ops[XN_OP_KINDS] = {
    [XN_OP_EMBED] = xn_ref_embed,
    [XN_OP_PROJECT] = xn_ref_project,
    [XN_OP_ATTEND] = xn_ref_attend,
    [XN_OP_DELTA_NET] = xn_ref_delta_net,
    [XN_OP_STATE_SPACE] = xn_ref_state_space,
    [XN_OP_SHORT_CONV] = xn_ref_short_conv,
    [XN_OP_HEADS] = xn_ref_heads,
    [XN_OP_PROJECT_ADD] = xn_ref_project_add,
    [XN_OP_ADD] = xn_ref_add,
    [XN_OP_GATE] = xn_ref_gate,
    [XN_OP_ROUTE] = xn_ref_route,
    [XN_OP_EXPERT_GATE] = xn_ref_expert_gate,
    [XN_OP_EXPERT_ADD] = xn_ref_expert_add,
    [XN_OP_HEAD] = xn_ref_head,
};

struct xn_executor {
    struct xn_host_memory memory;
    double seconds[XN_OP_KINDS];
};

static void reference_describe(const struct xn_device *device, struct xn_device_info *info) {
    (void)device;
    *info = (struct xn_device_info){.threads = 1};
    snprintf(info->name, sizeof info->name, "plain C");
    snprintf(info->backend, sizeof info->backend, "reference");
    info->memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void reference_free(struct xn_device *device) {
    free(device);
}

static int reference_pack(struct xn_device *device, const struct xn_matrix *matrix, struct xn_weights **out,
                          struct xn_error *err) {
    (void)device;
    struct xn_weights *w = xn_alloc_zero(1, sizeof *w);
    if (!w) return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", matrix->name);
    int status = xn_host_weights(matrix, w, err);
    if (status != XN_OK)
        free(w);
    else
        *out = w;
    return status;
}

static void reference_unpack(struct xn_device *device, struct xn_weights *weights) {
    (void)device;
    if (!weights) return;
    xn_host_weights_free(weights);
    free(weights);
}

// The reference keeps its cache in float32 unless told otherwise.
static struct xn_limits resolved(const struct xn_limits *limits) {
    struct xn_limits r = *limits;
    if (r.cache_type == XN_TYPE_COUNT) r.cache_type = XN_F32;
    return r;
}

static int reference_prepare(struct xn_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                             struct xn_executor **out, struct xn_error *err) {
    (void)device;
    struct xn_limits r = resolved(limits);
    uint32_t size;
    if (!xn_cache_type_known(r.cache_type) || !xn_cache_type_serves(plan, r.cache_type, &size))
        return xn_fail(err, XN_ERR_UNSUPPORTED, "the reference keeps no cache of type %u for these heads",
                       r.cache_type);
    struct xn_executor *e = xn_alloc_zero(1, sizeof *e);
    if (!e) return xn_fail(err, XN_ERR_NOMEM, "out of memory");
    int status = xn_host_memory_init(&e->memory, plan, &r, err);
    if (status != XN_OK)
        free(e);
    else
        *out = e;
    return status;
}

static void reference_release(struct xn_device *device, struct xn_executor *e) {
    (void)device;
    if (!e) return;
    xn_host_memory_free(&e->memory);
    free(e);
}

static void reference_memory(const struct xn_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                             uint64_t *cache_bytes, uint64_t *activation_bytes) {
    (void)device;
    struct xn_limits r = resolved(limits);
    xn_host_memory_size(plan, &r, cache_bytes, activation_bytes);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int reference_run(struct xn_executor *e, const struct xn_batch *batch, struct xn_error *err) {
    XN_TRY(xn_host_check_batch(&e->memory, batch, err));
    for (uint32_t i = 0; i < e->memory.plan->n_ops; i++) {
        const struct xn_op *op = &e->memory.plan->ops[i];
        double start = now();
        XN_TRY(xn_reference_ops[op->kind](&e->memory, batch, op, err));
        e->seconds[op->kind] += now() - start;
    }
    return XN_OK;
}

static const float *reference_logits(struct xn_executor *e) {
    return e->memory.logits;
}

static int reference_copy_page(struct xn_executor *e, uint32_t from, uint32_t to, struct xn_error *err) {
    (void)err;
    xn_host_copy_page(&e->memory, from, to);
    return XN_OK;
}

static int reference_copy_state(struct xn_executor *e, uint32_t from, uint32_t to, struct xn_error *err) {
    (void)err;
    xn_host_copy_state(&e->memory, from, to);
    return XN_OK;
}

static int reference_clear_state(struct xn_executor *e, uint32_t slot, struct xn_error *err) {
    (void)err;
    xn_host_clear_state(&e->memory, slot);
    return XN_OK;
}

static uint32_t reference_cache_type(const struct xn_executor *e) {
    return e->memory.limits.cache_type;
}

static int reference_read_page(struct xn_executor *e, uint32_t page, uint32_t n, void *out, struct xn_error *err) {
    return xn_host_read_page(&e->memory, page, n, out, err);
}

static int reference_write_page(struct xn_executor *e, uint32_t page, uint32_t n, const void *in,
                                struct xn_error *err) {
    return xn_host_write_page(&e->memory, page, n, in, err);
}

static int reference_read_state(struct xn_executor *e, uint32_t slot, float *out, struct xn_error *err) {
    return xn_host_read_state(&e->memory, slot, out, err);
}

static int reference_write_state(struct xn_executor *e, uint32_t slot, const float *in, struct xn_error *err) {
    return xn_host_write_state(&e->memory, slot, in, err);
}

static void reference_times(struct xn_executor *e, double seconds[XN_OP_KINDS]) {
    memcpy(seconds, e->seconds, sizeof e->seconds);
    memset(e->seconds, 0, sizeof e->seconds);
}

static const struct xn_device_table reference_table = {
    .describe = reference_describe,
    .free = reference_free,
    .pack = reference_pack,
    .unpack = reference_unpack,
    .prepare = reference_prepare,
    .release = reference_release,
    .memory = reference_memory,
    .run = reference_run,
    .logits = reference_logits,
    .copy_page = reference_copy_page,
    .copy_state = reference_copy_state,
    .clear_state = reference_clear_state,
    .cache_type = reference_cache_type,
    .read_page = reference_read_page,
    .write_page = reference_write_page,
    .read_state = reference_read_state,
    .write_state = reference_write_state,
    .times = reference_times,
};

int xn_reference_device_open(struct xn_device **out, struct xn_error *err) {
    struct xn_device *d = xn_alloc_zero(1, sizeof *d);
    if (!d) return xn_fail(err, XN_ERR_NOMEM, "out of memory");
    d->table = &reference_table;
    *out = d;
    return XN_OK;
}
