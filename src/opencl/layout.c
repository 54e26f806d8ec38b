#include "opencl/layout.h"

#include "opencl/kernels/shared.h"
#include "quant/blocks.h"
#include "quant/format.h"

#include <stddef.h>
#include <string.h>

// Writes what is not copied as it stands: plane[i] is where the block's part of plane i begins.
typedef void fill_planes(const void *block, uint8_t *const plane[XN_CL_PLANES]);

struct field {
    uint16_t bytes; // of a block; 0: no more planes
    int16_t from;   // offset in the block to copy from; -1: fill writes it
};
struct xn_cl_layout {
    uint16_t values, bytes; // of a block in the file
    struct field plane[XN_CL_PLANES];
    fill_planes *fill;
};

// --- codes of 256 values into planes ---

// 4 bits: byte i of a unit's 16 holds values i and 16 + i.
static void put_nibbles(const uint8_t codes[256], uint8_t *out) {
    for (int u = 0; u < 8; u++)
        for (int i = 0; i < 16; i++)
            out[16 * u + i] = (uint8_t)((codes[32 * u + i] & 15) | (codes[32 * u + 16 + i] & 15) << 4);
}

// 2 bits from bit `shift` on: bits 2s of byte i of a unit's 8 hold value 8 s + i.
static void put_pairs(const uint8_t codes[256], int shift, uint8_t *out) {
    for (int u = 0; u < 8; u++)
        for (int i = 0; i < 8; i++) {
            unsigned byte = 0;
            for (int s = 0; s < 4; s++)
                byte |= (codes[32 * u + 8 * s + i] >> shift & 3u) << 2 * s;
            out[8 * u + i] = (uint8_t)byte;
        }
}

// Bit `shift`: bit i % 8 of byte i / 8.
static void put_bits(const uint8_t codes[256], int shift, uint8_t *out) {
    for (int i = 0; i < 32; i++) {
        unsigned byte = 0;
        for (int j = 0; j < 8; j++)
            byte |= (codes[8 * i + j] >> shift & 1u) << j;
        out[i] = (uint8_t)byte;
    }
}

// Of 2 bits as Q2_K has them.
static void take_pairs(const uint8_t *qs, uint8_t codes[256]) {
    for (int v = 0; v < 256; v++)
        codes[v] = qs[v / 128 * 32 + v % 32] >> v % 128 / 32 * 2 & 3;
}
// Of 4 bits as Q4_K has them.
static void take_nibbles(const uint8_t *qs, uint8_t codes[256]) {
    for (int v = 0; v < 256; v++)
        codes[v] = qs[v / 64 * 32 + v % 32] >> v / 32 % 2 * 4 & 15;
}

static void fill_q2_k(const void *block, uint8_t *const plane[XN_CL_PLANES]) {
    uint8_t codes[256];
    take_pairs(((const struct xn_q2_k *)block)->qs, codes);
    put_pairs(codes, 0, plane[0]);
}

static void fill_tq2_0(const void *block, uint8_t *const plane[XN_CL_PLANES]) {
    uint8_t codes[256];
    take_pairs(((const struct xn_tq2_0 *)block)->qs, codes);
    put_pairs(codes, 0, plane[0]);
}

static void fill_q3_k(const void *block, uint8_t *const plane[XN_CL_PLANES]) {
    const struct xn_q3_k *b = block;
    uint8_t codes[256];
    take_pairs(b->qs, codes);
    for (int v = 0; v < 256; v++)
        codes[v] |= (uint8_t)((b->hmask[v % 32] >> v / 32 & 1) << 2);
    put_pairs(codes, 0, plane[0]);
    put_bits(codes, 2, plane[1]);
    for (int g = 0; g < 16; g++)
        plane[2][g] = (uint8_t)xn_q3_k_scale(b->scales, g);
}

static void put_k_scales(const uint8_t scales[12], uint8_t *out) {
    for (int g = 0; g < 8; g++)
        xn_q4_k_scale(scales, g, &out[2 * g], &out[2 * g + 1]);
}

static void fill_q4_k(const void *block, uint8_t *const plane[XN_CL_PLANES]) {
    const struct xn_q4_k *b = block;
    uint8_t codes[256];
    take_nibbles(b->qs, codes);
    put_nibbles(codes, plane[0]);
    put_k_scales(b->scales, plane[1]);
}

static void fill_q5_k(const void *block, uint8_t *const plane[XN_CL_PLANES]) {
    const struct xn_q5_k *b = block;
    uint8_t codes[256];
    take_nibbles(b->qs, codes);
    for (int v = 0; v < 256; v++)
        codes[v] |= (uint8_t)((b->qh[v % 32] >> v / 32 & 1) << 4);
    put_nibbles(codes, plane[0]);
    put_bits(codes, 4, plane[1]);
    put_k_scales(b->scales, plane[2]);
}

static void fill_q6_k(const void *block, uint8_t *const plane[XN_CL_PLANES]) {
    const struct xn_q6_k *b = block;
    uint8_t codes[256];
    for (int v = 0; v < 256; v++) {
        int half = v / 128, w = v % 128;
        codes[v] = (uint8_t)((b->ql[half * 64 + w % 64] >> w / 64 * 4 & 15) |
                             (b->qh[half * 32 + w % 32] >> w / 32 * 2 & 3) << 4);
    }
    put_nibbles(codes, plane[0]);
    put_pairs(codes, 4, plane[1]);
}

static void fill_iq4_xs(const void *block, uint8_t *const plane[XN_CL_PLANES]) {
    for (int g = 0; g < 8; g++)
        plane[1][g] = (uint8_t)xn_iq4_xs_scale(block, g);
}

static void fill_iq3_s(const void *block, uint8_t *const plane[XN_CL_PLANES]) {
    const struct xn_iq3_s *b = block;
    for (int u = 0; u < 8; u++)
        plane[3][u] = b->scales[u / 2] >> u % 2 * 4 & 15;
}

// Groups of 16 values, each in 8 bytes.
static void fill_nvfp4(const void *block, uint8_t *const plane[XN_CL_PLANES]) {
    const struct xn_nvfp4 *b = block;
    for (int u = 0; u < 2; u++) {
        uint8_t codes[32];
        for (int i = 0; i < 32; i++)
            codes[i] = b->qs[16 * u + i / 16 * 8 + i % 8] >> i / 8 % 2 * 4 & 15;
        for (int i = 0; i < 16; i++)
            plane[0][16 * u + i] = (uint8_t)(codes[i] | codes[16 + i] << 4);
    }
}

// The two scales of a unit in the halves of a byte; the block's number from the top halves of all four.
static void fill_iq1_m(const void *block, uint8_t *const plane[XN_CL_PLANES]) {
    const struct xn_iq1_m *b = block;
    unsigned d = 0;
    for (int i = 0; i < 4; i++)
        d |= (unsigned)(b->scales[i] >> 12) << 4 * i;
    for (int u = 0; u < 8; u++) {
        unsigned s = b->scales[u / 2], first = s >> u % 2 * 6 & 7, second = s >> (u % 2 * 6 + 3) & 7;
        plane[2][u] = (uint8_t)(first | second << 4);
    }
    plane[3][0] = (uint8_t)d;
    plane[3][1] = (uint8_t)(d >> 8);
}

// Formats of one value a block lie as they are, but those of 16 bits, whose units are cut into words of 16 bytes for
// the same reason as others are.
#define AT(type, field) (int16_t) offsetof(struct type, field)
static const struct xn_cl_layout layouts[XN_TYPE_COUNT] = {
    [XN_F32] = {1, 4, {{4, 0}}, NULL},
    [XN_F16] = {32, 64, {{16, 0}, {16, 16}, {16, 32}, {16, 48}}, NULL},
    [XN_BF16] = {32, 64, {{16, 0}, {16, 16}, {16, 32}, {16, 48}}, NULL},
    [XN_F64] = {1, 8, {{4, -1}}, NULL}, // becomes float32: see xn_cl_layout_pack
    [XN_Q4_0] = {32, 18, {{16, AT(xn_q4_0, qs)}, {2, 0}}, NULL},
    [XN_Q4_1] = {32, 20, {{16, AT(xn_q4_1, qs)}, {4, 0}}, NULL},
    [XN_Q5_0] = {32, 22, {{16, AT(xn_q5_0, qs)}, {4, AT(xn_q5_0, qh)}, {2, 0}}, NULL},
    [XN_Q5_1] = {32, 24, {{16, AT(xn_q5_1, qs)}, {4, AT(xn_q5_1, qh)}, {4, 0}}, NULL},
    [XN_Q8_0] = {32, 34, {{16, AT(xn_q8_0, qs)}, {16, AT(xn_q8_0, qs) + 16}, {2, 0}}, NULL},
    [XN_IQ4_NL] = {32, 18, {{16, AT(xn_iq4_nl, qs)}, {2, 0}}, NULL},
    [XN_MXFP4] = {32, 17, {{16, AT(xn_mxfp4, qs)}, {1, 0}}, NULL},
    [XN_NVFP4] = {64, 36, {{32, -1}, {4, 0}}, fill_nvfp4},
    [XN_Q2_K] = {256, 84, {{64, -1}, {16, AT(xn_q2_k, scales)}, {4, AT(xn_q2_k, d)}}, fill_q2_k},
    [XN_Q3_K] = {256, 110, {{64, -1}, {32, -1}, {16, -1}, {2, AT(xn_q3_k, d)}}, fill_q3_k},
    [XN_Q4_K] = {256, 144, {{128, -1}, {16, -1}, {4, AT(xn_q4_k, d)}}, fill_q4_k},
    [XN_Q5_K] = {256, 176, {{128, -1}, {32, -1}, {16, -1}, {4, AT(xn_q5_k, d)}}, fill_q5_k},
    [XN_Q6_K] = {256, 210, {{128, -1}, {64, -1}, {16, AT(xn_q6_k, scales)}, {2, AT(xn_q6_k, d)}}, fill_q6_k},
    [XN_IQ4_XS] = {256, 136, {{128, AT(xn_iq4_xs, qs)}, {8, -1}, {2, AT(xn_iq4_xs, d)}}, fill_iq4_xs},
    [XN_IQ2_XXS] = {256, 66, {{64, AT(xn_iq2_xxs, qs)}, {2, AT(xn_iq2_xxs, d)}}, NULL},
    [XN_IQ2_XS] = {256, 74, {{64, AT(xn_iq2_xs, qs)}, {8, AT(xn_iq2_xs, scales)}, {2, AT(xn_iq2_xs, d)}}, NULL},
    [XN_IQ2_S] = {256,
                  82,
                  {{32, AT(xn_iq2_s, qs)},
                   {32, AT(xn_iq2_s, signs)},
                   {8, AT(xn_iq2_s, qh)},
                   {8, AT(xn_iq2_s, scales)},
                   {2, AT(xn_iq2_s, d)}},
                  NULL},
    [XN_IQ3_XXS] = {256, 98, {{64, AT(xn_iq3_xxs, qs)}, {32, AT(xn_iq3_xxs, scales)}, {2, AT(xn_iq3_xxs, d)}}, NULL},
    [XN_IQ3_S] =
        {256,
         110,
         {{64, AT(xn_iq3_s, qs)}, {32, AT(xn_iq3_s, signs)}, {8, AT(xn_iq3_s, qh)}, {8, -1}, {2, AT(xn_iq3_s, d)}},
         fill_iq3_s},
    [XN_IQ1_S] = {256, 50, {{32, AT(xn_iq1_s, qs)}, {16, AT(xn_iq1_s, qh)}, {2, AT(xn_iq1_s, d)}}, NULL},
    [XN_IQ1_M] = {256, 56, {{32, AT(xn_iq1_m, qs)}, {16, AT(xn_iq1_m, qh)}, {8, -1}, {2, -1}}, fill_iq1_m},
    [XN_TQ1_0] = {256, 54, {{52, 0}, {2, AT(xn_tq1_0, d)}}, NULL},
    [XN_TQ2_0] = {256, 66, {{64, -1}, {2, AT(xn_tq2_0, d)}}, fill_tq2_0},
};

const struct xn_cl_layout *xn_cl_layout_of(uint32_t type, uint32_t *as) {
    if (type >= XN_TYPE_COUNT || !layouts[type].values) return NULL;
    *as = type == XN_F64 ? (uint32_t)XN_F32 : type;
    return &layouts[type];
}

// As kernels/codes.cl has it.
bool xn_cl_layout_has_codes(uint32_t type) {
    switch (type) {
    case XN_Q4_0:
    case XN_Q4_1:
    case XN_Q5_0:
    case XN_Q5_1:
    case XN_Q8_0:
    case XN_Q2_K:
    case XN_Q3_K:
    case XN_Q4_K:
    case XN_Q5_K:
    case XN_Q6_K:
    case XN_IQ4_NL:
    case XN_IQ4_XS:
    case XN_IQ2_XXS:
    case XN_IQ2_XS:
    case XN_IQ2_S:
    case XN_IQ3_XXS:
    case XN_IQ3_S:
        return true;
    default:
        return false;
    }
}

// Blocks of a row, with those that fill its last unit up.
static uint64_t padded_blocks(const struct xn_cl_layout *l, uint64_t columns) {
    uint64_t per_unit = l->values < XN_CL_UNIT ? XN_CL_UNIT / l->values : 1;
    uint64_t blocks = (columns + l->values - 1) / l->values;
    return (blocks + per_unit - 1) / per_unit * per_unit;
}

static uint64_t aligned(uint64_t bytes) {
    return (bytes + 15) / 16 * 16;
}

bool xn_cl_layout_row(const struct xn_cl_layout *l, uint32_t columns, struct xn_cl_row *row) {
    uint64_t blocks = padded_blocks(l, columns), total = 0;
    *row = (struct xn_cl_row){.units = (uint32_t)(blocks * l->values / XN_CL_UNIT)};
    for (int p = 0; p < XN_CL_PLANES && l->plane[p].bytes; p++) {
        total += aligned(blocks * l->plane[p].bytes);
        row->plane[row->n_planes++] = (uint32_t)(blocks * l->plane[p].bytes);
    }
    row->bytes = (uint32_t)total;
    return total <= UINT32_MAX;
}

void xn_cl_layout_planes(const struct xn_cl_row *row, uint32_t n, uint64_t begin[XN_CL_PLANES]) {
    uint64_t at = 0;
    for (uint32_t p = 0; p < XN_CL_PLANES; p++) {
        begin[p] = at;
        if (p < row->n_planes) at += aligned((uint64_t)n * row->plane[p]);
    }
}

void xn_cl_layout_pack(const struct xn_cl_layout *l, const struct xn_cl_row *row, const void *blocks, uint32_t columns,
                       uint8_t *const planes[XN_CL_PLANES]) {
    const uint8_t *block = blocks;
    uint8_t *plane[XN_CL_PLANES], last[XN_CL_UNIT * sizeof(uint16_t)];
    for (uint32_t p = 0; p < row->n_planes; p++) {
        plane[p] = planes[p];
        memset(plane[p], 0, row->plane[p]);
    }
    if (l == &layouts[XN_F64]) {
        xn_format_of(XN_F64)->decode(blocks, (float *)(void *)plane[0], columns);
        return;
    }
    if (l->values == 1) {
        memcpy(plane[0], blocks, (size_t)columns * l->bytes);
        return;
    }
    for (uint32_t b = 0; b * l->values < columns; b++, block += l->bytes) {
        uint32_t left = columns - b * l->values;
        if (left < l->values) { // of 16-bit values, whose blocks are units
            memset(last, 0, sizeof last);
            memcpy(last, block, left * sizeof(uint16_t));
            block = last;
        }
        if (l->fill) l->fill(block, plane);
        for (uint32_t p = 0; p < row->n_planes; p++) {
            if (l->plane[p].from >= 0) memcpy(plane[p], block + l->plane[p].from, l->plane[p].bytes);
            plane[p] += l->plane[p].bytes;
        }
    }
}
