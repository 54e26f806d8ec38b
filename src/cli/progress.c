#include "cli/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t interrupts;
static int interrupt_pipe[2] = {-1, -1}; // a byte in it: interrupted

static void on_interrupt(int signal_number) {
    int saved = errno;
    ssize_t written = write(interrupt_pipe[1], "", 1); // a full pipe says the same
    (void)written;
    errno = saved;
    if (interrupts++) {
        // The second one, while the first is not yet obeyed: end as if it had never been caught.
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
}

void xn_interrupt_catch(void) {
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    if (interrupt_pipe[0] < 0 && pipe2(interrupt_pipe, O_CLOEXEC | O_NONBLOCK) != 0) return; // Ctrl-C ends the program
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
}

bool xn_interrupted(void) {
    return interrupts != 0;
}

int xn_interrupt_descriptor(void) {
    return interrupt_pipe[0];
}

void xn_interrupt_reset(void) {
    char bytes[16];
    while (read(interrupt_pipe[0], bytes, sizeof bytes) > 0)
        ;
    interrupts = 0;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// The one line that stands on the terminal.
static struct {
    char what[64];
    uint64_t done, first; // `first`: where the piece of work began
    double begun, drawn;
    bool stands;
} line;

void xn_progress_clear(void) {
    if (!line.stands) return;
    fputs("\r\033[K", stderr);
    line.stands = false;
}

static void put_time(char *text, size_t size, double seconds) {
    unsigned long s = (unsigned long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, size, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, size, "%lu:%02lu", s / 60, s % 60);
}

// Work that is counted in bytes: whatever reads, packs or writes files.
static bool counts_bytes(const char *what) {
    static const char *const words[] = {"load", "pack", "writ", "read"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(what, words[i], 4) == 0) return true;
    return false;
}

// What other work counts.
static const char *unit_of(const char *what) {
    return strncmp(what, "check", 5) == 0 ? "cases" : strncmp(what, "build", 5) == 0 ? "kernels" : "tokens";
}

static void format_from(char *text, size_t size, const char *what, uint64_t first, uint64_t done, uint64_t total,
                        double seconds) {
    char rate[48] = "", left[40] = "";
    double per_second = seconds > 0 ? (double)(done - first) / seconds : 0;
    if (per_second > 0) {
        if (counts_bytes(what))
            snprintf(rate, sizeof rate, ", %.2f GB/s", per_second / 1e9);
        else
            snprintf(rate, sizeof rate, ", %.1f %s/s", per_second, unit_of(what));
        double rest = (double)(total - done) / per_second;
        if (rest < 1e6) {
            char clock[32];
            put_time(clock, sizeof clock, rest);
            snprintf(left, sizeof left, ", %s left", clock);
        }
    }
    snprintf(text, size, "%s %3.0f%%%s%s", what, total ? 100.0 * (double)done / (double)total : 100.0, rate, left);
}

void xn_progress_format(char *text, size_t size, const char *what, uint64_t done, uint64_t total, double seconds) {
    format_from(text, size, what, 0, done, total, seconds);
}

static int report(void *user, const char *what, uint64_t done, uint64_t total) {
    (void)user;
    if (xn_interrupted()) return 1;
    if (!isatty(STDERR_FILENO)) return 0;
    double t = now();
    if (strncmp(line.what, what, sizeof line.what - 1) != 0 || done < line.done) {
        snprintf(line.what, sizeof line.what, "%s", what);
        line.first = done;
        line.begun = line.drawn = t;
    }
    line.done = done;
    if (done >= total) {
        xn_progress_clear();
        line.what[0] = 0;
    } else if (t - line.drawn > 0.1) {
        char text[160];
        format_from(text, sizeof text, line.what, line.first, done, total, t - line.begun);
        fprintf(stderr, "\r%s\033[K", text);
        fflush(stderr);
        line.drawn = t;
        line.stands = true;
    }
    return 0;
}

const struct xn_progress *xn_progress_line(void) {
    static const struct xn_progress progress = {report, NULL};
    return &progress;
}
