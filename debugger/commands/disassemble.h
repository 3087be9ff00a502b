/* Lines of disassembly, and memory as the commands about it read it. */
#ifndef MYNA_DEBUGGER_DISASSEMBLE_H
#define MYNA_DEBUGGER_DISASSEMBLE_H

#include "debugger/commands/command.h"

/* What to read: linear memory of the current CPU, or physical memory. */
typedef struct MemoryView {
    Cpu *cpu;
    Symbols *symbols;
    bool physical;
} MemoryView;

MemoryView memory_view(MonitorCommand *c, bool physical);

/* Copies bytes; false when one is not mapped.  Physical memory that is not there reads as ones. */
bool memory_view_read(const MemoryView *v, uint64_t address, void *buf, size_t size);

/* Appends the address as the commands begin a line with it: digits by the CPU's mode, and its symbol. */
void memory_view_address(const MemoryView *v, uint64_t address, GString *out);

/*
 * A range of addresses in two steps: FROM, then TO, where it ends before, or +LENGTH; *last is its last byte.  They
 * move *p to the next argument.  False after a message.
 */
bool memory_from(MonitorCommand *c, const char **p, uint64_t *from);
bool memory_until(MonitorCommand *c, const char **p, uint64_t from, uint64_t *last);

/* How code is to be taken apart. */
typedef struct CodeView {
    MemoryView memory;
    unsigned code_size; /* SZ16, SZ32, SZ64 */
    bool bytes;         /* show them too */
} CodeView;

/* In the CPU's mode. */
CodeView code_view(MonitorCommand *c, bool physical);

/* Takes "bits=16", 32 or 64 at the beginning of *rest; false after a message. */
bool code_view_option(MonitorCommand *c, CodeView *v, const char **rest);

/*
 * Appends the line of the instruction at *address, which "=>" marks when it is the CPU's next one, and moves on to the
 * one behind it; false, after a line that says so, when there is no memory.
 */
bool code_view_line(const CodeView *v, uint64_t *address, GString *out);

#endif
