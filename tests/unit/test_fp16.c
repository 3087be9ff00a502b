/*
 * AVX512-FP16, which the processor that runs the tests may lack: every family of instructions against arithmetic by
 * exact integers (fp16_reference.h), packed and scalar, of all lengths, under masks and with static rounding; results,
 * lanes left alone, and MXCSR's flags.
 */
#include <glib.h>
#include <math.h>
#include <string.h>

#include "core/machine.h"
#include "cpu/cpu.h"
#include "cpu/fault.h"
#include "cpu/flags.h"
#include "cpu/state.h"
#include "tests/cpu/random.h"
#include "tests/unit/fp16_reference.h"
#include "util/bits.h"

enum { NP, P66, PF3, PF2 };
enum { MAP_0F3A = 3, MAP_5 = 5, MAP_6 = 6 };
enum { ROUNDS = 300 };

static Cpu *cpu;
static InsnDecoder *decoder; /* of every instruction there is */
static Random random_source = { 0x2468ace };

static uint64_t next_random(void) { return random_next(&random_source); }

static void start(void)
{
    Machine *machine = machine_new(0x10000, NULL);
    uint64_t features[FEAT_WORDS];
    memset(features, 0xff, sizeof features);
    cpu = cpu_new(machine, cpu_model_parse("max", NULL), 0, 0);
    decoder = insn_decoder_new(features);
}

/* An instruction on registers: zmm0 = op(zmm1, zmm2), or k0 = op(zmm1, zmm2). */
typedef struct Form {
    uint8_t map, prefix, opcode;
    bool w, scalar, unary, has_imm, general; /* unary: vvvv names nothing; general: no mask */
    bool er, sae;
} Form;

/* How it is executed: chosen at random for every case. */
typedef struct Way {
    unsigned length, mask, mode; /* mode: rounding in force */
    bool zero, suppressed;       /* suppressed: no exceptions */
    bool daz;                    /* MXCSR.DAZ and FZ, which halves must not follow */
    uint8_t imm;
    uint64_t selected;
} Way;

static Way choose_way(const Form *f, unsigned lanes_of_128)
{
    Way w = { .length = next_random() % 3, .mode = next_random() & 3, .imm = next_random() };
    w.mask = f->general || next_random() % 2 ? 0 : 1 + next_random() % 7;
    w.zero = w.mask && next_random() % 2;
    w.daz = next_random() % 3 == 0;
    w.suppressed = (f->er || f->sae) && next_random() % 4 == 0;
    if (w.suppressed)
        w.length = 2;
    unsigned lanes = f->scalar ? 1 : lanes_of_128 << w.length;
    w.selected = bit_mask(lanes) & (w.mask ? cpu->opmask[w.mask] : UINT64_MAX);
    return w;
}

/* Returns the vector that was raised, or -1. */
static int execute(const uint8_t *code, unsigned length)
{
    Insn insn;
    g_assert_cmpint(insn_decode(decoder, SZ64, code, length, &insn), ==, length);
    g_assert_cmpuint(insn.row, !=, INSN_ROW_BAD);
    cpu->fault.raised = false;
    if (_setjmp(cpu->unwind))
        return cpu->fault.vector;
    insn.fn(cpu, &insn);
    return -1;
}

/* MXCSR has the rounding mode, unless the instruction has it and MXCSR another. */
static int run(const Form *f, const Way *w, bool zeroing)
{
    bool fixed = w->suppressed && f->er;
    unsigned length = fixed ? w->mode : f->scalar ? 0 : w->length;
    uint8_t vvvv = f->unary ? 0x78 : 0x70;
    uint8_t last = (zeroing && w->zero) << 7 | length << 5 | w->suppressed << 4 | 8 | w->mask;
    const uint8_t code[] = { 0x62, 0xf0 | f->map, f->w << 7 | vvvv | 4 | f->prefix, last, f->opcode, 0xc2, w->imm };
    cpu->mxcsr = 0x1f80 | (w->daz ? 0x8040 : 0) | (fixed ? w->mode ^ 3 : w->mode) << 13;
    return execute(code, 6 + f->has_imm);
}

static uint16_t random_half(void)
{
    static const uint16_t corners[] = { 0,      0x8000, 0x3c00, 0xbc00, 0x7c00, 0xfc00, 0x7e00, 0xfe01, 0x7c01, 0xfd55,
                                        1,      0x83ff, 0x0400, 0x7bff, 0xfbff, 0x3800, 0x4248, 0x0200, 0x3bff };
    if (next_random() % 4 == 0)
        return corners[next_random() % ARRAY_SIZE(corners)];
    if (next_random() % 2)
        return (next_random() & 0x83ff) | (12 + next_random() % 6) << 10; /* near 1, so that sums cancel */
    return next_random();
}

static void fill_registers(void)
{
    for (unsigned reg = 0; reg < 3; reg++)
        for (unsigned n = 0; n < 32; n++)
            VEC_W(cpu->vec[reg], n) = random_half();
    for (unsigned k = 0; k < 8; k++)
        cpu->opmask[k] = next_random();
}

static uint64_t lane_of(const Vec *v, unsigned bits, unsigned n)
{
    return bits == 16 ? VEC_W(*v, n) : bits == 32 ? VEC_D(*v, n) : v->q[n];
}

/* zmm0 holds expected[n] in selected lanes, of the other lanes 0 or what was there, and zeros above `lanes`. */
static void check_lanes(const Vec *old, const uint64_t *expected, unsigned bits, unsigned lanes, const Way *w)
{
    for (unsigned n = 0; n < 512 / bits; n++) {
        uint64_t want = n >= lanes ? 0 : w->selected >> n & 1 ? expected[n] : w->zero ? 0 : lane_of(old, bits, n);
        g_assert_cmphex(lane_of(&cpu->vec[0], bits, n), ==, want);
    }
}

/* Lane 0 as above, the rest of 128 bits from `upper`. */
static void check_scalar(const Vec *old, const Vec *upper, uint64_t expected, unsigned bits, const Way *w)
{
    g_assert_cmphex(lane_of(&cpu->vec[0], bits, 0), ==,
                    w->selected ? expected : w->zero ? 0 : lane_of(old, bits, 0));
    for (unsigned n = 1; n < 512 / bits; n++)
        g_assert_cmphex(lane_of(&cpu->vec[0], bits, n), ==, n < 128 / bits ? lane_of(upper, bits, n) : 0);
}

static void check_flags(const Way *w, unsigned flags)
{
    g_assert_cmphex(cpu->mxcsr & 0x3f, ==, w->suppressed ? 0 : flags);
}

/* ---- halves to halves ---- */

/* One lane: a from vvvv, b from ModRM.rm, c the old destination. */
typedef uint16_t LaneFn(uint16_t a, uint16_t b, uint16_t c, unsigned n, const Way *w, unsigned *flags);

static void check_half(const Form *f, LaneFn *fn, bool merges)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t expected[32] = { 0 };
        unsigned flags = 0;
        fill_registers();
        Vec old = cpu->vec[0], a = cpu->vec[1], b = cpu->vec[2];
        Way w = choose_way(f, 8);
        for (unsigned n = 0; n < 32; n++)
            if (w.selected >> n & 1)
                expected[n] = fn(VEC_W(a, n), VEC_W(b, n), VEC_W(old, n), n, &w, &flags);
        g_assert_cmpint(run(f, &w, true), ==, -1);
        if (f->scalar)
            check_scalar(&old, merges ? &old : &a, expected[0], 16, &w);
        else
            check_lanes(&old, expected, 16, 8u << w.length, &w);
        check_flags(&w, flags);
    }
}

/* Packed, and scalar with the prefix `scalar` and an opcode of `step` more. */
static void check_both(Form f, unsigned scalar_prefix, unsigned step, LaneFn *fn)
{
    check_half(&f, fn, false);
    f.scalar = true;
    f.unary = false;
    f.prefix = scalar_prefix;
    f.opcode += step;
    check_half(&f, fn, false);
}

#define LANE(name, expr)                                                                                               \
    static uint16_t lane_##name(uint16_t a, uint16_t b, uint16_t c, unsigned n, const Way *w, unsigned *flags)         \
    {                                                                                                                  \
        (void)a, (void)b, (void)c, (void)n, (void)w, (void)flags;                                                      \
        return expr;                                                                                                   \
    }

LANE(add, ref_add(a, b, false, w->mode, flags))
LANE(sub, ref_add(a, b, true, w->mode, flags))
LANE(mul, ref_muladd(a, b, 0, false, w->mode, flags))
LANE(div, ref_div(a, b, w->mode, flags))
LANE(sqrt, ref_sqrt(b, w->mode, flags))
LANE(min, ref_compare(a, b, false, flags) == -1 ? a : b)
LANE(max, ref_compare(a, b, false, flags) == 1 ? a : b)

static void test_arithmetic(void)
{
    check_both((Form){ MAP_5, NP, 0x58, .er = true }, PF3, 0, lane_add);
    check_both((Form){ MAP_5, NP, 0x5c, .er = true }, PF3, 0, lane_sub);
    check_both((Form){ MAP_5, NP, 0x59, .er = true }, PF3, 0, lane_mul);
    check_both((Form){ MAP_5, NP, 0x5e, .er = true }, PF3, 0, lane_div);
    check_both((Form){ MAP_5, NP, 0x5d, .sae = true }, PF3, 0, lane_min);
    check_both((Form){ MAP_5, NP, 0x5f, .sae = true }, PF3, 0, lane_max);
    check_both((Form){ MAP_5, NP, 0x51, .er = true, .unary = true }, PF3, 0, lane_sqrt);
}

/* x * y + z, which of them negated by the opcode's bits 3:0: see avx_fma.c. */
static uint16_t fused(unsigned op, uint16_t x, uint16_t y, uint16_t z, unsigned n, unsigned mode, unsigned *flags)
{
    bool alternating = op < 8, minus_z = alternating ? (n & 1) != (op == 6) : op >> 1 & 1, minus_x = op >= 12;
    return ref_muladd(minus_x ? ref_negate(x) : x, y, minus_z ? ref_negate(z) : z, true, mode, flags);
}
#define LANE_FMA(op)                                                                                                   \
    LANE(fma132_##op, fused(op, c, b, a, n, w->mode, flags))                                                           \
    LANE(fma213_##op, fused(op, a, c, b, n, w->mode, flags))                                                           \
    LANE(fma231_##op, fused(op, a, b, c, n, w->mode, flags))
LANE_FMA(6)
LANE_FMA(7)
LANE_FMA(8)
LANE_FMA(10)
LANE_FMA(12)
LANE_FMA(14)
#define FMA_CHECK(op)                                                                                                  \
    {                                                                                                                  \
        check_half(&(Form){ MAP_6, P66, 0x90 + op, .er = true }, lane_fma132_##op, false);                             \
        check_half(&(Form){ MAP_6, P66, 0xa0 + op, .er = true }, lane_fma213_##op, false);                             \
        check_half(&(Form){ MAP_6, P66, 0xb0 + op, .er = true }, lane_fma231_##op, false);                             \
    }
#define FMA_CHECK_SCALAR(op)                                                                                           \
    {                                                                                                                  \
        check_half(&(Form){ MAP_6, P66, 0x91 + op, .er = true, .scalar = true }, lane_fma132_##op, true);              \
        check_half(&(Form){ MAP_6, P66, 0xa1 + op, .er = true, .scalar = true }, lane_fma213_##op, true);              \
        check_half(&(Form){ MAP_6, P66, 0xb1 + op, .er = true, .scalar = true }, lane_fma231_##op, true);              \
    }

static void test_fma(void)
{
    FMA_CHECK(6)
    FMA_CHECK(7)
    FMA_CHECK(8)
    FMA_CHECK(10)
    FMA_CHECK(12)
    FMA_CHECK(14)
    FMA_CHECK_SCALAR(8)
    FMA_CHECK_SCALAR(10)
    FMA_CHECK_SCALAR(12)
    FMA_CHECK_SCALAR(14)
}

/* ---- exponents, significands, rounding ---- */

/* x is finite: what the host's double has of it is exact. */
static double to_double(uint16_t x)
{
    double magnitude = ldexp((double)(int64_t)(ref_value(x & 0x7fff) >> (REF_UNIT - 24)), -24);
    return ref_is_negative(x) ? -magnitude : magnitude;
}
static uint16_t from_double(double x, unsigned mode, unsigned *flags)
{
    if (x == 0)
        return signbit(x) ? 0x8000 : 0;
    return ref_round((Exact)ldexp(x, REF_UNIT), mode, flags);
}

static uint16_t getexp(uint16_t b, unsigned *flags)
{
    uint16_t r;
    unsigned none = 0;
    if (ref_nan(&b, 1, &r, flags))
        return r;
    ref_note(b, flags);
    if (ref_is_inf(b))
        return 0x7c00;
    return ref_is_zero(b) ? 0xfc00 : from_double(ilogb(to_double(b)), REF_NEAREST, &none);
}
LANE(getexp, getexp(b, flags))

static uint16_t getmant(uint16_t b, uint8_t imm, unsigned *flags)
{
    uint16_t r, sign = imm & 4 ? 0 : b & 0x8000;
    unsigned none = 0;
    int exponent;
    if (ref_nan(&b, 1, &r, flags))
        return r;
    if (ref_is_negative(b) && imm & 8 && !ref_is_zero(b))
        return ref_invalid(flags);
    ref_note(b, flags);
    if (ref_is_zero(b) || ref_is_inf(b))
        return sign | 0x3c00;
    double m = frexp(fabs(to_double(b)), &exponent) * 2; /* [1, 2) by 2^(exponent - 1) */
    bool halve[4] = { false, !(exponent & 1), true, m >= 1.5 };
    return sign | from_double(halve[imm & 3] ? m / 2 : m, REF_NEAREST, &none);
}
LANE(getmant, getmant(b, w->imm, flags))

/* To imm8 7:4 binary places; *inexact when that changed it. */
static double round_places(double x, uint8_t imm, unsigned mode, bool *inexact)
{
    double scaled = ldexp(x, imm >> 4), r;
    switch (imm & 4 ? mode : imm & 3) {
    case REF_NEAREST: r = nearbyint(scaled); break;
    case REF_DOWN: r = floor(scaled); break;
    case REF_UP: r = ceil(scaled); break;
    default: r = trunc(scaled); break;
    }
    *inexact = r != scaled;
    return copysign(ldexp(r, -(imm >> 4)), x);
}

static uint16_t rndscale(uint16_t b, const Way *w, unsigned *flags)
{
    uint16_t r;
    unsigned none = 0;
    bool inexact;
    if (ref_nan(&b, 1, &r, flags))
        return r;
    if (ref_is_inf(b))
        return b;
    r = from_double(round_places(to_double(b), w->imm, w->mode, &inexact), REF_NEAREST, &none);
    if (inexact && !(w->imm & 8))
        *flags |= REF_PE;
    return r;
}
LANE(rndscale, rndscale(b, w, flags))

/* What is left, rounded as the whole was; a zero has the sign of x - x. */
static uint16_t reduce(uint16_t b, const Way *w, unsigned *flags)
{
    uint16_t r;
    unsigned found = 0;
    bool inexact;
    if (ref_nan(&b, 1, &r, flags))
        return r;
    if (ref_is_inf(b))
        return 0;
    double x = to_double(b), left = x - round_places(x, w->imm, w->mode, &inexact);
    unsigned mode = w->imm & 4 ? w->mode : w->imm & 3;
    r = left ? from_double(left, mode, &found) : (mode == REF_DOWN) << 15;
    *flags |= found & (w->imm & 8 ? 0 : REF_PE);
    return r;
}
LANE(reduce, reduce(b, w, flags))

static uint16_t scalef(uint16_t a, uint16_t b, unsigned mode, unsigned *flags)
{
    uint16_t r, operands[2] = { a, b };
    bool snan = ref_is_snan(a) || ref_is_snan(b);
    if (ref_is_nan(a) && !snan && ref_is_inf(b)) /* a quiet NaN times 2^inf is inf, times 2^-inf 0 */
        return ref_is_negative(b) ? 0 : 0x7c00;
    if (ref_nan(operands, 2, &r, flags))
        return r;
    if (ref_is_inf(b) && (ref_is_negative(b) ? ref_is_inf(a) : ref_is_zero(a)))
        return ref_invalid(flags);
    ref_note(a, flags);
    if (ref_is_inf(b))
        return (a & 0x8000) | (ref_is_negative(b) ? 0 : 0x7c00);
    if (ref_is_zero(a) || ref_is_inf(a))
        return a;
    int shift = (int)CLAMP(floor(to_double(b)), -60, 60);
    Exact m = ref_value(a & 0x7fff);
    if (shift >= 0)
        return ref_pack(ref_is_negative(a), m << shift, false, mode, flags);
    return ref_pack(ref_is_negative(a), m >> -shift, (m >> -shift << -shift) != m, mode, flags);
}
LANE(scalef, scalef(a, b, w->mode, flags))

static void test_parts(void)
{
    check_both((Form){ MAP_6, P66, 0x42, .sae = true, .unary = true }, P66, 1, lane_getexp);
    check_both((Form){ MAP_0F3A, NP, 0x26, .sae = true, .unary = true, .has_imm = true }, NP, 1, lane_getmant);
    check_both((Form){ MAP_0F3A, NP, 0x08, .sae = true, .unary = true, .has_imm = true }, NP, 2, lane_rndscale);
    check_both((Form){ MAP_0F3A, NP, 0x56, .sae = true, .unary = true, .has_imm = true }, NP, 1, lane_reduce);
    check_both((Form){ MAP_6, P66, 0x2c, .er = true }, P66, 1, lane_scalef);
}

/* Within 2^-11 + 2^-14 of the true value, and the special cases of the manual's tables. */
static void test_approximations(void)
{
    const Form rcp = { MAP_6, P66, 0x4c, .unary = true }, rsqrt = { MAP_6, P66, 0x4e, .unary = true };
    const Way whole = { .length = 2 };
    for (unsigned first = 0; first < 0x10000; first += 32)
        for (unsigned root = 0; root < 2; root++) {
            for (unsigned n = 0; n < 32; n++)
                VEC_W(cpu->vec[2], n) = first + n;
            g_assert_cmpint(run(root ? &rsqrt : &rcp, &whole, false), ==, -1);
            g_assert_cmphex(cpu->mxcsr & 0x3f, ==, 0);
            for (unsigned n = 0; n < 32; n++) {
                uint16_t x = first + n, r = VEC_W(cpu->vec[0], n);
                if (ref_is_nan(x)) {
                    g_assert_cmphex(r, ==, x | 0x200);
                } else if (ref_is_zero(x) || (!root && (x & 0x7fff) <= 0x100)) {
                    g_assert_cmphex(r, ==, (x & 0x8000) | 0x7c00);
                } else if (root && ref_is_negative(x)) {
                    g_assert_cmphex(r, ==, REF_NAN);
                } else if (ref_is_inf(x)) {
                    g_assert_cmphex(r, ==, x & 0x8000);
                } else {
                    double exact = root ? 1 / sqrt(to_double(x)) : 1 / to_double(x);
                    double allowed = fmax(fabs(exact) * (0x1p-11 + 0x1p-14), 0x1p-25); /* half a denormal's place */
                    g_assert_cmpfloat(fabs(to_double(r) - exact), <=, allowed);
                }
            }
        }
}

/* ---- comparison ---- */

/* Less, equal, greater, unordered of predicate n & 15, by the manual's names: EQ LT LE UNORD NEQ NLT NLE ORD, ... */
static bool predicate_holds(unsigned n, int order)
{
    bool lt = order == -1, eq = order == 0, gt = order == 1, un = order == 2;
    switch (n & 15) {
    case 0: return eq;
    case 1: return lt;
    case 2: return lt || eq;
    case 3: return un;
    case 4: return !eq;
    case 5: return !lt;
    case 6: return !(lt || eq);
    case 7: return !un;
    case 8: return eq || un;
    case 9: return !(gt || eq);
    case 10: return !gt;
    case 11: return false;
    case 12: return lt || gt;
    case 13: return gt || eq;
    case 14: return gt;
    default: return true;
    }
}

static bool predicate_is_quiet(unsigned n)
{
    static const bool signalling[16] = { [1] = true, [2] = true, [5] = true, [6] = true, [9] = true, [10] = true,
                                         [13] = true, [14] = true };
    return signalling[n & 15] == (n >> 4 & 1);
}

static void check_predicates(const Form *f)
{
    for (unsigned round = 0; round < ROUNDS * 4; round++) {
        uint64_t expected = 0;
        unsigned flags = 0;
        fill_registers();
        Way w = choose_way(f, 8);
        w.imm &= 31;
        for (unsigned n = 0; n < 32; n++)
            if (w.selected >> n & 1) {
                uint16_t a = VEC_W(cpu->vec[1], n), b = VEC_W(cpu->vec[2], n);
                int order = ref_compare(a, b, predicate_is_quiet(w.imm), &flags);
                expected |= (uint64_t)predicate_holds(w.imm, order) << n;
            }
        g_assert_cmpint(run(f, &w, false), ==, -1);
        g_assert_cmphex(cpu->opmask[0], ==, expected);
        check_flags(&w, flags);
    }
}

static void check_comi(uint8_t opcode, bool quiet)
{
    const Form f = { MAP_5, NP, opcode, .scalar = true, .unary = true, .general = true, .sae = true };
    static const uint32_t want[4] = { F_CF, F_ZF, 0, F_ZF | F_PF | F_CF };
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned flags = 0;
        fill_registers();
        Way w = choose_way(&f, 8);
        int order = ref_compare(VEC_W(cpu->vec[0], 0), VEC_W(cpu->vec[2], 0), quiet, &flags);
        g_assert_cmpint(run(&f, &w, false), ==, -1);
        g_assert_cmphex(flags_arith(cpu), ==, want[order + 1]);
        check_flags(&w, flags);
    }
}

static unsigned class_of(uint16_t a)
{
    bool negative = ref_is_negative(a);
    if (ref_is_nan(a))
        return ref_is_snan(a) ? 0x80 : 1;
    if (ref_is_zero(a))
        return negative ? 4 : 2;
    if (ref_is_inf(a))
        return negative ? 0x10 : 8;
    return (ref_is_denormal(a) ? 0x20 : 0) | (negative ? 0x40 : 0);
}

static void check_class(const Form *f)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t expected = 0;
        fill_registers();
        Way w = choose_way(f, 8);
        for (unsigned n = 0; n < 32; n++)
            expected |= (uint64_t)((class_of(VEC_W(cpu->vec[2], n)) & w.imm) != 0) << n;
        g_assert_cmpint(run(f, &w, false), ==, -1);
        g_assert_cmphex(cpu->opmask[0], ==, expected & w.selected);
        check_flags(&w, 0);
    }
}

static void test_comparison(void)
{
    check_predicates(&(Form){ MAP_0F3A, NP, 0xc2, .has_imm = true, .sae = true });
    check_predicates(&(Form){ MAP_0F3A, PF3, 0xc2, .has_imm = true, .sae = true, .scalar = true });
    check_comi(0x2f, false);
    check_comi(0x2e, true);
    check_class(&(Form){ MAP_0F3A, NP, 0x66, .has_imm = true, .unary = true });
    check_class(&(Form){ MAP_0F3A, NP, 0x67, .has_imm = true, .unary = true, .scalar = true });
}

/* ---- conversion ---- */

static uint64_t truncated(uint64_t v, unsigned bits) { return v & bit_mask(bits); }
static uint64_t extended(uint64_t v, unsigned bits, bool is_signed)
{
    return is_signed ? (uint64_t)sign_extend(v, bits) : truncated(v, bits);
}

static void check_to_integer(const Form *f, unsigned bits, bool is_signed)
{
    bool truncates = f->sae;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t expected[32] = { 0 };
        unsigned flags = 0;
        fill_registers();
        Vec old = cpu->vec[0];
        Way w = choose_way(f, 128 / bits);
        for (unsigned n = 0; n < 512 / bits; n++)
            if (w.selected >> n & 1)
                expected[n] = ref_to_integer(VEC_W(cpu->vec[2], n), bits, is_signed, truncates ? REF_TRUNCATE : w.mode,
                                             &flags);
        g_assert_cmpint(run(f, &w, true), ==, -1);
        check_lanes(&old, expected, bits, (128 / bits) << w.length, &w);
        check_flags(&w, flags);
    }
}

/* Integers as they come, and small ones, which are exact. */
static void fill_integers(unsigned bits)
{
    for (unsigned n = 0; n < 512 / bits; n++) {
        uint64_t v = next_random() >> next_random() % 64;
        v = next_random() % 2 ? v : -v;
        if (bits == 64)
            cpu->vec[2].q[n] = v;
        else if (bits == 32)
            VEC_D(cpu->vec[2], n) = v;
        else
            VEC_W(cpu->vec[2], n) = v;
    }
}

static void check_from_integer(const Form *f, unsigned bits, bool is_signed)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t expected[32] = { 0 };
        unsigned flags = 0;
        fill_registers();
        fill_integers(bits);
        Vec old = cpu->vec[0];
        Way w = choose_way(f, 128 / bits);
        for (unsigned n = 0; n < 512 / bits; n++)
            if (w.selected >> n & 1)
                expected[n] = ref_from_integer(extended(lane_of(&cpu->vec[2], bits, n), bits, is_signed), is_signed,
                                               w.mode, &flags);
        g_assert_cmpint(run(f, &w, true), ==, -1);
        check_lanes(&old, expected, 16, (128 / bits) << w.length, &w);
        check_flags(&w, flags);
    }
}

static void test_integers(void)
{
    check_to_integer(&(Form){ MAP_5, P66, 0x7d, .er = true, .unary = true }, 16, true);
    check_to_integer(&(Form){ MAP_5, P66, 0x7c, .sae = true, .unary = true }, 16, true);
    check_to_integer(&(Form){ MAP_5, NP, 0x7d, .er = true, .unary = true }, 16, false);
    check_to_integer(&(Form){ MAP_5, NP, 0x7c, .sae = true, .unary = true }, 16, false);
    check_to_integer(&(Form){ MAP_5, P66, 0x5b, .er = true, .unary = true }, 32, true);
    check_to_integer(&(Form){ MAP_5, PF3, 0x5b, .sae = true, .unary = true }, 32, true);
    check_to_integer(&(Form){ MAP_5, NP, 0x79, .er = true, .unary = true }, 32, false);
    check_to_integer(&(Form){ MAP_5, NP, 0x78, .sae = true, .unary = true }, 32, false);
    check_to_integer(&(Form){ MAP_5, P66, 0x7b, .er = true, .unary = true }, 64, true);
    check_to_integer(&(Form){ MAP_5, P66, 0x7a, .sae = true, .unary = true }, 64, true);
    check_to_integer(&(Form){ MAP_5, P66, 0x79, .er = true, .unary = true }, 64, false);
    check_to_integer(&(Form){ MAP_5, P66, 0x78, .sae = true, .unary = true }, 64, false);
    check_from_integer(&(Form){ MAP_5, PF3, 0x7d, .er = true, .unary = true }, 16, true);
    check_from_integer(&(Form){ MAP_5, PF2, 0x7d, .er = true, .unary = true }, 16, false);
    check_from_integer(&(Form){ MAP_5, NP, 0x5b, .er = true, .unary = true }, 32, true);
    check_from_integer(&(Form){ MAP_5, PF2, 0x7a, .er = true, .unary = true }, 32, false);
    check_from_integer(&(Form){ MAP_5, NP, 0x5b, .w = true, .er = true, .unary = true }, 64, true);
    check_from_integer(&(Form){ MAP_5, PF2, 0x7a, .w = true, .er = true, .unary = true }, 64, false);
}

/* General registers: eax or rax by W from the lane, and the lane from edx or rdx. */
static void check_general(uint8_t opcode, bool truncates, bool is_signed, bool w64)
{
    const Form f = { MAP_5, PF3, opcode, .w = w64, .scalar = true, .unary = true, .general = true, .er = !truncates,
                     .sae = truncates };
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned flags = 0;
        fill_registers();
        cpu->gpr[R_AX] = next_random();
        Way w = choose_way(&f, 8);
        uint64_t want = ref_to_integer(VEC_W(cpu->vec[2], 0), w64 ? 64 : 32, is_signed,
                                       truncates ? REF_TRUNCATE : w.mode, &flags);
        g_assert_cmpint(run(&f, &w, false), ==, -1);
        g_assert_cmphex(cpu->gpr[R_AX], ==, want);
        check_flags(&w, flags);
    }
}

static void check_from_general(uint8_t opcode, bool is_signed, bool w64)
{
    const Form f = { MAP_5, PF3, opcode, .w = w64, .scalar = true, .general = true, .er = true };
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned flags = 0;
        fill_registers();
        Vec old = cpu->vec[0];
        cpu->gpr[R_DX] = next_random() >> next_random() % 64;
        Way w = choose_way(&f, 8);
        uint64_t v = extended(cpu->gpr[R_DX], w64 ? 64 : 32, is_signed);
        uint16_t want = ref_from_integer(v, is_signed, w.mode, &flags);
        g_assert_cmpint(run(&f, &w, false), ==, -1);
        check_scalar(&old, &cpu->vec[1], want, 16, &w);
        check_flags(&w, flags);
    }
}

static void test_general_registers(void)
{
    for (unsigned w = 0; w < 2; w++) {
        check_general(0x2d, false, true, w);
        check_general(0x2c, true, true, w);
        check_general(0x79, false, false, w);
        check_general(0x78, true, false, w);
        check_from_general(0x2a, true, w);
        check_from_general(0x7b, false, w);
    }
}

/* A half in 32 or 64 bits; NaNs keep the upper part of their significand. */
static uint64_t widened(uint16_t a, unsigned bits, unsigned *flags)
{
    unsigned fraction = bits == 32 ? 23 : 52;
    uint64_t max = bits == 32 ? 0xff : 0x7ff, sign = (uint64_t)(a >> 15) << (bits - 1), r = 0;
    if (ref_is_snan(a))
        *flags |= REF_IE;
    if (ref_is_nan(a) || ref_is_inf(a))
        return sign | max << fraction | (uint64_t)((a & 0x3ff) | (ref_is_nan(a) ? 0x200 : 0)) << (fraction - 10);
    ref_note(a, flags);
    if (bits == 64) {
        double d = to_double(a & 0x7fff);
        memcpy(&r, &d, sizeof d);
    } else {
        float s = to_double(a & 0x7fff);
        uint32_t t;
        memcpy(&t, &s, sizeof s);
        r = t;
    }
    return sign | r;
}

/* A half of 32 or 64 bits. */
static uint16_t narrowed(uint64_t a, unsigned bits, const Way *w, unsigned *flags)
{
    unsigned fraction = bits == 32 ? 23 : 52, exponent = a >> fraction & (bits == 32 ? 0xff : 0x7ff);
    unsigned max = bits == 32 ? 0xff : 0x7ff;
    uint64_t f = truncated(a, fraction);
    bool negative = a >> (bits - 1) & 1;
    if (exponent == max && f) {
        if (!(f >> (fraction - 1)))
            *flags |= REF_IE;
        return negative << 15 | 0x7e00 | f >> (fraction - 10);
    }
    if (exponent == max || (!exponent && (!f || w->daz)))
        return negative << 15 | (exponent ? 0x7c00 : 0);
    if (!exponent)
        *flags |= REF_DE;
    int scale = (int)(exponent ? exponent : 1) - (int)(max >> 1) - (int)fraction + REF_UNIT;
    Exact m = f | (exponent ? UINT64_C(1) << fraction : 0);
    if (scale >= 0)
        return ref_pack(negative, m << MIN(scale, 60), false, w->mode, flags);
    scale = MIN(-scale, 100);
    return ref_pack(negative, m >> scale, (m >> scale << scale) != m, w->mode, flags);
}

static void check_widening(Form f, unsigned bits)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t expected[32] = { 0 };
        unsigned flags = 0;
        fill_registers();
        Vec old = cpu->vec[0];
        Way w = choose_way(&f, 128 / bits);
        for (unsigned n = 0; n < 512 / bits; n++)
            if (w.selected >> n & 1)
                expected[n] = widened(VEC_W(cpu->vec[2], n), bits, &flags);
        g_assert_cmpint(run(&f, &w, true), ==, -1);
        if (f.scalar)
            check_scalar(&old, &cpu->vec[1], expected[0], bits, &w);
        else
            check_lanes(&old, expected, bits, (128 / bits) << w.length, &w);
        check_flags(&w, flags);
    }
}

/* Numbers about the range of halves, now and then anything. */
static void fill_wide(unsigned bits)
{
    for (unsigned n = 0; n < 512 / bits; n++) {
        uint64_t v = next_random();
        unsigned exponent = next_random() % 50, none = 0;
        if (next_random() % 4 == 0)
            v = widened(random_half(), bits, &none);
        else if (next_random() % 8 == 0)
            v &= bits == 32 ? 0x807fffff : UINT64_C(0x800fffffffffffff); /* a denormal */
        else if (bits == 32)
            v = (v & 0x807fffff) | (127 - 30 + exponent) << 23;
        else if (next_random() % 4)
            v = (v & UINT64_C(0x800fffffffffffff)) | (uint64_t)(1023 - 30 + exponent) << 52;
        if (bits == 32)
            VEC_D(cpu->vec[2], n) = v;
        else
            cpu->vec[2].q[n] = v;
    }
}

static void check_narrowing(Form f, unsigned bits)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t expected[32] = { 0 };
        unsigned flags = 0;
        fill_registers();
        fill_wide(bits);
        Vec old = cpu->vec[0];
        Way w = choose_way(&f, 128 / bits);
        for (unsigned n = 0; n < 512 / bits; n++)
            if (w.selected >> n & 1)
                expected[n] = narrowed(lane_of(&cpu->vec[2], bits, n), bits, &w, &flags);
        g_assert_cmpint(run(&f, &w, true), ==, -1);
        if (f.scalar)
            check_scalar(&old, &cpu->vec[1], expected[0], 16, &w);
        else
            check_lanes(&old, expected, 16, (128 / bits) << w.length, &w);
        check_flags(&w, flags);
    }
}

static void test_formats(void)
{
    check_widening((Form){ MAP_6, P66, 0x13, .sae = true, .unary = true }, 32);
    check_widening((Form){ MAP_5, NP, 0x5a, .sae = true, .unary = true }, 64);
    check_widening((Form){ MAP_6, NP, 0x13, .sae = true, .scalar = true }, 32);
    check_widening((Form){ MAP_5, PF3, 0x5a, .sae = true, .scalar = true }, 64);
    check_narrowing((Form){ MAP_5, P66, 0x1d, .er = true, .unary = true }, 32);
    check_narrowing((Form){ MAP_5, P66, 0x5a, .w = true, .er = true, .unary = true }, 64);
    check_narrowing((Form){ MAP_5, NP, 0x1d, .er = true, .scalar = true }, 32);
    check_narrowing((Form){ MAP_5, PF2, 0x5a, .w = true, .er = true, .scalar = true }, 64);
}

/* ---- complex numbers ---- */

/* SDM vol. 2C VFMADDCPH and its kin, step by step. */
static uint32_t complex_lane(uint32_t a, uint32_t b, uint32_t c, bool adds, bool conjugate, unsigned mode,
                             unsigned *flags)
{
    uint16_t a0 = a, a1 = a >> 16, b0 = b, b1 = b >> 16;
    uint16_t t0 = ref_muladd(a0, b0, c, adds, mode, flags), t1 = ref_muladd(a1, b0, c >> 16, adds, mode, flags);
    uint16_t d0 = ref_muladd(conjugate ? a1 : ref_negate(a1), b1, t0, true, mode, flags);
    uint16_t d1 = ref_muladd(conjugate ? ref_negate(a0) : a0, b1, t1, true, mode, flags);
    return (uint32_t)d1 << 16 | d0;
}

static void check_complex(const Form *f, bool adds, bool conjugate)
{
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t expected[16] = { 0 };
        unsigned flags = 0;
        fill_registers();
        Vec old = cpu->vec[0];
        Way w = choose_way(f, 4);
        for (unsigned n = 0; n < 16; n++)
            if (w.selected >> n & 1)
                expected[n] = complex_lane(VEC_D(cpu->vec[1], n), VEC_D(cpu->vec[2], n), VEC_D(old, n), adds,
                                           conjugate, w.mode, &flags);
        g_assert_cmpint(run(f, &w, true), ==, -1);
        if (f->scalar)
            check_scalar(&old, &cpu->vec[1], expected[0], 32, &w);
        else
            check_lanes(&old, expected, 32, 4u << w.length, &w);
        check_flags(&w, flags);
    }
}

static void test_complex(void)
{
    for (unsigned scalar = 0; scalar < 2; scalar++)
        for (unsigned conjugate = 0; conjugate < 2; conjugate++) {
            uint8_t prefix = conjugate ? PF2 : PF3;
            check_complex(&(Form){ MAP_6, prefix, 0x56 + scalar, .er = true, .scalar = scalar }, true, conjugate);
            check_complex(&(Form){ MAP_6, prefix, 0xd6 + scalar, .er = true, .scalar = scalar }, false, conjugate);
        }
}

/* The destination is none of the sources; exceptions count as masked. */
static void test_complex_exceptions(void)
{
    const uint8_t vvvv_same[] = { 0x62, 0xf6, 0x7e, 0x48, 0x56, 0xc2 };  /* vfmaddcph zmm0, zmm0, zmm2 */
    const uint8_t rm_same[] = { 0x62, 0xf6, 0x76, 0x48, 0xd6, 0xc0 };    /* vfmulcph zmm0, zmm1, zmm0 */
    const uint8_t distinct[] = { 0x62, 0xf6, 0x76, 0x48, 0xd6, 0xc2 };
    g_assert_cmpint(execute(vvvv_same, 6), ==, EXC_UD);
    g_assert_cmpint(execute(rm_same, 6), ==, EXC_UD);
    memset(&cpu->vec[1], 0x7c, sizeof cpu->vec[1]); /* signalling NaNs */
    cpu->mxcsr = 0;
    g_assert_cmpint(execute(distinct, 6), ==, -1);
    g_assert_cmphex(cpu->mxcsr, ==, REF_IE);
}

/* ---- unmasked exceptions, moves, encodings ---- */

/* #XM before anything is written, unless the lane is masked off or exceptions are suppressed. */
static void test_unmasked(void)
{
    const uint8_t all[] = { 0x62, 0xf5, 0x74, 0x48, 0x58, 0xc2 }; /* vaddph zmm0, zmm1, zmm2 */
    const uint8_t masked[] = { 0x62, 0xf5, 0x74, 0x49, 0x58, 0xc2 };
    const uint8_t suppressed[] = { 0x62, 0xf5, 0x74, 0x18, 0x58, 0xc2 };
    cpu->cr4 |= CR4_OSXMMEXCPT;
    for (unsigned reg = 0; reg < 3; reg++)
        memset(&cpu->vec[reg], 0, sizeof cpu->vec[reg]);
    VEC_W(cpu->vec[1], 5) = 0x7d00;
    VEC_W(cpu->vec[0], 5) = 0x1234;
    cpu->opmask[1] = ~UINT64_C(0x20);
    cpu->mxcsr = 0x1f80 & ~BIT(7);
    g_assert_cmpint(execute(all, 6), ==, EXC_XM);
    g_assert_cmphex(VEC_W(cpu->vec[0], 5), ==, 0x1234);
    g_assert_cmphex(cpu->mxcsr & 0x3f, ==, REF_IE);
    cpu->mxcsr = 0x1f80 & ~BIT(7);
    g_assert_cmpint(execute(masked, 6), ==, -1);
    g_assert_cmphex(VEC_W(cpu->vec[0], 5), ==, 0x1234);
    g_assert_cmphex(cpu->mxcsr & 0x3f, ==, 0);
    g_assert_cmpint(execute(suppressed, 6), ==, -1);
    g_assert_cmphex(VEC_W(cpu->vec[0], 5), ==, 0x7f00);
    g_assert_cmphex(cpu->mxcsr & 0x3f, ==, 0);
}

LANE(move, b)

static void test_moves(void)
{
    const uint8_t to_vector[] = { 0x62, 0xf5, 0x7d, 0x08, 0x6e, 0xc2 };   /* vmovw xmm0, edx */
    const uint8_t to_general[] = { 0x62, 0xf5, 0x7d, 0x08, 0x7e, 0xd0 };  /* vmovw edx, xmm2 */
    const uint8_t back[] = { 0x62, 0xf5, 0x76, 0x08, 0x11, 0xd0 };        /* vmovsh xmm0, xmm1, xmm2 */
    const Way whole = { .selected = 1 };
    check_half(&(Form){ MAP_5, PF3, 0x10, .scalar = true }, lane_move, false);
    fill_registers();
    Vec old = cpu->vec[0];
    g_assert_cmpint(execute(back, 6), ==, -1);
    check_scalar(&old, &cpu->vec[1], VEC_W(cpu->vec[2], 0), 16, &whole);
    cpu->gpr[R_DX] = UINT64_C(0xfedcba9876543210);
    g_assert_cmpint(execute(to_vector, 6), ==, -1);
    check_lanes(&old, (uint64_t[]){ 0x3210 }, 16, 1, &whole);
    VEC_W(cpu->vec[0], 0) = 0x8765;
    g_assert_cmpint(execute((const uint8_t[]){ 0x62, 0xf5, 0x7d, 0x08, 0x7e, 0xc2 }, 6), ==, -1);
    g_assert_cmphex(cpu->gpr[R_DX], ==, 0x8765);
    g_assert_cmpint(execute(to_general, 6), ==, -1);
    g_assert_cmphex(cpu->gpr[R_AX], ==, VEC_W(cpu->vec[2], 0));
}

/* The 8-bit displacement 1 by the tuple that the manual names for each. */
static void test_displacements(void)
{
    static const struct {
        uint8_t code[7];
        int scale;
    } cases[] = {
        { { 0x62, 0xf5, 0x74, 0x48, 0x58, 0x40, 1 }, 64 }, { { 0x62, 0xf5, 0x74, 0x58, 0x58, 0x40, 1 }, 2 },
        { { 0x62, 0xf5, 0x76, 0x48, 0x58, 0x40, 1 }, 2 },  { { 0x62, 0xf5, 0x7c, 0x48, 0x5a, 0x40, 1 }, 16 },
        { { 0x62, 0xf5, 0xfd, 0x28, 0x5a, 0x40, 1 }, 32 }, { { 0x62, 0xf6, 0x7d, 0x08, 0x13, 0x40, 1 }, 8 },
        { { 0x62, 0xf5, 0x7d, 0x28, 0x7b, 0x40, 1 }, 8 },  { { 0x62, 0xf6, 0x76, 0x58, 0x56, 0x40, 1 }, 4 },
        { { 0x62, 0xf6, 0x76, 0x08, 0x57, 0x40, 1 }, 4 },  { { 0x62, 0xf5, 0x76, 0x08, 0x2a, 0x40, 1 }, 4 },
        { { 0x62, 0xf5, 0xf6, 0x08, 0x2a, 0x40, 1 }, 8 },  { { 0x62, 0xf5, 0xfe, 0x08, 0x2d, 0x40, 1 }, 2 },
        { { 0x62, 0xf5, 0xf7, 0x08, 0x5a, 0x40, 1 }, 8 },  { { 0x62, 0xf5, 0x7d, 0x08, 0x6e, 0x40, 1 }, 2 },
        { { 0x62, 0xf5, 0x7e, 0x08, 0x11, 0x40, 1 }, 2 },
    };
    for (unsigned k = 0; k < ARRAY_SIZE(cases); k++) {
        Insn insn;
        g_assert_cmpint(insn_decode(decoder, SZ64, cases[k].code, 7, &insn), ==, 7);
        g_assert_cmpuint(insn.row, !=, INSN_ROW_BAD);
        g_assert_cmpint(insn.disp, ==, cases[k].scale);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    start();
    g_test_add_func("/fp16/arithmetic", test_arithmetic);
    g_test_add_func("/fp16/fma", test_fma);
    g_test_add_func("/fp16/parts", test_parts);
    g_test_add_func("/fp16/approximations", test_approximations);
    g_test_add_func("/fp16/comparison", test_comparison);
    g_test_add_func("/fp16/integers", test_integers);
    g_test_add_func("/fp16/general-registers", test_general_registers);
    g_test_add_func("/fp16/formats", test_formats);
    g_test_add_func("/fp16/complex", test_complex);
    g_test_add_func("/fp16/complex/exceptions", test_complex_exceptions);
    g_test_add_func("/fp16/unmasked", test_unmasked);
    g_test_add_func("/fp16/moves", test_moves);
    g_test_add_func("/fp16/displacements", test_displacements);
    return g_test_run();
}
