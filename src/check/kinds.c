#include "check/kinds.h"

int xn_check_device_of(struct xn_device *device, struct xn_check_device *out, struct xn_error *err) {
    if (xn_check_cpu(device, out) || xn_check_opencl(device, out)) return XN_OK;
    struct xn_device_info info;
    device->table->describe(device, &info);
    return xn_fail(err, XN_ERR_UNSUPPORTED, "check: device %s can't be checked, only the processor and GPUs can",
                   info.backend);
}
