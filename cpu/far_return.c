/*
 * Far RET and IRET in every mode: to the same level, to an outer one, to virtual-8086 mode, and to the task that the
 * back link names (SDM vol. 2 RET, IRET).
 */
#include "core/log.h"
#include "cpu/cet.h"
#include "cpu/control_stack.h"
#include "cpu/flags.h"
#include "cpu/svm.h"
#include "cpu/transfer64.h"

#include <inttypes.h>

enum {
    /* What IRET may load: everything but VM, VIF, VIP; and the bits of the 16-bit form. */
    IRET_FLAGS = F_ARITH | F_SYSTEM | EFLAGS_IOPL | EFLAGS_NT | EFLAGS_RF | EFLAGS_AC | EFLAGS_ID,
    ALL_FLAGS = IRET_FLAGS | EFLAGS_VM | EFLAGS_VIF | EFLAGS_VIP,
};

/* A return in progress. */
typedef struct Return {
    unsigned size;     /* of an item on the stack: 2, 4, 8 */
    uint16_t sel;      /* popped CS */
    uint64_t rip;      /* popped RIP */
    uint32_t flags;    /* popped flags (IRET) */
    bool iret;
    Descriptor code;
    Segment ss;        /* popped stack, when there is one */
    uint64_t sp;
} Return;

/* Item n of the frame on the current stack, `skip` bytes further up. */
static uint64_t frame_item(Cpu *cpu, const Return *r, unsigned n, unsigned skip)
{
    uint64_t ea = (cpu->gpr[R_SP] + n * r->size + skip) & cpu->sp_mask;
    switch (r->size) {
    case 2: return mem_read16(cpu, SEG_SS, ea);
    case 4: return mem_read32(cpu, SEG_SS, ea);
    default: return mem_read64(cpu, SEG_SS, ea);
    }
}

static void add_sp(Cpu *cpu, uint64_t mask, uint64_t n)
{
    uint64_t sp = cpu->gpr[R_SP], high = mask == 0xffff ? ~mask : 0;
    cpu->gpr[R_SP] = (sp & high) | ((sp + n) & mask);
}

static void return_real(Cpu *cpu, const Return *r, unsigned drop)
{
    if (r->rip > cpu->seg[SEG_CS].limit)
        cpu_raise_gp(cpu);
    add_sp(cpu, cpu->sp_mask, drop);
    if (cpu_v86(cpu))
        segment_load_v86(cpu, SEG_CS, r->sel);
    else
        segment_load_real(cpu, SEG_CS, r->sel);
    cpu->rip = r->rip;
    cpu_update_mode(cpu);
}

/* The checks of the popped CS, which RET and IRET share. */
static void check_return_code(Cpu *cpu, Return *r)
{
    uint32_t error = selector_error(r->sel, 0);
    unsigned rpl = r->sel & 3;
    transfer_descriptor_read(cpu, r->sel, 0, &r->code);
    uint16_t attr = descriptor_attr(&r->code);
    if (!attr_is_code(attr) || attr_bad_long(cpu, attr) || rpl < cpu->cpl)
        cpu_raise_error(cpu, EXC_GP, error);
    if (attr_is_conforming(attr) ? attr_dpl(attr) > rpl : attr_dpl(attr) != rpl)
        cpu_raise_error(cpu, EXC_GP, error);
    if (!(attr & SA_P))
        cpu_raise_error(cpu, EXC_NP, error);
}

/* Pops and checks SS:SP, items n and n+1; a null SS is good for 64-bit code below level 3. */
static void read_return_stack(Cpu *cpu, Return *r, unsigned n, unsigned skip)
{
    unsigned cpl = r->sel & 3;
    r->sp = frame_item(cpu, r, n, skip);
    uint16_t sel = frame_item(cpu, r, n + 1, skip);
    if (selector_null(sel) && cpl != 3 && attr_is_code64(cpu, descriptor_attr(&r->code)))
        r->ss = (Segment){ .sel = sel, .attr = cpl << SA_DPL_SHIFT };
    else
        stack_segment_read(cpu, sel, cpl, EXC_GP, 0, &r->ss);
}

static void load_return_stack(Cpu *cpu, const Return *r, unsigned extra)
{
    uint64_t mask = stack_mask(cpu, descriptor_attr(&r->code), r->ss.attr);
    uint64_t high = mask == 0xffff ? ~mask : 0; /* a 16-bit stack keeps the rest of the register */
    cpu->seg[SEG_SS] = r->ss;
    cpu->gpr[R_SP] = (cpu->gpr[R_SP] & high) | ((r->sp + extra) & mask);
}

/* SSP after the return, which the shadow stack must agree with. */
static uint64_t return_ssp(Cpu *cpu, const Return *r)
{
    bool to64 = attr_is_code64(cpu, descriptor_attr(&r->code));
    uint64_t lip = to64 ? r->rip : (uint32_t)(descriptor_base(&r->code) + r->rip);
    return likely(!(cpu->cr4 & CR4_CET)) ? cpu->ssp : shadow_return(cpu, r->sel, to64, lip, r->iret);
}

/* To an outer level, or (IRET in 64-bit mode) to the same with a new stack. */
static void return_with_stack(Cpu *cpu, Return *r, unsigned extra)
{
    unsigned rpl = r->sel & 3, old = cpu->cpl;
    code_check_target(cpu, &r->code, r->rip, 0);
    descriptor_set_accessed(cpu, &r->code);
    cpu->ssp = return_ssp(cpu, r);
    load_return_stack(cpu, r, extra);
    code_enter(cpu, r->sel, rpl, &r->code, r->rip);
    if (rpl != old)
        segment_drop_inaccessible(cpu);
}

static void return_same(Cpu *cpu, Return *r, unsigned drop)
{
    code_check_target(cpu, &r->code, r->rip, 0);
    descriptor_set_accessed(cpu, &r->code);
    cpu->ssp = return_ssp(cpu, r);
    add_sp(cpu, cpu->sp_mask, drop);
    code_enter(cpu, r->sel, cpu->cpl, &r->code, r->rip);
}

void far_return(Cpu *cpu, unsigned osz, uint16_t extra)
{
    Return r = { .size = 2u << osz };
    r.rip = frame_item(cpu, &r, 0, 0);
    r.sel = frame_item(cpu, &r, 1, 0);
    if (!cpu->protected_mode) {
        return_real(cpu, &r, 2 * r.size + extra);
        return;
    }
    check_return_code(cpu, &r);
    if ((r.sel & 3) == cpu->cpl) {
        return_same(cpu, &r, 2 * r.size + extra);
        return;
    }
    read_return_stack(cpu, &r, 2, extra);
    return_with_stack(cpu, &r, extra);
}

/* Flags that IRET with this operand size may change, out of `allowed`. */
static uint32_t sized_flags(const Return *r, uint32_t allowed) { return r->size == 2 ? allowed & 0xffff : allowed; }

/* CR4.VME with IOPL below 3: VIF stands for IF (SDM vol. 3B 20.3.3.4). */
static void iret_vme(Cpu *cpu, const Return *r)
{
    if ((r->flags & F_TF) || ((r->flags & F_IF) && (cpu->eflags & EFLAGS_VIP)))
        cpu_raise_gp(cpu);
    return_real(cpu, r, 3 * r->size);
    uint32_t vif = r->flags & F_IF ? EFLAGS_VIF : 0;
    cpu_set_eflags(cpu, (r->flags & 0xffff) | vif, (IRET_FLAGS & 0xffff & ~(F_IF | EFLAGS_IOPL)) | EFLAGS_VIF);
}

static void iret_real(Cpu *cpu, Return *r)
{
    bool v86 = cpu_v86(cpu), virtual_if = v86 && cpu_iopl(cpu) < 3;
    if (virtual_if && !((cpu->cr4 & CR4_VME) && r->size == 2))
        cpu_raise_gp(cpu);
    r->rip = frame_item(cpu, r, 0, 0);
    r->sel = frame_item(cpu, r, 1, 0);
    r->flags = frame_item(cpu, r, 2, 0);
    if (virtual_if) {
        iret_vme(cpu, r);
        return;
    }
    return_real(cpu, r, 3 * r->size);
    cpu_set_eflags(cpu, r->flags, sized_flags(r, v86 ? IRET_FLAGS & ~EFLAGS_IOPL : IRET_FLAGS));
}

/* From level 0 to virtual-8086 mode: nine doublewords (SDM vol. 3B 20.2.3). */
static void iret_to_v86(Cpu *cpu, const Return *r)
{
    static const uint8_t order[] = { SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS };
    uint32_t sp = frame_item(cpu, r, 3, 0);
    uint16_t sel[sizeof order];
    for (unsigned k = 0; k < sizeof order; k++)
        sel[k] = frame_item(cpu, r, 4 + k, 0);
    if (r->rip > 0xffff)
        cpu_raise_gp(cpu);
    shadow_return_v86(cpu);
    cpu_set_eflags(cpu, r->flags, ALL_FLAGS);
    for (unsigned k = 0; k < sizeof order; k++)
        segment_load_v86(cpu, order[k], sel[k]);
    segment_load_v86(cpu, SEG_CS, r->sel);
    cpu->gpr[R_SP] = sp;
    cpu->rip = r->rip;
    cpu_update_mode(cpu);
}

/* Flags that IRET may change in protected mode. */
static uint32_t iret_mask(const Cpu *cpu)
{
    uint32_t mask = F_ARITH | F_TF | F_DF | EFLAGS_NT | EFLAGS_RF | EFLAGS_AC | EFLAGS_ID;
    if (cpu->cpl <= cpu_iopl(cpu))
        mask |= F_IF;
    if (cpu->cpl == 0)
        mask |= EFLAGS_IOPL | EFLAGS_VIF | EFLAGS_VIP;
    return mask;
}

/*
 * RF keeps one instruction from hitting its breakpoint.  With none enabled there is nothing to keep it from, and the
 * processor's clearing of RF after that instruction is done at once.
 */
static uint32_t useful_flags(const Cpu *cpu, uint32_t flags)
{
    return cpu->dr[7] & 0xff ? flags : flags & ~(uint32_t)EFLAGS_RF;
}

/* IRET from 64-bit code to 64-bit code, where all is in order and the TLB has what is needed; else false. */
static bool iret_at_once(Cpu *cpu)
{
    Descriptor code;
    Segment ss;
    unsigned old = cpu->cpl;
    const uint8_t *p = tlb_read_hit(cpu, cpu->gpr[R_SP], 40);
    if (unlikely(!p) || shadow_anywhere(cpu))
        return false;
    uint64_t rip = ld64le(p), sp = ld64le(p + 24);
    uint16_t sel = ld16le(p + 8);
    unsigned rpl = sel & 3;
    if (rpl < old || !code64_read_hit(cpu, sel, &code) || descriptor_dpl(&code) != rpl || !cpu_canonical(cpu, rip))
        return false;
    if (!stack64_read_hit(cpu, ld16le(p + 32), rpl, &ss))
        return false;
    uint32_t flags = ld32le(p + 16), mask = iret_mask(cpu);
    cpu->seg[SEG_SS] = ss;
    cpu->gpr[R_SP] = sp;
    segment_from_descriptor(&cpu->seg[SEG_CS], sel, &code);
    cpu->rip = rip;
    cpu_update_level(cpu);
    if (rpl != old)
        segment_drop_inaccessible(cpu);
    cpu_set_eflags(cpu, useful_flags(cpu, flags), mask);
    return true;
}

static void iret_protected(Cpu *cpu, Return *r)
{
    bool code64 = cpu_code64(cpu);
    uint32_t mask = iret_mask(cpu);
    r->rip = frame_item(cpu, r, 0, 0);
    r->sel = frame_item(cpu, r, 1, 0);
    r->flags = frame_item(cpu, r, 2, 0);
    if (r->size == 4 && (r->flags & EFLAGS_VM) && cpu->cpl == 0 && !cpu->long_mode) {
        iret_to_v86(cpu, r);
        return;
    }
    check_return_code(cpu, r);
    if (code64 || (r->sel & 3) != cpu->cpl) {
        read_return_stack(cpu, r, 3, 0);
        return_with_stack(cpu, r, 0);
    } else {
        return_same(cpu, r, 3 * r->size);
    }
    cpu_set_eflags(cpu, useful_flags(cpu, r->flags), sized_flags(r, mask));
}

/* To the task in the back link of the current TSS (SDM vol. 3A 7.4). */
static void iret_task(Cpu *cpu, uint64_t next_rip)
{
    uint16_t link = linear_read_system(cpu, cpu->seg[SEG_TR].base, 2);
    task_switch(cpu, link, TASK_IRET, next_rip, false, 0);
}

/* IRET lets NMIs in again, even when it faults (SDM vol. 3A 6.7.1). */
static void unblock_nmi(Cpu *cpu)
{
    if (unlikely(cpu->svm.guest) && svm_end_virtual_nmi(cpu))
        return;
    if (cpu->nmi_blocked) {
        cpu->nmi_blocked = false;
        cpu_request_attention(cpu);
    }
}

void interrupt_return(Cpu *cpu, unsigned osz, uint64_t next_rip)
{
    Return r = { .size = 2u << osz, .iret = true };
    if (log_enabled(LOG_PCALL))
        log_printf(LOG_PCALL, "iret at %04x:%" PRIx64 "\n", cpu->seg[SEG_CS].sel, cpu->rip);
    unblock_nmi(cpu);
    if (likely(cpu_code64(cpu) && r.size == 8 && !(cpu->eflags & EFLAGS_NT)) && iret_at_once(cpu))
        return;
    if (!cpu->protected_mode) {
        iret_real(cpu, &r);
    } else if (!(cpu->eflags & EFLAGS_NT)) {
        iret_protected(cpu, &r);
    } else {
        if (cpu->long_mode)
            cpu_raise_gp(cpu);
        iret_task(cpu, next_rip);
    }
}
