// For tests of what stands on completions: a model whose answers are written down, and exchanges without HTTP. Included
// by one file of a program, which then has these in place of xn_serving, the registry of models and HTTP.
#pragma once

#include "base/memory.h"
#include "server/call.h"
#include "server/completion/internal.h"
#include "text/template.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef SCRIPTED_WITHOUT_CMOCKA // fuzz targets: what must hold aborts
#define assert_true(a) ((a) ? (void)0 : abort())
#define assert_false(a) assert_true(!(a))
#define assert_non_null(a) assert_true(a)
#define assert_int_equal(a, b) assert_true((a) == (b))
#define assert_memory_equal(a, b, n) assert_true(memcmp(a, b, n) == 0)
#define assert_in_range(a, least, most) assert_true((a) >= (least) && (a) <= (most))
#define fail_msg(...) (fprintf(stderr, __VA_ARGS__), abort())
#else
#include <cmocka.h>
#endif

// ChatML with reasoning, and calls in the notation of Hermes.
static const char scripted_template[] =
    "{%- if tools %}<|im_start|>system\n<tool_call>{\"name\": ..., \"arguments\": ...}</tool_call> of {{ tools | "
    "tojson }}"
    "<|im_end|>\n{% endif %}"
    "{%- for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}{{ m.content }}"
    "{%- for c in m.tool_calls or [] %}<tool_call>{{ c.function.name }}:{{ c.function.arguments | tojson }}</tool_call>"
    "{%- endfor %}{% if m.name %}({{ m.name }}){% endif %}<|im_end|>\n{% endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking is defined and enable_thinking %}"
    "<think>\n{% endif %}{% endif %}";

// An answer with a call, of the tool that tests have.
static const char scripted_call[] =
    "<think>Look.</think>One moment.<tool_call>\n{\"name\": \"weather\", \"arguments\": "
    "{\"city\": \"Oulu\"}}\n</tool_call>";

// ---- what xn_serving was asked, and what it answers
enum { SCRIPTED_MOST = 256, SCRIPTED_RETRY = 17 /* seconds that a full queue tells */ };
struct scripted_request {
    struct xn_serving_request request;
    struct xn_sampling sampling;
    char *prompt; // its ids as text, special tokens spelled out
    uint64_t id;
    atomic_bool cancelled;
    bool done;
};
static struct {
    struct xn_served served;
    struct xn_model model;
    const char *answer;            // of the next request
    enum xn_serving_finish finish; // how it ends
    size_t refuse_after;           // so many requests are taken, then the queue is full; 0: all are
    bool at_once;                  // answers come within submit
    bool stalls;                   // requests get a slot, and nothing more until they are cancelled
    const char *error;             // what XN_SERVING_ERROR says
    struct scripted_request requests[SCRIPTED_MOST];
    size_t n, ran;
    // HTTP
    json_t *body;
    const char *path, *headers[2];
    int status;
    uint32_t retry; // of xn_reply_retry; 0: was not called
    struct xn_text reply;
    bool gone, streaming, ended;
    int holds, acquired;
    size_t gone_after; // puts; 0: never
    size_t puts;
} scripted;

static pthread_mutex_t scripted_lock = PTHREAD_MUTEX_INITIALIZER; // of n and ran, where threaded

static char *scripted_text(const int32_t *ids, size_t n) {
    struct xn_text text = {0};
    struct xn_detokenizer d;
    xn_detokenizer_init(&d, scripted.model.tokenizer, true);
    xn_text_put(&text, "", 0, NULL);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(xn_detokenize(&d, ids[i], &text, NULL), XN_OK);
    assert_int_equal(xn_detokenize_end(&d, &text, NULL), XN_OK);
    return text.data;
}

// Gives the request its answer, token by token.
static void scripted_run(struct scripted_request *r) {
    struct xn_serving_event event = {.kind = XN_SERVING_PROMPT, .token = -1};
    event.counts = (struct xn_serving_counts){.prompt = r->request.n_ids, .cached = 3, .done = r->request.n_ids};
    bool enough = r->cancelled;
    r->request.event(r->request.user, &event);
    if (r->request.pooling != XN_POOL_NONE) {
        float vector[] = {3, 0, 4, (float)r->request.n_ids};
        event = (struct xn_serving_event){.kind = XN_SERVING_VECTOR, .vector = vector, .n_vector = 4};
        if (!scripted.error) r->request.event(r->request.user, &event);
    }
    struct xn_ids ids = {0};
    assert_int_equal(xn_tokenize(scripted.model.tokenizer, scripted.answer, strlen(scripted.answer),
                                 XN_TOKENIZE_SPECIAL, &ids, NULL),
                     XN_OK);
    enum xn_serving_finish finish = scripted.finish;
    if (finish == XN_SERVING_END && scripted.stalls) finish = XN_SERVING_CANCELLED;
    for (size_t i = 0; i < ids.n && !enough && !r->cancelled && !scripted.stalls; i++) {
        if (r->request.most >= 0 && (int64_t)i >= r->request.most) {
            finish = XN_SERVING_LENGTH;
            break;
        }
        struct xn_token_logprob top[2] = {{ids.data[i], -0.25f}, {(ids.data[i] + 1) % 1000, -2.5f}};
        event.kind = XN_SERVING_TOKEN;
        event.token = ids.data[i];
        event.logprob = -0.25f;
        event.top = top;
        event.n_top = r->request.logprobs > 2 ? 2 : r->request.logprobs > 0 ? r->request.logprobs : 0;
        event.counts.generated++;
        event.counts.first = 0.5;
        event.counts.last = 0.5 + 0.01 * (double)i;
        enough = r->request.event(r->request.user, &event) != 0;
    }
    free(ids.data);
    struct xn_error error = {.status = XN_ERR_DEVICE};
    snprintf(error.message, sizeof error.message, "%s", scripted.error ? scripted.error : "");
    event.kind = XN_SERVING_DONE;
    event.finish = r->cancelled ? XN_SERVING_CANCELLED : enough ? XN_SERVING_CALLER : finish;
    event.error = event.finish == XN_SERVING_ERROR ? &error : NULL;
    event.token = -1;
    r->done = true;
    r->request.event(r->request.user, &event);
}

// Runs what waits.
static void scripted_run_all(void) {
    for (; scripted.ran < scripted.n; scripted.ran++)
        if (!scripted.requests[scripted.ran].done) scripted_run(&scripted.requests[scripted.ran]);
}

// The serving thread: runs `total` requests as they come.
static inline void *scripted_serve(void *total) {
    while (scripted.ran < *(size_t *)total) {
        pthread_mutex_lock(&scripted_lock);
        bool waits = scripted.ran < scripted.n;
        pthread_mutex_unlock(&scripted_lock);
        if (waits)
            scripted_run(&scripted.requests[scripted.ran++]);
        else
            sched_yield();
    }
    return NULL;
}

int xn_serving_submit(struct xn_serving *serving, const struct xn_serving_request *request, uint64_t *id,
                      uint32_t *retry, struct xn_error *err) {
    (void)serving;
    *retry = 0;
    pthread_mutex_lock(&scripted_lock);
    if (scripted.n == SCRIPTED_MOST || (scripted.refuse_after && scripted.n >= scripted.refuse_after)) {
        pthread_mutex_unlock(&scripted_lock);
        *retry = SCRIPTED_RETRY;
        return xn_fail(err, XN_ERR_LIMIT, "the queue is full");
    }
    struct scripted_request *r = &scripted.requests[scripted.n];
    r->request = *request;
    r->id = *id = 100 + scripted.n;
    r->cancelled = r->done = false;
    if (request->sampling) r->sampling = *request->sampling;
    r->prompt = scripted_text(request->ids, request->n_ids);
    scripted.n++;
    pthread_mutex_unlock(&scripted_lock);
    if (scripted.at_once) scripted_run(r);
    return XN_OK;
}

void xn_serving_cancel(struct xn_serving *serving, uint64_t id) {
    (void)serving;
    assert_in_range(id, 100, 100 + SCRIPTED_MOST - 1);
    scripted.requests[id - 100].cancelled = true;
}

void xn_metrics_finished(struct xn_metrics *metrics, const char *model, const struct xn_serving_counts *counts,
                         enum xn_serving_finish finish) {
    (void)metrics, (void)model, (void)counts, (void)finish;
}

// ---- models

int xn_served_acquire(struct xn_models *models, const char *name, struct xn_served **out, struct xn_error *err) {
    (void)models;
    if (name && strcmp(name, "missing") == 0) return xn_fail(err, XN_ERR_MISSING, "model \"missing\" not found");
    scripted.acquired++;
    *out = &scripted.served;
    return XN_OK;
}
void xn_served_release(struct xn_models *models, struct xn_served *served) {
    (void)models, (void)served;
    scripted.acquired--;
}
struct xn_served *xn_served_peek(struct xn_models *models, size_t i) {
    (void)models, (void)i;
    scripted.acquired++;
    return &scripted.served;
}
size_t xn_models_count(const struct xn_models *models) {
    (void)models;
    return 1;
}
size_t xn_models_find(const struct xn_models *models, const char *name) {
    (void)models;
    return strcmp(name, "scripted") == 0 ? 0 : SIZE_MAX;
}
void xn_models_entry(struct xn_models *models, size_t i, struct xn_model_entry *entry) {
    static const char *const names[] = {"scripted", "alias"};
    (void)models, (void)i;
    *entry = (struct xn_model_entry){
        .path = "x", .names = names, .n_names = 2, .size = 12, .created = 1000, .state = XN_MODEL_LOADED};
}

// ---- exchanges: there is one at a time

struct xn_exchange {
    int unused;
};
static struct xn_exchange scripted_exchange;

int xn_exchange_json(const struct xn_exchange *x, json_t **out, struct xn_error *err) {
    (void)x, (void)err;
    *out = json_incref(scripted.body);
    return XN_OK;
}
const char *xn_exchange_path(const struct xn_exchange *x) {
    (void)x;
    return scripted.path;
}
const char *xn_exchange_header(const struct xn_exchange *x, const char *name) {
    (void)x;
    return scripted.headers[0] && strcasecmp(scripted.headers[0], name) == 0 ? scripted.headers[1] : NULL;
}
uint64_t xn_exchange_owner(const struct xn_exchange *x) {
    (void)x;
    return 7;
}
bool xn_exchange_gone(const struct xn_exchange *x) {
    (void)x;
    return scripted.gone;
}
void xn_exchange_on_gone(struct xn_exchange *x, void (*gone)(void *user), void *user) {
    (void)x, (void)gone, (void)user;
}
void xn_exchange_off_gone(struct xn_exchange *x, void *user) {
    (void)x, (void)user;
}
void xn_exchange_note(struct xn_exchange *x, const char *name, const char *text) {
    (void)x, (void)name, (void)text;
}
void xn_exchange_note_number(struct xn_exchange *x, const char *name, double value) {
    (void)x, (void)name, (void)value;
}
struct xn_exchange *xn_exchange_hold(struct xn_exchange *x) {
    scripted.holds++;
    return x;
}
void xn_exchange_release(struct xn_exchange *x) {
    (void)x;
    scripted.holds--;
}
int xn_reply_json(struct xn_exchange *x, int status, json_t *body, struct xn_error *err) {
    (void)x;
    assert_non_null(body);
    assert_false(scripted.streaming);
    assert_int_equal(scripted.status, 0);
    char *text = json_dumps(body, 0);
    json_decref(body);
    assert_non_null(text);
    scripted.status = status;
    int put = xn_text_put(&scripted.reply, text, strlen(text), err);
    free(text);
    return put;
}
void xn_reply_header(struct xn_exchange *x, const char *name, const char *value) {
    (void)x, (void)name, (void)value;
}
void xn_reply_retry(struct xn_exchange *x, uint32_t seconds) {
    (void)x;
    if (scripted.status == 0) scripted.retry = seconds;
}
int xn_stream_begin(struct xn_exchange *x, int status, const char *content_type, struct xn_error *err) {
    (void)x, (void)err;
    assert_int_equal(scripted.status, 0);
    assert_non_null(strstr(content_type, "text/event-stream"));
    scripted.status = status;
    scripted.streaming = true;
    return XN_OK;
}
int xn_stream_put(struct xn_exchange *x, const void *bytes, size_t size, struct xn_error *err) {
    (void)x;
    assert_true(scripted.streaming && !scripted.ended);
    if (scripted.gone_after && ++scripted.puts >= scripted.gone_after) scripted.gone = true;
    if (scripted.gone) return xn_fail(err, XN_ERR_CANCELLED, "the client has gone");
    return xn_text_put(&scripted.reply, bytes, size, err);
}
void xn_stream_end(struct xn_exchange *x) {
    (void)x;
    assert_true(scripted.streaming && !scripted.ended);
    scripted.ended = true;
}
// ---- the test's side

// The tokenizer of the default model; skips the test where that is missing.
static int scripted_open(void **state) {
    (void)state;
    const char *root = getenv("XENON_SOURCE");
    char *path = xn_format("%s/models/xenon-default-q8_0.gguf", root ? root : ".");
    struct xn_error err;
    struct xn_model *m = &scripted.model;
    int status = xn_source_open(path, &m->source, &err);
    if (status == XN_OK) status = xn_tokenizer_from_source(m->source, &m->tokenizer, &err);
    if (status == XN_OK)
        status = xn_template_parse(scripted_template, sizeof scripted_template - 1, "test", &m->chat, &err);
    free(path);
    if (status != XN_OK) fail_msg("%s", err.message);
    m->recipe.vocab = (uint32_t)xn_tokenizer_size(m->tokenizer);
    scripted.served = (struct xn_served){
        .name = "scripted",
        .model = m,
        .chat_template = scripted_template,
        .style = xn_answer_detect(scripted_template),
        .context = 2048,
        .sampling = xn_sampling_default(),
    };
    return 0;
}

static void scripted_reset(void) {
    for (size_t i = 0; i < scripted.n; i++)
        free(scripted.requests[i].prompt);
    json_decref(scripted.body);
    free(scripted.reply.data);
    struct xn_served served = scripted.served;
    struct xn_model model = scripted.model;
    memset(&scripted, 0, sizeof scripted);
    scripted.model = model;
    scripted.served = served;
    scripted.served.model = &scripted.model;
    scripted.answer = "";
    scripted.path = "/";
}

static inline int scripted_close(void **state) {
    (void)state;
    scripted_reset();
    xn_completion_forget_grammars();
    xn_template_free(scripted.model.chat);
    xn_tokenizer_free(scripted.model.tokenizer);
    xn_source_close(scripted.model.source);
    return 0;
}

// Lets a handler answer a body. What the route would do with a failure is done here. The reply is in `scripted`.
static inline void scripted_post(int (*handle)(void *server, struct xn_exchange *x, struct xn_error *err),
                                 xn_error_form *form, const char *body) {
    static struct xn_server server;
    struct xn_error err;
    json_error_t where;
    json_decref(scripted.body);
    scripted.body = json_loads(body, 0, &where);
    if (!scripted.body) fail_msg("%s: %s", body, where.text);
    scripted.reply.size = 0;
    scripted.status = 0;
    scripted.retry = 0;
    scripted.streaming = scripted.ended = false;
    int status = handle(&server, &scripted_exchange, &err);
    if (status != XN_OK) {
        int code = xn_http_status(&err);
        assert_int_equal(status, err.status);
        xn_reply_json(&scripted_exchange, code, form(code, NULL, err.message), &err);
    } else {
        scripted_run_all();
    }
    // Whatever happened, nothing is held any more.
    assert_int_equal(scripted.holds, 0);
    assert_int_equal(scripted.acquired, 0);
    assert_true(scripted.status != 0 || scripted.gone);
    assert_true(!scripted.streaming || scripted.ended);
}

// The reply as JSON; the caller's.
static inline json_t *scripted_reply(int status) {
    if (scripted.status != status)
        fail_msg("status %d, expected %d: %.500s", scripted.status, status, scripted.reply.data);
    json_t *body = json_loadb(scripted.reply.data, scripted.reply.size, JSON_ALLOW_NUL, NULL);
    assert_non_null(body);
    return body;
}

// Event i of the stream (a new reference), or NULL. *name: of its event line, or "" (a static buffer).
static inline json_t *scripted_event(size_t i, const char **name) {
    static char found[64];
    const char *at = scripted.reply.data;
    for (; at; i--) {
        while (*at == ':') // a comment
            at = strstr(at, "\n\n") + 2;
        if (!*at) return NULL;
        found[0] = 0;
        if (sscanf(at, "event: %63s", found) == 1) at = strchr(at, '\n') + 1;
        if (name) *name = found;
        assert_memory_equal(at, "data: ", 6);
        const char *end = strstr(at, "\n\n");
        assert_non_null(end);
        if (i == 0) {
            json_t *event = json_loadb(at + 6, (size_t)(end - at) - 6, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
            return event ? event : json_stringn(at + 6, (size_t)(end - at) - 6);
        }
        at = end + 2;
    }
    return NULL;
}

// A value by its path: "choices.0.message.content". Borrowed; NULL: not there.
static inline json_t *value_at(json_t *value, const char *path) {
    char *copy = xn_strdup(path), *rest = copy, *key;
    while (value && (key = strsep(&rest, ".")))
        value = json_is_array(value) ? json_array_get(value, (size_t)atoi(key)) : json_object_get(value, key);
    free(copy);
    return value;
}
static inline void assert_text(json_t *value, const char *path, const char *expected) {
    const char *found = json_string_value(value_at(value, path));
    if (!found || strcmp(found, expected) != 0) {
        char *all = json_dumps(value, JSON_ENCODE_ANY);
        fail_msg("%s: '%s', expected '%s' in %s", path, found ? found : "(none)", expected, all);
    }
}
static inline void assert_number(json_t *value, const char *path, double expected) {
    json_t *found = value_at(value, path);
    if (!json_is_number(found) || json_number_value(found) != expected) {
        char *all = json_dumps(value, JSON_ENCODE_ANY);
        fail_msg("%s: expected %g in %s", path, expected, all);
    }
}
