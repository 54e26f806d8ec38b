// What changes single logits: logit_bias, the penalties, and DRY with its sequence breakers, each against its
// definition, counted naively.
#include "base/memory.h"
#include "engine/sampler.h"
#include "engine/sampling/breakers.h"
#include "format/source.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { VOCAB = 40, TEXT = 300 };

static uint64_t state = 88172645463325252u;
static uint32_t below(uint32_t n) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)((state >> 33) % n);
}

static struct xn_sampling only(const char *samplers) {
    struct xn_sampling o = xn_sampling_default();
    o.temperature = 1;
    assert_int_equal(xn_sampler_order_parse(samplers, &o.order, NULL), XN_OK);
    return o;
}

// After `text`, what the sampler makes of `logits` is softmax(want).
static void expect(const struct xn_sampling *o, const int32_t *text, int n, const float *logits, const double *want) {
    struct xn_sampler *s;
    struct xn_token_logprob top[VOCAB];
    double max = -INFINITY, sum = 0;
    assert_int_equal(xn_sampler_new(o, VOCAB, &s, NULL), XN_OK);
    for (int i = 0; i < n; i++)
        xn_sampler_accept(s, text[i]);
    xn_sampler_choose(s, logits);
    for (int i = 0; i < VOCAB; i++)
        max = want[i] > max ? want[i] : max;
    for (int i = 0; i < VOCAB; i++)
        sum += exp(want[i] - max);
    int n_top = xn_sampler_top(s, top, VOCAB);
    bool seen[VOCAB] = {0};
    for (int i = 0; i < n_top; i++) {
        double logprob = want[top[i].id] - max - log(sum);
        seen[top[i].id] = true;
        if (fabs(logprob - (double)top[i].logprob) > 1e-5 * (1 + fabs(logprob)))
            fail_msg("token %d: %g, expected %g", top[i].id, (double)top[i].logprob, logprob);
    }
    for (int i = 0; i < VOCAB; i++)
        if (!seen[i]) assert_true(want[i] - max < -80);
    xn_sampler_free(s);
}

static void draw_logits(float *x, double *want) {
    for (int i = 0; i < VOCAB; i++)
        want[i] = (double)(x[i] = (float)below(8000) / 1000 - 4);
}

static void bias_is_added(void **unused) {
    (void)unused;
    float x[VOCAB];
    double want[VOCAB];
    const struct xn_logit_bias bias[] = {{3, 5}, {3, -1.5f}, {9, -INFINITY}, {39, 0.25f}};
    struct xn_sampling o = only("");
    o.logit_bias = bias;
    o.n_logit_bias = 4;
    draw_logits(x, want);
    want[3] += 3.5;
    want[9] = -INFINITY;
    want[39] += 0.25;
    expect(&o, NULL, 0, x, want);
    o.mirostat = 2; // which leaves nothing out that is less surprising than 2 tau
    o.mirostat_tau = 100;
    expect(&o, NULL, 0, x, want);
}

static void penalties_count_what_is_recent(void **unused) {
    (void)unused;
    static const int windows[] = {0, 1, 7, 64, TEXT, TEXT + 9, -1};
    for (int round = 0; round < 60; round++) {
        float x[VOCAB];
        double want[VOCAB];
        int32_t text[TEXT];
        int n = round == 0 ? 0 : (int)below(TEXT + 1), window = windows[round % 7];
        bool late = round % 2; // also after the list was made
        struct xn_sampling o = only(late ? "top_k;penalties" : "penalties");
        o.top_k = VOCAB - 1 + round % 4 / 2;
        o.repeat_last = window;
        o.repeat_penalty = round % 3 ? 0.5f + (float)below(100) / 50 : 1;
        o.frequency_penalty = round % 5 ? (float)below(100) / 50 - 1 : 0;
        o.presence_penalty = round % 2 ? (float)below(100) / 50 - 1 : 0;
        draw_logits(x, want);
        for (int i = 0; i < n; i++)
            text[i] = (int32_t)below(1 + below(VOCAB));
        if (late && o.top_k < VOCAB) { // the worst is dropped first
            int worst = 0;
            for (int i = 0; i < VOCAB; i++)
                if (want[i] <= want[worst]) worst = i;
            want[worst] = -INFINITY;
        }
        for (int id = 0; id < VOCAB; id++) {
            int count = 0;
            for (int i = window < 0 || window > n ? 0 : n - window; i < n; i++)
                count += text[i] == id;
            if (!count) continue;
            want[id] = want[id] <= 0 ? want[id] * (double)o.repeat_penalty : want[id] / (double)o.repeat_penalty;
            want[id] -= count * (double)o.frequency_penalty + (double)o.presence_penalty;
        }
        expect(&o, text, n, x, want);
    }
}

// DRY by its definition: for each token, the longest sequence that ends the text, and stands before that token earlier,
// without a breaker (single tokens here) in it.
static void naive_dry(const struct xn_sampling *o, const int32_t *text, int n, uint64_t breakers, double *want) {
    int begin = o->dry_penalty_last >= 0 && o->dry_penalty_last < n ? n - o->dry_penalty_last : 0;
    for (int id = 0; id < VOCAB; id++) {
        int longest = -1;
        for (int at = begin + 1; at < n; at++) {
            if (text[at] != id) continue;
            int m = 0;
            while (at - 1 - m >= begin && text[at - 1 - m] == text[n - 1 - m] && !(breakers >> text[n - 1 - m] & 1))
                m++;
            if (m > longest) longest = m;
        }
        if (n - begin <= o->dry_allowed_length || longest < o->dry_allowed_length || breakers >> id & 1) continue;
        want[id] -= (double)o->dry_multiplier * pow((double)o->dry_base, longest - o->dry_allowed_length);
    }
}

static void dry_penalises_by_the_length_of_repetitions(void **unused) {
    (void)unused;
    static const int windows[] = {-1, -1, 20, 3, TEXT, 0};
    for (int round = 0; round < 200; round++) {
        float x[VOCAB];
        double want[VOCAB];
        int32_t text[TEXT];
        int n = round == 0 ? 0 : (int)below(TEXT + 1), letters = 1 + (int)below(round % 2 ? 3 : 12);
        struct xn_sampling o = only(round % 3 ? "dry" : "top_k;dry");
        o.top_k = VOCAB; // all
        struct xn_dry_breakers b = {0};
        uint64_t breakers = 0;
        for (int i = 0; i < n; i++)
            text[i] = i > 20 && below(10) ? text[i - 7 - (int)below(2) * 6] : (int32_t)below((uint32_t)letters);
        for (int32_t id = 0; round % 4 && id < 3; id++) {
            int32_t breaker = (int32_t)below(VOCAB);
            breakers |= 1ull << breaker;
            assert_int_equal(xn_dry_breakers_add(&b, &breaker, 1, NULL), XN_OK);
        }
        xn_dry_breakers_sort(&b);
        o.dry_breakers = &b;
        o.dry_multiplier = 0.8f;
        o.dry_base = 1 + (float)below(4) / 100;
        o.dry_allowed_length = (int32_t)below(5);
        o.dry_penalty_last = windows[round % 6];
        draw_logits(x, want);
        if (o.dry_penalty_last) naive_dry(&o, text, n, breakers, want);
        expect(&o, text, n, x, want);
        xn_dry_breakers_free(&b);
    }
}

// By hand: the text is "a b c c b c y a b c"; after it, c would make 4 equal, y 3, b 2.
static void dry_of_a_text_known_by_heart(void **unused) {
    (void)unused;
    const int32_t text[] = {0, 1, 2, 2, 1, 2, 24, 0, 1, 2}, pair[] = {0, 1}, other[] = {0, 2};
    float x[VOCAB] = {0};
    double want[VOCAB] = {0};
    struct xn_sampling o = only("dry");
    o.dry_multiplier = 1;
    o.dry_base = 2;
    o.dry_allowed_length = 1;
    want[2] = -4;
    want[24] = -2;
    want[1] = -1;
    expect(&o, text, 10, x, want);
    // A breaker of two tokens: "a b" leaves one token after it, and no longer repetitions; "a c" is not there.
    struct xn_dry_breakers b = {0};
    o.dry_breakers = &b;
    assert_int_equal(xn_dry_breakers_add(&b, other, 2, NULL), XN_OK);
    xn_dry_breakers_sort(&b);
    expect(&o, text, 10, x, want);
    assert_int_equal(xn_dry_breakers_add(&b, pair, 2, NULL), XN_OK);
    xn_dry_breakers_sort(&b);
    want[2] = want[24] = want[1] = -1;
    expect(&o, text, 10, x, want);
    assert_int_equal(xn_dry_breakers_add(&b, pair, 0, NULL), XN_ERR_ARGUMENT);
    xn_dry_breakers_free(&b);
}

// A repetition so long that the power leaves single precision: the token is impossible, and nothing else changes.
static void dry_never_overflows(void **unused) {
    (void)unused;
    int32_t text[TEXT];
    float x[VOCAB] = {0};
    double want[VOCAB] = {0};
    struct xn_sampling o = only("dry");
    o.dry_multiplier = 100;
    o.dry_base = 3;
    for (int i = 0; i < TEXT; i++)
        text[i] = 4;
    want[4] = -INFINITY;
    expect(&o, text, TEXT, x, want);
}

static bool has(const struct xn_dry_breakers *b, const int32_t *ids, size_t n) {
    size_t n_found;
    const struct xn_dry_breaker *found = xn_dry_breakers_find(b, ids[0], &n_found);
    for (size_t i = 0; i < n_found; i++)
        if ((size_t)found[i].n_tail == n - 1 &&
            (n == 1 || memcmp(b->tails.data + found[i].tail, ids + 1, (n - 1) * sizeof *ids) == 0))
            return true;
    return false;
}

static void breakers_are_spelled_in_tokens(void **unused) {
    (void)unused;
    const char *root = getenv("XENON_SOURCE");
    char *path = xn_format("%s/models/xenon-default-q8_0.gguf", root ? root : "");
    struct xn_source *source;
    struct xn_tokenizer *t;
    struct xn_dry_breakers b = {0};
    struct xn_error err;
    if (xn_source_open(path, &source, &err) != XN_OK) fail_msg("%s", err.message);
    if (xn_tokenizer_from_source(source, &t, &err) != XN_OK) fail_msg("%s", err.message);
    assert_int_equal(xn_dry_breakers_spell(&b, t, "", NULL), XN_ERR_ARGUMENT);
    assert_int_equal(xn_dry_breakers_usual(&b, t, &err), XN_OK);
    xn_dry_breakers_sort(&b);
    static const char *const held[] = {"\n", ":", "\"", "*"};
    for (size_t i = 0; i < 4; i++) {
        struct xn_ids ids = {0};
        assert_int_equal(xn_tokenize(t, held[i], 1, 0, &ids, &err), XN_OK);
        assert_true(has(&b, &ids.data[ids.n - 1], 1));
        free(ids.data);
    }
    // Each token that holds one of them is a breaker alone, and no other token is any.
    for (int32_t id = 0; id < xn_tokenizer_size(t); id++) {
        struct xn_text text = {0};
        struct xn_detokenizer d;
        xn_detokenizer_init(&d, t, true);
        d.started = true;
        assert_int_equal(xn_detokenize(&d, id, &text, &err), XN_OK);
        assert_int_equal(has(&b, &id, 1), text.size && strpbrk(text.data, "\n:\"*") != NULL);
        free(text.data);
    }
    xn_dry_breakers_free(&b);
    // One of several tokens: a token that ends with its beginning, and the rest as the tokenizer writes it.
    assert_int_equal(xn_dry_breakers_spell(&b, t, "dragon.\nOnce", &err), XN_OK);
    xn_dry_breakers_sort(&b);
    struct xn_ids ids = {0};
    assert_int_equal(xn_tokenize(t, "dragon", 6, 0, &ids, &err), XN_OK);
    int32_t head = ids.data[ids.n - 1];
    size_t n_found;
    if (ids.n == 1) {
        ids.n = 0;
        XN_GROW(ids.data, ids.capacity, 1);
        ids.data[ids.n++] = head;
        assert_int_equal(xn_tokenize(t, ".\nOnce", 6, 0, &ids, &err), XN_OK);
        assert_true(has(&b, ids.data, ids.n));
    } else {
        assert_true(b.n > 0 && xn_dry_breakers_find(&b, b.items[0].head, &n_found));
    }
    free(ids.data);
    xn_dry_breakers_free(&b);
    xn_tokenizer_free(t);
    xn_source_close(source);
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bias_is_added),
        cmocka_unit_test(penalties_count_what_is_recent),
        cmocka_unit_test(dry_penalises_by_the_length_of_repetitions),
        cmocka_unit_test(dry_of_a_text_known_by_heart),
        cmocka_unit_test(dry_never_overflows),
        cmocka_unit_test(breakers_are_spelled_in_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
