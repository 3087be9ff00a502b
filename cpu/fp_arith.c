/*
 * Soft-float arithmetic: add, subtract, multiply, divide, square root, fused multiply-add (SDM vol. 1 4.8 and 4.9;
 * special operands as in the tables of FADD, FMUL, FDIV and FSQRT in vol. 2A, which SSE shares).
 */
#include "cpu/fp_internal.h"

FP_INLINE u128 num_bits(Num n) { return (u128)n.mant << 64 | n.low; }

FP_INLINE Num num_finite(u128 v, int exp, bool sign)
{
    return (Num){ .mant = v >> 64, .low = v, .exp = exp, .cls = NUM_FINITE, .sign = sign };
}

/*
 * Sum of finite numbers.  Exact but for the sticky bit: operands have at most 106 significant bits (the product of a
 * fused multiply-add), so that the few places of a shift after which many bits can cancel lose nothing.
 */
FP_INLINE Num finite_add(Num a, Num b, unsigned rounding)
{
    u128 large = num_bits(a), small = num_bits(b), v;
    int exp = a.exp, apart = a.exp - b.exp;
    bool sign = a.sign;
    if (apart < 0 || (apart == 0 && large < small)) {
        u128 t = large;
        large = small;
        small = t;
        exp = b.exp;
        apart = -apart;
        sign = b.sign;
    }
    if (apart)
        small = shift_right_sticky(small, apart);
    if (a.sign == b.sign) {
        if (__builtin_add_overflow(large, small, &v)) {
            v = v >> 1 | (v & 1) | (u128)1 << 127;
            exp++;
        }
        return num_finite(v, exp, sign);
    }
    v = large - small;
    if (unlikely(!v))
        return num_zero(rounding == FP_DOWN);
    unsigned shift = likely(v >> 64) ? __builtin_clzll(v >> 64) : 64 + __builtin_clzll(v);
    return num_finite(v << shift, exp - (int)shift, sign);
}

FP_INLINE Num finite_mul(Num a, Num b)
{
    u128 v = (u128)a.mant * b.mant;
    unsigned top = v >> 127;
    return num_finite(v << !top, a.exp + b.exp + (int)top, a.sign ^ b.sign);
}

FP_INLINE Num finite_div(Num a, Num b)
{
    bool less = a.mant < b.mant;
    u128 v = (u128)a.mant << (63 + less);
    uint64_t q = v / b.mant, rest = v - (u128)q * b.mant, other = b.mant - rest;
    /* The bits after q only matter as less than, equal to or more than a half. */
    uint64_t tail = !rest ? 0 : rest < other ? BIT(62) : rest == other ? BIT(63) : BIT(63) | BIT(62);
    return (Num){ .mant = q, .low = tail, .exp = a.exp - b.exp - less, .cls = NUM_FINITE, .sign = a.sign ^ b.sign };
}

/* Floor of the root of v, 2^126 <= v < 2^128: the host's root, one step of Newton's, then made exact. */
static uint64_t isqrt128(u128 v)
{
    double guess = __builtin_sqrt((double)(uint64_t)(v >> 64)) * 4294967296.0;
    uint64_t s = guess < 18446744073709549568.0 ? (uint64_t)guess : ~UINT64_C(0);
    u128 sum = (v / s) + s;
    s = sum >> 65 ? ~UINT64_C(0) : (uint64_t)(sum >> 1);
    while ((u128)s * s > v)
        s--;
    while (s != ~UINT64_C(0) && (u128)(s + 1) * (s + 1) <= v)
        s++;
    return s;
}

FP_INLINE Num finite_sqrt(Num a)
{
    bool odd = a.exp & 1;
    u128 v = (u128)a.mant << (63 + odd);
    uint64_t s = isqrt128(v);
    u128 rest = v - (u128)s * s;
    a.mant = s;
    a.low = !rest ? 0 : rest > s ? BIT(63) | BIT(62) : BIT(62);
    a.exp = (a.exp - odd) / 2;
    return a;
}

FP_INLINE Num num_add(Num a, Num b, bool subtract, FpEnv *e)
{
    if (unlikely(a.cls >= NUM_QNAN || b.cls >= NUM_QNAN))
        return num_propagate_nan(a, b, e);
    b.sign ^= subtract;
    if (a.cls == NUM_INF && b.cls == NUM_INF && a.sign != b.sign)
        return num_invalid(e);
    num_note_denormals(a, b, e);
    if (a.cls == NUM_INF || b.cls == NUM_INF)
        return a.cls == NUM_INF ? a : b;
    if (b.cls == NUM_ZERO)
        return a.cls == NUM_ZERO ? num_zero(a.sign == b.sign ? a.sign : e->rounding == FP_DOWN) : a;
    return a.cls == NUM_ZERO ? b : finite_add(a, b, e->rounding);
}

FP_INLINE Num num_mul(Num a, Num b, FpEnv *e)
{
    if (unlikely(a.cls >= NUM_QNAN || b.cls >= NUM_QNAN))
        return num_propagate_nan(a, b, e);
    bool sign = a.sign ^ b.sign, inf = a.cls == NUM_INF || b.cls == NUM_INF, zero = !a.cls || !b.cls;
    if (unlikely(inf && zero))
        return num_invalid(e);
    num_note_denormals(a, b, e);
    return inf ? num_inf(sign) : zero ? num_zero(sign) : finite_mul(a, b);
}

FP_INLINE Num num_div(Num a, Num b, FpEnv *e)
{
    if (unlikely(a.cls >= NUM_QNAN || b.cls >= NUM_QNAN))
        return num_propagate_nan(a, b, e);
    bool sign = a.sign ^ b.sign;
    if (a.cls == b.cls && a.cls != NUM_FINITE)
        return num_invalid(e);
    if (b.cls == NUM_ZERO && a.cls == NUM_FINITE) {
        e->flags |= FP_DIVZERO;
        return num_inf(sign);
    }
    num_note_denormals(a, b, e);
    if (a.cls == NUM_INF || b.cls == NUM_ZERO)
        return num_inf(sign);
    return a.cls == NUM_ZERO || b.cls == NUM_INF ? num_zero(sign) : finite_div(a, b);
}

FP_INLINE Num num_sqrt(Num a, FpEnv *e)
{
    if (unlikely(a.cls >= NUM_QNAN))
        return num_propagate_nan(a, a, e);
    if (a.cls == NUM_ZERO)
        return a;
    if (a.sign)
        return num_invalid(e);
    num_note_denormals(a, a, e);
    return a.cls == NUM_INF ? a : finite_sqrt(a);
}

#define ARITHMETIC(T, t)                                                                                               \
    T t##_add(T a, T b, FpEnv *e)                                                                                      \
    {                                                                                                                  \
        return num_pack_##t(num_add(num_unpack_##t(a, e->daz), num_unpack_##t(b, e->daz), false, e), e);               \
    }                                                                                                                  \
    T t##_sub(T a, T b, FpEnv *e)                                                                                      \
    {                                                                                                                  \
        return num_pack_##t(num_add(num_unpack_##t(a, e->daz), num_unpack_##t(b, e->daz), true, e), e);                \
    }                                                                                                                  \
    T t##_mul(T a, T b, FpEnv *e)                                                                                      \
    {                                                                                                                  \
        return num_pack_##t(num_mul(num_unpack_##t(a, e->daz), num_unpack_##t(b, e->daz), e), e);                      \
    }                                                                                                                  \
    T t##_div(T a, T b, FpEnv *e)                                                                                      \
    {                                                                                                                  \
        return num_pack_##t(num_div(num_unpack_##t(a, e->daz), num_unpack_##t(b, e->daz), e), e);                      \
    }                                                                                                                  \
    T t##_sqrt(T a, FpEnv *e) { return num_pack_##t(num_sqrt(num_unpack_##t(a, e->daz), e), e); }

ARITHMETIC(uint16_t, f16)
ARITHMETIC(uint32_t, f32)
ARITHMETIC(uint64_t, f64)

/* Two normal operands go straight to the finite operation: the x87's usual case. */
#define ARITHMETIC_F80(name, finite, general)                                                                          \
    static __attribute__((noinline)) Float80 f80_##name##_special(Float80 a, Float80 b, FpEnv *e)                      \
    {                                                                                                                  \
        Num x = num_unpack_f80(a), y = num_unpack_f80(b);                                                              \
        return num_pack_f80(general, e->precision, e);                                                                 \
    }                                                                                                                  \
    Float80 f80_##name(Float80 a, Float80 b, FpEnv *e)                                                                 \
    {                                                                                                                  \
        if (unlikely(!f80_is_normal(a) || !f80_is_normal(b)))                                                          \
            return f80_##name##_special(a, b, e);                                                                      \
        Num x = num_from_normal_f80(a), y = num_from_normal_f80(b);                                                    \
        return num_pack_f80_fast(finite, e);                                                                           \
    }

FP_INLINE Num finite_sub(Num a, Num b, unsigned rounding)
{
    b.sign = !b.sign;
    return finite_add(a, b, rounding);
}

ARITHMETIC_F80(add, finite_add(x, y, e->rounding), num_add(x, y, false, e))
ARITHMETIC_F80(sub, finite_sub(x, y, e->rounding), num_add(x, y, true, e))
ARITHMETIC_F80(mul, finite_mul(x, y), num_mul(x, y, e))
ARITHMETIC_F80(div, finite_div(x, y), num_div(x, y, e))

Float80 f80_sqrt(Float80 a, FpEnv *e) { return num_pack_f80_fast(num_sqrt(num_unpack_f80(a), e), e); }

static Num num_muladd(Num a, Num b, Num c, FpEnv *e)
{
    if (a.cls >= NUM_QNAN || b.cls >= NUM_QNAN || c.cls >= NUM_QNAN) {
        Num first = a.cls >= NUM_QNAN || b.cls < NUM_QNAN ? a : b;
        if (b.cls == NUM_SNAN || c.cls == NUM_SNAN)
            e->flags |= FP_INVALID;
        return num_propagate_nan(first, c, e);
    }
    bool sign = a.sign ^ b.sign, inf = a.cls == NUM_INF || b.cls == NUM_INF, zero = !a.cls || !b.cls;
    if ((inf && zero) || (inf && c.cls == NUM_INF && c.sign != sign))
        return num_invalid(e);
    num_note_denormals(a, b, e);
    num_note_denormals(c, c, e);
    if (inf || c.cls == NUM_INF)
        return inf ? num_inf(sign) : c;
    if (zero)
        return c.cls != NUM_ZERO ? c : num_zero(c.sign == sign ? sign : e->rounding == FP_DOWN);
    Num product = finite_mul(a, b);
    return c.cls == NUM_ZERO ? product : finite_add(product, c, e->rounding);
}

#define MULADD(T, t)                                                                                                   \
    T t##_muladd(T a, T b, T c, FpEnv *e)                                                                              \
    {                                                                                                                  \
        bool daz = e->daz;                                                                                             \
        return num_pack_##t(num_muladd(num_unpack_##t(a, daz), num_unpack_##t(b, daz), num_unpack_##t(c, daz), e), e); \
    }                                                                                                                  \
    T t##_negate(T a) { return t##_is_nan(a) ? a : a ^ (T)1 << (8 * sizeof(T) - 1); }

MULADD(uint16_t, f16)
MULADD(uint32_t, f32)
MULADD(uint64_t, f64)
