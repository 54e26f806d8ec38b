#include "api/select.h"

#include "cpu/cpu.h"

#include <stdlib.h>
#include <string.h>

// The processor at the level named so (NULL: at its best).
static int open_cpu(const char *level_name, const char *spelled, int threads, struct xn_device **out,
                    struct xn_error *err) {
    struct xn_cpu_options options = {.threads = threads, .level = xn_cpu_level_detect()};
    if (level_name) {
        int level = xn_cpu_level_from_name(level_name);
        if (level < 0)
            return xn_fail(err, XN_ERR_ARGUMENT,
                           "device \"%s\": unknown level \"%s\", expected c, avx2, avx512 or avx512vnni", spelled,
                           level_name);
        options.level = (enum xn_cpu_level)level;
    }
    return xn_cpu_device_open(&options, out, err);
}

int xn_device_select(const char *name, int threads, struct xn_device **out, struct xn_error *err) {
    *out = NULL;
    if (threads < 0) return xn_fail(err, XN_ERR_ARGUMENT, "threads: found %d, expected 0 or more", threads);
    if (!name) {
        const char *level = getenv("XENON_CPU");
        if (!level || !*level) return open_cpu(NULL, "cpu", threads, out, err);
        if (strcmp(level, "reference") == 0) return xn_reference_device_open(out, err);
        int status = open_cpu(level, level, threads, out, err);
        return status == XN_OK ? XN_OK : xn_error_context(err, status, "environment variable XENON_CPU");
    }
    if (strcmp(name, "reference") == 0) return xn_reference_device_open(out, err);
    if (strcmp(name, "cpu") == 0) return open_cpu(NULL, name, threads, out, err);
    if (strncmp(name, "cpu:", 4) == 0) return open_cpu(name + 4, name, threads, out, err);
    return xn_fail(err, XN_ERR_ARGUMENT, "unknown device \"%s\", expected cpu, cpu:LEVEL or reference", name);
}
