// Counters and histograms of what was served.
#include "server/metrics.h"

#include "base/memory.h"
#include "server/models.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 24, STATUSES = 64 };

// Upper bounds, ended by 0.
static const double first_bounds[BUCKETS] = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5,
                                             0.75,  1,     2.5,  5,    7.5,  10,   20,   40,  80,   160};
static const double token_bounds[BUCKETS] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2,
                                             0.3,   0.4,    0.5,   0.75, 1,     2.5,  5,     7.5, 10};
static const double second_bounds[BUCKETS] = {0.01, 0.05, 0.1, 0.3, 0.5, 0.8, 1,  1.5, 2,   2.5, 5,
                                              10,   15,   20,  30,  40,  50,  60, 120, 240, 480, 960};
static const double count_bounds[BUCKETS] = {1,    2,    5,    10,    20,    50,    100,    200,   500,
                                             1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000};

#define HISTOGRAMS(X)                                                                                                  \
    X(FIRST, "vllm:time_to_first_token_seconds", first_bounds, "time to first token in seconds")                       \
    X(ITL, "vllm:inter_token_latency_seconds", token_bounds, "time between tokens (the mean of its request)")          \
    X(TPOT, "vllm:time_per_output_token_seconds", token_bounds, "the same by its older name")                          \
    X(REQUEST_TPOT, "vllm:request_time_per_output_token_seconds", token_bounds, "time per output token of a request")  \
    X(WHOLE, "vllm:e2e_request_latency_seconds", second_bounds, "seconds from a request to its end")                   \
    X(QUEUE, "vllm:request_queue_time_seconds", second_bounds, "seconds that a request waited for a slot")             \
    X(PREFILL, "vllm:request_prefill_time_seconds", second_bounds, "seconds in which its prompt was computed")         \
    X(DECODE, "vllm:request_decode_time_seconds", second_bounds, "seconds from its first token to its last")           \
    X(INFERENCE, "vllm:request_inference_time_seconds", second_bounds, "seconds in which it had a slot")               \
    X(PROMPT, "vllm:request_prompt_tokens", count_bounds, "tokens of prompts")                                         \
    X(GENERATED, "vllm:request_generation_tokens", count_bounds, "tokens generated")

enum {
#define X(name, text, bounds, help) H_##name,
    HISTOGRAMS(X)
#undef X
        N_HISTOGRAMS
};
static const struct {
    const char *name, *help;
    const double *bounds;
} shapes[N_HISTOGRAMS] = {
#define X(id, text, range, about) {text, about, range},
    HISTOGRAMS(X)
#undef X
};

struct histogram {
    uint64_t counts[BUCKETS + 1]; // the last: above all bounds
    double sum;
};

static const char *const reasons[] = {"stop", "length", "abort", "error"};
enum { N_REASONS = sizeof reasons / sizeof *reasons };

struct model {
    struct model *next;
    char *name;
    struct histogram histograms[N_HISTOGRAMS];
    uint64_t ended[N_REASONS];
    double prompt_seconds, generate_seconds;
    uint32_t longest;
};

struct xn_metrics {
    pthread_mutex_t lock;
    struct model *models;
    struct {
        int status;
        uint64_t n;
    } http[STATUSES];
    struct histogram seconds;
};

int xn_metrics_create(struct xn_metrics **out, struct xn_error *err) {
    *out = xn_alloc_zero(1, sizeof **out);
    if (!*out) return xn_fail(err, XN_ERR_NOMEM, "no memory for metrics");
    pthread_mutex_init(&(*out)->lock, NULL);
    return XN_OK;
}

void xn_metrics_free(struct xn_metrics *metrics) {
    if (!metrics) return;
    for (struct model *next, *model = metrics->models; model; model = next) {
        next = model->next;
        free(model->name);
        free(model);
    }
    pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

static struct model *model_of(struct xn_metrics *metrics, const char *name) {
    struct model *model = metrics->models;
    while (model && strcmp(model->name, name) != 0)
        model = model->next;
    if (model) return model;
    model = xn_alloc_zero(1, sizeof *model);
    if (!model || !(model->name = xn_strdup(name))) {
        free(model);
        return NULL;
    }
    model->next = metrics->models;
    return metrics->models = model;
}

static void observe(struct histogram *h, const double *bounds, double value, uint64_t times) {
    size_t i = 0;
    while (i < BUCKETS && bounds[i] > 0 && value > bounds[i])
        i++;
    h->counts[i < BUCKETS && bounds[i] > 0 ? i : BUCKETS] += times;
    h->sum += value * (double)times;
}

static int reason_of(enum xn_serving_finish finish) {
    switch (finish) {
    case XN_SERVING_LENGTH:
    case XN_SERVING_CONTEXT:
        return 1;
    case XN_SERVING_CANCELLED:
        return 2;
    case XN_SERVING_ERROR:
        return 3;
    default:
        return 0;
    }
}

static void count(struct model *model, const struct xn_serving_counts *c, enum xn_serving_finish finish) {
    struct histogram *h = model->histograms;
    model->ended[reason_of(finish)]++;
    if (c->prompt + c->generated > model->longest) model->longest = c->prompt + c->generated;
    observe(&h[H_WHOLE], second_bounds, c->last, 1);
    observe(&h[H_QUEUE], second_bounds, c->queued, 1);
    observe(&h[H_PROMPT], count_bounds, c->prompt, 1);
    observe(&h[H_GENERATED], count_bounds, c->generated, 1);
    observe(&h[H_INFERENCE], second_bounds, fmax(c->last - c->queued, 0), 1);
    if (!c->generated) return;
    observe(&h[H_FIRST], first_bounds, c->first, 1);
    observe(&h[H_PREFILL], second_bounds, fmax(c->first - c->queued, 0), 1);
    model->prompt_seconds += fmax(c->first - c->queued, 0);
    if (c->generated < 2) return;
    double decode = fmax(c->last - c->first, 0), each = decode / (c->generated - 1);
    model->generate_seconds += decode;
    observe(&h[H_DECODE], second_bounds, decode, 1);
    observe(&h[H_REQUEST_TPOT], token_bounds, each, 1);
    observe(&h[H_ITL], token_bounds, each, c->generated - 1);
    observe(&h[H_TPOT], token_bounds, each, c->generated - 1);
}

void xn_metrics_finished(struct xn_metrics *metrics, const char *name, const struct xn_serving_counts *counts,
                         enum xn_serving_finish finish) {
    if (!metrics) return;
    pthread_mutex_lock(&metrics->lock);
    struct model *model = model_of(metrics, name);
    if (model) count(model, counts, finish);
    pthread_mutex_unlock(&metrics->lock);
}

void xn_metrics_http(struct xn_metrics *metrics, int status, double seconds) {
    if (!metrics) return;
    pthread_mutex_lock(&metrics->lock);
    observe(&metrics->seconds, second_bounds, seconds, 1);
    for (size_t i = 0; i < STATUSES; i++)
        if (!metrics->http[i].n || metrics->http[i].status == status) {
            metrics->http[i].status = status;
            metrics->http[i].n++;
            break;
        }
    pthread_mutex_unlock(&metrics->lock);
}

// --- text

// A model as it is at the moment.
struct view {
    const char *name;
    char label[160], vllm[176]; // {model="..."}, or nothing with one model; {model_name="..."
    struct xn_serving_state state;
    const struct model *counted; // may be NULL
    bool loaded;
};

static void escape(const char *name, char *out, size_t size) {
    size_t n = 0;
    for (; *name && n + 3 < size; name++) {
        if (*name == '"' || *name == '\\') out[n++] = '\\';
        out[n++] = (unsigned char)*name < ' ' ? '?' : *name;
    }
    out[n] = 0;
}

static void look(struct xn_models *models, size_t i, bool alone, struct view *v) {
    struct xn_model_entry entry;
    char name[128];
    xn_models_entry(models, i, &entry);
    *v = (struct view){.name = entry.names[0]};
    escape(v->name, name, sizeof name);
    if (!alone) snprintf(v->label, sizeof v->label, "{model=\"%s\"}", name);
    snprintf(v->vllm, sizeof v->vllm, "{model_name=\"%s\"", name);
    struct xn_served *served = xn_served_peek(models, i);
    v->loaded = served != NULL;
    if (served) xn_serving_state(served->serving, &v->state, NULL, 0);
    xn_served_release(models, served);
    struct xn_serving_state *s = &v->state;
    const struct xn_serving_state *past = &entry.past;
    s->requests += past->requests;
    s->cancelled += past->cancelled;
    s->failed += past->failed;
    s->prompt_tokens += past->prompt_tokens;
    s->cached_tokens += past->cached_tokens;
    s->generated_tokens += past->generated_tokens;
    s->steps += past->steps;
    s->step_seconds += past->step_seconds;
}

static double per(double n, double seconds) {
    return seconds > 0 ? n / seconds : 0;
}

// What one model's line of a family says; the family's name says which.
typedef double value_of(const struct view *v);
#define VALUE(name, expression)                                                                                        \
    static double name(const struct view *v) {                                                                         \
        return (double)(expression);                                                                                   \
    }
VALUE(prompt_tokens, v->state.prompt_tokens)
VALUE(prompt_seconds, v->counted ? v->counted->prompt_seconds : 0)
VALUE(generated_tokens, v->state.generated_tokens)
VALUE(generate_seconds, v->counted ? v->counted->generate_seconds : 0)
VALUE(prompt_speed, per((double)v->state.prompt_tokens, prompt_seconds(v)))
VALUE(generate_speed, per((double)v->state.generated_tokens, generate_seconds(v)))
VALUE(running, v->state.running)
VALUE(waiting, v->state.waiting)
VALUE(longest, v->counted ? v->counted->longest : 0)
VALUE(steps, v->state.steps)
VALUE(step_seconds, v->state.step_seconds)
VALUE(busy, per((double)v->state.generated_tokens, (double)v->state.steps))
VALUE(cache_share, per(v->state.pages_used, v->state.pages))
VALUE(pages, v->state.pages)
VALUE(pages_used, v->state.pages_used)
VALUE(pages_cached, v->state.pages_cached)
VALUE(cached_tokens, v->state.cached_tokens)
VALUE(all_prompt_tokens, v->state.prompt_tokens + v->state.cached_tokens)
VALUE(requests, v->state.requests)
VALUE(cancelled, v->state.cancelled)
VALUE(failed, v->state.failed)
VALUE(slots, v->state.slots)
VALUE(ram, v->state.ram_used)
VALUE(loaded, v->loaded)

static const struct {
    const char *name, *kind, *help;
    value_of *value;
    bool vllm;
} families[] = {
    {"llamacpp:prompt_tokens_total", "counter", "prompt tokens computed", prompt_tokens, false},
    {"llamacpp:prompt_seconds_total", "counter", "seconds in which prompts were computed", prompt_seconds, false},
    {"llamacpp:tokens_predicted_total", "counter", "tokens generated", generated_tokens, false},
    {"llamacpp:tokens_predicted_seconds_total", "counter", "seconds in which tokens were generated", generate_seconds,
     false},
    {"llamacpp:n_decode_total", "counter", "steps", steps, false},
    {"llamacpp:n_tokens_max", "counter", "most tokens of a request, prompt and answer", longest, false},
    {"llamacpp:n_busy_slots_per_decode", "gauge", "tokens generated a step", busy, false},
    {"llamacpp:prompt_tokens_seconds", "gauge", "prompt tokens a second, mean of all requests", prompt_speed, false},
    {"llamacpp:predicted_tokens_seconds", "gauge", "generated tokens a second, mean of all requests", generate_speed,
     false},
    {"llamacpp:requests_processing", "gauge", "requests that have a slot", running, false},
    {"llamacpp:requests_deferred", "gauge", "requests that wait for a slot", waiting, false},
    {"llamacpp:kv_cache_usage_ratio", "gauge", "share of the cache's pages in use", cache_share, false},
    {"xenon:cache_pages", "gauge", "pages of the cache", pages, false},
    {"xenon:cache_pages_used", "gauge", "pages that hold something", pages_used, false},
    {"xenon:cache_pages_cached", "gauge", "pages that hold prefixes only", pages_cached, false},
    {"xenon:cache_ram_bytes", "gauge", "host memory of prefixes that left the cache", ram, false},
    {"xenon:cached_tokens_total", "counter", "prompt tokens taken from the cache", cached_tokens, false},
    {"xenon:requests_total", "counter", "requests submitted", requests, false},
    {"xenon:requests_cancelled_total", "counter", "requests whose client went", cancelled, false},
    {"xenon:requests_failed_total", "counter", "requests that failed", failed, false},
    {"xenon:slots", "gauge", "requests that can run at once", slots, false},
    {"xenon:step_seconds_total", "counter", "seconds in steps", step_seconds, false},
    {"xenon:model_loaded", "gauge", "1 where the model is loaded", loaded, false},
    {"vllm:num_requests_running", "gauge", "requests that have a slot", running, true},
    {"vllm:num_requests_waiting", "gauge", "requests that wait for a slot", waiting, true},
    {"vllm:kv_cache_usage_perc", "gauge", "share of the cache's pages in use, 0 to 1", cache_share, true},
    {"vllm:gpu_cache_usage_perc", "gauge", "the same by its older name", cache_share, true},
    {"vllm:prompt_tokens_total", "counter", "prompt tokens, computed or taken from the cache", all_prompt_tokens, true},
    {"vllm:generation_tokens_total", "counter", "tokens generated", generated_tokens, true},
    {"vllm:prefix_cache_queries_total", "counter", "prompt tokens looked for in the cache", all_prompt_tokens, true},
    {"vllm:prefix_cache_hits_total", "counter", "of those, found", cached_tokens, true},
};

static void head(FILE *out, const char *name, const char *kind, const char *help) {
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

// `labels`: open ("{model_name=\"x\""), or "".
static void write_histogram(FILE *out, const char *name, const char *labels, const double *bounds,
                            const struct histogram *h) {
    uint64_t sum = 0;
    const char *open = *labels ? labels : "{", *comma = *labels ? "," : "";
    for (size_t i = 0; i < BUCKETS && bounds[i] > 0; i++) {
        sum += h->counts[i];
        fprintf(out, "%s_bucket%s%sle=\"%g\"} %llu\n", name, open, comma, bounds[i], (unsigned long long)sum);
    }
    sum += h->counts[BUCKETS];
    const char *close = *labels ? "}" : "";
    fprintf(out, "%s_bucket%s%sle=\"+Inf\"} %llu\n", name, open, comma, (unsigned long long)sum);
    fprintf(out, "%s_sum%s%s %.9g\n%s_count%s%s %llu\n", name, labels, close, h->sum, name, labels, close,
            (unsigned long long)sum);
}

static void write_models(FILE *out, const struct view *views, size_t n) {
    static const struct model nothing;
    for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
        head(out, families[f].name, families[f].kind, families[f].help);
        for (size_t i = 0; i < n; i++)
            fprintf(out, "%s%s%s %.12g\n", families[f].name, families[f].vllm ? views[i].vllm : views[i].label,
                    families[f].vllm ? "}" : "", families[f].value(&views[i]));
    }
    for (size_t k = 0; k < N_HISTOGRAMS; k++) {
        head(out, shapes[k].name, "histogram", shapes[k].help);
        for (size_t i = 0; i < n; i++)
            write_histogram(out, shapes[k].name, views[i].vllm, shapes[k].bounds,
                            &(views[i].counted ? views[i].counted : &nothing)->histograms[k]);
    }
    head(out, "vllm:request_success_total", "counter", "requests that ended, by the reason");
    for (size_t i = 0; i < n; i++)
        for (size_t r = 0; r < N_REASONS; r++)
            fprintf(out, "vllm:request_success_total%s,finished_reason=\"%s\"} %llu\n", views[i].vllm, reasons[r],
                    (unsigned long long)(views[i].counted ? views[i].counted->ended[r] : 0));
}

static void write_http(FILE *out, const struct xn_metrics *metrics) {
    head(out, "xenon:http_requests_total", "counter", "HTTP requests by their status; 0: the client went before");
    for (size_t i = 0; i < STATUSES && metrics->http[i].n; i++)
        fprintf(out, "xenon:http_requests_total{status=\"%d\"} %llu\n", metrics->http[i].status,
                (unsigned long long)metrics->http[i].n);
    head(out, "xenon:http_request_seconds", "histogram", "seconds from a request's headers to its reply's end");
    write_histogram(out, "xenon:http_request_seconds", "", second_bounds, &metrics->seconds);
}

int xn_metrics_text(struct xn_metrics *metrics, struct xn_models *models, char **text, size_t *size,
                    struct xn_error *err) {
    size_t n = xn_models_count(models);
    struct view *views = xn_alloc_zero(n + 1, sizeof *views);
    *text = NULL;
    FILE *out = views ? open_memstream(text, size) : NULL;
    if (!out) {
        free(views);
        return xn_fail(err, XN_ERR_NOMEM, "no memory for metrics");
    }
    for (size_t i = 0; i < n; i++)
        look(models, i, n == 1, &views[i]);
    pthread_mutex_lock(&metrics->lock);
    for (size_t i = 0; i < n; i++)
        views[i].counted = model_of(metrics, views[i].name);
    write_models(out, views, n);
    write_http(out, metrics);
    pthread_mutex_unlock(&metrics->lock);
    free(views);
    bool failed = ferror(out);
    if (fclose(out) || failed) {
        free(*text);
        return xn_fail(err, XN_ERR_NOMEM, "no memory for metrics");
    }
    return XN_OK;
}
