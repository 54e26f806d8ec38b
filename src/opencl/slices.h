// Slices: what each group of a walk takes of an operation with products, cut beforehand, so that between two waits for
// the other groups nothing is computed that is the same in every step (struct xn_cl_slice).
#pragma once

#include "opencl/lower.h"

// Puts the slices of all operations whose rows of weights are known behind the descriptors (lowered->ops, ops_bytes),
// for walks of so many groups over steps of one row of the batch, and of a few where `few`; tiles: those are walked by
// a program with tiles (struct xn_cl_program_key). Slices of `project_add` for a few rows may then have a part of their
// rows' units, where that is faster (struct xn_cl_slice); struct xn_cl_tiles' cuts makes room for that. Errors: no
// memory; matrices in more pieces than a slice can name (XN_ERR_UNSUPPORTED).
int xn_cl_cut_slices(struct xn_cl_lowered *lowered, uint32_t groups, uint32_t page_size, bool few, bool tiles,
                     struct xn_error *err);
