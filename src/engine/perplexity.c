#include "engine/perplexity.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 512, LOGITS_BUDGET = 64 << 20 }; // rows a step, and bytes of logits a step

double xn_nll(const float *logits, uint32_t n, int32_t token) {
    float most = logits[0];
    for (uint32_t i = 1; i < n; i++)
        most = logits[i] > most ? logits[i] : most;
    double sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += (double)expf(logits[i] - most);
    return log(sum) - ((double)logits[token] - most);
}

void xn_nll_add(struct xn_nll_sum *sum, double nll) {
    sum->sum += nll;
    sum->squares += nll * nll;
    sum->n++;
}

struct xn_perplexity xn_nll_perplexity(const struct xn_nll_sum *s, uint64_t chunks) {
    struct xn_perplexity p = {.tokens = s->n, .chunks = chunks};
    if (s->n == 0) return p;
    p.nll = s->sum / (double)s->n;
    p.perplexity = exp(p.nll);
    double variance = s->squares / (double)s->n - p.nll * p.nll;
    if (s->n > 1 && variance > 0) p.error = p.perplexity * sqrt(variance / (double)(s->n - 1));
    return p;
}

// One chunk on a fresh sequence; the first token may be replaced.
static int score_chunk(struct xn_context *context, const int32_t *tokens, uint32_t n, int32_t first_token,
                       struct xn_feed *feeds, struct xn_nll_sum *sum, struct xn_error *err) {
    const struct xn_context_options *o = xn_context_options(context);
    uint32_t vocab = xn_context_model(context)->recipe.vocab, half = n / 2, sequence;
    XN_TRY(xn_sequence_new(context, &sequence, err));
    int status = xn_sequence_expect(context, sequence, n, true, err);
    for (uint32_t done = 0; done < n && status == XN_OK;) {
        // Before the scored half steps are as long as they may be, in it as their logits allow.
        uint32_t step = done < half ? half - done : n - done, most = done < half ? o->batch : o->outputs;
        if (step > most) step = most;
        for (uint32_t i = 0; i < step; i++) {
            uint32_t position = done + i;
            feeds[i] = (struct xn_feed){.sequence = sequence,
                                        .token = position == 0 ? first_token : tokens[position],
                                        .logits = position >= half && position + 1 < n};
        }
        status = xn_eval(context, feeds, step, err);
        for (uint32_t i = 0; i < step && status == XN_OK; i++)
            if (feeds[i].logits) xn_nll_add(sum, xn_nll(xn_eval_logits(context, i), vocab, tokens[done + i + 1]));
        done += step;
    }
    xn_sequence_free(context, sequence);
    return status;
}

int xn_perplexity_of(struct xn_model *model, const int32_t *tokens, size_t n,
                     const struct xn_perplexity_options *options, const struct xn_progress *progress,
                     struct xn_perplexity *out, struct xn_error *err) {
    uint32_t size = options->context, vocab = model->recipe.vocab;
    if (size < 8) return xn_fail(err, XN_ERR_ARGUMENT, "chunks of %u tokens: at least 8 are needed", size);
    if (n / 2 < size)
        return xn_fail(err, XN_ERR_ARGUMENT, "the text has %zu tokens: at least two chunks of %u are needed", n, size);
    for (size_t i = 0; i < n; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= vocab)
            return xn_fail(err, XN_ERR_ARGUMENT, "token %d of the text: the model has %u", tokens[i], vocab);
    uint64_t chunks = n / size;
    if (options->chunks && options->chunks < chunks) chunks = options->chunks;
    uint32_t outputs = LOGITS_BUDGET / sizeof(float) / vocab;
    struct xn_context_options context_options = {.context = size,
                                                 .batch = size < BATCH ? size : BATCH,
                                                 .sequences = 1,
                                                 .cache_type = options->cache_type,
                                                 .outputs = outputs ? outputs : 1};
    struct xn_context *context = NULL;
    struct xn_feed *feeds = xn_alloc(BATCH, sizeof *feeds);
    int status = feeds ? xn_context_create(model, &context_options, &context, err)
                       : xn_fail(err, XN_ERR_NOMEM, "no memory for a step of %d tokens", BATCH);
    struct xn_nll_sum sum = {0};
    bool bos = model->tokenizer && xn_tokenizer_adds_bos(model->tokenizer) && xn_token_bos(model->tokenizer) >= 0;
    for (uint64_t i = 0; i < chunks && status == XN_OK; i++) {
        const int32_t *chunk = tokens + i * size;
        status = score_chunk(context, chunk, size, bos ? xn_token_bos(model->tokenizer) : chunk[0], feeds, &sum, err);
        if (status == XN_OK && xn_progress_report(progress, "perplexity", (i + 1) * size, chunks * size))
            status = xn_fail(err, XN_ERR_CANCELLED, "cancelled after %llu of %llu chunks", (unsigned long long)i + 1,
                             (unsigned long long)chunks);
    }
    if (status == XN_OK) *out = xn_nll_perplexity(&sum, chunks);
    xn_context_free(context);
    free(feeds);
    return status;
}
