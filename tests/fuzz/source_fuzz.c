// A model's folder with any content: the input, cut at its NUL bytes, becomes the folder's files.
#include "format/source.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {
    "config.json",        "model.safetensors.index.json", "tokenizer_config.json",
    "chat_template.json", "generation_config.json",       "chat_template.jinja",
};
enum { N_NAMES = sizeof names / sizeof *names };

static char folder[] = "/tmp/xenon-source-fuzz-XXXXXX";

static void write_file(const char *name, const void *data, size_t size) {
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    if (!f) abort();
    fwrite(data, 1, size, f);
    fclose(f);
}

static void remove_folder(void) {
    for (int i = 0; i <= N_NAMES; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, i < N_NAMES ? names[i] : "a.safetensors");
        unlink(path);
    }
    rmdir(folder);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool ready;
    if (!ready) {
        if (!mkdtemp(folder)) abort();
        atexit(remove_folder);
        static const char weights[] =
            "\x38\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}      1234";
        write_file("a.safetensors", weights, 8 + 0x38 + 4);
        ready = true;
    }
    for (int i = 0; i < N_NAMES; i++) {
        const uint8_t *end = size ? memchr(data, 0, size) : NULL;
        size_t n = end ? (size_t)(end - data) : size;
        char path[128];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (n)
            write_file(names[i], data, n);
        else
            unlink(path);
        data += end ? n + 1 : n;
        size -= end ? n + 1 : n;
    }
    struct xn_source *s;
    struct xn_error err;
    if (xn_source_open(folder, &s, &err) != XN_OK) {
        if (s || !err.message[0]) abort();
        return 0;
    }
    if (!json_is_object(s->config) || !s->st || s->gguf) abort();
    const struct xn_tensor *t;
    if (xn_source_n_tensors(s) && (xn_source_require(s, "a", &t, &err) != XN_OK || t->bytes != 4)) abort();
    if (s->chat_template && memchr(s->chat_template, 0, strlen(s->chat_template))) abort();
    xn_source_close(s);
    return 0;
}
