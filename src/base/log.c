#include "base/log.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static xn_log_sink *log_sink;
static void *log_user;

void xn_log_set_sink(xn_log_sink *sink, void *user) {
    log_sink = sink;
    log_user = user;
}

void xn_log(enum xn_log_level level, const char *format, ...) {
    if (!log_sink) return;
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    log_sink(log_user, level, line);
}
