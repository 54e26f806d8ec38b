// What Intel's matrix unit (DPAS) does: it multiplies 8 rows of 16 values, the first fragment, by 16 values of as many
// columns as a sub-group has lanes, the second one. Of the first a lane holds a pair of values (8 lanes) or one (16) of each of
// the 8 rows; of the second the 16 values of the lane's column; of the sums all 8 of the lane's column. The built-ins are
// declared by hand: the compiler knows them, whatever the driver says of
// cl_intel_subgroup_matrix_multiply_accumulate.
#ifndef XN_INLINE
#define XN_INLINE static inline __attribute__((always_inline))
#endif
#if XN_LANES != 8 && XN_LANES != 16
#error "DPAS takes 8 lanes or 16"
#endif
#define XN_FRAGMENT 256 // bytes of a first fragment,
#define XN_SIDE (XN_LANES * 32) // and of a second
#if XN_LANES == 8
typedef int8 xn_weights_fragment;
#define XN_DECLARE_DPAS(name) float8 __attribute__((overloadable)) name(int8 a, int8 b, float8 c);
#else
typedef short8 xn_weights_fragment;
#define XN_DECLARE_DPAS(name) float8 __attribute__((overloadable)) name(short8 a, int8 b, float8 c);
#endif
XN_DECLARE_DPAS(intel_sub_group_f16_f16_matrix_mad_k16)

// Where something is in local memory, in bytes, and the fragment at `offset` bytes from there, all of which a sub-group
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

#define xn_dpas(c, a, b) intel_sub_group_f16_f16_matrix_mad_k16(a, b, c)

// Two float32, rounded to the halves of a word.
XN_INLINE uint xn_halves(float low, float high) {
#ifdef XN_NO_VISA
    ushort v[2];
    vstore_half_rte(low, 0, (half *)v);
    vstore_half_rte(high, 1, (half *)v);
    return v[0] | (uint)v[1] << 16;
#else
    return as_uint((half2)(convert_half_rte(low), convert_half_rte(high)));
#endif
}

// 16 bytes of each lane: value i of lane l to i * XN_LANES + l.
void __attribute__((overloadable)) intel_sub_group_block_write4(local uint *p, uint4 v);
