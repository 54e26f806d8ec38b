// Integers between bounds, as patterns of digits.
#include "text/grammar/schema.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { DIGITS = 18 };
static const int64_t limit = 999999999999999999; // what DIGITS digits hold

static uint32_t digits(struct xn_form *f, char first, char last) {
    return XN_FORM_SET_OF(f, {(unsigned char)first, (unsigned char)last});
}

static uint32_t any_digits(struct xn_form *f, size_t n) {
    return n ? xn_form_times(f, digits(f, '0', '9'), (uint32_t)n, (uint32_t)n) : 0;
}

// Numbers of n digits between two of n digits.
static uint32_t between(struct xn_form *f, const char *low, const char *high, size_t n) {
    static const char zeros[DIGITS + 1] = "000000000000000000", nines[DIGITS + 1] = "999999999999999999";
    if (n == 0) return 0;
    if (memcmp(low, zeros, n) == 0 && memcmp(high, nines, n) == 0) return any_digits(f, n);
    if (low[0] == high[0]) return XN_FORM_SEQUENCE_OF(f, xn_form_text(f, low, 1), between(f, low + 1, high + 1, n - 1));
    uint32_t choices[3];
    size_t n_choices = 0;
    choices[n_choices++] = XN_FORM_SEQUENCE_OF(f, xn_form_text(f, low, 1), between(f, low + 1, nines, n - 1));
    if (low[0] + 1 < high[0])
        choices[n_choices++] =
            XN_FORM_SEQUENCE_OF(f, digits(f, (char)(low[0] + 1), (char)(high[0] - 1)), any_digits(f, n - 1));
    choices[n_choices++] = XN_FORM_SEQUENCE_OF(f, xn_form_text(f, high, 1), between(f, zeros, high + 1, n - 1));
    return xn_form_list(f, XN_FORM_CHOICE, choices, n_choices);
}

// 0 <= low <= high <= limit.
static uint32_t natural(struct xn_form *f, int64_t low, int64_t high) {
    uint32_t choices[DIGITS + 1];
    size_t n_choices = 0;
    uint64_t power = 10; // of numbers with n digits: the first that has more
    for (size_t n = 1; n <= DIGITS; n++, power *= 10) {
        const int64_t first = n == 1 ? 0 : (int64_t)power / 10, last = (int64_t)power - 1;
        const int64_t from = low > first ? low : first, to = high < last ? high : last;
        if (from > to) continue;
        char a[24], b[24];
        snprintf(a, sizeof a, "%lld", (long long)from);
        snprintf(b, sizeof b, "%lld", (long long)to);
        choices[n_choices++] = between(f, a, b, n);
    }
    return xn_form_list(f, XN_FORM_CHOICE, choices, n_choices);
}

// A bound that is there narrows *bound; `step`: what an excluded integer moves it by.
static int read_bound(struct xn_schema *s, const struct xn_where *w, const json_t *schema, const char *key, bool low,
                      bool excluded, int64_t *bound) {
    const json_t *value = json_object_get(schema, key);
    if (!value) return XN_OK;
    if (!json_is_number(value)) return xn_schema_fail(s, XN_ERR_FORMAT, w, "'%s' is no number", key);
    double real = json_number_value(value);
    if (fabs(real) > (double)limit) { // past what is written anyway, or beyond all of it
        if ((real > 0) == low) return xn_schema_fail(s, XN_ERR_LIMIT, w, "'%s' beyond %d digits", key, DIGITS);
        return XN_OK;
    }
    int64_t whole;
    if (json_is_integer(value)) {
        whole = json_integer_value(value) + (excluded ? (low ? 1 : -1) : 0);
    } else {
        const double rounded = low ? ceil(real) : floor(real);
        whole = (int64_t)rounded + (excluded && rounded == real ? (low ? 1 : -1) : 0);
    }
    if (low ? whole > *bound : whole < *bound) *bound = whole;
    return XN_OK;
}

int xn_schema_integer(struct xn_schema *s, const struct xn_where *w, const json_t *schema, uint32_t *node) {
    struct xn_form *f = s->form;
    int64_t low = -limit, high = limit;
    XN_TRY(read_bound(s, w, schema, "minimum", true, false, &low));
    XN_TRY(read_bound(s, w, schema, "exclusiveMinimum", true, true, &low));
    XN_TRY(read_bound(s, w, schema, "maximum", false, false, &high));
    XN_TRY(read_bound(s, w, schema, "exclusiveMaximum", false, true, &high));
    if (low > high)
        return xn_schema_fail(s, XN_ERR_FORMAT, w, "no integer is between the bounds %lld and %lld", (long long)low,
                              (long long)high);
    if (low == -limit && high == limit) {
        *node = xn_json_common(s, XN_JSON_INTEGER);
        return XN_OK;
    }
    uint32_t choices[2];
    size_t n = 0;
    if (high >= 0) choices[n++] = natural(f, low > 0 ? low : 0, high);
    if (low < 0) choices[n++] = XN_FORM_SEQUENCE_OF(f, XN_FORM_LITERAL(f, "-"), natural(f, high < 0 ? -high : 1, -low));
    *node = xn_form_list(f, XN_FORM_CHOICE, choices, n);
    return XN_OK;
}
