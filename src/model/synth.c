// Writing a synthetic model: metadata as llama.cpp's converter writes it, and weights out of pools.
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
// between.
static double rope_factor(const struct xn_shape *s, uint64_t i) {
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

// Metadata keys begin with the family.
struct keys {
    struct xn_gguf_writer *writer;
    const char *family;
    struct xn_error *err;
};

static int put_u32(const struct keys *k, const char *name, uint32_t value) {
    char key[96];
    snprintf(key, sizeof key, "%s.%s", k->family, name);
    return xn_gguf_add_u32(k->writer, key, value, k->err);
}

static int put_f32(const struct keys *k, const char *name, float value) {
    char key[96];
    snprintf(key, sizeof key, "%s.%s", k->family, name);
    return xn_gguf_add_f32(k->writer, key, value, k->err);
}

static int put_hybrid(const struct keys *k, const struct xn_shape *s) {
    int32_t pairs = (int32_t)s->rope_size / 2;
    int32_t sections[4] = {(pairs + 2) / 3, (pairs + 1) / 3, pairs / 3, 0}; // of time, height, width
    char key[96];
    snprintf(key, sizeof key, "%s.rope.dimension_sections", s->family);
    XN_TRY(xn_gguf_add_array(k->writer, key, XN_GGUF_I32, sections, 4, k->err));
    XN_TRY(put_u32(k, "full_attention_interval", s->interval));
    XN_TRY(put_u32(k, "ssm.conv_kernel", s->taps));
    XN_TRY(put_u32(k, "ssm.state_size", s->state));
    XN_TRY(put_u32(k, "ssm.group_count", s->key_heads));
    XN_TRY(put_u32(k, "ssm.time_step_rank", s->value_heads));
    return put_u32(k, "ssm.inner_size", s->value_heads * s->state);
}

static int put_rope(const struct keys *k, const struct xn_shape *s) {
    char key[96];
    XN_TRY(put_f32(k, "rope.freq_base", s->rope_base));
    XN_TRY(put_u32(k, "rope.dimension_count", s->rope_size));
    if (s->linear_factor > 0) {
        snprintf(key, sizeof key, "%s.rope.scaling.type", s->family);
        XN_TRY(xn_gguf_add_string(k->writer, key, "linear", k->err));
        XN_TRY(put_f32(k, "rope.scaling.factor", s->linear_factor));
    }
    if (s->window > 0) {
        XN_TRY(put_u32(k, "attention.sliding_window", s->window));
        XN_TRY(put_f32(k, "rope.freq_base_swa", 10000));
    }
    if (s->flags & XN_SHAPE_FUSED) { // phi3: a window of 0 tells Phi-4 from its elders
        XN_TRY(put_u32(k, "rope.scaling.original_context_length", s->context));
        XN_TRY(put_u32(k, "attention.sliding_window", 0));
    }
    return XN_OK;
}

static int put_metadata(struct xn_gguf_writer *w, const struct xn_shape *s, const struct xn_preset *preset,
                        uint32_t layers, struct xn_error *err) {
    struct keys k = {w, s->family, err};
    XN_TRY(xn_gguf_add_string(w, "general.architecture", s->family, err));
    XN_TRY(xn_gguf_add_string(w, "general.type", "model", err));
    XN_TRY(xn_gguf_add_string(w, "general.name", s->title, err));
    XN_TRY(xn_gguf_add_string(w, "general.description", "random weights, for measuring speed", err));
    XN_TRY(xn_gguf_add_u32(w, "general.file_type", preset->file_type, err));
    XN_TRY(xn_gguf_add_u32(w, "general.quantization_version", 2, err));
    XN_TRY(put_u32(&k, "block_count", layers));
    XN_TRY(put_u32(&k, "context_length", s->context));
    XN_TRY(put_u32(&k, "embedding_length", s->hidden));
    XN_TRY(put_u32(&k, "vocab_size", s->vocab));
    if (s->ffn > 0) XN_TRY(put_u32(&k, "feed_forward_length", s->ffn));
    XN_TRY(put_u32(&k, "attention.head_count", s->heads));
    XN_TRY(put_u32(&k, "attention.head_count_kv", s->kv_heads));
    XN_TRY(put_u32(&k, "attention.key_length", s->head_size));
    XN_TRY(put_u32(&k, "attention.value_length", s->head_size));
    XN_TRY(put_f32(&k, "attention.layer_norm_rms_epsilon", s->epsilon));
    XN_TRY(put_rope(&k, s));
    if (s->experts > 0) {
        XN_TRY(put_u32(&k, "expert_count", s->experts));
        XN_TRY(put_u32(&k, "expert_used_count", s->used));
        XN_TRY(put_u32(&k, "expert_feed_forward_length", s->expert_ffn));
    }
    if (s->shared_ffn > 0) XN_TRY(put_u32(&k, "expert_shared_feed_forward_length", s->shared_ffn));
    if (s->flags & XN_SHAPE_HYBRID) XN_TRY(put_hybrid(&k, s));
    return xn_synth_add_tokenizer(w, s->vocab, err);
}

static int write_file(struct xn_gguf_writer *w, struct synth *synth, const struct xn_preset *preset,
                      const struct xn_synth_options *options, const struct xn_synth_tensor *tensors, size_t n,
                      struct source *sources, const char *path, const struct xn_progress *progress,
                      struct xn_error *err) {
    const struct xn_shape *shape = synth->shape;
    XN_TRY(put_metadata(w, shape, preset, options->layers ? options->layers : shape->layers, err));
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
