// Whole operations of the processor against the plain-C ones: random shapes, batches of several spans over permuted
// cache pages, every level, one to three threads. Cases and comparison are those of `xenon check`.
#include "cpu/cpu.h"

#include "check/device.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/testing.h"

static struct xn_check_blocks *blocks;

static void run_case(const struct xn_check_device *device, uint32_t threads, const struct xn_check_wish *wish) {
    struct xn_error err = {0};
    struct xn_check_case *c;
    struct xn_check_result result;
    CHECK(xn_check_case_make(wish, blocks, &c, &err) == XN_OK, "%s", err.message);
    CHECK(xn_check_case_expect(c, &err) == XN_OK, "%s", err.message);
    CHECK(xn_check_case_run(c, device, &result, &err) == XN_OK, "%s", err.message);
    char what[sizeof c->what];
    snprintf(what, sizeof what, "%s", c->what);
    xn_check_case_free(c); // before the check, which leaves the function
    CHECK(!result.problem[0], "%s, %u threads, %s: %s", device->name, threads, what, result.problem);
}

// Random cases of an operation, others for each level and number of threads.
static void run_cases(enum xn_op_kind kind, int trials) {
#if defined(__SANITIZE_ADDRESS__)
    trials = (trials + 2) / 3; // where each takes ten times as long
#endif
    struct xn_error err;
    uint64_t state = seed;
    for (int level = 0; level < XN_CPU_LEVELS; level++)
        for (int threads = 1; threads <= 3; threads++) {
            struct xn_device *opened;
            struct xn_check_device device;
            struct xn_cpu_options options = {.threads = threads, .level = (enum xn_cpu_level)level};
            int status = xn_cpu_device_open(&options, &opened, &err);
            if (status == XN_ERR_UNSUPPORTED) continue;
            assert_int_equal(status, XN_OK);
            assert_int_equal(xn_check_device_of(opened, &device, &err), XN_OK);
            for (int i = 0; i < trials; i++)
                run_case(&device, (uint32_t)threads,
                         &(struct xn_check_wish){.kind = kind, .type = XN_TYPE_COUNT, .seed = rng(&state)});
            opened->table->free(opened);
        }
}

#define TEST(name, kind, trials)                                                                                       \
    static void name##_agrees(void **unused) {                                                                         \
        (void)unused;                                                                                                  \
        run_cases(XN_OP_##kind, trials);                                                                               \
    }
TEST(embed, EMBED, 5)
TEST(project, PROJECT, 20)
TEST(project_add, PROJECT_ADD, 20)
TEST(add, ADD, 10)
TEST(gate, GATE, 15)
TEST(head, HEAD, 10)
TEST(route, ROUTE, 15)
TEST(expert_gate, EXPERT_GATE, 12)
TEST(expert_add, EXPERT_ADD, 12)
TEST(attend, ATTEND, 15)
TEST(delta_net, DELTA_NET, 10)
TEST(state_space, STATE_SPACE, 15)
TEST(short_conv, SHORT_CONV, 10)
TEST(heads, HEADS, 12)

// A case whose results cancel: what float32 with two bfloat16 terms computes is off by 1.6e-4, as is what noise in the
// inputs changes.
static void a_recurrence_that_magnifies_agrees(void **unused) {
    (void)unused;
    const struct xn_check_wish wish = {
        .kind = XN_OP_STATE_SPACE, .type = XN_TYPE_COUNT, .seed = 1922301064328399884ull};
    for (int level = 0; level < XN_CPU_LEVELS; level++) {
        struct xn_error err;
        struct xn_device *opened;
        struct xn_check_device device;
        struct xn_cpu_options options = {.threads = 2, .level = (enum xn_cpu_level)level};
        if (xn_cpu_device_open(&options, &opened, &err) == XN_ERR_UNSUPPORTED) continue;
        assert_int_equal(xn_check_device_of(opened, &device, &err), XN_OK);
        run_case(&device, 2, &wish);
        opened->table->free(opened);
    }
}

static void what_a_machine_lacks_is_an_error(void **unused) {
    (void)unused;
    struct xn_error err;
    struct xn_device *device;
    struct xn_cpu_options options = {.threads = -1};
    assert_int_equal(xn_cpu_device_open(&options, &device, &err), XN_ERR_ARGUMENT);
    options = (struct xn_cpu_options){.threads = 1, .level = XN_CPU_LEVELS};
    assert_int_equal(xn_cpu_device_open(&options, &device, &err), XN_ERR_ARGUMENT);
    assert_null(device);
    for (int level = 0; level < XN_CPU_LEVELS; level++) {
        if (xn_cpu_level_here((enum xn_cpu_level)level)) continue;
        options.level = (enum xn_cpu_level)level;
        assert_int_equal(xn_cpu_device_open(&options, &device, &err), XN_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.message, xn_cpu_level_name(options.level)));
    }
    for (int i = 0; i < XN_CPU_LEVELS; i++)
        assert_int_equal(xn_cpu_level_from_name(xn_cpu_level_name((enum xn_cpu_level)i)), i);
    assert_int_equal(xn_cpu_level_from_name("avx9000"), -1);
}

static int make_blocks(void **unused) {
    (void)unused;
    return xn_check_blocks_make(seed, &blocks, NULL);
}
static int free_blocks(void **unused) {
    (void)unused;
    xn_check_blocks_free(blocks);
    return 0;
}

int main(void) {
    seed = test_seed(1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embed_agrees),
        cmocka_unit_test(project_agrees),
        cmocka_unit_test(project_add_agrees),
        cmocka_unit_test(add_agrees),
        cmocka_unit_test(gate_agrees),
        cmocka_unit_test(head_agrees),
        cmocka_unit_test(route_agrees),
        cmocka_unit_test(expert_gate_agrees),
        cmocka_unit_test(expert_add_agrees),
        cmocka_unit_test(attend_agrees),
        cmocka_unit_test(delta_net_agrees),
        cmocka_unit_test(state_space_agrees),
        cmocka_unit_test(short_conv_agrees),
        cmocka_unit_test(heads_agrees),
        cmocka_unit_test(a_recurrence_that_magnifies_agrees),
        cmocka_unit_test(what_a_machine_lacks_is_an_error),
    };
    return cmocka_run_group_tests(tests, make_blocks, free_blocks);
}
