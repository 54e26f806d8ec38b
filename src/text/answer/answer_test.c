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

int main(void) {
    tools = json_loads(tools_text, 0, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_is_content),
        cmocka_unit_test(reasoning_is_told_apart),
        cmocka_unit_test(hermes),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(tools);
    return failed;
}
