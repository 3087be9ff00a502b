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
FP_LANES(cvtps2pd, VEC_Q, VEC_D, fp32_to_fp64(b, e))
FP_LANES(cvtpd2ps, VEC_D, VEC_Q, fp64_to_fp32(b, e))
FP_LANES(cvtph2ps, VEC_D, VEC_W, f16_to_f32_quietly(b, e))
FP_LANES(cvtps2ph, VEC_W, VEC_D, f32_to_f16(b, e))

AVX_LANES(cvtps2dq, cvtps2dq, 32, 32)
AVX_LANES(cvttps2dq, cvttps2dq, 32, 32)
AVX_LANES(cvtpd2dq, cvtpd2dq, 32, 64)
AVX_LANES(cvttpd2dq, cvttpd2dq, 32, 64)
AVX_LANES(cvtdq2ps, cvtdq2ps, 32, 32)
AVX_LANES(cvtdq2pd, cvtdq2pd, 64, 32)
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
    fp_lanes_begin(cpu, i, &l, avx_mask(cpu, i, lanes), &r);
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

/* Lane 0 of a vector operand of `from` bits to a general register of `to`. */
static void to_general(Cpu *cpu, const Insn *i, FpKernel *kernel, unsigned to, unsigned from)
{
    Vec tmp, r;
    FpLanes l;
    fp_lanes_begin(cpu, i, &l, 1, &r);
    l.b = avx_source_low(cpu, i, &tmp, from / 8);
    kernel(&l);
    avx_finish(cpu, i, &l.e);
    if (to == 32)
        set_reg32(cpu, i->reg, VEC_D(r, 0));
    else
        set_reg64(cpu, i->reg, r.q[0]);
}

/* A general register or memory, of `from` bits, to lane 0. */
static void from_general(Cpu *cpu, const Insn *i, FpKernel *kernel, unsigned to, unsigned from)
{
    Vec s, r;
    FpLanes l;
    if (i->mem)
        avx_source_low(cpu, i, &s, from / 8);
    else
        s.q[0] = reg64(cpu, i->rm);
    fp_lanes_begin(cpu, i, &l, 1, &r);
    l.b = &s;
    kernel(&l);
    avx_finish(cpu, i, &l.e);
    avx_write_scalar(cpu, i, vec_lane(&r, to, 0), to, i->vreg);
}

/* By operand size: the kernels are those of doublewords and quadwords. */
#define TO_GENERAL(name, kernel32, kernel64, from)                                                                     \
    static void avx_##name##_32(Cpu *cpu, const Insn *i) { to_general(cpu, i, lanes_##kernel32, 32, from); }           \
    static void avx_##name##_64(Cpu *cpu, const Insn *i) { to_general(cpu, i, lanes_##kernel64, 64, from); }           \
    SEM_Y(avx_##name)
#define FROM_GENERAL(name, kernel32, kernel64, to)                                                                     \
    static void avx_##name##_32(Cpu *cpu, const Insn *i) { from_general(cpu, i, lanes_##kernel32, to, 32); }           \
    static void avx_##name##_64(Cpu *cpu, const Insn *i) { from_general(cpu, i, lanes_##kernel64, to, 64); }           \
    SEM_Y(avx_##name)

TO_GENERAL(cvtss2si, cvtps2dq, cvtps2qq, 32)
TO_GENERAL(cvttss2si, cvttps2dq, cvttps2qq, 32)
TO_GENERAL(cvtsd2si, cvtpd2dq, cvtpd2qq, 64)
TO_GENERAL(cvttsd2si, cvttpd2dq, cvttpd2qq, 64)
FROM_GENERAL(cvtsi2ss, cvtdq2ps, cvtqq2ps, 32)
FROM_GENERAL(cvtsi2sd, cvtdq2pd, cvtqq2pd, 64)
