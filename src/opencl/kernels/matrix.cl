// The matrix layer: products of 16 x 16 blocks, over which tiles are written. Bodies define, beside what stands here,
//
//   XN_TILE_M, XN_TILE_N     rows of weights and of activations of a tile; XN_WARPS_M * XN_WARPS_N warps share it
//   xn_element               what a staged value is; XN_HALVES where those are 16 bits wide
//   XN_STAGES                tiles of activations that are in local memory or on their way there
//   struct xn_c              XN_C values, XN_C_VALUE(c, i): of 16 rows of weights by 16 of activations; lane l's value i belongs to row
//                            xn_c_row(l, i) of the weights and to row xn_c_col(l, i) of the activations
//
// and for the steps of tile_steps.cl (Intel's has its own, tile_intel.cl, and lays tiles out as its matrix unit takes them)
//
//   struct xn_a, xn_b        what a lane holds of 16 rows of weights (a) or activations (b) by 16 values of k
//   xn_load_a, xn_load_b     from a tile in local memory
//   xn_mma                   c += a b^T
//   xn_copy, xn_copy_done, xn_copy_wait   copies a chunk of global memory; ends a set of copies, of which each step has
//                            one; waits until at most XN_STAGES - 2 sets are under way (a barrier makes them seen)
//   XN_MULTIPLIES            instead of all these but the last two there are xn_multiply_16 and xn_copy_tile, for whole tiles
//   XN_Y_BLOCKS              of its blocks of rows of weights those whose results a warp writes together
//
// A tile in local memory holds XN_DEPTH_K values of each row, in chunks of 8: chunk c of row r is at
// xn_chunk(r, c), so that neither whole rows nor the same chunk of 8 rows meet in a bank.
#ifdef XN_OP_TILE_EXPERTS
#define XN_EXPERTS // a tile has few rows of activations
#endif
#define XN_INLINE static inline __attribute__((always_inline))
#ifdef XN_PLAIN // whose compilers for processors take minutes for what is written out
#define XN_UNROLL _Pragma("unroll 1")
#else
#define XN_UNROLL _Pragma("unroll")
#endif
#define XN_DEPTH_K 32
#define XN_CHUNKS (XN_DEPTH_K / 8)

// In elements. A row is 64 bytes where elements have two: two rows fill all banks once.
XN_INLINE uint xn_chunk(uint row, uint chunk) {
    return (row * XN_CHUNKS + (chunk ^ (row >> 1 & 3))) * 8;
}
