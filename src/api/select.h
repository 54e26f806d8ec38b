// Which device a command or a program gets: by name, by the environment, else the best there is.
#pragma once

#include "device/device.h"

#include <stdbool.h>

// name: "cpu", "cpu:LEVEL" (c, avx2, avx2vnni, avx512, avx512vnni, amx), either with "+bf16" or "+mapped" behind it
// (xn_cpu_options), "gpu0", "gpu1", ... (the numbers of xn_opencl_list), which may have "+f16", "+launches" or
// "+recorded" behind it (enum xn_opencl_way), "reference", or NULL for what the environment variable XENON_CPU names
// ("reference" or a level), else the processor at its best. threads: 0 chooses. gpu_timeout: of struct
// xn_device_choice.
int xn_device_select(const char *name, int threads, double gpu_timeout, struct xn_device **out, struct xn_error *err);

// Devices for a model. Zero-initialise, and set `layers` to -1.
struct xn_device_choice {
    // As above; several with commas between them; or "auto": the GPUs there are, one of them alone where the model
    // fits it, else all, with what fits none on the processor; without any the processor, as for NULL. (Not counted:
    // what OpenCL offers beside GPUs; GPUs without a matrix unit that share the processor's memory, or any that do
    // where others do not; other platforms than that of the GPUs with the most memory.) NULL: as above.
    const char *devices;
    int threads;
    const char *split; // "3,1": shares of the layers, one a device named; NULL: by free memory
    int layers;        // that GPUs take, of the last ones; -1: as many as fit
    bool cpu_experts;  // the processor takes the experts of every layer
    double gpu_memory; // bytes of each GPU to use at the most; 0: what is free
    // Seconds after which a GPU that does not end a step is given up (struct xn_opencl_options); 0: chosen, negative:
    // never.
    double gpu_timeout;
};
// Where GPUs are named, what does not fit them stays on the processor, whether that is named or not. What was chosen
// wrongly is an error of status XN_ERR_ARGUMENT.
int xn_devices_choose(const struct xn_device_choice *choice, struct xn_device **out, struct xn_error *err);
