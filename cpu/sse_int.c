/*
 * Packed integer instructions on XMM registers, SSE2 to SSE4.2: arithmetic, logic, comparison and shifts.
 * The kernels are in simd_int.h.
 */
#include "cpu/flags.h"
#include "cpu/simd_int.h"

SSE_BINARY(paddb)
SSE_BINARY(paddw)
SSE_BINARY(paddd)
SSE_BINARY(paddq)
SSE_BINARY(paddsb)
SSE_BINARY(paddsw)
SSE_BINARY(paddusb)
SSE_BINARY(paddusw)
SSE_BINARY(psubb)
SSE_BINARY(psubw)
SSE_BINARY(psubd)
SSE_BINARY(psubq)
SSE_BINARY(psubsb)
SSE_BINARY(psubsw)
SSE_BINARY(psubusb)
SSE_BINARY(psubusw)
SSE_BINARY(pmullw)
SSE_BINARY(pmulld)
SSE_BINARY(pmulhw)
SSE_BINARY(pmulhuw)
SSE_BINARY(pmulhrsw)
SSE_BINARY(pmuludq)
SSE_BINARY(pmuldq)
SSE_BINARY(pmaddwd)
SSE_BINARY(pmaddubsw)
SSE_BINARY(psadbw)
SSE_BINARY_IMM(mpsadbw)
SSE_UNARY(phminposuw, vec_load_x)

/* Also ANDPS, ANDPD and so on: the same bits. */
SSE_BINARY(pand)
SSE_BINARY(pandn)
SSE_BINARY(por)
SSE_BINARY(pxor)

SSE_BINARY(pcmpeqb)
SSE_BINARY(pcmpeqw)
SSE_BINARY(pcmpeqd)
SSE_BINARY(pcmpeqq)
SSE_BINARY(pcmpgtb)
SSE_BINARY(pcmpgtw)
SSE_BINARY(pcmpgtd)
SSE_BINARY(pcmpgtq)

SSE_BINARY(pminub)
SSE_BINARY(pminsb)
SSE_BINARY(pminuw)
SSE_BINARY(pminsw)
SSE_BINARY(pminud)
SSE_BINARY(pminsd)
SSE_BINARY(pmaxub)
SSE_BINARY(pmaxsb)
SSE_BINARY(pmaxuw)
SSE_BINARY(pmaxsw)
SSE_BINARY(pmaxud)
SSE_BINARY(pmaxsd)
SSE_BINARY(pavgb)
SSE_BINARY(pavgw)
SSE_BINARY(psignb)
SSE_BINARY(psignw)
SSE_BINARY(psignd)
SSE_UNARY(pabsb, vec_load_x)
SSE_UNARY(pabsw, vec_load_x)
SSE_UNARY(pabsd, vec_load_x)

/* Shifts of xmm1 by xmm2/m128 (its low quadword), and of xmm by imm8. */
#define SSE_SHIFT(name)                                                                                                \
    static KERNEL sse_##name##_op(Cpu *cpu, const Insn *i, const Vec *s)                                               \
    {                                                                                                                  \
        v_##name(&cpu->vec[i->reg], &cpu->vec[i->reg], s->q[0], 2);                                                    \
    }                                                                                                                  \
    SSE_FORMS(name, vec_load_low)                                                                                      \
    SSE_SHIFT_IMM(name)
#define SSE_SHIFT_IMM(name)                                                                                            \
    static void sse_##name##_imm(Cpu *cpu, const Insn *i) { v_##name(&cpu->vec[i->rm], &cpu->vec[i->rm], i->imm, 2); } \
    SEM_1(sse_##name##_imm)

SSE_SHIFT(psllw)
SSE_SHIFT(pslld)
SSE_SHIFT(psllq)
SSE_SHIFT(psrlw)
SSE_SHIFT(psrld)
SSE_SHIFT(psrlq)
SSE_SHIFT(psraw)
SSE_SHIFT(psrad)
SSE_SHIFT_IMM(pslldq)
SSE_SHIFT_IMM(psrldq)

/* PTEST: ZF when no bit is in both, CF when the destination has all bits of the source; the others 0. */
static KERNEL sse_ptest_op(Cpu *cpu, const Insn *i, const Vec *s)
{
    const Vec *d = &cpu->vec[i->reg];
    cpu->cc_z = (d->q[0] & s->q[0]) | (d->q[1] & s->q[1]);
    cpu->cc_sp = 1; /* SF and PF clear */
    set_cf_of_af(cpu, !((~d->q[0] & s->q[0]) | (~d->q[1] & s->q[1])), false, false);
}
SSE_FORMS(ptest, vec_load_x)
