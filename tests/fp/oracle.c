/* Formats, operands and results by MPFR (oracle.h). */
#include "tests/fp/oracle.h"

const Format format_f16 = { "f16", 10, 5, 11, 15, 16 };
const Format format_bf16 = { "bf16", 7, 8, 8, 127, 16 };
const Format format_f32 = { "f32", 23, 8, 24, 127, 32 };
const Format format_f64 = { "f64", 52, 11, 53, 1023, 64 };
const Format format_f80 = { "f80", 64, 15, 64, 16383, 80 };

static const uint64_t integer_bit = UINT64_C(1) << 63, quiet_bit = UINT64_C(1) << 62;

void oracle_init(void)
{
    mpfr_set_emin(mpfr_get_emin_min());
    mpfr_set_emax(mpfr_get_emax_max());
}

void operand_init(Operand *o) { mpfr_init2(o->value, 64); }

mpfr_rnd_t oracle_rounding(unsigned rounding)
{
    static const mpfr_rnd_t modes[4] = { MPFR_RNDN, MPFR_RNDD, MPFR_RNDU, MPFR_RNDZ };
    return modes[rounding & 3];
}

/* The exponent field, and the significand with the integer bit on top. */
static unsigned split(const Format *f, Float80 bits, bool *sign, uint64_t *mant)
{
    if (f == &format_f80) {
        *sign = bits.sexp >> 15;
        *mant = bits.mant;
        return bits.sexp & 0x7fff;
    }
    unsigned exp = bits.mant >> f->fraction & ((1u << f->width) - 1);
    *sign = bits.mant >> (f->fraction + f->width) & 1;
    *mant = bits.mant << (64 - f->fraction) >> 1 | (exp ? integer_bit : 0);
    return exp;
}

void operand_decode(Operand *o, const Format *f, Float80 bits, bool daz)
{
    unsigned exp = split(f, bits, &o->sign, &o->mant), max = 2 * f->bias + 1;
    o->class = CLASS_FINITE;
    o->denormal = false;
    if (exp == 0) {
        if (daz && f != &format_f80 && f != &format_f16)
            o->mant = 0;
        o->denormal = o->mant != 0;
        o->class = o->mant ? CLASS_FINITE : CLASS_ZERO;
        exp = 1;
    } else if (!(o->mant & integer_bit)) {
        o->class = CLASS_UNSUPPORTED;
    } else if (exp == max) {
        o->class = o->mant == integer_bit ? CLASS_INF : o->mant & quiet_bit ? CLASS_QNAN : CLASS_SNAN;
    }
    if (o->class == CLASS_INF)
        mpfr_set_inf(o->value, 1);
    else if (o->class == CLASS_FINITE)
        mpfr_set_uj_2exp(o->value, o->mant, (int)exp - f->bias - 63, MPFR_RNDN);
    else
        mpfr_set_zero(o->value, 1);
    mpfr_setsign(o->value, o->value, o->sign, MPFR_RNDN);
}

static Float80 assemble(const Format *f, bool sign, unsigned exp, uint64_t mant)
{
    if (f == &format_f80)
        return (Float80){ mant, (unsigned)sign << 15 | exp };
    return (Float80){ (uint64_t)sign << (f->fraction + f->width) | (uint64_t)exp << f->fraction |
                      mant << 1 >> (64 - f->fraction), 0 };
}

Float80 oracle_encode(const Format *f, mpfr_t v)
{
    bool sign = mpfr_signbit(v);
    if (mpfr_zero_p(v))
        return assemble(f, sign, 0, 0);
    if (mpfr_inf_p(v))
        return assemble(f, sign, 2 * f->bias + 1, integer_bit);
    mpfr_t m;
    int exp = mpfr_get_exp(v) - 1, least = 1 - f->bias, used = exp < least ? least : exp;
    mpfr_init2(m, 64);
    mpfr_abs(m, v, MPFR_RNDN);
    mpfr_mul_2si(m, m, 63 - used, MPFR_RNDN);
    uint64_t mant = mpfr_get_uj(m, MPFR_RNDN);
    mpfr_clear(m);
    return assemble(f, sign, exp < least ? 0 : exp + f->bias, mant);
}

void oracle_invalid(const Format *f, Expected *x)
{
    x->flags |= FP_INVALID;
    x->result = assemble(f, true, 2 * f->bias + 1, integer_bit | quiet_bit);
}

static bool is_nan(const Operand *o) { return o->class == CLASS_QNAN || o->class == CLASS_SNAN; }

/* SDM vol. 1 table 4-7; SSE takes the first. */
static const Operand *chosen_nan(const Operand *a, const Operand *b, bool x87)
{
    if (!is_nan(a) || !is_nan(b))
        return is_nan(a) ? a : b;
    if (!x87)
        return a;
    if (a->class != b->class)
        return a->class == CLASS_QNAN ? a : b;
    return a->mant != b->mant ? (a->mant > b->mant ? a : b) : a->sign ? b : a;
}

bool oracle_nan(const Format *f, const Operand *o, unsigned count, const FpEnv *e, Expected *x)
{
    const Operand *nan = &o[0];
    bool unsupported = false;
    for (unsigned n = 0; n < count; n++) {
        unsupported |= o[n].class == CLASS_UNSUPPORTED;
        if (n)
            nan = chosen_nan(nan, &o[n], e->x87);
    }
    if (unsupported) {
        oracle_invalid(f, x);
        return true;
    }
    if (!is_nan(nan))
        return false;
    for (unsigned n = 0; n < count; n++)
        if (o[n].class == CLASS_SNAN)
            x->flags |= FP_INVALID;
    x->result = assemble(f, nan->sign, 2 * f->bias + 1, nan->mant | quiet_bit);
    return true;
}

static void note_inexact(mpfr_t r, int t, Expected *x)
{
    if (t)
        x->flags |= FP_INEXACT;
    x->rounded_up = mpfr_signbit(r) ? t < 0 : t > 0;
}

/* SDM vol. 1 8.5.4 and 8.5.5: a result in a register is scaled; one in memory, or SSE's, there is not. */
static void finish_unmasked(const Format *f, mpfr_t r, int t, int scale, const FpEnv *e, Expected *x)
{
    bool to_register = e->x87 && f == &format_f80;
    x->no_result = !to_register;
    if (!e->x87 || to_register)
        note_inexact(r, t, x);
    if (!to_register)
        return;
    mpfr_mul_2si(r, r, scale, MPFR_RNDN);
    x->result = oracle_encode(f, r);
}

void oracle_finish(const Format *f, mpfr_t r, int t, const FpEnv *e, Expected *x)
{
    if (!mpfr_regular_p(r)) {
        x->result = oracle_encode(f, r);
        return;
    }
    int exp = mpfr_get_exp(r) - 1;
    bool tiny = exp < 1 - f->bias, huge = exp > f->bias;
    if (huge)
        x->flags |= FP_OVERFLOW;
    if (tiny && e->underflow_unmasked)
        x->flags |= FP_UNDERFLOW;
    if ((huge && e->overflow_unmasked) || (tiny && e->underflow_unmasked)) {
        finish_unmasked(f, r, t, huge ? -24576 : 24576, e, x);
        return;
    }
    if (tiny && e->ftz && f != &format_f16) {
        x->flags |= FP_UNDERFLOW | FP_INEXACT;
        mpfr_set_zero(r, mpfr_signbit(r) ? -1 : 1);
    } else {
        mpfr_rnd_t mode = oracle_rounding(e->rounding);
        mpfr_set_emin(3 - f->bias - (int)mpfr_get_prec(r));
        mpfr_set_emax(f->bias + 1);
        t = mpfr_check_range(r, t, mode);
        t = mpfr_subnormalize(r, t, mode);
        oracle_init();
        note_inexact(r, t, x);
        if (tiny && t)
            x->flags |= FP_UNDERFLOW;
    }
    x->result = oracle_encode(f, r);
}
