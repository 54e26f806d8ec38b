// The conversation of `xenon run`: several turns, of which the cache keeps what it has.
#include "base/memory.h"
#include "cli/editor.h"
#include "cli/progress.h"
#include "cli/run.h"

#include <stdlib.h>
#include <string.h>

struct chat {
    struct xn_run *run;
    struct xn_editor *editor;
    json_t *messages;    // with a chat template
    struct xn_text text; // without one: all that was said
    bool leaves;
};

static void begin(struct chat *c) {
    const char *system = c->run->options->system;
    json_array_clear(c->messages);
    c->text.size = 0;
    if (system) json_array_append_new(c->messages, json_pack("{s:s s:s}", "role", "system", "content", system));
}

static void leave(struct chat *c) {
    c->leaves = true;
}

static void clear(struct chat *c) {
    begin(c);
    xn_cli_note("(a new conversation)");
}

static void help(struct chat *c);

static const struct {
    const char *name, *help;
    void (*run)(struct chat *chat);
} commands[] = {
    {"/help", "this list", help},
    {"/clear", "forget the conversation and begin anew", clear},
    {"/exit", "leave (also Ctrl-D, or Ctrl-C twice)", leave},
    {"/quit", "leave", leave},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void help(struct chat *c) {
    (void)c;
    for (size_t i = 0; i < N_COMMANDS; i++)
        xn_cli_note("  %-8s %s", commands[i].name, commands[i].help);
    xn_cli_note("  A line that ends in \\ goes on in the next. Ctrl-C stops an answer.");
}

static void run_command(struct chat *c, const char *line) {
    size_t n = strcspn(line, " \t");
    const char *names[N_COMMANDS];
    for (size_t i = 0; i < N_COMMANDS; i++) {
        names[i] = commands[i].name;
        if (strlen(names[i]) == n && memcmp(names[i], line, n) == 0) {
            commands[i].run(c);
            return;
        }
    }
    const char *nearest = xn_nearest_name(line, names, N_COMMANDS);
    xn_cli_error("unknown command %.*s%s%s%s (see /help)", (int)n, line, nearest ? "; did you mean " : "",
                 nearest ? nearest : "", nearest ? "?" : "");
}

// The ids of the whole conversation, ready for the answer to `line`, which is its last message from now on.
static int next_prompt(struct chat *c, const char *line, struct xn_ids *ids, struct xn_error *err) {
    const struct xn_model *model = c->run->loaded.model;
    if (c->run->options->raw || !model->chat) {
        XN_TRY(xn_text_put(&c->text, line, strlen(line), err));
        return xn_prompt_ids(model, c->text.data, c->text.size, true, ids, err);
    }
    json_t *message = json_pack("{s:s s:s}", "role", "user", "content", line);
    if (!message) return xn_fail(err, XN_ERR_ARGUMENT, "the line is no valid UTF-8");
    json_array_append_new(c->messages, message);
    char *rendered;
    size_t size;
    XN_TRY(xn_prompt_render(model, c->messages, c->run->arguments, true, &rendered, &size, err));
    int status = xn_prompt_ids(model, rendered, size, false, ids, err);
    free(rendered);
    return status;
}

// The answer, as far as it came, becomes part of the conversation. What the line editor or the tokenizer cut is valid
// UTF-8.
static int keep_answer(struct chat *c, struct xn_error *err) {
    const struct xn_text *answer = &c->run->answer;
    const char *data = answer->data ? answer->data : "";
    if (c->run->options->raw || !c->run->loaded.model->chat) return xn_text_put(&c->text, data, answer->size, err);
    json_t *content = json_stringn(data, answer->size);
    if (!content) return xn_fail(err, XN_ERR_FORMAT, "the answer is no valid UTF-8");
    json_array_append_new(c->messages, json_pack("{s:s s:o}", "role", "assistant", "content", content));
    return XN_OK;
}

// One turn. A turn that fails is taken back, so that the conversation is as it was.
static void answer(struct chat *c, const char *line) {
    struct xn_run *run = c->run;
    struct xn_error err;
    struct xn_ids ids = {0};
    size_t n_messages = json_array_size(c->messages), text_size = c->text.size;
    int status = next_prompt(c, line, &ids, &err);
    if (status == XN_OK) status = xn_run_answer(run, &ids, &err);
    if (status == XN_OK) {
        fputs("\n", stdout);
        fflush(stdout);
        status = keep_answer(c, &err);
    }
    free(ids.data);
    if (status != XN_OK) {
        while (json_array_size(c->messages) > n_messages)
            json_array_remove(c->messages, n_messages);
        c->text.size = text_size;
        xn_cli_error("%s%s", err.message, status == XN_ERR_LIMIT ? " (/clear begins anew)" : "");
        return;
    }
    if (run->finish == XN_FINISH_CALLER) xn_cli_note("(stopped)");
    if (run->finish == XN_FINISH_CONTEXT)
        xn_cli_error("the context of %u positions is full: the answer stops here (/clear begins anew)",
                     xn_context_options(run->context)->context);
    if (!run->options->quiet) xn_run_print_numbers(run);
}

static bool is_blank(const char *line) {
    return line[strspn(line, " \t\n")] == 0;
}

int xn_chat(struct xn_run *run) {
    struct chat c = {.run = run, .messages = json_array(), .editor = xn_editor_open("> ")};
    bool warned = false; // the last thing that came was Ctrl-C
    if (!c.messages || !c.editor) {
        xn_cli_error("no memory for a conversation");
        c.leaves = true;
    } else {
        begin(&c);
        const char *name = run->loaded.model->recipe.name;
        char printable[256];
        xn_cli_note("%s%s/help lists the commands, Ctrl-D leaves.%s",
                    name ? xn_printable(name, printable, sizeof printable) : "", name ? ": " : "",
                    run->options->raw || run->loaded.model->chat ? ""
                                                                 : " (no chat template: the text goes on as it is)");
    }
    while (!c.leaves) {
        char *line;
        enum xn_line kind = xn_editor_read(c.editor, &line);
        if (kind == XN_LINE_END || (kind == XN_LINE_INTERRUPTED && warned)) {
            fputs("\n", stderr);
            break;
        }
        if (kind == XN_LINE_INTERRUPTED) {
            warned = true;
            xn_cli_note("\n(Ctrl-C again leaves)");
            continue;
        }
        warned = false;
        if (!is_blank(line)) {
            xn_editor_remember(c.editor, line);
            if (line[0] == '/')
                run_command(&c, line);
            else
                answer(&c, line);
            warned = xn_interrupted();
            xn_interrupt_reset();
        }
        free(line);
    }
    xn_editor_close(c.editor);
    json_decref(c.messages);
    free(c.text.data);
    return XN_EXIT_OK;
}
