/*
 * Transfers of control beyond a near jump: far jumps, calls and returns, gates, interrupts, exceptions, task switches.
 */
#ifndef MYNA_CPU_CONTROL_H
#define MYNA_CPU_CONTROL_H

#include "cpu/state.h"

/*
 * Far JMP and CALL to sel:offset in any mode, through whatever sel names (code segment, call gate, task gate, TSS).
 * `osz` is the operand size; next_rip is what CALL pushes.  They set cpu->rip.
 */
void far_jump(Cpu *cpu, uint16_t sel, uint64_t offset, unsigned osz, uint64_t next_rip);
void far_call(Cpu *cpu, uint16_t sel, uint64_t offset, unsigned osz, uint64_t next_rip);

/* RET far (extra: bytes to drop from the stacks) and IRET, in any mode. */
void far_return(Cpu *cpu, unsigned osz, uint16_t extra);
void interrupt_return(Cpu *cpu, unsigned osz, uint64_t next_rip);

/* Where an interrupt comes from; decides checks, saved RIP and the EXT bit of error codes. */
enum InterruptKind {
    INTERRUPT_EXTERNAL,  /* hardware interrupt or NMI */
    INTERRUPT_EXCEPTION, /* processor exception */
    INTERRUPT_SOFTWARE,  /* INT n (gate DPL is checked; VME redirection) */
    INTERRUPT_INT3,      /* INT3 and INTO: gate DPL is checked, no redirection */
    INTERRUPT_ICEBP,     /* INT1: as an exception, no DPL check */
};

/*
 * Delivers a vector through the IVT or IDT, saving cpu->rip as it stands; may raise a further exception (which the
 * run loop turns into a double fault or shutdown by cpu_deliver_exception).
 */
void interrupt_deliver(Cpu *cpu, unsigned vector, enum InterruptKind kind, bool has_error, uint32_t error);

/* The same with another RIP saved, for what returns behind an instruction: an injected event (svm.h). */
void interrupt_inject(Cpu *cpu, unsigned vector, enum InterruptKind kind, uint64_t rip);

/* A software interrupt instruction: delivers with next_rip saved; the instruction's own RIP is kept for faults. */
void interrupt_software(Cpu *cpu, unsigned vector, enum InterruptKind kind, uint64_t next_rip);

enum TaskSwitchKind { TASK_JUMP, TASK_CALL, TASK_IRET, TASK_INTERRUPT };

/* Switches to the task whose TSS descriptor sel names (SDM vol. 3A 7.3); saves next_rip in the outgoing TSS. */
void task_switch(Cpu *cpu, uint16_t sel, enum TaskSwitchKind kind, uint64_t next_rip, bool has_error, uint32_t error);

/*
 * Whether the I/O port range port..port+size-1 may be accessed in the current mode; raises #GP(0) when not
 * (IOPL, and the I/O permission bitmap of the TSS: SDM vol. 1 19.5).
 */
void io_check(Cpu *cpu, uint16_t port, unsigned size);

#endif
