// What the subcommands share: how they end, how they complain, and how they open a device and a model.
//
// A new subcommand is a file NAME.c with `int xn_command_NAME(int argc, char **argv)` (argv[0] is its name; returns an
// exit status) and one row in XN_COMMANDS.
#pragma once

#include "base/error.h"
#include "cli/options.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

// In the order in which `xenon --help` lists them.
#define XN_COMMANDS(X)                                                                                                 \
    X(run, "generate text, or chat")                                                                                   \
    X(serve, "answer requests over HTTP: the APIs of OpenAI, Anthropic, Ollama and llama-server, and a web page")      \
    X(info, "what a model is made of, and the memory that it needs")                                                   \
    X(tokenize, "text to token ids, and back")                                                                         \
    X(template, "the prompt that a chat template makes of a conversation")                                             \
    X(devices, "the processor and the GPUs of this machine")                                                           \
    X(verify, "hold a model against golden outputs of its reference implementation")                                   \
    X(check, "hold every operation of this machine against plain C, and measure it")                                   \
    X(compile, "build the kernels of an Intel GPU ahead of time, here for a machine that has it")                      \
    X(bench, "speed of a model, and the share of what the machine can do")                                             \
    X(perplexity, "how well a model predicts a text")                                                                  \
    X(synth, "write a model of a published shape with random weights")

#define X(name, help) int xn_command_##name(int argc, char **argv);
XN_COMMANDS(X)
#undef X

enum xn_exit {
    XN_EXIT_OK = 0,
    XN_EXIT_FAILED = 1,      // the job failed, or what was checked is not so
    XN_EXIT_USAGE = 2,       // the command line is wrong
    XN_EXIT_INTERRUPT = 130, // stopped by Ctrl-C, as shells report it
};

// Prints "xenon: ..." as one line on stderr (over a progress line, if one stands there).
void xn_cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void xn_cli_note(const char *format, ...) __attribute__((format(printf, 1, 2))); // without "xenon: "
// Prints an error of the library and returns the exit status that belongs to it.
int xn_cli_fail(const struct xn_error *err);
json_t *xn_json_number(double value); // null where it is not finite
json_t *xn_json_word(const char *s);  // bytes that are no UTF-8 become '?'
// A copy of what a file calls something, fit to be printed: control characters become '?'. The result is `buffer`.
const char *xn_printable(const char *s, char *buffer, size_t size);
// Prints a JSON value on one line of stdout, and releases it. NULL (no memory) is an empty line, and an error that
// xn_cli_finish turns into exit status 1.
void xn_cli_print_json(json_t *value);
// Flushes stdout: exit statuses 0 become 1, with a message, where not everything could be written.
int xn_cli_finish(int status);

// Options of every command that runs a model.
struct xn_model_options {
    const char *device; // see api/select.h; NULL: what $XENON_CPU names, else the best device that fits the model
    bool processor;     // NULL is the processor, whatever else there is
    bool quiet;         // what was chosen is not said
    const char *split;  // likewise
    int64_t gpu_layers; // -1: as many as fit
    bool cpu_moe;
    double gpu_memory;      // GB; 0: what is free
    double gpu_timeout;     // seconds; see api/select.h
    int64_t threads;        // 0: chosen
    const char *cache_type; // "f32", "q8_0", ..., or NULL: the device's choice
    bool verbose;
};
#define XN_MODEL_OPTIONS(m, unnamed)                                                                                   \
    {'t', "threads", XN_OPTION_INT, &(m).threads, "N", "threads; 0: one a core (0)", 0, 1024, NULL},                   \
        {0,                                                                                                            \
         "device",                                                                                                     \
         XN_OPTION_STRING,                                                                                             \
         &(m).device,                                                                                                  \
         "NAME",                                                                                                       \
         "cpu, cpu:LEVEL (c, avx2, avx2vnni, avx512, avx512vnni, amx), with +bf16 or +mapped (docs/performance.md); "  \
         "gpu0, gpu1, ... (xenon devices), with +f16 (docs/gpus.md), several with commas; auto; reference (" unnamed   \
         ", or $XENON_CPU)",                                                                                           \
         0,                                                                                                            \
         0,                                                                                                            \
         NULL},                                                                                                        \
        {0,          "split", XN_OPTION_STRING,                                                                        \
         &(m).split, "N,N",   "shares of the layers, one for each device named (by free memory)",                      \
         0,          0,       NULL},                                                                                   \
        {0,                                                                                                            \
         "ngl",                                                                                                        \
         XN_OPTION_INT,                                                                                                \
         &(m).gpu_layers,                                                                                              \
         "N",                                                                                                          \
         "or -ngl: layers on GPUs, the last ones, the rest on the processor; -1: as many as fit (-1)",                 \
         -1,                                                                                                           \
         1000000,                                                                                                      \
         NULL},                                                                                                        \
        {0, "cpu-moe", XN_OPTION_FLAG, &(m).cpu_moe, NULL, "experts stay on the processor, which computes them", 0,    \
         0, NULL},                                                                                                     \
        {0,                                                                                                            \
         "gpu-timeout",                                                                                                \
         XN_OPTION_FLOAT,                                                                                              \
         &(m).gpu_timeout,                                                                                             \
         "S",                                                                                                          \
         "seconds after which a GPU that does not end a step is given up; 0: 60; -1: never (0)",                       \
         -1,                                                                                                           \
         1e6,                                                                                                          \
         NULL},                                                                                                        \
        {0,                                                                                                            \
         "gpu-memory",                                                                                                 \
         XN_OPTION_FLOAT,                                                                                              \
         &(m).gpu_memory,                                                                                              \
         "GB",                                                                                                         \
         "of each GPU to use at the most; 0: what is free (0)",                                                        \
         0,                                                                                                            \
         1e6,                                                                                                          \
         NULL},                                                                                                        \
        {0,                                                                                                            \
         "cache-type",                                                                                                 \
         XN_OPTION_CHOICE,                                                                                             \
         &(m).cache_type,                                                                                              \
         "TYPE",                                                                                                       \
         "of keys and values: f32 or f16; on GPUs also bf16, q8_0, q4_0 (the device's choice)",                        \
         0,                                                                                                            \
         0,                                                                                                            \
         "f32 f16 bf16 q8_0 q4_0"},                                                                                    \
    {                                                                                                                  \
        'v', "verbose", XN_OPTION_FLAG, &(m).verbose, NULL, "say more on stderr", 0, 0, NULL                           \
    }
#define XN_JSON_OPTION(flag)                                                                                           \
    { 0, "json", XN_OPTION_FLAG, &(flag), NULL, "print JSON, for a program", 0, 0, NULL }
#define XN_OPTIONS_END                                                                                                 \
    { 0, NULL, XN_OPTION_FLAG, NULL, NULL, NULL, 0, 0, NULL }

// A device and a model on it.
struct xn_loaded {
    struct xn_device *device;
    struct xn_model *model;
};
struct xn_context_options;
// Options as they are where none is given.
#define XN_MODEL_DEFAULTS                                                                                              \
    { .gpu_layers = -1 }
// Selects the device and opens the model, with a progress line on a terminal. expected: as of xn_model_open. On failure
// *loaded is empty.
int xn_loaded_open(const char *path, const struct xn_model_options *options, const struct xn_context_options *expected,
                   struct xn_loaded *loaded, struct xn_error *err);
// The device that the options name, for others to open; the strings are the options'.
struct xn_device_choice;
struct xn_device_choice xn_loaded_choice(const struct xn_model_options *options);
void xn_loaded_log(const struct xn_model_options *options); // the library's warnings (with -v all it says) on stderr
int xn_loaded_device(const struct xn_model_options *options, struct xn_device **out, struct xn_error *err);
void xn_loaded_close(struct xn_loaded *loaded); // also of an empty one
bool xn_loaded_chose_gpu(void);                 // nobody named a device, and there was a GPU
// The engine's number of --cache-type.
uint32_t xn_cache_type(const struct xn_model_options *options);

// The path of the default model (free()), or NULL where there is none: $XENON_DEFAULT_MODEL;
// models/xenon-default-q8_0.gguf in the folders above the program's; share/xenon/models beside the program's folder.
char *xn_default_model(void);
