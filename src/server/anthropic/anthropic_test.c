// Anthropic's API over a model whose answers are written down: what it reads, refuses, and says, whole and in streams.
#include "server/anthropic/internal.h"
#include "server/completion/testing.h"

static json_t *post(const char *answer, const char *body, int status) {
    scripted_reset();
    scripted.answer = answer;
    scripted_post(xn_anthropic_create, xn_anthropic_error, body);
    return scripted_reply(status);
}

#define BASE "\"model\": \"m\", \"max_tokens\": 100, "
#define USER BASE "\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]"
#define TOOLS                                                                                                          \
    "\"tools\": [{\"name\": \"weather\", \"description\": \"d\", \"input_schema\": {\"type\": \"object\", "            \
    "\"properties\": {\"city\": {\"type\": \"string\"}}}}]"

static void whole(void **state) {
    (void)state;
    json_t *r = post(scripted_call,
                     "{" USER ", " TOOLS ", \"system\": [{\"type\": \"text\", \"text\": \"Be terse.\"}], "
                     "\"thinking\": {\"type\": \"enabled\", \"budget_tokens\": 1024}}",
                     200);
    // The prompt opens the reasoning, so all up to </think> is that, its mark included.
    assert_non_null(strstr(scripted.requests[0].prompt, "<|im_start|>system\nBe terse.<|im_end|>"));
    assert_non_null(strstr(scripted.requests[0].prompt, "\"parameters\": {\"type\": \"object\""));
    assert_text(r, "type", "message");
    assert_text(r, "role", "assistant");
    assert_text(r, "model", "scripted");
    assert_text(r, "content.0.type", "thinking");
    assert_text(r, "content.1.text", "One moment.");
    assert_text(r, "content.2.type", "tool_use");
    assert_text(r, "content.2.name", "weather");
    assert_text(r, "content.2.input.city", "Oulu");
    assert_text(r, "stop_reason", "tool_use");
    assert_true(json_is_null(json_object_get(r, "stop_sequence")));
    assert_number(r, "usage.cache_read_input_tokens", 3);
    assert_number(r, "usage.input_tokens", scripted.requests[0].request.n_ids - 3);
    json_decref(r);

    // Without it asked for, reasoning is left out.
    r = post("<think>Look.</think>It snows.", "{" USER "}", 200);
    assert_int_equal(json_array_size(json_object_get(r, "content")), 1);
    assert_text(r, "content.0.text", "It snows.");
    assert_text(r, "stop_reason", "end_turn");
    json_decref(r);

    r = post("one two three", "{" USER ", \"stop_sequences\": [\"two\"]}", 200);
    assert_text(r, "content.0.text", "one ");
    assert_text(r, "stop_reason", "stop_sequence");
    assert_text(r, "stop_sequence", "two");
    json_decref(r);
    r = post("one two three",
             "{\"max_tokens\": 1, \"temperature\": 0.5, \"top_k\": 3, \"messages\": [{\"role\": \"user\", \"content\": "
             "\"Hi\"}]}",
             200);
    assert_text(r, "stop_reason", "max_tokens");
    assert_true(scripted.requests[0].sampling.temperature == 0.5f && scripted.requests[0].sampling.top_k == 3);
    json_decref(r);
}

static void conversation(void **state) {
    (void)state;
    json_t *r =
        post("Done.",
             "{" BASE "\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"A\"}, "
             "{\"type\": \"text\", \"text\": \"B\", \"cache_control\": {\"type\": \"ephemeral\"}}]}, "
             "{\"role\": \"assistant\", \"content\": [{\"type\": \"thinking\", \"thinking\": \"T\", "
             "\"signature\": \"s\"}, {\"type\": \"text\", \"text\": \"C\"}, {\"type\": \"tool_use\", \"id\": "
             "\"u1\", \"name\": \"weather\", \"input\": {\"city\": \"Oulu\"}}]}, "
             "{\"role\": \"user\", \"content\": [{\"type\": \"tool_result\", \"tool_use_id\": \"u1\", "
             "\"content\": [{\"type\": \"text\", \"text\": \"snow\"}]}, {\"type\": \"text\", \"text\": "
             "\"So?\"}]}]}",
             200);
    assert_string_equal(scripted.requests[0].prompt,
                        "<|im_start|>user\nA\nB<|im_end|>\n<|im_start|>assistant\n<think>T</think>C"
                        "<tool_call>weather:{\"city\": \"Oulu\"}</tool_call><|im_end|>\n<|im_start|>tool\n"
                        "snow(weather)<|im_end|>\n<|im_start|>user\nSo?<|im_end|>\n<|im_start|>assistant\n");
    json_decref(r);
    // The beginning of an answer.
    r = post("llo",
             "{" BASE "\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", "
             "\"content\": \"He\"}]}",
             200);
    assert_non_null(strstr(scripted.requests[0].prompt, "<|im_start|>assistant\nHe"));
    assert_text(r, "content.0.text", "llo");
    json_decref(r);

    scripted_reset();
    scripted_post(xn_anthropic_count, xn_anthropic_error,
                  "{\"model\": \"m\", \"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}");
    r = scripted_reply(200);
    int64_t n = json_integer_value(json_object_get(r, "input_tokens"));
    json_decref(r);
    r = post("x", "{" USER "}", 200);
    assert_int_equal(n, scripted.requests[0].request.n_ids);
    json_decref(r);
}

static void stream(void **state) {
    (void)state;
    static const char *const expected[] = {
        "message_start",       "ping",
        "content_block_start", "content_block_delta",
        "content_block_stop",  "content_block_start",
        "content_block_delta", "content_block_stop",
        "content_block_start", "content_block_delta",
        "content_block_stop",  "message_delta",
        "message_stop",
    };
    scripted_reset();
    scripted.answer = scripted_call;
    scripted_post(xn_anthropic_create, xn_anthropic_error,
                  "{" USER ", " TOOLS
                  ", \"stream\": true, \"thinking\": {\"type\": \"enabled\", \"budget_tokens\": 1024}}");
    size_t at = 0, i = 0;
    const char *name;
    json_t *event;
    struct xn_text text = {0}, json = {0}, thinking = {0};
    for (; (event = scripted_event(i, &name)); i++) {
        assert_text(event, "type", name);
        bool again = at && strcmp(expected[at - 1], name) == 0 && strcmp(name, "content_block_delta") == 0;
        if (!again && (at == sizeof expected / sizeof *expected || strcmp(expected[at], name) != 0))
            fail_msg("event %zu: %s", i, name);
        at += !again;
        json_t *value;
        if ((value = value_at(event, "delta.text")))
            xn_text_put(&text, json_string_value(value), json_string_length(value), NULL);
        if ((value = value_at(event, "delta.thinking")))
            xn_text_put(&thinking, json_string_value(value), json_string_length(value), NULL);
        if ((value = value_at(event, "delta.partial_json"))) {
            xn_text_put(&json, json_string_value(value), json_string_length(value), NULL);
            assert_number(event, "index", 2);
        }
        if (strcmp(name, "message_start") == 0) {
            assert_int_equal(json_array_size(value_at(event, "message.content")), 0);
            assert_number(event, "message.usage.input_tokens", scripted.requests[0].request.n_ids - 3);
        }
        if (strcmp(name, "message_delta") == 0) {
            assert_text(event, "delta.stop_reason", "tool_use");
            assert_true(json_integer_value(value_at(event, "usage.output_tokens")) > 5);
        }
        json_decref(event);
    }
    assert_int_equal(at, sizeof expected / sizeof *expected);
    assert_string_equal(text.data, "One moment.");
    assert_non_null(strstr(thinking.data, "Look."));
    assert_string_equal(json.data, "{\"city\": \"Oulu\"}");
    free(text.data);
    free(json.data);
    free(thinking.data);

    scripted_reset();
    scripted.answer = "Hello";
    scripted.finish = XN_SERVING_ERROR;
    scripted.error = "lost";
    scripted_post(xn_anthropic_create, xn_anthropic_error, "{" USER ", \"stream\": true}");
    assert_non_null(
        strstr(scripted.reply.data, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\""));
    for (size_t after = 1; after < 6; after++) {
        scripted_reset();
        scripted.answer = "one two three four five six seven eight nine ten";
        scripted.gone_after = after;
        scripted_post(xn_anthropic_create, xn_anthropic_error, "{" USER ", \"stream\": true}");
        assert_true(scripted.requests[0].cancelled);
    }
}

static void refuses(void **state) {
    (void)state;
    static const struct {
        const char *body, *part;
    } cases[] = {
        {"{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}", "max_tokens: "},
        {"{" BASE "\"messages\": []}", "messages: "},
        {"{" BASE "\"messages\": [7]}", "messages[0].role: "},
        {"{" BASE "\"messages\": [{\"role\": \"tool\", \"content\": \"x\"}]}", "messages[0].role: "},
        {"{" BASE "\"messages\": [{\"role\": \"user\"}]}", "messages[0].content: "},
        {"{" BASE "\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image\", \"source\": {}}]}]}",
         "image"},
        {"{" BASE "\"messages\": [{\"role\": \"user\", \"content\": [{\"text\": \"x\"}]}]}",
         "messages[0].content[0].type: "},
        {"{" BASE "\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"tool_result\"}]}]}", "tool_use_id: "},
        {"{" BASE
         "\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"tool_result\", \"tool_use_id\": \"a\", "
         "\"content\": [{\"type\": \"image\"}]}]}]}",
         "text only"},
        {"{" BASE
         "\"messages\": [{\"role\": \"assistant\", \"content\": [{\"type\": \"tool_use\", \"id\": \"a\", \"name\": "
         "\"b\"}]}]}",
         "input: "},
        {"{" BASE "\"messages\": [{\"role\": \"user\", \"content\": []}]}", "no text"},
        {"{" USER ", \"system\": 4}", "system: "},
        {"{" USER ", \"system\": [{}]}", "system[0].text: "},
        {"{" USER ", \"temperature\": 5}", "temperature: "},
        {"{" USER ", \"top_k\": -1}", "top_k: "},
        {"{" USER ", \"max_tokens\": 0}", "max_tokens: "},
        {"{" USER ", \"stop_sequences\": [1]}", "stop_sequences[0]: "},
        {"{" USER ", \"tools\": [{\"type\": \"web_search_20250305\", \"name\": \"w\"}]}", "web_search_20250305"},
        {"{" USER ", \"tools\": [{\"name\": \"w\"}]}", "input_schema: "},
        {"{" USER ", \"tool_choice\": {\"type\": \"any\"}}", "no tools"},
        {"{" USER ", " TOOLS ", \"tool_choice\": {\"type\": \"tool\", \"name\": \"x\"}}", "none of the tools"},
        {"{" USER ", " TOOLS ", \"tool_choice\": {\"type\": \"perhaps\"}}", "tool_choice: "},
        {"{" USER ", \"thinking\": {\"type\": \"maybe\"}}", "thinking.type: "},
        {"{" USER ", \"output_config\": {\"format\": {\"type\": \"xml\"}}}", "output_config.format: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *r = post("x", cases[i].body, 400);
        assert_text(r, "type", "error");
        assert_text(r, "error.type", "invalid_request_error");
        if (!strstr(json_string_value(value_at(r, "error.message")), cases[i].part))
            fail_msg("%s: '%s' does not say '%s'", cases[i].body, json_string_value(value_at(r, "error.message")),
                     cases[i].part);
        json_decref(r);
    }
    json_t *r = post("x", "{\"model\": \"missing\", \"max_tokens\": 1}", 404);
    assert_text(r, "error.type", "not_found_error");
    json_decref(r);
}

static void choices(void **state) {
    (void)state;
    json_decref(post("x", "{" USER ", " TOOLS ", \"tool_choice\": {\"type\": \"none\"}}", 200));
    assert_null(strstr(scripted.requests[0].prompt, "weather"));
    // One use at the most.
    static const char two[] = "<tool_call>{\"name\": \"weather\", \"arguments\": {}}</tool_call>"
                              "<tool_call>{\"name\": \"weather\", \"arguments\": {}}</tool_call>";
    json_t *r = post(two, "{" USER ", " TOOLS "}", 200);
    assert_int_equal(json_array_size(json_object_get(r, "content")), 2);
    json_decref(r);
    r = post(two, "{" USER ", " TOOLS ", \"tool_choice\": {\"type\": \"auto\", \"disable_parallel_tool_use\": true}}",
             200);
    assert_int_equal(json_array_size(json_object_get(r, "content")), 1);
    assert_text(r, "stop_reason", "tool_use");
    json_decref(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole),   cmocka_unit_test(conversation), cmocka_unit_test(stream),
        cmocka_unit_test(refuses), cmocka_unit_test(choices),
    };
    return cmocka_run_group_tests(tests, scripted_open, scripted_close);
}
