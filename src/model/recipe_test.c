// Every family of ../shared/models reads, with the fields that its configuration says; where there is a GGUF file of
// the same weights, it gives the same recipe. And what a GGUF's metadata may get wrong.
#include "tiny_reading.h"

#include <math.h>

struct expected {
    const char *family;
    uint32_t hidden, layers, heads, kv_heads, head_size;
    uint32_t windows;   // layers with one, as bits
    uint32_t linear;    // layers with a delta net, as bits
    uint32_t dense;     // of a model with experts: layers without them, as bits
    uint32_t rope_dims; // of the last layer
    float scale, soft_cap, final_soft_cap, embedding_scale, logit_scale, residual_scale;
    uint32_t experts, used;            // 0: dense
    uint32_t rank, q_rank, value_size; // of latent attention; 0: attention
    bool tied, biases, o_bias, head_norms, post_norms, pre_norms, gated;
    enum xn_rope_kind hf_rope, gguf_rope; // of the last layer
};
#define PLAIN .final_soft_cap = 0, .embedding_scale = 1, .logit_scale = 1, .residual_scale = 1, .pre_norms = true
#define SCALE_32 0.17677669f
static const struct expected expected[] = {
    {"llama", 256, 2, 8, 2, 32, .rope_dims = 32, .scale = SCALE_32, PLAIN, .hf_rope = XN_ROPE_HALVES},
    {"mistral", 128, 2, 4, 2, 32, .windows = 3, .rope_dims = 32, .scale = SCALE_32, PLAIN, .hf_rope = XN_ROPE_HALVES},
    {"mixtral", 128, 2, 4, 2, 32, .rope_dims = 32, .scale = SCALE_32, PLAIN, .experts = 8, .used = 2,
     .hf_rope = XN_ROPE_HALVES, .gguf_rope = XN_ROPE_PAIRS},
    {"qwen2", 256, 2, 8, 2, 32, .rope_dims = 32, .scale = SCALE_32, PLAIN, .biases = true, .hf_rope = XN_ROPE_HALVES,
     .gguf_rope = XN_ROPE_HALVES},
    {"qwen2_moe", 128, 2, 4, 2, 32, .rope_dims = 32, .scale = SCALE_32, PLAIN, .biases = true, .experts = 8, .used = 2,
     .hf_rope = XN_ROPE_HALVES, .gguf_rope = XN_ROPE_HALVES},
    {"qwen3", 256, 2, 8, 2, 32, .rope_dims = 32, .scale = SCALE_32, PLAIN, .head_norms = true,
     .hf_rope = XN_ROPE_HALVES, .gguf_rope = XN_ROPE_HALVES},
    {"qwen3_moe", 256, 2, 8, 2, 32, .rope_dims = 32, .scale = SCALE_32, PLAIN, .head_norms = true, .experts = 8,
     .used = 2, .hf_rope = XN_ROPE_HALVES, .gguf_rope = XN_ROPE_HALVES},
    {"qwen3_5", 256, 4, 8, 2, 32, .linear = 7, .rope_dims = 8, .scale = SCALE_32, PLAIN, .head_norms = true,
     .gated = true, .hf_rope = XN_ROPE_HALVES, .gguf_rope = XN_ROPE_HALVES},
    {"qwen3_5_moe", 128, 4, 4, 2, 32, .linear = 7, .rope_dims = 8, .scale = SCALE_32, PLAIN, .head_norms = true,
     .gated = true, .experts = 8, .used = 2, .hf_rope = XN_ROPE_HALVES, .gguf_rope = XN_ROPE_HALVES},
    {"qwen3_next", 128, 4, 4, 2, 32, .linear = 7, .rope_dims = 8, .scale = SCALE_32, PLAIN, .head_norms = true,
     .gated = true, .experts = 8, .used = 2, .hf_rope = XN_ROPE_HALVES, .gguf_rope = XN_ROPE_HALVES},
    {"gemma2", 128, 4, 4, 2, 32, .windows = 5, .rope_dims = 32, .scale = SCALE_32, .soft_cap = 50, .final_soft_cap = 30,
     .embedding_scale = 11.313708f, .logit_scale = 1, .residual_scale = 1, .tied = true, .post_norms = true,
     .pre_norms = true, .hf_rope = XN_ROPE_HALVES, .gguf_rope = XN_ROPE_HALVES},
    {"gemma3", 128, 4, 4, 2, 32, .windows = 7, .rope_dims = 32, .scale = SCALE_32, .embedding_scale = 11.313708f,
     .logit_scale = 1, .residual_scale = 1, .tied = true, .head_norms = true, .post_norms = true, .pre_norms = true,
     .hf_rope = XN_ROPE_HALVES},
    {"phi3", 128, 2, 4, 2, 32, .rope_dims = 32, .scale = SCALE_32, PLAIN, .hf_rope = XN_ROPE_HALVES},
    {"smollm3", 128, 4, 4, 2, 32, .rope_dims = 32, .scale = SCALE_32, PLAIN, .hf_rope = XN_ROPE_NONE,
     .gguf_rope = XN_ROPE_NONE},
    {"olmo2", 128, 2, 4, 2, 32, .rope_dims = 32, .scale = SCALE_32, .embedding_scale = 1, .logit_scale = 1,
     .residual_scale = 1, .head_norms = true, .post_norms = true, .hf_rope = XN_ROPE_HALVES,
     .gguf_rope = XN_ROPE_HALVES},
    {"granite", 128, 2, 4, 2, 32, .rope_dims = 32, .scale = 0.03f, .embedding_scale = 6, .logit_scale = 1 / 3.0f,
     .residual_scale = 0.3f, .pre_norms = true, .hf_rope = XN_ROPE_HALVES, .gguf_rope = XN_ROPE_PAIRS},
    {"glm4", 128, 2, 4, 2, 32, .rope_dims = 16, .scale = SCALE_32, PLAIN, .biases = true, .post_norms = true,
     .hf_rope = XN_ROPE_PAIRS, .gguf_rope = XN_ROPE_PAIRS},
    {"glm4_moe", 128, 2, 4, 2, 32, .dense = 1, .rope_dims = 16, .scale = SCALE_32, PLAIN, .biases = true, .experts = 8,
     .used = 2, .hf_rope = XN_ROPE_HALVES, .gguf_rope = XN_ROPE_HALVES},
    {"gpt_oss", 128, 4, 4, 2, 32, .windows = 5, .rope_dims = 32, .scale = SCALE_32, PLAIN, .biases = true,
     .o_bias = true, .experts = 8, .used = 2, .hf_rope = XN_ROPE_HALVES, .gguf_rope = XN_ROPE_HALVES},
    {"deepseek_v3", 128, 2, 4, 4, 48, .dense = 1, .rope_dims = 16, .scale = 0.14433757f, PLAIN, .experts = 8, .used = 2,
     .rank = 64, .q_rank = 64, .value_size = 32, .hf_rope = XN_ROPE_PAIRS},
    {"ministral3", 128, 2, 4, 2, 32, .rope_dims = 32, .scale = SCALE_32, PLAIN, .hf_rope = XN_ROPE_HALVES,
     .gguf_rope = XN_ROPE_PAIRS},
    {"seed_oss", 128, 2, 4, 2, 32, .rope_dims = 32, .scale = SCALE_32, PLAIN, .biases = true, .hf_rope = XN_ROPE_HALVES,
     .gguf_rope = XN_ROPE_HALVES},
};
enum { FAMILIES = sizeof expected / sizeof *expected };

static const char *shared_folder(void) {
    static char path[512];
    const char *shared = getenv("XENON_SHARED");
    snprintf(path, sizeof path, "%s/models", shared ? shared : "../shared");
    return access(path, R_OK) == 0 ? path : NULL;
}

static void read_model(struct reading *r, const char *path) {
    read_path(r, path);
    if (r->status) fail_msg("%s", r->err.message);
}

static void near(const char *family, const char *what, float found, float wanted) {
    if (!(fabsf(found - wanted) <= 1e-6f * fabsf(wanted)))
        fail_msg("%s: %s is %.9g, expected %.9g", family, what, found, wanted);
}

static void check_attention(const struct expected *e, const struct xn_layer *layer, bool window) {
    const struct xn_attention *a = &layer->mixer.attention;
    assert_int_equal(a->heads, e->heads);
    assert_int_equal(a->kv_heads, e->kv_heads);
    assert_int_equal(a->head_size, e->head_size);
    assert_int_equal(a->value_size, e->head_size);
    assert_int_equal(a->q.rows, e->heads * e->head_size * (e->gated ? 2 : 1));
    assert_int_equal(a->window, window ? 16 : 0);
    assert_int_equal(a->output_gate, e->gated);
    assert_int_equal(a->q_bias != NULL, e->biases);
    assert_int_equal(a->v_bias != NULL, e->biases);
    assert_int_equal(a->o_bias != NULL, e->o_bias);
    assert_int_equal(a->q_norm.kind, e->head_norms ? XN_NORM_RMS : XN_NORM_NONE);
    near(e->family, "scale", a->scale, e->scale);
    near(e->family, "soft cap", a->soft_cap, e->soft_cap);
}

static void check_latent(const struct expected *e, const struct xn_latent_attention *a) {
    assert_int_equal(a->heads, e->heads);
    assert_int_equal(a->rank, e->rank);
    assert_int_equal(a->q_rank, e->q_rank);
    assert_int_equal(a->rope_size, e->rope_dims);
    assert_int_equal(a->nope_size + a->rope_size, e->head_size);
    assert_int_equal(a->value_size, e->value_size);
    assert_int_equal(a->k_absorb.count, e->heads);
    assert_int_equal(a->k_absorb.rows, e->rank);
    assert_int_equal(a->v_expand.rows, e->value_size);
    near(e->family, "scale", a->scale, e->scale);
}

static enum xn_mixer_kind mixer_of(const struct expected *e, uint32_t i) {
    if (e->rank) return XN_MIXER_LATENT;
    return e->linear >> i & 1 ? XN_MIXER_DELTA_NET : XN_MIXER_ATTENTION;
}

static void check_recipe(const struct expected *e, const struct xn_recipe *m, enum xn_rope_kind rope) {
    assert_int_equal(m->hidden, e->hidden);
    assert_int_equal(m->vocab, 1024);
    assert_int_equal(m->n_layers, e->layers);
    assert_int_equal(m->context, 4096);
    assert_int_equal(m->head.data[0] == m->embedding.data[0], e->tied);
    near(e->family, "embedding scale", m->embedding_scale, e->embedding_scale);
    near(e->family, "logit scale", m->logit_scale, e->logit_scale);
    near(e->family, "final soft cap", m->logit_soft_cap, e->final_soft_cap);
    for (uint32_t i = 0; i < m->n_layers; i++) {
        const struct xn_layer *layer = &m->layers[i];
        assert_int_equal(layer->mixer.kind, mixer_of(e, i));
        if (layer->mixer.kind == XN_MIXER_LATENT) check_latent(e, &layer->mixer.latent);
        if (layer->mixer.kind == XN_MIXER_ATTENTION) check_attention(e, layer, e->windows >> i & 1);
        assert_int_equal(layer->mixer.norm.kind, e->pre_norms ? XN_NORM_RMS : XN_NORM_NONE);
        assert_int_equal(layer->ffn.post_norm.kind, e->post_norms ? XN_NORM_RMS : XN_NORM_NONE);
        near(e->family, "residual scale", layer->residual_scale, e->residual_scale);
        bool experts = e->experts && !(e->dense >> i & 1);
        assert_int_equal(layer->ffn.kind, experts ? XN_FFN_EXPERTS : XN_FFN_DENSE);
        if (!experts) continue;
        assert_int_equal(layer->ffn.experts.gate.count, e->experts);
        assert_int_equal(layer->ffn.experts.used, e->used);
    }
    const struct xn_mixer *mixer = &m->layers[m->n_layers - 1].mixer;
    const struct xn_rope *last = e->rank ? &mixer->latent.rope : &mixer->attention.rope;
    assert_int_equal(last->kind, rope);
    assert_int_equal(last->dims, e->rope_dims);
}

static void same_vector(const char *family, const char *what, const float *a, const float *b, size_t n) {
    assert_int_equal(a == NULL, b == NULL);
    for (size_t i = 0; a && i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= 1e-6f * (1 + fabsf(a[i]))))
            fail_msg("%s: %s[%zu] is %.9g and %.9g", family, what, i, a[i], b[i]);
}

// Value heads of a folder's delta net are grouped by key head. Where they are tiled in GGUF, head h is tile[h] there.
static void same_delta_net(const char *family, const struct xn_delta_net *a, const struct xn_delta_net *b) {
    assert_false(a->heads_tiled);
    assert_int_equal(b->heads_tiled, strcmp(family, "qwen3_next") != 0);
    uint32_t ratio = a->value_heads / a->key_heads, keys = 2 * a->key_heads * a->key_size;
    same_vector(family, "convolution of q and k", a->conv, b->conv, (size_t)keys * a->kernel);
    same_vector(family, "gated norm", a->norm.weight, b->norm.weight, a->value_size);
    for (uint32_t h = 0; h < a->value_heads; h++) {
        uint32_t tile = b->heads_tiled ? h % ratio * a->key_heads + h / ratio : h;
        same_vector(family, "decay", a->decay_rate + h, b->decay_rate + tile, 1);
        same_vector(family, "dt", a->dt_bias + h, b->dt_bias + tile, 1);
        size_t head = (size_t)a->value_size * a->kernel;
        same_vector(family, "convolution of v", a->conv + (size_t)keys * a->kernel + h * head,
                    b->conv + (size_t)keys * b->kernel + tile * head, head);
        assert_true(a->decay_rate[h] < 0);
    }
}

static void same_recipe(const char *family, const struct xn_recipe *a, const struct xn_recipe *b) {
    same_vector(family, "final norm", a->final_norm.weight, b->final_norm.weight, a->hidden);
    for (uint32_t i = 0; i < a->n_layers; i++) {
        const struct xn_layer *x = &a->layers[i], *y = &b->layers[i];
        same_vector(family, "mixer norm", x->mixer.norm.weight, y->mixer.norm.weight, a->hidden);
        same_vector(family, "mixer post norm", x->mixer.post_norm.weight, y->mixer.post_norm.weight, a->hidden);
        same_vector(family, "ffn norm", x->ffn.norm.weight, y->ffn.norm.weight, a->hidden);
        same_vector(family, "ffn post norm", x->ffn.post_norm.weight, y->ffn.post_norm.weight, a->hidden);
        near(family, "epsilon", x->ffn.norm.epsilon, y->ffn.norm.epsilon);
        if (x->ffn.kind == XN_FFN_EXPERTS) {
            assert_int_equal(x->ffn.experts.normalize, y->ffn.experts.normalize);
            assert_int_equal(x->ffn.experts.shared.up.rows, y->ffn.experts.shared.up.rows);
            assert_int_equal(x->ffn.experts.shared_router.rows, y->ffn.experts.shared_router.rows);
        }
        if (x->mixer.kind == XN_MIXER_DELTA_NET) {
            same_delta_net(family, &x->mixer.delta_net, &y->mixer.delta_net);
            continue;
        }
        const struct xn_attention *p = &x->mixer.attention, *q = &y->mixer.attention;
        same_vector(family, "v bias", p->v_bias, q->v_bias, p->v.rows);
        same_vector(family, "rope", p->rope.frequency, q->rope.frequency, p->rope.dims / 2);
        near(family, "rope magnitude", p->rope.magnitude, q->rope.magnitude);
        near(family, "query beta", p->rope.query_beta, q->rope.query_beta);
        assert_int_equal(p->rope.query_period, q->rope.query_period);
        if (p->rope.kind == q->rope.kind)
            same_vector(family, "k norm", p->k_norm.weight, q->k_norm.weight, p->head_size);
    }
    assert_int_equal(xn_recipe_sizes(a).parameters, xn_recipe_sizes(b).parameters);
    assert_int_equal(xn_recipe_sizes(a).active_parameters, xn_recipe_sizes(b).active_parameters);
}

static void test_families(void **state) {
    (void)state;
    const char *models = shared_folder();
    if (!models) skip();
    for (int i = 0; i < FAMILIES; i++) {
        const struct expected *e = &expected[i];
        struct reading folder, gguf;
        char path[640];
        snprintf(path, sizeof path, "%s/%s", models, e->family);
        read_model(&folder, path);
        assert_string_equal(folder.recipe.family, e->family);
        assert_string_equal(folder.recipe.name, e->family);
        check_recipe(e, &folder.recipe, e->hf_rope);
        snprintf(path, sizeof path, "%s/%s/model.gguf", models, e->family);
        if (access(path, R_OK) == 0) {
            read_model(&gguf, path);
            check_recipe(e, &gguf.recipe, e->gguf_rope);
            same_recipe(e->family, &folder.recipe, &gguf.recipe);
            end_reading(&gguf);
        }
        end_reading(&folder);
    }
}

// gemma3: the layers with a window have another base. ministral3: the temperature.
static void test_ropes(void **state) {
    (void)state;
    const char *models = shared_folder();
    if (!models) skip();
    struct reading r;
    char path[640];
    snprintf(path, sizeof path, "%s/gemma3", models);
    read_model(&r, path);
    near("gemma3", "local frequency", r.recipe.layers[0].mixer.attention.rope.frequency[8], 0.01f);
    near("gemma3", "global frequency", r.recipe.layers[3].mixer.attention.rope.frequency[8], 0.001f);
    end_reading(&r);
    snprintf(path, sizeof path, "%s/ministral3", models);
    read_model(&r, path);
    near("ministral3", "temperature", r.recipe.layers[1].mixer.attention.rope.query_beta, 0.1f);
    assert_int_equal(r.recipe.layers[1].mixer.attention.rope.query_period, 64);
    near("ministral3", "magnitude", r.recipe.layers[1].mixer.attention.rope.magnitude, 1);
    end_reading(&r);
}

// --- GGUF files of a few values ---

static int produce_zeros(void *user, uint64_t offset, void *out, size_t size, struct xn_error *err) {
    (void)user, (void)offset, (void)err;
    memset(out, 0, size);
    return XN_OK;
}

// rope_freqs are ones: zeros would be an error of its own.
static int produce_ones(void *user, uint64_t offset, void *out, size_t size, struct xn_error *err) {
    (void)user, (void)offset, (void)err;
    for (size_t i = 0; i < size / 4; i++)
        ((float *)out)[i] = 1;
    return XN_OK;
}

struct gguf_tensor {
    const char *name;
    uint32_t n_dims, type;
    uint64_t dims[2]; // innermost first
};
static const struct gguf_tensor gguf_llama[] = {
    {"token_embd.weight", 2, XN_F32, {8, 10}},   {"output_norm.weight", 1, XN_F32, {8}},
    {"rope_freqs.weight", 1, XN_F32, {2}},       {"blk.0.attn_norm.weight", 1, XN_F32, {8}},
    {"blk.0.attn_q.weight", 2, XN_F32, {8, 8}},  {"blk.0.attn_k.weight", 2, XN_F32, {8, 4}},
    {"blk.0.attn_v.weight", 2, XN_F32, {8, 4}},  {"blk.0.attn_output.weight", 2, XN_F32, {8, 8}},
    {"blk.0.ffn_norm.weight", 1, XN_F32, {8}},   {"blk.0.ffn_gate.weight", 2, XN_F32, {8, 12}},
    {"blk.0.ffn_up.weight", 2, XN_F32, {8, 12}}, {"blk.0.ffn_down.weight", 2, XN_F32, {12, 8}},
};
enum { GGUF_LLAMA = sizeof gguf_llama / sizeof *gguf_llama };

// One metadata entry that a case writes in place of the usual one.
struct gguf_change {
    const char *key;
    enum xn_gguf_kind kind; // U32, I32, F32, STRING; ARRAY: two numbers, `number` and the one after it
    double number;
    const char *text;
};

static void add_change(struct xn_gguf_writer *w, const struct gguf_change *c) {
    int status = XN_ERR_ARGUMENT;
    double first = c->number > 0 ? c->number : 0;
    uint32_t two[2] = {(uint32_t)first, (uint32_t)first + 1};
    if (c->kind == XN_GGUF_U32)
        status = xn_gguf_add_u32(w, c->key, (uint32_t)c->number, NULL);
    else if (c->kind == XN_GGUF_I32)
        status = xn_gguf_add_i32(w, c->key, (int32_t)c->number, NULL);
    else if (c->kind == XN_GGUF_F32)
        status = xn_gguf_add_f32(w, c->key, (float)c->number, NULL);
    else if (c->kind == XN_GGUF_STRING)
        status = xn_gguf_add_string(w, c->key, c->text, NULL);
    else if (c->kind == XN_GGUF_ARRAY)
        status = xn_gguf_add_array(w, c->key, XN_GGUF_U32, two, 2, NULL);
    assert_int_equal(status, XN_OK);
}

// Reads a llama GGUF with one entry changed (text "-": left out) and these tensors.
static int read_gguf(const struct gguf_change *change, const struct gguf_tensor *tensors, size_t n,
                     struct xn_recipe *recipe, struct xn_source **source, struct xn_error *err) {
    static const struct gguf_change usual[] = {
        {"general.architecture", XN_GGUF_STRING, 0, "llama"},
        {"general.name", XN_GGUF_STRING, 0, "Tiny"},
        {"llama.block_count", XN_GGUF_U32, 1, NULL},
        {"llama.context_length", XN_GGUF_U32, 64, NULL},
        {"llama.embedding_length", XN_GGUF_U32, 8, NULL},
        {"llama.feed_forward_length", XN_GGUF_U32, 12, NULL},
        {"llama.attention.head_count", XN_GGUF_U32, 2, NULL},
        {"llama.attention.head_count_kv", XN_GGUF_U32, 1, NULL},
        {"llama.rope.freq_base", XN_GGUF_F32, 10000, NULL},
        {"llama.attention.layer_norm_rms_epsilon", XN_GGUF_F32, 1e-3, NULL},
    };
    char folder[] = "/tmp/xenon-recipe-XXXXXX", path[64];
    struct xn_gguf_writer *w;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/model.gguf", folder);
    assert_int_equal(xn_gguf_writer_new(&w, NULL), XN_OK);
    bool used = !change;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        bool changed = change && strcmp(change->key, usual[i].key) == 0;
        used |= changed;
        if (changed && change->text && strcmp(change->text, "-") == 0) continue;
        add_change(w, changed ? change : &usual[i]);
    }
    if (!used) add_change(w, change);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(xn_gguf_add_tensor(w, tensors[i].name, tensors[i].type, tensors[i].n_dims, tensors[i].dims,
                                            strstr(tensors[i].name, "rope") ? produce_ones : produce_zeros, NULL, NULL),
                         XN_OK);
    assert_int_equal(xn_gguf_write(w, path, NULL, NULL), XN_OK);
    xn_gguf_writer_free(w);
    int status = xn_source_open(path, source, err);
    if (status) fail_msg("%s", err->message);
    status = xn_recipe_read(*source, recipe, err);
    tiny_remove(folder);
    return status;
}

static void expect_gguf_failure(const struct gguf_change *change, const struct gguf_tensor *tensors, size_t n,
                                int status, const char *part) {
    struct xn_recipe recipe;
    struct xn_source *source;
    struct xn_error err = {0};
    int found = read_gguf(change, tensors, n, &recipe, &source, &err);
    if (found != status || !strstr(err.message, part))
        fail_msg("status %d, '%s'; expected %d and '%s'", found, err.message, status, part);
    xn_source_close(source);
}

static void test_gguf(void **state) {
    (void)state;
    struct xn_recipe recipe;
    struct xn_source *source;
    struct xn_error err;
    if (read_gguf(NULL, gguf_llama, GGUF_LLAMA, &recipe, &source, &err)) fail_msg("%s", err.message);
    assert_string_equal(recipe.name, "Tiny");
    assert_int_equal(recipe.vocab, 10);
    assert_int_equal(recipe.layers[0].mixer.attention.rope.kind, XN_ROPE_PAIRS);
    assert_ptr_equal(recipe.head.data[0], recipe.embedding.data[0]);
    xn_recipe_free(&recipe);
    xn_source_close(source);
    static const struct {
        struct gguf_change change;
        int status;
        const char *part;
    } cases[] = {
        {{"general.architecture", XN_GGUF_STRING, 0, "-"}, XN_ERR_FORMAT, "general.architecture"},
        {{"general.architecture", XN_GGUF_U32, 1, NULL}, XN_ERR_FORMAT, "general.architecture"},
        {{"general.architecture", XN_GGUF_STRING, 0, "llamo"}, XN_ERR_UNSUPPORTED, "the nearest is llama"},
        {{"llama.block_count", XN_GGUF_STRING, 0, "-"}, XN_ERR_FORMAT, "llama.block_count is missing"},
        {{"llama.block_count", XN_GGUF_STRING, 0, "1"}, XN_ERR_FORMAT, "llama.block_count is not a number"},
        {{"llama.block_count", XN_GGUF_U32, 0, NULL}, XN_ERR_FORMAT, "llama.block_count is 0"},
        {{"llama.block_count", XN_GGUF_U32, 4294967295.0, NULL}, XN_ERR_FORMAT, "llama.block_count is 4294967295"},
        {{"llama.block_count", XN_GGUF_U32, 2, NULL}, XN_ERR_FORMAT, "blk.1.attn_norm.weight"},
        {{"llama.nextn_predict_layers", XN_GGUF_U32, 1, NULL}, XN_ERR_FORMAT, "none is left"},
        {{"llama.attention.head_count", XN_GGUF_I32, -2, NULL}, XN_ERR_FORMAT, "llama.attention.head_count is -2"},
        {{"llama.attention.head_count", XN_GGUF_F32, 2.5, NULL}, XN_ERR_FORMAT, "expected an integer"},
        {{"llama.embedding_length", XN_GGUF_ARRAY, 8, NULL}, XN_ERR_UNSUPPORTED, "differs between layers"},
        {{"llama.attention.head_count_kv", XN_GGUF_ARRAY, 2000, NULL}, XN_ERR_FORMAT, "head_count_kv is 2000"},
        {{"llama.attention.head_count_kv", XN_GGUF_ARRAY, 0, NULL}, XN_ERR_FORMAT, "layer 0 has 2 heads"},
        {{"llama.attention.head_count", XN_GGUF_ARRAY, 1, NULL}, XN_ERR_FORMAT, "[8, 8], expected [4, 8]"},
        {{"llama.embedding_length", XN_GGUF_U32, 9, NULL}, XN_ERR_FORMAT, "not a multiple"},
        {{"llama.embedding_length", XN_GGUF_U32, 16, NULL}, XN_ERR_FORMAT, "shape [10, 8], expected [10, 16]"},
        {{"llama.attention.layer_norm_rms_epsilon", XN_GGUF_STRING, 0, "-"}, XN_ERR_FORMAT, "epsilon"},
        {{"llama.rope.freq_base", XN_GGUF_F32, NAN, NULL}, XN_ERR_FORMAT, "rope.freq_base"},
        {{"llama.rope.dimension_count", XN_GGUF_U32, 8, NULL}, XN_ERR_FORMAT, "the rope rotates 8 values"},
        {{"llama.rope.dimension_count", XN_GGUF_U32, 2, NULL}, XN_ERR_FORMAT, "rope_freqs.weight"},
        {{"llama.rope.scaling.type", XN_GGUF_STRING, 0, "helix"}, XN_ERR_UNSUPPORTED, "'helix'"},
        {{"llama.expert_count", XN_GGUF_U32, 5000, NULL}, XN_ERR_FORMAT, "llama.expert_count is 5000"},
        {{"llama.expert_count", XN_GGUF_U32, 2, NULL}, XN_ERR_FORMAT, "llama.expert_used_count is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_gguf_failure(&cases[i].change, gguf_llama, GGUF_LLAMA, cases[i].status, cases[i].part);
}

static void test_gguf_tensors(void **state) {
    (void)state;
    for (size_t i = 0; i < GGUF_LLAMA; i++) {
        struct gguf_tensor tensors[GGUF_LLAMA];
        memcpy(tensors, gguf_llama, sizeof tensors);
        tensors[i].dims[tensors[i].n_dims - 1]++;
        // without a size of its own, GGUF's vocabulary is the embedding's
        if (i > 0) expect_gguf_failure(NULL, tensors, GGUF_LLAMA, XN_ERR_FORMAT, gguf_llama[i].name);
        memcpy(tensors, gguf_llama, sizeof tensors);
        memmove(tensors + i, tensors + i + 1, (GGUF_LLAMA - 1 - i) * sizeof *tensors);
        if (i != 2)
            expect_gguf_failure(NULL, tensors, GGUF_LLAMA - 1, XN_ERR_FORMAT,
                                gguf_llama[i].name); // rope_freqs may be absent
        memcpy(tensors, gguf_llama, sizeof tensors);
        tensors[i].type = XN_I32; // numbers, but no weights
        expect_gguf_failure(NULL, tensors, GGUF_LLAMA, XN_ERR_UNSUPPORTED, gguf_llama[i].name);
    }
    struct gguf_tensor no_factors[GGUF_LLAMA];
    memcpy(no_factors, gguf_llama, 2 * sizeof *gguf_llama);
    memcpy(no_factors + 2, gguf_llama + 3, (GGUF_LLAMA - 3) * sizeof *gguf_llama);
    const struct gguf_change longrope = {"llama.rope.scaling.type", XN_GGUF_STRING, 0, "longrope"};
    expect_gguf_failure(&longrope, no_factors, GGUF_LLAMA - 1, XN_ERR_FORMAT, "rope_factors_short.weight");
    struct gguf_tensor scaled[GGUF_LLAMA + 1];
    memcpy(scaled, gguf_llama, sizeof gguf_llama);
    scaled[GGUF_LLAMA] = (struct gguf_tensor){"blk.0.attn_q.scale", 1, XN_F32, {1}};
    expect_gguf_failure(NULL, scaled, GGUF_LLAMA + 1, XN_ERR_UNSUPPORTED, "blk.0.attn_q.scale");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_ropes),
        cmocka_unit_test(test_gguf),
        cmocka_unit_test(test_gguf_tensors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
