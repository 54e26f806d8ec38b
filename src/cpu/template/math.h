// Elementary functions of vectors, after the instruction set's simd.h.
#pragma once

// e^x to 1 unit or two in the last place, by 2^n * e^r, |r| <= ln(2) / 2, and a polynomial of degree 6 (Taylor, trimmed
// to the interval). Below -87.3 it stays at e^-87.3 (1e-38); a NaN stays one.
static inline vf v_exp(vf x) {
    x = v_max(v_set1(-87.3f), v_min(v_set1(88.0f), x));
    vf n = v_round(x * v_set1(1.44269504f));
    vf r = v_fma(n, v_set1(-0.693359375f), x); // ln 2 in two parts, the first exact in few bits
    r = v_fma(n, v_set1(2.12194440e-4f), r);
    vf p = v_set1(1.0f / 720);
    p = v_fma(p, r, v_set1(1.0f / 120));
    p = v_fma(p, r, v_set1(1.0f / 24));
    p = v_fma(p, r, v_set1(1.0f / 6));
    p = v_fma(p, r, v_set1(0.5f));
    p = v_fma(p, r, v_set1(1.0f));
    p = v_fma(p, r, v_set1(1.0f));
    return p * v_pow2(n);
}

static inline vf v_sigmoid(vf x) {
    return v_reciprocal(v_set1(1.0f) + v_exp(v_set1(0.0f) - x));
}

// Of odd series near 0, where 1 - 2 / (1 + e^2x) cancels.
static inline vf v_tanh(vf x) {
    vf a = v_abs(x), one = v_set1(1.0f);
    vf large = one - v_set1(2.0f) / (one + v_exp(a + a));
    vf s = a * a; // Cephes' tanhf: x + x^3 p(x^2) below 0.625, where 1 - 2 / (1 + e^2x) would cancel
    vf p = v_fma(v_set1(-5.70498872745e-3f), s, v_set1(2.06390887954e-2f));
    p = v_fma(p, s, v_set1(-5.37397155531e-2f));
    p = v_fma(p, s, v_set1(1.33314422036e-1f));
    p = v_fma(p, s, v_set1(-3.33332819422e-1f));
    vf small = v_fma(p * s, a, a);
    vf near = v_min(one, v_max(v_set1(0.0f), (v_set1(0.625f) - a) * v_set1(1e9f))); // 1 below 0.625, else 0
    return v_copysign(v_fma(near, small - large, large), x);
}

// Abramowitz and Stegun 7.1.26: |error| < 1.5e-7.
static inline vf v_erf(vf x) {
    vf a = v_abs(x), one = v_set1(1.0f), t = one / v_fma(v_set1(0.3275911f), a, one);
    vf p = v_set1(1.061405429f);
    p = v_fma(p, t, v_set1(-1.453152027f));
    p = v_fma(p, t, v_set1(1.421413741f));
    p = v_fma(p, t, v_set1(-0.284496736f));
    p = v_fma(p, t, v_set1(0.254829592f)) * t;
    return v_copysign(one - p * v_exp(v_set1(0.0f) - a * a), x);
}
