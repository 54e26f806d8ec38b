// Q4_0 to Q8_0: 32 values under a scale of 16 bits; part of unpack.h.
#pragma once

// Bytes and values of a block, and whether the integers are signed.
enum {
    BYTES_q4_0 = 18,
    VALUES_q4_0 = 32,
    SIGNED_q4_0 = 0,
    BYTES_q4_1 = 20,
    VALUES_q4_1 = 32,
    SIGNED_q4_1 = 0,
    BYTES_q5_0 = 22,
    VALUES_q5_0 = 32,
    SIGNED_q5_0 = 0,
    BYTES_q5_1 = 24,
    VALUES_q5_1 = 32,
    SIGNED_q5_1 = 0,
    BYTES_q8_0 = 34,
    VALUES_q8_0 = 32,
    SIGNED_q8_0 = 1,
};

INLINE void unpack_q4_0(const uint8_t *p, struct unpacked *u) {
    for (int i = 0; i < 8; i++)
        u->q[i] = nibbles(p + 18 * i + 2);
    __m256 d = load_halves(p, 18);
    spread(d, u->scale);
    spread(times(d, 8), u->minimum);
}

INLINE void unpack_q4_1(const uint8_t *p, struct unpacked *u) {
    for (int i = 0; i < 8; i++)
        u->q[i] = nibbles(p + 20 * i + 4);
    spread(load_halves(p, 20), u->scale);
    spread(times(load_halves(p + 2, 20), -1), u->minimum);
}

INLINE void unpack_q5_0(const uint8_t *p, struct unpacked *u) {
    for (int i = 0; i < 8; i++)
        u->q[i] = _mm256_or_si256(nibbles(p + 22 * i + 6), spread_bits(p + 22 * i + 2, 16));
    __m256 d = load_halves(p, 22);
    spread(d, u->scale);
    spread(times(d, 16), u->minimum);
}

INLINE void unpack_q5_1(const uint8_t *p, struct unpacked *u) {
    for (int i = 0; i < 8; i++)
        u->q[i] = _mm256_or_si256(nibbles(p + 24 * i + 8), spread_bits(p + 24 * i + 4, 16));
    spread(load_halves(p, 24), u->scale);
    spread(times(load_halves(p + 2, 24), -1), u->minimum);
}

INLINE void unpack_q8_0(const uint8_t *p, struct unpacked *u) {
    for (int i = 0; i < 8; i++)
        u->q[i] = load_32(p + 34 * i + 2);
    spread(load_halves(p, 34), u->scale);
}
