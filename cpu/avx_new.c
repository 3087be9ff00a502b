/*
 * VEX instructions younger than AVX-512: AVX-VNNI-INT8, AVX-VNNI-INT16 (SDM vol. 2, each under its mnemonic).
 */
#include "cpu/avx512.h"

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
