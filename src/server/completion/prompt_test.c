// Prompts of completions: conversations made ready for templates, beginnings of answers, and what fails.
#include "server/completion/testing.h"

#include "base/file.h"
#include "text/chat.h"

static struct xn_error err;

static struct xn_completion_request chat(const char *messages) {
    struct xn_completion_request r;
    xn_completion_request_init(&r, &scripted.served);
    r.messages = json_loads(messages, 0, NULL);
    assert_non_null(r.messages);
    return r;
}

// The prompts here fail before there is an event.
static int no_event(void *user, const struct xn_completion_event *event) {
    (void)user, (void)event;
    fail_msg("an event");
    return 1;
}

static void conversations(void **state) {
    (void)state;
    static const struct {
        const char *messages, *prompt;
        bool begun;
    } cases[] = {
        {"[{\"role\": \"developer\", \"content\": [{\"type\": \"text\", \"text\": \"Be\"}, {\"type\": \"text\", "
         "\"text\": "
         "\"terse\"}]}, {\"role\": \"user\", \"content\": \"Hi\"}]",
         "<|im_start|>system\nBe\nterse<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", false},
        // Arguments as objects, the tool's name beside its result, no content where there is none.
        {"[{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": null, \"tool_calls\": "
         "[{\"id\": "
         "\"c1\", \"type\": \"function\", \"function\": {\"name\": \"weather\", \"arguments\": \"{\\\"city\\\": "
         "\\\"Oulu\\\"}\"}}]}, {\"role\": \"tool\", \"tool_call_id\": \"c1\", \"content\": \"snow\"}]",
         "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<tool_call>weather:{\"city\": \"Oulu\"}</tool_call>"
         "<|im_end|>\n<|im_start|>tool\nsnow(weather)<|im_end|>\n<|im_start|>assistant\n",
         false},
        // The beginning of an answer.
        {"[{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": \"Hello, \"}]",
         "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello, ", true},
        {"[{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": \"Hello, \", "
         "\"reasoning_content\": \"Greet.\"}]",
         "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\nGreet.\n</think>\n\nHello, ", true},
        {"[{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"reasoning\": \"Greet.\", "
         "\"content\": "
         "\"Hello\"}, {\"role\": \"user\", \"content\": \"Bye\"}]",
         "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>Greet.</think>Hello<|im_end|>\n"
         "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n",
         false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text;
        size_t size;
        scripted_reset();
        struct xn_completion_request r = chat(cases[i].messages);
        r.no_generation_prompt = cases[i].begun;
        if (xn_completion_prompt(&scripted.served, &r, &text, &size, &err)) fail_msg("%s", err.message);
        assert_string_equal(text, cases[i].prompt);
        assert_int_equal(size, strlen(text));
        free(text);
        xn_completion_request_free(&r);
    }
    // A beginning behind a prompt that opens the reasoning.
    char *text;
    size_t size;
    struct xn_completion_request r = chat(cases[2].messages);
    r.no_generation_prompt = true;
    r.template_arguments = json_pack("{s:b}", "enable_thinking", 1);
    assert_int_equal(xn_completion_prompt(&scripted.served, &r, &text, &size, &err), XN_OK);
    assert_string_equal(text, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n</think>\n\nHello, ");
    free(text);
    xn_completion_request_free(&r);
}

// Templates that put arguments together as texts get texts.
static void text_arguments(void **state) {
    (void)state;
    static const char source[] = "{% for m in messages %}{% for c in m.tool_calls or [] %}"
                                 "{{ c.function.name + '(' + c.function.arguments + ')' }}{% endfor %}{% endfor %}";
    struct xn_template *own, *before = scripted.model.chat;
    assert_int_equal(xn_template_parse(source, sizeof source - 1, "texts", &own, &err), XN_OK);
    scripted.model.chat = own;
    struct xn_completion_request r = chat(
        "[{\"role\": \"assistant\", \"tool_calls\": [{\"id\": \"a\", \"function\": {\"name\": \"f\", \"arguments\": "
        "{\"x\": 1}}}]}]");
    char *text;
    size_t size;
    int status = xn_completion_prompt(&scripted.served, &r, &text, &size, &err);
    scripted.model.chat = before;
    xn_template_free(own);
    assert_int_equal(status, XN_OK);
    assert_string_equal(text, "f({\"x\": 1})");
    free(text);
    xn_completion_request_free(&r);
}

static void prompts_that_fail(void **state) {
    (void)state;
    scripted_reset();
    struct xn_completion *c;
    struct xn_completion_request r = chat("[]");
    r.no_generation_prompt = true;
    assert_int_equal(xn_completion_start(&scripted.served, &r, no_event, NULL, &c, &err), XN_ERR_ARGUMENT);
    xn_completion_request_free(&r);
    static const char source[] = "{{ raise_exception('roles must alternate') }}";
    struct xn_template *own, *before = scripted.model.chat;
    assert_int_equal(xn_template_parse(source, sizeof source - 1, "raises", &own, &err), XN_OK);
    scripted.model.chat = own;
    r = chat("[{\"role\": \"user\", \"content\": \"Hi\"}]");
    int status = xn_completion_start(&scripted.served, &r, no_event, NULL, &c, &err);
    scripted.model.chat = NULL; // a model without: ChatML
    char *text;
    size_t size;
    assert_int_equal(xn_completion_prompt(&scripted.served, &r, &text, &size, &err), XN_OK);
    scripted.model.chat = before;
    xn_template_free(own);
    assert_int_equal(status, XN_ERR_TEMPLATE);
    assert_string_equal(text, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
    free(text);
    xn_completion_request_free(&r);
}

// ---- published templates, with the prompts that transformers makes (../shared/text)

static char *read_file(const char *folder, const char *name, size_t *size) {
    char *path = xn_format("%s/text/chat/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s", path);
    free(path);
    struct xn_text text = {0};
    char piece[4096];
    for (size_t n; (n = fread(piece, 1, sizeof piece, file)) > 0;)
        xn_text_put(&text, piece, n, NULL);
    fclose(file);
    if (size) *size = text.size;
    return text.data;
}

static json_t *by_id(json_t *conversations, const char *id) {
    size_t i;
    json_t *c;
    json_array_foreach(conversations, i, c) {
        if (strcmp(json_string_value(json_object_get(c, "id")), id) == 0) return c;
    }
    return NULL;
}

// What the template makes of the conversation once it was made ready, or NULL.
static char *rendered(const char *source, size_t size, json_t *c) {
    struct xn_template *t;
    json_t *messages;
    assert_int_equal(xn_template_parse(source, size, "t", &t, &err), XN_OK);
    assert_int_equal(xn_template_messages(json_object_get(c, "messages"), source, false, &messages, &err), XN_OK);
    struct xn_chat chat = {
        .messages = messages,
        .tools = json_object_get(c, "tools"),
        .kwargs = json_object_get(c, "kwargs"),
        .bos = json_string_value(json_object_get(c, "bos_token")),
        .eos = json_string_value(json_object_get(c, "eos_token")),
        .add_generation_prompt = json_is_true(json_object_get(c, "add_generation_prompt")),
    };
    char *out;
    xn_chat_render(t, &chat, 1768469400, &out, &size, &err); // 2026-01-15 09:30
    json_decref(messages);
    xn_template_free(t);
    return out;
}

// Making ready changes nothing of what templates already take, and loses no prompt.
static void published(void **state) {
    (void)state;
    // Where it is to change something: parts, roles, contents and arguments that templates print as Python would.
    static const char *const changed[] = {"content_parts", "content_parts_user", "developer_effort",
                                          "tool_call_string_args", "tool_call_null_content"};
    bool harmony; // which knows reasoning by another name
    const char *shared = getenv("XENON_SHARED");
    char *path = xn_format("%s/text/chat/expected.jsonl", shared ? shared : "");
    bool there = xn_file_exists(path);
    free(path);
    if (!there) skip();
    char *text = read_file(shared, "conversations.json", NULL), *expected = read_file(shared, "expected.jsonl", NULL);
    json_t *all = json_loads(text, 0, NULL), *conversations = json_object_get(all, "conversations");
    free(text);
    int same = 0;
    for (char *rest = expected, *line; (line = strsep(&rest, "\n"));) {
        json_t *e = *line ? json_loads(line, 0, NULL) : NULL;
        const char *want = json_string_value(json_object_get(e, "output")),
                   *id = json_string_value(json_object_get(e, "conversation"));
        if (want) {
            size_t size;
            char *name = xn_format("templates/%s.jinja", json_string_value(json_object_get(e, "template")));
            char *source = read_file(shared, name, &size), *out = rendered(source, size, by_id(conversations, id));
            harmony = strstr(name, "gpt-oss") && strcmp(id, "reasoning_tool_call") == 0;
            bool may = harmony && out && strstr(out, "analysis<|message|>I should use the calculator.");
            for (size_t i = 0; i < sizeof changed / sizeof *changed; i++)
                may |= strcmp(changed[i], id) == 0;
            if (!out || (!may && strcmp(out, want) != 0)) fail_msg("%s, %s: %s", name, id, out ? out : err.message);
            same += strcmp(out, want) == 0;
            free(out);
            free(source);
            free(name);
        }
        json_decref(e);
    }
    assert_true(same > 800);
    free(expected);
    json_decref(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversations),
        cmocka_unit_test(text_arguments),
        cmocka_unit_test(prompts_that_fail),
        cmocka_unit_test(published),
    };
    return cmocka_run_group_tests(tests, scripted_open, scripted_close);
}
