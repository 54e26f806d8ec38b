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

// Weights lie in local memory as fragments: 8 rows of 16 values, 256 bytes.
#define XN_FRAGMENT 256
#define XN_WEIGHTS_CHUNK(row, chunk)                                                                                   \
    ((((chunk) / 2 * (XN_TILE_M / 8) + (row) / 8) * 8 + (row) % 8) * 16 + (chunk) % 2 * 8)
// Activations lie as fragments as well: of XN_LANES rows the first two of 16 values, then the next two, and so on. Here
// is, in words, where pair `pair` of a row is.
#define XN_SIDE (XN_LANES * 32) // bytes
#define XN_PAIR(row, pair)                                                                                             \
    ((((pair) / 8 * (XN_TILE_N / XN_LANES) + (row) / XN_LANES) * 8 + (pair) % 8) * XN_LANES + (row) % XN_LANES)

// Where a tile is in local memory, in bytes, and the fragment at `offset` bytes from there, all of which a sub-group
// reads at once. With 8 lanes that is one message of the most that there is, 256 bytes: the compiler makes two of its
// own block read, and twice as many addresses. The message takes its address from the beginning of a register.
#ifndef XN_LOCAL_ADDRESS
typedef uint xn_address;
#define XN_LOCAL_ADDRESS(p) ((uint)(size_t)(p))
#if XN_LANES == 8
#define XN_LOAD_WORDS(to, from, offset)                                                                                \
    __asm__ volatile("{\n"                                                                                             \
                     ".decl FROM v_type=G type=UD num_elts=8 align=GRF\n"                                              \
                     "add (M1_NM, 1) FROM(0,0)<1> %1(0,0)<0;1,0> %2\n"                                                 \
                     "lsc_load.slm (M1_NM, 1) %0:d32x64t flat[FROM]:a32\n"                                             \
                     "}"                                                                                               \
                     : "=rw"(to)                                                                                       \
                     : "rw.u"(from), "i"(offset))
#define XN_LOAD_ROWS XN_LOAD_WORDS
#else
uint8 __attribute__((overloadable)) intel_sub_group_block_read8(const local uint *p);
ushort8 __attribute__((overloadable)) intel_sub_group_block_read_us8(const local ushort *p);
#define XN_LOAD_WORDS(to, from, offset) to = as_int8(intel_sub_group_block_read8((local const uint *)(size_t)((from) + (offset))))
#define XN_LOAD_ROWS(to, from, offset)                                                                                 \
    to = as_short8(intel_sub_group_block_read_us8((local const ushort *)(size_t)((from) + (offset))))
#endif
#endif

XN_INLINE float8 xn_dpas(float8 c, xn_weights_fragment a, int8 b, bool bfloat) {
    return bfloat ? intel_sub_group_bf16_bf16_matrix_mad_k16(a, b, c) : intel_sub_group_f16_f16_matrix_mad_k16(a, b, c);
}

// Of a tile of activations a work-item copies XN_MY_CHUNKS chunks. The lanes of a sub-group take rows of one fragment,
// so that what they load, four pairs each, lies in their registers as in the fragment: four words of it in each lane.
#define XN_MY_STARTS 1
#define XN_MY_CHUNK(i) (xn_warp() * XN_MY_CHUNKS + (i))
#define XN_CHUNK_ROW(i) (XN_MY_CHUNK(i) / XN_CHUNKS * XN_LANES + xn_lane())
#define XN_CHUNK_AT(i) (XN_MY_CHUNK(i) % XN_CHUNKS)
void __attribute__((overloadable)) intel_sub_group_block_write4(local uint *p, uint4 v);
#define XN_OWN_STEPS // in tile_intel.cl
