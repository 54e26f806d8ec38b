// attend in plain C: one query head at a time, all scores, then the softmax, then the values.
#include "device/cache.h"
#include "device/reference/math.h"

#include <math.h>
#include <stdlib.h>

static float score(const struct xn_host_memory *m, const struct xn_op_attend *a, const float *q, size_t key) {
    double sum = 0;
    const void *keys = m->cache[a->cache].keys;
    if (m->limits.cache_type == XN_F32)
        sum = xn_ref_dot(q, (const float *)keys + key, a->head_size);
    else
        for (uint32_t i = 0; i < a->head_size; i++)
            sum += (double)q[i] * xn_cache_load(m->limits.cache_type, keys, key + i);
    float s = (float)sum * a->scale;
    return a->soft_cap != 0 ? a->soft_cap * tanhf(s / a->soft_cap) : s;
}

// Attention of head h of row r at position p; `scores` holds p + 1 floats.
static void attend_head(struct xn_host_memory *m, const struct xn_op_attend *a, const struct xn_span *span, uint32_t r,
                        uint32_t p, uint32_t h, float *scores) {
    const float *q = xn_host_row(m, a->in, r) + (size_t)h * a->head_stride;
    float *out = xn_host_row(m, a->out, r) + (size_t)h * a->value_size;
    const void *values = a->values_in_keys ? m->cache[a->cache].keys : m->cache[a->cache].values;
    uint32_t value_stride = a->values_in_keys ? a->head_size : a->value_size;
    uint32_t g = h / (a->heads / a->kv_heads);
    uint32_t first = a->window && p + 1 > a->window ? p + 1 - a->window : 0;
    float max = a->sinks ? a->sinks[h] : -INFINITY;
    for (uint32_t j = first; j <= p; j++) {
        scores[j] = score(m, a, q, xn_host_cache_index(m, a->kv_heads, a->head_size, span->pages, g, j));
        if (scores[j] > max) max = scores[j];
    }
    double sum = a->sinks ? exp((double)a->sinks[h] - max) : 0;
    for (uint32_t j = first; j <= p; j++)
        sum += scores[j] = expf(scores[j] - max);
    for (uint32_t i = 0; i < a->value_size; i++)
        out[i] = 0;
    for (uint32_t j = first; j <= p; j++) {
        size_t value = xn_host_cache_index(m, a->kv_heads, value_stride, span->pages, g, j);
        float w = (float)(scores[j] / sum);
        for (uint32_t i = 0; i < a->value_size; i++)
            out[i] += w * xn_cache_load(m->limits.cache_type, values, value + i);
    }
    if (a->output_gate)
        for (uint32_t i = 0; i < a->value_size; i++)
            out[i] *= xn_sigmoid(q[a->head_size + i]);
}

int xn_ref_attend(struct xn_host_memory *m, const struct xn_batch *batch, const struct xn_op *op,
                  struct xn_error *err) {
    const struct xn_op_attend *a = &op->attend;
    for (uint32_t s = 0; s < batch->n_spans; s++) {
        const struct xn_span *span = &batch->spans[s];
        float *scores;
        XN_TRY(xn_ref_scratch((size_t)span->past + span->n_rows, &scores, err));
        for (uint32_t i = 0; i < span->n_rows; i++)
            for (uint32_t h = 0; h < a->heads; h++)
                attend_head(m, a, span, span->first_row + i, span->past + i, h, scores);
        free(scores);
    }
    return XN_OK;
}
