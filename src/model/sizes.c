// What a recipe weighs: sums over its matrices.
#include "model/recipe.h"
#include "quant/format.h"

// Adds `stored` matrices of m's shape to the totals, and `read` of them to what a token reads.
static void add(struct xn_recipe_sizes *s, const struct xn_matrix *m, uint64_t stored, uint64_t read) {
    const struct xn_format *format = xn_format_of(m->type);
    uint64_t values = (uint64_t)m->rows * m->cols;
    if (!format || values == 0) return;
    uint64_t bytes = values / format->block_values * format->block_bytes;
    s->parameters += values * stored;
    s->bytes += bytes * stored;
    s->active_parameters += values * read;
    s->active_bytes += bytes * read;
}

static void add_whole(struct xn_recipe_sizes *s, const struct xn_matrix *m) {
    add(s, m, 1, 1);
}

static void add_dense(struct xn_recipe_sizes *s, const struct xn_dense *f) {
    add_whole(s, &f->gate);
    add_whole(s, &f->up);
    add_whole(s, &f->down);
}

static void add_layer(struct xn_recipe_sizes *s, const struct xn_layer *layer) {
    if (layer->mixer_kind == XN_MIXER_ATTENTION) {
        const struct xn_attention *a = &layer->attention;
        const struct xn_matrix *all[] = {&a->q, &a->k, &a->v, &a->o};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            add_whole(s, all[i]);
    } else if (layer->mixer_kind == XN_MIXER_DELTA_NET) {
        const struct xn_delta_net *n = &layer->delta_net;
        const struct xn_matrix *all[] = {&n->qkv, &n->z, &n->beta, &n->alpha, &n->out};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            add_whole(s, all[i]);
    }
    if (layer->ffn_kind == XN_FFN_DENSE) add_dense(s, &layer->dense);
    if (layer->ffn_kind != XN_FFN_EXPERTS) return;
    const struct xn_experts *e = &layer->experts;
    add_whole(s, &e->router);
    add(s, &e->gate, e->gate.count, e->used);
    add(s, &e->up, e->up.count, e->used);
    add(s, &e->down, e->down.count, e->used);
    add_dense(s, &e->shared);
    add_whole(s, &e->shared_router);
}

struct xn_recipe_sizes xn_recipe_sizes(const struct xn_recipe *recipe) {
    struct xn_recipe_sizes s = {0};
    struct xn_matrix row = recipe->embedding;
    bool tied = recipe->head.rows && recipe->embedding.rows && recipe->head.data[0] == recipe->embedding.data[0];
    if (recipe->embedding.rows) row.rows = 1; // a token reads one row of it
    add(&s, &row, 0, 1);
    add(&s, &recipe->embedding, 1, 0);
    add(&s, &recipe->head, tied ? 0 : 1, 1);
    for (uint32_t i = 0; i < recipe->n_layers; i++)
        add_layer(&s, &recipe->layers[i]);
    return s;
}
