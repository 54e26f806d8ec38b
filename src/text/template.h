// Chat templates: the part of Jinja2 that published chat templates use, rendered as Hugging Face transformers renders
// them (trim_blocks, lstrip_blocks, loop controls, the generation block, tojson without HTML escaping, Python's
// printing of values). A template is hostile input: steps, depth, memory and output are bounded.
#pragma once

#include "base/error.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct xn_template; // parsed; immutable; may be rendered by several threads at once

// Parses; errors name line and what was expected. `name` is for messages.
int xn_template_parse(const char *source, size_t size, const char *name, struct xn_template **out,
                      struct xn_error *err);
void xn_template_free(struct xn_template *t);

struct xn_template_limits {
    uint64_t steps; // statements and expressions evaluated; 0: the default
    uint32_t depth; // nesting of calls and expressions
    size_t memory;  // bytes of values alive
    size_t output;  // bytes of output
};

// Renders with `variables` (an object: messages, tools, add_generation_prompt, bos_token, ...; key order is kept).
// `now` is the time that strftime_now formats (seconds since 1970, UTC). The result is malloc'ed and NUL-terminated.
// raise_exception in the template gives XN_ERR_TEMPLATE with its message.
int xn_template_render(const struct xn_template *t, const json_t *variables, int64_t now,
                       const struct xn_template_limits *limits, char **out, size_t *size, struct xn_error *err);
