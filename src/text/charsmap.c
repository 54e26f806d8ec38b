// SentencePiece's precompiled_charsmap: a length, a Darts double array of that many bytes (from UTF-8 strings to
// offsets), and the NUL-terminated replacements that the offsets point at. The longest key at each place is replaced.
#include "text/tokenizer_internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

// Bounds for hostile maps; the keys and replacements of real ones are a few characters.
enum { LONGEST_KEY = 256, LONGEST_REPLACEMENT = 1024 };

struct xn_charsmap {
    uint32_t *units;
    size_t n_units;
    char *replacements;
    size_t replacements_size;
};

int xn_charsmap_new(const void *data, size_t size, struct xn_charsmap **out, struct xn_error *err) {
    *out = NULL;
    uint32_t bytes;
    if (size < sizeof bytes)
        return xn_fail(err, XN_ERR_FORMAT, "precompiled charsmap of %zu bytes, at least 4 expected", size);
    memcpy(&bytes, data, sizeof bytes);
    size_t rest = size - sizeof bytes;
    if (bytes % 4 || bytes > rest || !bytes)
        return xn_fail(err, XN_ERR_FORMAT, "precompiled charsmap: array of %u bytes in %zu", bytes, rest);
    struct xn_charsmap *map = xn_alloc_zero(1, sizeof *map);
    if (!map || !(map->units = xn_alloc(bytes, 1)) || !(map->replacements = xn_alloc(rest - bytes + 1, 1))) {
        xn_charsmap_free(map);
        return xn_fail(err, XN_ERR_NOMEM, "no memory for a precompiled charsmap of %zu bytes", size);
    }
    memcpy(map->units, (const char *)data + sizeof bytes, bytes);
    map->n_units = bytes / 4;
    map->replacements_size = rest - bytes;
    memcpy(map->replacements, (const char *)data + sizeof bytes + bytes, map->replacements_size);
    map->replacements[map->replacements_size] = 0;
    *out = map;
    return XN_OK;
}

void xn_charsmap_free(struct xn_charsmap *map) {
    if (!map) return;
    free(map->units);
    free(map->replacements);
    free(map);
}

static uint32_t unit_offset(uint32_t unit) {
    return (unit >> 10) << ((unit & 1u << 9) >> 6);
}

// The replacement of the longest key at s, and the key's length; 0 where no key starts there.
static size_t longest_key(const struct xn_charsmap *map, const char *s, size_t n, const char **replacement) {
    size_t longest = 0;
    uint32_t at = unit_offset(map->units[0]);
    for (size_t i = 0; i < n && i < LONGEST_KEY && s[i]; i++) {
        at ^= (uint8_t)s[i];
        if (at >= map->n_units || (map->units[at] & (1u << 31 | 0xff)) != (uint8_t)s[i]) break;
        uint32_t unit = map->units[at];
        at ^= unit_offset(unit);
        if (!(unit >> 8 & 1)) continue;
        if (at >= map->n_units) break;
        uint32_t offset = map->units[at] & ~(1u << 31);
        if (offset >= map->replacements_size || strlen(map->replacements + offset) > LONGEST_REPLACEMENT) break;
        *replacement = map->replacements + offset;
        longest = i + 1;
    }
    return longest;
}

int xn_charsmap_apply(const struct xn_charsmap *map, const char *s, size_t n, struct xn_text *out) {
    for (size_t i = 0; i < n;) {
        const char *replacement;
        size_t length = longest_key(map, s + i, n - i, &replacement);
        if (length) {
            XN_TRY(xn_text_append(out, replacement, strlen(replacement)));
        } else {
            length = xn_utf8_step(s + i, n - i);
            XN_TRY(xn_text_append(out, s + i, length));
        }
        i += length;
    }
    return XN_OK;
}
