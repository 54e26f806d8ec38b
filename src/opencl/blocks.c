#include "opencl/blocks.h"

#include "device/cache.h"

#include <stddef.h>
#include <string.h>

enum { SCALE = 2, NIBBLES = 16 }; // bytes of a scale, and of a block's codes of 4 bits

// Where the device has value i of a block: the bit of the first of its four.
static uint32_t bit_of(uint32_t i) {
    return i / 8 * 32 + i / 2 % 4 * 4 + i % 2 * 16;
}

static void split_nibbles(const uint8_t *codes, uint8_t *out) {
    memset(out, 0, NIBBLES);
    for (uint32_t i = 0; i < XN_CACHE_BLOCK; i++) {
        uint32_t code = i < NIBBLES ? codes[i] & 15u : codes[i - NIBBLES] >> 4, bit = bit_of(i);
        out[bit / 8] |= (uint8_t)(code << bit % 8);
    }
}

static void join_nibbles(const uint8_t *codes, uint8_t *out) {
    memset(out, 0, NIBBLES);
    for (uint32_t i = 0; i < XN_CACHE_BLOCK; i++) {
        uint32_t bit = bit_of(i), code = codes[bit / 8] >> bit % 8 & 15u;
        out[i % NIBBLES] |= (uint8_t)(i < NIBBLES ? code : code << 4);
    }
}

void xn_cl_blocks_split(uint32_t type, uint32_t n, uint32_t size, const char *blocks, char *apart) {
    size_t count = (size_t)n * size / XN_CACHE_BLOCK, codes = xn_cache_bytes(type, XN_CACHE_BLOCK) - SCALE;
    for (size_t i = 0; i < count; i++, blocks += SCALE + codes) {
        memcpy(apart + count * codes + i * SCALE, blocks, SCALE);
        if (type == XN_Q8_0)
            memcpy(apart + i * codes, blocks + SCALE, codes);
        else
            split_nibbles((const uint8_t *)blocks + SCALE, (uint8_t *)apart + i * codes);
    }
}

void xn_cl_blocks_join(uint32_t type, uint32_t n, uint32_t size, const char *apart, char *blocks) {
    size_t count = (size_t)n * size / XN_CACHE_BLOCK, codes = xn_cache_bytes(type, XN_CACHE_BLOCK) - SCALE;
    for (size_t i = 0; i < count; i++, blocks += SCALE + codes) {
        memcpy(blocks, apart + count * codes + i * SCALE, SCALE);
        if (type == XN_Q8_0)
            memcpy(blocks + SCALE, apart + i * codes, codes);
        else
            join_nibbles((const uint8_t *)apart + i * codes, (uint8_t *)blocks + SCALE);
    }
}
