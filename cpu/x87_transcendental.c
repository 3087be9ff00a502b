/*
 * x87: sine, cosine, tangent, arc tangent, logarithm and power (SDM vol. 1 8.3.7 to 8.3.10, vol. 2: F2XM1, FCOS,
 * FPATAN, FPTAN, FSIN, FSINCOS, FYL2X, FYL2XP1).
 *
 * All are computed with 128-bit significands and end in one rounding, so that results are nearly always the nearest:
 * an argument is reduced exactly (for the circular functions by the x87's own pi of 66 bits; for the others by the
 * nearest of a table of n/32), and a short power series in fixed point does the rest.
 */
#include "cpu/fp_internal.h"
#include "cpu/x87_internal.h"

/* mant * 2^(exp - 127), mant with its top bit set; or zero. */
typedef struct Wide {
    u128 mant;
    int32_t exp;
    bool sign;
} Wide;

#include "cpu/x87_constants.h"

/* --- arithmetic on it; results are cut off, not rounded, a quotient with its last bit sticky --- */

static unsigned leading_zeros(u128 v)
{
    return v >> 64 ? __builtin_clzll(v >> 64) : 64 + __builtin_clzll(v);
}

/* v * 2^(exp - 127). */
static Wide wide_from_bits(u128 v, int exp, bool sign)
{
    if (!v)
        return (Wide){ 0, 0, sign };
    unsigned shift = leading_zeros(v);
    return (Wide){ v << shift, exp - (int)shift, sign };
}

static Wide wide_from_num(Num n) { return (Wide){ (u128)n.mant << 64, n.exp, n.sign }; }

/* The upper half of the product: both are fractions of 2^128. */
static inline u128 multiply_high(u128 a, u128 b)
{
    uint64_t ah = a >> 64, al = a, bh = b >> 64, bl = b;
    u128 cross1 = (u128)ah * bl, cross2 = (u128)al * bh;
    u128 middle = (u128)(uint64_t)cross1 + (uint64_t)cross2 + (uint64_t)((u128)al * bl >> 64);
    return (u128)ah * bh + (cross1 >> 64) + (cross2 >> 64) + (uint64_t)(middle >> 64);
}

static Wide wide_mul(Wide a, Wide b)
{
    return wide_from_bits(multiply_high(a.mant, b.mant), a.exp + b.exp + 1, a.sign ^ b.sign);
}

/* One digit, to the base 2^64, of *rest / b; *rest < b, b's top bit set (Knuth, vol. 2, 4.3.1 D). */
static uint64_t divide_digit(u128 *rest, u128 b)
{
    uint64_t high = b >> 64, low = b;
    uint64_t q = (uint64_t)(*rest >> 64) >= high ? ~UINT64_C(0) : (uint64_t)(*rest / high);
    u128 left = *rest - (u128)q * high;
    while (!(left >> 64) && left << 64 < (u128)q * low) {
        q--;
        left += high;
    }
    *rest = (left << 64) - (u128)q * low;
    return q;
}

static Wide wide_div(Wide a, Wide b)
{
    bool less = a.mant < b.mant;
    u128 rest = less ? a.mant : a.mant >> 1, q;
    q = (u128)divide_digit(&rest, b.mant) << 64;
    q |= divide_digit(&rest, b.mant) | (rest != 0);
    return wide_from_bits(q, a.exp - b.exp - less, a.sign ^ b.sign);
}

static Wide wide_add(Wide a, Wide b)
{
    if (!a.mant || !b.mant)
        return a.mant ? a : b;
    if (a.exp < b.exp || (a.exp == b.exp && a.mant < b.mant)) {
        Wide t = a;
        a = b;
        b = t;
    }
    int apart = a.exp - b.exp;
    b.mant = apart < 128 ? b.mant >> apart : 0;
    if (a.sign != b.sign)
        return wide_from_bits(a.mant - b.mant, a.exp, a.sign);
    u128 sum = a.mant + b.mant;
    if (sum < a.mant)
        return (Wide){ sum >> 1 | (u128)1 << 127, a.exp + 1, a.sign };
    return (Wide){ sum, a.exp, a.sign };
}

static Wide wide_negate(Wide a)
{
    a.sign = !a.sign;
    return a;
}

/* |a| < 1 as a fraction of 2^128, and back. */
static u128 wide_to_fraction(Wide a)
{
    int shift = -1 - a.exp;
    return shift < 128 ? a.mant >> shift : 0;
}
static Wide wide_from_fraction(u128 v) { return wide_from_bits(v, -1, false); }

/* Rounds to the x87's format: always inexact, also log2(2^n) (as processors have it). */
static Float80 wide_round(Wide a, FpEnv *e)
{
    Num n = { .mant = a.mant >> 64, .low = a.mant, .exp = a.exp, .cls = NUM_FINITE, .sign = a.sign };
    Float80 r = num_pack_f80(n, 64, e);
    e->flags |= r.sexp & 0x7fff ? FP_INEXACT : FP_INEXACT | FP_UNDERFLOW;
    return r;
}

/* --- series --- */

/* c[0] -+ y c[stride] + y^2 c[2 stride] -+ ..., of `terms` terms; all are fractions of 2^128. */
static u128 series(const u128 *c, unsigned stride, unsigned terms, u128 y, bool alternating)
{
    u128 sum = c[(terms - 1) * stride];
    for (int n = terms - 2; n >= 0; n--) {
        u128 rest = multiply_high(sum, y);
        sum = alternating ? c[n * stride] - rest : c[n * stride] + rest;
    }
    return sum;
}

/* For |r| <= pi/4.  Written as r (1 - s) and 1 - s: never exact, and cut off on the right side. */
static Wide wide_sin(Wide r)
{
    u128 x = wide_to_fraction(r), y = multiply_high(x, x);
    u128 s = multiply_high(y, series(inverse_factorial + 1, 2, 13, y, true));
    return wide_mul(r, (Wide){ ~s, -1, false });
}

static Wide wide_cos(Wide r)
{
    u128 x = wide_to_fraction(r), y = multiply_high(x, x);
    return wide_from_fraction(~multiply_high(y, series(inverse_factorial, 2, 14, y, true)) | 1);
}

/* atan(u), |u| <= 1/60.  A tiny u is a quotient: exact, with less than 128 bits, or else what is cut off decides. */
static Wide atan_series(Wide u)
{
    if (u.exp < -64)
        return wide_from_bits(u.mant - !(u.mant & 1), u.exp, u.sign);
    u128 x = wide_to_fraction(u), y = multiply_high(x, x);
    return wide_mul(u, (Wide){ ~multiply_high(y, series(inverse_odd, 1, 10, y, true)), -1, false });
}

/* log2((1 + s) / (1 - s)) = 2 atanh(s) / ln(2), |s| <= 1/60. */
static Wide log_series(Wide s)
{
    u128 x = wide_to_fraction(s), y = multiply_high(x, x);
    Wide more = wide_mul(s, wide_from_fraction(multiply_high(y, series(inverse_odd, 1, 10, y, false))));
    return wide_mul(wide_add(s, more), wide_2_over_ln2);
}

/* 2^x - 1 for |x| <= 1, x not zero: e^t - 1 = t + t (t/2! + t^2/3! + ...) with t = x ln(2). */
static Wide wide_exp2m1(Wide x)
{
    Wide t = wide_mul(x, wide_ln2);
    u128 y = wide_to_fraction(t);
    Wide more = wide_from_fraction(multiply_high(y, series(inverse_factorial, 1, 27, y, t.sign)));
    more.sign = t.sign;
    return wide_add(t, wide_mul(t, more));
}

/* (left - right) / divisor, of integers. */
static Wide wide_difference_over(u128 left, u128 right, u128 divisor)
{
    bool sign = left < right;
    return wide_div(wide_from_bits(sign ? right - left : left - right, 127, sign), wide_from_bits(divisor, 127, false));
}

/* atan(a/b) for 0 < a <= b. */
static Wide wide_atan(Num a, Num b)
{
    int apart = b.exp - a.exp;
    a.sign = b.sign = false;
    if (apart > 8)
        return atan_series(wide_div(wide_from_num(a), wide_from_num(b)));
    /* atan(a/b) = atan(n/32) + atan((32 a - n b) / (32 b + n a)), n/32 the nearest to a/b. */
    uint64_t unit = b.mant >> 6;
    unsigned n = ((a.mant >> (apart + 6)) * 32 + unit / 2) / unit;
    u128 y = (u128)a.mant << (20 - apart), x = (u128)b.mant << 20;
    Wide rest = wide_difference_over(32 * y, n * x, 32 * x + n * y);
    if (rest.mant)
        rest = atan_series(rest);
    return n ? wide_add(wide_from_fraction(atan_32nds[n]), rest) : rest;
}

enum { LOG_POINT = 120 };

/*
 * log2(a), a > 0; zero when a is 1.  a = m 2^exp with m from sqrt(1/2) to sqrt(2), as an integer of 2^-LOG_POINT, and
 * log2(m) = log2(n/32) + log2 of (1 + s) / (1 - s) with s = (32 m - n) / (32 m + n), n/32 the nearest to m.
 */
static Wide wide_log2(Wide a)
{
    bool upper = a.mant >> 64 > UINT64_C(0xb504f333f9de6484);
    u128 m = a.mant >> (127 - LOG_POINT + upper);
    int exp = a.exp + upper;
    unsigned n = ((unsigned)(m >> (LOG_POINT - 6)) + 1) / 2;
    u128 left = 32 * m, right = (u128)n << LOG_POINT;
    Wide s = wide_difference_over(left, right, left + right);
    if (s.mant)
        s = log_series(s);
    Wide base = wide_from_fraction(log2_32nds[n - LOG2_FIRST]);
    base.sign = n < 32;
    return wide_add(wide_add(base, s), wide_from_bits(exp < 0 ? -exp : exp, 127, exp < 0));
}

/* --- one operand: F2XM1 --- */

static Float80 f80_exp2m1(Float80 a, FpEnv *e)
{
    Num n = num_unpack_f80(a);
    if (n.cls >= NUM_QNAN)
        return num_pack_f80(num_propagate_nan(n, n, e), 64, e);
    num_note_denormals(n, n, e);
    if (n.cls == NUM_INF)
        return n.sign ? (Float80){ INTEGER_BIT, 0xbfff } : a;
    if (n.cls == NUM_ZERO)
        return a;
    if (n.exp >= 0) { /* beyond 1 the result is undefined; the operand stays */
        e->flags |= FP_INEXACT;
        if (n.exp == 0 && n.mant == INTEGER_BIT)
            return n.sign ? (Float80){ INTEGER_BIT, 0xbffe } : a;
        return a;
    }
    return wide_round(wide_exp2m1(wide_from_num(n)), e);
}

static void f2xm1(Cpu *cpu, const Insn *i)
{
    (void)i;
    fpu_enter(cpu);
    if (unlikely(st_empty(cpu, 0))) {
        fpu_underflow(cpu, 0);
        return;
    }
    FpEnv e = fpu_env(cpu);
    Float80 r = f80_exp2m1(*st(cpu, 0), &e);
    if (fpu_raise(cpu, &e))
        *st(cpu, 0) = r;
}
SEM_1(f2xm1)

/* --- circular functions --- */

typedef struct Angle {
    Wide rest;         /* |rest| <= pi/4 */
    unsigned quadrant; /* multiples of pi/2 taken off, modulo 4 */
} Angle;

/* |n| < 2^63, in units of 2^-65, modulo pi/2 as the x87 knows it: exact. */
static Angle reduce(Num n)
{
    if (n.exp < -1)
        return (Angle){ wide_from_num(n), 0 };
    u128 v = (u128)n.mant << (n.exp + 2), q = v / PI_66, rest = v - q * PI_66;
    bool above = rest > PI_66 / 2;
    if (above) {
        rest = PI_66 - rest;
        q++;
    }
    /* The sign is the operand's: sin(-x) = -sin(x), and a quadrant counts the way the operand points. */
    return (Angle){ wide_from_bits(rest, 127 - 65, n.sign ^ above), (n.sign ? -(unsigned)q : (unsigned)q) & 3 };
}

static Wide angle_sin(Angle a)
{
    Wide r = a.quadrant & 1 ? wide_cos(a.rest) : wide_sin(a.rest);
    return a.quadrant & 2 ? wide_negate(r) : r;
}

static Wide angle_cos(Angle a)
{
    a.quadrant++;
    return angle_sin(a);
}

/* tan(r) = r + r^3/3 ...: where the cube is out of sight of 64 bits (all that r has there), a little more than r. */
static Wide angle_tan(Angle a)
{
    if (a.rest.exp < -40 && !(a.quadrant & 1)) {
        a.rest.mant |= 1;
        return a.rest;
    }
    Wide s = wide_sin(a.rest), c = wide_cos(a.rest);
    return a.quadrant & 1 ? wide_negate(wide_div(c, s)) : wide_div(s, c);
}

/* Operands without an angle, and those out of range, which set C2 and stay. */
enum CircularKind { CIRCULAR_ANGLE, CIRCULAR_ZERO, CIRCULAR_NAN, CIRCULAR_OUT_OF_RANGE };

static enum CircularKind circular_operand(Num *n, FpEnv *e)
{
    if (n->cls >= NUM_QNAN)
        *n = num_propagate_nan(*n, *n, e);
    else if (n->cls == NUM_INF)
        *n = num_invalid(e);
    else if (n->cls == NUM_ZERO)
        return CIRCULAR_ZERO;
    if (n->cls == NUM_QNAN)
        return CIRCULAR_NAN;
    if (n->exp >= 63)
        return CIRCULAR_OUT_OF_RANGE;
    num_note_denormals(*n, *n, e);
    return CIRCULAR_ANGLE;
}

#define F80_ONE ((Float80){ INTEGER_BIT, 0x3fff })

typedef Float80 Circular(Num n, enum CircularKind kind, FpEnv *e);

static Float80 circular_sin(Num n, enum CircularKind kind, FpEnv *e)
{
    return kind == CIRCULAR_ANGLE ? wide_round(angle_sin(reduce(n)), e) : num_pack_f80(n, 64, e);
}
static Float80 circular_cos(Num n, enum CircularKind kind, FpEnv *e)
{
    if (kind == CIRCULAR_ANGLE)
        return wide_round(angle_cos(reduce(n)), e);
    return kind == CIRCULAR_ZERO ? F80_ONE : num_pack_f80(n, 64, e);
}
static Float80 circular_tan(Num n, enum CircularKind kind, FpEnv *e)
{
    return kind == CIRCULAR_ANGLE ? wide_round(angle_tan(reduce(n)), e) : num_pack_f80(n, 64, e);
}
static Float80 circular_one(Num n, enum CircularKind kind, FpEnv *e)
{
    return kind == CIRCULAR_NAN ? num_pack_f80(n, 64, e) : F80_ONE;
}

/* ST(0) = first(ST(0)); then pushes second of the same operand, unless that is NULL. */
static void circular(Cpu *cpu, Circular *first, Circular *second)
{
    fpu_enter(cpu);
    cpu->fpu.status &= ~FSW_C2;
    bool underflow = st_empty(cpu, 0);
    if (unlikely(underflow || (second && !st_empty(cpu, 7)))) {
        if (fpu_stack_fault(cpu, underflow ? 0 : FSW_C1)) {
            st_set(cpu, 0, F80_DEFAULT_NAN);
            if (second)
                st_push(cpu, F80_DEFAULT_NAN);
        }
        return;
    }
    FpEnv e = fpu_env(cpu);
    Num n = num_unpack_f80(*st(cpu, 0));
    enum CircularKind kind = circular_operand(&n, &e);
    if (kind == CIRCULAR_OUT_OF_RANGE) {
        cpu->fpu.status = (cpu->fpu.status & ~FSW_C1) | FSW_C2;
        return;
    }
    Float80 other = second ? second(n, kind, &e) : (Float80){ 0, 0 }, r = first(n, kind, &e);
    if (!fpu_raise(cpu, &e))
        return;
    *st(cpu, 0) = r;
    if (second)
        st_push(cpu, other);
}

#define CIRCULAR(name, first, second)                                                                                  \
    static void name(Cpu *cpu, const Insn *i)                                                                          \
    {                                                                                                                  \
        (void)i;                                                                                                       \
        circular(cpu, first, second);                                                                                  \
    }                                                                                                                  \
    SEM_1(name)
CIRCULAR(fsin, circular_sin, NULL)
CIRCULAR(fcos, circular_cos, NULL)
CIRCULAR(fsincos, circular_sin, circular_cos)
CIRCULAR(fptan, circular_tan, circular_one)

/* --- two operands: x is ST(0), y is ST(1), which gets the result --- */

/* Multiples of pi/4 where y/x says nothing: an infinity or a zero. */
static Float80 atan_special(Num y, Num x, FpEnv *e)
{
    unsigned quarters = 2;
    if (y.cls == NUM_INF && x.cls == NUM_INF)
        quarters = x.sign ? 3 : 1;
    else if (y.cls == NUM_ZERO || x.cls == NUM_INF)
        quarters = x.sign ? 4 : 0;
    if (!quarters)
        return num_pack_f80(num_zero(y.sign), 64, e);
    Wide r = wide_pi;
    r.exp -= 2;
    if (quarters == 3)
        r = wide_mul(r, (Wide){ (u128)3 << 126, 1, false });
    else
        r.exp += quarters >> 1;
    r.sign = y.sign;
    return wide_round(r, e);
}

static Float80 f80_atan2(Num y, Num x, FpEnv *e)
{
    if (y.cls != NUM_FINITE || x.cls != NUM_FINITE)
        return atan_special(y, x, e);
    bool steep = y.exp > x.exp || (y.exp == x.exp && y.mant > x.mant);
    Wide r = steep ? wide_atan(x, y) : wide_atan(y, x);
    if (steep)
        r = wide_add(wide_half_pi, wide_negate(r));
    if (x.sign)
        r = wide_add(wide_pi, wide_negate(r));
    r.sign = y.sign;
    return wide_round(r, e);
}

/* y times a logarithm that is zero or infinite, or an infinite y; `log_sign` is the logarithm's. */
static Float80 log_special(Num y, int log_cls, bool log_sign, FpEnv *e)
{
    Num r;
    if ((y.cls == NUM_INF && log_cls == NUM_ZERO) || (y.cls == NUM_ZERO && log_cls == NUM_INF))
        r = num_invalid(e);
    else if (y.cls == NUM_INF || log_cls == NUM_INF)
        r = num_inf(y.sign ^ log_sign);
    else
        r = num_zero(y.sign ^ log_sign);
    return num_pack_f80(r, 64, e);
}

static Float80 f80_ylog2(Num y, Num x, FpEnv *e)
{
    if (x.sign && x.cls != NUM_ZERO)
        return num_pack_f80(num_invalid(e), 64, e);
    if (x.cls == NUM_ZERO) {
        if (y.cls == NUM_FINITE)
            e->flags = FP_DIVZERO;
        return log_special(y, NUM_INF, true, e);
    }
    bool one = x.cls == NUM_FINITE && x.mant == INTEGER_BIT && x.exp == 0;
    if (x.cls == NUM_INF || one || y.cls != NUM_FINITE)
        return log_special(y, x.cls == NUM_INF ? NUM_INF : one ? NUM_ZERO : NUM_FINITE, x.exp < 0, e);
    return wide_round(wide_mul(wide_from_num(y), wide_log2(wide_from_num(x))), e);
}

/* log2(1 + x); where x is small, of (1 + s) / (1 - s) with s = x / (2 + x). */
static Wide wide_log2p1(Wide x)
{
    const Wide one = { (u128)1 << 127, 0, false }, two = { (u128)1 << 127, 1, false };
    return x.exp < -6 ? log_series(wide_div(x, wide_add(x, two))) : wide_log2(wide_add(x, one));
}

/* Defined up to sqrt(1/2) - 1 and sqrt(2) - 1; processors go on from there, and with x <= -1 return x. */
static Float80 f80_ylog2p1(Num y, Num x, FpEnv *e)
{
    if (x.cls == NUM_INF && x.sign)
        return num_pack_f80(num_invalid(e), 64, e);
    if (x.cls != NUM_FINITE || y.cls != NUM_FINITE)
        return log_special(y, x.cls, x.sign, e);
    if (x.sign && x.exp >= 0) {
        e->flags |= FP_INEXACT;
        return num_pack_f80(x, 64, e);
    }
    return wide_round(wide_mul(wide_from_num(y), wide_log2p1(wide_from_num(x))), e);
}

/* ST(1) = op(ST(1), ST(0)), and pops. */
static void of_pair(Cpu *cpu, Float80 (*op)(Num y, Num x, FpEnv *e))
{
    fpu_enter(cpu);
    if (unlikely(st_empty(cpu, 0) || st_empty(cpu, 1))) {
        if (fpu_underflow(cpu, 1))
            st_pop(cpu);
        return;
    }
    FpEnv e = fpu_env(cpu);
    Num x = num_unpack_f80(*st(cpu, 0)), y = num_unpack_f80(*st(cpu, 1));
    Float80 r;
    if (unlikely(x.cls >= NUM_QNAN || y.cls >= NUM_QNAN)) {
        r = num_pack_f80(num_propagate_nan(y, x, &e), 64, &e);
    } else {
        num_note_denormals(x, y, &e);
        r = op(y, x, &e);
        if (e.flags & FP_INVALID)
            e.flags = FP_INVALID;
    }
    if (!fpu_raise(cpu, &e))
        return;
    *st(cpu, 1) = r;
    st_pop(cpu);
}

#define OF_PAIR(name, op)                                                                                              \
    static void name(Cpu *cpu, const Insn *i)                                                                          \
    {                                                                                                                  \
        (void)i;                                                                                                       \
        of_pair(cpu, op);                                                                                              \
    }                                                                                                                  \
    SEM_1(name)
OF_PAIR(fpatan, f80_atan2)
OF_PAIR(fyl2x, f80_ylog2)
OF_PAIR(fyl2xp1, f80_ylog2p1)
