// Synthetic models: read back as recipes with the shape's numbers, the same for the same seed, and with sane weights.
#include "base/file.h"
#include "base/memory.h"
#include "model/families/families.h"
#include "model/recipe.h"
#include "model/synth.h"
#include "text/tokenizer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/xenon-synth-XXXXXX";
static struct xn_error err;

static char *write_file(const char *name, const struct xn_shape *shape, const char *preset, uint64_t seed) {
    char *path = xn_path_join(folder, name);
    struct xn_synth_options options = {.seed = seed};
    if (xn_synth_write(shape, xn_preset_find(preset), &options, path, NULL, &err) != XN_OK) fail_msg("%s", err.message);
    return path;
}

static void check_attention(const struct xn_attention *a, const struct xn_shape *s, uint32_t head_size) {
    assert_int_equal(a->heads, s->heads);
    assert_int_equal(a->kv_heads, s->kv_heads);
    assert_int_equal(a->head_size, head_size);
    assert_int_equal(a->output_gate, (s->flags & XN_SHAPE_GATED) != 0);
    assert_int_equal(a->q_norm.kind != XN_NORM_NONE, (s->flags & XN_SHAPE_QK_NORM) != 0);
    assert_int_equal(a->norm_whole, (s->flags & XN_SHAPE_NORM_WHOLE) != 0);
    assert_int_equal(a->q_bias != NULL, (s->flags & XN_SHAPE_QKV_BIAS) != 0);
    assert_int_equal(a->o_bias != NULL, (s->flags & XN_SHAPE_OUT_BIAS) != 0);
    assert_int_equal(a->sinks != NULL, (s->flags & XN_SHAPE_SINKS) != 0);
    if (a->rope.kind != XN_ROPE_NONE && s->rope_size && head_size == s->head_size)
        assert_int_equal(a->rope.dims, s->rope_size);
}

static void check_state_space(const struct xn_state_space *m, const struct xn_shape *s) {
    assert_int_equal(m->heads, s->ssm_heads);
    assert_int_equal(m->head_size, s->ssm_size);
    assert_int_equal(m->groups, s->ssm_groups);
    assert_int_equal(m->state_size, s->ssm_state);
    assert_int_equal(m->kernel, s->taps);
    assert_int_equal(m->norm.kind != XN_NORM_NONE, (s->flags & XN_SHAPE_SSM_NORM) != 0);
}

static void check_mixer(const struct xn_mixer *mixer, const struct xn_shape *s, char kind) {
    switch (kind) {
    case XN_SHAPE_LATENT:
        assert_int_equal(mixer->kind, XN_MIXER_LATENT);
        assert_int_equal(mixer->latent.heads, s->heads);
        assert_int_equal(mixer->latent.q_rank, s->q_rank);
        assert_int_equal(mixer->latent.rank, s->rank);
        assert_int_equal(mixer->latent.nope_size, s->nope_size);
        assert_int_equal(mixer->latent.value_size, s->value_size);
        break;
    case XN_SHAPE_DELTA_NET:
        assert_int_equal(mixer->kind, XN_MIXER_DELTA_NET);
        assert_int_equal(mixer->delta_net.key_heads, s->key_heads);
        assert_int_equal(mixer->delta_net.value_heads, s->value_heads);
        assert_int_equal(mixer->delta_net.kernel, s->taps);
        break;
    case XN_SHAPE_MAMBA:
        assert_int_equal(mixer->kind, XN_MIXER_STATE_SPACE);
        check_state_space(&mixer->state_space, s);
        break;
    case XN_SHAPE_CONV:
        assert_int_equal(mixer->kind, XN_MIXER_SHORT_CONV);
        assert_int_equal(mixer->short_conv.kernel, s->conv_taps);
        break;
    default:
        assert_int_equal(mixer->kind, XN_MIXER_ATTENTION);
        check_attention(&mixer->attention, s, kind == XN_SHAPE_LOCAL ? s->local_head_size : s->head_size);
    }
}

static void check_mixers(const struct xn_layer *layer, const struct xn_shape *s, char kind) {
    if (kind != XN_SHAPE_BOTH) {
        assert_null(layer->beside);
        check_mixer(&layer->mixer, s, kind);
        return;
    }
    assert_non_null(layer->beside);
    bool first = layer->mixer.kind == XN_MIXER_STATE_SPACE;
    check_mixer(&layer->mixer, s, first ? XN_SHAPE_MAMBA : XN_SHAPE_ATTENTION);
    check_mixer(layer->beside, s, first ? XN_SHAPE_ATTENTION : XN_SHAPE_MAMBA);
}

static void check_feed_forward(const struct xn_ffn *ffn, const struct xn_shape *s, bool experts) {
    assert_int_equal(ffn->kind, experts ? XN_FFN_EXPERTS : XN_FFN_DENSE);
    bool gated = !(s->flags & XN_SHAPE_UNGATED);
    if (!experts) {
        assert_int_equal(ffn->dense.up.rows, s->ffn);
        assert_int_equal(ffn->dense.gate.rows != 0, gated);
        return;
    }
    const struct xn_experts *e = &ffn->experts;
    assert_int_equal(e->up.count, s->experts);
    assert_int_equal(e->up.rows, s->expert_ffn);
    assert_int_equal(e->gate.rows, gated ? s->expert_ffn : 0);
    assert_int_equal(e->used, s->used);
    assert_int_equal(e->latent_in.rows, s->expert_hidden);
    assert_int_equal(e->shared.up.rows, s->flags & XN_SHAPE_GEMMA4 ? s->ffn : s->shared_ffn);
    assert_int_equal(e->shared_router.rows != 0, (s->flags & XN_SHAPE_SHARED_GATE) != 0);
    assert_int_equal(e->selection_bias != NULL, (s->flags & XN_SHAPE_PROBS_BIAS) != 0);
    assert_int_equal(e->up_bias != NULL, (s->flags & XN_SHAPE_MOE_BIAS) != 0);
}

static void check_layer(const struct xn_recipe *recipe, uint32_t l, const struct xn_shape *s) {
    const struct xn_layer *layer = &recipe->layers[l];
    char kind = xn_shape_layer(s, l);
    bool mixes = kind != XN_SHAPE_FFN && kind != XN_SHAPE_EXPERTS, alone = (s->flags & XN_SHAPE_ALONE) != 0;
    bool post = (s->flags & XN_SHAPE_POST_NORMS) != 0;
    if (mixes)
        check_mixers(layer, s, kind);
    else
        assert_int_equal(layer->mixer.kind, XN_MIXER_NONE);
    if (mixes && alone)
        assert_int_equal(layer->ffn.kind, XN_FFN_NONE);
    else
        check_feed_forward(&layer->ffn, s, xn_shape_has_experts(s, l));
    assert_int_equal(layer->mixer.post_norm.kind != XN_NORM_NONE, post);
    assert_int_equal(layer->ffn.post_norm.kind != XN_NORM_NONE, post);
    assert_int_equal(layer->input.gate.rows, s->input_size);
}

static void check_recipe(const struct xn_recipe *recipe, const struct xn_shape *s) {
    assert_int_equal(recipe->n_layers, s->layers);
    assert_int_equal(recipe->hidden, s->hidden);
    assert_int_equal(recipe->vocab, s->vocab);
    assert_int_equal(recipe->context, s->context);
    assert_int_equal(recipe->head.data[0] == recipe->embedding.data[0], (s->flags & XN_SHAPE_TIED) != 0);
    bool window_seen = false;
    for (uint32_t l = 0; l < recipe->n_layers; l++) {
        check_layer(recipe, l, s);
        const struct xn_mixer *mixer = &recipe->layers[l].mixer;
        if (mixer->kind != XN_MIXER_ATTENTION || !mixer->attention.window) continue;
        window_seen = true;
        assert_int_equal(mixer->attention.window, s->window);
    }
    assert_int_equal(window_seen, s->window != 0);
}

static void every_kind_reads_back(void **state) {
    (void)state;
    for (size_t i = 0; i < xn_shape_count(); i++) {
        const struct xn_shape *s = xn_shape_at(i);
        if (!(s->flags & XN_SHAPE_HIDDEN)) continue;
        char *path = write_file("kind.gguf", s, "Q8_0", 1);
        struct xn_source *source;
        struct xn_recipe recipe;
        if (xn_source_open(path, &source, &err) != XN_OK) fail_msg("%s: %s", s->name, err.message);
        if (xn_recipe_read(source, &recipe, &err) != XN_OK) fail_msg("%s: %s", s->name, err.message);
        print_message("%s\n", s->name);
        check_recipe(&recipe, s);
        xn_recipe_free(&recipe);
        xn_source_close(source);
        unlink(path);
        free(path);
    }
}

// Families that are another's in GGUF (Mistral is a llama there) have no name of their own.
static bool has_shape(const struct xn_family *family) {
    if (!family->gguf || !*family->gguf) return true;
    for (const char *const *name = family->gguf; *name; name++)
        for (size_t i = 0; i < xn_shape_count(); i++)
            if ((xn_shape_at(i)->flags & XN_SHAPE_HIDDEN) && strcmp(xn_shape_at(i)->family, *name) == 0) return true;
    return false;
}

static void every_family_has_a_tiny_shape(void **state) {
    (void)state;
#define X(name)                                                                                                        \
    if (!has_shape(&xn_family_##name)) print_message("no tiny shape of %s\n", #name), missing++;
    int missing = 0;
    XN_FAMILY_LIST(X)
#undef X
    assert_int_equal(missing, 0);
}

// Every tensor of the file has the type and size that xn_synth_tensors announced, finite values and the deviation
// announced.
static void weights_are_sane(void **state) {
    (void)state;
    const char *shapes[] = {"tiny-qwen2", "tiny-qwen3.5-moe", "tiny-llama", "tiny-nemotron-h-moe", "tiny-gemma4"};
    const char *presets[] = {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_K_M", "Q5_K_M", "Q3_K_M", "Q2_K", "IQ4_XS"};
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        for (size_t p = 0; p < sizeof presets / sizeof *presets; p++) {
            const struct xn_shape *shape = xn_shape_find(shapes[k]);
            struct xn_synth_tensor *tensors;
            size_t n;
            char *path = write_file("sane.gguf", shape, presets[p], 3);
            struct xn_gguf *gguf;
            assert_int_equal(xn_synth_tensors(shape, xn_preset_find(presets[p]), 0, &tensors, &n, &err), XN_OK);
            assert_int_equal(xn_gguf_open(path, &gguf, &err), XN_OK);
            assert_int_equal(xn_gguf_n_tensors(gguf), n);
            for (size_t i = 0; i < n; i++) {
                const struct xn_tensor *t = xn_gguf_tensor(gguf, tensors[i].name);
                assert_non_null(t);
                assert_int_equal(t->type, tensors[i].type);
                assert_int_equal(t->bytes, tensors[i].bytes);
                size_t values = (size_t)(t->dims[0] * t->dims[1] * t->dims[2]);
                float *decoded = malloc(values * sizeof *decoded);
                xn_format_of(t->type)->decode(t->data, decoded, values);
                double squares = 0;
                for (size_t v = 0; v < values; v++) {
                    if (!isfinite(decoded[v])) fail_msg("%s %s %s: value %zu", shapes[k], presets[p], t->name, v);
                    squares += (double)decoded[v] * decoded[v];
                }
                double deviation = sqrt(squares / (double)values) / tensors[i].deviation;
                if (tensors[i].fill == XN_FILL_NORMAL && values > 10000 && (deviation < 0.85 || deviation > 1.15))
                    fail_msg("%s %s %s: %.3f of its deviation", shapes[k], presets[p], t->name, deviation);
                free(decoded);
            }
            xn_gguf_close(gguf);
            free(tensors);
            unlink(path);
            free(path);
        }
    }
}

static void a_seed_is_a_file(void **state) {
    (void)state;
    const struct xn_shape *shape = xn_shape_find("tiny-qwen3");
    char *paths[3] = {write_file("a.gguf", shape, "Q4_K_M", 1), write_file("b.gguf", shape, "Q4_K_M", 1),
                      write_file("c.gguf", shape, "Q4_K_M", 2)};
    struct xn_map maps[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(xn_map_open(paths[i], &maps[i], &err), XN_OK);
    assert_int_equal(maps[0].size, maps[1].size);
    assert_memory_equal(maps[0].data, maps[1].data, maps[0].size);
    assert_int_equal(maps[0].size, maps[2].size);
    assert_true(memcmp(maps[0].data, maps[2].data, maps[0].size) != 0);
    for (int i = 0; i < 3; i++) {
        xn_map_close(&maps[i]);
        unlink(paths[i]);
        free(paths[i]);
    }
}

static void the_vocabulary_works(void **state) {
    (void)state;
    char *path = write_file("vocab.gguf", xn_shape_find("tiny-qwen3"), "Q8_0", 1);
    struct xn_gguf *gguf;
    struct xn_tokenizer *tokenizer;
    assert_int_equal(xn_gguf_open(path, &gguf, &err), XN_OK);
    if (xn_tokenizer_from_gguf(gguf, &tokenizer, &err) != XN_OK) fail_msg("%s", err.message);
    assert_int_equal(xn_tokenizer_size(tokenizer), 1024);
    const char text[] = "the cat saw \xC3\xA9t\xC3\xA9 12\n<|im_end|>";
    struct xn_ids ids = {0};
    assert_int_equal(xn_tokenize(tokenizer, text, strlen(text), XN_TOKENIZE_SPECIAL, &ids, &err), XN_OK);
    assert_true(ids.n < strlen(text) - 10); // some pairs merged, and the special token is one
    assert_int_equal(ids.data[ids.n - 1], xn_token_eos(tokenizer));
    struct xn_detokenizer d;
    struct xn_text back = {0};
    xn_detokenizer_init(&d, tokenizer, true);
    for (size_t i = 0; i < ids.n; i++)
        assert_int_equal(xn_detokenize(&d, ids.data[i], &back, &err), XN_OK);
    assert_int_equal(xn_detokenize_end(&d, &back, &err), XN_OK);
    assert_string_equal(back.data, text);
    free(back.data);
    free(ids.data);
    xn_tokenizer_free(tokenizer);
    xn_gguf_close(gguf);
    unlink(path);
    free(path);
}

static void what_cannot_be(void **state) {
    (void)state;
    struct xn_synth_tensor *tensors;
    size_t n;
    const struct xn_shape *shape = xn_shape_find("tiny-qwen3");
    assert_int_equal(xn_synth_tensors(shape, xn_preset_find("F32"), 9, &tensors, &n, &err), XN_ERR_ARGUMENT);
    assert_null(xn_shape_find("qwen3-5b"));
    assert_null(xn_preset_find("Q9_K"));
    struct xn_synth_options options = {.layers = 1};
    assert_int_equal(xn_synth_write(shape, xn_preset_find("F32"), &options, "/nowhere/x.gguf", NULL, &err), XN_ERR_IO);
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}
static int remove_folder(void **state) {
    (void)state;
    return rmdir(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_reads_back), cmocka_unit_test(every_family_has_a_tiny_shape),
        cmocka_unit_test(weights_are_sane),      cmocka_unit_test(a_seed_is_a_file),
        cmocka_unit_test(the_vocabulary_works),  cmocka_unit_test(what_cannot_be),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
