// The device as the files of this folder share it.
#pragma once

#include "opencl/devices.h"
#include "opencl/heap.h"
#include "opencl/kernels/shared.h"
#include "opencl/layout.h"
#include "opencl/program.h"

#include "device/host.h"

struct xn_cl_device {
    struct xn_device device;
    const struct xn_cl_api *cl;
    cl_device_id id;
    cl_context context;     // NULL: not ready yet
    cl_command_queue queue; // in order, with times
    struct xn_opencl_info info;
    enum xn_cl_dialect dialect;
    uint64_t max_allocation, heap_bytes, piece_bytes; // struct xn_opencl_options
    uint64_t expected; // bytes of arrays that are about to be taken, as far as anyone said
    uint64_t taken;    // bytes of all buffers
    double timeout;    // seconds; 0: none
    bool lost;         // it did not answer in time: its driver is asked for nothing any more, not to let go either
    struct xn_cl_heap heaps[XN_CL_HEAPS];
    struct xn_cl_programs programs;
    const struct xn_progress *progress; // of the building of kernels; or NULL
    enum xn_opencl_way way;             // struct xn_opencl_options; or what is left of it
    bool f16, dp4a, all_logits;         // of its options
    struct xn_cl_recording recording;   // where `way` has command buffers
    cl_mem grids;
    char backend[64];
};

// The device behind one of the engine's, or NULL if it is another kind.
struct xn_cl_device *xn_cl_device_of(struct xn_device *device);

// Opens context and queue, where they are not open yet: whatever the driver is asked for needs them. An error for a
// device that is lost.
int xn_cl_ready(struct xn_cl_device *device, struct xn_error *err);

// Waits for a command that was enqueued; NULL: for none. False: it did not end within so many seconds, and the device
// is lost. *failed: the code with which it failed.
bool xn_cl_wait(struct xn_cl_device *device, cl_event event, double seconds, cl_int *failed);
// Instead of free(), for what a lost device's driver may still read: at least 8 bytes, or NULL.
void xn_cl_abandon(void *memory);

// The limits of a plan with the type of its cache chosen.
struct xn_limits xn_cl_limits_of(const struct xn_plan *plan, const struct xn_limits *limits);

// A buffer of `size` bytes (0: of 4) that counts against the device's memory. `what` is what errors call it.
int xn_cl_buffer(struct xn_cl_device *device, uint64_t size, const char *what, cl_mem *out, struct xn_error *err);
void xn_cl_buffer_free(struct xn_cl_device *device, cl_mem buffer, uint64_t size); // accepts NULL

// A matrix in the device's memory. The first member makes it what plans point to; its data pointers are NULL.
struct xn_cl_packed {
    struct xn_weights weights;
    uint32_t type; // of what was packed
    float shrink;  // a power of two: all values times this are below 2^15, so that half floats hold them; mostly 1
    struct xn_cl_row row;
    struct xn_cl_array array; // unit: a row; pieces are laid out by layout.h
};
int xn_cl_pack(struct xn_device *device, const struct xn_matrix *matrix, struct xn_weights **out, struct xn_error *err);
void xn_cl_unpack(struct xn_device *device, struct xn_weights *weights);
// Bytes that pack takes of the device's memory; 0 for what it does not take.
uint64_t xn_cl_packed_bytes(const struct xn_matrix *matrix);
