// The published chat templates: which notation each speaks, and the calls that it renders read back from its own text.
#include "text/answer/testing.h"

#include "base/file.h"

enum { NO_CALLS = 1, ONE_CALL = 2 }; // it renders none; only the first of a turn

// head: what stands before an assistant's answer; tail: what ends it.
static const struct {
    const char *name;
    enum xn_answer_format format;
    const char *think, *head, *tail;
    int flags;
} templates[] = {
    {"Apertus-8B-Instruct", XN_ANSWER_APERTUS, "<|inner_prefix|>", "<|assistant_start|>", "[", 0},
    {"ByteDance-Seed-OSS", XN_ANSWER_SEED, "<seed:think>", "<seed:bos>assistant\n", "<seed:eos>", 0},
    {"CohereForAI-c4ai-command-r-plus-tool_use", XN_ANSWER_COMMAND_R, NULL, "<|CHATBOT_TOKEN|>",
     "<|START_OF_TURN_TOKEN|>", 0},
    {"GLM-4.6", XN_ANSWER_GLM, "<think>", "<|assistant|>", "<|observation|>", 0},
    {"GigaChat3-10B-A1.8B", XN_ANSWER_GIGACHAT, NULL, "assistant<|role_sep|>\n", "\n\nfunction result", ONE_CALL},
    {"HuggingFaceTB-SmolLM3-3B", XN_ANSWER_PLAIN, "<think>", "<|im_start|>assistant\n", "<|im_end|>", NO_CALLS},
    {"Kimi-K2-Instruct", XN_ANSWER_KIMI, NULL, "<|im_middle|>", "<|im_end|>", 0},
    {"LFM2-8B-A1B", XN_ANSWER_LFM2, NULL, "<|im_start|>assistant\n", "<|im_end|>", NO_CALLS},
    {"MiniMax-M2", XN_ANSWER_MINIMAX, "<think>", "]~b]ai\n", "[e~[", 0},
    {"NVIDIA-Nemotron-3-Nano-30B-A3B-BF16", XN_ANSWER_QWEN_XML, "<think>", "<|im_start|>assistant\n", "<|im_end|>", 0},
    {"NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use", XN_ANSWER_HERMES, NULL, "<|im_start|>assistant\n", "<|im_end|>",
     0},
    {"NousResearch-Hermes-3-Llama-3.1-8B-tool_use", XN_ANSWER_HERMES, NULL, "<|im_start|>assistant\n", "<|im_end|>", 0},
    {"Qwen-Qwen2.5-7B-Instruct", XN_ANSWER_HERMES, NULL, "<|im_start|>assistant\n", "<|im_end|>", 0},
    {"Qwen-Qwen3-0.6B", XN_ANSWER_HERMES, "<think>", "<|im_start|>assistant\n", "<|im_end|>", 0},
    {"Qwen3-Coder", XN_ANSWER_QWEN_XML, NULL, "<|im_start|>assistant\n", "<|im_end|>", 0},
    {"Qwen3.5-4B", XN_ANSWER_QWEN_XML, "<think>", "<|im_start|>assistant\n", "<|im_end|>", 0},
    {"Reka-Edge", XN_ANSWER_HERMES, "<think>", "<sep>assistant: ", "<sep>", 0},
    {"StepFun3.5-Flash", XN_ANSWER_QWEN_XML, "<think>", "<|im_start|>assistant\n", "<|im_end|>", 0},
    {"deepseek-ai-DeepSeek-R1-Distill-Llama-8B", XN_ANSWER_DEEPSEEK, "<think>", "<｜Assistant｜>",
     "<｜end▁of▁sentence｜>", NO_CALLS},
    {"deepseek-ai-DeepSeek-V3.1", XN_ANSWER_DEEPSEEK, "<think>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", 0},
    {"fireworks-ai-llama-3-firefunction-v2", XN_ANSWER_FIREFUNCTION, NULL, "<|end_header_id|>", "<|eot_id|>", 0},
    {"google-gemma-2-2b-it", XN_ANSWER_PLAIN, NULL, "<start_of_turn>model\n", "<end_of_turn>", NO_CALLS},
    {"google-gemma-4-31B-it", XN_ANSWER_GEMMA4, "<|channel>thought\n", "<|turn>model\n", "<|tool_response>", 0},
    {"ibm-granite-granite-3.3-2B-Instruct", XN_ANSWER_GRANITE, "<think>", "assistant<|end_of_role|>", "<|end_of_text|>",
     NO_CALLS},
    {"llama-cpp-deepseek-r1", XN_ANSWER_DEEPSEEK, "<think>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>", 0},
    {"llama-cpp-rwkv-world", XN_ANSWER_PLAIN, "<think>", "Assistant:", "\n\n", NO_CALLS},
    {"meetkai-functionary-medium-v3.1", XN_ANSWER_FUNCTIONARY, NULL, "assistant<|end_header_id|>\n\n", "<|eom_id|>", 0},
    {"meta-llama-Llama-3.1-8B-Instruct", XN_ANSWER_LLAMA3, NULL, "assistant<|end_header_id|>\n\n", "<|eot_id|>", 0},
    {"meta-llama-Llama-3.3-70B-Instruct", XN_ANSWER_LLAMA3, NULL, "assistant<|end_header_id|>\n\n", "<|eot_id|>", 0},
    {"microsoft-Phi-3.5-mini-instruct", XN_ANSWER_PLAIN, NULL, "<|assistant|>\n", "<|end|>", NO_CALLS},
    {"mistralai-Ministral-3-14B-Reasoning-2512", XN_ANSWER_MISTRAL, "[THINK]", "[/INST]", "</s>", 0},
    {"mistralai-Mistral-Nemo-Instruct-2407", XN_ANSWER_MISTRAL, NULL, "[/INST]", "</s>", 0},
    {"moonshotai-Kimi-K2", XN_ANSWER_KIMI, NULL, "assistant<|im_middle|>", "<|im_end|>", 0},
    {"openai-gpt-oss-120b", XN_ANSWER_HARMONY, "<|channel|>analysis<|message|>", "<|start|>assistant",
     "<|start|>functions", ONE_CALL},
    {"stepfun-ai-Step-3.5-Flash", XN_ANSWER_QWEN_XML, "<think>", "<|im_start|>assistant\n", "<|im_end|>", 0},
    {"unsloth-Apriel-1.5", XN_ANSWER_APRIEL, "<thinking>", "<|assistant|>\n", "<|end|>", 0},
    {"upstage-Solar-Open-100B", XN_ANSWER_SOLAR, "<|think|>", "<|begin|>assistant", "<|begin|>tool", 0},
};
enum { N_TEMPLATES = sizeof templates / sizeof *templates };

static const char *shared;
static json_t *conversations;

static const json_t *conversation(const char *id) {
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(conversations, "conversations"), i, c) {
        if (strcmp(json_string_value(json_object_get(c, "id")), id) == 0) return c;
    }
    return NULL;
}

static struct xn_answer_style style_of(const char *name) {
    char path[1024], *source;
    size_t size;
    struct xn_error err;
    snprintf(path, sizeof path, "%s/text/chat/templates/%s.jinja", shared, name);
    if (xn_read_file(path, 1 << 20, &source, &size, &err) != XN_OK) fail_msg("%s", err.message);
    const struct xn_answer_style style = xn_answer_detect(source);
    free(source);
    return style;
}

static void templates_tell_their_notation(void **state) {
    (void)state;
    unsigned wrong = 0;
    for (int i = 0; i < N_TEMPLATES; i++) {
        const struct xn_answer_style style = style_of(templates[i].name);
        const char *expected = templates[i].think, *found = style.think_open;
        const bool good = style.format == templates[i].format && !expected == !found &&
                          (!expected || strcmp(expected, found) == 0) && !style.think_open == !style.think_close;
        if (!good)
            printf("%s: found %s, %s; expected %s, %s\n", templates[i].name, xn_answer_format_name(style.format), found,
                   xn_answer_format_name(templates[i].format), expected);
        wrong += !good;
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(xn_answer_detect(NULL).format, XN_ANSWER_PLAIN);
}

// ---- what a template renders, read back

// What is expected of the pieces, in collect's words: reasoning and content where the text has them, then the calls.
struct read_back {
    struct xn_text reasoning, content;
    json_t *calls; // [{"name", "arguments"}]
    struct xn_text arguments;
};

static int read_piece(void *user, const struct xn_answer_piece *p, struct xn_error *err) {
    struct read_back *r = user;
    (void)err;
    json_t *call = json_object();
    switch (p->kind) {
    case XN_ANSWER_CALL:
        json_object_set_new(call, "name", json_string(p->name));
        json_array_append(r->calls, call);
        r->arguments.size = 0;
        break;
    case XN_ANSWER_CALL_END:
        json_object_set_new(json_array_get(r->calls, p->index), "arguments",
                            json_loadb(r->arguments.data, r->arguments.size, 0, NULL));
        break;
    default:
        xn_text_append(p->kind == XN_ANSWER_CONTENT     ? &r->content
                       : p->kind == XN_ANSWER_REASONING ? &r->reasoning
                                                        : &r->arguments,
                       p->text, p->size);
    }
    json_decref(call);
    return XN_OK;
}

static json_t *calls_of(const json_t *message, bool one) {
    json_t *calls = json_array(), *call;
    size_t i;
    json_array_foreach(json_object_get(message, "tool_calls"), i, call) {
        const json_t *function = json_object_get(call, "function");
        json_t *arguments = json_object_get(function, "arguments");
        json_t *parsed =
            json_is_string(arguments) ? json_loads(json_string_value(arguments), 0, NULL) : json_incref(arguments);
        if (i == 0 || !one)
            json_array_append_new(
                calls, json_pack("{s:O, s:o}", "name", json_object_get(function, "name"), "arguments", parsed));
        else
            json_decref(parsed);
    }
    return calls;
}

static bool is_text(const struct xn_text *found, const char *expected) {
    return found->size == strlen(expected) && (found->size == 0 || memcmp(found->data, expected, found->size) == 0);
}

// Whether the answer within a rendered prompt is read as what was rendered. message: the assistant's, with calls.
static bool reads_back(int at, const struct xn_answer_style *style, const json_t *c, const json_t *message,
                       const char *answer, size_t size) {
    struct read_back r = {.calls = json_array()};
    struct xn_error err;
    const struct xn_answer_options options = {
        .style = *style, .tools = json_object_get(c, "tools"), .reasoning = true, .seed = 1};
    struct xn_answer *a;
    assert_int_equal(xn_answer_new(&options, &a, &err), XN_OK);
    for (size_t i = 0, end; i < size; i = end) { // by characters
        end = next_character(answer, size, i);
        assert_int_equal(xn_answer_feed(a, answer + i, end - i, read_piece, &r, &err), XN_OK);
    }
    assert_int_equal(xn_answer_end(a, read_piece, &r, &err), XN_OK);
    xn_answer_free(a);

    char *text = strndup(answer, size);
    const char *content = json_string_value(json_object_get(message, "content"));
    const char *reasoning = json_string_value(json_object_get(message, "reasoning_content"));
    if (!content && json_object_get(message, "content")) content = "None"; // as some print null
    if (!content || !strstr(text, content)) content = "";
    if (!reasoning || !strstr(text, reasoning)) reasoning = "";
    if (style->format == XN_ANSWER_HARMONY) { // which renders content beside calls as reasoning
        reasoning = content;
        content = "";
    }
    json_t *calls = calls_of(message, templates[at].flags & ONE_CALL);
    const bool good = json_equal(calls, r.calls) && is_text(&r.content, content) && is_text(&r.reasoning, reasoning);
    if (!good) {
        char *found = json_dumps(r.calls, 0);
        printf("%s, %s\n  text      %s\n  calls     %s\n  content   %.*s\n  reasoning %.*s\n", templates[at].name,
               json_string_value(json_object_get(c, "id")), text, found, (int)r.content.size,
               r.content.size ? r.content.data : "", (int)r.reasoning.size, r.reasoning.size ? r.reasoning.data : "");
        free(found);
    }
    free(text);
    json_decref(calls);
    json_decref(r.calls);
    free(r.content.data);
    free(r.reasoning.data);
    free(r.arguments.data);
    return good;
}

// The answer's place in the output: behind the head that follows the user's text, up to the tail.
static const char *cut_out(int at, const char *output, const char *user, size_t *size) {
    const char *p = strstr(output, user);
    if (p) p = strstr(p, templates[at].head);
    if (!p) return NULL;
    p += strlen(templates[at].head);
    const char *end = strstr(p, templates[at].tail);
    if (templates[at].format == XN_ANSWER_APERTUS) { // its tail is no marker
        end = strstr(p, "<|tools_suffix|>");
        if (end) end += strlen("<|tools_suffix|>");
    }
    *size = end ? (size_t)(end - p) : strlen(p);
    return p;
}

static void rendered_calls_are_read_back(void **state) {
    (void)state;
    char path[1024], *lines, *rest;
    size_t n;
    struct xn_error err;
    snprintf(path, sizeof path, "%s/text/chat/expected.jsonl", shared);
    assert_int_equal(xn_read_file(path, 64 << 20, &lines, &n, &err), XN_OK);
    unsigned wrong = 0, cases = 0, by_template[N_TEMPLATES] = {0};
    for (char *line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *expected = json_loads(line, JSON_ALLOW_NUL, NULL);
        const char *name = json_string_value(json_object_get(expected, "template"));
        const json_t *c = conversation(json_string_value(json_object_get(expected, "conversation")));
        const char *output = json_string_value(json_object_get(expected, "output"));
        int at = 0;
        while (at < N_TEMPLATES && strcmp(templates[at].name, name) != 0)
            at++;
        if (at == N_TEMPLATES) fail_msg("no row for %s", name);
        const json_t *messages = json_object_get(c, "messages");
        // Gemma's template puts arguments that are text, which it does not expect, between the braces as they are.
        const bool odd = templates[at].format == XN_ANSWER_GEMMA4 &&
                         strcmp(json_string_value(json_object_get(c, "id")), "tool_call_string_args") == 0;
        size_t k = 0;
        while (k < json_array_size(messages) && !json_object_get(json_array_get(messages, k), "tool_calls"))
            k++;
        if (output && !odd && k < json_array_size(messages) && !(templates[at].flags & NO_CALLS)) {
            const char *user = json_string_value(json_object_get(json_array_get(messages, k - 1), "content"));
            size_t size = 0;
            const char *answer = cut_out(at, output, user, &size);
            if (!answer) fail_msg("%s: no answer found in %s", name, output);
            const struct xn_answer_style style = style_of(name);
            wrong += !reads_back(at, &style, c, json_array_get(messages, k), answer, size);
            cases++;
            by_template[at]++;
        }
        json_decref(expected);
    }
    free(lines);
    for (int i = 0; i < N_TEMPLATES; i++)
        if (!by_template[i] && !(templates[i].flags & NO_CALLS)) printf("%s renders no call\n", templates[i].name);
    printf("%u cases, %u wrong\n", cases, wrong);
    assert_true(cases >= 200);
    assert_int_equal(wrong, 0);
}

int main(void) {
    shared = getenv("XENON_SHARED");
    char path[1024];
    snprintf(path, sizeof path, "%s/text/chat/conversations.json", shared ? shared : "");
    conversations = shared ? json_load_file(path, 0, NULL) : NULL;
    if (!conversations) {
        printf("XENON_SHARED has no text/chat: skipped\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(templates_tell_their_notation),
        cmocka_unit_test(rendered_calls_are_read_back),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(conversations);
    return failed;
}
