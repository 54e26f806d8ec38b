// Sums of a part of the units of rows of one format, by all warps.
static inline void xn_sums_of(const struct xn_env *e, const struct xn_sums *s, uint type, uint way, local float *scratch) {
    switch (type) {
#ifdef XN_TILES
#define XN_CODED_CASE(F)
#else
#define XN_CODED_CASE(F) XN_ROW_CASE(F)
#endif
#define XN_ROW_CASE(F)                                                                                                 \
    case XN_TYPE_##F:                                                                                                  \
        xn_row_sums_##F(e, s, scratch);                                                                                \
        break;
#define X(F) XN_BY_##F(XN_CODED_CASE, XN_ROW_CASE)(F)
        XN_FORMATS(X)
#undef X
    }
}
#ifdef XN_TILES
static inline void xn_tile_sums_of(const struct xn_env *e, const struct xn_sums *s, uint type, struct xn_tiles tiles,
                                   local float *scratch) {
    local float *y = scratch + xn_y_begin(s->slice->rows);
    switch (type) {
#define XN_TILE_CASE(F)                                                                                                \
    case XN_TYPE_##F:                                                                                                  \
        xn_tile_sums_##F(e, s, tiles, y, scratch + XN_AT_XS);                                                          \
        break;
#define X(F) XN_BY_##F(XN_TILE_CASE, XN_NO_TILE)(F)
        XN_FORMATS(X)
#undef X
    }
}
#endif

#ifdef XN_TILES
// Asks for what rows of a format have of the units of `s`, but for their scales, by `workers` work-items. Of chunks of a few
// long rows the first is asked for while others are waited for, and each other one before the product with the one before
// it, so that something is on its way while activations are staged; of many rows it would be so much that activations wait
// behind it.
#define XN_TILE_NARROW (3 * XN_TILE_ROWS)
#define XN_TILE_LINES (XN_TILE_CHUNK * 16 / XN_LINE) // of a row's plane, the most
static inline void xn_tile_ask(const struct xn_env *e, const struct xn_sums *s, uint type, uint worker, uint workers) {
    uint bytes = 0, planes = 0;
    switch (type) {
#define XN_TILE_SIZES(F)                                                                                               \
    case XN_TYPE_##F:                                                                                                  \
        bytes = XN_TILE_BYTES_##F;                                                                                     \
        planes = XN_TILE_PLANES_##F;                                                                                   \
        break;
#define X(F) XN_BY_##F(XN_TILE_SIZES, XN_NO_TILE)(F)
        XN_FORMATS(X)
#undef X
    }
#pragma unroll 1
    for (uint i = worker; i < (s->end - s->r0) * XN_TILE_LINES; i += workers) {
        uint at = i % XN_TILE_LINES * XN_LINE;
        if (at >= s->n * bytes) continue;
        struct xn_row_at row = xn_row_at_of(e, s, s->r0 + i / XN_TILE_LINES);
        global const uchar *from = row.piece + (ulong)row.first * bytes + at;
        xn_prefetch_line(from);
        if (planes > 1) xn_prefetch_line(from + XN_PLANE(bytes * row.units));
    }
}
#endif

// Asks for the first that is read of a slice: else what the host has listed. By the helpers.
static inline void xn_ask_for_slice(const struct xn_env *e, local struct xn_cl_slice *slice) {
#ifdef XN_TILES
    uint type = slice->segment[0].type;
    if (slice->cuts) {
        struct xn_sums s = {0, XN_TILE_BLOCK, 0, slice->rows, 0, false, slice};
        xn_tile_ask(e, &s, type, xn_helper(), XN_HELPERS);
        return;
    }
    if (slice->units > XN_TILE_CHUNK && slice->rows <= XN_TILE_NARROW && xn_has_codes(type)) {
        struct xn_sums s = {0, XN_TILE_CHUNK, 0, slice->segment[0].end, 0, false, slice};
        xn_tile_ask(e, &s, type, xn_helper(), XN_HELPERS);
        return;
    }
#endif
    xn_prefetch_slice(e, slice);
    uint at = xn_helper() * (XN_LINE / 4); // all groups read the norm's weights, which nobody has read before
    if (slice->norm.kind != XN_NORM_NONE && slice->norm.weight != XN_CL_NONE && at < slice->k)
        xn_prefetch_line((global const uchar *)(e->vec + slice->norm.weight + at));
}

// Units of activations that stand in local memory at once: whole blocks of 256 values. Tiles' are chunks of one length, but
// for the last, so that they are dealt out alike.
static inline uint xn_chunk(uint units, uint way, const local struct xn_cl_slice *slice) {
    uint room = way == XN_STAGE_FLOATS ? XN_FLOAT_UNITS : XN_CODE_UNITS;
#ifdef XN_TILES
    if (way == XN_STAGE_TILES) {
        room = xn_tile_units(slice->rows) & ~7u;
        if (units <= room) return units;
        room = min(room, (uint)XN_TILE_CHUNK);
        uint chunks = (units + room - 1) / room;
        return (units + chunks - 1) / chunks + 7 & ~7u;
    }
#endif
    return min(units, room & ~7u);
}

// y[token][row] of a slice (xn_y), but for the scale of a norm (XN_AT_MOMENTS). The slice is behind a barrier; ends with one.
static inline void xn_product(const struct xn_env *e, struct xn_job *j, local float *scratch) {
    local struct xn_cl_slice *slice = j->s;
    struct xn_operand *o = &j->o;
    bool busy = false; // some may still multiply what stands there, whoever put it there
    uint r0 = 0, units = slice->units;
#pragma unroll 1
    for (uint i = 0; i < slice->segments; i++) {
        uint type = slice->segment[i].type, end = slice->segment[i].end, way = xn_stage_of(type);
        uint n = xn_chunk(units, way, slice);
#ifdef XN_TILES
        struct xn_tiles tiles = xn_tiles_of(r0, end, n);
#endif
#pragma unroll 1
        for (uint u0 = 0; u0 < units; u0 += n) {
            struct xn_sums s = {u0, min(units - u0, n), r0, end, o->n, u0 != 0, slice};
            // A chunk is never there: another one was.
            if (xn_must_stage(o, n < units ? XN_STAGE_CHUNK + u0 : way)) {
                if (busy) barrier(CLK_LOCAL_MEM_FENCE);
                xn_stage(e, o, way, u0, s.n, scratch);
            }
            busy = true;
#ifdef XN_TILES
            if (way == XN_STAGE_TILES) {
                if (u0 + n < units && slice->rows <= XN_TILE_NARROW) {
                    struct xn_sums next = {u0 + n, min(units - u0 - n, n), r0, end, o->n, true, slice};
                    xn_tile_ask(e, &next, type, get_local_id(0), XN_GROUP);
                }
                xn_tile_sums_of(e, &s, type, tiles, scratch);
            } else
#endif
                xn_sums_of(e, &s, type, way, scratch);
        }
#ifdef XN_TILES
        if (way == XN_STAGE_TILES) {
            barrier(CLK_LOCAL_MEM_FENCE);
            xn_tile_join(r0, end, tiles, scratch + xn_y_begin(slice->rows));
            if (i + 1 < slice->segments) barrier(CLK_LOCAL_MEM_FENCE);
        }
#endif
        r0 = end;
    }
    xn_copied(); // what results need
    barrier(CLK_LOCAL_MEM_FENCE);
}

// A result.
static inline float xn_y(const struct xn_job *j, uint t, uint r, local const float *scratch) {
    uint rows = j->s->rows, shares = j->s->shares;
    local const float *y = scratch + xn_y_begin(rows * shares);
    float x = y[xn_y_place(t, r)];
#pragma unroll 1
    for (uint i = 1; i < shares; i++)
        x += y[xn_y_place(t, i * rows + r)];
    return x * scratch[XN_AT_MOMENTS + 2 * t + 1];
}
