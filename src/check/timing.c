// Measuring operations: one row against the bandwidth, many against the peak.
#include "check/limits.h"
#include "check/list.h"
#include "quant/format.h"

#include <unistd.h>

enum { WIDTH = 2048, NARROW = 512 };
static const double enough_seconds = 0.04; // of steps, for one measurement

// Bytes that one row's weights (or cache) must have, so that little or (not quick) next to nothing of them is still in
// the caches when the next step comes to it.
static double cold_bytes(const struct group *g) {
    long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    double bytes = (g->quick ? 2 : 4) * (double)(cache > 0 ? cache : 0);
    return bytes < 64e6 ? 64e6 : bytes > 512e6 ? 512e6 : bytes;
}

static struct xn_check_wish wish_of(const struct group *g, uint32_t rows) {
    struct xn_check_wish w = {.kind = g->kind, .type = g->type, .rows = rows, .plain = true, .seed = 1};
    if (g->columns) w.columns = w.outputs = WIDTH;
    switch (g->kind) {
    case XN_OP_HEADS: // of several heads each
        w.columns = w.outputs = NARROW;
        break;
    case XN_OP_EXPERT_GATE: // of several experts each
        w.outputs = NARROW;
        break;
    case XN_OP_EXPERT_ADD:
        w.columns = NARROW;
        break;
    case XN_OP_ROUTE:
        w.outputs = 128;
        break;
    case XN_OP_ADD:
        w.outputs = WIDTH;
        break;
    case XN_OP_ATTEND: // 8 heads of 128 values, keys and values
        if (rows == 1) w.past = (uint32_t)(cold_bytes(g) / (8 * 256 * (g->type == XN_F16 ? 2 : 4)));
        break;
    default:
        break;
    }
    return w;
}

// Whether one row's time is that of reading the weights.
static bool streams(enum xn_op_kind kind) {
    return kind != XN_OP_ROUTE && kind != XN_OP_ATTEND;
}

// A case to measure with, and its cost.
static int make_case(const struct group *g, uint32_t rows, const struct xn_check_blocks *blocks,
                     struct xn_check_case **c, struct xn_check_cost *cost, struct xn_error *err) {
    struct xn_check_wish wish = wish_of(g, rows);
    XN_TRY(xn_check_case_make(&wish, blocks, c, err));
    *cost = xn_check_case_cost(*c);
    if (rows > 1 || cost->bytes == 0 || !streams(g->kind) || cost->bytes >= cold_bytes(g)) return XN_OK;
    wish.copies = (uint32_t)(cold_bytes(g) / cost->bytes) + 1;
    xn_check_case_free(*c);
    return xn_check_case_make(&wish, blocks, c, err);
}

int xn_check_time_group(const struct xn_check_device *devices, uint32_t n, const struct group *g,
                        const struct xn_check_blocks *blocks, struct xn_check_report *report, struct xn_check_row *rows,
                        size_t stride, struct xn_error *err) {
    for (uint32_t d = 0; d < n; d++)
        XN_TRY(xn_check_know_peak(&devices[d], xn_check_peak_type(g->kind, g->type), &report->peaks[d], err));
    for (int many = 0; many < 2; many++) {
        struct xn_check_case *c = NULL;
        struct xn_check_cost cost;
        XN_TRY(make_case(g, many ? XN_CHECK_MANY : 1, blocks, &c, &cost, err));
        for (uint32_t d = 0; d < n; d++) {
            struct xn_check_row *row = &rows[d * stride];
            struct xn_check_speed *speed = many ? &row->many : &row->one;
            // What a device fails at is told by the cases.
            if (row->wrong || xn_check_case_time(c, &devices[d], enough_seconds, &speed->seconds, NULL) != XN_OK)
                continue;
            if (many || g->kind != XN_OP_ROUTE) speed->least = many ? cost.flops : cost.bytes;
        }
        xn_check_case_free(c);
    }
    return XN_OK;
}
