// xenon synth: writes a model of a published shape with random weights.
#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char default_preset[] = "Q4_K_M";

static int sizes_of(const struct xn_shape *shape, const struct xn_preset *preset, uint32_t layers, uint64_t *bytes,
                    uint64_t *parameters, struct xn_error *err) {
    struct xn_synth_tensor *tensors = NULL;
    size_t n = 0;
    XN_TRY(xn_synth_tensors(shape, preset, layers, &tensors, &n, err));
    xn_synth_sizes(tensors, n, bytes, parameters);
    free(tensors);
    return XN_OK;
}

static int list_shapes(const struct xn_preset *preset, bool json, struct xn_error *err) {
    json_t *rows = json_array();
    if (!json)
        printf("%-24s %-15s %6s %7s %12s %10s\n", "shape", "family", "layers", "hidden", "parameters", preset->name);
    for (size_t i = 0; i < xn_shape_count(); i++) {
        const struct xn_shape *s = xn_shape_at(i);
        if (s->flags & XN_SHAPE_HIDDEN) continue;
        uint64_t bytes, parameters;
        int status = sizes_of(s, preset, 0, &bytes, &parameters, err);
        if (status != XN_OK) {
            json_decref(rows);
            return status;
        }
        if (json)
            json_array_append_new(rows, json_pack("{s:s, s:s, s:i, s:i, s:I, s:I}", "name", s->name, "family",
                                                  s->family, "layers", (int)s->layers, "hidden", (int)s->hidden,
                                                  "parameters", (json_int_t)parameters, "bytes", (json_int_t)bytes));
        else
            printf("%-24s %-15s %6u %7u %10.2f B %7.2f GB\n", s->name, s->family, s->layers, s->hidden,
                   (double)parameters / 1e9, (double)bytes / 1e9);
    }
    if (json) {
        xn_cli_print_json(rows);
        return XN_OK;
    }
    json_decref(rows);
    printf("\nmixtures for --quant:");
    for (size_t i = 0; i < xn_preset_count(); i++)
        printf(" %s", xn_preset_at(i)->name);
    putchar('\n');
    return XN_OK;
}

int xn_find_shape(const char *name, const struct xn_shape **shape, struct xn_error *err) {
    *shape = xn_shape_find(name);
    if (*shape) return XN_OK;
    const char *names[128];
    size_t n = 0;
    for (size_t i = 0; i < xn_shape_count() && n < sizeof names / sizeof *names; i++)
        names[n++] = xn_shape_at(i)->name;
    const char *nearest = xn_nearest_name(name, names, n);
    return xn_fail(err, XN_ERR_ARGUMENT, "unknown shape \"%s\"%s%s%s (xenon synth --list shows all)", name,
                   nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}

int xn_find_preset(const char *name, const struct xn_preset **preset, struct xn_error *err) {
    *preset = xn_preset_find(name ? name : default_preset);
    if (*preset) return XN_OK;
    const char *names[64];
    size_t n = 0;
    for (size_t i = 0; i < xn_preset_count() && n < sizeof names / sizeof *names; i++)
        names[n++] = xn_preset_at(i)->name;
    const char *nearest = xn_nearest_name(name, names, n);
    return xn_fail(err, XN_ERR_ARGUMENT, "unknown mixture of formats \"%s\"%s%s%s (xenon synth --list shows all)", name,
                   nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}

static int write_model(const char *name, const struct xn_preset *preset, const struct xn_synth_options *options,
                       const char *output, bool json, struct xn_error *err) {
    const struct xn_shape *shape;
    uint64_t bytes, parameters;
    XN_TRY(xn_find_shape(name, &shape, err));
    XN_TRY(sizes_of(shape, preset, options->layers, &bytes, &parameters, err));
    xn_interrupt_catch();
    int status = xn_synth_write(shape, preset, options, output, xn_progress_line(), err);
    xn_progress_clear();
    XN_TRY(status);
    if (json)
        xn_cli_print_json(json_pack("{s:s, s:s, s:s, s:I, s:I}", "file", output, "shape", shape->name, "format",
                                    preset->name, "parameters", (json_int_t)parameters, "bytes", (json_int_t)bytes));
    else
        printf("%s: %s, %s, %.2f B parameters, %.2f GB\n", output, shape->title, preset->name, (double)parameters / 1e9,
               (double)bytes / 1e9);
    return XN_OK;
}

int xn_command_synth(int argc, char **argv) {
    const char *quant = NULL, *output = NULL;
    int64_t layers = 0, seed = 1;
    bool list = false, json = false;
    const struct xn_option options[] = {
        {'o', "output", XN_OPTION_STRING, &output, "FILE", "the GGUF file to write (NAME-QUANT.gguf)", 0, 0, NULL},
        {'q', "quant", XN_OPTION_STRING, &quant, "MIX",
         "mixture of formats, as llama.cpp's quantizer names it (Q4_K_M)", 0, 0, NULL},
        {0, "layers", XN_OPTION_INT, &layers, "N", "only the first N layers (0: all)", 0, 1024, NULL},
        {0, "seed", XN_OPTION_INT, &seed, "N", "of the random weights (1)", 0, 9e15, NULL},
        {0, "list", XN_OPTION_FLAG, &list, NULL, "list shapes (with their size under --quant) and mixtures", 0, 0,
         NULL},
        XN_JSON_OPTION(json),
        XN_OPTIONS_END,
    };
    const struct xn_usage usage = {
        .command = "synth",
        .synopsis = "NAME [options]",
        .about =
            "Writes a GGUF file with the shape of a published model, random weights, and the mixture of formats that\n"
            "published files of it have. Every engine that reads GGUF loads it; what it says is nonsense, its speed is "
            "real.",
        .options = options,
        .min_arguments = 0,
        .max_arguments = 1,
        .examples = "  xenon synth --list\n"
                    "  xenon synth qwen3-4b --quant Q4_K_M -o qwen3-4b.gguf\n"
                    "  xenon synth qwen3.5-35b-a3b --quant Q8_0 --layers 4 -o cut.gguf",
    };
    size_t n;
    int exit_status = xn_options(&usage, argc, argv, &n);
    if (exit_status >= 0) return exit_status;
    struct xn_error err;
    const struct xn_preset *preset;
    int status = xn_find_preset(quant, &preset, &err);
    if (status == XN_OK && list) {
        status = list_shapes(preset, json, &err);
    } else if (status == XN_OK && n == 0) {
        status = xn_fail(&err, XN_ERR_ARGUMENT, "synth: no shape named (xenon synth --list shows all)");
    } else if (status == XN_OK) {
        char name[160];
        snprintf(name, sizeof name, "%s-%s.gguf", argv[1], preset->name);
        struct xn_synth_options o = {.layers = (uint32_t)layers, .seed = (uint64_t)seed};
        status = write_model(argv[1], preset, &o, output ? output : name, json, &err);
    }
    return status == XN_OK ? XN_EXIT_OK : xn_cli_fail(&err);
}
