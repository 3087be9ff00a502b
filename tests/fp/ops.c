/* Arithmetic, conversions and comparisons of all formats, against MPFR (ops.h). */
#include "tests/fp/ops.h"

#include <inttypes.h>
#include <stdio.h>

#include "cpu/fp_avx512.h"
#include "tests/unit/fp_random.h"

/* --- operands --- */

int word_exponent(const Format *f, Float80 bits)
{
    unsigned field = f == &format_f80 ? bits.sexp : (unsigned)(bits.mant >> f->fraction);
    return (int)(field & ((1u << f->width) - 1)) - f->bias;
}

Float80 random_word(const Format *f, int center)
{
    uint64_t k = random64(), mant = random_pattern() ^ (k >> 40 & 1) << (f == &format_f80 ? 0 : 64 - f->fraction);
    int max = 2 * f->bias + 1, spread = f->precision + 6, exp;
    switch (k % 16) {
    case 0: exp = 0; break;
    case 1: exp = max; break;
    case 2: exp = 1 + (k >> 16) % (f->precision + 3); break;
    case 3: exp = max - 1 - (k >> 16) % 3; break;
    case 4: exp = f->bias + (int)((k >> 16) % 5) - 2; break;
    case 5: exp = f->bias + (k >> 16) % 70; break;
    case 6: exp = (k >> 16) % (max + 1); break;
    case 7: mant = random64(); /* fall through */
    default: exp = center + f->bias + (int)((k >> 16) % (2 * spread + 1)) - spread; break;
    }
    exp = exp < 0 ? 0 : exp > max ? max : exp;
    unsigned sign = k >> 63;
    if (f == &format_f80) {
        if (exp && (k >> 44) % 32) /* else an encoding that is not valid, or a pseudo-denormal */
            mant |= BIT(63);
        return (Float80){ mant, sign << 15 | exp };
    }
    return (Float80){ (uint64_t)sign << (f->fraction + f->width) | (uint64_t)exp << f->fraction |
                      mant >> (64 - f->fraction), 0 };
}

/* Exponents at which something happens to a result of format f. */
static int random_target(const Format *f)
{
    if (!f)
        return random64() % 66;
    switch (random64() % 4) {
    case 0: return 1 - f->bias;
    case 1: return 1 - f->bias - (int)f->precision;
    case 2: return f->bias;
    default: return 0;
    }
}

static Float80 random_integer(const Op *op)
{
    uint64_t v = random64() & 3 ? random_pattern() : random64();
    v = v >> random64() % 8 ^ (random64() % 3 - 1);
    return (Float80){ op->is_signed ? (uint64_t)sign_extend(v, op->bits) : v & bit_mask(op->bits), 0 };
}

/* Of the second and third operands, some make a result near an end of the range, some cancel. */
static void random_operands(const Op *op, Float80 *in)
{
    if (!op->from[0]) {
        in[0] = random_integer(op);
        return;
    }
    uint64_t k = random64();
    in[0] = random_word(op->from[0], random_target(op->to));
    if (!op->from[1])
        return;
    int exp = word_exponent(op->from[0], in[0]);
    int center = k & 1 ? exp : k & 2 ? random_target(op->to) - exp : exp - random_target(op->to);
    in[1] = random_word(op->from[1], center);
    if ((k >> 8) % 8 == 0)
        in[1].mant = in[0].mant ^ (random64() & BIT(random64() % op->from[0]->bits % 64));
    if (op->from[2])
        in[2] = random_word(op->from[2], (k & 4 ? exp : 0) + word_exponent(op->from[1], in[1]));
}

static FpEnv random_env(const Op *op)
{
    static const uint8_t precisions[4] = { 24, 53, 64, 64 };
    uint64_t k = random64();
    if (op->no_flags)
        return (FpEnv){ .rounding = FP_NEAREST, .daz = true, .ftz = true };
    FpEnv e = { .rounding = k & 3, .x87 = op->x87, .precision = precisions[k >> 2 & 3],
                .underflow_unmasked = (k >> 8) % 8 == 0, .overflow_unmasked = (k >> 16) % 8 == 0 };
    if (!op->x87) {
        e.daz = k & BIT(32);
        e.ftz = k & BIT(33);
    }
    return e;
}

/* --- expectations --- */

#define EXACT(name, call)                                                                                              \
    static int exact_##name(mpfr_t r, const Operand *o, const FpEnv *e, mpfr_rnd_t mode)                               \
    {                                                                                                                  \
        (void)e;                                                                                                       \
        return call;                                                                                                   \
    }
EXACT(add, mpfr_add(r, o[0].value, o[1].value, mode))
EXACT(sub, mpfr_sub(r, o[0].value, o[1].value, mode))
EXACT(mul, mpfr_mul(r, o[0].value, o[1].value, mode))
EXACT(div, mpfr_div(r, o[0].value, o[1].value, mode))
EXACT(sqrt, mpfr_sqrt(r, o[0].value, mode))
EXACT(muladd, mpfr_fma(r, o[0].value, o[1].value, o[2].value, mode))
EXACT(set, mpfr_set(r, o[0].value, mode))

enum { SCALE_LIMIT = 100000 }; /* beyond any format's range */

static int exact_scalef(mpfr_t r, const Operand *o, const FpEnv *e, mpfr_rnd_t mode)
{
    mpfr_t scale;
    (void)e;
    if (mpfr_inf_p(o[1].value)) { /* as a product with 2^inf or 2^-inf */
        mpfr_t factor;
        mpfr_init2(factor, 64);
        if (o[1].sign)
            mpfr_set_zero(factor, 1);
        else
            mpfr_set_inf(factor, 1);
        mpfr_mul(r, o[0].value, factor, mode);
        mpfr_clear(factor);
        return 0;
    }
    mpfr_init2(scale, 64);
    mpfr_floor(scale, o[1].value);
    if (mpfr_cmpabs_ui(scale, SCALE_LIMIT) > 0)
        mpfr_set_si(scale, o[1].sign ? -SCALE_LIMIT : SCALE_LIMIT, MPFR_RNDN);
    long by = mpfr_get_si(scale, MPFR_RNDN);
    mpfr_clear(scale);
    return mpfr_mul_2si(r, o[0].value, by, mode);
}

static void note_denormals(const Operand *o, unsigned count, Expected *x)
{
    for (unsigned n = 0; n < count; n++)
        if (o[n].denormal)
            x->flags |= FP_DENORMAL;
}

static unsigned operand_count(const Op *op)
{
    unsigned n = 0;
    while (n < ARRAY_SIZE(op->from) && op->from[n])
        n++;
    return n;
}

/* What rounds by exact(): a NaN of numbers is invalid, an infinity of finite ones a division by zero. */
static void expect_rounded(const Op *op, const Operand *o, const FpEnv *e, Expected *x)
{
    unsigned count = operand_count(op);
    if (oracle_nan(op->to, o, count, e, x))
        return;
    mpfr_t r;
    mpfr_init2(r, op->to == &format_f80 && op->param ? e->precision : op->to->precision);
    int t = op->exact(r, o, e, oracle_rounding(e->rounding));
    if (mpfr_nan_p(r)) {
        oracle_invalid(op->to, x);
    } else if (mpfr_inf_p(r) && o[0].class == CLASS_FINITE && count == 2 && o[1].class == CLASS_ZERO) {
        x->flags |= FP_DIVZERO;
        x->result = oracle_encode(op->to, r);
    } else {
        bool first_only = op->exact == exact_scalef; /* measured: the exponent's denormal is not reported */
        if (op->from[0] != &format_f80 || op->param)
            note_denormals(o, first_only ? 1 : count, x);
        oracle_finish(op->to, r, t, e, x);
    }
    mpfr_clear(r);
}

/* 0 by an infinite scale apart, a quiet NaN does not keep 2^inf and 2^-inf from their effect (SDM vol. 2 VSCALEF). */
static void expect_scalef(const Op *op, const Operand *o, const FpEnv *e, Expected *x)
{
    if (o[0].class == CLASS_QNAN && o[1].class == CLASS_INF) {
        mpfr_t r;
        mpfr_init2(r, 2);
        if (o[1].sign)
            mpfr_set_zero(r, 1);
        else
            mpfr_set_inf(r, 1);
        x->result = oracle_encode(op->to, r);
        mpfr_clear(r);
    } else {
        expect_rounded(op, o, e, x);
    }
}

/* The value rounded to `places` binary places, in r of 128 bits; the sign of a zero is the operand's. */
static int round_to_places(mpfr_t r, const Operand *o, int places, unsigned rounding)
{
    mpfr_mul_2si(r, o->value, places, MPFR_RNDN);
    int t = rounding == FP_NEAREST ? mpfr_roundeven(r, r) : mpfr_rint(r, r, oracle_rounding(rounding));
    mpfr_mul_2si(r, r, -places, MPFR_RNDN);
    if (mpfr_zero_p(r))
        mpfr_set_zero(r, o->sign ? -1 : 1);
    return t;
}

static void expect_round(const Op *op, const Operand *o, const FpEnv *e, Expected *x)
{
    if (oracle_nan(op->to, o, 1, e, x))
        return;
    mpfr_t r;
    mpfr_init2(r, 128);
    if (op->x87)
        note_denormals(o, 1, x);
    int t = round_to_places(r, o, 0, e->rounding);
    if (mpfr_cmp(r, o->value)) {
        x->flags |= FP_INEXACT;
        x->rounded_up = o->sign ? t < 0 : t > 0;
    }
    x->result = oracle_encode(op->to, r);
    mpfr_clear(r);
}

/* param is imm8 of VRNDSCALE or VREDUCE, whose own rounding and suppression of FP_INEXACT the operations here use. */
static unsigned imm_rounding(const Op *op, const FpEnv *e) { return op->param & 4 ? e->rounding : op->param & 3; }

static void expect_rndscale(const Op *op, const Operand *o, const FpEnv *e, Expected *x)
{
    if (oracle_nan(op->to, o, 1, e, x))
        return;
    mpfr_t r;
    mpfr_init2(r, 128);
    round_to_places(r, o, op->param >> 4, imm_rounding(op, e));
    if (mpfr_cmp(r, o->value) && !(op->param & 8))
        x->flags |= FP_INEXACT;
    x->result = oracle_encode(op->to, r);
    mpfr_clear(r);
}

static void expect_reduce(const Op *op, const Operand *o, const FpEnv *e, Expected *x)
{
    if (oracle_nan(op->to, o, 1, e, x))
        return;
    mpfr_t whole, r;
    FpEnv inner = *e;
    inner.rounding = imm_rounding(op, e);
    inner.underflow_unmasked = false;
    mpfr_init2(whole, 128);
    mpfr_init2(r, op->to->precision);
    if (o->class == CLASS_INF) {
        mpfr_set_zero(r, 1);
        x->result = oracle_encode(op->to, r);
    } else {
        round_to_places(whole, o, op->param >> 4, inner.rounding);
        int t = mpfr_sub(r, o->value, whole, oracle_rounding(inner.rounding));
        oracle_finish(op->to, r, t, &inner, x);
        x->flags &= op->param & 8 ? FP_INVALID : FP_INVALID | FP_INEXACT;
    }
    mpfr_clears(whole, r, (mpfr_ptr)0);
}

static void expect_to_int(const Op *op, const Operand *o, const FpEnv *e, Expected *x)
{
    uint64_t indefinite = op->is_signed ? ~bit_mask(op->bits - 1) : bit_mask(op->bits);
    unsigned rounding = op->param ? (unsigned)FP_ZERO : e->rounding;
    mpfr_t r, low, high;
    mpfr_inits2(128, r, low, high, (mpfr_ptr)0);
    mpfr_set_ui_2exp(high, 1, op->bits - op->is_signed, MPFR_RNDN);
    mpfr_neg(low, high, MPFR_RNDN);
    if (!op->is_signed)
        mpfr_set_zero(low, 1);
    int t = o->class > CLASS_INF ? 0 : round_to_places(r, o, 0, rounding);
    if (o->class >= CLASS_INF || mpfr_cmp(r, low) < 0 || mpfr_cmp(r, high) >= 0) {
        x->flags |= FP_INVALID;
        x->result.mant = indefinite;
    } else {
        if (mpfr_cmp(r, o->value))
            x->flags |= FP_INEXACT;
        x->rounded_up = o->sign ? t < 0 : t > 0;
        x->result.mant = op->is_signed ? (uint64_t)mpfr_get_sj(r, MPFR_RNDN) : mpfr_get_uj(r, MPFR_RNDN);
    }
    mpfr_clears(r, low, high, (mpfr_ptr)0);
}

static void expect_from_int(const Op *op, const Operand *o, const FpEnv *e, Expected *x)
{
    mpfr_t r;
    mpfr_init2(r, op->to->precision);
    mpfr_rnd_t mode = oracle_rounding(e->rounding);
    int t = op->is_signed ? mpfr_set_sj(r, (int64_t)o->mant, mode) : mpfr_set_uj(r, o->mant, mode);
    oracle_finish(op->to, r, t, e, x);
    mpfr_clear(r);
}

static void expect_compare(const Op *op, const Operand *o, const FpEnv *e, Expected *x)
{
    Expected nan = { 0 };
    if (oracle_nan(op->from[0], o, 2, e, &nan)) {
        x->flags = nan.flags | (op->param ? 0 : FP_INVALID);
        x->result.mant = FP_UNORDERED;
        return;
    }
    note_denormals(o, 2, x);
    int order = mpfr_cmp(o[0].value, o[1].value);
    x->result.mant = (uint64_t)(int64_t)(order < 0 ? FP_LESS : order > 0 ? FP_GREATER : FP_EQUAL);
}

/* --- the code under test --- */

static Float80 word(uint64_t v) { return (Float80){ v, 0 }; }

#define SOFT(name, expression)                                                                                         \
    static Float80 soft_##name(const Float80 *in, FpEnv *e)                                                            \
    {                                                                                                                  \
        (void)in, (void)e;                                                                                             \
        return expression;                                                                                             \
    }
#define A in[0].mant
#define B in[1].mant
#define C in[2].mant
#define SOFT_IEEE(t)                                                                                                   \
    SOFT(t##_add, word(t##_add(A, B, e)))                                                                              \
    SOFT(t##_sub, word(t##_sub(A, B, e)))                                                                              \
    SOFT(t##_mul, word(t##_mul(A, B, e)))                                                                              \
    SOFT(t##_div, word(t##_div(A, B, e)))                                                                              \
    SOFT(t##_sqrt, word(t##_sqrt(A, e)))                                                                               \
    SOFT(t##_muladd, word(t##_muladd(A, B, C, e)))                                                                     \
    SOFT(t##_round, word(t##_round(A, e)))                                                                             \
    SOFT(t##_compare, word((uint64_t)(int64_t)t##_compare(A, B, false, e)))                                            \
    SOFT(t##_compare_quiet, word((uint64_t)(int64_t)t##_compare(A, B, true, e)))                                       \
    SOFT(t##_to_i32, word((uint64_t)(int64_t)t##_to_i32(A, e->rounding, e)))                                           \
    SOFT(t##_to_i64, word((uint64_t)t##_to_i64(A, e->rounding, e)))                                                    \
    SOFT(t##_to_u32, word(t##_to_u32(A, e->rounding, e)))                                                              \
    SOFT(t##_to_u64, word(t##_to_u64(A, e->rounding, e)))                                                              \
    SOFT(t##_cut_i32, word((uint64_t)(int64_t)t##_to_i32(A, FP_ZERO, e)))                                              \
    SOFT(t##_cut_u64, word(t##_to_u64(A, FP_ZERO, e)))                                                                 \
    SOFT(t##_from_i32, word(t##_from_i32((int32_t)A, e)))                                                              \
    SOFT(t##_from_i64, word(t##_from_i64((int64_t)A, e)))                                                              \
    SOFT(t##_from_u32, word(t##_from_u32(A, e)))                                                                       \
    SOFT(t##_from_u64, word(t##_from_u64(A, e)))
SOFT_IEEE(f16)
SOFT_IEEE(f32)
SOFT_IEEE(f64)

#define SOFT_AVX512(t, n)                                                                                              \
    SOFT(t##_scalef, word(fp##n##_scalef(A, B, e)))                                                                    \
    SOFT(t##_rndscale_24, word(fp##n##_rndscale(A, 0x24, e)))                                                          \
    SOFT(t##_rndscale_02, word(fp##n##_rndscale(A, 0x02, e)))                                                          \
    SOFT(t##_rndscale_fc, word(fp##n##_rndscale(A, 0xfc, e)))                                                          \
    SOFT(t##_reduce_24, word(fp##n##_reduce(A, 0x24, e)))                                                              \
    SOFT(t##_reduce_00, word(fp##n##_reduce(A, 0x00, e)))                                                              \
    SOFT(t##_reduce_59, word(fp##n##_reduce(A, 0x59, e)))
SOFT_AVX512(f16, 16)
SOFT_AVX512(f32, 32)
SOFT_AVX512(f64, 64)

SOFT(f16_to_i16, word((uint64_t)(int64_t)f16_to_i16(A, e->rounding, e)))
SOFT(f16_to_u16, word(f16_to_u16(A, e->rounding, e)))
SOFT(f16_from_i16, word(f16_from_i16((int16_t)A, e)))
SOFT(f16_from_u16, word(f16_from_u16(A, e)))
SOFT(f16_to_f32, word(f16_to_f32(A, e)))
SOFT(f16_to_f64, word(f16_to_f64(A, e)))
SOFT(f32_to_f16, word(f32_to_f16(A, e)))
SOFT(f64_to_f16, word(f64_to_f16(A, e)))
SOFT(f32_to_f64, word(f32_to_f64(A, e)))
SOFT(f64_to_f32, word(f64_to_f32(A, e)))
SOFT(f32_to_bf16, word(f32_to_bf16(A)))
SOFT(f32_to_f80, f32_to_f80(A, e))
SOFT(f64_to_f80, f64_to_f80(A, e))
SOFT(f80_to_f32, word(f80_to_f32(in[0], e)))
SOFT(f80_to_f64, word(f80_to_f64(in[0], e)))
SOFT(f80_add, f80_add(in[0], in[1], e))
SOFT(f80_sub, f80_sub(in[0], in[1], e))
SOFT(f80_mul, f80_mul(in[0], in[1], e))
SOFT(f80_div, f80_div(in[0], in[1], e))
SOFT(f80_sqrt, f80_sqrt(in[0], e))
SOFT(f80_round, f80_round(in[0], e))
SOFT(f80_compare, word((uint64_t)(int64_t)f80_compare(in[0], in[1], false, e)))
SOFT(f80_compare_quiet, word((uint64_t)(int64_t)f80_compare(in[0], in[1], true, e)))
SOFT(f80_to_i16, word((uint64_t)(int64_t)f80_to_i16(in[0], e->rounding, e)))
SOFT(f80_to_i32, word((uint64_t)(int64_t)f80_to_i32(in[0], e->rounding, e)))
SOFT(f80_to_i64, word((uint64_t)f80_to_i64(in[0], e->rounding, e)))
SOFT(f80_cut_i64, word((uint64_t)f80_to_i64(in[0], FP_ZERO, e)))
SOFT(f80_from_i32, f80_from_i32((int32_t)A, e))
SOFT(f80_from_i64, f80_from_i64((int64_t)A, e))

/* --- the table; `param` of f80's arithmetic says that precision control counts --- */

#define F(t) &format_##t
#define ROW(n, ...) { .name = #n, .soft = soft_##n, __VA_ARGS__ }
#define ARITHMETIC1(t, op, ...) ROW(t##_##op, .to = F(t), .from = { F(t) }, .exact = exact_##op, __VA_ARGS__)
#define ARITHMETIC2(t, op, ...) ROW(t##_##op, .to = F(t), .from = { F(t), F(t) }, .exact = exact_##op, __VA_ARGS__)
#define ARITHMETIC(t, ...)                                                                                             \
    ARITHMETIC2(t, add, __VA_ARGS__), ARITHMETIC2(t, sub, __VA_ARGS__), ARITHMETIC2(t, mul, __VA_ARGS__),              \
        ARITHMETIC2(t, div, __VA_ARGS__), ARITHMETIC1(t, sqrt, __VA_ARGS__),                                           \
        ROW(t##_round, .to = F(t), .from = { F(t) }, .expect = expect_round, __VA_ARGS__)
#define COMPARE(t, ...)                                                                                                \
    ROW(t##_compare, .from = { F(t), F(t) }, .expect = expect_compare, __VA_ARGS__),                                   \
        ROW(t##_compare_quiet, .from = { F(t), F(t) }, .expect = expect_compare, .param = 1, __VA_ARGS__)
#define TO_INT(t, name, width, sign, ...)                                                                              \
    ROW(t##_##name, .from = { F(t) }, .expect = expect_to_int, .bits = width, .is_signed = sign, __VA_ARGS__)
#define FROM_INT(t, name, width, sign, ...)                                                                            \
    ROW(t##_##name, .to = F(t), .expect = expect_from_int, .bits = width, .is_signed = sign, __VA_ARGS__)
#define CONVERT(a, b, ...) ROW(a##_to_##b, .to = F(b), .from = { F(a) }, .exact = exact_set, __VA_ARGS__)
#define RNDSCALE(t, imm)                                                                                               \
    ROW(t##_rndscale_##imm, .to = F(t), .from = { F(t) }, .expect = expect_rndscale, .param = 0x##imm)
#define REDUCE(t, imm)                                                                                                 \
    ROW(t##_reduce_##imm, .to = F(t), .from = { F(t) }, .expect = expect_reduce, .param = 0x##imm)
#define IEEE(t)                                                                                                        \
    ARITHMETIC(t, .x87 = false),                                                                                       \
        ROW(t##_muladd, .to = F(t), .from = { F(t), F(t), F(t) }, .exact = exact_muladd), COMPARE(t, .x87 = false),    \
        TO_INT(t, to_i32, 32, true), TO_INT(t, to_i64, 64, true), TO_INT(t, to_u32, 32, false),                        \
        TO_INT(t, to_u64, 64, false), TO_INT(t, cut_i32, 32, true, .param = 1),                                        \
        TO_INT(t, cut_u64, 64, false, .param = 1), FROM_INT(t, from_i32, 32, true), FROM_INT(t, from_i64, 64, true),   \
        FROM_INT(t, from_u32, 32, false), FROM_INT(t, from_u64, 64, false),                                            \
        ROW(t##_scalef, .to = F(t), .from = { F(t), F(t) }, .exact = exact_scalef, .expect = expect_scalef),           \
        RNDSCALE(t, 24), RNDSCALE(t, 02), RNDSCALE(t, fc), REDUCE(t, 24), REDUCE(t, 00), REDUCE(t, 59)

const Op fp_ops[] = {
    IEEE(f16), IEEE(f32), IEEE(f64), ARITHMETIC(f80, .x87 = true, .param = 1),
    TO_INT(f16, to_i16, 16, true), TO_INT(f16, to_u16, 16, false),
    FROM_INT(f16, from_i16, 16, true), FROM_INT(f16, from_u16, 16, false),
    CONVERT(f16, f32), CONVERT(f16, f64), CONVERT(f32, f16), CONVERT(f64, f16), CONVERT(f32, f64), CONVERT(f64, f32),
    CONVERT(f32, bf16, .no_flags = true),
    CONVERT(f32, f80, .x87 = true), CONVERT(f64, f80, .x87 = true), CONVERT(f80, f32, .x87 = true),
    CONVERT(f80, f64, .x87 = true), COMPARE(f80, .x87 = true), TO_INT(f80, to_i16, 16, true, .x87 = true),
    TO_INT(f80, to_i32, 32, true, .x87 = true), TO_INT(f80, to_i64, 64, true, .x87 = true),
    TO_INT(f80, cut_i64, 64, true, .x87 = true, .param = 1), FROM_INT(f80, from_i32, 32, true, .x87 = true),
    FROM_INT(f80, from_i64, 64, true, .x87 = true),
};
const unsigned fp_op_count = ARRAY_SIZE(fp_ops);

/* --- running --- */

static bool agrees(const Op *op, const FpEnv *e, Float80 got, const Expected *x)
{
    if (!op->no_flags && e->flags != x->flags)
        return false;
    if (x->no_result)
        return true;
    if (op->x87 && x->flags & FP_INEXACT && e->rounded_up != x->rounded_up)
        return false;
    return got.mant == x->result.mant && got.sexp == x->result.sexp;
}

static void print_case(const Op *op, const Float80 *in, const FpEnv *e, Float80 got, const Expected *x)
{
    printf("%s", op->name);
    for (unsigned n = 0; n < (op->from[0] ? operand_count(op) : 1); n++)
        printf(" %04x:%016" PRIx64, in[n].sexp, in[n].mant);
    printf(" rounding %u precision %u daz %d ftz %d unmasked %d %d: %04x:%016" PRIx64 " flags %02x up %d, MPFR has "
           "%04x:%016" PRIx64 " flags %02x up %d%s\n", e->rounding, e->precision, e->daz, e->ftz, e->overflow_unmasked,
           e->underflow_unmasked, got.sexp, got.mant, e->flags, e->rounded_up, x->result.sexp, x->result.mant, x->flags,
           x->rounded_up, x->no_result ? " (no result)" : "");
}

unsigned long fp_op_run(const Op *op, unsigned long cases)
{
    enum { SHOWN = 5 };
    unsigned long differ = 0;
    Operand o[3];
    for (unsigned n = 0; n < 3; n++)
        operand_init(&o[n]);
    for (unsigned long k = 0; k < cases; k++) {
        Float80 in[3] = { 0 };
        FpEnv e = random_env(op);
        Expected x = { 0 };
        random_operands(op, in);
        o[0].mant = in[0].mant;
        for (unsigned n = 0; n < operand_count(op); n++)
            operand_decode(&o[n], op->from[n], in[n], e.daz);
        (op->expect ? op->expect : expect_rounded)(op, o, &e, &x);
        Float80 got = op->soft(in, &e);
        if (!agrees(op, &e, got, &x) && differ++ < SHOWN)
            print_case(op, in, &e, got, &x);
    }
    for (unsigned n = 0; n < 3; n++)
        mpfr_clear(o[n].value);
    return differ;
}
