#include "cli/options.h"

#include "base/memory.h"
#include "cli/cli.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_NAME = 32 }; // words longer than this are near to nothing

// Levenshtein distance of two words shorter than LONGEST_NAME.
static size_t edit_distance(const char *a, const char *b) {
    size_t n = strlen(b), row[LONGEST_NAME + 1];
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < n; j++) {
            size_t best = diagonal + (a[i] != b[j]);
            if (row[j] + 1 < best) best = row[j] + 1;
            diagonal = row[j + 1];
            if (diagonal + 1 < best) best = diagonal + 1;
            row[j + 1] = best;
        }
    }
    return row[n];
}

const char *xn_nearest_name(const char *word, const char *const *names, size_t n) {
    if (strlen(word) > LONGEST_NAME) return NULL;
    const char *nearest = NULL;
    size_t least = 3; // more than two changes is another word
    for (size_t i = 0; i < n; i++) {
        size_t length = strlen(names[i]);
        if (length > LONGEST_NAME) continue;
        size_t distance = edit_distance(word, names[i]);
        if (distance < least && distance < length) {
            least = distance;
            nearest = names[i];
        }
    }
    return nearest;
}

static int unknown(const struct xn_usage *usage, const char *word, struct xn_error *err) {
    const char *names[128] = {"help"};
    size_t n = 1;
    for (const struct xn_option *o = usage->options; o->name && n < sizeof names / sizeof *names; o++)
        names[n++] = o->name;
    size_t length = strcspn(word, "=");
    char name[LONGEST_NAME + 1] = "";
    if (length <= LONGEST_NAME) memcpy(name, word, length);
    const char *nearest = name[0] ? xn_nearest_name(name, names, n) : NULL;
    return xn_fail(err, XN_ERR_ARGUMENT, "unknown option --%.*s%s%s%s", (int)length, word,
                   nearest ? "; did you mean --" : "", nearest ? nearest : "", nearest ? "?" : "");
}

static const struct xn_option *find(const struct xn_usage *usage, const char *name, size_t length, char letter) {
    for (const struct xn_option *o = usage->options; o->name; o++)
        if (letter ? o->letter == letter : strlen(o->name) == length && memcmp(o->name, name, length) == 0) return o;
    return NULL;
}

static bool is_choice(const char *choices, const char *text) {
    size_t length = strlen(text);
    for (const char *c = choices; *c; c += strspn(c, " ")) {
        size_t n = strcspn(c, " ");
        if (n == length && memcmp(c, text, n) == 0) return true;
        c += n;
    }
    return false;
}

// Stores the argument `text` (NULL for flags) of the option that was written as `spelled`.
static int store(const struct xn_option *o, const char *spelled, const char *text, struct xn_error *err) {
    char *end;
    errno = 0;
    switch (o->kind) {
    case XN_OPTION_FLAG:
        *(bool *)o->value = true;
        return XN_OK;
    case XN_OPTION_STRING:
        *(const char **)o->value = text;
        return XN_OK;
    case XN_OPTION_CHOICE:
        if (!is_choice(o->choices, text))
            return xn_fail(err, XN_ERR_ARGUMENT, "option %s: \"%s\" is none of: %s", spelled, text, o->choices);
        *(const char **)o->value = text;
        return XN_OK;
    case XN_OPTION_LIST: {
        struct xn_strings *list = o->value;
        if (XN_GROW(list->items, list->capacity, list->n + 1))
            return xn_fail(err, XN_ERR_NOMEM, "option %s: out of memory", spelled);
        list->items[list->n++] = text;
        return XN_OK;
    }
    case XN_OPTION_INT: {
        long long v = strtoll(text, &end, 10);
        if (end == text || *end)
            return xn_fail(err, XN_ERR_ARGUMENT, "option %s: \"%s\" is no whole number", spelled, text);
        if (errno || (double)v < o->min || (double)v > o->max)
            return xn_fail(err, XN_ERR_ARGUMENT, "option %s: %s is out of range, expected %.0f to %.0f", spelled, text,
                           o->min, o->max);
        *(int64_t *)o->value = v;
        return XN_OK;
    }
    case XN_OPTION_FLOAT: {
        double v = strtod(text, &end);
        if (end == text || *end) return xn_fail(err, XN_ERR_ARGUMENT, "option %s: \"%s\" is no number", spelled, text);
        if (!isfinite(v) || v < o->min || v > o->max)
            return xn_fail(err, XN_ERR_ARGUMENT, "option %s: %s is out of range, expected %g to %g", spelled, text,
                           o->min, o->max);
        *(double *)o->value = v;
        return XN_OK;
    }
    }
    return xn_fail(err, XN_ERR_ARGUMENT, "option %s: unknown kind", spelled);
}

// The argument of an option that needs one and did not carry it: the next word of the line.
static int next_word(const char *spelled, int argc, char **argv, int *i, const char **text, struct xn_error *err) {
    if (*i + 1 >= argc) return xn_fail(err, XN_ERR_ARGUMENT, "option %s needs an argument", spelled);
    *text = argv[++*i];
    return XN_OK;
}

// dashes: before the name.
static int parse_long(const struct xn_usage *usage, int argc, char **argv, int *i, int dashes, struct xn_error *err) {
    const char *word = argv[*i] + dashes, *equals = strchr(word, '='), *text = equals ? equals + 1 : NULL;
    const struct xn_option *o = find(usage, word, equals ? (size_t)(equals - word) : strlen(word), 0);
    if (!o) return unknown(usage, word, err);
    char spelled[LONGEST_NAME + 3];
    snprintf(spelled, sizeof spelled, "%.*s%s", dashes, "--", o->name);
    if (o->kind == XN_OPTION_FLAG) {
        if (text) return xn_fail(err, XN_ERR_ARGUMENT, "option %s takes no argument, found \"%s\"", spelled, text);
    } else if (!text) {
        XN_TRY(next_word(spelled, argc, argv, i, &text, err));
    }
    return store(o, spelled, text, err);
}

// Whether a word with one dash is the whole name of an option (-ngl), not letters.
static bool is_whole_name(const struct xn_usage *usage, const char *word) {
    size_t length = strcspn(word + 1, "=");
    return length > 1 && find(usage, word + 1, length, 0);
}

static int parse_short(const struct xn_usage *usage, int argc, char **argv, int *i, bool *help, struct xn_error *err) {
    for (const char *c = argv[*i] + 1; *c; c++) {
        char spelled[] = {'-', *c, 0};
        const struct xn_option *o = find(usage, NULL, 0, *c);
        if (!o && *c == 'h') {
            *help = true;
            return XN_OK;
        }
        if (!o) return xn_fail(err, XN_ERR_ARGUMENT, "unknown option %s", spelled);
        if (o->kind == XN_OPTION_FLAG) {
            XN_TRY(store(o, spelled, NULL, err));
            continue;
        }
        const char *text = c + 1;
        if (!*text) XN_TRY(next_word(spelled, argc, argv, i, &text, err));
        return store(o, spelled, text, err);
    }
    return XN_OK;
}

int xn_options_parse(const struct xn_usage *usage, int argc, char **argv, size_t *n_arguments, bool *help,
                     struct xn_error *err) {
    size_t n = 0;
    bool ended = false;
    *help = false;
    for (int i = 1; i < argc && !*help; i++) {
        char *word = argv[i];
        if (ended || word[0] != '-' || !word[1]) {
            if (n == usage->max_arguments) return xn_fail(err, XN_ERR_ARGUMENT, "unexpected argument \"%s\"", word);
            argv[1 + n++] = word;
        } else if (strcmp(word, "--") == 0) {
            ended = true;
        } else if (strcmp(word, "--help") == 0) {
            *help = true;
        } else if (word[1] == '-') {
            XN_TRY(parse_long(usage, argc, argv, &i, 2, err));
        } else if (is_whole_name(usage, word)) {
            XN_TRY(parse_long(usage, argc, argv, &i, 1, err));
        } else {
            XN_TRY(parse_short(usage, argc, argv, &i, help, err));
        }
    }
    *n_arguments = n;
    if (!*help && n < usage->min_arguments)
        return xn_fail(err, XN_ERR_ARGUMENT, "missing argument: xenon %s %s", usage->command, usage->synopsis);
    return XN_OK;
}

static void help_row(const struct xn_option *o, FILE *out) {
    char left[80];
    int n = o->letter ? snprintf(left, sizeof left, "  -%c, --%s", o->letter, o->name)
                      : snprintf(left, sizeof left, "      --%s", o->name);
    if (o->argument && n > 0 && (size_t)n < sizeof left) n += snprintf(left + n, sizeof left - n, " %s", o->argument);
    fprintf(out, "%-30s", left);
    if (n > 29) fprintf(out, "\n%-30s", "");
    fprintf(out, "%s\n", o->help);
}

void xn_options_help(const struct xn_usage *usage, FILE *out) {
    static const struct xn_option help = {'h', "help", XN_OPTION_FLAG, NULL, NULL, "this text", 0, 0, NULL};
    fprintf(out, "usage: xenon %s %s\n\n%s\n\noptions:\n", usage->command, usage->synopsis, usage->about);
    for (const struct xn_option *o = usage->options; o->name; o++)
        help_row(o, out);
    help_row(&help, out);
    if (usage->examples) fprintf(out, "\nexamples:\n%s\n", usage->examples);
}

int xn_options(const struct xn_usage *usage, int argc, char **argv, size_t *n_arguments) {
    struct xn_error err;
    bool help;
    int status = xn_options_parse(usage, argc, argv, n_arguments, &help, &err);
    if (status != XN_OK) {
        xn_cli_error("%s: %s (see xenon %s --help)", usage->command, err.message, usage->command);
        return status == XN_ERR_ARGUMENT ? XN_EXIT_USAGE : XN_EXIT_FAILED;
    }
    if (!help) return -1;
    xn_options_help(usage, stdout);
    return XN_EXIT_OK;
}
