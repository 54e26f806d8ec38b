// POST /completion and /infill in llama-server's form. Several prompts (an array of them) are several completions,
// whose results come as an array; in a stream each event says by `index` whose it is.
#include "server/llama/internal.h"
#include "server/openai/internal.h" // sampling, stop and grammars have the same fields there

#include "base/memory.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct run;
struct result { // of one prompt
    struct run *run;
    struct xn_completion *completion;
    size_t index;
    char *prompt;
    size_t prompt_size;
    struct xn_text text;
    json_t *tokens, *probabilities; // of the whole, or since the last event
    enum xn_completion_finish finish;
    char *stop; // the stop string that ended it
    struct xn_serving_counts usage;
    bool lined;       // a line has ended
    bool late;        // its time was over
    json_t *settings; // as generation_settings tells them
};
struct run {
    struct xn_call call;
    bool tokens, progress, timings, many;
    int32_t probabilities;
    double seconds; // of generation; 0: no limit
    json_t *fields; // response_fields, or NULL
    pthread_mutex_t lock;
    size_t left; // results that are not done, and the handler as long as it submits
    bool failed, cancelled;
    struct xn_error error;
    struct xn_completion_event total;
    size_t n;
    struct result *results;
};

static void end(struct run *r) {
    for (size_t i = 0; i < r->n && r->results; i++) {
        struct result *one = &r->results[i];
        xn_completion_release(one->completion);
        free(one->prompt);
        free(one->text.data);
        free(one->stop);
        json_decref(one->tokens);
        json_decref(one->probabilities);
        json_decref(one->settings);
    }
    free(r->results);
    json_decref(r->fields);
    pthread_mutex_destroy(&r->lock);
    xn_call_end(&r->call);
    free(r);
}

// --- what is sent

static json_t *take(json_t **array) {
    json_t *taken = *array ? *array : json_array();
    *array = NULL;
    return taken;
}

static const char *stop_type(const struct result *one) {
    if (one->late || one->finish == XN_FINISHED_LENGTH) return "limit";
    return one->finish == XN_FINISHED_CANCELLED ? "none" : one->stop ? "word" : "eos";
}

// "a/b" is field b of a, and moves to the top.
static json_t *select_fields(json_t *whole, const json_t *fields) {
    if (!json_array_size(fields)) return whole;
    json_t *selected = json_object();
    for (size_t i = 0; i < json_array_size(fields); i++) {
        const char *path = json_string_value(json_array_get(fields, i)), *name = path;
        json_t *value = whole;
        while (value && name) {
            const char *slash = strchr(name, '/');
            char key[64];
            size_t n = slash ? (size_t)(slash - name) : strlen(name);
            if (n >= sizeof key) break;
            memcpy(key, name, n);
            key[n] = 0;
            value = json_object_get(value, key);
            if (!slash) break;
            name = slash + 1;
        }
        if (value && name) json_object_set(selected, name, value);
    }
    json_decref(whole);
    return selected;
}

static json_t *final_of(struct result *one, bool with_text) {
    const struct run *r = one->run;
    const struct xn_serving_counts *u = &one->usage;
    bool truncated = one->finish == XN_FINISHED_LENGTH && u->prompt + u->generated >= r->call.served->context;
    json_t *reply = json_pack(
        "{s:I, s:o, s:o, s:i, s:b, s:s, s:I, s:I, s:o, s:o, s:b, s:b, s:s, s:s, s:I, s:o}", "index",
        (json_int_t)one->index, "content", xn_json_text(one->text.data, with_text ? one->text.size : 0), "tokens",
        with_text && r->tokens ? take(&one->tokens) : json_array(), "id_slot", -1, "stop", 1, "model",
        r->call.served->name, "tokens_predicted", (json_int_t)u->generated, "tokens_evaluated", (json_int_t)u->prompt,
        "generation_settings", one->settings ? json_incref(one->settings) : json_object(), "prompt",
        xn_json_text(one->prompt, one->prompt_size), "has_new_line", one->lined, "truncated", truncated, "stop_type",
        stop_type(one), "stopping_word", one->stop ? one->stop : "", "tokens_cached", (json_int_t)u->cached, "timings",
        xn_call_timings(u));
    if (with_text && r->probabilities > 0)
        json_object_set_new(reply, "completion_probabilities", take(&one->probabilities));
    return select_fields(reply, r->fields);
}

static bool send_piece(struct result *one, const char *text, size_t size) {
    struct run *r = one->run;
    json_t *event =
        json_pack("{s:I, s:o, s:o, s:b, s:i, s:I, s:I}", "index", (json_int_t)one->index, "content",
                  xn_json_text(text, size), "tokens", take(&one->tokens), "stop", 0, "id_slot", -1, "tokens_predicted",
                  (json_int_t)one->usage.generated, "tokens_evaluated", (json_int_t)one->usage.prompt);
    if (r->probabilities > 0) json_object_set_new(event, "completion_probabilities", take(&one->probabilities));
    if (r->timings) json_object_set_new(event, "timings", xn_call_timings(&one->usage));
    return xn_call_event(&r->call, NULL, event);
}

static bool send_progress(struct result *one) {
    const struct xn_serving_counts *u = &one->usage;
    return xn_call_event(&one->run->call, NULL,
                         json_pack("{s:I, s:s, s:[], s:b, s:{s:I, s:I, s:I, s:f}}", "index", (json_int_t)one->index,
                                   "content", "", "tokens", "stop", 0, "prompt_progress", "total",
                                   (json_int_t)u->prompt, "cache", (json_int_t)u->cached, "processed",
                                   (json_int_t)u->done, "time_ms", fmax(u->last - u->queued, 0) * 1e3));
}

static void reply(struct run *r) {
    struct xn_error ignored;
    json_t *list = json_array();
    for (size_t i = 0; i < r->n; i++)
        json_array_append_new(list, final_of(&r->results[i], true));
    json_t *body = r->many ? list : json_incref(json_array_get(list, 0));
    if (!r->many) json_decref(list);
    xn_reply_json(r->call.x, 200, body, &ignored);
}

static void send_error(struct run *r) {
    struct xn_error ignored;
    int status = xn_http_status(&r->error);
    json_t *body = json_pack("{s:{s:i, s:s, s:s}}", "error", "code", status, "message", r->error.message, "type",
                             xn_http_error_type(status));
    if (r->call.begun)
        xn_call_event(&r->call, NULL, body);
    else
        xn_reply_json(r->call.x, status, body, &ignored);
}

// One fewer is at it; the last one answers.
static void leave(struct run *r) {
    pthread_mutex_lock(&r->lock);
    bool last = --r->left == 0;
    pthread_mutex_unlock(&r->lock);
    if (!last) return;
    if (r->failed) r->total.error = &r->error;
    xn_call_note(&r->call, &r->total);
    if (r->failed)
        send_error(r);
    else if (!r->call.stream)
        reply(r);
    if (r->call.begun) xn_stream_end(r->call.x);
    end(r);
}

static void fail(struct run *r, const struct xn_error *error) {
    pthread_mutex_lock(&r->lock);
    if (!r->failed) r->error = *error;
    r->failed = true;
    pthread_mutex_unlock(&r->lock);
}

// --- events

static void add(struct run *r, const struct xn_serving_counts *u) {
    struct xn_serving_counts *to = &r->total.usage;
    to->prompt += u->prompt;
    to->cached += u->cached;
    to->generated += u->generated;
    to->first = fmax(to->first, u->first);
    to->last = fmax(to->last, u->last);
    to->queued = fmax(to->queued, u->queued);
}

static json_t *token_of(const struct xn_tokenizer *tokenizer, int32_t id, float logprob) {
    struct xn_text bytes = {0};
    if (xn_token_append_bytes(tokenizer, id, &bytes, NULL) != XN_OK) bytes.size = 0;
    json_t *numbers = json_array();
    for (size_t i = 0; i < bytes.size; i++)
        json_array_append_new(numbers, json_integer((unsigned char)bytes.data[i]));
    json_t *token = json_pack("{s:i, s:o, s:o, s:f}", "id", id, "token",
                              xn_openai_token_text(bytes.size ? bytes.data : "", bytes.size), "bytes", numbers,
                              "logprob", xn_openai_finite(logprob));
    free(bytes.data);
    return token;
}

static void on_token(struct result *one, const struct xn_completion_token *token) {
    const struct run *r = one->run;
    const struct xn_tokenizer *tokenizer = r->call.served->model->tokenizer;
    one->usage.generated++; // until the end tells it
    if (!one->tokens) one->tokens = json_array();
    json_array_append_new(one->tokens, json_integer(token->id));
    if (r->probabilities <= 0) return;
    json_t *entry = token_of(tokenizer, token->id, token->logprob), *top = json_array();
    for (int32_t i = 0; i < token->n_top; i++)
        json_array_append_new(top, token_of(tokenizer, token->top[i].id, token->top[i].logprob));
    json_object_set_new(entry, "top_logprobs", top);
    if (!one->probabilities) one->probabilities = json_array();
    json_array_append_new(one->probabilities, entry);
}

static bool on_piece(struct result *one, const struct xn_answer_piece *piece) {
    if (memchr(piece->text, '\n', piece->size)) one->lined = true;
    if (one->run->call.stream) return send_piece(one, piece->text, piece->size);
    return xn_text_put(&one->text, piece->text, piece->size, NULL) == XN_OK;
}

static bool on_finish(struct result *one, const struct xn_completion_event *event) {
    one->finish = event->finish;
    one->usage = event->usage;
    if (event->stop) one->stop = xn_strdup(event->stop);
    if (!one->run->call.stream) return true;
    return xn_call_event(&one->run->call, NULL, final_of(one, false));
}

static int on_event(void *user, const struct xn_completion_event *event) {
    struct result *one = user;
    struct run *r = one->run;
    bool there = true;
    if (event->kind == XN_COMPLETION_DONE) {
        pthread_mutex_lock(&r->lock);
        add(r, &event->usage);
        pthread_mutex_unlock(&r->lock);
        if (event->error) fail(r, event->error);
        leave(r);
        return 0;
    }
    if (event->token) on_token(one, event->token);
    if (event->kind == XN_COMPLETION_FINISH) {
        there = on_finish(one, event);
    } else {
        if (event->usage.prompt && event->usage.generated >= one->usage.generated) one->usage = event->usage;
        if (event->kind == XN_COMPLETION_PIECE)
            there = on_piece(one, event->piece);
        else if (r->call.stream && r->progress && !one->usage.generated)
            there = send_progress(one);
        else
            there = xn_call_there(&r->call);
        one->late =
            r->seconds > 0 && one->lined && one->usage.generated && one->usage.last - one->usage.first > r->seconds;
    }
    pthread_mutex_lock(&r->lock);
    if (!there) r->cancelled = true;
    bool over = r->cancelled || r->failed || one->late;
    pthread_mutex_unlock(&r->lock);
    return over;
}

// --- the request

static int add_token(struct xn_ids *ids, const json_t *id, struct xn_error *err) {
    if (json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX)
        return xn_fail(err, XN_ERR_ARGUMENT, "prompt: %lld is no token", (long long)json_integer_value(id));
    if (XN_GROW(ids->data, ids->capacity, ids->n + 1)) return xn_fail(err, XN_ERR_NOMEM, "out of memory for a prompt");
    ids->data[ids->n++] = (int32_t)json_integer_value(id);
    return XN_OK;
}

// Ids and texts mixed.
static int read_mixed(const struct xn_served *served, const json_t *value, struct xn_ids *ids, struct xn_error *err) {
    if (!json_array_size(value)) return xn_fail(err, XN_ERR_ARGUMENT, "prompt: an empty array");
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        int flags = XN_TOKENIZE_SPECIAL | (i == 0 ? XN_TOKENIZE_BOS_EOS : 0);
        if (json_is_integer(item))
            XN_TRY(add_token(ids, item, err));
        else if (json_is_string(item))
            XN_TRY(xn_tokenize(served->model->tokenizer, json_string_value(item), json_string_length(item), flags, ids,
                               err));
        else
            return xn_fail(err, XN_ERR_ARGUMENT, "prompt: item %zu is neither a text nor a token", i);
    }
    return XN_OK;
}

static int set_prompt(const struct xn_served *served, const json_t *value, struct xn_completion_request *q,
                      struct xn_error *err) {
    free(q->prompt);
    q->prompt = NULL;
    q->ids.n = 0;
    if (json_is_object(value)) {
        if (json_array_size(json_object_get(value, "multimodal_data")))
            return xn_fail(err, XN_ERR_ARGUMENT, "prompt: multimodal_data is not supported");
        value = json_object_get(value, "prompt_string");
    }
    if (json_is_array(value)) return read_mixed(served, value, &q->ids, err);
    if (!json_is_string(value))
        return xn_fail(err, XN_ERR_ARGUMENT, "prompt: expected a text, tokens, or an array of those, found %s",
                       xn_json_kind(value));
    q->prompt_size = json_string_length(value);
    q->prompt = xn_strndup(json_string_value(value), q->prompt_size);
    return q->prompt ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "out of memory for a prompt");
}

// An array that holds no number holds prompts.
static bool has_several(const json_t *prompt) {
    for (size_t i = 0; i < json_array_size(prompt); i++)
        if (json_is_integer(json_array_get(prompt, i))) return false;
    return json_array_size(prompt) > 0;
}

static int read_options(const json_t *body, struct run *r, struct xn_completion_request *q, struct xn_error *err) {
    static const char *const most[] = {"n_predict", "max_tokens"};
    int64_t probabilities = 0, milliseconds = 0;
    bool usage = false;
    XN_TRY(xn_openai_read_stream(body, &r->call.stream, &usage, err));
    XN_TRY(xn_openai_read_common(body, &r->call, q, err));
    for (size_t i = 0; i < 2; i++)
        if (json_is_integer(json_object_get(body, most[i]))) {
            XN_TRY(xn_field_int(body, most[i], -2, INT32_MAX, &q->most, err));
            break;
        }
    XN_TRY(xn_field_int(body, "n_probs", 0, 100, &probabilities, err));
    XN_TRY(xn_field_bool(body, "return_tokens", &r->tokens, err));
    XN_TRY(xn_field_bool(body, "return_progress", &r->progress, err));
    XN_TRY(xn_field_bool(body, "timings_per_token", &r->timings, err));
    XN_TRY(xn_field_int(body, "t_max_predict_ms", 0, INT32_MAX, &milliseconds, err));
    XN_TRY(xn_field_array(body, "response_fields", &r->fields, err));
    json_incref(r->fields);
    r->probabilities = (int32_t)probabilities;
    r->seconds = (double)milliseconds / 1e3;
    // Tokens are told where log probabilities are asked for.
    q->logprobs = probabilities || r->tokens || r->call.stream ? (int32_t)probabilities : -1;
    return XN_OK;
}

static json_t *settings_of(const struct xn_completion_request *q, const struct run *r) {
    json_t *settings = xn_llama_params(&q->sampling.sampling), *stops = json_array();
    for (size_t i = 0; i < q->n_stops; i++)
        json_array_append_new(stops, json_string(q->stops[i]));
    json_t *further =
        json_pack("{s:I, s:I, s:i, s:b, s:b, s:o, s:I}", "n_predict", (json_int_t)q->most, "max_tokens",
                  (json_int_t)q->most, "n_probs", (int)r->probabilities, "stream", r->call.stream, "ignore_eos",
                  q->ignore_end, "stop", stops, "n_ctx", (json_int_t)r->call.served->context);
    json_object_update(settings, further);
    json_decref(further);
    return settings;
}

static int submit_one(struct result *one, const json_t *prompt, struct xn_completion_request *q, struct xn_error *err) {
    struct run *r = one->run;
    if (prompt) XN_TRY(set_prompt(r->call.served, prompt, q, err));
    XN_TRY(xn_completion_prompt(r->call.served, q, &one->prompt, &one->prompt_size, err));
    one->settings = settings_of(q, r);
    return xn_completion_start(r->call.served, q, on_event, one, &one->completion, err);
}

// prompts: NULL: one, which the request has.
static int submit(struct run *r, const json_t *prompt, struct xn_completion_request *q, struct xn_error *err) {
    for (size_t i = 0, n = r->n; i < n; i++) {
        struct result *one = &r->results[i];
        *one = (struct result){.run = r, .index = i};
        int status = submit_one(one, r->many ? json_array_get(prompt, i) : prompt, q, err);
        if (status == XN_OK) continue;
        if (i == 0) return status;
        fail(r, err);
        pthread_mutex_lock(&r->lock);
        r->left -= n - i;
        pthread_mutex_unlock(&r->lock);
        break;
    }
    return XN_OK;
}

static int begin(struct xn_call *call, const json_t *body, const json_t *prompt, struct xn_completion_request *q,
                 struct xn_error *err) {
    size_t n = has_several(prompt) ? json_array_size(prompt) : 1;
    if (n > XN_COMPLETION_ANSWERS)
        return xn_fail(err, XN_ERR_ARGUMENT, "prompt: %zu prompts, expected at most %d", n, XN_COMPLETION_ANSWERS);
    struct run *r = xn_alloc_zero(1, sizeof *r);
    if (!r) return xn_fail(err, XN_ERR_NOMEM, "out of memory for a request");
    pthread_mutex_init(&r->lock, NULL);
    r->many = has_several(prompt);
    r->n = n;
    r->left = n + 1;
    r->results = xn_alloc_zero(n, sizeof *r->results);
    r->call = *call;
    int status = r->results ? read_options(body, r, q, err) : xn_fail(err, XN_ERR_NOMEM, "out of memory for a request");
    if (status == XN_OK && !prompt) status = xn_llama_infill_prompt(call->served, body, q->most, &q->ids, err);
    q->n = 1;
    if (status == XN_OK) status = submit(r, prompt, q, err);
    if (status != XN_OK) {
        r->call = (struct xn_call){0};
        end(r);
        return status;
    }
    *call = (struct xn_call){0};
    leave(r);
    return XN_OK;
}

static int complete(struct xn_call *call, const json_t *body, struct xn_completion_request *q, struct xn_error *err) {
    json_t *prompt = json_object_get(body, "prompt");
    if (!prompt) return xn_fail(err, XN_ERR_ARGUMENT, "prompt: missing");
    return begin(call, body, prompt, q, err);
}

// Editors ask for a sampler that only fits this; the others are as good without it.
static json_t *without_infill_sampler(const json_t *body) {
    json_t *copy = json_copy((json_t *)body), *samplers = json_object_get(body, "samplers"), *kept;
    if (!json_is_array(samplers) || !(kept = json_array())) return copy;
    for (size_t i = 0; i < json_array_size(samplers); i++) {
        const char *name = json_string_value(json_array_get(samplers, i));
        if (!name || strcmp(name, "infill") != 0) json_array_append(kept, json_array_get(samplers, i));
    }
    json_object_set_new(copy, "samplers", kept);
    return copy;
}

static int infill(struct xn_call *call, const json_t *body, struct xn_completion_request *q, struct xn_error *err) {
    json_t *copy = without_infill_sampler(body);
    if (!copy) return xn_fail(err, XN_ERR_NOMEM, "out of memory for a request");
    int status = begin(call, copy, NULL, q, err);
    json_decref(copy);
    return status;
}

int xn_llama_completion(void *server, struct xn_exchange *x, struct xn_error *err) {
    return xn_call_handle(server, x, complete, err);
}
int xn_llama_infill(void *server, struct xn_exchange *x, struct xn_error *err) {
    return xn_call_handle(server, x, infill, err);
}
