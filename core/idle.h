/*
 * What is put off until a CPU has nothing else to do.
 *
 * An interrupt that comes while a CPU is at work costs the guest more than one that comes when it would sleep, and one may
 * stand for many: a device that is faster than the guest's driver interrupts it for every request unless it holds back.
 * How long at most is for the device to see to, by a timer.
 */
#ifndef MYNA_CORE_IDLE_H
#define MYNA_CORE_IDLE_H

#include <stdatomic.h>
#include <stdbool.h>

typedef struct Machine Machine;

/* Kept, not copied, while it waits. */
typedef struct IdleTask {
    void (*fn)(void *opaque);  /* machine lock held; from a CPU's thread */
    void *opaque;
    bool waits;                /* the rest is private to idle.c */
    struct IdleTask *next;
} IdleTask;

/* A machine's; the tasks are guarded by its lock. */
typedef struct IdleWatch {
    atomic_uint busy;          /* CPUs that execute instructions */
    atomic_bool awaited;       /* there are tasks */
    IdleTask *tasks;
} IdleWatch;

/*
 * Has fn called, once, as soon as one of the CPUs falls idle.  False: one is already, or does not tell (KVM's), so there is
 * nothing to wait for.  Machine lock held, as for idle_forget().
 */
bool idle_await(Machine *m, IdleTask *t);
void idle_forget(Machine *m, IdleTask *t);

/* From CPUs' threads, without the lock: one begins to execute instructions, has nothing to do, or is stopped. */
void idle_cpu_busy(Machine *m);
void idle_cpu_idle(Machine *m);
void idle_cpu_stopped(Machine *m);

#endif
