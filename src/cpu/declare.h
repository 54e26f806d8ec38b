// Declares every kernel of the list.
#pragma once

#include "cpu/kernels.h"

#define KERNEL(LEVEL, level, slot) xn_cpu_##slot##_fn xn_cpu_##slot##_##level;
#define TYPE_KERNEL(LEVEL, level, slot, name, type) xn_cpu_##slot##_fn xn_cpu_##slot##_##name##_##level;
#include "cpu/kernels.inc"
#undef KERNEL
#undef TYPE_KERNEL
