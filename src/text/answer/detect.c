// Which notation a chat template speaks of, and how it marks reasoning.
#include "text/answer/internal.h"

#include <string.h>

// A row fits where the template has all of its texts; the first one counts, so that those with more of them stand
// before those with less.
static const struct {
    enum xn_answer_format format;
    const char *texts[3];
} formats[] = {
    {XN_ANSWER_HARMONY, {"<|channel|>", "<|start|>"}},
    {XN_ANSWER_GEMMA4, {"<|tool_call>call:"}},
    {XN_ANSWER_DSML, {"｜DSML｜"}},
    {XN_ANSWER_DEEPSEEK, {"<｜tool▁call"}},
    {XN_ANSWER_KIMI, {"<|tool_call_begin|>"}},
    {XN_ANSWER_SOLAR, {"<|tool_call:begin|>"}},
    {XN_ANSWER_SEED, {"<seed:tool_call>"}},
    {XN_ANSWER_MINIMAX, {"<minimax:tool_call>"}},
    {XN_ANSWER_GLM, {"<tool_call>", "<arg_key>"}},
    {XN_ANSWER_QWEN_XML, {"<tool_call>", "<function=", "<parameter="}},
    {XN_ANSWER_FUNCTIONARY, {"<function="}},
    {XN_ANSWER_APRIEL, {"<tool_calls>"}},
    {XN_ANSWER_HERMES, {"<tool_call>"}},
    {XN_ANSWER_MISTRAL, {"[TOOL_CALLS]"}},
    {XN_ANSWER_LFM2, {"<|tool_list_start|>"}},
    {XN_ANSWER_LFM2, {"<|tool_call_start|>"}},
    {XN_ANSWER_NEMOTRON, {"<TOOLCALL>"}},
    {XN_ANSWER_APERTUS, {"<|tools_prefix|>"}},
    {XN_ANSWER_GRANITE, {"<|tool_call|>"}},
    {XN_ANSWER_FIREFUNCTION, {"functools["}},
    {XN_ANSWER_COMMAND_R, {"Action:", "\"tool_name\""}},
    {XN_ANSWER_GIGACHAT, {"<|role_sep|>", "function call"}},
    {XN_ANSWER_LLAMA3, {"<|python_tag|>"}},
    {XN_ANSWER_LLAMA3, {"{\"name\": ", "\"parameters\": "}},
};

static const struct {
    const char *text, *open, *close;
} reasoning[] = {
    {"<seed:think>", "<seed:think>", "</seed:think>"},
    {"[THINK]", "[THINK]", "[/THINK]"},
    {"<|inner_prefix|>", "<|inner_prefix|>", "<|inner_suffix|>"},
    {"<thinking>", "<thinking>", "</thinking>"},
    {"<think>", "<think>", "</think>"},
    {"</think>", "<think>", "</think>"},
};

struct xn_answer_style xn_answer_detect(const char *chat_template) {
    struct xn_answer_style style = {.format = XN_ANSWER_PLAIN};
    if (!chat_template) return style;
    for (size_t i = 0; style.format == XN_ANSWER_PLAIN && i < sizeof formats / sizeof *formats; i++) {
        bool all = true;
        for (size_t k = 0; k < 3 && formats[i].texts[k]; k++)
            all = all && strstr(chat_template, formats[i].texts[k]);
        if (all) style.format = formats[i].format;
    }
    if (style.format == XN_ANSWER_HARMONY) {
        style.think_open = "<|channel|>analysis<|message|>";
        style.think_close = "<|end|>";
    } else if (style.format == XN_ANSWER_SOLAR) {
        style.think_open = "<|think|>";
        style.think_close = "<|end|>";
    } else if (style.format == XN_ANSWER_GEMMA4) {
        style.think_open = "<|channel>thought\n";
        style.think_close = "<channel|>";
    }
    for (size_t i = 0; !style.think_open && i < sizeof reasoning / sizeof *reasoning; i++)
        if (strstr(chat_template, reasoning[i].text)) {
            style.think_open = reasoning[i].open;
            style.think_close = reasoning[i].close;
        }
    return style;
}

bool xn_answer_thinking(const struct xn_answer_style *style, const char *prompt, size_t size) {
    if (!style->think_open || style->format == XN_ANSWER_HARMONY) return false;
    while (size && xn_answer_blank(prompt[size - 1]))
        size--;
    size_t n = strlen(style->think_open);
    while (n && xn_answer_blank(style->think_open[n - 1]))
        n--;
    return size >= n && memcmp(prompt + size - n, style->think_open, n) == 0;
}

static bool is_special(const struct xn_tokenizer *tokenizer, const char *text) {
    const int32_t id = tokenizer && text ? xn_token_id(tokenizer, text) : -1;
    return id >= 0 && xn_token_is_special(tokenizer, id);
}

bool xn_answer_wants_special(const struct xn_answer_style *style, const struct xn_tokenizer *tokenizer) {
    const struct xn_notation *notation =
        xn_notations[style->format == XN_ANSWER_PLAIN ? XN_ANSWER_HERMES : style->format];
    if (notation->special || (style->think_open && strpbrk(style->think_open, "|["))) return true;
    if (is_special(tokenizer, style->think_open) || is_special(tokenizer, style->think_close)) return true;
    for (int i = 0; notation->openers[i]; i++)
        if (is_special(tokenizer, notation->openers[i])) return true;
    return false;
}

const char *xn_answer_format_name(enum xn_answer_format format) {
    const struct xn_notation *notation = format < XN_ANSWER_FORMATS ? xn_notations[format] : NULL;
    return notation ? notation->name : "plain";
}
