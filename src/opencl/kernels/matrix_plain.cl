// The matrix layer in plain OpenCL C: float32 values, and for each lane a block of 4 x 4 of a warp's 16 x 16.
#define XN_TILE_N 32
#define XN_WARPS_M 2
#define XN_WARPS_N 2
#define XN_TILE_M 64
#define XN_STAGES 2
#define XN_C 16
#if XN_LANES != 16 || XN_WARPS != XN_WARPS_M * XN_WARPS_N
#error "plain tiles are made for warps of 16 lanes"
#endif

typedef float xn_element;

struct xn_a {
    local const xn_element *tile;
    uint row, k;
};
#define xn_b xn_a
struct xn_c {
    float x[XN_C];
};
#define XN_C_VALUE(c, i) (c).x[i]
XN_INLINE uint xn_c_row(uint lane, uint i) {
    return lane / 4 * 4 + i / 4;
}
XN_INLINE uint xn_c_col(uint lane, uint i) {
    return lane % 4 * 4 + i % 4;
}

XN_INLINE struct xn_a xn_load_a(local const xn_element *tile, uint row, uint k) {
    struct xn_a a = {tile, row, k};
    return a;
}
#define xn_load_b xn_load_a

XN_INLINE void xn_mma(struct xn_c *c, struct xn_a a, struct xn_b b) {
    uint lane = xn_lane();
    for (uint k = 0; k < 16; k++) {
        float x[4], y[4];
#pragma unroll
        for (uint i = 0; i < 4; i++) {
            x[i] = a.tile[xn_chunk(a.row + lane / 4 * 4 + i, (a.k + k) / 8) + k % 8];
            y[i] = b.tile[xn_chunk(b.row + lane % 4 * 4 + i, (b.k + k) / 8) + k % 8];
        }
#pragma unroll
        for (uint i = 0; i < XN_C; i++)
            c->x[i] += x[i / 4] * y[i % 4];
    }
}

XN_INLINE void xn_copy(local xn_element *tile, uint row, uint chunk, global const xn_element *from) {
    vstore8(vload8(0, from), 0, tile + xn_chunk(row, chunk));
}
XN_INLINE void xn_copy_done(void) {
}
XN_INLINE void xn_copy_wait(void) {
}
