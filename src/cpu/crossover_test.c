// Crossovers are measured once, kept, read again, and survive a file that is not theirs.
#include "cpu/crossover.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[] = "/tmp/xenon-crossover-XXXXXX";
static struct xn_error err;

static struct xn_cpu_device *open_device(struct xn_device **device) {
    struct xn_cpu_options options = {.threads = 1, .level = xn_cpu_level_detect(), .crossovers = path};
    if (xn_cpu_device_open(&options, device, &err) != XN_OK) fail_msg("%s", err.message);
    return xn_cpu_device_of(*device);
}

static void write_text(const char *text) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static uint32_t found(const char *text) {
    struct xn_device *device;
    struct xn_cpu_device *d = open_device(&device);
    if (text) write_text(text);
    xn_cpu_crossover_find(d, XN_Q8_0);
    uint32_t rows = d->kernels.type[XN_Q8_0].stream;
    device->table->free(device);
    assert_in_range(rows, 1, XN_CPU_STREAM_ROWS);
    return rows;
}

static void measured_once_and_kept(void **state) {
    (void)state;
    struct xn_device *device;
    struct xn_cpu_device *d = open_device(&device);
    write_text("");
    uint32_t types[] = {XN_Q8_0, XN_BF16, XN_IQ1_S, XN_F32};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        xn_cpu_crossover_find(d, types[i]);
    char *text, line[128];
    size_t size;
    assert_int_equal(xn_read_file(path, 4096, &text, &size, &err), XN_OK);
    snprintf(line, sizeof line, "3 %s Q8_0 %u %s\n", xn_cpu_level_name(d->kernels.level),
             d->kernels.type[XN_Q8_0].stream, d->name);
    assert_non_null(strstr(text, line));
    size_t lines = 0;
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    assert_int_equal(lines, 4);
    free(text);
    device->table->free(device);
}

static void what_is_kept_is_used(void **state) {
    (void)state;
    struct xn_device *device;
    struct xn_cpu_device *d = open_device(&device);
    char line[512];
    const char *level = xn_cpu_level_name(d->kernels.level);
    snprintf(line, sizeof line, "3 c Q8_0 9 %s\n%s Q8_0 31 %s\n2 %s Q8_0 30 %s\n3 %s Q8_0 3 %s\n3 %s Q4_0 5 %s",
             d->name, level, d->name, level, d->name, level, d->name, level, d->name); // 31 and 30: of other kernels
    device->table->free(device);
    assert_int_equal(found(line), xn_cpu_level_detect() == XN_CPU_C ? 9 : 3);
}

static void a_file_of_something_else_does_no_harm(void **state) {
    (void)state;
    struct xn_device *device;
    struct xn_cpu_device *d = open_device(&device);
    char line[256];
    const char *level = xn_cpu_level_name(d->kernels.level);
    found("");
    found("\n\n\xff\xfe no lines of ours");
    const char *numbers[] = {"0", "33", "-3", "99999999999999", "x", ""};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        snprintf(line, sizeof line, "3 %s Q8_0 %s %s\n", level, numbers[i], d->name);
        found(line);
        snprintf(line, sizeof line, "3 %s Q8_0 %s", level, numbers[i]);
        found(line);
    }
    unlink(path); // no file: measured
    found(NULL);
    device->table->free(device);
}

int main(void) {
    int file = mkstemp(path);
    if (file < 0) return 1;
    close(file);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measured_once_and_kept),
        cmocka_unit_test(what_is_kept_is_used),
        cmocka_unit_test(a_file_of_something_else_does_no_harm),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
