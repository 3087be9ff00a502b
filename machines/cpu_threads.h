/*
 * The threads that run the CPUs, and the machine's means to resume, pause and reset them (MachineCpuOps).
 */
#ifndef MYNA_MACHINES_CPU_THREADS_H
#define MYNA_MACHINES_CPU_THREADS_H

#include "core/machine.h"
#include "cpu/cpu.h"

typedef struct CpuThreads CpuThreads;

/*
 * Starts a thread for each of the CPUs, paused, and sets m->cpu_ops; or with `single` one thread that runs them in turn,
 * each for a fixed number of instructions.  after_reset (may be NULL) is called when all CPUs have been put into their
 * power-on state at a machine reset: there a board applies its boot state.
 */
CpuThreads *cpu_threads_new(Machine *m, Cpu *const *cpus, unsigned count, bool single, void (*after_reset)(void *),
                            void *opaque);

/* Stops and joins the threads, and unsets m->cpu_ops; the CPUs stay. */
void cpu_threads_free(CpuThreads *t);

#endif
