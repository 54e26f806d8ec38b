// xenon serve: the server, from its options to its end.
#include "cli/serve.h"
#include "base/memory.h"
#include "cli/progress.h"
#include "server/completion.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

struct serve {
    const struct xn_serve_options *options;
    struct xn_serve_secrets secrets;
    struct xn_serve_log log;
    struct xn_sampling_held sampling;
    struct xn_server server;
    sigset_t signals, before;
    int signal_fd, ready_fd;
    atomic_bool ending; // loading is to end
    pthread_t loader;
    bool loading;
    int load_status;
    struct xn_error load_error;
};

// --- options to what the server takes

static int report_progress(void *user, const char *what, uint64_t done, uint64_t total) {
    const struct serve *s = user;
    if (atomic_load(&s->ending)) return 1;
    return xn_progress_report(xn_progress_line(), what, done, total);
}

static int create_models(struct serve *s, char **arguments, size_t n, struct xn_error *err) {
    const struct xn_serve_options *o = s->options;
    XN_TRY(xn_sampling_options_read(&o->sampling, &s->sampling, err));
    if (o->sampling.seed < 0) s->sampling.sampling.seed = 0; // each request its own
    const struct xn_strings *breakers = &o->sampling.breakers;
    bool none = breakers->n == 1 && strcmp(breakers->items[0], "none") == 0;
    XN_TRY(xn_metrics_create(&s->server.metrics, err));
    s->log.metrics = s->server.metrics;
    struct xn_models_options options = {
        .choice = xn_loaded_choice(&o->model),
        .serving = {.context = {.context = o->context ? (uint32_t)o->context : 16384,
                                .batch = (uint32_t)o->batch,
                                .sequences = (uint32_t)o->slots,
                                .cache_type = xn_cache_type(&o->model),
                                .checkpoints = (int32_t)o->checkpoints},
                    .cache_ram = (uint64_t)o->cache_ram << 20,
                    .queue = (uint32_t)o->queue,
                    .most = (uint32_t)o->most},
        .trained = !o->context && !o->most,
        .sampling = s->sampling.sampling,
        .breakers = breakers->items,
        .n_breakers = none ? 0 : breakers->n,
        .no_breakers = none,
        .idle = o->idle,
        .most = (uint32_t)o->models_most,
        .bytes = (uint64_t)(o->models_gb * 1e9),
        .metrics = s->server.metrics,
        .progress = {.report = report_progress, .user = s},
        .told = xn_serve_log_model,
        .user = &s->log,
    };
    XN_TRY(xn_models_create(&options, &s->server.models, err));
    return xn_serve_models(o, arguments, n, s->server.models, err);
}

static bool is_loopback(const char *host) {
    return strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0 || strcasecmp(host, "localhost") == 0;
}

static int start_http(struct serve *s, struct xn_error *err) {
    const struct xn_serve_options *o = s->options;
    XN_TRY(xn_serve_secrets_read(o, &s->secrets, err));
    s->server.started = (int64_t)time(NULL);
    s->server.keys = s->secrets.n_keys > 0;
    s->server.read_only = o->read_only;
    struct xn_http_options options = {
        .host = o->host,
        .port = (uint16_t)o->port,
        .tables = xn_server_routes,
        .server = &s->server,
        .keys = s->secrets.keys,
        .n_keys = s->secrets.n_keys,
        .certificate = s->secrets.certificate,
        .key = s->secrets.private_key,
        .origins = o->origins.items,
        .n_origins = o->origins.n,
        .own_names = is_loopback(o->host) && !s->secrets.n_keys,
        .body_most = (size_t)o->body_mb << 20,
        .connections = (uint32_t)o->connections,
        .per_address = (uint32_t)o->per_address,
        .queue = (uint32_t)(o->queue + o->slots + 64), // what waits for a slot, has one, or asks for something else
        .header_seconds = o->timeout,
        .body_seconds = o->timeout,
        .write_seconds = o->timeout,
        .log = xn_serve_log_request,
        .user = &s->log,
    };
    return xn_http_start(&options, &s->server.http, err);
}

// --- what systemd wants to know

static void notify(const char *state) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = path ? strlen(path) : 0;
    if (!n || n >= sizeof to.sun_path || (*path != '/' && *path != '@')) return;
    memcpy(to.sun_path, path, n);
    if (*path == '@') to.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to,
           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
    close(fd);
}

// --- running

// Models that are to be there from the start, while requests can already ask (and wait, or look at /health).
static void *load(void *user) {
    struct serve *s = user;
    struct xn_models *models = s->server.models;
    size_t n = s->options->preload ? xn_models_count(models) : 1;
    if (s->options->models_most && n > (size_t)s->options->models_most) n = (size_t)s->options->models_most;
    for (size_t i = 0; i < n && s->load_status == XN_OK; i++) {
        struct xn_model_entry entry;
        struct xn_served *served;
        xn_models_entry(models, i, &entry);
        s->load_status = xn_served_acquire(models, entry.names[0], &served, &s->load_error);
        if (s->load_status == XN_OK) xn_served_release(models, served);
    }
    uint64_t one = 1;
    if (write(s->ready_fd, &one, sizeof one) < 0) return NULL; // an eventfd takes that
    return NULL;
}

static void tell_address(const struct serve *s) {
    const struct xn_serve_options *o = s->options;
    bool v6 = strchr(o->host, ':') != NULL;
    xn_cli_note("listening on %s://%s%s%s:%u", s->secrets.certificate ? "https" : "http", v6 ? "[" : "", o->host,
                v6 ? "]" : "", (unsigned)xn_http_port(s->server.http));
    if (!is_loopback(o->host) && !s->server.keys)
        xn_cli_error("warning: %s can be reached by others, and nobody needs a key (--api-key-file)", o->host);
}

static bool signalled(const struct serve *s, int timeout_ms) {
    struct pollfd wait = {s->signal_fd, POLLIN, 0};
    if (poll(&wait, 1, timeout_ms) <= 0) return false;
    struct signalfd_siginfo info;
    return read(s->signal_fd, &info, sizeof info) == sizeof info;
}

// Until a signal comes, or what was to be loaded can't be.
static int run(struct serve *s) {
    for (;;) {
        struct pollfd wait[] = {{s->signal_fd, POLLIN, 0}, {s->ready_fd, POLLIN, 0}};
        if (poll(wait, 2, -1) < 0 && errno != EINTR) return XN_EXIT_FAILED;
        if (wait[0].revents && signalled(s, 0)) return XN_EXIT_OK;
        uint64_t counted;
        if (!wait[1].revents || read(s->ready_fd, &counted, sizeof counted) < 0) continue;
        if (s->load_status != XN_OK && !atomic_load(&s->ending)) return xn_cli_fail(&s->load_error);
        notify("READY=1");
        xn_cli_note("ready");
    }
}

// Answers that run may end, unless that takes too long or somebody asks again.
static void drain(struct serve *s) {
    notify("STOPPING=1");
    atomic_store(&s->ending, true);
    xn_http_drain(s->server.http);
    uint32_t active = xn_http_active(s->server.http);
    if (active) xn_cli_note("ending: %u request%s still run; once more ends at once", active, active > 1 ? "s" : "");
    for (double left = s->options->drain; left > 0 && xn_http_active(s->server.http); left -= 0.05)
        if (signalled(s, 50)) break;
}

static int serve(struct serve *s, char **arguments, size_t n, struct xn_error *err) {
    int *status = &s->load_status;
    XN_TRY(create_models(s, arguments, n, err));
    s->signal_fd = signalfd(-1, &s->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    s->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->signal_fd < 0 || s->ready_fd < 0) return xn_fail_errno(err, errno, "the server can't wait for signals");
    XN_TRY(start_http(s, err));
    tell_address(s);
    *status = XN_OK;
    s->loading = s->options->preload || xn_models_count(s->server.models) == 1;
    if (s->loading) {
        int failed = pthread_create(&s->loader, NULL, load, s);
        s->loading = !failed;
        if (failed) return xn_fail_errno(err, failed, "no thread that loads");
    } else {
        notify("READY=1");
        xn_cli_note("ready: %zu models, loaded when they are asked for", xn_models_count(s->server.models));
    }
    return XN_OK;
}

static void close_serve(struct serve *s) {
    atomic_store(&s->ending, true);
    xn_http_stop(s->server.http);
    if (s->loading) pthread_join(s->loader, NULL);
    xn_models_free(s->server.models);
    xn_completion_forget_grammars();
    xn_metrics_free(s->server.metrics);
    xn_serve_secrets_free(&s->secrets);
    xn_sampling_held_free(&s->sampling);
    if (s->signal_fd >= 0) close(s->signal_fd);
    if (s->ready_fd >= 0) close(s->ready_fd);
}

static int serve_all(const struct xn_serve_options *o, char **arguments, size_t n) {
    struct serve s = {.options = o, .signal_fd = -1, .ready_fd = -1};
    struct xn_error err;
    s.log.prompts = o->log_prompts;
    s.log.format = strcmp(o->log_format, "json") == 0   ? XN_SERVE_LOG_JSON
                   : strcmp(o->log_format, "none") == 0 ? XN_SERVE_LOG_NONE
                                                        : XN_SERVE_LOG_TEXT;
    xn_loaded_log(&o->model);
    // All threads begin with these blocked: they are read from a descriptor.
    sigemptyset(&s.signals);
    sigaddset(&s.signals, SIGTERM);
    sigaddset(&s.signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &s.signals, &s.before);
    signal(SIGPIPE, SIG_IGN);
    // A connection is a descriptor, and shells give programs few of them.
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    int status = serve(&s, arguments, n, &err), exit_status;
    if (status != XN_OK) {
        exit_status = xn_cli_fail(&err);
    } else {
        exit_status = run(&s);
        drain(&s);
    }
    close_serve(&s);
    return exit_status;
}

int xn_command_serve(int argc, char **argv) {
    struct xn_serve_options o = {
        .model = XN_MODEL_DEFAULTS,
        .sampling = xn_sampling_options_default(),
        .host = "127.0.0.1",
        .port = 8080,
        .slots = 8,
        .queue = 256,
        .cache_ram = 1024,
        .models_most = 4,
        .body_mb = 64,
        .connections = 1024,
        .drain = 30,
        .timeout = 60,
        .log_format = "text",
    };
    const struct xn_option options[] = {
        {0, "host", XN_OPTION_STRING, &o.host, "ADDRESS", "to listen on; 0.0.0.0 or ::: all (127.0.0.1)", 0, 0, NULL},
        {0, "port", XN_OPTION_INT, &o.port, "N", "0: any that is free (8080)", 0, 65535, NULL},
        {0, "api-key", XN_OPTION_LIST, &o.keys, "KEY",
         "clients must name it, or another; may be repeated; also $XENON_API_KEY", 0, 0, NULL},
        {0, "api-key-file", XN_OPTION_STRING, &o.key_file, "FILE", "keys, one a line", 0, 0, NULL},
        {0, "ssl-cert-file", XN_OPTION_STRING, &o.certificate, "FILE", "certificate for TLS (PEM)", 0, 0, NULL},
        {0, "ssl-key-file", XN_OPTION_STRING, &o.private_key, "FILE", "its private key (PEM)", 0, 0, NULL},
        {0, "cors", XN_OPTION_LIST, &o.origins, "ORIGIN",
         "web pages of this origin may ask (https://host), or of all (\"*\"); may be repeated", 0, 0, NULL},
        {'m', "model", XN_OPTION_LIST, &o.models, "MODEL", "one more MODEL", 0, 0, NULL},
        {0, "slots", XN_OPTION_INT, &o.slots, "N", "or -np, --parallel: requests that run at once (8)", 1, 1024, NULL},
        {0, "np", XN_OPTION_INT, &o.slots, "N", "the same", 1, 1024, NULL},
        {0, "parallel", XN_OPTION_INT, &o.slots, "N", "the same", 1, 1024, NULL},
        {'c', "context", XN_OPTION_INT, &o.context, "N",
         "positions of all requests together; 0: 16384, and no request longer than its model was trained for (0)", 0,
         1 << 28, NULL},
        {0, "request-context", XN_OPTION_INT, &o.most, "N", "positions of one request; 0: all that there are (0)", 0,
         1 << 28, NULL},
        {'b', "batch", XN_OPTION_INT, &o.batch, "N", "tokens a step; 0: 512 (0)", 0, 1 << 20, NULL},
        {0, "queue", XN_OPTION_INT, &o.queue, "N", "requests that may wait for a slot; more get 429 (256)", 1, 1 << 20,
         NULL},
        {0, "cache-ram", XN_OPTION_INT, &o.cache_ram, "MB",
         "host memory for prefixes that had to leave the cache; 0: none (1024)", 0, 1 << 30, NULL},
        {0, "checkpoints", XN_OPTION_INT, &o.checkpoints, "N",
         "copies of recurrent states, to go back to; 0: chosen; -1: none (0)", -1, 1 << 20, NULL},
        {'a', "alias", XN_OPTION_LIST, &o.aliases, "NAME",
         "another name of the first model, or ALIAS=NAME of the one called NAME; may be repeated", 0, 0, NULL},
        {0, "models-dir", XN_OPTION_STRING, &o.models_folder, "FOLDER", "all models in it, too", 0, 0, NULL},
        {0, "models-max", XN_OPTION_INT, &o.models_most, "N", "models in memory at once; 0: all (4)", 0, 1 << 20, NULL},
        {0, "models-memory", XN_OPTION_FLOAT, &o.models_gb, "GB", "of files of models in memory at once; 0: any (0)", 0,
         1e6, NULL},
        {0, "idle-timeout", XN_OPTION_FLOAT, &o.idle, "S",
         "seconds without a request after which a model leaves memory; 0: never (0)", 0, 1e9, NULL},
        {0, "preload", XN_OPTION_FLAG, &o.preload, NULL, "load at the start what fits (one model alone always is)", 0,
         0, NULL},
        {0, "read-only", XN_OPTION_FLAG, &o.read_only, NULL, "clients can't load and unload models by name", 0, 0,
         NULL},
        {0, "max-body", XN_OPTION_INT, &o.body_mb, "MB", "of a request (64)", 1, 4096, NULL},
        {0, "connections", XN_OPTION_INT, &o.connections, "N", "open at once (1024)", 1, 1 << 20, NULL},
        {0, "connections-per-address", XN_OPTION_INT, &o.per_address, "N", "of one client; 0: any number (0)", 0,
         1 << 20, NULL},
        {0, "timeout", XN_OPTION_FLOAT, &o.timeout, "S",
         "seconds for a request's headers, for its body, and without a byte read by the client (60)", 1, 1e6, NULL},
        {0, "drain-timeout", XN_OPTION_FLOAT, &o.drain, "S",
         "seconds that running answers get on SIGTERM or Ctrl-C; a second one ends at once (30)", 0, 1e6, NULL},
        {0, "log-format", XN_OPTION_CHOICE, &o.log_format, "FORMAT",
         "a line a request on stderr: text, json, none (text)", 0, 0, "text json none"},
        {0, "log-prompts", XN_OPTION_FLAG, &o.log_prompts, NULL, "the bodies of requests, too", 0, 0, NULL},
        XN_SAMPLING_OPTIONS(o.sampling),
        XN_MODEL_OPTIONS(o.model, "auto"),
        XN_OPTIONS_END,
    };
    const struct xn_usage usage = {
        .command = "serve",
        .synopsis = "[[NAME=]MODEL...] [options]",
        .about =
            "Answers requests over HTTP, many at once: the APIs of OpenAI (/v1/chat/completions, ...), Anthropic\n"
            "(/v1/messages), Ollama (/api/chat, ...) and llama-server (/completion, ...), a page to chat at / and\n"
            "one that shows what runs at /dashboard. Settings of sampling are what requests begin with.\n"
            "Each MODEL is a GGUF file or a Hugging Face folder, called by its file's name or NAME; several are\n"
            "loaded when they are first asked for. Without any: the default model, as `xenon run` finds it.\n"
            "docs/serving.md tells the rest.",
        .options = options,
        .min_arguments = 0,
        .max_arguments = 256,
        .examples = "  xenon serve                                   the default model on http://127.0.0.1:8080\n"
                    "  xenon serve qwen3-8b.gguf -np 16 -c 65536 --device gpu0\n"
                    "  xenon serve chat=qwen3-8b.gguf code=qwen3-coder/ --idle-timeout 600\n"
                    "  xenon serve --models-dir /srv/models --models-max 2\n"
                    "  xenon serve qwen3-8b.gguf --alias gpt-4o --host 0.0.0.0 --api-key-file keys.txt\n"
                    "  xenon serve qwen3-8b.gguf --ssl-cert-file cert.pem --ssl-key-file key.pem --host ::\n"
                    "  curl http://127.0.0.1:8080/v1/chat/completions -d "
                    "'{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}'",
    };
    size_t n;
    int exit_status = xn_options(&usage, argc, argv, &n);
    if (exit_status < 0) exit_status = serve_all(&o, argv + 1, n);
    free(o.models.items);
    free(o.keys.items);
    free(o.aliases.items);
    free(o.origins.items);
    xn_sampling_options_free(&o.sampling);
    return exit_status;
}
