// What device/effects.h says of an operation is so: the plain-C operation computes the same where all rows that it is
// not said to read are poisoned, and leaves alone what it is not said to write.
#include "device/effects.h"

#include "base/testing.h"
#include "check/case.h"
#include "check/memory.h"
#include "device/reference/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t seed;
static struct xn_check_blocks *blocks;
static const uint32_t poison = 0x7fc0dead; // a NaN

static uint32_t *rows_of(const struct xn_host_memory *m, int rows) {
    return rows == XN_ROWS_IDS       ? (uint32_t *)m->expert_ids
           : rows == XN_ROWS_WEIGHTS ? (uint32_t *)(void *)m->expert_weights
                                     : (uint32_t *)(void *)m->buffer[rows];
}

// Poisons what is behind the values that are read of each row.
static void poison_rows(struct xn_host_memory *m, const struct xn_effects *e) {
    for (int rows = 0; rows < XN_ROWS; rows++) {
        uint32_t width = xn_rows_width(m->plan, rows), *at = rows_of(m, rows);
        assert_true(e->reads[rows] <= width && e->writes[rows] <= width);
        for (uint32_t r = 0; r < m->limits.rows; r++)
            for (uint32_t i = e->reads[rows]; i < width; i++)
                at[(size_t)r * width + i] = poison;
    }
}

static void check_rows(const struct xn_check_case *c, const struct xn_host_memory *was,
                       const struct xn_host_memory *got, const struct xn_effects *e) {
    for (int rows = 0; rows < XN_ROWS; rows++) {
        uint32_t width = xn_rows_width(got->plan, rows), changed = 0;
        for (uint32_t r = 0; r < got->limits.rows; r++)
            for (uint32_t i = 0; i < width; i++) {
                size_t at = (size_t)r * width + i;
                bool written = r < c->batch.n_rows && i < e->writes[rows];
                uint32_t value = rows_of(got, rows)[at], expected = rows_of(written ? &c->after : was, rows)[at];
                if (value != expected)
                    fail_msg("%s: rows %d, row %u, value %u: %08x, expected %08x", c->what, rows, r, i, value,
                             expected);
                changed += value != rows_of(was, rows)[at];
            }
        assert_true(!e->writes[rows] == !changed);
    }
}

static void run_case(enum xn_op_kind kind, uint64_t at) {
    struct xn_error err;
    struct xn_check_case *c;
    struct xn_check_wish wish = {.kind = kind, .type = XN_TYPE_COUNT, .rows = 5, .seed = at};
    if (xn_check_case_make(&wish, blocks, &c, &err) != XN_OK || xn_check_case_expect(c, &err) != XN_OK)
        fail_msg("%s", err.message);
    struct xn_device *device;
    struct xn_check_weights weights;
    assert_int_equal(xn_reference_device_open(&device, &err), XN_OK);
    assert_int_equal(xn_check_bind(c, device, &weights, &err), XN_OK);

    struct xn_effects e;
    struct xn_op *op = &c->plan.ops[0];
    xn_op_effects(&c->plan, op, &e);
    assert_int_equal(e.n_weights, c->n_matrices);
    for (uint32_t i = 0; i < e.n_weights; i++)
        assert_non_null(*e.weights[i]);
    assert_int_equal(e.state >= 0, c->plan.n_states > 0);
    if (e.cache < 0) assert_true(kind != XN_OP_ATTEND);
    assert_int_equal(e.logits, kind == XN_OP_HEAD);

    struct xn_host_memory was, got;
    assert_int_equal(xn_host_memory_init(&was, &c->plan, &c->limits, &err), XN_OK);
    assert_int_equal(xn_host_memory_init(&got, &c->plan, &c->limits, &err), XN_OK);
    xn_check_memory_copy(&was, &c->before);
    poison_rows(&was, &e);
    xn_check_memory_copy(&got, &was);
    if (xn_reference_ops[kind](&got, &c->batch, op, &err) != XN_OK) fail_msg("%s", err.message);
    check_rows(c, &was, &got, &e);
    size_t logits = (size_t)c->limits.outputs * c->plan.vocab * sizeof(float);
    if (logits && memcmp(got.logits, c->after.logits, logits) != 0) fail_msg("%s: other logits", c->what);
    bool touched = false; // the cache, or states
    for (uint32_t i = 0; i < c->plan.n_cache; i++) {
        size_t bytes =
            c->limits.pages * xn_cache_layer_bytes(&c->plan.cache[i], c->limits.cache_type, c->limits.page_size);
        size_t values = bytes / (c->plan.cache[i].key_size + c->plan.cache[i].value_size) * c->plan.cache[i].value_size;
        touched |= memcmp(got.cache[i].keys, was.cache[i].keys, bytes - values) != 0;
        touched |= values && memcmp(got.cache[i].values, was.cache[i].values, values) != 0;
    }
    if (e.cache < 0) assert_false(touched);

    xn_host_memory_free(&was);
    xn_host_memory_free(&got);
    xn_check_unbind(&weights);
    device->table->free(device);
    xn_check_case_free(c);
}

static void operations_read_and_write_what_is_said(void **state) {
    (void)state;
    enum { TRIALS = 12 };
    for (int kind = 0; kind < XN_OP_KINDS; kind++)
        for (uint64_t i = 0; i < TRIALS; i++)
            run_case((enum xn_op_kind)kind, seed + i);
}

int main(void) {
    seed = test_seed(1);
    if (xn_check_blocks_make(seed, &blocks, NULL) != XN_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(operations_read_and_write_what_is_said)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    xn_check_blocks_free(blocks);
    return failed;
}
