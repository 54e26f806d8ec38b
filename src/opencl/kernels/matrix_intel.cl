// The matrix layer for Intel's DPAS: 8 rows of weights by as many rows of activations as a sub-group has lanes (8 on
// Alchemist, 16 on its successors) by 16 values of k.
//
// A block of 16 x 16 is two of weights by 16 / XN_LANES of activations. Of weights a lane holds a pair of values (8
// lanes) or one (16) of each of 8 rows, of activations all 16 values of the lane's row.
#ifdef XN_EXPERTS
#define XN_TILE_M 256
#define XN_TILE_N 64
#define XN_WARPS_M 8
#define XN_WARPS_N 2
#else
#define XN_TILE_M 128
#define XN_TILE_N 128
#define XN_WARPS_M 4
#define XN_WARPS_N 4
#endif
#define XN_STAGES 2
#define XN_COLUMNS 0
#define XN_C (256 / XN_LANES)
#define XN_SIDES (16 / XN_LANES) // of a block of activations
#if XN_WARPS != XN_WARPS_M * XN_WARPS_N
#error "these tiles are made for 16 sub-groups"
#endif

struct xn_c {
    float8 v[XN_C / 8]; // [8 rows of weights, then the other 8][side]
};
#define XN_C_VALUE(c, i) (c).v[(i) / 8][(i) % 8]
XN_INLINE uint xn_c_row(uint lane, uint i) {
    return i / 8 / XN_SIDES * 8 + i % 8;
}
XN_INLINE uint xn_c_col(uint lane, uint i) {
    return i / 8 % XN_SIDES * XN_LANES + lane;
}

// Weights lie in local memory as fragments: 8 rows of 16 values.
#define XN_WEIGHTS_CHUNK(row, chunk)                                                                                   \
    ((((chunk) / 2 * (XN_TILE_M / 8) + (row) / 8) * 8 + (row) % 8) * 16 + (chunk) % 2 * 8)
// Activations lie as fragments as well: of XN_LANES rows the first two of 16 values, then the next two, and so on. Here
// is, in words, where pair `pair` of a row is.
#define XN_PAIR(row, pair)                                                                                             \
    ((((pair) / 8 * (XN_TILE_N / XN_LANES) + (row) / XN_LANES) * 8 + (pair) % 8) * XN_LANES + (row) % XN_LANES)

// Of a tile of activations a work-item copies XN_MY_CHUNKS chunks. The lanes of a sub-group take rows of one fragment,
// so that what they load, four pairs each, lies in their registers as in the fragment: four words of it in each lane.
#define XN_MY_STARTS 1
#define XN_MY_CHUNK(i) (xn_warp() * XN_MY_CHUNKS + (i))
#define XN_CHUNK_ROW(i) (XN_MY_CHUNK(i) / XN_CHUNKS * XN_LANES + xn_lane())
#define XN_CHUNK_AT(i) (XN_MY_CHUNK(i) % XN_CHUNKS)
