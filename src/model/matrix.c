#include "model/matrix.h"

#include "quant/format.h"

#include <stdlib.h>
#include <string.h>

enum { MX_VALUES = 32, MX_HALF = MX_VALUES / 2, MX_BLOCK = MX_HALF + 1 };

bool xn_matrix_same(const struct xn_matrix *a, const struct xn_matrix *b) {
    return a->data[0] == b->data[0] && a->count == b->count && a->rows == b->rows && a->cols == b->cols &&
           a->layout == b->layout && a->gather == b->gather && a->scales == b->scales;
}

bool xn_matrix_plain(const struct xn_matrix *m) {
    return m->layout == XN_LAYOUT_ROWS && !m->gather;
}

// Bytes of one value, or 0 for a type of blocks.
static size_t value_bytes(uint32_t type) {
    const struct xn_format *f = xn_format_of(type);
    return f && f->block_values == 1 ? f->block_bytes : 0;
}

uint32_t xn_matrix_ordered_type(const struct xn_matrix *m) {
    return m->layout == XN_LAYOUT_COLUMNS && !value_bytes(m->type) ? XN_F32 : m->type;
}

static uint32_t stored_row(const struct xn_matrix *m, uint32_t row) {
    return m->gather ? m->gather[row] : row;
}

static uint32_t stored_rows(const struct xn_matrix *m) {
    return m->stored_rows ? m->stored_rows : m->rows;
}

// A stored row is an input's values for all outputs: they go down a column.
static int order_columns(const struct xn_matrix *m, const struct xn_format *format, const char *data, char *out,
                         struct xn_error *err) {
    size_t bytes = value_bytes(m->type), stored = stored_rows(m), row_bytes;
    if (!xn_format_bytes(format, stored, &row_bytes))
        return xn_fail(err, XN_ERR_FORMAT, "%s: stored rows of %zu values, expected a multiple of %s's %u", m->name,
                       stored, format->name, format->block_values);
    float *decoded = NULL;
    if (!bytes) {
        if (!(decoded = malloc(stored * sizeof *decoded)))
            return xn_fail(err, XN_ERR_NOMEM, "%s: no memory for a row", m->name);
        bytes = sizeof *decoded;
    }
    for (size_t j = 0; j < m->cols; j++) {
        const char *from = data + j * row_bytes;
        if (decoded) {
            format->decode(from, decoded, stored);
            from = (const char *)decoded;
        }
        for (uint32_t i = 0; i < m->rows; i++)
            memcpy(out + (i * (size_t)m->cols + j) * bytes, from + stored_row(m, i) * bytes, bytes);
    }
    free(decoded);
    return XN_OK;
}

// A block of GGUF's MXFP4 has its scale first, and value i of its 32 in the low half of byte i, value i + 16 in the
// high half.
static void order_mx_block(const unsigned char *blocks, unsigned char scale, unsigned char *out) {
    unsigned char value[MX_VALUES];
    for (int i = 0; i < MX_HALF; i++) {
        value[2 * i] = blocks[i] & 15;
        value[2 * i + 1] = blocks[i] >> 4;
    }
    out[0] = scale;
    for (int i = 0; i < MX_HALF; i++)
        out[1 + i] = (unsigned char)(value[i] | value[i + MX_HALF] << 4);
}

static void order_mxfp4(const struct xn_matrix *m, const unsigned char *data, const unsigned char *scales,
                        unsigned char *out) {
    size_t blocks = m->cols / MX_VALUES;
    for (uint32_t i = 0; i < m->rows; i++) {
        size_t first = stored_row(m, i) * blocks;
        for (size_t j = 0; j < blocks; j++, out += MX_BLOCK)
            order_mx_block(data + (first + j) * MX_HALF, scales[first + j], out);
    }
}

int xn_matrix_order(const struct xn_matrix *m, uint32_t index, void *out, struct xn_error *err) {
    const struct xn_format *format = xn_format_of(m->type);
    size_t row_bytes = 0; // of rows; columns are checked where their stored rows are known
    if (!format || !format->decode || (m->layout != XN_LAYOUT_COLUMNS && !xn_format_bytes(format, m->cols, &row_bytes)))
        return xn_fail(err, XN_ERR_UNSUPPORTED, "%s: rows of %u values of type %s can't be read", m->name, m->cols,
                       format ? format->name : "unknown");
    const char *data = m->data[index];
    switch (m->layout) {
    case XN_LAYOUT_COLUMNS:
        return order_columns(m, format, data, out, err);
    case XN_LAYOUT_MXFP4:
        order_mxfp4(m, m->data[index], m->scales[index], out);
        return XN_OK;
    case XN_LAYOUT_ROWS:
        break;
    }
    for (uint32_t i = 0; i < m->rows; i++)
        memcpy((char *)out + i * row_bytes, data + stored_row(m, i) * row_bytes, row_bytes);
    return XN_OK;
}

size_t xn_matrix_stored_bytes(const struct xn_matrix *m, size_t *scales) {
    const struct xn_format *format = xn_format_of(m->type);
    uint64_t rows = stored_rows(m), blocks = rows * (m->cols / MX_VALUES);
    size_t row_bytes, bytes;
    *scales = 0;
    if (m->layout == XN_LAYOUT_MXFP4) {
        *scales = (size_t)blocks;
        return (size_t)blocks * MX_HALF;
    }
    bool columns = m->layout == XN_LAYOUT_COLUMNS;
    if (!format || !xn_format_bytes(format, columns ? rows : m->cols, &row_bytes) ||
        __builtin_mul_overflow(row_bytes, columns ? m->cols : rows, &bytes))
        return 0;
    return bytes;
}
