// The scale of a block of MXFP4.
#pragma once

#include <stdint.h>
#include <string.h>

// Half of a block's scale, for codes that stand for twice their value: 2^(e - 128), below the normal numbers for e < 2.
static inline float mx_scale(uint8_t e) {
    uint32_t bits = e < 2 ? 0x200000u << e : (uint32_t)(e - 1) << 23;
    float scale;
    memcpy(&scale, &bits, sizeof scale);
    return scale;
}
