// Whole operations of the processor against the plain-C ones: random shapes, batches of several spans over permuted
// cache pages, every level, one to three threads. A plan of one operation runs on both from the same memory, and all
// memory is compared.
#include "cpu/cpu.h"

#include "cpu/executor.h"
#include "device/reference/reference.h"
#include "quant/half.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/testing.h"

static uint64_t state; // of the generator
static double rounded; // what rounding activations to bfloat16 may cost at the level at work; 0: it does not

static uint32_t below(uint32_t n) {
    return (uint32_t)(rng(&state) % n);
}
static uint32_t pick(const uint32_t *of, size_t n) {
    return of[below((uint32_t)n)];
}
#define PICK(...) pick((const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

// A plan of one operation with what it points to.
struct world {
    struct xn_arena arena;
    struct xn_plan plan;
    struct xn_op op;
    struct xn_cache_layer cache;
    struct xn_state_layer states;
    struct xn_limits limits;
    struct xn_batch batch;
    double tolerance; // relative, of whole buffers
    char what[256];
};

static void *take(struct world *w, size_t n, size_t size) {
    void *p = xn_arena_alloc(&w->arena, n, size);
    assert_non_null(p);
    return p;
}

static float *vector(struct world *w, size_t n, float center, float spread) {
    float *x = take(w, n, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = center + spread * uniform(&state);
    return x;
}

static float *maybe_vector(struct world *w, size_t n, float center, float spread) {
    return below(2) ? vector(w, n, center, spread) : NULL;
}

// Weights at an odd address; float types of ordinary size, integer ones of random bits.
static struct xn_weights *weights(struct world *w, uint32_t type, uint32_t rows, uint32_t cols, uint32_t count) {
    const struct xn_format *f = xn_format_of(type);
    size_t row_bytes;
    assert_true(xn_format_bytes(f, cols, &row_bytes));
    const void **data = take(w, count, sizeof *data);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *p = (uint8_t *)take(w, row_bytes * rows + 64, 1) + 1 + below(60);
        data[i] = p;
        if (type == XN_F32 || type == XN_F16 || type == XN_BF16) {
            for (size_t j = 0; j < (size_t)rows * cols; j++) {
                float x = uniform(&state) * 2 / sqrtf((float)cols);
                uint16_t h = type == XN_F16 ? xn_f32_to_f16(x) : xn_f32_to_bf16(x);
                if (type == XN_F32)
                    memcpy(p + 4 * j, &x, 4);
                else
                    memcpy(p + 2 * j, &h, 2);
            }
        } else {
            fill_blocks(&state, type, p, (size_t)rows * cols);
        }
    }
    struct xn_matrix matrix = {.name = "test", .type = type, .rows = rows, .cols = cols, .count = count, .data = data};
    struct xn_weights *packed = take(w, 1, sizeof *packed);
    assert_int_equal(xn_host_weights(&matrix, packed, NULL), XN_OK);
    if (type != XN_F32 && type != XN_F16 && type != XN_BF16)
        w->tolerance = 0.03;
    else if (type != XN_F32 && w->tolerance < rounded)
        w->tolerance = rounded;
    return packed;
}

static uint32_t any_type(void) {
    return PICK(XN_F32, XN_BF16, XN_F16, XN_BF16, XN_Q4_0, XN_Q8_0, XN_Q4_K, XN_Q6_K, XN_Q2_K, XN_IQ4_XS, XN_MXFP4,
                XN_IQ2_XS, XN_TQ2_0, XN_F32);
}
static uint32_t float_type(void) {
    return PICK(XN_F32, XN_BF16, XN_F16);
}
// A width that rows of the type can have.
static uint32_t width_of(uint32_t type) {
    uint32_t block = xn_format_of(type)->block_values;
    return block == 1 ? 1 + below(400) : block * (1 + below(block > 64 ? 3 : 12));
}

static struct xn_norm any_norm(struct world *w, uint32_t n) {
    struct xn_norm norm = {.kind = (enum xn_norm_kind)below(3), .epsilon = 1e-5f};
    if (norm.kind != XN_NORM_NONE) norm.weight = maybe_vector(w, n, 1, 0.5f);
    if (norm.kind == XN_NORM_LAYER) norm.bias = maybe_vector(w, n, 0, 0.5f);
    return norm;
}

static struct xn_rope any_rope(struct world *w, uint32_t head_size, bool is_query) {
    struct xn_rope rope = {.kind = (enum xn_rope_kind)below(3), .magnitude = 1};
    if (is_query && below(2)) {
        rope.query_beta = 0.1f;
        rope.query_period = 16;
    }
    if (head_size < 2) rope.kind = XN_ROPE_NONE;
    if (rope.kind == XN_ROPE_NONE) return rope;
    rope.dims = 2 * (1 + below(head_size / 2));
    rope.magnitude = 1 + 0.1f * (float)below(3);
    float *frequency = take(w, rope.dims / 2, sizeof *frequency);
    for (uint32_t i = 0; i < rope.dims / 2; i++)
        frequency[i] = powf(10000, -2.0f * (float)i / (float)rope.dims);
    rope.frequency = frequency;
    if (below(3)) return rope;
    rope.original = 8; // and spans are up to 100 positions long
    if (rope.dims < 4 || below(2)) {
        float *longer = take(w, rope.dims / 2, sizeof *longer);
        for (uint32_t i = 0; i < rope.dims / 2; i++)
            longer[i] = frequency[i] / (float)(1 + i);
        rope.long_frequency = longer;
    } else {
        rope.theta = 10000;
        rope.growth = 4;
    }
    return rope;
}

// Rows of one to four sequences, each with a past, over permuted pages.
static void make_batch(struct world *w, uint32_t max_rows, uint32_t max_past) {
    struct xn_batch *b = &w->batch;
    uint32_t spans = 1 + below(4);
    struct xn_span *span = take(w, spans, sizeof *span);
    w->limits.page_size = PICK(4, 16, 32, 48);
    uint32_t total_pages = 0;
    for (uint32_t s = 0; s < spans; s++) {
        uint32_t rows = max_rows == 1 ? 1 : PICK(1, 1, 2, 1 + below(max_rows), max_rows);
        span[s] = (struct xn_span){b->n_rows, rows, below(2) ? 0 : below(max_past + 1), NULL, s, below(100)};
        b->n_rows += rows;
        total_pages += (span[s].past + rows + w->limits.page_size - 1) / w->limits.page_size;
    }
    w->limits.pages = total_pages + below(4);
    int32_t *pages = take(w, w->limits.pages, sizeof *pages);
    for (uint32_t i = 0; i < w->limits.pages; i++)
        pages[i] = (int32_t)i;
    for (uint32_t i = w->limits.pages; i > 1; i--) {
        uint32_t j = below(i);
        int32_t t = pages[i - 1];
        pages[i - 1] = pages[j];
        pages[j] = t;
    }
    int32_t *tokens = take(w, b->n_rows, sizeof *tokens), *positions = take(w, b->n_rows, sizeof *positions);
    uint32_t *outputs = take(w, b->n_rows, sizeof *outputs);
    uint32_t row = 0;
    for (uint32_t s = 0; s < spans; s++) {
        span[s].pages = pages;
        pages += (span[s].past + span[s].n_rows + w->limits.page_size - 1) / w->limits.page_size;
        for (uint32_t r = 0; r < span[s].n_rows; r++, row++) {
            tokens[row] = (int32_t)below(w->plan.vocab);
            positions[row] = (int32_t)(span[s].past + r);
            if (below(2)) outputs[b->n_outputs++] = row;
        }
    }
    b->tokens = tokens;
    b->positions = positions;
    b->n_spans = spans;
    b->spans = span;
    b->outputs = outputs;
    w->limits.rows = b->n_rows + below(3);
    w->limits.outputs = b->n_outputs + 1;
    w->limits.slots = spans + 1;
    w->limits.cache_type = below(3) ? XN_F16 : XN_F32;
}

static void randomize(struct world *w, struct xn_host_memory *m) {
    for (int b = 0; b < XN_BUFFERS; b++)
        for (size_t i = 0; i < (size_t)w->limits.rows * w->plan.width[b]; i++)
            m->buffer[b][i] = uniform(&state);
    for (uint32_t c = 0; c < w->plan.n_cache; c++) {
        size_t n = (size_t)w->limits.pages * w->limits.page_size * w->cache.kv_heads;
        for (int v = 0; v < 2; v++) {
            void *to = v ? m->cache[c].values : m->cache[c].keys;
            for (size_t i = 0; i < n * (v ? w->cache.value_size : w->cache.key_size); i++) {
                float x = uniform(&state);
                if (w->limits.cache_type == XN_F16)
                    ((uint16_t *)to)[i] = xn_f32_to_f16(x);
                else
                    ((float *)to)[i] = x;
            }
        }
    }
    for (uint32_t s = 0; s < w->plan.n_states; s++)
        for (size_t i = 0; i < w->limits.slots * ((size_t)w->states.conv_size + w->states.recurrent_size); i++)
            m->states[s][i] = 0.3f * uniform(&state);
    for (size_t i = 0; i < (size_t)w->limits.rows * w->plan.route_width; i++) {
        m->expert_weights[i] = uniform(&state);
        // Distinct experts of a row, as routing gives.
        uint32_t j = (uint32_t)(i % w->plan.route_width),
                 base = j ? (uint32_t)m->expert_ids[i - j] : below(w->plan.n_experts);
        m->expert_ids[i] = (int32_t)((base + j) % w->plan.n_experts);
    }
}

static void copy_memory(const struct world *w, struct xn_host_memory *to, const struct xn_host_memory *from) {
    size_t value = w->limits.cache_type == XN_F16 ? 2 : 4;
    for (int b = 0; b < XN_BUFFERS; b++)
        if (w->plan.width[b]) memcpy(to->buffer[b], from->buffer[b], (size_t)w->limits.rows * w->plan.width[b] * 4);
    for (uint32_t c = 0; c < w->plan.n_cache; c++) {
        size_t n = (size_t)w->limits.pages * w->limits.page_size * w->cache.kv_heads * value;
        memcpy(to->cache[c].keys, from->cache[c].keys, n * w->cache.key_size);
        if (w->cache.value_size) memcpy(to->cache[c].values, from->cache[c].values, n * w->cache.value_size);
    }
    for (uint32_t s = 0; s < w->plan.n_states; s++)
        memcpy(to->states[s], from->states[s],
               w->limits.slots * ((size_t)w->states.conv_size + w->states.recurrent_size) * 4);
    size_t routes = (size_t)w->limits.rows * w->plan.route_width;
    if (routes) {
        memcpy(to->expert_ids, from->expert_ids, routes * 4);
        memcpy(to->expert_weights, from->expert_weights, routes * 4);
    }
}

static void compare(const struct world *w, const char *device, const char *name, const float *got, const float *want,
                    size_t n) {
    double error = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        CHECK(isfinite(got[i]) || !isfinite(want[i]), "%s %s: %s[%zu] is not finite, %g expected", device, w->what,
              name, i, (double)want[i]);
        error += ((double)got[i] - want[i]) * ((double)got[i] - want[i]);
        size += (double)want[i] * want[i];
    }
    // Where activations become integers, few values may be off by more than many are together.
    double tolerance = w->tolerance * (w->tolerance < 0.01 || n == 0 ? 1 : 1 + 10 / sqrt((double)n));
    CHECK(sqrt(error) <= tolerance * sqrt(size) + 1e-9, "%s %s: %s differs by %.3g of its size", device, w->what, name,
          sqrt(error / (size + 1e-300)));
}

static void compare_memory(const struct world *w, const char *device, const struct xn_host_memory *got,
                           const struct xn_host_memory *want) {
    static const char *const names[XN_BUFFERS] = {"X",        "Q",      "Z",   "BETA",   "ALPHA",  "MIX",     "BESIDE",
                                                  "ABSORBED", "LATENT", "SUM", "INPUTS", "HIDDEN", "EXPERTS", "GATE"};
    for (int b = 0; b < XN_BUFFERS; b++)
        compare(w, device, names[b], got->buffer[b], want->buffer[b], (size_t)w->limits.rows * w->plan.width[b]);
    for (uint32_t c = 0; c < w->plan.n_cache; c++)
        for (int v = 0; v < 2; v++) {
            size_t n = (size_t)w->limits.pages * w->limits.page_size * w->cache.kv_heads *
                       (v ? w->cache.value_size : w->cache.key_size);
            const void *a = v ? got->cache[c].values : got->cache[c].keys;
            const void *b = v ? want->cache[c].values : want->cache[c].keys;
            float *x = xn_alloc(n, 4), *y = xn_alloc(n, 4);
            for (size_t i = 0; i < n; i++) {
                bool half = w->limits.cache_type == XN_F16;
                x[i] = half ? xn_f16_to_f32(((const uint16_t *)a)[i]) : ((const float *)a)[i];
                y[i] = half ? xn_f16_to_f32(((const uint16_t *)b)[i]) : ((const float *)b)[i];
            }
            struct world loose = *w;
            if (loose.limits.cache_type == XN_F16) loose.tolerance += 2e-4; // a value may round the other way
            compare(&loose, device, v ? "values" : "keys", x, y, n);
            free(x);
            free(y);
        }
    for (uint32_t s = 0; s < w->plan.n_states; s++)
        compare(w, device, "state", got->states[s], want->states[s],
                w->limits.slots * ((size_t)w->states.conv_size + w->states.recurrent_size));
    size_t routes = (size_t)w->limits.rows * w->plan.route_width;
    for (size_t i = 0; i < routes; i++)
        CHECK(got->expert_ids[i] == want->expert_ids[i], "%s %s: choice %zu is %d, not %d", device, w->what, i,
              got->expert_ids[i], want->expert_ids[i]);
    compare(w, device, "expert weights", got->expert_weights, want->expert_weights, routes);
    compare(w, device, "logits", got->logits, want->logits, (size_t)w->batch.n_outputs * w->plan.vocab);
}

// --- cases: each fills a world ---

static void embed_case(struct world *w) {
    uint32_t type = any_type();
    w->plan.hidden = w->plan.width[XN_BUF_X] = w->plan.width[XN_BUF_INPUTS] = width_of(type);
    make_batch(w, 40, 10);
    w->op.kind = XN_OP_EMBED;
    w->op.embed = (struct xn_op_embed){.table = weights(w, type, w->plan.vocab, w->plan.hidden, 1),
                                       .to = below(2) ? XN_BUF_X : XN_BUF_INPUTS,
                                       .scale = below(2) ? 1 : 1.5f,
                                       .keep = below(2) ? 0 : 0.6f};
    w->tolerance = 1e-5;
    snprintf(w->what, sizeof w->what, "embed type %u hidden %u", type, w->plan.hidden);
}

static void project_case(struct world *w) {
    uint32_t type = any_type(), hidden = width_of(type), size = PICK(1, 3, 32, 64, 80, 96, 128);
    uint32_t heads = 1 + below(6), kv_heads = 1 + below(3), value_size = below(2) ? size : PICK(16, 40);
    uint32_t gated = below(2);
    enum xn_buffer in = below(2) ? XN_BUF_X : XN_BUF_Z;
    w->plan.hidden = w->plan.width[XN_BUF_X] = hidden;
    w->plan.width[XN_BUF_Z] = hidden + below(5);
    w->plan.width[XN_BUF_Q] = heads * size * (1 + gated);
    uint32_t key_at = below(2) ? 0 : PICK(1, 16, 30); // the part is the end of a wider key
    w->cache = (struct xn_cache_layer){kv_heads, size + key_at, value_size};
    w->plan.n_cache = 1;
    make_batch(w, PICK(1, 5, 30), 20);
    struct xn_op_project *p = &w->op.project;
    w->op.kind = XN_OP_PROJECT;
    *p = (struct xn_op_project){.in = in, .norm = any_norm(w, hidden), .n_parts = 3};
    for (int i = 0; i < 3; i++) {
        struct xn_part *part = &p->part[i];
        part->heads = i == 0 ? heads : kv_heads;
        part->head_size = i == 2 ? value_size : size;
        part->scale = below(2) ? 1 : 0.7f;
        part->head_stride = i == 0 ? size * (1 + gated) : part->head_size;
        uint32_t rows = part->heads * part->head_stride;
        part->weights = weights(w, type, rows, hidden, 1);
        part->bias = maybe_vector(w, rows, 0, 1);
        part->is_query = i == 0;
        part->target = i == 0 ? XN_TO_BUFFER : i == 1 ? XN_TO_KEYS : XN_TO_VALUES;
        part->buffer = i == 0 ? XN_BUF_Q : XN_BUF_NONE;
        part->cache_at = i == 1 ? key_at : 0;
        part->rope.magnitude = 1;
        if (i == 2) continue;
        part->norm_whole = part->head_stride == size && below(2);
        part->norm = any_norm(w, part->norm_whole ? part->heads * size : size);
        if (size < 3) part->norm.kind = XN_NORM_NONE; // a sign, which a rounding may turn
        part->rope = any_rope(w, size, i == 0);
        if (part->rope.kind != XN_ROPE_NONE) part->rope_at = below(size - part->rope.dims + 1);
    }
    snprintf(w->what, sizeof w->what, "project type %u hidden %u heads %u/%u size %u rows %u", type, hidden, heads,
             kv_heads, size, w->batch.n_rows);
}

static struct xn_sum any_sum(struct world *w, uint32_t hidden) {
    struct xn_sum sum = {.to = below(2) ? XN_BUF_X : XN_BUF_SUM,
                         .set = below(2),
                         .norm = any_norm(w, hidden),
                         .scale = 0.7f,
                         .after = below(2) ? 1 : 0.9f};
    if (hidden < 3) sum.norm.kind = XN_NORM_NONE;
    w->plan.width[XN_BUF_SUM] = hidden;
    return sum;
}

static struct xn_glu any_glu(void) {
    return (struct xn_glu){.activation = (enum xn_activation)below(XN_ACTIVATIONS),
                           .gate_scale = below(3) ? 0 : 0.8f,
                           .limit = below(3) ? 0 : 1.5f,
                           .up_offset = below(3) ? 0 : 1};
}

static void add_case(struct world *w) {
    uint32_t hidden = 1 + below(200);
    w->plan.hidden = w->plan.width[XN_BUF_X] = hidden;
    w->plan.width[XN_BUF_LATENT] = hidden + below(5);
    struct xn_sum sum = any_sum(w, hidden);
    make_batch(w, PICK(1, 9, 40), 10);
    w->op.kind = XN_OP_ADD;
    w->op.add = (struct xn_op_add){.in = XN_BUF_LATENT, .sum = sum};
    snprintf(w->what, sizeof w->what, "add hidden %u rows %u norm %d", hidden, w->batch.n_rows,
             w->op.add.sum.norm.kind);
}

static void project_add_case(struct world *w) {
    uint32_t type = any_type(), hidden = 1 + below(200), cols = width_of(type);
    w->plan.hidden = w->plan.width[XN_BUF_X] = hidden;
    w->plan.width[XN_BUF_MIX] = cols + below(5);
    w->plan.width[XN_BUF_GATE] = 1;
    struct xn_sum sum = any_sum(w, hidden);
    make_batch(w, PICK(1, 9, 40), 10);
    w->op.kind = XN_OP_PROJECT_ADD;
    w->op.project_add = (struct xn_op_project_add){.in = XN_BUF_MIX,
                                                   .weights = weights(w, type, hidden, cols, 1),
                                                   .bias = maybe_vector(w, hidden, 0, 1),
                                                   .row_scale = below(2) ? XN_BUF_GATE : XN_BUF_NONE,
                                                   .sum = sum};
    snprintf(w->what, sizeof w->what, "project_add type %u hidden %u cols %u rows %u norm %d", type, hidden, cols,
             w->batch.n_rows, w->op.project_add.sum.norm.kind);
}

static void gate_case(struct world *w) {
    uint32_t type = any_type(), hidden = width_of(type), size = 1 + below(300);
    w->plan.hidden = w->plan.width[XN_BUF_X] = hidden;
    w->plan.width[XN_BUF_HIDDEN] = size + below(3);
    w->plan.width[XN_BUF_INPUTS] = size + 7;
    make_batch(w, PICK(1, 9, 40), 10);
    w->op.kind = XN_OP_GATE;
    w->op.gate = (struct xn_op_gate){.norm = any_norm(w, hidden),
                                     .gate = below(3) ? weights(w, type, size, hidden, 1) : NULL,
                                     .up = weights(w, type, size, hidden, 1),
                                     .gate_bias = maybe_vector(w, size, 0, 1),
                                     .up_bias = maybe_vector(w, size, 0, 1),
                                     .glu = any_glu(),
                                     .times = below(2) ? XN_BUF_NONE : XN_BUF_INPUTS,
                                     .times_at = below(8)};
    w->tolerance *= 2; // a product of two products
    snprintf(w->what, sizeof w->what, "gate type %u hidden %u size %u rows %u act %d", type, hidden, size,
             w->batch.n_rows, w->op.gate.glu.activation);
}

static void head_case(struct world *w) {
    uint32_t type = any_type(), hidden = width_of(type);
    w->plan.hidden = w->plan.width[XN_BUF_X] = hidden;
    w->plan.vocab = 1 + below(500);
    make_batch(w, PICK(1, 9, 40), 10);
    w->op.kind = XN_OP_HEAD;
    w->op.head = (struct xn_op_head){.norm = any_norm(w, hidden),
                                     .weights = weights(w, type, w->plan.vocab, hidden, 1),
                                     .scale = 0.5f,
                                     .soft_cap = below(2) ? 0 : 30};
    w->tolerance *= 4; // a capped logit is a sign
    snprintf(w->what, sizeof w->what, "head type %u hidden %u vocab %u outputs %u", type, hidden, w->plan.vocab,
             w->batch.n_outputs);
}

static void route_case(struct world *w) {
    uint32_t type = float_type(), hidden = width_of(type), groups = PICK(0, 1, 2, 4);
    uint32_t experts = (groups ? groups : 1) * (2 + below(30)), groups_used = groups > 1 ? 1 + below(groups) : groups;
    uint32_t available = groups > 1 ? experts / groups * groups_used : experts;
    uint32_t used = 1 + below(available < 8 ? available : 8);
    w->plan.hidden = w->plan.width[XN_BUF_X] = hidden;
    w->plan.width[XN_BUF_GATE] = 1;
    w->plan.route_width = used + below(2);
    w->plan.n_experts = experts;
    make_batch(w, PICK(1, 9, 40), 10);
    w->op.kind = XN_OP_ROUTE;
    w->op.route = (struct xn_op_route){.norm = any_norm(w, hidden),
                                       .router = weights(w, type, experts, hidden, 1),
                                       .bias = maybe_vector(w, experts, 0, 0.5f),
                                       .selection_bias = maybe_vector(w, experts, 0, 0.2f),
                                       .score = (enum xn_router_score)below(2),
                                       .experts = experts,
                                       .used = used,
                                       .groups = groups,
                                       .groups_used = groups_used,
                                       .group_best = 1 + below(2),
                                       .expert_scale = maybe_vector(w, experts, 1, 0.2f),
                                       .normalize = below(2),
                                       .scale = 2.5f,
                                       .shared_router = below(2) ? weights(w, type, 1, hidden, 1) : NULL};
    snprintf(w->what, sizeof w->what, "route hidden %u experts %u used %u groups %u/%u rows %u", hidden, experts, used,
             groups_used, groups, w->batch.n_rows);
}

static void experts_of(struct world *w, uint32_t *experts, uint32_t *used) {
    *experts = 2 + below(14);
    *used = 1 + below(*experts < 6 ? *experts : 6);
    w->plan.route_width = *used;
    w->plan.n_experts = *experts;
}

static void expert_gate_case(struct world *w) {
    uint32_t type = any_type(), hidden = width_of(type), size = 1 + below(200), experts, used;
    experts_of(w, &experts, &used);
    w->plan.hidden = w->plan.width[XN_BUF_X] = hidden;
    w->plan.width[XN_BUF_LATENT] = hidden + below(5);
    w->plan.width[XN_BUF_EXPERTS] = used * size + below(5);
    make_batch(w, PICK(1, 9, 60), 10);
    w->op.kind = XN_OP_EXPERT_GATE;
    w->op.expert_gate = (struct xn_op_expert_gate){.in = below(2) ? XN_BUF_X : XN_BUF_LATENT,
                                                   .norm = any_norm(w, hidden),
                                                   .gate = below(3) ? weights(w, type, size, hidden, experts) : NULL,
                                                   .up = weights(w, type, size, hidden, experts),
                                                   .gate_bias = maybe_vector(w, size * experts, 0, 1),
                                                   .up_bias = maybe_vector(w, size * experts, 0, 1),
                                                   .glu = any_glu(),
                                                   .used = used,
                                                   .size = size};
    w->tolerance *= 2;
    snprintf(w->what, sizeof w->what, "expert_gate type %u hidden %u size %u experts %u/%u rows %u", type, hidden, size,
             used, experts, w->batch.n_rows);
}

static void expert_add_case(struct world *w) {
    uint32_t type = any_type(), hidden = 1 + below(200), size = width_of(type), experts, used;
    experts_of(w, &experts, &used);
    w->plan.hidden = w->plan.width[XN_BUF_X] = hidden;
    w->plan.width[XN_BUF_EXPERTS] = used * size + below(5);
    struct xn_sum sum = any_sum(w, hidden);
    make_batch(w, PICK(1, 9, 60), 10);
    w->op.kind = XN_OP_EXPERT_ADD;
    w->op.expert_add = (struct xn_op_expert_add){.down = weights(w, type, hidden, size, experts),
                                                 .bias = maybe_vector(w, hidden * experts, 0, 1),
                                                 .used = used,
                                                 .size = size,
                                                 .sum = sum};
    snprintf(w->what, sizeof w->what, "expert_add type %u hidden %u size %u experts %u/%u rows %u", type, hidden, size,
             used, experts, w->batch.n_rows);
}

static void attend_case(struct world *w) {
    struct xn_op_attend *a = &w->op.attend;
    w->op.kind = XN_OP_ATTEND;
    a->in = below(2) ? XN_BUF_Q : XN_BUF_ABSORBED;
    a->out = below(2) ? XN_BUF_MIX : XN_BUF_LATENT;
    a->kv_heads = 1 + below(3);
    a->heads = a->kv_heads * PICK(1, 2, 3, 4, 8);
    a->head_size = PICK(32, 64, 80, 96, 128, 256, 7);
    a->output_gate = below(2);
    a->value_size = a->output_gate || below(2) ? a->head_size : PICK(16, 40, 64);
    a->head_stride = a->head_size * (a->output_gate ? 2 : 1);
    a->scale = 1 / sqrtf((float)a->head_size);
    a->soft_cap = below(2) ? 0 : 2;
    a->window = below(2) ? 0 : PICK(1, 5, 40, 100);
    a->sinks = maybe_vector(w, a->heads, 0, 2);
    w->plan.hidden = w->plan.width[XN_BUF_X] = 8;
    w->plan.width[a->in] = a->heads * a->head_stride + below(3);
    w->plan.width[a->out] = a->heads * a->value_size + below(3);
    a->values_in_keys = a->value_size <= a->head_size && below(3) == 0;
    w->cache = (struct xn_cache_layer){a->kv_heads, a->head_size, a->values_in_keys ? 0 : a->value_size};
    w->plan.n_cache = 1;
    make_batch(w, PICK(1, 1, 9, 100), PICK(0, 30, 300, 900));
    snprintf(w->what, sizeof w->what,
             "attend heads %u/%u size %u/%u window %u cap %g sinks %d gate %d rows %u spans %u", a->heads, a->kv_heads,
             a->head_size, a->value_size, a->window, (double)a->soft_cap, a->sinks != NULL, a->output_gate,
             w->batch.n_rows, w->batch.n_spans);
}

static void delta_net_case(struct world *w) {
    struct xn_op_delta_net *d = &w->op.delta_net;
    w->op.kind = XN_OP_DELTA_NET;
    d->out = below(2) ? XN_BUF_MIX : XN_BUF_BESIDE;
    d->key_heads = PICK(1, 1, 2, 3);
    d->value_heads = d->key_heads * PICK(1, 1, 2, 3);
    d->key_size = PICK(8, 16, 30, 64, 128);
    d->value_size = PICK(8, 16, 33, 64, 128);
    d->kernel = 1 + below(5);
    uint32_t values = d->value_heads * d->value_size, channels = 2 * d->key_heads * d->key_size + values;
    d->conv = vector(w, (size_t)channels * d->kernel, 0, 1);
    d->conv_bias = maybe_vector(w, channels, 0, 0.5f);
    d->decay_rate = vector(w, d->value_heads, -1, 0.9f);
    d->dt_bias = vector(w, d->value_heads, 0, 1);
    d->norm = (struct xn_norm){XN_NORM_RMS, 1e-6f, vector(w, d->value_size, 1, 0.5f), NULL};
    d->heads_tiled = below(2);
    w->plan.hidden = w->plan.width[XN_BUF_X] = 8;
    w->plan.width[XN_BUF_Q] = channels + below(5);
    w->plan.width[XN_BUF_Z] = values + below(5);
    w->plan.width[d->out] = values + below(5);
    w->plan.width[XN_BUF_BETA] = w->plan.width[XN_BUF_ALPHA] = d->value_heads;
    w->plan.n_states = 1;
    w->states = (struct xn_state_layer){(d->kernel - 1) * channels, d->value_heads * d->key_size * d->value_size};
    make_batch(w, PICK(1, 1, 20, 200), 10);
    w->tolerance = 1e-4; // norms of small vectors magnify
    snprintf(w->what, sizeof w->what, "delta_net heads %u/%u size %u/%u kernel %u tiled %d rows %u spans %u",
             d->key_heads, d->value_heads, d->key_size, d->value_size, d->kernel, d->heads_tiled, w->batch.n_rows,
             w->batch.n_spans);
}

static void state_space_case(struct world *w) {
    struct xn_op_state_space *s = &w->op.state_space;
    w->op.kind = XN_OP_STATE_SPACE;
    s->out = below(2) ? XN_BUF_MIX : XN_BUF_BESIDE;
    s->groups = PICK(1, 1, 2, 3);
    s->heads = s->groups * PICK(1, 1, 2, 3, 4);
    s->head_size = PICK(5, 8, 16, 24, 32, 64, 80);
    s->state_size = PICK(3, 16, 30, 64, 128);
    s->kernel = 1 + below(5);
    uint32_t inner = s->heads * s->head_size, channels = inner + 2 * s->groups * s->state_size;
    s->conv = vector(w, (size_t)channels * s->kernel, 0, 1);
    s->conv_bias = maybe_vector(w, channels, 0, 0.5f);
    s->decay_rate = vector(w, s->heads, -1, 0.9f);
    s->dt_bias = vector(w, s->heads, 0, 1);
    s->skip = vector(w, s->heads, 1, 0.5f);
    bool limited = below(2);
    s->dt_min = limited ? 0.3f : 0;
    s->dt_max = limited ? 0.8f : INFINITY;
    s->norm_groups = PICK(1, s->groups, s->heads);
    s->norm = any_norm(w, inner);
    s->norm.epsilon = 1e-3f; // a small vector's norm would magnify what was rounded
    s->norm_before_gate = below(2);
    w->plan.hidden = w->plan.width[XN_BUF_X] = 8;
    w->plan.width[XN_BUF_Q] = channels + below(5);
    w->plan.width[XN_BUF_Z] = inner + below(5);
    w->plan.width[s->out] = inner + below(5);
    w->plan.width[XN_BUF_ALPHA] = s->heads + below(3);
    w->plan.n_states = 1;
    w->states = (struct xn_state_layer){(s->kernel - 1) * channels, inner * s->state_size};
    make_batch(w, PICK(1, 1, 20, 200), 10);
    w->tolerance = 1e-4;
    snprintf(w->what, sizeof w->what,
             "state_space heads %u groups %u size %u states %u kernel %u norm %d of %u before %d rows %u spans %u",
             s->heads, s->groups, s->head_size, s->state_size, s->kernel, s->norm.kind, s->norm_groups,
             s->norm_before_gate, w->batch.n_rows, w->batch.n_spans);
}

static void short_conv_case(struct world *w) {
    struct xn_op_short_conv *s = &w->op.short_conv;
    w->op.kind = XN_OP_SHORT_CONV;
    s->out = below(2) ? XN_BUF_MIX : XN_BUF_BESIDE;
    s->channels = PICK(1, 7, 64, 1 + below(600));
    s->kernel = 1 + below(5);
    s->conv = vector(w, (size_t)s->channels * s->kernel, 0, 1);
    s->conv_bias = maybe_vector(w, s->channels, 0, 0.5f);
    w->plan.hidden = w->plan.width[XN_BUF_X] = 8;
    w->plan.width[XN_BUF_Q] = 3 * s->channels + below(5);
    w->plan.width[s->out] = s->channels + below(5);
    w->plan.n_states = 1;
    w->states = (struct xn_state_layer){.conv_size = (s->kernel - 1) * s->channels};
    make_batch(w, PICK(1, 1, 20, 200), 10);
    snprintf(w->what, sizeof w->what, "short_conv channels %u kernel %u bias %d rows %u spans %u", s->channels,
             s->kernel, s->conv_bias != NULL, w->batch.n_rows, w->batch.n_spans);
}

static void heads_case(struct world *w) {
    uint32_t type = any_type(), cols = width_of(type), rows = PICK(1, 5, 64, 1 + below(300)), heads = 1 + below(6);
    uint32_t tail = below(2) ? 0 : PICK(1, 16, 33);
    struct xn_op_heads *h = &w->op.heads;
    w->op.kind = XN_OP_HEADS;
    h->in = below(2) ? XN_BUF_Q : XN_BUF_LATENT;
    h->out = below(2) ? XN_BUF_ABSORBED : XN_BUF_MIX;
    h->tail = tail;
    h->weights = weights(w, type, rows, cols, heads);
    w->plan.hidden = w->plan.width[XN_BUF_X] = 8;
    w->plan.width[h->in] = heads * (cols + tail) + below(5);
    w->plan.width[h->out] = heads * (rows + tail) + below(5);
    make_batch(w, PICK(1, 1, 9, 60), 10);
    snprintf(w->what, sizeof w->what, "heads type %u heads %u of %u x %u tail %u rows %u", type, heads, rows, cols,
             tail, w->batch.n_rows);
}

static void run_case(struct xn_device *device, const char *device_name, void (*make)(struct world *w)) {
    struct world w = {.plan.vocab = 50, .tolerance = 2e-5};
    w.plan.ops = &w.op;
    w.plan.n_ops = 1;
    w.plan.cache = &w.cache;
    w.plan.states = &w.states;
    w.op.layer = -1;
    make(&w);
    struct xn_error err;
    struct xn_executor *e;
    struct xn_host_memory want;
    assert_int_equal(device->table->prepare(device, &w.plan, &w.limits, &e, &err), XN_OK);
    assert_int_equal(xn_host_memory_init(&want, &w.plan, &w.limits, &err), XN_OK);
    randomize(&w, &want);
    copy_memory(&w, &e->memory, &want);
    assert_int_equal(xn_reference_ops[w.op.kind](&want, &w.batch, &w.op, &err), XN_OK);
    CHECK(device->table->run(e, &w.batch, &err) == XN_OK, "%s %s: %s", device_name, w.what, err.message);
    compare_memory(&w, device_name, &e->memory, &want);
    double seconds[XN_OP_KINDS];
    device->table->times(e, seconds);
    for (int i = 0; i < XN_OP_KINDS; i++)
        assert_true(i == (int)w.op.kind ? seconds[i] > 0 : seconds[i] == 0);
    xn_host_memory_free(&want);
    device->table->release(device, e);
    xn_arena_free(&w.arena);
}

static void run_cases(void (*make)(struct world *w), int trials) {
    struct xn_error err;
    state = seed;
    for (int level = 0; level <= (int)xn_cpu_level_detect(); level++)
        for (int threads = 1; threads <= 3 && xn_cpu_level_here((enum xn_cpu_level)level); threads++) {
            struct xn_device *device;
            struct xn_cpu_options options = {.threads = threads, .level = (enum xn_cpu_level)level};
            assert_int_equal(xn_cpu_device_open(&options, &device, &err), XN_OK);
            char name[64];
            snprintf(name, sizeof name, "%s, %d threads", xn_cpu_level_name(options.level), threads);
            bool halves = xn_cpu_device_of(device)->kernels.type[XN_BF16].tile == XN_TILE_BF16;
            rounded = halves ? 0.008 : 0;
            for (int i = 0; i < trials; i++)
                run_case(device, name, make);
            device->table->free(device);
        }
}

#define TEST(name, trials)                                                                                             \
    static void name##_agrees(void **unused) {                                                                         \
        (void)unused;                                                                                                  \
        run_cases(name##_case, trials);                                                                                \
    }
TEST(embed, 5)
TEST(project, 20)
TEST(project_add, 20)
TEST(add, 10)
TEST(gate, 15)
TEST(head, 10)
TEST(route, 15)
TEST(expert_gate, 12)
TEST(expert_add, 12)
TEST(attend, 15)
TEST(delta_net, 10)
TEST(state_space, 15)
TEST(short_conv, 10)
TEST(heads, 12)

static void what_a_machine_lacks_is_an_error(void **unused) {
    (void)unused;
    struct xn_error err;
    struct xn_device *device;
    struct xn_cpu_options options = {.threads = -1};
    assert_int_equal(xn_cpu_device_open(&options, &device, &err), XN_ERR_ARGUMENT);
    options = (struct xn_cpu_options){.threads = 1, .level = XN_CPU_LEVELS};
    assert_int_equal(xn_cpu_device_open(&options, &device, &err), XN_ERR_ARGUMENT);
    assert_null(device);
    for (int level = 0; level < XN_CPU_LEVELS; level++) {
        if (xn_cpu_level_here((enum xn_cpu_level)level)) continue;
        options.level = (enum xn_cpu_level)level;
        assert_int_equal(xn_cpu_device_open(&options, &device, &err), XN_ERR_UNSUPPORTED);
        assert_non_null(strstr(err.message, xn_cpu_level_name(options.level)));
    }
    for (int i = 0; i < XN_CPU_LEVELS; i++)
        assert_int_equal(xn_cpu_level_from_name(xn_cpu_level_name((enum xn_cpu_level)i)), i);
    assert_int_equal(xn_cpu_level_from_name("avx9000"), -1);
}

int main(void) {
    choose_seed();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embed_agrees),
        cmocka_unit_test(project_agrees),
        cmocka_unit_test(project_add_agrees),
        cmocka_unit_test(add_agrees),
        cmocka_unit_test(gate_agrees),
        cmocka_unit_test(head_agrees),
        cmocka_unit_test(route_agrees),
        cmocka_unit_test(expert_gate_agrees),
        cmocka_unit_test(expert_add_agrees),
        cmocka_unit_test(attend_agrees),
        cmocka_unit_test(delta_net_agrees),
        cmocka_unit_test(state_space_agrees),
        cmocka_unit_test(short_conv_agrees),
        cmocka_unit_test(heads_agrees),
        cmocka_unit_test(what_a_machine_lacks_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
