// Rope frequencies against what transformers 5.17.0 (modeling_rope_utils.py, torch 2.15 float32) computes from the same
// parameters.
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
        cmocka_unit_test(test_frequencies),
        cmocka_unit_test(test_divisors_are_llama3),
        cmocka_unit_test(test_given_magnitude),
        cmocka_unit_test(test_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
