// Ollama's API: /api/chat, /api/generate, /api/tags, ...
#pragma once

#include "server/http.h"

extern const struct xn_route xn_routes_ollama[];
