#include "api/stop.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

int xn_text_put(struct xn_text *text, const char *bytes, size_t size, struct xn_error *err) {
    size_t want;
    if (xn_add_overflow(text->size, size, &want) || xn_add_overflow(want, 1, &want) ||
        XN_GROW(text->data, text->capacity, want))
        return xn_fail(err, XN_ERR_NOMEM, "out of memory for %zu bytes of text", text->size);
    if (size) memcpy(text->data + text->size, bytes, size);
    text->size += size;
    text->data[text->size] = 0;
    return XN_OK;
}

// The length of the longest stop string that the held text ends with, which becomes `stopped`; 0: none.
static size_t complete(struct xn_stops *s) {
    size_t longest = 0;
    for (size_t i = 0; i < s->n; i++) {
        size_t n = strlen(s->strings[i]);
        if (n > longest && n <= s->held.size && memcmp(s->held.data + s->held.size - n, s->strings[i], n) == 0) {
            longest = n;
            s->stopped = s->strings[i];
        }
    }
    return longest;
}

// How many bytes at the end of the held text are the beginning of a stop string.
static size_t begun(const struct xn_stops *s) {
    size_t longest = 0;
    for (size_t i = 0; i < s->n; i++) {
        size_t n = strlen(s->strings[i]);
        if (n > s->held.size) n = s->held.size;
        for (; n > longest; n--)
            if (memcmp(s->held.data + s->held.size - n, s->strings[i], n) == 0) longest = n;
    }
    return longest;
}

// Passes on the first n held bytes.
static int pass(struct xn_stops *s, size_t n, struct xn_text *out, struct xn_error *err) {
    if (n == 0) return XN_OK; // nothing may ever have been held
    XN_TRY(xn_text_put(out, s->held.data, n, err));
    memmove(s->held.data, s->held.data + n, s->held.size - n);
    s->held.size -= n;
    return XN_OK;
}

int xn_stops_feed(struct xn_stops *s, const char *text, size_t size, struct xn_text *out, bool *found,
                  struct xn_error *err) {
    *found = false;
    if (s->n == 0) return xn_text_put(out, text, size, err);
    for (size_t i = 0; i < size; i++) {
        XN_TRY(xn_text_put(&s->held, text + i, 1, err));
        size_t stop = complete(s);
        if (stop) {
            XN_TRY(pass(s, s->held.size - stop, out, err));
            s->held.size = 0;
            *found = true;
            return XN_OK;
        }
        XN_TRY(pass(s, s->held.size - begun(s), out, err));
    }
    return XN_OK;
}

int xn_stops_end(struct xn_stops *s, struct xn_text *out, struct xn_error *err) {
    return pass(s, s->held.size, out, err);
}

void xn_stops_free(struct xn_stops *s) {
    free(s->held.data);
    s->held = (struct xn_text){0};
}
