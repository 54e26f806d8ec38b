// The results of `xenon bench` as a table and as JSON.
#include "cli/bench.h"
#include "cli/cli.h"
#include "model/preset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// The format of most of the bytes.
static uint32_t main_type(const struct xn_source *source) {
    uint64_t bytes[XN_TYPE_COUNT] = {0};
    uint32_t most = XN_F32;
    for (size_t i = 0; i < xn_source_n_tensors(source); i++) {
        const struct xn_tensor *t = xn_source_tensor_at(source, i);
        if (t->type >= XN_TYPE_COUNT) continue;
        bytes[t->type] += t->bytes;
        if (bytes[t->type] > bytes[most]) most = t->type;
    }
    return most;
}

// The mixture that a GGUF file names, else the main format.
static void format_of(const struct xn_source *source, uint32_t type, char *out, size_t size) {
    int64_t file_type;
    const struct xn_gguf_value *value = source->gguf ? xn_gguf_find(source->gguf, "general.file_type") : NULL;
    if (value && xn_gguf_int(value, 0, &file_type)) {
        for (size_t i = 0; i < xn_preset_count(); i++) {
            if (xn_preset_at(i)->file_type != file_type) continue;
            snprintf(out, size, "%s", xn_preset_at(i)->name);
            return;
        }
    }
    snprintf(out, size, "%s", xn_format_of(type)->name);
}

void xn_bench_describe(const struct xn_model *model, struct xn_bench_subject *subject) {
    struct xn_recipe_sizes sizes = xn_recipe_sizes(&model->recipe);
    *subject = (struct xn_bench_subject){.bytes = sizes.bytes, .parameters = sizes.parameters};
    const char *name = model->recipe.name && *model->recipe.name ? model->recipe.name : model->recipe.family;
    snprintf(subject->model, sizeof subject->model, "%s", name);
    subject->type = main_type(model->source);
    format_of(model->source, subject->type, subject->format, sizeof subject->format);
    model->device->table->describe(model->device, &subject->device);
}

double xn_bench_share(const struct xn_bench_subject *subject, const struct xn_bench_row *row) {
    double limit = row->test.prompt ? subject->peak : subject->bandwidth;
    double cost = row->test.prompt ? row->cost.flops : row->cost.bytes;
    return limit > 0 ? cost * row->speed.mean / limit : NAN;
}

enum { COLUMNS = 7, CELL = 160 };

static int columns_of(const char *text) { // of UTF-8: bytes that begin a character
    int n = 0;
    for (; *text; text++)
        n += (*text & 0xC0) != 0x80;
    return n;
}

static void print_cells(char cells[COLUMNS][CELL], const int width[COLUMNS], FILE *out) {
    for (int i = 0; i < COLUMNS; i++) {
        int space = width[i] - columns_of(cells[i]);
        fprintf(out, "| %*s%s%*s ", i ? space : 0, "", cells[i], i ? 0 : space, "");
    }
    fputs("|\n", out);
}

static void fill_cells(const struct xn_bench_subject *s, const struct xn_bench_row *row, char cells[COLUMNS][CELL]) {
    char name[48];
    bool small = s->bytes < 1u << 30;
    xn_speed_name(&row->test, name);
    snprintf(cells[0], CELL, "%s %s", s->model, s->format);
    snprintf(cells[1], CELL, "%.2f %s", (double)s->bytes / (small ? 1 << 20 : 1 << 30), small ? "MiB" : "GiB");
    if (s->parameters < 1000000000)
        snprintf(cells[2], CELL, "%.2f M", (double)s->parameters / 1e6);
    else
        snprintf(cells[2], CELL, "%.2f B", (double)s->parameters / 1e9);
    snprintf(cells[3], CELL, "%s", s->device.backend);
    snprintf(cells[4], CELL, "%u", s->device.threads);
    snprintf(cells[5], CELL, "%s", name);
    snprintf(cells[6], CELL, "%.2f ± %.2f", row->speed.mean, row->speed.deviation);
}

static void print_limits(const struct xn_bench_subject *s, const struct xn_bench_row *rows, size_t n, FILE *out) {
    fprintf(out, "\n%s, %s", s->device.name, s->device.backend);
    if (s->device.threads) fprintf(out, ", %u thread%s", s->device.threads, s->device.threads == 1 ? "" : "s");
    fputc('\n', out);
    if (s->bandwidth > 0) fprintf(out, "memory bandwidth (measured): %.1f GB/s\n", s->bandwidth / 1e9);
    if (s->peak > 0) fprintf(out, "peak (measured, %s): %.0f GFLOP/s\n", s->unit ? s->unit : "?", s->peak / 1e9);
    for (size_t i = 0; i < n; i++) {
        double share = xn_bench_share(s, &rows[i]);
        char name[48];
        if (isnan(share)) continue;
        xn_speed_name(&rows[i].test, name);
        if (rows[i].test.prompt)
            fprintf(out, "%s: %.3g GFLOP a token, %.1f%% of the peak\n", name, rows[i].cost.flops / 1e9, 100 * share);
        else
            fprintf(out, "%s: %.4g GB a token, %.1f%% of the bandwidth\n", name, rows[i].cost.bytes / 1e9, 100 * share);
    }
}

static void print_launches(const struct xn_bench_row *row, FILE *out) {
    char name[48];
    const char *how = row->speed.how;
    if (!how) return;
    xn_speed_name(&row->test, name);
    fprintf(out, "%s: %u %s a step, %s\n", name, row->speed.launches, row->speed.launches == 1 ? "launch" : "launches",
            strcmp(how, "walk") == 0             ? "which walks all operations"
            : strcmp(how, "command buffer") == 0 ? "recorded once and enqueued as one command"
                                                 : "one by one");
}

static void print_ops(const struct xn_bench_row *row, FILE *out) {
    double sum = 0;
    char name[48];
    for (int kind = 0; kind < XN_OP_KINDS; kind++)
        sum += row->speed.seconds[kind];
    xn_speed_name(&row->test, name);
    fprintf(out, "\n%-14s %12s %7s\n", name, "seconds", "share");
    for (int kind = 0; kind < XN_OP_KINDS; kind++)
        if (row->speed.seconds[kind] > 0)
            fprintf(out, "%-14s %12.6f %6.1f%%\n", xn_op_name((enum xn_op_kind)kind), row->speed.seconds[kind],
                    100 * row->speed.seconds[kind] / sum);
}

void xn_bench_print(const struct xn_bench_subject *s, const struct xn_bench_row *rows, size_t n, bool ops, FILE *out) {
    char titles[COLUMNS][CELL] = {"model", "size", "params", "backend", "threads", "test", "t/s"}, cells[COLUMNS][CELL];
    int width[COLUMNS];
    for (int c = 0; c < COLUMNS; c++)
        width[c] = columns_of(titles[c]);
    for (size_t i = 0; i < n; i++) {
        fill_cells(s, &rows[i], cells);
        for (int c = 0; c < COLUMNS; c++)
            if (columns_of(cells[c]) > width[c]) width[c] = columns_of(cells[c]);
    }
    print_cells(titles, width, out);
    for (int c = 0; c < COLUMNS; c++) {
        fputs("| ", out);
        for (int i = 1; i < width[c]; i++)
            fputc('-', out);
        fputs(c < 1 ? "- " : ": ", out); // markdown: numbers to the right
    }
    fputs("|\n", out);
    for (size_t i = 0; i < n; i++) {
        fill_cells(s, &rows[i], cells);
        print_cells(cells, width, out);
    }
    print_limits(s, rows, n, out);
    for (size_t i = 0; i < n; i++)
        print_launches(&rows[i], out);
    for (size_t i = 0; i < n && ops; i++)
        print_ops(&rows[i], out);
}

static json_t *ops_json(const struct xn_bench_row *row) {
    json_t *object = json_object();
    for (int kind = 0; kind < XN_OP_KINDS; kind++)
        json_object_set_new(object, xn_op_name((enum xn_op_kind)kind), json_real(row->speed.seconds[kind]));
    return object;
}

json_t *xn_bench_json(const struct xn_bench_subject *s, const struct xn_bench_row *rows, size_t n, bool ops) {
    json_t *array = json_array();
    for (size_t i = 0; i < n; i++) {
        const struct xn_bench_row *row = &rows[i];
        char name[48];
        xn_speed_name(&row->test, name);
        json_t *object = json_pack(
            "{s:s, s:s, s:I, s:I, s:s, s:s, s:i, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:s*, s:o}", "model", s->model,
            "format", s->format, "size", (json_int_t)s->bytes, "params", (json_int_t)s->parameters, "device",
            s->device.name, "backend", s->device.backend, "threads", (int)s->device.threads, "test", name, "tps",
            xn_json_number(row->speed.mean), "tps_stddev", xn_json_number(row->speed.deviation), "bytes_per_token",
            xn_json_number(row->cost.bytes), "flops_per_token", xn_json_number(row->cost.flops), "bandwidth",
            s->bandwidth > 0 ? json_real(s->bandwidth) : json_null(), "peak",
            s->peak > 0 ? json_real(s->peak) : json_null(), "peak_type", s->unit, "share",
            xn_json_number(xn_bench_share(s, row)));
        if (row->speed.how) {
            json_object_set_new(object, "launches", json_integer(row->speed.launches));
            json_object_set_new(object, "launched", json_string(row->speed.how));
        }
        if (ops) json_object_set_new(object, "ops", ops_json(row));
        if (json_array_append_new(array, object) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

int xn_bench_numbers(const char *option, const char *text, uint32_t *numbers, size_t capacity, size_t *n,
                     struct xn_error *err) {
    enum { MOST = 1 << 24 };
    *n = 0;
    for (const char *p = text;; p++) {
        char *end;
        unsigned long value = *p >= '0' && *p <= '9' ? strtoul(p, &end, 10) : MOST + 1ul;
        if (value > MOST || (*end != ',' && *end != 0))
            return xn_fail(err, XN_ERR_ARGUMENT, "%s %s: numbers from 0 to %d with commas between them expected",
                           option, text, MOST);
        if (*n == capacity)
            return xn_fail(err, XN_ERR_ARGUMENT, "%s %s: more than %zu numbers", option, text, capacity);
        numbers[(*n)++] = (uint32_t)value;
        p = end;
        if (*p == 0) return XN_OK;
    }
}
