#include "format/source.h"

#include "base/file.h"
#include "base/memory.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// Python's json module writes and reads more than JSON: NaN, Infinity, -Infinity, and whole numbers of any length (a
// tokenizer's model_max_length is often 10^30). A copy of the text with those rewritten goes to the parser.
struct rewrite {
    char *text; // NULL: nothing had to be rewritten
    size_t size, capacity;
    struct edit {
        size_t end, grown; // after this place of the copy it is `grown` bytes ahead of the original
    } * edits;
    size_t n_edits, edits_capacity;
};

static int append(struct rewrite *w, const char *s, size_t n) {
    if (XN_GROW(w->text, w->capacity, w->size + n) != 0) return -1;
    if (n) memcpy(w->text + w->size, s, n);
    w->size += n;
    return 0;
}

// What stands for the number-like word of n bytes, or NULL where the parser can have it as it is.
static const char *substitute(const char *word, size_t n, char *space, size_t space_size) {
    static const struct {
        const char *word, *instead;
    } table[] = {
        {"NaN", "{\"__float__\":\"NaN\"}"},
        {"Infinity", "{\"__float__\":\"Infinity\"}"},
        {"-Infinity", "{\"__float__\":\"-Infinity\"}"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strlen(table[i].word) == n && memcmp(word, table[i].word, n) == 0) return table[i].instead;
    if (n < 5 || !(word[0] == '-' || (word[0] >= '0' && word[0] <= '9'))) return NULL;
    bool whole = true, number = true;
    for (size_t i = 1; i < n; i++) {
        bool digit = word[i] >= '0' && word[i] <= '9';
        whole &= digit;
        number &= digit || strchr(".eE+-", word[i]);
    }
    if (!number || n + 3 > space_size) return NULL;
    memcpy(space, word, n);
    space[n] = 0;
    char *end;
    double value = strtod(space, &end);
    if (*end) return NULL; // the parser says what is wrong with it
    if (isinf(value)) return table[value > 0 ? 1 : 2].instead;
    if (!whole) return NULL;
    errno = 0;
    (void)strtoll(space, &end, 10);
    return errno == ERANGE ? strcpy(space + n, ".0") - n : NULL;
}

static bool is_word(char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '+' ||
           c == '.';
}

// Rewrites `text` into *w. 0, or -1 without memory.
static int rewrite(const char *text, size_t size, struct rewrite *w) {
    size_t copied = 0;
    for (size_t i = 0; i < size;) {
        if (text[i] == '"') {
            for (i++; i < size && text[i] != '"'; i++)
                if (text[i] == '\\') i++;
            i++;
        } else if (is_word(text[i])) {
            size_t start = i;
            while (i < size && is_word(text[i]))
                i++;
            char space[400]; // a double has at most 309 digits before its point
            const char *instead = substitute(text + start, i - start, space, sizeof space);
            if (!instead) continue;
            if (append(w, text + copied, start - copied) != 0 || append(w, instead, strlen(instead)) != 0) return -1;
            if (XN_GROW(w->edits, w->edits_capacity, w->n_edits + 1) != 0) return -1;
            w->edits[w->n_edits++] = (struct edit){w->size, w->size - i};
            copied = i;
        } else {
            i++;
        }
    }
    return w->text ? append(w, text + copied, size - copied) : 0;
}

// The place in the original of a place in the copy.
static size_t original_place(const struct rewrite *w, size_t at) {
    size_t grown = 0;
    for (size_t i = 0; i < w->n_edits && w->edits[i].end <= at; i++)
        grown = w->edits[i].grown;
    return at - grown;
}

int xn_json_parse(const char *text, size_t size, const char *name, json_t **out, struct xn_error *err) {
    *out = NULL;
    struct rewrite w = {0};
    if (rewrite(text, size, &w) != 0) {
        free(w.text);
        free(w.edits);
        return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", name);
    }
    json_error_t why;
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
    *out = w.text ? json_loadb(w.text, w.size, flags, &why) : json_loadb(text, size, flags, &why);
    int status = XN_OK;
    if (!*out) {
        size_t at = original_place(&w, why.position > 0 ? (size_t)why.position : 0), line = 1, column = 0;
        for (size_t i = 0; i < at && i < size; i++) {
            column++;
            if (text[i] == '\n') line++, column = 0;
        }
        bool memory = json_error_code(&why) == json_error_out_of_memory;
        status = xn_fail(err, memory ? XN_ERR_NOMEM : XN_ERR_FORMAT, "%s: line %zu, column %zu: %s", name, line, column,
                         why.text);
    }
    free(w.text);
    free(w.edits);
    return status;
}

int xn_json_file(const char *path, size_t limit, json_t **out, struct xn_error *err) {
    *out = NULL;
    char *text;
    size_t size;
    XN_TRY(xn_read_file(path, limit, &text, &size, err));
    int status = xn_json_parse(text, size, path, out, err);
    free(text);
    return status;
}

bool xn_json_float(const json_t *value, double *out) {
    if (json_is_number(value)) {
        *out = json_number_value(value);
        return true;
    }
    const char *name = json_object_size(value) == 1 ? json_string_value(json_object_get(value, "__float__")) : NULL;
    if (!name) return false;
    if (strcmp(name, "NaN") == 0)
        *out = (double)NAN;
    else if (strcmp(name, "Infinity") == 0)
        *out = (double)INFINITY;
    else if (strcmp(name, "-Infinity") == 0)
        *out = -(double)INFINITY;
    else
        return false;
    return true;
}
