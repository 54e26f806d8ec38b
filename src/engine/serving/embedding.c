// Embeddings: one vector of the final norm's outputs of a text.
#include "engine/serving/internal.h"

static int gather(struct xn_serving *s, struct xn_task *t, uint32_t first, struct xn_error *err) {
    uint32_t hidden = s->model->recipe.hidden, begin = t->feed + 1 - t->rows;
    bool ends = first + t->rows == t->tokens.n;
    switch (t->request.pooling) {
    case XN_POOL_NONE:
        break;
    case XN_POOL_FIRST:
        return first == 0 ? xn_eval_hidden(s->context, begin, 1, t->vector, err) : XN_OK;
    case XN_POOL_LAST:
        return ends ? xn_eval_hidden(s->context, t->feed, 1, t->vector, err) : XN_OK;
    case XN_POOL_MEAN:
        for (uint32_t i = 0; i < hidden && first == 0; i++)
            t->sum[i] = 0;
        for (uint32_t r = 0; r < t->rows; r++) {
            XN_TRY(xn_eval_hidden(s->context, begin + r, 1, t->vector, err));
            for (uint32_t i = 0; i < hidden; i++)
                t->sum[i] += (double)t->vector[i];
        }
        for (uint32_t i = 0; i < hidden && ends; i++)
            t->vector[i] = (float)(t->sum[i] / (double)t->tokens.n);
        break;
    }
    return XN_OK;
}

int xn_embedding_begin(const struct xn_serving *s, struct xn_task *t, struct xn_error *err) {
    uint32_t hidden = s->model->recipe.hidden;
    t->vector = xn_alloc(hidden, sizeof *t->vector);
    t->sum = t->request.pooling == XN_POOL_MEAN ? xn_alloc(hidden, sizeof *t->sum) : NULL;
    if (t->vector && (t->sum || t->request.pooling != XN_POOL_MEAN)) return XN_OK;
    return xn_fail(err, XN_ERR_NOMEM, "no memory for an embedding of %u values", hidden);
}

void xn_embedding_take(struct xn_serving *s, struct xn_task *t) {
    if (gather(s, t, xn_task_length(s, t) - t->rows, &t->failed) == XN_OK) t->failed.status = XN_OK;
}

void xn_embedding_finish(struct xn_serving *s, struct xn_task *t) {
    if (t->failed.status != XN_OK) {
        xn_task_finish(s, t, XN_SERVING_ERROR, -1, &t->failed);
        return;
    }
    if (xn_task_length(s, t) < t->tokens.n) return;
    struct xn_serving_event event = {
        .kind = XN_SERVING_VECTOR, .token = -1, .vector = t->vector, .n_vector = s->model->recipe.hidden};
    xn_task_finish(s, t, xn_task_emit(s, t, &event) ? XN_SERVING_CALLER : XN_SERVING_END, -1, NULL);
}
