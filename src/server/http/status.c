// What errors are in HTTP.
#include "server/http.h"

int xn_http_status(const struct xn_error *err) {
    switch (err->status) {
    case XN_OK:
        return 200;
    case XN_ERR_ARGUMENT:
    case XN_ERR_TEMPLATE:
    case XN_ERR_FORMAT:
        return 400;
    case XN_ERR_MISSING:
        return 404;
    case XN_ERR_LIMIT:
        return 429;
    case XN_ERR_CANCELLED:
        return 499;
    case XN_ERR_UNSUPPORTED:
        return 501;
    case XN_ERR_NOMEM:
        return 503;
    default:
        return 500;
    }
}

const char *xn_http_error_type(int status) {
    switch (status) {
    case 401:
        return "authentication_error";
    case 403:
        return "permission_error";
    case 404:
        return "not_found_error";
    case 408:
        return "timeout_error";
    case 413:
        return "request_too_large";
    case 429:
        return "rate_limit_error";
    case 501:
        return "not_supported_error";
    case 503:
        return "overloaded_error";
    default:
        return status >= 500 ? "server_error" : "invalid_request_error";
    }
}
