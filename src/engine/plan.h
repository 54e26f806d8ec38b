// From recipe to plan: the constant list of fused operations of a step.
#pragma once

#include "device/ops.h"

// Makes a matrix's weights; called once for each matrix of the recipe that the plan reads.
typedef int xn_plan_pack(void *user, const struct xn_matrix *matrix, struct xn_weights **out, struct xn_error *err);

// Everything of the plan is allocated in the arena; the recipe must outlive it.
int xn_plan_build(const struct xn_recipe *recipe, xn_plan_pack *pack, void *user, struct xn_arena *arena,
                  struct xn_plan *plan, struct xn_error *err);
