/*
 * Half precision, AVX512-FP16: arithmetic, comparison, conversion, complex numbers, moves.  Fused multiply-add is in
 * avx_fma.c.  MXCSR's DAZ and FZ do not apply to lanes of 16 bits, which keep their denormals.
 */
#include "cpu/avx_lanes.h"
#include "cpu/fp_avx512.h"
#include "cpu/integer.h"

#define PH_FORMS(name)                                                                                                 \
    AVX_LANES(name##ph, name##ph, 16, 16)                                                                              \
    AVX_LANES_SCALAR(name##sh, name##ph, 16, 16)
#define PH(name, ...)                                                                                                  \
    FP_LANES(name##ph, VEC_W, VEC_W, fp16_##name(__VA_ARGS__))                                                         \
    PH_FORMS(name)

PH(add, a, b, e)
PH(sub, a, b, e)
PH(mul, a, b, e)
PH(div, a, b, e)
PH(min, a, b, e)
PH(max, a, b, e)
PH(sqrt, b, e)
PH(scalef, a, b, e)
PH(getexp, b, e)
PH(getmant, b, imm, e)
PH(rndscale, b, imm, e)
PH(reduce, b, imm, e)

FP_LANES(rcpph, VEC_W, VEC_W, fp16_rcp(b))
FP_LANES(rsqrtph, VEC_W, VEC_W, fp16_rsqrt(b))
PH_FORMS(rcp)
PH_FORMS(rsqrt)

/* ---- comparison ---- */

FP_LANES_TEST(cmpph, VEC_W, fp16_cmp(a, b, imm, e))
FP_LANES_TEST(fpclassph, VEC_W, fp16_is_class(b, imm, e))
AVX_LANES_TEST(cmpph, cmpph, 16)
AVX_LANES_TEST(fpclassph, fpclassph, 16)
AVX_LANES_TEST_SCALAR(cmpsh, cmpph, 16)
AVX_LANES_TEST_SCALAR(fpclasssh, fpclassph, 16)

AVX_COMPARE(comish, VEC_W, 16, false)
AVX_COMPARE(ucomish, VEC_W, 16, true)

/* ---- conversion ---- */

#define PH_CONVERT(name, TO, FROM, to, from, expr)                                                                     \
    FP_LANES(name, TO, FROM, expr)                                                                                     \
    AVX_LANES(name, name, to, from)

PH_CONVERT(cvtph2pd, VEC_Q, VEC_W, 64, 16, f16_to_f64(b, e))
PH_CONVERT(cvtpd2ph, VEC_W, VEC_Q, 16, 64, f64_to_f16(b, e))
PH_CONVERT(cvtph2psx, VEC_D, VEC_W, 32, 16, f16_to_f32(b, e))
PH_CONVERT(cvtps2phx, VEC_W, VEC_D, 16, 32, f32_to_f16(b, e))
AVX_LANES_SCALAR(cvtsh2sd, cvtph2pd, 64, 16)
AVX_LANES_SCALAR(cvtsd2sh, cvtpd2ph, 16, 64)
AVX_LANES_SCALAR(cvtsh2ss, cvtph2psx, 32, 16)
AVX_LANES_SCALAR(cvtss2sh, cvtps2phx, 16, 32)

PH_CONVERT(cvtw2ph, VEC_W, VEC_W, 16, 16, f16_from_i16(b, e))
PH_CONVERT(cvtuw2ph, VEC_W, VEC_W, 16, 16, f16_from_u16(b, e))
PH_CONVERT(cvtdq2ph, VEC_W, VEC_D, 16, 32, f16_from_i32(b, e))
PH_CONVERT(cvtudq2ph, VEC_W, VEC_D, 16, 32, f16_from_u32(b, e))
PH_CONVERT(cvtqq2ph, VEC_W, VEC_Q, 16, 64, f16_from_i64(b, e))
PH_CONVERT(cvtuqq2ph, VEC_W, VEC_Q, 16, 64, f16_from_u64(b, e))
AVX_FROM_GENERAL(cvtsi2sh, cvtdq2ph, cvtqq2ph, 16)
AVX_FROM_GENERAL(cvtusi2sh, cvtudq2ph, cvtuqq2ph, 16)

/* To integers, by MXCSR's or static rounding, and truncating. */
#define PH_TO_INTEGER(name, TO, bits, function)                                                                        \
    PH_CONVERT(cvtph2##name, TO, VEC_W, bits, 16, function(b, e->rounding, e))                                         \
    PH_CONVERT(cvttph2##name, TO, VEC_W, bits, 16, function(b, FP_ZERO, e))

PH_TO_INTEGER(w, VEC_W, 16, f16_to_i16)
PH_TO_INTEGER(uw, VEC_W, 16, f16_to_u16)
PH_TO_INTEGER(dq, VEC_D, 32, f16_to_i32)
PH_TO_INTEGER(udq, VEC_D, 32, f16_to_u32)
PH_TO_INTEGER(qq, VEC_Q, 64, f16_to_i64)
PH_TO_INTEGER(uqq, VEC_Q, 64, f16_to_u64)
AVX_TO_GENERAL(cvtsh2si, cvtph2dq, cvtph2qq, 16)
AVX_TO_GENERAL(cvttsh2si, cvttph2dq, cvttph2qq, 16)
AVX_TO_GENERAL(cvtsh2usi, cvtph2udq, cvtph2uqq, 16)
AVX_TO_GENERAL(cvttsh2usi, cvttph2udq, cvttph2uqq, 16)

/* ---- complex numbers ---- */

/*
 * A lane of 32 bits is a number, its real part low.  SDM vol. 2C VFMADDCPH, VFMULCPH: two steps for each part, each
 * rounded: the product with b's real part (and sum), then that with b's imaginary part.
 */
static uint32_t complex_second_step(uint16_t re, uint16_t im, uint32_t a, uint32_t b, bool conjugate, FpEnv *e)
{
    uint16_t a_re = a, a_im = a >> 16, b_im = b >> 16;
    re = fp16_fma(conjugate ? a_im : fp16_negate(a_im), b_im, re, e);
    im = fp16_fma(conjugate ? fp16_negate(a_re) : a_re, b_im, im, e);
    return (uint32_t)im << 16 | re;
}

static uint32_t complex_mul(uint32_t a, uint32_t b, bool conjugate, FpEnv *e)
{
    uint16_t re = fp16_mul(a, b, e), im = fp16_mul(a >> 16, b, e);
    return complex_second_step(re, im, a, b, conjugate, e);
}

static uint32_t complex_madd(uint32_t c, uint32_t a, uint32_t b, bool conjugate, FpEnv *e)
{
    uint16_t re = fp16_fma(a, b, c, e), im = fp16_fma(a >> 16, b, c >> 16, e);
    return complex_second_step(re, im, a, b, conjugate, e);
}

/* All exceptions count as masked, though their flags are set; the destination must be none of the sources. */
static void complex_operation(Cpu *cpu, const Insn *i, FpKernel *kernel, bool scalar)
{
    Vec tmp, r;
    FpLanes l;
    Insn masked = *i;
    unsigned lanes = scalar ? 1 : avx_lanes(i, 32);
    if (i->reg == i->vreg || (!i->mem && i->reg == i->rm))
        cpu_raise_ud(cpu);
    masked.rounding = i->rounding ? i->rounding : ROUNDING_SAE;
    avx_fp_begin(cpu, &masked, &l, avx_mask(cpu, i, lanes), &r);
    l.b = avx_fp_source(cpu, i, &tmp, 32, lanes, l.selected);
    l.e.flags = 0;
    kernel(&l);
    if (!i->rounding)
        cpu->mxcsr |= l.e.flags;
    if (scalar)
        avx_write_scalar(cpu, i, VEC_D(r, 0), 32, i->vreg);
    else
        avx_write(cpu, i, i->reg, &r, 32);
}

#define COMPLEX(name, expr)                                                                                            \
    FP_LANES(name##ph, VEC_D, VEC_D, expr)                                                                             \
    AVX_FUNCTION(name##ph, complex_operation(cpu, i, lanes_##name##ph, false))                                         \
    AVX_FUNCTION(name##sh, complex_operation(cpu, i, lanes_##name##ph, true))

COMPLEX(fmulc, complex_mul(a, b, false, e))
COMPLEX(fcmulc, complex_mul(a, b, true, e))
COMPLEX(fmaddc, complex_madd(c, a, b, false, e))
COMPLEX(fcmaddc, complex_madd(c, a, b, true, e))

/* ---- moves ---- */

static void avx_load_sh(Cpu *cpu, const Insn *i)
{
    Vec tmp;
    avx_write_lanes(cpu, i, i->reg, avx_source_part(cpu, i, &tmp, 16, 1, avx_mask(cpu, i, 1)), 16, 1);
}
SEM_1(avx_load_sh)

static void avx_store_sh(Cpu *cpu, const Insn *i)
{
    avx_store(cpu, i, &cpu->vec[i->reg], 16, 1, avx_mask(cpu, i, 1));
}
SEM_1(avx_store_sh)

/* Between registers, in two encodings: the lowest lane of one, and what is above it from vvvv. */
static void avx_merge_sh(Cpu *cpu, const Insn *i)
{
    avx_write_scalar(cpu, i, VEC_W(cpu->vec[i->rm], 0), 16, i->vreg);
}
SEM_1(avx_merge_sh)

static void avx_merge_back_sh(Cpu *cpu, const Insn *i)
{
    Insn turned = *i;
    turned.reg = i->rm;
    turned.rm = i->reg;
    avx_merge_sh(cpu, &turned);
}
SEM_1(avx_merge_back_sh)

static void avx_movw_load(Cpu *cpu, const Insn *i)
{
    Vec r = { { i->mem ? mem_read16(cpu, i->seg, insn_ea(cpu, i)) : (uint16_t)cpu->gpr[i->rm] } };
    avx_write_lanes(cpu, i, i->reg, &r, 16, 1);
}
SEM_1(avx_movw_load)

static void avx_movw_store(Cpu *cpu, const Insn *i)
{
    uint16_t v = VEC_W(cpu->vec[i->reg], 0);
    if (i->mem)
        mem_write16(cpu, i->seg, insn_ea(cpu, i), v);
    else
        set_reg32(cpu, i->rm, v);
}
SEM_1(avx_movw_store)
