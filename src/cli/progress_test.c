// The text of the progress line, and Ctrl-C as a flag that can be waited for.
#include "cli/progress.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>

#include <cmocka.h>

static void text_of_the_line(void **state) {
    (void)state;
    static const struct {
        const char *what;
        uint64_t done, total;
        double seconds;
        const char *text;
    } cases[] = {
        {"prompt", 0, 100, 0, "prompt   0%"},
        {"prompt", 50, 100, 2, "prompt  50%, 25.0 tokens/s, 0:02 left"},
        {"prompt", 100, 100, 4, "prompt 100%, 25.0 tokens/s, 0:00 left"},
        {"loading", 1000000000, 4000000000, 2, "loading  25%, 0.50 GB/s, 0:06 left"},
        {"writing", 1000000000, 3000000000, 1, "writing  33%, 1.00 GB/s, 0:02 left"},
        {"building kernels", 3, 12, 6, "building kernels  25%, 0.5 kernels/s, 0:18 left"},
        {"perplexity", 1, 7201, 1, "perplexity   0%, 1.0 tokens/s, 2:00:00 left"},
        {"prompt", 0, 0, 1, "prompt 100%"},
        {"prompt", 1, UINT64_MAX, 1, "prompt   0%, 1.0 tokens/s"}, // a time that nobody waits for
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[160];
        xn_progress_format(text, sizeof text, cases[i].what, cases[i].done, cases[i].total, cases[i].seconds);
        assert_string_equal(text, cases[i].text);
    }
}

static int readable(void) {
    struct pollfd wait = {.fd = xn_interrupt_descriptor(), .events = POLLIN};
    return poll(&wait, 1, 0);
}

static void interrupts_can_be_waited_for(void **state) {
    (void)state;
    assert_int_equal(xn_interrupt_descriptor(), -1);
    xn_interrupt_catch();
    assert_false(xn_interrupted());
    assert_int_equal(readable(), 0);
    assert_int_equal(xn_progress_report(xn_progress_line(), "prompt", 1, 2), 0);
    for (int round = 0; round < 3; round++) { // a reset makes the next one a first one again
        raise(SIGINT);
        assert_true(xn_interrupted());
        assert_int_equal(readable(), 1);
        assert_int_not_equal(xn_progress_report(xn_progress_line(), "prompt", 1, 2), 0);
        xn_interrupt_reset();
        assert_false(xn_interrupted());
        assert_int_equal(readable(), 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_the_line),
        cmocka_unit_test(interrupts_can_be_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
