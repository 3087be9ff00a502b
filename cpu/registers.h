/*
 * Registers by name, for debuggers: names are the manual's in lower case, "rax" to "r15", "eax", "ax", "al", "rip",
 * "rflags" ("eflags", "flags"), "cs", "cs_base", "cs_limit", "cs_attr", "ldtr", "tr", "gdtr_base", "gdtr_limit", "cr0",
 * "dr7", "efer", "xcr0", "cpl", "st0", "fctrl", "mm0", "xmm0", "ymm0", "zmm0", "k0", "mxcsr", "ssp", and MSRs as
 * "msr_star" or by number, "msr_c0000081".  docs/debugging.md has the list.
 */
#ifndef MYNA_CPU_REGISTERS_H
#define MYNA_CPU_REGISTERS_H

#include "cpu/state.h"

#define CPU_REGISTER_MAX_BYTES 64

/* What kind of thing it is, for listings and target descriptions. */
typedef enum RegisterGroup {
    REGISTER_GENERAL, REGISTER_PART /* eax, ax, al */, REGISTER_SEGMENT, REGISTER_CONTROL, REGISTER_DEBUG, REGISTER_MSR,
    REGISTER_X87, REGISTER_VECTOR, REGISTER_MASK
} RegisterGroup;

typedef struct CpuRegister {
    const char *name;
    RegisterGroup group;
    uint16_t bits;      /* 8 to 512; of st0: 80 */
    uint16_t which;     /* private to registers.c */
    uint32_t index;     /* likewise */
} CpuRegister;

/* All registers but MSRs by number, in a fixed order. */
extern const CpuRegister *const cpu_registers;
extern const unsigned cpu_register_count;

/* By name, any case; false when there is none (or the CPU lacks it: cpu may be NULL to not ask).  Copies the row. */
bool cpu_register_find(const Cpu *cpu, const char *name, CpuRegister *out);

/*
 * The value of a CPU that does not run, or of the calling thread's own: its lowest 64 bits; and all of it, little-endian,
 * (bits + 7) / 8 bytes.  What an MSR that the CPU lacks holds is 0.
 */
uint64_t cpu_register_get(Cpu *cpu, const CpuRegister *r);
void cpu_register_read(Cpu *cpu, const CpuRegister *r, uint8_t *bytes);

/*
 * Changes it, with all that follows (mode, TLB, cached descriptors' use); the checks are those that the machine itself
 * needs, not those of the instructions.  A segment's selector alone in protected mode loads its descriptor when that is
 * possible, else sets the selector alone; tables in memory stay as they are.  A part leaves the other bits of its
 * register alone.  FALSE with *err, and nothing changed, when it cannot be written or has no such value.
 */
gboolean cpu_register_set(Cpu *cpu, const CpuRegister *r, uint64_t v, GError **err);
gboolean cpu_register_write(Cpu *cpu, const CpuRegister *r, const uint8_t *bytes, GError **err);

#endif
