/*
 * QMP: the machine for programs, in JSON, as QEMU's clients speak it (QEMU's docs/interop/qmp-spec).
 *
 * Overview.  A session greets, waits for qmp_capabilities, and then answers each command object with one object, a line
 * each; events come in between.
 *
 *   qmp_reader.c     finds where an object begins and ends, whatever comes
 *   qmp.c            sessions: greeting, negotiation, replies, what a client does not read
 *   qmp_arguments.c  arguments against a command's table
 *   qmp_events.c     what happens, to all sessions
 *   qmp_command.h    rows of commands; files of them: qmp_commands.c and its neighbours
 *   qmp_schema.c     query-qmp-schema out of these rows
 *
 * It needs json-glib (CONFIG_JSON_GLIB).  Main loop's thread, machine lock held.
 */
#ifndef MYNA_DEBUGGER_QMP_H
#define MYNA_DEBUGGER_QMP_H

#include <glib.h>

#include "backends/char/char.h"
#include "core/machine.h"

/*
 * Serves a session on a character back end for the life of the machine; `pretty` replies take several lines.  FALSE
 * with *err when Myna was built without json-glib; `what` ("-qmp") opens the message.
 */
gboolean qmp_attach(Machine *m, CharBackend *c, bool pretty, const char *what, GError **err);

/* Ends all sessions; their back ends still work, and get what was not sent yet.  Before debugger_free(). */
void qmp_free_all(Machine *m);

#endif
