#include "cpu/measure.h"

#include "cpu/executor.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { PASSES = 6, ROUNDS = 1 << 22 };

struct job {
    const struct xn_cpu_kernels *kernels;
    struct xn_pool *pool;
    float *buffer;
    size_t n;       // floats
    double best;    // seconds of the fastest pass
    uint64_t flops; // of one thread and pass
    xn_cpu_multiply_fn *multiply;
    uint32_t passes[XN_POOL_MAX_THREADS]; // done
    float sink[XN_POOL_MAX_THREADS];
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

// Runs `pass` on all threads PASSES times; thread 0 keeps the time of the best.
static void time_passes(struct job *job, uint32_t thread, uint32_t threads,
                        float (*pass)(struct job *job, uint32_t thread, uint32_t threads)) {
    for (int i = 0; i < PASSES; i++) {
        xn_pool_barrier(job->pool, thread);
        double start = thread == 0 ? now() : 0;
        job->sink[thread] += pass(job, thread, threads);
        xn_pool_barrier(job->pool, thread);
        if (thread != 0) continue;
        double seconds = now() - start;
        if (i == 0 || seconds < job->best) job->best = seconds;
    }
}

static float read_pass(struct job *job, uint32_t thread, uint32_t threads) {
    size_t begin = job->n / threads * thread, n = job->n / threads;
    size_t ahead = job->passes[thread]++ % 2 ? 1024 : 0; // what is faster depends on the processor
    return job->kernels->read(job->buffer + begin, n, ahead);
}

static void read_job(void *user, uint32_t thread, uint32_t threads) {
    struct job *job = user;
    size_t begin = job->n / threads * thread;
    for (size_t i = begin; i < begin + job->n / threads; i++)
        job->buffer[i] = 1; // each thread maps what it will read
    time_passes(job, thread, threads, read_pass);
}

static float multiply_pass(struct job *job, uint32_t thread, uint32_t threads) {
    (void)threads;
    float result;
    uint64_t flops = job->multiply(ROUNDS, &result);
    if (thread == 0) job->flops = flops;
    return result;
}

static void multiply_job(void *user, uint32_t thread, uint32_t threads) {
    time_passes(user, thread, threads, multiply_pass);
}

static int start(struct xn_device *device, struct job **job, struct xn_error *err) {
    struct xn_cpu_device *d = xn_cpu_device_of(device);
    if (!d) return xn_fail(err, XN_ERR_ARGUMENT, "measurement: the device is not the processor");
    *job = xn_alloc_zero(1, sizeof **job);
    if (!*job) return xn_fail(err, XN_ERR_NOMEM, "no memory to measure with");
    (*job)->kernels = &d->kernels;
    (*job)->pool = d->pool;
    return XN_OK;
}

int xn_cpu_measure_bandwidth(struct xn_device *device, double *bytes_per_second, struct xn_error *err) {
    struct job *job;
    XN_TRY(start(device, &job, err));
    size_t most = (size_t)sysconf(_SC_PHYS_PAGES) / 8 * (size_t)sysconf(_SC_PAGESIZE), size = (size_t)1 << 30;
    if (size > most) size = most;
    job->n = size / sizeof(float);
    job->buffer = xn_alloc_aligned_raw(job->n, sizeof(float)); // in large pages, as weights are
    if (!job->buffer) {
        free(job);
        return xn_fail(err, XN_ERR_NOMEM, "no memory for %zu bytes to measure the bandwidth with", size);
    }
    xn_pool_run(job->pool, read_job, job);
    *bytes_per_second = (double)size / job->best;
    free(job->buffer);
    free(job);
    return XN_OK;
}

int xn_cpu_measure_peak(struct xn_device *device, uint32_t type, double *flops, const char **unit,
                        struct xn_error *err) {
    struct job *job;
    XN_TRY(start(device, &job, err));
    const struct xn_cpu_kernels *k = job->kernels;
    int tile = type < XN_TYPE_COUNT ? k->type[type].tile : XN_TILE_FLOAT;
    bool halves = tile == XN_TILE_BF16 && (k->dot[type] || k->split16 || k->rounds); // else they go as floats
    job->multiply = k->multiply;
    *unit = "float32";
    if (halves) {
        job->multiply = k->multiply16;
        *unit = "bfloat16";
    } else if (tile == XN_TILE_INT8 && k->multiply8) {
        job->multiply = k->multiply8;
        *unit = "int8";
    }
    xn_pool_run(job->pool, multiply_job, job);
    *flops = (double)job->flops * xn_pool_threads(job->pool) / job->best;
    free(job);
    return XN_OK;
}
