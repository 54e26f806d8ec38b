#include "server/web/web.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// Nothing but what this server sends may run, be drawn, or be asked, and no text becomes HTML but through DOMPurify:
// whatever a model writes, the page can neither run it nor tell another host of the conversation.
static const char POLICY[] = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                             "img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'none'; "
                             "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types dompurify";

bool xn_web_takes_gzip(const char *accept) {
    for (const char *at = accept; at && *at; at += strcspn(at, ","), at += *at == ',') {
        at += strspn(at, " \t");
        size_t name = strcspn(at, " \t;,");
        if (!(name == 4 && strncasecmp(at, "gzip", 4) == 0) && !(name == 1 && *at == '*')) continue;
        // "gzip;q=0" is a refusal; no other weight matters, as there is no other choice.
        const char *after = at + name;
        after += strspn(after, " \t;");
        bool weighted = tolower((unsigned char)*after) == 'q' && after[1] == '=';
        return !weighted || strtod(after + 2, NULL) > 0;
    }
    return false;
}

bool xn_web_matches(const char *if_none_match, const char *tag) {
    size_t size = strlen(tag);
    for (const char *at = if_none_match; at && *at; at += strcspn(at, ","), at += *at == ',') {
        at += strspn(at, " \t");
        if (*at == '*') return true;
        if (at[0] == 'W' && at[1] == '/') at += 2;
        if (strncmp(at, tag, size) == 0) return true;
    }
    return false;
}

static const struct xn_web_file *file_of(const char *path) {
    static const char folder[] = "/web/";
    const char *name = NULL;
    if (strcmp(path, "/") == 0)
        name = "index.html";
    else if (strcmp(path, "/dashboard") == 0)
        name = "dashboard.html";
    else if (strncmp(path, folder, sizeof folder - 1) == 0)
        name = path + sizeof folder - 1;
    for (size_t i = 0; name && i < xn_web_file_count; i++)
        if (strcmp(xn_web_files[i].name, name) == 0) return &xn_web_files[i];
    return NULL;
}

static int serve(void *server, struct xn_exchange *x, struct xn_error *err) {
    (void)server;
    const struct xn_web_file *file = file_of(xn_exchange_path(x));
    if (!file) return xn_fail(err, XN_ERR_MISSING, "there is no page %s", xn_exchange_path(x));
    bool packed = file->packed && xn_web_takes_gzip(xn_exchange_header(x, "Accept-Encoding"));
    char tag[96];
    snprintf(tag, sizeof tag, "\"%s%s\"", file->tag, packed ? "-gz" : "");
    xn_reply_header(x, "Content-Security-Policy", POLICY);
    xn_reply_header(x, "X-Content-Type-Options", "nosniff");
    xn_reply_header(x, "Referrer-Policy", "no-referrer");
    xn_reply_header(x, "Cross-Origin-Opener-Policy", "same-origin");
    // Asked again each time, so that a newer program is never met by an older one's page.
    xn_reply_header(x, "Cache-Control", "no-cache");
    xn_reply_header(x, "Vary", "Accept-Encoding");
    xn_reply_header(x, "ETag", tag);
    if (xn_web_matches(xn_exchange_header(x, "If-None-Match"), tag)) return xn_reply(x, 304, NULL, NULL, 0, err);
    if (packed) {
        xn_reply_header(x, "Content-Encoding", "gzip");
        return xn_reply(x, 200, file->type, file->packed, file->packed_size, err);
    }
    return xn_reply(x, 200, file->type, file->plain, file->plain_size, err);
}

static json_t *form(int status, const char *type, const char *message) {
    return json_pack("{s:{s:s, s:s, s:i}}", "error", "message", message, "type", type, "code", status);
}

#define PAGE XN_ROUTE_PUBLIC | XN_ROUTE_QUICK
const struct xn_route xn_routes_web[] = {
    {"GET", "/", PAGE, form, serve},
    {"GET", "/dashboard", PAGE, form, serve},
    {"GET", "/web/", PAGE | XN_ROUTE_PREFIX, form, serve},
    {0},
};
