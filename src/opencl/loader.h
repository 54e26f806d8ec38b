// OpenCL's functions, found at run time: a machine without a loader (libOpenCL.so.1) is one without GPUs, and no
// program that needs none of this fails to start there.
#pragma once

#include "base/error.h"

#include <stdbool.h>

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#define XN_CL_FUNCTIONS(X)                                                                                             \
    X(GetPlatformIDs)                                                                                                  \
    X(GetPlatformInfo)                                                                                                 \
    X(GetExtensionFunctionAddressForPlatform)                                                                          \
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
    X(Flush)                                                                                                           \
    X(Finish)                                                                                                          \
    X(GetEventInfo)                                                                                                    \
    X(GetEventProfilingInfo)                                                                                           \
    X(ReleaseEvent)

struct xn_cl_api {
#define X(name) __typeof__(cl##name) *name;
    XN_CL_FUNCTIONS(X)
#undef X
};

// The functions, loaded once for the process and kept; NULL where there is no loader or it lacks one of them.
const struct xn_cl_api *xn_cl_api(void);

// cl_khr_command_buffer. It is provisional, and headers have another version of it or none; these functions have been
// the same in all versions since 0.9.0. Their lists of properties, sync points and handles are NULL here.
typedef void *xn_cl_command_buffer; // cl_command_buffer_khr
struct xn_cl_recording {
    xn_cl_command_buffer(CL_API_CALL *Create)(cl_uint n_queues, const cl_command_queue *queues, const void *properties,
                                              cl_int *code);
    cl_int(CL_API_CALL *NDRangeKernel)(xn_cl_command_buffer buffer, cl_command_queue queue, const void *properties,
                                       cl_kernel kernel, cl_uint dimensions, const size_t *offset, const size_t *global,
                                       const size_t *local, cl_uint n_wait, const cl_uint *wait, cl_uint *sync_point,
                                       void *handle);
    cl_int(CL_API_CALL *Finalize)(xn_cl_command_buffer buffer);
    cl_int(CL_API_CALL *Enqueue)(cl_uint n_queues, cl_command_queue *queues, xn_cl_command_buffer buffer,
                                 cl_uint n_wait, const cl_event *wait, cl_event *event);
    cl_int(CL_API_CALL *Release)(xn_cl_command_buffer buffer);
};
// The functions of a platform; false where it lacks one of them.
bool xn_cl_recording_load(const struct xn_cl_api *cl, cl_platform_id platform, struct xn_cl_recording *out);

const char *xn_cl_code_name(cl_int code); // "CL_OUT_OF_RESOURCES"; "?" for numbers that are none
// Fills *err with what failed (a printf format) and the code's name and number; XN_ERR_NOMEM where memory was missing,
// else XN_ERR_DEVICE.
int xn_cl_fail(struct xn_error *err, cl_int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
