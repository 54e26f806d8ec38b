#include "server/ollama/internal.h"

// Errors as Ollama tells them.
static json_t *form(int status, const char *type, const char *message) {
    (void)status, (void)type;
    return json_pack("{s:s}", "error", message);
}

static int refuse(void *server, struct xn_exchange *x, struct xn_error *err) {
    (void)server, (void)x;
    return xn_fail(err, XN_ERR_UNSUPPORTED, "models are named where the server starts; this can't change them");
}

static int nothing(void *server, struct xn_exchange *x, struct xn_error *err) {
    (void)server;
    return xn_fail(err, XN_ERR_MISSING, "there is nothing at %.64s", xn_exchange_path(x));
}

#define ROUTE(method, path, flags, handle)                                                                             \
    { method, path, flags, form, handle }

const struct xn_route xn_routes_ollama[] = {
    ROUTE("POST", "/api/chat", 0, xn_ollama_chat),
    ROUTE("POST", "/api/generate", 0, xn_ollama_generate),
    ROUTE("POST", "/api/embed", 0, xn_ollama_embed),
    ROUTE("POST", "/api/embeddings", 0, xn_ollama_embeddings),
    ROUTE("GET", "/api/tags", 0, xn_ollama_tags),
    ROUTE("GET", "/api/ps", 0, xn_ollama_ps),
    ROUTE("POST", "/api/show", 0, xn_ollama_show),
    ROUTE("GET", "/api/version", XN_ROUTE_PUBLIC | XN_ROUTE_QUICK, xn_ollama_version),
    ROUTE("POST", "/api/pull", 0, xn_ollama_pull),
    ROUTE("POST", "/api/create", 0, refuse),
    ROUTE("POST", "/api/copy", 0, refuse),
    ROUTE("POST", "/api/push", 0, refuse),
    ROUTE("DELETE", "/api/delete", 0, refuse),
    ROUTE("GET", "/api/", XN_ROUTE_PREFIX, nothing),
    ROUTE("POST", "/api/", XN_ROUTE_PREFIX, nothing),
    {0},
};
