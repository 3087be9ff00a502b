/* A shell command as a filter of what a command of the monitor prints. */
#ifndef MYNA_DEBUGGER_SHELL_H
#define MYNA_DEBUGGER_SHELL_H

#include <glib.h>

/*
 * Runs /bin/sh -c command with `input` as its standard input, and appends what it writes, also to standard error, to
 * out; then, in a line, why it could not be run, or was ended: it has 10 seconds and 16 MiB, as the machine's devices
 * wait meanwhile.
 */
void shell_filter(const char *command, const GString *input, GString *out);

#endif
