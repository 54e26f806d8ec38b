// Stop strings: found whatever the borders of the pieces, nothing of them shown, nothing else lost.
#include "api/stop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct xn_error err;

// Feeds `text` in pieces of `piece` bytes; returns what is shown (free()), and whether a stop string was found.
static char *feed(const char *const *strings, size_t n, const char *text, size_t piece, bool *found) {
    struct xn_stops stops = {.strings = strings, .n = n};
    struct xn_text out = {0};
    size_t size = strlen(text);
    *found = false;
    assert_int_equal(xn_text_put(&out, "", 0, &err), XN_OK);
    for (size_t at = 0; at < size && !*found; at += piece) {
        size_t step = size - at < piece ? size - at : piece;
        assert_int_equal(xn_stops_feed(&stops, text + at, step, &out, found, &err), XN_OK);
        for (size_t i = 0; i < n; i++)
            assert_null(strings[i][0] ? strstr(out.data, strings[i]) : NULL);
    }
    if (!*found) assert_int_equal(xn_stops_end(&stops, &out, &err), XN_OK);
    xn_stops_free(&stops);
    return out.data;
}

static void every_border(void **state) {
    (void)state;
    static const char *const one[] = {"\n\nUser:"}, *const two[] = {"abc", "b"}, *const nested[] = {"aab", "xaab"},
                             *const repeated[] = {"aaab"}, *const empty[] = {"", "z"};
    static const struct {
        const char *const *strings;
        size_t n;
        const char *text, *shown;
        bool found;
    } cases[] = {
        {one, 1, "Hello\n\nUser: more", "Hello", true},
        {one, 1, "Hello\n\nUse", "Hello\n\nUse", false},
        {one, 1, "\n\n\nUser:", "\n", true},
        {one, 1, "\n\nUser:", "", true},
        {one, 1, "", "", false},
        {two, 2, "xxabc", "xxa", true},  // "b" is complete first
        {nested, 2, "xxaab", "x", true}, // both end here: the longer
        {repeated, 1, "aaaaab", "aa", true},
        {repeated, 1, "aaaaa", "aaaaa", false},
        {empty, 2, "abc", "abc", false},
        {empty, 2, "azb", "a", true},
        {one, 0, "any\n\nUser:", "any\n\nUser:", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (size_t piece = 1; piece < 20; piece++) {
            bool found;
            char *shown = feed(cases[i].strings, cases[i].n, cases[i].text, piece, &found);
            assert_string_equal(shown, cases[i].shown);
            assert_int_equal(found, cases[i].found);
            free(shown);
        }
}

static void only_what_may_become_a_stop_is_held(void **state) {
    (void)state;
    static const char *const strings[] = {"<stop>"};
    struct xn_stops stops = {.strings = strings, .n = 1};
    struct xn_text out = {0};
    bool found;
    assert_int_equal(xn_stops_feed(&stops, "a<st", 4, &out, &found, &err), XN_OK);
    assert_string_equal(out.data, "a");
    assert_int_equal(xn_stops_feed(&stops, "!", 1, &out, &found, &err), XN_OK);
    assert_string_equal(out.data, "a<st!");
    assert_int_equal(stops.held.size, 0);
    xn_stops_free(&stops);
    free(out.data);
}

static void random_against_search(void **state) {
    (void)state;
    static const char *const strings[] = {"ab", "bba", "aaaa", "bab"};
    srand(7);
    for (int round = 0; round < 2000; round++) {
        char text[24] = "";
        int n = rand() % 20;
        for (int i = 0; i < n; i++)
            text[i] = (char)('a' + rand() % 3);
        // The string that is complete first; of those that end together the longest.
        size_t end = SIZE_MAX, length = 0;
        for (size_t i = 0; i < 4; i++) {
            const char *p = strstr(text, strings[i]);
            size_t at = p ? (size_t)(p - text) + strlen(strings[i]) : SIZE_MAX;
            if (at < end || (at == end && p && strlen(strings[i]) > length)) end = at, length = strlen(strings[i]);
        }
        bool found;
        char *shown = feed(strings, 4, text, (size_t)(1 + rand() % 5), &found);
        assert_int_equal(found, end != SIZE_MAX);
        if (found) text[end - length] = 0;
        assert_string_equal(shown, text);
        free(shown);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_border),
        cmocka_unit_test(only_what_may_become_a_stop_is_held),
        cmocka_unit_test(random_against_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
