// Matrices that a container stores in another order than kernels read.
#pragma once

#include "model/recipe.h"

// Whether rows stand as kernels read them: nothing to put in order.
bool xn_matrix_plain(const struct xn_matrix *matrix);
// Whether two are the same values: of the same place, size and order.
bool xn_matrix_same(const struct xn_matrix *a, const struct xn_matrix *b);
// The type in which a matrix stands in order: its own, but XN_F32 for transposed blocks of a quantized type.
uint32_t xn_matrix_ordered_type(const struct xn_matrix *matrix);
// Writes matrix `index` of a matrix's `count` in order: rows x cols, row after row, in the ordered type. `out` has room
// for them. Fails where the type does not decode, its blocks do not divide the rows, or memory for a row is missing.
int xn_matrix_order(const struct xn_matrix *matrix, uint32_t index, void *out, struct xn_error *err);
// Bytes that each of the matrix's data pointers stands for as it is stored (with rows that `gather` leaves out), and in
// *scales those of each of its scales (0: none). 0 where the type is unknown or they are too many.
size_t xn_matrix_stored_bytes(const struct xn_matrix *matrix, size_t *scales);
