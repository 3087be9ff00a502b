/*
 * What an operation should give, by MPFR: the result, and the exceptions.
 *
 * MPFR computes with the format's precision and an unbounded exponent; range, denormals and flags come after that,
 * with MPFR's own means.  Nothing here uses the code that is tested.  An operand or result of any format stands in the low
 * bits of a Float80's mant, x87's own in all of it.
 */
#ifndef MYNA_TESTS_FP_ORACLE_H
#define MYNA_TESTS_FP_ORACLE_H

#include <stdint.h> /* before MPFR, for its functions of intmax_t */

#include <mpfr.h>

#include "cpu/fp.h"

typedef struct Format {
    const char *name;
    unsigned fraction, width; /* bits of the fraction (with an x87's integer bit) and of the exponent */
    unsigned precision;
    int bias;
    unsigned bits;
} Format;

extern const Format format_f16, format_bf16, format_f32, format_f64, format_f80;

enum Class { CLASS_ZERO, CLASS_FINITE, CLASS_INF, CLASS_QNAN, CLASS_SNAN, CLASS_UNSUPPORTED };

/* An operand taken apart. */
typedef struct Operand {
    enum Class class;
    bool sign, denormal;
    uint64_t mant; /* of a NaN, as the x87 holds it */
    mpfr_t value;  /* of zeros, finite numbers and infinities */
} Operand;

typedef struct Expected {
    Float80 result;
    uint8_t flags;
    bool no_result; /* an unmasked exception leaves none */
    bool rounded_up;
} Expected;

void oracle_init(void);
void operand_init(Operand *o);
void operand_decode(Operand *o, const Format *f, Float80 bits, bool daz);

mpfr_rnd_t oracle_rounding(unsigned rounding);

/*
 * r, computed to `precision` bits with an unbounded exponent and the ternary value t, as a result of format f:
 * overflow, underflow, denormals, inexactness, flags added to x's.
 */
void oracle_finish(const Format *f, mpfr_t r, int t, const FpEnv *e, Expected *x);

/* What NaN the operands lead to, in format f; false when none is a NaN or unsupported. */
bool oracle_nan(const Format *f, const Operand *o, unsigned count, const FpEnv *e, Expected *x);
void oracle_invalid(const Format *f, Expected *x);
/* Zeros, infinities and finite numbers that f holds exactly. */
Float80 oracle_encode(const Format *f, mpfr_t v);

#endif
