// What the files of answers share.
//
// An answer is read byte by byte, each byte once: outside of calls by answer.c, which looks for markers, and inside of
// them by the notation's `take`. So it cannot matter how the text is cut. What was read of a call is kept in `held`
// until its name and the beginning of its arguments are known, so that it can still become content.
#pragma once

#include "text/answer/answer.h"
#include "text/tokenizer.h"

enum {
    XN_ANSWER_MARKER = 64,       // bytes of the longest marker, and more
    XN_ANSWER_NAME = 256,        // of a name or an id; a call with a longer one is none
    XN_ANSWER_HELD = 256 * 1024, // of a call whose name is not known yet, or a value whose type is not
    XN_ANSWER_DEPTH = 64,        // of nested values that are rewritten
    XN_ANSWER_MARKERS = 12,      // looked for at once
};

enum xn_verdict {
    XN_GOING,
    XN_DONE,        // the calls end with this byte
    XN_DONE_BEFORE, // they ended before it
    XN_BAD,         // this byte can't be: what is held, without it, becomes content if no call has begun
};

// A value of JSON while its bytes pass; lenient, for what is wrong within it is the model's.
struct xn_json_scan {
    uint32_t depth;
    bool started, string, escape, word;
};
enum xn_scan { XN_SCAN_MORE, XN_SCAN_LAST /* with this byte */, XN_SCAN_BEFORE, XN_SCAN_BAD };
enum xn_scan xn_json_scan(struct xn_json_scan *scan, char c);
// A string of JSON, unescaped byte by byte: the bytes that c adds, at most 8, go to out. c is behind the opening quote.
struct xn_json_unescape {
    uint32_t code, high; // high: the first half of a pair
    uint8_t digits;      // still to come
    bool escape;
};
enum xn_scan xn_json_unescape(struct xn_json_unescape *u, char c, char out[8], size_t *n);
// c as it stands within a string of JSON; at most 8 bytes.
size_t xn_json_escape(char c, char out[8]);

// Arguments as JSON, passed on as they are; or unescaped, where they are written as a string.
struct xn_json_arguments {
    struct xn_json_scan scan;
    struct xn_json_unescape unescape;
    bool begun, wrapped;
};
// c is no blank before the first byte. MORE, LAST, or BAD.
enum xn_scan xn_json_arguments(struct xn_json_arguments *j, char c, char out[8], size_t *n);

// Markers of which each byte is tried.
struct xn_marker {
    char bytes[XN_ANSWER_MARKER];
    uint32_t n;
};
// Takes c. The index of the marker that is complete now (the marker is forgotten then), else -1; bytes that belong to
// no marker are in free[0 .. *n_free), at most XN_ANSWER_MARKER.
int xn_marker_take(struct xn_marker *m, const char *const *markers, char c, char *free, size_t *n_free);

// ---- states of the notations' machines

struct xn_calls_json { // json_calls.c
    uint8_t step, key;
    bool list, some; // within a list; there was a call
    struct xn_json_scan scan;
    struct xn_json_unescape unescape;
    uint32_t n_key, n_close;
    char text[XN_ANSWER_NAME]; // the key
};
struct xn_calls_named { // named.c
    uint8_t step;
    bool some; // there was a call
    struct xn_json_arguments arguments;
    struct xn_marker marker;
    uint32_t at; // within the closing marker
};
struct xn_calls_tags { // tags.c
    uint8_t step;
    bool some, bare;           // there was a call; it began without a section
    bool first, string, begun; // no parameter yet; the value is passed on as a string; some of it was read
    unsigned types;
    struct xn_marker marker;
    uint32_t at, n_key;
    char key[XN_ANSWER_NAME];
};
struct xn_literal { // literal.c
    uint8_t step, n_closers, n_word, digits;
    bool comma, is_key; // a comma is due; the string or word is a key
    char quote;
    char closers[XN_ANSWER_DEPTH], word[XN_ANSWER_MARKER];
    uint32_t code;
    struct xn_marker marker;
};
struct xn_calls_literal { // lfm2.c, gemma4.c
    uint8_t step;
    bool some, first;
    uint32_t at, n_key;
    char key[XN_ANSWER_NAME];
    struct xn_literal value;
};
struct xn_calls_harmony { // harmony.c
    uint8_t step, kind;
    bool some; // of the message has been given
    struct xn_json_scan scan;
    struct xn_json_unescape unescape;
    bool wrapped;
    struct xn_marker marker;
    uint32_t n_header;
    char header[XN_ANSWER_NAME];
};

struct xn_answer {
    struct xn_answer_options options;
    const struct xn_notation *notation; // NULL: calls are not looked for
    const void *table;                  // of the machine that reads the calls
    enum { XN_IN_CONTENT, XN_IN_REASONING, XN_IN_CALLS } where;
    bool content, called;    // some content has been given; some call
    bool drop_blanks;        // until something else comes
    bool holding;            // bytes of calls go to `held`
    struct xn_marker marker; // outside of calls
    struct xn_text blanks;   // held back: they may stand before a marker
    struct xn_text held, value;
    // The call that is being read.
    bool open; // CALL was given
    uint32_t n_calls, n_name, n_id;
    char name[XN_ANSWER_NAME], id[XN_ANSWER_NAME];
    uint64_t random;
    union {
        struct xn_calls_json json;
        struct xn_calls_named named;
        struct xn_calls_tags tags;
        struct xn_calls_literal literal;
        struct xn_calls_harmony harmony;
    } is;
    // What is given next.
    struct xn_text out;
    enum xn_answer_kind out_kind;
    xn_answer_sink *sink;
    void *user;
    struct xn_error *err;
    int status; // the first failure
};

// ---- what machines do

void xn_answer_put(struct xn_answer *a, enum xn_answer_kind kind, const char *text, size_t n);
// The call's name (and id) are complete; gives CALL. What is held is forgotten.
void xn_answer_call(struct xn_answer *a);
static inline void xn_answer_arguments(struct xn_answer *a, const char *text, size_t n) {
    xn_answer_put(a, XN_ANSWER_ARGUMENTS, text, n);
}
void xn_answer_call_end(struct xn_answer *a); // where one is open
// Appends to a name, id or key of XN_ANSWER_NAME bytes (NUL-terminated); false: too long.
bool xn_answer_append(char *to, uint32_t *n, char c);
// Appends to a->value; false: more than XN_ANSWER_HELD.
bool xn_answer_value(struct xn_answer *a, const char *text, size_t n);
// The tool of that name (its "function" object), or NULL.
const json_t *xn_answer_tool(const json_t *tools, const char *name);
static inline bool xn_answer_blank(char c) {
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

// schema_types.c: what a tool's schema says of a parameter.
enum { XN_PARAM_STRING = 1, XN_PARAM_OTHER = 2, XN_PARAM_NULL = 4 }; // none: nothing known
unsigned xn_param_types(const json_t *tools, const char *tool, const char *key);
// A value that was written as plain text, as JSON, by those types: malloc'ed, NULL: no memory.
char *xn_param_json(const char *text, size_t n, unsigned types, size_t *size);

// literal.c: values of Python, or of Gemma 4 (strings stand in <|"|>, keys are bare), byte by byte; what each adds to
// the same value as JSON goes to out, at most XN_LITERAL_OUT bytes. Zero-initialise *l.
enum { XN_LITERAL_OUT = 6 * XN_ANSWER_MARKER + 16 };
enum xn_scan xn_literal_take(struct xn_literal *l, bool gemma, char c, char out[XN_LITERAL_OUT], size_t *n);
// The whole text is one value of Python: appended to out. false: it is none.
bool xn_literal_python(const char *text, size_t n, struct xn_text *out);

// ---- notations

// Of the form of one or more calls of the tools (a node).
struct xn_grammar_build;
typedef int xn_calls_grammar(struct xn_grammar_build *b, const void *table, uint32_t *node);
struct xn_notation {
    const char *name;
    const char *openers[5]; // that begin a call or a list of them, as special tokens or text; NULL ends the list
    bool special;           // markers are special tokens
    bool at_start;          // openers count only where content begins
    bool own;               // no openers: `take` reads all, and gives content and reasoning itself
    bool short_ids;         // nine letters and digits
    const char *drops[4];   // markers outside of calls that mean nothing; NULL ends the list
    void (*begin)(struct xn_answer *a, unsigned opener);
    enum xn_verdict (*take)(struct xn_answer *a, char c);
    void (*end)(struct xn_answer *a); // the text is over within calls; NULL: as if BAD
    xn_calls_grammar *grammar;
    const void *table; // of the shared machines: struct xn_json_table, ...
};
extern const struct xn_notation *const xn_notations[XN_ANSWER_FORMATS]; // NULL for PLAIN

// json_calls.c: objects with a name and arguments, alone or in a list.
struct xn_json_table {
    const char *close;            // behind the object or list; NULL: none
    bool list;                    // objects stand in a list, for grammars; without, too, is understood
    bool opened;                  // the opener includes the list's bracket
    bool loose;                   // `close` need not come, for grammars
    bool single;                  // {"name": {arguments}}
    bool known;                   // only names of known tools, with arguments, are calls
    char separator;               // between objects without a list; 0: none
    const char *name, *arguments; // the keys, for grammars; others are understood, too
    const char *before, *after;   // blanks around the object, for grammars
    const char *between;          // two objects without a list, for grammars; NULL: each has its markers
};
void xn_json_begin(struct xn_answer *a, unsigned opener);
enum xn_verdict xn_json_take(struct xn_answer *a, char c);
void xn_json_end(struct xn_answer *a);
xn_calls_grammar xn_json_grammar;
#define XN_JSON_MACHINE .begin = xn_json_begin, .take = xn_json_take, .end = xn_json_end, .grammar = xn_json_grammar

// named.c: a name, a separator, and arguments as JSON.
struct xn_named_table {
    const char *section, *section_close; // around all calls; NULL: none
    const char *open, *close;            // of a call; close NULL: none
    const char *id_close;                // an id stands first, up to this
    const char *id_open;                 // an id may stand behind the name, after this
    const char *separator;               // between name and arguments
    bool closed_by_end; // section_close is a token that ends the answer, so no text of a grammar has it
    bool functions;     // the name is functions.NAME:INDEX, and an id
    // "function" may stand in the name's place; the name is then behind the separator, and the arguments in ```json.
    bool typed;
    bool brace; // the arguments' brace may stand in the separator's place, if the tool is known
};
void xn_named_begin(struct xn_answer *a, unsigned opener); // openers are `section` or `open`
enum xn_verdict xn_named_take(struct xn_answer *a, char c);
void xn_named_end(struct xn_answer *a);
xn_calls_grammar xn_named_grammar;
#define XN_NAMED_MACHINE                                                                                               \
    .begin = xn_named_begin, .take = xn_named_take, .end = xn_named_end, .grammar = xn_named_grammar

// tags.c: parameters as tags, their values as plain text.
struct xn_tags_table {
    const char *section, *section_close; // around all calls; NULL: none
    const char *open, *name_end;         // <function= and >; name_end NULL: a blank, or what follows
    const char *key_open, *key_end;      // <parameter= and >
    const char *value_open;              // behind the key, with blanks between; NULL: none
    const char *typed_end;               // in key_end's place: true (a string) or false follows, up to key_end
    const char *value_close, *close;
    bool lines;          // values stand between line ends
    bool each;           // a section around each call, for grammars
    const char *between; // blanks between tags, for grammars
};
void xn_tags_begin(struct xn_answer *a, unsigned opener); // opener 0: section; 1: a call of a known tool without one
enum xn_verdict xn_tags_take(struct xn_answer *a, char c);
void xn_tags_end(struct xn_answer *a);
xn_calls_grammar xn_tags_grammar;
#define XN_TAGS_MACHINE .begin = xn_tags_begin, .take = xn_tags_take, .end = xn_tags_end, .grammar = xn_tags_grammar

// grammar.c: the notation's grammar is that of either of two.
int xn_grammar_either(struct xn_grammar_build *b, xn_calls_grammar *first, const void *first_table,
                      xn_calls_grammar *second, const void *second_table, uint32_t *node);
// grammar_literal.c, grammar_harmony.c
xn_calls_grammar xn_gemma_grammar, xn_lfm2_grammar, xn_harmony_grammar;
