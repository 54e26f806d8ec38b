#include "opencl/ahead.h"

#include <string.h>

// Numbers: the graphics IP of each, as `ocloc ids NAME` prints it.
static const struct xn_opencl_target targets[] = {
    {"acm-g10", "Arc A770, A750, A580; Pro A60; Flex 170", 12, 55},
    {"acm-g11", "Arc A380, A310; Pro A40, A50; Flex 140", 12, 56},
    {"acm-g12", "Arc A570M, A530M", 12, 57},
    {"mtl-h", "Core Ultra 100H (Arc)", 12, 71},
    {"arl-h", "Core Ultra 200H (Arc 140T)", 12, 74},
    {"bmg-g21", "Arc B580, B570; Pro B50, B60", 20, 1},
    {"bmg-g31", "Arc Pro B70", 20, 2},
    {"lnl-m", "Core Ultra 200V (Arc 140V)", 20, 4},
    {"ptl-h", "Core Ultra 300H", 30, 0},
};
enum { N_TARGETS = sizeof targets / sizeof *targets };

const struct xn_opencl_target *xn_opencl_target_at(size_t i) {
    return i < N_TARGETS ? &targets[i] : NULL;
}

const struct xn_opencl_target *xn_opencl_target_named(const char *name) {
    for (size_t i = 0; i < N_TARGETS; i++)
        if (strcmp(targets[i].name, name) == 0) return &targets[i];
    return NULL;
}

// 10 bits of architecture, 8 of release, 14 of revision. Drivers before 2023 wrote 12.7.1 in another way for all of
// Arc; their architecture is 0 here.
const struct xn_opencl_target *xn_opencl_target_of(uint32_t ip_version) {
    uint32_t architecture = ip_version >> 22, release = ip_version >> 14 & 0xff;
    for (size_t i = 0; i < N_TARGETS; i++)
        if (targets[i].architecture == architecture && targets[i].release == release) return &targets[i];
    return NULL;
}
