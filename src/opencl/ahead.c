// Programs ahead of time: which there are, and where they are kept.
#include "opencl/ahead.h"

#include "base/memory.h"
#include "device/cache.h"
#include "opencl/layout.h"
#include "opencl/lower.h"
#include "quant/format.h"

#include <stdlib.h>
#include <string.h>

struct list {
    struct xn_opencl_program *items;
    size_t n, capacity;
};

static struct xn_cl_program_key key_of(const struct xn_opencl_program *p) {
    return (struct xn_cl_program_key){.kernel = (enum xn_cl_kernel)p->id,
                                      .formats = p->formats,
                                      .cache_type = p->cache_type == XN_TYPE_COUNT ? 0 : p->cache_type,
                                      .few_sizes = p->few_sizes,
                                      .shape = (enum xn_cl_shape)p->shape_id};
}

// Adds a program in each of its shapes (bit i: enum xn_cl_shape i), those left out that are there.
static int add(struct list *l, struct xn_cl_program_key key, uint32_t of_shapes, uint32_t cache_type,
               struct xn_error *err) {
    static const char *const shapes[] = {[XN_CL_MANY] = "many rows", [XN_CL_FEW] = "few rows", [XN_CL_ONE] = "one row"};
    static const char *const sized[][2] = {
        [XN_CL_MANY] = {"many rows, heads to 64", "many rows, heads to 128"},
        [XN_CL_FEW] = {"few rows, heads to 64", "few rows, heads to 128"},
        [XN_CL_ONE] = {"one row, heads to 64", "one row, heads to 128"},
    };
    unsigned needs = xn_cl_kernel_needs(key.kernel);
    for (int shape = 0; shape < XN_CL_SHAPES; shape++) {
        if (!(of_shapes >> shape & 1)) continue;
        key.shape = (enum xn_cl_shape)shape;
        struct xn_cl_program_key k = xn_cl_program_key_of(&key, 0);
        size_t i = 0;
        for (; i < l->n; i++) {
            struct xn_cl_program_key other = key_of(&l->items[i]);
            if (xn_cl_program_key_same(&other, &k)) break;
        }
        if (i < l->n) continue;
        const char *name = needs & XN_CL_SHAPED ? shapes[k.shape] : NULL;
        if (k.few_sizes == 2 || k.few_sizes == 4) name = sized[k.shape][k.few_sizes / 4];
        if (XN_GROW(l->items, l->capacity, l->n + 1) != 0)
            return xn_fail(err, XN_ERR_NOMEM, "no memory for a list of programs");
        l->items[l->n++] = (struct xn_opencl_program){.kernel = xn_cl_kernel_name(k.kernel),
                                                      .shape = name,
                                                      .formats = k.formats,
                                                      .cache_type = needs & XN_CL_CACHE ? cache_type : XN_TYPE_COUNT,
                                                      .id = k.kernel,
                                                      .shape_id = k.shape,
                                                      .few_sizes = k.few_sizes};
    }
    return XN_OK;
}

static int finish(struct list *l, int status, struct xn_opencl_program **list, size_t *n) {
    if (status != XN_OK) free(l->items);
    *list = status == XN_OK ? l->items : NULL;
    *n = status == XN_OK ? l->n : 0;
    return status;
}

// --- of a model ---

// One unit somewhere: lowering copies places, and nothing goes there.
static struct xn_cl_array nowhere(uint64_t units, uint64_t unit_bytes) {
    static struct xn_cl_place place;
    return (struct xn_cl_array){
        .units = (uint32_t)units, .piece = (uint32_t)units, .n_pieces = 1, .unit_bytes = unit_bytes, .places = &place};
}

int xn_opencl_pack_shape(void *arena, const struct xn_matrix *matrix, struct xn_weights **out, struct xn_error *err) {
    const char *name = matrix->name ? matrix->name : "matrix";
    struct xn_cl_packed *p = xn_arena_alloc(arena, 1, sizeof *p);
    if (!p) return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", name);
    p->weights.matrix = *matrix;
    p->shrink = 1;
    const struct xn_cl_layout *layout = xn_cl_layout_of(matrix->type, &p->type);
    if (!layout) return xn_fail(err, XN_ERR_UNSUPPORTED, "%s: there is no layout for its type", name);
    if (!xn_cl_layout_row(layout, matrix->cols, &p->row))
        return xn_fail(err, XN_ERR_LIMIT, "%s: rows of %u values are too long", name, matrix->cols);
    p->array = nowhere((uint64_t)matrix->rows * matrix->count, p->row.bytes);
    *out = &p->weights;
    return XN_OK;
}

int xn_opencl_programs_of_plan(const struct xn_plan *plan, const struct xn_limits *limits,
                               struct xn_opencl_program **list, size_t *n, struct xn_error *err) {
    struct xn_limits resolved = xn_cl_limits_of(plan, limits);
    struct xn_cl_array *cache = xn_alloc(2 * (size_t)plan->n_cache + 1, sizeof *cache),
                       *states = xn_alloc((size_t)plan->n_states + 1, sizeof *states);
    struct xn_cl_lowered lowered = {0};
    static const struct xn_cl_tiles tiles = {.partial = 1, .counters = 1, .halves = true}; // places do not matter
    struct list l = {0};
    int status = cache && states ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "no memory for a plan");
    for (uint32_t i = 0; status == XN_OK && i < 2 * plan->n_cache; i++)
        cache[i] = nowhere(1, 1);
    for (uint32_t i = 0; status == XN_OK && i < plan->n_states; i++)
        states[i] = nowhere(1, 1);
    if (status == XN_OK) status = xn_cl_lower(plan, &resolved, cache, states, &tiles, &lowered, err);
    for (size_t i = 0; i < lowered.n && status == XN_OK; i++)
        status = add(&l, lowered.launches[i].key, lowered.launches[i].shapes, resolved.cache_type, err);
    xn_cl_lowered_free(&lowered);
    free(cache);
    free(states);
    return finish(&l, status, list, n);
}

// --- of formats ---

// All but the walk, which is of one plan. Kernels with products are of few rows: many have tiles.
static int add_formats(struct list *l, uint64_t formats, uint64_t cache_types, struct xn_error *err) {
    for (int kernel = 0; kernel < XN_CL_KERNEL_COUNT; kernel++) {
        bool of_few = xn_cl_kernel_needs((enum xn_cl_kernel)kernel) & XN_CL_PRODUCTS;
        uint32_t shapes = of_few ? 1u << XN_CL_FEW | 1u << XN_CL_ONE : ~0u;
        for (uint32_t type = 0; type < XN_TYPE_COUNT; type++)
            if (kernel != XN_CL_KERNEL_WALK && cache_types >> type & 1 &&
                (kernel != XN_CL_KERNEL_STORE || xn_cache_type_blocks(type))) // which is of caches in blocks
                XN_TRY(add(l,
                           (struct xn_cl_program_key){
                               .kernel = (enum xn_cl_kernel)kernel, .formats = formats, .cache_type = type},
                           shapes, type, err));
        // Attention on matrix units, for the sizes of heads that all have.
        bool sized = kernel == XN_CL_KERNEL_ATTEND && cache_types >> XN_F16 & 1;
        for (uint32_t size = 1; size <= 2 && sized; size++)
            XN_TRY(add(l,
                       (struct xn_cl_program_key){.kernel = (enum xn_cl_kernel)kernel,
                                                  .formats = formats,
                                                  .cache_type = XN_F16,
                                                  .few_sizes = 1u << size},
                       shapes, XN_F16, err));
    }
    return XN_OK;
}

int xn_opencl_programs_of_formats(uint64_t formats, uint64_t cache_types, struct xn_opencl_program **list, size_t *n,
                                  struct xn_error *err) {
    struct list l = {0};
    uint64_t read = 0; // as kernels read them: F64 as F32
    int status = XN_OK;
    for (uint32_t type = 0, as; type < XN_TYPE_COUNT && status == XN_OK; type++) {
        if (!(formats >> type & 1)) continue;
        if (xn_cl_layout_of(type, &as))
            read |= (uint64_t)1 << as;
        else
            status = xn_fail(err, XN_ERR_UNSUPPORTED, "GPUs have no layout for weights in format %s",
                             xn_format_of(type) ? xn_format_of(type)->name : "?");
    }
    for (uint32_t a = 0; a < XN_TYPE_COUNT; a++)
        for (uint32_t b = a; b < XN_TYPE_COUNT && status == XN_OK; b++)
            if (read >> a & 1 && read >> b & 1)
                status = add_formats(&l, (uint64_t)1 << a | (uint64_t)1 << b, cache_types, err);
    if (status == XN_OK && read) status = add_formats(&l, read, cache_types, err);
    return finish(&l, status, list, n);
}

// --- source and binary ---

static char *text_of(const struct xn_opencl_program *program, const struct xn_opencl_target *target,
                     struct xn_cl_digest *digest, char options[XN_CL_OPTIONS]) {
    enum { XE2 = 20 }; // the first architecture without sub-groups of 8
    struct xn_cl_program_key key = key_of(program);
    return xn_cl_program_text(&key, XN_CL_INTEL, target->architecture < XE2, digest, options);
}

int xn_opencl_program_source(const struct xn_opencl_program *program, const struct xn_opencl_target *target,
                             char **text, char options[XN_OPENCL_OPTIONS], struct xn_error *err) {
    _Static_assert((int)XN_OPENCL_OPTIONS == (int)XN_CL_OPTIONS, "opencl/program.h");
    struct xn_cl_digest digest;
    *text = text_of(program, target, &digest, options);
    return *text ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "no memory for the source of kernel %s", program->kernel);
}

char *xn_cl_ahead_key(const char *target, enum xn_cl_kernel kernel, const struct xn_cl_digest *digest) {
    return xn_format("%s\nahead of time\n%s\n%s\n%016llx%016llx\n", xn_cl_kernel_name(kernel), target,
                     xn_cl_build_options(), (unsigned long long)digest->half[0], (unsigned long long)digest->half[1]);
}

char *xn_cl_ahead_path(const char *folder, const char *target, const char *key) {
    char *below = xn_format("%s/%s", folder, target), *path = below ? xn_cl_cache_path(below, key) : NULL;
    free(below);
    return path;
}

int xn_opencl_program_keep(const struct xn_opencl_program *program, const struct xn_opencl_target *target,
                           const char *folder, const void *binary, size_t size, char **path, struct xn_error *err) {
    struct xn_cl_program_key key = key_of(program);
    struct xn_cl_digest digest;
    char options[XN_CL_OPTIONS], *source = text_of(program, target, &digest, options);
    char *text = source ? xn_cl_ahead_key(target->name, key.kernel, &digest) : NULL;
    *path = text ? xn_cl_ahead_path(folder, target->name, text) : NULL;
    int status = *path ? xn_cl_cache_write(*path, text, binary, size, err)
                       : xn_fail(err, XN_ERR_NOMEM, "no memory for a compiled kernel's name");
    if (status != XN_OK) {
        free(*path);
        *path = NULL;
    }
    free(source);
    free(text);
    return status;
}
