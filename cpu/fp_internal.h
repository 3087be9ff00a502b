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

static inline Num num_zero(bool sign) { return (Num){ .cls = NUM_ZERO, .sign = sign }; }
static inline Num num_inf(bool sign) { return (Num){ .mant = INTEGER_BIT, .cls = NUM_INF, .sign = sign }; }

static inline void num_note_denormals(Num a, Num b, FpEnv *e)
{
    if (a.denormal | b.denormal)
        e->flags |= FP_DENORMAL;
}

/* mant != 0: shifts it up to bit 63. */
static inline void num_normalize(Num *n)
{
    unsigned shift = __builtin_clzll(n->mant);
    n->mant <<= shift;
    n->exp -= shift;
}

/* An IEEE interchange format by its fraction bits and exponent bits. */
static inline Num num_unpack_ieee(uint64_t bits, unsigned frac, unsigned width, bool daz)
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

static inline bool f80_is_normal(Float80 a)
{
    return (unsigned)(a.sexp & 0x7fff) - 1 < F80_INF_EXP - 1 && a.mant >> 63;
}

/* Pseudo-denormals count as denormals; pseudo-NaNs, pseudo-infinities and unnormals are unsupported (8.2.2). */
static inline Num num_unpack_f80(Float80 a)
{
    int exp = a.sexp & 0x7fff;
    Num n = { .mant = a.mant, .exp = exp - F80_BIAS, .cls = NUM_FINITE, .sign = a.sexp >> 15 };
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
static inline bool round_increments(unsigned rounding, bool sign, bool odd, uint64_t tail)
{
    if (likely(rounding == FP_NEAREST))
        return tail > INTEGER_BIT - odd;
    return tail && (rounding == FP_DOWN ? sign : rounding == FP_UP ? !sign : false);
}

/* Shifts mant.low right by count (1 or more), what falls out made sticky. */
static inline void num_shift_right(Num *n, unsigned count)
{
    u128 v = (u128)n->mant << 64 | n->low, out = v;
    if (count < 128) {
        out = v << (128 - count);
        v >>= count;
    } else {
        v = 0;
    }
    n->mant = v >> 64;
    n->low = (uint64_t)v | (out != 0);
}

/* Rounds mant.low to `precision` bits from bit 63; returns whether it was inexact.  A carry out leaves mant 0. */
static inline bool num_round_bits(Num *n, unsigned precision, FpEnv *e)
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

/* The rare ends of num_round. */
void num_round_overflow(Num *n, unsigned precision, int emax, bool inexact, FpEnv *e);
void num_round_tiny(Num *n, unsigned precision, int emin, FpEnv *e);

/*
 * Rounds a finite number to a format.  It may become an infinity, or stay finite with mant's bit 63 clear and
 * exp = emin: denormal or zero.
 */
static inline void num_round(Num *n, unsigned precision, int emin, int emax, FpEnv *e)
{
    if (unlikely(n->exp < emin)) {
        num_round_tiny(n, precision, emin, e);
        return;
    }
    bool inexact = num_round_bits(n, precision, e);
    if (unlikely(!n->mant)) {
        n->mant = INTEGER_BIT;
        n->exp++;
    }
    if (unlikely(n->exp > emax))
        num_round_overflow(n, precision, emax, inexact, e);
    else if (inexact)
        e->flags |= FP_INEXACT;
}

static inline uint64_t num_pack_ieee(Num n, unsigned frac, unsigned width, FpEnv *e)
{
    int max = (1 << width) - 1, bias = max >> 1;
    uint64_t exp = 0;
    if (likely(n.cls == NUM_FINITE))
        num_round(&n, frac + 1, 1 - bias, bias, e);
    if (n.cls >= NUM_INF)
        exp = max;
    else if (n.mant >> 63)
        exp = n.exp + bias;
    return (uint64_t)n.sign << (frac + width) | exp << frac | n.mant << 1 >> (64 - frac);
}

/* By `precision` bits: not always that of e (precision control is for add, subtract, multiply, divide and root). */
static inline Float80 num_pack_f80(Num n, unsigned precision, FpEnv *e)
{
    unsigned exp = 0;
    if (likely(n.cls == NUM_FINITE))
        num_round(&n, precision, 1 - F80_BIAS, F80_BIAS, e);
    if (n.cls >= NUM_INF)
        exp = F80_INF_EXP;
    else if (n.mant >> 63)
        exp = n.exp + F80_BIAS;
    return (Float80){ n.mant, (unsigned)n.sign << 15 | exp };
}

static inline Num num_unpack_f32(uint32_t a, bool daz) { return num_unpack_ieee(a, 23, 8, daz); }
static inline Num num_unpack_f64(uint64_t a, bool daz) { return num_unpack_ieee(a, 52, 11, daz); }
static inline uint32_t num_pack_f32(Num n, FpEnv *e) { return num_pack_ieee(n, 23, 8, e); }
static inline uint64_t num_pack_f64(Num n, FpEnv *e) { return num_pack_ieee(n, 52, 11, e); }

/*
 * An IEEE value exactly in x87 form, without any exception: a signalling NaN stays one.  *denormal tells what the
 * wider form no longer shows.
 */
static inline Float80 f80_widen(Num n, bool *denormal)
{
    *denormal = n.denormal;
    unsigned exp = n.cls == NUM_ZERO ? 0 : n.cls >= NUM_INF ? F80_INF_EXP : n.exp + F80_BIAS;
    return (Float80){ n.mant, (unsigned)n.sign << 15 | exp };
}
static inline Float80 f80_widen32(uint32_t a, bool *denormal) { return f80_widen(num_unpack_f32(a, false), denormal); }
static inline Float80 f80_widen64(uint64_t a, bool *denormal) { return f80_widen(num_unpack_f64(a, false), denormal); }

#endif
