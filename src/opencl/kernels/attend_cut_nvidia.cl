// attend for few rows on NVIDIA's GPUs: how the work is cut (attend_tile_nvidia.cl and attend_few_nvidia.cl do it).
//
// A step of few rows is bound by what waits for each other here, not by bytes. So a context is one part unless it is long,
// for to join parts takes the time of many positions; instead the groups share the values.
//
// XN_FEW_SIZES(X): the sizes that are compiled, X(number, chunks of 32 values of a key, chunks of 64 of a value); the
// descriptor says which one an operation takes.

#define XN_FEW_OPERATION // this is all of attend, but for the sizes of no number
#define XN_FEW_POSITIONS 16
#define XN_FEW_WHOLE 1024    // positions that are one part: to join parts costs more than to go on
#define XN_FEW_PART 256      // the fewest positions of a part
#define XN_FEW_VALUE_CHUNKS 2 // of values, the most that a group works at
#define XN_FEW_PLACES (XN_WARPS < 4 ? 4 : XN_WARPS) // of warps' maxima and sums
#ifdef XN_CACHE_BLOCKS
#define XN_FEW_LEAST_UNIT 0x1p-30f
#else
#define XN_FEW_LEAST_UNIT 1.0f
#endif
// Local memory, in floats: what the group works at; maxima, then sums, of eight heads of each warp; queries; scales of each
// warp's tile. The sums of warps come over queries and scales.
#define XN_AT_FEW_JOB XN_AT_BODY // struct xn_few_job
#define XN_AT_FEW_CUT (XN_AT_FEW_JOB + 16) // struct xn_few_cut
#define XN_AT_FEW_MOST (XN_AT_FEW_CUT + 16)
#define XN_AT_FEW_SUM (XN_AT_FEW_MOST + 8 * XN_FEW_PLACES)
#define XN_AT_FEW_QUERY (XN_AT_FEW_SUM + 8 * XN_FEW_PLACES)
#define XN_FEW_SCALES(chunks) (XN_FEW_POSITIONS * (chunks) / 2) // room of a tile's, of so many blocks a position
#if XN_AT_FEW_QUERY + 512 * XN_WARPS > XN_SCRATCH || XN_AT_FEW_QUERY % 4
#error "attention needs more local memory than operations get"
#endif

// What a group works at: a unit, of which only some values: `chunks` of 64 from value0 on.
struct xn_few_job {
    struct xn_unit_of_attention u;
    uint value0, chunks;
    uint rows; // of the batch
};

// --- the cut ---

// How the work is cut: contexts into parts of `each` positions; values into `shares` of so many chunks of 64.
struct xn_few_cut {
    uint rows, each, shares, chunks, units;
    uint splits[XN_CL_SPLIT_ROWS]; // of each row
};

static inline uint xn_few_value_chunks(XN_D const struct xn_cl_attend *d) {
    return (d->value_size + 63) / 64;
}
// Contexts in parts of `each` positions, values in shares of so many chunks: `parts` of all rows' contexts. Every work-item of
// a group writes the same, and each thing once, so that it may read at once what its warp has written.
static inline void xn_few_put_cut(XN_D const struct xn_cl_attend *d, uint rows, uint each, uint parts, uint chunks,
                                  local struct xn_few_cut *c) {
    uint shares = chunks > 1 ? (xn_few_value_chunks(d) + 1) / XN_FEW_VALUE_CHUNKS : xn_few_value_chunks(d);
    c->rows = rows;
    c->each = each;
    c->shares = shares;
    c->chunks = chunks;
    c->units = parts * d->kv_heads * d->chunks * shares;
}

// Positions that a row sees are those from here on.
static inline uint xn_few_begin(XN_D const struct xn_cl_attend *d, uint end) {
    return d->window && end > d->window ? end - d->window : 0;
}
static inline void xn_few_cut_of(const struct xn_env *e, XN_D const struct xn_cl_attend *d, uint groups,
                                 local struct xn_few_cut *c) {
    uint n = xn_rows(e), a_row = d->kv_heads * d->chunks, seen = 0, each = XN_WHOLE, parts = n;
    uint chunks = XN_FEW_VALUE_CHUNKS;
    if (n <= XN_CL_SPLIT_ROWS) {
        if (xn_lane() < n) { // a lane's row
            uint end = xn_position_of_row(e, xn_lane()) + 1;
            seen = end - xn_few_begin(d, end);
        }
        uint longest = xn_warp_most(seen), all = xn_warp_total(seen); // which is below 2^31 of each row
        if (longest <= XN_FEW_WHOLE || d->splits == 1) {
            if (n * a_row * xn_few_value_chunks(d) <= groups) chunks = 1;
        } else {
            // No more parts than there are groups, as far as that can be; of each row the last part is a short one.
            uint sharing = groups / (a_row * ((xn_few_value_chunks(d) + 1) / XN_FEW_VALUE_CHUNKS));
            uint wanted = sharing > n ? sharing - n + 1 : 1;
            each = max((all + wanted - 1) / wanted, (longest + d->splits - 1) / d->splits);
            each = max((each + XN_FEW_POSITIONS - 1) / XN_FEW_POSITIONS * XN_FEW_POSITIONS, (uint)XN_FEW_PART);
            uint splits = (seen + each - 1) / each;
            if (xn_lane() < XN_CL_SPLIT_ROWS) c->splits[xn_lane()] = splits;
            parts = xn_warp_total(splits);
        }
    }
    xn_few_put_cut(d, n, each, parts, chunks, c);
    xn_warp_together();
}

// Part `split` of `splits` of what a row sees, key-value head and chunk of its heads by number, a share of the values. Every
// work-item of a group writes the same, so none needs to wait. `there`: it has positions.
static inline void xn_few_job_of(const struct xn_env *e, XN_D const struct xn_cl_attend *d, local const struct xn_few_cut *c,
                                 uint row, uint pair, uint split, uint splits, uint share, bool there,
                                 local struct xn_few_job *j) {
    uint g = d->chunks == 1 ? pair : pair / d->chunks, before = (pair - g * d->chunks) * d->together;
    uint end = xn_position_of_row(e, row) + 1, begin = xn_few_begin(d, end) + (split ? split * c->each : 0);
    j->u.row = row;
    j->u.g = g;
    j->u.first_head = g * d->queries + before;
    j->u.heads = min(d->queries - before, d->together);
    j->u.split = split;
    j->u.splits = splits;
    j->u.begin = begin;
    j->u.end = !there ? 0 : split + 1 == splits ? end : begin + c->each;
    j->value0 = share * c->chunks * 64;
    j->rows = c->rows;
    j->chunks = min(c->chunks, xn_few_value_chunks(d) - share * c->chunks);
}

// Unit u of all; one of no positions where that is none.
static inline void xn_few_take(const struct xn_env *e, XN_D const struct xn_cl_attend *d, local const struct xn_few_cut *c, uint u,
                               local struct xn_few_job *j) {
    uint a_row = d->kv_heads * d->chunks, inner = a_row * c->shares, row = 0, splits = 1, split = 0, share = 0;
    bool there = u < c->units;
    u = there ? u : 0;
    if (c->each == XN_WHOLE) {
        if (u >= inner) row = u / inner;
        u -= row * inner;
    } else {
#pragma unroll 1
        for (;; row++) {
            splits = c->splits[row];
            if (u < splits * inner) break;
            u -= splits * inner;
        }
        if (u >= inner) split = u / inner;
        u -= split * inner;
    }
    if (u >= a_row) share = u / a_row;
    xn_few_job_of(e, d, c, row, u - share * a_row, split, splits, share, there, j);
}
