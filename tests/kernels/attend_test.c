// Attention of random rows over a paged cache of random values against plain C. Arguments: a name, and a seed.
#include "../../src/opencl/kernels/shared.h"
#include "lanes.h"

enum { TRIALS = 6, GUARD = 64, HEAP = 1 << 24, ACT = 1 << 22, OUT = 1 << 21, PARTIAL = OUT + (1 << 19) };

// As common.cl has it.
struct env {
    const uint8_t *ops;
    const uint32_t *step;
    const struct xn_cl_place *places;
    float *act;
    const float *vec;
    const uint32_t *grids;
    float *logits;
    uint32_t *counters;
    uint8_t *heap[16];
};
void test_attend(const struct env *e, const struct xn_cl_attend *d, uint32_t group, uint32_t groups, float *scratch);
extern const struct {
    uint32_t group, lanes, scratch, blocks, few, block_bytes; // bytes: of a block's codes
} test_sizes;
#define AT test_sizes

static struct work {
    const struct env *env;
    const struct xn_cl_attend *attend;
    uint32_t group, groups;
    float *scratch;
} work;
static void run_attend(void) {
    test_attend(work.env, work.attend, work.group, work.groups, work.scratch);
}

struct trial {
    struct xn_cl_attend d;
    uint32_t groups, page_size, rows, spans;
    struct xn_cl_span span[8];
};
static struct env env;
static uint32_t counters[4096], step[1 << 16];
static struct xn_cl_place places[8];

// The value of a cached vector: of halves, or of 32 codes and a scale each.
static float cached(const struct trial *t, const struct xn_cl_cache *c, const struct xn_cl_span *span, uint32_t g,
                    uint32_t position, uint32_t x) {
    uint32_t page = step[span->pages + position / t->page_size], in_page = position % t->page_size;
    const uint8_t *at =
        env.heap[2] + places[c->place + page / c->piece].offset + (size_t)(page % c->piece) * c->page_bytes;
    if (!AT.blocks) return test_half_value(((const uint16_t *)at)[((size_t)g * t->page_size + in_page) * c->size + x]);
    uint32_t blocks = c->size / 32;
    at += (size_t)g * t->page_size * blocks * (AT.block_bytes + 2);
    const uint16_t *scales = (const uint16_t *)(at + (size_t)t->page_size * blocks * AT.block_bytes);
    float scale = test_half_value(scales[in_page * blocks + x / 32]);
    at += in_page * blocks * AT.block_bytes;
    if (AT.block_bytes == 32) return scale * ((const int8_t *)at)[x];
    uint32_t word = ((const uint32_t *)at)[x / 8], code = word >> (x / 2 % 4 * 4 + x % 2 * 16) & 15;
    return scale * ((float)code - 8);
}

static struct xn_cl_cache draw_cache(const struct trial *t, uint32_t size, uint32_t place, uint64_t *heap_used) {
    struct xn_cl_cache c = {.place = place, .piece = 30, .size = size};
    c.page_bytes = t->d.kv_heads * t->page_size * (AT.blocks ? size / 32 * (AT.block_bytes + 2) : 2 * size);
    for (uint32_t i = 0; i < 2; i++) { // two pieces
        places[place + i] = (struct xn_cl_place){.offset = *heap_used, .heap = 2};
        *heap_used += ((uint64_t)c.piece * c.page_bytes + 63) / 64 * 64;
    }
    if (*heap_used > HEAP) exit(2);
    c.first = places[place];
    for (uint32_t i = 0; i < 2; i++)
        for (uint64_t p = 0; p < c.piece * t->d.kv_heads; p++) {
            uint64_t bytes = c.page_bytes / t->d.kv_heads,
                     codes = AT.blocks ? (uint64_t)t->page_size * size / 32 * AT.block_bytes : 0;
            uint8_t *at = env.heap[2] + places[place + i].offset + p * bytes;
            for (uint64_t j = 0; j < codes; j++)
                at[j] = (uint8_t)below(256);
            for (uint64_t j = codes; j + 1 < bytes; j += 2) {
                uint16_t half = test_half_bits(AT.blocks ? 0.01f * (any() + 1.01f) : 2 * any());
                memcpy(at + j, &half, 2);
            }
        }
    return c;
}

static void draw(struct trial *t) {
    static const uint32_t page_sizes[] = {16, 32, 48};
    uint32_t number = AT.few ? below(3) : below(2), most_size = 64u << number, block = AT.blocks ? 32 : 8;
    *t = (struct trial){.groups = 1 + below(3), .page_size = page_sizes[below(3)]};
    struct xn_cl_attend *d = &t->d;
    d->few = 1 + number;
    d->kv_heads = 1 + below(3);
    d->heads = d->kv_heads * (1 + below(7));
    d->queries = d->heads / d->kv_heads;
    d->head_size = below(2) ? most_size : block * (1 + below(most_size / block));
    d->value_size = below(2) ? d->head_size : block * (1 + below(most_size / block));
    d->output_gate = below(3) == 0 && d->value_size <= d->head_size;
    d->head_stride = d->head_size * (1 + d->output_gate);
    d->in = 64;
    d->in_stride = d->heads * d->head_stride + below(9);
    d->out = OUT;
    d->out_stride = d->heads * d->value_size + below(9);
    d->window = below(3) ? 0 : 1 + below(60);
    d->sinks = below(3) ? XN_CL_NONE : 16;
    d->scale = 0.1f;
    d->soft_cap = below(3) ? 0 : 5;
    uint32_t queries = d->heads / d->kv_heads;
    d->together = queries;
    d->chunks = 1;
    d->splits = AT.few ? 1 + below(4) : 1;
    d->partial = PARTIAL;
    uint64_t heap_used = 0;
    d->keys = draw_cache(t, d->head_size, 0, &heap_used);
    d->values = draw_cache(t, d->value_size, 2, &heap_used);
    // Sequences, each with pages of its own; the shortest are not for the matrix unit.
    struct xn_cl_step *s = (struct xn_cl_step *)step;
    uint32_t at = sizeof *s / 4, page = 0;
    t->spans = 1 + below(3);
    for (uint32_t i = 0; i < t->spans; i++) {
        uint32_t n = i == 0 ? 9 + below(70) : 1 + below(i == 1 ? 2 : 40), past = below(2) ? 0 : below(150);
        if (AT.few) n = 1 + below(8 / t->spans), past = below(1200);
        uint32_t most = (60 / t->spans) * t->page_size; // positions that there are pages for
        if (past + n > most) past = most - n;
        t->span[i] = (struct xn_cl_span){.first_row = t->rows, .n_rows = n, .past = past};
        t->rows += n;
    }
    *s = (struct xn_cl_step){.n_rows = t->rows, .n_spans = t->spans, .page_size = t->page_size};
    s->positions = at;
    at += t->rows;
    s->row_span = at;
    at += t->rows;
    s->spans = at;
    at += t->spans * (sizeof(struct xn_cl_span) / 4);
    for (uint32_t i = 0; i < t->spans; i++) {
        t->span[i].pages = at;
        for (uint32_t j = 0; j * t->page_size < t->span[i].past + t->span[i].n_rows; j++)
            step[at++] = page++ * 7 % 60; // all 60, mixed
        for (uint32_t j = 0; j < t->span[i].n_rows; j++) {
            step[s->positions + t->span[i].first_row + j] = t->span[i].past + j;
            step[s->row_span + t->span[i].first_row + j] = i;
        }
        memcpy(step + s->spans + i * (sizeof(struct xn_cl_span) / 4), &t->span[i], sizeof t->span[i]);
    }
    if (page > 60) exit(3);
}

static int is_right(const struct trial *t, const struct xn_cl_span *span, uint32_t row, uint32_t head) {
    static double weights[1 << 13];
    const struct xn_cl_attend *d = &t->d;
    uint32_t g = head / (d->heads / d->kv_heads), end = span->past + row + 1;
    uint32_t begin = d->window && end > d->window ? end - d->window : 0;
    size_t of_row = span->first_row + row;
    const float *q = env.act + d->in + of_row * d->in_stride + head * d->head_stride;
    double most = d->sinks != XN_CL_NONE ? env.vec[d->sinks + head] : -INFINITY, sum = 0;
    for (uint32_t p = begin; p < end; p++) {
        double x = 0;
        for (uint32_t i = 0; i < d->head_size; i++)
            x += (!AT.few && span->n_rows > 2 ? test_half_value(test_half_bits(q[i])) : q[i]) *
                 cached(t, &d->keys, span, g, p, i);
        x *= d->scale;
        if (d->soft_cap != 0) x = d->soft_cap * tanh(x / d->soft_cap);
        weights[p] = x;
        most = fmax(most, x);
    }
    if (d->sinks != XN_CL_NONE) sum = exp(env.vec[d->sinks + head] - most);
    for (uint32_t p = begin; p < end; p++)
        sum += weights[p] = exp(weights[p] - most);
    for (uint32_t i = 0; i < d->value_size; i++) {
        double y = 0, size = 0;
        for (uint32_t p = begin; p < end; p++) {
            double v = weights[p] / sum * cached(t, &d->values, span, g, p, i);
            y += v;
            size += fabs(v);
        }
        if (d->output_gate) {
            double gate = 1 / (1 + exp(-q[d->head_size + i]));
            y *= gate;
            size *= gate;
        }
        float got = env.act[d->out + of_row * d->out_stride + head * d->value_size + i];
        if (fabs(got - y) <= 2e-3 * size + 1e-5) continue;
        printf("heads %u of %u by %u values, %u of keys; window %u, cap %g, sinks %d, gate %u; pages of %u; span of %u "
               "rows after %u: "
               "row %u, head %u, value %u: %g, %g expected\n",
               d->heads, d->head_size, d->value_size, d->kv_heads, d->window, d->soft_cap, d->sinks != XN_CL_NONE,
               d->output_gate, t->page_size, span->n_rows, span->past, row, head, i, got, y);
        return 0;
    }
    return 1;
}

static int run(struct trial *t) {
    draw(t);
    for (uint32_t i = 0; i < ACT; i++)
        env.act[i] = any();
    float *scratch = aligned_alloc(256, (AT.scratch + 2 * GUARD) / 64 * 256);
    memset(scratch, 0xff, (AT.scratch + GUARD) * 4);
    int right = 1;
    for (uint32_t group = 0; group < t->groups && right; group++) {
        work = (struct work){&env, &t->d, group, t->groups, scratch};
        right = run_group();
        if (!right) printf("work-items wait for each other\n");
    }
    for (uint32_t i = 0; i < GUARD && right; i++) {
        uint32_t word;
        memcpy(&word, scratch + AT.scratch + i, 4);
        right = word == 0xffffffff;
        if (!right) printf("local memory is written past its end\n");
    }
    free(scratch);
    for (uint32_t s = 0; s < t->spans; s++)
        for (uint32_t row = 0; row < t->span[s].n_rows; row++)
            for (uint32_t head = 0; head < t->d.heads && right; head++)
                right = is_right(t, &t->span[s], row, head);
    return right;
}

int main(int argc, char **argv) {
    if (argc < 3) return 1;
    srand((unsigned)strtoul(argv[2], NULL, 10));
    fill_half_values();
    lanes_of.group = AT.group;
    lanes_of.lanes = AT.lanes;
    lanes_of.run = run_attend;
    float vec[4096];
    for (int i = 0; i < 4096; i++)
        vec[i] = any();
    env = (struct env){.step = step, .places = places, .vec = vec, .counters = counters};
    env.act = malloc((size_t)ACT * 4);
    env.heap[2] = aligned_alloc(64, HEAP);
    for (int i = 0; i < TRIALS; i++) {
        struct trial t;
        if (!run(&t)) {
            printf("%s: trial %d is wrong\n", argv[1], i);
            return 1;
        }
    }
    printf("%s: %d trials\n", argv[1], TRIALS);
    return 0;
}
