/*
 * Floating point that only AVX-512 has, for single and double precision and bfloat16 (SDM vol. 2C); lane operations in
 * fp_avx512.h.
 */
#include "cpu/avx_lanes.h"
#include "cpu/fp_avx512.h"

FP_LANES_TEST(cmpps_mask, VEC_D, fp32_cmp(a, b, imm, e))
FP_LANES_TEST(cmppd_mask, VEC_Q, fp64_cmp(a, b, imm, e))
AVX_LANES_TEST(cmpps_mask, cmpps_mask, 32)
AVX_LANES_TEST(cmppd_mask, cmppd_mask, 64)
AVX_LANES_TEST_SCALAR(cmpss_mask, cmpps_mask, 32)
AVX_LANES_TEST_SCALAR(cmpsd_mask, cmppd_mask, 64)

FP_LANES_TEST(fpclassps, VEC_D, fp32_is_class(b, imm, e))
FP_LANES_TEST(fpclasspd, VEC_Q, fp64_is_class(b, imm, e))
AVX_LANES_TEST(fpclassps, fpclassps, 32)
AVX_LANES_TEST(fpclasspd, fpclasspd, 64)
AVX_LANES_TEST_SCALAR(fpclassss, fpclassps, 32)
AVX_LANES_TEST_SCALAR(fpclasssd, fpclasspd, 64)

/* A lane operation of both formats, in its four instructions. */
#define AVX512_FP(name, ...)                                                                                           \
    FP_LANES(name##ps, VEC_D, VEC_D, fp32_##name(__VA_ARGS__))                                                         \
    FP_LANES(name##pd, VEC_Q, VEC_Q, fp64_##name(__VA_ARGS__))                                                         \
    AVX_LANES_FORMS(name)

AVX512_FP(scalef, a, b, e)
AVX512_FP(getexp, b, e)
AVX512_FP(getmant, b, imm, e)
AVX512_FP(rndscale, b, imm, e)
AVX512_FP(reduce, b, imm, e)
AVX512_FP(range, a, b, imm, e)
AVX512_FP(fixupimm, c, a, b, imm, e)

/* Underflow is not raised, so FZ counts whether it is masked or not (measured): as without exceptions. */
static void approximate(Cpu *cpu, const Insn *i, FpKernel *kernel, unsigned bits, bool scalar)
{
    Insn quiet = *i;
    quiet.rounding = ROUNDING_SAE;
    if (scalar)
        avx_fp_scalar(cpu, &quiet, kernel, bits, bits, i->vreg);
    else
        avx_fp_lanes(cpu, &quiet, kernel, bits, bits);
}

#define AVX512_APPROXIMATION(name)                                                                                     \
    FP_LANES(name##ps, VEC_D, VEC_D, fp32_##name(b, e))                                                                \
    FP_LANES(name##pd, VEC_Q, VEC_Q, fp64_##name(b, e))                                                                \
    AVX_FUNCTION(name##ps, approximate(cpu, i, lanes_##name##ps, 32, false))                                           \
    AVX_FUNCTION(name##pd, approximate(cpu, i, lanes_##name##pd, 64, false))                                           \
    AVX_FUNCTION(name##ss, approximate(cpu, i, lanes_##name##ps, 32, true))                                            \
    AVX_FUNCTION(name##sd, approximate(cpu, i, lanes_##name##pd, 64, true))

AVX512_APPROXIMATION(rcp14)
AVX512_APPROXIMATION(rsqrt14)

FP_LANES(dpbf16ps, VEC_D, VEC_D, bf16_dot(c, a, b))
AVX_LANES(dpbf16ps, dpbf16ps, 32, 32)

FP_LANES(cvtneps2bf16, VEC_W, VEC_D, f32_to_bf16(b))
AVX_LANES(cvtneps2bf16, cvtneps2bf16, 16, 32)

/* The lower half from ModRM.rm, the upper half from vvvv.  Masks do not suppress faults here (class E4NF). */
static void avx_cvtne2ps2bf16(Cpu *cpu, const Insn *i)
{
    Vec tmp, r;
    unsigned half = avx_lanes(i, 32);
    const Vec *a = &cpu->vec[i->vreg], *b = avx_source_whole(cpu, i, &tmp, 32);
    for (unsigned n = 0; n < half; n++) {
        VEC_W(r, n) = f32_to_bf16(VEC_D(*b, n));
        VEC_W(r, half + n) = f32_to_bf16(VEC_D(*a, n));
    }
    avx_write(cpu, i, i->reg, &r, 16);
}
SEM_1(avx_cvtne2ps2bf16)
