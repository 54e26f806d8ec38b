#include "device/cache.h"

#include "quant/half.h"

#include <math.h>
#include <string.h>

enum { Q8_BYTES = 34, Q4_BYTES = 18 }; // of a block: a float16 scale, then codes

bool xn_cache_type_known(uint32_t type) {
    return type == XN_F32 || type == XN_F16 || type == XN_BF16 || xn_cache_type_blocks(type);
}

size_t xn_cache_bytes(uint32_t type, size_t n) {
    switch (type) {
    case XN_F32:
        return 4 * n;
    case XN_Q8_0:
        return n / XN_CACHE_BLOCK * Q8_BYTES;
    case XN_Q4_0:
        return n / XN_CACHE_BLOCK * Q4_BYTES;
    default:
        return 2 * n;
    }
}

bool xn_cache_type_serves(const struct xn_plan *plan, uint32_t type, uint32_t *size) {
    uint32_t odd = 0;
    for (uint32_t i = 0; i < plan->n_cache && !odd; i++) {
        odd = plan->cache[i].key_size % XN_CACHE_BLOCK ? plan->cache[i].key_size : 0;
        if (!odd && plan->cache[i].value_size % XN_CACHE_BLOCK) odd = plan->cache[i].value_size;
    }
    for (uint32_t i = 0; i < plan->n_ops && !odd; i++)
        for (uint32_t j = 0; plan->ops[i].kind == XN_OP_PROJECT && j < plan->ops[i].project.n_parts && !odd; j++) {
            const struct xn_part *p = &plan->ops[i].project.part[j];
            if (p->target != XN_TO_BUFFER && (p->head_size | p->cache_at) % XN_CACHE_BLOCK) odd = p->head_size;
        }
    *size = odd;
    return !xn_cache_type_blocks(type) || !odd;
}

static uint16_t half_at(const void *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return h;
}

float xn_cache_load(uint32_t type, const void *cache, size_t i) {
    size_t block = i / XN_CACHE_BLOCK, j = i % XN_CACHE_BLOCK;
    const uint8_t *b;
    switch (type) {
    case XN_F32:
        return ((const float *)cache)[i];
    case XN_F16:
        return xn_f16_to_f32(((const uint16_t *)cache)[i]);
    case XN_BF16:
        return xn_bf16_to_f32(((const uint16_t *)cache)[i]);
    case XN_Q8_0:
        b = (const uint8_t *)cache + block * Q8_BYTES;
        return xn_f16_to_f32(half_at(b)) * (float)(int8_t)b[2 + j];
    default: // XN_Q4_0: the first half of the values are the low nibbles
        b = (const uint8_t *)cache + block * Q4_BYTES;
        return xn_f16_to_f32(half_at(b)) * (float)((j < 16 ? b[2 + j] & 15 : b[2 + j - 16] >> 4) - 8);
    }
}

// The value of the largest magnitude, the first of equal ones.
static float largest_of(const float *values) {
    float largest = 0;
    for (int i = 0; i < XN_CACHE_BLOCK; i++)
        if (fabsf(values[i]) > fabsf(largest)) largest = values[i];
    return largest;
}

static int code_of(float value, float inverse, int low, int high) {
    float code = rintf(value * inverse);
    return !(code > (float)low) ? low : code < (float)high ? (int)code : high; // also of what is not finite
}

static void store_block(uint32_t type, uint8_t *b, const float *values) {
    float largest = largest_of(values), scale = type == XN_Q8_0 ? fabsf(largest) / 127 : largest / -8;
    float inverse = scale != 0 ? 1 / scale : 0;
    uint16_t half = xn_f32_to_f16(scale);
    memcpy(b, &half, sizeof half);
    for (int i = 0; i < XN_CACHE_BLOCK && type == XN_Q8_0; i++)
        b[2 + i] = (uint8_t)(int8_t)code_of(values[i], inverse, -127, 127);
    for (int i = 0; i < XN_CACHE_BLOCK / 2 && type == XN_Q4_0; i++)
        b[2 + i] =
            (uint8_t)(code_of(values[i], inverse, -8, 7) + 8 + ((code_of(values[16 + i], inverse, -8, 7) + 8) << 4));
}

void xn_cache_store(uint32_t type, void *cache, size_t i, const float *values, size_t n) {
    uint16_t *halves = cache;
    size_t bytes = type == XN_Q8_0 ? Q8_BYTES : Q4_BYTES;
    if (type == XN_F32)
        memcpy((float *)cache + i, values, n * sizeof *values);
    else if (xn_cache_type_blocks(type))
        for (size_t j = 0; j < n; j += XN_CACHE_BLOCK)
            store_block(type, (uint8_t *)cache + (i + j) / XN_CACHE_BLOCK * bytes, values + j);
    else
        for (size_t j = 0; j < n; j++)
            halves[i + j] = type == XN_F16 ? xn_f32_to_f16(values[j]) : xn_f32_to_bf16(values[j]);
}
