// The responses API over a model whose answers are written down: items, turns that go on, events.
#include "server/openai/responses.h"
#include "server/openai/testing.h"

static void responses(void **state) {
    (void)state;
    answer = scripted_call;
    json_t *r = post(xn_openai_responses,
                     "{\"model\": \"m\", \"instructions\": \"Be terse.\", \"input\": \"Hi\", \"tools\": [{\"type\": "
                     "\"function\", \"name\": \"weather\", \"parameters\": {\"type\": \"object\"}, \"strict\": true}], "
                     "\"metadata\": {\"a\": \"b\"}}",
                     200);
    assert_non_null(strstr(scripted.requests[0].prompt, "<|im_start|>system\nBe terse.<|im_end|>"));
    assert_text(r, "object", "response");
    assert_text(r, "status", "completed");
    assert_text(r, "output.0.type", "reasoning");
    assert_text(r, "output.0.content.0.text", "Look.");
    assert_text(r, "output.1.type", "message");
    assert_text(r, "output.1.content.0.text", "One moment.");
    assert_text(r, "output.2.type", "function_call");
    assert_text(r, "output.2.arguments", "{\"city\": \"Oulu\"}");
    assert_text(r, "output.2.name", "weather");
    assert_text(r, "metadata.a", "b");
    assert_number(r, "usage.input_tokens_details.cached_tokens", 3);
    char body[512], id[64];
    snprintf(id, sizeof id, "%s", json_string_value(json_object_get(r, "id")));
    const char *call_id = json_string_value(value_at(r, "output.2.call_id"));
    snprintf(body, sizeof body,
             "{\"previous_response_id\": \"%s\", \"input\": [{\"type\": \"function_call_output\", \"call_id\": \"%s\", "
             "\"output\": \"snow\"}]}",
             id, call_id);
    json_decref(r);

    // The next turn has all of the last but the instructions.
    answer = "It snows.";
    r = post(xn_openai_responses, body, 200);
    assert_non_null(strstr(scripted.requests[0].prompt,
                           "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>Look.</think>One moment."
                           "<tool_call>weather:{\"city\": \"Oulu\"}</tool_call><|im_end|>\n<|im_start|>tool\nsnow"));
    assert_null(strstr(scripted.requests[0].prompt, "terse"));
    assert_text(r, "previous_response_id", id);
    assert_text(r, "output.0.content.0.text", "It snows.");
    json_decref(r);

    char path[128];
    snprintf(path, sizeof path, "/v1/responses/%s", id);
    scripted_reset();
    scripted.path = path;
    scripted_post(xn_openai_response_get, xn_openai_error, "{}");
    r = scripted_reply(200);
    assert_text(r, "id", id);
    json_decref(r);
    scripted_reset();
    scripted.path = path;
    scripted_post(xn_openai_response_delete, xn_openai_error, "{}");
    json_decref(scripted_reply(200));
    scripted_reset();
    scripted.path = path;
    scripted_post(xn_openai_response_get, xn_openai_error, "{}");
    json_decref(scripted_reply(404));
    json_decref(post(xn_openai_responses, body, 404));

    // Not kept where that is not wished.
    r = post(xn_openai_responses, "{\"input\": \"Hi\", \"store\": false}", 200);
    snprintf(body, sizeof body, "{\"previous_response_id\": \"%s\", \"input\": \"Hi\"}",
             json_string_value(json_object_get(r, "id")));
    json_decref(r);
    json_decref(post(xn_openai_responses, body, 404));

    r = post(xn_openai_responses, "{\"input\": \"Hi\", \"max_output_tokens\": 1}", 200);
    assert_text(r, "status", "incomplete");
    assert_text(r, "incomplete_details.reason", "max_output_tokens");
    json_decref(r);
    answer = NULL;
}

static void responses_stream(void **state) {
    (void)state;
    static const char *const expected[] = {
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.reasoning_text.delta",
        "response.reasoning_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    };
    answer = scripted_call;
    stream(xn_openai_responses, "{\"input\": [{\"role\": \"user\", \"content\": [{\"type\": \"input_text\", \"text\": "
                                "\"Hi\"}]}], \"stream\": true, \"include\": [\"message.output_text.logprobs\"], "
                                "\"top_logprobs\": 1, \"tools\": [{\"type\": \"function\", \"name\": \"weather\"}]}");
    size_t at = 0, i = 0;
    json_t *event;
    const char *name;
    struct xn_text text = {0};
    for (; (event = scripted_event(i, &name)); i++) {
        assert_text(event, "type", name);
        assert_number(event, "sequence_number", (double)i);
        // Deltas come any number of times.
        bool again = at && strcmp(expected[at - 1], name) == 0 && strstr(name, ".delta");
        if (!again && (at == sizeof expected / sizeof *expected || strcmp(expected[at], name) != 0))
            fail_msg("event %zu: %s", i, name);
        at += !again;
        if (strcmp(name, "response.output_text.delta") == 0) {
            json_t *delta = json_object_get(event, "delta");
            xn_text_put(&text, json_string_value(delta), json_string_length(delta), NULL);
            assert_true(json_is_array(json_object_get(event, "logprobs")));
            assert_number(event, "output_index", 1);
        }
        if (strcmp(name, "response.completed") == 0) {
            assert_text(event, "response.output.1.content.0.text", "One moment.");
            assert_true(json_array_size(value_at(event, "response.output.1.content.0.logprobs")) > 0);
            assert_text(event, "response.status", "completed");
        }
        json_decref(event);
    }
    assert_int_equal(at, sizeof expected / sizeof *expected);
    assert_string_equal(text.data, "One moment.");
    free(text.data);

    scripted_reset();
    scripted.answer = "Hello";
    scripted.finish = XN_SERVING_ERROR;
    scripted.error = "lost";
    scripted_post(xn_openai_responses, xn_openai_error, "{\"input\": \"Hi\", \"stream\": true}");
    assert_non_null(strstr(scripted.reply.data, "event: response.failed\n"));

    static const char *const refused[][2] = {
        {"{}", "input"},
        {"{\"input\": []}", "input"},
        {"{\"input\": [{\"role\": \"king\", \"content\": \"x\"}]}", "input[0].role"},
        {"{\"input\": [{\"role\": \"user\", \"content\": [{\"type\": \"input_image\"}]}]}", "input[0].content[0]"},
        {"{\"input\": [{\"type\": \"web_search_call\"}]}", "input[0].type"},
        {"{\"input\": [{\"type\": \"function_call\", \"name\": \"x\"}]}", "input[0]"},
        {"{\"input\": [{\"type\": \"function_call_output\", \"call_id\": 4}]}", "input[0].call_id"},
        {"{\"input\": \"x\", \"background\": true}", "background"},
        {"{\"input\": \"x\", \"conversation\": \"c\"}", "conversation"},
        {"{\"input\": \"x\", \"tools\": [{\"type\": \"file_search\"}]}", "tools[0].type"},
        {"{\"input\": \"x\", \"text\": {\"format\": {\"type\": \"json_schema\"}}}", "text.format"},
        {"{\"input\": \"x\", \"reasoning\": {\"effort\": \"giant\"}}", "reasoning.effort"},
        {"{\"input\": \"x\", \"max_output_tokens\": \"9\"}", "max_output_tokens"},
    };
    for (size_t k = 0; k < sizeof refused / sizeof *refused; k++) {
        json_t *r = post(xn_openai_responses, refused[k][0], 400);
        assert_text(r, "error.param", refused[k][1]);
        json_decref(r);
    }
    answer = NULL;
}

// More responses than are kept: the oldest are forgotten, and no owner sees another's.
static void store(void **state) {
    (void)state;
    json_t *conversation = json_array(), *response = json_object();
    char id[XN_CALL_ID];
    for (int i = 0; i < 300; i++) {
        snprintf(id, sizeof id, "r%d", i);
        xn_response_keep(id, 1, conversation, response);
        assert_true(xn_response_find("r0", 1, NULL, NULL)); // stays in use
    }
    assert_false(xn_response_find("r1", 1, NULL, NULL));
    assert_true(xn_response_find("r299", 1, NULL, NULL));
    assert_false(xn_response_find("r299", 2, NULL, NULL));
    assert_false(xn_response_drop("r299", 2));
    json_decref(conversation);
    json_decref(response);
    xn_openai_forget_responses();
    assert_false(xn_response_find("r299", 1, NULL, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(responses),
        cmocka_unit_test(responses_stream),
        cmocka_unit_test(store),
    };
    int failed = cmocka_run_group_tests(tests, scripted_open, scripted_close);
    xn_openai_forget_responses();
    return failed;
}
