// How a GPU is described to a person.
#pragma once

#include "opencl/opencl.h"

#include <stdio.h>

// Platform, versions, memory, sizes and extensions, on indented lines; its name is on the line before.
void xn_print_gpu(const struct xn_opencl_info *gpu, FILE *out);
