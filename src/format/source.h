// A model on disk, whatever its container: a GGUF file (or split set), or a Hugging Face folder (config.json,
// safetensors, tokenizer.json, tokenizer_config.json, chat_template.jinja or chat_template.json,
// generation_config.json).
#pragma once

#include "base/error.h"
#include "format/gguf.h"
#include "format/safetensors.h"

#include <jansson.h>

struct xn_source {
    char *path;                // as given
    struct xn_gguf *gguf;      // exactly one of gguf ...
    struct xn_safetensors *st; // ... and st is set (st: a folder)
    json_t *config;            // folder: config.json, an object; NULL for GGUF
    json_t *tokenizer_config;  // folder: may be NULL
    json_t *generation_config; // folder: may be NULL
    char *tokenizer_path;      // folder: tokenizer.json, may be NULL
    char *chat_template;       // the model's default chat template, or NULL (both containers)
};

// Opens a GGUF file or a folder. Where `path` is a folder with a .gguf and no config.json, the error says so.
int xn_source_open(const char *path, struct xn_source **out, struct xn_error *err);
void xn_source_close(struct xn_source *source);
// The pages of its files that this process has read may leave its memory (they stay in the system's cache, and come
// back when they are read again): for what has been copied elsewhere.
void xn_source_relax(const struct xn_source *source);

size_t xn_source_n_tensors(const struct xn_source *source);
const struct xn_tensor *xn_source_tensor_at(const struct xn_source *source, size_t i);
const struct xn_tensor *xn_source_tensor(const struct xn_source *source, const char *name); // NULL if absent

// As xn_source_tensor, but says why there is none: absent, or there in a form that the engine has no type for.
int xn_source_require(const struct xn_source *source, const char *name, const struct xn_tensor **out,
                      struct xn_error *err);

// Reads a JSON file of at most `limit` bytes; errors name file, line and column. Duplicate keys are refused. Numbers
// that JSON or a double can't hold, which Python writes and reads nevertheless (NaN, Infinity, -Infinity, 1e999),
// become {"__float__": "NaN"} and so on, as transformers writes them; whole numbers past 64 bits become reals.
int xn_json_file(const char *path, size_t limit, json_t **out, struct xn_error *err);
// The same from `size` bytes in memory; `name` stands for the file in messages.
int xn_json_parse(const char *text, size_t size, const char *name, json_t **out, struct xn_error *err);
// The value of a number or of a {"__float__": ...} object; false where it is neither.
bool xn_json_float(const json_t *value, double *out);
