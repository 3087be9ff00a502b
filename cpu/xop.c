/*
 * XOP: AMD's integer instructions with four operands, rotates, shifts by lanes and horizontal sums (AMD APM vol. 4),
 * and VPERMIL2PS and VPERMIL2PD.  Of three sources the last is in the immediate; where W may be set, it exchanges that one
 * with ModRM.rm, or the first with ModRM.rm where there are only two.
 */
#include "cpu/avx.h"

static int64_t signed_lane(const Vec *v, unsigned bits, unsigned n) { return sign_extend(vec_lane(v, bits, n), bits); }

static const Vec *immediate_register(const Cpu *cpu, const Insn *i) { return &cpu->vec[i->imm >> 4 & 15]; }

/* What stands in ModRM.rm and another operand, in the order that W gives. */
static void two_sources(Cpu *cpu, const Insn *i, bool w, Vec *tmp, const Vec *other, const Vec **first,
                        const Vec **second)
{
    const Vec *rm = avx_source_whole(cpu, i, tmp, 64);
    *first = w ? other : rm;
    *second = w ? rm : other;
}

/* Rows of their own for W0 and W1. */
#define W_FORMS(name, function, ...)                                                                                   \
    static void xop_##name(Cpu *cpu, const Insn *i) { function(cpu, i, false, ##__VA_ARGS__); }                        \
    SEM_1(xop_##name)                                                                                                  \
    static void xop_##name##_w1(Cpu *cpu, const Insn *i) { function(cpu, i, true, ##__VA_ARGS__); }                    \
    SEM_1(xop_##name##_w1)

/* ---- multiply and accumulate ---- */

static int64_t add_saturated(int64_t a, int64_t b, unsigned bits)
{
    int64_t sum, largest = bit_mask(bits - 1);
    if (__builtin_add_overflow(a, b, &sum))
        return b < 0 ? -largest - 1 : largest;
    return CLAMP(sum, -largest - 1, largest);
}

/* Products of lanes of `from` bits, each the one numbered `which` of those within a lane of `to` bits of the sum. */
static void multiply_add(Cpu *cpu, const Insn *i, unsigned from, unsigned to, unsigned which, bool saturate)
{
    Vec tmp, r;
    const Vec *a = &cpu->vec[i->vreg], *b = avx_source_whole(cpu, i, &tmp, 64), *sum = immediate_register(cpu, i);
    for (unsigned n = 0; n < 128 / to; n++) {
        unsigned k = n * (to / from) + which;
        int64_t product = signed_lane(a, from, k) * signed_lane(b, from, k), c = signed_lane(sum, to, n);
        vec_set_lane(&r, to, n, saturate ? add_saturated(product, c, to) : (int64_t)((uint64_t)product + (uint64_t)c));
    }
    avx_write(cpu, i, i->reg, &r, 64);
}

#define MULTIPLY_ADD(name, from, to, which)                                                                            \
    static void xop_vpmacs##name(Cpu *cpu, const Insn *i) { multiply_add(cpu, i, from, to, which, false); }            \
    SEM_1(xop_vpmacs##name)                                                                                            \
    static void xop_vpmacss##name(Cpu *cpu, const Insn *i) { multiply_add(cpu, i, from, to, which, true); }            \
    SEM_1(xop_vpmacss##name)
MULTIPLY_ADD(ww, 16, 16, 0)
MULTIPLY_ADD(wd, 16, 32, 1)
MULTIPLY_ADD(dd, 32, 32, 0)
MULTIPLY_ADD(dql, 32, 64, 0)
MULTIPLY_ADD(dqh, 32, 64, 1)

/* Both products of a pair of words. */
static void multiply_add_pairs(Cpu *cpu, const Insn *i, bool saturate)
{
    Vec tmp, r;
    const Vec *a = &cpu->vec[i->vreg], *b = avx_source_whole(cpu, i, &tmp, 64), *sum = immediate_register(cpu, i);
    for (unsigned n = 0; n < 4; n++) {
        int64_t products = signed_lane(a, 16, 2 * n) * signed_lane(b, 16, 2 * n) +
                           signed_lane(a, 16, 2 * n + 1) * signed_lane(b, 16, 2 * n + 1);
        int64_t c = signed_lane(sum, 32, n);
        vec_set_lane(&r, 32, n, saturate ? add_saturated(products, c, 32) : products + c);
    }
    avx_write(cpu, i, i->reg, &r, 64);
}
static void xop_vpmadcswd(Cpu *cpu, const Insn *i) { multiply_add_pairs(cpu, i, false); }
SEM_1(xop_vpmadcswd)
static void xop_vpmadcsswd(Cpu *cpu, const Insn *i) { multiply_add_pairs(cpu, i, true); }
SEM_1(xop_vpmadcsswd)

/* ---- selections ---- */

static void move_bits(Cpu *cpu, const Insn *i, bool w)
{
    Vec tmp, r;
    const Vec *a = &cpu->vec[i->vreg], *b, *selector;
    two_sources(cpu, i, w, &tmp, immediate_register(cpu, i), &b, &selector);
    for (unsigned j = 0; j < avx_qwords(i); j++)
        r.q[j] = (a->q[j] & selector->q[j]) | (b->q[j] & ~selector->q[j]);
    avx_write(cpu, i, i->reg, &r, 64);
}
W_FORMS(vpcmov, move_bits)

static uint8_t reversed(uint8_t v)
{
    uint8_t r = 0;
    for (unsigned k = 0; k < 8; k++)
        r |= (v >> k & 1) << (7 - k);
    return r;
}

/* Bits 7:5 of a selector. */
static uint8_t permuted(uint8_t v, unsigned operation)
{
    switch (operation) {
    case 0: return v;
    case 1: return ~v;
    case 2: return reversed(v);
    case 3: return reversed(~v);
    case 4: return 0;
    case 5: return 0xff;
    case 6: return v & 0x80 ? 0xff : 0;
    default: return v & 0x80 ? 0 : 0xff;
    }
}

static void permute_bytes(Cpu *cpu, const Insn *i, bool w)
{
    Vec tmp, r;
    const Vec *a = &cpu->vec[i->vreg], *b, *selector;
    two_sources(cpu, i, w, &tmp, immediate_register(cpu, i), &b, &selector);
    for (unsigned n = 0; n < 16; n++) {
        uint8_t s = VEC_B(*selector, n);
        VEC_B(r, n) = permuted(VEC_B(*(s & 16 ? b : a), s & 15), s >> 5);
    }
    avx_write(cpu, i, i->reg, &r, 64);
}
W_FORMS(vpperm, permute_bytes)

/* A lane of either source within the same 128 bits; bit 3 of the selector zeroes where imm8 bits 1:0 say so. */
static void permute_two(Cpu *cpu, const Insn *i, bool w, unsigned bits)
{
    Vec tmp, r;
    const Vec *a = &cpu->vec[i->vreg], *b, *selector;
    unsigned lanes = 128 / bits, low = bits == 64 ? 1 : 0;
    two_sources(cpu, i, w, &tmp, immediate_register(cpu, i), &b, &selector);
    for (unsigned n = 0; n < avx_lanes(i, bits); n++) {
        unsigned s = vec_lane(selector, bits, n), from = (n & ~(lanes - 1)) | (s >> low & (lanes - 1));
        bool zero = ((i->imm & 3) ^ (s >> 3 & 1)) == 3;
        vec_set_lane(&r, bits, n, zero ? 0 : vec_lane(s & 4 ? b : a, bits, from));
    }
    avx_write(cpu, i, i->reg, &r, 64);
}
W_FORMS(vpermil2ps, permute_two, 32)
W_FORMS(vpermil2pd, permute_two, 64)

/* ---- comparisons ---- */

/* order: -1, 0 or 1; predicate: imm8 bits 2:0. */
static bool predicate_holds(int order, unsigned predicate)
{
    switch (predicate) {
    case 0: return order < 0;
    case 1: return order <= 0;
    case 2: return order > 0;
    case 3: return order >= 0;
    case 4: return order == 0;
    case 5: return order != 0;
    default: return predicate == 7;
    }
}

static void compare(Cpu *cpu, const Insn *i, unsigned bits, bool is_signed)
{
    Vec tmp, r;
    const Vec *a = &cpu->vec[i->vreg], *b = avx_source_whole(cpu, i, &tmp, 64);
    uint64_t bias = is_signed ? BIT(bits - 1) : 0;
    for (unsigned n = 0; n < 128 / bits; n++) {
        uint64_t x = vec_lane(a, bits, n) ^ bias, y = vec_lane(b, bits, n) ^ bias;
        vec_set_lane(&r, bits, n, predicate_holds((x > y) - (x < y), i->imm & 7) ? ~UINT64_C(0) : 0);
    }
    avx_write(cpu, i, i->reg, &r, 64);
}

#define COMPARE(name, bits, is_signed)                                                                                 \
    static void xop_vpcom##name(Cpu *cpu, const Insn *i) { compare(cpu, i, bits, is_signed); }                         \
    SEM_1(xop_vpcom##name)
COMPARE(b, 8, true)
COMPARE(w, 16, true)
COMPARE(d, 32, true)
COMPARE(q, 64, true)
COMPARE(ub, 8, false)
COMPARE(uw, 16, false)
COMPARE(ud, 32, false)
COMPARE(uq, 64, false)

/* ---- rotates and shifts: the count is the low byte of its lane, to the left where positive ---- */

static uint64_t rotated(uint64_t v, int count, unsigned bits)
{
    unsigned left = (unsigned)count & (bits - 1);
    return left ? v << left | v >> (bits - left) : v;
}
static uint64_t shifted(uint64_t v, int count, unsigned bits)
{
    return count >= 0 ? v << (count & (bits - 1)) : v >> (-count & (bits - 1));
}
static uint64_t shifted_signed(uint64_t v, int count, unsigned bits)
{
    return count >= 0 ? v << (count & (bits - 1)) : (uint64_t)(sign_extend(v, bits) >> (-count & (bits - 1)));
}

typedef uint64_t ShiftFn(uint64_t v, int count, unsigned bits);

static void shift_by_lanes(Cpu *cpu, const Insn *i, bool w, ShiftFn *shift, unsigned bits)
{
    Vec tmp, r;
    const Vec *counts, *v, *vreg = &cpu->vec[i->vreg];
    two_sources(cpu, i, w, &tmp, vreg, &v, &counts);
    for (unsigned n = 0; n < 128 / bits; n++)
        vec_set_lane(&r, bits, n, shift(vec_lane(v, bits, n), (int8_t)vec_lane(counts, bits, n), bits));
    avx_write(cpu, i, i->reg, &r, 64);
}

static void rotate_by_immediate(Cpu *cpu, const Insn *i, unsigned bits)
{
    Vec tmp, r;
    const Vec *v = avx_source_whole(cpu, i, &tmp, 64);
    for (unsigned n = 0; n < 128 / bits; n++)
        vec_set_lane(&r, bits, n, rotated(vec_lane(v, bits, n), i->imm, bits));
    avx_write(cpu, i, i->reg, &r, 64);
}

#define SHIFTS(suffix, bits)                                                                                           \
    W_FORMS(vprot##suffix, shift_by_lanes, rotated, bits)                                                              \
    W_FORMS(vpshl##suffix, shift_by_lanes, shifted, bits)                                                              \
    W_FORMS(vpsha##suffix, shift_by_lanes, shifted_signed, bits)                                                       \
    static void xop_vprot##suffix##_imm(Cpu *cpu, const Insn *i) { rotate_by_immediate(cpu, i, bits); }                \
    SEM_1(xop_vprot##suffix##_imm)
SHIFTS(b, 8)
SHIFTS(w, 16)
SHIFTS(d, 32)
SHIFTS(q, 64)

/* ---- horizontal sums: all lanes of `from` bits within one of `to` bits, or the first less the second ---- */

static void sum_lanes(Cpu *cpu, const Insn *i, unsigned from, unsigned to, bool is_signed, bool subtract)
{
    Vec tmp, r;
    const Vec *v = avx_source_whole(cpu, i, &tmp, 64);
    for (unsigned n = 0; n < 128 / to; n++) {
        uint64_t sum = 0;
        for (unsigned k = 0; k < to / from; k++) {
            uint64_t lane = vec_lane(v, from, n * (to / from) + k);
            lane = is_signed ? (uint64_t)sign_extend(lane, from) : lane;
            sum = subtract && k ? sum - lane : sum + lane;
        }
        vec_set_lane(&r, to, n, sum);
    }
    avx_write(cpu, i, i->reg, &r, 64);
}

#define SUM(name, from, to, is_signed, subtract)                                                                       \
    static void xop_##name(Cpu *cpu, const Insn *i) { sum_lanes(cpu, i, from, to, is_signed, subtract); }              \
    SEM_1(xop_##name)
SUM(vphaddbw, 8, 16, true, false)
SUM(vphaddbd, 8, 32, true, false)
SUM(vphaddbq, 8, 64, true, false)
SUM(vphaddwd, 16, 32, true, false)
SUM(vphaddwq, 16, 64, true, false)
SUM(vphadddq, 32, 64, true, false)
SUM(vphaddubw, 8, 16, false, false)
SUM(vphaddubd, 8, 32, false, false)
SUM(vphaddubq, 8, 64, false, false)
SUM(vphadduwd, 16, 32, false, false)
SUM(vphadduwq, 16, 64, false, false)
SUM(vphaddudq, 32, 64, false, false)
SUM(vphsubbw, 8, 16, true, true)
SUM(vphsubwd, 16, 32, true, true)
SUM(vphsubdq, 32, 64, true, true)
