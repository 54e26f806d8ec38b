// Line editing with history at the terminal (libedit).
#pragma once

#include <stdbool.h>

struct xn_editor;

// The history is read from, and kept in, $XDG_STATE_HOME/xenon/history (~/.local/state where that is not set). NULL
// without memory.
struct xn_editor *xn_editor_open(const char *prompt);
void xn_editor_close(struct xn_editor *editor); // accepts NULL

enum xn_line { XN_LINE_TEXT, XN_LINE_END, XN_LINE_INTERRUPTED };
// Reads a line; one that ends in a backslash goes on in the next. *text (XN_LINE_TEXT alone): free(), without the line
// end. Ctrl-C gives XN_LINE_INTERRUPTED (and resets xn_interrupted), Ctrl-D on an empty line XN_LINE_END.
enum xn_line xn_editor_read(struct xn_editor *editor, char **text);
void xn_editor_remember(struct xn_editor *editor, const char *text); // in the history
