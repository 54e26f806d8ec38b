/* Xenon: runs large language models. The one header that another program needs; C99 and C++.
 *
 * Use (every call returns XENON_OK or fills `err`):
 *
 *     xenon_model *model = NULL;
 *     xenon_context *context = NULL;
 *     xenon_sampler *sampler = NULL;
 *     xenon_stream *stream = NULL;
 *     xenon_error err;
 *     uint32_t sequence;
 *     int32_t *ids = NULL;
 *     size_t n = 0;
 *
 *     if (xenon_model_open("model.gguf", NULL, &model, &err)) goto fail;
 *     if (xenon_context_create(model, NULL, &context, &err)) goto fail;
 *     if (xenon_sequence_new(context, &sequence, &err)) goto fail;
 *     if (xenon_sampler_create(model, NULL, &sampler, &err)) goto fail;
 *     if (xenon_stream_create(model, NULL, &stream, &err)) goto fail;
 *
 *     xenon_message question = {"user", "Why is the sky blue?"};
 *     if (xenon_chat_tokens(model, &question, 1, NULL, &ids, &n, &err)) goto fail;
 *     if (xenon_eval_tokens(context, sequence, ids, n, &err)) goto fail;
 *     for (;;) {
 *         int32_t id = xenon_sampler_choose(sampler, xenon_logits(context, XENON_LAST));
 *         const char *text;
 *         size_t size;
 *         int state = xenon_stream_push(stream, id, &text, &size, &err);
 *         if (state < 0) goto fail;
 *         fwrite(text, 1, size, stdout);
 *         if (state == XENON_STREAM_END) break;
 *         if (xenon_eval_tokens(context, sequence, &id, 1, &err)) goto fail;
 *     }
 *
 * Threads: a model, once open, may be used by several threads at once, each with a context of its own; a context,
 * sampler or stream by one thread at a time. Contexts of one model run their steps one after the other where they share
 * a device.
 *
 * Ownership: each xxx_create or xxx_open stores a new object only on success and leaves the pointer NULL on failure;
 * each xxx_free or xxx_close takes the address of the pointer, accepts NULL there, and sets it to NULL. A model must
 * outlive its contexts, samplers and streams. Strings and arrays that are passed in are not kept. */
#ifndef XENON_XENON_H
#define XENON_XENON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define XENON_API __attribute__((visibility("default")))
#else
#define XENON_API
#endif

#define XENON_VERSION_MAJOR 0
#define XENON_VERSION_MINOR 1
#define XENON_VERSION_PATCH 0
#define XENON_VERSION_STRING "0.1.0"

/* The version of the library that is linked. */
XENON_API const char *xenon_version(void);

/* --- errors
 * ------------------------------------------------------------------------------------------------------------ */

enum {
    XENON_OK = 0,
    XENON_ERR_NOMEM = -1,       /* out of memory */
    XENON_ERR_IO = -2,          /* a file can't be read */
    XENON_ERR_FORMAT = -3,      /* a file is malformed */
    XENON_ERR_UNSUPPORTED = -4, /* known, but not supported (a model family, a missing tokenizer) */
    XENON_ERR_ARGUMENT = -5,    /* an argument is out of its range */
    XENON_ERR_LIMIT = -6,       /* the context is full, or more was asked for than it was made for */
    XENON_ERR_TEMPLATE = -7,    /* the chat template failed; the message is its own */
    XENON_ERR_DEVICE = -8,      /* the device failed */
    XENON_ERR_CANCELLED = -9,   /* a progress callback asked to stop */
    XENON_ERR_MISSING = -10     /* nothing has that name */
};

/* What went wrong, as one line for a person. Every function takes a pointer to one, or NULL, and writes it only on
 * failure. */
typedef struct xenon_error {
    int status;         /* one of XENON_ERR_* */
    char message[1024]; /* NUL-terminated, without a line end */
} xenon_error;

/* The library never prints. Its warnings and notes go to `sink`, one line each; NULL (the default) drops them.
 * Process-wide. level: 0 error, 1 warning, 2 information, 3 detail. */
XENON_API void xenon_set_log(void (*sink)(void *user, int level, const char *line), void *user);

/* Frees what the library allocated for the caller (ids, text). Accepts NULL. */
XENON_API void xenon_free(void *memory);

/* --- models
 * ------------------------------------------------------------------------------------------------------------ */

typedef struct xenon_model xenon_model;

/* Zero-initialise for the defaults, then set what differs. */
typedef struct xenon_model_options {
    const char *device; /* "cpu", "cpu:c", "cpu:avx2", "cpu:avx512", "cpu:avx512vnni", "gpu0", "gpu1", ..., "reference";
                           several with commas between them, over which layers are dealt out; "auto": GPUs if there are
                           some, one alone where the model fits it, else the processor. What does not fit GPUs stays on
                           the processor. NULL: the processor at its best, or what the environment variable XENON_CPU
                           names */
    int threads;        /* 0 to 1024; 0: one a core that the process may use */
    /* Called while the model is read: 0 <= done <= total; nonzero stops with XENON_ERR_CANCELLED. NULL: not called. */
    int (*progress)(void *user, const char *what, uint64_t done, uint64_t total);
    void *progress_user;
    const char *split; /* "3,1": shares of the layers, one a device named; NULL: by free memory */
    int gpu_layers;    /* layers that GPUs take, of the last ones; 0: as many as fit; negative: none */
    bool cpu_experts;  /* the processor takes the experts of every layer */
    double gpu_memory; /* bytes of each GPU to use at the most; 0: what is free */
} xenon_model_options;

/* Opens a GGUF file or a Hugging Face folder. options may be NULL. The files stay mapped until the model is closed. */
XENON_API int xenon_model_open(const char *path, const xenon_model_options *options, xenon_model **model,
                               xenon_error *err);
XENON_API void xenon_model_close(xenon_model **model);

typedef struct xenon_model_info {
    const char *family; /* "qwen3"; valid as long as the model */
    const char *name;   /* the model's own name, or "" */
    uint32_t vocab;     /* token ids are 0 to vocab - 1 */
    uint32_t layers, hidden;
    uint32_t context;           /* positions that it was trained for */
    uint64_t parameters;        /* all */
    uint64_t active_parameters; /* used for one token */
    uint64_t bytes;             /* of the weights */
    bool has_tokenizer, has_chat_template;
} xenon_model_info;
XENON_API void xenon_model_get_info(const xenon_model *model, xenon_model_info *info);

/* --- text
 * -------------------------------------------------------------------------------------------------------------- */

enum {
    XENON_TOKENIZE_SPECIAL = 1, /* special tokens written in the text become their ids; else they are ordinary text */
    XENON_TOKENIZE_BOS = 2      /* the model's beginning-of-sequence token first, where it wants one */
};

/* Text (any bytes) to ids. *ids: xenon_free. XENON_ERR_UNSUPPORTED where the model has no tokenizer. */
XENON_API int xenon_tokenize(const xenon_model *model, const char *text, size_t size, int flags, int32_t **ids,
                             size_t *n_ids, xenon_error *err);
/* Ids to text (NUL-terminated beyond *size; xenon_free). show_special: special tokens are written out. */
XENON_API int xenon_detokenize(const xenon_model *model, const int32_t *ids, size_t n_ids, bool show_special,
                               char **text, size_t *size, xenon_error *err);

/* Whether a token ends an answer (end of sequence, of turn, of message, ...). */
XENON_API bool xenon_token_is_end(const xenon_model *model, int32_t id);
/* The id of a token that is spelled exactly so, or -1. */
XENON_API int32_t xenon_token_find(const xenon_model *model, const char *text);

typedef struct xenon_message {
    const char *role;    /* "system", "user", "assistant", "tool" */
    const char *content; /* UTF-8 */
} xenon_message;

/* Renders a conversation with the model's own chat template, ready for the assistant's answer. `arguments`: further
 * variables of the template as a JSON object, e.g. "{\"enable_thinking\": false}"; NULL: none. *text: xenon_free.
 * XENON_ERR_UNSUPPORTED where the model has no template. */
XENON_API int xenon_chat_text(const xenon_model *model, const xenon_message *messages, size_t n_messages,
                              const char *arguments, char **text, size_t *size, xenon_error *err);
/* The same, as ids. */
XENON_API int xenon_chat_tokens(const xenon_model *model, const xenon_message *messages, size_t n_messages,
                                const char *arguments, int32_t **ids, size_t *n_ids, xenon_error *err);

/* --- contexts and evaluation
 * ------------------------------------------------------------------------------------------- */

typedef struct xenon_context xenon_context; /* the cache of a number of sequences, and their evaluation */

enum {
    XENON_CACHE_AUTO = 0,
    XENON_CACHE_F32 = 1,
    XENON_CACHE_F16 = 2,
    XENON_CACHE_BF16 = 3, /* these on GPUs */
    XENON_CACHE_Q8_0 = 4,
    XENON_CACHE_Q4_0 = 5
};

/* Zero-initialise for the defaults. */
typedef struct xenon_context_options {
    uint32_t context;   /* positions of all sequences together, to 2^28; 0: the model's, at most 8192 */
    uint32_t batch;     /* tokens a step at the most, to 2^20; 0: 512 */
    uint32_t sequences; /* at the most at once, to 2^20; 0: 1 */
    uint32_t outputs;   /* tokens of a step that may ask for logits; 0: as many as sequences */
    int cache_type;     /* of keys and values: XENON_CACHE_*; AUTO: what suits the device */
    /* Copies of recurrent states, to which sequences are cut back cheaply, to 2^20; each takes the memory of one
     * sequence's states. -1: none; 0: as many as fit 256 MiB, 4 to 32. A model without recurrent states has none. */
    int32_t checkpoints;
} xenon_context_options;

XENON_API int xenon_context_create(xenon_model *model, const xenon_context_options *options, xenon_context **context,
                                   xenon_error *err);
XENON_API void xenon_context_free(xenon_context **context);
/* The options with the choices made (checkpoints: their number; 0: none). */
XENON_API void xenon_context_get_options(const xenon_context *context, xenon_context_options *options);
/* Bytes of cache and recurrent states, and of activations. Either pointer may be NULL. */
XENON_API void xenon_context_get_memory(const xenon_context *context, uint64_t *cache, uint64_t *activations);

/* Sequences are small numbers, each with positions of its own. A new one is empty. */
XENON_API int xenon_sequence_new(xenon_context *context, uint32_t *sequence, xenon_error *err);
XENON_API void xenon_sequence_free(xenon_context *context, uint32_t sequence);
XENON_API uint32_t xenon_sequence_length(const xenon_context *context, uint32_t sequence);
/* A copy that goes its own way; the memory of what both have is shared. */
XENON_API int xenon_sequence_fork(xenon_context *context, uint32_t from, uint32_t *sequence, xenon_error *err);
/* The tokens that a sequence holds, xenon_sequence_length of them; NULL: none. Valid until its next step. */
XENON_API const int32_t *xenon_sequence_tokens(const xenon_context *context, uint32_t sequence);
/* Drops all positions from `length` on. In a model with recurrent states the tokens between the last checkpoint (which
 * steps make, see xenon_context_options) and `length` are evaluated again; the logits of the last step are gone then.
 * On failure the length is as it was. */
XENON_API int xenon_sequence_cut(xenon_context *context, uint32_t sequence, uint32_t length, xenon_error *err);
/* The largest length up to `length` to which a sequence is cut without evaluating anything. */
XENON_API uint32_t xenon_sequence_resume(const xenon_context *context, uint32_t sequence, uint32_t length);

/* What a sequence holds, as bytes, so that another context of the same model and cache type goes on from there, now or
 * in another process (on a processor of the same byte order). checkpoints: those are saved as well. *data:
 * xenon_free. */
XENON_API int xenon_sequence_save(xenon_context *context, uint32_t sequence, bool checkpoints, void **data,
                                  size_t *size, xenon_error *err);
/* The same into a file, which appears under its name when it is complete. */
XENON_API int xenon_sequence_save_file(xenon_context *context, uint32_t sequence, bool checkpoints, const char *path,
                                       xenon_error *err);
/* Makes a new sequence of what was saved (data: at an address as malloc gives them). XENON_ERR_FORMAT: damaged, or
 * something else; XENON_ERR_UNSUPPORTED: of another model, cache type or version; XENON_ERR_LIMIT: more than fits. */
XENON_API int xenon_sequence_restore(xenon_context *context, const void *data, size_t size, uint32_t *sequence,
                                     xenon_error *err);
XENON_API int xenon_sequence_restore_file(xenon_context *context, const char *path, uint32_t *sequence,
                                          xenon_error *err);

/* The next token of a sequence. */
typedef struct xenon_feed {
    uint32_t sequence;
    int32_t token;
    bool logits; /* wanted after this token */
} xenon_feed;

/* One step: n tokens (1 to options.batch) of any mix of sequences; those of one sequence stand in their order. On
 * failure no sequence has changed. */
XENON_API int xenon_eval(xenon_context *context, const xenon_feed *feeds, uint32_t n, xenon_error *err);
/* Appends n >= 1 tokens to one sequence, in as many steps as needed; the logits after the last are
 * xenon_logits(context, XENON_LAST). On failure the sequence holds the steps that were done (xenon_sequence_length). */
XENON_API int xenon_eval_tokens(xenon_context *context, uint32_t sequence, const int32_t *ids, size_t n,
                                xenon_error *err);

#define XENON_LAST UINT32_MAX
/* After a step: the logits (one float a token of the vocabulary) of its feed i, or NULL if that did not ask for them.
 * Valid until the context's next step. */
XENON_API const float *xenon_logits(const xenon_context *context, uint32_t i);

/* --- sampling
 * ---------------------------------------------------------------------------------------------------------- */

typedef struct xenon_sampler xenon_sampler;

/* xenon_sampling_defaults gives the defaults; then set what differs. */
typedef struct xenon_sampling {
    float temperature;    /* <= 0: always the most likely token; 0.7 */
    int32_t top_k;        /* of the most likely k; <= 0: all; 40 */
    float top_p;          /* of the most likely with this sum; >= 1: all; 0.95 */
    float min_p;          /* of those at least this share of the most likely; <= 0: all; 0.05 */
    float repeat_penalty; /* > 0, of recent tokens; 1: none; 1 */
    int32_t repeat_last;  /* tokens that count as recent; 0: none, -1: all; 64 */
    uint64_t seed;        /* the same seed and logits give the same choices; 0 */
} xenon_sampling;
XENON_API void xenon_sampling_defaults(xenon_sampling *sampling);

/* sampling may be NULL. */
XENON_API int xenon_sampler_create(const xenon_model *model, const xenon_sampling *sampling, xenon_sampler **sampler,
                                   xenon_error *err);
/* The same from a JSON object with the settings, names and meanings of requests to llama.cpp's server, e.g.
 * "{\"temperature\": 0.9, \"dry_multiplier\": 0.8, \"samplers\": [\"dry\", \"min_p\", \"temperature\"]}"; what it does
 * not name is as xenon_sampling_defaults has it. docs/sampling.md lists them. XENON_ERR_ARGUMENT names a wrong one.
 * With "grammar" (GBNF, a string) or "json_schema" (a schema) the tokens that the sampler chooses are a text of that
 * grammar; such a sampler chooses one text, from its first token on (docs/grammars.md). */
XENON_API int xenon_sampler_create_json(const xenon_model *model, const char *settings, xenon_sampler **sampler,
                                        xenon_error *err);
XENON_API void xenon_sampler_free(xenon_sampler **sampler);
/* Chooses a token and remembers it for the penalty. logits: of xenon_logits, not changed; NULL gives -1, and so does a
 * grammar that allows nothing more. */
XENON_API int32_t xenon_sampler_choose(xenon_sampler *sampler, const float *logits);
typedef struct xenon_logprob {
    int32_t id;
    float logprob; /* natural logarithm of a probability */
} xenon_logprob;
/* Of the model's own distribution, before any sampling (as OpenAI's logprobs): of token `id` into *chosen (NULL: not
 * wanted), and the n most likely, best first, into top. Returns how many of these there are, or -1: out of memory. */
XENON_API int32_t xenon_logprobs(const xenon_model *model, const float *logits, int32_t id, float *chosen,
                                 xenon_logprob *top, int32_t n);
/* Remembers a token of the prompt for the penalty. */
XENON_API void xenon_sampler_accept(xenon_sampler *sampler, int32_t id);

/* --- streaming
 * --------------------------------------------------------------------------------------------------------- */

typedef struct xenon_stream xenon_stream; /* tokens, as they are chosen, to text */

/* Zero-initialise for the defaults. */
typedef struct xenon_stream_options {
    const char *const *stops; /* the answer ends before any of these strings, which may lie across tokens; copied */
    size_t n_stops;
    bool show_special; /* special tokens are written out */
} xenon_stream_options;

enum {
    XENON_STREAM_MORE = 0,
    XENON_STREAM_END = 1 /* the token, or a stop string, ended the answer */
};

XENON_API int xenon_stream_create(const xenon_model *model, const xenon_stream_options *options, xenon_stream **stream,
                                  xenon_error *err);
XENON_API void xenon_stream_free(xenon_stream **stream);
/* Takes the next token. *text (valid until the next call with this stream; not NULL on success) is what became complete
 * by it: whole characters, and nothing that may turn out to be the beginning of a stop string. Returns
 * XENON_STREAM_MORE, XENON_STREAM_END
 * (*text then has all that was held back) or an error. */
XENON_API int xenon_stream_push(xenon_stream *stream, int32_t id, const char **text, size_t *size, xenon_error *err);
/* Ends a text that was not ended by a token: *text has what was held back. The stream may then be used for another
 * text. */
XENON_API int xenon_stream_finish(xenon_stream *stream, const char **text, size_t *size, xenon_error *err);

#ifdef __cplusplus
}
#endif

#endif
