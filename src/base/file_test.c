// Files: mapping, whole reads with limits, and outputs that appear only when complete.
#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/xenon-file-test-XXXXXX";

static char *in_folder(const char *name) {
    return xn_path_join(folder, name);
}

static void an_output_appears_only_when_committed(void **state) {
    (void)state;
    struct xn_error err;
    char *path = in_folder("out");
    struct xn_output *out;
    assert_int_equal(xn_output_open(path, &out, &err), XN_OK);
    assert_int_equal(xn_output_write(out, "hello", 5, &err), XN_OK);
    assert_false(xn_file_exists(path));
    assert_int_equal(xn_output_offset(out), 5);
    assert_int_equal(xn_output_commit(out, &err), XN_OK);
    struct xn_map map;
    assert_int_equal(xn_map_open(path, &map, &err), XN_OK);
    assert_int_equal(map.size, 5);
    assert_memory_equal(map.data, "hello", 5);
    xn_map_close(&map);

    assert_int_equal(xn_output_open(path, &out, &err), XN_OK);
    assert_int_equal(xn_output_write(out, "half", 4, &err), XN_OK);
    xn_output_abort(out);
    char *data;
    size_t size;
    assert_int_equal(xn_read_file(path, 100, &data, &size, &err), XN_OK);
    assert_string_equal(data, "hello");
    free(data);
    assert_int_equal(xn_read_file(path, 4, &data, &size, &err), XN_ERR_LIMIT);
    assert_non_null(strstr(err.message, "5 bytes"));
    unlink(path);
    free(path);
}

static void what_is_no_file_is_an_error_that_names_it(void **state) {
    (void)state;
    struct xn_error err;
    struct xn_map map;
    assert_int_equal(xn_map_open("/nonexistent/model.gguf", &map, &err), XN_ERR_IO);
    assert_non_null(strstr(err.message, "/nonexistent/model.gguf"));
    assert_int_equal(xn_map_open(folder, &map, &err), XN_ERR_IO);
    assert_non_null(strstr(err.message, "not a regular file"));
    assert_null(map.data);
}

static void an_empty_file_maps(void **state) {
    (void)state;
    struct xn_error err;
    char *path = in_folder("empty");
    fclose(fopen(path, "w"));
    struct xn_map map;
    assert_int_equal(xn_map_open(path, &map, &err), XN_OK);
    assert_int_equal(map.size, 0);
    assert_non_null(map.data);
    xn_map_close(&map);
    unlink(path);
    free(path);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_output_appears_only_when_committed),
        cmocka_unit_test(what_is_no_file_is_an_error_that_names_it),
        cmocka_unit_test(an_empty_file_maps),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
