#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// A message is one line whatever the file that it quotes contains: control characters become '?'.
static void make_one_line(char *s) {
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f) *s = '?';
}

int xn_fail(struct xn_error *err, enum xn_status status, const char *format, ...) {
    if (err) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        make_one_line(err->message);
        err->status = status;
    }
    return status;
}

int xn_fail_errno(struct xn_error *err, int errno_value, const char *format, ...) {
    if (err) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        size_t n = strlen(err->message);
        char text[128];
        // The GNU strerror_r: returns the text, which need not be in the buffer.
        snprintf(err->message + n, sizeof err->message - n, ": %s", strerror_r(errno_value, text, sizeof text));
        make_one_line(err->message);
        err->status = XN_ERR_IO;
    }
    return XN_ERR_IO;
}

int xn_error_context(struct xn_error *err, int status, const char *format, ...) {
    if (err) {
        char old[sizeof err->message];
        memcpy(old, err->message, sizeof old);
        va_list args;
        va_start(args, format);
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
        size_t n = strlen(err->message);
        snprintf(err->message + n, sizeof err->message - n, ": %s", old);
        make_one_line(err->message);
    }
    return status;
}

const char *xn_status_text(int status) {
    switch (status) {
    case XN_OK:
        return "ok";
#define X(name, value, text)                                                                                           \
    case value:                                                                                                        \
        return text;
        XN_STATUS_LIST(X)
#undef X
    default:
        return "unknown error";
    }
}
