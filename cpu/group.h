/*
 * What the CPUs of one machine share.
 *
 * Code.  Each CPU has a code cache of its own (code.h), which must hear of every write to the pages that it decoded
 * from.  Others' writes are heard of when their TLBs hold no fast write tag for the page, and a TLB can be changed by its
 * own CPU's thread alone.  So a page that becomes code is entered in a log; every CPU serves the log at its events (it
 * takes its fast tags away), and notes how far it came.  Nobody waits for that: until all have done so, the CPU that
 * decodes from the page compares the bytes of a block each time before it runs.  A CPU that is `quiet` (halted, paused,
 * or not in its time slice) counts as done, since it serves the log before it executes anything again.
 */
#ifndef MYNA_CPU_GROUP_H
#define MYNA_CPU_GROUP_H

#include "cpu/state.h"

#define GROUP_MAX_CPUS 256
#define GROUP_LOG_SIZE 16

typedef struct CpuGroup {
    GMutex split_lock;        /* held for a LOCKed access that no host atomic can do: see locked_replace() */
    GMutex lock;              /* for all below; of other locks, only a CPU's wait lock is taken under it */
    Cpu *cpus[GROUP_MAX_CPUS];
    unsigned count;           /* changes while no CPU runs */
    struct StopList *stops;   /* stops.c; changes while no CPU runs */
    uint16_t *users;          /* by page of the RAM pool: code caches that know it as code; PAGE_CODE when not 0 */
    uint64_t log[GROUP_LOG_SIZE]; /* GPAs of the pages that became code last */
    _Atomic uint64_t logged;  /* pages that ever did: entry n of the log is the n-th, modulo its size */
} CpuGroup;

/* Makes the CPU one of its machine's group, which the first one makes and the last one frees. */
void group_join(Cpu *cpu);
void group_leave(Cpu *cpu);

/*
 * The CPU is about to decode from a page of RAM, which gets PAGE_CODE.  Returns 0 when every later write will be heard
 * of, else the place in the log from which on that is so: when others serve it, the CPU gets EVENT_CODE.
 */
uint64_t group_add_code_page(Cpu *cpu, uint64_t page, uint64_t gpa);
void group_remove_code_page(Cpu *cpu, uint64_t page);

/* Whether all others have served the log up to that place. */
bool group_heard(const Cpu *cpu, uint64_t place);

/* Sets the first place that the CPU still waits for, 0 for none. */
void group_await(Cpu *cpu, uint64_t place);

/* Serves the log, in the CPU's thread. */
void group_serve_slow(Cpu *cpu);
static inline void group_serve(Cpu *cpu)
{
    if (unlikely(atomic_load(&cpu->group->logged) != atomic_load_explicit(&cpu->log_served, memory_order_relaxed)))
        group_serve_slow(cpu);
}

#endif
