// What can be set of the choice of a token: the samplers of llama.cpp's server, with their names and meanings
// (docs/sampling.md has the formulas).
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One list feeds the enum and the names. The last column is a second spelling, or "".
#define XN_SAMPLER_LIST(X)                                                                                             \
    X(PENALTIES, "penalties", "")                                                                                      \
    X(DRY, "dry", "")                                                                                                  \
    X(TOP_N_SIGMA, "top_n_sigma", "")                                                                                  \
    X(TOP_K, "top_k", "")                                                                                              \
    X(TYP_P, "typ_p", "typical")                                                                                       \
    X(TOP_P, "top_p", "nucleus")                                                                                       \
    X(MIN_P, "min_p", "")                                                                                              \
    X(XTC, "xtc", "")                                                                                                  \
    X(TEMPERATURE, "temperature", "temp")

// In the order in which they run where no other is asked for.
enum xn_sampler_kind {
#define X(name, text, other) XN_SAMPLER_##name,
    XN_SAMPLER_LIST(X)
#undef X
        XN_SAMPLER_KINDS
};

enum { XN_SAMPLERS_MOST = 16 };

// The samplers in the order in which they run; what is not in it does not run.
struct xn_sampler_order {
    uint8_t kinds[XN_SAMPLERS_MOST]; // enum xn_sampler_kind
    uint8_t n;
    bool given; // false: all, in the order of the enum
};
// Reads "top_k;top_p;temperature" (also with '-' for '_', and the second spellings). "" runs none: the tokens are drawn
// as the model gives them. XN_ERR_ARGUMENT names a word that is no sampler.
int xn_sampler_order_parse(const char *text, struct xn_sampler_order *order, struct xn_error *err);

struct xn_logit_bias {
    int32_t id;
    float bias; // added to the logit; -INFINITY: never chosen
};

struct xn_dry_breakers; // sampling/breakers.h

struct xn_sampling {
    float temperature;       // <= 0: the most likely token
    float dynatemp_range;    // > 0: the temperature lies within temperature +- range, by entropy
    float dynatemp_exponent; // of the normalised entropy
    int32_t top_k;           // <= 0: all
    float top_p;             // >= 1: all
    float min_p;             // <= 0: all
    float typ_p;             // >= 1: all
    float top_n_sigma;       // <= 0: all
    float xtc_probability;   // <= 0: never
    float xtc_threshold;     // > 0.5: never
    float repeat_penalty;    // 1: none; of tokens among the last repeat_last
    float frequency_penalty; // 0: none; times the count among them
    float presence_penalty;  // 0: none; once for each among them
    int32_t repeat_last;     // 0: none; -1: all (of the last 2^20)
    float dry_multiplier;    // 0: off
    float dry_base;          // < 1: off
    int32_t dry_allowed_length;
    int32_t dry_penalty_last;                   // 0: off; -1: all (of the last 2^20)
    const struct xn_dry_breakers *dry_breakers; // NULL: none; must outlive the sampler
    int mirostat;                               // 0, 1 or 2; 1 and 2 replace all but logit_bias and the temperature
    float mirostat_tau;                         // aimed at, in bits
    float mirostat_eta;                         // learning rate
    int32_t min_keep;                           // of top_p, typ_p, min_p, XTC: candidates that they leave at least
    const struct xn_logit_bias *logit_bias;     // copied; of one id the sum counts
    size_t n_logit_bias;
    struct xn_sampler_order order;
    uint64_t seed;
};

// temperature 0.7, top_k 40, top_p 0.95, min_p 0.05, nothing else, seed 0; what the settings that are off begin with:
// dynatemp_exponent 1, typ_p 1, top_n_sigma -1, xtc_threshold 0.1, repeat_penalty 1, repeat_last 64, dry_base 1.75,
// dry_allowed_length 2, dry_penalty_last -1, mirostat_tau 5, mirostat_eta 0.1.
struct xn_sampling xn_sampling_default(void);

// XN_ERR_ARGUMENT where a setting is out of its range (NaN always is), named with what was expected.
int xn_sampling_check(const struct xn_sampling *sampling, int32_t vocab, struct xn_error *err);
