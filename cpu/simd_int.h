/*
 * Kernels of the packed integer instructions, for any vector width (simd.h; SDM vol. 2, each under its mnemonic).
 */
#ifndef MYNA_CPU_SIMD_INT_H
#define MYNA_CPU_SIMD_INT_H

#include "cpu/simd.h"

/* d = expr(x, y) for each lane, where x and y are lanes of a and b read as `type`. */
#define LANES2(name, LANE, bits, type, expr)                                                                           \
    static KERNEL v_##name(Vec *d, const Vec *a, const Vec *b, unsigned qwords)                                        \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        for (unsigned j = 0; j < qwords * (64 / (bits)); j++) {                                                        \
            type x = LANE(*a, j), y = LANE(*b, j);                                                                     \
            LANE(r, j) = expr;                                                                                         \
        }                                                                                                              \
        vec_copy(d, &r, qwords);                                                                                       \
    }
/* The same with one operand. */
#define LANES1(name, LANE, bits, type, expr)                                                                           \
    static KERNEL v_##name(Vec *d, const Vec *a, unsigned qwords)                                                      \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        for (unsigned j = 0; j < qwords * (64 / (bits)); j++) {                                                        \
            type x = LANE(*a, j);                                                                                      \
            LANE(r, j) = expr;                                                                                         \
        }                                                                                                              \
        vec_copy(d, &r, qwords);                                                                                       \
    }

#define SAT_SB(v) CLAMP(v, INT8_MIN, INT8_MAX)
#define SAT_SW(v) CLAMP(v, INT16_MIN, INT16_MAX)
#define SAT_UB(v) CLAMP(v, 0, UINT8_MAX)
#define SAT_UW(v) CLAMP(v, 0, UINT16_MAX)

/* Add, subtract. */
LANES2(paddb, VEC_B, 8, uint8_t, x + y)
LANES2(paddw, VEC_W, 16, uint16_t, x + y)
LANES2(paddd, VEC_D, 32, uint32_t, x + y)
LANES2(paddq, VEC_Q, 64, uint64_t, x + y)
LANES2(psubb, VEC_B, 8, uint8_t, x - y)
LANES2(psubw, VEC_W, 16, uint16_t, x - y)
LANES2(psubd, VEC_D, 32, uint32_t, x - y)
LANES2(psubq, VEC_Q, 64, uint64_t, x - y)
LANES2(paddsb, VEC_B, 8, int8_t, SAT_SB(x + y))
LANES2(paddsw, VEC_W, 16, int16_t, SAT_SW(x + y))
LANES2(psubsb, VEC_B, 8, int8_t, SAT_SB(x - y))
LANES2(psubsw, VEC_W, 16, int16_t, SAT_SW(x - y))
LANES2(paddusb, VEC_B, 8, uint8_t, SAT_UB(x + y))
LANES2(paddusw, VEC_W, 16, uint16_t, SAT_UW(x + y))
LANES2(psubusb, VEC_B, 8, uint8_t, x > y ? x - y : 0)
LANES2(psubusw, VEC_W, 16, uint16_t, x > y ? x - y : 0)

/* Multiply. */
LANES2(pmullw, VEC_W, 16, int16_t, x * y)
LANES2(pmulhw, VEC_W, 16, int16_t, x * y >> 16)
LANES2(pmulhuw, VEC_W, 16, uint16_t, (uint32_t)x * y >> 16)
LANES2(pmulhrsw, VEC_W, 16, int16_t, ((x * y >> 14) + 1) >> 1)
LANES2(pmulld, VEC_D, 32, uint32_t, x * y)
LANES2(pmullq, VEC_Q, 64, uint64_t, x * y)
LANES2(pmuludq, VEC_Q, 64, uint32_t, (uint64_t)x * y)
LANES2(pmuldq, VEC_Q, 64, int32_t, (uint64_t)((int64_t)x * y))

/* Logic. */
LANES2(pand, VEC_Q, 64, uint64_t, x & y)
LANES2(pandn, VEC_Q, 64, uint64_t, ~x & y)
LANES2(por, VEC_Q, 64, uint64_t, x | y)
LANES2(pxor, VEC_Q, 64, uint64_t, x ^ y)

/* Compare. */
LANES2(pcmpeqb, VEC_B, 8, uint8_t, x == y ? UINT8_MAX : 0)
LANES2(pcmpeqw, VEC_W, 16, uint16_t, x == y ? UINT16_MAX : 0)
LANES2(pcmpeqd, VEC_D, 32, uint32_t, x == y ? UINT32_MAX : 0)
LANES2(pcmpeqq, VEC_Q, 64, uint64_t, x == y ? UINT64_MAX : 0)
LANES2(pcmpgtb, VEC_B, 8, int8_t, x > y ? UINT8_MAX : 0)
LANES2(pcmpgtw, VEC_W, 16, int16_t, x > y ? UINT16_MAX : 0)
LANES2(pcmpgtd, VEC_D, 32, int32_t, x > y ? UINT32_MAX : 0)
LANES2(pcmpgtq, VEC_Q, 64, int64_t, x > y ? UINT64_MAX : 0)

/* Minimum, maximum, average. */
#define MIN_MAX(suffix, LANE, bits, type)                                                                              \
    LANES2(pmin##suffix, LANE, bits, type, x < y ? x : y)                                                              \
    LANES2(pmax##suffix, LANE, bits, type, x > y ? x : y)
MIN_MAX(ub, VEC_B, 8, uint8_t)
MIN_MAX(sb, VEC_B, 8, int8_t)
MIN_MAX(uw, VEC_W, 16, uint16_t)
MIN_MAX(sw, VEC_W, 16, int16_t)
MIN_MAX(ud, VEC_D, 32, uint32_t)
MIN_MAX(sd, VEC_D, 32, int32_t)
MIN_MAX(uq, VEC_Q, 64, uint64_t)
MIN_MAX(sq, VEC_Q, 64, int64_t)
#undef MIN_MAX
LANES2(pavgb, VEC_B, 8, uint8_t, (x + y + 1) >> 1)
LANES2(pavgw, VEC_W, 16, uint16_t, (x + y + 1) >> 1)

/* Sign. The most negative number stays itself. */
LANES1(pabsb, VEC_B, 8, int8_t, x < 0 ? -x : x)
LANES1(pabsw, VEC_W, 16, int16_t, x < 0 ? -x : x)
LANES1(pabsd, VEC_D, 32, int32_t, x < 0 ? -(uint32_t)x : (uint32_t)x)
LANES1(pabsq, VEC_Q, 64, int64_t, x < 0 ? -(uint64_t)x : (uint64_t)x)
LANES2(psignb, VEC_B, 8, int8_t, y < 0 ? -x : y ? x : 0)
LANES2(psignw, VEC_W, 16, int16_t, y < 0 ? -x : y ? x : 0)
LANES2(psignd, VEC_D, 32, int32_t, y < 0 ? -(uint32_t)x : y ? (uint32_t)x : 0)

/* Sums of neighbours. */
static KERNEL v_pmaddwd(Vec *d, const Vec *a, const Vec *b, unsigned qwords)
{
    Vec r;
    for (unsigned j = 0; j < qwords * 2; j++) {
        int32_t even = (int16_t)VEC_W(*a, 2 * j) * (int16_t)VEC_W(*b, 2 * j);
        int32_t odd = (int16_t)VEC_W(*a, 2 * j + 1) * (int16_t)VEC_W(*b, 2 * j + 1);
        VEC_D(r, j) = (uint32_t)even + (uint32_t)odd;
    }
    vec_copy(d, &r, qwords);
}

/* Unsigned bytes of the first operand times signed bytes of the second. */
static KERNEL v_pmaddubsw(Vec *d, const Vec *a, const Vec *b, unsigned qwords)
{
    Vec r;
    for (unsigned j = 0; j < qwords * 4; j++) {
        int sum = VEC_B(*a, 2 * j) * (int8_t)VEC_B(*b, 2 * j) + VEC_B(*a, 2 * j + 1) * (int8_t)VEC_B(*b, 2 * j + 1);
        VEC_W(r, j) = SAT_SW(sum);
    }
    vec_copy(d, &r, qwords);
}

static KERNEL v_psadbw(Vec *d, const Vec *a, const Vec *b, unsigned qwords)
{
    Vec r;
    for (unsigned j = 0; j < qwords; j++) {
        unsigned sum = 0;
        for (unsigned k = 8 * j; k < 8 * j + 8; k++) {
            int difference = VEC_B(*a, k) - VEC_B(*b, k);
            sum += difference < 0 ? -difference : difference;
        }
        VEC_Q(r, j) = sum;
    }
    vec_copy(d, &r, qwords);
}

/* Shifts by one count for all lanes; a count of the lane's width or more empties it, or fills it with the sign. */
#define SHIFTS(suffix, LANE, bits, type)                                                                               \
    static KERNEL v_psll##suffix(Vec *d, const Vec *a, uint64_t count, unsigned qwords)                                \
    {                                                                                                                  \
        for (unsigned j = 0; j < qwords * (64 / (bits)); j++)                                                          \
            LANE(*d, j) = count < (bits) ? (u##type)(1u * LANE(*a, j) << count) : 0;                                   \
    }                                                                                                                  \
    static KERNEL v_psrl##suffix(Vec *d, const Vec *a, uint64_t count, unsigned qwords)                                \
    {                                                                                                                  \
        for (unsigned j = 0; j < qwords * (64 / (bits)); j++)                                                          \
            LANE(*d, j) = count < (bits) ? LANE(*a, j) >> count : 0;                                                   \
    }                                                                                                                  \
    static KERNEL v_psra##suffix(Vec *d, const Vec *a, uint64_t count, unsigned qwords)                                \
    {                                                                                                                  \
        for (unsigned j = 0; j < qwords * (64 / (bits)); j++)                                                          \
            LANE(*d, j) = (type)LANE(*a, j) >> (count < (bits) ? count : (bits) - 1);                                  \
    }
SHIFTS(w, VEC_W, 16, int16_t)
SHIFTS(d, VEC_D, 32, int32_t)
SHIFTS(q, VEC_Q, 64, int64_t)
#undef SHIFTS

/* Shifts of each lane by the lane of b. */
#define SHIFTS_VARIABLE(suffix, LANE, bits, type)                                                                      \
    LANES2(psllv##suffix, LANE, bits, u##type, y < (bits) ? (u##type)(1u * x << y) : 0)                                \
    LANES2(psrlv##suffix, LANE, bits, u##type, y < (bits) ? x >> y : 0)                                                \
    LANES2(psrav##suffix, LANE, bits, u##type, (type)x >> (y < (bits) ? y : (bits) - 1))
SHIFTS_VARIABLE(w, VEC_W, 16, int16_t)
SHIFTS_VARIABLE(d, VEC_D, 32, int32_t)
SHIFTS_VARIABLE(q, VEC_Q, 64, int64_t)
#undef SHIFTS_VARIABLE

/* Bytes of each 128-bit block; 16 or more empty it. */
static KERNEL v_pslldq(Vec *d, const Vec *a, unsigned count, unsigned qwords)
{
    for (unsigned j = 0; j < qwords; j += 2) {
        uint64_t low = a->q[j], high = a->q[j + 1];
        unsigned bits = count % 8 * 8;
        d->q[j + 1] = count >= 16 ? 0 : count >= 8 ? low << bits : bits ? high << bits | low >> (64 - bits) : high;
        d->q[j] = count >= 8 ? 0 : low << bits;
    }
}
static KERNEL v_psrldq(Vec *d, const Vec *a, unsigned count, unsigned qwords)
{
    for (unsigned j = 0; j < qwords; j += 2) {
        uint64_t low = a->q[j], high = a->q[j + 1];
        unsigned bits = count % 8 * 8;
        d->q[j] = count >= 16 ? 0 : count >= 8 ? high >> bits : bits ? low >> bits | high << (64 - bits) : low;
        d->q[j + 1] = count >= 8 ? 0 : high >> bits;
    }
}

/* Lanes widened: the low lanes of a fill all of d. */
#define WIDEN(name, FROM, from, TO, bits)                                                                              \
    static KERNEL v_##name(Vec *d, const Vec *a, unsigned qwords)                                                      \
    {                                                                                                                  \
        Vec r;                                                                                                         \
        for (unsigned j = 0; j < qwords * (64 / (bits)); j++)                                                          \
            TO(r, j) = (from)FROM(*a, j);                                                                              \
        vec_copy(d, &r, qwords);                                                                                       \
    }
WIDEN(pmovsxbw, VEC_B, int8_t, VEC_W, 16)
WIDEN(pmovsxbd, VEC_B, int8_t, VEC_D, 32)
WIDEN(pmovsxbq, VEC_B, int8_t, VEC_Q, 64)
WIDEN(pmovsxwd, VEC_W, int16_t, VEC_D, 32)
WIDEN(pmovsxwq, VEC_W, int16_t, VEC_Q, 64)
WIDEN(pmovsxdq, VEC_D, int32_t, VEC_Q, 64)
WIDEN(pmovzxbw, VEC_B, uint8_t, VEC_W, 16)
WIDEN(pmovzxbd, VEC_B, uint8_t, VEC_D, 32)
WIDEN(pmovzxbq, VEC_B, uint8_t, VEC_Q, 64)
WIDEN(pmovzxwd, VEC_W, uint16_t, VEC_D, 32)
WIDEN(pmovzxwq, VEC_W, uint16_t, VEC_Q, 64)
WIDEN(pmovzxdq, VEC_D, uint32_t, VEC_Q, 64)
#undef WIDEN

/* Eight sums of four absolute differences in each block; imm8 has three bits for each (SDM vol. 2, MPSADBW). */
static KERNEL v_mpsadbw(Vec *d, const Vec *a, const Vec *b, unsigned imm, unsigned qwords)
{
    Vec r;
    for (unsigned base = 0; base < qwords * 8; base += 16, imm >>= 3)
        for (unsigned j = 0; j < 8; j++) {
            unsigned sum = 0;
            for (unsigned k = 0; k < 4; k++) {
                int difference = VEC_B(*a, base + (imm & 4) + j + k) - VEC_B(*b, base + (imm & 3) * 4 + k);
                sum += difference < 0 ? -difference : difference;
            }
            VEC_W(r, base / 2 + j) = sum;
        }
    vec_copy(d, &r, qwords);
}

/* The least word and where it is. */
static KERNEL v_phminposuw(Vec *d, const Vec *a, unsigned qwords)
{
    unsigned least = 0;
    for (unsigned j = 1; j < qwords * 4; j++)
        if (VEC_W(*a, j) < VEC_W(*a, least))
            least = j;
    d->q[0] = VEC_W(*a, least) | least << 16;
    d->q[1] = 0;
}

/* Top bits of the lanes. */
static inline uint32_t vec_mask_b(const Vec *a, unsigned qwords)
{
    uint32_t mask = 0;
    /* The multiplication gathers the eight top bits of a quadword, moved to bits 0, 8 .. 56, in its top byte. */
    for (unsigned j = 0; j < qwords; j++)
        mask |= ((a->q[j] >> 7 & UINT64_C(0x0101010101010101)) * UINT64_C(0x0102040810204080) >> 56) << 8 * j;
    return mask;
}
static inline uint32_t vec_mask_d(const Vec *a, unsigned qwords)
{
    uint32_t mask = 0;
    for (unsigned j = 0; j < qwords * 2; j++)
        mask |= VEC_D(*a, j) >> 31 << j;
    return mask;
}
static inline uint32_t vec_mask_q(const Vec *a, unsigned qwords)
{
    uint32_t mask = 0;
    for (unsigned j = 0; j < qwords; j++)
        mask |= a->q[j] >> 63 << j;
    return mask;
}

#endif
