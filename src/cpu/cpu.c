#include "cpu/cpu.h"

#include "base/cpu_features.h"
#include "cpu/crossover.h"
#include "cpu/lanes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const level_names[XN_CPU_LEVELS] = {
    [XN_CPU_C] = "c",
    [XN_CPU_AVX2] = "avx2",
    [XN_CPU_AVX2VNNI] = "avx2vnni",
    [XN_CPU_AVX512] = "avx512",
    [XN_CPU_AVX512VNNI] = "avx512vnni",
    [XN_CPU_AMX] = "amx",
};

const char *xn_cpu_level_name(enum xn_cpu_level level) {
    return (unsigned)level < XN_CPU_LEVELS ? level_names[level] : "?";
}

int xn_cpu_level_from_name(const char *name) {
    for (int i = 0; i < XN_CPU_LEVELS; i++)
        if (strcmp(name, level_names[i]) == 0) return i;
    return -1;
}

static bool has_level(const struct xn_cpu_features *f, enum xn_cpu_level level) {
    bool avx2 = f->avx2 && f->fma && f->f16c;
    bool avx512 = avx2 && f->avx512f && f->avx512bw && f->avx512dq && f->avx512vl && f->avx512cd;
    bool vnni = avx512 && f->avx512vnni && f->avx512bf16;
    switch (level) {
    case XN_CPU_C:
        return true;
    case XN_CPU_AVX2:
        return avx2;
    case XN_CPU_AVX2VNNI:
        return avx2 && f->avxvnni;
    case XN_CPU_AVX512:
        return avx512;
    case XN_CPU_AVX512VNNI:
        return vnni;
    case XN_CPU_AMX:
#ifdef XN_AMX_EMULATE
        return vnni;
#else
        return vnni && f->amx_tile && f->amx_bf16;
#endif
    case XN_CPU_LEVELS:
        break;
    }
    return false;
}

static enum xn_cpu_level best_level(const struct xn_cpu_features *f) {
    int level = XN_CPU_LEVELS - 1;
    while (!has_level(f, (enum xn_cpu_level)level))
        level--;
    return (enum xn_cpu_level)level;
}

bool xn_cpu_level_here(enum xn_cpu_level level) {
    struct xn_cpu_features features;
    xn_cpu_features_read(&features);
    return has_level(&features, level);
}

enum xn_cpu_level xn_cpu_level_detect(void) {
    struct xn_cpu_features features;
    xn_cpu_features_read(&features);
    return best_level(&features);
}

static struct xn_cpu_device *of(struct xn_device *device) {
    return (struct xn_cpu_device *)device;
}
static const struct xn_cpu_device *of_const(const struct xn_device *device) {
    return (const struct xn_cpu_device *)device;
}

static void cpu_describe(const struct xn_device *device, struct xn_device_info *info) {
    const struct xn_cpu_device *d = of_const(device);
    *info = (struct xn_device_info){.threads = xn_pool_threads(d->pool)};
    snprintf(info->name, sizeof info->name, "%s", d->name);
    snprintf(info->backend, sizeof info->backend, "CPU %s", xn_cpu_level_name(d->kernels.level));
    info->memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    info->free_memory = xn_host_free_memory();
}

static void cpu_free(struct xn_device *device) {
    if (!device) return;
    xn_pool_free(of(device)->pool);
    xn_cpu_store_free(of(device)->store);
    free(of(device)->crossover_path);
    free(device);
}

// What the device holds of a matrix: the weights first, so that one is the other.
struct packed {
    struct xn_weights weights;
    const void *const *copies; // in the device's store; NULL: the data are the file's
};

// Weights in lanes, where this level has them and rows grow by a tenth at the most: short rows fill up.
static void lay_in_lanes(struct xn_cpu_device *d, struct packed *p) {
    struct xn_weights *w = &p->weights;
    uint32_t lanes = d->kernels.type[w->kernel_type].lanes;
    struct xn_cpu_relay relay = {.rows = w->matrix.rows, .k = w->matrix.cols, .from_row = w->row_bytes};
    size_t bytes;
    if (!lanes || !w->row_bytes) return;
    relay.lay = d->kernels.lay[w->kernel_type];
    relay.to_row = xn_cpu_lanes_row_bytes(w->format, relay.k);
    if (relay.to_row > relay.from_row + relay.from_row / 10 || xn_mul_overflow(relay.to_row, relay.rows, &bytes))
        return;
    p->copies = xn_cpu_store_take(d->store, d->pool, &w->matrix, bytes, &relay);
    if (!p->copies) return;
    w->kernel_type = lanes;
    w->row_bytes = relay.to_row;
}

// The kernels read the formats as the file has them, at any address; copies in large pages, and in lanes, are only
// faster to read.
static int cpu_pack(struct xn_device *device, const struct xn_matrix *matrix, struct xn_weights **out,
                    struct xn_error *err) {
    struct xn_cpu_device *d = of(device);
    *out = NULL;
    struct packed *p = xn_alloc_zero(1, sizeof *p);
    if (!p) return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", matrix->name ? matrix->name : "matrix");
    struct xn_weights *w = &p->weights;
    int status = xn_host_weights(matrix, w, err);
    if (status != XN_OK) {
        free(p);
        return status;
    }
    if (!w->owned) {
        lay_in_lanes(d, p);
        if (!p->copies)
            p->copies = xn_cpu_store_take(d->store, d->pool, &w->matrix, w->row_bytes * w->matrix.rows, NULL);
    }
    if (p->copies) w->matrix.data = p->copies;
    if (d->measures) xn_cpu_crossover_find(d, w->kernel_type);
    *out = w;
    return XN_OK;
}

static void cpu_unpack(struct xn_device *device, struct xn_weights *weights) {
    if (!weights) return;
    struct packed *p = (struct packed *)weights;
    xn_cpu_store_leave(of(device)->store, p->copies);
    xn_host_weights_free(weights);
    free(p);
}

// The cache is float16, but for the level that has no instructions to convert, and where scores spread so far that
// rounded keys show: a score is off by its spread / 4,096, and the softmax makes that its weight's relative error.
// (Queries and keys normalised to size 1 spread scores by scale * sqrt(head size): by 1 with the usual scale.)
static struct xn_limits resolved(const struct xn_cpu_device *d, const struct xn_plan *plan,
                                 const struct xn_limits *limits) {
    static const float widest = 4;
    struct xn_limits r = *limits;
    if (r.cache_type == XN_TYPE_COUNT)
        r.cache_type = d->kernels.level == XN_CPU_C || plan->score_spread > widest ? XN_F32 : XN_F16;
    return r;
}

static int cpu_prepare(struct xn_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                       struct xn_executor **out, struct xn_error *err) {
    struct xn_limits r = resolved(of(device), plan, limits);
    const struct xn_format *f = xn_format_of(r.cache_type);
    if (r.cache_type != XN_F32 && r.cache_type != XN_F16)
        return xn_fail(err, XN_ERR_UNSUPPORTED, "the processor keeps keys and values in F32 or F16, not in %s",
                       f ? f->name : "an unknown type");
    return xn_cpu_executor_create(of(device), plan, &r, out, err);
}

static void cpu_release(struct xn_device *device, struct xn_executor *e) {
    (void)device;
    xn_cpu_executor_free(e);
}

static void cpu_memory(const struct xn_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                       uint64_t *cache_bytes, uint64_t *activation_bytes) {
    struct xn_limits r = resolved(of_const(device), plan, limits);
    xn_host_memory_size(plan, &r, cache_bytes, activation_bytes);
    *activation_bytes += xn_cpu_scratch_bytes(of_const(device), plan, &r);
}

static const float *cpu_logits(struct xn_executor *e) {
    return e->memory.logits;
}

static int cpu_read_rows(struct xn_executor *e, int rows, uint32_t n, void *out, struct xn_error *err) {
    return xn_host_read_rows(&e->memory, rows, n, out, err);
}

static int cpu_write_rows(struct xn_executor *e, int rows, uint32_t n, const void *in, struct xn_error *err) {
    return xn_host_write_rows(&e->memory, rows, n, in, err);
}

static int check_index(const char *what, uint32_t from, uint32_t to, uint32_t n, struct xn_error *err) {
    if (from < n && to < n) return XN_OK;
    return xn_fail(err, XN_ERR_ARGUMENT, "%s %u to %u: there are %u", what, from, to, n);
}

static int cpu_copy_page(struct xn_executor *e, uint32_t from, uint32_t to, struct xn_error *err) {
    XN_TRY(check_index("copy of cache page", from, to, e->memory.limits.pages, err));
    if (from != to) xn_host_copy_page(&e->memory, from, to);
    return XN_OK;
}

static int cpu_copy_state(struct xn_executor *e, uint32_t from, uint32_t to, struct xn_error *err) {
    XN_TRY(check_index("copy of state", from, to, e->memory.limits.slots, err));
    if (from != to) xn_host_copy_state(&e->memory, from, to);
    return XN_OK;
}

static int cpu_clear_state(struct xn_executor *e, uint32_t slot, struct xn_error *err) {
    XN_TRY(check_index("clearing of state", slot, slot, e->memory.limits.slots, err));
    xn_host_clear_state(&e->memory, slot);
    return XN_OK;
}

static uint32_t cpu_cache_type(const struct xn_executor *e) {
    return e->memory.limits.cache_type;
}

static int cpu_read_page(struct xn_executor *e, uint32_t page, uint32_t n, void *out, struct xn_error *err) {
    return xn_host_read_page(&e->memory, page, n, out, err);
}

static int cpu_write_page(struct xn_executor *e, uint32_t page, uint32_t n, const void *in, struct xn_error *err) {
    return xn_host_write_page(&e->memory, page, n, in, err);
}

static int cpu_read_state(struct xn_executor *e, uint32_t slot, float *out, struct xn_error *err) {
    return xn_host_read_state(&e->memory, slot, out, err);
}

static int cpu_write_state(struct xn_executor *e, uint32_t slot, const float *in, struct xn_error *err) {
    return xn_host_write_state(&e->memory, slot, in, err);
}

static void cpu_times(struct xn_executor *e, double seconds[XN_OP_KINDS]) {
    memcpy(seconds, e->seconds, sizeof e->seconds);
    memset(e->seconds, 0, sizeof e->seconds);
}

static const struct xn_device_table cpu_table = {
    .describe = cpu_describe,
    .free = cpu_free,
    .pack = cpu_pack,
    .unpack = cpu_unpack,
    .prepare = cpu_prepare,
    .release = cpu_release,
    .memory = cpu_memory,
    .run = xn_cpu_executor_run,
    .logits = cpu_logits,
    .run_part = xn_cpu_executor_run_part,
    .read_rows = cpu_read_rows,
    .write_rows = cpu_write_rows,
    .copy_page = cpu_copy_page,
    .copy_state = cpu_copy_state,
    .clear_state = cpu_clear_state,
    .cache_type = cpu_cache_type,
    .read_page = cpu_read_page,
    .write_page = cpu_write_page,
    .read_state = cpu_read_state,
    .write_state = cpu_write_state,
    .times = cpu_times,
};

struct xn_cpu_device *xn_cpu_device_of(struct xn_device *device) {
    return device->table == &cpu_table ? of(device) : NULL;
}

int xn_cpu_device_open(const struct xn_cpu_options *options, struct xn_device **out, struct xn_error *err) {
    *out = NULL;
    struct xn_cpu_features features;
    xn_cpu_features_read(&features);
    if ((unsigned)options->level >= XN_CPU_LEVELS)
        return xn_fail(err, XN_ERR_ARGUMENT, "instruction set %d, below %d expected", (int)options->level,
                       XN_CPU_LEVELS);
    if (!has_level(&features, options->level))
        return xn_fail(err, XN_ERR_UNSUPPORTED, "instruction set %s asked for, %s has not got it; its best is %s",
                       xn_cpu_level_name(options->level), features.name, xn_cpu_level_name(best_level(&features)));
    if (options->threads < 0) return xn_fail(err, XN_ERR_ARGUMENT, "%d threads, 0 or more expected", options->threads);
    struct xn_cpu_device *d = xn_alloc_zero(1, sizeof *d);
    if (!d) return xn_fail(err, XN_ERR_NOMEM, "no memory for a device");
    d->device.table = &cpu_table;
    snprintf(d->name, sizeof d->name, "%s", features.name);
    xn_cpu_kernels_init(&d->kernels, options->level);
    xn_cpu_asks_ahead = !features.reads_ahead;
    d->kernels.rounds = options->bf16;
    d->measures = options->measures;
    if (options->crossovers) d->crossover_path = xn_strdup(options->crossovers); // without memory: not kept
    int status = xn_pool_create((uint32_t)options->threads, &d->pool, err);
    if (status != XN_OK) {
        free(d->crossover_path);
        free(d);
        return status;
    }
    d->store = options->mapped ? NULL : xn_cpu_store_new();
    xn_log(XN_LOG_INFO, "%s: kernels %s, %u threads", d->name, xn_cpu_level_name(options->level),
           xn_pool_threads(d->pool));
    *out = &d->device;
    return XN_OK;
}
