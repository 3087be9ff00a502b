/*
 * -accel tcg,verify=on: every unit runs in the interpreter as well, and the first difference stops the machine.
 *
 * A unit's instructions are interpreted first, while what they write is noted; then all is undone, the unit's host code
 * runs from the same state, and registers, flags, vector and x87 state and the noted memory are compared.  Units end
 * before instructions that cannot be done twice (I/O, counters, system registers, repeated strings), and a run that
 * meets a device, a fault or the end of its own code is not compared.  Of three runs one finds the pages that it
 * accesses in no TLB, and one not in the micro TLB.  Units are not linked, so each run is of one unit, from its
 * beginning to an exit; a unit that loops goes round up to four times, by its count of instructions (tcg_attach()).
 */
#ifndef MYNA_TCG_VERIFY_H
#define MYNA_TCG_VERIFY_H

#include "tcg/engine.h"

typedef struct Verify Verify;

Verify *verify_new(void);
void verify_free(Verify *v);

/* Ends a unit before the first instruction that cannot be done twice; false when that leaves none. */
bool verify_cut(IrUnit *u);

/* Bit n: instruction n may go on at the unit's beginning without a call of C. */
uint64_t verify_loops(const IrUnit *u);

/* Runs the unit at cpu->rip both ways, and compares. */
void verify_run(Engine *e, Cpu *cpu, Block *unit);

/* An exception left host code, after the interpreter met none. */
void verify_unwound(Engine *e, Cpu *cpu);

/* Runs compared so far. */
uint64_t verify_compared(const Verify *v);

#endif
