#include "cli/constraint.h"

#include "base/file.h"
#include "format/source.h"

#include <stdlib.h>
#include <string.h>

enum { GRAMMAR_BYTES = 1 << 20, SCHEMA_BYTES = 1 << 24 };

static int read_gbnf(const char *path, struct xn_grammar **out, struct xn_error *err) {
    char *text;
    size_t size;
    XN_TRY(xn_read_file(path, GRAMMAR_BYTES, &text, &size, err));
    int status = xn_grammar_from_gbnf(text, size, path, out, err);
    free(text);
    return status;
}

static int read_schema(const char *text, struct xn_grammar **out, struct xn_error *err) {
    json_t *schema;
    const char *start = text + strspn(text, " \t\r\n");
    if (*start == '{')
        XN_TRY(xn_json_parse(text, strlen(text), "option --json-schema", &schema, err));
    else
        XN_TRY(xn_json_file(text, SCHEMA_BYTES, &schema, err));
    int status = xn_grammar_from_json_schema(schema, out, err);
    json_decref(schema);
    return status;
}

int xn_constraint_options_read(const struct xn_constraint_options *o, struct xn_grammar **out, struct xn_error *err) {
    *out = NULL;
    if (!!o->grammar + !!o->grammar_file + !!o->schema > 1)
        return xn_fail(err, XN_ERR_ARGUMENT, "only one of --grammar, --grammar-file and --json-schema");
    if (o->grammar) return xn_grammar_from_gbnf(o->grammar, strlen(o->grammar), "option --grammar", out, err);
    if (o->grammar_file) return read_gbnf(o->grammar_file, out, err);
    return o->schema ? read_schema(o->schema, out, err) : XN_OK;
}
