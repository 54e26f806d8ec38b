// Files: mapped for reading, written beside their name and renamed when complete.
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A file mapped read-only. `path` is a copy. An empty file maps to size 0 and a non-NULL data pointer.
struct xn_map {
    const uint8_t *data;
    size_t size;
    char *path;
};
int xn_map_open(const char *path, struct xn_map *map, struct xn_error *err); // on failure *map is empty
void xn_map_relax(const struct xn_map *map); // its pages may leave memory; they come back
void xn_map_close(struct xn_map *map);       // also of an empty one

// Reads a whole file of at most `limit` bytes into *data (NUL-terminated beyond *size; free()).
int xn_read_file(const char *path, size_t limit, char **data, size_t *size, struct xn_error *err);

bool xn_is_directory(const char *path);
bool xn_file_exists(const char *path);
char *xn_path_join(const char *folder, const char *name); // free(); NULL without memory

// The path of a file of the user's: xenon/NAME below the folder that the environment variable names (XDG_CACHE_HOME,
// ...), else below that folder of the home (".cache"). Its folders are made. free(); NULL where there is no home.
char *xn_user_path(const char *variable, const char *below_home, const char *name);

// An output that appears under its name only when xn_output_commit succeeds; until then, and for ever after a failure
// or xn_output_abort, the name holds what it held before. Commit and abort both free the handle (and accept NULL).
struct xn_output;
int xn_output_open(const char *path, struct xn_output **out, struct xn_error *err);
int xn_output_write(struct xn_output *out, const void *data, size_t size, struct xn_error *err);
uint64_t xn_output_offset(const struct xn_output *out); // bytes written so far
int xn_output_commit(struct xn_output *out, struct xn_error *err);
void xn_output_abort(struct xn_output *out);
