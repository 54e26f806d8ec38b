// A progress line on stderr: what is done, how much of it, how fast, and how long it will still take. Shown only where
// stderr is a terminal.
#pragma once

#include "base/log.h"

#include <stdbool.h>
#include <stddef.h>

// The one progress line of the program; give it to whatever takes a struct xn_progress. A new `what`, or done < the
// last done, begins a new piece of work; done == total ends it and clears the line. Reports XN_ERR_CANCELLED's wish
// (nonzero) once xn_interrupted() is true.
const struct xn_progress *xn_progress_line(void);
void xn_progress_clear(void); // wipes the line, if one stands there

// The text of the line, without terminal codes, into `text`: for tests.
void xn_progress_format(char *text, size_t size, const char *what, uint64_t done, uint64_t total, double seconds);

// Makes Ctrl-C set a flag instead of ending the program; a second one before xn_interrupt_reset ends it.
void xn_interrupt_catch(void);
bool xn_interrupted(void);
void xn_interrupt_reset(void);
// Readable while xn_interrupted(): whoever waits for input waits for it too, so that no Ctrl-C falls between a look and
// a wait, or to another thread. -1 before xn_interrupt_catch.
int xn_interrupt_descriptor(void);
