// Answers of each notation, as they are and broken, cut in many ways; and what prompts and templates tell.
#include "text/answer/testing.h"

static const char tools_text[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\",\"properties\":{"
    "\"s\":{\"type\":\"string\"},\"n\":{\"type\":\"integer\"},\"x\":{\"type\":\"number\"},\"b\":{\"type\":\"boolean\"},"
    "\"l\":{\"type\":\"array\"},\"o\":{\"type\":\"object\"},\"sn\":{\"type\":[\"string\",\"null\"]},"
    "\"e\":{\"enum\":[\"1\",\"2\"]},\"any\":{},\"si\":{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"integer\"}]}}}}},"
    "{\"type\":\"function\",\"function\":{\"name\":\"g.h-1\"}}]";
static json_t *tools;

struct answer_case {
    const char *text, *expected;
};

// Whole, by characters, and with random cuts.
static unsigned check(const struct xn_answer_options *options, const struct answer_case *cases, size_t n) {
    unsigned wrong = 0;
    for (size_t i = 0; i < n; i++)
        for (uint64_t cut = 0; cut < 20; cut++) {
            char *found = parse(options, cases[i].text, strlen(cases[i].text), cut, false);
            const bool good = strcmp(found, cases[i].expected) == 0;
            if (!good)
                printf("%s (cut %u)\n  found    %s\n  expected %s\n", cases[i].text, (unsigned)cut, found,
                       cases[i].expected);
            free(found);
            wrong += !good;
            if (!good) break;
        }
    return wrong;
}

static struct xn_answer_options options_of(enum xn_answer_format format, const char *open, const char *close) {
    return (struct xn_answer_options){
        .style = {format, open, close}, .tools = tools, .reasoning = open != NULL, .seed = 5};
}

#define CHECK(options, ...)                                                                                            \
    do {                                                                                                               \
        const struct answer_case cases_[] = {__VA_ARGS__};                                                             \
        assert_int_equal(check(&(options), cases_, sizeof cases_ / sizeof *cases_), 0);                                \
    } while (0)

static void plain_text_is_content(void **state) {
    (void)state;
    struct xn_answer_options o = options_of(XN_ANSWER_PLAIN, NULL, NULL);
    o.tools = NULL;
    CHECK(o, {"", ""}, {" a <think>b</think> \n", "C( a <think>b</think> \n)"},
          {"<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>",
           "C(<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>)"});
}

static void reasoning_is_told_apart(void **state) {
    (void)state;
    struct xn_answer_options o = options_of(XN_ANSWER_PLAIN, "<think>", "</think>");
    o.tools = NULL;
    CHECK(o, {"<think>\nHm.\n\nSo 4.\n</think>\n\nFour.\n", "R(Hm.\n\nSo 4.)C(Four.\n)"},
          {"<think>\n\n</think>\n\nFour", "C(Four)"}, {" \n<think>a</think>b", "R(a)C(b)"},
          {"a <think>b</think>", "C(a <think>b</think>)"}, {"<thin", "C(<thin)"}, {"<thing>", "C(<thing>)"},
          {"<<think>", "C(<<think>)"}, {"<think>a</thin", "R(a</thin)"}, {"<think>a </", "R(a </)"},
          {"<think>a</think>b<think>c</think>d", "R(a)C(b<think>c</think>d)"}, {"\n\nx\n", "C(\n\nx\n)"},
          {"<think>é</think>ü", "R(é)C(ü)"});
    o.thinking = true;
    CHECK(o, {"Hm.\n</think>\nFour", "R(Hm.)C(Four)"}, {"\nHm", "R(Hm)"}, {"</think>x", "C(x)"});
    o.thinking = false;
    o.reasoning = false;
    CHECK(o, {"<think>\nHm.</think>\nFour", "C(<think>\nHm.</think>\nFour)"});
}

static void hermes(void **state) {
    (void)state;
    struct xn_answer_options o = options_of(XN_ANSWER_HERMES, "<think>", "</think>");
    CHECK(
        o,
        {"<tool_call>\n{\"name\": \"f\", \"arguments\": {\"s\": \"a } \\\" {\"}}\n</tool_call>",
         "0:f({\"s\": \"a } \\\" {\"})"},
        {"<think>x</think>\n\nNow:\n<tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>\n<tool_call>\n"
         "{\"arguments\": {\"n\": 1}, \"name\": \"g.h-1\"}</tool_call>\n",
         "R(x)C(Now:)0:f({})1:g.h-1({\"n\": 1})"},
        {"<tool_call>{\"name\":\"f\",\"arguments\":\"{\\\"s\\\": \\\"\\u00e9\\ud83d\\ude00\\\"}\"}</tool_call>after\n",
         "0:f({\"s\": \"é😀\"})C(after)"},
        {"<tool_call>{\"id\": \"x\", \"type\": \"function\", \"name\":\"f\"}</tool_call>", "0:f({})"},
        {"<tool_call>{\"name\":\"f\",\"arguments\":null}</tool_call>", "0:f({})"},
        {"<tool_call>{\"name\":\"f\",\"arguments\":{\"s\":[1,{\"a\":2}]},\"more\":[1,\"]\"]}</tool_call>",
         "0:f({\"s\":[1,{\"a\":2}]})"},
        // cut off
        {"<tool_call>{\"name\":\"f\",\"arguments\":{\"s\":\"ab", "0:f({\"s\":\"ab)"},
        {"<tool_call>{\"name\":\"f\",\"arguments\":{}}", "0:f({})"},
        {"<tool_call>{\"name\":\"f\",\"arguments\":{}}\n</tool_", "0:f({})"},
        {"<tool_call>{\"name\":\"f\",\"argu", "C(<tool_call>{\"name\":\"f\",\"argu)"},
        // broken
        {"a <tool_call>nothing</tool_call> b", "C(a <tool_call>nothing</tool_call> b)"},
        {"<tool_call><tool_call>{\"name\":\"f\",\"arguments\":{}}</tool_call>", "C(<tool_call>)0:f({})"},
        {"<tool_call>{\"name\": 5}</tool_call>x", "C(<tool_call>{\"name\": 5}</tool_call>x)"},
        {"<tool_call>{\"arguments\": {\"a\":1}}</tool_call>", "C(<tool_call>{\"arguments\": {\"a\":1}}</tool_call>)"},
        {"<tool_call>{\"name\":\"f\",\"arguments\":[1]}</tool_call>",
         "C(<tool_call>{\"name\":\"f\",\"arguments\":[1]}</tool_call>)"},
        {"<tool_call>{\"name\":\"f\",\"arguments\":{}} </tool_x>y", "0:f({})C(</tool_x>y)"},
        {"1 <tool 2 <tool_cal", "C(1 <tool 2 <tool_cal)"},
        {"<tool_call>{\"name\":\"f\",\"arguments\":{}}\n{\"name\":\"f\",\"arguments\":{\"n\":2}}</tool_call>",
         "0:f({})1:f({\"n\":2})"});
}

static void calls_as_json_behind_other_markers(void **state) {
    (void)state;
    struct xn_answer_options o = options_of(XN_ANSWER_LLAMA3, NULL, NULL);
    CHECK(o, {"{\"name\": \"f\", \"parameters\": {\"n\": 1}}", "0:f({\"n\": 1})"},
          {"\n<|python_tag|>{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"g.h-1\", \"parameters\": {}}",
           "0:f({})1:g.h-1({})"},
          {"{\"name\": \"unknown\", \"parameters\": {}}", "C({\"name\": \"unknown\", \"parameters\": {}})"},
          {"{\"name\": \"f\"}", "C({\"name\": \"f\"})"}, {"{\"a\": 1}\n", "C({\"a\": 1}\n)"},
          {"So: {\"name\": \"f\", \"parameters\": {}}", "C(So: {\"name\": \"f\", \"parameters\": {}})"},
          {"{\"type\": \"function\", \"name\": \"f\", \"parameters\": {\"n\": 1}}", "0:f({\"n\": 1})"});
    o = options_of(XN_ANSWER_MISTRAL, "[THINK]", "[/THINK]");
    CHECK(o,
          {"[THINK]a[/THINK]b[TOOL_CALLS]f[ARGS]{\"n\": 1}[TOOL_CALLS]g.h-1[CALL_ID]123456789[ARGS]{}",
           "R(a)C(b)0:f({\"n\": 1})1:g.h-1({})"},
          {"[TOOL_CALLS] [{\"name\": \"f\", \"arguments\": {\"l\": [1]}, \"id\": \"abcdefghi\"}, {\"name\": \"f\"}]",
           "0:f({\"l\": [1]})1:f({})"},
          {"[TOOL_CALLS]f{\"n\": 1}", "0:f({\"n\": 1})"}, {"[TOOL_CALLS] not {", "C([TOOL_CALLS] not {)"},
          {"[1] [TOOL", "C([1] [TOOL)"}, {"[TOOL_CALLS][]x", "C([TOOL_CALLS][]x)"},
          {"[TOOL_CALLS]f[ARGS]{\"n\": 1}\n\nDone", "0:f({\"n\": 1})C(Done)"});
    o = options_of(XN_ANSWER_NEMOTRON, NULL, NULL);
    CHECK(o,
          {"Wait.\n<TOOLCALL>[{\"name\": \"f\", \"arguments\": {}}, {\"name\": \"f\", \"arguments\": "
           "{\"n\":2}}]</TOOLCALL>",
           "C(Wait.)0:f({})1:f({\"n\":2})"},
          {"<TOOLCALL>[{\"name\": \"f\", \"arguments\": {}}, oops]</TOOLCALL>", "0:f({})C(, oops]</TOOLCALL>)"},
          {"<TOOLCALL>[{\"name\": \"f\", \"arguments\": {}}", "0:f({})"});
    o = options_of(XN_ANSWER_APERTUS, NULL, NULL);
    CHECK(o, {"<|tools_prefix|>[{\"f\": {\"n\": 1}}, {\"g.h-1\": {}}]<|tools_suffix|>", "0:f({\"n\": 1})1:g.h-1({})"},
          {"<|tools_prefix|>[{}]<|tools_suffix|>", "C(<|tools_prefix|>[{}]<|tools_suffix|>)"},
          {"<|tools_prefix|>[{\"f\": {}, \"g\": {}}]<|tools_suffix|>", "0:f({})C(\": {}}]<|tools_suffix|>)"});
}

static void calls_by_name(void **state) {
    (void)state;
    struct xn_answer_options o = options_of(XN_ANSWER_DEEPSEEK, "<think>", "</think>");
    CHECK(o,
          {"<think>a</think>b<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"n\": 1}<｜tool▁call▁end｜>\n"
           "<｜tool▁call▁begin｜>g.h-1<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
           "R(a)C(b)0:f({\"n\": 1})1:g.h-1({})"},
          {"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"n\": "
           "1}\n```<｜tool▁call▁end｜>"
           "<｜tool▁calls▁end｜>",
           "0:f({\"n\": 1})"},
          {"<｜tool▁calls▁begin｜>x", "C(<｜tool▁calls▁begin｜>x)"}, {"<｜tool▁calls", "C(<｜tool▁calls)"},
          {"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n{}",
           "C(<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n{})"},
          {"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"s\": \"é", "0:f({\"s\": \"é)"});
    o = options_of(XN_ANSWER_KIMI, NULL, NULL);
    CHECK(o, {"<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{\"n\": 1}"
              "<|tool_call_end|><|tool_call_begin|>functions.g.h-1:1<|tool_call_argument_begin|><|tool_call_end|>"
              "<|tool_calls_section_end|>",
              "0:f({\"n\": 1})1:g.h-1({})"});
    static const char own_id[] = "<|tool_call_begin|>functions.f:7<|tool_call_argument_begin|>{}";
    char *found = parse(&o, own_id, strlen(own_id), 1, true);
    assert_string_equal(found, "0:functions.f:7:f({})"); // the model's own id
    free(found);
    o = options_of(XN_ANSWER_FUNCTIONARY, NULL, NULL);
    CHECK(o, {"a<function=f>{\"n\": 1}</function><function=f>{}</function>b", "C(a)0:f({\"n\": 1})1:f({})C(b)"},
          {"<function=f>x", "C(<function=f>x)"});
    o = options_of(XN_ANSWER_SOLAR, "<|think|>", "<|end|>");
    CHECK(o, {"<|think|>a<|end|><|begin|>assistant<|content|>b", "R(a)C(b)"},
          {"<|think|>a<|end|><|begin|>assistant<|tool_calls|><|tool_call:begin|>x1<|tool_call:name|>f"
           "<|tool_call:args|>{}<|tool_call:end|><|calls|>",
           "R(a)0:f({})"});
}

static void calls_by_tags(void **state) {
    (void)state;
    struct xn_answer_options o = options_of(XN_ANSWER_QWEN_XML, "<think>", "</think>");
    CHECK(
        o,
        {"<think>\na\n</think>\n\n<tool_call>\n<function=f>\n<parameter=s>\n1 \"x\"\n<b>\n</parameter>\n<parameter=n>\n"
         "2\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=g.h-1>\n</function>\n</tool_call>",
         "R(a)0:f({\"s\": \"1 \\\"x\\\"\\n<b>\", \"n\": 2})1:g.h-1({})"},
        // types: as the schema says, else as it looks
        {"<tool_call><function=f><parameter=b>true</parameter><parameter=x>1.50</parameter><parameter=l>[1, 2]"
         "</parameter><parameter=o>{\"a\": null}</parameter></function></tool_call>",
         "0:f({\"b\": true, \"x\": 1.50, \"l\": [1, 2], \"o\": {\"a\": null}})"},
        {"<tool_call><function=f><parameter=b>True</parameter><parameter=l>['a', None]</parameter><parameter=n>None"
         "</parameter></function></tool_call>",
         "0:f({\"b\": true, \"l\": [\"a\", null], \"n\": null})"},
        {"<tool_call><function=f><parameter=sn>null</parameter><parameter=si>12</parameter><parameter=e>1</parameter>"
         "<parameter=any>12</parameter><parameter=other>a b</parameter></function></tool_call>",
         "0:f({\"sn\": null, \"si\": 12, \"e\": \"1\", \"any\": 12, \"other\": \"a b\"})"},
        {"<tool_call><function=f><parameter=n>many</parameter><parameter=s>5</parameter><parameter=s></parameter>"
         "</function></tool_call>",
         "0:f({\"n\": \"many\", \"s\": \"5\", \"s\": \"\"})"},
        {"<tool_call><function=f><parameter=n>123456789012345678901234567890</parameter></function></tool_call>",
         "0:f({\"n\": 123456789012345678901234567890})"},
        // without its section: known tools only
        {"Now <function=f>\n</function> x <function=h>", "C(Now)0:f({})C(x <function=h>)"},
        {"<tool_call>\n<function=f>\n<parameter=s>\nab", "0:f({\"s\": \"ab)"},
        {"<tool_call>\n<function=f>\nx", "C(<tool_call>\n<function=f>\nx)"},
        {"<tool_call>\n<function=f>\n</function>\n</tool_call", "0:f({})"},
        {"<tool_call>\n<function=f>\n<parameter=s>\n</param\n\n</parameter>\n</function>\n</tool_call>",
         "0:f({\"s\": \"</param\\n\"})"});
    o = options_of(XN_ANSWER_SEED, NULL, NULL);
    CHECK(o, {"<seed:tool_call>\n<function=f>\n<parameter=s>\na\n</parameter>\n</function>\n</seed:tool_call>",
              "0:f({\"s\": \"\\na\\n\"})"});
    o = options_of(XN_ANSWER_MINIMAX, NULL, NULL);
    CHECK(o, {"<minimax:tool_call>\n<invoke name=\"f\">\n<parameter name=\"s\">a\"b</parameter>\n</invoke>\n<invoke "
              "name=\"f\">\n</invoke>\n</minimax:tool_call>",
              "0:f({\"s\": \"a\\\"b\"})1:f({})"});
    o = options_of(XN_ANSWER_GLM, "<think>", "</think>");
    CHECK(o,
          {"<think>a</think>\n<tool_call>f\n<arg_key>s</arg_key>\n<arg_value>x\ny</arg_value>\n<arg_key>n</arg_key>"
           "<arg_value>3</arg_value>\n</tool_call>\n<tool_call>g.h-1</tool_call>",
           "R(a)0:f({\"s\": \"x\\ny\", \"n\": 3})1:g.h-1({})"},
          {"<tool_call>f<arg_key>s</arg_key><arg_value></arg_value></tool_call>", "0:f({\"s\": \"\"})"},
          {"<tool_call>{\"name\": 1}", "C(<tool_call>{\"name\": 1})"});
    o = options_of(XN_ANSWER_DSML, NULL, NULL);
    CHECK(o,
          {"<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"f\">\n<｜DSML｜parameter name=\"any\" string=\"true\">12"
           "</｜DSML｜parameter>\n<｜DSML｜parameter name=\"n\" string=\"false\">12</｜DSML｜parameter>\n"
           "</｜DSML｜invoke>\n</｜DSML｜function_calls>",
           "0:f({\"any\": \"12\", \"n\": 12})"});
}

static void calls_as_literals(void **state) {
    (void)state;
    struct xn_answer_options o = options_of(XN_ANSWER_GEMMA4, "<|channel>thought\n", "<channel|>");
    CHECK(o,
          {"<|channel>thought\na\n<channel|><|tool_call>call:f{s:<|\"|>x "
           "\"y\"\n<|<|\"|>,n:1,l:[true,null,-2.5e3,{a:<|\"|>"
           "é<|\"|>}],o:{}}<tool_call|><|tool_call>call:g.h-1{}<tool_call|>",
           "R(a)0:f({\"s\": \"x \\\"y\\\"\\n<|\", \"n\": 1, \"l\": [true, null, -2.5e3, {\"a\": \"é\"}], \"o\": {}})"
           "1:g.h-1({})"},
          {"x<|tool_call>no", "C(x<|tool_call>no)"}, {"<|tool_call>call:f{s:<|\"|>ab", "0:f({\"s\": \"ab)"},
          {"<|tool_call>call:f{s:<|\"x", "0:f({\"s\": )C(x)"});
    o = options_of(XN_ANSWER_LFM2, NULL, NULL);
    CHECK(o,
          {"<|tool_call_start|>[f(s=\"it's\", n=1), g.h-1()]<|tool_call_end|>ok",
           "0:f({\"s\": \"it's\", \"n\": 1})1:g.h-1({})C(ok)"},
          {"<|tool_call_start|>[f(s='a\\'\\n\\x41\\u00e9\"', b=True, any=None, l=[1, 'b', (2, 3),], o={'k': {}})]"
           "<|tool_call_end|>",
           "0:f({\"s\": \"a'\\n\\u0041\\u00e9\\\"\", \"b\": true, \"any\": null, \"l\": [1, \"b\", [2, 3]], \"o\": "
           "{\"k\": {}}})"},
          {"<|tool_call_start|>f()", "C(<|tool_call_start|>f())"},
          {"<|tool_call_start|>[f(s=\"a\"", "0:f({\"s\": \"a\")"}, {"<|tool_call_start|>[f()", "0:f({})"});
}

static void harmony(void **state) {
    (void)state;
    struct xn_answer_options o = options_of(XN_ANSWER_HARMONY, "<|channel|>analysis<|message|>", "<|end|>");
    CHECK(
        o,
        {"<|channel|>analysis<|message|>Hm < <|en.<|end|><|start|>assistant<|channel|>final<|message|>Four.<|return|>",
         "R(Hm < <|en.)C(Four.)"},
        {"<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary to=functions.f "
         "<|constrain|>json<|message|>{\"s\": \"<|end|>\"}<|call|>",
         "R(a)0:f({\"s\": \"<|end|>\"})"},
        {" to=functions.f<|channel|>commentary json<|message|>{\"n\": 1}", "0:f({\"n\": 1})"},
        {"<|channel|>commentary<|message|>I will look.<|end|><|start|>assistant<|channel|>commentary "
         "to=functions.g.h-1<|message|><|call|>",
         "C(I will look.)0:g.h-1({})"},
        {"<|channel|>final<|message|>a <|b", "C(a <|b)"}, {"Hello <|x", "C(Hello <|x)"},
        {"<|channel|>final<|message|>a<|end|><|start|>assis", "C(a)"}, {"", ""});
    o.reasoning = false;
    CHECK(o, {"<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b", "C(ab)"});
}

static void long_texts_end_in_time(void **state) {
    (void)state;
    // Openers over and over, and calls whose names never come: each byte is looked at once.
    static const char *const parts[] = {"<tool_call>", "<tool_call>{\"arguments\":{\"a\":\"", "<tool_call>{\"x\":[[[["};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const size_t n = strlen(parts[i]), times = (2 << 20) / n;
        char *text = malloc(n * times + 1);
        for (size_t k = 0; k < times; k++)
            memcpy(text + k * n, parts[i], n);
        text[n * times] = 0;
        const struct xn_answer_options o = options_of(XN_ANSWER_HERMES, "<think>", "</think>");
        char *found = parse(&o, text, n * times, 1, false);
        assert_int_equal(strlen(found), n * times + 3);
        assert_memory_equal(found + 2, text, n * times);
        free(found);
        free(text);
    }
}

static void ids_are_like_those_of_the_family(void **state) {
    (void)state;
    struct xn_answer_options o = options_of(XN_ANSWER_MISTRAL, NULL, NULL);
    const char text[] = "[TOOL_CALLS]f[ARGS]{}[TOOL_CALLS]f[ARGS]{}";
    char *a = parse(&o, text, strlen(text), 0, true), *b = parse(&o, text, strlen(text), 1, true);
    assert_string_equal(a, b);
    assert_int_equal(strcspn(a + 2, ":"), 9);
    assert_memory_not_equal(a + 2, strchr(a, ')') + 3, 9);
    o.seed = 6;
    free(b);
    b = parse(&o, text, strlen(text), 0, true);
    assert_string_not_equal(a, b);
    free(a);
    free(b);
    o = options_of(XN_ANSWER_HERMES, NULL, NULL);
    a = parse(&o, "<tool_call>{\"name\":\"f\"}", 23, 0, true);
    assert_memory_equal(a, "0:call_", 7);
    free(a);
}

static int refuse(void *user, const struct xn_answer_piece *piece, struct xn_error *err) {
    (void)piece;
    return --*(int *)user ? XN_OK : xn_fail(err, XN_ERR_CANCELLED, "enough");
}

static void a_sink_that_fails_ends_it(void **state) {
    (void)state;
    const struct xn_answer_options o = options_of(XN_ANSWER_HERMES, NULL, NULL);
    struct xn_answer *a;
    struct xn_error err;
    int left = 2;
    assert_int_equal(xn_answer_new(&o, &a, &err), XN_OK);
    assert_int_equal(xn_answer_feed(a, "a", 1, refuse, &left, &err), XN_OK);
    assert_int_equal(xn_answer_feed(a, "b", 1, refuse, &left, &err), XN_ERR_CANCELLED);
    assert_string_equal(err.message, "enough");
    assert_int_equal(xn_answer_feed(a, "c", 1, refuse, &left, &err), XN_ERR_CANCELLED);
    assert_int_equal(left, 0);
    xn_answer_free(a);
}

static void prompts_tell_where_they_end(void **state) {
    (void)state;
    const struct xn_answer_style think = xn_answer_detect("..<think>..</think>.."),
                                 gemma = xn_answer_detect("<|tool_call>call:"),
                                 harmony_style = xn_answer_detect("<|channel|><|start|>"), plain = {0};
    static const struct {
        const char *prompt;
        bool think, gemma;
    } cases[] = {{"a<think>", true, false},
                 {"a<think>\n\n", true, false},
                 {"<think>\n\n</think>\n", false, false},
                 {"<think>a", false, false},
                 {"", false, false},
                 {"<|channel>thought\n", false, true},
                 {"<|channel>thought\n<channel|>", false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const size_t n = strlen(cases[i].prompt);
        assert_int_equal(xn_answer_thinking(&think, cases[i].prompt, n), cases[i].think);
        assert_int_equal(xn_answer_thinking(&gemma, cases[i].prompt, n), cases[i].gemma);
        assert_false(xn_answer_thinking(&harmony_style, cases[i].prompt, n));
        assert_false(xn_answer_thinking(&plain, cases[i].prompt, n));
    }
    assert_true(xn_answer_wants_special(&gemma, NULL) && xn_answer_wants_special(&harmony_style, NULL));
    assert_false(xn_answer_wants_special(&think, NULL) || xn_answer_wants_special(&plain, NULL));
}

int main(void) {
    tools = json_loads(tools_text, 0, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_is_content),
        cmocka_unit_test(reasoning_is_told_apart),
        cmocka_unit_test(hermes),
        cmocka_unit_test(calls_as_json_behind_other_markers),
        cmocka_unit_test(calls_by_name),
        cmocka_unit_test(calls_by_tags),
        cmocka_unit_test(calls_as_literals),
        cmocka_unit_test(harmony),
        cmocka_unit_test(long_texts_end_in_time),
        cmocka_unit_test(ids_are_like_those_of_the_family),
        cmocka_unit_test(a_sink_that_fails_ends_it),
        cmocka_unit_test(prompts_tell_where_they_end),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(tools);
    return failed;
}
