// The formats that a program is built for: XN_FORMATS(X) is X(Q4_K) ..., XN_TYPE_Q4_K its number.
static inline void xn_decode(uint type, global const uchar *row, uint units, uint u, global const uint *grids,
                             float *v) {
    switch (type) {
#define X(F)                                                                                                           \
    case XN_TYPE_##F:                                                                                                  \
        xn_decode_##F(row, units, u, grids, v);                                                                        \
        break;
        XN_FORMATS(X)
#undef X
    }
}
