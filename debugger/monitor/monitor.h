/*
 * The monitor: commands typed to the machine (QEMU's HMP names, and those of Bochs's debugger).
 *
 * A command is a row of a table (command.h); monitor.c runs what was typed and shows what comes of it, on a line editor
 * (monitor_parts.h).  Main loop's thread, machine lock held.
 */
#ifndef MYNA_DEBUGGER_MONITOR_H
#define MYNA_DEBUGGER_MONITOR_H

#include <glib.h>

#include "backends/char/char.h"
#include "core/machine.h"

typedef struct Monitor Monitor;

/* Serves a monitor on a character back end, for the life of the machine. */
void monitor_attach(Machine *m, CharBackend *c);

/* Frees all monitors of a machine, and what still waits in scripts; their back ends will not be used again. */
void monitor_free_all(Machine *m);

/* Shows a text: in a monitor; with NULL in the first that is in use, or else on standard output. */
void monitor_output(Machine *m, Monitor *mon, const GString *text);

/* Whether there is one in use. */
bool monitor_is_used(Machine *m);

/* What its last line had to wait for has come. */
void monitor_ready(Monitor *mon);

/*
 * What an empty line runs next, for commands that list something and go on where they ended: called when they run.
 * Nothing happens where an empty line would not repeat them (a line with a pipe), or with NULL for the monitor.
 */
void monitor_repeat(Monitor *mon, const char *line);

/* Colours: on with a terminal, unless NO_COLOR is in the environment.  NULL: none. */
bool monitor_has_color(const Monitor *mon);
void monitor_set_color(Monitor *mon, bool on);
/* Whether long output is held: on, where the height of the terminal is known. */
void monitor_set_pager(Monitor *mon, bool on);

#endif
