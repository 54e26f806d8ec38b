#include "cli/cli.h"

#include "cli/progress.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
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
    xn_cli_error("%s", err->message);
    return err->status == XN_ERR_CANCELLED ? XN_EXIT_INTERRUPT : XN_EXIT_FAILED;
}

json_t *xn_json_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

void xn_cli_print_json(json_t *value) {
    if (!value || json_dumpf(value, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY) != 0)
        xn_cli_error("cannot write the JSON result");
    fputc('\n', stdout);
    json_decref(value);
}

int xn_cli_finish(int status) {
    xn_progress_clear();
    if (fflush(stdout) == 0 && !ferror(stdout)) return status;
    xn_cli_error("cannot write to standard output: %s", strerror(errno));
    return status == XN_EXIT_OK ? XN_EXIT_FAILED : status;
}
