// store: heads of float32 values become blocks of the cache (device/cache.h says which codes). A work-item takes a block.

static inline float xn_code(float value, float inverse, float low, float high) {
    float code = rint(value * inverse);
    return code > low ? fmin(code, high) : low; // also of what is not a number
}

static inline void xn_store_block(global const float *x, struct xn_row row, uint block) {
    float largest = 0;
    for (uint i = 0; i < 32; i++)
        if (fabs(x[i]) > fabs(largest)) largest = x[i];
#ifdef XN_CACHE_Q8_0
    float scale = fabs(largest) / 127, inverse = scale != 0 ? 1 / scale : 0;
    global char *to = (global char *)row.values + 32 * block;
    for (uint i = 0; i < 32; i++)
        to[i] = (char)xn_code(x[i], inverse, -127, 127);
#else
    float scale = largest / -8, inverse = scale != 0 ? 1 / scale : 0;
    global uint *to = (global uint *)row.values + 4 * block;
    for (uint w = 0; w < 4; w++) {
        uint word = 0;
        for (uint i = 0; i < 8; i++)
            word |= (uint)((int)xn_code(x[8 * w + i], inverse, -8, 7) + 8) << (i / 2 * 4 + i % 2 * 16);
        to[w] = word;
    }
#endif
    vstore_half_rte(scale, block, row.scales);
}

static inline void xn_op_store(const struct xn_env *e, XN_D const struct xn_cl_store *d, uint group, uint groups,
                               local float *scratch) {
    global const struct xn_cl_step *step = xn_step_of(e);
    for (uint p = 0; p < d->n_parts; p++) {
        XN_D const struct xn_cl_store_part *part = &d->part[p];
        uint blocks = part->head_size / XN_CACHE_BLOCK, n = step->n_rows * part->heads * blocks;
        for (uint i = group * XN_GROUP + get_local_id(0); i < n; i += groups * XN_GROUP) {
            uint block = i % blocks, h = i / blocks % part->heads, r = i / blocks / part->heads;
            global const struct xn_cl_span *span = xn_span_at(e, xn_span_of_row(e, r));
            global const float *x = e->act + part->in + (ulong)r * part->in_stride + h * part->head_stride;
            struct xn_row row = xn_row_at(e, &part->cache, span, h, e->step[step->positions + r]);
            xn_store_block(x + XN_CACHE_BLOCK * block, row, part->cache_at / XN_CACHE_BLOCK + block);
        }
    }
}
XN_OP_KERNEL(store)
