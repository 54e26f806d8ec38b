#include "engine/speed.h"

#include "base/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PAGE = 64, BATCH = 512 }; // PAGE: what a fork may need on top

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void xn_speed_name(const struct xn_speed_test *test, char name[48]) {
    int n = snprintf(name, 48, "%s%u", test->prompt ? "pp" : "tg", test->prompt ? test->prompt : test->generate);
    if (test->sequences > 1) n += snprintf(name + n, 48 - (size_t)n, " x%u", test->sequences);
    if (test->depth) snprintf(name + n, 48 - (size_t)n, " @ d%u", test->depth);
}

void xn_speed_statistics(const double *values, size_t n, double *mean, double *deviation) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    *mean = n ? sum / (double)n : 0;
    for (size_t i = 0; i < n; i++)
        squares += (values[i] - *mean) * (values[i] - *mean);
    *deviation = n > 1 ? sqrt(squares / (double)(n - 1)) : 0;
}

static void fill_random(int32_t *tokens, uint32_t n, uint32_t vocab, uint64_t *state) {
    for (uint32_t i = 0; i < n; i++) {
        *state = *state * 6364136223846793005u + 1442695040888963407u; // Knuth's MMIX generator
        tokens[i] = (int32_t)((*state >> 33) % vocab);
    }
}

static uint32_t sequences_of(const struct xn_speed_test *test) {
    return test->sequences ? test->sequences : 1;
}

// The tokens of one repetition: a prompt at once, or one by one, each into all sequences.
static int run_tokens(struct xn_context *context, const uint32_t *sequences, const struct xn_speed_test *test,
                      const int32_t *tokens, struct xn_error *err) {
    if (test->prompt) return xn_eval_prompt(context, sequences[0], tokens, test->prompt, NULL, err);
    struct xn_feed feeds[XN_SPEED_SEQUENCES];
    uint32_t n = sequences_of(test);
    for (uint32_t i = 0; i < test->generate; i++) {
        for (uint32_t s = 0; s < n; s++)
            feeds[s] =
                (struct xn_feed){.sequence = sequences[s], .token = tokens[(i + s) % test->generate], .logits = true};
        XN_TRY(xn_eval(context, feeds, n, err));
    }
    return XN_OK;
}

struct run {
    struct xn_context *context;
    const struct xn_speed_test *test;
    const struct xn_progress *progress;
    uint32_t repetitions, base; // base: the sequence that holds `depth` tokens
    int32_t *tokens;
    double *rates;
    uint64_t random;
};

static int repeat(struct run *r, uint32_t i, struct xn_error *err) {
    const struct xn_speed_test *test = r->test;
    const struct xn_model *model = xn_context_model(r->context);
    uint32_t n = test->prompt + test->generate, sequences[XN_SPEED_SEQUENCES], made = 0;
    char name[48];
    fill_random(r->tokens, n, model->recipe.vocab, &r->random);
    int status = XN_OK;
    for (; made < sequences_of(test) && status == XN_OK; made += status == XN_OK)
        status = test->depth ? xn_sequence_fork(r->context, r->base, &sequences[made], err)
                             : xn_sequence_new(r->context, &sequences[made], err);
    double start = now();
    if (status == XN_OK) status = run_tokens(r->context, sequences, test, r->tokens, err);
    double seconds = now() - start;
    while (made)
        xn_sequence_free(r->context, sequences[--made]);
    XN_TRY(status);
    if (i > 0) r->rates[i - 1] = n * sequences_of(test) / seconds; // the first warms up
    xn_speed_name(test, name);
    if (xn_progress_report(r->progress, name, (uint64_t)(i + 1) * n, (uint64_t)(r->repetitions + 1) * n))
        return xn_fail(err, XN_ERR_CANCELLED, "cancelled in %s", name);
    return XN_OK;
}

// One repetition by which the device tells kinds of operations apart.
static int repeat_apart(struct run *r, struct xn_executor *executor, double seconds[XN_OP_KINDS],
                        struct xn_error *err) {
    const struct xn_device_table *table = xn_context_model(r->context)->device->table;
    table->tell_apart(executor, true);
    int status = repeat(r, 0, err);
    table->times(executor, seconds);
    table->tell_apart(executor, false);
    return status;
}

static int run_all(struct run *r, struct xn_speed *out, struct xn_error *err) {
    const struct xn_speed_test *test = r->test;
    struct xn_model *model = xn_context_model(r->context);
    const struct xn_device_table *table = model->device->table;
    if (test->depth) {
        XN_TRY(xn_sequence_new(r->context, &r->base, err));
        fill_random(r->tokens, test->depth, model->recipe.vocab, &r->random);
        XN_TRY(xn_eval_prompt(r->context, r->base, r->tokens, test->depth, NULL, err));
    }
    struct xn_executor *executor = xn_context_executor(r->context);
    for (uint32_t i = 0; i <= r->repetitions; i++) {
        XN_TRY(repeat(r, i, err));
        if (i == 0) table->times(executor, out->seconds); // forget what the warm-up took
    }
    table->times(executor, out->seconds);
    if (table->launches) out->launches = table->launches(executor, &out->how);
    for (int kind = 0; kind < XN_OP_KINDS; kind++)
        out->seconds[kind] /= r->repetitions;
    if (test->ops && table->tell_apart) XN_TRY(repeat_apart(r, executor, out->seconds, err));
    xn_speed_statistics(r->rates, r->repetitions, &out->mean, &out->deviation);
    return XN_OK;
}

int xn_speed_context(const struct xn_speed_test *test, uint32_t cache_type, struct xn_context_options *out,
                     struct xn_error *err) {
    uint32_t sequences = sequences_of(test);
    if (sequences > XN_SPEED_SEQUENCES || (test->prompt && sequences > 1))
        return xn_fail(err, XN_ERR_ARGUMENT, "%u sequences: at most %d generate at once, and prompts run alone",
                       sequences, XN_SPEED_SEQUENCES);
    uint64_t positions = test->depth + sequences * ((uint64_t)test->prompt + test->generate + PAGE);
    if (positions > UINT32_MAX - 2 * PAGE)
        return xn_fail(err, XN_ERR_LIMIT, "%llu tokens are too many for a test", (unsigned long long)positions);
    *out = (struct xn_context_options){.context = (uint32_t)positions + PAGE,
                                       .batch = BATCH,
                                       .sequences = sequences + (test->depth ? 1 : 0),
                                       .cache_type = cache_type};
    return XN_OK;
}

int xn_speed_measure(struct xn_model *model, const struct xn_speed_test *test, uint32_t repetitions,
                     uint32_t cache_type, const struct xn_progress *progress, struct xn_speed *out,
                     struct xn_error *err) {
    struct xn_context_options options;
    if (!test->prompt == !test->generate || repetitions == 0)
        return xn_fail(err, XN_ERR_ARGUMENT, "a test is of a prompt or of generation, and runs at least once");
    XN_TRY(xn_speed_context(test, cache_type, &options, err));
    uint32_t positions = options.context - PAGE;
    struct run run = {.test = test, .progress = progress, .repetitions = repetitions, .random = 1};
    run.tokens = xn_alloc(positions, sizeof *run.tokens);
    run.rates = xn_alloc(repetitions, sizeof *run.rates);
    *out = (struct xn_speed){0};
    int status = run.tokens && run.rates ? xn_context_create(model, &options, &run.context, err)
                                         : xn_fail(err, XN_ERR_NOMEM, "no memory for %u tokens", positions);
    if (status == XN_OK) status = run_all(&run, out, err);
    xn_context_free(run.context);
    free(run.tokens);
    free(run.rates);
    return status;
}

// Bytes of one cached value: what a second page adds, over the values of a page.
static double bytes_per_value(const struct xn_model *model, uint32_t cache_type) {
    const struct xn_device_table *device = model->device->table;
    struct xn_limits limits = {
        .rows = 1, .outputs = 1, .page_size = PAGE, .pages = 1, .slots = 1, .cache_type = cache_type};
    uint64_t one = 0, two = 0, activations, values = 0;
    device->memory(model->device, &model->plan, &limits, &one, &activations);
    limits.pages = 2;
    device->memory(model->device, &model->plan, &limits, &two, &activations);
    for (uint32_t i = 0; i < model->plan.n_cache; i++) {
        const struct xn_cache_layer *c = &model->plan.cache[i];
        values += (uint64_t)PAGE * c->kv_heads * (c->key_size + c->value_size);
    }
    return values ? (double)(two - one) / (double)values : 0;
}

struct xn_speed_cost xn_speed_cost(const struct xn_model *model, const struct xn_speed_test *test,
                                   uint32_t cache_type) {
    const struct xn_plan *plan = &model->plan;
    const struct xn_matrix *head = &model->recipe.head;
    struct xn_recipe_sizes sizes = xn_recipe_sizes(&model->recipe);
    struct xn_speed_cost cost = {.bytes = (double)sizes.active_bytes / sequences_of(test),
                                 .flops = 2 * (double)sizes.active_parameters};
    if (test->prompt) cost.flops -= 2 * (double)head->rows * head->cols;
    double before = test->depth + 0.5 * (test->prompt + test->generate),
           value_bytes = bytes_per_value(model, cache_type);
    for (uint32_t i = 0; i < plan->n_ops; i++) {
        const struct xn_op *op = &plan->ops[i];
        if (op->kind == XN_OP_ATTEND) {
            const struct xn_op_attend *a = &op->attend;
            double seen = a->window && a->window < before ? a->window : before;
            uint32_t cached = a->head_size + (a->values_in_keys ? 0 : a->value_size);
            cost.bytes += seen * a->kv_heads * cached * value_bytes;
            cost.flops += 2 * seen * a->heads * (a->head_size + a->value_size);
        } else if (op->kind == XN_OP_DELTA_NET) {
            double state = plan->states[op->delta_net.state].recurrent_size;
            cost.bytes += 2 * sizeof(float) * state;
            cost.flops += 6 * state; // decay and two products with vectors, and one outer product
        } else if (op->kind == XN_OP_STATE_SPACE) {
            double state = plan->states[op->state_space.state].recurrent_size;
            cost.bytes += 2 * sizeof(float) * state;
            cost.flops += 5 * state; // decay, an outer product, and one product with a vector
        }
    }
    return cost;
}
