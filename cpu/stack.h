/*
 * Pushes and pops.  SP wraps by cpu->sp_mask.  To be restartable, an instruction that pushes more than once
 * works on a copy of SP and stores SP once at its end.
 */
#ifndef MYNA_CPU_STACK_H
#define MYNA_CPU_STACK_H

#include "cpu/access.h"

static inline void set_sp(Cpu *cpu, uint64_t sp)
{
    cpu->gpr[R_SP] = (cpu->gpr[R_SP] & ~cpu->sp_mask) | (sp & cpu->sp_mask);
    if (cpu->sp_mask == 0xffffffff)
        cpu->gpr[R_SP] &= 0xffffffff;
}

static inline void push16(Cpu *cpu, uint16_t v)
{
    uint64_t sp = (cpu->gpr[R_SP] - 2) & cpu->sp_mask;
    mem_write16(cpu, SEG_SS, sp, v);
    set_sp(cpu, sp);
}
static inline void push32(Cpu *cpu, uint32_t v)
{
    uint64_t sp = (cpu->gpr[R_SP] - 4) & cpu->sp_mask;
    mem_write32(cpu, SEG_SS, sp, v);
    set_sp(cpu, sp);
}
static inline void push64(Cpu *cpu, uint64_t v)
{
    uint64_t sp = cpu->gpr[R_SP] - 8;
    mem_write64(cpu, SEG_SS, sp, v);
    cpu->gpr[R_SP] = sp;
}
static inline uint16_t pop16(Cpu *cpu)
{
    uint16_t v = mem_read16(cpu, SEG_SS, cpu->gpr[R_SP] & cpu->sp_mask);
    set_sp(cpu, cpu->gpr[R_SP] + 2);
    return v;
}
static inline uint32_t pop32(Cpu *cpu)
{
    uint32_t v = mem_read32(cpu, SEG_SS, cpu->gpr[R_SP] & cpu->sp_mask);
    set_sp(cpu, cpu->gpr[R_SP] + 4);
    return v;
}
static inline uint64_t pop64(Cpu *cpu)
{
    uint64_t v = mem_read64(cpu, SEG_SS, cpu->gpr[R_SP]);
    cpu->gpr[R_SP] += 8;
    return v;
}

/* By operand size SZ16, SZ32, SZ64; a 16-bit value pushed with 32 bits is zero-extended. */
static inline void push_sized(Cpu *cpu, unsigned osz, uint64_t v)
{
    switch (osz) {
    case SZ16: push16(cpu, v); break;
    case SZ32: push32(cpu, v); break;
    default: push64(cpu, v); break;
    }
}
static inline uint64_t pop_sized(Cpu *cpu, unsigned osz)
{
    switch (osz) {
    case SZ16: return pop16(cpu);
    case SZ32: return pop32(cpu);
    default: return pop64(cpu);
    }
}

#endif
