// What holding an OpenCL device to plain C needs besides its table: all memory of an executor at once.
#pragma once

#include "device/host.h"

bool xn_opencl_is(const struct xn_device *device);
// Copies activations, cache, states, routing and logits from and to host memory of the same plan and limits (cache type
// resolved).
int xn_opencl_write(struct xn_executor *executor, const struct xn_host_memory *from, struct xn_error *err);
int xn_opencl_read(struct xn_executor *executor, struct xn_host_memory *to, struct xn_error *err);
// Whether products of so many rows of a batch with weights of this type round the activations to 8 bits on a device.
bool xn_opencl_rounds(struct xn_device *device, uint32_t type, uint32_t rows);
