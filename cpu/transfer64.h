/*
 * The short way of transfers between 64-bit code segments (interrupt delivery, IRET): for tables, stacks and
 * descriptors that the soft TLB serves and that need no second look.  Whatever is out of the ordinary (another type of
 * segment, an accessed bit to be set, a fault to be raised) is left to the general functions.
 */
#ifndef MYNA_CPU_TRANSFER64_H
#define MYNA_CPU_TRANSFER64_H

#include "cpu/descriptor.h"
#include "cpu/mmu.h"
#include "util/endian.h"

/* Reads a descriptor of the GDT that the TLB serves. */
static inline bool gdt_read_hit(const Cpu *cpu, uint16_t sel, Descriptor *d)
{
    uint32_t offset = sel & ~7u;
    if (unlikely((sel & 4) || offset + 7 > cpu->gdtr.limit))
        return false;
    d->la = cpu->gdtr.base + offset;
    const uint8_t *p = mmu_system_hit(cpu, d->la, 8);
    if (unlikely(!p))
        return false;
    d->w0 = ld32le(p);
    d->w1 = ld32le(p + 4);
    d->high = 0;
    return true;
}

/* The same for a selector that must name present, accessed, non-conforming 64-bit code. */
static inline bool code64_read_hit(const Cpu *cpu, uint16_t sel, Descriptor *d)
{
    const unsigned wanted = SA_P | SA_S | SA_CODE | SA_ACCESSED | SA_L, without = SA_DOWN | SA_DB;
    return likely(!selector_null(sel) && gdt_read_hit(cpu, sel, d)) &&
           (descriptor_attr(d) & (wanted | without)) == wanted;
}

/* The stack segment that a return to level cpl loads: present, accessed and writable, or null where that is allowed. */
static inline bool stack64_read_hit(const Cpu *cpu, uint16_t sel, unsigned cpl, Segment *s)
{
    const unsigned wanted = SA_P | SA_S | SA_WRITABLE | SA_ACCESSED;
    Descriptor d;
    if (selector_null(sel)) {
        *s = (Segment){ .sel = sel, .attr = cpl << SA_DPL_SHIFT };
        return cpl != 3;
    }
    if ((sel & 3) != cpl || !gdt_read_hit(cpu, sel, &d))
        return false;
    if ((descriptor_attr(&d) & (wanted | SA_CODE)) != wanted || descriptor_dpl(&d) != cpl)
        return false;
    segment_from_descriptor(s, sel, &d);
    return true;
}

#endif
