/* Commands about a CPU's registers. */
#include "debugger/command.h"

static void info_registers(MonitorCommand *c) { cpu_dump(debugger_cpu(c->debugger), c->out); }

const CommandRow register_commands[] = {
    { .name = NULL },
};

const CommandRow register_info[] = {
    { .name = "registers", .arguments = "", .help = "CPU registers", .run = info_registers, .paused = true },
    { .name = NULL },
};
