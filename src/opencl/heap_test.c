// Memory in pieces: arrays over heaps, given back in any order; what does not fit says so.
#include "opencl/heap.h"

#include "opencl/internal.h"
#include "opencl/layout.h"
#include "quant/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "opencl/testing.h"

enum { MOST = 1 << 20 }; // bytes of an allocation

static bool overlap(const struct xn_cl_array *a, uint32_t i, const struct xn_cl_array *b, uint32_t j) {
    const struct xn_cl_place *p = &a->places[i], *q = &b->places[j];
    uint64_t n = (i + 1 == a->n_pieces ? a->units - i * a->piece : a->piece) * a->unit_bytes;
    uint64_t m = (j + 1 == b->n_pieces ? b->units - j * b->piece : b->piece) * b->unit_bytes;
    return p->heap == q->heap && p->offset < q->offset + m && q->offset < p->offset + n;
}

static void check_apart(const struct xn_cl_device *d, const struct xn_cl_array *arrays, size_t n) {
    for (size_t a = 0; a < n; a++)
        for (uint32_t i = 0; i < arrays[a].n_pieces; i++) {
            size_t offset;
            uint32_t last =
                (i + 1) * arrays[a].piece < arrays[a].units ? (i + 1) * arrays[a].piece - 1 : arrays[a].units - 1;
            assert_non_null(xn_cl_array_at(d, &arrays[a], last, 0, &offset));
            assert_true(offset + arrays[a].unit_bytes <= d->heaps[arrays[a].places[i].heap].size);
            assert_int_equal(arrays[a].places[i].offset % 16, 0);
            for (size_t b = 0; b < n; b++)
                for (uint32_t j = 0; j < arrays[b].n_pieces; j++)
                    if ((a != b || i != j) && overlap(&arrays[a], i, &arrays[b], j))
                        fail_msg("piece %u of array %zu lies on piece %u of %zu", i, a, j, b);
        }
}

static void arrays_lie_apart(void **unused) {
    (void)unused;
    enum { ARRAYS = 40 };
    struct xn_error err;
    struct xn_cl_array arrays[ARRAYS] = {{0}};
    struct xn_device *device = test_open((struct xn_opencl_options){.max_allocation = MOST});
    struct xn_cl_device *d = xn_cl_device_of(device);
    uint64_t before = d->taken, state = 7;
    for (int round = 0; round < 400; round++) {
        struct xn_cl_array *a = &arrays[test_random(&state) % ARRAYS];
        if (a->units) {
            xn_cl_array_give(d, a);
            continue;
        }
        uint64_t units = 1 + test_random(&state) % 500, bytes = 4 * (1 + test_random(&state) % 200);
        if (xn_cl_array_take(d, units, bytes, "test", a, &err) != XN_OK) fail_msg("%s", err.message);
        assert_int_equal(a->units, units);
        if (round % 20 == 0) check_apart(d, arrays, ARRAYS);
    }
    for (int i = 0; i < ARRAYS; i++)
        xn_cl_array_give(d, &arrays[i]);
    assert_int_equal(d->taken, before);
    for (int i = 0; i < XN_CL_HEAPS; i++)
        assert_null(d->heaps[i].buffer);
    device->table->free(device);
}

static void a_large_array_takes_several_heaps(void **unused) {
    (void)unused;
    struct xn_error err;
    struct xn_cl_array a, b;
    struct xn_device *device = test_open((struct xn_opencl_options){.max_allocation = MOST});
    struct xn_cl_device *d = xn_cl_device_of(device);
    if (xn_cl_array_take(d, 10, MOST / 3, "large", &a, &err) != XN_OK) fail_msg("%s", err.message);
    assert_int_equal(a.piece, 3);
    assert_int_equal(a.n_pieces, 4);
    check_apart(d, &a, 1);
    // Of 16 heaps 4 are in use: these do not fit the rest, and leave nothing behind.
    uint64_t taken = d->taken;
    assert_int_equal(xn_cl_array_take(d, 40, MOST / 3, "too much", &b, &err), XN_ERR_LIMIT);
    assert_non_null(strstr(err.message, "too much"));
    assert_int_equal(b.n_pieces, 0);
    assert_int_equal(d->taken, taken);
    assert_int_equal(xn_cl_array_take(d, 1, MOST + 4, "a unit", &b, &err), XN_ERR_LIMIT);
    assert_non_null(strstr(err.message, "a unit"));
    assert_int_equal(xn_cl_array_take(d, (uint64_t)1 << 33, 4, "units", &b, &err), XN_ERR_LIMIT);
    assert_int_equal(xn_cl_array_take(d, 0, 4, "nothing", &b, &err), XN_OK);
    xn_cl_array_give(d, &b);
    xn_cl_array_give(d, &a);
    device->table->free(device);
}

static void missing_memory_is_told(void **unused) {
    (void)unused;
    struct xn_error err;
    cl_mem buffer;
    struct xn_device *device = test_open((struct xn_opencl_options){.max_allocation = MOST});
    struct xn_cl_device *d = xn_cl_device_of(device);
    assert_int_equal(xn_cl_buffer(d, MOST + 1, "one buffer", &buffer, &err), XN_ERR_LIMIT);
    assert_non_null(strstr(err.message, "one buffer"));
    uint64_t taken = d->taken;
    d->taken = d->info.memory - 1000; // as if most were in use
    assert_int_equal(xn_cl_buffer(d, 500000, "a cache", &buffer, &err), XN_ERR_NOMEM);
    assert_null(buffer);
    assert_non_null(strstr(err.message, "a cache: 0.5 MB are needed"));
    assert_non_null(strstr(err.message, "0.0 MB of"));
    struct xn_cl_array a;
    assert_int_equal(xn_cl_array_take(d, 100, 5000, "a cache", &a, &err), XN_ERR_NOMEM);
    d->taken = taken;
    device->table->free(device);
}

// What is expected becomes one heap, and what is not a small one.
static void expected_memory_is_taken_at_once(void **unused) {
    (void)unused;
    struct xn_error err;
    struct xn_cl_array a, b;
    struct xn_device *device = test_open((struct xn_opencl_options){0});
    struct xn_cl_device *d = xn_cl_device_of(device);
    uint64_t before = d->taken;
    device->table->expect(device, 100 << 20);
    if (xn_cl_array_take(d, 90, 1 << 20, "all", &a, &err) != XN_OK) fail_msg("%s", err.message);
    assert_int_equal(a.n_pieces, 1);
    assert_true(d->taken - before < 110 << 20);
    assert_int_equal(d->expected, 0);
    if (xn_cl_array_take(d, 20, 1 << 20, "more", &b, &err) != XN_OK) fail_msg("%s", err.message);
    assert_int_equal(b.places[0].heap, 1);
    assert_true(d->taken - before < 150 << 20);
    xn_cl_array_give(d, &a);
    xn_cl_array_give(d, &b);
    assert_int_equal(d->taken, before);
    device->table->free(device);
}

// No packed row is more than a tenth larger than the file's.
static void packed_rows_are_not_much_larger(void **unused) {
    (void)unused;
    enum { COLUMNS = 4096 };
    for (uint32_t type = 0; type < XN_TYPE_COUNT; type++) {
        const struct xn_format *f = xn_format_of(type);
        uint32_t as;
        struct xn_cl_row row;
        size_t stored;
        const struct xn_cl_layout *layout = xn_cl_layout_of(type, &as);
        assert_int_equal(layout != NULL, f && f->decode);
        if (!layout) continue;
        assert_true(xn_cl_layout_row(layout, COLUMNS, &row));
        assert_true(xn_format_bytes(f, COLUMNS, &stored));
        assert_int_equal(row.units, COLUMNS / 32);
        if (row.bytes > 1.1 * (double)stored) fail_msg("%s: %u bytes for %zu", f->name, row.bytes, stored);
    }
    uint32_t as;
    struct xn_cl_row row;
    assert_true(xn_cl_layout_row(xn_cl_layout_of(XN_F16, &as), 33, &row));
    assert_int_equal(row.units, 2);
    assert_int_equal(row.bytes, 128);
    assert_false(xn_cl_layout_row(xn_cl_layout_of(XN_F32, &as), UINT32_MAX, &row));
    // However many rows share planes, there is room for them.
    for (uint32_t type = 0; type < XN_TYPE_COUNT; type++) {
        const struct xn_cl_layout *layout = xn_cl_layout_of(type, &as);
        for (uint32_t n = 1; layout && n < 20; n++) {
            uint64_t begin[XN_CL_PLANES];
            assert_true(xn_cl_layout_row(layout, 3 * 256, &row));
            xn_cl_layout_planes(&row, n, begin);
            uint32_t last = row.n_planes - 1;
            assert_true(begin[last] + (uint64_t)n * row.plane[last] <= (uint64_t)n * row.bytes);
        }
    }
}

int main(void) {
    if (test_devices() == 0) return SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arrays_lie_apart),
        cmocka_unit_test(a_large_array_takes_several_heaps),
        cmocka_unit_test(missing_memory_is_told),
        cmocka_unit_test(expected_memory_is_taken_at_once),
        cmocka_unit_test(packed_rows_are_not_much_larger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
