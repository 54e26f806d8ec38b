// Programs ahead of time: their list is what a device asks for, and a device takes what was built for its kind,
// whatever else lies there.
#include "opencl/ahead.h"

#include "base/file.h"
#include "check/case.h"
#include "opencl/executor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "opencl/testing.h"

static const uint32_t alchemist = 0x030dc008; // 12.55.8, as `ocloc ids acm-g10` has it

static void a_target_is_known_by_its_number(void **unused) {
    (void)unused;
    assert_string_equal(xn_opencl_target_of(alchemist)->name, "acm-g10");
    assert_string_equal(xn_opencl_target_of(alchemist & ~63u)->name, "acm-g10"); // any stepping
    assert_string_equal(xn_opencl_target_of(0x05004000)->name, "bmg-g21");
    assert_null(xn_opencl_target_of(0));
    assert_null(xn_opencl_target_of(0x000c0701)); // an old driver's 12.7.1
    assert_null(xn_opencl_target_named("acm-g1"));
    for (size_t i = 0; xn_opencl_target_at(i); i++) {
        const struct xn_opencl_target *t = xn_opencl_target_at(i);
        assert_ptr_equal(xn_opencl_target_named(t->name), t);
        assert_ptr_equal(xn_opencl_target_of(t->architecture << 22 | t->release << 14 | 3), t);
    }
}

static size_t count(const struct xn_opencl_program *list, size_t n, const char *kernel, uint64_t formats) {
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += strcmp(list[i].kernel, kernel) == 0 && list[i].formats == formats;
    return found;
}

static void formats_are_taken_alone_and_together(void **unused) {
    (void)unused;
    struct xn_error err;
    struct xn_opencl_program *list;
    size_t n;
    uint64_t q4 = (uint64_t)1 << XN_Q4_K, q6 = (uint64_t)1 << XN_Q6_K, f64 = (uint64_t)1 << XN_F64,
             f32 = (uint64_t)1 << XN_F32, f16 = (uint64_t)1 << XN_F16;
    assert_int_equal(xn_opencl_programs_of_formats(q4 | q6 | f64, f16 | f32, &list, &n, &err), XN_OK);
    uint64_t sets[] = {q4, q6, f32, q4 | q6, q4 | f32, q6 | f32, q4 | q6 | f32};
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        assert_int_equal(count(list, n, "gate", sets[i]), 2);        // of few rows and one
        assert_int_equal(count(list, n, "project", sets[i]), 2 * 2); // and of each cache type
        assert_int_equal(count(list, n, "embed", sets[i]), 1);
    }
    assert_int_equal(count(list, n, "add", 0), 1);
    assert_int_equal(count(list, n, "attend", 0), 4 * XN_CL_SHAPES); // and of two sizes of heads
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            assert_false(list[i].id == list[j].id && list[i].formats == list[j].formats &&
                         list[i].cache_type == list[j].cache_type && list[i].few_sizes == list[j].few_sizes &&
                         list[i].shape_id == list[j].shape_id);
    free(list);
    assert_int_equal(xn_opencl_programs_of_formats((uint64_t)1 << XN_I32, f16, &list, &n, &err), XN_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "I32"));
}

static void the_source_is_whole(void **unused) {
    (void)unused;
    struct xn_error err;
    struct xn_opencl_program *list;
    size_t n;
    char *text, options[XN_OPENCL_OPTIONS];
    assert_int_equal(xn_opencl_programs_of_formats((uint64_t)1 << XN_Q4_K, (uint64_t)1 << XN_F16, &list, &n, &err),
                     XN_OK);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(xn_opencl_program_source(&list[i], xn_opencl_target_at(0), &text, options, &err), XN_OK);
        char name[64];
        snprintf(name, sizeof name, "_KERNEL(%s", list[i].kernel);
        if (strcmp(list[i].kernel, "read") != 0 && !strstr(text, name)) fail_msg("%s is not there", name);
        assert_non_null(strstr(text, "#define XN_INTEL\n"));
        assert_non_null(strstr(text, "intel_reqd_sub_group_size"));
        if (list[i].formats) assert_non_null(strstr(text, "#define XN_FORMATS(X) X(Q4_K)\n"));
        free(text);
    }
    free(list);
}

// A device that packs shapes alone.
struct shapes {
    struct xn_device device;
    struct xn_arena arena;
};
static int pack_shape(struct xn_device *device, const struct xn_matrix *matrix, struct xn_weights **out,
                      struct xn_error *err) {
    return xn_opencl_pack_shape(&((struct shapes *)device)->arena, matrix, out, err);
}
static void unpack_shape(struct xn_device *device, struct xn_weights *weights) {
    (void)device;
    (void)weights;
}
static const struct xn_device_table shape_table = {.pack = pack_shape, .unpack = unpack_shape};

// What is listed without a device is what a device makes kernels of.
static void a_plan_has_the_programs_that_a_device_wants(enum xn_op_kind kind, uint32_t type) {
    struct xn_error err;
    struct xn_check_blocks *blocks;
    struct xn_check_case *c;
    struct xn_check_weights weights;
    struct xn_executor *e;
    struct xn_check_wish wish = {.kind = kind, .type = type, .rows = 9, .seed = 11};
    assert_int_equal(xn_check_blocks_make(1, &blocks, &err), XN_OK);
    if (xn_check_case_make(&wish, blocks, &c, &err) != XN_OK) fail_msg("%s", err.message);
    struct shapes shapes = {.device.table = &shape_table};
    struct xn_opencl_program *list;
    size_t n;
    assert_int_equal(xn_check_bind(c, &shapes.device, &weights, &err), XN_OK);
    if (xn_opencl_programs_of_plan(&c->plan, &c->limits, &list, &n, &err) != XN_OK) fail_msg("%s", err.message);
    xn_check_unbind(&weights);
    xn_arena_free(&shapes.arena);
    struct xn_device *device = test_open((struct xn_opencl_options){.cache = test_cache(), .narrow_programs = true});
    assert_int_equal(xn_check_bind(c, device, &weights, &err), XN_OK);
    if (device->table->prepare(device, &c->plan, &c->limits, &e, &err) != XN_OK) fail_msg("%s", err.message);
    for (size_t i = 0; i < e->n_kernels; i++) {
        struct xn_cl_program_key key = xn_cl_program_key_of(&e->kernels[i].key, 0);
        size_t found = 0;
        for (size_t j = 0; j < n; j++)
            found += list[j].id == key.kernel && list[j].formats == key.formats &&
                     (list[j].cache_type == XN_TYPE_COUNT ? 0 : list[j].cache_type) == key.cache_type &&
                     list[j].few_sizes == key.few_sizes && list[j].shape_id == key.shape;
        if (found != 1) fail_msg("kernel %s is listed %zu times", xn_cl_kernel_name(key.kernel), found);
    }
    assert_true(n >= 1 && n <= XN_CL_SHAPES * e->n_kernels); // those of single rows are not for processors
    free(list);
    device->table->release(device, e);
    xn_check_unbind(&weights);
    device->table->free(device);
    xn_check_case_free(c);
    xn_check_blocks_free(blocks);
}
static void a_plan_is_listed(void **unused) {
    (void)unused;
    a_plan_has_the_programs_that_a_device_wants(XN_OP_EMBED, XN_Q8_0);
    a_plan_has_the_programs_that_a_device_wants(XN_OP_ATTEND, XN_F16);
    a_plan_has_the_programs_that_a_device_wants(XN_OP_SHORT_CONV, XN_TYPE_COUNT);
}

// --- taken by a device ---

static char folder[] = "/tmp/xenon-ahead-XXXXXX";

// Opens the device as one of acm-g10, gets a program, and says where it came from.
static void get(const char *cache, const char *ahead, uint32_t version, uint32_t built, uint32_t loaded) {
    struct xn_error err;
    cl_program program;
    uint32_t group;
    struct xn_device *device = test_open((struct xn_opencl_options){.cache = cache, .ahead = ahead});
    struct xn_cl_device *d = xn_cl_device_of(device);
    d->info.ip_version = version;
    struct xn_cl_program_key key = {.kernel = XN_CL_KERNEL_ADD};
    if (xn_cl_program(d, &key, &program, &group, &err) != XN_OK) fail_msg("%s", err.message);
    assert_int_equal(d->programs.built, built);
    assert_int_equal(d->programs.ahead_loaded, loaded);
    device->table->free(device);
}

static void a_device_takes_what_was_built_for_its_kind(void **unused) {
    (void)unused;
    struct xn_error err;
    cl_program program;
    uint32_t group;
    struct xn_cl_digest digest;
    struct xn_cl_program_key key = {.kernel = XN_CL_KERNEL_ADD};
    char *below = xn_path_join(folder, "acm-g10");
    assert_int_equal(mkdir(below, 0700), 0);
    // The binary of this device stands in for one of the offline compiler.
    struct xn_device *device = test_open((struct xn_opencl_options){0});
    struct xn_cl_device *d = xn_cl_device_of(device);
    assert_int_equal(xn_cl_program(d, &key, &program, &group, &err), XN_OK);
    unsigned char *binary;
    size_t size;
    assert_int_equal(d->cl->GetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL), CL_SUCCESS);
    binary = xn_alloc_zero(size, 1);
    assert_int_equal(d->cl->GetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL), CL_SUCCESS);
    char options[XN_CL_OPTIONS];
    free(xn_cl_program_text(&key, d->dialect, false, &digest, options));
    device->table->free(device);
    char *text = xn_cl_ahead_key("acm-g10", key.kernel, &digest), *path = xn_cl_ahead_path(folder, "acm-g10", text);

    get(NULL, folder, alchemist, 1, 0); // nothing is there
    assert_int_equal(xn_cl_cache_write(path, text, binary, size, &err), XN_OK);
    get(NULL, folder, alchemist, 0, 1);
    get(folder, NULL, alchemist, 0, 1); // beside what the device keeps itself, nothing of which is there
    get(NULL, folder, 0, 1, 0);         // a device of another kind, or of none that is known
    get(NULL, folder, 0x05004000, 1, 0);
    get(NULL, NULL, alchemist, 1, 0);
    // What the driver does not take is built.
    assert_int_equal(xn_cl_cache_write(path, text, "no program", 10, &err), XN_OK);
    get(NULL, folder, alchemist, 1, 0);
    unlink(path);
    rmdir(below);
    free(path);
    free(text);
    free(binary);
    free(below);
}

static int begin(void **unused) {
    (void)unused;
    return mkdtemp(folder) ? 0 : -1;
}
static int end(void **unused) {
    (void)unused;
    return rmdir(folder);
}

// --- progress ---

static uint64_t last_done, last_total, most_reports;
static int count_reports(void *user, const char *what, uint64_t done, uint64_t total) {
    (void)user;
    assert_string_equal(what, "building kernels");
    assert_true(done <= total);
    last_done = done;
    last_total = total;
    return most_reports-- == 0;
}

static void building_is_told_and_can_be_cancelled(void **unused) {
    (void)unused;
    static const struct xn_progress progress = {count_reports, NULL};
    struct xn_error err;
    struct xn_check_blocks *blocks;
    struct xn_check_case *c;
    struct xn_check_weights weights;
    struct xn_executor *e;
    struct xn_check_wish wish = {.kind = XN_OP_SHORT_CONV, .type = XN_TYPE_COUNT, .rows = 9, .seed = 12};
    assert_int_equal(xn_check_blocks_make(1, &blocks, &err), XN_OK);
    assert_int_equal(xn_check_case_make(&wish, blocks, &c, &err), XN_OK);
    struct xn_device *device = test_open((struct xn_opencl_options){.cache = test_cache()});
    assert_int_equal(xn_check_bind(c, device, &weights, &err), XN_OK);
    device->table->watch(device, &progress);
    uint64_t taken = xn_cl_device_of(device)->taken;
    for (most_reports = 0;; most_reports = last_done + 1) {
        int status = device->table->prepare(device, &c->plan, &c->limits, &e, &err);
        if (status == XN_OK) break;
        assert_int_equal(status, XN_ERR_CANCELLED);
        assert_null(e);
        assert_int_equal(xn_cl_device_of(device)->taken, taken);
    }
    assert_true(last_total > 0);
    assert_int_equal(last_done, last_total);
    device->table->release(device, e);
    device->table->watch(device, NULL);
    assert_int_equal(device->table->prepare(device, &c->plan, &c->limits, &e, &err), XN_OK);
    device->table->release(device, e);
    xn_check_unbind(&weights);
    device->table->free(device);
    xn_check_case_free(c);
    xn_check_blocks_free(blocks);
}

int main(void) {
    const struct CMUnitTest lists[] = {
        cmocka_unit_test(a_target_is_known_by_its_number),
        cmocka_unit_test(formats_are_taken_alone_and_together),
        cmocka_unit_test(the_source_is_whole),
    };
    const struct CMUnitTest devices[] = {
        cmocka_unit_test(a_plan_is_listed),
        cmocka_unit_test(a_device_takes_what_was_built_for_its_kind),
        cmocka_unit_test(building_is_told_and_can_be_cancelled),
    };
    int failed = cmocka_run_group_tests(lists, NULL, NULL);
    if (failed || test_devices() == 0) return failed ? failed : SKIPPED;
    return cmocka_run_group_tests(devices, begin, end);
}
