/*
 * Stores of whole cache lines: MOVDIR64B (SDM vol. 2) and CLZERO (AMD APM vol. 3).  MOVDIRI is a plain store.
 */
#include "cpu/access.h"

enum { LINE = 64 };

/* An offset in a register, as wide as addresses are. */
static uint64_t register_offset(const Cpu *cpu, const Insn *i, unsigned n)
{
    static const uint64_t mask[3] = { 0xffff, 0xffffffff, ~UINT64_C(0) };
    return cpu->gpr[n] & mask[i->asz];
}

/* The destination is in ES, whatever the prefixes, and must be aligned. */
static void movdir64b(Cpu *cpu, const Insn *i)
{
    uint8_t line[LINE];
    uint64_t to = register_offset(cpu, i, i->reg);
    if (segment_linear(cpu, SEG_ES, to, LINE, true) & (LINE - 1))
        cpu_raise_gp(cpu);
    mem_read_bytes(cpu, i->seg, insn_ea(cpu, i), line, LINE);
    mem_write_bytes(cpu, SEG_ES, to, line, LINE);
}
SEM_1(movdir64b)

static void clzero(Cpu *cpu, const Insn *i)
{
    static const uint8_t zeros[LINE];
    mem_write_bytes(cpu, i->seg, register_offset(cpu, i, R_AX) & ~(uint64_t)(LINE - 1), zeros, LINE);
}
SEM_1(clzero)
