// POST /api/chat and /api/generate: the requests.
#include "server/llama/internal.h" // prompts that fill in
#include "server/ollama/internal.h"
#include "server/openai/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// What a handler of this API begins with.
struct begun {
    json_t *body;
    struct xn_call call;
    struct xn_completion_request request;
    struct xn_ollama_options options;
    double load_seconds;
};

static int begin(struct begun *b, void *server, struct xn_exchange *x, struct xn_error *err) {
    const char *model = NULL;
    double before = now();
    XN_TRY(xn_exchange_json(x, &b->body, err));
    XN_TRY(xn_field_string(b->body, "model", &model, err));
    XN_TRY(xn_call_begin(&b->call, server, x, model, err));
    b->load_seconds = now() - before;
    xn_completion_request_init(&b->request, b->call.served);
    b->request.exchange = x;
    return xn_ollama_read(b->body, &b->call, &b->request, &b->options, err);
}

static void leave(struct begun *b) {
    xn_completion_request_free(&b->request);
    xn_call_end(&b->call);
    json_decref(b->body);
}

static int chat(struct begun *b, struct xn_error *err) {
    json_t *messages = NULL;
    XN_TRY(xn_field_array(b->body, "messages", &messages, err));
    if (!json_array_size(messages)) return xn_ollama_loaded(&b->call, &b->options, true, err);
    XN_TRY(xn_ollama_read_messages(b->body, &b->request, err));
    return xn_ollama_answer(&b->call, &b->request, &b->options, true, b->load_seconds, err);
}

int xn_ollama_chat(void *server, struct xn_exchange *x, struct xn_error *err) {
    struct begun b = {0};
    int status = begin(&b, server, x, err);
    if (status == XN_OK) status = chat(&b, err);
    leave(&b);
    return status;
}

static int fill_in(struct begun *b, const char *prompt, const char *suffix, struct xn_error *err) {
    json_t *like = json_pack("{s:s, s:s}", "input_prefix", prompt, "input_suffix", suffix);
    int status = like ? xn_llama_infill_prompt(b->call.served, like, b->request.most, &b->request.ids, err)
                      : xn_fail(err, XN_ERR_NOMEM, "out of memory for a prompt");
    json_decref(like);
    return status;
}

static int generate(struct begun *b, struct xn_error *err) {
    const char *prompt = NULL, *suffix = NULL, *system = NULL, *template = NULL;
    bool raw = false;
    XN_TRY(xn_field_string(b->body, "prompt", &prompt, err));
    XN_TRY(xn_field_string(b->body, "suffix", &suffix, err));
    XN_TRY(xn_field_string(b->body, "system", &system, err));
    XN_TRY(xn_field_string(b->body, "template", &template, err));
    XN_TRY(xn_field_bool(b->body, "raw", &raw, err));
    XN_TRY(xn_ollama_refuse_images(b->body, "", err));
    if (template && *template)
        return xn_fail(err, XN_ERR_ARGUMENT, "template: not supported; the model's own is used, or none with raw");
    if (json_array_size(json_object_get(b->body, "context")))
        return xn_fail(err, XN_ERR_ARGUMENT, "context: not supported; /api/chat keeps a conversation");
    if ((!prompt || !*prompt) && (!suffix || !*suffix)) return xn_ollama_loaded(&b->call, &b->options, false, err);
    if (!prompt) prompt = "";
    if (suffix && *suffix)
        XN_TRY(fill_in(b, prompt, suffix, err));
    else if (!raw)
        XN_TRY(xn_ollama_prompt_messages(system, prompt, &b->request, err));
    else {
        XN_TRY(xn_openai_set_string(&b->request.prompt, prompt, err));
        b->request.prompt_size = strlen(prompt);
    }
    return xn_ollama_answer(&b->call, &b->request, &b->options, false, b->load_seconds, err);
}

int xn_ollama_generate(void *server, struct xn_exchange *x, struct xn_error *err) {
    struct begun b = {0};
    int status = begin(&b, server, x, err);
    if (status == XN_OK) status = generate(&b, err);
    leave(&b);
    return status;
}
