#include "opencl/program_cache.h"

#include "base/file.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static const char magic[16] = "xenon opencl 01";
static const size_t most_bytes = 256u << 20; // of a file

// What stands before the key and the binary in a file.
struct head {
    char magic[sizeof magic];
    uint64_t key_size, size;
    struct xn_cl_digest digest; // of the binary
};

struct xn_cl_digest xn_cl_digest_begin(void) {
    return (struct xn_cl_digest){{0xcbf29ce484222325u, 0x9ae16a3b2f90404fu}};
}

void xn_cl_digest_add(struct xn_cl_digest *digest, const void *data, size_t size) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++)
        for (int h = 0; h < 2; h++)
            digest->half[h] = (digest->half[h] ^ bytes[i]) * 0x100000001b3u;
}

char *xn_cl_cache_path(const char *folder, const char *key) {
    struct xn_cl_digest d = xn_cl_digest_begin();
    xn_cl_digest_add(&d, key, strlen(key));
    return xn_format("%s/%016llx%016llx", folder, (unsigned long long)d.half[0], (unsigned long long)d.half[1]);
}

static bool is_sound(const char *data, size_t size, const char *key, struct head *head) {
    size_t key_size = strlen(key);
    if (size < sizeof *head + key_size) return false;
    memcpy(head, data, sizeof *head);
    if (memcmp(head->magic, magic, sizeof magic) != 0 || head->key_size != key_size ||
        head->size != size - sizeof *head - key_size || memcmp(data + sizeof *head, key, key_size) != 0)
        return false;
    struct xn_cl_digest d = xn_cl_digest_begin();
    xn_cl_digest_add(&d, data + sizeof *head + key_size, head->size);
    return d.half[0] == head->digest.half[0] && d.half[1] == head->digest.half[1];
}

bool xn_cl_cache_read(const char *path, const char *key, void **binary, size_t *size) {
    char *data;
    size_t n;
    struct head head;
    *binary = NULL;
    if (!xn_file_exists(path) || xn_read_file(path, most_bytes, &data, &n, NULL) != XN_OK) return false;
    if (is_sound(data, n, key, &head) && (*binary = xn_alloc(head.size ? head.size : 1, 1))) {
        memcpy(*binary, data + n - head.size, head.size);
        *size = head.size;
    }
    free(data);
    return *binary != NULL;
}

int xn_cl_cache_write(const char *path, const char *key, const void *binary, size_t size, struct xn_error *err) {
    struct xn_output *out;
    struct head head = {.key_size = strlen(key), .size = size, .digest = xn_cl_digest_begin()};
    memcpy(head.magic, magic, sizeof magic);
    xn_cl_digest_add(&head.digest, binary, size);
    XN_TRY(xn_output_open(path, &out, err));
    int status = xn_output_write(out, &head, sizeof head, err);
    if (status == XN_OK) status = xn_output_write(out, key, head.key_size, err);
    if (status == XN_OK) status = xn_output_write(out, binary, size, err);
    if (status == XN_OK) return xn_output_commit(out, err);
    xn_output_abort(out);
    return status;
}
