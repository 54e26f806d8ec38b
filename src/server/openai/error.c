// Errors as OpenAI's API tells them.
#include "server/openai/internal.h"

#include <string.h>

static const struct {
    int status;
    const char *type, *code;
} forms[] = {
    {400, "invalid_request_error", NULL},
    {401, "authentication_error", "invalid_api_key"},
    {403, "permission_error", NULL},
    {404, "invalid_request_error", "not_found"},
    {405, "invalid_request_error", "method_not_allowed"},
    {408, "timeout_error", "request_timeout"},
    {413, "invalid_request_error", "request_too_large"},
    {429, "rate_limit_error", "rate_limit_exceeded"},
    {501, "not_supported_error", "not_supported"},
    {503, "unavailable_error", "service_unavailable"},
};

json_t *xn_openai_error(int status, const char *type, const char *message) {
    const char *kind = status < 500 ? "invalid_request_error" : "server_error", *code = NULL;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (forms[i].status == status) {
            kind = forms[i].type;
            code = forms[i].code;
        }
    if (status == 404 && strncmp(message, "model ", 6) == 0) code = "model_not_found";
    char param[96];
    bool named = status == 400 && xn_field_named(message, param);
    // Clients look for this code, to cut their conversations.
    if (status == 400 && strstr(message, "prompt is too long:")) code = "context_length_exceeded";
    return json_pack("{s:{s:s, s:s, s:s?, s:s?}}", "error", "message", message, "type", type ? type : kind, "param",
                     named ? param : NULL, "code", code);
}

void xn_openai_send_error(struct xn_call *call, const struct xn_error *error) {
    int status = xn_http_status(error);
    json_t *body = xn_openai_error(status, NULL, error->message);
    struct xn_error ignored;
    if (call->begun)
        xn_call_event(call, NULL, body);
    else
        xn_reply_json(call->x, status, body, &ignored);
}
