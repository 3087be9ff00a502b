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

/* Whether unmasked overflow and underflow give a scaled result: only x87 operations to a register. */
static bool scales(int elimit, const FpEnv *e)
{
    return e->x87 && (elimit == F80_BIAS || elimit == 1 - F80_BIAS);
}

/* n is rounded, with an exponent above emax. */
void num_round_overflow(Num *n, unsigned precision, int emax, bool inexact, FpEnv *e)
{
    e->flags |= FP_OVERFLOW | (inexact ? FP_INEXACT : 0);
    if (e->overflow_unmasked && scales(emax, e)) {
        n->exp -= F80_SCALE;
        if (n->exp > emax)
            *n = num_inf(n->sign);
        return;
    }
    if (!e->overflow_unmasked)
        e->flags |= FP_INEXACT;
    bool to_inf = round_increments(e->rounding, n->sign, true, INTEGER_BIT);
    e->rounded_up = to_inf;
    if (to_inf) {
        *n = num_inf(n->sign);
    } else {
        n->mant = ~UINT64_C(0) << (64 - precision);
        n->exp = emax;
    }
}

/* The scaled result of an unmasked underflow: rounded as if the exponent had no lower end. */
static void round_scaled_down(Num *n, unsigned precision, int emin, FpEnv *e)
{
    n->exp += F80_SCALE;
    if (n->exp < emin) {
        *n = num_zero(n->sign);
        return;
    }
    if (num_round_bits(n, precision, e))
        e->flags |= FP_INEXACT;
    if (!n->mant) {
        n->mant = INTEGER_BIT;
        n->exp++;
    }
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
        e->flags |= FP_UNDERFLOW;
        if (scales(emin, e)) {
            round_scaled_down(n, precision, emin, e);
            return;
        }
    }
    if (tiny && e->ftz && !e->underflow_unmasked) {
        e->flags |= FP_UNDERFLOW | FP_INEXACT;
        n->mant = n->low = 0;
        return;
    }
    num_shift_right(n, emin - n->exp);
    n->exp = emin;
    if (num_round_bits(n, precision, e))
        e->flags |= tiny ? FP_UNDERFLOW | FP_INEXACT : FP_INEXACT;
}
