// How weights lie in a device's memory: the bits of the file's blocks in planes, one after the other, each from a
// multiple of 16 bytes on. A piece (as many rows of a matrix, or of a stack of them, as one allocation holds) has its
// planes in common: plane 0 of all its rows, plane 1 of all its rows, and so on, so that neighbouring units, also of
// neighbouring rows, lie side by side. kernels/decode*.cl read them; the values are the file's, bit for bit.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { XN_CL_PLANES = 5 };
struct xn_cl_layout;

// NULL: the type has none (it holds no weights). Types that kernels read as another one (F64 as F32) name that in *as.
const struct xn_cl_layout *xn_cl_layout_of(uint32_t type, uint32_t *as);
// Whether kernels multiply its weights as small whole numbers (kernels/codes.cl).
bool xn_cl_layout_has_codes(uint32_t type);
// A row of weights: units of 32 values (the last filled up with zeros), and what it takes of each plane.
struct xn_cl_row {
    uint32_t units, n_planes;
    uint32_t plane[XN_CL_PLANES]; // bytes
    uint32_t bytes;               // that n rows need at most the n-fold of, planes aligned
};
// Of `columns` values; false where they do not fit 32 bits.
bool xn_cl_layout_row(const struct xn_cl_layout *layout, uint32_t columns, struct xn_cl_row *row);
// Where the planes of n rows begin, in bytes from the first.
void xn_cl_layout_planes(const struct xn_cl_row *row, uint32_t n, uint64_t begin[XN_CL_PLANES]);
// Packs a row of `columns` values from its blocks in the file's order (at any alignment), its part of each plane at
// plane[p].
void xn_cl_layout_pack(const struct xn_cl_layout *layout, const struct xn_cl_row *row, const void *blocks,
                       uint32_t columns, uint8_t *const plane[XN_CL_PLANES]);
