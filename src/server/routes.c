// The tables of routes, in the order in which they are looked at.
#include "server/server.h"

// An API's folder brings its own table; one that this tree has not (yet) is left out.
#if __has_include("server/openai/openai.h")
#include "server/openai/openai.h"
#define XN_HAS_OPENAI
#endif
#if __has_include("server/anthropic/anthropic.h")
#include "server/anthropic/anthropic.h"
#define XN_HAS_ANTHROPIC
#endif
#if __has_include("server/llama/llama.h")
#include "server/llama/llama.h"
#define XN_HAS_LLAMA
#endif
#if __has_include("server/ollama/ollama.h")
#include "server/ollama/ollama.h"
#define XN_HAS_OLLAMA
#endif
#if __has_include("server/web/web.h")
#include "server/web/web.h"
#define XN_HAS_WEB
#endif

const struct xn_route *const xn_server_routes[] = {
#ifdef XN_HAS_OPENAI
    xn_routes_openai,
#endif
#ifdef XN_HAS_ANTHROPIC
    xn_routes_anthropic,
#endif
#ifdef XN_HAS_LLAMA
    xn_routes_llama,
#endif
#ifdef XN_HAS_OLLAMA
    xn_routes_ollama,
#endif
#ifdef XN_HAS_WEB
    xn_routes_web,
#endif
    NULL,
};
