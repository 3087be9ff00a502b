/*
 * TBM: operations on the lowest zeros and ones of an integer, and BEXTR by an immediate (AMD APM vol. 3).
 */
#include "cpu/access.h"
#include "cpu/flags.h"

/* CF: the carry out of a + 1, or the borrow of a - 1. */
#define LOWEST_SIZE(op, n, expression, carry)                                                                          \
    static inline void op##_to##n(Cpu *cpu, const Insn *i, uint##n##_t a)                                              \
    {                                                                                                                  \
        const uint##n##_t up = a + 1, down = a - 1, r = (expression);                                                  \
        (void)up, (void)down;                                                                                          \
        set_reg##n(cpu, i->vreg, r);                                                                                   \
        set_flags_logic(cpu, r, n);                                                                                    \
        set_cf_of_af(cpu, (carry), false, false);                                                                      \
    }                                                                                                                  \
    static void op##_r##n(Cpu *cpu, const Insn *i) { op##_to##n(cpu, i, reg##n(cpu, i->rm)); }                         \
    static void op##_m##n(Cpu *cpu, const Insn *i) { op##_to##n(cpu, i, mem_read##n(cpu, i->seg, insn_ea(cpu, i))); }
#define LOWEST(op, expression, carry)                                                                                  \
    LOWEST_SIZE(op, 32, expression, carry)                                                                             \
    LOWEST_SIZE(op, 64, expression, carry)                                                                             \
    const Sem sem_##op = { { op##_r32, op##_r32, op##_r64 }, { op##_m32, op##_m32, op##_m64 } };
LOWEST(blcfill, a & up, !up)
LOWEST(blci, a | ~up, !up)
LOWEST(blcic, ~a & up, !up)
LOWEST(blcmsk, a ^ up, !up)
LOWEST(blcs, a | up, !up)
LOWEST(t1mskc, ~a | up, !up)
LOWEST(blsfill, a | down, !a)
LOWEST(blsic, ~a | down, !a)
LOWEST(tzmsk, ~a & down, !a)

/* imm32: where it starts in bits 7:0, its length in 15:8. */
static uint64_t extracted(uint64_t a, uint32_t control)
{
    unsigned start = control & 0xff, length = control >> 8 & 0xff;
    return start > 63 ? 0 : a >> start & bit_mask(MIN(length, 64));
}

#define EXTRACT_SIZE(n)                                                                                                \
    static inline void bextr_imm_to##n(Cpu *cpu, const Insn *i, uint64_t a)                                            \
    {                                                                                                                  \
        uint64_t r = extracted(a, i->imm);                                                                             \
        set_reg##n(cpu, i->reg, r);                                                                                    \
        set_flags_logic(cpu, r, n);                                                                                    \
    }                                                                                                                  \
    static void bextr_imm_r##n(Cpu *cpu, const Insn *i) { bextr_imm_to##n(cpu, i, reg##n(cpu, i->rm)); }               \
    static void bextr_imm_m##n(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        bextr_imm_to##n(cpu, i, mem_read##n(cpu, i->seg, insn_ea(cpu, i)));                                            \
    }
EXTRACT_SIZE(32)
EXTRACT_SIZE(64)
const Sem sem_bextr_imm = { { bextr_imm_r32, bextr_imm_r32, bextr_imm_r64 },
                            { bextr_imm_m32, bextr_imm_m32, bextr_imm_m64 } };
