// What a build without OpenCL headers has instead of all other files of this folder: no devices.
#include "opencl/ahead.h"
#include "opencl/check.h"
#include "opencl/opencl.h"

#define WITHOUT "this build has no OpenCL (its headers were missing)"

int xn_opencl_list(struct xn_opencl_info **list, uint32_t *n, struct xn_error *err) {
    (void)err;
    *list = NULL;
    *n = 0;
    return XN_OK;
}

bool xn_opencl_is_choice(const struct xn_opencl_info *info) {
    (void)info;
    return false;
}

bool xn_opencl_has_lost(void) {
    return false;
}

int xn_opencl_device_open(const struct xn_opencl_options *options, struct xn_device **out, struct xn_error *err) {
    *out = NULL;
    return xn_fail(err, XN_ERR_ARGUMENT, "device gpu%u: " WITHOUT, options->index);
}

int xn_opencl_measure_bandwidth(struct xn_device *device, double *bytes_per_second, struct xn_error *err) {
    (void)device;
    (void)bytes_per_second;
    return xn_fail(err, XN_ERR_UNSUPPORTED, WITHOUT);
}

int xn_opencl_measure_launch(struct xn_device *device, double *queued, double *alone, struct xn_error *err) {
    (void)device;
    (void)queued;
    (void)alone;
    return xn_fail(err, XN_ERR_UNSUPPORTED, WITHOUT);
}

const struct xn_opencl_info *xn_opencl_info_of(const struct xn_device *device) {
    (void)device;
    return NULL;
}

const char *xn_opencl_kernels_of(const struct xn_device *device) {
    (void)device;
    return NULL;
}

bool xn_opencl_rounds_attention(struct xn_device *device, uint32_t rows) {
    (void)device;
    (void)rows;
    return false;
}

bool xn_opencl_halves(struct xn_device *device, uint32_t rows) {
    (void)device;
    (void)rows;
    return false;
}

bool xn_opencl_is(const struct xn_device *device) {
    (void)device;
    return false;
}

bool xn_opencl_rounds(struct xn_device *device, uint32_t type, uint32_t rows) {
    (void)device;
    (void)type;
    (void)rows;
    return false;
}

int xn_opencl_write(struct xn_executor *e, const struct xn_host_memory *from, struct xn_error *err) {
    (void)e;
    (void)from;
    return xn_fail(err, XN_ERR_UNSUPPORTED, WITHOUT);
}

int xn_opencl_read(struct xn_executor *e, struct xn_host_memory *to, struct xn_error *err) {
    (void)e;
    (void)to;
    return xn_fail(err, XN_ERR_UNSUPPORTED, WITHOUT);
}

int xn_opencl_programs_of_plan(const struct xn_plan *plan, const struct xn_limits *limits,
                               struct xn_opencl_program **list, size_t *n, struct xn_error *err) {
    (void)plan;
    (void)limits;
    *list = NULL;
    *n = 0;
    return xn_fail(err, XN_ERR_UNSUPPORTED, WITHOUT);
}

int xn_opencl_programs_of_formats(uint64_t formats, uint64_t cache_types, struct xn_opencl_program **list, size_t *n,
                                  struct xn_error *err) {
    (void)formats;
    (void)cache_types;
    *list = NULL;
    *n = 0;
    return xn_fail(err, XN_ERR_UNSUPPORTED, WITHOUT);
}

int xn_opencl_pack_shape(void *arena, const struct xn_matrix *matrix, struct xn_weights **out, struct xn_error *err) {
    (void)arena;
    (void)matrix;
    *out = NULL;
    return xn_fail(err, XN_ERR_UNSUPPORTED, WITHOUT);
}

int xn_opencl_program_source(const struct xn_opencl_program *program, const struct xn_opencl_target *target,
                             char **text, char options[XN_OPENCL_OPTIONS], struct xn_error *err) {
    (void)program;
    (void)target;
    *text = NULL;
    *options = 0;
    return xn_fail(err, XN_ERR_UNSUPPORTED, WITHOUT);
}

int xn_opencl_program_keep(const struct xn_opencl_program *program, const struct xn_opencl_target *target,
                           const char *folder, const void *binary, size_t size, char **path, struct xn_error *err) {
    (void)program;
    (void)target;
    (void)folder;
    (void)binary;
    (void)size;
    *path = NULL;
    return xn_fail(err, XN_ERR_UNSUPPORTED, WITHOUT);
}
