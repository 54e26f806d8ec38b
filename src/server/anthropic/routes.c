// Anthropic's errors and routes.
#include "server/anthropic/internal.h"

json_t *xn_anthropic_error(int status, const char *type, const char *message) {
    static const struct {
        int status;
        const char *type;
    } kinds[] = {
        {401, "authentication_error"}, {403, "permission_error"}, {404, "not_found_error"},  {413, "request_too_large"},
        {429, "rate_limit_error"},     {503, "overloaded_error"}, {529, "overloaded_error"},
    };
    const char *kind = status < 500 ? "invalid_request_error" : "api_error";
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].status == status) kind = kinds[i].type;
    return json_pack("{s:s, s:{s:s, s:s}}", "type", "error", "error", "type", type ? type : kind, "message", message);
}

const struct xn_route xn_routes_anthropic[] = {
    {"POST", "/v1/messages", 0, xn_anthropic_error, xn_anthropic_create},
    {"POST", "/v1/messages/count_tokens", 0, xn_anthropic_error, xn_anthropic_count},
    {0},
};
