// Strings: lengths, formats and patterns.
#include "text/grammar/compile.h"
#include "text/grammar/schema.h"

#include <string.h>

// Formats as the patterns that they are. Times need an offset; a month's days are at most those it can have in some
// year, and 29 February is left out, since it would depend on the year.
#define DATE                                                                                                           \
    "[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
#define TIME "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
static const struct {
    const char *name, *pattern;
} formats[] = {
    {"date", "^(" DATE ")$"},
    {"time", "^(" TIME ")$"},
    {"date-time", "^(" DATE "T" TIME ")$"},
    {"uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"},
};

static int contents(struct xn_schema *s, const struct xn_where *w, const json_t *schema, uint32_t *node) {
    const json_t *pattern = json_object_get(schema, "pattern"), *format = json_object_get(schema, "format");
    uint32_t least = 0, most = XN_FORM_UNBOUNDED;
    XN_TRY(xn_schema_count(s, w, schema, "minLength", &least));
    XN_TRY(xn_schema_count(s, w, schema, "maxLength", &most));
    if (least > most) return xn_schema_fail(s, XN_ERR_FORMAT, w, "at least %u characters, but at most %u", least, most);
    const bool bounded = json_object_get(schema, "minLength") || json_object_get(schema, "maxLength");
    if (!!pattern + !!format + bounded > 1)
        return xn_schema_fail(s, XN_ERR_UNSUPPORTED, w, "only one of 'pattern', 'format' and lengths");
    if (pattern) {
        const struct xn_where here = {w, "pattern", 0};
        if (!json_is_string(pattern)) return xn_schema_fail(s, XN_ERR_FORMAT, &here, "no text");
        return xn_schema_pattern(s, &here, json_string_value(pattern), node);
    }
    if (format) {
        const char *name = json_is_string(format) ? json_string_value(format) : "";
        for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
            if (strcmp(formats[i].name, name) == 0) return xn_schema_pattern(s, w, formats[i].pattern, node);
        return xn_schema_fail(s, XN_ERR_UNSUPPORTED, w, "format '%.60s' is not supported", name);
    }
    *node = xn_form_times(s->form, xn_json_character(s), least, most);
    return XN_OK;
}

int xn_schema_string(struct xn_schema *s, const struct xn_where *w, const json_t *schema, uint32_t *node) {
    static const char *const conditions[] = {"pattern", "format", "minLength", "maxLength"};
    bool any = true;
    for (int i = 0; i < 4; i++)
        any = any && !json_object_get(schema, conditions[i]);
    if (any) {
        *node = xn_json_common(s, XN_JSON_STRING);
        return XN_OK;
    }
    XN_TRY(contents(s, w, schema, node));
    const uint32_t quote = XN_FORM_LITERAL(s->form, "\"");
    *node = XN_FORM_SEQUENCE_OF(s->form, quote, *node, quote);
    return XN_OK;
}
