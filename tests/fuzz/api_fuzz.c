// Any text as the body of a request to OpenAI's and Anthropic's endpoints, over a model whose answer is the rest of the
// input: no body and no answer makes a handler fail to reply, reply twice, or keep hold of what it was given; streams
// and replies are JSON.
//
// Input: a byte that chooses the endpoint, one of bits (see below), the body up to a zero byte, and the answer.
#define SCRIPTED_WITHOUT_CMOCKA
#include "server/completion/testing.h"

#include "server/anthropic/internal.h"
#include "server/openai/responses.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    return scripted_open(NULL);
}

static const struct {
    int (*handle)(void *server, struct xn_exchange *x, struct xn_error *err);
    xn_error_form *form;
} endpoints[] = {
    {xn_openai_chat, xn_openai_error},         {xn_openai_completions, xn_openai_error},
    {xn_openai_responses, xn_openai_error},    {xn_openai_embeddings, xn_openai_error},
    {xn_anthropic_create, xn_anthropic_error}, {xn_anthropic_count, xn_anthropic_error},
};

// Every event of a stream is one line of JSON, or [DONE].
static void check_stream(void) {
    const char *name;
    json_t *event;
    for (size_t i = 0; (event = scripted_event(i, &name)); i++) {
        if (!json_is_object(event) && strcmp(json_string_value(event), "[DONE]") != 0) abort();
        json_decref(event);
        if (i > 16) break; // the walk begins anew each time
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 3) return 0;
    size_t which = data[0] % (sizeof endpoints / sizeof *endpoints);
    uint8_t bits = data[1];
    char *text = xn_strndup((const char *)data + 2, size - 2), *answer = strchr(text, 0);
    if (answer < text + size - 2) answer++;
    json_t *body = NULL;
    struct xn_error err;
    if (xn_body_parse(text, strlen(text), &body, &err) == XN_OK) {
        scripted_reset();
        scripted.answer = answer;
        scripted.at_once = (bits & 1) || which == 3; // embeddings are waited for
        scripted.gone_after = bits & 2 ? 1 + (bits >> 4) : 0;
        scripted.refuse_after = bits & 4 ? 1 : 0;
        if (bits & 8) {
            scripted.finish = XN_SERVING_ERROR;
            scripted.error = "lost";
        }
        char *again = json_dumps(body, 0);
        scripted_post(endpoints[which].handle, endpoints[which].form, again);
        free(again);
        if (!scripted.gone && scripted.streaming) check_stream();
        if (!scripted.gone && !scripted.streaming) json_decref(scripted_reply(scripted.status));
        json_decref(body);
    }
    free(text);
    return 0;
}
