// Tokens whose purpose is known by their spelling, since files often leave it out: what ends a generation, and for GGUF
// what llama.cpp knows about wrong token types.
#include "text/tokenizer_internal.h"

#include <string.h>

static const char *const ends[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
};
// Fill-in-the-middle tokens: control tokens whatever the file says; those of the second list end a generation too.
static const char *const fim[] = {
    "<|fim_prefix|>",  "<fim-prefix>",  "<fim_prefix>",    "<｜fim▁begin｜>", "<PRE>",           "▁<PRE>",
    "<|code_prefix|>", "<|prefix|>",    "<|fim_suffix|>",  "<fim-suffix>",    "<fim_suffix>",    "<｜fim▁hole｜>",
    "<SUF>",           "▁<SUF>",        "<|code_suffix|>", "<|suffix|>",      "<|fim_middle|>",  "<fim-middle>",
    "<fim_middle>",    "<｜fim▁end｜>", "<MID>",           "▁<MID>",          "<|code_middle|>", "<|middle|>",
};
static const char *const fim_ends[] = {
    "<|fim_pad|>",   "<fim-pad>",  "<fim_pad>", "<PAD>",      "[PAD]",        "<|fim_repo|>",
    "<|repo_name|>", "<fim-repo>", "<REPO>",    "<reponame>", "<|file_sep|>",
};
// gpt-oss: its channels are text to be shown.
static const char *const shown[] = {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"};

#define COUNT(list) (sizeof(list) / sizeof *(list))

static struct xn_token *spelled(struct xn_tokenizer *t, const char *text) {
    int32_t id = xn_vocabulary_find(&t->vocabulary, text, strlen(text));
    return id < 0 ? NULL : &t->vocabulary.tokens[id];
}

static void mark(struct xn_tokenizer *t, const char *const *list, size_t n, unsigned flags) {
    for (size_t i = 0; i < n; i++) {
        struct xn_token *token = spelled(t, list[i]);
        if (token) token->flags |= (uint16_t)flags;
    }
}

// Where the vocabulary has all of `with`, `name` does not end a generation and gets these flags.
static void unmark(struct xn_tokenizer *t, const char *name, const char *with, const char *and_with, unsigned flags) {
    struct xn_token *token = spelled(t, name);
    if (!token || !spelled(t, with) || (and_with && !spelled(t, and_with))) return;
    token->flags = (uint16_t)flags;
}

void xn_gguf_special_tokens(struct xn_tokenizer *t) {
    mark(t, ends, COUNT(ends), XN_TOKEN_CONTROL | XN_TOKEN_ENDS);
    mark(t, fim, COUNT(fim), XN_TOKEN_CONTROL);
    mark(t, fim_ends, COUNT(fim_ends), XN_TOKEN_CONTROL | XN_TOKEN_ENDS);
    for (size_t i = 0; i < COUNT(shown); i++) {
        struct xn_token *token = spelled(t, shown[i]);
        if (token) token->flags = XN_TOKEN_USER | (token->flags & XN_TOKEN_ENDS);
    }
    // Harmony (gpt-oss) and Solar end a message, not the answer, with <|end|>; in Gemma 4 </s> is text.
    unmark(t, "<|end|>", "<|return|>", "<|call|>", XN_TOKEN_USER);
    unmark(t, "<|end|>", "<|calls|>", "<|flush|>", XN_TOKEN_USER);
    unmark(t, "</s>", "<|tool_response>", NULL, 0);
}

void xn_json_special_tokens(struct xn_tokenizer *t) {
    const struct {
        const char *const *list;
        size_t n;
    } lists[] = {{ends, COUNT(ends)}, {fim_ends, COUNT(fim_ends)}};
    for (size_t k = 0; k < COUNT(lists); k++)
        for (size_t i = 0; i < lists[k].n; i++) {
            struct xn_token *token = spelled(t, lists[k].list[i]);
            if (token && token->flags & XN_TOKEN_ADDED) token->flags |= XN_TOKEN_ENDS;
        }
    struct xn_token *end = spelled(t, "<|end|>");
    if (end &&
        ((spelled(t, "<|return|>") && spelled(t, "<|call|>")) || (spelled(t, "<|calls|>") && spelled(t, "<|flush|>"))))
        end->flags &= (uint16_t)~XN_TOKEN_ENDS;
}
