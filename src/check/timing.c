// Measuring operations: one row against the bandwidth, many against the peak.
#include "check/limits.h"
#include "check/list.h"
#include "device/cache.h"
#include "quant/format.h"

#include <unistd.h>

enum { WIDTH = 2048, NARROW = 512 };
static const double enough_seconds = 0.02; // of steps, for one measurement

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
        if (rows == 1) w.past = (uint32_t)(cold_bytes(g) / (8 * (double)xn_cache_bytes(g->type, 256)));
        break;
    default:
        break;
    }
    return w;
}

// A group being measured.
struct measured {
    const struct xn_check_device *devices;
    uint32_t n;
    const struct group *group;
    const struct xn_check_blocks *blocks;
    double bandwidth;
    struct xn_check_row *rows; // of device d: rows[d * stride]
    size_t stride;
};

// Measures a device, unless it is wrong: what it fails at is told by the cases.
static bool time_case(const struct measured *m, uint32_t d, struct xn_check_case *c, bool many) {
    struct xn_check_row *row = &m->rows[d * m->stride];
    struct xn_check_speed *speed = many ? &row->many : &row->one;
    struct xn_check_cost cost = xn_check_case_cost(c);
    if (row->wrong || xn_check_case_time(c, &m->devices[d], enough_seconds, &speed->seconds, NULL) != XN_OK)
        return false;
    speed->least = many ? cost.flops : m->group->kind == XN_OP_ROUTE ? 0 : cost.bytes;
    return true;
}

static int time_many(const struct measured *m, struct xn_error *err) {
    struct xn_check_wish wish = wish_of(m->group, XN_CHECK_MANY);
    struct xn_check_case *c;
    XN_TRY(xn_check_case_make(&wish, m->blocks, &c, err));
    for (uint32_t d = 0; d < m->n; d++)
        time_case(m, d, c, true);
    xn_check_case_free(c);
    return XN_OK;
}

// One row. Weights that the caches hold come first: a device that does not come near the bandwidth even then computes
// as slowly over others, and is done. For the rest the weights are many.
static int time_one(const struct measured *m, struct xn_error *err) {
    static const double near = 0.3;
    struct xn_check_wish wish = wish_of(m->group, 1);
    struct xn_check_case *c;
    uint32_t fast = 0;
    XN_TRY(xn_check_case_make(&wish, m->blocks, &c, err));
    struct xn_check_cost cost = xn_check_case_cost(c);
    bool streams = m->group->kind != XN_OP_ROUTE && m->group->kind != XN_OP_ATTEND && cost.bytes > 0;
    for (uint32_t d = 0; d < m->n; d++) {
        const struct xn_check_speed *speed = &m->rows[d * m->stride].one;
        fast += time_case(m, d, c, false) && cost.bytes / speed->seconds >= near * m->bandwidth;
    }
    xn_check_case_free(c);
    if (!fast || !streams) return XN_OK;
    wish.copies = (uint32_t)(cold_bytes(m->group) / cost.bytes) + 1;
    XN_TRY(xn_check_case_make(&wish, m->blocks, &c, err));
    for (uint32_t d = 0; d < m->n; d++) {
        double seconds = m->rows[d * m->stride].one.seconds;
        if (seconds > 0 && cost.bytes / seconds >= near * m->bandwidth) time_case(m, d, c, false);
    }
    xn_check_case_free(c);
    return XN_OK;
}

int xn_check_time_group(const struct xn_check_device *devices, uint32_t n, const struct group *g,
                        const struct xn_check_blocks *blocks, struct xn_check_report *report, struct xn_check_row *rows,
                        size_t stride, struct xn_error *err) {
    for (uint32_t d = 0; d < n; d++)
        XN_TRY(xn_check_know_peak(&devices[d], xn_check_peak_type(g->kind, g->type), &report->peaks[d], err));
    struct measured m = {devices, n, g, blocks, report->bandwidth, rows, stride};
    XN_TRY(time_one(&m, err));
    return time_many(&m, err);
}
