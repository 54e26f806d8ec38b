// What the processor and the operating system let a program use, by cpuid and xgetbv.
#pragma once

#include <stdbool.h>

// A flag is set only where the processor has the instructions and the system saves the registers that they need.
struct xn_cpu_features {
    char name[64]; // the processor's own, trimmed; "unknown processor" where it has none
    bool avx2, fma, f16c;
    bool avx512f, avx512bw, avx512dq, avx512vl, avx512cd;
    bool avx512vnni, avx512bf16;
    bool avxvnni;     // VNNI of 256 bits, on processors without AVX-512 as well
    bool reads_ahead; // one ascending stream is fetched ahead so well that asking for it only costs: AMD's processors
    bool amx_tile, amx_int8, amx_bf16; // this process has asked the system for the tiles, and may use them
};
void xn_cpu_features_read(struct xn_cpu_features *features);
