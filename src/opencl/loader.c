#include "opencl/loader.h"

#include "base/log.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct xn_cl_api api;
static const struct xn_cl_api *loaded;

static void load(void) {
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) return;
    const char *missing = NULL;
// The address goes through memory: ISO C has no conversion from data to function pointers.
#define X(name)                                                                                                        \
    {                                                                                                                  \
        void *symbol = dlsym(library, "cl" #name);                                                                     \
        if (!symbol) missing = "cl" #name;                                                                             \
        memcpy(&api.name, &symbol, sizeof symbol);                                                                     \
    }
    XN_CL_FUNCTIONS(X)
#undef X
    if (missing)
        xn_log(XN_LOG_WARNING, "libOpenCL.so.1 has no %s: no GPUs", missing);
    else
        loaded = &api;
}

const struct xn_cl_api *xn_cl_api(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    return loaded;
}

bool xn_cl_recording_load(const struct xn_cl_api *cl, cl_platform_id platform, struct xn_cl_recording *out) {
    bool all = true;
#define LOAD(member, name)                                                                                             \
    {                                                                                                                  \
        void *address = cl->GetExtensionFunctionAddressForPlatform(platform, name);                                    \
        memcpy(&out->member, &address, sizeof address);                                                                \
        all &= address != NULL;                                                                                        \
    }
    LOAD(Create, "clCreateCommandBufferKHR")
    LOAD(NDRangeKernel, "clCommandNDRangeKernelKHR")
    LOAD(Finalize, "clFinalizeCommandBufferKHR")
    LOAD(Enqueue, "clEnqueueCommandBufferKHR")
    LOAD(Release, "clReleaseCommandBufferKHR")
#undef LOAD
    return all;
}

const char *xn_cl_code_name(cl_int code) {
    switch (code) {
#define CODE(name)                                                                                                     \
    case name:                                                                                                         \
        return #name;
        CODE(CL_SUCCESS)
        CODE(CL_DEVICE_NOT_FOUND)
        CODE(CL_DEVICE_NOT_AVAILABLE)
        CODE(CL_COMPILER_NOT_AVAILABLE)
        CODE(CL_MEM_OBJECT_ALLOCATION_FAILURE)
        CODE(CL_OUT_OF_RESOURCES)
        CODE(CL_OUT_OF_HOST_MEMORY)
        CODE(CL_PROFILING_INFO_NOT_AVAILABLE)
        CODE(CL_MEM_COPY_OVERLAP)
        CODE(CL_BUILD_PROGRAM_FAILURE)
        CODE(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST)
        CODE(CL_LINKER_NOT_AVAILABLE)
        CODE(CL_INVALID_VALUE)
        CODE(CL_INVALID_DEVICE_TYPE)
        CODE(CL_INVALID_PLATFORM)
        CODE(CL_INVALID_DEVICE)
        CODE(CL_INVALID_CONTEXT)
        CODE(CL_INVALID_QUEUE_PROPERTIES)
        CODE(CL_INVALID_COMMAND_QUEUE)
        CODE(CL_INVALID_MEM_OBJECT)
        CODE(CL_INVALID_BINARY)
        CODE(CL_INVALID_BUILD_OPTIONS)
        CODE(CL_INVALID_PROGRAM)
        CODE(CL_INVALID_PROGRAM_EXECUTABLE)
        CODE(CL_INVALID_KERNEL_NAME)
        CODE(CL_INVALID_KERNEL)
        CODE(CL_INVALID_ARG_INDEX)
        CODE(CL_INVALID_ARG_VALUE)
        CODE(CL_INVALID_ARG_SIZE)
        CODE(CL_INVALID_KERNEL_ARGS)
        CODE(CL_INVALID_WORK_DIMENSION)
        CODE(CL_INVALID_WORK_GROUP_SIZE)
        CODE(CL_INVALID_WORK_ITEM_SIZE)
        CODE(CL_INVALID_EVENT_WAIT_LIST)
        CODE(CL_INVALID_EVENT)
        CODE(CL_INVALID_OPERATION)
        CODE(CL_INVALID_BUFFER_SIZE)
        CODE(CL_INVALID_GLOBAL_WORK_SIZE)
#undef CODE
    default:
        return code == -1001   ? "CL_PLATFORM_NOT_FOUND_KHR"
               : code == -1138 ? "CL_INVALID_COMMAND_BUFFER_KHR"
               : code == -1139 ? "CL_INVALID_SYNC_POINT_WAIT_LIST_KHR"
               : code == -1140 ? "CL_INCOMPATIBLE_COMMAND_QUEUE_KHR"
                               : "?";
    }
}

int xn_cl_fail(struct xn_error *err, cl_int code, const char *format, ...) {
    char what[768];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    bool memory = code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_HOST_MEMORY;
    return xn_fail(err, memory ? XN_ERR_NOMEM : XN_ERR_DEVICE, "%s: %s (%d)", what, xn_cl_code_name(code), code);
}
