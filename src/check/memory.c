// Copying and comparing the memory of a step.
#include "check/memory.h"

#include "device/cache.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const buffer_names[XN_BUFFERS] = {
    [XN_BUF_X] = "X",
    [XN_BUF_Q] = "Q",
    [XN_BUF_Z] = "Z",
    [XN_BUF_BETA] = "BETA",
    [XN_BUF_ALPHA] = "ALPHA",
    [XN_BUF_MIX] = "MIX",
    [XN_BUF_BESIDE] = "BESIDE",
    [XN_BUF_ABSORBED] = "ABSORBED",
    [XN_BUF_LATENT] = "LATENT",
    [XN_BUF_SUM] = "SUM",
    [XN_BUF_INPUTS] = "INPUTS",
    [XN_BUF_HIDDEN] = "HIDDEN",
    [XN_BUF_EXPERTS] = "EXPERTS",
    [XN_BUF_GATE] = "GATE",
};

// The arrays that a memory is made of, one after the other.
struct array {
    const char *name;
    const void *data;
    size_t n;
    uint32_t type;    // XN_I32, or of a cache (device/cache.h)
    const bool *skip; // rows that are not compared, or NULL
    size_t width;     // of a row
};
enum { MOST = 8 };                             // times the root mean square that one value may be off by
enum { MOST_ARRAYS = XN_BUFFERS + 2 + 1 + 3 }; // a case has one cache layer and one state layer

// skip: rows of routing that are not compared, or NULL.
static size_t list_arrays(const struct xn_host_memory *m, const bool *skip, struct array arrays[MOST_ARRAYS]) {
    const struct xn_plan *plan = m->plan;
    size_t n = 0, rows = m->limits.rows, positions = (size_t)m->limits.pages * m->limits.page_size;
    for (int b = 0; b < XN_BUFFERS; b++)
        arrays[n++] = (struct array){buffer_names[b], m->buffer[b], rows * plan->width[b], XN_F32, NULL, 0};
    for (uint32_t i = 0; i < plan->n_cache && i < 1; i++) {
        size_t heads = positions * plan->cache[i].kv_heads;
        uint32_t type = m->limits.cache_type;
        arrays[n++] = (struct array){"keys", m->cache[i].keys, heads * plan->cache[i].key_size, type, NULL, 0};
        arrays[n++] = (struct array){"values", m->cache[i].values, heads * plan->cache[i].value_size, type, NULL, 0};
    }
    for (uint32_t i = 0; i < plan->n_states && i < 1; i++) {
        size_t slot = (size_t)plan->states[i].conv_size + plan->states[i].recurrent_size;
        arrays[n++] = (struct array){"states", m->states[i], m->limits.slots * slot, XN_F32, NULL, 0};
    }
    size_t used = plan->route_width;
    arrays[n++] = (struct array){.name = "expert ids", .data = m->expert_ids, .n = rows * used, .type = XN_I32};
    arrays[n++] = (struct array){.name = "expert weights", .data = m->expert_weights, .n = rows * used, .type = XN_F32};
    for (size_t i = n - 2; i < n; i++) {
        arrays[i].skip = skip;
        arrays[i].width = used;
    }
    arrays[n++] = (struct array){"logits", m->logits, (size_t)m->limits.outputs * plan->vocab, XN_F32, NULL, 0};
    return n;
}

void xn_check_memory_copy(struct xn_host_memory *to, const struct xn_host_memory *from) {
    struct array a[MOST_ARRAYS], b[MOST_ARRAYS];
    size_t n = list_arrays(to, NULL, a);
    list_arrays(from, NULL, b);
    for (size_t i = 0; i < n; i++)
        if (a[i].n)
            memcpy((void *)a[i].data, b[i].data, a[i].type == XN_I32 ? 4 * a[i].n : xn_cache_bytes(a[i].type, a[i].n));
}

static float value_at(const struct array *a, size_t i) {
    if (a->type == XN_I32) return (float)((const int32_t *)a->data)[i];
    return xn_cache_load(a->type, a->data, i);
}
static bool same_bits(const struct array *a, const struct array *b, size_t i) {
    if (xn_cache_type_blocks(a->type)) return value_at(a, i) == value_at(b, i);
    if (a->type == XN_F16 || a->type == XN_BF16)
        return ((const uint16_t *)a->data)[i] == ((const uint16_t *)b->data)[i];
    return memcmp((const char *)a->data + 4 * i, (const char *)b->data + 4 * i, 4) == 0;
}

// What comparing the values that the operation should write found.
struct found {
    size_t written, infinite;          // how many they are; the first that is not finite
    double square_error, square, most; // sums of squares, and the largest error
};

static bool skipped(const struct array *a, size_t i) {
    return a->skip && a->skip[i / a->width];
}

// The same values before the step, as plain C leaves them, and as the device does.
struct compared {
    struct array before, after, got;
};

static bool is_written(const struct compared *c, size_t i) {
    return !same_bits(&c->before, &c->after, i);
}

static struct found compare_written(const struct compared *c) {
    struct found f = {.infinite = SIZE_MAX};
    for (size_t i = 0; i < c->got.n; i++) {
        if (skipped(&c->got, i) || !is_written(c, i)) continue;
        float x = value_at(&c->got, i), y = value_at(&c->after, i);
        double error = fabs((double)x - y);
        f.written++;
        if (!isfinite(x) && isfinite(y) && f.infinite == SIZE_MAX) f.infinite = i;
        f.square_error += error * error;
        f.square += (double)y * y;
        f.most = fmax(f.most, error);
    }
    return f;
}

// The first value that plain C left as it was and the device did not; SIZE_MAX: none. What plain C left may also be
// what it happened to write anew: of a half that is likely, of a float32 it is among what it wrote that one of millions
// is. Such a value may be off by `most`.
static size_t find_stray(const struct compared *c, double most) {
    for (size_t i = 0; i < c->got.n; i++) {
        if (same_bits(&c->before, &c->got, i) || skipped(&c->got, i) || is_written(c, i)) continue;
        bool anew = c->got.type == XN_F16 || c->got.type == XN_BF16 || xn_cache_type_blocks(c->got.type) ||
                    (i && is_written(c, i - 1)) || (i + 1 < c->got.n && is_written(c, i + 1));
        double was = value_at(&c->before, i), moved = fabs(value_at(&c->got, i) - was);
        if (!(moved <= (anew ? most : 1e-4 * fabs(was)))) return i;
    }
    return SIZE_MAX;
}

// Few values may happen to be small together, and are then off by more than many are.
static double tolerance_of(const struct xn_check_case *c, const struct array *a, size_t n, double rounding) {
    double tolerance = c->exact;
    if (c->rounds) tolerance = c->magnify * (tolerance + rounding * (1 + 30 / (double)n));
    switch (a->type) { // a value may round the other way
    case XN_F16:
        return tolerance + 0x1p-11;
    case XN_BF16:
        return tolerance + 0x1p-8;
    case XN_Q8_0: // a step is a 127th of the largest of a block, which few values are
        return tolerance + 0x1p-7;
    case XN_Q4_0:
        return tolerance + 0x1p-3;
    default:
        return tolerance;
    }
}

static void compare_array(const struct xn_check_case *c, const struct compared *a, double rounding,
                          struct xn_check_result *r) {
    struct found f = compare_written(a);
    double error = 0, tolerance = tolerance_of(c, &a->got, f.written ? f.written : 1, rounding), size = 0;
    if (f.written) {
        size = sqrt(f.square / (double)f.written + 1e-300);
        error = fmax(sqrt(f.square_error / (double)f.written), f.most / MOST) / size;
    }
    if (f.infinite != SIZE_MAX || isnan(error)) error = INFINITY;
    if (f.written && (r->tolerance == 0 || error / tolerance > r->error / r->tolerance)) {
        r->error = error;
        r->tolerance = tolerance;
    }
    if (r->problem[0]) return;
    size_t stray = find_stray(a, MOST * tolerance * size);
    const char *name = a->got.name;
    if (f.infinite != SIZE_MAX)
        snprintf(r->problem, sizeof r->problem, "%s[%zu] is not finite, %g expected", name, f.infinite,
                 (double)value_at(&a->after, f.infinite));
    else if (stray != SIZE_MAX)
        snprintf(r->problem, sizeof r->problem, "%s[%zu] is written: %g, %g should stay", name, stray,
                 (double)value_at(&a->got, stray), (double)value_at(&a->before, stray));
    else if (!(error <= tolerance))
        snprintf(r->problem, sizeof r->problem, "%s is off by %.3g of its size, at most %.3g expected", name, error,
                 tolerance);
}

static void compare_choices(const struct array *after, const struct array *got, struct xn_check_result *r) {
    const int32_t *want = after->data, *ids = got->data;
    for (size_t i = 0; i < got->n; i++) {
        if (ids[i] == want[i] || skipped(got, i)) continue;
        r->error = INFINITY;
        if (!r->problem[0])
            snprintf(r->problem, sizeof r->problem, "choice %zu is expert %d, %d expected", i, ids[i], want[i]);
        return;
    }
}

void xn_check_memory_compare(const struct xn_check_case *c, const struct xn_host_memory *got, double rounding,
                             struct xn_check_result *r) {
    struct array before[MOST_ARRAYS], after[MOST_ARRAYS], now[MOST_ARRAYS];
    size_t n = list_arrays(got, c->tied, now);
    list_arrays(&c->before, c->tied, before);
    list_arrays(&c->after, c->tied, after);
    r->error = r->tolerance = 0;
    r->problem[0] = 0;
    for (size_t i = 0; i < n; i++) {
        if (now[i].type == XN_I32)
            compare_choices(&after[i], &now[i], r);
        else
            compare_array(c, &(struct compared){before[i], after[i], now[i]}, rounding, r);
    }
    if (r->tolerance == 0) r->tolerance = tolerance_of(c, &now[0], 1, rounding);
}
