// Steps as command buffers (cl_khr_command_buffer): their launches are recorded when they first come, and from then on
// enqueued as one command.
//
// What is recorded are kernels, sizes and arguments. Between two steps of the same shape (struct xn_cl_step_shape) all
// of them are the same but the buffer of the batch, which is another one once it has grown: then everything recorded is
// dropped. What a batch holds, how many rows or how long a context, is data that kernels read.
#pragma once

#include "opencl/executor.h"

struct xn_cl_recorded {
    size_t first, end; // launches
    struct xn_cl_step_shape shape;
    xn_cl_command_buffer buffer;
    cl_kernel *kernels; // [n]: of each command its own
    uint32_t n;
};

// Enqueues launches [first, end) of a step, and sets *event, which the caller releases, and *n to the number of
// kernels. False where they are to be launched one by one: the device records nothing, there is one at most, or its
// driver failed, which is said once, and then nothing is recorded for the device any more. Nothing was enqueued then.
bool xn_cl_recorded_run(struct xn_executor *e, size_t first, size_t end, struct xn_cl_step_shape shape, cl_event *event,
                        uint32_t *n);
// Drops what was recorded: an argument of kernels changes.
void xn_cl_recorded_drop(struct xn_executor *e);
