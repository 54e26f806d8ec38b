// xenon perplexity: how well a model predicts a text.
#include "engine/perplexity.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/progress.h"

#include <stdio.h>
#include <stdlib.h>

enum { MAX_TEXT = 1 << 30 };

static int read_tokens(const struct xn_model *model, const char *path, struct xn_ids *ids, struct xn_error *err) {
    if (!model->tokenizer)
        return xn_fail(err, XN_ERR_UNSUPPORTED, "%s: a model without a tokenizer can't read a text",
                       model->source->path);
    char *text;
    size_t size;
    XN_TRY(xn_read_file(path, MAX_TEXT, &text, &size, err));
    int status = xn_tokenize(model->tokenizer, text, size, XN_TOKENIZE_BOS_EOS, ids, err);
    free(text);
    return status == XN_OK ? XN_OK : xn_error_context(err, status, "%s", path);
}

static int run(const char *model_path, const char *text_path, const struct xn_model_options *model_options,
               const struct xn_perplexity_options *options, bool json, struct xn_error *err) {
    struct xn_loaded loaded;
    struct xn_ids ids = {0};
    struct xn_perplexity p;
    struct xn_context_options expected = {
        .context = options->context, .cache_type = options->cache_type, .outputs = 512};
    XN_TRY(xn_loaded_open(model_path, model_options, &expected, &loaded, err));
    int status = read_tokens(loaded.model, text_path, &ids, err);
    xn_interrupt_catch();
    if (status == XN_OK) status = xn_perplexity_of(loaded.model, ids.data, ids.n, options, xn_progress_line(), &p, err);
    xn_progress_clear();
    if (status == XN_OK && json)
        xn_cli_print_json(json_pack("{s:s, s:s, s:i, s:I, s:I, s:o, s:o, s:o}", "model", model_path, "text", text_path,
                                    "context", (int)options->context, "chunks", (json_int_t)p.chunks, "tokens",
                                    (json_int_t)p.tokens, "nll", xn_json_number(p.nll), "perplexity",
                                    xn_json_number(p.perplexity), "error", xn_json_number(p.error)));
    else if (status == XN_OK)
        printf("perplexity %.4f +/- %.5f (nll %.5f, %llu tokens of %llu chunks of %u)\n", p.perplexity, p.error, p.nll,
               (unsigned long long)p.tokens, (unsigned long long)p.chunks, options->context);
    free(ids.data);
    xn_loaded_close(&loaded);
    return status;
}

int xn_command_perplexity(int argc, char **argv) {
    struct xn_model_options model_options = XN_MODEL_DEFAULTS;
    const char *text = NULL;
    int64_t context = 512, chunks = 0;
    bool json = false;
    const struct xn_option options[] = {
        {'f', "file", XN_OPTION_STRING, &text, "TEXT", "the text", 0, 0, NULL},
        {'c', "context", XN_OPTION_INT, &context, "N", "tokens a chunk (512)", 8, 1 << 24, NULL},
        {0, "chunks", XN_OPTION_INT, &chunks, "N", "only the first N chunks (0: all)", 0, 1e9, NULL},
        XN_JSON_OPTION(json),
        XN_MODEL_OPTIONS(model_options, "auto"),
        XN_OPTIONS_END,
    };
    const struct xn_usage usage = {
        .command = "perplexity",
        .synopsis = "MODEL -f TEXT [options]",
        .about =
            "How well a model predicts a text, as llama.cpp's llama-perplexity measures it: the text is cut into "
            "chunks of\n"
            "-c tokens, and in the second half of each every token is scored given those before it. Lower is better;\n"
            "the same model, text and -c give the same number in both programs up to rounding.",
        .options = options,
        .min_arguments = 1,
        .max_arguments = 1,
        .examples = "  xenon perplexity model.gguf -f wiki.test.raw\n"
                    "  xenon perplexity model.gguf -f text.txt -c 2048 --chunks 20 --json",
    };
    size_t n;
    int exit_status = xn_options(&usage, argc, argv, &n);
    if (exit_status >= 0) return exit_status;
    if (!text) {
        xn_cli_error("perplexity: no text (-f TEXT)");
        return XN_EXIT_USAGE;
    }
    struct xn_error err;
    struct xn_perplexity_options o = {
        .context = (uint32_t)context, .chunks = (uint32_t)chunks, .cache_type = xn_cache_type(&model_options)};
    return run(argv[1], text, &model_options, &o, json, &err) == XN_OK ? XN_EXIT_OK : xn_cli_fail(&err);
}
