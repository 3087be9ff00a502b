/*
 * SSE4.2 string comparison: PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM (SDM vol. 1 12.10, vol. 2 section 4.1).
 */
#include "cpu/avx.h"
#include "cpu/flags.h"

enum { AGGREGATE_ANY, AGGREGATE_RANGES, AGGREGATE_EACH, AGGREGATE_ORDERED };

/* An operand as elements, of which the first `length` are valid. */
typedef struct StringOperand {
    int element[16];
    unsigned length;
} StringOperand;

static unsigned string_lanes(unsigned imm) { return imm & 1 ? 8 : 16; }

/* imm8 bit 0: words, bit 1: signed.  Ends at the first zero. */
static void string_read(StringOperand *s, const Vec *v, unsigned imm)
{
    unsigned n = string_lanes(imm);
    s->length = n;
    for (unsigned j = n; j-- > 0;) {
        unsigned raw = imm & 1 ? VEC_W(*v, j) : VEC_B(*v, j);
        s->element[j] = imm & 2 ? (imm & 1 ? (int16_t)raw : (int8_t)raw) : (int)raw;
        if (!raw)
            s->length = j;
    }
}

/* The explicit length in a register: its absolute value, at most all lanes. */
static unsigned explicit_length(const Cpu *cpu, const Insn *i, unsigned reg)
{
    int64_t v = i->osz == SZ64 ? (int64_t)reg64(cpu, reg) : (int32_t)reg32(cpu, reg);
    uint64_t length = v < 0 ? -(uint64_t)v : (uint64_t)v;
    return MIN(length, string_lanes(i->imm));
}

static bool match_any(const StringOperand *a, int c)
{
    for (unsigned k = 0; k < a->length; k++)
        if (a->element[k] == c)
            return true;
    return false;
}
static bool match_ranges(const StringOperand *a, int c)
{
    for (unsigned k = 0; k + 1 < a->length; k += 2)
        if (a->element[k] <= c && c <= a->element[k + 1])
            return true;
    return false;
}
/* Whether a is found in b at lane j, as far as the register reaches. */
static bool match_ordered(const StringOperand *a, const StringOperand *b, unsigned j, unsigned lanes)
{
    for (unsigned k = 0; k < a->length && j + k < lanes; k++)
        if (j + k >= b->length || a->element[k] != b->element[j + k])
            return false;
    return true;
}

static bool match_lane(const StringOperand *a, const StringOperand *b, unsigned j, unsigned imm)
{
    bool valid = j < b->length;
    switch (imm >> 2 & 3) {
    case AGGREGATE_ANY: return valid && match_any(a, b->element[j]);
    case AGGREGATE_RANGES: return valid && match_ranges(a, b->element[j]);
    case AGGREGATE_EACH: return j < a->length ? valid && a->element[j] == b->element[j] : !valid;
    default: return match_ordered(a, b, j, string_lanes(imm));
    }
}

/* IntRes2 of the manual, with the flags set. */
static unsigned string_compare(Cpu *cpu, const StringOperand *a, const StringOperand *b, unsigned imm)
{
    unsigned lanes = string_lanes(imm), result = 0;
    for (unsigned j = 0; j < lanes; j++)
        result |= (unsigned)match_lane(a, b, j, imm) << j;
    if (imm & 0x10)
        result ^= imm & 0x20 ? bit_mask(b->length) : bit_mask(lanes);
    cpu->cc_z = b->length == lanes;
    cpu->cc_sp = (a->length < lanes ? BIT(63) : 0) | 1;
    set_cf_of_af(cpu, result != 0, result & 1, false);
    return result;
}

/* imm8 bit 6: the last match, else the first. */
static void string_index(Cpu *cpu, unsigned result, unsigned imm)
{
    unsigned index = string_lanes(imm);
    if (result)
        index = imm & 0x40 ? bit_highest(result) : bit_lowest(result);
    set_reg32(cpu, R_CX, index);
}

/* imm8 bit 6: a mask of lanes, else of bits. */
static void string_mask(Cpu *cpu, unsigned result, unsigned imm)
{
    Vec *d = &cpu->vec[0];
    d->q[0] = imm & 0x40 ? 0 : result;
    d->q[1] = 0;
    if (!(imm & 0x40))
        return;
    for (unsigned j = 0; j < string_lanes(imm); j++) {
        if (imm & 1)
            VEC_W(*d, j) = result >> j & 1 ? 0xffff : 0;
        else
            VEC_B(*d, j) = result >> j & 1 ? 0xff : 0;
    }
}

static void string_operands(Cpu *cpu, const Insn *i, const Vec *s, StringOperand *a, StringOperand *b)
{
    string_read(a, &cpu->vec[i->reg], i->imm);
    string_read(b, s, i->imm);
}
static void string_operands_explicit(Cpu *cpu, const Insn *i, const Vec *s, StringOperand *a, StringOperand *b)
{
    string_operands(cpu, i, s, a, b);
    a->length = explicit_length(cpu, i, R_AX);
    b->length = explicit_length(cpu, i, R_DX);
}

/* The memory operand needs no alignment. */
#define SSE_STRING(name, operands, output)                                                                             \
    static inline void sse_##name##_op(Cpu *cpu, const Insn *i, const Vec *s)                                          \
    {                                                                                                                  \
        StringOperand a, b;                                                                                            \
        operands(cpu, i, s, &a, &b);                                                                                   \
        output(cpu, string_compare(cpu, &a, &b, i->imm), i->imm);                                                      \
    }                                                                                                                  \
    SSE_FORMS(name, vec_load_u)

SSE_STRING(pcmpestri, string_operands_explicit, string_index)
SSE_STRING(pcmpestrm, string_operands_explicit, string_mask)
SSE_STRING(pcmpistri, string_operands, string_index)
SSE_STRING(pcmpistrm, string_operands, string_mask)

/* With VEX the mask's register is cleared above; the index is not of a vector. */
#define AVX_STRING_MASK(name)                                                                                          \
    static void avx_##name##_r(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        sse_##name##_r(cpu, i);                                                                                        \
        avx_clear_above(cpu, 0, 16);                                                                                   \
    }                                                                                                                  \
    static void avx_##name##_m(Cpu *cpu, const Insn *i)                                                                \
    {                                                                                                                  \
        sse_##name##_m(cpu, i);                                                                                        \
        avx_clear_above(cpu, 0, 16);                                                                                   \
    }                                                                                                                  \
    SEM_RM(avx_##name)
AVX_STRING_MASK(pcmpestrm)
AVX_STRING_MASK(pcmpistrm)
