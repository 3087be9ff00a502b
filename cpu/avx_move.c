/* Moves between vector registers and memory with VEX and EVEX. */
#include "cpu/avx.h"
#include "cpu/simd_int.h"

/* A memory operand that must be aligned to the vector length: #GP, unless no lane of it is accessed at all. */
static void check_aligned(Cpu *cpu, const Insn *i, unsigned bits)
{
    uint64_t base = cpu->flat >> i->seg & 1 ? 0 : cpu->seg[i->seg].base;
    if (i->mem && ((insn_ea(cpu, i) + base) & (avx_bytes(i) - 1)) && avx_selected(cpu, i, bits))
        cpu_raise_gp(cpu);
}

/* The non-temporal ones are as the others to us. */
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

/* Scalars from memory clear the rest of the register; those of a register leave the rest of 128 bits to vvvv. */
static void write_low(Cpu *cpu, unsigned reg, uint64_t low)
{
    cpu->vec[reg].q[0] = low;
    avx_clear_above(cpu, reg, 8);
}
static void write_pair(Cpu *cpu, unsigned reg, uint64_t low, uint64_t high)
{
    cpu->vec[reg].q[0] = low;
    cpu->vec[reg].q[1] = high;
    avx_clear_above(cpu, reg, 16);
}

static void scalar_load(Cpu *cpu, const Insn *i, unsigned bits)
{
    Vec tmp, r = { { 0 } };
    uint64_t selected = avx_mask(cpu, i, 1);
    const Vec *a = avx_source_part(cpu, i, &tmp, bits, 1, selected);
    vec_set_lane(&r, bits, 0, vec_lane(selected ? a : i->zero ? &r : &cpu->vec[i->reg], bits, 0));
    write_low(cpu, i->reg, r.q[0]);
}
static void scalar_merge(Cpu *cpu, const Insn *i, unsigned to, unsigned from, unsigned bits)
{
    Vec r = cpu->vec[i->vreg];
    bool selected = avx_mask(cpu, i, 1);
    vec_set_lane(&r, bits, 0, selected ? vec_lane(&cpu->vec[from], bits, 0) : i->zero ? 0 : vec_lane(&cpu->vec[to], bits, 0));
    write_pair(cpu, to, r.q[0], r.q[1]);
}
#define AVX_SCALAR_MOVE(name, bits)                                                                                    \
    static void avx_##name##_load(Cpu *cpu, const Insn *i) { scalar_load(cpu, i, bits); }                              \
    SEM_1(avx_##name##_load)                                                                                           \
    static void avx_##name##_store(Cpu *cpu, const Insn *i)                                                            \
    {                                                                                                                  \
        avx_store(cpu, i, &cpu->vec[i->reg], bits, 1, avx_mask(cpu, i, 1));                                            \
    }                                                                                                                  \
    SEM_1(avx_##name##_store)                                                                                          \
    static void avx_##name##_merge(Cpu *cpu, const Insn *i) { scalar_merge(cpu, i, i->reg, i->rm, bits); }             \
    SEM_1(avx_##name##_merge)                                                                                          \
    static void avx_##name##_merge_back(Cpu *cpu, const Insn *i) { scalar_merge(cpu, i, i->rm, i->reg, bits); }        \
    SEM_1(avx_##name##_merge_back)
AVX_SCALAR_MOVE(movss, 32)
AVX_SCALAR_MOVE(movsd, 64)

/* Halves: one from memory or a register, the other from vvvv. */
static void avx_movlps_load(Cpu *cpu, const Insn *i)
{
    write_pair(cpu, i->reg, mem_read64(cpu, i->seg, insn_ea(cpu, i)), cpu->vec[i->vreg].q[1]);
}
SEM_1(avx_movlps_load)
static void avx_movhps_load(Cpu *cpu, const Insn *i)
{
    write_pair(cpu, i->reg, cpu->vec[i->vreg].q[0], mem_read64(cpu, i->seg, insn_ea(cpu, i)));
}
SEM_1(avx_movhps_load)
static void avx_movhlps(Cpu *cpu, const Insn *i)
{
    write_pair(cpu, i->reg, cpu->vec[i->rm].q[1], cpu->vec[i->vreg].q[1]);
}
SEM_1(avx_movhlps)
static void avx_movlhps(Cpu *cpu, const Insn *i)
{
    write_pair(cpu, i->reg, cpu->vec[i->vreg].q[0], cpu->vec[i->rm].q[0]);
}
SEM_1(avx_movlhps)

/* VMOVD and VMOVQ from general registers, memory and vectors.  Those that store are as in sse_move.c. */
static void avx_movd_from_gpr_r(Cpu *cpu, const Insn *i) { write_low(cpu, i->reg, reg32(cpu, i->rm)); }
static void avx_movd_from_gpr_m(Cpu *cpu, const Insn *i)
{
    write_low(cpu, i->reg, mem_read32(cpu, i->seg, insn_ea(cpu, i)));
}
SEM_RM(avx_movd_from_gpr)
static void avx_movq_from_gpr_r(Cpu *cpu, const Insn *i) { write_low(cpu, i->reg, reg64(cpu, i->rm)); }
static void avx_movq_load_r(Cpu *cpu, const Insn *i) { write_low(cpu, i->reg, cpu->vec[i->rm].q[0]); }
static void avx_movq_load_m(Cpu *cpu, const Insn *i)
{
    write_low(cpu, i->reg, mem_read64(cpu, i->seg, insn_ea(cpu, i)));
}
SEM_RM(avx_movq_load)
static void avx_movq_from_gpr_m(Cpu *cpu, const Insn *i) { avx_movq_load_m(cpu, i); }
SEM_RM(avx_movq_from_gpr)
static void avx_movq_store_r(Cpu *cpu, const Insn *i) { write_low(cpu, i->rm, cpu->vec[i->reg].q[0]); }
static void avx_movq_store_m(Cpu *cpu, const Insn *i)
{
    mem_write64(cpu, i->seg, insn_ea(cpu, i), cpu->vec[i->reg].q[0]);
}
SEM_RM(avx_movq_store)

/* Top bits of the lanes. */
static void avx_pmovmskb(Cpu *cpu, const Insn *i) { set_reg32(cpu, i->reg, vec_mask_b(&cpu->vec[i->rm], avx_qwords(i))); }
SEM_1(avx_pmovmskb)
static void avx_movmskps(Cpu *cpu, const Insn *i) { set_reg32(cpu, i->reg, vec_mask_d(&cpu->vec[i->rm], avx_qwords(i))); }
SEM_1(avx_movmskps)
static void avx_movmskpd(Cpu *cpu, const Insn *i) { set_reg32(cpu, i->reg, vec_mask_q(&cpu->vec[i->rm], avx_qwords(i))); }
SEM_1(avx_movmskpd)

/* VMASKMOVPx and VPMASKMOVx: lanes where vvvv has its top bit set.  The others are not accessed; loads clear them. */
#define AVX_MASKMOV(bits, mask_of)                                                                                     \
    static void avx_maskmov_load_##bits(Cpu *cpu, const Insn *i)                                                       \
    {                                                                                                                  \
        Vec tmp;                                                                                                       \
        uint64_t selected = mask_of(&cpu->vec[i->vreg], avx_qwords(i));                                                \
        avx_write(cpu, i, i->reg, avx_source_part(cpu, i, &tmp, bits, avx_lanes(i, bits), selected), bits);            \
    }                                                                                                                  \
    SEM_1(avx_maskmov_load_##bits)                                                                                     \
    static void avx_maskmov_store_##bits(Cpu *cpu, const Insn *i)                                                      \
    {                                                                                                                  \
        uint64_t selected = mask_of(&cpu->vec[i->vreg], avx_qwords(i));                                                \
        avx_store(cpu, i, &cpu->vec[i->reg], bits, avx_lanes(i, bits), selected);                                      \
    }                                                                                                                  \
    SEM_1(avx_maskmov_store_##bits)
AVX_MASKMOV(32, vec_mask_d)
AVX_MASKMOV(64, vec_mask_q)

/* The first 16 registers only; 8 outside 64-bit mode. */
static void clear_all_above(Cpu *cpu, unsigned qwords)
{
    for (unsigned reg = 0; reg < (cpu_code64(cpu) ? 16 : 8); reg++)
        for (unsigned j = qwords; j < 8; j++)
            cpu->vec[reg].q[j] = 0;
}
static void avx_zeroupper(Cpu *cpu, const Insn *i)
{
    (void)i;
    clear_all_above(cpu, 2);
}
SEM_1(avx_zeroupper)
static void avx_zeroall(Cpu *cpu, const Insn *i)
{
    (void)i;
    clear_all_above(cpu, 0);
}
SEM_1(avx_zeroall)
