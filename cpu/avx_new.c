/*
 * VEX instructions younger than AVX-512: AVX-VNNI-INT8, AVX-VNNI-INT16, AVX-NE-CONVERT (SDM vol. 2, each under its
 * mnemonic).
 */
#include "cpu/avx512.h"
#include "cpu/fp.h"

/*
 * Sums of products of neighbouring bytes or words, of which the first are of type A and the second of type B, added to
 * what is there.  Where both are unsigned, the sum is and saturates as such.
 */
#define DOT(name, A, B, bits)                                                                                          \
    static inline int64_t name(uint32_t a, uint32_t b)                                                                 \
    {                                                                                                                  \
        int64_t sum = 0;                                                                                               \
        for (unsigned k = 0; k < 32; k += (bits))                                                                      \
            sum += (int64_t)(A)(a >> k) * (B)(b >> k);                                                                 \
        return sum;                                                                                                    \
    }
#define SAT_UD(v) MIN(v, UINT32_MAX)

#define DOT_INSNS(name, A, B, bits, old, SAT)                                                                          \
    DOT(dot_##name, A, B, bits)                                                                                        \
    LANES3(name, VEC_D, 32, uint32_t, x + (uint32_t)dot_##name(y, z))                                                  \
    LANES3(name##s, VEC_D, 32, uint32_t, SAT((int64_t)(old)x + dot_##name(y, z)))                                      \
    AVX_TERNARY(name, 32)                                                                                              \
    AVX_TERNARY(name##s, 32)

DOT_INSNS(vpdpbssd, int8_t, int8_t, 8, int32_t, SAT_SD)
DOT_INSNS(vpdpbsud, int8_t, uint8_t, 8, int32_t, SAT_SD)
DOT_INSNS(vpdpbuud, uint8_t, uint8_t, 8, uint32_t, SAT_UD)
DOT_INSNS(vpdpwsud, int16_t, uint16_t, 16, int32_t, SAT_SD)
DOT_INSNS(vpdpwusd, uint16_t, int16_t, 16, int32_t, SAT_SD)
DOT_INSNS(vpdpwuud, uint16_t, uint16_t, 16, uint32_t, SAT_UD)

/*
 * Half precision and bfloat16 of memory to single precision, exactly and whatever MXCSR says.  A half precision NaN
 * becomes quiet; a bfloat16 moves as it is.
 */
static inline uint32_t half_to_single(uint16_t a)
{
    FpEnv e = { .rounding = FP_NEAREST };
    return f16_to_f32_quietly(a, &e);
}
static inline uint32_t bf16_to_single(uint16_t a) { return (uint32_t)a << 16; }

static inline void broadcast_single(Cpu *cpu, const Insn *i, uint32_t v)
{
    Vec r;
    vec_fill(&r, v, 32, avx_qwords(i));
    avx_write(cpu, i, i->reg, &r, 32);
}

/* One for all lanes; those at even places, at odd places. */
#define WIDEN(broadcast, even, odd, convert)                                                                           \
    static void avx_##broadcast(Cpu *cpu, const Insn *i)                                                               \
    {                                                                                                                  \
        broadcast_single(cpu, i, convert(mem_read16(cpu, i->seg, insn_ea(cpu, i))));                                   \
    }                                                                                                                  \
    SEM_1(avx_##broadcast)                                                                                             \
    LANES1(even, VEC_D, 32, uint32_t, convert(x))                                                                      \
    LANES1(odd, VEC_D, 32, uint32_t, convert(x >> 16))                                                                 \
    AVX_UNARY(even, 32)                                                                                                \
    AVX_UNARY(odd, 32)

WIDEN(vbcstnesh2ps, vcvtneeph2ps, vcvtneoph2ps, half_to_single)
WIDEN(vbcstnebf162ps, vcvtneebf162ps, vcvtneobf162ps, bf16_to_single)
