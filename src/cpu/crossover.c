#include "cpu/crossover.h"

#include "base/file.h"
#include "cpu/ops/product.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROWS = 96, COLS = 2048, TRIALS = 5, LINE = 64, MOST_LINES = XN_CPU_TYPES * XN_CPU_LEVELS };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// --- measurement ---

// A product as the executor runs it, on a matrix that stays in the caches: from memory both ways are as fast as it is.
struct trial {
    struct xn_executor e;
    struct xn_plan plan;
    struct xn_cpu_thread thread;
    struct xn_weights weights;
    struct xn_matrix matrix;
    const void *data[1];
    float *values, *panel;
    void *blocks;
};

static bool set_up(struct trial *t, struct xn_cpu_device *d, uint32_t type) {
    uint32_t file_type = xn_cpu_file_type(type);
    const struct xn_format *format = xn_format_of(file_type);
    size_t bytes;
    if (!format || !xn_format_bytes(format, (uint64_t)ROWS * COLS, &bytes)) return false;
    t->e = (struct xn_executor){.device = d, .kernels = &d->kernels, .threads = 1, .thread = &t->thread};
    t->e.memory.plan = &t->plan;
    t->blocks = xn_alloc_zero(bytes, 1);
    t->values = xn_alloc_aligned((size_t)XN_CPU_STREAM_ROWS * COLS, sizeof(float));
    t->panel = xn_alloc_aligned(xn_cpu_panel_bytes(XN_TILE_FLOAT, COLS), 1); // the largest form
    t->e.integers = xn_alloc_aligned(XN_CPU_STREAM_ROWS, xn_cpu_integer_bytes(COLS));
    t->thread.decoded = xn_alloc_aligned((size_t)XN_CPU_BLOCK * XN_CPU_DEPTH16, sizeof(float));
    t->thread.tile = xn_alloc_aligned((size_t)XN_CPU_PANEL * XN_CPU_BLOCK, sizeof(float));
    t->thread.out[0] = xn_alloc_aligned((size_t)XN_CPU_PANEL * XN_CPU_BLOCK, sizeof(float));
    if (!t->blocks || !t->values || !t->panel || !t->e.integers || !t->thread.decoded || !t->thread.tile ||
        !t->thread.out[0])
        return false;
    t->data[0] = t->blocks;
    t->matrix = (struct xn_matrix){
        .name = "crossover", .type = file_type, .rows = ROWS, .cols = COLS, .count = 1, .data = t->data};
    if (xn_host_weights(&t->matrix, &t->weights, NULL) != XN_OK) return false;
    t->weights.kernel_type = type; // rows of zeros, and of as many bytes in every layout
    return true;
}

static void tear_down(struct trial *t) {
    xn_host_weights_free(&t->weights);
    free(t->blocks);
    free(t->values);
    free(t->panel);
    free(t->e.integers);
    free(t->thread.decoded);
    free(t->thread.tile);
    free(t->thread.out[0]);
}

// Seconds of a product with n rows, the best of some.
static double seconds(struct trial *t, uint32_t n, bool tiled) {
    enum xn_cpu_tile tile = xn_cpu_tile_of(&t->e.device->kernels, &t->plan, &t->weights, false);
    struct xn_cpu_operand x = {.n = n, .k = COLS, .values = t->values, .ld = COLS, .integers = true, .tiled = tiled};
    x.panel[tile] = t->panel;
    double best = 0;
    for (int i = 0; i < TRIALS; i++) {
        double start = now();
        xn_cpu_product(&t->e, &t->thread, &x, &t->weights, 0, 0, ROWS, t->thread.out[0]);
        double took = now() - start;
        if (i == 0 || took < best) best = took;
    }
    return best;
}

static uint32_t measure(struct xn_cpu_device *d, uint32_t type) {
    static const uint32_t counts[] = {2, 3, 4, 5, 6, 8, 12, 16, 24, 32};
    struct trial *t = xn_alloc_zero(1, sizeof *t);
    uint32_t most = XN_CPU_STREAM_ROWS;
    if (t && set_up(t, d, type)) {
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            if (seconds(t, counts[i], false) <= seconds(t, counts[i], true)) continue;
            most = i ? (counts[i - 1] + counts[i]) / 2 : 1;
            break;
        }
    }
    if (t) tear_down(t);
    free(t);
    return most;
}

// --- what is kept ---

// A line is "KERNELS LEVEL TYPE ROWS PROCESSOR": lines of another processor, or of other kernels, are left alone.
enum { KERNELS = 3 }; // to be counted up when kernels change so much that what was measured means nothing any more
static void key_of(const struct xn_cpu_device *d, uint32_t type, char key[LINE]) {
    snprintf(key, LINE, "%d %s %s%s", KERNELS, xn_cpu_level_name(d->kernels.level),
             xn_format_of(xn_cpu_file_type(type))->name, xn_cpu_file_type(type) == type ? "" : "-lanes");
}

// The rows that the file says; 0: nothing.
static uint32_t look_up(const struct xn_cpu_device *d, const char *text, const char *key) {
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n");
        unsigned rows;
        int used = 0;
        if (strncmp(line, key, strlen(key)) == 0 && sscanf(line + strlen(key), " %u %n", &rows, &used) == 1 && used &&
            length == strlen(key) + (size_t)used + strlen(d->name) &&
            strncmp(line + strlen(key) + used, d->name, strlen(d->name)) == 0 && rows >= 1 &&
            rows <= XN_CPU_STREAM_ROWS)
            return rows;
        line += length + (line[length] == '\n');
    }
    return 0;
}

static void keep(const struct xn_cpu_device *d, const char *path, const char *text, const char *key, uint32_t rows) {
    struct xn_output *out;
    char line[LINE + sizeof d->name];
    int n = snprintf(line, sizeof line, "%s %u %s\n", key, rows, d->name);
    if (xn_output_open(path, &out, NULL) != XN_OK) return;
    if (xn_output_write(out, text, strlen(text), NULL) == XN_OK && xn_output_write(out, line, (size_t)n, NULL) == XN_OK)
        xn_output_commit(out, NULL);
    else
        xn_output_abort(out);
}

void xn_cpu_crossover_find(struct xn_cpu_device *d, uint32_t type) {
    enum { LIMIT = MOST_LINES * (LINE + sizeof d->name) };
    if (type >= XN_CPU_TYPES || d->crossed[type] || !xn_format_of(xn_cpu_file_type(type)) || !d->kernels.decode[type])
        return;
    d->crossed[type] = true;
    char key[LINE], *text = NULL;
    size_t size;
    key_of(d, type, key);
    bool read = d->crossover_path && xn_read_file(d->crossover_path, LIMIT, &text, &size, NULL) == XN_OK;
    uint32_t rows = read ? look_up(d, text, key) : 0;
    if (rows == 0) {
        rows = measure(d, type);
        if (d->crossover_path) keep(d, d->crossover_path, read ? text : "", key, rows);
    }
    d->kernels.type[type].stream = (uint8_t)rows;
    xn_log(XN_LOG_INFO, "%s: products of more than %u rows use panels", xn_format_of(xn_cpu_file_type(type))->name,
           rows);
    free(text);
}
