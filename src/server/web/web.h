// The web pages: the chat at / and the dashboard, embedded in the program when it is built.
#pragma once

#include "server/http.h"

// GET / and /dashboard, and the files that they name below /web/. They ask for no key and touch no model; what the
// pages then read (the APIs) does. Ended by a row without a method.
extern const struct xn_route xn_routes_web[];

// A file of the pages. Made by tools/embed_web.cmake from src/server/web/pages and the libraries' packages.
struct xn_web_file {
    const char *name;      // "index.html", "lib/marked.js"
    const char *type;      // Content-Type
    const char *tag;       // of its contents: hexadecimal
    const uint8_t *plain;  // plain_size bytes
    const uint8_t *packed; // packed_size bytes of gzip; NULL where that would not be smaller
    size_t plain_size, packed_size;
};
extern const struct xn_web_file xn_web_files[];
extern const size_t xn_web_file_count;

// Whether a value of Accept-Encoding (NULL: none) allows gzip; whether one of If-None-Match names the tag.
bool xn_web_takes_gzip(const char *accept_encoding);
bool xn_web_matches(const char *if_none_match, const char *tag);
