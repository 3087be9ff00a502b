/*
 * BMI1 and BMI2 instructions that VEX encodes (SDM vol. 2, each under its mnemonic).  TZCNT is in bits.c.
 *
 * Flags that are undefined follow from the result or are clear.
 */
#include "cpu/integer.h"

static inline void bmi_flags(Cpu *cpu, uint64_t r, unsigned n, bool cf)
{
    set_flags_logic(cpu, r, n);
    set_cf_of_af(cpu, cf, false, false);
}

static inline uint64_t reg_y(const Cpu *cpu, unsigned reg, unsigned n) { return cpu->gpr[reg] & bit_mask(n); }
static inline void set_reg_y(Cpu *cpu, unsigned reg, uint64_t v, unsigned n)
{
    set_reg64(cpu, reg, v & bit_mask(n));
}

/* Each: what is done with the operand of n bits, register or memory, in ModRM.rm. */
static inline void andn_do(Cpu *cpu, const Insn *i, uint64_t a, unsigned n)
{
    uint64_t r = ~reg_y(cpu, i->vreg, n) & a;
    set_reg_y(cpu, i->reg, r, n);
    bmi_flags(cpu, r, n, false);
}

static inline void bextr_do(Cpu *cpu, const Insn *i, uint64_t a, unsigned n)
{
    unsigned start = cpu->gpr[i->vreg] & 0xff, length = cpu->gpr[i->vreg] >> 8 & 0xff;
    uint64_t r = start < n ? a >> start : 0;
    if (length < n)
        r &= bit_mask(length);
    set_reg_y(cpu, i->reg, r, n);
    bmi_flags(cpu, r, n, false);
}

static inline void blsr_do(Cpu *cpu, const Insn *i, uint64_t a, unsigned n)
{
    uint64_t r = a & (a - 1);
    set_reg_y(cpu, i->vreg, r, n);
    bmi_flags(cpu, r, n, a == 0);
}
static inline void blsmsk_do(Cpu *cpu, const Insn *i, uint64_t a, unsigned n)
{
    uint64_t r = a ^ (a - 1);
    set_reg_y(cpu, i->vreg, r, n);
    bmi_flags(cpu, r, n, a == 0);
}
static inline void blsi_do(Cpu *cpu, const Insn *i, uint64_t a, unsigned n)
{
    uint64_t r = a & -a;
    set_reg_y(cpu, i->vreg, r, n);
    bmi_flags(cpu, r, n, a != 0);
}

static inline void bzhi_do(Cpu *cpu, const Insn *i, uint64_t a, unsigned n)
{
    unsigned index = cpu->gpr[i->vreg] & 0xff;
    uint64_t r = index < n ? a & bit_mask(index) : a;
    set_reg_y(cpu, i->reg, r, n);
    bmi_flags(cpu, r, n, index >= n);
}

/* The upper half of the product wins when both go to one register. */
static inline void mulx_do(Cpu *cpu, const Insn *i, uint64_t a, unsigned n)
{
    unsigned __int128 product = (unsigned __int128)a * reg_y(cpu, R_DX, n);
    set_reg_y(cpu, i->vreg, product, n);
    set_reg_y(cpu, i->reg, product >> n, n);
}

static inline void pdep_do(Cpu *cpu, const Insn *i, uint64_t mask, unsigned n)
{
    uint64_t bits = reg_y(cpu, i->vreg, n), r = 0;
    for (; mask; mask &= mask - 1, bits >>= 1)
        r |= bits & 1 ? mask & -mask : 0;
    set_reg_y(cpu, i->reg, r, n);
}
static inline void pext_do(Cpu *cpu, const Insn *i, uint64_t mask, unsigned n)
{
    uint64_t bits = reg_y(cpu, i->vreg, n), r = 0;
    for (unsigned k = 0; mask; mask &= mask - 1, k++)
        r |= bits & mask & -mask ? BIT(k) : 0;
    set_reg_y(cpu, i->reg, r, n);
}

/* Shifts and rotation without flags. */
static inline void rorx_do(Cpu *cpu, const Insn *i, uint64_t a, unsigned n)
{
    unsigned count = i->imm & (n - 1);
    set_reg_y(cpu, i->reg, count ? a >> count | a << (n - count) : a, n);
}
static inline void sarx_do(Cpu *cpu, const Insn *i, uint64_t a, unsigned n)
{
    set_reg_y(cpu, i->reg, sign_extend(a, n) >> (cpu->gpr[i->vreg] & (n - 1)), n);
}
static inline void shlx_do(Cpu *cpu, const Insn *i, uint64_t a, unsigned n)
{
    set_reg_y(cpu, i->reg, a << (cpu->gpr[i->vreg] & (n - 1)), n);
}
static inline void shrx_do(Cpu *cpu, const Insn *i, uint64_t a, unsigned n)
{
    set_reg_y(cpu, i->reg, a >> (cpu->gpr[i->vreg] & (n - 1)), n);
}

#define BMI_SIZE(op, n)                                                                                                \
    static void op##_r##n(Cpu *cpu, const Insn *i) { op##_do(cpu, i, reg##n(cpu, i->rm), n); }                         \
    static void op##_m##n(Cpu *cpu, const Insn *i) { op##_do(cpu, i, mem_read##n(cpu, i->seg, insn_ea(cpu, i)), n); }
#define BMI(op)                                                                                                        \
    BMI_SIZE(op, 32)                                                                                                   \
    BMI_SIZE(op, 64)                                                                                                   \
    const Sem sem_##op = { { op##_r32, op##_r32, op##_r64 }, { op##_m32, op##_m32, op##_m64 } };
BMI(andn)
BMI(bextr)
BMI(blsr)
BMI(blsmsk)
BMI(blsi)
BMI(bzhi)
BMI(mulx)
BMI(pdep)
BMI(pext)
BMI(rorx)
BMI(sarx)
BMI(shlx)
BMI(shrx)
