// What the server counts, for /metrics: counters and histograms of all models together and each by its name.
#pragma once

#include "engine/serving/serving.h"

struct xn_metrics;
int xn_metrics_create(struct xn_metrics **out, struct xn_error *err);
void xn_metrics_free(struct xn_metrics *metrics); // accepts NULL

// One answer has ended: to be called once for each, with the counts of its DONE event (completion.c does). `model`: the
// first of its names. Quick, any thread; metrics may be NULL.
void xn_metrics_finished(struct xn_metrics *metrics, const char *model, const struct xn_serving_counts *counts,
                         enum xn_serving_finish finish);
// One HTTP request has been answered (http.c's log does).
void xn_metrics_http(struct xn_metrics *metrics, int status, double seconds);

struct xn_models;
// All of it in Prometheus' text format (version 0.0.4): with llama-server's names, with vLLM's, and what only we have
// (xenon:...). malloc'ed.
int xn_metrics_text(struct xn_metrics *metrics, struct xn_models *models, char **text, size_t *size,
                    struct xn_error *err);
