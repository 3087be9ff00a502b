/*
 * What the words of a descriptor say (SDM vol. 3A 3.4.5, 3.5, 5.8.3, 6.11), for the code that checks them.  Attributes
 * are those of descriptor_attr(): the SA_* bits of state.h.
 */
#ifndef MYNA_CPU_DESCRIPTOR_H
#define MYNA_CPU_DESCRIPTOR_H

#include "cpu/segment.h"

/* Types of system segments and gates (SDM vol. 3A table 3-2); with SA_S clear. */
enum {
    SYS_TSS16 = 1, SYS_LDT = 2, SYS_TSS16_BUSY = 3, SYS_CALL16 = 4, SYS_TASK_GATE = 5, SYS_INT16 = 6, SYS_TRAP16 = 7,
    SYS_TSS32 = 9, SYS_TSS32_BUSY = 11, SYS_CALL32 = 12, SYS_INT32 = 14, SYS_TRAP32 = 15,
    SYS_BUSY = 2, /* tells a busy TSS from an available one */
    SYS_32 = 8,   /* a 32-bit (in long mode: 64-bit) type */
};

static inline bool selector_null(uint16_t sel) { return !(sel & ~3); }

/* An error code that names a selector (SDM vol. 3A 6.13); ext is the EXT bit. */
static inline uint32_t selector_error(uint16_t sel, unsigned ext) { return (sel & ~3u) | ext; }

/* Type of a system descriptor; 16 and above for code and data. */
static inline unsigned attr_system_type(uint16_t attr) { return attr & (SA_S | SA_TYPE); }
static inline unsigned attr_dpl(uint16_t attr) { return (attr & SA_DPL) >> SA_DPL_SHIFT; }

static inline bool attr_is_code(uint16_t attr) { return (attr & (SA_S | SA_CODE)) == (SA_S | SA_CODE); }
static inline bool attr_is_conforming(uint16_t attr)
{
    return (attr & (SA_S | SA_CODE | SA_DOWN)) == (SA_S | SA_CODE | SA_DOWN);
}
static inline bool attr_is_writable_data(uint16_t attr)
{
    return (attr & (SA_S | SA_CODE | SA_WRITABLE)) == (SA_S | SA_WRITABLE);
}
/* Data, or code that may be read. */
static inline bool attr_is_readable(uint16_t attr)
{
    return (attr & SA_S) && (attr & (SA_CODE | SA_WRITABLE)) != SA_CODE;
}
static inline bool attr_is_code64(const Cpu *cpu, uint16_t attr) { return cpu->long_mode && (attr & SA_L); }

/* L and D both set: reserved (SDM vol. 3A 5.2.1). */
static inline bool attr_bad_long(const Cpu *cpu, uint16_t attr)
{
    return cpu->long_mode && (attr & (SA_L | SA_DB)) == (SA_L | SA_DB);
}

/* A gate's target.  Count: parameters of a call gate; the IST index of a 64-bit interrupt gate is in the same place. */
static inline uint16_t gate_selector(const Descriptor *d) { return d->w0 >> 16; }
static inline unsigned gate_count(const Descriptor *d) { return d->w1 & 0x1f; }
static inline uint64_t gate_offset(const Descriptor *d)
{
    if (!(d->w1 & SYS_32 << 8))
        return d->w0 & 0xffff;
    return (d->w1 & 0xffff0000) | (d->w0 & 0xffff) | (uint64_t)d->high << 32;
}

/* Whether the upper half of a 16-byte system descriptor has its type field zero, as it must. */
bool descriptor_upper_valid(Cpu *cpu, const Descriptor *d);

/* Sets or clears the busy bit of a TSS descriptor in the table, and in *d. */
void descriptor_set_busy(Cpu *cpu, Descriptor *d, bool busy);

#endif
