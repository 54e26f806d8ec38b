// The matrix layer for Intel's DPAS: 8 rows of weights by as many rows of activations as a sub-group has lanes (8 on
// Alchemist, 16 on its successors) by 16 values of k. The built-ins are declared by hand: the compiler knows them,
// whatever the driver says of cl_intel_subgroup_matrix_multiply_accumulate.
//
// A block of 16 x 16 is two of weights by 16 / XN_LANES of activations. Of weights a lane holds a pair of values (8
// lanes) or one (16) of each of 8 rows, of activations all 16 values of the lane's row.
#if XN_LANES != 8 && XN_LANES != 16
#error "DPAS takes 8 lanes or 16"
#endif
#ifdef XN_EXPERTS
#define XN_TILE_N 64
#define XN_WARPS_M 4
#define XN_WARPS_N 4
#else
#define XN_TILE_N 128
#define XN_WARPS_M 4
#define XN_WARPS_N 4
#endif
#define XN_TILE_M 128
#define XN_STAGES 2
#define XN_C (256 / XN_LANES)
#define XN_SIDES (16 / XN_LANES) // of a block of activations
#if XN_WARPS != XN_WARPS_M * XN_WARPS_N
#error "these tiles are made for 16 sub-groups"
#endif

#if XN_LANES == 8
typedef int8 xn_weights_fragment;
#define XN_DECLARE_DPAS(name) float8 __attribute__((overloadable)) name(int8 a, int8 b, float8 c);
#else
typedef short8 xn_weights_fragment;
#define XN_DECLARE_DPAS(name) float8 __attribute__((overloadable)) name(short8 a, int8 b, float8 c);
#endif
XN_DECLARE_DPAS(intel_sub_group_f16_f16_matrix_mad_k16)
XN_DECLARE_DPAS(intel_sub_group_bf16_bf16_matrix_mad_k16)

struct xn_a {
    xn_weights_fragment part[2]; // rows 0 to 7, and 8 to 15
};
struct xn_b {
    int8 side[XN_SIDES];
};
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

// Weights lie as fragments: 8 rows of 16 values, so that one block read is all of one.
#define XN_WEIGHTS_CHUNK(row, chunk)                                                                                   \
    ((((chunk) / 2 * (XN_TILE_M / 8) + (row) / 8) * 8 + (row) % 8) * 16 + (chunk) % 2 * 8)
uint8 __attribute__((overloadable)) intel_sub_group_block_read8(const local uint *p);
#if XN_LANES == 8
#define XN_BLOCK_READ(p) as_int8(intel_sub_group_block_read8((const local uint *)(p)))
#else
ushort8 __attribute__((overloadable)) intel_sub_group_block_read_us8(const local ushort *p);
#define XN_BLOCK_READ(p) as_short8(intel_sub_group_block_read_us8(p))
#endif
XN_INLINE xn_weights_fragment xn_load_rows(local const xn_element *tile, uint row, uint k) {
    return XN_BLOCK_READ(tile + XN_WEIGHTS_CHUNK(row, k / 8));
}
XN_INLINE struct xn_a xn_load_a(local const xn_element *tile, uint row, uint k) {
    struct xn_a a;
    a.part[0] = xn_load_rows(tile, row, k);
    a.part[1] = xn_load_rows(tile, row + 8, k);
    return a;
}
// Activations lie as fragments as well: of XN_LANES rows the first two of 16 values, then the next two, and so on.
#define XN_PAIR(row, pair) (((pair) / 8 * (XN_TILE_N / XN_LANES) + (row) / XN_LANES) * 8 + (pair) % 8) * XN_LANES + (row) % XN_LANES
XN_INLINE int8 xn_load_side(local const xn_element *tile, uint row, uint k) {
    return as_int8(intel_sub_group_block_read8((local const uint *)tile + XN_PAIR(row, k / 2)));
}
XN_INLINE struct xn_b xn_load_b(local const xn_element *tile, uint row, uint k) {
    struct xn_b b;
    b.side[0] = xn_load_side(tile, row, k);
#if XN_SIDES == 2
    b.side[1] = xn_load_side(tile, row + XN_LANES, k);
#endif
    return b;
}

XN_INLINE float8 xn_dpas(float8 c, xn_weights_fragment a, int8 b, bool bfloat) {
    return bfloat ? intel_sub_group_bf16_bf16_matrix_mad_k16(a, b, c) : intel_sub_group_f16_f16_matrix_mad_k16(a, b, c);
}
XN_INLINE void xn_mma(struct xn_c *c, struct xn_a a, struct xn_b b, bool bfloat) {
    c->v[0] = xn_dpas(c->v[0], a.part[0], b.side[0], bfloat);
    c->v[XN_SIDES] = xn_dpas(c->v[XN_SIDES], a.part[1], b.side[0], bfloat);
#if XN_SIDES == 2
    c->v[1] = xn_dpas(c->v[1], a.part[0], b.side[1], bfloat);
    c->v[3] = xn_dpas(c->v[3], a.part[1], b.side[1], bfloat);
#endif
}

XN_INLINE void xn_copy(local xn_element *tile, uint row, uint chunk, global const xn_element *from) {
    uint4 v = *(global const uint4 *)from;
    local uint *to = (local uint *)tile + XN_PAIR(row, 4 * chunk);
    to[0] = v.x;
    to[XN_LANES] = v.y;
    to[2 * XN_LANES] = v.z;
    to[3 * XN_LANES] = v.w;
}
XN_INLINE void xn_copy_done(void) {
}
XN_INLINE void xn_copy_wait(void) {
}
