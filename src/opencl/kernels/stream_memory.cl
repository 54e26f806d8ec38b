// Local memory of products of few rows on NVIDIA's GPUs (stream.cl), in floats.
//
// XN_TILES: formats with codes are multiplied on the matrix unit (stream_tiles.cl). A slice may then have as many rows as
// for one row of the batch; its activations, of a part of a row's units where that must be, are staged once, and all
// rows' sums are kept meanwhile, from the end of this memory down (xn_y_begin): tiles of XN_TILE_ROWS x XN_TOKENS.
// There are no experts then: rows of theirs meet one token each, which is no work for a matrix unit.
#if defined(XN_TILES) && (defined(XN_OP_EXPERT_GATE) || defined(XN_OP_EXPERT_ADD))
#error "a walk with experts has no tiles"
#endif
#define XN_TILE_ROWS 16
#define XN_TILE_SUMS 128
#ifdef XN_ONE
#define XN_TOKENS 1
#define XN_ROWS XN_CL_SLICE_ROWS // of weights that a group takes at once
#define XN_SIZE_XS XN_CL_STREAM_FLOATS_ONE // activations
#define XN_SIZE_Y XN_ROWS        // results
#define XN_SIZE_SUM XN_ROWS      // of experts' results
#define XN_SIZE_SQUARES XN_WARPS // of each warp's share of a token
#define XN_SIZE_EARLY (XN_ROWS + 2) // what results need of memory: it comes while products are made
#elif defined(XN_TILES)
#define XN_TOKENS XN_CL_STREAM_TOKENS
#define XN_ROWS XN_CL_SLICE_ROWS
#define XN_SIZE_XS 7040 // of what is not multiplied in tiles
#define XN_SIZE_Y (XN_TOKENS * XN_ROWS)
#define XN_SIZE_SUM 0
#define XN_SIZE_SQUARES (XN_WARPS * XN_TOKENS)
#define XN_SIZE_EARLY 0
#else
#define XN_TOKENS XN_CL_STREAM_TOKENS
#define XN_ROWS XN_CL_SLICE_ROWS_FEW
#define XN_SIZE_XS (XN_TOKENS * XN_CL_STREAM_FLOATS_FEW)
#define XN_SIZE_Y (XN_TOKENS * XN_ROWS)
#define XN_SIZE_SUM XN_ROWS
#define XN_SIZE_SQUARES XN_WARPS
#define XN_SIZE_EARLY 0
#endif
#define XN_AT_XS 0
#define XN_AT_RED (XN_AT_XS + 4096)     // for reductions outside of products, behind what a choice of experts takes
#define XN_AT_Y (XN_AT_XS + XN_SIZE_XS) // results, [token][XN_ROWS]; or tiles of them, which end at XN_END_Y
#define XN_END_Y (XN_AT_Y + XN_SIZE_Y)
#define XN_AT_SUM XN_END_Y
#define XN_AT_EARLY (XN_AT_SUM + XN_SIZE_SUM)
#define XN_AT_CACHED (XN_AT_EARLY + XN_SIZE_EARLY) // places in the cache: two words for each token and part
#define XN_AT_SQUARES (XN_AT_CACHED + 2 * XN_TOKENS * XN_CL_MAX_PARTS)
#define XN_AT_MOMENTS (XN_AT_SQUARES + XN_SIZE_SQUARES) // of a token: squares, scale
#define XN_AT_FLAG (XN_AT_MOMENTS + 2 * XN_TOKENS)
#if XN_AT_FLAG >= XN_SCRATCH || XN_SIZE_XS < 4096 + 2 * XN_GROUP || XN_AT_CACHED % 2 || XN_AT_EARLY % 2 || XN_AT_Y % 4
#error "products need more local memory than operations get"
#endif

// Units of a token's activations that stand in local memory at once.
#define XN_CODE_UNITS (XN_SIZE_XS / XN_TOKENS / 11)
#define XN_FLOAT_UNITS (XN_SIZE_XS / XN_TOKENS / 32)

// Where the sum of row r of a slice with token t stands among the results; where results begin, of a slice with so many
// rows' sums.
#ifdef XN_TILES
static inline uint xn_y_place(uint t, uint r) { // as a tile's lanes have it: see xn_mma_bytes
    return r / XN_TILE_ROWS * XN_TILE_SUMS + r % 8 * 16 + t / 2 * 4 + r / 8 % 2 * 2 + t % 2;
}
static inline uint xn_y_begin(uint rows) {
    return XN_END_Y - (rows + XN_TILE_ROWS - 1) / XN_TILE_ROWS * XN_TILE_SUMS;
}
#else
static inline uint xn_y_place(uint t, uint r) {
    return t * XN_ROWS + r;
}
static inline uint xn_y_begin(uint rows) {
    return XN_AT_Y;
}
#endif
