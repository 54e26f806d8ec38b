// xenon run: text from a prompt, or a conversation.
#include "cli/run.h"

#include "base/file.h"
#include "base/memory.h"
#include "cli/progress.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { PROMPT_BYTES = 1 << 28 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct output {
    struct xn_run *run;
    bool to_stdout;
    int status;
    struct xn_error *err;
};

static int emit(void *user, const char *text, size_t size) {
    struct output *o = user;
    if (o->to_stdout && size) {
        fwrite(text, 1, size, stdout);
        fflush(stdout);
    }
    o->status = xn_text_put(&o->run->answer, text, size, o->err);
    return o->status != XN_OK || xn_interrupted() || ferror(stdout);
}

int xn_run_answer(struct xn_run *run, const struct xn_ids *prompt, struct xn_error *err) {
    const struct xn_run_options *o = run->options;
    run->prompt_tokens = prompt->n;
    run->generated = 0;
    run->generation_seconds = 0;
    run->answer.size = 0;
    double begin = now();
    XN_TRY(xn_session_prompt(&run->session, prompt->data, prompt->n, xn_progress_line(), &run->reused, err));
    run->prompt_seconds = now() - begin;
    xn_progress_clear();
    struct output output = {.run = run, .to_stdout = !o->json, .status = XN_OK, .err = err};
    struct xn_generation g = {
        .sampling = &run->sampling.sampling,
        .most = o->most,
        .stops = o->stops.items,
        .n_stops = o->stops.n,
        .show_special = o->special,
        .constraint = run->constraint,
        .emit = emit,
        .user = &output,
    };
    begin = now();
    int status = xn_session_generate(&run->session, &g, err);
    run->generation_seconds = now() - begin;
    run->generated = g.generated;
    run->finish = g.finish;
    return status == XN_OK ? output.status : status;
}

static double rate(uint64_t tokens, double seconds) {
    return seconds > 0 ? (double)tokens / seconds : 0;
}

struct memory {
    uint64_t weights, cache, activations, peak;
};

static struct memory memory_of(const struct xn_run *run) {
    struct memory m = {.weights = xn_recipe_sizes(&run->loaded.model->recipe).bytes};
    struct rusage usage;
    xn_context_memory(run->context, &m.cache, &m.activations);
    if (getrusage(RUSAGE_SELF, &usage) == 0) m.peak = (uint64_t)usage.ru_maxrss * 1024;
    return m;
}

void xn_run_print_numbers(const struct xn_run *run) {
    struct memory m = memory_of(run);
    size_t computed = run->prompt_tokens - run->reused;
    xn_cli_note(
        "prompt: %zu tokens (%zu computed), %.1f t/s; generated: %llu tokens, %.1f t/s; memory: weights %.1f MB, "
        "cache %.1f MB, peak %.1f MB",
        run->prompt_tokens, computed, rate(computed, run->prompt_seconds), (unsigned long long)run->generated,
        rate(run->generated, run->generation_seconds), (double)m.weights / 1e6, (double)m.cache / 1e6,
        (double)m.peak / 1e6);
}

void xn_run_print_finish(const struct xn_run *run) {
    if (run->finish == XN_FINISH_CONTEXT)
        xn_cli_error("the context of %u positions is full: the text stops here (-c N makes it larger)",
                     xn_context_options(run->context)->context);
}

static void print_json(const struct xn_run *run) {
    struct memory m = memory_of(run);
    json_t *text = run->answer.size ? json_stringn(run->answer.data, run->answer.size) : json_string("");
    json_t *o = json_pack("{s:o s:s s:I s:I s:o s:I s:o s:I s:I s:I}", "text", text, "finish",
                          xn_finish_name(run->finish), "prompt_tokens", (json_int_t)run->prompt_tokens,
                          "prompt_computed", (json_int_t)(run->prompt_tokens - run->reused), "prompt_tps",
                          xn_json_number(rate(run->prompt_tokens - run->reused, run->prompt_seconds)),
                          "generated_tokens", (json_int_t)run->generated, "generated_tps",
                          xn_json_number(rate(run->generated, run->generation_seconds)), "weights_bytes",
                          (json_int_t)m.weights, "cache_bytes", (json_int_t)m.cache, "peak_bytes", (json_int_t)m.peak);
    xn_cli_print_json(o);
}

// Everything on a stream, at most PROMPT_BYTES.
static int read_stream(FILE *f, const char *name, struct xn_text *text, struct xn_error *err) {
    char part[65536];
    size_t n;
    while ((n = fread(part, 1, sizeof part, f)) > 0) {
        if (text->size + n > PROMPT_BYTES)
            return xn_fail(err, XN_ERR_LIMIT, "%s: more than %d bytes of prompt", name, PROMPT_BYTES);
        XN_TRY(xn_text_put(text, part, n, err));
    }
    return ferror(f) ? xn_fail(err, XN_ERR_IO, "%s: cannot be read", name) : XN_OK;
}

// The prompt's text: -p or the argument, then --file below it; without both, stdin.
static int read_prompt(const struct xn_run_options *o, struct xn_text *text, struct xn_error *err) {
    if (!o->prompt && !o->file) {
        XN_TRY(read_stream(stdin, "standard input", text, err));
        // The line end that echo and editors put there is not the prompt's.
        if (!o->raw && text->size && text->data[text->size - 1] == '\n') text->data[--text->size] = 0;
        return XN_OK;
    }
    if (o->prompt) XN_TRY(xn_text_put(text, o->prompt, strlen(o->prompt), err));
    if (!o->file) return XN_OK;
    if (o->prompt) XN_TRY(xn_text_put(text, "\n\n", 2, err));
    char *data;
    size_t size;
    XN_TRY(xn_read_file(o->file, PROMPT_BYTES, &data, &size, err));
    int status = xn_text_put(text, data, size, err);
    free(data);
    return status;
}

static int prompt_ids(struct xn_run *run, const struct xn_text *text, struct xn_ids *ids, struct xn_error *err) {
    const struct xn_run_options *o = run->options;
    const struct xn_model *model = run->loaded.model;
    if (o->raw || !model->chat) {
        if (!o->raw) xn_cli_error("note: %s has no chat template; the prompt is taken as it is (--raw)", o->model_path);
        return xn_prompt_ids(model, text->data ? text->data : "", text->size, true, ids, err);
    }
    json_t *messages = json_array(), *content = json_stringn(text->data ? text->data : "", text->size);
    if (!content) {
        json_decref(messages);
        return xn_fail(err, XN_ERR_ARGUMENT, "the prompt is no valid UTF-8; --raw takes any bytes");
    }
    if (o->system) json_array_append_new(messages, json_pack("{s:s s:s}", "role", "system", "content", o->system));
    json_array_append_new(messages, json_pack("{s:s s:o}", "role", "user", "content", content));
    char *rendered;
    size_t size;
    int status = xn_prompt_render(model, messages, run->arguments, true, &rendered, &size, err);
    json_decref(messages);
    XN_TRY(status);
    status = xn_prompt_ids(model, rendered, size, false, ids, err);
    free(rendered);
    return status;
}

static int run_once(struct xn_run *run, struct xn_error *err) {
    const struct xn_run_options *o = run->options;
    struct xn_text text = {0};
    struct xn_ids ids = {0};
    int status = read_prompt(o, &text, err);
    if (status == XN_OK) status = prompt_ids(run, &text, &ids, err);
    if (status == XN_OK) status = xn_run_answer(run, &ids, err);
    free(text.data);
    free(ids.data);
    XN_TRY(status);
    if (o->json) {
        print_json(run);
        return XN_OK;
    }
    fputc('\n', stdout);
    xn_run_print_finish(run);
    if (!o->quiet) xn_run_print_numbers(run);
    return XN_OK;
}

static int open_model(struct xn_run *run, struct xn_error *err) {
    const struct xn_run_options *o = run->options;
    struct xn_context_options context = {.context = (uint32_t)o->context,
                                         .batch = (uint32_t)o->batch,
                                         .cache_type = xn_cache_type(&o->model),
                                         .checkpoints = (int32_t)o->checkpoints};
    struct xn_model_options model = o->model;
    model.quiet = o->quiet;
    XN_TRY(xn_loaded_open(o->model_path, &model, &context, &run->loaded, err));
    XN_TRY(xn_sampling_options_spell(&o->sampling, run->loaded.model->tokenizer, &run->sampling, err));
    XN_TRY(xn_sampling_check(&run->sampling.sampling, (int32_t)run->loaded.model->recipe.vocab, err));
    XN_TRY(xn_context_create(run->loaded.model, &context, &run->context, err));
    // What is no file is for the restoring to refuse.
    if (o->session && (xn_file_exists(o->session) || xn_is_directory(o->session)))
        return xn_session_open_file(&run->session, run->context, o->session, err);
    return xn_session_open(&run->session, run->context, err);
}

static int open_run(struct xn_run *run, struct xn_error *err) {
    const struct xn_run_options *o = run->options;
    if (o->template_arguments) {
        json_error_t error;
        run->arguments = json_loads(o->template_arguments, JSON_REJECT_DUPLICATES, &error);
        if (!json_is_object(run->arguments))
            return xn_fail(err, XN_ERR_ARGUMENT, "option --template-args: expected a JSON object, found %s",
                           o->template_arguments);
    }
    struct xn_grammar *grammar;
    XN_TRY(xn_constraint_options_read(&o->constraint, &grammar, err));
    int status = open_model(run, err);
    if (grammar && status != XN_OK)
        xn_grammar_free(grammar);
    else if (grammar)
        status = xn_constraint_new(grammar, run->loaded.model->tokenizer, (int32_t)run->loaded.model->recipe.vocab,
                                   &run->constraint, err);
    return status;
}

// Keeps what was computed for the next run. Returns the exit status.
static int save_session(struct xn_run *run, int exit_status) {
    const char *path = run->options->session;
    struct xn_error err;
    if (!path || xn_sequence_save_file(run->context, run->session.sequence, true, path, &err) == XN_OK)
        return exit_status;
    int failed = xn_cli_fail(&err);
    return exit_status == XN_EXIT_OK ? failed : exit_status;
}

static void close_run(struct xn_run *run) {
    xn_session_close(&run->session);
    xn_context_free(run->context);
    xn_loaded_close(&run->loaded);
    json_decref(run->arguments);
    xn_constraint_free(run->constraint);
    xn_sampling_held_free(&run->sampling);
    free(run->answer.data);
}

// One argument alone is the model where it names one, else the prompt.
static bool names_model(const char *argument) {
    size_t n = strlen(argument);
    return strchr(argument, '/') || (n > 5 && strcmp(argument + n - 5, ".gguf") == 0) || xn_file_exists(argument) ||
           xn_is_directory(argument);
}

static int take_arguments(struct xn_run_options *o, char **argv, size_t n, struct xn_error *err) {
    for (size_t i = 1; i <= n; i++) {
        bool model = !o->model_path && (n == 2 || o->prompt || names_model(argv[i]));
        if (!model && o->prompt)
            return xn_fail(err, XN_ERR_ARGUMENT, "unexpected argument \"%s\": the prompt is given already", argv[i]);
        *(model ? &o->model_path : &o->prompt) = argv[i];
    }
    return XN_OK;
}

static int run(struct xn_run_options *o) {
    struct xn_run r = {.options = o};
    struct xn_error err;
    char *found = NULL;
    bool chats = !o->prompt && !o->file && isatty(STDIN_FILENO) && !o->json;
    if (!o->model_path) o->model_path = found = xn_default_model();
    if (!o->model_path) {
        xn_cli_error("no model named, and no default model found (see xenon run --help)");
        return XN_EXIT_USAGE;
    }
    if (xn_sampling_options_read(&o->sampling, &r.sampling, &err) != XN_OK) {
        xn_cli_error("run: %s (see xenon run --help)", err.message);
        xn_sampling_held_free(&r.sampling);
        free(found);
        return XN_EXIT_USAGE;
    }
    xn_interrupt_catch();
    int status = open_run(&r, &err), exit_status;
    if (status != XN_OK)
        exit_status = xn_cli_fail(&err);
    else if (chats)
        exit_status = save_session(&r, xn_chat(&r));
    else if (run_once(&r, &err) != XN_OK)
        exit_status = xn_cli_fail(&err);
    else
        exit_status = save_session(&r, xn_interrupted() ? XN_EXIT_INTERRUPT : XN_EXIT_OK);
    close_run(&r);
    free(found);
    return exit_status;
}

int xn_command_run(int argc, char **argv) {
    struct xn_run_options o = {
        .model = XN_MODEL_DEFAULTS,
        .most = -1,
        .sampling = xn_sampling_options_default(),
    };
    const struct xn_option options[] = {
        {'m', "model", XN_OPTION_STRING, &o.model_path, "MODEL", "a GGUF file or a Hugging Face folder", 0, 0, NULL},
        {'p', "prompt", XN_OPTION_STRING, &o.prompt, "TEXT", "the prompt", 0, 0, NULL},
        {'f', "file", XN_OPTION_STRING, &o.file, "FILE", "a file as the prompt, or below it", 0, 0, NULL},
        {0, "system", XN_OPTION_STRING, &o.system, "TEXT", "the system message", 0, 0, NULL},
        {0, "raw", XN_OPTION_FLAG, &o.raw, NULL, "the prompt as it is, without the model's chat template", 0, 0, NULL},
        {0, "template-args", XN_OPTION_STRING, &o.template_arguments, "JSON",
         "further variables of the chat template, e.g. {\"enable_thinking\": false}", 0, 0, NULL},
        {'n', "predict", XN_OPTION_INT, &o.most, "N", "tokens at the most; -1: until the model ends (-1)", -1,
         INT32_MAX, NULL},
        {'c', "context", XN_OPTION_INT, &o.context, "N", "positions; 0: the model's, at most 8192 (0)", 0, 1 << 28,
         NULL},
        {'b', "batch", XN_OPTION_INT, &o.batch, "N", "prompt tokens a step; 0: 512 (0)", 0, 1 << 20, NULL},
        {0, "checkpoints", XN_OPTION_INT, &o.checkpoints, "N",
         "copies of recurrent states, to change a prompt's end cheaply; 0: chosen; -1: none (0)", -1, 1 << 20, NULL},
        {0, "stop", XN_OPTION_LIST, &o.stops, "TEXT", "ends the answer before this text; may be repeated", 0, 0, NULL},
        {0, "session", XN_OPTION_STRING, &o.session, "FILE",
         "what was computed is kept there, and reused by the next run whose prompt begins alike", 0, 0, NULL},
        {0, "special", XN_OPTION_FLAG, &o.special, NULL, "show special tokens", 0, 0, NULL},
        {'q', "quiet", XN_OPTION_FLAG, &o.quiet, NULL, "no numbers at the end", 0, 0, NULL},
        XN_JSON_OPTION(o.json),
        XN_CONSTRAINT_OPTIONS(o.constraint),
        XN_SAMPLING_OPTIONS(o.sampling),
        XN_MODEL_OPTIONS(o.model, "auto"),
        XN_OPTIONS_END,
    };
    const struct xn_usage usage = {
        .command = "run",
        .synopsis = "[MODEL] [PROMPT] [options]",
        .about =
            "Generates text. With a prompt it answers it once. Without one it begins a conversation: /help lists its\n"
            "commands, Ctrl-C stops an answer, Ctrl-D leaves. Where standard input is no terminal, it is the prompt.\n"
            "One argument alone is the MODEL if it is a file or folder, holds a '/' or ends in .gguf; else it is the "
            "PROMPT.\n"
            "Without a MODEL: $XENON_DEFAULT_MODEL, or models/xenon-default-q8_0.gguf of the source tree, or the one "
            "installed\n"
            "in share/xenon/models.",
        .options = options,
        .min_arguments = 0,
        .max_arguments = 2,
        .examples = "  xenon run \"Tell me a short story about a dragon.\" -n 200\n"
                    "  xenon run qwen3-4b.gguf \"Why is the sky blue?\" --temp 0\n"
                    "  xenon run qwen3-4b.gguf                    a conversation\n"
                    "  xenon run qwen3-30b-a3b.gguf \"Hi\" --device gpu0 --cpu-moe\n"
                    "  xenon run model/ --file notes.txt \"Summarise this:\"\n"
                    "  xenon run model/ -f book.txt -p \"Who is it about?\" --session book.session\n"
                    "  xenon run qwen3-4b.gguf --samplers \"dry;min_p;temperature\" --dry-multiplier 0.8 --temp 1.2\n"
                    "  xenon run qwen3-4b.gguf \"A hobbit\" -j '{\"type\": \"object\", \"properties\": {\"name\": "
                    "{\"type\": \"string\"}}, \"required\": [\"name\"]}'\n"
                    "  echo \"def fib(n):\" | xenon run coder.gguf --raw -n 64 --stop \"\\n\\n\"",
    };
    struct xn_error err;
    size_t n;
    int exit_status = xn_options(&usage, argc, argv, &n);
    if (exit_status < 0 && take_arguments(&o, argv, n, &err) != XN_OK) {
        xn_cli_error("run: %s", err.message);
        exit_status = XN_EXIT_USAGE;
    }
    if (exit_status < 0) exit_status = run(&o);
    free(o.stops.items);
    xn_sampling_options_free(&o.sampling);
    return exit_status;
}
