#include "server/llama/internal.h"

// Errors as llama-server tells them.
static json_t *form(int status, const char *type, const char *message) {
    return json_pack("{s:{s:i, s:s, s:s}}", "error", "code", status, "message", message, "type",
                     status == 503 ? "unavailable_error" : type);
}

#define POST(path, handle)                                                                                             \
    { "POST", path, 0, form, handle }
#define GET(path, flags, handle)                                                                                       \
    { "GET", path, flags, form, handle }

const struct xn_route xn_routes_llama[] = {
    GET("/health", XN_ROUTE_PUBLIC | XN_ROUTE_QUICK, xn_llama_health),
    GET("/v1/health", XN_ROUTE_PUBLIC | XN_ROUTE_QUICK, xn_llama_health),
    GET("/props", 0, xn_llama_props),
    GET("/slots", 0, xn_llama_slots),
    GET("/metrics", 0, xn_llama_metrics),
    POST("/completion", xn_llama_completion),
    POST("/completions", xn_llama_completion),
    POST("/infill", xn_llama_infill),
    POST("/tokenize", xn_llama_tokenize),
    POST("/detokenize", xn_llama_detokenize),
    POST("/apply-template", xn_llama_apply_template),
    POST("/embedding", xn_llama_embedding),
    POST("/embeddings", xn_llama_embedding),
    POST("/rerank", xn_llama_rerank),
    POST("/v1/rerank", xn_llama_rerank),
    POST("/reranking", xn_llama_rerank),
    POST("/v1/reranking", xn_llama_rerank),
    POST("/models/load", xn_llama_load),
    POST("/models/unload", xn_llama_unload),
    {0},
};
