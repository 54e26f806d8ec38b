/* A conversation through the public API alone: reads lines from standard input and answers each.
 *
 *     cc chat.c $(pkg-config --cflags --libs xenon) -o chat
 *     echo "Tell me a story." | ./chat model.gguf 100
 *
 * Each turn renders the whole conversation, but evaluates only the tokens that the sequence does not hold yet. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xenon/xenon.h>

enum { MAX_MESSAGES = 64, MAX_LINE = 4096, MAX_ANSWER = 65536 };

struct chat {
    xenon_model *model;
    xenon_context *context;
    xenon_sampler *sampler;
    xenon_stream *stream;
    uint32_t sequence;
    long most; /* tokens an answer */

    xenon_message messages[MAX_MESSAGES];
    size_t n_messages;
    char answer[MAX_ANSWER];
    size_t answer_size;
};

/* Brings the sequence to exactly these n tokens. */
static int hold(struct chat *c, const int32_t *ids, size_t n, xenon_error *err) {
    const int32_t *held = xenon_sequence_tokens(c->context, c->sequence);
    uint32_t length = xenon_sequence_length(c->context, c->sequence), same = 0;
    while (same < n - 1 && same < length && ids[same] == held[same]) /* the last one again, for its logits */
        same++;
    same = xenon_sequence_resume(c->context, c->sequence, same);
    if (xenon_sequence_cut(c->context, c->sequence, same, err)) return -1;
    return xenon_eval_tokens(c->context, c->sequence, ids + same, n - same, err);
}

static void show(struct chat *c, const char *text, size_t size) {
    fwrite(text, 1, size, stdout);
    fflush(stdout);
    if (size > MAX_ANSWER - 1 - c->answer_size) size = MAX_ANSWER - 1 - c->answer_size;
    memcpy(c->answer + c->answer_size, text, size);
    c->answer_size += size;
    c->answer[c->answer_size] = 0;
}

/* Answers the conversation so far, into c->answer. */
static int reply(struct chat *c, xenon_error *err) {
    int32_t *ids;
    size_t n, size;
    const char *text;
    if (xenon_chat_tokens(c->model, c->messages, c->n_messages, NULL, &ids, &n, err)) return -1;
    int failed = hold(c, ids, n, err);
    xenon_free(ids);
    if (failed) return -1;
    c->answer_size = 0;
    c->answer[0] = 0;
    for (long i = 0; i < c->most; i++) {
        int32_t id = xenon_sampler_choose(c->sampler, xenon_logits(c->context, XENON_LAST));
        int state = xenon_stream_push(c->stream, id, &text, &size, err);
        if (state < 0) return -1;
        show(c, text, size);
        if (state == XENON_STREAM_END) return 0;
        if (xenon_eval_tokens(c->context, c->sequence, &id, 1, err)) return -1;
    }
    if (xenon_stream_finish(c->stream, &text, &size, err)) return -1;
    show(c, text, size);
    return 0;
}

static int remember(struct chat *c, const char *role, const char *content) {
    char *copy = malloc(strlen(content) + 1);
    if (!copy || c->n_messages == MAX_MESSAGES) {
        free(copy);
        return -1;
    }
    c->messages[c->n_messages].role = role;
    c->messages[c->n_messages++].content = strcpy(copy, content);
    return 0;
}

int main(int argc, char **argv) {
    static struct chat c;
    xenon_error err = {0, "out of memory, or too many turns"};
    char line[MAX_LINE];
    int failed = 1;
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s MODEL [TOKENS]\n", argv[0]);
        return 2;
    }
    c.most = argc == 3 ? strtol(argv[2], NULL, 10) : 256;
    if (xenon_model_open(argv[1], NULL, &c.model, &err) || xenon_context_create(c.model, NULL, &c.context, &err) ||
        xenon_sequence_new(c.context, &c.sequence, &err) || xenon_sampler_create(c.model, NULL, &c.sampler, &err) ||
        xenon_stream_create(c.model, NULL, &c.stream, &err))
        goto end;
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        if (remember(&c, "user", line) || reply(&c, &err) || remember(&c, "assistant", c.answer)) goto end;
        putchar('\n');
    }
    failed = 0;
end:
    if (failed) fprintf(stderr, "%s: %s\n", argv[0], err.message);
    for (size_t i = 0; i < c.n_messages; i++)
        free((char *)c.messages[i].content);
    xenon_stream_free(&c.stream);
    xenon_sampler_free(&c.sampler);
    xenon_context_free(&c.context);
    xenon_model_close(&c.model);
    return failed;
}
