/*
 * VGETEXP, VGETMANT, VSCALEF, VRNDSCALE, VREDUCE, VRANGE, VFIXUPIMM, VFPCLASS and FP16's approximations, one lane each
 * (SDM vol. 2).
 */
#include "cpu/fp_avx512.h"
#include "cpu/fp_internal.h"

FP_INLINE Num num_getexp(Num n, FpEnv *e)
{
    if (unlikely(n.cls >= NUM_QNAN))
        return num_propagate_nan(n, n, e);
    num_note_denormals(n, n, e);
    return n.cls == NUM_FINITE ? num_from_int(n.exp) : num_inf(n.cls == NUM_ZERO);
}

/* Intervals by imm 1:0: [1, 2), [1/2, 2) with an even exponent taken away, [1/2, 1), [3/4, 3/2). */
FP_INLINE Num num_getmant(Num n, uint8_t imm, FpEnv *e)
{
    bool sign = n.sign && !(imm & 4);
    if (unlikely(n.cls >= NUM_QNAN))
        return num_propagate_nan(n, n, e);
    if (n.cls != NUM_ZERO && n.sign && imm & 8)
        return num_invalid(e);
    num_note_denormals(n, n, e);
    if (n.cls != NUM_FINITE)
        return (Num){ .mant = INTEGER_BIT, .cls = NUM_FINITE, .sign = sign };
    bool halve[4] = { false, n.exp & 1, true, n.mant & QUIET_BIT };
    n.exp = -halve[imm & 3];
    n.sign = sign;
    return n;
}

/* Beyond any format's range of exponents, and far from an int's. */
#define SCALE_LIMIT (1 << 20)

FP_INLINE int num_floor(Num n)
{
    FpEnv e = { .rounding = FP_DOWN };
    bool inexact;
    if (n.cls == NUM_ZERO)
        return 0;
    int v = n.exp >= 20 ? SCALE_LIMIT : (int)num_integer(n, FP_DOWN, &inexact, &e);
    return n.sign ? -v : v;
}

FP_INLINE Num num_scalef(Num a, Num b, FpEnv *e)
{
    if (unlikely(a.cls >= NUM_QNAN || b.cls >= NUM_QNAN)) {
        if (a.cls == NUM_QNAN && b.cls == NUM_INF) /* inf times 2^-inf excepted, a NaN does not matter */
            return b.sign ? num_zero(false) : num_inf(false);
        return num_propagate_nan(a, b, e);
    }
    if (b.cls == NUM_INF && a.cls == (b.sign ? NUM_INF : NUM_ZERO))
        return num_invalid(e);
    num_note_denormals(a, a, e); /* not b's, measured */
    if (b.cls == NUM_INF)
        return b.sign ? num_zero(a.sign) : num_inf(a.sign);
    a.exp += num_floor(b);
    return a;
}

/* The environment that imm8 of VRNDSCALE and VREDUCE asks for, and its flags, of which underflow is none. */
static FpEnv imm_env(uint8_t imm, const FpEnv *e)
{
    FpEnv r = *e;
    r.flags = 0;
    r.underflow_unmasked = false;
    if (!(imm & 4))
        r.rounding = imm & 3;
    return r;
}
static void imm_env_finish(uint8_t imm, const FpEnv *r, FpEnv *e)
{
    e->flags |= r->flags & (imm & 8 ? FP_INVALID : FP_INVALID | FP_INEXACT);
}

FP_INLINE Num num_rndscale(Num n, uint8_t imm, FpEnv *e)
{
    int places = imm >> 4;
    n.exp += places;
    n = num_round_integral(n, e);
    n.exp -= places;
    return n;
}

/* VFPCLASS's bits. */
enum {
    CLASS_QNAN = 1, CLASS_ZERO = 2, CLASS_MINUS_ZERO = 4, CLASS_INF = 8, CLASS_MINUS_INF = 16, CLASS_DENORMAL = 32,
    CLASS_NEGATIVE = 64, CLASS_SNAN = 128,
};

static unsigned num_class(Num n)
{
    switch (n.cls) {
    case NUM_ZERO: return n.sign ? CLASS_MINUS_ZERO : CLASS_ZERO;
    case NUM_INF: return n.sign ? CLASS_MINUS_INF : CLASS_INF;
    case NUM_QNAN: return CLASS_QNAN;
    case NUM_SNAN: return CLASS_SNAN;
    default: return (n.sign ? CLASS_NEGATIVE : 0) | (n.denormal ? CLASS_DENORMAL : 0);
    }
}

#define OPERATIONS(T, n, t)                                                                                            \
    T fp##n##_getexp(T a, FpEnv *e) { return num_pack_##t(num_getexp(num_unpack_##t(a, e->daz), e), e); }              \
    T fp##n##_getmant(T a, uint8_t imm, FpEnv *e)                                                                      \
    {                                                                                                                  \
        return num_pack_##t(num_getmant(num_unpack_##t(a, e->daz), imm, e), e);                                        \
    }                                                                                                                  \
    T fp##n##_scalef(T a, T b, FpEnv *e)                                                                               \
    {                                                                                                                  \
        return num_pack_##t(num_scalef(num_unpack_##t(a, e->daz), num_unpack_##t(b, e->daz), e), e);                   \
    }                                                                                                                  \
    T fp##n##_rndscale(T a, uint8_t imm, FpEnv *e)                                                                     \
    {                                                                                                                  \
        FpEnv r = imm_env(imm, e), exact = { .rounding = FP_NEAREST };                                                 \
        a = num_pack_##t(num_rndscale(num_unpack_##t(a, e->daz), imm, &r), &exact);                                    \
        imm_env_finish(imm, &r, e);                                                                                    \
        return a;                                                                                                      \
    }                                                                                                                  \
    T fp##n##_reduce(T a, uint8_t imm, FpEnv *e)                                                                       \
    {                                                                                                                  \
        FpEnv r = imm_env(imm, e), exact = { .rounding = FP_NEAREST };                                                 \
        Num value = num_unpack_##t(a, e->daz);                                                                         \
        if (value.cls == NUM_INF)                                                                                      \
            return 0;                                                                                                  \
        T whole = num_pack_##t(num_rndscale(value, imm, &r), &exact);                                                  \
        r.flags &= FP_INVALID;                                                                                         \
        a = t##_sub(a, whole, &r);                                                                                     \
        imm_env_finish(imm, &r, e);                                                                                    \
        return a;                                                                                                      \
    }                                                                                                                  \
    bool fp##n##_is_class(T a, uint8_t imm, const FpEnv *e) { return num_class(num_unpack_##t(a, e->daz)) & imm; }

OPERATIONS(uint16_t, 16, f16)
OPERATIONS(uint32_t, 32, f32)
OPERATIONS(uint64_t, 64, f64)

/* Order by value or magnitude; zeros and equal magnitudes order by sign. */
FP_INLINE bool num_less(Num a, Num b, bool magnitude)
{
    bool a_smaller = a.cls != b.cls ? a.cls < b.cls
                                    : a.cls == NUM_FINITE && (a.exp != b.exp ? a.exp < b.exp : a.mant < b.mant);
    bool equal = a.cls == b.cls && (a.cls != NUM_FINITE || (a.exp == b.exp && a.mant == b.mant));
    if (equal || (!magnitude && a.sign != b.sign))
        return a.sign && !b.sign;
    return a_smaller != (a.sign && !magnitude);
}

FP_INLINE Num num_range(Num a, Num b, uint8_t imm, FpEnv *e)
{
    Num r;
    if (a.cls == NUM_SNAN || b.cls == NUM_SNAN) {
        r = a.cls == NUM_SNAN ? a : b;
        return num_propagate_nan(r, r, e);
    } else if (a.cls == NUM_QNAN || b.cls == NUM_QNAN) {
        r = b.cls == NUM_QNAN ? a : b;
    } else {
        num_note_denormals(a, b, e);
        r = num_less(a, b, imm & 2) != (imm & 1) ? a : b;
    }
    bool signs[4] = { a.sign, r.sign, false, true };
    r.sign = signs[imm >> 2 & 3];
    return r;
}

/* The classes of VFIXUPIMM's table, in its order. */
enum { FIX_QNAN, FIX_SNAN, FIX_ZERO, FIX_ONE, FIX_MINUS_INF, FIX_INF, FIX_NEGATIVE, FIX_POSITIVE };

static unsigned fixup_class(Num n)
{
    switch (n.cls) {
    case NUM_ZERO: return FIX_ZERO;
    case NUM_INF: return n.sign ? FIX_MINUS_INF : FIX_INF;
    case NUM_QNAN: return FIX_QNAN;
    case NUM_SNAN: return FIX_SNAN;
    default: return n.sign ? FIX_NEGATIVE : n.exp == 0 && n.mant == INTEGER_BIT ? FIX_ONE : FIX_POSITIVE;
    }
}

static uint8_t fixup_flags(unsigned class, uint8_t imm)
{
    static const uint8_t invalid[8] = { [FIX_SNAN] = 16, [FIX_ZERO] = 2, [FIX_ONE] = 8, [FIX_MINUS_INF] = 32,
                                        [FIX_INF] = 128, [FIX_NEGATIVE] = 64 };
    static const uint8_t divide[8] = { [FIX_ZERO] = 1, [FIX_ONE] = 4 };
    return (imm & invalid[class] ? FP_INVALID : 0) | (imm & divide[class] ? FP_DIVZERO : 0);
}

FP_INLINE Num num_constant(bool sign, uint64_t mant, int exp)
{
    return (Num){ .mant = mant, .exp = exp, .cls = NUM_FINITE, .sign = sign };
}

/* Responses 3 to 15, which depend on the format only through `max`. */
static Num fixup_response(unsigned response, Num n, Num max)
{
    switch (response) {
    case 3: return (Num){ .mant = INTEGER_BIT | QUIET_BIT, .cls = NUM_QNAN, .sign = true };
    case 4: return num_inf(true);
    case 5: return num_inf(false);
    case 6: return num_inf(n.sign);
    case 7: return num_zero(true);
    case 8: return num_zero(false);
    case 9: return num_constant(true, INTEGER_BIT, 0);
    case 10: return num_constant(false, INTEGER_BIT, 0);
    case 11: return num_constant(false, INTEGER_BIT, -1);
    case 12: return num_constant(false, UINT64_C(0xb4) << 56, 6);           /* 90 */
    case 13: return num_constant(false, UINT64_C(0xc90fdaa22168c235), 0);   /* pi / 2 */
    default: max.sign = response & 1; return max;
    }
}

#define OPERATIONS_WITHOUT_HALF(T, n, t, max, quiet_nan)                                                               \
    T fp##n##_range(T a, T b, uint8_t imm, FpEnv *e)                                                                   \
    {                                                                                                                  \
        FpEnv exact = { .rounding = FP_NEAREST };                                                                      \
        return num_pack_##t(num_range(num_unpack_##t(a, e->daz), num_unpack_##t(b, e->daz), imm, e), &exact);          \
    }                                                                                                                  \
    T fp##n##_fixupimm(T dest, T a, uint32_t table, uint8_t imm, FpEnv *e)                                             \
    {                                                                                                                  \
        FpEnv exact = { .rounding = FP_NEAREST };                                                                      \
        Num value = num_unpack_##t(a, e->daz);                                                                         \
        unsigned class = fixup_class(value), response = table >> 4 * class & 15;                                       \
        e->flags |= fixup_flags(class, imm);                                                                           \
        if (value.cls == NUM_ZERO)                                                                                     \
            a = num_pack_##t(value, &exact);                                                                           \
        if (response < 3)                                                                                              \
            return response == 0 ? dest : response == 1 ? a : a | (quiet_nan);                                         \
        return num_pack_##t(fixup_response(response, value, num_unpack_##t(max, false)), &exact);                      \
    }

OPERATIONS_WITHOUT_HALF(uint32_t, 32, f32, 0x7f7fffff, 0x7fc00000)
OPERATIONS_WITHOUT_HALF(uint64_t, 64, f64, 0x7fefffffffffffff, UINT64_C(0x7ff8000000000000))

/* VRCPPH and VRSQRTPH may err by 2^-11 + 2^-14; these are the nearest values. */
uint16_t fp16_rcp(uint16_t a)
{
    FpEnv nearest = { .rounding = FP_NEAREST };
    return f16_div(0x3c00, a, &nearest);
}

uint16_t fp16_rsqrt(uint16_t a)
{
    FpEnv nearest = { .rounding = FP_NEAREST };
    return f64_to_f16(f64_div(UINT64_C(0x3ff) << 52, f64_sqrt(f16_to_f64(a, &nearest), &nearest), &nearest), &nearest);
}
