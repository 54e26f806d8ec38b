#include "candidates_check.h"

#include "base/memory.h"
#include "engine/sampling/candidates.h"
#include "quant/format.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Row r of a batch has a 1 at column r % KINDS, so that the head's column k is its logits of kind k.
enum { HIDDEN = 64, KINDS = 8, PAGE = 16 };
enum kind { SPREAD, EQUAL, FEW_VALUES, ASCENDING, DESCENDING, FEW_POSSIBLE, INFINITE, HALF_EQUAL };
static const float largest = 3e38f, scale = 8; // whose product is infinite

static uint64_t draw(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static float logit_of(enum kind kind, uint32_t i, uint32_t vocab, float extreme, uint64_t *state) {
    float uniform = (float)(draw(state) % 65536) / 32768 - 1;
    switch (kind) {
    case SPREAD:
        return uniform * (float)(draw(state) % 1000) / 500;
    case EQUAL:
        return 0.25f;
    case FEW_VALUES:
        return (float)(draw(state) % 40) / 8 - 3;
    case ASCENDING:
        return (float)i / 1024;
    case DESCENDING:
        return -(float)i / 1024;
    case FEW_POSSIBLE:
        return draw(state) % (vocab / 9 + 1) ? -extreme : uniform;
    case INFINITE:
        return draw(state) % (vocab / 3 + 1) ? uniform : extreme;
    case HALF_EQUAL:
        return i % 97 == 0 ? 1 + uniform / 64 : i % 2 ? 0.5f : -0.0f;
    }
    return 0;
}

// A model that is a head alone.
struct head {
    uint32_t vocab, rows;
    float extreme;
    float *matrix, *x;
    struct xn_op op;
    struct xn_plan plan;
    struct xn_limits limits;
    int32_t *tokens, *positions;
    uint32_t *outputs;
    bool *whole;
    struct xn_span span;
    struct xn_batch batch;
    struct xn_weights *weights;
    struct xn_executor *executor;
};

static void make_head(struct head *h, uint32_t vocab, uint32_t rows, bool nan, float extreme, uint64_t *state) {
    static const int32_t pages[64];
    *h = (struct head){.vocab = vocab, .rows = rows, .extreme = extreme};
    h->matrix = xn_alloc_zero((size_t)vocab * HIDDEN, sizeof *h->matrix);
    h->x = xn_alloc_zero((size_t)rows * HIDDEN, sizeof *h->x);
    h->tokens = xn_alloc_zero(rows, sizeof *h->tokens);
    h->positions = xn_alloc_zero(rows, sizeof *h->positions);
    h->outputs = xn_alloc_zero(rows, sizeof *h->outputs);
    h->whole = xn_alloc_zero(rows, sizeof *h->whole);
    for (uint32_t i = 0; i < vocab; i++)
        for (int k = 0; k < KINDS; k++)
            h->matrix[(size_t)i * HIDDEN + (size_t)k] =
                nan && draw(state) % 7 == 0 ? NAN : logit_of((enum kind)k, i, vocab, extreme, state);
    h->op.kind = XN_OP_HEAD;
    h->op.layer = -1;
    h->op.head = (struct xn_op_head){.norm = {.kind = XN_NORM_NONE}, .scale = scale};
    h->plan = (struct xn_plan){.ops = &h->op, .n_ops = 1, .hidden = HIDDEN, .vocab = vocab};
    h->plan.width[XN_BUF_X] = HIDDEN;
    h->limits = (struct xn_limits){
        .rows = rows, .outputs = rows, .page_size = PAGE, .pages = 64, .slots = 1, .cache_type = XN_F16};
    h->span = (struct xn_span){.n_rows = rows, .pages = pages};
    h->batch = (struct xn_batch){.n_rows = rows,
                                 .tokens = h->tokens,
                                 .positions = h->positions,
                                 .n_spans = 1,
                                 .spans = &h->span,
                                 .outputs = h->outputs};
    for (uint32_t r = 0; r < rows; r++) {
        h->x[(size_t)r * HIDDEN + r % KINDS] = 1;
        h->positions[r] = (int32_t)r;
    }
}

static void free_head(struct xn_device *device, struct head *h) {
    device->table->release(device, h->executor);
    device->table->unpack(device, h->weights);
    free(h->matrix);
    free(h->x);
    free(h->tokens);
    free(h->positions);
    free(h->outputs);
    free(h->whole);
}

static int prepare_head(struct xn_device *device, struct head *h, struct xn_error *err) {
    const void *data[] = {h->matrix};
    struct xn_matrix m = {.name = "head", .type = XN_F32, .rows = h->vocab, .cols = HIDDEN, .count = 1, .data = data};
    XN_TRY(device->table->pack(device, &m, &h->weights, err));
    h->op.head.weights = h->weights;
    XN_TRY(device->table->prepare(device, &h->plan, &h->limits, &h->executor, err));
    return device->table->write_rows(h->executor, XN_BUF_X, h->rows, h->x, err);
}

static int by_logit(const void *a, const void *b) {
    const struct xn_row_candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static bool fails(char problem[256], const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool fails(char problem[256], const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, 256, format, arguments);
    va_end(arguments);
    return false;
}

// Whether a device may leave a row to the host: where thousands are equal, or the best stand side by side.
static bool may_be_left(const struct head *h, enum kind kind) {
    return h->vocab > 2048 && (h->vocab < 4096 || (kind != SPREAD && (kind != FEW_POSSIBLE || h->extreme < largest)));
}

static bool compare(const struct head *h, enum kind kind, const float *logits, const struct xn_row_candidates *got,
                    char problem[256]) {
    struct xn_row_candidate *all = xn_alloc(h->vocab, sizeof *all);
    uint32_t n = 0, most;
    for (uint32_t i = 0; i < h->vocab; i++)
        if (logits[i] > -INFINITY) all[n++] = (struct xn_row_candidate){(int32_t)i, logits[i]};
    qsort(all, n, sizeof *all, by_logit);
    most = n < XN_ROW_CANDIDATES ? n : XN_ROW_CANDIDATES;
    bool same = got->n == most;
    if (!same) fails(problem, "%u tokens of %u, logits of kind %d: %u expected", got->n, h->vocab, kind, most);
    for (uint32_t i = 0; i < most && same; i++)
        if (got->items[i].id != all[i].id || memcmp(&got->items[i].logit, &all[i].logit, sizeof(float)) != 0)
            same = fails(problem, "of %u logits of kind %d number %u is %d (%g), %d (%g) expected", h->vocab, kind, i,
                         got->items[i].id, (double)got->items[i].logit, all[i].id, (double)all[i].logit);
    if (same && n && isfinite(all[0].logit)) {
        double sum = xn_sum_exp(logits, (int32_t)h->vocab, all[0].logit);
        if (sum != got->sum)
            same = fails(problem, "of %u logits of kind %d the sum is %.17g, %.17g expected", h->vocab, kind, got->sum,
                         sum);
    }
    free(all);
    return same;
}

// A step whose outputs are of some rows, so many at the most, every third whole.
static bool check_step(struct xn_device *device, struct head *h, uint32_t most, uint32_t *compared, char problem[256]) {
    const struct xn_device_table *t = device->table;
    struct xn_error err;
    uint32_t n = 0;
    for (uint32_t r = 0; r < h->rows; r++)
        if (n < most && (h->rows < KINDS || r % 3 != 1)) h->outputs[n++] = r;
    for (uint32_t o = 0; o < n; o++)
        h->whole[o] = o % 3 == 2;
    h->batch.n_outputs = n;
    h->batch.whole = h->whole;
    h->batch.sums = true;
    enum { NOBODY = 0x7b }; // bytes of what nobody has written
    memset((float *)(uintptr_t)t->logits(h->executor), NOBODY, sizeof(float) * n * h->vocab);
    if (t->run(h->executor, &h->batch, &err) != XN_OK) return fails(problem, "%s", err.message);
    for (uint32_t o = 0; o < n; o++) {
        struct xn_row_candidates got;
        enum kind kind = (enum kind)(h->outputs[o] % KINDS);
        const float *row = t->logits(h->executor) + (size_t)o * h->vocab;
        static const uint8_t nobody[sizeof *row] = {NOBODY, NOBODY, NOBODY, NOBODY};
        bool there = memcmp(row, nobody, sizeof nobody) != 0;
        if (h->whole[o] && !there) return fails(problem, "logits of a whole output are not on the host");
        if (!h->whole[o] && there) return fails(problem, "logits of which the best were wanted are on the host");
        if (t->read_logits(h->executor, o, &err) != XN_OK) return fails(problem, "%s", err.message);
        if (!t->candidates(h->executor, o, &got)) {
            if (may_be_left(h, kind)) continue;
            return fails(problem, "of %u logits of kind %d there are no best", h->vocab, kind);
        }
        if (!compare(h, kind, row, &got, problem)) return false;
        ++*compared;
    }
    // All logits, of whom they are wanted.
    struct xn_row_candidates got;
    h->batch.whole = NULL;
    if (t->run(h->executor, &h->batch, &err) != XN_OK) return fails(problem, "%s", err.message);
    if (t->candidates(h->executor, 0, &got)) return fails(problem, "the best are told where nobody asks");
    return true;
}

uint32_t xn_candidates_check(struct xn_device *device, const uint32_t *rows, uint32_t n_rows, uint32_t most,
                             bool infinite, uint64_t seed, char problem[256]) {
    static const uint32_t vocabs[] = {1, 5, 127, 128, 130, 501, 2048, 2561, 4100, 5003, 9001, 40000};
    uint32_t compared = 0;
    problem[0] = 0;
    for (size_t v = 0; v < sizeof vocabs / sizeof *vocabs && vocabs[v] <= most; v++)
        for (uint32_t i = 0; i < n_rows; i++) {
            struct head h;
            struct xn_error err;
            uint64_t state = seed + 100 * v + i;
            make_head(&h, vocabs[v], rows[i], (v + i) % 3 == 2, infinite ? largest : 1, &state);
            bool well = prepare_head(device, &h, &err) == XN_OK || fails(problem, "%s", err.message);
            well = well && check_step(device, &h, rows[i], &compared, problem);
            // Of a prompt's rows few are outputs.
            if (rows[i] > KINDS) well = well && check_step(device, &h, 3, &compared, problem);
            if (!well) {
                size_t length = strlen(problem);
                snprintf(problem + length, 256 - length, " (%u rows, seed %llu)", rows[i], (unsigned long long)seed);
            }
            free_head(device, &h);
            if (!well) return compared;
        }
    return compared;
}
