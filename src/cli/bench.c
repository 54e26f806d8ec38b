// xenon bench: speed of a model, or of a shape, in the table that people know from llama-bench.
#include "cli/bench.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/shape.h"
#include "cpu/measure.h"
#include "opencl/opencl.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_NUMBERS = 32, MAX_ROWS = 2 * MAX_NUMBERS * MAX_NUMBERS * MAX_NUMBERS };

struct bench {
    struct xn_model_options model_options;
    const char *model, *shape, *quant;
    const char *prompts, *generates, *depths, *sequences;
    int64_t repetitions, layers;
    bool ops, json;
    struct xn_bench_row *rows; // [MAX_ROWS]
    size_t n_rows;
};

// The largest context of the tests.
static struct xn_context_options expected_of(const struct bench *b) {
    struct xn_context_options most = {.context = 0};
    for (size_t i = 0; i < b->n_rows; i++) {
        struct xn_context_options o;
        if (xn_speed_context(&b->rows[i].test, xn_cache_type(&b->model_options), &o, NULL) != XN_OK) continue;
        if (o.context > most.context) most = o;
    }
    return most;
}

// Writes a shape's model into a folder of its own, opens it, and takes it away again: what is mapped stays readable.
static int open_shape(struct bench *b, struct xn_loaded *loaded, struct xn_error *err) {
    const struct xn_shape *shape;
    const struct xn_preset *preset;
    XN_TRY(xn_find_shape(b->shape, &shape, err));
    XN_TRY(xn_find_preset(b->quant, &preset, err));
    const char *temporary = getenv("TMPDIR");
    char folder[512];
    snprintf(folder, sizeof folder, "%.480s/xenon-bench-XXXXXX", temporary && *temporary ? temporary : "/tmp");
    if (!mkdtemp(folder)) return xn_fail(err, XN_ERR_IO, "cannot make a folder %s for the model", folder);
    char *path = xn_path_join(folder, "model.gguf");
    struct xn_context_options expected = expected_of(b);
    struct xn_synth_options options = {.layers = (uint32_t)b->layers, .seed = 1};
    int status = path ? xn_synth_write(shape, preset, &options, path, xn_progress_line(), err)
                      : xn_fail(err, XN_ERR_NOMEM, "no memory for a path");
    xn_progress_clear();
    if (status == XN_OK) status = xn_loaded_open(path, &b->model_options, &expected, loaded, err);
    if (path) unlink(path);
    rmdir(folder);
    free(path);
    return status;
}

static int open_model(struct bench *b, struct xn_loaded *loaded, struct xn_error *err) {
    struct xn_context_options expected = expected_of(b);
    if (b->shape && b->model)
        return xn_fail(err, XN_ERR_ARGUMENT, "bench: either a model (%s) or a shape (%s)", b->model, b->shape);
    if (b->shape) return open_shape(b, loaded, err);
    if (b->model) return xn_loaded_open(b->model, &b->model_options, &expected, loaded, err);
    char *path = xn_default_model();
    if (!path)
        return xn_fail(err, XN_ERR_ARGUMENT,
                       "bench: no model named, and no default model found (xenon bench MODEL, or "
                       "--shape NAME)");
    int status = xn_loaded_open(path, &b->model_options, &expected, loaded, err);
    free(path);
    return status;
}

// Depth by depth the prompts, then the generations; zeros are left out.
static int list_tests(struct bench *b, struct xn_error *err) {
    uint32_t p[MAX_NUMBERS], g[MAX_NUMBERS], d[MAX_NUMBERS], q[MAX_NUMBERS];
    size_t n_p, n_g, n_d, n_q;
    XN_TRY(xn_bench_numbers("-p", b->prompts, p, MAX_NUMBERS, &n_p, err));
    XN_TRY(xn_bench_numbers("-n", b->generates, g, MAX_NUMBERS, &n_g, err));
    XN_TRY(xn_bench_numbers("-d", b->depths, d, MAX_NUMBERS, &n_d, err));
    XN_TRY(xn_bench_numbers("-s", b->sequences, q, MAX_NUMBERS, &n_q, err));
    for (size_t i = 0; i < n_d; i++) {
        for (size_t j = 0; j < n_p; j++)
            if (p[j]) b->rows[b->n_rows++].test = (struct xn_speed_test){.prompt = p[j], .depth = d[i]};
        for (size_t j = 0; j < n_g; j++)
            for (size_t k = 0; k < n_q && g[j]; k++)
                b->rows[b->n_rows++].test = (struct xn_speed_test){.generate = g[j], .depth = d[i], .sequences = q[k]};
    }
    return b->n_rows ? XN_OK : xn_fail(err, XN_ERR_ARGUMENT, "bench: nothing to measure (-p and -n are 0)");
}

static int measure(struct bench *b, const struct xn_loaded *loaded, struct xn_bench_subject *subject,
                   struct xn_error *err) {
    uint32_t cache_type = xn_cache_type(&b->model_options);
    xn_bench_describe(loaded->model, subject);
    struct xn_device *device = loaded->model->device;
    bool several = strstr(subject->device.backend, " + "); // no one bandwidth is that of all
    if (strncmp(subject->device.backend, "CPU", 3) == 0 && !several) {
        XN_TRY(xn_cpu_measure_bandwidth(device, &subject->bandwidth, err));
        XN_TRY(xn_cpu_measure_peak(device, subject->type, &subject->peak, &subject->unit, err));
    }
    if (strncmp(subject->device.backend, "OpenCL", 6) == 0 && !several)
        XN_TRY(xn_opencl_measure_bandwidth(device, &subject->bandwidth, err));
    for (size_t i = 0; i < b->n_rows; i++) {
        struct xn_bench_row *row = &b->rows[i];
        row->test.ops = b->ops;
        XN_TRY(xn_speed_measure(loaded->model, &row->test, (uint32_t)b->repetitions, cache_type, xn_progress_line(),
                                &row->speed, err));
        row->cost = xn_speed_cost(loaded->model, &row->test, cache_type);
    }
    xn_progress_clear();
    if (b->json)
        xn_cli_print_json(xn_bench_json(subject, b->rows, b->n_rows, b->ops));
    else
        xn_bench_print(subject, b->rows, b->n_rows, b->ops, stdout);
    return XN_OK;
}

static int run(struct bench *b, struct xn_error *err) {
    struct xn_loaded loaded = {0};
    struct xn_bench_subject subject;
    b->rows = xn_alloc_zero(MAX_ROWS, sizeof *b->rows);
    int status = b->rows ? list_tests(b, err) : xn_fail(err, XN_ERR_NOMEM, "no memory for the tests");
    xn_interrupt_catch();
    if (status == XN_OK) status = open_model(b, &loaded, err);
    if (status == XN_OK) status = measure(b, &loaded, &subject, err);
    xn_progress_clear();
    xn_loaded_close(&loaded);
    free(b->rows);
    return status;
}

int xn_command_bench(int argc, char **argv) {
    struct bench b = {.model_options = XN_MODEL_DEFAULTS,
                      .prompts = "512",
                      .generates = "128",
                      .depths = "0",
                      .sequences = "1",
                      .repetitions = 5};
    const struct xn_option options[] = {
        {0, "shape", XN_OPTION_STRING, &b.shape, "NAME",
         "a model of this shape with random weights (xenon synth --list)", 0, 0, NULL},
        {'q', "quant", XN_OPTION_STRING, &b.quant, "MIX", "its mixture of formats (Q4_K_M)", 0, 0, NULL},
        {0, "layers", XN_OPTION_INT, &b.layers, "N", "only its first N layers (0: all)", 0, 1024, NULL},
        {'p', "prompt", XN_OPTION_STRING, &b.prompts, "N[,N]", "tokens of a prompt; 0: no such test (512)", 0, 0, NULL},
        {'n', "generate", XN_OPTION_STRING, &b.generates, "N[,N]", "tokens to generate; 0: no such test (128)", 0, 0,
         NULL},
        {'d', "depth", XN_OPTION_STRING, &b.depths, "N[,N]", "tokens that stand in the cache before (0)", 0, 0, NULL},
        {'s', "sequences", XN_OPTION_STRING, &b.sequences, "N[,N]", "sequences that generate at once (1)", 0, 0, NULL},
        {'r', "repetitions", XN_OPTION_INT, &b.repetitions, "N", "of each test, after one to warm up (5)", 1, 1000,
         NULL},
        {0, "ops", XN_OPTION_FLAG, &b.ops, NULL, "also the time by kind of operation", 0, 0, NULL},
        XN_JSON_OPTION(b.json),
        XN_MODEL_OPTIONS(b.model_options, "auto"),
        XN_OPTIONS_END,
    };
    const struct xn_usage usage = {
        .command = "bench",
        .synopsis = "[MODEL | --shape NAME] [options]",
        .about = "Measures prompts (pp) and generation (tg) in tokens a second, and holds both against what the "
                 "machine was\n"
                 "just measured to be able to do: generation against the bytes of weights and cache that a token must "
                 "read,\n"
                 "prompts against the operations that it must compute. Without MODEL and --shape: the default model.",
        .options = options,
        .min_arguments = 0,
        .max_arguments = 1,
        .examples = "  xenon bench model.gguf\n"
                    "  xenon bench --shape qwen3-4b --quant Q4_K_M -p 512 -n 128 -r 3\n"
                    "  xenon bench model.gguf -p 0 -n 32 -s 1,8\n"
                    "  xenon bench model.gguf -p 0 -n 64 -d 0,4096 --json",
    };
    size_t n;
    int exit_status = xn_options(&usage, argc, argv, &n);
    if (exit_status >= 0) return exit_status;
    b.model = n > 0 ? argv[1] : NULL;
    struct xn_error err;
    return run(&b, &err) == XN_OK ? XN_EXIT_OK : xn_cli_fail(&err);
}
