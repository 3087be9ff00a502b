/*
 * The debugger of a machine: where it stops, how it goes on, and who is told.
 *
 * Overview.  Faces (monitor, gdb port, QMP) show and ask; the debugger does.  It keeps the list of stops, gives it to the
 * CPUs (cpu/stops.h), decides at each hit whether its condition holds and its count is reached, pauses the machine and
 * tells every listener what happened.  Symbols and expressions hang on it (symbols.h, expression.h).
 *
 * Threads.  All functions are for the main loop's thread with the machine lock held (as commands and character input
 * are), unless they say otherwise.
 */
#ifndef MYNA_DEBUGGER_DEBUGGER_H
#define MYNA_DEBUGGER_DEBUGGER_H

#include <glib.h>

#include "core/machine.h"
#include "cpu/cpu.h"
#include "cpu/stops.h"

typedef struct Debugger Debugger;
typedef struct Expression Expression;
typedef struct Symbols Symbols;

/* The machine's debugger, made on first use; freed with the machine's faces. */
Debugger *debugger_of(Machine *m);
void debugger_free(Machine *m);
Machine *debugger_machine(Debugger *d);
Symbols *debugger_symbols(Debugger *d);

/* CPU number n, or NULL; the CPU that commands are about, and its choice: it follows whoever stops. */
Cpu *debugger_cpu_at(Debugger *d, unsigned n);
Cpu *debugger_cpu(Debugger *d);
void debugger_choose_cpu(Debugger *d, Cpu *cpu);

/* ---- stops ---- */

typedef struct Stop {
    StopPoint point;        /* point.id is the number that the user sees */
    bool enabled, temporary;
    char *text;             /* as the user named it, "start_kernel"; may be NULL */
    Expression *condition;  /* NULL: always; owned, as the two texts */
    char *condition_text;
    bool has_cr3, has_cs;   /* only in this address space; only with this selector in CS */
    uint64_t cr3;
    uint16_t cs;
    uint64_t sp;            /* only with a stack pointer of at least this */
    int cpu;                /* index, or -1: any */
    uint64_t ignore, hits;  /* to pass over still; how often it was met with its condition true */
    GPtrArray *commands;    /* char *: monitor lines run at a stop; NULL: none */
    const void *owner;      /* the face it belongs to (a gdb client), hidden from others; NULL: the monitor */
} Stop;

/* Takes over `init` (its strings and condition; init.point.id is given here).  Pauses and resumes a running machine. */
Stop *debugger_stop_add(Debugger *d, const Stop *init);
void debugger_stop_remove(Debugger *d, Stop *s);
void debugger_stops_remove_all(Debugger *d, const void *owner);
Stop *debugger_stop_find(Debugger *d, unsigned id);
GPtrArray *debugger_stops(Debugger *d);

/* To be called after a change of a stop's fields, before the machine runs. */
void debugger_stops_changed(Debugger *d);

/* ---- running ---- */

/* What is told when the machine, or with debugger_set_non_stop() one CPU, has stopped. */
typedef struct StopReport {
    StopHit hit;            /* kind STOP_PAUSE: paused by a command, or shut down */
    Cpu *cpu;               /* that stopped; of STOP_PAUSE the current one */
    const Stop *stop;       /* what it hit, or NULL; valid while reported */
} StopReport;

/* What faces offer; any may be NULL.  Main loop's thread. */
typedef struct DebuggerListener {
    void (*stopped)(void *opaque, const StopReport *r);
    void (*resumed)(void *opaque);
    void (*reset)(void *opaque);    /* the machine was reset */
    void (*output)(void *opaque, const char *text); /* what the commands of a stop printed */
    bool for_people;                /* shows reports as text: no other place for them is needed */
    void *opaque;
} DebuggerListener;

/*
 * The machine is about to run: where nobody listens and there are no stops, its CPUs do without a list of their branches
 * (cpu/trace.h), until somebody listens.
 */
void debugger_rest(Debugger *d);

void debugger_listen(Debugger *d, const DebuggerListener *l);     /* kept, not copied */
void debugger_unlisten(Debugger *d, const DebuggerListener *l);

/* "Breakpoint 2, cpu 1: ..." in a line or several, for people. */
void debugger_describe(Debugger *d, const StopReport *r, GString *out);

/*
 * Whether it runs, to the user: not during a pause of a moment, which freeze and thaw make and nobody is told of.
 */
bool debugger_is_running(const Debugger *d);
void debugger_freeze(Debugger *d);
void debugger_thaw(Debugger *d);
void debugger_continue(Debugger *d);
/* The stop that was reported last is passed over so many times. */
void debugger_ignore_here(Debugger *d, uint64_t count);
/* `count` instructions of that CPU (interrupts wait, unless asked for); the others hold still if `alone`. */
void debugger_step(Debugger *d, Cpu *cpu, uint64_t count, bool alone, bool interrupts);
/* Runs until an instruction at la with a stack pointer of at least sp (0: any) is met on that CPU, or another stop. */
void debugger_run_to(Debugger *d, Cpu *cpu, uint64_t la, uint64_t sp);
void debugger_interrupt(Debugger *d);

/* A hit stops its CPU alone; CPUs stop and go one by one (gdb's non-stop). */
void debugger_set_non_stop(Debugger *d, bool on);
void debugger_hold(Debugger *d, Cpu *cpu, bool held);

/*
 * Whether a triple fault stops the machine before its reset: on, off, or (the default) while somebody is there to look:
 * a gdb client, a stop, or a monitor that was typed in.
 */
typedef enum TripleFaultStop { TRIPLE_FAULT_AUTO, TRIPLE_FAULT_STOP, TRIPLE_FAULT_RESET } TripleFaultStop;
void debugger_set_triple_fault(Debugger *d, TripleFaultStop what);
void debugger_attended(Debugger *d, const void *face, bool there);

/* ---- memory ---- */

/*
 * Copies guest memory at linear addresses of a CPU as it maps them now, or at GPAs; without side effects on the mapping.
 * Writes reach ROM too.  False if a byte is not mapped (writes: nothing was written).
 */
bool debugger_read(Cpu *cpu, uint64_t la, void *buf, size_t size);
/* As many bytes of the instruction at RIP as there are, at most 15: the next page may not be mapped. */
unsigned debugger_read_instruction(Cpu *cpu, uint8_t bytes[15]);
bool debugger_write(Cpu *cpu, uint64_t la, const void *buf, size_t size);

#endif
