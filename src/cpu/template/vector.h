// Kernels over single rows, after the instruction set's simd.h: norms, activations, softmax, conversions, steps of
// recurrences.
#pragma once

#include "cpu/declare.h"
#include "cpu/template/math.h"

// Applies `expression` of x (and i) to n values: whole vectors, then the rest through a padded load.
#define MAP(n, load, load_n, store, store_n, body)                                                                     \
    do {                                                                                                               \
        size_t i = 0;                                                                                                  \
        for (; i + V <= (n); i += V) {                                                                                 \
            load;                                                                                                      \
            body;                                                                                                      \
            store;                                                                                                     \
        }                                                                                                              \
        if (i < (n)) {                                                                                                 \
            size_t rest = (n)-i;                                                                                       \
            load_n;                                                                                                    \
            body;                                                                                                      \
            store_n;                                                                                                   \
        }                                                                                                              \
    } while (0)

static float sum_squares(const float *x, size_t n, float center) {
    vf a[4] = {v_set1(0), v_set1(0), v_set1(0), v_set1(0)}, c = v_set1(center);
    size_t i = 0;
    for (; i + 4 * V <= n; i += 4 * V)
        for (int j = 0; j < 4; j++) {
            vf d = v_load(x + i + (size_t)j * V) - c;
            a[j] = v_fma(d, d, a[j]);
        }
    float sum = v_sum((a[0] + a[1]) + (a[2] + a[3]));
    for (; i < n; i++)
        sum += (x[i] - center) * (x[i] - center);
    return sum;
}

static float sum_of(const float *x, size_t n) {
    vf a = v_set1(0), b = v_set1(0);
    size_t i = 0;
    for (; i + 2 * V <= n; i += 2 * V) {
        a = a + v_load(x + i);
        b = b + v_load(x + i + V);
    }
    float sum = v_sum(a + b);
    for (; i < n; i++)
        sum += x[i];
    return sum;
}

void XN_KERNEL(norm)(const struct xn_norm *norm, const float *x, float *out, size_t n) {
    if (norm->kind == XN_NORM_NONE) {
        if (out != x) memcpy(out, x, n * sizeof *x);
        return;
    }
    float mean = norm->kind == XN_NORM_LAYER ? sum_of(x, n) / (float)n : 0;
    float inverse = v_sqrt(v_set1(sum_squares(x, n, mean) / (float)n + norm->epsilon))[0];
    vf center = v_set1(mean), s = v_set1(1 / inverse);
    const float *w = norm->weight, *b = norm->kind == XN_NORM_LAYER ? norm->bias : NULL;
    size_t i = 0;
    for (; i + V <= n; i += V) {
        vf v = (v_load(x + i) - center) * s;
        if (w) v = v * v_load(w + i);
        if (b) v = v + v_load(b + i);
        v_store(out + i, v);
    }
    for (; i < n; i++)
        out[i] = (x[i] - mean) * s[0] * (w ? w[i] : 1) + (b ? b[i] : 0);
}

#define ACTIVATE(value)                                                                                                \
    MAP(n, vf x = v_load(gate + i); vf u = up ? v_load(up + i) : v_set1(1), vf x = v_load_n(gate + i, rest);           \
        vf u = up ? v_load_n(up + i, rest) : v_set1(1), v_store(out + i, x * u), v_store_n(out + i, x * u, rest),      \
        x = (value))

void XN_KERNEL(activate)(enum xn_activation act, const float *gate, const float *up, float *out, size_t n) {
    vf zero = v_set1(0), half = v_set1(0.5f), one = v_set1(1);
    switch (act) {
    case XN_ACT_SILU:
        ACTIVATE(x * v_sigmoid(x));
        break;
    case XN_ACT_GELU:
        ACTIVATE(half * x * (one + v_erf(x * v_set1(0.70710678f))));
        break;
    case XN_ACT_GELU_TANH: // half x (1 + tanh(y)) = x sigmoid(2 y)
        ACTIVATE(x * v_sigmoid(v_set1(1.59576912f) * x * v_fma(x * x, v_set1(0.044715f), one)));
        break;
    case XN_ACT_GELU_QUICK:
        ACTIVATE(x * v_sigmoid(v_set1(1.702f) * x));
        break;
    case XN_ACT_RELU:
        ACTIVATE(v_max(zero, x));
        break;
    case XN_ACT_RELU2:
        ACTIVATE(v_max(zero, x) * v_max(zero, x));
        break;
    case XN_ACTIVATIONS:
        break;
    }
}

void XN_KERNEL(sigmoid_gate)(float *x, const float *gate, size_t n) {
    MAP(n, vf v = v_load(x + i); vf g = v_load(gate + i), vf v = v_load_n(x + i, rest);
        vf g = v_load_n(gate + i, rest), v_store(x + i, v), v_store_n(x + i, v, rest), v = v * v_sigmoid(g));
}

void XN_KERNEL(soft_cap)(float *x, float cap, size_t n) {
    vf c = v_set1(cap), inverse = v_set1(1 / cap);
    MAP(n, vf v = v_load(x + i), vf v = v_load_n(x + i, rest), v_store(x + i, v), v_store_n(x + i, v, rest),
        v = c * v_tanh(v * inverse));
}

float XN_KERNEL(exp_sum)(float *x, float max, size_t n) {
    vf m = v_set1(max), total = v_set1(0);
    size_t i = 0;
    for (; i + V <= n; i += V) {
        vf e = v_exp(v_load(x + i) - m);
        total = total + e;
        v_store(x + i, e);
    }
    float sum = v_sum(total);
    if (i < n) {
        v_store_n(x + i, v_exp(v_load_n(x + i, n - i) - m), n - i);
        for (; i < n; i++)
            sum += x[i];
    }
    return sum;
}

// Differences in float64: sums over a chunk are large where its decays are strong.
void XN_KERNEL(decays)(const double *total, double t, float *out, size_t n) {
    for (size_t i = 0; i < n; i++)
        out[i] = (float)(t - total[i]);
    size_t i = 0;
    for (; i + V <= n; i += V)
        v_store(out + i, v_exp(v_load(out + i)));
    if (i < n) v_store_n(out + i, v_exp(v_load_n(out + i, n - i)), n - i);
}

float XN_KERNEL(maximum)(const float *x, size_t n) {
    vf m = v_set1(-INFINITY);
    size_t i = 0;
    for (; i + V <= n; i += V)
        m = v_max(m, v_load(x + i));
    float highest = v_highest(m);
    for (; i < n; i++)
        highest = x[i] > highest ? x[i] : highest;
    return highest;
}

void XN_KERNEL(widen)(const uint16_t *f16, float *out, size_t n) {
    size_t i = 0;
    for (; i + V <= n; i += V)
        v_store(out + i, v_load_f16(f16 + i));
    if (i < n) {
        uint16_t rest[V] = {0};
        memcpy(rest, f16 + i, (n - i) * sizeof *f16);
        v_store_n(out + i, v_load_f16(rest), n - i);
    }
}

void XN_KERNEL(narrow)(const float *x, uint16_t *f16, size_t n) {
    size_t i = 0;
    for (; i + V <= n; i += V)
        v_store_f16(f16 + i, v_load(x + i));
    if (i < n) {
        uint16_t rest[V];
        v_store_f16(rest, v_load_n(x + i, n - i));
        memcpy(f16 + i, rest, (n - i) * sizeof *f16);
    }
}

void XN_KERNEL(blend)(float *y, float s, const float *x, float a, size_t n) {
    vf vs = v_set1(s), va = v_set1(a);
    MAP(n, vf v = v_load(y + i); vf w = v_load(x + i), vf v = v_load_n(y + i, rest);
        vf w = v_load_n(x + i, rest), v_store(y + i, v), v_store_n(y + i, v, rest), v = v_fma(va, w, vs * v));
}

void XN_KERNEL(dots)(const float *a, size_t lda, uint32_t rows, const float *x, size_t n, float *out, size_t ld) {
    for (uint32_t r = 0; r < rows; r++, a += lda) {
        vf s[4] = {v_set1(0), v_set1(0), v_set1(0), v_set1(0)};
        size_t i = 0;
        for (; i + 4 * V <= n; i += 4 * V)
            for (size_t j = 0; j < 4; j++)
                s[j] = v_fma(v_load(a + i + j * V), v_load(x + i + j * V), s[j]);
        for (; i + V <= n; i += V)
            s[0] = v_fma(v_load(a + i), v_load(x + i), s[0]);
        if (i < n) s[1] = v_fma(v_load_n(a + i, n - i), v_load_n(x + i, n - i), s[1]);
        out[r * ld] = v_sum((s[0] + s[1]) + (s[2] + s[3]));
    }
}

void XN_KERNEL(transpose)(const float *const *rows, uint32_t n, uint32_t k, float *out, size_t ld) {
    for (uint32_t i = 0; i < XN_CPU_PAD; i += V) {
        uint32_t j = 0;
        for (; j + V <= k; j += V) {
            vf t[V];
            for (uint32_t l = 0; l < V; l++)
                t[l] = i + l < n ? v_load(rows[i + l] + j) : v_set1(0);
            v_transpose(t);
            for (uint32_t l = 0; l < V; l++)
                v_store(out + (j + l) * ld + i, t[l]);
        }
        for (; j < k; j++)
            for (uint32_t l = 0; l < V; l++)
                out[j * ld + i + l] = i + l < n ? rows[i + l][j] : 0;
    }
}

// Vector c of `vectors`, the last of which has `last` values.
#define LOAD(p, c) (last == V || (c) + 1 < vectors ? v_load((p) + (c)*V) : v_load_n((p) + (c)*V, last))
#define STORE(p, c, x)                                                                                                 \
    do {                                                                                                               \
        if (last == V || (c) + 1 < vectors)                                                                            \
            v_store((p) + (c)*V, x);                                                                                   \
        else                                                                                                           \
            v_store_n((p) + (c)*V, x, last);                                                                           \
    } while (0)

// The state is read twice, the second time from the first cache.
static inline __attribute__((always_inline)) void delta_columns(float *s, size_t ld, uint32_t keys, const int vectors,
                                                                size_t last, const float *q, const float *k,
                                                                const float *v, float g, float b, float *o) {
    vf sum[4], d[4], out[4], vg = v_set1(g), vb = v_set1(b);
    for (int c = 0; c < vectors; c++)
        sum[c] = out[c] = v_set1(0);
    for (uint32_t i = 0; i < keys; i++) {
        vf vk = v_set1(k[i]);
        for (int c = 0; c < vectors; c++)
            sum[c] = v_fma(vk, LOAD(s + i * ld, c), sum[c]);
    }
    for (int c = 0; c < vectors; c++)
        d[c] = vb * (LOAD(v, c) - vg * sum[c]);
    for (uint32_t i = 0; i < keys; i++) {
        vf vk = v_set1(k[i]), vq = v_set1(q[i]);
        for (int c = 0; c < vectors; c++) {
            vf x = v_fma(vk, d[c], vg * LOAD(s + i * ld, c));
            STORE(s + i * ld, c, x);
            out[c] = v_fma(vq, x, out[c]);
        }
    }
    for (int c = 0; c < vectors; c++)
        STORE(o, c, out[c]);
}

void XN_KERNEL(delta_step)(float *s, size_t ld, uint32_t keys, size_t n, const float *q, const float *k, const float *v,
                           float g, float b, float *o) {
    size_t c = 0;
    for (; c + 4 * V <= n; c += 4 * V)
        delta_columns(s + c, ld, keys, 4, V, q, k, v + c, g, b, o + c);
    for (; c + V <= n; c += V)
        delta_columns(s + c, ld, keys, 1, V, q, k, v + c, g, b, o + c);
    if (c < n) delta_columns(s + c, ld, keys, 1, n - c, q, k, v + c, g, b, o + c);
}

static inline __attribute__((always_inline)) void state_columns(float *s, size_t ld, uint32_t states, const int vectors,
                                                                size_t last, float decay, float time, float skip,
                                                                const float *x, const float *b, const float *c,
                                                                float *y) {
    vf in[4], out[4], vd = v_set1(decay);
    for (int j = 0; j < vectors; j++) {
        vf v = LOAD(x, j);
        in[j] = v_set1(time) * v;
        out[j] = v_set1(skip) * v;
    }
    for (uint32_t i = 0; i < states; i++) {
        vf vb = v_set1(b[i]), vc = v_set1(c[i]);
        for (int j = 0; j < vectors; j++) {
            vf v = v_fma(vb, in[j], vd * LOAD(s + i * ld, j));
            STORE(s + i * ld, j, v);
            out[j] = v_fma(vc, v, out[j]);
        }
    }
    for (int j = 0; j < vectors; j++)
        STORE(y, j, out[j]);
}
#undef LOAD
#undef STORE

void XN_KERNEL(state_step)(float *s, size_t ld, uint32_t states, size_t n, float decay, float time, float skip,
                           const float *x, const float *b, const float *c, float *y) {
    size_t j = 0;
    for (; j + 4 * V <= n; j += 4 * V)
        state_columns(s + j, ld, states, 4, V, decay, time, skip, x + j, b, c, y + j);
    for (; j + V <= n; j += V)
        state_columns(s + j, ld, states, 1, V, decay, time, skip, x + j, b, c, y + j);
    if (j < n) state_columns(s + j, ld, states, 1, n - j, decay, time, skip, x + j, b, c, y + j);
}

void XN_KERNEL(conv)(const float *const *x, uint32_t taps, const float *w, size_t ldw, const float *bias, bool silu,
                     float *out, size_t n) {
    size_t c = 0;
    for (; c + V <= n; c += V) {
        vf sum = bias ? v_load(bias + c) : v_set1(0);
        for (uint32_t t = 0; t < taps; t++)
            sum = v_fma(v_load(w + t * ldw + c), v_load(x[t] + c), sum);
        if (silu) sum = sum * v_sigmoid(sum);
        v_store(out + c, sum);
    }
    if (c < n) {
        size_t rest = n - c;
        vf sum = bias ? v_load_n(bias + c, rest) : v_set1(0);
        for (uint32_t t = 0; t < taps; t++)
            sum = v_fma(v_load_n(w + t * ldw + c, rest), v_load_n(x[t] + c, rest), sum);
        if (silu) sum = sum * v_sigmoid(sum);
        v_store_n(out + c, sum, rest);
    }
}
