// xenon verify: a model's logits, tokens and batching against what the family's reference implementation computed.
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/golden.h"
#include "cli/progress.h"
#include "engine/context.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_PROBES = 32, // positions whose logits are kept, and compared with those of other ways to cut the prompt
    LOGITS_BUDGET = 64 << 20, // bytes of logits a step
};

struct tolerances {
    double rel, nll, chunks, margin; // negative: the device's default
};

// The largest distance of kept logits to those of another way, and which way that was.
struct worst {
    double difference;
    const char *way;
};

struct result {
    double rel_l2, max_abs, mean_nll, nll_diff;
    struct worst chunks, state;
    uint32_t greedy_right, greedy_excused;
    bool has_tokens, tokens_ok;
};

struct check {
    const struct xn_golden *golden;
    struct xn_context *context;
    uint32_t vocab;
    uint32_t step; // rows of the run that everything else is compared with; each of them may ask for logits
    uint32_t rows; // the most of any step
    double excusing_margin;
    uint32_t probe[MAX_PROBES], n_probes;
    float *kept;           // [n_probes][vocab], of that run
    struct xn_feed *feeds; // [rows]
    int *feed_probe;       // [rows]: the probe that a row's logits belong to, or -1
    struct result result;
};

static double negative_log_likelihood(const float *logits, uint32_t n, int32_t token) {
    double most = logits[0], sum = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > most) most = logits[i];
    for (uint32_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - most);
    return most + log(sum) - logits[token];
}

static int32_t most_likely(const float *logits, uint32_t n) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return (int32_t)best;
}

// Sums of squares of a - b and of b, and the largest |a - b|. A NaN stays one.
struct distance {
    double difference, norm, largest;
};
static void add_distance(struct distance *d, const float *a, const float *b, uint32_t n) {
    for (uint32_t i = 0; i < n; i++) {
        double e = fabs((double)a[i] - b[i]);
        d->difference += e * e;
        d->norm += (double)b[i] * b[i];
        if (!(e <= d->largest) && !isnan(d->largest)) d->largest = e;
    }
}
static double relative(const struct distance *d) {
    return sqrt(d->difference) / (sqrt(d->norm) + 1e-30);
}

// First, last, and others spread evenly between them.
static void choose_probes(struct check *c) {
    uint32_t n = c->golden->n_prompt;
    c->n_probes = n < MAX_PROBES ? n : MAX_PROBES;
    for (uint32_t i = 0; i < c->n_probes; i++)
        c->probe[i] = (uint32_t)((uint64_t)i * (n - 1) / (c->n_probes - 1));
}

static int probe_at(const struct check *c, uint32_t position) {
    for (uint32_t i = 0; i < c->n_probes; i++)
        if (c->probe[i] == position) return (int)i;
    return -1;
}

static int report(const char *what, uint64_t done, uint64_t total, struct xn_error *err) {
    return xn_progress_report(xn_progress_line(), what, done, total) ? xn_fail(err, XN_ERR_CANCELLED, "stopped")
                                                                     : XN_OK;
}

// (Every sequence is told its exact length ahead: where ropes follow it, the reference sets them for the whole at
// once.) The prompt in steps of c->step rows, with all logits: distances, probabilities, and what the cuts are compared
// with.
static int run_prompt(struct check *c, uint32_t sequence, int32_t *predicted, struct xn_error *err) {
    const struct xn_golden *g = c->golden;
    struct distance d = {0};
    double nll = 0;
    XN_TRY(xn_sequence_expect(c->context, sequence, g->n_prompt, true, err));
    for (uint32_t from = 0; from < g->n_prompt;) {
        uint32_t n = g->n_prompt - from < c->step ? g->n_prompt - from : c->step;
        for (uint32_t i = 0; i < n; i++)
            c->feeds[i] = (struct xn_feed){sequence, g->prompt[from + i], true};
        XN_TRY(xn_eval(c->context, c->feeds, n, err));
        for (uint32_t i = 0; i < n; i++) {
            uint32_t position = from + i;
            const float *logits = xn_eval_logits(c->context, i);
            if (position == 0) add_distance(&d, logits, g->logits_first, c->vocab);
            if (position + 1 < g->n_prompt) {
                nll += negative_log_likelihood(logits, c->vocab, g->prompt[position + 1]);
            } else {
                add_distance(&d, logits, g->logits_last, c->vocab);
                *predicted = most_likely(logits, c->vocab);
            }
            int probe = probe_at(c, position);
            if (probe >= 0) memcpy(c->kept + (size_t)probe * c->vocab, logits, c->vocab * sizeof *logits);
        }
        from += n;
        XN_TRY(report("prompt", from, g->n_prompt, err));
    }
    c->result.rel_l2 = relative(&d);
    c->result.max_abs = d.largest;
    c->result.mean_nll = nll / (g->n_prompt - 1);
    c->result.nll_diff = fabs(c->result.mean_nll - g->mean_nll);
    return XN_OK;
}

// After the prompt, each greedy token given those of the golden before it. A step whose two best logits are all but
// equal in the golden is excused for the other choice.
static int run_greedy(struct check *c, uint32_t sequence, int32_t predicted, struct xn_error *err) {
    const struct xn_golden *g = c->golden;
    for (uint32_t i = 0; i < g->n_greedy; i++) {
        bool excused = predicted != g->greedy[i] && g->margin[i] < c->excusing_margin;
        c->result.greedy_excused += excused;
        c->result.greedy_right += excused || predicted == g->greedy[i];
        if (i + 1 == g->n_greedy) break;
        struct xn_feed feed = {sequence, g->greedy[i], true};
        XN_TRY(xn_sequence_expect(c->context, sequence, g->n_prompt + i + 1, true, err));
        XN_TRY(xn_eval(c->context, &feed, 1, err));
        predicted = most_likely(xn_eval_logits(c->context, 0), c->vocab);
        XN_TRY(report("greedy", i + 1, g->n_greedy, err));
    }
    return XN_OK;
}

// Other ways to put the same prompt into steps. Interleaved: two sequences of that prompt, row by row in one step, the
// second some positions behind the first, so that a mix-up of the two cannot go unseen.
struct cut {
    const char *name;
    uint32_t rows; // a step
    bool interleaved;
};
static const struct cut short_cuts[] = {{"pieces of 1", 1, false},
                                        {"pieces of 7", 7, false},
                                        {"pieces of 16", 16, false},
                                        {"two sequences interleaved", 64, true}};
static const struct cut long_cuts[] = {
    {"pieces of 512", 512, false}, {"pieces of 1000", 1000, false}, {"two sequences interleaved", 1000, true}};
enum { LONG_PROMPT = 512, LAG = 3 };

static const struct cut *cuts_of(uint32_t n_prompt, size_t *n) {
    *n = n_prompt > LONG_PROMPT ? sizeof long_cuts / sizeof *long_cuts : sizeof short_cuts / sizeof *short_cuts;
    return n_prompt > LONG_PROMPT ? long_cuts : short_cuts;
}

static void compare_probe(const struct check *c, uint32_t probe, const float *logits, const char *way,
                          struct worst *worst) {
    struct distance d = {0};
    add_distance(&d, logits, c->kept + (size_t)probe * c->vocab, c->vocab);
    double difference = relative(&d);
    if (difference <= worst->difference || isnan(worst->difference)) return; // a NaN is the worst
    *worst = (struct worst){difference, way};
}

static int run_cut(struct check *c, const struct cut *cut, struct xn_error *err) {
    uint32_t n = c->golden->n_prompt, sequence[2] = {0}, length[2] = {0, 0};
    uint32_t sequences = cut->interleaved ? 2 : 1, turn = 0;
    for (uint32_t s = 0; s < sequences; s++) {
        XN_TRY(xn_sequence_new(c->context, &sequence[s], err));
        XN_TRY(xn_sequence_expect(c->context, sequence[s], n, true, err));
    }
    while (length[0] + length[1] < n * sequences) {
        uint32_t rows = 0;
        while (rows < cut->rows && length[0] + length[1] < n * sequences) {
            bool may_lag = length[0] < n && length[1] + LAG > length[0];
            uint32_t s = sequences == 1 || length[1] == n ? 0 : length[0] == n ? 1 : may_lag ? 0 : turn;
            turn = 1 - s;
            c->feed_probe[rows] = probe_at(c, length[s]);
            c->feeds[rows] = (struct xn_feed){sequence[s], c->golden->prompt[length[s]], c->feed_probe[rows] >= 0};
            length[s]++;
            rows++;
        }
        XN_TRY(xn_eval(c->context, c->feeds, rows, err));
        for (uint32_t i = 0; i < rows; i++)
            if (c->feed_probe[i] >= 0)
                compare_probe(c, (uint32_t)c->feed_probe[i], xn_eval_logits(c->context, i), cut->name,
                              &c->result.chunks);
        XN_TRY(report(cut->name, length[0] + length[1], n * sequences, err));
    }
    for (uint32_t s = 0; s < sequences; s++)
        xn_sequence_free(c->context, sequence[s]);
    return XN_OK;
}

// Evaluates the prompt's tokens up to `to`, in steps of c->step rows, and compares the probes among them.
static int go_on(struct check *c, uint32_t sequence, uint32_t to, const char *way, struct xn_error *err) {
    XN_TRY(xn_sequence_expect(c->context, sequence, c->golden->n_prompt, true, err));
    for (uint32_t at = xn_sequence_length(c->context, sequence); at < to;) {
        uint32_t n = to - at < c->step ? to - at : c->step;
        for (uint32_t i = 0; i < n; i++) {
            c->feed_probe[i] = probe_at(c, at + i);
            c->feeds[i] = (struct xn_feed){sequence, c->golden->prompt[at + i], c->feed_probe[i] >= 0};
        }
        XN_TRY(xn_eval(c->context, c->feeds, n, err));
        for (uint32_t i = 0; i < n; i++)
            if (c->feed_probe[i] >= 0)
                compare_probe(c, (uint32_t)c->feed_probe[i], xn_eval_logits(c->context, i), way, &c->result.state);
        at += n;
        XN_TRY(report(way, at, to, err));
    }
    return XN_OK;
}

// Cuts to a position of the prompt, and goes on.
static int go_back(struct check *c, uint32_t sequence, uint32_t to, uint32_t end, const char *way,
                   struct xn_error *err) {
    XN_TRY(xn_sequence_cut(c->context, sequence, to, err));
    return go_on(c, sequence, end, way, err);
}

// Where the states are put to the test: a position in the middle of the prompt which is neither a page's nor a step's
// border, one shortly before it at which nothing was ever kept, and how far each way goes on: to the end of a short
// prompt, and in a long one for some probes.
static void choose_middle(const struct check *c, uint32_t *middle, uint32_t *before, uint32_t *end) {
    enum { PAGE = 64, LONG_PROBES = 4, BEFORE = 5 };
    uint32_t n = c->golden->n_prompt, m = n / 2;
    while (m + 1 < n && (m % PAGE == 0 || m % c->step == 0))
        m++;
    *middle = m;
    *before = m > BEFORE ? m - BEFORE : m;
    *end = n;
    for (uint32_t i = 0; i + LONG_PROBES < c->n_probes && n > LONG_PROMPT; i++)
        if (c->probe[i] >= m) {
            *end = c->probe[i + LONG_PROBES - 1] + 1;
            return;
        }
}

// In the middle of the prompt the sequence is saved, cut back to, restored and forked; however it goes on from there,
// the logits are those of the plain run.
static int run_state(struct check *c, struct xn_error *err) {
    uint32_t middle, before, end, a, b;
    void *saved;
    size_t size;
    choose_middle(c, &middle, &before, &end);
    XN_TRY(xn_sequence_new(c->context, &a, err));
    XN_TRY(go_on(c, a, middle, "before it is saved", err));
    XN_TRY(xn_sequence_save(c->context, a, true, &saved, &size, err));
    int status = go_on(c, a, end, "after it was saved", err);
    if (status == XN_OK) status = go_back(c, a, middle, end, "cut back", err);
    if (status == XN_OK) status = go_back(c, a, before, end, "cut back a little further", err);
    if (status == XN_OK) status = xn_sequence_restore(c->context, saved, size, "the saved sequence", &b, err);
    free(saved);
    XN_TRY(status);
    XN_TRY(go_on(c, b, end, "restored", err));
    XN_TRY(go_back(c, b, before, end, "restored and cut back", err));
    xn_sequence_free(c->context, b);
    XN_TRY(xn_sequence_cut(c->context, a, middle, err));
    XN_TRY(xn_sequence_fork(c->context, a, &b, err));
    XN_TRY(go_on(c, b, end, "forked", err));
    XN_TRY(go_back(c, b, before, end, "forked and cut back", err));
    XN_TRY(go_on(c, a, end, "after it was forked", err));
    xn_sequence_free(c->context, a);
    xn_sequence_free(c->context, b);
    return XN_OK;
}

// What to hold the model to besides the plain run.
struct wanted {
    bool chunks, state;
};

static int run_all(struct check *c, struct wanted wanted, struct xn_error *err) {
    uint32_t sequence;
    int32_t predicted = -1;
    XN_TRY(xn_sequence_new(c->context, &sequence, err));
    XN_TRY(run_prompt(c, sequence, &predicted, err));
    XN_TRY(run_greedy(c, sequence, predicted, err));
    xn_sequence_free(c->context, sequence);
    size_t n_cuts;
    const struct cut *cuts = cuts_of(c->golden->n_prompt, &n_cuts);
    for (size_t i = 0; wanted.chunks && i < n_cuts; i++)
        XN_TRY(run_cut(c, &cuts[i], err));
    return wanted.state ? run_state(c, err) : XN_OK;
}

// The ids of the text, with the BOS that the model adds or without, must begin with the prompt.
static int check_tokens(struct check *c, const struct xn_tokenizer *tokenizer, struct xn_error *err) {
    const struct xn_golden *g = c->golden;
    if (!g->text || !tokenizer) return XN_OK;
    c->result.has_tokens = true;
    static const int flags[] = {0, XN_TOKENIZE_BOS_EOS};
    for (size_t i = 0; i < sizeof flags / sizeof *flags && !c->result.tokens_ok; i++) {
        struct xn_ids ids = {0};
        int status = xn_tokenize(tokenizer, g->text, g->text_size, flags[i], &ids, err);
        c->result.tokens_ok = status == XN_OK && ids.n >= g->n_prompt &&
                              memcmp(ids.data, g->prompt, g->n_prompt * sizeof *g->prompt) == 0;
        free(ids.data);
        XN_TRY(status);
    }
    return XN_OK;
}

static int prepare(struct check *c, struct xn_model *model, uint32_t cache_type, const char *golden_path,
                   struct xn_error *err) {
    const struct xn_golden *g = c->golden;
    c->vocab = model->recipe.vocab;
    if (g->n_logits != c->vocab)
        return xn_fail(err, XN_ERR_ARGUMENT, "%s: found logits of %u tokens, the model has a vocabulary of %u",
                       golden_path, g->n_logits, c->vocab);
    uint64_t step = LOGITS_BUDGET / sizeof(float) / c->vocab;
    c->step = step < 16 ? 16 : step > 512 ? 512 : (uint32_t)step;
    size_t n_cuts;
    const struct cut *cuts = cuts_of(g->n_prompt, &n_cuts);
    c->rows = c->step;
    for (size_t i = 0; i < n_cuts; i++)
        if (cuts[i].rows > c->rows) c->rows = cuts[i].rows;
    choose_probes(c);
    // Room for two sequences, each with the positions that a page may leave unused.
    struct xn_context_options options = {
        .context = 2 * (g->n_prompt + g->n_greedy + 256),
        .batch = c->rows,
        .sequences = 2,
        .cache_type = cache_type,
        .outputs = c->step > 2 * MAX_PROBES ? c->step : 2 * MAX_PROBES,
    };
    XN_TRY(xn_context_create(model, &options, &c->context, err));
    c->kept = xn_alloc_zero((size_t)c->n_probes * c->vocab, sizeof *c->kept);
    c->feeds = xn_alloc_zero(c->rows, sizeof *c->feeds);
    c->feed_probe = xn_alloc_zero(c->rows, sizeof *c->feed_probe);
    if (!c->kept || !c->feeds || !c->feed_probe) return xn_fail(err, XN_ERR_NOMEM, "out of memory for the comparison");
    return XN_OK;
}

static void free_check(struct check *c) {
    xn_context_free(c->context);
    free(c->kept);
    free(c->feeds);
    free(c->feed_probe);
}

static double or_default(double given, double otherwise) {
    return given >= 0 ? given : otherwise;
}

static void print_worst(const char *what, const char *distance, const struct worst *worst, bool ok) {
    printf(" %s=%s", what, ok ? "ok" : "differ");
    if (!ok) printf(" %s=%.3g (%s)", distance, worst->difference, worst->way);
}

// The text line, or one object: every number, and whether all are within the tolerances.
static bool print_result(const struct check *c, const struct tolerances *t, struct wanted wanted, bool json,
                         const struct xn_device_info *device) {
    const struct result *r = &c->result;
    // Written so that a NaN differs.
    bool chunks_ok = !wanted.chunks || r->chunks.difference <= t->chunks;
    bool state_ok = !wanted.state || r->state.difference <= t->chunks;
    bool ok = r->rel_l2 <= t->rel && r->nll_diff <= t->nll && r->greedy_right == c->golden->n_greedy && chunks_ok &&
              state_ok && (!r->has_tokens || r->tokens_ok);
    if (json) {
        json_t *o = json_pack("{s:b s:s s:o s:o s:o s:o s:i s:i s:i}", "ok", ok, "device", device->backend, "rel_l2",
                              xn_json_number(r->rel_l2), "max_abs", xn_json_number(r->max_abs), "mean_nll",
                              xn_json_number(r->mean_nll), "nll_diff", xn_json_number(r->nll_diff), "greedy_right",
                              (int)r->greedy_right, "greedy_total", (int)c->golden->n_greedy, "greedy_excused",
                              (int)r->greedy_excused);
        if (wanted.chunks) json_object_set_new(o, "chunks", json_boolean(chunks_ok));
        if (wanted.chunks) json_object_set_new(o, "chunk_rel_l2", xn_json_number(r->chunks.difference));
        if (wanted.state) json_object_set_new(o, "state", json_boolean(state_ok));
        if (wanted.state) json_object_set_new(o, "state_rel_l2", xn_json_number(r->state.difference));
        if (r->has_tokens) json_object_set_new(o, "tokens", json_boolean(r->tokens_ok));
        xn_cli_print_json(o);
        return ok;
    }
    printf("rel_l2=%.3g max_abs=%.3g nll_diff=%.3g greedy=%u/%u", r->rel_l2, r->max_abs, r->nll_diff, r->greedy_right,
           c->golden->n_greedy);
    if (r->greedy_excused) printf(" excused=%u", r->greedy_excused);
    if (r->has_tokens) printf(" tokens=%s", r->tokens_ok ? "ok" : "differ");
    if (wanted.chunks) print_worst("chunks", "chunk_rel_l2", &r->chunks, chunks_ok);
    if (wanted.state) print_worst("state", "state_rel_l2", &r->state, state_ok);
    printf(" %s\n", ok ? "ok" : "differs");
    return ok;
}

int xn_command_verify(int argc, char **argv) {
    struct xn_model_options model_options = XN_MODEL_DEFAULTS;
    model_options.processor = true; // what is verified does not depend on what else the machine has
    struct tolerances t = {-1, -1, -1, 0.02};
    bool json = false, no_chunks = false, no_state = false;
    const struct xn_option options[] = {
        {0, "tol-rel", XN_OPTION_FLOAT, &t.rel, "X", "most of rel_l2 (0.001 on the reference device, else 0.006)", 0,
         1e9, NULL},
        {0, "tol-nll", XN_OPTION_FLOAT, &t.nll, "X", "most of nll_diff (0.005 on the reference device, else 0.03)", 0,
         1e9, NULL},
        {0, "tol-chunks", XN_OPTION_FLOAT, &t.chunks, "X",
         "most of the distance between cuts, and of state (0.0001 on the reference device, else 0.002)", 0, 1e9, NULL},
        {0, "margin", XN_OPTION_FLOAT, &t.margin, "X", "a golden margin below it excuses a greedy step (0.02)", 0, 1e9,
         NULL},
        {0, "no-chunks", XN_OPTION_FLAG, &no_chunks, NULL, "do not run the prompt in other cuts", 0, 0, NULL},
        {0, "no-state", XN_OPTION_FLAG, &no_state, NULL, "do not save, restore, fork and cut back", 0, 0, NULL},
        XN_JSON_OPTION(json),
        XN_MODEL_OPTIONS(model_options, "cpu"),
        XN_OPTIONS_END,
    };
    const struct xn_usage usage = {
        .command = "verify",
        .synopsis = "MODEL GOLDEN [options]",
        .about =
            "Computes what GOLDEN (golden.json or golden-long.json, made with the family's reference implementation) "
            "holds\n"
            "and prints one line that ends in \"ok\" or \"differs\":\n"
            "  rel_l2    relative L2 distance of the logits after the first and the last token of the prompt, "
            "together\n"
            "  max_abs   the largest distance of one of those logits\n"
            "  nll_diff  distance of the mean negative log-likelihoods of the prompt\n"
            "  greedy    steps after the prompt whose most likely token is the golden's, each given the golden's "
            "tokens\n"
            "            before it; excused: how many of these differ where the golden's best two are all but equal\n"
            "  tokens    whether the text gives the prompt's ids (where there are a text and a tokenizer)\n"
            "  chunks    whether the prompt gives the same logits in pieces of 1, 7 and 16 tokens (a long one: 512 "
            "and\n"
            "            1000), and as two sequences interleaved row by row in the same steps\n"
            "  state     whether it does when in the middle of the prompt the sequence is saved, cut back to, restored "
            "and\n"
            "            forked",
        .options = options,
        .min_arguments = 2,
        .max_arguments = 2,
        .examples = "  xenon verify qwen3/ qwen3/golden.json\n"
                    "  XENON_CPU=reference xenon verify model.gguf golden-long.json --json",
    };
    size_t n;
    int exit_status = xn_options(&usage, argc, argv, &n);
    if (exit_status >= 0) return exit_status;

    const struct wanted wanted = {.chunks = !no_chunks, .state = !no_state};
    struct xn_error err;
    struct xn_golden golden;
    struct xn_loaded loaded = {0};
    struct check check = {.golden = &golden, .excusing_margin = t.margin};
    int status = xn_golden_read(argv[2], &golden, &err);
    // Nearly what it will be: the vocabulary, which is not known yet, has a part in it.
    struct xn_context_options expected = {.sequences = 2, .cache_type = xn_cache_type(&model_options), .outputs = 512};
    if (status == XN_OK) expected.context = 2 * (golden.n_prompt + golden.n_greedy + 256);
    if (status == XN_OK) status = xn_loaded_open(argv[1], &model_options, &expected, &loaded, &err);
    if (status == XN_OK) status = prepare(&check, loaded.model, xn_cache_type(&model_options), argv[2], &err);
    if (status == XN_OK) status = check_tokens(&check, loaded.model->tokenizer, &err);
    if (status == XN_OK) status = run_all(&check, wanted, &err);
    if (status == XN_OK) {
        struct xn_device_info info;
        loaded.device->table->describe(loaded.device, &info);
        bool reference = strcmp(info.backend, "reference") == 0;
        t.rel = or_default(t.rel, reference ? 1e-3 : 6e-3);
        t.nll = or_default(t.nll, reference ? 5e-3 : 3e-2);
        t.chunks = or_default(t.chunks, reference ? 1e-4 : 2e-3);
        xn_progress_clear();
        exit_status = print_result(&check, &t, wanted, json, &info) ? XN_EXIT_OK : XN_EXIT_FAILED;
    } else {
        exit_status = xn_cli_fail(&err);
    }
    free_check(&check);
    xn_loaded_close(&loaded);
    xn_golden_free(&golden);
    return exit_status;
}
