// Chat templates: every shared case byte for byte, the default template, and what is wrong with a conversation.
#include "text/chat.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { NOW = 1768469400 }; // 2026-01-15 09:30:00 UTC

static const char *shared;

static const json_t *conversation(const json_t *all, const char *id) {
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(all, "conversations"), i, c) {
        if (strcmp(json_string_value(json_object_get(c, "id")), id) == 0) return c;
    }
    fail_msg("no conversation %s", id);
    return NULL;
}

static struct xn_template *load(const char *name) {
    char path[1024];
    snprintf(path, sizeof path, "%s/text/chat/templates/%s.jinja", shared, name);
    char *source;
    size_t size;
    struct xn_error err;
    struct xn_template *t = NULL;
    if (xn_read_file(path, 1 << 20, &source, &size, &err) != XN_OK) fail_msg("%s", err.message);
    if (xn_template_parse(source, size, name, &t, &err) != XN_OK) fail_msg("%s", err.message);
    free(source);
    return t;
}

static int render(const struct xn_template *t, const json_t *c, char **out, size_t *size, struct xn_error *err) {
    const json_t *tools = json_object_get(c, "tools");
    struct xn_chat chat = {
        .messages = json_object_get(c, "messages"),
        .tools = json_is_null(tools) ? NULL : tools,
        .kwargs = json_object_get(c, "kwargs"),
        .bos = json_string_value(json_object_get(c, "bos_token")),
        .eos = json_string_value(json_object_get(c, "eos_token")),
        .add_generation_prompt = json_is_true(json_object_get(c, "add_generation_prompt")),
    };
    return xn_chat_render(t, &chat, NOW, out, size, err);
}

// Whether the case came out as expected.
static bool check(const struct xn_template *t, const json_t *all, const json_t *expected) {
    const char *id = json_string_value(json_object_get(expected, "conversation")), *class = NULL, *message = NULL;
    const json_t *output = json_object_get(expected, "output");
    char *out;
    size_t size;
    struct xn_error err = {0};
    int status = render(t, conversation(all, id), &out, &size, &err);
    bool good;
    if (output) {
        good =
            status == XN_OK && size == json_string_length(output) && memcmp(out, json_string_value(output), size) == 0;
    } else {
        class = json_string_value(json_object_get(expected, "error"));
        message = json_string_value(json_object_get(expected, "message"));
        good = status == XN_ERR_TEMPLATE && (strcmp(class, "TemplateError") != 0 || strcmp(err.message, message) == 0);
    }
    if (!good)
        printf("%s: status %d, %s; expected %s\n", id, status, err.message, message ? message : "another output");
    free(out);
    return good;
}

static void the_shared_cases_come_out_byte_for_byte(void **state) {
    (void)state;
    if (!shared) {
        printf("XENON_SHARED is not set: skipped\n");
        skip();
    }
    char path[1024], *text;
    size_t size;
    struct xn_error err;
    snprintf(path, sizeof path, "%s/text/chat/conversations.json", shared);
    json_t *all = json_load_file(path, 0, NULL);
    assert_non_null(all);
    snprintf(path, sizeof path, "%s/text/chat/expected.jsonl", shared);
    assert_int_equal(xn_read_file(path, 64 << 20, &text, &size, &err), XN_OK);
    char name[256] = "", *rest;
    struct xn_template *t = NULL;
    unsigned wrong = 0, cases = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *expected = json_loads(line, JSON_ALLOW_NUL, NULL);
        assert_non_null(expected);
        const char *wanted = json_string_value(json_object_get(expected, "template"));
        if (strcmp(wanted, name) != 0) {
            xn_template_free(t);
            t = load(wanted);
            snprintf(name, sizeof name, "%s", wanted);
        }
        bool good = check(t, all, expected);
        if (!good) printf("  in %s\n", name);
        wrong += !good;
        cases++;
        json_decref(expected);
    }
    xn_template_free(t);
    free(text);
    json_decref(all);
    printf("%u cases, %u wrong\n", cases, wrong);
    assert_true(cases > 0);
    assert_int_equal(wrong, 0);
}

static void the_default_template_is_chatml(void **state) {
    (void)state;
    struct xn_error err;
    struct xn_template *t;
    assert_int_equal(xn_template_parse(xn_chat_default_template, strlen(xn_chat_default_template), "default", &t, &err),
                     XN_OK);
    json_t *messages =
        json_loads("[{\"role\":\"system\",\"content\":\" Be brief. \"},"
                   "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"Hi\\n\"},{\"type\":\"image\"}]},"
                   "{\"role\":\"assistant\",\"content\":null}]",
                   0, NULL);
    assert_non_null(messages);
    struct xn_chat chat = {.messages = messages, .add_generation_prompt = true};
    char *out;
    size_t size;
    assert_int_equal(xn_chat_render(t, &chat, NOW, &out, &size, &err), XN_OK);
    assert_string_equal(out, "<|im_start|>system\n Be brief. <|im_end|>\n<|im_start|>user\nHi\n<|im_end|>\n"
                             "<|im_start|>assistant\n<|im_end|>\n<|im_start|>assistant\n");
    assert_int_equal(size, strlen(out));
    free(out);
    json_decref(messages);
    xn_template_free(t);
}

static void a_conversation_that_is_none_is_an_argument_error(void **state) {
    (void)state;
    struct xn_error err;
    struct xn_template *t;
    assert_int_equal(xn_template_parse("{{ messages }}", 14, "t", &t, &err), XN_OK);
    json_t *object = json_object(), *array = json_array();
    const struct xn_chat wrong[] = {
        {0}, {.messages = object}, {.messages = array, .tools = object}, {.messages = array, .kwargs = array}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char *out;
        size_t size;
        assert_int_equal(xn_chat_render(t, &wrong[i], NOW, &out, &size, &err), XN_ERR_ARGUMENT);
        assert_null(out);
    }
    json_decref(object);
    json_decref(array);
    xn_template_free(t);
}

int main(void) {
    shared = getenv("XENON_SHARED");
    char path[1024];
    snprintf(path, sizeof path, "%s/text/chat/expected.jsonl", shared ? shared : "");
    if (shared && !xn_file_exists(path)) shared = NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_shared_cases_come_out_byte_for_byte),
        cmocka_unit_test(the_default_template_is_chatml),
        cmocka_unit_test(a_conversation_that_is_none_is_an_argument_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
