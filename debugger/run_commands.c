/* Commands that have the machine run and stop. */
#include "debugger/command.h"

static void command_stop(MonitorCommand *c) { debugger_interrupt(c->debugger); }
static void command_continue(MonitorCommand *c) { debugger_continue(c->debugger); }

const CommandRow run_commands[] = {
    { .name = "continue", .aliases = "c cont", .arguments = "", .help = "go on after a stop", .run = command_continue },
    { .name = "stop", .arguments = "", .help = "pause the machine", .run = command_stop },
    { .name = NULL },
};
