/*
 * The monitor: commands typed to the machine (QEMU's HMP names).
 *
 * A command is a row of the table in commands.c: names, arguments, help text, function.  The line editor is monitor.c.
 */
#ifndef MYNA_DEBUGGER_MONITOR_H
#define MYNA_DEBUGGER_MONITOR_H

#include <glib.h>

#include "backends/char/char.h"
#include "core/machine.h"

/* Serves a monitor on a character back end, for the life of the machine. */
void monitor_attach(Machine *m, CharBackend *c);

/* Frees all monitors of a machine; their back ends are gone or will not be used again. */
void monitor_free_all(Machine *m);

/* What a command works on. */
typedef struct MonitorCommand {
    Machine *machine;
    const char *arguments; /* the rest of the line, without leading blanks */
    GString *out;          /* what it prints */
} MonitorCommand;

/* Runs one line; its output goes to out.  Main loop's thread, machine lock held. */
void monitor_execute(Machine *m, const char *line, GString *out);

#endif
