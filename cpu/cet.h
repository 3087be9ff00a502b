/*
 * Control-flow enforcement: shadow stacks and indirect branch tracking (SDM vol. 1 chapter 17; vol. 3A 6.15, interrupt
 * 21).
 *
 * Which of the two is in use at the current privilege is in the decode key, so that recompiled code of a guest without
 * them knows nothing of them.  A shadow stack's pages are found through a few entries of their own (ShadowPage), since
 * neither loads and stores nor the soft TLB may treat them as what they are to the processor alone.
 *
 * A tracked branch whose target begins with ENDBRANCH, as it should, leaves the tracker idle at once: that instruction
 * would do nothing else.  Where that cannot be told from here, the tracker waits, and with it the run loop goes one
 * instruction at a time (STEP_IBT) and looks at the next one.
 */
#ifndef MYNA_CPU_CET_H
#define MYNA_CPU_CET_H

#include "cpu/control.h"
#include "cpu/fault.h"

/* Error codes of #CP. */
enum { CP_NEAR_RET = 1, CP_FAR_RET = 2, CP_ENDBRANCH = 3, CP_RSTORSSP = 4, CP_SETSSBSY = 5 };

static inline bool shadow_in_use(const Cpu *cpu) { return cpu->key & KEY_SHSTK; }

/* Whether shadow stacks are enabled at level cpl of protected mode. */
static inline bool shadow_enabled(const Cpu *cpu, unsigned cpl)
{
    return (cpu->cr4 & CR4_CET) && (cpu->cr0 & CR0_PE) && ((cpl == 3 ? cpu->u_cet : cpu->s_cet) & CET_SH_STK_EN);
}

/* The short ways of interrupts and IRET know no shadow stacks. */
static inline bool shadow_anywhere(const Cpu *cpu)
{
    return unlikely(cpu->cr4 & CR4_CET) && ((cpu->u_cet | cpu->s_cet) & CET_SH_STK_EN);
}

/* An address on the shadow stack of the current mode: 32 bits wide outside 64-bit mode. */
static inline uint64_t shadow_address(const Cpu *cpu, uint64_t la) { return cpu_code64(cpu) ? la : (uint32_t)la; }

/*
 * Shadow-stack loads and stores of 4 or 8 bytes at a linear address that is a multiple of 4, with the privilege of
 * level cpl.  All check first, and raise #PF or #GP(0).
 */
uint64_t shadow_load(Cpu *cpu, uint64_t la, unsigned size, unsigned cpl);
void shadow_store(Cpu *cpu, uint64_t la, uint64_t v, unsigned size, unsigned cpl);
/* Raises what a store there would. */
void shadow_check_store(Cpu *cpu, uint64_t la, unsigned size, unsigned cpl);
/* Replaces 8 bytes in one piece, if they are `expected`; false otherwise. */
bool shadow_exchange(Cpu *cpu, uint64_t la, uint64_t expected, uint64_t v, unsigned cpl);

/* Near CALL: first the check, then (the data stack written) the push.  Near RET: #CP unless the address is there. */
void shadow_reserve(Cpu *cpu, unsigned size);
void shadow_push(Cpu *cpu, uint64_t v, unsigned size);
void shadow_pop_return(Cpu *cpu, uint64_t rip, unsigned size);

/*
 * Far transfers: what becomes of SSP, which the caller stores when nothing can fault any more.  All that is read from
 * and written to shadow stacks happens here, with all checks.
 *
 * A CALL or event that goes to level cpl (`inner`: from an outer one), to 64-bit code or not, saving `rip`; ist: of an
 * interrupt gate, or 0.
 */
uint64_t shadow_enter(Cpu *cpu, unsigned cpl, bool inner, unsigned ist, bool to64, uint64_t rip);
/* RET or IRET to sel, 64-bit code or not, at linear address lip. */
uint64_t shadow_return(Cpu *cpu, uint16_t sel, bool to64, uint64_t lip, bool iret);
/* IRET to virtual-8086 mode. */
void shadow_return_v86(Cpu *cpu);
/* JMP to 32-bit code needs SSP below 4 GiB. */
void shadow_check_jump(Cpu *cpu, bool to64);
/* IA32_PL3_SSP takes what level 3 leaves; SYSRET and SYSEXIT give it back. */
void shadow_save_user(Cpu *cpu);
void shadow_leave_by_syscall(Cpu *cpu);
void shadow_return_to_user(Cpu *cpu);

/* A task switch's: what the old task hands over, and the steps on either side of loading the new one. */
typedef struct ShadowTask {
    bool frame;          /* CS, LIP and SSP below go onto the new shadow stack, or (IRET) came from the old one */
    uint64_t cs, lip, ssp;
} ShadowTask;
ShadowTask shadow_task_leave(Cpu *cpu, enum TaskSwitchKind kind, unsigned cpl, uint64_t rip);
void shadow_task_enter(Cpu *cpu, enum TaskSwitchKind kind, const ShadowTask *t, uint32_t error);

/* After a far transfer, an event or a near indirect branch: the instruction at RIP must be ENDBRANCH. */
void cet_expect_endbranch(Cpu *cpu);
static inline void cet_track_far(Cpu *cpu)
{
    if (unlikely(cpu->key & KEY_IBT))
        cet_expect_endbranch(cpu);
}
void cet_track_branch(Cpu *cpu, const Insn *i);
static inline void cet_track_near(Cpu *cpu, const Insn *i)
{
    if (unlikely(cpu->key & KEY_IBT))
        cet_track_branch(cpu, i);
}

/* While the tracker waits: raises #CP if the instruction that is about to run may not be there. */
void cet_check_target(Cpu *cpu, const Insn *i);

/* Whether IA32_U_CET and IA32_S_CET, or IA32_PL0_SSP and so on, take a value. */
bool cet_control_valid(const Cpu *cpu, uint64_t v);
bool cet_ssp_valid(const Cpu *cpu, uint64_t v);

#endif
