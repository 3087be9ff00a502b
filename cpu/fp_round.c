/*
 * Soft-float: NaN propagation, and the ends of the exponent range (SDM vol. 1 4.8.3.5, 4.9.1.4 and 4.9.1.5).
 */
#include "cpu/fp_internal.h"

/* Of two NaNs the first for SSE; for x87 the quiet one, else the larger significand, else the positive (table 4-7). */
static bool nan_is_first(Num a, Num b, bool x87)
{
    if (b.cls < NUM_QNAN || a.cls < NUM_QNAN)
        return b.cls < NUM_QNAN;
    if (!x87)
        return true;
    if (a.cls != b.cls)
        return a.cls == NUM_QNAN;
    return a.mant != b.mant ? a.mant > b.mant : !a.sign;
}

Num num_propagate_nan(Num a, Num b, FpEnv *e)
{
    if (a.cls == NUM_UNSUPPORTED || b.cls == NUM_UNSUPPORTED)
        return num_invalid(e);
    if (a.cls == NUM_SNAN || b.cls == NUM_SNAN)
        e->flags |= FP_INVALID;
    Num r = nan_is_first(a, b, e->x87) ? a : b;
    r.mant |= QUIET_BIT;
    r.cls = NUM_QNAN;
    return r;
}

/*
 * With overflow or underflow unmasked there is a result, scaled, only in an x87 register.  An x87 store reports
 * nothing but that exception; SSE also whether the significand alone was inexact.
 */
static bool to_x87_register(int exponent_limit, const FpEnv *e)
{
    return e->x87 && (exponent_limit == F80_BIAS || exponent_limit == 1 - F80_BIAS);
}

/* n is rounded, with an exponent above emax. */
static Num round_overflow(Num n, unsigned precision, int emax, bool inexact, FpEnv *e)
{
    e->flags |= FP_OVERFLOW;
    if (e->overflow_unmasked) {
        bool to_register = to_x87_register(emax, e);
        if (inexact && (!e->x87 || to_register))
            e->flags |= FP_INEXACT;
        n.exp -= F80_SCALE;
        if (n.exp <= emax || !to_register) /* without a destination it does not matter what n packs to */
            return n.exp <= emax ? n : num_inf(n.sign);
        e->flags |= FP_INEXACT; /* FSCALE, out of any range */
        e->rounded_up = true;
        return num_inf(n.sign);
    }
    e->flags |= FP_INEXACT;
    e->rounded_up = round_increments(e->rounding, n.sign, true, INTEGER_BIT);
    if (e->rounded_up)
        return num_inf(n.sign);
    n.mant = ~UINT64_C(0) << (64 - precision);
    n.exp = emax;
    return n;
}

/* An unmasked underflow: rounded as if the exponent had no lower end, and scaled. */
static Num round_unmasked_tiny(Num n, unsigned precision, int emin, FpEnv *e)
{
    bool to_register = to_x87_register(emin, e);
    e->flags |= FP_UNDERFLOW;
    n.exp += F80_SCALE;
    if (to_register && n.exp < emin) {
        e->flags |= FP_INEXACT; /* FSCALE, out of any range */
        return num_zero(n.sign);
    }
    if (num_round_bits(&n, precision, e) && (!e->x87 || to_register))
        e->flags |= FP_INEXACT;
    if (!n.mant) {
        n.mant = INTEGER_BIT;
        n.exp++;
    }
    return to_register ? n : num_zero(n.sign);
}

/* Tininess is detected after rounding: would n, rounded with an unbounded exponent, still be below 2^emin? */
static bool is_tiny(Num n, unsigned precision, int emin, FpEnv e)
{
    if (n.exp < emin - 1)
        return true;
    num_round_bits(&n, precision, &e);
    return n.mant != 0;
}

/* n is not rounded yet, with an exponent below emin. */
static Num round_tiny(Num n, unsigned precision, int emin, FpEnv *e)
{
    bool tiny = is_tiny(n, precision, emin, *e);
    if (tiny && e->underflow_unmasked)
        return round_unmasked_tiny(n, precision, emin, e);
    if (tiny && e->ftz) {
        e->flags |= FP_UNDERFLOW | FP_INEXACT;
        return num_zero(n.sign);
    }
    u128 v = shift_right_sticky((u128)n.mant << 64 | n.low, emin - n.exp);
    n.mant = v >> 64;
    n.low = v;
    n.exp = emin;
    if (num_round_bits(&n, precision, e))
        e->flags |= tiny ? FP_UNDERFLOW | FP_INEXACT : FP_INEXACT;
    return n;
}

/*
 * Rounds a finite number to a format with exponents -limit + 1 to limit.  It may become an infinity, or stay finite
 * with mant's bit 63 clear and the least exponent: denormal or zero.
 */
static Num round_finite(Num n, unsigned precision, int limit, FpEnv *e)
{
    if (n.exp < 1 - limit)
        return round_tiny(n, precision, 1 - limit, e);
    bool inexact = num_round_bits(&n, precision, e);
    if (!n.mant) {
        n.mant = INTEGER_BIT;
        n.exp++;
    }
    if (n.exp > limit)
        return round_overflow(n, precision, limit, inexact, e);
    if (inexact)
        e->flags |= FP_INEXACT;
    return n;
}

uint64_t num_pack_ieee_parts(uint64_t mant, uint64_t low, int exp, bool sign, unsigned cls, unsigned frac, FpEnv *e)
{
    unsigned width = frac == 23 ? 8 : frac == 52 ? 11 : 5;
    int bias = (1 << (width - 1)) - 1;
    Num n = { .mant = mant, .low = low, .exp = exp, .cls = cls, .sign = sign };
    if (n.cls == NUM_FINITE) {
        bool ftz = e->ftz;
        e->ftz = ftz && frac != F16_FRACTION;
        n = round_finite(n, frac + 1, bias, e);
        e->ftz = ftz;
    }
    uint64_t field = n.cls >= NUM_INF ? 2 * bias + 1 : n.mant >> 63 ? n.exp + bias : 0;
    return (uint64_t)n.sign << (frac + width) | field << frac | n.mant << 1 >> (64 - frac);
}

Float80 num_pack_f80(Num n, unsigned precision, FpEnv *e)
{
    if (n.cls == NUM_FINITE)
        n = round_finite(n, precision, F80_BIAS, e);
    unsigned exp = n.cls >= NUM_INF ? F80_INF_EXP : n.mant >> 63 ? n.exp + F80_BIAS : 0;
    return (Float80){ n.mant, (unsigned)n.sign << 15 | exp };
}

Float80 num_pack_f80_parts(uint64_t mant, uint64_t low, int exp, bool sign, unsigned cls, FpEnv *e)
{
    return num_pack_f80((Num){ .mant = mant, .low = low, .exp = exp, .cls = cls, .sign = sign }, e->precision, e);
}
