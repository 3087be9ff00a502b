/*
 * UMONITOR, UMWAIT and TPAUSE (SDM vol. 2).
 *
 * Both waits may end early, for whatever reason the processor has; here they end at once and let other CPUs run, as
 * PAUSE does.  So the operating system's limit of IA32_UMWAIT_CONTROL never expires, which CF would tell.
 */
#include "cpu/access.h"
#include "cpu/flags.h"

/* Checked like a load of a byte; what it would watch does not matter. */
static void umonitor(Cpu *cpu, const Insn *i)
{
    static const uint64_t mask[3] = { 0xffff, 0xffffffff, ~UINT64_C(0) };
    mem_read8(cpu, i->seg, cpu->gpr[i->rm] & mask[i->asz]);
}
SEM_1(umonitor)

static void timed_wait(Cpu *cpu, const Insn *i)
{
    if ((reg32(cpu, i->rm) & ~1u) || (cpu->cr4 & CR4_TSD && cpu->cpl != 0))
        cpu_raise_gp(cpu);
    if (cpu->parallel)
        cpu_yield(cpu);
    set_flags_arith(cpu, 0);
}
SEM_1(timed_wait)
