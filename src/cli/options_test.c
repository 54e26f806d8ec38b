// The option parser: every kind and spelling, ranges, and messages that name what is wrong.
#include "cli/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct values {
    int64_t n;
    double temp;
    bool quiet, verbose;
    const char *prompt, *type;
    struct xn_strings stop;
};

struct outcome {
    struct values v;
    int status;
    size_t n_arguments;
    bool help;
    struct xn_error err;
    char *argv[16];
};

// Parses the words of `line` (separated by one space each; "_" stands for an empty word).
static struct outcome parse(const char *line, char *storage) {
    struct outcome o = {.v = {.n = 5, .temp = 0.5}};
    const struct xn_option options[] = {
        {'n', "predict", XN_OPTION_INT, &o.v.n, "N", "tokens", -1, 1000, NULL},
        {0, "temp", XN_OPTION_FLOAT, &o.v.temp, "X", "temperature", 0, 100, NULL},
        {'q', "quiet", XN_OPTION_FLAG, &o.v.quiet, NULL, "no numbers", 0, 0, NULL},
        {'v', "verbose", XN_OPTION_FLAG, &o.v.verbose, NULL, "more", 0, 0, NULL},
        {'p', "prompt", XN_OPTION_STRING, &o.v.prompt, "TEXT", "the prompt", 0, 0, NULL},
        {0, "type", XN_OPTION_CHOICE, &o.v.type, "TYPE", "f32 or f16", 0, 0, "f32 f16"},
        {0, "stop", XN_OPTION_LIST, &o.v.stop, "S", "ends the text", 0, 0, NULL},
        {0, NULL, XN_OPTION_FLAG, NULL, NULL, NULL, 0, 0, NULL},
    };
    const struct xn_usage usage = {"test", "[A] [B]", "tests", options, 1, 2, NULL};
    int argc = 1;
    strcpy(storage, line);
    o.argv[0] = "test";
    for (char *word = strtok(storage, " "); word; word = strtok(NULL, " "))
        o.argv[argc++] = strcmp(word, "_") == 0 ? "" : word;
    o.status = xn_options_parse(&usage, argc, o.argv, &o.n_arguments, &o.help, &o.err);
    return o;
}

static void spellings(void **state) {
    (void)state;
    char s[256];
    static const char *const same[] = {"a -n 7 -q",      "-n7 a -q", "--predict=7 --quiet a", "--predict 7 a -q",
                                       "a -qn7",         "a -qn 7",  "-q --predict=7 -- a",   "a -predict 7 -quiet",
                                       "-predict=7 -q a"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct outcome o = parse(same[i], s);
        assert_int_equal(o.status, XN_OK);
        assert_int_equal(o.v.n, 7);
        assert_true(o.v.quiet);
        assert_false(o.v.verbose);
        assert_int_equal(o.n_arguments, 1);
        assert_string_equal(o.argv[1], "a");
    }
}

static void arguments_keep_their_order(void **state) {
    (void)state;
    char s[256];
    struct outcome o = parse("first -q second --temp 2", s);
    assert_int_equal(o.status, XN_OK);
    assert_int_equal(o.n_arguments, 2);
    assert_string_equal(o.argv[1], "first");
    assert_string_equal(o.argv[2], "second");
    assert_true(o.v.temp == 2);
    o = parse("-- -n --quiet", s);
    assert_int_equal(o.status, XN_OK);
    assert_int_equal(o.n_arguments, 2);
    assert_string_equal(o.argv[1], "-n");
    assert_false(o.v.quiet);
    o = parse("-", s);
    assert_int_equal(o.n_arguments, 1);
}

static void what_is_not_given_stays(void **state) {
    (void)state;
    char s[256];
    struct outcome o = parse("a", s);
    assert_int_equal(o.v.n, 5);
    assert_true(o.v.temp == 0.5);
    assert_null(o.v.prompt);
    assert_null(o.v.type);
}

static void an_argument_may_look_like_an_option(void **state) {
    (void)state;
    char s[256];
    struct outcome o = parse("a -p --help", s);
    assert_int_equal(o.status, XN_OK);
    assert_false(o.help);
    assert_string_equal(o.v.prompt, "--help");
    o = parse("a -n -1", s);
    assert_int_equal(o.v.n, -1);
    o = parse("a --prompt=", s);
    assert_string_equal(o.v.prompt, "");
    o = parse("a --prompt=b=c", s);
    assert_string_equal(o.v.prompt, "b=c");
}

static void lists_and_choices(void **state) {
    (void)state;
    char s[256];
    struct outcome o = parse("a --stop x --stop=y --type f16", s);
    assert_int_equal(o.status, XN_OK);
    assert_int_equal(o.v.stop.n, 2);
    assert_string_equal(o.v.stop.items[0], "x");
    assert_string_equal(o.v.stop.items[1], "y");
    assert_string_equal(o.v.type, "f16");
    free(o.v.stop.items);
}

static void help_wins(void **state) {
    (void)state;
    char s[256];
    assert_true(parse("--help", s).help);
    assert_true(parse("-h", s).help);
    assert_true(parse("-qh --nonsense", s).help);
}

static void errors_name_the_option(void **state) {
    (void)state;
    char s[256];
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"", "missing argument: xenon test [A] [B]"},
        {"a b c", "unexpected argument \"c\""},
        {"a --tmep 1", "unknown option --tmep; did you mean --temp?"},
        {"a --tmep=1", "unknown option --tmep; did you mean --temp?"},
        {"a --hlp", "unknown option --hlp; did you mean --help?"},
        {"a --zzzzzzzz", "unknown option --zzzzzzzz"},
        {"a --", ""},
        {"a -z", "unknown option -z"},
        {"a -qz", "unknown option -z"},
        {"a -n", "option -n needs an argument"},
        {"a --predict", "option --predict needs an argument"},
        {"a --quiet=1", "option --quiet takes no argument, found \"1\""},
        {"a -n x", "option -n: \"x\" is no whole number"},
        {"a -predict x", "option -predict: \"x\" is no whole number"},
        {"a -n _", "option -n: \"\" is no whole number"},
        {"a -n 3x", "option -n: \"3x\" is no whole number"},
        {"a -n 1.5", "option -n: \"1.5\" is no whole number"},
        {"a -n 1001", "option -n: 1001 is out of range, expected -1 to 1000"},
        {"a -n -2", "option -n: -2 is out of range, expected -1 to 1000"},
        {"a -n 99999999999999999999", "option -n: 99999999999999999999 is out of range, expected -1 to 1000"},
        {"a --temp warm", "option --temp: \"warm\" is no number"},
        {"a --temp nan", "option --temp: nan is out of range, expected 0 to 100"},
        {"a --temp inf", "option --temp: inf is out of range, expected 0 to 100"},
        {"a --type f64", "option --type: \"f64\" is none of: f32 f16"},
        {"a --type f", "option --type: \"f\" is none of: f32 f16"},
        {"a --a-name-that-is-much-longer-than-any-option-name-may-be",
         "unknown option --a-name-that-is-much-longer-than-any-option-name-may-be"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome o = parse(cases[i].line, s);
        assert_int_equal(o.status, *cases[i].message ? XN_ERR_ARGUMENT : XN_OK);
        if (*cases[i].message) assert_string_equal(o.err.message, cases[i].message);
    }
}

static void nearest_names(void **state) {
    (void)state;
    static const char *const names[] = {"run", "bench", "info", "tokenize"};
    assert_string_equal(xn_nearest_name("runn", names, 4), "run");
    assert_string_equal(xn_nearest_name("tokenise", names, 4), "tokenize");
    assert_null(xn_nearest_name("perplexity", names, 4));
    assert_null(xn_nearest_name("", names, 4));
    assert_null(xn_nearest_name("x", names, 4));
}

static void help_shows_every_option(void **state) {
    (void)state;
    int64_t n = 0;
    const struct xn_option options[] = {
        {'n', "predict", XN_OPTION_INT, &n, "N", "tokens to generate", 0, 9, NULL},
        {0, "a-very-long-option-name", XN_OPTION_STRING, &n, "TEXT", "long", 0, 0, NULL},
        {0, NULL, XN_OPTION_FLAG, NULL, NULL, NULL, 0, 0, NULL}};
    const struct xn_usage usage = {"test", "A", "Tests.", options, 0, 0, "  xenon test x"};
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);
    xn_options_help(&usage, f);
    fclose(f);
    assert_non_null(strstr(text, "usage: xenon test A\n"));
    assert_non_null(strstr(text, "  -n, --predict N             tokens to generate\n"));
    assert_non_null(strstr(text, "      --a-very-long-option-name TEXT\n                              long\n"));
    assert_non_null(strstr(text, "  -h, --help"));
    assert_non_null(strstr(text, "examples:\n  xenon test x\n"));
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spellings),
        cmocka_unit_test(arguments_keep_their_order),
        cmocka_unit_test(what_is_not_given_stays),
        cmocka_unit_test(an_argument_may_look_like_an_option),
        cmocka_unit_test(lists_and_choices),
        cmocka_unit_test(help_wins),
        cmocka_unit_test(errors_name_the_option),
        cmocka_unit_test(nearest_names),
        cmocka_unit_test(help_shows_every_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
