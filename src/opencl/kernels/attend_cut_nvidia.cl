// attend for few rows on NVIDIA's GPUs: how the work is cut (attend_tile_nvidia.cl and attend_few_nvidia.cl do it).
//
// A step of few rows is bound by what waits for each other here, not by bytes. So a short context is one part, for to join
// parts takes the time of many positions; instead groups share its values.
//
// XN_FEW_SIZES(X): the sizes that are compiled, X(number, chunks of 32 values of a key, chunks of 64 of a value); the
// descriptor says which one an operation takes.

#define XN_FEW_OPERATION // this is all of attend, but for the sizes of no number
#define XN_FEW_POSITIONS 16
#define XN_FEW_WHOLE 512     // positions that are one part: to join parts costs more than to go on
#define XN_FEW_PART 256      // the fewest positions of a part
#define XN_FEW_KEYS_AHEAD 4  // chunks of keys that are read together,
#define XN_FEW_VALUES_AHEAD 2 // and of values
#define XN_FEW_VALUE_CHUNKS 8 // the most
#define XN_FEW_PLACES (XN_WARPS < 4 ? 4 : XN_WARPS) // of warps' maxima and sums
#ifdef XN_CACHE_BLOCKS
#define XN_FEW_LEAST_UNIT 0x1p-30f
#else
#define XN_FEW_LEAST_UNIT 1.0f
#endif
// Local memory, in floats: what the group works at; maxima, then sums, of eight heads of each warp; queries; scales of each
// warp's tile. The sums of warps come over queries and scales.
#define XN_AT_FEW_JOB XN_AT_BODY // struct xn_few_job
#define XN_AT_FEW_MOST (XN_AT_FEW_JOB + 16)
#define XN_AT_FEW_SUM (XN_AT_FEW_MOST + 8 * XN_FEW_PLACES)
#define XN_AT_FEW_QUERY (XN_AT_FEW_SUM + 8 * XN_FEW_PLACES)
#define XN_FEW_SCALES(chunks) (XN_FEW_POSITIONS * (chunks) / 2) // room of a tile's, of so many blocks a position
#if XN_AT_FEW_QUERY + 512 * XN_WARPS > XN_SCRATCH || XN_AT_FEW_QUERY % 4
#error "attention needs more local memory than operations get"
#endif

// What a group works at: a unit, of which only some values, from value0 on, so many chunks of 64.
struct xn_few_job {
    struct xn_unit_of_attention u;
    uint value0, chunks;
};

// --- the cut ---

// How all rows' contexts are cut: parts of `each` positions; or, where every context is one part, of values, `shares` parts.
struct xn_few_cut {
    uint each, shares, units;
};

// Positions that a row sees.
static inline uint xn_few_begin(XN_D const struct xn_cl_attend *d, uint end) {
    return d->window && end > d->window ? end - d->window : 0;
}
static inline uint xn_few_splits(const struct xn_few_cut *c, uint n) {
    return n <= c->each ? 1 : (n + c->each - 1) / c->each;
}

static inline struct xn_few_cut xn_few_cut_of(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint groups) {
    struct xn_few_cut c = {XN_WHOLE, 1, 0};
    uint n = xn_rows(e), a_row = d->kv_heads * d->chunks, longest = 0, all = 0;
    c.units = n * a_row;
    if (n > XN_CL_SPLIT_ROWS) return c;
#pragma unroll 1
    for (uint row = 0; row < n; row++) {
        uint end = xn_position_of_row(e, row) + 1, seen = end - xn_few_begin(d, end);
        longest = max(longest, seen);
        all += seen; // below 2^31 of each row; what overflows is cut at the longest
    }
    if (longest <= XN_FEW_WHOLE || d->splits == 1) {
        uint shares = (d->value_size + 63) / 64;
        if (c.units * shares <= groups) {
            c.shares = shares;
            c.units *= shares;
        }
        return c;
    }
    // No more parts than there are groups, as far as that can be; of each row the last part is a short one.
    uint sharing = groups / a_row, parts = sharing > n ? sharing - n + 1 : 1;
    uint each = max((all + parts - 1) / parts, (longest + d->splits - 1) / d->splits);
    c.each = max((each + XN_FEW_POSITIONS - 1) / XN_FEW_POSITIONS * XN_FEW_POSITIONS, (uint)XN_FEW_PART);
    c.units = 0;
#pragma unroll 1
    for (uint row = 0; row < n; row++) {
        uint end = xn_position_of_row(e, row) + 1;
        c.units += xn_few_splits(&c, end - xn_few_begin(d, end)) * a_row;
    }
    return c;
}

// Part `split` of `splits` of what a row sees, key-value head and chunk of its heads by number; of the values those from
// value0 on, in so many chunks. Every work-item of a group writes the same, so none needs to wait.
static inline void xn_few_job_of(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint row, uint pair, uint split,
                                 uint splits, uint each, uint value0, uint chunks, bool there,
                                 local struct xn_few_job *j) {
    uint g = d->chunks == 1 ? pair : pair / d->chunks, chunk = pair - g * d->chunks, before = chunk * d->together;
    uint end = xn_position_of_row(e, row) + 1, begin = xn_few_begin(d, end) + split * each;
    j->u.row = row;
    j->u.g = g;
    j->u.first_head = g * d->queries + before;
    j->u.heads = min(d->queries - before, d->together);
    j->u.split = split;
    j->u.splits = splits;
    j->u.begin = begin;
    j->u.end = !there ? 0 : split + 1 == splits ? end : begin + each;
    j->value0 = value0;
    j->chunks = chunks;
}

// Unit u of all; one of no positions where that is none.
static inline void xn_few_take(const struct xn_env *e, XN_D const struct xn_cl_attend *d, const struct xn_few_cut *c, uint u,
                               local struct xn_few_job *j) {
    uint a_row = d->kv_heads * d->chunks, row = 0, splits = 1, split = 0, share = 0;
    bool there = u < c->units;
    u = there ? u : 0;
    if (c->each == XN_WHOLE) {
        if (u >= a_row) { // shares of all, rows of those
            row = u / a_row;
            u -= row * a_row;
            if (c->shares > 1) {
                uint n = xn_rows(e);
                share = row / n;
                row -= share * n;
            }
        }
    } else {
#pragma unroll 1
        for (;; row++) {
            uint end = xn_position_of_row(e, row) + 1;
            splits = xn_few_splits(c, end - xn_few_begin(d, end));
            if (u < splits * a_row) break;
            u -= splits * a_row;
        }
        if (u >= a_row) {
            split = u / a_row;
            u -= split * a_row;
        }
    }
    xn_few_job_of(e, d, row, u, split, splits, c->each, 64 * share, c->shares > 1 ? 1 : (d->value_size + 63) / 64, there,
                  j);
}
