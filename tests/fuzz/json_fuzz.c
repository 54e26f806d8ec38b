// Any text as JSON: what parses can be written and parsed again, and is then the same.
#include "format/source.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    json_t *value, *again;
    struct xn_error err;
    if (xn_json_parse((const char *)data, size, "input", &value, &err) != XN_OK) {
        if (value || !err.message[0]) abort();
        return 0;
    }
    double number;
    xn_json_float(value, &number);
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    if (text) {
        if (xn_json_parse(text, strlen(text), "again", &again, &err) != XN_OK || !json_equal(value, again)) abort();
        json_decref(again);
    }
    free(text);
    json_decref(value);
    return 0;
}
