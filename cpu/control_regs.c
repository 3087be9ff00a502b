/*
 * Control registers and EFER: checks of MOV to CRn, and what follows from a change (SDM vol. 3A 2.5, 4.1, 10.8.5;
 * vol. 2, MOV to and from control registers).
 */
#include "core/machine.h"
#include "cpu/fault.h"
#include "cpu/mmu.h"
#include "cpu/svm.h"
#include "cpu/system.h"

#define CR0_386 (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_PG)
#define CR0_486 (CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD)
#define CR3_PCID UINT64_C(0xfff)
#define CR3_NO_FLUSH BIT(63)

/* PAE paging outside long mode: CR3 names four PDPTEs that the processor keeps. */
static bool uses_pdptes(const Cpu *cpu, uint64_t cr0, uint64_t cr4)
{
    return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(cpu->efer & EFER_LME);
}

/* Setting PG with EFER.LME enters long mode, which has its own conditions (SDM vol. 3A 10.8.5). */
static bool may_enable_paging(const Cpu *cpu)
{
    if (!(cpu->efer & EFER_LME))
        return true;
    return (cpu->cr4 & CR4_PAE) && !(cpu->seg[SEG_CS].attr & SA_L);
}

uint64_t cr0_defined(const Cpu *cpu) { return cpu_has(cpu, FEAT_I486) ? CR0_386 | CR0_486 : CR0_386; }

/* The 386 finds out at reset what kind of coprocessor there is; later ones are the 387 themselves. */
uint64_t cr0_fixed(const Cpu *cpu) { return cpu_has(cpu, FEAT_I486) || cpu_has(cpu, FEAT_I387) ? CR0_ET : 0; }

static bool cr0_valid(const Cpu *cpu, uint64_t v)
{
    if (v >> 32)
        return false;
    if ((v & CR0_PG) && !(v & CR0_PE))
        return false;
    if (((v & CR0_NW) && !(v & CR0_CD)) || (!(v & CR0_WP) && (cpu->cr4 & CR4_CET)))
        return false;
    if ((v & ~cpu->cr0) & CR0_PG)
        return may_enable_paging(cpu);
    if ((cpu->cr0 & ~v) & CR0_PG)
        return !cpu_code64(cpu) && !(cpu->cr4 & CR4_PCIDE);
    return true;
}

void cr0_write(Cpu *cpu, uint64_t v)
{
    if (!cr0_valid(cpu, v))
        cpu_raise_gp(cpu);
    v = (v & cr0_defined(cpu)) | cr0_fixed(cpu);
    uint64_t changed = cpu->cr0 ^ v;
    if (!changed)
        return;
    if ((changed & (CR0_PG | CR0_CD | CR0_NW)) && uses_pdptes(cpu, v, cpu->cr4) && !mmu_load_pdptes(cpu, cpu->cr3))
        cpu_raise_gp(cpu);
    cpu->cr0 = v;
    if ((changed & CR0_PG) && (cpu->efer & EFER_LME))
        cpu->efer = v & CR0_PG ? cpu->efer | EFER_LMA : cpu->efer & ~(uint64_t)EFER_LMA;
    if (changed & (CR0_PG | CR0_PE | CR0_WP)) /* WP is part of what the soft TLB holds */
        tlb_flush_all(cpu);
    cpu_update_mode(cpu);
}

/*
 * The soft TLB holds entries of one PCID only, so a switch to another one drops all that are not global even when
 * bit 63 asks to keep them, which is allowed (SDM vol. 3A 4.10.4.1).
 */
void cr3_write(Cpu *cpu, uint64_t v)
{
    bool keep = false;
    if (cpu->cr4 & CR4_PCIDE) {
        keep = (v & CR3_NO_FLUSH) && !((v ^ cpu->cr3) & CR3_PCID);
        v &= ~CR3_NO_FLUSH;
    }
    if (v & ~bit_mask(cpu->physical_bits))
        cpu_raise_gp(cpu);
    if (uses_pdptes(cpu, cpu->cr0, cpu->cr4) && !mmu_load_pdptes(cpu, v))
        cpu_raise_gp(cpu);
    if (v != cpu->cr3)
        stops_note(cpu, STOP_CR3, 0, 0, 0, v, cpu->cr3);
    cpu->cr3 = v;
    if (!keep)
        tlb_flush_local(cpu);
}

uint64_t cr4_allowed(const Cpu *cpu)
{
    static const struct { uint16_t feature; uint32_t bits; } table[] = {
        { FEAT_VME, CR4_VME | CR4_PVI }, { FEAT_TSC, CR4_TSD },          { FEAT_DE, CR4_DE },
        { FEAT_PSE, CR4_PSE },           { FEAT_PAE, CR4_PAE },          { FEAT_MCE, CR4_MCE },
        { FEAT_PGE, CR4_PGE },           { FEAT_MMX, CR4_PCE },          { FEAT_FXSR, CR4_OSFXSR },
        { FEAT_SSE, CR4_OSXMMEXCPT },    { FEAT_UMIP, CR4_UMIP },        { FEAT_FSGSBASE, CR4_FSGSBASE },
        { FEAT_PCID, CR4_PCIDE },        { FEAT_XSAVE, CR4_OSXSAVE },    { FEAT_SMEP, CR4_SMEP },
        { FEAT_SMAP, CR4_SMAP },         { FEAT_LA57, CR4_LA57 },        { FEAT_PKU, CR4_PKE },
        { FEAT_PKS, CR4_PKS },           { FEAT_SHSTK, CR4_CET },        { FEAT_IBT, CR4_CET },
    };
    uint64_t allowed = 0;
    for (unsigned k = 0; k < ARRAY_SIZE(table); k++)
        if (cpu_has(cpu, table[k].feature))
            allowed |= table[k].bits;
    return allowed;
}

static bool cr4_valid(const Cpu *cpu, uint64_t v)
{
    if ((v & ~cr4_allowed(cpu)) || ((v & CR4_CET) && !(cpu->cr0 & CR0_WP)))
        return false;
    if (cpu->long_mode && (!(v & CR4_PAE) || ((v ^ cpu->cr4) & CR4_LA57)))
        return false;
    if ((v & ~cpu->cr4) & CR4_PCIDE)
        return cpu->long_mode && !(cpu->cr3 & CR3_PCID);
    return true;
}

void cr4_write(Cpu *cpu, uint64_t v)
{
    const uint64_t paging = CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCIDE | CR4_SMEP | CR4_SMAP | CR4_LA57 | CR4_PKE |
                            CR4_PKS;
    if (!cr4_valid(cpu, v))
        cpu_raise_gp(cpu);
    uint64_t changed = cpu->cr4 ^ v;
    if ((changed & (CR4_PAE | CR4_PGE | CR4_PSE | CR4_SMEP)) && uses_pdptes(cpu, cpu->cr0, v) &&
        !mmu_load_pdptes(cpu, cpu->cr3))
        cpu_raise_gp(cpu);
    cpu->cr4 = v;
    if (changed & paging)
        tlb_flush_all(cpu);
    cpu_update_mode(cpu);
}

uint64_t cr8_read(Cpu *cpu)
{
    uint64_t tpr;
    if (unlikely(cpu->svm.guest) && svm_read_tpr(cpu, &tpr))
        return tpr;
    if (!cpu->intc)
        return cpu->cr8;
    machine_lock(cpu->machine);
    uint64_t v = cpu->intc->tpr_read(cpu->intc_opaque);
    machine_unlock(cpu->machine);
    return v;
}

void cr8_write(Cpu *cpu, uint64_t v)
{
    if (v & ~UINT64_C(15))
        cpu_raise_gp(cpu);
    if (unlikely(cpu->svm.guest) && svm_write_tpr(cpu, v))
        return;
    cpu->cr8 = v;
    if (!cpu->intc)
        return;
    machine_lock(cpu->machine);
    cpu->intc->tpr_write(cpu->intc_opaque, v);
    machine_unlock(cpu->machine);
}

uint64_t efer_allowed(const Cpu *cpu)
{
    return (cpu_has(cpu, FEAT_SYSCALL) ? EFER_SCE : 0) | (cpu_has(cpu, FEAT_LM) ? EFER_LME | EFER_LMA : 0) |
           (cpu_has(cpu, FEAT_NX) ? EFER_NXE : 0) | (cpu_has(cpu, FEAT_FXSR_OPT) ? EFER_FFXSR : 0) |
           (cpu_has(cpu, FEAT_SVM) && !(cpu->svm.vm_cr & VM_CR_SVMDIS) ? EFER_SVME : 0);
}

void efer_set(Cpu *cpu, uint64_t v)
{
    bool lma = (v & EFER_LME) && (cpu->cr0 & CR0_PG);
    uint64_t changed = cpu->efer ^ v;
    cpu->efer = (v & efer_allowed(cpu) & ~(uint64_t)EFER_LMA) | (lma ? EFER_LMA : 0);
    if (changed & (EFER_NXE | EFER_LME | EFER_LMA))
        tlb_flush_all(cpu);
    cpu_update_mode(cpu);
}
