// OpenAI's API: chat completions, completions, responses, embeddings, models.
#pragma once

#include "server/http.h"

extern const struct xn_route xn_routes_openai[]; // ended by a row without a method

// {"error": {"message", "type", "param", "code"}}. `type` NULL: by the status. The message may begin with a field's
// name and ": ", which becomes `param`.
xn_error_form xn_openai_error;
