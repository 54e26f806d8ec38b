// Every layout of a stored matrix, put in order: whole values, blocks, gathers, odd sizes, MXFP4 as released. Stored
// rows are decoded one by one and compared with the ordered rows.
#include "model/matrix.h"

#include "base/memory.h"
#include "quant/format.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// Two matrices of values, stored as rows of `width` values (of type `type`): value j of row i is value(i, j).
enum { COUNT = 2 };
struct stored {
    uint32_t type, rows, width;
    size_t row_bytes;
    char *data[COUNT];
    float *values; // [matrix][row][value] as the format holds them
};

static struct stored store(uint32_t type, uint32_t rows, uint32_t width) {
    const struct xn_format *f = xn_format_of(type);
    struct stored s = {.type = type, .rows = rows, .width = width};
    assert_true(xn_format_bytes(f, width, &s.row_bytes));
    s.values = xn_alloc((size_t)COUNT * rows * width, sizeof *s.values);
    assert_non_null(s.values);
    for (uint32_t m = 0; m < COUNT; m++) {
        s.data[m] = malloc(rows * s.row_bytes); // exact: a sanitizer sees a read behind it
        assert_non_null(s.data[m]);
        for (uint32_t i = 0; i < rows; i++) {
            float *row = s.values + ((size_t)m * rows + i) * width;
            char *to = s.data[m] + i * s.row_bytes;
            for (uint32_t j = 0; j < width; j++)
                row[j] = sinf((float)(m * 5000 + i * 131 + j * 7));
            if (f->encode)
                f->encode(row, to, width, NULL);
            else
                memcpy(to, row, s.row_bytes); // F32
            f->decode(to, row, width);
        }
    }
    return s;
}

static void discard(struct stored *s) {
    for (int m = 0; m < COUNT; m++)
        free(s->data[m]);
    free(s->values);
}

// Value (i, j) of matrix m as the stored matrix has it: of row i, or of column i where rows are inputs.
static float stored_value(const struct stored *s, bool columns, uint32_t m, uint32_t i, uint32_t j) {
    uint32_t row = columns ? j : i, at = columns ? i : j;
    return s->values[((size_t)m * s->rows + row) * s->width + at];
}

// Orders both matrices of `matrix` and compares them, value for value.
static void check_order(const struct stored *s, const struct xn_matrix *matrix) {
    uint32_t type = xn_matrix_ordered_type(matrix);
    const struct xn_format *f = xn_format_of(type);
    size_t row_bytes, scales;
    assert_true(xn_format_bytes(f, matrix->cols, &row_bytes));
    char *out = malloc(row_bytes * matrix->rows);
    float *row = xn_alloc(matrix->cols, sizeof *row);
    assert_true(out && row);
    for (uint32_t m = 0; m < COUNT; m++) {
        struct xn_error err;
        if (xn_matrix_order(matrix, m, out, &err)) fail_msg("%s", err.message);
        for (uint32_t i = 0; i < matrix->rows; i++) {
            f->decode(out + i * row_bytes, row, matrix->cols);
            for (uint32_t j = 0; j < matrix->cols; j++) {
                uint32_t from = matrix->gather ? matrix->gather[i] : i;
                float wanted = stored_value(s, matrix->layout == XN_LAYOUT_COLUMNS, m, from, j);
                if (row[j] != wanted)
                    fail_msg("%s, matrix %u, (%u, %u): %g, expected %g", f->name, m, i, j, row[j], wanted);
            }
        }
    }
    assert_int_equal(xn_matrix_stored_bytes(matrix, &scales), s->rows * s->row_bytes);
    assert_int_equal(scales, 0);
    free(out);
    free(row);
}

static void test_rows(void **state) {
    (void)state;
    static const uint32_t gather[] = {6, 0, 3, 3, 1};
    static const struct {
        uint32_t type, width;
    } cases[] = {{XN_F32, 5}, {XN_F16, 7}, {XN_BF16, 1}, {XN_Q8_0, 64}, {XN_Q4_K, 256}, {XN_MXFP4, 96}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct stored s = store(cases[c].type, 7, cases[c].width);
        struct xn_matrix m = {.name = "m",
                              .type = s.type,
                              .rows = 7,
                              .cols = s.width,
                              .count = COUNT,
                              .data = (const void *const *)s.data};
        assert_true(xn_matrix_plain(&m));
        assert_int_equal(xn_matrix_ordered_type(&m), s.type);
        check_order(&s, &m);
        m.gather = gather;
        m.rows = 5;
        m.stored_rows = 7;
        assert_false(xn_matrix_plain(&m));
        assert_int_equal(xn_matrix_ordered_type(&m), s.type);
        check_order(&s, &m);
        discard(&s);
    }
}

static void test_columns(void **state) {
    (void)state;
    static const uint32_t odd[] = {1, 3, 5}, last[] = {63, 0, 32, 31};
    static const struct {
        uint32_t type, width, inputs, rows;
        const uint32_t *gather;
        uint32_t ordered;
    } cases[] = {
        {XN_F32, 7, 3, 7, NULL, XN_F32},   {XN_F32, 6, 5, 3, odd, XN_F32},      {XN_BF16, 6, 4, 3, odd, XN_BF16},
        {XN_F16, 1, 9, 1, NULL, XN_F16},   {XN_Q8_0, 64, 3, 64, NULL, XN_F32},  {XN_Q8_0, 64, 5, 4, last, XN_F32},
        {XN_Q4_K, 256, 2, 3, odd, XN_F32}, {XN_MXFP4, 32, 7, 32, NULL, XN_F32},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct stored s = store(cases[c].type, cases[c].inputs, cases[c].width);
        struct xn_matrix m = {.name = "m",
                              .type = s.type,
                              .rows = cases[c].rows,
                              .cols = cases[c].inputs,
                              .count = COUNT,
                              .data = (const void *const *)s.data,
                              .layout = XN_LAYOUT_COLUMNS,
                              .stored_rows = cases[c].gather ? cases[c].width : 0,
                              .gather = cases[c].gather};
        assert_false(xn_matrix_plain(&m));
        assert_int_equal(xn_matrix_ordered_type(&m), cases[c].ordered);
        check_order(&s, &m);
        discard(&s);
    }
}

// What a code of four bits stands for.
static float code_value(unsigned code) {
    static const float values[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    return code & 8 ? -values[code & 7] : values[code & 7];
}

static void test_mxfp4(void **state) {
    (void)state;
    enum { STORED = 6, BLOCKS = 3, VALUES = 32, COLS = BLOCKS * VALUES };
    static const uint32_t odd[] = {1, 3, 5};
    unsigned char *blocks[COUNT], *scales[COUNT];
    unsigned noise = 1;
    for (int m = 0; m < COUNT; m++) {
        blocks[m] = malloc(STORED * BLOCKS * 16);
        scales[m] = malloc(STORED * BLOCKS);
        assert_true(blocks[m] && scales[m]);
        for (int i = 0; i < STORED * BLOCKS * 16; i++)
            blocks[m][i] = (unsigned char)((noise = noise * 1664525 + 1013904223) >> 24);
        for (int i = 0; i < STORED * BLOCKS; i++)
            scales[m][i] = (unsigned char)(118 + (m + i) % 19);
    }
    struct xn_matrix m = {.name = "m",
                          .type = XN_MXFP4,
                          .rows = 3,
                          .cols = COLS,
                          .count = COUNT,
                          .data = (const void *const *)blocks,
                          .layout = XN_LAYOUT_MXFP4,
                          .stored_rows = STORED,
                          .gather = odd,
                          .scales = (const void *const *)scales};
    size_t of_scales;
    assert_false(xn_matrix_plain(&m));
    assert_int_equal(xn_matrix_ordered_type(&m), XN_MXFP4);
    assert_int_equal(xn_matrix_stored_bytes(&m, &of_scales), STORED * BLOCKS * 16);
    assert_int_equal(of_scales, STORED * BLOCKS);
    unsigned char out[3 * BLOCKS * 17];
    float row[COLS];
    for (uint32_t index = 0; index < COUNT; index++) {
        struct xn_error err;
        if (xn_matrix_order(&m, index, out, &err)) fail_msg("%s", err.message);
        for (size_t i = 0; i < 3; i++) {
            xn_format_of(XN_MXFP4)->decode(out + i * BLOCKS * 17, row, COLS);
            for (size_t j = 0; j < COLS; j++) {
                size_t block = odd[i] * BLOCKS + j / VALUES;
                unsigned byte = blocks[index][block * 16 + j % VALUES / 2];
                float wanted = ldexpf(code_value(j % 2 ? byte >> 4 : byte & 15), scales[index][block] - 127);
                if (row[j] != wanted) fail_msg("(%zu, %zu): %g, expected %g", i, j, row[j], wanted);
            }
        }
    }
    for (int i = 0; i < COUNT; i++) {
        free(blocks[i]);
        free(scales[i]);
    }
}

static void expect_failure(const struct xn_matrix *m, int status, const char *part) {
    struct xn_error err = {0};
    char out[64];
    assert_int_equal(xn_matrix_order(m, 0, out, &err), status);
    if (!strstr(err.message, part)) fail_msg("'%s' does not say '%s'", err.message, part);
}

static void test_failures(void **state) {
    (void)state;
    const void *const nothing[] = {""};
    struct xn_matrix m = {.name = "m.weight", .type = XN_I32, .rows = 1, .cols = 1, .count = 1, .data = nothing};
    size_t scales;
    expect_failure(&m, XN_ERR_UNSUPPORTED, "m.weight: rows of 1 values of type I32 can't be read");
    m.type = 4000;
    expect_failure(&m, XN_ERR_UNSUPPORTED, "type unknown");
    assert_int_equal(xn_matrix_stored_bytes(&m, &scales), 0);
    m.type = XN_Q8_0;
    expect_failure(&m, XN_ERR_UNSUPPORTED, "rows of 1 values of type Q8_0");
    m.cols = 32;
    m.layout = XN_LAYOUT_COLUMNS;
    m.stored_rows = 33;
    expect_failure(&m, XN_ERR_FORMAT, "m.weight: stored rows of 33 values, expected a multiple of Q8_0's 32");
    assert_int_equal(xn_matrix_stored_bytes(&m, &scales), 0);
    m.layout = XN_LAYOUT_ROWS;
    m.rows = UINT32_MAX;
    m.cols = 32;
    m.stored_rows = 0;
    assert_int_equal(xn_matrix_stored_bytes(&m, &scales), (size_t)UINT32_MAX * 34);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_mxfp4),
        cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
