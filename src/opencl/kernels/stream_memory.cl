// Local memory of products of few rows on NVIDIA's GPUs (stream.cl), in floats.
#ifdef XN_ONE
#define XN_TOKENS 1
#define XN_SIZE_XS 7296 // activations
#define XN_ROWS 288     // of weights that a group takes at once
#define XN_STEWARD      // a warp of its own prepares the next operation (walk.cl), so that there are two tables
#else
#define XN_TOKENS XN_CL_STREAM_TOKENS
#define XN_SIZE_XS 9856
#define XN_ROWS 64
#endif
#define XN_AT_XS 0
#define XN_AT_RED (XN_AT_XS + 4096)     // for reductions outside of products, behind what a choice of experts takes
#define XN_AT_Y (XN_AT_XS + XN_SIZE_XS) // results, [token][XN_ROWS]
#define XN_AT_SUM (XN_AT_Y + XN_TOKENS * XN_ROWS)    // of experts' results
#define XN_AT_SQUARES (XN_AT_SUM + XN_ROWS)          // of each warp's share of a token
#define XN_AT_MOMENTS (XN_AT_SQUARES + XN_WARPS)     // of a token: squares, scale
#define XN_AT_FLAG (XN_AT_MOMENTS + 2 * XN_TOKENS)
#define XN_AT_TABLES ((XN_AT_FLAG + 4) / 4 * 4)

// Of a table: where each row of weights begins, and which part of the activations it meets; cosine and sine for each token
// and two rows; segments; places in the cache, two words for each token and part.
#define XN_AT_TABLE 0
#define XN_AT_PART (XN_AT_TABLE + 4 * XN_ROWS)
#define XN_AT_ROPE (XN_AT_PART + XN_ROWS)
#define XN_AT_SEGMENTS (XN_AT_ROPE + XN_TOKENS * XN_ROWS)
#define XN_AT_CACHED (XN_AT_SEGMENTS + 4 * XN_CL_MAX_PARTS)
#define XN_SIZE_TABLE (XN_AT_CACHED + 2 * XN_TOKENS * XN_CL_MAX_PARTS)
#define XN_FREE_SCRATCH XN_AT_TABLES // what operations without products may use: the next one's table may be there already
#ifdef XN_STEWARD
#define XN_TABLES 2
#else
#define XN_TABLES 1
#endif
#if XN_AT_TABLES + XN_TABLES * XN_SIZE_TABLE > XN_SCRATCH || XN_SIZE_XS < 4096 + 2 * XN_GROUP || XN_AT_CACHED % 2 || XN_AT_SEGMENTS % 4 || XN_SIZE_TABLE % 4
#error "products need more local memory than operations get"
#endif

// Units of a token's activations that stand in local memory at once.
#define XN_CODE_UNITS (XN_SIZE_XS / XN_TOKENS / 11)
#define XN_FLOAT_UNITS (XN_SIZE_XS / XN_TOKENS / 32)
