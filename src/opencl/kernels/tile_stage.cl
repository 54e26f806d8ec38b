// Activations for products on NVIDIA's matrix unit (stream_tiles.cl), rounded to 8 bits with a scale for each unit.
//
// In local memory a unit of the activations has XN_TILE_UNIT floats: for each token and lane of four the words that the
// matrix unit takes of that lane, codes 4 t ... and 16 + 4 t ...; then for each two tokens their scales, and scale * sum
// of codes. So a warp reads of a unit what lies side by side.

#define XN_TILE_UNIT 80
#define XN_TILE_SCALES 64 // in a unit
#define XN_TILE_BLOCK 8   // units
#define XN_TILE_CHUNK 64  // that stand there at once where not all do: four for each warp, which reads them at once

// The activations' part of xn_stage_8: the token is that of four lanes.
static inline void xn_stage_tile(const float *x, bool there, uint at, uint quarter, local float *xs) {
    float most = fmax(fmax(fmax(fabs(x[0]), fabs(x[1])), fmax(fabs(x[2]), fabs(x[3]))),
                      fmax(fmax(fabs(x[4]), fabs(x[5])), fmax(fabs(x[6]), fabs(x[7]))));
    most = xn_quad_max(most, 0);
    float scale = as_float(as_uint(most * (1.0f / 127.0f)) & ~3u); // 22 bits
    float inverse = most > 0x1p-100f ? native_divide(127.0f, most) : 0;
    int sum = 0;
    uint first = xn_pack_4(x, inverse, &sum), second = xn_pack_4(x + 4, inverse, &sum);
    sum = xn_pair_sum(sum, 0);
    sum += as_int(xn_shuffle_xor(as_float(sum), 2));
    if (!there) return;
    uint t = xn_lane() / 4;
    local float *unit = xs + at * XN_TILE_UNIT;
    local uint *words = (local uint *)unit + 8 * t + quarter % 2 * 4 + quarter / 2;
    words[0] = first;
    words[2] = second;
    if (quarter) return;
    unit[XN_TILE_SCALES + t / 2 * 4 + t % 2] = scale;
    unit[XN_TILE_SCALES + t / 2 * 4 + t % 2 + 2] = scale * (float)sum;
}
// Behind the last unit, up to a whole block, activations are 0: their scales are.
static inline void xn_stage_tile_end(uint n, local float *xs) {
    uint at = n + xn_warp();
    if (at < (n + XN_TILE_BLOCK - 1) / XN_TILE_BLOCK * XN_TILE_BLOCK && xn_lane() < 4)
        ((local float4 *)(xs + at * XN_TILE_UNIT + XN_TILE_SCALES))[xn_lane()] = (float4)(0, 0, 0, 0);
}
