/*
 * MMX registers and their relation to the x87 state (SDM vol. 3A chapter 12).
 */
#ifndef MYNA_CPU_MMX_H
#define MYNA_CPU_MMX_H

#include "cpu/simd.h"
#include "cpu/x87.h"

/* A pending unmasked x87 exception comes before anything else of an MMX instruction (SDM vol. 3A 12.6). */
static inline void mmx_check(Cpu *cpu) { fpu_check(cpu); }

/* The x87 state becomes that of MMX: no register empty, TOP 0.  After the last thing that may fault. */
static inline void mmx_enter(Cpu *cpu)
{
    cpu->fpu.top = 0;
    cpu->fpu.tags = 0xff;
}

static inline void mmx_begin(Cpu *cpu)
{
    mmx_check(cpu);
    mmx_enter(cpu);
}

static inline uint64_t mmx_read(const Cpu *cpu, unsigned n) { return cpu->fpu.reg[n & 7].mant; }
static inline void mmx_write(Cpu *cpu, unsigned n, uint64_t v)
{
    cpu->fpu.reg[n & 7] = (Float80){ .mant = v, .sexp = 0xffff };
}

static inline uint64_t mmx_load_q(Cpu *cpu, const Insn *i) { return mem_read64(cpu, i->seg, insn_ea(cpu, i)); }
static inline uint64_t mmx_load_d(Cpu *cpu, const Insn *i) { return mem_read32(cpu, i->seg, insn_ea(cpu, i)); }
static inline uint64_t mmx_load_w(Cpu *cpu, const Insn *i) { return mem_read16(cpu, i->seg, insn_ea(cpu, i)); }

/* The functions mmx_NAME_r and _m and their Sem, from mmx_NAME_op(cpu, i, source). */
#define MMX_FORMS(name, load)                                                                                          \
    static void mmx_##name##_r(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        mmx_begin(cpu);                                                                                                \
        mmx_##name##_op(cpu, i, mmx_read(cpu, i->rm));                                                                 \
    }                                                                                                                  \
    static void mmx_##name##_m(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        mmx_check(cpu);                                                                                                \
        uint64_t s = load(cpu, i);                                                                                     \
        mmx_enter(cpu);                                                                                                \
        mmx_##name##_op(cpu, i, s);                                                                                    \
    }                                                                                                                  \
    SEM_RM(mmx_##name)

#endif
