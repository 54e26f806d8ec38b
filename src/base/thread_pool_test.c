// The thread pool: every thread runs, barriers order what is written, and neither start, stop nor crowding loses a
// wake-up.
#include "base/thread_pool.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct shared {
    struct xn_pool *pool;
    uint32_t rounds;
    uint32_t cell[64];
    atomic_uint items, wrong;
};

// Each round every thread writes its cell; after the barrier it must see all cells of that round.
static void exchange(void *user, uint32_t thread, uint32_t threads) {
    struct shared *s = user;
    for (uint32_t round = 1; round <= s->rounds; round++) {
        s->cell[thread] = round;
        xn_pool_barrier(s->pool, thread);
        for (uint32_t i = 0; i < threads; i++)
            if (s->cell[i] != round) atomic_fetch_add(&s->wrong, 1);
        xn_pool_barrier(s->pool, thread);
        for (uint32_t i; (i = xn_pool_next(s->pool, thread)) < 100;)
            atomic_fetch_add(&s->items, 1);
        xn_pool_barrier(s->pool, thread);
    }
}

static void try_pool(uint32_t threads, uint32_t runs, uint32_t rounds) {
    struct xn_error err;
    struct shared s = {.rounds = rounds};
    assert_int_equal(xn_pool_create(threads, &s.pool, &err), XN_OK);
    assert_int_equal(xn_pool_threads(s.pool), threads);
    for (uint32_t i = 0; i < runs; i++)
        xn_pool_run(s.pool, exchange, &s);
    assert_int_equal(atomic_load(&s.wrong), 0);
    assert_int_equal(atomic_load(&s.items), runs * rounds * 100);
    xn_pool_free(s.pool);
}

static void barriers_order_what_threads_write(void **state) {
    (void)state;
    for (uint32_t threads = 1; threads <= 4; threads++)
        try_pool(threads, 50, 20);
}

// Every item once, those of a thread's own part in ascending order first; thread 0 comes late, so that others do most
// of its part.
enum { TAKEN = 103 };
struct taking {
    struct xn_pool *pool;
    uint32_t n;
    atomic_uint times[TAKEN], wrong;
};

static void take_all(void *user, uint32_t thread, uint32_t threads) {
    struct taking *s = user;
    for (int round = 0; round < 3; round++) {
        uint32_t begin = (uint32_t)((uint64_t)s->n * thread / threads), own = begin;
        uint32_t end = (uint32_t)((uint64_t)s->n * (thread + 1) / threads);
        if (thread == 0) usleep(200);
        for (uint32_t i; (i = xn_pool_take(s->pool, thread, s->n)) != UINT32_MAX;) {
            if (i >= s->n) {
                atomic_fetch_add(&s->wrong, 1);
                break;
            }
            bool mine = i >= begin && i < end;
            if (mine && i < own) atomic_fetch_add(&s->wrong, 1);
            if (mine) own = i + 1;
            atomic_fetch_add(&s->times[i], 1);
        }
        xn_pool_barrier(s->pool, thread);
    }
}

static void items_are_taken_once(void **state) {
    (void)state;
    static const uint32_t counts[] = {0, 1, 2, 5, TAKEN};
    struct xn_error err;
    for (uint32_t threads = 1; threads <= 5; threads++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            struct taking s = {.n = counts[c]};
            assert_int_equal(xn_pool_create(threads, &s.pool, &err), XN_OK);
            xn_pool_run(s.pool, take_all, &s);
            xn_pool_run(s.pool, take_all, &s);
            assert_int_equal(atomic_load(&s.wrong), 0);
            for (uint32_t i = 0; i < TAKEN; i++)
                assert_int_equal(atomic_load(&s.times[i]), i < s.n ? 6 : 0);
            xn_pool_free(s.pool);
        }
}

// Phases of items, each of which must find all items of the phases before done, each once. Threads nap at random, if
// they may; `late`: thread 1 asks for its first item when the others have done all.
enum { PHASES = 40, ITEMS = 7 };
struct phases {
    struct xn_pool *pool;
    bool naps, late;
    atomic_uint done[PHASES], wrong, all;
    uint32_t plain[PHASES][ITEMS]; // written without atomics: TSan and the reader would see a race
};

static void nap_at_random(const struct phases *s, unsigned *seed) {
    if (s->naps && rand_r(seed) % 8 == 0) usleep((useconds_t)(rand_r(seed) % 300));
}

static void do_item(struct phases *s, uint32_t phase, uint32_t item, unsigned *seed) {
    for (uint32_t i = 0; phase && i < ITEMS; i++)
        if (s->plain[phase - 1][i] != phase) atomic_fetch_add(&s->wrong, 1);
    if (phase && atomic_load(&s->done[phase - 1]) != ITEMS) atomic_fetch_add(&s->wrong, 1);
    nap_at_random(s, seed);
    s->plain[phase][item] = phase + 1;
    atomic_fetch_add(&s->done[phase], 1);
}

static void do_phases(void *user, uint32_t thread, uint32_t threads) {
    struct phases *s = user;
    unsigned seed = thread;
    (void)threads;
    while (s->late && thread == 1 && !atomic_load(&s->all))
        usleep(100);
    for (uint32_t phase = 0; phase < PHASES; phase++) {
        nap_at_random(s, &seed);
        if (phase % 2)
            for (uint32_t i; (i = xn_pool_take(s->pool, thread, ITEMS)) != UINT32_MAX;)
                do_item(s, phase, i, &seed);
        else
            for (uint32_t i; (i = xn_pool_next(s->pool, thread)) < ITEMS;)
                do_item(s, phase, i, &seed);
        // Who takes part holds up what comes later, with an item or without.
        if (xn_pool_enter(s->pool, thread)) {
            nap_at_random(s, &seed);
            if (s->late && thread == 1) atomic_fetch_add(&s->wrong, 1);
            if (phase + 1 < PHASES && atomic_load(&s->done[phase + 1])) atomic_fetch_add(&s->wrong, 1);
        }
        xn_pool_end_phase(s->pool, thread);
    }
    if (thread == 0) atomic_store(&s->all, 1);
}

static void run_phases(struct phases *s, uint32_t jobs) {
    for (uint32_t job = 0; job < jobs; job++) {
        memset(s->plain, 0, sizeof s->plain);
        atomic_store(&s->all, 0);
        for (uint32_t i = 0; i < PHASES; i++)
            atomic_store(&s->done[i], 0);
        xn_pool_run_items(s->pool, do_phases, s);
        assert_int_equal(atomic_load(&s->wrong), 0);
        for (uint32_t i = 0; i < PHASES; i++)
            assert_int_equal(atomic_load(&s->done[i]), ITEMS);
    }
}

static void phases_end_when_their_items_are_done(void **state) {
    (void)state;
    struct xn_error err;
    for (uint32_t threads = 1; threads <= 9; threads++) {
        struct phases s = {.naps = false};
        struct shared plain = {.rounds = 3};
        assert_int_equal(xn_pool_create(threads, &s.pool, &err), XN_OK);
        plain.pool = s.pool;
        run_phases(&s, 100);
        s.naps = true;
        run_phases(&s, 10);
        xn_pool_run(s.pool, exchange, &plain); // every thread, whatever it missed
        run_phases(&s, 3);
        xn_pool_run(s.pool, exchange, &plain);
        assert_int_equal(atomic_load(&plain.wrong), 0);
        assert_int_equal(atomic_load(&plain.items), 2 * 3 * 100);
        xn_pool_free(s.pool);
    }
}

static void nobody_waits_for_who_has_no_items(void **state) {
    (void)state;
    struct xn_error err;
    for (uint32_t threads = 2; threads <= 5; threads++) {
        struct phases s = {.late = true};
        assert_int_equal(xn_pool_create(threads, &s.pool, &err), XN_OK);
        run_phases(&s, 5);
        s.late = false;
        run_phases(&s, 5);
        xn_pool_free(s.pool);
    }
}

static void more_threads_than_cores_still_finish(void **state) {
    (void)state;
    try_pool(33, 3, 10);
}

static void a_pool_starts_and_stops_many_times(void **state) {
    (void)state;
    for (int i = 0; i < 50; i++)
        try_pool(3, (uint32_t)i % 3, 2);
}

// Sleeping between jobs: the workers have gone to the kernel by then, and must be woken.
static void a_sleeping_pool_wakes(void **state) {
    (void)state;
    struct xn_error err;
    struct shared s = {.rounds = 2};
    assert_int_equal(xn_pool_create(3, &s.pool, &err), XN_OK);
    for (int i = 0; i < 20; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
        xn_pool_run(s.pool, exchange, &s);
    }
    assert_int_equal(atomic_load(&s.wrong), 0);
    assert_int_equal(atomic_load(&s.items), 20 * 2 * 100);
    xn_pool_free(s.pool);
}

static void caller(void *user, uint32_t thread, uint32_t threads) {
    (void)threads;
    if (thread < 2) xn_pool_run(((struct shared *)user)->pool, exchange, user);
}

static void callers_take_turns(void **state) {
    (void)state;
    struct xn_error err;
    struct shared s = {.rounds = 5};
    struct xn_pool *callers;
    assert_int_equal(xn_pool_create(2, &s.pool, &err), XN_OK);
    assert_int_equal(xn_pool_create(2, &callers, &err), XN_OK);
    for (int i = 0; i < 20; i++)
        xn_pool_run(callers, caller, &s);
    assert_int_equal(atomic_load(&s.wrong), 0);
    assert_int_equal(atomic_load(&s.items), 20 * 2 * 5 * 100);
    xn_pool_free(callers);
    xn_pool_free(s.pool);
}

static void hostile_counts_are_errors(void **state) {
    (void)state;
    struct xn_error err;
    struct xn_pool *pool;
    assert_int_equal(xn_pool_create(XN_POOL_MAX_THREADS + 1, &pool, &err), XN_ERR_ARGUMENT);
    assert_null(pool);
    assert_true(xn_pool_default_threads() >= 1);
    assert_true(xn_pool_default_threads() <= (uint32_t)sysconf(_SC_NPROCESSORS_CONF));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(barriers_order_what_threads_write),
        cmocka_unit_test(items_are_taken_once),
        cmocka_unit_test(phases_end_when_their_items_are_done),
        cmocka_unit_test(nobody_waits_for_who_has_no_items),
        cmocka_unit_test(more_threads_than_cores_still_finish),
        cmocka_unit_test(a_pool_starts_and_stops_many_times),
        cmocka_unit_test(a_sleeping_pool_wakes),
        cmocka_unit_test(callers_take_turns),
        cmocka_unit_test(hostile_counts_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
