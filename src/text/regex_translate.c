// Oniguruma's syntax of regular expressions (Ruby's), rewritten as PCRE2's. What differs:
// - \s is White_Space (PCRE2 adds U+180E), \w has letters, marks, digits and connectors, \h is a hexadecimal digit;
// - a class may hold classes and && (intersection), which become alternations and look-aheads;
// - (?m) is "dot matches newline"; {,n} is {0,n}; a + after {n,m} repeats instead of making it possessive;
// - some property names.
#include "base/memory.h"
#include "text/regex.h"
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>

#define SPACE "\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define WORD "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}"
#define HEX "0-9A-Fa-f"

enum { MAX_NESTING = 64 };

struct translation {
    const char *s;
    size_t n, i;
    struct xn_text out;
    bool failed; // no memory
};

static void put(struct translation *t, const char *s, size_t n) {
    if (xn_text_append(&t->out, s, n) != XN_OK) t->failed = true;
}

static void puts_(struct translation *t, const char *s) {
    put(t, s, strlen(s));
}

static void insert(struct translation *t, size_t at, const char *s) {
    size_t n = strlen(s), tail = t->out.size - at;
    put(t, s, n);
    if (t->failed) return;
    memmove(t->out.data + at + n, t->out.data + at, tail);
    memcpy(t->out.data + at, s, n);
}

// What a backslash and a letter mean as members of a class; NULL where PCRE2 agrees.
static const char *members_of(char letter) {
    switch (letter) {
    case 's':
        return SPACE;
    case 'w':
        return WORD;
    case 'd':
        return "\\p{Nd}";
    case 'h':
        return HEX;
    default:
        return NULL;
    }
}

// The same as a negated set, which a class can't hold as members: a class of its own.
static const char *complement_of(char letter) {
    switch (letter) {
    case 'S':
        return "[^" SPACE "]";
    case 'W':
        return "[^" WORD "]";
    case 'D':
        return "\\P{Nd}";
    case 'H':
        return "[^" HEX "]";
    default:
        return NULL;
    }
}

static const struct {
    const char *name, *pcre;
} properties[] = {
    {"Letter", "L"}, {"Mark", "M"},      {"Number", "N"}, {"Punctuation", "P"}, {"Punct", "P"},
    {"Symbol", "S"}, {"Separator", "Z"}, {"Digit", "Nd"}, {"Upper", "Lu"},      {"Lower", "Ll"},
    {"Alpha", "L"},  {"Other", "C"},     {"Cntrl", "Cc"},
};

// Copies \p{...}, \P{...} or \x{...} at i (the backslash) with the name that PCRE2 knows. False where it is no such
// thing.
static bool braced_escape(struct translation *t) {
    if (t->i + 2 >= t->n || !strchr("pPx", t->s[t->i + 1]) || t->s[t->i + 2] != '{') return false;
    const char *close = memchr(t->s + t->i, '}', t->n - t->i);
    if (!close) return false;
    size_t end = (size_t)(close - t->s) + 1, name = t->i + 3;
    bool negated = name < end && t->s[name] == '^';
    if (negated) name++;
    put(t, t->s + t->i, 3);
    if (negated) put(t, "^", 1);
    const char *text = NULL;
    for (size_t k = 0; k < sizeof properties / sizeof *properties; k++)
        if (end - 1 - name == strlen(properties[k].name) &&
            memcmp(t->s + name, properties[k].name, end - 1 - name) == 0)
            text = properties[k].pcre;
    if (text && t->s[t->i + 1] != 'x')
        puts_(t, text);
    else
        put(t, t->s + name, end - 1 - name);
    put(t, "}", 1);
    t->i = end;
    return true;
}

// A class at i (its bracket) becomes an expression that matches one character.
static void character_class(struct translation *t, int depth) {
    size_t begin = t->out.size;
    bool negated = false;
    t->i++;
    if (t->i < t->n && t->s[t->i] == '^') {
        negated = true;
        t->i++;
    }
    // Each operand of && is an alternation: (?: [flat members] | nested | ... ). The flat members go to `flat`, the
    // others to out.
    struct translation flat = {.s = t->s, .n = t->n};
    bool simple = true, first = true, closed = false;
    size_t operand = t->out.size;
    while (t->i < t->n && !t->failed) {
        char c = t->s[t->i];
        if (c == ']' && !first) {
            t->i++;
            closed = true;
            break;
        }
        first = false;
        if (c == '&' && t->i + 1 < t->n && t->s[t->i + 1] == '&') {
            // Close this operand as a look-ahead; the last one matches.
            simple = false;
            if (flat.out.size) {
                puts_(t, t->out.size > operand ? "|[" : "[");
                put(t, flat.out.data, flat.out.size);
                puts_(t, "]");
                flat.out.size = 0;
            }
            insert(t, operand, "(?=");
            puts_(t, ")");
            operand = t->out.size;
            t->i += 2;
            continue;
        }
        const char *nested = NULL;
        if (c == '[') {
            const char *posix = t->i + 1 < t->n && t->s[t->i + 1] == ':' ? strstr(t->s + t->i, ":]") : NULL;
            if (posix) {
                size_t end = (size_t)(posix - t->s) + 2;
                put(&flat, t->s + t->i, end - t->i);
                t->i = end;
                continue;
            }
            simple = false;
            if (t->out.size > operand) puts_(t, "|");
            if (depth < MAX_NESTING)
                character_class(t, depth + 1);
            else
                t->i = t->n;
            continue;
        }
        if (c == '\\' && t->i + 1 < t->n) {
            char letter = t->s[t->i + 1];
            const char *members = members_of(letter);
            nested = complement_of(letter);
            if (members) {
                puts_(&flat, members);
                t->i += 2;
            } else if (nested) {
                simple = false;
                if (t->out.size > operand) puts_(t, "|");
                puts_(t, nested);
                t->i += 2;
            } else {
                flat.i = t->i;
                if (!braced_escape(&flat)) {
                    put(&flat, t->s + t->i, 2);
                    flat.i = t->i + 2;
                }
                t->i = flat.i;
            }
            continue;
        }
        if (c == '^') put(&flat, "\\", 1);
        put(&flat, &c, 1);
        t->i++;
    }
    if (!closed) simple = false;
    if (simple) {
        puts_(t, negated ? "[^" : "[");
        put(t, flat.out.data, flat.out.size);
        puts_(t, "]");
    } else if (!closed) {
        puts_(t, "["); // PCRE2 reports what is missing
    } else {
        if (flat.out.size) {
            puts_(t, t->out.size > operand ? "|[" : "[");
            put(t, flat.out.data, flat.out.size);
            puts_(t, "]");
        }
        insert(t, operand, "(?:");
        puts_(t, ")");
        insert(t, begin, negated ? "(?:(?!" : "(?:");
        puts_(t, negated ? ")(?s:.))" : ")");
    }
    t->failed = t->failed || flat.failed;
    free(flat.out.data);
}

// {n}, {n,}, {n,m} or {,m} at i: its length; 0 where the brace is an ordinary character.
static size_t interval(const struct translation *t) {
    size_t i = t->i + 1, digits = 0;
    bool comma = false;
    for (; i < t->n && t->s[i] != '}'; i++) {
        if (t->s[i] == ',' && !comma)
            comma = true;
        else if (t->s[i] >= '0' && t->s[i] <= '9')
            digits++;
        else
            return 0;
    }
    return i < t->n && digits ? i + 1 - t->i : 0;
}

// (?m) and the like at i, just after "(?": Ruby's m is PCRE2's s.
static void group_options(struct translation *t) {
    size_t end = t->i;
    while (end < t->n && strchr("imx-", t->s[end]) && t->s[end])
        end++;
    if (end == t->i || end >= t->n || (t->s[end] != ':' && t->s[end] != ')')) return;
    for (; t->i < end; t->i++)
        put(t, t->s[t->i] == 'm' ? "s" : t->s + t->i, 1);
}

char *xn_regex_translate(const char *pattern, size_t size) {
    // A copy, NUL-terminated, for the searches above.
    char *copy = xn_strndup(pattern, size);
    if (!copy) return NULL;
    struct translation t = {.s = copy, .n = size};
    size_t groups[MAX_NESTING] = {0}, depth = 0, atom = 0;
    put(&t, "", 0);
    while (t.i < t.n && !t.failed) {
        char c = t.s[t.i];
        if (c == '[') {
            atom = t.out.size;
            character_class(&t, 0);
        } else if (c == '\\' && t.i + 1 < t.n) {
            atom = t.out.size;
            const char *members = members_of(t.s[t.i + 1]), *complement = complement_of(t.s[t.i + 1]);
            if (members) {
                puts_(&t, "[");
                puts_(&t, members);
                puts_(&t, "]");
                t.i += 2;
            } else if (complement) {
                puts_(&t, complement);
                t.i += 2;
            } else if (!braced_escape(&t)) {
                put(&t, t.s + t.i, 2);
                t.i += 2;
            }
        } else if (c == '(') {
            if (depth < MAX_NESTING) groups[depth] = t.out.size;
            depth++;
            put(&t, &c, 1);
            t.i++;
            if (t.i < t.n && t.s[t.i] == '?') {
                put(&t, "?", 1);
                t.i++;
                group_options(&t);
            }
        } else if (c == ')') {
            if (depth) depth--;
            atom = depth < MAX_NESTING ? groups[depth] : t.out.size;
            put(&t, &c, 1);
            t.i++;
        } else if (c == '{' && interval(&t)) {
            size_t length = interval(&t);
            put(&t, "{", 1);
            if (t.s[t.i + 1] == ',') put(&t, "0", 1);
            put(&t, t.s + t.i + 1, length - 1);
            t.i += length;
            if (t.i < t.n && t.s[t.i] == '+') {
                insert(&t, atom, "(?:");
                puts_(&t, ")+");
                t.i++;
            }
        } else if (c == '*' || c == '+' || c == '?' || c == '|') {
            put(&t, &c, 1);
            t.i++;
        } else {
            atom = t.out.size;
            size_t length = xn_utf8_step(t.s + t.i, t.n - t.i);
            put(&t, t.s + t.i, length);
            t.i += length;
        }
    }
    free(copy);
    if (t.failed) {
        free(t.out.data);
        return NULL;
    }
    return t.out.data;
}
