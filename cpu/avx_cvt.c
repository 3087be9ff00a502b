/* Conversions with VEX and EVEX between floating-point formats, integers, and general registers. */
#include "cpu/avx_lanes.h"
#include "cpu/integer.h"

/* ---- vector to vector ---- */

FP_LANES(cvtps2dq, VEC_D, VEC_D, fp32_to_i32(b, e->rounding, e))
FP_LANES(cvttps2dq, VEC_D, VEC_D, fp32_to_i32(b, FP_ZERO, e))
FP_LANES(cvtpd2dq, VEC_D, VEC_Q, fp64_to_i32(b, e->rounding, e))
FP_LANES(cvttpd2dq, VEC_D, VEC_Q, fp64_to_i32(b, FP_ZERO, e))
FP_LANES(cvtps2qq, VEC_Q, VEC_D, fp32_to_i64(b, e->rounding, e))
FP_LANES(cvttps2qq, VEC_Q, VEC_D, fp32_to_i64(b, FP_ZERO, e))
FP_LANES(cvtpd2qq, VEC_Q, VEC_Q, fp64_to_i64(b, e->rounding, e))
FP_LANES(cvttpd2qq, VEC_Q, VEC_Q, fp64_to_i64(b, FP_ZERO, e))
FP_LANES(cvtdq2ps, VEC_D, VEC_D, fp32_from_i32(b, e))
FP_LANES(cvtdq2pd, VEC_Q, VEC_D, fp64_from_i32(b))
FP_LANES(cvtqq2ps, VEC_D, VEC_Q, fp32_from_i64(b, e))
FP_LANES(cvtqq2pd, VEC_Q, VEC_Q, fp64_from_i64(b, e))
FP_LANES(cvtps2udq, VEC_D, VEC_D, f32_to_u32(b, e->rounding, e))
FP_LANES(cvttps2udq, VEC_D, VEC_D, f32_to_u32(b, FP_ZERO, e))
FP_LANES(cvtpd2udq, VEC_D, VEC_Q, f64_to_u32(b, e->rounding, e))
FP_LANES(cvttpd2udq, VEC_D, VEC_Q, f64_to_u32(b, FP_ZERO, e))
FP_LANES(cvtps2uqq, VEC_Q, VEC_D, f32_to_u64(b, e->rounding, e))
FP_LANES(cvttps2uqq, VEC_Q, VEC_D, f32_to_u64(b, FP_ZERO, e))
FP_LANES(cvtpd2uqq, VEC_Q, VEC_Q, f64_to_u64(b, e->rounding, e))
FP_LANES(cvttpd2uqq, VEC_Q, VEC_Q, f64_to_u64(b, FP_ZERO, e))
FP_LANES(cvtudq2ps, VEC_D, VEC_D, f32_from_u32(b, e))
FP_LANES(cvtudq2pd, VEC_Q, VEC_D, f64_from_u32(b, e))
FP_LANES(cvtuqq2ps, VEC_D, VEC_Q, f32_from_u64(b, e))
FP_LANES(cvtuqq2pd, VEC_Q, VEC_Q, f64_from_u64(b, e))
FP_LANES(cvtps2pd, VEC_Q, VEC_D, fp32_to_fp64(b, e))
FP_LANES(cvtpd2ps, VEC_D, VEC_Q, fp64_to_fp32(b, e))
FP_LANES(cvtph2ps, VEC_D, VEC_W, f16_to_f32_quietly(b, e))
FP_LANES(cvtps2ph, VEC_W, VEC_D, f32_to_f16(b, e))

AVX_LANES(cvtps2dq, cvtps2dq, 32, 32)
AVX_LANES(cvttps2dq, cvttps2dq, 32, 32)
AVX_LANES(cvtpd2dq, cvtpd2dq, 32, 64)
AVX_LANES(cvttpd2dq, cvttpd2dq, 32, 64)
AVX_LANES(cvtps2qq, cvtps2qq, 64, 32)
AVX_LANES(cvttps2qq, cvttps2qq, 64, 32)
AVX_LANES(cvtpd2qq, cvtpd2qq, 64, 64)
AVX_LANES(cvttpd2qq, cvttpd2qq, 64, 64)
AVX_LANES(cvtps2udq, cvtps2udq, 32, 32)
AVX_LANES(cvttps2udq, cvttps2udq, 32, 32)
AVX_LANES(cvtpd2udq, cvtpd2udq, 32, 64)
AVX_LANES(cvttpd2udq, cvttpd2udq, 32, 64)
AVX_LANES(cvtps2uqq, cvtps2uqq, 64, 32)
AVX_LANES(cvttps2uqq, cvttps2uqq, 64, 32)
AVX_LANES(cvtpd2uqq, cvtpd2uqq, 64, 64)
AVX_LANES(cvttpd2uqq, cvttpd2uqq, 64, 64)
AVX_LANES(cvtdq2ps, cvtdq2ps, 32, 32)
AVX_LANES(cvtdq2pd, cvtdq2pd, 64, 32)
AVX_LANES(cvtqq2ps, cvtqq2ps, 32, 64)
AVX_LANES(cvtqq2pd, cvtqq2pd, 64, 64)
AVX_LANES(cvtudq2ps, cvtudq2ps, 32, 32)
AVX_LANES(cvtudq2pd, cvtudq2pd, 64, 32)
AVX_LANES(cvtuqq2ps, cvtuqq2ps, 32, 64)
AVX_LANES(cvtuqq2pd, cvtuqq2pd, 64, 64)
AVX_LANES(cvtps2pd, cvtps2pd, 64, 32)
AVX_LANES(cvtpd2ps, cvtpd2ps, 32, 64)
AVX_LANES(cvtph2ps, cvtph2ps, 32, 16)

AVX_LANES_SCALAR(cvtss2sd, cvtps2pd, 64, 32)
AVX_LANES_SCALAR(cvtsd2ss, cvtpd2ps, 32, 64)

/* The destination is ModRM.rm, half as long as the source; imm8 bit 2 takes MXCSR's rounding, else bits 1:0 are it. */
static void avx_cvtps2ph(Cpu *cpu, const Insn *i)
{
    Vec r;
    FpLanes l;
    unsigned lanes = avx_lanes(i, 32);
    avx_fp_begin(cpu, i, &l, avx_mask(cpu, i, lanes), &r);
    l.b = &cpu->vec[i->reg];
    if (!(i->imm & 4))
        l.e.rounding = i->imm & 3;
    if (i->mem)
        avx_probe_store(cpu, i, 16, lanes, l.selected);
    lanes_cvtps2ph(&l);
    avx_finish(cpu, i, &l.e);
    if (i->mem)
        avx_store(cpu, i, &r, 16, lanes, l.selected);
    else
        avx_write_lanes(cpu, i, i->rm, &r, 16, lanes);
}
SEM_1(avx_cvtps2ph)

/* ---- general registers ---- */

void avx_fp_to_general(Cpu *cpu, const Insn *i, FpKernel *kernel, unsigned to, unsigned from)
{
    Vec tmp, r;
    FpLanes l;
    avx_fp_begin(cpu, i, &l, 1, &r);
    l.b = avx_source_low(cpu, i, &tmp, from / 8);
    kernel(&l);
    avx_finish(cpu, i, &l.e);
    if (to == 32)
        set_reg32(cpu, i->reg, VEC_D(r, 0));
    else
        set_reg64(cpu, i->reg, r.q[0]);
}

void avx_fp_from_general(Cpu *cpu, const Insn *i, FpKernel *kernel, unsigned to, unsigned from)
{
    Vec s, r;
    FpLanes l;
    if (i->mem)
        avx_source_low(cpu, i, &s, from / 8);
    else
        s.q[0] = reg64(cpu, i->rm);
    avx_fp_begin(cpu, i, &l, 1, &r);
    l.b = &s;
    kernel(&l);
    avx_finish(cpu, i, &l.e);
    avx_write_scalar(cpu, i, vec_lane(&r, to, 0), to, i->vreg);
}

AVX_TO_GENERAL(cvtss2si, cvtps2dq, cvtps2qq, 32)
AVX_TO_GENERAL(cvttss2si, cvttps2dq, cvttps2qq, 32)
AVX_TO_GENERAL(cvtsd2si, cvtpd2dq, cvtpd2qq, 64)
AVX_TO_GENERAL(cvttsd2si, cvttpd2dq, cvttpd2qq, 64)
AVX_FROM_GENERAL(cvtsi2ss, cvtdq2ps, cvtqq2ps, 32)
AVX_FROM_GENERAL(cvtsi2sd, cvtdq2pd, cvtqq2pd, 64)
AVX_TO_GENERAL(cvtss2usi, cvtps2udq, cvtps2uqq, 32)
AVX_TO_GENERAL(cvttss2usi, cvttps2udq, cvttps2uqq, 32)
AVX_TO_GENERAL(cvtsd2usi, cvtpd2udq, cvtpd2uqq, 64)
AVX_TO_GENERAL(cvttsd2usi, cvttpd2udq, cvttpd2uqq, 64)
AVX_FROM_GENERAL(cvtusi2ss, cvtudq2ps, cvtuqq2ps, 32)
AVX_FROM_GENERAL(cvtusi2sd, cvtudq2pd, cvtuqq2pd, 64)
