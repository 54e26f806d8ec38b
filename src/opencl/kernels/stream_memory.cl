// Local memory of products of few rows on NVIDIA's GPUs (stream.cl), in floats.
#ifdef XN_ONE
#define XN_TOKENS 1
#define XN_SIZE_XS 8448 // activations
#define XN_ROWS XN_CL_SLICE_ROWS // of weights that a group takes at once
#else
#define XN_TOKENS XN_CL_STREAM_TOKENS
#define XN_SIZE_XS 9856
#define XN_ROWS XN_CL_SLICE_ROWS_FEW
#endif
#define XN_AT_XS 0
#define XN_AT_RED (XN_AT_XS + 4096)     // for reductions outside of products, behind what a choice of experts takes
#define XN_AT_Y (XN_AT_XS + XN_SIZE_XS) // results, [token][XN_ROWS]
#define XN_AT_SUM (XN_AT_Y + XN_TOKENS * XN_ROWS)                      // of experts' results
#define XN_AT_CACHED (XN_AT_SUM + XN_ROWS)                             // places in the cache: two words for each token and part
#define XN_AT_SQUARES (XN_AT_CACHED + 2 * XN_TOKENS * XN_CL_MAX_PARTS) // of each warp's share of a token
#define XN_AT_MOMENTS (XN_AT_SQUARES + XN_WARPS)                       // of a token: squares, scale
#define XN_AT_FLAG (XN_AT_MOMENTS + 2 * XN_TOKENS)
#if XN_AT_FLAG >= XN_SCRATCH || XN_SIZE_XS < 4096 + 2 * XN_GROUP || XN_AT_CACHED % 2
#error "products need more local memory than operations get"
#endif

// Units of a token's activations that stand in local memory at once.
#define XN_CODE_UNITS (XN_SIZE_XS / XN_TOKENS / 11)
#define XN_FLOAT_UNITS (XN_SIZE_XS / XN_TOKENS / 32)
