// llama-server's own API: /completion, /infill, /tokenize, /props, /slots, /metrics, ...
#pragma once

#include "server/http.h"

extern const struct xn_route xn_routes_llama[];
