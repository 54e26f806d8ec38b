// Answers: what a model generates, taken apart while it streams: reasoning, content, and calls of tools in the notation
// of the model's family. And the other way round: grammars that hold an answer to such calls.
#pragma once

#include "base/error.h"
#include "text/grammar/grammar.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Notations, chosen by what the model's chat template says (xn_answer_detect).
enum xn_answer_format {
    // The template knows no tools: all is content, and with tools nevertheless, calls are Hermes'. (<think> is told
    // apart
    // where the template has it.)
    XN_ANSWER_PLAIN,
    XN_ANSWER_HERMES,   // Qwen 2.5/3, Hermes: <tool_call>{"name": ..., "arguments": {...}}</tool_call>
    XN_ANSWER_QWEN_XML, // Qwen3-Coder, Qwen3.5, Nemotron 3:
                        // <tool_call><function=name><parameter=key>value</parameter>...
    XN_ANSWER_LLAMA3,   // {"name": ..., "parameters": {...}}, with or without <|python_tag|>
    XN_ANSWER_MISTRAL,  // [TOOL_CALLS][{...}] and [TOOL_CALLS]name[ARGS]{...}
    XN_ANSWER_HARMONY,  // gpt-oss: channels
    XN_ANSWER_GLM,      // <tool_call>name<arg_key>k</arg_key><arg_value>v</arg_value></tool_call>
    XN_ANSWER_DEEPSEEK, // <｜tool▁calls▁begin｜> ... (V3, V3.1, R1)
    XN_ANSWER_GEMMA4,   // <|tool_call>call:name{key:<|"|>value<|"|>}<tool_call|>
    XN_ANSWER_LFM2,     // <|tool_call_start|>[name(key="value")]<|tool_call_end|>
    XN_ANSWER_NEMOTRON, // <TOOLCALL>[{...}]</TOOLCALL>
    XN_ANSWER_DSML, // DeepSeek V3.2: <｜DSML｜invoke name="..."><｜DSML｜parameter name="..." string="true">value...
    // Further ones, told apart because their templates are published too.
    XN_ANSWER_SEED,         // <seed:tool_call><function=name><parameter=key>value</parameter>...
    XN_ANSWER_MINIMAX,      // <minimax:tool_call><invoke name="..."><parameter name="...">value</parameter>...
    XN_ANSWER_KIMI,         // <|tool_call_begin|>functions.name:0<|tool_call_argument_begin|>{...}<|tool_call_end|>
    XN_ANSWER_FUNCTIONARY,  // <function=name>{...}</function>
    XN_ANSWER_SOLAR,        // <|tool_call:begin|>id<|tool_call:name|>name<|tool_call:args|>{...}<|tool_call:end|>
    XN_ANSWER_APERTUS,      // <|tools_prefix|>[{"name": {...}}]<|tools_suffix|>
    XN_ANSWER_APRIEL,       // <tool_calls>[{...}]</tool_calls>
    XN_ANSWER_GRANITE,      // <|tool_call|>[{...}]
    XN_ANSWER_FIREFUNCTION, // functools[{...}]
    XN_ANSWER_COMMAND_R,    // Action: and a list in ```json
    XN_ANSWER_GIGACHAT,     // a message of the role "function call": {"name": ..., "arguments": {...}}
    XN_ANSWER_FORMATS
};
const char *xn_answer_format_name(enum xn_answer_format format);

struct xn_answer_style {
    enum xn_answer_format format;
    const char *think_open, *think_close; // "<think>", "</think>"; NULL: no reasoning. Static strings
};
// From the source of a chat template (may be NULL).
struct xn_answer_style xn_answer_detect(const char *chat_template);
// Whether special tokens must be shown to the parser for this style (else they are dropped by the detokenizer): its
// markers are special tokens by nature, or in this vocabulary (may be NULL).
struct xn_tokenizer;
bool xn_answer_wants_special(const struct xn_answer_style *style, const struct xn_tokenizer *tokenizer);
// Whether a prompt ends inside of the reasoning, so that the answer begins there.
bool xn_answer_thinking(const struct xn_answer_style *style, const char *prompt, size_t size);

enum xn_answer_kind {
    XN_ANSWER_CONTENT,   // text
    XN_ANSWER_REASONING, // text
    XN_ANSWER_CALL,      // a call begins: index, id, name
    XN_ANSWER_ARGUMENTS, // text: more of that call's arguments, as JSON text
    XN_ANSWER_CALL_END,
};
struct xn_answer_piece {
    enum xn_answer_kind kind;
    uint32_t index;   // of the call, from 0
    const char *id;   // CALL: "call_..." (nine letters and digits for Mistral) or what the model gave it
    const char *name; // CALL
    const char *text; // size bytes; whole characters; valid during the call
    size_t size;
};
typedef int xn_answer_sink(void *user, const struct xn_answer_piece *piece, struct xn_error *err);

struct xn_answer_options {
    struct xn_answer_style style;
    const json_t *tools; // OpenAI's array (types of parameters, for notations that do not tell them), or NULL: calls
                         // are not looked for, their text is content. Borrowed until free
    bool reasoning;      // told apart; else it is content
    bool thinking;       // the prompt already ended inside of the reasoning
    uint64_t seed;       // of the ids of calls
};
// One thread's at a time.
struct xn_answer;
int xn_answer_new(const struct xn_answer_options *options, struct xn_answer **out, struct xn_error *err);
void xn_answer_free(struct xn_answer *answer); // accepts NULL
// More of the text, cut anywhere between characters (special tokens are written out in it). What can't be told yet is
// held back; how the text is cut never changes what the pieces add up to. What turns out to be no call before its name
// and the beginning of its arguments are known becomes content. Blanks around calls and reasoning are dropped. Fails as
// the sink does, or for want of memory; then nothing more may be fed.
int xn_answer_feed(struct xn_answer *answer, const char *text, size_t size, xn_answer_sink *sink, void *user,
                   struct xn_error *err);
// The text is over: gives what was held back, and ends a call that was cut off.
int xn_answer_end(struct xn_answer *answer, xn_answer_sink *sink, void *user, struct xn_error *err);

// What an answer is held to.
enum xn_answer_content { XN_ANSWER_ANY, XN_ANSWER_JSON, XN_ANSWER_SCHEMA, XN_ANSWER_GBNF };
struct xn_answer_rules {
    struct xn_answer_style style;
    bool thinking;       // the text begins inside of the reasoning
    const json_t *tools; // that may be called, OpenAI's array, or NULL
    bool required;    // at least one call, and nothing else; otherwise calls may stand behind content, or in its place
    const char *only; // the name of the one tool that may be called, or NULL
    bool parallel;    // more than one call
    // What content has to be where no tool is called.
    enum xn_answer_content content;
    const json_t *schema; // SCHEMA
    const char *gbnf;     // GBNF
    size_t gbnf_size;
};
// The grammar of the whole turn: reasoning first, where the style has it, as free text; then what the rules say. *out
// is NULL where the rules leave everything open. Errors of schemas name the tool. Markers that are special tokens are
// admitted as tokens (vocabulary.h) and as text.
int xn_answer_grammar(const struct xn_answer_rules *rules, struct xn_grammar **out, struct xn_error *err);
