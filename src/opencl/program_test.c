// Built programs on disk: found again, and anything else than what was written is as good as nothing.
#include "base/file.h"
#include "base/memory.h"
#include "opencl/internal.h"
#include "opencl/program_cache.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "opencl/testing.h"

static char folder[] = "/tmp/xenon-programs-XXXXXX";

static void write_bytes(const char *path, const char *data, size_t size) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}

// The only file of the folder; free().
static char *only_file(void) {
    DIR *d = opendir(folder);
    char *found = NULL;
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') {
            assert_null(found);
            found = xn_path_join(folder, e->d_name);
        }
    closedir(d);
    assert_non_null(found);
    return found;
}

static void an_entry_is_found_by_its_key(void **unused) {
    (void)unused;
    static const char key[] = "kernel\ndevice\n", other[] = "kernel\ndevicf\n",
                      binary[] = "\x7f"
                                 "ELF\0and more";
    struct xn_error err;
    void *found;
    size_t size;
    char *path = xn_cl_cache_path(folder, key), *elsewhere = xn_cl_cache_path(folder, other);
    assert_string_not_equal(path, elsewhere);
    assert_false(xn_cl_cache_read(path, key, &found, &size));
    if (xn_cl_cache_write(path, key, binary, sizeof binary, &err) != XN_OK) fail_msg("%s", err.message);
    assert_true(xn_cl_cache_read(path, key, &found, &size));
    assert_int_equal(size, sizeof binary);
    assert_memory_equal(found, binary, size);
    free(found);
    assert_false(xn_cl_cache_read(path, other, &found, &size));
    // Every byte counts, and so does every missing one.
    char *data;
    assert_int_equal(xn_read_file(path, 1 << 20, &data, &size, &err), XN_OK);
    for (size_t i = 0; i < size; i++) {
        data[i] ^= 4;
        write_bytes(path, data, size);
        data[i] ^= 4;
        size_t n;
        if (xn_cl_cache_read(path, key, &found, &n)) fail_msg("byte %zu is not looked at", i);
        assert_null(found);
        write_bytes(path, data, i);
        if (xn_cl_cache_read(path, key, &found, &n)) fail_msg("%zu bytes of %zu are enough", i, size);
    }
    free(data);
    unlink(path);
    free(path);
    free(elsewhere);
    assert_int_equal(xn_cl_cache_write("/nowhere/at/all", key, binary, sizeof binary, &err), XN_ERR_IO);
}

// Opens the device, gets a program, and says where it came from.
static void get(uint32_t built, uint32_t loaded) {
    struct xn_error err;
    cl_program program, again;
    uint32_t group;
    struct xn_device *device = test_open((struct xn_opencl_options){.cache = folder});
    struct xn_cl_device *d = xn_cl_device_of(device);
    struct xn_cl_program_key key = {.kernel = XN_CL_KERNEL_ADD, .formats = 1, .cache_type = XN_F16};
    if (xn_cl_program(d, &key, &program, &group, &err) != XN_OK) fail_msg("%s", err.message);
    assert_int_equal(d->programs.built, built);
    assert_int_equal(d->programs.loaded, loaded);
    key.formats = key.cache_type = XN_Q8_0; // which it does not depend on
    assert_int_equal(xn_cl_program(d, &key, &again, &group, &err), XN_OK);
    assert_ptr_equal(program, again);
    cl_kernel kernel;
    if (xn_cl_kernel_make(d, &key, &kernel, &group, &err) != XN_OK) fail_msg("%s", err.message);
    d->cl->ReleaseKernel(kernel);
    device->table->free(device);
}

static void a_built_program_is_kept(void **unused) {
    (void)unused;
    struct xn_error err;
    char *data;
    size_t size;
    get(1, 0);
    get(0, 1);
    char *path = only_file();
    assert_int_equal(xn_read_file(path, 64 << 20, &data, &size, &err), XN_OK);
    data[size - 1] ^= 1;
    write_bytes(path, data, size);
    get(1, 0); // and put right
    get(0, 1);
    // A sound entry that the driver does not take.
    struct xn_device *device = test_open((struct xn_opencl_options){0});
    struct xn_cl_device *d = xn_cl_device_of(device);
    char *key_begin = data + 16 + 2 * 8 + sizeof(struct xn_cl_digest);
    uint64_t key_size;
    memcpy(&key_size, data + 16, sizeof key_size);
    char *key = xn_strndup(key_begin, key_size);
    assert_non_null(strstr(key, d->info.name));
    assert_non_null(strstr(key, d->info.driver));
    assert_int_equal(xn_cl_cache_write(path, key, "no program", 10, &err), XN_OK);
    device->table->free(device);
    get(1, 0);
    get(0, 1);
    unlink(path);
    free(key);
    free(path);
    free(data);
}

static void a_folder_that_is_not_there_is_no_error(void **unused) {
    (void)unused;
    struct xn_error err;
    cl_program program;
    uint32_t group;
    struct xn_device *device = test_open((struct xn_opencl_options){.cache = "/nowhere/at/all"});
    struct xn_cl_program_key key = {.kernel = XN_CL_KERNEL_ADD};
    if (xn_cl_program(xn_cl_device_of(device), &key, &program, &group, &err) != XN_OK) fail_msg("%s", err.message);
    device->table->free(device);
}

// A source that the driver rejects names the kernel and what is wrong with it.
static void a_rejected_kernel_is_named(void **unused) {
    (void)unused;
    struct xn_error err;
    cl_program program;
    uint32_t group;
    struct xn_device *device = test_open((struct xn_opencl_options){0});
    struct xn_cl_device *d = xn_cl_device_of(device);
    struct xn_cl_program_key key = {.kernel = XN_CL_KERNEL_EMBED, .formats = (uint64_t)1 << XN_I8}; // has no decoder
    assert_int_equal(xn_cl_program(d, &key, &program, &group, &err), XN_ERR_DEVICE);
    assert_non_null(strstr(err.message, "embed"));
    assert_non_null(strstr(err.message, "CL_BUILD_PROGRAM_FAILURE"));
    assert_non_null(strstr(err.message, d->info.name));
    device->table->free(device);
}

// A dialect that the driver does not take is replaced by the plain one, kernel by kernel. (Here are processors.)
static void the_plain_variant_is_tried(void **unused) {
    (void)unused;
    struct xn_error err;
    cl_program program;
    uint32_t group = 0;
    for (int dialect = XN_CL_INTEL; dialect <= XN_CL_NVIDIA; dialect++) {
        struct xn_device *device = test_open((struct xn_opencl_options){0});
        struct xn_cl_device *d = xn_cl_device_of(device);
        if (d->info.is_processor) {
            assert_int_equal(d->dialect, XN_CL_PLAIN);
            d->dialect = (enum xn_cl_dialect)dialect;
        }
        struct xn_cl_program_key key = {.kernel = XN_CL_KERNEL_ADD};
        if (xn_cl_program(d, &key, &program, &group, &err) != XN_OK) fail_msg("%s", err.message);
        assert_int_equal(d->programs.built, 1);
        assert_int_equal(group, XN_CL_GROUP);
        device->table->free(device);
    }
}

static int begin(void **unused) {
    (void)unused;
    return mkdtemp(folder) ? 0 : -1;
}
static int end(void **unused) {
    (void)unused;
    return rmdir(folder);
}

int main(void) {
    if (test_devices() == 0) return SKIPPED;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_entry_is_found_by_its_key),
        cmocka_unit_test(a_built_program_is_kept),
        cmocka_unit_test(a_folder_that_is_not_there_is_no_error),
        cmocka_unit_test(a_rejected_kernel_is_named),
        cmocka_unit_test(the_plain_variant_is_tried),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
