#include "opencl/many.h"

#include "device/host.h"
#include "opencl/kernels/shared.h"

// What is multiplied: rows of so many parts of so many values, and the values of results that are kept for each row.
struct shape {
    uint64_t rows, columns, parts, results;
};

static struct shape shape_of(const struct xn_op *op, uint32_t hidden, uint64_t rows, uint64_t outputs) {
    struct shape s = {.rows = rows, .parts = 1};
    switch (op->kind) {
    case XN_OP_PROJECT:
        s.columns = op->project.part[0].weights->matrix.cols;
        for (uint32_t i = 0; i < op->project.n_parts; i++) {
            const struct xn_part *p = &op->project.part[i];
            if (p->target != XN_TO_BUFFER) s.results += (uint64_t)p->heads * p->head_stride;
        }
        break;
    case XN_OP_PROJECT_ADD:
        s.columns = op->project_add.weights->matrix.cols;
        if (op->project_add.sum.norm.kind != XN_NORM_NONE) s.results = op->project_add.weights->matrix.rows;
        break;
    case XN_OP_GATE:
        s.columns = hidden;
        break;
    case XN_OP_HEAD:
        s.columns = hidden;
        s.rows = outputs;
        break;
    case XN_OP_HEADS:
        s.columns = op->heads.weights->matrix.cols;
        s.parts = op->heads.weights->matrix.count;
        break;
    case XN_OP_ROUTE:
        s.columns = hidden;
        s.results = op->route.experts;
        break;
    case XN_OP_EXPERT_GATE:
        s.columns = op->expert_gate.up->matrix.cols;
        break;
    case XN_OP_EXPERT_ADD: // one for each choice, and their sum
        s.columns = op->expert_add.size;
        s.parts = op->expert_add.used;
        s.results = (uint64_t)op->expert_add.down->matrix.rows * (op->expert_add.used + 1);
        break;
    default:
        break;
    }
    return s;
}

static uint64_t aligned(uint64_t n) {
    return (n + 31) / 32 * 32; // 128 bytes
}

struct xn_cl_many xn_cl_many_of(const struct xn_op *op, uint32_t hidden, uint64_t rows, uint64_t outputs,
                                uint64_t partial) {
    struct xn_cl_many m = {0};
    struct shape s = shape_of(op, hidden, rows, outputs);
    if (rows <= XN_CL_STREAM_TOKENS || s.columns == 0) return m;
    // Blocks of 256 values fill up to as many.
    uint64_t width = (s.columns + 255) / 256 * 256, values = s.rows * s.parts * width;
    m.width = (uint32_t)width;
    m.parts = (uint32_t)s.parts;
    m.plane_size = (uint32_t)aligned((values + 1) / 2);
    m.staged = aligned(s.rows * s.results);
    m.scales = m.staged + aligned(2 * values) + 4 * 32; // four planes of 16 bits, or one of 32
    m.partial = m.scales + aligned(s.rows);
    m.size = m.partial + partial;
    return m;
}
