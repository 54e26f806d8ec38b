#include "cli/ocloc.h"

#include "base/file.h"
#include "base/memory.h"
#include "cli/progress.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const size_t most_bytes = 256u << 20; // of a binary

// The program's path among the folders of PATH; free(); NULL where none of them has it.
static char *find_in_path(const char *name) {
    const char *path = getenv("PATH");
    for (const char *at = path; at && *at;) {
        size_t n = strcspn(at, ":");
        char *folder = n ? xn_strndup(at, n) : xn_strdup(".");
        char *found = folder ? xn_path_join(folder, name) : NULL;
        free(folder);
        if (found && access(found, X_OK) == 0 && !xn_is_directory(found)) return found;
        free(found);
        at += n + (at[n] == ':');
    }
    return NULL;
}

int xn_ocloc_open(struct xn_ocloc *o, struct xn_error *err) {
    const char *place = getenv("TMPDIR");
    *o = (struct xn_ocloc){.program = find_in_path("ocloc")};
    if (!o->program)
        return xn_fail(
            err, XN_ERR_UNSUPPORTED,
            "there is no ocloc in PATH: Intel's offline compiler is in the package intel-opencl-icd of Debian "
            "and in intel-ocloc of Intel's repositories");
    o->folder = xn_format("%s/xenon-compile-XXXXXX", place && *place ? place : "/tmp");
    if (o->folder && mkdtemp(o->folder)) return XN_OK;
    int status = o->folder ? xn_fail(err, XN_ERR_IO, "%s: no folder for compiling: %s", o->folder, strerror(errno))
                           : xn_fail(err, XN_ERR_NOMEM, "no memory for a folder's name");
    free(o->folder);
    o->folder = NULL;
    xn_ocloc_close(o);
    return status;
}

// Removes what a run has left: files alone.
static void empty(const char *folder) {
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        char *path =
            strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 ? xn_path_join(folder, e->d_name) : NULL;
        if (path) unlink(path);
        free(path);
    }
    if (d) closedir(d);
}

void xn_ocloc_close(struct xn_ocloc *o) {
    if (o->folder) {
        empty(o->folder);
        rmdir(o->folder);
    }
    free(o->folder);
    free(o->program);
    *o = (struct xn_ocloc){0};
}

// Runs it with its output in a file, and waits. *code: its exit status; negative where a signal ended it.
static int run(const char *program, char *const *arguments, const char *log, int *code, struct xn_error *err) {
    posix_spawn_file_actions_t actions;
    pid_t child;
    if (posix_spawn_file_actions_init(&actions) != 0) return xn_fail(err, XN_ERR_NOMEM, "no memory to run %s", program);
    int failed = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    if (!failed) failed = posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (!failed) failed = posix_spawn_file_actions_adddup2(&actions, 1, 2);
    if (!failed) failed = posix_spawn(&child, program, &actions, NULL, arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed) return xn_fail(err, XN_ERR_IO, "%s cannot be run: %s", program, strerror(failed));
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return xn_fail(err, XN_ERR_IO, "waiting for %s: %s", program, strerror(errno));
    *code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return XN_OK;
}

// What it printed, on one line; free(); NULL where that can't be read.
static char *printed(const char *log) {
    char *text = NULL;
    size_t size;
    struct xn_error unread;
    if (xn_read_file(log, 1 << 20, &text, &size, &unread) != XN_OK) return NULL;
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f) *c = ' ';
    return text;
}

static int complain(const char *text, const char *device, struct xn_error *err) {
    if (text && (strstr(text, "HW Info") || strstr(text, "nknown acronym")))
        return xn_fail(err, XN_ERR_UNSUPPORTED, "this ocloc does not know %s; a newer one may", device);
    const char *from = text ? strstr(text, "rror") : NULL;
    from = from ? from - (from > text) : text;
    return xn_fail(err, XN_ERR_DEVICE, "ocloc for %s: %.300s", device, from && *from ? from : "it failed silently");
}

// Its binary is the only file with that ending; what comes before that differs between versions.
static int read_binary(const char *folder, char **binary, size_t *size, struct xn_error *err) {
    DIR *d = opendir(folder);
    char *found = NULL;
    for (struct dirent *e; d && (e = readdir(d));) {
        size_t n = strlen(e->d_name);
        if (n < 4 || strcmp(e->d_name + n - 4, ".bin") != 0) continue;
        free(found);
        found = xn_path_join(folder, e->d_name);
    }
    if (d) closedir(d);
    int status = found ? xn_read_file(found, most_bytes, binary, size, err)
                       : xn_fail(err, XN_ERR_DEVICE, "ocloc has written no binary into %s", folder);
    free(found);
    return status;
}

int xn_ocloc_compile(struct xn_ocloc *o, const char *source, const char *device, const char *options, char **binary,
                     size_t *size, struct xn_error *err) {
    struct xn_output *out = NULL;
    int code = 0;
    *binary = NULL;
    empty(o->folder);
    char *file = xn_path_join(o->folder, "program.cl"), *log = xn_path_join(o->folder, "log");
    int status = file && log ? xn_output_open(file, &out, err) : xn_fail(err, XN_ERR_NOMEM, "no memory to compile");
    if (status == XN_OK) status = xn_output_write(out, source, strlen(source), err);
    if (status == XN_OK)
        status = xn_output_commit(out, err);
    else
        xn_output_abort(out);
    // Versions between wrote an older format unless told to write the ELF files that drivers take today.
    const char *arguments[] = {"ocloc", "compile",  "-file",   file,       "-device", device, "-options",
                               options, "-out_dir", o->folder, "--format", "zebin",   NULL};
    enum { FORMAT = sizeof arguments / sizeof *arguments - 3 };
    for (bool again = true; status == XN_OK && again;) {
        if (o->plain) arguments[FORMAT] = NULL;
        status = run(o->program, (char *const *)arguments, log, &code, err);
        if (status == XN_OK && xn_interrupted()) status = xn_fail(err, XN_ERR_CANCELLED, "compiling was cancelled");
        char *text = status == XN_OK && code != 0 ? printed(log) : NULL;
        again = text && !o->plain && strstr(text, "nvalid option") && strstr(text, "--format");
        o->plain = o->plain || again;
        if (status == XN_OK && code != 0 && !again) status = complain(text, device, err);
        free(text);
    }
    if (status == XN_OK) status = read_binary(o->folder, binary, size, err);
    free(file);
    free(log);
    return status;
}
