// Chat templates from any bytes: parsing and rendering end, within their limits, without a crash.
#include "text/chat.h"

#include <stdlib.h>

static json_t *variables(void) {
    return json_loads(
        "{\"messages\":[{\"role\":\"system\",\"content\":\"S \\u00e9\\ud83d\\ude00\"},"
        "{\"role\":\"user\",\"content\":\"Hi\\nthere\"},"
        "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"type\":\"function\",\"function\":"
        "{\"name\":\"f\",\"arguments\":{\"x\":1,\"y\":-2.5e-7,\"z\":[true,null]}}}]},"
        "{\"role\":\"tool\",\"content\":[{\"type\":\"text\",\"text\":\"<42>\"}]}],"
        "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}}],"
        "\"documents\":null,\"add_generation_prompt\":true,\"bos_token\":\"<s>\",\"eos_token\":\"</s>\","
        "\"n\":7,\"x\":\"a,b c\"}",
        0, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static json_t *fixed;
    if (!fixed) fixed = variables();
    if (!fixed) abort();
    struct xn_error err;
    struct xn_template *t;
    if (xn_template_parse((const char *)data, size, "fuzz", &t, &err) != XN_OK) return 0;
    // The depth is the default's: the stack must hold it.
    const struct xn_template_limits limits = {.steps = 20000, .memory = 4 << 20, .output = 1 << 20};
    char *out;
    size_t n;
    int status = xn_template_render(t, fixed, 1768469400, &limits, &out, &n, &err);
    if (status == XN_OK && (n > limits.output || out[n] != 0)) abort();
    if (status != XN_OK && (status != XN_ERR_TEMPLATE || out)) abort();
    free(out);
    xn_template_free(t);
    return 0;
}
