/* What the commands about paging share. */
#ifndef MYNA_DEBUGGER_PAGING_H
#define MYNA_DEBUGGER_PAGING_H

#include "debugger/commands/command.h"
#include "debugger/page_tables.h"

/* Arguments of all commands about paging: [FROM [LAST]] [cr3=VALUE]. */
typedef struct PagingArguments {
    PageTables tables;
    uint64_t cr3;
    unsigned count;      /* of addresses given */
    uint64_t from, last; /* 0 and all ones unless given */
} PagingArguments;

/* False after a message. */
bool paging_parse(MonitorCommand *c, PagingArguments *a);

#endif
