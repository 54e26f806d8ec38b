// The programs for NVIDIA's GPUs, which no machine here builds: that clang reads them as OpenCL C. What becomes of
// their inline PTX only a GPU's driver says.
#include "opencl/program.h"

#include "quant/format.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { SKIPPED = 77 };
static char path[] = "/tmp/xenon-nvidia-XXXXXX";

// Of a program; fails the test with what clang says.
static void check(const struct xn_cl_program_key *key, const char *what) {
    char options[XN_CL_OPTIONS], command[512], line[256] = "";
    struct xn_cl_digest digest;
    char *text = xn_cl_program_text(key, XN_CL_NVIDIA, false, &digest, options);
    assert_non_null(text);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    free(text);
    snprintf(command, sizeof command,
             "clang-14 -x cl -cl-std=CL1.2 -Xclang -finclude-default-header -Xclang -cl-ext=+all -target "
             "nvptx64-nvidia-nvcl -Dasm=__asm__ -Werror -fsyntax-only %s 2>&1",
             path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    for (char next[sizeof line]; fgets(next, sizeof next, pipe);)
        if (!line[0]) memcpy(line, next, sizeof line);
    int status = pclose(pipe);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("%s, %s: %s", xn_cl_kernel_name(key->kernel), what, line);
}

// Every kernel, in formats that decode in different ways, for as many rows as there are shapes.
static void programs_are_read(void **unused) {
    (void)unused;
    static const uint64_t formats[] = {1u << XN_Q4_K | 1u << XN_Q6_K, 1u << XN_BF16, 1u << XN_F32 | 1u << XN_IQ4_XS};
    for (int kernel = 0; kernel < XN_CL_KERNEL_COUNT; kernel++) {
        unsigned needs = xn_cl_kernel_needs((enum xn_cl_kernel)kernel);
        for (size_t i = 0; i < (needs & XN_CL_DECODERS ? sizeof formats / sizeof *formats : 1); i++)
            for (int shape = 0; shape < (needs & XN_CL_SHAPED ? XN_CL_SHAPES : 1); shape++) {
                struct xn_cl_program_key key = {.kernel = (enum xn_cl_kernel)kernel,
                                                .formats = formats[i],
                                                .cache_type = i == 1 || kernel == XN_CL_KERNEL_STORE ? XN_Q8_0 : XN_F16,
                                                .few_sizes = 1u << 1 | 1u << 2,
                                                .shape = (enum xn_cl_shape)shape};
                if (kernel == XN_CL_KERNEL_WALK && shape == XN_CL_MANY) continue;
                if (kernel == XN_CL_KERNEL_WALK)
                    key.walked = 1u << XN_CL_KERNEL_EMBED | 1u << XN_CL_KERNEL_PROJECT | 1u << XN_CL_KERNEL_ATTEND |
                                 1u << XN_CL_KERNEL_PROJECT_ADD | 1u << XN_CL_KERNEL_GATE | 1u << XN_CL_KERNEL_HEAD |
                                 1u << XN_CL_KERNEL_CONVOLVE | 1u << XN_CL_KERNEL_SCAN_STEP |
                                 1u << XN_CL_KERNEL_CANDIDATES;
                for (int tiles = 0; tiles < (kernel == XN_CL_KERNEL_WALK && shape == XN_CL_FEW ? 2 : 1); tiles++) {
                    key.tiles = tiles;
                    struct xn_cl_program_key of = xn_cl_program_key_of(&key, 0);
                    check(&of, i == 0 ? "Q4_K and Q6_K" : i == 1 ? "BF16" : "F32 and IQ4_XS");
                }
            }
    }
}

int main(void) {
    if (system("clang-14 --version >/dev/null 2>&1") != 0) {
        fprintf(stderr, "skipped: no clang-14\n");
        return SKIPPED;
    }
    int file = mkstemp(path);
    if (file < 0) return 1;
    close(file);
    const struct CMUnitTest tests[] = {cmocka_unit_test(programs_are_read)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
