/*
 * Control registers, model-specific registers, CPUID, and debug registers, as instructions and other parts use them.
 */
#ifndef MYNA_CPU_SYSTEM_H
#define MYNA_CPU_SYSTEM_H

#include "cpu/stops.h"

/* What INVLPG's operand names, without a segment check. */
uint64_t invlpg_address(const Cpu *cpu, const Insn *i);

/* MOV to CRn with every check (#GP(0)) and consequence (mode change, TLB flushes). */
void cr0_write(Cpu *cpu, uint64_t v);
void cr3_write(Cpu *cpu, uint64_t v);
void cr4_write(Cpu *cpu, uint64_t v);
void cr8_write(Cpu *cpu, uint64_t v);
uint64_t cr8_read(Cpu *cpu);

/* Sets EFER as far as loads without checks need it (SMM, RSM, machine restore): LMA follows the mode. */
void efer_set(Cpu *cpu, uint64_t v);

/* RDMSR and WRMSR; false: the MSR is unknown or the value not allowed, and the caller raises #GP(0). */
bool msr_read(Cpu *cpu, uint32_t index, uint64_t *v);
bool msr_write(Cpu *cpu, uint32_t index, uint64_t v);

/*
 * The time-stamp counter, with its offset.  It counts nanoseconds of the virtual clock, so CPUID leaf 15h can name its
 * frequency.  The TSC deadline (MSR 6E0h) crosses IntcOps without the offset: as a time of the virtual clock, 0 when
 * disarmed.
 */
#define CPU_TSC_HZ UINT64_C(1000000000)
uint64_t tsc_read(Cpu *cpu);

/* DebugCtl.LBR has branches recorded: a taken branch, and the entry of an interrupt or exception, from RIP `from`. */
enum { DEBUG_CTL_LBR = 1 };
void debug_note_branch(Cpu *cpu, uint64_t from);
void debug_note_interrupt(Cpu *cpu, unsigned vector, uint64_t from);

/* Bits of XCR0 that the CPU supports (xsave.c); sets it, false when it cannot have that value. */
uint64_t xcr0_supported(const Cpu *cpu);
bool xcr0_set(Cpu *cpu, uint64_t v);

/* Bits of CR4 and EFER that the model's features allow. */
uint64_t cr4_allowed(const Cpu *cpu);
uint64_t efer_allowed(const Cpu *cpu);

/* Bits of CR0 that exist, and those that are always set. */
uint64_t cr0_defined(const Cpu *cpu);
uint64_t cr0_fixed(const Cpu *cpu);

/* Family, model and stepping as CPUID leaf 1 gives them in EAX, and reset in EDX, with CPUID or without. */
uint32_t cpuid_signature(const CpuModel *model);

/* CPUID for a leaf and subleaf, as the model and the current state (OSXSAVE, APIC enable, ...) give it. */
void cpuid_read(const Cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

/* SMM entry at an instruction boundary and exit (RSM; raises #UD outside SMM). SDM vol. 3C chapter 32. */
void smm_enter(Cpu *cpu);
/* Sets cpu->in_smm and has the chipset show or hide SMRAM (Machine.smm_changed). */
void smm_set(Cpu *cpu, bool in_smm);
void smm_leave(Cpu *cpu);

/* Debug register reads and writes with DR7.GD, CR4.DE aliases and reserved bits (SDM vol. 3B 18.2). */
uint64_t dr_read(Cpu *cpu, unsigned n);
void dr_write(Cpu *cpu, unsigned n, uint64_t v);
/* The same without the checks, which are the instruction's: n is 0 to 3, 6 or 7, and bits that do not exist are dropped. */
void dr_set(Cpu *cpu, unsigned n, uint64_t v);

/* Whether any enabled breakpoint of DR7 could match an instruction fetch, or a data access to the page of la. */
bool debug_code_armed(const Cpu *cpu);
bool debug_page_watched(const Cpu *cpu, uint64_t la);

/* Notes data breakpoints that an access hits (in dr6_pending), I/O ones likewise (CR4.DE). */
void debug_check_data(Cpu *cpu, uint64_t la, unsigned size, bool write);
void debug_check_io(Cpu *cpu, uint16_t port, unsigned size);

/* Data breakpoints, and a debugger's points, on what was accessed (STOP_READ, STOP_WRITE); all come after the instruction. */
static inline void debug_watch(Cpu *cpu, uint64_t la, unsigned size, unsigned access)
{
    if (stops_wanted(cpu, STOP_DATA))
        stops_data(cpu, la, size, access);
    if (likely(!(cpu->dr[7] & 0xff)))
        return;
    debug_check_data(cpu, la, size, access & STOP_WRITE);
    if (cpu->dr6_pending)
        cpu->insn_end = NULL;
}

/* Moves the pending conditions to DR6, for a #DB that reports them. */
void debug_take_pending(Cpu *cpu);

/* Power-on or INIT state (SDM vol. 3A 10.1.1); INIT keeps FPU, MSRs and caches. */
void cpu_reset_state(Cpu *cpu, bool init);

#endif
