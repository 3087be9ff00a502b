/*
 * The lane operations of FMA, F16C, AVX-512 and AVX512_BF16 against the processor's own: results and flags, in every
 * rounding mode, with and without DAZ and FTZ.  FP_TEST_COUNT sets the number of cases for each operation.
 * What the processor lacks is not tested; half precision is compared with MPFR, in tests/fp.
 */
#include <glib.h>
#include <inttypes.h>

#include "cpu/fp_avx512.h"
#include "cpu/fp_fast.h"
#include "tests/unit/fp_random.h"

#ifdef __x86_64__

typedef struct Operands {
    uint64_t a, b, c;
    unsigned imm;
} Operands;

typedef struct Op {
    const char *name;
    uint8_t bits_a, bits_b, bits_c; /* 0 without such an operand; 1 plus the bits for an integer */
    uint16_t imms;                  /* how many */
    bool fma_only;                  /* present where FMA is, without AVX-512 */
    uint64_t (*native)(const Operands *o); /* under the MXCSR in force */
    uint64_t (*soft)(const Operands *o, FpEnv *e);
} Op;

/* c in xmm0, a in xmm1, b in xmm2; the result from xmm0. */
#define RUN(n, insn)                                                                                                   \
    __asm__ volatile("vmovq %1, %%xmm0; vmovq %2, %%xmm1; vmovq %3, %%xmm2; " insn "; vmovq %%xmm0, %0"                \
                     : "=r"(r) : "r"(o->c), "r"(o->a), "r"(o->b), "i"(n) : "rax", "xmm0", "xmm1", "xmm2", "memory")
#define NATIVE(name, insn)                                                                                             \
    static uint64_t native_##name(const Operands *o)                                                                   \
    {                                                                                                                  \
        uint64_t r;                                                                                                    \
        RUN(0, insn);                                                                                                  \
        return r;                                                                                                      \
    }
#define CASE(n, insn) case n: RUN(n, insn); break;
#define CASES4(n, insn) CASE(n, insn) CASE((n) + 1, insn) CASE((n) + 2, insn) CASE((n) + 3, insn)
#define CASES16(n, insn) CASES4(n, insn) CASES4((n) + 4, insn) CASES4((n) + 8, insn) CASES4((n) + 12, insn)
#define CASES64(n, insn) CASES16(n, insn) CASES16((n) + 16, insn) CASES16((n) + 32, insn) CASES16((n) + 48, insn)
#define CASES256(n, insn) CASES64(n, insn) CASES64((n) + 64, insn) CASES64((n) + 128, insn) CASES64((n) + 192, insn)
#define NATIVE_IMM(name, insn, cases)                                                                                  \
    static uint64_t native_##name(const Operands *o)                                                                   \
    {                                                                                                                  \
        uint64_t r = 0;                                                                                                \
        switch (o->imm) {                                                                                              \
            cases(0, insn)                                                                                             \
        }                                                                                                              \
        return r;                                                                                                      \
    }
#define SOFT(name, expression)                                                                                         \
    static uint64_t soft_##name(const Operands *o, FpEnv *e)                                                           \
    {                                                                                                                  \
        (void)o, (void)e;                                                                                              \
        return expression;                                                                                             \
    }

/* The instruction's first, second and third operands are c, a and b. */
#define FMA_FORMS(op, n, s, order, x, y, z)                                                                            \
    NATIVE(op##order##s, #op #order #s " %%xmm2, %%xmm1, %%xmm0")                                                      \
    SOFT(op##order##s, fp##n##_##op(o->x, o->y, o->z, e))
#define FMA(op, n, s)                                                                                                  \
    FMA_FORMS(op, n, s, 132, c, b, a)                                                                                  \
    FMA_FORMS(op, n, s, 213, a, c, b)                                                                                  \
    FMA_FORMS(op, n, s, 231, a, b, c)
#define FMA_OPERATIONS(T, n, s)                                                                                        \
    static T fp##n##_vfmadd(T a, T b, T c, FpEnv *e) { return fp##n##_fma(a, b, c, e); }                               \
    static T fp##n##_vfmsub(T a, T b, T c, FpEnv *e) { return fp##n##_fma(a, b, fp##n##_negate(c), e); }               \
    static T fp##n##_vfnmadd(T a, T b, T c, FpEnv *e) { return fp##n##_fma(fp##n##_negate(a), b, c, e); }              \
    static T fp##n##_vfnmsub(T a, T b, T c, FpEnv *e)                                                                  \
    {                                                                                                                  \
        return fp##n##_fma(fp##n##_negate(a), b, fp##n##_negate(c), e);                                                \
    }                                                                                                                  \
    FMA(vfmadd, n, s)                                                                                                  \
    FMA(vfmsub, n, s)                                                                                                  \
    FMA(vfnmadd, n, s)                                                                                                 \
    FMA(vfnmsub, n, s)
FMA_OPERATIONS(uint32_t, 32, ss)
FMA_OPERATIONS(uint64_t, 64, sd)

static uint32_t narrow_by_imm(uint32_t a, unsigned imm, FpEnv *e)
{
    if (!(imm & 4))
        e->rounding = imm & 3;
    return f32_to_f16(a, e);
}
NATIVE(vcvtph2ps, "vcvtph2ps %%xmm1, %%xmm0; vmovd %%xmm0, %%eax; vmovd %%eax, %%xmm0")
SOFT(vcvtph2ps, f16_to_f32_quietly(o->a, e))
#define CASES8(n, insn) CASES4(n, insn) CASES4((n) + 4, insn)
NATIVE_IMM(vcvtps2ph, "vcvtps2ph %4, %%xmm1, %%xmm0", CASES8)
SOFT(vcvtps2ph, narrow_by_imm(o->a, o->imm, e))

#define TO_GPR(name, insn, reg) NATIVE(name, insn " %%xmm1, %%" reg "; vmovq %%rax, %%xmm0")
#define FROM_GPR(name, insn) NATIVE(name, "vmovq %%xmm1, %%rax; vpxor %%xmm0, %%xmm0, %%xmm0; " insn)
#define CONVERSIONS(n, s, p)                                                                                           \
    TO_GPR(cvt##s##2usil, "vcvt" #s "2usi", "eax")                                                                     \
    SOFT(cvt##s##2usil, f##n##_to_u32(o->a, e->rounding, e))                                                           \
    TO_GPR(cvt##s##2usiq, "vcvt" #s "2usi", "rax")                                                                     \
    SOFT(cvt##s##2usiq, f##n##_to_u64(o->a, e->rounding, e))                                                           \
    TO_GPR(cvtt##s##2usil, "vcvtt" #s "2usi", "eax")                                                                   \
    SOFT(cvtt##s##2usil, f##n##_to_u32(o->a, FP_ZERO, e))                                                              \
    TO_GPR(cvtt##s##2usiq, "vcvtt" #s "2usi", "rax")                                                                   \
    SOFT(cvtt##s##2usiq, f##n##_to_u64(o->a, FP_ZERO, e))                                                              \
    FROM_GPR(cvtusi2##s##l, "vcvtusi2" #s "l %%eax, %%xmm0, %%xmm0")                                                   \
    SOFT(cvtusi2##s##l, f##n##_from_u32(o->a, e))                                                                      \
    FROM_GPR(cvtusi2##s##q, "vcvtusi2" #s "q %%rax, %%xmm0, %%xmm0")                                                   \
    SOFT(cvtusi2##s##q, f##n##_from_u64(o->a, e))                                                                      \
    NATIVE(cvt##p##2uqq, "vcvt" #p "2uqq %%xmm1, %%xmm0")                                                              \
    SOFT(cvt##p##2uqq, f##n##_to_u64(o->a, e->rounding, e))                                                            \
    NATIVE(cvt##p##2qq, "vcvt" #p "2qq %%xmm1, %%xmm0")                                                                \
    SOFT(cvt##p##2qq, f##n##_to_i64(o->a, e->rounding, e))
CONVERSIONS(32, ss, ps)
CONVERSIONS(64, sd, pd)

#define AVX512(n, s)                                                                                                   \
    NATIVE(vgetexp##s, "vgetexp" #s " %%xmm1, %%xmm1, %%xmm0")                                                         \
    SOFT(vgetexp##s, fp##n##_getexp(o->a, e))                                                                          \
    NATIVE_IMM(vgetmant##s, "vgetmant" #s " %4, %%xmm1, %%xmm1, %%xmm0", CASES16)                                      \
    SOFT(vgetmant##s, fp##n##_getmant(o->a, o->imm, e))                                                                \
    NATIVE(vscalef##s, "vscalef" #s " %%xmm2, %%xmm1, %%xmm0")                                                         \
    SOFT(vscalef##s, fp##n##_scalef(o->a, o->b, e))                                                                    \
    NATIVE_IMM(vrndscale##s, "vrndscale" #s " %4, %%xmm1, %%xmm1, %%xmm0", CASES256)                                   \
    SOFT(vrndscale##s, fp##n##_rndscale(o->a, o->imm, e))                                                              \
    NATIVE_IMM(vreduce##s, "vreduce" #s " %4, %%xmm1, %%xmm1, %%xmm0", CASES256)                                       \
    SOFT(vreduce##s, fp##n##_reduce(o->a, o->imm, e))                                                                  \
    NATIVE_IMM(vrange##s, "vrange" #s " %4, %%xmm2, %%xmm1, %%xmm0", CASES16)                                          \
    SOFT(vrange##s, fp##n##_range(o->a, o->b, o->imm, e))                                                              \
    NATIVE_IMM(vfixupimm##s, "vfixupimm" #s " %4, %%xmm2, %%xmm1, %%xmm0", CASES256)                                   \
    SOFT(vfixupimm##s, fp##n##_fixupimm(o->c, o->a, o->b, o->imm, e))                                                  \
    NATIVE_IMM(vfpclass##s, "vfpclass" #s " %4, %%xmm1, %%k1; kmovw %%k1, %%eax; vmovd %%eax, %%xmm0", CASES256)       \
    SOFT(vfpclass##s, fp##n##_is_class(o->a, o->imm, e))                                                               \
    NATIVE(vrcp14##s, "vrcp14" #s " %%xmm1, %%xmm1, %%xmm0")                                                           \
    SOFT(vrcp14##s, fp##n##_rcp14(o->a, e))                                                                            \
    NATIVE(vrsqrt14##s, "vrsqrt14" #s " %%xmm1, %%xmm1, %%xmm0")                                                       \
    SOFT(vrsqrt14##s, fp##n##_rsqrt14(o->a, e))
AVX512(32, ss)
AVX512(64, sd)

NATIVE(vcvtneps2bf16, "vcvtneps2bf16 %%xmm1, %%xmm0")
SOFT(vcvtneps2bf16, f32_to_bf16(o->a))
NATIVE(vdpbf16ps, "vdpbf16ps %%xmm2, %%xmm1, %%xmm0")
SOFT(vdpbf16ps, bf16_dot(o->c, o->a, o->b))

#define OP(name, a, b, c, imms) { #name, a, b, c, imms, false, native_##name, soft_##name }
#define OP_FMA(name, n) { #name, n, n, n, 1, true, native_##name, soft_##name }
#define OPS_FMA(op, n, s) OP_FMA(op##132##s, n), OP_FMA(op##213##s, n), OP_FMA(op##231##s, n)
#define OPS(n, s, p)                                                                                                   \
    OPS_FMA(vfmadd, n, s), OPS_FMA(vfmsub, n, s), OPS_FMA(vfnmadd, n, s), OPS_FMA(vfnmsub, n, s),                      \
        OP(cvt##s##2usil, n, 0, 0, 1), OP(cvt##s##2usiq, n, 0, 0, 1), OP(cvtt##s##2usil, n, 0, 0, 1),                  \
        OP(cvtt##s##2usiq, n, 0, 0, 1), OP(cvtusi2##s##l, 33, 0, 0, 1), OP(cvtusi2##s##q, 65, 0, 0, 1),                \
        OP(cvt##p##2uqq, n, 0, 0, 1), OP(cvt##p##2qq, n, 0, 0, 1), OP(vgetexp##s, n, 0, 0, 1),                         \
        OP(vgetmant##s, n, 0, 0, 16), OP(vscalef##s, n, n, 0, 1), OP(vrndscale##s, n, 0, 0, 256),                      \
        OP(vreduce##s, n, 0, 0, 256), OP(vrange##s, n, n, 0, 16), OP(vfixupimm##s, n, 33, n, 256),                     \
        OP(vfpclass##s, n, 0, 0, 256), OP(vrcp14##s, n, 0, 0, 1), OP(vrsqrt14##s, n, 0, 0, 1)
static const Op ops[] = {
    OPS(32, ss, ps), OPS(64, sd, pd), OP(vcvtph2ps, 16, 0, 0, 1), OP(vcvtps2ph, 32, 0, 0, 8),
    /* Last: these need AVX512_BF16. */
    OP(vcvtneps2bf16, 32, 0, 0, 1), OP(vdpbf16ps, 33, 33, 32, 1),
};

static uint64_t operand(unsigned bits, uint64_t near)
{
    switch (bits) {
    case 0: return 0;
    case 16: return random_ieee(10, 5, near);
    case 32: return random_ieee(23, 8, near);
    case 64: return random_ieee(52, 11, near);
    default: return (random64() & 1 ? random64() : random_pattern()) >> (65 - bits);
    }
}

static void compare(const Op *op, const Operands *o, unsigned mode)
{
    uint32_t saved = mxcsr_get();
    unsigned rounding = mode & 3;
    bool daz = mode & 4, ftz = mode & 8;
    mxcsr_set(0x1f80 | rounding << 13 | (daz ? 1 << 6 : 0) | (ftz ? 1 << 15 : 0));
    uint64_t want = op->native(o);
    unsigned want_flags = mxcsr_get() & 0x3f;
    mxcsr_set(saved);
    /* With FP_INEXACT on record, fp_fast.h uses the host's unit. */
    for (unsigned sticky = 0; sticky <= FP_INEXACT; sticky += FP_INEXACT) {
        FpEnv e = { .rounding = rounding, .daz = daz, .ftz = ftz, .flags = sticky };
        uint64_t got = op->soft(o, &e);
        if (got != want || e.flags != (want_flags | sticky))
            g_error("%s %" PRIx64 " %" PRIx64 " %" PRIx64 " imm %x rounding %u daz %d ftz %d: %" PRIx64 " flags %x, "
                    "processor has %" PRIx64 " flags %x", op->name, o->a, o->b, o->c, o->imm, rounding, daz, ftz, got,
                    e.flags, want, want_flags);
    }
}

/* A small integer and some fraction: a scale that does not always overflow. */
static uint64_t random_scale(unsigned bits)
{
    double v = (double)(int64_t)(random64() % 4096 - 2048) * (random64() & 1 ? 1.0 : 0.125);
    FpEnv e = { 0 };
    return bits == 32 ? fp64_to_fp32(fp64_bits(v), &e) : fp64_bits(v);
}

static void test_op(gconstpointer data)
{
    const Op *op = data;
    bool scale = op->native == native_vscalefss || op->native == native_vscalefsd;
    for (unsigned n = cases_per_operation(); n > 0; n--) {
        uint64_t k = random64();
        Operands o = { .a = operand(op->bits_a, k), .imm = (k >> 8) % op->imms };
        o.b = operand(op->bits_b, o.a);
        if (scale && n % 4)
            o.b = random_scale(op->bits_b);
        o.c = operand(op->bits_c, op->bits_b == op->bits_c && k & 16 ? o.b : o.a);
        /* Ties, cancellation, equal magnitudes. */
        if (op->bits_b == op->bits_a && n % 16 == 0)
            o.b = o.a ^ (random64() >> (64 - op->bits_a) & BIT(random64() % op->bits_a));
        compare(op, &o, k & 15);
    }
}

static void add_native_tests(void)
{
    __builtin_cpu_init();
    bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
    unsigned count = ARRAY_SIZE(ops) - (__builtin_cpu_supports("avx512bf16") ? 0 : 2);
    for (unsigned i = 0; i < count; i++) {
        g_autofree char *path = g_strdup_printf("/fp/avx/%s", ops[i].name);
        if (avx512 || (ops[i].fma_only && __builtin_cpu_supports("fma")))
            g_test_add_data_func(path, &ops[i], test_op);
    }
}

#else
static void add_native_tests(void) {}
#endif

static void test_half(void)
{
    FpEnv e = { .rounding = FP_NEAREST, .daz = true, .ftz = true };
    g_assert_cmphex(fp16_add(0x3c00, 0x4000, &e), ==, 0x4200);
    g_assert_cmphex(fp16_add(0x0001, 0x0001, &e), ==, 0x0002); /* denormals whatever MXCSR says */
    g_assert_cmphex(e.flags, ==, FP_DENORMAL);
    e.flags = 0;
    g_assert_cmphex(fp16_mul(0x7bff, 0x4000, &e), ==, 0x7c00);
    g_assert_cmphex(e.flags, ==, FP_OVERFLOW | FP_INEXACT);
    e.flags = 0;
    g_assert_cmphex(fp16_mul(0x0400, 0x3801, &e), ==, 0x0200);
    g_assert_cmphex(e.flags, ==, FP_UNDERFLOW | FP_INEXACT);
    e.flags = 0;
    g_assert_cmphex(fp16_fma(0x7c00, 0, 0x7e01, &e), ==, 0x7e01);
    g_assert_cmphex(e.flags, ==, 0);
    g_assert_cmphex(fp16_rcp(0x4000), ==, 0x3800);
    g_assert_cmphex(fp16_rcp(0x8100), ==, 0xfc00); /* -2^-16, whose reciprocal is out of range */
    g_assert_cmphex(fp16_rsqrt(0x4400), ==, 0x3800);
    g_assert_cmphex(fp16_rsqrt(0xbc00), ==, 0xfe00);
    g_assert_cmphex((uint16_t)f16_to_i16(0x7c00, FP_NEAREST, &e), ==, 0x8000);
    g_assert_cmphex(f16_to_u16(0xbc00, FP_NEAREST, &e), ==, 0xffff);
    g_assert_cmphex(e.flags, ==, FP_INVALID);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fp/half", test_half);
    add_native_tests();
    return g_test_run();
}
