#include "base/cpu_features.h"

#include <cpuid.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// Bits of xcr0: which register files the system saves when it switches threads.
enum { STATE_AVX = 0x6, STATE_AVX512 = 0xe6, STATE_AMX = 0x60000 };

static uint32_t enabled_state(void) {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

// Linux hands out the eight kilobytes of tiles only to processes that ask for them; threads started later have them
// too.
static bool ask_for_tiles(void) {
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

static void read_name(char *name, size_t size) {
    uint32_t words[13] = {0}, a, b, c, d;
    if (__get_cpuid(0x80000000u, &a, &b, &c, &d) && a >= 0x80000004u)
        for (uint32_t i = 0; i < 3; i++)
            __get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3]);
    const char *text = (const char *)words; // 48 bytes and a terminator
    while (*text == ' ')
        text++;
    size_t n = strlen(text);
    while (n && text[n - 1] == ' ')
        n--;
    snprintf(name, size, "%.*s", n ? (int)n : 17, n ? text : "unknown processor");
}

static bool made_by(const char *vendor) { // twelve letters
    uint32_t most, b, c, d;
    if (!__get_cpuid(0, &most, &b, &c, &d)) return false;
    const uint32_t words[3] = {b, d, c};
    return memcmp(vendor, words, sizeof words) == 0;
}

void xn_cpu_features_read(struct xn_cpu_features *f) {
    memset(f, 0, sizeof *f);
    read_name(f->name, sizeof f->name);
    f->reads_ahead = made_by("AuthenticAMD");
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return;
    bool osxsave = c >> 27 & 1, avx = c >> 28 & 1;
    if (!osxsave || !avx) return;
    uint32_t state = enabled_state();
    if ((state & STATE_AVX) != STATE_AVX) return;
    f->fma = c >> 12 & 1;
    f->f16c = c >> 29 & 1;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return;
    uint32_t subleaves = a, tiles = d, a1 = 0, b1, c1, d1;
    f->avx2 = b >> 5 & 1;
    if (subleaves >= 1 && !__get_cpuid_count(7, 1, &a1, &b1, &c1, &d1)) a1 = 0;
    f->avxvnni = a1 >> 4 & 1;
    if ((state & STATE_AVX512) != STATE_AVX512) return;
    f->avx512f = b >> 16 & 1;
    f->avx512dq = b >> 17 & 1;
    f->avx512cd = b >> 28 & 1;
    f->avx512bw = b >> 30 & 1;
    f->avx512vl = b >> 31 & 1;
    f->avx512vnni = c >> 11 & 1;
    f->avx512bf16 = a1 >> 5 & 1;
    if ((state & STATE_AMX) != STATE_AMX || !(tiles >> 24 & 1) || !ask_for_tiles()) return;
    f->amx_tile = true;
    f->amx_bf16 = tiles >> 22 & 1;
    f->amx_int8 = tiles >> 25 & 1;
}
