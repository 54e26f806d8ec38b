// NVIDIA's walk (src/opencl/kernels/walk.cl and what belongs to it) on the emulated GPU that walk_test.py has put in
// the place of OpenCL: whole operations of the engine's own host code against the plain-C ones, of as many rows as a
// walk takes, and the head of a longer batch; products of a few rows on the matrix unit, and, of some, without it.
// Argument: a part of the names of cases, which alone are run.
#include "candidates_check.h"
#include "check/device.h"
#include "opencl/layout.h"
#include "opencl/opencl.h"
#include "quant/format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 4, MOST_TYPES = 3 };
// An operation, in formats of its matrices (the last goes on), for numbers of rows.
static const struct kind {
    const char *name;
    enum xn_op_kind kind;
    uint32_t types[MOST_TYPES], columns, outputs; // XN_TYPE_COUNT: no further format
    uint32_t rows[MOST_ROWS];
    uint32_t trials, copies;
    uint32_t of_outputs; // 0: all rows
} kinds[] = {
    {"project K", XN_OP_PROJECT, {XN_Q4_K, XN_Q4_K, XN_Q6_K}, 1536, 0, {1, 5, 8}, 3, 0, 0},
    {"project K, short", XN_OP_PROJECT, {XN_Q4_K, XN_Q4_K, XN_Q6_K}, 256, 0, {1, 8}, 3, 2, 0},
    {"project mixed", XN_OP_PROJECT, {XN_Q8_0, XN_BF16, XN_F32}, 1056, 0, {1, 3, 8}, 3, 0, 0},
    {"project float", XN_OP_PROJECT, {XN_MXFP4, XN_MXFP4, XN_BF16}, 1056, 0, {2, 8}, 3, 0, 0},
    {"gate", XN_OP_GATE, {XN_Q4_K, XN_Q6_K, XN_TYPE_COUNT}, 1536, 301, {1, 5, 8}, 2, 2, 0},
    // Chunks of activations beside the sums of many rows; of few, where a chunk ends within a block of units.
    {"gate, wide and high", XN_OP_GATE, {XN_Q4_K, XN_TYPE_COUNT}, 2816, 450, {3, 8}, 1, 0, 0},
    {"add, wide", XN_OP_PROJECT_ADD, {XN_Q6_K, XN_TYPE_COUNT}, 5120, 77, {8}, 1, 0, 0},
    {"add, wide, in halves of blocks", XN_OP_PROJECT_ADD, {XN_Q5_0, XN_TYPE_COUNT}, 3104, 70, {7}, 1, 0, 0},
    {"add", XN_OP_PROJECT_ADD, {XN_Q8_0, XN_TYPE_COUNT}, 1056, 333, {1, 2, 8}, 2, 2, 0},
    {"add long", XN_OP_PROJECT_ADD, {XN_F32, XN_TYPE_COUNT}, 1056, 77, {1, 4, 8}, 2, 0, 0},
    {"head", XN_OP_HEAD, {XN_Q6_K, XN_TYPE_COUNT}, 768, 1001, {1, 2, 8}, 1, 0, 0},
    {"head of a prompt", XN_OP_HEAD, {XN_Q6_K, XN_TYPE_COUNT}, 256, 501, {40}, 2, 0, 1},
    {"head of prompts", XN_OP_HEAD, {XN_Q6_K, XN_TYPE_COUNT}, 256, 101, {300}, 1, 0, 3},
    {"route", XN_OP_ROUTE, {XN_F32, XN_TYPE_COUNT}, 1056, 64, {1, 2, 8}, 3, 0, 0},
    {"experts gate", XN_OP_EXPERT_GATE, {XN_Q4_K, XN_TYPE_COUNT}, 1536, 101, {1, 2, 8}, 3, 0, 0},
    {"experts gate, float", XN_OP_EXPERT_GATE, {XN_MXFP4, XN_TYPE_COUNT}, 1056, 45, {1, 8}, 3, 0, 0},
    {"experts add", XN_OP_EXPERT_ADD, {XN_Q6_K, XN_TYPE_COUNT}, 768, 150, {1, 2, 8}, 3, 2, 0},
    {"experts add, float", XN_OP_EXPERT_ADD, {XN_BF16, XN_TYPE_COUNT}, 1056, 33, {1, 8}, 3, 0, 0},
    {"heads", XN_OP_HEADS, {XN_Q8_0, XN_TYPE_COUNT}, 96, 60, {1, 8}, 2, 0, 0},
    {"embed", XN_OP_EMBED, {XN_Q4_K, XN_TYPE_COUNT}, 1536, 100, {1, 8}, 2, 0, 0},
    {"attend", XN_OP_ATTEND, {XN_F16, XN_TYPE_COUNT}, 0, 0, {1, 5, 8}, 3, 0, 0},
    {"attend Q8_0", XN_OP_ATTEND, {XN_Q8_0, XN_TYPE_COUNT}, 0, 0, {1, 4, 8}, 3, 0, 0},
    {"attend Q4_0", XN_OP_ATTEND, {XN_Q4_0, XN_TYPE_COUNT}, 0, 0, {1, 8}, 3, 0, 0},
    {"attend of prompts", XN_OP_ATTEND, {XN_F16, XN_TYPE_COUNT}, 0, 0, {12, 40}, 2, 0, 0},
    {"delta_net", XN_OP_DELTA_NET, {XN_TYPE_COUNT}, 0, 0, {1, 3, 8}, 6, 0, 0},
    {"delta_net of prompts", XN_OP_DELTA_NET, {XN_TYPE_COUNT}, 0, 0, {9, 41}, 4, 0, 0},
    {"state_space", XN_OP_STATE_SPACE, {XN_TYPE_COUNT}, 0, 0, {1, 3, 8}, 6, 0, 0},
    {"state_space of prompts", XN_OP_STATE_SPACE, {XN_TYPE_COUNT}, 0, 0, {9, 41}, 4, 0, 0},
    {"short_conv", XN_OP_SHORT_CONV, {XN_TYPE_COUNT}, 0, 0, {1, 5, 8}, 3, 0, 0},
    {"short_conv of prompts", XN_OP_SHORT_CONV, {XN_TYPE_COUNT}, 0, 0, {70}, 3, 0, 0},
};

// Those that run without the matrix unit as well.
static bool is_also_plain(const struct kind *k) {
    static const char *const names[] = {"project K", "gate", "add", "experts add"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(k->name, names[i]) == 0) return true;
    return false;
}

static struct xn_check_blocks *blocks;

static int say(const char *name, uint64_t seed, const char *what, const char *problem) {
    printf("%s, seed %llu, %s: %s\n", name, (unsigned long long)seed, what, problem);
    return 1;
}

// Whether queries and keys are rotated in pairs of neighbours or of halves, without a norm before, as whoever has two
// rows of weights of a pair does at once (XN_CL_FINISH_PAIRS).
static bool rotates_pairs(const struct xn_op_project *p, enum xn_rope_kind kind) {
    bool all = true;
    for (int i = 0; i < 2; i++) {
        const struct xn_part *a = &p->part[i];
        all = all && a->norm.kind == XN_NORM_NONE && a->rope.kind == kind && a->head_size >= 32 &&
              (a->rope_at | a->head_stride) % 2 == 0;
    }
    return all;
}
// Of projects each kind of end has its turn.
static bool is_wanted(const struct xn_check_case *c, uint32_t trial) {
    const struct xn_op_project *p = &c->plan.ops->project;
    if (c->wish.kind != XN_OP_PROJECT) return true;
    switch (trial % 3) {
    case 0:
        return rotates_pairs(p, XN_ROPE_HALVES);
    case 1:
        return rotates_pairs(p, XN_ROPE_PAIRS);
    default: // a head that is normed first, and not alone a unit of the work
        return p->part[0].norm.kind != XN_NORM_NONE && p->part[0].rope.kind != XN_ROPE_NONE && p->part[0].heads > 1;
    }
}

// A case, and others of the same sizes that its further matrices are taken from.
static int run_case(const struct xn_check_device *device, const struct kind *k, uint32_t rows, uint32_t trial,
                    uint64_t seed) {
    struct xn_error err = {0};
    struct xn_check_case *c[MOST_TYPES] = {NULL};
    struct xn_check_result result = {.problem = ""};
    struct xn_check_wish wish = {.kind = k->kind,
                                 .cache_type = XN_F16,
                                 .rows = rows,
                                 .columns = k->columns,
                                 .outputs = k->outputs,
                                 .copies = k->copies,
                                 .seed = seed};
    uint32_t n = 1;
    wish.type = k->types[0];
    int status = xn_check_case_make(&wish, blocks, &c[0], &err);
    while (status == XN_OK && !is_wanted(c[0], trial)) {
        xn_check_case_free(c[0]);
        c[0] = NULL;
        wish.seed += 1000000;
        status = xn_check_case_make(&wish, blocks, &c[0], &err);
    }
    for (; n < MOST_TYPES && k->types[n] != XN_TYPE_COUNT && status == XN_OK; n++) {
        wish.type = k->types[n];
        status = xn_check_case_make(&wish, blocks, &c[n], &err);
    }
    uint32_t each = status == XN_OK ? c[0]->n_matrices / c[0]->plan.n_ops : 0;
    for (uint32_t i = 0; each && i < c[0]->n_matrices; i++) {
        uint32_t of = i % each < n ? i % each : n - 1;
        c[0]->matrices[i].matrix = c[of]->matrices[i].matrix;
    }
    if (status == XN_OK && k->of_outputs && k->of_outputs < c[0]->batch.n_outputs)
        c[0]->batch.n_outputs = k->of_outputs; // the first ones
    if (status == XN_OK) status = xn_check_case_expect(c[0], &err);
    if (status == XN_OK) status = xn_check_case_run(c[0], device, &result, &err);
    int failed = 0;
    if (status != XN_OK)
        failed = say(k->name, wish.seed, "not run", err.message);
    else if (result.problem[0])
        failed = say(k->name, wish.seed, c[0]->what, result.problem);
    for (uint32_t i = 0; i < MOST_TYPES; i++)
        xn_check_case_free(c[i]);
    return failed;
}

// All cases of a kind.
static int run_kind(const struct xn_check_device *device, const struct kind *k, uint64_t seed, const char *how) {
    uint32_t n = 0;
    for (uint32_t j = 0; j < MOST_ROWS && k->rows[j]; j++)
        for (uint32_t trial = 0; trial < k->trials; trial++, n++)
            if (run_case(device, k, k->rows[j], trial, seed + 10 * j + trial)) return 1;
    printf("%s%s: %u cases\n", k->name, how, n);
    return 0;
}

// Each format with codes, of rows that are no whole tile, dealt out so that warps begin within tiles.
static int run_formats(const struct xn_check_device *device, uint64_t seed) {
    for (uint32_t type = 0; type < XN_TYPE_COUNT; type++) {
        if (!xn_cl_layout_has_codes(type)) continue;
        struct kind k = {.name = xn_format_of(type)->name,
                         .kind = XN_OP_PROJECT_ADD,
                         .types = {type, XN_TYPE_COUNT},
                         .columns = 1280,
                         .outputs = 301,
                         .rows = {3, 8},
                         .trials = 1};
        if (run_kind(device, &k, seed + 100 * type, "")) return 1;
    }
    return 0;
}

// The best tokens: of steps that are a walk, and of more rows.
static int run_candidates(struct xn_device *device, uint64_t seed) {
    static const uint32_t few[] = {1, 2, 8}, many[] = {20};
    char problem[256];
    uint32_t compared = xn_candidates_check(device, few, sizeof few / sizeof *few, 5003, true, seed, problem);
    if (!problem[0]) compared += xn_candidates_check(device, many, 1, 5003, false, seed, problem);
    if (problem[0]) return say("candidates", seed, "best tokens", problem);
    printf("candidates: %u rows\n", compared);
    return 0;
}

static bool open_device(bool dp4a, struct xn_device **opened, struct xn_check_device *device) {
    struct xn_error err;
    struct xn_opencl_options options = {.timeout = -1, .heap_bytes = 4 << 20, .dp4a = dp4a};
    if (xn_opencl_device_open(&options, opened, &err) == XN_OK && xn_check_device_of(*opened, device, &err) == XN_OK)
        return true;
    printf("%s\n", err.message);
    return false;
}

int main(int argc, char **argv) {
    struct xn_error err;
    struct xn_device *opened, *plain;
    struct xn_check_device device, dp4a;
    const char *chosen = getenv("XENON_TEST_SEED");
    uint64_t seed = chosen ? strtoull(chosen, NULL, 10) : 100;
    int failed = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (xn_check_blocks_make(seed, &blocks, &err) != XN_OK) {
        printf("%s\n", err.message);
        return 1;
    }
    if (!open_device(false, &opened, &device) || !open_device(true, &plain, &dp4a)) return 1;
    if (strcmp(xn_opencl_kernels_of(opened), "nvidia") != 0) {
        printf("kernels are %s: the emulated driver is not the one that was found\n", xn_opencl_kernels_of(opened));
        return 1;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds && !failed; i++) {
        const struct kind *k = &kinds[i];
        if (argc > 1 && !strstr(k->name, argv[1])) continue;
        failed = run_kind(&device, k, 1000 * seed + 100 * i, "");
        if (!failed && is_also_plain(k)) failed = run_kind(&dp4a, k, 1000 * seed + 100 * i, " by dp4a");
    }
    if (!failed && (argc < 2 || strcmp(argv[1], "formats") == 0)) failed = run_formats(&device, 1000 * seed + 50);
    if (!failed && (argc < 2 || strcmp(argv[1], "candidates") == 0)) failed = run_candidates(opened, 1000 * seed);
    plain->table->free(plain);
    opened->table->free(opened);
    xn_check_blocks_free(blocks);
    return failed;
}
