// Groups of work-items on the processor: fibers that take turns, of which one goes on until its sub-group's or its
// group's others must come to the same place, or until it looks again for what another group does. What functions of a
// sub-group (a warp) do is what Intel's and NVIDIA's documentations say.
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

enum { MOST_ITEMS = 2048, STACK = (1 << 18) + 37 * 64 }; // no power of two, or all share a few lines of the caches

// --- 16-bit values ---

static float half_values[65536];
static void fill_half_values(void) {
    for (uint32_t h = 0; h < 65536; h++) {
        int exponent = h >> 10 & 31, mantissa = h & 1023;
        float x = exponent == 31  ? mantissa ? NAN : INFINITY
                  : exponent == 0 ? ldexpf((float)mantissa, -24)
                                  : ldexpf((float)(1024 + mantissa), exponent - 25);
        half_values[h] = h >> 15 ? -x : x;
    }
}
float test_half_value(uint16_t bits) {
    return half_values[bits];
}
uint16_t test_half_bits(float x) { // to the nearest, of ties the even one
    uint16_t sign = signbit(x) ? 0x8000 : 0;
    x = fabsf(x);
    if (x == 0) return sign;
    if (isnan(x)) return 0x7e00;
    if (x >= 65520) return sign | 0x7c00;
    int exponent;
    frexpf(x, &exponent);
    int unit = exponent - 11 < -24 ? -24 : exponent - 11;
    float steps = rintf(ldexpf(x, -unit)); // of the last place
    if (unit == -24) return (uint16_t)(sign | (uint32_t)steps);
    return (uint16_t)(sign + ((uint32_t)(unit + 25) << 10) + (uint32_t)steps - 1024);
}
static float bfloat_value(uint16_t bits) {
    uint32_t u = (uint32_t)bits << 16;
    float x;
    memcpy(&x, &u, 4);
    return x;
}
static inline uint16_t bfloat_bits(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
float test_expf(float x) {
    return expf(x);
}
float test_tanhf(float x) {
    return tanhf(x);
}
float test_exp2f(float x) {
    return exp2f(x);
}

// --- a group ---

enum wait { RUNS, AT_GROUP, AT_SUB_GROUP, LOOKS_AGAIN, DONE };
static struct item {
    ucontext_t begin;
    jmp_buf context; // where it went on waiting, once it has begun
    int begun;
    enum wait wait;
    const void *a, *b; // what it brings to the matrix unit
    float *c;
    uint32_t bfloat, value;
    float number;
    uint32_t given[2], turn; // to others, in turns
} items[MOST_ITEMS];
static jmp_buf scheduler;
static uint32_t lid; // among the work-items of all groups that run at once
static struct {
    uint32_t group, lanes;
    void (*run)(void); // what each work-item does
    uint32_t groups;   // that run at once; 0: one
    int backwards;     // the last work-item goes first
} lanes_of;

uint32_t test_lid(void) {
    return lid % lanes_of.group;
}
static void wait_for(enum wait what) {
    items[lid].wait = what;
    if (_setjmp(items[lid].context) == 0) _longjmp(scheduler, 1);
}
void test_barrier(void) {
    wait_for(AT_GROUP);
}
// The last lane of a sub-group lets the others go on.
static int is_last(void) {
    uint32_t first = lid / lanes_of.lanes * lanes_of.lanes, waiting = 0;
    for (uint32_t i = 0; i < lanes_of.lanes; i++)
        waiting += items[first + i].wait == AT_SUB_GROUP;
    if (waiting + 1 < lanes_of.lanes) return 0;
    for (uint32_t i = 0; i < lanes_of.lanes; i++)
        items[first + i].wait = RUNS;
    return 1;
}
uint32_t test_broadcast(uint32_t x) { // what is the same in all lanes
    items[lid].value = x;
    if (!is_last()) wait_for(AT_SUB_GROUP);
    uint32_t first = lid / lanes_of.lanes * lanes_of.lanes;
    if (items[first].value != x) {
        printf("lane %u has %u, lane %u %u\n", lid, x, first, items[first].value);
        exit(1);
    }
    if (!is_last()) wait_for(AT_SUB_GROUP);
    return x;
}
// The sum, or the largest, of all lanes' values.
static float reduce(float x, int largest) {
    items[lid].number = x;
    if (!is_last()) wait_for(AT_SUB_GROUP);
    const struct item *lane = items + lid / lanes_of.lanes * lanes_of.lanes;
    float all = lane[0].number;
    for (uint32_t i = 1; i < lanes_of.lanes; i++)
        all = largest ? fmaxf(all, lane[i].number) : all + lane[i].number;
    if (!is_last()) wait_for(AT_SUB_GROUP); // nobody brings the next value before all have this one
    return all;
}
float sub_group_reduce_add(float x) {
    return reduce(x, 0);
}
float sub_group_reduce_max(float x) {
    return reduce(x, 1);
}
int32_t test_any(int32_t x) {
    items[lid].value = x != 0;
    if (!is_last()) wait_for(AT_SUB_GROUP);
    uint32_t first = lid / lanes_of.lanes * lanes_of.lanes, any = 0;
    for (uint32_t i = 0; i < lanes_of.lanes; i++)
        any |= items[first + i].value;
    // Nobody brings the next value before all have this one.
    if (!is_last()) wait_for(AT_SUB_GROUP);
    return (int32_t)any;
}
// The value that a lane of the same sub-group gives.
static inline uint32_t value_of_lane(uint32_t x, uint32_t lane) {
    uint32_t turn = items[lid].turn ^= 1; // nobody is two turns ahead
    items[lid].given[turn] = x;
    if (!is_last()) wait_for(AT_SUB_GROUP);
    return items[lid / lanes_of.lanes * lanes_of.lanes + lane].given[turn];
}
static float element(const uint16_t *p, uint32_t bfloat) {
    return bfloat ? bfloat_value(*p) : half_values[*p];
}
// c += a b, of 8 x 16 and 16 x lanes values. Value k of row i of a: of 8 lanes each has a pair of k of each row, of 16
// one; lane l has column l of b and of c.
void test_dpas(const void *a, const void *b, void *c, uint32_t bfloat) {
    struct item *mine = &items[lid];
    mine->a = a;
    mine->b = b;
    mine->c = c;
    mine->bfloat = bfloat;
    if (!is_last()) {
        wait_for(AT_SUB_GROUP);
        return;
    }
    const struct item *lane = items + lid / lanes_of.lanes * lanes_of.lanes;
    float rows[8][16];
    uint32_t each = 16 / lanes_of.lanes;
    for (uint32_t i = 0; i < 8; i++)
        for (uint32_t k = 0; k < 16; k++)
            rows[i][k] = element((const uint16_t *)lane[k / each].a + each * i + k % each, bfloat);
    for (uint32_t l = 0; l < lanes_of.lanes; l++) {
        float column[16];
        if (lane[l].bfloat != bfloat) {
            printf("lanes multiply values of different types\n");
            exit(1);
        }
        for (uint32_t k = 0; k < 16; k++)
            column[k] = element((const uint16_t *)lane[l].b + k, bfloat);
        for (uint32_t i = 0; i < 8; i++)
            for (uint32_t k = 0; k < 16; k++)
                lane[l].c[i] += rows[i][k] * column[k];
    }
}

// As PTX has ldmatrix (x4): row j of matrix i, 16 bytes, is where lane 8 i + j says; lane l gets the pair l % 4 of row
// l / 4 of each.
void test_matrices(uint64_t address, void *to) {
    struct item *mine = &items[lid];
    mine->a = (const void *)(uintptr_t)address;
    mine->c = to;
    if (!is_last()) {
        wait_for(AT_SUB_GROUP);
        return;
    }
    const struct item *lane = items + lid / lanes_of.lanes * lanes_of.lanes;
    for (uint32_t l = 0; l < 32; l++)
        for (uint32_t i = 0; i < 4; i++)
            memcpy((uint8_t *)lane[l].c + 4 * i, (const uint8_t *)lane[8 * i + l / 4].a + 4 * (l % 4), 4);
}
// And mma.m16n8k16. With g = l / 4 and t = l % 4 lane l has of a, in pairs, (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8,
// 2t + 8); of b rows 2t and 2t + 8 of column g; of c (g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t + 1).
void test_mma(void *c, const void *a, uint32_t b0, uint32_t b1) {
    struct item *mine = &items[lid];
    uint32_t b[2] = {b0, b1};
    mine->a = a;
    mine->b = b;
    mine->c = c;
    if (!is_last()) {
        wait_for(AT_SUB_GROUP);
        return;
    }
    const struct item *lane = items + lid / lanes_of.lanes * lanes_of.lanes;
    for (uint32_t row = 0; row < 16; row++)
        for (uint32_t column = 0; column < 8; column++)
            for (uint32_t k = 0; k < 16; k++) {
                const uint16_t *x = lane[row % 8 * 4 + k % 8 / 2].a, *y = lane[column * 4 + k % 8 / 2].b;
                lane[row % 8 * 4 + column / 2].c[row / 8 * 2 + column % 2] +=
                    half_values[x[2 * (row / 8 + k / 8 * 2) + k % 2]] * half_values[y[k / 8 * 2 + k % 2]];
            }
}
// mma.m16n8k32 and mma.m16n8k16 of signed bytes (`deep` 32 or 16), as PTX has them: c += a b, modulo 2^32. With g = l /
// 4 and t = l % 4 lane l has of a, four bytes in each word, values 4t to 4t + 3 of row g, of row g + 8, then, of 32,
// values 16
// + 4t ... of row g, of row g + 8; of b values 4t to 4t + 3 of column g, then, of 32, 16 + 4t ...; of c (g, 2t), (g, 2t
// + 1), (g + 8, 2t), (g + 8, 2t + 1).
void test_mma_bytes(uint32_t *c, const uint32_t *a, const uint32_t *b, uint32_t deep) {
    struct item *mine = &items[lid];
    mine->a = a;
    mine->b = b;
    mine->c = (void *)c;
    mine->bfloat = deep;
    if (!is_last()) {
        wait_for(AT_SUB_GROUP);
        return;
    }
    const struct item *lane = items + lid / lanes_of.lanes * lanes_of.lanes;
    for (uint32_t l = 0; l < 32; l++)
        if (lane[l].bfloat != deep) {
            printf("lanes multiply matrices of different sizes\n");
            exit(1);
        }
    for (uint32_t row = 0; row < 16; row++)
        for (uint32_t column = 0; column < 8; column++)
            for (uint32_t k = 0; k < deep; k++) {
                const int8_t *x = (const void *)lane[row % 8 * 4 + k % 16 / 4].a;
                const int8_t *y = (const void *)lane[column * 4 + k % 16 / 4].b;
                ((uint32_t *)(void *)lane[row % 8 * 4 + column / 2].c)[row / 8 * 2 + column % 2] +=
                    (uint32_t)(x[4 * (row / 8 + k / 16 * 2) + k % 4] * y[4 * (k / 16) + k % 4]);
            }
}

static void start(void) {
    lanes_of.run();
    items[lid].wait = DONE;
    _longjmp(scheduler, 1);
}
static void go_on(uint32_t i) {
    lid = i;
    if (_setjmp(scheduler) != 0) return;
    if (items[i].begun) _longjmp(items[i].context, 1);
    items[i].begun = 1;
    setcontext(&items[i].begin);
}
// Those of a group of which all are at a barrier leave it.
static void leave_barrier(struct item *group) {
    for (uint32_t i = 0; i < lanes_of.group; i++)
        if (group[i].wait != AT_GROUP) return;
    for (uint32_t i = 0; i < lanes_of.group; i++)
        group[i].wait = RUNS;
}
// 0: some wait for what others never come to.
static int run_group(void) {
    static uint8_t *stacks;
    uint32_t all = lanes_of.group * (lanes_of.groups ? lanes_of.groups : 1);
    if (!stacks) stacks = malloc((size_t)MOST_ITEMS * STACK);
    for (uint32_t i = 0; i < all; i++) {
        getcontext(&items[i].begin);
        items[i].begin.uc_stack.ss_sp = stacks + (size_t)i * STACK;
        items[i].begin.uc_stack.ss_size = STACK;
        items[i].wait = RUNS;
        items[i].begun = 0;
        makecontext(&items[i].begin, start, 0);
    }
    for (;;) {
        uint32_t ran = 0;
        for (uint32_t j = 0; j < all; j++) {
            uint32_t i = lanes_of.backwards ? all - 1 - j : j;
            if (items[i].wait == LOOKS_AGAIN) items[i].wait = RUNS;
            while (items[i].wait == RUNS) {
                ran++;
                go_on(i);
            }
        }
        for (uint32_t i = 0; i < all; i += lanes_of.group)
            leave_barrier(items + i);
        if (!ran) {
            for (uint32_t i = 0; i < all; i++)
                if (items[i].wait == RUNS) ran = 1; // who left a barrier
            if (ran) continue;
            for (uint32_t i = 0; i < all; i++)
                if (items[i].wait != DONE) return 0;
            return 1;
        }
    }
}

// --- random numbers ---

static uint32_t below(uint32_t n) {
    return (uint32_t)rand() % n;
}
static float any(void) {
    return (float)below(2001) / 1000 - 1;
}
