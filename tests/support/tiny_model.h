// For tests: models of a few values, written to a temporary folder.
#pragma once

#include "format/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A tensor as safetensors names and shapes it; value i is base + i / 64, in float32. With a base from
// TINY_BYTES on it holds bytes, base - TINY_BYTES + i % 64.
enum { TINY_BYTES = 1000 };
struct tiny_tensor {
    const char *name;
    uint32_t n_dims;
    uint64_t shape[4]; // outermost first
    float base;
};

static inline uint64_t tiny_count(const struct tiny_tensor *t) {
    uint64_t n = 1;
    for (uint32_t i = 0; i < t->n_dims; i++)
        n *= t->shape[i];
    return n;
}

static inline float tiny_value(const struct tiny_tensor *t, uint64_t i) {
    return t->base + (float)i / 64;
}

// Writes FOLDER/model.safetensors; aborts where it can't.
static inline void tiny_write_safetensors(const char *folder, const struct tiny_tensor *tensors, size_t n) {
    char path[256];
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    json_t *header = json_object();
    uint64_t offset = 0;
    for (size_t i = 0; i < n; i++) {
        json_t *shape = json_array();
        for (uint32_t d = 0; d < tensors[i].n_dims; d++)
            json_array_append_new(shape, json_integer((json_int_t)tensors[i].shape[d]));
        uint64_t end = offset + (tensors[i].base >= TINY_BYTES ? 1 : 4) * tiny_count(&tensors[i]);
        json_object_set_new(header, tensors[i].name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", tensors[i].base >= TINY_BYTES ? "U8" : "F32",
                                      "shape", shape, "data_offsets", (json_int_t)offset, (json_int_t)end));
        offset = end;
    }
    char *text = json_dumps(header, JSON_COMPACT);
    uint64_t size = strlen(text);
    FILE *file = fopen(path, "wb");
    if (!file) abort();
    fwrite(&size, 8, 1, file);
    fwrite(text, 1, size, file);
    for (size_t i = 0; i < n; i++)
        for (uint64_t v = 0; v < tiny_count(&tensors[i]); v++) {
            float value = tiny_value(&tensors[i], v);
            uint8_t byte = (uint8_t)((uint32_t)tensors[i].base - TINY_BYTES + v % 64);
            if (tensors[i].base >= TINY_BYTES)
                fwrite(&byte, 1, 1, file);
            else
                fwrite(&value, 4, 1, file);
        }
    if (fclose(file)) abort();
    free(text);
    json_decref(header);
}

// A model's folder, of config and tensors; its name (a static buffer). Aborts where it can't be written.
static inline const char *tiny_folder(json_t *config, const struct tiny_tensor *tensors, size_t n) {
    static char folder[64];
    char path[256];
    strcpy(folder, "/tmp/xenon-recipe-XXXXXX");
    if (!mkdtemp(folder)) abort();
    snprintf(path, sizeof path, "%s/config.json", folder);
    if (json_dump_file(config, path, 0)) abort();
    tiny_write_safetensors(folder, tensors, n);
    return folder;
}

static inline void tiny_remove(const char *folder) {
    static const char *const names[] = {"config.json", "model.safetensors", "model.gguf"};
    char path[256];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

// Llama: hidden 8, 2 heads of 4, 1 of keys and values, 12 in the feed-forward, 10 tokens, 2 layers.
#define TINY_LLAMA_LAYER(i)                                                                                            \
    {"model.layers." #i ".input_layernorm.weight", 1, {8}, 1},                                                         \
        {"model.layers." #i ".self_attn.q_proj.weight", 2, {8, 8}, 0},                                                 \
        {"model.layers." #i ".self_attn.k_proj.weight", 2, {4, 8}, 0},                                                 \
        {"model.layers." #i ".self_attn.v_proj.weight", 2, {4, 8}, 0},                                                 \
        {"model.layers." #i ".self_attn.o_proj.weight", 2, {8, 8}, 0},                                                 \
        {"model.layers." #i ".post_attention_layernorm.weight", 1, {8}, 2},                                            \
        {"model.layers." #i ".mlp.gate_proj.weight", 2, {12, 8}, 0},                                                   \
        {"model.layers." #i ".mlp.up_proj.weight", 2, {12, 8}, 0}, {                                                   \
        "model.layers." #i ".mlp.down_proj.weight", 2, {8, 12}, 0                                                      \
    }
static const struct tiny_tensor tiny_llama[] = {{"model.embed_tokens.weight", 2, {10, 8}, 0},
                                                TINY_LLAMA_LAYER(0),
                                                TINY_LLAMA_LAYER(1),
                                                {"model.norm.weight", 1, {8}, 3},
                                                {"lm_head.weight", 2, {10, 8}, 0}};
enum { TINY_LLAMA = sizeof tiny_llama / sizeof *tiny_llama };
static const char tiny_llama_config[] =
    "{\"model_type\": \"llama\", \"hidden_size\": 8, \"num_attention_heads\": 2, \"num_key_value_heads\": 1, "
    "\"intermediate_size\": 12, \"vocab_size\": 10, \"num_hidden_layers\": 2, \"max_position_embeddings\": 64, "
    "\"rms_norm_eps\": 0.001, \"rope_theta\": 10000.0}";
