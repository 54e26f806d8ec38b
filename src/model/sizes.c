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

static void add_all(struct xn_recipe_sizes *s, const struct xn_matrix *const *all, size_t n) {
    for (size_t i = 0; i < n; i++)
        add(s, all[i], all[i]->count, all[i]->count);
}
#define ADD_ALL(s, ...)                                                                                                \
    add_all(s, (const struct xn_matrix *const[]){__VA_ARGS__},                                                         \
            sizeof((const struct xn_matrix *const[]){__VA_ARGS__}) / sizeof(void *))

static void add_mixer(struct xn_recipe_sizes *s, const struct xn_mixer *mixer) {
    switch (mixer->kind) {
    case XN_MIXER_ATTENTION: {
        const struct xn_attention *a = &mixer->attention;
        ADD_ALL(s, &a->q, &a->k, &a->o);
        if (a->v.data != a->k.data) add_whole(s, &a->v); // else the keys are the values
        break;
    }
    case XN_MIXER_LATENT: {
        const struct xn_latent_attention *a = &mixer->latent;
        ADD_ALL(s, &a->q_a, &a->q, &a->latent, &a->k_rope, &a->k_absorb, &a->v_expand, &a->o);
        break;
    }
    case XN_MIXER_DELTA_NET: {
        const struct xn_delta_net *n = &mixer->delta_net;
        ADD_ALL(s, &n->qkv, &n->z, &n->beta, &n->alpha, &n->out);
        break;
    }
    case XN_MIXER_STATE_SPACE: {
        const struct xn_state_space *m = &mixer->state_space;
        ADD_ALL(s, &m->z, &m->xbc, &m->dt, &m->out);
        break;
    }
    case XN_MIXER_SHORT_CONV:
        ADD_ALL(s, &mixer->short_conv.in, &mixer->short_conv.out);
        break;
    case XN_MIXER_NONE:
        break;
    }
}

static void add_experts(struct xn_recipe_sizes *s, const struct xn_experts *e) {
    add_whole(s, &e->router);
    add(s, &e->gate, e->gate.count, e->used);
    add(s, &e->up, e->up.count, e->used);
    add(s, &e->down, e->down.count, e->used);
    ADD_ALL(s, &e->latent_in, &e->latent_out, &e->shared_router);
    add_dense(s, &e->shared);
}

static void add_layer(struct xn_recipe_sizes *s, const struct xn_layer *layer) {
    add_mixer(s, &layer->mixer);
    if (layer->beside) add_mixer(s, layer->beside);
    if (layer->ffn.kind == XN_FFN_DENSE) add_dense(s, &layer->ffn.dense);
    if (layer->ffn.kind == XN_FFN_EXPERTS) add_experts(s, &layer->ffn.experts);
    ADD_ALL(s, &layer->input.gate, &layer->input.projection);
}

// Of a table a token reads one row.
static void add_table(struct xn_recipe_sizes *s, const struct xn_matrix *table) {
    struct xn_matrix row = *table;
    if (table->rows) row.rows = 1;
    add(s, &row, 0, 1);
    add(s, table, 1, 0);
}

struct xn_recipe_sizes xn_recipe_sizes(const struct xn_recipe *recipe) {
    struct xn_recipe_sizes s = {0};
    bool tied = recipe->head.rows && recipe->embedding.rows && recipe->head.data[0] == recipe->embedding.data[0];
    add_table(&s, &recipe->embedding);
    add_table(&s, &recipe->layer_inputs.table);
    add_whole(&s, &recipe->layer_inputs.projection);
    add(&s, &recipe->head, tied ? 0 : 1, 1);
    for (uint32_t i = 0; i < recipe->n_layers; i++)
        add_layer(&s, &recipe->layers[i]);
    return s;
}
