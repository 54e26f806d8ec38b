// The matrix layer for NVIDIA's tensor cores: mma.sync of m16n8k16, two of them for a block of 16 x 16, fragments by
// ldmatrix, copies by cp.async. Without XN_NVIDIA the same in plain OpenCL C, where each lane computes its own values
// of c from local memory: tests of tiles run so elsewhere.
#ifdef XN_EXPERTS
#define XN_TILE_N 64
#define XN_WARPS_M (XN_WARPS / 2)
#define XN_WARPS_N 2
#else
#define XN_TILE_N 128
#define XN_WARPS_M 2
#if XN_GROUP == 128
#define XN_WARPS_N 2
#else
#define XN_WARPS_N 4
#endif
#endif
#define XN_TILE_M 128
#define XN_STAGES 3
#define XN_C 8
#define XN_Y_BLOCKS (XN_TILE_M / XN_WARPS_M / 16) // all
#if XN_LANES != 32 || XN_WARPS != XN_WARPS_M * XN_WARPS_N
#error "these tiles are made for 8 or 4 warps of 32 lanes"
#endif

struct xn_c {
    float x[XN_C];
};
#define XN_C_VALUE(c, i) (c).x[i]
XN_INLINE uint xn_c_row(uint lane, uint i) {
    return lane / 4 + (i / 2 % 2) * 8;
}
XN_INLINE uint xn_c_col(uint lane, uint i) {
    return lane % 4 * 2 + i % 2 + i / 4 * 8;
}

// Which row and chunk lane l gives the address of, of the 16 rows and 2 chunks that ldmatrix.x4 reads as four 8 x 8
// matrices: rows 0 to 7 and 8 to 15 of the first chunk, then of the second, are a's registers; b's are both chunks of
// rows 0 to 7, then of 8 to 15. Rows begin at a multiple of 16, and k at one of 16: so both come to a lane's place by
// one addition and one exclusive or (see xn_chunk), which addresses in loops should show.
XN_INLINE uint xn_a_lane(void) {
    return xn_chunk(xn_lane() % 16, xn_lane() / 16);
}
XN_INLINE uint xn_b_lane(void) {
    return xn_chunk(xn_lane() % 8 + xn_lane() / 16 * 8, xn_lane() / 8 % 2);
}
XN_INLINE uint xn_block_address(uint lane_place, uint row, uint k) {
    return row * XN_DEPTH_K + (lane_place ^ k);
}

#ifdef XN_NVIDIA
struct xn_a {
    uint x, y, z, w;
};
#define xn_b xn_a

#ifndef XN_NO_PTX // a test has its own
typedef uint xn_address; // in local memory's own numbers
#define XN_LOCAL_ADDRESS(p) ((uint)(size_t)(p))
// `at`: a literal number of bytes, so that all blocks of a warp share one address.
#define XN_LOAD_MATRICES(to, address, at)                                                                              \
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4+" at "];"                             \
                 : "=r"((to).x), "=r"((to).y), "=r"((to).z), "=r"((to).w)                                              \
                 : "r"(address)                                                                                        \
                 : "memory")

#define XN_MMA(c, a, b0, b1)                                                                                           \
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "             \
        "{%0, %1, %2, %3};"                                                                                            \
        : "+f"((c)[0]), "+f"((c)[1]), "+f"((c)[2]), "+f"((c)[3])                                                       \
        : "r"((a).x), "r"((a).y), "r"((a).z), "r"((a).w), "r"(b0), "r"(b1))

#define XN_COPY_CHUNK(at, i)                                                                                           \
    asm volatile("{ .reg .pred p; setp.ne.u32 p, %2, 0; @p cp.async.cg.shared.global [%0+" at "], [%1], 16; }"         \
                 :                                                                                                     \
                 : "r"(to), "l"(from + chunk[i]), "r"(wanted)                                                          \
                 : "memory")
XN_INLINE void xn_copy_done(void) {
    asm volatile("cp.async.commit_group;" : : : "memory");
}
XN_INLINE void xn_copy_wait(void) { // all but the sets of the next XN_STAGES - 2 steps
    asm volatile("cp.async.wait_group 1;" : : : "memory");
}
#endif

XN_INLINE void xn_mma(struct xn_c *c, struct xn_a a, struct xn_b b) {
    XN_MMA(c->x, a, b.x, b.y);
    XN_MMA(c->x + 4, a, b.z, b.w);
}

// Of a step's tiles the products of 16 values from k on: warps' rows of weights are in blocks of 16, their rows of
// activations XN_WARPS_N blocks apart.
#define XN_MULTIPLIES
#define XN_MY_M (XN_TILE_M / XN_WARPS_M / 16)
#define XN_MY_N (XN_TILE_N / XN_WARPS_N / 16)
XN_INLINE void xn_multiply_16(local const xn_element *w, local const xn_element *x, uint m0, uint n0, const uint k,
                              uint blocks, struct xn_c acc[XN_MY_M][XN_MY_N]) {
    xn_address a_k = XN_LOCAL_ADDRESS(w) + 2 * xn_block_address(xn_a_lane(), m0, k);
    xn_address b_k = XN_LOCAL_ADDRESS(x) + 2 * xn_block_address(xn_b_lane(), n0, k);
    struct xn_a a[XN_MY_M];
    struct xn_b b[XN_MY_N];
    XN_LOAD_MATRICES(b[0], b_k, "0");
    XN_LOAD_MATRICES(a[0], a_k, "0");
    XN_LOAD_MATRICES(a[1], a_k, "1024");
#if XN_MY_M == 4
    XN_LOAD_MATRICES(a[2], a_k, "2048");
    XN_LOAD_MATRICES(a[3], a_k, "3072");
#endif
#ifdef XN_EXPERTS // of which most have few rows
#pragma unroll
    for (uint m = 0; m < XN_MY_M; m++)
        xn_mma(&acc[m][0], a[m], b[0]);
    if (blocks < 2) return;
    XN_LOAD_MATRICES(b[1], b_k, "2048");
#pragma unroll
    for (uint m = 0; m < XN_MY_M; m++)
        xn_mma(&acc[m][1], a[m], b[1]);
#else
#if XN_MY_N == 4
    XN_LOAD_MATRICES(b[1], b_k, "2048");
    XN_LOAD_MATRICES(b[2], b_k, "4096");
    XN_LOAD_MATRICES(b[3], b_k, "6144");
#else
    XN_LOAD_MATRICES(b[1], b_k, "4096");
#endif
#pragma unroll
    for (uint m = 0; m < XN_MY_M; m++) {
#pragma unroll
        for (uint n = 0; n < XN_MY_N; n++)
            xn_mma(&acc[m][n], a[m], b[n]);
    }
#endif
}

// Chunk `lid` of a step's activations and those XN_GROUP chunks further on, from so many values each; or none of them,
// without a branch.
XN_INLINE void xn_copy_tile(local xn_element *tile, global const xn_element *from, const uint *chunk, uint wanted) {
    xn_address to = XN_LOCAL_ADDRESS(tile) + 2 * xn_chunk(get_local_id(0) / XN_CHUNKS, get_local_id(0) % XN_CHUNKS);
    XN_COPY_CHUNK("0", 0);
#if XN_TILE_N * XN_CHUNKS == 4 * XN_GROUP
    XN_COPY_CHUNK("2048", 1);
    XN_COPY_CHUNK("4096", 2);
    XN_COPY_CHUNK("6144", 3);
#elif XN_TILE_N * XN_CHUNKS == 2 * XN_GROUP
    XN_COPY_CHUNK("4096", 1);
#elif XN_TILE_N * XN_CHUNKS != XN_GROUP
#error "a work-item copies one, two or four chunks of a tile"
#endif
}
#else
struct xn_a {
    local const xn_element *tile;
    uint row, k;
};
#define xn_b xn_a
XN_INLINE struct xn_a xn_load_a(local const xn_element *tile, uint row, uint k) {
    struct xn_a a = {tile, row, k};
    return a;
}
#define xn_load_b xn_load_a

XN_INLINE float xn_emulated_value(const struct xn_a *a, uint row, uint k) {
    return xn_half_value(a->tile[xn_chunk(a->row + row, (a->k + k) / 8) + k % 8]);
}
XN_INLINE void xn_mma(struct xn_c *c, struct xn_a a, struct xn_b b) {
    uint lane = xn_lane();
    for (uint k = 0; k < 16; k++) {
        float x[2], y[4];
        for (uint i = 0; i < 2; i++)
            x[i] = xn_emulated_value(&a, xn_c_row(lane, 2 * i), k);
        for (uint i = 0; i < 4; i++)
            y[i] = xn_emulated_value(&b, xn_c_col(lane, i % 2 + i / 2 * 4), k);
        for (uint i = 0; i < XN_C; i++)
            c->x[i] += x[i / 2 % 2] * y[i % 2 + i / 4 * 2];
    }
}
XN_INLINE void xn_copy(local xn_element *tile, uint row, uint chunk, global const xn_element *from) {
    vstore8(vload8(0, from), 0, tile + xn_chunk(row, chunk));
}
XN_INLINE void xn_copy_done(void) {
}
XN_INLINE void xn_copy_wait(void) {
}
#endif
