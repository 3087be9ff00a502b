/* What the commands that show tables in memory share. */
#ifndef MYNA_DEBUGGER_TABLE_PRINT_H
#define MYNA_DEBUGGER_TABLE_PRINT_H

#include "debugger/commands/command.h"

/* What prints the entry at la, `offset` bytes into the table; it returns how many bytes that has. */
typedef unsigned TableEntryFn(MonitorCommand *c, uint64_t la, uint32_t offset);

typedef struct Table {
    const char *name;      /* "IDT" */
    uint64_t base;
    uint32_t limit;        /* offset of the last byte */
    unsigned entry_size;   /* bytes: of the smallest entry */
    TableEntryFn *print;
} Table;

/*
 * Prints the entries of a table: all, or those with the numbers (or with `by_offset` offsets, as selectors are) that
 * the arguments name: [N [M]].  Runs of entries that are all zero take a line; what lies beyond the limit, or is not
 * mapped, is said to.
 */
void table_print(MonitorCommand *c, const Table *t, bool by_offset);

/* Appends "NAME at 0x... <symbol>, limit 0x..., N entries". */
void table_print_head(MonitorCommand *c, const Table *t);

/* A little-endian value in linear memory; 0 when it is not mapped. */
uint64_t table_read(MonitorCommand *c, uint64_t la, unsigned size);

#endif
