/*
 * Segmentation: descriptors and segment registers (SDM vol. 3A chapters 3 and 5).
 */
#ifndef MYNA_CPU_SEGMENT_H
#define MYNA_CPU_SEGMENT_H

#include "cpu/state.h"

/* An 8-byte descriptor as read; for system descriptors in long mode `high` is the third word (base 63:32). */
typedef struct Descriptor {
    uint32_t w0, w1;
    uint32_t high;
    uint64_t la; /* linear address of the descriptor */
} Descriptor;

/*
 * Reads the descriptor of selector sel from GDT or LDT.  False when the selector is beyond the table's limit (or the
 * LDT is null); wide: 16 bytes must be within.  A page fault is raised as such.
 */
bool descriptor_read(Cpu *cpu, uint16_t sel, bool wide, Descriptor *d);

static inline unsigned descriptor_dpl(const Descriptor *d) { return d->w1 >> 13 & 3; }
static inline uint16_t descriptor_attr(const Descriptor *d) { return d->w1 >> 8 & 0xf0ff; }
static inline uint64_t descriptor_base(const Descriptor *d)
{
    return d->w0 >> 16 | (d->w1 & 0xff) << 16 | (d->w1 & 0xff000000) | (uint64_t)d->high << 32;
}
static inline uint32_t descriptor_limit(const Descriptor *d)
{
    uint32_t limit = (d->w0 & 0xffff) | (d->w1 & 0xf0000);
    return d->w1 & 0x800000 ? limit << 12 | 0xfff : limit;
}

/* Fills *s from sel and *d, without checks. */
void segment_from_descriptor(Segment *s, uint16_t sel, const Descriptor *d);

/* Sets the accessed bit in the table, if it is clear (a supervisor write, so it may raise #PF). */
void descriptor_set_accessed(Cpu *cpu, Descriptor *d);

/*
 * MOV/POP/Lxx to ES, SS, DS, FS or GS in the current mode, with all checks and exceptions of MOV to a segment
 * register (SDM vol. 2, MOV); SEG_CS is not allowed here.  Updates the derived state.
 */
void segment_load(Cpu *cpu, unsigned seg, uint16_t sel);

/* Sets a segment as real mode does: base = sel << 4; limit and attributes stay (unreal mode lives on that). */
void segment_load_real(Cpu *cpu, unsigned seg, uint16_t sel);

/* Sets a segment as virtual-8086 mode has it: base sel << 4, limit 0xffff, DPL 3 writable data. */
void segment_load_v86(Cpu *cpu, unsigned seg, uint16_t sel);

/* Makes data segments unusable that the new CPL may no longer access (returns to an outer level, SDM vol. 2 RET). */
void segment_drop_inaccessible(Cpu *cpu);

/* LLDT and LTR with all checks. */
void segment_load_ldt(Cpu *cpu, uint16_t sel);
void segment_load_tr(Cpu *cpu, uint16_t sel);

#endif
