#include "server/openai/internal.h"
#include "server/openai/responses.h"

#define POST(path, handle)                                                                                             \
    { "POST", path, 0, xn_openai_error, handle }
#define GET(path, flags, handle)                                                                                       \
    { "GET", path, flags, xn_openai_error, handle }

const struct xn_route xn_routes_openai[] = {
    POST("/v1/chat/completions", xn_openai_chat),
    POST("/chat/completions", xn_openai_chat),
    POST("/v1/completions", xn_openai_completions),
    POST("/v1/responses", xn_openai_responses),
    POST("/responses", xn_openai_responses),
    GET("/v1/responses/", XN_ROUTE_PREFIX, xn_openai_response_get),
    {"DELETE", "/v1/responses/", XN_ROUTE_PREFIX, xn_openai_error, xn_openai_response_delete},
    POST("/v1/embeddings", xn_openai_embeddings),
    GET("/v1/models", 0, xn_openai_models),
    GET("/models", 0, xn_openai_models),
    GET("/v1/models/", XN_ROUTE_PREFIX, xn_openai_model),
    {0},
};
