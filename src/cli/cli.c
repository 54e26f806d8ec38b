#include "cli/cli.h"

#include "base/memory.h"
#include "cli/progress.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// One call writes the whole line, so that lines of several processes on one terminal stay whole.
static void print_line(const char *prefix, const char *format, va_list args) {
    char line[2048];
    int n = snprintf(line, sizeof line, "%s", prefix);
    vsnprintf(line + n, sizeof line - (size_t)n, format, args);
    xn_progress_clear();
    fflush(stdout);
    fprintf(stderr, "%s\n", line);
}

void xn_cli_error(const char *format, ...) {
    va_list args;
    va_start(args, format);
    print_line("xenon: ", format, args);
    va_end(args);
}

void xn_cli_note(const char *format, ...) {
    va_list args;
    va_start(args, format);
    print_line("", format, args);
    va_end(args);
}

int xn_cli_fail(const struct xn_error *err) {
    bool other = err->status == XN_ERR_DEVICE && xn_loaded_chose_gpu();
    xn_cli_error("%s%s", err->message, other ? " (a GPU was chosen; --device cpu does without)" : "");
    return err->status == XN_ERR_CANCELLED ? XN_EXIT_INTERRUPT : XN_EXIT_FAILED;
}

json_t *xn_json_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

json_t *xn_json_word(const char *s) {
    json_t *text = json_string(s);
    if (text) return text;
    size_t n = strlen(s);
    char *copy = xn_strndup(s, n);
    for (size_t i = 0; copy && i < n; i++)
        if ((unsigned char)copy[i] >= 0x80) copy[i] = '?';
    text = copy ? json_string(copy) : NULL;
    free(copy);
    return text;
}

const char *xn_printable(const char *s, char *buffer, size_t size) {
    size_t n = 0;
    for (; s[n] && n + 1 < size; n++) {
        unsigned char c = (unsigned char)s[n];
        // The second byte of U+0080 to U+009F, which terminals obey too.
        bool c1 = n && (unsigned char)s[n - 1] == 0xc2 && c < 0xa0;
        buffer[n] = c < 0x20 || c == 0x7f || c1 ? '?' : s[n];
    }
    buffer[n] = 0;
    return buffer;
}

static bool json_failed;

void xn_cli_print_json(json_t *value) {
    if (!value || json_dumpf(value, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY) != 0) {
        xn_cli_error("cannot write the JSON result");
        json_failed = true;
    }
    fputc('\n', stdout);
    json_decref(value);
}

int xn_cli_finish(int status) {
    xn_progress_clear();
    if (fflush(stdout) == 0 && !ferror(stdout)) return json_failed && status == XN_EXIT_OK ? XN_EXIT_FAILED : status;
    xn_cli_error("cannot write to standard output: %s", strerror(errno));
    return status == XN_EXIT_OK ? XN_EXIT_FAILED : status;
}
