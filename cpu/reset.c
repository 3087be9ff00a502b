/*
 * The state after power-on and after INIT (SDM vol. 3A 10.1.1, table 10-1).
 */
#include <string.h>

#include "cpu/flags.h"
#include "cpu/mmu.h"
#include "cpu/model.h"
#include "cpu/svm.h"
#include "cpu/system.h"

/* Until the 186 the upper four flags are ones. */
#define FLAGS_UNTIL_186 0xf000

static void reset_registers(Cpu *cpu)
{
    memset(cpu->gpr_named, 0, sizeof(uint64_t) * 16);
    if (cpu_has(cpu, FEAT_I386))
        cpu->gpr[R_DX] = cpuid_signature(cpu->model);
    cpu->rip = 0xfff0;
    cpu->eflags = cpu_has(cpu, FEAT_UNTIL_186) ? FLAGS_UNTIL_186 : 0;
    set_flags_arith(cpu, 0);
}

/* The 8086 and the 186 begin at FFFF:0. */
static void reset_code_segment(Cpu *cpu)
{
    bool old = cpu_has(cpu, FEAT_UNTIL_186);
    cpu->seg[SEG_CS].sel = old ? 0xffff : 0xf000;
    cpu->seg[SEG_CS].base = old ? 0xffff0 : 0xffff0000;
    cpu->seg[SEG_CS].attr |= SA_CODE;
    if (old)
        cpu->rip = 0;
}

static void reset_segments(Cpu *cpu)
{
    for (unsigned s = SEG_ES; s <= SEG_GS; s++)
        cpu->seg[s] = (Segment){ .limit = 0xffff, .attr = SA_P | SA_S | SA_WRITABLE | SA_ACCESSED };
    reset_code_segment(cpu);
    cpu->seg[SEG_LDTR] = (Segment){ .limit = 0xffff, .attr = SA_P | 0x2 };
    cpu->seg[SEG_TR] = (Segment){ .limit = 0xffff, .attr = SA_P | 0xb };
    cpu->gdtr = cpu->idtr = (TablePtr){ .limit = 0xffff };
    if (cpu->model->family < 5)
        cpu->idtr.limit = 0x3ff; /* Intel486 Processor Family Programmer's Reference Manual, table 10-1 */
}

static void reset_control(Cpu *cpu, bool init)
{
    uint64_t cache_bits = init ? cpu->cr0 & (CR0_CD | CR0_NW) : CR0_CD | CR0_NW;
    cpu->cr0 = cr0_fixed(cpu) | (cache_bits & cr0_defined(cpu));
    cpu->cr2 = cpu->cr3 = cpu->cr4 = cpu->cr8 = 0;
    cpu->efer = 0;
    memset(cpu->pdpte, 0, sizeof cpu->pdpte);
    memset(cpu->dr, 0, sizeof cpu->dr);
    cpu->dr[6] = 0xffff0ff0;
    cpu->dr[7] = cpu->model->family < 5 ? 0 : 0x400;
}

/* Power-on tags are "zero", not "empty" (FTW 5555h); MXCSR has every exception masked. */
static void reset_vector_state(Cpu *cpu)
{
    memset(&cpu->fpu, 0, sizeof cpu->fpu);
    cpu->fpu.control = 0x40;
    cpu->fpu.tags = 0xff;
    memset(cpu->vec, 0, sizeof cpu->vec);
    memset(cpu->opmask, 0, sizeof cpu->opmask);
    cpu->mxcsr = 0x1f80;
    cpu->xcr0 = 1;
    cpu->xss = 0;
    pkru_set(cpu, 0);
}

/*
 * The TSC keeps counting with the virtual clock over a reset: it is 0 at power-on, as that clock is, and the same on
 * all CPUs, however they are reset one after the other.
 */
static void reset_msrs(Cpu *cpu)
{
    cpu->star = cpu->lstar = cpu->cstar = cpu->sfmask = cpu->kernel_gs_base = 0;
    cpu->sysenter_cs = cpu->sysenter_esp = cpu->sysenter_eip = 0;
    cpu->tsc_aux = cpu->tsc_offset = cpu->tsc_adjust = 0;
    cpu->pat = UINT64_C(0x0007040600070406);
    cpu->misc_enable = BIT(0) | BIT(11) | BIT(12) | (cpu_has(cpu, FEAT_MONITOR) ? BIT(18) : 0);
    cpu->pkrs = cpu->ssp = cpu->u_cet = cpu->s_cet = cpu->interrupt_ssp_table = 0;
    memset(cpu->pl_ssp, 0, sizeof cpu->pl_ssp);
    memset(cpu->branch, 0, sizeof cpu->branch);
    cpu->spec_ctrl = cpu->debug_ctl = cpu->mcg_status = 0;
    cpu->smbase = 0x30000;
    cpu->feature_control = 1; /* locked: neither VMX nor SMX is there to be enabled */
    cpu->hwcr = BIT(24);      /* the TSC counts at the P0 frequency (AMD BKDG, HWCR.TscFreqSel) */
    cpu->umwait_control = 0;
    memset(cpu->mc_bank, 0, sizeof cpu->mc_bank);
    memset(cpu->perf_evtsel, 0, sizeof cpu->perf_evtsel);
    memset(cpu->perf_ctr, 0, sizeof cpu->perf_ctr);
    cpu->mtrr = (MtrrState){ 0 };
}

static void reset_activity(Cpu *cpu)
{
    cpu->run_state = cpu->index == 0 ? CPU_RUNNING : CPU_WAIT_SIPI;
    cpu->shadow = 0;
    if (cpu->in_smm)
        smm_set(cpu, false);
    cpu->nmi_blocked = cpu->smm_nmi_blocked = false;
    cpu->monitor_gpa = 0;
    cpu->dr6_pending = 0;
}

void cpu_reset_state(Cpu *cpu, bool init)
{
    reset_registers(cpu);
    reset_segments(cpu);
    reset_control(cpu, init);
    reset_activity(cpu);
    svm_reset(cpu, init);
    if (!init) {
        reset_vector_state(cpu);
        reset_msrs(cpu);
    }
    tlb_flush_all(cpu);
    cpu_update_mode(cpu);
}
