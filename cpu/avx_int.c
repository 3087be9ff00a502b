/* Packed integer arithmetic, logic, comparison and shifts with VEX and EVEX: kernels in simd_int.h, forms in avx.h. */
#include "cpu/avx.h"
#include "cpu/flags.h"
#include "cpu/simd_int.h"

AVX_BINARY(paddb, 8)
AVX_BINARY(paddw, 16)
AVX_BINARY(paddd, 32)
AVX_BINARY(paddq, 64)
AVX_BINARY(paddsb, 8)
AVX_BINARY(paddsw, 16)
AVX_BINARY(paddusb, 8)
AVX_BINARY(paddusw, 16)
AVX_BINARY(psubb, 8)
AVX_BINARY(psubw, 16)
AVX_BINARY(psubd, 32)
AVX_BINARY(psubq, 64)
AVX_BINARY(psubsb, 8)
AVX_BINARY(psubsw, 16)
AVX_BINARY(psubusb, 8)
AVX_BINARY(psubusw, 16)
AVX_BINARY(pmullw, 16)
AVX_BINARY(pmulld, 32)
AVX_BINARY(pmullq, 64)
AVX_BINARY(pmulhw, 16)
AVX_BINARY(pmulhuw, 16)
AVX_BINARY(pmulhrsw, 16)
AVX_BINARY(pmuludq, 64)
AVX_BINARY(pmuldq, 64)
AVX_BINARY_WHOLE(pmaddwd, 32)
AVX_BINARY_WHOLE(pmaddubsw, 16)
AVX_BINARY_WHOLE(psadbw, 64)
AVX_BINARY_IMM_WHOLE(mpsadbw, 16)
AVX_UNARY_WHOLE(phminposuw, 16)

/* With VEX the lanes of logic are of no size, so that there one does for all. */
AVX_SEMANTICS(pandd, avx_binary, v_pand, 32)
AVX_SEMANTICS(pandq, avx_binary, v_pand, 64)
AVX_SEMANTICS(pandnd, avx_binary, v_pandn, 32)
AVX_SEMANTICS(pandnq, avx_binary, v_pandn, 64)
AVX_SEMANTICS(pord, avx_binary, v_por, 32)
AVX_SEMANTICS(porq, avx_binary, v_por, 64)
AVX_SEMANTICS(pxord, avx_binary, v_pxor, 32)
AVX_SEMANTICS(pxorq, avx_binary, v_pxor, 64)

AVX_BINARY(pcmpeqb, 8)
AVX_BINARY(pcmpeqw, 16)
AVX_BINARY(pcmpeqd, 32)
AVX_BINARY(pcmpeqq, 64)
AVX_BINARY(pcmpgtb, 8)
AVX_BINARY(pcmpgtw, 16)
AVX_BINARY(pcmpgtd, 32)
AVX_BINARY(pcmpgtq, 64)

AVX_BINARY(pminub, 8)
AVX_BINARY(pminsb, 8)
AVX_BINARY(pminuw, 16)
AVX_BINARY(pminsw, 16)
AVX_BINARY(pminud, 32)
AVX_BINARY(pminsd, 32)
AVX_BINARY(pminuq, 64)
AVX_BINARY(pminsq, 64)
AVX_BINARY(pmaxub, 8)
AVX_BINARY(pmaxsb, 8)
AVX_BINARY(pmaxuw, 16)
AVX_BINARY(pmaxsw, 16)
AVX_BINARY(pmaxud, 32)
AVX_BINARY(pmaxsd, 32)
AVX_BINARY(pmaxuq, 64)
AVX_BINARY(pmaxsq, 64)
AVX_BINARY(pavgb, 8)
AVX_BINARY(pavgw, 16)
AVX_BINARY(psignb, 8)
AVX_BINARY(psignw, 16)
AVX_BINARY(psignd, 32)
AVX_UNARY(pabsb, 8)
AVX_UNARY(pabsw, 16)
AVX_UNARY(pabsd, 32)
AVX_UNARY(pabsq, 64)

/* Shifts of all lanes by the low quadword of xmm/m128, which is always read whole. */
static void avx_shift(Cpu *cpu, const Insn *i, VecShift *kernel, unsigned bits)
{
    Vec tmp, r;
    const Vec *count = avx_source_low(cpu, i, &tmp, 16);
    kernel(&r, &cpu->vec[i->vreg], count->q[0], avx_qwords(i));
    avx_write(cpu, i, i->reg, &r, bits);
}

/* Shifts by an immediate: the destination is vvvv. */
static void avx_shift_imm(Cpu *cpu, const Insn *i, VecShift *kernel, unsigned bits)
{
    Vec tmp, r;
    kernel(&r, avx_source(cpu, i, &tmp, bits), i->imm, avx_qwords(i));
    avx_write(cpu, i, i->vreg, &r, bits);
}

#define AVX_SHIFT(name, bits)                                                                                          \
    AVX_SEMANTICS(name, avx_shift, v_##name, bits)                                                                     \
    AVX_SEMANTICS(name##_imm, avx_shift_imm, v_##name, bits)

AVX_SHIFT(psllw, 16)
AVX_SHIFT(pslld, 32)
AVX_SHIFT(psllq, 64)
AVX_SHIFT(psrlw, 16)
AVX_SHIFT(psrld, 32)
AVX_SHIFT(psrlq, 64)
AVX_SHIFT(psraw, 16)
AVX_SHIFT(psrad, 32)
AVX_SHIFT(psraq, 64)

static void avx_shift_bytes(Cpu *cpu, const Insn *i, VecUnaryImm *kernel, unsigned bits)
{
    Vec tmp, r;
    kernel(&r, avx_source_whole(cpu, i, &tmp, bits), i->imm, avx_qwords(i));
    avx_write(cpu, i, i->vreg, &r, bits);
}
AVX_SEMANTICS(pslldq_imm, avx_shift_bytes, v_pslldq, 8)
AVX_SEMANTICS(psrldq_imm, avx_shift_bytes, v_psrldq, 8)

/* Each lane by its own count. */
AVX_BINARY(psllvw, 16)
AVX_BINARY(psllvd, 32)
AVX_BINARY(psllvq, 64)
AVX_BINARY(psrlvw, 16)
AVX_BINARY(psrlvd, 32)
AVX_BINARY(psrlvq, 64)
AVX_BINARY(psravw, 16)
AVX_BINARY(psravd, 32)
AVX_BINARY(psravq, 64)

/*
 * VPTEST and VTESTPx: ZF when no bit of `of` in each quadword is in both operands, CF when the first operand has all of
 * the second's; the other flags are clear.
 */
static void avx_test(Cpu *cpu, const Insn *i, uint64_t of)
{
    Vec tmp;
    const Vec *a = &cpu->vec[i->reg], *b = avx_source_whole(cpu, i, &tmp, 64);
    uint64_t both = 0, only_b = 0;
    for (unsigned j = 0; j < avx_qwords(i); j++) {
        both |= a->q[j] & b->q[j] & of;
        only_b |= ~a->q[j] & b->q[j] & of;
    }
    cpu->cc_z = both;
    cpu->cc_sp = 1; /* SF and PF clear */
    set_cf_of_af(cpu, !only_b, false, false);
}
static void avx_ptest(Cpu *cpu, const Insn *i) { avx_test(cpu, i, UINT64_MAX); }
SEM_1(avx_ptest)
static void avx_testps(Cpu *cpu, const Insn *i) { avx_test(cpu, i, UINT64_C(0x8000000080000000)); }
SEM_1(avx_testps)
static void avx_testpd(Cpu *cpu, const Insn *i) { avx_test(cpu, i, UINT64_C(0x8000000000000000)); }
SEM_1(avx_testpd)
