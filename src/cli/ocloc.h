// Intel's offline compiler, run as a program.
#pragma once

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

// A folder for one run of the compiler after the other.
struct xn_ocloc {
    char *program; // of the user's PATH
    char *folder;
    bool plain; // it knows one format of binaries alone, and no option to choose it
};
// Errors: there is no ocloc in PATH (XN_ERR_UNSUPPORTED, with where to get it), no place for a folder.
int xn_ocloc_open(struct xn_ocloc *ocloc, struct xn_error *err);
void xn_ocloc_close(struct xn_ocloc *ocloc); // removes the folder; also of one that did not open

// Compiles a source for one of ocloc's devices. *binary: free(). What ocloc says of a source that it rejects is in the
// message; XN_ERR_CANCELLED where Ctrl-C ended it.
int xn_ocloc_compile(struct xn_ocloc *ocloc, const char *source, const char *device, const char *options, char **binary,
                     size_t *size, struct xn_error *err);
