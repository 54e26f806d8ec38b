// A GPU under check.
#include "opencl/opencl.h"
#include "check/kinds.h"
#include "opencl/check.h"

#include <stdio.h>
#include <string.h>

// Where few rows meet weights of few bits, activations become 8-bit integers in blocks; else decoded weights meet
// float32. Attention of many rows on a matrix unit rounds queries and the softmax to halves, and blocks as well.
static double opencl_rounding(const struct xn_check_device *device, const struct xn_check_case *c) {
    static const double integers = 0.02, halves = 0x1p-11, blocks = 0x1p-10;
    uint32_t rows = c->wish.kind == XN_OP_HEAD ? c->batch.n_outputs : c->batch.n_rows, type = c->limits.cache_type;
    if (c->wish.kind == XN_OP_ATTEND && type != XN_F32 && type != XN_BF16 &&
        xn_opencl_rounds_attention(device->device, rows))
        return type == XN_F16 ? halves : blocks;
    if (c->n_matrices == 0) return 0;
    return xn_opencl_rounds(device->device, c->matrices[0].matrix.type, rows) ? integers : 0;
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
