/*
 * Backtraces: who called the code that a CPU executes, in any of its modes.
 *
 * Overview.  A frame's caller is found by what is known of its code, best first: Linux's own tables (ORC, in the
 * guest's memory), DWARF's call frame information of a loaded ELF file, the chain of frame pointers; at last the stack is
 * searched for what looks like a return address.  Interrupts and exceptions are gone through where the tables say what
 * was pushed.  The trace ends at the outermost frame, where nothing can be read, or where the stack pointer does not
 * move: it never goes round.
 *
 * Threads.  As debugger.h; the CPU is paused.
 */
#ifndef MYNA_DEBUGGER_UNWIND_H
#define MYNA_DEBUGGER_UNWIND_H

#include "debugger/debugger.h"

/* DWARF's numbers of x86-64's registers (System V ABI, figure 3.36); those of i386 differ: frame_register(). */
enum { DWARF_RAX, DWARF_RDX, DWARF_RCX, DWARF_RBX, DWARF_RSI, DWARF_RDI, DWARF_RBP, DWARF_RSP, DWARF_R8,
       DWARF_RA = 16, DWARF_REGISTERS };

/* How a frame was found. */
typedef enum FrameKind { FRAME_INNERMOST, FRAME_ORC, FRAME_CFI, FRAME_POINTER, FRAME_GUESS } FrameKind;

typedef struct Frame {
    FrameKind kind;
    uint64_t pc;                   /* linear */
    uint64_t reg[DWARF_REGISTERS]; /* by DWARF's number for x86-64; RIP in the last one, without the base of CS */
    uint32_t known;                /* bit n: reg[n] is known */
    uint64_t cfa;                  /* of the frame inside it: its stack pointer behind the call; 0: innermost */
    uint64_t cs_base, ss_base;     /* 0 in 64-bit mode */
    uint64_t sp_mask;              /* of the stack pointer: 0xffff, 0xffffffff or all */
    uint16_t cs;
    uint8_t code_size;             /* SZ16, SZ32, SZ64 */
    bool exact;                    /* pc is where execution goes on: innermost or interrupted; else behind a call */
    bool user;                     /* at privilege level 3 */
} Frame;

/* Why a trace ended: text, to be shown unless it is NULL (the outermost frame was reached). */
typedef struct Backtrace {
    GArray *frames;                /* of Frame, innermost first; at least one */
    char *why;
} Backtrace;

#define UNWIND_MAX 10000

/* At most max frames (1 to UNWIND_MAX) of a CPU. */
Backtrace *unwind(Debugger *d, Cpu *cpu, unsigned max);
void backtrace_free(Backtrace *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Backtrace, backtrace_free)

/* The frame as the CPU's registers are. */
Frame frame_innermost(const Cpu *cpu);

/* The address to look a frame's function and line up by: within the call. */
static inline uint64_t frame_lookup_pc(const Frame *f) { return f->exact ? f->pc : f->pc - 1; }

/* A register by the number that DWARF gives it in code of the frame's size; false: not known. */
bool frame_register(const Frame *f, unsigned number, uint64_t *v);

/*
 * The frame that `frame`, `up` and `down` chose for the debugger's CPU, as long as that has not run since; else the
 * innermost one.  *number may be NULL.
 */
Frame frame_chosen(Debugger *d, unsigned *number);

/* When the machine goes. */
void frame_forget(Machine *m);

/* "#1  0xffffffff81012345 in start_kernel+0x12 (init/main.c:993)" */
void frame_print(Debugger *d, const Frame *f, unsigned number, GString *out);

#endif
