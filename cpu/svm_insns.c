/* The instructions of SVM, and its MSRs (AMD APM vol. 2 15.5, 15.17, 15.30; vol. 3 chapter 4). */
#include "cpu/mmu_nested.h"
#include "cpu/svm_internal.h"
#include "cpu/system.h"

#define REG VMCB_REGISTER
static const VmcbRegister load_registers[] = {
    REG(STAR, star), REG(LSTAR, lstar), REG(CSTAR, cstar), REG(SFMASK, sfmask), REG(KERNEL_GS_BASE, kernel_gs_base),
    REG(SYSENTER_CS, sysenter_cs), REG(SYSENTER_ESP, sysenter_esp), REG(SYSENTER_EIP, sysenter_eip),
};
#undef REG

static void require_svm(Cpu *cpu)
{
    if (!(cpu->efer & EFER_SVME))
        cpu_raise_ud(cpu);
    if (cpu->cpl != 0)
        cpu_raise_gp(cpu);
}

static uint64_t address_operand(Cpu *cpu, const Insn *i)
{
    return i->asz == SZ64 ? cpu->gpr[R_AX] : i->asz == SZ32 ? reg32(cpu, R_AX) : reg16(cpu, R_AX);
}

/* rAX names a VMCB by its physical address. */
static uint64_t vmcb_operand(Cpu *cpu, const Insn *i)
{
    uint64_t gpa = address_operand(cpu, i);
    require_svm(cpu);
    if ((gpa & ~GUEST_PAGE_MASK) || gpa >> cpu->physical_bits)
        cpu_raise_gp(cpu);
    return gpa;
}

static void svm_vmrun(Cpu *cpu, const Insn *i)
{
    uint64_t gpa = vmcb_operand(cpu, i);
    if (cpu->svm.guest || cpu->svm.guest_in_smm) /* the first is intercepted: vmcb_valid() has seen to that */
        cpu_raise_ud(cpu);
    cpu->svm.vmcb = gpa;
    cpu->svm.change.kind = SVM_SWITCH_ENTER;
    cpu->svm.change.next_rip = next_rip(cpu, i);
    cpu_unwind(cpu);
}

/*
 * Virtual VMLOAD and VMSAVE: a guest that may execute them names its own memory, in 64-bit mode with nested paging,
 * and is intercepted else (AMD APM vol. 2 15.33.1).
 */
static Vmcb open_operand(Cpu *cpu, const Insn *i, bool write)
{
    NestedRights may;
    uint64_t gpa = vmcb_operand(cpu, i);
    if (!cpu->svm.guest || !cpu_has(cpu, FEAT_V_VMSAVE_VMLOAD) || !(cpu->svm.virt_ext & VMCB_VMLOAD_VIRTUAL))
        return vmcb_open(cpu, gpa);
    if (!cpu->svm.nested || !cpu->long_mode)
        svm_exit_insn(cpu, write ? VMEXIT_VMSAVE : VMEXIT_VMLOAD, 0, 0, next_rip(cpu, i));
    return vmcb_open(cpu, nested_access(cpu, gpa, write ? MMU_WRITE : MMU_READ, &may));
}

static const struct { uint16_t place; uint8_t seg; } hidden_segments[] = {
    { VMCB_FS, SEG_FS }, { VMCB_GS, SEG_GS }, { VMCB_LDTR, SEG_LDTR }, { VMCB_TR, SEG_TR },
};

static uint64_t canonical(const Cpu *cpu, uint64_t la)
{
    return cpu_has(cpu, FEAT_LM) ? (uint64_t)sign_extend(la, cpu->max_linear_bits) : la;
}

static void svm_vmload(Cpu *cpu, const Insn *i)
{
    Vmcb v = open_operand(cpu, i, false);
    for (unsigned k = 0; k < ARRAY_SIZE(hidden_segments); k++) {
        Segment *s = &cpu->seg[hidden_segments[k].seg];
        *s = vmcb_load_segment(&v, hidden_segments[k].place);
        s->base = canonical(cpu, s->base);
    }
    vmcb_load_fields(&v, load_registers, ARRAY_SIZE(load_registers));
    cpu->kernel_gs_base = canonical(cpu, cpu->kernel_gs_base);
    cpu_update_mode(cpu);
}

static void svm_vmsave(Cpu *cpu, const Insn *i)
{
    Vmcb v = open_operand(cpu, i, true);
    for (unsigned k = 0; k < ARRAY_SIZE(hidden_segments); k++)
        vmcb_store_segment(&v, hidden_segments[k].place, &cpu->seg[hidden_segments[k].seg]);
    vmcb_store_fields(&v, load_registers, ARRAY_SIZE(load_registers));
    vmcb_close(&v);
}

static void set_gif(Cpu *cpu, bool gif)
{
    require_svm(cpu);
    if (cpu->svm.guest && cpu_has(cpu, FEAT_VGIF) && (cpu->svm.int_ctl & V_GIF_ENABLE))
        cpu->svm.int_ctl = gif ? cpu->svm.int_ctl | V_GIF : cpu->svm.int_ctl & ~(uint32_t)V_GIF;
    else
        cpu->svm.gif = gif;
    if (gif)
        cpu_request_attention(cpu);
}

static void svm_stgi(Cpu *cpu, const Insn *i) { (void)i; set_gif(cpu, true); }
static void svm_clgi(Cpu *cpu, const Insn *i) { (void)i; set_gif(cpu, false); }

/* The soft TLB holds the current world's linear addresses only. */
static void svm_invlpga(Cpu *cpu, const Insn *i)
{
    require_svm(cpu);
    nested_flush(cpu);
    if (!cpu->svm.guest && reg32(cpu, R_CX) != 0)
        cpu->svm.tables.valid = 0;
    else
        tlb_flush_page(cpu, address_operand(cpu, i));
}

SEM_1(svm_vmrun)
SEM_1(svm_vmload)
SEM_1(svm_vmsave)
SEM_1(svm_stgi)
SEM_1(svm_clgi)
SEM_1(svm_invlpga)

/* ---- MSRs ---- */

enum { MSR_TSC_RATIO = 0xc0000104, MSR_VM_CR = 0xc0010114, MSR_VM_HSAVE_PA = 0xc0010117 };

bool svm_msr_read(Cpu *cpu, uint32_t index, uint64_t *v)
{
    switch (index) {
    case MSR_TSC_RATIO: *v = cpu->svm.tsc_ratio; return true;
    case MSR_VM_CR: *v = cpu->svm.vm_cr; return true;
    case MSR_VM_HSAVE_PA: *v = cpu->svm.hsave_pa; return true;
    default: return false;
    }
}

/* LOCK keeps itself and SVMDIS as they are until reset (AMD APM vol. 2 15.30.1). */
static bool write_vm_cr(Cpu *cpu, uint64_t v)
{
    if (v & ~(uint64_t)VM_CR_DEFINED)
        return false;
    if (cpu->svm.vm_cr & VM_CR_LOCK)
        v = (v & ~(uint64_t)(VM_CR_LOCK | VM_CR_SVMDIS)) | (cpu->svm.vm_cr & (VM_CR_LOCK | VM_CR_SVMDIS));
    if ((v & VM_CR_SVMDIS) && (cpu->efer & EFER_SVME))
        return false;
    cpu->svm.vm_cr = v;
    return true;
}

bool svm_msr_write(Cpu *cpu, uint32_t index, uint64_t v)
{
    switch (index) {
    case MSR_TSC_RATIO:
        if (v >> 40)
            return false;
        cpu->svm.tsc_ratio = v;
        return true;
    case MSR_VM_CR: return write_vm_cr(cpu, v);
    case MSR_VM_HSAVE_PA:
        if ((v & ~GUEST_PAGE_MASK) || v >> cpu->physical_bits)
            return false;
        cpu->svm.hsave_pa = v;
        return true;
    default: return false;
    }
}

/* The ratio has 32 bits behind the point (AMD APM vol. 2 15.30.5). */
uint64_t svm_guest_tsc(const Cpu *cpu, uint64_t tsc)
{
    if (cpu_has(cpu, FEAT_TSC_SCALE))
        tsc = (unsigned __int128)tsc * cpu->svm.tsc_ratio >> 32;
    return tsc + cpu->svm.tsc_offset;
}
