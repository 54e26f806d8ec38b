// Causal depthwise convolutions with the window of a sequence before them. All of short_conv is one; delta nets and
// state spaces begin with one, for many rows as an operation of its own, for few within their step (scan_step.cl).

#define XN_CONV_TAPS 4  // up to which a work-item holds what the taps meet
#define XN_CONV_ROWS 16 // of a unit

// One channel of a span: its inputs, those of rows before the span, and its taps, the oldest first. Row i < 0 of the
// span is row `before` + i of the window, which has `channels` values a row.
struct xn_conv {
    global const float *in, *taps;
    global float *window;
    uint stride, channels, before; // before: taps - 1
    uint times;                    // inputs are products of two values that stand so far apart; 0: they are not
};
static inline float xn_conv_input(const struct xn_conv *x, int row) {
    global const float *in = x->in + (long)row * x->stride,
                       *before = x->window + (long)((int)x->before + row) * x->channels;
    float value = XN_LOAD_NOW(row < 0 ? before : in); // where it is, is chosen, so that no read waits behind a branch
    return x->times && row >= 0 ? value * in[x->times] : value;
}
// What the taps give for row r of the span, of so few taps that all is asked for before the first product, in two
// halves. In place of taps that are not there it is the oldest again.
struct xn_conv_few {
    float tap[XN_CONV_TAPS], value[XN_CONV_TAPS];
};
static inline struct xn_conv_few xn_conv_ask(const struct xn_conv *x, int r) {
    struct xn_conv_few f;
    int before = (int)x->before;
#pragma unroll
    for (int t = 0; t < XN_CONV_TAPS; t++) {
        f.tap[t] = XN_LOAD_NOW(x->taps + max(before - t, 0));
        f.value[t] = xn_conv_input(x, r - min(t, before));
    }
    return f;
}
static inline float xn_conv_sum_few(const struct xn_conv_few *f, uint before) {
    float sum = 0;
#pragma unroll
    for (uint t = 0; t < XN_CONV_TAPS; t++)
        if (t <= before) sum += f->tap[t] * f->value[t];
    return sum;
}
// The same of many taps, and of any number.
static inline float xn_conv_sum_many(const struct xn_conv *x, int r) {
    float sum = 0;
    for (int t = 0; t <= (int)x->before; t++)
        sum += x->taps[x->before - t] * xn_conv_input(x, r - t);
    return sum;
}
static inline float xn_conv_sum(const struct xn_conv *x, int r) {
    if (x->before >= XN_CONV_TAPS) return xn_conv_sum_many(x, r);
    struct xn_conv_few f = xn_conv_ask(x, r);
    return xn_conv_sum_few(&f, x->before);
}
// Moves the window on by the n rows of the span. Nobody else may still read it.
static inline void xn_conv_move(const struct xn_conv *x, uint n) {
    int before = (int)x->before;
    if (before >= XN_CONV_TAPS) {
        for (int t = 0; t < before; t++) // from what stands behind, which is not written yet
            x->window[(long)t * x->channels] = xn_conv_input(x, (int)n + t - before);
        return;
    }
    float value[XN_CONV_TAPS - 1];
#pragma unroll
    for (int t = 0; t < XN_CONV_TAPS - 1; t++)
        value[t] = before ? xn_conv_input(x, (int)n + min(t, before - 1) - before) : 0;
#pragma unroll
    for (int t = 0; t < XN_CONV_TAPS - 1; t++)
        if (t < before) x->window[(long)t * x->channels] = value[t];
}

#ifdef XN_OP_CONVOLVE
// Channel c; the span begins at row `first` of the batch.
static inline struct xn_conv xn_conv_of(const struct xn_env *e, XN_D const struct xn_cl_convolve *d, uint first,
                                        uint c) {
    struct xn_conv x = {e->act + d->in + (ulong)first * d->in_stride + c,
                        e->vec + d->conv + (ulong)c * d->taps,
                        0,
                        d->in_stride,
                        d->channels,
                        d->taps - 1,
                        d->gated ? 2 * d->channels : 0};
    return x;
}
// What a sum becomes: factor is that of gated ones.
static inline float xn_conv_factor(const struct xn_env *e, XN_D const struct xn_cl_convolve *d, uint row, uint c) {
    return d->gated ? e->act[d->in + (ulong)row * d->in_stride + d->channels + c] : 0;
}
static inline void xn_conv_store(const struct xn_env *e, XN_D const struct xn_cl_convolve *d, uint row, uint c,
                                 float sum, float bias, float factor) {
    sum += bias;
    e->act[d->out + (ulong)row * d->out_stride + c] = sum * (d->gated ? factor : xn_sigmoid(sum));
}
static inline float xn_conv_bias(const struct xn_env *e, XN_D const struct xn_cl_convolve *d, uint c) {
    return d->bias != XN_CL_NONE ? e->vec[d->bias + c] : 0;
}

// The rows of span s that the window reaches, then the window moves on: of a channel, all by one work-item, so that
// nobody reads what another writes.
static inline void xn_conv_begin(const struct xn_env *e, XN_D const struct xn_cl_convolve *d, uint s, uint c) {
    struct xn_rows_of rows = xn_rows_of_span(e, s);
    struct xn_conv x = xn_conv_of(e, d, rows.first, c);
    float bias = xn_conv_bias(e, d, c);
    x.window = xn_slot(e, &d->states, rows.slot) + c;
    for (uint r = 0; r < min(rows.n, x.before); r++) {
        float factor = xn_conv_factor(e, d, rows.first + r, c);
        xn_conv_store(e, d, rows.first + r, c, xn_conv_sum(&x, (int)r), bias, factor);
    }
    xn_conv_move(&x, rows.n);
}
#ifdef XN_WALK
// Before others are waited for: asks for taps and windows.
static inline void xn_begin_convolve(const struct xn_env *e, XN_D const struct xn_cl_convolve *d, uint group,
                                     uint groups) {
    uint n = xn_spans(e) * d->channels;
    for (uint i = group * XN_GROUP + get_local_id(0); i < n; i += groups * XN_GROUP) {
        uint s = i / d->channels, c = i - s * d->channels;
        xn_prefetch_line((global const uchar *)(e->vec + d->conv + (ulong)c * d->taps));
        global float *window = d->taps > 1 ? xn_slot(e, &d->states, xn_rows_of_span(e, s).slot) + c : 0;
        for (uint t = 0; t + 1 < d->taps; t++)
            xn_prefetch_line((global const uchar *)(window + (ulong)t * d->channels));
    }
}
#endif
// Those of rows [first, end) of the batch that no window reaches.
static inline void xn_conv_rows(const struct xn_env *e, XN_D const struct xn_cl_convolve *d, uint first, uint end,
                                uint c) {
    struct xn_conv x = xn_conv_of(e, d, 0, c);
    float bias = xn_conv_bias(e, d, c);
    uint before = x.before;
    if (before >= XN_CONV_TAPS) {
        for (uint row = first; row < end; row++)
            if (row - xn_span_at(e, xn_span_of_row(e, row))->first_row >= before)
                xn_conv_store(e, d, row, c, xn_conv_sum(&x, (int)row), bias, xn_conv_factor(e, d, row, c));
        return;
    }
    // Rows before `first` may be another sequence's, and then meet no tap here.
    float tap0 = x.taps[before], tap1 = before > 0 ? x.taps[before - 1] : 0, tap2 = before > 1 ? x.taps[before - 2] : 0,
          tap3 = before > 2 ? x.taps[0] : 0;
    float x1 = before > 0 && first > 0 ? xn_conv_input(&x, (int)first - 1) : 0,
          x2 = before > 1 && first > 1 ? xn_conv_input(&x, (int)first - 2) : 0,
          x3 = before > 2 && first > 2 ? xn_conv_input(&x, (int)first - 3) : 0;
    uint of_span = 0, end_of_span = 0; // the rows of the row's span
#pragma unroll 4
    for (uint row = first; row < end; row++) {
        float x0 = xn_conv_input(&x, (int)row), sum = tap0 * x0;
        if (row >= end_of_span) {
            global const struct xn_cl_span *span = xn_span_at(e, xn_span_of_row(e, row));
            of_span = span->first_row;
            end_of_span = of_span + span->n_rows;
        }
        if (before > 0) sum += tap1 * x1; // what is no input of the row may be infinite
        if (before > 1) sum += tap2 * x2;
        if (before > 2) sum += tap3 * x3;
        if (row - of_span >= before) xn_conv_store(e, d, row, c, sum, bias, xn_conv_factor(e, d, row, c));
        x3 = x2;
        x2 = x1;
        x1 = x0;
    }
}

// Units: the beginning of each span, then all rows in blocks; a work-item takes a channel of one.
static inline void xn_op_convolve(const struct xn_env *e, XN_D const struct xn_cl_convolve *d, uint group,
                                  uint groups, local float *scratch) {
    uint rows = xn_rows(e), begins = d->taps > 1 ? xn_spans(e) : 0;
    uint blocks = (rows + XN_CONV_ROWS - 1) / XN_CONV_ROWS, n = (begins + blocks) * d->channels;
    for (uint i = group * XN_GROUP + get_local_id(0); i < n; i += groups * XN_GROUP) {
        uint u = i / d->channels, c = i - u * d->channels, first = (u - begins) * XN_CONV_ROWS;
        if (u < begins)
            xn_conv_begin(e, d, u, c);
        else
            xn_conv_rows(e, d, first, min(first + XN_CONV_ROWS, rows), c);
    }
}
XN_OP_KERNEL(convolve)
#endif
