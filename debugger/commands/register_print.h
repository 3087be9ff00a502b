/* What the commands about registers share. */
#ifndef MYNA_DEBUGGER_REGISTER_PRINT_H
#define MYNA_DEBUGGER_REGISTER_PRINT_H

#include "debugger/commands/command.h"

typedef struct BitName {
    unsigned bit;
    const char *name; /* NULL: the end */
} BitName;

/* Appends " NAME" for each: in capital letters when the bit is set, else in small ones. */
void print_bits(GString *out, uint64_t v, const BitName *names);

/* x87; SSE. */
void command_fp(MonitorCommand *c);
void command_sse(MonitorCommand *c);

#endif
