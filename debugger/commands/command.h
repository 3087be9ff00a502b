/*
 * A command of the monitor: a row of a table.  A file of commands about one subject has a table, ended by an empty row,
 * and commands.c lists the tables.  docs/new-command.md goes through an example.
 */
#ifndef MYNA_DEBUGGER_COMMAND_H
#define MYNA_DEBUGGER_COMMAND_H

#include <glib.h>

#include "debugger/debugger.h"

typedef struct Monitor Monitor;
typedef struct CommandRun CommandRun;

/* What a command works on. */
typedef struct MonitorCommand {
    Machine *machine;
    Debugger *debugger;
    Monitor *monitor;      /* where it was typed; NULL: the gdb port, QMP, a script at the start */
    const char *arguments; /* the rest of the line, without leading blanks; of "x/8xg $rsp": "/8xg $rsp" */
    GString *out;          /* what it prints */
    bool color;            /* that goes to a terminal which shows colours (command_color) */
    CommandRun *run;       /* what comes after it, for script_commands.c */
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
extern const CommandRow device_info[];                        /* irq, ioapic, pci, chardev, roms, clock */
extern const CommandRow block_commands[], block_info[];       /* change, eject, block_resize, commit; block */
extern const CommandRow network_commands[], network_info[];   /* set_link, hostfwd_add, info network */
extern const CommandRow save_commands[];                      /* savevm, loadvm */
extern const CommandRow sound_info[];                         /* info audio */
extern const CommandRow run_commands[];                       /* c, s, n, finish, until */
extern const CommandRow script_commands[];                    /* script, wait, echo, pager, color */
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
extern const CommandRow input_commands[], input_info[];       /* sendkey, type, the mouse; mice */
extern const CommandRow display_commands[], display_info[];   /* windows and other faces, pictures, films */
extern const CommandRow vnc_commands[], vnc_info[];           /* set_password, expire_password, info vnc */
extern const CommandRow balloon_commands[], balloon_info[];   /* memory lent back to the host */
extern const CommandRow data_commands[], data_info[];         /* print, ptype, whatis, locals */
extern const CommandRow source_commands[], source_info[];     /* list, directory, line */
extern const CommandRow linux_commands[];                     /* linux ps and so on */
extern const CommandRow unwind_commands[];                    /* bt, frame, up, down */
extern const CommandRow gdb_commands[];                       /* gdbserver */

/*
 * One line, from any face; output goes to out.  Commands are separated by ';'.  After one that lets the machine run, the
 * rest of the line (or of a script) is run when it stops; its output goes to `from`, or else to a monitor in use, or else
 * to standard output.  `CMD | SHELL COMMAND` and `CMD > FILE` are for monitors and scripts (command_line.h).
 */
void command_execute(Machine *m, Monitor *from, const char *line, GString *out);

/*
 * -debug-script: the lines of a file, before the machine starts.  Whether it waits for a stop now is in *waits.  FALSE
 * with *err when it cannot be read.
 */
gboolean command_execute_file(Machine *m, const char *path, bool *waits, GError **err);

/* Lines (char *, copied) to be run soon, after a stop and before what waits for it: what a stop has as its commands. */
void command_execute_later(Machine *m, Monitor *from, const GPtrArray *lines);

/* Whether something of this monitor waits for a stop; drops that (the number of lines it had); its client went away. */
bool command_waits(Machine *m, const Monitor *mon);
unsigned command_cancel(Machine *m, const Monitor *mon);
void command_detach(Machine *m, const Monitor *mon);
void command_cancel_all(Machine *m);

/* Every row in the order of its name (CommandRow *); info: those of `info`.  Owned by the callee. */
const GPtrArray *command_rows(bool info);
/* By name or alias. */
const CommandRow *command_find(const char *name, bool info);
/* The same, or by the beginning of one name or alias; else NULL, with a line about it in out (which may be NULL). */
const CommandRow *command_resolve(const char *name, bool info, GString *out);

/* `change vnc`, which is no drive. */
void command_change_vnc(MonitorCommand *c, const char *rest);

/* Colours, used sparingly: what to print before a text and (COLOR_END) after it; "" where there is no colour. */
typedef enum CommandColor { COLOR_END, COLOR_STRONG, COLOR_CHANGED, COLOR_NAME } CommandColor;
const char *command_color(const MonitorCommand *c, CommandColor color);

/*
 * What a word may become: (char *), sorted, owned by the caller; *start: where it begins in `text`, which ends at the
 * cursor.  A word that is complete by itself ends in a blank.
 */
GPtrArray *command_complete(Machine *m, const char *text, gsize *start);
/* What all of them begin with; "" of none.  Newly allocated. */
char *command_common_prefix(const GPtrArray *names);

/* Splits the next blank-separated word ("..." quotes) off *rest; NULL at the end.  Newly allocated. */
char *command_word(const char **rest);

/*
 * An expression (expression.h) in the command's CPU; false after a message into c->out.  The last form takes up to the
 * blank or comma before the next argument, and moves *rest.
 */
bool command_value(MonitorCommand *c, const char *text, uint64_t *v);
bool command_next_value(MonitorCommand *c, const char **rest, uint64_t *v);

#endif
