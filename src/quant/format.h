// Block formats: how a row of weights is stored in few bits. One table of all of them; a format is one row of it, and
// no code outside this folder switches on a format's number to learn its sizes or to decode it.
//
// A row of k values is k / block_values blocks of block_bytes bytes each; k must be a multiple of block_values. Layouts
// are those of GGUF (ggml), to the byte.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The numbers are those of GGUF's tensor types.
enum xn_type {
    XN_F32 = 0,
    XN_F16 = 1,
    XN_Q4_0 = 2,
    XN_Q4_1 = 3,
    XN_Q5_0 = 6,
    XN_Q5_1 = 7,
    XN_Q8_0 = 8,
    XN_Q2_K = 10,
    XN_Q3_K = 11,
    XN_Q4_K = 12,
    XN_Q5_K = 13,
    XN_Q6_K = 14,
    XN_IQ2_XXS = 16,
    XN_IQ2_XS = 17,
    XN_IQ3_XXS = 18,
    XN_IQ1_S = 19,
    XN_IQ4_NL = 20,
    XN_IQ3_S = 21,
    XN_IQ2_S = 22,
    XN_IQ4_XS = 23,
    XN_I8 = 24,
    XN_I16 = 25,
    XN_I32 = 26,
    XN_I64 = 27,
    XN_F64 = 28,
    XN_IQ1_M = 29,
    XN_BF16 = 30,
    XN_TQ1_0 = 34,
    XN_TQ2_0 = 35,
    XN_MXFP4 = 39,
    XN_NVFP4 = 40,
    XN_TYPE_COUNT = 41,
};

struct xn_format {
    const char *name; // as GGUF tools write it: "Q4_K", "BF16"
    uint16_t block_values;
    uint16_t block_bytes;
    // Decodes n values (a multiple of block_values) from blocks to float32. NULL where the type only stores numbers
    // (I32, ...).
    void (*decode)(const void *blocks, float *out, size_t n);
    // Encodes n float32 values; importance (n weights >= 0, or NULL) says whose error counts. NULL: can't be written
    // yet.
    void (*encode)(const float *values, void *blocks, size_t n, const float *importance);
};

// The format of a GGUF type number, or NULL if it is unknown (any number may be asked).
const struct xn_format *xn_format_of(uint32_t type);
// The type named so, ignoring case ("q4_k", "BF16"), or -1.
int xn_type_from_name(const char *name);
// Bytes of n values, false where n is not a multiple of the block or the size overflows.
bool xn_format_bytes(const struct xn_format *format, uint64_t n, size_t *bytes);
