#include "recipe_check.h"

#include "cpu/cpu.h"
#include "device/split/split.h"
#include "engine/context.h"
#include "opencl/opencl.h"
#include "quant/format.h"
#include "random_recipe.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 160, BATCH = 96, VOCAB = 97, HIDDEN = 256 };

// A text in one sequence, and where a second text leaves it: its first `fork` tokens are the same.
struct script {
    uint64_t state;
    uint32_t length, other_length, fork;
    int32_t text[MOST], other[MOST], forked[MOST];
};

// Logits of one device: after each token of the text (in one go), and at the ends of other and forked; and what the
// head multiplies at the end of the text.
struct results {
    float text[MOST][VOCAB], other[VOCAB], forked[VOCAB];
    float hidden[HIDDEN];
};

struct run {
    struct recipe_check *check;
    struct random_recipe_options options;
    struct script script;
    uint32_t cache_type;
    bool integers; // kernels round activations to integers
    struct results *truth, *got;
    double differs; // what the last comparison found beyond its tolerance
    char *message;
    size_t size;
};

static uint32_t below(uint64_t *state, uint32_t n) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33) % n;
}

static void must(int status, const struct xn_error *err) {
    if (status == XN_OK) return;
    fprintf(stderr, "%s\n", err->message);
    abort();
}

static void open_gpus(struct recipe_check *check) {
    struct xn_error err;
    struct xn_opencl_info *list;
    uint32_t n;
    must(xn_opencl_list(&list, &n, &err), &err);
    free(list);
    for (uint32_t i = 0; i < n && i < RECIPE_CHECK_DEVICES; i++) {
        struct xn_opencl_options o = {.index = i, .cache = getenv("XENON_TEST_CACHE")};
        must(xn_opencl_device_open(&o, &check->device[i], &err), &err);
        snprintf(check->name[i], sizeof check->name[i], "gpu%u", i);
        check->n_devices++;
    }
}

// Two of OpenCL's devices (or one of them twice) and the processor: layers on all three, and experts on the processor.
static void open_split(struct recipe_check *check) {
    static const char *const names[] = {"gpu0,gpu1", "cpu,gpu0,gpu1", "gpu0, cpu-moe"};
    struct xn_error err;
    struct xn_opencl_info *list;
    uint32_t n;
    must(xn_opencl_list(&list, &n, &err), &err);
    free(list);
    for (int i = 0; i < 3 && n > 0; i++) {
        struct xn_split_member members[3] = {0};
        struct xn_split_options o = {.members = members, .spill = -1, .layers = -1, .experts = i == 2};
        if (i > 0) o.spill = 0;
        if (i > 0)
            must(xn_cpu_device_open(&(struct xn_cpu_options){.threads = 1, .level = xn_cpu_level_detect()},
                                    &members[o.n_members++].device, &err),
                 &err);
        for (uint32_t gpu = 0; gpu < (i == 2 ? 1 : 2); gpu++) {
            struct xn_opencl_options g = {.index = gpu < n ? gpu : 0, .cache = getenv("XENON_TEST_CACHE")};
            must(xn_opencl_device_open(&g, &members[o.n_members++].device, &err), &err);
        }
        for (uint32_t m = 0; m < o.n_members; m++) {
            snprintf(members[m].name, sizeof members[m].name, "member %u", m);
            members[m].share = i == 2 ? -1 : 1;
        }
        must(xn_split_device_open(&o, &check->device[i], &err), &err);
        snprintf(check->name[i], sizeof check->name[i], "%s", names[i]);
        check->n_devices++;
    }
}

void recipe_check_open(struct recipe_check *check) {
    *check = (struct recipe_check){0};
    struct xn_error err;
    must(xn_reference_device_open(&check->reference, &err), &err);
    const char *kind = getenv("XENON_TEST_DEVICES");
    if (kind && strcmp(kind, "gpu") == 0) {
        open_gpus(check);
        return;
    }
    if (kind && strcmp(kind, "split") == 0) {
        open_split(check);
        return;
    }
    int best = (int)xn_cpu_level_detect();
    for (int i = 0; i <= best + 1; i++) {
        struct xn_cpu_options o = {.threads = i > best ? 3 : 1, .level = (enum xn_cpu_level)(i > best ? best : i)};
        if (!xn_cpu_level_here(o.level)) continue;
        int n = check->n_devices++;
        must(xn_cpu_device_open(&o, &check->device[n], &err), &err);
        snprintf(check->name[n], sizeof check->name[n], "%s, %d thread%s", xn_cpu_level_name(o.level), o.threads,
                 o.threads > 1 ? "s" : "");
    }
}

void recipe_check_close(struct recipe_check *check) {
    check->reference->table->free(check->reference);
    for (int i = 0; i < check->n_devices; i++)
        check->device[i]->table->free(check->device[i]);
}

static bool failed(struct run *r, const char *device, const char *what, const struct xn_error *err) {
    snprintf(r->message, r->size, "%s, %s: %s", device, what, err->message);
    return false;
}

static void draw_script(struct script *s, uint64_t seed) {
    s->state = seed * 2 + 1;
    s->length = below(&s->state, 3) ? 2 + below(&s->state, 30) : 60 + below(&s->state, MOST - 60);
    s->other_length = 1 + below(&s->state, 40);
    s->fork = 1 + below(&s->state, s->length - 1);
    for (uint32_t i = 0; i < MOST; i++) {
        s->text[i] = (int32_t)below(&s->state, VOCAB);
        s->other[i] = (int32_t)below(&s->state, VOCAB);
        s->forked[i] = i < s->fork ? s->text[i] : (int32_t)below(&s->state, VOCAB);
    }
}

static bool open_context(struct run *r, const struct xn_recipe *recipe, struct xn_device *device, const char *name,
                         struct xn_model **model, struct xn_context **context) {
    struct xn_error err;
    struct xn_recipe view = *recipe; // the data stay the recipe's
    view.arena = (struct xn_arena){0};
    if (xn_model_from_recipe(&view, device, model, &err) != XN_OK) return failed(r, name, "model", &err);
    struct xn_context_options o = {
        .context = 3 * MOST, .batch = BATCH, .sequences = 3, .cache_type = r->cache_type, .outputs = BATCH};
    if (xn_context_create(*model, &o, context, &err) == XN_OK) return true;
    xn_model_close(*model);
    return failed(r, name, "context", &err);
}

// One step of `n` feeds.
static bool step(struct run *r, struct xn_context *c, const char *name, const struct xn_feed *feeds, uint32_t n) {
    struct xn_error err;
    return xn_eval(c, feeds, n, &err) == XN_OK || failed(r, name, "step", &err);
}

// Tokens [from, to) of a text, in steps of at most the batch; the logits of all of them.
static bool feed_text(struct run *r, struct xn_context *c, const char *name, uint32_t sequence, const int32_t *tokens,
                      uint32_t from, uint32_t to, float (*logits)[VOCAB]) {
    struct xn_feed feeds[BATCH];
    for (uint32_t at = from; at < to;) {
        uint32_t n = to - at < BATCH ? to - at : BATCH;
        for (uint32_t i = 0; i < n; i++)
            feeds[i] = (struct xn_feed){sequence, tokens[at + i], true};
        if (!step(r, c, name, feeds, n)) return false;
        for (uint32_t i = 0; i < n; i++)
            memcpy(logits[at + i], xn_eval_logits(c, i), sizeof *logits);
        at += n;
    }
    return true;
}

// The same from its beginning, and its last hidden state.
static bool feed_whole_text(struct run *r, struct xn_context *c, const char *name, uint32_t sequence,
                            struct results *out) {
    uint32_t n = r->script.length;
    struct xn_error err;
    xn_eval_keep_hidden(c, true);
    bool ok = feed_text(r, c, name, sequence, r->script.text, 0, n, out->text);
    if (ok && xn_eval_hidden(c, (n - 1) % BATCH, 1, out->hidden, &err) != XN_OK) ok = failed(r, name, "hidden", &err);
    xn_eval_keep_hidden(c, false);
    return ok;
}

// A sequence that says how long it becomes, so that its ropes do not depend on the steps.
static uint32_t new_sequence(struct xn_context *c, uint32_t length) {
    uint32_t s;
    struct xn_error err;
    must(xn_sequence_new(c, &s, &err), &err);
    must(xn_sequence_expect(c, s, length, true, &err), &err);
    return s;
}

// Each text alone and in one go.
static bool run_whole(struct run *r, struct xn_context *c, const char *name, struct results *out) {
    const struct script *s = &r->script;
    static float all[MOST][VOCAB];
    uint32_t a = new_sequence(c, s->length), b = new_sequence(c, s->other_length), f = new_sequence(c, s->length);
    if (!feed_whole_text(r, c, name, a, out) || !feed_text(r, c, name, b, s->other, 0, s->other_length, all))
        return false;
    memcpy(out->other, all[s->other_length - 1], sizeof out->other);
    if (!feed_text(r, c, name, f, s->forked, 0, s->length, all)) return false;
    memcpy(out->forked, all[s->length - 1], sizeof out->forked);
    for (uint32_t i = 0; i < 3; i++)
        xn_sequence_free(c, i);
    return true;
}

// Text and other mixed, in steps of drawn sizes; at `fork` the third sequence leaves, to go on alone or beside them.
static bool run_pieces(struct run *r, struct xn_context *c, const char *name, struct results *out) {
    const struct script *s = &r->script;
    uint64_t state = s->state;
    struct xn_error err;
    memcpy(out->hidden, r->truth->hidden, sizeof out->hidden); // is not looked at here
    const int32_t *tokens[3] = {s->text, s->other, s->forked};
    float *last[3] = {NULL, out->other, out->forked};
    uint32_t at[3] = {0, 0, s->fork}, end[3] = {s->length, s->other_length, s->length};
    uint32_t id[3] = {new_sequence(c, s->length), new_sequence(c, s->other_length), UINT32_MAX};
    while (at[0] < end[0] || at[1] < end[1] || at[2] < end[2]) {
        if (at[0] == s->fork && id[2] == UINT32_MAX &&
            (xn_sequence_fork(c, id[0], &id[2], &err) != XN_OK ||
             xn_sequence_expect(c, id[2], s->length, true, &err) != XN_OK))
            return failed(r, name, "fork", &err);
        struct xn_feed feeds[BATCH];
        uint32_t n = 0, which[BATCH], position[BATCH];
        uint32_t most = below(&state, 3) ? 1 + below(&state, 7) : 1 + below(&state, BATCH / 3);
        for (uint32_t i = 0; i < 3; i++) {
            if (id[i] == UINT32_MAX || (below(&state, 4) == 0 && at[0] < end[0])) continue;
            uint32_t stop = i == 0 && at[0] < s->fork ? s->fork : end[i]; // so that the fork is never jumped over
            for (uint32_t k = 0; k < most && at[i] < stop; k++, n++) {
                feeds[n] = (struct xn_feed){id[i], tokens[i][at[i]], true};
                which[n] = i;
                position[n] = at[i]++;
            }
        }
        if (n == 0) continue;
        if (!step(r, c, name, feeds, n)) return false;
        for (uint32_t i = 0; i < n; i++) {
            if (which[i] == 0)
                memcpy(out->text[position[i]], xn_eval_logits(c, i), sizeof out->text[0]);
            else if (position[i] + 1 == end[which[i]])
                memcpy(last[which[i]], xn_eval_logits(c, i), sizeof out->other);
        }
    }
    for (uint32_t i = 0; i < 3; i++)
        xn_sequence_free(c, id[i]);
    return true;
}

// The text, then back to where the third sequence left it, and on once more.
static bool run_back(struct run *r, struct xn_context *c, const char *name, struct results *out) {
    const struct script *s = &r->script;
    struct xn_error err;
    uint32_t a = new_sequence(c, s->length);
    if (!feed_whole_text(r, c, name, a, out)) return false;
    if (xn_sequence_cut(c, a, s->fork, &err) != XN_OK || xn_sequence_expect(c, a, s->length, true, &err) != XN_OK)
        return failed(r, name, "cut", &err);
    if (!feed_text(r, c, name, a, s->text, s->fork, s->length, out->text)) return false;
    xn_sequence_free(c, a);
    return true;
}

// The norm of the difference by the norm of the truth; infinite where a value is not finite.
static double difference_of(const float *a, const float *b, uint32_t n) {
    double sum = 0, norm = 0;
    for (uint32_t i = 0; i < n; i++) {
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)a[i] * a[i];
    }
    double d = sqrt(sum / norm);
    return isnan(d) ? INFINITY : d;
}

static double difference(const float *a, const float *b) {
    return difference_of(a, b, VOCAB);
}

static double worst_of(const struct run *r, const struct results *a, const struct results *b, char *where,
                       size_t size) {
    double worst = difference(a->other, b->other), forked = difference(a->forked, b->forked);
    snprintf(where, size, "the other sequence");
    if (forked > worst) {
        worst = forked;
        snprintf(where, size, "the fork");
    }
    double hidden = difference_of(a->hidden, b->hidden, r->options.hidden);
    if (hidden > worst) {
        worst = hidden;
        snprintf(where, size, "the hidden state");
    }
    for (uint32_t i = 0; i < r->script.length; i++) {
        double d = difference(a->text[i], b->text[i]);
        if (d <= worst) continue;
        worst = d;
        snprintf(where, size, "token %u of the text", i);
    }
    return worst;
}

static bool compare(struct run *r, const char *name, const char *how, double tolerance) {
    char where[64];
    double worst = worst_of(r, r->truth, r->got, where, sizeof where);
    r->differs = worst > tolerance ? worst : 0;
    if (!r->differs && worst / tolerance > r->check->worst) r->check->worst = worst / tolerance;
    if (!r->differs) return true;
    snprintf(r->message, r->size, "%s, %s: %s differs by %.3g of its norm, %.3g allowed (%s)", name, how, where, worst,
             tolerance, r->check->what);
    return false;
}

static bool run_device(struct run *r, const struct xn_recipe *recipe, struct xn_device *device, const char *name,
                       double tolerance) {
    struct xn_model *model;
    struct xn_context *c;
    if (!open_context(r, recipe, device, name, &model, &c)) return false;
    bool ok = run_whole(r, c, name, r->got) && compare(r, name, "in one go", tolerance) &&
              run_pieces(r, c, name, r->got) && compare(r, name, "in pieces", tolerance) &&
              run_back(r, c, name, r->got) && compare(r, name, "cut back", tolerance);
    xn_context_free(c);
    xn_model_close(model);
    return ok;
}

// How far the reference's logits move when norms do.
static bool sensitivity(struct run *r, float noise, double *moved) {
    struct random_recipe_options o = r->options;
    struct xn_recipe recipe;
    struct xn_model *model;
    struct xn_context *c;
    o.noise = noise;
    random_recipe(&o, &recipe);
    bool ok = open_context(r, &recipe, r->check->reference, "noise", &model, &c);
    if (ok) {
        ok = run_whole(r, c, "noise", r->got);
        xn_context_free(c);
        xn_model_close(model);
        char where[64];
        double d = worst_of(r, r->truth, r->got, where, sizeof where);
        if (d > *moved) *moved = d;
    }
    xn_recipe_free(&recipe);
    return ok;
}

// Whether the model itself jumps as far as a device did, when its norms move a little more than kernels round: a token
// that stands between two experts goes to either.
static bool excused(struct run *r, float noise) {
    double moved = 0, differs = r->differs;
    for (int i = 1; i <= 8 && differs > 0; i++) {
        if (!sensitivity(r, noise * (5 + (float)i), &moved)) return false;
        if (4 * moved > differs) return true;
    }
    return false;
}

static bool compare_all(struct run *r, const struct xn_recipe *recipe) {
    struct recipe_check *check = r->check;
    struct xn_model *model;
    struct xn_context *c;
    if (!open_context(r, recipe, check->reference, "reference", &model, &c)) return false;
    const double exact = 1e-6; // it takes row after row
    bool ok = run_whole(r, c, "reference", r->truth) && run_pieces(r, c, "reference", r->got) &&
              compare(r, "reference", "in pieces", exact) && run_back(r, c, "reference", r->got) &&
              compare(r, "reference", "cut back", exact);
    xn_context_free(c);
    xn_model_close(model);
    if (!ok) return false;
    const float noise = r->integers ? 0.004f : 1e-6f;
    double moved = 0;
    if (!sensitivity(r, noise, &moved) || !sensitivity(r, 1.4f * noise, &moved)) return false;
    // A value that a rounding moves over a border of the F16 cache moves by 5e-4.
    double tolerance = (r->integers ? 0.02 : r->cache_type == XN_F16 ? 3e-4 : 1e-5) + 8 * moved;
    bool ill = !(tolerance < (r->integers ? 0.7 : 0.05));
    // Threads wait for each other, long on a busy machine: the device that has several takes one model of four.
    int n = below(&r->script.state, 4) ? check->n_devices - 1 : check->n_devices;
    for (int i = 0; i < n && !ill; i++) {
        if (run_device(r, recipe, check->device[i], check->name[i], tolerance)) continue;
        if (!excused(r, noise)) return false;
        ill = true;
    }
    check->ill += ill;
    return true;
}

bool recipe_check_run(struct recipe_check *check, uint64_t seed, const uint8_t *choices, size_t n_choices,
                      char *message, size_t size) {
    static const uint32_t floats[] = {XN_F32, XN_BF16, XN_F16};
    static const uint32_t blocks[] = {XN_Q8_0, XN_Q4_0, XN_Q5_1, XN_Q4_K, XN_Q6_K, XN_Q3_K, XN_IQ4_NL, XN_MXFP4};
    static const uint32_t sizes[] = {32, 64, 96, 160, 256};
    uint64_t state = seed ^ 0x5851F42D4C957F2Du;
    below(&state, 2);
    struct run r = {.check = check, .message = message, .size = size};
    r.integers = below(&state, 3) == 0;
    uint32_t type = r.integers ? blocks[below(&state, 8)] : floats[below(&state, 3)];
    uint32_t hidden = !r.integers && below(&state, 2) ? 20 + below(&state, 200) : sizes[below(&state, 5)];
    if (r.integers && below(&state, 2)) hidden = 256;
    r.cache_type = below(&state, 3) ? XN_F32 : XN_F16;
    r.options = (struct random_recipe_options){.seed = seed,
                                               .type = type,
                                               .hidden = hidden,
                                               .n_layers = 1 + below(&state, 4),
                                               .choices = choices,
                                               .n_choices = n_choices};
    draw_script(&r.script, state);
    snprintf(check->what, sizeof check->what, "%s, hidden %u, %u layers, %s cache, %u tokens", xn_format_of(type)->name,
             hidden, r.options.n_layers, r.cache_type == XN_F16 ? "F16" : "F32", r.script.length);
    struct xn_recipe recipe;
    random_recipe(&r.options, &recipe);
    r.truth = malloc(sizeof *r.truth);
    r.got = malloc(sizeof *r.got);
    if (!r.truth || !r.got) abort();
    memset(r.got, 0, sizeof *r.got);
    bool ok = compare_all(&r, &recipe);
    free(r.truth);
    free(r.got);
    xn_recipe_free(&recipe);
    return ok;
}
