/*
 * CMPccXADD (SDM vol. 2, under that name): compares memory with a register and adds another one if the condition holds.
 * It locks memory by itself, and so wants it aligned.
 */
#include "cpu/integer.h"

/* Whether condition cc holds after a comparison of a and b, of n bits. */
static bool compares(unsigned cc, uint64_t a, uint64_t b, unsigned n)
{
    uint64_t d = (a - b) & bit_mask(n);
    bool sf = d >> (n - 1), of = ((a ^ b) & (a ^ d)) >> (n - 1) & 1, r;
    switch (cc >> 1) {
    case 0: r = of; break;
    case 1: r = a < b; break;
    case 2: r = a == b; break;
    case 3: r = a <= b; break;
    case 4: r = sf; break;
    case 5: r = !__builtin_parity(d & 0xff); break;
    case 6: r = sf != of; break;
    default: r = a == b || sf != of; break;
    }
    return r ^ (cc & 1);
}

/* The flags are set last: a fault may come as long as another CPU is faster. */
#define CMPCCXADD(n)                                                                                                   \
    static void cmpccxadd##n(Cpu *cpu, const Insn *i, unsigned cc)                                                     \
    {                                                                                                                  \
        uint64_t ea = insn_ea(cpu, i);                                                                                 \
        uint##n##_t a, b = cpu->gpr[i->reg], addend = cpu->gpr[i->vreg];                                               \
        MemRef ref;                                                                                                    \
        if (segment_linear(cpu, i->seg, ea, n / 8, true) % (n / 8))                                                    \
            cpu_raise_gp(cpu);                                                                                         \
        do                                                                                                             \
            a = mem_rmw##n(cpu, i->seg, ea, &ref);                                                                     \
        while (!mem_finish##n(cpu, &ref, a, compares(cc, a, b, n) ? a + addend : a, true));                            \
        set_flags_sub(cpu, a, b, a - b, n);                                                                            \
        set_reg##n(cpu, i->reg, a);                                                                                    \
    }
CMPCCXADD(32)
CMPCCXADD(64)

#define CMPCCXADD_CONDITION(cc, number)                                                                                \
    static void cmp##cc##xadd_32(Cpu *cpu, const Insn *i) { cmpccxadd32(cpu, i, number); }                             \
    static void cmp##cc##xadd_64(Cpu *cpu, const Insn *i) { cmpccxadd64(cpu, i, number); }                             \
    const Sem sem_cmp##cc##xadd = { { cmp##cc##xadd_32, cmp##cc##xadd_32, cmp##cc##xadd_64 },                          \
                                    { cmp##cc##xadd_32, cmp##cc##xadd_32, cmp##cc##xadd_64 } };
CONDITIONS(CMPCCXADD_CONDITION)
