#include "api/select.h"

#include "base/file.h"
#include "cpu/cpu.h"
#include "opencl/opencl.h"

#include <stdlib.h>
#include <string.h>

// Reads "LEVEL", and "+bf16" and "+mapped" behind it or alone; false where it is something else.
static bool read_level(const char *text, struct xn_cpu_options *options) {
    char name[16];
    size_t length = strcspn(text, "+");
    if (length >= sizeof name) return false;
    memcpy(name, text, length);
    name[length] = 0;
    int level = length ? xn_cpu_level_from_name(name) : (int)options->level;
    options->level = (enum xn_cpu_level)level;
    for (text += length; *text; text += length) {
        length = 1 + strcspn(text + 1, "+");
        if (length == 5 && strncmp(text, "+bf16", length) == 0)
            options->bf16 = true;
        else if (length == 7 && strncmp(text, "+mapped", length) == 0)
            options->mapped = true;
        else
            return false;
    }
    return level >= 0;
}

// The processor at the level named so (NULL: at its best).
static int open_cpu(const char *level_name, const char *spelled, int threads, struct xn_device **out,
                    struct xn_error *err) {
    struct xn_cpu_options options = {.threads = threads, .level = xn_cpu_level_detect()};
    if (level_name && !read_level(level_name, &options))
        return xn_fail(
            err, XN_ERR_ARGUMENT,
            "device \"%s\": unknown level \"%s\", expected c, avx2, avx2vnni, avx512, avx512vnni or amx, and "
            "+bf16 or +mapped behind it",
            spelled, level_name);
    char *crossovers = xn_user_path("XDG_CACHE_HOME", ".cache", "crossovers");
    options.measures = true;
    options.crossovers = crossovers;
    int status = xn_cpu_device_open(&options, out, err);
    free(crossovers);
    return status;
}

// Reads "gpuN", and "+f16", "+launches", "+recorded", "+dp4a" and "+logits" behind it.
static bool read_gpu(const char *text, struct xn_opencl_options *options) {
    enum { MOST = 1000 };
    if (strncmp(text, "gpu", 3) != 0 || text[3] < '0' || text[3] > '9') return false;
    char *end;
    unsigned long n = strtoul(text + 3, &end, 10);
    *options = (struct xn_opencl_options){.index = (uint32_t)n};
    while (*end == '+') {
        size_t length = strcspn(end + 1, "+") + 1;
        if (length == 9 && strncmp(end, "+launches", length) == 0)
            options->way = XN_OPENCL_BY_LAUNCHES;
        else if (length == 9 && strncmp(end, "+recorded", length) == 0)
            options->way = XN_OPENCL_BY_BUFFER;
        else if (length == 4 && strncmp(end, "+f16", length) == 0)
            options->f16 = true;
        else if (length == 5 && strncmp(end, "+dp4a", length) == 0)
            options->dp4a = true;
        else if (length == 7 && strncmp(end, "+logits", length) == 0)
            options->all_logits = true;
        else
            return false;
        end += length;
    }
    return !*end && n < MOST;
}

static int open_gpu(struct xn_opencl_options *options, struct xn_device **out, struct xn_error *err) {
    char *folder = xn_user_path("XDG_CACHE_HOME", ".cache", "opencl/");
    const char *ahead = getenv("XENON_KERNELS");
    options->later = true; // a model may not need it
    options->cache = folder;
    options->ahead = ahead && *ahead ? ahead : NULL;
    int status = xn_opencl_device_open(options, out, err);
    free(folder);
    return status;
}

int xn_device_select(const char *name, int threads, double gpu_timeout, struct xn_device **out, struct xn_error *err) {
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
    struct xn_opencl_options gpu;
    if (read_gpu(name, &gpu)) {
        gpu.timeout = gpu_timeout;
        return open_gpu(&gpu, out, err);
    }
    return xn_fail(err, XN_ERR_ARGUMENT,
                   "unknown device \"%s\", expected cpu, cpu:LEVEL, gpu0, gpu1, ... (with +f16, +dp4a, +logits, "
                   "+recorded or +launches) or reference",
                   name);
}
