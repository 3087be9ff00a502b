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
void num_round_overflow(Num *n, unsigned precision, int emax, bool inexact, FpEnv *e)
{
    e->flags |= FP_OVERFLOW;
    if (e->overflow_unmasked) {
        if (inexact && (!e->x87 || to_x87_register(emax, e)))
            e->flags |= FP_INEXACT;
        n->exp -= F80_SCALE;
        if (n->exp > emax || !to_x87_register(emax, e))
            *n = num_inf(n->sign);
        return;
    }
    bool to_inf = round_increments(e->rounding, n->sign, true, INTEGER_BIT);
    e->flags |= FP_INEXACT;
    e->rounded_up = to_inf;
    if (to_inf) {
        *n = num_inf(n->sign);
    } else {
        n->mant = ~UINT64_C(0) << (64 - precision);
        n->exp = emax;
    }
}

/* An unmasked underflow: rounded as if the exponent had no lower end, and scaled. */
static void round_unmasked_tiny(Num *n, unsigned precision, int emin, FpEnv *e)
{
    bool to_register = to_x87_register(emin, e);
    e->flags |= FP_UNDERFLOW;
    n->exp += F80_SCALE;
    if (to_register && n->exp < emin) {
        *n = num_zero(n->sign);
        return;
    }
    if (num_round_bits(n, precision, e) && (!e->x87 || to_register))
        e->flags |= FP_INEXACT;
    if (!n->mant) {
        n->mant = INTEGER_BIT;
        n->exp++;
    }
    if (!to_register)
        *n = num_zero(n->sign);
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
void num_round_tiny(Num *n, unsigned precision, int emin, FpEnv *e)
{
    bool tiny = is_tiny(*n, precision, emin, *e);
    if (tiny && e->underflow_unmasked) {
        round_unmasked_tiny(n, precision, emin, e);
        return;
    }
    if (tiny && e->ftz) {
        e->flags |= FP_UNDERFLOW | FP_INEXACT;
        n->mant = n->low = 0;
        return;
    }
    num_shift_right(n, emin - n->exp);
    n->exp = emin;
    if (num_round_bits(n, precision, e))
        e->flags |= tiny ? FP_UNDERFLOW | FP_INEXACT : FP_INEXACT;
}
