// The public API, used as its header's comment says, against a golden file; and what it refuses.
#include "base/memory.h"
#include "format/source.h"
#include "xenon/xenon.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static xenon_error err;
static xenon_model *model;
static int32_t prompt[64], greedy[32];
static size_t n_prompt, n_greedy;

static char *shared(const char *name) {
    const char *root = getenv("XENON_SHARED");
    return root ? xn_format("%s/models/%s", root, name) : NULL;
}

static size_t read_ids(const json_t *golden, const char *key, int32_t *ids, size_t most) {
    size_t i;
    const json_t *id;
    json_array_foreach(json_object_get(golden, key), i, id) {
        assert_true(i < most);
        ids[i] = (int32_t)json_integer_value(id);
    }
    return i;
}

static int setup(void **state) {
    (void)state;
    struct xn_error inner;
    json_t *golden = NULL;
    char *path = shared("qwen3/model.gguf"), *golden_path = shared("qwen3/golden.json");
    FILE *f = path ? fopen(path, "rb") : NULL;
    if (f) {
        fclose(f);
        assert_int_equal(xn_json_file(golden_path, 1 << 24, &golden, &inner), XN_OK);
        n_prompt = read_ids(golden, "prompt_ids", prompt, 64);
        n_greedy = read_ids(golden, "greedy_ids", greedy, 32);
        json_decref(golden);
        xenon_model_options options = {.device = "reference"};
        if (xenon_model_open(path, &options, &model, &err)) fail_msg("%s", err.message);
    }
    free(path);
    free(golden_path);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    xenon_model_close(&model);
    assert_null(model);
    xenon_model_close(&model); // once more does nothing
    return 0;
}

static void need_model(void) {
    if (!model) {
        print_message("skipped: no reference models in XENON_SHARED\n");
        skip();
    }
}

static xenon_context *new_context(uint32_t context, uint32_t sequences, uint32_t outputs) {
    xenon_context_options options = {.context = context, .sequences = sequences, .outputs = outputs, .batch = 128};
    xenon_context *c;
    if (xenon_context_create(model, &options, &c, &err)) fail_msg("%s", err.message);
    return c;
}

static void refusals(void **state) {
    (void)state;
    xenon_model *none = (xenon_model *)&none;
    assert_int_equal(xenon_model_open("/nowhere/model.gguf", NULL, &none, &err), XENON_ERR_IO);
    assert_null(none);
    assert_non_null(strstr(err.message, "/nowhere/model.gguf"));
    assert_int_equal(err.status, XENON_ERR_IO);
    assert_int_equal(xenon_model_open(NULL, NULL, &none, &err), XENON_ERR_ARGUMENT);
    assert_int_equal(xenon_model_open("/nowhere/model.gguf", NULL, &none, NULL),
                     XENON_ERR_IO); // without an error to fill
    xenon_model_options options = {.device = "abacus"};
    assert_int_equal(xenon_model_open("/nowhere/model.gguf", &options, &none, &err), XENON_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "abacus"));
    options = (xenon_model_options){.threads = -1};
    assert_int_equal(xenon_model_open("/nowhere/model.gguf", &options, &none, &err), XENON_ERR_ARGUMENT);
    assert_string_equal(xenon_version(), XENON_VERSION_STRING);
}

static void information(void **state) {
    (void)state;
    need_model();
    xenon_model_info info;
    xenon_model_get_info(model, &info);
    assert_string_equal(info.family, "qwen3");
    assert_int_equal(info.vocab, 1024);
    assert_true(info.layers > 0 && info.hidden > 0 && info.context > 0);
    assert_true(info.parameters >= info.active_parameters && info.active_parameters > 0 && info.bytes > 0);
    assert_true(info.has_tokenizer && info.has_chat_template);
}

static void greedy_as_golden(void **state) {
    (void)state;
    need_model();
    xenon_context *c = new_context(256, 1, 1);
    xenon_sampling sampling;
    xenon_sampling_defaults(&sampling);
    sampling.temperature = 0;
    xenon_sampler *sampler;
    uint32_t sequence;
    assert_int_equal(xenon_sampler_create(model, &sampling, &sampler, &err), XENON_OK);
    assert_int_equal(xenon_sequence_new(c, &sequence, &err), XENON_OK);
    assert_null(xenon_logits(c, XENON_LAST)); // nothing was evaluated
    assert_int_equal(xenon_sampler_choose(sampler, NULL), -1);
    assert_int_equal(xenon_eval_tokens(c, sequence, prompt, n_prompt, &err), XENON_OK);
    for (size_t i = 0; i < n_greedy; i++) {
        int32_t id = xenon_sampler_choose(sampler, xenon_logits(c, XENON_LAST));
        assert_int_equal(id, greedy[i]);
        assert_int_equal(xenon_eval_tokens(c, sequence, &id, 1, &err), XENON_OK);
    }
    assert_int_equal(xenon_sequence_length(c, sequence), n_prompt + n_greedy);
    xenon_sampler_free(&sampler);
    assert_null(sampler);
    xenon_context_free(&c);
    assert_null(c);
}

static void samplers_from_json(void **state) {
    (void)state;
    need_model();
    enum { VOCAB = 1024, TOP = 5 };
    float logits[VOCAB] = {0};
    xenon_sampler *sampler;
    xenon_logprob top[TOP];
    float chosen;
    logits[9] = 3;
    logits[8] = 2.5f;
    const struct {
        const char *settings;
        int32_t id;
    } good[] = {
        {"{\"temperature\": 0}", 9},
        {"{\"temperature\": 0, \"logit_bias\": [[9, false]]}", 8},
        {"{\"temperature\": 0, \"logit_bias\": {\"700\": 3.5}}", 700},
        {"{\"temperature\": 5, \"samplers\": [\"top_k\", \"temperature\"], \"top_k\": 1, \"seed\": -1}", 9},
        {"{\"samplers\": \"min_p;temperature\", \"min_p\": 0.9, \"typical_p\": null}", 9},
        {"{\"mirostat\": 2, \"mirostat_tau\": 0, \"mirostat_eta\": 0.5}", 9},
        {"{\"temperature\": 0, \"dry_multiplier\": 1, \"dry_sequence_breakers\": [\"a\", \"\\n\"]}", 9},
        {"{\"temperature\": 0, \"dry_multiplier\": 1}", 9},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        if (xenon_sampler_create_json(model, good[i].settings, &sampler, &err) != XENON_OK) fail_msg("%s", err.message);
        assert_int_equal(xenon_sampler_choose(sampler, logits), good[i].id);
        xenon_sampler_free(&sampler);
    }
    const struct {
        const char *settings, *says;
    } bad[] = {
        {"{\"temperature\": \"warm\"}", "temperature: expected a number"},
        {"{\"top_k\": 1.5}", "top_k: expected a whole number"},
        {"{\"top_k\": 4294967296}", "top_k"},
        {"{\"topp\": 1}", "\"topp\" is no setting"},
        {"{\"mirostat\": 3}", "mirostat: 3"},
        {"{\"samplers\": [\"top_k;top_p\"]}", "one name an item"},
        {"{\"samplers\": [\"heat\"]}", "\"heat\" is none of"},
        {"{\"samplers\": 4}", "samplers"},
        {"{\"logit_bias\": [[1024, 1]]}", "token 1024, expected 0 to 1023"},
        {"{\"logit_bias\": [[1]]}", "no [token, bias]"},
        {"{\"logit_bias\": [[1, \"x\"]]}", "expected a number"},
        {"{\"logit_bias\": [[-1, 1]]}", "token -1"},
        {"{\"logit_bias\": {\"99999999999\": 1}}", "99999999999"},
        {"{\"dry_multiplier\": 1, \"dry_sequence_breakers\": [\"\"]}", "empty sequence breaker"},
        {"{\"dry_sequence_breakers\": [1]}", "item 0 is no text"},
        {"{\"seed\": \"x\"}", "seed"},
        {"[]", "JSON object"},
        {"{", ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(xenon_sampler_create_json(model, bad[i].settings, &sampler, &err), XENON_ERR_ARGUMENT);
        assert_null(sampler);
        if (!strstr(err.message, bad[i].says)) fail_msg("%s: %s", bad[i].settings, err.message);
    }
    assert_int_equal(xenon_logprobs(model, logits, 8, &chosen, top, TOP), TOP);
    assert_true(top[0].id == 9 && top[1].id == 8 && top[2].id == 0 && top[1].logprob == chosen);
    assert_true(top[0].logprob - chosen > 0.4999f && top[0].logprob - chosen < 0.5001f);
    assert_int_equal(xenon_logprobs(model, NULL, 8, &chosen, top, TOP), 0);
}

// The text that a sampler writes over logits that want other tokens each time, and how it ends.
static char *written(const char *settings, uint64_t seed, bool *ended) {
    enum { VOCAB = 1024, MOST = 400 };
    static float logits[VOCAB];
    xenon_sampler *sampler;
    int32_t ids[MOST];
    size_t n = 0, size;
    char *text;
    if (xenon_sampler_create_json(model, settings, &sampler, &err) != XENON_OK) fail_msg("%s", err.message);
    *ended = false;
    while (n < MOST) {
        for (int i = 0; i < VOCAB; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            logits[i] = (float)(seed >> 40) * 1e-6f;
        }
        const int32_t id = xenon_sampler_choose(sampler, logits);
        *ended = id < 0 || xenon_token_is_end(model, id);
        if (*ended) break;
        ids[n++] = id;
    }
    xenon_sampler_free(&sampler);
    assert_int_equal(xenon_detokenize(model, ids, n, true, &text, &size, &err), XENON_OK);
    return text;
}

static void samplers_keep_to_grammars(void **state) {
    (void)state;
    need_model();
    bool ended;
    unsigned complete = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        char *text = written("{\"grammar\": \"root ::= [ab]{2,5} \\\"!\\\"\"}", seed, &ended);
        const size_t n = strspn(text, "ab");
        if (!ended || n < 2 || n > 5 || strcmp(text + n, "!") != 0) fail_msg("found %s", text);
        xenon_free(text);
        text = written(
            "{\"temperature\": 0.5, \"json_schema\": {\"type\": \"object\", \"properties\": {\"n\": {\"type\": "
            "\"integer\", \"maximum\": 99, \"minimum\": 10}, \"b\": {\"type\": \"boolean\"}}, \"required\": [\"n\", "
            "\"b\"]}}",
            seed, &ended);
        json_t *value = json_loads(text, 0, NULL);
        const json_int_t number = json_integer_value(json_object_get(value, "n"));
        if (ended) {
            complete++;
            if (number < 10 || number > 99 || !json_is_boolean(json_object_get(value, "b"))) fail_msg("found %s", text);
        }
        json_decref(value);
        xenon_free(text);
    }
    assert_true(complete >= 15);
    static const struct {
        const char *settings, *says;
    } bad[] = {{"{\"grammar\": 5}", "grammar: expected a text"},
               {"{\"grammar\": \"root ::= x\"}", "'x' is not defined"},
               {"{\"grammar\": \"root ::= [a]\", \"json_schema\": {}}", "only one of"},
               {"{\"json_schema\": {\"not\": {}}}", "'not' is not supported"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        xenon_sampler *sampler;
        assert_true(xenon_sampler_create_json(model, bad[i].settings, &sampler, &err) != XENON_OK);
        assert_null(sampler);
        if (!strstr(err.message, bad[i].says)) fail_msg("%s: %s", bad[i].settings, err.message);
    }
}

static void sequences_are_saved_and_restored(void **state) {
    (void)state;
    need_model();
    enum { VOCAB = 1024 };
    xenon_context *c = new_context(256, 2, 1);
    char folder[] = "/tmp/xenon-api-XXXXXX", path[64];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/sequence", folder);
    uint32_t a, b;
    float last[VOCAB];
    void *data, *none;
    size_t size;
    assert_int_equal(xenon_sequence_new(c, &a, &err), XENON_OK);
    assert_null(xenon_sequence_tokens(c, a));
    assert_int_equal(xenon_eval_tokens(c, a, prompt, n_prompt - 1, &err), XENON_OK);
    assert_int_equal(xenon_sequence_save(c, a, true, &data, &size, &err), XENON_OK);
    assert_int_equal(xenon_sequence_save_file(c, a, true, path, &err), XENON_OK);
    assert_int_equal(xenon_eval_tokens(c, a, prompt + n_prompt - 1, 1, &err), XENON_OK);
    assert_int_equal(xenon_sequence_resume(c, a, 3), 3);
    memcpy(last, xenon_logits(c, XENON_LAST), sizeof last);
    for (int from_file = 0; from_file < 2; from_file++) {
        assert_int_equal(from_file ? xenon_sequence_restore_file(c, path, &b, &err)
                                   : xenon_sequence_restore(c, data, size, &b, &err),
                         XENON_OK);
        assert_int_equal(xenon_sequence_length(c, b), n_prompt - 1);
        assert_memory_equal(xenon_sequence_tokens(c, b), prompt, (n_prompt - 1) * sizeof *prompt);
        assert_int_equal(xenon_eval_tokens(c, b, prompt + n_prompt - 1, 1, &err), XENON_OK);
        const float *again = xenon_logits(c, XENON_LAST);
        for (int i = 0; i < VOCAB; i++)
            assert_true(last[i] - again[i] < 1e-4f && again[i] - last[i] < 1e-4f);
        xenon_sequence_free(c, b);
    }
    assert_int_equal(xenon_sequence_restore(c, data, size - 8, &b, &err), XENON_ERR_FORMAT);
    assert_int_equal(xenon_sequence_restore_file(c, folder, &b, &err), XENON_ERR_IO);
    assert_int_equal(xenon_sequence_save(c, 9, true, &none, &size, &err), XENON_ERR_ARGUMENT);
    assert_null(none);
    xenon_free(data);
    assert_int_equal(remove(path), 0);
    assert_int_equal(remove(folder), 0);
    xenon_context_free(&c);
}

static void sequences_fork_and_are_cut(void **state) {
    (void)state;
    need_model();
    enum { VOCAB = 1024 };
    xenon_context *c = new_context(256, 2, 2);
    uint32_t a, b, none;
    float last[VOCAB];
    assert_int_equal(xenon_sequence_new(c, &a, &err), XENON_OK);
    assert_int_equal(xenon_eval_tokens(c, a, prompt, n_prompt - 1, &err), XENON_OK);
    assert_int_equal(xenon_sequence_fork(c, a, &b, &err), XENON_OK);
    assert_int_equal(xenon_sequence_new(c, &none, &err), XENON_ERR_LIMIT);
    // Both go on in one step, in different ways; then the second is cut back and goes the first one's way.
    xenon_feed feeds[] = {{a, prompt[n_prompt - 1], true}, {b, 5, true}};
    assert_int_equal(xenon_eval(c, feeds, 2, &err), XENON_OK);
    memcpy(last, xenon_logits(c, 0), sizeof last);
    assert_memory_not_equal(last, xenon_logits(c, 1), sizeof last);
    assert_int_equal(xenon_sequence_cut(c, b, (uint32_t)n_prompt - 1, &err), XENON_OK);
    assert_int_equal(xenon_sequence_length(c, b), n_prompt - 1);
    assert_int_equal(xenon_eval_tokens(c, b, prompt + n_prompt - 1, 1, &err), XENON_OK);
    const float *again = xenon_logits(c, XENON_LAST);
    for (int i = 0; i < VOCAB; i++)
        assert_true(last[i] - again[i] < 1e-4f && again[i] - last[i] < 1e-4f);
    assert_memory_equal(xenon_sequence_tokens(c, b), prompt, n_prompt * sizeof *prompt);
    // What is wrong changes nothing.
    xenon_feed wrong = {a, VOCAB, true}, closed = {7, 1, true};
    assert_int_equal(xenon_eval(c, &wrong, 1, &err), XENON_ERR_ARGUMENT);
    assert_int_equal(xenon_eval(c, &closed, 1, &err), XENON_ERR_ARGUMENT);
    assert_int_equal(xenon_eval(c, feeds, 0, &err), XENON_ERR_ARGUMENT);
    assert_int_equal(xenon_eval_tokens(c, a, prompt, 0, &err), XENON_ERR_ARGUMENT);
    assert_int_equal(xenon_sequence_length(c, a), n_prompt);
    xenon_sequence_free(c, a);
    assert_int_equal(xenon_sequence_new(c, &a, &err), XENON_OK);
    assert_int_equal(xenon_sequence_length(c, a), 0);
    xenon_context_free(&c);
}

static void context_options(void **state) {
    (void)state;
    need_model();
    xenon_context *c;
    xenon_context_options options = {.context = 100, .cache_type = 6}, made;
    assert_int_equal(xenon_context_create(model, &options, &c, &err), XENON_ERR_ARGUMENT);
    assert_null(c);
    options.cache_type = XENON_CACHE_F16;
    assert_int_equal(xenon_context_create(model, &options, &c, &err), XENON_OK);
    xenon_context_get_options(c, &made);
    assert_int_equal(made.context, 100);
    assert_int_equal(made.sequences, 1);
    assert_int_equal(made.cache_type, XENON_CACHE_F16);
    uint64_t cache = 0;
    xenon_context_get_memory(c, &cache, NULL);
    assert_true(cache > 0);
    uint32_t sequence;
    int32_t ids[256] = {0};
    assert_int_equal(xenon_sequence_new(c, &sequence, &err), XENON_OK);
    assert_int_equal(xenon_eval_tokens(c, sequence, ids, 256, &err), XENON_ERR_LIMIT);
    xenon_context_free(&c);
    xenon_context_free(&c);
}

static void text_and_back(void **state) {
    (void)state;
    need_model();
    static const char sample[] = "Hello naïve 東京 <|im_end|>";
    int32_t *ids;
    size_t n, n_special, size;
    char *text;
    assert_int_equal(xenon_tokenize(model, sample, sizeof sample - 1, 0, &ids, &n, &err), XENON_OK);
    assert_int_equal(xenon_detokenize(model, ids, n, false, &text, &size, &err), XENON_OK);
    assert_int_equal(size, sizeof sample - 1);
    assert_string_equal(text, sample);
    xenon_free(text);
    xenon_free(ids);
    assert_int_equal(xenon_tokenize(model, sample, sizeof sample - 1, XENON_TOKENIZE_SPECIAL, &ids, &n_special, &err),
                     XENON_OK);
    assert_true(n_special < n);
    assert_int_equal(ids[n_special - 1], xenon_token_find(model, "<|im_end|>"));
    assert_true(xenon_token_is_end(model, ids[n_special - 1]));
    assert_false(xenon_token_is_end(model, ids[0]));
    assert_int_equal(xenon_token_find(model, "no such token"), -1);
    xenon_free(ids);
    int32_t wrong = 1 << 20;
    assert_int_equal(xenon_detokenize(model, &wrong, 1, false, &text, &size, &err), XENON_ERR_ARGUMENT);
    assert_null(text);
}

static void conversations(void **state) {
    (void)state;
    need_model();
    const xenon_message messages[] = {{"system", "Be brief."}, {"user", "Why?"}}, bad[] = {{"user", "\xff"}};
    char *text;
    int32_t *ids;
    size_t size, n;
    assert_int_equal(xenon_chat_text(model, messages, 2, NULL, &text, &size, &err), XENON_OK);
    assert_int_equal(strlen(text), size);
    assert_non_null(strstr(text, "Be brief."));
    assert_non_null(strstr(strstr(text, "Why?"), "assistant"));
    xenon_free(text);
    assert_int_equal(xenon_chat_tokens(model, messages, 2, "{\"more\": 1}", &ids, &n, &err), XENON_OK);
    assert_true(n > 4);
    xenon_free(ids);
    assert_int_equal(xenon_chat_tokens(model, messages, 2, "[]", &ids, &n, &err), XENON_ERR_ARGUMENT);
    assert_null(ids);
    assert_int_equal(xenon_chat_tokens(model, bad, 1, NULL, &ids, &n, &err), XENON_ERR_ARGUMENT);
}

// Pushes the ids of `sample`; returns what is shown (free()).
static char *stream_all(xenon_stream *s, const char *sample, int *last) {
    int32_t *ids;
    size_t n, size, total = 0;
    const char *text;
    char *all = calloc(1, 256);
    assert_int_equal(xenon_tokenize(model, sample, strlen(sample), 0, &ids, &n, &err), XENON_OK);
    *last = XENON_STREAM_MORE;
    for (size_t i = 0; i < n && *last == XENON_STREAM_MORE; i++) {
        *last = xenon_stream_push(s, ids[i], &text, &size, &err);
        assert_true(*last >= 0);
        memcpy(all + total, text, size);
        total += size;
    }
    if (*last == XENON_STREAM_MORE) {
        assert_int_equal(xenon_stream_finish(s, &text, &size, &err), XENON_OK);
        memcpy(all + total, text, size);
    }
    xenon_free(ids);
    return all;
}

static void streams(void **state) {
    (void)state;
    need_model();
    const char *const stops[] = {"wor", "never"};
    xenon_stream_options options = {.stops = stops, .n_stops = 2};
    xenon_stream *s;
    int last;
    assert_int_equal(xenon_stream_create(model, &options, &s, &err), XENON_OK);
    static const struct {
        const char *sample, *shown;
        int last;
    } cases[] = {
        {"Hello world", "Hello ", XENON_STREAM_END},
        {"naïve 東京 never", "naïve 東京 ", XENON_STREAM_END},
        {"neve", "neve", XENON_STREAM_MORE}, // held back, then shown at the end
        {"Hello wo", "Hello wo", XENON_STREAM_MORE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *shown = stream_all(s, cases[i].sample, &last); // one after the other: the stream is as new each time
        assert_string_equal(shown, cases[i].shown);
        assert_int_equal(last, cases[i].last);
        free(shown);
    }
    const char *text;
    size_t size;
    assert_int_equal(xenon_stream_push(s, xenon_token_find(model, "<|im_end|>"), &text, &size, &err), XENON_STREAM_END);
    assert_int_equal(size, 0);
    assert_int_equal(xenon_stream_push(s, -1, &text, &size, &err), XENON_ERR_ARGUMENT);
    xenon_stream_free(&s);
    xenon_stream_free(&s);
}

// Over two devices it is the same model, bit for bit.
static void several_devices_are_one(void **state) {
    (void)state;
    need_model();
    char *path = shared("qwen3/model.gguf");
    xenon_model_options options = {.device = "reference,reference", .split = "1,1"};
    xenon_model *other;
    xenon_context *contexts[2];
    if (xenon_model_open(path, &options, &other, &err)) fail_msg("%s", err.message);
    xenon_model *models[2] = {model, other};
    for (int i = 0; i < 2; i++) {
        uint32_t sequence;
        if (xenon_context_create(models[i], NULL, &contexts[i], &err) ||
            xenon_sequence_new(contexts[i], &sequence, &err) ||
            xenon_eval_tokens(contexts[i], sequence, prompt, n_prompt, &err))
            fail_msg("%s", err.message);
    }
    xenon_model_info info;
    xenon_model_get_info(model, &info);
    assert_memory_equal(xenon_logits(contexts[0], XENON_LAST), xenon_logits(contexts[1], XENON_LAST),
                        info.vocab * sizeof(float));
    xenon_context_free(&contexts[0]);
    xenon_context_free(&contexts[1]);
    xenon_model_close(&other);
    options.split = "1,1,1";
    assert_int_equal(xenon_model_open(path, &options, &other, &err), XENON_ERR_ARGUMENT);
    assert_null(other);
    options = (xenon_model_options){.device = "reference", .gpu_layers = 3};
    assert_int_equal(xenon_model_open(path, &options, &other, &err), XENON_ERR_ARGUMENT);
    free(path);
}

static int stop_at_once(void *user, const char *what, uint64_t done, uint64_t total) {
    (void)what;
    (void)done;
    (void)total;
    ++*(int *)user;
    return 1;
}

static void loading_can_be_stopped(void **state) {
    (void)state;
    need_model();
    int calls = 0;
    char *path = shared("qwen3/model.gguf");
    xenon_model_options options = {.device = "reference", .progress = stop_at_once, .progress_user = &calls};
    xenon_model *other;
    assert_int_equal(xenon_model_open(path, &options, &other, &err), XENON_ERR_CANCELLED);
    assert_null(other);
    assert_true(calls > 0);
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals),
        cmocka_unit_test(information),
        cmocka_unit_test(greedy_as_golden),
        cmocka_unit_test(samplers_from_json),
        cmocka_unit_test(samplers_keep_to_grammars),
        cmocka_unit_test(sequences_fork_and_are_cut),
        cmocka_unit_test(sequences_are_saved_and_restored),
        cmocka_unit_test(context_options),
        cmocka_unit_test(text_and_back),
        cmocka_unit_test(conversations),
        cmocka_unit_test(streams),
        cmocka_unit_test(several_devices_are_one),
        cmocka_unit_test(loading_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
