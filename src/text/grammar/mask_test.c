// Masks: against every token's bytes tried by the automaton, walks that only take what masks allow, and their speed.
#include "text/grammar/mask.h"

#include "base/file.h"
#include "text/grammar/place.h"
#include "text/grammar/testing.h"

#include <math.h>
#include <time.h>

static uint64_t seed = 1;
static uint32_t below(uint32_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % n);
}

enum { MAX_TOKENS = 1200 };
struct words {
    struct xn_token_bytes tokens[MAX_TOKENS];
    bool ends[MAX_TOKENS];
    char pool[MAX_TOKENS * 48];
    size_t n;
    struct xn_token_tree *tree;
};

// Every byte, pieces of the texts that grammars below accept (some cut inside characters), doubles, long runs, tokens
// without text, and two that end.
static struct words *draw_words(void) {
    static const char sample[] =
        "{\"name\": \"x\", \"list\":[1,2.5e3,true,false,null]}\n    \"\\u00e9\\n\xc3\xa9\xf0\x9f\x98\x80"
        "\xe2\x82\xac (1+22)*3 - abcabc \"kids\": [], \"next\":{\"v\":-7}}]}]";
    struct words *w = calloc(1, sizeof *w);
    char *p = w->pool;
    for (; w->n < 256; w->n++, p++) {
        *p = (char)w->n;
        w->tokens[w->n] = (struct xn_token_bytes){p, 1};
    }
    for (; w->n < MAX_TOKENS - 4; w->n++) {
        uint32_t size = 1 + below(below(4) ? 5 : 12);
        const uint32_t at = below(sizeof sample - 1 - size);
        if (below(40) == 0) {
            size = 20 + below(28);
            memset(p, "a 1\n"[below(4)], size);
        } else if (below(12) == 0) {
            for (uint32_t i = 0; i < size; i++)
                p[i] = (char)below(256);
        } else {
            memcpy(p, sample + at, size);
        }
        w->tokens[w->n] = (struct xn_token_bytes){p, size};
        p += size;
    }
    w->ends[w->n++] = true;
    w->ends[w->n++] = true;
    w->n += 2; // empty ones
    struct xn_error err;
    if (xn_token_tree_new(w->tokens, w->ends, w->n, &w->tree, &err) != XN_OK) fail_msg("%s", err.message);
    return w;
}

static void free_words(struct words *w) {
    xn_token_tree_free(w->tree);
    free(w);
}

static bool in(const uint64_t *mask, size_t i) {
    return mask[i / 64] >> (i % 64) & 1;
}

static void check_mask(const struct words *w, const struct xn_grammar_state *s, const uint64_t *mask) {
    struct xn_error err;
    for (size_t i = 0; i < w->n; i++) {
        bool expected = false;
        if (w->ends[i]) {
            expected = xn_grammar_state_may_end(s);
        } else if (w->tokens[i].size) {
            struct xn_grammar_state *t;
            assert_int_equal(xn_grammar_state_copy(s, &t, &err), XN_OK);
            assert_int_equal(xn_grammar_state_accept(t, w->tokens[i].data, w->tokens[i].size, &expected, &err), XN_OK);
            xn_grammar_state_free(t);
        }
        if (in(mask, i) != expected)
            fail_msg("token %zu '%.*s' is %s", i, (int)w->tokens[i].size, (const char *)w->tokens[i].data,
                     expected ? "left out" : "let in");
    }
}

static const char *const grammars[] = {
    "root ::= sum\nsum ::= term ([-+*] \" \"? term)*\nterm ::= [0-9]+ | \"(\" sum \")\"",
    "root ::= [^\\n]* \"\\n\"?",
    "root ::= (word | \" \")*\nword ::= [a-z]+ [\xc3\xa9\xe2\x82\xac]?",
    "root ::= \"a\"{0,100} ([ab]{70,90} | \"c\")",
    "root ::= x{2,50} \"!\"\nx ::= [a-c] | \"(\" x \")\" | \"1\" [^a-z]",
    "root ::= ([a-c]{40,} \" \"){1,3}",
    "root ::= ([ab]? [bc1]?){45} \"!\"?",
    "root ::= (\"a\" | \"ab\" | \"abc\" | \"bc\" | \"c\"){0,60} [1\\n]*",
};
static const char *const schemas[] = {
    "{\"type\":\"object\"}",
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":60},\"list\":{\"type\":\"array\","
    "\"items\":{\"type\":[\"number\",\"boolean\",\"null\"]}}},\"required\":[\"name\"],\"additionalProperties\":false}",
    "{\"$ref\":\"#/$defs/n\",\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\","
    "\"minimum\":-70,\"maximum\":30},\"next\":{\"$ref\":\"#/$defs/n\"},\"kids\":{\"type\":\"array\",\"items\":"
    "{\"$ref\":\"#/$defs/n\"}}},\"required\":[\"v\"],\"additionalProperties\":{\"type\":\"boolean\"}}}}",
    "{\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":1,\"maxLength\":9},\"minItems\":1,\"maxItems\":"
    "5}",
    "{\"type\":\"string\",\"pattern\":\"^[a-c]{2,40}(x|\\\\n)*$\"}",
};
enum { N_GRAMMARS = sizeof grammars / sizeof *grammars, N_SCHEMAS = sizeof schemas / sizeof *schemas };

static struct xn_grammar *nth(int i) {
    return i < N_GRAMMARS ? gbnf(grammars[i]) : schema(schemas[i - N_GRAMMARS]);
}

// A walk of at most `steps` tokens; `check`: each mask by brute force. Returns whether it came to an end; the text.
static bool walk(struct words *w, struct xn_masks *m, int steps, bool check, char *text, size_t size) {
    struct xn_grammar_state *s;
    struct xn_error err;
    size_t n = 0;
    bool ended = false;
    uint64_t mask[(MAX_TOKENS + 63) / 64];
    assert_int_equal(xn_grammar_state_new(xn_masks_automaton(m), &s, &err), XN_OK);
    for (int step = 0; step < steps && !ended; step++) {
        assert_int_equal(xn_mask(m, s, mask, &err), XN_OK);
        if (check) check_mask(w, s, mask);
        // Past half the way, single bytes that close things come first, so that walks come to an end.
        size_t pick = 0, allowed = 0;
        for (size_t i = 0; i < w->n; i++)
            if (in(mask, i) && below((uint32_t)++allowed) == 0) pick = i;
        assert_true(allowed > 0);
        for (const char *c = "\"}]"; 2 * step > steps && *c; c++)
            if (in(mask, (unsigned char)*c) && below(3)) pick = (unsigned char)*c;
        if (xn_grammar_state_may_end(s) && (2 * step > steps || below(10) == 0)) pick = w->n - 4;
        assert_true(in(mask, pick));
        if (w->ends[pick]) {
            ended = true;
        } else {
            bool good;
            assert_int_equal(xn_grammar_state_accept(s, w->tokens[pick].data, w->tokens[pick].size, &good, &err),
                             XN_OK);
            assert_true(good);
            if (n + w->tokens[pick].size >= size) break;
            memcpy(text + n, w->tokens[pick].data, w->tokens[pick].size);
            n += w->tokens[pick].size;
        }
    }
    text[n] = 0;
    xn_grammar_state_free(s);
    return ended;
}

static void masks_are_what_the_automaton_takes(void **state) {
    (void)state;
    static char text[1 << 16];
    struct xn_error err;
    int tidied = 0;
    for (int round = 0; round < 3; round++) {
        struct words *w = draw_words();
        for (int i = 0; i < N_GRAMMARS + N_SCHEMAS; i++) {
            struct xn_grammar *g = nth(i);
            struct xn_masks *m;
            assert_int_equal(xn_masks_new(g, w->tree, &m, &err), XN_OK);
            if (round == 1) assert_int_equal(xn_masks_warm(m, 10, &err), XN_OK);
            if (round == 2) xn_masks_automaton(m)->tidy_at = 2000; // numbers change all the time
            for (int k = 0; k < (round == 2 ? 2 : 6); k++)
                walk(w, m, 24, true, text, sizeof text);
            if (round == 2) tidied += xn_masks_automaton(m)->epoch > 5;
            xn_masks_free(m);
            xn_grammar_free(g);
        }
        free_words(w);
    }
    assert_true(tidied >= 8);
}

// What the walks make parses. With XENON_GRAMMAR_WALKS in the environment they are written there, a schema and a text a
// line, for tests/grammar/cases_test.py to validate.
static void walks_end_in_json(void **state) {
    (void)state;
    static char text[1 << 16];
    const char *path = getenv("XENON_GRAMMAR_WALKS");
    FILE *file = path ? fopen(path, "w") : NULL;
    json_error_t where;
    struct xn_error err;
    struct words *w = draw_words();
    char cases[512];
    snprintf(cases, sizeof cases, "%s/tests/grammar/cases.json", getenv("XENON_SOURCE"));
    json_t *all = json_load_file(cases, 0, &where);
    assert_non_null(all);
    const size_t n = json_array_size(all) + N_SCHEMAS;
    unsigned ended = 0;
    for (size_t i = 0; i < n; i++) {
        char *name = i < N_SCHEMAS ? strdup(schemas[i])
                                   : json_dumps(json_object_get(json_array_get(all, i - N_SCHEMAS), "schema"),
                                                JSON_ENCODE_ANY | JSON_COMPACT);
        struct xn_grammar *g = schema(name);
        struct xn_masks *m;
        assert_int_equal(xn_masks_new(g, w->tree, &m, &err), XN_OK);
        for (int k = 0; k < 30; k++) {
            if (!walk(w, m, 60, false, text, sizeof text)) continue;
            json_t *value = json_loads(text, JSON_DECODE_ANY, &where);
            if (!value) fail_msg("%s\n%s\n%s", name, text, where.text);
            json_decref(value);
            ended++;
            for (char *p = text; *p; p++)
                if (*p == '\n') *p = ' '; // white space between tokens: strings hold none
            if (file) fprintf(file, "[%s,%s]\n", name, text);
        }
        xn_masks_free(m);
        xn_grammar_free(g);
        free(name);
    }
    if (file) fclose(file);
    json_decref(all);
    free_words(w);
    printf("%u of %zu walks came to an end\n", ended, 30 * n);
    assert_true(ended > 15 * n);
}

static void logits_outside_are_set_to_minus_infinity(void **state) {
    (void)state;
    float logits[200];
    const uint64_t mask[] = {5, UINT64_C(1) << 63};
    for (int i = 0; i < 200; i++)
        logits[i] = (float)i;
    xn_mask_apply(mask, 2, logits, 199);
    for (int i = 0; i < 200; i++)
        if (i == 0 || i == 2 || i == 127 || i == 199)
            assert_true(logits[i] == (float)i);
        else
            assert_true(isinf(logits[i]) && logits[i] < 0);
}

// ---- real vocabularies

// Of this thread, so that others on the machine don't count.
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// Tokens of a text one by one; the mask before each must hold it. Times are of the mask alone.
struct timing {
    double sum, worst;
    size_t n;
};
static void follow(struct xn_masks *m, const struct xn_tokenizer *t, const char *text, struct timing *timing) {
    struct xn_error err;
    struct xn_ids ids = {0};
    struct xn_grammar_state *s;
    uint64_t *mask = malloc(8 * xn_mask_words(m));
    assert_int_equal(xn_grammar_state_new(xn_masks_automaton(m), &s, &err), XN_OK);
    assert_int_equal(xn_tokenize(t, text, strlen(text), 0, &ids, &err), XN_OK);
    for (size_t i = 0; i <= ids.n; i++) {
        const double start = now();
        assert_int_equal(xn_mask(m, s, mask, &err), XN_OK);
        const double took = now() - start;
        timing->sum += took;
        timing->worst = took > timing->worst ? took : timing->worst;
        timing->n++;
        if (i == ids.n) break;
        struct xn_text bytes = {0};
        bool good;
        assert_int_equal(xn_token_append_bytes(t, ids.data[i], &bytes, &err), XN_OK);
        // SentencePiece puts a blank in front of a text.
        const size_t skip = i == 0 && bytes.size && bytes.data[0] == ' ' && text[0] != ' ';
        if (!skip && !in(mask, (size_t)ids.data[i])) fail_msg("token %zu of %s is left out", i, text);
        assert_int_equal(xn_grammar_state_accept(s, bytes.data + skip, bytes.size - skip, &good, &err), XN_OK);
        assert_true(good);
        free(bytes.data);
    }
    assert_true(xn_grammar_state_may_end(s));
    xn_grammar_state_free(s);
    free(ids.data);
    free(mask);
}

static const char *const person =
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"age\":{\"type\":\"integer\",\"minimum\":0,"
    "\"maximum\":150},\"bio\":{\"type\":\"string\",\"maxLength\":400},\"tags\":{\"type\":\"array\",\"items\":{\"type\":"
    "\"string\"}},\"friends\":{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}},\"required\":[\"name\",\"age\"],"
    "\"additionalProperties\":false}";
static const char *const person_text =
    "{\"name\": \"Zo\xc3\xab \xe2\x80\x9cZ\xe2\x80\x9d O'Neil\", \"age\": 42, \"bio\": \"Born in 1982; \\\"writes\\\" "
    "about trains, "
    "clocks\\nand the sea. Lives with a cat in a house that she built herself, over many summers.\", \"tags\": [\"a\", "
    "\"b c\", \"\xe6\x97\xa5\xe6\x9c\xac\"], \"friends\": [{\"name\": \"Al\", \"age\": 7, \"friends\": "
    "[{\"name\":\"Bo\",\"age\":9,"
    "\"tags\":[\"x\"]},{\"name\":\"Cy\",\"age\":19}]}]}";
static const char *const json_gbnf =
    "root ::= object\nvalue ::= object | array | string | number | \"true\" | \"false\" | \"null\"\n"
    "object ::= \"{\" ws ( string \":\" ws value (\",\" ws string \":\" ws value)* )? ws \"}\"\n"
    "array ::= \"[\" ws ( value (\",\" ws value)* )? ws \"]\"\n"
    "string ::= \"\\\"\" ( [^\"\\\\\\x00-\\x1F] | \"\\\\\" ([\"\\\\bfnrt/] | \"u\" [0-9a-fA-F]{4}) )* \"\\\"\"\n"
    "number ::= \"-\"? ([0-9] | [1-9] [0-9]{0,15}) (\".\" [0-9]+)? ([eE] [-+]? [0-9]{1,3})?\n"
    "ws ::= | \" \" | \"\\n\" [ \\t]{0,20}\n";
static const char *const prose_gbnf =
    "root ::= line+\nline ::= word (\" \" word)* [.!?]? \"\\n\"\nword ::= [A-Za-z',;0-9-]+\n";

static void real_vocabularies(void **state) {
    (void)state;
    static const char *const names[] = {"qwen2_5", "llama3.2", "gguf/ggml-vocab-phi-3.gguf"};
    const char *shared = getenv("XENON_SHARED");
    char path[512];
    int found = 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct xn_gguf *gguf = NULL;
        struct xn_tokenizer *t;
        struct xn_token_tree *tree;
        struct xn_error err;
        const bool is_gguf = strstr(names[i], ".gguf");
        snprintf(path, sizeof path, "%s/text/vocab/%s%s", shared ? shared : "", names[i],
                 is_gguf ? "" : "/tokenizer.json");
        if (!xn_file_exists(path)) continue;
        found++;
        int status = is_gguf ? xn_gguf_open(path, &gguf, &err) : xn_tokenizer_from_json(path, NULL, &t, &err);
        if (status == XN_OK && is_gguf) status = xn_tokenizer_from_gguf(gguf, &t, &err);
        if (status != XN_OK) fail_msg("%s", err.message);
        double start = now();
        assert_int_equal(xn_token_tree_of(t, &tree, &err), XN_OK);
        printf("%s: %d tokens, tree in %.0f ms\n", names[i], xn_tokenizer_size(t), 1e3 * (now() - start));
        const struct {
            const char *name, *text;
            struct xn_grammar *g;
        } cases[] = {
            {"schema", person_text, schema(person)},
            {"json_object", person_text, schema("{\"type\":\"object\"}")},
            {"JSON in GBNF", person_text, gbnf(json_gbnf)},
            {"prose in GBNF",
             "It was late, and the 2 trains had gone.\nNobody came; we waited, as ever, until morning.\n",
             gbnf(prose_gbnf)},
        };
        for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
            struct xn_masks *m;
            struct timing cold = {0}, states = {0}, warm = {0};
            assert_int_equal(xn_masks_new(cases[k].g, tree, &m, &err), XN_OK);
            follow(m, t, cases[k].text, &cold);
            xn_masks_free(m);
            // Warmed: what stands by state is there, what stands by place is not.
            assert_int_equal(xn_masks_new(cases[k].g, tree, &m, &err), XN_OK);
            start = now();
            assert_int_equal(xn_masks_warm(m, 20, &err), XN_OK);
            const double warming = now() - start;
            follow(m, t, cases[k].text, &states);
            follow(m, t, cases[k].text, &warm);
            printf("  %-13s %3zu masks; cold mean %.3f worst %.3f ms; warming %.0f ms, then mean %.3f worst %.3f ms; "
                   "again mean %.4f worst %.4f ms\n",
                   cases[k].name, cold.n, 1e3 * cold.sum / (double)cold.n, 1e3 * cold.worst, 1e3 * warming,
                   1e3 * states.sum / (double)states.n, 1e3 * states.worst, 1e3 * warm.sum / (double)warm.n,
                   1e3 * warm.worst);
#ifndef __SANITIZE_ADDRESS__                                   // which slows it down
            assert_true(states.sum < 3e-4 * (double)states.n); // the target, on the machine of docs/grammars.md
#endif
            xn_masks_free(m);
            xn_grammar_free(cases[k].g);
        }
        xn_token_tree_free(tree);
        xn_tokenizer_free(t);
        xn_gguf_close(gguf);
    }
    if (!found) skip();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_are_what_the_automaton_takes),
        cmocka_unit_test(walks_end_in_json),
        cmocka_unit_test(logits_outside_are_set_to_minus_infinity),
        cmocka_unit_test(real_vocabularies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
