// safetensors: files and shards are read; headers that lie are one-line errors.
#include "format/safetensors.h"

#include "base/file.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/xenon-safetensors-test-XXXXXX";

static void expect_ok(int status, const struct xn_error *err) {
    if (status != XN_OK) fail_msg("%s", err->message);
}

// A file of this header and `bytes` bytes of data, 0, 1, 2 ...; free().
static uint8_t *make(const char *header, size_t bytes, size_t *size) {
    uint64_t n = strlen(header);
    *size = 8 + n + bytes;
    uint8_t *data = xn_alloc(*size, 1);
    memcpy(data, &n, 8);
    memcpy(data + 8, header, n);
    for (size_t i = 0; i < bytes; i++)
        data[8 + n + i] = (uint8_t)i;
    return data;
}

static void expect_error(const char *header, size_t bytes, const char *text) {
    size_t size;
    uint8_t *data = make(header, bytes, &size);
    struct xn_safetensors *st;
    struct xn_error err;
    if (xn_safetensors_open_memory(data, size, "FILE", &st, &err) != XN_ERR_FORMAT) fail_msg("%s was opened", header);
    assert_null(st);
    if (!strstr(err.message, text) || !strstr(err.message, "FILE"))
        fail_msg("%s: '%s', '%s' expected", header, err.message, text);
    free(data);
}

static const char good[] = "{\"__metadata__\":{\"format\":\"pt\"},"
                           "\"m\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
                           "\"e\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[12,12]},"
                           "\"s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[12,16]},"
                           "\"u\":{\"dtype\":\"BOOL\",\"shape\":[2],\"data_offsets\":[16,18]},"
                           "\"b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[18,19]},"
                           "\"x\":{\"dtype\":\"F4_NEW\",\"shape\":[2],\"data_offsets\":[19,20]},"
                           "\"w\":{\"dtype\":\"I8\",\"shape\":[1,1,2,1,2],\"data_offsets\":[20,24]}}   ";

static void tensors_are_found_with_their_shapes(void **state) {
    (void)state;
    size_t size;
    uint8_t *data = make(good, 24, &size);
    struct xn_safetensors *st;
    struct xn_error err;
    expect_ok(xn_safetensors_open_memory(data, size, "FILE", &st, &err), &err);
    assert_int_equal(xn_safetensors_n_tensors(st), 4); // u, x and w are in forms without a type
    const struct xn_tensor *m = xn_safetensors_tensor(st, "m"), *found;
    assert_int_equal(m->type, XN_BF16);
    assert_int_equal(m->n_dims, 2);
    assert_true(m->dims[0] == 3 && m->dims[1] == 2 && m->dims[2] == 1 && m->dims[3] == 1);
    assert_int_equal(m->bytes, 12);
    assert_int_equal(m->offset, size - 24);
    assert_ptr_equal(m->data, data + m->offset);
    assert_int_equal(xn_safetensors_tensor(st, "b")->type, XN_I8);
    assert_int_equal(xn_safetensors_tensor(st, "e")->bytes, 0);
    assert_int_equal(xn_safetensors_tensor(st, "s")->n_dims, 0);
    assert_int_equal(((const uint8_t *)xn_safetensors_tensor(st, "s")->data)[0], 12);
    expect_ok(xn_safetensors_require(st, "m", &found, &err), &err);
    assert_ptr_equal(found, m);
    static const struct {
        const char *name, *text;
        int status;
    } absent[] = {
        {"u", "FILE: tensor 'u': dtype BOOL is not supported", XN_ERR_UNSUPPORTED},
        {"x", "FILE: tensor 'x': dtype F4_NEW is not supported", XN_ERR_UNSUPPORTED},
        {"w", "FILE: tensor 'w': 5 dimensions, at most 4 are supported", XN_ERR_UNSUPPORTED},
        {"y", "FILE: no tensor 'y'", XN_ERR_FORMAT},
        {"__metadata__", "FILE: no tensor '__metadata__'", XN_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++) {
        assert_null(xn_safetensors_tensor(st, absent[i].name));
        assert_int_equal(xn_safetensors_require(st, absent[i].name, &found, &err), absent[i].status);
        assert_string_equal(err.message, absent[i].text);
        assert_null(found);
    }
    xn_safetensors_close(st);
    free(data);
}

static void headers_that_lie_are_errors(void **state) {
    (void)state;
#define T(dtype, shape, offsets) "{\"t\":{\"dtype\":" dtype ",\"shape\":" shape ",\"data_offsets\":" offsets "}}"
    expect_error(T("\"F32\"", "[2]", "[0,8]"), 7, "tensor 't': data ends at offset 8, the file has 7");
    expect_error(T("\"F32\"", "[2]", "[0,8]"), 9, "the tensors end at data offset 8, the data at 9");
    expect_error(T("\"F32\"", "[2]", "[1,9]"), 9, "the 1 bytes before it belong to no tensor");
    expect_error(T("\"F32\"", "[3]", "[0,8]"), 8, "tensor 't': 8 bytes at data offset 0, 3 values of F32 expected");
    expect_error(T("\"F32\"", "[]", "[0,8]"), 8, "1 values of F32");
    expect_error(T("\"F32\"", "[2]", "[8,0]"), 8, "data_offsets are not two rising");
    expect_error(T("\"F32\"", "[2]", "[-8,0]"), 8, "data_offsets are not two rising");
    expect_error(T("\"F32\"", "[2]", "[0,8.0]"), 8, "data_offsets are not two rising");
    expect_error(T("\"F32\"", "[2]", "[0,18446744073709551615]"), 8, "data_offsets are not two rising");
    expect_error(T("\"F32\"", "[2]", "[0]"), 8, "data_offsets is no array of two");
    expect_error(T("\"F32\"", "[2]", "7"), 8, "data_offsets is no array of two");
    expect_error(T("\"F32\"", "[-2]", "[0,8]"), 8, "dimension 0 is no whole number");
    expect_error(T("\"F32\"", "[\"2\"]", "[0,8]"), 8, "dimension 0 is no whole number");
    expect_error(T("\"F32\"", "2", "[0,8]"), 8, "shape is no array");
    expect_error(T("\"F32\"", "[4294967296,4294967296]", "[0,8]"), 8, "its shape makes too many values");
    expect_error(T("\"F64\"", "[2305843009213693952]", "[0,0]"), 0, "tensor 't'");
    expect_error(T("7", "[2]", "[0,8]"), 8, "dtype is no string");
    expect_error("{\"t\":[]}", 0, "tensor 't': no object");
    expect_error("{\"t\":{}}", 0, "tensor 't': dtype is no string");
    expect_error("[]", 0, "offset 8: the header is no object");
    expect_error("{", 0, "in the safetensors header: FILE: line 1");
    expect_error("{} {}", 0, "in the safetensors header");
    expect_error("{\"t\":1,\"t\":2}", 0, "duplicate");
    expect_error("{\"a\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]},"
                 "\"b\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[3,7]}}",
                 7, "tensor 'b' at data offset 3 overlaps 'a', which ends at 4");
    struct xn_safetensors *st;
    struct xn_error err;
    for (uint64_t n = 1; n; n <<= 1) { // the length of the header, with no header there
        uint8_t data[8];
        memcpy(data, &n, 8);
        assert_int_equal(xn_safetensors_open_memory(data, 8, "FILE", &st, &err), XN_ERR_FORMAT);
        assert_non_null(strstr(err.message, "FILE: offset 0: a header of"));
    }
}

static void truncated_and_corrupt_files_do_no_harm(void **state) {
    (void)state;
    size_t size;
    uint8_t *data = make(good, 24, &size);
    struct xn_safetensors *st;
    struct xn_error err;
    for (size_t n = 0; n < size; n++) {
        uint8_t *copy = xn_alloc(n, 1);
        memcpy(copy, data, n);
        assert_int_equal(xn_safetensors_open_memory(copy, n, "FILE", &st, &err), XN_ERR_FORMAT);
        free(copy);
    }
    static const uint8_t masks[] = {0xff, 0x01, 0x80, 0x10, 0x02};
    for (size_t at = 0; at < size - 24; at++) {
        for (size_t i = 0; i < sizeof masks; i++) {
            data[at] ^= masks[i];
            volatile uint8_t last = 0;
            if (xn_safetensors_open_memory(data, size, "FILE", &st, &err) == XN_OK) {
                for (size_t t = 0; t < xn_safetensors_n_tensors(st); t++) {
                    const struct xn_tensor *tensor = xn_safetensors_tensor_at(st, t);
                    if (tensor->bytes) last = ((const uint8_t *)tensor->data)[tensor->bytes - 1];
                }
                (void)last;
                xn_safetensors_close(st);
            }
            data[at] ^= masks[i];
        }
    }
    free(data);
}

static void write_file(const char *name, const void *data, size_t size) {
    char *path = xn_path_join(folder, name);
    struct xn_output *out;
    struct xn_error err;
    expect_ok(xn_output_open(path, &out, &err), &err);
    expect_ok(xn_output_write(out, data, size, &err), &err);
    expect_ok(xn_output_commit(out, &err), &err);
    free(path);
}

static void write_shard(const char *name, const char *tensor, const char *second) {
    char header[256];
    snprintf(header, sizeof header,
             "{\"%s\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]},"
             "\"%s\":{\"dtype\":\"BOOL\",\"shape\":[4],\"data_offsets\":[4,8]}}",
             tensor, second);
    size_t size;
    uint8_t *data = make(header, 8, &size);
    write_file(name, data, size);
    free(data);
}

static int open_index(const char *text, struct xn_safetensors **st, struct xn_error *err) {
    write_file("model.safetensors.index.json", text, strlen(text));
    char *path = xn_path_join(folder, "model.safetensors.index.json");
    int status = xn_safetensors_open(path, st, err);
    free(path);
    return status;
}

static void shards_are_read_as_one(void **state) {
    (void)state;
    write_shard("one.safetensors", "a", "ua");
    write_shard("two.safetensors", "b", "ub");
    struct xn_safetensors *st;
    struct xn_error err;
    const struct xn_tensor *t;
    expect_ok(open_index("{\"metadata\":{},\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\","
                         "\"ua\":\"one.safetensors\"}}",
                         &st, &err),
              &err);
    assert_int_equal(xn_safetensors_n_tensors(st), 2);
    assert_non_null(strstr(xn_safetensors_tensor(st, "b")->file, "/two.safetensors"));
    assert_int_equal(xn_safetensors_require(st, "ua", &t, &err), XN_ERR_UNSUPPORTED);
    assert_int_equal(xn_safetensors_require(st, "ub", &t, &err), XN_ERR_FORMAT); // not in the index
    xn_safetensors_close(st);
    // The same name in two shards: the index says which.
    write_shard("two.safetensors", "a", "ub");
    expect_ok(open_index("{\"weight_map\":{\"a\":\"two.safetensors\",\"ua\":\"one.safetensors\"}}", &st, &err), &err);
    assert_non_null(strstr(xn_safetensors_tensor(st, "a")->file, "/two.safetensors"));
    xn_safetensors_close(st);
    static const struct {
        const char *index, *text;
        int status;
    } bad[] = {
        {"{\"weight_map\":{\"c\":\"one.safetensors\"}}", "tensor 'c' is not in one.safetensors", XN_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"three.safetensors\"}}", "three.safetensors: No such file", XN_ERR_IO},
        {"{\"weight_map\":{\"a\":\"../one.safetensors\"}}", "'../one.safetensors' is no name of a file", XN_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", "is no name of a file", XN_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"\"}}", "is no name of a file", XN_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"one.safetensors\\u0000\"}}", "is no name of a file", XN_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":1}}", "is no name of a file", XN_ERR_FORMAT},
        {"{\"weight_map\":[]}", "weight_map is no object", XN_ERR_FORMAT},
        {"[]", "weight_map is no object", XN_ERR_FORMAT},
        {"{\"weight_map\":{\"a\":\"..\"}}", "not a regular file", XN_ERR_IO},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int status = open_index(bad[i].index, &st, &err);
        if (status != bad[i].status || !strstr(err.message, bad[i].text))
            fail_msg("%s: status %d, '%s'; '%s' expected", bad[i].index, status, err.message, bad[i].text);
        assert_null(st);
    }
    static const char *const names[] = {"one.safetensors", "two.safetensors", "model.safetensors.index.json"};
    for (size_t i = 0; i < 3; i++) {
        char *path = xn_path_join(folder, names[i]);
        unlink(path);
        free(path);
    }
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_are_found_with_their_shapes),
        cmocka_unit_test(headers_that_lie_are_errors),
        cmocka_unit_test(truncated_and_corrupt_files_do_no_harm),
        cmocka_unit_test(shards_are_read_as_one),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
