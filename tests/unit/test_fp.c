/*
 * Soft-float against known values on every host, and against the processor's own SSE and x87 units on x86-64: random
 * operands weighted towards zeros, denormals, infinities, NaNs, the ends of the range and near-ties, in every rounding
 * mode and precision, results and flags alike.  FP_TEST_COUNT sets the number of cases for each operation.
 */
#include <glib.h>
#include <inttypes.h>

#include "cpu/fp_fast.h"
#include "tests/unit/fp_random.h"
#include "util/endian.h"

static void test_known_values(void)
{
    FpEnv e = { .rounding = FP_NEAREST };
    g_assert_cmphex(f64_add(0x3ff0000000000000, 0x3ff0000000000000, &e), ==, 0x4000000000000000);
    g_assert_cmphex(e.flags, ==, 0);
    g_assert_cmphex(f32_div(0x3f800000, 0x40400000, &e), ==, 0x3eaaaaab);
    g_assert_cmphex(e.flags, ==, FP_INEXACT);
    e.flags = 0;
    g_assert_cmphex(f64_mul(0x0010000000000000, 0x3fe0000000000001, &e), ==, 0x0008000000000000);
    g_assert_cmphex(e.flags, ==, FP_UNDERFLOW | FP_INEXACT);
    e.flags = 0;
    g_assert_cmphex(f32_sub(0x7f800000, 0x7f800000, &e), ==, 0xffc00000);
    g_assert_cmphex(e.flags, ==, FP_INVALID);
    e.flags = 0;
    g_assert_cmpint(f64_to_i32(0x41f0000000000000, FP_ZERO, &e), ==, INT32_MIN);
    g_assert_cmphex(e.flags, ==, FP_INVALID);
}

static void test_x87_rules(void)
{
    FpEnv e = { .precision = 64, .x87 = true };
    /* The larger significand wins, and of equal ones the positive. */
    Float80 r = f80_add((Float80){ 0xc000000000000001, 0x7fff }, (Float80){ 0xc000000000000002, 0xffff }, &e);
    g_assert_cmphex(r.mant, ==, 0xc000000000000002);
    r = f80_add((Float80){ 0xc000000000000001, 0xffff }, (Float80){ 0xc000000000000001, 0x7fff }, &e);
    g_assert_cmphex(r.sexp, ==, 0x7fff);
    g_assert_cmphex(e.flags, ==, 0);
    /* An unnormal is invalid. */
    r = f80_mul((Float80){ 1, 0x3fff }, (Float80){ BIT(63), 0x3fff }, &e);
    g_assert_cmphex(r.sexp, ==, 0xffff);
    g_assert_cmphex(e.flags, ==, FP_INVALID);
    /* Unmasked overflow scales: 2^16383 * 2^16383 = 2^(32766 - 24576) * 2^24576. */
    e = (FpEnv){ .precision = 64, .x87 = true, .overflow_unmasked = true };
    r = f80_mul((Float80){ BIT(63), 0x7ffe }, (Float80){ BIT(63), 0x7ffe }, &e);
    g_assert_cmphex(r.sexp, ==, 16383 + 32766 - 24576);
    g_assert_cmphex(e.flags, ==, FP_OVERFLOW);
    /* Precision control to 24 bits. */
    e = (FpEnv){ .precision = 24, .x87 = true };
    r = f80_div((Float80){ BIT(63), 0x3fff }, (Float80){ UINT64_C(3) << 62, 0x4000 }, &e);
    g_assert_cmphex(r.mant, ==, 0xaaaaab0000000000);
    g_assert_true(e.rounded_up);
}

#ifdef __x86_64__

static uint64_t random_operand(unsigned bits, uint64_t near)
{
    return bits == 32 ? random_ieee(23, 8, near) : random_ieee(52, 11, near);
}

typedef struct SseOp {
    const char *name;
    unsigned bits;                                      /* of the operands */
    bool unary;
    uint64_t (*native)(uint64_t a, uint64_t b);         /* under the MXCSR in force */
    uint64_t (*soft)(uint64_t a, uint64_t b, FpEnv *e);
    uint64_t (*fast)(uint64_t a, uint64_t b, FpEnv *e); /* or NULL */
} SseOp;

#define NATIVE_BINARY(op)                                                                                              \
    static uint64_t native_##op(uint64_t a, uint64_t b)                                                                \
    {                                                                                                                  \
        uint64_t r;                                                                                                    \
        __asm__ volatile("movq %1, %%xmm0; movq %2, %%xmm1; " #op " %%xmm1, %%xmm0; movq %%xmm0, %0"                   \
                         : "=r"(r) : "r"(a), "r"(b) : "xmm0", "xmm1", "memory");                                       \
        return r;                                                                                                      \
    }
#define NATIVE_UNARY(name, op)                                                                                         \
    static uint64_t native_##name(uint64_t a, uint64_t b)                                                              \
    {                                                                                                                  \
        uint64_t r;                                                                                                    \
        (void)b;                                                                                                       \
        __asm__ volatile("pxor %%xmm0, %%xmm0; movq %1, %%xmm1; " op " %%xmm1, %%xmm0; movq %%xmm0, %0"                \
                         : "=r"(r) : "r"(a) : "xmm0", "xmm1", "memory");                                               \
        return r;                                                                                                      \
    }
#define NATIVE_TO_INT(name, op)                                                                                        \
    static uint64_t native_##name(uint64_t a, uint64_t b)                                                              \
    {                                                                                                                  \
        uint64_t r;                                                                                                    \
        (void)b;                                                                                                       \
        __asm__ volatile("movq %1, %%xmm1; " op : "=r"(r) : "r"(a) : "xmm1", "memory");                                \
        return r;                                                                                                      \
    }
#define NATIVE_FROM_INT(name, op)                                                                                      \
    static uint64_t native_##name(uint64_t a, uint64_t b)                                                              \
    {                                                                                                                  \
        uint64_t r;                                                                                                    \
        (void)b;                                                                                                       \
        __asm__ volatile("pxor %%xmm0, %%xmm0; " op "; movq %%xmm0, %0" : "=r"(r) : "r"(a) : "xmm0", "memory");        \
        return r;                                                                                                      \
    }
/* ZF, PF, CF as FP_EQUAL and so on. */
#define NATIVE_COMPARE(op)                                                                                             \
    static uint64_t native_##op(uint64_t a, uint64_t b)                                                                \
    {                                                                                                                  \
        uint64_t r;                                                                                                    \
        __asm__ volatile("movq %1, %%xmm0; movq %2, %%xmm1; " #op " %%xmm1, %%xmm0; pushfq; popq %0"                   \
                         : "=r"(r) : "r"(a), "r"(b) : "xmm0", "xmm1", "cc", "memory");                                 \
        return r & 4 ? FP_UNORDERED : r & 0x40 ? FP_EQUAL : r & 1 ? (uint64_t)FP_LESS : FP_GREATER;                    \
    }

NATIVE_BINARY(addss)
NATIVE_BINARY(subss)
NATIVE_BINARY(mulss)
NATIVE_BINARY(divss)
NATIVE_BINARY(addsd)
NATIVE_BINARY(subsd)
NATIVE_BINARY(mulsd)
NATIVE_BINARY(divsd)
NATIVE_UNARY(sqrtss, "sqrtss")
NATIVE_UNARY(sqrtsd, "sqrtsd")
NATIVE_UNARY(roundss, "roundss $4,")
NATIVE_UNARY(roundsd, "roundsd $4,")
NATIVE_UNARY(cvtss2sd, "cvtss2sd")
NATIVE_UNARY(cvtsd2ss, "cvtsd2ss")
NATIVE_COMPARE(comiss)
NATIVE_COMPARE(ucomiss)
NATIVE_COMPARE(comisd)
NATIVE_COMPARE(ucomisd)
NATIVE_TO_INT(cvtss2sil, "cvtss2si %%xmm1, %k0")
NATIVE_TO_INT(cvtss2siq, "cvtss2si %%xmm1, %q0")
NATIVE_TO_INT(cvttss2sil, "cvttss2si %%xmm1, %k0")
NATIVE_TO_INT(cvttss2siq, "cvttss2si %%xmm1, %q0")
NATIVE_TO_INT(cvtsd2sil, "cvtsd2si %%xmm1, %k0")
NATIVE_TO_INT(cvtsd2siq, "cvtsd2si %%xmm1, %q0")
NATIVE_TO_INT(cvttsd2sil, "cvttsd2si %%xmm1, %k0")
NATIVE_TO_INT(cvttsd2siq, "cvttsd2si %%xmm1, %q0")
NATIVE_FROM_INT(cvtsi2ssl, "cvtsi2ssl %k1, %%xmm0")
NATIVE_FROM_INT(cvtsi2ssq, "cvtsi2ssq %q1, %%xmm0")
NATIVE_FROM_INT(cvtsi2sdl, "cvtsi2sdl %k1, %%xmm0")
NATIVE_FROM_INT(cvtsi2sdq, "cvtsi2sdq %q1, %%xmm0")

#define SOFT(name, expression)                                                                                         \
    static uint64_t name(uint64_t a, uint64_t b, FpEnv *e)                                                             \
    {                                                                                                                  \
        (void)a, (void)b, (void)e;                                                                                     \
        return expression;                                                                                             \
    }
#define SOFT_FORMAT(n)                                                                                                 \
    SOFT(soft##n##_add, f##n##_add(a, b, e))                                                                           \
    SOFT(soft##n##_sub, f##n##_sub(a, b, e))                                                                           \
    SOFT(soft##n##_mul, f##n##_mul(a, b, e))                                                                           \
    SOFT(soft##n##_div, f##n##_div(a, b, e))                                                                           \
    SOFT(soft##n##_sqrt, f##n##_sqrt(a, e))                                                                            \
    SOFT(soft##n##_round, f##n##_round(a, e))                                                                          \
    SOFT(soft##n##_com, (uint64_t)f##n##_compare(a, b, false, e))                                                      \
    SOFT(soft##n##_ucom, (uint64_t)f##n##_compare(a, b, true, e))                                                      \
    SOFT(soft##n##_i32, (uint32_t)f##n##_to_i32(a, e->rounding, e))                                                    \
    SOFT(soft##n##_i64, f##n##_to_i64(a, e->rounding, e))                                                              \
    SOFT(soft##n##_t32, (uint32_t)f##n##_to_i32(a, FP_ZERO, e))                                                        \
    SOFT(soft##n##_t64, f##n##_to_i64(a, FP_ZERO, e))                                                                  \
    SOFT(soft##n##_from32, f##n##_from_i32(a, e))                                                                      \
    SOFT(soft##n##_from64, f##n##_from_i64(a, e))                                                                      \
    SOFT(fast##n##_add, fp##n##_add(a, b, e))                                                                          \
    SOFT(fast##n##_sub, fp##n##_sub(a, b, e))                                                                          \
    SOFT(fast##n##_mul, fp##n##_mul(a, b, e))                                                                          \
    SOFT(fast##n##_div, fp##n##_div(a, b, e))                                                                          \
    SOFT(fast##n##_sqrt, fp##n##_sqrt(a, e))                                                                           \
    SOFT(fast##n##_com, (uint64_t)fp##n##_compare(a, b, false, e))                                                     \
    SOFT(fast##n##_ucom, (uint64_t)fp##n##_compare(a, b, true, e))                                                     \
    SOFT(fast##n##_i32, (uint32_t)fp##n##_to_i32(a, e->rounding, e))                                                   \
    SOFT(fast##n##_i64, fp##n##_to_i64(a, e->rounding, e))                                                             \
    SOFT(fast##n##_t32, (uint32_t)fp##n##_to_i32(a, FP_ZERO, e))                                                       \
    SOFT(fast##n##_t64, fp##n##_to_i64(a, FP_ZERO, e))                                                                 \
    SOFT(fast##n##_from64, fp##n##_from_i64(a, e))
SOFT_FORMAT(32)
SOFT_FORMAT(64)
SOFT(fast32_from32, fp32_from_i32(a, e))
SOFT(fast64_from32, fp64_from_i32(a))
SOFT(soft_widen, f32_to_f64(a, e))
SOFT(soft_narrow, f64_to_f32(a, e))
SOFT(fast_widen, fp32_to_fp64(a, e))
SOFT(fast_narrow, fp64_to_fp32(a, e))

#define BOTH(n, name) soft##n##_##name, fast##n##_##name
static const SseOp sse_ops[] = {
    { "addss", 32, false, native_addss, BOTH(32, add) },
    { "subss", 32, false, native_subss, BOTH(32, sub) },
    { "mulss", 32, false, native_mulss, BOTH(32, mul) },
    { "divss", 32, false, native_divss, BOTH(32, div) },
    { "sqrtss", 32, true, native_sqrtss, BOTH(32, sqrt) },
    { "comiss", 32, false, native_comiss, BOTH(32, com) },
    { "ucomiss", 32, false, native_ucomiss, BOTH(32, ucom) },
    { "cvtss2sil", 32, true, native_cvtss2sil, BOTH(32, i32) },
    { "cvtss2siq", 32, true, native_cvtss2siq, BOTH(32, i64) },
    { "cvttss2sil", 32, true, native_cvttss2sil, BOTH(32, t32) },
    { "cvttss2siq", 32, true, native_cvttss2siq, BOTH(32, t64) },
    { "cvtsi2ssl", 64, true, native_cvtsi2ssl, BOTH(32, from32) },
    { "cvtsi2ssq", 64, true, native_cvtsi2ssq, BOTH(32, from64) },
    { "cvtss2sd", 32, true, native_cvtss2sd, soft_widen, fast_widen },
    { "addsd", 64, false, native_addsd, BOTH(64, add) },
    { "subsd", 64, false, native_subsd, BOTH(64, sub) },
    { "mulsd", 64, false, native_mulsd, BOTH(64, mul) },
    { "divsd", 64, false, native_divsd, BOTH(64, div) },
    { "sqrtsd", 64, true, native_sqrtsd, BOTH(64, sqrt) },
    { "comisd", 64, false, native_comisd, BOTH(64, com) },
    { "ucomisd", 64, false, native_ucomisd, BOTH(64, ucom) },
    { "cvtsd2sil", 64, true, native_cvtsd2sil, BOTH(64, i32) },
    { "cvtsd2siq", 64, true, native_cvtsd2siq, BOTH(64, i64) },
    { "cvttsd2sil", 64, true, native_cvttsd2sil, BOTH(64, t32) },
    { "cvttsd2siq", 64, true, native_cvttsd2siq, BOTH(64, t64) },
    { "cvtsi2sdl", 64, true, native_cvtsi2sdl, BOTH(64, from32) },
    { "cvtsi2sdq", 64, true, native_cvtsi2sdq, BOTH(64, from64) },
    { "cvtsd2ss", 64, true, native_cvtsd2ss, soft_narrow, fast_narrow },
    /* Last: these need SSE4.1. */
    { "roundss", 32, true, native_roundss, soft32_round, NULL },
    { "roundsd", 64, true, native_roundsd, soft64_round, NULL },
};

static void compare_sse(const SseOp *op, uint64_t a, uint64_t b, unsigned mode)
{
    uint32_t saved = mxcsr_get();
    unsigned rounding = mode & 3;
    bool daz = mode & 4, ftz = mode & 8;
    mxcsr_set(0x1f80 | rounding << 13 | (daz ? 1 << 6 : 0) | (ftz ? 1 << 15 : 0));
    uint64_t want = op->native(a, b);
    unsigned want_flags = mxcsr_get() & 0x3f;
    mxcsr_set(saved);
    for (int sticky = 0; sticky < (op->fast ? 2 : 1); sticky++) {
        FpEnv e = { .rounding = rounding, .daz = daz, .ftz = ftz, .flags = sticky ? FP_INEXACT : 0 };
        uint64_t got = (sticky ? op->fast : op->soft)(a, b, &e);
        if (got != want || e.flags != (want_flags | (sticky ? FP_INEXACT : 0)))
            g_error("%s%s %" PRIx64 " %" PRIx64 " rounding %u daz %d ftz %d: %" PRIx64 " flags %x, processor has %"
                    PRIx64 " flags %x", op->name, sticky ? " (fast)" : "", a, b, rounding, daz, ftz, got, e.flags, want,
                    want_flags);
    }
}

static void test_sse(gconstpointer data)
{
    const SseOp *op = data;
    for (unsigned n = cases_per_operation(); n > 0; n--) {
        uint64_t a = random_operand(op->bits, random64());
        uint64_t b = op->unary ? 0 : random_operand(op->bits, a);
        /* Results that are nearly denormal or nearly ties need related operands. */
        if (!op->unary && n % 16 == 0)
            b = a ^ (random64() >> (64 - op->bits) & BIT(random64() % op->bits));
        if (op->unary && n % 16 == 0 && op->native != native_cvtss2sd)
            a = random_pattern() >> (64 - op->bits);
        compare_sse(op, a, b, random64() & 15);
    }
}

#define NATIVE_FMA(n, op)                                                                                              \
    __attribute__((target("fma"))) static uint64_t native_fma##n(uint64_t a, uint64_t b, uint64_t c)                   \
    {                                                                                                                  \
        uint64_t r;                                                                                                    \
        __asm__ volatile("vmovq %1, %%xmm0; vmovq %2, %%xmm1; vmovq %3, %%xmm2; " op                                   \
                         " %%xmm2, %%xmm1, %%xmm0; vmovq %%xmm0, %0"                                                   \
                         : "=r"(r) : "r"(a), "r"(b), "r"(c) : "xmm0", "xmm1", "xmm2", "memory");                       \
        return r;                                                                                                      \
    }
NATIVE_FMA(32, "vfmadd213ss") /* xmm0 = xmm1 * xmm0 + xmm2 */
NATIVE_FMA(64, "vfmadd213sd")

static void test_fma(void)
{
    for (unsigned n = 2 * cases_per_operation(); n > 0; n--) {
        unsigned bits = n & 1 ? 32 : 64, mode = random64() & 15;
        uint64_t a = random_operand(bits, random64()), b = random_operand(bits, random64());
        FpEnv e = { .rounding = FP_NEAREST };
        uint64_t product = bits == 32 ? f32_mul(a, b, &e) : f64_mul(a, b, &e);
        uint64_t c = random_operand(bits, product);
        if (n % 8 < 2)
            c = product ^ BIT(bits - 1) ^ (random64() & 1);
        uint32_t saved = mxcsr_get();
        mxcsr_set(0x1f80 | (mode & 3) << 13 | (mode & 4) << 4 | (mode & 8) << 12);
        uint64_t want = bits == 32 ? native_fma32(b, a, c) : native_fma64(b, a, c);
        unsigned want_flags = mxcsr_get() & 0x3f;
        mxcsr_set(saved);
        e = (FpEnv){ .rounding = mode & 3, .daz = mode & 4, .ftz = mode & 8 };
        uint64_t got = bits == 32 ? f32_muladd(a, b, c, &e) : f64_muladd(a, b, c, &e);
        if (got != want || e.flags != want_flags)
            g_error("fma%u %" PRIx64 " %" PRIx64 " %" PRIx64 " mode %u: %" PRIx64 " flags %x, processor has %" PRIx64
                    " flags %x", bits, a, b, c, mode, got, e.flags, want, want_flags);
    }
}

/* --- x87 --- */

typedef struct X87Result {
    uint8_t bytes[10]; /* of the result */
    uint16_t status;
} X87Result;

typedef struct X87Op {
    const char *name;
    unsigned bits; /* of the result in memory: 80, or the narrower format stored */
    void (*native)(const uint8_t *a, const uint8_t *b, uint16_t control, X87Result *r);
    void (*soft)(Float80 a, Float80 b, FpEnv *e, uint8_t *out);
} X87Op;

/*
 * Results are read back with FNSAVE, which neither waits nor converts: unmasked exceptions stay unreported.
 */
#define NATIVE_X87_REGISTER(name, op)                                                                                  \
    static void native_##name(const uint8_t *a, const uint8_t *b, uint16_t control, X87Result *r)                      \
    {                                                                                                                  \
        uint8_t image[108];                                                                                            \
        __asm__ volatile("fninit; fldt (%1); fldt (%0); fldcw %2; " op "; fnsave (%3)"                                 \
                         ::"r"(a), "r"(b), "m"(control), "r"(image) : "memory", "cc", "st", "st(1)");                  \
        r->status = ld16le(image + 4);                                                                                 \
        memcpy(r->bytes, image + 28, 10);                                                                              \
    }
#define NATIVE_X87_STORE(name, op)                                                                                     \
    static void native_##name(const uint8_t *a, const uint8_t *b, uint16_t control, X87Result *r)                      \
    {                                                                                                                  \
        memset(r->bytes, 0, sizeof r->bytes);                                                                          \
        __asm__ volatile("fninit; fldt (%1); fldt (%0); fldcw %2; " op " (%4); fnstsw (%3); fnclex; fninit"            \
                         ::"r"(a), "r"(b), "m"(control), "r"(&r->status), "r"(r->bytes)                                \
                         : "memory", "cc", "st", "st(1)");                                                             \
    }

NATIVE_X87_REGISTER(fadd, "fadd %%st(1), %%st")
NATIVE_X87_REGISTER(fsub, "fsub %%st(1), %%st")
NATIVE_X87_REGISTER(fmul, "fmul %%st(1), %%st")
NATIVE_X87_REGISTER(fdiv, "fdiv %%st(1), %%st")
NATIVE_X87_REGISTER(fsqrt, "fsqrt")
NATIVE_X87_REGISTER(frndint, "frndint")
NATIVE_X87_STORE(fsts, "fsts")
NATIVE_X87_STORE(fstl, "fstl")
NATIVE_X87_STORE(fists, "fists")
NATIVE_X87_STORE(fistl, "fistl")
NATIVE_X87_STORE(fistpq, "fistpll")

static void put80(uint8_t *out, Float80 v)
{
    st64le(out, v.mant);
    st16le(out + 8, v.sexp);
}

#define SOFT_X87(name, statement)                                                                                      \
    static void soft_##name(Float80 a, Float80 b, FpEnv *e, uint8_t *out)                                              \
    {                                                                                                                  \
        (void)b;                                                                                                       \
        statement;                                                                                                     \
    }
SOFT_X87(fadd, put80(out, f80_add(a, b, e)))
SOFT_X87(fsub, put80(out, f80_sub(a, b, e)))
SOFT_X87(fmul, put80(out, f80_mul(a, b, e)))
SOFT_X87(fdiv, put80(out, f80_div(a, b, e)))
SOFT_X87(fsqrt, put80(out, f80_sqrt(a, e)))
SOFT_X87(frndint, put80(out, f80_round(a, e)))
SOFT_X87(fsts, st32le(out, f80_to_f32(a, e)))
SOFT_X87(fstl, st64le(out, f80_to_f64(a, e)))
SOFT_X87(fists, st16le(out, f80_to_i16(a, e->rounding, e)))
SOFT_X87(fistl, st32le(out, f80_to_i32(a, e->rounding, e)))
SOFT_X87(fistpq, st64le(out, f80_to_i64(a, e->rounding, e)))

#define X87_OP(name, bits) { #name, bits, native_##name, soft_##name }
static const X87Op x87_ops[] = {
    X87_OP(fadd, 80), X87_OP(fsub, 80), X87_OP(fmul, 80), X87_OP(fdiv, 80), X87_OP(fsqrt, 80), X87_OP(frndint, 80),
    X87_OP(fsts, 32), X87_OP(fstl, 64), X87_OP(fists, 16), X87_OP(fistl, 32), X87_OP(fistpq, 64),
};

/* Exponents near those that matter to `op`: its integer or narrow range, and near another operand's. */
static Float80 random_f80(uint16_t near, unsigned bits)
{
    uint64_t k = random64(), mant = random_pattern();
    unsigned exp;
    switch (k % 8) {
    case 0: exp = k >> 8 & 1 ? 0 : 1 + (k >> 16) % 70; break;
    case 1: exp = k >> 8 & 3 ? 0x7fff : 0x7ffe - (k >> 16) % 3; break;
    case 2: exp = bits == 32 ? 16383 - 156 + (k >> 16) % 40 : 16383 - 1082 + (k >> 16) % 70; break;
    case 3: exp = bits == 32 ? 16383 + 125 + (k >> 16) % 5 : 16383 + 1021 + (k >> 16) % 5; break;
    case 4: exp = k >> 16 & 0x7fff; break;
    case 5: exp = 16383 - 3 + (k >> 16) % 70; break;
    default: exp = ((near & 0x7fff) + (k >> 16) % 140 - 70) & 0x7fff; break;
    }
    /* Usually a valid encoding; some pseudo-denormals, unnormals, pseudo-NaNs. */
    if (exp && (k >> 40) % 16)
        mant |= BIT(63);
    return (Float80){ mant ^ (k >> 44 & 1), (k >> 63) << 15 | exp };
}

static void compare_x87(const X87Op *op, Float80 a, Float80 b, uint16_t control)
{
    static const uint8_t precisions[4] = { 24, 64, 53, 64 };
    uint8_t bytes_a[10], bytes_b[10], got[10] = { 0 };
    X87Result want;
    put80(bytes_a, a);
    put80(bytes_b, b);
    op->native(bytes_a, bytes_b, control, &want);
    FpEnv e = { .rounding = control >> 10 & 3, .precision = precisions[control >> 8 & 3], .x87 = true,
                .overflow_unmasked = !(control & FP_OVERFLOW), .underflow_unmasked = !(control & FP_UNDERFLOW) };
    op->soft(a, b, &e, got);
    unsigned flags = want.status & 0x3f;
    bool stored = op->bits == 80 || !(flags & ~control & (FP_OVERFLOW | FP_UNDERFLOW));
    bool round_up = want.status >> 9 & 1;
    if (e.flags != flags || (stored && memcmp(got, want.bytes, op->bits / 8)) ||
        (stored && flags & FP_INEXACT && e.rounded_up != round_up))
        g_error("%s %04x:%016" PRIx64 " %04x:%016" PRIx64 " control %04x: %04x:%016" PRIx64 " flags %x up %d, processor"
                " has %04x:%016" PRIx64 " flags %x up %d", op->name, a.sexp, a.mant, b.sexp, b.mant, control,
                ld16le(got + 8), ld64le(got), e.flags, e.rounded_up, ld16le(want.bytes + 8), ld64le(want.bytes), flags,
                round_up);
}

static void test_x87(gconstpointer data)
{
    const X87Op *op = data;
    static const uint16_t precision[3] = { 0, 2, 3 };
    for (unsigned n = cases_per_operation(); n > 0; n--) {
        uint64_t k = random64();
        Float80 a = random_f80(k >> 32, op->bits);
        Float80 b = random_f80(a.sexp, op->bits);
        /* Products and quotients near the lower end. */
        if (n % 4 == 0) {
            bool divide = op->native == native_fdiv;
            int exp = (divide ? (a.sexp & 0x7fff) : 16383 - (a.sexp & 0x7fff)) + (int)(k >> 40 & 127) - 64;
            b.sexp = (b.sexp & 0x8000) | (exp & 0x7fff);
        }
        uint16_t masks = k & 4 ? 0x3f : 0x3f & ~(k & 0x18);
        compare_x87(op, a, b, masks | 0x40 | precision[k >> 8 & 0xff ? (k >> 8) % 3 : 2] << 8 | (k & 3) << 10);
    }
}

static void add_native_tests(void)
{
    __builtin_cpu_init();
    unsigned count = ARRAY_SIZE(sse_ops) - (__builtin_cpu_supports("sse4.1") ? 0 : 2);
    for (unsigned i = 0; i < count; i++) {
        g_autofree char *path = g_strdup_printf("/fp/sse/%s", sse_ops[i].name);
        g_test_add_data_func(path, &sse_ops[i], test_sse);
    }
    if (__builtin_cpu_supports("fma"))
        g_test_add_func("/fp/sse/fma", test_fma);
    for (unsigned i = 0; i < ARRAY_SIZE(x87_ops); i++) {
        g_autofree char *path = g_strdup_printf("/fp/x87/%s", x87_ops[i].name);
        g_test_add_data_func(path, &x87_ops[i], test_x87);
    }
}

#else
static void add_native_tests(void) {}
#endif

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fp/known", test_known_values);
    g_test_add_func("/fp/x87_rules", test_x87_rules);
    add_native_tests();
    return g_test_run();
}
