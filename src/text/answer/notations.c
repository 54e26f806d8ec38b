// The table of notations.
#include "text/answer/internal.h"

#define NOTATIONS(X)                                                                                                   \
    X(HERMES, hermes)                                                                                                  \
    X(QWEN_XML, qwen_xml)                                                                                              \
    X(LLAMA3, llama3)                                                                                                  \
    X(MISTRAL, mistral)                                                                                                \
    X(HARMONY, harmony)                                                                                                \
    X(GLM, glm)                                                                                                        \
    X(DEEPSEEK, deepseek)                                                                                              \
    X(DSML, dsml)                                                                                                      \
    X(GEMMA4, gemma4)                                                                                                  \
    X(LFM2, lfm2)                                                                                                      \
    X(NEMOTRON, nemotron)                                                                                              \
    X(SEED, seed)                                                                                                      \
    X(MINIMAX, minimax)                                                                                                \
    X(KIMI, kimi)                                                                                                      \
    X(FUNCTIONARY, functionary)                                                                                        \
    X(SOLAR, solar)                                                                                                    \
    X(APERTUS, apertus)                                                                                                \
    X(APRIEL, apriel)                                                                                                  \
    X(GRANITE, granite)                                                                                                \
    X(FIREFUNCTION, firefunction)                                                                                      \
    X(COMMAND_R, command_r)                                                                                            \
    X(GIGACHAT, gigachat)

#define X(format, name) extern const struct xn_notation xn_notation_##name;
NOTATIONS(X)
#undef X

const struct xn_notation *const xn_notations[XN_ANSWER_FORMATS] = {
#define X(format, name) [XN_ANSWER_##format] = &xn_notation_##name,
    NOTATIONS(X)
#undef X
};
