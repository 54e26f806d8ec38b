// The device's table, its opening, and packing on several members.
#include "device/split/internal.h"

#include "model/matrix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct xn_split_device *of(struct xn_device *device) {
    return (struct xn_split_device *)device;
}

// Appends to a text of names with " + " between them.
static void append(char *text, size_t size, const char *name) {
    size_t n = strlen(text);
    snprintf(text + n, size - n, "%s%s", n ? " + " : "", name);
}

// The members that run something, or all before anything was placed.
static void split_describe(const struct xn_device *device, struct xn_device_info *info) {
    const struct xn_split_device *d = (const struct xn_split_device *)device;
    uint32_t used = d->placement ? d->placement->used : UINT32_MAX;
    *info = (struct xn_device_info){0};
    for (uint32_t m = 0; m < d->n_members; m++) {
        struct xn_device_info one;
        if (!(used >> m & 1)) continue;
        d->member[m].device->table->describe(d->member[m].device, &one);
        append(info->name, sizeof info->name, one.name);
        append(info->backend, sizeof info->backend, one.backend);
        info->threads += one.threads;
        info->memory += one.memory;
        info->free_memory += one.free_memory;
    }
}

static void split_free(struct xn_device *device) {
    if (!device) return;
    struct xn_split_device *d = of(device);
    xn_split_placement_drop(d->placement);
    for (uint32_t m = 0; m < d->n_members; m++)
        d->member[m].device->table->free(d->member[m].device);
    free(d);
}

static int split_place(struct xn_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                       const uint64_t *packed, struct xn_device **use, struct xn_error *err) {
    struct xn_split_device *d = of(device);
    *use = device;
    XN_TRY(xn_split_place(d, plan, limits, packed, err));
    uint32_t used = d->placement->used;
    if (used && (used & (used - 1)) == 0) *use = d->member[__builtin_ctz(used)].device;
    return XN_OK;
}

// --- weights ---

void xn_split_placement_drop(struct xn_split_placement *p) {
    if (!p || --p->references) return;
    free(p->member);
    free(p->matrices);
    free(p);
}

static void split_unpack(struct xn_device *device, struct xn_weights *weights) {
    struct xn_split_device *d = of(device);
    struct xn_split_weights *w = (struct xn_split_weights *)weights;
    if (!w) return;
    for (uint32_t m = 0; m < d->n_members; m++)
        if (w->on[m]) d->member[m].device->table->unpack(d->member[m].device, w->on[m]);
    xn_split_placement_drop(w->placement);
    free(w);
}

static uint32_t members_of(const struct xn_split_placement *p, const struct xn_matrix *matrix) {
    for (size_t i = 0; p && i < p->n_matrices; i++)
        if (xn_matrix_same(&p->matrices[i].matrix, matrix)) return p->matrices[i].members;
    return 0;
}

static int split_pack(struct xn_device *device, const struct xn_matrix *matrix, struct xn_weights **out,
                      struct xn_error *err) {
    struct xn_split_device *d = of(device);
    const char *name = matrix->name ? matrix->name : "matrix";
    uint32_t members = members_of(d->placement, matrix);
    *out = NULL;
    if (!members) return xn_fail(err, XN_ERR_ARGUMENT, "%s: it is of no plan that was placed", name);
    struct xn_split_weights *w = xn_alloc_zero(1, sizeof *w);
    if (!w) return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", name);
    int status = xn_host_describe_weights(matrix, &w->weights, err);
    w->weights.matrix.data = NULL;
    for (uint32_t m = 0; m < d->n_members && status == XN_OK; m++) {
        struct xn_device *member = d->member[m].device;
        if (!(members >> m & 1)) continue;
        status = member->table->pack(member, matrix, &w->on[m], err);
        if (status == XN_OK) {
            d->packed[m] += xn_split_packed_bytes(member, matrix);
            continue;
        }
        w->on[m] = NULL;
        if (status == XN_ERR_NOMEM) d->failed = (int)m;
        status = xn_error_context(err, status, "%s", d->member[m].name);
    }
    if (status != XN_OK) {
        split_unpack(device, &w->weights);
        return status;
    }
    w->placement = d->placement;
    w->placement->references++;
    *out = &w->weights;
    return XN_OK;
}

static void split_watch(struct xn_device *device, const struct xn_progress *progress) {
    struct xn_split_device *d = of(device);
    for (uint32_t m = 0; m < d->n_members; m++)
        if (d->member[m].device->table->watch) d->member[m].device->table->watch(d->member[m].device, progress);
}

static const struct xn_device_table split_table = {
    .describe = split_describe,
    .free = split_free,
    .place = split_place,
    .pack = split_pack,
    .unpack = split_unpack,
    .watch = split_watch,
    .prepare = xn_split_prepare,
    .release = xn_split_release,
    .memory = xn_split_memory,
    .run = xn_split_run,
    .logits = xn_split_logits,
    .candidates = xn_split_candidates,
    .read_logits = xn_split_read_logits,
    .read_rows = xn_split_read_final_rows,
    .copy_page = xn_split_copy_page,
    .copy_state = xn_split_copy_state,
    .clear_state = xn_split_clear_state,
    .cache_type = xn_split_cache_type,
    .read_page = xn_split_read_page,
    .write_page = xn_split_write_page,
    .read_state = xn_split_read_state,
    .write_state = xn_split_write_state,
    .times = xn_split_times,
    .tell_apart = xn_split_tell_apart,
    .launches = xn_split_launches,
};

static int check_options(const struct xn_split_options *o, struct xn_error *err) {
    if (o->n_members == 0 || o->n_members > XN_SPLIT_MEMBERS)
        return xn_fail(err, XN_ERR_ARGUMENT, "%u devices to split a model over, 1 to %d expected", o->n_members,
                       XN_SPLIT_MEMBERS);
    if (o->spill >= (int)o->n_members || (o->spill >= 0 && o->n_members == 1))
        return xn_fail(err, XN_ERR_ARGUMENT, "device %d of %u takes what does not fit the others", o->spill,
                       o->n_members);
    if (o->spill < 0 && (o->layers >= 0 || o->experts))
        return xn_fail(err, XN_ERR_ARGUMENT, "no device takes the layers and experts that the others leave");
    for (uint32_t m = 0; m < o->n_members; m++) {
        const struct xn_device_table *t = o->members[m].device->table;
        if (!t->run_part || !t->read_rows || !t->write_rows)
            return xn_fail(err, XN_ERR_UNSUPPORTED, "device %s runs no parts of a step", o->members[m].name);
    }
    return XN_OK;
}

int xn_split_device_open(const struct xn_split_options *o, struct xn_device **out, struct xn_error *err) {
    *out = NULL;
    XN_TRY(check_options(o, err));
    struct xn_split_device *d = xn_alloc_zero(1, sizeof *d);
    if (!d) return xn_fail(err, XN_ERR_NOMEM, "no memory for a device");
    d->device.table = &split_table;
    memcpy(d->member, o->members, o->n_members * sizeof *d->member);
    d->n_members = o->n_members;
    d->spill = o->spill;
    d->layers = o->layers;
    d->experts = o->experts;
    d->few = o->few;
    d->failed = -1;
    d->piece_rows = 128;
    *out = &d->device;
    return XN_OK;
}
