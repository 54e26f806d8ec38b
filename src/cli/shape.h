// Shapes and mixtures of formats by the names that a user gives; errors name the nearest known one.
#pragma once

#include "model/synth.h"

int xn_find_shape(const char *name, const struct xn_shape **shape, struct xn_error *err);
int xn_find_preset(const char *name, const struct xn_preset **preset, struct xn_error *err); // NULL: Q4_K_M
