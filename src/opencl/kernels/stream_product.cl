// y[token][row] of a slice, but for the scale of a norm (XN_AT_MOMENTS). The slice is behind a barrier; ends with one.
static inline void xn_product(const struct xn_env *e, struct xn_job *j, local float *scratch) {
    local struct xn_cl_slice *slice = j->s;
    struct xn_operand *o = &j->o;
    bool busy = false; // some may still multiply what stands there, whoever put it there
    uint r0 = 0, units = slice->units;
#pragma unroll 1
    for (uint i = 0; i < slice->segments; i++) {
        uint type = slice->segment[i].type, end = slice->segment[i].end;
        bool codes = xn_has_codes(type);
        uint room = (codes ? XN_CODE_UNITS : XN_FLOAT_UNITS) & ~7u; // whole blocks of 256 values
        uint n = min(units, room);
#pragma unroll 1
        for (uint u0 = 0; u0 < units; u0 += n) {
            struct xn_sums s = {u0, min(units - u0, n), r0, end, o->n, u0 != 0, slice};
            // A chunk is never there: another one was.
            if (xn_must_stage(o, n < units ? 3 + u0 : codes ? 2 : 1)) {
                if (busy) barrier(CLK_LOCAL_MEM_FENCE);
                xn_stage(e, o, codes, u0, s.n, scratch);
            }
            busy = true;
            switch (type) {
#define X(F)                                                                                                           \
    case XN_TYPE_##F:                                                                                                  \
        xn_row_sums_##F(e, &s, scratch);                                                                               \
        break;
                XN_FORMATS(X)
#undef X
            }
        }
        r0 = end;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

// A result.
static inline float xn_y(const struct xn_job *j, uint t, uint r, local const float *scratch) {
    local const float *y = scratch + XN_AT_Y + t * XN_ROWS + r;
    float x = y[0];
    uint rows = j->s->rows;
#pragma unroll 1
    for (uint i = 1; i < j->s->shares; i++)
        x += y[i * rows];
    return x * scratch[XN_AT_MOMENTS + 2 * t + 1];
}
