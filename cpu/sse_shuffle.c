/*
 * Instructions that move lanes within XMM registers, or one lane in or out: SSE to SSE4.1.
 * The kernels are in simd_shuffle.h.
 */
#include "cpu/simd_shuffle.h"

SSE_BINARY(packsswb)
SSE_BINARY(packssdw)
SSE_BINARY(packuswb)
SSE_BINARY(packusdw)

/* Also UNPCKLPS, UNPCKHPD and so on: the same bits. */
SSE_BINARY_FROM(punpcklbw, vec_load_low)
SSE_BINARY_FROM(punpcklwd, vec_load_low)
SSE_BINARY_FROM(punpckldq, vec_load_low)
SSE_BINARY_FROM(punpcklqdq, vec_load_low)
SSE_BINARY(punpckhbw)
SSE_BINARY(punpckhwd)
SSE_BINARY(punpckhdq)
SSE_BINARY(punpckhqdq)

SSE_BINARY(phaddw)
SSE_BINARY(phaddd)
SSE_BINARY(phaddsw)
SSE_BINARY(phsubw)
SSE_BINARY(phsubd)
SSE_BINARY(phsubsw)

SSE_BINARY(pshufb)
SSE_BINARY_IMM(palignr)
SSE_BINARY_IMM(shufps)
SSE_BINARY_IMM(shufpd)
SSE_BINARY_IMM(pblendw)
SSE_BINARY_IMM(blendps)
SSE_BINARY_IMM(blendpd)
SSE_UNARY_IMM(pshufd)
SSE_UNARY_IMM(pshuflw)
SSE_UNARY_IMM(pshufhw)
SSE_UNARY(movddup, vec_load_q)
SSE_UNARY(movsldup, vec_load_x)
SSE_UNARY(movshdup, vec_load_x)

/* The mask is in XMM0. */
#define SSE_BLEND_VARIABLE(name)                                                                                       \
    static KERNEL sse_##name##_op(Cpu *cpu, const Insn *i, const Vec *s)                                               \
    {                                                                                                                  \
        v_##name(&cpu->vec[i->reg], &cpu->vec[i->reg], s, &cpu->vec[0], 2);                                            \
    }                                                                                                                  \
    SSE_FORMS(name, vec_load_x)

SSE_BLEND_VARIABLE(pblendvb)
SSE_BLEND_VARIABLE(blendvps)
SSE_BLEND_VARIABLE(blendvpd)

SSE_UNARY(pmovsxbw, vec_load_q)
SSE_UNARY(pmovsxbd, vec_load_d)
SSE_UNARY(pmovsxbq, vec_load_w)
SSE_UNARY(pmovsxwd, vec_load_q)
SSE_UNARY(pmovsxwq, vec_load_d)
SSE_UNARY(pmovsxdq, vec_load_q)
SSE_UNARY(pmovzxbw, vec_load_q)
SSE_UNARY(pmovzxbd, vec_load_d)
SSE_UNARY(pmovzxbq, vec_load_w)
SSE_UNARY(pmovzxwd, vec_load_q)
SSE_UNARY(pmovzxwq, vec_load_d)
SSE_UNARY(pmovzxdq, vec_load_q)

/* PINSRx xmm, r/mem, imm8 and PEXTRx r/mem, xmm, imm8; a register gets 32 bits or more, zero-extended. */
#define SSE_INSERT_EXTRACT(suffix, LANE, bits, last, from, set)                                                        \
    static void sse_pinsr##suffix##_r(Cpu *cpu, const Insn *i)                                                         \
    {                                                                                                                  \
        LANE(cpu->vec[i->reg], i->imm & last) = from(cpu, i->rm);                                                      \
    }                                                                                                                  \
    static void sse_pinsr##suffix##_m(Cpu *cpu, const Insn *i)                                                         \
    {                                                                                                                  \
        LANE(cpu->vec[i->reg], i->imm & last) = mem_read##bits(cpu, i->seg, insn_ea(cpu, i));                          \
    }                                                                                                                  \
    SEM_RM(sse_pinsr##suffix)                                                                                          \
    static void sse_pextr##suffix##_r(Cpu *cpu, const Insn *i)                                                         \
    {                                                                                                                  \
        set(cpu, i->rm, LANE(cpu->vec[i->reg], i->imm & last));                                                        \
    }                                                                                                                  \
    static void sse_pextr##suffix##_m(Cpu *cpu, const Insn *i)                                                         \
    {                                                                                                                  \
        mem_write##bits(cpu, i->seg, insn_ea(cpu, i), LANE(cpu->vec[i->reg], i->imm & last));                          \
    }                                                                                                                  \
    SEM_RM(sse_pextr##suffix)

SSE_INSERT_EXTRACT(b, VEC_B, 8, 15, reg32, set_reg32)
SSE_INSERT_EXTRACT(w, VEC_W, 16, 7, reg32, set_reg32)
SSE_INSERT_EXTRACT(d, VEC_D, 32, 3, reg32, set_reg32)
SSE_INSERT_EXTRACT(q, VEC_Q, 64, 1, reg64, set_reg64)

/* SSE2's PEXTRW r32, xmm, imm8: the registers are the other way round. */
static void sse_pextrw_reg(Cpu *cpu, const Insn *i)
{
    set_reg32(cpu, i->reg, VEC_W(cpu->vec[i->rm], i->imm & 7));
}
SEM_1(sse_pextrw_reg)

/* imm8 bits 7:6 name the lane of the source; memory has but one. */
static void sse_insertps_r(Cpu *cpu, const Insn *i)
{
    vec_insert_float(&cpu->vec[i->reg], VEC_D(cpu->vec[i->rm], i->imm >> 6 & 3), i->imm);
}
static void sse_insertps_m(Cpu *cpu, const Insn *i)
{
    vec_insert_float(&cpu->vec[i->reg], mem_read32(cpu, i->seg, insn_ea(cpu, i)), i->imm);
}
SEM_RM(sse_insertps)
