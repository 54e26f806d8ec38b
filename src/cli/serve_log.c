// The log of `xenon serve`: one line a request, for people or as JSON. What people wrote is in it only if asked for.
#include "cli/progress.h"
#include "cli/serve.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void stamp(char text[32]) {
    struct timespec now;
    struct tm utc;
    char day[24] = "";
    clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &utc)) strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text, 32, "%s.%03uZ", day, (unsigned)now.tv_nsec / 1000000 % 1000);
}

// One write a line, so that lines of several threads do not mix.
static void put(char *line, size_t size) {
    if (line) fwrite(line, 1, size, stderr);
    free(line);
}

static void put_json(json_t *object) {
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(6));
    json_decref(object);
    char *line;
    size_t size;
    FILE *out = text ? open_memstream(&line, &size) : NULL;
    if (out) {
        fprintf(out, "%s\n", text);
        if (fclose(out) == 0) put(line, size);
    }
    free(text);
}

static json_t *begin(const char *event) {
    char time[32];
    stamp(time);
    return json_pack("{s:s, s:s}", "time", time, "event", event);
}

static void json_request(const struct xn_serve_log *log, const struct xn_http_record *r) {
    json_t *line = begin("request");
    json_object_set_new(line, "id", json_string(r->id));
    json_object_set_new(line, "client", json_string(r->address));
    json_object_set_new(line, "method", xn_json_word(r->method));
    json_object_set_new(line, "path", xn_json_word(r->path));
    json_object_set_new(line, "status", json_integer(r->status));
    json_object_set_new(line, "gone", json_boolean(r->gone));
    json_object_set_new(line, "seconds", json_real(round(r->seconds * 1e6) / 1e6));
    json_object_set_new(line, "received", json_integer((json_int_t)r->received));
    json_object_set_new(line, "sent", json_integer((json_int_t)r->sent));
    if (r->notes) json_object_update(line, (json_t *)r->notes);
    if (log->prompts && r->body) {
        json_t *body = json_stringn(r->body, r->body_size);
        json_object_set_new(line, "body", body ? body : json_string("(no UTF-8)"));
    }
    put_json(line);
}

static void text_request(const struct xn_serve_log *log, const struct xn_http_record *r) {
    char time[32], path[256], method[16], *line;
    size_t size;
    FILE *out = open_memstream(&line, &size);
    if (!out) return;
    stamp(time);
    fprintf(out, "%s %s %s %s %d%s %.3f s", time, r->address, xn_printable(r->method, method, sizeof method),
            xn_printable(r->path, path, sizeof path), r->status, r->gone ? " (gone)" : "", r->seconds);
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)r->notes, name, value) {
        char text[256];
        if (json_is_string(value))
            fprintf(out, " %s=%s", name, xn_printable(json_string_value(value), text, sizeof text));
        else
            fprintf(out, " %s=%.6g", name, json_number_value(value));
    }
    fprintf(out, " id=%s\n", r->id);
    if (log->prompts && r->body) fprintf(out, "  body: %.*s\n", (int)r->body_size, r->body);
    if (fclose(out) == 0) put(line, size);
}

void xn_serve_log_request(void *user, const struct xn_http_record *r) {
    const struct xn_serve_log *log = user;
    xn_metrics_http(log->metrics, r->status, r->seconds);
    if (log->format == XN_SERVE_LOG_JSON)
        json_request(log, r);
    else if (log->format == XN_SERVE_LOG_TEXT)
        text_request(log, r);
}

void xn_serve_log_model(void *user, const char *name, const char *what, double seconds) {
    const struct xn_serve_log *log = user;
    char shown[256], text[1100], time[32];
    stamp(time);
    xn_progress_clear();
    if (log->format == XN_SERVE_LOG_JSON) {
        json_t *line = begin("model");
        json_object_set_new(line, "model", xn_json_word(name));
        json_object_set_new(line, "what", xn_json_word(what));
        json_object_set_new(line, "seconds", json_real(round(seconds * 1e3) / 1e3));
        put_json(line);
    } else {
        xn_cli_note("%s model %s: %s (%.1f s)", time, xn_printable(name, shown, sizeof shown),
                    xn_printable(what, text, sizeof text), seconds);
    }
}
