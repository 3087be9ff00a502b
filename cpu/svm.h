/*
 * Secure virtual machines: AMD's instructions for hypervisors (AMD APM vol. 2 chapter 15).
 *
 * Overview.  VMRUN keeps the host's registers in SvmState.host, loads the guest's from the VMCB (svm_vmcb.h) and sets
 * SvmState.guest; #VMEXIT does the reverse.  Both happen in the run loop: an instruction, or an event, only says what
 * is due (SvmState.change) and unwinds, so that whatever kept registers elsewhere has put them back before.
 *
 *   svm.c            VMRUN and #VMEXIT
 *   svm_insns.c      the instructions, MSRs
 *   svm_check.c      which VMCBs VMRUN refuses
 *   svm_intercept.c  which instructions a guest may execute
 *   svm_event.c      which events it may see; injected and virtual ones
 *   mmu_nested.c     nested paging
 *
 * A guest's code is decoded and recompiled like any other, under a key of its own (KEY_GUEST): rows with A_INTERCEPT
 * then decode to insn_in_guest(), all others to what they always are.  Its memory is reached through the soft TLB, of
 * which host and guest have one each (tlb_number()): linear to host addresses, whatever tables lie in between.
 *
 * Elsewhere: interp.c asks for GIF and for intercepts of events; fault.c for those of exceptions and of a shutdown;
 * task.c for that of task switches; mmu.c has table entries and pages translated once more.
 */
#ifndef MYNA_CPU_SVM_H
#define MYNA_CPU_SVM_H

#include "cpu/control.h"
#include "cpu/state.h"
#include "cpu/svm_vmcb.h"

/* What CPUID leaf 8000000Ah says there are: ASIDs. */
enum { SVM_ASIDS = 64 };

/* MSR VM_CR: DPD, R_INIT and DIS_A20M are kept and do nothing. */
enum { VM_CR_LOCK = 8, VM_CR_SVMDIS = 16, VM_CR_DEFINED = 31 };

enum { SVM_SWITCH_NONE, SVM_SWITCH_ENTER, SVM_SWITCH_LEAVE };

/* For the run loop, after it was unwound to: changes worlds if that is due. */
void svm_switch(Cpu *cpu);

/* Whether the guest's hypervisor intercepts what has this exit code (up to VMEXIT_LAST). */
static inline bool svm_intercepts(const Cpu *cpu, unsigned code)
{
    return cpu->svm.intercept[code / 32] >> (code % 32) & 1;
}

/* #VMEXIT.  The second form is of an instruction that is intercepted: it saves the next one's address. */
_Noreturn void svm_exit(Cpu *cpu, uint64_t code, uint64_t info1, uint64_t info2);
_Noreturn void svm_exit_insn(Cpu *cpu, unsigned code, uint64_t info1, uint64_t info2, uint64_t next_rip);

/* ---- events in a guest; all do nothing, or do not return ---- */

void svm_intercept_event(Cpu *cpu, unsigned code);
/* An exception about to be delivered; next_rip is 0 unless an instruction is its cause. */
void svm_intercept_exception(Cpu *cpu, unsigned vector, bool has_error, uint32_t error, uint64_t next_rip);
void svm_intercept_task_switch(Cpu *cpu, uint16_t sel, enum TaskSwitchKind kind, bool has_error, uint32_t error);

/* Whether a physical interrupt would be taken, or intercepted, now. */
bool svm_takes_interrupts(const Cpu *cpu);
/* Delivers a virtual NMI or interrupt, or has it intercepted. */
void svm_virtual_events(Cpu *cpu);
/* IRET: whether it has ended a virtual NMI. */
bool svm_end_virtual_nmi(Cpu *cpu);

/* What is delivered from now on, and that it has been: #VMEXITs in between name it. */
void svm_event_begin(Cpu *cpu, unsigned vector, enum InterruptKind kind, bool has_error, uint32_t error);
static inline void svm_event_end(Cpu *cpu) { cpu->svm.event = 0; }

/* The task priority that CR8 is in a guest; false: the local interrupt controller's own. */
bool svm_read_tpr(const Cpu *cpu, uint64_t *v);
bool svm_write_tpr(Cpu *cpu, uint64_t v);

/* The guest's time-stamp counter from the host's. */
uint64_t svm_guest_tsc(const Cpu *cpu, uint64_t tsc);

/* ---- SMM, reset, snapshots ---- */

void svm_enter_smm(Cpu *cpu);
void svm_leave_smm(Cpu *cpu);
void svm_reset(Cpu *cpu, bool init);
void svm_post_load(Cpu *cpu);

/* ---- MSRs; false: #GP ---- */

bool svm_msr_read(Cpu *cpu, uint32_t index, uint64_t *v);
bool svm_msr_write(Cpu *cpu, uint32_t index, uint64_t v);

#endif
