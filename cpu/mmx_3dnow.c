/*
 * 3DNow!: pairs of binary32 in MMX registers, and what came with them (AMD APM vol. 5; 3DNow! Technology Manual).
 *
 * There are no flags, exceptions or modes: results are rounded to nearest, denormal operands and results are zeros, and
 * what is too large becomes the largest number.  Infinities and NaNs are no operands ("unsupported", with undefined
 * results): here they count as what they are.
 */
#include "cpu/fp.h"
#include "cpu/mmx.h"

#define F32_SIGN UINT32_C(0x80000000)
#define F32_LARGEST UINT32_C(0x7f7fffff)
#define F32_ONE UINT32_C(0x3f800000)
#define F32_TWO UINT32_C(0x40000000)
#define F32_THREE UINT32_C(0x40400000)
#define F32_HALF UINT32_C(0x3f000000)
enum { F32_BIAS = 127 };

static FpEnv nearest(void) { return (FpEnv){ .rounding = FP_NEAREST, .daz = true, .ftz = true }; }

static unsigned exponent(uint32_t a) { return a >> 23 & 0xff; }

static uint32_t saturate(uint32_t a) { return (a & ~F32_SIGN) == 0x7f800000 ? (a & F32_SIGN) | F32_LARGEST : a; }

#define OPERATION(name, expression)                                                                                    \
    static uint32_t name(uint32_t a, uint32_t b)                                                                       \
    {                                                                                                                  \
        FpEnv e = nearest();                                                                                           \
        return expression;                                                                                             \
    }
OPERATION(add, saturate(f32_add(a, b, &e)))
OPERATION(sub, saturate(f32_sub(a, b, &e)))
OPERATION(subr, saturate(f32_sub(b, a, &e)))
OPERATION(mul, saturate(f32_mul(a, b, &e)))
OPERATION(compare_eq, f32_compare(a, b, true, &e) == FP_EQUAL ? ~0u : 0)
OPERATION(compare_gt, f32_compare(a, b, true, &e) == FP_GREATER ? ~0u : 0)
OPERATION(compare_ge, (unsigned)f32_compare(a, b, true, &e) <= FP_GREATER ? ~0u : 0)
/* Steps of Newton's method for 1 / a and 1 / sqrt(a), whose second one is a multiplication. */
OPERATION(reciprocal_step, saturate(f32_muladd(f32_negate(a), b, F32_TWO, &e)))
OPERATION(root_step, f32_mul(saturate(f32_muladd(f32_negate(a), b, F32_THREE, &e)), F32_HALF, &e))
#undef OPERATION

/* A zero, of either sign and denormals with it, is +0. */
static uint32_t plus_zero(uint32_t a) { return exponent(a) ? a : 0; }
static uint32_t maximum(uint32_t a, uint32_t b) { return plus_zero(compare_gt(a, b) ? a : b); }
static uint32_t minimum(uint32_t a, uint32_t b) { return plus_zero(compare_gt(b, a) ? a : b); }

/* Conversions truncate, whatever arithmetic does. */
static uint32_t from_integer(int32_t v)
{
    FpEnv e = { .rounding = FP_ZERO };
    return f32_from_i32(v, &e);
}

static int32_t to_integer(uint32_t a, int32_t largest)
{
    FpEnv e = nearest();
    if (exponent(a) >= F32_BIAS + 31)
        return a & F32_SIGN ? -largest - 1 : largest;
    return CLAMP(f32_to_i32(a, FP_ZERO, &e), -largest - 1, largest);
}
static uint32_t to_i32(uint32_t a) { return to_integer(a, INT32_MAX); }
static uint32_t to_i16(uint32_t a) { return to_integer(a, INT16_MAX); }
static uint32_t from_i32(uint32_t a) { return from_integer(a); }
static uint32_t from_i16(uint32_t a) { return from_integer((int16_t)a); }

/* Processors look these up and are right in 14 and 15 bits; 1 / x is 0 from 2^126 on. */
static uint32_t reciprocal(uint32_t a)
{
    FpEnv e = nearest();
    if (!exponent(a))
        return (a & F32_SIGN) | F32_LARGEST;
    return exponent(a) >= F32_BIAS + 126 ? a & F32_SIGN : f32_div(F32_ONE, a, &e);
}

/* Of the absolute value, with the operand's sign. */
static uint32_t reciprocal_root(uint32_t a)
{
    FpEnv e = nearest();
    if (!exponent(a))
        return (a & F32_SIGN) | F32_LARGEST;
    return (a & F32_SIGN) | f32_div(F32_ONE, f32_sqrt(a & ~F32_SIGN, &e), &e);
}

static KERNEL write_pair(Cpu *cpu, const Insn *i, uint32_t low, uint32_t high)
{
    mmx_write(cpu, i->reg, low | (uint64_t)high << 32);
}

/* Each lane of the first operand with that of the second. */
#define PAIRWISE(name, function)                                                                                       \
    static KERNEL mmx_##name##_op(Cpu *cpu, const Insn *i, uint64_t s)                                                 \
    {                                                                                                                  \
        uint64_t d = mmx_read(cpu, i->reg);                                                                            \
        write_pair(cpu, i, function(d, s), function(d >> 32, s >> 32));                                                \
    }                                                                                                                  \
    MMX_FORMS(name, mmx_load_q)
PAIRWISE(pfadd, add)
PAIRWISE(pfsub, sub)
PAIRWISE(pfsubr, subr)
PAIRWISE(pfmul, mul)
PAIRWISE(pfmax, maximum)
PAIRWISE(pfmin, minimum)
PAIRWISE(pfcmpeq, compare_eq)
PAIRWISE(pfcmpgt, compare_gt)
PAIRWISE(pfcmpge, compare_ge)
PAIRWISE(pfrcpit1, reciprocal_step)
PAIRWISE(pfrsqit1, root_step)

/* Each lane of the second operand. */
#define EACH(name, function)                                                                                           \
    static KERNEL mmx_##name##_op(Cpu *cpu, const Insn *i, uint64_t s)                                                 \
    {                                                                                                                  \
        write_pair(cpu, i, function(s), function(s >> 32));                                                            \
    }                                                                                                                  \
    MMX_FORMS(name, mmx_load_q)
EACH(pi2fd, from_i32)
EACH(pi2fw, from_i16)
EACH(pf2id, to_i32)
EACH(pf2iw, to_i16)

/* The low lane of the second operand alone, for both. */
#define SCALAR(name, function)                                                                                         \
    static KERNEL mmx_##name##_op(Cpu *cpu, const Insn *i, uint64_t s)                                                 \
    {                                                                                                                  \
        write_pair(cpu, i, function(s), function(s));                                                                  \
    }                                                                                                                  \
    MMX_FORMS(name, mmx_load_q)
SCALAR(pfrcp, reciprocal)
SCALAR(pfrsqrt, reciprocal_root)

/* The two lanes of the first operand, then those of the second. */
#define ACROSS(name, first, second)                                                                                    \
    static KERNEL mmx_##name##_op(Cpu *cpu, const Insn *i, uint64_t s)                                                 \
    {                                                                                                                  \
        uint64_t d = mmx_read(cpu, i->reg);                                                                            \
        write_pair(cpu, i, first(d, d >> 32), second(s, s >> 32));                                                     \
    }                                                                                                                  \
    MMX_FORMS(name, mmx_load_q)
ACROSS(pfacc, add, add)
ACROSS(pfnacc, sub, sub)
ACROSS(pfpnacc, sub, add)

static KERNEL mmx_pswapd_op(Cpu *cpu, const Insn *i, uint64_t s) { write_pair(cpu, i, s >> 32, s); }
MMX_FORMS(pswapd, mmx_load_q)

/* The upper halves of products, rounded. */
static KERNEL mmx_pmulhrw_op(Cpu *cpu, const Insn *i, uint64_t s)
{
    uint64_t d = mmx_read(cpu, i->reg), r = 0;
    for (unsigned k = 0; k < 64; k += 16)
        r |= (uint64_t)(uint16_t)(((int16_t)(d >> k) * (int16_t)(s >> k) + 0x8000) >> 16) << k;
    mmx_write(cpu, i->reg, r);
}
MMX_FORMS(pmulhrw, mmx_load_q)
