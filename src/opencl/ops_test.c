// Whole operations of every OpenCL device against the plain-C ones, by the cases of `xenon check`: in random formats,
// with memory in one piece and cut into many.
//
// XENON_TEST_SEED (base/testing.h) gives other cases, XENON_TEST_ONLY runs one test.
#include "base/testing.h"
#include "check/device.h"
#include "device/cache.h"
#include "opencl/executor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "opencl/testing.h"

static struct xn_check_blocks *blocks;
static uint64_t seed;
static uint32_t n_devices;

static void run_case(const struct xn_check_device *device, const struct xn_check_wish *wish) {
    struct xn_error err = {0};
    struct xn_check_case *c;
    struct xn_check_result result;
    if (xn_check_case_make(wish, blocks, &c, &err) != XN_OK || xn_check_case_expect(c, &err) != XN_OK ||
        xn_check_case_run(c, device, &result, &err) != XN_OK)
        fail_msg("%s", err.message);
    char what[sizeof c->what];
    snprintf(what, sizeof what, "%s", c->what);
    xn_check_case_free(c);
    if (result.problem[0])
        fail_msg("%s, seed %llu, %s: %s", device->name, (unsigned long long)seed, what, result.problem);
}

static void run_cases(enum xn_op_kind kind, int trials, struct xn_opencl_options options) {
    struct xn_error err;
    uint64_t state = seed + (uint64_t)kind;
    options.cache = test_cache();
    for (options.index = 0; options.index < n_devices; options.index++) {
        struct xn_check_device device;
        struct xn_device *opened = test_open(options);
        assert_int_equal(xn_check_device_of(opened, &device, &err), XN_OK);
        for (int i = 0; i < trials; i++)
            run_case(&device,
                     &(struct xn_check_wish){.kind = kind, .type = XN_TYPE_COUNT, .seed = test_random(&state)});
        opened->table->free(opened);
    }
}

#define TEST(name, kind, trials)                                                                                       \
    static void name##_agrees(void **unused) {                                                                         \
        (void)unused;                                                                                                  \
        run_cases(XN_OP_##kind, trials, (struct xn_opencl_options){0});                                                \
    }
TEST(embed, EMBED, 15)
TEST(project, PROJECT, 40)
TEST(project_add, PROJECT_ADD, 40)
TEST(add, ADD, 20)
TEST(gate, GATE, 30)
TEST(head, HEAD, 20)
TEST(route, ROUTE, 30)
TEST(expert_gate, EXPERT_GATE, 25)
TEST(expert_add, EXPERT_ADD, 25)
TEST(attend, ATTEND, 60)
TEST(delta_net, DELTA_NET, 30)
TEST(state_space, STATE_SPACE, 40)
TEST(short_conv, SHORT_CONV, 20)
TEST(heads, HEADS, 25)

// Every kind of array in pieces, on several heaps: weights, pages, slots.
static void pieces_agree(void **unused) {
    (void)unused;
    static const enum xn_op_kind kinds[] = {XN_OP_EMBED,  XN_OP_PROJECT,   XN_OP_EXPERT_ADD,
                                            XN_OP_ATTEND, XN_OP_DELTA_NET, XN_OP_SHORT_CONV};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        run_cases(kinds[i], 12, (struct xn_opencl_options){.heap_bytes = 4 << 20, .piece_bytes = 64 << 10});
}

// Products in every format that there is.
static void every_format_agrees(void **unused) {
    (void)unused;
    struct xn_error err;
    uint64_t state = seed;
    struct xn_check_device device;
    struct xn_device *opened = test_open((struct xn_opencl_options){.cache = test_cache()});
    assert_int_equal(xn_check_device_of(opened, &device, &err), XN_OK);
    for (uint32_t type = 0; type < XN_TYPE_COUNT; type++) {
        const struct xn_format *f = xn_format_of(type);
        static const uint32_t rows[] = {1, 7, 40};
        for (size_t i = 0; f && f->decode && i < sizeof rows / sizeof *rows; i++)
            run_case(&device, &(struct xn_check_wish){.kind = XN_OP_PROJECT_ADD,
                                                      .type = type,
                                                      .rows = rows[i],
                                                      .columns = f->block_values == 1 ? 1056 : 5 * 256,
                                                      .outputs = 77,
                                                      .seed = test_random(&state)});
    }
    opened->table->free(opened);
}

// Caches of every type: what project stores, and what attend reads of them.
static void cache_types_agree(void **unused) {
    (void)unused;
    static const uint32_t types[] = {XN_F32, XN_F16, XN_BF16, XN_Q8_0, XN_Q4_0}, rows[] = {1, 7, 20};
    struct xn_error err;
    uint64_t state = seed;
    struct xn_check_device device;
    struct xn_device *opened = test_open((struct xn_opencl_options){.cache = test_cache(), .narrow_programs = true});
    assert_int_equal(xn_check_device_of(opened, &device, &err), XN_OK);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (int trial = 0; trial < 9; trial++) {
            struct xn_check_wish wish = {
                .kind = XN_OP_ATTEND, .type = types[i], .rows = rows[trial % 3], .seed = test_random(&state)};
            run_case(&device, &wish);
            wish.kind = XN_OP_PROJECT;
            wish.type = XN_Q8_0;
            wish.cache_type = types[i];
            if (trial < 6) run_case(&device, &wish);
        }
    opened->table->free(opened);
}

// Pages that leave the device and return are those of host memory, also in part.
static void pages_return(void **unused) {
    (void)unused;
    static const uint32_t types[] = {XN_F16, XN_Q8_0, XN_Q4_0};
    static char of_device[1 << 20], of_host[1 << 20];
    struct xn_error err;
    struct xn_check_device device;
    struct xn_device *opened = test_open((struct xn_opencl_options){.cache = test_cache()});
    assert_int_equal(xn_check_device_of(opened, &device, &err), XN_OK);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct xn_check_wish wish = {
            .kind = XN_OP_ATTEND, .type = types[i], .rows = 1, .plain = true, .past = 200, .seed = seed};
        struct xn_check_case *c;
        struct xn_executor *e;
        assert_int_equal(xn_check_case_make(&wish, blocks, &c, &err), XN_OK);
        if (opened->table->prepare(opened, &c->plan, &c->limits, &e, &err) != XN_OK) fail_msg("%s", err.message);
        assert_int_equal(opened->table->cache_type(e), types[i]);
        assert_int_equal(device.write(e, &c->before, &err), XN_OK);
        assert_true(c->limits.pages >= 3);
        size_t position = c->cache.kv_heads *
                          (xn_cache_bytes(types[i], c->cache.key_size) + xn_cache_bytes(types[i], c->cache.value_size));
        for (uint32_t n = 1; n <= c->limits.page_size; n += 21) {
            assert_true(n * position <= sizeof of_host);
            assert_int_equal(xn_host_read_page(&c->before, 2, n, of_host, &err), XN_OK);
            assert_int_equal(opened->table->read_page(e, 2, n, of_device, &err), XN_OK);
            assert_memory_equal(of_device, of_host, n * position);
            assert_int_equal(opened->table->write_page(e, 1, n, of_device, &err), XN_OK);
            assert_int_equal(opened->table->copy_page(e, 1, 0, &err), XN_OK);
            memset(of_device, 0, sizeof of_device);
            assert_int_equal(opened->table->read_page(e, 0, n, of_device, &err), XN_OK);
            assert_memory_equal(of_device, of_host, n * position);
        }
        opened->table->release(opened, e);
        xn_check_case_free(c);
    }
    opened->table->free(opened);
}

// Programs of one format or two, as GPUs have them.
static void narrow_programs_agree(void **unused) {
    (void)unused;
    struct xn_error err;
    struct xn_check_device device;
    struct xn_device *opened = test_open((struct xn_opencl_options){.cache = test_cache(), .narrow_programs = true});
    assert_int_equal(xn_check_device_of(opened, &device, &err), XN_OK);
    for (uint32_t rows = 1; rows < 20; rows += 6)
        run_case(&device, &(struct xn_check_wish){
                              .kind = XN_OP_GATE, .type = XN_Q6_K, .rows = rows, .columns = 512, .seed = seed});
    opened->table->free(opened);
}

// Products of many rows as the matrix unit has them: sizes that fill no tile, formats with a decoder of their own and
// those without, so few tiles that they are cut, and so many that they are not.
static void tiles_agree(void **unused) {
    (void)unused;
    struct xn_error err;
    uint64_t state = seed;
    static const uint32_t types[] = {XN_Q4_K, XN_Q6_K, XN_Q5_K, XN_Q4_0,   XN_Q8_0, XN_MXFP4,
                                     XN_F16,  XN_BF16, XN_F32,  XN_IQ4_XS, XN_Q3_K};
    static const enum xn_op_kind kinds[] = {XN_OP_PROJECT, XN_OP_GATE,        XN_OP_HEAD,      XN_OP_HEADS,
                                            XN_OP_ROUTE,   XN_OP_EXPERT_GATE, XN_OP_EXPERT_ADD};
    struct xn_check_device device;
    struct xn_device *opened =
        test_open((struct xn_opencl_options){.cache = test_cache(), .emulate = true, .narrow_programs = true});
    assert_int_equal(xn_check_device_of(opened, &device, &err), XN_OK);
    // Each has programs of its own: those whose units lie in several planes, and one of all.
    static const uint32_t always[] = {XN_Q8_0, XN_BF16};
    for (size_t i = 0; i < 3; i++) {
        uint32_t drawn = types[test_random(&state) % (sizeof types / sizeof *types)], type = i < 2 ? always[i] : drawn;
        uint32_t block = xn_format_of(type)->block_values;
        run_case(&device, &(struct xn_check_wish){.kind = XN_OP_PROJECT_ADD,
                                                  .type = type,
                                                  .rows = 9 + (uint32_t)(test_random(&state) % 140),
                                                  .columns = block == 256 ? 3 * 256 : 1056,
                                                  .outputs = 129,
                                                  .seed = test_random(&state)});
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        for (uint32_t rows = 9; rows < 140; rows += 90)
            run_case(&device,
                     &(struct xn_check_wish){.kind = kinds[i],
                                             .type = kinds[i] == XN_OP_ROUTE ? (uint32_t)XN_F32 : (uint32_t)XN_Q4_K,
                                             .rows = rows,
                                             .columns = 512,
                                             .seed = test_random(&state)});
    opened->table->free(opened);
}

// For few rows an operation is one launch, but for recurrences of more keys than work-items hold, and the head where
// its best tokens are wanted.
static size_t expected_launches(const struct xn_op *op) {
    if (op->kind == XN_OP_DELTA_NET && op->delta_net.key_size > XN_CL_SCAN_KEYS) return 2;
    if (op->kind == XN_OP_STATE_SPACE && op->state_space.state_size > XN_CL_SCAN_KEYS) return 3;
    return op->kind == XN_OP_HEAD ? 4 : 1;
}
static void launches_are_few(void **unused) {
    (void)unused;
    struct xn_error err;
    struct xn_device *device = test_open((struct xn_opencl_options){.cache = test_cache()});
    for (int kind = 0; kind < XN_OP_KINDS; kind++) {
        struct xn_check_case *c;
        struct xn_check_weights weights;
        struct xn_executor *e = NULL;
        struct xn_check_wish wish = {.kind = (enum xn_op_kind)kind, .type = XN_TYPE_COUNT, .seed = seed};
        assert_int_equal(xn_check_case_make(&wish, blocks, &c, &err), XN_OK);
        if (xn_check_bind(c, device, &weights, &err) != XN_OK ||
            device->table->prepare(device, &c->plan, &c->limits, &e, &err) != XN_OK)
            fail_msg("%s", err.message);
        size_t n = 0;
        for (size_t i = 0; i < e->lowered.n; i++)
            n += e->lowered.launches[i].shapes >> XN_CL_FEW & 1;
        assert_int_equal(n, expected_launches(&c->plan.ops[0]));
        device->table->release(device, e);
        xn_check_unbind(&weights);
        xn_check_case_free(c);
    }
    device->table->free(device);
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
    if ((n_devices = test_devices()) == 0) return SKIPPED;
    cmocka_set_test_filter(getenv("XENON_TEST_ONLY"));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embed_agrees),          cmocka_unit_test(project_agrees),
        cmocka_unit_test(project_add_agrees),    cmocka_unit_test(add_agrees),
        cmocka_unit_test(gate_agrees),           cmocka_unit_test(head_agrees),
        cmocka_unit_test(route_agrees),          cmocka_unit_test(expert_gate_agrees),
        cmocka_unit_test(expert_add_agrees),     cmocka_unit_test(attend_agrees),
        cmocka_unit_test(delta_net_agrees),      cmocka_unit_test(state_space_agrees),
        cmocka_unit_test(short_conv_agrees),     cmocka_unit_test(heads_agrees),
        cmocka_unit_test(pieces_agree),          cmocka_unit_test(every_format_agrees),
        cmocka_unit_test(narrow_programs_agree), cmocka_unit_test(launches_are_few),
        cmocka_unit_test(cache_types_agree),     cmocka_unit_test(pages_return),
        cmocka_unit_test(tiles_agree),
    };
    return cmocka_run_group_tests(tests, make_blocks, free_blocks);
}
