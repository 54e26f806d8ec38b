// Block formats: the table, every vector of the reference decoder, decoding at any alignment and of any bytes.
#include "quant/format.h"

#include "base/file.h"
#include "base/memory.h"
#include "quant/half.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static char *shared_file(const char *name, const char *ending, size_t *size) {
    char lower[64], *data;
    snprintf(lower, sizeof lower, "quants/%s%s", name, ending);
    for (char *s = lower; *s; s++)
        *s = *s >= 'A' && *s <= 'Z' ? *s + 32 : *s;
    char *path = xn_path_join(getenv("XENON_SHARED"), lower);
    struct xn_error err;
    if (xn_read_file(path, 64 << 20, &data, size, &err) != XN_OK) fail_msg("%s", err.message);
    free(path);
    return data;
}

static bool have_shared(void) {
    const char *shared = getenv("XENON_SHARED");
    char *path = shared ? xn_path_join(shared, "quants/manifest.json") : NULL;
    bool have = path && xn_file_exists(path);
    free(path);
    return have;
}

// Units in the last place between two finite floats.
static uint32_t ulps(float a, float b) {
    int32_t x = (int32_t)xn_bits_of_float(a), y = (int32_t)xn_bits_of_float(b);
    if (x < 0) x = INT32_MIN - x;
    if (y < 0) y = INT32_MIN - y;
    return (uint32_t)(x > y ? x - y : y - x);
}

static void decoding_agrees_with_the_reference_vectors(void **state) {
    (void)state;
    if (!have_shared()) {
        print_message("no ../shared/quants: skipped\n");
        skip();
    }
    size_t size;
    char *text = shared_file("manifest", ".json", &size);
    json_t *manifest = json_loadb(text, size, 0, NULL);
    free(text);
    assert_true(json_array_size(manifest) > 0);
    size_t i;
    json_t *row;
    json_array_foreach(manifest, i, row) {
        const char *name = json_string_value(json_object_get(row, "type"));
        uint32_t type = (uint32_t)json_integer_value(json_object_get(row, "ggml_type_id"));
        size_t n_blocks = (size_t)json_integer_value(json_object_get(row, "blocks"));
        size_t block_bytes = (size_t)json_integer_value(json_object_get(row, "block_bytes"));
        size_t block_values = (size_t)json_integer_value(json_object_get(row, "block_values"));
        const struct xn_format *format = xn_format_of(type);
        assert_non_null(format);
        assert_string_equal(format->name, name);
        assert_int_equal(xn_type_from_name(name), type);
        size_t n = n_blocks * block_values, bytes;
        assert_true(xn_format_bytes(format, n, &bytes));
        assert_int_equal(bytes, n_blocks * block_bytes);
        size_t blocks_size, values_size;
        char *blocks = shared_file(name, ".blocks", &blocks_size), *values = shared_file(name, ".f32", &values_size);
        assert_int_equal(blocks_size, bytes);
        assert_int_equal(values_size, n * sizeof(float));
        float *out = xn_alloc(n, sizeof *out);
        format->decode(blocks, out, n);
        for (size_t j = 0; j < n; j++) {
            float want;
            memcpy(&want, values + j * sizeof want, sizeof want);
            if (ulps(out[j], want) > 1) fail_msg("%s: value %zu is %.9g, %.9g expected", name, j, out[j], want);
        }
        // The same from an odd address, into exactly n floats (which the sanitizers hold it to).
        char *odd = xn_alloc(bytes + 1, 1);
        memcpy(odd + 1, blocks, bytes);
        float *again = xn_alloc(n, sizeof *again);
        format->decode(odd + 1, again, n);
        assert_memory_equal(again, out, n * sizeof *out);
        free(again);
        free(odd);
        free(out);
        free(blocks);
        free(values);
    }
    json_decref(manifest);
}

static void any_bytes_decode(void **state) {
    (void)state;
    uint32_t seed = 1;
    for (uint32_t type = 0; type < XN_TYPE_COUNT; type++) {
        const struct xn_format *format = xn_format_of(type);
        if (!format || !format->decode) continue;
        size_t n = 256, bytes;
        assert_true(xn_format_bytes(format, n, &bytes));
        for (int round = 0; round < 300; round++) {
            uint8_t *blocks = xn_alloc(bytes, 1);
            for (size_t i = 0; i < bytes; i++) {
                seed = seed * 1664525 + 1013904223;
                blocks[i] = round < 256 ? (uint8_t)round : (uint8_t)(seed >> 24);
            }
            float *out = xn_alloc(n + 1, sizeof *out);
            out[n] = 12345;
            format->decode(blocks, out, n);
            assert_true(out[n] == 12345);
            format->decode(blocks, out, 0);
            free(out);
            free(blocks);
        }
    }
}

static void the_table_knows_names_and_sizes(void **state) {
    (void)state;
    size_t bytes;
    assert_null(xn_format_of(4)); // Q4_2, long gone
    assert_null(xn_format_of(XN_TYPE_COUNT));
    assert_null(xn_format_of(UINT32_MAX));
    assert_int_equal(xn_type_from_name("q4_k"), XN_Q4_K);
    assert_int_equal(xn_type_from_name("BF16"), XN_BF16);
    assert_int_equal(xn_type_from_name("q4"), -1);
    assert_int_equal(xn_type_from_name(""), -1);
    assert_true(xn_format_bytes(xn_format_of(XN_Q4_K), 0, &bytes));
    assert_int_equal(bytes, 0);
    assert_false(xn_format_bytes(xn_format_of(XN_Q4_K), 255, &bytes));
    assert_false(xn_format_bytes(xn_format_of(XN_F64), UINT64_MAX / 8 + 1, &bytes));
    assert_true(xn_format_bytes(xn_format_of(XN_F64), UINT64_MAX / 8, &bytes));
    for (uint32_t type = 0; type < XN_TYPE_COUNT; type++) {
        const struct xn_format *format = xn_format_of(type);
        if (!format) continue;
        assert_int_equal(xn_type_from_name(format->name), type);
        assert_true(format->block_values > 0 && format->block_bytes > 0);
        assert_true(256 % format->block_values == 0);
        if (format->encode) assert_non_null(format->decode);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_knows_names_and_sizes),
        cmocka_unit_test(decoding_agrees_with_the_reference_vectors),
        cmocka_unit_test(any_bytes_decode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
