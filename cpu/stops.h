/*
 * Where a debugger wants a CPU to stop.
 *
 * Overview.  The debugger gives the machine's CPUs one list of points.  Each kind is found by what the engines have
 * anyway, so that a point which is not met costs nothing, and no point costs nothing at all:
 *
 * - Code: the instruction at a watched address is decoded with a mark before it (code.h), which recompiled code calls
 *   as any other instruction.  Marks belong to physical pages; which linear address runs there the mark itself looks at.
 * - Data: a page with a watched byte is slow in the soft TLB (tlb.h), so that each access of it comes by here.
 * - All others: one bit test where the event is made (stops_wanted).
 *
 * A hit is told to the debugger at once, by the CPU's own thread; it answers whether the CPU is to stop.  A point of code
 * and an exception stop the CPU before the instruction and before the delivery, all others after it.
 *
 * Threads.  The list changes while no CPU runs (stops_set); StopsFn runs in CPU threads, several at a time.
 */
#ifndef MYNA_CPU_STOPS_H
#define MYNA_CPU_STOPS_H

#include "cpu/state.h"

typedef enum StopKind {
    STOP_CODE,         /* first..last: addresses; the instruction that begins there has not been executed */
    STOP_DATA,         /* first..last: addresses of bytes; access */
    STOP_IO,           /* first..last: ports; access */
    STOP_MSR,          /* first..last: numbers; access */
    STOP_EXCEPTION,    /* first..last: vectors; not delivered yet */
    STOP_INTERRUPT,    /* first..last: vectors; INT n, NMI and interrupts from outside: the handler is entered */
    STOP_MODE,         /* CR0.PE, EFER.LMA or the size of code changed, or virtual-8086 mode began or ended */
    STOP_CR3,          /* MOV to CR3 or a task switch gave it another value */
    STOP_TASK,         /* a hardware task switch */
    STOP_SMI,          /* SMM was entered or left */
    STOP_VMEXIT,       /* a guest of this guest was left; value: the exit code */
    STOP_TRIPLE_FAULT, /* no reset was asked for yet */
    STOP_STEP,         /* as many instructions as were asked for; no point, see stops_step() */
    STOP_PAUSE,        /* never by a CPU: for reports of a debugger */
    STOP_KINDS
} StopKind;

enum { STOP_READ = 1, STOP_WRITE = 2 }; /* access */

typedef struct StopPoint {
    StopKind kind;
    uint8_t access;        /* of data, ports and MSRs */
    bool physical;         /* of code and data: addresses are GPAs, else linear */
    uint64_t first, last;  /* both included */
    unsigned id;           /* the debugger's; comes back with a hit */
} StopPoint;

typedef struct StopHit {
    StopKind kind;
    unsigned id;           /* of the point; of STOP_STEP 0 */
    uint16_t cs;           /* of the instruction that did it: its selector, offset and linear address */
    uint64_t rip, la;
    uint64_t address;      /* linear or physical as the point; port, MSR or vector */
    uint8_t size, access;  /* bytes accessed; STOP_READ, STOP_WRITE or both */
    bool has_error;
    uint32_t error;        /* of an exception */
    /*
     * After and before: bytes accessed (at most 8), MSR, CR3, VM exit code, mode (KEY_SIZE).  Bytes are read from memory
     * once the access is done: what another CPU wrote meanwhile is in them.
     */
    uint64_t value, old;
} StopHit;

/* Whether the CPU is to stop, itself alone or with all others. */
typedef enum StopAnswer { STOP_GO_ON, STOP_THIS, STOP_ALL } StopAnswer;
typedef StopAnswer StopsFn(void *opaque, Cpu *cpu, const StopHit *hit);

/*
 * The points of all CPUs of the machine of `cpu`, copied; none with count 0.  fn is called for every hit; NULL: nobody
 * listens.  No CPU runs.
 */
void stops_set(Cpu *cpu, const StopPoint *points, unsigned count, StopsFn *fn, void *opaque);

/*
 * Has the CPU stop (STOP_STEP) after `count` instructions; 0: no more.  A delivered exception counts as one; interrupts
 * wait meanwhile, unless `interrupts`, or the CPU is halted.  The CPU does not run.
 */
void stops_step(Cpu *cpu, uint64_t count, bool interrupts);

/* The instruction at RIP was reported: its mark, or its exception, is passed once.  The CPU does not run. */
void stops_pass(Cpu *cpu);

/* Holds one CPU, or lets go of it: it executes nothing while held, whatever the others do.  Any thread. */
void stops_hold(Cpu *cpu, bool held);

/* ---- for the engines: all below by the CPU's own thread ---- */

void stops_join(Cpu *cpu);
void stops_leave(Cpu *cpu);

static inline bool stops_wanted(const Cpu *cpu, StopKind kind) { return unlikely(cpu->stops_wanted >> kind & 1); }

/* Tells of hits noted by the instruction that has ended.  Whether the CPU is to stop. */
bool stops_tell(Cpu *cpu);

/* Notes a hit if there is a point of that kind at `address`: told once the instruction has ended. */
void stops_note_slow(Cpu *cpu, StopKind kind, uint64_t address, unsigned size, unsigned access, uint64_t value,
                     uint64_t old);
static inline void stops_note(Cpu *cpu, StopKind kind, uint64_t address, unsigned size, unsigned access, uint64_t value,
                              uint64_t old)
{
    if (stops_wanted(cpu, kind))
        stops_note_slow(cpu, kind, address, size, access, value, old);
}

/* A delivered interrupt; `from` and `cs` are where it came. */
void stops_note_interrupt(Cpu *cpu, unsigned vector, uint16_t cs, uint64_t from);

/* Whether accesses of a page must be looked at; an access of `size` bytes at la; bytes that are about to be written. */
bool stops_page_watched(const Cpu *cpu, uint64_t la, uint64_t gpa);
void stops_data(Cpu *cpu, uint64_t la, unsigned size, unsigned access);
void stops_keep(Cpu *cpu, uint64_t la);

/* An exception waits to be delivered: whether the CPU is to stop before that. */
bool stops_exception(Cpu *cpu);

/* Nothing could be delivered: whether the CPU is to stop, and to ask for the reset when it goes on. */
bool stops_triple_fault(Cpu *cpu);
bool stops_take_reset(Cpu *cpu);

/* The mode may have changed. */
void stops_note_mode(Cpu *cpu);

/* Whether step_mode is to have STEP_DEBUG; then: whether interrupts wait; an instruction, or a delivery, has ended. */
bool stops_stepping(const Cpu *cpu);
bool stops_defer_interrupts(const Cpu *cpu);
void stops_count(Cpu *cpu);

/* What a mark is decoded to: an instruction of no bytes. */
void stops_mark(Cpu *cpu, const Insn *i);

/* The page offsets of code points in the page at la, which is mapped to gpa, are set in `marks`; whether any is new. */
#define STOP_MARK_WORDS (GUEST_PAGE_SIZE / 64)
bool stops_mark_page(const Cpu *cpu, uint64_t la, uint64_t gpa, uint64_t *marks);

#endif
