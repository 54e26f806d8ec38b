// Random numbers by place instead of by turn: each is a function of (seed, position, stream), so that what else was
// drawn before, by this sequence or another, changes nothing. The mixing is splitmix64's (Steele, Lea, Flood, 2014).
#pragma once

#include <stdint.h>

static inline uint64_t xn_random_mix(uint64_t z) {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

enum xn_random_stream { XN_RANDOM_TOKEN = 1, XN_RANDOM_XTC = 2 };

// Uniform in [0, 1), a multiple of 2^-53.
static inline double xn_random(uint64_t seed, uint64_t position, enum xn_random_stream stream) {
    const uint64_t golden = 0x9e3779b97f4a7c15;
    uint64_t key = xn_random_mix(xn_random_mix(seed + golden) + golden * (uint64_t)stream);
    return (double)(xn_random_mix(key + golden * (position + 1)) >> 11) * 0x1p-53;
}
