// xenon check: every operation of a device against plain C.
#include "cli/check.h"
#include "api/select.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/progress.h"
#include "cpu/cpu.h"
#include "quant/format.h"

#include <stdlib.h>
#include <string.h>

struct check {
    const char *device, *op, *format, *report;
    int64_t threads, seed;
    bool quick, json, errors_only;
    struct xn_check_device devices[XN_CPU_LEVELS + 1];
    uint32_t n_devices;
};

static int add_device(struct check *c, const char *name, struct xn_error *err) {
    struct xn_device *device;
    XN_TRY(xn_device_select(name, (int)c->threads, 0, &device, err));
    int status = xn_check_device_of(device, &c->devices[c->n_devices], err);
    if (status == XN_OK)
        c->n_devices++;
    else
        device->table->free(device);
    return status;
}

// The processor at every instruction set up to a level, those left out that the machine does not have, and the last
// with the rounding that a user may allow.
static int add_levels(struct check *c, int highest, struct xn_error *err) {
    char name[64];
    for (int level = 0; level <= highest; level++) {
        snprintf(name, sizeof name, "cpu:%s", xn_cpu_level_name((enum xn_cpu_level)level));
        int status = add_device(c, name, err);
        if (status != XN_OK && status != XN_ERR_UNSUPPORTED) return status;
    }
    if (strcmp(c->devices[c->n_devices - 1].name, "c") == 0) return XN_OK;
    snprintf(name, sizeof name, "cpu:%s+bf16", c->devices[c->n_devices - 1].name);
    return add_device(c, name, err);
}

static int open_devices(struct check *c, struct xn_error *err) {
    const char *highest = getenv("XENON_CPU");
    if (c->device && strcmp(c->device, "cpu") != 0) return add_device(c, c->device, err);
    if (c->device || !highest || !*highest) return add_levels(c, XN_CPU_LEVELS - 1, err);
    int level = xn_cpu_level_from_name(highest);
    return level < 0 ? add_device(c, NULL, err) : add_levels(c, level, err); // the former says what is wrong with it
}

static int find_op(const char *name, int *op, struct xn_error *err) {
    const char *names[XN_OP_KINDS];
    *op = -1;
    for (int kind = 0; kind < XN_OP_KINDS; kind++) {
        names[kind] = xn_op_name((enum xn_op_kind)kind);
        if (name && strcmp(name, names[kind]) == 0) *op = kind;
    }
    if (!name || *op >= 0) return XN_OK;
    const char *nearest = xn_nearest_name(name, names, XN_OP_KINDS);
    if (nearest) return xn_fail(err, XN_ERR_ARGUMENT, "--op: no operation \"%s\"; did you mean %s?", name, nearest);
    char all[256] = "";
    for (size_t kind = 0, at = 0; kind < XN_OP_KINDS && at < sizeof all; kind++)
        at += (size_t)snprintf(all + at, sizeof all - at, "%s%s", kind ? ", " : "", names[kind]);
    return xn_fail(err, XN_ERR_ARGUMENT, "--op: no operation \"%s\", one of %s expected", name, all);
}

static int find_format(const char *name, int *type, struct xn_error *err) {
    *type = name ? xn_type_from_name(name) : -1;
    if (!name || (*type >= 0 && xn_format_of((uint32_t)*type)->decode)) return XN_OK;
    return xn_fail(err, XN_ERR_ARGUMENT, "--format: no format \"%s\" of weights", name);
}

// The report for a person, as a text; `stopped`: what ended the check before its end, or NULL.
static int write_report(const struct check *c, const struct xn_check_subject *subject,
                        const struct xn_check_report *report, const struct xn_error *stopped, struct xn_error *err) {
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (!memory) return xn_fail(err, XN_ERR_NOMEM, "no memory for the report");
    xn_check_print_machine(subject, memory);
    if (stopped) fprintf(memory, "stopped: %s\n", stopped->message);
    if (report->peaks && report->rows) xn_check_print(subject, report, memory);
    struct xn_output *file = NULL;
    int status = fclose(memory) == 0 ? xn_output_open(c->report, &file, err)
                                     : xn_fail(err, XN_ERR_NOMEM, "no memory for the report");
    if (status == XN_OK) status = xn_output_write(file, text, size, err);
    if (status == XN_OK)
        status = xn_output_commit(file, err);
    else
        xn_output_abort(file);
    free(text);
    return status;
}

static int run(struct check *c, bool *wrong, struct xn_error *err) {
    struct xn_check_options options = {.seed = (uint64_t)c->seed,
                                       .quick = c->quick,
                                       .errors_only = c->errors_only,
                                       .threads = (uint32_t)c->threads,
                                       .progress = xn_progress_line()};
    XN_TRY(find_op(c->op, &options.op, err));
    XN_TRY(find_format(c->format, &options.type, err));
    XN_TRY(open_devices(c, err));
    xn_interrupt_catch();
    struct xn_check_report report;
    int status = xn_check_run(c->devices, c->n_devices, &options, &report, err);
    xn_progress_clear();
    struct xn_check_subject subject = {
        .devices = c->devices, .n_devices = c->n_devices, .seed = options.seed, .quick = c->quick};
    struct xn_device *last = c->devices[c->n_devices - 1].device;
    last->table->describe(last, &subject.machine);
    if (status == XN_OK) {
        if (c->report) status = write_report(c, &subject, &report, NULL, err);
        if (c->json)
            xn_cli_print_json(xn_check_json(&subject, &report));
        else
            xn_check_print(&subject, &report, stdout);
    } else if (c->report && status != XN_ERR_CANCELLED) {
        struct xn_error unwritten; // what stopped the check is the error to tell
        if (write_report(c, &subject, &report, err, &unwritten) != XN_OK) xn_cli_error("%s", unwritten.message);
    }
    *wrong = report.wrong > 0;
    xn_check_report_free(&report);
    return status;
}

int xn_command_check(int argc, char **argv) {
    struct check c = {.seed = 1};
    const struct xn_option options[] = {
        {0, "device", XN_OPTION_STRING, &c.device, "NAME",
         "cpu: every instruction set; cpu:LEVEL, cpu:LEVEL+bf16: that one; gpu0, gpu1, ... (cpu)", 0, 0, NULL},
        {'t', "threads", XN_OPTION_INT, &c.threads, "N", "threads; 0: one a core (0)", 0, 1024, NULL},
        {0, "quick", XN_OPTION_FLAG, &c.quick, NULL, "fewer sizes, formats and measurements", 0, 0, NULL},
        {0, "no-speed", XN_OPTION_FLAG, &c.errors_only, NULL, "errors alone, no measurements", 0, 0, NULL},
        {0, "op", XN_OPTION_STRING, &c.op, "NAME", "only this operation", 0, 0, NULL},
        {0, "format", XN_OPTION_STRING, &c.format, "NAME", "only this format", 0, 0, NULL},
        {0, "seed", XN_OPTION_INT, &c.seed, "N", "of the random cases (1)", 0, 9e15, NULL},
        {0, "report", XN_OPTION_STRING, &c.report, "FILE", "write all of it there, with the machine, for a bug report",
         0, 0, NULL},
        XN_JSON_OPTION(c.json),
        XN_OPTIONS_END,
    };
    const struct xn_usage usage = {
        .command = "check",
        .synopsis = "[options]",
        .about = "Holds every operation, in every format and instruction set of this machine, against plain C: over "
                 "batches of\n"
                 "1 to 129 rows, odd shapes and unaligned weights. The table says how far each is off, how fast it is, "
                 "and the\n"
                 "share of the measured memory bandwidth (one row) and peak (512 rows) that it reaches. Exit status 1 "
                 "where\n"
                 "anything is wrong; what is wrong names its case and the command that repeats it.",
        .options = options,
        .min_arguments = 0,
        .max_arguments = 0,
        .examples = "  xenon check\n"
                    "  xenon check --quick --device cpu:avx2\n"
                    "  xenon check --op expert_gate --format Q4_K --seed 7\n"
                    "  xenon check --device gpu0 --no-speed\n"
                    "  xenon check --report xenon-check.txt",
    };
    size_t n;
    int exit_status = xn_options(&usage, argc, argv, &n);
    if (exit_status >= 0) return exit_status;
    struct xn_error err;
    bool wrong = false;
    int status = run(&c, &wrong, &err);
    for (uint32_t i = 0; i < c.n_devices; i++)
        c.devices[i].device->table->free(c.devices[i].device);
    if (status != XN_OK) return xn_cli_fail(&err);
    return wrong ? XN_EXIT_FAILED : XN_EXIT_OK;
}
