/*
 * Exceptions: raising them from semantic functions, and what became of their delivery.
 *
 * cpu_raise*() does not return: it unwinds to the run loop (longjmp to cpu->unwind), which delivers the exception with
 * cpu->rip as the saved RIP (faults).  Traps that save the next RIP advance cpu->rip first.
 */
#ifndef MYNA_CPU_FAULT_H
#define MYNA_CPU_FAULT_H

#include "cpu/state.h"

enum {
    EXC_DE = 0, EXC_DB = 1, EXC_NMI = 2, EXC_BP = 3, EXC_OF = 4, EXC_BR = 5, EXC_UD = 6, EXC_NM = 7, EXC_DF = 8,
    EXC_TS = 10, EXC_NP = 11, EXC_SS = 12, EXC_GP = 13, EXC_PF = 14, EXC_MF = 16, EXC_AC = 17, EXC_MC = 18,
    EXC_XM = 19, EXC_CP = 21,
};

/* #PF error code (SDM vol. 3A 4.7). */
enum { PF_P = 1, PF_W = 2, PF_U = 4, PF_RSVD = 8, PF_I = 16, PF_PK = 32,
       PF_SS = 64 };

/* Raises an exception without, or with, an error code. */
_Noreturn void cpu_raise(Cpu *cpu, unsigned vector);
_Noreturn void cpu_raise_error(Cpu *cpu, unsigned vector, uint32_t error);

/* #GP(0), #UD. */
_Noreturn void cpu_raise_gp(Cpu *cpu);
_Noreturn void cpu_raise_ud(Cpu *cpu);

/* #PF at linear address la; sets CR2. */
_Noreturn void cpu_raise_pf(Cpu *cpu, uint64_t la, uint32_t error);

/*
 * Notes, for the triple-fault report, what the delivery of the current exception tripped over, e.g. "IDT entry 14
 * at 0x0 is not present"; printf format; kept only while a delivery is in progress.
 */
void cpu_note_fault(Cpu *cpu, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Delivers an exception: one more meanwhile makes a double fault. */
void cpu_deliver_exception(Cpu *cpu, unsigned vector, bool has_error, uint32_t error);

/* Leaves the instruction without finishing it (its state must be consistent) and looks at pending events. */
_Noreturn void cpu_unwind(Cpu *cpu);


/* "#GP"; "interrupt" for what has no name. */
const char *cpu_exception_name(unsigned vector);

/* The exception that cpu_deliver_raised() would deliver: what was raised, or #DF. */
unsigned cpu_exception_due(const Cpu *cpu);

/* The chain of faults that led to a triple fault, why each was not delivered, table entries, code: lines of text. */
void cpu_describe_triple_fault(Cpu *cpu, GString *out);

/*
 * Delivers what was raised (cpu->fault.raised), as a double fault or a shutdown where that is due; for the run loop.
 * May itself raise.
 */
void cpu_deliver_raised(Cpu *cpu);

#endif
