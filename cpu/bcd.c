/*
 * Decimal adjustment (SDM vol. 2: DAA, DAS, AAA, AAS, AAM, AAD); not valid in 64-bit mode.
 */
#include "cpu/integer.h"

enum { AH = 16 + 4 };

/* ZF, SF, PF of AL; CF and AF; OF (undefined) is cleared. */
static void adjust_flags(Cpu *cpu, uint8_t al, bool cf, bool af)
{
    cpu->cc_z = cpu->cc_sp = sign_extend(al, 8);
    set_cf_of_af(cpu, cf, false, af);
}

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
    uint8_t al = reg8(cpu, R_AX) + d.correction;
    set_reg8(cpu, R_AX, al);
    adjust_flags(cpu, al, d.cf, d.af);
}

/* The low digit's borrow sets CF too, even where the high digit needs no correction. */
static void das(Cpu *cpu, const Insn *i)
{
    (void)i;
    Decimal d = decimal_correction(cpu);
    uint8_t old = reg8(cpu, R_AX), al = old - d.correction;
    set_reg8(cpu, R_AX, al);
    adjust_flags(cpu, al, d.cf || (d.af && old < 6), d.af);
}

static void unpacked_adjust(Cpu *cpu, int step, int ah_step)
{
    bool adjust = (reg8(cpu, R_AX) & 15) > 9 || flag_af(cpu);
    uint16_t ax = reg16(cpu, R_AX);
    if (adjust)
        ax += step + ah_step * 0x100;
    adjust_flags(cpu, ax, adjust, adjust);
    set_reg16(cpu, R_AX, ax & 0xff0f);
}
static void aaa(Cpu *cpu, const Insn *i) { (void)i; unpacked_adjust(cpu, 6, 1); }
static void aas(Cpu *cpu, const Insn *i) { (void)i; unpacked_adjust(cpu, -6, -1); }

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
    uint8_t al = reg8(cpu, R_AX) + reg8(cpu, AH) * i->imm;
    set_reg16(cpu, R_AX, al);
    set_flags_logic(cpu, al, 8);
}

SEM_1(daa)
SEM_1(das)
SEM_1(aaa)
SEM_1(aas)
SEM_1(aam)
SEM_1(aad)
