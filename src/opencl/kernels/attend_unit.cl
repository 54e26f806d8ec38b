// attend: attention over the paged cache with an online softmax. A unit of the work is one row, some query heads of one
// key-value head, and for few rows a part of the context: who completes the parts joins them. A body computes the unit.

// Local memory, in floats; what a body has begins at XN_AT_BODY.
#define XN_AT_MOST 0 // of each head: maximum, sum, factor of what came before
#define XN_AT_ATTEND_FLAG (XN_AT_MOST + 3 * XN_CL_TOGETHER)
#define XN_AT_FACTORS (XN_AT_ATTEND_FLAG + 8)
#define XN_AT_BODY XN_AT_FACTORS

#define XN_WHOLE 0x7fffffffu // positions of a part of a context that is one

struct xn_unit_of_attention {
    uint row, g, first_head, heads, split, splits;
    uint begin, end; // positions
};

// What bodies for many rows have instead. A pair: its row's place in the batch, its head, what it sees, and the softmax so
// far (in powers of two).
#define XN_LOG2_E 1.44269504088896f
struct xn_many_pair {
    uint row, head, begin, end;
    float most, sum;
};
// Pair i of a span and key-value head g.
static inline struct xn_many_pair xn_many_pair_of(XN_D const struct xn_cl_attend *d,
                                                  global const struct xn_cl_span *span, uint g, uint i) {
    uint queries = d->heads / d->kv_heads, row = i / queries;
    struct xn_many_pair p = {span->first_row + row, g * queries + i % queries, 0, span->past + row + 1, -INFINITY, 0};
    p.begin = d->window && p.end > d->window ? p.end - d->window : 0;
    return p;
}
