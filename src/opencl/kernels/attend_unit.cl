// attend: attention over the paged cache with an online softmax. A unit of the work is one row, some query heads of one
// key-value head, and for few rows a part of the context: who completes the parts joins them. A body computes the unit.

// Local memory, in floats; what a body has begins at XN_AT_BODY.
#define XN_AT_MOST 0 // of each head: maximum, sum, factor of what came before
#define XN_AT_ATTEND_FLAG (XN_AT_MOST + 3 * XN_CL_TOGETHER)
#define XN_AT_FACTORS (XN_AT_ATTEND_FLAG + 8)
#define XN_AT_BODY XN_AT_FACTORS

struct xn_unit_of_attention {
    uint row, g, first_head, heads, split, splits;
    uint begin, end; // positions
};
