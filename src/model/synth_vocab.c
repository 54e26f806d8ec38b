// A made-up byte-level BPE vocabulary: the 256 bytes, then pairs of bytes, then pairs of pairs, and three special
// tokens at the end. Pairs of the letters that are common in English come first, so that a small vocabulary compresses
// text a little.
#include "base/memory.h"
#include "format/gguf.h"
#include "model/synth.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES = 256, PAIRS = BYTES * BYTES, SPECIALS = 3, TOKEN_SIZE = 8, MERGE_SIZE = 2 * TOKEN_SIZE + 1 };

static const char *const specials[SPECIALS] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
static const char common[] = " etaoinshrdlcumwfgypbvk.,\nIATSxjqz'\"-";
static const char chat_template[] =
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

// GPT-2 writes each byte of a token as a visible character: itself, or U+0100 and up for those that are not visible.
static void spell_bytes(struct xn_str out[BYTES], char text[BYTES][3]) {
    unsigned next = 0x100;
    for (unsigned b = 0; b < BYTES; b++) {
        bool visible = (b >= '!' && b <= '~') || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE;
        unsigned c = visible ? b : next++;
        size_t n = 0;
        if (c >= 0x80) text[b][n++] = (char)(0xC0 | c >> 6);
        text[b][n++] = (char)(c >= 0x80 ? 0x80 | (c & 0x3F) : c);
        out[b] = (struct xn_str){text[b], n};
    }
}

// Bytes in the order in which they enter merges: the common ones, then the others.
static void order_bytes(uint8_t order[BYTES]) {
    bool taken[BYTES] = {false};
    size_t n = 0;
    for (const char *c = common; *c; c++) {
        order[n++] = (uint8_t)*c;
        taken[(uint8_t)*c] = true;
    }
    for (unsigned b = 0; b < BYTES; b++)
        if (!taken[b]) order[n++] = (uint8_t)b;
}

// Pairs (a, b) counted so that the first m * m of them are those with a, b < m.
static void pair_of(uint32_t i, uint32_t *a, uint32_t *b) {
    uint32_t m = (uint32_t)sqrt((double)i), r = i - m * m;
    *a = r <= m ? r : m;
    *b = r <= m ? m : r - m - 1;
}

struct vocab {
    struct xn_str *tokens, *merges;
    int32_t *kinds;
    char *text;  // of tokens and merges
    size_t used; // of it
};

static struct xn_str join(struct vocab *v, struct xn_str a, const char *between, struct xn_str b) {
    char *start = v->text + v->used, *end = start;
    memcpy(end, a.data, a.size);
    end += a.size;
    memcpy(end, between, strlen(between));
    end += strlen(between);
    memcpy(end, b.data, b.size);
    end += b.size;
    v->used = (size_t)(end - v->text);
    return (struct xn_str){start, (size_t)(end - start)};
}

static int add_all(struct xn_gguf_writer *w, const struct vocab *v, uint32_t vocab, uint32_t merges,
                   struct xn_error *err) {
    uint32_t first_special = vocab - SPECIALS;
    XN_TRY(xn_gguf_add_string(w, "tokenizer.ggml.model", "gpt2", err));
    XN_TRY(xn_gguf_add_string(w, "tokenizer.ggml.pre", "qwen2", err));
    XN_TRY(xn_gguf_add_strings(w, "tokenizer.ggml.tokens", v->tokens, vocab, err));
    XN_TRY(xn_gguf_add_array(w, "tokenizer.ggml.token_type", XN_GGUF_I32, v->kinds, vocab, err));
    XN_TRY(xn_gguf_add_strings(w, "tokenizer.ggml.merges", v->merges, merges, err));
    XN_TRY(xn_gguf_add_u32(w, "tokenizer.ggml.bos_token_id", first_special, err));
    XN_TRY(xn_gguf_add_u32(w, "tokenizer.ggml.eos_token_id", first_special + 2, err));
    XN_TRY(xn_gguf_add_u32(w, "tokenizer.ggml.padding_token_id", first_special, err));
    XN_TRY(xn_gguf_add_bool(w, "tokenizer.ggml.add_bos_token", false, err));
    return xn_gguf_add_string(w, "tokenizer.chat_template", chat_template, err);
}

int xn_synth_add_tokenizer(struct xn_gguf_writer *writer, uint32_t vocab, struct xn_error *err) {
    if (vocab < BYTES + SPECIALS + 1 || vocab > 2 * PAIRS * 8)
        return xn_fail(err, XN_ERR_ARGUMENT, "a vocabulary of %u tokens can't be made up", vocab);
    enum { NORMAL = 1, CONTROL = 3 }; // of tokenizer.ggml.token_type
    uint32_t merges = vocab - BYTES - SPECIALS;
    struct vocab v = {.tokens = xn_alloc(vocab, sizeof *v.tokens),
                      .merges = xn_alloc(merges, sizeof *v.merges),
                      .kinds = xn_alloc(vocab, sizeof *v.kinds),
                      .text = xn_alloc(merges, TOKEN_SIZE + MERGE_SIZE)};
    int status = XN_OK;
    if (!v.tokens || !v.merges || !v.kinds || !v.text) {
        status = xn_fail(err, XN_ERR_NOMEM, "no memory for a vocabulary of %u tokens", vocab);
    } else {
        char text[BYTES][3];
        uint8_t order[BYTES];
        spell_bytes(v.tokens, text);
        order_bytes(order);
        for (uint32_t i = 0; i < merges; i++) {
            uint32_t a, b;
            pair_of(i < PAIRS ? i : i - PAIRS, &a, &b);
            struct xn_str left = v.tokens[i < PAIRS ? order[a] : BYTES + a];
            struct xn_str right = v.tokens[i < PAIRS ? order[b] : BYTES + b];
            v.tokens[BYTES + i] = join(&v, left, "", right);
            v.merges[i] = join(&v, left, " ", right);
        }
        for (uint32_t i = 0; i < SPECIALS; i++)
            v.tokens[BYTES + merges + i] = (struct xn_str){specials[i], strlen(specials[i])};
        for (uint32_t i = 0; i < vocab; i++)
            v.kinds[i] = i < BYTES + merges ? NORMAL : CONTROL;
        status = add_all(writer, &v, vocab, merges, err);
    }
    free(v.tokens);
    free(v.merges);
    free(v.kinds);
    free(v.text);
    return status;
}
