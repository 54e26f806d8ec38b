#include "device/reference/math.h"

#include <math.h>
#include <string.h>

int xn_ref_scratch(size_t n, float **out, struct xn_error *err) {
    *out = xn_alloc_aligned(n, sizeof **out);
    return *out ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "no memory for %zu values of scratch", n);
}

float xn_sigmoid(float x) {
    return 1.0f / (1.0f + expf(-x));
}

float xn_softplus(float x) {
    return x > 20 ? x : log1pf(expf(x));
}

void xn_ref_convolve(const float *conv, const float *bias, uint32_t taps, uint32_t channels, float *window,
                     const float *in, float *out) {
    for (uint32_t c = 0; c < channels; c++) {
        float sum = bias ? bias[c] : 0;
        for (uint32_t t = 0; t + 1 < taps; t++)
            sum += window[(size_t)t * channels + c] * conv[(size_t)c * taps + t];
        out[c] = sum + in[c] * conv[(size_t)c * taps + taps - 1];
    }
    if (taps > 1) {
        memmove(window, window + channels, (size_t)(taps - 2) * channels * sizeof *window);
        memcpy(window + (size_t)(taps - 2) * channels, in, channels * sizeof *window);
    }
}

float xn_activate(enum xn_activation activation, float x) {
    switch (activation) {
    case XN_ACT_SILU:
        return x * xn_sigmoid(x);
    case XN_ACT_GELU:
        return 0.5f * x * (1.0f + erff(x * 0.70710678118654752f));
    case XN_ACT_GELU_TANH:
        return 0.5f * x * (1.0f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
    case XN_ACT_GELU_QUICK:
        return x * xn_sigmoid(1.702f * x);
    case XN_ACT_RELU:
        return x > 0 ? x : 0;
    case XN_ACT_RELU2:
        return x > 0 ? x * x : 0;
    case XN_ACTIVATIONS:
        break;
    }
    return x;
}

void xn_ref_norm(const struct xn_norm *norm, const float *x, float *out, uint32_t n) {
    if (norm->kind == XN_NORM_NONE) {
        if (out != x) memcpy(out, x, n * sizeof *x);
        return;
    }
    double mean = 0, squares = 0;
    if (norm->kind == XN_NORM_LAYER) {
        for (uint32_t i = 0; i < n; i++)
            mean += x[i];
        mean /= n;
    }
    for (uint32_t i = 0; i < n; i++)
        squares += (x[i] - mean) * (x[i] - mean);
    float scale = (float)(1.0 / sqrt(squares / n + norm->epsilon));
    for (uint32_t i = 0; i < n; i++) {
        float y = (x[i] - (float)mean) * scale;
        if (norm->weight) y *= norm->weight[i];
        if (norm->bias) y += norm->bias[i];
        out[i] = y;
    }
}

void xn_ref_glu(const struct xn_glu *glu, const float *gate, float *up, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        if (!gate) {
            up[i] = xn_activate(glu->activation, up[i]);
            continue;
        }
        float g = gate[i] * (glu->gate_scale != 0 ? glu->gate_scale : 1), u = up[i];
        if (glu->limit != 0) {
            g = fminf(g, glu->limit);
            u = fmaxf(-glu->limit, fminf(u, glu->limit));
        }
        up[i] = xn_activate(glu->activation, g) * (u + glu->up_offset);
    }
}

void xn_ref_sum(const struct xn_sum *sum, float *y, float *to, uint32_t n) {
    xn_ref_norm(&sum->norm, y, y, n);
    for (uint32_t i = 0; i < n; i++)
        to[i] = sum->after * ((sum->set ? 0 : to[i]) + sum->scale * y[i]);
}

void xn_ref_rope(const struct xn_rope *rope, const float *frequency, float *head, uint32_t at, uint32_t head_size,
                 int32_t position, bool is_query) {
    uint32_t half = rope->dims / 2;
    if (rope->kind != XN_ROPE_NONE) {
        for (uint32_t i = 0; i < half; i++) {
            float angle = (float)position * frequency[i];
            float c = cosf(angle) * rope->magnitude, s = sinf(angle) * rope->magnitude;
            float *a = rope->kind == XN_ROPE_HALVES ? &head[at + i] : &head[at + 2 * i];
            float *b = rope->kind == XN_ROPE_HALVES ? &head[at + i + half] : &head[at + 2 * i + 1];
            float x = *a, y = *b;
            *a = x * c - y * s;
            *b = x * s + y * c;
        }
    }
    if (is_query && rope->query_beta != 0) {
        float t = 1.0f + rope->query_beta * logf(1.0f + floorf((float)position / (float)rope->query_period));
        for (uint32_t i = 0; i < head_size; i++)
            head[i] *= t;
    }
}

double xn_ref_dot(const float *a, const float *b, uint32_t n) {
    double sum[8] = {0}; // independent sums, so that the adds overlap
    uint32_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int j = 0; j < 8; j++)
            sum[j] += (double)a[i + j] * b[i + j];
    for (; i < n; i++)
        sum[0] += (double)a[i] * b[i];
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

void xn_ref_products(const struct xn_weights *w, uint32_t index, const float *x, size_t x_stride, uint32_t n,
                     const float *bias, float *out, size_t out_stride, float *scratch) {
    uint32_t k = w->matrix.cols;
    for (uint32_t i = 0; i < w->matrix.rows; i++) {
        w->format->decode(xn_weights_row(w, index, i), scratch, k);
        for (uint32_t r = 0; r < n; r++)
            out[r * out_stride + i] = (float)(xn_ref_dot(scratch, x + r * x_stride, k) + (bias ? bias[i] : 0));
    }
}
