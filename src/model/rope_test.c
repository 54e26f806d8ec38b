// Rope frequencies against what transformers 5.17.0 (modeling_rope_utils.py, torch 2.15 float32) computes from the same
// parameters.
#include "model/recipe.h"
#include "model/rope.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { PAIRS = 8 };
static const float longrope_factors[PAIRS] = {1, 1.25f, 1.5f, 2, 3, 5, 8, 13};

struct rope_case {
    const char *name;
    struct xn_rope_params params;
    double magnitude;
    float frequency[PAIRS];
};
#define COMMON .dims = 16, .beta_fast = 32, .beta_slow = 1, .truncate = true, .low = 1, .high = 4
static const struct rope_case cases[] = {
    {"default",
     {COMMON, .theta = 10000, .factor = 1},
     1,
     {1.0f, 3.162277639e-01f, 1.000000015e-01f, 3.162277862e-02f, 9.999999776e-03f, 3.162277862e-03f, 1.000000047e-03f,
      3.162277862e-04f}},
    {"linear",
     {COMMON, .scaling = XN_SCALING_LINEAR, .theta = 10000, .factor = 4},
     1,
     {0.25f, 7.905694097e-02f, 2.500000037e-02f, 7.905694656e-03f, 2.499999944e-03f, 7.905694656e-04f, 2.500000119e-04f,
      7.905694656e-05f}},
    {"llama3",
     {COMMON, .scaling = XN_SCALING_LLAMA3, .theta = 500000, .factor = 8, .original = 64},
     1,
     {1.0f, 7.940301299e-02f, 4.700753838e-03f, 9.115831344e-04f, 1.767766807e-04f, 3.428102355e-05f, 6.647869668e-06f,
      1.289173156e-06f}},
    {"yarn",
     {COMMON, .scaling = XN_SCALING_YARN, .theta = 10000, .factor = 16, .original = 256},
     1.2772588722239782,
     {1.0f, 2.421118766e-01f, 5.312500149e-02f, 9.388012812e-03f, 6.249999860e-04f, 1.976423664e-04f, 6.250000297e-05f,
      1.976423664e-05f}},
    {"yarn, ends of the ramp not rounded",
     {.dims = 16,
      .scaling = XN_SCALING_YARN,
      .theta = 10000,
      .factor = 4,
      .original = 1024,
      .beta_fast = 24,
      .beta_slow = 2},
     1.138629436111989,
     {1.0f, 3.162277639e-01f, 8.831813931e-02f, 1.694018766e-02f, 2.499999944e-03f, 7.905694656e-04f, 2.500000119e-04f,
      7.905694656e-05f}},
    {"yarn with mscale",
     {COMMON, .scaling = XN_SCALING_YARN, .theta = 1e6, .factor = 16, .original = 256, .mscale = 1,
      .mscale_all_dim = 0.5},
     1.121751143713058,
     {1.0f, 1.222567037e-01f, 1.185854152e-02f, 3.514633281e-04f, 6.250000297e-05f, 1.111424626e-05f, 1.976423391e-06f,
      3.514633420e-07f}},
    {"longrope",
     {COMMON, .scaling = XN_SCALING_LONGROPE, .theta = 10000, .factor = 8, .original = 512,
      .divisors = longrope_factors},
     1.1547005383792515,
     {1.0f, 2.529822290e-01f, 6.666667014e-02f, 1.581138931e-02f, 3.333333414e-03f, 6.324555725e-04f, 1.250000059e-04f,
      2.432521251e-05f}},
    {"proportional",
     {COMMON, .scaling = XN_SCALING_PROPORTIONAL, .theta = 1e6, .factor = 4, .share = 0.45},
     1,
     {0.25f, 4.445698112e-02f, 7.905694656e-03f, 0, 0, 0, 0, 0}},
};

static void test_frequencies(void **state) {
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        float frequency[PAIRS], magnitude;
        struct xn_error err;
        if (xn_rope_frequencies(&cases[c].params, frequency, &magnitude, &err))
            fail_msg("%s: %s", cases[c].name, err.message);
        for (int i = 0; i < PAIRS; i++)
            if (!(fabsf(frequency[i] - cases[c].frequency[i]) <= 3e-7f * cases[c].frequency[i]))
                fail_msg("%s: frequency %d is %.9g, expected %.9g", cases[c].name, i, frequency[i],
                         cases[c].frequency[i]);
        if (!(fabs(magnitude - cases[c].magnitude) <= 1e-6)) fail_msg("%s: magnitude %.9g", cases[c].name, magnitude);
    }
}

// llama.cpp's rope_freqs are the factors by which llama3's scaling divides.
static void test_divisors_are_llama3(void **state) {
    (void)state;
    struct xn_rope_params scaled = cases[2].params, plain = scaled, divided;
    float expected[PAIRS], base[PAIRS], divisors[PAIRS], found[PAIRS], magnitude;
    plain.scaling = XN_SCALING_DEFAULT;
    assert_int_equal(xn_rope_frequencies(&scaled, expected, &magnitude, NULL), XN_OK);
    assert_int_equal(xn_rope_frequencies(&plain, base, &magnitude, NULL), XN_OK);
    for (int i = 0; i < PAIRS; i++)
        divisors[i] = base[i] / expected[i];
    divided = plain;
    divided.divisors = divisors;
    assert_int_equal(xn_rope_frequencies(&divided, found, &magnitude, NULL), XN_OK);
    for (int i = 0; i < PAIRS; i++)
        assert_true(fabsf(found[i] - expected[i]) <= 3e-7f * expected[i]);
}

static void test_given_magnitude(void **state) {
    (void)state;
    struct xn_rope_params params = cases[3].params;
    float frequency[PAIRS], magnitude;
    params.magnitude = 1.5;
    assert_int_equal(xn_rope_frequencies(&params, frequency, &magnitude, NULL), XN_OK);
    assert_true(magnitude == 1.5f);
}

// Ropes that follow the sequence's length: LongRoPE has two sets, dynamic NTK one for every length beyond the original.
static void test_following(void **state) {
    (void)state;
    static const struct {
        float theta, growth;
        uint32_t original, length;
        float frequency[PAIRS];
    } dynamic[] = {
        {10000,
         4,
         64,
         65,
         {1.0f, 3.135008514e-01f, 9.828278422e-02f, 3.081173636e-02f, 9.659505449e-03f, 3.028263105e-03f,
          9.493631078e-04f, 2.976261312e-04f}},
        {10000,
         4,
         64,
         3000,
         {1.0f, 1.500673592e-01f, 2.252021246e-02f, 3.379548667e-03f, 5.071599153e-04f, 7.610815373e-05f,
          1.142134806e-05f, 1.713971528e-06f}},
        {500000,
         2,
         100,
         101,
         {1.0f, 1.933749169e-01f, 3.739386052e-02f, 7.231035270e-03f, 1.398300868e-03f, 2.703962964e-04f,
          5.228786540e-05f, 1.011116183e-05f}},
    };
    float scratch[PAIRS];
    for (size_t c = 0; c < sizeof dynamic / sizeof *dynamic; c++) {
        struct xn_rope rope = {.kind = XN_ROPE_HALVES,
                               .dims = 2 * PAIRS,
                               .frequency = longrope_factors, // any
                               .original = dynamic[c].original,
                               .theta = dynamic[c].theta,
                               .growth = dynamic[c].growth};
        const float *found = xn_rope_at(&rope, dynamic[c].length, scratch);
        for (int i = 0; i < PAIRS; i++)
            if (!(fabsf(found[i] - dynamic[c].frequency[i]) <= 2e-6f * dynamic[c].frequency[i]))
                fail_msg("length %u: frequency %d is %.9g, expected %.9g", dynamic[c].length, i, found[i],
                         dynamic[c].frequency[i]);
        assert_ptr_equal(xn_rope_at(&rope, rope.original, scratch), rope.frequency);
        assert_ptr_equal(xn_rope_at(&rope, 0, scratch), rope.frequency);
        assert_int_equal(xn_rope_set(&rope, rope.original), xn_rope_set(&rope, 1));
        assert_int_not_equal(xn_rope_set(&rope, rope.original), xn_rope_set(&rope, rope.original + 1));
        assert_int_not_equal(xn_rope_set(&rope, rope.original + 1), xn_rope_set(&rope, rope.original + 2));
    }
    static const float longer[PAIRS] = {0.5f};
    struct xn_rope two = {.kind = XN_ROPE_PAIRS,
                          .dims = 2 * PAIRS,
                          .frequency = longrope_factors,
                          .original = 64,
                          .long_frequency = longer};
    assert_ptr_equal(xn_rope_at(&two, 64, scratch), longrope_factors);
    assert_ptr_equal(xn_rope_at(&two, 65, scratch), longer);
    assert_int_equal(xn_rope_set(&two, 65), xn_rope_set(&two, 100000));
    assert_int_equal(xn_rope_ahead(&two, 65), 65);
    two.original = 0; // a rope for every length
    assert_ptr_equal(xn_rope_at(&two, UINT32_MAX, scratch), longrope_factors);
}

// Dynamic ropes are set ahead by a quarter at most, in few steps, and the same way from wherever a sequence comes.
static void test_ahead(void **state) {
    (void)state;
    for (uint32_t original = 1; original < 5000; original = original * 3 + 1) {
        struct xn_rope rope = {.kind = XN_ROPE_HALVES, .dims = 8, .original = original, .theta = 10000, .growth = 2};
        uint32_t sets = 0, last = 0;
        for (uint32_t length = 1; length <= 20 * original; length++) {
            uint32_t ahead = xn_rope_ahead(&rope, length);
            assert_true(ahead >= length && ahead <= length + length / 4 + 1);
            if (length <= original) assert_int_equal(ahead, length);
            sets += length > original && ahead != last;
            last = ahead;
        }
        assert_true(sets <= 14); // log 20 / log 1.25
        assert_int_equal(xn_rope_ahead(&rope, UINT32_MAX), UINT32_MAX);
    }
}

static void test_not_finite(void **state) {
    (void)state;
    float frequency[PAIRS], magnitude;
    struct xn_error err;
    struct xn_rope_params params = {COMMON, .scaling = XN_SCALING_LINEAR, .theta = 10000, .factor = 0};
    assert_int_equal(xn_rope_frequencies(&params, frequency, &magnitude, &err), XN_ERR_FORMAT);
    params =
        (struct xn_rope_params){COMMON, .scaling = XN_SCALING_LONGROPE, .theta = 10000, .factor = 2, .original = 1};
    assert_int_equal(xn_rope_frequencies(&params, frequency, &magnitude, &err), XN_ERR_FORMAT);
    assert_non_null(strstr(err.message, "magnitude"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frequencies),     cmocka_unit_test(test_divisors_are_llama3),
        cmocka_unit_test(test_given_magnitude), cmocka_unit_test(test_following),
        cmocka_unit_test(test_ahead),           cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
