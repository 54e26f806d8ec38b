// Keys and certificates of `xenon serve`.
#include "base/file.h"
#include "base/memory.h"
#include "cli/serve.h"

#include <stdlib.h>
#include <string.h>

enum { FILE_MOST = 1 << 20 };

static int add_key(struct xn_serve_secrets *s, const char *key, struct xn_error *err) {
    if (XN_GROW(s->keys, s->capacity, s->n_keys + 1)) return xn_fail(err, XN_ERR_NOMEM, "no memory for keys");
    s->keys[s->n_keys++] = key;
    return XN_OK;
}

// One key a line; blanks around it, empty lines and lines that begin with # do not count.
static int split_keys(struct xn_serve_secrets *s, const char *path, struct xn_error *err) {
    size_t before = s->n_keys;
    char *rest = s->key_text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        line += strspn(line, " \t\r");
        size_t n = strlen(line);
        while (n && strchr(" \t\r", line[n - 1]))
            line[--n] = 0;
        if (n && *line != '#') XN_TRY(add_key(s, line, err));
    }
    // A server that was to have keys must not run without.
    if (s->n_keys == before) return xn_fail(err, XN_ERR_ARGUMENT, "option --api-key-file: no key in %s", path);
    return XN_OK;
}

static int read_text(const char *option, const char *path, char **text, struct xn_error *err) {
    size_t size;
    int status = xn_read_file(path, FILE_MOST, text, &size, err);
    return status == XN_OK ? XN_OK : xn_error_context(err, status, "option %s", option);
}

int xn_serve_secrets_read(const struct xn_serve_options *o, struct xn_serve_secrets *s, struct xn_error *err) {
    for (size_t i = 0; i < o->keys.n; i++) {
        if (!*o->keys.items[i]) return xn_fail(err, XN_ERR_ARGUMENT, "option --api-key: the key is empty");
        XN_TRY(add_key(s, o->keys.items[i], err));
    }
    const char *environment = getenv("XENON_API_KEY");
    if (environment && *environment) XN_TRY(add_key(s, environment, err));
    if (o->key_file) {
        XN_TRY(read_text("--api-key-file", o->key_file, &s->key_text, err));
        XN_TRY(split_keys(s, o->key_file, err));
    }
    if (!o->certificate != !o->private_key)
        return xn_fail(err, XN_ERR_ARGUMENT, "TLS needs both --ssl-cert-file and --ssl-key-file");
    if (!o->certificate) return XN_OK;
    XN_TRY(read_text("--ssl-cert-file", o->certificate, &s->certificate, err));
    return read_text("--ssl-key-file", o->private_key, &s->private_key, err);
}

void xn_serve_secrets_free(struct xn_serve_secrets *s) {
    free(s->keys);
    free(s->key_text);
    free(s->certificate);
    free(s->private_key);
    *s = (struct xn_serve_secrets){0};
}
