// What the files of Ollama's API share.
#pragma once

#include "server/call.h"
#include "server/fields.h"
#include "server/ollama/ollama.h"

// --- read.c
struct xn_ollama_options {
    bool stream;       // true unless said
    bool keep;         // keep_alive was given:
    double keep_alive; // seconds; < 0: for ever
    bool unload;       // it was 0
};
// options, format, think, keep_alive, stream, of /api/chat and /api/generate.
int xn_ollama_read(const json_t *body, const struct xn_call *call, struct xn_completion_request *request,
                   struct xn_ollama_options *options, struct xn_error *err);
// "5m", "1h30m", "-1", 300
int xn_ollama_keep_alive(const json_t *body, struct xn_ollama_options *options, struct xn_error *err);

// --- messages.c
// messages and tools in OpenAI's form, checked, and held by the request.
int xn_ollama_read_messages(const json_t *body, struct xn_completion_request *request, struct xn_error *err);
// The conversation of /api/generate: system and prompt.
int xn_ollama_prompt_messages(const char *system, const char *prompt, struct xn_completion_request *request,
                              struct xn_error *err);
// Models here take text only.
int xn_ollama_refuse_images(const json_t *holder, const char *name, struct xn_error *err);

// --- answer.c
// Submits the request, and answers as /api/chat does, or as /api/generate. Takes the call where it succeeds.
int xn_ollama_answer(struct xn_call *call, struct xn_completion_request *request,
                     const struct xn_ollama_options *options, bool chat, double load_seconds, struct xn_error *err);
// What is said where there is no prompt: the model was loaded, or is dropped.
int xn_ollama_loaded(struct xn_call *call, const struct xn_ollama_options *options, bool chat, struct xn_error *err);

// --- models.c
enum { XN_OLLAMA_TIME = 40 };
void xn_ollama_time(char text[XN_OLLAMA_TIME], double seconds_from_now);
void xn_ollama_time_of(char text[XN_OLLAMA_TIME], int64_t seconds); // since 1970
int xn_ollama_tags(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_ollama_ps(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_ollama_show(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_ollama_version(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_ollama_pull(void *server, struct xn_exchange *x, struct xn_error *err);

// --- chat.c, embed.c
int xn_ollama_chat(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_ollama_generate(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_ollama_embed(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_ollama_embeddings(void *server, struct xn_exchange *x, struct xn_error *err);
