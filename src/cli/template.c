// xenon template: the prompt that a chat template makes of a conversation.
#include "base/file.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "format/source.h"
#include "text/chat.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TEMPLATE_BYTES = 1 << 24, CONVERSATION_BYTES = 1 << 28 };

struct template_options {
    const char *model, *conversations, *id, *messages, *arguments;
    bool no_generation_prompt;
};
// What is rendered, and what it points into.
struct rendering {
    struct xn_template *template;
    char *bos, *eos; // the model's; NULL: the conversation's
    json_t *file;    // of the conversations or messages
    const json_t *conversation;
    json_t *arguments;
    int64_t now;
};

static char *token_text(const struct xn_tokenizer *t, int32_t id) {
    if (id < 0) return NULL;
    const struct xn_str text = xn_token_text(t, id);
    return xn_strndup(text.data, text.size);
}

static int open_model(const char *path, bool use_template, struct rendering *r, struct xn_error *err) {
    struct xn_source *source;
    struct xn_tokenizer *t = NULL;
    XN_TRY(xn_source_open(path, &source, err));
    int status = XN_OK;
    if (use_template) {
        if (source->chat_template)
            status = xn_template_parse(source->chat_template, strlen(source->chat_template), "chat template",
                                       &r->template, err);
        else
            status = xn_fail(err, XN_ERR_UNSUPPORTED, "%s: the model has no chat template", path);
    }
    if (status == XN_OK) status = xn_tokenizer_from_source(source, &t, err);
    if (status == XN_OK) {
        r->bos = token_text(t, xn_token_bos(t));
        r->eos = token_text(t, xn_token_eos(t));
    }
    xn_tokenizer_free(t);
    xn_source_close(source);
    return status;
}

static int open_template(const char *path, struct rendering *r, struct xn_error *err) {
    char *source;
    size_t size;
    XN_TRY(xn_read_file(path, TEMPLATE_BYTES, &source, &size, err));
    const char *slash = strrchr(path, '/');
    int status = xn_template_parse(source, size, slash ? slash + 1 : path, &r->template, err);
    free(source);
    return status;
}

// A conversation of the file, by its id; without one, the only one that there is.
static int find_conversation(const struct template_options *o, struct rendering *r, struct xn_error *err) {
    const json_t *all = json_object_get(r->file, "conversations"), *now = json_object_get(r->file, "strftime_now");
    if (json_is_array(r->file)) all = r->file;
    if (!json_is_array(all))
        return xn_fail(err, XN_ERR_FORMAT, "%s: expected {\"conversations\": [...]}", o->conversations);
    if (json_is_string(now)) {
        struct tm t = {0};
        const char *end = strptime(json_string_value(now), "%Y-%m-%dT%H:%M:%S", &t);
        if (!end || *end)
            return xn_fail(err, XN_ERR_FORMAT, "%s: strftime_now: expected 2026-01-15T09:30:00, found %s",
                           o->conversations, json_string_value(now));
        r->now = timegm(&t);
    }
    size_t i;
    const json_t *one;
    json_array_foreach(all, i, one) {
        const char *id = json_string_value(json_object_get(one, "id"));
        if (o->id ? id && strcmp(id, o->id) == 0 : json_array_size(all) == 1) {
            r->conversation = one;
            return XN_OK;
        }
    }
    if (o->id) return xn_fail(err, XN_ERR_ARGUMENT, "%s: no conversation has the id \"%s\"", o->conversations, o->id);
    return xn_fail(err, XN_ERR_ARGUMENT, "%s: %zu conversations: --id names one", o->conversations,
                   json_array_size(all));
}

static int render(const struct template_options *o, const struct rendering *r, struct xn_error *err) {
    const json_t *c = r->conversation, *messages = json_is_array(c) ? c : json_object_get(c, "messages"),
                 *tools = json_object_get(c, "tools"), *generation = json_object_get(c, "add_generation_prompt"),
                 *kwargs = json_object_get(c, "kwargs");
    if (!kwargs) kwargs = json_object_get(c, "chat_template_kwargs");
    struct xn_chat chat = {
        .messages = messages,
        .tools = json_is_null(tools) ? NULL : tools,
        .kwargs = r->arguments           ? r->arguments
                  : json_is_null(kwargs) ? NULL
                                         : kwargs,
        .bos = r->bos ? r->bos : json_string_value(json_object_get(c, "bos_token")),
        .eos = r->eos ? r->eos : json_string_value(json_object_get(c, "eos_token")),
        .add_generation_prompt = !o->no_generation_prompt && !json_is_false(generation),
    };
    char *out;
    size_t size;
    XN_TRY(xn_chat_render(r->template, &chat, r->now, &out, &size, err));
    fwrite(out, 1, size, stdout);
    free(out);
    return XN_OK;
}

static int template(const struct template_options *o, const char *path, struct xn_error *err) {
    struct rendering r = {.now = (int64_t)time(NULL)};
    int status = XN_OK;
    if (o->arguments) {
        json_error_t where;
        r.arguments = json_loads(o->arguments, JSON_REJECT_DUPLICATES, &where);
        if (!json_is_object(r.arguments))
            status =
                xn_fail(err, XN_ERR_ARGUMENT, "option --template-args: expected a JSON object, found %s", o->arguments);
    }
    if (status == XN_OK && path) status = open_template(path, &r, err);
    if (status == XN_OK && o->model) status = open_model(o->model, !path, &r, err);
    const char *file = o->messages ? o->messages : o->conversations;
    if (status == XN_OK) status = xn_json_file(file, CONVERSATION_BYTES, &r.file, err);
    r.conversation = r.file;
    if (status == XN_OK && o->conversations) status = find_conversation(o, &r, err);
    if (status == XN_OK) status = render(o, &r, err);
    xn_template_free(r.template);
    free(r.bos);
    free(r.eos);
    json_decref(r.file);
    json_decref(r.arguments);
    return status;
}

int xn_command_template(int argc, char **argv) {
    struct template_options o = {0};
    const struct xn_option options[] = {
        {0, "model", XN_OPTION_STRING, &o.model, "MODEL",
         "whose BOS and EOS tokens are used, and whose template, where no other is named", 0, 0, NULL},
        {0, "messages", XN_OPTION_STRING, &o.messages, "FILE",
         "a list of messages as JSON, or an object with messages, tools, ...", 0, 0, NULL},
        {0, "conversations", XN_OPTION_STRING, &o.conversations, "FILE",
         "{\"conversations\": [{\"id\", \"messages\", \"tools\", \"kwargs\", ...}], \"strftime_now\"}", 0, 0, NULL},
        {0, "id", XN_OPTION_STRING, &o.id, "ID", "of the conversation there", 0, 0, NULL},
        {0, "template-args", XN_OPTION_STRING, &o.arguments, "JSON",
         "further variables, as {\"enable_thinking\": false}; in place of the conversation's", 0, 0, NULL},
        {0, "no-generation-prompt", XN_OPTION_FLAG, &o.no_generation_prompt, NULL,
         "end with the last message, not with what opens the answer", 0, 0, NULL},
        XN_OPTIONS_END,
    };
    const struct xn_usage usage = {
        .command = "template",
        .synopsis = "[TEMPLATE] [options]",
        .about = "Prints the prompt that a chat template (a Jinja file, or the model's own) makes of a conversation,\n"
                 "byte for byte and without a line end of its own. Where the template raises an error, that is the "
                 "message,\n"
                 "and the exit status is 1.",
        .options = options,
        .min_arguments = 0,
        .max_arguments = 1,
        .examples = "  xenon template qwen3.jinja --conversations conversations.json --id single_user\n"
                    "  xenon template --model qwen3-4b.gguf --messages messages.json\n"
                    "  xenon template --model qwen3-4b.gguf --messages request.json --template-args "
                    "'{\"enable_thinking\": false}'",
    };
    size_t n;
    int exit_status = xn_options(&usage, argc, argv, &n);
    if (exit_status >= 0) return exit_status;
    const char *wrong = n == 0 && !o.model                ? "no TEMPLATE, and no --model that has one"
                        : !o.messages == !o.conversations ? "one of --messages and --conversations is needed"
                        : o.id && !o.conversations        ? "--id goes with --conversations"
                                                          : NULL;
    if (wrong) {
        xn_cli_error("template: %s", wrong);
        return XN_EXIT_USAGE;
    }
    struct xn_error err;
    return template(&o, n ? argv[1] : NULL, &err) == XN_OK ? XN_EXIT_OK : xn_cli_fail(&err);
}
