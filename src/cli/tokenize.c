// xenon tokenize: text to token ids, and back.
#include "api/stop.h"
#include "base/file.h"
#include "base/memory.h"
#include "cli/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_BYTES = 1 << 30, CONFIG_BYTES = 1 << 26 };

// A tokenizer with the file that it may point into.
struct opened {
    struct xn_gguf *gguf;
    struct xn_tokenizer *tokenizer;
};

// tokenizer.json with the tokenizer_config.json of its folder, if one is there.
static int open_json(const char *path, const char *config_path, struct opened *o, struct xn_error *err) {
    json_t *config = NULL;
    if (config_path && xn_file_exists(config_path)) XN_TRY(xn_json_file(config_path, CONFIG_BYTES, &config, err));
    int status = xn_tokenizer_from_json(path, config, &o->tokenizer, err);
    json_decref(config);
    return status;
}

// A tokenizer of a folder, a tokenizer.json or a GGUF file; the model's tensors are not needed.
static int open_tokenizer(const char *path, struct opened *o, struct xn_error *err) {
    size_t n = strlen(path);
    char *json = NULL, *config = NULL;
    bool folder = xn_is_directory(path);
    if (folder || (n > 5 && strcmp(path + n - 5, ".json") == 0)) {
        const char *slash = strrchr(path, '/');
        char *parent = folder ? xn_strdup(path) : slash ? xn_strndup(path, (size_t)(slash - path) + 1) : xn_strdup(".");
        json = folder ? xn_path_join(path, "tokenizer.json") : xn_strdup(path);
        config = parent ? xn_path_join(parent, "tokenizer_config.json") : NULL;
        int status = json ? open_json(json, config, o, err) : xn_fail(err, XN_ERR_NOMEM, "%s: out of memory", path);
        free(parent);
        free(json);
        free(config);
        return status;
    }
    XN_TRY(xn_gguf_open(path, &o->gguf, err));
    return xn_tokenizer_from_gguf(o->gguf, &o->tokenizer, err);
}

static void close_tokenizer(struct opened *o) {
    xn_tokenizer_free(o->tokenizer);
    xn_gguf_close(o->gguf);
}

static void print_ids(const struct xn_ids *ids, char separator) {
    for (size_t i = 0; i < ids->n; i++) {
        if (i) putchar(separator);
        printf("%" PRId32, ids->data[i]);
    }
}

static int check_id(const struct xn_tokenizer *t, json_int_t id, struct xn_error *err) {
    if (id >= 0 && id < xn_tokenizer_size(t)) return XN_OK;
    return xn_fail(err, XN_ERR_ARGUMENT, "id %" JSON_INTEGER_FORMAT ": the vocabulary has 0 to %" PRId32, id,
                   xn_tokenizer_size(t) - 1);
}

// --- whole input ---

static int read_all(struct xn_text *text, struct xn_error *err) {
    char part[65536];
    size_t n;
    while ((n = fread(part, 1, sizeof part, stdin)) > 0) {
        if (text->size + n > INPUT_BYTES)
            return xn_fail(err, XN_ERR_LIMIT, "standard input: more than %d bytes", INPUT_BYTES);
        XN_TRY(xn_text_put(text, part, n, err));
    }
    return ferror(stdin) ? xn_fail_errno(err, errno, "standard input") : xn_text_put(text, "", 0, err);
}

static int encode_all(const struct xn_tokenizer *t, int flags, struct xn_error *err) {
    struct xn_text text = {0};
    struct xn_ids ids = {0};
    int status = read_all(&text, err);
    if (status == XN_OK) status = xn_tokenize(t, text.data, text.size, flags, &ids, err);
    if (status == XN_OK) {
        print_ids(&ids, ' ');
        putchar('\n');
    }
    free(text.data);
    free(ids.data);
    return status;
}

static int decode_numbers(const struct xn_tokenizer *t, const char *p, bool special, struct xn_text *out,
                          struct xn_error *err) {
    struct xn_detokenizer d;
    xn_detokenizer_init(&d, t, special);
    for (;;) {
        p += strspn(p, " \t\r\n,[]");
        if (!*p) break;
        char *end;
        errno = 0;
        long long id = strtoll(p, &end, 10);
        if (end == p || errno) return xn_fail(err, XN_ERR_FORMAT, "standard input: \"%.20s\" is no token id", p);
        XN_TRY(check_id(t, id, err));
        XN_TRY(xn_detokenize(&d, (int32_t)id, out, err));
        p = end;
    }
    return xn_detokenize_end(&d, out, err);
}

static int decode_all(const struct xn_tokenizer *t, bool special, struct xn_error *err) {
    struct xn_text in = {0}, out = {0};
    int status = read_all(&in, err);
    if (status == XN_OK) status = decode_numbers(t, in.data, special, &out, err);
    if (status == XN_OK) fwrite(out.data, 1, out.size, stdout);
    free(in.data);
    free(out.data);
    return status;
}

// --- JSON Lines ---

static int hex_digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static int unhex(const char *hex, size_t size, struct xn_text *out, struct xn_error *err) {
    for (size_t i = 0; i < size; i += 2) {
        int high = hex_digit(hex[i]), low = i + 1 < size ? hex_digit(hex[i + 1]) : -1;
        if (high < 0 || low < 0) return xn_fail(err, XN_ERR_FORMAT, "key \"hex\": no pairs of hexadecimal digits");
        char byte = (char)(high << 4 | low);
        XN_TRY(xn_text_put(out, &byte, 1, err));
    }
    return XN_OK;
}

static int encode_line(const struct xn_tokenizer *t, const json_t *line, int flags, struct xn_error *err) {
    const json_t *text = json_object_get(line, "text"), *hex = json_object_get(line, "hex"),
                 *special = json_object_get(line, "parse_special");
    struct xn_text bytes = {0};
    struct xn_ids ids = {0};
    int status = XN_OK;
    if (special) flags = json_is_true(special) ? flags | XN_TOKENIZE_SPECIAL : flags & ~XN_TOKENIZE_SPECIAL;
    if (json_is_string(text))
        status = xn_text_put(&bytes, json_string_value(text), json_string_length(text), err);
    else if (json_is_string(hex))
        status = unhex(json_string_value(hex), json_string_length(hex), &bytes, err);
    else
        status = xn_fail(err, XN_ERR_FORMAT, "expected {\"text\": ...} or {\"hex\": ...}");
    if (status == XN_OK) status = xn_tokenize(t, bytes.data ? bytes.data : "", bytes.size, flags, &ids, err);
    if (status == XN_OK) {
        fputs("{\"ids\":[", stdout);
        print_ids(&ids, ',');
        fputs("]}\n", stdout);
    }
    free(bytes.data);
    free(ids.data);
    return status;
}

static json_t *bytes_json(const struct xn_text *bytes) {
    json_t *text = json_stringn(bytes->data ? bytes->data : "", bytes->size);
    if (text) return json_pack("{s:o}", "text", text);
    char *hex = xn_alloc(bytes->size, 2);
    if (!hex) return NULL;
    for (size_t i = 0; i < bytes->size; i++) {
        hex[2 * i] = "0123456789abcdef"[(unsigned char)bytes->data[i] >> 4];
        hex[2 * i + 1] = "0123456789abcdef"[(unsigned char)bytes->data[i] & 15];
    }
    json_t *value = json_stringn(hex, 2 * bytes->size);
    free(hex);
    return json_pack("{s:o}", "hex", value);
}

static int decode_line(const struct xn_tokenizer *t, const json_t *line, bool special, struct xn_error *err) {
    const json_t *ids = json_object_get(line, "ids"), *id;
    struct xn_detokenizer d;
    struct xn_text out = {0};
    size_t i;
    if (!json_is_array(ids)) return xn_fail(err, XN_ERR_FORMAT, "expected {\"ids\": [...]}");
    xn_detokenizer_init(&d, t, special);
    int status = XN_OK;
    json_array_foreach(ids, i, id) {
        if (!json_is_integer(id)) status = xn_fail(err, XN_ERR_FORMAT, "key \"ids\": element %zu is no integer", i);
        if (status == XN_OK) status = check_id(t, json_integer_value(id), err);
        if (status == XN_OK) status = xn_detokenize(&d, (int32_t)json_integer_value(id), &out, err);
        if (status != XN_OK) break;
    }
    if (status == XN_OK) status = xn_detokenize_end(&d, &out, err);
    if (status == XN_OK) xn_cli_print_json(bytes_json(&out));
    free(out.data);
    return status;
}

static int each_line(const struct xn_tokenizer *t, bool decode, int flags, struct xn_error *err) {
    char *line = NULL;
    size_t capacity = 0, number = 0;
    ssize_t n;
    int status = XN_OK;
    while (status == XN_OK && (n = getline(&line, &capacity, stdin)) >= 0) {
        number++;
        if (line[strspn(line, " \t\r\n")] == 0) continue;
        json_error_t error;
        json_t *value = json_loadb(line, (size_t)n, JSON_ALLOW_NUL, &error);
        if (!value)
            status = xn_fail(err, XN_ERR_FORMAT, "%s (column %d)", error.text, error.column);
        else if (decode)
            status = decode_line(t, value, flags & XN_TOKENIZE_SPECIAL, err);
        else
            status = encode_line(t, value, flags, err);
        json_decref(value);
        if (status != XN_OK) status = xn_error_context(err, status, "standard input, line %zu", number);
    }
    free(line);
    return status;
}

int xn_command_tokenize(int argc, char **argv) {
    bool special = false, jsonl = false, decode = false, bos = false;
    const struct xn_option options[] = {
        {'s', "special", XN_OPTION_FLAG, &special, NULL,
         "special tokens written in the text become their ids; with --decode: are shown", 0, 0, NULL},
        {0, "bos", XN_OPTION_FLAG, &bos, NULL, "add BOS and EOS where the model wants them", 0, 0, NULL},
        {'d', "decode", XN_OPTION_FLAG, &decode, NULL, "ids to text", 0, 0, NULL},
        {'j', "jsonl", XN_OPTION_FLAG, &jsonl, NULL, "one JSON object a line, in and out", 0, 0, NULL},
        XN_OPTIONS_END,
    };
    const struct xn_usage usage = {
        .command = "tokenize",
        .synopsis = "MODEL [options] < TEXT",
        .about =
            "Turns standard input into token ids, on one line; with --decode, ids (separated by blanks) into text.\n"
            "MODEL is a GGUF file, a Hugging Face folder or a tokenizer.json. With --jsonl each line\n"
            "{\"text\": ..., \"parse_special\": true} (or \"hex\" for bytes that are no UTF-8) becomes {\"ids\": "
            "[...]},\n"
            "and with --decode each {\"ids\": [...]} becomes {\"text\": ...} (or {\"hex\": ...}).",
        .options = options,
        .min_arguments = 1,
        .max_arguments = 1,
        .examples = "  printf 'Hello world' | xenon tokenize model.gguf\n"
                    "  echo 9707 1879 | xenon tokenize model.gguf --decode",
    };
    size_t n;
    int exit_status = xn_options(&usage, argc, argv, &n);
    if (exit_status >= 0) return exit_status;
    struct opened opened = {0};
    struct xn_error err;
    int flags = (special ? XN_TOKENIZE_SPECIAL : 0) | (bos ? XN_TOKENIZE_BOS_EOS : 0);
    int status = open_tokenizer(argv[1], &opened, &err);
    if (status == XN_OK && jsonl)
        status = each_line(opened.tokenizer, decode, flags, &err);
    else if (status == XN_OK)
        status = decode ? decode_all(opened.tokenizer, special, &err) : encode_all(opened.tokenizer, flags, &err);
    close_tokenizer(&opened);
    return status == XN_OK ? XN_EXIT_OK : xn_cli_fail(&err);
}
