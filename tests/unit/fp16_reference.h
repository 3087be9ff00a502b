/*
 * Half precision for tests, by exact integers and one rounding: nothing is shared with the emulator's own arithmetic.
 * Values are multiples of 2^-48, which every product of two is.  Flags are those of MXCSR 5:0.
 */
#ifndef MYNA_TESTS_FP16_REFERENCE_H
#define MYNA_TESTS_FP16_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

typedef __int128 Exact;

enum { REF_NEAREST, REF_DOWN, REF_UP, REF_TRUNCATE };
enum { REF_IE = 1, REF_DE = 2, REF_ZE = 4, REF_OE = 8, REF_UE = 16, REF_PE = 32 };
enum { REF_UNIT = 48, REF_NAN = 0xfe00 };

static inline bool ref_is_nan(uint16_t a) { return (a & 0x7fff) > 0x7c00; }
static inline bool ref_is_snan(uint16_t a) { return ref_is_nan(a) && !(a & 0x200); }
static inline bool ref_is_inf(uint16_t a) { return (a & 0x7fff) == 0x7c00; }
static inline bool ref_is_zero(uint16_t a) { return !(a & 0x7fff); }
static inline bool ref_is_denormal(uint16_t a) { return !(a & 0x7c00) && !ref_is_zero(a); }
static inline bool ref_is_negative(uint16_t a) { return a >> 15; }

/* Of a finite number. */
static inline Exact ref_value(uint16_t a)
{
    unsigned exponent = a >> 10 & 31;
    Exact m = (a & 0x3ff) | (exponent ? 0x400 : 0);
    m <<= REF_UNIT - 24 + (exponent ? exponent - 1 : 0);
    return ref_is_negative(a) ? -m : m;
}

static inline unsigned ref_bit_length(Exact m)
{
    unsigned n = 0;
    for (; m; m >>= 1)
        n++;
    return n;
}

/* m / 2^shift, rounded; there is more behind m where `sticky`.  *inexact when that changed it. */
static inline Exact ref_shift(bool negative, Exact m, unsigned shift, bool sticky, unsigned mode, bool *inexact)
{
    Exact kept = m >> shift, rest = m - (kept << shift), half = shift ? (Exact)1 << (shift - 1) : 0;
    bool up = false;
    *inexact = rest || sticky;
    if (mode == REF_NEAREST)
        up = shift && (rest > half || (rest == half && (sticky || (kept & 1))));
    else if (*inexact)
        up = mode == (negative ? REF_DOWN : REF_UP);
    return kept + up;
}

/* Whether the number is below 2^-14 after rounding to 11 bits with any exponent. */
static inline bool ref_is_tiny(bool negative, Exact m, bool sticky, unsigned mode)
{
    unsigned length = ref_bit_length(m);
    bool inexact;
    if (length < REF_UNIT - 14)
        return true;
    return length == REF_UNIT - 14 && ref_shift(negative, m, length - 11, sticky, mode, &inexact) < 2048;
}

/* The nearest half to a magnitude that is not 0. */
static inline uint16_t ref_pack(bool negative, Exact m, bool sticky, unsigned mode, unsigned *flags)
{
    unsigned length = ref_bit_length(m), shift = length > REF_UNIT - 14 ? length - 11 : REF_UNIT - 24;
    bool inexact;
    Exact q = ref_shift(negative, m, shift, sticky, mode, &inexact);
    uint16_t sign = negative << 15;
    unsigned exponent = shift - (REF_UNIT - 24);
    if (q > 2047)
        q >>= 1, exponent++;
    if (q > 1023)
        exponent++;
    if (exponent > 30) {
        bool away = mode == REF_NEAREST || mode == (negative ? REF_DOWN : REF_UP);
        *flags |= REF_OE | REF_PE;
        return sign | (away ? 0x7c00 : 0x7bff);
    }
    if (inexact)
        *flags |= REF_PE | (ref_is_tiny(negative, m, sticky, mode) ? REF_UE : 0);
    return sign | exponent << 10 | (q & 0x3ff);
}

static inline uint16_t ref_round(Exact v, unsigned mode, unsigned *flags)
{
    return ref_pack(v < 0, v < 0 ? -v : v, false, mode, flags);
}

static inline void ref_note(uint16_t a, unsigned *flags)
{
    if (ref_is_denormal(a))
        *flags |= REF_DE;
}

/* The first NaN, made quiet; false when there is none. */
static inline bool ref_nan(const uint16_t *operands, unsigned count, uint16_t *r, unsigned *flags)
{
    bool found = false;
    *r = 0;
    for (unsigned k = 0; k < count; k++) {
        if (ref_is_snan(operands[k]))
            *flags |= REF_IE;
        if (ref_is_nan(operands[k]) && !found) {
            *r = operands[k] | 0x200;
            found = true;
        }
    }
    return found;
}

static inline uint16_t ref_invalid(unsigned *flags)
{
    *flags |= REF_IE;
    return REF_NAN;
}

/* x * y + z; without z (mul) the sign of a zero is the product's. */
static inline uint16_t ref_muladd(uint16_t x, uint16_t y, uint16_t z, bool with_z, unsigned mode, unsigned *flags)
{
    uint16_t r, operands[3] = { x, y, z };
    bool sign = ref_is_negative(x ^ y);
    if (ref_nan(operands, with_z ? 3 : 2, &r, flags))
        return r;
    bool inf = ref_is_inf(x) || ref_is_inf(y);
    if ((inf && (ref_is_zero(x) || ref_is_zero(y))) || (with_z && inf && ref_is_inf(z) && ref_is_negative(z) != sign))
        return ref_invalid(flags);
    ref_note(x, flags);
    ref_note(y, flags);
    if (with_z)
        ref_note(z, flags);
    if (inf)
        return sign << 15 | 0x7c00;
    if (with_z && ref_is_inf(z))
        return z;
    Exact product = (ref_value(x) >> (REF_UNIT - 24)) * (ref_value(y) >> (REF_UNIT - 24));
    Exact sum = product + (with_z ? ref_value(z) : 0);
    if (sum)
        return ref_round(sum, mode, flags);
    if (!with_z || (!product && ref_is_negative(z) == sign))
        return sign << 15;
    return (mode == REF_DOWN) << 15;
}

static inline uint16_t ref_negate(uint16_t a) { return ref_is_nan(a) ? a : a ^ 0x8000; }

static inline uint16_t ref_add(uint16_t a, uint16_t b, bool subtract, unsigned mode, unsigned *flags)
{
    return ref_muladd(a, 0x3c00, subtract ? ref_negate(b) : b, true, mode, flags);
}

static inline uint16_t ref_div(uint16_t a, uint16_t b, unsigned mode, unsigned *flags)
{
    uint16_t r, operands[2] = { a, b }, sign = (a ^ b) & 0x8000;
    if (ref_nan(operands, 2, &r, flags))
        return r;
    if ((ref_is_inf(a) && ref_is_inf(b)) || (ref_is_zero(a) && ref_is_zero(b)))
        return ref_invalid(flags);
    if (ref_is_zero(b) && !ref_is_inf(a)) {
        *flags |= REF_ZE;
        return sign | 0x7c00;
    }
    ref_note(a, flags);
    ref_note(b, flags);
    if (ref_is_inf(a) || ref_is_zero(b))
        return sign | 0x7c00;
    if (ref_is_zero(a) || ref_is_inf(b))
        return sign;
    Exact n = ref_value(a & 0x7fff) << REF_UNIT, d = ref_value(b & 0x7fff);
    return ref_pack(sign, n / d, n % d != 0, mode, flags);
}

static inline uint16_t ref_sqrt(uint16_t a, unsigned mode, unsigned *flags)
{
    uint16_t r;
    Exact root = 0;
    if (ref_nan(&a, 1, &r, flags))
        return r;
    if (ref_is_zero(a))
        return a;
    if (ref_is_negative(a))
        return ref_invalid(flags);
    ref_note(a, flags);
    if (ref_is_inf(a))
        return a;
    Exact square = ref_value(a) << REF_UNIT;
    for (int bit = 60; bit >= 0; bit--)
        if ((root + ((Exact)1 << bit)) * (root + ((Exact)1 << bit)) <= square)
            root += (Exact)1 << bit;
    return ref_pack(false, root, root * root != square, mode, flags);
}

/* To an integer of `bits` bits; what does not fit is 2^(bits-1) or, unsigned, all ones. */
static inline uint64_t ref_to_integer(uint16_t a, unsigned bits, bool is_signed, unsigned mode, unsigned *flags)
{
    Exact limit = (Exact)1 << (is_signed ? bits - 1 : bits), v = 0;
    bool fits = !ref_is_nan(a) && !ref_is_inf(a), inexact = false;
    if (fits) {
        v = ref_shift(ref_is_negative(a), ref_value(a & 0x7fff), REF_UNIT, false, mode, &inexact);
        v = ref_is_negative(a) ? -v : v;
        fits = v < limit && v >= (is_signed ? -limit : 0);
    }
    if (!fits) {
        *flags |= REF_IE;
        return is_signed ? (uint64_t)limit : (uint64_t)(limit - 1);
    }
    if (inexact)
        *flags |= REF_PE;
    return (uint64_t)v & (uint64_t)(((Exact)1 << bits) - 1);
}

static inline uint16_t ref_from_integer(uint64_t v, bool is_signed, unsigned mode, unsigned *flags)
{
    Exact e = is_signed ? (Exact)(int64_t)v : (Exact)v;
    return e ? ref_round(e * ((Exact)1 << REF_UNIT), mode, flags) : 0;
}

/* -1, 0, 1; 2 when unordered. */
static inline int ref_compare(uint16_t a, uint16_t b, bool quiet, unsigned *flags)
{
    if (ref_is_nan(a) || ref_is_nan(b)) {
        if (!quiet || ref_is_snan(a) || ref_is_snan(b))
            *flags |= REF_IE;
        return 2;
    }
    ref_note(a, flags);
    ref_note(b, flags);
    int x = ref_is_negative(a) ? -(a & 0x7fff) : a, y = ref_is_negative(b) ? -(b & 0x7fff) : b;
    return (x > y) - (x < y);
}

#endif
