// Built programs on disk: a file each, named by a digest of its key. The key is a text of all that a binary depends on
// (kernel, platform, device, driver, options, digest of the source). Files are written beside their name and renamed;
// one that is damaged, or of another key, is as good as none.
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// 128 bits of any bytes: two FNV-1a sums of different beginnings.
struct xn_cl_digest {
    uint64_t half[2];
};
struct xn_cl_digest xn_cl_digest_begin(void);
void xn_cl_digest_add(struct xn_cl_digest *digest, const void *data, size_t size);

// A file of the folder.
char *xn_cl_cache_path(const char *folder, const char *key); // free(); NULL without memory
// *binary: free(). false: there is none.
bool xn_cl_cache_read(const char *path, const char *key, void **binary, size_t *size);
int xn_cl_cache_write(const char *path, const char *key, const void *binary, size_t size, struct xn_error *err);
