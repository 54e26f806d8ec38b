// The results of `xenon check` as a table, as JSON, and the machine that they are of.
#include "cli/check.h"
#include "cli/cli.h"
#include "cli/devices.h"
#include "quant/format.h"
#include "xenon/xenon.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

static const char *format_name(uint32_t type) {
    return type == XN_TYPE_COUNT ? "-" : xn_format_of(type)->name;
}

static void put_time(char cell[16], double seconds) {
    if (seconds == 0)
        snprintf(cell, 16, "-");
    else if (seconds < 1e-3)
        snprintf(cell, 16, "%.1f us", seconds * 1e6);
    else
        snprintf(cell, 16, "%.2f ms", seconds * 1e3);
}

static void put_share(char cell[16], const struct xn_check_speed *speed) {
    if (speed->share > 0)
        snprintf(cell, 16, "%.1f%%", 100 * speed->share);
    else
        snprintf(cell, 16, "-");
}

static void print_row(const struct xn_check_subject *s, const struct xn_check_row *r, FILE *out) {
    char one[16], one_share[16], many[16], many_share[16];
    put_time(one, r->one.seconds);
    put_share(one_share, &r->one);
    put_time(many, r->many.seconds);
    put_share(many_share, &r->many);
    fprintf(out, "%-15s %-12s %-8s %6u %9.1e %9.1e %-5s %10s %9s %10s %7s %s\n", s->devices[r->device].name,
            xn_op_name(r->kind), format_name(r->type), r->cases, r->error, r->tolerance, r->wrong ? "WRONG" : "ok", one,
            one_share, many, many_share, r->many.share > 0 && r->unit ? r->unit : "");
}

static void print_failures(const struct xn_check_subject *s, const struct xn_check_report *report, FILE *out) {
    for (size_t i = 0; i < report->n_failures; i++) {
        const struct xn_check_failure *f = &report->failures[i];
        const char *device = s->devices[f->device].name;
        bool format = f->type != XN_TYPE_COUNT;
        fprintf(out, "WRONG %s, %s: %s\n", device, f->what, f->problem);
        fprintf(out, "      xenon check --device %s --op %s%s%s%s --seed %llu -t %u\n", s->devices[f->device].spelled,
                xn_op_name(f->kind), format ? " --format " : "", format ? format_name(f->type) : "",
                s->quick ? " --quick" : "", (unsigned long long)s->seed, s->machine.threads);
    }
    if (report->wrong > report->n_failures)
        fprintf(out, "and %llu more\n", (unsigned long long)(report->wrong - report->n_failures));
    if (report->wrong) fputc('\n', out);
}

static void print_peaks(const struct xn_check_subject *s, const struct xn_check_report *report, FILE *out) {
    if (report->peaks[0].n == 0) return;
    fprintf(out, "peak (measured, GFLOP/s):\n");
    for (uint32_t d = 0; d < report->n_devices; d++) {
        const struct xn_check_peak *peak = &report->peaks[d];
        fprintf(out, "  %s:", s->devices[d].name);
        for (uint32_t i = 0; i < peak->n; i++)
            fprintf(out, "%s %s %.0f", i ? "," : "", peak->unit[i], peak->flops[i] / 1e9);
        fputc('\n', out);
    }
}

void xn_check_print(const struct xn_check_subject *s, const struct xn_check_report *report, FILE *out) {
    const struct xn_device_info *machine = &s->machine;
    fprintf(out, "%s, ", machine->name);
    if (machine->threads) fprintf(out, "%u thread%s, ", machine->threads, machine->threads == 1 ? "" : "s");
    fprintf(out, "seed %llu%s\n", (unsigned long long)s->seed, s->quick ? ", quick" : "");
    if (report->bandwidth > 0) fprintf(out, "memory bandwidth (measured): %.1f GB/s\n", report->bandwidth / 1e9);
    if (report->launch_alone > 0)
        fprintf(out, "a launch (measured): %.1f us queued behind others, %.1f us where it is waited for\n",
                report->launch_queued * 1e6, report->launch_alone * 1e6);
    print_peaks(s, report, out);
    fprintf(out, "\n%-15s %-12s %-8s %6s %9s %9s %-5s %10s %9s %10s %7s\n", "set", "operation", "format", "cases",
            "error", "allowed", "", "1 row", "bandwidth", "512 rows", "peak");
    for (size_t i = 0; i < report->n_rows; i++)
        print_row(s, &report->rows[i], out);
    fputc('\n', out);
    print_failures(s, report, out);
    fprintf(out, "%u instruction set%s, %u operation%s, %u formats, %llu cases in %.0f s: ", report->n_devices,
            report->n_devices == 1 ? "" : "s", report->n_ops, report->n_ops == 1 ? "" : "s", report->n_formats,
            (unsigned long long)report->cases, report->seconds);
    if (report->wrong)
        fprintf(out, "%llu WRONG\n", (unsigned long long)report->wrong);
    else
        fprintf(out, "all ok\n");
}

// "flags" of /proc/cpuinfo, as far as they are about vectors.
static void print_flags(FILE *out) {
    char *line = NULL;
    size_t size = 0;
    FILE *info = fopen("/proc/cpuinfo", "r");
    while (info && getline(&line, &size, info) > 0) {
        if (strncmp(line, "flags", 5) != 0) continue;
        fprintf(out, "instructions:");
        char *rest = NULL;
        for (char *word = strtok_r(line, " \t\n:", &rest); word; word = strtok_r(NULL, " \t\n:", &rest))
            if (strncmp(word, "avx", 3) == 0 || strncmp(word, "amx", 3) == 0 || strncmp(word, "sse", 3) == 0 ||
                strcmp(word, "fma") == 0 || strcmp(word, "f16c") == 0 || strcmp(word, "hypervisor") == 0)
                fprintf(out, " %s", word);
        fputc('\n', out);
        break;
    }
    if (info) fclose(info);
    free(line);
}

void xn_check_print_machine(const struct xn_check_subject *s, FILE *out) {
    struct utsname system;
    fprintf(out, "xenon %s check, built with %s\n", XENON_VERSION_STRING, __VERSION__);
    if (uname(&system) == 0) fprintf(out, "%s %s %s\n", system.sysname, system.release, system.machine);
    fprintf(out, "%s, %.1f GB of memory\n", s->machine.name, (double)s->machine.memory / 1e9);
    print_flags(out);
    const struct xn_device *last = s->n_devices ? s->devices[s->n_devices - 1].device : NULL;
    const struct xn_opencl_info *gpu = last ? xn_opencl_info_of(last) : NULL;
    if (gpu) {
        fprintf(out, "%s, with kernels in the variant \"%s\":\n", s->devices[s->n_devices - 1].name,
                xn_opencl_kernels_of(last));
        xn_print_gpu(gpu, out);
    }
    fputc('\n', out);
}

static json_t *speed_json(const struct xn_check_speed *speed) {
    if (speed->seconds == 0) return json_null();
    return json_pack("{s:o, s:o}", "seconds", xn_json_number(speed->seconds), "share",
                     speed->share > 0 ? json_real(speed->share) : json_null());
}

static json_t *row_json(const struct xn_check_subject *s, const struct xn_check_row *r) {
    return json_pack("{s:s, s:s, s:o, s:i, s:i, s:o, s:o, s:b, s:o, s:o, s:s*}", "set", s->devices[r->device].name,
                     "operation", xn_op_name(r->kind), "format",
                     r->type == XN_TYPE_COUNT ? json_null() : json_string(format_name(r->type)), "cases", (int)r->cases,
                     "wrong", (int)r->wrong, "error", xn_json_number(r->error), "tolerance",
                     xn_json_number(r->tolerance), "ok", r->wrong == 0, "one_row", speed_json(&r->one), "many_rows",
                     speed_json(&r->many), "peak_type", r->unit);
}

json_t *xn_check_json(const struct xn_check_subject *s, const struct xn_check_report *report) {
    json_t *rows = json_array(), *failures = json_array(), *peaks = json_object();
    for (size_t i = 0; i < report->n_rows; i++)
        json_array_append_new(rows, row_json(s, &report->rows[i]));
    for (size_t i = 0; i < report->n_failures; i++) {
        const struct xn_check_failure *f = &report->failures[i];
        json_array_append_new(failures, json_pack("{s:s, s:s, s:s}", "set", s->devices[f->device].name, "case", f->what,
                                                  "problem", f->problem));
    }
    for (uint32_t d = 0; d < report->n_devices; d++) {
        json_t *units = json_object();
        for (uint32_t i = 0; i < report->peaks[d].n; i++)
            json_object_set_new(units, report->peaks[d].unit[i], json_real(report->peaks[d].flops[i]));
        json_object_set_new(peaks, s->devices[d].name, units);
    }
    json_t *launch = report->launch_alone > 0 ? json_pack("{s:f, s:f}", "queued_seconds", report->launch_queued,
                                                          "alone_seconds", report->launch_alone)
                                              : json_null();
    return json_pack("{s:s, s:i, s:I, s:b, s:o, s:o, s:I, s:I, s:o, s:b, s:i, s:o, s:o, s:o}", "device",
                     s->machine.name, "threads", (int)s->machine.threads, "seed", (json_int_t)s->seed, "quick",
                     s->quick, "bandwidth", report->bandwidth > 0 ? json_real(report->bandwidth) : json_null(), "peak",
                     peaks, "cases", (json_int_t)report->cases, "wrong", (json_int_t)report->wrong, "seconds",
                     json_real(report->seconds), "ok", report->wrong == 0, "many_row_count", XN_CHECK_MANY, "rows",
                     rows, "failures", failures, "launch", launch);
}
