// The list of what is checked.
#include "check/list.h"

#include "check/blocks.h"
#include "device/cache.h"
#include "quant/format.h"

#include <stdlib.h>

// Up to 16 rows products stream the weights; beyond they tile, and 33, 64 and 129 fill tiles of any size badly or well.
static const uint32_t all_rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 33, 64, 129};
static const uint32_t few_rows[] = {1, 3, 8, 16, 17, 40};
#define COUNT(array) ((uint32_t)(sizeof(array) / sizeof *(array)))

enum { COLUMNS = 1056, OUTPUTS = 129, MOST_GROUPS = XN_OP_KINDS * XN_TYPE_COUNT };

// In which formats an operation comes.
enum formats { NONE, CACHE, NUMBERS, ALL };
static const enum formats formats_of[XN_OP_KINDS] = {
    [XN_OP_EMBED] = ALL,     [XN_OP_PROJECT] = ALL,     [XN_OP_PROJECT_ADD] = ALL, [XN_OP_HEADS] = ALL,
    [XN_OP_GATE] = ALL,      [XN_OP_EXPERT_GATE] = ALL, [XN_OP_EXPERT_ADD] = ALL,  [XN_OP_HEAD] = ALL,
    [XN_OP_ROUTE] = NUMBERS, // a rounding of the router would choose others: it is never quantized
    [XN_OP_ATTEND] = CACHE,
};

static bool has_format(enum xn_op_kind kind, uint32_t type) {
    const struct xn_format *f = xn_format_of(type);
    switch (formats_of[kind]) {
    case ALL:
        return f && f->decode;
    case NUMBERS:
        return type == XN_F32 || type == XN_F16 || type == XN_BF16;
    case CACHE:
        return xn_cache_type_known(type);
    case NONE:
        break;
    }
    return false;
}

// Formats that stand for the others: in a quick run all but the plain product have these alone, and only these are
// measured.
static bool is_typical(uint32_t type) {
    return type == XN_BF16 || type == XN_Q8_0 || type == XN_Q4_K || type == XN_MXFP4;
}

static bool in_quick(enum xn_op_kind kind, uint32_t type) {
    return kind == XN_OP_PROJECT_ADD || formats_of[kind] != ALL || is_typical(type);
}

// The plain product is measured in every format, what else multiplies in the typical ones.
static bool is_timed(const struct xn_check_options *o, enum xn_op_kind kind, uint32_t type) {
    if (o->type >= 0 || formats_of[kind] == NONE) return true;
    if (formats_of[kind] == CACHE) return !o->quick || type == XN_F16;
    if (formats_of[kind] == NUMBERS) return type == XN_F32;
    if (o->quick) return type == XN_Q4_K || (kind == XN_OP_PROJECT_ADD && is_typical(type));
    return kind == XN_OP_PROJECT_ADD || is_typical(type);
}

// The first multiple of the format's block from 1056 on: none is a multiple of 1024.
static uint32_t columns_of(uint32_t type) {
    uint32_t block = xn_format_of(type)->block_values;
    return (COLUMNS + block - 1) / block * block;
}

static struct group group_of(const struct xn_check_options *o, enum xn_op_kind kind, uint32_t type) {
    bool multiplies = formats_of[kind] == ALL || formats_of[kind] == NUMBERS;
    return (struct group){.kind = kind,
                          .type = type,
                          .columns = multiplies ? columns_of(type) : 0,
                          .outputs = multiplies || kind == XN_OP_ADD ? OUTPUTS : 0,
                          .rows = o->quick ? few_rows : all_rows,
                          .n_rows = o->quick ? COUNT(few_rows) : COUNT(all_rows),
                          .trials = multiplies ? 1
                                    : o->quick ? 2
                                               : 3,
                          .timed = !o->errors_only && is_timed(o, kind, type),
                          .quick = o->quick};
}

int xn_check_list(const struct xn_check_options *o, struct group **out, uint32_t *n, struct xn_error *err) {
    *n = 0;
    *out = xn_alloc(MOST_GROUPS, sizeof **out);
    if (!*out) return xn_fail(err, XN_ERR_NOMEM, "no memory for a list of operations");
    for (int kind = 0; kind < XN_OP_KINDS; kind++) {
        if (o->op >= 0 && kind != o->op) continue;
        if (formats_of[kind] == NONE && o->type < 0) (*out)[(*n)++] = group_of(o, (enum xn_op_kind)kind, XN_TYPE_COUNT);
        for (uint32_t type = 0; type < XN_TYPE_COUNT; type++)
            if (has_format((enum xn_op_kind)kind, type) && (o->type < 0 || type == (uint32_t)o->type) &&
                (o->type >= 0 || !o->quick || in_quick((enum xn_op_kind)kind, type)))
                (*out)[(*n)++] = group_of(o, (enum xn_op_kind)kind, type);
    }
    if (*n) return XN_OK;
    free(*out);
    *out = NULL;
    return xn_fail(err, XN_ERR_ARGUMENT, "check: %s has no format %s",
                   o->op < 0 ? "no operation" : xn_op_name((enum xn_op_kind)o->op),
                   o->type >= 0 && xn_format_of((uint32_t)o->type) ? xn_format_of((uint32_t)o->type)->name
                                                                   : "so named");
}

// The seed follows from what the case is, not from its place in a run: a run of this operation alone repeats it.
struct xn_check_wish xn_check_group_wish(const struct group *g, uint64_t seed, uint32_t i) {
    uint32_t rows = g->rows[i / g->trials];
    uint64_t own =
        xn_check_mix(xn_check_mix(seed, (uint64_t)g->kind << 32 | g->type), (uint64_t)rows << 32 | i % g->trials);
    return (struct xn_check_wish){
        .kind = g->kind, .type = g->type, .rows = rows, .columns = g->columns, .outputs = g->outputs, .seed = own};
}
