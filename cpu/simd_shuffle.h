/*
 * Kernels that move lanes about, for any vector width (simd.h; SDM vol. 2, each under its mnemonic).
 */
#ifndef MYNA_CPU_SIMD_SHUFFLE_H
#define MYNA_CPU_SIMD_SHUFFLE_H

#include "cpu/simd_int.h"

/* Lanes of `bits` in a block, and in the whole vector. */
#define BLOCK_LANES(bits) ((qwords == 1 ? 64u : 128u) / (bits))
#define VECTOR_LANES(bits) (qwords * (64u / (bits)))

/* The lanes of a, then those of b, each saturated to half the width, in each block. */
#define PACK(name, FROM, type, TO, bits, SAT)                                                                          \
    static KERNEL v_##name(Vec *d, const Vec *a, const Vec *b, unsigned qwords)                                        \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        unsigned n = BLOCK_LANES(2 * (bits));                                                                          \
        for (unsigned from = 0; from < VECTOR_LANES(2 * (bits)); from += n) {                                          \
            for (unsigned j = 0; j < n; j++)                                                                           \
                TO(r, 2 * from + j) = SAT((type)FROM(*a, from + j));                                                   \
            for (unsigned j = 0; j < n; j++)                                                                           \
                TO(r, 2 * from + n + j) = SAT((type)FROM(*b, from + j));                                               \
        }                                                                                                              \
        vec_copy(d, &r, qwords);                                                                                       \
    }
PACK(packsswb, VEC_W, int16_t, VEC_B, 8, SAT_SB)
PACK(packuswb, VEC_W, int16_t, VEC_B, 8, SAT_UB)
PACK(packssdw, VEC_D, int32_t, VEC_W, 16, SAT_SW)
PACK(packusdw, VEC_D, int32_t, VEC_W, 16, SAT_UW)
#undef PACK

/* The low or high halves of each block of a and b, interleaved. */
#define UNPACK_HALF(name, LANE, bits, high)                                                                            \
    static KERNEL v_##name(Vec *d, const Vec *a, const Vec *b, unsigned qwords)                                        \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        unsigned n = BLOCK_LANES(bits) / 2;                                                                            \
        for (unsigned base = 0; base < VECTOR_LANES(bits); base += 2 * n)                                              \
            for (unsigned j = 0; j < n; j++) {                                                                         \
                LANE(r, base + 2 * j) = LANE(*a, base + (high) * n + j);                                               \
                LANE(r, base + 2 * j + 1) = LANE(*b, base + (high) * n + j);                                           \
            }                                                                                                          \
        vec_copy(d, &r, qwords);                                                                                       \
    }
#define UNPACK(suffix, LANE, bits)                                                                                     \
    UNPACK_HALF(punpckl##suffix, LANE, bits, 0)                                                                        \
    UNPACK_HALF(punpckh##suffix, LANE, bits, 1)
UNPACK(bw, VEC_B, 8)
UNPACK(wd, VEC_W, 16)
UNPACK(dq, VEC_D, 32)
UNPACK(qdq, VEC_Q, 64)
#undef UNPACK
#undef UNPACK_HALF

/* Sums or differences of neighbours: those of a, then those of b, in each block. */
#define HORIZONTAL(name, LANE, bits, type, expr)                                                                       \
    static KERNEL v_##name(Vec *d, const Vec *a, const Vec *b, unsigned qwords)                                        \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        unsigned n = BLOCK_LANES(bits);                                                                                \
        for (unsigned base = 0; base < VECTOR_LANES(bits); base += n)                                                  \
            for (unsigned j = 0; j < n; j++) {                                                                         \
                const Vec *s = j < n / 2 ? a : b;                                                                      \
                unsigned k = base + 2 * j % n;                                                                         \
                type x = LANE(*s, k), y = LANE(*s, k + 1);                                                             \
                LANE(r, base + j) = expr;                                                                              \
            }                                                                                                          \
        vec_copy(d, &r, qwords);                                                                                       \
    }
HORIZONTAL(phaddw, VEC_W, 16, uint16_t, x + y)
HORIZONTAL(phaddd, VEC_D, 32, uint32_t, x + y)
HORIZONTAL(phaddsw, VEC_W, 16, int16_t, SAT_SW(x + y))
HORIZONTAL(phsubw, VEC_W, 16, uint16_t, x - y)
HORIZONTAL(phsubd, VEC_D, 32, uint32_t, x - y)
HORIZONTAL(phsubsw, VEC_W, 16, int16_t, SAT_SW(x - y))
#undef HORIZONTAL

static KERNEL v_pshufb(Vec *d, const Vec *a, const Vec *b, unsigned qwords)
{
    Vec r;
    unsigned n = BLOCK_LANES(8);
    for (unsigned j = 0; j < VECTOR_LANES(8); j++) {
        uint8_t select = VEC_B(*b, j);
        VEC_B(r, j) = select & 0x80 ? 0 : VEC_B(*a, (j & -n) + (select & (n - 1)));
    }
    vec_copy(d, &r, qwords);
}

/* Bytes imm.. of b (low) and a (high) joined, in each block. */
static KERNEL v_palignr(Vec *d, const Vec *a, const Vec *b, unsigned imm, unsigned qwords)
{
    Vec r;
    unsigned n = BLOCK_LANES(8);
    for (unsigned base = 0; base < VECTOR_LANES(8); base += n)
        for (unsigned j = 0; j < n; j++) {
            unsigned k = j + imm;
            VEC_B(r, base + j) = k < n ? VEC_B(*b, base + k) : k < 2 * n ? VEC_B(*a, base + k - n) : 0;
        }
    vec_copy(d, &r, qwords);
}

/* Lanes picked by two bits each of imm8. */
static KERNEL v_pshufd(Vec *d, const Vec *a, unsigned imm, unsigned qwords)
{
    Vec r;
    for (unsigned j = 0; j < qwords * 2; j++)
        VEC_D(r, j) = VEC_D(*a, (j & -4) + (imm >> 2 * (j & 3) & 3));
    vec_copy(d, &r, qwords);
}
static inline __attribute__((always_inline)) uint64_t shuffle_words(const Vec *a, unsigned q, unsigned imm)
{
    uint64_t r = 0;
    for (unsigned j = 0; j < 4; j++)
        r |= (uint64_t)VEC_W(*a, 4 * q + (imm >> 2 * j & 3)) << 16 * j;
    return r;
}
static KERNEL v_pshufw(Vec *d, const Vec *a, unsigned imm, unsigned qwords)
{
    for (unsigned j = 0; j < qwords; j++)
        d->q[j] = shuffle_words(a, j, imm);
}
static KERNEL v_pshuflw(Vec *d, const Vec *a, unsigned imm, unsigned qwords)
{
    for (unsigned j = 0; j < qwords; j += 2) {
        d->q[j] = shuffle_words(a, j, imm);
        d->q[j + 1] = a->q[j + 1];
    }
}
static KERNEL v_pshufhw(Vec *d, const Vec *a, unsigned imm, unsigned qwords)
{
    for (unsigned j = 0; j < qwords; j += 2) {
        d->q[j] = a->q[j];
        d->q[j + 1] = shuffle_words(a, j + 1, imm);
    }
}
static KERNEL v_shufps(Vec *d, const Vec *a, const Vec *b, unsigned imm, unsigned qwords)
{
    Vec r;
    for (unsigned j = 0; j < qwords * 2; j++)
        VEC_D(r, j) = VEC_D(*(j & 2 ? b : a), (j & -4) + (imm >> 2 * (j & 3) & 3));
    vec_copy(d, &r, qwords);
}
static KERNEL v_shufpd(Vec *d, const Vec *a, const Vec *b, unsigned imm, unsigned qwords)
{
    for (unsigned j = 0; j < qwords; j += 2) {
        uint64_t low = a->q[j + (imm >> j & 1)], high = b->q[j + (imm >> (j + 1) & 1)];
        d->q[j] = low;
        d->q[j + 1] = high;
    }
}

/* 256 bits: each half one of the four of a and b, or 0 by bit 3. */
static KERNEL v_perm2f128(Vec *d, const Vec *a, const Vec *b, unsigned imm, unsigned qwords)
{
    Vec r;
    for (unsigned j = 0; j < qwords; j += 2, imm >>= 4) {
        const Vec *s = imm & 2 ? b : a;
        r.q[j] = imm & 8 ? 0 : s->q[(imm & 1) * 2];
        r.q[j + 1] = imm & 8 ? 0 : s->q[(imm & 1) * 2 + 1];
    }
    vec_copy(d, &r, qwords);
}

/* 128-bit blocks: those of the lower half from a, the others from b, each by one bit of imm8 or, of four, two. */
static KERNEL v_shuffle_blocks(Vec *d, const Vec *a, const Vec *b, unsigned imm, unsigned qwords)
{
    Vec r;
    unsigned blocks = qwords / 2, bits = blocks / 2;
    for (unsigned j = 0; j < blocks; j++) {
        const Vec *s = j < blocks / 2 ? a : b;
        unsigned k = imm >> j * bits & (blocks - 1);
        r.q[2 * j] = s->q[2 * k];
        r.q[2 * j + 1] = s->q[2 * k + 1];
    }
    vec_copy(d, &r, qwords);
}

/* INSERTPS: imm8 bits 5:4 name the lane of the destination, 3:0 lanes to clear. */
static inline void vec_insert_float(Vec *d, uint32_t v, unsigned imm)
{
    VEC_D(*d, imm >> 4 & 3) = v;
    for (unsigned j = 0; j < 4; j++)
        if (imm >> j & 1)
            VEC_D(*d, j) = 0;
}

/* Even or odd lanes doubled. */
LANES1(movddup, VEC_Q, 64, uint64_t, j & 1 ? VEC_Q(*a, j - 1) : x)
LANES1(movsldup, VEC_D, 32, uint32_t, j & 1 ? VEC_D(*a, j - 1) : x)
LANES1(movshdup, VEC_D, 32, uint32_t, j & 1 ? x : VEC_D(*a, j + 1))

/* Lanes of b where imm8 has a 1; word masks repeat in each block. */
#define BLEND(name, LANE, bits, period)                                                                                \
    static KERNEL v_##name(Vec *d, const Vec *a, const Vec *b, unsigned imm, unsigned qwords)                          \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        for (unsigned j = 0; j < VECTOR_LANES(bits); j++)                                                              \
            LANE(r, j) = imm >> j % (period) & 1 ? LANE(*b, j) : LANE(*a, j);                                          \
        vec_copy(d, &r, qwords);                                                                                       \
    }
BLEND(pblendw, VEC_W, 16, 8)
BLEND(blendps, VEC_D, 32, 16)
BLEND(blendpd, VEC_Q, 64, 8)
#undef BLEND

/* Lanes of b where the mask's lane has its top bit set. */
#define BLEND_VARIABLE(name, LANE, bits)                                                                               \
    static KERNEL v_##name(Vec *d, const Vec *a, const Vec *b, const Vec *mask, unsigned qwords)                       \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        for (unsigned j = 0; j < VECTOR_LANES(bits); j++)                                                              \
            LANE(r, j) = LANE(*mask, j) >> ((bits) - 1) ? LANE(*b, j) : LANE(*a, j);                                   \
        vec_copy(d, &r, qwords);                                                                                       \
    }
BLEND_VARIABLE(pblendvb, VEC_B, 8)
BLEND_VARIABLE(blendvps, VEC_D, 32)
BLEND_VARIABLE(blendvpd, VEC_Q, 64)
#undef BLEND_VARIABLE

#endif
