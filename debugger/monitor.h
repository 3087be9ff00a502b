/*
 * The monitor: commands typed to the machine (QEMU's HMP names).
 *
 * A command is a row of a table (command.h).  The line editor is monitor.c.
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

#endif
