/* Between commands.c, command_run.c and script_commands.c: what is run, and what waits to be. */
#ifndef MYNA_DEBUGGER_COMMAND_RUN_H
#define MYNA_DEBUGGER_COMMAND_RUN_H

#include "debugger/commands/command.h"
#include "debugger/commands/command_line.h"

/*
 * Commands to be run one after the other: a line, and what scripts put in its place.  One that has to wait for a stop
 * is kept in the machine's list until the machine stops.
 */
struct CommandRun {
    Machine *machine;
    Monitor *monitor;    /* NULL: none, as in MonitorCommand */
    bool shell;          /* may write files and run shell commands: typed, or of a script at the start */
    bool quiet;          /* nobody is there any more to read its output */
    GQueue statements;   /* Statement *, those that were not run yet */
    const Statement *now;
    bool waits;          /* `wait` was run */
    unsigned wait_ms;    /* its argument; 0: for ever */
    GSource *timer;
};

/* Runs the command of a statement; its row, or NULL after a line about why there is none. */
const CommandRow *command_run_text(MonitorCommand *c, const char *text);

/* Adds the statements of a file, which are so deep in scripts within scripts. */
gboolean script_read(const char *path, unsigned depth, GQueue *to, GError **err);

#endif
