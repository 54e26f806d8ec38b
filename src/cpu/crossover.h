// From how many rows of activations on a product is faster with panels than with weights streaming by: it depends on
// the type of the weights, the instruction set and the processor, so it is measured when a type is first met, and kept
// in a file for the next start.
#pragma once

#include "cpu/executor.h"

// Fills device->kernels.type[type].stream, from the device's file or by a measurement of some milliseconds, which joins
// the file. Where nothing can be measured or kept (no memory, no file), the default stays or the next start measures
// again.
void xn_cpu_crossover_find(struct xn_cpu_device *device, uint32_t type);
