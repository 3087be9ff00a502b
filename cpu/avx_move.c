/* Moves between vector registers and memory with VEX and EVEX. */
#include "cpu/avx.h"

/* A memory operand that must be aligned to the vector length: #GP, unless no lane of it is accessed at all. */
static void check_aligned(Cpu *cpu, const Insn *i, unsigned bits)
{
    uint64_t base = cpu->flat >> i->seg & 1 ? 0 : cpu->seg[i->seg].base;
    if (i->mem && ((insn_ea(cpu, i) + base) & (avx_bytes(i) - 1)) && avx_selected(cpu, i, bits))
        cpu_raise_gp(cpu);
}

#define AVX_MOVE(suffix, bits)                                                                                         \
    static void avx_load_##suffix(Cpu *cpu, const Insn *i)                                                             \
    {                                                                                                                  \
        Vec tmp;                                                                                                       \
        avx_write(cpu, i, i->reg, avx_source(cpu, i, &tmp, bits), bits);                                               \
    }                                                                                                                  \
    SEM_1(avx_load_##suffix)                                                                                           \
    static void avx_store_##suffix(Cpu *cpu, const Insn *i)                                                            \
    {                                                                                                                  \
        const Vec *v = &cpu->vec[i->reg];                                                                              \
        if (i->mem)                                                                                                    \
            avx_store(cpu, i, v, bits, avx_lanes(i, bits), avx_selected(cpu, i, bits));                                \
        else                                                                                                           \
            avx_write(cpu, i, i->rm, v, bits);                                                                         \
    }                                                                                                                  \
    SEM_1(avx_store_##suffix)                                                                                          \
    static void avx_load_aligned_##suffix(Cpu *cpu, const Insn *i)                                                     \
    {                                                                                                                  \
        check_aligned(cpu, i, bits);                                                                                   \
        avx_load_##suffix(cpu, i);                                                                                     \
    }                                                                                                                  \
    SEM_1(avx_load_aligned_##suffix)                                                                                   \
    static void avx_store_aligned_##suffix(Cpu *cpu, const Insn *i)                                                    \
    {                                                                                                                  \
        check_aligned(cpu, i, bits);                                                                                   \
        avx_store_##suffix(cpu, i);                                                                                    \
    }                                                                                                                  \
    SEM_1(avx_store_aligned_##suffix)

AVX_MOVE(8, 8)
AVX_MOVE(16, 16)
AVX_MOVE(32, 32)
AVX_MOVE(64, 64)
