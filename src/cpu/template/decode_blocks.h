// Decoding of whole rows of integer blocks, for each vector width that has an `unpack`, a `struct unpacked` and a
// `store_decoded` of 256 values.
#pragma once

typedef void decode_unpack_fn(const uint8_t *p, struct unpacked *u);

INLINE void decode_blocks(decode_unpack_fn *unpack, const size_t bytes, const size_t values, const bool is_signed,
                          const uint8_t *p, float *out, size_t n) {
    struct unpacked u;
    size_t at = 0;
    for (; at + XN_CPU_SUPER <= n; at += XN_CPU_SUPER, p += bytes * (XN_CPU_SUPER / values)) {
        unpack(p, &u);
        store_decoded(&u, is_signed, out + at);
    }
    if (values < XN_CPU_SUPER && at < n) {
        uint8_t padded[TAIL_BYTES];
        float decoded[XN_CPU_SUPER];
        unpack(pad_tail(p, (n - at) / values * bytes, padded), &u);
        store_decoded(&u, is_signed, decoded);
        memcpy(out + at, decoded, (n - at) * sizeof *out);
    }
}
