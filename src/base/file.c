#include "base/file.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_regular(const char *path, int *fd, struct stat *st, struct xn_error *err) {
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0) return xn_fail_errno(err, errno, "%s", path);
    if (fstat(*fd, st) != 0) {
        int status = xn_fail_errno(err, errno, "%s", path);
        close(*fd);
        return status;
    }
    if (!S_ISREG(st->st_mode)) {
        close(*fd);
        return xn_fail(err, XN_ERR_IO, "%s: not a regular file", path);
    }
    return XN_OK;
}

int xn_map_open(const char *path, struct xn_map *map, struct xn_error *err) {
    *map = (struct xn_map){0};
    int fd;
    struct stat st;
    XN_TRY(open_regular(path, &fd, &st, err));
    const void *data = "";
    if (st.st_size > 0) {
        data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
        if (data == MAP_FAILED) {
            int status = xn_fail_errno(err, errno, "%s: mapping %lld bytes", path, (long long)st.st_size);
            close(fd);
            return status;
        }
    }
    close(fd);
    map->data = data;
    map->size = (size_t)st.st_size;
    map->path = xn_strdup(path);
    if (!map->path) {
        xn_map_close(map);
        return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", path);
    }
    return XN_OK;
}

void xn_map_relax(const struct xn_map *map) {
    if (map->size) madvise((void *)(uintptr_t)map->data, map->size, MADV_DONTNEED);
}

void xn_map_close(struct xn_map *map) {
    if (map->data && map->size) munmap((void *)map->data, map->size);
    free(map->path);
    *map = (struct xn_map){0};
}

int xn_read_file(const char *path, size_t limit, char **data, size_t *size, struct xn_error *err) {
    int fd;
    struct stat st;
    XN_TRY(open_regular(path, &fd, &st, err));
    if ((uint64_t)st.st_size > limit) {
        close(fd);
        return xn_fail(err, XN_ERR_LIMIT, "%s: %lld bytes, at most %zu expected", path, (long long)st.st_size, limit);
    }
    size_t n = (size_t)st.st_size, done = 0;
    char *buffer = xn_alloc(n + 1, 1);
    if (!buffer) {
        close(fd);
        return xn_fail(err, XN_ERR_NOMEM, "%s: no memory for %zu bytes", path, n);
    }
    while (done < n) {
        ssize_t got = read(fd, buffer + done, n - done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        done += (size_t)got;
    }
    close(fd);
    if (done != n) {
        free(buffer);
        return xn_fail(err, XN_ERR_IO, "%s: read %zu bytes of %zu", path, done, n);
    }
    buffer[n] = 0;
    *data = buffer;
    *size = n;
    return XN_OK;
}

bool xn_is_directory(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool xn_file_exists(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

char *xn_path_join(const char *folder, const char *name) {
    size_t n = strlen(folder);
    return xn_format("%s%s%s", folder, n && folder[n - 1] == '/' ? "" : "/", name);
}

struct xn_output {
    FILE *file;
    char *path, *temporary;
    uint64_t offset;
};

static void output_free(struct xn_output *out) {
    free(out->path);
    free(out->temporary);
    free(out);
}

int xn_output_open(const char *path, struct xn_output **out, struct xn_error *err) {
    struct xn_output *o = xn_alloc_zero(1, sizeof *o);
    if (!o) return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", path);
    o->path = xn_strdup(path);
    o->temporary = xn_format("%s.XXXXXX", path);
    if (!o->path || !o->temporary) {
        output_free(o);
        return xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", path);
    }
    int fd = mkstemp(o->temporary);
    if (fd < 0) {
        int status = xn_fail_errno(err, errno, "%s", o->temporary);
        output_free(o);
        return status;
    }
    mode_t mask = umask(0);
    umask(mask);
    fchmod(fd, 0666 & ~mask);
    o->file = fdopen(fd, "wb");
    if (!o->file) {
        int status = xn_fail_errno(err, errno, "%s", o->temporary);
        close(fd);
        unlink(o->temporary);
        output_free(o);
        return status;
    }
    *out = o;
    return XN_OK;
}

int xn_output_write(struct xn_output *out, const void *data, size_t size, struct xn_error *err) {
    if (size && fwrite(data, 1, size, out->file) != size) return xn_fail_errno(err, errno, "%s", out->temporary);
    out->offset += size;
    return XN_OK;
}

uint64_t xn_output_offset(const struct xn_output *out) {
    return out->offset;
}

int xn_output_commit(struct xn_output *out, struct xn_error *err) {
    int status = XN_OK;
    if (fflush(out->file) != 0 || fsync(fileno(out->file)) != 0)
        status = xn_fail_errno(err, errno, "%s", out->temporary);
    if (fclose(out->file) != 0 && status == XN_OK) status = xn_fail_errno(err, errno, "%s", out->temporary);
    if (status == XN_OK && rename(out->temporary, out->path) != 0)
        status = xn_fail_errno(err, errno, "%s: renaming to %s", out->temporary, out->path);
    if (status != XN_OK) unlink(out->temporary);
    output_free(out);
    return status;
}

void xn_output_abort(struct xn_output *out) {
    if (!out) return;
    fclose(out->file);
    unlink(out->temporary);
    output_free(out);
}

char *xn_user_path(const char *variable, const char *below_home, const char *name) {
    const char *base = getenv(variable), *home = getenv("HOME");
    char *path;
    if (base && base[0] == '/')
        path = xn_format("%s/xenon/%s", base, name);
    else
        path = home && home[0] == '/' ? xn_format("%s/%s/xenon/%s", home, below_home, name) : NULL;
    if (!path) return NULL;
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(path, 0700); // exists, or the file can't be written, which is found then
        *slash = '/';
    }
    return path;
}
