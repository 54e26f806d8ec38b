// The random numbers of cases, and weights made of random blocks.
#pragma once

#include "check/case.h"

// xorshift64*: https://doi.org/10.1145/2845077; *state is never 0.
static inline uint64_t xn_check_random(uint64_t *state) {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717ull;
}
// A seed, never 0, of a seed and a number (SplitMix64's finish: https://doi.org/10.1145/2660193.2660195).
static inline uint64_t xn_check_mix(uint64_t seed, uint64_t n) {
    uint64_t x = seed + (n + 1) * 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    x ^= x >> 31;
    return x ? x : 1;
}

static inline float xn_check_uniform(uint64_t *state) { // [-1, 1)
    return (float)((double)(xn_check_random(state) >> 11) * 0x1p-52 - 1.0);
}

void xn_check_blocks_fill(const struct xn_check_blocks *blocks, uint32_t type, uint64_t *state, uint8_t *to,
                          size_t n_blocks);
