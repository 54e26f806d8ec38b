// Grammars of turns: what they take and refuse for each notation, and that whatever they take is read as calls that fit
// the tools.
#include "text/answer/testing.h"

#include "text/grammar/automaton.h"

static const char tools_text[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"parameters\":{\"type\":\"object\",\"properties\":{"
    "\"city\":{\"type\":\"string\"},\"unit\":{\"enum\":[\"c\",\"f\"]},\"days\":{\"type\":\"integer\",\"minimum\":1,"
    "\"maximum\":9}},\"required\":[\"city\",\"days\"]}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"note\",\"parameters\":{\"type\":\"object\",\"properties\":{"
    "\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}},\"done\":{\"type\":\"boolean\"},"
    "\"at\":{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"number\"}},\"required\":[\"x\"]}},"
    "\"required\":[\"done\"]}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"now\"}}]";
static json_t *tools;

static struct xn_grammar *grammar(const struct xn_answer_rules *rules) {
    struct xn_grammar *g;
    struct xn_error err;
    if (xn_answer_grammar(rules, &g, &err) != XN_OK) fail_msg("%s", err.message);
    return g;
}

// Whether the whole text is taken.
static bool takes(const struct xn_grammar *g, const char *text) {
    struct xn_automaton *a;
    struct xn_grammar_state *s;
    struct xn_error err;
    bool good;
    assert_int_equal(xn_automaton_new(g, &a, &err), XN_OK);
    assert_int_equal(xn_grammar_state_new(a, &s, &err), XN_OK);
    assert_int_equal(xn_grammar_state_accept(s, text, strlen(text), &good, &err), XN_OK);
    good = good && xn_grammar_state_may_end(s);
    xn_grammar_state_free(s);
    xn_automaton_free(a);
    return good;
}

// Texts, "+..." to be taken, "-..." not.
static unsigned wrong_texts(const struct xn_answer_rules *rules, const char *const *texts) {
    struct xn_grammar *g = grammar(rules);
    unsigned wrong = 0;
    for (; *texts; texts++)
        if (takes(g, *texts + 1) != (**texts == '+')) {
            printf("%s %s %s\n", xn_answer_format_name(rules->style.format), **texts == '+' ? "refuses" : "takes",
                   *texts + 1);
            wrong++;
        }
    xn_grammar_free(g);
    return wrong;
}
#define TEXTS(rules, ...) assert_int_equal(wrong_texts(&(rules), (const char *const[]){__VA_ARGS__, NULL}), 0)

static void required_calls(void **state) {
    (void)state;
    struct xn_answer_rules r = {.style = {XN_ANSWER_HERMES, NULL, NULL}, .tools = tools, .required = true};
    TEXTS(r, "+<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Oulu\", \"days\": 3}}\n</tool_call>",
          "+\n\n<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>\n",
          "+\xff<tool_call>\n{\"name\": \"note\", \"arguments\": {\"done\": true}}\n\xff</tool_call>",
          "-<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Oulu\", \"days\": 30}}\n</tool_call>",
          "-<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"days\": 3}}\n</tool_call>",
          "-<tool_call>\n{\"name\": \"other\", \"arguments\": {}}\n</tool_call>", "-Hello", "-",
          "-<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>\n<tool_call>{\"name\":\"now\",\"arguments\":{}}"
          "</tool_call>");
    r.parallel = true;
    TEXTS(r, "+<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>\n<tool_call>{\"name\":\"note\",\"arguments\":"
             "{\"done\":false}}</tool_call>");
    r.only = "now";
    TEXTS(r, "+<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>",
          "-<tool_call>{\"name\":\"note\",\"arguments\":{\"done\":false}}</tool_call>");
    // Reasoning first, where the model has it.
    r.style.think_open = "<think>";
    r.style.think_close = "</think>";
    TEXTS(r, "+<think>\nHm < </thin </</think>\n\n<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>",
          "+<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>", "-<think>a</think>b",
          "-Hm</think><tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>");
    r.thinking = true;
    TEXTS(r, "+Hm</think><tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>",
          "-<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>");
}

static void free_until_a_call_begins(void **state) {
    (void)state;
    struct xn_answer_rules r = {.style = {XN_ANSWER_HERMES, NULL, NULL}, .tools = tools};
    TEXTS(r, "+", "+Hello <tool> </tool_call> <tool_call", "+<<tool_", "+é<tool_call€",
          "+Hi\n<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>", "-<tool_call>Hello",
          "-<<tool_call>{\"name\":\"other\",\"arguments\":{}}</tool_call>",
          "+<<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>");
    r.style.format = XN_ANSWER_LLAMA3;
    TEXTS(r, "+", "+Hello {\"name\"", "+{\"name\": \"now\", \"parameters\": {}}", "-{\"name\": \"other\"}");
    r.style.format = XN_ANSWER_MISTRAL;
    TEXTS(r, "+a [1] [TOOL", "+[TOOL_CALLS]now[ARGS]{}", "+a\xff[TOOL_CALLS][{\"name\":\"now\",\"arguments\":{}}]",
          "-[TOOL_CALLS]a", "+[[TOOL_CALLS]now[ARGS]{}", "+[TOOL_[TOOL_CALLS]now[ARGS]{}");
    r.style.format = XN_ANSWER_HARMONY;
    TEXTS(r, "+<|channel|>final<|message|>Hello",
          "+\xff<|channel|>analysis\xff<|message|>Hm\xff<|end|>\xff<|start|>assistant\xff<|channel|>commentary "
          "to=functions.now \xff<|constrain|>json\xff<|message|>{}",
          "+ to=functions.now<|channel|>commentary json<|message|>{}",
          "-<|channel|>commentary to=functions.x <|constrain|>json<|message|>{}", "-Hello");
    r.required = true;
    TEXTS(r, "-<|channel|>final<|message|>Hello");
}

static void content_is_held_to_what_was_asked(void **state) {
    (void)state;
    struct xn_answer_rules r = {.style = {XN_ANSWER_HERMES, "<think>", "</think>"}};
    struct xn_grammar *g;
    struct xn_error err;
    assert_int_equal(xn_answer_grammar(&r, &g, &err), XN_OK);
    assert_null(g);
    r.content = XN_ANSWER_JSON;
    TEXTS(r, "+{\"a\": [1]}", "+<think>x</think>\n{}", "-[1]", "-x{}", "-<tool_call>");
    r.content = XN_ANSWER_SCHEMA;
    json_t *schema = json_loads("{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"type\":\"integer\"}}}", 0, NULL);
    r.schema = schema;
    r.tools = tools;
    TEXTS(r, "+5", "-x", "+<tool_call>{\"name\":\"now\",\"arguments\":{}}</tool_call>");
    r.content = XN_ANSWER_GBNF;
    r.gbnf = "root ::= value\nvalue ::= \"<\" string \">\"\nstring ::= [a-z]+";
    r.gbnf_size = strlen(r.gbnf);
    TEXTS(r, "+<abc>", "-<>", "-5", "-<tool_call>{\"name\":\"now\",\"arguments\":{\"a\":[null]}}</tool_call>");
    r.style.format = XN_ANSWER_HARMONY;
    TEXTS(r, "+<|channel|>final<|message|><abc>", "-<|channel|>final<|message|>x");
    json_decref(schema);
}

static void what_cannot_be_is_said(void **state) {
    (void)state;
    struct xn_answer_rules r = {.style = {XN_ANSWER_HERMES, NULL, NULL}, .required = true};
    struct xn_grammar *g;
    struct xn_error err;
    assert_int_equal(xn_answer_grammar(&r, &g, &err), XN_ERR_ARGUMENT);
    r.tools = tools;
    r.only = "other";
    assert_int_equal(xn_answer_grammar(&r, &g, &err), XN_ERR_ARGUMENT);
    assert_non_null(strstr(err.message, "'other'"));
    r.only = NULL;
    // A schema that can't be honoured: any object, or an error where it is strict.
    json_t *odd =
        json_loads("[{\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{"
                   "\"not\":{}}}}}}]",
                   0, NULL);
    r.tools = odd;
    TEXTS(r, "+<tool_call>{\"name\":\"f\",\"arguments\":{\"b\":[1]}}</tool_call>");
    // The same behind a reference that is used twice, in a notation that compiles each parameter alone.
    json_t *twice =
        json_loads("[{\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\",\"properties\":{\"a\":{"
                   "\"$ref\":\"#/$defs/o\"},\"b\":{\"$ref\":\"#/$defs/o\"}},\"required\":[\"a\",\"b\"],\"$defs\":{"
                   "\"o\":{\"type\":\"object\",\"minProperties\":1}}}}}]",
                   0, NULL);
    r.tools = twice;
    r.style.format = XN_ANSWER_GLM;
    TEXTS(r,
          "+<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>{\"x\":1}</arg_value>\n<arg_key>b</arg_key>\n<arg_value>[2]"
          "</arg_value>\n</tool_call>");
    json_decref(twice);
    r.tools = odd;
    r.style.format = XN_ANSWER_HERMES;
    json_object_set_new(json_object_get(json_array_get(odd, 0), "function"), "strict", json_true());
    assert_int_equal(xn_answer_grammar(&r, &g, &err), XN_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "tool 'f'"));
    assert_non_null(strstr(err.message, "'not'"));
    json_decref(odd);
}

// ---- walks: whatever a grammar takes is read as calls that fit

static bool fits_tool(const char *name, const json_t *arguments) {
    if (!json_is_object(arguments)) return false;
    if (strcmp(name, "weather") == 0) {
        const json_t *unit = json_object_get(arguments, "unit"), *days = json_object_get(arguments, "days");
        return json_is_string(json_object_get(arguments, "city")) && json_is_integer(days) &&
               json_integer_value(days) >= 1 && json_integer_value(days) <= 9 &&
               (!unit || (json_is_string(unit) && strchr("cf", *json_string_value(unit))));
    }
    if (strcmp(name, "note") == 0) {
        const json_t *tags = json_object_get(arguments, "tags"), *at = json_object_get(arguments, "at");
        return json_is_boolean(json_object_get(arguments, "done")) && (!tags || json_is_array(tags)) &&
               (!at || json_is_number(json_object_get(at, "x")));
    }
    return strcmp(name, "now") == 0 && json_object_size(arguments) == 0;
}

struct fit {
    char name[64];
    struct xn_text arguments;
    unsigned calls, wrong;
    bool content;
};

static int fit_piece(void *user, const struct xn_answer_piece *p, struct xn_error *err) {
    struct fit *f = user;
    (void)err;
    if (p->kind == XN_ANSWER_CALL) {
        snprintf(f->name, sizeof f->name, "%s", p->name);
        f->arguments.size = 0;
        f->calls++;
    } else if (p->kind == XN_ANSWER_ARGUMENTS) {
        xn_text_append(&f->arguments, p->text, p->size);
    } else if (p->kind == XN_ANSWER_CALL_END) {
        json_t *arguments = json_loadb(f->arguments.data, f->arguments.size, 0, NULL);
        if (!fits_tool(f->name, arguments)) {
            printf("%s(%.*s)\n", f->name, (int)f->arguments.size, f->arguments.data);
            f->wrong++;
        }
        json_decref(arguments);
    } else if (p->kind == XN_ANSWER_CONTENT) {
        f->content = true;
    }
    return XN_OK;
}

// Texts that bytes alone would hardly find.
static const char *const hints[] = {"</parameter>", "\n</parameter>", "</arg_value>",
                                    "<|\"|>",       "<|end|>",        "</｜DSML｜parameter>"};

// A text that the grammar takes, by random bytes that lead towards an end; false: none was found in time.
static bool walk(const struct xn_grammar *g, uint64_t *seed, struct xn_text *out) {
    static const char leads[] = "<>\"}])|/{:,"; // bytes that close, or lead to what closes
    struct xn_automaton *a;
    struct xn_grammar_state *s;
    struct xn_error err;
    assert_int_equal(xn_automaton_new(g, &a, &err), XN_OK);
    assert_int_equal(xn_grammar_state_new(a, &s, &err), XN_OK);
    out->size = 0;
    bool done = false;
    for (unsigned step = 0; step < 3000 && !done; step++) {
        if (xn_grammar_state_may_end(s) && (xn_grammar_state_must_end(s) || draw(seed) % 4 == 0)) {
            done = true;
            break;
        }
        const char *hint = hints[draw(seed) % (sizeof hints / sizeof *hints)];
        bool hinted;
        assert_int_equal(xn_grammar_state_accept(s, hint, strlen(hint), &hinted, &err), XN_OK);
        if (hinted) {
            xn_text_append(out, hint, strlen(hint));
            continue;
        }
        char next[256];
        unsigned n = 0;
        for (int c = 9; c < 245 && !(n && c > 126); c++) { // others only where no ASCII fits
            bool good;
            struct xn_grammar_state *copy;
            const char byte = (char)c;
            assert_int_equal(xn_grammar_state_copy(s, &copy, &err), XN_OK);
            assert_int_equal(xn_grammar_state_accept(copy, &byte, 1, &good, &err), XN_OK);
            xn_grammar_state_free(copy);
            if (!good) continue;
            next[n++] = byte;
            if (c < 127 && strchr(leads, c) && n < 200) // more often
                for (int i = 0; i < 5; i++)
                    next[n++] = byte;
        }
        if (n == 0) break;
        const char byte = next[draw(seed) % n];
        bool good;
        assert_int_equal(xn_grammar_state_accept(s, &byte, 1, &good, &err), XN_OK);
        xn_text_append(out, &byte, 1);
    }
    xn_grammar_state_free(s);
    xn_automaton_free(a);
    return done;
}

static void whatever_is_taken_is_read(void **state) {
    (void)state;
    uint64_t seed = 7;
    unsigned wrong = 0;
    for (int format = 0; format < XN_ANSWER_FORMATS; format++) {
        const struct xn_answer_rules r = {
            .style = {(enum xn_answer_format)format, NULL, NULL}, .tools = tools, .required = true, .parallel = true};
        struct xn_grammar *g = grammar(&r);
        unsigned ended = 0, calls = 0;
        for (int i = 0; i < 60; i++) {
            struct xn_text text = {0};
            if (walk(g, &seed, &text)) {
                const struct xn_answer_options o = {.style = r.style, .tools = tools};
                struct xn_answer *a;
                struct xn_error err;
                struct fit f = {0};
                assert_int_equal(xn_answer_new(&o, &a, &err), XN_OK);
                assert_int_equal(xn_answer_feed(a, text.data, text.size, fit_piece, &f, &err), XN_OK);
                assert_int_equal(xn_answer_end(a, fit_piece, &f, &err), XN_OK);
                xn_answer_free(a);
                free(f.arguments.data);
                // In harmony there may be comments before.
                if (f.wrong || f.calls == 0 || (f.content && format != XN_ANSWER_HARMONY)) {
                    if (wrong++ < 10)
                        printf("%s: %u calls%s of %.*s\n", xn_answer_format_name(r.style.format), f.calls,
                               f.content ? " and content" : "", (int)text.size, text.data);
                }
                ended++;
                calls += f.calls;
            }
            free(text.data);
        }
        printf("%s: %u walks ended, %u calls\n", xn_answer_format_name(r.style.format), ended, calls);
        if (ended < 20) wrong++;
        xn_grammar_free(g);
    }
    assert_int_equal(wrong, 0);
}

int main(void) {
    tools = json_loads(tools_text, 0, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(required_calls),
        cmocka_unit_test(free_until_a_call_begins),
        cmocka_unit_test(content_is_held_to_what_was_asked),
        cmocka_unit_test(what_cannot_be_is_said),
        cmocka_unit_test(whatever_is_taken_is_read),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(tools);
    return failed;
}
