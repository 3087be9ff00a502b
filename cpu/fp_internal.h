/*
 * The unpacked number on which all of soft-float works: one form for binary32, binary64 and x87 extended.
 *
 * A finite value is mant.low * 2^(exp - 63), mant with bit 63 set and low the 64 bits after it (its last bit sticky).
 * A NaN keeps its significand in mant as the x87 has it: integer bit 63, quiet bit 62.
 *
 * Unpack, operate, round and pack: SDM vol. 1 chapter 4 (formats, rounding, exceptions), 8.5 (x87), 11.5 (SSE).
 */
#ifndef MYNA_CPU_FP_INTERNAL_H
#define MYNA_CPU_FP_INTERNAL_H

#include "cpu/fp.h"
#include "util/bits.h"

typedef unsigned __int128 u128;

/* A Num stays in registers only when what works on it is inlined, which compilers judge too large. */
#define FP_INLINE static inline __attribute__((always_inline))

/* NaNs last: `cls >= NUM_QNAN` is what no operation computes with. */
enum { NUM_ZERO, NUM_FINITE, NUM_INF, NUM_QNAN, NUM_SNAN, NUM_UNSUPPORTED };

typedef struct Num {
    uint64_t mant, low;
    int32_t exp;
    uint8_t cls;   /* NUM_* */
    bool sign;
    bool denormal; /* raises FP_DENORMAL when an operation uses it */
} Num;

#define INTEGER_BIT BIT(63)
#define QUIET_BIT BIT(62)
#define F16_FRACTION 10
#define F80_BIAS 16383
#define F80_INF_EXP 0x7fff
/* What an unmasked overflow or underflow adds to the exponent (SDM vol. 1 8.5.4 and 8.5.5). */
#define F80_SCALE 24576

#define F80_DEFAULT_NAN ((Float80){ INTEGER_BIT | QUIET_BIT, 0xffff })

/* The NaN that one or two operands lead to; at least one must be a NaN or unsupported. */
Num num_propagate_nan(Num a, Num b, FpEnv *e);

static inline Num num_invalid(FpEnv *e)
{
    e->flags |= FP_INVALID;
    return (Num){ .mant = INTEGER_BIT | QUIET_BIT, .cls = NUM_QNAN, .sign = true };
}

FP_INLINE Num num_zero(bool sign) { return (Num){ .cls = NUM_ZERO, .sign = sign }; }
FP_INLINE Num num_inf(bool sign) { return (Num){ .mant = INTEGER_BIT, .cls = NUM_INF, .sign = sign }; }

FP_INLINE void num_note_denormals(Num a, Num b, FpEnv *e)
{
    if (a.denormal | b.denormal)
        e->flags |= FP_DENORMAL;
}

/* mant != 0: shifts it up to bit 63. */
FP_INLINE void num_normalize(Num *n)
{
    unsigned shift = __builtin_clzll(n->mant);
    n->mant <<= shift;
    n->exp -= shift;
}

/* An IEEE interchange format by its fraction bits and exponent bits. */
FP_INLINE Num num_unpack_ieee(uint64_t bits, unsigned frac, unsigned width, bool daz)
{
    uint64_t fraction = bits << (64 - frac) >> 1;
    unsigned max = (1u << width) - 1, exp = bits >> frac & max;
    Num n = { .mant = fraction | INTEGER_BIT, .exp = (int)exp - (int)(max >> 1), .cls = NUM_FINITE,
              .sign = bits >> (frac + width) & 1 };
    if (unlikely(exp - 1 >= max - 1)) {
        if (exp == max) {
            n.cls = !fraction ? NUM_INF : fraction & QUIET_BIT ? NUM_QNAN : NUM_SNAN;
        } else if (!fraction || daz) {
            return num_zero(n.sign);
        } else {
            n.mant = fraction;
            n.exp++;
            n.denormal = true;
            num_normalize(&n);
        }
    }
    return n;
}

FP_INLINE bool f80_is_normal(Float80 a)
{
    return (unsigned)(a.sexp & 0x7fff) - 1 < F80_INF_EXP - 1 && a.mant >> 63;
}

FP_INLINE Num num_from_normal_f80(Float80 a)
{
    return (Num){ .mant = a.mant, .exp = (a.sexp & 0x7fff) - F80_BIAS, .cls = NUM_FINITE, .sign = a.sexp >> 15 };
}

/* Pseudo-denormals count as denormals; pseudo-NaNs, pseudo-infinities and unnormals are unsupported (8.2.2). */
FP_INLINE Num num_unpack_f80(Float80 a)
{
    int exp = a.sexp & 0x7fff;
    Num n = num_from_normal_f80(a);
    if (likely(f80_is_normal(a)))
        return n;
    if (exp == 0) {
        if (!a.mant)
            return num_zero(n.sign);
        n.exp++;
        n.denormal = true;
        num_normalize(&n);
    } else if (!(a.mant & INTEGER_BIT)) {
        n.cls = NUM_UNSUPPORTED;
    } else {
        n.cls = !(a.mant << 1) ? NUM_INF : a.mant & QUIET_BIT ? NUM_QNAN : NUM_SNAN;
    }
    return n;
}

/* Whether to add one unit, given the 64 bits after the last place. */
FP_INLINE bool round_increments(unsigned rounding, bool sign, bool odd, uint64_t tail)
{
    if (likely(rounding == FP_NEAREST))
        return tail > INTEGER_BIT - odd;
    return tail && (rounding == FP_DOWN ? sign : rounding == FP_UP ? !sign : false);
}

/* v shifted right by count (1 or more), what falls out made sticky. */
FP_INLINE u128 shift_right_sticky(u128 v, unsigned count)
{
    uint64_t high = v >> 64, low = v;
    if (likely(count < 64)) /* written out for compilers to drop a low part that is known to be 0 */
        return (u128)(high >> count) << 64 | (high << (64 - count) | low >> count | (low << (64 - count) != 0));
    return count > 127 ? v != 0 : v >> count | (v << (128 - count) != 0);
}

/* Rounds mant.low to `precision` bits from bit 63; returns whether it was inexact.  A carry out leaves mant 0. */
FP_INLINE bool num_round_bits(Num *n, unsigned precision, FpEnv *e)
{
    unsigned drop = 64 - precision;
    uint64_t tail = drop ? n->mant << (precision & 63) | (n->low != 0) : n->low, kept = n->mant >> drop;
    n->low = 0;
    if (!tail)
        return false;
    bool up = round_increments(e->rounding, n->sign, kept & 1, tail);
    n->mant = (kept + up) << drop;
    e->rounded_up = up;
    return true;
}

/*
 * Packing.  The usual case, a finite number well within the range, is inline; all others go to functions of
 * fp_round.c, which take the parts of a Num so that the caller's can stay in registers.
 */
uint64_t num_pack_ieee_parts(uint64_t mant, uint64_t low, int exp, bool sign, unsigned cls, unsigned frac, FpEnv *e);

FP_INLINE uint64_t num_pack_ieee(Num n, unsigned frac, unsigned width, FpEnv *e)
{
    int bias = (1 << (width - 1)) - 1;
    if (unlikely(n.cls != NUM_FINITE || n.exp < 1 - bias || n.exp >= bias))
        return num_pack_ieee_parts(n.mant, n.low, n.exp, n.sign, n.cls, frac, e);
    if (num_round_bits(&n, frac + 1, e))
        e->flags |= FP_INEXACT;
    /* A carry has left 0: the fraction is that of the next power of two. */
    uint64_t exp = n.exp + bias + !n.mant;
    return (uint64_t)n.sign << (frac + width) | exp << frac | n.mant << 1 >> (64 - frac);
}

/* By `precision` bits: not always that of e (precision control is for add, subtract, multiply, divide and root). */
Float80 num_pack_f80(Num n, unsigned precision, FpEnv *e);

/* The same from the parts of a Num: as arguments, a Num of the caller's can stay in registers. */
Float80 num_pack_f80_parts(uint64_t mant, uint64_t low, int exp, bool sign, unsigned cls, FpEnv *e);

/* By e's precision, with the usual case inline: a finite number, well within the range, to 64 bits. */
FP_INLINE Float80 num_pack_f80_fast(Num n, FpEnv *e)
{
    if (unlikely(e->precision != 64 || n.cls != NUM_FINITE || n.exp < 1 - F80_BIAS || n.exp >= F80_BIAS))
        return num_pack_f80_parts(n.mant, n.low, n.exp, n.sign, n.cls, e);
    unsigned sexp = (unsigned)n.sign << 15 | (unsigned)(n.exp + F80_BIAS);
    if (!n.low)
        return (Float80){ n.mant, sexp };
    bool up = round_increments(e->rounding, n.sign, n.mant & 1, n.low);
    e->flags |= FP_INEXACT;
    e->rounded_up = up;
    n.mant += up;
    return likely(n.mant) ? (Float80){ n.mant, sexp } : (Float80){ INTEGER_BIT, sexp + 1 };
}

/* MXCSR's DAZ does not apply to half precision, nor does FTZ. */
FP_INLINE Num num_unpack_f16(uint16_t a, bool daz)
{
    (void)daz;
    return num_unpack_ieee(a, F16_FRACTION, 5, false);
}
FP_INLINE uint16_t num_pack_f16(Num n, FpEnv *e) { return num_pack_ieee(n, F16_FRACTION, 5, e); }
FP_INLINE Num num_unpack_f32(uint32_t a, bool daz) { return num_unpack_ieee(a, 23, 8, daz); }
FP_INLINE Num num_unpack_f64(uint64_t a, bool daz) { return num_unpack_ieee(a, 52, 11, daz); }
FP_INLINE uint32_t num_pack_f32(Num n, FpEnv *e) { return num_pack_ieee(n, 23, 8, e); }
FP_INLINE uint64_t num_pack_f64(Num n, FpEnv *e) { return num_pack_ieee(n, 52, 11, e); }

/* Splits |n| into its integer part (exp <= 63) and the 64 bits after the point. */
FP_INLINE uint64_t num_split(Num n, uint64_t *tail)
{
    if (n.exp >= 0) {
        *tail = n.exp == 63 ? 0 : n.mant << (n.exp + 1);
        return n.mant >> (63 - n.exp);
    }
    *tail = n.exp == -1 ? n.mant : 1;
    return 0;
}

/* Rounds |n| (exp <= 63) to an integer; *inexact when that changed it.  Sets e->rounded_up. */
FP_INLINE uint64_t num_integer(Num n, unsigned rounding, bool *inexact, FpEnv *e)
{
    uint64_t tail, v = num_split(n, &tail);
    bool up = round_increments(rounding, n.sign, v & 1, tail);
    *inexact = tail != 0;
    e->rounded_up = up;
    return v + up;
}

FP_INLINE Num num_round_integral(Num n, FpEnv *e)
{
    if (unlikely(n.cls >= NUM_QNAN))
        return num_propagate_nan(n, n, e);
    if (e->x87)
        num_note_denormals(n, n, e);
    if (n.cls != NUM_FINITE || n.exp >= 63)
        return n;
    bool inexact;
    n.mant = num_integer(n, e->rounding, &inexact, e);
    if (inexact)
        e->flags |= FP_INEXACT;
    if (!n.mant)
        return num_zero(n.sign);
    n.exp = 63;
    num_normalize(&n);
    return n;
}

FP_INLINE Num num_from_uint(uint64_t v, bool sign)
{
    Num n = { .mant = v, .exp = 63, .cls = v ? NUM_FINITE : NUM_ZERO, .sign = sign };
    if (v)
        num_normalize(&n);
    return n;
}
FP_INLINE Num num_from_int(int64_t v) { return num_from_uint(v < 0 ? -(uint64_t)v : (uint64_t)v, v < 0); }

/*
 * An IEEE value exactly in x87 form, without any exception: a signalling NaN stays one.  *denormal tells what the
 * wider form no longer shows.
 */
FP_INLINE Float80 f80_widen(Num n, bool *denormal)
{
    *denormal = n.denormal;
    unsigned exp = n.cls == NUM_ZERO ? 0 : n.cls >= NUM_INF ? F80_INF_EXP : n.exp + F80_BIAS;
    return (Float80){ n.mant, (unsigned)n.sign << 15 | exp };
}
FP_INLINE Float80 f80_widen32(uint32_t a, bool *denormal)
{
    unsigned exp = a >> 23 & 0xff;
    *denormal = false;
    if (likely(exp - 1 < 0xfe))
        return (Float80){ INTEGER_BIT | (uint64_t)a << 40, (a >> 31) << 15 | (exp + F80_BIAS - 127) };
    return f80_widen(num_unpack_f32(a, false), denormal);
}
FP_INLINE Float80 f80_widen64(uint64_t a, bool *denormal)
{
    unsigned exp = a >> 52 & 0x7ff;
    *denormal = false;
    if (likely(exp - 1 < 0x7fe))
        return (Float80){ INTEGER_BIT | a << 11, (a >> 63) << 15 | (exp + F80_BIAS - 1023) };
    return f80_widen(num_unpack_f64(a, false), denormal);
}

#endif
