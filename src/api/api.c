// The public API (include/xenon/xenon.h) over engine, text and device selection.
#include "xenon/xenon.h"

#include "api/sampling.h"
#include "api/select.h"
#include "api/session.h"
#include "base/memory.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

// The statuses of the API are those of the library.
#define X(name, value, text) _Static_assert((int)XENON_ERR_##name == (int)XN_ERR_##name, #name);
XN_STATUS_LIST(X)
#undef X

struct xenon_model {
    struct xn_device *device;
    struct xn_model *model;
    pthread_mutex_t busy; // the device runs one step at a time
};

struct xenon_context {
    xenon_model *model;
    struct xn_context *context;
    struct xn_feed *feeds; // [batch]
};

struct xenon_sampler {
    struct xn_sampler *sampler;
    struct xn_constraint *constraint; // NULL: none
    struct xn_sampling_held held;     // what the sampler uses
};

struct xenon_stream {
    const struct xn_tokenizer *tokenizer;
    bool show_special;
    struct xn_detokenizer detokenizer;
    char **strings; // of the stops
    struct xn_stops stops;
    struct xn_text piece, shown;
};

// Hands an error of the library to the caller; returns `status`.
static int give(int status, const struct xn_error *from, xenon_error *to) {
    if (status != XN_OK && to) {
        to->status = status;
        memcpy(to->message, from->message, sizeof to->message);
        to->message[sizeof to->message - 1] = 0;
    }
    return status;
}
_Static_assert(sizeof((xenon_error *)0)->message == sizeof((struct xn_error *)0)->message, "messages are of one size");

static int refuse(xenon_error *to, int status, const char *message) {
    if (to) {
        to->status = status;
        memset(to->message, 0, sizeof to->message);
        strncpy(to->message, message, sizeof to->message - 1);
    }
    return status;
}

const char *xenon_version(void) {
    return XENON_VERSION_STRING;
}

// --- log ---

static struct {
    void (*sink)(void *user, int level, const char *line);
    void *user;
} log_to;

static void pass_log(void *user, enum xn_log_level level, const char *line) {
    (void)user;
    log_to.sink(log_to.user, (int)level, line);
}

void xenon_set_log(void (*sink)(void *user, int level, const char *line), void *user) {
    log_to.sink = sink;
    log_to.user = user;
    xn_log_set_sink(sink ? pass_log : NULL, NULL);
}

void xenon_free(void *memory) {
    free(memory);
}

// --- models ---

int xenon_model_open(const char *path, const xenon_model_options *options, xenon_model **out, xenon_error *error) {
    static const xenon_model_options none;
    const xenon_model_options *o = options ? options : &none;
    struct xn_error err;
    struct xn_progress progress = {.report = o->progress, .user = o->progress_user};
    *out = NULL;
    if (!path) return refuse(error, XN_ERR_ARGUMENT, "path: found NULL");
    if (o->threads < 0 || o->threads > 1024)
        return refuse(error, XN_ERR_ARGUMENT, "threads: out of range, expected 0 to 1024");
    xenon_model *m = xn_alloc_zero(1, sizeof *m);
    if (!m) return refuse(error, XN_ERR_NOMEM, "out of memory for a model");
    pthread_mutex_init(&m->busy, NULL);
    struct xn_device_choice choice = {.devices = o->device,
                                      .threads = o->threads,
                                      .split = o->split,
                                      .layers = o->gpu_layers > 0   ? o->gpu_layers
                                                : o->gpu_layers < 0 ? 0
                                                                    : -1,
                                      .cpu_experts = o->cpu_experts,
                                      .gpu_memory = o->gpu_memory};
    int status = xn_devices_choose(&choice, &m->device, &err);
    if (status == XN_OK) status = xn_model_open(path, m->device, NULL, &progress, &m->model, &err);
    if (status == XN_OK)
        *out = m;
    else
        xenon_model_close(&m);
    return give(status, &err, error);
}

void xenon_model_close(xenon_model **model) {
    xenon_model *m = *model;
    if (!m) return;
    xn_model_close(m->model);
    if (m->device) m->device->table->free(m->device);
    pthread_mutex_destroy(&m->busy);
    free(m);
    *model = NULL;
}

void xenon_model_get_info(const xenon_model *model, xenon_model_info *info) {
    const struct xn_recipe *r = &model->model->recipe;
    struct xn_recipe_sizes sizes = xn_recipe_sizes(r);
    *info = (xenon_model_info){
        .family = r->family,
        .name = r->name ? r->name : "",
        .vocab = r->vocab,
        .layers = r->n_layers,
        .hidden = r->hidden,
        .context = r->context,
        .parameters = sizes.parameters,
        .active_parameters = sizes.active_parameters,
        .bytes = sizes.bytes,
        .has_tokenizer = model->model->tokenizer != NULL,
        .has_chat_template = model->model->chat != NULL,
    };
}

// --- text ---

static int need_tokenizer(const xenon_model *model, xenon_error *error) {
    return model->model->tokenizer ? XN_OK : refuse(error, XN_ERR_UNSUPPORTED, "the model has no tokenizer");
}

int xenon_tokenize(const xenon_model *model, const char *text, size_t size, int flags, int32_t **ids, size_t *n_ids,
                   xenon_error *error) {
    struct xn_error err;
    struct xn_ids list = {0};
    *ids = NULL;
    *n_ids = 0;
    XN_TRY(need_tokenizer(model, error));
    int wanted = (flags & XENON_TOKENIZE_SPECIAL ? XN_TOKENIZE_SPECIAL : 0) |
                 (flags & XENON_TOKENIZE_BOS ? XN_TOKENIZE_BOS_EOS : 0);
    int status = xn_tokenize(model->model->tokenizer, text, size, wanted, &list, &err);
    if (status != XN_OK) {
        free(list.data);
        return give(status, &err, error);
    }
    *ids = list.data;
    *n_ids = list.n;
    return XN_OK;
}

static int detokenize_all(const struct xn_tokenizer *t, const int32_t *ids, size_t n, bool show_special,
                          struct xn_text *text, struct xn_error *err) {
    struct xn_detokenizer d;
    xn_detokenizer_init(&d, t, show_special);
    XN_TRY(xn_text_put(text, "", 0, err));
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= xn_tokenizer_size(t))
            return xn_fail(err, XN_ERR_ARGUMENT, "token %d: the vocabulary has %d", ids[i], xn_tokenizer_size(t));
        XN_TRY(xn_detokenize(&d, ids[i], text, err));
    }
    return xn_detokenize_end(&d, text, err);
}

int xenon_detokenize(const xenon_model *model, const int32_t *ids, size_t n_ids, bool show_special, char **text,
                     size_t *size, xenon_error *error) {
    struct xn_error err;
    struct xn_text out = {0};
    *text = NULL;
    *size = 0;
    XN_TRY(need_tokenizer(model, error));
    int status = detokenize_all(model->model->tokenizer, ids, n_ids, show_special, &out, &err);
    if (status != XN_OK) {
        free(out.data);
        return give(status, &err, error);
    }
    *text = out.data;
    *size = out.size;
    return XN_OK;
}

bool xenon_token_is_end(const xenon_model *model, int32_t id) {
    return model->model->tokenizer && xn_token_ends(model->model->tokenizer, id);
}

int32_t xenon_token_find(const xenon_model *model, const char *text) {
    return model->model->tokenizer ? xn_token_id(model->model->tokenizer, text) : -1;
}

static int messages_json(const xenon_message *messages, size_t n, json_t **out, struct xn_error *err) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++) {
        json_t *message = messages[i].role && messages[i].content
                              ? json_pack("{s:s s:s}", "role", messages[i].role, "content", messages[i].content)
                              : NULL;
        if (json_array_append_new(list, message) != 0) {
            json_decref(list);
            return xn_fail(err, XN_ERR_ARGUMENT, "message %zu: role or content is NULL or no valid UTF-8", i);
        }
    }
    *out = list;
    return XN_OK;
}

static int arguments_json(const char *text, json_t **out, struct xn_error *err) {
    json_error_t error;
    *out = NULL;
    if (!text) return XN_OK;
    *out = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (json_is_object(*out)) return XN_OK;
    json_decref(*out);
    *out = NULL;
    return xn_fail(err, XN_ERR_ARGUMENT, "template arguments: expected a JSON object, found %s", text);
}

static int chat_text(const xenon_model *model, const xenon_message *messages, size_t n_messages, const char *arguments,
                     char **text, size_t *size, struct xn_error *err) {
    json_t *list = NULL, *more = NULL;
    XN_TRY(messages_json(messages, n_messages, &list, err));
    int status = arguments_json(arguments, &more, err);
    if (status == XN_OK) status = xn_prompt_render(model->model, list, more, true, text, size, err);
    json_decref(list);
    json_decref(more);
    return status;
}

int xenon_chat_text(const xenon_model *model, const xenon_message *messages, size_t n_messages, const char *arguments,
                    char **text, size_t *size, xenon_error *error) {
    struct xn_error err;
    char *rendered = NULL;
    *text = NULL;
    *size = 0;
    int status = chat_text(model, messages, n_messages, arguments, &rendered, size, &err);
    if (status == XN_OK) *text = rendered;
    return give(status, &err, error);
}

int xenon_chat_tokens(const xenon_model *model, const xenon_message *messages, size_t n_messages, const char *arguments,
                      int32_t **ids, size_t *n_ids, xenon_error *error) {
    struct xn_error err;
    struct xn_ids list = {0};
    char *rendered;
    size_t size;
    *ids = NULL;
    *n_ids = 0;
    int status = chat_text(model, messages, n_messages, arguments, &rendered, &size, &err);
    if (status != XN_OK) return give(status, &err, error);
    status = xn_prompt_ids(model->model, rendered, size, false, &list, &err);
    free(rendered);
    if (status != XN_OK) {
        free(list.data);
        return give(status, &err, error);
    }
    *ids = list.data;
    *n_ids = list.n;
    return XN_OK;
}

// --- contexts ---

// What the numbers of XENON_CACHE_* are in the engine.
static const uint32_t cache_types[] = {
    [XENON_CACHE_AUTO] = XN_TYPE_COUNT, [XENON_CACHE_F32] = XN_F32,   [XENON_CACHE_F16] = XN_F16,
    [XENON_CACHE_BF16] = XN_BF16,       [XENON_CACHE_Q8_0] = XN_Q8_0, [XENON_CACHE_Q4_0] = XN_Q4_0,
};
enum { N_CACHE_TYPES = sizeof cache_types / sizeof *cache_types };

int xenon_context_create(xenon_model *model, const xenon_context_options *options, xenon_context **out,
                         xenon_error *error) {
    static const xenon_context_options none;
    const xenon_context_options *o = options ? options : &none;
    struct xn_error err;
    *out = NULL;
    if (o->cache_type < 0 || o->cache_type >= N_CACHE_TYPES)
        return refuse(error, XN_ERR_ARGUMENT, "cache_type: expected one of XENON_CACHE_*");
    struct xn_context_options inner = {.context = o->context,
                                       .batch = o->batch,
                                       .sequences = o->sequences,
                                       .cache_type = cache_types[o->cache_type],
                                       .outputs = o->outputs,
                                       .checkpoints = o->checkpoints};
    xenon_context *c = xn_alloc_zero(1, sizeof *c);
    if (!c) return refuse(error, XN_ERR_NOMEM, "out of memory for a context");
    c->model = model;
    pthread_mutex_lock(&model->busy);
    int status = xn_context_create(model->model, &inner, &c->context, &err);
    pthread_mutex_unlock(&model->busy);
    if (status == XN_OK) {
        c->feeds = xn_alloc(xn_context_options(c->context)->batch, sizeof *c->feeds);
        if (!c->feeds) status = xn_fail(&err, XN_ERR_NOMEM, "out of memory for a context");
    }
    if (status == XN_OK)
        *out = c;
    else
        xenon_context_free(&c);
    return give(status, &err, error);
}

void xenon_context_free(xenon_context **context) {
    xenon_context *c = *context;
    if (!c) return;
    pthread_mutex_lock(&c->model->busy);
    xn_context_free(c->context);
    pthread_mutex_unlock(&c->model->busy);
    free(c->feeds);
    free(c);
    *context = NULL;
}

void xenon_context_get_options(const xenon_context *context, xenon_context_options *options) {
    const struct xn_context_options *o = xn_context_options(context->context);
    int cache_type = XENON_CACHE_AUTO;
    for (int i = 0; i < N_CACHE_TYPES; i++)
        if (cache_types[i] == o->cache_type) cache_type = i;
    *options = (xenon_context_options){.context = o->context,
                                       .batch = o->batch,
                                       .sequences = o->sequences,
                                       .outputs = o->outputs,
                                       .cache_type = cache_type,
                                       .checkpoints = o->checkpoints};
}

void xenon_context_get_memory(const xenon_context *context, uint64_t *cache, uint64_t *activations) {
    uint64_t a, b;
    xn_context_memory(context->context, cache ? cache : &a, activations ? activations : &b);
}

// Calls of the engine that use the device, one at a time.
#define WHILE_BUSY(context, call)                                                                                      \
    struct xn_error err;                                                                                               \
    pthread_mutex_lock(&(context)->model->busy);                                                                       \
    int status = (call);                                                                                               \
    pthread_mutex_unlock(&(context)->model->busy);                                                                     \
    return give(status, &err, error)

int xenon_sequence_new(xenon_context *context, uint32_t *sequence, xenon_error *error) {
    WHILE_BUSY(context, xn_sequence_new(context->context, sequence, &err));
}

void xenon_sequence_free(xenon_context *context, uint32_t sequence) {
    xn_sequence_free(context->context, sequence);
}

uint32_t xenon_sequence_length(const xenon_context *context, uint32_t sequence) {
    return xn_sequence_length(context->context, sequence);
}

int xenon_sequence_fork(xenon_context *context, uint32_t from, uint32_t *sequence, xenon_error *error) {
    WHILE_BUSY(context, xn_sequence_fork(context->context, from, sequence, &err));
}

int xenon_sequence_cut(xenon_context *context, uint32_t sequence, uint32_t length, xenon_error *error) {
    WHILE_BUSY(context, xn_sequence_cut(context->context, sequence, length, &err));
}

const int32_t *xenon_sequence_tokens(const xenon_context *context, uint32_t sequence) {
    return xn_sequence_tokens(context->context, sequence);
}

uint32_t xenon_sequence_resume(const xenon_context *context, uint32_t sequence, uint32_t length) {
    return xn_sequence_resume(context->context, sequence, length);
}

int xenon_sequence_save(xenon_context *context, uint32_t sequence, bool checkpoints, void **data, size_t *size,
                        xenon_error *error) {
    WHILE_BUSY(context, xn_sequence_save(context->context, sequence, checkpoints, data, size, &err));
}

int xenon_sequence_save_file(xenon_context *context, uint32_t sequence, bool checkpoints, const char *path,
                             xenon_error *error) {
    WHILE_BUSY(context, xn_sequence_save_file(context->context, sequence, checkpoints, path, &err));
}

int xenon_sequence_restore(xenon_context *context, const void *data, size_t size, uint32_t *sequence,
                           xenon_error *error) {
    WHILE_BUSY(context, xn_sequence_restore(context->context, data, size, "saved sequence", sequence, &err));
}

int xenon_sequence_restore_file(xenon_context *context, const char *path, uint32_t *sequence, xenon_error *error) {
    WHILE_BUSY(context, xn_sequence_restore_file(context->context, path, sequence, &err));
}

int xenon_eval(xenon_context *context, const xenon_feed *feeds, uint32_t n, xenon_error *error) {
    // More than a batch is the engine's to refuse, which looks at the number first.
    for (uint32_t i = 0; i < n && i < xn_context_options(context->context)->batch; i++)
        context->feeds[i] =
            (struct xn_feed){.sequence = feeds[i].sequence, .token = feeds[i].token, .logits = feeds[i].logits};
    WHILE_BUSY(context, xn_eval(context->context, context->feeds, n, &err));
}

int xenon_eval_tokens(xenon_context *context, uint32_t sequence, const int32_t *ids, size_t n, xenon_error *error) {
    if (n == 0 || n > UINT32_MAX) return refuse(error, XN_ERR_ARGUMENT, "tokens: found none, or more than 2^32 - 1");
    WHILE_BUSY(context, xn_eval_prompt(context->context, sequence, ids, (uint32_t)n, NULL, &err));
}

const float *xenon_logits(const xenon_context *context, uint32_t i) {
    return xn_eval_logits(context->context, i);
}

// --- sampling ---

void xenon_sampling_defaults(xenon_sampling *sampling) {
    struct xn_sampling s = xn_sampling_default();
    *sampling = (xenon_sampling){.temperature = s.temperature,
                                 .top_k = s.top_k,
                                 .top_p = s.top_p,
                                 .min_p = s.min_p,
                                 .repeat_penalty = s.repeat_penalty,
                                 .repeat_last = s.repeat_last,
                                 .seed = s.seed};
}

static int create_sampler(const xenon_model *model, const struct xn_sampling *sampling, xenon_sampler **out,
                          xenon_error *error) {
    struct xn_error err;
    xenon_sampler *sampler = xn_alloc_zero(1, sizeof *sampler);
    if (!sampler) return refuse(error, XN_ERR_NOMEM, "out of memory for a sampler");
    int status = xn_sampler_new(sampling, (int32_t)model->model->recipe.vocab, &sampler->sampler, &err);
    if (status == XN_OK)
        *out = sampler;
    else
        free(sampler);
    return give(status, &err, error);
}

int xenon_sampler_create(const xenon_model *model, const xenon_sampling *sampling, xenon_sampler **out,
                         xenon_error *error) {
    struct xn_sampling inner = xn_sampling_default();
    *out = NULL;
    if (sampling) {
        inner.temperature = sampling->temperature;
        inner.top_k = sampling->top_k;
        inner.top_p = sampling->top_p;
        inner.min_p = sampling->min_p;
        inner.repeat_penalty = sampling->repeat_penalty;
        inner.repeat_last = sampling->repeat_last;
        inner.seed = sampling->seed;
    }
    return create_sampler(model, &inner, out, error);
}

// Takes "grammar" and "json_schema" out of the settings and makes the constraint of them.
static int take_constraint(const xenon_model *model, json_t *settings, xenon_sampler *sampler, struct xn_error *err) {
    const json_t *gbnf = json_object_get(settings, "grammar"), *schema = json_object_get(settings, "json_schema");
    struct xn_grammar *grammar;
    if (json_is_null(gbnf)) gbnf = NULL;
    if (json_is_null(schema)) schema = NULL;
    if (gbnf && !json_is_string(gbnf)) return xn_fail(err, XN_ERR_ARGUMENT, "grammar: expected a text");
    if (gbnf && schema) return xn_fail(err, XN_ERR_ARGUMENT, "only one of grammar and json_schema");
    XN_TRY(xn_constraint_grammar(json_string_value(gbnf), schema, &grammar, err));
    if (grammar)
        XN_TRY(xn_constraint_new(grammar, model->model->tokenizer, (int32_t)model->model->recipe.vocab,
                                 &sampler->constraint, err));
    json_object_del(settings, "grammar");
    json_object_del(settings, "json_schema");
    return XN_OK;
}

int xenon_sampler_create_json(const xenon_model *model, const char *settings, xenon_sampler **out, xenon_error *error) {
    struct xn_error err;
    json_error_t json_error;
    *out = NULL;
    json_t *object = json_loads(settings, JSON_REJECT_DUPLICATES, &json_error);
    if (!object) return refuse(error, XN_ERR_ARGUMENT, json_error.text);
    xenon_sampler *sampler = xn_alloc_zero(1, sizeof *sampler);
    int status = sampler ? XN_OK : xn_fail(&err, XN_ERR_NOMEM, "out of memory for a sampler");
    if (status == XN_OK) status = take_constraint(model, object, sampler, &err);
    if (status == XN_OK) {
        sampler->held.sampling = xn_sampling_default();
        status = xn_sampling_read_json(&sampler->held, object, true, model->model->tokenizer, &err);
    }
    if (status == XN_OK)
        status = xn_sampler_new(&sampler->held.sampling, (int32_t)model->model->recipe.vocab, &sampler->sampler, &err);
    json_decref(object);
    if (status == XN_OK)
        *out = sampler;
    else
        xenon_sampler_free(&sampler);
    return give(status, &err, error);
}

void xenon_sampler_free(xenon_sampler **sampler) {
    if (!*sampler) return;
    xn_sampler_free((*sampler)->sampler);
    xn_constraint_free((*sampler)->constraint);
    xn_sampling_held_free(&(*sampler)->held);
    free(*sampler);
    *sampler = NULL;
}

int32_t xenon_sampler_choose(xenon_sampler *sampler, const float *logits) {
    if (!logits) return -1;
    int32_t id;
    if (!sampler->constraint)
        id = xn_sampler_choose(sampler->sampler, logits);
    else if (xn_constraint_choose(sampler->constraint, sampler->sampler, logits, &id, NULL) != XN_OK || id < 0)
        return -1;
    xn_sampler_accept(sampler->sampler, id);
    return id;
}

_Static_assert(sizeof(xenon_logprob) == sizeof(struct xn_token_logprob) &&
                   offsetof(xenon_logprob, logprob) == offsetof(struct xn_token_logprob, logprob),
               "the same struct under two names");

int32_t xenon_logprobs(const xenon_model *model, const float *logits, int32_t id, float *chosen, xenon_logprob *top,
                       int32_t n) {
    if (!logits) return 0;
    return xn_logprobs(logits, (int32_t)model->model->recipe.vocab, id, chosen, (struct xn_token_logprob *)top, n);
}

void xenon_sampler_accept(xenon_sampler *sampler, int32_t id) {
    xn_sampler_accept(sampler->sampler, id);
}

// --- streaming ---

static int copy_stops(xenon_stream *s, const xenon_stream_options *o) {
    if (o->n_stops == 0) return XN_OK;
    s->strings = xn_alloc_zero(o->n_stops, sizeof *s->strings);
    if (!s->strings) return XN_ERR_NOMEM;
    for (size_t i = 0; i < o->n_stops; i++) {
        s->strings[i] = xn_strdup(o->stops[i] ? o->stops[i] : "");
        if (!s->strings[i]) return XN_ERR_NOMEM;
        s->stops.n++;
    }
    s->stops.strings = (const char *const *)s->strings;
    return XN_OK;
}

int xenon_stream_create(const xenon_model *model, const xenon_stream_options *options, xenon_stream **out,
                        xenon_error *error) {
    static const xenon_stream_options none;
    const xenon_stream_options *o = options ? options : &none;
    *out = NULL;
    XN_TRY(need_tokenizer(model, error));
    xenon_stream *s = xn_alloc_zero(1, sizeof *s);
    if (!s || copy_stops(s, o) != XN_OK) {
        if (s) xenon_stream_free(&s);
        return refuse(error, XN_ERR_NOMEM, "out of memory for a stream");
    }
    s->tokenizer = model->model->tokenizer;
    s->show_special = o->show_special;
    xn_detokenizer_init(&s->detokenizer, s->tokenizer, s->show_special);
    *out = s;
    return XN_OK;
}

void xenon_stream_free(xenon_stream **stream) {
    xenon_stream *s = *stream;
    if (!s) return;
    for (size_t i = 0; i < s->stops.n; i++)
        free(s->strings[i]);
    free(s->strings);
    xn_stops_free(&s->stops);
    free(s->piece.data);
    free(s->shown.data);
    free(s);
    *stream = NULL;
}

// Passes what was decoded through the stop strings. *found: one is complete.
static int filter(xenon_stream *s, bool *found, struct xn_error *err) {
    XN_TRY(xn_stops_feed(&s->stops, s->piece.data ? s->piece.data : "", s->piece.size, &s->shown, found, err));
    s->piece.size = 0;
    return XN_OK;
}

// Everything that is held back, into s->shown; then the stream is as new.
static int flush(xenon_stream *s, struct xn_error *err) {
    bool found = false;
    XN_TRY(xn_detokenize_end(&s->detokenizer, &s->piece, err));
    XN_TRY(filter(s, &found, err));
    if (!found) XN_TRY(xn_stops_end(&s->stops, &s->shown, err));
    xn_detokenizer_init(&s->detokenizer, s->tokenizer, s->show_special);
    return XN_OK;
}

static int push(xenon_stream *s, int32_t id, bool *ended, struct xn_error *err) {
    *ended = false;
    if (id < 0) return xn_fail(err, XN_ERR_ARGUMENT, "token %d: expected a token id", id);
    if (xn_token_ends(s->tokenizer, id)) {
        *ended = true;
        return flush(s, err);
    }
    XN_TRY(xn_detokenize(&s->detokenizer, id, &s->piece, err));
    XN_TRY(filter(s, ended, err));
    if (*ended) xn_detokenizer_init(&s->detokenizer, s->tokenizer, s->show_special);
    return XN_OK;
}

static int give_text(xenon_stream *s, int status, const struct xn_error *err, const char **text, size_t *size,
                     xenon_error *error) {
    *text = s->shown.data;
    *size = s->shown.size;
    return give(status, err, error);
}

int xenon_stream_push(xenon_stream *s, int32_t id, const char **text, size_t *size, xenon_error *error) {
    struct xn_error err;
    bool ended = false;
    s->shown.size = 0;
    int status = xn_text_put(&s->shown, "", 0, &err);
    if (status == XN_OK) status = push(s, id, &ended, &err);
    give_text(s, status, &err, text, size, error);
    return status != XN_OK ? status : ended ? XENON_STREAM_END : XENON_STREAM_MORE;
}

int xenon_stream_finish(xenon_stream *s, const char **text, size_t *size, xenon_error *error) {
    struct xn_error err;
    s->shown.size = 0;
    int status = xn_text_put(&s->shown, "", 0, &err);
    if (status == XN_OK) status = flush(s, &err);
    return give_text(s, status, &err, text, size, error);
}
