// Which device is chosen where none is named: GPUs are what OpenCL's processors of this machine (PoCL) are said to be.
#include "api/select.h"
#include "base/log.h"
#include "engine/model.h"
#include "opencl/loader.h"
#include "opencl/opencl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SKIPPED = 77, DEVICES = 2 };

static const struct xn_cl_api *api; // the process's, with functions of this test in it
static struct xn_cl_api real;
static char *model_path;

// What the devices are said to be, and what became of it.
static struct said {
    cl_device_id id;
    cl_device_type type;
    cl_ulong memory;
    cl_bool shares_memory, fails; // fails: its driver, at opening
    int contexts;
} said[DEVICES];
static int warnings;

static struct said *said_of(cl_device_id id) {
    for (int i = 0; i < DEVICES; i++) {
        if (!said[i].id) said[i].id = id;
        if (said[i].id == id) return &said[i];
    }
    return NULL;
}

static cl_int give(const void *value, size_t n, size_t size, void *out, size_t *out_size) {
    if (out && size >= n) memcpy(out, value, n);
    if (out_size) *out_size = n;
    return CL_SUCCESS;
}

static cl_int CL_API_CALL get_info(cl_device_id id, cl_device_info what, size_t size, void *out, size_t *out_size) {
    const struct said *s = said_of(id);
    if (s && what == CL_DEVICE_TYPE) return give(&s->type, sizeof s->type, size, out, out_size);
    if (s && what == CL_DEVICE_GLOBAL_MEM_SIZE) return give(&s->memory, sizeof s->memory, size, out, out_size);
    if (s && what == CL_DEVICE_HOST_UNIFIED_MEMORY)
        return give(&s->shares_memory, sizeof s->shares_memory, size, out, out_size);
    return real.GetDeviceInfo(id, what, size, out, out_size);
}

static cl_context CL_API_CALL make_context(const cl_context_properties *p, cl_uint n, const cl_device_id *ids,
                                           void(CL_CALLBACK *f)(const char *, const void *, size_t, void *), void *user,
                                           cl_int *code) {
    struct said *s = said_of(*ids);
    if (s && s->fails) {
        *code = CL_OUT_OF_RESOURCES;
        return NULL;
    }
    if (s) s->contexts++;
    return real.CreateContext(p, n, ids, f, user, code);
}

static void count_warnings(void *user, enum xn_log_level level, const char *line) {
    (void)user;
    (void)line;
    warnings += level == XN_LOG_WARNING;
}

static int begin(void **unused) {
    (void)unused;
    for (int i = 0; i < DEVICES; i++)
        said[i] = (struct said){.id = said[i].id, .type = CL_DEVICE_TYPE_GPU, .memory = 2000000000};
    warnings = 0;
    return 0;
}

// The backend that runs the default model on the devices named.
static const char *backend_of(const char *devices, struct xn_error *err) {
    static struct xn_device_info info;
    struct xn_device_choice choice = {.devices = devices, .layers = -1};
    struct xn_device *device;
    struct xn_model *model;
    if (xn_devices_choose(&choice, &device, err) != XN_OK) return NULL;
    int status = xn_model_open(model_path, device, NULL, NULL, &model, err);
    if (status == XN_OK) {
        model->device->table->describe(model->device, &info);
        xn_model_close(model);
    }
    device->table->free(device);
    return status == XN_OK ? info.backend : NULL;
}

static void expect_backend(const char *expected) {
    struct xn_error err;
    const char *backend = backend_of("auto", &err);
    if (!backend) fail_msg("%s", err.message);
    if (!strstr(backend, expected) || (!strchr(expected, '+') && strchr(backend, '+')))
        fail_msg("%s runs the model, %s expected", backend, expected);
}

static void the_largest_is_chosen(void **unused) {
    (void)unused;
    said[1].memory++;
    expect_backend("OpenCL gpu1");
    assert_int_equal(said[0].contexts, 0); // nothing is asked of a device that is not needed
    assert_int_equal(said[1].contexts, 1);
    said[0].memory += 2;
    expect_backend("OpenCL gpu0");
    assert_int_equal(said[1].contexts, 1);
    assert_int_equal(warnings, 0);
}

static void processors_are_not_chosen(void **unused) {
    (void)unused;
    said[0].type = CL_DEVICE_TYPE_CPU;
    said[1].type = CL_DEVICE_TYPE_ACCELERATOR;
    expect_backend("CPU ");
    assert_int_equal(said[0].contexts + said[1].contexts, 0);
    said[1].type = CL_DEVICE_TYPE_GPU; // which is the first then
    expect_backend("OpenCL gpu0");
    assert_int_equal(said[0].contexts, 0);
}

static void memory_of_its_own_is_preferred(void **unused) {
    (void)unused;
    said[0].shares_memory = CL_TRUE;
    said[0].memory *= 4;
    expect_backend("OpenCL gpu1");
    said[1].shares_memory = CL_TRUE;
    expect_backend("CPU ");
    assert_int_equal(said[0].contexts, 0);
}

// The model has 11 MB of weights.
static void what_does_not_fit_is_spread(void **unused) {
    (void)unused;
    said[0].memory = said[1].memory = 24000000;
    expect_backend(" + OpenCL gpu");
    said[0].memory = said[1].memory = 1000;
    expect_backend("CPU ");
    assert_int_equal(warnings, 0);
}

static void a_driver_that_fails_is_left_out(void **unused) {
    (void)unused;
    struct xn_error err;
    said[1].memory *= 2;
    said[1].fails = CL_TRUE;
    expect_backend("OpenCL gpu0");
    assert_int_equal(warnings, 1);
    said[0].fails = CL_TRUE;
    expect_backend("CPU ");
    assert_int_equal(warnings, 3);
    assert_null(backend_of("gpu0", &err)); // which was asked for
    assert_non_null(strstr(err.message, "gpu0"));
    assert_non_null(strstr(err.message, "CL_OUT_OF_RESOURCES"));
    assert_int_equal(said[0].contexts, 1);
}

int main(void) {
    struct xn_opencl_info *list;
    uint32_t n;
    const char *source = getenv("XENON_SOURCE");
    setenv("POCL_DEVICES", "pthread pthread", 1);
    unsetenv("XENON_CPU");
    if (!source || xn_opencl_list(&list, &n, NULL) != XN_OK) return SKIPPED;
    free(list);
    if (n != DEVICES) {
        fprintf(stderr, "skipped: OpenCL has %u devices here, %d expected\n", n, DEVICES);
        return SKIPPED;
    }
    api = xn_cl_api();
    real = *api;
    ((struct xn_cl_api *)(uintptr_t)api)->GetDeviceInfo = get_info;
    ((struct xn_cl_api *)(uintptr_t)api)->CreateContext = make_context;
    xn_log_set_sink(count_warnings, NULL);
    if (asprintf(&model_path, "%s/models/xenon-default-q8_0.gguf", source) < 0) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_largest_is_chosen, begin),
        cmocka_unit_test_setup(processors_are_not_chosen, begin),
        cmocka_unit_test_setup(memory_of_its_own_is_preferred, begin),
        cmocka_unit_test_setup(what_does_not_fit_is_spread, begin),
        cmocka_unit_test_setup(a_driver_that_fails_is_left_out, begin),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(model_path);
    return failed;
}
