// Writing a synthetic model: weights out of pools.
//
// Encoding gigabytes would take minutes. So for each format, row length and deviation one pool of units (256 values, or
// as many as divide a row) is encoded, and rows are strung together from units that a hash of their place chooses.
#include "model/synth.h"
#include "base/memory.h"
#include "format/gguf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POOL_VALUES = 1 << 19, UNIT_VALUES = 256 };

// Encoded units of one format and deviation.
struct pool {
    uint32_t type;
    float deviation;
    uint32_t unit;  // values of one
    uint32_t count; // of units, a power of two
    size_t unit_bytes;
    uint8_t *blocks;
};

struct synth {
    const struct xn_shape *shape;
    uint64_t seed;
    struct pool *pools;
    size_t n_pools, pools_capacity;
};

// One tensor, as its callback sees it.
struct source {
    struct synth *synth;
    const struct xn_synth_tensor *tensor;
    uint64_t seed;
};

// SplitMix64's output function: https://doi.org/10.1145/2660193.2660195
static uint64_t mix(uint64_t x) {
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

static double uniform(uint64_t seed, uint64_t i) { // in (0, 1)
    return ((double)(mix(seed ^ mix(i)) >> 12) + 0.5) * 0x1p-52;
}

static double normal(uint64_t seed, uint64_t i) {
    return sqrt(-2 * log(uniform(seed, 2 * i))) * cos(2 * M_PI * uniform(seed, 2 * i + 1));
}

static uint32_t unit_of(uint64_t row) { // the largest power of two that divides the row, at most UNIT_VALUES
    uint64_t unit = row & -row;
    return unit < UNIT_VALUES ? (uint32_t)unit : UNIT_VALUES;
}

static int make_pool(struct synth *s, struct pool *pool, struct xn_error *err) {
    const struct xn_format *format = xn_format_of(pool->type);
    size_t values = (size_t)pool->count * pool->unit, bytes;
    if (!format->encode) return xn_fail(err, XN_ERR_UNSUPPORTED, "%s can't be written yet", format->name);
    if (!xn_format_bytes(format, values, &bytes))
        return xn_fail(err, XN_ERR_ARGUMENT, "%u values are no whole blocks of %s", pool->unit, format->name);
    float *floats = xn_alloc(values, sizeof *floats);
    pool->blocks = xn_alloc(bytes, 1);
    if (!floats || !pool->blocks) {
        free(floats);
        free(pool->blocks);
        return xn_fail(err, XN_ERR_NOMEM, "no memory for %zu random weights", values);
    }
    uint64_t seed =
        mix(s->seed ^ mix(pool->type ^ (uint64_t)pool->unit << 32)) ^ mix((uint64_t)(1e9 * pool->deviation));
    for (size_t i = 0; i < values; i++)
        floats[i] = (float)(pool->deviation * normal(seed, i));
    format->encode(floats, pool->blocks, values, NULL);
    pool->unit_bytes = bytes / pool->count;
    free(floats);
    return XN_OK;
}

// The pool for a tensor's rows, made when it is first asked for.
static int find_pool(struct synth *s, const struct xn_synth_tensor *t, const struct pool **out, struct xn_error *err) {
    struct pool wanted = {.type = t->type, .deviation = t->deviation, .unit = unit_of(t->dims[0]), .count = 1};
    uint64_t values = t->dims[0] * t->dims[1] * t->dims[2]; // a small tensor needs no large pool
    while (wanted.count < POOL_VALUES / wanted.unit && (uint64_t)wanted.count * wanted.unit < values)
        wanted.count *= 2;
    for (size_t i = 0; i < s->n_pools; i++) {
        const struct pool *p = &s->pools[i];
        if (p->type == wanted.type && p->deviation == wanted.deviation && p->unit == wanted.unit &&
            p->count == wanted.count) {
            *out = p;
            return XN_OK;
        }
    }
    if (XN_GROW(s->pools, s->pools_capacity, s->n_pools + 1) != 0)
        return xn_fail(err, XN_ERR_NOMEM, "no memory for random weights");
    XN_TRY(make_pool(s, &wanted, err));
    s->pools[s->n_pools] = wanted;
    *out = &s->pools[s->n_pools++];
    return XN_OK;
}

static int produce_matrix(void *user, uint64_t offset, void *out, size_t size, struct xn_error *err) {
    const struct source *source = user;
    const struct pool *pool = NULL;
    XN_TRY(find_pool(source->synth, source->tensor, &pool, err));
    uint8_t *to = out;
    while (size > 0) {
        uint64_t unit = offset / pool->unit_bytes;
        size_t skip = (size_t)(offset % pool->unit_bytes), n = pool->unit_bytes - skip;
        if (n > size) n = size;
        uint64_t chosen = mix(source->seed ^ unit) & (pool->count - 1);
        memcpy(to, pool->blocks + chosen * pool->unit_bytes + skip, n);
        to += n;
        offset += n;
        size -= n;
    }
    return XN_OK;
}

// Llama 3's frequency scaling as the converter writes it: short waves stay, long ones are stretched, with a ramp
// between. Without it (gemma4) the pairs beyond a quarter of the head do not turn.
static double rope_factor(const struct xn_shape *s, uint64_t i) {
    if (s->rope_factor == 0) return i < s->rope_size / 8 ? 1 : 1e30;
    const double trained = 8192, low = 1, high = 4;
    double wave = 2 * M_PI * pow(s->rope_base, 2 * (double)i / s->rope_size);
    if (wave < trained / high) return 1;
    if (wave > trained / low) return s->rope_factor;
    double smooth = (trained / wave - low) / (high - low);
    return 1 / ((1 - smooth) / s->rope_factor + smooth);
}

static float vector_value(const struct source *source, uint64_t i) {
    double u = uniform(source->seed, i);
    switch (source->tensor->fill) {
    case XN_FILL_NORM:
        return (float)(1 + 0.1 * normal(source->seed, i));
    case XN_FILL_DECAY:
        return (float)(-1 - 15 * u);
    case XN_FILL_TIME_STEP:
        return (float)log(expm1(0.001 * pow(100, u)));
    case XN_FILL_ROPE_FACTOR:
        return (float)rope_factor(source->synth->shape, i);
    default:
        return (float)(0.1 * normal(source->seed, i));
    }
}

static int produce_vector(void *user, uint64_t offset, void *out, size_t size, struct xn_error *err) {
    (void)err;
    uint8_t *to = out;
    while (size > 0) {
        float value = vector_value(user, offset / sizeof value);
        size_t skip = (size_t)(offset % sizeof value), n = sizeof value - skip;
        if (n > size) n = size;
        memcpy(to, (const uint8_t *)&value + skip, n);
        to += n;
        offset += n;
        size -= n;
    }
    return XN_OK;
}

static int write_file(struct xn_gguf_writer *w, struct synth *synth, const struct xn_preset *preset,
                      const struct xn_synth_options *options, const struct xn_synth_tensor *tensors, size_t n,
                      struct source *sources, const char *path, const struct xn_progress *progress,
                      struct xn_error *err) {
    const struct xn_shape *shape = synth->shape;
    XN_TRY(xn_synth_add_metadata(w, shape, preset, options->layers ? options->layers : shape->layers, err));
    XN_TRY(xn_synth_add_tokenizer(w, shape->vocab, err));
    for (size_t i = 0; i < n; i++) {
        const struct xn_synth_tensor *t = &tensors[i];
        sources[i] = (struct source){synth, t, mix(options->seed ^ mix(i + 1))};
        xn_gguf_produce *produce = t->fill == XN_FILL_NORMAL ? produce_matrix : produce_vector;
        XN_TRY(xn_gguf_add_tensor(w, t->name, t->type, t->n_dims, t->dims, produce, &sources[i], err));
    }
    return xn_gguf_write(w, path, progress, err);
}

int xn_synth_write(const struct xn_shape *shape, const struct xn_preset *preset, const struct xn_synth_options *options,
                   const char *path, const struct xn_progress *progress, struct xn_error *err) {
    struct xn_synth_tensor *tensors = NULL;
    struct xn_gguf_writer *writer = NULL;
    struct source *sources = NULL;
    struct synth synth = {.shape = shape, .seed = options->seed};
    size_t n = 0;
    int status = xn_synth_tensors(shape, preset, options->layers, &tensors, &n, err);
    if (status != XN_OK) goto done;
    status = xn_gguf_writer_new(&writer, err);
    if (status != XN_OK) goto done;
    sources = xn_alloc(n, sizeof *sources);
    if (!sources) {
        status = xn_fail(err, XN_ERR_NOMEM, "no memory for the tensors of %s", shape->name);
        goto done;
    }
    status = write_file(writer, &synth, preset, options, tensors, n, sources, path, progress, err);
done:
    for (size_t i = 0; i < synth.n_pools; i++)
        free(synth.pools[i].blocks);
    free(synth.pools);
    free(sources);
    free(tensors);
    xn_gguf_writer_free(writer);
    return status;
}
