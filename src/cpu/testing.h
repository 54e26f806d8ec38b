// What the processor's tests share: a random generator with a seed to repeat a failure, and random weights of any
// format.
#pragma once

#include "base/memory.h"
#include "base/testing.h"
#include "cpu/kernels.h"
#include "quant/format.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed;

static inline uint64_t rng(uint64_t *s) { // xorshift64*
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return *s * 2685821657736338717ull;
}
static inline float uniform(uint64_t *s) {
    return (float)((double)(rng(s) >> 11) * 0x1p-52 - 1.0);
}

// Random blocks of a format: any bits, but scales that are finite and of ordinary size.
static inline void fill_blocks(uint64_t *s, uint32_t type, uint8_t *p, size_t n) {
    const struct xn_format *f = xn_format_of(type);
    size_t blocks = n / f->block_values;
    float *decoded = xn_alloc(f->block_values, sizeof *decoded);
    for (size_t b = 0; b < blocks; b++, p += f->block_bytes) {
        for (;;) { // drawn again until every value is finite and small
            for (size_t i = 0; i < f->block_bytes; i++)
                p[i] = (uint8_t)(rng(s) >> 32);
            if (type == XN_F32) {
                float x = uniform(s);
                memcpy(p, &x, 4);
            }
            if (type == XN_MXFP4) p[0] = (uint8_t)(120 + p[0] % 12);
            f->decode(p, decoded, f->block_values);
            bool fine = true;
            for (size_t i = 0; i < f->block_values; i++)
                fine &= isfinite(decoded[i]) && fabsf(decoded[i]) < 4;
            if (fine) break;
        }
    }
    free(decoded);
}

#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            printf("seed %llu: ", (unsigned long long)seed);                                                           \
            printf(__VA_ARGS__);                                                                                       \
            printf("\n");                                                                                              \
            fail_msg(#condition);                                                                                      \
        }                                                                                                              \
    } while (0)

// Sets the bytes of blocks to 255, but for those (of scales) that would make values too large for a test.
static inline void to_extremes(uint32_t type, uint8_t *p, size_t n) {
    const struct xn_format *f = xn_format_of(type);
    float *decoded = xn_alloc(f->block_values, sizeof *decoded);
    for (size_t b = 0; b < n / f->block_values; b++, p += f->block_bytes)
        for (size_t i = 0; i < f->block_bytes; i++) {
            uint8_t before = p[i];
            bool fine = true;
            p[i] = 255;
            f->decode(p, decoded, f->block_values);
            for (size_t j = 0; j < f->block_values; j++)
                fine &= isfinite(decoded[j]) && fabsf(decoded[j]) < 64;
            if (!fine) p[i] = before;
        }
    free(decoded);
}

enum fill { FILL_RANDOM, FILL_LARGE, FILL_TINY, FILL_ZERO, FILL_SPIKE, FILLS };
static inline void fill_values(uint64_t *s, enum fill fill, float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float u = uniform(s);
        x[i] = fill == FILL_LARGE   ? (u > 0 ? 1000.0f : -1000.0f)
               : fill == FILL_TINY  ? u * 1e-20f
               : fill == FILL_ZERO  ? 0
               : fill == FILL_SPIKE ? (rng(s) % 64 == 0 ? 100 * u : 0.01f * u)
                                    : u;
    }
}

// n rows of k values as integers (anything where there are none: of some levels, and of blocks not whole), each array
// allocated to the byte.
static inline struct xn_cpu_row *integer_rows(const struct xn_cpu_kernels *kernels, const float *x, uint32_t n,
                                              uint32_t k) {
    struct xn_cpu_row *rows = xn_alloc(n, sizeof *rows);
    size_t chunks = xn_cpu_chunks(k), padded = chunks * XN_CPU_SUPER;
    for (uint32_t i = 0; i < n; i++) {
        rows[i] = (struct xn_cpu_row){malloc(padded), malloc(padded / 16 * sizeof(float)),
                                      malloc(padded / 16 * sizeof(float)), malloc(chunks * sizeof *rows[i].lanes),
                                      malloc(chunks * sizeof *rows[i].wide)};
        if (kernels->quantize && k % 32 == 0) kernels->quantize(x + (size_t)i * k, k, &rows[i]);
    }
    return rows;
}
static inline void free_rows(struct xn_cpu_row *rows, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        free(rows[i].q);
        free(rows[i].scale);
        free(rows[i].sum);
        free(rows[i].lanes);
        free(rows[i].wide);
    }
    free(rows);
}
