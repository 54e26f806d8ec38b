// The device's table, its opening and its buffers.
#include "base/log.h"
#include "base/memory.h"
#include "device/cache.h"
#include "opencl/check.h"
#include "opencl/executor.h"
#include "opencl/layout.h"
#include "quant/blocks.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct xn_device_table opencl_table;

struct xn_cl_device *xn_cl_device_of(struct xn_device *device) {
    return device->table == &opencl_table ? (struct xn_cl_device *)device : NULL;
}

bool xn_opencl_is(const struct xn_device *device) {
    return device->table == &opencl_table;
}

const struct xn_opencl_info *xn_opencl_info_of(const struct xn_device *device) {
    return xn_opencl_is(device) ? &((const struct xn_cl_device *)device)->info : NULL;
}

const char *xn_opencl_kernels_of(const struct xn_device *device) {
    return xn_opencl_is(device) ? xn_cl_dialect_name(((const struct xn_cl_device *)device)->dialect) : NULL;
}

bool xn_opencl_rounds(struct xn_device *device, uint32_t type, uint32_t rows) {
    return xn_cl_layout_has_codes(type) && xn_cl_rounds(xn_cl_device_of(device)->dialect, rows);
}

// --- buffers ---

int xn_cl_buffer(struct xn_cl_device *d, uint64_t size, const char *what, cl_mem *out, struct xn_error *err) {
    cl_int code;
    *out = NULL;
    if (size == 0) size = 4;
    if (size > d->max_allocation)
        return xn_fail(err, XN_ERR_LIMIT, "%s: %.1f MB in one allocation, of which %s allows %.1f MB", what,
                       (double)size * 1e-6, d->info.name, (double)d->max_allocation * 1e-6);
    uint64_t left = d->info.memory > d->taken ? d->info.memory - d->taken : 0;
    if (size > left)
        return xn_fail(err, XN_ERR_NOMEM, "%s: %.1f MB are needed, %s has %.1f MB of %.1f MB left", what,
                       (double)size * 1e-6, d->info.name, (double)left * 1e-6, (double)d->info.memory * 1e-6);
    *out = d->cl->CreateBuffer(d->context, CL_MEM_READ_WRITE, size, NULL, &code);
    if (!*out)
        return xn_cl_fail(err, code, "%s: %.1f MB on %s, %.1f MB of %.1f MB of which should be left", what,
                          (double)size * 1e-6, d->info.name, (double)left * 1e-6, (double)d->info.memory * 1e-6);
    d->taken += size;
    return XN_OK;
}

void xn_cl_buffer_free(struct xn_cl_device *d, cl_mem buffer, uint64_t size) {
    if (!buffer) return;
    if (!d->lost) d->cl->ReleaseMemObject(buffer);
    d->taken -= size;
}

// --- table ---

static void opencl_describe(const struct xn_device *device, struct xn_device_info *info) {
    const struct xn_cl_device *d = (const struct xn_cl_device *)device;
    *info = (struct xn_device_info){.memory = d->info.memory};
    info->free_memory = d->info.memory > d->taken ? d->info.memory - d->taken : 0;
    snprintf(info->name, sizeof info->name, "%s", d->info.name);
    snprintf(info->backend, sizeof info->backend, "%s", d->backend);
}

static void close_queue(struct xn_cl_device *d) {
    if (d->grids) xn_cl_buffer_free(d, d->grids, XN_CL_GRID_VALUES * 4);
    if (d->lost) return;
    if (d->queue) d->cl->ReleaseCommandQueue(d->queue);
    if (d->context) d->cl->ReleaseContext(d->context);
    d->grids = NULL;
    d->queue = NULL;
    d->context = NULL;
}

static void opencl_free(struct xn_device *device) {
    if (!device) return;
    struct xn_cl_device *d = (struct xn_cl_device *)device;
    if (d->queue && !d->lost) d->cl->Finish(d->queue);
    xn_cl_programs_free(d);
    close_queue(d);
    free(d);
}

bool xn_opencl_rounds_attention(struct xn_device *device, uint32_t rows) {
    const struct xn_cl_device *d = xn_cl_device_of(device);
    return d && xn_cl_rounds_attention(d->dialect, rows);
}

// The cache is float16, as on the processor (cpu/cpu.c says where it is not).
struct xn_limits xn_cl_limits_of(const struct xn_plan *plan, const struct xn_limits *limits) {
    static const float widest = 4;
    struct xn_limits r = *limits;
    uint32_t size;
    if (xn_cache_type_known(r.cache_type) && !xn_cache_type_serves(plan, r.cache_type, &size)) r.cache_type = XN_F16;
    if (r.cache_type == XN_TYPE_COUNT) r.cache_type = plan->score_spread > widest ? XN_F32 : XN_F16;
    return r;
}

static uint64_t opencl_packed_bytes(const struct xn_device *device, const struct xn_matrix *matrix) {
    (void)device;
    return xn_cl_packed_bytes(matrix);
}

static void opencl_expect(struct xn_device *device, uint64_t bytes) {
    // A packed copy is a little larger than the file's tensors (layout.h).
    xn_cl_device_of(device)->expected = bytes + bytes / 32;
}

static void opencl_watch(struct xn_device *device, const struct xn_progress *progress) {
    xn_cl_device_of(device)->progress = progress;
}

static int opencl_ready(struct xn_device *device, struct xn_error *err) {
    return xn_cl_ready(xn_cl_device_of(device), err);
}

static int opencl_prepare(struct xn_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                          struct xn_executor **out, struct xn_error *err) {
    struct xn_limits r = xn_cl_limits_of(plan, limits);
    uint32_t size;
    if (!xn_cache_type_known(r.cache_type))
        return xn_fail(err, XN_ERR_UNSUPPORTED, "a cache of type %u; F32, F16, BF16, Q8_0 or Q4_0 expected",
                       r.cache_type);
    XN_TRY(xn_cl_ready(xn_cl_device_of(device), err));
    if (r.cache_type != limits->cache_type && limits->cache_type != XN_TYPE_COUNT &&
        !xn_cache_type_serves(plan, limits->cache_type, &size))
        xn_log(XN_LOG_WARNING, "the cache is F16: %s needs heads of a multiple of %d values, these have %u",
               xn_format_of(limits->cache_type)->name, XN_CACHE_BLOCK, size);
    return xn_cl_executor_create(xn_cl_device_of(device), plan, &r, out, err);
}

static void opencl_release(struct xn_device *device, struct xn_executor *e) {
    (void)device;
    xn_cl_executor_free(e);
}

static void opencl_memory(const struct xn_device *device, const struct xn_plan *plan, const struct xn_limits *limits,
                          uint64_t *cache_bytes, uint64_t *activation_bytes) {
    struct xn_limits r = xn_cl_limits_of(plan, limits);
    struct xn_cl_tiles tiles = xn_cl_tiles_of((const struct xn_cl_device *)device);
    struct xn_cl_map map;
    xn_host_memory_size(plan, &r, cache_bytes, activation_bytes);
    xn_cl_map_of(plan, &r, &tiles, &map);
    *activation_bytes = 4 * (map.size + map.counters + map.logits);
}

static const float *opencl_logits(struct xn_executor *e) {
    return e->logits;
}

static uint32_t opencl_cache_type(const struct xn_executor *e) {
    return e->view.limits.cache_type;
}

static void opencl_times(struct xn_executor *e, double seconds[XN_OP_KINDS]) {
    memcpy(seconds, e->seconds, sizeof e->seconds);
    memset(e->seconds, 0, sizeof e->seconds);
}

static void opencl_tell_apart(struct xn_executor *e, bool apart) {
    e->apart = apart;
}

static uint32_t opencl_launches(const struct xn_executor *e, const char **how) {
    static const char *const ways[] = {
        [XN_OPENCL_BY_WALK] = "walk", [XN_OPENCL_BY_BUFFER] = "command buffer", [XN_OPENCL_BY_LAUNCHES] = "launches"};
    *how = ways[e->way];
    return e->launched;
}

static const struct xn_device_table opencl_table = {
    .describe = opencl_describe,
    .free = opencl_free,
    .packed_bytes = opencl_packed_bytes,
    .expect = opencl_expect,
    .ready = opencl_ready,
    .pack = xn_cl_pack,
    .unpack = xn_cl_unpack,
    .watch = opencl_watch,
    .prepare = opencl_prepare,
    .release = opencl_release,
    .memory = opencl_memory,
    .run = xn_cl_executor_run,
    .logits = opencl_logits,
    .candidates = xn_cl_candidates,
    .read_logits = xn_cl_read_logits,
    .run_part = xn_cl_executor_run_part,
    .read_rows = xn_cl_read_rows,
    .write_rows = xn_cl_write_rows,
    .copy_page = xn_cl_copy_page,
    .copy_state = xn_cl_copy_state,
    .clear_state = xn_cl_clear_state,
    .cache_type = opencl_cache_type,
    .read_page = xn_cl_read_page,
    .write_page = xn_cl_write_page,
    .read_state = xn_cl_read_state,
    .write_state = xn_cl_write_state,
    .times = opencl_times,
    .tell_apart = opencl_tell_apart,
    .launches = opencl_launches,
};

// --- opening ---

// The grids of the IQ formats, which decoders read.
static int send_grids(struct xn_cl_device *d, struct xn_error *err) {
    static const struct grid {
        const void *values;
        size_t at, bytes;
    } grids[] = {
        {xn_iq2_xxs_grid, XN_CL_GRID_IQ2_XXS, sizeof xn_iq2_xxs_grid},
        {xn_iq2_xs_grid, XN_CL_GRID_IQ2_XS, sizeof xn_iq2_xs_grid},
        {xn_iq2_s_grid, XN_CL_GRID_IQ2_S, sizeof xn_iq2_s_grid},
        {xn_iq1_grid, XN_CL_GRID_IQ1, sizeof xn_iq1_grid},
        {xn_iq3_xxs_grid, XN_CL_GRID_IQ3_XXS, sizeof xn_iq3_xxs_grid},
        {xn_iq3_s_grid, XN_CL_GRID_IQ3_S, sizeof xn_iq3_s_grid},
    };
    XN_TRY(xn_cl_buffer(d, XN_CL_GRID_VALUES * 4, "grids", &d->grids, err));
    for (size_t i = 0; i < sizeof grids / sizeof *grids; i++) {
        cl_int code = d->cl->EnqueueWriteBuffer(d->queue, d->grids, CL_TRUE, grids[i].at * 4, grids[i].bytes,
                                                grids[i].values, 0, NULL, NULL);
        if (code != CL_SUCCESS) return xn_cl_fail(err, code, "%s: writing grids", d->info.name);
    }
    return XN_OK;
}

static int open_queue(struct xn_cl_device *d, struct xn_error *err) {
    cl_int code;
    d->context = d->cl->CreateContext(NULL, 1, &d->id, NULL, NULL, &code);
    if (!d->context) return xn_cl_fail(err, code, "%s: opening a context", d->info.name);
    d->queue = d->cl->CreateCommandQueue(d->context, d->id, CL_QUEUE_PROFILING_ENABLE, &code);
    if (!d->queue) return xn_cl_fail(err, code, "%s: opening a queue", d->info.name);
    return send_grids(d, err);
}

int xn_cl_ready(struct xn_cl_device *d, struct xn_error *err) {
    if (d->lost)
        return xn_fail(err, XN_ERR_DEVICE, "%s did not end an earlier step, and is not used any more", d->info.name);
    if (d->queue) return XN_OK;
    int status = open_queue(d, err);
    if (status != XN_OK) close_queue(d);
    return status;
}

static int find(const struct xn_opencl_options *options, struct xn_cl_found *out, struct xn_error *err) {
    struct xn_cl_found *list;
    uint32_t n;
    XN_TRY(xn_cl_find(&list, &n, err));
    if (options->index < n) *out = list[options->index];
    free(list);
    if (options->index < n) return XN_OK;
    if (n == 0) return xn_fail(err, XN_ERR_ARGUMENT, "device gpu%u: OpenCL has no devices here", options->index);
    return xn_fail(err, XN_ERR_ARGUMENT, "device gpu%u: there %s gpu0%s (see xenon devices)", options->index,
                   n == 1 ? "is only" : "are", n == 1 ? "" : " and further ones, fewer than that");
}

int xn_opencl_device_open(const struct xn_opencl_options *options, struct xn_device **out, struct xn_error *err) {
    struct xn_cl_found found = {0};
    *out = NULL;
    XN_TRY(find(options, &found, err));
    struct xn_cl_device *d = xn_alloc_zero(1, sizeof *d);
    if (!d) return xn_fail(err, XN_ERR_NOMEM, "no memory for a device");
    d->device.table = &opencl_table;
    d->cl = xn_cl_api();
    d->id = found.id;
    d->info = found.info;
    d->dialect = options->emulate ? XN_CL_EMULATED : options->plain ? XN_CL_PLAIN : xn_cl_dialect_of(&d->info);
    d->max_allocation = found.info.max_allocation;
    if (options->max_allocation && options->max_allocation < d->max_allocation)
        d->max_allocation = options->max_allocation;
    d->heap_bytes = options->heap_bytes;
    static const double timeout = 60;
    d->timeout = options->timeout ? fmax(options->timeout, 0) : d->info.is_processor ? 0 : timeout;
    d->way = options->way;
    d->f16 = options->f16;
    d->dp4a = options->dp4a;
    d->all_logits = options->all_logits;
    if (!(d->info.extensions >> XN_OPENCL_COMMAND_BUFFER & 1) ||
        !xn_cl_recording_load(d->cl, found.platform, &d->recording))
        d->recording = (struct xn_cl_recording){0};
    d->piece_bytes = options->piece_bytes;
    if (options->cache) d->programs.folder = xn_strdup(options->cache); // without memory: not kept
    if (options->ahead) d->programs.ahead = xn_strdup(options->ahead);
    for (uint32_t type = 0, as; type < XN_TYPE_COUNT && d->info.is_processor && !options->narrow_programs; type++)
        if (xn_cl_layout_of(type, &as)) d->programs.always |= (uint64_t)1 << as;
    snprintf(d->backend, sizeof d->backend, "OpenCL gpu%u", options->index);
    int status = xn_cl_check_abilities(&d->info, err);
    if (status == XN_OK && !options->later) status = xn_cl_ready(d, err);
    if (status != XN_OK) {
        opencl_free(&d->device);
        return status;
    }
    xn_log(XN_LOG_INFO, "%s: %s, driver %s, %u compute units, %s kernels", d->info.name, d->info.version,
           d->info.driver, d->info.units, xn_cl_dialect_name(d->dialect));
    *out = &d->device;
    return XN_OK;
}

bool xn_opencl_halves(struct xn_device *device, uint32_t rows) {
    const struct xn_cl_device *d = xn_cl_device_of(device);
    return rows > XN_CL_STREAM_TOKENS && d->dialect != XN_CL_PLAIN && !d->programs.plain_matrix;
}
