// GBNF: what is accepted, what is wrong with a grammar, hostile grammars, and sequences.
#include "text/grammar/testing.h"

#include "base/memory.h"

#include <time.h>

static void texts_are_accepted_or_not(void **state) {
    (void)state;
    static const struct {
        const char *grammar;
        const char *texts[14];
    } cases[] = {
        {"root ::= \"ab\"", {"+ab", "-a", "-abc", "-", "-AB"}},
        {"root ::= \"a\" | \"bc\" |", {"+a", "+bc", "+", "-b", "-abc"}},
        {"root ::= [a-c]+ [^a-c]? .", {"+ax", "+abcxy", "+a\xc3\xa9", "-a", "-", "+ab", "-axyz"}},
        {"root ::= \"a\"{2}", {"+aa", "-a", "-aaa"}},
        {"root ::= \"a\"{2,}", {"+aa", "+aaaa", "-a"}},
        {"root ::= \"a\"{0,2} \"b\"", {"+b", "+ab", "+aab", "-aaab"}},
        {"root ::= \"a\" { 1 , 2 }", {"+a", "+aa", "-", "-aaa"}},
        {"root ::= (\"a\"? \"b\"?)*", {"+", "+ab", "+bbaab", "-c"}},
        {"root ::= (\"a\"?){3}", {"+", "+a", "+aaa", "-aaaa"}},
        {"root ::= ((\"a\"*)*)* \"b\"", {"+b", "+aaab", "-aaa"}},
        {"root::=\"\\x41\\u00e9\\U0001F600\\n\\t\\r\\\\\\\"\\[\\]\"", {"+A\xc3\xa9\xf0\x9f\x98\x80\n\t\r\\\"[]", "-A"}},
        {"root ::= [\\]\\-x] [a-] [-a] [\\x30-\\u0039]", {"+]a-0", "+--a9", "-ya-0"}},
        {"root ::= [^\\x00-\\x7F]",
         {"+\xc2\x80", "+\xef\xbf\xbd", "+\xf4\x8f\xbf\xbf", "-a", "-\xc0\x80", "-\xed\xa0\x80", "-\xf4\x90\x80\x80",
          "-\xe0\x80\x80", "-\xf0\x80\x80\x80", "-\xc3", "-\xff"}},
        {"root ::= [\xce\xb1-\xcf\x89]+", {"+\xce\xb1\xce\xbb\xcf\x86\xce\xb1", "-\xce\xb0", "-\xcf\x8a", "-a"}},
        {"root ::= [\xe3\x81\x81-\xf0\x9f\x98\x80]",
         {"+\xe3\x81\x82", "+\xf0\x9f\x98\x80", "-\xf0\x9f\x98\x81", "-\xe3\x81\x80"}},
        {"# sums\nroot ::= sum # the whole\nsum ::= term (\"+\" term)*\nterm ::= [0-9]+ | (\n \"(\" sum\n \")\" )\n",
         {"+1", "+1+22", "+(1+2)+((3))", "-(1", "-1+", "-()", "-1)"}},
        {"root ::= \"a\" |\n  \"b\"\n\n\nother ::= root", {"+a", "+b"}},
        {"root ::= \"(\" root \")\" | \"\"", {"+", "+()", "+((((()))))", "-((())", "-)"}},
        {"root ::= \"a\" root | \"b\"", {"+b", "+aaab", "-aaa"}},
        {"root ::= a-1 B_2\na-1 ::= \"x\"\nB_2 ::= \"y\"", {"+xy", "-x"}},
        {"root ::= \"a\"{0,300} \"b\"", {"+b", "+aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"}},
        {"root ::= [^\\n]{3}", {"+\xc3\xa9\xe2\x82\xacx", "-ab", "-\xc3\xa9\xc3\xa9"}},
        {"root ::= \"x\" | never\nnever ::= \"y\" never", {"+x", "-y", "-yx"}},
    };
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct xn_grammar *g = gbnf(cases[i].grammar);
        wrong += count_wrong(g, cases[i].grammar, cases[i].texts);
        xn_grammar_free(g);
    }
    assert_int_equal(wrong, 0);
}

static void errors_say_where(void **state) {
    (void)state;
    static const struct {
        const char *grammar, *message;
    } cases[] = {
        {"", "g: there is no rule named 'root'"},
        {"root ::= \"a", "g:1:10: a literal is not closed"},
        {"root ::= [a", "g:1:10: a class is not closed"},
        {"root ::= [b-a]", "g:1:11: a range ends before it starts"},
        {"root ::=\n (\"a\"\n", "g:3:1: expected ')' for the '(' before"},
        {"root ::= \"\\q\"", "g:1:11: unknown escape"},
        {"root ::= \"\\x4\"", "g:1:14: expected 2 hexadecimal digits"},
        {"root ::= \"\\uD800\"", "g:1:13: U+D800 is no character"},
        {"root ::= \"\xc3\xa9\" \"\xff\"", "g:1:15: not UTF-8"},
        {"root = \"a\"", "g:1:6: expected '::=' after a rule's name"},
        {"root ::= \"a\" }", "g:1:14: expected the end of the rule, found '}'"},
        {"root ::= \"a\"{3,2}", "g:1:13: at most 2 repetitions, but at least 3"},
        {"root ::= \"a\"{999999999}", "g:1:14: more than 100000 repetitions"},
        {"root ::= \"a\"{,2}", "g:1:14: expected a number of repetitions"},
        {"root ::= \"a\"\nx ::= y\n", "g:2: rule 'y' is not defined"},
        {"root ::= \"a\"\nroot ::= \"b\"", "g:2:1: rule 'root' is defined twice"},
        {"root ::= <think>", "g:1:10: tokens in a grammar are not supported"},
        {"root ::= e\ne ::= e \"+\" e | \"1\"", "g: rule 'e' is left-recursive: it may start with itself"},
        {"root ::= a\na ::= \"x\"? b\nb ::= a \"y\" | \"z\"",
         "g: rule 'a' is left-recursive: it may start with itself"},
        {"root ::= a* a\na ::= \"x\"* root", "g: rule 'root' accepts no text: what it asks for never ends"},
        {"root ::= \"a\" root", "g: rule 'root' accepts no text: what it asks for never ends"},
        {"root ::= []", "g: rule 'root' accepts no text: what it asks for never ends"},
    };
    unsigned wrong = 0;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct xn_grammar *g;
        struct xn_error err = {0};
        const int status = xn_grammar_from_gbnf(cases[i].grammar, strlen(cases[i].grammar), "g", &g, &err);
        if (status == XN_OK || g || strcmp(err.message, cases[i].message) != 0) {
            printf("%s\n  says %s\n  not  %s\n", cases[i].grammar, err.message, cases[i].message);
            wrong++;
        }
        xn_grammar_free(g);
    }
    assert_int_equal(wrong, 0);
}

// A text with a part repeated n times, free().
static char *repeated(const char *before, const char *part, size_t n, const char *after) {
    char *text = malloc(strlen(before) + n * strlen(part) + strlen(after) + 1), *p = stpcpy(text, before);
    while (n--)
        p = stpcpy(p, part);
    strcpy(p, after);
    return text;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void hostile_grammars_end_quickly(void **state) {
    (void)state;
    char *chain = malloc(1 << 20), *p = chain; // each rule calls the next twice, in two ways: 2^40 stacks
    p += sprintf(p, "root ::= r0\n");
    for (int i = 0; i < 40; i++)
        p += sprintf(p, "r%d ::= r%d \"x\" | r%d \"y\"\n", i, i + 1, i + 1);
    sprintf(p, "r40 ::= \"z\"\n");
    char *line = malloc(1 << 20);
    p = line + sprintf(line, "root ::= r0\n");
    for (int i = 0; i < 4000; i++)
        p += sprintf(p, "r%d ::= r%d\n", i, i + 1);
    sprintf(p, "r4000 ::= \"z\"\n");
    char *const grammars[] = {
        repeated("root ::= ", "(", 100000, ""),
        repeated("root ::= ", "(", 300, "\"a\""),
        repeated("root ::= \"a\"", "*", 100, ""),
        strdup("root ::= ((((\"a\"{99999}){99999}){99999}){99999})"),
        strdup("root ::= ((((\"\"{99999}){99999}){99999}){99999})"),
        strdup("root ::= (((([^a]?){0,9999})?){0,9999}){0,9999}"),
        repeated("root ::= ", "[\\x00-\\U0010ffff] | ", 40000, ""),
        repeated("root ::= ", "a", 1 << 20, ""),
    };
    const double start = now();
    struct xn_grammar *g;
    struct xn_error err;
    for (size_t i = 0; i < sizeof grammars / sizeof *grammars; i++) {
        const int status = xn_grammar_from_gbnf(grammars[i], strlen(grammars[i]), "g", &g, &err);
        if (status == XN_OK && i != 6) fail_msg("accepted: %.60s", grammars[i]);
        if (status != XN_OK && !err.message[0]) fail_msg("no message for %.60s", grammars[i]);
        xn_grammar_free(g);
        free(grammars[i]);
    }
    // Ambiguity shows where it is followed.
    struct xn_automaton *a;
    g = gbnf(chain);
    assert_int_equal(xn_automaton_new(g, &a, &err), XN_ERR_LIMIT);
    assert_null(a);
    xn_grammar_free(g);
    g = gbnf(line);
    assert_true(accepts(g, "z"));
    xn_grammar_free(g);
    free(chain);
    free(line);
    if (now() - start > 30) fail_msg("%f seconds", now() - start);
}

static void nesting_is_bounded_and_the_texts_before_stay(void **state) {
    (void)state;
    struct xn_grammar *g = gbnf("root ::= \"(\" root \")\" | \"\"");
    struct xn_automaton *a;
    struct xn_grammar_state *s, *t;
    struct xn_error err;
    assert_int_equal(xn_automaton_new(g, &a, &err), XN_OK);
    assert_int_equal(xn_grammar_state_new(a, &s, &err), XN_OK);
    bool good = true;
    size_t depth = 0;
    for (; good && depth < 100000; depth++)
        assert_int_equal(xn_grammar_state_accept(s, "(", 1, &good, &err), XN_OK);
    depth--;
    assert_true(depth >= 1000 && depth < 10000);
    assert_int_equal(xn_grammar_state_copy(s, &t, &err), XN_OK);
    assert_true(xn_grammar_state_equal(s, t));
    for (size_t i = 0; i < depth; i++) {
        assert_false(xn_grammar_state_may_end(t));
        assert_int_equal(xn_grammar_state_accept(t, ")", 1, &good, &err), XN_OK);
        assert_true(good);
    }
    assert_true(xn_grammar_state_must_end(t));
    assert_false(xn_grammar_state_equal(s, t));
    assert_int_equal(xn_grammar_state_accept(t, ")", 1, &good, &err), XN_OK);
    assert_false(good);
    assert_true(xn_grammar_state_may_end(t)); // it stays where it was
    assert_int_equal(xn_grammar_state_accept(s, "))(", 3, &good, &err), XN_OK);
    assert_false(good);
    xn_grammar_state_free(s);
    xn_grammar_state_free(t);
    xn_automaton_free(a);
    xn_grammar_free(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_accepted_or_not),
        cmocka_unit_test(errors_say_where),
        cmocka_unit_test(hostile_grammars_end_quickly),
        cmocka_unit_test(nesting_is_bounded_and_the_texts_before_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
