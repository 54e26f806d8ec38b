// Sums of runs against decoded weights: random pieces of random rows, of which some are multiplied, with codes or
// values of random activations. Arguments: a seed, and the numbers of the formats.
#include "../../src/quant/format.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRIALS = 150, GROUP = 64, MOST_ROWS = 256, MOST_TOKENS = 8, MOST_VALUES = 65536, UNIT = 32, GRIDS = 8448 };

static uint32_t lid;
uint32_t test_lid(void) {
    return lid;
}
// Of the kernels.
void test_sums(uint32_t type, const uint32_t *grids, uint32_t u0, uint32_t n, uint32_t r0, uint32_t rows,
               uint32_t tokens, float *scratch);
void test_add(uint32_t n, uint32_t r0, uint32_t rows, uint32_t tokens, int first, int last, float *scratch);
void test_decode(uint32_t type, const uint8_t *row, uint32_t units, uint32_t u, const uint32_t *grids, float *v);
uint32_t test_has_codes(uint32_t type);
extern const struct {
    uint32_t xs, table, offset, moments, y, code_units, float_units, token, rows, run_rows, tokens, scratch;
} test_sizes;
#define AT test_sizes

struct trial {
    uint32_t type, parts, n, u0, r0, rows, tokens, row_units, all_rows;
    int first, last;
    uint8_t *piece;
    uint32_t row[MOST_ROWS], part[MOST_ROWS];
};
static uint32_t grids[GRIDS];
static float scratch[1 << 16], activations[MOST_TOKENS][MOST_VALUES];

static uint32_t below(uint32_t n) {
    return (uint32_t)rand() % n;
}

// Rows of a format of 256 values a block are whole blocks; of two units NVFP4's.
static uint32_t units_of_block(uint32_t type) {
    switch (type) {
    case XN_F32:
    case XN_F16:
    case XN_BF16:
    case XN_Q4_0:
    case XN_Q4_1:
    case XN_Q5_0:
    case XN_Q5_1:
    case XN_Q8_0:
    case XN_IQ4_NL:
    case XN_MXFP4:
        return 1;
    case XN_NVFP4:
        return 2;
    default:
        return 8;
    }
}

// Random bits, of which no float16 or scale is large.
static void fill_piece(struct trial *t) {
    size_t units = (size_t)t->all_rows * t->row_units, bytes = (units * 140 + 4096) / 64 * 64;
    t->piece = aligned_alloc(64, bytes);
    for (size_t i = 0; i < bytes; i++)
        t->piece[i] = (uint8_t)below(256) & (i % 2 ? 0xbf : 0xff);
    for (size_t i = 0; i < bytes && t->type == XN_MXFP4; i++)
        t->piece[i] = (uint8_t)(0x70 + below(16));
    for (size_t i = 0; i < bytes / 4 && t->type == XN_F32; i++)
        ((float *)t->piece)[i] = (float)below(100) - 50;
    for (size_t i = 1; i < bytes && t->type == XN_BF16; i += 2)
        t->piece[i] = (uint8_t)(0x3c + below(4)) | (uint8_t)(below(2) << 7);
}

static void stage(const struct trial *t, uint32_t token) {
    float *xs = scratch + AT.xs + token * AT.token;
    for (uint32_t x = 0; x < t->n * t->parts; x++) {
        float *a = activations[token] + x * UNIT, scale = 0.01f * (float)(1 + below(20));
        int sum[2] = {0, 0};
        for (uint32_t i = 0; i < UNIT; i++) {
            int code = (int)below(255) - 127;
            a[i] = scale * (float)code;
            sum[i / 16] += code;
            if (test_has_codes(t->type))
                ((int8_t *)(xs + i / 16 * 4 * AT.code_units + 4 * x))[i % 16] = (int8_t)code;
            else
                xs[i / 4 * 4 * AT.float_units + 4 * x + i % 4] = a[i];
        }
        if (!test_has_codes(t->type)) continue;
        xs[8 * AT.code_units + x] = scale;
        xs[9 * AT.code_units + 2 * x] = scale * (float)sum[0];
        xs[9 * AT.code_units + 2 * x + 1] = scale * (float)sum[1];
    }
}

static void draw(struct trial *t, uint32_t type) {
    uint32_t block = units_of_block(type), room = (test_has_codes(type) ? AT.code_units : AT.float_units) & ~7u;
    uint32_t most = AT.rows < AT.run_rows ? AT.rows : AT.run_rows;
    *t = (struct trial){.type = type, .parts = 1 + below(3), .n = block * (1 + below(room / block))};
    if (t->n * t->parts > room) t->parts = 1;
    t->u0 = block * below(3);
    t->row_units = t->u0 + t->n + block * below(2);
    t->rows = 1 + below(most);
    t->r0 = below(AT.rows - t->rows + 1);
    t->all_rows = 1 + below(t->rows + 3);
    t->tokens = 1 + below(AT.tokens);
    t->first = (int)below(2);
    t->last = (int)below(2);
    fill_piece(t);
    for (uint32_t i = 0; i < AT.scratch; i++)
        scratch[i] = NAN;
    for (uint32_t token = 0; token < t->tokens; token++) {
        scratch[AT.moments + 2 * token + 1] = 0.5f + (float)token;
        stage(t, token);
        for (uint32_t r = 0; r < AT.rows; r++)
            scratch[AT.y + token * AT.rows + r] = 1;
    }
    for (uint32_t r = 0; r < t->rows; r++) {
        uint32_t *row = (uint32_t *)(scratch + AT.table) + 4 * (t->r0 + r);
        t->row[r] = below(t->all_rows);
        t->part[r] = below(t->parts);
        memcpy(row, &t->piece, sizeof t->piece);
        row[2] = t->all_rows * t->row_units;
        row[3] = t->row[r] * t->row_units;
        ((uint32_t *)(scratch + AT.offset))[t->r0 + r] = t->part[r];
    }
}

// Whether the result of a row is what its decoded weights give.
static int is_right(const struct trial *t, uint32_t r, uint32_t token) {
    double sum = t->first ? 0 : 1, size = 1, got = scratch[AT.y + token * AT.rows + t->r0 + r];
    for (uint32_t u = 0; u < t->n; u++) {
        float v[UNIT];
        test_decode(t->type, t->piece, t->all_rows * t->row_units, t->row[r] * t->row_units + t->u0 + u, grids, v);
        for (uint32_t i = 0; i < UNIT; i++) {
            double product = (double)v[i] * activations[token][(t->part[r] * t->n + u) * UNIT + i];
            sum += product;
            size += fabs(product);
        }
    }
    double scale = t->last ? 0.5 + token : 1;
    if (isfinite(sum) && fabs(got - scale * sum) <= 2e-6 * scale * size) return 1;
    printf("format %u, %u units from %u, row %u of %u, token %u: %g, %g expected\n", t->type, t->n, t->u0, r, t->rows,
           token, got, scale * sum);
    return 0;
}

int main(int argc, char **argv) {
    srand((unsigned)strtoul(argc > 1 ? argv[1] : "1", NULL, 10));
    for (int i = 0; i < GRIDS; i++)
        grids[i] = 0x01010101u + (below(40) | below(40) << 8 | below(40) << 16 | below(40) << 24);
    for (int f = 2; f < argc; f++)
        for (int i = 0; i < TRIALS; i++) {
            struct trial t;
            draw(&t, (uint32_t)strtoul(argv[f], NULL, 10));
            for (lid = 0; lid < GROUP; lid++)
                test_sums(t.type, grids, t.u0, t.n, t.r0, t.rows, t.tokens, scratch);
            for (lid = 0; lid < GROUP; lid++)
                test_add(t.n, t.r0, t.rows, t.tokens, t.first, t.last, scratch);
            int right = 1;
            for (uint32_t token = 0; token < t.tokens && right; token++)
                for (uint32_t r = 0; r < t.rows && right; r++)
                    right = is_right(&t, r, token);
            free(t.piece);
            if (!right) return 1;
        }
    printf("%d formats, %d trials each, up to %u rows of the batch\n", argc - 2, TRIALS, AT.tokens);
    return argc > 2 ? 0 : 1;
}
