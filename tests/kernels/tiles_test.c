// Tiles against decoded weights: matrices of random bits, rows of random activations, all kinds of results. Work-items
// are fibers that take turns: one goes on until its sub-group's or its group's others must come to the same place.
// Arguments: a name, a seed, and the numbers of the formats.
#include "../../src/opencl/kernels/shared.h"
#include "../../src/quant/format.h"

#include "lanes.h"

enum { TRIALS = 6, UNIT = 32, GUARD = 64 };

// As common.cl has it.
struct env {
    const uint8_t *ops;
    const uint32_t *step;
    const struct xn_cl_place *places;
    float *act;
    const float *vec;
    const uint32_t *grids;
    float *logits;
    uint32_t *counters;
    uint8_t *heap[16];
};
void test_tile(const struct env *e, const struct xn_cl_tile *d, uint32_t group, uint32_t groups, uint16_t *ws,
               uint32_t *l);
void test_decode(uint32_t type, const uint8_t *row, uint32_t units, uint32_t u, const uint32_t *grids, float *v);
extern const struct { uint32_t group, lanes, elements, beside, tile_m, tile_n, experts, exact, formats; } test_sizes;
#define AT test_sizes

static struct work {
    const struct env *env;
    const struct xn_cl_tile *tile;
    uint32_t group, groups;
    uint16_t *ws;
    uint32_t *l;
} work;
static void run_tile(void) {
    test_tile(work.env, work.tile, work.group, work.groups, work.ws, work.l);
}

// --- a trial ---

struct matrix {
    uint32_t type, rows, units, all_rows, piece, place;
    uint64_t first; // of its pieces in the heap
};
struct trial {
    struct xn_cl_tile d;
    struct matrix matrix[2];
    uint32_t rows, k, groups;
    struct xn_cl_step step;
};
static struct env env;
static uint32_t grids[XN_CL_GRID_VALUES], counters[4096];
static struct xn_cl_place places[64];
static uint32_t n_places;
static uint64_t heap_used;
enum { HEAP = 1 << 25, ACT = 1 << 23, VEC = 1 << 14, LOGITS = 1 << 18 };
static float *results; // of the activations, as they were before

static uint32_t block_units(uint32_t type) {
    switch (type) {
    case XN_F16:
    case XN_BF16:
    case XN_Q4_0:
    case XN_Q8_0:
    case XN_MXFP4:
        return 1;
    default:
        return 8;
    }
}

// Random bits, of which no float16 or scale is large.
static void fill(uint8_t *bytes, size_t n, uint32_t type) {
    for (size_t i = 0; i < n; i++)
        bytes[i] = (uint8_t)below(256) & (i % 2 ? 0xbb : 0xff);
    for (size_t i = 0; i < n && type == XN_MXFP4; i++)
        bytes[i] = (uint8_t)(0x7c + below(4));
    for (size_t i = 1; i < n && type == XN_BF16; i += 2)
        bytes[i] = (uint8_t)(0x3c + below(3)) | (uint8_t)(below(2) << 7);
}

static struct matrix draw_matrix(uint32_t type, uint32_t rows, uint32_t matrices, uint32_t units) {
    struct matrix m = {.type = type, .rows = rows, .units = units, .all_rows = rows * matrices, .place = n_places};
    m.piece = 1 + m.all_rows / (1 + below(3));
    for (uint32_t row = 0; row < m.all_rows; row += m.piece) {
        uint32_t n = m.all_rows - row < m.piece ? m.all_rows - row : m.piece;
        size_t bytes = ((size_t)n * units * 68 + 1024) / 64 * 64;
        places[n_places++] = (struct xn_cl_place){.offset = heap_used, .heap = 3};
        if (heap_used + bytes > HEAP || n_places == 64) exit(2);
        fill(env.heap[3] + heap_used, bytes, type);
        heap_used += bytes;
    }
    return m;
}
static struct xn_cl_weights weights_of(const struct matrix *m) {
    return (struct xn_cl_weights){.type = m->type,
                                  .rows = m->rows,
                                  .all_rows = m->all_rows,
                                  .units = m->units,
                                  .place = m->place,
                                  .piece = m->piece,
                                  .first = places[m->place]};
}

// Where the buffers of a trial are in the activations.
enum {
    STAGED = 64,
    SCALES = 1 << 21,
    PAIRS = SCALES + 4096,
    OFFSETS = PAIRS + 8192,
    SIDE = OFFSETS + 64,
    OUT = 1 << 22
};
enum { PARTIAL = OUT + (1 << 20) };

// Random activations, in planes; x: what they stand for.
static void stage(struct trial *t, uint32_t rows, uint32_t width, float *x) {
    uint16_t *plane = (uint16_t *)(env.act + STAGED);
    uint32_t all = rows * width, size = (all + 1) / 2 * 2;
    t->d.planes = XN_CL_PLANE_HALF | (AT.exact ? XN_CL_PLANE_HALF_REST : 0);
    t->d.plane_size = size / 2;
    t->d.staged = STAGED;
    t->d.scales = SCALES;
    for (uint32_t r = 0; r < rows; r++) {
        uint32_t row = AT.experts ? r : r / t->d.matrices; // which has one scale for the parts of all matrices
        if (AT.experts || r % t->d.matrices == 0) env.act[SCALES + row] = ldexpf(1, -(int)below(8));
        float scale = 1 / env.act[SCALES + row];
        for (uint32_t i = 0; i < width; i++) {
            uint32_t at = r * width + i;
            float v = any() * scale;
            uint16_t half = test_half_bits(v), rest = test_half_bits(v - half_values[half]);
            plane[at] = half;
            if (AT.exact) plane[size + at] = rest;
            x[at] = (half_values[half] + (AT.exact ? half_values[rest] : 0)) / scale;
        }
    }
}

struct product {
    double sum, size;
};
// Row `row` of a matrix times x, and how large that could be where each weight is as large as its unit's largest.
static struct product multiply(const struct matrix *m, uint32_t row, const float *x) {
    struct product p = {0, 0};
    uint32_t which = row / m->piece, before = which * m->piece;
    uint32_t n = m->all_rows - before < m->piece ? m->all_rows - before : m->piece;
    for (uint32_t u = 0; u < m->units; u++) {
        float v[UNIT];
        double most = 0, all = 0;
        test_decode(m->type, env.heap[3] + places[m->place + which].offset, n * m->units, (row - before) * m->units + u,
                    grids, v);
        for (uint32_t i = 0; i < UNIT; i++) {
            p.sum += (double)v[i] * x[u * UNIT + i];
            most = fmax(most, fabs(v[i]));
            all += fabs(x[u * UNIT + i]);
        }
        p.size += most * all;
    }
    return p;
}

static void draw(struct trial *t, const uint32_t *types) {
    static const uint32_t kinds[] = {XN_CL_TILE_STORE,  XN_CL_TILE_GLU,   XN_CL_TILE_SUM,
                                     XN_CL_TILE_LOGITS, XN_CL_TILE_STORE, XN_CL_TILE_GLU};
    *t = (struct trial){.groups = 1 + below(4)};
    struct xn_cl_tile *d = &t->d;
    n_places = 0;
    heap_used = 0;
    d->kind = kinds[AT.experts ? 2 * below(2) + 1 - 1 : below(6)];
    if (AT.experts) d->kind = below(2) ? XN_CL_TILE_GLU : XN_CL_TILE_STORE;
    d->n_parts = d->kind == XN_CL_TILE_GLU ? 2 : d->kind == XN_CL_TILE_STORE && !AT.experts ? 2 : 1;
    uint32_t units = 0;
    for (uint32_t i = 0; i < AT.formats; i++)
        if (block_units(types[i]) > units) units = block_units(types[i]);
    units *= 1 + below(units == 1 ? 13 : 2);
    d->experts = AT.experts ? 1 + below(5) : 0;
    uint32_t rows = 1 + below(190), matrices = AT.experts                                ? d->experts
                                               : d->kind == XN_CL_TILE_STORE && below(2) ? 2
                                                                                         : 1;
    if (matrices > 1 && !AT.experts) d->n_parts = 1;
    uint32_t out = 0;
    d->used = AT.experts ? 1 + below(2) : 1;
    for (uint32_t i = 0; i < d->n_parts; i++) {
        uint32_t type = types[below(AT.formats)];
        struct matrix *m = &t->matrix[i];
        *m = draw_matrix(type, rows, matrices, units);
        if (d->kind != XN_CL_TILE_GLU && i) rows = m->rows;
        if (d->kind == XN_CL_TILE_STORE) rows = 1 + below(190);
        d->part[i] =
            (struct xn_cl_tile_part){.weights = weights_of(m),
                                     .bias = below(2) ? 16 + 4096 * i + below(8) : XN_CL_NONE,
                                     .scale = 0.5f + (float)below(3),
                                     .shrink = 1,
                                     .out = OUT + out,
                                     .out_stride = m->rows * (matrices > d->used ? matrices : d->used) + below(9)};
        out += 400 * d->part[i].out_stride;
    }
    // Only of bfloat16, and the same of both parts.
    float shrink = ldexpf(1, -(int)below(4));
    for (uint32_t i = 0; i < d->n_parts; i++)
        if (types[0] == XN_BF16 && AT.formats == 1) d->part[i].shrink = shrink;
    t->rows = 1 + below(AT.experts ? 150 : 300);
    d->passes = AT.exact ? 3 : 1;
    d->matrices = AT.experts ? 1 : matrices;
    d->out_step = AT.experts ? 0 : t->matrix[0].rows;
    d->width = units * UNIT;
    d->glu = (struct xn_cl_glu){.activation = 0, .limit = below(2) ? 3 : 0};
    d->times = d->kind == XN_CL_TILE_GLU && !AT.experts && below(2) ? SIDE : XN_CL_NONE;
    d->times_stride = t->matrix[0].rows;
    d->row_scale = d->kind == XN_CL_TILE_SUM && below(2) ? SIDE : XN_CL_NONE;
    d->row_scale_stride = 1;
    d->sum = (struct xn_cl_sum){
        .to = OUT, .stride = t->matrix[0].rows + below(3), .set = below(2), .scale = 0.75f, .after = 1.5f};
    d->soft_cap = below(2) ? 20.0f : 0;
    d->outputs = d->kind == XN_CL_TILE_LOGITS;
    d->partial = PARTIAL;
    t->step = (struct xn_cl_step){.n_rows = t->rows, .n_outputs = d->outputs ? t->rows = 1 + below(150) : 0};
    if (!AT.experts) return;
    // Pairs of rows and choices, in the order of their experts.
    uint32_t *pairs = (uint32_t *)env.act + PAIRS, *offsets = (uint32_t *)env.act + OFFSETS, n = 0;
    d->pairs = PAIRS;
    d->offsets = OFFSETS;
    d->by_pair = 0;
    uint32_t chosen[600];
    for (uint32_t i = 0; i < t->rows * d->used; i++)
        chosen[i] = below(d->experts);
    for (uint32_t x = 0; x < d->experts; x++) {
        offsets[x] = n;
        for (uint32_t i = 0; i < t->rows * d->used; i++)
            if (chosen[i] == x) pairs[n++] = i;
    }
    offsets[d->experts] = n;
}

static int is_near(const struct trial *t, float got, double wanted, double size) {
    double most = (AT.exact ? 3e-6 : 3e-3) * size + 1e-6;
    if (isfinite(wanted) && fabs(got - wanted) <= most) return 1;
    printf("kind %u, formats %u and %u, %u and %u rows of %u units by %u rows, %u groups: %g, %g expected (at most %g "
           "away)\n",
           t->d.kind, t->matrix[0].type, t->matrix[1].type, t->matrix[0].rows, t->matrix[1].rows, t->matrix[0].units,
           t->rows, t->groups, got, wanted, most);
    return 0;
}

// Result of row `row` of activations (of experts: a pair) with row r of matrix `index` of part `part`.
static int is_right(const struct trial *t, uint32_t part, uint32_t index, uint32_t row, uint32_t r, const float *x) {
    const struct xn_cl_tile *d = &t->d;
    const struct xn_cl_tile_part *p = &d->part[part];
    uint32_t of = AT.experts ? row / d->used : row * d->matrices + index, rows = t->matrix[part].rows,
             at = index * rows + r;
    struct product a = multiply(&t->matrix[part], at, x + (size_t)of * d->width), b;
    double bias = p->bias != XN_CL_NONE ? env.vec[p->bias + at] : 0;
    size_t out = p->out + (size_t)row * p->out_stride + index * d->out_step + r;
    if (AT.experts && d->kind == XN_CL_TILE_GLU)
        out = p->out + (size_t)(row / d->used) * p->out_stride + row % d->used * rows + r;
    switch (d->kind) {
    case XN_CL_TILE_GLU: {
        const struct xn_cl_tile_part *q = p + 1;
        b = multiply(&t->matrix[1], at, x + (size_t)of * d->width);
        double gate = a.sum + bias, up = b.sum + (q->bias != XN_CL_NONE ? env.vec[q->bias + at] : 0);
        double times = d->times != XN_CL_NONE ? env.act[d->times + row * d->times_stride + r] : 1;
        if (d->glu.limit != 0) {
            gate = fmin(gate, d->glu.limit);
            up = fmax(-d->glu.limit, fmin(up, d->glu.limit));
        }
        double y = gate / (1 + exp(-gate));
        return is_near(t, env.act[out], y * up * times,
                       (a.size * 1.1 * fabs(up) + b.size * fabs(y) + fabs(y * up)) * fabs(times));
    }
    case XN_CL_TILE_LOGITS: {
        double y = a.sum * p->scale;
        if (d->soft_cap != 0) y = d->soft_cap * tanh(y / d->soft_cap);
        return is_near(t, env.logits[(size_t)row * rows + r], y, a.size * p->scale);
    }
    default: {
        double y = (a.sum + bias) * p->scale, size = a.size * p->scale;
        if (d->row_scale != XN_CL_NONE) {
            y *= env.act[d->row_scale + row];
            size *= fabsf(env.act[d->row_scale + row]);
        }
        if (d->kind == XN_CL_TILE_STORE) return is_near(t, env.act[out], y, size);
        size_t to = d->sum.to + (size_t)row * d->sum.stride + r;
        y = d->sum.after * ((d->sum.set ? 0 : results[to - OUT]) + d->sum.scale * y);
        return is_near(t, env.act[to], y, size * 1.2 + fabs(y));
    }
    }
}

static int check(const struct trial *t, const float *x) {
    const struct xn_cl_tile *d = &t->d;
    const uint32_t *pairs = (const uint32_t *)env.act + PAIRS, *offsets = (const uint32_t *)env.act + OFFSETS;
    uint32_t parts = d->kind == XN_CL_TILE_GLU ? 1 : d->n_parts,
             step = 1 + t->rows / 13; // some of all rows of activations
    for (uint32_t part = 0; part < parts; part++)
        for (uint32_t index = 0; index < (AT.experts ? d->experts : d->matrices); index++) {
            uint32_t first = AT.experts ? offsets[index] : 0, end = AT.experts ? offsets[index + 1] : t->rows;
            for (uint32_t i = first; i < end; i += i + 1 < end && i + step >= end ? end - 1 - i : step)
                for (uint32_t r = 0; r < t->matrix[part].rows; r++)
                    if (!is_right(t, part, index, AT.experts ? pairs[i] : i, r, x)) {
                        printf("part %u, matrix %u, row %u of the batch, of weights %u\n", part, index, i, r);
                        return 0;
                    }
        }
    return 1;
}

static int run(struct trial *t, const uint32_t *types) {
    draw(t, types);
    uint32_t staged = t->rows * (AT.experts ? 1 : t->d.matrices);
    float *x = malloc((size_t)staged * t->d.width * 4);
    stage(t, staged, t->d.width, x);
    for (uint32_t i = 0; i < 1 << 19; i++)
        results[i] = env.act[OUT + i] = any();
    env.step = (const uint32_t *)&t->step;
    // Local memory between guards, and nothing in it that is a number.
    uint16_t *ws = aligned_alloc(256, (AT.elements + 2 * GUARD + 255) / 128 * 256);
    uint32_t *l = malloc((AT.beside + 2 * GUARD) * 4);
    memset(ws, 0xff, (AT.elements + GUARD) * 2);
    memset(l, 0xff, (AT.beside + GUARD) * 4);
    int right = 1;
    for (uint32_t group = 0; group < t->groups && right; group++) {
        work = (struct work){&env, &t->d, group, t->groups, ws, l};
        if (!run_group()) {
            printf("work-items wait for each other\n");
            right = 0;
        }
    }
    for (uint32_t i = 0; i < GUARD && right; i++)
        if (ws[AT.elements + i] != 0xffff || l[AT.beside + i] != 0xffffffff) {
            printf("kind %u: local memory is written past its end\n", t->d.kind);
            right = 0;
        }
    right = right && check(t, x);
    free(ws);
    free(l);
    free(x);
    return right;
}

int main(int argc, char **argv) {
    if (argc < 4) return 1;
    uint32_t types[8];
    for (int i = 3; i < argc && i < 11; i++)
        types[i - 3] = (uint32_t)strtoul(argv[i], NULL, 10);
    srand((unsigned)strtoul(argv[2], NULL, 10));
    fill_half_values();
    lanes_of.group = AT.group;
    lanes_of.lanes = AT.lanes;
    lanes_of.run = run_tile;
    for (int i = 0; i < XN_CL_GRID_VALUES; i++)
        grids[i] = 0x01010101u + (below(40) | below(40) << 8 | below(40) << 16 | below(40) << 24);
    float *vec = malloc(VEC * 4);
    for (int i = 0; i < VEC; i++)
        vec[i] = any();
    env = (struct env){.places = places, .grids = grids, .counters = counters, .vec = vec};
    env.act = calloc(ACT, 4);
    env.logits = malloc(LOGITS * 4);
    env.heap[3] = aligned_alloc(64, HEAP);
    results = malloc(4 << 19);
    for (uint32_t i = 0; i < 1 << 16; i++)
        env.act[SIDE + i] = any();
    for (int i = 0; i < TRIALS; i++) {
        struct trial t;
        if (!run(&t, types)) {
            printf("%s: trial %d is wrong\n", argv[1], i);
            return 1;
        }
    }
    printf("%s: %d trials\n", argv[1], TRIALS);
    return 0;
}
