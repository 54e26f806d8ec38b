#include "opencl/program.h"

#include "base/log.h"
#include "base/memory.h"
#include "opencl/ahead.h"
#include "opencl/internal.h"
#include "opencl/program_cache.h"
#include "quant/format.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct xn_cl_program {
    struct xn_cl_program_key key;
    cl_program program;
    uint32_t group;
    bool plain_matrix;
};

static const struct kernel {
    const char *name, *defined, *file;
    unsigned needs;
} kernels[XN_CL_KERNEL_COUNT] = {
#define X(NAME, name, file, needs) [XN_CL_KERNEL_##NAME] = {#name, #NAME, file, needs},
    XN_CL_KERNELS(X)
#undef X
};

// Of all dialects; NVIDIA's has more.
static const char build_options[] = "-cl-std=CL1.2";

const char *xn_cl_build_options(void) {
    return build_options;
}

// A body of the dialect, with the work-items of a group and, of them, of a warp. Groups are large where each reads the
// same activations before its share of the weights.
struct size {
    uint32_t group, lanes;
};
static const struct body {
    const char *name, *file, *define;
    const char *unit;       // file of what its matrix unit does
    const char *attend_few; // files of attention on it, for few rows and for many; NULL: there is none
    const char *attend_many;
    uint32_t attend_sizes;           // the last of XN_CL_MANY_SIZES that it has
    struct size attend_size;         // of a group for many rows
    struct size shape[XN_CL_SHAPES]; // as in enum xn_cl_shape
    bool runs[XN_CL_SHAPES];         // products are those of few.cl (of a walk: stream.cl)
    uint32_t walk;      // work-items of a group that has a compute unit for itself; 0: there is no device-wide barrier
    const char *matrix; // file of the matrix layer, with the sizes of its kernels
    const char *steps;  // file of the steps of its tiles
    struct size matrix_size;
    uint32_t matrix_groups; // of a compute unit; 0: as of other kernels
    uint32_t tile;          // products of a tile
    uint32_t threads;       // of the narrowest sub-group that a compute unit holds; 0: not known
} bodies[XN_CL_DIALECTS] = {
    [XN_CL_PLAIN] = {"plain",
                     "dialect_plain.cl",
                     "XN_PLAIN",
                     NULL,
                     NULL,
                     NULL,
                     0,
                     {0},
                     {{64, 16}, {64, 16}, {64, 16}},
                     {false, false, false},
                     0,
                     "matrix_plain.cl",
                     "tile_steps.cl",
                     {64, 16},
                     0,
                     64 * 32,
                     0},
    [XN_CL_INTEL] = {"intel",
                     "dialect_intel.cl",
                     "XN_INTEL",
                     "dpas_intel.cl",
                     "attend_few_intel.cl",
                     "attend_many_intel.cl",
                     2,
                     {128, 8},
                     {{64, 16}, {512, 16}, {512, 16}},
                     {false, true, true},
                     0,
                     "matrix_intel.cl",
                     "tile_intel.cl",
                     {128, 8},
                     0,
                     128 * 128,
                     8},
    [XN_CL_NVIDIA] = {"nvidia",
                      "dialect_nvidia.cl",
                      "XN_NVIDIA",
                      "mma_nvidia.cl",
                      "attend_few_nvidia.cl",
                      "attend_many_nvidia.cl",
                      XN_CL_MANY_SIZES,
                      {256, 32},
                      {{64, 32}, {64, 32}, {64, 32}},
                      {false, false, false},
                      512,
                      "matrix_nvidia.cl",
                      "tile_steps.cl",
                      {128, 32},
                      2,
                      128 * 128,
                      0},
    [XN_CL_EMULATED] = {"emulated",
                        "dialect_plain.cl",
                        "XN_PLAIN",
                        NULL,
                        NULL,
                        NULL,
                        0,
                        {0},
                        {{64, 16}, {64, 16}, {64, 16}},
                        {false, false, false},
                        0,
                        "matrix_nvidia.cl",
                        "tile_steps.cl",
                        {128, 32},
                        2,
                        128 * 128,
                        0},
};

const char *xn_cl_dialect_name(enum xn_cl_dialect dialect) {
    return (unsigned)dialect < XN_CL_DIALECTS ? bodies[dialect].name : "?";
}

bool xn_cl_rounds(enum xn_cl_dialect dialect, uint32_t rows) {
    return (bodies[dialect].runs[XN_CL_FEW] || bodies[dialect].walk) && rows <= XN_CL_STREAM_TOKENS;
}

bool xn_cl_has_single(enum xn_cl_dialect dialect) {
    return bodies[dialect].runs[XN_CL_ONE];
}

bool xn_cl_rounds_attention(enum xn_cl_dialect dialect, uint32_t rows) {
    return bodies[dialect].attend_many && rows > XN_CL_SPLIT_ROWS;
}

uint32_t xn_cl_unit_threads(enum xn_cl_dialect dialect) {
    return bodies[dialect].threads;
}

bool xn_cl_can_walk(enum xn_cl_dialect dialect) {
    return bodies[dialect].walk != 0;
}

bool xn_cl_can_walk_tiles(enum xn_cl_dialect dialect) {
    return bodies[dialect].walk && bodies[dialect].unit;
}

enum xn_cl_dialect xn_cl_dialect_of(const struct xn_opencl_info *info) {
    if (info->is_processor) return XN_CL_PLAIN;
    if (strstr(info->platform, "NVIDIA")) return XN_CL_NVIDIA;
    for (uint32_t i = 0; i < info->n_sub_groups; i++) // of cl_intel_required_subgroup_size
        if (info->sub_group[i] == bodies[XN_CL_INTEL].shape[XN_CL_FEW].lanes &&
            info->max_group >= bodies[XN_CL_INTEL].shape[XN_CL_FEW].group)
            return XN_CL_INTEL;
    return XN_CL_PLAIN;
}

const char *xn_cl_kernel_name(enum xn_cl_kernel kernel) {
    return (unsigned)kernel < XN_CL_KERNEL_COUNT ? kernels[kernel].name : "?";
}

unsigned xn_cl_kernel_needs(enum xn_cl_kernel kernel) {
    return (unsigned)kernel < XN_CL_KERNEL_COUNT ? kernels[kernel].needs : 0;
}

// --- source ---

enum { MOST_PIECES = 48 };
struct source {
    const char *text[MOST_PIECES];
    size_t size[MOST_PIECES];
    cl_uint n;
    char options[XN_CL_OPTIONS];
    char head[4096]; // what is defined before the rest
    size_t head_size;
};

static void add_text(struct source *s, const char *text, size_t size) {
    if (s->n == MOST_PIECES) return; // then the program does not compile
    s->text[s->n] = text;
    s->size[s->n++] = size;
}

static void add_file(struct source *s, const char *name) {
    for (size_t i = 0; i < xn_cl_source_count; i++)
        if (strcmp(xn_cl_sources[i].name, name) == 0) add_text(s, xn_cl_sources[i].text, xn_cl_sources[i].size);
}

static void add_file_once(struct source *s, const char *name) {
    for (size_t i = 0; i < xn_cl_source_count; i++)
        for (cl_uint j = 0; j < s->n && strcmp(xn_cl_sources[i].name, name) == 0; j++)
            if (s->text[j] == xn_cl_sources[i].text) return;
    add_file(s, name);
}

// Appends to what is defined before the rest, for which there is room: at most some 60 bytes a format.
static void define(struct source *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void define(struct source *s, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(s->head + s->head_size, sizeof s->head - s->head_size, format, arguments);
    va_end(arguments);
    if (n > 0 && (size_t)n < sizeof s->head - s->head_size) s->head_size += (size_t)n;
}

// Whether a program is attention of many rows on a matrix unit, the warps of whose groups read the same keys and
// values.
static bool attends_many(const struct xn_cl_program_key *key, const struct body *body) {
    uint32_t sizes = (2u << body->attend_sizes) - 2; // numbers 1 to that
    return key->kernel == XN_CL_KERNEL_ATTEND && key->shape == XN_CL_MANY && body->attend_many &&
           (key->few_sizes & sizes || (key->few_sizes && body == &bodies[XN_CL_NVIDIA]));
}

// Alchemist's matrix unit takes 8 lanes, its successors' 16.
static struct size size_of(bool narrow, const struct xn_cl_program_key *key, const struct body *body) {
    if (key->kernel == XN_CL_KERNEL_WALK) return (struct size){body->walk, body->shape[key->shape].lanes};
    enum { MORE_WARPS = 256 };
    if (kernels[key->kernel].needs & XN_CL_WIDE && (body->threads || body->walk)) // a GPU's
        return (struct size){MORE_WARPS, body->shape[key->shape].lanes};
    bool attends = attends_many(key, body);
    if (!attends && !(kernels[key->kernel].needs & XN_CL_MATRIX)) return body->shape[key->shape];
    struct size s = attends ? body->attend_size : body->matrix_size;
    bool small = kernels[key->kernel].needs & XN_CL_LIGHT || key->kernel == XN_CL_KERNEL_TILE_EXPERTS; // sums
    if (!attends && s.lanes == 32 && small) s.group = MORE_WARPS;
    return body != &bodies[XN_CL_INTEL] || narrow ? s : (struct size){2 * s.group, 2 * s.lanes};
}

static bool is_narrow(const struct xn_opencl_info *info) {
    for (uint32_t i = 0; i < info->n_sub_groups; i++)
        if (info->sub_group[i] == bodies[XN_CL_INTEL].matrix_size.lanes) return true;
    return false;
}

uint32_t xn_cl_matrix_group(const struct xn_cl_device *d, enum xn_cl_dialect dialect) {
    return size_of(is_narrow(&d->info), &(struct xn_cl_program_key){.kernel = XN_CL_KERNEL_TILE}, &bodies[dialect])
        .group;
}

uint32_t xn_cl_matrix_groups(enum xn_cl_dialect dialect) {
    return bodies[dialect].matrix_groups;
}

uint32_t xn_cl_tile_size(enum xn_cl_dialect dialect) {
    return bodies[dialect].tile;
}

// Without a limit NVIDIA's compiler gives a large kernel so many registers that no group of it fits a compute unit. Of
// the matrix layer's two are to fit.
static void options_of(const struct body *body, const struct xn_cl_program_key *key, uint32_t group,
                       char options[XN_CL_OPTIONS]) {
    enum { REGISTERS = 65536, MOST = 255 }; // of a compute unit, of a work-item
    if (kernels[key->kernel].needs & XN_CL_MATRIX) group *= 2;
    uint32_t most = REGISTERS / group / 8 * 8;
    if (body == &bodies[XN_CL_NVIDIA] && most < MOST)
        snprintf(options, XN_CL_OPTIONS, "%s -cl-nv-maxrregcount=%u", build_options, most);
    else if (body == &bodies[XN_CL_INTEL] && (kernels[key->kernel].needs & (XN_CL_MATRIX | XN_CL_SCANS) ||
                                              attends_many(key, body))) // or sums (states) do not fit
        snprintf(options, XN_CL_OPTIONS, "%s -cl-intel-256-GRF-per-thread", build_options);
    else
        snprintf(options, XN_CL_OPTIONS, "%s", build_options);
}

static void define_all(struct source *s, const struct xn_cl_program_key *key, const struct body *body,
                       struct size size) {
    for (int i = 0; i < XN_CL_KERNEL_COUNT; i++)
        if (i == (int)key->kernel || key->walked >> i & 1)
            define(s, "#define XN_OP_%s\n#define XN_CL_NUMBER_%s %d\n", kernels[i].defined, kernels[i].defined, i);
    if (key->kernel == XN_CL_KERNEL_WALK) define(s, "#define XN_WALK\n");
    static const char *const shapes[] = {"XN_MANY", "XN_FEW", "XN_FEW\n#define XN_ONE"};
    define(s, "#define %s\n#define %s\n", body->define, shapes[key->shape]);
    if (body->runs[key->shape]) define(s, "#define XN_RUNS\n");
    if (key->tiles) define(s, "#define XN_TILES\n");
    define(s, "#define XN_GROUP %u\n#define XN_LANES %u\n", size.group, size.lanes);
    if (kernels[key->kernel].needs & XN_CL_CACHE)
        define(s, "#define XN_CACHE_%s\n", xn_format_of(key->cache_type)->name);
    define(s, "#define XN_CACHE_BYTES %u\n", key->cache_type == XN_F32 ? 4 : 2); // in the others nothing is called
    for (uint32_t type = 0; type < XN_TYPE_COUNT; type++)
        if (key->formats >> type & 1) define(s, "#define XN_TYPE_%s %u\n", xn_format_of(type)->name, type);
    define(s, "#define XN_FORMATS(X)");
    for (uint32_t type = 0; type < XN_TYPE_COUNT; type++)
        if (key->formats >> type & 1) define(s, " X(%s)", xn_format_of(type)->name);
    define(s, "\n#define XN_FEW_SIZES(X)");
#define X(number, keys, values)                                                                                        \
    if (body->attend_few && key->few_sizes >> (number)&1) define(s, " X(%d, %d, %d)", number, keys, values);
    XN_CL_FEW_SIZES(X)
#undef X
    define(s, "\n");
    if (!attends_many(key, body)) return;
    define(s, "#define XN_MANY_MOST %u\n#define XN_MANY_SIZES(X)", body->attend_sizes);
#define X(number, keys, values)                                                                                        \
    if ((number) <= body->attend_sizes && key->few_sizes >> (number)&1)                                                \
        define(s, " X(%d, %d, %d)", number, keys, values);
    XN_CL_FEW_SIZES(X)
#undef X
    define(s, "\n");
}

// What kernels with XN_CL_SCANS are written over.
static void add_scan(struct source *s) {
    add_file_once(s, "convolve.cl");
    add_file_once(s, "scan.cl");
}

// The operations of a walk. Those with products are written for it (walk_*.cl), but for what they share with others.
static void add_walked(const struct xn_cl_program_key *key, struct source *s) {
    for (int i = 0; i < XN_CL_KERNEL_COUNT; i++) {
        bool own = kernels[i].needs & XN_CL_PRODUCTS && i != XN_CL_KERNEL_PROJECT && i != XN_CL_KERNEL_ROUTE;
        if (!(key->walked >> i & 1) || own) continue;
        if (kernels[i].needs & XN_CL_SCANS) add_scan(s);
        add_file_once(s, kernels[i].file);
    }
    add_file(s, "walk_dense.cl");
    add_file(s, "walk_experts.cl");
}

static void assemble(const struct xn_cl_program_key *key, const struct body *body, struct size size, struct source *s) {
    const struct kernel *k = &kernels[key->kernel];
    *s = (struct source){0};
    options_of(body, key, size.group, s->options);
    define_all(s, key, body, size);
    add_text(s, s->head, s->head_size);
    add_file(s, "shared.h");
    add_file(s, "dialect.cl");
    add_file(s, body->file);
    add_file(s, "common.cl");
    if (k->needs & XN_CL_DECODERS) {
        add_file(s, "decode.cl");
        add_file(s, "decode_k.cl");
        add_file(s, "decode_iq.cl");
        add_file(s, "formats.cl");
    }
    if (key->kernel == XN_CL_KERNEL_WALK) {
        add_file(s, "stream_memory.cl");
        add_file(s, "codes.cl");
        add_file(s, "activations.cl");
        if (key->tiles) {
            add_file(s, "tile_codes.cl");
            add_file(s, "tile_stage.cl");
        }
        add_file(s, "stream.cl");
        add_file(s, key->shape == XN_CL_ONE ? "stream_one.cl" : "stream_few.cl");
        if (key->tiles) add_file(s, "stream_tiles.cl");
        add_file(s, "stream_product.cl");
    } else if (k->needs & XN_CL_PRODUCTS && !body->runs[key->shape]) {
        add_file(s, "operand.cl");
        add_file(s, "product.cl");
    } else if (k->needs & XN_CL_PRODUCTS) {
        add_file(s, "few_memory.cl");
        add_file(s, "codes.cl");
        add_file(s, "activations.cl");
        if (body == &bodies[XN_CL_INTEL]) add_file(s, "few_runs.cl");
        add_file(s, "few.cl");
    }
    if (k->needs & XN_CL_CACHE) add_file(s, "cache.cl");
    if (k->needs & XN_CL_ATTENTION) {
        add_file(s, "attend_unit.cl");
        add_file(s, "attend_plain.cl");
        if (body->attend_few || attends_many(key, body)) add_file(s, body->unit);
        if (body == &bodies[XN_CL_NVIDIA]) {
            add_file(s, "attend_cut_nvidia.cl");
            add_file(s, "attend_tile_nvidia.cl");
        }
        if (body->attend_few) add_file(s, body->attend_few);
        if (attends_many(key, body)) add_file(s, body->attend_many);
    }
    if (k->needs & XN_CL_MATRIX) {
        bool halves = body != &bodies[XN_CL_PLAIN];
        add_file(s, "matrix.cl");
        if (halves) add_file(s, "matrix_half.cl");
        if (body == &bodies[XN_CL_INTEL]) add_file(s, body->unit);
        add_file(s, body->matrix);
        if (halves && k->needs & XN_CL_DECODERS) add_file(s, "decode_half.cl");
    }
    if (k->needs & XN_CL_HEADS) add_file(s, "project.cl");
    if (k->needs & XN_CL_SCANS) add_scan(s);
    if (key->kernel == XN_CL_KERNEL_WALK) add_walked(key, s);
    add_file(s, k->file);
    if (k->needs & XN_CL_MATRIX && k->needs & XN_CL_DECODERS) add_file(s, body->steps);
}

static struct xn_cl_digest digest_of(const struct source *s) {
    struct xn_cl_digest d = xn_cl_digest_begin();
    for (cl_uint i = 0; i < s->n; i++)
        xn_cl_digest_add(&d, s->text[i], s->size[i]);
    return d;
}

char *xn_cl_program_text(const struct xn_cl_program_key *key, enum xn_cl_dialect dialect, bool narrow,
                         struct xn_cl_digest *digest, char options[XN_CL_OPTIONS]) {
    struct source *s = xn_alloc_zero(1, sizeof *s);
    if (!s) return NULL;
    assemble(key, &bodies[dialect], size_of(narrow, key, &bodies[dialect]), s);
    *digest = digest_of(s);
    snprintf(options, XN_CL_OPTIONS, "%s", s->options);
    size_t size = 0, at = 0;
    for (cl_uint i = 0; i < s->n; i++)
        size += s->size[i];
    char *text = xn_alloc(size + 1, 1);
    for (cl_uint i = 0; text && i < s->n; at += s->size[i++])
        memcpy(text + at, s->text[i], s->size[i]);
    if (text) text[at] = 0;
    free(s);
    return text;
}

// --- build ---

// The first lines of the driver's log, on one line.
static void get_log(const struct xn_cl_device *d, cl_program program, char *out, size_t size) {
    size_t n = 0;
    *out = 0;
    if (d->cl->GetProgramBuildInfo(program, d->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &n) != CL_SUCCESS || n == 0) return;
    char *log = xn_alloc_zero(n + 1, 1);
    if (log && d->cl->GetProgramBuildInfo(program, d->id, CL_PROGRAM_BUILD_LOG, n, log, NULL) == CL_SUCCESS)
        snprintf(out, size, "%s", log);
    free(log);
    for (char *c = out; *c; c++)
        if ((unsigned char)*c < ' ') *c = ' ';
}

static int build_source(struct xn_cl_device *d, const struct xn_cl_program_key *key, struct source *s, cl_program *out,
                        struct xn_error *err) {
    const char *name = xn_cl_kernel_name(key->kernel);
    cl_int code;
    cl_program program = d->cl->CreateProgramWithSource(d->context, s->n, s->text, s->size, &code);
    if (!program) return xn_cl_fail(err, code, "%s: kernel %s", d->info.name, name);
    code = d->cl->BuildProgram(program, 1, &d->id, s->options, NULL, NULL);
    if (code != CL_SUCCESS) {
        char log[512];
        get_log(d, program, log, sizeof log);
        d->cl->ReleaseProgram(program);
        return xn_cl_fail(err, code, "%s: the driver rejects kernel %s: %s", d->info.name, name, log);
    }
    *out = program;
    return XN_OK;
}

// What was kept of an earlier build; false where that is nothing usable.
static bool build_kept(struct xn_cl_device *d, const struct source *s, const void *binary, size_t size,
                       cl_program *out) {
    cl_int code, status;
    const unsigned char *bytes = binary;
    cl_program program = d->cl->CreateProgramWithBinary(d->context, 1, &d->id, &size, &bytes, &status, &code);
    if (!program) return false;
    if (code == CL_SUCCESS && status == CL_SUCCESS &&
        d->cl->BuildProgram(program, 1, &d->id, s->options, NULL, NULL) == CL_SUCCESS) {
        *out = program;
        return true;
    }
    d->cl->ReleaseProgram(program);
    return false;
}

static void keep(struct xn_cl_device *d, cl_program program, const char *path, const char *key) {
    size_t size = 0;
    if (d->cl->GetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) != CL_SUCCESS || size == 0)
        return;
    unsigned char *binary = xn_alloc_zero(size, 1);
    struct xn_error err;
    if (binary && d->cl->GetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) == CL_SUCCESS &&
        xn_cl_cache_write(path, key, binary, size, &err) != XN_OK)
        xn_log(XN_LOG_WARNING, "a built kernel is not kept: %s", err.message);
    free(binary);
}

// Of what a folder keeps under this key, a program that the driver takes.
static bool load(struct xn_cl_device *d, const struct source *s, const char *path, const char *key, cl_program *out) {
    void *binary;
    size_t size;
    if (!path || !key || !xn_cl_cache_read(path, key, &binary, &size)) return false;
    bool taken = build_kept(d, s, binary, size, out);
    free(binary);
    return taken;
}

// What was built ahead of time for devices of this kind.
static bool load_ahead(struct xn_cl_device *d, const struct xn_cl_program_key *key, const struct source *s,
                       const struct xn_cl_digest *digest, cl_program *out) {
    const struct xn_opencl_target *target = xn_opencl_target_of(d->info.ip_version);
    const char *folders[] = {d->programs.ahead, d->programs.folder};
    bool taken = false;
    for (size_t i = 0; target && i < sizeof folders / sizeof *folders && !taken; i++) {
        if (!folders[i]) continue;
        char *text = xn_cl_ahead_key(target->name, key->kernel, digest);
        char *path = text ? xn_cl_ahead_path(folders[i], target->name, text) : NULL;
        taken = load(d, s, path, text, out);
        free(path);
        free(text);
    }
    return taken;
}

// From the folder, from what was built ahead of time, from source.
static int load_or_build(struct xn_cl_device *d, const struct xn_cl_program_key *key, struct source *s, cl_program *out,
                         struct xn_error *err) {
    char *text = NULL, *path = NULL;
    struct xn_cl_digest digest = digest_of(s);
    if (d->programs.folder) {
        text = xn_format("%s\n%s\n%s\n%s\n%s\n%s\n%016llx%016llx\n", kernels[key->kernel].name, d->info.platform,
                         d->info.name, d->info.version, d->info.driver, s->options, (unsigned long long)digest.half[0],
                         (unsigned long long)digest.half[1]);
        path = text ? xn_cl_cache_path(d->programs.folder, text) : NULL;
    }
    int status = XN_OK;
    if (load(d, s, path, text, out)) {
        d->programs.loaded++;
    } else if (load_ahead(d, key, s, &digest, out)) {
        d->programs.ahead_loaded++;
    } else {
        xn_log(XN_LOG_INFO, "%s: building kernel %s", d->info.name, kernels[key->kernel].name);
        status = build_source(d, key, s, out, err);
        if (status == XN_OK) d->programs.built++;
        if (status == XN_OK && path) keep(d, *out, path, text);
    }
    free(path);
    free(text);
    return status;
}

struct xn_cl_program_key xn_cl_program_key_of(const struct xn_cl_program_key *key, uint64_t always) {
    unsigned needs = kernels[key->kernel].needs;
    return (struct xn_cl_program_key){.kernel = key->kernel,
                                      .formats = needs & XN_CL_DECODERS ? key->formats | always : 0,
                                      .cache_type = needs & XN_CL_CACHE ? key->cache_type : 0,
                                      .few_sizes = needs & XN_CL_ATTENTION ? key->few_sizes : 0,
                                      .shape = needs & XN_CL_SHAPED ? key->shape : XN_CL_MANY,
                                      .walked = key->kernel == XN_CL_KERNEL_WALK ? key->walked : 0,
                                      .tiles =
                                          key->tiles && key->kernel == XN_CL_KERNEL_WALK && key->shape == XN_CL_FEW};
}

bool xn_cl_program_key_same(const struct xn_cl_program_key *a, const struct xn_cl_program_key *b) {
    return a->kernel == b->kernel && a->formats == b->formats && a->cache_type == b->cache_type &&
           a->few_sizes == b->few_sizes && a->shape == b->shape && a->walked == b->walked && a->tiles == b->tiles;
}

// In the device's dialect, else in the plain one.
static int make(struct xn_cl_device *d, struct xn_cl_program *p, struct source *s, struct xn_error *err) {
    int status = XN_OK;
    bool matrix = kernels[p->key.kernel].needs & XN_CL_MATRIX;
    for (enum xn_cl_dialect dialect = matrix && d->programs.plain_matrix ? XN_CL_PLAIN : d->dialect;;
         dialect = XN_CL_PLAIN) {
        const struct body *body = &bodies[dialect];
        struct size size = size_of(is_narrow(&d->info), &p->key, body);
        assemble(&p->key, body, size, s);
        p->group = size.group;
        p->plain_matrix = d->programs.plain_matrix;
        status = load_or_build(d, &p->key, s, &p->program, err);
        bool walk = p->key.kernel == XN_CL_KERNEL_WALK; // there is no plain one
        if (status == XN_OK || dialect == XN_CL_PLAIN || walk) return status;
        xn_log(XN_LOG_WARNING, "%s; trying the plain variant", err->message);
        if (matrix) d->programs.plain_matrix = true;
    }
}

// Whether a made program is that of a key: also by the dialect, where that may have changed.
static bool serves(const struct xn_cl_device *d, const struct xn_cl_program *p, const struct xn_cl_program_key *key) {
    bool matrix = kernels[key->kernel].needs & XN_CL_MATRIX;
    return xn_cl_program_key_same(&p->key, key) && (!matrix || p->plain_matrix == d->programs.plain_matrix);
}

int xn_cl_program(struct xn_cl_device *d, const struct xn_cl_program_key *wanted, cl_program *out, uint32_t *group,
                  struct xn_error *err) {
    struct xn_cl_programs *p = &d->programs;
    struct xn_cl_program made = {.key = xn_cl_program_key_of(wanted, d->programs.always)};
    for (size_t i = 0; i < p->n; i++)
        if (serves(d, &p->items[i], &made.key)) {
            *out = p->items[i].program;
            *group = p->items[i].group;
            return XN_OK;
        }
    struct source *s = xn_alloc_zero(1, sizeof *s);
    if (!s || XN_GROW(p->items, p->capacity, p->n + 1) != 0) {
        free(s);
        return xn_fail(err, XN_ERR_NOMEM, "no memory for a program");
    }
    int status = make(d, &made, s, err);
    if (status == XN_OK) {
        p->items[p->n++] = made;
        *out = made.program;
        *group = made.group;
    }
    free(s);
    return status;
}

int xn_cl_kernel_make(struct xn_cl_device *d, const struct xn_cl_program_key *key, cl_kernel *out, uint32_t *group,
                      struct xn_error *err) {
    cl_program program;
    char name[64];
    cl_int code;
    XN_TRY(xn_cl_program(d, key, &program, group, err));
    snprintf(name, sizeof name, "xn_kernel_%s", xn_cl_kernel_name(key->kernel));
    *out = d->cl->CreateKernel(program, name, &code);
    return *out ? XN_OK : xn_cl_fail(err, code, "%s: kernel %s", d->info.name, name);
}

void xn_cl_programs_free(struct xn_cl_device *d) {
    for (size_t i = 0; i < d->programs.n && !d->lost; i++)
        d->cl->ReleaseProgram(d->programs.items[i].program);
    free(d->programs.items);
    free(d->programs.folder);
    free(d->programs.ahead);
    d->programs = (struct xn_cl_programs){0};
}
