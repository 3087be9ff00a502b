/*
 * Moves between XMM registers, memory and general registers, SSE to SSE4.1.
 */
#include "cpu/simd_int.h"

/* MOVUPS, MOVUPD, MOVDQU, LDDQU; MOVAPS, MOVAPD, MOVDQA, MOVNTDQA. */
#define SSE_MOVE(kind, align)                                                                                          \
    static void sse_load_##kind##_r(Cpu *cpu, const Insn *i) { vec_copy(&cpu->vec[i->reg], &cpu->vec[i->rm], 2); }     \
    static void sse_load_##kind##_m(Cpu *cpu, const Insn *i) { vec_load16(cpu, i, &cpu->vec[i->reg], align, true); }   \
    SEM_RM(sse_load_##kind)                                                                                            \
    static void sse_store_##kind##_r(Cpu *cpu, const Insn *i) { vec_copy(&cpu->vec[i->rm], &cpu->vec[i->reg], 2); }    \
    static void sse_store_##kind##_m(Cpu *cpu, const Insn *i) { vec_store16(cpu, i, &cpu->vec[i->reg], align); }       \
    SEM_RM(sse_store_##kind)

SSE_MOVE(unaligned, 0)
SSE_MOVE(aligned, 16)

static inline void set_low(Vec *v, uint64_t low)
{
    v->q[0] = low;
    v->q[1] = 0;
}

/* A scalar load clears the rest of the register, a move between registers does not. */
static void sse_movss_load_r(Cpu *cpu, const Insn *i) { VEC_D(cpu->vec[i->reg], 0) = VEC_D(cpu->vec[i->rm], 0); }
static void sse_movss_load_m(Cpu *cpu, const Insn *i)
{
    set_low(&cpu->vec[i->reg], mem_read32(cpu, i->seg, insn_ea(cpu, i)));
}
SEM_RM(sse_movss_load)
static void sse_movss_store_r(Cpu *cpu, const Insn *i) { VEC_D(cpu->vec[i->rm], 0) = VEC_D(cpu->vec[i->reg], 0); }
static void sse_movss_store_m(Cpu *cpu, const Insn *i)
{
    mem_write32(cpu, i->seg, insn_ea(cpu, i), VEC_D(cpu->vec[i->reg], 0));
}
SEM_RM(sse_movss_store)

static void sse_movsd_load_r(Cpu *cpu, const Insn *i) { cpu->vec[i->reg].q[0] = cpu->vec[i->rm].q[0]; }
static void sse_movsd_load_m(Cpu *cpu, const Insn *i)
{
    set_low(&cpu->vec[i->reg], mem_read64(cpu, i->seg, insn_ea(cpu, i)));
}
SEM_RM(sse_movsd_load)
static void sse_movsd_store_r(Cpu *cpu, const Insn *i) { cpu->vec[i->rm].q[0] = cpu->vec[i->reg].q[0]; }
static void sse_movsd_store_m(Cpu *cpu, const Insn *i)
{
    mem_write64(cpu, i->seg, insn_ea(cpu, i), cpu->vec[i->reg].q[0]);
}
SEM_RM(sse_movsd_store)

/* MOVQ xmm, xmm/m64 and back: clears the upper half of a destination register. */
static void sse_movq_load_r(Cpu *cpu, const Insn *i) { set_low(&cpu->vec[i->reg], cpu->vec[i->rm].q[0]); }
static void sse_movq_load_m(Cpu *cpu, const Insn *i) { sse_movsd_load_m(cpu, i); }
SEM_RM(sse_movq_load)
static void sse_movq_store_r(Cpu *cpu, const Insn *i) { set_low(&cpu->vec[i->rm], cpu->vec[i->reg].q[0]); }
static void sse_movq_store_m(Cpu *cpu, const Insn *i) { sse_movsd_store_m(cpu, i); }
SEM_RM(sse_movq_store)

/* MOVD and MOVQ with r/m32 and r/m64. */
static void sse_movd_from_gpr_r(Cpu *cpu, const Insn *i) { set_low(&cpu->vec[i->reg], reg32(cpu, i->rm)); }
static void sse_movd_from_gpr_m(Cpu *cpu, const Insn *i) { sse_movss_load_m(cpu, i); }
SEM_RM(sse_movd_from_gpr)
static void sse_movq_from_gpr_r(Cpu *cpu, const Insn *i) { set_low(&cpu->vec[i->reg], reg64(cpu, i->rm)); }
static void sse_movq_from_gpr_m(Cpu *cpu, const Insn *i) { sse_movsd_load_m(cpu, i); }
SEM_RM(sse_movq_from_gpr)
static void sse_movd_to_gpr_r(Cpu *cpu, const Insn *i) { set_reg32(cpu, i->rm, VEC_D(cpu->vec[i->reg], 0)); }
static void sse_movd_to_gpr_m(Cpu *cpu, const Insn *i) { sse_movss_store_m(cpu, i); }
SEM_RM(sse_movd_to_gpr)
static void sse_movq_to_gpr_r(Cpu *cpu, const Insn *i) { set_reg64(cpu, i->rm, cpu->vec[i->reg].q[0]); }
static void sse_movq_to_gpr_m(Cpu *cpu, const Insn *i) { sse_movsd_store_m(cpu, i); }
SEM_RM(sse_movq_to_gpr)

/* Halves: MOVLPS/MOVLPD and MOVHPS/MOVHPD with memory, MOVHLPS and MOVLHPS between registers. */
static void sse_movlps_load(Cpu *cpu, const Insn *i)
{
    cpu->vec[i->reg].q[0] = mem_read64(cpu, i->seg, insn_ea(cpu, i));
}
SEM_1(sse_movlps_load)
static void sse_movhps_load(Cpu *cpu, const Insn *i)
{
    cpu->vec[i->reg].q[1] = mem_read64(cpu, i->seg, insn_ea(cpu, i));
}
SEM_1(sse_movhps_load)
static void sse_movlps_store(Cpu *cpu, const Insn *i) { sse_movsd_store_m(cpu, i); }
SEM_1(sse_movlps_store)
static void sse_movhps_store(Cpu *cpu, const Insn *i)
{
    mem_write64(cpu, i->seg, insn_ea(cpu, i), cpu->vec[i->reg].q[1]);
}
SEM_1(sse_movhps_store)
static void sse_movhlps(Cpu *cpu, const Insn *i) { cpu->vec[i->reg].q[0] = cpu->vec[i->rm].q[1]; }
SEM_1(sse_movhlps)
static void sse_movlhps(Cpu *cpu, const Insn *i) { cpu->vec[i->reg].q[1] = cpu->vec[i->rm].q[0]; }
SEM_1(sse_movlhps)

static void sse_pmovmskb(Cpu *cpu, const Insn *i) { set_reg32(cpu, i->reg, vec_mask_b(&cpu->vec[i->rm], 2)); }
SEM_1(sse_pmovmskb)
static void sse_movmskps(Cpu *cpu, const Insn *i) { set_reg32(cpu, i->reg, vec_mask_d(&cpu->vec[i->rm], 2)); }
SEM_1(sse_movmskps)
static void sse_movmskpd(Cpu *cpu, const Insn *i) { set_reg32(cpu, i->reg, vec_mask_q(&cpu->vec[i->rm], 2)); }
SEM_1(sse_movmskpd)

/* MOVNTI: a plain store to us; it checks no SSE control bits. */
static void sse_movnti_32(Cpu *cpu, const Insn *i)
{
    mem_write32(cpu, i->seg, insn_ea(cpu, i), reg32(cpu, i->reg));
}
static void sse_movnti_64(Cpu *cpu, const Insn *i)
{
    mem_write64(cpu, i->seg, insn_ea(cpu, i), reg64(cpu, i->reg));
}
SEM_Y(sse_movnti)

void vec_store_bytes(Cpu *cpu, const Insn *i, const Vec *v, uint32_t mask, unsigned size)
{
    static const uint64_t address_mask[3] = { 0xffff, 0xffffffff, ~UINT64_C(0) };
    uint64_t to = address_mask[i->asz], di = cpu->gpr[R_DI];
    for (unsigned j = 0; j < size; j++)
        mem_probe_write(cpu, i->seg, (di + j) & to, 1);
    for (unsigned j = 0; j < size; j++)
        if (mask >> j & 1)
            mem_write8(cpu, i->seg, (di + j) & to, VEC_B(*v, j));
}

static void sse_maskmovdqu(Cpu *cpu, const Insn *i)
{
    vec_store_bytes(cpu, i, &cpu->vec[i->reg], vec_mask_b(&cpu->vec[i->rm], 2), 16);
}
SEM_1(sse_maskmovdqu)
