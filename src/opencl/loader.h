// OpenCL's functions, found at run time: a machine without a loader (libOpenCL.so.1) is one without GPUs, and no
// program that needs none of this fails to start there.
#pragma once

#include "base/error.h"

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#define XN_CL_FUNCTIONS(X)                                                                                             \
    X(GetPlatformIDs)                                                                                                  \
    X(GetPlatformInfo)                                                                                                 \
    X(GetDeviceIDs)                                                                                                    \
    X(GetDeviceInfo)                                                                                                   \
    X(CreateContext)                                                                                                   \
    X(ReleaseContext)                                                                                                  \
    X(CreateCommandQueue)                                                                                              \
    X(ReleaseCommandQueue)                                                                                             \
    X(CreateBuffer)                                                                                                    \
    X(ReleaseMemObject)                                                                                                \
    X(CreateProgramWithSource)                                                                                         \
    X(CreateProgramWithBinary)                                                                                         \
    X(BuildProgram)                                                                                                    \
    X(GetProgramBuildInfo)                                                                                             \
    X(GetProgramInfo)                                                                                                  \
    X(ReleaseProgram)                                                                                                  \
    X(CreateKernel)                                                                                                    \
    X(SetKernelArg)                                                                                                    \
    X(ReleaseKernel)                                                                                                   \
    X(EnqueueNDRangeKernel)                                                                                            \
    X(EnqueueWriteBuffer)                                                                                              \
    X(EnqueueReadBuffer)                                                                                               \
    X(EnqueueCopyBuffer)                                                                                               \
    X(EnqueueFillBuffer)                                                                                               \
    X(EnqueueMapBuffer)                                                                                                \
    X(EnqueueUnmapMemObject)                                                                                           \
    X(Finish)                                                                                                          \
    X(GetEventProfilingInfo)                                                                                           \
    X(ReleaseEvent)

struct xn_cl_api {
#define X(name) __typeof__(cl##name) *name;
    XN_CL_FUNCTIONS(X)
#undef X
};

// The functions, loaded once for the process and kept; NULL where there is no loader or it lacks one of them.
const struct xn_cl_api *xn_cl_api(void);

const char *xn_cl_code_name(cl_int code); // "CL_OUT_OF_RESOURCES"; "?" for numbers that are none
// Fills *err with what failed (a printf format) and the code's name and number; XN_ERR_NOMEM where memory was missing,
// else XN_ERR_DEVICE.
int xn_cl_fail(struct xn_error *err, cl_int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
