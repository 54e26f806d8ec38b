// Completions: prompts, pieces, stop strings, several answers, ends and errors, over a model with written answers.
#include "server/completion/testing.h"

struct seen {
    struct xn_text content[4], reasoning[4], arguments[4], tokens;
    char names[64];
    enum xn_completion_finish finish[4];
    char stop[32];
    int finishes, dones, events, calls, token_events;
    struct xn_serving_counts usage;
    uint32_t reasons;
    struct xn_error error;
    bool failed;
    int enough_after; // events; 0: never
};
static struct seen seen;
static struct xn_error err;

static int on_event(void *user, const struct xn_completion_event *e) {
    (void)user;
    struct seen *s = &seen;
    assert_int_equal(s->dones, 0);
    s->events++;
    if (e->token) {
        s->token_events++;
        xn_text_put(&s->tokens, e->token->bytes, e->token->size, NULL);
        assert_int_equal(e->token->top[0].id, e->token->id);
    }
    if (e->kind == XN_COMPLETION_PIECE) {
        const struct xn_answer_piece *p = e->piece;
        if (p->kind == XN_ANSWER_CONTENT) xn_text_put(&s->content[e->choice], p->text, p->size, NULL);
        if (p->kind == XN_ANSWER_REASONING) xn_text_put(&s->reasoning[e->choice], p->text, p->size, NULL);
        if (p->kind == XN_ANSWER_ARGUMENTS) xn_text_put(&s->arguments[e->choice], p->text, p->size, NULL);
        if (p->kind == XN_ANSWER_CALL) {
            s->calls++;
            strncat(s->names, p->name, sizeof s->names - strlen(s->names) - 1);
        }
    } else if (e->kind == XN_COMPLETION_FINISH) {
        s->finishes++;
        s->finish[e->choice] = e->finish;
        if (e->stop) snprintf(s->stop, sizeof s->stop, "%s", e->stop);
    } else if (e->kind == XN_COMPLETION_DONE) {
        s->dones++;
        s->usage = e->usage;
        s->reasons = e->reasoning;
        s->failed = e->error != NULL;
        if (e->error) s->error = *e->error;
        return 0;
    }
    return s->enough_after && s->events >= s->enough_after;
}

static void forget(void) {
    for (int i = 0; i < 4; i++) {
        free(seen.content[i].data);
        free(seen.reasoning[i].data);
        free(seen.arguments[i].data);
    }
    free(seen.tokens.data);
    memset(&seen, 0, sizeof seen);
}

static const char *text_of(const struct xn_text *text) {
    return text->data ? text->data : "";
}

// A request of one user's message, or of what `messages` says.
static struct xn_completion_request chat(const char *messages) {
    struct xn_completion_request r;
    xn_completion_request_init(&r, &scripted.served);
    r.messages = json_loads(messages ? messages : "[{\"role\": \"user\", \"content\": \"Hi\"}]", 0, NULL);
    assert_non_null(r.messages);
    return r;
}

static const char weather[] =
    "[{\"type\": \"function\", \"function\": {\"name\": \"weather\", \"parameters\": {\"type\": "
    "\"object\", \"properties\": {\"city\": {\"type\": \"string\"}}}}}]";

// Starts and runs it to the end.
static void complete(struct xn_completion_request *r) {
    struct xn_completion *c;
    if (xn_completion_start(&scripted.served, r, on_event, NULL, &c, &err)) fail_msg("%s", err.message);
    xn_completion_request_free(r);
    scripted_run_all();
    assert_int_equal(seen.dones, 1);
    xn_completion_cancel(c); // too late, and harmless
    xn_completion_release(c);
}

static void fresh(const char *answer) {
    forget();
    scripted_reset();
    scripted.answer = answer;
}

static void parts(void **state) {
    (void)state;
    fresh("<think>Two and two.</think>It is 4.");
    struct xn_completion_request r = chat(NULL);
    complete(&r);
    assert_string_equal(scripted.requests[0].prompt, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
    assert_string_equal(text_of(&seen.reasoning[0]), "Two and two.");
    assert_string_equal(text_of(&seen.content[0]), "It is 4.");
    assert_int_equal(seen.finish[0], XN_FINISHED_STOP);
    assert_true(seen.reasons > 0 && seen.reasons < seen.usage.generated);
    assert_int_equal(seen.usage.cached, 3);

    // The prompt opens the reasoning.
    fresh("Two and two.</think>It is 4.");
    r = chat(NULL);
    r.template_arguments = json_pack("{s:b}", "enable_thinking", 1);
    complete(&r);
    assert_string_equal(text_of(&seen.reasoning[0]), "Two and two.");
    assert_string_equal(text_of(&seen.content[0]), "It is 4.");

    // Reasoning kept in the content.
    fresh("<think>Two.</think>4");
    r = chat(NULL);
    r.keep_reasoning = true;
    complete(&r);
    assert_string_equal(text_of(&seen.content[0]), "<think>Two.</think>4");
}

static void calls(void **state) {
    (void)state;
    static const char answer[] =
        "Let me see.<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Oulu\"}}\n"
        "</tool_call>\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": "
        "\"Turku\"}}\n</tool_call>";
    fresh(answer);
    struct xn_completion_request r = chat(NULL);
    r.tools = json_loads(weather, 0, NULL);
    complete(&r);
    assert_non_null(strstr(scripted.requests[0].prompt, "\"name\": \"weather\""));
    assert_int_equal(seen.calls, 2);
    assert_int_equal(seen.finish[0], XN_FINISHED_CALLS);
    assert_string_equal(text_of(&seen.arguments[0]), "{\"city\": \"Oulu\"}{\"city\": \"Turku\"}");

    // One call alone: the second one is not told of, and the answer ends there.
    fresh(answer);
    r = chat(NULL);
    r.tools = json_loads(weather, 0, NULL);
    r.one_call = true;
    complete(&r);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.finish[0], XN_FINISHED_CALLS);
    assert_string_equal(text_of(&seen.arguments[0]), "{\"city\": \"Oulu\"}");

    // Tools that may not be called are neither in the prompt nor looked for.
    fresh(answer);
    r = chat(NULL);
    r.tools = json_loads(weather, 0, NULL);
    r.tool_choice = XN_TOOLS_NONE;
    complete(&r);
    assert_int_equal(seen.calls, 0);
    assert_null(strstr(scripted.requests[0].prompt, "weather"));
    assert_string_equal(text_of(&seen.content[0]), answer);
}

static void stop_strings(void **state) {
    (void)state;
    char *stops[] = {"END", "four"};
    fresh("three four five");
    struct xn_completion_request r = chat(NULL);
    r.stops = xn_alloc_zero(2, sizeof *r.stops);
    for (r.n_stops = 0; r.n_stops < 2; r.n_stops++)
        r.stops[r.n_stops] = xn_strdup(stops[r.n_stops]);
    complete(&r);
    assert_string_equal(text_of(&seen.content[0]), "three ");
    assert_string_equal(seen.stop, "four");
    assert_int_equal(seen.finish[0], XN_FINISHED_STOP);

    // Half of one at the end is text.
    fresh("three fou");
    r = chat(NULL);
    r.stops = xn_alloc_zero(1, sizeof *r.stops);
    r.stops[r.n_stops++] = xn_strdup("four");
    complete(&r);
    assert_string_equal(text_of(&seen.content[0]), "three fou");
    assert_string_equal(seen.stop, "");

    fresh("one two three four five six");
    r = chat(NULL);
    r.most = 3;
    complete(&r);
    assert_int_equal(seen.finish[0], XN_FINISHED_LENGTH);
    assert_int_equal(seen.usage.generated, 3);
}

static void several(void **state) {
    (void)state;
    for (int at_once = 0; at_once < 2; at_once++) {
        fresh("yes");
        scripted.at_once = at_once;
        struct xn_completion_request r = chat(NULL);
        r.n = 3;
        r.sampling.sampling.seed = 41;
        complete(&r);
        assert_int_equal(scripted.n, 3);
        for (uint32_t i = 0; i < 3; i++) {
            assert_string_equal(text_of(&seen.content[i]), "yes");
            assert_int_equal(scripted.requests[i].sampling.seed, 41 + i);
        }
        assert_int_equal(seen.finishes, 3);
        assert_int_equal(seen.usage.prompt, scripted.requests[0].request.n_ids);
        assert_int_equal(seen.usage.generated % 3, 0);
    }
}

static void logprobs(void **state) {
    (void)state;
    fresh("<think>a</think>Grüße, 世界!");
    struct xn_completion_request r = chat(NULL);
    r.logprobs = 2;
    complete(&r);
    // One event a token, whatever text it gave; together they spell the answer.
    assert_int_equal(seen.token_events, seen.usage.generated);
    assert_string_equal(text_of(&seen.tokens), scripted.answer);
    assert_string_equal(text_of(&seen.content[0]), "Grüße, 世界!");
}

static void texts(void **state) {
    (void)state;
    fresh(" in Paris.<think>");
    struct xn_completion_request r;
    xn_completion_request_init(&r, &scripted.served);
    r.prompt = xn_strdup("The tower is");
    r.prompt_size = strlen(r.prompt);
    r.echo = true;
    complete(&r);
    assert_string_equal(text_of(&seen.content[0]), "The tower is in Paris.<think>"); // no parts in a text

    fresh("x");
    xn_completion_request_init(&r, &scripted.served);
    assert_int_equal(xn_tokenize(scripted.model.tokenizer, "Once upon", 9, 0, &r.ids, &err), XN_OK);
    r.echo = true;
    complete(&r);
    assert_string_equal(text_of(&seen.content[0]), "Once uponx");

    xn_completion_request_init(&r, &scripted.served);
    int32_t wrong = (int32_t)scripted.model.recipe.vocab;
    r.ids = (struct xn_ids){.data = xn_alloc(1, sizeof wrong), .n = 1, .capacity = 1};
    r.ids.data[0] = wrong;
    struct xn_completion *c;
    assert_int_equal(xn_completion_start(&scripted.served, &r, on_event, NULL, &c, &err), XN_ERR_ARGUMENT);
    assert_null(c);
    xn_completion_request_free(&r);
}

static void ends(void **state) {
    (void)state;
    // The engine fails.
    fresh("abc");
    scripted.finish = XN_SERVING_ERROR;
    scripted.error = "the device is lost";
    struct xn_completion_request r = chat(NULL);
    complete(&r);
    assert_true(seen.failed);
    assert_string_equal(seen.error.message, "the device is lost");
    assert_int_equal(seen.finishes, 0);

    // The caller has had enough: all answers end.
    fresh("a b c d e f g h");
    r = chat(NULL);
    r.n = 2;
    seen.enough_after = 3;
    complete(&r);
    assert_false(seen.failed);
    assert_true(scripted.requests[1].cancelled);
    assert_int_equal(seen.finish[0], XN_FINISHED_CANCELLED);
    assert_int_equal(seen.finish[1], XN_FINISHED_CANCELLED);

    // Cancelled from outside before anything ran.
    fresh("a b c");
    struct xn_completion *c;
    r = chat(NULL);
    assert_int_equal(xn_completion_start(&scripted.served, &r, on_event, NULL, &c, &err), XN_OK);
    xn_completion_request_free(&r);
    xn_completion_cancel(c);
    xn_completion_release(c);
    assert_true(scripted.requests[0].cancelled);
    scripted_run_all();
    assert_int_equal(seen.dones, 1);
    assert_int_equal(seen.finish[0], XN_FINISHED_CANCELLED);
    assert_false(seen.failed);

    // The server ends: nobody here asked for that.
    fresh("a b c");
    scripted.finish = XN_SERVING_CANCELLED;
    r = chat(NULL);
    complete(&r);
    assert_true(seen.failed);
    assert_int_equal(seen.error.status, XN_ERR_CANCELLED);

    // The queue is full: at once, and behind the first answer.
    for (int at_once = 0; at_once < 2; at_once++) {
        fresh("a");
        scripted.at_once = at_once;
        scripted.refuse_after = 1;
        r = chat(NULL);
        r.n = 3;
        complete(&r);
        assert_true(seen.failed);
        assert_int_equal(seen.error.status, XN_ERR_LIMIT);
        r = chat(NULL);
        assert_int_equal(xn_completion_start(&scripted.served, &r, on_event, NULL, &c, &err), XN_ERR_LIMIT);
        assert_null(c);
        xn_completion_request_free(&r);
    }
}

// The same rules give the same compiled grammar, and one that can't be is the client's error.
static void grammars(void **state) {
    (void)state;
    fresh("{}");
    json_t *schema = json_loads("{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"integer\"}}}", 0, NULL);
    const struct xn_grammar *first = NULL;
    for (int i = 0; i < 2; i++) {
        struct xn_completion_request r = chat(NULL);
        r.format = XN_FORMAT_SCHEMA;
        r.schema = json_deep_copy(schema);
        complete(&r);
        const struct xn_grammar *own = scripted.requests[i].request.grammar;
        assert_non_null(own);
        if (first) assert_ptr_equal(own, first);
        first = own;
        forget();
    }
    json_decref(schema);
    struct xn_completion *c;
    struct xn_completion_request r = chat(NULL);
    r.format = XN_FORMAT_GBNF;
    r.grammar = xn_strdup("root ::= missing");
    assert_int_equal(xn_completion_start(&scripted.served, &r, on_event, NULL, &c, &err), XN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "missing"));
    xn_completion_request_free(&r);
    r = chat(NULL);
    r.tools = json_loads(weather, 0, NULL);
    r.tool_choice = XN_TOOLS_REQUIRED;
    forget();
    complete(&r);
    assert_non_null(scripted.requests[scripted.n - 1].request.grammar);
}

// More grammars than are kept: those in use stay valid.
static void many_grammars(void **state) {
    (void)state;
    fresh("1");
    struct xn_kept_grammar *held[40];
    for (int i = 0; i < 40; i++) {
        char text[64];
        snprintf(text, sizeof text, "root ::= \"%d\"", i);
        struct xn_answer_rules rules = {.content = XN_ANSWER_GBNF, .gbnf = text, .gbnf_size = strlen(text)};
        assert_int_equal(xn_grammar_take(&rules, &held[i], &err), XN_OK);
        assert_non_null(xn_grammar_of(held[i]));
    }
    for (int i = 0; i < 40; i++)
        xn_grammar_drop(held[i]);
}

// ---- threads: clients that start, cancel and let go, while the serving thread gives events

enum { CLIENTS = 8, EACH = 10, ANSWERS = 3 };

struct ask {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int pieces, finishes, dones;
    bool failed;
};

static int note(void *user, const struct xn_completion_event *e) {
    struct ask *a = user;
    pthread_mutex_lock(&a->lock);
    a->pieces += e->kind == XN_COMPLETION_PIECE;
    a->finishes += e->kind == XN_COMPLETION_FINISH;
    a->dones += e->kind == XN_COMPLETION_DONE;
    a->failed |= e->kind == XN_COMPLETION_DONE && e->error;
    pthread_cond_signal(&a->changed);
    pthread_mutex_unlock(&a->lock);
    return 0;
}

// The i-th of a client: cancelled at once, after a piece, or not at all; let go before or behind its end.
static int ask(unsigned i) {
    struct ask a = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct xn_completion *c;
    struct xn_error own;
    struct xn_completion_request r = chat(NULL);
    r.n = ANSWERS;
    int status = xn_completion_start(&scripted.served, &r, note, &a, &c, &own);
    xn_completion_request_free(&r);
    if (status != XN_OK) return -1;
    if (i % 3 == 0) xn_completion_cancel(c);
    bool early = i % 2 == 0;
    pthread_mutex_lock(&a.lock);
    while (i % 3 == 1 && !a.pieces && !a.dones)
        pthread_cond_wait(&a.changed, &a.lock);
    pthread_mutex_unlock(&a.lock);
    if (i % 3 == 1) xn_completion_cancel(c);
    if (early) xn_completion_release(c);
    pthread_mutex_lock(&a.lock);
    while (!a.dones)
        pthread_cond_wait(&a.changed, &a.lock);
    pthread_mutex_unlock(&a.lock);
    if (!early) xn_completion_release(c);
    return a.dones == 1 && a.finishes == ANSWERS && !a.failed && (i % 3 != 2 || a.pieces >= ANSWERS) ? 0 : -1;
}

static void *client(void *failures) {
    for (unsigned i = 0; i < EACH; i++)
        if (ask(i)) (*(int *)failures)++;
    return NULL;
}

static void threads(void **state) {
    (void)state;
    fresh("one two three four five six seven eight nine ten");
    size_t total = CLIENTS * EACH * ANSWERS;
    assert_true(total <= SCRIPTED_MOST);
    pthread_t serving, clients[CLIENTS];
    int failures[CLIENTS] = {0};
    assert_int_equal(pthread_create(&serving, NULL, scripted_serve, &total), 0);
    for (int i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&clients[i], NULL, client, &failures[i]), 0);
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(clients[i], NULL);
        assert_int_equal(failures[i], 0);
    }
    pthread_join(serving, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts),   cmocka_unit_test(calls),    cmocka_unit_test(stop_strings),
        cmocka_unit_test(several), cmocka_unit_test(logprobs), cmocka_unit_test(texts),
        cmocka_unit_test(ends),    cmocka_unit_test(grammars), cmocka_unit_test(many_grammars),
        cmocka_unit_test(threads),
    };
    int failed = cmocka_run_group_tests(tests, scripted_open, scripted_close);
    forget();
    return failed;
}
