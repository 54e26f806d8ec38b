// Answers from any text: notation, options and a seed of cuts from the first bytes, then the text. However it is cut,
// the pieces add up to the same; calls begin and end in order, and pieces are whole characters where the text is.
#include "text/answer/answer.h"
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>

static const char tools_text[] =
    "[{\"function\":{\"name\":\"f\",\"parameters\":{\"properties\":{\"s\":{\"type\":\"string\"},\"n\":{\"type\":"
    "\"integer\"},\"l\":{\"type\":[\"array\",\"null\"]}}}}},{\"function\":{\"name\":\"g\"}}]";

struct seen {
    struct xn_text text;
    enum xn_answer_kind kind;
    bool any, open;
    uint32_t calls;
};

static int see(void *user, const struct xn_answer_piece *p, struct xn_error *err) {
    struct seen *s = user;
    (void)err;
    if (p->kind == XN_ANSWER_CALL) {
        if (s->open || p->index != s->calls || !p->id || !*p->id || !p->name || !*p->name) abort();
        s->open = true;
        s->calls++;
        xn_text_append(&s->text, "\1", 1);
        xn_text_append(&s->text, p->id, strlen(p->id));
        xn_text_append(&s->text, p->name, strlen(p->name));
    } else if (p->kind == XN_ANSWER_CALL_END) {
        if (!s->open || p->index + 1 != s->calls) abort();
        s->open = false;
        xn_text_append(&s->text, "\2", 1);
    } else {
        if (p->size == 0 || (p->kind == XN_ANSWER_ARGUMENTS) != s->open) abort();
        if (!s->any || p->kind != s->kind) xn_text_append(&s->text, &"\3\4\5\6\7"[p->kind], 1);
        xn_text_append(&s->text, p->text, p->size);
    }
    s->any = true;
    s->kind = p->kind;
    return XN_OK;
}

static void run(const struct xn_answer_options *o, const char *text, size_t n, uint32_t cut, struct seen *s) {
    struct xn_answer *a;
    struct xn_error err;
    if (xn_answer_new(o, &a, &err) != XN_OK) abort();
    for (size_t i = 0; i < n;) {
        size_t part = n - i;
        if (cut) {
            cut = cut * 1664525 + 1013904223;
            if ((cut >> 16) % 16 + 1 < part) part = (cut >> 16) % 16 + 1;
        }
        if (xn_answer_feed(a, text + i, part, see, s, &err) != XN_OK) abort();
        i += part;
    }
    if (xn_answer_end(a, see, s, &err) != XN_OK || s->open) abort();
    xn_answer_free(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static json_t *tools;
    if (!tools) tools = json_loads(tools_text, 0, NULL);
    if (size < 3) return 0;
    const bool special = data[1] & 8;
    const struct xn_answer_options o = {
        .style = {data[0] % XN_ANSWER_FORMATS, special ? "<|channel>thought\n" : "<think>",
                  special ? "<channel|>" : "</think>"},
        .tools = data[1] & 1 ? tools : NULL,
        .reasoning = data[1] & 2,
        .thinking = data[1] & 4,
        .seed = 1,
    };
    struct seen whole = {0}, cut = {0};
    run(&o, (const char *)data + 3, size - 3, 0, &whole);
    run(&o, (const char *)data + 3, size - 3, data[2] | 1u, &cut);
    if (whole.text.size != cut.text.size ||
        (whole.text.size && memcmp(whole.text.data, cut.text.data, whole.text.size) != 0))
        abort();
    free(whole.text.data);
    free(cut.text.data);
    return 0;
}
