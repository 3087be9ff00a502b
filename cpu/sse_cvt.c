/*
 * SSE conversions between floating-point formats, integers, and general and MMX registers.
 * The kernels are in simd_fp.h.
 */
#include "cpu/mmx.h"
#include "cpu/simd_fp.h"

/* XMM to XMM: `qwords` of result, the rest of the 128 bits becoming zero. */
#define SSE_CONVERT(name, kernel, qwords, mode, load)                                                                  \
    static KERNEL sse_##name##_op(Cpu *cpu, const Insn *i, const Vec *s)                                               \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        FpEnv e;                                                                                                       \
        simd_env(cpu->mxcsr, &e);                                                                                      \
        r.q[1] = 0;                                                                                                    \
        v_##kernel(&r, s, qwords, mode, &e);                                                                           \
        simd_finish(cpu, e.flags);                                                                                     \
        vec_copy(&cpu->vec[i->reg], &r, 2);                                                                            \
    }                                                                                                                  \
    SSE_FORMS(name, load)

SSE_CONVERT(cvtps2dq, cvtps2dq, 2, e.rounding, vec_load_x)
SSE_CONVERT(cvttps2dq, cvtps2dq, 2, FP_ZERO, vec_load_x)
SSE_CONVERT(cvtpd2dq, cvtpd2dq, 2, e.rounding, vec_load_x)
SSE_CONVERT(cvttpd2dq, cvtpd2dq, 2, FP_ZERO, vec_load_x)
SSE_CONVERT(cvtdq2ps, cvtdq2ps, 2, 0, vec_load_x)
SSE_CONVERT(cvtdq2pd, cvtdq2pd, 2, 0, vec_load_q)
SSE_CONVERT(cvtps2pd, cvtps2pd, 2, 0, vec_load_q)
SSE_CONVERT(cvtpd2ps, cvtpd2ps, 2, 0, vec_load_x)

/* Scalars; the rest of the register stays. */
#define SSE_CONVERT_SCALAR(name, TO, FROM, function, load)                                                             \
    static KERNEL sse_##name##_op(Cpu *cpu, const Insn *i, const Vec *s)                                               \
    {                                                                                                                  \
        FpEnv e;                                                                                                       \
        simd_env(cpu->mxcsr, &e);                                                                                      \
        uint64_t r = function(FROM(*s, 0), &e);                                                                        \
        simd_finish(cpu, e.flags);                                                                                     \
        TO(cpu->vec[i->reg], 0) = r;                                                                                   \
    }                                                                                                                  \
    SSE_FORMS(name, load)

SSE_CONVERT_SCALAR(cvtss2sd, VEC_Q, VEC_D, fp32_to_fp64, vec_load_d)
SSE_CONVERT_SCALAR(cvtsd2ss, VEC_D, VEC_Q, fp64_to_fp32, vec_load_q)

/* CVTSI2SS, CVTSI2SD xmm, r/m32 or r/m64. */
#define SSE_FROM_GPR(name, LANE, bits, expr)                                                                           \
    static inline void sse_##name##_##bits(Cpu *cpu, const Insn *i, int##bits##_t v)                                   \
    {                                                                                                                  \
        FpEnv e;                                                                                                       \
        simd_env(cpu->mxcsr, &e);                                                                                      \
        uint64_t r = expr;                                                                                             \
        simd_finish(cpu, e.flags);                                                                                     \
        LANE(cpu->vec[i->reg], 0) = r;                                                                                 \
    }                                                                                                                  \
    static void sse_##name##_r##bits(Cpu *cpu, const Insn *i) { sse_##name##_##bits(cpu, i, reg##bits(cpu, i->rm)); }  \
    static void sse_##name##_m##bits(Cpu *cpu, const Insn *i)                                                          \
    {                                                                                                                  \
        sse_##name##_##bits(cpu, i, mem_read##bits(cpu, i->seg, insn_ea(cpu, i)));                                     \
    }

SSE_FROM_GPR(cvtsi2ss, VEC_D, 32, fp32_from_i32(v, &e))
SSE_FROM_GPR(cvtsi2ss, VEC_D, 64, fp32_from_i64(v, &e))
SEM_RM_Y(sse_cvtsi2ss)
SSE_FROM_GPR(cvtsi2sd, VEC_Q, 32, fp64_from_i32(v))
SSE_FROM_GPR(cvtsi2sd, VEC_Q, 64, fp64_from_i64(v, &e))
SEM_RM_Y(sse_cvtsi2sd)

/* CVTSS2SI, CVTSD2SI r32 or r64, xmm/mem, and the truncating ones. */
#define SSE_TO_GPR(name, LANE, n, bits, mode, load)                                                                    \
    static KERNEL sse_##name##_##bits(Cpu *cpu, const Insn *i, const Vec *s)                                           \
    {                                                                                                                  \
        FpEnv e;                                                                                                       \
        simd_env(cpu->mxcsr, &e);                                                                                      \
        uint##bits##_t r = fp##n##_to_i##bits(LANE(*s, 0), mode, &e);                                                  \
        simd_finish(cpu, e.flags);                                                                                     \
        set_reg##bits(cpu, i->reg, r);                                                                                 \
    }                                                                                                                  \
    static void sse_##name##_r##bits(Cpu *cpu, const Insn *i) { sse_##name##_##bits(cpu, i, &cpu->vec[i->rm]); }       \
    static void sse_##name##_m##bits(Cpu *cpu, const Insn *i)                                                          \
    {                                                                                                                  \
        Vec s;                                                                                                         \
        load(cpu, i, &s);                                                                                              \
        sse_##name##_##bits(cpu, i, &s);                                                                               \
    }
#define SSE_TO_GPR_Y(name, LANE, n, mode, load)                                                                        \
    SSE_TO_GPR(name, LANE, n, 32, mode, load)                                                                          \
    SSE_TO_GPR(name, LANE, n, 64, mode, load)                                                                          \
    SEM_RM_Y(sse_##name)

SSE_TO_GPR_Y(cvtss2si, VEC_D, 32, e.rounding, vec_load_d)
SSE_TO_GPR_Y(cvttss2si, VEC_D, 32, FP_ZERO, vec_load_d)
SSE_TO_GPR_Y(cvtsd2si, VEC_Q, 64, e.rounding, vec_load_q)
SSE_TO_GPR_Y(cvttsd2si, VEC_Q, 64, FP_ZERO, vec_load_q)

/*
 * XMM or memory to MMX: CVTPS2PI, CVTPD2PI and the truncating ones.  The x87 state changes even when the conversion
 * then raises #XM, as processors have it; so below.
 */
#define SSE_TO_MMX(name, kernel, qwords, mode, load)                                                                   \
    static KERNEL sse_##name##_op(Cpu *cpu, const Insn *i, const Vec *s)                                               \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        FpEnv e;                                                                                                       \
        simd_env(cpu->mxcsr, &e);                                                                                      \
        v_##kernel(&r, s, qwords, mode, &e);                                                                           \
        mmx_enter(cpu);                                                                                                \
        simd_finish(cpu, e.flags);                                                                                     \
        mmx_write(cpu, i->reg, r.q[0]);                                                                                \
    }                                                                                                                  \
    static void sse_##name##_r(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        mmx_check(cpu);                                                                                                \
        sse_##name##_op(cpu, i, &cpu->vec[i->rm]);                                                                     \
    }                                                                                                                  \
    static void sse_##name##_m(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        Vec s;                                                                                                         \
        mmx_check(cpu);                                                                                                \
        load(cpu, i, &s);                                                                                              \
        sse_##name##_op(cpu, i, &s);                                                                                   \
    }                                                                                                                  \
    SEM_RM(sse_##name)

SSE_TO_MMX(cvtps2pi, cvtps2dq, 1, e.rounding, vec_load_q)
SSE_TO_MMX(cvttps2pi, cvtps2dq, 1, FP_ZERO, vec_load_q)
SSE_TO_MMX(cvtpd2pi, cvtpd2dq, 2, e.rounding, vec_load_x)
SSE_TO_MMX(cvttpd2pi, cvtpd2dq, 2, FP_ZERO, vec_load_x)

/* MMX or memory to XMM.  CVTPI2PS keeps the upper half; neither touches the x87 state with a memory operand. */
static KERNEL sse_cvtpi2ps_op(Cpu *cpu, const Insn *i, const Vec *s)
{
    Vec r;
    FpEnv e;
    simd_env(cpu->mxcsr, &e);
    v_cvtdq2ps(&r, s, 1, 0, &e);
    simd_finish(cpu, e.flags);
    cpu->vec[i->reg].q[0] = r.q[0];
}
static KERNEL sse_cvtpi2pd_op(Cpu *cpu, const Insn *i, const Vec *s)
{
    Vec *d = &cpu->vec[i->reg];
    d->q[0] = fp64_from_i32(VEC_D(*s, 0));
    d->q[1] = fp64_from_i32(VEC_D(*s, 1));
}
#define SSE_FROM_MMX(name)                                                                                             \
    static void sse_##name##_r(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        Vec s;                                                                                                         \
        mmx_begin(cpu);                                                                                                \
        s.q[0] = mmx_read(cpu, i->rm);                                                                                 \
        sse_##name##_op(cpu, i, &s);                                                                                   \
    }                                                                                                                  \
    static void sse_##name##_m(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        Vec s;                                                                                                         \
        vec_load_q(cpu, i, &s);                                                                                        \
        sse_##name##_op(cpu, i, &s);                                                                                   \
    }                                                                                                                  \
    SEM_RM(sse_##name)

SSE_FROM_MMX(cvtpi2ps)
SSE_FROM_MMX(cvtpi2pd)
