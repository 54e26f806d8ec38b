// Prompts of completions: conversations made ready for templates, beginnings of answers, and what fails.
#include "server/completion/testing.h"

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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conversations),
        cmocka_unit_test(text_arguments),
        cmocka_unit_test(prompts_that_fail),
    };
    return cmocka_run_group_tests(tests, scripted_open, scripted_close);
}
