// Errors as values: how every function of the library reports failure.
//
// A function that can fail returns `int`: XN_OK (0) or a negative `enum xn_status`, and takes a `struct xn_error *err`
// as its last parameter, which it fills with one line for a person: what was being read or done (file, offset, key),
// what was found, and what was expected. `err` may be NULL. Nothing below the command prints or exits.
#pragma once

// One list feeds the enum and the names.
#define XN_STATUS_LIST(X)                                                                                              \
    X(NOMEM, -1, "out of memory")                                                                                      \
    X(IO, -2, "input or output failed")                                                                                \
    X(FORMAT, -3, "malformed data")                                                                                    \
    X(UNSUPPORTED, -4, "not supported")                                                                                \
    X(ARGUMENT, -5, "invalid argument")                                                                                \
    X(LIMIT, -6, "limit exceeded")                                                                                     \
    X(TEMPLATE, -7, "template error")                                                                                  \
    X(DEVICE, -8, "device error")                                                                                      \
    X(CANCELLED, -9, "cancelled")                                                                                      \
    X(MISSING, -10, "not found")

enum xn_status {
    XN_OK = 0,
#define X(name, value, text) XN_ERR_##name = value,
    XN_STATUS_LIST(X)
#undef X
};

struct xn_error {
    enum xn_status status;
    char message[1024]; // one line, no newline at its end
};

// Fills *err (where not NULL) from a printf format and returns `status`, so that a caller writes `return xn_fail(...)`.
int xn_fail(struct xn_error *err, enum xn_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

// As xn_fail for a failed system call: appends ": " and the text of `errno_value`.
int xn_fail_errno(struct xn_error *err, int errno_value, const char *format, ...) __attribute__((format(printf, 3, 4)));

// Puts "CONTEXT: " before the message of an error that a callee reported, and returns its status.
int xn_error_context(struct xn_error *err, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

// The general text of a status ("malformed data"); "ok" for XN_OK.
const char *xn_status_text(int status);

// Forwards a failure of `call`.
#define XN_TRY(call)                                                                                                   \
    do {                                                                                                               \
        int xn_try_status_ = (call);                                                                                   \
        if (xn_try_status_ != XN_OK) return xn_try_status_;                                                            \
    } while (0)
