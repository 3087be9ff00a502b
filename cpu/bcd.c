/*
 * Decimal adjustment (SDM vol. 2: DAA, DAS, AAA, AAS, AAM, AAD); not valid in 64-bit mode.
 */
#include "cpu/integer.h"

enum { AH = 16 + 4 };

/* ZF, SF, PF of AL; CF and AF; OF (undefined) of the correction as an addition, as AMD's processors have it. */
static void adjust_flags(Cpu *cpu, uint8_t result, bool cf, bool of, bool af)
{
    cpu->cc_z = cpu->cc_sp = sign_extend(result, 8);
    set_cf_of_af(cpu, cf, of, af);
}
static bool overflow_add(uint8_t a, uint8_t b) { return (~(a ^ b) & (a ^ (a + b))) >> 7 & 1; }
static bool overflow_sub(uint8_t a, uint8_t b) { return ((a ^ b) & (a ^ (a - b))) >> 7 & 1; }

/* How DAA and DAS correct AL, from what it is before. */
typedef struct Decimal {
    uint8_t correction;
    bool cf, af;
} Decimal;

static Decimal decimal_correction(const Cpu *cpu)
{
    uint8_t al = reg8(cpu, R_AX);
    Decimal d = { .cf = flag_cf(cpu) || al > 0x99, .af = flag_af(cpu) || (al & 15) > 9 };
    d.correction = (d.af ? 0x06 : 0) + (d.cf ? 0x60 : 0);
    return d;
}

static void daa(Cpu *cpu, const Insn *i)
{
    (void)i;
    Decimal d = decimal_correction(cpu);
    uint8_t old = reg8(cpu, R_AX), al = old + d.correction;
    set_reg8(cpu, R_AX, al);
    adjust_flags(cpu, al, d.cf, overflow_add(old, d.correction), d.af);
}

/* The low digit's borrow sets CF too, even where the high digit needs no correction. */
static void das(Cpu *cpu, const Insn *i)
{
    (void)i;
    Decimal d = decimal_correction(cpu);
    uint8_t old = reg8(cpu, R_AX), al = old - d.correction;
    set_reg8(cpu, R_AX, al);
    adjust_flags(cpu, al, d.cf || (d.af && old < 6), overflow_sub(old, d.correction), d.af);
}

/* AAA and AAS correct AX as a whole: a carry out of AL reaches AH.  The undefined flags are those of 16 bits. */
static uint16_t unpacked_correction(const Cpu *cpu)
{
    return (reg8(cpu, R_AX) & 15) > 9 || flag_af(cpu) ? 0x106 : 0;
}

static void aaa(Cpu *cpu, const Insn *i)
{
    (void)i;
    uint16_t ax = reg16(cpu, R_AX), correction = unpacked_correction(cpu);
    set_flags_add(cpu, ax, correction, ax + correction, 16);
    set_cf_of_af(cpu, correction, flag_of(cpu), correction);
    set_reg16(cpu, R_AX, (ax + correction) & 0xff0f);
}

static void aas(Cpu *cpu, const Insn *i)
{
    (void)i;
    uint16_t ax = reg16(cpu, R_AX), correction = unpacked_correction(cpu);
    set_flags_sub(cpu, ax, correction, (uint64_t)ax - correction, 16);
    set_cf_of_af(cpu, correction, flag_of(cpu), correction);
    set_reg16(cpu, R_AX, (ax - correction) & 0xff0f);
}

static void aam(Cpu *cpu, const Insn *i)
{
    uint8_t base = i->imm, al = reg8(cpu, R_AX);
    if (base == 0)
        cpu_raise(cpu, EXC_DE);
    set_reg8(cpu, AH, al / base);
    set_reg8(cpu, R_AX, al % base);
    set_flags_logic(cpu, al % base, 8);
}

static void aad(Cpu *cpu, const Insn *i)
{
    uint8_t al = reg8(cpu, R_AX), tens = reg8(cpu, AH) * i->imm;
    set_reg16(cpu, R_AX, (uint8_t)(al + tens));
    set_flags_add(cpu, al, tens, al + tens, 8);
}

SEM_1(daa)
SEM_1(das)
SEM_1(aaa)
SEM_1(aas)
SEM_1(aam)
SEM_1(aad)
