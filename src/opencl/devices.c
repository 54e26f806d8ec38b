#include "opencl/devices.h"

#include "base/log.h"
#include "base/memory.h"
#include "opencl/kernels/shared.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PLATFORMS = 16, MOST_DEVICES = 64 };
// CL_DEVICE_SUB_GROUP_SIZES_INTEL of cl_intel_required_subgroup_size, which not every version of the headers has.
// The same of CL_DEVICE_IP_VERSION_INTEL of cl_intel_device_attribute_query.
enum { SUB_GROUP_SIZES_INTEL = 0x4108, IP_VERSION_INTEL = 0x4250 };

static void get_text(const struct xn_cl_api *cl, cl_device_id id, cl_device_info what, char *out, size_t size) {
    char text[1024] = "";
    size_t n = 0;
    if (cl->GetDeviceInfo(id, what, sizeof text, text, &n) != CL_SUCCESS || n == 0) text[0] = 0;
    text[sizeof text - 1] = 0;
    const char *begin = text + strspn(text, " ");
    n = strlen(begin);
    while (n && begin[n - 1] == ' ')
        n--;
    if (n >= size) n = size - 1;
    memcpy(out, begin, n);
    out[n] = 0;
}

static uint64_t get_number(const struct xn_cl_api *cl, cl_device_id id, cl_device_info what, size_t bytes) {
    uint64_t value = 0; // little-endian: a shorter number fills its low bytes
    return cl->GetDeviceInfo(id, what, bytes, &value, NULL) == CL_SUCCESS ? value : 0;
}

// Whether a list of words separated by spaces has this one.
static bool has_word(const char *words, const char *word) {
    size_t n = strlen(word);
    for (const char *p = words; (p = strstr(p, word)); p += n)
        if ((p == words || p[-1] == ' ') && (p[n] == ' ' || !p[n])) return true;
    return false;
}

static uint32_t get_extensions(const struct xn_cl_api *cl, cl_device_id id) {
    size_t n = 0;
    uint32_t found = 0;
    if (cl->GetDeviceInfo(id, CL_DEVICE_EXTENSIONS, 0, NULL, &n) != CL_SUCCESS) return 0;
    char *words = xn_alloc_zero(n + 1, 1);
    if (words && cl->GetDeviceInfo(id, CL_DEVICE_EXTENSIONS, n, words, NULL) == CL_SUCCESS)
        for (int i = 0; i < XN_OPENCL_EXTENSION_COUNT; i++)
            if (has_word(words, xn_opencl_extension_name((enum xn_opencl_extension)i))) found |= 1u << i;
    free(words);
    return found;
}

static void get_sub_groups(const struct xn_cl_api *cl, cl_device_id id, struct xn_opencl_info *info) {
    size_t sizes[XN_OPENCL_SUB_GROUP_SIZES], n = 0;
    if (!(info->extensions & 1u << XN_OPENCL_INTEL_SUBGROUP_SIZE)) return;
    if (cl->GetDeviceInfo(id, SUB_GROUP_SIZES_INTEL, sizeof sizes, sizes, &n) != CL_SUCCESS) return;
    info->n_sub_groups = (uint32_t)(n / sizeof *sizes);
    for (uint32_t i = 0; i < info->n_sub_groups; i++)
        info->sub_group[i] = (uint32_t)sizes[i];
}

static void describe(const struct xn_cl_api *cl, struct xn_cl_found *f, cl_device_type *type) {
    struct xn_opencl_info *info = &f->info;
    *type = (cl_device_type)get_number(cl, f->id, CL_DEVICE_TYPE, sizeof *type);
    get_text(cl, f->id, CL_DEVICE_NAME, info->name, sizeof info->name);
    get_text(cl, f->id, CL_DEVICE_VERSION, info->version, sizeof info->version);
    get_text(cl, f->id, CL_DRIVER_VERSION, info->driver, sizeof info->driver);
    if (cl->GetPlatformInfo(f->platform, CL_PLATFORM_NAME, sizeof info->platform, info->platform, NULL) != CL_SUCCESS)
        info->platform[0] = 0;
    info->is_processor = (*type & CL_DEVICE_TYPE_CPU) != 0;
    info->is_gpu = !info->is_processor && (*type & CL_DEVICE_TYPE_GPU) != 0;
    info->shares_memory = get_number(cl, f->id, CL_DEVICE_HOST_UNIFIED_MEMORY, sizeof(cl_bool)) != 0;
    info->compiles = get_number(cl, f->id, CL_DEVICE_COMPILER_AVAILABLE, sizeof(cl_bool)) != 0;
    info->little_endian = get_number(cl, f->id, CL_DEVICE_ENDIAN_LITTLE, sizeof(cl_bool)) != 0;
    info->address_bits = (uint32_t)get_number(cl, f->id, CL_DEVICE_ADDRESS_BITS, 4);
    info->memory = get_number(cl, f->id, CL_DEVICE_GLOBAL_MEM_SIZE, 8);
    info->max_allocation = get_number(cl, f->id, CL_DEVICE_MAX_MEM_ALLOC_SIZE, 8);
    info->local_memory = get_number(cl, f->id, CL_DEVICE_LOCAL_MEM_SIZE, 8);
    info->units = (uint32_t)get_number(cl, f->id, CL_DEVICE_MAX_COMPUTE_UNITS, 4);
    info->clock = (uint32_t)get_number(cl, f->id, CL_DEVICE_MAX_CLOCK_FREQUENCY, 4);
    info->max_group = (uint32_t)get_number(cl, f->id, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof(size_t));
    info->extensions = get_extensions(cl, f->id);
    get_sub_groups(cl, f->id, info);
    if (info->extensions & 1u << XN_OPENCL_INTEL_ATTRIBUTES)
        info->ip_version = (uint32_t)get_number(cl, f->id, IP_VERSION_INTEL, 4);
}

// GPUs first, so that a processor through OpenCL does not shift their numbers; of each kind in the order found.
static int rank_of(cl_device_type type) {
    return type & CL_DEVICE_TYPE_GPU ? 0 : type & CL_DEVICE_TYPE_CPU ? 2 : 1;
}

static uint32_t find_on(const struct xn_cl_api *cl, cl_platform_id platform, struct xn_cl_found *list, int *rank,
                        uint32_t n) {
    cl_device_id ids[MOST_DEVICES];
    cl_uint count = 0;
    cl_int code = cl->GetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, MOST_DEVICES, ids, &count);
    if (code != CL_SUCCESS) {
        if (code != CL_DEVICE_NOT_FOUND)
            xn_log(XN_LOG_WARNING, "an OpenCL platform lists no devices: %s", xn_cl_code_name(code));
        return n;
    }
    for (cl_uint i = 0; i < count && i < MOST_DEVICES && n < MOST_DEVICES; i++) {
        struct xn_cl_found f = {.platform = platform, .id = ids[i]};
        cl_device_type type;
        if (!get_number(cl, ids[i], CL_DEVICE_AVAILABLE, sizeof(cl_bool))) continue;
        describe(cl, &f, &type);
        uint32_t at = n++;
        for (; at > 0 && rank[at - 1] > rank_of(type); at--) {
            list[at] = list[at - 1];
            rank[at] = rank[at - 1];
        }
        list[at] = f;
        rank[at] = rank_of(type);
    }
    return n;
}

int xn_cl_find(struct xn_cl_found **list, uint32_t *n, struct xn_error *err) {
    const struct xn_cl_api *cl = xn_cl_api();
    cl_platform_id platforms[MOST_PLATFORMS];
    cl_uint n_platforms = 0;
    int rank[MOST_DEVICES];
    *list = NULL;
    *n = 0;
    if (!cl) return XN_OK;
    cl_int code = cl->GetPlatformIDs(MOST_PLATFORMS, platforms, &n_platforms);
    if (code == -1001) return XN_OK; // the loader's word for no platform
    if (code != CL_SUCCESS) return xn_cl_fail(err, code, "listing OpenCL platforms");
    if (!(*list = xn_alloc_zero(MOST_DEVICES, sizeof **list)))
        return xn_fail(err, XN_ERR_NOMEM, "no memory for a list of devices");
    for (cl_uint i = 0; i < n_platforms && i < MOST_PLATFORMS; i++)
        *n = find_on(cl, platforms[i], *list, rank, *n);
    return XN_OK;
}

int xn_cl_check_abilities(const struct xn_opencl_info *info, struct xn_error *err) {
    static const uint64_t local_needed = 4 * XN_CL_SCRATCH; // bytes of a group
    if (!info->compiles || !info->little_endian || info->address_bits != 64)
        return xn_fail(err, XN_ERR_UNSUPPORTED,
                       "%s has %s, %s-endian memory and %u-bit addresses; a compiler, "
                       "little-endian and 64 expected",
                       info->name, info->compiles ? "a compiler" : "no compiler",
                       info->little_endian ? "little" : "big", info->address_bits);
    if (info->max_group < XN_CL_GROUP || info->local_memory < local_needed)
        return xn_fail(err, XN_ERR_UNSUPPORTED,
                       "%s has groups of %u work-items with %" PRIu64 " bytes of local memory, %d with %" PRIu64
                       " expected",
                       info->name, info->max_group, info->local_memory, XN_CL_GROUP, local_needed);
    return XN_OK;
}

bool xn_opencl_is_choice(const struct xn_opencl_info *info) {
    const uint32_t matrix = 1u << XN_OPENCL_INTEL_MATRIX | 1u << XN_OPENCL_NV_ATTRIBUTES;
    if (!info->is_gpu || xn_cl_check_abilities(info, NULL) != XN_OK) return false;
    return !info->shares_memory || info->extensions & matrix;
}

int xn_opencl_list(struct xn_opencl_info **list, uint32_t *n, struct xn_error *err) {
    struct xn_cl_found *found;
    *list = NULL;
    XN_TRY(xn_cl_find(&found, n, err));
    *list = xn_alloc_zero(*n ? *n : 1, sizeof **list);
    for (uint32_t i = 0; *list && i < *n; i++)
        (*list)[i] = found[i].info;
    free(found);
    if (*list) return XN_OK;
    *n = 0;
    return xn_fail(err, XN_ERR_NOMEM, "no memory for a list of devices");
}
