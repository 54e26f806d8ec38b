// What `xenon bench` measured, and how it is written down.
#pragma once

#include "engine/speed.h"

#include <jansson.h>
#include <stdio.h>

// The model and the machine of a run.
struct xn_bench_subject {
    char model[128]; // "Qwen3 4B"
    char format[32]; // "Q4_K_M"
    uint32_t type;   // the format of most of its bytes
    uint64_t bytes, parameters;
    struct xn_device_info device;
    double bandwidth, peak; // measured: bytes and operations a second; 0: not measured
    const char *unit;       // of the peak: "bfloat16"
};
struct xn_bench_row {
    struct xn_speed_test test;
    struct xn_speed speed;
    struct xn_speed_cost cost; // of a token
};

// Fills in name, format and sizes of an open model and the description of its device; measures nothing.
void xn_bench_describe(const struct xn_model *model, struct xn_bench_subject *subject);
// The share of the hardware's limit that a row reaches: of the bandwidth in generation, of the peak in prompts; NAN if
// not measured.
double xn_bench_share(const struct xn_bench_subject *subject, const struct xn_bench_row *row);
// A table as llama-bench prints it, and under it what the machine can do; ops: also the time by kind of operation.
void xn_bench_print(const struct xn_bench_subject *subject, const struct xn_bench_row *rows, size_t n, bool ops,
                    FILE *out);
// An array of one object a row; NULL without memory.
json_t *xn_bench_json(const struct xn_bench_subject *subject, const struct xn_bench_row *rows, size_t n, bool ops);
// Reads "512,1024" into at most `capacity` numbers from 0 to 2^24; an error names `option`.
int xn_bench_numbers(const char *option, const char *text, uint32_t *numbers, size_t capacity, size_t *n,
                     struct xn_error *err);
