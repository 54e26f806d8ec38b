// The command: finds the subcommand and runs it.
#include "cli/cli.h"
#include "opencl/opencl.h"
#include "xenon/xenon.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct command {
    const char *name, *help;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
#define X(name, help) {#name, help, xn_command_##name},
    XN_COMMANDS(X)
#undef X
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static int help(void) {
    puts("xenon " XENON_VERSION_STRING ": runs large language models\n\n"
         "usage: xenon COMMAND [arguments] [options]\n\ncommands:");
    for (size_t i = 0; i < N_COMMANDS; i++)
        printf("  %-12s %s\n", commands[i].name, commands[i].help);
    puts("\noptions:\n"
         "  -h, --help     this text; xenon COMMAND --help has the options of a command, and examples\n"
         "  --version      the version\n\n"
         "environment:\n"
         "  XENON_CPU            the device where --device is not given: reference, c, avx2, avx2vnni, avx512, "
         "avx512vnni, amx\n"
         "  XENON_DEFAULT_MODEL  the model of `xenon run` where none is named\n"
         "  XENON_KERNELS        folder of kernels that `xenon compile` built, in which GPUs look besides their own\n\n"
         "A MODEL is a GGUF file or a Hugging Face folder. Exit status: 0 done, 1 failed, 2 wrong usage.");
    return XN_EXIT_OK;
}

static int unknown(const char *word) {
    const char *names[N_COMMANDS];
    for (size_t i = 0; i < N_COMMANDS; i++)
        names[i] = commands[i].name;
    const char *nearest = xn_nearest_name(word, names, N_COMMANDS);
    xn_cli_error("unknown %s \"%s\"%s%s%s (see xenon --help)", word[0] == '-' ? "option" : "command", word,
                 nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
    return XN_EXIT_USAGE;
}

static int run(int argc, char **argv) {
    if (argc < 2) {
        xn_cli_error("no command (see xenon --help)");
        return XN_EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0) {
        puts("xenon " XENON_VERSION_STRING);
        return XN_EXIT_OK;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) return help();
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(word, commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
    return unknown(word);
}

int main(int argc, char **argv) {
    int status = xn_cli_finish(run(argc, argv));
    if (!xn_opencl_has_lost()) return status;
    fflush(stderr);
    _exit(status); // drivers wait for their devices as a process ends
}
