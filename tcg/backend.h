/*
 * What a back end gives the engine.  One for each host, in a folder of its own; all state is in the opaque value that
 * new() returns.  Threads: everything belongs to the CPU's thread.
 */
#ifndef MYNA_TCG_BACKEND_H
#define MYNA_TCG_BACKEND_H

#include "tcg/ir.h"

/* A way out of a unit to a place in the same page, which can be linked to that place's code. */
typedef struct UnitExit {
    struct UnitCode *unit;     /* the unit that is left */
    struct UnitExit *next;     /* in its target's list of links */
    uint8_t *field;            /* what is patched */
    const uint8_t *stub;       /* where it leads while it is not linked */
    uint16_t page_offset;      /* the target */
} UnitExit;

/* Recompiled code of a unit. */
typedef struct UnitCode {
    Block *block;
    const uint8_t *entry;      /* as executed */
    const uint8_t *entry_stub; /* leaves with RIP at the unit's first instruction */
    uint32_t size, line_size;  /* bytes of host code; of it without slow paths and exits */
    UnitExit *links;           /* ways into it */
    uint64_t loops;            /* verify=on: bit n: instruction n may jump to the beginning, within host code */
    unsigned exit_count;
    UnitExit exit[];
} UnitCode;

/* C functions that host code calls; what they return is where to go on. */
typedef struct EngineCalls {
    bool (*call)(Cpu *cpu, const Insn *i, uint64_t page_offset); /* semantic function; true: leave host code */
    const uint8_t *(*exit)(Cpu *cpu, UnitExit *e);               /* an exit that is not linked */
    const uint8_t *(*call_next)(Cpu *cpu, const Insn *i, uint64_t page_offset); /* both: call, then next */
    const uint8_t *(*next)(Cpu *cpu);                            /* cpu->rip is where to go on */
    /* A jump at a place (TRACE_* `from` of cpu/trace.h) to a linear address in another page that the jump cache lacks. */
    const uint8_t *(*far)(Cpu *cpu, uint64_t la, uint64_t from);
    uint64_t (*flags)(Cpu *cpu);                                 /* EFLAGS image of the record */
    void (*slots_full)(Cpu *cpu);                                /* trace_slots_full() */
} EngineCalls;

/* BACKEND_COUNTED: units count their instructions.  BACKEND_NARROW: leave the host's vectors of more than 256 bits alone. */
enum { BACKEND_COUNTED = 1, BACKEND_NARROW = 2 };

typedef struct Backend {
    /* code_bytes: of generated code; options: BACKEND_*.  NULL with *err when the host gives no executable memory. */
    void *(*create)(size_t code_bytes, const EngineCalls *calls, unsigned options, GError **err);
    void (*destroy)(void *opaque);
    /* Compiles a unit; NULL when the code memory is full (the engine flushes).  The result is owned by the engine. */
    UnitCode *(*compile)(void *opaque, IrUnit *u);
    void (*enter)(void *opaque, Cpu *cpu, const uint8_t *code); /* runs until something leaves */
    void (*link)(void *opaque, UnitExit *e, const UnitCode *to); /* to NULL: unlinks */
    void (*kill)(void *opaque, UnitCode *u);  /* from now on its entry leaves */
    void (*reset)(void *opaque);              /* forgets all code */
    const uint8_t *(*leave)(void *opaque);    /* code that leaves: state complete, RIP in cpu->rip */
    const uint8_t *(*unknown)(void *opaque);  /* JumpEntry.host of what is not recompiled */
    size_t (*used)(void *opaque);             /* bytes of code */
} Backend;

/* The back end for this host, or NULL. */
const Backend *backend_find(void);

#endif
