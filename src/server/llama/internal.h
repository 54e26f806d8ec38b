// What the files of llama-server's API share.
#pragma once

#include "server/call.h"
#include "server/fields.h"
#include "server/llama/llama.h"

// --- params.c
// Settings of sampling by the names of /props, /slots and /completion's generation_settings.
json_t *xn_llama_params(const struct xn_sampling *sampling);

// --- infill.c
// The ids of a prompt that asks for what stands between input_prefix and input_suffix, with input_extra in front of it.
// XN_ERR_UNSUPPORTED where the model has no tokens for that. most: tokens that are to be generated, < 0: not said.
int xn_llama_infill_prompt(const struct xn_served *served, const json_t *body, int64_t most, struct xn_ids *ids,
                           struct xn_error *err);

// --- completion.c
int xn_llama_completion(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_llama_infill(void *server, struct xn_exchange *x, struct xn_error *err);
// --- text.c
int xn_llama_tokenize(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_llama_detokenize(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_llama_apply_template(void *server, struct xn_exchange *x, struct xn_error *err);
// --- vectors.c
int xn_llama_embedding(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_llama_rerank(void *server, struct xn_exchange *x, struct xn_error *err);
// --- status.c
int xn_llama_health(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_llama_props(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_llama_slots(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_llama_metrics(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_llama_load(void *server, struct xn_exchange *x, struct xn_error *err);
int xn_llama_unload(void *server, struct xn_exchange *x, struct xn_error *err);
