// Any bytes as a GGUF file: what opens can be read to its last byte.
#include "format/gguf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct xn_gguf *g;
    struct xn_error err;
    if (xn_gguf_open_memory(data, size, "input", &g, &err) != XN_OK) {
        if (g || !err.message[0]) abort();
        return 0;
    }
    volatile uint64_t sum = 0;
    for (size_t i = 0; i < xn_gguf_n_values(g); i++) {
        const struct xn_gguf_value *v = xn_gguf_value_at(g, i);
        if (xn_gguf_find(g, v->key) != v) abort();
        for (size_t j = 0; j < v->raw_bytes; j++)
            sum += ((const uint8_t *)v->raw)[j];
        for (uint64_t j = 0; j < v->n; j++) {
            int64_t whole;
            double real;
            if (xn_gguf_int(v, j, &whole)) sum += (uint64_t)whole;
            if (xn_gguf_float(v, j, &real)) sum += real > 0;
            if (v->kind == XN_GGUF_STRING && v->strings[j].size)
                sum += (uint8_t)v->strings[j].data[v->strings[j].size - 1];
        }
    }
    for (size_t i = 0; i < xn_gguf_n_tensors(g); i++) {
        const struct xn_tensor *t = xn_gguf_tensor_at(g, i);
        if (xn_gguf_tensor(g, t->name) != t) abort();
        for (size_t j = 0; j < t->bytes; j++)
            sum += ((const uint8_t *)t->data)[j];
    }
    (void)sum;
    xn_gguf_close(g);
    return 0;
}
