// Programs that are built ahead of time, by Intel's offline compiler, on a machine that need not have the GPU: which
// there are, their sources as a device of the target would build them, and the folder in which such a device finds
// them.
#pragma once

#include "device/device.h"

#include <stddef.h>
#include <stdint.h>

// A kind of GPU. Its programs stand in a folder of its name, and are taken by devices that say they are of this
// architecture and release (CL_DEVICE_IP_VERSION_INTEL).
struct xn_opencl_target {
    const char *name, *about; // "acm-g10" (as ocloc calls it), "Arc A770, A750, A580"
    uint32_t architecture, release;
};
// Target i of the list, or NULL beyond it.
const struct xn_opencl_target *xn_opencl_target_at(size_t i);
const struct xn_opencl_target *xn_opencl_target_named(const char *name); // NULL: there is none
// Of a device's IP version, as its driver writes it; NULL: none of these, or the driver is too old to say which.
const struct xn_opencl_target *xn_opencl_target_of(uint32_t ip_version);

// One program: a kernel for some formats of weights.
struct xn_opencl_program {
    const char *kernel;               // "project_add"
    const char *shape;                // "one row", "few rows", "many rows", or NULL: there is one for both
    uint64_t formats;                 // bit i: enum xn_type i
    uint32_t cache_type;              // of the cache, where keys and values are read or written, else XN_TYPE_COUNT
    uint32_t id, shape_id, few_sizes; // struct xn_cl_program_key
};

// The programs of a model: `plan` was built with xn_opencl_pack_shape. *list: free().
int xn_opencl_programs_of_plan(const struct xn_plan *plan, const struct xn_limits *limits,
                               struct xn_opencl_program **list, size_t *n, struct xn_error *err);
// All programs, for each of the formats (bits as above), each two of them, and all together, and for the cache types
// given by bits as well. *list: free().
int xn_opencl_programs_of_formats(uint64_t formats, uint64_t cache_types, struct xn_opencl_program **list, size_t *n,
                                  struct xn_error *err);
// What a plan is given for a matrix where nothing is run: its shape and format, without data. An xn_plan_pack whose
// user data is the struct xn_arena that it is allocated in.
int xn_opencl_pack_shape(void *arena, const struct xn_matrix *matrix, struct xn_weights **out, struct xn_error *err);

// The source of a program for a target, as one text (NUL-terminated; free()).
int xn_opencl_program_source(const struct xn_opencl_program *program, const struct xn_opencl_target *target,
                             char **text, struct xn_error *err);
const char *xn_opencl_program_options(void); // of the compiler: "-cl-std=CL1.2"
// Keeps what the compiler made of it below `folder`, in the folder of the target, which must be there; *path (free())
// is the file.
int xn_opencl_program_keep(const struct xn_opencl_program *program, const struct xn_opencl_target *target,
                           const char *folder, const void *binary, size_t size, char **path, struct xn_error *err);
