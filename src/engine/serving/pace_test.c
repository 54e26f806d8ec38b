// When to ask again: a queue is played through with requests that take known times, and the answer is held to when half
// of it has really gone.
#include "engine/serving/pace.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { SLOTS_MOST = 16, WAITING = 20 };

// Slots that are always taken; `seconds` a request, and more by up to `spread` of it.
struct play {
    double ends[SLOTS_MOST], now, seconds, spread;
    uint32_t slots, random;
};

static double draw_seconds(struct play *p) {
    p->random = p->random * 1664525 + 1013904223;
    return p->seconds * (1 + p->spread * (double)(p->random >> 8) / (1 << 24));
}

// Goes on to the next request that ends, and begins another.
static void next(struct play *p) {
    uint32_t first = 0;
    for (uint32_t i = 1; i < p->slots; i++)
        if (p->ends[i] < p->ends[first]) first = i;
    p->now = p->ends[first];
    p->ends[first] += draw_seconds(p);
}

static void half_of_a_queue_has_gone_by_then(void **unused) {
    (void)unused;
    for (uint32_t slots = 1; slots <= SLOTS_MOST; slots *= 4)
        for (double seconds = 0.05; seconds < 30; seconds *= 3)
            for (double spread = 0; spread < 2; spread++) {
                struct play p = {.slots = slots, .seconds = seconds, .spread = spread, .now = 1000, .random = slots};
                struct xn_pace pace = {0};
                for (uint32_t i = 0; i < slots; i++) // they began at different times
                    p.ends[i] = p.now + draw_seconds(&p) * (i + 1) / slots;
                xn_pace_form(&pace, p.now);
                for (int i = 0; i < 60; i++) {
                    next(&p);
                    xn_pace_end(&pace, p.now);
                }
                double said = xn_pace_wait(&pace, p.now, WAITING, slots), begin = p.now;
                for (int i = 0; i < WAITING / 2; i++)
                    next(&p);
                double took = p.now - begin;
                if (took < XN_PACE_LEAST) took = XN_PACE_LEAST;
                if (took > XN_PACE_MOST) took = XN_PACE_MOST;
                assert_true(said >= floor(took * 0.7) && said <= ceil(took * 1.4));
            }
}

static void bounds(void **unused) {
    (void)unused;
    struct xn_pace pace = {0};
    xn_pace_form(&pace, 5);
    assert_int_equal(xn_pace_wait(&pace, 5, 4, 2), 1); // nothing is known yet
    assert_int_equal(xn_pace_wait(&pace, 9, 4, 2), 4); // two slots that took 4 s so far, two places
    assert_int_equal(xn_pace_wait(&pace, 9, 5, 2), 6);
    assert_int_equal(xn_pace_wait(&pace, 5000, 4, 2), 60);
    assert_int_equal(xn_pace_wait(&pace, 9, UINT32_MAX, 1), 60);
    assert_int_equal(xn_pace_wait(&pace, 9, 1, UINT32_MAX), 1);
}

static void times_without_a_queue_do_not_count(void **unused) {
    (void)unused;
    struct xn_pace pace = {0};
    double now = 100;
    for (int i = 0; i < 40; i++) { // each queue is one request that soon gets a slot
        xn_pace_form(&pace, now += 500);
        xn_pace_end(&pace, now += 0.001);
    }
    xn_pace_form(&pace, now += 500);
    for (int i = 0; i < 6; i++)
        xn_pace_end(&pace, now += 3);
    assert_int_equal(xn_pace_wait(&pace, now, 2, 1), 3);
    // The last queue's intervals stand until there are new ones.
    xn_pace_form(&pace, now += 500);
    assert_int_equal(xn_pace_wait(&pace, now, 8, 1), 12);
    // Slower ones than before show at once.
    assert_int_equal(xn_pace_wait(&pace, now + 10, 8, 1), 40);
}

static void what_was_long_ago_is_forgotten(void **unused) {
    (void)unused;
    struct xn_pace pace = {0};
    double now = 0;
    xn_pace_form(&pace, now);
    for (int i = 0; i < 50; i++)
        xn_pace_end(&pace, now += 20);
    for (int i = 0; i < 100; i++)
        xn_pace_end(&pace, now += 0.5);
    assert_int_equal(xn_pace_wait(&pace, now, 8, 4), 3); // 4 * 0.5 s, and a little of what was
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_of_a_queue_has_gone_by_then),
        cmocka_unit_test(bounds),
        cmocka_unit_test(times_without_a_queue_do_not_count),
        cmocka_unit_test(what_was_long_ago_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
