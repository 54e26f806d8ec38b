// A model split over several devices is the same model: the same logits, bit for bit, and the same saved sequences,
// however its operations are dealt out; what does not fit goes where it should; and a member that fails is an error.
//
// The members are plain-C devices, whose memory and failures are made up.
// XENON_TEST_SEED (base/testing.h) gives other cases.
#include "base/testing.h"
#include "device/split/internal.h"
#include "engine/context_testing.h"

#include <stdatomic.h>
#include <stdio.h>

static uint64_t seed;

// --- members ---

// The plain-C device, with so much memory, of which packing takes some, and calls that fail.
struct member {
    struct xn_device device;
    struct xn_device *plain;
    uint64_t memory, taken;
    uint64_t lies; // bytes at which it has no more memory, whatever it says; 0: it tells the truth
};
static struct xn_device_table member_table;
static _Atomic int64_t countdown = -1; // calls until one fails; negative: none does
static int64_t packs, unpacks, prepares, releases;

static bool fails(struct xn_error *err) {
    if (countdown < 0 || atomic_fetch_sub(&countdown, 1) != 0) return false;
    xn_fail(err, XN_ERR_DEVICE, "made to fail");
    return true;
}

static void member_describe(const struct xn_device *device, struct xn_device_info *info) {
    const struct member *m = (const struct member *)device;
    m->plain->table->describe(m->plain, info);
    info->memory = m->memory;
    info->free_memory = m->memory > m->taken ? m->memory - m->taken : 0;
}

static void member_free(struct xn_device *device) {
    struct member *m = (struct member *)device;
    m->plain->table->free(m->plain);
    free(m);
}

static uint64_t bytes_of(const struct xn_matrix *m) {
    size_t bytes = 0;
    assert_true(xn_format_bytes(xn_format_of(m->type), (uint64_t)m->rows * m->cols, &bytes));
    return (uint64_t)bytes * m->count;
}

static int member_pack(struct xn_device *device, const struct xn_matrix *matrix, struct xn_weights **out,
                       struct xn_error *err) {
    struct member *m = (struct member *)device;
    if (fails(err)) return XN_ERR_DEVICE;
    m->taken += bytes_of(matrix);
    if (m->taken > (m->lies ? m->lies : m->memory)) {
        m->taken -= bytes_of(matrix);
        return xn_fail(err, XN_ERR_NOMEM, "made to have no memory");
    }
    int status = m->plain->table->pack(m->plain, matrix, out, err);
    packs += status == XN_OK;
    return status;
}

static void member_unpack(struct xn_device *device, struct xn_weights *weights) {
    struct member *m = (struct member *)device;
    if (!weights) return;
    unpacks++;
    m->taken -= bytes_of(&weights->matrix);
    m->plain->table->unpack(m->plain, weights);
}

// Said to be a small part of what it is, as beside the weights of a large model.
static void member_memory(const struct xn_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                          uint64_t *cache, uint64_t *activations) {
    const struct member *m = (const struct member *)device;
    m->plain->table->memory(m->plain, plan, limits, cache, activations);
    *cache /= 64;
    *activations /= 64;
}

static int member_prepare(struct xn_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                          struct xn_executor **out, struct xn_error *err) {
    struct member *m = (struct member *)device;
    uint64_t cache, activations;
    if (fails(err)) return XN_ERR_DEVICE;
    member_memory(device, plan, limits, &cache, &activations);
    if (m->taken + cache + activations > m->memory) return xn_fail(err, XN_ERR_NOMEM, "made to have no memory");
    int status = m->plain->table->prepare(m->plain, plan, limits, out, err);
    prepares += status == XN_OK;
    return status;
}

static void member_release(struct xn_device *device, struct xn_executor *e) {
    struct member *m = (struct member *)device;
    releases += e != NULL;
    m->plain->table->release(m->plain, e);
}

static const struct xn_device_table *plain_table;

static int member_run_part(struct xn_executor *e, const struct xn_batch *batch, uint32_t first, uint32_t n,
                           struct xn_error *err) {
    return fails(err) ? XN_ERR_DEVICE : plain_table->run_part(e, batch, first, n, err);
}
static int member_read_rows(struct xn_executor *e, int rows, uint32_t n, void *out, struct xn_error *err) {
    return fails(err) ? XN_ERR_DEVICE : plain_table->read_rows(e, rows, n, out, err);
}
static int member_write_rows(struct xn_executor *e, int rows, uint32_t n, const void *in, struct xn_error *err) {
    return fails(err) ? XN_ERR_DEVICE : plain_table->write_rows(e, rows, n, in, err);
}
static int member_copy_page(struct xn_executor *e, uint32_t from, uint32_t to, struct xn_error *err) {
    return fails(err) ? XN_ERR_DEVICE : plain_table->copy_page(e, from, to, err);
}
static int member_copy_state(struct xn_executor *e, uint32_t from, uint32_t to, struct xn_error *err) {
    return fails(err) ? XN_ERR_DEVICE : plain_table->copy_state(e, from, to, err);
}
static int member_clear_state(struct xn_executor *e, uint32_t slot, struct xn_error *err) {
    return fails(err) ? XN_ERR_DEVICE : plain_table->clear_state(e, slot, err);
}
static int member_read_page(struct xn_executor *e, uint32_t page, uint32_t n, void *out, struct xn_error *err) {
    return fails(err) ? XN_ERR_DEVICE : plain_table->read_page(e, page, n, out, err);
}
static int member_write_page(struct xn_executor *e, uint32_t page, uint32_t n, const void *in, struct xn_error *err) {
    return fails(err) ? XN_ERR_DEVICE : plain_table->write_page(e, page, n, in, err);
}
static int member_read_state(struct xn_executor *e, uint32_t slot, float *out, struct xn_error *err) {
    return fails(err) ? XN_ERR_DEVICE : plain_table->read_state(e, slot, out, err);
}
static int member_write_state(struct xn_executor *e, uint32_t slot, const float *in, struct xn_error *err) {
    return fails(err) ? XN_ERR_DEVICE : plain_table->write_state(e, slot, in, err);
}

static struct xn_device *open_plain(void) {
    struct xn_device *device;
    assert_int_equal(xn_reference_device_open(&device, NULL), XN_OK);
    return device;
}

static struct member *new_member(uint64_t memory) {
    struct member *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->plain = open_plain();
    m->memory = memory;
    plain_table = m->plain->table;
    member_table = *plain_table;
    member_table.describe = member_describe;
    member_table.free = member_free;
    member_table.pack = member_pack;
    member_table.unpack = member_unpack;
    member_table.memory = member_memory;
    member_table.prepare = member_prepare;
    member_table.release = member_release;
    member_table.run_part = member_run_part;
    member_table.read_rows = member_read_rows;
    member_table.write_rows = member_write_rows;
    member_table.copy_page = member_copy_page;
    member_table.copy_state = member_copy_state;
    member_table.clear_state = member_clear_state;
    member_table.read_page = member_read_page;
    member_table.write_page = member_write_page;
    member_table.read_state = member_read_state;
    member_table.write_state = member_write_state;
    m->device.table = &member_table;
    return m;
}

// memory of `n` members, the first of which takes what does not fit the others.
struct setup {
    uint32_t n;
    uint64_t memory[4];
    double share[4]; // 0 in all: by memory
    int spill, layers;
    bool experts, few;
};
static struct xn_device *open_split(const struct setup *s, struct member *members[4]) {
    struct xn_split_member list[4];
    struct xn_split_options o = {.members = list,
                                 .n_members = s->n,
                                 .spill = s->spill,
                                 .layers = s->layers,
                                 .experts = s->experts,
                                 .few = s->few};
    struct xn_device *device;
    struct xn_error err;
    bool shares = false;
    for (uint32_t i = 0; i < s->n; i++)
        shares |= s->share[i] > 0;
    for (uint32_t i = 0; i < s->n; i++) {
        members[i] = new_member(s->memory[i] ? s->memory[i] : (uint64_t)1 << 40);
        list[i] = (struct xn_split_member){.device = &members[i]->device, .share = shares ? s->share[i] : -1};
        snprintf(list[i].name, sizeof list[i].name, "dev%u", i);
    }
    if (xn_split_device_open(&o, &device, &err) != XN_OK) fail_msg("%s", err.message);
    return device;
}

// --- the same results ---

enum { TOKENS = 110, CONTEXT = 512, STEP = 40 };
struct results {
    float prompt[TEST_VOCAB], forked[TEST_VOCAB], cut[TEST_VOCAB], restored[TEST_VOCAB];
    void *saved;
    size_t saved_size;
};

static int last_logits(struct xn_context *c, float out[TEST_VOCAB], struct xn_error *err) {
    (void)err;
    const float *logits = xn_eval_logits(c, UINT32_MAX);
    assert_non_null(logits);
    memcpy(out, logits, TEST_VOCAB * sizeof *out);
    return XN_OK;
}

// Text, a fork, a cut, a saved sequence and a restored one.
static int use_context(struct xn_context *c, const int32_t *tokens, struct results *r, struct xn_error *err) {
    uint32_t a, b, s;
    XN_TRY(xn_sequence_new(c, &a, err));
    XN_TRY(xn_sequence_expect(c, a, TOKENS, true, err));
    XN_TRY(xn_eval_prompt(c, a, tokens, TOKENS / 2, NULL, err));
    XN_TRY(xn_sequence_fork(c, a, &b, err));
    XN_TRY(xn_sequence_expect(c, b, TOKENS, true, err));
    XN_TRY(xn_eval_prompt(c, a, tokens + TOKENS / 2, TOKENS - TOKENS / 2, NULL, err));
    last_logits(c, r->prompt, err);
    XN_TRY(xn_eval_prompt(c, b, tokens, TOKENS - TOKENS / 2, NULL, err));
    last_logits(c, r->forked, err);
    XN_TRY(xn_sequence_cut(c, a, TOKENS / 3, err));
    XN_TRY(xn_sequence_expect(c, a, TOKENS, true, err));
    XN_TRY(xn_eval_prompt(c, a, tokens + TOKENS / 3, 7, NULL, err));
    last_logits(c, r->cut, err);
    XN_TRY(xn_sequence_save(c, b, true, &r->saved, &r->saved_size, err));
    xn_sequence_free(c, a);
    XN_TRY(xn_sequence_restore(c, r->saved, r->saved_size, "saved", &s, err));
    XN_TRY(xn_eval_prompt(c, s, tokens, 1, NULL, err));
    last_logits(c, r->restored, err);
    return XN_OK;
}

static int compute(struct xn_device *device, uint64_t recipe_seed, struct results *r, struct xn_error *err) {
    struct random_recipe_options o = {.seed = recipe_seed, .n_layers = 4, .type = XN_BF16, .hidden = 64};
    struct xn_recipe recipe;
    struct xn_model *model;
    struct xn_context *c;
    int32_t tokens[TOKENS];
    *r = (struct results){0};
    draw_tokens(tokens, TOKENS, (uint32_t)recipe_seed);
    assert_int_equal(random_recipe(&o, &recipe), XN_OK);
    XN_TRY(xn_model_from_recipe(&recipe, device, &model, err));
    struct xn_context_options options = {
        .context = CONTEXT, .batch = STEP, .sequences = 3, .cache_type = XN_TYPE_COUNT, .checkpoints = 8};
    int status = xn_context_create(model, &options, &c, err);
    if (status == XN_OK) {
        status = use_context(c, tokens, r, err);
        xn_context_free(c);
    }
    xn_model_close(model);
    return status;
}

static void assert_same_results(const struct results *a, const struct results *b, uint64_t recipe_seed) {
    if (memcmp(a->prompt, b->prompt, sizeof a->prompt) || memcmp(a->forked, b->forked, sizeof a->forked) ||
        memcmp(a->cut, b->cut, sizeof a->cut) || memcmp(a->restored, b->restored, sizeof a->restored))
        fail_msg("recipe %llu: other logits", (unsigned long long)recipe_seed);
    if (a->saved_size != b->saved_size || memcmp(a->saved, b->saved, a->saved_size) != 0)
        fail_msg("recipe %llu: other saved sequences", (unsigned long long)recipe_seed);
}

// Compares the split device with the plain one on a model.
static void assert_agrees(struct xn_device *split, uint64_t recipe_seed) {
    struct xn_device *plain = open_plain();
    struct results truth, got;
    struct xn_error err;
    if (compute(plain, recipe_seed, &truth, &err) != XN_OK) fail_msg("plain: %s", err.message);
    if (compute(split, recipe_seed, &got, &err) != XN_OK)
        fail_msg("recipe %llu: %s", (unsigned long long)recipe_seed, err.message);
    assert_same_results(&truth, &got, recipe_seed);
    free(truth.saved);
    free(got.saved);
    plain->table->free(plain);
}

static void any_dealing_gives_the_same(void **state) {
    (void)state;
    enum { RECIPES = 20 };
    for (uint64_t i = 0; i < RECIPES; i++) {
        struct member *members[4];
        struct setup s = {.n = 2 + (uint32_t)(i % 3), .spill = -1, .layers = -1};
        struct xn_device *device = open_split(&s, members);
        ((struct xn_split_device *)device)->random = (seed + i) * 2 + 1;
        assert_agrees(device, seed + i);
        device->table->free(device);
    }
    assert_int_equal(packs, unpacks);
    assert_int_equal(prepares, releases);
}

static void layers_and_experts_give_the_same(void **state) {
    (void)state;
    enum { RECIPES = 16 };
    static const struct setup setups[] = {
        {.n = 2, .share = {3, 1}, .spill = -1, .layers = -1},
        {.n = 3, .share = {1, 0, 1}, .spill = -1, .layers = -1},
        {.n = 3, .spill = -1, .layers = -1},
        {.n = 2, .spill = 0, .layers = 1},
        {.n = 3, .spill = 0, .layers = 3},
        {.n = 2, .spill = 0, .layers = -1, .experts = true},
        {.n = 4, .spill = 1, .layers = 2, .experts = true},
        {.n = 2, .spill = 0, .layers = 0},
    };
    for (uint64_t i = 0; i < RECIPES; i++) {
        struct member *members[4];
        struct xn_device *device = open_split(&setups[i % (sizeof setups / sizeof *setups)], members);
        if (i % 3) ((struct xn_split_device *)device)->piece_rows = 3; // members at work at once
        assert_agrees(device, seed + 1000 + i);
        device->table->free(device);
    }
}

// --- what goes where ---

// Four layers of experts, or of dense feed-forward, and what a member needs for all of it.
static int place_model(struct xn_device *device, bool experts, struct xn_model **model, struct xn_error *err) {
    struct random_recipe_options o = {
        .n_layers = 4, .type = XN_BF16, .hidden = 64, .attention_only = true, .dense_only = !experts};
    static uint64_t found[2] = {10410, 1164}; // where the first such recipes are
    struct xn_recipe r;
    for (o.seed = found[!experts];; o.seed++) {
        uint32_t suitable = 0;
        assert_int_equal(random_recipe(&o, &r), XN_OK);
        for (uint32_t i = 0; i < r.n_layers; i++)
            suitable += r.layers[i].ffn.kind == (experts ? XN_FFN_EXPERTS : XN_FFN_DENSE) &&
                        r.layers[i].mixer.kind == XN_MIXER_ATTENTION && !r.layers[i].mixer.attention.shares_cache &&
                        !r.layers[i].beside;
        if (suitable == r.n_layers && r.layer_inputs.size == 0 && r.head.data[0] != r.embedding.data[0]) {
            found[!experts] = o.seed;
            return xn_model_from_recipe(&r, device, model, err);
        }
        xn_recipe_free(&r);
    }
}

// What a member that holds all of it must have: weights, and the rest of contexts of the default options.
static uint64_t whole_model(bool experts, uint64_t *weights) {
    struct xn_device *plain = &new_member((uint64_t)1 << 40)->device;
    struct xn_model *model;
    struct xn_error err;
    uint64_t cache, activations, bytes;
    if (place_model(plain, experts, &model, &err) != XN_OK) fail_msg("%s", err.message);
    struct xn_context_options none = {0}, o = xn_context_chosen(&model->recipe, &model->plan, &none);
    struct xn_limits limits = xn_context_limits(&model->plan, &o);
    plain->table->memory(plain, &model->plan, &limits, &cache, &activations);
    *weights = xn_recipe_sizes(&model->recipe).bytes;
    bytes = *weights + cache + activations;
    xn_model_close(model);
    plain->table->free(plain);
    return bytes;
}

// Operations of a kind in a layer that run on a member; layer -1: in any; kind XN_OP_KINDS: of any.
static uint32_t count(const struct xn_device *device, const struct xn_model *model, uint32_t member, int layer,
                      enum xn_op_kind kind) {
    const struct xn_split_placement *p = ((const struct xn_split_device *)device)->placement;
    uint32_t n = 0;
    assert_int_equal(p->n_ops, model->plan.n_ops);
    for (uint32_t i = 0; i < p->n_ops; i++)
        n += p->member[i] == member && (layer < 0 || model->plan.ops[i].layer == layer) &&
             (kind == XN_OP_KINDS || model->plan.ops[i].kind == kind);
    return n;
}

static struct xn_model *must_place(struct xn_device *device, bool experts) {
    struct xn_model *model;
    struct xn_error err;
    if (place_model(device, experts, &model, &err) != XN_OK) fail_msg("%s", err.message);
    return model;
}

static void what_fits_one_runs_there_alone(void **state) {
    (void)state;
    struct member *members[4];
    struct setup s = {.n = 2, .spill = 0, .layers = -1};
    struct xn_device *device = open_split(&s, members);
    struct xn_model *model = must_place(device, true);
    assert_ptr_equal(model->device, &members[1]->device);
    xn_model_close(model);
    device->table->free(device);

    // Of several one alone only where that is wished, and then the largest.
    s = (struct setup){.n = 3, .spill = 0, .layers = -1, .few = true, .memory = {0, 1 << 30, (uint64_t)2 << 30}};
    device = open_split(&s, members);
    model = must_place(device, false);
    assert_ptr_equal(model->device, &members[2]->device);
    xn_model_close(model);
    device->table->free(device);
    s.few = false;
    device = open_split(&s, members);
    model = must_place(device, false);
    assert_ptr_equal(model->device, device);
    assert_int_equal(count(device, model, 0, -1, XN_OP_KINDS), 0);
    assert_true(count(device, model, 1, -1, XN_OP_KINDS) > 0);
    assert_true(count(device, model, 2, -1, XN_OP_KINDS) > count(device, model, 1, -1, XN_OP_KINDS));
    xn_model_close(model);
    device->table->free(device);
}

static void little_memory_leaves_experts_then_layers(void **state) {
    (void)state;
    uint64_t weights, all = whole_model(true, &weights), rest = all - weights;
    uint32_t last_experts = 0, last_layers = 0, ways = 0;
    // From enough to nothing: first experts stay behind, from the first layer on, then layers.
    for (int64_t percent = 130; percent >= 0; percent -= 5) {
        struct member *members[4];
        uint64_t memory = (rest + weights * (uint64_t)percent / 100) * 8 / 7; // an eighth is left
        struct setup s = {.n = 2, .spill = 0, .layers = -1, .memory = {0, memory}};
        if (percent == 0) s.memory[1] = 1;
        struct xn_device *device = open_split(&s, members);
        struct xn_model *model = must_place(device, true);
        uint32_t experts = count(device, model, 0, -1, XN_OP_EXPERT_ADD),
                 layers = count(device, model, 0, -1, XN_OP_ATTEND);
        assert_true(experts >= last_experts && layers >= last_layers);
        if (layers) assert_int_equal(experts, 4);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(count(device, model, 0, i, XN_OP_EXPERT_ADD), i < (int)experts);
            assert_int_equal(count(device, model, 0, i, XN_OP_ATTEND), i < (int)layers);
        }
        assert_true(members[1]->taken <= members[1]->memory);
        ways += experts != last_experts || layers != last_layers;
        last_experts = experts;
        last_layers = layers;
        xn_model_close(model);
        device->table->free(device);
    }
    assert_int_equal(last_layers, 4);
    assert_true(ways >= 5);
    // Over two, with memory for less than all of it together.
    uint32_t over_three = 0;
    for (uint64_t percent = 70; percent > 20; percent -= 5) {
        struct member *members[4];
        uint64_t dense = whole_model(false, &weights), each = (dense - weights + weights * percent / 100) * 8 / 7;
        struct setup s = {.n = 3, .spill = 0, .layers = -1, .memory = {0, each, each}};
        struct xn_device *device = open_split(&s, members);
        struct xn_model *model = must_place(device, false);
        uint32_t there = 0;
        for (uint32_t m = 0; m < 3; m++)
            there += count(device, model, m, -1, XN_OP_KINDS) > 0;
        over_three += there == 3;
        if (there == 3) assert_int_equal(count(device, model, 2, -1, XN_OP_HEAD), 1);
        xn_model_close(model);
        device->table->free(device);
    }
    assert_true(over_three >= 3);
}

static void options_say_which_layers(void **state) {
    (void)state;
    struct member *members[4];
    for (int layers = 0; layers <= 5; layers++) {
        struct setup s = {.n = 2, .spill = 0, .layers = layers};
        struct xn_device *device = open_split(&s, members);
        struct xn_model *model = must_place(device, true);
        for (int i = 0; i < 4; i++)
            assert_int_equal(count(device, model, 1, i, XN_OP_ATTEND), i >= 4 - layers);
        assert_int_equal(count(device, model, 1, -1, XN_OP_HEAD), layers > 0);
        if (layers == 0) assert_ptr_equal(model->device, &members[0]->device);
        xn_model_close(model);
        device->table->free(device);
    }
    struct setup s = {.n = 2, .spill = -1, .layers = -1, .share = {3, 1}};
    struct xn_device *device = open_split(&s, members);
    struct xn_model *model = must_place(device, false);
    for (int i = 0; i < 4; i++)
        assert_int_equal(count(device, model, 1, i, XN_OP_ATTEND), i == 3);
    assert_int_equal(count(device, model, 1, -1, XN_OP_HEAD), 1);
    xn_model_close(model);
    device->table->free(device);
    // The share of the spill member is of all layers; theirs are of the rest.
    s = (struct setup){.n = 3, .spill = 0, .layers = -1, .share = {2, 1, 1}};
    device = open_split(&s, members);
    model = must_place(device, false);
    for (int i = 0; i < 4; i++)
        assert_int_equal(count(device, model, i < 2 ? 0 : (uint32_t)i - 1, i, XN_OP_ATTEND), 1);
    xn_model_close(model);
    device->table->free(device);
}

// What does not fit says what was needed and what there is, and the option it names fits.
static void errors_name_what_would_fit(void **state) {
    (void)state;
    for (int experts = 0; experts < 2; experts++) {
        uint64_t weights, all = whole_model(experts, &weights);
        struct member *members[4];
        struct setup s = {.n = 2, .spill = 0, .layers = 4, .memory = {0, (all - weights / 3) * 8 / 7}};
        struct xn_device *device = open_split(&s, members);
        struct xn_model *model = NULL;
        struct xn_error err;
        assert_int_equal(place_model(device, experts, &model, &err), XN_ERR_NOMEM);
        if (!strstr(err.message, "dev1") || !strstr(err.message, "needed")) fail_msg("%s", err.message);
        const char *advice = strstr(err.message, "-ngl ");
        if (!advice) fail_msg("%s", err.message);
        s.layers = atoi(advice + 5);
        s.experts = strstr(advice, "--cpu-moe") != NULL;
        assert_int_equal(s.experts, experts);
        device->table->free(device);
        device = open_split(&s, members);
        model = must_place(device, experts);
        assert_true(s.experts || count(device, model, 0, -1, XN_OP_ATTEND) == 4 - (uint32_t)s.layers);
        xn_model_close(model);
        device->table->free(device);
    }
    // Without a member for the rest there is nothing to advise but less.
    struct member *members[4];
    struct setup s = {.n = 2, .spill = -1, .layers = -1, .memory = {1000, 1000}};
    struct xn_device *device = open_split(&s, members);
    struct xn_model *model;
    struct xn_error err;
    assert_int_equal(place_model(device, false, &model, &err), XN_ERR_NOMEM);
    if (!strstr(err.message, "context")) fail_msg("%s", err.message);
    device->table->free(device);
}

// Contexts larger than those that were expected.
static void a_context_that_does_not_fit_is_explained(void **state) {
    (void)state;
    uint64_t weights, all = whole_model(false, &weights);
    struct member *members[4];
    struct setup s = {.n = 2, .spill = 0, .layers = 3, .memory = {0, all * 12 / 10}};
    struct xn_device *device = open_split(&s, members);
    struct xn_model *model = must_place(device, false);
    struct xn_context *c;
    struct xn_error err;
    struct xn_context_options o = {.context = 1 << 17, .cache_type = XN_TYPE_COUNT};
    assert_int_equal(xn_context_create(model, &o, &c, &err), XN_ERR_NOMEM);
    if (!strstr(err.message, "dev1") || !strstr(err.message, "would fit") || !strstr(err.message, "cache"))
        fail_msg("%s", err.message);
    o.context = 512;
    if (xn_context_create(model, &o, &c, &err) != XN_OK) fail_msg("%s", err.message);
    xn_context_free(c);
    xn_model_close(model);
    device->table->free(device);
}

// A member that has less memory than it says: what was packed there goes elsewhere.
static void less_memory_than_said_is_learned(void **state) {
    (void)state;
    uint64_t weights, all = whole_model(true, &weights);
    for (int alone = 0; alone < 2; alone++) {
        struct member *members[4];
        struct setup s = {.n = 3 - (uint32_t)alone, .spill = 0, .layers = -1, .memory = {0, 2 * all, 2 * all}};
        struct xn_device *device = open_split(&s, members);
        members[1]->lies = weights * 45 / 100;
        int64_t before = packs - unpacks;
        struct xn_model *model = must_place(device, true);
        assert_ptr_equal(model->device, device);
        assert_true(members[1]->taken <= members[1]->lies);
        assert_true(count(device, model, 0, -1, XN_OP_KINDS) + count(device, model, 2, -1, XN_OP_KINDS) > 0);
        xn_model_close(model);
        assert_int_equal(packs - unpacks, before);
        device->table->free(device);
    }
    // The one that takes the rest has nowhere else to leave it.
    struct member *members[4];
    struct setup s = {.n = 2, .spill = 0, .layers = 0};
    struct xn_device *device = open_split(&s, members);
    struct xn_model *model;
    struct xn_error err;
    members[0]->lies = 1;
    assert_int_equal(place_model(device, true, &model, &err), XN_ERR_NOMEM);
    device->table->free(device);
}

// --- failures ---

static void every_call_may_fail(void **state) {
    (void)state;
    enum { RECIPES = 2 };
    for (uint64_t i = 0; i < RECIPES; i++) {
        struct member *members[4];
        struct setup s = {.n = 3, .spill = -1, .layers = -1};
        for (int64_t at = (int64_t)i;; at += 1 + at / 5) {
            struct xn_device *device = open_split(&s, members);
            struct results r;
            struct xn_error err;
            // One of them with members at work at once.
            ((struct xn_split_device *)device)->random = i ? seed + 3 : 0;
            ((struct xn_split_device *)device)->piece_rows = 7;
            countdown = at;
            int status = compute(device, seed + 2000 + i, &r, &err);
            bool failed = countdown < 0;
            countdown = -1;
            free(r.saved);
            if (failed) {
                assert_int_equal(status, XN_ERR_DEVICE);
                if (!strstr(err.message, "made to fail")) fail_msg("%s", err.message);
            } else if (status != XN_OK) {
                fail_msg("%s", err.message);
            }
            assert_int_equal(packs, unpacks);
            assert_int_equal(prepares, releases);
            device->table->free(device);
            if (!failed) break;
        }
    }
}

static void impossible_members_are_refused(void **state) {
    (void)state;
    struct xn_device *plain = open_plain(), *device;
    struct xn_split_member list[2] = {{.device = plain, .name = "a", .share = -1}};
    struct xn_error err;
    struct xn_split_options o = {.members = list, .n_members = 0, .spill = -1, .layers = -1};
    assert_int_equal(xn_split_device_open(&o, &device, &err), XN_ERR_ARGUMENT);
    o.n_members = XN_SPLIT_MEMBERS + 1;
    assert_int_equal(xn_split_device_open(&o, &device, &err), XN_ERR_ARGUMENT);
    o.n_members = 1;
    o.layers = 2;
    assert_int_equal(xn_split_device_open(&o, &device, &err), XN_ERR_ARGUMENT);
    o.spill = 0;
    assert_int_equal(xn_split_device_open(&o, &device, &err), XN_ERR_ARGUMENT);
    struct xn_device_table whole_steps = *plain->table;
    whole_steps.run_part = NULL;
    struct xn_device other = {&whole_steps};
    list[0].device = &other;
    o.spill = o.layers = -1;
    assert_int_equal(xn_split_device_open(&o, &device, &err), XN_ERR_UNSUPPORTED);
    plain->table->free(plain);
}

int main(void) {
    seed = test_seed(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_dealing_gives_the_same),
        cmocka_unit_test(layers_and_experts_give_the_same),
        cmocka_unit_test(what_fits_one_runs_there_alone),
        cmocka_unit_test(little_memory_leaves_experts_then_layers),
        cmocka_unit_test(options_say_which_layers),
        cmocka_unit_test(errors_name_what_would_fit),
        cmocka_unit_test(a_context_that_does_not_fit_is_explained),
        cmocka_unit_test(less_memory_than_said_is_learned),
        cmocka_unit_test(every_call_may_fail),
        cmocka_unit_test(impossible_members_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
