/*
 * Lazy arithmetic flags.
 *
 * The last result is kept, not the flags:
 *   cc_z    ZF = (cc_z == 0)
 *   cc_sp   SF = bit 63; PF = even parity of the low byte.  Usually the sign-extended result, as is cc_z.
 *   cc_aux  CF = bit 63; OF = bit 63 xor bit 62; AF = bit 3.  Usually the vector of carries out of each bit, moved up
 *           so that the operand's top bit is bit 63, with the carry out of bit 3 left at bit 3.
 * Setting flags is thus three stores without a branch, and testing one is a shift or a compare.
 */
#ifndef MYNA_CPU_FLAGS_H
#define MYNA_CPU_FLAGS_H

#include "cpu/state.h"

static inline bool flag_cf(const Cpu *cpu) { return cpu->cc_aux >> 63; }
static inline bool flag_of(const Cpu *cpu) { return (cpu->cc_aux ^ cpu->cc_aux << 1) >> 63; }
static inline bool flag_af(const Cpu *cpu) { return cpu->cc_aux >> 3 & 1; }
static inline bool flag_zf(const Cpu *cpu) { return cpu->cc_z == 0; }
static inline bool flag_sf(const Cpu *cpu) { return cpu->cc_sp >> 63; }
static inline bool flag_pf(const Cpu *cpu) { return !__builtin_parity(cpu->cc_sp & 0xff); }

/* Carries of an addition or borrows of a subtraction, by bit. */
static inline uint64_t carries_add(uint64_t a, uint64_t b, uint64_t r) { return (a & b) | ((a | b) & ~r); }
static inline uint64_t carries_sub(uint64_t a, uint64_t b, uint64_t r) { return (~a & b) | ((~a | b) & r); }

/* ZF, SF, PF from an n-bit result; CF, OF, AF from its carries. */
static inline void set_flags(Cpu *cpu, uint64_t result, uint64_t carries, unsigned n)
{
    uint64_t r = sign_extend(result, n);
    cpu->cc_z = cpu->cc_sp = r;
    cpu->cc_aux = carries << (64 - n) | (carries & 8);
}
static inline void set_flags_add(Cpu *cpu, uint64_t a, uint64_t b, uint64_t r, unsigned n)
{
    set_flags(cpu, r, carries_add(a, b, r), n);
}
static inline void set_flags_sub(Cpu *cpu, uint64_t a, uint64_t b, uint64_t r, unsigned n)
{
    set_flags(cpu, r, carries_sub(a, b, r), n);
}
/* A logical operation: CF = OF = 0 (AF is undefined; cleared, as processors do). */
static inline void set_flags_logic(Cpu *cpu, uint64_t r, unsigned n)
{
    cpu->cc_z = cpu->cc_sp = sign_extend(r, n);
    cpu->cc_aux = 0;
}

static inline void set_cf_of_af(Cpu *cpu, bool cf, bool of, bool af)
{
    cpu->cc_aux = (uint64_t)cf << 63 | (uint64_t)(cf ^ of) << 62 | (uint64_t)af << 3;
}
static inline void set_zf(Cpu *cpu, bool zf) { cpu->cc_z = !zf; }

/* All six from an EFLAGS image. */
static inline void set_flags_arith(Cpu *cpu, uint32_t f)
{
    cpu->cc_z = !(f & F_ZF);
    cpu->cc_sp = (f & F_SF ? BIT(63) : 0) | !(f & F_PF);
    set_cf_of_af(cpu, f & F_CF, f & F_OF, f & F_AF);
}

static inline uint32_t flags_arith(const Cpu *cpu)
{
    return (flag_cf(cpu) ? F_CF : 0) | (flag_pf(cpu) ? F_PF : 0) | (flag_af(cpu) ? F_AF : 0) |
           (flag_zf(cpu) ? F_ZF : 0) | (flag_sf(cpu) ? F_SF : 0) | (flag_of(cpu) ? F_OF : 0);
}

/* The whole EFLAGS register, as PUSHF would show it with all bits. */
static inline uint32_t cpu_eflags(const Cpu *cpu) { return cpu->eflags | flags_arith(cpu) | EFLAGS_FIXED; }

/* What follows from a change of EFLAGS from `old`. */
void cpu_set_eflags_slow(Cpu *cpu, uint32_t old);

/*
 * Replaces the bits of EFLAGS named in mask by those of value, with every consequence (mode, pending interrupts,
 * single step).  The caller has checked that the change is allowed.
 */
static inline void cpu_set_eflags(Cpu *cpu, uint32_t value, uint32_t mask)
{
    const uint32_t consequential = EFLAGS_VM | EFLAGS_AC | EFLAGS_RF | F_TF | F_IF;
    uint32_t old = cpu->eflags;
    if (mask & F_ARITH)
        set_flags_arith(cpu, (mask & F_ARITH) == F_ARITH ? value : (flags_arith(cpu) & ~mask) | (value & mask));
    cpu->eflags = ((old & ~mask) | (value & mask)) & ~(F_ARITH | EFLAGS_FIXED);
    if ((old ^ cpu->eflags) & consequential & (cpu->eflags | ~(uint32_t)F_IF)) /* clearing IF is not */
        cpu_set_eflags_slow(cpu, old);
}

/* Condition code cc (0..15, as in Jcc): SDM vol. 1 appendix B. */
static inline bool condition(const Cpu *cpu, unsigned cc)
{
    bool r;
    switch (cc >> 1) {
    case 0: r = flag_of(cpu); break;
    case 1: r = flag_cf(cpu); break;
    case 2: r = flag_zf(cpu); break;
    case 3: r = flag_cf(cpu) || flag_zf(cpu); break;
    case 4: r = flag_sf(cpu); break;
    case 5: r = flag_pf(cpu); break;
    case 6: r = flag_sf(cpu) != flag_of(cpu); break;
    default: r = flag_zf(cpu) || flag_sf(cpu) != flag_of(cpu); break;
    }
    return r ^ (cc & 1);
}

#endif
