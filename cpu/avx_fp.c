/* Floating-point arithmetic and comparison with VEX and EVEX: kernels in simd_fp.h, forms in avx.h and avx_lanes.h. */
#include "cpu/avx_lanes.h"
#include "cpu/fp_avx512.h"

#define AVX_ARITHMETIC(op)                                                                                             \
    AVX_FP_BINARY(op##ps, 32)                                                                                          \
    AVX_FP_BINARY(op##pd, 64)                                                                                          \
    AVX_SEMANTICS(op##ss, avx_fp_binary_scalar, v_##op##ps, 32)                                                        \
    AVX_SEMANTICS(op##sd, avx_fp_binary_scalar, v_##op##pd, 64)

AVX_ARITHMETIC(add)
AVX_ARITHMETIC(sub)
AVX_ARITHMETIC(mul)
AVX_ARITHMETIC(div)
AVX_ARITHMETIC(min)
AVX_ARITHMETIC(max)

AVX_FP_UNARY(sqrtps, 32)
AVX_FP_UNARY(sqrtpd, 64)
AVX_SEMANTICS(sqrtss, avx_fp_unary_scalar, v_sqrtps, 32)
AVX_SEMANTICS(sqrtsd, avx_fp_unary_scalar, v_sqrtpd, 64)

/* With VEX only. */
AVX_FP_BINARY(addsubps, 32)
AVX_FP_BINARY(addsubpd, 64)
AVX_FP_BINARY(haddps, 32)
AVX_FP_BINARY(haddpd, 64)
AVX_FP_BINARY(hsubps, 32)
AVX_FP_BINARY(hsubpd, 64)

/* VCMPxx with VEX makes a vector of zeros and ones. */
FP_LANES(cmpps, VEC_D, VEC_D, fp32_cmp(a, b, imm, e))
FP_LANES(cmppd, VEC_Q, VEC_Q, fp64_cmp(a, b, imm, e))
AVX_LANES_FORMS(cmp)

AVX_COMPARE(comiss, VEC_D, 32, false)
AVX_COMPARE(comisd, VEC_Q, 64, false)
AVX_COMPARE(ucomiss, VEC_D, 32, true)
AVX_COMPARE(ucomisd, VEC_Q, 64, true)

/* ROUNDPS and its kin: VRNDSCALE to no binary places. */
FP_LANES(roundps, VEC_D, VEC_D, fp32_rndscale(b, imm & 15, e))
FP_LANES(roundpd, VEC_Q, VEC_Q, fp64_rndscale(b, imm & 15, e))
AVX_LANES_FORMS(round)

FP_LANES(rcpps, VEC_D, VEC_D, fp32_rcp(b))
FP_LANES(rsqrtps, VEC_D, VEC_D, fp32_rsqrt(b))
AVX_LANES(rcpps, rcpps, 32, 32)
AVX_LANES(rsqrtps, rsqrtps, 32, 32)
AVX_LANES_SCALAR(rcpss, rcpps, 32, 32)
AVX_LANES_SCALAR(rsqrtss, rsqrtps, 32, 32)

/* Dot products in each 128 bits; see sse_fp.c. */
static void avx_dpps(Cpu *cpu, const Insn *i)
{
    Vec tmp, r;
    FpEnv e;
    const Vec *a = &cpu->vec[i->vreg], *b = avx_source_low(cpu, i, &tmp, avx_bytes(i));
    avx_env(cpu, i, &e);
    for (unsigned j = 0; j < avx_qwords(i) * 2; j++)
        VEC_D(r, j) = i->imm >> (4 + j % 4) & 1 ? fp32_mul(VEC_D(*a, j), VEC_D(*b, j), &e) : 0;
    avx_finish(cpu, i, &e);
    for (unsigned j = 0; j < avx_qwords(i) * 2; j += 2)
        VEC_D(r, j) = fp32_add(VEC_D(r, j), VEC_D(r, j + 1), &e);
    avx_finish(cpu, i, &e);
    for (unsigned j = 0; j < avx_qwords(i) * 2; j += 4) {
        uint32_t sum = fp32_add(VEC_D(r, j), VEC_D(r, j + 2), &e);
        for (unsigned k = 0; k < 4; k++)
            VEC_D(r, j + k) = i->imm >> k & 1 ? sum : 0;
    }
    avx_finish(cpu, i, &e);
    avx_write(cpu, i, i->reg, &r, 32);
}
SEM_1(avx_dpps)

static void avx_dppd(Cpu *cpu, const Insn *i)
{
    Vec tmp, r;
    FpEnv e;
    uint64_t product[2] = { 0 };
    const Vec *a = &cpu->vec[i->vreg], *b = avx_source_low(cpu, i, &tmp, 16);
    avx_env(cpu, i, &e);
    for (unsigned j = 0; j < 2; j++)
        if (i->imm >> (4 + j) & 1)
            product[j] = fp64_mul(a->q[j], b->q[j], &e);
    avx_finish(cpu, i, &e);
    uint64_t sum = fp64_add(product[0], product[1], &e);
    avx_finish(cpu, i, &e);
    for (unsigned j = 0; j < 2; j++)
        r.q[j] = i->imm >> j & 1 ? sum : 0;
    avx_write(cpu, i, i->reg, &r, 64);
}
SEM_1(avx_dppd)
