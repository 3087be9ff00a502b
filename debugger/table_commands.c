/* Commands that show descriptor tables and task state segments. */
#include "debugger/command.h"

const CommandRow table_info[] = {
    { .name = NULL },
};
