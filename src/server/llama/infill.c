// Prompts for models that fill in: what stands before, what stands behind, and a mark that asks for what is between.
#include "server/llama/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

// Tokens by which families mark the parts. `behind_first`: the suffix comes before the prefix.
static const struct marks {
    const char *before, *behind, *middle, *repository, *file;
    bool behind_first;
} known[] = {
    {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|repo_name|>", "<|file_sep|>", false},
    {"<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<reponame>", "<file_sep>", false},
    {"<fim-prefix>", "<fim-suffix>", "<fim-middle>", "<reponame>", "<filename>", false},
    {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", NULL, "<|file_separator|>", false},
    {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", NULL, NULL, false},
    {"<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>", NULL, NULL, false},
    {"▁<PRE>", "▁<SUF>", "▁<MID>", NULL, NULL, false},
    {"<PRE>", "<SUF>", "<MID>", NULL, NULL, false},
    {"[PREFIX]", "[SUFFIX]", "[MIDDLE]", NULL, NULL, true},
    {"<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>", NULL, NULL, true},
};

struct fim {
    int32_t before, behind, middle, repository, file; // -1: none
    bool behind_first;
};

static int32_t of_file(const struct xn_served *served, const char *key) {
    const struct xn_source *source = served->model->source;
    const struct xn_gguf_value *value = source && source->gguf ? xn_gguf_find(source->gguf, key) : NULL;
    int64_t id;
    return value && xn_gguf_int(value, 0, &id) && id >= 0 && id < (int64_t)served->model->recipe.vocab ? (int32_t)id
                                                                                                       : -1;
}

static int find_marks(const struct xn_served *served, struct fim *fim, struct xn_error *err) {
    const struct xn_tokenizer *t = served->model->tokenizer;
    *fim = (struct fim){
        of_file(served, "tokenizer.ggml.fim_pre_token_id"), of_file(served, "tokenizer.ggml.fim_suf_token_id"),
        of_file(served, "tokenizer.ggml.fim_mid_token_id"), of_file(served, "tokenizer.ggml.fim_rep_token_id"),
        of_file(served, "tokenizer.ggml.fim_sep_token_id"), false};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const struct marks *m = &known[i];
        int32_t before = xn_token_id(t, m->before), behind = xn_token_id(t, m->behind),
                middle = xn_token_id(t, m->middle);
        if (before < 0 || behind < 0) continue;
        if (middle < 0 && !m->behind_first) continue;
        if (fim->before >= 0 && fim->before != before) continue;
        fim->before = before;
        fim->behind = behind;
        fim->middle = middle;
        fim->behind_first = m->behind_first;
        if (m->repository && fim->repository < 0) fim->repository = xn_token_id(t, m->repository);
        if (m->file && fim->file < 0) fim->file = xn_token_id(t, m->file);
        break;
    }
    if (fim->before >= 0 && fim->behind >= 0) return XN_OK;
    return xn_fail(err, XN_ERR_UNSUPPORTED, "this model has no tokens to fill in with (as <|fim_prefix|>)");
}

static int add_ids(struct xn_ids *to, const int32_t *ids, size_t n, struct xn_error *err) {
    if (n == 0) return XN_OK;
    if (XN_GROW(to->data, to->capacity, to->n + n)) return xn_fail(err, XN_ERR_NOMEM, "out of memory for a prompt");
    memcpy(to->data + to->n, ids, n * sizeof *ids);
    to->n += n;
    return XN_OK;
}

static int add_mark(struct xn_ids *to, int32_t id, struct xn_error *err) {
    return id < 0 ? XN_OK : add_ids(to, &id, 1, err);
}

// Text that somebody wrote: marks in it are only text.
static int add_text(const struct xn_served *served, const char *text, struct xn_ids *to, struct xn_error *err) {
    return text && *text ? xn_tokenize(served->model->tokenizer, text, strlen(text), 0, to, err) : XN_OK;
}

// Other files in front. Without marks for files they are only text.
static int add_extra(const struct xn_served *served, const struct fim *fim, const json_t *extra, struct xn_ids *to,
                     struct xn_error *err) {
    if (!json_array_size(extra)) return XN_OK;
    if (fim->file >= 0 && fim->repository >= 0) {
        XN_TRY(add_mark(to, fim->repository, err));
        XN_TRY(add_text(served, "myproject\n", to, err));
    }
    for (size_t i = 0; i < json_array_size(extra); i++) {
        const json_t *chunk = json_array_get(extra, i);
        const char *name = NULL, *text = NULL;
        if (!json_is_object(chunk)) return xn_fail(err, XN_ERR_ARGUMENT, "input_extra: item %zu is no object", i);
        XN_TRY(xn_field_string(chunk, "filename", &name, err));
        XN_TRY(xn_field_string(chunk, "text", &text, err));
        if (!text) return xn_fail(err, XN_ERR_ARGUMENT, "input_extra: item %zu has no text", i);
        XN_TRY(add_mark(to, fim->file, err));
        if (fim->file >= 0) {
            XN_TRY(add_text(served, name ? name : "tmp", to, err));
            XN_TRY(add_text(served, "\n", to, err));
        }
        XN_TRY(add_text(served, text, to, err));
        XN_TRY(add_text(served, "\n", to, err));
    }
    if (fim->file < 0) return XN_OK;
    XN_TRY(add_mark(to, fim->file, err));
    return add_text(served, "filename\n", to, err);
}

struct parts {
    struct xn_ids extra, before, behind, begun;
};

// What does not fit goes: the farthest from the gap, and of other files the first.
static void cut(struct parts *p, size_t room, size_t *skip_extra, size_t *skip_before) {
    size_t own = room > p->begun.n ? room - p->begun.n : 0;
    size_t behind = own / 4, before = own - behind;
    if (p->before.n < before) behind = own - p->before.n;
    if (p->behind.n < behind) before = own - p->behind.n;
    if (p->behind.n > behind) p->behind.n = behind;
    *skip_before = p->before.n > before ? p->before.n - before : 0;
    size_t used = p->before.n - *skip_before + p->behind.n, left = own > used ? own - used : 0;
    *skip_extra = p->extra.n > left ? p->extra.n - left : 0;
}

static int join(const struct xn_served *served, const struct fim *fim, struct parts *p, int64_t most,
                struct xn_ids *ids, struct xn_error *err) {
    const struct xn_tokenizer *t = served->model->tokenizer;
    size_t skip_extra, skip_before, context = served->context;
    size_t answer = most < 0 || (uint64_t)most > context / 2 ? context / 2 : (size_t)most + 1;
    cut(p, context > answer + 8 ? context - answer - 8 : 0, &skip_extra, &skip_before);
    if (xn_tokenizer_adds_bos(t)) XN_TRY(add_mark(ids, xn_token_bos(t), err));
    XN_TRY(add_ids(ids, p->extra.data + skip_extra, p->extra.n - skip_extra, err));
    if (fim->behind_first) {
        XN_TRY(add_mark(ids, fim->behind, err));
        XN_TRY(add_ids(ids, p->behind.data, p->behind.n, err));
    }
    XN_TRY(add_mark(ids, fim->before, err));
    XN_TRY(add_ids(ids, p->before.data + skip_before, p->before.n - skip_before, err));
    if (!fim->behind_first) {
        XN_TRY(add_mark(ids, fim->behind, err));
        XN_TRY(add_ids(ids, p->behind.data, p->behind.n, err));
    }
    XN_TRY(add_mark(ids, fim->middle, err));
    return add_ids(ids, p->begun.data, p->begun.n, err);
}

static int read_parts(const struct xn_served *served, const struct fim *fim, const json_t *body, struct parts *p,
                      struct xn_error *err) {
    const char *before = NULL, *behind = NULL, *begun = NULL;
    json_t *extra = NULL;
    XN_TRY(xn_field_string(body, "input_prefix", &before, err));
    XN_TRY(xn_field_string(body, "input_suffix", &behind, err));
    XN_TRY(xn_field_string(body, "prompt", &begun, err));
    XN_TRY(xn_field_array(body, "input_extra", &extra, err));
    if (!before && !behind) return xn_fail(err, XN_ERR_ARGUMENT, "input_prefix: missing, and input_suffix too");
    XN_TRY(add_extra(served, fim, extra, &p->extra, err));
    XN_TRY(add_text(served, before, &p->before, err));
    XN_TRY(add_text(served, behind, &p->behind, err));
    return add_text(served, begun, &p->begun, err);
}

int xn_llama_infill_prompt(const struct xn_served *served, const json_t *body, int64_t most, struct xn_ids *ids,
                           struct xn_error *err) {
    struct fim fim;
    struct parts p = {0};
    XN_TRY(find_marks(served, &fim, err));
    int status = read_parts(served, &fim, body, &p, err);
    if (status == XN_OK) status = join(served, &fim, &p, most, ids, err);
    free(p.extra.data);
    free(p.before.data);
    free(p.behind.data);
    free(p.begun.data);
    return status;
}
