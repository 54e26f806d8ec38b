// The options of sampling that commands share, by the names that llama.cpp's commands give them.
#pragma once

#include "api/sampling.h"
#include "cli/options.h"

// As they stand on the command line.
struct xn_sampling_options {
    double temperature, dynatemp_range, dynatemp_exponent, top_p, min_p, typ_p, top_n_sigma;
    double xtc_probability, xtc_threshold, repeat_penalty, frequency_penalty, presence_penalty;
    double dry_multiplier, dry_base, mirostat_tau, mirostat_eta;
    int64_t top_k, repeat_last, dry_allowed_length, dry_penalty_last, mirostat, min_keep, seed;
    const char *samplers; // NULL: all in their order
    struct xn_strings logit_bias, breakers;
};
// xn_sampling_default, and a new seed each time.
struct xn_sampling_options xn_sampling_options_default(void);
void xn_sampling_options_free(struct xn_sampling_options *options);

// Everything that needs no model. XN_ERR_ARGUMENT names the option.
int xn_sampling_options_read(const struct xn_sampling_options *options, struct xn_sampling_held *held,
                             struct xn_error *err);
// The sequence breakers in the model's tokens, where DRY is on; tokenizer NULL: none. `held` must stay where it is.
int xn_sampling_options_spell(const struct xn_sampling_options *options, const struct xn_tokenizer *tokenizer,
                              struct xn_sampling_held *held, struct xn_error *err);

// clang-format off
#define XN_SAMPLING_OPTION(name, kind, field, argument, help, least, most)                                             \
    {0, name, XN_OPTION_##kind, &(field), argument, help, least, most, NULL}
#define XN_SAMPLING_OPTIONS(s)                                                                                         \
    XN_SAMPLING_OPTION("samplers", STRING, (s).samplers, "A;B;...",                                                    \
        "samplers in their order (penalties;dry;top_n_sigma;top_k;typ_p;top_p;min_p;xtc;temperature)", 0, 0),          \
    {'s', "seed", XN_OPTION_INT, &(s).seed, "N", "the same seed gives the same text; -1: a new one (-1)", -1, 9.0e18,  \
     NULL},                                                                                                            \
    XN_SAMPLING_OPTION("temp", FLOAT, (s).temperature, "X", "temperature; 0: the most likely token (0.7)", 0, 100),    \
    XN_SAMPLING_OPTION("dynatemp-range", FLOAT, (s).dynatemp_range, "X",                                               \
        "temperature +- X by entropy; 0: fixed (0)", 0, 100),                                                          \
    XN_SAMPLING_OPTION("dynatemp-exp", FLOAT, (s).dynatemp_exponent, "X", "of the entropy there (1)", 0, 100),         \
    XN_SAMPLING_OPTION("top-k", INT, (s).top_k, "N", "of the N most likely tokens; 0: all (40)", 0, INT32_MAX),        \
    XN_SAMPLING_OPTION("top-p", FLOAT, (s).top_p, "X", "of the most likely with a sum of X; 1: all (0.95)", 0, 1),     \
    XN_SAMPLING_OPTION("min-p", FLOAT, (s).min_p, "X",                                                                 \
        "of those at least X times the most likely; 0: all (0.05)", 0, 1),                                             \
    XN_SAMPLING_OPTION("typical", FLOAT, (s).typ_p, "X",                                                               \
        "of those nearest to the expected surprise, with a sum of X; 1: all (1)", 0, 1),                               \
    XN_SAMPLING_OPTION("top-nsigma", FLOAT, (s).top_n_sigma, "X",                                                      \
        "of those within X standard deviations of the best logit; -1: all (-1)", -1, 100),                             \
    XN_SAMPLING_OPTION("xtc-probability", FLOAT, (s).xtc_probability, "X",                                             \
        "how often the likely ones but the last of them are excluded; 0: never (0)", 0, 1),                            \
    XN_SAMPLING_OPTION("xtc-threshold", FLOAT, (s).xtc_threshold, "X",                                                 \
        "probability from which they are; above 0.5: never (0.1)", 0, 1),                                              \
    XN_SAMPLING_OPTION("min-keep", INT, (s).min_keep, "N",                                                             \
        "tokens that top-p, min-p, typical and XTC leave at least (0)", 0, INT32_MAX),                                 \
    XN_SAMPLING_OPTION("repeat-penalty", FLOAT, (s).repeat_penalty, "X", "against recent tokens; 1: none (1)", 0.01,   \
        100),                                                                                                          \
    XN_SAMPLING_OPTION("repeat-last-n", INT, (s).repeat_last, "N",                                                     \
        "tokens that count as recent; 0: none; -1: all (64)", -1, INT32_MAX),                                          \
    XN_SAMPLING_OPTION("repeat-last", INT, (s).repeat_last, "N", "the same", -1, INT32_MAX),                           \
    XN_SAMPLING_OPTION("presence-penalty", FLOAT, (s).presence_penalty, "X",                                           \
        "taken from the logits of recent tokens; 0: none (0)", -100, 100),                                             \
    XN_SAMPLING_OPTION("frequency-penalty", FLOAT, (s).frequency_penalty, "X",                                         \
        "the same, each time that they occur (0)", -100, 100),                                                         \
    XN_SAMPLING_OPTION("dry-multiplier", FLOAT, (s).dry_multiplier, "X",                                               \
        "DRY, against repeated sequences; 0: off (0)", 0, 1000),                                                       \
    XN_SAMPLING_OPTION("dry-base", FLOAT, (s).dry_base, "X", "of its powers; below 1: off (1.75)", 0, 1000),           \
    XN_SAMPLING_OPTION("dry-allowed-length", INT, (s).dry_allowed_length, "N",                                         \
        "tokens that may be repeated (2)", 0, INT32_MAX),                                                              \
    XN_SAMPLING_OPTION("dry-penalty-last-n", INT, (s).dry_penalty_last, "N",                                           \
        "tokens that it looks at; 0: off; -1: all (-1)", -1, INT32_MAX),                                               \
    XN_SAMPLING_OPTION("dry-sequence-breaker", LIST, (s).breakers, "TEXT",                                             \
        "ends a repetition; may be repeated; none: no such text (line end : \" *)", 0, 0),                             \
    XN_SAMPLING_OPTION("mirostat", INT, (s).mirostat, "N",                                                             \
        "1 or 2: Mirostat in place of all these but temp and logit-bias; 0: off (0)", 0, 2),                           \
    XN_SAMPLING_OPTION("mirostat-ent", FLOAT, (s).mirostat_tau, "X", "tau, the surprise aimed at, in bits (5)", 0,     \
        1000),                                                                                                         \
    XN_SAMPLING_OPTION("mirostat-lr", FLOAT, (s).mirostat_eta, "X", "eta, its learning rate (0.1)", 0, 1000),          \
    {'l', "logit-bias", XN_OPTION_LIST, &(s).logit_bias, "ID+X",                                                       \
     "adds X to a token's logit (or ID-X; ID-inf: never chosen); may be repeated", 0, 0, NULL}
// clang-format on
