// Tokenizers: text to token ids and back.
//
// Models: byte-level BPE (GPT-2 and all that followed), SentencePiece BPE (Llama, Gemma, Phi-3), SentencePiece unigram,
// WordPiece (BERT). Read from a GGUF's metadata or from a Hugging Face tokenizer.json; both give the same ids.
#pragma once

#include "base/error.h"
#include "format/gguf.h"
#include "format/source.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xn_tokenizer; // immutable once made; may be used by several threads at once

int xn_tokenizer_from_gguf(const struct xn_gguf *gguf, struct xn_tokenizer **out, struct xn_error *err);
// tokenizer.json; tokenizer_config (may be NULL) gives bos/eos and add_bos/add_eos where it has them.
int xn_tokenizer_from_json(const char *path, const json_t *tokenizer_config, struct xn_tokenizer **out,
                           struct xn_error *err);
int xn_tokenizer_from_source(const struct xn_source *source, struct xn_tokenizer **out, struct xn_error *err);
void xn_tokenizer_free(struct xn_tokenizer *tokenizer);

enum {
    XN_TOKENIZE_SPECIAL = 1, /* special tokens written in the text become their ids */
    XN_TOKENIZE_BOS_EOS = 2  /* add BOS/EOS where the model wants them */
};

// A growing list of ids; zero-initialise, free(ids.data).
struct xn_ids {
    int32_t *data;
    size_t n, capacity;
};
// Appends the ids of `size` bytes of text (any bytes; may hold NUL). Never fails for the text's content.
int xn_tokenize(const struct xn_tokenizer *t, const char *text, size_t size, int flags, struct xn_ids *ids,
                struct xn_error *err);

int32_t xn_tokenizer_size(const struct xn_tokenizer *t); // ids are 0 .. size-1
// The id of a token spelled exactly so (special tokens as written), or -1.
int32_t xn_token_id(const struct xn_tokenizer *t, const char *text);
int32_t xn_token_bos(const struct xn_tokenizer *t); // -1: none
int32_t xn_token_eos(const struct xn_tokenizer *t);
int32_t xn_token_pad(const struct xn_tokenizer *t);
bool xn_tokenizer_adds_bos(const struct xn_tokenizer *t);
// Ends a generation: eos, eot (<|im_end|>, <|eot_id|>, <end_of_turn>, ...) and what the file names as such.
bool xn_token_ends(const struct xn_tokenizer *t, int32_t id);
bool xn_token_is_special(const struct xn_tokenizer *t, int32_t id);
// The token as it is spelled in the vocabulary (not decoded), for a person. Valid as long as the tokenizer.
struct xn_str xn_token_text(const struct xn_tokenizer *t, int32_t id);

// Appends what the token adds to a text when it isn't the first: its bytes, which need not be whole characters. Nothing
// for an id that has no token. Special tokens are spelled out.
struct xn_text;
int xn_token_append_bytes(const struct xn_tokenizer *t, int32_t id, struct xn_text *out, struct xn_error *err);

// Streaming detokenization: feed ids one by one; whole characters come out, an incomplete one is held back until the
// ids that complete it (or that show it to be invalid: then U+FFFD) arrive. Whether special tokens are shown is said at
// the start.
struct xn_detokenizer {
    const struct xn_tokenizer *tokenizer;
    bool show_special;
    bool started;    // past the first token (whose leading space SentencePiece drops)
    bool blank;      // a blank is due before the next token (vocabularies that mark the ends of words)
    uint8_t held[8]; // bytes of an incomplete character
    uint8_t n_held;
};
void xn_detokenizer_init(struct xn_detokenizer *d, const struct xn_tokenizer *t, bool show_special);
// A growing byte string; zero-initialise, free(text.data). data is NUL-terminated after each append.
struct xn_text {
    char *data;
    size_t size, capacity;
};
int xn_detokenize(struct xn_detokenizer *d, int32_t id, struct xn_text *out, struct xn_error *err);
int xn_detokenize_end(struct xn_detokenizer *d, struct xn_text *out, struct xn_error *err); // flushes what is held
