// What the GGUF reader and writer share: the numbers of the container.
#pragma once

#include "format/gguf.h"

#define XN_GGUF_DEFAULT_ALIGNMENT 32 // of tensor data, where general.alignment does not say otherwise

enum {
    XN_GGUF_MAX_KEY = 65535, // bytes, from the format's description
    XN_GGUF_MAX_NAME = 64,   // bytes of a tensor's name, likewise
    XN_GGUF_MAX_PARTS = 65535,
};

// Bytes of one number in the file; 0 for strings and arrays.
static inline size_t xn_gguf_kind_bytes(enum xn_gguf_kind kind) {
    static const uint8_t bytes[XN_GGUF_KINDS] = {
        [XN_GGUF_U8] = 1,  [XN_GGUF_I8] = 1,  [XN_GGUF_U16] = 2, [XN_GGUF_I16] = 2,
        [XN_GGUF_U32] = 4, [XN_GGUF_I32] = 4, [XN_GGUF_F32] = 4, [XN_GGUF_BOOL] = 1,
        [XN_GGUF_U64] = 8, [XN_GGUF_I64] = 8, [XN_GGUF_F64] = 8,
    };
    return (unsigned)kind < XN_GGUF_KINDS ? bytes[kind] : 0;
}

// A power of two, so that rounding up can't surprise, and at least 8, so that any number type is aligned in a mapping.
static inline bool xn_gguf_alignment_ok(uint64_t alignment) {
    return alignment >= 8 && alignment <= 1u << 30 && (alignment & (alignment - 1)) == 0;
}
