// A shape's metadata, as llama.cpp's converter writes it.
#include "base/memory.h"
#include "format/gguf.h"
#include "model/synth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Keys begin with the family.
struct keys {
    struct xn_gguf_writer *writer;
    const struct xn_shape *shape;
    uint32_t layers;
    struct xn_error *err;
};
enum { KEY_SIZE = 96 };

static const char *full_key(const struct keys *k, const char *name, char key[KEY_SIZE]) {
    snprintf(key, KEY_SIZE, "%s.%s", k->shape->family, name);
    return key;
}

static int put_u32(const struct keys *k, const char *name, uint32_t value) {
    char key[KEY_SIZE];
    return xn_gguf_add_u32(k->writer, full_key(k, name, key), value, k->err);
}

static int put_f32(const struct keys *k, const char *name, float value) {
    char key[KEY_SIZE];
    return xn_gguf_add_f32(k->writer, full_key(k, name, key), value, k->err);
}

// A number of each layer, or one where they are all the same and `array` is not asked for.
static int put_each(const struct keys *k, const char *name, bool array,
                    uint32_t (*number)(const struct xn_shape *shape, uint32_t layer)) {
    int32_t *numbers = xn_alloc(k->layers, sizeof *numbers);
    if (!numbers) return xn_fail(k->err, XN_ERR_NOMEM, "no memory for %u numbers", k->layers);
    for (uint32_t i = 0; i < k->layers; i++) {
        numbers[i] = (int32_t)number(k->shape, i);
        if (numbers[i] != numbers[0]) array = true;
    }
    char key[KEY_SIZE];
    int status = array ? xn_gguf_add_array(k->writer, full_key(k, name, key), XN_GGUF_I32, numbers, k->layers, k->err)
                       : put_u32(k, name, (uint32_t)numbers[0]);
    free(numbers);
    return status;
}

static uint32_t kv_heads_of(const struct xn_shape *s, uint32_t layer) {
    return !(s->flags & XN_SHAPE_KV_ARRAY) || xn_shape_attends(xn_shape_layer(s, layer)) ? s->kv_heads : 0;
}

static uint32_t ffn_of(const struct xn_shape *s, uint32_t layer) {
    char kind = xn_shape_layer(s, layer);
    return !(s->flags & XN_SHAPE_FFN_ARRAY) || kind == XN_SHAPE_FFN || kind == XN_SHAPE_EXPERTS ? s->ffn : 0;
}

static int put_attention(const struct keys *k) {
    const struct xn_shape *s = k->shape;
    XN_TRY(put_u32(k, "attention.head_count", s->heads));
    XN_TRY(put_f32(k, "attention.layer_norm_rms_epsilon", s->epsilon));
    if (s->heads == 0) return XN_OK;
    XN_TRY(put_each(k, "attention.head_count_kv", (s->flags & XN_SHAPE_KV_ARRAY) != 0, kv_heads_of));
    if (!s->rank) {
        XN_TRY(put_u32(k, "attention.key_length", s->head_size));
        return put_u32(k, "attention.value_length", s->head_size);
    }
    if (s->q_rank) XN_TRY(put_u32(k, "attention.q_lora_rank", s->q_rank));
    XN_TRY(put_u32(k, "attention.kv_lora_rank", s->rank));
    XN_TRY(put_u32(k, "attention.key_length", s->rank + s->rope_size));
    XN_TRY(put_u32(k, "attention.value_length", s->rank));
    XN_TRY(put_u32(k, "attention.key_length_mla", s->nope_size + s->rope_size));
    return put_u32(k, "attention.value_length_mla", s->value_size);
}

static int put_rope(const struct keys *k) {
    const struct xn_shape *s = k->shape;
    char key[KEY_SIZE];
    if (s->rope_base > 0) XN_TRY(put_f32(k, "rope.freq_base", s->rope_base));
    if (s->rope_size) XN_TRY(put_u32(k, "rope.dimension_count", s->rope_size));
    if (s->window) XN_TRY(put_u32(k, "attention.sliding_window", s->window));
    if (s->local_base > 0) XN_TRY(put_f32(k, "rope.freq_base_swa", s->local_base));
    if (!(s->flags & XN_SHAPE_SECTIONS)) return XN_OK;
    int32_t pairs = (int32_t)s->rope_size / 2;
    int32_t sections[4] = {(pairs + 2) / 3, (pairs + 1) / 3, pairs / 3, 0}; // of time, height, width
    return xn_gguf_add_array(k->writer, full_key(k, "rope.dimension_sections", key), XN_GGUF_I32, sections, 4, k->err);
}

static int put_experts(const struct keys *k) {
    const struct xn_shape *s = k->shape;
    if (s->dense_layers) XN_TRY(put_u32(k, "leading_dense_block_count", s->dense_layers));
    if (!s->experts) return XN_OK;
    XN_TRY(put_u32(k, "expert_count", s->experts));
    XN_TRY(put_u32(k, "expert_used_count", s->used));
    XN_TRY(put_u32(k, "expert_feed_forward_length", s->expert_ffn));
    if (s->expert_hidden) XN_TRY(put_u32(k, "moe_latent_size", s->expert_hidden));
    if (s->shared_count) return put_u32(k, "expert_shared_count", s->shared_count);
    return s->shared_ffn ? put_u32(k, "expert_shared_feed_forward_length", s->shared_ffn) : XN_OK;
}

static int put_states(const struct keys *k) {
    const struct xn_shape *s = k->shape;
    if (s->conv_taps) XN_TRY(put_u32(k, "shortconv.l_cache", s->conv_taps));
    if (s->taps) XN_TRY(put_u32(k, "ssm.conv_kernel", s->taps));
    if (s->key_heads) {
        XN_TRY(put_u32(k, "full_attention_interval", (uint32_t)strlen(s->pattern)));
        XN_TRY(put_u32(k, "ssm.state_size", s->state));
        XN_TRY(put_u32(k, "ssm.group_count", s->key_heads));
        XN_TRY(put_u32(k, "ssm.time_step_rank", s->value_heads));
        return put_u32(k, "ssm.inner_size", s->value_heads * s->state);
    }
    if (!s->ssm_heads) return XN_OK;
    XN_TRY(put_u32(k, "ssm.state_size", s->ssm_state));
    XN_TRY(put_u32(k, "ssm.group_count", s->ssm_groups));
    XN_TRY(put_u32(k, "ssm.time_step_rank", s->ssm_heads));
    return put_u32(k, "ssm.inner_size", s->ssm_heads * s->ssm_size);
}

static int put_gemma4(const struct keys *k) {
    const struct xn_shape *s = k->shape;
    char key[KEY_SIZE];
    XN_TRY(put_u32(k, "attention.key_length_swa", s->local_head_size));
    XN_TRY(put_u32(k, "attention.value_length_swa", s->local_head_size));
    XN_TRY(put_u32(k, "rope.dimension_count_swa", s->local_head_size));
    XN_TRY(put_u32(k, "attention.shared_kv_layers", k->layers == s->layers ? s->shared_layers : 0));
    XN_TRY(put_u32(k, "embedding_length_per_layer_input", s->input_size));
    uint8_t *local = xn_alloc(k->layers, 1);
    if (!local) return xn_fail(k->err, XN_ERR_NOMEM, "no memory for %u flags", k->layers);
    for (uint32_t i = 0; i < k->layers; i++)
        local[i] = xn_shape_layer(s, i) == XN_SHAPE_LOCAL;
    int status = xn_gguf_add_array(k->writer, full_key(k, "attention.sliding_window_pattern", key), XN_GGUF_BOOL, local,
                                   k->layers, k->err);
    free(local);
    return status;
}

static int put_key(const struct keys *k, const struct xn_shape_key *item) {
    char key[KEY_SIZE];
    full_key(k, item->key, key);
    switch (item->kind) {
    case XN_SHAPE_REAL:
        return xn_gguf_add_f32(k->writer, key, (float)item->value, k->err);
    case XN_SHAPE_FLAG:
        return xn_gguf_add_bool(k->writer, key, item->value != 0, k->err);
    case XN_SHAPE_TEXT:
        return xn_gguf_add_string(k->writer, key, item->text, k->err);
    case XN_SHAPE_NUMBER:
        break;
    }
    return xn_gguf_add_u32(k->writer, key, (uint32_t)item->value, k->err);
}

int xn_synth_add_metadata(struct xn_gguf_writer *w, const struct xn_shape *s, const struct xn_preset *preset,
                          uint32_t layers, struct xn_error *err) {
    struct keys k = {w, s, layers, err};
    XN_TRY(xn_gguf_add_string(w, "general.architecture", s->family, err));
    XN_TRY(xn_gguf_add_string(w, "general.type", "model", err));
    XN_TRY(xn_gguf_add_string(w, "general.name", s->title, err));
    XN_TRY(xn_gguf_add_string(w, "general.description", "random weights, for measuring speed", err));
    XN_TRY(xn_gguf_add_u32(w, "general.file_type", preset->file_type, err));
    XN_TRY(xn_gguf_add_u32(w, "general.quantization_version", 2, err));
    XN_TRY(put_u32(&k, "block_count", layers));
    XN_TRY(put_u32(&k, "context_length", s->context));
    XN_TRY(put_u32(&k, "embedding_length", s->hidden));
    XN_TRY(put_u32(&k, "vocab_size", s->vocab));
    if (s->ffn) XN_TRY(put_each(&k, "feed_forward_length", (s->flags & XN_SHAPE_FFN_ARRAY) != 0, ffn_of));
    XN_TRY(put_attention(&k));
    XN_TRY(put_rope(&k));
    XN_TRY(put_experts(&k));
    XN_TRY(put_states(&k));
    if (s->flags & XN_SHAPE_GEMMA4) XN_TRY(put_gemma4(&k));
    for (const struct xn_shape_key *item = s->keys; item && item->key; item++)
        XN_TRY(put_key(&k, item));
    return XN_OK;
}
