// Packing a matrix into the device's memory.
#include "opencl/internal.h"

#include "base/memory.h"
#include "model/matrix.h"
#include "opencl/layout.h"

#include <math.h>
#include <stdlib.h>

enum { CHUNK = 8 << 20 }; // bytes that are packed and sent at once

// The larger one of magnitudes of float32s. What is infinite or no number stays so in any unit, and does not count.
static uint32_t larger(uint32_t bits, uint32_t most) {
    bits &= 0x7fffffff;
    return bits > most && bits < 0x7f800000 ? bits : most;
}
// The exponent of the largest magnitude in a packed row of float32 or bfloat16 as those have it (127: of 1), or
// `least`.
static uint32_t largest(const struct xn_cl_packed *p, uint8_t *const plane[XN_CL_PLANES], uint32_t least) {
    uint32_t most = 0;
    for (uint32_t j = 0; j < p->row.n_planes; j++) {
        const uint32_t *words = (const void *)plane[j];
        const uint16_t *halves = (const void *)plane[j];
        for (uint32_t i = 0; p->type == XN_F32 && i < p->row.plane[j] / sizeof *words; i++)
            most = larger(words[i], most);
        for (uint32_t i = 0; p->type == XN_BF16 && i < p->row.plane[j] / sizeof *halves; i++)
            most = larger((uint32_t)halves[i] << 16, most);
    }
    return most >> 23 > least ? most >> 23 : least;
}

// Rows [first, first + n) of the stack, which lie in one piece.
static int send_rows(struct xn_cl_device *d, const struct xn_cl_packed *p, uint32_t *exponent,
                     const struct xn_cl_layout *layout, uint32_t first, uint32_t n, uint8_t *staging,
                     struct xn_error *err) {
    const struct xn_weights *w = &p->weights;
    const struct xn_cl_array *a = &p->array;
    uint32_t before = first / a->piece * a->piece, piece = a->units - before < a->piece ? a->units - before : a->piece;
    uint64_t staged[XN_CL_PLANES], at[XN_CL_PLANES];
    uint8_t *plane[XN_CL_PLANES];
    xn_cl_layout_planes(&p->row, n, staged);
    xn_cl_layout_planes(&p->row, piece, at);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t row = first + i;
        for (uint32_t j = 0; j < p->row.n_planes; j++)
            plane[j] = staging + staged[j] + (size_t)i * p->row.plane[j];
        xn_cl_layout_pack(layout, &p->row, xn_weights_row(w, row / w->matrix.rows, row % w->matrix.rows),
                          w->matrix.cols, plane);
        *exponent = largest(p, plane, *exponent);
    }
    for (uint32_t j = 0; j < p->row.n_planes; j++) {
        size_t offset, bytes = (size_t)n * p->row.plane[j];
        cl_mem buffer = xn_cl_array_at(d, a, before, at[j] + (uint64_t)(first - before) * p->row.plane[j], &offset);
        cl_int code =
            d->cl->EnqueueWriteBuffer(d->queue, buffer, CL_TRUE, offset, bytes, staging + staged[j], 0, NULL, NULL);
        if (code != CL_SUCCESS) return xn_cl_fail(err, code, "%s: writing to %s", w->matrix.name, d->info.name);
    }
    return XN_OK;
}

static int send(struct xn_cl_device *d, struct xn_cl_packed *p, const struct xn_cl_layout *layout,
                struct xn_error *err) {
    uint32_t most = CHUNK / p->row.bytes ? CHUNK / p->row.bytes : 1;
    uint8_t *staging = xn_alloc_aligned_raw(most, p->row.bytes);
    if (!staging) return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", p->weights.matrix.name);
    enum { MOST = 127 + 14 }; // of values below 2^15
    uint32_t exponent = MOST;
    int status = XN_OK;
    for (uint32_t row = 0, n; row < p->array.units && status == XN_OK; row += n) {
        uint32_t piece = p->array.piece - row % p->array.piece;
        n = p->array.units - row < most ? p->array.units - row : most;
        if (n > piece) n = piece;
        status = send_rows(d, p, &exponent, layout, row, n, staging, err);
    }
    p->shrink = ldexpf(1, MOST - (int)exponent);
    free(staging);
    return status;
}

int xn_cl_pack(struct xn_device *device, const struct xn_matrix *matrix, struct xn_weights **out,
               struct xn_error *err) {
    struct xn_cl_device *d = xn_cl_device_of(device);
    const char *name = matrix->name ? matrix->name : "matrix";
    *out = NULL;
    XN_TRY(xn_cl_ready(d, err));
    struct xn_cl_packed *p = xn_alloc_zero(1, sizeof *p);
    if (!p) return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", name);
    int status = xn_host_weights(matrix, &p->weights, err);
    if (status == XN_OK) {
        const struct xn_matrix *m = &p->weights.matrix;
        const struct xn_cl_layout *layout = xn_cl_layout_of(m->type, &p->type);
        p->weights.matrix.name = name;
        if (!layout)
            status =
                xn_fail(err, XN_ERR_UNSUPPORTED, "%s: there is no layout for type %s", name, p->weights.format->name);
        else if (!xn_cl_layout_row(layout, m->cols, &p->row))
            status = xn_fail(err, XN_ERR_LIMIT, "%s: rows of %u values are too long", name, m->cols);
        if (status == XN_OK)
            status = xn_cl_array_take(d, (uint64_t)m->rows * m->count, p->row.bytes, name, &p->array, err);
        if (status == XN_OK) status = send(d, p, layout, err);
    }
    xn_host_weights_free(&p->weights);
    p->weights.matrix.data = NULL;
    p->weights.matrix.name = NULL; // the file's
    if (status != XN_OK) {
        xn_cl_array_give(d, &p->array);
        free(p);
    } else {
        *out = &p->weights;
    }
    return status;
}

void xn_cl_unpack(struct xn_device *device, struct xn_weights *weights) {
    if (!weights) return;
    struct xn_cl_packed *p = (struct xn_cl_packed *)weights;
    xn_cl_array_give(xn_cl_device_of(device), &p->array);
    free(p);
}

uint64_t xn_cl_packed_bytes(const struct xn_matrix *matrix) {
    uint32_t type;
    struct xn_cl_row row;
    const struct xn_cl_layout *layout = xn_cl_layout_of(xn_matrix_ordered_type(matrix), &type);
    if (!layout || !xn_cl_layout_row(layout, matrix->cols, &row)) return 0;
    return (uint64_t)matrix->rows * matrix->count * row.bytes;
}
