// Log lines and progress of the library, given to whoever asked for them. Without a sink both are dropped: the library
// itself never prints.
#pragma once

#include <stdint.h>

enum xn_log_level { XN_LOG_ERROR, XN_LOG_WARNING, XN_LOG_INFO, XN_LOG_DEBUG };

typedef void xn_log_sink(void *user, enum xn_log_level level, const char *line);

// Process-wide; NULL drops. Set it before other threads log.
void xn_log_set_sink(xn_log_sink *sink, void *user);
void xn_log(enum xn_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Progress of a long piece of work. Called with 0 <= done <= total (bytes, tokens, ... as `what` says); a nonzero
// result asks the work to stop, which then fails with XN_ERR_CANCELLED.
struct xn_progress {
    int (*report)(void *user, const char *what, uint64_t done, uint64_t total);
    void *user;
};
static inline int xn_progress_report(const struct xn_progress *p, const char *what, uint64_t done, uint64_t total) {
    return p && p->report ? p->report(p->user, what, done, total) : 0;
}
