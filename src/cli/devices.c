// xenon devices: what --device may name on this machine.
#include "cli/devices.h"
#include "api/select.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cpu/measure.h"
#include "opencl/ahead.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
    char name[16];
    struct xn_device_info info;       // of the processor
    const struct xn_opencl_info *gpu; // NULL: the processor
    double bandwidth;                 // 0: not measured
};

// Opens a device to describe the processor, and to measure either.
static int look(struct row *row, bool measure, struct xn_error *err) {
    struct xn_device *device;
    if (row->gpu && !measure) return XN_OK;
    XN_TRY(xn_device_select(row->name, 0, 0, &device, err));
    int status = XN_OK;
    if (!row->gpu) device->table->describe(device, &row->info);
    if (measure)
        status = row->gpu ? xn_opencl_measure_bandwidth(device, &row->bandwidth, err)
                          : xn_cpu_measure_bandwidth(device, &row->bandwidth, err);
    device->table->free(device);
    return status;
}

static const char *kind_of(const struct row *r) {
    return !r->gpu                ? "processor"
           : r->gpu->is_processor ? "processor through OpenCL"
           : r->gpu->is_gpu       ? "gpu"
                                  : "accelerator";
}

void xn_print_gpu(const struct xn_opencl_info *g, FILE *out) {
    fprintf(out, "      %s, %s, driver %s\n", g->platform, g->version, g->driver);
    fprintf(out,
            "      memory %.1f GB, of which %.1f GB in one allocation; %u compute units, %u MHz, groups of up to %u, "
            "%.0f KB local memory\n",
            (double)g->memory / 1e9, (double)g->max_allocation / 1e9, g->units, g->clock, g->max_group,
            (double)g->local_memory / 1024);
    if (g->ip_version) {
        const struct xn_opencl_target *t = xn_opencl_target_of(g->ip_version);
        fprintf(out, "      graphics IP 0x%08x%s%s\n", g->ip_version, t ? ", target " : "", t ? t->name : "");
    }
    if (g->n_sub_groups) {
        fprintf(out, "      sub-groups of");
        for (uint32_t i = 0; i < g->n_sub_groups; i++)
            fprintf(out, "%s %u", i ? "," : "", g->sub_group[i]);
        fprintf(out, " work-items\n");
    }
    fprintf(out, "      extensions:");
    for (int i = 0; i < XN_OPENCL_EXTENSION_COUNT; i++)
        if (g->extensions >> i & 1) fprintf(out, " %s", xn_opencl_extension_name((enum xn_opencl_extension)i));
    fprintf(out, "%s\n", g->extensions ? "" : " none of those that kernels use");
}

static void print_row(const struct row *r) {
    char name[160];
    printf("%-5s %s (%s)\n", r->name, xn_printable(r->gpu ? r->gpu->name : r->info.name, name, sizeof name),
           kind_of(r));
    if (r->gpu)
        xn_print_gpu(r->gpu, stdout);
    else
        printf("      %s, %u thread%s, memory %.1f GB\n", r->info.backend, r->info.threads,
               r->info.threads == 1 ? "" : "s", (double)r->info.memory / 1e9);
    if (r->bandwidth > 0) printf("      reads %.1f GB/s (measured)\n", r->bandwidth / 1e9);
}

static json_t *row_json(const struct row *r) {
    json_t *o = json_pack("{s:s, s:o, s:s}", "device", r->name, "name",
                          xn_json_word(r->gpu ? r->gpu->name : r->info.name), "kind", kind_of(r));
    if (!o) return NULL;
    if (r->gpu) {
        const struct xn_opencl_info *g = r->gpu;
        json_t *sizes = json_array(), *extensions = json_array();
        for (uint32_t i = 0; i < g->n_sub_groups; i++)
            json_array_append_new(sizes, json_integer(g->sub_group[i]));
        for (int i = 0; i < XN_OPENCL_EXTENSION_COUNT; i++)
            if (g->extensions >> i & 1)
                json_array_append_new(extensions, json_string(xn_opencl_extension_name((enum xn_opencl_extension)i)));
        json_t *more =
            json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:i, s:i, s:i, s:o, s:o}", "platform", xn_json_word(g->platform),
                      "version", xn_json_word(g->version), "driver", xn_json_word(g->driver), "memory",
                      (json_int_t)g->memory, "max_allocation", (json_int_t)g->max_allocation, "local_memory",
                      (json_int_t)g->local_memory, "compute_units", (int)g->units, "clock_mhz", (int)g->clock,
                      "max_group", (int)g->max_group, "sub_group_sizes", sizes, "extensions", extensions);
        if (g->ip_version) json_object_set_new(more, "ip_version", json_integer(g->ip_version));
        json_object_update(o, more);
        json_decref(more);
    } else {
        json_object_set_new(o, "backend", xn_json_word(r->info.backend));
        json_object_set_new(o, "threads", json_integer(r->info.threads));
        json_object_set_new(o, "memory", json_integer((json_int_t)r->info.memory));
    }
    if (r->bandwidth > 0) json_object_set_new(o, "bandwidth", xn_json_number(r->bandwidth));
    return o;
}

static int run(bool json, bool measure, struct xn_error *err) {
    struct xn_opencl_info *gpus;
    uint32_t n;
    XN_TRY(xn_opencl_list(&gpus, &n, err));
    struct row *rows = xn_alloc_zero((size_t)n + 1, sizeof *rows);
    int status = rows ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "no memory for a list of devices");
    for (uint32_t i = 0; i <= n && status == XN_OK; i++) {
        if (i == 0)
            snprintf(rows[i].name, sizeof rows[i].name, "cpu");
        else
            snprintf(rows[i].name, sizeof rows[i].name, "gpu%u", i - 1);
        rows[i].gpu = i ? &gpus[i - 1] : NULL;
        status = look(&rows[i], measure, err);
    }
    json_t *array = status == XN_OK && json ? json_array() : NULL;
    for (uint32_t i = 0; i <= n && status == XN_OK; i++)
        if (json)
            json_array_append_new(array, row_json(&rows[i]));
        else
            print_row(&rows[i]);
    if (status == XN_OK && json) xn_cli_print_json(array);
    if (status == XN_OK && !json && n == 0) puts("no GPU: OpenCL has no platform here (or this build is without it)");
    free(rows);
    free(gpus);
    return status;
}

int xn_command_devices(int argc, char **argv) {
    bool json = false, measure = false;
    const struct xn_option options[] = {
        {0, "measure", XN_OPTION_FLAG, &measure, NULL, "also measure how fast each reads its memory", 0, 0, NULL},
        XN_JSON_OPTION(json),
        XN_OPTIONS_END,
    };
    const struct xn_usage usage = {
        .command = "devices",
        .synopsis = "[options]",
        .about =
            "Lists what --device may name on this machine: the processor, and what OpenCL offers, GPUs first. A "
            "processor\n"
            "that OpenCL offers (PoCL) is for tests: it computes right, and slowly. Several may be named, with commas "
            "between\n"
            "them: layers are dealt out over them.",
        .options = options,
        .min_arguments = 0,
        .max_arguments = 0,
        .examples = "  xenon devices\n"
                    "  xenon devices --measure --json",
    };
    size_t n;
    int exit_status = xn_options(&usage, argc, argv, &n);
    if (exit_status >= 0) return exit_status;
    struct xn_error err;
    return run(json, measure, &err) == XN_OK ? XN_EXIT_OK : xn_cli_fail(&err);
}
