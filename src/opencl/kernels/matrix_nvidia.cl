// The matrix layer for NVIDIA's tensor cores: mma.sync of m16n8k16, two of them for a block of 16 x 16, fragments by
// ldmatrix, copies by cp.async. Without XN_NVIDIA the same in plain OpenCL C, where each lane computes its own values
// of c from local memory: tests of tiles run so elsewhere.
#ifdef XN_EXPERTS
#define XN_TILE_N 64
#define XN_WARPS_M 4
#define XN_WARPS_N 2
#else
#define XN_TILE_N 128
#define XN_WARPS_M 2
#define XN_WARPS_N 4
#endif
#define XN_TILE_M 128
#define XN_STAGES 3
#define XN_C 8
#if XN_LANES != 32 || XN_WARPS != XN_WARPS_M * XN_WARPS_N
#error "these tiles are made for 8 warps of 32 lanes"
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
// rows 0 to 7, then of 8 to 15.
XN_INLINE uint xn_a_address(uint lane, uint row, uint k) {
    return xn_chunk(row + lane % 16, k / 8 + lane / 16);
}
XN_INLINE uint xn_b_address(uint lane, uint row, uint k) {
    return xn_chunk(row + lane % 8 + lane / 16 * 8, k / 8 + lane / 8 % 2);
}

#ifdef XN_NVIDIA
struct xn_a {
    uint x, y, z, w;
};
#define xn_b xn_a

XN_INLINE uint xn_shared(local const void *p) { // where it is in local memory's own addresses
    return (uint)(size_t)p;
}
XN_INLINE struct xn_a xn_load_matrices(uint address) {
    struct xn_a a;
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(a.x), "=r"(a.y), "=r"(a.z), "=r"(a.w)
                 : "r"(address)
                 : "memory");
    return a;
}
XN_INLINE struct xn_a xn_load_a(local const xn_element *tile, uint row, uint k) {
    return xn_load_matrices(xn_shared(tile) + 2 * xn_a_address(xn_lane(), row, k));
}
XN_INLINE struct xn_b xn_load_b(local const xn_element *tile, uint row, uint k) {
    return xn_load_matrices(xn_shared(tile) + 2 * xn_b_address(xn_lane(), row, k));
}

#define XN_MMA(type, c, a, b0, b1)                                                                                     \
    asm("mma.sync.aligned.m16n8k16.row.col.f32." type "." type ".f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "             \
        "{%8, %9}, {%0, %1, %2, %3};"                                                                                  \
        : "+f"((c)[0]), "+f"((c)[1]), "+f"((c)[2]), "+f"((c)[3])                                                       \
        : "r"((a).x), "r"((a).y), "r"((a).z), "r"((a).w), "r"(b0), "r"(b1))
XN_INLINE void xn_mma(struct xn_c *c, struct xn_a a, struct xn_b b, bool bfloat) {
    if (bfloat) {
        XN_MMA("bf16", c->x, a, b.x, b.y);
        XN_MMA("bf16", c->x + 4, a, b.z, b.w);
    } else {
        XN_MMA("f16", c->x, a, b.x, b.y);
        XN_MMA("f16", c->x + 4, a, b.z, b.w);
    }
}

XN_INLINE void xn_copy(local xn_element *tile, uint row, uint chunk, global const xn_element *from) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" : : "r"(xn_shared(tile + xn_chunk(row, chunk))), "l"(from) : "memory");
}
XN_INLINE void xn_copy_done(void) {
    asm volatile("cp.async.commit_group;" : : : "memory");
}
XN_INLINE void xn_copy_wait(void) { // all but the sets of the next XN_STAGES - 2 steps
    asm volatile("cp.async.wait_group 1;" : : : "memory");
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

XN_INLINE float xn_emulated_value(const struct xn_a *a, uint row, uint k, bool bfloat) {
    ushort bits = a->tile[xn_chunk(a->row + row, (a->k + k) / 8) + k % 8];
    return bfloat ? as_float((uint)bits << 16) : xn_half_value(bits);
}
XN_INLINE void xn_mma(struct xn_c *c, struct xn_a a, struct xn_b b, bool bfloat) {
    uint lane = xn_lane();
    for (uint k = 0; k < 16; k++) {
        float x[2], y[4];
        for (uint i = 0; i < 2; i++)
            x[i] = xn_emulated_value(&a, xn_c_row(lane, 2 * i), k, bfloat);
        for (uint i = 0; i < 4; i++)
            y[i] = xn_emulated_value(&b, xn_c_col(lane, i % 2 + i / 2 * 4), k, bfloat);
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
