// A GPU under check.
#include "opencl/opencl.h"
#include "check/kinds.h"
#include "opencl/check.h"

#include <stdio.h>
#include <string.h>

// Weights are decoded to float32, and meet float32 activations. Attention of many rows on a matrix unit rounds queries
// and the softmax to halves.
static double opencl_rounding(const struct xn_check_device *device, const struct xn_check_case *c) {
    if (c->wish.kind != XN_OP_ATTEND || c->limits.cache_type == XN_F32 || c->limits.cache_type == XN_BF16) return 0;
    if (!xn_opencl_rounds_attention(device->device, c->batch.n_rows)) return 0;
    return c->limits.cache_type == XN_F16 ? 0x1p-11 : 0x1p-10; // blocks are rounded as well
}

bool xn_check_opencl(struct xn_device *device, struct xn_check_device *out) {
    if (!xn_opencl_is(device)) return false;
    struct xn_device_info info;
    device->table->describe(device, &info);
    *out = (struct xn_check_device){.device = device,
                                    .write = xn_opencl_write,
                                    .read = xn_opencl_read,
                                    .rounding = opencl_rounding,
                                    .measure_bandwidth = xn_opencl_measure_bandwidth};
    const char *space = strrchr(info.backend, ' '); // "OpenCL gpu0"
    snprintf(out->name, sizeof out->name, "%.47s", space ? space + 1 : info.backend);
    snprintf(out->spelled, sizeof out->spelled, "%s", out->name);
    return true;
}
