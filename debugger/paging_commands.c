/* Commands about page tables and the TLB. */
#include "debugger/command.h"

const CommandRow paging_commands[] = {
    { .name = NULL },
};

const CommandRow paging_info[] = {
    { .name = NULL },
};
