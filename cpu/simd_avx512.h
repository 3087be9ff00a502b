/*
 * Kernels of integer instructions that came with AVX-512, for any vector width (simd.h; SDM vol. 2, each under its
 * mnemonic).
 */
#ifndef MYNA_CPU_SIMD_AVX512_H
#define MYNA_CPU_SIMD_AVX512_H

#include "cpu/simd_shuffle.h"

/* d = expr(x, y, z) for each lane. */
#define LANES3(name, LANE, bits, type, expr)                                                                           \
    static KERNEL v_##name(Vec *d, const Vec *a, const Vec *b, const Vec *c, unsigned qwords)                          \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        for (unsigned j = 0; j < qwords * (64 / (bits)); j++) {                                                        \
            type x = LANE(*a, j), y = LANE(*b, j), z = LANE(*c, j);                                                    \
            LANE(r, j) = expr;                                                                                         \
        }                                                                                                              \
        vec_copy(d, &r, qwords);                                                                                       \
    }
/* d = expr(x, y, imm), d = expr(x, imm) likewise. */
#define LANES2_IMM(name, LANE, bits, type, expr)                                                                       \
    static KERNEL v_##name(Vec *d, const Vec *a, const Vec *b, unsigned imm, unsigned qwords)                          \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        for (unsigned j = 0; j < qwords * (64 / (bits)); j++) {                                                        \
            type x = LANE(*a, j), y = LANE(*b, j);                                                                     \
            LANE(r, j) = expr;                                                                                         \
        }                                                                                                              \
        vec_copy(d, &r, qwords);                                                                                       \
    }
#define LANES1_IMM(name, LANE, bits, type, expr)                                                                       \
    static KERNEL v_##name(Vec *d, const Vec *a, unsigned imm, unsigned qwords)                                        \
    {                                                                                                                  \
        for (unsigned j = 0; j < qwords * (64 / (bits)); j++) {                                                        \
            type x = LANE(*a, j);                                                                                      \
            LANE(*d, j) = expr;                                                                                        \
        }                                                                                                              \
    }

/* Bit by bit, what imm8 says of the three bits x, y, z as a number. */
static inline uint64_t ternary_logic(uint64_t x, uint64_t y, uint64_t z, unsigned imm)
{
    uint64_t r = 0;
    for (unsigned k = 0; k < 8; k++)
        if (imm >> k & 1)
            r |= (k & 4 ? x : ~x) & (k & 2 ? y : ~y) & (k & 1 ? z : ~z);
    return r;
}

/* Counts of bits; places where equal lanes stand below. */
LANES1(vpopcntb, VEC_B, 8, uint8_t, __builtin_popcount(x))
LANES1(vpopcntw, VEC_W, 16, uint16_t, __builtin_popcount(x))
LANES1(vpopcntd, VEC_D, 32, uint32_t, __builtin_popcount(x))
LANES1(vpopcntq, VEC_Q, 64, uint64_t, __builtin_popcountll(x))
LANES1(vplzcntd, VEC_D, 32, uint32_t, x ? __builtin_clz(x) : 32)
LANES1(vplzcntq, VEC_Q, 64, uint64_t, x ? __builtin_clzll(x) : 64)

#define CONFLICT(name, LANE, bits)                                                                                     \
    static KERNEL v_##name(Vec *d, const Vec *a, unsigned qwords)                                                      \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        for (unsigned j = 0; j < VECTOR_LANES(bits); j++) {                                                            \
            unsigned equal = 0;                                                                                        \
            for (unsigned k = 0; k < j; k++)                                                                           \
                equal |= (LANE(*a, j) == LANE(*a, k)) << k;                                                            \
            LANE(r, j) = equal;                                                                                        \
        }                                                                                                              \
        vec_copy(d, &r, qwords);                                                                                       \
    }
CONFLICT(vpconflictd, VEC_D, 32)
CONFLICT(vpconflictq, VEC_Q, 64)
#undef CONFLICT

/* Rotations, and shifts of two lanes joined; a count is modulo the lane's width. */
#define JOINED_SHIFTS(bits)                                                                                            \
    static inline uint##bits##_t joined_left##bits(uint##bits##_t high, uint##bits##_t low, unsigned count)            \
    {                                                                                                                  \
        count &= (bits) - 1;                                                                                           \
        return count ? (uint64_t)high << count | low >> ((bits) - count) : high;                                       \
    }                                                                                                                  \
    static inline uint##bits##_t joined_right##bits(uint##bits##_t low, uint##bits##_t high, unsigned count)           \
    {                                                                                                                  \
        count &= (bits) - 1;                                                                                           \
        return count ? low >> count | (uint64_t)high << ((bits) - count) : low;                                        \
    }
JOINED_SHIFTS(16)
JOINED_SHIFTS(32)
JOINED_SHIFTS(64)
#undef JOINED_SHIFTS

#define DOUBLE_SHIFTS(suffix, LANE, bits)                                                                              \
    LANES2_IMM(vpshld##suffix, LANE, bits, uint##bits##_t, joined_left##bits(x, y, imm))                               \
    LANES2_IMM(vpshrd##suffix, LANE, bits, uint##bits##_t, joined_right##bits(x, y, imm))                              \
    LANES3(vpshldv##suffix, LANE, bits, uint##bits##_t, joined_left##bits(x, y, z))                                    \
    LANES3(vpshrdv##suffix, LANE, bits, uint##bits##_t, joined_right##bits(x, y, z))
DOUBLE_SHIFTS(w, VEC_W, 16)
DOUBLE_SHIFTS(d, VEC_D, 32)
DOUBLE_SHIFTS(q, VEC_Q, 64)
#undef DOUBLE_SHIFTS

#define ROTATIONS(suffix, LANE, bits)                                                                                  \
    LANES1_IMM(vprol##suffix, LANE, bits, uint##bits##_t, joined_left##bits(x, x, imm))                                \
    LANES1_IMM(vpror##suffix, LANE, bits, uint##bits##_t, joined_right##bits(x, x, imm))                               \
    LANES2(vprolv##suffix, LANE, bits, uint##bits##_t, joined_left##bits(x, x, y))                                     \
    LANES2(vprorv##suffix, LANE, bits, uint##bits##_t, joined_right##bits(x, x, y))
ROTATIONS(d, VEC_D, 32)
ROTATIONS(q, VEC_Q, 64)
#undef ROTATIONS

/* Eight bits of a quadword of b from the bit on that each byte of a names, around its end. */
static KERNEL v_vpmultishiftqb(Vec *d, const Vec *a, const Vec *b, unsigned qwords)
{
    Vec r;
    for (unsigned j = 0; j < VECTOR_LANES(8); j++)
        VEC_B(r, j) = joined_right64(b->q[j / 8], b->q[j / 8], VEC_B(*a, j));
    vec_copy(d, &r, qwords);
}

/* Products of neighbours, added to what is there: VNNI. */
static inline int dot_unsigned_signed(uint32_t a, uint32_t b)
{
    int sum = 0;
    for (unsigned k = 0; k < 32; k += 8)
        sum += (uint8_t)(a >> k) * (int8_t)(b >> k);
    return sum;
}
static inline int64_t dot_words(uint32_t a, uint32_t b)
{
    return (int64_t)((int16_t)a * (int16_t)b) + (int16_t)(a >> 16) * (int16_t)(b >> 16);
}
#define SAT_SD(v) CLAMP(v, INT32_MIN, INT32_MAX)
LANES3(vpdpbusd, VEC_D, 32, uint32_t, x + (uint32_t)dot_unsigned_signed(y, z))
LANES3(vpdpbusds, VEC_D, 32, uint32_t, SAT_SD((int64_t)(int32_t)x + dot_unsigned_signed(y, z)))
LANES3(vpdpwssd, VEC_D, 32, uint32_t, x + (uint32_t)dot_words(y, z))
LANES3(vpdpwssds, VEC_D, 32, uint32_t, SAT_SD((int32_t)x + dot_words(y, z)))

/* Halves of the 104 bits of products of 52-bit numbers, added to what is there: IFMA. */
static inline uint64_t product52_low(uint64_t a, uint64_t b) { return a * b & bit_mask(52); }
static inline uint64_t product52_high(uint64_t a, uint64_t b)
{
    const uint64_t mask = bit_mask(52);
    return (unsigned __int128)(a & mask) * (b & mask) >> 52;
}
LANES3(vpmadd52luq, VEC_Q, 64, uint64_t, x + product52_low(y, z))
LANES3(vpmadd52huq, VEC_Q, 64, uint64_t, x + product52_high(y, z))

/* Sums of absolute differences of four bytes of a and of four of b, whose double words imm8 has put in order. */
static KERNEL v_vdbpsadbw(Vec *d, const Vec *a, const Vec *b, unsigned imm, unsigned qwords)
{
    Vec r, s;
    v_pshufd(&s, b, imm, qwords);
    for (unsigned j = 0; j < VECTOR_LANES(16); j++) {
        unsigned sum = 0, left = (j & -4) * 2 + (j & 2) * 2, right = (j & -4) * 2 + (j & 3);
        for (unsigned k = 0; k < 4; k++) {
            int difference = VEC_B(*a, left + k) - VEC_B(s, right + k);
            sum += difference < 0 ? -difference : difference;
        }
        VEC_W(r, j) = sum;
    }
    vec_copy(d, &r, qwords);
}

/* Lanes of b, or of two vectors, by numbers. */
#define PERMUTE(suffix, LANE, bits)                                                                                    \
    static KERNEL v_vperm##suffix(Vec *d, const Vec *numbers, const Vec *b, unsigned qwords)                           \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        for (unsigned j = 0; j < VECTOR_LANES(bits); j++)                                                              \
            LANE(r, j) = LANE(*b, LANE(*numbers, j) & (VECTOR_LANES(bits) - 1));                                       \
        vec_copy(d, &r, qwords);                                                                                       \
    }                                                                                                                  \
    static KERNEL v_vpermt2##suffix(Vec *d, const Vec *a, const Vec *numbers, const Vec *b, unsigned qwords)           \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        for (unsigned j = 0; j < VECTOR_LANES(bits); j++) {                                                            \
            unsigned n = LANE(*numbers, j) & (2 * VECTOR_LANES(bits) - 1);                                             \
            LANE(r, j) = n < VECTOR_LANES(bits) ? LANE(*a, n) : LANE(*b, n - VECTOR_LANES(bits));                      \
        }                                                                                                              \
        vec_copy(d, &r, qwords);                                                                                       \
    }                                                                                                                  \
    static KERNEL v_vpermi2##suffix(Vec *d, const Vec *numbers, const Vec *a, const Vec *b, unsigned qwords)           \
    {                                                                                                                  \
        v_vpermt2##suffix(d, a, numbers, b, qwords);                                                                   \
    }
PERMUTE(b, VEC_B, 8)
PERMUTE(w, VEC_W, 16)
PERMUTE(d, VEC_D, 32)
PERMUTE(q, VEC_Q, 64)
#undef PERMUTE

/* Quadwords of each 256 bits by two bits each of imm8; lanes of each 128 bits by numbers or imm8. */
static KERNEL v_vpermq_imm(Vec *d, const Vec *a, unsigned imm, unsigned qwords)
{
    Vec r;
    for (unsigned j = 0; j < qwords; j++)
        r.q[j] = a->q[(j & -4) + (imm >> 2 * (j & 3) & 3)];
    vec_copy(d, &r, qwords);
}
static KERNEL v_vpermilps(Vec *d, const Vec *a, const Vec *numbers, unsigned qwords)
{
    Vec r;
    for (unsigned j = 0; j < VECTOR_LANES(32); j++)
        VEC_D(r, j) = VEC_D(*a, (j & -4) + (VEC_D(*numbers, j) & 3));
    vec_copy(d, &r, qwords);
}
static KERNEL v_vpermilpd(Vec *d, const Vec *a, const Vec *numbers, unsigned qwords)
{
    Vec r;
    for (unsigned j = 0; j < qwords; j++)
        r.q[j] = a->q[(j & -2) + (numbers->q[j] >> 1 & 1)];
    vec_copy(d, &r, qwords);
}
static KERNEL v_vpermilpd_imm(Vec *d, const Vec *a, unsigned imm, unsigned qwords)
{
    Vec r;
    for (unsigned j = 0; j < qwords; j++)
        r.q[j] = a->q[(j & -2) + (imm >> j & 1)];
    vec_copy(d, &r, qwords);
}

/* Lanes imm.. of b (low) and a (high) joined. */
#define ALIGN(name, LANE, bits)                                                                                        \
    static KERNEL v_##name(Vec *d, const Vec *a, const Vec *b, unsigned imm, unsigned qwords)                          \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        unsigned n = VECTOR_LANES(bits);                                                                               \
        for (unsigned j = 0; j < n; j++) {                                                                             \
            unsigned k = j + (imm & (n - 1));                                                                          \
            LANE(r, j) = k < n ? LANE(*b, k) : LANE(*a, k - n);                                                        \
        }                                                                                                              \
        vec_copy(d, &r, qwords);                                                                                       \
    }
ALIGN(valignd, VEC_D, 32)
ALIGN(valignq, VEC_Q, 64)
#undef ALIGN

/* Lanes made narrower: d's lanes, as many as a has, fill a half, a quarter or an eighth of it. */
#define NARROW_WITH(name, FROM, from, type, TO, expr)                                                                  \
    static KERNEL v_##name(Vec *d, const Vec *a, unsigned qwords)                                                      \
    {                                                                                                                  \
        for (unsigned j = 0; j < VECTOR_LANES(from); j++) {                                                            \
            type x = FROM(*a, j);                                                                                      \
            TO(*d, j) = expr;                                                                                          \
        }                                                                                                              \
    }
#define NARROW(suffix, FROM, from, TO, to)                                                                             \
    NARROW_WITH(vpmov##suffix, FROM, from, uint##from##_t, TO, x)                                                      \
    NARROW_WITH(vpmovs##suffix, FROM, from, int##from##_t, TO, CLAMP(x, INT##to##_MIN, INT##to##_MAX))                 \
    NARROW_WITH(vpmovus##suffix, FROM, from, uint##from##_t, TO, MIN(x, UINT##to##_MAX))
NARROW(wb, VEC_W, 16, VEC_B, 8)
NARROW(db, VEC_D, 32, VEC_B, 8)
NARROW(dw, VEC_D, 32, VEC_W, 16)
NARROW(qb, VEC_Q, 64, VEC_B, 8)
NARROW(qw, VEC_Q, 64, VEC_W, 16)
NARROW(qd, VEC_Q, 64, VEC_D, 32)
#undef NARROW
#undef NARROW_WITH

#endif
