// The size of pieces of prompts: no step takes longer than three plain ones once it has been learned what rows cost, on
// devices of very different ratios, and little of the time that is allowed is left unused.
#include "engine/serving/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// What a step costs: rows are free up to `free`, then each costs `row`; each generating sequence costs `stream`.
struct device {
    double base, stream, row;
    uint32_t free;
};
static uint32_t noise_state;

static double seconds_of(const struct device *d, uint32_t streams, uint32_t rows, double noise) {
    noise_state = noise_state * 1664525 + 1013904223;
    double factor = 1 + noise * ((double)(noise_state >> 8) / (1 << 24) - 0.5);
    uint32_t all = streams + rows;
    return factor * (d->base + d->stream * streams + (all > d->free ? d->row * (all - d->free) : 0));
}

static void run(const struct device *d, uint32_t streams, double noise) {
    enum { BATCH = 512, STEPS = 400, LEARNING = 30 };
    struct xn_budget b;
    uint32_t unused = 0, late = 0;
    xn_budget_init(&b);
    xn_budget_learn(&b, 0, BATCH, seconds_of(d, 0, BATCH, noise)); // the prompts of the first
    for (int i = 0; i < 20; i++)
        xn_budget_learn(&b, streams, 0, seconds_of(d, streams, 0, noise));
    double plain = seconds_of(d, streams, 0, 0);
    for (int i = 0; i < STEPS; i++) {
        uint32_t rows = xn_budget_rows(&b, streams, BATCH - streams);
        assert_in_range(rows, 1, BATCH - streams);
        double seconds = seconds_of(d, streams, rows, noise);
        xn_budget_learn(&b, streams, rows, seconds);
        if (i < LEARNING) continue;
        late += rows > 4 && seconds > 3 * plain * (1 + noise);
        unused += rows < BATCH - streams && seconds_of(d, streams, rows, 0) < 2 * plain;
        if (i % 10 == 0) xn_budget_learn(&b, streams, 0, seconds_of(d, streams, 0, noise));
    }
    assert_true(late <= (noise > 0 ? STEPS / 50 : 0)); // what one late step says of another is not certain
    assert_true(unused < STEPS / 20);
}

static void pieces_fit_the_device(void **unused) {
    (void)unused;
    static const struct device devices[] = {
        {0.025, 0.007, 0.005, 0},    // a small processor
        {0.020, 0.0001, 0.0002, 64}, // a GPU: many rows cost what one does
        {0.002, 0.0, 0.00002, 256},  // a large one
        {0.5, 0.1, 0.08, 4},         // a model from slow memory
    };
    for (int d = 0; d < 4; d++)
        for (uint32_t streams = 1; streams <= 64; streams *= 4) {
            run(&devices[d], streams, 0);
            run(&devices[d], streams, 0.2);
        }
}

// One step that took long (another program, say) does not keep pieces small for long.
static void a_late_step_is_soon_forgotten(void **unused) {
    (void)unused;
    const struct device d = {0.025, 0.007, 0.005, 0};
    struct xn_budget b;
    xn_budget_init(&b);
    xn_budget_learn(&b, 0, 512, seconds_of(&d, 0, 512, 0));
    xn_budget_learn(&b, 4, 0, seconds_of(&d, 4, 0, 0));
    uint32_t rows = xn_budget_rows(&b, 4, 500);
    assert_true(rows >= 16);
    xn_budget_learn(&b, 4, rows, 10);
    assert_true(xn_budget_rows(&b, 4, 500) < rows);
    for (int i = 0; i < 5; i++) {
        uint32_t now = xn_budget_rows(&b, 4, 500);
        xn_budget_learn(&b, 4, now, seconds_of(&d, 4, now, 0));
    }
    assert_true(xn_budget_rows(&b, 4, 500) > rows / 2);
}

// Prompts that never cease leave no plain step to be timed; what a stream costs alone is then found from mixed ones.
static void without_plain_steps(void **unused) {
    (void)unused;
    const struct device d = {0.018, 0.007, 0.003, 0}; // as measured, an AVX2 machine
    for (uint32_t streams = 2; streams <= 16; streams *= 2) {
        struct xn_budget b;
        uint32_t rows = 0;
        xn_budget_init(&b);
        xn_budget_learn(&b, 0, 62, seconds_of(&d, 0, 62, 0));
        xn_budget_learn(&b, 1, 0, seconds_of(&d, 1, 0, 0));
        xn_budget_learn(&b, 0, 265, seconds_of(&d, 0, 265, 0));
        for (int i = 0; i < 40; i++) {
            rows = xn_budget_rows(&b, streams, 500);
            xn_budget_learn(&b, streams, rows, seconds_of(&d, streams, rows, 0.1));
        }
        double plain = seconds_of(&d, streams, 0, 0), took = seconds_of(&d, streams, rows, 0);
        if (took > 3 * plain || took < 1.3 * plain)
            fail_msg("%u streams and %u rows take %g s, %g without the rows", streams, rows, took, plain);
    }
}

// The little that is known at first decides.
static void unknown_devices_begin_with_little(void **unused) {
    (void)unused;
    struct xn_budget b;
    xn_budget_init(&b);
    assert_int_equal(xn_budget_rows(&b, 3, 500), 16);
    assert_int_equal(xn_budget_rows(&b, 3, 2), 2);
    xn_budget_learn(&b, 3, 0, 0.1);
    xn_budget_learn(&b, 0, 100, 0.1); // rows cost next to nothing
    assert_in_range(xn_budget_rows(&b, 3, 500), 32, 500);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_fit_the_device),
        cmocka_unit_test(a_late_step_is_soon_forgotten),
        cmocka_unit_test(without_plain_steps),
        cmocka_unit_test(unknown_devices_begin_with_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
