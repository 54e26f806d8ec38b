#include "random_recipe.h"

#include "random_draw.h"

// P = sum_scale * (norm(projection_scale * projection X) + table_scale * table[token])
static void draw_layer_inputs(struct draw *d, struct xn_layer_inputs *in) {
    struct xn_recipe *r = d->recipe;
    in->size = DRAW_OF(d, 32, 64, 20);
    in->table = draw_matrix(d, "input table", r->vocab, r->n_layers * in->size);
    in->projection = draw_matrix(d, "input projection", r->n_layers * in->size, r->hidden);
    in->norm = draw_maybe_norm(d, in->size);
    in->projection_scale = draw_coin(d) ? 1.0f : 0.2f;
    in->table_scale = draw_coin(d) ? 1.0f : 4.0f;
    in->sum_scale = draw_coin(d) ? 1.0f : 0.7f;
}

static void draw_layer_input(struct draw *d, struct xn_layer_input *in) {
    uint32_t size = d->recipe->layer_inputs.size;
    in->gate = draw_matrix(d, "input gate", size, d->recipe->hidden);
    in->projection = draw_matrix(d, "input projection", d->recipe->hidden, size);
    in->norm = draw_norm(d, d->recipe->hidden);
    in->activation = (enum xn_activation)draw_below(d, XN_ACTIVATIONS);
}

static void draw_layer(struct draw *d, struct xn_layer *layer) {
    layer->residual_scale = draw_coin(d) ? 1.0f : 0.5f;
    layer->output_scale = draw_scale(d, 0.8f);
    uint32_t parts = draw_below(d, 6); // 0: a mixer alone, 1: a feed-forward alone, else both
    if (parts != 1) {
        draw_mixer(d, &layer->mixer, false);
        if (draw_below(d, 4) == 0) {
            layer->beside = draw_alloc(d, 1, sizeof *layer->beside);
            draw_mixer(d, layer->beside, true);
        }
    }
    if (parts != 0) draw_feed_forward(d, &layer->ffn);
    if (d->recipe->layer_inputs.size && draw_below(d, 4)) draw_layer_input(d, &layer->input);
}

int random_recipe(const struct random_recipe_options *options, struct xn_recipe *recipe) {
    *recipe = (struct xn_recipe){.family = "random",
                                 .hidden = options->hidden ? options->hidden : 256,
                                 .vocab = 97,
                                 .n_layers = options->n_layers ? options->n_layers : 3,
                                 .context = 512};
    struct draw d = {.choice = options->seed,
                     .value = ~options->seed,
                     .noise = options->seed ^ (uint64_t)(1e12 * (double)options->noise),
                     .recipe = recipe,
                     .options = options};
    if (draw_below(&d, 5) == 0) d.original = 10 + draw_below(&d, 90);
    d.caches = draw_alloc(&d, 2 * (size_t)recipe->n_layers, sizeof *d.caches);
    recipe->embedding = draw_matrix(&d, "embedding", recipe->vocab, recipe->hidden);
    recipe->embedding_scale = draw_coin(&d) ? 8 : 1;
    if (draw_below(&d, 4) == 0) draw_layer_inputs(&d, &recipe->layer_inputs);
    recipe->layers = draw_alloc(&d, recipe->n_layers, sizeof *recipe->layers);
    for (d.layer = 0; d.layer < recipe->n_layers; d.layer++)
        draw_layer(&d, &recipe->layers[d.layer]);
    recipe->final_norm = draw_norm(&d, recipe->hidden);
    recipe->head = draw_coin(&d) ? recipe->embedding : draw_matrix(&d, "head", recipe->vocab, recipe->hidden);
    recipe->logit_scale = draw_coin(&d) ? 1 : 0.25f;
    if (draw_coin(&d)) recipe->logit_soft_cap = 30;
    return XN_OK;
}
