/* Commands for breakpoints, watchpoints and other stops. */
#include "debugger/command.h"

const CommandRow stop_commands[] = {
    { .name = NULL },
};

const CommandRow stop_info[] = {
    { .name = NULL },
};
