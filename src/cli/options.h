// Command-line options: one declared table a command, from which both the parser and --help are made.
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum xn_option_kind {
    XN_OPTION_FLAG,   // value: bool *, set to true; takes no argument
    XN_OPTION_INT,    // value: int64_t *, min <= v <= max
    XN_OPTION_FLOAT,  // value: double *, finite, min <= v <= max
    XN_OPTION_STRING, // value: const char **, a pointer into argv
    XN_OPTION_LIST,   // value: struct xn_strings *, one more string each time the option is given
    XN_OPTION_CHOICE, // value: const char **, one of the words of `choices`
};

// Strings given to an option that may be repeated (pointers into argv). free(items).
struct xn_strings {
    const char **items;
    size_t n, capacity;
};

struct xn_option {
    char letter;      // 0: no short form
    const char *name; // without the dashes
    enum xn_option_kind kind;
    void *value;          // left as it is where the option is not given
    const char *argument; // what --help calls the argument; NULL for flags
    const char *help;     // one line
    double min, max;      // INT and FLOAT
    const char *choices;  // CHOICE: "f32 f16"
};

// A command's line: what it takes and how --help describes it.
struct xn_usage {
    const char *command;             // "run"
    const char *synopsis;            // "[MODEL] [PROMPT] [options]"
    const char *about;               // what the command does; several lines
    const struct xn_option *options; // ends with a row whose name is NULL; --help need not be in it
    size_t min_arguments, max_arguments;
    const char *examples; // lines, each a command and what it shows; NULL: none
};

// Parses argv[1] ... argv[argc - 1] (argv[0] is the command's name). Options may stand anywhere; "--" ends them, "-" is
// an argument. Accepts --name=V, --name V, the same with one dash, -nV, -n V and joined flags (-qv). The arguments that
// are no options are moved, in their order, to argv[1] ... argv[*n_arguments]. Returns XN_OK, or XN_ERR_ARGUMENT with a
// message that names the option (and for an unknown one its nearest neighbour), or XN_ERR_NOMEM. *help is set where
// --help or -h was met: the rest is then not looked at.
int xn_options_parse(const struct xn_usage *usage, int argc, char **argv, size_t *n_arguments, bool *help,
                     struct xn_error *err);

// Writes the text of --help.
void xn_options_help(const struct xn_usage *usage, FILE *out);

// Of n names the one nearest to `word` by edit distance, or NULL where none is near.
const char *xn_nearest_name(const char *word, const char *const *names, size_t n);

// What the commands call: parses, and prints help or the error. Returns -1 to go on, else the exit status.
int xn_options(const struct xn_usage *usage, int argc, char **argv, size_t *n_arguments);
