// Block formats: any bytes decode, and any floats encode to what decodes to finite numbers (where they are of a size
// that the format's scales can hold).
#include "quant/format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { N = 256 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    const struct xn_format *format = xn_format_of(data[0] % XN_TYPE_COUNT);
    bool weighted = data[1] & 1;
    data += 2;
    size -= 2;
    if (!format || !format->decode) return 0;
    size_t bytes;
    if (!xn_format_bytes(format, N, &bytes)) abort();
    uint8_t *blocks = calloc(bytes + 1, 1);
    float out[N], values[N] = {0}, importance[N];
    memcpy(blocks + 1, data, size < bytes ? size : bytes);
    format->decode(blocks + 1, out, N);
    if (format->encode) {
        memcpy(values, data, size < sizeof values ? size : sizeof values);
        bool moderate = true;
        for (int i = 0; i < N; i++) {
            importance[i] = fabsf(values[N - 1 - i]);
            if (!(importance[i] < 1e30f)) importance[i] = 1;
            moderate &= fabsf(values[i]) < 1e3f; // false for NaN
        }
        format->encode(values, blocks + 1, N, weighted ? importance : NULL);
        format->decode(blocks + 1, out, N);
        for (int i = 0; i < N && moderate; i++)
            if (!isfinite(out[i])) abort();
    }
    free(blocks);
    return 0;
}
