// The families: one row a family, in the file of its kind. A new one is a file here and a line in this list.
#pragma once

#include "model/builder.h"

#define XN_FAMILY_LIST(X)                                                                                              \
    X(llama)                                                                                                           \
    X(mistral)                                                                                                         \
    X(ministral3)                                                                                                      \
    X(mixtral)                                                                                                         \
    X(qwen2)                                                                                                           \
    X(qwen2_moe)                                                                                                       \
    X(qwen3)                                                                                                           \
    X(qwen3_moe)                                                                                                       \
    X(qwen3_5)                                                                                                         \
    X(qwen3_5_moe)                                                                                                     \
    X(gemma2)                                                                                                          \
    X(gemma3)                                                                                                          \
    X(phi3)                                                                                                            \
    X(smollm3)                                                                                                         \
    X(olmo2)                                                                                                           \
    X(granite)                                                                                                         \
    X(glm4)                                                                                                            \
    X(glm4_moe)                                                                                                        \
    X(seed_oss)

#define X(name) extern const struct xn_family xn_family_##name;
XN_FAMILY_LIST(X)
#undef X
