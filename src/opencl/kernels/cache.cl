// Reading cached keys and values of any type (shared.h says how those in blocks lie).

#ifndef XN_D // where descriptors stand
#define XN_D global
#endif

#if defined(XN_CACHE_Q8_0) || defined(XN_CACHE_Q4_0)
#define XN_CACHE_BLOCKS
#define XN_CACHE_BLOCK 32u
#ifdef XN_CACHE_Q8_0
#define XN_BLOCK_BYTES 32u // of its codes
#else
#define XN_BLOCK_BYTES 16u
#endif
#endif

// The vector of a head at a position: its values, or codes and scales.
struct xn_row {
    global uchar *values;
    global half *scales;
};

static inline struct xn_row xn_row_at(const struct xn_env *e, XN_D const struct xn_cl_cache *c,
                                      global const struct xn_cl_span *span, uint g, uint position) {
#ifdef XN_CACHE_BLOCKS
    uint page_size = xn_step_of(e)->page_size, i = position % page_size, blocks = c->size / XN_CACHE_BLOCK;
    global uchar *head = xn_page(e, c, e->step[span->pages + position / page_size]) +
                         (ulong)g * page_size * blocks * (XN_BLOCK_BYTES + 2);
    struct xn_row row = {head + i * blocks * XN_BLOCK_BYTES,
                         (global half *)(head + page_size * blocks * XN_BLOCK_BYTES) + i * blocks};
#else
    struct xn_row row = {xn_cached(e, c, span, g, position), 0};
#endif
    return row;
}

static inline float xn_row_load(struct xn_row row, uint i) {
#if defined(XN_CACHE_Q8_0)
    return vload_half(i / 32, row.scales) * (float)((global const char *)row.values)[i];
#elif defined(XN_CACHE_Q4_0)
    uint word = ((global const uint *)row.values)[i / 8];
    return vload_half(i / 32, row.scales) * (float)((int)(word >> (i / 2 % 4 * 4 + i % 2 * 16) & 15) - 8);
#else
    return xn_cache_load(row.values, i);
#endif
}
