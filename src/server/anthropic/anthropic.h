// Anthropic's API: messages, and the counting of their tokens.
#pragma once

#include "server/http.h"

extern const struct xn_route xn_routes_anthropic[]; // ended by a row without a method

// {"type": "error", "error": {"type", "message"}}. `type` NULL: by the status.
xn_error_form xn_anthropic_error;
