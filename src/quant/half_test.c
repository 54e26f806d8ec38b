// Conversions of 16-bit floats: every half, and every place where rounding turns.
#include "quant/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// The number that a 16-bit pattern with so many mantissa bits stands for, from the definition.
static double defined(uint16_t h, int mantissa_bits) {
    int exponent_bits = 15 - mantissa_bits, bias = (1 << (exponent_bits - 1)) - 1;
    int exponent = (h & 0x7fff) >> mantissa_bits, mantissa = h & ((1 << mantissa_bits) - 1);
    double value;
    if (exponent == (1 << exponent_bits) - 1)
        value = mantissa ? (double)NAN : (double)INFINITY;
    else if (exponent == 0)
        value = ldexp(mantissa, 1 - bias - mantissa_bits);
    else
        value = ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
    return h & 0x8000 ? -value : value;
}

struct kind {
    int mantissa_bits;
    float (*widen)(uint16_t);
    uint16_t (*narrow)(float);
};

static const struct kind kinds[] = {{10, xn_f16_to_f32, xn_f32_to_f16}, {7, xn_bf16_to_f32, xn_f32_to_bf16}};

static void every_half_widens_exactly_and_comes_back(void **state) {
    (void)state;
    for (const struct kind *k = kinds; k < kinds + 2; k++) {
        for (uint32_t h = 0; h < 65536; h++) {
            float f = k->widen((uint16_t)h);
            double want = defined((uint16_t)h, k->mantissa_bits);
            assert_int_equal(signbit(f) != 0, h >> 15);
            if (isnan(want)) {
                assert_true(isnan(f));
                assert_true(isnan(k->widen(k->narrow(f))));
            } else {
                assert_true((double)f == want);
                assert_int_equal(k->narrow(f), h);
            }
        }
    }
}

static void rounding_turns_at_every_midpoint_and_ties_to_even(void **state) {
    (void)state;
    for (const struct kind *k = kinds; k < kinds + 2; k++) {
        uint16_t infinity = (uint16_t)(0x7fff >> k->mantissa_bits << k->mantissa_bits);
        for (uint32_t h = 0; h < infinity; h++) {
            double low = defined((uint16_t)h, k->mantissa_bits), high = defined((uint16_t)(h + 1), k->mantissa_bits);
            // The neighbour of the largest number would be where the next exponent starts; it rounds to infinity.
            if (isinf(high)) high = low + (low - defined((uint16_t)(h - 1), k->mantissa_bits));
            float middle = (float)((low + high) / 2);
            if ((double)middle != (low + high) / 2) fail_msg("the midpoint above %u is no float", h);
            for (uint32_t sign = 0; sign <= 0x8000; sign += 0x8000) {
                float m = sign ? -middle : middle;
                assert_int_equal(k->narrow(m), sign | (h + (h & 1)));
                assert_int_equal(k->narrow(nextafterf(m, 0)), sign | h);
                assert_int_equal(k->narrow(nextafterf(m, 2 * m)), sign | (h + 1));
            }
        }
        assert_int_equal(k->narrow(INFINITY), infinity);
        assert_int_equal(k->narrow(-INFINITY), infinity | 0x8000);
    }
}

// Between two turns the result can't change: checked on a spread of all floats, in both directions.
static void rounding_is_monotonic(void **state) {
    (void)state;
    for (const struct kind *k = kinds; k < kinds + 2; k++) {
        uint16_t last = 0;
        for (uint64_t bits = 0; bits <= 0x7f800000; bits += 251) {
            uint16_t h = k->narrow(xn_float_of_bits((uint32_t)bits));
            assert_true(h >= last);
            assert_int_equal(k->narrow(xn_float_of_bits((uint32_t)bits | 0x80000000)), h | 0x8000);
            last = h;
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_widens_exactly_and_comes_back),
        cmocka_unit_test(rounding_turns_at_every_midpoint_and_ties_to_even),
        cmocka_unit_test(rounding_is_monotonic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
