/*
 * What VMRUN and #VMEXIT do (svm.h; AMD APM vol. 2 15.5, 15.6).
 *
 * The host's registers are kept in the processor, as the manual allows: the page at VM_HSAVE_PA is left alone.
 */
#include <inttypes.h>
#include <string.h>

#include "core/log.h"
#include "cpu/cpu.h"
#include "cpu/flags.h"
#include "cpu/mmu_nested.h"
#include "cpu/svm_internal.h"
#include "cpu/system.h"
#include "cpu/trace.h"

/* ---- the VMCB ---- */

Vmcb vmcb_open(Cpu *cpu, uint64_t gpa)
{
    AsTarget t = as_lookup(cpu->machine->memory, gpa);
    bool plain = t.host && !t.readonly && t.room >= VMCB_SIZE;
    return (Vmcb){ .cpu = cpu, .gpa = gpa, .host = plain ? t.host : NULL };
}

void vmcb_close(const Vmcb *v)
{
    RamPool *pool = v->cpu->machine->pool;
    if (v->host)
        ram_mark_written(pool, v->host - pool->host, VMCB_SIZE);
}

/* Attributes have no gap where a descriptor has the limit's bits 19:16. */
static uint16_t attr_from_vmcb(uint16_t v) { return (v & 0xff) | (v & 0xf00) << 4; }
static uint16_t attr_to_vmcb(uint16_t attr) { return (attr & 0xff) | (attr >> 4 & 0xf00); }

Segment vmcb_load_segment(const Vmcb *v, unsigned at)
{
    return (Segment){ .sel = vmcb_read(v, at + VMCB_SEG_SELECTOR, 2), .limit = vmcb_read(v, at + VMCB_SEG_LIMIT, 4),
                      .attr = attr_from_vmcb(vmcb_read(v, at + VMCB_SEG_ATTR, 2)),
                      .base = vmcb_read(v, at + VMCB_SEG_BASE, 8) };
}

void vmcb_store_segment(const Vmcb *v, unsigned at, const Segment *s)
{
    vmcb_write(v, at + VMCB_SEG_SELECTOR, s->sel, 2);
    vmcb_write(v, at + VMCB_SEG_ATTR, attr_to_vmcb(s->attr), 2);
    vmcb_write(v, at + VMCB_SEG_LIMIT, s->limit, 4);
    vmcb_write(v, at + VMCB_SEG_BASE, s->base, 8);
}

static TablePtr load_table(const Vmcb *v, unsigned at)
{
    return (TablePtr){ .base = vmcb_read(v, at + VMCB_SEG_BASE, 8), .limit = vmcb_read(v, at + VMCB_SEG_LIMIT, 2) };
}

static void store_table(const Vmcb *v, unsigned at, const TablePtr *t)
{
    vmcb_write(v, at + VMCB_SEG_LIMIT, t->limit, 4);
    vmcb_write(v, at + VMCB_SEG_BASE, t->base, 8);
}

#define REG VMCB_REGISTER
static const VmcbRegister run_registers[] = {
    REG(CR4, cr4), REG(CR3, cr3), REG(CR0, cr0), REG(DR7, dr[7]), REG(DR6, dr[6]), REG(RIP, rip),
    REG(RSP, gpr[R_SP]), REG(RAX, gpr[R_AX]), REG(CR2, cr2), REG(EFER, efer),
};
static const VmcbRegister branch_registers[] = {
    REG(DBGCTL, debug_ctl), REG(BR_FROM, branch[0]), REG(BR_TO, branch[1]), REG(EXCP_FROM, branch[2]),
    REG(EXCP_TO, branch[3]),
};
static const VmcbRegister cet_registers[] = {
    REG(S_CET, s_cet), REG(SSP, ssp), REG(ISST, interrupt_ssp_table),
};
#undef REG

void vmcb_load_fields(const Vmcb *v, const VmcbRegister *r, unsigned count)
{
    for (unsigned k = 0; k < count; k++)
        *(uint64_t *)((char *)v->cpu + r[k].offset) = vmcb_read(v, r[k].place, 8);
}

void vmcb_store_fields(const Vmcb *v, const VmcbRegister *r, unsigned count)
{
    for (unsigned k = 0; k < count; k++)
        vmcb_write(v, r[k].place, *(const uint64_t *)((const char *)v->cpu + r[k].offset), 8);
}

/* ---- VMRUN ---- */

static void keep_host(Cpu *cpu)
{
    SvmHost *h = &cpu->svm.host;
    for (unsigned s = SEG_ES; s <= SEG_DS; s++)
        h->seg[s] = cpu->seg[s];
    h->gdtr = cpu->gdtr;
    h->idtr = cpu->idtr;
    h->cr0 = cpu->cr0;
    h->cr3 = cpu->cr3;
    h->cr4 = cpu->cr4;
    h->efer = cpu->efer;
    h->rip = cpu->svm.change.next_rip;
    h->rsp = cpu->gpr[R_SP];
    h->rax = cpu->gpr[R_AX];
    h->eflags = cpu_eflags(cpu) & ~(uint32_t)EFLAGS_RF;
    h->pat = cpu->pat;
    h->debug_ctl = cpu->debug_ctl;
    memcpy(h->branch, cpu->branch, sizeof h->branch);
    for (unsigned k = 0; k < ARRAY_SIZE(cet_registers); k++)
        h->cet[k] = *(const uint64_t *)((const char *)cpu + cet_registers[k].offset);
}


static void load_control(Cpu *cpu, const Vmcb *v)
{
    SvmState *s = &cpu->svm;
    for (unsigned k = 0; k < ARRAY_SIZE(s->intercept); k++)
        s->intercept[k] = vmcb_read(v, VMCB_INTERCEPTS + k * 4, 4);
    s->iopm = vmcb_read(v, VMCB_IOPM, 8) & GUEST_PAGE_MASK;
    s->msrpm = vmcb_read(v, VMCB_MSRPM, 8) & GUEST_PAGE_MASK;
    s->tsc_offset = vmcb_read(v, VMCB_TSC_OFFSET, 8);
    s->int_ctl = vmcb_read(v, VMCB_INT_CTL, 4);
    s->int_vector = vmcb_read(v, VMCB_INT_VECTOR, 1);
    s->virt_ext = vmcb_read(v, VMCB_VIRT_EXT, 4);
    s->nested_enabled = cpu_has(cpu, FEAT_NPT) && (vmcb_read(v, VMCB_NESTED_CTL, 8) & VMCB_NP_ENABLE);
    s->pause_count = cpu_has(cpu, FEAT_PAUSEFILTER) ? vmcb_read(v, VMCB_PAUSE_COUNT, 2) : 0;
    s->pause_threshold = cpu_has(cpu, FEAT_PFTHRESHOLD) ? vmcb_read(v, VMCB_PAUSE_THRESHOLD, 2) : 0;
    s->asid = vmcb_read(v, VMCB_ASID, 4);
    s->nested_cr3 = vmcb_read(v, VMCB_NESTED_CR3, 8);
}

static bool has_virtual_branches(const Cpu *cpu)
{
    return cpu_has(cpu, FEAT_LBRV) && (cpu->svm.virt_ext & VMCB_LBR_VIRTUAL);
}

static bool has_cet(const Cpu *cpu) { return cpu_has(cpu, FEAT_SHSTK) || cpu_has(cpu, FEAT_IBT); }

static void load_guest(Cpu *cpu, const Vmcb *v)
{
    for (unsigned s = SEG_ES; s <= SEG_DS; s++)
        cpu->seg[s] = vmcb_load_segment(v, VMCB_ES + s * 16);
    cpu->gdtr = load_table(v, VMCB_GDTR);
    cpu->idtr = load_table(v, VMCB_IDTR);
    vmcb_load_fields(v, run_registers, ARRAY_SIZE(run_registers));
    cpu->cr0 |= CR0_ET;
    cpu->dr[6] |= 0xffff0ff0;
    cpu->dr[7] = (cpu->dr[7] & 0xffff23ff) | 0x400;
    bool lma = (cpu->efer & EFER_LME) && (cpu->cr0 & CR0_PG);
    cpu->efer = lma ? cpu->efer | EFER_LMA : cpu->efer & ~(uint64_t)EFER_LMA;
    uint32_t eflags = vmcb_read(v, VMCB_RFLAGS, 4) & 0x3f7fd5;
    cpu->eflags = eflags & ~(uint32_t)F_ARITH;
    set_flags_arith(cpu, eflags);
    if (cpu->svm.nested_enabled)
        cpu->pat = vmcb_read(v, VMCB_G_PAT, 8);
    if (has_virtual_branches(cpu))
        vmcb_load_fields(v, branch_registers, ARRAY_SIZE(branch_registers));
    if (has_cet(cpu))
        vmcb_load_fields(v, cet_registers, ARRAY_SIZE(cet_registers));
    cpu->shadow = vmcb_read(v, VMCB_INT_STATE, 1) & VMCB_SHADOW ? SHADOW_STI : 0;
}

static bool uses_pdptes(const Cpu *cpu)
{
    return (cpu->cr0 & CR0_PG) && (cpu->cr4 & CR4_PAE) && !(cpu->efer & EFER_LMA);
}

/*
 * What the translations of the guest, as it is loaded now, depend on.  With breakpoints on data, and with
 * page directory pointers that VMRUN loads anew, they are good for one run only.
 */
static struct SvmTables tables_now(const Cpu *cpu)
{
    const SvmState *s = &cpu->svm;
    bool pointers = uses_pdptes(cpu) && !s->nested_enabled;
    return (struct SvmTables){ .vmcb = s->vmcb, .cr0 = cpu->cr0, .cr3 = cpu->cr3, .cr4 = cpu->cr4, .efer = cpu->efer,
                               .nested_cr3 = s->nested_enabled ? s->nested_cr3 : 0, .host_cr4 = s->host.cr4,
                               .host_efer = s->host.efer, .asid = s->asid,
                               .valid = !(cpu->dr[7] & 0xff) && !pointers };
}

/* Translations are the guest's as long as all these are the same, and no flush is asked for. */
static bool translations_hold(const Cpu *cpu, const Vmcb *v)
{
    struct SvmTables now = tables_now(cpu);
    return now.valid && !memcmp(&now, &cpu->svm.tables, sizeof now) && !vmcb_read(v, VMCB_TLB_CONTROL, 1);
}

static void flush_guest(Cpu *cpu)
{
    nested_flush(cpu);
    tlb_flush_all(cpu);
}

static void set_guest(Cpu *cpu, bool guest)
{
    cpu->svm.guest = guest;
    cpu->svm.nested = guest && cpu->svm.nested_enabled;
    cpu->walk_epoch++; /* of what was remembered of the other's walks */
    svm_update_virtual_events(cpu);
    cpu_update_mode(cpu);
    cpu_request_attention(cpu);
}

static void leave_guest(Cpu *cpu, const Vmcb *v);

/* A refused VMCB gets an exit code and nothing else. */
static void refuse(Cpu *cpu, const Vmcb *v)
{
    cpu->svm.change.code = VMEXIT_INVALID;
    cpu->svm.change.info1 = cpu->svm.change.info2 = cpu->svm.change.next_rip = 0;
    leave_guest(cpu, v);
}

static void enter_guest(Cpu *cpu)
{
    Vmcb v = vmcb_open(cpu, cpu->svm.vmcb);
    keep_host(cpu);
    load_control(cpu, &v);
    if (!vmcb_valid(&v)) {
        refuse(cpu, &v);
        return;
    }
    uint64_t event = vmcb_read(&v, VMCB_EVENTINJ, 8), next_rip = vmcb_read(&v, VMCB_NEXT_RIP, 8);
    load_guest(cpu, &v);
    if (uses_pdptes(cpu) && !cpu->svm.nested_enabled && !mmu_load_pdptes(cpu, cpu->cr3)) {
        refuse(cpu, &v);
        return;
    }
    cpu->svm.gif = true;
    svm_reset_pause_filter(cpu);
    set_guest(cpu, true);
    if (!translations_hold(cpu, &v))
        flush_guest(cpu);
    if (event & EVENT_VALID)
        svm_inject(cpu, event, next_rip);
}

/* ---- #VMEXIT ---- */

static void store_guest(Cpu *cpu, const Vmcb *v)
{
    for (unsigned s = SEG_ES; s <= SEG_DS; s++)
        vmcb_store_segment(v, VMCB_ES + s * 16, &cpu->seg[s]);
    store_table(v, VMCB_GDTR, &cpu->gdtr);
    store_table(v, VMCB_IDTR, &cpu->idtr);
    vmcb_store_fields(v, run_registers, ARRAY_SIZE(run_registers));
    vmcb_write(v, VMCB_RFLAGS, cpu_eflags(cpu), 8);
    vmcb_write(v, VMCB_CPL, cpu->cpl, 1);
    if (cpu->svm.nested_enabled)
        vmcb_write(v, VMCB_G_PAT, cpu->pat, 8);
    if (has_virtual_branches(cpu))
        vmcb_store_fields(v, branch_registers, ARRAY_SIZE(branch_registers));
    if (has_cet(cpu))
        vmcb_store_fields(v, cet_registers, ARRAY_SIZE(cet_registers));
    uint32_t int_ctl = vmcb_read(v, VMCB_INT_CTL, 4) & ~(uint32_t)V_CHANGES;
    vmcb_write(v, VMCB_INT_CTL, int_ctl | (cpu->svm.int_ctl & V_CHANGES), 4);
    vmcb_write(v, VMCB_INT_STATE, cpu->shadow ? VMCB_SHADOW : 0, 8);
}

/* Decode assists: the bytes at RIP, of a data access that faulted (AMD APM vol. 2 15.8.4). */
static void store_bytes(Cpu *cpu, const Vmcb *v)
{
    uint8_t bytes[15] = { 0 };
    uint64_t code = cpu->svm.change.code, la = (cpu->seg[SEG_CS].base + cpu->rip) & cpu->rip_mask;
    unsigned count = 0, room = GUEST_PAGE_SIZE - (la & ~GUEST_PAGE_MASK);
    bool data = (code == VMEXIT_NPF || code == VMEXIT_EXCEPTION + EXC_PF) && !(cpu->svm.change.info1 & PF_I);
    if (!cpu_has(cpu, FEAT_DECODEASSISTS))
        return;
    if (data)
        count = cpu_read_linear(cpu, la, bytes, sizeof bytes)                                   ? sizeof bytes
                : room < sizeof bytes && cpu_read_linear(cpu, la, bytes, room) ? room
                                                                                                : 0;
    vmcb_write(v, VMCB_INSN_COUNT, count, 1);
    for (unsigned k = 0; k < sizeof bytes; k++)
        vmcb_write(v, VMCB_INSN_BYTES + k, bytes[k], 1);
}

static void store_exit(Cpu *cpu, const Vmcb *v)
{
    vmcb_write(v, VMCB_EXITCODE, cpu->svm.change.code, 8);
    vmcb_write(v, VMCB_EXITINFO1, cpu->svm.change.info1, 8);
    vmcb_write(v, VMCB_EXITINFO2, cpu->svm.change.info2, 8);
    vmcb_write(v, VMCB_EXITINTINFO, cpu->svm.event, 8);
    vmcb_write(v, VMCB_EVENTINJ, 0, 8); /* all of it: KVM takes any other value for an event to come */
    if (cpu_has(cpu, FEAT_NRIP_SAVE))
        vmcb_write(v, VMCB_NEXT_RIP, cpu->svm.change.next_rip, 8);
}

static void load_host(Cpu *cpu)
{
    const SvmHost *h = &cpu->svm.host;
    for (unsigned s = SEG_ES; s <= SEG_DS; s++)
        cpu->seg[s] = h->seg[s];
    cpu->gdtr = h->gdtr;
    cpu->idtr = h->idtr;
    cpu->cr0 = h->cr0;
    cpu->cr3 = h->cr3;
    cpu->cr4 = h->cr4;
    cpu->efer = h->efer;
    cpu->rip = h->rip;
    cpu->gpr[R_SP] = h->rsp;
    cpu->gpr[R_AX] = h->rax;
    cpu->eflags = h->eflags & ~(uint32_t)(F_ARITH | EFLAGS_FIXED);
    set_flags_arith(cpu, h->eflags);
    cpu->dr[7] = 0x400;
    for (unsigned k = 0; k < ARRAY_SIZE(cet_registers); k++)
        *(uint64_t *)((char *)cpu + cet_registers[k].offset) = h->cet[k];
    if (cpu->svm.nested_enabled)
        cpu->pat = h->pat;
    if (has_virtual_branches(cpu)) {
        cpu->debug_ctl = h->debug_ctl;
        memcpy(cpu->branch, h->branch, sizeof h->branch);
    }
}

/* The host's single step is over only now (AMD APM vol. 2 15.5.1). */
static void trap_host(Cpu *cpu)
{
    cpu->dr6_pending = cpu->eflags & F_TF ? BIT(14) : 0;
}

/* Where the host goes on, after the guest's state was saved. */
static void leave_guest(Cpu *cpu, const Vmcb *v)
{
    store_exit(cpu, v);
    vmcb_close(v);
    load_host(cpu);
    cpu->svm.gif = false;
    cpu->svm.event = 0;
    cpu->fault.delivering = false;
    cpu->fault.chain_length = 0;
    cpu->shadow = 0;
    cpu->run_state = CPU_RUNNING;
    set_guest(cpu, false);
    if (uses_pdptes(cpu) && !mmu_load_pdptes(cpu, cpu->cr3)) {
        cpu->run_state = CPU_SHUTDOWN;
        machine_request_reset(cpu->machine, "invalid page directory pointers at #VMEXIT");
    }
    trap_host(cpu);
}

static void log_exit(const Cpu *cpu)
{
    log_printf(LOG_INT, "#VMEXIT %#" PRIx64 " info1=%#" PRIx64 " info2=%#" PRIx64 " event=%#" PRIx64 " IP=%04x:%016"
               PRIx64 "\n", cpu->svm.change.code, cpu->svm.change.info1, cpu->svm.change.info2, cpu->svm.event,
               cpu->seg[SEG_CS].sel, cpu->rip);
}

static void exit_guest(Cpu *cpu)
{
    if (log_enabled(LOG_INT))
        log_exit(cpu);
    stops_note(cpu, STOP_VMEXIT, 0, 0, 0, cpu->svm.change.code, 0);
    uint64_t number = trace_event(cpu, TRACE_VMEXIT, 0, false, 0, cpu->svm.change.code);
    Vmcb v = vmcb_open(cpu, cpu->svm.vmcb);
    store_bytes(cpu, &v);
    store_guest(cpu, &v);
    cpu->svm.tables = tables_now(cpu);
    leave_guest(cpu, &v);
    trace_event_done(cpu, number);
}

void svm_switch(Cpu *cpu)
{
    unsigned kind = cpu->svm.change.kind;
    if (likely(kind == SVM_SWITCH_NONE))
        return;
    cpu->svm.change.kind = SVM_SWITCH_NONE;
    cpu->tf_trap = false;
    if (kind == SVM_SWITCH_ENTER)
        enter_guest(cpu);
    else
        exit_guest(cpu);
}

void svm_exit(Cpu *cpu, uint64_t code, uint64_t info1, uint64_t info2)
{
    svm_exit_insn(cpu, code, info1, info2, 0);
}

void svm_exit_insn(Cpu *cpu, unsigned code, uint64_t info1, uint64_t info2, uint64_t next_rip)
{
    cpu->svm.change.kind = SVM_SWITCH_LEAVE;
    cpu->svm.change.code = code;
    cpu->svm.change.info1 = info1;
    cpu->svm.change.info2 = info2;
    cpu->svm.change.next_rip = next_rip;
    cpu_unwind(cpu);
}

/* ---- SMM, reset, snapshots ---- */

/* The handler runs in the host's memory; its save area keeps the guest's registers (AMD APM vol. 2 15.22). */
void svm_enter_smm(Cpu *cpu)
{
    cpu->svm.tables.valid = 0;
    cpu->svm.guest_in_smm = cpu->svm.guest;
    cpu->svm.guest = cpu->svm.nested = false;
}

void svm_leave_smm(Cpu *cpu)
{
    cpu->svm.tables.valid = 0;
    cpu->svm.guest = cpu->svm.guest_in_smm;
    cpu->svm.nested = cpu->svm.guest && cpu->svm.nested_enabled;
    cpu->svm.guest_in_smm = false;
}

void svm_reset(Cpu *cpu, bool init)
{
    SvmState *s = &cpu->svm;
    s->guest = s->nested = s->guest_in_smm = false;
    s->gif = true;
    s->event = 0;
    s->change.kind = SVM_SWITCH_NONE;
    svm_update_virtual_events(cpu);
    nested_flush(cpu);
    cpu->svm.tables.valid = 0;
    if (init)
        return;
    s->vm_cr = cpu_has(cpu, FEAT_SVM) ? 0 : VM_CR_LOCK | VM_CR_SVMDIS;
    s->hsave_pa = 0;
    s->tsc_ratio = BIT(32);
}

void svm_post_load(Cpu *cpu)
{
    cpu->svm.nested = cpu->svm.guest && cpu->svm.nested_enabled;
    cpu->svm.change.kind = SVM_SWITCH_NONE;
    nested_flush(cpu);
}
