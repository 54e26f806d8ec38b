// Vectors of the float formats at any address, after the instruction set's simd.h.
#pragma once

#include "cpu/declare.h"

static inline vf load_f32(const char *p) {
    return v_load((const float *)(const void *)p);
}
static inline vf load_f16(const char *p) {
    return v_load_f16((const uint16_t *)(const void *)p);
}
static inline vf load_bf16(const char *p) {
    return v_load_bf16((const uint16_t *)(const void *)p);
}

typedef vf load_values(const char *p);
