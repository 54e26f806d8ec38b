#include "api/select.h"

#include "base/file.h"
#include "cpu/cpu.h"

#include <stdlib.h>
#include <string.h>

// Reads "LEVEL", "LEVEL+bf16" or "+bf16"; false where it is none of them.
static bool read_level(const char *text, struct xn_cpu_options *options) {
    char name[16];
    size_t length = strcspn(text, "+");
    options->bf16 = text[length] != 0;
    if (options->bf16 && strcmp(text + length, "+bf16") != 0) return false;
    if (length == 0) return options->bf16;
    if (length >= sizeof name) return false;
    memcpy(name, text, length);
    name[length] = 0;
    int level = xn_cpu_level_from_name(name);
    options->level = (enum xn_cpu_level)level;
    return level >= 0;
}

// The processor at the level named so (NULL: at its best).
static int open_cpu(const char *level_name, const char *spelled, int threads, struct xn_device **out,
                    struct xn_error *err) {
    struct xn_cpu_options options = {.threads = threads, .level = xn_cpu_level_detect()};
    if (level_name && !read_level(level_name, &options))
        return xn_fail(
            err, XN_ERR_ARGUMENT,
            "device \"%s\": unknown level \"%s\", expected c, avx2, avx2vnni, avx512, avx512vnni or amx, with or "
            "without +bf16",
            spelled, level_name);
    char *crossovers = xn_user_path("XDG_CACHE_HOME", ".cache", "crossovers");
    options.crossovers = crossovers;
    int status = xn_cpu_device_open(&options, out, err);
    free(crossovers);
    return status;
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
    if (strncmp(name, "cpu+", 4) == 0) return open_cpu(name + 3, name, threads, out, err);
    if (strncmp(name, "cpu:", 4) == 0) return open_cpu(name + 4, name, threads, out, err);
    return xn_fail(err, XN_ERR_ARGUMENT, "unknown device \"%s\", expected cpu, cpu:LEVEL or reference", name);
}
