#include "cli/editor.h"

#include "base/file.h"
#include "base/memory.h"
#include "cli/progress.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

enum { HISTORY_LINES = 1000 };

struct xn_editor {
    EditLine *line;
    History *history;
    char *history_path; // NULL: nowhere
    char *prompt;
    bool continues; // the line being read goes on from the one before
    bool interrupted;
};

static char *show_prompt(EditLine *line) {
    static char more[] = "… ";
    struct xn_editor *e;
    el_get(line, EL_CLIENTDATA, &e);
    return e->continues ? more : e->prompt;
}

// Waits for a byte of input, or for Ctrl-C. As read: 1, 0 at the end, -1.
static ssize_t next_byte(struct xn_editor *e, char *byte) {
    struct pollfd wait[] = {{.fd = xn_interrupt_descriptor(), .events = POLLIN},
                            {.fd = STDIN_FILENO, .events = POLLIN}};
    for (;;) {
        if (poll(wait, 2, -1) < 0) {
            if (errno == EINTR) continue; // a resized window
            return -1;
        }
        if (wait[0].revents) {
            e->interrupted = true;
            return -1;
        }
        ssize_t n = read(STDIN_FILENO, byte, 1);
        if (n >= 0 || errno != EINTR) return n;
    }
}

// Instead of libedit's own reader, which takes an interrupted read up again: here Ctrl-C ends the line. Returns 1 and a
// character, 0 at the end, or -1.
static int read_character(EditLine *line, wchar_t *character) {
    struct xn_editor *e;
    el_get(line, EL_CLIENTDATA, &e);
    mbstate_t state = {0};
    for (;;) {
        char byte;
        ssize_t n = next_byte(e, &byte);
        if (n <= 0) return (int)n;
        size_t used = mbrtowc(character, &byte, 1, &state);
        if (used == (size_t)-2) continue; // more bytes of the character
        if (used == (size_t)-1) *character = L'?';
        if (used == 0) *character = 0;
        return 1;
    }
}

static void keep_history(struct xn_editor *e) {
    HistEvent event;
    if (!e->history_path) return;
    mode_t mask = umask(0077);
    history(e->history, &event, H_SAVE, e->history_path);
    umask(mask);
}

struct xn_editor *xn_editor_open(const char *prompt) {
    // Characters wider than a byte need a locale that has them.
    setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX == 1) setlocale(LC_CTYPE, "C.UTF-8");
    struct xn_editor *e = xn_alloc_zero(1, sizeof *e);
    if (!e) return NULL;
    HistEvent event;
    e->prompt = xn_strdup(prompt);
    e->history = history_init();
    e->line = el_init("xenon", stdin, isatty(STDOUT_FILENO) ? stdout : stderr, stderr);
    if (!e->prompt || !e->history || !e->line) {
        xn_editor_close(e);
        return NULL;
    }
    history(e->history, &event, H_SETSIZE, HISTORY_LINES);
    history(e->history, &event, H_SETUNIQUE, 1);
    e->history_path = xn_user_path("XDG_STATE_HOME", ".local/state", "history");
    if (e->history_path) history(e->history, &event, H_LOAD, e->history_path);
    el_set(e->line, EL_CLIENTDATA, e);
    el_set(e->line, EL_PROMPT, show_prompt);
    el_set(e->line, EL_EDITOR, "emacs");
    el_set(e->line, EL_HIST, history, e->history);
    el_set(e->line, EL_GETCFN, read_character);
    el_set(e->line, EL_BIND, "^R", "em-inc-search-prev", NULL);
    el_source(e->line, NULL); // ~/.editrc
    return e;
}

void xn_editor_close(struct xn_editor *e) {
    if (!e) return;
    if (e->line) el_end(e->line);
    if (e->history) history_end(e->history);
    free(e->history_path);
    free(e->prompt);
    free(e);
}

enum xn_line xn_editor_read(struct xn_editor *e, char **text) {
    char *whole = NULL;
    size_t size = 0, capacity = 0;
    e->continues = e->interrupted = false;
    for (;;) {
        int n = 0;
        // Before the prompt is shown, or what is typed at once, like Ctrl-D, would still be the line discipline's.
        el_set(e->line, EL_PREP_TERM, 1);
        const char *part = el_gets(e->line, &n);
        if (e->interrupted || !part || n <= 0) {
            free(whole);
            if (!e->interrupted) return XN_LINE_END;
            xn_interrupt_reset();
            el_reset(e->line);
            return XN_LINE_INTERRUPTED;
        }
        if (XN_GROW(whole, capacity, size + (size_t)n + 1)) {
            free(whole);
            return XN_LINE_END;
        }
        memcpy(whole + size, part, (size_t)n);
        size += (size_t)n;
        while (size && (whole[size - 1] == '\n' || whole[size - 1] == '\r'))
            size--;
        e->continues = size && whole[size - 1] == '\\';
        if (!e->continues) break;
        whole[size - 1] = '\n';
    }
    whole[size] = 0;
    *text = whole;
    return XN_LINE_TEXT;
}

void xn_editor_remember(struct xn_editor *e, const char *text) {
    HistEvent event;
    if (!*text) return;
    history(e->history, &event, H_ENTER, text);
    keep_history(e);
}
