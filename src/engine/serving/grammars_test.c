// Grammars in serving: texts are what they allow, whatever else runs; and what is found out of one is kept.
#include "base/file.h"
#include "engine/serving/internal.h"
#include "engine/serving/testing.h"
#include "model/synth.h"

#include <unistd.h>

static char folder[] = "/tmp/xenon-serving-XXXXXX";
static struct fixture f;

static int begin(void **unused) {
    (void)unused;
    struct xn_error err;
    const struct xn_shape *shape = NULL;
    for (size_t i = 0; i < xn_shape_count(); i++)
        if (strcmp(xn_shape_at(i)->name, "tiny-qwen2") == 0) shape = xn_shape_at(i);
    struct xn_synth_options synth = {.seed = 5};
    struct xn_serving_options o = {.context = {.context = 4096, .batch = 64, .sequences = 4}};
    if (!mkdtemp(folder) || !shape) return -1;
    char *path = xn_path_join(folder, "model.gguf");
    int status = xn_synth_write(shape, xn_preset_find("BF16"), &synth, path, NULL, &err);
    if (status == XN_OK) status = xn_reference_device_open(&f.device, &err);
    if (status == XN_OK) status = xn_model_open(path, f.device, NULL, NULL, &f.model, &err);
    if (status == XN_OK) status = xn_serving_create(f.model, &o, &f.serving, &err);
    if (status != XN_OK) print_message("%s\n", err.message);
    unlink(path);
    rmdir(folder);
    free(path);
    return status;
}

static int end(void **unused) {
    (void)unused;
    close_fixture(&f);
    return 0;
}

static struct xn_grammar *schema_of(const char *text) {
    struct xn_grammar *g;
    struct xn_error err;
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    if (xn_grammar_from_json_schema(json, &g, &err) != XN_OK) fail_msg("%s", err.message);
    json_decref(json);
    return g;
}

static struct xn_grammar *gbnf_of(const char *text) {
    struct xn_grammar *g;
    struct xn_error err;
    if (xn_grammar_from_gbnf(text, strlen(text), "test", &g, &err) != XN_OK) fail_msg("%s", err.message);
    return g;
}

static void ask(struct job *j, uint32_t *seed, const struct xn_grammar *g, uint32_t most) {
    j->sampling = xn_sampling_default();
    j->sampling.seed = draw(seed, 1000);
    j->sampling.temperature = 1;
    j->sampling.top_k = 0;
    j->n_ids = 1 + draw(seed, 40);
    draw_tokens(j->ids, (int)j->n_ids, draw(seed, 1000));
    j->most = most;
    submit(j, f.serving,
           (struct xn_serving_request){
               .grammar = g, .tokenizer = f.model->tokenizer, .ignore_end = !g, .logprobs = draw(seed, 2) ? 3 : -1});
}

static char *text_of(const struct client *c) {
    struct xn_text text = {0};
    for (uint32_t i = 0; i < c->n; i++)
        assert_int_equal(xn_token_append_bytes(f.model->tokenizer, c->tokens[i], &text, NULL), XN_OK);
    return text.data ? text.data : calloc(1, 1);
}

// Random models say anything: under a schema, it is an object of the schema.
static void texts_are_what_the_schema_allows(void **unused) {
    (void)unused;
    static const char schema[] =
        "{\"type\": \"object\", \"properties\": {\"name\": {\"enum\": [\"ada\", \"grace\"]}, \"born\": {\"type\": "
        "\"integer\", \"minimum\": 0, \"maximum\": 2000}, \"known\": {\"type\": \"boolean\"}}, \"required\": "
        "[\"name\", "
        "\"born\", \"known\"], \"additionalProperties\": false}";
    struct job jobs[16], free_texts[4];
    uint32_t seed = 3;
    for (int i = 0; i < 16; i++) {
        // Each with a grammar of its own: the masks are one.
        struct xn_grammar *g = schema_of(schema);
        ask(&jobs[i], &seed, g, 200);
        if (i % 4 == 0) {
            ask(&free_texts[i / 4], &seed, NULL, 20);
        }
        client_wait(jobs[i].client);
        xn_grammar_free(g);
    }
    for (int i = 0; i < 16; i++) {
        struct client *c = jobs[i].client;
        assert_true(c->finish == XN_SERVING_GRAMMAR || c->finish == XN_SERVING_END);
        char *text = text_of(c);
        json_t *object = json_loads(text, 0, NULL);
        if (!object) fail_msg("not JSON: %s", text);
        const char *name = json_string_value(json_object_get(object, "name"));
        assert_true(name && (strcmp(name, "ada") == 0 || strcmp(name, "grace") == 0));
        assert_in_range(json_integer_value(json_object_get(object, "born")), 0, 2000);
        assert_true(json_is_boolean(json_object_get(object, "known")));
        assert_int_equal(json_object_size(object), 3);
        json_decref(object);
        free(text);
        client_free(c);
    }
    for (int i = 0; i < 4; i++)
        check(&free_texts[i], f.model);
    assert_int_equal(f.serving->grammars.n_uses, 1);
}

static void several_grammars_run_side_by_side(void **unused) {
    (void)unused;
    static const char *const texts[] = {"root ::= [a-f]{8}", "root ::= (\"ab\" | \"cd\")+ \".\"",
                                        "root ::= [0-9]+ (\",\" [0-9]+)* \"!\""};
    enum { JOBS = 24 };
    struct xn_grammar *grammars[3];
    struct job jobs[JOBS];
    uint32_t seed = 7;
    for (int i = 0; i < 3; i++)
        grammars[i] = gbnf_of(texts[i]);
    for (int i = 0; i < JOBS; i++) {
        ask(&jobs[i], &seed, grammars[i % 3], 60);
        if (i % 7 == 0) xn_serving_cancel(f.serving, jobs[i].client->id);
    }
    for (int i = 0; i < JOBS; i++) {
        struct client *c = jobs[i].client;
        client_wait(c);
        char *text = text_of(c);
        size_t n = strlen(text);
        const char *letters = i % 3 == 0 ? "abcdef" : i % 3 == 1 ? "abcd." : "0123456789,!";
        assert_int_equal(strspn(text, letters), n);
        if (c->finish == XN_SERVING_GRAMMAR) assert_true(i % 3 ? text[n - 1] == (i % 3 == 1 ? '.' : '!') : n == 8);
        free(text);
        client_free(c);
    }
    for (int i = 0; i < 3; i++)
        xn_grammar_free(grammars[i]);
    assert_true(f.serving->grammars.n_uses <= XN_GRAMMARS_MOST);
}

// The choice under a mask is the sampler's choice of masked logits, by the same seed.
static void masked_choices_are_reproducible(void **unused) {
    (void)unused;
    struct xn_grammar *g = gbnf_of("root ::= [a-z ]+");
    struct job a = {0}, b = {0};
    uint32_t seed = 11, again = 11;
    ask(&a, &seed, g, 30);
    client_wait(a.client);
    ask(&b, &again, g, 30);
    client_wait(b.client);
    assert_int_equal(a.client->n, b.client->n);
    assert_memory_equal(a.client->tokens, b.client->tokens, a.client->n * sizeof *a.client->tokens);
    client_free(a.client);
    client_free(b.client);
    xn_grammar_free(g);
}

static void a_grammar_needs_the_tokenizer(void **unused) {
    (void)unused;
    struct xn_grammar *g = gbnf_of("root ::= \"a\"");
    struct xn_error err;
    uint64_t id;
    uint32_t retry;
    struct xn_serving_request r = {.ids = (int32_t[]){1}, .n_ids = 1, .grammar = g};
    assert_int_equal(xn_serving_submit(f.serving, &r, &id, &retry, &err), XN_ERR_ARGUMENT);
    xn_grammar_free(g);
}

static void copies_are_the_same_and_others_are_not(void **unused) {
    (void)unused;
    static const char *const texts[] = {"root ::= \"a\"", "root ::= \"b\"", "root ::= x \"a\"\nx ::= \"c\"",
                                        "root ::= x \"a\"\nx ::= \"d\"", "root ::= \"a\"+"};
    struct xn_grammar *g[5], *copy;
    for (int i = 0; i < 5; i++)
        g[i] = gbnf_of(texts[i]);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(xn_grammar_copy(g[i], &copy, NULL), XN_OK);
        for (int j = 0; j < 5; j++)
            assert_int_equal(xn_grammar_same(copy, g[j]), i == j);
        xn_grammar_free(copy);
    }
    for (int i = 0; i < 5; i++)
        xn_grammar_free(g[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_what_the_schema_allows),       cmocka_unit_test(several_grammars_run_side_by_side),
        cmocka_unit_test(masked_choices_are_reproducible),        cmocka_unit_test(a_grammar_needs_the_tokenizer),
        cmocka_unit_test(copies_are_the_same_and_others_are_not),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
