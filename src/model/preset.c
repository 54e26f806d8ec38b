#include "model/preset.h"

#include <strings.h>

#define R(role, when, type)                                                                                            \
    { XN_ROLE_##role, XN_WHEN_##when, XN_##type }
#define END                                                                                                            \
    { XN_ROLE_PLAIN, XN_WHEN_ALWAYS, XN_F32 }

// clang-format off
static const struct xn_preset presets[] = {
    {"F32", 0, XN_F32, XN_F32, {END}},
    {"F16", 1, XN_F16, XN_F16, {END}},
    {"BF16", 32, XN_BF16, XN_BF16, {END}},
    {"Q8_0", 7, XN_Q8_0, XN_Q8_0, {R(K, EIGHT, Q8_0), END}},
    {"Q4_0", 2, XN_Q4_0, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0), END}},
    {"Q4_1", 3, XN_Q4_1, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0), END}},
    {"Q5_0", 8, XN_Q5_0, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0), END}},
    {"Q5_1", 9, XN_Q5_1, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0), END}},
    {"Q2_K", 10, XN_Q2_K, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0), R(ATTENTION_OUT, EIGHT, Q5_K),
        R(V, GROUPED, Q4_K), R(V, ALWAYS, Q3_K), R(DOWN, ALWAYS, Q3_K), R(ATTENTION_OUT, ALWAYS, Q3_K), END}},
    {"Q2_K_S", 21, XN_Q2_K, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0),
        R(V, GROUPED, Q4_K), R(DOWN, EIGHTH, Q4_K), END}},
    {"Q3_K_S", 11, XN_Q3_K, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0), R(ATTENTION_OUT, EIGHT, Q5_K), END}},
    {"Q3_K_M", 12, XN_Q3_K, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0), R(ATTENTION_OUT, EIGHT, Q5_K),
        R(V, FIRST_TWO, Q5_K), R(V, ALWAYS, Q4_K), R(DOWN, SIXTEENTH, Q5_K), R(DOWN, ALWAYS, Q4_K),
        R(ATTENTION_OUT, ALWAYS, Q4_K)}},
    {"Q3_K_L", 13, XN_Q3_K, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0), R(ATTENTION_OUT, EIGHT, Q3_K),
        R(V, ALWAYS, Q5_K), R(DOWN, ALWAYS, Q5_K), R(ATTENTION_OUT, ALWAYS, Q5_K), END}},
    {"Q4_K_S", 14, XN_Q4_K, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0), R(ATTENTION_OUT, EIGHT, Q5_K),
        R(V, FIRST_FOUR, Q5_K), R(DOWN, EIGHTH, Q5_K), END}},
    {"Q4_K_M", 15, XN_Q4_K, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0), R(ATTENTION_OUT, EIGHT, Q5_K),
        R(V, MORE_BITS, Q6_K), R(DOWN, MORE_BITS, Q6_K), END}},
    {"Q5_K_S", 16, XN_Q5_K, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0), END}},
    {"Q5_K_M", 17, XN_Q5_K, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0),
        R(V, MORE_BITS, Q6_K), R(DOWN, MORE_BITS, Q6_K), END}},
    {"Q6_K", 18, XN_Q6_K, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0), END}},
    {"IQ4_NL", 25, XN_IQ4_NL, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0), R(ATTENTION_OUT, EIGHT, Q5_K),
        R(V, GROUPED, Q5_K), R(DOWN, EIGHTH, Q5_K), END}},
    {"IQ4_XS", 30, XN_IQ4_XS, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0), R(ATTENTION_OUT, EIGHT, Q5_K),
        R(V, GROUPED, Q5_K), R(DOWN, EIGHTH, Q5_K), END}},
    {"IQ3_S", 26, XN_IQ3_S, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0), R(ATTENTION_OUT, EIGHT, Q5_K),
        R(V, GROUPED, Q4_K), END}},
    {"IQ3_M", 27, XN_IQ3_S, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0), R(ATTENTION_OUT, EIGHT, Q5_K),
        R(V, ALWAYS, Q4_K), R(DOWN, EIGHTH, Q4_K), R(DOWN, EIGHT_EARLY, Q4_K), R(ATTENTION_OUT, ALWAYS, Q4_K), END}},
    {"TQ1_0", 36, XN_TQ1_0, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0), R(EMBEDDING, ALWAYS, Q4_K), END}},
    {"TQ2_0", 37, XN_TQ2_0, XN_Q6_K, {R(V, EIGHT, Q8_0), R(K, EIGHT, Q8_0), R(EMBEDDING, ALWAYS, Q4_K), END}},
    {"MXFP4_MOE", 38, XN_Q8_0, XN_Q8_0, {R(GATE, STACKED, MXFP4), R(UP, STACKED, MXFP4), R(DOWN, STACKED, MXFP4),
        R(OTHER, STACKED, MXFP4), END}},
};

// The format with smaller blocks for rows that do not fill those of the first.
static const struct { enum xn_type wanted, instead; } fallbacks[] = {
    {XN_Q2_K, XN_Q4_0}, {XN_Q3_K, XN_Q4_0}, {XN_TQ1_0, XN_Q4_0}, {XN_TQ2_0, XN_Q4_0},
    {XN_Q4_K, XN_Q5_0}, {XN_Q5_K, XN_Q5_1}, {XN_Q6_K, XN_Q8_0}, {XN_IQ4_XS, XN_IQ4_NL}, {XN_IQ3_S, XN_IQ4_NL},
};
// clang-format on

size_t xn_preset_count(void) {
    return sizeof presets / sizeof *presets;
}

const struct xn_preset *xn_preset_at(size_t i) {
    return i < xn_preset_count() ? &presets[i] : NULL;
}

const struct xn_preset *xn_preset_find(const char *name) {
    for (size_t i = 0; i < xn_preset_count(); i++)
        if (strcasecmp(presets[i].name, name) == 0) return &presets[i];
    return NULL;
}

static bool more_bits(const struct xn_preset_case *m) {
    uint32_t eighth = m->layers / 8;
    return m->layer < eighth || m->layer >= 7 * m->layers / 8 || (m->layer - eighth) % 3 == 2;
}

static bool applies(enum xn_preset_when when, const struct xn_preset_case *m) {
    switch (when) {
    case XN_WHEN_ALWAYS:
        return true;
    case XN_WHEN_MORE_BITS:
        return more_bits(m);
    case XN_WHEN_EIGHTH:
        return m->layer < m->layers / 8;
    case XN_WHEN_SIXTEENTH:
        return m->layer < m->layers / 16;
    case XN_WHEN_FIRST_TWO:
        return m->layer < 2;
    case XN_WHEN_FIRST_FOUR:
        return m->layer < 4;
    case XN_WHEN_GROUPED:
        return m->heads_per_key >= 4;
    case XN_WHEN_STACKED:
        return m->stacked;
    case XN_WHEN_EIGHT:
        return m->experts == 8;
    case XN_WHEN_EIGHT_EARLY:
        return m->experts == 8 && more_bits(m);
    }
    return false;
}

static bool fits(enum xn_type type, uint64_t row) {
    return row % xn_format_of(type)->block_values == 0;
}

static enum xn_type wanted_type(const struct xn_preset *preset, const struct xn_preset_case *m) {
    bool head = m->role == XN_ROLE_OUTPUT || (m->role == XN_ROLE_EMBEDDING && m->tied);
    if (head) return fits(preset->type, m->row) || preset->output == preset->type ? preset->output : XN_Q8_0;
    for (size_t i = 0; i < XN_PRESET_RULES && preset->rules[i].role != XN_ROLE_PLAIN; i++) {
        const struct xn_preset_rule *rule = &preset->rules[i];
        if (rule->role == m->role && applies(rule->when, m)) return rule->type;
    }
    return preset->type;
}

enum xn_type xn_preset_type(const struct xn_preset *preset, const struct xn_preset_case *m) {
    if (m->role == XN_ROLE_PLAIN) return XN_F32;
    if (m->role == XN_ROLE_KEPT) return xn_format_of(preset->type)->block_values == 1 ? preset->type : XN_BF16;
    enum xn_type type = wanted_type(preset, m);
    for (size_t i = 0; i < sizeof fallbacks / sizeof *fallbacks && !fits(type, m->row); i++)
        if (fallbacks[i].wanted == type) type = fallbacks[i].instead;
    return fits(type, m->row) ? type : XN_F16;
}
