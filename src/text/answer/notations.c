// The table of notations.
#include "text/answer/internal.h"

#define NOTATIONS(X) X(HERMES, hermes)

#define X(format, name) extern const struct xn_notation xn_notation_##name;
NOTATIONS(X)
#undef X

const struct xn_notation *const xn_notations[XN_ANSWER_FORMATS] = {
#define X(format, name) [XN_ANSWER_##format] = &xn_notation_##name,
    NOTATIONS(X)
#undef X
};
