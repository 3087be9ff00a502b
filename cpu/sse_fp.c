/*
 * SSE floating-point arithmetic and comparison, SSE to SSE4.1 (SDM vol. 1 chapters 10 to 12).
 * The kernels and the exception rules are in simd_fp.h, conversions in sse_cvt.c.
 */
#include "cpu/simd_fp.h"

/*
 * By MXCSR bits 6 (DAZ), 10 (OM), 11 (UM), 14:13 (RC), 15 (FZ) as bits 0 to 5.  Underflow that is not masked switches
 * flushing to zero off (SDM vol. 1 10.2.3.3).
 */
#define ENV(n)                                                                                                         \
    {                                                                                                                  \
        .rounding = (n) >> 3 & 3, .daz = (n) & 1, .ftz = ((n) & 0x24) == 0x24, .underflow_unmasked = !((n) & 4),       \
        .overflow_unmasked = !((n) & 2)                                                                                \
    }
#define ENV4(n) ENV(n), ENV((n) + 1), ENV((n) + 2), ENV((n) + 3)
#define ENV16(n) ENV4(n), ENV4((n) + 4), ENV4((n) + 8), ENV4((n) + 12)
const FpEnv simd_envs[64] = { ENV16(0), ENV16(16), ENV16(32), ENV16(48) };

/*
 * SDM vol. 1 11.5.2: an unmasked exception found before computing (invalid, denormal, divide by zero) in any lane
 * keeps all lanes from computing, and so from raising the others.  Without CR4.OSXMMEXCPT it is #UD (11.5.4).
 */
void simd_note(Cpu *cpu, uint8_t flags)
{
    const uint8_t before = FP_INVALID | FP_DENORMAL | FP_DIVZERO;
    uint8_t unmasked = flags & ~(cpu->mxcsr >> MXCSR_MASKS_SHIFT);
    cpu->mxcsr |= unmasked & before ? flags & before : flags;
    if (unmasked)
        cpu_raise(cpu, cpu->cr4 & CR4_OSXMMEXCPT ? EXC_XM : EXC_UD);
}

/* r = calculation with the environment e; then the exceptions; then the destination. */
#define SSE_FP_PACKED(name, calculation, load)                                                                         \
    static KERNEL sse_##name##_op(Cpu *cpu, const Insn *i, const Vec *s)                                               \
    {                                                                                                                  \
        Vec r, *d = &cpu->vec[i->reg];                                                                                 \
        FpEnv e;                                                                                                       \
        simd_env(cpu->mxcsr, &e);                                                                                      \
        calculation;                                                                                                   \
        simd_finish(cpu, e.flags);                                                                                     \
        vec_copy(d, &r, 2);                                                                                            \
    }                                                                                                                  \
    SSE_FORMS(name, load)

#define SSE_FP_SCALAR(name, LANE, type, calculation, load)                                                             \
    static KERNEL sse_##name##_op(Cpu *cpu, const Insn *i, const Vec *s)                                               \
    {                                                                                                                  \
        Vec *d = &cpu->vec[i->reg];                                                                                    \
        FpEnv e;                                                                                                       \
        simd_env(cpu->mxcsr, &e);                                                                                      \
        type a = LANE(*d, 0), b = LANE(*s, 0), r = calculation;                                                        \
        (void)a;                                                                                                       \
        simd_finish(cpu, e.flags);                                                                                     \
        LANE(*d, 0) = r;                                                                                               \
    }                                                                                                                  \
    SSE_FORMS(name, load)

#define SSE_FP2(op)                                                                                                    \
    SSE_FP_PACKED(op##ps, v_##op##ps(&r, d, s, 2, &e), vec_load_x)                                                     \
    SSE_FP_PACKED(op##pd, v_##op##pd(&r, d, s, 2, &e), vec_load_x)                                                     \
    SSE_FP_SCALAR(op##ss, VEC_D, uint32_t, fp32_##op(a, b, &e), vec_load_d)                                            \
    SSE_FP_SCALAR(op##sd, VEC_Q, uint64_t, fp64_##op(a, b, &e), vec_load_q)

SSE_FP2(add)
SSE_FP2(sub)
SSE_FP2(mul)
SSE_FP2(div)
SSE_FP2(min)
SSE_FP2(max)

SSE_FP_PACKED(sqrtps, v_sqrtps(&r, s, 2, &e), vec_load_x)
SSE_FP_PACKED(sqrtpd, v_sqrtpd(&r, s, 2, &e), vec_load_x)
SSE_FP_SCALAR(sqrtss, VEC_D, uint32_t, fp32_sqrt(b, &e), vec_load_d)
SSE_FP_SCALAR(sqrtsd, VEC_Q, uint64_t, fp64_sqrt(b, &e), vec_load_q)

/* Only the low three bits of imm8 count without a VEX prefix. */
SSE_FP_PACKED(cmpps, v_cmpps(&r, d, s, i->imm & 7, 2, &e), vec_load_x)
SSE_FP_PACKED(cmppd, v_cmppd(&r, d, s, i->imm & 7, 2, &e), vec_load_x)
SSE_FP_SCALAR(cmpss, VEC_D, uint32_t, fp32_cmp(a, b, i->imm & 7, &e), vec_load_d)
SSE_FP_SCALAR(cmpsd, VEC_Q, uint64_t, fp64_cmp(a, b, i->imm & 7, &e), vec_load_q)

SSE_FP_PACKED(addsubps, v_addsubps(&r, d, s, 2, &e), vec_load_x)
SSE_FP_PACKED(addsubpd, v_addsubpd(&r, d, s, 2, &e), vec_load_x)
SSE_FP_PACKED(haddps, v_haddps(&r, d, s, 2, &e), vec_load_x)
SSE_FP_PACKED(haddpd, v_haddpd(&r, d, s, 2, &e), vec_load_x)
SSE_FP_PACKED(hsubps, v_hsubps(&r, d, s, 2, &e), vec_load_x)
SSE_FP_PACKED(hsubpd, v_hsubpd(&r, d, s, 2, &e), vec_load_x)

/* COMIxx and UCOMIxx. */
#define SSE_COMPARE(name, LANE, n, quiet, load)                                                                        \
    static KERNEL sse_##name##_op(Cpu *cpu, const Insn *i, const Vec *s)                                               \
    {                                                                                                                  \
        FpEnv e;                                                                                                       \
        simd_env(cpu->mxcsr, &e);                                                                                      \
        int order = fp##n##_compare(LANE(cpu->vec[i->reg], 0), LANE(*s, 0), quiet, &e);                                \
        simd_finish(cpu, e.flags);                                                                                     \
        set_flags_order(cpu, order);                                                                                   \
    }                                                                                                                  \
    SSE_FORMS(name, load)

SSE_COMPARE(comiss, VEC_D, 32, false, vec_load_d)
SSE_COMPARE(comisd, VEC_Q, 64, false, vec_load_q)
SSE_COMPARE(ucomiss, VEC_D, 32, true, vec_load_d)
SSE_COMPARE(ucomisd, VEC_Q, 64, true, vec_load_q)

/* ROUNDPS and its kin. */
#define SSE_ROUND(name, LANE, n, lanes, load)                                                                          \
    static KERNEL sse_##name##_op(Cpu *cpu, const Insn *i, const Vec *s)                                               \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        FpEnv e;                                                                                                       \
        round_env(cpu->mxcsr, i->imm, &e);                                                                             \
        for (unsigned j = 0; j < lanes; j++)                                                                           \
            LANE(r, j) = f##n##_round(LANE(*s, j), &e);                                                                \
        simd_finish(cpu, round_flags(&e, i->imm));                                                                     \
        for (unsigned j = 0; j < lanes; j++)                                                                           \
            LANE(cpu->vec[i->reg], j) = LANE(r, j);                                                                    \
    }                                                                                                                  \
    SSE_FORMS(name, load)

SSE_ROUND(roundps, VEC_D, 32, 4, vec_load_x)
SSE_ROUND(roundpd, VEC_Q, 64, 2, vec_load_x)
SSE_ROUND(roundss, VEC_D, 32, 1, vec_load_d)
SSE_ROUND(roundsd, VEC_Q, 64, 1, vec_load_q)

/*
 * Dot products.  imm8: bits 7:4 lanes multiplied (the others count as +0), 3:0 lanes that get the sum.  Each step
 * ends with its own exceptions; the sum is (0 + 1) + (2 + 3) (SDM vol. 2, DPPS).
 */
static KERNEL sse_dpps_op(Cpu *cpu, const Insn *i, const Vec *s)
{
    Vec *d = &cpu->vec[i->reg];
    uint32_t product[4] = { 0 };
    FpEnv e;
    simd_env(cpu->mxcsr, &e);
    for (unsigned j = 0; j < 4; j++)
        if (i->imm >> (4 + j) & 1)
            product[j] = fp32_mul(VEC_D(*d, j), VEC_D(*s, j), &e);
    simd_finish(cpu, e.flags);
    uint32_t low = fp32_add(product[0], product[1], &e), high = fp32_add(product[2], product[3], &e);
    simd_finish(cpu, e.flags);
    uint32_t sum = fp32_add(low, high, &e);
    simd_finish(cpu, e.flags);
    for (unsigned j = 0; j < 4; j++)
        VEC_D(*d, j) = i->imm >> j & 1 ? sum : 0;
}
SSE_FORMS(dpps, vec_load_x)

static KERNEL sse_dppd_op(Cpu *cpu, const Insn *i, const Vec *s)
{
    Vec *d = &cpu->vec[i->reg];
    uint64_t product[2] = { 0 };
    FpEnv e;
    simd_env(cpu->mxcsr, &e);
    for (unsigned j = 0; j < 2; j++)
        if (i->imm >> (4 + j) & 1)
            product[j] = fp64_mul(VEC_Q(*d, j), VEC_Q(*s, j), &e);
    simd_finish(cpu, e.flags);
    uint64_t sum = fp64_add(product[0], product[1], &e);
    simd_finish(cpu, e.flags);
    for (unsigned j = 0; j < 2; j++)
        VEC_Q(*d, j) = i->imm >> j & 1 ? sum : 0;
}
SSE_FORMS(dppd, vec_load_x)

/* Approximations raise no exceptions. */
#define SSE_APPROXIMATE(name, lanes, load, function)                                                                   \
    static KERNEL sse_##name##_op(Cpu *cpu, const Insn *i, const Vec *s)                                               \
    {                                                                                                                  \
        for (unsigned j = 0; j < lanes; j++)                                                                           \
            VEC_D(cpu->vec[i->reg], j) = function(VEC_D(*s, j));                                                       \
    }                                                                                                                  \
    SSE_FORMS(name, load)

SSE_APPROXIMATE(rcpps, 4, vec_load_x, fp32_rcp)
SSE_APPROXIMATE(rcpss, 1, vec_load_d, fp32_rcp)
SSE_APPROXIMATE(rsqrtps, 4, vec_load_x, fp32_rsqrt)
SSE_APPROXIMATE(rsqrtss, 1, vec_load_d, fp32_rsqrt)

static void sse_ldmxcsr(Cpu *cpu, const Insn *i)
{
    uint32_t v = mem_read32(cpu, i->seg, insn_ea(cpu, i));
    if (v & ~mxcsr_valid(cpu))
        cpu_raise_gp(cpu);
    cpu->mxcsr = v;
}
SEM_1(sse_ldmxcsr)

static void sse_stmxcsr(Cpu *cpu, const Insn *i) { mem_write32(cpu, i->seg, insn_ea(cpu, i), cpu->mxcsr); }
SEM_1(sse_stmxcsr)
