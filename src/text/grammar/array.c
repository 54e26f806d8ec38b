// Arrays: prefixItems by place, then items, between minItems and maxItems of all.
#include "text/grammar/schema.h"

int xn_schema_array(struct xn_schema *s, const struct xn_where *w, const json_t *schema, uint32_t *node) {
    struct xn_form *f = s->form;
    const json_t *prefix = json_object_get(schema, "prefixItems"), *items = json_object_get(schema, "items");
    uint32_t least = 0, most = XN_FORM_UNBOUNDED;
    XN_TRY(xn_schema_count(s, w, schema, "minItems", &least));
    XN_TRY(xn_schema_count(s, w, schema, "maxItems", &most));
    if (prefix && !json_is_array(prefix)) return xn_schema_fail(s, XN_ERR_FORMAT, w, "'prefixItems' is no list");
    uint32_t n = (uint32_t)json_array_size(prefix);
    // Places after the listed ones are left empty unless something is said about them, or they must be filled.
    const bool rest = json_is_false(items) ? false : items || n == 0 || least > n;
    if (!rest && most > n) most = n;
    if (least > most) return xn_schema_fail(s, XN_ERR_FORMAT, w, "at least %u items, but at most %u", least, most);
    if (n > most) n = most;
    const uint32_t blank = xn_json_common(s, XN_JSON_SPACE);
    const uint32_t comma = XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, ","), blank);
    uint32_t tail = 0; // what follows place i, commas included; from the last place to the first
    if (rest && most > n) {
        const struct xn_where here = {w, "items", 0};
        uint32_t item;
        if (items)
            XN_TRY(xn_schema_call(s, &here, items, &item));
        else
            item = xn_json_common(s, XN_JSON_VALUE);
        const uint32_t left = most == XN_FORM_UNBOUNDED ? most : most - n, must = least > n ? least - n : 0;
        if (n == 0) {
            const uint32_t more = xn_form_times(f, XN_FORM_SEQUENCE_OF(f, comma, item), must ? must - 1 : 0,
                                                left == XN_FORM_UNBOUNDED ? left : left - 1);
            tail = xn_form_times(f, XN_FORM_SEQUENCE_OF(f, item, more), must > 0, 1);
        } else {
            tail = xn_form_times(f, XN_FORM_SEQUENCE_OF(f, comma, item), must, left);
        }
    }
    for (uint32_t i = n; i-- > 0;) {
        const struct xn_where list = {w, "prefixItems", 0}, here = {&list, NULL, i};
        uint32_t item;
        XN_TRY(xn_schema_node(s, &here, json_array_get(prefix, i), &item));
        tail = i ? XN_FORM_SEQUENCE_OF(f, comma, item, tail) : XN_FORM_SEQUENCE_OF(f, item, tail);
        tail = xn_schema_rule(s, &here, xn_form_times(f, tail, i < least, 1));
    }
    *node = XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, "["), blank, tail, blank, XN_FORM_LITERAL(f, "]"));
    return XN_OK;
}
