// POST /v1/completions: texts that go on. Several prompts are several completions; choice k of prompt p is number
// p * n + k.
#include "server/openai/internal.h"

#include "base/memory.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct choice {
    struct xn_text text;
    size_t offset;                             // characters of the text so far, for text_offset
    json_t *tokens, *logprobs, *top, *offsets; // arrays: of the whole, or since the last chunk
    const char *finish;
};
struct text;
struct part { // of one prompt
    struct text *text;
    struct xn_completion *completion;
    uint32_t first; // its first choice
};
struct text {
    struct xn_call call;
    char id[XN_CALL_ID];
    int64_t created;
    bool include_usage, logprobs;
    pthread_mutex_t lock; // of what follows, as far as `total`
    uint32_t left;        // parts that are not done, and the handler as long as it submits
    bool failed, cancelled;
    struct xn_error error;
    struct xn_completion_event total; // usage of all
    uint32_t n_parts, n_choices;
    struct part *parts;
    struct choice *choices;
};

static void end(struct text *t) {
    for (uint32_t i = 0; i < t->n_choices && t->choices; i++) {
        free(t->choices[i].text.data);
        json_decref(t->choices[i].tokens);
        json_decref(t->choices[i].logprobs);
        json_decref(t->choices[i].top);
        json_decref(t->choices[i].offsets);
    }
    for (uint32_t i = 0; i < t->n_parts && t->parts; i++)
        xn_completion_release(t->parts[i].completion);
    free(t->choices);
    free(t->parts);
    pthread_mutex_destroy(&t->lock);
    xn_call_end(&t->call);
    free(t);
}

// ---- what is sent

static json_t *envelope(const struct text *t, json_t *choices) {
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:o}", "id", t->id, "object", "text_completion", "created",
                     (json_int_t)t->created, "model", t->call.served->name, "system_fingerprint", xn_openai_fingerprint,
                     "choices", choices);
}

static json_t *take(json_t **array) {
    json_t *taken = *array ? *array : json_array();
    *array = NULL;
    return taken;
}

static json_t *choice_of(const struct text *t, uint32_t i, const char *text, size_t size) {
    struct choice *c = &t->choices[i];
    json_t *logprobs = json_null();
    if (t->logprobs)
        logprobs = json_pack("{s:o, s:o, s:o, s:o}", "tokens", take(&c->tokens), "token_logprobs", take(&c->logprobs),
                             "top_logprobs", take(&c->top), "text_offset", take(&c->offsets));
    return json_pack("{s:i, s:o, s:o, s:s?}", "index", (int)i, "text", xn_json_text(text, size), "logprobs", logprobs,
                     "finish_reason", c->finish);
}

static bool send_chunk(struct text *t, uint32_t i, const char *text, size_t size, json_t *timings) {
    json_t *chunk = envelope(t, json_pack("[o]", choice_of(t, i, text, size)));
    if (t->include_usage) json_object_set_new(chunk, "usage", json_null());
    if (timings) json_object_set_new(chunk, "timings", timings);
    return xn_call_event(&t->call, NULL, chunk);
}

// The usage of all prompts, in place of an event's.
static json_t *usage_of(const struct text *t) {
    return xn_openai_usage(&t->total);
}

static void reply(struct text *t) {
    struct xn_error ignored;
    json_t *choices = json_array();
    for (uint32_t i = 0; i < t->n_choices; i++) {
        if (!t->choices[i].finish) t->choices[i].finish = "stop";
        json_array_append_new(choices, choice_of(t, i, t->choices[i].text.data, t->choices[i].text.size));
    }
    json_t *body = envelope(t, choices);
    json_object_set_new(body, "usage", usage_of(t));
    json_object_set_new(body, "timings", xn_call_timings(&t->total.usage));
    xn_reply_json(t->call.x, 200, body, &ignored);
}

static void finish_all(struct text *t) {
    if (t->failed) t->total.error = &t->error;
    xn_call_note(&t->call, &t->total);
    if (t->failed) {
        xn_openai_send_error(&t->call, &t->error);
    } else if (!t->call.stream) {
        reply(t);
    } else {
        if (t->include_usage) {
            json_t *last = envelope(t, json_array());
            json_object_set_new(last, "usage", usage_of(t));
            json_object_set_new(last, "timings", xn_call_timings(&t->total.usage));
            xn_call_event(&t->call, NULL, last);
        }
        xn_call_text(&t->call, "data: [DONE]\n\n");
    }
    if (t->call.begun) xn_stream_end(t->call.x);
}

// ---- events

// One fewer is at it; the last one answers.
static void leave(struct text *t) {
    pthread_mutex_lock(&t->lock);
    bool last = --t->left == 0;
    pthread_mutex_unlock(&t->lock);
    if (!last) return;
    finish_all(t);
    end(t);
}

static void fail(struct text *t, const struct xn_error *error) {
    pthread_mutex_lock(&t->lock);
    if (!t->failed) t->error = *error;
    t->failed = true;
    pthread_mutex_unlock(&t->lock);
}

static void add(struct xn_completion_event *total, const struct xn_completion_event *done) {
    struct xn_serving_counts *to = &total->usage;
    const struct xn_serving_counts *one = &done->usage;
    to->prompt += one->prompt;
    to->cached += one->cached;
    to->generated += one->generated;
    if (one->first > 0 && (to->first <= 0 || one->first < to->first)) to->first = one->first;
    if (one->last > to->last) to->last = one->last;
    if (one->queued > 0 && (to->queued <= 0 || one->queued < to->queued)) to->queued = one->queued;
}

static size_t characters(const char *text, size_t size) {
    size_t n = 0;
    for (size_t i = 0; i < size; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

// The old form of log probabilities: four arrays beside each other.
static void add_logprob(struct text *t, struct choice *c, const struct xn_completion_token *token) {
    const struct xn_tokenizer *tokenizer = t->call.served->model->tokenizer;
    if (!c->tokens) {
        c->tokens = json_array();
        c->logprobs = json_array();
        c->top = json_array();
        c->offsets = json_array();
    }
    json_array_append_new(c->tokens, xn_openai_token_text(token->bytes, token->size));
    json_array_append_new(c->logprobs, json_real(xn_openai_finite(token->logprob)));
    json_array_append_new(c->offsets, json_integer((json_int_t)c->offset));
    json_t *top = json_object();
    struct xn_text bytes = {0};
    for (int32_t i = 0; i < token->n_top; i++) {
        bytes.size = 0;
        if (xn_token_append_bytes(tokenizer, token->top[i].id, &bytes, NULL) != XN_OK) continue;
        json_t *name = xn_openai_token_text(bytes.data, bytes.size);
        if (json_is_string(name) && !json_object_get(top, json_string_value(name)))
            json_object_set_new(top, json_string_value(name), json_real(xn_openai_finite(token->top[i].logprob)));
        json_decref(name);
    }
    free(bytes.data);
    json_array_append_new(c->top, top);
}

static bool on_piece(struct text *t, uint32_t i, const struct xn_answer_piece *piece) {
    struct choice *c = &t->choices[i];
    if (piece->kind != XN_ANSWER_CONTENT) return true;
    c->offset += characters(piece->text, piece->size);
    if (t->call.stream) return send_chunk(t, i, piece->text, piece->size, NULL);
    return xn_text_put(&c->text, piece->text, piece->size, NULL) == XN_OK;
}

static int on_event(void *user, const struct xn_completion_event *event) {
    struct part *part = user;
    struct text *t = part->text;
    if (event->kind == XN_COMPLETION_DONE) {
        pthread_mutex_lock(&t->lock);
        add(&t->total, event);
        pthread_mutex_unlock(&t->lock);
        if (event->error) fail(t, event->error);
        leave(t);
        return 0;
    }
    uint32_t i = part->first + event->choice;
    bool there = true;
    if (event->token && t->logprobs) add_logprob(t, &t->choices[i], event->token);
    if (event->kind == XN_COMPLETION_PIECE) {
        there = on_piece(t, i, event->piece);
    } else if (event->kind == XN_COMPLETION_FINISH) {
        t->choices[i].finish = event->finish == XN_FINISHED_LENGTH ? "length" : "stop";
        if (t->call.stream) there = send_chunk(t, i, "", 0, t->include_usage ? NULL : xn_call_timings(&event->usage));
    } else {
        there = xn_call_there(&t->call);
    }
    pthread_mutex_lock(&t->lock);
    if (!there) t->cancelled = true;
    bool over = t->cancelled || t->failed;
    pthread_mutex_unlock(&t->lock);
    return over;
}

// ---- the request

// Prompt i of the body's: a text, or an array of ids.
static int read_prompt(const json_t *value, size_t i, struct xn_completion_request *r, struct xn_error *err) {
    free(r->prompt);
    r->prompt = NULL;
    r->ids.n = 0;
    if (json_is_string(value)) {
        r->prompt_size = json_string_length(value);
        r->prompt = xn_strndup(json_string_value(value), r->prompt_size);
        return r->prompt ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "out of memory for a prompt");
    }
    size_t n = json_array_size(value);
    if (n == 0)
        return xn_fail(err, XN_ERR_ARGUMENT, "prompt: item %zu: expected a string or an array of tokens, found %s", i,
                       json_is_array(value) ? "an empty array" : xn_json_kind(value));
    if (XN_GROW(r->ids.data, r->ids.capacity, n)) return xn_fail(err, XN_ERR_NOMEM, "out of memory for a prompt");
    for (size_t k = 0; k < n; k++) {
        const json_t *id = json_array_get(value, k);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
            return xn_fail(err, XN_ERR_ARGUMENT, "prompt: item %zu: element %zu is no token", i, k);
        r->ids.data[r->ids.n++] = (int32_t)json_integer_value(id);
    }
    return XN_OK;
}

// How many prompts there are: "text", [ids], or an array of either.
static size_t count_prompts(const json_t *prompt) {
    bool list = json_is_array(prompt) && !json_is_integer(json_array_get(prompt, 0));
    return list ? json_array_size(prompt) : 1;
}
static const json_t *prompt_at(const json_t *prompt, size_t i) {
    bool list = json_is_array(prompt) && !json_is_integer(json_array_get(prompt, 0));
    return list ? json_array_get(prompt, i) : prompt;
}

static int refuse(const json_t *body, const struct xn_completion_request *r, struct xn_error *err) {
    const char *suffix = NULL;
    int64_t best = 1;
    XN_TRY(xn_field_string(body, "suffix", &suffix, err));
    if (suffix && *suffix)
        return xn_fail(err, XN_ERR_ARGUMENT, "suffix: not supported here; POST /infill fills in between two texts");
    XN_TRY(xn_field_int(body, "best_of", 1, INT32_MAX, &best, err));
    if (best > 1 && best != (int64_t)r->n)
        return xn_fail(err, XN_ERR_ARGUMENT, "best_of: not supported; n gives all answers");
    if (r->echo && r->logprobs >= 0)
        return xn_fail(err, XN_ERR_ARGUMENT, "echo: log probabilities of the prompt are not computed");
    return XN_OK;
}

static int read_request(const json_t *body, struct xn_call *call, struct xn_completion_request *r, bool *usage,
                        struct xn_error *err) {
    static const char *const most[] = {"max_tokens", "max_completion_tokens", "n_predict"};
    int64_t logprobs = -1;
    r->most = 16; // as OpenAI's API has it
    XN_TRY(xn_openai_read_stream(body, &call->stream, usage, err));
    XN_TRY(xn_openai_read_common(body, call, r, err));
    XN_TRY(xn_openai_read_most(body, most, sizeof most / sizeof *most, &r->most, err));
    XN_TRY(xn_field_bool(body, "echo", &r->echo, err));
    XN_TRY(xn_field_int(body, "logprobs", 0, 20, &logprobs, err));
    r->logprobs = (int32_t)logprobs;
    return refuse(body, r, err);
}

// Submits one completion a prompt. Once one runs, failures are told by the answer.
static int submit(struct text *t, const json_t *prompt, struct xn_completion_request *r, struct xn_error *err) {
    struct xn_served *served = t->call.served;
    uint32_t n = t->n_parts;
    for (uint32_t i = 0; i < n; i++) {
        t->parts[i] = (struct part){.text = t, .first = i * r->n};
        int status = read_prompt(prompt_at(prompt, i), i, r, err);
        if (status == XN_OK)
            status = xn_completion_start(served, r, on_event, &t->parts[i], &t->parts[i].completion, err);
        if (status == XN_OK) continue;
        if (i == 0) return status;
        fail(t, err);
        pthread_mutex_lock(&t->lock);
        t->left -= n - i;
        pthread_mutex_unlock(&t->lock);
        break;
    }
    return XN_OK;
}

static int start(struct xn_call *call, const json_t *body, struct xn_completion_request *r, struct xn_error *err) {
    const json_t *prompt = json_object_get(body, "prompt");
    bool usage = false;
    if (!json_is_string(prompt) && !json_array_size(prompt))
        return xn_fail(err, XN_ERR_ARGUMENT, "prompt: expected a string, tokens, or an array of those, found %s",
                       json_is_array(prompt) ? "an empty array" : xn_json_kind(prompt));
    XN_TRY(read_request(body, call, r, &usage, err));
    size_t parts = count_prompts(prompt);
    if (parts * r->n > XN_COMPLETION_ANSWERS)
        return xn_fail(err, XN_ERR_ARGUMENT, "prompt: %zu prompts of %u answers each, expected at most %d answers",
                       parts, r->n, XN_COMPLETION_ANSWERS);
    struct text *t = xn_alloc_zero(1, sizeof *t);
    if (!t) return xn_fail(err, XN_ERR_NOMEM, "out of memory for a request");
    pthread_mutex_init(&t->lock, NULL);
    t->n_parts = (uint32_t)parts;
    t->n_choices = (uint32_t)parts * r->n;
    t->left = t->n_parts + 1;
    t->parts = xn_alloc_zero(parts, sizeof *t->parts);
    t->choices = xn_alloc_zero(t->n_choices, sizeof *t->choices);
    t->include_usage = usage;
    t->logprobs = r->logprobs >= 0;
    t->created = (int64_t)time(NULL);
    xn_call_id(t->id, "cmpl-");
    int status = t->parts && t->choices ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "out of memory for a request");
    t->call = *call;
    if (status == XN_OK) status = submit(t, prompt, r, err);
    if (status != XN_OK) {
        t->call = (struct xn_call){0};
        end(t);
        return status;
    }
    *call = (struct xn_call){0};
    leave(t);
    return XN_OK;
}

int xn_openai_completions(void *server, struct xn_exchange *x, struct xn_error *err) {
    return xn_call_handle(server, x, start, err);
}
