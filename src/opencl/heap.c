#include "opencl/heap.h"

#include "base/memory.h"
#include "opencl/internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 256 };
static const uint64_t least_heap = 32 << 20;

static uint64_t aligned(uint64_t size) {
    return (size + ALIGN - 1) / ALIGN * ALIGN;
}

// Room for one range more than there may be now, so that giving memory back never fails.
static int reserve(struct xn_cl_heap *h) {
    return XN_GROW(h->free, h->capacity, h->n_free + 2);
}

static void remove_range(struct xn_cl_heap *h, size_t i) {
    memmove(&h->free[i], &h->free[i + 1], (--h->n_free - i) * sizeof *h->free);
}

// First fit.
static bool take_from(struct xn_cl_heap *h, uint64_t size, uint64_t *at) {
    if (!h->buffer || reserve(h) != 0) return false;
    for (size_t i = 0; i < h->n_free; i++) {
        struct xn_cl_range *r = &h->free[i];
        if (r->size < size) continue;
        *at = r->at;
        r->at += size;
        r->size -= size;
        if (r->size == 0) remove_range(h, i);
        return true;
    }
    return false;
}

static void give_to(struct xn_cl_heap *h, uint64_t at, uint64_t size) {
    size_t i = 0;
    while (i < h->n_free && h->free[i].at < at)
        i++;
    memmove(&h->free[i + 1], &h->free[i], (h->n_free++ - i) * sizeof *h->free);
    h->free[i] = (struct xn_cl_range){at, size};
    if (i + 1 < h->n_free && at + size == h->free[i + 1].at) {
        h->free[i].size += h->free[i + 1].size;
        remove_range(h, i + 1);
    }
    if (i > 0 && h->free[i - 1].at + h->free[i - 1].size == at) {
        h->free[i - 1].size += h->free[i].size;
        remove_range(h, i);
    }
}

static void close_heap(struct xn_cl_device *d, struct xn_cl_heap *h) {
    xn_cl_buffer_free(d, h->buffer, h->size);
    free(h->free);
    *h = (struct xn_cl_heap){0};
}

// Bytes of a new heap: what is expected, else a part of what there is. It takes memory from everything else, so it
// should not be much larger than what will lie in it; and there can only be so many.
static uint64_t wanted_bytes(const struct xn_cl_device *d, uint64_t total) {
    if (d->heap_bytes) return d->heap_bytes;
    uint64_t wanted = d->expected ? d->expected : total / 4;
    if (wanted < least_heap) wanted = least_heap;
    return wanted < d->max_allocation ? wanted : d->max_allocation;
}

// A new heap of at least `size` bytes, larger where there is memory for it.
static int open_heap(struct xn_cl_device *d, uint64_t size, const char *what, struct xn_error *err) {
    uint64_t total = 0, wanted;
    struct xn_cl_heap *h = NULL;
    for (int i = XN_CL_HEAPS - 1; i >= 0; i--) {
        total += d->heaps[i].size;
        if (!d->heaps[i].buffer) h = &d->heaps[i];
    }
    if (!h)
        return xn_fail(err, XN_ERR_LIMIT,
                       "%s: %" PRIu64 " MB do not fit the %d allocations of at most %" PRIu64 " MB that %s allows",
                       what, size >> 20, XN_CL_HEAPS, d->max_allocation >> 20, d->info.name);
    wanted = wanted_bytes(d, total);
    int status = XN_ERR_NOMEM;
    for (wanted = wanted < size ? size : wanted; status != XN_OK; wanted = wanted / 2 < size ? size : wanted / 2) {
        status = xn_cl_buffer(d, wanted, what, &h->buffer, err);
        if (status == XN_OK) h->size = wanted;
        if (wanted == size) break;
    }
    XN_TRY(status);
    d->expected -= h->size < d->expected ? h->size : d->expected;
    if (reserve(h) != 0) {
        close_heap(d, h);
        return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", what);
    }
    h->free[h->n_free++] = (struct xn_cl_range){0, h->size};
    return XN_OK;
}

static int take(struct xn_cl_device *d, uint64_t size, const char *what, struct xn_cl_place *place,
                struct xn_error *err) {
    for (int tried = 0; tried < 2; tried++) {
        for (uint32_t i = 0; i < XN_CL_HEAPS; i++)
            if (take_from(&d->heaps[i], size, &place->offset)) {
                place->heap = i;
                return XN_OK;
            }
        if (tried == 0) XN_TRY(open_heap(d, size, what, err));
    }
    return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", what);
}

static uint32_t piece_units(const struct xn_cl_array *a, uint32_t piece) {
    uint32_t before = piece * a->piece;
    return a->units - before < a->piece ? a->units - before : a->piece;
}

int xn_cl_array_take(struct xn_cl_device *d, uint64_t units, uint64_t unit_bytes, const char *what,
                     struct xn_cl_array *a, struct xn_error *err) {
    *a = (struct xn_cl_array){0};
    if (units == 0 || unit_bytes == 0) return XN_OK;
    // Kernels count bytes of a piece in 32 bits.
    uint64_t piece = d->max_allocation < UINT32_MAX ? d->max_allocation : UINT32_MAX;
    uint64_t most = piece / ALIGN * ALIGN / unit_bytes;
    if (most == 0 || units > UINT32_MAX)
        return xn_fail(err, XN_ERR_LIMIT,
                       "%s: %" PRIu64 " units of %" PRIu64 " bytes, at most %u of %" PRIu64 " are possible", what,
                       units, unit_bytes, UINT32_MAX, piece);
    a->units = (uint32_t)units;
    a->unit_bytes = unit_bytes;
    if (d->piece_bytes && most > d->piece_bytes / unit_bytes)
        most = d->piece_bytes / unit_bytes ? d->piece_bytes / unit_bytes : 1;
    a->piece = (uint32_t)(units < most ? units : most);
    uint32_t pieces = (a->units - 1) / a->piece + 1;
    a->places = xn_alloc_zero(pieces, sizeof *a->places);
    int status = a->places ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", what);
    for (; status == XN_OK && a->n_pieces < pieces; a->n_pieces++) {
        uint64_t bytes = aligned(piece_units(a, a->n_pieces) * unit_bytes);
        status = take(d, bytes, what, &a->places[a->n_pieces], err);
        if (status != XN_OK) break;
    }
    if (status != XN_OK) xn_cl_array_give(d, a);
    return status;
}

void xn_cl_array_give(struct xn_cl_device *d, struct xn_cl_array *a) {
    for (uint32_t i = 0; i < a->n_pieces; i++) {
        struct xn_cl_heap *h = &d->heaps[a->places[i].heap];
        give_to(h, a->places[i].offset, aligned(piece_units(a, i) * a->unit_bytes));
        if (h->n_free == 1 && h->free[0].size == h->size) close_heap(d, h);
    }
    free(a->places);
    *a = (struct xn_cl_array){0};
}

cl_mem xn_cl_array_at(const struct xn_cl_device *d, const struct xn_cl_array *a, uint32_t unit, uint64_t at,
                      size_t *offset) {
    const struct xn_cl_place *place = &a->places[unit / a->piece];
    *offset = (size_t)(place->offset + unit % a->piece * a->unit_bytes + at);
    return d->heaps[place->heap].buffer;
}
