// Weights as unsigned integers with their scales and minima, for products of many rows.
#include "cpu/avx2/unpack.h"
#include "cpu/declare.h"

typedef void unpack_fn(const uint8_t *p, struct unpacked *u);
_Static_assert(sizeof(struct unpacked) == sizeof(struct xn_cpu_row8) &&
                   offsetof(struct unpacked, scale) == offsetof(struct xn_cpu_row8, scale) &&
                   offsetof(struct unpacked, minimum) == offsetof(struct xn_cpu_row8, minimum),
               "a row of weights is what is unpacked");

// Straight into the row: by way of the stack it takes twice as long.
INLINE void unpack8(unpack_fn *unpack, const size_t bytes, const size_t values, const bool is_signed, const uint8_t *p,
                    size_t n, size_t readable, struct xn_cpu_row8 *row) {
    struct unpacked *u = (struct unpacked *)(void *)row; // vectors may alias
    if (values < XN_CPU_SUPER && n < XN_CPU_SUPER)
        unpack_tail(unpack, bytes, values, is_signed, p, n, readable, u);
    else
        unpack(p, u);
}

#define X(name, type, ...)                                                                                             \
    void xn_cpu_unpack8_##name##_avx2(const void *blocks, size_t n, size_t readable, struct xn_cpu_row8 *row) {        \
        unpack8(unpack_##name, BYTES_##name, VALUES_##name, SIGNED_##name, blocks, n, readable, row);                  \
    }
#include "cpu/int_formats.inc"
