// A GPU under check.
#include "opencl/opencl.h"
#include "check/kinds.h"
#include "opencl/check.h"

#include <stdio.h>
#include <string.h>

// Where few rows meet weights of few bits, activations become 8-bit integers in blocks; else decoded weights meet
// float32. On a matrix unit, of many rows, both are half floats, but where nothing may be rounded: then they are sums
// of two. Attention there rounds queries and the softmax to halves, and blocks as well.
static double opencl_rounding(const struct xn_check_device *device, const struct xn_check_case *c) {
    static const double integers = 0.02, halves = 0.002, split = 5e-5;
    static const double attention = 0x1p-11, blocks = 0x1p-10;
    uint32_t rows = c->wish.kind == XN_OP_HEAD ? c->batch.n_outputs : c->batch.n_rows, cache = c->limits.cache_type;
    if (c->wish.kind == XN_OP_ATTEND && cache != XN_F32 && cache != XN_BF16 &&
        xn_opencl_rounds_attention(device->device, rows))
        return cache == XN_F16 ? attention : blocks;
    if (c->n_matrices == 0) return 0;
    uint32_t type = c->matrices[0].matrix.type;
    if (xn_opencl_rounds(device->device, type, rows)) return integers;
    if (!xn_opencl_halves(device->device, rows)) return 0;
    if (type == XN_F32 || type == XN_F64 || c->wish.kind == XN_OP_ROUTE) return split;
    return halves;
}

bool xn_check_opencl(struct xn_device *device, struct xn_check_device *out) {
    if (!xn_opencl_is(device)) return false;
    struct xn_device_info info;
    device->table->describe(device, &info);
    *out = (struct xn_check_device){.device = device,
                                    .write = xn_opencl_write,
                                    .read = xn_opencl_read,
                                    .rounding = opencl_rounding,
                                    .measure_bandwidth = xn_opencl_measure_bandwidth,
                                    .measure_launch = xn_opencl_measure_launch};
    const char *space = strrchr(info.backend, ' '); // "OpenCL gpu0"
    snprintf(out->name, sizeof out->name, "%.47s", space ? space + 1 : info.backend);
    snprintf(out->spelled, sizeof out->spelled, "%s", out->name);
    return true;
}
