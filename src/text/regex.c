#include "text/regex.h"

#include "base/memory.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PATTERN = 64 * 1024, JIT_STACK_START = 32 * 1024, JIT_STACK_MAX = 64 * 1024 * 1024 };

struct xn_regex {
    pcre2_code *code;
};

struct xn_regex_scratch {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack; // made when the machine stack was too small
};

// Leftmost matches of `\s+$` never begin after white space, and saying so keeps long runs of blanks from taking
// quadratic time.
static const struct { const char *pattern, *same; } faster[] = {{"\\s+$", "(?<!\\s)\\s+$"}};

int xn_regex_compile(const char *pattern, size_t size, struct xn_regex **out, struct xn_error *err) {
    *out = NULL;
    if (size > MAX_PATTERN)
        return xn_fail(err, XN_ERR_LIMIT, "regular expression of %zu bytes, at most %d expected", size, MAX_PATTERN);
    for (size_t i = 0; i < sizeof faster / sizeof *faster; i++)
        if (size == strlen(faster[i].pattern) && memcmp(pattern, faster[i].pattern, size) == 0) {
            pattern = faster[i].same;
            size = strlen(pattern);
            break;
        }
    struct xn_regex *regex = xn_alloc_zero(1, sizeof *regex);
    char *translated = xn_regex_translate(pattern, size);
    if (!regex || !translated) {
        free(regex);
        free(translated);
        return xn_fail(err, XN_ERR_NOMEM, "out of memory for a regular expression");
    }
    int code;
    PCRE2_SIZE offset;
    // Ruby's ^ and $ are those of lines.
    regex->code = pcre2_compile((PCRE2_SPTR)translated, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE,
                                &code, &offset, NULL);
    if (!regex->code) {
        char text[256] = "";
        pcre2_get_error_message(code, (PCRE2_UCHAR *)text, sizeof text);
        int status =
            xn_fail(err, XN_ERR_UNSUPPORTED, "regular expression %.200s: at %zu: %s", translated, (size_t)offset, text);
        free(translated);
        free(regex);
        return status;
    }
    free(translated);
    pcre2_jit_compile(regex->code, PCRE2_JIT_COMPLETE); // without it, matching interprets: slower, but the same
    *out = regex;
    return XN_OK;
}

void xn_regex_free(struct xn_regex *regex) {
    if (!regex) return;
    pcre2_code_free(regex->code);
    free(regex);
}

struct xn_regex_scratch *xn_regex_scratch_new(void) {
    struct xn_regex_scratch *s = xn_alloc_zero(1, sizeof *s);
    if (!s) return NULL;
    s->data = pcre2_match_data_create(1, NULL);
    s->context = pcre2_match_context_create(NULL);
    if (!s->data || !s->context) {
        xn_regex_scratch_free(s);
        return NULL;
    }
    return s;
}

void xn_regex_scratch_free(struct xn_regex_scratch *scratch) {
    if (!scratch) return;
    pcre2_match_data_free(scratch->data);
    pcre2_match_context_free(scratch->context);
    pcre2_jit_stack_free(scratch->stack);
    free(scratch);
}

bool xn_regex_find(const struct xn_regex *regex, struct xn_regex_scratch *s, const char *text, size_t size, size_t from,
                   size_t *start, size_t *end) {
    int rc = pcre2_match(regex->code, (PCRE2_SPTR)text, size, from, PCRE2_NO_UTF_CHECK, s->data, s->context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT && !s->stack) {
        s->stack = pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_MAX, NULL);
        if (s->stack) {
            pcre2_jit_stack_assign(s->context, NULL, s->stack);
            rc = pcre2_match(regex->code, (PCRE2_SPTR)text, size, from, PCRE2_NO_UTF_CHECK, s->data, s->context);
        }
    }
    if (rc < 0) return false;
    const PCRE2_SIZE *span = pcre2_get_ovector_pointer(s->data);
    *start = span[0];
    *end = span[1];
    return *start >= from && *start <= *end; // \K in a look-ahead can say otherwise
}
