// The kinds of devices that can be checked: each fills in what it adds to a device's table, or says that it is another.
#pragma once

#include "check/device.h"

bool xn_check_cpu(struct xn_device *device, struct xn_check_device *out);
bool xn_check_opencl(struct xn_device *device, struct xn_check_device *out);
