// How rows of weights lie in a device's memory: the bits of the file's blocks in planes, one after the other, each from
// a multiple of 16 bytes on. kernels/decode*.cl read them; the values are the file's, bit for bit.
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { XN_CL_PLANES = 5 };
struct xn_cl_layout;

// NULL: the type has none (it holds no weights). Types that kernels read as another one (F64 as F32) name that in *as.
const struct xn_cl_layout *xn_cl_layout_of(uint32_t type, uint32_t *as);
// Units of 32 values, and bytes, of a row of `columns` values; false where they do not fit 32 bits.
bool xn_cl_layout_row(const struct xn_cl_layout *layout, uint32_t columns, uint32_t *units, uint32_t *bytes);
// Packs a row of `columns` values from its blocks in the file's order (at any alignment): `bytes` bytes at out.
void xn_cl_layout_pack(const struct xn_cl_layout *layout, const void *blocks, uint32_t columns, void *out,
                       uint32_t bytes);
