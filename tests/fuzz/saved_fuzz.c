// A saved sequence with any content. The input replaces a part of one that is right, and the checksum is made right
// again, so that the checks behind it are reached; without that it has to be refused, or be as it was.
#include "engine/context.h"

#include "random_recipe.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LENGTH = 70 };

static struct xn_context *context;
static char *saved, *copy;
static size_t saved_size;

static void must(int status) {
    if (status != XN_OK) abort();
}

static void begin(void) {
    struct random_recipe_options o = {.type = XN_BF16, .n_layers = 2};
    struct xn_recipe recipe;
    struct xn_device *device;
    struct xn_model *model;
    must(xn_reference_device_open(&device, NULL));
    // The smallest of some that have both cache and states: what is saved is hashed twice a run.
    uint64_t least = UINT64_MAX;
    for (model = NULL; o.seed < 40; o.seed++) {
        struct xn_model *next;
        uint64_t size = 0;
        must(random_recipe(&o, &recipe));
        must(xn_model_from_recipe(&recipe, device, &next, NULL));
        for (uint32_t i = 0; i < next->plan.n_states; i++)
            size += (uint64_t)next->plan.states[i].conv_size + next->plan.states[i].recurrent_size;
        for (uint32_t i = 0; i < next->plan.n_cache; i++)
            size += (uint64_t)LENGTH * next->plan.cache[i].kv_heads * next->plan.cache[i].key_size;
        bool better = next->plan.n_states && next->plan.n_cache && size < least;
        xn_model_close(better ? model : next);
        if (!better) continue;
        least = size;
        model = next;
    }
    if (!model) abort();
    struct xn_context_options options = {
        .context = 192, .batch = 20, .sequences = 2, .cache_type = XN_TYPE_COUNT, .checkpoints = 2};
    must(xn_context_create(model, &options, &context, NULL));
    int32_t tokens[LENGTH];
    uint32_t sequence;
    void *bytes;
    for (int i = 0; i < LENGTH; i++)
        tokens[i] = i;
    must(xn_sequence_new(context, &sequence, NULL));
    must(xn_eval_prompt(context, sequence, tokens, LENGTH, NULL, NULL));
    must(xn_sequence_save(context, sequence, true, &bytes, &saved_size, NULL));
    xn_sequence_free(context, sequence);
    saved = bytes;
    copy = malloc(saved_size + 4096);
    if (!copy) abort();
}

static void sign(char *bytes, size_t size) {
    uint64_t hash = 0, word;
    for (size_t i = 0; i + 16 <= size; i += 8) {
        memcpy(&word, bytes + i, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
        hash ^= hash >> 29;
    }
    memcpy(bytes + size - 8, &hash, 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!context) begin();
    // How: whole, or over a part; signed or not; shorter or as long.
    if (size < 4 || size > 4096) return 0;
    uint8_t how = data[0], evaluated = data[3];
    size_t at = (size_t)(data[1] | data[2] << 8) * 4, total = saved_size;
    data += 4;
    size -= 4;
    if (how & 1) {
        memcpy(copy, data, size);
        total = size;
    } else {
        memcpy(copy, saved, saved_size);
        if (at + size > saved_size) at = 8;
        memcpy(copy + at, data, size);
        if (how & 4) total -= (how >> 3) * 8u;
    }
    if (how & 2 && total >= 8) sign(copy, total);
    struct xn_error err;
    uint32_t sequence;
    if (xn_sequence_restore(context, copy, total, "fuzz", &sequence, &err) != XN_OK) return 0;
    // What was accepted works: it goes on and is cut back. That takes long, so it is done for some.
    struct xn_feed feed = {sequence, 1, true};
    uint32_t length = xn_sequence_length(context, sequence);
    if (evaluated >= 0xf0) {
        must(xn_eval(context, &feed, 1, &err));
        must(xn_sequence_cut(context, sequence, length > 3 ? length - 3 : 0, &err));
    }
    xn_sequence_free(context, sequence);
    return 0;
}
