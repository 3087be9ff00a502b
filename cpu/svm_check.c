/* Which VMCBs VMRUN refuses (AMD APM vol. 2 15.5.1, "Canonicalization and Consistency Checks"). */
#include "cpu/svm_internal.h"
#include "cpu/system.h"

/* A look at the guest's mode, before it is loaded. */
typedef struct Mode {
    uint64_t cr0, cr3, cr4, efer;
} Mode;

static bool efer_valid(const Cpu *cpu, const Mode *m)
{
    return (m->efer & EFER_SVME) && !(m->efer & ~efer_allowed(cpu));
}

static bool registers_valid(const Cpu *cpu, const Mode *m)
{
    if ((m->cr0 >> 32) || ((m->cr0 & CR0_NW) && !(m->cr0 & CR0_CD)))
        return false;
    if ((m->cr4 & CR4_CET) && !(m->cr0 & CR0_WP))
        return false;
    return !(m->cr3 >> cpu->physical_bits) && !(m->cr4 & ~cr4_allowed(cpu));
}

/* Paging without protection is allowed outside long mode: "paged real mode", 15.19. */
static bool long_mode_valid(const Vmcb *v, const Mode *m)
{
    if (!(m->efer & EFER_LME) || !(m->cr0 & CR0_PG))
        return true;
    unsigned attr = vmcb_read(v, VMCB_ES + SEG_CS * 16 + VMCB_SEG_ATTR, 2);
    bool l = attr & SA_L >> 4, d = attr & SA_DB >> 4;
    return (m->cr4 & CR4_PAE) && (m->cr0 & CR0_PE) && !(l && d);
}

/* The last byte of the maps has to be in physical memory; the manual's limit for the MSR map is tighter by one. */
static bool maps_valid(const Cpu *cpu)
{
    const SvmState *s = &cpu->svm;
    uint64_t end = BIT(cpu->physical_bits);
    if (svm_intercepts(cpu, VMEXIT_MSR) && (s->msrpm >= end || end - s->msrpm <= 2 * GUEST_PAGE_SIZE))
        return false;
    return !svm_intercepts(cpu, VMEXIT_IOIO) || (s->iopm < end && end - s->iopm >= 3 * GUEST_PAGE_SIZE);
}

static bool pat_valid(uint64_t pat)
{
    for (unsigned k = 0; k < 64; k += 8)
        if ((pat >> k & 0xff) > 7 || (pat >> k & 7) == 2 || (pat >> k & 7) == 3)
            return false;
    return true;
}

/* Nested tables are in the host's mode of paging, so it must have one (15.25.3). */
static bool nested_valid(const Vmcb *v)
{
    const Cpu *cpu = v->cpu;
    if (!cpu->svm.nested_enabled)
        return true;
    return (cpu->svm.host.cr0 & CR0_PG) && !(cpu->svm.nested_cr3 >> cpu->physical_bits) &&
           pat_valid(vmcb_read(v, VMCB_G_PAT, 8));
}

/* Virtual NMIs need real ones to leave the guest. */
static bool control_valid(const Vmcb *v)
{
    const Cpu *cpu = v->cpu;
    bool vnmi = cpu_has(cpu, FEAT_VNMI) && (cpu->svm.int_ctl & V_NMI_ENABLE);
    if (!svm_intercepts(cpu, VMEXIT_VMRUN) || !cpu->svm.asid || (vnmi && !svm_intercepts(cpu, VMEXIT_NMI)))
        return false;
    return maps_valid(cpu) && svm_injection_valid(vmcb_read(v, VMCB_EVENTINJ, 8));
}

bool vmcb_valid(const Vmcb *v)
{
    Mode m = { vmcb_read(v, VMCB_CR0, 8), vmcb_read(v, VMCB_CR3, 8), vmcb_read(v, VMCB_CR4, 8),
               vmcb_read(v, VMCB_EFER, 8) };
    if (vmcb_read(v, VMCB_DR6, 8) >> 32 || vmcb_read(v, VMCB_DR7, 8) >> 32)
        return false;
    return efer_valid(v->cpu, &m) && registers_valid(v->cpu, &m) && long_mode_valid(v, &m) && nested_valid(v) &&
           control_valid(v);
}
