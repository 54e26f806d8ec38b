// Programs: one for each kind of kernel and set of formats, built from the embedded sources when a plan first needs it,
// and kept in a folder on disk.
#pragma once

#include "opencl/loader.h"
#include "opencl/opencl.h"
#include "opencl/program_cache.h"

#include <stddef.h>
#include <stdint.h>

struct xn_cl_device;

// What kernels are written over: kernels/dialect.cl and one of its bodies.
enum xn_cl_dialect {
    XN_CL_PLAIN,    // OpenCL C 1.2: any device
    XN_CL_INTEL,    // sub-groups
    XN_CL_NVIDIA,   // inline PTX
    XN_CL_EMULATED, // plain, but for the matrix layer, which is NVIDIA's without its instructions: for tests
    XN_CL_DIALECTS,
};
const char *xn_cl_dialect_name(enum xn_cl_dialect dialect); // "nvidia"
// Of the bodies the one for this device; a processor's is the plain one, whatever its extensions.
enum xn_cl_dialect xn_cl_dialect_of(const struct xn_opencl_info *info);
// Whether products of so many rows of a batch round activations to 8 bits, where a format has codes (kernels/codes.cl).
bool xn_cl_rounds(enum xn_cl_dialect dialect, uint32_t rows);
// Whether it has kernels for single rows. They are for GPUs: a compiler for processors takes long for each.
bool xn_cl_has_single(enum xn_cl_dialect dialect);
// Whether attention of so many rows of a batch rounds, on a matrix unit.
bool xn_cl_rounds_attention(enum xn_cl_dialect dialect, uint32_t rows);
// Sub-groups, of the narrowest kind, that what its driver calls a compute unit holds at once; 0: not known.
uint32_t xn_cl_unit_threads(enum xn_cl_dialect dialect);
// Whether a walk of it for a few rows has products on the matrix unit (struct xn_cl_program_key's tiles).
bool xn_cl_can_walk_tiles(enum xn_cl_dialect dialect);
// Whether it has a device-wide barrier, so that one launch can walk all operations of a step (kernels/walk.cl).
bool xn_cl_can_walk(enum xn_cl_dialect dialect);

// Batches differ in what bounds them: few rows (XN_CL_STREAM_TOKENS at most) read weights, many compute; one leaves
// room for more weights. A kernel with XN_CL_SHAPED is compiled for each.
enum xn_cl_shape {
    XN_CL_MANY,
    XN_CL_FEW,
    XN_CL_ONE,
    XN_CL_SHAPES,
};

// What a kernel's program is made of besides the dialect and what all share.
enum xn_cl_needs {
    XN_CL_DECODERS = 1,   // of the formats
    XN_CL_PRODUCTS = 2,   // with those
    XN_CL_CACHE = 4,      // is compiled for one type of keys and values
    XN_CL_SHAPED = 8,     // and for few rows or many
    XN_CL_ATTENTION = 16, // the bodies of attention
    XN_CL_MATRIX = 32,    // is written over the matrix layer (kernels/matrix.cl)
    XN_CL_HEADS = 64,     // finishes heads (kernels/project.cl)
    XN_CL_SCANS = 256,    // is written over the recurrence (kernels/scan.cl) and the convolution
    XN_CL_LIGHT = 128,    // its units only wait for memory: a compute unit takes as many groups as it holds
    XN_CL_WIDE = 256,     // has few units, each of which keeps a large group busy
};
// The kernels: xn_kernel_NAME in its file, which holds its part of it where XN_OP_NAME is defined.
#define XN_CL_KERNELS(X)                                                                                               \
    X(EMBED, embed, "embed.cl", XN_CL_DECODERS)                                                                        \
    X(PROJECT, project, "project.cl", XN_CL_DECODERS | XN_CL_PRODUCTS | XN_CL_CACHE | XN_CL_SHAPED)                    \
    X(PROJECT_ADD, project_add, "project_add.cl", XN_CL_DECODERS | XN_CL_PRODUCTS | XN_CL_SHAPED)                      \
    X(ADD, add, "add.cl", 0)                                                                                           \
    X(GATE, gate, "gate.cl", XN_CL_DECODERS | XN_CL_PRODUCTS | XN_CL_SHAPED)                                           \
    X(HEAD, head, "head.cl", XN_CL_DECODERS | XN_CL_PRODUCTS | XN_CL_SHAPED)                                           \
    X(HEADS, heads, "heads.cl", XN_CL_DECODERS | XN_CL_PRODUCTS | XN_CL_SHAPED)                                        \
    X(ROUTE, route, "route.cl", XN_CL_DECODERS | XN_CL_PRODUCTS | XN_CL_SHAPED)                                        \
    X(EXPERT_GATE, expert_gate, "experts.cl", XN_CL_DECODERS | XN_CL_PRODUCTS | XN_CL_SHAPED)                          \
    X(EXPERT_ADD, expert_add, "experts.cl", XN_CL_DECODERS | XN_CL_PRODUCTS | XN_CL_SHAPED)                            \
    X(ATTEND, attend, "attend.cl", XN_CL_CACHE | XN_CL_SHAPED | XN_CL_ATTENTION)                                       \
    X(CONVOLVE, convolve, "convolve.cl", XN_CL_LIGHT)                                                                  \
    X(DELTA_NET, delta_net, "mixers.cl", 0)                                                                            \
    X(STATE_SPACE, state_space, "mixers.cl", 0)                                                                        \
    X(SCAN_PREPARE, scan_prepare, "scan_rows.cl", XN_CL_SCANS | XN_CL_LIGHT)                                           \
    X(SCAN, scan, "scan_rows.cl", XN_CL_SCANS)                                                                         \
    X(SCAN_NORM, scan_norm, "scan.cl", XN_CL_LIGHT)                                                                    \
    X(SCAN_STEP, scan_step, "scan_step.cl", XN_CL_SCANS)                                                               \
    X(STAGE, stage, "stage.cl", XN_CL_MATRIX | XN_CL_LIGHT)                                                            \
    X(TILE, tile, "tile.cl", XN_CL_MATRIX | XN_CL_DECODERS)                                                            \
    X(TILE_EXACT, tile_exact, "tile.cl", XN_CL_MATRIX | XN_CL_DECODERS)                                                \
    X(TILE_EXPERTS, tile_experts, "tile.cl", XN_CL_MATRIX | XN_CL_DECODERS)                                            \
    X(FINISH, finish, "finish.cl", XN_CL_HEADS | XN_CL_CACHE | XN_CL_LIGHT)                                            \
    X(CHOOSE, choose, "route.cl", 0)                                                                                   \
    X(SORT, sort, "sort.cl", XN_CL_LIGHT)                                                                              \
    X(JOIN, join, "join.cl", XN_CL_LIGHT)                                                                              \
    X(READ, read, "read.cl", 0)                                                                                        \
    X(TOPS, tops, "candidates.cl", XN_CL_LIGHT)                                                                        \
    X(CANDIDATES, candidates, "candidates.cl", XN_CL_WIDE)                                                             \
    X(SUMS, sums, "candidates.cl", XN_CL_WIDE)                                                                         \
    X(STORE, store, "store.cl", XN_CL_CACHE)                                                                           \
    X(WALK, walk, "walk.cl", XN_CL_DECODERS | XN_CL_PRODUCTS | XN_CL_CACHE | XN_CL_SHAPED | XN_CL_ATTENTION)
enum xn_cl_kernel {
#define X(NAME, name, file, needs) XN_CL_KERNEL_##NAME,
    XN_CL_KERNELS(X)
#undef X
        XN_CL_KERNEL_COUNT,
};
_Static_assert(XN_CL_KERNEL_COUNT <= 32, "bits of struct xn_cl_program_key's walked");
const char *xn_cl_kernel_name(enum xn_cl_kernel kernel); // "project_add"
unsigned xn_cl_kernel_needs(enum xn_cl_kernel kernel);   // enum xn_cl_needs

struct xn_cl_program_key {
    enum xn_cl_kernel kernel;
    uint64_t formats;       // bit i: enum xn_type i; of a kernel with decoders
    uint32_t cache_type;    // of keys and values; of a kernel with XN_CL_CACHE, else ignored
    uint32_t few_sizes;     // bit i: number i of XN_CL_FEW_SIZES; of attention
    enum xn_cl_shape shape; // of a kernel with XN_CL_SHAPED, else ignored
    uint32_t walked;        // of walk: the kernels that it has, bit i: enum xn_cl_kernel i
    bool tiles;             // of walk for a few rows: formats with codes on the matrix unit (kernels/stream_tiles.cl)
};

// What of a key the kernel's program depends on; `always`: formats that each program with decoders is built for.
struct xn_cl_program_key xn_cl_program_key_of(const struct xn_cl_program_key *key, uint64_t always);
bool xn_cl_program_key_same(const struct xn_cl_program_key *a, const struct xn_cl_program_key *b);
// The source of such a program as one text (NUL-terminated; free(); NULL without memory), its digest, and the options
// to build it with. narrow: for a device with sub-groups of 8.
enum { XN_CL_OPTIONS = 64 };
char *xn_cl_program_text(const struct xn_cl_program_key *key, enum xn_cl_dialect dialect, bool narrow,
                         struct xn_cl_digest *digest, char options[XN_CL_OPTIONS]);
const char *xn_cl_build_options(void);
// Of a program that was built ahead of time: its key in the cache, and its file below a folder. free(); NULL without
// memory.
char *xn_cl_ahead_key(const char *target, enum xn_cl_kernel kernel, const struct xn_cl_digest *digest);
char *xn_cl_ahead_path(const char *folder, const char *target, const char *key);

// The programs of a device.
struct xn_cl_programs {
    struct xn_cl_program *items;
    size_t n, capacity;
    char *folder;           // NULL: none are kept on disk
    char *ahead;            // another with programs built ahead of time (ahead.h), or NULL
    uint64_t always;        // formats that every program with decoders is built for
    uint32_t built, loaded; // so far: from source, from the folder
    uint32_t ahead_loaded;  // what was built ahead of time
    bool plain_matrix;      // kernels of the matrix layer are plain: the driver rejected one of the device's dialect
};

// The program of a key, for as long as the device lives, in the device's dialect, or, where its driver rejects that, in
// the plain one. A source that the driver rejects in both is an error with the kernel's name and the first lines of the
// log. *group: work-items of a group.
int xn_cl_program(struct xn_cl_device *device, const struct xn_cl_program_key *key, cl_program *out, uint32_t *group,
                  struct xn_error *err);
// Of kernels that multiply tiles: work-items of a group, groups that a compute unit holds at once (0: as of other
// kernels), products of a tile at the most.
uint32_t xn_cl_matrix_group(const struct xn_cl_device *device, enum xn_cl_dialect dialect);
uint32_t xn_cl_matrix_groups(enum xn_cl_dialect dialect);
uint32_t xn_cl_tile_size(enum xn_cl_dialect dialect);
void xn_cl_programs_free(struct xn_cl_device *device);
// The kernel function of a program; the caller releases it.
int xn_cl_kernel_make(struct xn_cl_device *device, const struct xn_cl_program_key *key, cl_kernel *out, uint32_t *group,
                      struct xn_error *err);

// The embedded sources (made at build from kernels/): NULL where there is none of that name.
struct xn_cl_source {
    const char *name; // "project.cl"
    const char *text;
    size_t size;
};
extern const struct xn_cl_source xn_cl_sources[];
extern const size_t xn_cl_source_count;
