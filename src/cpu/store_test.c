// Copies of weights: the same bytes, aligned, apart from each other, and gone when they are left.
#include "cpu/store.h"

#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct xn_pool *pool;

static uint8_t *pattern(size_t bytes, uint32_t seed) {
    uint8_t *p = malloc(bytes);
    for (size_t i = 0; i < bytes; i++)
        p[i] = (uint8_t)((i * 2654435761u + seed) >> 7);
    return p;
}

static void copies_are_the_same(void **state) {
    (void)state;
    struct xn_cpu_store *store = xn_cpu_store_new();
    assert_non_null(store);
    // Sizes about the piece that a thread copies; the stack of three is one matrix.
    size_t sizes[] = {1, 63, 64, 65, (1 << 20) - 1, (1 << 20) + 1, (3 << 20) + 7};
    enum { N = sizeof sizes / sizeof *sizes };
    const void *const *copies[N];
    const void *data[N][3];
    for (uint32_t i = 0; i < N; i++) {
        struct xn_matrix m = {.count = i % 2 ? 3 : 1, .data = data[i]};
        for (uint32_t j = 0; j < m.count; j++)
            data[i][j] = pattern(sizes[i], 100 * i + j);
        copies[i] = xn_cpu_store_take(store, pool, &m, sizes[i], NULL);
        assert_non_null(copies[i]);
    }
    for (uint32_t i = 0; i < N; i++)
        for (uint32_t j = 0; j < (i % 2 ? 3 : 1); j++) {
            assert_ptr_not_equal(copies[i][j], data[i][j]);
            assert_int_equal((uintptr_t)copies[i][j] % XN_ALIGN, 0);
            assert_memory_equal(copies[i][j], data[i][j], sizes[i]);
            free((void *)(uintptr_t)data[i][j]);
        }
    for (uint32_t i = 0; i < N; i += 2)
        xn_cpu_store_leave(store, copies[i]);
    struct xn_matrix m = {.count = 1, .data = data[0]};
    data[0][0] = pattern(100, 7);
    const void *const *again = xn_cpu_store_take(store, pool, &m, 100, NULL); // others left meanwhile
    assert_memory_equal(again[0], data[0][0], 100);
    free((void *)(uintptr_t)data[0][0]);
    for (uint32_t i = 1; i < N; i += 2)
        xn_cpu_store_leave(store, copies[i]);
    xn_cpu_store_leave(store, again);
    xn_cpu_store_leave(store, NULL);
    xn_cpu_store_free(store);
    xn_cpu_store_free(NULL);
}

static void what_does_not_fit_stays(void **state) {
    (void)state;
    struct xn_cpu_store *store = xn_cpu_store_new();
    const void *data[] = {"x"}; // never read: the sizes are refused before
    struct xn_matrix m = {.count = 1, .data = data};
    assert_null(xn_cpu_store_take(store, pool, &m, 0, NULL));
    assert_null(xn_cpu_store_take(store, pool, &m, SIZE_MAX, NULL));
    assert_null(xn_cpu_store_take(store, pool, &m, SIZE_MAX / 2, NULL));
    m.count = UINT32_MAX;
    assert_null(xn_cpu_store_take(store, pool, &m, SIZE_MAX / 4096, NULL));
    assert_null(xn_cpu_store_take(NULL, pool, &m, 16, NULL));
    xn_cpu_store_free(store);
}

int main(void) {
    struct xn_error err;
    if (xn_pool_create(3, &pool, &err) != XN_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_are_the_same),
        cmocka_unit_test(what_does_not_fit_stays),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    xn_pool_free(pool);
    return failed;
}
