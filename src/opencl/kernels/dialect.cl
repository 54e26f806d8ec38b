// The dialect layer: what kernels are written over. Three bodies stand beside this file and define the same names, each
// for one kind of device: dialect_plain.cl (OpenCL C 1.2), dialect_intel.cl (sub-groups), dialect_nvidia.cl (inline PTX).
//
//   XN_GROUP    work-items of a group;  XN_LANES: of them, those of a warp, which stream a row of weights together. The
//               host defines both
//   XN_KERNEL   what a kernel is declared with
//   xn_warp_sum, xn_group_sum, xn_group_max    reductions whose result every work-item gets. The whole group calls them
//                                              together; `red` is XN_GROUP floats of local memory
//   xn_arrive   tells others of what this group wrote: true in the last of `expected` groups, which sees all of it. The
//                                              counter is not touched where one is expected
//   xn_shuffle_xor   the value of the work-item of a warp whose number differs by this mask (where XN_HAS_SHUFFLE)
//   xn_copy_16, xn_copied    16 bytes from global to local memory, which are there for this work-item when the second
//                                              has returned, for others behind a barrier
//   xn_group_count                             how many work-items bring one; xn_mul_rn, xn_add_rn, a product and a sum that are
//                                              never joined (NVIDIA's body alone)
//   xn_quad_max, xn_pair_sum                   of four, two neighbouring work-items (not in the plain body)
//   xn_dot4     an integer and the products of four signed bytes each of two others (likewise)
//   xn_load_half, xn_store_half                one float16 value of a byte array
//
// Barriers stand in no branch, and in loops only as
//     XN_EACH(i, from, to) { ... } XN_NEXT(i, to, step);
// whose body runs once even where from >= to, and must do no harm then: compilers that turn a group into loops over its
// work-items copy all that follows a branch with a barrier (and a loop that may run zero times is one) for each way
// through it, so that a kernel of ten such loops takes a minute to compile. Where the whole group has nothing to do, it
// returns.
#define XN_EACH(i, from, to)                                                                                           \
    uint i = (from);                                                                                                   \
    do
#define XN_NEXT(i, to, step) while ((i += (step)) < (to))

#define XN_WARPS (XN_GROUP / XN_LANES)

static inline uint xn_lane(void) {
#ifdef XN_INTEL
    return get_sub_group_local_id();
#else
    return get_local_id(0) % XN_LANES;
#endif
}
static inline uint xn_warp(void) {
#ifdef XN_INTEL
    return get_sub_group_id();
#else
    return get_local_id(0) / XN_LANES;
#endif
}

static inline float xn_load_half(global const uchar *p) {
    return vload_half(0, (global const half *)p);
}
static inline void xn_store_half(float x, global uchar *p) {
    vstore_half_rte(x, 0, (global half *)p);
}

// A read that stays where it stands, and what lanes of a whole warp do between reads and what they are used for.
// NVIDIA's compiler, where it has few registers, puts reads off until they are used, and then each waits for the one
// before.
#ifdef XN_NVIDIA
#define XN_LOAD_NOW(p) xn_load_float(p)
#define XN_LOAD_NOW_IF(p, is) xn_load_float_if(p, is) // 0 where it is not
#define XN_ALL_ASKED() xn_warp_together()
#else
#define XN_LOAD_NOW(p) (*(p))
#define XN_LOAD_NOW_IF(p, is) ((is) ? *(p) : 0.0f)
#define XN_ALL_ASKED()
#endif
