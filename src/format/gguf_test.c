// GGUF: what is written is read back; what is cut short, overlaps or lies is a one-line error.
#include "format/gguf.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/xenon-gguf-test-XXXXXX";

static void expect_ok(int status, const struct xn_error *err) {
    if (status != XN_OK) fail_msg("%s", err->message);
}

// ---- a file made by hand, byte for byte

struct maker {
    uint8_t data[8192];
    size_t size;
};

static void bytes(struct maker *m, const void *data, size_t size) {
    assert_true(m->size + size <= sizeof m->data);
    memcpy(m->data + m->size, data, size);
    m->size += size;
}
static void u8(struct maker *m, uint8_t v) {
    bytes(m, &v, sizeof v);
}
static void u32(struct maker *m, uint32_t v) {
    bytes(m, &v, sizeof v);
}
static void u64(struct maker *m, uint64_t v) {
    bytes(m, &v, sizeof v);
}
static void string(struct maker *m, const char *s) {
    u64(m, strlen(s));
    bytes(m, s, strlen(s));
}
static void head(struct maker *m, uint64_t tensors, uint64_t values) {
    m->size = 0;
    bytes(m, "GGUF", 4);
    u32(m, 3);
    u64(m, tensors);
    u64(m, values);
}
static void u32_value(struct maker *m, const char *key, uint32_t v) {
    string(m, key);
    u32(m, XN_GGUF_U32);
    u32(m, v);
}
static void tensor(struct maker *m, const char *name, uint32_t type, uint64_t rows, uint64_t offset) {
    string(m, name);
    u32(m, 2);
    u64(m, 32);
    u64(m, rows);
    u32(m, type);
    u64(m, offset);
}
static void data(struct maker *m, size_t alignment, size_t size) {
    while (m->size % alignment)
        u8(m, 0);
    while (size--)
        u8(m, (uint8_t)size);
}

// Opens a copy that ends where the file ends, so that the sanitizers see any read past it.
static int open_copy(const void *data, size_t size, struct xn_gguf **out, void **copy, struct xn_error *err) {
    *copy = xn_alloc(size, 1);
    memcpy(*copy, data, size);
    return xn_gguf_open_memory(*copy, size, "FILE", out, err);
}

// Reads whatever can be read of an open file.
static uint64_t touch(const struct xn_gguf *g) {
    uint64_t sum = 0;
    for (size_t i = 0; i < xn_gguf_n_values(g); i++) {
        const struct xn_gguf_value *v = xn_gguf_value_at(g, i);
        assert_ptr_equal(xn_gguf_find(g, v->key), v);
        int64_t whole;
        double real;
        for (uint64_t j = 0; j < v->n && j < 100; j++) {
            if (xn_gguf_int(v, j, &whole)) sum += (uint64_t)whole;
            if (xn_gguf_float(v, j, &real)) sum += real > 0;
            if (v->kind == XN_GGUF_STRING)
                for (size_t k = 0; k < v->strings[j].size; k++)
                    sum += (uint8_t)v->strings[j].data[k];
        }
        for (size_t j = 0; j < v->raw_bytes; j++)
            sum += ((const uint8_t *)v->raw)[j];
    }
    for (size_t i = 0; i < xn_gguf_n_tensors(g); i++) {
        const struct xn_tensor *t = xn_gguf_tensor_at(g, i);
        assert_ptr_equal(xn_gguf_tensor(g, t->name), t);
        for (size_t j = 0; j < t->bytes; j++)
            sum += ((const uint8_t *)t->data)[j];
    }
    return sum;
}

static void expect_error(const struct maker *m, int status, const char *text) {
    struct xn_gguf *g;
    struct xn_error err;
    void *copy;
    int found = open_copy(m->data, m->size, &g, &copy, &err);
    if (found != status) fail_msg("status %d, %d with '%s' expected", found, status, text);
    assert_null(g);
    if (!strstr(err.message, text) || !strstr(err.message, "FILE")) fail_msg("'%s', '%s' expected", err.message, text);
    free(copy);
}

static void a_wrong_head_is_an_error(void **state) {
    (void)state;
    struct maker m;
    head(&m, 0, 0);
    m.data[0] = 'g';
    expect_error(&m, XN_ERR_FORMAT, "offset 0: magic 67 47 55 46");
    static const struct {
        uint32_t version;
        const char *text;
    } versions[] = {{0, "version 0, 2 or 3"},
                    {1, "version 1, 2 or 3"},
                    {4, "version 4, 2 or 3"},
                    {0x03000000, "big-endian GGUF (version 3)"},
                    {0x02000000, "big-endian GGUF (version 2)"}};
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        memcpy(m.data + 4, &versions[i].version, 4);
        m.data[0] = 'G';
        expect_error(&m, XN_ERR_UNSUPPORTED, versions[i].text);
    }
    for (uint64_t count = 1; count; count <<= 1) {
        head(&m, count, 0);
        expect_error(&m, XN_ERR_FORMAT, "tensors in a file of 24 bytes");
        head(&m, 0, count);
        expect_error(&m, XN_ERR_FORMAT, "metadata entries in a file of 24 bytes");
    }
}

static void wrong_metadata_is_an_error(void **state) {
    (void)state;
    struct maker m;
    head(&m, 0, 2);
    u32_value(&m, "a.b", 1);
    u32_value(&m, "a.b", 2);
    expect_error(&m, XN_ERR_FORMAT, "key 'a.b' is there twice");
    head(&m, 0, 1);
    string(&m, "a.b");
    u32(&m, 13);
    u64(&m, 0);
    expect_error(&m, XN_ERR_FORMAT, "offset 35: key 'a.b': value type 13, 0 to 12");
    head(&m, 0, 1);
    string(&m, "");
    u32(&m, 0);
    u64(&m, 0);
    expect_error(&m, XN_ERR_FORMAT, "a metadata key of 0 bytes");
    head(&m, 0, 1);
    u64(&m, 3);
    bytes(&m, "a\0b", 3);
    u32(&m, 0);
    u64(&m, 0);
    expect_error(&m, XN_ERR_FORMAT, "a metadata key with a NUL byte");
    head(&m, 0, 1);
    string(&m, "flag");
    u32(&m, XN_GGUF_BOOL);
    u8(&m, 2);
    expect_error(&m, XN_ERR_FORMAT, "key 'flag': a bool of 2");
    for (int kind = 0; kind < XN_GGUF_KINDS; kind++) {
        for (uint64_t n = 64; n; n <<= 1) {
            head(&m, 0, 1);
            string(&m, "list");
            u32(&m, XN_GGUF_ARRAY);
            u32(&m, (uint32_t)kind);
            u64(&m, n);
            u64(&m, 0);
            expect_error(&m, XN_ERR_FORMAT, "key 'list'");
        }
    }
    for (uint64_t n = 8; n; n <<= 1) {
        head(&m, 0, 1);
        string(&m, "text");
        u32(&m, XN_GGUF_STRING);
        u64(&m, n | (n - 1));
        u32(&m, 0);
        expect_error(&m, XN_ERR_FORMAT, "text needs");
        head(&m, 0, 1);
        u64(&m, n + 30);
        u64(&m, 0);
        u64(&m, 0);
        expect_error(&m, XN_ERR_FORMAT, "a metadata key needs");
    }
    // Arrays in arrays in arrays ... end somewhere.
    head(&m, 0, 1);
    string(&m, "deep");
    u32(&m, XN_GGUF_ARRAY);
    for (int i = 0; i < 100; i++) {
        u32(&m, XN_GGUF_ARRAY);
        u64(&m, 1);
    }
    expect_error(&m, XN_ERR_FORMAT, "key 'deep': arrays nested deeper");
    // The alignment of the data.
    static const uint32_t alignments[] = {0, 1, 4, 24, 33, 0x80000000};
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        head(&m, 0, 1);
        u32_value(&m, "general.alignment", alignments[i]);
        expect_error(&m, XN_ERR_FORMAT, "key 'general.alignment'");
    }
    head(&m, 0, 1);
    string(&m, "general.alignment");
    u32(&m, XN_GGUF_STRING);
    string(&m, "32");
    expect_error(&m, XN_ERR_FORMAT, "key 'general.alignment': not a whole number");
}

static void wrong_tensors_are_errors(void **state) {
    (void)state;
    struct maker m;
    head(&m, 2, 0); // the right one first
    tensor(&m, "a", XN_F16, 2, 0);
    tensor(&m, "b", XN_Q8_0, 1, 128);
    data(&m, 32, 128 + 34);
    struct xn_gguf *g;
    struct xn_error err;
    void *copy;
    expect_ok(open_copy(m.data, m.size, &g, &copy, &err), &err);
    const struct xn_tensor *b = xn_gguf_tensor(g, "b");
    assert_int_equal(b->bytes, 34);
    assert_int_equal(b->dims[0], 32);
    assert_int_equal(b->dims[3], 1);
    assert_ptr_equal((const uint8_t *)b->data + 34, (uint8_t *)copy + m.size);
    assert_null(xn_gguf_tensor(g, "c"));
    assert_null(xn_gguf_find(g, "c"));
    xn_gguf_close(g);
    free(copy);
    m.size--;
    expect_error(&m, XN_ERR_FORMAT, "tensor 'b': 34 bytes at data offset 128");

    static const struct {
        uint64_t rows, offset;
        uint32_t type;
        const char *text;
    } cases[] = {
        {2, 96, XN_F16, "tensor 'b' overlaps 'a', which ends at"},
        {2, 0, XN_F16, "overlaps"},
        {1, 129, XN_F16, "tensor 'b': data offset 129, a multiple of 32"},
        {1, 1 << 20, XN_F16, "tensor 'b': 64 bytes at data offset 1048576"},
        {1, UINT64_MAX - 31, XN_F16, "tensor 'b': 64 bytes at data offset 184467"},
        {1000, 128, XN_F16, "tensor 'b': 64000 bytes"},
        {0, 128, XN_F16, "tensor 'b': dimension 1 is 0"},
        {UINT64_MAX, 128, XN_F16, "tensor 'b': dimension 1 of 18446744073709551615 makes too many values"},
        {UINT64_MAX / 64, 128, XN_F64, "tensor 'b'"},
        {1, 128, XN_Q4_K, "tensor 'b': rows of 32 values, Q4_K needs a multiple of 256"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        head(&m, 2, 0);
        tensor(&m, "a", XN_F16, 2, 0);
        tensor(&m, "b", cases[i].type, cases[i].rows, cases[i].offset);
        data(&m, 32, 256);
        expect_error(&m, XN_ERR_FORMAT, cases[i].text);
    }
    static const uint32_t unknown[] = {4, 5, 9, 15, 31, 33, 36, 38, 41, 42, 0xffffffff};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        head(&m, 1, 0);
        tensor(&m, "b", unknown[i], 1, 0);
        data(&m, 32, 256);
        expect_error(&m, XN_ERR_UNSUPPORTED, "tensor 'b': type");
    }
    head(&m, 2, 0);
    tensor(&m, "same", XN_F16, 1, 0);
    tensor(&m, "same", XN_F16, 1, 64);
    data(&m, 32, 256);
    expect_error(&m, XN_ERR_FORMAT, "tensor 'same' is there twice");
    head(&m, 1, 0);
    string(&m, "wide");
    u32(&m, 5);
    data(&m, 32, 256);
    expect_error(&m, XN_ERR_FORMAT, "tensor 'wide': 5 dimensions, at most 4");
    head(&m, 1, 0);
    string(&m, "a name that is longer than the sixty-four bytes which the format allows");
    data(&m, 32, 256);
    expect_error(&m, XN_ERR_FORMAT, "a tensor name of 71 bytes, 1 to 64");
    // A control character in a name leaves the message one line.
    head(&m, 1, 0);
    tensor(&m, "two\nlines", 99, 1, 0);
    expect_error(&m, XN_ERR_UNSUPPORTED, "tensor 'two?lines'");
    // The head ends where the file ends: there is no data to point into.
    head(&m, 1, 0);
    tensor(&m, "none", XN_F16, 1, 0);
    expect_error(&m, XN_ERR_FORMAT, "the file has 0 bytes of data");
}

// ---- written and read back

static int produce(void *user, uint64_t offset, void *out, size_t size, struct xn_error *err) {
    (void)err;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] = (uint8_t)((offset + i) * 7 + *(const uint8_t *)user);
    return XN_OK;
}

static void add_everything(struct xn_gguf_writer *w, uint8_t seeds[3]) {
    struct xn_error err;
    expect_ok(xn_gguf_add_string(w, "general.architecture", "test", &err), &err);
    expect_ok(xn_gguf_add_u32(w, "n.u32", 0xfffffffe, &err), &err);
    expect_ok(xn_gguf_add_u64(w, "n.u64", UINT64_MAX - 1, &err), &err);
    expect_ok(xn_gguf_add_i32(w, "n.i32", -5, &err), &err);
    expect_ok(xn_gguf_add_f32(w, "n.f32", 0.5f, &err), &err);
    expect_ok(xn_gguf_add_bool(w, "n.bool", true, &err), &err);
    expect_ok(xn_gguf_add_string(w, "empty", "", &err), &err);
    const struct xn_str words[] = {{"one", 3}, {"", 0}, {"with\0NUL", 8}};
    expect_ok(xn_gguf_add_strings(w, "words", words, 3, &err), &err);
    expect_ok(xn_gguf_add_strings(w, "no.words", NULL, 0, &err), &err);
    static const uint8_t raw[8 * 3] = {1, 1, 0, 1, 0x80, 0xff};
    for (int kind = 0; kind < XN_GGUF_KINDS; kind++) {
        char key[32];
        snprintf(key, sizeof key, "array.%d", kind);
        bool number = kind != XN_GGUF_STRING && kind != XN_GGUF_ARRAY;
        const uint8_t *from = kind == XN_GGUF_BOOL ? raw : raw + 3; // a bool is 0 or 1
        assert_int_equal(xn_gguf_add_array(w, key, kind, from, kind == XN_GGUF_BOOL ? 3 : 2, &err),
                         number ? XN_OK : XN_ERR_ARGUMENT);
    }
    const uint64_t dims[] = {64, 3, 2, 2}, odd[] = {5};
    seeds[0] = 1, seeds[1] = 2, seeds[2] = 3;
    expect_ok(xn_gguf_add_tensor(w, "blocks", XN_Q4_0, 4, dims, produce, &seeds[0], &err), &err);
    expect_ok(xn_gguf_add_tensor(w, "odd", XN_I8, 1, odd, produce, &seeds[1], &err), &err);
    expect_ok(xn_gguf_add_tensor(w, "scalar", XN_F32, 0, NULL, produce, &seeds[2], &err), &err);
}

static void check_everything(const struct xn_gguf *g) {
    int64_t whole;
    double real;
    assert_true(xn_gguf_int(xn_gguf_find(g, "n.u32"), 0, &whole) && whole == 0xfffffffe);
    assert_false(xn_gguf_int(xn_gguf_find(g, "n.u64"), 0, &whole));
    assert_true(xn_gguf_float(xn_gguf_find(g, "n.u64"), 0, &real) && real == 0x1p64);
    assert_true(xn_gguf_int(xn_gguf_find(g, "n.i32"), 0, &whole) && whole == -5);
    assert_true(xn_gguf_float(xn_gguf_find(g, "n.i32"), 0, &real) && real == -5);
    assert_true(xn_gguf_float(xn_gguf_find(g, "n.f32"), 0, &real) && real == 0.5);
    assert_false(xn_gguf_int(xn_gguf_find(g, "n.f32"), 0, &whole));
    assert_true(xn_gguf_int(xn_gguf_find(g, "n.bool"), 0, &whole) && whole == 1);
    assert_false(xn_gguf_int(xn_gguf_find(g, "n.bool"), 1, &whole));
    assert_false(xn_gguf_int(xn_gguf_find(g, "empty"), 0, &whole));
    assert_false(xn_gguf_float(xn_gguf_find(g, "empty"), 0, &real));
    assert_int_equal(xn_gguf_find(g, "empty")->strings[0].size, 0);
    const struct xn_gguf_value *words = xn_gguf_find(g, "words");
    assert_true(words->is_array && words->kind == XN_GGUF_STRING && words->n == 3);
    assert_int_equal(words->strings[2].size, 8);
    assert_memory_equal(words->strings[2].data, "with\0NUL", 8);
    assert_int_equal(xn_gguf_find(g, "no.words")->n, 0);
    static const int64_t second[XN_GGUF_KINDS] = {
        [XN_GGUF_U8] = 0x80, [XN_GGUF_I8] = -128, [XN_GGUF_U16] = 0xff, [XN_GGUF_I16] = 0xff};
    for (int kind = 0; kind <= XN_GGUF_I16; kind++) {
        char key[32];
        snprintf(key, sizeof key, "array.%d", kind);
        const struct xn_gguf_value *v = xn_gguf_find(g, key);
        assert_true(v->is_array && v->n == 2 && v->kind == (enum xn_gguf_kind)kind);
        assert_true(xn_gguf_int(v, 1, &whole));
        assert_int_equal(whole, second[kind]);
    }
    assert_true(xn_gguf_int(xn_gguf_find(g, "array.10"), 0, &whole) && whole == 0xff8001);
    assert_true(xn_gguf_int(xn_gguf_find(g, "array.11"), 0, &whole) && whole == 0xff8001);
    assert_int_equal(xn_gguf_n_tensors(g), 3);
    static const struct {
        const char *name;
        size_t bytes;
        uint32_t n_dims;
        uint8_t seed;
    } tensors[] = {{"blocks", 64 * 12 / 32 * 18, 4, 1}, {"odd", 5, 1, 2}, {"scalar", 4, 0, 3}};
    for (size_t i = 0; i < 3; i++) {
        const struct xn_tensor *t = xn_gguf_tensor(g, tensors[i].name);
        assert_non_null(t);
        assert_int_equal(t->bytes, tensors[i].bytes);
        assert_int_equal(t->n_dims, tensors[i].n_dims);
        for (size_t j = 0; j < t->bytes; j++)
            assert_int_equal(((const uint8_t *)t->data)[j], (uint8_t)(j * 7 + tensors[i].seed));
    }
    assert_int_equal(xn_gguf_tensor(g, "blocks")->dims[3], 2);
}

static struct xn_gguf_writer *writer_of_everything(uint8_t seeds[3]) {
    struct xn_gguf_writer *w;
    struct xn_error err;
    expect_ok(xn_gguf_writer_new(&w, &err), &err);
    add_everything(w, seeds);
    return w;
}

static void everything_comes_back(void **state) {
    (void)state;
    static const uint32_t alignments[] = {0, 8, 64, 8192}; // 0: not said
    for (size_t i = 0; i < 4; i++) {
        uint8_t seeds[3];
        struct xn_error err;
        struct xn_gguf_writer *w = writer_of_everything(seeds);
        if (alignments[i]) expect_ok(xn_gguf_add_u32(w, "general.alignment", alignments[i], &err), &err);
        char *path = xn_path_join(folder, "all.gguf"), *again = xn_path_join(folder, "again.gguf");
        expect_ok(xn_gguf_write(w, path, NULL, &err), &err);
        xn_gguf_writer_free(w);
        struct xn_gguf *g, *h;
        expect_ok(xn_gguf_open(path, &g, &err), &err);
        assert_string_equal(xn_gguf_path(g), path);
        check_everything(g);
        touch(g);
        for (size_t j = 0; j < 3; j++)
            assert_int_equal((uintptr_t)xn_gguf_tensor_at(g, j)->data % (alignments[i] == 8192 ? 4096
                                                                         : alignments[i]       ? alignments[i]
                                                                                               : 32),
                             0);
        // A copy, entry by entry, has the same metadata.
        expect_ok(xn_gguf_writer_new(&w, &err), &err);
        for (size_t j = 0; j < xn_gguf_n_values(g); j++)
            expect_ok(xn_gguf_add_value(w, xn_gguf_value_at(g, j), &err), &err);
        expect_ok(xn_gguf_write(w, again, NULL, &err), &err);
        xn_gguf_writer_free(w);
        expect_ok(xn_gguf_open(again, &h, &err), &err);
        assert_int_equal(xn_gguf_n_values(h), xn_gguf_n_values(g));
        for (size_t j = 0; j < xn_gguf_n_values(g); j++) {
            const struct xn_gguf_value *a = xn_gguf_value_at(g, j), *b = xn_gguf_value_at(h, j);
            assert_string_equal(a->key, b->key);
            assert_true(a->kind == b->kind && a->is_array == b->is_array && a->n == b->n);
            assert_int_equal(a->raw_bytes, b->raw_bytes);
            assert_memory_equal(a->raw, b->raw, a->raw_bytes);
        }
        xn_gguf_close(g);
        xn_gguf_close(h);
        unlink(path);
        unlink(again);
        free(path);
        free(again);
    }
}

static void arrays_of_arrays_are_kept(void **state) {
    (void)state;
    struct maker m;
    head(&m, 0, 2);
    string(&m, "nested");
    u32(&m, XN_GGUF_ARRAY);
    u32(&m, XN_GGUF_ARRAY);
    u64(&m, 2);
    u32(&m, XN_GGUF_U8);
    u64(&m, 3);
    bytes(&m, "abc", 3);
    u32(&m, XN_GGUF_STRING);
    u64(&m, 1);
    string(&m, "xyz");
    u32_value(&m, "after", 7);
    struct xn_gguf *g;
    struct xn_error err;
    void *copy;
    expect_ok(open_copy(m.data, m.size, &g, &copy, &err), &err);
    const struct xn_gguf_value *v = xn_gguf_find(g, "nested");
    assert_true(v->kind == XN_GGUF_ARRAY && v->is_array && v->n == 2);
    assert_int_equal(v->raw_bytes, 12 + 3 + 12 + 8 + 3);
    int64_t whole;
    assert_false(xn_gguf_int(v, 0, &whole));
    assert_true(xn_gguf_int(xn_gguf_find(g, "after"), 0, &whole) && whole == 7);
    struct xn_gguf_writer *w;
    expect_ok(xn_gguf_writer_new(&w, &err), &err);
    expect_ok(xn_gguf_add_value(w, v, &err), &err);
    expect_ok(xn_gguf_add_value(w, xn_gguf_find(g, "after"), &err), &err);
    char *path = xn_path_join(folder, "nested.gguf"), *written;
    expect_ok(xn_gguf_write(w, path, NULL, &err), &err);
    size_t size;
    expect_ok(xn_read_file(path, 1 << 20, &written, &size, &err), &err);
    assert_int_equal(size, m.size);
    assert_memory_equal(written, m.data, size);
    free(written);
    unlink(path);
    free(path);
    xn_gguf_writer_free(w);
    xn_gguf_close(g);
    free(copy);
}

// The bytes of a file with all there is.
static char *file_of_everything(size_t *size) {
    uint8_t seeds[3];
    struct xn_error err;
    struct xn_gguf_writer *w = writer_of_everything(seeds);
    char *path = xn_path_join(folder, "bytes.gguf"), *data;
    expect_ok(xn_gguf_write(w, path, NULL, &err), &err);
    xn_gguf_writer_free(w);
    expect_ok(xn_read_file(path, 1 << 20, &data, size, &err), &err);
    unlink(path);
    free(path);
    return data;
}

static void every_truncation_is_an_error(void **state) {
    (void)state;
    size_t size;
    char *whole = file_of_everything(&size);
    const size_t padding = 32 - 4; // after the last tensor: nothing is missing without it
    for (size_t n = 0; n <= size; n++) {
        struct xn_gguf *g;
        struct xn_error err;
        void *copy;
        int status = open_copy(whole, n, &g, &copy, &err);
        if ((status == XN_OK) != (n >= size - padding)) fail_msg("%zu bytes of %zu: status %d", n, size, status);
        if (status != XN_OK) assert_non_null(strstr(err.message, "FILE"));
        xn_gguf_close(g);
        free(copy);
    }
    free(whole);
}

static void no_corrupt_byte_does_harm(void **state) {
    (void)state;
    size_t size;
    char *whole = file_of_everything(&size);
    static const uint8_t masks[] = {0xff, 0x01, 0x80, 0x10, 0x3c};
    size_t refused = 0;
    for (size_t at = 0; at < size; at++) {
        for (size_t i = 0; i < sizeof masks; i++) {
            struct xn_gguf *g;
            struct xn_error err;
            void *copy;
            whole[at] ^= (char)masks[i];
            if (open_copy(whole, size, &g, &copy, &err) == XN_OK)
                touch(g);
            else
                refused++;
            whole[at] ^= (char)masks[i];
            xn_gguf_close(g);
            free(copy);
        }
    }
    assert_true(refused > 100);
    free(whole);
}

static void the_writer_refuses_what_no_reader_takes(void **state) {
    (void)state;
    struct xn_gguf_writer *w;
    struct xn_error err;
    expect_ok(xn_gguf_writer_new(&w, &err), &err);
    expect_ok(xn_gguf_add_u32(w, "key", 1, &err), &err);
    assert_int_equal(xn_gguf_add_u32(w, "key", 1, &err), XN_ERR_ARGUMENT);
    assert_int_equal(xn_gguf_add_string(w, "", "text", &err), XN_ERR_ARGUMENT);
    assert_int_equal(xn_gguf_add_u32(w, "general.alignment", 12, &err), XN_ERR_ARGUMENT);
    assert_int_equal(xn_gguf_add_i32(w, "general.alignment", 32, &err), XN_ERR_ARGUMENT);
    assert_int_equal(xn_gguf_add_u32(w, "split.no", 1, &err), XN_ERR_ARGUMENT);
    static const uint8_t wrong[] = {1, 2};
    assert_int_equal(xn_gguf_add_array(w, "flags", XN_GGUF_BOOL, wrong, 2, &err), XN_ERR_ARGUMENT);
    const uint64_t dims[] = {31, 1, 1, 1, 1}, zero[] = {0}, huge[] = {1ull << 40, 1ull << 40};
    assert_int_equal(xn_gguf_add_tensor(w, "t", XN_Q4_0, 1, dims, produce, NULL, &err), XN_ERR_ARGUMENT);
    assert_int_equal(xn_gguf_add_tensor(w, "t", XN_F32, 5, dims, produce, NULL, &err), XN_ERR_ARGUMENT);
    assert_int_equal(xn_gguf_add_tensor(w, "t", XN_F32, 1, zero, produce, NULL, &err), XN_ERR_ARGUMENT);
    assert_int_equal(xn_gguf_add_tensor(w, "t", XN_F32, 2, huge, produce, NULL, &err), XN_ERR_ARGUMENT);
    assert_int_equal(xn_gguf_add_tensor(w, "t", 31, 1, dims, produce, NULL, &err), XN_ERR_ARGUMENT);
    uint8_t seed = 0;
    expect_ok(xn_gguf_add_tensor(w, "t", XN_F32, 1, dims, produce, &seed, &err), &err);
    assert_int_equal(xn_gguf_add_tensor(w, "t", XN_F32, 1, dims, produce, &seed, &err), XN_ERR_ARGUMENT);
    assert_int_equal(xn_gguf_write(w, "/nonexistent/x.gguf", NULL, &err), XN_ERR_IO);
    xn_gguf_writer_free(w);
}

static int cancel_at_half(void *user, const char *what, uint64_t done, uint64_t total) {
    (void)what;
    *(uint64_t *)user = total;
    return done > total / 2;
}

static int produce_failure(void *user, uint64_t offset, void *out, size_t size, struct xn_error *err) {
    (void)user, (void)offset, (void)out, (void)size;
    return xn_fail(err, XN_ERR_IO, "the disk is on fire");
}

static void a_write_that_fails_leaves_no_file(void **state) {
    (void)state;
    uint8_t seeds[3];
    struct xn_error err;
    struct xn_gguf_writer *w = writer_of_everything(seeds);
    char *path = xn_path_join(folder, "none.gguf");
    uint64_t total = 0;
    struct xn_progress progress = {cancel_at_half, &total};
    assert_int_equal(xn_gguf_write(w, path, &progress, &err), XN_ERR_CANCELLED);
    assert_int_equal(total, 64 * 12 / 32 * 18 + 5 + 4);
    assert_false(xn_file_exists(path));
    const uint64_t dims[] = {8};
    expect_ok(xn_gguf_add_tensor(w, "broken", XN_F32, 1, dims, produce_failure, NULL, &err), &err);
    assert_int_equal(xn_gguf_write(w, path, NULL, &err), XN_ERR_IO);
    assert_non_null(strstr(err.message, "tensor 'broken': the disk is on fire"));
    assert_non_null(strstr(err.message, path));
    assert_false(xn_file_exists(path));
    free(path);
    xn_gguf_writer_free(w);
}

// ---- split sets

static char *part_path(const char *name, int no, int of) {
    return xn_format("%s/%s-%05d-of-%05d.gguf", folder, name, no, of);
}

static void write_set(const char *name, uint32_t alignment) {
    uint8_t seeds[3];
    struct xn_error err;
    struct xn_gguf_writer *w = writer_of_everything(seeds);
    if (alignment) expect_ok(xn_gguf_add_u32(w, "general.alignment", alignment, &err), &err);
    char *path = xn_format("%s/%s.gguf", folder, name);
    expect_ok(xn_gguf_write_split(w, path, 8, NULL, &err),
              &err); // 432 bytes | 5 | 4: the last two don't fit 8 together
    assert_false(xn_file_exists(path));
    free(path);
    xn_gguf_writer_free(w);
}

static void remove_set(const char *name) {
    for (int no = 1; no <= 3; no++) {
        char *path = part_path(name, no, 3);
        unlink(path);
        free(path);
    }
}

static void any_part_opens_the_set(void **state) {
    (void)state;
    for (uint32_t alignment = 0; alignment <= 4096; alignment += 4096) {
        write_set("set", alignment);
        for (int no = 1; no <= 3; no++) {
            char *path = part_path("set", no, 3), *first = part_path("set", 1, 3);
            struct xn_gguf *g;
            struct xn_error err;
            expect_ok(xn_gguf_open(path, &g, &err), &err);
            check_everything(g);
            touch(g);
            assert_string_equal(xn_gguf_path(g), first);
            assert_string_equal(xn_gguf_tensor(g, "blocks")->file, first);
            assert_non_null(strstr(xn_gguf_tensor(g, "scalar")->file, "-00003-of-00003"));
            xn_gguf_close(g);
            free(path);
            free(first);
        }
        remove_set("set");
    }
}

// Replaces the bytes of part `no` by a change of them.
static void patch(const char *name, int no, const char *find, int skip, uint8_t value) {
    char *path = part_path(name, no, 3), *data;
    size_t size;
    struct xn_error err;
    expect_ok(xn_read_file(path, 1 << 20, &data, &size, &err), &err);
    char *at = memmem(data, size, find, strlen(find));
    assert_non_null(at);
    at[strlen(find) + (size_t)skip] = (char)value;
    struct xn_output *out;
    expect_ok(xn_output_open(path, &out, &err), &err);
    expect_ok(xn_output_write(out, data, size, &err), &err);
    expect_ok(xn_output_commit(out, &err), &err);
    free(data);
    free(path);
}

static void a_set_that_does_not_fit_together_is_an_error(void **state) {
    (void)state;
    static const struct {
        int no, skip;
        const char *find, *text;
        uint8_t value;
    } cases[] = {
        {2, 4, "split.no", "00002-of-00003.gguf: key 'split.no': 2, 1 expected", 2},
        {3, 4, "split.count", "00003-of-00003.gguf: key 'split.count': 4, 3 expected", 4},
        {1, 4, "split.tensors.count", "'split.tensors.count': 9, the 3 parts have 3 tensors", 9},
        {1, -1, "split.count", "00001-of-00003.gguf: no key 'split.count'", 'x'},
        {2, 5, "split.count", "00002-of-00003.gguf: key 'split.count': 259, 3 expected", 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_set("bad", 0);
        patch("bad", cases[i].no, cases[i].find, cases[i].skip, cases[i].value);
        char *path = part_path("bad", 2, 3);
        struct xn_gguf *g;
        struct xn_error err;
        assert_int_equal(xn_gguf_open(path, &g, &err), XN_ERR_FORMAT);
        if (!strstr(err.message, cases[i].text)) fail_msg("'%s', '%s' expected", err.message, cases[i].text);
        free(path);
        remove_set("bad");
    }
    // A part is missing, or under another name.
    write_set("bad", 0);
    char *second = part_path("bad", 2, 3), *third = part_path("bad", 3, 3), *plain = xn_path_join(folder, "plain.gguf");
    struct xn_gguf *g;
    struct xn_error err;
    rename(third, plain);
    assert_int_equal(xn_gguf_open(second, &g, &err), XN_ERR_IO);
    assert_non_null(strstr(err.message, "00003-of-00003.gguf"));
    assert_int_equal(xn_gguf_open(plain, &g, &err), XN_ERR_FORMAT);
    assert_non_null(strstr(err.message, "key 'split.count': 3, 1 expected by the file's name"));
    char *bytes_of_part;
    size_t size;
    expect_ok(xn_read_file(plain, 1 << 20, &bytes_of_part, &size, &err), &err);
    assert_int_equal(xn_gguf_open_memory(bytes_of_part, size, "FILE", &g, &err), XN_ERR_FORMAT);
    free(bytes_of_part);
    rename(plain, third);
    remove_set("bad");
    free(second);
    free(third);
    free(plain);
}

// ---- many names, and files of others

static void lookup_does_not_slow_down(void **state) {
    (void)state;
    struct xn_gguf_writer *w;
    struct xn_error err;
    expect_ok(xn_gguf_writer_new(&w, &err), &err);
    enum { N = 100000 };
    const uint64_t dims[] = {1};
    uint8_t seed = 0;
    for (int i = 0; i < N; i++) {
        char name[32];
        snprintf(name, sizeof name, "key.%d", i);
        expect_ok(xn_gguf_add_u32(w, name, (uint32_t)i, &err), &err);
        expect_ok(xn_gguf_add_tensor(w, name, XN_I8, 1, dims, produce, &seed, &err), &err);
    }
    char *path = xn_path_join(folder, "many.gguf");
    expect_ok(xn_gguf_write(w, path, NULL, &err), &err);
    xn_gguf_writer_free(w);
    struct xn_gguf *g;
    expect_ok(xn_gguf_open(path, &g, &err), &err);
    for (int i = 0; i < N; i++) {
        char name[32];
        int64_t value;
        snprintf(name, sizeof name, "key.%d", i);
        assert_true(xn_gguf_int(xn_gguf_find(g, name), 0, &value) && value == i);
        assert_ptr_equal(xn_gguf_tensor(g, name), xn_gguf_tensor_at(g, (size_t)i));
    }
    xn_gguf_close(g);
    unlink(path);
    free(path);
}

static void files_of_others_are_read(void **state) {
    (void)state;
    const char *shared = getenv("XENON_SHARED");
    char *vocabularies = shared ? xn_path_join(shared, "text/vocab/gguf") : NULL;
    DIR *dir = vocabularies ? opendir(vocabularies) : NULL;
    if (!dir) {
        free(vocabularies);
        print_message("no ../shared/text/vocab/gguf: skipped\n");
        skip();
    }
    int n = 0;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        if (!strstr(entry->d_name, ".gguf") || strlen(strstr(entry->d_name, ".gguf")) != 5) continue;
        char *path = xn_path_join(vocabularies, entry->d_name);
        struct xn_gguf *g;
        struct xn_error err;
        expect_ok(xn_gguf_open(path, &g, &err), &err);
        const struct xn_gguf_value *tokens = xn_gguf_find(g, "tokenizer.ggml.tokens");
        assert_non_null(tokens);
        assert_true(tokens->is_array && tokens->kind == XN_GGUF_STRING && tokens->n > 1000);
        touch(g);
        xn_gguf_close(g);
        free(path);
        n++;
    }
    closedir(dir);
    free(vocabularies);
    assert_true(n > 0);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_head_is_an_error),
        cmocka_unit_test(wrong_metadata_is_an_error),
        cmocka_unit_test(wrong_tensors_are_errors),
        cmocka_unit_test(everything_comes_back),
        cmocka_unit_test(arrays_of_arrays_are_kept),
        cmocka_unit_test(every_truncation_is_an_error),
        cmocka_unit_test(no_corrupt_byte_does_harm),
        cmocka_unit_test(the_writer_refuses_what_no_reader_takes),
        cmocka_unit_test(a_write_that_fails_leaves_no_file),
        cmocka_unit_test(any_part_opens_the_set),
        cmocka_unit_test(a_set_that_does_not_fit_together_is_an_error),
        cmocka_unit_test(lookup_does_not_slow_down),
        cmocka_unit_test(files_of_others_are_read),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
