/*
 * A command of the monitor: a row of a table.  A file of commands about one subject has a table, ended by an empty row,
 * and commands.c lists the tables.  docs/new-command.md goes through an example.
 */
#ifndef MYNA_DEBUGGER_COMMAND_H
#define MYNA_DEBUGGER_COMMAND_H

#include <glib.h>

#include "debugger/debugger.h"

typedef struct Monitor Monitor;

/* What a command works on. */
typedef struct MonitorCommand {
    Machine *machine;
    Debugger *debugger;
    Monitor *monitor;      /* where it was typed; NULL: the gdb port, QMP, a script at the start */
    const char *arguments; /* the rest of the line, without leading blanks; of "x/8xg $rsp": "/8xg $rsp" */
    GString *out;          /* what it prints */
} MonitorCommand;

/* What an argument is, for completion: one letter for each, in order; the last one repeats. */
#define COMPLETE_COMMAND "c"
#define COMPLETE_INFO "i"
#define COMPLETE_DEVICE "d"
#define COMPLETE_SYMBOL "s"   /* and registers */
#define COMPLETE_FILE "f"
#define COMPLETE_REGISTER "r"
#define COMPLETE_STOP "b"     /* numbers of stops */

typedef struct CommandRow {
    const char *name;
    const char *aliases;   /* separated by blanks, or NULL */
    const char *arguments; /* "ADDRESS [COUNT]", "" */
    const char *help;      /* one line */
    void (*run)(MonitorCommand *c);
    const char *completes; /* COMPLETE_*, or NULL */
    bool paused;           /* looks at CPUs or memory in peace: a running machine is paused around it */
    const char *more;      /* what `help NAME` adds: lines, or NULL */
} CommandRow;

/* Tables; "info" rows are those of `info WHAT`. */
extern const CommandRow machine_commands[], machine_info[];   /* the machine and its devices */
extern const CommandRow device_info[];                        /* irq, ioapic, pci, block, chardev, roms, clock */
extern const CommandRow run_commands[];                       /* c, s, n, finish, until */
extern const CommandRow stop_commands[], stop_info[];         /* breakpoints and watchpoints */
extern const CommandRow memory_commands[];                    /* x, print-stack */
extern const CommandRow memory_change_commands[];             /* set, loadmem, memsave, in, out */
extern const CommandRow memory_search_commands[];             /* find, crc */
extern const CommandRow disassemble_commands[], dump_commands[];
extern const CommandRow register_commands[], register_info[];
extern const CommandRow vector_commands[];                    /* fp, mmx, sse, ymm, zmm */
extern const CommandRow table_info[], tss_info[];             /* idt, ivt, gdt, ldt, tss */
extern const CommandRow paging_commands[], paging_info[];     /* page, gva2gpa, tab, mem, tlb */
extern const CommandRow trace_commands[], trace_info[];       /* what CPUs did last, traces, profiles */

extern const CommandRow symbol_commands[], symbol_info[];     /* symbols, unload, info symbol */
extern const CommandRow data_commands[];                      /* print, ptype, whatis */
extern const CommandRow linux_commands[];                     /* linux ps and so on */
extern const CommandRow unwind_commands[];                    /* bt, frame, up, down */
extern const CommandRow gdb_commands[];                       /* gdbserver */

/* One line, from any face; output goes to out. */
void command_execute(Machine *m, Monitor *from, const char *line, GString *out);

/* Every row in the order of its name (CommandRow *); info: those of `info`.  Owned by the callee. */
const GPtrArray *command_rows(bool info);
const CommandRow *command_find(const char *name, bool info);

/* Splits the next blank-separated word ("..." quotes) off *rest; NULL at the end.  Newly allocated. */
char *command_word(const char **rest);

/*
 * An expression (expression.h) in the command's CPU; false after a message into c->out.  The last form takes up to the
 * blank or comma before the next argument, and moves *rest.
 */
bool command_value(MonitorCommand *c, const char *text, uint64_t *v);
bool command_next_value(MonitorCommand *c, const char **rest, uint64_t *v);

#endif
