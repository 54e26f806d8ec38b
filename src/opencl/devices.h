// What OpenCL offers on this machine.
#pragma once

#include "opencl/loader.h"
#include "opencl/opencl.h"

struct xn_cl_found {
    cl_platform_id platform;
    cl_device_id id;
    struct xn_opencl_info info;
};
// All devices in the order of their numbers. *list: free().
int xn_cl_find(struct xn_cl_found **list, uint32_t *n, struct xn_error *err);
// Whether a device has what kernels need; an error (XN_ERR_UNSUPPORTED) says what it lacks.
int xn_cl_check_abilities(const struct xn_opencl_info *info, struct xn_error *err);
