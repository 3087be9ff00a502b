/* Stacks and code segments of far transfers (control_stack.h): SDM vol. 3A 5.8.5, 6.12.1, 6.14; vol. 2 CALL, INT n. */
#include "cpu/control_stack.h"

#include <inttypes.h>

uint64_t stack_mask(const Cpu *cpu, uint16_t code_attr, uint16_t stack_attr)
{
    if (attr_is_code64(cpu, code_attr))
        return ~UINT64_C(0);
    return stack_attr & SA_DB ? 0xffffffff : 0xffff;
}

ControlStack control_stack_current(const Cpu *cpu, uint32_t error)
{
    return (ControlStack){ .ss = cpu->seg[SEG_SS], .sp = cpu->gpr[R_SP], .mask = cpu->sp_mask, .error = error,
                           .cpl = cpu->cpl, .flat = cpu_code64(cpu) };
}

void stack_segment_read(Cpu *cpu, uint16_t sel, unsigned cpl, unsigned vector, unsigned ext, Segment *s)
{
    Descriptor d;
    uint32_t error = selector_error(sel, ext);
    if (selector_null(sel))
        control_fail(cpu, vector, ext, "stack selector is null");
    if (!descriptor_read(cpu, sel, false, &d))
        control_fail(cpu, vector, error, "stack selector 0x%04x is beyond its table's limit", sel);
    uint16_t attr = descriptor_attr(&d);
    if ((sel & 3) != cpl || !attr_is_writable_data(attr) || attr_dpl(attr) != cpl)
        control_fail(cpu, vector, error, "stack selector 0x%04x is no stack for CPL %u: %08x %08x", sel, cpl, d.w0,
                     d.w1);
    if (!(attr & SA_P))
        control_fail(cpu, EXC_SS, error, "stack segment 0x%04x is not present", sel);
    descriptor_set_accessed(cpu, &d);
    segment_from_descriptor(s, sel, &d);
}

static bool tlb_serves(const Cpu *cpu, unsigned mode, uint64_t la, bool write)
{
    const TlbEntry *e = &cpu->tlb[tlb_number(cpu, mode)].entry[tlb_index(la)];
    return (write ? e->write : e->read) == (la & GUEST_PAGE_MASK);
}

void control_note_access(Cpu *cpu, uint64_t la, bool write, const char *what, unsigned number)
{
    if (cpu->fault.delivering && !tlb_serves(cpu, cpu->cr4 & CR4_SMAP ? TLB_KERNEL_SMAP : TLB_KERNEL, la, write))
        cpu_note_fault(cpu, "%s 0x%x at 0x%" PRIx64 " failed", what, number, la);
}

static uint64_t tss_stack_address(Cpu *cpu, unsigned offset, unsigned last, unsigned ext)
{
    const Segment *tr = &cpu->seg[SEG_TR];
    if (last > tr->limit)
        control_fail(cpu, EXC_TS, selector_error(tr->sel, ext),
                     "stack pointer at TSS+0x%x is beyond the TSS limit 0x%x", offset, tr->limit);
    control_note_access(cpu, tr->base + offset, false, "reading the stack pointer of TSS", tr->sel);
    return tr->base + offset;
}

ControlStack control_stack_from_tss(Cpu *cpu, unsigned cpl, unsigned ext)
{
    ControlStack s = { .cpl = cpl };
    unsigned size = cpu->seg[SEG_TR].attr & SYS_32 ? 4 : 2, offset = cpl * 2 * size + size;
    uint64_t la = tss_stack_address(cpu, offset, offset + size + 1, ext);
    s.sp = linear_read_system(cpu, la, size);
    uint16_t sel = linear_read_system(cpu, la + size, 2);
    stack_segment_read(cpu, sel, cpl, EXC_TS, ext, &s.ss);
    s.mask = s.ss.attr & SA_DB ? 0xffffffff : 0xffff;
    s.error = selector_error(sel, ext);
    return s;
}

ControlStack control_stack_from_tss64(Cpu *cpu, unsigned offset, unsigned cpl, unsigned ext)
{
    uint64_t la = tss_stack_address(cpu, offset, offset + 7, ext);
    return (ControlStack){ .ss = { .sel = cpl, .attr = cpl << SA_DPL_SHIFT }, .sp = linear_read_system(cpu, la, 8),
                           .mask = ~UINT64_C(0), .error = ext, .cpl = cpl, .flat = true };
}

static bool slot_within(const Cpu *cpu, const ControlStack *s, uint64_t offset, unsigned size)
{
    uint64_t last = offset + size - 1;
    if (s->flat)
        return cpu_canonical(cpu, offset) && cpu_canonical(cpu, last);
    if (!(s->ss.attr & SA_P))
        return false;
    if ((s->ss.attr & (SA_CODE | SA_DOWN)) == SA_DOWN)
        return offset > s->ss.limit && last <= (s->ss.attr & SA_DB ? 0xffffffff : 0xffff);
    return last <= s->ss.limit;
}

void control_stack_reserve(Cpu *cpu, const ControlStack *s, unsigned count, unsigned size)
{
    for (unsigned k = 1; k <= count; k++) {
        uint64_t offset = (s->sp - k * size) & s->mask;
        if (unlikely(!slot_within(cpu, s, offset, size)))
            control_fail(cpu, EXC_SS, s->error, "stack write at %04x:%" PRIx64 " failed: beyond the limit", s->ss.sel,
                         offset);
    }
}

static uint64_t stack_linear(const ControlStack *s, uint64_t offset)
{
    return s->flat ? offset : (s->ss.base + offset) & 0xffffffff;
}

void control_stack_push(Cpu *cpu, ControlStack *s, uint64_t v, unsigned size)
{
    uint64_t offset = (s->sp - size) & s->mask, la = stack_linear(s, offset);
    control_note_access(cpu, la, true, "stack write in SS", s->ss.sel);
    linear_write_cpl(cpu, la, v & bit_mask(size * 8), size, s->cpl);
    s->sp = (s->sp & ~s->mask) | offset;
}

void control_stack_commit(Cpu *cpu, const ControlStack *s)
{
    cpu->seg[SEG_SS] = s->ss;
    cpu->gpr[R_SP] = s->flat ? s->sp : s->sp & 0xffffffff;
}

void transfer_descriptor_read(Cpu *cpu, uint16_t sel, unsigned ext, Descriptor *d)
{
    if (selector_null(sel))
        control_fail(cpu, EXC_GP, ext, "handler code selector is null");
    control_note_access(cpu, (sel & 4 ? cpu->seg[SEG_LDTR].base : cpu->gdtr.base) + (sel & ~7u), false,
                        "reading code descriptor", sel);
    if (!descriptor_read(cpu, sel, false, d))
        control_fail(cpu, EXC_GP, selector_error(sel, ext), "handler code selector 0x%04x is beyond the %s limit 0x%x",
                     sel, sel & 4 ? "LDT" : "GDT", sel & 4 ? cpu->seg[SEG_LDTR].limit : cpu->gdtr.limit);
}

void code_check_target(Cpu *cpu, const Descriptor *code, uint64_t rip, unsigned ext)
{
    bool code64 = attr_is_code64(cpu, descriptor_attr(code));
    if (code64 ? !cpu_canonical(cpu, rip) : rip > descriptor_limit(code))
        control_fail(cpu, EXC_GP, ext, "handler address 0x%" PRIx64 " is %s", rip,
                     code64 ? "not canonical" : "beyond its code segment's limit");
}

void code_enter(Cpu *cpu, uint16_t sel, unsigned cpl, const Descriptor *code, uint64_t rip)
{
    segment_from_descriptor(&cpu->seg[SEG_CS], (sel & ~3) | cpl, code);
    cpu->rip = rip;
    cpu_update_mode(cpu);
}
