// Types of caches: what is stored comes back as near as the type allows, and odd values are no undefined behaviour.
#include "device/cache.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { N = 5 * XN_CACHE_BLOCK };
static const uint32_t types[] = {XN_F32, XN_F16, XN_BF16, XN_Q8_0, XN_Q4_0};
enum { TYPES = sizeof types / sizeof *types };
// Half a step and the rounding of the scale, of the largest value of a block. A Q4_0 block reaches 7 / 8 of it on the
// side of the other sign.
static const float steps[TYPES] = {0, 0x1p-11f, 0x1p-8f, 0.5f / 127 + 0x1p-11f, 1.0f / 8 + 0x1p-11f};

static void values_come_back(void **state) {
    (void)state;
    float values[N];
    uint8_t bytes[4 * N + 16];
    for (int i = 0; i < N; i++)
        values[i] = sinf(1.7f * (float)i) * (i / XN_CACHE_BLOCK == 2 ? 0.1f : 3);
    memset(values + 3 * XN_CACHE_BLOCK, 0, XN_CACHE_BLOCK * sizeof *values);
    for (int t = 0; t < TYPES; t++) {
        size_t size = xn_cache_bytes(types[t], N), from = 2 * XN_CACHE_BLOCK;
        assert_true(xn_cache_type_known(types[t]));
        memset(bytes, 0xa5, sizeof bytes);
        xn_cache_store(types[t], bytes, from, values + from, N - from);
        for (size_t i = 0; i < xn_cache_bytes(types[t], from); i++) // what lies before is not touched
            assert_int_equal(bytes[i], 0xa5);
        xn_cache_store(types[t], bytes, 0, values, from);
        for (size_t i = size; i < sizeof bytes; i++)
            assert_int_equal(bytes[i], 0xa5);
        for (int b = 0; b < N; b += XN_CACHE_BLOCK) {
            float most = 0;
            for (int i = 0; i < XN_CACHE_BLOCK; i++)
                most = fmaxf(most, fabsf(values[b + i]));
            for (int i = b; i < b + XN_CACHE_BLOCK; i++) {
                float got = xn_cache_load(types[t], bytes, (size_t)i);
                assert_true(fabsf(got - values[i]) <= steps[t] * most);
            }
        }
    }
}

// The bytes are those of the formats of weights.
static void blocks_are_the_formats(void **state) {
    (void)state;
    float values[N], decoded[N];
    uint8_t bytes[4 * N];
    for (int i = 0; i < N; i++)
        values[i] = cosf(0.3f * (float)i);
    for (int t = 0; t < TYPES; t++) {
        size_t size;
        assert_true(xn_format_bytes(xn_format_of(types[t]), N, &size));
        assert_int_equal(size, xn_cache_bytes(types[t], N));
        xn_cache_store(types[t], bytes, 0, values, N);
        xn_format_of(types[t])->decode(bytes, decoded, N);
        for (int i = 0; i < N; i++)
            assert_true(decoded[i] == xn_cache_load(types[t], bytes, (size_t)i));
    }
}

static void odd_values_are_stored(void **state) {
    (void)state;
    static const float odd[] = {NAN, INFINITY, -INFINITY, 1e38f, 1e-42f, -0.0f};
    float values[XN_CACHE_BLOCK];
    uint8_t bytes[4 * XN_CACHE_BLOCK];
    for (size_t o = 0; o < sizeof odd / sizeof *odd; o++)
        for (int t = 0; t < TYPES; t++) {
            for (int i = 0; i < XN_CACHE_BLOCK; i++)
                values[i] = i == 5 ? odd[o] : 1e-3f * (float)i;
            xn_cache_store(types[t], bytes, 0, values, XN_CACHE_BLOCK);
            if (o == 5) assert_true(xn_cache_load(types[t], bytes, 5) == 0);
        }
}

static void heads_that_are_no_blocks_are_found(void **state) {
    (void)state;
    struct xn_cache_layer layers[2] = {{2, 64, 64}, {1, 576, 0}};
    struct xn_op op = {.kind = XN_OP_PROJECT, .project = {.n_parts = 1}};
    struct xn_plan plan = {.ops = &op, .n_ops = 1, .cache = layers, .n_cache = 2};
    uint32_t size;
    op.project.part[0] = (struct xn_part){.target = XN_TO_KEYS, .head_size = 64, .cache_at = 512};
    assert_true(xn_cache_type_serves(&plan, XN_Q8_0, &size));
    op.project.part[0].cache_at = 500;
    assert_false(xn_cache_type_serves(&plan, XN_Q8_0, &size));
    op.project.part[0].cache_at = 512;
    layers[0].value_size = 80;
    assert_false(xn_cache_type_serves(&plan, XN_Q4_0, &size));
    assert_int_equal(size, 80);
    assert_true(xn_cache_type_serves(&plan, XN_BF16, &size));
    assert_false(xn_cache_type_known(XN_Q4_K));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back),
        cmocka_unit_test(blocks_are_the_formats),
        cmocka_unit_test(odd_values_are_stored),
        cmocka_unit_test(heads_that_are_no_blocks_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
