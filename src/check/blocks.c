// Random blocks of every format.
#include "check/blocks.h"

#include "quant/format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PIECES = 256, LONGEST = 256 };

struct xn_check_blocks {
    uint8_t *of[XN_TYPE_COUNT]; // PIECES pieces; NULL where a type holds no weights
};

// Blocks of a piece: numbers go by 32.
static size_t piece_of(const struct xn_format *f) {
    return f->block_values == 1 ? 32 : 1;
}

// Any bits, drawn again until the values are finite and together of ordinary size, within a factor of two: products of
// a thousand of them are then near 1, and no row outweighs the others so far that their errors would not show, or that
// an activation that squares leaves little but the largest few. Nor may the values be much the same, as a minimum far
// above the scale makes them: a layer norm's output, whose sum is zero, would leave nothing of what they have in common
// but the rounding of activations.
static bool ordinary(const float *values, size_t n) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(values[i])) return false;
        sum += values[i];
        squares += (double)values[i] * values[i];
    }
    double mean = sum / (double)n, square = squares / (double)n;
    return square > 1.0 / (32 * 32) && square < 1.0 / (16 * 16) && mean * mean <= square / 2;
}

static void draw_bits(uint64_t *state, uint8_t *to, size_t n) {
    for (size_t i = 0; i < n; i += 8) {
        uint64_t bits = xn_check_random(state);
        memcpy(to + i, &bits, n - i < 8 ? n - i : 8);
    }
}

static int draw_pieces(const struct xn_format *f, uint64_t *state, uint8_t *p, struct xn_error *err) {
    enum { MOST = 1 << 20 };
    float values[LONGEST];
    size_t n = piece_of(f) * f->block_values, bytes = piece_of(f) * f->block_bytes;
    if (n > LONGEST)
        return xn_fail(err, XN_ERR_UNSUPPORTED, "check: blocks of %zu values, at most %d expected", n, LONGEST);
    for (int i = 0; i < PIECES; i++, p += bytes) {
        if (f->block_values == 1) { // of nearly all bits of a number the exponent is far from 0
            for (size_t j = 0; j < n; j++)
                values[j] = xn_check_uniform(state) / 8;
            f->encode(values, p, n, NULL);
            continue;
        }
        int tries = 0;
        do {
            if (++tries > MOST)
                return xn_fail(err, XN_ERR_UNSUPPORTED, "check: no random block of %s has values of ordinary size",
                               f->name);
            draw_bits(state, p, bytes);
            f->decode(p, values, n);
        } while (!ordinary(values, n));
    }
    return XN_OK;
}

int xn_check_blocks_make(uint64_t seed, struct xn_check_blocks **out, struct xn_error *err) {
    *out = NULL;
    struct xn_check_blocks *blocks = xn_alloc_zero(1, sizeof *blocks);
    int status = blocks ? XN_OK : xn_fail(err, XN_ERR_NOMEM, "no memory for blocks");
    for (uint32_t type = 0; status == XN_OK && type < XN_TYPE_COUNT; type++) {
        const struct xn_format *f = xn_format_of(type);
        if (!f || !f->decode) continue;
        uint64_t state = xn_check_mix(seed, type);
        blocks->of[type] = xn_alloc(PIECES, piece_of(f) * f->block_bytes);
        status = blocks->of[type] ? draw_pieces(f, &state, blocks->of[type], err)
                                  : xn_fail(err, XN_ERR_NOMEM, "no memory for blocks of %s", f->name);
    }
    if (status == XN_OK)
        *out = blocks;
    else
        xn_check_blocks_free(blocks);
    return status;
}

void xn_check_blocks_free(struct xn_check_blocks *blocks) {
    for (uint32_t type = 0; blocks && type < XN_TYPE_COUNT; type++)
        free(blocks->of[type]);
    free(blocks);
}

void xn_check_blocks_fill(const struct xn_check_blocks *blocks, uint32_t type, uint64_t *state, uint8_t *to,
                          size_t n_blocks) {
    const struct xn_format *f = xn_format_of(type);
    size_t piece = piece_of(f), bytes = piece * f->block_bytes;
    for (; n_blocks >= piece; n_blocks -= piece, to += bytes)
        memcpy(to, blocks->of[type] + (xn_check_random(state) >> 32) % PIECES * bytes, bytes);
    memcpy(to, blocks->of[type], n_blocks * f->block_bytes);
}
