// OpenAI's API over a model whose answers are written down: what it reads, refuses, and says, whole and in streams.
#include "server/openai/internal.h"
#include "server/openai/testing.h"

#define USER "\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]"
#define TOOLS                                                                                                          \
    "\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"weather\", \"parameters\": {\"type\": "           \
    "\"object\", \"properties\": {\"city\": {\"type\": \"string\"}}}}}]"

static void chat_whole(void **state) {
    (void)state;
    answer = "<think>Greet.</think>Hello there.";
    json_t *r =
        post(xn_openai_chat, "{\"model\": \"m\", " USER ", \"n\": 2, \"logprobs\": true, \"top_logprobs\": 2}", 200);
    assert_text(r, "object", "chat.completion");
    assert_text(r, "model", "scripted");
    assert_memory_equal(json_string_value(json_object_get(r, "id")), "chatcmpl-", 9);
    assert_int_equal(json_array_size(json_object_get(r, "choices")), 2);
    assert_text(r, "choices.1.message.content", "Hello there.");
    assert_text(r, "choices.1.message.reasoning_content", "Greet.");
    assert_text(r, "choices.1.message.role", "assistant");
    assert_text(r, "choices.1.finish_reason", "stop");
    assert_number(r, "choices.1.index", 1);
    assert_number(r, "choices.0.logprobs.content.0.logprob", -0.25);
    assert_int_equal(json_array_size(value_at(r, "choices.0.logprobs.content.0.top_logprobs")), 2);
    assert_true(json_is_integer(value_at(r, "choices.0.logprobs.content.0.bytes.0")));
    assert_number(r, "usage.prompt_tokens_details.cached_tokens", 3);
    json_int_t generated = json_integer_value(value_at(r, "usage.completion_tokens"));
    assert_int_equal(json_integer_value(value_at(r, "usage.total_tokens")),
                     generated + json_integer_value(value_at(r, "usage.prompt_tokens")));
    assert_int_equal(json_array_size(value_at(r, "choices.0.logprobs.content")), generated / 2);
    json_decref(r);

    answer = scripted_call;
    r = post(xn_openai_chat, "{" USER ", " TOOLS "}", 200);
    assert_text(r, "choices.0.message.tool_calls.0.function.name", "weather");
    assert_text(r, "choices.0.message.tool_calls.0.function.arguments", "{\"city\": \"Oulu\"}");
    assert_text(r, "choices.0.message.tool_calls.0.type", "function");
    assert_text(r, "choices.0.message.content", "One moment.");
    assert_text(r, "choices.0.finish_reason", "tool_calls");
    assert_true(json_is_null(value_at(r, "choices.0.logprobs")));
    json_decref(r);
    answer = NULL;
}

static void chat_stream(void **state) {
    (void)state;
    answer = scripted_call;
    stream(xn_openai_chat, "{" USER ", " TOOLS ", \"stream\": true, \"stream_options\": {\"include_usage\": true}}");
    struct xn_text content = {0}, reasoning = {0}, arguments = {0};
    const char *finish = NULL;
    json_t *event, *last = NULL;
    size_t i = 0;
    int begun = 0, usages = 0;
    char finished[16] = "";
    for (; (event = scripted_event(i, NULL)) && json_is_object(event); i++) {
        assert_text(event, "object", "chat.completion.chunk");
        json_t *delta = value_at(event, "choices.0.delta"), *text;
        if (i == 0) assert_text(delta, "role", "assistant");
        if ((text = json_object_get(delta, "content")))
            xn_text_put(&content, json_string_value(text), json_string_length(text), NULL);
        if ((text = json_object_get(delta, "reasoning_content")))
            xn_text_put(&reasoning, json_string_value(text), json_string_length(text), NULL);
        if (json_object_get(delta, "tool_calls")) {
            assert_number(delta, "tool_calls.0.index", 0);
            begun += value_at(delta, "tool_calls.0.id") != NULL;
            text = value_at(delta, "tool_calls.0.function.arguments");
            xn_text_put(&arguments, json_string_value(text), json_string_length(text), NULL);
        }
        if ((finish = json_string_value(value_at(event, "choices.0.finish_reason"))))
            snprintf(finished, sizeof finished, "%s", finish);
        usages += json_is_object(json_object_get(event, "usage"));
        json_decref(last);
        last = event;
    }
    assert_string_equal(json_string_value(event), "[DONE]");
    json_decref(event);
    assert_null(scripted_event(i + 1, NULL));
    assert_string_equal(content.data, "One moment.");
    assert_string_equal(reasoning.data, "Look.");
    assert_string_equal(arguments.data, "{\"city\": \"Oulu\"}");
    assert_int_equal(begun, 1);
    assert_int_equal(usages, 1);
    assert_string_equal(finished, "tool_calls");
    assert_int_equal(json_array_size(json_object_get(last, "choices")), 0);
    assert_true(json_is_number(value_at(last, "timings.predicted_per_second")));
    json_decref(last);
    free(content.data);
    free(reasoning.data);
    free(arguments.data);
    answer = NULL;
}

// What each body is refused with: the field named in `param`.
static void chat_refuses(void **state) {
    (void)state;
    static const struct {
        const char *body, *param, *part;
    } cases[] = {
        {"{}", "messages", "at least one"},
        {"{\"messages\": []}", "messages", "at least one"},
        {"{\"messages\": \"Hi\"}", "messages", "an array"},
        {"{\"messages\": [1]}", "messages[0]", "an object"},
        {"{\"messages\": [{\"role\": \"king\", \"content\": \"\"}]}", "messages[0].role", "king"},
        {"{\"messages\": [{\"role\": \"user\"}]}", "messages[0].content", "missing"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": 3}]}", "messages[0].content", "an integer"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image_url\", \"image_url\": {}}]}]}",
         "messages[0].content[0]", "image_url"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\"}]}]}", "messages[0].content[0].text",
         "a string"},
        {"{\"messages\": [{\"role\": \"assistant\", \"tool_calls\": {}}]}", "messages[0].tool_calls", "an array"},
        {"{\"messages\": [{\"role\": \"assistant\", \"tool_calls\": [{}]}]}", "messages[0].tool_calls[0].function.name",
         "a string"},
        {"{" USER ", \"temperature\": \"hot\"}", "temperature", "number"},
        {"{" USER ", \"top_p\": [1]}", "top_p", "number"},
        {"{" USER ", \"max_tokens\": 0}", "max_tokens", "at least 1"},
        {"{" USER ", \"max_tokens\": 1.5}", "max_tokens", "an integer"},
        {"{" USER ", \"max_completion_tokens\": -2}", "max_completion_tokens", "out of range"},
        {"{" USER ", \"n\": 0}", "n", "out of range"},
        {"{" USER ", \"n\": 100000}", "n", "out of range"},
        {"{" USER ", \"stop\": [1]}", "stop[0]", "a string"},
        {"{" USER ", \"stop\": {}}", "stop", "an array"},
        {"{" USER ", \"stream\": \"yes\"}", "stream", "a boolean"},
        {"{" USER ", \"top_logprobs\": 3}", "top_logprobs", "logprobs"},
        {"{" USER ", \"logprobs\": true, \"top_logprobs\": 21}", "top_logprobs", "out of range"},
        {"{" USER ", \"logit_bias\": {\"99999999999\": 1}}", "logit_bias", "none"},
        {"{" USER ", \"seed\": \"x\"}", "seed", "whole"},
        {"{" USER ", \"response_format\": {\"type\": \"xml\"}}", "response_format.type", "xml"},
        {"{" USER ", \"response_format\": {\"type\": \"json_schema\"}}", "response_format", "schema"},
        {"{" USER ", \"response_format\": {\"type\": \"json_object\"}, \"grammar\": \"root ::= \\\"a\\\"\"}",
         "response_format", "only one"},
        {"{" USER ", \"tools\": [{\"type\": \"web_search\"}]}", "tools[0].type", "web_search"},
        {"{" USER ", \"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"\"}}]}", "tools[0]", "name"},
        {"{" USER ", \"tool_choice\": \"required\"}", "tool_choice", "no tools"},
        {"{" USER ", " TOOLS ", \"tool_choice\": \"perhaps\"}", "tool_choice", "auto"},
        {"{" USER ", " TOOLS ", \"tool_choice\": {\"type\": \"function\", \"function\": {\"name\": \"x\"}}}",
         "tool_choice", "none of the tools"},
        {"{" USER ", \"modalities\": [\"audio\"]}", "modalities", "text"},
        {"{" USER ", \"functions\": [{\"name\": \"f\"}]}", "functions", "tools"},
        {"{" USER ", \"chat_template_kwargs\": {\"messages\": []}}", "chat_template_kwargs", "messages"},
        {"{" USER ", \"reasoning_effort\": \"giant\"}", "reasoning_effort", "giant"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *r = post(xn_openai_chat, cases[i].body, 400);
        assert_text(r, "error.type", "invalid_request_error");
        assert_text(r, "error.param", cases[i].param);
        if (!strstr(json_string_value(value_at(r, "error.message")), cases[i].part))
            fail_msg("%s: '%s' does not say '%s'", cases[i].body, json_string_value(value_at(r, "error.message")),
                     cases[i].part);
        assert_int_equal(scripted.n, 0);
        json_decref(r);
    }
    uint32_t context = scripted.served.context;
    scripted.served.context = 4;
    json_t *r = post(xn_openai_chat, "{" USER "}", 400);
    scripted.served.context = context;
    assert_text(r, "error.code", "context_length_exceeded");
    assert_text(r, "error.param", "messages");
    json_decref(r);
    r = post(xn_openai_chat, "{\"model\": \"missing\", " USER "}", 404);
    assert_text(r, "error.code", "model_not_found");
    json_decref(r);
}

// What reaches the engine.
static void chat_settings(void **state) {
    (void)state;
    json_t *r = post(xn_openai_chat,
                     "{" USER ", \"unknown_field\": {\"a\": [1]}, \"temperature\": 0.5, \"top_k\": 7, \"seed\": 12, "
                     "\"max_tokens\": 5, \"max_completion_tokens\": 9, \"frequency_penalty\": 0.5, \"min_p\": null, "
                     "\"repetition_penalty\": 1.25, \"cache_prompt\": false, \"ignore_eos\": true, \"priority\": -4, "
                     "\"id_slot\": 3, \"user\": \"x\", \"store\": true, \"logit_bias\": {\"5\": -100}, "
                     "\"chat_template_kwargs\": {\"enable_thinking\": true}}",
                     200);
    json_decref(r);
    const struct scripted_request *q = &scripted.requests[0];
    assert_true(q->sampling.temperature == 0.5f && q->sampling.top_k == 7 && q->sampling.frequency_penalty == 0.5f);
    assert_true(q->sampling.repeat_penalty == 1.25f && q->sampling.seed == 12);
    assert_int_equal(q->request.most, 9);
    assert_true(q->request.no_cache && q->request.ignore_end);
    assert_int_equal(q->request.priority, 4);
    assert_int_equal(q->request.owner, 7);
    assert_int_equal(q->request.logprobs, -1);
    assert_non_null(strstr(q->prompt, "assistant\n<think>\n"));

    r = post(xn_openai_chat, "{" USER "}", 200);
    json_decref(r);
    uint64_t seed = scripted.requests[0].sampling.seed;
    r = post(xn_openai_chat, "{" USER "}", 200);
    json_decref(r);
    assert_int_not_equal(scripted.requests[0].sampling.seed, seed); // a new one each time
    assert_int_equal(scripted.requests[0].request.most, -1);

    // The assistant's beginning goes on.
    r = post(
        xn_openai_chat,
        "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}, {\"role\": \"assistant\", \"content\": \"He\"}]}",
        200);
    json_decref(r);
    assert_non_null(strstr(scripted.requests[0].prompt, "<|im_start|>assistant\nHe"));
    assert_null(strstr(scripted.requests[0].prompt, "He<|im_end|>"));
}

static void chat_ends(void **state) {
    (void)state;
    // Errors before and behind the first token.
    scripted_reset();
    scripted.answer = "";
    scripted.finish = XN_SERVING_ERROR;
    scripted.error = "the device is lost";
    scripted_post(xn_openai_chat, xn_openai_error, "{" USER "}");
    json_t *r = scripted_reply(500);
    assert_text(r, "error.message", "the device is lost");
    assert_text(r, "error.type", "server_error");
    json_decref(r);

    scripted_reset();
    scripted.answer = "Hello";
    scripted.finish = XN_SERVING_ERROR;
    scripted.error = "the device is lost";
    scripted_post(xn_openai_chat, xn_openai_error, "{" USER ", \"stream\": true}");
    assert_int_equal(scripted.status, 200);
    assert_non_null(strstr(scripted.reply.data, "data: {\"error\":{\"message\":\"the device is lost\""));
    assert_null(strstr(scripted.reply.data, "[DONE]"));

    // A full queue.
    scripted_reset();
    scripted.refuse_after = 1;
    scripted.n = 1;
    scripted.ran = 1;
    scripted_post(xn_openai_chat, xn_openai_error, "{" USER "}");
    r = scripted_reply(429);
    assert_text(r, "error.type", "rate_limit_error");
    assert_int_equal(scripted.retry, SCRIPTED_RETRY);
    json_decref(r);

    // The client goes, at any time: what runs for it is ended.
    for (size_t after = 1; after < 6; after++) {
        scripted_reset();
        scripted.answer = "one two three four five six seven eight nine ten";
        scripted.gone_after = after;
        scripted_post(xn_openai_chat, xn_openai_error, "{" USER ", \"stream\": true, \"n\": 2}");
        assert_true(scripted.requests[1].cancelled);
    }
    scripted_reset();
    scripted.answer = "one two three";
    scripted.gone = true;
    scripted_post(xn_openai_chat, xn_openai_error, "{" USER "}");
    assert_true(scripted.requests[0].cancelled);

    // Events that come before the handler has returned.
    scripted_reset();
    scripted.answer = "Hello";
    scripted.at_once = true;
    scripted_post(xn_openai_chat, xn_openai_error, "{" USER ", \"n\": 2}");
    r = scripted_reply(200);
    assert_text(r, "choices.1.message.content", "Hello");
    json_decref(r);
}

static void texts(void **state) {
    (void)state;
    answer = " Paris.";
    json_t *r = post(xn_openai_completions,
                     "{\"prompt\": [\"The capital is\", \"Two\"], \"n\": 2, \"echo\": true, \"max_tokens\": 100}", 200);
    assert_text(r, "object", "text_completion");
    assert_int_equal(json_array_size(json_object_get(r, "choices")), 4);
    assert_text(r, "choices.0.text", "The capital is Paris.");
    assert_text(r, "choices.3.text", "Two Paris.");
    assert_number(r, "choices.3.index", 3);
    assert_text(r, "choices.2.finish_reason", "stop");
    assert_true(json_is_null(value_at(r, "choices.0.logprobs")));
    assert_int_equal(json_integer_value(value_at(r, "usage.prompt_tokens")),
                     scripted.requests[0].request.n_ids + scripted.requests[2].request.n_ids);
    json_decref(r);

    r = post(xn_openai_completions, "{\"prompt\": [5, 6, 7], \"logprobs\": 2}", 200);
    assert_int_equal(scripted.requests[0].request.n_ids, 3);
    assert_int_equal(scripted.requests[0].request.most, 16);
    size_t n = json_array_size(value_at(r, "choices.0.logprobs.tokens"));
    assert_int_equal(n, json_integer_value(value_at(r, "usage.completion_tokens")));
    assert_int_equal(json_array_size(value_at(r, "choices.0.logprobs.text_offset")), n);
    assert_number(r, "choices.0.logprobs.text_offset.0", 0);
    assert_number(r, "choices.0.logprobs.token_logprobs.0", -0.25);
    assert_int_equal(json_object_size(value_at(r, "choices.0.logprobs.top_logprobs.0")), 2);
    json_decref(r);
    r = post(xn_openai_completions, "{\"prompt\": [[5, 6], [7]]}", 200);
    assert_int_equal(scripted.n, 2);
    assert_int_equal(scripted.requests[0].request.n_ids, 2);
    json_decref(r);

    stream(xn_openai_completions,
           "{\"prompt\": \"A\", \"stream\": true, \"stream_options\": {\"include_usage\": true}}");
    assert_non_null(strstr(scripted.reply.data, "\"finish_reason\":\"stop\""));
    assert_non_null(strstr(scripted.reply.data, "\"usage\":{"));
    assert_non_null(strstr(scripted.reply.data, "data: [DONE]\n\n"));

    static const char *const refused[][2] = {
        {"{}", "prompt"},
        {"{\"prompt\": []}", "prompt"},
        {"{\"prompt\": [\"a\", 3]}", "prompt"},
        {"{\"prompt\": [3, \"a\"]}", "prompt"},
        {"{\"prompt\": [-3]}", "prompt"},
        {"{\"prompt\": [99999999]}", "prompt"},
        {"{\"prompt\": \"\"}", "prompt"},
        {"{\"prompt\": \"a\", \"suffix\": \"b\"}", "suffix"},
        {"{\"prompt\": \"a\", \"best_of\": 3}", "best_of"},
        {"{\"prompt\": \"a\", \"echo\": true, \"logprobs\": 1}", "echo"},
        {"{\"prompt\": \"a\", \"logprobs\": true}", "logprobs"},
        {"{\"prompt\": [\"a\", \"b\"], \"n\": 100}", "prompt"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        r = post(xn_openai_completions, refused[i][0], 400);
        assert_text(r, "error.param", refused[i][1]);
        json_decref(r);
    }
    // The queue is full behind the first prompt; and a later prompt is wrong: an error, and nothing is left running.
    scripted_reset();
    scripted.answer = "x";
    scripted.refuse_after = 1;
    scripted_post(xn_openai_completions, xn_openai_error, "{\"prompt\": [\"a\", \"b\"]}");
    json_decref(scripted_reply(429));
    assert_int_equal(scripted.retry, SCRIPTED_RETRY);
    for (int at_once = 0; at_once < 2; at_once++) {
        scripted_reset();
        scripted.answer = "x";
        scripted.at_once = at_once;
        scripted_post(xn_openai_completions, xn_openai_error, "{\"prompt\": [\"a\", \"\", \"b\"]}");
        json_decref(scripted_reply(400));
    }
    answer = NULL;
}

static json_t *embed(const char *body, int status) {
    scripted_reset();
    scripted.at_once = true;
    scripted_post(xn_openai_embeddings, xn_openai_error, body);
    return scripted_reply(status);
}

static void embeddings(void **state) {
    (void)state;
    json_t *r = embed("{\"input\": [\"a\", \"b c d e f\"], \"dimensions\": 3}", 200);
    assert_text(r, "data.1.object", "embedding");
    assert_number(r, "data.1.index", 1);
    assert_int_equal(json_array_size(value_at(r, "data.0.embedding")), 3);
    // (3, 0, 4) of length 1
    assert_true(json_real_value(value_at(r, "data.0.embedding.0")) > 0.5999 &&
                json_real_value(value_at(r, "data.0.embedding.0")) < 0.6001);
    assert_int_equal(json_integer_value(value_at(r, "usage.prompt_tokens")),
                     scripted.requests[0].request.n_ids + scripted.requests[1].request.n_ids);
    json_decref(r);
    r = embed("{\"input\": [5, 6], \"encoding_format\": \"base64\", \"dimensions\": 3}", 200);
    // 0.6f, 0, 0.8f as little-endian float32
    assert_text(r, "data.0.embedding", "mpkZPwAAAADNzEw/");
    assert_int_equal(scripted.requests[0].request.n_ids, 2);
    json_decref(r);
    // More than are computed at once.
    struct xn_text body = {0};
    xn_text_put(&body, "{\"input\": [", 11, NULL);
    for (int i = 0; i < 100; i++)
        xn_text_put(&body, i ? ",\"x\"" : "\"x\"", i ? 4 : 3, NULL);
    xn_text_put(&body, "]}", 2, NULL);
    r = embed(body.data, 200);
    free(body.data);
    assert_int_equal(json_array_size(json_object_get(r, "data")), 100);
    json_decref(r);
    static const char *const refused[][2] = {
        {"{}", "input"},
        {"{\"input\": []}", "input"},
        {"{\"input\": \"\"}", "input"},
        {"{\"input\": {\"a\": 1}}", "input"},
        {"{\"input\": [\"a\", null]}", "input"},
        {"{\"input\": [99999999]}", "input"},
        {"{\"input\": \"a\", \"dimensions\": 5}", "dimensions"},
        {"{\"input\": \"a\", \"dimensions\": 0}", "dimensions"},
        {"{\"input\": \"a\", \"encoding_format\": \"int8\"}", "encoding_format"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        r = embed(refused[i][0], 400);
        assert_text(r, "error.param", refused[i][1]);
        json_decref(r);
    }
    scripted_reset();
    scripted.at_once = true;
    scripted.finish = XN_SERVING_ERROR;
    scripted.error = "lost";
    scripted_post(xn_openai_embeddings, xn_openai_error, "{\"input\": [\"a\", \"b\"]}");
    json_decref(scripted_reply(500));
    // The queue is full, and none of its own is in it for which it could wait.
    scripted_reset();
    scripted.at_once = true;
    scripted.refuse_after = 1;
    scripted_post(xn_openai_embeddings, xn_openai_error, "{\"input\": [\"a\", \"b\"]}");
    json_decref(scripted_reply(429));
    assert_int_equal(scripted.retry, SCRIPTED_RETRY);
}

static void models(void **state) {
    (void)state;
    json_t *r = post(xn_openai_models, "{}", 200);
    assert_text(r, "object", "list");
    assert_text(r, "data.0.id", "scripted");
    assert_text(r, "data.0.object", "model");
    assert_text(r, "data.0.aliases.0", "alias");
    assert_text(r, "data.0.status.value", "loaded");
    assert_number(r, "data.0.meta.n_ctx", 2048);
    json_decref(r);
    scripted_reset();
    scripted.path = "/v1/models/scripted";
    scripted_post(xn_openai_model, xn_openai_error, "{}");
    r = scripted_reply(200);
    assert_text(r, "id", "scripted");
    json_decref(r);
    scripted_reset();
    scripted.path = "/v1/models/other";
    scripted_post(xn_openai_model, xn_openai_error, "{}");
    json_decref(scripted_reply(404));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chat_whole),    cmocka_unit_test(chat_stream), cmocka_unit_test(chat_refuses),
        cmocka_unit_test(chat_settings), cmocka_unit_test(chat_ends),   cmocka_unit_test(texts),
        cmocka_unit_test(embeddings),    cmocka_unit_test(models),
    };
    return cmocka_run_group_tests(tests, scripted_open, scripted_close);
}
