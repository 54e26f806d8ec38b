// Stop strings in streamed text: found across any borders of the pieces that come in, and never shown in part.
#pragma once

#include "base/error.h"
#include "text/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>

// Zero-initialise, then set strings (not owned; empty ones are ignored). xn_stops_free frees what is held.
struct xn_stops {
    const char *const *strings;
    size_t n;
    const char *stopped; // the one that was found, or NULL
    struct xn_text held; // the end of the text so far that may be the beginning of a stop string
};

// Takes `size` more bytes of the text and appends to *out what can no longer be part of a stop string. *found: a stop
// string is complete; what came before it is in *out, it and the rest of the piece are dropped. The outcome does not
// depend on how the text is cut into pieces: the string that is complete first counts, and of several that end at once
// the longest.
int xn_stops_feed(struct xn_stops *stops, const char *text, size_t size, struct xn_text *out, bool *found,
                  struct xn_error *err);
// At the end of the text: appends what was held back.
int xn_stops_end(struct xn_stops *stops, struct xn_text *out, struct xn_error *err);
void xn_stops_free(struct xn_stops *stops);

// Appends bytes to a growing text, and a NUL behind it.
int xn_text_put(struct xn_text *text, const char *bytes, size_t size, struct xn_error *err);
