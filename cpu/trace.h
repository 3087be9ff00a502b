/*
 * What a CPU did last: its branches and its events, always there to look at after a stop; and their way to a file.
 *
 * Events (interrupts, exceptions, task switches, ...) are written where they are delivered.
 *
 * Branches come from two sides.  C code (the interpreter, and what recompiled code calls) appends to CpuTrace.branch, with
 * the number of slots that were written before.  Recompiled code writes slots of Cpu.trace_ring, four instructions each, and
 * only where a jump leaves the page: the slot has the place of the target's entry in the jump cache, and where in its page the
 * jump stood.  Which page that was follows from the branch before.  C code writes slots too, where that would not be so
 * (TRACE_MARK), and which address an entry of the jump cache had before it got another (TRACE_REPLACED).  trace_branches()
 * puts it together.  Slots are never read while the machine runs, but before the jump cache is emptied.
 *
 * Branches are `kept` where somebody may ask for them: with a monitor, a gdb port or the like.  Else nothing of this costs
 * anything, but events, which are few.
 *
 * `exact`: recompiled code is made anew so that it writes a slot for every branch that is taken, and calls C whenever
 * the slots are full.  Branches then are in CpuTrace.branch in their order, none left out, and may go on to a file.
 *
 * Neither is part of the machine's state: a reset leaves them alone, and so does loading a snapshot.
 *
 * Threads: all of it belongs to the CPU's thread; others look, and change what is traced, while the CPU does not run.
 */
#ifndef MYNA_CPU_TRACE_H
#define MYNA_CPU_TRACE_H

#include "cpu/state.h"

#define TRACE_BRANCHES 1024
#define TRACE_EVENTS 256

/* A slot's `to`: the place of a JumpEntry, in bytes; or one of these (top three bits) with more below. */
#define TRACE_IN_PAGE 0x40000000u  /* an offset in the same page; only in exact code */
#define TRACE_MARK 0x80000000u     /* recompiled code runs from here, in page[] */
#define TRACE_REPLACED 0xc0000000u /* the entry below was for the address in page[] so far */
#define TRACE_EMPTY 0xe0000000u
#define TRACE_WHAT 0xe0000000u
/* A slot's `from`: the jump's offset in its page, its row, and whether it was none: code that goes on in the next page. */
#define TRACE_ROW_SHIFT 12
#define TRACE_ROW_MASK 0xfffu
#define TRACE_FALL 0x80000000u

typedef enum TraceKind {
    TRACE_JMP, TRACE_JCC, TRACE_CALL, TRACE_RET, TRACE_INT /* of any kind */, TRACE_IRET, TRACE_SYSCALL, TRACE_SYSRET,
    TRACE_OTHER, TRACE_KINDS
} TraceKind;

/* Bits of TraceBranch.flags. */
enum {
    TRACE_BY_EVENT = 1,     /* an event, whose vector is in `row`: the instruction at `from` was not, or not fully, executed */
    TRACE_SKIPPED = 2,      /* recompiled code may have branched within pages since the branch before */
    TRACE_LOST = 4,         /* branches before this one were lost */
    TRACE_FROM_UNKNOWN = 8,
};

typedef struct TraceBranch {
    uint64_t from, to; /* linear addresses */
    uint16_t row;      /* of the instruction table */
    uint8_t flags;
    uint32_t slots;    /* of TraceRing that were written before (private) */
} TraceBranch;

typedef enum TraceEventKind {
    TRACE_EXCEPTION, TRACE_INTERRUPT, TRACE_SOFTWARE /* INT n, INT3, INTO, INT1 */, TRACE_NMI, TRACE_SMI, TRACE_INIT,
    TRACE_TASK, TRACE_VMEXIT, TRACE_TRIPLE_FAULT, TRACE_EVENT_KINDS
} TraceEventKind;

typedef struct TraceEvent {
    uint8_t kind;      /* TraceEventKind */
    uint8_t vector;
    uint8_t cpl;       /* before */
    bool has_error;
    bool delivered;    /* else something stood in the way: the next event is what */
    uint16_t cs, to_cs;
    uint32_t error;
    uint64_t value;    /* #PF: CR2; VM exit: its code; task switch: the selector */
    uint64_t rip, la;  /* of the instruction that was interrupted or did it, and its linear address */
    uint64_t sp;
    uint64_t to;       /* linear address where it went on, if delivered */
    uint64_t number;   /* events are numbered from 1, by CPU */
    int64_t time;      /* virtual, in nanoseconds; of software interrupts and #PF 0: not read */
} TraceEvent;

typedef struct CpuTrace {
    uint64_t branches;         /* ever appended: the next one's place, modulo TRACE_BRANCHES */
    uint64_t events;
    bool exact;
    uint64_t drain_page;       /* exact: the page of the next slot's jump */
    struct TraceBuffer *file;  /* to a file (trace_file.h), or NULL */
    struct Profile *profile;   /* profile.h, or NULL */
    uint64_t period, left;     /* a sample every so many instructions; 0: when EVENT_SAMPLE comes */
    uint64_t page[TRACE_SLOTS];
    TraceBranch branch[TRACE_BRANCHES];
    TraceEvent event[TRACE_EVENTS];
} CpuTrace;

/* ---- for who looks; the CPU does not run, or it is its own thread ---- */

/* The last branches, at most max, oldest first; returns their number. */
unsigned trace_branches(Cpu *cpu, TraceBranch *out, unsigned max);
/* Likewise events, by reference: valid until the CPU runs. */
unsigned trace_events(const Cpu *cpu, const TraceEvent **out, unsigned max);

TraceKind trace_branch_kind(const TraceBranch *b);
/* "jne", "call", "exception 14". */
const char *trace_branch_name(const TraceBranch *b, char buffer[24]);
/* "#PF", "interrupt 0x20", "int 0x80", "VM exit 0x72". */
const char *trace_event_name(const TraceEvent *e, char buffer[32]);

/* Forgets branches and events. */
void trace_clear(Cpu *cpu);
/* Has branches written down, or none; drops what was recompiled, and the branches so far. */
void trace_set_kept(Cpu *cpu, bool kept);
/* Has recompiled code write down every branch, or no more; drops what was recompiled.  Branches are kept from then on. */
void trace_set_exact(Cpu *cpu, bool exact);
/* After a change of what is traced by instructions. */
void trace_set_steps(Cpu *cpu, bool steps);

/* Linear address of the instruction at RIP. */
static inline uint64_t trace_linear_base(const Cpu *cpu) { return cpu->code_flat ? 0 : cpu->seg[SEG_CS].base; }
static inline uint64_t trace_linear(const Cpu *cpu, uint64_t base, uint64_t rip)
{
    return cpu->code_size == SZ64 ? rip : (uint32_t)(base + rip);
}

/* ---- for the CPU ---- */

void trace_join(Cpu *cpu);
void trace_leave(Cpu *cpu);

/* Before the jump cache is emptied, and in exact mode before C appends a branch: nothing stays in slots. */
void trace_settle(Cpu *cpu);
/* Exact mode: recompiled code has written the last slot. */
void trace_slots_full(Cpu *cpu);
void trace_branch_exact(Cpu *cpu, const TraceBranch *b);
/* The instruction at linear address la is about to be executed (CpuTrace.steps). */
void trace_step(Cpu *cpu, uint64_t la);
/* EVENT_SAMPLE. */
void trace_sample(Cpu *cpu);

static inline void trace_branch(Cpu *cpu, uint64_t from, uint64_t to, unsigned row, unsigned flags)
{
    CpuTrace *t = cpu->trace;
    TraceBranch *b = &t->branch[t->branches % TRACE_BRANCHES];
    if (likely(!cpu->branches_kept))
        return;
    if (unlikely(t->exact)) {
        trace_branch_exact(cpu, &(TraceBranch){ from, to, row, flags, 0 });
        return;
    }
    *b = (TraceBranch){ from, to, row, flags, cpu->trace_ring.at };
    t->branches++;
}

/* Instruction i, with A_JUMP, was at `rip` under segment base `base` (trace_linear_base() before it), and is done. */
static inline void trace_jump(Cpu *cpu, const Insn *i, uint64_t rip, uint64_t base)
{
    if (cpu->rip == ((rip + i->len) & cpu->rip_mask))
        return;
    if (unlikely(cpu->rip == rip) && (insn_rows[i->row].attr & A_REP)) /* to be repeated */
        return;
    trace_branch(cpu, trace_linear(cpu, base, rip), trace_linear(cpu, trace_linear_base(cpu), cpu->rip), i->row, 0);
}

static inline void trace_put_slot(Cpu *cpu, uint32_t to, uint64_t page)
{
    unsigned k = cpu->trace_ring.at++ % TRACE_SLOTS;
    cpu->trace_ring.to[k] = to;
    cpu->trace->page[k] = page;
}

/* Recompiled code is about to run, in the page rec.page: known already where C's last branch led to it. */
static inline void trace_enter(Cpu *cpu)
{
    const CpuTrace *t = cpu->trace;
    const TraceBranch *last = &t->branch[(t->branches - 1) % TRACE_BRANCHES];
    if (likely(!cpu->branches_kept))
        return;
    if (unlikely(t->exact))
        trace_settle(cpu);
    else if (likely(last->slots == cpu->trace_ring.at && (last->to & GUEST_PAGE_MASK) == cpu->rec.page))
        return;
    trace_put_slot(cpu, TRACE_MARK, cpu->rec.page);
}

/* The jump cache's entry e is about to be one for address la. */
static inline void trace_replace(Cpu *cpu, const JumpEntry *e, uint64_t la)
{
    if (!cpu->branches_kept || e->la == la || e->la == ~UINT64_C(0))
        return;
    if (unlikely(cpu->trace->exact))
        trace_settle(cpu);
    else
        trace_put_slot(cpu, TRACE_REPLACED | (uint32_t)((const char *)e - (const char *)cpu->jump), e->la);
}

/* An event at RIP, which is about to be delivered; returns its number, for trace_event_done(). */
uint64_t trace_event(Cpu *cpu, TraceEventKind kind, unsigned vector, bool has_error, uint32_t error, uint64_t value);
/* It is: the CPU is where it goes on. */
void trace_event_done(Cpu *cpu, uint64_t number);

#endif
