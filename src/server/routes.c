// The tables of routes, in the order in which they are looked at.
#include "server/anthropic/anthropic.h"
#include "server/llama/llama.h"
#include "server/ollama/ollama.h"
#include "server/openai/openai.h"
#include "server/server.h"
#include "server/web/web.h"

const struct xn_route *const xn_server_routes[] = {
    xn_routes_openai, xn_routes_anthropic, xn_routes_llama, xn_routes_ollama, xn_routes_web, NULL,
};
