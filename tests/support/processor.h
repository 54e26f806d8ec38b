// Processors of a certain level, for tests of floors that know no devices.
#pragma once

#include "device/device.h"

// A device of the instruction set `level` ("avx2", as XENON_CPU names it) with so many threads; NULL: this machine
// lacks it. Free with its table.
struct xn_device *test_processor(const char *level, uint32_t threads);
