// Models on disk: which files of a folder count, and every model of the shared data.
#include "format/source.h"

#include "base/file.h"
#include "base/memory.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/xenon-source-test-XXXXXX";

static void expect_ok(int status, const struct xn_error *err) {
    if (status != XN_OK) fail_msg("%s", err->message);
}

static void put(const char *name, const char *text, size_t size) {
    char *path = xn_path_join(folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, size, f), size);
    fclose(f);
    free(path);
}

static void put_text(const char *name, const char *text) {
    put(name, text, strlen(text));
}

// One I8 tensor of four, called `name` (of one letter).
static void put_weights(const char *file, const char *name) {
    char data[128];
    int n = snprintf(data + 8, sizeof data - 8, "{\"%s\":{\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]}}abcd",
                     name);
    uint64_t header = (uint64_t)n - 4;
    memcpy(data, &header, 8);
    put(file, data, (size_t)n + 8);
}

static void drop(const char *name) {
    char *path = xn_path_join(folder, name);
    unlink(path);
    free(path);
}

static void drop_all(void) {
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.') drop(entry->d_name);
    closedir(dir);
}

static int open_in_folder(const char *name, struct xn_source **s, struct xn_error *err) {
    char *path = *name ? xn_path_join(folder, name) : xn_strdup(folder);
    int status = xn_source_open(path, s, err);
    free(path);
    return status;
}

static void expect_template(const char *want) {
    struct xn_source *s;
    struct xn_error err;
    expect_ok(open_in_folder("", &s, &err), &err);
    if (want)
        assert_string_equal(s->chat_template, want);
    else
        assert_null(s->chat_template);
    xn_source_close(s);
}

static void expect_error(const char *name, int status, const char *text) {
    struct xn_source *s;
    struct xn_error err;
    int found = open_in_folder(name, &s, &err);
    if (found != status || !strstr(err.message, text))
        fail_msg("status %d: '%s', '%s' expected", found, err.message, text);
    assert_null(s);
}

static void the_parts_of_a_folder_are_found(void **state) {
    (void)state;
    put_text("config.json", "{\"model_type\": \"x\", \"limit\": Infinity}");
    put_weights("model.safetensors", "a");
    struct xn_source *s;
    struct xn_error err;
    expect_ok(open_in_folder("", &s, &err), &err);
    assert_true(s->st && !s->gguf && !s->tokenizer_config && !s->generation_config && !s->tokenizer_path);
    assert_string_equal(s->path, folder);
    double limit;
    assert_true(xn_json_float(json_object_get(s->config, "limit"), &limit) && limit > 1e308);
    xn_source_close(s);
    put_text("tokenizer.json", "{}");
    put_text("tokenizer_config.json", "{\"model_max_length\": 1000000000000000019884624838656}");
    put_text("generation_config.json", "{\"top_k\": 20}");
    char *slash = xn_format("%s/", folder);
    expect_ok(xn_source_open(slash, &s, &err), &err);
    free(slash);
    assert_non_null(strstr(s->tokenizer_path, "/tokenizer.json"));
    assert_int_equal(json_integer_value(json_object_get(s->generation_config, "top_k")), 20);
    assert_true(json_is_real(json_object_get(s->tokenizer_config, "model_max_length")));
    const struct xn_tensor *t;
    expect_ok(xn_source_require(s, "a", &t, &err), &err);
    assert_int_equal(xn_source_n_tensors(s), 1);
    assert_ptr_equal(xn_source_tensor_at(s, 0), t);
    assert_ptr_equal(xn_source_tensor(s, "a"), t);
    assert_memory_equal(t->data, "abcd", 4);
    assert_int_equal(xn_source_require(s, "b", &t, &err), XN_ERR_FORMAT);
    xn_source_close(s);
    put_text("generation_config.json", "[]");
    expect_error("", XN_ERR_FORMAT, "generation_config.json: no JSON object");
    put_text("generation_config.json", "{\"a\": 1, \"a\": 2}");
    expect_error("", XN_ERR_FORMAT, "generation_config.json: line 1");
    drop_all();
}

static void the_chat_template_may_be_in_many_places(void **state) {
    (void)state;
    put_text("config.json", "{}");
    put_weights("model.safetensors", "a");
    expect_template(NULL);
    put_text("tokenizer_config.json", "{\"chat_template\": null}");
    expect_template(NULL);
    put_text("tokenizer_config.json", "{\"chat_template\": \"of the tokenizer\"}");
    expect_template("of the tokenizer");
    put_text("tokenizer_config.json", "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"tools\"},"
                                      "{\"name\": \"default\", \"template\": \"plain\"},"
                                      "{\"name\": \"rag\", \"template\": \"documents\"}]}");
    expect_template("plain");
    put_text("tokenizer_config.json", "{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"tools\"},"
                                      "{\"name\": \"rag\", \"template\": \"documents\"}]}");
    expect_template("tools");
    put_text("tokenizer_config.json", "{\"chat_template\": []}");
    expect_template(NULL);
    put_text("tokenizer_config.json", "{\"chat_template\": [{\"name\": \"default\"}]}");
    expect_error("", XN_ERR_FORMAT, "tokenizer_config.json: chat_template: entry 0 has no name and template");
    put_text("tokenizer_config.json", "{\"chat_template\": 5}");
    expect_error("", XN_ERR_FORMAT, "tokenizer_config.json: chat_template: neither a string nor a list");
    put_text("tokenizer_config.json", "{\"chat_template\": \"a\\u0000b\"}");
    expect_error("", XN_ERR_FORMAT, "tokenizer_config.json: a NUL byte");
    put_text("chat_template.json", "{\"chat_template\": \"of its own file\"}");
    expect_template("of its own file");
    put_text("chat_template.jinja", "jinja\n");
    expect_template("jinja\n");
    put("chat_template.jinja", "a\0b", 3);
    expect_error("", XN_ERR_FORMAT, "chat_template.jinja: a NUL byte");
    drop_all();
}

static void the_weights_may_have_many_names(void **state) {
    (void)state;
    struct xn_source *s;
    struct xn_error err;
    put_text("config.json", "{}");
    expect_error("", XN_ERR_FORMAT, "0 .safetensors files, one");
    put_weights("consolidated.safetensors", "c");
    expect_ok(open_in_folder("", &s, &err), &err);
    assert_non_null(xn_source_tensor(s, "c"));
    xn_source_close(s);
    put_weights("part-1.safetensors", "p");
    expect_error("", XN_ERR_FORMAT, "2 .safetensors files, one");
    put_text("model.safetensors.index.json", "{\"weight_map\": {\"p\": \"part-1.safetensors\"}}");
    static const char *const of_index[] = {"", "part-1.safetensors", "model.safetensors.index.json"};
    for (size_t i = 0; i < 3; i++) { // a shard stands for its set
        expect_ok(open_in_folder(of_index[i], &s, &err), &err);
        assert_non_null(xn_source_tensor(s, "p"));
        assert_null(xn_source_tensor(s, "c"));
        xn_source_close(s);
    }
    expect_ok(open_in_folder("consolidated.safetensors", &s, &err), &err);
    assert_non_null(xn_source_tensor(s, "c"));
    xn_source_close(s);
    put_weights("model.safetensors", "m");
    expect_ok(open_in_folder("", &s, &err), &err);
    assert_non_null(xn_source_tensor(s, "m"));
    xn_source_close(s);
    drop_all();
}

static void what_is_no_model_is_an_error(void **state) {
    (void)state;
    expect_error("", XN_ERR_FORMAT, "no config.json and no .gguf in this folder");
    put_text("b.gguf", "GGUF");
    put_text("a.gguf", "GGUF");
    expect_error("", XN_ERR_FORMAT, "no config.json in this folder; it has a.gguf: name that file");
    expect_error("a.gguf", XN_ERR_FORMAT, "a.gguf: offset 4: the version needs 4 bytes");
    expect_error("absent", XN_ERR_IO, "absent: No such file");
    put_text("config.json", "not JSON");
    expect_error("", XN_ERR_FORMAT, "config.json: line 1");
    put_text("config.json", "[1]");
    expect_error("", XN_ERR_FORMAT, "config.json: no JSON object");
    expect_error("config.json", XN_ERR_FORMAT, "magic");
    drop_all();
}

static void every_shared_model_opens(void **state) {
    (void)state;
    const char *shared = getenv("XENON_SHARED");
    char *models = shared ? xn_path_join(shared, "models") : NULL;
    DIR *dir = models ? opendir(models) : NULL;
    if (!dir) {
        free(models);
        print_message("no ../shared/models: skipped\n");
        skip();
    }
    int folders = 0;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        char *path = xn_path_join(models, entry->d_name), *gguf = xn_path_join(path, "model.gguf");
        if (entry->d_name[0] != '.' && xn_is_directory(path)) {
            struct xn_source *s, *g;
            struct xn_error err;
            expect_ok(xn_source_open(path, &s, &err), &err);
            assert_true(xn_source_n_tensors(s) > 10);
            assert_non_null(s->tokenizer_path);
            assert_non_null(s->chat_template);
            assert_true(json_is_string(json_object_get(s->config, "model_type")));
            if (xn_file_exists(gguf)) {
                expect_ok(xn_source_open(gguf, &g, &err), &err);
                assert_string_equal(g->chat_template, s->chat_template);
                assert_null(g->config);
                // Embeddings are neither permuted nor widened by the conversion: the same bytes in both containers.
                const struct xn_tensor *a = xn_source_tensor(g, "token_embd.weight");
                const struct xn_tensor *b = xn_source_tensor(s, "model.embed_tokens.weight");
                assert_true(a && b);
                assert_true(a->dims[0] == b->dims[0] && a->dims[1] == b->dims[1]);
                if (a->type == b->type) {
                    assert_int_equal(a->bytes, b->bytes);
                    assert_memory_equal(a->data, b->data, a->bytes);
                }
                xn_source_close(g);
            }
            xn_source_close(s);
            folders++;
        }
        free(gguf);
        free(path);
    }
    closedir(dir);
    free(models);
    assert_true(folders >= 29);
}

int main(void) {
    if (!mkdtemp(folder)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_parts_of_a_folder_are_found), cmocka_unit_test(the_chat_template_may_be_in_many_places),
        cmocka_unit_test(the_weights_may_have_many_names), cmocka_unit_test(what_is_no_model_is_an_error),
        cmocka_unit_test(every_shared_model_opens),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    drop_all();
    rmdir(folder);
    return failed;
}
