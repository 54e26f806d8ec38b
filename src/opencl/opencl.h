// GPUs (and whatever else OpenCL offers) as devices. Where the build has no OpenCL headers or the machine no OpenCL
// loader, there are none.
#pragma once

#include "device/device.h"

#include <stdbool.h>

// Extensions by which kernels for a device are chosen; bits of struct xn_opencl_info.
#define XN_OPENCL_EXTENSIONS(X)                                                                                        \
    X(FP16, "cl_khr_fp16")                                                                                             \
    X(SUBGROUPS, "cl_khr_subgroups")                                                                                   \
    X(INTEGER_DOT, "cl_khr_integer_dot_product")                                                                       \
    X(COMMAND_BUFFER, "cl_khr_command_buffer")                                                                         \
    X(INTEL_SUBGROUPS, "cl_intel_subgroups")                                                                           \
    X(INTEL_SUBGROUP_SIZE, "cl_intel_required_subgroup_size")                                                          \
    X(INTEL_MATRIX, "cl_intel_subgroup_matrix_multiply_accumulate")                                                    \
    X(INTEL_2D_BLOCK, "cl_intel_subgroup_2d_block_io")                                                                 \
    X(INTEL_ATTRIBUTES, "cl_intel_device_attribute_query")                                                             \
    X(NV_ATTRIBUTES, "cl_nv_device_attribute_query")
enum xn_opencl_extension {
#define X(name, text) XN_OPENCL_##name,
    XN_OPENCL_EXTENSIONS(X)
#undef X
        XN_OPENCL_EXTENSION_COUNT,
};
const char *xn_opencl_extension_name(enum xn_opencl_extension extension);

enum { XN_OPENCL_SUB_GROUP_SIZES = 8 };
struct xn_opencl_info {
    char name[128], platform[128], version[128], driver[64];
    bool is_processor;  // a processor through OpenCL: never chosen unless it is named
    bool is_gpu;        // else, and if this is not either, another kind of accelerator
    bool shares_memory; // with the processor
    bool compiles, little_endian;
    uint32_t address_bits;
    uint64_t memory;                                             // bytes
    uint64_t max_allocation;                                     // bytes of one buffer
    uint64_t local_memory;                                       // bytes of a group
    uint32_t units, clock;                                       // compute units, MHz
    uint32_t max_group;                                          // work-items
    uint32_t sub_group[XN_OPENCL_SUB_GROUP_SIZES], n_sub_groups; // sizes, where the device says so
    uint32_t extensions;                                         // bit i: enum xn_opencl_extension i
    uint32_t ip_version; // of an Intel GPU whose driver tells (ahead.h); 0: unknown
};

// Describes all devices, in the order of their numbers ("gpu0", "gpu1", ...): GPUs, other accelerators, processors. No
// OpenCL at all is none, and no error. *list: free().
int xn_opencl_list(struct xn_opencl_info **list, uint32_t *n, struct xn_error *err);

// How the operations of a step reach a device, from the best way on. Where one is not possible, the next stands in.
enum xn_opencl_way {
    XN_OPENCL_BY_WALK,     // one kernel goes through all operations, of few rows
    XN_OPENCL_BY_BUFFER,   // kernels one after the other, recorded once and enqueued as one command
    XN_OPENCL_BY_LAUNCHES, // kernels one after the other
};
struct xn_opencl_options {
    uint32_t index;          // of the list
    const char *cache;       // folder that keeps built programs; NULL: built anew in every process
    const char *ahead;       // another folder, of programs that `xenon compile` built; NULL: none but `cache`
    uint64_t max_allocation; // bytes of one buffer at the most; 0: what the device allows
    // Of the memory of weights, caches and states: bytes of its buffers, and of the pieces that arrays are cut into,
    // but at least one row, page or slot. 0: as large as they may be.
    uint64_t heap_bytes, piece_bytes;
    bool narrow_programs; // on a processor, too, programs for the formats of a plan alone, as elsewhere: a compiler
                          // for processors takes nearly as long for one format as for all
    // Seconds after which a device that does not end a step of up to 128 rows is given up (larger ones get as much for
    // each 128 rows begun). 0: 60, for a processor none; negative: none.
    double timeout;
    bool later;             // the driver is asked for nothing before the device is first used
    enum xn_opencl_way way; // the best that steps may take
    bool f16;  // products of many rows with weights in F16 and BF16 round activations to float16 on a matrix unit; else
               // such weights, which are exact, get exact products, at twice the cost
    bool dp4a; // products of 2 to 8 rows not on a matrix unit, where a walk has them there
    bool all_logits; // come to the host, of whom only the best tokens are wanted, too
    bool plain;      // kernels in plain OpenCL C, whatever the device offers beyond
    bool emulate;    // plain kernels that compute as those for NVIDIA's matrix unit do: for tests
};
// For choosing among devices: whether this one is a GPU that is worth its while without anyone naming it. One that
// reads the processor's memory is no faster at that, and computes more only if it has a matrix unit.
bool xn_opencl_is_choice(const struct xn_opencl_info *info);

// Whether a device of this process was given up. Its driver may hang when the process ends, too.
bool xn_opencl_has_lost(void);

// Errors: there is no such device (XN_ERR_ARGUMENT), it lacks what kernels need (XN_ERR_UNSUPPORTED), or its driver
// fails (XN_ERR_DEVICE).
int xn_opencl_device_open(const struct xn_opencl_options *options, struct xn_device **out, struct xn_error *err);

// Whether attention of a batch of so many rows may round queries, weights and cached blocks to 16 bits, for a matrix
// unit. False for a device that is not one of these.
bool xn_opencl_rounds_attention(struct xn_device *device, uint32_t rows);

// Bytes a second that a kernel reads from the device's memory: the best of a few passes over a buffer of up to 1 GiB.
// An error for a device that is not one of these.
int xn_opencl_measure_bandwidth(struct xn_device *device, double *bytes_per_second, struct xn_error *err);

// What a launch of a kernel costs that does next to nothing: seconds of host and device each where many are queued one
// behind the other, and where each is waited for.
int xn_opencl_measure_launch(struct xn_device *device, double *queued, double *alone, struct xn_error *err);

// The description of an opened device, for as long as it lives, and the variant of kernels that it gets ("intel"); NULL
// for a device that is not one of these.
const struct xn_opencl_info *xn_opencl_info_of(const struct xn_device *device);
const char *xn_opencl_kernels_of(const struct xn_device *device);
