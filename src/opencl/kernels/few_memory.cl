// Local memory of products of few rows of the batch on Intel's GPUs (few.cl), which are bound by reading weights. The
// activations stand there, rounded to 8 bits with a scale a unit (as codes.cl wants them), or as they are for formats
// without codes.

#ifdef XN_ONE
#define XN_TOKENS 1
#else
#define XN_TOKENS XN_CL_STREAM_TOKENS
#endif

// Local memory, in floats.
#define XN_SIZE_XS 6656 // activations
#define XN_SIZE_PART 3584
#ifdef XN_ONE
#define XN_ROWS 160 // of weights that a group takes at once
#else
#define XN_ROWS 32
#endif
#define XN_Y_STRIDE XN_ROWS
#define XN_MOST_ROWS XN_ROWS
#define XN_AT_XS 0
#define XN_AT_PART (XN_AT_XS + XN_SIZE_XS) // sums of units
#define XN_AT_RED XN_AT_PART               // for reductions outside of products
#define XN_AT_Y (XN_AT_PART + XN_SIZE_PART) // results, [token][XN_ROWS]
#define XN_AT_Y2 (XN_AT_Y + XN_TOKENS * XN_ROWS)
#define XN_AT_TABLE (XN_AT_Y2 + XN_TOKENS * XN_ROWS) // where each row of weights begins, and which activations it meets
#define XN_AT_OFFSET (XN_AT_TABLE + 4 * XN_ROWS)
#define XN_AT_MOMENTS (XN_AT_OFFSET + XN_ROWS)
#define XN_AT_FLAG (XN_AT_MOMENTS + 2 * XN_TOKENS)
#if XN_AT_FLAG >= XN_SCRATCH || XN_SIZE_PART < 2 * XN_GROUP
#error "products need more local memory than operations get"
#endif

// Units of a token's activations that stand in local memory at once.
#define XN_CODE_UNITS (XN_SIZE_XS / XN_TOKENS / 11)
#define XN_FLOAT_UNITS (XN_SIZE_XS / XN_TOKENS / 32)
// Where the sum of half a unit's activations stands among a token's.
#define XN_AT_HALF_SUM(unit, half) (9 * XN_CODE_UNITS + 2 * (unit) + (half))

// A part of the sum of row r with token t; the last one brings the norm's scale.
static inline void xn_put_sum(uint t, uint r, float sum, bool first, bool last, local const float *scratch,
                              local float *y) {
    if (!first) sum += y[t * XN_ROWS + r];
    y[t * XN_ROWS + r] = last ? sum * scratch[XN_AT_MOMENTS + 2 * t + 1] : sum;
}
