/*
 * SSE floating point: the environment that MXCSR gives, how an operation ends, and lane operations that fp.h lacks.
 * SDM vol. 1 chapter 11, exceptions 11.5.
 */
#ifndef MYNA_CPU_SIMD_FP_H
#define MYNA_CPU_SIMD_FP_H

#include "cpu/flags.h"
#include "cpu/fp_fast.h"
#include "cpu/simd.h"

enum { MXCSR_FLAGS = 0x3f, MXCSR_MASKS_SHIFT = 7, MXCSR_DEFAULT = 0x1f80 };

/* MXCSR_MASK, the bits that may be set: DAZ came after SSE, with SSE2 at the latest; MM is AMD's. */
static inline uint32_t mxcsr_valid(const Cpu *cpu)
{
    return (cpu_has(cpu, FEAT_SSE2) ? 0xffff : 0xffbf) | (cpu_has(cpu, FEAT_MISALIGNSSE) ? MXCSR_MM : 0);
}

/* What the control bits of MXCSR make of an FpEnv, by their six bits that matter there (sse_fp.c). */
extern const FpEnv simd_envs[64];

/*
 * The environment of an instruction, without a computation for each field since it is made so often.
 * The flags that are set already and masked count as raised from the start, which lets fp_fast.h take the host's unit;
 * an unmasked one must be seen anew, whether it is set or not.
 */
static KERNEL simd_env(uint32_t mxcsr, FpEnv *e)
{
    *e = simd_envs[(mxcsr >> 6 & 1) | (mxcsr >> 9 & 6) | (mxcsr >> 10 & 0x38)];
    e->flags = mxcsr & mxcsr >> MXCSR_MASKS_SHIFT & MXCSR_FLAGS;
}

/* What simd_finish leaves: raises #XM for an unmasked exception, or sets new flags (sse_fp.c). */
void simd_note(Cpu *cpu, uint8_t flags);

/* All lanes are done, nothing is written yet: if there is more than simd_env began with, it is looked at. */
static inline __attribute__((always_inline)) void simd_finish(Cpu *cpu, uint8_t flags)
{
    if (unlikely(flags & ~(cpu->mxcsr & cpu->mxcsr >> MXCSR_MASKS_SHIFT)))
        simd_note(cpu, flags);
}

/*
 * The operations of one lane beyond those of fp.h, for 16, 32 and 64 bits.
 * min, max: the second operand when one is a NaN (any NaN is invalid) or both are zero.
 * The predicates of CMPccPS and VCMPPS: bits 0..3 of an entry say whether less, equal, greater and unordered match; a
 * predicate signals on a quiet NaN when its bits 0 and 1 differ, inverted by bit 4.
 */
static inline bool predicate_matches(unsigned predicate, int order)
{
    static const uint8_t match[16] = { 2, 1, 3, 8, 13, 14, 12, 7, 10, 9, 11, 0, 5, 6, 4, 15 };
    return match[predicate & 15] >> (order + 1) & 1;
}
static inline bool predicate_quiet(unsigned predicate)
{
    return !((predicate ^ predicate >> 1 ^ predicate >> 4) & 1);
}

#define LANE_OPERATIONS(T, n)                                                                                          \
    static inline T fp##n##_min(T a, T b, FpEnv *e)                                                                    \
    {                                                                                                                  \
        return fp##n##_daz(fp##n##_compare(a, b, false, e) == FP_LESS ? a : b, e);                                     \
    }                                                                                                                  \
    static inline T fp##n##_max(T a, T b, FpEnv *e)                                                                    \
    {                                                                                                                  \
        return fp##n##_daz(fp##n##_compare(a, b, false, e) == FP_GREATER ? a : b, e);                                  \
    }                                                                                                                  \
    static inline T fp##n##_cmp(T a, T b, unsigned predicate, FpEnv *e)                                                \
    {                                                                                                                  \
        int order = fp##n##_compare(a, b, predicate_quiet(predicate), e);                                              \
        return predicate_matches(predicate, order) ? ~(T)0 : 0;                                                        \
    }

#define LANE_DAZ(T, n, exponent)                                                                                       \
    static inline T fp##n##_daz(T a, const FpEnv *e)                                                                   \
    {                                                                                                                  \
        return unlikely(e->daz) && !(a & (exponent)) ? a & (T)1 << (n - 1) : a;                                        \
    }
LANE_DAZ(uint32_t, 32, 0x7f800000)
LANE_DAZ(uint64_t, 64, UINT64_C(0x7ff0000000000000))
#undef LANE_DAZ
static inline uint16_t fp16_daz(uint16_t a, const FpEnv *e) /* to which DAZ does not apply */
{
    (void)e;
    return a;
}
LANE_OPERATIONS(uint16_t, 16)
LANE_OPERATIONS(uint32_t, 32)
LANE_OPERATIONS(uint64_t, 64)
#undef LANE_OPERATIONS

/*
 * Kernels.  d is the result before it is known whether there is an exception, so never an operand.
 * PS and PD of a two-operand lane operation, and of one with one operand.
 */
#define FP_KERNEL2(op)                                                                                                 \
    static KERNEL v_##op##ps(Vec *d, const Vec *a, const Vec *b, unsigned qwords, FpEnv *e)                            \
    {                                                                                                                  \
        for (unsigned j = 0; j < qwords * 2; j++)                                                                      \
            VEC_D(*d, j) = fp32_##op(VEC_D(*a, j), VEC_D(*b, j), e);                                                   \
    }                                                                                                                  \
    static KERNEL v_##op##pd(Vec *d, const Vec *a, const Vec *b, unsigned qwords, FpEnv *e)                            \
    {                                                                                                                  \
        for (unsigned j = 0; j < qwords; j++)                                                                          \
            VEC_Q(*d, j) = fp64_##op(VEC_Q(*a, j), VEC_Q(*b, j), e);                                                   \
    }
FP_KERNEL2(add)
FP_KERNEL2(sub)
FP_KERNEL2(mul)
FP_KERNEL2(div)
FP_KERNEL2(min)
FP_KERNEL2(max)
#undef FP_KERNEL2

static KERNEL v_sqrtps(Vec *d, const Vec *a, unsigned qwords, FpEnv *e)
{
    for (unsigned j = 0; j < qwords * 2; j++)
        VEC_D(*d, j) = fp32_sqrt(VEC_D(*a, j), e);
}
static KERNEL v_sqrtpd(Vec *d, const Vec *a, unsigned qwords, FpEnv *e)
{
    for (unsigned j = 0; j < qwords; j++)
        VEC_Q(*d, j) = fp64_sqrt(VEC_Q(*a, j), e);
}

static KERNEL v_cmpps(Vec *d, const Vec *a, const Vec *b, unsigned predicate, unsigned qwords, FpEnv *e)
{
    for (unsigned j = 0; j < qwords * 2; j++)
        VEC_D(*d, j) = fp32_cmp(VEC_D(*a, j), VEC_D(*b, j), predicate, e);
}
static KERNEL v_cmppd(Vec *d, const Vec *a, const Vec *b, unsigned predicate, unsigned qwords, FpEnv *e)
{
    for (unsigned j = 0; j < qwords; j++)
        VEC_Q(*d, j) = fp64_cmp(VEC_Q(*a, j), VEC_Q(*b, j), predicate, e);
}

/* Subtract in even lanes, add in odd ones. */
static KERNEL v_addsubps(Vec *d, const Vec *a, const Vec *b, unsigned qwords, FpEnv *e)
{
    for (unsigned j = 0; j < qwords * 2; j += 2) {
        VEC_D(*d, j) = fp32_sub(VEC_D(*a, j), VEC_D(*b, j), e);
        VEC_D(*d, j + 1) = fp32_add(VEC_D(*a, j + 1), VEC_D(*b, j + 1), e);
    }
}
static KERNEL v_addsubpd(Vec *d, const Vec *a, const Vec *b, unsigned qwords, FpEnv *e)
{
    for (unsigned j = 0; j < qwords; j += 2) {
        VEC_Q(*d, j) = fp64_sub(VEC_Q(*a, j), VEC_Q(*b, j), e);
        VEC_Q(*d, j + 1) = fp64_add(VEC_Q(*a, j + 1), VEC_Q(*b, j + 1), e);
    }
}

/* Neighbours of a, then those of b, in each 128-bit block. */
#define FP_HORIZONTAL(name, op)                                                                                        \
    static KERNEL v_##name##ps(Vec *d, const Vec *a, const Vec *b, unsigned qwords, FpEnv *e)                          \
    {                                                                                                                  \
        for (unsigned j = 0; j < qwords * 2; j++) {                                                                    \
            const Vec *s = j & 2 ? b : a;                                                                              \
            unsigned k = (j & -4) + (j & 1) * 2;                                                                       \
            VEC_D(*d, j) = fp32_##op(VEC_D(*s, k), VEC_D(*s, k + 1), e);                                               \
        }                                                                                                              \
    }                                                                                                                  \
    static KERNEL v_##name##pd(Vec *d, const Vec *a, const Vec *b, unsigned qwords, FpEnv *e)                          \
    {                                                                                                                  \
        for (unsigned j = 0; j < qwords; j++) {                                                                        \
            const Vec *s = j & 1 ? b : a;                                                                              \
            VEC_Q(*d, j) = fp64_##op(VEC_Q(*s, j & -2), VEC_Q(*s, j | 1), e);                                          \
        }                                                                                                              \
    }
FP_HORIZONTAL(hadd, add)
FP_HORIZONTAL(hsub, sub)
#undef FP_HORIZONTAL

/* Conversions.  The narrowing ones leave the rest of d alone; their caller clears it. */
#define FP_CONVERT(name, TO, FROM, n, expr)                                                                            \
    static KERNEL v_##name(Vec *d, const Vec *a, unsigned qwords, unsigned rounding, FpEnv *e)                         \
    {                                                                                                                  \
        (void)rounding, (void)e;                                                                                       \
        for (unsigned j = 0; j < qwords * (64 / (n)); j++)                                                             \
            TO(*d, j) = expr(FROM(*a, j));                                                                             \
    }
#define TO_I32_PS(v) fp32_to_i32(v, rounding, e)
#define TO_I32_PD(v) fp64_to_i32(v, rounding, e)
#define FROM_I32_PS(v) fp32_from_i32(v, e)
#define FROM_I32_PD(v) fp64_from_i32(v)
#define PS_TO_PD(v) fp32_to_fp64(v, e)
#define PD_TO_PS(v) fp64_to_fp32(v, e)
FP_CONVERT(cvtps2dq, VEC_D, VEC_D, 32, TO_I32_PS)
FP_CONVERT(cvtpd2dq, VEC_D, VEC_Q, 64, TO_I32_PD)
FP_CONVERT(cvtdq2ps, VEC_D, VEC_D, 32, FROM_I32_PS)
FP_CONVERT(cvtdq2pd, VEC_Q, VEC_D, 64, FROM_I32_PD)
FP_CONVERT(cvtps2pd, VEC_Q, VEC_D, 64, PS_TO_PD)
FP_CONVERT(cvtpd2ps, VEC_D, VEC_Q, 64, PD_TO_PS)
#undef FP_CONVERT
#undef TO_I32_PS
#undef TO_I32_PD
#undef FROM_I32_PS
#undef FROM_I32_PD
#undef PS_TO_PD
#undef PD_TO_PS

/*
 * ROUNDxx: imm8 bit 3 keeps FP_INEXACT down, bit 2 takes MXCSR's rounding, else bits 1:0 are it.  A denormal operand
 * raises nothing of its own.
 */
static inline void round_env(uint32_t mxcsr, unsigned imm, FpEnv *e)
{
    simd_env(mxcsr, e);
    e->flags = 0;
    if (!(imm & 4))
        e->rounding = imm & 3;
}
static inline uint8_t round_flags(const FpEnv *e, unsigned imm)
{
    return e->flags & ~(FP_DENORMAL | (imm & 8 ? FP_INEXACT : 0));
}

/* COMIxx and UCOMIxx: less CF, equal ZF, unordered all three; OF, SF, AF 0. */
static inline void set_flags_order(Cpu *cpu, int order)
{
    bool unordered = order == FP_UNORDERED;
    cpu->cc_z = !(order == FP_EQUAL || unordered);
    cpu->cc_sp = !unordered;
    cpu->cc_aux = order == FP_LESS || unordered ? BIT(63) | BIT(62) : 0;
}

/* Approximations with a relative error below 1.5 * 2^-12 (sse_approx.c). */
uint32_t fp32_rcp(uint32_t a);
uint32_t fp32_rsqrt(uint32_t a);

#endif
