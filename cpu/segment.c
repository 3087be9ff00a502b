/*
 * Descriptors and segment registers: reading, checking and loading them (SDM vol. 3A chapters 3 and 5; vol. 2 MOV,
 * LLDT, LTR).
 */
#include "cpu/segment.h"

#include "cpu/access.h"
#include "cpu/descriptor.h"
#include "cpu/mmu.h"

bool descriptor_read(Cpu *cpu, uint16_t sel, bool wide, Descriptor *d)
{
    const Segment *ldt = &cpu->seg[SEG_LDTR];
    uint32_t offset = sel & ~7u, last = offset + (wide ? 15 : 7);
    if (!(sel & 4)) {
        if (last > cpu->gdtr.limit)
            return false;
        d->la = cpu->gdtr.base + offset;
    } else {
        if (!(ldt->attr & SA_P) || last > ldt->limit)
            return false;
        d->la = ldt->base + offset;
    }
    const uint8_t *p = cpu->long_mode ? mmu_read_hit(cpu, mmu_system_mode(cpu), d->la, 8) : NULL;
    uint64_t words = p ? ld64le(p) : linear_read_system(cpu, d->la, 8);
    d->w0 = words;
    d->w1 = words >> 32;
    d->high = wide ? linear_read_system(cpu, d->la + 8, 4) : 0;
    return true;
}

bool descriptor_upper_valid(Cpu *cpu, const Descriptor *d)
{
    return !(linear_read_system(cpu, d->la + 12, 4) & 0x1f00);
}

void segment_from_descriptor(Segment *s, uint16_t sel, const Descriptor *d)
{
    s->sel = sel;
    s->attr = descriptor_attr(d);
    s->base = descriptor_base(d);
    s->limit = descriptor_limit(d);
}

/* Replaces the byte with type, DPL and P; a byte only, for other processors may change the rest. */
static void descriptor_write_type(Cpu *cpu, Descriptor *d, uint32_t w1)
{
    linear_write_system(cpu, d->la + 5, w1 >> 8 & 0xff, 1);
    d->w1 = w1;
}

void descriptor_set_accessed(Cpu *cpu, Descriptor *d)
{
    if (!(d->w1 & SA_ACCESSED << 8))
        descriptor_write_type(cpu, d, d->w1 | SA_ACCESSED << 8);
}

void descriptor_set_busy(Cpu *cpu, Descriptor *d, bool busy)
{
    uint32_t w1 = d->w1 & ~((uint32_t)SYS_BUSY << 8);
    descriptor_write_type(cpu, d, busy ? w1 | SYS_BUSY << 8 : w1);
}

static _Noreturn void raise_selector(Cpu *cpu, unsigned vector, uint16_t sel)
{
    cpu_raise_error(cpu, vector, selector_error(sel, 0));
}

/* A null selector makes the register unusable; its base is cleared, as recent processors do. */
static void segment_set_null(Cpu *cpu, unsigned seg, uint16_t sel)
{
    uint16_t attr = seg == SEG_SS ? cpu->cpl << SA_DPL_SHIFT : 0;
    cpu->seg[seg] = (Segment){ .sel = sel, .attr = attr };
}

static void load_stack_segment(Cpu *cpu, uint16_t sel)
{
    Descriptor d;
    if (selector_null(sel)) {
        if (!cpu_code64(cpu) || cpu->cpl == 3 || (sel & 3) != cpu->cpl)
            cpu_raise_gp(cpu);
        segment_set_null(cpu, SEG_SS, sel);
        return;
    }
    if (!descriptor_read(cpu, sel, false, &d))
        raise_selector(cpu, EXC_GP, sel);
    uint16_t attr = descriptor_attr(&d);
    if ((sel & 3) != cpu->cpl || !attr_is_writable_data(attr) || attr_dpl(attr) != cpu->cpl)
        raise_selector(cpu, EXC_GP, sel);
    if (!(attr & SA_P))
        raise_selector(cpu, EXC_SS, sel);
    descriptor_set_accessed(cpu, &d);
    segment_from_descriptor(&cpu->seg[SEG_SS], sel, &d);
}

static void load_data_segment(Cpu *cpu, unsigned seg, uint16_t sel)
{
    Descriptor d;
    if (selector_null(sel)) {
        segment_set_null(cpu, seg, sel);
        return;
    }
    if (!descriptor_read(cpu, sel, false, &d))
        raise_selector(cpu, EXC_GP, sel);
    uint16_t attr = descriptor_attr(&d);
    if (!attr_is_readable(attr))
        raise_selector(cpu, EXC_GP, sel);
    if (!attr_is_conforming(attr) && (attr_dpl(attr) < cpu->cpl || attr_dpl(attr) < (sel & 3u)))
        raise_selector(cpu, EXC_GP, sel);
    if (!(attr & SA_P))
        raise_selector(cpu, EXC_NP, sel);
    descriptor_set_accessed(cpu, &d);
    segment_from_descriptor(&cpu->seg[seg], sel, &d);
}

void segment_load(Cpu *cpu, unsigned seg, uint16_t sel)
{
    if (cpu_v86(cpu))
        segment_load_v86(cpu, seg, sel);
    else if (!cpu->protected_mode)
        segment_load_real(cpu, seg, sel);
    else if (seg == SEG_SS)
        load_stack_segment(cpu, sel);
    else
        load_data_segment(cpu, seg, sel);
    cpu_update_segment(cpu, seg);
}

void segment_load_real(Cpu *cpu, unsigned seg, uint16_t sel)
{
    Segment *s = &cpu->seg[seg];
    s->sel = sel;
    s->base = (uint32_t)sel << 4;
    if (!(s->attr & SA_P)) { /* null since protected mode: usable again, there is no such thing in real mode */
        s->limit = 0xffff;
        s->attr = SA_P | SA_S | SA_WRITABLE | SA_ACCESSED;
    }
}

void segment_load_v86(Cpu *cpu, unsigned seg, uint16_t sel)
{
    cpu->seg[seg] = (Segment){ .base = (uint32_t)sel << 4, .limit = 0xffff, .sel = sel,
                               .attr = SA_P | SA_DPL | SA_S | SA_WRITABLE | SA_ACCESSED };
}

void segment_drop_inaccessible(Cpu *cpu)
{
    static const uint8_t data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };
    unsigned cpl = cpu->seg[SEG_CS].sel & 3;
    bool dropped = false;
    for (unsigned k = 0; k < sizeof data; k++) {
        Segment *s = &cpu->seg[data[k]];
        if (selector_null(s->sel)) {
            s->sel = 0; /* the base stays: 64-bit systems set it by MSR */
        } else if (!attr_is_conforming(s->attr) && attr_dpl(s->attr) < cpl) {
            s->sel = s->attr = 0; /* the base stays here too: FS and GS have one in 64-bit mode whatever they name */
            dropped = true;
        }
    }
    if (dropped && !cpu_code64(cpu))
        cpu_update_mode(cpu);
}

/* Common to LLDT and LTR: a system descriptor of the GDT, of 16 bytes in long mode. */
static void read_system_descriptor(Cpu *cpu, uint16_t sel, Descriptor *d)
{
    if ((sel & 4) || !descriptor_read(cpu, sel, cpu->long_mode, d))
        raise_selector(cpu, EXC_GP, sel);
}

static void check_system_descriptor(Cpu *cpu, uint16_t sel, const Descriptor *d)
{
    if (cpu->long_mode && !descriptor_upper_valid(cpu, d))
        raise_selector(cpu, EXC_GP, sel);
    if (!(descriptor_attr(d) & SA_P))
        raise_selector(cpu, EXC_NP, sel);
    if (cpu->long_mode && !cpu_canonical_register(cpu, descriptor_base(d)))
        raise_selector(cpu, EXC_GP, sel);
}

void segment_load_ldt(Cpu *cpu, uint16_t sel)
{
    Descriptor d;
    if (selector_null(sel)) {
        cpu->seg[SEG_LDTR] = (Segment){ .sel = sel };
        return;
    }
    read_system_descriptor(cpu, sel, &d);
    if (attr_system_type(descriptor_attr(&d)) != SYS_LDT)
        raise_selector(cpu, EXC_GP, sel);
    check_system_descriptor(cpu, sel, &d);
    segment_from_descriptor(&cpu->seg[SEG_LDTR], sel, &d);
}

void segment_load_tr(Cpu *cpu, uint16_t sel)
{
    Descriptor d;
    if (selector_null(sel))
        cpu_raise_gp(cpu);
    read_system_descriptor(cpu, sel, &d);
    unsigned type = attr_system_type(descriptor_attr(&d));
    if (type != SYS_TSS32 && (type != SYS_TSS16 || cpu->long_mode))
        raise_selector(cpu, EXC_GP, sel);
    check_system_descriptor(cpu, sel, &d);
    descriptor_set_busy(cpu, &d, true);
    segment_from_descriptor(&cpu->seg[SEG_TR], sel, &d);
}
