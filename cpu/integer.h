/*
 * What the files of the integer instruction set share: the condition codes, read-modify-write with LOCK, and updates
 * of single flags.
 */
#ifndef MYNA_CPU_INTEGER_H
#define MYNA_CPU_INTEGER_H

#include "cpu/access.h"
#include "cpu/flags.h"

/* The condition codes by their usual names: X(name, number), SDM vol. 1 appendix B. */
#define CONDITIONS(X)                                                                                                  \
    X(o, 0) X(no, 1) X(b, 2) X(ae, 3) X(e, 4) X(ne, 5) X(be, 6) X(a, 7)                                                \
    X(s, 8) X(ns, 9) X(p, 10) X(np, 11) X(l, 12) X(ge, 13) X(le, 14) X(g, 15)

/* Offsets wrap to the address size. */
static inline uint64_t address_mask(unsigned asz)
{
    static const uint64_t mask[3] = { 0xffff, 0xffffffff, ~UINT64_C(0) };
    return mask[asz];
}

/* Writes a register that holds an address or a count of address size. */
static inline void set_address_reg(Cpu *cpu, unsigned asz, unsigned n, uint64_t v)
{
    if (asz == SZ64)
        set_reg64(cpu, n, v);
    else if (asz == SZ32)
        set_reg32(cpu, n, v);
    else
        set_reg16(cpu, n, v);
}

/*
 * Stores v at host if the `size` bytes there still are `old`: one atomic step against other CPUs' threads.  Bytes that
 * cross an aligned quadword (a split lock) are only so against each other where the host has nothing for them.
 */
bool locked_replace(Cpu *cpu, uint8_t *host, uint64_t old, uint64_t v, unsigned size);

/* mem_finish with LOCK where locked_replace at the host address alone does not do. */
bool mem_finish_slow(Cpu *cpu, const MemRef *ref, uint64_t old, uint64_t v, unsigned size);

/*
 * The end of a read-modify-write whose mem_rmw* gave `old`.  False: with LOCK another CPU was faster, and the
 * instruction starts again from mem_rmw*.
 */
#define MEM_FINISH(bits)                                                                                               \
    static inline bool mem_finish##bits(Cpu *cpu, const MemRef *ref, uint##bits##_t old, uint##bits##_t v, bool lock)  \
    {                                                                                                                  \
        if (likely(!lock)) {                                                                                           \
            mem_commit##bits(cpu, ref, v);                                                                             \
            return true;                                                                                               \
        }                                                                                                              \
        if (unlikely(ref->host == NULL))                                                                               \
            return mem_finish_slow(cpu, ref, old, v, bits / 8);                                                        \
        return locked_replace(cpu, ref->host, old, v, bits / 8);                                                       \
    }
MEM_FINISH(8)
MEM_FINISH(16)
MEM_FINISH(32)
MEM_FINISH(64)
#undef MEM_FINISH

/* Replaces CF; OF and AF stay.  (CF and OF are bit 63 and bits 63 xor 62: both bits flip together.) */
static inline void replace_cf(Cpu *cpu, bool cf)
{
    uint64_t flip = (cpu->cc_aux & BIT(63)) ^ (uint64_t)cf << 63;
    cpu->cc_aux ^= flip | flip >> 1;
}
/* Replaces OF; CF and AF stay. */
static inline void replace_of(Cpu *cpu, bool of)
{
    cpu->cc_aux ^= (uint64_t)(flag_of(cpu) ^ of) << 62;
}

#endif
