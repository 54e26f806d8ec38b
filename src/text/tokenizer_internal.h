// What the tokenizer's files share: the vocabulary, and the stages of encoding, each a struct that a container's reader
// fills and that nothing changes afterwards.
//
//     text -> added tokens -> normalizer -> added tokens (normalized) -> pre-tokenizer -> model -> ids
#pragma once

#include "text/regex.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define XN_LOWER_BLOCK "\xe2\x96\x81" // U+2581, SentencePiece's visible space

// ---- vocabulary.c: tokens by id and by spelling

enum {
    XN_TOKEN_CONTROL = 1,       // hidden in output, recognized only when special tokens are parsed
    XN_TOKEN_USER = 2,          // an added token that is ordinary text otherwise: always recognized
    XN_TOKEN_UNKNOWN = 4,       // stands for what has no token
    XN_TOKEN_BYTE = 8,          // <0xXX>: one byte
    XN_TOKEN_UNUSED = 16,       //
    XN_TOKEN_ENDS = 32,         // ends a generation
    XN_TOKEN_ADDED = 64,        // in tokenizer.json's added_tokens
    XN_TOKEN_LSTRIP = 128,      // swallows white space before it
    XN_TOKEN_RSTRIP = 256,      // ... and after it
    XN_TOKEN_WORD = 512,        // only where no word character touches it
    XN_TOKEN_NORMALIZED = 1024, // looked for in normalized text
    XN_TOKEN_SPECIAL = XN_TOKEN_CONTROL | XN_TOKEN_UNKNOWN,
};

struct xn_token {
    const char *text; // as spelled in the file; in the vocabulary's pool; NULL for an id that has no token
    uint32_t size;
    uint16_t flags;
    double score;
};

struct xn_vocabulary {
    struct xn_token *tokens;
    size_t n;
    char *pool;
    size_t pool_size, pool_capacity;
    uint32_t *slots; // open addressing: id + 1, 0 is free
    size_t mask;
    uint32_t longest;  // bytes of the longest token
    int32_t byte[256]; // the token <0xXX> of each byte, or -1
};
int xn_vocabulary_init(struct xn_vocabulary *v, size_t n, size_t pool, struct xn_error *err);
void xn_vocabulary_free(struct xn_vocabulary *v);
// Spells token `id` (< n); the pool must have room for it, which xn_vocabulary_init was told.
void xn_vocabulary_set(struct xn_vocabulary *v, size_t id, const char *text, size_t size);
// Builds the look-up by spelling and byte[]. Where two ids are spelled alike the lower is found. Returns how many are
// not.
int xn_vocabulary_index(struct xn_vocabulary *v, size_t *duplicates, struct xn_error *err);
int32_t xn_vocabulary_find(const struct xn_vocabulary *v, const char *text, size_t size); // -1: none
uint64_t xn_hash_bytes(const char *data, size_t size);

// Token ids in the order of their spelling, to find which tokens start at a place of a text.
struct xn_prefix_index {
    int32_t *ids;
    size_t n;
    uint32_t first[257]; // ids[first[b]] .. ids[first[b + 1] - 1] start with byte b
};
int xn_prefix_index_build(struct xn_prefix_index *index, const struct xn_vocabulary *v,
                          struct xn_error *err); // sorts index->ids
void xn_prefix_index_free(struct xn_prefix_index *index);
// Calls `found` for each token that is a prefix of the text, shortest first. Empty tokens are none.
typedef void xn_prefix_found(void *user, int32_t id, size_t size);
void xn_prefix_index_each(const struct xn_prefix_index *index, const struct xn_vocabulary *v, const char *text,
                          size_t size, xn_prefix_found *found, void *user);

// ---- added_tokens.c

struct xn_added_tokens {
    struct xn_prefix_index index;
    struct xn_vocabulary spelled; // of the normalized ones: their normalized spelling, by index
    int32_t *ids;                 // ... and their id
};

// ---- normalize.c: text to text

enum xn_normalizer_kind {
    XN_NORMALIZE_UNICODE,   // form
    XN_NORMALIZE_LOWERCASE, //
    XN_NORMALIZE_STRIP,     // left, right: white space at the ends
    XN_NORMALIZE_ACCENTS,   // drops all marks
    XN_NORMALIZE_REPLACE,   // pattern or regex -> content
    XN_NORMALIZE_PREPEND,   // content, unless the text is empty
    XN_NORMALIZE_BERT,      // clean, cjk, accents, lowercase
    XN_NORMALIZE_NMT,       // SentencePiece's "nmt" rules
    XN_NORMALIZE_CHARSMAP,  // SentencePiece's precompiled map
    XN_NORMALIZE_BYTES,     // each byte becomes its GPT-2 character
    XN_NORMALIZE_SPACES,    // SentencePiece's treatment of blanks (GGUF's t5): see normalize.c
};
struct xn_normalizer {
    enum xn_normalizer_kind kind;
    enum xn_normal_form form;
    bool left, right, clean, cjk, accents, lowercase, merge_spaces;
    struct xn_regex *regex;
    char *pattern, *content;
    size_t pattern_size, content_size;
    struct xn_charsmap *charsmap;
};

struct xn_charsmap;
// A precompiled_charsmap: a double array from byte strings to their replacements. Copies the data and checks its sizes.
int xn_charsmap_new(const void *data, size_t size, struct xn_charsmap **out, struct xn_error *err);
void xn_charsmap_free(struct xn_charsmap *map);
int xn_charsmap_apply(const struct xn_charsmap *map, const char *s, size_t n, struct xn_text *out);

// Applies one normalizer, appending to *out. The text is well-formed unless the tokenizer keeps bytes.
int xn_normalizer_apply(const struct xn_normalizer *step, struct xn_regex_scratch *scratch, const char *s, size_t n,
                        struct xn_text *out);
void xn_normalizer_free(struct xn_normalizer *step);
size_t xn_gpt2_byte_char(uint8_t byte, char out[2]); // GPT-2's printable character of a byte, as UTF-8; its length
int xn_gpt2_char_byte(uint32_t c);                   // the byte of such a character, or -1

// ---- pretokenize.c: text to pieces

enum xn_pretokenizer_kind {
    XN_SPLIT_REGEX,     // behavior, invert
    XN_SPLIT_STRING,    // pattern, behavior, invert
    XN_SPLIT_CLASS,     // a class of characters, behavior
    XN_SPLIT_DIGITS,    // runs of digits into threes, counted from the right
    XN_SPLIT_METASPACE, // pattern (the replacement of blanks), prepend, split
    XN_PREFIX_SPACE,    // a blank in front, unless there is white space
    XN_MAP_BYTES,       // each byte becomes its GPT-2 character (where further steps follow; else the model does it)
};
enum xn_digits {
    XN_DIGITS_ISOLATE,         // every run, and each group in it, is apart
    XN_DIGITS_BEFORE_BOUNDARY, // only runs that no word character follows
    XN_DIGITS_CUT,             // cuts before each group; what is before the first stays with its text
};
enum xn_split_behavior {
    XN_SPLIT_ISOLATED,
    XN_SPLIT_REMOVED,
    XN_SPLIT_WITH_PREVIOUS,
    XN_SPLIT_WITH_NEXT,
    XN_SPLIT_CONTIGUOUS,
};
enum xn_prepend { XN_PREPEND_ALWAYS, XN_PREPEND_FIRST, XN_PREPEND_NEVER };
struct xn_pretokenizer {
    enum xn_pretokenizer_kind kind;
    enum xn_split_behavior behavior;
    bool invert, split;
    enum xn_digits digits;
    enum xn_prepend prepend;
    bool (*in_class)(uint32_t c);
    struct xn_regex *regex;
    char *pattern;
    size_t pattern_size;
};
void xn_pretokenizer_free(struct xn_pretokenizer *step);
// Makes a split by regular expression; the few that take quadratic time on long runs of digits become XN_SPLIT_DIGITS.
int xn_pretokenizer_regex(struct xn_pretokenizer *step, const char *pattern, size_t size,
                          enum xn_split_behavior behavior, bool invert, struct xn_error *err);
// Receives the pieces. `first`: it starts where the whole text starts.
typedef int xn_piece_sink(void *user, const char *piece, size_t size);
struct xn_pretokenize_run {
    const struct xn_pretokenizer *steps;
    size_t n_steps;
    struct xn_regex_scratch *scratch;
    struct xn_text *buffers; // one a step
    xn_piece_sink *sink;
    void *user;
};
int xn_pretokenize(const struct xn_pretokenize_run *run, size_t step, const char *text, size_t size, bool first);

// ---- gguf_pretokenizers.c: what tokenizer.ggml.pre names

enum {
    XN_PRE_IGNORE_MERGES = 1,
    XN_PRE_ADD_BOS = 2,
    XN_PRE_NO_BOS = 8,
    XN_PRE_SPACES = 16,     // blanks become U+2581 first
    XN_PRE_CHARACTERS = 32, // symbols are characters, not bytes
    XN_PRE_WHITESPACE = 64, // white space is dropped
};
struct xn_gguf_pretokenizer {
    const char *name; // several, with blanks between them
    unsigned flags;
    const char *patterns[6];
};
const struct xn_gguf_pretokenizer *xn_gguf_pretokenizer(const char *name, size_t size); // NULL: unknown
const struct xn_gguf_pretokenizer *xn_gguf_pretokenizer_at(size_t i); // NULL past the last; 0 is the default

// ---- models: pieces to ids

enum xn_model_kind { XN_MODEL_BPE, XN_MODEL_SENTENCEPIECE, XN_MODEL_UNIGRAM, XN_MODEL_WORDPIECE };

struct xn_merge {
    uint64_t pair; // left id << 32 | right id
    uint32_t rank;
    int32_t merged; // -1: a free slot
};

struct xn_model {
    enum xn_model_kind kind;
    bool bytes;          // BPE: symbols are bytes, spelled as GPT-2's characters
    bool ignore_merges;  // BPE: a piece that is a token is that token
    bool whole_newlines; // BPE: the same for pieces of line feeds only
    bool byte_fallback, fuse_unk;
    int32_t unk;                        // -1: none; what has no token is dropped
    char *subword_prefix, *word_suffix; // BPE, WordPiece; NULL: none
    char *word_prefix;                  // WordPiece: in front of a word's first token (GGUF)
    uint32_t max_word;                  // WordPiece: characters of the longest word that is looked at
    int32_t symbol[256];                // BPE with bytes: the token of each byte, or -1
    struct xn_merge *merges;            // BPE: open addressing
    size_t merges_mask;
    bool cut_at_blocks;              // a piece may be cut before a U+2581, but for ...
    uint64_t joined[1024];           // ... characters (hashed) that some token has in front of one
    struct xn_prefix_index prefixes; // unigram
    double unknown_score;            // unigram
};
// Merges are added in the order of their rank, then encoding may start. XN_ERR_NOMEM without memory. A merge is given
// by the spelling of its parts; false in *known where a part or the result is no token (the merge is then left out).
int xn_model_reserve_merges(struct xn_model *m, size_t n, struct xn_error *err);
bool xn_model_add_merge(struct xn_model *m, const struct xn_vocabulary *v, uint32_t rank, const char *left,
                        size_t left_size, const char *right, size_t right_size);
// Fills what follows from the vocabulary: symbol, joined, prefixes, unknown_score.
int xn_model_finish(struct xn_model *m, const struct xn_vocabulary *v, struct xn_error *err);
void xn_model_free(struct xn_model *m);

// The memory of one encoding, reused for all its pieces.
struct xn_symbol {
    int32_t prev, next; // -1: none
    uint32_t start, size;
    int32_t id; // -1: no token
};
struct xn_candidate {
    uint64_t key; // rank << 32 | index of the left symbol: the smallest is merged first
    uint32_t size;
    int32_t merged;
};
struct xn_best {
    double score;
    uint32_t from;
    int32_t id; // -1: nothing reaches here
};
struct xn_piece_cache;
struct xn_encoder {
    const struct xn_tokenizer *t;
    struct xn_ids *ids;
    bool special;
    bool ragged; // the text has bytes that are no UTF-8, which the model sees
    struct xn_regex_scratch *scratch;
    struct xn_text repaired, normal[2], *buffers, word;
    struct xn_symbol *symbols;
    size_t symbols_capacity;
    struct xn_candidate *heap;
    size_t heap_n, heap_capacity;
    struct xn_best *best;
    size_t best_capacity;
    struct xn_piece_cache *cache;
};
struct xn_piece_cache *xn_piece_cache_new(size_t text_size); // NULL without memory, and where it would not pay; free()
int xn_encoder_emit(struct xn_encoder *e, int32_t id);
int xn_encode_bpe(struct xn_encoder *e, const char *piece, size_t size); // SentencePiece's too
int xn_encode_unigram(struct xn_encoder *e, const char *piece, size_t size);
int xn_encode_wordpiece(struct xn_encoder *e, const char *piece, size_t size);

// ---- detokenize.c

enum xn_decoder_kind {
    XN_DECODE_REPLACE,
    XN_DECODE_BYTES /* GPT-2's characters */,
    XN_DECODE_WORDPIECE,
    XN_DECODE_SUFFIX
};
struct xn_decoder {
    enum xn_decoder_kind kind;
    // REPLACE: both. SUFFIX: the pattern that ends a word. WORDPIECE: the pattern that starts what continues a word, or
    // (pattern empty) the content that starts a word.
    char *pattern, *content;
    bool cleanup; // WORDPIECE
};

// ---- tokenizer.c

enum { XN_MAX_STEPS = 32, XN_MAX_FRAME = 4, XN_MAX_TOKENS = 1 << 24 };

struct xn_tokenizer {
    struct xn_vocabulary vocabulary;
    struct xn_added_tokens plain, normalized;
    struct xn_normalizer normalizers[XN_MAX_STEPS];
    size_t n_normalizers;
    struct xn_pretokenizer pretokenizers[XN_MAX_STEPS];
    size_t n_pretokenizers;
    struct xn_model model;
    struct xn_decoder decoders[XN_MAX_STEPS];
    size_t n_decoders;
    bool join_with_spaces; // no decoder: tokens are separated by blanks
    bool decode_bytes;     // <0xXX> is a byte
    uint32_t strip_first;  // blanks dropped at the start of the text
    bool keep_bytes;       // bytes that are no UTF-8 reach the model
    int32_t bos, eos, pad;
    int32_t before[XN_MAX_FRAME], after[XN_MAX_FRAME]; // what XN_TOKENIZE_BOS_EOS adds
    size_t n_before, n_after;
};
struct xn_tokenizer *xn_tokenizer_new(void); // NULL without memory
// Completes a tokenizer whose parts were read: look-ups, added tokens, end-of-generation tokens.
int xn_tokenizer_finish(struct xn_tokenizer *t, struct xn_error *err);
// Marks a token that ends generation; ids out of range are ignored.
void xn_tokenizer_mark_end(struct xn_tokenizer *t, int64_t id);
// xn_tokenizer_from_json of a text in memory; `name` is for messages.
int xn_tokenizer_from_json_text(const char *name, const char *data, size_t size, const json_t *tokenizer_config,
                                struct xn_tokenizer **out, struct xn_error *err);
int xn_added_tokens_build(struct xn_tokenizer *t, struct xn_error *err);
void xn_added_tokens_free(struct xn_added_tokens *added);
// Finds the leftmost, there the longest, added token at or after `from`. False where there is none.
struct xn_added_match {
    int32_t id;
    size_t start, end; // with the white space that it swallows
};
bool xn_added_tokens_find(const struct xn_tokenizer *t, const struct xn_added_tokens *added, bool special,
                          const char *text, size_t size, size_t from, struct xn_added_match *match);

// ---- special_tokens.c: what tokens spelled in well-known ways are for

// llama.cpp's view of a GGUF's tokens: control tokens whose type the file has wrong, and the end-of-generation tokens.
void xn_gguf_special_tokens(struct xn_tokenizer *t);
// Among the added tokens of a tokenizer.json: those that end a generation.
void xn_json_special_tokens(struct xn_tokenizer *t);
